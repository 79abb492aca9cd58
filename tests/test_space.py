"""Laws of parameters and spaces, on written cases and on random spaces."""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
from typing import Any

import pytest

from jupyter_sweep.errors import SweepError
from jupyter_sweep.space import Condition, Constraint, fingerprint, seed_for
from jupyter_sweep.space.codec import Opaque, key, same
from jupyter_sweep.space.parameter import Choice, Fixed, Float, Int, LogNormal, Normal, Ordinal, Parameter
from jupyter_sweep.space.space import Space

RANGES = {
    "uniform": Float(-2, 3),
    "uniform step": Float(0, 1, step=0.1),
    "uniform odd step": Float(0.05, 1, step=0.3),
    "uniform one value": Float(2, 2),
    "loguniform": Float(1e-5, 1e-1, log=True),
    "loguniform wide": Float(1e-300, 1e300, log=True),
    "loguniform step": Float(0.5, 8, log=True, step=0.5),
    "randint": Int(-3, 9),
    "randint step": Int(64, 500, step=64),
    "randint huge": Int(0, 10**30),
    "lograndint": Int(1, 1000, log=True),
    "lograndint step": Int(64, 500, log=True, step=64),
    "choice": Choice(1, 1.0, True, "1", None, (1, 2), {"a": 1}),
    "ordinal": Ordinal("s", "m", "l", "xl"),
    "objects": Choice(Opaque("relu", "00"), Opaque("tanh", "11")),
    "normal": Normal(3, 2),
    "lognormal": LogNormal(0, 1),
    "fixed": Fixed([1, 2]),
}
BOUNDED = [name for name, p in RANGES.items() if p.kind in ("float", "int") and p.bounded]
UNITS = [0.0, 1e-9, 0.1, 1 / 3, 0.5, 0.75, 0.999999, 1 - 2**-53]


# one parameter


@pytest.mark.parametrize("name", RANGES)
def test_what_is_drawn_lies_inside_and_is_left_alone_by_coerce(name: str) -> None:
    parameter, rng = RANGES[name], random.Random(0)
    for value in [*(parameter.from_unit(u) for u in UNITS), *(parameter.sample(rng) for _ in range(200))]:
        assert parameter.contains(value)
        assert same(parameter.coerce(value), value)


@pytest.mark.parametrize("name", RANGES)
def test_the_start_and_the_middle_lie_inside(name: str) -> None:
    assert RANGES[name].contains(RANGES[name].start)
    assert RANGES[name].contains(RANGES[name].middle())


@pytest.mark.parametrize("name", BOUNDED)
def test_the_map_from_the_unit_interval_is_monotone_from_end_to_end(name: str) -> None:
    parameter = RANGES[name]
    values = [parameter.from_unit(u) for u in sorted([*UNITS, *(random.Random(1).random() for _ in range(200))])]
    assert values == sorted(values)
    assert parameter.low is not None
    assert parameter.high is not None
    top = parameter.grid()[-1] if parameter.size is not None and parameter.size < 10**6 else parameter.high
    assert values[0] == pytest.approx(parameter.low)
    assert values[-1] == pytest.approx(top, rel=1e-6)


@pytest.mark.parametrize("name", [n for n, p in RANGES.items() if p.size is not None and p.size < 10**6])
def test_the_grid_holds_every_value_once_and_every_draw(name: str) -> None:
    parameter, rng = RANGES[name], random.Random(2)
    keys = [key({"x": value}) for value in parameter.grid()]
    assert len(set(keys)) == len(keys) == parameter.size
    drawn = {key({"x": parameter.sample(rng)}) for _ in range(3000)}
    assert drawn <= set(keys)
    if len(keys) < 20:
        assert drawn == set(keys)


@pytest.mark.parametrize("name", ["uniform", "loguniform", "normal", "lognormal"])
def test_a_continuous_range_has_no_grid(name: str) -> None:
    with pytest.raises(SweepError, match="step"):
        RANGES[name].grid()


@pytest.mark.parametrize("name", RANGES)
def test_a_parameter_comes_back_from_json(name: str) -> None:
    parameter = RANGES[name]
    assert Parameter.from_json(json.loads(json.dumps(parameter.to_json()))) == parameter


