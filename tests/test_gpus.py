"""How devices become slots: pure laws, what is refused, and what this host's driver is asked (a stand-in for it)."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st
from jobfiles import JobFolder, Runner

from jupyter_sweep.definition import Spec, Sweep
from jupyter_sweep.errors import SweepError
from jupyter_sweep.executors import clusters, gpus, machine
from jupyter_sweep.executors.clusters import Where
from jupyter_sweep.jobs.base import JobRef, Resources
from jupyter_sweep.notation.options import build, parse_line
from jupyter_sweep.space.parameter import Choice
from jupyter_sweep.space.space import Space
from jupyter_sweep.worker import devices as law
from jupyter_sweep.worker import nvml, threads

DEVICES = st.lists(st.sampled_from(["0", "1", "2", "3", "GPU-4f"]), max_size=8)
PARTS = st.sampled_from([1.0, 0.9, 0.5, 0.34, 0.33, 0.3, 0.25, 0.2, 0.1, 0.07])
WHOLE = st.integers(1, 5)
_HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")


@pytest.fixture(autouse=True)
def _nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*_HIDING, "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


def build_line(line: str) -> Sweep:
    options = parse_line(f"{line} --min loss")
    return build(options, name="s", space=Space(x=Choice(1, 2)), job=JobRef("cell", "0" * 32, ""))


# -- sharing out ------------------------------------------------------------------------------------------------------


@given(DEVICES, PARTS)
def test_a_part_of_a_device_fills_each_listed_device_as_far_as_it_goes_and_no_further(
    devices: list[str], part: float
) -> None:
    each = Counter(name for (name,) in law.share_out(devices, part))
    for name, listed in Counter(devices).items():
        per_listing = each[name] / listed
        assert per_listing == int(per_listing)
        assert per_listing * part <= 1 + 1e-6 < (per_listing + 1) * part + 2e-6


@given(DEVICES, WHOLE)
def test_several_devices_are_different_ones_and_none_is_given_out_more_often_than_listed(
    devices: list[str], gpus: int
) -> None:
    sets = law.share_out(devices, gpus)
    assert all(len(set(own)) == gpus for own in sets)
    assert Counter(itertools.chain(*sets)) <= Counter(devices)


@given(DEVICES, WHOLE)
def test_no_other_choice_would_give_more_slots(devices: list[str], gpus: int) -> None:
    listed = Counter(devices).values()
    n = len(law.share_out(devices, gpus))
    assert sum(min(n, times) for times in listed) >= n * gpus
    assert sum(min(n + 1, times) for times in listed) < (n + 1) * gpus  # so many can't be had at all


@given(DEVICES, PARTS)
def test_each_device_gets_its_first_trial_before_any_gets_its_second(devices: list[str], part: float) -> None:
    first = [own[0] for own in law.share_out(devices, part)[: len(devices)]]
    assert first == devices


@pytest.mark.parametrize(
    ("devices", "gpus", "slots"),
    [
        ("0,0,1", 1, ["0", "0", "1"]),
        ("0,1", 0.5, ["0", "1", "0", "1"]),
        ("0", 0.3, ["0", "0", "0"]),
        ("0,1,2,3", 2, ["0,1", "2,3"]),
        ("0,1,2", 2, ["0,1"]),
        ("0,0,1", 2, ["0,1"]),
        ("0", 2, []),
    ],
)
def test_devices_become_slots(devices: str, gpus: float, slots: list[str]) -> None:
    assert [",".join(own) for own in law.share_out(devices.split(","), gpus)] == slots


# -- the words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "gpus", "devices"),
    [
        ("", 0, ()),
        ("--gpus 2", 2, ()),
        ("--gpus 0.5 --devices 0,0,1", 0.5, ("0", "0", "1")),
        ("--devices 1", 1, ("1",)),
        ("--devices GPU-4f1c,MIG-77/1/0", 1, ("GPU-4f1c", "MIG-77/1/0")),
        ("--on gpu", 1, ()),
        ("--on gpu --gpus 0.25", 0.25, ()),
    ],
)
def test_the_line_says_what_a_trial_has(line: str, gpus: float, devices: tuple[str, ...]) -> None:
    assert build_line(line).resources == Resources(gpus=gpus, devices=devices)


def test_on_gpu_is_on_local_with_a_device() -> None:
    assert build_line("--on gpu").executor == build_line("--on local --gpus 1").executor


def test_another_share_is_another_drivers_business_and_none_is_nobodys() -> None:
    lines = ["--gpus 1", "--gpus 0.5", "--gpus 1 --devices 0", "--cpus 2", ""]
    executors = [build_line(line).executor for line in lines]
    assert all(a != b for a, b in itertools.combinations(executors, 2))
    assert executors[-1] == Spec("local")


def test_devices_of_this_machine_stay_within_what_the_starting_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    share = build_line("--gpus 1").executor.options["share"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert gpus.here(share).sets == [("2",), ("3",)]
    with pytest.raises(SweepError, match=r"device 0 is not among .*\(2,3\)"):
        gpus.here({**share, "devices": ["0", "2"]})


def test_a_definition_of_an_earlier_release_is_read_and_has_no_devices() -> None:
    stored = build_line("--cpus 2").to_json()
    del stored["resources"]["devices"], stored["resources"]["gpus"]
    assert Sweep.from_json(stored, name="s").resources == Resources(cpus=2)


def test_devices_come_back_as_they_went_into_the_store() -> None:
    import json

    sweep = build_line("--gpus 0.5 --devices 0,0,1")
    assert Sweep.from_json(json.loads(json.dumps(sweep.to_json())), name="s").resources == sweep.resources


@pytest.mark.parametrize(
    ("share", "parts"),
    [
        ({"gpus": 2, "devices": ["0"]}, ("--gpus 2", "1 device", "--gpus 1")),
        ({"gpus": 1, "visible": {"CUDA_VISIBLE_DEVICES": "-1"}}, ("--gpus 1", "CUDA_VISIBLE_DEVICES", "--devices")),
        ({"gpus": 3, "visible": {"CUDA_VISIBLE_DEVICES": "4,5"}}, ("--gpus 3", "2 devices", "--gpus 2")),
    ],
)
def test_what_can_not_be_had_is_refused_with_the_way_out(share: dict[str, Any], parts: tuple[str, ...]) -> None:
    with pytest.raises(SweepError) as caught:
        gpus.here(share)
    assert [part for part in parts if part not in str(caught.value)] == []


def test_several_mig_instances_are_refused_for_one_trial() -> None:
    assert "MIG" in gpus.mistakes(2, ["MIG-1", "MIG-2"])[0]
    assert gpus.mistakes(1, ["MIG-1", "MIG-2"]) == []


# -- cores and memory -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cpus", "cores", "slots"), [(1, 8, 8), (3, 8, 2), (16, 8, 1), (0.5, 8, 16), (0.1, 3, 30)])
def test_slots_are_cores_divided_by_those_of_a_trial(
    cpus: float, cores: int, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "usable_cores", lambda: cores)
    assert clusters.slots_here(Where("local", "local", share={"cpus": cpus})) == slots


def test_devices_make_the_slots_unless_a_trial_wants_more_cores_than_that_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clusters, "usable_cores", lambda: 4)
    share = {"gpus": 0.25, "devices": ["0", "1"]}
    assert clusters.slots_here(Where("local", "local", share=share)) == 8
    assert clusters.slots_here(Where("local", "local", share={**share, "cpus": 2})) == 2


def test_memory_that_trials_may_take_together_but_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_gb", lambda: 30.0)
    where = clusters.parse("local")
    assert clusters.warnings(where, 3, 10.0) == []
    assert clusters.warnings(where, 100, None) == []
    (said,) = clusters.warnings(where, 4, 10.0)
    assert "4 trials" in said
    assert "30 GB" in said
    assert "--jobs 3" in said
    assert "no trial" in clusters.warnings(where, 1, 64.0)[0]


def test_a_quota_of_the_cgroup_counts_as_cores_and_a_limit_as_memory(tmp_path: Path) -> None:
    assert machine.usable_cores(tmp_path) == len(os.sched_getaffinity(0))
    for file, text in {
        "cpu.max": "100000 100000",
        "cpu/cpu.cfs_quota_us": "-1",
        "cpu/cpu.cfs_period_us": "100000",
        "memory.max": str(3 << 30),
        "memory/memory.limit_in_bytes": str(2 << 30),
    }.items():
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    one_tree = "0::" in Path("/proc/self/cgroup").read_text()
    assert machine.usable_cores(tmp_path) == (1 if one_tree else len(os.sched_getaffinity(0)))
    assert machine.memory_gb(tmp_path) <= 3.0


_THREADS = "import numpy, threadpoolctl\nloss = max(pool['num_threads'] for pool in threadpoolctl.threadpool_info())"


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh", "inline"])
def test_numerical_libraries_use_the_cores_of_the_trial_in_every_isolation(isolation: str, tmp_path: Path) -> None:
    runner = Runner(JobFolder(tmp_path / "sweeps"))
    try:
        assert runner.body(_THREADS, isolation=isolation)["metrics"] == {"loss": 1.0}
    finally:
        runner.slot.close()


def test_libraries_that_are_loaded_get_their_own_threads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = SimpleNamespace(threads=6, get_num_threads=lambda: torch.threads)
    torch.set_num_threads = lambda n: setattr(torch, "threads", n)
    monkeypatch.setitem(sys.modules, "torch", torch)

    def seen() -> list[int]:
        return [*(pool["num_threads"] for pool in threadpoolctl.threadpool_info()), torch.threads]

    before = seen()
    with threads.limited(1.5):
        assert set(seen()) == {1}
    assert seen() == before


# -- what a process may use, and what a trial is told -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, None),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, ["2", "3"]),
        ({"CUDA_VISIBLE_DEVICES": "1,0,2"}, ["1", "0", "2"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "0,-1,1"}, ["0"]),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, []),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1a2b, MIG-3c"}, ["GPU-1a2b", "MIG-3c"]),
        ({"ROCR_VISIBLE_DEVICES": "GPU-x,5"}, ["0", "1"]),
        ({"ROCR_VISIBLE_DEVICES": "4,5", "HIP_VISIBLE_DEVICES": "1"}, ["1"]),
        ({"ZE_AFFINITY_MASK": "0.1,1"}, ["0.1", "1"]),
    ],
)
def test_the_environment_says_which_devices_a_process_may_use(environ: dict[str, str], names: list[str] | None) -> None:
    assert law.visible(environ) == names


@given(st.lists(st.integers(0, 9).map(str), min_size=1, unique=True), st.data())
def test_an_offer_never_leaves_the_devices_of_its_process(allowed: list[str], data: st.DataObject) -> None:
    environ = {"CUDA_VISIBLE_DEVICES": ",".join(allowed)}
    chosen = data.draw(st.lists(st.integers(0, 9).map(str)))
    assert set(law.offer(environ, chosen).devices) <= set(allowed)


def test_numbers_of_our_own_finding_are_in_the_order_of_the_bus_and_those_given_to_us_in_theirs() -> None:
    assert law.environment(["1"], {}) == {
        "CUDA_VISIBLE_DEVICES": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "HIP_VISIBLE_DEVICES": "1",
        "ZE_AFFINITY_MASK": "1",
    }
    assert "CUDA_DEVICE_ORDER" not in law.environment(["1"], {"CUDA_VISIBLE_DEVICES": "0,1"})
    own = {"CUDA_VISIBLE_DEVICES": "0,1", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}
    assert law.environment(["1"], own)["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"
    assert law.environment(["MIG-1"], {}).keys() == {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"}


# -- claims of several workers ----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(DEVICES, st.one_of(PARTS, WHOLE), st.lists(st.integers(1, 3), max_size=5), st.data())
def test_workers_of_a_host_that_see_the_same_devices_never_share_a_share(
    devices: list[str], gpus: float, sizes: list[int], data: st.DataObject
) -> None:
    topic = f"test-{os.getpid()}-{data.draw(st.uuids(version=4)).hex[:8]}"
    claims = [law.Claim(data.draw(st.permutations(devices)), gpus, most, topic) for most in sizes]
    try:
        assert all(len(claim.sets) <= most for claim, most in zip(claims, sizes, strict=True))
        taken = Counter(name for claim in claims for own in claim.sets for name in own)
        for name, listed in Counter(devices).items():
            assert taken[name] * gpus <= listed + 1e-6 if gpus < 1 else taken[name] <= listed
        if gpus <= 1:  # then none is left over while a worker has room
            assert sum(len(c.sets) for c in claims) == min(sum(sizes), len(law.share_out(devices, gpus)))
    finally:
        for claim in claims:
            claim.close()


def test_a_share_comes_back_when_its_worker_is_killed(tmp_path: Path) -> None:
    topic = f"test-{os.getpid()}-killed"
    code = f"""
        import sys, time
        from jupyter_sweep.worker import devices
        claim = devices.Claim(["0", "1"], 1, 1, {topic!r})
        print(claim.sets, flush=True)
        time.sleep(600)
    """
    with subprocess.Popen([sys.executable, "-c", dedent(code)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "[('0',)]\n"
        mine = law.Claim(["0", "1"], 1, 5, topic)
        assert mine.sets == [("1",)]
        other.kill()
        other.wait()
        again = law.Claim(["0", "1"], 1, 5, topic)
        assert again.sets == [("0",)]
    mine.close()
    again.close()


# -- what the driver says ---------------------------------------------------------------------------------------------

#: NVML as far as it is used: two devices, the second divided into two instances; what processes use comes from a file.
NVML = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } process;
static char parts[4];
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **h) { *h = parts + i; return 0; }
int nvmlDeviceGetUUID(void *h, char *s, unsigned n) {
    int i = (char *)h - parts;
    snprintf(s, n, i < 2 ? "GPU-%d" : "MIG-%d", i);
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *h, memory *m) {
    m->total = 24ull << 30; m->used = h == parts ? atoll(getenv("FAKE_USED")) : 0; m->free = m->total - m->used;
    return 0;
}
int nvmlDeviceGetMigMode(void *h, unsigned *now, unsigned *then) { *now = h == parts + 1; return 0; }
int nvmlDeviceGetMaxMigDeviceCount(void *h, unsigned *n) { *n = 3; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *h, unsigned i, void **part) {
    if (i == 2) return 6;
    *part = parts + 2 + i;
    return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *h, unsigned *n, process *rows) {
    unsigned room = *n;
    *n = 100;
    if (room < 100) return 7;
    memset(rows, 0, 100 * sizeof *rows);
    rows[99].pid = h == parts ? 77 : 78;
    rows[99].used = 5ull << 30;
    return 0;
}
"""
ASK = """
    import sys
    from jupyter_sweep.worker import devices, nvml
    nvml._LIBRARY = sys.argv[1]
    print([gpu.name for gpu in nvml.gpus()], nvml.used_by([77], ["0"]), nvml.used_by([77], ["GPU-0"]))
    print(nvml.used_by([77], ["MIG-2"]), nvml.used_by([78], ["MIG-2"]), nvml.used_by([1], ["0"]))
    print(devices.offer({}))
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler to build a stand-in for NVML")
def test_nvml_tells_devices_instances_their_use_and_that_of_processes(tmp_path: Path) -> None:
    (tmp_path / "nvml.c").write_text(NVML)
    library = tmp_path / "libnvml.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "nvml.c"], check=True)

    def ask(used: int) -> list[str]:
        env = {**os.environ, "FAKE_USED": str(used)}
        command = [sys.executable, "-c", dedent(ASK), library]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.splitlines()

    names, others, offer = ask(used=300 << 20)
    assert names == f"['0', 'MIG-2', 'MIG-3'] {5 << 30} {5 << 30}"
    assert others == f"None {5 << 30} None"
    assert offer == "Offer(devices=['0', 'MIG-2', 'MIG-3'], said=[])"
    *_, offer = ask(used=11 << 30)
    assert offer == "Offer(devices=['MIG-2', 'MIG-3'], said=['device 0 is in use: 11.0 of 24.0 GB'])"


def test_nvidia_smi_is_asked_where_nvml_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "_library", lambda: None)
    monkeypatch.setattr(law, "_RETURN_S", 0.0)
    smi = tmp_path / "nvidia-smi"
    smi.write_text(
        "#!/bin/sh\necho '0, GPU-aa, 12, 81559'\necho '1, GPU-bb, 70000, 81559'\necho '2, GPU-cc, [N/A], [N/A]'\n"
    )
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = law.offer({})
    assert found.devices == ["0", "2"]
    assert found.said == ["device 1 is in use: 68.4 of 79.6 GB"]
    assert law.offer({}, skip_busy=False).devices == ["0", "1", "2"]
    assert law.offer({}, ["1"]).devices == ["1"]  # believed
    assert law.offer({"CUDA_VISIBLE_DEVICES": "1"}).devices == ["1"]


def test_without_a_driver_there_is_no_device_and_the_message_says_who_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nvml, "_library", lambda: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SweepError, match=r"--gpus 1: no device can be used here: .*NVML.*nvidia-smi.*--devices 0,1"):
        gpus.here({"gpus": 1})
    assert nvml.used_by([os.getpid()], ["0"]) is None
