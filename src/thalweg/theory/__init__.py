"""Numbers about problems and methods: constants, spectra, predictions. It chooses nothing and trains nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thalweg.theory.constants import diagnose
from thalweg.theory.constants_any import diagnose_point
from thalweg.theory.on_spectrum import sampled_steps_on_spectrum, steps_on_spectrum
from thalweg.theory.predict import Rehearsal, bound_on_steps, foresee, foresee_rest, rehearse

if TYPE_CHECKING:
    from thalweg.theory.bounds import BOUNDS, Bound
    from thalweg.theory.early_stopping import filter_curves, half_point, match_ridge, match_steps, match_truncation
    from thalweg.theory.from_run import foreseen_in_newton, foreseen_in_run, steps_from_run
    from thalweg.theory.recoverable import recoverable_components
    from thalweg.theory.second_moments import GradientNoise, SecondMoments
    from thalweg.theory.shrinkage import (
        GradientDescentFilter,
        MomentumFilter,
        RidgeFilter,
        ScheduleFilter,
        TruncationFilter,
        conjugate_gradient_filter,
        truncation_filter,
    )
    from thalweg.theory.spectral import SpectralModel
    from thalweg.theory.stopping_rules import risk_curve

#: What a fit does not need is loaded when it is first used.
_LATER = {
    "bounds": ("BOUNDS", "Bound"),
    "early_stopping": ("filter_curves", "half_point", "match_ridge", "match_steps", "match_truncation"),
    "recoverable": ("recoverable_components",),
    "from_run": ("foreseen_in_newton", "foreseen_in_run", "steps_from_run"),
    "second_moments": ("GradientNoise", "SecondMoments"),
    "shrinkage": (
        "GradientDescentFilter",
        "MomentumFilter",
        "RidgeFilter",
        "ScheduleFilter",
        "TruncationFilter",
        "conjugate_gradient_filter",
        "truncation_filter",
    ),
    "spectral": ("SpectralModel",),
    "stopping_rules": ("risk_curve",),
}
_HOME_OF = {name: home for home, names in _LATER.items() for name in names}

__all__ = [
    "BOUNDS",
    "Bound",
    "GradientDescentFilter",
    "GradientNoise",
    "MomentumFilter",
    "Rehearsal",
    "RidgeFilter",
    "ScheduleFilter",
    "SecondMoments",
    "SpectralModel",
    "TruncationFilter",
    "bound_on_steps",
    "conjugate_gradient_filter",
    "diagnose",
    "diagnose_point",
    "filter_curves",
    "foresee",
    "foresee_rest",
    "foreseen_in_newton",
    "foreseen_in_run",
    "half_point",
    "match_ridge",
    "match_steps",
    "match_truncation",
    "recoverable_components",
    "rehearse",
    "risk_curve",
    "sampled_steps_on_spectrum",
    "steps_from_run",
    "steps_on_spectrum",
    "truncation_filter",
]


def __getattr__(name: str) -> Any:
    """Load a name on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'thalweg.theory' has no attribute {name!r}")
    return getattr(import_module(f"thalweg.theory.{_HOME_OF[name]}"), name)
