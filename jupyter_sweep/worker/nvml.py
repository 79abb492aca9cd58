"""What NVIDIA's driver tells of its GPUs: which there are, their memory, and what processes use of it.

NVML, the library that comes with the driver, is called by `ctypes`: this file travels to workers as source text, and a
worker has the driver but not always a Python package for it. Where the library can't be loaded `nvidia-smi` is asked.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import subprocess
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

_LIBRARY = "libnvidia-ml.so.1"
_QUERY = ("nvidia-smi", "--query-gpu=index,uuid,memory.used,memory.total", "--format=csv,noheader,nounits")
_SMI_S = 20.0
_TOO_SMALL = 7
_NO_VALUE = 2**64 - 1


class Gpu(NamedTuple):
    """One device: its number in order of the bus (or the name of a MIG instance), its UUID, bytes used and in all."""

    name: str
    uuid: str
    used: int
    total: int


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


class _Process(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


@functools.lru_cache(maxsize=1)
def _library() -> Any:
    """Give NVML, begun once a process, or None where there is no driver."""
    try:
        library = ctypes.CDLL(_LIBRARY)
        return library if library.nvmlInit_v2() == 0 else None
    except (OSError, AttributeError):
        return None


def gpus() -> list[Gpu]:
    """Give all devices of this host; a device that is divided into MIG instances counts as these."""
    library = _library()
    if library is None:
        return _ask_smi()
    return [gpu for gpu, _ in _devices(library)]


def used_by(pids: Collection[int], names: Collection[str]) -> int | None:
    """Give the bytes that processes use on devices; None where NVML names none of them.

    That is so before a process has touched a device, and in containers, where NVML knows processes by other numbers.
    """
    library = _library()
    if library is None:
        return None
    found: list[int] = []
    for gpu, handle in _devices(library):
        if gpu.name in names or any(gpu.uuid.startswith(name) for name in names if not name.isdigit()):
            found += [used for pid, used in _processes(library, handle) if pid in pids and used != _NO_VALUE]
    return sum(found) if found else None


def _devices(library: Any) -> Iterator[tuple[Gpu, Any]]:
    number = ctypes.c_uint()
    if library.nvmlDeviceGetCount_v2(ctypes.byref(number)):
        return
    for index in range(number.value):
        handle = ctypes.c_void_p()
        if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
            continue  # not ours to use
        parts = list(_instances(library, handle))
        for part in parts or [handle]:
            uuid, memory = ctypes.create_string_buffer(96), _Memory()
            library.nvmlDeviceGetUUID(part, uuid, len(uuid))
            library.nvmlDeviceGetMemoryInfo(part, ctypes.byref(memory))
            text = uuid.value.decode()
            yield Gpu(text if parts else str(index), text, memory.used, memory.total), part


def _instances(library: Any, handle: Any) -> Iterator[Any]:
    """Give the handles of a device's MIG instances; none where it is whole, or the driver knows no MIG."""
    mode, pending, most = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_uint()
    with contextlib.suppress(AttributeError):
        if library.nvmlDeviceGetMigMode(handle, ctypes.byref(mode), ctypes.byref(pending)) or not mode.value:
            return
        library.nvmlDeviceGetMaxMigDeviceCount(handle, ctypes.byref(most))
        for index in range(most.value):
            part = ctypes.c_void_p()
            if library.nvmlDeviceGetMigDeviceHandleByIndex(handle, index, ctypes.byref(part)) == 0:
                yield part


def _processes(library: Any, handle: Any) -> list[tuple[int, int]]:
    """Give pid and bytes of the processes that compute on a device."""
    ask = getattr(library, "nvmlDeviceGetComputeRunningProcesses_v3", None)
    if ask is None:
        return []
    room = 64
    while True:
        number, rows = ctypes.c_uint(room), (_Process * room)()
        answer = ask(handle, ctypes.byref(number), rows)
        if answer != _TOO_SMALL or room > 1 << 14:
            return [(row.pid, row.used) for row in rows[: number.value]] if answer == 0 else []
        room *= 4


def _ask_smi() -> list[Gpu]:
    try:
        text = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_SMI_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.count(",") == 3]
    return [Gpu(name, uuid, _mebibytes(used), _mebibytes(total)) for name, uuid, used, total in rows]


def _mebibytes(text: str) -> int:
    return int(text) << 20 if text.isdigit() else 0
