"""What a driver knows of a sweep once it has read it from the store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from samples import a_sweep

from jupyter_sweep import plugins
from jupyter_sweep.definition import Sweep
from jupyter_sweep.runner import resume
from jupyter_sweep.trial import Trial, TrialState


class Hearer:
    """A proposer that notes what it is told."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.heard: list[Trial] = []

    def tell(self, trial: Trial) -> None:
        self.heard.append(trial)


@pytest.fixture(autouse=True)
def hearing(monkeypatch: pytest.MonkeyPatch) -> None:
    load = plugins.load
    monkeypatch.setattr(plugins, "load", lambda kind, name: Hearer if kind == "proposer" else load(kind, name))


def trials_of(n: int, repetitions: int, state: TrialState = TrialState.COMPLETED) -> list[Trial]:
    """Give all repetitions of `n` configurations, where the first repetitions of all come first."""
    return [
        Trial(
            trial_id=r * n + i,
            sweep_id=1,
            number=r * n + i,
            params={"lr": 0.001 * (i + 1), "depth": 3},
            state=state,
            metrics={"loss": i + r / 10},
            repetition=r,
        )
        for r in range(repetitions)
        for i in range(n)
    ]


def recall(trials: list[Trial], repetitions: int) -> tuple[resume.History, list[Trial], Sweep]:
    sweep = a_sweep()
    sweep = replace(sweep, budget=replace(sweep.budget, repetitions=repetitions))
    history = resume.recalled(sweep, lambda: iter(trials))
    return history, history.proposer.heard, sweep


@pytest.mark.parametrize("repetitions", [1, 2, 3])
def test_a_configuration_is_told_once_as_the_mean_of_its_repetitions_and_let_go_of(repetitions: int) -> None:
    history, heard, _ = recall(trials_of(4, repetitions), repetitions)
    mean = sum(r / 10 for r in range(repetitions)) / repetitions
    assert [t.metrics["loss"] for t in heard] == pytest.approx([i + mean for i in range(4)])
    assert (history.configurations, history.groups) == (4, {})


def test_repetitions_beyond_those_that_are_wanted_now_belong_to_their_configuration() -> None:
    history, heard, sweep = recall(trials_of(4, 3), 2)
    assert [t.metrics["loss"] for t in heard] == pytest.approx([i + 0.1 for i in range(4)])
    assert history.configurations == 4
    assert resume.missing_repetitions(sweep, history) == []


def test_repetitions_that_are_missing_are_wanted_and_nothing_is_told_as_final_before() -> None:
    history, heard, sweep = recall(trials_of(4, 2), 3)
    assert {t.state for t in heard} == {TrialState.RUNNING}
    assert [t.repetition for t in resume.missing_repetitions(sweep, history)] == [2, 2, 2, 2]


def test_cancelled_trials_are_not_told_and_those_that_wait_are_told_as_running() -> None:
    cancelled, waiting = trials_of(1, 1, TrialState.CANCELLED), trials_of(3, 1, TrialState.WAITING)[1:]
    history, heard, _ = recall(cancelled + waiting, 1)
    assert [(t.number, t.state) for t in heard] == [(1, TrialState.RUNNING), (2, TrialState.RUNNING)]
    assert [t.number for t in history.waiting] == [1, 2]
