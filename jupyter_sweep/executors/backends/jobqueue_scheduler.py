"""The scheduler of jobs: in the driver, on the network of the nodes, encrypted with certificates of its own.

Dask's own scaling and adapting stay unused: they never learn that a job is gone which had no worker yet, and they end
workers that run trials. So its cluster object has no workers of its own, only a scheduler.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from typing import Any

from ...errors import SweepError
from ..clusters import Where
from . import slurm
from .base import SHORT_LOGS, environment_kept, load_distributed, workers_of

_SETTINGS = {
    **SHORT_LOGS,
    # A trial that waits goes to the job that starts next, not to one that is busy.
    "distributed.scheduler.worker-saturation": 1.0,
    # A trial whose job ends is told to us, not run again behind our back.
    "distributed.scheduler.allowed-failures": 0,
    # A node that vanished is given up after about 10 s.
    "distributed.comm.timeouts.tcp": "11s",
    "distributed.scheduler.worker-ttl": "30s",
}
_CLOSE_S = 10


class Scheduler:
    """A running scheduler with a client; `security` is what both use, as `jobqueue_files.certificates` gives it."""

    def __init__(self, where: Where, security: Any) -> None:
        import dask

        distributed = load_distributed()
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # all that matters comes to us as an event
        options = {
            "protocol": "tls://",
            "security": security,
            "host": _host(where),
            "dashboard_address": "127.0.0.1:0",  # the default binds all interfaces
        }
        with environment_kept(), dask.config.set(_SETTINGS):
            self.cluster = distributed.SpecCluster(
                workers={}, scheduler={"cls": distributed.Scheduler, "options": options}, security=security
            )
            try:
                self.client = distributed.Client(self.cluster, set_as_default=False)
            except BaseException:
                self.cluster.close(timeout=_CLOSE_S)
                raise
        self._scheduler = self.cluster.scheduler
        self.address: str = self._scheduler.contact_address or self._scheduler.address

    def dashboard(self) -> str | None:
        """Give the address of Dask's own page; None where bokeh isn't installed."""
        port = self.cluster.scheduler_info["services"].get("dashboard")
        if port is None or importlib.util.find_spec("bokeh") is None:
            return None
        link: str = load_distributed().utils.format_dashboard_link("127.0.0.1", port)
        return link

    def present(self) -> dict[str, str]:
        """Give the addresses of the workers that are there by their names; from memory, on any thread."""
        return {str(worker.name): address for address, worker in workers_of(self._scheduler).items()}

    def close(self) -> None:
        with contextlib.suppress(Exception):  # what a close may raise is worth less than that it goes on
            self.client.close(timeout=2)
        with contextlib.suppress(Exception):
            self.cluster.close(timeout=_CLOSE_S)


def _host(where: Where) -> str:
    """Give the address that the scheduler is bound to: on the network of the nodes."""
    utils = load_distributed().utils
    interface = where.options.get("interface")
    if interface is not None:
        try:
            return str(utils.get_ip_interface(interface))
        except ValueError as error:
            raise SweepError(
                f"--on {where.word}: interface={interface} can't be used on this machine: {error}"
            ) from None
    towards = slurm.address_towards_nodes(where.options.get("partition", "")) if where.kind == "slurm" else None
    return towards or str(utils.get_ip())
