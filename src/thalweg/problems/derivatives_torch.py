"""Derivatives of functions of torch tensors, by torch's own automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from thalweg.core.errors import InputError
from thalweg.core.vector import Any1D, Vector, as_user_sees, flat
from thalweg.linalg import Factor

Tensors = tuple[torch.Tensor | None, ...]


class DerivedByTorch:
    """Derivatives of a function of torch tensors, or of the sum of several.

    Args:
        parts: Each takes x as the user sees it and returns a tensor of one number; f is their sum. One part after the
            other is evaluated and differentiated, so that memory is what the largest needs.

    """

    def __init__(self, *parts: Callable[[Any], Any]) -> None:
        self.parts = parts

    def _values(self, x: Any1D, twice: bool = False) -> Iterator[tuple[torch.Tensor, Vector]]:
        """Each part's value with the leaves that its graph begins at; a graph that may be differentiated twice."""
        assert isinstance(x, Vector)  # tensors are leaves
        for part in self.parts:
            held = Vector(tuple(leaf.detach().requires_grad_(True) for leaf in x.leaves), x.form)
            # Of torch's programs for attention, the plain one alone has a second derivative.
            with sdpa_kernel(SDPBackend.MATH) if twice else nullcontext():
                value = _checked(part(as_user_sees(held)))
            yield value, held

    @torch.enable_grad()
    def value_and_gradient(self, x: Any1D) -> tuple[float, Any1D]:
        """f and its gradient, laid out like x."""
        values, total = [], None
        for value, held in self._values(x):
            values.append(float(value.detach()))
            # A value without a graph is a barrier such as torch.tensor(inf): it has no slope.
            gradients = _gradients(value, held) if value.requires_grad else (None,) * len(held.leaves)
            total = _sum(total, _filled(gradients, held))
        assert total is not None  # there is a part
        return sum(values), total

    @torch.enable_grad()
    def hvp(self, x: Any1D, v: Any1D) -> Any1D:
        """The Hessian at x times v."""
        assert isinstance(v, Vector)
        total = None
        for value, held in self._values(x, twice=True):
            along = sum(
                (g * d).sum() for g, d in zip(_slopes(value, held), v.leaves, strict=True) if g is not None
            )  # fmt: skip
            # No slope depends on x where the part is linear in every leaf.
            bends = _gradients(along, held) if isinstance(along, torch.Tensor) else (None,) * len(held.leaves)
            total = _sum(total, _filled(bends, held))
        assert total is not None
        return total

    @torch.enable_grad()
    def hessian(self, x: Any1D) -> np.ndarray:
        """The Hessian over all entries of x in order, shape (size, size)."""
        matrix = np.zeros((int(x.size), int(x.size)))
        for value, held in self._values(x, twice=True):
            row = 0
            for slope, leaf in zip(_slopes(value, held), held.leaves, strict=True):
                for entry in () if slope is None else slope.reshape(-1):
                    matrix[row] += flat(_filled(_gradients(entry, held, keep=True), held))
                    row += 1
                row += leaf.numel() if slope is None else 0
        return matrix

    def convex(self) -> bool:
        """False: torch's graphs are not read for curvature."""
        return False

    def structured(self, x: Any1D) -> Factor | None:
        """None: torch's graphs are not read for structure."""
        return None


def _checked(value: Any) -> torch.Tensor:
    """The value, if it is a tensor of one number that depends on x or says that x is out of bounds."""
    depends = isinstance(value, torch.Tensor) and (value.requires_grad or not bool(value.isfinite().all()))
    if not depends:
        raise InputError(
            f"f(x) = {value!r:.60} does not depend on x through torch's operations",
            "compute with x itself: no .detach(), .item(), .numpy() or torch.no_grad() on the way",
        )
    if value.shape != ():
        raise InputError(f"f(x) has shape {tuple(value.shape)}", "f must return one real number: a sum, a mean")
    return value


def _gradients(value: torch.Tensor, held: Vector, keep: bool = False) -> Tensors:
    return torch.autograd.grad(value, held.leaves, retain_graph=keep or None, allow_unused=True)


def _slopes(value: torch.Tensor, held: Vector) -> Tensors:
    """Derivatives by each leaf that can be differentiated again; None where they do not depend on x."""
    if not value.requires_grad:
        return (None,) * len(held.leaves)
    slopes = torch.autograd.grad(value, held.leaves, create_graph=True, allow_unused=True)
    return tuple(g if g is not None and g.requires_grad else None for g in slopes)


def _filled(gradients: Tensors, x: Vector) -> Vector:
    """Gradients, zero for leaves that the function does not use."""
    leaves = zip(gradients, x.leaves, strict=True)
    return Vector(tuple(torch.zeros_like(a) if g is None else g.detach() for g, a in leaves), x.form)


def _sum(total: Vector | None, more: Vector) -> Vector:
    return more if total is None else total + more
