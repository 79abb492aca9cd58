"""The cluster of one driver's jobs: there are as many as there is work for, and they go with the driver.

A turn is taken each second: what the queue says of the jobs (Slurm is asked every two seconds, with one question for
all) is held against the workers that the scheduler has (`jobqueue_book`); jobs that are over are cancelled and
forgotten, and those that are wanted (`jobqueue_wanted`) are submitted. So a job that was cancelled by somebody, ran out
of time or lost its node is replaced without being asked for. PBS, Grid Engine and LSF are not asked; there a job whose
worker is gone for `jobqueue_book.GONE_S` counts as over.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import threading
import time
import traceback
from collections.abc import Collection
from pathlib import Path

from ...errors import count
from ..clusters import Where
from . import jobqueue_files as files
from . import jobqueue_script as scripts
from . import jobqueue_words as words
from . import slurm
from .jobqueue_book import TURN_S, Book, Job, Over
from .jobqueue_end import Ender, cancel
from .jobqueue_scheduler import Scheduler
from .jobqueue_wanted import MAX_STILLBORN, Wanted

_ASK_EVERY_S = 2.0
_CLOSE_S = 10


class Jobs:
    """A backend (`base.Backend`, Elastic, Demanding, Queued, Mortal); its methods may be called on any thread."""

    prefix = ""

    def __init__(self, where: Where, slots: int | None) -> None:
        self._where, self._slots = where, slots
        self._shape = words.shape(where.word, where.options, where.share, slots)
        self._lock = threading.RLock()
        self._wake, self._closed, self._next = threading.Event(), False, 0
        self._ask_at = 0.0
        self._wanted = Wanted(where.options["idle"])
        walltime_s = where.options["walltime"]
        self._book = Book(where.kind, walltime_s, *scripts.lifetime(walltime_s))
        shared = os.environ.get("JUPYTER_SWEEP_LOGS", "")
        for left in files.leftovers(shared):
            cancel(*left)
        name = f"sweep-{random.SystemRandom().randrange(16**8):08x}"
        self._folder = files.make(shared, where.kind, name)
        self._ender = Ender(where.kind, name, self._folder)
        try:
            self._start(name)
        except BaseException:
            self._ender.end()
            raise
        self.client, self.dashboard = self._scheduler.client, self._scheduler.dashboard()
        self._thread = threading.Thread(target=self._take_turns, name="sweep jobs", daemon=True)
        self._thread.start()

    def _start(self, name: str) -> None:
        """Start the scheduler, and get ready to submit."""
        ours, theirs = files.certificates(self._folder)
        logs, base = str(self._folder.parent / "job-logs"), str(self._folder / files.ENVIRONMENT)
        script = scripts.Script.of(self._where, self._shape, name, logs, base)
        self._logs = Path(script.log_folder)
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make = scripts.job_class(script)
        self._arguments = {**scripts.arguments(script), "protocol": "tls://", "security": theirs}
        self._name = name
        self._scheduler = Scheduler(self._where, ours)

    # -- what the executor asks ---------------------------------------------------------------------------------------

    @property
    def over(self) -> str:
        return self._wanted.over

    def slots(self) -> int:
        """Count the slots of all jobs that there may be, whether or not there are any now."""
        most = self._shape.jobs * self._shape.slots
        return most if self._slots is None else min(self._slots, most)

    def scale(self, n: int) -> None:
        """Change how many trials may run at once; `max_jobs` still holds."""
        with self._lock:
            self._slots = n
            self._shape = words.shape(self._where.word, self._where.options, self._where.share, n)

    def demand(self, n: int) -> None:
        with self._lock:
            if self._wanted.note(-(-n // self._shape.slots), self._shape.jobs, time.monotonic()):
                self._wake.set()

    def capacity(self) -> int:
        with self._lock:
            return len(self._book.jobs) * self._shape.slots

    def spare(self, busy: Collection[str]) -> list[str]:
        present = self._scheduler.present()
        with self._lock:
            return self._book.spare(present, busy, self._wanted.jobs, time.monotonic())

    def remove(self, addresses: Collection[str]) -> None:
        present = self._scheduler.present()
        with self._lock:
            self._book.dismiss([name for name, address in present.items() if address in addresses])
        self._wake.set()

    def jobs(self) -> dict[str, dict[str, str]]:
        present = self._scheduler.present()
        with self._lock:
            return self._book.rows(present)

    def there(self) -> Collection[str]:
        return self._scheduler.present().values()

    def end_of(self, address: str) -> str:
        with self._lock:
            return self._book.end_of_worker(address)

    def was_due(self, address: str) -> bool:
        with self._lock:
            return address in self._book.due

    def is_whole(self) -> bool:
        return True

    def heal(self) -> None:
        """Nothing to do: jobs that are lost are replaced at each turn."""

    def close(self) -> None:
        self._closed = True
        self._wake.set()
        self._thread.join(_CLOSE_S)
        self._ender.end()
        self._scheduler.close()

    # -- each turn ----------------------------------------------------------------------------------------------------

    def _take_turns(self) -> None:
        while not self._closed:
            self._wake.wait(TURN_S)
            self._wake.clear()
            try:
                if not self._closed:
                    self._turn()
            except Exception:  # of one turn, and told in the driver's log; the next one starts from what is then
                traceback.print_exc()

    def _turn(self) -> None:
        now = time.monotonic()
        self._ask(now)
        present = self._scheduler.present()
        with self._lock:
            over = self._book.judge(present, self._wanted.jobs, now)
            if self._book.any_joined():
                self._wanted.note_worker()
            for each in over:
                self._note_end(each, now)
            room = self._where.options.get("max_jobs", float("inf")) - len(self._book.jobs)
            new = [self._new_job(now) for _ in range(self._wanted.to_submit(len(self._book.staying()), room, now))]
        if over or new:
            self._scheduler.cluster.sync(self._carry_out, [each.job for each in over], new)

    def _ask(self, now: float) -> None:
        """Ask how the jobs stand, if it is time for it; cancel those that are not ours any more."""
        if self._where.kind != "slurm" or not self._book.jobs or now < self._ask_at:
            return
        self._ask_at = now + _ASK_EVERY_S
        answer = slurm.standing(self._name)
        if answer is None:
            return
        with self._lock:
            strays = self._book.hear(answer, now)
        if strays:
            slurm.cancel(strays)

    def _new_job(self, now: float) -> Job:
        name, self._next = str(self._next), self._next + 1
        job = Job(self._make(self._scheduler.address, name=name, **self._arguments), now)
        self._book.jobs[name] = job
        return job

    async def _carry_out(self, over: list[Job], new: list[Job]) -> None:
        ends = [job.made.close() for job in over]
        await asyncio.gather(*ends, *(job.made for job in new), return_exceptions=True)

    def _note_end(self, end: Over, now: float) -> None:
        """Hold a job against the batch system that ended before its worker came."""
        alive = self._book.any_joined()
        if end.is_stillborn and self._wanted.note_stillborn(now, last_straw=not alive):
            jobs = f"{count(MAX_STILLBORN, 'job')} in a row ended before their worker came."
            self._wanted.give_up(f"--on {self._where.word}: {jobs} {self._last_words(end)}")
        elif end.hopeless and not alive:
            self._wanted.give_up(
                f"--on {self._where.word}: job {end.job.id} would wait for ever, the queue says: {end.why}."
            )

    def _last_words(self, end: Over) -> str:
        """Say of a job that ended too early what is known of its end."""
        if not end.job.id:
            return f"The last one could not be submitted: {end.why}."
        printed = _tail(self._logs, end.job.id)
        said = f"It printed:\n{printed}" if printed else f"Its output would be in {self._logs}."
        return f"The last one, {end.job.id} ({end.why}). {said}"


def _tail(logs: Path, job: str) -> str:
    """Give the last lines of a job's output; its file bears the job's number, in a form of the batch system's own."""
    number = re.compile(rf"(?<!\d){re.escape(job)}(?!\d)")
    for log in logs.iterdir():
        text = log.read_text(encoding="utf-8", errors="replace").strip() if number.search(log.name) else ""
        if text:
            return "\n".join(text.splitlines()[-8:])
    return ""
