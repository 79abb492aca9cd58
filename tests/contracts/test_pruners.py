"""The laws of a pruner, held against every one of them, and what each rule says of itself."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import pytest

from jupyter_sweep import plugins
from jupyter_sweep.errors import SweepError
from jupyter_sweep.pruners.base import Pruner
from jupyter_sweep.trial import Objective, Report, Trial, TrialState

LOSS = Objective("loss", "minimize")
ACC = Objective("acc", "maximize")

#: Every pruner with options under which it decides as often as it can.
EVERY: dict[str, dict[str, Any]] = {"none": {}, "asha": {}, "median": {"startup": 1}}

Curve = list[float]
Event = Report | Trial


def make(name: str, objective: Objective = LOSS, **options: Any) -> Pruner:
    pruner: Pruner = plugins.load("pruner", name)(objective, **{**EVERY[name], **options})
    return pruner


@pytest.fixture(params=sorted(EVERY))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def report(trial_id: int, step: int, value: float, metric: str = "loss", attempt: int = 1) -> Report:
    return Report(trial_id, step, {metric: value}, float(step), attempt)


def ended(trial_id: int, state: TrialState = TrialState.COMPLETED) -> Trial:
    return Trial(trial_id, 1, trial_id, {}, state)


def curves(n: int, steps: int = 27, seed: int = 0) -> list[Curve]:
    """Give noisy learning curves of different asymptotes and speeds."""
    rng = random.Random(seed)
    shapes = [(rng.random(), rng.uniform(0.05, 0.5)) for _ in range(n)]
    return [[a + math.exp(-b * s) + rng.gauss(0, 0.02) for s in range(1, steps + 1)] for a, b in shapes]


def simulate(
    pruner: Pruner, trials: Sequence[Curve], *, slots: int = 4, seed: int = 0, metric: str = "loss"
) -> Iterator[tuple[Event, str]]:
    """Run trials in `slots` at once, reports interleaved at random; give every event with the pruner's answer."""
    rng = random.Random(seed)
    waiting, running = list(range(len(trials))), dict[int, int]()
    while waiting or running:
        while waiting and len(running) < slots:
            running[waiting.pop(0)] = 0
        trial_id = rng.choice(sorted(running))
        running[trial_id] += 1
        step = running[trial_id]
        event = report(trial_id, step, trials[trial_id][step - 1], metric)
        reason = pruner.observe(event)
        yield event, reason
        if reason or step == len(trials[trial_id]):
            del running[trial_id]
            end = ended(trial_id, TrialState.PRUNED if reason else TrialState.COMPLETED)
            pruner.finished(end)
            yield end, ""


def run(pruner: Pruner, trials: Sequence[Curve], **how: Any) -> list[tuple[Event, str]]:
    return list(simulate(pruner, trials, **how))


def stopped(events: Sequence[tuple[Event, str]]) -> dict[int, int]:
    """Give trial -> step at which it was stopped."""
    return {e.trial_id: e.step for e, reason in events if isinstance(e, Report) and reason}


@pytest.mark.parametrize("seed", range(5))
def test_the_trial_that_leads_is_never_stopped(name: str, seed: int) -> None:
    latest: dict[int, float] = {}
    for event, reason in simulate(make(name), curves(60, seed=seed), seed=seed):
        if isinstance(event, Report):
            latest[event.trial_id] = event.metrics["loss"]
            assert not (reason and event.metrics["loss"] <= min(latest.values()))


def test_a_failed_trial_does_not_take_the_lead_from_the_best(name: str) -> None:
    pruner = make(name)
    for trial_id in range(6):
        for step in range(1, 10):
            pruner.observe(report(trial_id, step, 0.0))
        pruner.finished(ended(trial_id, TrialState.FAILED))
    assert not any(pruner.observe(report(6, step, 1.0)) for step in range(1, 10))


def test_a_trial_without_competitors_is_never_stopped(name: str) -> None:
    pruner = make(name)
    assert not any(pruner.observe(report(0, step, float(step))) for step in range(200))


def test_equal_trials_all_go_on(name: str) -> None:
    assert stopped(run(make(name), [[0.5] * 27] * 30)) == {}


def test_a_single_report_a_trial_is_enough_to_live_with(name: str) -> None:
    events = run(make(name), curves(40, steps=1))
    assert sum(isinstance(e, Report) for e, _ in events) == 40


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_counts_as_the_worst_value_and_breaks_nothing(name: str, bad: float) -> None:
    rng = random.Random(1)
    trials = [[bad if rng.random() < 0.3 else v for v in curve] for curve in curves(60)]
    worst = [[1e300 if not math.isfinite(v) else v for v in curve] for curve in trials]
    assert stopped(run(make(name), trials)) == stopped(run(make(name), worst))


def test_a_trial_of_nothing_but_nan_is_stopped_where_others_report_numbers() -> None:
    for rule in ("asha", "median"):
        trials = [*([v] * 27 for v in (0.5, 0.4, 0.3, 0.2, 0.1)), [math.nan] * 27]
        assert 5 in stopped(run(make(rule), trials, slots=1))


