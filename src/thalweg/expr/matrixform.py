"""From the normal form to the formula that a person would write.

:func:`form` brings an expression to :class:`thalweg.expr.terms.Terms`, raises each term to a product of matrices
(:mod:`thalweg.expr.matrixform_network`) and takes common factors out again (:mod:`thalweg.expr.matrixform_factors`):
of the formulas found it gives the one with the shortest text. The text is the notation that the parser reads, and reads
back to the same normal form. x'*x and tr(X'*X) stay as they are; roots of them are written norm2(x) and normF(X).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

from thalweg.expr import matrixform_factors as factoring
from thalweg.expr import typeset_latex
from thalweg.expr.matrixform_completed import completed
from thalweg.expr.matrixform_known import total_of_exponentials, with_fewer_sigmoids, with_softmax
from thalweg.expr.matrixform_network import Link, NoMatrixFormError, ones, raise_network, size_formula
from thalweg.expr.matrixform_quotients import fewer_quotients
from thalweg.expr.matrixform_show import show
from thalweg.expr.matrixform_squares import root_of_square
from thalweg.expr.node import Node, constant
from thalweg.expr.rows import NUMBERS, Dimension
from thalweg.expr.terms import (
    Factor,
    Label,
    Number,
    Term,
    Terms,
    attributes,
    canonical,
    collected,
    expand,
    is_sum,
    magnitude,
    network,
    rebuild,
)
from thalweg.expr.typeset import (
    Formula,
    call,
    chain,
    cost,
    einsum,
    name,
    number,
    over,
    power,
    scaled,
    total,
    transposed,
)
from thalweg.expr.walk import topological

IN_NOTATION = frozenset([
    "exp", "log", "sqrt", "sin", "cos", "tanh", "abs", "sign", "sigmoid", "relu", "softplus", "inv", "det", "logdet",
    "softmax", "log1p", "expm1", "sinh", "cosh", "arctan", "erf",
])  # fmt: skip
"""Operations whose name is a function of the notation."""

_LETTERS = "ijklabcdefghmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


WRITTEN_NODES = 100
"""Larger graphs are written as they were built when they are printed: a formula of them says little and takes long."""


@dataclass(frozen=True)
class Form:
    """A formula, ready to be written.

    Attributes:
        formula: The tree.
        is_matrix_form: False where a part is written as an einsum.
        is_notation: Whether the parser can read the text.

    """

    formula: Formula
    is_matrix_form: bool
    is_notation: bool

    @property
    def text(self) -> str:
        """The parser's notation."""
        return self.formula.text

    @property
    def latex(self) -> str:
        """LaTeX."""
        return typeset_latex.latex(self.formula)

    @property
    def pretty(self) -> str:
        """Unicode, to be read."""
        return typeset_latex.pretty(self.formula)


def form(expression: Terms | Node, rows: int | None = None) -> Form:
    """Give the formula of an expression.

    Args:
        expression: A node without a value, or its normal form.
        rows: For more than two axes: how many of the first axes are flattened, row after row, into the rows of a
            matrix, the others into its columns. None leaves such an expression an einsum.

    Returns:
        The formula, the shortest of those that were found.

    """
    terms = expand(expression) if isinstance(expression, Node) else expression
    writer = Writer(rows)
    formula = writer.write(with_fewer_sigmoids(terms))
    return Form(formula, not _has(formula, "einsum"), writer.notation and not _has(formula, "einsum"))


def text(expression: Terms | Node, rows: int | None = None) -> str:
    """Write an expression in the parser's notation; see `form`."""
    return form(expression, rows).text


def written(node: Node) -> str:
    """Write a lazy node: one in normal form, as derivatives are, as a formula; any other as it was built."""
    order = topological([node])
    if len(order) <= WRITTEN_NODES:
        found = expand(node)
        if rebuild(found) is node:
            made = form(found)
            if made.is_matrix_form:
                return made.text
    return show(node)


def latex(expression: Terms | Node, rows: int | None = None) -> str:
    """Write an expression in LaTeX; see `form`."""
    return form(expression, rows).latex


