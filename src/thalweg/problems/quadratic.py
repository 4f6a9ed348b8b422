"""Quadratics f(x) = x'Ax/2 - b'x + c: dense, sparse or known by products; minimum and constants in closed form."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.core.operator import LinearOperator
from thalweg.core.random import generator
from thalweg.core.records import Certificate, CertificateKind
from thalweg.linalg import Factor, factor, preconditioned_cg

#: Rows up to which A is formed and factored.
LARGEST_FACTOR = 2_000
EPS = float(np.finfo(np.float64).eps)


class Quadratic:
    """f(x) = x'Ax/2 - b'x + c with A symmetric and positive semidefinite.

    Args:
        A: Shape (d, d): array, SciPy sparse matrix or ``LinearOperator``.
        b: Shape (d,); zero when None.
        c: A number.
        x0: Start, shape (d,); zero when None.
        minimiser: A known minimiser, shape (d,).
        name: What reports call it.

    Raises:
        InputError: Shapes disagree, A is not symmetric, a number is not finite, or ``minimiser`` is none. That A has a
            negative eigenvalue, so that f has no minimum, is found when A is first factored.

    Example:
        >>> problem = Quadratic(np.diag([1.0, 4.0]), b=[1.0, 4.0])
        >>> problem.at(np.zeros(2)).gradient
        array([-1., -4.])

    """

    l2 = math.nan
    convex: bool | None = True
    provable = True
    constant_curvature = True

    def __init__(
        self,
        A: Any,
        b: Any = None,
        c: float = 0.0,
        *,
        x0: Any = None,
        minimiser: Any = None,
        name: str = "quadratic",
    ) -> None:
        self.sparse = hasattr(A, "tocsr")
        self.A: Any = A if isinstance(A, LinearOperator) else _real(A, "A")
        shape = tuple(self.A.shape)
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
            raise InputError(f"A has shape {shape}", "give a square symmetric matrix")
        self.size = int(shape[0])
        self._check_symmetry()
        self.b = np.zeros(self.size) if b is None else self._vector(b, "b")
        constant = _real(c, "c")
        if constant.shape != () or not np.isfinite(constant):
            raise InputError(f"c={c!r:.60} is no finite number", "leave it out for 0")
        self.c = float(constant)
        self.x0 = np.zeros(self.size) if x0 is None else self._vector(x0, "x0")
        self.name = name
        self._given = None if minimiser is None else self._checked_minimiser(self._vector(minimiser, "minimiser"))

    def __repr__(self) -> str:
        return f"Quadratic({self.name}, {self.size} parameters)"

    def _vector(self, a: Any, name: str) -> np.ndarray:
        array: np.ndarray = _real(a, name)
        if array.shape != (self.size,) or not np.isfinite(array).all():
            raise InputError(f"{name} has shape {array.shape}, or is not finite", f"give {self.size} finite numbers")
        return array

    def _check_symmetry(self) -> None:
        u, v = generator(0).standard_normal((2, self.size))
        with np.errstate(all="ignore"):  # infinite entries; looked at next
            products = self.A @ v, self.A @ u
            left, right = float(u @ products[0]), float(v @ products[1])
        if not math.isfinite(left + right):
            raise InputError("A holds a value that is not finite", "give finite numbers")
        size = float(np.abs(products[0]).max()) * math.sqrt(self.size) * float(np.linalg.norm(u))
        if abs(left - right) > 1e-8 * size:
            raise InputError("A is not symmetric: u'Av and v'Au differ", "give (A + A')/2, which has the same values")

    def _checked_minimiser(self, x: np.ndarray) -> np.ndarray:
        product = self.A @ x
        residual = float(np.linalg.norm(product - self.b))
        if residual > 1e-6 * (float(np.linalg.norm(product)) + float(np.linalg.norm(self.b))):
            raise InputError(
                f"minimiser is none: ||A x - b|| = {residual:.3g} there", "leave it out: A x = b is solved"
            )
        return x

    def start(self) -> np.ndarray:
        """Where a run begins unless told otherwise."""
        return self.x0

    def at(self, x: np.ndarray) -> QuadraticPoint:
        """The point at x, shape (size,)."""
        x = np.asarray(x, dtype=np.float64)
        if x.shape != (self.size,):
            raise InputError(f"x has shape {x.shape}; the quadratic has {self.size} parameters", "pass one number each")
        return QuadraticPoint(self, x)

    def recession(self, direction: np.ndarray, noise: float = 1e-12, least: float = 0.0) -> bool:
        """Whether f falls forever along the direction; a quadratic that is bounded below never does."""
        return False

    @cached_property
    def matrix(self) -> np.ndarray:
        """A as an array, shape (size, size)."""
        if isinstance(self.A, LinearOperator):
            return np.asarray(self.A @ np.eye(self.size))
        return np.asarray(self.A.toarray() if self.sparse else self.A)

    @cached_property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues of A, ascending, shape (size,)."""
        return np.linalg.eigvalsh(self.matrix)

    @cached_property
    def solver(self) -> Factor:
        """Solves A v = r: a factor of A (sparse A keeps its zeros), or conjugate gradients.

        Raises:
            InputError: The factor shows a negative eigenvalue.

        """
        if self.sparse:
            return self._sparse_solver()
        return self._dense_solver() if self.size <= LARGEST_FACTOR else Factor(self._by_products)

    def _dense_solver(self) -> Factor:
        solve = factor(self.matrix)
        if not solve.definite:
            lowest, largest = self.eigenvalues[0], np.abs(self.eigenvalues).max()
            if lowest < -10 * self.size * EPS * largest:
                raise _no_minimum(f"the eigenvalue {lowest:.3g}")
        return solve

    def _sparse_solver(self) -> Factor:
        from scipy.sparse.linalg import splu  # loaded late: most problems do not need it

        try:
            options = {"SymmetricMode": True}
            factored = splu(self.A.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
        except RuntimeError:  # exactly singular
            return Factor(self._by_products)
        if (factored.perm_r != factored.perm_c).any():  # a pivot on the diagonal was zero: pivots tell no signs
            return self._dense_solver() if self.size <= LARGEST_FACTOR else Factor(self._by_products)
        # P'AP = L U with L U = L D L': the pivots have the signs of the eigenvalues (Sylvester).
        pivots = factored.U.diagonal()[factored.perm_c]
        rounding = self.size * EPS * np.asarray(abs(self.A).sum(axis=1)).ravel()
        if (pivots < -rounding).any():
            raise _no_minimum("a negative pivot")
        return Factor(factored.solve, definite=bool((pivots > rounding).all()))

    def _by_products(self, r: np.ndarray) -> np.ndarray:
        return preconditioned_cg(lambda v: np.asarray(self.A @ v), r, lambda v: v, 1e-12, 4 * self.size)[0]

    @cached_property
    def minimiser(self) -> np.ndarray:
        """Where f is least: as given, or the solution of A x = b."""
        return self.solver(self.b) if self._given is None else self._given

    @property
    def minimum(self) -> float:
        """The least value."""
        return self.at(self.minimiser).value


def _real(a: Any, name: str) -> Any:
    """An array of float64, or a sparse matrix of it.

    Raises:
        InputError: It holds something else than real numbers.

    """
    array = a if hasattr(a, "tocsr") else np.asarray(a)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name} has dtype {array.dtype}: {a!r:.60}", "give real numbers")
    return array.astype(np.float64, copy=False)


