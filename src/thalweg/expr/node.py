"""The one node type: an operation, its inputs and parameters, a shape, a kind, and perhaps a value.

A node with a value is eager (the value was computed when the node was built); a node without one is lazy. Lazy nodes
are interned: building the same operation on the same inputs twice gives the same object, so common subexpressions are
shared by construction and "is it the same expression?" is an identity test. What an operation means is not here but in
the tables of :mod:`thalweg.expr.ops`.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.guard import guard, hold, hold_tensor
from thalweg.expr.rows import (
    NATIVE,
    NUMBERS,
    Dimension,
    Kind,
    Op,
    Shape,
    evaluate_op,
    is_tensor,
    kind_of,
    plain_array,
    shape_of,
)
from thalweg.expr.walk import has_symbolic, topological

if TYPE_CHECKING:
    pass

_numbers: dict[tuple[type, Any], Node] = {}
_interned: dict[tuple[Any, ...], _Entry] = {}
_table: Mapping[str, Op] = {}
UFUNC_ROWS: dict[Any, str] = {}
"""Which row each ufunc of NumPy is; filled by `thalweg.expr.protocol`, which the first ufunc loads."""


def table() -> Mapping[str, Op]:
    """Give the operation table, one `Op` a name (loaded on first use, since its rules are written in nodes)."""
    global _table
    if not _table:
        from thalweg.expr.ops import TABLE

        _table = TABLE
    return _table


class _Entry(weakref.ref["Node"]):
    """An interned node, held weakly: its key goes with it. The standard library's dictionary is twice as slow."""

    __slots__ = ("key",)

    key: tuple[Any, ...]


def _forget(entry: _Entry) -> None:
    if _interned.get(entry.key) is entry:
        del _interned[entry.key]


class _Keyed:
    """The nodes whose digest is known: none below them is visited again, or keys of a chain would take its square."""

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Node) and node._key is not None


_keyed = _Keyed()


class _Slots:
    """The storage of a node, open while it is built and closed by becoming a `Node` (setting slots is then refused)."""

    __slots__ = ("op", "inputs", "params", "value", "serial", "_shape", "_kind", "_key", "__weakref__")

    op: str
    inputs: tuple[Node, ...]
    params: tuple[Any, ...]
    value: Any
    serial: int
    _shape: Shape | None
    _kind: Kind | None
    _key: str | None


_new_slots = _Slots.__new__
_next_serial = itertools.count().__next__


