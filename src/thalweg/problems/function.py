"""Any differentiable function as a problem: derivatives are derived, or given."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from thalweg.core.errors import InputError
from thalweg.core.records import Certificate, CertificateKind
from thalweg.core.vector import Any1D, Vector, as_user_sees, as_vector, eps, finite, flat, inner, laid_out_like, like
from thalweg.linalg import Factor, factor, preconditioned_cg
from thalweg.problems.derivatives import Derivatives, DerivedByEngine

#: Parameters up to which a Hessian is formed; beyond, it is known by products.
LARGEST_HESSIAN = 2_000
#: Parameters from which the structure of a convex function's Hessian is looked for: below, a dense factor takes
#: microseconds.
LEAST_STRUCTURED = 100
#: Products with the Hessian that a certificate may spend where no matrix is formed.
CERTIFYING_PRODUCTS = 200


class Function:
    """A function to be minimised.

    Args:
        f: Takes what ``x0`` is (an array, or a tuple, list or mapping of arrays, as one argument) and returns one
            number; written with NumPy's functions, ``thalweg``'s or ``thalweg.numpy``'s where derivatives are to be
            derived.
        x0: Start: a number, an array, or a tuple, list or mapping of arrays or of more of these.
        gradient: Gives the gradient, laid out like x; derived when None.
        value_and_gradient: Gives both at once; takes the place of ``gradient``.
        hessian: Gives the Hessian, shape (size, size) over all entries in order; derived when None.
        hvp: Gives the Hessian times v, as ``hvp(x, v)``; derived when None.
        minimum: The known lowest value, for comparison; methods do not see it.
        minimiser: A known minimiser, laid out like x, for comparison.
        convex: Whether the function is known to be convex; None when nothing is known.
        name: What reports call it; the function's own name when None.
        derivatives: What derives the derivatives that are not given; torch for tensors, else the expression engine,
            when None.

    Raises:
        InputError: x0 is not made of finite numbers, f is no function, or f(x0) is not one real number.

    Example:
        >>> problem = Function(lambda x: ((x - 3.0) ** 2).sum(), x0=[0.0, 1.0])
        >>> problem.at(problem.start()).gradient
        array([-6., -4.])

    """

    #: f falls forever along a direction: no function tells that of itself.
    l2 = math.nan
    #: Bounds on f - f* are estimates.
    provable = False

    def __init__(
        self,
        f: Callable[[Any], Any],
        x0: Any,
        *,
        gradient: Callable[[Any], Any] | None = None,
        value_and_gradient: Callable[[Any], tuple[Any, Any]] | None = None,
        hessian: Callable[[Any], Any] | None = None,
        hvp: Callable[[Any, Any], Any] | None = None,
        minimum: float | None = None,
        minimiser: Any = None,
        convex: bool | None = None,
        name: str | None = None,
        derivatives: Derivatives | None = None,
    ) -> None:
        for label, given in (
            ("f", f), ("gradient", gradient), ("value_and_gradient", value_and_gradient), ("hessian", hessian),
            ("hvp", hvp),
        ):  # fmt: skip
            if not callable(given) and (given is not None or label == "f"):
                raise InputError(f"{label}={given!r} is no function", f"pass a function of x as {label}")
        self.f = f
        self.x0 = as_vector(x0)
        self.size = int(self.x0.size)
        self._plain = None if isinstance(self.x0, Vector) else self.x0.dtype
        self.convex = convex
        self.minimum = minimum
        self.minimiser = minimiser
        name = name or getattr(f, "__name__", type(f).__name__)
        self.name = "function" if name == "<lambda>" else name
        self.given: dict[str, Callable[..., Any]] = {
            name: function
            for name, function in (
                ("gradient", gradient), ("value_and_gradient", value_and_gradient), ("hessian", hessian), ("hvp", hvp)
            )
            if function is not None
        }  # fmt: skip
        self.first_order_given = gradient is not None or value_and_gradient is not None
        self._derivatives = derivatives
        self._at_start: tuple[float, Any1D] | None = None
        if derivatives is None:  # who brings their own has looked at the function
            self.at(self.x0)._checked_start()

    def __repr__(self) -> str:
        return f"Function({self.name}, {self.size} parameters)"

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds: derived functions are made again where it is read."""
        return {name: value for name, value in self.__dict__.items() if name != "derived"}

    def start(self) -> Any1D:
        """Where a run begins unless told otherwise."""
        return self.x0

    def at(self, x: Any1D) -> FunctionPoint:
        """The point at x, laid out like the start."""
        if type(x) is np.ndarray and x.dtype is self._plain:
            return FunctionPoint(self, x)  # nearly always
        if not isinstance(x, Vector) and not isinstance(self.x0, Vector):
            x = x.astype(self.x0.dtype, copy=False)  # a step size of NumPy's makes float64 of float32
        elif not isinstance(x, Vector) or not isinstance(self.x0, Vector) or x.form != self.x0.form:
            x = laid_out_like(x, self.x0, "x")  # keys in another order
        return FunctionPoint(self, x)

    def recession(self, direction: Any1D, noise: float = 1e-12, least: float = 0.0) -> bool:
        """Whether the function is known to fall forever along the direction: never."""
        return False

    @cached_property
    def proven_convex(self) -> bool:
        """Whether the function was said to be convex, or its formula proves it by composition."""
        return self.derived.convex() if self.convex is None else self.convex

    @cached_property
    def derived(self) -> Derivatives:
        """What derives the derivatives that were not given: torch for tensors, else the expression engine."""
        if self._derivatives is not None:
            return self._derivatives
        if isinstance(self.x0, Vector) and is_torch_array(self.x0.leaves[0]):
            from thalweg.problems.derivatives_torch import DerivedByTorch  # torch is loaded by those who use it

            return DerivedByTorch(self.f)
        return DerivedByEngine(self.f, self.x0)


