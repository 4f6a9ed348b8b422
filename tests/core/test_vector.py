"""Vectors of leaves compute what their entries in one array compute, and come back as the user gave them."""

import pickle

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.core.vector import (
    Vector,
    absolute,
    as_user_sees,
    as_vector,
    eps,
    finite,
    flat,
    laid_out_like,
    leafwise,
    like,
    maximum,
    norm,
    sign,
    sqrt,
    zeros_like,
)
from tolerances import arithmetic, summation
from tolerances import eps as eps_of

rng = np.random.default_rng(0)
MATRIX, ROW, CUBE = rng.normal(size=(3, 2)), rng.normal(size=4), rng.normal(size=(2, 1, 2))
# What a user may give, with its entries in order.
GIVEN = {
    "number": (2.5, [2.5]),
    "whole number": (3, [3.0]),
    "array": (ROW, ROW),
    "list of numbers": ([1.0, 2, 3.5], [1.0, 2.0, 3.5]),
    "whole array": (np.arange(3), [0.0, 1.0, 2.0]),
    "matrix": (MATRIX, MATRIX.ravel()),
    "nested list": ([[1, 2], [3, 4]], [1.0, 2.0, 3.0, 4.0]),
    "fortran": (np.asfortranarray(MATRIX), MATRIX.ravel()),
    "transposed": (MATRIX.T, MATRIX.T.ravel()),
    "tuple": ((MATRIX, ROW), np.concatenate([MATRIX.ravel(), ROW])),
    "list": ([ROW, MATRIX, CUBE], np.concatenate([ROW, MATRIX.ravel(), CUBE.ravel()])),
    "tuple with a number": ((ROW, 1.5), [*ROW, 1.5]),
    "mapping": ({"w": MATRIX, "b": 0.5}, [*MATRIX.ravel(), 0.5]),
    "mapping by number": ({1: ROW, "1": CUBE}, np.concatenate([ROW, CUBE.ravel()])),
    "float32": (ROW.astype(np.float32), ROW.astype(np.float32)),
    "float32 leaves": ((MATRIX.astype(np.float32), ROW.astype(np.float32)), None),
}
VECTORS = {name: as_vector(given) for name, (given, _) in GIVEN.items()}


def torch_of(x):
    """The same structure with tensors in it."""
    torch = pytest.importorskip("torch")
    if isinstance(x, dict):
        return {key: torch.as_tensor(np.asarray(a)) for key, a in x.items()}
    return type(x)(torch.as_tensor(a) for a in x) if isinstance(x, (tuple, list)) else torch.as_tensor(x)


@pytest.mark.parametrize("name", GIVEN)
def test_what_was_given_comes_back_with_its_entries_in_order(name):
    given, entries = GIVEN[name]
    x = as_vector(given)
    seen = as_user_sees(x)
    if isinstance(given, dict):
        assert seen.keys() == given.keys()
        assert all(np.array_equal(seen[key], given[key]) for key in given)
    elif isinstance(given, tuple) or name == "list":
        assert type(seen) is type(given)
        assert all(np.array_equal(a, b) for a, b in zip(seen, given, strict=True))
    else:
        assert isinstance(seen, np.ndarray)
        assert np.array_equal(seen, given)
    if entries is not None:
        assert np.array_equal(flat(x), entries)
    assert x.size == len(flat(x))
    assert type(x) is np.ndarray or isinstance(x, Vector)


@pytest.mark.parametrize("name", ["matrix", "tuple", "list", "mapping", "float32 leaves", "array"])
def test_tensors_come_back_as_tensors(name):
    torch = pytest.importorskip("torch")
    given = torch_of(GIVEN[name][0])
    x = as_vector(given)
    assert isinstance(x, Vector)
    assert np.array_equal(flat(x), flat(VECTORS[name]))
    seen = as_user_sees(x)
    leaves = list(seen.values()) if isinstance(seen, dict) else seen if isinstance(seen, (tuple, list)) else [seen]
    assert all(isinstance(a, torch.Tensor) for a in leaves)
    again = like(x, flat(x))
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(again.leaves, x.leaves, strict=True))


def test_tensors_that_carry_gradients_are_cut_loose():
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.ones(2))
    (leaf,) = as_vector((parameter,)).leaves
    assert not leaf.requires_grad
    leaf += 1
    assert parameter.detach().tolist() == [1.0, 1.0]
    assert flat(as_vector((torch.ones(2, dtype=torch.bfloat16),))).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", ["array", "matrix", "tuple", "mapping"])
