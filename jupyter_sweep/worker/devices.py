"""GPUs as slots: which devices a worker may use, how they are shared out, and what a trial is told of its own.

A trial learns of its devices from its environment, set before its process begins: nothing that is imported later can
have looked at the others. There is no isolation beyond that; a share of a device is a promise not to start more.

Several Dask workers of one host may see the same devices. Each takes its shares by binding abstract sockets, names
that the kernel gives to one process only and takes back when it ends, however it ends: no file stays behind, and a
worker that is started again finds its share free.
"""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from . import nvml

DeviceSet = tuple[str, ...]

#: A device of which more than this is in use is somebody's already; a screen's few hundred megabytes don't count.
_BUSY_SHARE, _BUSY_BYTES = 0.1, 1 << 30
#: How long memory may take to come back after a worker died, and how long others may take to get their shares.
_RETURN_S, _GATE_S = 2.0, 10.0
_GB = 2**30


class Offer(NamedTuple):
    """The devices that a process may use, repeated ones as often as trials may share them; why others are left out."""

    devices: list[str]
    said: list[str]


def share_out(devices: Sequence[str], gpus: float) -> list[DeviceSet]:
    """Give the devices of each slot, as many slots as the devices allow.

    A fraction packs trials onto each device, the first of each device before the second of any. A whole number takes
    so many different devices together, neighbours in the list where none is repeated.

    >>> share_out(["0", "1"], 0.5)
    [('0',), ('1',), ('0',), ('1',)]
    >>> share_out(["0", "1", "2"], 2)
    [('0', '1')]
    """
    if gpus <= 1:
        return [(device,) for _ in range(int(1 / gpus + 1e-9)) for device in devices]
    left, order, sets = Counter(devices), list(dict.fromkeys(devices)), list[DeviceSet]()
    while True:
        # Always from those that are left most often: no other choice gives more sets.
        fullest = sorted((d for d in order if left[d]), key=lambda d: -left[d])[: int(gpus)]
        if len(fullest) < gpus:
            return sets
        left.subtract(fullest)
        sets.append(tuple(d for d in order if d in fullest))


def visible(environ: Mapping[str, str]) -> list[str] | None:
    """Give the devices to which an environment limits its process; None where it says nothing.

    >>> visible({"CUDA_VISIBLE_DEVICES": "2,3"})
    ['2', '3']
    """
    for variable in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"):
        if variable in environ:
            return _listed(environ[variable])
    if "ROCR_VISIBLE_DEVICES" in environ:  # applied below HIP, which counts from 0 what it leaves
        return [str(i) for i in range(len(_listed(environ["ROCR_VISIBLE_DEVICES"])))]
    return None


def _listed(text: str) -> list[str]:
    """Give the names up to the first that is none, as CUDA reads them: "-1" hides all after it."""
    names: list[str] = []
    for name in text.split(","):
        if not re.fullmatch(r"\d+(\.\d+)?|(GPU|MIG)-\S+", name.strip()):
            break
        names.append(name.strip())
    return list(dict.fromkeys(names))


def offer(environ: Mapping[str, str], chosen: Sequence[str] = (), *, skip_busy: bool = True) -> Offer:
    """Give the devices that this process may use.

    Those that `--devices` names are believed, and so is the environment, which a batch system or the user has set;
    neither is left. Otherwise the driver is asked, and devices in use by others are left out.
    """
    allowed = visible(environ)
    if chosen:
        outside = [d for d in dict.fromkeys(chosen) if allowed is not None and d not in allowed]
        said = [f"device {d} is not among those that this process may use ({','.join(allowed or [])})" for d in outside]
        return Offer([d for d in chosen if d not in outside], said)
    if allowed is not None:
        return Offer(allowed, [] if allowed else ["CUDA_VISIBLE_DEVICES (or its twin) hides all devices"])
    limit = time.monotonic() + _RETURN_S
    while True:
        found = nvml.gpus()
        busy = [gpu for gpu in found if gpu.used > max(_BUSY_SHARE * gpu.total, _BUSY_BYTES)] if skip_busy else []
        if not busy or time.monotonic() > limit:
            break
        time.sleep(0.25)
    said = [f"device {g.name} is in use: {g.used / _GB:.1f} of {g.total / _GB:.1f} GB" for g in busy]
    free = [gpu.name for gpu in found if gpu not in busy]
    return Offer(free, said if found else ["no GPU was found: neither NVML nor nvidia-smi answers"])


def environment(devices: Sequence[str], own: Mapping[str, str]) -> dict[str, str]:
    """Give what the environment of a trial says about its devices.

    ROCR_VISIBLE_DEVICES and ONEAPI_DEVICE_SELECTOR stay as they are: they filter below and above their twins, so the
    same number in both would name a device of a list that is one long already.

    Parameters
    ----------
    own
        The environment of the process that offered the devices. Where it limits them, its numbers are in its order.
    """
    names = ",".join(devices)
    said = {"CUDA_VISIBLE_DEVICES": names}
    if visible(own) is None:
        said["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as NVML and nvidia-smi count; CUDA's default puts the fastest first
    elif "CUDA_DEVICE_ORDER" in own:
        said["CUDA_DEVICE_ORDER"] = own["CUDA_DEVICE_ORDER"]
    if all(device.isdigit() for device in devices):
        said["HIP_VISIBLE_DEVICES"] = names
    if all(re.fullmatch(r"[\d.]+", device) for device in devices):
        said["ZE_AFFINITY_MASK"] = names
    return said


class Claim:
    """Shares of this host's devices that no other worker of the same executor has, until `close` or our end.

    Parameters
    ----------
    devices
        What this worker may use.
    gpus
        Devices of one slot, or the part of one.
    most
        Slots that this worker can serve.
    topic
        Names the executor: others take no part in this.
    """

    def __init__(self, devices: Sequence[str], gpus: float, most: int, topic: str) -> None:
        self._held: list[tuple[str, socket.socket]] = []
        with contextlib.closing(_gate(f"{topic}-gate")):
            copies: Counter[str] = Counter()
            for (device,) in share_out(devices, min(gpus, 1)):
                token = _bind(f"{topic}-{device}-{copies[device]}")
                copies[device] += 1
                if token is not None:
                    self._held.append((device, token))
            got = [device for device, _ in self._held]
            self.sets: list[DeviceSet] = share_out(got, max(gpus, 1))[:most]
            self._give_back_all_but(Counter(device for devices in self.sets for device in devices))

    def _give_back_all_but(self, needed: Counter[str]) -> None:
        kept = []
        for device, token in self._held:
            needed[device] -= 1
            if needed[device] >= 0:
                kept.append((device, token))
            else:
                token.close()
        self._held = kept

    def close(self) -> None:
        self._give_back_all_but(Counter())


def _bind(name: str) -> socket.socket | None:
    """Take a name of this host; None when another process has it."""
    token = socket.socket(socket.AF_UNIX)
    try:
        token.bind(f"\0{name}")
    except OSError as error:
        token.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return token


def _gate(name: str) -> socket.socket:
    """Wait for the turn to take shares: two that take several each, both at once, would leave none for either."""
    limit = time.monotonic() + _GATE_S
    while (token := _bind(name)) is None:
        if time.monotonic() > limit:
            raise TimeoutError(f"another worker of this host has been sharing out devices for {_GATE_S:g} s")
        time.sleep(0.01)
    return token