class FunctionPoint:
    """One point of a function with what was computed there, each once."""

    def __init__(self, problem: Function, x: Any1D) -> None:
        self.problem = problem
        self.x = x
        self._pair: tuple[float, Any1D] | None = None
        self._line: FunctionLine | None = None

    def _checked_start(self) -> None:
        if "value_and_gradient" in self.problem.given:
            _ = self.value  # the pair takes the place of f
            return
        with np.errstate(all="ignore"):
            as_number(self.problem.f(self._seen), "f(x0)")

    @property
    def value(self) -> float:
        """The objective."""
        return (self._pair or self._both())[0]

    @property
    def gradient(self) -> Any1D:
        """The gradient, laid out like x."""
        return (self._pair or self._both())[1]

    def _both(self) -> tuple[float, Any1D]:
        problem = self.problem
        if self.x is not problem.x0:
            self._pair = self._evaluated()
        else:
            if problem._at_start is None:  # a check, a target, a tuning and a run all begin there
                problem._at_start = self._evaluated()
            self._pair = problem._at_start
        return self._pair

    @property
    def _seen(self) -> Any:
        """What a user's function gets: a copy, since it may write into it."""
        return as_user_sees(1.0 * self.x)

    def _evaluated(self) -> tuple[float, Any1D]:
        problem, given = self.problem, self.problem.given
        if not problem.first_order_given:
            return problem.derived.value_and_gradient(self.x)  # whose calls give no warnings
        with np.errstate(all="ignore"):  # a trial may leave the domain; whoever made it looks at what came of it
            if "value_and_gradient" in given:
                answer = given["value_and_gradient"](self._seen)
                if not isinstance(answer, tuple | list) or len(answer) != 2:
                    raise InputError(f"value_and_gradient gave {answer!r:.60}", "return the pair (value, gradient)")
                gradient = laid_out_like(answer[1], self.x, "the given gradient")
                return as_number(answer[0], "the given value"), gradient
            gradient = laid_out_like(given["gradient"](self._seen), self.x, "the given gradient")
            return as_number(problem.f(self._seen), "f(x)"), gradient

    @cached_property
    def hessian(self) -> np.ndarray:
        """The Hessian over all entries, shape (size, size), symmetric."""
        problem = self.problem
        with np.errstate(all="ignore"):
            if "hessian" in problem.given:
                matrix = _matrix(problem.given["hessian"](self._seen), problem.size)
            elif problem.first_order_given or "hvp" in problem.given:
                matrix = np.stack([flat(self.hvp(like(self.x, e))) for e in np.eye(problem.size)])
            else:
                matrix = problem.derived.hessian(self.x)
        return 0.5 * (matrix + matrix.T)

    @property
    def hessian_passes(self) -> float:
        """What forming the Hessian costs, in passes: a product with it for every entry of x."""
        return 4.0 * self.problem.size

    def hvp(self, v: Any1D) -> Any1D:
        """Hessian times v; by central differences of the gradient where only that was given."""
        problem = self.problem
        with np.errstate(all="ignore"):
            if "hvp" in problem.given:
                answer = problem.given["hvp"](self._seen, as_user_sees(1.0 * v))
                return laid_out_like(answer, self.x, "the given hvp")
            if "hessian" in problem.given:
                return like(self.x, self.hessian @ flat(v))
            return self._difference(v) if problem.first_order_given else problem.derived.hvp(self.x, v)

    def _difference(self, v: Any1D) -> Any1D:
        """(grad f(x + h v) - grad f(x - h v)) / 2h; h balances rounding and the third derivative."""
        size = math.sqrt(float(v @ v))
        if size == 0.0:
            return 0.0 * v
        h = eps(self.x) ** (1 / 3) * (1.0 + math.sqrt(float(self.x @ self.x))) / size
        ahead, behind = (self.problem.at(self.x + t * v).gradient for t in (h, -h))
        return (1.0 / (2.0 * h)) * (ahead - behind)

    @cached_property
    def factored(self) -> Factor | None:
        """A solver with the Hessian that always gives a descent direction; None where that is not finite.

        Where the formula shows structure (X' diag(d) X, Kronecker products, low rank, blocks) it is used for convex
        functions, and for all that are too large for a matrix. It does not tell whether the Hessian is indefinite, and
        Newton's direction then leads to saddles: all else goes by a factor that turns negative curvature round.
        """
        problem = self.problem
        # Where negative curvature is possible a structured solution may descend and yet be no Newton direction.
        worth = problem.size >= LEAST_STRUCTURED and not problem.given
        if worth and (problem.size > LARGEST_HESSIAN or problem.proven_convex):
            structured = problem.derived.structured(self.x)
            if structured is not None:
                return Factor(lambda r: self._descending(structured, r), semidefinite=problem.proven_convex)
        return self._dense_factor

    @cached_property
    def _dense_factor(self) -> Factor | None:
        return factor(self.hessian, eps(self.x)) if np.isfinite(self.hessian).all() else None

    def _descending(self, structured: Factor, r: np.ndarray) -> np.ndarray:
        """The structured solution, or that of a factor that turns negative curvature round."""
        try:
            answer = structured(r)
        except InputError:  # singular
            answer = np.full_like(r, np.nan)
        bend = float(r @ answer)
        if np.isfinite(answer).all() and bend > 0:
            return answer
        dense = self._dense_factor if self.problem.size <= LARGEST_HESSIAN else None
        return r if dense is None else dense(r)

    def along(self, direction: Any1D) -> FunctionLine:
        """The objective along a direction; the last line is kept."""
        if self._line is None or self._line.direction is not direction:
            self._line = FunctionLine(self, direction)
        return self._line

    def certificate(
        self, direction: Any1D | None = None, refine: Factor | None = None, wanted: float = np.inf
    ) -> Certificate:
        """An estimate of f - f*: half the Newton decrement squared, where the Hessian has no negative curvature.

        Args:
            direction: Close to Newton's direction, if one is known; else it is computed here.
            refine: The factor that gave the direction, which may know of negative curvature.
            wanted: Not needed.

        """
        if not finite(self.gradient):
            return Certificate(np.inf, CertificateKind.NONE, "the gradient is not finite")
        rounding = 8 * eps(self.x) * abs(self.value)
        if refine is not None and refine.curving is not None:
            return Certificate(np.inf, CertificateKind.NONE, "the Hessian has negative curvature here", rounding)
        if direction is not None:
            decrement = -float(self.gradient @ direction)
            if not decrement >= 0:
                return Certificate(np.inf, CertificateKind.NONE, "the direction does not descend", rounding)
            how = "half the decrement of the model"
            return Certificate(0.5 * decrement + rounding, CertificateKind.ESTIMATE, how, rounding)
        decrement, semidefinite = self._newton_decrement()
        if not semidefinite:
            return Certificate(np.inf, CertificateKind.NONE, "the Hessian is not positive semidefinite here", rounding)
        if not decrement < np.inf:
            return Certificate(np.inf, CertificateKind.NONE, "the Newton decrement overflows here", rounding)
        return Certificate(
            0.5 * decrement + rounding, CertificateKind.ESTIMATE, "half the Newton decrement squared", rounding
        )

    def _newton_decrement(self) -> tuple[float, bool]:
        gradient = self.gradient
        if self.problem.size <= LARGEST_HESSIAN:
            solve = self.factored
            if solve is None:
                return np.inf, False
            entries = flat(gradient)
            return float(entries @ solve(entries)), solve.semidefinite
        found, _, reached = preconditioned_cg(self.hvp, gradient, lambda r: r, 1e-2, CERTIFYING_PRODUCTS)
        return float(gradient @ found), reached


