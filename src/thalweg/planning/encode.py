"""From a user's targets and columns to what a problem reads, and back for prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from thalweg.core.errors import InputError
from thalweg.data import encode_target
from thalweg.problems import Loss, Target, default_loss, find_loss, fitting_losses


def curvature_notes(loss: Loss) -> tuple[str, ...]:
    """What the derived bounds do not give, and what is used instead."""
    bounds = loss.bounds
    notes: tuple[str, ...] = ()
    if bounds.convex is not True:
        notes += (f"{loss.name} is not proven convex: the result is a stationary point, without a proof of f - f*",)
    if np.isfinite(bounds.first).all() and not np.isfinite(bounds.second[1]) and loss.target is not Target.CLASS:
        notes += (
            f"{loss.name} has kinks: methods for smooth losses may stop above the minimum; round its kinks, as "
            f"{fitting_losses(loss.target)} do",
        )
    elif not np.isfinite(bounds.second[1]):
        notes += (
            f"the second derivative of {loss.name} is unbounded: the Hessian at each point and a line search are used "
            "instead of a constant L",
        )
    return notes


def encode(
    raw: np.ndarray, loss: str | Loss | Callable[[Any, Any], Any] | None, domain: Target | None, name: str
) -> tuple[Loss, np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """The loss row, encoded targets, labels and notes."""
    notes: tuple[str, ...] = ()
    label = f"target {name!r}"
    if loss is None:
        kind, values, classes = encode_target(raw, label)
        row = default_loss(kind)
        found = kind if classes is None else f"{len(classes)} classes"
        notes += (f"{row.name} loss, since {label} has {found if classes is not None else 'real values'}",)
    else:
        if domain is None and callable(loss) and not isinstance(loss, Loss):
            two = raw.dtype.kind in "USb" or len(np.unique(raw)) == 2
            domain = Target.SIGN if two else Target.REAL
            if two:
                notes += (f"{label} has two values: the loss sees -1 and +1; pass target='real' to keep the numbers",)
        row = find_loss(loss, domain)
        if row.target in (Target.REAL, Target.COUNT):
            if raw.dtype.kind not in "fiub":
                raise InputError(
                    f"{label} is text ({raw[0]!r} in row 1); loss={row.name!r} needs numbers",
                    f"use {fitting_losses(Target.SIGN, Target.CLASS)} for labels",
                )
            return row, raw.astype(np.float64), None, notes
        kind, values, classes = encode_target(raw, label)
        if classes is None and row.target is Target.CLASS and (raw == np.floor(raw)).all():
            classes, values = np.unique(raw, return_inverse=True)
    if classes is None and row.target in (Target.SIGN, Target.CLASS):
        fraction = np.flatnonzero(raw != np.floor(raw))
        example = int(fraction[0]) if len(fraction) else 0
        raise InputError(
            f"{label} has real values ({raw[example]} in row {example + 1}); loss={row.name!r} needs classes",
            f"use {fitting_losses(Target.REAL)}, or a target of labels",
        )
    if row.target is Target.SIGN:
        assert classes is not None  # a target without classes was refused above
        if len(classes) != 2:
            raise InputError(
                f"{label} has {len(classes)} classes ({', '.join(map(str, classes[:4]))}, ...); "
                f"loss={row.name!r} takes two",
                f"use {fitting_losses(Target.CLASS)}, or keep two classes",
            )
        notes += (f"class {classes[0]} is -1, class {classes[1]} is +1",)
        return row, 2.0 * values - 1.0, classes, notes
    return row, values, classes, notes


def feature_matrix(X: Any, names: tuple[str, ...]) -> Any:
    """Rows to predict: (n, d) numbers."""
    if hasattr(X, "columns"):
        X = np.column_stack([_column(X, name) for name in names])
    matrix = X if hasattr(X, "tocsr") else np.asarray(X)
    if not hasattr(X, "tocsr") and matrix.dtype.kind not in "fiub":
        raise InputError(f"X has dtype {matrix.dtype}; expected numbers", "pass a frame with the columns of the fit")
    if matrix.ndim != 2 or matrix.shape[1] != len(names):
        raise InputError(f"X has shape {matrix.shape}; the model has {len(names)} features", "pass (n, features) rows")
    if hasattr(matrix, "tocsr"):
        return matrix.tocsr()
    bad = ~np.isfinite(matrix)
    if bad.any():
        row, column = (int(index[0]) for index in np.nonzero(bad))
        raise InputError(f"X: row {row + 1}, column {names[column]!r} is {matrix[row, column]}", "fill it in")
    return matrix


def _column(frame: Any, name: str) -> np.ndarray:
    """One feature of a frame; an indicator such as ``colour=red`` from the text column it was made of."""
    columns = list(frame.columns)
    source, _, level = name.rpartition("=")
    if name not in columns and source in columns:
        return (np.asarray(frame[source]).astype(str) == level).astype(np.float64)
    if name not in columns:
        raise InputError(
            f"X has no column {name!r}", f"pass a frame with the {len(columns)} columns of the fit, or an array"
        )
    try:
        return np.asarray(frame[name], dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"X: column {name!r} is not made of numbers", "pass it as it was when the model was fitted"
        ) from None
