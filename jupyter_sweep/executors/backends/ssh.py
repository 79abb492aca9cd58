"""Hosts reached by ssh: any machines that run the same Python and share the folder of the sweeps.

ssh_words      the words and options
ssh_script     what is said to a host's shell
ssh_agent      what runs there; travels as text
ssh_link       one connection, with the user's own ssh set-up
ssh_probe      whether the Pythons fit, as one table
ssh_host       the life of one host: lost, tried again, taken back
ssh_cluster    the scheduler here and all hosts
"""

from __future__ import annotations

import asyncio
import importlib
import shlex
import textwrap
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...errors import MissingExtra, count
from ..clusters import Seen, Where
from . import ssh_probe, ssh_script, ssh_words
from .ssh_words import read as read
from .ssh_words import settled as settled

#: How long `check` waits for a host; who only looks need not wait as long as who starts.
_LOOK_S = 5.0


def plan(where: Where, slots: int | None) -> str:
    options = where.options
    tls = "TLS with certificates made for it alone" if options["tls"] else "NO encryption and no password (tls = false)"
    lines = [f"Dask scheduler in the driver, workers on {count(len(options['hosts']), 'ssh host')}; {tls}"]
    for host in options["hosts"]:
        lines.append(f"{_command(host)}    # {_slots(host, where.share)}")
        shown = {**host, "env": dict.fromkeys(host["env"], "...")}  # a notebook keeps what it shows
        lines.append(textwrap.indent(ssh_script.script(shown, "..."), "    "))
    return "\n".join(lines)


def _command(host: Mapping[str, Any]) -> str:
    words = ["ssh"]
    if host["port"]:
        words += ["-p", str(host["port"])]
    if host["key"]:
        words += ["-i", host["key"]]
    return shlex.join([*words, ssh_words.address(host), "sh"])


def _slots(host: Mapping[str, Any], share: Mapping[str, Any]) -> str:
    if host["slots"]:
        return count(host["slots"], "slot")
    cpus = share.get("cpus", 1)
    return "a slot for each core" if cpus == 1 else f"a slot for every {cpus:g} cores"


def check(where: Where) -> None:
    """Look at every host, in a thread of its own: a notebook's has a running event loop.

    Raises
    ------
    SweepError
        Unless all hosts that answer are as they should be, and one does.
    """
    ssh_probe.require(where.word, _look(where))


def seen(where: Where) -> Seen:
    """Give slots and versions of the hosts that answer, and what is wrong with the others; SweepError as `check`."""
    found = _look(where)
    ssh_probe.require(where.word, found)
    good = [(host, item.hello) for host, item in zip(where.options["hosts"], found, strict=True) if not item.problem]
    cpus = where.share.get("cpus", 1)
    slots = sum(host["slots"] or max(1, int(hello["cores"] / cpus)) for host, hello in good)
    versions = {f"Python {hello['python']}, distributed {hello['versions']['distributed']}" for _, hello in good}
    away = [f"{item.name}: {item.problem.verdict}" for item in found if item.problem]
    health = f"ok, {len(good)} of {count(len(found), 'host')}" + "".join(f"; {text}" for text in away)
    return Seen(slots, "; ".join(sorted(versions)), health)


def _look(where: Where) -> list[ssh_probe.Found]:
    _require_packages(where)
    from .ssh_host import look

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, look(where.options, _LOOK_S)).result()


def _require_packages(where: Where) -> None:
    for package in ("asyncssh", "cryptography") if where.options["tls"] else ("asyncssh",):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingExtra("--on ssh", "ssh", error) from error


def start(where: Where, slots: int | None) -> Any:
    _require_packages(where)
    from .ssh_cluster import Cluster

    return Cluster(where)