class FunctionLine:
    """The objective along x + t d; every trial evaluates value and gradient, and is kept.

    Args:
        point: x, of any problem.
        direction: d.

    """

    def __init__(self, point: Any, direction: Any1D) -> None:
        self.start = point
        self.direction = direction
        self.passes = 0.0
        self._trials: dict[float, Any] = {0.0: point}

    def value_slope(self, t: float) -> tuple[float, float]:
        """The objective and its derivative in t."""
        point = self.at(t)
        return point.value, inner(point.gradient, self.direction)

    def at(self, t: float) -> Any:
        """The point at t."""
        point = self._trials.get(t)
        if point is None:
            point = self._trials[t] = self.start.problem.at(self.start.x + t * self.direction)
            self.passes += 2.0
        return point


def as_number(value: Any, name: str) -> float:
    """What a user's function returned, as a float.

    Raises:
        InputError: It is not one real number.

    """
    if type(value) is float or type(value) is np.float64:
        return float(value)  # nearly always
    if is_torch_array(value):
        value = value.detach().cpu()
        # NumPy has no bfloat16.
        value = (value.float() if value.is_floating_point() and value.element_size() < 4 else value).numpy()
    if np.shape(value) != () or np.asarray(value).dtype.kind not in "fiu":
        raise InputError(f"{name} is {value!r:.60}, shape {np.shape(value)}", "return one real number: a sum, a mean")
    return float(value)


