"""What becomes of a host when two things happen to it in one moment: no real host can be had to do that on demand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jupyter_sweep.executors import clusters
from jupyter_sweep.executors.backends.ssh_cluster import Cluster, end_all
from jupyter_sweep.executors.backends.ssh_host import Host
from jupyter_sweep.executors.backends.ssh_link import Link, Unusable


class MadeUpLink:
    """A connection that stands until `over` is set."""

    there = "10.0.0.1"

    def __init__(self) -> None:
        self.over = asyncio.Event()

    def ping(self) -> None: ...

    def begin(self, config: Any) -> None:
        """As one that broke since the host was reached."""
        self.over.set()
        raise BrokenPipeError("Channel not open for sending")

    async def status(self) -> int | None:
        return None

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


def test_a_host_is_tried_again_whatever_went_wrong_with_one_attempt() -> None:
    options = clusters.parse("ssh:h1", {"reconn_wait_time": 0.01}).options
    attempts: list[str] = []

    async def again() -> None:
        attempts.append("tried")
        raise RuntimeError("cannot bind the address")

    async def forget(_: Host) -> None: ...

    async def story() -> None:
        host: Any = Host(options["hosts"][0], options, 1)
        host.problem = Unusable("connection lost", passing=True)
        task = asyncio.ensure_future(host.look_after(again, forget))
        await asyncio.sleep(0.2)
        assert not task.done()
        assert len(attempts) > 1
        assert host.problem.verdict == "cannot bind the address"
        await end_all([task])

    asyncio.run(story())


def test_a_host_whose_connection_breaks_before_its_workers_are_asked_for_has_lost_it() -> None:
    options = clusters.parse("ssh:h1", {}).options

    async def story() -> None:
        host: Any = Host(options["hosts"][0], options, 1)
        host.hello = {"cores": 2}
        host.link = MadeUpLink()
        await asyncio.wait_for(host.begin({"scheduler": "tcp://10.0.0.2:1"}, dict), 10)
        assert host.problem.verdict == "connection lost"
        assert host.problem.passing

    asyncio.run(story())


def test_a_host_whose_shell_closes_before_a_word_has_lost_its_connection() -> None:
    class Closed:
        """What asyncssh gives for a session that the host ended at once."""

        def write(self, data: bytes) -> None:
            raise BrokenPipeError("Channel not open for sending")

        def get_extra_info(self, name: str) -> tuple[str, int]:
            return "10.0.0.1", 22

    async def story() -> None:
        process: Any = Closed()
        process.stdin, process.stderr = process, asyncio.StreamReader()
        link = Link(process, process, lambda data: None)
        with pytest.raises(Unusable) as refused:
            await link.greet("true")
        assert refused.value.passing
        await end_all(link._tasks)

    asyncio.run(story())


def test_an_address_that_could_not_be_bound_is_tried_again_by_the_next_host() -> None:
    cluster: Any = object.__new__(Cluster)
    cluster._addresses = {}
    results: list[Any] = [OSError("not available"), "tcp://10.0.0.2:1"]

    async def bound(local: str) -> str:
        await asyncio.sleep(0.01)
        found = results.pop(0)
        if isinstance(found, Exception):
            raise found
        return str(found)

    async def story() -> None:
        cluster._bound = bound
        first, second = (asyncio.ensure_future(cluster._address_for("10.0.0.2")) for _ in range(2))
        with pytest.raises(OSError, match="not available"):
            await first
        assert await asyncio.wait_for(second, 5) == "tcp://10.0.0.2:1"

    asyncio.run(story())
