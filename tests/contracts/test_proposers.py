"""The laws of a proposer, held against every one of them over spaces of every shape."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from jupyter_sweep import plugins
from jupyter_sweep.errors import SweepError
from jupyter_sweep.proposers import Proposal, Proposer, proposer
from jupyter_sweep.proposers.base import identity
from jupyter_sweep.space import Choice, Fixed, Float, Int, LogNormal, Normal, Ordinal, Space
from jupyter_sweep.space.codec import key
from jupyter_sweep.trial import Objective, Params, Trial, TrialState

LOSS = (Objective("loss", "minimize"),)
TWO = (Objective("loss", "minimize"), Objective("acc", "maximize"))

#: Every proposer, with options under which its model is at work after few trials.
EVERY: dict[str, dict[str, Any]] = {
    "random": {},
    "grid": {},
    "sobol": {},
    "tpe": {"n_startup": 4},
    "passive": {"algo": "tpe", "n_startup": 4},
}

FINITE: dict[str, Space] = {
    "one value": Space(a=Choice("only")),
    "nothing varies": Space(a=Fixed(3), b=Fixed("x")),
    "two values": Space(a=Choice(True, False)),
    "typed choices": Space(a=Choice(1, 1.0, True, "1", None), b=Choice("x", "y")),
    "coupled": Space(
        size=Choice({"width": 1, "depth": 9}, {"width": 2, "depth": 3}), shape=Choice((1, 2), (2, 1), [1, 2])
    ),
    "steps": Space(n=Int(0, 6, step=3), rate=Float(0.0, 0.3, step=0.1)),
    "log ints": Space(n=Int(1, 9, log=True), m=Int(2, 10, log=True, step=4)),
    "log float with a step": Space(x=Float(0.5, 3.0, log=True, step=0.5), y=Choice(1, 2)),
    "ordinal": Space(size=Ordinal("s", "m", "l"), b=Fixed(2), c=Int(-2, 2)),
    "conditional": Space(
        opt=Choice("sgd", "adam", "none"),
        momentum=Float(0.0, 0.9, step=0.3, when="opt == 'sgd'"),
        nesterov=Choice(True, False, when=["opt == 'sgd'", "momentum > 0"]),
        beta=Choice(0.9, 0.99, when="opt == 'adam'"),
    ),
    "one name in two branches": Space.of(
        [
            replace(Choice("sgd", "adam"), name="opt"),
            replace(Int(1, 3, when="opt == 'sgd'"), name="lr"),
            replace(Int(10, 12, when="opt == 'adam'"), name="lr"),
        ]
    ),
    "constrained": Space(a=Int(0, 9), b=Int(0, 9), constraints=["a + b == 9 or a == b"]),
    "hardly allowed": Space(a=Int(0, 99), b=Int(0, 99), constraints=["a * b == 97"]),
    "a rare branch": Space(a=Int(0, 60), b=Int(0, 5, when="a == 60")),
}
ENDLESS: dict[str, Space] = {
    "floats": Space(x=Float(-1.0, 2.0), y=Float(0.0, 1.0)),
    "log floats": Space(lr=Float(1e-5, 1e-1, log=True)),
    "mixed": Space(
        lr=Float(1e-5, 1e-1, log=True, default=3e-4), n=Int(1, 99, step=7), opt=Choice(1, 1.0, "1"), f=Fixed(0.5)
    ),
    "a branch of floats": Space(
        opt=Choice("sgd", "adam"),
        momentum=Float(0.0, 0.99, when="opt == 'sgd'"),
        decay=LogNormal(-3.0, 1.0, when="opt == 'sgd'"),
        beta=Float(0.9, 0.999, when="opt == 'adam'"),
    ),
    "normals": Space(a=Normal(2.0, 0.5), b=LogNormal(0.0, 2.0)),
    "constrained floats": Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0), constraints=["x + y < 0.5"]),
    "priors": Space(x=Float(0.0, 1.0, prior=0.25), y=Choice("a", "b", "c", prior="c")),
    "marked": Space(x=Float(0.0, 1.0), m=Choice(1, 2, 3, meta=True), d=Int(1, 3, default=2, ignore_default=True)),
}
SPACES = {**FINITE, **ENDLESS}
SOME = ("steps", "conditional", "one name in two branches", "mixed", "a branch of floats", "normals", "marked")


def make(name: str, space: Space, seed: int = 0, objectives: Sequence[Objective] = LOSS, **options: Any) -> Proposer:
    made: Proposer = plugins.load("proposer", name)(space, objectives, seed=seed, **{**EVERY[name], **options})
    return made


def over(spaces: Sequence[str], names: Sequence[str] = tuple(EVERY)) -> pytest.MarkDecorator:
    """Give a test every proposer with each of `spaces` that it takes."""
    cases = [(n, s) for n in names for s in spaces if n != "grid" or s in FINITE]
    return pytest.mark.parametrize(("name", "space"), [pytest.param(n, SPACES[s], id=f"{n}, {s}") for n, s in cases])


def score(params: Params) -> float:
    """Give a value that depends on all parameters, smoothly on the numbers."""
    return sum(v if isinstance(v, float) else zlib.crc32(repr(v).encode()) / 2**32 for v in params.values())


def trial(number: int, proposal: Proposal, state: TrialState = TrialState.COMPLETED, **fields: Any) -> Trial:
    metrics = {"loss": score(proposal.params), "acc": -score(proposal.params)}
    filled = {"metrics": metrics if state is TrialState.COMPLETED else {}, "proposal": proposal.index, **fields}
    return Trial(number + 1, 1, number, proposal.params, state, **filled)


def states_of(number: int) -> TrialState:
    """Mix the ends of trials as a real sweep does."""
    return {3: TrialState.FAILED, 5: TrialState.PRUNED, 6: TrialState.CANCELLED}.get(number % 8, TrialState.COMPLETED)


def end(number: int, proposal: Proposal) -> Trial:
    state = states_of(number)
    pruned = {"metrics": {"loss": score(proposal.params) + 1}} if state is TrialState.PRUNED else {}
    return trial(number, proposal, state, **pruned)


def drive(p: Proposer, n: int, first: int = 0) -> Iterator[Trial]:
    """Run `n` trials one after another as the loop does: ask, tell that it runs, tell how it ended."""
    for number in range(first, first + n):
        for proposal in p.ask(1):
            p.tell(trial(number, proposal, TrialState.RUNNING))
            done = end(number, proposal)
            p.tell(done)
            yield done


def keys(found: Sequence[Trial | Proposal | Params]) -> list[str]:
    return [key(f if isinstance(f, dict) else f.params) for f in found]


@over(list(SPACES))
def test_proposals_are_in_the_space_with_real_types_and_active_parameters_only(name: str, space: Space) -> None:
    for done in drive(make(name, space), 16):
        space.validate(done.params)
        assert key(space.coerce(done.params)) == key(done.params)
        assert list(done.params) == space.active(done.params)


@over(list(SPACES))
def test_no_configuration_comes_twice(name: str, space: Space) -> None:
    p = make(name, space)
    found = [*(t.params for t in drive(p, 12)), *(a.params for a in p.ask(12))]
    seen = [identity(space, params) for params in found]
    assert len(seen) == len(set(seen))


@over(list(FINITE))
def test_a_finite_space_is_exhausted_exactly(name: str, space: Space) -> None:
    p = make(name, space)
    before = p.exhausted
    found = p.ask(10**6)
    assert sorted(keys(found)) == sorted(keys(list(space.grid())))
    assert (before, p.exhausted) == (False, True)
    assert p.ask(1) == []


@over(["typed choices", "conditional", "constrained", "a rare branch"])
def test_what_was_told_is_not_proposed_and_the_rest_is(name: str, space: Space) -> None:
    grid = list(space.grid())
    told = random.Random(1).sample(grid, len(grid) // 2)
    p = make(name, space)
    for number, params in enumerate(told):
        p.tell(trial(number, Proposal(params, -1), random.Random(number).choice(list(TrialState))))
    assert sorted(keys(p.ask(10**6))) == sorted(set(keys(grid)) - set(keys(told)))
    assert p.exhausted


def test_a_grid_walks_the_first_parameter_slowest_and_the_last_fastest() -> None:
    p = make("grid", Space(a=Choice("x", "y"), b=Int(0, 4, step=2), c=Choice(True, False)))
    assert [tuple(a.params.values()) for a in p.ask(99)] == [
        (a, b, c) for a in ("x", "y") for b in (0, 2, 4) for c in (True, False)
    ]


def test_a_grid_over_continuous_ranges_is_refused_naming_all_of_them_and_the_step() -> None:
    with pytest.raises(SweepError, match=r"lr = loguniform\(0.001, 0.1\) and x = normal\(0.0, 1.0\).*step="):
        make("grid", Space(lr=Float(1e-3, 0.1, log=True), a=Int(1, 3), x=Normal(0, 1)))


@pytest.mark.parametrize("name", EVERY)
def test_a_space_in_which_nothing_is_allowed_is_said(name: str) -> None:
    p = make(name, Space(a=Int(0, 3), constraints=["a > 5"]))
    with pytest.raises(SweepError, match=r"no configuration.*require\(a > 5\)"):
        p.ask(1)


@over(SOME)
def test_the_same_seed_gives_the_same_sequence(name: str, space: Space) -> None:
    assert keys(list(drive(make(name, space, seed=7), 14))) == keys(list(drive(make(name, space, seed=7), 14)))


@over(["mixed", "a branch of floats", "normals", "marked", "constrained"], ["random", "sobol", "tpe"])
def test_another_seed_gives_another_sequence(name: str, space: Space) -> None:
    assert keys(make(name, space, seed=0).ask(8)) != keys(make(name, space, seed=1).ask(8))


@over(SOME)
@pytest.mark.parametrize("numbered", [True, False], ids=["as trials", "as plain points"])
def test_a_fresh_proposer_told_the_past_goes_on_where_the_old_one_was(name: str, space: Space, numbered: bool) -> None:
    whole = keys(list(drive(make(name, space), 20)))
    past = list(drive(make(name, space), 11))
    fresh = make(name, space)
    for done in past:
        fresh.tell(done if numbered else done.with_(trial_id=0, number=-1, proposal=-1))
    assert keys(past) + keys(list(drive(fresh, 9, first=11))) == whole


@over(SOME)
def test_the_order_of_telling_does_not_matter(name: str, space: Space) -> None:
    one, other = make(name, space), make(name, space)
    asked = one.ask(9)
    assert keys(other.ask(9)) == keys(asked)
    done = [end(number, proposal) for number, proposal in enumerate(asked)]
    for t in done:
        one.tell(t)
    for t in random.Random(0).sample(done, len(done)):
        other.tell(t)
    shuffled = make(name, space)
    for t in random.Random(1).sample(done, len(done)):
        shuffled.tell(t)
    assert keys(one.ask(6)) == keys(other.ask(6)) == keys(shuffled.ask(6))


@over(SOME)
def test_what_still_runs_is_taken_up_after_a_restart(name: str, space: Space) -> None:
    old = make(name, space)
    done = list(drive(old, 8))
    running = [trial(8 + i, a, TrialState.RUNNING) for i, a in enumerate(old.ask(3))]
    fresh = make(name, space)
    for t in [*running, *done]:
        fresh.tell(t)
    ahead = old.ask(4)
    assert keys(fresh.ask(4)) == keys(ahead)
    assert not set(keys(ahead)) & set(keys(running))


@over(SOME)
def test_telling_twice_changes_nothing(name: str, space: Space) -> None:
    once, twice = make(name, space), make(name, space)
    for done in drive(once, 10):
        twice.tell(done.with_(state=TrialState.WAITING, metrics={}))
        twice.tell(done)
        twice.tell(done)
        twice.tell(done.with_(state=TrialState.RUNNING, metrics={}))
    assert keys(once.ask(6)) == keys(twice.ask(6))


@over(SOME)
def test_asking_for_many_is_asking_for_one_many_times(name: str, space: Space) -> None:
    one, many = make(name, space), make(name, space)
    for done in drive(one, 6):
        many.tell(done)
    assert keys([a for _ in range(5) for a in one.ask(1)]) == keys(many.ask(5))
    assert many.ask(0) == []


@over(SOME)
def test_looking_whether_it_is_exhausted_changes_nothing(name: str, space: Space) -> None:
    looked, plain = make(name, space), make(name, space)
    found = []
    for _ in range(9):
        found += [] if looked.exhausted else looked.ask(1)
    assert keys(found) == keys(plain.ask(9))


@over(["mixed", "conditional"])
def test_each_proposal_has_an_index_of_its_own(name: str, space: Space) -> None:
    p = make(name, space)
    indices = [done.proposal for done in drive(p, 6)] + [a.index for a in p.ask(4)]
    assert indices == sorted(set(indices))
    assert indices[0] >= 0


@over(["mixed", "conditional"], ["random", "grid", "sobol"])
def test_results_do_not_move_a_proposer_that_is_not_adaptive(name: str, space: Space) -> None:
    p = make(name, space)
    assert not p.adaptive
    assert keys(list(drive(p, 10))) == keys(make(name, space).ask(10))


ENDS: dict[str, dict[str, Any]] = {
    "failed": {"state": TrialState.FAILED},
    "failed after a good report": {"state": TrialState.FAILED, "metrics": {"loss": -9.0, "acc": 9.0}},
    "failed by NaN": {"state": TrialState.FAILED, "reason": "nan", "metrics": {"loss": math.nan}},
    "completed without the metric": {"state": TrialState.COMPLETED, "metrics": {}},
    "refused by a constraint": {"state": TrialState.PRUNED, "reason": "constraint"},
    "pruned": {"state": TrialState.PRUNED, "metrics": {"loss": 0.5, "acc": 0.5}},
    "cancelled": {"state": TrialState.CANCELLED},
    "infinite": {"state": TrialState.COMPLETED, "metrics": {"loss": math.inf, "acc": -math.inf}},
    "infinitely good": {"state": TrialState.COMPLETED, "metrics": {"loss": -math.inf, "acc": math.inf}},
    "all equal": {"state": TrialState.COMPLETED, "metrics": {"loss": 0.5, "acc": 0.5}},
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("objectives", [LOSS, TWO], ids=["one objective", "two objectives"])
@pytest.mark.parametrize("name", EVERY)
def test_it_goes_on_whatever_end_all_trials_come_to(name: str, how: str, objectives: Sequence[Objective]) -> None:
    space = FINITE["conditional"] if name == "grid" else ENDLESS["a branch of floats"]
    p = make(name, space, objectives=objectives)
    numbers = count()
    for _ in range(3):
        for proposal in p.ask(4):
            p.tell(trial(next(numbers), proposal, **ENDS[how]))
    for done in drive(p, 4, first=12):
        space.validate(done.params)


@over(SOME)
def test_points_that_were_never_asked_for_are_accepted(name: str, space: Space) -> None:
    p = make(name, space)
    rng = random.Random(5)
    told = [space.sample(rng) for _ in range(6)]
    for number, params in enumerate(told):
        p.tell(trial(number, Proposal(params, -1)))
    seen = {identity(space, params) for params in told}
    for done in drive(p, 6, first=6):
        assert identity(space, done.params) not in seen


WIDE = Space(n=Int(0, 30), lr=Float(1e-6, 1.0, log=True), opt=Choice("sgd", "adam", "lion"))
NARROW = Space(n=Int(5, 9), lr=Float(1e-3, 1e-2, log=True), opt=Choice("sgd", "adam"))


@pytest.mark.parametrize(("before", "now"), [(WIDE, NARROW), (NARROW, WIDE)], ids=["narrowed", "widened"])
@pytest.mark.parametrize("name", ["random", "sobol", "tpe"])
def test_points_of_an_earlier_range_are_accepted(name: str, before: Space, now: Space) -> None:
    p = make(name, now)
    for done in drive(make(name, before), 12):
        p.tell(done)
    for done in drive(p, 8, first=12):
        now.validate(done.params)


@pytest.mark.parametrize("name", EVERY)
def test_points_with_other_names_and_types_are_accepted(name: str) -> None:
    space = FINITE["steps"]
    p = make(name, space)
    told: list[Params] = [{}, {"n": 3}, {"n": "three", "rate": None}, {"gone": 1, "n": 3, "rate": 0.1}]
    for i, params in enumerate(told * 2):
        p.tell(trial(i, Proposal(params, -1), metrics={"loss": 1.0}))
    assert sorted(keys(p.ask(99))) == sorted(keys(list(space.grid())))


@pytest.mark.parametrize("name", ["random", "sobol", "tpe"])
def test_configurations_that_differ_in_meta_or_lack_an_ignored_default_are_the_same(name: str) -> None:
    space = Space(a=Int(1, 2), m=Choice(1, 2, 3, meta=True), d=Int(1, 2, default=2, ignore_default=True))
    p = make(name, space)
    p.tell(trial(0, Proposal({"a": 1, "m": 9}, -1)))
    found = [(a.params["a"], a.params["d"]) for a in p.ask(99)]
    assert sorted(found) == [(1, 1), (2, 1), (2, 2)]
    assert p.exhausted


@over(["mixed", "conditional"])
def test_repetitions_of_a_configuration_do_not_make_it_come_again(name: str, space: Space) -> None:
    p = make(name, space)
    numbers = count()
    seen: list[str] = []
    for _ in range(6):
        for proposal in p.ask(1):
            seen += keys([proposal])
            for repetition in range(3):
                p.tell(trial(next(numbers), proposal, repetition=repetition))
    assert len(seen) == len(set(seen)) == 6


@pytest.mark.parametrize("name", EVERY)
def test_changing_a_given_configuration_changes_no_later_one(name: str) -> None:
    space = FINITE["conditional"]
    p = make(name, space)
    for proposal in p.ask(5):
        proposal.params.clear()
    assert len(p.ask(99)) == (space.size or 0) - 5


@pytest.mark.parametrize("name", EVERY)
def test_an_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(SweepError, match=f"--algo {EVERY[name].get('algo', name)} has no option 'n_start'"):
        make(name, FINITE["steps"], n_start=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_startups": 3}, "Did you mean 'n_startup'"),
        ({"n_startup": 0}, "n_startup must be a whole number >= 1, got n_startup=0"),
        ({"n_candidates": 2.5}, "n_candidates must be a whole number >= 1"),
        ({"multivariate": "yes"}, "multivariate must be True or False"),
    ],
)
def test_a_wrong_option_of_tpe_is_named_with_what_is_allowed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SweepError, match=message):
        make("tpe", FINITE["steps"], **options)


# of tpe alone


def test_tpe_proposes_the_configuration_of_priors_first() -> None:
    space = ENDLESS["priors"]
    assert make("tpe", space).ask(1)[0].params == {"x": 0.25, "y": "c"}


def test_tpe_draws_jointly_unless_told_otherwise() -> None:
    def found(**options: Any) -> list[str]:
        p = make("tpe", ENDLESS["floats"], **options)
        return keys(list(drive(p, 12)))

    assert found() == found(multivariate=True) != found(multivariate=False)


def test_tpe_does_not_change_the_users_own_optuna(caplog: pytest.LogCaptureFixture) -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.enable_propagation()
    try:
        list(drive(make("tpe", ENDLESS["mixed"]), 8))
    finally:
        optuna.logging.disable_propagation()
    assert optuna.logging.get_verbosity() == before
    assert caplog.records == []


# the public face


def test_the_public_face_gives_plain_dicts_and_takes_plain_mappings() -> None:
    p = proposer("tpe", ENDLESS["mixed"], min="loss", seed=3, n_startup=3)
    for _ in range(5):
        for params in p.ask(2):
            assert type(params) is dict
            p.tell({"params": params, "state": "completed", "metrics": {"loss": score(params)}})
    assert len(p.ask()) == 1
    assert not p.exhausted


@pytest.mark.parametrize("name", ["random", "sobol", "tpe"])
def test_the_public_face_goes_on_after_a_replay_of_plain_mappings(name: str) -> None:
    def run(told: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
        p = proposer(name, ENDLESS["a branch of floats"], min="loss", seed=1, **EVERY[name])
        for t in told:
            p.tell(t)
        done = []
        for _ in range(n):
            params = p.ask()[0]
            done.append({"params": params, "state": "completed", "metrics": {"loss": score(params)}})
            p.tell(done[-1])
        return told + done

    assert run(run([], 11), 9) == run([], 20)


def test_a_told_value_gets_the_type_of_its_parameter() -> None:
    p = proposer("grid", Space(x=Float(0.0, 2.0, step=1.0), n=Int(1, 2)))
    p.tell({"params": {"x": 1, "n": 2.0}, "state": "failed"})
    assert {"x": 1.0, "n": 2} not in p.ask(99)


def test_a_trial_can_be_told_to_the_public_face() -> None:
    p = proposer("grid", FINITE["two values"])
    p.tell(trial(0, Proposal({"a": True}, -1)))
    assert p.ask(9) == [{"a": False}]


def test_several_targets_are_lists() -> None:
    p = proposer("tpe", ENDLESS["floats"], min=["loss", "size"], max="acc", n_startup=2)
    for _ in range(6):
        params = p.ask()[0]
        p.tell({"params": params, "metrics": {"loss": params["x"], "size": params["y"], "acc": -params["x"]}})
    assert len(p.ask(2)) == 2


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({}, "wants a mapping such as"),
        ({"params": {"a": True}, "metric": {}}, "Unknown key 'metric'. Did you mean 'metrics'"),
        ({"params": {"a": True}, "state": "complete"}, "Did you mean 'completed'"),
        ({"params": {"a": True}, "metrics": 0.3}, "metrics must map names to numbers"),
        ({"params": {"a": True}, "metrics": {"loss": "low"}}, "metrics must map names to numbers"),
        (
            {"params": {"a": True}, "metrics": {"acc": 1.0}},
            "completed trial was told without 'loss'; its metrics are acc",
        ),
    ],
)
def test_a_wrong_telling_is_refused_saying_what_is_wanted(told: dict[str, Any], message: str) -> None:
    with pytest.raises(SweepError, match=message):
        proposer("tpe", FINITE["two values"], min="loss").tell(told)


def test_a_proposer_that_learns_wants_a_target_and_others_do_not() -> None:
    assert proposer("random", FINITE["two values"]).ask(1)
    with pytest.raises(SweepError, match=r'proposer\(\'tpe\', space, min="loss"\)'):
        proposer("tpe", FINITE["two values"])


def test_what_is_no_space_is_refused_saying_what_one_looks_like() -> None:
    with pytest.raises(SweepError, match=r"must be a Space, got \{'lr': 1\}: Space\(lr="):
        proposer("random", {"lr": 1})  # type: ignore[arg-type]


def test_an_unknown_proposer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SweepError, match="Did you mean 'sobol'"):
        proposer("soboll", FINITE["two values"])
