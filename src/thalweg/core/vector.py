"""Vectors that methods move: one NumPy array of shape (size,), or a tuple of leaves of any shapes, NumPy or torch.

A method is written once, with ``+``, ``-``, numbers times vectors, ``a @ b`` for the inner product, and the functions
here for what works entry by entry. Plain arrays pay nothing for it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace, is_torch_array

from thalweg.core.errors import InputError
from thalweg.core.tree import Tree, is_container, is_named_tuple, is_written_array, taken_apart

Leaf: TypeAlias = Any
"""A NumPy array or a torch tensor of floating numbers, of any shape."""


@dataclass(frozen=True, eq=False, slots=True)
class Vector:
    """Leaves that together are one vector; entry-wise arithmetic leaf by leaf.

    Attributes:
        leaves: The arrays, all of one library.
        form: How a user sees them: ``"array"`` (one leaf as it is), ``"tuple"``, ``"list"``, the keys of a mapping, or
            a ``Tree`` of containers within containers.

    """

    leaves: tuple[Leaf, ...]
    form: str | tuple[Any, ...] | Tree = "tuple"

    # NumPy's numbers leave products with a Vector to it.
    __array_ufunc__ = None

    def _with(self, leaves: Iterator[Leaf]) -> Vector:
        return Vector(tuple(leaves), self.form)

    def _pairs(self, other: Vector) -> Iterator[tuple[Leaf, Leaf]]:
        return zip(self.leaves, other.leaves, strict=True)

    def __add__(self, other: Any) -> Vector:
        if isinstance(other, Vector):
            return self._with(a + b for a, b in self._pairs(other))
        number = float(other)
        return self._with(a + number for a in self.leaves)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Vector:
        if isinstance(other, Vector):
            return self._with(a - b for a, b in self._pairs(other))
        return self + -float(other)

    def __mul__(self, other: Any) -> Vector:
        if isinstance(other, Vector):
            return self._with(a * b for a, b in self._pairs(other))
        number = float(other)
        return self._with(a * number for a in self.leaves)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Vector:
        if isinstance(other, Vector):
            return self._with(a / b for a, b in self._pairs(other))
        number = float(other)
        return self._with(a / number for a in self.leaves)

    def __neg__(self) -> Vector:
        return self._with(-a for a in self.leaves)

    def __matmul__(self, other: Vector) -> float:
        """The inner product; infinite or nan where it leaves the floating-point range."""
        return sum(float(_inner(a, b)) for a, b in self._pairs(other))

    def __repr__(self) -> str:
        return f"Vector({', '.join(str(tuple(leaf.shape)) for leaf in self.leaves)})"

    @property
    def size(self) -> int:
        """Number of entries of all leaves together."""
        return sum(math.prod(leaf.shape) for leaf in self.leaves)


Any1D: TypeAlias = "np.ndarray | Vector"


def _inner(a: Leaf, b: Leaf) -> Any:
    return a.reshape(-1) @ b.reshape(-1)


def as_vector(x: Any, name: str = "x0") -> Any1D:
    """What a user gives as a starting point, as a vector; leaves are copied.

    Args:
        x: A number, an array of any shape (NumPy, torch, nested lists of numbers), or a tuple, list or mapping of
            arrays or of more of these. NumPy's float32 and float64 stay, other real numbers become float64.
        name: What the caller calls it.

    Raises:
        InputError: Empty, not numbers, not finite, or leaves of different libraries.

    """
    vector = _vector(x, name)
    for key, leaf in _named(vector, name):
        if not _all_finite(leaf):
            raise InputError(f"{key} holds a value that is not finite: {leaf!r:.80}", "give finite numbers")
    return vector


def laid_out_like(a: Any, x: Any1D, name: str) -> Any1D:
    """What a user gives, as a vector in the layout of another: its keys, element types, library and device; a copy.

    Args:
        a: As for ``as_vector``; the entries of a mapping in any order, lists for tuples or tuples for lists. It need
            not be finite.
        x: The layout.
        name: What the caller calls it.

    Raises:
        InputError: Other keys or shapes than those of x, or what ``as_vector`` raises.

    """
    if type(a) is np.ndarray and isinstance(x, np.ndarray) and a.shape == x.shape and a.dtype == x.dtype:
        return a.copy()  # nearly always
    if isinstance(x, Vector) and isinstance(x.form, Tree):
        seen = as_user_sees(a) if isinstance(a, Vector) else a
        leaves = map(_leaf, x.form.leaves_of(seen, name), x.form.names(name))
        given: Any1D = _one_library(Vector(tuple(leaves), x.form), name)
    else:
        given = _vector(a, name)
    if isinstance(given, Vector) and isinstance(x, Vector) and isinstance(x.form, tuple) and given.form != x.form:
        if not isinstance(given.form, tuple) or set(given.form) != set(x.form):
            raise InputError(f"{name} is {_described(given)}", f"lay it out like x, {_described(x)}")
        given = Vector(tuple(dict(zip(given.form, given.leaves, strict=True))[key] for key in x.form), x.form)
    if _shapes(given) != _shapes(x):
        raise InputError(f"{name} is {_described(given)}", f"lay it out like x, {_described(x)}")
    return like(x, flat(given))


def as_user_sees(x: Any1D) -> Any:
    """The vector in the form in which the user gave the start."""
    if not isinstance(x, Vector):
        return x
    if isinstance(x.form, Tree):
        return x.form.put_together(iter(x.leaves))
    if x.form == "array":
        return x.leaves[0]
    if x.form in ("tuple", "list"):
        return x.leaves if x.form == "tuple" else list(x.leaves)
    return dict(zip(x.form, x.leaves, strict=True))


def flat(x: Any1D) -> np.ndarray:
    """All entries as one NumPy array of shape (size,): for what needs a matrix of the whole. No copy where possible."""
    if not isinstance(x, Vector):
        return x
    parts = [_entries(leaf) for leaf in x.leaves]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _entries(leaf: Leaf) -> np.ndarray:
    if is_torch_array(leaf):
        leaf = leaf.detach().cpu()
        leaf = leaf.float() if leaf.element_size() < 4 else leaf  # NumPy has no bfloat16
        leaf = leaf.numpy(force=True)  # the derivative of a sign is torch's own symbol for zero
    return np.asarray(leaf).reshape(-1)


def like(x: Any1D, entries: np.ndarray) -> Any1D:
    """The entries (size,) laid out like x, in its library, its element types and on its device."""
    if not isinstance(x, Vector):
        return entries.astype(x.dtype, copy=False)
    leaves: list[Any] = []
    start = 0
    for leaf in x.leaves:
        count = math.prod(leaf.shape)
        part = entries[start : start + count].reshape(tuple(leaf.shape))
        if is_torch_array(leaf):
            leaves.append(leaf.new_tensor(np.array(part, order="C")))
        else:
            leaves.append(part.astype(leaf.dtype, copy=False))
        start += count
    return Vector(tuple(leaves), x.form)


def inner(x: Any, y: Any) -> float:
    """The inner product: of arrays faster than ``@``. Where it may overflow, whoever asks silences NumPy's warning."""
    return float(x.dot(y)) if type(x) is np.ndarray else float(x @ y)


