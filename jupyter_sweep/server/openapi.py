"""The description of the API, made from the routes, the types of `wire` and `examples.json`: OpenAPI 3.1."""

from __future__ import annotations

import json
import re
import types
import typing
from pathlib import Path
from typing import Any, Literal, Union

from . import wire
from .body import LEAST, MOST, MOST_METRICS, MOST_TEXT, NEEDS, RESULT
from .routes import ROUTES, Param, Route

_PLAIN: dict[Any, dict[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}
_RIGHTS = {
    "GET": "Wants the right to read.",
    "POST": "Wants the right to write, for resume and retry also that to execute. A browser's request without the "
    "token in it carries the header X-XSRFToken, as Jupyter's `ServerConnection.makeRequest` does by itself.",
}
_REFUSALS = {
    400: "The question is no question of this API; the sentence says what is wanted.",
    403: "Not logged in, or not allowed.",
    404: "No such store, sweep, version or trial; or a foreign Origin.",
    409: "It can't be done now: the store can't be read, or the request makes no sense in this state.",
    429: "Too many questions at once.",
}


def describe(version: str) -> dict[str, Any]:
    """Give the description as JSON data; `version` is that of the package."""
    paths: dict[str, dict[str, Any]] = {}
    named: dict[str, dict[str, Any]] = {}
    shown = examples()
    for route in ROUTES:
        told = _operation(route, named)
        _exemplify(told, shown[f"{route.method} {route.path}"])
        paths.setdefault(route.path, {})[route.method.lower()] = told
    paths["/events"] = {"get": _stream(named, shown["GET /events"])}
    answers = {"200": {"description": "OpenAPI 3.1"}, **_refusals(named)}
    paths["/openapi"] = {"get": {"summary": "This description", "responses": answers}}
    schema("Message", wire.Message, named)
    return {
        "openapi": "3.1.0",
        "info": {"title": "jupyter_sweep", "version": version, "description": wire.__doc__ or ""},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(named.items())),
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}},
        },
        "security": [{"token": []}],
    }


def examples() -> dict[str, dict[str, Any]]:
    """Give an example of each question: its `path`, `query` and `body`, and the `answer`."""
    found: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("examples.json").read_text("utf-8"))
    return found


def _exemplify(operation: dict[str, Any], example: dict[str, Any]) -> None:
    """Put an example into the description of an operation."""
    given = {**example["path"], **example["query"]}
    for parameter in operation["parameters"]:
        if parameter["name"] in given:
            parameter["example"] = given[parameter["name"]]
    if "body" in example:
        operation["requestBody"]["content"]["application/json"]["example"] = example["body"]
    answer = next(found for status, found in operation["responses"].items() if status.startswith("2"))
    answer["content"]["application/json"]["example"] = example["answer"]


