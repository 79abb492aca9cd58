"""The tutorial is the test: its notebooks are executed as a reader would, and what they left is looked at."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from jupyter_sweep import sweep

ROOT = Path(__file__).resolve().parent.parent


pytestmark = pytest.mark.slow


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Execute a notebook in `folder` and give it with its outputs."""
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    )
    return client.execute()


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / name, as_version=4)


def texts(notebook: nbformat.NotebookNode, start: str) -> list[str]:
    """Give the plain text of the result of every cell whose source starts so."""
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.source.startswith(start)]
    results = [[o.data["text/plain"] for o in c.outputs if o.output_type == "execute_result"] for c in cells]
    return ["\n".join(result) for result in results]


def printed(notebook: nbformat.NotebookNode, start: str) -> str:
    """Give what the cells printed whose source starts so."""
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.source.startswith(start)]
    return "".join(o.text for c in cells for o in c.outputs if o.output_type == "stream")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert code
    assert [c.source for c in code if c.outputs or c.execution_count] == []


def test_the_first_cell_of_the_readme_runs_as_pasted(home: Path, nothing_left: None) -> None:
    fences = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in fences[:2]]
    execute(nbformat.v4.new_notebook(cells=cells), home.parent)
    assert sweep("curve").counts == {"completed": 30}
    assert sweep("curve").best.metrics["loss"] < 1e-3


@pytest.mark.timeout(400)
def test_the_first_notebook_finds_a_good_model_and_run_again_starts_nothing(home: Path, nothing_left: None) -> None:
    first = execute(read("01_first_sweep.ipynb"), home.parent)
    digits = sweep("digits")
    assert digits.counts == {"completed": 40}
    assert digits.best is not None
    assert digits.best.metrics["acc"] > 0.95
    assert texts(first, "width, lr, solver")[0].endswith("True)"), "a replayed trial gave another metric"

    numbers = [t.number for t in digits.trials()]
    started = [t.started_at for t in digits.trials()]
    again = execute(read("01_first_sweep.ipynb"), home.parent)
    assert [t.number for t in sweep("digits").trials()] == numbers
    assert [t.started_at for t in sweep("digits").trials()] == started
    assert len(sweep("digits").versions) == 1
    assert texts(again, "digits.best.params") == texts(first, "digits.best.params")


@pytest.mark.timeout(400)
def test_the_second_notebook_runs_what_is_missing_and_nothing_else(home: Path, nothing_left: None) -> None:
    done = execute(read("02_rerun_edit_resume.ipynb"), home.parent)
    assert texts(done, "def trials()") + texts(done, "trials()") == [
        "{'version 1': 12}",
        "{'version 1': 12}",
        "{'version 1': 20}",
        "{'version 1': 24}",
        "{'version 1': 24, 'version 2': 24}",
        "({'version 1': 24, 'version 2': 24, 'version 3': 24}, 2)",
    ]
    assert sweep("slow").counts == {"completed": 24}
    assert sweep("orphan").counts == {"completed": 12}
    assert max(t.attempt for t in sweep("slow").trials()) <= 2, "the death of the driver cost a trial more than once"


@pytest.mark.timeout(400)
def test_the_third_notebook_saves_epochs_and_says_what_each_rule_cost(home: Path, nothing_left: None) -> None:
    done = execute(read("03_early_stopping.ipynb"), home.parent)
    full, halved, median = (sweep(name) for name in ("full", "halved", "median"))
    assert full.counts == {"completed": 24}
    assert max(len(halved.curves), len(median.curves)) < 0.75 * len(full.curves)
    points = [t.params for t in full.trials()]
    assert [t.params for t in median.trials()] == points
    assert [t.params for t in halved.trials()][:24] == points
    (top,) = texts(done, "top = sweep")
    assert "completed" in top
    assert "NaN" not in top
    assert "pruned" in printed(done, "first_pruned")


@pytest.mark.timeout(400)
def test_the_fourth_notebook_keeps_the_branches_apart(home: Path, nothing_left: None) -> None:
    execute(read("04_conditional_spaces.ipynb"), home.parent)
    wine = sweep("wine").df
    assert len(wine) == 60
    assert set(wine["kind"][40:]) == {"svm"}
    assert wine.loc[wine["kind"] == "svm", ["depth", "leaf", "k"]].isna().all(axis=None)
    assert wine.loc[wine["kernel"] == "linear", "gamma"].isna().all()
    assert sweep("small").counts == {"completed": 9}


@pytest.mark.timeout(400)
def test_the_fifth_notebook_tells_luck_from_what_is_kept(home: Path, nothing_left: None) -> None:
    done = execute(read("05_repeats_and_honest_best.ipynb"), home.parent)
    assert sweep("noisy").counts == {"completed": 120}
    assert "120 trials of 24 configurations" in printed(done, "noisy = sweep")
    numbers = re.findall(r"promised (\S+), kept (\S+)", printed(done, "def promised_and_kept"))
    (lucky, lucky_kept), *honest = [(float(promised), float(kept)) for promised, kept in numbers]
    assert lucky > lucky_kept
    assert [kept > promised for promised, kept in honest] == [True, True]


@pytest.mark.timeout(400)
def test_the_sixth_notebook_runs_one_sweep_in_four_places(
    home: Path, nothing_left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_SWEEP_IDLE_S", "30")  # it looks at a cluster that waits
    done = execute(read("06_clusters.ipynb"), home.parent)
    assert sweep("ridge").counts == {"completed": 18}
    assert {"local", "inline", "threads"} < {t.worker.partition("/")[0] for t in sweep("ridge").trials()}
    assert "ssh -p 2222 me@beta sh" in printed(done, "%%sweep ridge --max acc -n 40 --on lab")
    assert "#SBATCH -p gpu" in printed(done, "%%sweep ridge --max acc -n 40 --on night")
    assert "--needs takes night." in printed(done, '%sweep clusters "')
    assert not (home.parent / "sweeps.toml").exists()


@pytest.mark.timeout(400)
def test_the_seventh_notebook_runs_what_the_sidebar_shows(home: Path, nothing_left: None) -> None:
    execute(read("07_form_and_sidebar.ipynb"), home.parent)
    assert [sweep(name).counts for name in ("by_chance", "by_model")] == [{"completed": 40}] * 2


@pytest.mark.timeout(400)
def test_the_eighth_notebook_says_the_same_to_optuna(home: Path, nothing_left: None) -> None:
    done = execute(read("08_coming_from.ipynb"), home.parent)
    assert texts(done, "written = optuna") == ["(True, 20)"]
    assert sum(sweep("function").counts.values()) == 8


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_every_picture_of_a_notebook_is_there(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    named = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", "\n".join(c.source for c in notebook.cells))
    assert [name for name in named if not (path.parent / name).is_file()] == []
