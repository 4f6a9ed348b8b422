"""Evaluation on torch tensors: every row through its torch spelling, and what torch does not have in one function.

Eager evaluation and lowered text share the spellings, so the two cannot come apart. Precision and device follow the
tensors; Python numbers never set them. A plain function of tensors stays differentiable by `torch.autograd`.
"""

from __future__ import annotations

import functools
import importlib
import operator
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr.dialects import dialect_named
from thalweg.expr.node import evaluate_op, table
from thalweg.expr.numeric import decode_index
from thalweg.expr.rows import NUMBERS, Op, shape_of
from thalweg.expr.shapes import show

Tensor = torch.Tensor

_TORCH = dialect_named("torch")
_REDUCTIONS = frozenset(["sum", "max", "min", "prod"])


def evaluate(op: Op, values: Sequence[Any], params: tuple[Any, ...]) -> Any:
    """Evaluate one operation on tensors and numbers.

    Args:
        op: The row.
        values: One for each input, at least one of them a tensor. NumPy arrays of truth values or whole numbers (masks
            and indices, which have no precision) are taken along to the tensors' device.
        params: Its parameters.

    Returns:
        A tensor (a tuple of axes to reduce that is empty leaves the input as it is).

    Raises:
        InputError: for a floating NumPy array beside a tensor, tensors on different devices, or shapes that do not fit.
        UnsupportedError: for a row without a torch spelling, or a dtype that torch does not support there.

    """
    device = None
    for i, v in enumerate(values):
        if isinstance(v, Tensor):
            if v.ndim:
                if device is None:
                    device = v.device
                elif v.device != device:
                    raise _devices(op, values)
        elif v.__class__ not in NUMBERS:
            values = [*values[:i], _taken_along(op, v, values), *values[i + 1 :]]
    if op.name in _REDUCTIONS and params[0] == ():
        return values[0]
    spelling = op.torch or _TORCH.spelling(op)
    try:
        if isinstance(spelling, str):
            return _function(spelling, len(values), len(params))(*values, *params)
        names = tuple([f"v{i}" for i in range(len(values))])
        return _compiled(spelling(names, params), names)(*values)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, (InputError, UnsupportedError)):
            raise
        raise _explained(op, values, params, error) from None


@lru_cache(maxsize=4096)
def _function(spelling: str, inputs: int, params: int) -> Callable[..., Any]:
    """Make the function that a spelling stands for."""
    if "{" not in spelling:
        function: Callable[..., Any] = operator.attrgetter(spelling)(torch)
        return function
    names = tuple([f"v{i}" for i in range(inputs)] + [f"p{i}" for i in range(params)])
    several = {"inputs": ", ".join(names[:inputs]), "params": ", ".join(names[inputs:])}
    return _compiled(spelling.format(*names, **several), names)


@lru_cache(maxsize=4096)
def _compiled(text: str, names: tuple[str, ...]) -> Callable[..., Any]:
    scope: dict[str, Any] = {"torch": torch}
    for module in re.findall(r"\b(numeric\w*)\.", text):
        scope[module] = importlib.import_module(f"thalweg.expr.{module}")
    made: Callable[..., Any] = eval(f"lambda {', '.join(names)}: {text}", scope)
    return made


def of_numbers(name: str, *arguments: Any) -> Any:
    """Evaluate an operation on Python numbers alone, as generated text does with the sizes of its arguments.

    Args:
        name: The operation.
        *arguments: Its inputs and then its parameters.

    Returns:
        A Python number.

    """
    inputs = [a for a in arguments if a.__class__ in NUMBERS]
    return evaluate_op(table()[name], inputs, arguments[len(inputs) :])