def test_different_ranges_are_different() -> None:
    for a, b in itertools.combinations(RANGES, 2):
        assert RANGES[a] != RANGES[b]


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (Float(0, 1), 0.5),
        (Float(-3, 1), -1.0),
        (Float(0, 1, step=0.3), 0.3),
        (Float(1e-5, 1e-1, log=True), 1e-3),
        (Float(1e-200, 1e300, log=True), 1e50),
        (Float(-1.7e308, 1.7e308), 0.0),
        (Int(1, 8), 4),
        (Int(-8, -1), -5),
        (Int(0, 10, step=4), 4),
        (Int(1, 1000, log=True), 31),
        (Int(64, 512, log=True, step=64), 128),
        (Choice("a", "b", "c"), "a"),
        (Ordinal("a", "b", "c"), "b"),
        (Ordinal("a", "b", "c", "d"), "b"),
        (Normal(3, 1), 3.0),
        (LogNormal(2, 1), math.exp(2)),
        (Float(0, 1, default=0.25), 0.25),
        (Choice("a", None, default=None), None),
        (Choice(None, "a"), None),
    ],
)
def test_the_start_is_the_default_or_the_middle(parameter: Parameter, expected: Any) -> None:
    assert parameter.start == (pytest.approx(expected) if isinstance(expected, float) else expected)
    assert type(parameter.start) is type(expected)


@pytest.mark.parametrize(
    ("parameter", "given", "expected"),
    [
        (Int(1, 1000), 1e2, 100),
        (Float(0, 2), 1, 1.0),
        (Float(0, 1, step=0.1), 0.1 + 0.2, 0.3),
        (Choice(1, 1.0, "1"), 1.0, 1.0),
        (Int(0, 10, step=5), 5.0, 5),
    ],
)
def test_coerce_gives_the_type_of_the_range(parameter: Parameter, given: Any, expected: Any) -> None:
    assert same(parameter.coerce(given), expected)


@pytest.mark.parametrize(
    ("parameter", "given"),
    [
        (Int(1, 9), 10), (Int(1, 9), 2.5), (Int(1, 9), True), (Int(1, 9), "3"), (Int(0, 9, step=2), 3),
        (Float(0, 1), -1e-9), (Float(0, 1), math.nan), (Float(0, 1), None), (Float(0, 1, step=0.1), 0.25),
        (Float(0, 1), 10**400), (Normal(0, 1), math.inf), (LogNormal(0, 1), -1.0),
        (Choice(1, "a"), 1.0), (Choice(1, "a"), True), (Choice({"a": 1}), {"a": 1.0}),
    ],
)  # fmt: skip
def test_what_lies_outside_is_refused_with_what_is_allowed(parameter: Parameter, given: Any) -> None:
    assert not parameter.contains(given)
    with pytest.raises(SweepError) as caught:
        parameter.coerce(given)
    assert parameter.describe() in str(caught.value)


@pytest.mark.parametrize(
    ("make", "law"),
    [
        (lambda: Float(3, 1), "low <= high must hold, got low=3.0, high=1.0"),
        (lambda: Float(0, 1, log=True), "low > 0 must hold"),
        (lambda: Float(0, math.inf), "finite"),
        (lambda: Float("0", 1), "finite number"),  # type: ignore[arg-type]
        (lambda: Float(0, 1, step=0), "step > 0 must hold"),
        (lambda: Int(0, 2.5), "whole number"),  # type: ignore[arg-type]
        (lambda: Int(True, 2), "finite number"),
        (lambda: Int(0, 4, default=9), "default: 9 lies outside randint(0, 4)"),
        (lambda: Float(0, 1, prior=2.0), "prior"),
        (lambda: Choice(), "at least one value"),
        (lambda: Choice(1, 2, default=3), "default"),
        (lambda: Normal(0, 0), "must be > 0"),
        (lambda: LogNormal(1000, 1), "mu"),
        (lambda: Float(0, 1, when="a >"), "not a Python expression"),
        (lambda: Parameter(kind="real"), "does not exist"),
    ],
)
def test_a_broken_law_is_told_with_its_values(make: Any, law: str) -> None:
    with pytest.raises(SweepError) as caught:
        make()
    assert law in str(caught.value)


def test_a_value_listed_twice_counts_once() -> None:
    assert Choice(1, 2, 1, 1.0).choices == (1, 2, 1.0)


def test_a_log_range_is_even_in_the_logarithm() -> None:
    rng, parameter = random.Random(3), Float(1e-4, 1, log=True)
    logs = [math.log10(parameter.sample(rng)) for _ in range(4000)]
    assert statistics.mean(logs) == pytest.approx(-2, abs=0.1)