def _no_minimum(shown_by: str) -> InputError:
    return InputError(
        f"A has {shown_by}: f falls forever along a direction and has no minimum",
        "give a positive semidefinite A, such as A + shift * I",
    )


class QuadraticPoint:
    """One point of a quadratic: a single product with A."""

    def __init__(self, problem: Quadratic, x: np.ndarray, product: np.ndarray | None = None) -> None:
        self.problem = problem
        self.x = x
        self._product = product
        self._line: QuadraticLine | None = None

    @cached_property
    def product(self) -> np.ndarray:
        """A x."""
        return np.asarray(self.problem.A @ self.x) if self._product is None else self._product

    @cached_property
    def value(self) -> float:
        """The objective."""
        return 0.5 * float(self.x @ self.product) - float(self.problem.b @ self.x) + self.problem.c

    @cached_property
    def gradient(self) -> np.ndarray:
        """A x - b."""
        return self.product - self.problem.b

    @property
    def hessian(self) -> np.ndarray:
        """A, shape (size, size)."""
        return self.problem.matrix

    @property
    def hessian_passes(self) -> float:
        """Nothing: A is at hand."""
        return 0.0

    @property
    def factored(self) -> Factor | None:
        """A solver with A."""
        return self.problem.solver

    def hvp(self, v: np.ndarray) -> np.ndarray:
        """A v."""
        return np.asarray(self.problem.A @ v)

    def along(self, direction: np.ndarray) -> QuadraticLine:
        """The objective along a direction: one product, then free; the last line is kept."""
        if self._line is None or self._line.direction is not direction:
            self._line = QuadraticLine(self, direction)
        return self._line

    def certificate(
        self, direction: np.ndarray | None = None, refine: Factor | None = None, wanted: float = np.inf
    ) -> Certificate:
        """f - f* = g' A^-1 g / 2, exactly up to rounding; a direction d = -A^-1 g + error is judged by its residual.

        Args:
            direction: Close to -A^-1 g, if known.
            refine: Not needed: A is factored once.
            wanted: Not needed.

        """
        problem, g = self.problem, self.gradient
        rounding = 8 * EPS * (abs(self.value) + 0.5 * float(np.abs(self.x) @ np.abs(self.product)))
        solve = problem.solver
        inverse = solve(g)
        residual = g - self.hvp(inverse)
        solved = bool(np.linalg.norm(residual) <= 1e-6 * np.linalg.norm(g))
        # Rounding of A x - b leaves a residual that no solver of a singular A resolves.
        noise = 8 * EPS * (float(np.linalg.norm(self.product)) + float(np.linalg.norm(problem.b)))
        if not np.isfinite(inverse).all() or not (solved or np.linalg.norm(residual) <= noise):
            how = "A is singular beyond what its solver resolves"
            return Certificate(np.inf, CertificateKind.NONE, how, rounding)
        gap = 0.5 * float(g @ inverse)
        kind = CertificateKind.PROOF if solve.definite and solved else CertificateKind.ESTIMATE
        return Certificate(max(gap, 0.0) * (1 + 1e-6) + rounding, kind, "g' A^-1 g / 2 of the quadratic", rounding)


class QuadraticLine:
    """f on x + t d: a parabola."""

    def __init__(self, point: QuadraticPoint, direction: np.ndarray) -> None:
        self.start = point
        self.direction = direction
        self.passes = 2.0
        self.product = np.asarray(point.problem.A @ direction)
        self.slope = float(point.gradient @ direction)
        self.bend = float(direction @ self.product)

    def value_slope(self, t: float) -> tuple[float, float]:
        """The objective and its derivative in t."""
        return self.start.value + t * self.slope + 0.5 * t * t * self.bend, self.slope + t * self.bend

    def at(self, t: float) -> QuadraticPoint:
        """The point at t, with its product."""
        return QuadraticPoint(
            self.start.problem, self.start.x + t * self.direction, self.start.product + t * self.product
        )