def _taken_along(op: Op, value: Any, values: Sequence[Any]) -> Tensor:
    """Give a mask or index as a tensor; refuse a floating array, whose precision and device nobody chose."""
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biu":
        (device, *_) = [v.device for v in values if isinstance(v, Tensor)]
        return as_tensor(np.asarray(value)).to(device)
    (like, *_) = [v for v in values if isinstance(v, Tensor)]
    described = f"a {type(value).__module__}.{type(value).__name__}"
    if isinstance(value, (np.ndarray, np.generic)):
        described = f"a NumPy array of dtype {value.dtype} and shape {show(value.shape)}"
    raise InputError(
        f"{op.name} of {described} and a torch tensor of dtype {_name(like.dtype)} and shape {show(tuple(like.shape))}",
        f"convert one: torch.as_tensor(array, dtype={like.dtype}, device={str(like.device)!r}), or tensor.numpy()",
    )


def _devices(op: Op, values: Sequence[Any]) -> InputError:
    tensors = [v for v in values if isinstance(v, Tensor)]
    found = " and ".join(f"{v.device} (shape {show(tuple(v.shape))})" for v in tensors)
    return InputError(f"{op.name} of tensors on different devices: {found}", "move them to one: tensor.to(device)")


def _explained(op: Op, values: Sequence[Any], params: tuple[Any, ...], error: Exception) -> Exception:
    """Say in Thalweg's words why torch refused."""
    try:
        op.shape(*[shape_of(v) for v in values], *params)
    except InputError as misfit:
        return InputError(f"{op.name}: {misfit.problem}", misfit.remedy)
    described = ", ".join(
        f"{_name(v.dtype)} {show(tuple(v.shape))} on {v.device}" if isinstance(v, Tensor) else repr(v) for v in values
    )
    if isinstance(error, NotImplementedError) or "not implemented for" in str(error):
        return UnsupportedError(f"torch cannot compute {op.name} of {described}: {error}", "convert the tensor first")
    return InputError(f"{op.name} of {described}: {error}", "make the shapes and values fit the operation")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def common_dtype(*values: Any) -> torch.dtype:
    """Give the precision that a kernel of these tensors and numbers works in."""
    dtypes = [v.dtype for v in values if isinstance(v, Tensor) and v.dtype.is_floating_point]
    return functools.reduce(torch.promote_types, dtypes) if dtypes else torch.get_default_dtype()


def device_of(*values: Any) -> torch.device:
    """Give the device of the first tensor."""
    return next((v.device for v in values if isinstance(v, Tensor)), torch.device("cpu"))


def as_tensor(value: Any) -> Tensor:
    """Give an array as a tensor; a reversed one is copied, and a read-only one, which torch would let be written."""
    if isinstance(value, np.ndarray) and (not value.flags.writeable or min(value.strides, default=0) < 0):
        value = np.array(value)
    return torch.as_tensor(value)


def tensors(*values: Any) -> list[Tensor]:
    """Give numbers among tensors as tensors without axes, in the tensors' precision and on their device."""
    like = [v for v in values if isinstance(v, Tensor)]
    device = device_of(*like)
    dtypes = [v.dtype for v in like]
    common = functools.reduce(torch.promote_types, dtypes) if dtypes else torch.get_default_dtype()
    floating = common if common.is_floating_point else torch.get_default_dtype()
    return [
        v if isinstance(v, Tensor) else torch.tensor(v, dtype=floating if isinstance(v, float) else None, device=device)
        for v in values
    ]


def common(*values: Any) -> list[Tensor]:
    """Give tensors and numbers as tensors of one dtype, which some of torch's functions ask for."""
    found = tensors(*values)
    dtype = functools.reduce(torch.promote_types, [v.dtype for v in found])
    return [v.to(dtype) for v in found]


def maximum(a: Any, b: Any) -> Tensor:
    """Give the larger of two, entry by entry."""
    return torch.maximum(*tensors(a, b))


def minimum(a: Any, b: Any) -> Tensor:
    """Give the smaller of two, entry by entry."""
    return torch.minimum(*tensors(a, b))


def logical_and(a: Any, b: Any) -> Tensor:
    """Give a and b, entry by entry."""
    return torch.logical_and(*tensors(a, b))


def logical_or(a: Any, b: Any) -> Tensor:
    """Give a or b, entry by entry."""
    return torch.logical_or(*tensors(a, b))


