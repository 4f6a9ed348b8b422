"""Formulas as text, first step: characters become tokens, and tokens a list of items with their places in the text.

The notation is that of the printed derivatives. Tightest first: the transpose `'`, `^` and `.^`, read left to right,
the exponent being one atom or call with an optional sign (X^-1' is (X^-1)'); then the sign (-x^2 is -(x^2)); then `*`,
`/`, `.*`, `./`, left to right; then `+` and `-`. A number has digits before its dot and after it, so that `1./x` is
1 ./ x. There is no implicit product. [x+y; x-y] stacks rows, [1, 1; 1, -1] has entries in its rows.

Items stand in one list, each after its parts, so that whatever is done with a formula later is a loop and not a
recursion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from thalweg.core.errors import InputError

TOKEN = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[^\W\d]\w*)|(?P<sign>\.\*|\./|\.\^|[-+*/^'(),;\[\]])|(?P<space>\s+)"
)
SIZED = {"eye": 0, "vector": 1, "matrix": 1}
"""Makers of arrays of equal entries and of identities: how many values stand before the sizes."""
SIZES_OF = {"eye": 1, "vector": 1, "matrix": 2}
NESTED = 100
"""Parentheses within each other; Python's own stack ends at about a thousand calls."""
EXACT = 2.0**53
"""Whole numbers from here on are floating: not all of them can be told apart any more."""
WIDTH = 100
"""Characters of a formula that a message shows."""

_INSTEAD = {
    "@": "write * for the product of matrices",
    "=": "give one side alone: a formula is a value",
    "<": "comparisons are not part of the notation",
    ">": "comparisons are not part of the notation",
    "{": "write ( and )",
    "}": "write ( and )",
    "|": "write abs(...), det(...), norm1(...), norm2(...) or normF(...)",
    "!": "factorials are not part of the notation",
    "²": "write ^2",
    "³": "write ^3",
    "ᵀ": "write ' for the transpose",
    "⊤": "write ' for the transpose",
    "’": "write ' for the transpose",
    "′": "write ' for the transpose",
    "·": "write * for a product, .* for one entry by entry",
    "×": "write * for a product, .* for one entry by entry",
    "⊙": "write .* for a product entry by entry",
    "∘": "write .* for a product entry by entry",
    "⊗": "write kron(A,B)",
    "−": "write - for minus",
    "√": "write sqrt(...)",
    "∑": "write sum(...)",
    "\\": "write inv(A)*b for A\\b",
    "%": "write 0.05 for 5%",
    "&": "there are no truth values in the notation",
    "#": "there are no comments in the notation",
    ":": "there are no slices in the notation",
    "$": "give the formula without the signs of LaTeX",
}

_ELSEWHERE = {
    "ln": ["log"], "log2": ["log(x)/log(2)"], "log10": ["log(x)/log(10)"], "trace": ["tr"], "Tr": ["tr"],
    "norm": ["norm2", "norm1", "normF"], "mean": ["sum(x)/n"], "dot": ["a'*b"], "outer": ["a*b'"],
    "transpose": ["x'"], "inverse": ["inv"], "Diag": ["diag"], "logistic": ["sigmoid"],
}  # fmt: skip
"""What other notations call a function: how it is written here."""


@dataclass(slots=True, eq=False)
class Item:
    """A part of a formula.

    Attributes:
        op: "number", "name", "dimension" (a name that means a size), "call", "maker" (eye, vector, matrix), "block",
            "neg" or an operator.
        at: Where in the text its sign or name stands.
        start: Where it begins in the text.
        end: Where it ends.
        parts: Places of its parts in the list.
        value: The number, or the name; how many entries each row of a block has.
        sizes: Of a maker: for each axis names and numbers, whose product it is, and where they stand.

    """

    op: str
    at: int
    start: int
    end: int
    parts: tuple[int, ...] = ()
    value: Any = None
    sizes: list[list[tuple[int | str, int]]] = field(default_factory=list)


