"""The tensor of a linear map: what is left of an expression linear in a direction once the direction is taken off.

A derivative in a symbolic direction D is such an expression, and the tensor is the Jacobian: d tr(A*D) has the tensor
A', and the second differential tr(D'*A*D) has, applied to another direction first, the Hessian.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from fractions import Fraction

from thalweg.core.errors import InputError
from thalweg.expr.node import Node, lazy_eye
from thalweg.expr.terms import Factor, Label, Term, Terms, collected, network, relabelled
from thalweg.expr.walk import topological

_fresh = itertools.count(1)


def coefficient(terms: Terms, direction: Node) -> Terms:
    """Take a direction off an expression that is linear in it.

    Args:
        terms: The expression's normal form, of shape S.
        direction: A symbol, of shape T.

    Returns:
        The tensor of the map, of shape (*S, *T): summed against the direction over the last axes it gives ``terms``.

    Raises:
        InputError: where a term is not linear in the direction.

    """
    rank = len(terms.shape)
    shape = (*terms.shape, *direction.shape)
    found = []
    for term in terms.terms:
        found.append(_without(_opened(term, direction), direction, rank))
    return collected(shape, found)


def _opened(term: Term, direction: Node) -> Term:
    """Put closed networks that hold the direction back among the factors."""
    scalars, factors = [], list(term.factors)
    for atom, power in term.scalars:
        if power == 1 and atom is not direction and _holds(atom, direction):
            inner = network(atom)
            names: Mapping[Label, Label | None] = {
                x: -(10**9) - next(_fresh) for f in inner for x in f.labels if x is not None
            }
            factors += relabelled(Term(Fraction(1), (), tuple(inner)), names).factors
        else:
            scalars.append((atom, power))
    return Term(term.number, tuple(scalars), tuple(factors))


def _without(term: Term, direction: Node, rank: int) -> Term:
    scalars = [(a, e) for a, e in term.scalars if not (a is direction and e == 1)]
    factors = list(term.factors)
    if len(scalars) == len(term.scalars):
        at = [i for i, f in enumerate(factors) if f.atom is direction and f.power == 1]
        if len(at) != 1:
            raise InputError(f"an expression that is not linear in {direction.name}", "give a differential")
        held = factors.pop(at[0])
        names = {x: rank + held.labels.index(x) for x in held.labels if x is not None and x < 0}
        factors = list(relabelled(Term(Fraction(1), (), tuple(factors)), names).factors)
        for axis, x in enumerate(held.labels):
            now = names.get(x, x) if x is not None else None
            if now is not None and now != rank + axis:
                # An axis of the result, or one met twice: the identity joins the two.
                factors.append(Factor(lazy_eye(held.atom.shape[axis]), (now, rank + axis)))
    rest = Term(term.number, tuple(scalars), tuple(factors))
    if any(_holds(a, direction) for a, _ in rest.scalars) or any(_holds(f.atom, direction) for f in rest.factors):
        raise InputError(f"an expression that is not linear in {direction.name}", "give a differential")
    return rest


def _holds(node: Node, direction: Node) -> bool:
    return any(x is direction for x in topological([node]))