def test_leaves_are_copies(name):
    x = as_vector(GIVEN[name][0])
    before = flat(x).copy()
    kept = flat(VECTORS[name]).copy()
    for leaf in x.leaves if isinstance(x, Vector) else (x,):
        leaf += 1.0
    assert np.array_equal(flat(VECTORS[name]), kept)
    assert np.array_equal(flat(as_vector(GIVEN[name][0])), before)
    again = as_vector(x)
    flat_before = flat(again).copy()
    for leaf in x.leaves if isinstance(x, Vector) else (x,):
        leaf += 1.0
    assert np.array_equal(flat(again), flat_before)


def pairs():
    for name, x in VECTORS.items():
        entries = np.linspace(-1.0, 2.0, x.size)
        yield name, x, like(x, entries.astype(flat(x).dtype))


@pytest.mark.parametrize(("name", "x", "y"), list(pairs()), ids=lambda a: a if isinstance(a, str) else "")
def test_arithmetic_is_that_of_the_entries(name, x, y):
    a, b = flat(x), flat(y)
    for got, expected in (
        (x + y, a + b), (x - y, a - b), (x * y, a * b), (x / (2.0 + y), a / (2 + b)), (-x, -a),
        (2.5 * x, 2.5 * a), (x * 2.5, 2.5 * a), (x / 4.0, a / 4), (x + 1.0, a + 1), (1.0 + x, a + 1), (x - 1.0, a - 1),
        (np.float64(2.5) * x if isinstance(x, Vector) else 2.5 * x, 2.5 * a),
        (sqrt(absolute(x)), np.sqrt(np.abs(a))), (sign(x), np.sign(a)), (maximum(x, y), np.maximum(a, b)),
        (zeros_like(x), np.zeros_like(a)), (leafwise(lambda u, v: u * u + v, x, y), a * a + b),
    ):  # fmt: skip
        assert type(got) is type(x)
        assert np.array_equal(flat(got), expected)
        assert flat(got).dtype == a.dtype
        if isinstance(x, Vector):
            assert got.form == x.form
            assert [leaf.shape for leaf in got.leaves] == [leaf.shape for leaf in x.leaves]
    inner, size = float(np.asarray(a, dtype=float) @ b), float(np.abs(a) @ np.abs(b))
    assert float(x @ y) == pytest.approx(inner, rel=0, abs=summation(x.size, a.dtype) * size)
    assert norm(x) == pytest.approx(float(np.linalg.norm(a.astype(float))), rel=arithmetic(a.dtype, x.size))
    assert eps(x) == eps_of(a.dtype)


@pytest.mark.parametrize("name", ["matrix", "tuple", "list", "mapping", "float32 leaves"])
def test_arithmetic_of_tensors_is_that_of_arrays(name):
    torch = pytest.importorskip("torch")
    x = as_vector(torch_of(GIVEN[name][0]))
    y = VECTORS[name]
    for function in (
        lambda v: 2.0 * v - v * v / (1.0 + v * v),
        lambda v: sqrt(absolute(v)),
        lambda v: maximum(v, -v),
        sign,
        zeros_like,
    ):
        got, expected = function(x), function(y)
        assert all(isinstance(leaf, torch.Tensor) for leaf in got.leaves)
        assert flat(got) == pytest.approx(flat(expected), rel=arithmetic(flat(y).dtype, 10))
    assert x @ x == pytest.approx(y @ y, rel=summation(y.size, flat(y).dtype))
    assert eps(x) == eps(y)


def test_the_coarsest_leaf_sets_the_precision():
    assert eps(as_vector((np.ones(2), np.ones(1, dtype=np.float32)))) == eps_of(np.float32)


def test_a_number_from_numpy_does_not_take_a_vector_apart():
    x = VECTORS["tuple"]
    assert isinstance(np.float64(2.0) * x, Vector)
    with pytest.raises(TypeError):
        _ = np.ones(2) * x


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_seen_and_survive_products(bad):
    x = Vector((np.array([1.0, bad]), np.ones(2)))
    y = Vector((np.array([1.0, 1.0]), np.array([1.0, -bad])))
    assert not finite(x)
    assert finite(VECTORS["mapping"])
    assert not np.isfinite(x @ y)
    assert not np.isfinite(norm(x))
    assert Vector((np.array([1e200]), np.array([1e200]))) @ Vector((np.array([1e107]), np.array([1e107]))) > 1e307


