"""Training examples as tensors whose rows belong together: from tensors, a torch Dataset or a DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from thalweg.core.errors import InputError

WANTED = "pass tensors with one row for each example, a torch Dataset or a DataLoader"


class Examples:
    """Examples that can be taken by their numbers.

    Args:
        data: A tensor, or a tuple, list or mapping of tensors, whose first dimension counts the examples; a Dataset,
            collated once; or a DataLoader, whose dataset is collated once by its own function. Random augmentation is
            therefore drawn once, and the loader's batch size, order and ``drop_last`` do not matter.

    Raises:
        InputError: Nothing of that kind, no examples, or tensors that disagree on their number.

    Attributes:
        tree: Tensors, in the structure in which a loss function gets them.
        n: Number of examples.

    """

    def __init__(self, data: Any) -> None:
        self.tree = _collated(data)
        counts: list[int] = []
        _mapped(self.tree, lambda tensor: counts.append(_rows(tensor)))
        if not counts or counts[0] == 0:
            raise InputError("data holds no examples", WANTED)
        if len(set(counts)) > 1:
            raise InputError(f"data's tensors have {', '.join(map(str, counts))} rows", "give each one row per example")
        self.n = counts[0]

    def block(self, start: int, end: int) -> Any:
        """Examples start to end - 1, without a copy."""
        return _mapped(self.tree, lambda tensor: tensor[start:end])

    def take(self, indices: np.ndarray) -> Any:
        """The examples with these numbers, shape (count,), in this order."""
        return _mapped(self.tree, lambda tensor: tensor[torch.as_tensor(indices, device=tensor.device)])

    def checked(self, indices: Any) -> np.ndarray:
        """Numbers of examples as an array of shape (count,).

        Raises:
            InputError: None at all, not whole numbers, or none of these examples.

        """
        array = np.atleast_1d(np.asarray(indices))
        if array.ndim != 1 or not array.size or array.dtype.kind not in "iu":
            raise InputError(
                f"indices={indices!r:.60} has shape {array.shape} and dtype {array.dtype}",
                "pass whole numbers, shape (count,)",
            )
        if array.min() < 0 or array.max() >= self.n:
            raise InputError(f"indices reach from {array.min()} to {array.max()}", f"number examples 0 to {self.n - 1}")
        return array


def _collated(data: Any) -> Any:
    if isinstance(data, DataLoader):
        if isinstance(data.dataset, IterableDataset) or data.batch_size is None:
            raise InputError("data is a DataLoader over a stream", "collect it in tensors, or pass a Dataset")
        return _from_dataset(data.dataset, data.collate_fn)
    if isinstance(data, Dataset):
        if isinstance(data, IterableDataset):
            raise InputError("data is a stream of examples", "collect it in tensors")
        return _from_dataset(data, default_collate)
    if isinstance(data, torch.Tensor | tuple | list | Mapping):
        return _mapped(data, lambda tensor: tensor)
    raise InputError(f"data is a {type(data).__name__}", WANTED)


def _from_dataset(dataset: Any, collate: Callable[[list[Any]], Any]) -> Any:
    if isinstance(dataset, TensorDataset) and collate is default_collate:
        return dataset.tensors
    count = len(dataset)
    if not count:
        raise InputError("data holds no examples", WANTED)
    return _mapped(collate([dataset[i] for i in range(count)]), lambda tensor: tensor)


def _rows(tensor: torch.Tensor) -> int:
    if tensor.ndim == 0:
        raise InputError("data holds a tensor without dimensions", "give each tensor one row per example")
    return int(tensor.shape[0])


def _mapped(tree: Any, function: Callable[[torch.Tensor], Any]) -> Any:
    """A function of every tensor, in the same structure."""
    if isinstance(tree, torch.Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {key: _mapped(value, function) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        parts = [_mapped(value, function) for value in tree]
        return parts if isinstance(tree, list) else tuple(parts)
    raise InputError(f"data holds a {type(tree).__name__}", f"{WANTED}; torch.as_tensor makes a tensor of an array")
