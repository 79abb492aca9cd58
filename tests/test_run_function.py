"""`run(job, space, ...)`: a sweep over a function, in processes, in threads, and in this very process."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import end_processes_of, processes_of

from jupyter_sweep import Choice, Float, Int, Space, SweepError, checkpoint, report, run, save, seed, sweep
from jupyter_sweep.handle import Handle

SPACE = Space(x=Float(0, 1), k=Int(1, 4))
WHERE: list[dict[str, Any]] = [{"on": "inline"}, {"jobs": 2}, {"on": "threads", "jobs": 2}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for all tests, so that they share warm drivers; each uses names of its own."""
    folder = tmp_path_factory.mktemp("functions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_SWEEP_HOME", str(folder / "sweeps"))
        patch.setenv("JUPYTER_SWEEP_IDLE_S", "30")
        patch.chdir(folder)
        yield folder
    end_processes_of(folder / "sweeps")


def bowl(x: float, k: int) -> float:
    return (x - 0.3) ** 2 + k / 100


def rows(handle: Handle) -> list[tuple[Any, ...]]:
    return [(t.number, t.params, t.metrics, t.state, t.seed, t.finished_at) for t in handle.trials()]


@pytest.mark.parametrize("where", WHERE, ids=["inline", "local", "threads"])
def test_a_function_is_run_over_its_space_and_again_only_for_what_is_missing(
    folder: Path, where: dict[str, Any]
) -> None:
    name = f"f-{where.get('on', 'local')}"
    handle = run(bowl, SPACE, name=name, min="loss", n=8, algo="random", seed=4, **where)
    assert (handle.state, handle.counts) == ("finished", {"completed": 8})
    assert all(t.metrics == {"loss": bowl(**t.params)} for t in handle.trials())
    assert handle.trials()[0].params == SPACE.defaults()
    assert handle.best is not None
    assert handle.best.value == handle.df["loss"].min()
    first = rows(handle)
    assert rows(run(bowl, SPACE, name=name, min="loss", n=8, algo="random", seed=4, **where)) == first
    more = run(bowl, Space(x=Float(-1, 2), k=Int(1, 9)), name=name, min="loss", n=11, algo="random", **where)
    assert rows(more)[:8] == first
    assert len(more.trials()) == 11
    assert [(t.params, t.seed) for t in handle.trials()[:8]] == [
        (t.params, t.seed) for t in sweep(name, version=1).trials()[:8]
    ]
    assert sweep(name).sweep_id == handle.sweep_id
    assert repr(handle).startswith(f"<sweep '{name}' version 1: finished")


def test_all_ways_to_run_give_the_same(folder: Path) -> None:
    def noisy(x: float, k: int) -> dict[str, float]:
        for step in range(3):
            report(loss=bowl(x, k) + random.random() / (step + 1), step=step)
        save("seed.joblib", seed())
        return {"loss": bowl(x, k) + random.random(), "drawn": random.random()}

    found = []
    for where in WHERE:
        name = f"same-{where.get('on', 'local')}"
        handle = run(noisy, SPACE, name=name, min="loss", n=6, seed=2, **{**where, "jobs": where.get("jobs") and 1})
        found.append([(t.params, t.seed, t.metrics) for t in handle.trials()])
        assert len(handle.curves) == 18
        assert [handle.load("seed.joblib", trial=t.number) for t in handle.trials()] == [t.seed for t in handle.trials()]
    assert found[0] == found[1] == found[2]


def test_functions_of_all_sorts_and_what_they_give(folder: Path) -> None:
    class Scaled:
        def __init__(self, by: float) -> None:
            self.by = by

        def __call__(self, k: int, extra: str = "e") -> float:
            return self.by * k

    def add(base: float, k: int) -> float:
        return base + k

    import functools

    space = Space(k=Choice(3, 1, 2))
    jobs: dict[str, Callable[..., Any]] = {
        "closure": lambda k: k,
        "instance": Scaled(1.0),
        "partial": functools.partial(add, 0.0),
        "keywords": lambda **given: given["k"],
    }
    for kind, job in jobs.items():
        for where in ({"on": "inline"}, {"jobs": 2}):
            handle = run(job, space, name=f"{kind}-{'in' if 'on' in where else 'out'}", min="loss", grid=True, **where)
            assert handle.df["loss"].tolist() == [3, 1, 2], kind
    assert run(lambda k: k, space, min="loss", grid=True, on="inline").name.endswith("loss")


def test_inline_runs_in_this_very_process_one_at_a_time(folder: Path) -> None:
    seen: list[tuple[int, int, bool]] = []
    before = (os.getcwd(), random.getstate(), list(sys.path), dict(os.environ))

    def here(k: int) -> int:
        os.environ["SET_BY_A_TRIAL"] = "1"
        os.chdir("/")
        inside.append((os.getpid(), threading.get_ident(), sys.gettrace() is None))
        return k

    sys.modules["__main__"].inside = seen  # type: ignore[attr-defined]
    here.__globals__["inside"] = seen
    try:
        handle = run(_by_module(here), Space(k=Int(1, 5)), name="here", min="loss", grid=True, on="inline")
    finally:
        del here.__globals__["inside"], sys.modules["__main__"].inside  # type: ignore[attr-defined]
    assert handle.counts == {"completed": 5}
    assert (os.getcwd(), random.getstate(), list(sys.path), dict(os.environ)) == before
    spans = [(t.started_at, t.finished_at) for t in handle.trials()]
    assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False) if a[1] and b[0])
    assert {t.worker for t in handle.trials()} == {"inline/0"}
    assert {t.pid for t in handle.trials()} == {os.getpid()}
    assert not any("inline" in " ".join(p.cmdline()) for p in processes_of(folder / "sweeps"))


def _by_module(function: Callable[..., Any]) -> Callable[..., Any]:
    return function
