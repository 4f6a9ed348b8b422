"""What a problem tells of the constants that a bound takes, as far as they are sure.

A bound rests on constants that hold wherever the run goes, and on a kind of function. Both are looked at here: what was
measured at a point alone, or is not known at all, is refused by name instead of being used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.plan import Diagnosis
from thalweg.core.records import CertificateKind, Constant
from thalweg.core.vector import flat, laid_out_like
from thalweg.problems import FiniteSum, Quadratic
from thalweg.problems.noisy import Noisy
from thalweg.theory.constants import diagnose
from thalweg.theory.constants_any import diagnose_point

#: Kinds of functions, from what is asked least of to most: a bound says which it needs.
ANY, CONVEX, STRONGLY_CONVEX, QUADRATIC = "any", "convex", "strongly convex", "quadratic"


def constants_of(
    name: str, kind: str, names: Iterable[str], problem: Any, x0: Any, given: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a bound that a problem tells.

    Args:
        name: The bound's.
        kind: What it needs f to be.
        names: Of the arguments wanted.
        problem: Any problem.
        x0: Where the run starts; the problem's start when None.
        given: Arguments that the caller knows.

    Raises:
        InputError: f is not, or is not known to be, what the bound is about; a constant is not known; or ``problem`` is
            none.

    """
    if not callable(getattr(problem, "start", None)) or not callable(getattr(problem, "at", None)):
        raise InputError(f"problem={problem!r:.60} is no problem", "pass tw.problem(f, x0), a Quadratic or a FiniteSum")
    start = problem.start()
    known = _Known(name, problem, start if x0 is None else laid_out_like(x0, start, "x0"), kind)
    known.check()
    sources: dict[str, Callable[[], Any]] = {
        "L": known.smoothness, "mu": known.curvature, "M": known.hessian_lipschitz, "L_max": known.single,
        "variance": known.variance, "gap": known.gap, "distance": known.distance,
        "error": lambda: math.sqrt(2 * known.gap()), "value": lambda: float(known.point.value),
        "gradient_norm": known.gradient_norm, "examples": lambda: int(known.table().n),
        "features": lambda: int(known.table().d), "eigenvalues": known.eigenvalues,
    }  # fmt: skip
    return {
        argument: given[argument] if argument in given else sources[argument]()
        for argument in names
        if argument in given or argument in sources
    }