class Node(_Slots):
    """One immutable vertex of an expression graph; build it with the functions of `thalweg.expr`, not by hand.

    Attributes:
        op: Name of the operation: a row of the table, or one of the leaves "symbol", "variable", "constant".
        inputs: The nodes it reads.
        params: Its parameters (axes, subscripts, shapes), hashable.
        shape: Entries are whole numbers or names of symbolic dimensions such as ``"n"``.
        kind: "f", "i" or "b".
        value: The array if the node is eager, else None.
        serial: Counts up as nodes are built, so that inputs come before users: an order for reverse mode.

    """

    __slots__ = ()

    def __new__(
        cls, op: str, inputs: tuple[Node, ...], params: tuple[Any, ...], shape: Shape, kind: Kind, value: Any = None
    ) -> Node:
        """Make a node whose shape and kind are given; nothing is checked here."""
        node = _eager(op, inputs, params, value)
        object.__setattr__(node, "_shape", shape)
        object.__setattr__(node, "_kind", kind)
        return node

    def __setattr__(self, name: str, value: Any) -> None:
        raise UnsupportedError(f"a Node is immutable; .{name} was assigned", "build a new expression instead")

    @property
    def shape(self) -> Shape:
        """Sizes of the axes, names for sizes that are known only at run time."""
        shape = self._shape
        return shape if shape is not None else shape_of(self.value)

    @property
    def kind(self) -> Kind:
        """Floating ("f"), whole numbers ("i") or truth values ("b")."""
        kind = self._kind
        return kind if kind is not None else kind_of(self.value)

    __hash__ = object.__hash__

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def name(self) -> str:
        """A symbol's name; the operation's name for any other node."""
        return str(self.params[0]) if self.op == "symbol" else self.op

    @property
    def domain(self) -> str | None:
        """A symbol's declared domain ("real", "count", "+-1", "class"), else None."""
        return self.params[1] if self.op == "symbol" else None

    @property
    def key(self) -> str:
        """A digest of the structure: equal for equal expressions, in this process and in any other."""
        if self._key is None:
            for node in topological([self], stop=_keyed):
                if node._key is None:
                    object.__setattr__(node, "_key", _digest(node))
        return str(self._key)

    @property
    def T(self) -> Node:
        """The transpose: axes reversed."""
        return build("transpose", self, params=(tuple(reversed(range(self.ndim))),))

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape)) or "scalar"
        if self.op == "symbol":
            return f"Node({self.name}: {shape})"
        state = "lazy" if self.value is None else f"value={np.array2string(np.asarray(self.value), threshold=6)}"
        return f"Node({self.op}: {shape}, {state})"

    def __str__(self) -> str:
        from thalweg.expr.matrixform import written

        return written(self) if self.value is None else repr(self)

    def __format__(self, spec: str) -> str:
        """Format the number of an eager scalar; text is no part of a derivative."""
        if spec and self.value is not None and not self.shape:
            return format(self.value.item() if hasattr(self.value, "item") else self.value, spec)
        return format(str(self), spec)

    # Arithmetic. Each operator is one row of the table.
    def __add__(self, other: Any) -> Node:
        return build("add", self, other)

    def __radd__(self, other: Any) -> Node:
        return build("add", other, self)

    def __sub__(self, other: Any) -> Node:
        return build("sub", self, other)

    def __rsub__(self, other: Any) -> Node:
        return build("sub", other, self)

    def __mul__(self, other: Any) -> Node:
        return build("mul", self, other)

    def __rmul__(self, other: Any) -> Node:
        return build("mul", other, self)

    def __truediv__(self, other: Any) -> Node:
        return build("div", self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return build("div", other, self)

    def __pow__(self, other: Any) -> Node:
        return build("pow", self, other)

    def __rpow__(self, other: Any) -> Node:
        return build("pow", other, self)

    def __matmul__(self, other: Any) -> Node:
        return _namespace().matmul(self, other)

    def __rmatmul__(self, other: Any) -> Node:
        return _namespace().matmul(other, self)

    def __neg__(self) -> Node:
        return build("neg", self)

    def __pos__(self) -> Node:
        return self

    def __abs__(self) -> Node:
        return build("abs", self)

    def __lt__(self, other: Any) -> Node:
        return build("lt", self, other)

    def __le__(self, other: Any) -> Node:
        return build("le", self, other)

    def __gt__(self, other: Any) -> Node:
        return build("gt", self, other)

    def __ge__(self, other: Any) -> Node:
        return build("ge", self, other)

    def __eq__(self, other: Any) -> Node:  # type: ignore[override]
        return build("eq", self, other)

    def __ne__(self, other: Any) -> Node:  # type: ignore[override]
        return build("ne", self, other)

    def __and__(self, other: Any) -> Node:
        return _numpy().bitwise_and(self, other)

    def __rand__(self, other: Any) -> Node:
        return _numpy().bitwise_and(other, self)

    def __or__(self, other: Any) -> Node:
        return _numpy().bitwise_or(self, other)

    def __ror__(self, other: Any) -> Node:
        return _numpy().bitwise_or(other, self)

    def __xor__(self, other: Any) -> Node:
        return _numpy().bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Node:
        return _numpy().bitwise_xor(other, self)

    def __invert__(self) -> Node:
        return _numpy().invert(self)

    def __mod__(self, other: Any) -> Node:
        return build("mod", self, other)

    def __rmod__(self, other: Any) -> Node:
        return build("mod", other, self)

    def __floordiv__(self, other: Any) -> Node:
        return build("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Node:
        return build("floor_divide", other, self)

    def __divmod__(self, other: Any) -> tuple[Node, Node]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Node, Node]:
        return other // self, other % self

    def __round__(self, digits: int | None = None) -> Node:
        return _numpy().round(self, digits or 0)

    def __getitem__(self, index: Any) -> Node:
        return _numpy().index(self, index)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise UnsupportedError(
            f"x[...] = value on {self!r}: a node never changes",
            "build a new array: where(mask, value, x) replaces entries, concatenate joins parts, "
            "thalweg.numpy.array([...]) collects nodes",
        )

    def __getattr__(self, name: str) -> Any:
        """Find array methods by name: x.std(axis=0) is std(x, axis=0), and on a tensor what torch means by it."""
        if self.value is not None and name in ("dtype", "device") and hasattr(self.value, name):
            return getattr(self.value, name)
        if _is_torch(self) and (name not in METHODS or name in _TORCH_MEANS_OTHERWISE) and name[:1] != "_":
            method = getattr(sys.modules["torch"].Tensor, name, None)
            if callable(method):
                return functools.partial(_call_method, method, self)
        if name in METHODS:
            return functools.partial(getattr(_numpy(), name), self)
        if name in ("sort", "fill", "put", "resize", "partition", "itemset"):
            raise AttributeError(
                f"x.{name}() would change a node in place; build a new array with where, concatenate or "
                f"thalweg.numpy{'.sort' if name == 'sort' else ''}"
            )
        raise AttributeError(f"a Node has no attribute {name!r}; thalweg.numpy has the functions of NumPy")

    def sum(self, axis: Any = None, keepdims: bool = False, **named: Any) -> Node:
        """Sum over ``axis`` (all axes if None)."""
        return _namespace().sum(self, **_axes(axis, keepdims, named))

    def mean(self, axis: Any = None, keepdims: bool = False, **named: Any) -> Node:
        """Mean over ``axis`` (all axes if None)."""
        return _namespace().mean(self, **_axes(axis, keepdims, named))

    def max(self, axis: Any = None, keepdims: bool = False, *, dim: Any = None) -> Node:
        """Largest entry over ``axis`` (all axes if None)."""
        axis = dim if axis is None else axis
        if axis is not None and _is_torch(self):  # torch gives values and places
            return _call_method(sys.modules["torch"].Tensor.max, self, axis, keepdims)
        return _namespace().max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False, *, dim: Any = None) -> Node:
        """Smallest entry over ``axis`` (all axes if None)."""
        axis = dim if axis is None else axis
        if axis is not None and _is_torch(self):
            return _call_method(sys.modules["torch"].Tensor.min, self, axis, keepdims)
        return _namespace().min(self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Node:
        """Lay the entries out in another shape."""
        return _namespace().reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)

    def transpose(self, *axes: Any) -> Node:
        """Permute the axes (reverse them if none are given); on a tensor exchange the two that are named."""
        if _is_torch(self) and len(axes) == 2:
            return _call_method(sys.modules["torch"].Tensor.transpose, self, *axes)
        return _namespace().transpose(self, None if axes in ((), (None,)) else axes[0] if len(axes) == 1 else axes)

    def flatten(self) -> Node:
        """Lay the entries out along one axis."""
        return _numpy().ravel(self)

    @property
    def size(self) -> Any:
        """Number of entries; a node if a dimension is symbolic. On a tensor a method, as torch has it."""
        if _is_torch(self):
            return lambda dim=None: self.shape if dim is None else self.shape[dim]
        return _namespace().count_along(self, None)

    @property
    def mT(self) -> Node:
        """The transpose of each matrix: the last two axes exchanged."""
        return _numpy().matrix_transpose(self)

    def gradient(self, wrt: Node) -> Node:
        """Give the gradient of a scalar expression, shaped like the symbol ``wrt``, in normal form."""
        return _derivatives().gradient_by(self, wrt)

    def jacobian(self, wrt: Node) -> Node:
        """Give all first derivatives by a symbol: the expression's shape, then the symbol's."""
        return _derivatives().jacobian_by(self, wrt)

    def hessian(self, wrt: Node) -> Node:
        """Give all second derivatives by a symbol: the expression's shape, then the symbol's twice."""
        return _derivatives().hessian_by(self, wrt)

    def __len__(self) -> int:
        if not self.shape or not isinstance(self.shape[0], int):
            raise UnsupportedError(
                f"len() of {self!r} is not a number while tracing", "use mean or the symbolic dimension"
            )
        return self.shape[0]

    def __iter__(self) -> Iterator[Node]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        if self.value is not None:
            return bool(self.value)
        raise UnsupportedError(
            f"the truth of a lazy {self.op} node was asked for: Python's `if`, `and`, `or`, `not` and chained "
            "comparisons need a number, and while tracing there is none (both branches must stay in the graph)",
            "write where(condition, a, b); for truth values use &, | and ~",
        )

    def __float__(self) -> NoReturn:
        raise UnsupportedError(
            f"a Python number was asked of {self!r}, as functions of `math` do; the derivative would be lost",
            "use the functions of numpy or thalweg (np.exp, not math.exp), or read .value",
        )

    __int__ = __float__
    __index__ = __float__

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedError(
            f"NumPy tried to turn {self!r} into an array; the derivative would be lost",
            "use operations that Thalweg knows, or read .value of an eager node; in place of writing into an array, "
            "thalweg.numpy.array([...]), concatenate and where build one from nodes",
        )

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return _numpy()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        row = UFUNC_ROWS.get(ufunc)
        if row is not None and not kwargs and method == "__call__":
            return build(row, *inputs)
        from thalweg.expr.protocol import call_ufunc

        return call_ufunc(ufunc, method, inputs, kwargs)

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from thalweg.expr.protocol_torch import call_torch

        return call_torch(function, args, kwargs or {})

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from thalweg.expr.protocol import call_function

        return call_function(function, args, kwargs)


