"""Form and cell are one document: what is read from a cell is written back into it, and nothing else is touched."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

import jupyter_sweep
from jupyter_sweep import Choice, Float, Int, LogNormal, Normal, Ordinal, Space, SweepError
from jupyter_sweep.jobs.cell import check_cell
from jupyter_sweep.notation import form, form_calls, form_line, form_rows, words
from jupyter_sweep.notation.form_calls import Row
from jupyter_sweep.notation.form_line import Fields
from jupyter_sweep.notation.form_preview import preview
from jupyter_sweep.notation.options import parse_line
from jupyter_sweep.space.parameter import Parameter
from jupyter_sweep.vocabulary import WORDS
from jupyter_sweep.widgets.form_page import SweepForm

NAMES: dict[str, Any] = {name: getattr(jupyter_sweep, name) for name in WORDS} | {"js": jupyter_sweep}
CELL = """\
%%sweep digits --max acc  -n 60 --stop "asha(eta=4)" lr=loguniform(1e-4, 1e-2)
# what varies
width   = choice(64, 128, 256, default=128)   # units
lr      = loguniform(1e-5,   1e-1)
size    = js.choice(
    {"a": 1, "b": (2, 3)},  # small
    {"a": 2, "b": (4,)},
)
if width == 64:  # the small one

    # only here
    depth = randint(1, 8)
elif width == 128 or lr < 1e-3:
    momentum = uniform(0.0, 0.99, step=.33)
    other = ordinal("é", "b"); third = uniform(0, 1)
fourth = normal(0, 1) if width == 256 else 0.5
require(width * lr < 20)

