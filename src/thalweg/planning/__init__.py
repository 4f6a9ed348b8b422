"""The one place that chooses: which loss, which method, and how to carry it through."""

from thalweg.planning.ahead import Outlook, diagnose, look, plan
from thalweg.planning.comparing import compare
from thalweg.planning.fitting import Fit, HeldOut, Prepared, fit, held_out_score, prepare, solve_prepared
from thalweg.planning.rank import Prospect
from thalweg.planning.record import RunFolder, fit_record
from thalweg.planning.solving import solve

__all__ = [
    "Fit",
    "HeldOut",
    "Outlook",
    "Prepared",
    "Prospect",
    "compare",
    "RunFolder",
    "solve_prepared",
    "diagnose",
    "fit",
    "fit_record",
    "held_out_score",
    "look",
    "plan",
    "prepare",
    "solve",
]
