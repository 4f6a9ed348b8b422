"""The one place that chooses: which loss, which method, and how to carry it through."""

from thalweg.planning.fitting import Fit, HeldOut, Prepared, fit, held_out_score, prepare, solve
from thalweg.planning.save import RunFolder, summary

__all__ = ["Fit", "HeldOut", "Prepared", "RunFolder", "fit", "held_out_score", "prepare", "solve", "summary"]
