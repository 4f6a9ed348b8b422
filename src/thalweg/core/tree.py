"""Leaves in containers within containers, as networks keep their parameters: taken apart, and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thalweg.core.errors import InputError


@dataclass(frozen=True)
class Tree:
    """How leaves are nested; equal for equally nested ones, whatever the order of a mapping's entries.

    Attributes:
        kind: ``"leaf"``, ``"tuple"``, ``"list"`` or ``"mapping"``.
        keys: Of a mapping.
        parts: What a container holds, in the order of the keys.
        made: Makes a tuple of its kind, a plain or a named one, of its parts.

    """

    kind: str
    keys: tuple[Any, ...] = ()
    parts: tuple[Tree, ...] = ()
    made: Callable[[Iterable[Any]], Any] = field(default=tuple, repr=False)

    def put_together(self, leaves: Iterator[Any]) -> Any:
        """The containers, filled with the leaves in order."""
        if self.kind == "leaf":
            return next(leaves)
        parts = [part.put_together(leaves) for part in self.parts]
        if self.kind == "mapping":
            return dict(zip(self.keys, parts, strict=True))
        return self.made(parts) if self.kind == "tuple" else parts

    def leaves_of(self, a: Any, name: str) -> Iterator[Any]:
        """The leaves of what is nested like this, in order; a tuple may stand for a list, and a list for a tuple.

        Args:
            a: What a user gives.
            name: What the caller calls it.

        Raises:
            InputError: It is nested in another way; the first container that differs is named.

        """
        if self.kind == "leaf":
            yield a
            return
        if self.kind == "mapping":
            wanted, same = f"a mapping of {list(self.keys)}", isinstance(a, Mapping) and set(a) == set(self.keys)
        else:
            wanted, same = f"a {self.kind} of {len(self.parts)}", isinstance(a, (tuple, list))
            same = same and len(a) == len(self.parts)
        if not same:
            raise InputError(f"{name} is {a!r:.60}", f"lay it out like x: {wanted} belongs here")
        keys = self.keys if self.kind == "mapping" else range(len(self.parts))
        for key, part in zip(keys, self.parts, strict=True):
            yield from part.leaves_of(a[key], f"{name}[{key!r}]")

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
    """Whether it is a list of numbers, Python's or NumPy's, lists of them, and so on: an array as Python writes it."""
    numbers = (int, float, np.number, np.bool_)
    plain = isinstance(a, (list, tuple)) and not is_named_tuple(a)
    return plain and all(isinstance(b, numbers) or is_written_array(b) for b in a)


def is_named_tuple(a: Any) -> bool:
    """Whether it is a tuple whose parts a user calls by name, so that it must come back as its own type."""
    return isinstance(a, tuple) and hasattr(a, "_make")


def taken_apart(a: Any) -> tuple[list[Any], Tree]:
    """The leaves in order, and how they are nested."""
    if not is_container(a):
        return [a], Tree("leaf")
    mapping = isinstance(a, Mapping)
    keys = tuple(sorted(a, key=lambda key: (type(key).__name__, repr(key)))) if mapping else ()
    pairs = [taken_apart(part) for part in ((a[key] for key in keys) if mapping else a)]
    kind = "mapping" if mapping else "tuple" if isinstance(a, tuple) else "list"
    made = type(a)._make if is_named_tuple(a) else tuple
    return [leaf for leaves, _ in pairs for leaf in leaves], Tree(kind, keys, tuple(tree for _, tree in pairs), made)
