"""A sweep as a file: every kind is read back by the library that people will read it with."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import yaml
from made_trials import make_sweep, make_trial, mixed_sweep, mixed_trials

from jupyter_sweep import SweepError, run
from jupyter_sweep.definition import Sweep
from jupyter_sweep.results import export
from jupyter_sweep.results.frame import trials_frame
from jupyter_sweep.space import Choice, Float, Int, Ordinal, Space
from jupyter_sweep.trial import Report, Trial

HOSTILE = [
    "<script>alert(1)</script>",
    "</bdi><img src=x onerror=alert(1)>",
    "../../etc/passwd",
    "$(rm -rf /)",
    "x" * 10_000,
    "\u202eright to left \u05d0\u05d1",
    "🧪 \x1b[31m\0",
    '"""; import os #',
    "=1+1",
]


def written(path: Path, sweep: Sweep, trials: list[Trial], reports: list[Report] | None = None) -> Path:
    export.write(path, sweep, trials, reports or [])
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []
    return path


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a file in a process of its own: pyarrow's threads crash one in which hundreds of tests have run."""
    read = "import pandas, sys; pandas.read_parquet(sys.argv[1]).to_pickle(sys.argv[2])"
    subprocess.run([sys.executable, "-c", read, path, path.with_suffix(".pickle")], check=True)
    return pd.read_pickle(path.with_suffix(".pickle"))


@pytest.fixture(scope="module")
def mixed() -> tuple[Sweep, list[Trial], list[Report]]:
    sweep = mixed_sweep()
    return (sweep, *mixed_trials(sweep, 30))


@pytest.fixture(scope="module")
def hostile() -> tuple[Sweep, list[Trial]]:
    sweep = make_sweep(x=Choice(*HOSTILE), y=Float(0, 1))
    sweep = dataclasses.replace(sweep, note=HOSTILE[0], tags=(HOSTILE[1],), message=HOSTILE[5])
    trials = [make_trial(i, {"x": text, "y": 0.5}, float(i), worker=text) for i, text in enumerate(HOSTILE)]
    failed = {"error": HOSTILE[1], "traceback": f"Traceback\n{HOSTILE[0]}", "reason": "error"}
    return sweep, [*trials, make_trial(20, {"x": HOSTILE[0], "y": math.inf}, {"loss": math.nan}, "failed", **failed)]


# -- tables -----------------------------------------------------------------------------------------------------------


def test_csv_holds_the_frame(mixed: Any, tmp_path: Path) -> None:
    sweep, trials, _ = mixed
    read = pd.read_csv(written(tmp_path / "a.csv", sweep, trials))
    frame = trials_frame(sweep, trials)
    assert list(read.columns) == list(frame.columns)
    assert list(read["lr"]) == list(frame["lr"])


def test_parquet_keeps_the_types_of_the_frame(mixed: Any, tmp_path: Path) -> None:
    sweep, trials, _ = mixed
    read = read_parquet(written(tmp_path / "a.parquet", sweep, trials))
    pd.testing.assert_frame_equal(read, trials_frame(sweep, trials), check_dtype=False)
    assert read["depth"].dtype == "Int64"


def test_parquet_tells_values_of_several_types_apart(tmp_path: Path) -> None:
    sweep = make_sweep(x=Choice(1, 1.0, True, "1", (1, 2), None))
    values = [1, 1.0, True, "1", (1, 2), None]
    trials = [make_trial(i, {"x": value}, i) for i, value in enumerate(values)]
    read = read_parquet(written(tmp_path / "a.parquet", sweep, trials))
    assert list(read["x"]) == ["1", "1.0", "true", '"1"', '{"__tuple__": [1, 2]}', "null"]


def test_parquet_without_pyarrow_names_the_extra(mixed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SweepError, match=r"jupyter-sweep\[parquet\]"):
        export.write(tmp_path / "a.parquet", *mixed)
    assert list(tmp_path.iterdir()) == []


