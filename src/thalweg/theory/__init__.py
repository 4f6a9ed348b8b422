"""Numbers about problems and methods: constants, spectra, predictions. It chooses nothing and trains nothing."""

from thalweg.theory.constants import diagnose
from thalweg.theory.predict import Rehearsal, bound_on_steps, foresee, foresee_rest, rehearse

__all__ = ["Rehearsal", "bound_on_steps", "diagnose", "foresee", "foresee_rest", "rehearse"]
