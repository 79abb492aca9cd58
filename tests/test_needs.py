"""`--needs`: requirements as Experimaestro writes them, held against what profiles say that they have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_sweep.errors import Mistakes, SweepError
from jupyter_sweep.notation import demands, needs, specs
from jupyter_sweep.notation.demands import Gpu, Need
from jupyter_sweep.notation.needs import Facts
from jupyter_sweep.notation.options import parse_line

G = 10**9
DAY = 86400
LAB = """
[profiles.small]
on = "local"
cpu = {mem = "8G", cores = 2}

[profiles.lab]
on = "threads"
duration = "2 days"
cpu = {mem = "64G", cores = 16}
gpus = [{kind = "cuda", mem = "24G"}, {kind = "cuda", mem = "16G"}]
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps.toml").write_text(LAB)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "duration=2 days & cuda(mem=16G) * 4 & cpu(mem=400M, cores=4)",
            [Need(2 * DAY, 0.4 * G, 4, (Gpu("cuda", 16 * G),) * 4)],
        ),
        ("duration=12h|duration=30 min", [Need(12 * 3600), Need(1800)]),
        ("cpu(mem=16GiB)", [Need(mem=16 * 2**30, cores=1)]),
        ("gpu*2", [Need(gpus=(Gpu("gpu"),) * 2)]),
        ("duration=1.5h & duration=1h & cpu(cores=2) & cpu(cores=8)", [Need(5400, 0, 8)]),
        ("cuda(mem=8G) & cuda(mem=16G)*2", [Need(gpus=(Gpu("cuda", 8 * G), *(Gpu("cuda", 16 * G),) * 2))]),
        (
            "duration=1h & (cuda(mem=8G) | cpu(cores=4))",
            [Need(3600, gpus=(Gpu("cuda", 8 * G),)), Need(3600, cores=4)],
        ),
    ],
)
def test_a_requirement_is_read(text: str, expected: list[Need]) -> None:
    assert list(demands.parse(text)) == expected


@pytest.mark.parametrize(
    "text", ["duration=2 days & cuda(mem=16G) * 4 & cpu(mem=400M, cores=4)", "gpu", "cpu(cores=3)"]
)
def test_what_is_read_can_be_written_and_read_again(text: str) -> None:
    (need,) = demands.parse(text)
    assert demands.parse(str(need)) == (need,)


@pytest.mark.parametrize(
    ("text", "said", "column"),
    [
        ("cuda(mem=16)", "unit of memory", 11),
        ("cuda(mem=16G) * 0", "whole number of devices, from 1", 16),
        ("cda(mem=16G)", "Did you mean 'cuda'?", 0),
        ("cpu(core=4)", "Did you mean 'cores'?", 4),
        ("cpu()", "cpu wants mem, cores or both", 3),
        ("duration=2 parsec", "unit of time", 11),
        ("cuda &", "wants a demand", 6),
        ("cuda cuda", "wants & or |", 5),
        ("(cuda", "wants ')'", 5),
        ("", "wants a demand", 0),
    ],
)
def test_what_can_not_be_read_is_shown_with_a_caret_and_an_example(text: str, said: str, column: int) -> None:
    with pytest.raises(SweepError) as caught:
        demands.parse(text)
    assert said in str(caught.value)
    assert demands.EXAMPLE in str(caught.value)
    assert str(caught.value).splitlines()[-1].index("^") == 4 + column


@pytest.mark.parametrize(
    ("need", "has", "why"),
    [
        ("cpu(cores=1)", Facts(), None),  # where Experimaestro's own wish for one core fails
        ("cpu(cores=2)", Facts(), "does not say how many"),
        ("duration=9 days", Facts(), None),
        ("duration=3 days", Facts(duration_s=2 * DAY), "3 days wanted, at most 2 days there"),
        ("cpu(mem=16G)", Facts(mem=16 * G), None),
        ("cpu(mem=17G)", Facts(mem=16 * G), "17G wanted, 16G there"),
        ("gpu(mem=8G)", Facts(gpus=(Gpu("mps", 16 * G),), mem=32 * G), None),
        ("cuda(mem=8G)", Facts(gpus=(Gpu("mps", 16 * G),), mem=32 * G), "gpus"),
        ("cuda(mem=8G)", Facts(gpus=(Gpu("mps", 32 * G), Gpu("cuda", 8 * G)), mem=64 * G), None),
        ("cuda(mem=8G) & cuda(mem=24G)", Facts(gpus=(Gpu("cuda", 24 * G), Gpu("cuda", 8 * G))), None),
        ("cuda(mem=16G) * 2", Facts(gpus=(Gpu("cuda", 24 * G), Gpu("cuda", 8 * G))), "2 x cuda(mem=16G) wanted"),
        ("mps(mem=12G) & cpu(mem=8G)", Facts(gpus=(Gpu("mps", 16 * G),), mem=16 * G), "together 20G"),
    ],
)
def test_a_place_has_what_is_needed_or_says_what_it_lacks(need: str, has: Facts, why: str | None) -> None:
    lacks = needs.why_not(demands.parse(need)[0], has)
    assert (lacks == []) if why is None else (len(lacks) == 1 and why in lacks[0]), lacks


def test_the_first_alternative_that_a_profile_meets_is_taken(lab: Path) -> None:
    assert parse_line('--min loss --needs "cuda(mem=16G)*2 | cpu(cores=1)"').on.name == "lab"
    assert parse_line('--min loss --needs "cuda(mem=80G) | cpu(cores=1)"').on.name == "small"


def test_a_named_profile_must_have_what_is_needed(lab: Path) -> None:
    assert parse_line('--min loss --on lab --needs "cpu(cores=1)"').on.name == "lab"
    with pytest.raises(Mistakes, match=r"small: gpus: 1 x cuda wanted, none there"):
        parse_line("--min loss --on small --needs cuda")


def test_what_nobody_has_is_one_mistake_with_what_each_lacks(lab: Path) -> None:
    with pytest.raises(Mistakes) as caught:
        parse_line('--min loss --needs "cuda(mem=80G) | cpu(cores=99)"')
    assert len(caught.value.mistakes) == 1
    for part in ("1. cuda(mem=80G)", "2. cpu(cores=99)", "small: cores: 99 wanted, 2 there", "lab: cores: 99"):
        assert part in str(caught.value)


def test_the_report_is_plain_data_with_every_reason(lab: Path) -> None:
    told = json.loads(json.dumps(specs.matching("cuda(mem=80G) | cuda(mem=20G)")))
    assert (told["profile"], told["alternative"]) == ("lab", 1)
    first, second = told["alternatives"]
    assert [row["matches"] for row in first["profiles"]] == [False, False]
    assert {row["name"]: bool(row["why"]) for row in second["profiles"]} == {"small": True, "lab": False}
