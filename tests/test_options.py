"""The `%%sweep` line and the keywords of `run(...)`: words, values, mistakes, and the definition that comes of them."""

from __future__ import annotations

import dataclasses
import random
import re
import shlex
from typing import Any

import pytest

from jupyter_sweep import plugins, units
from jupyter_sweep.definition import Spec
from jupyter_sweep.errors import Mistakes, SweepError
from jupyter_sweep.jobs.base import JobRef
from jupyter_sweep.notation import specs, table, words
from jupyter_sweep.notation.options import DEFAULT_TRIALS, Options, build, from_keywords, parse_line, refusals
from jupyter_sweep.space.parameter import Choice, Float, Int
from jupyter_sweep.space.space import Space
from jupyter_sweep.trial import Objective

#: A value of each option that has one: as text, and as it is read.
VALUES: dict[str, tuple[str, Any]] = {
    "time": ("2h", 7200.0),
    "repeat": ("3", 3),
    "algo": ("random", Spec("random")),
    "stop": ("asha(eta=4)", Spec("asha", {"eta": 4})),
    "seed": ("7", 7),
    "space": ("sp", "sp"),
    "on": ("threads", Spec("threads")),
    "jobs": ("2", 2),
    "devices": ("0,0,1", ("0", "0", "1")),
    "cpus": ("4", 4.0),
    "gpus": ("0.5", 0.5),
    "mem": ("8G", 8.0),
    "timeout": ("20m", 1200.0),
    "grace": ("10s", 10.0),
    "isolation": ("fork", "fork"),
    "retry": ("2", 2),
    "max-failures": ("5", 5),
    "ignore": ("a,b", ("a", "b")),
    "version": ("v2", "v2"),
    "code": ("ignore", "ignore"),
    "output": ("h", "h"),
    "tag": ("paper", ("paper",)),
    "note": ("table 2", "table 2"),
    "log": ("tb", ("tb",)),
    "notify": ("mail me", "mail me"),
}
FLAGS = ["grid", "keep-going", "fail-fast", "fresh", "allow-unused", "no-canary", "bg", "dry-run"]
TARGETS = {"min", "max", "trials"}
#: Options whose value is read with the help of files.
FROM_FILES = {"needs"}


def messages(line: str, **context: Any) -> list[str]:
    """Give the messages of a line's mistakes."""
    with pytest.raises(Mistakes) as caught:
        parse_line(line, **context)
    return [m.message for m in caught.value.mistakes]


# -- words ------------------------------------------------------------------------------------------------------------


def test_a_line_without_brackets_is_split_as_the_shell_does() -> None:
    rng = random.Random(0)
    for _ in range(20_000):
        line = "".join(rng.choice("ab=- '\"\\\t:,+\n") for _ in range(rng.randrange(12)))
        try:
            expected = shlex.split(line)
        except ValueError:
            with pytest.raises(SweepError):
                words.split(line)
        else:
            assert words.split(line) == expected, repr(line)


@pytest.mark.parametrize(
    "value",
    [
        "loguniform(1e-4, 1e-1)",
        'choice("sgd", "adam")',
        "choice('a)', \"b]\")",
        "[1, (2, 3)]",
        '{"width": 64, "layers": 6}',
        "f(x)[0]",
    ],
)
def test_brackets_keep_a_python_value_together_as_written(value: str) -> None:
    assert words.split(f"digits opt={value} --note x") == ["digits", f"opt={value}", "--note", "x"]


def test_a_bracket_that_is_never_closed_is_an_ordinary_character() -> None:
    assert words.split("--note :( x(y z") == ["--note", ":(", "x(y", "z"]


# -- values -----------------------------------------------------------------------------------------------------------


def test_every_option_of_the_table_has_a_field_and_a_value_here() -> None:
    assert {o.name for o in table.OPTIONS} == {*VALUES, *FLAGS, *TARGETS, *FROM_FILES}
    assert {o.field for o in table.OPTIONS} - {"min", "max"} <= {f.name for f in dataclasses.fields(Options)}


@pytest.mark.parametrize("name", VALUES)
def test_an_option_is_read_in_every_spelling(name: str) -> None:
    text, value = VALUES[name]
    option = table.BY_FIELD[name.replace("-", "_")]
    forms = ["--{name} {text}", "--{name}={text}"] + ["-{short} {text}", "-{short}{text}"] * bool(option.short)
    for form in forms:
        line = form.format(name=name, short=option.short, text=shlex.quote(text))
        assert getattr(parse_line(f"{line} --min loss"), option.field) == value, form


