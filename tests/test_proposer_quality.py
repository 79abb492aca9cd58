"""An optimiser must earn its keep: `tpe` beats random search on three functions, and draws the right lessons.

Ten seeds each, in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest

from jupyter_sweep.proposers import AskTell, proposer
from jupyter_sweep.proposers.optuna import Tpe
from jupyter_sweep.space import Choice, Float, Int, Space
from jupyter_sweep.trial import Objective, Trial, TrialState

SEEDS = range(10)
TRIALS = 50


def branin(p: dict[str, Any]) -> float:
    x, y = p["x"], p["y"]
    return float(
        (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
        + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x)
        + 10
        - 0.397887
    )


A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
P = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]
ALPHA = [1.0, 1.2, 3.0, 3.2]


def hartmann6(p: dict[str, Any]) -> float:
    x = list(p.values())
    terms = (
        alpha * math.exp(-sum(a * (u - c) ** 2 for a, u, c in zip(row, x, centre, strict=True)))
        for alpha, row, centre in zip(ALPHA, A, P, strict=True)
    )
    return 3.32237 - sum(terms)


def mixed(p: dict[str, Any]) -> float:
    """A model to choose, each with parameters of its own: a wide branch that is good, a narrow one that is better."""
    if p["model"] == "forest":
        return float(0.3 + abs(p["depth"] - 12) / 20 + (0.1 if p["criterion"] == "gini" else 0.0))
    if p["model"] == "svm":
        return float(0.25 + 0.05 * (math.log10(p["c"]) - 1) ** 2 + 0.05 * (math.log10(p["gamma"]) + 2) ** 2)
    rate = (math.log10(p["lr"]) + 3) ** 2
    momentum = (p["momentum"] - 0.9) ** 2 if p["opt"] == "sgd" else 0.1
    return float(0.05 + 0.1 * rate + momentum + 0.02 * abs(p["layers"] - 3))


UNIT = Float(0.0, 1.0)
PROBLEMS: dict[str, tuple[Callable[[dict[str, Any]], float], Space]] = {
    "branin": (branin, Space(x=Float(-5.0, 10.0), y=Float(0.0, 15.0))),
    "hartmann6": (hartmann6, Space(a=UNIT, b=UNIT, c=UNIT, d=UNIT, e=UNIT, f=UNIT)),
    "mixed": (
        mixed,
        Space(
            model=Choice("forest", "svm", "net"),
            depth=Int(1, 30, when="model == 'forest'"),
            criterion=Choice("gini", "entropy", when="model == 'forest'"),
            c=Float(1e-3, 1e3, log=True, when="model == 'svm'"),
            gamma=Float(1e-5, 1e1, log=True, when="model == 'svm'"),
            lr=Float(1e-6, 1.0, log=True, when="model == 'net'"),
            layers=Int(1, 8, when="model == 'net'"),
            opt=Choice("sgd", "adam", when="model == 'net'"),
            momentum=Float(0.0, 0.99, when=["model == 'net'", "opt == 'sgd'"]),
        ),
    ),
}


def regret(algo: str, problem: str, seed: int, *, sign: int = 1, parallel: int = 1) -> float:
    function, space = PROBLEMS[problem]
    target: dict[str, Any] = {"min": "loss"} if sign > 0 else {"max": "loss"}
    p = proposer(algo, space, seed=seed, **target)
    best = math.inf
    for _ in range(TRIALS // parallel):
        for params in p.ask(parallel):
            value = function(params)
            best = min(best, value)
            p.tell({"params": params, "metrics": {"loss": sign * value}})
    return best


@pytest.mark.parametrize("problem", PROBLEMS)
def test_tpe_beats_random_search(problem: str) -> None:
    model = [regret("tpe", problem, seed) for seed in SEEDS]
    random = [regret("random", problem, seed) for seed in SEEDS]
    assert median(model) < 0.6 * median(random)
    assert sum(a < b for a, b in zip(model, random, strict=True)) >= 8


def test_maximizing_the_negative_is_minimizing() -> None:
    assert regret("tpe", "branin", 0, sign=-1) == regret("tpe", "branin", 0)


def test_tpe_still_beats_random_search_with_five_at_once() -> None:
    model = [regret("tpe", "branin", seed, parallel=5) for seed in SEEDS]
    assert median(model) < median(regret("random", "branin", seed) for seed in SEEDS)


# what tpe makes of results

LINE = Space(x=Float(0.0, 1.0))
TARGETS: list[dict[str, Any]] = [{"min": "loss"}, {"min": "loss", "max": "acc"}]
one_or_two_targets = pytest.mark.parametrize("targets", TARGETS, ids=["one target", "two targets"])

BAD_ENDS: dict[str, dict[str, Any]] = {
    "failed": {"state": "failed"},
    "failed after a good report": {"state": "failed", "metrics": {"loss": -9.0, "acc": 9.0}},
    "NaN": {"state": "failed", "metrics": {"loss": math.nan, "acc": math.nan}},
    "refused by a constraint": {"state": "pruned"},
    "infinite": {"state": "completed", "metrics": {"loss": math.inf, "acc": -math.inf}},
}


def tpe(space: Space = LINE, **options: Any) -> AskTell:
    return proposer("tpe", space, **{"n_startup": 10, "min": "loss", **options})


def told_a_scan(how: dict[str, Any], loss: Callable[[float], float], **options: Any) -> AskTell:
    """Give a tpe that was told 24 points of LINE; those right of 0.5 ended like `how`, the others completed."""
    p = tpe(**options)
    for i in range(24):
        x = (i + 0.5) / 24
        p.tell({"params": {"x": x}, **(how if x > 0.5 else {"metrics": {"loss": loss(x), "acc": 0.0}})})
    return p


def valley(x: float) -> float:
    return (x - 0.2) ** 2


def share(found: list[dict[str, Any]], test: Callable[[float], bool]) -> float:
    return sum(test(params["x"]) for params in found) / len(found)


@pytest.mark.parametrize("how", BAD_ENDS)
@one_or_two_targets
def test_tpe_keeps_away_from_where_trials_end_badly(how: str, targets: dict[str, Any]) -> None:
    p = told_a_scan(BAD_ENDS[how], valley, **targets)
    assert share(p.ask(20), lambda x: x > 0.55) <= 0.2


def test_tpe_draws_near_what_did_well() -> None:
    p = told_a_scan(BAD_ENDS["failed"], valley)
    assert share(p.ask(10), lambda x: abs(x - 0.2) < 0.15) >= 0.7


@one_or_two_targets
def test_tpe_learns_nothing_from_cancelled_trials(targets: dict[str, Any]) -> None:
    cancelled, failed = (
        share(told_a_scan({"state": state}, lambda x: -x, **targets).ask(20), lambda x: x > 0.5)
        for state in ("cancelled", "failed")
    )
    assert cancelled > failed


def test_tpe_is_not_led_by_points_outside_the_space() -> None:
    p = tpe(Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0)))
    for i in range(24):
        x = (i + 0.5) / 24
        p.tell({"params": {"x": x, "y": x}, "metrics": {"loss": valley(x)}})
        p.tell({"params": {"x": x, "y": 2.0}, "metrics": {"loss": -9.0}})
    assert share(p.ask(10), lambda x: abs(x - 0.2) < 0.2) >= 0.7


@one_or_two_targets
def test_tpe_stays_random_while_all_that_it_could_learn_from_failed(targets: dict[str, Any]) -> None:
    p = tpe(**targets)
    for i in range(12):
        p.tell({"params": {"x": 0.9 + i / 1000}, "state": "failed"})
        p.tell({"params": {"x": 2.0 + i}, "metrics": {"loss": 0.0, "acc": 0.0}})
    assert share(p.ask(20), lambda x: x > 0.8) <= 0.4


def test_tpe_ranks_pruned_trials_by_their_last_value_while_none_completed() -> None:
    p = tpe()
    for i in range(24):
        x = (i + 0.5) / 24
        p.tell({"params": {"x": x}, "state": "pruned", "metrics": {"loss": (x - 0.8) ** 2}})
    assert share(p.ask(10), lambda x: abs(x - 0.8) < 0.2) >= 0.7


def test_tpe_keeps_away_from_what_still_runs() -> None:
    free, crowded = (told_a_scan(BAD_ENDS["failed"], valley) for _ in range(2))
    for i in range(12):
        crowded.tell({"params": {"x": 0.2 + i / 1000}, "state": "running"})
    near, far = (median(abs(params["x"] - 0.2) for params in p.ask(20)) for p in (free, crowded))
    assert far > near


def test_tpe_follows_the_good_branch_and_models_its_parameters() -> None:
    p = tpe(
        Space(
            opt=Choice("sgd", "adam"),
            momentum=Float(0.0, 1.0, when="opt == 'sgd'"),
            beta=Float(0.0, 1.0, when="opt == 'adam'"),
        )
    )
    for _ in range(40):
        x = p.ask()[0]
        loss = (x["momentum"] - 0.9) ** 2 if x["opt"] == "sgd" else 0.5 + x["beta"]
        p.tell({"params": x, "metrics": {"loss": loss}})
    assert sum(x["opt"] == "sgd" and abs(x["momentum"] - 0.9) < 0.2 for x in p.ask(10)) >= 6


def test_tpe_with_two_targets_draws_near_the_front() -> None:
    p = tpe(Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0)), max="acc")
    for _ in range(60):
        params = p.ask()[0]
        x, y = params["x"], params["y"]
        p.tell({"params": params, "metrics": {"loss": x + y, "acc": x - y}})
    assert sum(params["y"] for params in p.ask(20)) / 20 < 0.3, "the front is y = 0"


def test_of_a_long_sweep_the_model_is_shown_the_best_what_runs_and_a_fair_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState as Shown

    shown: list[Any] = []
    sample = TPESampler.sample_relative

    def looking(sampler: Any, study: Any, trial: Any, space: Any) -> Any:
        shown[:] = study.get_trials(deepcopy=False)
        return sample(sampler, study, trial, space)

    monkeypatch.setattr(TPESampler, "sample_relative", looking)
    tpe = Tpe(Space(x=Float(0, 1)), [Objective("loss", "minimize")])
    known = [
        Trial(str(i), "s", i, {"x": i / 1999}, TrialState.COMPLETED, metrics={"loss": abs(i / 1999 - 0.3)})
        for i in range(2000)
    ]
    for trial in known:
        tpe.tell(trial)
    waiting = [Trial(f"w{i}", "s", 2000 + i, {"x": 0.9 + i / 1e4}, TrialState.RUNNING) for i in range(3)]
    for trial in waiting:
        tpe.tell(trial)

    tpe.ask(1)

    final = [t for t in shown if t.state is Shown.COMPLETE]
    best = sorted(known, key=lambda t: t.metrics["loss"])[:25]
    assert len(shown) == 250
    assert {t.params["x"] for t in shown if t.state is Shown.RUNNING} == {t.params["x"] for t in waiting}
    assert {t.params["x"] for t in best} <= {t.params["x"] for t in final}
    others = sorted({t.params["x"] for t in final} - {t.params["x"] for t in best})
    assert 0.35 < median(others) < 0.65