@pytest.mark.parametrize("name", ["array", "matrix", "tuple", "list", "mapping", "float32", "float32 leaves"])
def test_entries_take_the_layout(name):
    x = VECTORS[name]
    entries = np.arange(float(x.size))
    y = like(x, entries)
    assert type(y) is type(x)
    assert np.array_equal(flat(y), entries)
    leaves = zip(y.leaves, x.leaves, strict=True) if isinstance(x, Vector) else [(y, x)]
    assert all(a.dtype == b.dtype and a.shape == b.shape for a, b in leaves)


def test_layouts_are_followed_by_name_and_type():
    x = as_vector({"a": np.zeros(2, dtype=np.float32), "b": 0.0})
    y = laid_out_like({"b": 3, "a": [1.0, 2.0]}, x, "y")
    assert y.form == ("a", "b")
    assert [leaf.dtype for leaf in y.leaves] == [np.float32, np.float64]
    assert flat(y).tolist() == [1.0, 2.0, 3.0]
    torch = pytest.importorskip("torch")
    z = laid_out_like({"b": 3.0, "a": np.ones(2)}, as_vector({"a": torch.zeros(2), "b": torch.zeros(())}), "z")
    assert all(isinstance(leaf, torch.Tensor) and leaf.dtype == torch.float32 for leaf in z.leaves)
    row = np.array([1.0, np.nan])
    copied = laid_out_like(row, np.zeros(2), "row")
    assert copied is not row
    assert np.isnan(copied[1])  # a gradient may be that; who asked looks
    assert laid_out_like((1, 2), np.zeros(2, dtype=np.float32), "pair").dtype == np.float32
    assert laid_out_like([ROW, MATRIX], as_vector((ROW, MATRIX)), "list").form == "tuple"


@pytest.mark.parametrize(
    ("given", "layout"),
    [
        (np.ones(3), np.zeros(2)),
        (np.ones((2, 1)), np.zeros(2)),
        (1.0, np.zeros(1)),
        ({"a": 1.0, "c": 2.0}, as_vector({"a": 1.0, "b": 2.0})),
        ({"a": 1.0}, as_vector({"a": 1.0, "b": 2.0})),
        ((1.0, 2.0), as_vector({"a": 1.0, "b": 2.0})),
        ({"a": np.ones(2), "b": 2.0}, as_vector({"a": 1.0, "b": 2.0})),
        ((np.ones(2), np.ones(3)), as_vector((np.ones(3), np.ones(2)))),
        (None, np.zeros(2)),
    ],
)
def test_another_layout_is_refused_by_name(given, layout):
    with pytest.raises(InputError, match="thing"):
        laid_out_like(given, layout, "thing")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "dtype object"),
        ("abc", "dtype <U3"),
        (True, "dtype bool"),
        ([True, False], "dtype bool"),
        ([1j], "complex128"),
        ([], "shape"),
        ((), "shape"),
        ({}, "no entries"),
        (np.zeros((0, 3)), "shape"),
        ((np.zeros(0), np.zeros(0)), "no entries"),
        ([[1, 2], [3]], "ragged"),
        (np.nan, "not finite"),
        ([1.0, np.inf], "not finite"),
        ((np.ones(2), np.array([np.nan])), r"x0\[1\] .* not finite"),
        ({"w": 1.0, "b": [np.inf]}, r"x0\['b'\] .* not finite"),
        ({"a": {"b": "text"}}, r"x0\['a'\]\['b'\]"),
        ((np.ones(2), "b"), r"x0\[1\]"),
        (np.array([1, None]), "dtype object"),
        (10**400, "dtype object"),
        (iter([1.0]), "dtype object"),
    ],
)
def test_what_is_no_vector_of_numbers_is_refused_by_name(given, message):
    with pytest.raises(InputError, match=message) as caught:
        as_vector(given)
    assert "x0" in caught.value.problem
    assert caught.value.remedy


def test_tensors_that_are_no_vectors_are_refused():
    torch = pytest.importorskip("torch")
    for bad in (
        torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.complex64), torch.tensor([torch.nan]),
        torch.ones(2).to_sparse(), torch.ones(0), (torch.ones(2), np.ones(2)),
    ):  # fmt: skip
        with pytest.raises(InputError, match="x0"):
            as_vector(bad)


def test_other_precisions_become_float64():
    for dtype in (np.float16, np.longdouble, ">f8", ">f4", np.int8, np.uint64):
        assert as_vector(np.ones(2, dtype=dtype)).dtype == np.float64


def test_a_vector_reads_well_and_is_pickled():
    x = VECTORS["mapping"]
    assert repr(x) == "Vector((3, 2), ())"
    again = pickle.loads(pickle.dumps(x))
    assert again.form == x.form
    assert np.array_equal(flat(again), flat(x))
