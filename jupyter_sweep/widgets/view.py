"""The live view of a sweep in a notebook: who shows it, when it is drawn, and what stays of it.

**One output, updated in place.** Where a person watches, it is a widget with HTML and plain text beside it; where
nobody does (nbclient and all that is built on it) HTML and text only, drawn again at the end; in a terminal one line.

**Live on the page, static in the file.** At the end the output must read without a kernel, but for a widget without
one JupyterLab shows "model not found" even when HTML lies beside it: the file must not hold the widget. Replacing the
output would take the table, the sorting and the buttons from a user who only now wants them. So the page is asked to
put the static form into the *document* without drawing it, as the notebook itself writes outputs, and goes on showing
the widget until it is closed. Where a front end can't do that, or doesn't answer in KEEP_S, the output is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import interrupts
from ..errors import SweepError
from . import text
from .mirror import Handle, Mirror
from .page import SweepView

__all__ = ["Handle", "Seen", "SweepView", "show", "watch"]

WIDGET = "application/vnd.jupyter.widget-view+json"
#: The comm by which a page says that it draws a sweep from the server.
TARGET = "jupyter_sweep"
#: Seconds between two updates: while things change and somebody looks, and at rest.
FAST_S, SLOW_S = 0.5, 2.0
#: Seconds after which the effect of a click is looked for.
CLICK_S = 0.15
#: How long the page may take to put the static form into the document.
KEEP_S = 2.0


# -- faces: who shows it ------------------------------------------------------------------------------------------


class Face:
    """How a sweep is shown. One loop at a time draws it; `wake()` ends that loop's rest, from any thread."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        #: True while a loop draws.
        self.busy = False
        self._awake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def watched(self) -> bool:
        """False when nobody can see it now."""
        return True

    @property
    def wants_cell(self) -> bool:
        """True when the user asked for the best-config cell and the page can't insert one."""
        return False

    def open(self) -> None:
        """Show it for the first time, in the output of the running cell."""
        raise NotImplementedError

    def draw(self) -> bool:
        """Read the sweep, show what changed; give whether a row did."""
        return bool(self.mirror.poll())

    def say(self, sentence: str) -> None:
        """Show a sentence; faces without a place for it leave it to the last picture."""

    async def close(self) -> None:
        """Leave what needs no kernel."""
        raise NotImplementedError

    def enter(self) -> None:
        """Let the running loop be the one that draws: a cell that blocks under another magic has one of its own."""
        self._loop, self._awake, self.busy = asyncio.get_running_loop(), asyncio.Event(), True

    def wake(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._awake.set)

    async def rest(self, seconds: float) -> bool:
        """Wait so long, or until woken; give whether it was woken."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._awake.wait(), seconds)
        woken = self._awake.is_set()
        self._awake.clear()
        return woken


class Live(Face):
    """The widget, with HTML and text beside it for front ends without widgets."""

    def __init__(self, mirror: Mirror, cell_id: str = "", run: int = 0) -> None:
        super().__init__(mirror)
        self.busy = True  # a page may ask before the loop has begun; it will be answered there
        self.view = SweepView(mirror, cell_id=cell_id, on_command=self._called)
        self.display_id = uuid.uuid4().hex
        _close_older(cell_id, run, self.view)

    @property
    def watched(self) -> bool:
        return self.view.watched

    @property
    def wants_cell(self) -> bool:
        return self.view.wants_cell

    def open(self) -> None:
        _listen(self.view)
        widget = {"version_major": 2, "version_minor": 0, "model_id": self.view.model_id}
        _display({WIDGET: widget, **self.mirror.static(self.view.model_id)}, self.display_id)

    def draw(self) -> bool:
        self.view.obey()
        return self.view.update()

    def say(self, sentence: str) -> None:
        self.view.say(sentence)

    def _called(self) -> None:
        """Take note of a command, in any thread: the loop obeys it; when none draws, it is obeyed here and now."""
        if self.busy:
            self.wake()
            return
        self.view.obey()
        if not self.mirror.ended:
            self.follow()

    def follow(self) -> None:
        """Go on drawing in a thread until the sweep ends, also while other cells keep the kernel busy.

        The handle is then used in that thread.
        """
        self.busy = True
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(asyncio.run, self._follow()), name="jupyter_sweep view", daemon=True).start()

    async def _follow(self) -> None:
        try:
            await _drive(self)
        except SweepError as error:
            self.say(str(error))

    async def close(self) -> None:
        """Have the page put the static form into the document, or else replace the output."""
        self.view.kept = None
        self.view.obey()
        if self.view.drawn and not self.view.asked:
            self.view.kept = False  # the page draws from the server and need not be asked
        else:
            self.view.keep()
        end = time.monotonic() + KEEP_S
        while self.view.kept is None and time.monotonic() < end:
            await self.rest(0.2)
            self.view.obey()
        if not self.view.kept:
            _display(self.mirror.static(), self.display_id, again=True)
        self.busy = False
        self.view.obey()  # what came in between


class Headless(Face):
    """HTML and text without a widget, for runs that nobody watches: drawn at the start and at the end."""

    def __init__(self, mirror: Mirror) -> None:
        super().__init__(mirror)
        self.display_id = uuid.uuid4().hex

    def open(self) -> None:
        _display(self.mirror.static(), self.display_id)

    async def close(self) -> None:
        _display(self.mirror.static(), self.display_id, again=True)


class Line(Face):
    """One line of a terminal, written over and over; at the end the whole as text."""

    def open(self) -> None:
        self._write(text.line(self.mirror.state))

    def draw(self) -> bool:
        changed = super().draw()
        self._write(text.line(self.mirror.state))
        return changed

    def say(self, sentence: str) -> None:
        self._write(text.clean(sentence) + "\n")

    async def close(self) -> None:
        self._write("")
        print(text.static_text(self.mirror.snapshot()))

    def _write(self, line: str) -> None:
        """Write over the current line; a file gets no line that is written over."""
        if sys.stdout.isatty():
            sys.stdout.write(f"\r\x1b[2K{line}")
            sys.stdout.flush()


_shown: dict[str, tuple[int, list[SweepView]]] = {}


def _close_older(cell_id: str, run: int, view: SweepView) -> None:
    """Close the views that earlier runs of this cell made: their output is gone."""
    then, views = _shown.get(cell_id, (run, []))
    if then != run:
        for old in views:
            old.close()
        views = []
    if cell_id:
        _shown[cell_id] = (run, [*views, view])


_drawable: weakref.WeakValueDictionary[str, SweepView] = weakref.WeakValueDictionary()


def _listen(view: SweepView) -> None:
    """Let pages that draw from the server tell so: they open a comm that names the widget they don't need."""
    from IPython import get_ipython

    def opened(_comm: object, message: dict[str, Any]) -> None:
        found = _drawable.get(message["content"]["data"].get("drawn", ""))
        if found is not None:
            found.queue({"kind": "drawn"})

    shell: Any = get_ipython()
    _drawable[view.model_id] = view
    shell.kernel.comm_manager.register_target(TARGET, opened)


