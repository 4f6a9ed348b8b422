"""Algorithms on linear operators."""

from thalweg.linalg.density import Density, effective_dimension, spectral_density, spectrum_of
from thalweg.linalg.factor import Factor, factor
from thalweg.linalg.krylov import CgHistory, Extreme, power_iteration, preconditioned_cg
from thalweg.linalg.lanczos import Lanczos, lanczos
from thalweg.linalg.quadrature import Quadrature
from thalweg.linalg.rows import DenseRows, Rows, SparseRows, as_rows
from thalweg.linalg.trace import Estimate, hutchinson, hutchinson_diagonal

__all__ = [
    "CgHistory",
    "DenseRows",
    "Factor",
    "Density",
    "Estimate",
    "Extreme",
    "Lanczos",
    "Quadrature",
    "Rows",
    "SparseRows",
    "as_rows",
    "effective_dimension",
    "factor",
    "hutchinson",
    "hutchinson_diagonal",
    "lanczos",
    "power_iteration",
    "preconditioned_cg",
    "spectral_density",
    "spectrum_of",
]
