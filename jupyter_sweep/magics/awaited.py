"""How a `%%sweep` cell waits: awaited where the kernel can serve other messages meanwhile, else blocking.

In a kernel the cell becomes ``await get_ipython().run_cell_magic('sweep', ...)``: widgets and comms are then served
while it waits (measured: a button answers in 0.1 to 0.2 s, against the end of the cell when it blocks). It is rewritten
only when the request itself begins with `%%sweep`: under `%%time` or `%%capture`, whose own code runs the rest, in a
terminal, and in a call of `run_cell_magic`, nobody would await it, so there it blocks.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from IPython.core.interactiveshell import InteractiveShell

from . import frontend

T = TypeVar("T")

_CELL = re.compile(r"\s*%%sweep(?!\S)")
_CALL = "get_ipython().run_cell_magic('sweep',"


def is_awaited(shell: InteractiveShell) -> bool:
    """Tell whether the running request is a `%%sweep` cell that IPython awaits."""
    on_asyncio = shell.loop_runner is shell.loop_runner_map["asyncio"][0]
    code = frontend.kernel_request(shell).get("content", {}).get("code", "")
    return bool(shell.autoawait) and on_asyncio and _CELL.match(code) is not None


def rewriter(shell: InteractiveShell) -> Callable[[list[str]], list[str]]:
    """Give the transformer for `shell.input_transformers_post`."""

    def put_await(lines: list[str]) -> list[str]:
        if lines and lines[0].startswith(_CALL) and is_awaited(shell):
            return ["await " + lines[0], *lines[1:]]
        return lines

    return put_await


def block_on(awaitable: Awaitable[T]) -> T:
    """Give the result of `awaitable`, blocking, in this thread, also inside a kernel's running event loop.

    It gets a loop of its own. The running one, if any, is set aside for as long with its task, because asyncio refuses
    two in a thread; another thread would not do, because only the main one receives interrupts.
    """

    async def result() -> T:
        return await awaitable

    loop = asyncio.new_event_loop()
    with _set_aside():
        try:
            return loop.run_until_complete(result())
        finally:
            loop.close()


@contextmanager
def _set_aside() -> Iterator[None]:
    """Make asyncio forget the running loop and its task for the block."""
    outer = asyncio._get_running_loop()
    if outer is None:
        yield
        return
    task = asyncio.current_task(outer)
    if task is not None:
        asyncio.tasks._leave_task(outer, task)
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)
        if task is not None:
            asyncio.tasks._enter_task(outer, task)