def test_nothing_but_nan_stops_nobody(name: str) -> None:
    assert stopped(run(make(name), [[math.nan] * 9] * 20)) == {}


def test_minimizing_and_maximizing_mirror_each_other(name: str) -> None:
    trials = curves(60)
    mirrored = [[-v for v in curve] for curve in trials]
    down = stopped(run(make(name), trials))
    assert down == stopped(run(make(name, ACC), mirrored, metric="acc"))


def test_a_report_without_the_metric_decides_nothing_and_changes_nothing(name: str) -> None:
    with_others, without = make(name), make(name)
    for event, reason in simulate(without, curves(30)):
        if isinstance(event, Report):
            assert with_others.observe(report(event.trial_id, event.step, -9.0, "other")) == ""
            assert with_others.observe(event) == reason
        else:
            with_others.finished(event)


def test_the_same_events_again_give_the_same_answers(name: str) -> None:
    events = run(make(name), curves(60))
    fresh = make(name)
    for event, reason in events:
        if isinstance(event, Report):
            assert fresh.observe(event) == reason
        else:
            fresh.finished(event)


def whole_trial(trial_id: int, values: Curve, first: int = 1) -> list[Event]:
    return [*(report(trial_id, step, value) for step, value in enumerate(values, first)), ended(trial_id)]


def replay(pruner: Pruner, events: Sequence[Event]) -> None:
    for event in events:
        if isinstance(event, Report):
            pruner.observe(event)
        else:
            pruner.finished(event)


def shuffled(events: Sequence[Event], seed: int) -> list[Event]:
    """Shuffle the trials among each other; within one trial the order of arrival stays."""
    rng = random.Random(seed)
    order = [e.trial_id for e in events]
    rng.shuffle(order)
    queues: dict[int, list[Event]] = {}
    for event in events:
        queues.setdefault(event.trial_id, []).append(event)
    return [queues[trial_id].pop(0) for trial_id in order]


@pytest.mark.parametrize(
    "arrange",
    [
        lambda events: shuffled(events, 3),
        lambda events: sorted(events, key=lambda e: isinstance(e, Trial)),
        lambda events: sorted(events, key=lambda e: isinstance(e, Report)),
    ],
    ids=["shuffled among trials", "all reports before all ends", "all ends before all reports"],
)
def test_after_a_replay_in_another_order_the_answers_are_the_same(
    name: str, arrange: Callable[[Sequence[Event]], list[Event]]
) -> None:
    past = [event for event, _ in run(make(name), curves(40))]
    one, other = make(name), make(name)
    replay(one, past)
    replay(other, arrange(past))
    for i, curve in enumerate(curves(20, seed=9)):
        for step, value in enumerate(curve, 1):
            assert one.observe(report(100 + i, step, value)) == other.observe(report(100 + i, step, value))


def test_ending_a_trial_twice_changes_nothing(name: str) -> None:
    past = [event for event, _ in run(make(name), curves(30))]
    once, twice = make(name), make(name)
    replay(once, past)
    replay(twice, [*past, *(e for e in past if isinstance(e, Trial))])
    for step, value in enumerate(curves(1, seed=9)[0], 1):
        assert once.observe(report(99, step, value)) == twice.observe(report(99, step, value))


def test_steps_may_be_skipped_and_repeated(name: str) -> None:
    pruner = make(name)
    rng = random.Random(0)
    for trial_id in range(40):
        steps = sorted(rng.choices(range(300), k=12))
        for step in steps:
            pruner.observe(report(trial_id, step, rng.random()))
        pruner.finished(ended(trial_id))


def test_a_new_attempt_replaces_what_the_lost_one_reported(name: str) -> None:
    fresh, retried = make(name), make(name)
    for pruner in (fresh, retried):
        for trial_id in range(9):
            replay(pruner, whole_trial(trial_id, [0.5 + trial_id / 100] * 27))
    for step in range(1, 20):
        retried.observe(report(50, step, 0.0))
    retried.finished(ended(50, TrialState.WAITING))
    for step in range(10, 28):
        assert retried.observe(report(50, step, 0.9, attempt=2)) == fresh.observe(report(50, step, 0.9, attempt=2))
    assert retried.observe(report(50, 28, -9.0, attempt=1)) == "", "a late report of the lost attempt is ignored"
    for pruner in (fresh, retried):
        pruner.finished(ended(50))
    for step in range(1, 28):
        assert retried.observe(report(51, step, 0.541)) == fresh.observe(report(51, step, 0.541))


def test_a_trial_that_ended_is_not_stopped_again(name: str) -> None:
    pruner = make(name)
    replay(pruner, [e for e, _ in run(make(name), curves(20))])
    assert not any(pruner.observe(report(trial_id, 27, 1e9)) for trial_id in range(20))


