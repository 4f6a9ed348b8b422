"""Newton's method with an exact factor, and Newton-CG with products only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from thalweg.core.records import Status
from thalweg.core.vector import Any1D, finite, flat, like, norm
from thalweg.linalg import Factor, preconditioned_cg
from thalweg.methods.advance import advance
from thalweg.methods.method import Method, State
from thalweg.methods.search import StrongWolfe

#: Where a Hessian costs less than a few products, an older factor is not worth trying.
LEAST_PRODUCTS = 3
#: On kept margins a nearly exact minimum along the line costs O(n) a trial and saves steps while the Hessian changes.
SEARCH = StrongWolfe(curvature=0.5, thorough=0.1)


# --- Newton ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Newton(Method):
    """Damped Newton: H d = -g by Cholesky, a shifted factor where H is not positive definite.

    A factor serves several steps, and ``first_solver`` may bring one from elsewhere: as long as conjugate gradients on
    the new Hessian, preconditioned by the old factor, reach a residual of ``forcing`` in a few products that cost less
    than ``share`` of a new Hessian, none is formed.

    Rate: quadratic once ||x - x*|| < 2 mu / (3 M). Source: Boyd and Vandenberghe, Convex Optimization (2004), 9.5.
    """

    forcing: float = 1e-2
    share: float = 0.3
    first_solver: Factor | None = None
    name: ClassVar[str] = "newton"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient", "hvp", "factored", "hessian_passes", "along"})
    reference: ClassVar[str] = "Boyd and Vandenberghe, Convex Optimization (2004), section 9.5"
    certifies: ClassVar[bool] = True
    stall_steps: ClassVar[int] = 8
    polish_steps: ClassVar[int] = 12

    def init(self, point: Any) -> State:
        """Factor the Hessian at the start, or try the solver that was given."""
        return (
            self._fresh(point, 0.0, 2.0)
            if self.first_solver is None
            else self._reuse(point, 0.0, self.first_solver, 2.0)
        )

    def step(self, state: State) -> State:
        """Search along the Newton direction, then propose the next one with the old or a new factor."""
        found = advance(state, SEARCH)
        point, step_size = found.point, found.step_size
        if found.failure is not None:
            return State(point, state.direction, state.decrement, step_size, found.passes, state.refine, found.failure)
        if state.refine is None:
            return self._fresh(point, step_size, found.passes)
        return self._reuse(point, step_size, state.refine, found.passes)

    def _reuse(self, point: Any, step_size: float, solve: Factor, passes: float) -> State:
        """The direction with an older factor as preconditioner; a new one where that is not good enough."""
        limit = int(self.share * point.hessian_passes / 2)
        if limit < LEAST_PRODUCTS or not finite(point.gradient):
            return self._fresh(point, step_size, passes)

        def precondition(r: Any1D) -> Any1D:
            return like(r, solve(flat(r)))

        with np.errstate(all="ignore"):  # nearly flat curvature may overflow; the line search looks at what came of it
            direction, products, reached = preconditioned_cg(
                point.hvp, -point.gradient, precondition, self.forcing, limit
            )
        reached = reached and finite(direction)
        if reached:
            decrement = -float(point.gradient @ direction)
            return State(point, direction, decrement, step_size, passes + 2 * products, solve)
        fresh = self._fresh(point, step_size, passes + 2 * products)
        if solve is not self.first_solver:
            return fresh
        return replace(
            fresh,
            note=f"the rehearsal's Hessian did not precondition this problem: {products} products were not enough",
        )

    def _fresh(self, point: Any, step_size: float, passes: float) -> State:
        gradient = point.gradient
        solve = point.factored if finite(gradient) else None
        if solve is None:
            return State(point, -gradient, np.inf, step_size, passes, None, Status.DIVERGED)
        direction = like(gradient, -solve(flat(gradient)))
        work = passes + point.hessian_passes
        return State(point, direction, -float(gradient @ direction), step_size, work, solve)


# --- Newton-CG ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NewtonCG(Method):
    """Truncated Newton: conjugate gradients on H d = -g, to a residual of min(0.1, sqrt(||g|| / ||g_0||)) ||g||.

    Memory O(d); each inner step is one Hessian-vector product (two passes).
    Rate: superlinear with this forcing term. Source: Nocedal and Wright, Numerical Optimization (2006), section 7.1.
    """

    max_products: int = 500
    name: ClassVar[str] = "newton-cg"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient", "hvp", "along"})
    reference: ClassVar[str] = "Nocedal and Wright, Numerical Optimization (2006), section 7.1"
    certifies: ClassVar[bool] = True
    stall_steps: ClassVar[int] = 8
    polish_steps: ClassVar[int] = 1

    def init(self, point: Any) -> State:
        """The truncated Newton direction at the start."""
        return self._propose(point, 0.0, 2.0, norm(point.gradient))

    def step(self, state: State) -> State:
        """Search along the direction, then propose the next one."""
        found = advance(state, SEARCH)
        if found.failure is not None:
            return State(
                found.point, state.direction, state.decrement, found.step_size, found.passes, None, found.failure,
                memory=state.memory,
            )  # fmt: skip
        return self._propose(found.point, found.step_size, found.passes, state.memory["first_norm"])

    def _propose(self, point: Any, step_size: float, passes: float, first_norm: float) -> State:
        gradient = point.gradient
        length = norm(gradient)
        if not np.isfinite(length):
            return State(point, -gradient, np.inf, step_size, passes, None, Status.DIVERGED)
        ratio = length / first_norm if first_norm > 0 else 0.0
        with np.errstate(all="ignore"):
            direction, products, _ = preconditioned_cg(
                point.hvp, -gradient, lambda r: r, min(0.1, ratio**0.5), self.max_products
            )
        if not finite(direction):
            direction = -gradient
        decrement = -float(gradient @ direction)
        memory = {"first_norm": first_norm}
        return State(point, direction, decrement, step_size, passes + 2 * products, memory=memory)
