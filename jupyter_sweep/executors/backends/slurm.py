"""What is asked of Slurm's commands: whether it would take a job, how jobs stand, where its nodes are.

Every question has a limit in seconds, and Slurm's own words are passed on: nobody explains a refusal better.
"""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...errors import SweepError, suggest
from .jobqueue_words import clock

#: How long Slurm may take to answer.
ASK_S = 15.0
#: States after which nothing of a job runs any more, as `squeue -o %t` writes them; CG is one that is being cleaned up.
OVER = ("BF", "CA", "CD", "CG", "DL", "F", "NF", "OOM", "PR", "RV", "TO")
#: Reasons to wait that only a person can mend: limits of the partition, or of one job of an account or a QOS.
_HOPELESS = re.compile(
    r"Invalid(Account|QOS)|(Account|QOS)NotAllowed|BadConstraints|Partition(Config|TimeLimit|NodeLimit)"
    r"|(Assoc|QOS)Max\w+PerJob\w*|.*account not known.*"
)
#: What is said of a partition that refuses a job.
_SAID = ("MaxTime", "AllowAccounts", "AllowQos", "AllowGroups")
_PREFIXES = ("sbatch: error: ", "sbatch: fatal: ", "allocation failure: ")


class Standing(NamedTuple):
    """How a job stands: `state` as in R, PD, CA; `reason` is Slurm's, as in Resources or QOSMaxCpuPerUserLimit.

    `left_s` is what is left of its time; None while Slurm doesn't say.
    """

    job: str
    state: str
    reason: str
    node: str
    left_s: float | None = None

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def is_hopeless(self) -> bool:
        """Tell whether it waits for what won't come by itself: it asks for more than it may have."""
        return self.state == "PD" and bool(_HOPELESS.fullmatch(self.reason))


def judge(word: str, script: str, partition: str, walltime_s: float) -> None:
    """Have Slurm judge a job script without submitting it.

    As Slurm is delivered (`EnforcePartLimits=NO`), it takes a job whose time exceeds its partition's and lets it wait
    for ever, so that is looked at here.

    Raises
    ------
    SweepError
        In Slurm's own words; where it doesn't answer.
    """
    done = _ask(["sbatch", "--test-only"], script)
    if done is None:
        raise SweepError(f"--on {word}: Slurm did not answer within {ASK_S:g} s.")
    partitions = _partitions()
    if done.returncode:
        unknown = partition and partitions and partition not in partitions
        hint = suggest(partition, partitions).replace("Allowed", "Partitions here") if unknown else ""
        limits = "" if unknown else _limits(partitions, partition)
        raise SweepError(f"--on {word}: Slurm refuses the job: {plain(done.stderr)}.{hint}{limits}")
    found = _partition(partitions, partition)
    most_s = seconds(found.get("MaxTime", ""))
    if most_s is not None and walltime_s > most_s:
        raise SweepError(
            f"--on {word}: Slurm would let the job wait for ever: its walltime is {clock(walltime_s)}, and partition "
            f"{found['PartitionName']} allows {clock(most_s)}. Give a shorter walltime or another partition."
        )


def plain(text: str) -> str:
    """Give what Slurm printed as one line without its marks.

    >>> plain("sbatch: error: invalid partition specified: x" + chr(10) + "allocation failure: Invalid partition name")
    'invalid partition specified: x; Invalid partition name'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for prefix in _PREFIXES:
        lines = [line.removeprefix(prefix) for line in lines]
    return "; ".join(dict.fromkeys(lines)).rstrip(".") or "it gave no reason"


def standing(name: str) -> dict[str, Standing] | None:
    """Give how the jobs of a name stand, also those that ended in the last minutes; None where Slurm doesn't say."""
    done = _ask(["squeue", "-h", "--name", name, "--states=all", "-o", "%i|%t|%N|%L|%r"])
    if done is None or done.returncode:
        return None
    rows = [line.split("|", 4) for line in done.stdout.splitlines() if line.count("|") >= 4]
    return {
        job: Standing(job, state, "" if reason == "None" else reason, node, seconds(left))
        for job, state, node, left, reason in rows
    }


def cancel(jobs: Sequence[str]) -> None:
    _ask(["scancel", *jobs])


def seconds(text: str) -> float | None:
    """Read a duration as Slurm writes it; None where it is no number, as in UNLIMITED.

    >>> [seconds(text) for text in ("1-02:00:05", "30:00", "UNLIMITED")]
    [93605.0, 1800.0, None]
    """
    if not re.fullmatch(r"(\d+-)?\d+(:\d+){1,2}", text):
        return None
    days, _, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    return float(sum(n * 60**i for i, n in enumerate(reversed(parts))) + 86400 * int(days or 0))


def address_towards_nodes(partition: str = "") -> str | None:
    """Give this machine's address on the network of the nodes; None where no node's address is known."""
    done = _ask(["sinfo", "-h", "-N", "-o", "%o", *(["-p", partition] if partition else [])])
    nodes = dict.fromkeys(done.stdout.split()) if done is not None and not done.returncode else {}
    return next((found for node in list(nodes)[:8] if (found := _route(node)) is not None), None)


def _route(host: str) -> str | None:
    """Give the address that packets to a host leave from; nothing is sent."""
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(where)
            address: str = probe.getsockname()[0]
    except OSError:
        return None
    return address


def _partitions() -> dict[str, dict[str, str]]:
    """Give the partitions by name with what Slurm says of each: MaxTime, AllowAccounts, Default, ..."""
    done = _ask(["scontrol", "--oneliner", "show", "partition"])
    lines = done.stdout.splitlines() if done is not None else []
    told = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in lines]
    return {found["PartitionName"]: found for found in told if "PartitionName" in found}


def _partition(partitions: Mapping[str, dict[str, str]], name: str) -> dict[str, str]:
    """Give a partition, or the one that Slurm takes where none is named."""
    default = next((found for found in partitions.values() if found.get("Default") == "YES"), {})
    return partitions.get(name, {}) if name else default


def _limits(partitions: Mapping[str, dict[str, str]], name: str) -> str:
    """Say what a partition allows, beside a refusal that doesn't."""
    found = _partition(partitions, name)
    told = [f"{key}={found[key]}" for key in _SAID if found.get(key, "ALL") not in ("ALL", "UNLIMITED")]
    return f" Partition {found['PartitionName']}: {', '.join(told)}." if told else ""


def _ask(command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str] | None:
    """Run a command; None when it isn't there or takes too long."""
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=ASK_S, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return None