def test_lines_of_json_hold_all_there_is(mixed: Any, tmp_path: Path) -> None:
    sweep, trials, reports = mixed
    lines = written(tmp_path / "a.jsonl", sweep, trials, reports).read_text().splitlines()
    rows = [json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON")) for line in lines]
    assert [row["number"] for row in rows] == [t.number for t in trials]
    assert [row["metrics"] for row in rows] == [t.metrics for t in trials]
    assert sum(len(row["reports"]) for row in rows) == len(reports)


# -- a page -----------------------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: its elements, their attributes, its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_shows_facts_plots_and_every_trial(mixed: Any, tmp_path: Path) -> None:
    page = Page(written(tmp_path / "a.html", *mixed).read_text())
    assert page.tags.count("tr") >= 31
    assert page.tags.count("img") >= 4
    assert all(value and value.startswith("data:") for name, value in page.attributes if name in ("src", "href"))
    assert "Best: loss" in page.text
    assert "loguniform(1e-05, 0.1)" in page.text


def test_nothing_of_a_hostile_sweep_is_markup(hostile: Any, tmp_path: Path) -> None:
    page = Page(written(tmp_path / "a.html", *hostile).read_text())
    assert set(page.tags) <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "small", "bdi", "table", "thead", "tbody"),
        *("tr", "th", "td", "pre", "figure", "img", "div", "details", "summary", "p"),
    }
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert "<script>alert(1)</script>" in page.text
    assert all(len(line) < 30_000 for line in page.text.splitlines())


def test_a_page_of_a_sweep_without_trials_says_so(tmp_path: Path) -> None:
    page = Page(written(tmp_path / "a.html", mixed_sweep(), []).read_text())
    assert "none yet" in page.text
    assert "img" not in page.tags


# -- text -------------------------------------------------------------------------------------------------------------


def test_yaml_is_plain_data_that_every_reader_takes(mixed: Any, tmp_path: Path) -> None:
    trials = mixed[1]
    read = yaml.safe_load(written(tmp_path / "a.yaml", *mixed).read_text())
    assert [t["number"] for t in read["trials"]] == [t.number for t in trials]
    best = min((t for t in trials if t.state == "completed"), key=lambda t: t.metrics["loss"])
    assert read["best"] == {"trial": best.number, "params": best.params, "metrics": best.metrics}
    assert read["targets"] == [{"metric": "loss", "direction": "minimize"}]


def test_a_hostile_sweep_is_told_in_yaml_as_it_is(hostile: Any, tmp_path: Path) -> None:
    sweep, trials = hostile
    read = yaml.safe_load(written(tmp_path / "a.yml", sweep, trials).read_text())
    assert [t["params"]["x"] for t in read["trials"]] == [t.params["x"] for t in trials]
    assert read["note"] == HOSTILE[0]


def fit(lr: float, depth: int, opt: str, momentum: float = 0.0, size: int = 1) -> float:
    return lr + depth + (opt == "sgd") * (1 + momentum) + size


SPACE = Space(
    lr=Float(1e-4, 1e-1, log=True, default=1e-3),
    depth=Int(1, 9, step=2, meta=True),
    opt=Choice("sgd", 'a"d\\am', prior="sgd"),
    momentum=Float(0, 0.9, step=0.3, when="opt == 'sgd'"),
    size=Ordinal(1, 2, 4),
    constraints=["lr * depth < 0.5"],
)


def test_the_script_of_a_function_runs_the_same_trials(home: Path, tmp_path: Path) -> None:
    """Exported, run in another process's place, exported again: the same configurations, the same script."""
    first = run(fit, SPACE, name="fitted", min="loss", n=8, algo="random", seed=3, on="inline", no_canary=True)
    path = tmp_path / "again.py"
    first.export(path)
    assert list(first.df["state"]) == ["completed"] * 8
    code = compile(path.read_text().replace("name='fitted'", "name='again', on='inline', no_canary=True"), path, "exec")
    namespace: dict[str, Any] = {"__name__": "again"}
    exec(code, namespace)
    from jupyter_sweep import sweep

    again = sweep("again")
    assert namespace["space"] == first.definition.space
    assert [t.params for t in again.trials()] == [t.params for t in first.trials()]


def test_a_script_that_can_not_be_written_says_why(tmp_path: Path) -> None:
    sweep = make_sweep(source="fit = lambda x: x", x=Choice(int, float))
    sweep = dataclasses.replace(sweep, job=dataclasses.replace(sweep.job, kind="function", source="fit = lambda x: x"))
    with pytest.raises(SweepError, match="no function written with def"):
        export.write(tmp_path / "a.py", sweep, [], [])
    sweep = dataclasses.replace(sweep, job=dataclasses.replace(sweep.job, source="def fit(x):\n    return x\n"))
    with pytest.raises(SweepError, match=r"'x' of .* chooses between objects"):
        export.write(tmp_path / "a.py", sweep, [], [])
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_sweep_makes_a_script_that_only_says_it(hostile: Any, tmp_path: Path) -> None:
    sweep, trials = hostile
    source = f"x = choice({', '.join(map(repr, HOSTILE))})\nloss = 1"
    sweep = dataclasses.replace(
        sweep,
        job=dataclasses.replace(sweep.job, kind="cell", source=source),
        notebook="a\nimport os",
        line="x\nimport os",
    )
    text = written(tmp_path / "a.py", sweep, trials).read_text()
    code = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line.split()[0] for line in code] == ["from", "x", "loss"]


