"""Leaves in containers within containers, as networks keep their parameters: taken apart, and put together again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tree:
    """How leaves are nested; equal for equally nested ones, whatever the order of a mapping's entries.

    Attributes:
        kind: ``"leaf"``, ``"tuple"``, ``"list"`` or ``"mapping"``.
        keys: Of a mapping.
        parts: What a container holds, in the order of the keys.

    """

    kind: str
    keys: tuple[Any, ...] = ()
    parts: tuple[Tree, ...] = ()

    def put_together(self, leaves: Iterator[Any]) -> Any:
        """The containers, filled with the leaves in order."""
        if self.kind == "leaf":
            return next(leaves)
        parts = [part.put_together(leaves) for part in self.parts]
        if self.kind == "mapping":
            return dict(zip(self.keys, parts, strict=True))
        return tuple(parts) if self.kind == "tuple" else parts

    def names(self, name: str) -> Iterator[str]:
        """What a user calls each leaf: ``x0['a'][1]``."""
        if self.kind == "leaf":
            yield name
            return
        keys = self.keys if self.kind == "mapping" else range(len(self.parts))
        for key, part in zip(keys, self.parts, strict=True):
            yield from part.names(f"{name}[{key!r}]")


def is_container(a: Any) -> bool:
    """Whether it holds leaves: a mapping, or a tuple or list that is no array as Python writes it."""
    return isinstance(a, Mapping) or (isinstance(a, (list, tuple)) and not is_written_array(a))


def is_written_array(a: Any) -> bool:
    """Whether it is a list of plain numbers, lists of them, and so on: an array as Python writes it."""
    return isinstance(a, (list, tuple)) and all(is_written_array(b) or isinstance(b, (int, float)) for b in a)


def taken_apart(a: Any) -> tuple[list[Any], Tree]:
    """The leaves in order, and how they are nested."""
    if not is_container(a):
        return [a], Tree("leaf")
    mapping = isinstance(a, Mapping)
    keys = tuple(sorted(a, key=lambda key: (type(key).__name__, repr(key)))) if mapping else ()
    pairs = [taken_apart(part) for part in ((a[key] for key in keys) if mapping else a)]
    kind = "mapping" if mapping else "tuple" if isinstance(a, tuple) else "list"
    return [leaf for leaves, _ in pairs for leaf in leaves], Tree(kind, keys, tuple(tree for _, tree in pairs))
