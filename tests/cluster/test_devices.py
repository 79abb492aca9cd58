"""Real sweeps with devices: each trial sees its own before its process begins, and no device gets more than its share.

No GPU is needed: what is held here is which names a trial is given, and when. Real ones: `benchmarks/gpu_check.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import distributed
import pytest
from jobfiles import JobFolder
from kernels import Kernel
from waiting import wait_for

from jupyter_sweep import Int, Space, run
from jupyter_sweep.errors import SweepError
from jupyter_sweep.executors.base import Event, Finished, Lost, Started, Task
from jupyter_sweep.executors.dask import DaskExecutor
from jupyter_sweep.handle import Handle
from jupyter_sweep.live import sweep

#: Notes what the trial's environment held when its process was made, and from when to when it ran. Waits until so many
#: trials have begun as `together` says, so that those that may run at once do.
BODY = """
k = randint(1, {n})
import json
began = dict(v.split("=", 1) for v in open("/proc/self/environ").read().split("\\0") if "=" in v)
note = {{"pid": os.getpid(), "from": time.time(), "device": began.get("CUDA_VISIBLE_DEVICES"), "env": began}}
open(f"begun-{{k}}", "w").close()
limit = time.monotonic() + 20
while sum(name.startswith("begun-") for name in os.listdir()) < {together} and time.monotonic() < limit:
    time.sleep(0.01)
