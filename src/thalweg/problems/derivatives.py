"""Derivatives of a function of vectors by the expression engine: eager at first, compiled once they are worth it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.core.vector import Any1D, Vector, as_user_sees, flat, like
from thalweg.expr import compile as compile_function
from thalweg.expr import hessian as derive_hessian
from thalweg.expr import structured_hessian, trace, value_and_grad
from thalweg.expr.convexity import convexity
from thalweg.expr.operators import Products
from thalweg.expr.transforms import hvp as derive_hvp
from thalweg.linalg import Factor

#: Calls in eager mode before a derived function is compiled. Compiling costs 5 to 40 calls (13 to 230 ms on functions
#: of 2 to 40 parameters), so that neither choice is far from the best; a clock would make runs differ in rounding.
EAGER_CALLS = 20


class Derivatives(Protocol):
    """What a function's points ask for."""

    def value_and_gradient(self, x: Any1D) -> tuple[float, Any1D]:
        """f and its gradient, laid out like x."""

    def hvp(self, x: Any1D, v: Any1D) -> Any1D:
        """The Hessian at x times v."""

    def hessian(self, x: Any1D) -> np.ndarray:
        """The Hessian over all entries of x in order, shape (size, size)."""

    def structured(self, x: Any1D) -> Factor | None:
        """A solver that uses the Hessian's structure, where the formula shows one."""

    def convex(self) -> bool:
        """Whether the formula proves that the function is convex."""


class DerivedByEngine:
    """Derivatives of a function written with operations that the engine knows.

    Args:
        f: Takes x as the user sees it.
        x0: A vector laid out like every x.

    """

    def __init__(self, f: Callable[[Any], Any], x0: Any1D) -> None:
        self.f = f
        self.x0 = x0
        leaves = len(x0.leaves) if isinstance(x0, Vector) else 1
        self.argnums = tuple(range(leaves)) if leaves > 1 else 0

    @cached_property
    def _value_and_gradient(self) -> WarmedUp:
        return WarmedUp(value_and_grad(self._of_leaves, self.argnums))

    @cached_property
    def _hvp(self) -> WarmedUp:
        return WarmedUp(derive_hvp(self._of_entries))

    @cached_property
    def _hessian(self) -> WarmedUp:
        return WarmedUp(derive_hessian(self._of_entries))

    @cached_property
    def _structured(self) -> Any:
        return structured_hessian(self._of_entries)

    def _of_leaves(self, *leaves: Any) -> Any:
        if not isinstance(self.x0, Vector):
            return self.f(leaves[0])
        return self.f(as_user_sees(Vector(leaves, self.x0.form)))

    def _of_entries(self, entries: Any) -> Any:
        """The function of all entries in one array, for second derivatives across leaves."""
        if not isinstance(self.x0, Vector):
            return self.f(entries)
        if len(self.x0.leaves) == 1:  # whole, not cut out of itself: the structure of the Hessian shows
            return self._of_leaves(entries.reshape(tuple(self.x0.leaves[0].shape)))
        leaves, end = [], 0
        for leaf in self.x0.leaves:
            start, end = end, end + math.prod(leaf.shape)
            leaves.append(entries[start:end].reshape(tuple(leaf.shape)))
        return self._of_leaves(*leaves)

    def value_and_gradient(self, x: Any1D) -> tuple[float, Any1D]:
        """f and its gradient, laid out like x."""
        if not isinstance(x, Vector):
            value, gradient = self._value_and_gradient(x)
            return float(value), np.asarray(gradient)
        value, gradients = self._value_and_gradient(*x.leaves)
        gradients = gradients if len(x.leaves) > 1 else (gradients,)
        return float(value), Vector(tuple(np.asarray(g) for g in gradients), x.form)

    def hvp(self, x: Any1D, v: Any1D) -> Any1D:
        """The Hessian at x times v."""
        return like(x, np.asarray(self._hvp(flat(x), flat(v))))

    def hessian(self, x: Any1D) -> np.ndarray:
        """The Hessian over all entries of x in order, shape (size, size)."""
        return np.asarray(self._hessian(flat(x)))

    def convex(self) -> bool:
        """Whether the formula proves, by composition, that the function is convex."""
        try:
            found = convexity(trace(self._of_entries, x=(int(self.x0.size),)), "x")
        except (UnsupportedError, InputError):
            return False  # Python control flow on values
        return found.kind in ("convex", "affine", "constant")

    def structured(self, x: Any1D) -> Factor | None:
        """A solver that uses the Hessian's structure, where the formula shows one.

        It does not say whether the Hessian is positive definite: whoever solves looks at the answer.
        """
        try:
            operator = self._structured(flat(x))
        except (UnsupportedError, InputError):
            return None  # Python control flow on values, or an operation that has no structure to read
        return None if isinstance(operator, Products) else Factor(operator.solve)


class WarmedUp:
    """A derived function that is compiled once eager calls have cost about as much as compiling would."""

    def __init__(self, eager: Callable[..., Any]) -> None:
        self.run = eager
        self.calls = 0

    def __call__(self, *args: Any) -> Any:
        """The function's answer."""
        self.calls += 1
        if self.calls != EAGER_CALLS + 1:
            return self.run(*args)
        compiled = compile_function(self.run, fuse=False)
        try:
            answer = compiled(*args)
        except (UnsupportedError, InputError):
            return self.run(*args)  # Python control flow on values, or what only eager mode can do
        self.run = compiled
        return answer