acc = train(width, lr, size, fourth)  # elsewhere
"""


def read(source: str) -> form.Form:
    return form.read(source, NAMES)


def rows(source: str) -> dict[str, Row]:
    return {row.name: row for row in read(source).rows.rows}


def written(source: str, *new: Row, without: str = "", **changes: dict[str, Any]) -> str:
    """Write a cell with some of its rows changed, one taken out, others added."""
    now = read(source)
    kept = [replace(row, **changes.get(row.name, {})) for row in now.rows.rows if row.name != without]
    return now.written(now.fields, [*kept, *new], NAMES)


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """Give the lines that only one of two texts has."""
    old, new = before.split("\n"), after.split("\n")
    return [line for line in old if line not in new], [line for line in new if line not in old]


# -- random spaces ----------------------------------------------------------------------------------------------------


def random_parameter(rng: random.Random) -> Parameter:
    marks: dict[str, Any] = {"meta": rng.random() < 0.1, "ignore_default": rng.random() < 0.1}
    low = rng.choice([1e-5, 0.25, 1.0, 3.0])
    high = low * rng.choice([1.0, 2.5, 1000.0])
    whole, span = rng.randint(1, 9), rng.randint(0, 90)
    pool: list[Any] = [1, 1.0, True, "1", None, -2.5, "a, (b", 'quo"te', "é\n", (1,), [1, "x"], {"k": (2, 3)}, 1e300]
    values = rng.sample(pool, rng.randint(2, 5))  # one list alone is refused: see `choice`
    return rng.choice(
        [
            Float(low, high, log=rng.random() < 0.5, prior=rng.choice([None, low]), **marks),
            Float(-low, high, step=rng.choice([None, 0.1]), default=rng.choice([None, -low]), **marks),
            Int(whole, whole + span, log=rng.random() < 0.5, step=rng.choice([None, 2]), **marks),
            Choice(*values, default=rng.choice(values), **marks),
            Ordinal(*values, **marks),
            Normal(-1.0, 2.5, default=rng.choice([None, 0.5]), **marks),
            LogNormal(0.0, 1.0, **marks),
        ]
    )


def random_space(seed: int, limit: str = "limit") -> Space:
    """Give a space with conditions, exclusive twins, constraints and a constant, which a cell writes out as 5."""
    rng = random.Random(seed)
    parameters: list[Parameter] = [replace(Choice("sgd", "adam", None), name="opt"), replace(Int(1, 9), name="depth")]
    tests = ["opt == 'sgd'", "depth > 3 or opt is None", "opt in ('sgd', 'adam')", f"depth < {limit}"]
    for number in range(rng.randint(1, 6)):
        when = rng.sample(tests, rng.choice([0, 0, 1, 2]))
        made = rng.choice([Float, Int])(0, 1, when=when) if rng.random() < 0.1 else random_parameter(rng)
        parameters.append(replace(made, name=f"p{number}", when=Float(0, 1, when=when).when))
        if when and rng.random() < 0.4:  # the same name in the other branch
            *outer, last = parameters[-1].when
            twin = (*outer, replace(last, expected=False))
            parameters.append(replace(random_parameter(rng), name=f"p{number}", when=twin))
    constraints = rng.sample(["depth < 9", "depth != 4 or opt != 'sgd'"], rng.randint(0, 2))
    return Space.of(parameters, constraints, {"limit": 5})


@pytest.mark.parametrize("seed", range(200))
def test_a_form_written_as_a_cell_is_read_as_the_same_form_and_the_same_space(seed: int) -> None:
    space = random_space(seed)
    source = form.of_space(space, "--min loss")
    again = read(source)
    assert [replace(row, key=-1) for row in again.rows.rows] == [form.row_of(p) for p in space.parameters.values()]
    assert again.written(again.fields, again.rows.rows, NAMES) == source
    found = check_cell(form.split(source)[2], NAMES, allow_unused=True)
    assert list(found.parameters.values()) == list(random_space(seed, "5").parameters.values())
    assert [c.expression for c in found.constraints] == [c.expression for c in space.constraints]


@pytest.mark.parametrize("seed", range(200))
def test_any_change_of_a_form_is_read_back_from_the_cell_as_it_was_made(seed: int) -> None:
    rng = random.Random(seed)
    now = read(form.of_space(random_space(seed)) + "print(opt, depth)  # the job\n")
    wanted = [
        replace(form.row_of(replace(random_parameter(rng), name=row.name)), when=row.when, key=row.key)
        if rng.random() < 0.5
        else row
        for row in now.rows.rows
    ]
    source = now.written(Fields("n", (("max", "acc"),)), wanted, NAMES)
    assert list(read(source).rows.rows) == wanted
    assert source.startswith("%%sweep n --max acc\n")
    assert source.endswith("print(opt, depth)  # the job\n")


# -- the body ---------------------------------------------------------------------------------------------------------


def test_the_rows_of_a_cell_are_its_ranges_with_the_conditions_they_stand_under() -> None:
    found = rows(CELL)
    assert list(found) == ["width", "lr", "size", "depth", "momentum", "other", "third", "fourth"]
    assert found["size"].choices == '{"a": 1, "b": (2, 3)}, {"a": 2, "b": (4,)}'
    assert found["depth"].when == "width == 64"
    assert found["momentum"].when == "not (width == 64) and (width == 128 or lr < 1e-3)"
    assert (found["fourth"].when, found["fourth"].inline) == ("width == 256", True)
    assert (found["lr"].kind, found["lr"].log, found["lr"].low) == ("float", True, "1e-5")


def test_a_form_in_which_nothing_was_changed_writes_the_cell_as_it_was() -> None:
    assert written(CELL) == CELL


def test_a_changed_argument_changes_its_own_characters_only() -> None:
    assert changed_lines(CELL, written(CELL, lr={"high": "1e-2"})) == (
        ["lr      = loguniform(1e-5,   1e-1)"],
        ["lr      = loguniform(1e-5,   1e-2)"],
    )


def test_a_value_added_to_a_choice_leaves_the_comments_of_the_others() -> None:
    more = '{"a": 1, "b": (2, 3)}, {"a": 2, "b": (4,)}, {"a": 3}'
    after = written(CELL, size={"choices": more})
    assert changed_lines(CELL, after) == (['    {"a": 2, "b": (4,)},'], ['    {"a": 2, "b": (4,)}, {"a": 3},'])


def test_another_kind_keeps_the_name_by_which_the_notebook_calls_our_words() -> None:
    assert "size    = js.ordinal(1, 2)\n" in written(CELL, size={"kind": "ordinal", "choices": "1, 2"})


def test_a_condition_that_is_taken_away_leaves_the_comments_around_the_parameter() -> None:
    source = "%%sweep --min a\nif b:  # why\n    # what\n    a = uniform(0,\n        1)  # how\nc = 1\n"
    assert written(source, a={"when": ""}).split("\n")[1:] == [
        "# why",
        "# what",
        "a = uniform(0,",
        "        1)  # how",
        "c = 1",
        "",
    ]


def test_a_condition_that_is_given_puts_the_parameter_under_an_if() -> None:
    assert "if width > 64:\n    lr      = loguniform(1e-5,   1e-1)\nsize" in written(CELL, lr={"when": "width > 64"})


@pytest.mark.parametrize("name", ["depth", "momentum", "other", "third"])
def test_a_parameter_leaves_the_branch_that_it_shares_with_others(name: str) -> None:
    after = written(CELL, **{name: {"when": "lr > 0.01"}})
    assert rows(after)[name].when == "lr > 0.01"
    others = {n: replace(row, key=-1) for n, row in rows(after).items() if n != name}
    assert others == {n: replace(row, key=-1) for n, row in rows(CELL).items() if n != name}
    assert "# only here" in after


def test_a_new_name_is_put_where_the_body_reads_the_old_one() -> None:
    after = written(CELL, lr={"name": "rate"})
    assert "rate      = loguniform" in after
    assert "require(width * rate < 20)" in after
    assert "elif width == 128 or rate < 1e-3" in after
    assert "train(width, rate, size" in after


def test_a_name_that_another_function_takes_as_its_argument_is_not_changed_there() -> None:
    source = "%%sweep --min a\nx = uniform(0, 1)\na = (lambda x: x)(2) + x\n"
    assert written(source, x={"name": "y"}).endswith("y = uniform(0, 1)\na = (lambda x: x)(2) + x\n")


def test_a_parameter_taken_out_leaves_its_plain_value_where_it_is_read_and_nothing_elsewhere() -> None:
    assert "lr      = 0.001\n" in written(CELL, without="lr")
    assert "width   = 128   # units" in written(CELL, without="width")
    assert changed_lines(CELL, written(CELL, without="third"))[1] == ['    other = ordinal("é", "b"); pass']
    source = "%%sweep --min a\nx = uniform(0, 1)\n# about z\nz = choice(1, 2)  # gone\na = x\n"
    assert written(source, without="z") == "%%sweep --min a\nx = uniform(0, 1)\n# about z\na = x\n"


def test_a_new_parameter_stands_below_the_last_one_and_shares_the_branches_of_its_neighbours() -> None:
    new = [Row("a", low="0", high="1", when="lr > 0.01"), Row("b", "choice", choices="1, 2", when="not (lr > 0.01)")]
    after = written(CELL, *new)
    assert "else 0.5\nif lr > 0.01:\n    a = uniform(0, 1)\nelse:\n    b = choice(1, 2)\nrequire(" in after
    assert list(rows(after))[-2:] == ["a", "b"]


def test_a_word_that_the_notebook_lacks_is_imported_in_the_cell() -> None:
    now = form.read("%%sweep --min a\na = 1\n", {})
    after = now.written(now.fields, [Row("x", low="0", high="1"), Row("k", "int", low="1", high="2")], {})
    assert after == (
        "%%sweep --min a\nfrom jupyter_sweep import randint, uniform\nx = uniform(0, 1)\nk = randint(1, 2)\na = 1\n"
    )
    assert [row.name for row in form.read(after, {}).rows.rows] == ["x", "k"]


def test_fields_that_are_no_python_are_all_told_and_nothing_is_written() -> None:
    now = read(CELL)
    bad = [Row("not a name", low="1 +"), Row("x", "choice", choices="1, 2)")]
    with pytest.raises(SweepError) as told:
        now.written(now.fields, bad, NAMES)
    for said in ("'not a name' can't name a parameter", "low is no Python expression: 1 +", "choices are no list"):
        assert said in str(told.value)


def test_a_missing_bound_is_left_to_the_message_of_the_cell() -> None:
    source = written(CELL, lr={"low": ""})
    assert "loguniform(high=1e-1)" in source
    with pytest.raises(SweepError, match="missing 1 required positional argument: 'low'"):
        check_cell(form.split(source)[2], NAMES, allow_unused=True)


def test_lines_in_ipythons_own_language_stay_as_they_are() -> None:
    source = "%%sweep --min a\n!ls\nx = uniform(0, 1)  # x\n%time y = 1\na = x\n"
    transform = {"!ls\nx": "get_ipython()\nx", "%time y = 1": "pass"}

    def python(text: str) -> str:
        for old, new in transform.items():
            text = text.replace(old, new)
        return text

    now = form.read(source, NAMES, python)
    after = now.written(now.fields, [replace(now.rows.rows[0], high="2")], NAMES)
    assert after == source.replace("uniform(0, 1)", "uniform(0, 2)")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("uniform(*bounds, default=2)", "uniform"),
        ("uniform(high=(1), low=0, **more)", "uniform"),
        ("choice(1, (2), *rest, prior=(3))", "choice"),
        ("lognormal(0,\n  1)", "lognormal"),
        ("randint(1, n_max, step=2,)", "randint"),
    ],
)
def test_a_call_of_any_form_is_a_row_and_the_same_call_again(text: str, word: str) -> None:
    call = form_calls.Call(text, word)
    assert call.written(call.row()) == text
    other = replace(call.row(), default="", more="meta=True") if word != "choice" else replace(call.row(), default="1")
    assert form_calls.Call(call.written(other), word).row() == other


# -- the line ---------------------------------------------------------------------------------------------------------


def test_the_line_is_read_as_fields_and_the_rest() -> None:
    found = read(CELL).fields
    assert (found.name, found.targets) == ("digits", (("max", "acc"),))
    assert found.options == {"trials": "60", "stop": "asha(eta=4)"}
    assert found.more == "lr=loguniform(1e-4, 1e-2)"


def test_a_changed_field_leaves_the_other_words_of_the_line_as_they_are_written() -> None:
    found = read(CELL).fields
    line = form.split(CELL)[1]
    after = form_line.write(line, replace(found, options={**found.options, "trials": "80", "jobs": "2"}))
    assert after == ' digits --max acc  -n 80 --stop "asha(eta=4)" lr=loguniform(1e-4, 1e-2) --jobs 2'.strip()


@pytest.mark.parametrize("seed", range(100))
def test_fields_written_as_a_line_are_read_as_the_same_fields(seed: int) -> None:
    rng = random.Random(seed)
    texts = ["3", "a b", "tpe(n_startup=20)", "it's", '"', "a\\b", "ssh:alpha,beta*4", "{client}", "é", "(", "-5"]
    fields = Fields(
        rng.choice(["", "digits"]),
        tuple((rng.choice(["min", "max"]), f"m {i}") for i in range(rng.randint(0, 3))),
        {name: rng.choice(texts) for name in form_line.FIELDS if rng.random() < 0.5},
        tuple(rng.sample(texts[:-1], rng.randint(0, 2))),
        rng.choice(["", "--bg", "--bg lr=0.1", "lr=loguniform(1e-4, 1e-2) --fresh"]),
    )
    line = form_line.write(rng.choice(["", "x --max acc -n 3 --grid", "--tag a --note 'b c' --bg"]), fields)
    assert form_line.read(line) == fields
    assert form_line.write(line, fields) == line


def test_the_grid_is_an_algorithm_of_the_form() -> None:
    assert form_line.read("--min loss --grid").options == {"algo": "grid"}
    assert form_line.write("--min loss --grid -n 4", form_line.read("--min loss -n 4")) == "--min loss -n 4"
    assert form_line.write("--min loss", Fields(targets=(("min", "loss"),), options={"algo": "grid"})) == (
        "--min loss --grid"
    )


def test_places_of_words_are_where_their_texts_stand() -> None:
    line = "a --note 'two words'  lr=uniform(0, 1) b\\ c"
    assert [line[start:end] for _, start, end in words.located(line)] == [
        "a",
        "--note",
        "'two words'",
        "lr=uniform(0, 1)",
        "b\\ c",
    ]


# -- the preview ------------------------------------------------------------------------------------------------------


def test_the_preview_tells_the_size_of_a_grid_and_its_first_points() -> None:
    space = Space(a=Choice(1, 2), b=Int(1, 3, when="a == 1"))
    told = preview(space, parse_line("--min loss --grid"))
    assert told["size"] == "a grid of 4 configurations"
    assert told["rows"] == [["1", "1"], ["1", "2"], ["1", "3"], ["2", ""]]


def test_the_preview_of_a_range_without_steps_says_that_there_is_no_end() -> None:
    told = preview(Space(lr=Float(0, 1), k=Choice("a")), parse_line("--min loss -n 5"))
    assert told["size"] == "no end of configurations, for these are continuous: lr; 5 trials run"
    assert told["rows"][0] == ["0.5", "'a'"]


def test_a_space_of_a_million_points_is_counted_without_walking_through_it() -> None:
    space = Space(**{f"p{i}": Int(1, 100) for i in range(6)})
    assert preview(space, parse_line("--min loss"))["size"] == "more than 10,000 configurations; 20 trials run"


def test_a_space_in_which_nothing_is_allowed_says_so_in_the_preview() -> None:
    told = preview(Space(a=Float(0, 1), constraints=["a > 2"]), parse_line("--min loss"))
    assert "none of 1000 random configurations meets require(a > 2)" in told["said"]
    assert told["rows"] == []


def test_a_cell_without_our_line_gets_one() -> None:
    now = read("x = uniform(0, 1)\nloss = x\n")
    assert now.written(Fields(targets=(("min", "loss"),)), now.rows.rows, NAMES) == (
        "%%sweep --min loss\nx = uniform(0, 1)\nloss = x\n"
    )


def test_the_empty_form_is_a_cell_that_runs() -> None:
    _, line, body = form.split(form.EMPTY)
    assert parse_line(line).trials == 20
    assert check_cell(body, NAMES, targets=("loss",)).names == ["x"]


def test_rows_of_a_body_know_the_lines_of_the_cell() -> None:
    found = form_rows.read(form.split(CELL)[2], NAMES)
    texts = CELL.split("\n")
    assert all(row.name in texts[line - 1] for row, line in zip(found.rows, found.lines, strict=True))


# -- the widget, without a page ---------------------------------------------------------------------------------------


class Told:
    """What a check says; nothing is wrong with any cell here."""

    mistakes = ()
    space = None
    options = parse_line("--min loss")


class Desk:
    """A notebook that checks nothing and runs nothing."""

    namespace = NAMES
    cell = ("", 1)

    def transform(self, source: str) -> str:
        return source

    def check(self, line: str, body: str) -> Told:
        return Told()

    def run(self, line: str, body: str) -> Any:
        raise SweepError("this notebook runs nothing")


def typed(widget: SweepForm, state: dict[str, Any], *, commit: bool, **changes: str) -> dict[str, Any]:
    """Send what a page sends that shows `state` and in whose first row something is typed."""
    first, *others = state["rows"]
    rows = [{**first, **changes}, *others]
    message = {"kind": "edit", "rev": 1, "commit": commit, "drawn": state["drawn"], "fields": state["fields"]}
    widget._received(widget, {**message, "rows": rows}, [])
    answer: dict[str, Any] = widget.state
    return answer


def test_a_name_that_is_typed_letter_by_letter_is_renamed_once() -> None:
    widget = SweepForm("%%sweep --min loss\nx = uniform(0, 1)\nl = 2\nloss = x + l\n", Desk())
    shown = widget.state
    typed(widget, shown, commit=False, name="l")  # which the body has already
    assert typed(widget, shown, commit=True, name="lr")["source"].endswith("lr = uniform(0, 1)\nl = 2\nloss = lr + l\n")


def test_an_edit_that_overtakes_the_answer_to_the_last_one_is_made_in_the_drawing_it_belongs_to() -> None:
    widget = SweepForm("%%sweep --min loss\nx = uniform(0, 1)\nloss = x\n", Desk())
    shown = widget.state
    typed(widget, shown, commit=True, name="y")
    assert typed(widget, shown, commit=True, name="z", high="2")["source"].endswith("z = uniform(0, 2)\nloss = z\n")


def test_an_edit_of_a_text_that_was_replaced_is_dropped() -> None:
    widget = SweepForm(form.EMPTY, Desk())
    shown = widget.state
    widget._received(widget, {"kind": "cell", "rev": 1, "source": CELL}, [])
    assert typed(widget, shown, commit=True, name="y")["source"] == CELL


def test_what_can_not_be_written_or_run_is_told_and_changes_nothing() -> None:
    widget = SweepForm(CELL, Desk())
    assert (
        "no Python expression: 1 +" in typed(widget, widget.state, commit=False, default="1 +")["mistakes"][0]["text"]
    )
    widget._received(widget, {"kind": "run", "rev": 2}, [])
    assert widget.state["mistakes"][0]["text"] == "this notebook runs nothing"
    assert widget.source == CELL