@pytest.mark.parametrize("name", [n for n in VALUES if not table.BY_FIELD[n.replace("-", "_")].on_line_only])
def test_a_keyword_is_read_as_the_option_of_its_name(name: str) -> None:
    text, value = VALUES[name]
    field = name.replace("-", "_")
    assert getattr(from_keywords(min="loss", **{field: text}), field) == value


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_off_until_it_is_given(name: str) -> None:
    field = name.replace("-", "_")
    assert getattr(parse_line("--min loss"), field) is False
    assert getattr(parse_line(f"--min loss --{name}"), field) is True


@pytest.mark.parametrize("option", [o for o in table.OPTIONS if o.is_flag])
def test_a_flag_is_a_truth_value_in_a_call_unless_it_is_the_lines_own(option: table.Option) -> None:
    if option.on_line_only:
        with pytest.raises(Mistakes, match="line only"):
            from_keywords(min="loss", **{option.field: True})
    else:
        for value in (True, False):
            assert getattr(from_keywords(min="loss", **{option.field: value}), option.field) is value


@pytest.mark.parametrize("form", ["-n {}", "-n{}", "-n={}", "--trials {}", "--trials={}"])
def test_a_plus_before_the_number_of_trials_adds(form: str) -> None:
    plain, added = parse_line(f"--min a {form.format(60)}"), parse_line(f"--min a {form.format('+10')}")
    assert (plain.trials, plain.added) == (60, False)
    assert (added.trials, added.added) == (10, True)


def test_targets_keep_their_order_and_direction() -> None:
    expected = (Objective("acc", "maximize"), Objective("ms", "minimize"), Objective("loss", "minimize"))
    assert parse_line("--max acc --min ms --min loss").objectives == expected
    assert from_keywords(max="acc", min=["ms", "loss"]).objectives == expected


def test_the_name_may_stand_anywhere_among_the_options() -> None:
    for line in ("digits --min loss -n 3", "--min loss digits -n 3", "--min loss -n 3 digits"):
        assert parse_line(line).name == "digits"


def test_pins_are_kept_as_written() -> None:
    options = parse_line("""--min loss batch=128 lr=loguniform(1e-4, 1e-2) opt='"sgd"' size={"w": 1}""")
    assert options.pins == {"batch": "128", "lr": "loguniform(1e-4, 1e-2)", "opt": '"sgd"', "size": '{"w": 1}'}


def test_a_value_in_braces_is_evaluated_in_the_notebook() -> None:
    assert parse_line("--min loss -n {2 * budget}", namespace={"budget": 15}).trials == 30
    assert "can't evaluate {budget}: NameError" in messages("--min loss -n {budget}")[0]


@pytest.mark.parametrize("expression", ["sum([b for k in (1, 2) if k < b])", "max(map(lambda k: k * b, (1, 10)))"])
def test_code_within_a_value_in_braces_sees_the_names_of_the_notebook(expression: str) -> None:
    names = {"b": 5}
    assert parse_line(f"--min loss -n {{{expression}}}", namespace=names).trials == eval(expression, {**names})
    assert names == {"b": 5}


def test_options_given_several_times_are_collected() -> None:
    options = parse_line("--min loss --tag a --tag b --ignore x,y --ignore z")
    assert (options.tag, options.ignore) == (("a", "b"), ("x", "y", "z"))


@pytest.mark.parametrize(("text", "seconds"), [("2s", 2), ("20m", 1200), ("1.5h", 5400), ("1d", 86400), ("90", 90)])
def test_a_duration_is_read_in_its_unit(text: str, seconds: float) -> None:
    assert units.duration(text) == seconds


@pytest.mark.parametrize(("text", "gigabytes"), [("8G", 8), ("512M", 0.5), ("2T", 2048)])
def test_a_size_is_read_in_powers_of_two(text: str, gigabytes: float) -> None:
    assert units.size(text) == gigabytes


@pytest.mark.parametrize("text", ["", "m", "-5s", "0", "5x", "20min", "1h30m", "inf", "nan", "1e400d"])
def test_what_is_no_duration_is_refused_with_the_units(text: str) -> None:
    with pytest.raises(SweepError, match="20m"):
        units.duration(text)


@pytest.mark.parametrize(("text", "hint"), [("8", "unit"), ("8GB", "'G'"), ("8g", "'G'"), ("0G", "above zero")])
def test_what_is_no_size_is_refused_with_the_units(text: str, hint: str) -> None:
    with pytest.raises(SweepError, match=hint) as caught:
        units.size(text)
    assert "8G" in str(caught.value)


# -- mistakes ---------------------------------------------------------------------------------------------------------


