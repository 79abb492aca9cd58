"""Who drives ssh hosts in a test: scripts that run in the hub's namespace, and what becomes of their sweeps."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
from cluster import netns
from conftest import command_of, processes_of

from jupyter_sweep import sweep
from jupyter_sweep.handle import Handle

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
WAIT_S = 90
#: Begins every script: a sweep named "s" as a user's script runs it, and jobs that it may run.
SCRIPT = """
import os, socket, sys, time, uuid
from jupyter_sweep import Float, Space, run

GATE = {gate!r}

def job(x):
    print("ran on", socket.gethostname())
    return x

def hold(x):  # until the test lets it go
    mark = os.path.join(GATE, f"{{socket.gethostname()}}-{{uuid.uuid4().hex}}")
    open(mark, "w").close()
    while os.path.exists(mark) and not os.path.exists(os.path.join(GATE, "open")):
        time.sleep(0.05)
    return x

def go(job, n, on, name="s", **more):
    run(job, Space(x=Float(0.1, 0.4)), name=name, min="loss", n=n, algo="random", on=on, **more)

def leave(job, n, on, **more):
    go(job, n, on, bg=True, no_canary=True, **more)
"""


def until(what: Callable[[], T], says: str, limit_s: float = WAIT_S) -> T:
    """Give the first true answer of `what`."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        answer = what()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{says} after {limit_s} s")


def host_of(worker: str) -> str:
    return worker.partition("/")[0]


def running_on(handle: Handle, *hosts: str) -> set[int]:
    return {t.number for t in handle.trials() if t.state == "running" and host_of(t.worker) in hosts}


class Hub:
    """One test's folder of sweeps, and what runs for it."""

    def __init__(self, hosts: netns.Hosts, home: Path) -> None:
        self.hosts, self.home = hosts, home
        self.gate = hosts.folder / f"gate-{uuid.uuid4().hex[:8]}"  # all hosts see it
        self.gate.mkdir()

    def environment(self) -> dict[str, str]:
        own = {"JUPYTER_SWEEP_HOME": str(self.home), "PYTHONPATH": str(ROOT), "JUPYTER_SWEEP_IDLE_S": "1"}
        return dict(self.hosts.environment(**own))

    def profile(self, text: str) -> None:
        """Write the profiles beside the scripts."""
        (self.home.parent / "sweeps.toml").write_text(text)

    def run(self, body: str) -> str:
        """Run a script in the hub; give what it printed, its error too."""
        script = self.home.parent / "script.py"
        script.write_text(SCRIPT.format(gate=str(self.gate)) + body)
        done = subprocess.run(
            self.hosts.inside([sys.executable, str(script)]),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=3 * WAIT_S,
            cwd=self.home.parent,
            check=False,
        )
        return done.stdout + done.stderr

    def start(self, body: str) -> Handle:
        """Start a sweep named "s" that goes on when its script ends."""
        said = self.run(body)
        assert said.strip() == "", said
        return sweep("s", folder=self.home)

    def refusal(self, on: str) -> str:
        """Say why hosts are refused; "" when they are not. Nothing is started."""
        look = f"clusters.check(clusters.parse({on!r}))"
        said = self.run(
            "from jupyter_sweep.executors import clusters\n"
            f"try:\n    {look}\nexcept Exception as error:\n    print(type(error).__name__, error)"
        )
        assert processes_of(self.home) == []
        return said

    def held(self, *hosts: str) -> list[Path]:
        """Give the marks of trials that wait on some hosts for the test to let them go."""
        return [mark for mark in self.gate.iterdir() if mark.name.partition("-")[0] in hosts]

    def release(self, *hosts: str) -> None:
        """Let go the trials that wait on some hosts now; without a name all, and those that are yet to come."""
        for mark in self.held(*hosts):
            mark.unlink()
        if not hosts:
            (self.gate / "open").touch()

    def driver(self) -> psutil.Process:
        return next(p for p in processes_of(self.home) if "jupyter_sweep.runner.driver" in command_of(p))

    def log_of(self, host: str) -> str:
        """Give what a host printed beside the trials."""
        return (self.home / ".driver" / f"ssh-{host}.log").read_text()

    def sent(self, larger_than: int) -> list[str]:
        """Give the addresses of hosts to which the driver sent a file of more bytes, as often as it did."""
        lines = re.compile(r"^sent \S+, ([\d,]+) bytes, to \w+://([\d.]+):", re.MULTILINE)
        found = [pair for path in (self.home / ".driver").glob("*.log") for pair in lines.findall(path.read_text())]
        return [address for size, address in found if int(size.replace(",", "")) > larger_than]


def listening(hosts: netns.Hosts, where: str) -> list[str]:
    """Give the addresses that TCP servers of a host are bound to."""
    said = subprocess.run(
        hosts.inside(["cat", "/proc/net/tcp", "/proc/net/tcp6"], where), capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in said.stdout.splitlines()]
    return [_address(row[1]) for row in rows if len(row) > 3 and row[3] == "0A"]


def _address(text: str) -> str:
    """Read an address as /proc writes it: 32-bit words, each with its bytes the other way round."""
    host, port = text.split(":")
    words = [bytes.fromhex(host[i : i + 8])[::-1] for i in range(0, len(host), 8)]
    name = socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, b"".join(words))
    return f"{name}:{int(port, 16)}" if len(words) == 1 else f"[{name}]:{int(port, 16)}"


def stranger(hosts: netns.Hosts, address: str) -> str:
    """Talk TLS to an address with a certificate of nobody's; say how that ended."""
    code = f"""
import socket, ssl
context = ssl._create_unverified_context()
try:
    with socket.create_connection({tuple(address.split(":"))!r}, 20) as raw, context.wrap_socket(raw) as sock:
        sock.sendall(bytes(64))
        print("answered", sock.recv(1))
except (ssl.SSLError, ConnectionError) as error:
    print("refused", error)
"""
    done = subprocess.run(hosts.inside([sys.executable, "-c", code]), capture_output=True, text=True, check=True)
    return done.stdout
