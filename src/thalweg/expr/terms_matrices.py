"""Inverses and determinants of products, multiples and diagonal matrices."""

from __future__ import annotations

from fractions import Fraction

from thalweg.expr.node import Node, build, constant, lazy_eye
from thalweg.expr.terms_attributes import attributes
from thalweg.expr.terms_canonical import collected
from thalweg.expr.terms_core import Factor, Label, Term, Terms, expand, joined, relabelled, relabelled_apart, times
from thalweg.expr.terms_nodes import rebuild
from thalweg.expr.terms_numbers import Number, plain_number, power_number
from thalweg.expr.terms_powers import power_of


def _scaled_matrix(atom: Node) -> tuple[Number, tuple[tuple[Node, Number], ...], Node, bool] | None:
    """Read a matrix as a number and scalars times another matrix, perhaps transposed."""
    (x,) = atom.inputs
    terms = expand(x).terms
    if len(x.shape) != 2 or len(terms) != 1:
        return None
    (term,) = terms
    turned = len(term.factors) == 1 and term.factors[0].labels == (1, 0) and term.factors[0].power == 1
    if term.number == 1 and not term.scalars and not turned:
        return None
    if turned:
        return term.number, term.scalars, term.factors[0].atom, True
    return term.number, term.scalars, rebuild(Terms(x.shape, (Term(Fraction(1), (), term.factors),))), False


def _chain(term: Term) -> list[Factor] | None:
    """Read a network as a product of square matrices from axis 0 to axis 1, each with its labels in that direction."""
    links: list[Factor] = []
    at: Label = 0
    rest = list(term.factors)
    while rest:
        here = [f for f in rest if at in f.labels]
        if len(here) != 1 or len(here[0].labels) != 2 or here[0].power != 1:
            return None
        (f,) = here
        if f.atom.shape[0] != f.atom.shape[1] or f.labels[0] == f.labels[1] or None in f.labels:
            return None
        rest.remove(f)
        links.append(f)
        at = f.labels[1] if f.labels[0] == at else f.labels[0]  # type: ignore[assignment]
    return links if at == 1 else None


def _diagonal_of(term: Term) -> Term | None:
    """Give the entries, over axis 0, of a matrix that the identity makes diagonal."""
    (eyes, rest) = ([f for f in term.factors if f.atom.op == "eye"], [f for f in term.factors if f.atom.op != "eye"])
    if len(eyes) != 1 or set(eyes[0].labels) != {0, 1} or not rest:
        return None
    return relabelled(Term(term.number, term.scalars, tuple(rest)), {1: 0})


def _better_turned(x: Node) -> Node | None:
    """Give a matrix's transpose where that is the one of the two that inverses and determinants are written with."""
    if x.ndim != 2:
        return None
    here, there = expand(x), expand(x.T)
    weights = [sum(f.labels == (1, 0) for t in terms.terms for f in t.factors) for terms in (here, there)]
    return rebuild(there) if (weights[1], repr(there.key)) < (weights[0], repr(here.key)) else None


