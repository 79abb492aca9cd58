"""What is said of jobs and what is submitted for it: words, scripts of four batch systems, and the book of the jobs.

No batch system is needed here: scripts are read word by word, and the book is told what is seen.
"""

from __future__ import annotations

import itertools
import shlex
from dataclasses import dataclass
from typing import Any

import pytest

from jupyter_sweep import SweepError
from jupyter_sweep.executors import clusters
from jupyter_sweep.executors.backends import jobqueue_words as words
from jupyter_sweep.executors.backends import slurm
from jupyter_sweep.executors.backends.jobqueue_book import GONE_S, NEW_S, Book, Job, Over
from jupyter_sweep.executors.backends.jobqueue_script import lifetime
from jupyter_sweep.executors.backends.jobqueue_wanted import MAX_STILLBORN, Wanted

MARKS = {"slurm": "#SBATCH", "pbs": "#PBS", "sge": "#$", "lsf": "#BSUB"}


def script(word: str, *, slots: int | None = None, **options: Any) -> list[str]:
    """The lines of the job script that --dry-run prints."""
    text = clusters.describe(clusters.parse(word, options), slots)
    return text.partition("\n\n")[2].splitlines()


def directives(word: str, **options: Any) -> list[str]:
    mark = MARKS[str(options.get("on", word)).partition(":")[0]]
    return [line.removeprefix(mark).strip() for line in script(word, **options) if line.startswith(mark)]


def refusal(word: str, **options: Any) -> str:
    with pytest.raises(SweepError) as refused:
        clusters.describe(clusters.parse(word, options))
    return str(refused.value)


# -- the script of each batch system ----------------------------------------------------------------------------------


def test_slurm_is_asked_for_what_the_word_says() -> None:
    found = directives("slurm:partition=gpu,walltime=2h,cores=4,memory=8G,account=physics,qos=high,extra=-C v100")
    assert found == [
        "-J sweep",
        "-p gpu",
        "-A physics",
        "-n 1",
        "--cpus-per-task=4",
        "--mem=8G",
        "-t 02:00:00",
        "-o sweeps/.driver/job-logs/%j.log",
        "--qos=high",
        "-C v100",
    ]


def test_pbs_is_asked_for_what_the_word_says() -> None:
    found = directives("pbs:queue=long,walltime=90m,cores=4,memory=8G,account=physics")
    assert found == [
        "-N sweep",
        "-q long",
        "-A physics",
        "-l select=1:ncpus=4:mem=8192MB",
        "-l walltime=01:30:00",
        "-o sweeps/.driver/job-logs/",
        "-j oe",
    ]


def test_grid_engine_is_asked_for_what_the_word_says() -> None:
    found = directives("sge:queue=all.q,walltime=1d,account=physics,cores=4,extra=-pe smp 4")
    assert found == [
        "-N sweep",
        "-q all.q",
        "-P physics",
        "-l h_rt=24:00:00",
        "-cwd",
        "-j y",
        "-o sweeps/.driver/job-logs/",
        "-pe smp 4",
    ]


def test_lsf_is_asked_for_what_the_word_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSF_ENVDIR", "/nowhere")  # without a site's lsf.conf memory is in KB
    found = directives("lsf:queue=normal,walltime=90m,cores=4,memory=8G,account=physics")
    assert found == [
        "-J sweep",
        "-q normal",
        '-P "physics"',
        "-n 4",
        '-R "span[hosts=1]"',
        "-M 8589935",
        "-W 01:30",
        "-o sweeps/.driver/job-logs/%J.log",
    ]


@pytest.mark.parametrize("kind", MARKS)
def test_what_nobody_said_is_left_to_the_site_but_the_time(kind: str) -> None:
    text = "\n".join(directives(kind))
    assert not any(word in text for word in ("mem", "-M", "-q", "-p ", "-A", "-P", "gpu", "None"))
    assert "01:00" in text


@pytest.mark.parametrize(
    ("kind", "asked"),
    [("slurm", "--gres=gpu:2"), ("pbs", "-l select=1:ncpus=2:ngpus=2"), ("lsf", '-gpu "num=2"')],
)
def test_devices_are_asked_for_as_the_trials_of_a_job_need_them(kind: str, asked: str) -> None:
    assert asked in directives(f"{kind}:cores=2", share={"gpus": 1})


def test_devices_that_extra_asks_for_are_not_asked_for_twice() -> None:
    found = directives("slurm:extra=--gpus=v100:1", share={"gpus": 1})
    assert found[-1] == "--gpus=v100:1"
    assert not any("gres" in line for line in found)