def _matrix(answer: Any, size: int) -> np.ndarray:
    """What a user's Hessian returned, as an array of shape (size, size).

    Raises:
        InputError: Another shape, not real numbers, or not symmetric beyond what differences leave.

    """
    if is_torch_array(answer):
        answer = answer.detach().cpu()
    matrix = np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
    if matrix.shape != (size, size) or matrix.dtype.kind not in "fiu":
        raise InputError(
            f"the given hessian has shape {matrix.shape} and dtype {matrix.dtype}; x has {size} entries",
            f"return real numbers, shape ({size}, {size})",
        )
    if np.abs(matrix - matrix.T).max() > 1e-3 * np.abs(matrix).max():
        raise InputError("the given hessian is not symmetric", "return both triangles")
    return matrix.astype(np.float64, copy=False)


def problem(f: Callable[[Any], Any], x0: Any = None, **known: Any) -> Function:
    """Make a problem of any differentiable function; see ``Function`` for what may be given.

    Args:
        f: Takes x and returns one number.
        x0: Start: a number, an array, or a tuple, list or mapping of arrays or of more of these, NumPy or torch.
        known: ``gradient``, ``value_and_gradient``, ``hessian``, ``hvp``, ``minimum``, ``minimiser``, ``convex``,
            ``name``.

    Raises:
        InputError: No start, or what ``Function`` raises.

    Example:
        >>> problem(lambda x: (x**2).sum(), x0=[1.0, 2.0])
        Function(function, 2 parameters)

    """
    if x0 is None:
        raise InputError("x0 is missing", "give a starting point: problem(f, x0=...)")
    allowed = ("gradient", "value_and_gradient", "hessian", "hvp", "minimum", "minimiser", "convex", "name")
    unknown = sorted(set(known) - set(allowed))
    if unknown:
        raise InputError(f"{unknown[0]}={known[unknown[0]]!r:.60} is not known", f"use {', '.join(allowed)}")
    return Function(f, x0, **known)
