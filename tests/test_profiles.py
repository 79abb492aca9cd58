"""Profiles: found, read, checked whole, laid under the line; and the ones that the README shows."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from jupyter_sweep.errors import Mistakes, SweepError
from jupyter_sweep.executors import clusters
from jupyter_sweep.notation import profiles
from jupyter_sweep.notation.options import from_keywords, parse_line
from jupyter_sweep.runner import places

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = "\n".join(re.findall(r"^```toml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE))
NAMES = re.findall(r"^\[profiles\.(\w+)\]", EXAMPLES, re.MULTILINE)


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the notebook, with the folder of Jupyter's settings elsewhere."""
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "settings"))
    (tmp_path / "settings").mkdir()
    (tmp_path / "notebook").mkdir()
    monkeypatch.chdir(tmp_path / "notebook")
    return tmp_path / "notebook"


def write(folder: Path, text: str) -> None:
    (folder / profiles.FILE).write_text(text)


def mistakes(folder: Path, text: str) -> list[str]:
    """Give what is wrong with a file."""
    write(folder, text)
    with pytest.raises(Mistakes) as caught:
        profiles.load()
    return [str(mistake) for mistake in caught.value.mistakes]


# -- those of the README ----------------------------------------------------------------------------------------------


@pytest.fixture
def examples(beside: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, profiles.Profile]:
    """The README's profiles, read; the files of certificates that they name are there."""
    monkeypatch.setenv("HOME", str(beside))
    for named in re.findall(r'"~/([^"]+)"', EXAMPLES):
        (beside / named).parent.mkdir(exist_ok=True)
        (beside / named).touch()
    write(beside, EXAMPLES)
    return profiles.load()


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_of_the_readme_is_read_and_says_what_it_would_start(
    name: str, examples: dict[str, profiles.Profile]
) -> None:
    spec = parse_line(f"--min loss --on {name}").executor
    assert spec == examples[name].spec
    where = clusters.parse(spec.name, spec.options)
    if where.kind == "class":
        module = where.options["class"].rpartition(".")[0]
        pytest.importorskip(module, reason="the class's package is not installed", exc_type=ImportError)
    if where.kind == "slurm" and importlib.util.find_spec("dask_jobqueue") is None:
        pytest.skip("dask-jobqueue is not installed")  # not imported here: that changes what an interrupt does
    assert clusters.describe(where)


def test_the_readme_has_a_profile_of_every_kind_that_takes_options(examples: dict[str, profiles.Profile]) -> None:
    kinds = {profile.on.partition(":")[0] for profile in examples.values()}
    assert kinds == {"local", "ssh", "slurm", "tls", "class"}
    top = {p.on.removeprefix("class:").partition(".")[0] for p in examples.values() if p.on.startswith("class:")}
    assert top == {"dask_cloudprovider", "dask_kubernetes", "dask_gateway", "coiled"}


# -- where they lie ---------------------------------------------------------------------------------------------------


def test_a_profile_beside_the_notebook_counts_more_than_jupyters(beside: Path) -> None:
    write(beside.parent / "settings", '[profiles.a]\non = "threads"\n[profiles.b]\non = "threads"')
    write(beside, '[profiles.a]\non = "local"')
    assert {name: p.on for name, p in profiles.load().items()} == {"a": "local", "b": "threads"}


def test_no_file_is_no_profile(beside: Path) -> None:
    assert profiles.load() == {}


def test_an_option_on_the_line_counts_more_than_the_profile(beside: Path) -> None:
    write(beside, '[profiles.lab]\non = "slurm"\npartition = "gpu"')
    sweep = parse_line("--min loss --on lab --cpus 4 --mem 2G")
    assert sweep.executor.options["share"]["cpus"] == 4
    assert from_keywords(min="loss", on="lab").on == parse_line("--min loss --on lab").on


def test_a_slip_in_the_name_of_a_profile_is_met_with_the_nearest(beside: Path) -> None:
    write(beside, '[profiles.night]\non = "local"')
    with pytest.raises(Mistakes, match=r"Did you mean 'night'\? Allowed: local, .*; profiles: night\."):
        parse_line("--min loss --on nigth")


# -- mistakes ---------------------------------------------------------------------------------------------------------


def test_all_mistakes_of_a_file_are_told_at_once_with_file_line_and_table(beside: Path) -> None:
    text = """
        [profiles.one]
        on = "slurm"
        partion = "gpu"
        walltime = "2 parsec"

        [profiles.two]
        on = "shh:a"

        [profiles.three]
        cpu = {mem = "64", croes = 3}

        [other]
    """
    said = mistakes(beside, "\n".join(line.strip() for line in text.splitlines()))
    wanted = ("got 'other'", "'partition'", "walltime", "'ssh'", "cpu.mem", "'cores'", "on, the word of --on")
    for part in wanted:
        assert [text for text in said if part in text], part
    assert all(str(beside / profiles.FILE) in text for text in said)
    assert any("line 2, [profiles.one]" in text for text in said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[profiles.local]\non = 'threads'", "'local' is a kind of place of its own"),
        ("[profiles.person]\non = 'threads'", "'person' is a kind of place of its own"),
        ("[profiles.a]\non = 'inline'", "inline runs in the kernel itself"),
        ("[profiles.a]\non = 3", "on, the word of --on"),
        ("[profiles.a]\non = 'class:a.B'\ntoken = 'x'", "token looks like a secret"),
        ("[profiles.a]\non = 'class:a.B'\nenv_vars = {AWS_SECRET_ACCESS_KEY = 'x'}", "env_vars.AWS_SECRET_ACCESS_KEY"),
        ("[profiles.a]\non = 'local'\nslots = 3", "no option slots"),
        ("[profiles.a]\non = 'tcp://h:1'\ntls_ca_file = '/x'", "no option 'tls_ca_file'"),
        ("[profiles.a]\non = 'tls://h:1'\ntls_ca_file = '/nowhere'", "there is no file /nowhere"),
        ("[profiles.a]\non = 'class:a.B'\nwhen = 2026-11-21", "when wants a text, a number"),
        ("profiles = 3", "tables of their own"),
        ("[profiles.a", "can't be read"),
    ],
)
def test_a_single_mistake_is_a_single_message(text: str, said: str, beside: Path) -> None:
    found = mistakes(beside, text)
    assert len([one for one in found if said in one]) == 1, found
    assert all(profiles.FILE in one for one in found)


def test_a_file_with_mistakes_stops_only_what_needs_it(beside: Path) -> None:
    write(beside, "[profiles.a]\non = 'nowhere'")
    assert parse_line("--min loss --on threads").on.name == "threads"
    with pytest.raises(SweepError, match="no place to run"):
        parse_line("--min loss --on a")


# -- a list of them ---------------------------------------------------------------------------------------------------


def test_a_list_of_places_tells_of_each_how_it_is(beside: Path) -> None:
    write(beside, "[profiles.here]\non = 'local'\n[profiles.gone]\non = 'tcp://127.0.0.1:1'")
    found = {place.name: place for place in places.places(None)}
    assert list(found) == ["local", "here", "gone"]
    assert found["here"].ok
    assert found["here"].slots == found["local"].slots == clusters.usable_cores()
    assert "distributed" in found["here"].versions
    assert not found["gone"].ok
    assert "nobody answers there" in found["gone"].health
    text = places.in_words(list(found.values()))
    assert [line.split()[0] for line in text.splitlines()[1:4]] == ["local", "here", "gone"]
    assert str(beside / profiles.FILE) in text
