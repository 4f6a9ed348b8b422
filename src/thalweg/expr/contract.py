"""The order of contractions: nested products become products of two operands each, in the cheapest order.

A root, with the einsums, transposes, sums, products and scalings below it that nothing else uses, is one product of
many factors: what is multiplied does not depend on the order, what it costs does. A chain of matrices times a vector is
then evaluated from the vector's side, and X' diag(d) X as (d * X)' X. A root is rewritten only where that takes fewer
operations, or as many and less memory, and never with an array larger than those that the original held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thalweg.expr.cost import Cost, Sized, cost, is_view, node_flops
from thalweg.expr.flops import NOMINAL
from thalweg.expr.namespace import dimension
from thalweg.expr.node import Node, build, constant, is_constant
from thalweg.expr.products import canonical
from thalweg.expr.rewriting import is_identity
from thalweg.expr.rows import NUMBERS, Dimension, Shape
from thalweg.expr.walk import resolve, topological

MOST_FACTORS = 40  # opt_einsum's letters end at 52, and nobody writes longer products of distinct tensors
_PRODUCTS = frozenset({"einsum", "transpose", "sum", "mul", "neg", "div", "reshape", "broadcast_to"})
_SUMMING = frozenset({"einsum", "sum"})
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

Label = int | None  # None: an axis of size 1, which no factor needs to carry


@dataclass(slots=True)
class _Product:
    """A sum of products: factors with one label an axis, summed over every label that the output does not have."""

    out: tuple[Label, ...]
    sizes: dict[int, Dimension] = field(default_factory=dict)
    factors: list[tuple[Node, tuple[Label, ...]]] = field(default_factory=list)
    numbers: list[Any] = field(default_factory=list)
    scalars: list[Node] = field(default_factory=list)
    inlined: list[Node] = field(default_factory=list)

    def fresh(self, size: Dimension) -> Label:
        """Make a label for an axis."""
        if size == 1:
            return None
        label = len(self.sizes)
        self.sizes[label] = size
        return label


@dataclass(frozen=True, slots=True)
class Order:
    """What reordering contractions does to some expressions.

    Attributes:
        outputs: The expressions, reordered.
        before: Their cost as they were.
        after: Their cost now.

    """

    outputs: tuple[Node, ...]
    before: Cost
    after: Cost

    @property
    def saved(self) -> int:
        """Operations that the new order saves."""
        return self.before.flops - self.after.flops

    def __str__(self) -> str:
        share = self.saved / self.before.flops if self.before.flops else 0.0
        return (
            f"{self.before.flops:,} operations as written, {self.after.flops:,} in the best order: "
            f"{self.saved:,} saved ({share:.1%})\n\n{self.after}"
        )


def explain_order(outputs: Node | Sequence[Node], dimensions: Mapping[str, int] | None = None) -> Order:
    """Reorder the contractions of some expressions and say what that saves.

    Args:
        outputs: One expression or several.
        dimensions: The size of each symbolic dimension.

    Returns:
        The record, which prints as a short report.

    """
    nodes = [outputs] if isinstance(outputs, Node) else list(outputs)
    better = reorder(nodes, dimensions)
    return Order(tuple(better), cost(nodes, dimensions), cost(better, dimensions))


def reorder(outputs: Sequence[Node], dimensions: Mapping[str, int] | None = None) -> list[Node]:
    """Rebuild expressions with their contractions in the cheapest order (see the module text).

    Args:
        outputs: Lazy expressions.
        dimensions: Sizes of symbolic dimensions to compare orders for; 1000 where none is given.

    Returns:
        Expressions of equal value, up to rounding. What was shared still is.

    """
    nodes = list(outputs)
    while True:  # each round takes fewer operations or less memory, so there is a last one
        better = _reorder_once(nodes, dimensions or {})
        if all(a is b for a, b in zip(nodes, better, strict=True)):
            return nodes
        nodes = better


def _reorder_once(outputs: Sequence[Node], dimensions: Mapping[str, int]) -> list[Node]:
    order = topological(outputs)
    sizes = {d: NOMINAL for node in order for d in node.shape if isinstance(d, str)} | dict(dimensions)
    uses: dict[Node, int] = {}
    for x in [*outputs, *[x for node in order for x in node.inputs]]:
        uses[x] = uses.get(x, 0) + 1
    summing: set[Node] = set()  # what a product with a sum in it may be rooted at; the rest need not be looked at
    for node in order:
        if node.op in _SUMMING or node.op in _PRODUCTS and any(x in summing and uses[x] == 1 for x in node.inputs):
            summing.add(node)
    plans: dict[Node, _Product | None] = {}
    settled: set[Node] = set()  # within a product whose order is already the cheapest, so that of its parts is, too
    needed = set(outputs)
    for node in reversed(order):
        if node not in needed:
            continue
        plans[node] = None
        if node in summing and node not in settled and node.value is None:
            product = _flatten(node, uses)
            pays = None if product is None else _pays(node, product, sizes)
            if pays:
                plans[node] = product
            elif pays is False and product is not None:
                settled.update(product.inlined)
        chosen = plans[node]
        needed.update([x for x, _ in chosen.factors] + chosen.scalars if chosen is not None else node.inputs)
    known: dict[Node, Node] = {}
    for node in order:
        if node in needed:
            chosen = plans[node]
            if chosen is not None:
                known[node] = _emit(node, chosen, known, sizes)
            elif any(known[x] is not x for x in node.inputs):
                known[node] = build(node.op, *[known[x] for x in node.inputs], params=node.params)
            else:
                known[node] = node
    return [known[node] for node in outputs]


def _flatten(root: Node, uses: Mapping[Node, int]) -> _Product | None:
    """Collect the factors below a root; None where there is nothing to reorder."""
    product = _Product(())
    product.out = tuple([product.fresh(d) for d in root.shape])
    stack = [(root, product.out)]
    while stack:
        node, labels = stack.pop()
        if is_constant(node) and node.value.__class__ in NUMBERS:
            product.numbers.append(node.value)
            continue
        alone = node is root or uses[node] == 1
        room = len(product.factors) + len(stack) < MOST_FACTORS and len(product.sizes) < len(_LETTERS) - 8
        inner = _operands(node, labels, product) if alone and room and node.value is None else None
        if inner is not None:
            product.inlined.append(node)
            stack.extend(reversed(inner))
        elif not node.shape:
            product.scalars.append(node)
        else:
            product.factors.append((node, labels))
    return product if len(product.sizes) <= len(_LETTERS) and _contract_deltas(product) else None


def _operands(node: Node, labels: tuple[Label, ...], product: _Product) -> list[tuple[Node, tuple[Label, ...]]] | None:
    """Read one operation as part of a product: its operands with their labels, or None if it is none."""
    op, shape = node.op, node.shape
    if op == "einsum":
        terms, out = node.params[0].split("->")
        named: dict[str, Label] = dict(zip(out, labels, strict=True))
        operands = []
        for x, term in zip(node.inputs, terms.split(","), strict=True):
            for letter, size in zip(term, x.shape, strict=True):
                if letter not in named:
                    named[letter] = product.fresh(size)
            operands.append((x, tuple([named[c] for c in term])))
        return operands
    if op not in _PRODUCTS:
        return None
    x = node.inputs[0]
    if op == "transpose":
        moved: list[Label] = [None] * len(labels)
        for label, axis in zip(labels, node.params[0], strict=True):
            moved[axis] = label
        return [(x, tuple(moved))]
    if op == "sum":
        axes, keepdims = node.params
        kept = iter([label for i, label in enumerate(labels) if not keepdims or i not in axes])
        return [(x, tuple([product.fresh(d) if i in axes else next(kept) for i, d in enumerate(x.shape)]))]
    if op in ("mul", "broadcast_to"):
        return [(i, _aligned(i.shape, shape, labels)) for i in node.inputs]
    if op == "neg":
        product.numbers.append(-1)
        return [(x, labels)]
    if op == "div" and is_constant(node.inputs[1]) and node.inputs[1].value:
        product.numbers.append(1.0 / node.inputs[1].value)
        return [(x, labels)]
    if op == "reshape" and [d for d in x.shape if d != 1] == [d for d in shape if d != 1]:
        carried = iter([label for label, d in zip(labels, shape, strict=True) if d != 1])
        return [(x, tuple([None if d == 1 else next(carried) for d in x.shape]))]
    return None


def _aligned(shape: Shape, target: Shape, labels: tuple[Label, ...]) -> tuple[Label, ...]:
    """Give the labels of an operand that broadcasts to ``target``."""
    offset = len(target) - len(shape)
    return tuple([None if d == 1 else labels[offset + i] for i, d in enumerate(shape)])


def _contract_deltas(product: _Product) -> bool:
    """Replace identity matrices by one label in place of two; leave those that the output itself shows."""
    renamed: dict[Label, Label] = {}

    def current(label: Label) -> Label:
        while label in renamed:
            label = renamed[label]
        return label

    kept = []
    for x, labels in product.factors:
        if is_identity(x):
            a, b = current(labels[0]), current(labels[1])
            if a == b:
                continue
            gone, stays = (b, a) if b not in product.out else (a, b)
            if gone is not None and gone not in product.out:
                renamed[gone] = stays
                del product.sizes[gone]
                continue
        kept.append((x, labels))
    product.factors = [(x, tuple([current(label) for label in labels])) for x, labels in kept]
    return bool(product.factors)


@dataclass(frozen=True, slots=True)
class _Steps:
    """How a product is evaluated: lone sums first, then two factors at a time; terms as texts of letters."""

    terms: list[str]  # of the factors, size-1 axes squeezed
    first: list[str]  # of the factors once diagonals are taken and lone axes summed
    pairs: list[tuple[int, int, str]]  # positions in the list of terms; the result goes to its end
    out: str
    counts: list[Dimension]  # sizes of summed labels that no factor carries


def _plan(product: _Product, dimensions: Mapping[str, int]) -> _Steps:
    sizes = {_LETTERS[i]: d if isinstance(d, int) else dimensions[d] for i, d in product.sizes.items()}
    terms = ["".join([_LETTERS[i] for i in labels if i is not None]) for _, labels in product.factors]
    carried = set("".join(terms))
    out = "".join([_LETTERS[i] for i in product.out if i is not None and _LETTERS[i] in carried])
    summed = {_LETTERS[i] for i in product.sizes if i not in product.out} - carried
    first = list(terms)
    for i, term in enumerate(terms if len(terms) > 1 else []):
        others = out + "".join(terms[:i] + terms[i + 1 :])
        first[i] = "".join([c for c in dict.fromkeys(term) if c in others])
    pairs = []
    live = list(first)
    for a, b in _path(live, out, sizes):
        rest = [t for i, t in enumerate(live) if i not in (a, b)]
        result = _result(live[a], live[b], out, rest)
        pairs.append((a, b, result))
        live = [*rest, result]
    return _Steps(terms, first, pairs, out, [product.sizes[_LETTERS.index(c)] for c in sorted(summed)])


def _path(terms: Sequence[str], out: str, sizes: Mapping[str, int]) -> list[tuple[int, int]]:
    if len(terms) < 2:
        return []
    if len(terms) == 2:
        return [(0, 1)]
    import opt_einsum

    shapes = [tuple([sizes[c] for c in term]) for term in terms]
    way = "optimal" if len(terms) <= 6 else "dp" if len(terms) <= 20 else "auto"
    path, _ = opt_einsum.contract_path(",".join(terms) + "->" + out, *shapes, shapes=True, optimize=way)
    return [(min(pair), max(pair)) for pair in path]


def _result(left: str, right: str, out: str, rest: Sequence[str]) -> str:
    """Name the axes of an intermediate product: shared ones first, then as the operands have them."""
    needed = set(out).union(*rest)
    if not rest:
        return out
    kept = [c for c in dict.fromkeys(left + right) if c in needed]
    if set(left) >= set(right) or set(right) >= set(left):
        larger = left if len(left) >= len(right) else right
        return "".join([c for c in larger if c in needed])  # the larger operand stays as it lies in memory
    both = [c for c in kept if c in left and c in right]
    return "".join(both + [c for c in kept if c not in both])


def _pays(root: Node, product: _Product, dimensions: Mapping[str, int]) -> bool | None:
    """Say whether the new order takes fewer operations, or as many and less memory; None if it may not be taken."""
    if len(product.inlined) == 1 and len(root.inputs) < 3:
        return None
    leaves = {x: x for x in [*[x for x, _ in product.factors], *product.scalars]}
    better = _emit(root, product, leaves, dimensions)
    if better.kind != root.kind:
        return None
    flops, largest, total = _measure(product.inlined, dimensions)
    made = [x for x in topological([better], stop=leaves) if x not in leaves]
    new_flops, new_largest, new_total = _measure(made, dimensions)
    largest = max([largest, *[math.prod(resolve(x.shape, dimensions)) for x in leaves]])
    if new_largest > largest:
        return None
    if new_flops > flops:
        return False
    many = any(node.op == "einsum" and len(node.inputs) > 2 for node in product.inlined)
    return many or (new_flops, new_total) < (flops, total)


def _measure(nodes: Sequence[Node], dimensions: Mapping[str, int]) -> tuple[int, int, int]:
    """Count operations, the entries of the largest array, and all entries that some nodes compute."""
    flops, made = 0, [0]
    for node in nodes:
        if node.inputs and not is_view(node):
            sized = _sized(node, dimensions)
            flops += node_flops(sized)
            made.append(math.prod(sized.shape))
    return flops, max(made), sum(made)


def _sized(node: Node, dimensions: Mapping[str, int]) -> Sized:
    inputs = tuple([Sized(x.op, (), x.params, resolve(x.shape, dimensions), x.kind) for x in node.inputs])
    return Sized(node.op, inputs, node.params, resolve(node.shape, dimensions), node.kind)


def _emit(root: Node, product: _Product, known: Mapping[Node, Node], dimensions: Mapping[str, int]) -> Node:
    """Build a product in the order that was found."""
    steps = _plan(product, dimensions)
    live = []
    for (x, labels), term, first in zip(product.factors, steps.terms, steps.first, strict=True):
        squeezed = tuple([d for d, label in zip(x.shape, labels, strict=True) if label is not None])
        node = known[x] if squeezed == x.shape else build("reshape", known[x], params=(squeezed,))
        live.append((_single(node, term, first), first))
    scale = _scale(product, steps.counts, known)
    # The numbers go to the smallest of the arrays, the result before the rest.
    terms = [*steps.first, *[result for _, _, result in steps.pairs], steps.out]
    volumes = [math.prod([_size(product, c, dimensions) for c in term]) for term in terms]
    scaled = -1 if scale is None else len(volumes) - 1 - volumes[::-1].index(min(volumes))

    def placed(position: int, node: Node) -> Node:
        return build("mul", scale, node) if position == scaled else node

    live = [(placed(i, node), term) for i, (node, term) in enumerate(live)]
    for step, (a, b, result) in enumerate(steps.pairs):
        pair = placed(len(steps.first) + step, _pair(live[a], live[b], result))
        live = [*[x for i, x in enumerate(live) if i not in (a, b)], (pair, result)]
    ((node, term),) = live
    return _laid_out(placed(len(terms) - 1, _single(node, term, steps.out)), steps.out, root, product)


def _size(product: _Product, letter: str, dimensions: Mapping[str, int]) -> int:
    size = product.sizes[_LETTERS.index(letter)]
    return size if isinstance(size, int) else dimensions[size]


def _scale(product: _Product, counts: Sequence[Dimension], known: Mapping[Node, Node]) -> Node | None:
    """Give the product of all numbers and scalars; None for 1."""
    number = math.prod([*product.numbers, *[d for d in counts if isinstance(d, int)]])
    total: Node | None = None if number == 1 else constant(number)
    for x in [*[known[s] for s in product.scalars], *[dimension(d) for d in counts if isinstance(d, str)]]:
        total = x if total is None else build("mul", total, x)
    return total


def _single(node: Node, term: str, out: str) -> Node:
    """Build a diagonal, sum or transposition of one operand."""
    if term == out:
        return node
    if len(set(term)) < len(term):
        return build("einsum", node, params=(canonical(f"{term}->{out}"),))
    gone = tuple([i for i, c in enumerate(term) if c not in out])
    if gone:
        node = build("sum", node, params=(gone, False))
    left = [c for c in term if c in out]
    axes = tuple([left.index(c) for c in out])
    return node if axes == tuple(range(len(axes))) else build("transpose", node, params=(axes,))


def _pair(a: tuple[Node, str], b: tuple[Node, str], result: str) -> Node:
    """Build a product of two operands; one that sums nothing and only scales rows or columns is a `mul`."""
    (x, left), (y, right) = a, b
    if set(left) == set(result) and set(right) <= set(left) or set(right) == set(result) and set(left) <= set(right):
        return build("mul", _opened(x, left, result), _opened(y, right, result))
    return build("einsum", x, y, params=(canonical(f"{left},{right}->{result}"),))


def _opened(node: Node, term: str, result: str) -> Node:
    """Lay an operand's axes out as the result's, with size 1 where it has none."""
    node = _single(node, term, "".join([c for c in result if c in term]))
    sizes = iter(node.shape)
    start = min([i for i, c in enumerate(result) if c in term], default=len(result))
    target = tuple([next(sizes) if c in term else 1 for c in result[start:]])
    return node if target == node.shape else build("reshape", node, params=(target,))


def _laid_out(node: Node, out: str, root: Node, product: _Product) -> Node:
    """Give the result the root's axes, those of size 1 and those that are only repeated included."""
    if node.shape != root.shape:
        opened = tuple([d if i is not None and _LETTERS[i] in out else 1
                        for i, d in zip(product.out, root.shape, strict=True)])  # fmt: skip
        if node.shape != opened:
            node = build("reshape", node, params=(opened,))
        if opened != root.shape:
            node = build("broadcast_to", node, params=(root.shape,))
    return node
