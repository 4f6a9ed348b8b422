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
    "squares underflow": 1e-170 * np.linspace(1.0, 2.0, 40),
    "huge": 1e120 * np.geomspace(1e-3, 1.0, 12),
}


def from_spectrum(eigenvalues, seed=0):
    size = len(eigenvalues)
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
    matrix = q * eigenvalues @ q.T
    return (matrix + matrix.T) / 2


def symmetric_noise(size, seed=1):
    """A matrix of independent entries, with eigenvalues in a half circle on [-1, 1]."""
    draws = np.random.default_rng(seed).normal(size=(size, size))
    return (draws + draws.T) / np.sqrt(8 * size)


_ORDER = np.arange(1.0, 61.0)
TRACES = {
    "fast": from_spectrum(0.6**_ORDER),
    "flat": from_spectrum(np.linspace(1.0, 3.0, 60)),
    "slow power": from_spectrum(_ORDER**-0.5),
    "power": from_spectrum(_ORDER**-2),
    "rank one and noise": from_spectrum(np.r_[1.0, np.zeros(59)]) + 1e-3 * symmetric_noise(60),
    "diagonal": np.diag(0.8**_ORDER),
    "indefinite": from_spectrum(np.linspace(-1.0, 2.0, 60)),
    "alternating": from_spectrum((-1.0) ** _ORDER / _ORDER),
    "noise": symmetric_noise(60),
    "rank six": from_spectrum(np.r_[np.ones(6), np.zeros(54)]),
    "gap": from_spectrum(np.r_[np.linspace(1.0, 2.0, 9), 1e-6 * np.ones(51)]),
    "two entries": np.diag([1.0], -59) + np.diag([1.0], 59),
}
"""Symmetric matrices of 60 rows for traces: all kinds of decay, and those that mislead an error estimate."""


MATRICES = {name: from_spectrum(eigenvalues) for name, eigenvalues in SPECTRA.items()}


@pytest.fixture(params=SPECTRA)
def spectral(request):
    """A matrix of every kind, and its eigenvalues."""
    matrix = MATRICES[request.param]
    return matrix, np.linalg.eigvalsh(matrix)


@pytest.fixture(params=TRACES)
def traced(request):
    """A matrix of 60 rows of every kind that a trace is taken of."""
    return TRACES[request.param]


@pytest.fixture(params=[name for name, matrix in TRACES.items() if np.linalg.eigvalsh(matrix)[0] > -1e-12])
def semidefinite(request):
    """Those without negative eigenvalues."""
    return TRACES[request.param]


@pytest.fixture
def trace_matrix_of():
    """One of them by name."""
    return TRACES.__getitem__


@pytest.fixture
def matrix_of():
    """A matrix by its name in the list, or with given eigenvalues."""
    return lambda kind: MATRICES[kind] if isinstance(kind, str) else from_spectrum(np.asarray(kind, dtype=float))
