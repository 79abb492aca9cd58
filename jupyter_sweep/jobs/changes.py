"""What differs between two jobs: why the second one is another version. Read from their files; nothing is run."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from .digest_tree import digest_tree

#: Lines of a difference that are shown.
DIFF_LINES = 12

Job = Mapping[str, Any]


def body_lines(old: Job, new: Job) -> list[str]:
    """Give the lines in which two bodies differ, marked - and +; none when only ranges and comments do.

    Parameters
    ----------
    old, new
        Job files as `CellJob.write` writes them.
    """
    if _body(old) == _body(new):
        return []
    before, after = old.get("source", "").splitlines(), new.get("source", "").splitlines()
    lines = [x for x in difflib.unified_diff(before, after, n=0, lineterm="") if x[:3] not in ("---", "+++", "@@ ")]
    return lines[:DIFF_LINES] + ([f"... and {len(lines) - DIFF_LINES} more lines"] if len(lines) > DIFF_LINES else [])


def _body(job: Job) -> str:
    """Give the identity of a body: its tree with its ranges blanked."""
    tree = ast.parse(job.get("source", ""))
    sites = {tuple(site[:4]): site[4] for site in job.get("sites", ())}
    return digest_tree(_Blanked(sites).visit(tree))


class _Blanked(ast.NodeTransformer):
    def __init__(self, sites: Mapping[tuple[int, ...], str]) -> None:
        self._sites = sites

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.expr):
            place = (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)
            if place in self._sites:
                return ast.Constant(f"parameter {self._sites[place]}")
        return self.generic_visit(node)


def modules(old: Job, new: Job) -> list[str]:
    """Name the local modules whose source differs, or that only one of the jobs takes along."""
    before, after = old.get("modules", {}), new.get("modules", {})
    names = sorted({*before, *after})
    return [n for n in names if before.get(n, {}).get("source") != after.get(n, {}).get("source")]


def captures(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say of each captured name that is not as it was what became of it, in words: "data (array) changed"."""
    before, after = ({c["name"]: c for c in found} for found in (old, new))
    said = [
        f"{name} ({c['kind']}) changed"
        for name, c in after.items()
        if name in before and before[name]["digest"] != c["digest"]
    ]
    said += [f"{name} ({c['kind']}) is new" for name, c in after.items() if name not in before]
    return said + [f"{name} is no longer used" for name in before if name not in after]
