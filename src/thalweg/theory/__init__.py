"""Numbers about problems and methods: constants, spectra, predictions. It chooses nothing and trains nothing."""

from thalweg.theory.constants import diagnose
from thalweg.theory.constants_any import diagnose_point
from thalweg.theory.predict import Rehearsal, bound_on_steps, foresee, foresee_rest, rehearse

__all__ = ["Rehearsal", "bound_on_steps", "diagnose", "diagnose_point", "foresee", "foresee_rest", "rehearse"]