def test_trials_that_share_a_device_share_a_job() -> None:
    text = clusters.describe(clusters.parse("slurm", {"share": {"gpus": 0.5}}), 4)
    assert text.startswith(
        "up to 2 slurm jobs of 01:00:00 with 2 cores and 2 trials at once, submitted as there is work."
    )
    assert "--gres=gpu:1" in text


def test_grid_engine_has_no_directive_of_its_own_for_cores_memory_and_devices() -> None:
    said = refusal("sge:cores=4,memory=8G")
    assert "extra=-pe smp 4" in said
    assert "extra=-l mem_free=8G" in said
    assert "extra=-l gpu=1" in refusal("sge", share={"gpus": 1})


@pytest.mark.parametrize("kind", MARKS)
def test_the_worker_leaves_before_its_job_ends_and_looks_after_as_many_trials_as_fit(kind: str) -> None:
    extra = {"extra": "-pe smp 4"} if kind == "sge" else {}
    command = shlex.split(script("lab", on=f"{kind}:walltime=1h,cores=4", share={"cpus": 2}, **extra)[-1])
    option = dict(itertools.pairwise(command))
    assert command[1:3] == ["-m", "distributed.cli.dask_worker"]
    assert option["--nthreads"] == "2"
    assert float(option["--lifetime"].rstrip("s")) + float(option["--lifetime-stagger"].rstrip("s")) < 3600
    assert float(option["--death-timeout"]) <= 60
    assert option["--memory-limit"] == "0"
    assert option["--dashboard-address"] == "127.0.0.1:0"
    assert "--nanny" in command


@pytest.mark.parametrize("walltime_s", [30.0, 60.0, 600.0, 3600.0, 86400.0])
def test_a_worker_always_has_some_time_and_never_all_of_it(walltime_s: float) -> None:
    lives_s, stagger_s = lifetime(walltime_s)
    assert 0 < lives_s - stagger_s < lives_s + stagger_s < walltime_s


def test_a_profile_says_what_a_word_can_not() -> None:
    lines = script(
        "lab",
        on="slurm:partition=gpu",
        env={"TOKEN": "it's"},
        prescript=["module load cuda", "source env.sh"],
        postscript="echo done",
        log_folder="/scratch/my logs",
        python="/opt/my env/bin/python",
        interface="ib0",
    )
    text = "\n".join(lines)
    assert '#SBATCH -o "/scratch/my logs/%j.log"' in lines
    order = [
        "export TOKEN=",
        "module load cuda",
        "source env.sh",
        "export JUPYTER_SWEEP_TRIAL_ENV=",
        " --name ",
        "echo done",
    ]
    assert sorted(order, key=text.index) == order
    assert shlex.split(next(line for line in lines if "TOKEN" in line)) == ["export", "TOKEN=it's"]
    assert "'/opt/my env/bin/python' -m distributed.cli.dask_worker" in text
    assert "--interface ib0" in text


# -- words ------------------------------------------------------------------------------------------------------------


def test_a_comma_within_extra_belongs_to_it_until_an_option_of_ours_follows() -> None:
    found = words.read("slurm:extra=--gres=gpu:1,shard:2,cores=2,partition=a,b", {})
    assert (found["extra"], found["cores"], found["partition"]) == (["--gres=gpu:1,shard:2"], 2, "a,b")


def test_all_mistakes_of_a_word_are_told_at_once() -> None:
    said = refusal("slurm:partiton=gpu,walltime=soon,cores=0,cores=2,memory=lots,prescript=x")
    for part in (
        "'partiton'. Did you mean 'partition'?",
        "walltime",
        "cores is given twice",
        "memory",
        "prescript can only",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("slurm:", "nothing stands behind the colon"),
        ("slurm:gpu", "write slurm:partition=gpu"),
        ("pbs:gpu", "write pbs:queue=gpu"),
        ("pbs:partition=gpu", "Did you mean 'queue'?"),
        ("slurm:queue=gpu", "Did you mean 'partition'?"),
        ("lsf:qos=high", "lsf has no option 'qos'"),
        ("slurm:partition=a b", "wants a name"),
        ("slurm:max_jobs=0", "wants a whole number from 1"),
    ],
)
def test_a_word_that_says_nothing_useful_is_told_what_would(word: str, part: str) -> None:
    assert part in refusal(word)


def test_an_option_stands_in_the_word_or_in_the_profile() -> None:
    assert "stands in the profile, too" in refusal("lab", on="slurm:cores=2", cores=4)


