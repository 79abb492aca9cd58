"""What the README and the notebooks say is there; what is there, they say."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import nbformat
import pytest

from jupyter_sweep import plugins
from jupyter_sweep.executors.backends import class_words
from jupyter_sweep.magics import verbs
from jupyter_sweep.notation import profiles, specs, table

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOTEBOOKS = "\n".join(
    cell.source for path in sorted((ROOT / "notebooks").glob("*.ipynb")) for cell in nbformat.read(path, 4).cells
)
DOCS = README + NOTEBOOKS
FENCES = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def option_row(option: table.Option) -> str:
    """Give the row of the README's table for an option of the line."""
    spelled = ", ".join(f"`{s}{' ' + option.metavar if option.metavar else ''}`" for s in option.spellings)
    return f"| {spelled} | {option.help} |"


def verb_row(verb: verbs.Verb) -> str:
    """Give the row of the README's table for a verb of `%sweep`."""
    return f"| `{f'%sweep {verb.name} {verb.usage}'.rstrip()}` | {verb.help} |"


def extras() -> dict[str, list[str]]:
    """Give what each extra of pyproject.toml brings; an installed package may be older than the file."""
    tables = profiles.parsed((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(tables["project"]["optional-dependencies"])


def parts(needs: list[str]) -> list[str]:
    """Give the extras of ours among what an extra brings."""
    return [name for need in needs for name in re.findall(r"^jupyter-sweep\[(.*)\]$", need) for name in name.split(",")]


def extras_of_messages() -> Iterator[str]:
    """Give the extras that an error tells to install."""
    yield from class_words.EXTRAS.values()
    yield from (plugins.load("tracker", name).extra for name in plugins.BUILT_IN["tracker"])
    for path in sorted((ROOT / "jupyter_sweep").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        yield from re.findall(r"jupyter-sweep\[(\w+)\]", source)
        yield from re.findall(r'MissingExtra\([^,]+, "(\w+)"', source)


def plain(source: str) -> str:
    """Take the magics out of a cell."""
    return re.sub(r"^(%%?\w.*)$", "", source, flags=re.MULTILINE)


def test_the_readme_holds_the_table_of_options_word_for_word() -> None:
    expected = [option_row(option) for option in table.OPTIONS]
    assert re.findall(r"^\| `-.*$", README, re.MULTILINE) == expected


def test_the_readme_holds_the_table_of_verbs_word_for_word() -> None:
    expected = [verb_row(verb) for verb in verbs.VERBS]
    assert re.findall(r"^\| `%sweep.*`.*$", README, re.MULTILINE)[: len(expected)] == expected


@pytest.mark.parametrize("name", sorted({*table.PLANNED, *verbs.PLANNED, *chain(*specs.PLANNED.values())}))
def test_what_this_release_lacks_is_named_as_lacking(name: str) -> None:
    (limits,) = re.findall(r"^## Limits of this release$(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    assert re.search(rf"`(--)?{name}`", limits)


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in plugins.BUILT_IN for n in plugins.BUILT_IN[k]])
def test_every_plug_in_is_mentioned(kind: str, name: str) -> None:
    assert re.search(rf"`{name}`|--(algo|stop|on) {name}\b", DOCS), f"{kind} {name}"


@pytest.mark.parametrize("fence", [text for language, text in FENCES if language == "python"])
def test_python_of_the_readme_parses(fence: str) -> None:
    ast.parse(plain(fence))


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(
        re.findall(r"\bmake (\w+)", "\n".join([*re.findall(r"`([^`\n]*)`", README), *(t for _, t in FENCES)]))
    )
    assert targets >= {"demo", "test", "lab"}
    assert targets - set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) == set()


def test_every_extra_that_is_named_exists() -> None:
    known = extras()
    named = {name for found in re.findall(r"(?:\.|jupyter-sweep)\[([\w,]+)\]", DOCS) for name in found.split(",")}
    told = set(extras_of_messages())
    assert {"all", "dashboard", "ssh"} <= named
    assert {"mlflow", "parquet", "slurm", "cloud"} <= told
    assert (named | told) - known.keys() == set()
    assert {name for name, needs in known.items() for name in parts(needs)} - known.keys() == set()


def test_every_extra_is_named_in_the_readme() -> None:
    assert [name for name in extras() if name != "dev" and not re.search(rf"`{name}`|\[{name}\]", README)] == []


def test_the_extra_all_brings_each_extra_but_those_of_other_peoples_machines() -> None:
    known = extras()
    brought = set(parts(known["all"]))
    brought |= {part for name in brought for part in parts(known[name])}
    assert known.keys() - brought == {"all", "dev", "cloud", "k8s"}


def test_every_link_of_the_readme_to_a_file_leads_to_one() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_entry_point_groups_of_the_readme_are_those_that_are_read() -> None:
    assert set(re.findall(r"`jupyter_sweep\.(\w+)s`", README)) >= set(plugins.BUILT_IN)


def with_examples() -> list[str]:
    """Give the modules whose docstrings show a session."""
    found = [path for path in (ROOT / "jupyter_sweep").rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]
    return sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found)


@pytest.mark.parametrize("name", with_examples())
def test_the_examples_of_docstrings_give_what_they_show(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
