"""What a captured array costs on hosts that share no disk with the driver, beside hosts that do. Needs root.

python benchmarks/travel.py [--mb 500] [--hosts 2] [--workers 2] [--trials 40]

A host is a mount namespace without the folder of the sweeps, with a scratch folder of its own. All of them share this
machine's cores and disk, so that seconds are upper bounds; bytes and processor time hold also on a busy machine.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import psutil
from cluster.away import Cluster, cluster, missing
from cluster.desk import Bench

MB = 1 << 20
BODY = "loss = float(X[{}])"
#: What one trial brings home.
HOME_MB = 100
SAVES = f"import numpy\ntrial().save('made.joblib', numpy.random.default_rng(0).bytes({HOME_MB << 20}))\nloss = 1"


class Figures(NamedTuple):
    sent_mb: dict[str, float]  # by host
    first_s: float
    first_cpu_s: float
    trial_ms: float
    copies_mb: dict[str, float]
    home_s: float


def measure(place: Cluster, hosts: list[str], args: argparse.Namespace, *, away: bool) -> Figures:
    for host in hosts:
        for i in range(args.workers):
            place.worker(f"{host}-{i}", host, away=away)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        bench = Bench(place, wait_s=900)
        try:
            job = bench.folder.write(BODY.format(-1), values={"X": np.random.default_rng(0).random(args.mb * MB // 8)})
            cpu_s = cpu_seconds(place)
            first_s = run(bench, job, args.workers * len(hosts))
            first_cpu_s = cpu_seconds(place) - cpu_s
            trial_ms = statistics.median(1000 * run(bench, job, args.trials) / args.trials for _ in range(3))
            copies = {host: size(place.scratch(host)) for host in hosts}
            small = run(bench, bench.folder.write("loss = 1"), 1)
            home_s = run(bench, bench.folder.write(SAVES), 1) - small
            names = {
                row["worker"]: bench.executor._roster._places[row["worker"]].address for row in bench.executor.workers()
            }
        finally:
            bench.executor.close()
    return Figures(sent_by_host(said.getvalue(), names), first_s, first_cpu_s, trial_ms, copies, home_s)


def run(bench: Bench, job: str, n: int) -> float:
    """Run n trials; give the seconds from the first's submission to the last's end."""
    began = time.monotonic()
    for task in [bench.submit(job) for _ in range(n)]:
        end = bench.end(task)
        assert getattr(end, "state", "") == "completed", end
    bench.seen.clear()
    return time.monotonic() - began


def cpu_seconds(place: Cluster) -> float:
    """Give what the driver, the scheduler and the workers have used, without their trials."""
    spent = [psutil.Process(process.pid).cpu_times() for process in place.processes]
    return time.process_time() + sum(times.user + times.system for times in spent)


def size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MB


def sent_by_host(said: str, addresses: dict[str, str]) -> dict[str, float]:
    """Sum up what the driver says that it sent."""
    host = {address: label.rpartition("/")[2].rpartition("-")[0] for label, address in addresses.items()}
    found: Counter[str] = Counter()
    for nbytes, address in re.findall(r"^sent \S+, ([\d,]+) bytes, to (\S+)", said, re.MULTILINE):
        found[host[address]] += int(nbytes.replace(",", ""))
    return {name: n / MB for name, n in sorted(found.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("mb", 500), ("hosts", 2), ("workers", 2), ("trials", 40)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    if missing():
        sys.exit(missing())
    hosts = [f"h{i + 1}" for i in range(args.hosts)]
    print(f"{args.mb} MB array, {args.hosts} hosts with {args.workers} workers each, {args.trials} trials a round")
    for away in (True, False):
        with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as place:
            show(measure(place, hosts, args, away=away), away=away)


def show(found: Figures, *, away: bool) -> None:
    def table(sizes: dict[str, Any]) -> str:
        return ", ".join(f"{name} {mb:.1f} MB" for name, mb in sizes.items()) or "nothing"

    print(f"\n{'no shared disk' if away else 'shared disk'}")
    print(f"  sent                        {table(found.sent_mb)}")
    print(f"  kept on the hosts           {table(found.copies_mb)}")
    print(f"  one trial a worker, cold    {found.first_s:.2f} s, {found.first_cpu_s:.2f} s of processor time")
    print(f"  a trial after that          {found.trial_ms:.1f} ms")
    print(f"  {HOME_MB} MB artifact home        {found.home_s:.2f} s more than a trial without one", flush=True)


if __name__ == "__main__":
    main()
