"""What becomes of a host when two things happen to it in one moment: no real host can be had to do that on demand."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_sweep.executors import clusters
from jupyter_sweep.executors.backends.ssh_cluster import end_all
from jupyter_sweep.executors.backends.ssh_host import Host


class MadeUpLink:
    """A connection that stands until `over` is set."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    def ping(self) -> None: ...

    async def drop(self) -> None: ...


def test_a_host_that_is_lost_in_the_moment_that_its_cluster_ends_is_not_taken_back() -> None:
    options = clusters.parse("ssh:h1", {"reconn_wait_time": 0.01}).options
    again: list[str] = []

    async def reach() -> None:
        again.append("reached")

    async def forget(_: Host) -> None: ...

    async def story() -> None:
        host: Any = Host(options["hosts"][0], options, 1)
        host.link = link = MadeUpLink()
        task = asyncio.ensure_future(host.look_after(reach, forget))
        await asyncio.sleep(0.05)
        link.over.set()
        await asyncio.wait_for(end_all([task]), 10)
        assert task.cancelled()
        seen = len(again)
        await asyncio.sleep(0.1)
        assert len(again) == seen

    asyncio.run(story())