def test_all_mistakes_of_a_line_are_told_at_once_with_the_line_quoted_once() -> None:
    line = "digits --minimize loss -n 0 --algo tpee --mem 8 --timeout 5x --gpus 1.5 x= x y --grid"
    with pytest.raises(Mistakes) as caught:
        parse_line(line)
    found = caught.value.mistakes
    for part in ("--minimize", "-n", "tpee", "--mem", "--timeout", "--gpus", "x=", "can't place 'x' 'y'", "--grid"):
        assert any(part in m.message for m in found), part
    assert {m.line for m in found} == {1}
    assert str(caught.value).count(f"%%sweep {line}") == 1


def test_without_a_target_the_fix_holds_the_users_own_metric() -> None:
    with pytest.raises(Mistakes, match=r"-> add --min acc or --max acc"):
        parse_line("digits -n 3", metrics=("acc", "loss"))


def test_an_attempt_at_a_target_is_told_once_and_not_as_missing() -> None:
    for line in ("--minimize loss", "--min", "--max --min loss --foo", "min loss", "--min ''"):
        assert not [m for m in messages(line) if m.startswith("no target")], line


@pytest.mark.parametrize("option", table.PLANNED)
def test_an_option_of_a_later_release_is_refused_by_name(option: str) -> None:
    assert messages(f"--min loss --{option} x") == [f"--{option} is not in this release"]
    with pytest.raises(Mistakes, match=f"{option}= is not in this release"):
        from_keywords(min="loss", **{option: "x"})


@pytest.mark.parametrize(
    ("option", "word"),
    [("algo", w) for w in specs.PLANNED["proposer"]] + [("stop", w) for w in specs.PLANNED["pruner"]],
)
def test_a_word_of_a_later_release_is_refused_by_name(option: str, word: str) -> None:
    (said,) = messages(f"--min loss --{option} {word}")
    assert word in said
    assert "not in this release" in said


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--minn loss", "'--min'"),
        ("--min loss --trial 3", "'--trials'"),
        ("--min loss --keep-goin", "'--keep-going'"),
        ("--min loss --algo tpee", "'tpe'"),
        ("--min loss --stop ahsa", "'asha'"),
        ("--min loss --on locl", "'local'"),
        ("--min loss --stop asha(etta=3)", "'eta'"),
    ],
)
def test_a_misspelt_word_is_met_with_the_nearest(given: str, meant: str) -> None:
    assert f"Did you mean {meant}?" in messages(given)[0]


@pytest.mark.parametrize(
    "line",
    [
        "--keep-going --fail-fast",
        "--keep-going --max-failures 3",
        "--fail-fast --max-failures 3",
        "--grid --algo random",
        "--fresh -n +3",
        "--fresh --code ignore",
        "--on inline --timeout 3s",
        "--on inline --mem 1G",
        "--on inline --jobs 2",
        "--on inline --bg",
        "--on inline --grace 3s",
        "--on inline --isolation fork",
        "--isolation inline --timeout 3s",
        "--isolation inline --mem 1G",
        "--isolation inline --grace 3s",
        "--isolation inline --gpus 1",
        "--isolation inline --on threads",
        "--isolation inline --on gpu",
    ],
)
def test_options_that_exclude_each_other_are_refused_both_by_name(line: str) -> None:
    (said,) = messages(f"--min loss {line}")
    for spelled in re.findall(r"--[\w-]+", line):
        assert spelled in said


@pytest.mark.parametrize(
    "line",
    [
        "-n 0", "-n -3", "-n +0", "-n 2.5", "-n many", "-n ++3", "--trials", "-n 3 --trials 4", "--jobs 0", "--cpus 0",
        "--retry -1", "--repeat 0", "--seed -1", "--seed x", "--max-failures -1", "--code adopt", "-o 2x", "-o for",
        "--ignore a-b", "--note ''", "--tag ''", "--grid=3", "--bg --bg", "--min loss", "--max loss", "--max 3",
        "--min -1.5e3", "a=1 a=2", "b=",
        "--algo tpe(3)", "--algo tpe(n=", "--algo tpe(n_startup=x)", "--stop asha:3", "--algo (x)", "a b", "2digits",
        "-k 3", "--", "lr = 3", "digits! ", "'open", "x\\",
    ],
)  # fmt: skip
def test_a_single_mistake_gives_a_single_message(line: str) -> None:
    assert len(messages(f"--min loss {line}")) == 1


def test_a_call_with_mistakes_speaks_of_keywords() -> None:
    with pytest.raises(Mistakes) as caught:
        from_keywords(maximum="acc", n=1.5, grid=1, output="x", on="inline", jobs=2, seed=True)
    said = str(caught.value)
    assert "--" not in said
    assert "maximum= is no option. Did you mean 'max'?" in said
    for part in ("n= wants", "grid= wants True", "output=", "jobs=", "seed="):
        assert part in said


def test_a_keyword_that_is_none_is_not_given() -> None:
    assert from_keywords(min="loss", n=None, time=None, algo=None, name=None) == from_keywords(min="loss")


