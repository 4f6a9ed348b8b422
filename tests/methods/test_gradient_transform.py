"""Gradient transforms beside torch's clipping and plain formulas, on one array and on leaves."""

import numpy as np
import pytest

from thalweg.core.errors import InputError
from thalweg.core.operator import LinearOperator
from thalweg.core.vector import Vector, as_vector, flat, like, norm
from thalweg.methods.gradient_transform import ClipNorm, ClipValue, Precondition, WeightDecay
from tolerances import arithmetic, summation

X = np.array([1.0, -2.0, 0.5, 3.0])
G = np.array([3.0, -4.0, 0.0, 12.0])


def leaves(array):
    return as_vector((array[:1].reshape(1, 1), array[1:]), "x")


@pytest.mark.parametrize("limit", [0.5, 13.0, 100.0])
def test_clipping_is_torchs(limit):
    torch = pytest.importorskip("torch")
    parameter = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    for ours, theirs in (
        (ClipNorm(limit), lambda: torch.nn.utils.clip_grad_norm_([parameter], limit)),
        (ClipValue(limit), lambda: torch.nn.utils.clip_grad_value_([parameter], limit)),
    ):
        parameter.grad = torch.tensor(G)
        theirs()
        # torch divides by the norm plus 1e-6.
        np.testing.assert_allclose(ours(X, G), parameter.grad.numpy(), rtol=1e-6 / 13 + arithmetic())
        np.testing.assert_allclose(flat(ours(leaves(X), leaves(G))), ours(X, G), rtol=summation(4))


def test_a_clipped_gradient_has_the_limit_and_the_direction():
    clipped = ClipNorm(0.5)(X, G)
    assert norm(clipped) == pytest.approx(0.5, rel=arithmetic(operations=4))
    assert clipped @ G == pytest.approx(norm(clipped) * norm(G), rel=summation(4))
    assert ClipNorm(13.0 + 1e-9)(X, G) is G


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_not_hidden(value):
    assert not np.isfinite(ClipNorm(1.0)(X, np.array([value, 1, 1, 1]))).all()


def test_weight_decay_is_the_gradient_of_a_square():
    np.testing.assert_array_equal(WeightDecay(0.1)(X, G), G + 0.1 * X)


class Doubling(LinearOperator):
    shape, dtype = (4, 4), np.dtype(float)

    def matvec(self, v):
        return 2 * v

    def rmatvec(self, u):
        return 2 * u


def test_preconditioning_by_diagonal_matrix_and_operator():
    A = np.random.default_rng(0).normal(size=(4, 4))
    P = A @ A.T + np.eye(4)
    np.testing.assert_allclose(Precondition(P)(X, G), P @ G, rtol=summation(4))
    np.testing.assert_array_equal(Precondition([1.0, 2, 3, 4])(X, G), [1, 2, 3, 4] * G)
    np.testing.assert_array_equal(Precondition(Doubling())(X, G), 2 * G)
    found = Precondition(P)(leaves(X), leaves(G))
    assert isinstance(found, Vector)
    assert [leaf.shape for leaf in found.leaves] == [(1, 1), (3,)]
    np.testing.assert_allclose(flat(found), P @ G, rtol=summation(4))


def test_torch_leaves_keep_their_library_and_precision():
    torch = pytest.importorskip("torch")
    x = as_vector(torch.tensor(X, dtype=torch.float32), "x")
    g = like(x, G)
    for transform in (ClipNorm(1.0), ClipValue(2.0), WeightDecay(0.1), Precondition(np.arange(1.0, 5.0))):
        (leaf,) = transform(x, g).leaves
        assert leaf.dtype == torch.float32
        np.testing.assert_allclose(leaf.numpy(), transform(X, G), rtol=summation(4, np.float32))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClipNorm(0.0),
        lambda: ClipNorm(-1.0),
        lambda: ClipNorm(np.inf),
        lambda: ClipValue(np.nan),
        lambda: ClipValue(True),
        lambda: WeightDecay(-0.1),
        lambda: Precondition([1.0, -1.0]),
        lambda: Precondition(np.zeros((2, 3))),
        lambda: Precondition([1.0, np.nan]),
        lambda: Precondition("diagonal"),
        lambda: Precondition([[1.0, 2.0], [2.0, 1.0]]),
        lambda: Precondition([[1.0, 0.5], [0.0, 1.0]]),
        lambda: Precondition(np.eye(3))(X, G),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.remedy


def test_matrices_computed_in_single_precision_are_symmetric_enough():
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=(200, 20)).astype(np.float32), rng.random(200).astype(np.float32)
    matrix = (rows * weights[:, None]).T @ rows
    assert np.abs(matrix - matrix.T).max() > 0
    Precondition(matrix)
    with pytest.raises(InputError, match="not symmetric"):
        Precondition(np.array([[1.0, 2e-3], [0.0, 1.0]]))