def pretty(expression: Terms | Node, rows: int | None = None) -> str:
    """Write an expression with Unicode signs; see `form`."""
    return form(expression, rows).pretty


def _has(formula: Formula, kind: str) -> bool:
    return formula.kind == kind or any(_has(x, kind) for x in formula.parts)


class Writer:
    """Writes normal forms as formulas; what was written is remembered.

    Args:
        rows: As in `form`.

    """

    def __init__(self, rows: int | None = None) -> None:
        self.rows = rows
        self.notation = True
        self.nested = 0
        self._known: dict[object, Formula] = {}
        self._atoms: dict[str, Formula] = {}
        self._roots: dict[str, Formula | None] = {}

    def write(self, terms: Terms) -> Formula:
        """Write a sum, with common factors taken out."""
        key = (terms.key, bool(self.nested))
        if key not in self._known:
            self._known[key] = self._shortest(with_softmax(terms))
        return self._known[key]

    def _shortest(self, terms: Terms) -> Formula:
        if not terms.terms:
            return self._equal_entries(terms, number(Fraction(0)))
        forms = [self.flat(terms)]
        better = fewer_quotients(terms)
        if better is not None:
            forms.append(self.write(better))
        elif len(terms.terms) > 1:
            forms += factoring.factored(terms, self) + completed(terms, self)
        return min(forms, key=lambda f: (cost(f), f.text))

    def _equal_entries(self, terms: Terms, value: Formula) -> Formula:
        """Write an array of equal entries."""
        if not terms.shape:
            return value
        shape = factoring.flattened(terms.shape, self.rows)
        if len(shape) > 2:
            self.notation = False
            return call("zeros", *[size_formula(d) for d in terms.shape])
        if len(shape) == 1:
            return ones(terms.shape[0], value)
        return call("matrix", value, *[_product(part) for part in shape], symmetric=shape[0] == shape[1])

    def beside(self, terms: Terms) -> Formula:
        """Write a sum that other terms stand beside, which fix its size."""
        return self.flat(terms, True) if len(terms.terms) == 1 else self.write(terms)

    def flat(self, terms: Terms, beside: bool = False) -> Formula:
        """Write a sum term by term."""
        parts = []
        others = beside or len(terms.terms) > 1
        for t in terms.terms:
            body = self.term(terms, t)
            if others and not t.factors and len(terms.shape) in (1, 2):
                maker = "vector" if len(terms.shape) == 1 else "matrix"
                body = call(maker, self.scalar_part(Term(magnitude(t.number), t.scalars), number(Fraction(1))),
                            symmetric=maker == "matrix")  # fmt: skip
            parts.append((t.number >= 0, body))
        if len(terms.terms) > 1 and all(not t.factors for t in terms.terms) and terms.shape:
            value = self.write(Terms((), terms.terms))
            return self._equal_entries(terms, value)
        return total(parts)

    def term(self, terms: Terms, term: Term) -> Formula:
        """Write one term without its sign."""
        return self.scalar_part(Term(magnitude(term.number), term.scalars), self.body(terms, term))

    def body(self, terms: Terms, term: Term) -> Formula:
        """Write a term's network."""
        shape = terms.shape
        if not term.factors:
            if not shape:
                return number(Fraction(1))
            if len(shape) <= 2:
                return self._equal_entries(Terms(shape, ()), number(Fraction(1)))
        try:
            if len(shape) > 2:
                return factoring.kronecker(terms, term, self)
            return raise_network(shape, [self.link(f) for f in term.factors], sizes_of(term.factors))
        except NoMatrixFormError:
            return self._contraction(shape, term)

    def _contraction(self, shape: Sequence[Dimension], term: Term) -> Formula:
        names: dict[Label, str] = {i: _LETTERS[i] for i in range(len(shape))}
        words, parts = [], []
        for f in term.factors:
            words.append("".join([names.setdefault(x, _LETTERS[len(names)]) for x in f.labels if x is not None]))
            parts.append(self._solid(f))
        for i, d in enumerate(shape):
            if not any(i in f.labels for f in term.factors):
                words.append(names[i])
                parts.append(ones(d))
        return einsum(",".join(words) + "->" + "".join([names[i] for i in range(len(shape))]), *parts)

    def _solid(self, f: Factor) -> Formula:
        base = self.atom(f.atom)
        if f.power == 1:
            return base
        return self.powered(base, f.power, True) if f.power > 0 else factoring.reciprocal(
            self.powered(base, -f.power, True))  # fmt: skip

    def link(self, f: Factor) -> Link:
        """Give a factor as a link of a network."""
        base = self.atom(f.atom)
        labels = tuple([x for x in f.labels if x is not None])
        if len(f.labels) > 2 or f.atom.op == "eye" and f.power < 0:
            raise NoMatrixFormError
        if len(f.labels) == 2 and f.labels[0] is None and f.labels[1] is not None:
            base = transposed(base)  # a row
        return Link(self.powered(base, magnitude(f.power), True), labels, f.atom.op == "eye", f.power < 0)

    # Scalars.

    def scalar_part(self, term: Term, body: Formula) -> Formula:
        """Multiply a formula by a number and by powers of scalars, those with negative powers below the line."""
        top: list[Formula] = []
        bottom: list[Formula] = []
        whole = canonical(_with_whole_sums(term))
        if whole is None:
            return number(Fraction(0))
        n = whole.number
        self.notation &= isfinite(n)
        varying = {a.inputs[0].key: a.inputs[0] for a, _ in whole.scalars if a.op == "pow"}
        written = [(e > 0, self.scalar(a, magnitude(e))) for a, e in whole.scalars
                   if a.op != "pow" and a.key not in varying]  # fmt: skip
        written += [self._varying_power(base, whole.scalars) for base in varying.values()]
        written.sort(key=lambda p: _rank(p[1]))
        if isinstance(n, Fraction):
            top.append(number(Fraction(n.numerator)))
            if n.denominator != 1:
                bottom.append(number(Fraction(n.denominator)))
        else:
            top.append(number(n))
        for up, f in written:
            (top if up else bottom).append(f)
        below = scaled(bottom, number(Fraction(1)))
        return over(scaled(top, body), below)

    def _varying_power(self, base: Node, scalars: Sequence[tuple[Node, Number]]) -> tuple[bool, Formula]:
        """Write all powers of a base as one, whose exponent varies; the flag says whether it stands above the line."""
        exponent: list[Term] = []
        for a, e in scalars:
            if a is base:
                exponent.append(Term(e))
            elif a.op == "pow" and a.inputs[0] is base:
                exponent += [Term(t.number * e, t.scalars) for t in expand(a.inputs[1]).terms]
        root = self._root(base)
        up = any(t.number > 0 for t in exponent)
        by = (1 if up else -1) * (1 if root is None else 2)
        whole = collected((), [Term(t.number * by, t.scalars) for t in exponent])
        return up, power(self.atom(base) if root is None else root, self.write(whole))

    def _root(self, atom: Node) -> Formula | None:
        """Write the root of a scalar that is the square of a norm."""
        if atom.key not in self._roots:
            self._roots[atom.key] = root_of_square(atom, self)
        return self._roots[atom.key]

    def scalar(self, atom: Node, e: Number) -> Formula:
        """Write a positive power of a scalar; roots of squares are norms."""
        if isinstance(e, Fraction) and e.denominator <= 2 and (is_sum(atom) or e.denominator == 2):
            root = self._root(atom)
            if root is not None:
                norm = power(root, number(2 * e))
                return norm if e.denominator == 2 else min((norm, self.powered(self.atom(atom), e, False)), key=cost)
        return self.powered(self.atom(atom), e, False)

    def powered(self, base: Formula, e: Number, by_entry: bool) -> Formula:
        """Raise to a positive power; of a root, the shorter way of writing it."""
        plain = power(base, number(e), by_entry)
        if isinstance(e, Fraction) and e.denominator == 2:
            root = power(call("sqrt", base, symmetric=base.symmetric, scalar=base.scalar), number(2 * e), by_entry)
            return min((root, plain), key=lambda f: len(f.text))
        return plain

    # Atoms.

    def atom(self, node: Node) -> Formula:
        """Write an atom."""
        if node.key not in self._atoms:
            self.nested += 1
            self._atoms[node.key] = self._atom(node)
            self.nested -= 1
        return self._atoms[node.key]

    def _atom(self, node: Node) -> Formula:
        known = attributes(node)
        square = bool(known & {"symmetric", "positive definite", "diagonal"})
        if node.op == "symbol":
            return name(node.name, square, not node.shape)
        if node.op == "dimension":
            return size_formula(node.params[0])
        if node.op == "constant" and node.value.__class__ in NUMBERS:
            return number(Fraction(node.value) if float(node.value).is_integer() else float(node.value))  # type: ignore[arg-type, call-overload]
        if node.op == "eye":
            return call("eye", size_formula(node.params[0]), symmetric=True)
        if node.op == "einsum" and not node.shape:
            return self._closed(node)
        if node.op == "reshape" and node.shape == tuple([d for d in node.inputs[0].shape if d != 1]):
            return self._atom(node.inputs[0])
        if node.op == "pow":
            return power(self.write(expand(node.inputs[0])), self.write(expand(node.inputs[1])), bool(node.shape))
        if node.op in ("add", "sub", "neg", "mul", "div", "einsum", "broadcast_to"):
            return self.write(expand(node))
        exponent = total_of_exponentials(node.inputs[0]) if node.op == "log" else None
        if exponent is not None:
            return call("logsumexp", self.write(expand(exponent)), scalar=True)
        if node.op not in IN_NOTATION:
            self.notation = False
        parts = [self.write(expand(x)) for x in node.inputs]
        symmetric = factoring.is_symmetric(node)
        return call(node.name, *parts, symmetric=symmetric, scalar=not node.shape)

    def _closed(self, node: Node) -> Formula:
        """Write a network without axes."""
        factors = network(node)
        return self.closed(factors) if factors else self.write(expand(node))

    def closed(self, factors: Sequence[Factor]) -> Formula:
        """Write a network without axes, given by its factors."""
        links = []
        for f in factors:
            if f.power == 2 and len(f.labels) == 2:
                # A square of a matrix's entries is the matrix twice: tr(X'*X).
                links += [self.link(Factor(f.atom, f.labels)), self.link(Factor(f.atom, f.labels))]
            else:
                links.append(self.link(f))
        try:
            return raise_network((), links, sizes_of(factors))
        except NoMatrixFormError:
            return self._contraction((), Term(Fraction(1), (), tuple(factors)))