class _Known:
    """A problem with what was measured at the start of a run, each once."""

    def __init__(self, name: str, problem: Any, x0: Any, kind: str) -> None:
        self.name, self.problem, self.x0, self.kind = name, problem, x0, kind

    @cached_property
    def point(self) -> Any:
        return self.problem.at(self.x0)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        if isinstance(self.problem, FiniteSum):
            return diagnose(self.problem, at=self.x0)
        return diagnose_point(self.problem, self.x0, "at the start")

    def refused(self, what: str, remedy: str) -> NoReturn:
        raise InputError(f"{self.name} on {self.problem!r:.80}: {what}", remedy)

    def check(self) -> None:
        """Raise unless f is of the kind that the bound is about."""
        constant = bool(getattr(self.problem, "constant_curvature", False))
        if self.kind == QUADRATIC and not constant:
            self.refused(
                "the bound assumes a quadratic, and this function's curvature is not known to be constant",
                "use a bound for smooth functions, such as nesterov or gradient_descent",
            )
        if self.kind == ANY:
            return
        convex = self.problem.convex
        if convex is None:
            convex = getattr(self.problem, "proven_convex", None)
        if constant and self.diagnosis.constants["mu"].interval[1] < 0:
            convex = False
        if convex is not True:
            self.refused(
                f"the bound assumes {self.kind} f, and this function is not known to be convex",
                "use smallest_gradient, or gradient_descent with a PL constant; or say convex=True of one that is",
            )

    def _everywhere(self, symbol: str) -> Constant:
        found = self.diagnosis.constants.get(symbol)
        if found is None or found.where != "everywhere" or not math.isfinite(found.interval[1]):
            self.refused(
                f"{symbol} is not known where the run goes" + (f" ({found.how}, {found.where})" if found else ""),
                f"pass {symbol}= with a number that holds there",
            )
        assert found is not None
        return found

    def smoothness(self) -> float:
        return self._everywhere("L").interval[1]

    @cached_property
    def least(self) -> float:
        """What the PL constant, and of convex functions mu, is nowhere less than; 0 where nothing is known."""
        return self.diagnosis.constants["PL"].interval[0]

    def curvature(self) -> float:
        if self.least <= 0:
            constants = self.diagnosis.constants
            self.refused(
                f"mu may be 0 where the run goes (mu = {constants['mu']}; PL = {constants['PL']})",
                "pass mu= with a number that holds there, or use smallest_gradient or nesterov_convex",
            )
        return self.least

    def hessian_lipschitz(self) -> float:
        return self._everywhere("M").interval[1]

    def single(self) -> float:
        if isinstance(self.problem, Noisy):
            return self.smoothness()
        self.evenly_drawn()
        return self._everywhere("L_max").interval[1]

    def table(self) -> FiniteSum:
        """The problem, if it is a sum over the rows of a table."""
        if not isinstance(self.problem, FiniteSum):
            self.refused("the bound is about sums over the rows of a table", "pass what it asks for as numbers")
        return self.problem

    def evenly_drawn(self) -> FiniteSum:
        """The same, if every row is equally likely."""
        if not isinstance(self.table().share, float):
            self.refused(
                "the bound assumes that every example is equally likely, and these rows carry weights",
                "pass L_max= and variance= of the rows times n times their share",
            )
        return self.table()

    def variance(self) -> float:
        """sigma^2 where it is bounded everywhere: additive noise, or slopes that cannot exceed a number."""
        if isinstance(self.problem, Noisy):
            return float(self.point.gradient_variance)  # the same everywhere
        total = self.evenly_drawn()
        steepest = max(abs(end) for end in total.loss.bounds.first)
        if not math.isfinite(steepest):
            self.refused(
                f"the variance of gradients is not bounded: slopes of loss={total.loss.name!r} grow without end",
                "pass variance= with a number that holds on the region that the run visits",
            )
        return steepest**2 * total.classes * float(np.mean(total.square_norms))

    def gradient_norm(self) -> float:
        return float(np.linalg.norm(flat(self.point.gradient)))

    def gap(self) -> float:
        """An upper bound on f_0 - f*: certified, from the known minimum, or ||g||^2/(2 mu)."""
        minimum = None if isinstance(self.problem, Quadratic) else getattr(self.problem, "minimum", None)
        if minimum is not None:
            return max(float(self.point.value) - float(minimum), 0.0)
        certificate = self.point.certificate()
        if certificate.kind is CertificateKind.PROOF and math.isfinite(certificate.gap):
            return float(certificate.gap)
        if self.least > 0:
            return self.gradient_norm() ** 2 / (2 * self.least)
        self.refused("f* is not known, and nothing bounds it from below", "pass gap= with an upper bound on f_0 - f*")

    def distance(self) -> float:
        """An upper bound on ||x_0 - x*||: from the known minimiser, or ||g||/mu (Karimi et al., 2016, theorem 2)."""
        minimiser = None if isinstance(self.problem, Quadratic) else getattr(self.problem, "minimiser", None)
        if minimiser is not None:
            away = self.x0 - laid_out_like(minimiser, self.x0, "the minimiser")
            return float(np.linalg.norm(flat(away)))
        if self.least > 0:
            return self.gradient_norm() / self.least
        self.refused("x* is not known, and nothing bounds its distance", "pass distance= with an upper bound on it")

    def eigenvalues(self) -> np.ndarray:
        values = self.diagnosis.raw.eigenvalues
        if len(values) != self.problem.size:
            self.refused("its spectrum is too large to be known in full", "pass eigenvalues=")
        return values