def test_a_normal_has_its_mean_and_deviation() -> None:
    rng = random.Random(4)
    values = [Normal(3, 2).sample(rng) for _ in range(4000)]
    assert statistics.mean(values) == pytest.approx(3, abs=0.1)
    assert statistics.stdev(values) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("name", RANGES)
def test_a_pinned_parameter_has_one_value_and_keeps_name_and_condition(name: str) -> None:
    parameter = Space.of([Parameter("o", "choice", choices=(1, 2)), _named(RANGES[name], "x", "o == 1")]).parameters[
        "x"
    ]
    pinned = parameter.pinned(parameter.start)
    assert (pinned.kind, pinned.size, pinned.name, pinned.when) == ("fixed", 1, "x", parameter.when)
    assert same(pinned.start, parameter.start)


@pytest.mark.parametrize(
    ("parameter", "other", "expected"),
    [
        (Float(0, 1), Float(0.1, 0.2, log=True), Float(0.1, 0.2, log=True)),
        (Float(0, 1), Choice(1, 0.5), Choice(1.0, 0.5)),
        (Float(0, 9), Int(0, 3), Float(0, 3, step=1)),
        (Float(0, 1, default=0.5), Normal(0, 1), Normal(0, 1)),
        (Int(0, 9), Choice(2, 4.0), Choice(2, 4)),
        (Choice(32, 64), Int(16, 99), Int(16, 99)),
        (Choice(0.1, 0.2), Float(0, 1), Float(0, 1)),
        (Choice("a", "b", "c"), Choice("c", "d"), Choice("c", "d")),
    ],
)
def test_a_narrower_range_is_taken_in_the_type_of_the_parameter(
    parameter: Parameter, other: Parameter, expected: Parameter
) -> None:
    assert parameter.narrow(other) == expected


@pytest.mark.parametrize(
    ("parameter", "other"), [(Int(0, 9), Float(0, 1)), (Choice("a"), Int(0, 1)), (Choice(1, 2), Choice("a"))]
)
def test_a_range_of_another_type_is_refused(parameter: Parameter, other: Parameter) -> None:
    with pytest.raises(SweepError, match="does not fit"):
        parameter.narrow(other)


@pytest.mark.parametrize(
    ("parameter", "other", "start"),
    [
        (Float(0, 1, default=0.25), Float(0, 0.5), 0.25),
        (Float(0, 1, default=0.75), Float(0, 0.5), 0.25),
        (Float(0, 1, default=0.25), Float(0, 0.5, default=0.125), 0.125),
        (Choice("a", "b", default="b"), Choice("c", "b"), "b"),
        (Choice("a", "b"), Choice("b", "a"), "b"),
    ],
)
def test_a_narrower_range_keeps_the_default_where_it_can(parameter: Parameter, other: Parameter, start: Any) -> None:
    assert parameter.narrow(other).start == start


def test_a_default_that_is_ignored_is_the_declared_one_also_after_a_pin() -> None:
    declared = Float(0, 1, default=0.0, ignore_default=True)
    assert declared.pinned(0.0).ignore_default
    assert not declared.pinned(0.5).ignore_default
    assert declared.narrow(Float(0, 0.5)).ignore_default
    assert not declared.narrow(Float(0.2, 0.4)).ignore_default


def test_a_choice_of_many_values_is_made_and_searched_in_one_pass() -> None:
    parameter = Choice(*range(50_000))
    assert parameter.size == 50_000
    assert all(parameter.contains(value) for value in range(0, 50_000, 7))


# conditions


def test_a_condition_reads_names_and_knows_its_own_comprehensions() -> None:
    condition = Condition("any(x > y for x in xs) and math.sqrt(y) < len(xs)")
    assert condition.names - {"any", "math", "len"} == {"y", "xs"}
    assert condition.holds({"y": 1, "xs": (1, 2)})


def test_a_condition_on_what_does_not_exist_does_not_hold_and_a_constraint_does() -> None:
    assert not Condition("a > 1").holds({})
    assert not Condition("a > 1", expected=False).holds({})
    assert Constraint("a > 1").holds({})


def test_a_conditional_expression_may_leave_out_what_does_not_exist() -> None:
    assert Condition("(m if o == 'a' else 0.9) > 0.5").holds({"o": "b"})
    assert not Constraint("(m if o == 'a' else 0.9) < 0.5").holds({"o": "b"})


def test_a_condition_that_fails_names_the_values() -> None:
    with pytest.raises(SweepError, match="n=0: ZeroDivisionError"):
        Condition("1 / n > 0").holds({"n": 0})


# spaces

