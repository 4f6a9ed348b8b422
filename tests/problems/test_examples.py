"""Examples from tensors, datasets and loaders are the same tensors, row by row."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset  # noqa: E402

from thalweg.core.errors import InputError  # noqa: E402
from thalweg.problems.examples import Examples  # noqa: E402

X, Y = torch.arange(12.0).reshape(6, 2), torch.arange(6)


class Pairs(Dataset):
    """Rows that are made when asked for: a mapping of an array, a number and a tensor."""

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return {"x": X[i].numpy(), "y": int(Y[i]), "square": X[i] ** 2}


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


def padded(rows):
    """A collate function of the user's: rows of growing length, padded to the longest."""
    return torch.nn.utils.rnn.pad_sequence([x[: 1 + y % 2] for x, y in rows], batch_first=True), torch.tensor(
        [int(y) for _, y in rows]
    )


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        TensorDataset(X, Y),
        DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=True, drop_last=True),
    ],
    ids=["tuple", "list", "dataset", "loader"],
)
def test_every_door_gives_the_same_rows(data):
    examples = Examples(data)
    assert examples.n == 6
    assert isinstance(examples.tree, list if isinstance(data, list) else tuple)
    for got, expected in zip(examples.block(1, 3), (X[1:3], Y[1:3]), strict=True):
        assert torch.equal(got, expected)
    for got, expected in zip(examples.take(np.array([5, 0, 5])), (X[[5, 0, 5]], Y[[5, 0, 5]]), strict=True):
        assert torch.equal(got, expected)


def test_a_dataset_of_mappings_is_collated_as_a_loader_would():
    examples = Examples(Pairs())
    (batch,) = DataLoader(Pairs(), batch_size=6)
    assert examples.tree.keys() == batch.keys()
    assert all(torch.equal(examples.tree[key], batch[key]) for key in batch)
    assert torch.equal(examples.take(np.array([2]))["square"], X[[2]] ** 2)


def test_a_loader_brings_its_own_collate_function():
    examples = Examples(DataLoader(TensorDataset(X, Y), batch_size=2, collate_fn=padded))
    assert torch.equal(examples.tree[0], padded(list(zip(X, Y, strict=True)))[0])


def test_a_single_tensor_is_its_own_batch():
    assert torch.equal(Examples(X).block(0, 2), X[:2])


def test_blocks_are_views_and_no_generator_is_touched():
    before = torch.random.get_rng_state()
    examples = Examples(DataLoader(TensorDataset(X, Y), batch_size=2, shuffle=True))
    assert examples.block(0, 6)[0].data_ptr() == X.data_ptr()
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Stream(), "stream"),
        (DataLoader(Stream()), "stream"),
        (DataLoader(TensorDataset(X), batch_size=None), "stream"),
        ((X, Y.numpy()), "ndarray"),
        (X.numpy(), "ndarray"),
        (None, "NoneType"),
        ("rows", "str"),
        ((X, 3.0), "float"),
        ((), "no examples"),
        ({}, "no examples"),
        (X[:0], "no examples"),
        (TensorDataset(X[:0]), "no examples"),
        ((X, Y[:3]), "6, 3 rows"),
        ((X, torch.tensor(1.0)), "without dimensions"),
    ],
)
def test_what_holds_no_examples_is_refused_by_name(data, message):
    with pytest.raises(InputError, match=message):
        Examples(data)


def test_numbers_of_examples_are_checked():
    examples = Examples(X)
    assert examples.checked(3).tolist() == [3]
    assert examples.checked([0, 5, 0]).tolist() == [0, 5, 0]
    for bad in ([6], [-1], [1.0], [True], [], [[1]], "2", None):
        with pytest.raises(InputError, match="indices"):
            examples.checked(bad)