# -- Optuna -----------------------------------------------------------------------------------------------------------


def study_of(path: Path) -> optuna.Study:
    return optuna.load_study(study_name=None, storage=f"sqlite:///{path}")


@pytest.mark.parametrize("folder", ["100%25 sure", "what?x=1", "a#b"])
def test_an_optuna_study_lies_where_it_was_wanted_whatever_its_path_means_in_an_address(
    folder: str, tmp_path: Path
) -> None:
    sweep = mixed_sweep()
    (tmp_path / folder).mkdir()
    path = written(tmp_path / folder / "digits.db", sweep, *mixed_trials(sweep, 3))
    assert [p.name for p in tmp_path.rglob("*")] == [folder, "digits.db"]
    assert path.read_bytes().startswith(b"SQLite format 3")


def test_an_optuna_study_has_the_same_trials_and_the_same_best(mixed: Any, tmp_path: Path) -> None:
    trials = mixed[1]
    study = study_of(written(tmp_path / "a.db", *mixed))
    states = {"completed": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    assert [t.state.name for t in study.trials] == [states[t.state] for t in trials]
    assert [t.user_attrs["number"] for t in study.trials] == [t.number for t in trials]
    assert [t.params["lr"] for t in study.trials] == [t.params["lr"] for t in trials]
    best = min((t for t in trials if t.state == "completed"), key=lambda t: t.metrics["loss"])
    assert study.best_trial.user_attrs["number"] == best.number
    assert study.best_trial.intermediate_values[2] == best.metrics["loss"]


def test_a_study_of_two_targets_has_both_directions(tmp_path: Path) -> None:
    sweep = mixed_sweep("max acc, min ms")
    study = study_of(written(tmp_path / "a.db", sweep, *mixed_trials(sweep, 10)))
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.best_trials


def test_a_study_takes_rows_outside_todays_range_and_values_it_can_not_hold(tmp_path: Path) -> None:
    sweep = make_sweep(a=Int(2, 4, step=2), b=Float(0, 1), c=Choice(1, 1.0, True, "1", (1, 2)))
    values = [1, 1.0, True, "1", (1, 2), "gone"]
    trials = [make_trial(i, {"a": 3 * i, "b": float(i), "c": c}, math.inf if i else 1) for i, c in enumerate(values)]
    trials.append(make_trial(9, {"a": 2}, {"loss": math.nan}))
    study = study_of(written(tmp_path / "a.db", sweep, trials))
    assert [t.params["a"] for t in study.trials] == [0, 3, 6, 9, 12, 15, 2]
    assert [t.params.get("c") for t in study.trials] == ["1", "1.0", "True", "'1'", "(1, 2)", "'gone'", None]
    assert study.trials[-1].state.name == "FAIL"


def test_a_hostile_sweep_is_a_study_of_texts(hostile: Any, tmp_path: Path) -> None:
    sweep, trials = hostile
    study = study_of(written(tmp_path / "a.db", sweep, trials))
    assert [t.params["x"] for t in study.trials if t.number < 2] == HOSTILE[:2]
    assert len(study.trials) == len(trials)


# -- which kind, which path -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "word", "found"),
    [
        (None, "html", "digits.html"),
        (None, "optuna", "digits.db"),
        ("a.csv", None, "a.csv"),
        ("a.yml", "yaml", "a.yml"),
        ("results", "yaml", "results.yaml"),
    ],
)
def test_kind_and_path_complete_each_other(
    path: str | None, word: str | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export.target("digits", path, word) == Path(found)


@pytest.mark.parametrize(
    ("path", "word", "said"),
    [
        (None, None, r"--to csv\|parquet"),
        (None, "htlm", "Did you mean 'html'"),
        ("a.csv", "html", "--to html writes .html"),
    ],
)
def test_a_kind_that_can_not_be_is_refused(path: str | None, word: str | None, said: str) -> None:
    with pytest.raises(SweepError, match=said):
        export.target("digits", path, word)


def test_a_script_nobody_named_takes_no_files_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("digits.py").write_text("my own")
    with pytest.raises(SweepError, match="is there already"):
        export.target("digits", None, "py")


def test_an_unknown_ending_and_a_folder_that_is_not_there_are_told(mixed: Any, tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"a\.cvs: .*Did you mean '\.csv'"):
        export.write(tmp_path / "a.cvs", *mixed)
    with pytest.raises(SweepError, match="can't be written: No such file"):
        export.write(tmp_path / "gone" / "a.csv", *mixed)