CONDITIONAL = Space(
    opt=Choice("sgd", "adam"),
    momentum=Float(0, 0.9, step=0.45, when="opt == 'sgd'"),
    nesterov=Choice(True, False, when="momentum > 0.5"),
    depth=Int(1, 3),
    constraints=["depth * (2 if opt == 'sgd' else 1) < 6"],
)


def _named(parameter: Parameter, name: str, *when: str) -> Parameter:
    data = {**parameter.to_json(), "name": name, "when": [[text, True] for text in when]}
    return Parameter.from_json(data)


def random_space(rng: random.Random, *, finite: bool = False) -> Space:
    """Give a space with conditions, alternatives of one name, and a constraint."""
    usable = [p for n, p in RANGES.items() if not finite or (p.size is not None and p.size < 20)]
    parameters = [Parameter("p0", "choice", choices=("a", "b", "c"))]
    for index in range(1, rng.randrange(2, 6)):
        when = [f"p0 == {rng.choice('abc')!r}"] if rng.random() < 0.4 else []
        parameters.append(_named(rng.choice(usable), f"p{index}", *when))
    if rng.random() < 0.5:
        parameters += [
            _named(rng.choice(usable), "twice", "p0 == 'a'"),
            _named(rng.choice(usable), "twice", "p0 != 'a'"),
        ]
    laws = ["p0 != banned or len(str(p1)) % 2 == 0"] if rng.random() < 0.5 else []
    return Space.of(parameters, laws, {"banned": "c"})


def test_a_space_comes_back_from_json() -> None:
    for seed in range(200):
        space = random_space(random.Random(seed))
        assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space, seed


def test_a_sample_is_a_valid_configuration_of_the_active_parameters() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        space = random_space(rng)
        params = space.sample(rng)
        space.validate(params)
        assert space.active(params) == list(params), seed
        assert key(space.coerce(params)) == key(params), seed


def test_a_grid_is_every_allowed_configuration_once() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        space = random_space(rng, finite=True)
        points = list(itertools.islice(space.grid(), 1000))
        keys = {key(params) for params in points}
        assert len(keys) == len(points), seed
        assert all(space.allows(params) for params in points), seed
        if len(points) < 1000:
            assert space.size == len(points), seed
            assert all(key(space.sample(rng)) in keys for _ in range(20)), seed


def test_the_same_seed_gives_the_same_samples() -> None:
    for seed in range(50):
        space = random_space(random.Random(seed))
        a, b = random.Random(seed), random.Random(seed)
        assert [key(space.sample(a)) for _ in range(5)] == [key(space.sample(b)) for _ in range(5)]


def test_the_first_parameter_of_a_grid_varies_slowest() -> None:
    space = Space(a=Choice("x", "y"), b=Int(1, 2))
    assert list(space.grid()) == [{"a": "x", "b": 1}, {"a": "x", "b": 2}, {"a": "y", "b": 1}, {"a": "y", "b": 2}]


def test_a_grid_respects_conditions_and_constraints() -> None:
    points = list(CONDITIONAL.grid())
    assert CONDITIONAL.size == len(points) == 11
    assert {"opt": "adam", "depth": 3} in points
    assert {"opt": "sgd", "momentum": 0.9, "nesterov": True, "depth": 2} in points
    assert not any(p["depth"] == 3 for p in points if p["opt"] == "sgd")


def test_what_a_fixed_value_rules_out_does_not_keep_a_grid_from_ending() -> None:
    space = Space(opt=Fixed("adam"), momentum=Float(0, 1, when="opt == 'sgd'"), n=Int(1, 2))
    assert list(space.grid()) == [{"opt": "adam", "n": 1}, {"opt": "adam", "n": 2}]
    assert space.size == 2
    with pytest.raises(SweepError, match="momentum"):
        Space(opt=Choice("adam", "sgd"), momentum=Float(0, 1, when="opt == 'sgd'")).grid()