def _operation(route: Route, named: dict[str, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": route.summary,
        "description": _RIGHTS[route.method],
        "parameters": [_parameter(name, param, route.path) for name, param in route.params.items()],
        "responses": {str(route.status): _content("The answer.", _refer(route.answer, named)), **_refusals(named)},
    }
    if route.body is not None:
        body = _refer(route.body, named)
        named["Request"] = _request(named["Request"])
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _request(found: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of a request: the bounds of its numbers, and which verbs want one."""
    if "anyOf" in found:
        return found

    def form(verbs: list[str], needs: str = "") -> dict[str, Any]:
        numbers: dict[str, Any] = {}
        for key, least in LEAST.items():
            whole = {"type": "integer", "minimum": least, "maximum": MOST}
            numbers[key] = whole if key == needs else {"anyOf": [whole, {"type": "null"}]}
        results = _results() if RESULT in verbs else {}
        required = ["verb", needs] if needs else ["verb"]
        return {
            "type": "object",
            "properties": {"verb": {"enum": verbs}, **numbers, **results},
            "required": required,
            "additionalProperties": False,
        }

    plain = [verb for verb in found["properties"]["verb"]["enum"] if verb not in NEEDS]
    forms = [form(plain), *(form([verb], key) for verb, key in NEEDS.items())]
    return {"description": found["description"], "anyOf": forms}


def _results() -> dict[str, Any]:
    """Give what the request that enters a result may have besides."""
    text = {"type": "string", "maxLength": MOST_TEXT}
    metrics = {
        "type": "object",
        "maxProperties": MOST_METRICS,
        "additionalProperties": {"anyOf": [{"type": "number"}, text]},
    }
    return {"metrics": {"anyOf": [metrics, {"type": "null"}]}, "failed": {"anyOf": [text, {"type": "null"}]}}


_STREAM = """Wants the right to read. The answer begins at once with a comment line, then each change of a sweep is

    event: sweep
    data: {...}

and an empty line; the data are one line of JSON, an `Event`. It says that a sweep changed; what changed is asked with
`/sweeps/{name}/changes`. The server looks every 0.3 s while something changes, every 2 s at rest, and tells several
changes of one sweep between two looks as one. A comment line every 15 s says that it is still there. After `for_s`
seconds the stream ends: ask again. What changed in between is not told again, so ask for all sweeps at each beginning.
Read it with `ServerConnection.makeRequest(...)` and `response.body.getReader()`: `EventSource` sends no token.
The server's own event bus tells the same data under the schema SCHEMA_ID."""


def _stream(named: dict[str, dict[str, Any]], example: dict[str, Any]) -> dict[str, Any]:
    schema("Event", wire.Event, named)
    text = f": sweeps of this server\n\nevent: sweep\ndata: {json.dumps(example['answer'])}\n\n"
    told = {"schema": {"type": "string", "description": "The data of each event is an Event."}, "example": text}
    return {
        "operationId": "get_events",
        "summary": "Changes of all sweeps as they come, as server-sent events; ends after for_s seconds",
        "description": _STREAM.replace("SCHEMA_ID", wire.SCHEMA_ID),
        "parameters": [_parameter("for_s", FOR_S, "")],
        "responses": {
            "200": {"description": "The stream.", "content": {"text/event-stream": told}},
            **_refusals(named),
        },
    }


def event_schema() -> dict[str, Any]:
    """Give the schema of our events for the server's event bus."""
    named: dict[str, dict[str, Any]] = {}
    schema("Event", wire.Event, named)
    return {"$id": wire.SCHEMA_ID, "version": "1", "title": "A sweep changed", **named["Event"]}


FOR_S = Param("whole", "how long the stream lasts; ask again then", 600, least=0, most=3600)


def _refusals(named: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {str(status): _content(told, _refer(wire.Message, named)) for status, told in _REFUSALS.items()}


def _content(told: str, found: dict[str, Any]) -> dict[str, Any]:
    return {"description": told, "content": {"application/json": {"schema": found}}}


def _parameter(name: str, param: Param, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {"whole": {"type": "integer"}, "truth": {"type": "boolean"}}.get(
        param.kind, {"type": "string"}
    )
    found = dict(found)
    if param.kind == "whole":
        found.update(minimum=param.least, maximum=param.most)
    elif param.kind in ("text", "texts"):
        found["maxLength"] = param.most
    if param.shape:
        found["pattern"] = f"^(?:{param.shape})$"
    if param.pattern:
        found["pattern"] = f"^(?:{param.pattern.replace(chr(92) + 'w', 'A-Za-z0-9_')})$"
    if param.kind == "texts":
        found = {"type": "array", "items": found, "minItems": 1, "maxItems": 8}
    if param.default not in (..., None):
        found["default"] = param.default
    in_path = f"{{{name}}}" in path
    return {
        "name": name,
        "in": "path" if in_path else "query",
        "required": in_path or param.default is ...,
        "description": param.help,
        "schema": found,
    }


# -- types to JSON schema ---------------------------------------------------------------------------------------------


def _refer(kind: Any, named: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Give the schema of a type; typed dictionaries get a name."""
    if typing.is_typeddict(kind):
        schema(kind.__name__, kind, named)
        return {"$ref": f"#/components/schemas/{kind.__name__}"}
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is Any:
        return {}
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_refer(one, named) for one in inner]}
    if origin is list:
        return {"type": "array", "items": _refer(inner[0], named)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _refer(inner[1], named)}
    assert origin is tuple, f"no JSON schema for {kind}"
    parts = [_refer(one, named) for one in inner]
    return {"type": "array", "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}


def schema(name: str, kind: Any, named: dict[str, dict[str, Any]]) -> None:
    """Enter a typed dictionary, and those it refers to, among the named ones."""
    if name in named:
        return
    named[name] = {}  # one that refers to itself ends here
    hints = typing.get_type_hints(kind)
    required = sorted(kind.__required_keys__) or (["verb"] if "verb" in hints else [])
    named[name] = {
        "type": "object",
        "description": (kind.__doc__ or "").strip(),
        "properties": {key: _refer(hint, named) for key, hint in hints.items()},
        "required": required,
        "additionalProperties": False,
    }
