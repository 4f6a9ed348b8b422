"""A user's own operation: any Python function of arrays, with a derivative rule that stands beside it.

Three rows carry every primitive: the operation, its Jacobian times a direction, and a cotangent times its Jacobian. The
second is linear, and the third is its transpose; that makes one rule enough for both modes. Where a rule works on
nodes, being written with NumPy's or Thalweg's functions, it is built into the graph and can be differentiated again;
where it does not, it is called on arrays, and only its second derivative is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.call import materialized
from thalweg.expr.differentiate import tangents_of, transpose_linear, zeros_like
from thalweg.expr.node import Node, build, constant, is_filler, variable
from thalweg.expr.numeric_primitive import Bound, Rules
from thalweg.expr.ops_elementwise import accumulate
from thalweg.expr.rows import Op, Shape, is_tensor
from thalweg.expr.shapes import spread, unbroadcast


class Primitive:
    """A function that the derivative engine takes as one operation; make it with `primitive`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._rules = Rules(getattr(function, "__name__", type(function).__name__), function)
        self._bounds: dict[Any, Bound] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; on nodes, build one node."""
        dynamic = [isinstance(a, (Node, np.ndarray, np.generic, float)) or is_tensor(a) for a in args]
        if not any(a.__class__ is Node for a in args):
            self._refuse_hidden([*args, *kwargs.values()])
            return self._rules.function(*args, **kwargs)
        static = [None if d else a for a, d in zip(args, dynamic, strict=True)]
        self._refuse_hidden([*static, *kwargs.values()])
        arrays = [materialized(constant(a)) if not isinstance(a, Node) or is_filler(a) else a
                  for a, d in zip(args, dynamic, strict=True) if d]  # fmt: skip
        lazy = any(x.value is None for x in arrays)
        positions = tuple([i for i, d in enumerate(dynamic) if d])
        bound = self._bound(static, positions, kwargs, lazy or self._rules.shape is not None)
        return build("primitive", *arrays, params=(bound,))

    def defvjp(self, *makers: Callable[..., Any] | None, argnums: Sequence[int] | None = None) -> Primitive:
        """Give the reverse rule.

        Args:
            *makers: For each argument ``maker(ans, *args, **kwargs)``, which returns a function from the cotangent of
                the result (of its shape) to the argument's (of the argument's shape; the sum over broadcast axes may be
                left out). None says that the derivative is 0.
            argnums: Which positional arguments they are for; the first ones, if None.

        Returns:
            The primitive itself.

        """
        self._rules.vjp.update(self._numbered(makers, argnums, "defvjp"))
        return self

    def defjvp(self, *rules: Callable[..., Any] | None, argnums: Sequence[int] | None = None) -> Primitive:
        """Give the forward rule.

        Args:
            *rules: For each argument ``rule(t, ans, *args, **kwargs)``, which gives the tangent of the result (of its
                shape) for the tangent ``t`` of that argument. None says that the derivative is 0.
            argnums: Which positional arguments they are for; the first ones, if None.

        Returns:
            The primitive itself.

        """
        self._rules.jvp.update(self._numbered(rules, argnums, "defjvp"))
        return self

    def defshape(self, rule: Callable[..., Shape]) -> Primitive:
        """Say what shape the result has, which tracing has to know before the function can run.

        Args:
            rule: Takes the shapes of the arguments that are arrays, and gives the result's.

        Returns:
            The primitive itself.

        """
        self._rules.shape = rule
        self._bounds.clear()
        return self

    def __repr__(self) -> str:
        return f"<primitive {self._rules.name}>"

    def _numbered(self, rules: Sequence[Any], argnums: Sequence[int] | None, label: str) -> dict[int, Any]:
        numbers = range(len(rules)) if argnums is None else tuple(argnums)
        if len(numbers) != len(rules) or not all(r is None or callable(r) for r in rules):
            raise InputError(
                f"{label} of {self._rules.name!r} with {len(rules)} rules for {len(numbers)} arguments",
                "give a function, or None, for each",
            )
        return dict(zip(numbers, rules, strict=True))

    def _bound(self, static: Sequence[Any], positions: tuple[int, ...], kwargs: Any, promised: bool) -> Bound:
        key = (tuple(static), positions, tuple(sorted(kwargs.items())), promised, tuple(map(type, static)))
        try:
            found = self._bounds.get(key)
        except TypeError:  # an argument that cannot be hashed: every call is an operation of its own
            return Bound(self._rules, static, positions, kwargs, promised)
        if found is None:
            found = self._bounds[key] = Bound(self._rules, static, positions, kwargs, promised)
        return found

    def _refuse_hidden(self, values: Sequence[Any]) -> None:
        stack = list(values)
        while stack:
            x = stack.pop()
            if isinstance(x, Node):
                raise UnsupportedError(
                    f"the primitive {self._rules.name!r} was given a traced array inside a container or by keyword",
                    "give arrays as positional arguments of their own",
                )
            if isinstance(x, (list, tuple)):
                stack.extend(x)
            elif isinstance(x, dict):
                stack.extend(x.values())


def primitive(function: Callable[..., Any]) -> Primitive:
    """Take a function as one operation, whose derivative the user gives.

    For code that cannot be traced (a library's solver, a table, compiled code), or whose derivative is known better.
    Positional arguments that are arrays, tensors or floats can be differentiated; all others (whole numbers,
    texts, options), and keywords, are passed through. The function must be pure.

    One rule is enough for both modes. A rule that is written with NumPy's or Thalweg's functions can itself be
    differentiated; any other works for first derivatives (in reverse mode, if it is a vjp).

    Args:
        function: Takes plain arrays and gives one array.

    Returns:
        A callable with ``defvjp``, ``defjvp`` and ``defshape`` (the broadcast of its arrays, unless told otherwise).

    Example:
        >>> from thalweg.expr.transforms import grad
        >>> cube = primitive(lambda x: x**3)
        >>> cube = cube.defvjp(lambda answer, x: lambda g: g * 3 * x**2)
        >>> grad(cube)(2.0), grad(grad(cube))(2.0)
        (12.0, 12.0)

    """
    if not callable(function):
        raise InputError(f"primitive of {function!r}", "give a function")
    return Primitive(function)


def _shape(*arguments: Any) -> Shape:
    *shapes, bound = arguments
    return tuple(bound.shape(shapes))


def _jvp(node: Node, tangents: tuple[Node | None, ...]) -> Node | None:
    (bound,) = node.params
    total: Node | None = None
    for i, t in enumerate(tangents):
        if t is not None:
            total = accumulate(total, _tangent(bound, i, t, node, node.inputs))
    return total


def _tangent(bound: Bound, i: int, t: Node, y: Node, inputs: Sequence[Node]) -> Node | None:
    position = bound.positions[i]
    rules = bound.rules
    if rules.jvp.get(position, rules.vjp.get(position, _jvp)) is None:
        return None
    if position not in rules.vjp and position in rules.jvp:
        # Written out, so that reverse mode can transpose it; with a vjp beside it, that is the transpose.
        written = _attempt(lambda: bound.push(t, i, y, inputs))
        if written is not None:
            return constant(written)
    elif position not in rules.vjp:
        bound.pull(t, i, y, inputs)  # raises: there is no rule
    return build("primitive_jvp", t, y, *inputs, params=(bound, i))


def _attempt(rule: Callable[[], Any]) -> Any:
    """Call a user's rule on nodes; None if it does not work on them, for then it may still work on arrays.

    A mistake in the rule shows itself there.
    """
    try:
        return rule()
    except Exception:
        return None


def _cotangent(g: Any, bound: Bound, i: int, y: Any, inputs: Sequence[Any]) -> Any:
    """Apply the reverse rule: the user's own, or the user's forward rule transposed."""
    position = bound.positions[i]
    if position not in bound.rules.vjp and position in bound.rules.jvp:
        if y.__class__ is Node or g.__class__ is Node:
            return _transposed_jvp(bound, i, constant(g), constant(y), [constant(x) for x in inputs])
        held = [variable(x) for x in inputs]
        return _plain(_transposed_jvp(bound, i, variable(g), variable(y), held), held[i])
    if y.__class__ is not Node and g.__class__ is not Node:
        return bound.pull(g, i, y, inputs)
    if bound.rules.vjp.get(position, _jvp) is None:
        return None
    if position in bound.rules.vjp:
        written = _attempt(lambda: bound.pull(g, i, y, inputs))
        if written is not None:
            return constant(written)
    else:
        bound.pull(g, i, y, inputs)  # raises: there is no rule
    return build("primitive_vjp", g, y, *inputs, params=(bound, i))


def _transposed_jvp(bound: Bound, i: int, g: Node, y: Node, inputs: Sequence[Node]) -> Node | None:
    if bound.rules.jvp[bound.positions[i]] is None:
        return None
    x = inputs[i]
    leaf = Node("tangent", (), (), x.shape, "f")
    try:
        tangent = constant(bound.push(leaf, i, y, inputs))
        return transpose_linear([tangent], [g], [leaf])[0]
    except Exception as error:
        raise _one_way(bound, "reverse", "defjvp", "defvjp", error) from error


def _transposed_vjp(bound: Bound, i: int, t: Node, y: Node, inputs: Sequence[Node]) -> Node | None:
    """Transpose the user's reverse rule, which is linear in its cotangent: the forward rule."""
    leaf = Node("tangent", (), (), y.shape, "f")
    try:
        pulled = bound.pull(leaf, i, y, inputs)
        return None if pulled is None else transpose_linear([_fit(constant(pulled), inputs[i])], [t], [leaf])[0]
    except Exception as error:
        raise _one_way(bound, "forward", "defvjp", "defjvp", error) from error


def _one_way(bound: Bound, mode: str, given: str, wanted: str, error: Exception) -> UnsupportedError:
    return UnsupportedError(
        f"{mode} mode through the primitive {bound.rules.name!r}, whose {given} rule is not written with functions "
        f"that Thalweg can transpose ({type(error).__name__}: {error})",
        f"give it a rule with {wanted}, too",
    )


def _fit(c: Node, x: Node) -> Node:
    return unbroadcast(c, x.shape) if c.ndim >= x.ndim and c.shape else spread(c, x.shape)


def _plain(node: Node | None, like: Node) -> Any:
    result = zeros_like(like) if node is None else node
    return materialized(result, [like]).value


def evaluate_jvp(*arguments: Any) -> Any:
    """Evaluate the row ``primitive_jvp`` on (t, y, *arrays, bound, i)."""
    t, y, *arrays, bound, i = arguments
    if bound.positions[i] in bound.rules.jvp:
        return bound.push(t, i, y, arrays)
    held = variable(y)
    return _plain(_transposed_vjp(bound, i, constant(t), held, [variable(x) for x in arrays]), held)


def evaluate_vjp(*arguments: Any) -> Any:
    """Evaluate the row ``primitive_vjp`` on (g, y, *arrays, bound, i)."""
    g, y, *arrays, bound, i = arguments
    pulled = _cotangent(g, bound, i, y, arrays)
    if is_tensor(pulled):
        return pulled.sum_to_size(arrays[i].shape)
    pulled = np.asarray(pulled)
    shape = np.shape(arrays[i])
    if pulled.shape == shape:
        return pulled
    extra = pulled.ndim - len(shape)
    axes = tuple([a for a in range(pulled.ndim) if a < extra or (shape[a - extra] == 1 and pulled.shape[a] != 1)])
    return pulled.sum(axis=axes, keepdims=True).reshape(shape)


def _second(node: Node, tangents: tuple[Node | None, ...]) -> Node | None:
    """Differentiate a rule: write it out in nodes and differentiate that."""
    bound, i = node.params
    seed, y, *inputs = node.inputs
    total = None
    if tangents[0] is not None:
        total = build(node.op, tangents[0], y, *inputs, params=node.params)
    others = {x: t for x, t in zip(node.inputs[1:], tangents[1:], strict=True) if t is not None}
    if not others:
        return total
    try:
        if node.op == "primitive_vjp":
            pulled = bound.pull(seed, i, y, inputs)
            written = None if pulled is None else _fit(constant(pulled), inputs[i])
        elif bound.positions[i] in bound.rules.jvp:
            written = constant(bound.push(seed, i, y, inputs))
        else:
            written = _transposed_vjp(bound, i, seed, y, inputs)
    except Exception as error:
        raise UnsupportedError(
            f"a second derivative through the primitive {bound.rules.name!r}, whose rule fails on traced arrays "
            f"({type(error).__name__}: {error})",
            "write the rule with NumPy's or Thalweg's functions, or make it a primitive with a rule of its own",
        ) from error
    return total if written is None else accumulate(total, tangents_of([written], others)[0])


def _transpose_jvp(cotangent: Node, node: Node, index: int) -> Node:
    bound, i = node.params
    _, y, *inputs = node.inputs
    pulled = _cotangent(cotangent, bound, i, y, inputs)
    return zeros_like(inputs[i]) if pulled is None else _fit(constant(pulled), inputs[i])


ROWS = [
    Op("primitive", lambda *a: a[-1].run(a[:-1]), _shape, _jvp,
       vjp=lambda g, i, y, *a: _cotangent(g, a[-1], i, y, a[:-1])),
    Op("primitive_jvp", evaluate_jvp, lambda *a: a[1], _second, _transpose_jvp),
    Op("primitive_vjp", evaluate_vjp, lambda *a: a[2 + a[-1]], _second,
       lambda c, n, i: build("primitive_jvp", c, *n.inputs[1:], params=n.params)),
]  # fmt: skip
PRIMITIVE = {row.name: row for row in ROWS}