METHODS = frozenset([
    "all", "any", "argmax", "argmin", "argsort", "astype", "clip", "compress", "conj", "conjugate", "copy", "cumprod",
    "cumsum", "diagonal", "dot", "nonzero", "prod", "ravel", "repeat", "round", "squeeze", "std", "swapaxes", "take",
    "trace", "var",
])  # fmt: skip
"""Methods of NumPy's arrays that are the function of the same name."""


_TORCH_MEANS_OTHERWISE = frozenset(["argsort", "clip", "nonzero", "repeat", "std", "var"])
"""Methods that NumPy and torch both have, with different meanings or defaults."""


class _Tracing(threading.local):
    """What symbols stand for in this thread: tensors or not, and of which dtypes (None: they are not known)."""

    tensors: bool = False
    dtypes: Mapping[Node, Any] | None = None


tracing = _Tracing()


def _is_torch(node: Node) -> bool:
    """Say whether a node's methods are those of tensors."""
    return is_tensor(node.value) or node.value is None and tracing.tensors


def _call_method(method: Any, *args: Any, **kwargs: Any) -> Any:
    from thalweg.expr.protocol_torch import call_torch

    return call_torch(method, args, kwargs)


def _axes(axis: Any, keepdims: bool, named: dict[str, Any]) -> dict[str, Any]:
    """Accept torch's names of a reduction's arguments, too."""
    given = {"axis": named.pop("dim", axis), "keepdims": named.pop("keepdim", keepdims)}
    if named:
        raise UnsupportedError(f"a reduction of a node with {', '.join(named)}", "give axis and keepdims alone")
    return given


