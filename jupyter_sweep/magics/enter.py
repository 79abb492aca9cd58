"""`%sweep enter`: the results of passive sweeps; without arguments, what waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import live
from ..errors import SweepError
from ..handle import Handle
from ..notation import entries
from ..results import standing

if TYPE_CHECKING:
    from .line import Tools

COMMAND = "%sweep enter"


def enter(tools: Tools, given: list[str], flags: set[str]) -> None:
    """Enter a result, or show what waits: everywhere, or in one sweep."""
    if len(given) < 2 and not flags:
        print(waiting([tools.handle(given[0])] if given else live.sweeps(tools.folder)))
        return
    if len(given) < 2:
        raise SweepError(f"Which trial? {COMMAND} NAME NUMBER METRIC=VALUE ...")
    handle = tools.handle(given[0])
    number, metrics = entries.read(given[1:])
    failed = next((flag.partition("=")[2] for flag in flags), "")
    trial = handle.enter(number, failed=failed, **metrics)
    print(f"Trial {number} of {handle.name} is {trial.state}. {waiting([handle])}")


def waiting(handles: list[Handle]) -> str:
    """Give what waits in these sweeps."""
    return standing.told([(handle.definition, handle.trials()) for handle in handles], COMMAND)
