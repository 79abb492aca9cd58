"""What a trial makes on a host that shares no disk with its driver, on its way home: log, checkpoints, artifacts."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator

from .context import CHECKPOINT
from .line import Line, Task
from .logtail import LogTail
from .parcels import NotWanted, Offer, Offered

#: Files of a trial's folder that the driver writes itself; the log has a way of its own.
OWN = ("params.json", "metrics.json", "log.txt")
LOG_PIECE = 32 << 10
#: How long a cancelled trial may take to bring its files home.
CANCELLED_S = 1.0
_ASIDE = re.compile(r"\.\d+\.tmp$")

#: Size, time and number of a file: what changes when it does.
Signature = tuple[int, int, int]


class Homeward:
    """The files of one trial in its `folder`; `follow` is called by another thread than the rest.

    Parameters
    ----------
    wanted
        Gives the state that the trial is to end in, or None.
    """

    def __init__(self, line: Line, task: Task, folder: str, wanted: Callable[[], str | None]) -> None:
        self._line, self._task, self._folder, self._wanted = line, task, folder, wanted
        self._lock = threading.Lock()
        self._log = LogTail(os.path.join(folder, "log.txt"))
        self._at_home: dict[str, Signature] = {}
        self._under_way: tuple[Offer, dict[str, Signature]] | None = None
        self._rest_until = 0.0
        self._over = False

    def is_home(self, name: str) -> None:
        """Take note that the driver has a file as it is now."""
        found = _signature(os.path.join(self._folder, name))
        if found is not None:
            self._at_home[name] = found

    # -- while it runs ------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Send what the trial printed; see to it that its newest checkpoint goes home."""
        with self._lock:
            if self._over:
                return
            self._tell_log(self._log.take(LOG_PIECE))
            if self._under_way is not None:
                self._look_after(*self._under_way)
            elif time.monotonic() >= self._rest_until:
                self._offer_checkpoint()

    def _look_after(self, offer: Offer, signatures: dict[str, Signature]) -> None:
        if offer.over.is_set():
            self._note(offer, signatures)
        elif not offer.has_stalled:
            return
        self._line.parcels.remove(offer)
        self._under_way = None
        now = time.monotonic()
        self._rest_until = now + (now - offer.began)  # at most half of the time goes into checkpoints

    def _note(self, offer: Offer, signatures: dict[str, Signature]) -> None:
        self._at_home.update({name: found for name, found in signatures.items() if name not in offer.problems})

    def _offer_checkpoint(self) -> None:
        path = os.path.join(self._folder, CHECKPOINT)
        found = _signature(path)
        if found is None or found == self._at_home.get(CHECKPOINT):
            return
        checkpoint = Offered(CHECKPOINT, path)
        checkpoint.hold()  # first: what was saved before it is then found below
        changed = {name: signature for name, signature in self._changed().items() if name != CHECKPOINT}
        offer = Offer([*self._offered(changed), checkpoint])
        self._under_way = offer, {**changed, CHECKPOINT: found}
        self._line.parcels.add(offer)
        self._tell_offer(offer)

    # -- at its end ---------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the following."""
        with self._lock:
            self._over = True

    def bring(self) -> str:
        """Have the driver fetch what it has not; give why a file could not be stored there, or "".

        Raises
        ------
        OSError
            When it fetches nothing for too long.
        NotWanted
            When this worker ends.
        """
        until = time.monotonic() + CANCELLED_S

        def unwanted() -> bool:
            cancelled = self._wanted() == "cancelled"
            return self._line.closed.is_set() or (cancelled and time.monotonic() > until)

        try:
            return self._bring(unwanted)
        except NotWanted:
            if self._line.closed.is_set():
                raise
            self._tell_log(b"\nSome files of this trial stayed where it ran, because it was cancelled.\n")
            return ""

    def _bring(self, unwanted: Callable[[], object]) -> str:
        if self._under_way is not None:  # one of its checkpoints
            offer, signatures = self._under_way
            offer.wait(CHECKPOINT, unwanted)
            self._note(offer, signatures)
        files = sorted(self._offered(self._changed()), key=lambda file: file.name == CHECKPOINT)
        offer = Offer([*self._rest_of_log(), *files])
        if not offer.files:
            return ""
        with self._line.parcels.under_way(offer):
            self._tell_offer(offer)
            offer.wait("the files of the trial", unwanted)
            return "; ".join(f"{name}: {why}" for name, why in offer.problems.items())

    def _rest_of_log(self) -> Iterator[Offered]:
        """Send the rest of the log; what is long is offered."""
        data = self._log.take(LOG_PIECE)
        if self._log.left() == 0:
            self._tell_log(data)
        else:
            yield Offered("log.txt", self._log.path, start=self._log.sent - len(data), append=True)

    def close(self) -> None:
        """Let go of what is still on its way."""
        if self._under_way is not None:
            self._line.parcels.remove(self._under_way[0])

    # -- both ---------------------------------------------------------------------------------------------------------

    def _changed(self) -> dict[str, Signature]:
        """Give the files that the driver has not, by their names in the trial's folder."""
        found = {}
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = os.path.join(folder, name)
                inside = os.path.relpath(path, self._folder)
                signature = None if inside in OWN or _ASIDE.search(name) else _signature(path)
                if signature is not None and signature != self._at_home.get(inside):
                    found[inside] = signature
        return found

    def _offered(self, names: dict[str, Signature]) -> list[Offered]:
        return [Offered(name, os.path.join(self._folder, name)) for name in names]

    def _tell_offer(self, offer: Offer) -> None:
        files = [{"name": file.name, "append": file.append} for file in offer.files]
        self._line.tell(self._task, "offer", offer=offer.id, files=files)

    def _tell_log(self, data: bytes) -> None:
        if data:
            whose = {"trial_id": self._task["trial_id"], "ticket": self._task["ticket"]}
            self._line.put({"kind": "log", **whose, "data": base64.b64encode(data).decode("ascii")})


def _signature(path: str) -> Signature | None:
    """Give what changes when a file does; None for what is no regular file."""
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode):
            return found.st_size, found.st_mtime_ns, found.st_ino
    return None