time.sleep({s})
note["to"] = time.time()
json.dump(note, open(f"note-{{k}}.json", "w"))
loss = k
"""
VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
)


@pytest.fixture(autouse=True)
def _nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def body(n: int, *, together: int = 1, s: float = 0.1) -> str:
    return BODY.format(n=n, together=together, s=s)


def notes(handle: Handle) -> list[dict[str, Any]]:
    """Give what the trials noted; each has run once and its device is in the store, too."""
    assert handle.counts == {"completed": len(list(Path().glob("note-*.json")))}, handle.df.to_string()
    found = {int(path.stem[5:]): json.loads(path.read_text()) for path in Path().glob("note-*.json")}
    assert {t.params["k"]: t.device for t in handle.trials()} == {k: note["device"] for k, note in found.items()}
    return list(found.values())


def at_once(found: list[dict[str, Any]]) -> dict[str, int]:
    """Give how many trials ran at once on each device at most."""
    steps = defaultdict(list)
    for note in found:
        for device in note["device"].split(","):
            steps[device] += [(note["from"], 1), (note["to"], -1)]
    most = {}
    for device, own in steps.items():
        now = 0
        for _, step in sorted(own):
            now += step
            most[device] = max(most.get(device, 0), now)
    return most


# -- this machine -----------------------------------------------------------------------------------------------------


def test_a_trial_has_its_device_before_its_process_begins_and_a_process_of_its_own(home: Path) -> None:
    with Kernel(Path()) as kernel:
        handle = kernel.sweep("each --min loss -n 4 --grid --gpus 1 --devices 0,1", body(4, together=2))
        found = notes(handle)
        assert {t.worker for t in handle.trials()} == {"local/0", "local/1"}
    assert at_once(found) == {"0": 1, "1": 1}
    assert len({note["pid"] for note in found}) == 4
    for note in found:
        told = {name: note["env"].get(name) for name in VARIABLES}
        one = note["device"]
        assert list(told.values()) == [one, "PCI_BUS_ID", one, None, one]


def test_devices_are_those_of_the_starting_process_and_no_others(home: Path) -> None:
    with Kernel(Path(), {"CUDA_VISIBLE_DEVICES": "2,3"}) as kernel:
        handle = kernel.sweep("own --min loss -n 4 --grid --on gpu", body(4, together=2))
        assert {note["device"] for note in notes(handle)} == {"2", "3"}
        said = kernel.refused("%%sweep other --min loss -n 4 --devices 0\n" + body(4))
    assert "device 0 is not among those that this process may use (2,3)" in said


def test_a_trial_without_devices_sees_the_users_own_environment(home: Path) -> None:
    own = {"CUDA_VISIBLE_DEVICES": "5", "HIP_VISIBLE_DEVICES": "1", "ZE_AFFINITY_MASK": ""}
    with Kernel(Path(), own) as kernel:
        handle = kernel.sweep("plain --min loss -n 2 --grid", body(2))
        found = [json.loads(path.read_text()) for path in Path().glob("note-*.json")]
        assert {t.device for t in handle.trials()} == {""}
    for note in found:
        assert {name: note["env"].get(name) for name in VARIABLES} == {**dict.fromkeys(VARIABLES), **own}


def test_sweeps_with_other_shares_do_not_mix(home: Path) -> None:
    with Kernel(Path()) as kernel:
        kernel.cell("%%sweep a --min loss -n 6 --grid --gpus 0.5 --devices 0 --bg\n" + body(6, together=2))
        kernel.sweep(
            "b --min loss -n 3 --grid --on local",
            "x = randint(1, 3)\nloss = x * len(os.environ.get('CUDA_VISIBLE_DEVICES', ''))",
        )
        assert kernel.value("sweep('b').best.metrics['loss']") == 0
        assert kernel.value("sweep('a').wait(60)")
        assert at_once(notes(sweep("a"))) == {"0": 2}


def test_a_sweep_that_runs_keeps_its_devices(home: Path) -> None:
    with Kernel(Path()) as kernel:
        slow = "k = randint(1, 9)\ntime.sleep(600)\nloss = k"
        kernel.cell(f"%%sweep keeps --min loss --devices 0 --bg\n{slow}")
        wait_for(lambda: sweep("keeps").counts.get("running"))
        said = kernel.refused(f"%%sweep keeps --min loss --devices 0,1 --bg\n{slow}")
        assert "%sweep stop keeps" in said
        sweep("keeps").stop()
        assert sweep("keeps").wait(20)
        kernel.cell("%%sweep keeps --min loss --devices 0,1 --bg\n" + slow)
        wait_for(lambda: sweep("keeps").counts.get("running") == 2)
        sweep("keeps").stop()


def test_no_device_is_a_mistake_before_anything_starts(home: Path) -> None:
    with Kernel(Path(), {"CUDA_VISIBLE_DEVICES": ""}) as kernel:
        said = kernel.refused("%%sweep none --min loss --gpus 1\nk = randint(1, 9)\nloss = k")
    assert "--gpus 1: no device can be used here" in said
    assert not home.exists()


def test_the_view_shows_the_device_and_the_header_what_is_shared(home: Path) -> None:
    with Kernel(Path()) as kernel:
        kernel.cell(
            "%%sweep seen --min loss -n 2 --grid --gpus 0.5 --devices 0 --no-canary --bg\n"
            "k = randint(1, 2)\nwhile not os.path.exists('gate'):\n    time.sleep(0.02)\nloss = k"
        )
        handle = sweep("seen")
        wait_for(lambda: handle.counts.get("running") == 2)
        state = handle.snapshot()
        assert [row["device"] for row in state["rows"]] == ["0", "0"]
        assert state["sweep"]["where"] == "local, device 0 (0.5 a trial) · 2 at once"
        Path("gate").touch()
        assert handle.wait(60)
        assert list(handle.df["device"]) == ["0", "0"]
        assert handle.df["peak_gpu_memory_gb"].isna().all()  # there is no driver to tell


# -- an executor of its own -------------------------------------------------------------------------------------------


@contextmanager
def executor_on(word: str, share: Mapping[str, Any], slots: int | None = None) -> Iterator[DaskExecutor]:
    executor = DaskExecutor(word, slots=slots, options={"share": dict(share)})
    try:
        yield executor
    finally:
        executor.close()


class Trials:
    """Trials sent to an executor, one batch each; one that comes back before it began is sent again, as a loop does."""

    def __init__(self, executor: DaskExecutor, folder: JobFolder) -> None:
        self.executor, self.folder, self.events = executor, folder, list[Event]()
        self._tasks: dict[int, Task] = {}

    def submit(self, source: str, n: int = 1) -> list[int]:
        job = self.folder.write(source)
        for _ in range(n):
            payload = self.folder.task(job, isolation="fresh")
            del payload["ticket"]
            self._tasks[payload["trial_id"]] = task = Task(payload["trial_id"], payload)
            self.executor.submit([task])
        return list(self._tasks)[-n:]

    def until(self, kind: Any, n: int) -> list[Any]:
        """Wait for `n` events of a kind; give all of that kind."""
        limit = time.monotonic() + 60
        while len(found := [event for event in self.events if isinstance(event, kind)]) < n:
            assert time.monotonic() < limit, self.events
            for event in self.executor.events(0.05):
                if isinstance(event, Finished) and event.state == "cancelled":
                    self.executor.submit([self._tasks[event.trial_id]])
                else:
                    self.events.append(event)
        return found

    def ran(self) -> list[dict[str, Any]]:
        """Give the device of each trial and the times that its slot had it."""
        ended = {event.trial_id: event for event in self.events if isinstance(event, Finished)}
        assert {event.state for event in ended.values()} == {"completed"}
        started = [event for event in self.events if isinstance(event, Started)]
        return [{"device": e.device, "from": e.at, "to": ended[e.trial_id].at} for e in started]


#: Waits until so many trials have begun, so that those that may run at once do.
MEETING = """
import os, time
open(f"begun-{{os.getpid()}}", "w").close()
limit = time.monotonic() + 20
while sum(name.startswith("begun-") for name in os.listdir()) < {} and time.monotonic() < limit:
    time.sleep(0.01)