def _namespace() -> Any:
    from thalweg.expr import namespace

    return namespace


def _numpy() -> Any:
    from thalweg.expr import numpy_api

    return numpy_api


def _derivatives() -> Any:
    from thalweg.expr import node_derivatives

    return node_derivatives


ATTRIBUTES = frozenset(["symmetric", "positive definite", "diagonal", "orthogonal", "nonnegative"])


def symbol(
    name: str, shape: Sequence[Dimension] = (), domain: str | None = None, attributes: Iterable[str] = ()
) -> Node:
    """Make a named unknown.

    Args:
        name: A Python identifier; the same name, shape and domain give the same node.
        shape: Whole numbers, or names for dimensions that are known only at run time.
        domain: None or "real"; "count" (zero and above); "+-1"; "class" (a class index, a whole number); "integer";
            "truth" (truth values).
        attributes: What is known of its entries: "symmetric", "positive definite", "diagonal", "orthogonal" (square
            matrices), "nonnegative".

    Returns:
        A lazy node.

    Raises:
        InputError: for a name, shape or domain that cannot be used.

    """
    if not isinstance(name, str) or not name.isidentifier():
        raise InputError(f"symbol name {name!r} is not an identifier", "use letters, digits and _")
    if domain not in (None, "real", "count", "+-1", "class", "integer", "truth"):
        raise InputError(
            f"domain {domain!r} of symbol {name!r} is unknown", "use real, count, +-1, class, integer or truth"
        )
    known = frozenset(attributes)
    if not known <= ATTRIBUTES:
        raise InputError(f"attributes {sorted(known - ATTRIBUTES)} of symbol {name!r}", f"use {sorted(ATTRIBUTES)}")
    checked = check_shape(shape, f"symbol {name!r}")
    if known - {"nonnegative"} and (len(checked) != 2 or checked[0] != checked[1]):
        raise InputError(
            f"symbol {name!r} of shape {checked} cannot be {', '.join(sorted(known))}", "give it a square shape"
        )
    kind = {"class": "i", "integer": "i", "truth": "b"}.get(domain or "", "f")
    params = (name, domain, *([tuple(sorted(known))] if known else []))
    return _intern(("symbol", *params, checked), "symbol", (), params, checked, kind)


