"""What is known of an atom for sure: its sign, its symmetry."""

from __future__ import annotations

from thalweg.expr.node import Node
from thalweg.expr.terms_core import MOST_KNOWN, expand

_NONNEGATIVE = frozenset(["exp", "abs", "softplus", "sigmoid", "sqrt", "relu", "cosh", "softmax", "square", "rsqrt"])


def nonnegative(atom: Node) -> bool:
    """Say whether every entry is >= 0 for sure."""
    if atom.op == "symbol":
        return atom.domain == "count" or "nonnegative" in attributes(atom)
    if atom.op == "dimension" or atom.op in _NONNEGATIVE:
        return True
    if atom.op == "det":
        return "positive definite" in attributes(atom.inputs[0])
    if atom.op == "einsum":
        return all(nonnegative(x) for x in atom.inputs)
    return bool(isinstance(atom.value, (int, float)) and atom.value >= 0)


def attributes(atom: Node) -> frozenset[str]:
    """Give a symbol's attributes ("symmetric", "positive definite", "diagonal", "orthogonal", "nonnegative")."""
    if atom.op == "symbol" and len(atom.params) > 2:
        return frozenset(atom.params[2])
    if atom.op == "inv":
        return attributes(atom.inputs[0]) & {"symmetric", "positive definite", "diagonal", "orthogonal"}
    return frozenset()


def symmetric(atom: Node) -> bool:
    """Say whether an atom equals its transpose for sure."""
    if attributes(atom) & {"symmetric", "positive definite", "diagonal"} or atom.op == "eye":
        return True
    if len(atom.shape) != 2 or atom.shape[0] != atom.shape[1] or atom.op in ("symbol", "variable"):
        return False
    if atom.op == "inv":
        known = _symmetric_inverses.get(atom.key)
        if known is None:
            if len(_symmetric_inverses) > MOST_KNOWN:
                _symmetric_inverses.clear()
            (x,) = atom.inputs
            known = _symmetric_inverses[atom.key] = expand(x).key == expand(x.T).key
        return known
    return False


_symmetric_inverses: dict[str, bool] = {}
