"""Row operators against dense algebra, in every storage and blocking."""

import numpy as np
import pytest
import scipy.sparse as sp

from thalweg.core.errors import InputError
from thalweg.linalg import as_rows
from tolerances import summation

N, D = 57, 6


def matrices():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)) * (rng.random((N, D)) < 0.6) + [0, 100, 0, 0, 0, 0]
    X[:, 3] = 2.5
    X[:, 4] = 0.0
    return X


FORMS = {
    "C": lambda X: X,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
    "float32": lambda X: X.astype(np.float32),
    "csr": sp.csr_array,
    "csc": sp.csc_array,
    "coo": sp.coo_array,
}


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_products_equal_dense_ones(form, blocked, monkeypatch):
    if blocked:
        monkeypatch.setattr("thalweg.linalg.rows.SINGLE_BLOCK_ELEMENTS", 1)
        monkeypatch.setattr("thalweg.linalg.rows.BLOCK_ELEMENTS", 1)
    X = matrices()
    rows = as_rows(FORMS[form](X))
    if form == "float32":
        X = X.astype(np.float32).astype(np.float64)
    if blocked:
        monkeypatch.setattr(type(rows), "blocks", [slice(0, 20), slice(20, 21), slice(21, N)])
    rng = np.random.default_rng(1)
    tolerance = summation(N) * 100 * 100
    for shape in ((), (3,)):
        v, u = rng.normal(size=(D, *shape)), rng.normal(size=(N, *shape))
        np.testing.assert_allclose(rows.matvec(v), X @ v, atol=tolerance)
        np.testing.assert_allclose(rows.rmatvec(u), X.T @ u, atol=tolerance)
    for weights in (rng.random(N), rng.normal(size=N), rng.random((N, 4))):
        expected = np.einsum("n...,ni,nj->...ij", weights, X, X)
        np.testing.assert_allclose(rows.gram(weights), expected, atol=10 * tolerance)
    mean, deviation, constant = rows.moments()
    np.testing.assert_allclose(mean, X.mean(axis=0), atol=tolerance)
    np.testing.assert_allclose(deviation, X.std(axis=0), atol=tolerance)
    assert constant.tolist() == [False, False, False, True, True, False]
    if not blocked:
        np.testing.assert_array_equal(rows.take(np.array([3, 1])).matvec(np.eye(D)), X[[3, 1]])


def test_other_things_are_refused_by_name():
    with pytest.raises(InputError, match="X is a list"):
        as_rows([[1.0]])