def norm(x: Any1D) -> float:
    """The Euclidean length; without a warning where its square overflows."""
    return math.sqrt(max(float(np.vdot(x, x)) if type(x) is np.ndarray else float(x @ x), 0.0))


def finite(x: Any1D) -> bool:
    """Whether every entry is."""
    return all(map(_all_finite, x.leaves)) if isinstance(x, Vector) else _all_finite(x)


def _all_finite(leaf: Leaf) -> bool:
    if isinstance(leaf, np.ndarray):
        return bool(np.isfinite(leaf).all())
    library = array_namespace(leaf)
    return bool(library.all(library.isfinite(leaf)))


def eps(x: Any1D) -> float:
    """Spacing of the numbers just above 1, of the coarsest leaf."""
    if type(x) is np.ndarray:
        return _eps(x.dtype)  # nearly always
    leaves = x.leaves if isinstance(x, Vector) else (x,)
    return max(float(array_namespace(leaf).finfo(leaf.dtype).eps) for leaf in leaves)


@functools.cache
def _eps(dtype: np.dtype) -> float:
    return float(np.finfo(dtype).eps)


def leafwise(function: Callable[..., Leaf], *vectors: Any1D) -> Any1D:
    """Apply a function of leaves, leaf by leaf.

    Args:
        function: Takes one leaf of each vector and gives a leaf.
        vectors: All of one layout.

    """
    first = vectors[0]
    if not isinstance(first, Vector):
        result: np.ndarray = function(*vectors)
        return result
    groups = zip(*(vector.leaves for vector in vectors), strict=True)  # type: ignore[union-attr]
    return Vector(tuple(function(*group) for group in groups), first.form)


def zeros_like(x: Any1D) -> Any1D:
    """A vector of zeros laid out like x."""
    return leafwise(lambda leaf: array_namespace(leaf).zeros_like(leaf), x)


def sqrt(x: Any1D) -> Any1D:
    """The square root of every entry."""
    return leafwise(lambda leaf: array_namespace(leaf).sqrt(leaf), x)