def variable(value: Any) -> Node:
    """Make an eager leaf to differentiate with respect to; its value is ``value`` itself, uncopied.

    A tensor is detached, as every tensor that becomes a node is: what is computed here is differentiated here, and
    torch records none of it, whether or not the tensor asks for gradients of torch's own.
    """
    if is_tensor(value):
        value = _real_tensor(value)
    elif value.__class__ is not float:
        value = plain_array(value)
        if value.dtype.kind not in "fiub":
            raise InputError(f"variable of dtype {value.dtype}", "give real numbers")
    return _eager("variable", (), (), value)


def constant(value: Any) -> Node:
    """Make a constant. A single number never sets the precision (as a Python number in NumPy's promotion)."""
    if isinstance(value, (bool, int, float)) and value.__class__ in NUMBERS:
        # Zero stays out: 0.0 and -0.0 are equal keys.
        known = _numbers.get((value.__class__, value)) if value else None
        return known if known is not None else _number(value)
    if isinstance(value, Node):
        return value
    if is_tensor(value):
        return _eager("constant", (), (), _real_tensor(value))
    if not isinstance(value, (bool, int, float)):
        value = plain_array(value)
        if value.dtype.kind not in "fiub":
            raise InputError(
                f"{type(value).__name__} of dtype {value.dtype} is not a real number or array",
                "give real numbers, arrays or nodes",
            )
        if value.ndim:
            if guard.arrays is not None:
                hold(value)
            return _eager("constant", (), (), value)
        value = value.item()
    return _number(float(value) if isinstance(value, float) else value)


def _real_tensor(value: Any) -> Any:
    if value.is_complex():
        raise InputError(f"tensor of dtype {value.dtype}", "give real numbers")
    if guard.tensors is not None:
        hold_tensor(value)
    return value.detach() if value.requires_grad else value


def _number(value: bool | int | float) -> Node:
    kind = "b" if isinstance(value, bool) else "i" if isinstance(value, int) else "f"
    params = (kind, repr(value))
    node = _intern(("constant", params), "constant", (), params, (), kind, value)
    if value:
        if len(_numbers) > 4096:
            _numbers.clear()
        _numbers[value.__class__, value] = node
    return node


def _eager(op: str, inputs: tuple[Node, ...], params: tuple[Any, ...], value: Any) -> Node:
    """Make a node around its value; shape and kind are read off the value when they are asked for."""
    node = _new_slots(_Slots)
    node.op = op
    node.inputs = inputs
    node.params = params
    node.value = value
    node.serial = _next_serial()
    node._shape = node._kind = node._key = None
    node.__class__ = Node
    return node  # type: ignore[return-value]


