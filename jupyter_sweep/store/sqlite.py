"""The store: one SQLite file that holds every sweep of a folder. Nothing outside `store/` knows sqlite3.

Laws. Only the driver that owns a sweep (or the kernel, with `--on inline`) writes its trials; everybody else writes
definitions and requests. A final trial never changes: `finish_trial` and `requeue` touch unfinished rows only.
Two unfinished-or-kept trials of one version never share a fingerprint (a unique index, not a convention). Each method
is one short transaction (`begin immediate`); `batch()` joins several into one. Connections belong to threads.

WAL with `synchronous=normal` costs about 50 us a committed write and may lose the last transactions in a power cut,
never consistency; a trial lost that way is run again. WAL needs shared memory between processes, which network file
systems don't give: there the rollback journal is used (`Store.notice` says so).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..definition import Sweep
from ..errors import StoreError
from ..space.codec import decode, encode
from ..trial import FINAL_STATES, Params, Report, Trial, TrialState
from . import folder, opening

#: Pages of the write-ahead log (of 4 kB) before they go into the file while a sweep runs. That syncs the disk, and until it
#: has, no trial makes a file on it: 0.3 s here. So seldom, and at rest.
_LOG_PAGES = 8000
_BUSY_S = 30.0
#: What each connection keeps of the file in memory. A driver has several; the system's own cache serves them all.
_CACHE_KB = 400
#: Rows that are read at once where all of them are gone through one by one.
_PAGE = 500
_UNFINISHED = "state in ('waiting', 'running')"
_TRIAL_COLUMNS = (
    "trial_id, sweep_id, number, params, state, reason, metrics, error, traceback, attempt, repetition, seed, "
    "fingerprint, proposal, parent, worker, folder, pid, queued_at, started_at, finished_at, duration_s, peak_memory_gb, "
    "device, peak_gpu_memory_gb, change"
)


class NewTrial(NamedTuple):
    """A trial to add: the store gives it its id, number and folder."""

    params: Params
    fingerprint: str
    repetition: int = 0
    seed: int = 0
    proposal: int = -1


class Request(NamedTuple):
    """Something that a viewer wants of a driver: run, stop, pause, interrupt, kill, scale."""

    request_id: int
    sweep_id: int
    verb: str
    args: dict[str, Any]


class Store:
    """Open (and make, or migrate) the store under `home`.

    Raises
    ------
    StoreError
        A file that is no store of ours or of a newer release, a folder that can't be written, a full disk.
    """

    def __init__(self, home: Path | str, *, create: bool = True) -> None:
        self.home = Path(home).absolute()
        self.path = self.home / "sweeps.db"
        self.notice = ""
        self._local = threading.local()
        if not create and not self.path.exists():
            raise StoreError(f"There are no sweeps in {self.home}.")
        folder.make_private(self.home)
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        with self._errors():
            opening.migrate(self._db)

    # -- connections and transactions -----------------------------------------------------------------------------

    @property
    def _db(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
            opening.refuse_foreign(connection, self.path)
            on_network = folder.is_on_network(self.home)
            if on_network:
                self.notice = (
                    f"{self.home} lies on a network file system: the store uses a rollback journal, which is slower."
                )
            opening.set_journal(connection, "delete" if on_network else "wal", _BUSY_S)
            connection.execute(f"pragma synchronous={'full' if on_network else 'normal'}")
            connection.execute(f"pragma wal_autocheckpoint={_LOG_PAGES}")
            connection.execute(f"pragma cache_size=-{_CACHE_KB}")
            connection.execute("pragma foreign_keys=on")
            self._local.connection = connection
        return connection

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            raise StoreError(f"The store {self.path} can't be used: {error}.{_hint(str(error))}") from error

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Join the writes inside into one transaction: all of them or none."""
        with self.write():
            yield

    @contextlib.contextmanager
    def write(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """Open one write transaction (for this folder's modules): the connection and the number of this change."""
        change = getattr(self._local, "change", None)
        if change is not None:  # inside a batch
            yield self._db, change
            return
        with self._errors():
            db = self._db
            try:  # around the wait for others, too: an interrupt comes to light once the lock is ours
                db.execute("begin immediate")
                change = db.execute("update clock set value = value + 1 returning value").fetchone()[0]
                self._local.change = change
                yield db, change
                db.execute("commit")
            except BaseException:
                if db.in_transaction:
                    db.execute("rollback")
                raise
            finally:
                self._local.change = None

    def read(self, query: str, *values: Any) -> list[Any]:
        """Give all rows of a query (for this folder's modules)."""
        with self._errors():
            return self._db.execute(query, values).fetchall()

    def tidy(self) -> None:
        """Bring what the write-ahead log holds into the file; waits for nobody, and for the disk."""
        self.read("pragma wal_checkpoint(passive)")

    def data_version(self) -> int:
        """Give a number that moves when another connection has committed; about 8 us."""
        return int(self.read("pragma data_version")[0][0])

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    # -- sweeps -----------------------------------------------------------------------------------------------------

    def create_sweep(self, sweep: Sweep, *, fresh: bool = False, adopt: bool = False) -> Sweep:
        """Write the definition and give it with `sweep_id`, `version`, `state`.

        The version of this name that has the same fingerprint is taken up again; otherwise a new version begins.
        `fresh` begins a new version in any case; `adopt` keeps the newest version although its code differs. A new
        id is the number of this change, which no sweep had before: a handle to a dropped sweep never shows another one.
        """
        with self.write() as (db, change):
            query = "select sweep_id, version, state, created_at from sweeps where name = ? {} order by version desc limit 1"
            same = "" if adopt else "and fingerprint = ?"
            values = (sweep.name,) if adopt else (sweep.name, sweep.job.fingerprint)
            row = None if fresh else db.execute(query.format(same), values).fetchone()
            definition = json.dumps(sweep.to_json())
            if row is not None:
                db.execute(
                    "update sweeps set definition = ?, fingerprint = ?, change = ? where sweep_id = ?",
                    (definition, sweep.job.fingerprint, change, row[0]),
                )
                return replace(sweep, sweep_id=row[0], version=row[1], state=row[2], created_at=row[3])
            (newest,) = db.execute(
                "select coalesce(max(version), 0) from sweeps where name = ?", (sweep.name,)
            ).fetchone()
            (behind,) = db.execute("select coalesce(max(sweep_id), 0) + 1 from sweeps").fetchone()
            sweep_id = max(change, behind)  # of several in one batch each has its own
            db.execute(
                "insert into sweeps (sweep_id, name, version, fingerprint, definition, state, created_at, change) "
                "values (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(sweep_id, sweep.name, newest + 1, sweep.job.fingerprint, definition),
                    *("queued", sweep.created_at, change),
                ),
            )
            return replace(sweep, sweep_id=sweep_id, version=newest + 1, state="queued")

    def sweep(self, sweep_id: int) -> Sweep:
        """Give one sweep; StoreError when it was dropped."""
        found = self._sweeps("where sweep_id = ?", sweep_id)
        if not found:
            raise StoreError("This sweep was dropped from the store.")
        return found[0]

    def sweeps(self, name: str | None = None) -> list[Sweep]:
        """Give all versions of all sweeps (or of one name), oldest first."""
        return self._sweeps("") if name is None else self._sweeps("where name = ?", name)

    def _sweeps(self, where: str, *values: Any) -> list[Sweep]:
        query = f"select definition, sweep_id, name, version, state, message, created_at from sweeps {where} order by sweep_id"
        names = ("sweep_id", "name", "version", "state", "message", "created_at")
        return [
            replace(_defined(row[0]), **dict(zip(names, row[1:], strict=True))) for row in self.read(query, *values)
        ]

    def redefine(self, sweep: Sweep) -> None:
        """Write a changed definition of a version that is there; its identity stays."""
        with self.write() as (db, change):
            db.execute(
                "update sweeps set definition = ?, change = ? where sweep_id = ?",
                (json.dumps(sweep.to_json()), change, sweep.sweep_id),
            )

    def set_state(self, sweep_id: int, state: str, message: str = "") -> None:
        """Move a sweep to a state of SWEEP_STATES, with a sentence for the header.

        `started_at` is when it last began to run, `finished_at` when it came to rest after that.
        """
        now = time.time()
        with self.write() as (db, change):
            db.execute(
                "update sweeps set message = ?, change = ?, "
                "started_at = case when ? = 'running' and state != 'running' then ? else started_at end, "
                "finished_at = case when ? in ('queued', 'running') then null else coalesce(finished_at, ?) end, "
                "state = ? where sweep_id = ?",
                (message, change, state, now, state, now, state, sweep_id),
            )

    def times(self, sweep_id: int) -> tuple[float | None, float | None]:
        """Give when the sweep last began to run and when it came to rest, UTC seconds."""
        rows = self.read("select started_at, finished_at from sweeps where sweep_id = ?", sweep_id)
        return (rows[0][0], rows[0][1]) if rows else (None, None)

    def drop_sweep(self, name: str) -> None:
        """Forget all versions of a sweep with their trials, reports and requests."""
        with self.write() as (db, _):
            db.execute("delete from sweeps where name = ?", (name,))

    # -- trials -----------------------------------------------------------------------------------------------------

    def add_trials(self, sweep: Sweep, new: Sequence[NewTrial]) -> list[Trial]:
        """Add waiting trials; numbers go on over all versions of the name and are never used twice."""
        now = time.time()
        added = []
        with self.write() as (db, change):
            (first,) = db.execute(
                "select coalesce(max(number), -1) + 1 from trials where name = ?", (sweep.name,)
            ).fetchone()
            for number, item in enumerate(new, start=first):
                path = folder.free_trial_folder(self.home, sweep.name, number, item.params)
                cursor = db.execute(
                    "insert into trials (sweep_id, name, number, params, state, fingerprint, repetition, seed, proposal, folder, "
                    "queued_at, change) values (?, ?, ?, ?, 'waiting', ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(sweep.sweep_id, sweep.name, number, json.dumps(encode(item.params)), item.fingerprint),
                        *(item.repetition, item.seed, item.proposal, path, now, change),
                    ),
                )
                added.append(
                    Trial(
                        trial_id=cursor.lastrowid or 0,
                        sweep_id=sweep.sweep_id,
                        number=number,
                        folder=path,
                        queued_at=now,
                        change=change,
                        **item._asdict(),
                    )
                )
        return added

    def holds(self, sweep_id: int, fingerprint: str) -> bool:
        """Tell whether a version has a trial of this fingerprint that was not cancelled."""
        query = "select 1 from trials where sweep_id = ? and fingerprint = ? and state != 'cancelled'"
        return bool(self.read(query, sweep_id, fingerprint))

    def start_trial(self, trial_id: int, *, worker: str, pid: int | None, at: float, device: str = "") -> None:
        """Note that a trial runs."""
        with self.write() as (db, change):
            db.execute(
                f"update trials set state = 'running', worker = ?, device = ?, pid = ?, started_at = ?, change = ? "
                f"where trial_id = ? and {_UNFINISHED}",
                (worker, device, pid, at, change, trial_id),
            )

    def add_reports(self, reports: Iterable[Report]) -> None:
        """Add reports in order; the trial's metrics show the newest values while it runs."""
        with self.write() as (db, change):
            for report in reports:
                db.execute(
                    "insert into reports (trial_id, attempt, step, metrics, reported_at) values (?, ?, ?, ?, ?)",
                    (report.trial_id, report.attempt, report.step, json.dumps(report.metrics), report.reported_at),
                )
                db.execute(
                    f"update trials set metrics = ?, change = ? where trial_id = ? and {_UNFINISHED}",
                    (json.dumps(report.metrics), change, report.trial_id),
                )

    def finish_trial(self, trial: Trial) -> bool:
        """Write a trial's end (its state, reason, metrics, error, times). False when it was final already."""
        assert trial.is_final
        with self.write() as (db, change):
            cursor = db.execute(
                f"update trials set state = ?, reason = ?, metrics = ?, error = ?, traceback = ?, duration_s = ?, "
                f"started_at = coalesce(started_at, ?), finished_at = ?, peak_memory_gb = ?, "
                f"peak_gpu_memory_gb = ?, worker = ?, change = ? "
                f"where trial_id = ? and {_UNFINISHED}",
                (
                    *(trial.state.value, trial.reason, json.dumps(trial.metrics), trial.error, trial.traceback),
                    *(trial.duration_s, trial.started_at, trial.finished_at, trial.peak_memory_gb),
                    *(trial.peak_gpu_memory_gb, trial.worker, change, trial.trial_id),
                ),
            )
            return cursor.rowcount == 1

    def requeue(self, trial: Trial, *, reason: str, error: str = "", at: float) -> Trial | None:
        """Record a failed or lost attempt and put the trial back to waiting; None when it was final already."""
        with self.write() as (db, change):
            cursor = db.execute(
                f"update trials set state = 'waiting', attempt = attempt + 1, metrics = '{{}}', pid = null, device = '', started_at = null, "
                f"change = ? where trial_id = ? and {_UNFINISHED}",
                (change, trial.trial_id),
            )
            if cursor.rowcount == 0:
                return None
            db.execute(
                "insert into attempts (trial_id, attempt, reason, error, worker, started_at, ended_at) values (?, ?, ?, ?, ?, ?, ?)",
                (trial.trial_id, trial.attempt, reason, error, trial.worker, trial.started_at, at),
            )
        return trial.with_(state=TrialState.WAITING, attempt=trial.attempt + 1, metrics={}, pid=None, started_at=None)

    def attempts(self, trial_id: int) -> list[tuple[int, str, str, str]]:
        """Give the earlier attempts of a trial: attempt, reason, error, worker."""
        query = "select attempt, reason, error, worker from attempts where trial_id = ? order by attempt"
        return [tuple(row) for row in self.read(query, trial_id)]

    def rename_fingerprints(self, names: dict[int, str]) -> None:
        """Give trials (by id) new fingerprints: rows that were adopted by changed code."""
        with self.write() as (db, change):
            for trial_id, fingerprint in names.items():
                db.execute(
                    "update trials set fingerprint = ?, change = ? where trial_id = ?", (fingerprint, change, trial_id)
                )

    def trials(self, sweep_id: int, *, since: int = 0, state: TrialState | None = None) -> list[Trial]:
        """Give the trials of one version in order of number: those changed after the change `since`, in `state`."""
        query = (
            f"select {_TRIAL_COLUMNS} from trials where sweep_id = ? and change > ? and state glob ? order by number"
        )
        return [_trial(row) for row in self.read(query, sweep_id, since, "*" if state is None else state.value)]

    def each_trial(self, sweep_id: int) -> Iterator[Trial]:
        """Give the trials of one version one by one in order of number: all at once they would take 2 kB each."""
        query = f"select {_TRIAL_COLUMNS} from trials where sweep_id = ? and number > ? order by number limit {_PAGE}"
        last = -1
        while rows := self.read(query, sweep_id, last):
            for trial in map(_trial, rows):
                last = trial.number
                yield trial

    def trial(self, name: str, number: int) -> Trial | None:
        """Give one trial of a name by its number, whatever its version."""
        if number.bit_length() > 63:  # more than SQLite takes
            return None
        rows = self.read(f"select {_TRIAL_COLUMNS} from trials where name = ? and number = ?", name, number)
        return _trial(rows[0]) if rows else None

    def counts(self, sweep_id: int) -> dict[str, int]:
        """Give the number of trials by state."""
        return dict(self.read("select state, count(*) from trials where sweep_id = ? group by state", sweep_id))

    def final_count(self, sweep_id: int) -> int:
        """Give the number of final trials that `-n` counts (all but those a constraint refused)."""
        states = ", ".join(f"'{s.value}'" for s in FINAL_STATES)
        query = f"select count(*) from trials where sweep_id = ? and state in ({states}) and reason != 'constraint'"
        return int(self.read(query, sweep_id)[0][0])

    def configuration_count(self, sweep_id: int) -> int:
        """Give the number of configurations that `-n` counts: final trials, each with its further repetitions as one."""
        states = ", ".join(f"'{s.value}'" for s in FINAL_STATES)
        query = (
            f"select count(*) from trials where sweep_id = ? and state in ({states}) and reason != 'constraint' "
            "and repetition = 0"
        )
        return int(self.read(query, sweep_id)[0][0])

    def each_report(self, sweep_id: int) -> Iterator[Report]:
        """Give the reports of one version one by one in order of arrival."""
        query = (
            "select r.report_id, r.trial_id, r.step, r.metrics, r.reported_at, r.attempt from reports r "
            "join trials t using (trial_id) where t.sweep_id = ? and r.report_id > ? order by r.report_id "
            f"limit {_PAGE}"
        )
        last = 0
        while rows := self.read(query, sweep_id, last):
            for report_id, trial_id, step, metrics, reported_at, attempt in rows:
                last = report_id
                yield Report(trial_id, step, json.loads(metrics), reported_at, attempt)

    def change(self) -> int:
        """Give the number of the newest change."""
        return int(self.read("select value from clock")[0][0])

    # -- requests ---------------------------------------------------------------------------------------------------

    def request(self, sweep_id: int, key: str, verb: str, **args: Any) -> int:
        """Ask the driver of `key` for something."""
        with self.write() as (db, _):
            cursor = db.execute(
                "insert into requests (sweep_id, key, verb, args, created_at) values (?, ?, ?, ?, ?)",
                (sweep_id, key, verb, json.dumps(args), time.time()),
            )
            return cursor.lastrowid or 0

    def open_requests(self, key: str) -> list[Request]:
        """Give what was asked of the drivers of `key` and not answered yet, oldest first."""
        query = "select request_id, sweep_id, verb, args from requests where key = ? and handled_at is null order by request_id"
        return [Request(row[0], row[1], row[2], json.loads(row[3])) for row in self.read(query, key)]

    def asked_at(self, sweep_id: int, verb: str) -> float | None:
        """Give when the newest open request of this verb for the sweep was made, or None."""
        query = "select max(created_at) from requests where sweep_id = ? and verb = ? and handled_at is null"
        at: float | None = self.read(query, sweep_id, verb)[0][0]
        return at

    def asked_last(self, sweep_id: int) -> str:
        """Give the verb of what was asked last of a sweep, answered or not, be it to run or to rest; "" for nothing."""
        query = "select verb from requests where sweep_id = ? and verb != 'scale' order by request_id desc limit 1"
        return next((row[0] for row in self.read(query, sweep_id)), "")

    def close_request(self, request_id: int, answer: str = "") -> None:
        """Note that a request was answered; `answer` says why it was refused.

        An earlier one to run the same sweep is answered with it, also where another driver was asked, which died.
        """
        earlier = (
            "select e.request_id from requests e join requests r on e.sweep_id = r.sweep_id and e.verb = r.verb "
            "where r.request_id = ? and r.verb = 'run' and e.request_id < r.request_id and e.handled_at is null"
        )
        with self.write() as (db, _):
            db.execute(
                f"update requests set handled_at = ?, answer = ? where request_id = ? or request_id in ({earlier})",
                (time.time(), answer, request_id, request_id),
            )


def _trial(row: tuple[Any, ...]) -> Trial:
    names = _TRIAL_COLUMNS.split(", ")
    data = dict(zip(names, row, strict=True))
    data["params"] = decode(json.loads(data["params"]))
    data["metrics"] = json.loads(data["metrics"])
    data["state"] = TrialState(data["state"])
    return Trial(**data)


def _hint(message: str) -> str:
    if "full" in message:
        return " Free some space; nothing that was recorded is lost."
    if "readonly" in message or "unable to open" in message:
        return " The folder must be writable; JUPYTER_SWEEP_HOME can name another one."
    if "not a database" in message or "malformed" in message:
        return " Move the file away to begin a new store."
    return ""


@functools.lru_cache(maxsize=64)
def _defined(text: str) -> Sweep:
    """Read a definition, without the store's columns. Who waits for a sweep asks for it thirty times a second."""
    return Sweep.from_json(json.loads(text), name="")
