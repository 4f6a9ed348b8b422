"""Newton's method with an exact factor, and Newton-CG with products only."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.core.records import Status
from thalweg.core.vector import Any1D, finite, flat, like, norm
from thalweg.linalg import CgHistory, Factor, preconditioned_cg
from thalweg.methods.advance import Advance, advance
from thalweg.methods.check import check_count, check_flag
from thalweg.methods.method import Method, State
from thalweg.methods.search import FixedStep, StrongWolfe

#: Where a Hessian costs less than a few products, an older factor is not worth trying.
LEAST_PRODUCTS = 3
#: Most products as a share of a Hessian, and the parameters from which one is spared: below, it takes microseconds.
USUAL_SHARE, LEAST_REUSING = 0.3, 100
#: On kept margins a nearly exact minimum along the line costs O(n) a trial and saves steps while the Hessian changes.
SEARCH = StrongWolfe(curvature=0.5, thorough=0.1)
#: Condition of a Hessian from which a direction is refined, and how often.
ILL_CONDITIONED = 1e4
MOST_REFINEMENTS = 4
#: A decrement below this share of what has been gained, where the Hessian has negative curvature: a saddle.
SADDLE = 1e-8
#: Lengths that are tried to leave a saddle, each a quarter of the last.
ESCAPES = 24
#: Longest step along a direction of negative curvature, relative to x.
LONGEST_ESCAPE = 10.0


def _reach(x: Any1D) -> float:
    """A length on the scale of x, or 1 where that is smaller."""
    return max(1.0, norm(x))


# --- Newton ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Newton(Method):
    """Damped Newton: H d = -g by Cholesky; where H is not positive definite, by |H|.

    The absolute values of the eigenvalues turn negative curvature round, so that every direction descends. Where next
    to nothing is left to gain and yet H has negative curvature, at a saddle, a step is taken along that curvature.
    Iterates do not depend on the choice of variables: with x = A y they are the same points, up to rounding.

    A factor serves several steps, and ``first_solver`` may bring one from elsewhere: as long as conjugate gradients on
    the new Hessian, preconditioned by the old factor, reach a small enough residual in a few products that cost less
    than ``share`` of a new Hessian, none is formed. Small enough is ``forcing``, and lambda / lambda_0 with Newton's
    decrements here and at the start where that is less: so that the last steps are quadratic (Dembo, Eisenstat and
    Steihaug, SIAM J. Numer. Anal. 19 (1982), 400-408).

    Rate: quadratic once ||x - x*|| < 2 mu / (3 M). Source: Boyd and Vandenberghe, Convex Optimization (2004), 9.5.

    Args:
        forcing: Largest residual, relative, to which an older factor may solve.
        share: Most products with the new Hessian that may be spent on that, as a share of forming it. When None: 0.3
            with a ``first_solver``, and from 100 parameters on; else 0, the textbook's method.
        first_solver: A factor to start with.
        damped: Whether the step is searched along the direction; else it is 1 wherever that leads.

    """

    forcing: float = 1e-2
    share: float | None = None
    first_solver: Factor | None = None
    damped: bool = True
    name: ClassVar[str] = "newton"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient", "hvp", "factored", "hessian_passes", "along"})
    reference: ClassVar[str] = "Boyd and Vandenberghe, Convex Optimization (2004), section 9.5"
    certifies: ClassVar[bool] = True
    stall_steps: ClassVar[int] = 8
    polish_steps: ClassVar[int] = 12

    def __post_init__(self) -> None:
        remedy = "leave it out, or give 0 < forcing < 1"
        if not 0 < checked_number("forcing", self.forcing, remedy) < 1:
            raise InputError(f"forcing={self.forcing!r}: expected a number between 0 and 1", remedy)
        if self.share is not None:
            checked_number("share", self.share, "leave it out, or give 0 for a new factor at every step")
        if self.first_solver is not None and not isinstance(self.first_solver, Factor):
            raise InputError(f"first_solver={self.first_solver!r:.60} is no factor", "give thalweg.linalg.factor(H)")
        check_flag("damped", self.damped)

    def init(self, point: Any) -> State:
        """Factor the Hessian at the start, or try the solver that was given."""
        memory = {"first_value": point.value, "first_decrement": math.nan, "escape": None}
        if self.first_solver is None:
            return self._fresh(point, 0.0, 2.0, memory)
        return self._reuse(point, 0.0, self.first_solver, 2.0, memory)

    def step(self, state: State) -> State:
        """Search along the Newton direction, then propose the next one with the old or a new factor."""
        if state.memory["escape"] is not None:
            found = _escaped(state)
        else:
            found = advance(state, SEARCH if self.damped else FixedStep(1.0))
        point, step_size = found.point, found.step_size
        if found.failure is not None:
            return State(
                point, state.direction, state.decrement, step_size, found.passes, state.refine, found.failure,
                memory=state.memory,
            )  # fmt: skip
        if state.refine is None or state.refine.curving is not None:
            return self._fresh(point, step_size, found.passes, state.memory)
        return self._reuse(point, step_size, state.refine, found.passes, state.memory)

    def _reuse(self, point: Any, step_size: float, solve: Factor, passes: float, memory: dict[str, Any]) -> State:
        """The direction with an older factor as preconditioner; a new one where that is not good enough."""
        share = self.share
        if share is None:
            share = USUAL_SHARE if self.first_solver is not None or point.x.size >= LEAST_REUSING else 0.0
        limit = int(share * point.hessian_passes / 2)
        if limit < LEAST_PRODUCTS or not finite(point.gradient):
            return self._fresh(point, step_size, passes, memory)

        def precondition(r: Any1D) -> Any1D:
            return like(r, solve(flat(r)))

        with np.errstate(all="ignore"):  # nearly flat curvature may overflow; the line search looks at what came of it
            nearly = float(point.gradient @ precondition(point.gradient))
            closer = math.sqrt(nearly / memory["first_decrement"]) if nearly > 0 else math.nan
            forcing = closer if closer < self.forcing else self.forcing
            history = CgHistory()
            direction, products, reached = preconditioned_cg(
                point.hvp, -point.gradient, precondition, forcing, limit, history
            )
        # Where the products end first, a residual of ``forcing`` has to do.
        spent = len(history.squares) > limit and history.squares[-1] <= self.forcing**2 * history.squares[0]
        reached = (reached or spent) and finite(direction)
        if reached:
            decrement = -float(point.gradient @ direction)
            memory = _begun(memory, decrement)
            return State(point, direction, decrement, step_size, passes + 2 * products, solve, memory=memory)
        fresh = self._fresh(point, step_size, passes + 2 * products, memory)
        if solve is not self.first_solver:
            return fresh
        return replace(
            fresh,
            note=f"the rehearsal's Hessian did not precondition this problem: {products} products were not enough",
        )

    def _fresh(self, point: Any, step_size: float, passes: float, memory: dict[str, Any]) -> State:
        gradient = point.gradient
        solve = point.factored if finite(gradient) else None
        if solve is None:
            return State(point, -gradient, np.inf, step_size, passes, None, Status.DIVERGED, memory=memory)
        direction, products = _solved(point, solve)
        decrement = -float(gradient @ direction)
        curving = None if solve.curving is None else like(gradient, solve.curving)
        little = decrement <= SADDLE * max(abs(point.value), memory["first_value"] - point.value)
        escape = curving if little and self.damped else None
        work = passes + point.hessian_passes + 2 * products
        return State(
            point, direction, decrement, step_size, work, solve,
            memory={**_begun(memory, decrement), "escape": escape},
            exact=True,
            curving=curving,
        )  # fmt: skip


def _begun(memory: dict[str, Any], decrement: float) -> dict[str, Any]:
    """The memory with the decrement at the start, if that is where we are."""
    return {**memory, "first_decrement": decrement} if math.isnan(memory["first_decrement"]) else memory


def _solved(point: Any, solve: Factor) -> tuple[Any1D, int]:
    """Newton's direction, and the products with the Hessian that refined it.

    A factor knows A'HA to u of its largest entry, and a solution to its condition, which is cond(A)^2 times H's: beyond
    1e4 the residual of a product, which goes through A, H and A' one by one, leaves cond(A) times H's. That condition
    is at least (d'H^-1 d / d'd) / (g'H^-1 g / g'g) for any two vectors.
    """
    gradient = point.gradient

    def times(r: Any) -> Any:
        return like(r, solve(flat(r)))

    direction = -1.0 * times(gradient)
    decrement, products = -float(gradient @ direction), 0
    if not (solve.definite and decrement > 0):
        return direction, products
    with np.errstate(all="ignore"):
        spread = float(direction @ times(direction)) * float(gradient @ gradient)
        ill = spread > ILL_CONDITIONED * decrement * float(direction @ direction)
        error = 1.0
        while ill and products < MOST_REFINEMENTS:
            residual = -1.0 * gradient - point.hvp(direction)
            correction = times(residual)
            products += 1
            before, error = error, float(residual @ correction) / decrement
            if not 0 < error < 0.1 * before:
                break
            direction = direction + correction
    return direction, products


def _escaped(state: State) -> Advance:
    """A lower point along a direction of negative curvature, the sign and the length tried out.

    The curvature promises h t^2 / 2 at the length t; a quarter of it is asked for.
    """
    point, direction = state.point, state.memory["escape"]
    line = point.along(direction)
    bend = float(direction @ point.hvp(direction))
    length = _reach(point.x) / norm(direction)
    # Of the two signs the one along which f falls at once, if it does, comes first.
    first = -math.copysign(1.0, float(point.gradient @ direction))
    with np.errstate(all="ignore"):
        for _ in range(ESCAPES):
            tried = {t: line.value_slope(t)[0] for t in (first * length, -first * length)}
            t = min(tried, key=lambda t: tried[t] if tried[t] == tried[t] else math.inf)
            if tried[t] <= point.value + 0.125 * bend * t * t < point.value:
                return Advance(line.at(t), abs(t), None, line.passes + 2)
            length *= 0.25
    return Advance(point, 0.0, Status.NO_PROGRESS, line.passes + 2)


# --- Newton-CG ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NewtonCG(Method):
    """Truncated Newton: conjugate gradients on H d = -g, to a residual of min(0.1, sqrt(||g|| / ||g_0||)) ||g||.

    Where they meet negative curvature, they end with a step along it as long as positive curvature of the same size
    would allow. Memory O(d); each inner step is one Hessian-vector product (two passes).
    Rate: superlinear with this forcing term. Source: Nocedal and Wright, Numerical Optimization (2006), section 7.1.

    Args:
        max_products: Products with the Hessian that a direction may take.

    """

    max_products: int = 500
    name: ClassVar[str] = "newton-cg"
    needs: ClassVar[frozenset[str]] = frozenset({"value", "gradient", "hvp", "along"})
    reference: ClassVar[str] = "Nocedal and Wright, Numerical Optimization (2006), section 7.1"
    certifies: ClassVar[bool] = True
    stall_steps: ClassVar[int] = 8
    polish_steps: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_count("max_products", self.max_products, 500)

    def init(self, point: Any) -> State:
        """The truncated Newton direction at the start."""
        return self._propose(point, 0.0, 2.0, norm(point.gradient))

    def step(self, state: State) -> State:
        """Search along the direction, then propose the next one."""
        found = advance(state, StrongWolfe(curvature=0.5))
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
            direction, products, curving = _truncated(point, min(0.1, ratio**0.5), self.max_products)
        if not finite(direction):
            direction = -gradient
        decrement = -float(gradient @ direction)
        memory = {"first_norm": first_norm}
        work = passes + 2 * products
        return State(point, direction, decrement, step_size, work, memory=memory, curving=curving)


def _truncated(point: Any, forcing: float, limit: int) -> tuple[Any1D, int, Any1D | None]:
    """Conjugate gradients on H d = -g until the residual has shrunk, or curvature is not positive.

    Returns:
        The direction, the products used, and the direction of negative curvature if one was met.

    """
    residual = -point.gradient
    d, p = 0.0 * residual, residual
    rho = float(residual @ residual)
    wanted = forcing**2 * rho
    for count in range(1, limit + 1):
        if not rho > 0:
            return d, count - 1, None
        hp = point.hvp(p)
        bend = float(p @ hp)
        if not bend > 0:
            longest = LONGEST_ESCAPE * _reach(point.x) / norm(p)
            return d + (min(rho / -bend, longest) if bend < 0 else longest) * p, count, p
        alpha = rho / bend
        d = d + alpha * p
        residual = residual - alpha * hp
        new = float(residual @ residual)
        if new <= wanted:
            return d, count, None
        p = residual + (new / rho) * p
        rho = new
    return d, limit, None