def _display(bundle: dict[str, Any], display_id: str, *, again: bool = False) -> None:
    from IPython.display import display, update_display

    show: Callable[..., Any] = update_display if again else display
    show(bundle, raw=True, display_id=display_id)


def pick_face(handle: Handle) -> Face:
    """Give the face for this front end: `Live` for a person, `Headless` for nobody, `Line` in a terminal."""
    from IPython import get_ipython

    shell: Any = get_ipython()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return Line(Mirror(handle))
    request = kernel.get_parent("shell") or {}
    # nbclient, and what is built on it, answers no questions: the one mark of a front end without a person.
    if not request.get("content", {}).get("allow_stdin"):
        return Headless(Mirror(handle))
    return Live(Mirror(handle), request.get("metadata", {}).get("cellId", ""), shell.execution_count)


# -- the loop: when it is drawn -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What `watch` saw.

    `snapshot` holds all rows, `interrupts` how often the user interrupted; `wants_cell` is True when the user asked for
    the best-config cell in a front end whose page can't insert one.
    """

    snapshot: dict[str, Any]
    interrupts: int
    wants_cell: bool


async def watch(
    handle: Handle,
    *,
    on_interrupt: Callable[[int], bool] | None = None,
    each: Callable[[], str] | None = None,
) -> Seen:
    """Show a sweep in the running cell until it has ended, and leave the static form behind.

    Parameters
    ----------
    handle
        The sweep; it may have ended already.
    on_interrupt
        Called with 1, 2, ... for each interrupt; True to go on watching (what runs may drain). Without it the first
        interrupt ends the watching, not the sweep.
    each
        Called before each look, at most twice a second; a sentence that it gives is shown.

    Returns
    -------
    Seen
        After the output is final. Interrupts don't raise; a cancelled task leaves its output final and raises.
    """
    face = pick_face(handle)
    face.open()
    with interrupts.counted(face.wake) as seen:
        await _drive(face, seen, on_interrupt, each)
    return Seen(face.mirror.snapshot(), len(seen), face.wants_cell)


def show(handle: Handle) -> None:
    """Show a sweep and return at once. A live view goes on in a thread of its own, and uses the handle there."""
    face = pick_face(handle)
    face.open()
    if isinstance(face, Live):
        face.follow()
    elif isinstance(face, Line):
        asyncio.run(face.close())


async def _drive(
    face: Face,
    seen: Sequence[float] = (),
    on_interrupt: Callable[[int], bool] | None = None,
    each: Callable[[], str] | None = None,
) -> None:
    """Draw until the end, more and more slowly while nothing changes or nobody looks."""
    pause, handled, woken = FAST_S, 0, False
    face.enter()
    try:
        while True:
            if each is not None and (sentence := each()):
                face.say(sentence)
            changed = face.draw()
            if face.mirror.ended:
                return
            if len(seen) > handled:
                handled = len(seen)
                if on_interrupt is None or not on_interrupt(handled):
                    return
            pause = CLICK_S if woken else FAST_S if changed else min(SLOW_S, pause * 1.5)
            woken = await face.rest(pause if face.watched else SLOW_S)
    finally:
        await face.close()
