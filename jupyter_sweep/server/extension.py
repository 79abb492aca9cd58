"""What the server loads: the handlers and the schema of our events. What a question needs comes with the first one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_server.extension.application import ExtensionApp

from .changes import Changes
from .desk import Desk, Views
from .handlers import handlers
from .listing import Scans
from .openapi import event_schema
from .places import Places
from .wire import SCHEMA_ID


class SweepServer(ExtensionApp):
    """Serves the sweeps below the root of a Jupyter server."""

    name = "jupyter_sweep"
    load_other_extensions = True

    #: Given by the package: what writes rows and heads for pages, and its version.
    views: Callable[[], Views]
    release: str

    def initialize_handlers(self) -> None:
        """Add the routes; called once, when the server starts."""
        server = self.serverapp
        assert server is not None
        contents: Any = server.contents_manager
        root = Path(getattr(contents, "root_dir", "") or server.root_dir)
        hidden = bool(getattr(contents, "allow_hidden", False))
        events = server.event_logger
        assert events is not None
        events.register_event_schema(event_schema())

        def emit(event: dict[str, Any]) -> None:
            events.emit(schema_id=SCHEMA_ID, data=event)

        self._desk = Desk(Places(root, hidden=hidden), type(self).views)
        scans = Scans()
        self._changes = Changes(self._desk, scans, emit, self.log.warning)
        self.handlers.extend(handlers(self._desk, scans, self._changes, self.release))

    async def stop_extension(self) -> None:
        """End what runs beside the server's own work."""
        await self._changes.close()
        self._desk.close()


def extension(views: Callable[[], Views], release: str) -> type[SweepServer]:
    """Give the extension with the parts that the package lends it."""
    return type("SweepServer", (SweepServer,), {"views": staticmethod(views), "release": release})
