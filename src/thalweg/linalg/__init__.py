"""Algorithms on linear operators."""

from thalweg.linalg.density import Density, effective_dimension, spectral_density, spectrum_of
from thalweg.linalg.factor import Factor, factor
from thalweg.linalg.function_trace import trace_of_function
from thalweg.linalg.hutch_plus_plus import hutch_plus_plus
from thalweg.linalg.krylov import CgHistory, Extreme, power_iteration, preconditioned_cg
from thalweg.linalg.lanczos import Lanczos, lanczos
from thalweg.linalg.log_determinant import log_determinant
from thalweg.linalg.quadrature import Quadrature
from thalweg.linalg.rows import DenseRows, Rows, SparseRows, as_rows
from thalweg.linalg.splitting import Splitting, diagonal_splitting, nystrom_splitting
from thalweg.linalg.trace import Estimate, hutchinson, hutchinson_diagonal
from thalweg.linalg.xnystrace import xnystrace
from thalweg.linalg.xtrace import xtrace

__all__ = [
    "CgHistory",
    "DenseRows",
    "Density",
    "Estimate",
    "Extreme",
    "Factor",
    "Lanczos",
    "Quadrature",
    "Rows",
    "SparseRows",
    "Splitting",
    "as_rows",
    "diagonal_splitting",
    "effective_dimension",
    "factor",
    "hutch_plus_plus",
    "hutchinson",
    "hutchinson_diagonal",
    "lanczos",
    "log_determinant",
    "nystrom_splitting",
    "power_iteration",
    "preconditioned_cg",
    "spectral_density",
    "spectrum_of",
    "trace_of_function",
    "xnystrace",
    "xtrace",
]