def test_a_job_too_small_for_one_trial_is_a_mistake() -> None:
    assert "cores=2 are fewer than one trial's --cpus 4" in refusal("lab", on="slurm:cores=2", share={"cpus": 4})
    assert "memory=2G is less than one trial's --mem 4G" in refusal("lab", on="slurm:memory=2G", share={"mem": 4})


@pytest.mark.parametrize(
    ("settings", "share", "slots", "shape"),
    [
        ({}, {}, None, (1, 1, None, 4)),
        ({}, {"cpus": 3}, 2, (1, 3, None, 2)),
        ({"cores": 8}, {"cpus": 2}, 6, (4, 8, None, 2)),
        ({"cores": 8}, {"cpus": 2, "mem": 2}, None, (4, 8, 9.0, 4)),
        ({"cores": 8, "memory": 5}, {"mem": 2}, None, (2, 8, 5, 4)),
        ({"max_jobs": 3}, {}, 64, (1, 1, None, 3)),
        ({"max_jobs": 8}, {}, None, (1, 1, None, 8)),
        ({}, {"gpus": 0.25}, 2, (2, 2, None, 1)),
    ],
)
def test_jobs_are_as_large_and_as_many_as_trials_need(
    settings: dict[str, Any], share: dict[str, Any], slots: int | None, shape: tuple[Any, ...]
) -> None:
    assert tuple(words.shape("slurm", settings, share, slots)) == shape


# -- what Slurm says --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("9:58", 598), ("1:02:03", 3723), ("2-00:00:01", 172801), ("INVALID", None), ("UNLIMITED", None), ("", None)],
)
def test_durations_are_read_as_slurm_writes_them(text: str, seconds: float | None) -> None:
    assert slurm.seconds(text) == seconds


@pytest.mark.parametrize(
    ("reason", "is_hopeless"),
    [
        ("Resources", False),
        ("Priority", False),
        ("QOSMaxJobsPerUserLimit", False),
        ("AssocGrpCpuLimit", False),
        ("Nodes required for job are DOWN, DRAINED or reserved", False),
        ("PartitionTimeLimit", True),
        ("InvalidAccount", True),
        ("QOSMaxWallDurationPerJobLimit", True),
        ("AssocMaxCpuPerJobLimit", True),
        ("Job's account not known, so it can't use this partition (physics allows physics)", True),
    ],
)
def test_only_what_a_person_has_to_mend_is_hopeless(reason: str, is_hopeless: bool) -> None:
    assert slurm.Standing("1", "PD", reason, "").is_hopeless is is_hopeless
    assert not slurm.Standing("1", "R", reason, "n1").is_hopeless


# -- the book ---------------------------------------------------------------------------------------------------------


@dataclass
class Made:
    """Stands for dask-jobqueue's job."""

    job_id: str | None
    error: str = ""


WALLTIME_S, LIVES_S, STAGGER_S = 3600.0, 3480.0, 60.0


def book_of(n: int, now: float = 0.0) -> Book:
    book = Book("slurm", WALLTIME_S, LIVES_S, STAGGER_S)
    book.jobs.update({str(i): Job(Made(f"10{i}"), now) for i in range(n)})
    return book


def here(*names: str) -> dict[str, str]:
    return {name: f"tls://{name}" for name in names}


def stand(name: str, state: str, reason: str = "", left_s: float | None = None) -> dict[str, slurm.Standing]:
    return {f"10{name}": slurm.Standing(f"10{name}", state, reason, "", left_s)}


def whys(over: list[Over]) -> list[str]:
    return [each.why for each in over]


def test_a_job_that_was_cancelled_is_over_once_its_worker_is_gone() -> None:
    book = book_of(2)
    assert book.judge(here("0", "1"), 2, 1.0) == []
    book.hear({**stand("0", "CA"), **stand("1", "R")}, 3.0)
    assert book.judge(here("0", "1"), 2, 3.0) == []
    assert whys(book.judge(here("1"), 2, 4.0)) == ["CA"]
    assert book.staying() == ["1"]
    assert "slurm job 100 ended" in book.end_of_worker("tls://0")
    assert not book.due


def test_a_job_without_a_worker_waits_as_long_as_the_queue_lets_it() -> None:
    book = book_of(1)
    for now in (5.0, 500.0, 50000.0):
        book.hear(stand("0", "PD", "Priority"), now)
        assert book.judge({}, 1, now) == []
    assert book.rows({}) == {"0": {"job": "100", "job_state": "PD", "reason": "Priority", "node": ""}}