loss = 1
"""


@pytest.mark.parametrize(
    ("gpus", "devices", "jobs", "most"),
    [
        pytest.param(0.5, "0", None, {"0": 2}, id="two share a device and a third waits"),
        pytest.param(1, "0,0,1", None, {"0": 2, "1": 1}, id="a device that is listed twice serves two"),
        pytest.param(2, "0,1,2,3", None, {"0": 1, "1": 1, "2": 1, "3": 1}, id="trials of two have different ones"),
        pytest.param(0.25, "0,1", 2, {"0": 1, "1": 1}, id="fewer trials than shares are spread over the devices"),
        pytest.param(1, "0", 8, {"0": 1}, id="more jobs than shares are as many as the shares"),
        pytest.param(0.2, "0", None, {"0": 5}, id="five shares are five slots of two worker processes"),
    ],
)
def test_a_device_has_as_many_trials_at_once_as_it_has_shares_and_no_more(
    gpus: float, devices: str, jobs: int | None, most: dict[str, int], tmp_path: Path
) -> None:
    together = sum(most.values()) // max(1, int(gpus))
    with executor_on("local", {"gpus": gpus, "devices": devices.split(",")}, jobs) as executor:
        assert executor.slots == together
        trials = Trials(executor, JobFolder(tmp_path / "sweeps"))
        trials.submit(MEETING.format(together), 2 * together + 1)
        trials.until(Finished, 2 * together + 1)
    assert at_once(trials.ran()) == most


def test_a_worker_that_is_killed_comes_back_with_its_devices(tmp_path: Path) -> None:
    with executor_on("local", {"gpus": 1, "devices": ["0", "1"]}) as executor:
        trials = Trials(executor, JobFolder(tmp_path / "sweeps"))
        trials.submit("import time\ntime.sleep(600)\nloss = 1", 2)
        assert {event.device for event in trials.until(Started, 2)} == {"0", "1"}
        os.kill(next(pid for row in executor.workers() if (pid := row["pid"])), 9)
        trials.until(Lost, 2)
        trials.events.clear()
        trials.submit("import time\ntime.sleep(0.2)\nloss = 1", 4)
        trials.until(Finished, 4)
    assert at_once(trials.ran()) == {"0": 1, "1": 1}


def test_the_device_of_a_busy_slot_is_in_its_row(tmp_path: Path) -> None:
    with executor_on("threads", {"gpus": 0.5, "devices": ["7"]}) as executor:
        trials = Trials(executor, JobFolder(tmp_path / "sweeps"))
        (number,) = trials.submit("import time\ntime.sleep(600)\nloss = 1")
        trials.until(Started, 1)
        rows = executor.workers()
        assert [row["device"] for row in rows if row["trials"] == [number]] == ["7"]
        assert len(rows) == 2


# -- workers of somebody else -----------------------------------------------------------------------------------------


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Any]:
    """A Dask scheduler, and a way to start workers with an environment of their own."""
    with ExitStack() as stack:

        def start(*arguments: str, env: Mapping[str, str] | None = None) -> None:
            command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
            log = stack.enter_context(open(tmp_path / f"{arguments[0]}.log", "ab"))
            own = {name: value for name, value in os.environ.items() if name != "JUPYTER_SWEEP_HOME"}
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**own, **(env or {})}, cwd=tmp_path)
            stack.callback(process.wait)
            stack.callback(process.kill)

        file = tmp_path / "scheduler.json"
        start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        wait_for(lambda: file.exists() and file.read_text().endswith("}"))
        address = json.loads(file.read_text())["address"]

        def workers(*visible: str, threads: int = 1) -> str:
            for names in visible:
                env = {"CUDA_VISIBLE_DEVICES": names}
                start("dask_worker", address, "--nthreads", str(threads), "--no-dashboard", "--no-nanny", env=env)
            from distributed import Client

            with Client(address, set_as_default=False) as client:
                client.wait_for_workers(len(visible), timeout=60)
            return str(address)

        yield workers


def test_a_remote_worker_gives_out_the_devices_of_its_own_environment(scheduler: Any, home: Path) -> None:
    address = scheduler("3")
    with Kernel(Path(), {"CUDA_VISIBLE_DEVICES": "0"}) as kernel:
        handle = kernel.sweep(f"far --min loss -n 3 --grid --gpus 1 --on {address}", body(3))
        assert {note["device"] for note in notes(handle)} == {"3"}


def test_workers_without_a_device_get_no_trial_that_wants_one(scheduler: Any, home: Path) -> None:
    address = scheduler("-1", "4", "-1", threads=2)
    with Kernel(Path()) as kernel:
        handle = kernel.sweep(f"some --min loss -n 6 --grid --gpus 0.5 --on {address}", body(6, together=2))
        assert at_once(notes(handle)) == {"4": 2}
        assert len({t.worker.rpartition(".")[0] for t in handle.trials()}) == 1


class LikeLocalCUDACluster(distributed.LocalCluster):  # type: ignore[misc]
    """A LocalCUDACluster as far as we see it: each worker sees all devices, its own first."""

    def __init__(self, devices: list[str]) -> None:
        self._devices = deque(devices)
        super().__init__(n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0")
        self.scale(len(devices))

    def new_worker_spec(self) -> dict[Any, Any]:
        visible = ",".join(self._devices)
        self._devices.rotate(-1)
        new = super().new_worker_spec()
        return {
            name: {**s, "options": {**s["options"], "env": {"CUDA_VISIBLE_DEVICES": visible}}}
            for name, s in new.items()
        }


def waits(k: int) -> float:
    import time

    time.sleep(0.3)
    return k


def test_the_workers_of_a_live_local_cuda_cluster_share_out_what_they_see(home: Path) -> None:
    with LikeLocalCUDACluster(["5", "7"]) as cluster:
        cluster.wait_for_workers(2, timeout=60)
        handle = run(waits, Space(k=Int(1, 6)), name="cuda", min="loss", algo="grid", on=cluster, gpus=1)
        assert handle.counts == {"completed": 6}
        assert set(handle.df["device"]) == {"5", "7"}
        spans = [{"device": t.device, "from": t.started_at, "to": t.finished_at} for t in handle.trials()]
        assert at_once(spans) == {"5": 1, "7": 1}


def test_a_cluster_without_any_device_is_refused_with_what_its_workers_say(scheduler: Any, home: Path) -> None:
    address = scheduler("", "-1")
    with pytest.raises(SweepError, match=rf"--gpus 1: no device can be used on the workers of {address}: .*hides all"):
        DaskExecutor(address, options={"share": {"gpus": 1}})