def test_an_unknown_option_is_refused_with_the_nearest_name(name: str) -> None:
    with pytest.raises(SweepError, match="no option 'colour'"):
        make(name, colour=3)


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ("asha", {"etta": 4}, "Did you mean 'eta'"),
        ("asha", {"eta": 1}, "eta must be a number >= 2, got eta=1"),
        ("asha", {"eta": "3"}, "eta must be a number >= 2"),
        ("asha", {"min_steps": 0}, "min_steps must be a whole number >= 1"),
        ("asha", {"min_steps": 9, "max_steps": 3}, "max_steps must be a whole number >= 9"),
        ("median", {"startup": 0}, "startup must be a whole number >= 1"),
        ("median", {"every": 1.5}, "every must be a whole number >= 1"),
        ("median", {"warmup": True}, "warmup must be a whole number >= 0"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(rule: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SweepError, match=message):
        make(rule, **options)


def test_none_stops_nobody() -> None:
    assert stopped(run(make("none"), curves(60))) == {}


@pytest.mark.parametrize("eta", [2, 3, 4])
def test_asha_lets_about_one_in_eta_go_on_at_each_rung(eta: int) -> None:
    events = run(make("asha", eta=eta), curves(600, steps=eta**3), slots=8)
    reached = Counter(e.step for e, _ in events if isinstance(e, Report))
    assert 0.9 / eta < reached[2] / reached[1] < 1.2 / eta
    for rung in (eta, eta**2):  # what arrives later has passed a stricter bar below, and so does better than the early
        assert 0.8 / eta < reached[rung + 1] / reached[rung] < 1.8 / eta


def test_asha_stops_only_on_its_rungs() -> None:
    assert set(stopped(run(make("asha"), curves(200, steps=81))).values()) == {1, 3, 9, 27, 81}
    assert set(stopped(run(make("asha", min_steps=5, eta=2), curves(200, steps=30))).values()) == {5, 10, 20}


def test_asha_has_no_rung_at_the_end_of_a_trial() -> None:
    assert max(stopped(run(make("asha", max_steps=27), curves(200))).values()) < 27


def test_asha_keeps_the_good_ones() -> None:
    trials = curves(200)
    gone = stopped(run(make("asha"), trials, slots=8))
    best = sorted(range(len(trials)), key=lambda i: trials[i][-1])[:10]
    assert sum(i not in gone for i in best) >= 3
    spent = sum(gone.get(i, 27) for i in range(len(trials)))
    assert spent < 0.25 * 27 * len(trials)


def test_asha_enters_a_trial_that_skips_rungs_at_the_one_it_reached() -> None:
    pruner = make("asha")
    for trial_id in range(3):
        pruner.observe(report(trial_id, 9, 0.1))
    assert pruner.observe(report(5, 1, 0.9)) == "", "nobody else was entered at step 1"
    assert "best 2 of the 4 trials that reached step 9" in pruner.observe(report(5, 10, 0.9))


def test_the_reason_says_value_step_and_rule() -> None:
    pruner = make("asha")
    pruner.observe(report(0, 1, 0.1))
    assert pruner.observe(report(1, 1, 0.25)) == (
        "asha: loss=0.25 at step 1 is not among the best 1 of the 2 trials that reached step 1"
    )


def test_median_stops_what_is_worse_than_the_median_of_the_completed() -> None:
    pruner = make("median", startup=5)
    past = curves(9, steps=5)
    for i, curve in enumerate(past):
        replay(pruner, whole_trial(i, curve))
    bar = median(min(c[:3]) for c in past)
    assert pruner.observe(report(20, 3, bar)) == ""
    assert "the median of 9 completed trials" in pruner.observe(report(21, 3, bar + 1e-9))


def test_median_judges_by_the_best_value_so_far() -> None:
    pruner = make("median")
    for i in range(5):
        replay(pruner, whole_trial(i, [0.5, 0.5]))
    assert pruner.observe(report(9, 1, 0.4)) == ""
    assert pruner.observe(report(9, 2, 0.9)) == ""


def test_median_counts_completed_trials_only() -> None:
    pruner = make("median", startup=2)
    for i, state in enumerate((TrialState.PRUNED, TrialState.FAILED, TrialState.CANCELLED, TrialState.COMPLETED)):
        replay(pruner, [report(i, 1, 0.1), ended(i, state)])
    assert pruner.observe(report(9, 1, 0.9)) == ""
    replay(pruner, [report(5, 1, 0.1), ended(5)])
    assert pruner.observe(report(10, 1, 0.9)) != ""


def test_median_waits_for_startup_warmup_and_every() -> None:
    def steps_of(**options: Any) -> list[int]:
        pruner = make("median", **options)
        for i in range(6):
            replay(pruner, whole_trial(i, [0.1] * 12, first=0))
        return [s for s in range(12) if pruner.observe(report(9, s, 0.9))]

    assert steps_of(startup=7) == []
    assert steps_of(startup=6, warmup=9) == [9, 10, 11]
    assert steps_of(startup=6, warmup=1, every=4) == [1, 5, 9]
