"""What one update of a shown table costs at 100, 1,000 and 10,000 trials, beside other ways to show a table.

python benchmarks/updates.py [--sizes 100 1000 10000] [--repeat 20]      (pip install itables ipydatagrid)

Each update is eight trials that have ended since the last one. Ours is what the kernel does and sends: reading the
store included. The others get a DataFrame that is there already, and show it again as their documentation says:
`display(df)` as pandas shortens it (60 rows) and whole, itables with all rows, ipydatagrid by its `data`. Bytes are
those of the message as Jupyter writes it; milliseconds are the kernel's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

ROWS = 8


def fill(n: int) -> Any:
    """Make a sweep of `n` ended trials in a store of its own; give its handle."""
    from jupyter_sweep import Choice, Float, Int, Space, run

    def job(a: float, b: float, c: int, d: str, e: float) -> dict[str, float]:
        return {"loss": a * a + e, "score": b}

    space = Space(a=Float(0, 1), b=Float(1e-5, 1e-1, log=True), c=Int(1, 100), d=Choice("x", "y", "z"), e=Float(-1, 1))
    return run(job, space, name=f"updates-{n}", min="loss", n=n, jobs=2, algo="random")


def end_some(handle: Any, rng: random.Random) -> None:
    """Have trials end as the driver does, without one."""
    from jupyter_sweep.runner.resume import new_trials
    from jupyter_sweep.trial import TrialState

    sweep, store = handle.definition, handle._store
    new = [t for _ in range(ROWS) for t in new_trials(sweep, sweep.space.sample(rng), rng.randrange(10**9))]
    with store.batch():
        for trial in store.add_trials(sweep, new):
            store.start_trial(trial.trial_id, worker="local/0", pid=1, at=time.time(), device="")
            ended = trial.with_(
                state=TrialState.COMPLETED,
                metrics={"loss": rng.random(), "score": rng.random()},
                worker="local/0",
                finished_at=time.time(),
                duration_s=0.1,
            )
            store.finish_trial(ended)


def measure(update: Callable[[], int], before: Callable[[], None], repeat: int) -> tuple[float, float]:
    """Give the medians of bytes and milliseconds of an update."""
    sizes, times = [], []
    for _ in range(repeat):
        before()
        begin = time.perf_counter()
        sizes.append(update())
        times.append((time.perf_counter() - begin) * 1000)
    return statistics.median(sizes), statistics.median(times)


def size(message: Any) -> int:
    return len(json.dumps(message, default=str).encode())


def view(handle: Any) -> Callable[[], int]:
    """Ours: the widget's update, with a page that listens."""
    from jupyter_sweep.widgets.mirror import Mirror
    from jupyter_sweep.widgets.page import SweepView

    sent: list[int] = []
    shown = SweepView(Mirror(handle))
    shown.asked = True
    shown.send_all()
    shown.send = lambda content, buffers=None: sent.append(size(content))

    def update() -> int:
        sent.clear()
        assert shown.update()
        return sum(sent)

    return update


def peers(handle: Any, repeat: int) -> dict[str, tuple[float, float]]:
    """Show the frame anew by each of the others."""
    from IPython.core.formatters import DisplayFormatter

    df, formatter = handle.df, DisplayFormatter()

    def nothing() -> None:
        return None

    def itables() -> int:
        from itables import to_html_datatable

        return size(to_html_datatable(df, maxBytes=0, connected=True))

    def grid() -> Callable[[], int]:
        from ipydatagrid import DataGrid
        from ipywidgets.widgets.widget import _remove_buffers

        shown = DataGrid(df)

        def update() -> int:
            shown.data = df
            state, _, buffers = _remove_buffers(shown.get_state("_data"))
            return size(state) + sum(memoryview(buffer).nbytes for buffer in buffers)

        return update

    few = max(3, repeat // 5)
    return {
        "display(df), shortened to 60 rows": measure(lambda: size(formatter.format(df)), nothing, few),
        "display(df), all rows": measure(lambda: size(df.to_html(max_rows=None)), nothing, few),
        "itables, all rows": measure(itables, nothing, few),
        "ipydatagrid": measure(grid(), nothing, few),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--repeat", type=int, default=20)
    asked = parser.parse_args()
    os.environ.update(JUPYTER_SWEEP_HOME=tempfile.mkdtemp(prefix="updates-"), JUPYTER_SWEEP_IDLE_S="3")
    print(json.dumps({"load": os.getloadavg(), "cores": os.cpu_count()}))
    for n in asked.sizes:
        handle, rng = fill(n), random.Random("updates")
        ours = measure(view(handle), lambda handle=handle, rng=rng: end_some(handle, rng), asked.repeat)
        for name, (n_bytes, ms) in {"ours": ours, **peers(handle, asked.repeat)}.items():
            print(f"{n:6} trials  {name:36} {n_bytes:12,.0f} bytes {ms:10.2f} ms", flush=True)


if __name__ == "__main__":
    main()