def test_numbers_of_numpy_serve_as_keywords() -> None:
    numpy = pytest.importorskip("numpy")
    assert from_keywords(min="loss", n=numpy.int64(30), timeout=numpy.float64(1.5)).trials == 30


# -- plug-ins and the definition --------------------------------------------------------------------------------------


def test_every_built_in_plug_in_is_taken_by_its_option() -> None:
    for option, kind in (("algo", "proposer"), ("stop", "pruner")):
        for name in plugins.names(kind):
            assert getattr(parse_line(f"--min loss --{option} {name}"), option) == Spec(name)


def build_line(line: str) -> Any:
    """Give the definition that a line builds."""
    options = parse_line(line)
    return build(options, name=options.name or "s", space=Space(x=Choice(1, 2)), job=JobRef("cell", "0" * 32, ""))


def test_absent_options_build_the_documented_defaults() -> None:
    sweep = build_line("--min loss")
    assert (sweep.budget.max_trials, sweep.budget.attempts, sweep.budget.repetitions) == (DEFAULT_TRIALS, 1, 1)
    assert (sweep.seed, sweep.canary, sweep.executor, sweep.pruner) == (0, True, Spec("local"), Spec("none"))
    assert sweep.budget.max_failures is None


def test_a_grid_ends_with_its_space_and_starts_with_its_first_point() -> None:
    for line in ("--min loss --grid", "--min loss --algo grid"):
        sweep = build_line(line)
        assert (sweep.proposer, sweep.budget.max_trials, sweep.canary) == (Spec("grid"), None, False)
    assert build_line("--min loss --grid -n 5").budget.max_trials == 5


def test_limits_and_failures_reach_the_budget() -> None:
    of_the_sweep = "-n 6 -t 2h --retry 2 --repeat 3 --jobs 2 --max-failures 4"
    sweep = build_line(f"d --max acc {of_the_sweep} --timeout 5s --mem 1G --cpus 2")
    budget = sweep.budget
    assert (budget.max_trials, budget.max_seconds, budget.attempts, budget.repetitions) == (6, 7200, 3, 3)
    assert (budget.timeout_s, budget.memory_gb, budget.parallel, budget.max_failures) == (5, 1, 2, 4)
    assert (sweep.resources.cpus, sweep.resources.memory_gb) == (2, 1)
    assert build_line("--min loss --fail-fast").budget.max_failures == 0
    assert build_line("--min loss --no-canary").canary is False


@pytest.mark.parametrize(
    "space",
    [
        Space(a=Int(1, 9)),
        Space(a=Int(1, 9), constraints=["a < 2"]),
        Space(a=Int(1, 300), b=Int(1, 150), constraints=["a * b == 45000"]),
        Space(a=Int(1, 300), b=Int(1, 10**9), constraints=["a == 300 and b == 10**9"]),
        Space(a=Choice("x", "y"), b=Int(1, 9, when="a == 'x'"), constraints=["b > 9"]),
    ],
    ids=["no law", "the defaults", "one point of a grid", "one that is far along", "without the parameter"],
)
def test_laws_that_a_proposer_could_meet_are_not_refused(space: Space) -> None:
    assert refusals(parse_line("--min loss"), space) == []


@pytest.mark.parametrize(
    "space",
    [
        Space(a=Int(1, 200), b=Int(1, 200), c=Float(0, 1), constraints=["a * b > 40000"]),
        Space(a=Int(1, 200), b=Int(1, 200), c=Int(1, 10**9), constraints=["a * b > 40000"]),
        Space(a=Choice("x", "y"), b=Int(1, 9, when="a == 'x'"), constraints=["a == 'x' and b > 9"]),
    ],
    ids=["without a grid", "a grid that is long in what no law reads", "a parameter that isn't always there"],
)
def test_laws_that_nothing_meets_are_refused(space: Space) -> None:
    (mistake,) = refusals(parse_line("--min loss"), space)
    assert f"require({space.constraints[0]}) holds for none of 1000 configurations drawn from a = " in mistake.message


def test_what_runs_a_passive_sweep_is_no_place_to_ask_for() -> None:
    assert "person" not in specs.places()
    with pytest.raises(Mistakes, match=r"--on person is no place to run: .* by --algo passive\n"):
        parse_line("--min loss --on person")
    with pytest.raises(Mistakes, match="Allowed: ") as caught:
        parse_line("--min loss --on persn")
    assert "person" not in str(caught.value)
    assert build_line("--min loss --algo passive").is_passive


def test_the_help_explains_every_option() -> None:
    text = table.help_text()
    for option in table.OPTIONS:
        assert ", ".join(option.spellings) in text
        assert option.help.split()[0] in text
