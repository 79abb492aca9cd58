"""HTTP in and out: every route authenticated and authorized, parameters read by the table of routes, errors as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http.client import responses
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import ensure_async
from tornado import web

from ..errors import StoreError, SweepError
from . import body, openapi
from .changes import Changes, Stream
from .desk import Desk
from .listing import Scans
from .refused import Refused
from .routes import JUPYTERS, ROUTES, Param, Route

RESOURCE = "jupyter-sweep"
#: Most bytes of a request's body.
BODY = 16_384
#: Verbs that may start a driver.
STARTING = ("resume", "retry", "enter")


class Base(APIHandler):
    """What all handlers share."""

    auth_resource = RESOURCE

    def skip_check_origin(self) -> bool:
        """Refuse a foreign Origin also with a token in the request, unless the server's settings allow that origin."""
        return False

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer what the server itself refuses in the same form as our own refusals."""
        error = kwargs.get("exc_info", (None, None))[1]
        said = error.log_message if isinstance(error, web.HTTPError) else None
        self.put({"message": said or responses.get(status_code, "Unknown error")})

    def read(self, params: Mapping[str, Param], path: Mapping[str, str]) -> dict[str, Any]:
        """Give the parameters of the path and of the query, by the table."""
        try:
            given = {name: [text] for name, text in path.items()}
            for name in self.request.query_arguments:
                if name not in params and name not in JUPYTERS:
                    wanted = ", ".join(name for name in params if name not in path) or "none"
                    raise Refused(400, f"There is no parameter {name[:80]!r} here. There are: {wanted}.")
                if name in params:
                    given.setdefault(name, []).extend(self.get_query_arguments(name, strip=False))
            return {name: param.read(name, given.get(name, [])) for name, param in params.items()}
        except Refused as refused:
            self.refuse(refused)
            raise web.Finish() from None

    def refuse(self, refused: Refused) -> None:
        """Answer with a sentence."""
        self.set_status(refused.status)
        self.put({"message": str(refused)})

    def put(self, data: Any) -> None:
        """Answer with JSON."""
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(dumps(data))

    def not_here(self, *methods: str) -> None:
        """Refuse a method that this path has not."""
        self.set_header("Allow", ", ".join(methods))
        self.refuse(Refused(405, f"{self.request.method} is not for this path; it takes {' and '.join(methods)}."))


class Questions(Base):
    """The routes of one path."""

    def initialize(self, desk: Desk, scans: Scans, changes: Changes, routes: Mapping[str, Route]) -> None:
        self.desk, self.scans, self.changes, self.routes = desk, scans, changes, routes

    @web.authenticated
    @authorized
    async def get(self, **path: str) -> None:
        """Answer the question of this path."""
        await self._answer("GET", path)

    @web.authenticated
    @authorized
    async def post(self, **path: str) -> None:
        """Take the request of this path."""
        await self._answer("POST", path)

    async def _answer(self, method: str, path: Mapping[str, str]) -> None:
        route = self.routes.get(method)
        if route is None:
            self.not_here(*self.routes)
            return
        given = self.read(route.params, path)
        try:
            if route.body is not None:
                given["body"] = await self._body()
            answer = await self.desk.answer(route.run, self.desk, self.scans, given)
        except Refused as refused:
            self.refuse(refused)
            return
        except (StoreError, SweepError) as error:
            self.refuse(Refused(409, str(error)))
            return
        self.changes.watch()
        self.set_status(route.status)
        self.put(answer)

    async def _body(self) -> dict[str, Any]:
        """Read the body; what starts processes wants the right to execute besides."""
        if len(self.request.body) > BODY:
            raise Refused(400, f"The body has {len(self.request.body)} bytes; {BODY} are allowed.")
        found = body.read(self.request.body)
        if found["verb"] in STARTING:
            allowed = self.authorizer.is_authorized(self, self.current_user, "execute", RESOURCE)
            if not await ensure_async(allowed):
                raise web.HTTPError(403, f"{RESOURCE}: execute is not allowed")
        return found


class Events(Base):
    """Changes as server-sent events."""

    def initialize(self, changes: Changes) -> None:
        self.changes = changes
        self._stream: Stream | None = None

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Send each change until `for_s` is over or the page is gone."""
        given = self.read({"for_s": openapi.FOR_S}, {})
        try:
            self._stream = self.changes.stream(given["for_s"])
        except Refused as refused:
            self.refuse(refused)
            return
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        self.write(": sweeps of this server\n\n")
        await self.flush()
        try:
            async for event in self._stream:
                self.write(f"event: sweep\ndata: {dumps(event)}\n\n" if event else ": still here\n\n")
                await self.flush()
        finally:
            self._stream.close()

    def on_connection_close(self) -> None:
        """Stop sending to a page that is gone."""
        if self._stream is not None:
            self._stream.close()
        super().on_connection_close()


class Description(Base):
    """The description of the API."""

    def initialize(self, version: str) -> None:
        self.version = version

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Give it."""
        self.read({}, {})
        self.put(openapi.describe(self.version))


def dumps(data: Any) -> str:
    """Give JSON, in which a number that is none stands as text."""
    try:
        return json.dumps(data, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(data), allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, (list, tuple)) else data


def handlers(desk: Desk, scans: Scans, changes: Changes, version: str) -> list[tuple[Any, ...]]:
    """Give the handlers by their paths; the server puts its base URL before them."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    root = "/jupyter-sweep/api"
    shared = {"desk": desk, "scans": scans, "changes": changes}
    found: list[tuple[Any, ...]] = [
        (root + _pattern(path), Questions, {**shared, "routes": routes}) for path, routes in by_path.items()
    ]
    return [
        *found,
        (root + "/events", Events, {"changes": changes}),
        (root + "/openapi", Description, {"version": version}),
    ]


def _pattern(path: str) -> str:
    """Give the expression of a path: each ``{name}`` is one part, decoded by tornado."""
    return path.replace("{name}", "(?P<name>[^/]+)").replace("{number}", "(?P<number>[^/]+)")
