"""Products from functions, operators and matrices, one at a time and in blocks; symmetry as random vectors see it."""

import numpy as np
import pytest
import scipy.sparse as sp

from thalweg.core.errors import InputError
from thalweg.core.operator import LinearOperator
from thalweg.linalg.product import BLOCK, Product, check_symmetric
from tolerances import summation


class Counting(LinearOperator):
    """A dense matrix that counts how often it is called."""

    dtype = np.dtype(np.float64)

    def __init__(self, matrix):
        self.matrix, self.shape, self.calls = matrix, matrix.shape, 0

    def matvec(self, v):
        self.calls += 1
        return self.matrix @ v

    def rmatvec(self, u):
        return self.matrix.T @ u


@pytest.mark.parametrize(
    "made",
    [lambda A: lambda v: A @ v, Counting, np.asarray, sp.csr_array, sp.coo_matrix, lambda A: np.asfortranarray(A)],
)
def test_everything_that_multiplies_gives_the_same_products(matrix_of, made):
    matrix = matrix_of("indefinite")
    product, vectors = Product(made(matrix), 30), np.random.default_rng(0).normal(size=(30, 4))
    np.testing.assert_allclose(product.block(vectors), matrix @ vectors, atol=10 * summation(30))
    np.testing.assert_allclose(product(vectors[:, 1]), matrix @ vectors[:, 1], atol=10 * summation(30))
    assert product.count == 5


def test_an_operator_is_called_once_for_a_block_and_a_function_once_for_each_vector(matrix_of):
    operator = Counting(matrix_of("indefinite"))
    Product(operator, 30).block(np.ones((30, 7)))
    assert operator.calls == 1
    lengths = []
    Product(lambda v: lengths.append(v.shape) or v, 30).block(np.ones((30, 7)))
    assert lengths == [(30,)] * 7


def test_a_function_that_uses_its_buffer_again_fills_a_block(matrix_of):
    matrix, buffer, vectors = matrix_of("indefinite"), np.empty(30), np.random.default_rng(0).normal(size=(30, 4))
    found = Product(lambda v: np.matmul(matrix, v, out=buffer), 30).block(vectors)
    np.testing.assert_allclose(found, matrix @ vectors, atol=10 * summation(30))


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_the_columns_are_the_matrix(size):
    matrix = np.arange(size**2, dtype=float).reshape(size, size)
    product, found = Product(matrix, size), np.full((size, size), np.nan)
    for place, entries in product.columns():
        assert entries.shape[1] <= BLOCK
        found[:, place] = entries
    np.testing.assert_array_equal(found, matrix)
    assert product.count == size


def test_the_coarsest_arithmetic_is_known(matrix_of):
    matrix = matrix_of("indefinite")
    product = Product(lambda v: (matrix @ v).astype(np.float32), 30)
    assert product.eps == 2.0**-52
    product.block(np.eye(30, 2))
    assert product.eps == 2.0**-23


def test_symmetry_up_to_arithmetic(matrix_of):
    vectors = np.random.default_rng(0).normal(size=(30, 4))
    for scale in (1e-150, 1.0, 1e140):
        matrix = scale * matrix_of("indefinite")
        check_symmetric(vectors, matrix @ vectors)
        check_symmetric(vectors, (matrix @ vectors).astype(np.float32 if scale == 1.0 else np.float64))
        with pytest.raises(InputError, match="apply is not symmetric: u'Av - v'Au is"):
            check_symmetric(vectors, np.triu(matrix) @ vectors)
        with pytest.raises(InputError, match="apply is not symmetric"):
            check_symmetric(vectors, (np.triu(matrix) - np.triu(matrix).T) @ vectors)


def test_the_asymmetry_of_many_vectors_is_that_of_the_matrix():
    """Its mean square is ||A - A'||^2, on the scale of ||A||: the error states both."""
    matrix = np.random.default_rng(1).normal(size=(40, 40))
    vectors = np.random.default_rng(0).choice([-1.0, 1.0], size=(40, 400))
    with pytest.raises(InputError) as caught:
        check_symmetric(vectors, matrix @ vectors)
    words = caught.value.problem.split()
    # Means of 400 squared lengths and of 80,000 squared forms: known to a few percent.
    assert float(words[words.index("is", 3) + 1]) == pytest.approx(np.linalg.norm(matrix - matrix.T), rel=0.1)
    assert float(words[-1]) == pytest.approx(np.linalg.norm(matrix), rel=0.1)


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        ("A", "apply is a str: expected a matrix, an operator, or a function"),
        (None, "apply is a NoneType"),
        ([[1.0]], "apply is a list"),
        (np.ones(3), r"apply is an array of shape \(3,\)"),
        (np.ones((3, 2)), r"operator of shape \(3, 2\) and size=3"),
        (sp.eye_array(4), r"operator of shape \(4, 4\) and size=3"),
        (np.full((3, 3), np.nan), "row 1, column 1 is nan"),
    ],
)
def test_what_is_no_matrix_is_refused(apply, message):
    with pytest.raises(InputError, match=message):
        Product(apply, 3)


class Returning(Counting):
    """An operator whose product is the same whatever it is asked for."""

    def matvec(self, v):
        return self.matrix


def test_a_block_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"shape \(3, 3\): expected \(3, 2\)"):
        Product(Returning(np.eye(3)), 3).block(np.ones((3, 2)))


def test_entries_of_a_block_that_are_no_numbers_are_refused():
    broken = np.diag([1.0, np.inf, 1.0])
    with pytest.raises(InputError, match="apply returned inf at entry 1 in product 3: expected finite numbers"):
        Product(Returning(broken), 3).block(np.eye(3))
    with pytest.raises(InputError, match="entries of type complex128"):
        Product(Returning(1j * np.eye(3)), 3).block(np.eye(3))


def test_torch_tensors_and_numbers_whose_squares_overflow_are_matrices_too(matrix_of):
    torch = pytest.importorskip("torch")
    matrix = matrix_of(np.linspace(1, 2, 40))
    vectors = np.random.default_rng(0).normal(size=(40, 5))
    images = matrix @ vectors
    np.testing.assert_array_equal(Product(torch.tensor(matrix, requires_grad=True), 40).block(vectors), images)
    assert Product(torch.tensor(matrix, dtype=torch.float32), 40).eps == np.finfo(np.float32).eps
    check_symmetric(vectors, 1e200 * images)
    with pytest.raises(InputError, match="apply is not symmetric"):
        check_symmetric(vectors, 1e200 * np.cumsum(vectors, axis=0))
