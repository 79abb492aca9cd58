"""What a trial and a start cost beside raw Dask, in one run. Prints one line a figure: ours, theirs, the ratio.

python benchmarks/overhead.py [--repeat 3] [noop] [tpe] [use] [cold] [second] [again] [frame] [load]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

N_NOOP, N_USE, SLEEP_S, WORKERS = 500, 500, 0.05, 2


def noop(**params: float) -> float:
    return params["a"]


def nap(**params: float) -> float:
    time.sleep(SLEEP_S)
    return params["a"]


def space() -> Any:
    from jupyter_sweep import Choice, Float, Int, Space

    return Space(a=Float(0, 1), b=Float(1e-5, 1e-1, log=True), c=Int(1, 100), d=Choice("x", "y", "z"), e=Float(-1, 1))


def points(n: int) -> list[dict[str, Any]]:
    import random

    rng = random.Random(0)
    return [space().sample(rng) for _ in range(n)]


@contextmanager
def raw_dask() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(lambda: None)
        yield client


def dask_map(client: Any, job: Callable[..., float], n: int) -> float:
    from distributed import as_completed

    todo = points(n)
    begin = time.perf_counter()
    for _ in as_completed(client.map(lambda p: job(**p), todo, pure=False), with_results=True):
        pass
    return time.perf_counter() - begin


def dask_feed(client: Any, job: Callable[..., float], n: int, width: int = WORKERS) -> float:
    from distributed import as_completed

    todo = iter(points(n))
    begin = time.perf_counter()
    flying = as_completed(
        [client.submit(lambda p: job(**p), next(todo), pure=False) for _ in range(width)], with_results=True
    )
    for _ in flying:
        point = next(todo, None)
        if point is not None:
            flying.add(client.submit(lambda p: job(**p), point, pure=False))
    return time.perf_counter() - begin


_fresh = iter(range(10**6))


def ours(job: Callable[..., float], n: int, **options: Any) -> float:
    from jupyter_sweep import run

    begin = time.perf_counter()
    handle = run(job, space(), name=f"bench-{next(_fresh)}", min="value", n=n, jobs=WORKERS, **options)
    seconds = time.perf_counter() - begin
    finals = handle.counts.get("completed", 0)
    assert finals == n, (handle, finals)
    return seconds


def paired(
    label: str, our: Callable[[], float], their: Callable[[], float], repeat: int, unit: float = 1.0, what: str = "s"
) -> None:
    our()  # a warm driver on both sides
    pairs = [(our(), their()) for _ in range(repeat)]
    mine, other = (statistics.median(p[i] for p in pairs) * unit for i in (0, 1))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{label:58} ours {mine:8.3f} {what:9} raw Dask {other:8.3f} {what:9} ratio {ratio:5.2f}", flush=True)


def section_noop(repeat: int) -> None:
    with raw_dask() as client:
        paired(
            f"no-op trials, random, n={N_NOOP}: ms a trial; client.map",
            lambda: ours(noop, N_NOOP, algo="random"),
            lambda: dask_map(client, noop, N_NOOP),
            repeat,
            1000 / N_NOOP,
            "ms",
        )


def section_tpe(repeat: int) -> None:
    with raw_dask() as client:
        paired(
            f"no-op trials, tpe, n={N_NOOP}: ms a trial; feed of width 2",
            lambda: ours(noop, N_NOOP, algo="tpe"),
            lambda: dask_feed(client, noop, N_NOOP),
            repeat,
            1000 / N_NOOP,
            "ms",
        )


def section_use(repeat: int) -> None:
    ideal = N_USE * SLEEP_S / WORKERS
    with raw_dask() as client:
        ours(nap, 4, algo="random")
        mine = [ideal / ours(nap, N_USE, algo="random") for _ in range(repeat)]
        mine_tpe = [ideal / ours(nap, N_USE, algo="tpe") for _ in range(repeat)]
        theirs = [ideal / dask_map(client, nap, N_USE) for _ in range(repeat)]
    print(
        f"{'use of two workers by 50 ms trials (1 is perfect)':58} ours {statistics.median(mine):8.3f} random, "
        f"{statistics.median(mine_tpe):.3f} tpe; raw Dask {statistics.median(theirs):.3f}",
        flush=True,
    )


COLD_OURS = """
import time; t = time.perf_counter()
from jupyter_sweep import run, Space, Float
def job(a): return a
h = run(job, Space(a=Float(0, 1)), name="cold", min="value", n=4, jobs=2, algo="random", bg=True)
while not h.counts.get("completed"): time.sleep(0.002)
print(time.perf_counter() - t)
"""
COLD_DASK = """
if __name__ == "__main__":
    import time; t = time.perf_counter()
    from distributed import Client, LocalCluster
    options = dict(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        client.submit(lambda a: a, 1).result()
        print(time.perf_counter() - t)
"""


def in_a_new_process(code: str, **env: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.py")
        script.write_text(code)
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=folder,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return float(done.stdout.strip().splitlines()[-1])


def section_cold(repeat: int) -> None:
    def our() -> float:
        with tempfile.TemporaryDirectory() as home:
            return in_a_new_process(COLD_OURS, JUPYTER_SWEEP_HOME=home, JUPYTER_SWEEP_IDLE_S="1")

    paired("cold process to first result", our, lambda: in_a_new_process(COLD_DASK), repeat)


def section_second(repeat: int) -> None:
    from jupyter_sweep import run

    def first_result() -> float:
        begin = time.perf_counter()
        handle = run(
            noop, space(), name=f"second-{next(_fresh)}", min="value", n=4, jobs=WORKERS, algo="random", bg=True
        )
        while not handle.counts.get("completed"):
            time.sleep(0.002)
        seconds = time.perf_counter() - begin
        handle.wait(30)
        return seconds

    first_result()
    times = [first_result() for _ in range(max(3, repeat))]
    print(
        f"{'second sweep in the same kernel to first result':58} ours {statistics.median(times):8.3f} s (aim < 0.3)",
        flush=True,
    )


def section_again(repeat: int) -> None:
    from jupyter_sweep import run

    def again() -> Any:
        return run(noop, space(), name="thousand", min="value", n=1000, jobs=WORKERS, algo="random")

    again()
    times = []
    for _ in range(max(3, repeat)):
        begin = time.perf_counter()
        handle = again()
        times.append(time.perf_counter() - begin)
        assert sum(handle.counts.values()) == 1000
    print(
        f"{'re-execution of a finished sweep of 1,000 trials':58} ours {statistics.median(times):8.3f} s (aim < 1)",
        flush=True,
    )


def section_frame(repeat: int) -> None:
    from jupyter_sweep import run, sweep

    run(noop, space(), name="tenthousand", min="value", n=10_000, jobs=WORKERS, algo="random")
    times, warm = [], []
    for _ in range(max(3, repeat)):
        handle = sweep("tenthousand")
        begin = time.perf_counter()
        assert len(handle.df) == 10_000
        times.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        assert len(handle.df) == 10_000
        warm.append(time.perf_counter() - begin)
    print(
        f"{'.df of 10,000 trials':58} ours {statistics.median(times):8.3f} s, again {statistics.median(warm):.3f} s",
        flush=True,
    )


def section_load(repeat: int) -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S; import time; s = S.instance();"
        "t = time.perf_counter(); s.run_line_magic('load_ext', 'jupyter_sweep'); print(time.perf_counter() - t)"
    )
    times = [in_a_new_process(code) for _ in range(max(3, repeat))]
    print(f"{'%load_ext jupyter_sweep':58} ours {statistics.median(times):8.3f} s (aim < 0.3)", flush=True)


def main() -> None:
    sections = {name[8:]: f for name, f in globals().items() if name.startswith("section_")}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help=", ".join(sections))
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["JUPYTER_SWEEP_HOME"] = home
        os.environ["JUPYTER_SWEEP_IDLE_S"] = "120"
        print(json.dumps({"load": os.getloadavg(), "cores": os.cpu_count(), "python": sys.version.split()[0]}))
        for name in options.sections or sections:
            sections[name](options.repeat)


if __name__ == "__main__":
    main()
