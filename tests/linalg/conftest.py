"""Symmetric matrices with known eigenvalues: the problem list of everything that works by products."""

import numpy as np
import pytest

SPECTRA = {
    "one": np.array([-2.5]),
    "two": np.array([-1.0, 1.0]),
    "indefinite": np.linspace(-1.0, 2.0, 30),
    "geometric": np.geomspace(1e-6, 1.0, 30),
    "clustered": np.r_[1 + 1e-6 * np.arange(60), 3.0, 3.0, 3 + 1e-9, 10.0],
    "singular": np.r_[np.zeros(100), np.linspace(0.5, 4.0, 100)],
    "rank-one": np.r_[np.zeros(49), 7.0],
    "multiple of the identity": np.full(20, 5.0),
    "zero": np.zeros(3),
    "tiny": 1e-120 * np.geomspace(1e-3, 1.0, 12),
    "huge": 1e120 * np.geomspace(1e-3, 1.0, 12),
}


def from_spectrum(eigenvalues, seed=0):
    size = len(eigenvalues)
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
    matrix = q * eigenvalues @ q.T
    return (matrix + matrix.T) / 2


MATRICES = {name: from_spectrum(eigenvalues) for name, eigenvalues in SPECTRA.items()}


@pytest.fixture(params=SPECTRA)
def spectral(request):
    """A matrix of every kind, and its eigenvalues."""
    matrix = MATRICES[request.param]
    return matrix, np.linalg.eigvalsh(matrix)


@pytest.fixture
def matrix_of():
    """A matrix by its name in the list, or with given eigenvalues."""
    return lambda kind: MATRICES[kind] if isinstance(kind, str) else from_spectrum(np.asarray(kind, dtype=float))
