"""The notation of the known answers, evaluated on torch tensors: an oracle that shares no code with Thalweg.

Every value is a matrix: scalars are 1 x 1, vectors are columns. `Fill` is a `vector(c)` or `matrix(c)` whose size its
neighbours fix. Strict on purpose: what the notation does not allow raises `ValueError`.
"""

import re
from dataclasses import dataclass, replace

import torch

TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[A-Za-z]\w*|\.\*|\./|\.\^|[-+*/^'(),;\[\]])")


@dataclass(frozen=True)
class Fill:
    """Equal entries, as a column, a row or a matrix of a size still open."""

    entry: torch.Tensor
    shape: str


def scalar(value):
    return torch.as_tensor(value, dtype=torch.float64).reshape(1, 1)


def whole(value):
    if value.numel() != 1 or value.item() != round(value.item()):
        raise ValueError(f"a whole number is needed, not {value}")
    return round(value.item())


def checked(condition, what, *values):
    if not condition:
        raise ValueError(f"{what}: {[v.shape for v in values]}")


def square(x):
    checked(x.shape[0] == x.shape[1], "a square matrix is needed", x)
    return x


def column(x):
    checked(x.shape[1] == 1, "a column is needed", x)
    return x


def diagonal(x):
    return torch.diag(x[:, 0]) if x.shape[1] == 1 else torch.diagonal(square(x))[:, None]


ENTRYWISE = {
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    **{f: getattr(torch, f) for f in ("exp", "log", "sqrt", "sin", "cos", "tanh", "abs", "sign", "sigmoid", "relu")},
}
FUNCTIONS = {
    "inv": lambda x: torch.linalg.inv(square(x)),
    "det": lambda x: torch.linalg.det(square(x)).reshape(1, 1),
    "logdet": lambda x: torch.logdet(square(x)).reshape(1, 1),
    "tr": lambda x: torch.trace(square(x)).reshape(1, 1),
    "sum": lambda x: x.sum().reshape(1, 1),
    "norm1": lambda x: column(x).abs().sum().reshape(1, 1),
    "norm2": lambda x: torch.linalg.vector_norm(column(x)).reshape(1, 1),
    "normF": lambda x: torch.linalg.matrix_norm(x).reshape(1, 1),
    "logsumexp": lambda x: torch.logsumexp(column(x), 0).reshape(1, 1),
    "softmax": lambda x: torch.softmax(column(x), 0),
    "diag": diagonal,
    "kron": lambda a, b: torch.kron(a.contiguous(), b.contiguous()),
    "eye": lambda n: torch.eye(whole(n), dtype=torch.float64),
    "vector": lambda c, n=None: Fill(c, "column") if n is None else c.expand(whole(n), 1),
    "matrix": lambda c, m=None, n=None: Fill(c, "matrix") if n is None else c.expand(whole(m), whole(n)),
}


def transposed(x):
    return replace(x, shape={"column": "row", "row": "column"}.get(x.shape, x.shape)) if isinstance(x, Fill) else x.T


def entrywise(function, a, b, lift_scalars):
    """Apply to equal shapes; a Fill takes its neighbour's shape, and a scalar too where `lift_scalars`."""
    if isinstance(a, Fill) or isinstance(b, Fill):
        x, y = (v.entry if isinstance(v, Fill) else v for v in (a, b))
        sized = [v for v in (a, b) if not isinstance(v, Fill) and v.numel() > 1]
        fits = {"column": lambda v: v.shape[1] == 1, "row": lambda v: v.shape[0] == 1, "matrix": lambda v: True}
        fills = [v for v in (a, b) if isinstance(v, Fill)]
        checked(all(fits[f.shape](v) for f in fills for v in sized), "shapes differ", *fills, *sized)
        checked(sized or len({f.shape for f in fills}) == 1, "shapes differ", *fills)
        checked(sized or len(fills) == 2 or lift_scalars, "a scalar beside entries", *fills)
        return function(x, y) if sized else Fill(function(x, y), fills[0].shape)
    checked(a.shape == b.shape or (lift_scalars and 1 in (a.numel(), b.numel())), "shapes differ", a, b)
    return function(a, b)


def product(a, b):
    for x, y in ((a, b), (b, a)):
        if not isinstance(x, Fill) and x.numel() == 1:
            return replace(y, entry=x * y.entry) if isinstance(y, Fill) else x * y
    if isinstance(b, Fill):
        checked(not isinstance(a, Fill) and b.shape == "column", "the size stays open", a, b)
        b = b.entry.expand(a.shape[1], 1)
    if isinstance(a, Fill):
        checked(a.shape == "row", "the size stays open", a, b)
        a = a.entry.expand(1, b.shape[0])
    checked(a.shape[1] == b.shape[0], "the inner sizes differ", a, b)
    return a @ b


def quotient(a, b):
    checked(not isinstance(b, Fill) and b.numel() == 1, "a scalar divisor is needed", b)
    return product(a, 1 / b)


def power(a, b):
    checked(a.shape[0] == a.shape[1], "a scalar or a square matrix is needed", a)
    return a**b if a.numel() == 1 and b.numel() == 1 else torch.linalg.matrix_power(a, whole(b))


OPERATORS = {
    "+": lambda a, b: entrywise(torch.add, a, b, False),
    "-": lambda a, b: entrywise(torch.sub, a, b, False),
    ".*": lambda a, b: entrywise(torch.mul, a, b, True),
    "./": lambda a, b: entrywise(torch.div, a, b, True),
    ".^": lambda a, b: entrywise(torch.pow, a, b, True),
    "*": product,
    "/": quotient,
    "^": power,
}


class Reader:
    """Reads one text from left to right and computes as it goes; `names` holds symbols and dimensions."""

    def __init__(self, text, names):
        tokens, at = [], 0
        while at < len(text.rstrip()):
            match = TOKEN.match(text, at)
            if not match:
                raise ValueError(f"cannot read {text!r} at {at}")
            tokens.append(match[1])
            at = match.end()
        self.text, self.names, self.tokens = text, names, [*tokens, ""]

    def take(self, *expected):
        if (expected and self.tokens[0] not in expected) or not (expected or self.tokens[0]):
            raise ValueError(f"{self.text!r}: {self.tokens[0]!r} where one of {expected or 'many'} must stand")
        return self.tokens.pop(0)

    def chain(self, operand, operators):
        value = operand()
        while self.tokens[0] in operators:
            value = OPERATORS[self.take()](value, operand())
        return value

    def sum(self):
        return self.chain(lambda: self.chain(self.signed, ("*", "/", ".*", "./")), ("+", "-"))

    def signed(self, inner=None):
        if self.tokens[0] == "-":
            self.take()
            return product(scalar(-1), self.signed(inner))
        return (inner or self.powers)()

    def powers(self):
        value = self.atom()
        while self.tokens[0] in ("'", "^", ".^"):
            sign = self.take()
            value = transposed(value) if sign == "'" else OPERATORS[sign](value, self.signed(self.atom))
        return value

    def several(self, separator, end):
        values = [self.sum()]
        while self.take(separator, end) == separator:
            values.append(self.sum())
        return values

    def atom(self):
        token = self.take()
        if token == "(":
            value = self.sum()
            self.take(")")
            return value
        if token == "[":
            rows = [[self.sum()]]
            while (mark := self.take(",", ";", "]")) != "]":
                rows.append([self.sum()]) if mark == ";" else rows[-1].append(self.sum())
            return torch.cat([torch.cat(row, dim=1) for row in rows])
        if token in self.names:
            return self.names[token]
        if token[:1].isdigit():
            return scalar(float(token))
        self.take("(")
        values = self.several(",", ")")
        if token in ENTRYWISE:
            (x,) = values
            return replace(x, entry=ENTRYWISE[token](x.entry)) if isinstance(x, Fill) else ENTRYWISE[token](x)
        checked(token in FUNCTIONS, f"{token} is no function", *values)
        return FUNCTIONS[token](*values)


def evaluate(text, names):
    """Value of a text, a matrix; `names` maps symbols to tensors and dimensions to numbers."""
    reader = Reader(text, {k: v if isinstance(v, torch.Tensor) else scalar(v) for k, v in names.items()})
    value = reader.sum()
    reader.take("")
    checked(not isinstance(value, Fill), f"the size of {text!r} stays open", value)
    return value
