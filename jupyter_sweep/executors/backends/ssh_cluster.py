"""A Dask cluster on ssh hosts: the scheduler here in the driver, workers there, each host looked after by itself.

Dask's own SSHCluster was measured and left: it binds one address for all workers, reads no output (they block after
2-3 MB), shows its settings on command lines, and never takes a host back that was away.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import time
from collections.abc import Collection
from typing import Any

from ..clusters import Where
from . import ssh_probe, ssh_words
from .base import SHORT_LOGS, Mortal, Queued, environment_kept, load_distributed, workers_of
from .ssh_host import Host, log

#: Read by Dask whenever it connects, so they stay set, in the driver as in the workers.
_SETTINGS = {
    # A host that is cut off is noticed after about 10 s; Dask refuses less than 11 here.
    "distributed.comm.timeouts.tcp": "11s",
    "distributed.comm.timeouts.connect": "5s",
}
_OF_THE_SCHEDULER = {
    **SHORT_LOGS,
    # What the loop sends ahead of the slots (short trials) waits on the worker: it then follows in 2 ms, not in 10.
    "distributed.scheduler.worker-saturation": 1.5,
    # A trial whose worker dies is told to us, not run again behind our back.
    "distributed.scheduler.allowed-failures": 0,
    # Only for workers that hang while their host answers: a host that is lost is noticed sooner, by its connections.
    "distributed.scheduler.worker-ttl": "30s",
}
_CLOSE_S = 5
_AGAIN_S = 0.5


class Cluster(Queued, Mortal):
    """The backend of ssh hosts. The scheduler and all connections live in one event loop, in a thread of its own."""

    prefix = ""
    over = ""

    def __init__(self, where: Where) -> None:
        import dask

        self._where, self._options = where, where.options
        cpus = float(where.share.get("cpus", 1))
        self._hosts = [Host(word, self._options, cpus) for word in self._options["hosts"]]
        self._tasks: list[asyncio.Task[None]] = []
        self._scheduler: Any = None
        self._addresses: dict[str, str] = {}
        self._ends: dict[str, str] = {}
        self._closed = False
        dask.config.set(_SETTINGS)
        distributed = load_distributed()
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # all that matters comes to us as an event
        logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
        self._security = distributed.Security.temporary() if self._options["tls"] else distributed.Security()
        self._runner = distributed.utils.LoopRunner(asynchronous=False)
        self._runner.start()
        try:
            with environment_kept(), dask.config.set(_OF_THE_SCHEDULER):
                self._runner.run_sync(self._open)
                own = next(iter(self._addresses.values()))
                self.client = distributed.Client(
                    own, security=self._security, set_as_default=False, loop=self._runner.loop
                )
        except BaseException:
            self._runner.run_sync(self._shut)
            self._runner.stop()
            raise
        self.dashboard = self._link()

    # -- start --------------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        await asyncio.gather(*(host.reach() for host in self._hosts))
        found = [host.found for host in self._hosts]
        log.warning("%s\n%s", self._where.word, ssh_probe.table(found))
        ssh_probe.require(self._where.word, found)
        await asyncio.gather(*(self._begin(host) for host in self._hosts if host.is_up))
        if not any(host.is_up for host in self._hosts):
            ssh_probe.require(self._where.word, [host.found for host in self._hosts])
        for host in self._hosts:
            if host.problem is not None:
                log.warning("%s: %s. %s", host.name, host.problem.verdict, host.problem.advice)
        self._tasks = [asyncio.ensure_future(self._look_after(host)) for host in self._hosts]

    async def _begin(self, host: Host) -> None:
        assert host.link is not None
        common = {
            "scheduler": await self._address_for(host.link.here),
            "security": self._secrets(),
            "settings": _SETTINGS,
        }
        await host.begin(common, lambda: self._scheduler.aliases)

    async def _address_for(self, local: str) -> str:
        """Give the scheduler's address at one of this machine's, the one by which a host was reached."""
        if local not in self._addresses:
            self._addresses[local] = ""
            try:
                self._addresses[local] = await self._bound(local)
            except BaseException:
                del self._addresses[local]  # whoever needs it next tries again, and doesn't wait for us
                raise
        while not self._addresses.get(local, "-"):  # another host is just having it bound
            await asyncio.sleep(0.01)
        return self._addresses.get(local) or await self._address_for(local)

    async def _bound(self, local: str) -> str:
        """Have the scheduler listen at one of this machine's addresses, too; give its own there."""
        protocol = "tls" if self._options["tls"] else "tcp"
        if self._scheduler is None:
            self._scheduler = load_distributed().Scheduler(
                host=local,
                protocol=protocol,
                security=self._security,
                dashboard_address="127.0.0.1:0",  # the default binds all interfaces
            )
            await self._scheduler
        else:
            await self._scheduler.listen(
                f"{protocol}://[{local}]:0" if ":" in local else f"{protocol}://{local}:0",
                allow_offload=False,
                handshake_overrides={"pickle-protocol": 4, "compression": None},
                **self._security.get_listen_args("scheduler"),
            )
        return str(self._scheduler.listeners[-1].contact_address)

    def _secrets(self) -> dict[str, Any]:
        """Give what a worker makes its `Security` from: certificate and key that exist in memory only."""
        if not self._options["tls"]:
            return {}
        names = ("tls_ca_file", "tls_worker_cert", "tls_worker_key")
        return {"require_encryption": True, **{name: getattr(self._security, name) for name in names}}

    def _link(self) -> str | None:
        """Give the dashboard's address on this machine, where Dask can draw one."""
        if importlib.util.find_spec("bokeh") is None:
            return None
        port = self._scheduler.services["dashboard"].port
        link: str = load_distributed().utils.format_dashboard_link("127.0.0.1", port)
        return link

    # -- while it lasts -----------------------------------------------------------------------------------------------

    async def _look_after(self, host: Host) -> None:
        async def again() -> None:
            await host.reach()
            if host.is_up:
                await self._begin(host)

        await host.look_after(again, self._forget)
        if all(h.given_up for h in self._hosts):
            self.over = f"{self._where.word}: every host is given up. " + "; ".join(h.in_words for h in self._hosts)
            log.warning("%s", self.over)

    async def _forget(self, host: Host) -> None:
        """Take a host's workers from the scheduler, which would else wait for them to speak; their trials are lost."""
        for name, address in list(self._scheduler.aliases.items()):
            if host.is_mine(name):
                self._ends[address] = f"the host {host.name} is lost: {host.in_words}"
                await self._scheduler.remove_worker(address, stimulus_id=f"ssh-host-lost-{time.time()}")

    def slots(self) -> int:
        # At least one: of a cluster that is over the loop must still ask, to be told so.
        return max(1, sum(host.slots for host in self._hosts if not host.given_up))

    def scale(self, n: int) -> None:
        if all(host.slots for host in self._hosts):
            ssh_words.check_jobs(n, {host.name: host.slots for host in self._hosts})

    def jobs(self) -> dict[str, dict[str, str]]:
        """Give a row for each host that is away, with why."""
        away = [host for host in self._hosts if not host.is_up]
        return {h.name: {"job": "ssh", "job_state": h.in_words, "reason": "", "node": h.name} for h in away}

    def there(self) -> Collection[str]:
        """Give the addresses of the workers that the scheduler has."""
        return workers_of(self._scheduler)

    def end_of(self, address: str) -> str:
        """Say which host a worker was on that went with it."""
        return self._ends.get(address, "")

    def was_due(self, address: str) -> bool:
        """No host has its time."""
        return False

    def is_whole(self) -> bool:
        """Hosts are tried again by themselves, so nothing is left for `heal`."""
        return True

    def heal(self) -> None: ...

    # -- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(Exception):  # what a close may raise is worth less than that it goes on
            self.client.close(timeout=2)
        self._runner.run_sync(self._shut)
        self._runner.stop()

    async def _shut(self) -> None:
        await end_all(self._tasks)
        await asyncio.gather(*(host.end() for host in self._hosts), return_exceptions=True)
        if self._scheduler is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._scheduler.close(), _CLOSE_S)


async def end_all(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    Once isn't enough: before Python 3.12 a task whose `wait_for` has its answer at that moment does not hear of it.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_AGAIN_S)
