"""Look at real GPUs: packing, a device that waits, memory that comes back. Run it on a machine that has one.

python benchmarks/gpu_check.py [--device 0] [--gb 2]

Trials use torch where it is installed, else the driver's own library (libcuda), which needs no package. Prints one line
a check; the exit status is 1 when one does not hold, 2 where there is no device to look at.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: What a device may hold more after a trial than before it: contexts of others come and go.
SLACK_GB = 0.3
#: How long memory may take to come back.
BACK_S = 10.0


class Cuda:
    """As much of a device as `gb` gigabytes, held through torch or the driver's library."""

    def __init__(self, gb: float) -> None:
        nbytes = int(gb * 2**30)
        try:
            import torch
        except ImportError:
            self.seen, self.free_gb = _hold_by_driver(nbytes)
        else:
            self.seen, self.free_gb = torch.cuda.device_count(), torch.cuda.mem_get_info()[0] / 2**30
            self.held = torch.empty(nbytes, dtype=torch.uint8, device="cuda").fill_(1)
            torch.cuda.synchronize()


def _hold_by_driver(nbytes: int) -> tuple[int, float]:
    """Give the devices that this process sees and the free memory of the first, then hold `nbytes` of it to the end."""
    import ctypes

    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name: str, *arguments: object) -> None:
        status = getattr(cuda, name)(*arguments)
        if status:
            raise RuntimeError(f"{name} gives {status}")

    number, device, context, where = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    call("cuInit", 0)
    call("cuDeviceGetCount", ctypes.byref(number))
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)
    call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    call("cuMemAlloc_v2", ctypes.byref(where), ctypes.c_size_t(nbytes))
    call("cuMemsetD8_v2", where, ctypes.c_ubyte(1), ctypes.c_size_t(nbytes))
    call("cuCtxSynchronize")
    return number.value, free.value / 2**30


def packed(k: int) -> dict[str, float]:
    """Hold memory for two seconds."""
    cuda = Cuda(GB)
    time.sleep(2)
    return {"loss": k, "seen": cuda.seen}


def ends(k: int) -> dict[str, float]:
    """Hold memory and end well, by a crash, by a Python error, over time; what was free before is noted by all."""
    cuda = Cuda(GB)
    with open(f"free-{k}", "w") as file:
        file.write(str(cuda.free_gb))
    if k == 2:
        os._exit(7)
    if k == 3:
        os.kill(os.getpid(), 11)
    if k == 4:
        raise ValueError("on purpose")
    if k == 5:
        time.sleep(600)
    return {"loss": k}


class Checks:
    """What was expected and seen, a line each."""

    def __init__(self) -> None:
        self.failed = 0

    def note(self, what: str, seen: object, holds: bool) -> None:
        self.failed += not holds
        print(f"{'ok   ' if holds else 'WRONG'} {what}: {seen}", flush=True)


def used_gb(device: str) -> float:
    from jupyter_sweep.worker import nvml

    return next(gpu.used for gpu in nvml.gpus() if device in (gpu.name, gpu.uuid)) / 2**30


def sweep(name: str, job: Callable[..., Any], n: int, **options: Any) -> Any:
    from jupyter_sweep import Int, Space, run

    return run(job, Space(k=Int(1, n)), name=name, min="loss", algo="grid", keep_going=True, **options)


def check_packing(checks: Checks, device: str) -> None:
    handle = sweep("packed", packed, 3, gpus=0.5, devices=device)
    trials = handle.trials()
    if handle.counts != {"completed": 3}:
        checks.note("three trials of half a device", handle.df.to_string(), False)
        return
    spans = sorted((t.started_at, t.finished_at) for t in trials)
    most = max(sum(a <= begin < b for a, b in spans) for begin, _ in spans)
    checks.note("trials at once on one device with --gpus 0.5", most, most == 2)
    third = spans[2][0] - min(end for _, end in spans)
    checks.note("the third begins after the first end", f"{third:.2f} s after it", third >= -0.05)
    checks.note(
        "devices that each saw", {t.metrics["seen"] for t in trials}, {t.metrics["seen"] for t in trials} == {1}
    )
    checks.note("device in the table", set(handle.df["device"]), set(handle.df["device"]) == {device})
    peaks = [t.peak_gpu_memory_gb for t in trials]
    told = [peak for peak in peaks if peak is not None]
    checks.note("peak memory in the table (None: the driver names no processes here)", peaks, all(p > GB for p in told))


def check_memory_comes_back(checks: Checks, device: str) -> None:
    before = used_gb(device)
    handle = sweep("ends", ends, 6, gpus=1, devices=device, timeout=15)
    reasons = [trial.reason for trial in sorted(handle.trials(), key=lambda t: t.number)]
    checks.note("ends", reasons, reasons == ["", "crash", "crash", "error", "timeout", ""])
    free = [float(Path(f"free-{k}").read_text()) for k in range(1, 7)]
    checks.note(
        "GB free as each trial found it", [f"{gb:.2f}" for gb in free], max(free) - min(free) < min(SLACK_GB, GB / 2)
    )
    limit = time.monotonic() + BACK_S
    while used_gb(device) > before + SLACK_GB and time.monotonic() < limit:
        time.sleep(0.1)
    after = used_gb(device)
    checks.note("GB in use before and after", f"{before:.2f} {after:.2f}", after < before + SLACK_GB)


def check_busy_device(checks: Checks, device: str) -> None:
    """Have this process hold more of the device than counts as nothing, and see it left out."""
    from jupyter_sweep.worker import devices, nvml

    total = next(gpu.total for gpu in nvml.gpus() if device in (gpu.name, gpu.uuid)) / 2**30
    checks.note("offered while free", devices.offer({}).devices, device in devices.offer({}).devices)
    holder = Cuda(max(0.12 * total, 1.5))
    offer = devices.offer({})
    checks.note("left out while in use", offer.said, device not in offer.devices)
    del holder


@contextmanager
def own_folder() -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as folder:
        os.environ.update(JUPYTER_SWEEP_HOME=f"{folder}/sweeps", JUPYTER_SWEEP_IDLE_S="1")
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir("/")


def main() -> int:
    from jupyter_sweep.worker import nvml

    found = nvml.gpus()
    for gpu in found:
        print(f"device {gpu.name}: {gpu.uuid}, {gpu.used / 2**30:.2f} of {gpu.total / 2**30:.2f} GB in use")
    if DEVICE not in {name for gpu in found for name in (gpu.name, gpu.uuid)}:
        print(f"There is no device {DEVICE} to look at.")
        return 2
    checks = Checks()
    with own_folder():
        check_packing(checks, DEVICE)
        check_memory_comes_back(checks, DEVICE)
        check_busy_device(checks, DEVICE)  # last: this process holds memory from then on
    return 1 if checks.failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="0", help="number or UUID, as nvidia-smi has it")
    parser.add_argument("--gb", type=float, default=2.0, help="what a trial holds of the device")
    options = parser.parse_args()
    DEVICE, GB = options.device, options.gb
    sys.exit(main())
