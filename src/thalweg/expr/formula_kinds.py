"""Formulas, second step: which names are scalars, vectors or matrices, where nobody has said so.

Use decides first: x'*A*x with a vector x leaves nothing but a matrix for A. Among the readings that use allows, those
are taken that go against the fewest habits: lower-case names are scalars or vectors, upper-case ones matrices; what is
transposed, summed or multiplied entry by entry is not a scalar, what is inverted is a matrix, and what a matrix or row
is multiplied by is not a scalar. A lower-case name that no habit speaks about is a scalar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from thalweg.expr.formula import Item
from thalweg.expr.formula_functions import ANY, COLUMN, FUNCTIONS, KINDS, MATRIX, ROW, SCALAR, SLIGHT, Function

IMPOSSIBLE = 100
"""The cost of an operation that no reading of its parts allows: more than all habits together."""
LOWER = ((SCALAR, 0), (COLUMN, 1), (MATRIX, 10))
UPPER = ((MATRIX, 0), (SCALAR, 10), (COLUMN, 11))
PASSES = 1500
"""Readings that are tried at most; every formula met so far took fewer than 200."""

Pairs = dict[tuple[int, int], int]


def _products() -> Pairs:
    allowed = {(MATRIX, COLUMN): COLUMN, (ROW, MATRIX): ROW, (ROW, COLUMN): SCALAR, (MATRIX, MATRIX): MATRIX,
               (COLUMN, ROW): MATRIX}  # fmt: skip
    return allowed | {(SCALAR, k): k for k in KINDS} | {(k, SCALAR): k for k in KINDS}


_EQUAL: Pairs = {(k, k): k for k in KINDS}
_SCALED: Pairs = _EQUAL | {(SCALAR, k): k for k in KINDS} | {(k, SCALAR): k for k in KINDS}
PAIRS: dict[str, Pairs] = {
    "+": _EQUAL,
    "-": _EQUAL,
    "*": _products(),
    "/": {(k, SCALAR): k for k in KINDS},
    ".*": _SCALED,
    "./": _SCALED,
    ".^": _SCALED,
    "^": {(SCALAR, SCALAR): SCALAR, (MATRIX, SCALAR): MATRIX},
}
"""What each operator makes of two kinds; what is not listed is an error."""


def _of_sets(pairs: Pairs) -> list[list[int]]:
    """Extend a table of kinds to sets of kinds."""
    table = [[0] * (ANY + 1) for _ in range(ANY + 1)]
    for i in range(1, ANY + 1):
        for j in range(1, ANY + 1):
            if i & (i - 1):  # several kinds: the lowest, and the rest
                table[i][j] = table[i & -i][j] | table[i & (i - 1)][j]
            elif j & (j - 1):
                table[i][j] = table[i][j & -j] | table[i][j & (j - 1)]
            else:
                table[i][j] = pairs.get((i, j), 0)
    return table


_TABLES = {op: _of_sets(pairs) for op, pairs in PAIRS.items()}
_TURNED = [i & (SCALAR | MATRIX) | (ROW if i & COLUMN else 0) | (COLUMN if i & ROW else 0) for i in range(ANY + 1)]
_KRON = _of_sets(
    {
        (a, b): c
        for a in KINDS
        for b in KINDS
        for c in [next(k for k in KINDS if (k in (COLUMN, MATRIX)) == (a in (COLUMN, MATRIX) or b in (COLUMN, MATRIX))
                       and (k in (ROW, MATRIX)) == (a in (ROW, MATRIX) or b in (ROW, MATRIX)))]
    }
)  # fmt: skip


def _results(function: Function) -> list[int]:
    found = [0] * (ANY + 1)
    for i in range(ANY + 1):
        for argument, result in function.kinds.items():
            found[i] |= result if i & argument else 0
    return found


_RESULTS = {name: _results(f) for name, f in FUNCTIONS.items()}


def block_kinds(parts: Sequence[int], lengths: Sequence[int]) -> int:
    """Give the kinds that a block of parts of these kinds may have, row after row; 0 if the parts do not fit.

    Args:
        parts: Sets of kinds.
        lengths: How many of them stand in each row.

    Returns:
        A set of kinds.

    """
    tall = wide = 3  # bit 1: has no such axis; bit 2: has one
    place = 0
    for n in lengths:
        row = parts[place : place + n]
        place += n
        heights = 3
        for k in row:
            heights &= (1 if k & (SCALAR | ROW) else 0) | (2 if k & (COLUMN | MATRIX) else 0)
        if not heights:
            return 0
        tall &= heights if len(lengths) == 1 else 3
        if max(lengths) == 1:
            wide &= (1 if row[0] & (SCALAR | COLUMN) else 0) | (2 if row[0] & (ROW | MATRIX) else 0)
    tall = tall if len(lengths) == 1 else 2
    wide = wide if max(lengths) == 1 else 2
    return (
        (SCALAR if tall & 1 and wide & 1 else 0)
        | (COLUMN if tall & 2 and wide & 1 else 0)
        | (ROW if tall & 1 and wide & 2 else 0)
        | (MATRIX if tall & 2 and wide & 2 else 0)
    )


def _judged(items: Sequence[Item], names: Mapping[str, int]) -> int:
    """Give what a reading costs, each name being one of a set of kinds: a bound from below for single kinds."""
    found: list[int] = []
    cost = 0
    for item in items:
        op, parts = item.op, item.parts
        if op == "name":
            kinds = names[item.value]
        elif op == "number" or op == "dimension":
            kinds = SCALAR
        elif op in _TABLES:
            a, b = found[parts[0]], found[parts[1]]
            kinds = _TABLES[op][a][b]
            if op == "*":
                if b == SCALAR and not a & (SCALAR | COLUMN):
                    cost += SLIGHT
            elif op[0] == "." and (kinds == SCALAR or op != ".^" and (a == SCALAR or b == SCALAR)):
                cost += SLIGHT
        elif op == "'":
            kinds = found[parts[0]]
            if kinds == SCALAR:
                cost += SLIGHT
            kinds = _TURNED[kinds]
        elif op == "neg":
            kinds = found[parts[0]]
        elif op == "maker":
            kinds = COLUMN if item.value == "vector" else MATRIX
            if parts and not found[parts[0]] & SCALAR:
                cost += IMPOSSIBLE
        elif op == "block":
            kinds = block_kinds([found[p] for p in parts], item.value)
        else:
            function = FUNCTIONS[item.value]
            a = found[parts[0]]
            kinds = _KRON[a][found[parts[1]]] if len(parts) == 2 else _RESULTS[item.value][a]
            if not a & function.prefers:
                cost += function.weight
        if not kinds:
            cost += IMPOSSIBLE
            kinds = ANY
        found.append(kinds)
    return cost


def choose_kinds(items: Sequence[Item], known: Mapping[str, int], matrices: Sequence[str] = ()) -> dict[str, int]:
    """Choose a kind for each name that has none.

    Args:
        items: The formula.
        known: Kinds of the declared names.
        matrices: Names that must be matrices, since their attributes say so.

    Returns:
        A kind for every name of the formula. Where no reading fits, one that fits nearly.

    """
    kinds = dict(known)
    open_names: list[str] = []
    for item in items:
        if item.op == "name" and item.value not in kinds:
            kinds[item.value] = MATRIX if item.value in matrices else SCALAR | COLUMN | MATRIX
            if item.value not in matrices:
                open_names.append(item.value)
    if not open_names:
        return kinds
    best: list[tuple[int, dict[str, int]]] = []
    passes = 0

    def descend(place: int, habit: int) -> None:
        nonlocal passes
        if place == len(open_names):
            best[:] = [(habit + _judged(items, kinds), dict(kinds))]
            return
        name = open_names[place]
        before = kinds[name]
        options = []
        for kind, price in UPPER if name[0].isupper() else LOWER:
            kinds[name] = kind
            options.append((habit + price + _judged(items, kinds), price, kind))
            passes += 1
        for bound, price, kind in sorted(options, key=lambda option: option[0]):
            if (not best or bound < best[0][0]) and (passes < PASSES or not best):
                kinds[name] = kind
                descend(place + 1, habit + price)
        kinds[name] = before

    descend(0, 0)
    return best[0][1]