def test_a_job_that_the_queue_forgot_or_will_never_start_is_over() -> None:
    for standing, why in (({}, "no such job"), (stand("0", "PD", "PartitionTimeLimit"), "PartitionTimeLimit")):
        book = book_of(1)
        book.hear(standing, NEW_S - 1)
        assert book.judge({}, 1, NEW_S - 1) == []
        book.hear(standing, NEW_S + 1)
        (over,) = book.judge({}, 1, NEW_S + 1)
        assert why in over.why
        assert over.is_stillborn


def test_where_the_queue_is_not_asked_a_job_is_over_with_its_worker() -> None:
    book = book_of(1)
    assert book.judge(here("0"), 1, 1.0) == []
    assert book.judge({}, 1, GONE_S) == []
    (over,) = book.judge({}, 1, GONE_S + 2)
    assert not over.is_stillborn


def test_a_job_takes_no_new_trial_in_its_last_part_and_goes_before_its_time_is_up() -> None:
    book = book_of(1)
    assert book.judge(here("0"), 1, 10.0) == []
    assert book.spare(here("0"), {"tls://0"}, 1, LIVES_S / 2) == []
    assert book.spare(here("0"), {"tls://0"}, 1, 0.95 * LIVES_S) == ["tls://0"]
    assert book.staying() == []
    (over,) = book.judge(here("0"), 1, LIVES_S)
    assert "nearly up" in over.why
    assert book.due == {"tls://0"}


def test_a_job_whose_worker_came_late_ends_by_the_clock_of_the_queue() -> None:
    book = book_of(1)
    book.judge(here("0"), 1, 1000.0)
    book.hear(stand("0", "R", left_s=WALLTIME_S - 900), 1000.0)
    assert book.judge(here("0"), 1, LIVES_S + 90) == []
    assert len(book.judge(here("0"), 1, LIVES_S + 101)) == 1


def test_jobs_too_many_go_waiting_ones_first_then_idle_ones_and_busy_ones_last() -> None:
    book = book_of(4)
    present = here("0", "1", "2")
    book.judge(present, 4, 1.0)
    assert [over.job.id for over in book.judge(present, 3, 2.0)] == ["103"]
    assert book.spare(present, {"tls://1", "tls://2"}, 2, 3.0) == ["tls://0"]
    assert set(book.spare(present, {"tls://1", "tls://2"}, 1, 4.0)) == {"tls://0", "tls://2"}
    book.dismiss(["0"])
    assert [over.job.id for over in book.judge(present, 1, 5.0)] == ["100"]


def test_a_job_that_should_not_be_there_any_more_is_named() -> None:
    book = book_of(1)
    assert book.hear({**stand("0", "R"), **stand("7", "R"), **stand("8", "CA")}, 1.0) == ["107"]


def test_more_jobs_are_wanted_at_once_and_fewer_when_they_were_enough_for_a_while() -> None:
    wanted = Wanted(idle_s=60)
    assert wanted.note(3, 4, 0.0)
    assert wanted.note(9, 4, 1.0)
    assert wanted.jobs == 4
    assert not wanted.note(0, 4, 10.0)
    assert not wanted.note(4, 4, 50.0)
    assert not wanted.note(1, 4, 60.0)
    wanted.note(1, 4, 119.0)
    assert wanted.jobs == 4
    wanted.note(1, 4, 121.0)
    assert wanted.jobs == 1
    wanted.note(0, 4, 122.0)
    wanted.note(0, 4, 183.0)
    assert wanted.jobs == 0


def test_fewer_jobs_that_there_may_be_are_wanted_at_once() -> None:
    wanted = Wanted(idle_s=60)
    wanted.note(8, 8, 0.0)
    wanted.note(8, 2, 1.0)
    assert wanted.jobs == 2


def test_jobs_that_end_too_early_are_tried_one_at_a_time_and_then_no_more_until_nothing_was_wanted() -> None:
    wanted, now = Wanted(idle_s=60), 0.0
    wanted.note(8, 8, now)
    assert wanted.to_submit(0, float("inf"), now) == 8
    for i in range(1, MAX_STILLBORN):
        assert not wanted.note_stillborn(now, last_straw=True)
        assert wanted.to_submit(0, float("inf"), now) == 0
        now += 2.0 * i
        assert wanted.to_submit(0, float("inf"), now) == 1
    assert wanted.note_stillborn(now, last_straw=True)
    wanted.give_up("why")
    assert wanted.to_submit(0, float("inf"), now + 1000) == 0
    wanted.note(8, 8, now)
    wanted.note(0, 8, now + 10)
    assert not wanted.over
    assert wanted.to_submit(0, 3, now + 10) == 3