def fail(text: str, at: int, problem: str, remedy: str) -> NoReturn:
    """Raise an error that shows the formula and points at a character.

    Args:
        text: The formula.
        at: The character, counted from 0.
        problem: What is wrong there.
        remedy: What to do.

    Raises:
        InputError: always.

    """
    first = max(0, at - WIDTH // 2)
    shown = re.sub(r"\s", " ", text[first : first + WIDTH])
    before, after = "..." * (first > 0), "..." * (first + WIDTH < len(text))
    marker = " " * (len(before) + at - first) + "^"
    place = f"at character {at + 1} of the formula\n  {before}{shown}{after}\n  {marker}\n"
    raise InputError(place + problem, remedy)


def read(text: str, functions: Any) -> list[Item]:
    """Read a formula.

    Args:
        text: The formula.
        functions: Names of the functions there are, with how many arguments each takes.

    Returns:
        Its items; the last one is the whole.

    Raises:
        InputError: where the text is no formula; the message points at the character.

    """
    if not isinstance(text, str):
        raise InputError(f"a formula is a text, not {type(text).__name__}", 'write it as in "x\'*A*x"')
    reader = _Reader(text, functions)
    reader.sum()
    if reader.token:
        reader.left_over()
    return reader.items


class _Reader:
    """Reads tokens from left to right; each method gives the place in the list of the item that it read."""

    def __init__(self, text: str, functions: Any) -> None:
        self.text = text
        self.functions = functions
        self.items: list[Item] = []
        self.tokens = _tokens(text)
        self.place = -1
        self.depth = 0
        self.token = self.kind = ""
        self.at = self.end = 0
        self.advance()

    def advance(self) -> None:
        self.place += 1
        self.end = self.at + len(self.token)
        self.token, self.kind, self.at = self.tokens[self.place]

    def add(self, op: str, at: int, start: int, *parts: int, value: Any = None) -> int:
        self.items.append(Item(op, at, start, self.end, parts, value))
        return len(self.items) - 1

    def sum(self) -> int:
        left = self.product()
        while self.token and self.token in "+-":
            left = self.binary(left, self.product)
        return left

    def product(self) -> int:
        left = self.signed()
        while self.token in ("*", "/", ".*", "./"):
            left = self.binary(left, self.signed)
        return left

    def binary(self, left: int, operand: Any) -> int:
        op, at = self.token, self.at
        self.advance()
        right = operand()
        return self.add(op, at, self.items[left].start, left, right)

    def signed(self) -> int:
        return self.behind_signs(self.powers)

    def behind_signs(self, operand: Any) -> int:
        signs = []
        while self.token == "-":
            signs.append(self.at)
            self.advance()
        item: int = operand()
        for at in reversed(signs):
            item = self.add("neg", at, at, item)
        return item

    def powers(self) -> int:
        item = self.atom()
        while self.token in ("'", "^", ".^"):
            if self.token == "'":
                at, start = self.at, self.items[item].start
                self.advance()
                item = self.add("'", at, start, item)
            else:
                item = self.binary(item, lambda: self.behind_signs(self.atom))
        return item

    def atom(self) -> int:
        at, token, kind = self.at, self.token, self.kind
        if kind == "number":
            self.advance()
            value = float(token)
            if value == float("inf"):
                fail(self.text, at, f"the number {token[:30]} is too large", "give at most 1.7e308")
            if value < EXACT and not set(token) & set(".eE"):
                value = int(token)
            return self.add("number", at, at, value=value)
        if kind == "name":
            self.advance()
            if self.token == "(" or token in SIZED:
                return self.call(token, at)
            if token in self.functions:
                fail(self.text, at, f"{token} is a function and has no argument here", f"write {token}(...)")
            return self.add("name", at, at, value=token)
        if token == "(":
            self.deeper()
            self.advance()
            item = self.sum()
            self.close(")", at)
            self.items[item].start, self.items[item].end = at, self.end
            self.depth -= 1
            return item
        if token == "[":
            return self.block()
        return self.no_operand()

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > NESTED:
            fail(self.text, self.at, f"more than {NESTED} parentheses within each other", "name parts of the formula")

    def close(self, mark: str, opened: int) -> None:
        if self.token == mark:
            self.advance()
            return
        if not self.token:
            opening = self.text[opened]
            fail(self.text, opened, f"this {opening!r} is never closed", f"add {mark!r}")
        if self.token in (")", "]"):
            shown = f"{mark!r} was expected, not {self.token!r}"
            fail(self.text, self.at, shown, f"close {self.text[opened]!r} of character {opened + 1} first")
        self.left_over(f"an operator or {mark!r}")

    def call(self, name: str, at: int) -> int:
        if name not in self.functions and name not in SIZED:
            import difflib

            close = _ELSEWHERE.get(name) or difflib.get_close_matches(name, [*self.functions, *SIZED], 1)
            known = f"functions are {', '.join([*self.functions, *SIZED])}"
            remedy = f"did you mean {' or '.join(close)}" if close else known
            fail(self.text, at, f"{name} is no function", f"{remedy}; for a product write {name}*(...)")
        arguments: list[int] = []
        if self.token == "(":
            opened = self.at
            self.deeper()
            self.advance()
            while self.token != ")" or arguments:
                arguments.append(self.sum())
                if self.token != ",":
                    break
                self.advance()
            self.close(")", opened)
            self.depth -= 1
        if name in SIZED:
            return self.maker(name, at, arguments)
        wanted = self.functions[name].arguments
        if len(arguments) != wanted:
            given = f"{len(arguments)} argument{'s' * (len(arguments) != 1)}"
            fail(self.text, at, f"{name} of {given}", f"{name} takes {wanted}: {name}({','.join('AB'[:wanted])})")
        return self.add("call", at, at, *arguments, value=name)

    def maker(self, name: str, at: int, arguments: list[int]) -> int:
        values, most = SIZED[name], SIZES_OF[name]
        form = {"eye": "eye(n)", "vector": "vector(1,n)", "matrix": "matrix(1,m,n)"}[name]
        if len(arguments) not in (values, values + most):
            remedy = f"write {form}" + f", or {form.split(',')[0].rstrip(')')}) where its neighbours fix it" * values
            fail(self.text, at, f"{name} of {len(arguments)} arguments", remedy)
        sizes: list[list[tuple[int | str, int]]] = []
        for place in reversed(arguments[values:]):
            item = self.items[place]
            factors = self.factors(place)
            if not factors:
                shown = self.text[item.start : item.end]
                fail(self.text, item.at, f"{shown} as a size of {name}", f"give a dimension's name or a number: {form}")
            for d, where in factors:
                if d == 0:
                    fail(self.text, where, f"{name} of size 0", f"give at least 1: {form}")
            sizes.insert(0, factors)
            del self.items[place - 2 * (len(factors) - 1) :]
        made = self.add("maker", at, at, *arguments[:values], value=name)
        self.items[made].sizes = sizes
        return made

    def factors(self, place: int) -> list[tuple[int | str, int]]:
        """Read an item as a product of names and whole numbers; give none where it is something else."""
        item = self.items[place]
        if item.op == "*":
            left, right = [self.factors(part) for part in item.parts]
            return [*left, *right] if left and right else []
        whole = item.op == "number" and isinstance(item.value, int)
        return [(item.value, item.at)] if item.op == "name" or whole else []

    def block(self) -> int:
        opened = self.at
        self.deeper()
        self.advance()
        parts, lengths = [self.sum()], [1]
        while self.token in (",", ";"):
            mark = self.token
            self.advance()
            parts.append(self.sum())
            if mark == ",":
                lengths[-1] += 1
            else:
                lengths.append(1)
        self.close("]", opened)
        self.depth -= 1
        return self.add("block", opened, opened, *parts, value=tuple(lengths))

    def no_operand(self) -> NoReturn:
        """Explain why something else than an operand stands here."""
        needed = "a number, a name, a function or a parenthesis"
        if not self.token:
            if not self.text.strip():
                fail(self.text, 0, "the formula is empty", 'write one, such as "x\'*A*x"')
            end = len(self.text.rstrip())
            fail(self.text, end, f"the formula ends where {needed} was expected", "complete it")
        if self.token == "*" and self.text[self.at - 1 : self.at] == "*":
            fail(self.text, self.at - 1, "** is no operator", "write ^ for a power, .^ for one entry by entry")
        if self.token == "+":
            fail(self.text, self.at, f"{needed} was expected, not '+'", "leave the sign out")
        if self.token == "]" or self.token == ")":
            fail(self.text, self.at, f"{needed} was expected, not {self.token!r}", "complete what stands before it")
        fail(self.text, self.at, f"{needed} was expected, not {self.token!r}", "give both sides of each operator")

    def left_over(self, expected: str = "an operator or the end of the formula") -> NoReturn:
        """Explain why nothing can stand here."""
        if self.kind in ("number", "name") or self.token in ("(", "["):
            fail(self.text, self.at, f"{expected} was expected, not {self.token!r}", "write the product's * out")
        if self.token in (")", "]"):
            fail(self.text, self.at, f"this {self.token!r} closes nothing", "remove it, or open it before")
        fail(self.text, self.at, f"{expected} was expected, not {self.token!r}",
             "commas and semicolons stand between arguments and in [ ] alone")  # fmt: skip


def _tokens(text: str) -> list[tuple[str, str, int]]:
    """Cut a text into (token, kind, place); an empty one marks the end."""
    tokens = []
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            _unknown_character(text, at)
        if match.lastgroup == "name" and not match[0].isascii():
            _check_letters(text, at, match[0])
        if match.lastgroup != "space":
            tokens.append((match[0], str(match.lastgroup), at))
        at = match.end()
    tokens.append(("", "end", len(text.rstrip())))
    return tokens


def _check_letters(text: str, at: int, name: str) -> None:
    """Refuse letters that look like exponents and transposes: a name with one would hide what is meant."""
    import unicodedata

    for i, character in enumerate(name):
        if character != "_" and unicodedata.category(character) not in ("Lu", "Ll", "Lo", "Nd"):
            _unknown_character(text, at + i)
    if not name.isidentifier():
        fail(text, at, f"{name!r} is no name", "use letters, digits and _")


def _unknown_character(text: str, at: int) -> NoReturn:
    character, following = text[at], text[at + 1 : at + 2]
    if character == ".":
        if following in ("T", "t"):
            fail(text, at, "'.' cannot stand here", "write ' for the transpose")
        if following in ("+", "-", "'"):
            fail(text, at, f"'.{following}' is no operator", f"write {following}")
        fail(text, at, "'.' cannot stand here", "a number has digits before its dot and after it: 0.5, 1.0")
    remedy = _INSTEAD.get(character, "use letters, digits, + - * / ^ ' .* ./ .^ ( ) [ ] , and ;")
    fail(text, at, f"{character!r} is not part of the notation", remedy)
