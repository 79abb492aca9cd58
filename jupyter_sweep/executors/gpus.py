"""`--gpus` and `--devices`: what they mean, what can't be, and which devices of this machine a sweep gets.

A slot is a share of devices: `--gpus 0.5` makes two slots of each, `--gpus 2` one of every two. How shares are found on
a worker stands in `worker/devices.py`; here is what is known before any worker: a user's mistakes, and this machine.

Share, part of an executor's options (so another share is another driver, and one driver's slots are all alike):

    cpus      cores of a trial, when not 1
    gpus      devices of a trial, or the part of one
    mem       gigabytes of a trial, where the size of a job follows from it
    devices   what `--devices` names
    visible   CUDA_VISIBLE_DEVICES (or its twin) of the process that started the sweep, for slots of this machine
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import SweepError, count
from ..worker import devices as law

Share = Mapping[str, Any]

_NAME = re.compile(r"\d+(\.\d+)?|GPU-[\w-]+|MIG-[\w/-]+")
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "ROCR_VISIBLE_DEVICES")


def read_gpus(text: str) -> float:
    """Give the number of `--gpus`: whole, or a part of one device.

    >>> read_gpus("2"), read_gpus("0.5")
    (2.0, 0.5)
    """
    if not re.fullmatch(r"\d*\.?\d+", text):
        raise SweepError(f"wants devices of a trial, such as 1 or 2, or a part of one, such as 0.5, got {text!r}")
    wanted = float(text)
    if wanted > 1 and wanted != int(wanted):
        raise SweepError(
            f"wants a whole number, or a part of one device: got {text}. "
            f"{int(wanted) + 1} gives each trial that many devices, {wanted / (int(wanted) + 1):.2g} a part of one"
        )
    if 0 < wanted < 0.01:
        raise SweepError(f"wants at least 0.01, a hundred trials on a device, got {text}")
    return wanted


def read_devices(text: str) -> tuple[str, ...]:
    """Give the names of `--devices`; one that is repeated is shared by so many slots.

    >>> read_devices("0,0,1")
    ('0', '0', '1')
    """
    names = tuple(name.strip() for name in text.split(","))
    wrong = [name for name in names if not _NAME.fullmatch(name)]
    if wrong:
        raise SweepError(
            f"wants devices with commas, as nvidia-smi counts or names them (0,1 or GPU-... or MIG-...), got {text!r}"
        )
    return names


def mistakes(gpus: float, devices: Sequence[str]) -> list[str]:
    """Say what can't be, whatever devices there are."""
    found = []
    different = list(dict.fromkeys(devices))
    if devices and gpus > len(different):
        found.append(
            f"--gpus {gpus:g}: --devices names {count(len(different), 'device')}, and a trial can't have one twice"
        )
    if gpus > 1 and any(name.startswith("MIG-") for name in devices):
        found.append(f"--gpus {gpus:g}: a process can use one MIG instance only; give --gpus 1")
    return found


def share(*, cpus: float, gpus: float, devices: Sequence[str], environ: Mapping[str, str], is_here: bool) -> Share:
    """Give what an executor must know of its slots; empty for one core and no device.

    Parameters
    ----------
    environ
        The environment of the process that starts the sweep.
    is_here
        Whether trials run on this machine, so that they must stay within that environment.
    """
    found: dict[str, Any] = {"cpus": cpus} if cpus != 1 else {}
    if gpus:
        found["gpus"] = gpus
        if devices:
            found["devices"] = list(devices)
        if is_here:
            found |= {"visible": {name: environ[name] for name in _VISIBLE if name in environ}}
    return found


class Here(NamedTuple):
    """The devices of this machine for a share, those of each slot, and why others are left out."""

    devices: list[str]
    sets: list[law.DeviceSet]
    said: list[str]

    def in_words(self, gpus: float) -> str:
        """Give "devices 0, 1 (0.5 a trial); device 2 is in use: 11.2 of 24.0 GB"."""
        names = list(dict.fromkeys(name for devices in self.sets for name in devices))
        plural = "devices" if len(names) > 1 else "device"
        return "; ".join([f"{plural} {', '.join(names)} ({gpus:g} a trial)", *self.said])


def here(share: Share, *, skip_busy: bool = True) -> Here:
    """Look at the devices of this machine.

    Raises
    ------
    SweepError
        When there isn't one slot, or `--devices` names one that this process may not use.
    """
    offer = law.offer(share.get("visible", os.environ), share.get("devices", ()), skip_busy=skip_busy)
    sets = law.share_out(offer.devices, share["gpus"])
    if not sets or ("devices" in share and offer.said):
        raise SweepError(refusal(share["gpus"], len(set(offer.devices)), offer.said))
    return Here(offer.devices, sets, offer.said)


def refusal(gpus: float, there: int, said: Sequence[str], where: str = "here") -> str:
    """Give the message about devices that can't be had."""
    why = "; ".join(dict.fromkeys(said))
    if not there:
        way = "--devices 0,1 takes devices as you name them, without asking; without --gpus the sweep runs on cores"
        return f"--gpus {gpus:g}: no device can be used {where}{f': {why}' if why else ''}. {way}."
    if gpus > there:
        more = f" ({why})" if why else ""
        return f"--gpus {gpus:g}: {count(there, 'device')} can be used {where}{more}. Give --gpus {there} or fewer."
    return f"--gpus {gpus:g}: {why}. Name others with --devices, or change the variable."
