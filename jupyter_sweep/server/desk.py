"""What the server has open: stores to read from, and the sweeps that pages look at, each read by changes alone.

Stores are SQLite files and block, so every question is answered in a small pool of threads; when too many wait, the
next is refused. A reader is used by one thread at a time. What a page has not looked at lately is forgotten: at most
READERS sweeps and about ROWS rows are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from ..definition import Sweep
from ..errors import StoreError, suggest
from ..handle import Handle
from ..store.reading import ReadingStore
from ..store.sqlite import Store
from .places import Places
from .refused import Refused

P = ParamSpec("P")
T = TypeVar("T")

THREADS, WAITING = 4, 64
READERS, ROWS = 32, 50_000


class Mirror(Protocol):
    """A sweep as the views know it; see `widgets/mirror.py`."""

    rows: dict[int, dict[str, Any]]
    columns: dict[str, list[str]]
    state: dict[str, Any]
    change: int

    def poll(self) -> list[int]: ...


class Views(Protocol):
    """How rows and heads are written for a page: the module `widgets.mirror`, joined by the package."""

    def Mirror(self, handle: Any) -> Mirror: ...

    def wire_head(self, mirror: Any) -> dict[str, Any]: ...

    def wire_row(self, row: Mapping[str, Any], columns: Mapping[str, list[str]]) -> list[Any]: ...

    def wire_value(self, encoded: Any, limit: int = ...) -> Any: ...

    def wire_metric(self, value: float | None) -> float | str | None: ...


class Reader:
    """One version of a sweep that pages look at; `reading()` brings it up to date and keeps other threads out."""

    def __init__(self, store_path: str, store: ReadingStore, sweep_id: int, views: Views) -> None:
        self.store_path, self.store, self.views = store_path, store, views
        self.handle = Handle(store, sweep_id)
        self.epoch = secrets.token_hex(8)
        self.mirror = views.Mirror(self.handle)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Mirror]:
        with self._lock:
            self.mirror.poll()
            yield self.mirror


class Desk:
    """Answers questions about the stores of `places`. `views` is loaded with the first question."""

    def __init__(self, places: Places, views: Callable[[], Views]) -> None:
        self.places = places
        self._load_views = views
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="jupyter_sweep")
        self._waiting = 0
        self._lock = threading.Lock()
        self._stores: dict[Path, ReadingStore] = {}
        self._readers: OrderedDict[tuple[Path, int], Reader] = OrderedDict()
        #: What `listing` remembers of sweeps that rest, by folder and id: their newest change and their summary.
        self.summaries: dict[tuple[Path, int], tuple[int, dict[str, Any]]] = {}

    @functools.cached_property
    def views(self) -> Views:
        return self._load_views()

    async def answer(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Give the answer of a blocking function.

        Raises
        ------
        Refused
            429 when too many wait, and what the question itself refuses.
        """
        if self._waiting >= WAITING:
            raise Refused(429, "Too many questions at once; ask again in a moment.")
        self._waiting += 1
        try:
            call = functools.partial(question, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Start no more answers."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    # -- in the pool's threads ----------------------------------------------------------------------------------------

    def open(self, store: str) -> ReadingStore:
        """Give a store by its path from the root, for reading.

        Raises
        ------
        Refused
            404 where none is, 409 where it can't be read: a newer schema, a file of another program.
        """
        folder = self.places.resolve(store)
        with self._lock:
            known = self._stores.get(folder)
        if known is not None and known.is_current:
            return known
        try:
            opened = ReadingStore(folder)
        except StoreError as error:
            raise Refused(409, str(error)) from None
        with self._lock:
            for key in [key for key in self._readers if key[0] == folder]:
                del self._readers[key]
            for key in [key for key in self.summaries if key[0] == folder]:
                del self.summaries[key]
            self._stores[folder] = opened
        return opened

    def open_to_write(self, store: str) -> Store:
        """Give a store for requests; otherwise as `open`."""
        return Store(self.places.resolve(store), create=False)

    def version(self, store: str, name: str, version: int | None) -> Sweep:
        """Give a version of a sweep, the newest without `version`.

        Raises
        ------
        Refused
            404 for an unknown one, with the nearest names.
        """
        opened = self.open(store)
        versions = opened.sweeps(name)
        if not versions:
            names = {sweep.name for sweep in opened.sweeps()}
            raise Refused(404, f"There is no sweep {name!r} in {store!r}.{suggest(name, names)}")
        found = [sweep for sweep in versions if version in (None, sweep.version)]
        if not found:
            raise Refused(404, f"Sweep {name!r} has no version {version}.")
        return max(found, key=lambda s: (s.taken_up_at, s.sweep_id))

    def reader(self, store: str, name: str, version: int | None) -> Reader:
        """Give the reader of a version of a sweep, the newest without `version`; otherwise as `version`."""
        sweep = self.version(store, name, version)
        return self.reader_of(store, self.open(store), sweep.sweep_id)

    def reader_of(self, store_path: str, store: ReadingStore, sweep_id: int) -> Reader:
        """Give the reader of a sweep of an open store."""
        key = (store.home, sweep_id)
        with self._lock:
            known = self._readers.get(key)
            if known is not None and known.store is store:
                self._readers.move_to_end(key)
                return known
        made = Reader(store_path, store, sweep_id, self.views)  # outside the lock: it reads all trials
        with self._lock:
            known = self._readers.get(key)
            if known is not None and known.store is store:
                return known
            self._readers[key] = made
            self._forget()
        return made

    def known_reader(self, store: ReadingStore, sweep_id: int) -> Reader | None:
        """Give a reader that is there already."""
        with self._lock:
            known = self._readers.get((store.home, sweep_id))
        return known if known is not None and known.store is store else None

    def _forget(self) -> None:
        """Drop the readers used longest ago."""
        rows = sum(len(reader.mirror.rows) for reader in self._readers.values())
        while len(self._readers) > 1 and (len(self._readers) > READERS or rows > ROWS):
            _, oldest = self._readers.popitem(last=False)
            rows -= len(oldest.mirror.rows)
