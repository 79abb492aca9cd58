from __future__ import annotations

import random

import pytest
from samples import a_sweep

from jupyter_sweep.ledger import Ledger
from jupyter_sweep.results.best import find_best
from jupyter_sweep.space import Constraint, Float, Int, Space
from jupyter_sweep.trial import Objective, Trial, TrialState

FINAL = [TrialState.COMPLETED] * 4 + [TrialState.FAILED, TrialState.PRUNED, TrialState.CANCELLED]


def a_history(seed: int, n: int = 60) -> list[Trial]:
    """Give trials as they change: waiting, running, final, with values that repeat, in any order."""
    rng = random.Random(seed)
    steps = []
    for number in range(n):
        trial = Trial(trial_id=number + 1, sweep_id=1, number=number, params={"lr": number / n, "depth": 1}, change=1)
        value = rng.choice([float("nan"), round(rng.random(), 1)])
        end = trial.with_(state=rng.choice(FINAL), metrics={"loss": value}, duration_s=rng.random())
        at = sorted(rng.random() for _ in range(3))
        steps += list(zip(at, [trial, trial.with_(state=TrialState.RUNNING), end], strict=True))
    return [trial for _, trial in sorted(steps, key=lambda s: s[0])]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("seed", range(5))
def test_the_running_best_is_the_best_of_all_after_every_change(seed: int, direction: str) -> None:
    sweep = a_sweep(objectives=(Objective("loss", direction),))
    ledger = Ledger()
    for change, trial in enumerate(a_history(seed), start=1):
        ledger.enter([trial], change)
        expected = find_best(sweep, list(ledger.trials.values()))
        found = ledger.best(sweep)
        assert (found and found.trial) == (expected and expected.trial)


@pytest.mark.parametrize("seed", range(5))
def test_totals_are_those_of_the_trials_whatever_the_order_of_changes(seed: int) -> None:
    ledger = Ledger()
    for change, trial in enumerate(a_history(seed), start=1):
        ledger.enter([trial], change)
    trials = ledger.trials.values()
    assert {s: n for s, n in ledger.counts.items() if n} == {
        s: sum(t.state.value == s for t in trials) for s in {t.state.value for t in trials}
    }
    assert ledger.final == sum(t.is_final for t in trials)


def test_another_direction_gives_another_best() -> None:
    ledger = Ledger()
    for trial in a_history(0):
        ledger.enter([trial], 1)
    low = ledger.best(a_sweep())
    high = ledger.best(a_sweep(objectives=(Objective("loss", "maximize"),)))
    assert low is not None
    assert high is not None
    assert low.value < high.value


def test_time_worked_counts_each_second_once_and_no_pause() -> None:
    ledger = Ledger()
    spans = [(10.0, 14.0), (12.0, 15.0), (12.5, 13.0), (50.0, 51.0), (60.0, None)]
    trials = [Trial(i, 1, i, {}, TrialState.COMPLETED, started_at=a, finished_at=b) for i, (a, b) in enumerate(spans)]
    ledger.enter(trials, 1)
    assert ledger.worked_before(40.0) == 5.0
    assert ledger.worked_before(70.0) == 6.0


def test_no_more_is_wanted_than_the_space_holds() -> None:
    pairs = Space(a=Int(1, 4), b=Int(1, 5, when="a > 2"), constraints=[Constraint("a != 2")])
    ledger = Ledger()
    assert [ledger.configurations(pairs, limit) for limit in (5, 11, 12, None)] == [5, 11, 11, 11]
    endless = Space(x=Float(0, 1))
    assert [ledger.configurations(endless, limit) for limit in (5, None)] == [5, None]