def logaddexp(a: Any, b: Any) -> Tensor:
    """Give log(e^a + e^b) without overflow."""
    return torch.logaddexp(*common(a, b))


def arctan2(a: Any, b: Any) -> Tensor:
    """Give the angle of the point (b, a)."""
    return torch.atan2(*common(a, b))


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """Choose a where the condition holds, else b."""
    if not isinstance(condition, Tensor):
        condition = torch.tensor(bool(condition), device=device_of(a, b))
    return torch.where(condition if condition.dtype == torch.bool else condition != 0, a, b)


def softplus(x: Tensor) -> Tensor:
    """Give log(1+e^x) to full precision; torch's own turns into x at 20, which is 2e-9 off."""
    return torch.relu(x) + torch.log1p(torch.exp(-torch.abs(x)))


def rsqrt(x: Tensor) -> Tensor:
    """Give 1/sqrt(x), and 0 at x = 0: the value that makes the gradient of a norm 0 at the origin."""
    return torch.where(x == 0, 0.0, torch.rsqrt(x))


def indicator(condition: Any, like: Any) -> Tensor:
    """Give 1 where the condition holds and 0 elsewhere, in the precision of ``like``."""
    (condition,) = tensors(condition)
    return condition.to(common_dtype(like), copy=True)


def contract(subscripts: str, *operands: Any) -> Tensor:
    """Evaluate an einsum; truth values take the precision of the rest."""
    return torch.einsum(subscripts, *common(*operands))


def _rows(index: Tensor) -> tuple[Tensor, ...]:
    """Give the indices that address one entry of the last axis in every row."""
    grids = [
        torch.arange(n, device=index.device).reshape([-1 if i == axis else 1 for i in range(index.ndim)])
        for axis, n in enumerate(index.shape)
    ]
    return (*grids, index.long())


def pick(x: Any, index: Any) -> Tensor:
    """Give x[..., index[...]]: one entry of the last axis a row."""
    x, index = tensors(x, index)
    return x[_rows(index)]


def scatter(x: Any, index: Any, size: int) -> Tensor:
    """Transpose of `pick`: x[...] placed at index[...] of a new last axis of length ``size``, zero elsewhere."""
    x, index = tensors(x, index)
    out = x.new_zeros((*index.shape, size))
    return out.index_put(_rows(index), x)


def scatter_add(x: Tensor, values: Any, index: Any) -> Tensor:
    """Give x + scatter(values, index)."""
    values = values if isinstance(values, Tensor) else x.new_tensor(values)
    (index,) = tensors(index)
    return x.index_put(_rows(index), values.to(x.dtype), accumulate=True)


def _forward(index: Sequence[Any], shape: Sequence[int]) -> tuple[tuple[Any, ...], list[int]]:
    """Turn slices with negative steps, which torch does not have, around; give the axes of the result to flip."""
    parts: list[Any] = []
    flipped: list[int] = []
    axis = 0
    for part, size in zip(decode_index(tuple(index)), shape, strict=False):
        if isinstance(part, slice):
            reach = range(size)[part]
            if reach.step < 0:
                reach = reach[::-1]
                flipped.append(axis)
                part = slice(reach.start, reach.stop, reach.step) if len(reach) else slice(0, 0)
            axis += 1
        parts.append(part)
    return tuple(parts), flipped


def take(x: Tensor, index: tuple[Any, ...]) -> Tensor:
    """Give x[index] for basic indexing; negative steps as in NumPy."""
    forward, flipped = _forward(index, x.shape)
    taken = x[forward]
    return torch.flip(taken, flipped) if flipped else taken


def place(x: Any, index: tuple[Any, ...], shape: tuple[int, ...]) -> Tensor:
    """Transpose of `take`: zeros of ``shape`` with ``x`` at ``index``."""
    (x,) = tensors(x)
    forward, flipped = _forward(index, shape)
    out = x.new_zeros(shape)
    out[forward] = torch.flip(x, flipped) if flipped else x
    return out