def sign(x: Any1D) -> Any1D:
    """-1, 0 or 1 for every entry."""
    return leafwise(lambda leaf: array_namespace(leaf).sign(leaf), x)


def absolute(x: Any1D) -> Any1D:
    """The size of every entry."""
    return leafwise(lambda leaf: abs(leaf), x)


def maximum(x: Any1D, y: Any1D) -> Any1D:
    """The larger of every two entries."""
    return leafwise(lambda a, b: array_namespace(a).maximum(a, b), x, y)


def _shapes(x: Any1D) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in (x.leaves if isinstance(x, Vector) else (x,))]


def _named(x: Any1D, name: str) -> Iterator[tuple[str, Leaf]]:
    """Each leaf with what a user calls it."""
    if not isinstance(x, Vector) or x.form == "array":
        yield name, x.leaves[0] if isinstance(x, Vector) else x
        return
    if isinstance(x.form, Tree):
        yield from zip(x.form.names(name), x.leaves, strict=True)
        return
    keys = x.form if isinstance(x.form, tuple) else range(len(x.leaves))
    yield from ((f"{name}[{key!r}]", leaf) for key, leaf in zip(keys, x.leaves, strict=True))


def _described(x: Any1D) -> str:
    shapes = _shapes(x)
    if not isinstance(x, Vector) or x.form == "array":
        return f"an array of shape {shapes[0]}"
    if isinstance(x.form, Tree):
        return f"leaves of shapes {dict(zip(x.form.names('x'), shapes, strict=True))}"
    if isinstance(x.form, str):
        return f"a {x.form} of shapes {', '.join(map(str, shapes))}"
    return f"a mapping of shapes {dict(zip(x.form, shapes, strict=True))}"


def _vector(x: Any, name: str) -> Any1D:
    """What a user gives, as a vector of copies, finite or not."""
    if isinstance(x, Vector):
        return Vector(tuple(_leaf(leaf, name) for leaf in x.leaves), x.form)
    try:
        nested = _is_nested(x)
        entries, tree = taken_apart(x) if nested else ([], Tree("leaf"))
    except RecursionError:
        raise InputError(f"{name} holds itself, or is nested too deep", "give containers that end in arrays") from None
    if nested:
        return _one_library(Vector(tuple(map(_leaf, entries, tree.names(name))), tree), name)
    if isinstance(x, Mapping):
        return _one_library(Vector(tuple(_leaf(a, f"{name}[{key!r}]") for key, a in x.items()), tuple(x)), name)
    if isinstance(x, (tuple, list)) and any(np.ndim(a) > 0 or is_torch_array(a) for a in x if not is_written_array(a)):
        leaves = tuple(_leaf(a, f"{name}[{index}]") for index, a in enumerate(x))
        return _one_library(Vector(leaves, "tuple" if isinstance(x, tuple) else "list"), name)
    leaf = _leaf(x, name)
    if math.prod(leaf.shape) == 0:
        raise InputError(f"{name} has shape {tuple(leaf.shape)}", "give at least one number")
    return leaf if isinstance(leaf, np.ndarray) and leaf.ndim == 1 else Vector((leaf,), "array")


def _is_nested(x: Any) -> bool:
    """Whether a flat form cannot say how it is laid out: containers within a container, or a tuple with names."""
    parts = x.values() if isinstance(x, Mapping) else x
    return is_named_tuple(x) or (is_container(x) and any(map(is_container, parts)))


def _one_library(x: Vector, name: str) -> Vector:
    if len({is_torch_array(leaf) for leaf in x.leaves}) > 1:
        raise InputError(f"{name} mixes NumPy arrays and torch tensors", "give leaves of one library")
    if x.size == 0:
        raise InputError(f"{name} has no entries", "give at least one number")
    return x


def _leaf(a: Any, name: str) -> Leaf:
    if is_torch_array(a):
        if not a.is_floating_point() or a.is_sparse:
            raise InputError(f"{name} is a tensor of {a.dtype}, {a.layout}", "give a dense tensor of floating numbers")
        return a.detach().clone()
    try:
        leaf = np.array(a)
    except ValueError:
        raise InputError(f"{name} is ragged: {a!r:.80}", "give rows of equal length, or a tuple of arrays") from None
    if leaf.dtype.kind not in "fiu":
        raise InputError(f"{name} has dtype {leaf.dtype}: {a!r:.60}", "give real numbers")
    return leaf if leaf.dtype in (np.float32, np.float64) and leaf.dtype.isnative else leaf.astype(np.float64)