def build(name: str, *inputs: Any, params: tuple[Any, ...] = ()) -> Node:
    """Apply the operation ``name`` to nodes, arrays or numbers.

    Returns:
        An eager node when every input has a value, else a lazy, interned one.

    Raises:
        InputError: when the shapes, libraries or devices of the inputs do not fit.

    """
    op = (_table or table())[name]
    nodes = []
    values = []
    native = True
    tracked = False
    for x in inputs:
        if x.__class__ is not Node:
            x = constant(x)
        value = x.value
        if value is None:
            return _build_lazy(op, inputs, params)
        if value.__class__ not in NATIVE:
            native = False
        if x.op != "constant":
            tracked = True
        nodes.append(x)
        values.append(value)
    if not nodes or op.sized and (not tracked or has_symbolic(params)):
        return _build_lazy(op, inputs, params)
    result = evaluate_op(op, values, params, native)
    return _eager(name, tuple(nodes), params, result) if tracked else constant(result)


def _build_lazy(op: Op, inputs: Sequence[Any], params: tuple[Any, ...]) -> Node:
    """Build where some input has no value, or a number is only laid out over a shape."""
    name = op.name
    nodes = tuple([x if x.__class__ is Node else constant(x) for x in inputs])
    key = (name, params, *[id(x) for x in nodes])
    entry = _interned.get(key)
    known = None if entry is None else entry()
    if known is not None:
        return known
    shapes = [x._shape if x.value is None else x.shape for x in nodes]
    if op.elementwise and not params and shapes.count(shapes[0]) == len(shapes):
        shape: Any = shapes[0]
    else:
        try:
            shape = op.shape(*shapes, *params)
        except InputError as error:
            raise InputError(f"{name}: {error.problem}", error.remedy) from None
    kind = op.kind
    if kind == "promote":
        kind = promote([x._kind or x.kind for x in nodes])
    for x in nodes:
        if x.value is None and x.op != "broadcast_to":
            return _intern(key, name, nodes, params, shape, kind)
    if name in ("reshape", "broadcast_to", "transpose") and (is_filler(nodes[0]) or _is_number(nodes[0])):
        # A number, however often repeated and laid out, stays a number without a precision.
        number = nodes[0] if _is_number(nodes[0]) else nodes[0].inputs[0]
        return _intern(("broadcast_to", (shape,), id(number)), "broadcast_to", (number,), (shape,), shape, kind)
    if op.elementwise and shape and all(is_filler(x) or _is_number(x) for x in nodes):
        # Numbers that are only laid out meet numbers: the result is one, too.
        number = constant(evaluate_op(op, [x.inputs[0].value if x.inputs else x.value for x in nodes], params))
        return _intern(("broadcast_to", (shape,), id(number)), "broadcast_to", (number,), (shape,), shape, kind)
    if _ready(op, nodes, params):
        values = _values(nodes)
        value = evaluate_op(op, values, params, all(v.__class__ in NATIVE for v in values))
        if all(x.op == "constant" for x in nodes):
            return constant(value)
        return Node(name, nodes, params, shape, kind, value)
    return _intern(key, name, nodes, params, shape, kind)


def _ready(op: Op, nodes: Sequence[Node], params: tuple[Any, ...]) -> bool:
    """Say whether an operation is evaluated at once.

    A number repeated over a shape stays unevaluated: it has no precision of its own, and takes that of what it meets.
    """
    fillers = False
    for x in nodes:
        if x.value is None:
            if not is_filler(x):
                return False
            fillers = True
    if fillers:
        # A variable, or an array of floating numbers, has the precision that the number takes.
        strong = [x.op != "constant" or x.kind == "f" and bool(x.shape) for x in nodes if x.value is not None]
        return any(strong) and not has_symbolic(params)
    if op.sized and op.name == "along_diagonal" and all(x.op == "constant" for x in nodes):
        return False  # mostly zeros: made when it is asked for, and not kept
    return not (op.sized and has_symbolic(params))


def is_filler(node: Node) -> bool:
    """Say whether the node is one number repeated over a known shape."""
    return node.op == "broadcast_to" and _is_number(node.inputs[0]) and not has_symbolic(node.params)


