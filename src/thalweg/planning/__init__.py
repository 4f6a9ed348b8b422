"""The one place that chooses: which loss, which method, and how to carry it through."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thalweg.planning.ahead import Outlook, diagnose, look, plan
from thalweg.planning.fitting import Fit, HeldOut, Prepared, fit, held_out_score, prepare, solve_prepared
from thalweg.planning.rank import Prospect
from thalweg.planning.record import RunFolder, fit_record

if TYPE_CHECKING:
    from thalweg.planning.comparing import compare
    from thalweg.planning.solving import solve

#: What a fit does not need is loaded when it is first used.
_LATER = {"compare": "thalweg.planning.comparing", "solve": "thalweg.planning.solving"}

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


def __getattr__(name: str) -> Any:
    """Load a name on first use."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
