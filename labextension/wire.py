"""Writes src/wire.ts from jupyter_sweep/server/wire.py, so that the page and the server can't disagree on a type.

python labextension/wire.py         writes it
python labextension/wire.py check   fails, with a sentence, where it is not what would be written
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from pathlib import Path
from typing import Any

from jupyter_sweep.server import wire

TARGET = Path(__file__).parent / "src" / "wire.ts"
_PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null", Any: "unknown"}


def typescript() -> str:
    """Give the file: an interface for each record of the wire, a type for each other name."""
    parts = ["// Written by wire.py from jupyter_sweep/server/wire.py: change that one.\n"]
    parts.append(f"export const SCHEMA_ID = {_quoted(wire.SCHEMA_ID)};\n")
    for name, value in vars(wire).items():
        if typing.is_typeddict(value):
            parts.append(_interface(name, value))
        elif typing.get_origin(value) is not None and not name.startswith("_"):
            parts.append(f"export type {name} = {_type(value)};\n")
    return "\n".join(parts)


def _interface(name: str, record: Any) -> str:
    doc = " ".join((inspect.getdoc(record) or "").split())
    fields = typing.get_type_hints(record)
    lines = [f"  {key}{'' if key in record.__required_keys__ else '?'}: {_type(fields[key])};" for key in fields]
    return "\n".join([f"/** {doc} */", f"export interface {name} {{", *lines, "}\n"])


def _type(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " | ".join(_quoted(a) for a in args)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(_type(a) for a in args))
    if origin is list:
        inner = _type(args[0])
        return f"({inner})[]" if "|" in inner else f"{inner}[]"
    if origin is dict:
        return f"{{ [key: {_type(args[0])}]: {_type(args[1])} }}"
    if origin is tuple:
        return f"[{', '.join(_type(a) for a in args)}]"
    return hint.__name__ if typing.is_typeddict(hint) else _PLAIN[hint]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def main() -> int:
    """Write or check the file; give the exit status."""
    text = typescript()
    if sys.argv[1:] != ["check"]:
        TARGET.write_text(text, "utf-8")
        return 0
    if TARGET.read_text("utf-8") != text:
        print("labextension/src/wire.ts is not what server/wire.py says. Run: python labextension/wire.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