def inverse_of(atom: Node) -> Terms | None:
    """Give the inverse of a product, a multiple, a transpose or a diagonal matrix; None for any other."""
    (x,) = atom.inputs
    turned = _better_turned(x)
    if turned is not None:
        return collected(x.shape, [relabelled(t, {0: 1, 1: 0}) for t in expand(build("inv", turned)).terms])
    terms = expand(x).terms
    if len(terms) == 1 and len(x.shape) == 2:
        links = _chain(terms[0])
        if links is not None and len(links) > 1:
            product: list[Factor] = []
            for f in links:
                # The inverse of a link runs the other way: its rows are the link's columns.
                product.append(Factor(build("inv", f.atom), f.labels[::-1]))
            back = relabelled(Term(Fraction(1), (), tuple(product)), {0: 1, 1: 0})
            scale = Term(Fraction(1), ((constant(plain_number(terms[0].number)), Fraction(-1)),
                                       *[(a, -e) for a, e in terms[0].scalars]))  # fmt: skip
            return collected(x.shape, _with_atoms(joined(scale, back)))
        entries = _diagonal_of(terms[0])
        if entries is not None:
            inverted = power_of(collected(x.shape[:1], [entries]), Fraction(-1))
            eye = Term(Fraction(1), (), (Factor(lazy_eye(x.shape[0]), (0, 1)),))
            return collected(x.shape, [times(t, eye) for t in inverted.terms])
    if len(terms) == 1 and not terms[0].scalars and terms[0].number == 1 and len(terms[0].factors) == 1:
        (f,) = terms[0].factors
        if f.power == 1 and f.atom.op == "inv":
            return collected(x.shape, [Term(Fraction(1), (), (Factor(f.atom.inputs[0], f.labels),))])
        if f.power == 1 and f.atom.op == "eye":
            return expand(x)
        if f.power == 1 and "orthogonal" in attributes(f.atom):
            return collected(x.shape, [Term(Fraction(1), (), (Factor(f.atom, f.labels[::-1]),))])
    read = _scaled_matrix(atom)
    if read is None:
        return None
    number, scalars, matrix, transposed = read
    inner = expand(build("inv", matrix))
    names: dict[Label, Label | None] = {0: 1, 1: 0} if transposed else {}
    scale = Term(power_number(number, Fraction(-1)), tuple([(a, -e) for a, e in scalars]))
    return collected(x.shape, [times(scale, relabelled(t, names)) for t in inner.terms])


def _with_atoms(term: Term) -> list[Term]:
    """Put each inverse among the factors into normal form."""
    made = [Term(term.number, term.scalars)]
    for f in term.factors:
        parts = expand(f.atom).terms
        own = dict(enumerate(f.labels))
        made = [joined(m, relabelled_apart(t, own)) for m in made for t in parts]
    return made


def determinant(atom: Node) -> Terms | None:
    """Give the determinant of a product or a transpose, or its logarithm; None for any other."""
    better = _better_turned(atom.inputs[0])
    if better is not None:
        return expand(build(atom.op, better))
    terms = expand(atom.inputs[0]).terms
    if atom.op == "det" and len(terms) == 1:
        links = _chain(terms[0])
        if links is not None and len(links) > 1 and terms[0].number == 1 and not terms[0].scalars:
            made = [Term(Fraction(1))]
            for f in links:
                made = [times(m, t) for m in made for t in expand(build("det", f.atom)).terms]
            return collected((), made)
        plain = terms[0].number == 1 and not terms[0].scalars
        if links is not None and len(links) == 1 and links[0].atom.op == "inv" and plain:
            return power_of(expand(build("det", links[0].atom.inputs[0])), Fraction(-1))
    read = _scaled_matrix(atom)
    if read is None or not isinstance(atom.inputs[0].shape[0], int):
        if read is not None and read[0] == 1 and not read[1]:
            return expand(build(atom.op, read[2]))
        return None
    number, scalars, matrix, _ = read
    n = atom.inputs[0].shape[0]
    inner = expand(build(atom.op, matrix))
    if atom.op == "det":
        scale = Term(power_number(number, Fraction(n)), tuple([(a, e * n) for a, e in scalars]))
        return collected((), [times(scale, t) for t in inner.terms])
    return inner if number == 1 and not scalars else None


def cofactors(node: Node) -> Terms:
    """Write the derivative of a determinant with the inverse, as the books do (which needs one)."""
    x = node.inputs[0]
    turned = build("inv", x).T
    det = build("det", x)
    if node.op == "cofactor":
        return expand(build("mul", det, turned))
    t = node.inputs[1]
    slope = build("einsum", turned, t, params=("ij,ij->",))
    both = build("einsum", turned, t, turned, params=("ij,kj,kl->il",))
    return expand(build("mul", det, build("sub", build("mul", slope, turned), both)))


def solved(node: Node) -> Terms:
    """Write the solution of a system with the inverse."""
    a, b = node.inputs
    return expand(build("einsum", build("inv", a), b, params=("ij,j->i" if b.ndim == 1 else "ij,jk->ik",)))
