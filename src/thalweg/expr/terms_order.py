"""The canonical order of the factors of a network, and its connected parts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from thalweg.expr.terms_attributes import symmetric
from thalweg.expr.terms_core import MOST_KNOWN, Factor, Label, factor_key

_TIES = 5040
"""Orders of equal factors that are tried for a canonical one; beyond, equality may be missed, never invented."""


def components(factors: Sequence[Factor]) -> tuple[list[Factor], list[list[Factor]]]:
    """Split a network into what reaches an axis of the result, and closed parts, which are scalars."""
    rest = list(factors)
    tied: list[Factor] = []
    closed: list[list[Factor]] = []
    while rest:
        part = [rest.pop()]
        labels = {x for x in part[0].labels if x is not None and x < 0}
        grown = True
        while grown:
            grown = False
            for f in list(rest):
                if labels & {x for x in f.labels if x is not None}:
                    rest.remove(f)
                    part.append(f)
                    labels |= {x for x in f.labels if x is not None and x < 0}
                    grown = True
        if any(x is not None and x >= 0 for f in part for x in f.labels):
            tied += part
        else:
            closed.append(part)
    return tied, closed


def ordered(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Put factors in canonical order and name the summed labels -1, -2, ... in order of appearance."""
    if not factors:
        return ()
    # The order depends on the network alone, not on the names of its summed labels: it is remembered under plain names.
    names: dict[Label, Label] = {}
    plain = tuple([
        (f.atom.key, str(f.power),
         tuple([x if x is None or x >= 0 else names.setdefault(x, -1 - len(names)) for x in f.labels]))
        for f in factors
    ])  # fmt: skip
    known = _orders.get(plain)
    if known is None:
        if len(_orders) > MOST_KNOWN:
            _orders.clear()
        known = _orders[plain] = _ordered_anew(factors)
    return known


_orders: dict[tuple[Any, ...], tuple[Factor, ...]] = {}


def _ordered_anew(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    colours: dict[Factor, tuple[str, ...]] = {f: (f.atom.key, str(f.power)) for f in factors}
    label_colours: dict[Label | None, Any] = {
        x: ("axis", x) if x is None or x >= 0 else ("sum",) for f in factors for x in f.labels
    }
    seen = [(f, list(f.labels)) for f in factors]
    different = len(set(colours.values())) == len(factors)
    for _ in range(1 if different else len(factors)):
        incident: dict[Label | None, list[Any]] = {}
        for f, labels in seen:
            for place, x in enumerate(labels):
                incident.setdefault(x, []).append((colours[f], 0 if symmetric(f.atom) else place))
        refined = {
            x: (c if x is None or x >= 0 else ("sum", hash_of(sorted(map(repr, incident[x])))))
            for x, c in label_colours.items()
        }
        new: dict[Factor, tuple[str, ...]] = {}
        for f, labels in seen:
            own = [repr(refined[x]) for x in labels]
            new[f] = (f.atom.key, str(f.power), hash_of(sorted(own) if symmetric(f.atom) else own))
        if len(set(new.values())) == len(set(colours.values())) and refined == label_colours:
            break
        colours, label_colours = new, refined
    groups: dict[Any, list[Factor]] = {}
    for f in factors:
        groups.setdefault(colours[f], []).append(f)
    ordered_groups = [groups[c] for c in sorted(groups, key=repr)]
    orders = itertools.product(*[itertools.permutations(g) for g in ordered_groups])
    best: tuple[Factor, ...] | None = None
    best_key: Any = None
    for order in itertools.islice(orders, _TIES):
        for named in _namings([f for group in order for f in group], label_colours):
            key = [factor_key(f) for f in named]
            if best_key is None or key < best_key:
                best, best_key = named, key
    assert best is not None
    return best


def hash_of(parts: Sequence[str]) -> str:
    """Digest a list of texts."""
    import hashlib

    return hashlib.blake2b("|".join(parts).encode(), digest_size=8).hexdigest()


def _namings(factors: Sequence[Factor], colours: Mapping[Label | None, Any]) -> list[tuple[Factor, ...]]:
    """Name the summed labels -1, -2, ... in order of appearance.

    A symmetric factor may be read either way: labels already named come first, then those of smaller colour; where the
    colours are equal, both ways are given.
    """
    states: list[tuple[dict[Label, Label], list[Factor]]] = [({}, [])]
    for f in factors:
        grown = []
        for names, done in states:
            orders = [f.labels]
            if len(f.labels) == 2 and f.labels[0] != f.labels[1] and symmetric(f.atom):
                ranks = [_rank(x, names, colours) for x in f.labels]
                if ranks[0] > ranks[1]:
                    orders = [f.labels[::-1]]
                elif ranks[0] == ranks[1] and len(states) < 64:
                    orders = [f.labels, f.labels[::-1]]
            for order in orders:
                known = dict(names)
                labels = tuple([x if x is None or x >= 0 else known.setdefault(x, -1 - len(known)) for x in order])
                grown.append((known, [*done, Factor(f.atom, labels, f.power)]))
        states = grown
    return [tuple(done) for _, done in states]


def _rank(x: Label | None, names: Mapping[Label, Label], colours: Mapping[Label | None, Any]) -> tuple[int, Any]:
    if x is None:
        return 3, ""
    if x >= 0:
        return 0, x
    return (1, -names[x]) if x in names else (2, repr(colours[x]))
