"""Where to stop: what each filter's solution leaves unexplained, and what it should cost on new data.

Source: Morozov, Soviet Math. Dokl. 7 (1966), 414-417 (discrepancy); Golub, Heath, Wahba, Technometrics 21 (1979),
215-223 (generalized cross-validation); Mallows, Technometrics 15 (1973), 661-675, and Stein, Ann. Statist. 9 (1981),
1135-1151 (unbiased risk).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.core.check import checked_number
from thalweg.core.errors import InputError
from thalweg.theory.shrinkage import Filter, checked_filters
from thalweg.theory.spectral import SpectralModel


@dataclass(frozen=True, eq=False)
class RiskCurve:
    """Filters by what they leave on the data, and what that says of new targets; all errors per row, in units of y^2.

    Attributes:
        filters: The filters, in the order given, for instance by their number of steps.
        residual: ||Xw - y||^2/n, shape (m,).
        degrees_of_freedom: Shape (m,).
        gcv: Generalized cross-validation: residual/(1 - dof/n)^2, shape (m,); infinite where dof reaches n.
        risk: The unbiased estimate of E||Xw - X w_true||^2/n: residual + 2 sigma^2 dof/n - sigma^2, shape (m,); None
            without the noise's variance.
        noise_variance: sigma^2, as given.
        assumptions: What the numbers rest on.

    """

    filters: tuple[Filter, ...]
    residual: np.ndarray
    degrees_of_freedom: np.ndarray
    gcv: np.ndarray
    risk: np.ndarray | None
    noise_variance: float | None
    assumptions: tuple[str, ...]

    @property
    def least_gcv(self) -> int:
        """The index of the filter with the least cross-validation error."""
        return int(np.argmin(self.gcv))

    @property
    def least_risk(self) -> int | None:
        """The index of the filter with the least estimated risk; None without the noise's variance."""
        return None if self.risk is None else int(np.argmin(self.risk))

    @property
    def within_noise(self) -> int | None:
        """The index of the first filter whose residual is at most sigma^2: the discrepancy principle; None if none."""
        if self.noise_variance is None or not (self.residual <= self.noise_variance).any():
            return None
        return int(np.argmax(self.residual <= self.noise_variance))

    def __str__(self) -> str:
        said = [("least GCV", self.least_gcv), ("least risk", self.least_risk), ("within noise", self.within_noise)]
        lines = [f"{name:<14}{self.filters[k]}" for name, k in said if k is not None]
        return "\n".join([*lines, f"assumed: {'; '.join(self.assumptions)}"])


def risk_curve(model: SpectralModel, filters: Sequence[Filter], noise_variance: float | None = None) -> RiskCurve:
    """What each filter leaves unexplained, and what it is expected to cost on new targets at the same rows.

    Args:
        model: The data, y of shape (n,); without intercept, so centre X and y first.
        filters: Filters whose coefficients do not come from y, each started from zero.
        noise_variance: sigma^2 of the targets' noise, if it is known.

    Raises:
        InputError: If there are no filters, several targets, or an unstable filter overflows.
        UnsupportedError: If a filter depends on y.

    """
    checked_filters("filters", filters)
    if model.y.ndim != 1:
        raise InputError(f"y has shape {model.y.shape}", "pass a model with one target")
    if noise_variance is not None:
        checked_number("noise_variance", noise_variance, "leave it out if it is not known")
    n = len(model.X)
    degrees = np.array([each.degrees_of_freedom(model.retained) for each in filters])
    residual = np.array([model.residual(each) for each in filters])
    free = np.maximum(1 - degrees / n, 0.0)
    gcv = np.divide(residual, free**2, out=np.full(len(free), np.inf), where=free > 0)
    assumptions = ["start at zero", "noise of the targets is independent, of mean 0 and one variance"]
    risk = None
    if noise_variance is not None:
        risk = residual + 2 * noise_variance * degrees / n - noise_variance
        assumptions.append("the noise's variance is as given")
    return RiskCurve(tuple(filters), residual, degrees, gcv, risk, noise_variance, tuple(assumptions))