def _with_whole_sums(term: Term) -> Term:
    """Multiply sums among the scalars so that their numbers are whole: 1/(2+x) is better read than 1/(1+x/2)/2."""
    scalars: list[tuple[Node, Number]] = []
    for atom, e in term.scalars:
        terms = expand(atom) if is_sum(atom) else None
        content = factoring.content_of(terms) if terms is not None else Fraction(1)
        if terms is not None and content != 1 and isinstance(e, Fraction) and e.denominator <= 2:
            scaled_terms = [Term(t.number / content, t.scalars, t.factors) for t in terms.terms]
            scalars.append((rebuild(Terms((), tuple(scaled_terms))), e))
            scalars += [(constant(content.numerator), e), (constant(content.denominator), -e)]
        else:
            scalars.append((atom, e))
    return Term(term.number, tuple(scalars))


def _rank(f: Formula) -> tuple[bool, int, str]:
    return f.kind != "name", len(f.text), f.text


def _product(sizes: Sequence[Dimension]) -> Formula:
    return chain([size_formula(d) for d in sizes])


def sizes_of(factors: Sequence[Factor]) -> dict[Label, Dimension]:
    """Give the size of each label."""
    return {x: d for f in factors for x, d in zip(f.labels, f.atom.shape, strict=True) if x is not None}
