"""Terms, and the walk that gives an expression its own; which operation becomes what stands in `terms`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from thalweg.expr.node import Node
from thalweg.expr.rows import Shape
from thalweg.expr.terms_numbers import Number
from thalweg.expr.walk import topological

Label = int
"""Nonnegative: an axis of the result. Negative: summed."""


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A power of an atom's entries.

    Attributes:
        atom: A node in normal form.
        labels: One an axis; None for an axis of size 1.
        power: Of each entry.

    """

    atom: Node
    labels: tuple[Label | None, ...]
    power: Number = Fraction(1)


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A number times factors.

    Attributes:
        number: The coefficient.
        scalars: Atoms without axes, and their powers.
        factors: Atoms with axes.

    """

    number: Number
    scalars: tuple[tuple[Node, Number], ...] = ()
    factors: tuple[Factor, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """A sum of terms, each a function of the same axes.

    Attributes:
        shape: Of the expression.
        terms: In canonical order; none stands for 0.

    """

    shape: Shape
    terms: tuple[Term, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells two normal forms apart."""
        return self.shape, tuple([(t.number, term_key(t)) for t in self.terms])


_known: dict[str, Terms] = {}


MOST_KNOWN = 20_000
"""Normal forms that are remembered; then all are forgotten."""


RULES: dict[str, Callable[[Node], Terms | None]] = {}
"""What an operation becomes; `thalweg.expr.terms` fills it. None: an atom, which is what "" gives."""


def expand(node: Node) -> Terms:
    """Give an expression's normal form."""
    for x in topological([node]):
        if x.key not in _known:
            if len(_known) > MOST_KNOWN:
                _known.clear()
                return expand(node)
            rule = RULES.get(x.op)
            made = rule(x) if rule is not None else None
            _known[x.key] = RULES[""](x) or Terms(x.shape, ()) if made is None else made
    return _known[node.key]


def remember(node: Node, terms: Terms) -> Node:
    """Keep the normal form of the node that was rebuilt from it."""
    _known.setdefault(node.key, terms)
    return node


def term_key(term: Term) -> tuple[Any, ...]:
    """Give what tells a term from others, but for its number."""
    scalars = tuple([(a.key, str(e)) for a, e in term.scalars])
    return scalars, tuple([factor_key(f) for f in term.factors])


def factor_key(f: Factor) -> tuple[Any, ...]:
    """Give what tells a factor from others."""
    return f.atom.key, str(f.power), tuple([10**9 if x is None else x for x in f.labels])


def relabelled(term: Term, names: Mapping[Label, Label | None]) -> Term:
    """Rename labels; those without a new name stay."""
    factors = [Factor(f.atom, tuple([x if x is None else names.get(x, x) for x in f.labels]), f.power)
               for f in term.factors]  # fmt: skip
    return Term(term.number, term.scalars, tuple(factors))


inner_labels = itertools.count(1)


def relabelled_apart(term: Term, names: Mapping[Label, Label | None]) -> Term:
    """Relabel axes to labels that may be summed ones, which `times` must not rename."""
    fresh = {x: -next(inner_labels) - 10**6 for f in term.factors for x in f.labels if x is not None and x < 0}
    return relabelled(term, {**fresh, **names})


def times(s: Term, t: Term) -> Term:
    """Multiply terms of the same axes; the summed labels of the second are renamed out of the way."""
    fresh = {x: -next(inner_labels) - 10**6 for f in t.factors for x in f.labels if x is not None and x < 0}
    return Term(s.number * t.number, s.scalars + t.scalars, s.factors + relabelled(t, fresh).factors)


def joined(s: Term, t: Term) -> Term:
    """Multiply terms whose labels are meant as they stand."""
    return Term(s.number * t.number, s.scalars + t.scalars, s.factors + t.factors)


def negative(terms: Terms) -> Terms:
    """Give a sum with the other sign."""
    return Terms(terms.shape, tuple([Term(-t.number, t.scalars, t.factors) for t in terms.terms]))