def _is_number(node: Node) -> bool:
    return node.op == "constant" and node.value.__class__ in NUMBERS


def _values(nodes: Sequence[Node]) -> list[Any]:
    """Give the inputs' values; a number that is only laid out takes the precision, and the library, of the others."""
    known = [x.value for x in nodes if x.value is not None]
    if len(known) == len(nodes):
        return known
    tensors = [v for v in known if is_tensor(v)]
    if tensors:
        # Among truth values and indices alone the number keeps its kind, in torch's default precision.
        import torch

        floats = [v.dtype for v in tensors if v.is_floating_point()]
        full: Any = functools.partial(torch.full, dtype=floats[0] if floats else None, device=tensors[0].device)
        return [full(x.shape, x.inputs[0].value) if x.value is None else x.value for x in nodes]
    dtype = np.result_type(*known)
    return [
        np.full(x.shape, x.inputs[0].value, dtype=dtype if dtype.kind == "f" else None) if x.value is None else x.value
        for x in nodes
    ]


def promote(kinds: Iterable[Kind]) -> Kind:
    """Give the largest kind: floating over whole numbers over truth values."""
    found = set(kinds)
    return "f" if "f" in found else "i" if "i" in found else "b"


def lazy_eye(size: Dimension) -> Node:
    """Make the identity as a floating node without a value, whatever its size: the simplifier contracts it away."""
    return _intern(("eye", (size, True)), "eye", (), (size, True), (size, size), "f")


def check_shape(shape: Any, owner: str) -> Shape:
    """Check that a shape is made of sizes and dimension names."""
    entries = (shape,) if isinstance(shape, (int, str)) else tuple(shape)
    for entry in entries:
        named = isinstance(entry, str) and entry.isidentifier()
        if not named and not (isinstance(entry, (int, np.integer)) and not isinstance(entry, bool) and entry >= 0):
            raise InputError(f"dimension {entry!r} of {owner}", "use whole numbers >= 0 or names such as 'n'")
    return tuple([e if isinstance(e, str) else int(e) for e in entries])


def is_constant(node: Node, value: float | None = None) -> bool:
    """Say whether the node is a single constant number (equal to ``value``, if given)."""
    return node.op == "constant" and node.shape == () and (value is None or node.value == value)


def _intern(
    key: tuple[Any, ...], op: str, inputs: tuple[Node, ...], params: tuple[Any, ...], shape: Shape, kind: Kind,
    value: Any = None,
) -> Node:  # fmt: skip
    """Give the node of a key: the operation, its parameters and the ids of its inputs, which fix all the rest.

    Ids are safe there, since the node keeps its inputs alive for as long as the entry exists.
    """
    entry = _interned.get(key)
    known = None if entry is None else entry()
    if known is not None:
        return known
    node = _new_slots(_Slots)
    node.op = op
    node.inputs = inputs
    node.params = params
    node.value = value
    node.serial = _next_serial()
    node._shape = shape
    node._kind = kind
    node._key = None
    node.__class__ = Node
    entry = _interned[key] = _Entry(node, _forget)  # type: ignore[arg-type]
    entry.key = key
    return node  # type: ignore[return-value]


def _digest(node: Node) -> str:
    parts: list[Any] = [node.op, node.params, node.shape, node.kind, [x._key for x in node.inputs]]
    if node.op in ("constant", "variable") and is_tensor(node.value):
        import torch

        # As bytes, since NumPy lacks some of torch's precisions.
        data = node.value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        parts += [str(node.value.dtype), str(node.value.device), hashlib.blake2b(data, digest_size=16).hexdigest()]
    elif node.op in ("constant", "variable") and node.shape:
        array = np.ascontiguousarray(node.value)
        parts += [array.dtype.str, hashlib.blake2b(array.data, digest_size=16).hexdigest()]
    elif node.op == "variable":
        parts.append(repr(node.value))
    elif node.op == "constant" and isinstance(node.value, float) and math.isnan(node.value):
        parts.append("nan")
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
