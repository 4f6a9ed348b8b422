"""Functions of torch tensors as problems: derivatives by torch's own automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from thalweg.core.vector import Any1D, Vector, as_user_sees, flat, like
from thalweg.linalg import Factor


class DerivedByTorch:
    """Derivatives of a function of torch tensors.

    Args:
        f: Takes x as the user sees it and returns a tensor of one number.

    """

    def __init__(self, f: Callable[[Any], Any]) -> None:
        self.f = f

    def _value(self, x: Any1D) -> tuple[torch.Tensor, Vector]:
        assert isinstance(x, Vector)  # tensors are leaves
        held = Vector(tuple(leaf.detach().requires_grad_(True) for leaf in x.leaves), x.form)
        with torch.enable_grad():
            return self.f(as_user_sees(held)), held

    def value_and_gradient(self, x: Any1D) -> tuple[float, Any1D]:
        """f and its gradient, laid out like x."""
        value, held = self._value(x)
        gradients = torch.autograd.grad(value, held.leaves, allow_unused=True)
        return float(value.detach()), _filled(gradients, held)

    def hvp(self, x: Any1D, v: Any1D) -> Any1D:
        """The Hessian at x times v."""
        value, held = self._value(x)
        assert isinstance(v, Vector)
        first = torch.autograd.grad(value, held.leaves, create_graph=True, allow_unused=True)
        along = sum((g * d).sum() for g, d in zip(first, v.leaves, strict=True) if g is not None and g.requires_grad)
        if not isinstance(along, torch.Tensor):
            return 0.0 * held  # linear in every leaf
        return _filled(torch.autograd.grad(along, held.leaves, allow_unused=True), held)

    def hessian(self, x: Any1D) -> np.ndarray:
        """The Hessian over all entries of x in order, shape (size, size)."""
        size = int(x.size)
        return np.stack([flat(self.hvp(x, like(x, e))) for e in np.eye(size)]).astype(np.float64)

    def structured(self, x: Any1D) -> Factor | None:
        """None: torch's graphs are not read for structure."""
        return None


def _filled(gradients: tuple[torch.Tensor | None, ...], x: Vector) -> Vector:
    """Gradients, zero for leaves that the function does not use."""
    leaves = (torch.zeros_like(a) if g is None else g.detach() for g, a in zip(gradients, x.leaves, strict=True))
    return Vector(tuple(leaf.detach() for leaf in leaves), x.form)
