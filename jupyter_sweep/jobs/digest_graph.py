"""Digest of values that refer to each other, in any shape: trees, shared parts, cycles.

Every value is described as a `Shape`: a label (what it holds itself) and children. A digest is made of the label and
the children's digests, so that sharing does not count: two names for one list and two equal lists are the same.
Values in a cycle (mutually recursive functions, a class and its methods, nodes that know their parent) have no
"children first"; they are found as strongly connected components (Tarjan) and told apart by refinement: start from the
labels, mix in the children's colours until no more values become distinct. The result depends neither on where the
walk began nor on the order of sets. Numbering values in order of the first visit, as pickle does, was rejected: it
makes the digest of a function depend on which of its neighbours was looked at first.

The walk keeps its own stack, so deep structures cost no recursion, and a failure can name its path.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SIZE = 16


def mix(*parts: bytes | str | int) -> bytes:
    """Give the 16-byte digest of some parts; the borders between the parts count."""
    digest = hashlib.blake2b(digest_size=SIZE)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.digest()


@dataclass
class Shape:
    """What a value is made of.

    Parameters
    ----------
    label
        Identity of everything that the value holds itself, such as its type and the names of its attributes.
    children
        The values it refers to.
    group
        0 when the order of the children counts; n when it consists of groups of n in no order (1 a set, 2 a dict).
    edge
        Text that leads from the value to child `i` in a path, as `.lock` or `[3]`; by default the latter.
    """

    label: bytes
    children: Sequence[Any] = ()
    group: int = 0
    edge: Callable[[int], str] = "[{}]".format


class Unhashable(Exception):
    """A value without a digest. `path` leads to it from the name that was asked for."""

    def __init__(self, value: object, why: str = "") -> None:
        self.value = value
        self.why = why
        self.path = ""
        super().__init__(why)


@dataclass
class _Node:
    """A value on the way: `low` is the earliest node that it reaches, `parts` its children's digests or numbers."""

    value: Any
    shape: Shape
    number: int
    low: int
    parts: list[bytes | int] = field(default_factory=list)


class Graph:
    """Digests of values, remembered by address as long as the object lives; it keeps what it has seen alive.

    Parameters
    ----------
    describe
        Gives the shape of a value, or raises `Unhashable`.
    atoms
        For types whose values have no parts: gives the label.
    """

    def __init__(self, describe: Callable[[Any], Shape], atoms: Mapping[type, Callable[[Any], bytes]]) -> None:
        self._describe = describe
        self._atoms = atoms
        self._done: dict[int, tuple[bytes, object]] = {}
        self._open: dict[int, int] = {}  # address of a value on the way -> its number
        self._nodes: dict[int, _Node] = {}
        self._component: list[int] = []
        self._count = 0

    def digest(self, value: object, name: str = "value") -> bytes:
        """Give the digest of a value.

        Raises
        ------
        Unhashable
            With the path to the first part that has no digest.
        """
        stack: list[_Node] = []
        try:
            result = self._enter(value, stack)
            while stack:
                self._step(stack)
        except Unhashable as error:
            steps = [node.shape.edge(len(node.parts)) for node in stack]
            error.path = name + "".join(steps)
            raise
        finally:
            self._forget()
        return result if isinstance(result, bytes) else self._done[id(value)][0]

    def _step(self, stack: list[_Node]) -> None:
        """Take the next child of the node on top, or finish that node."""
        node = stack[-1]
        if len(node.parts) == len(node.shape.children):
            stack.pop()
            self._finish(node, stack)
            return
        part = self._enter(node.shape.children[len(node.parts)], stack)
        if stack[-1] is node:
            node.parts.append(part)
            if isinstance(part, int):
                node.low = min(node.low, part)

    def _enter(self, value: Any, stack: list[_Node]) -> bytes | int:
        """Give a value's digest, or its number when it is on the way; a new one with children goes onto the stack."""
        atom = self._atoms.get(type(value))
        if atom is not None:
            return mix(atom(value))
        key = id(value)
        if key in self._done:
            return self._done[key][0]
        if key in self._open:
            return self._open[key]
        shape = self._describe(value)
        if not shape.children:
            self._done[key] = (mix(shape.label), value)
            return self._done[key][0]
        number = self._count = self._count + 1
        node = _Node(value, shape, number, number)
        self._open[key] = number
        self._nodes[number] = node
        self._component.append(number)
        stack.append(node)
        return number

    def _finish(self, node: _Node, stack: list[_Node]) -> None:
        """Close the component that began with `node`, if it did; then hand the node to its parent."""
        if node.low == node.number:
            start = bisect_left(self._component, node.number)
            members = self._component[start:]
            del self._component[start:]
            self._close(members)
        if stack:
            parent = stack[-1]
            done = self._done.get(id(node.value))
            parent.parts.append(done[0] if done else node.number)
            parent.low = parent.low if done else min(parent.low, node.low)

    def _close(self, numbers: list[int]) -> None:
        nodes = {number: self._nodes.pop(number) for number in numbers}
        only = nodes[numbers[0]]
        if len(nodes) == 1 and only.number not in only.parts:
            colours = {only.number: _combine(only.shape, [part for part in only.parts if isinstance(part, bytes)])}
        else:
            colours = _refine(nodes)
        for number, node in nodes.items():
            del self._open[id(node.value)]
            self._done[id(node.value)] = (colours[number], node.value)

    def _forget(self) -> None:
        """Drop what a failure left half-way."""
        self._open.clear()
        self._nodes.clear()
        self._component.clear()


def _combine(shape: Shape, parts: Sequence[bytes]) -> bytes:
    n = shape.group
    if n:
        parts = sorted(b"".join(parts[at : at + n]) for at in range(0, len(parts), n))
    return mix(shape.label, n, *parts)


def _refine(nodes: Mapping[int, _Node]) -> dict[int, bytes]:
    """Give the digests of the members of one component: equal for those that nothing tells apart."""
    colours = {number: mix(b"cycle", node.shape.label) for number, node in nodes.items()}
    distinct = 0
    while len(set(colours.values())) > distinct:
        distinct = len(set(colours.values()))
        colours = {
            number: _combine(node.shape, [p if isinstance(p, bytes) else colours[p] for p in node.parts])
            for number, node in nodes.items()
        }
    whole = mix(*sorted(set(colours.values())))
    return {number: mix(colour, whole) for number, colour in colours.items()}