def test_a_name_with_two_ranges_takes_the_one_whose_condition_holds() -> None:
    space = Space.of(
        [
            Parameter("opt", "choice", choices=("sgd", "adam")),
            _named(Float(0.1, 1), "lr", "opt == 'sgd'"),
            _named(Float(0.001, 0.01), "lr", "opt == 'adam'"),
        ]
    )
    assert list(space.parameters) == ["opt", "lr", "lr#1"]
    assert space.names == ["opt", "lr"]
    assert space.coerce({"opt": "adam", "lr": 0.005}) == {"opt": "adam", "lr": 0.005}
    with pytest.raises(SweepError, match="outside"):
        space.coerce({"opt": "sgd", "lr": 0.005})


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"opt": "sgd", "depth": 1}, "'momentum' = uniform(0.0, 0.9, step=0.45) is missing"),
        ({"opt": "adam", "depth": 1, "momentum": 0.0}, "it needs opt == 'sgd'"),
        ({"opt": "adam", "dpth": 1}, "Did you mean 'depth'?"),
        ({"opt": "adam", "depth": 9}, "outside randint(1, 3)"),
        ({"opt": "sgd", "momentum": 0.0, "depth": 3}, "does not hold"),
    ],
)
def test_what_is_no_configuration_is_refused_with_the_reason(params: dict[str, Any], says: str) -> None:
    with pytest.raises(SweepError) as caught:
        CONDITIONAL.validate(params)
    assert says in str(caught.value)


def test_a_constraint_that_nothing_meets_is_told_after_a_thousand_draws() -> None:
    with pytest.raises(SweepError, match=r"1000 .* require\(a > 5\)"):
        Space(a=Int(1, 3), constraints=["a > 5"]).sample(random.Random(0))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Space(lr=0.5), "is a value, not a range"),  # type: ignore[arg-type]
        (lambda: Space(a=Int(1, 2, when="b > 1"), b=Int(1, 2)), "declared before it"),
        (lambda: Space(a=Int(1, 2), constraints=["a < limit"]), "'limit'"),
        (lambda: Space.of([_named(Int(1, 2), "a"), _named(Int(1, 2), "a")]), "declared twice"),
        (lambda: Space.of([_named(Int(1, 2), "a#1")]), "no name for a parameter"),
        (lambda: Space.of([Int(1, 2)]), "no name for a parameter"),
    ],
)
def test_an_impossible_space_is_refused(make: Any, says: str) -> None:
    with pytest.raises(SweepError) as caught:
        make()
    assert says in str(caught.value)


def test_constants_may_be_sets() -> None:
    space = Space(a=Choice("x", "y", "z"), constraints=["a in allowed"], constants={"allowed": {"x", "z"}})
    assert space.size == 2
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space


def test_sizes_without_end_and_above_a_million_are_none() -> None:
    assert Space(a=Float(0, 1)).size is None
    assert Space(a=Int(1, 10**7)).size is None
    assert Space(a=Int(1, 10**6)).size == 10**6


def test_a_space_describes_itself_with_its_conditions() -> None:
    assert CONDITIONAL.describe()[1] == ("momentum", "uniform(0.0, 0.9, step=0.45) if opt == 'sgd'")


# identity


def test_the_identity_of_a_trial_is_its_params_repetition_and_job() -> None:
    space = Space(a=Int(1, 9), b=Choice(1, 1.0))
    first = fingerprint(space, {"a": 1, "b": 1}, 0, "job")
    assert len(first) == 32
    assert fingerprint(space, {"b": 1, "a": 1}, 0, "job") == first
    others = [
        ({"a": 2, "b": 1}, 0, "job"),
        ({"a": 1, "b": 1.0}, 0, "job"),
        ({"a": 1, "b": 1}, 1, "job"),
        ({"a": 1, "b": 1}, 0, "x"),
    ]
    assert len({first, *(fingerprint(space, *other) for other in others)}) == 5


def test_a_wider_range_keeps_the_old_points() -> None:
    narrow, wide = Space(a=Int(1, 9)), Space(a=Int(-5, 99, log=False, default=3))
    assert fingerprint(narrow, {"a": 4}, 0, "job") == fingerprint(wide, {"a": 4}, 0, "job")


def test_meta_parameters_are_left_out_and_new_ones_at_their_default() -> None:
    old = fingerprint(Space(a=Int(1, 9)), {"a": 1}, 0, "job")
    assert fingerprint(Space(a=Int(1, 9), m=Int(1, 9, meta=True)), {"a": 1, "m": 5}, 0, "job") == old
    new = Space(a=Int(1, 9), n=Int(1, 9, default=2, ignore_default=True))
    assert fingerprint(new, {"a": 1, "n": 2}, 0, "job") == old
    assert fingerprint(new, {"a": 1, "n": 3}, 0, "job") != old


def test_seeds_come_from_sweep_seed_params_and_repetition() -> None:
    seeds = [seed_for(s, {"a": a}, r) for s in range(3) for a in (1, 1.0, True) for r in range(3)]
    assert len(set(seeds)) == 27
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seed_for(0, {"a": 1, "b": 2}, 0) == seed_for(0, {"b": 2, "a": 1}, 0)
