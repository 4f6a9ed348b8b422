"""What torch lacks, or writes otherwise, of the rows that index, order and measure; their spellings name these."""

from __future__ import annotations

from typing import Any

import torch

from thalweg.expr.numeric_index import ARRAY

Tensor = torch.Tensor
_FLOATS = {16: torch.float16, 32: torch.float32, 64: torch.float64}


def gather(x: Tensor, *arguments: Any) -> Tensor:
    """Give x[pattern] with index tensors, negative steps included; see `numeric_index.gather`."""
    *indices, pattern, _ = arguments
    rest = iter(indices)
    key: list[Any] = []
    axis = 0
    for p in pattern:
        if p is None or isinstance(p, int):
            key.append(p)
        elif p == ARRAY:
            key.append(torch.as_tensor(next(rest), device=x.device))
        elif p[2] is None or p[2] > 0:
            key.append(slice(*p))
        else:
            places = range(*slice(*p).indices(x.shape[axis]))
            x = x.flip(axis)
            first = x.shape[axis] - 1 - places.start
            key.append(slice(first, first + len(places) * -p[2], -p[2]))
        axis += p is not None
    return x[tuple(key)]


def index_add(x: Tensor, *arguments: Any) -> Tensor:
    """Give zeros of the shape given last, with ``x`` added at the index; see `numeric_index.index_add`."""
    *indices, pattern, distinct, shape = arguments
    out = torch.zeros(shape, dtype=x.dtype, device=x.device)
    places = gather(torch.arange(out.numel(), device=x.device).reshape(shape), *indices, pattern, distinct)
    return out.reshape(-1).index_add(0, places.reshape(-1), x.reshape(-1)).reshape(shape)


def along_add(x: Tensor, index: Tensor, axis: int, size: int, distinct: bool) -> Tensor:
    """Give zeros with ``size`` entries along ``axis``, and ``x`` added where ``index`` says."""
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    index = torch.as_tensor(index, device=x.device)
    return torch.zeros(shape, dtype=x.dtype, device=x.device).scatter_add(axis, index % max(size, 1), x)


def along(x: Tensor, index: Tensor, axis: int, distinct: bool) -> Tensor:
    """Give from each line of ``x`` along ``axis`` the entries that ``index`` names."""
    index = torch.as_tensor(index, device=x.device)
    return torch.gather(x, axis, torch.where(index < 0, index + x.shape[axis], index))


def cumsum(x: Tensor, axis: int, backwards: bool) -> Tensor:
    """Give running sums along an axis, from its end if ``backwards``."""
    return x.flip(axis).cumsum(axis).flip(axis) if backwards else x.cumsum(axis)


def cast(x: Tensor, bits: int) -> Tensor:
    """Give a tensor in another floating precision."""
    return x.to(_FLOATS[bits])


def whole(x: Tensor) -> Tensor:
    """Give the integer parts as whole numbers."""
    return x.to(torch.int64)


def _both(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """Turn a number beside a tensor into a tensor of its precision."""
    if not isinstance(x, Tensor):
        return torch.as_tensor(x, dtype=y.dtype, device=y.device), y
    return x, y if isinstance(y, Tensor) else torch.as_tensor(y, dtype=x.dtype, device=x.device)


def hypot(x: Any, y: Any) -> Tensor:
    """Give the length of (x, y)."""
    return torch.hypot(*_both(x, y))


def floor_divide(x: Any, y: Any) -> Tensor:
    """Give the floor of x / y."""
    return torch.floor_divide(*_both(x, y))


def remainder(x: Any, y: Any) -> Tensor:
    """Give x - floor(x / y) y."""
    return torch.remainder(*_both(x, y))


def cbrt(x: Tensor) -> Tensor:
    """Give the real cube root."""
    return torch.sign(x) * torch.abs(x) ** (1 / 3)
