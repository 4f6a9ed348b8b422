"""Partial differential equations as optimization, each with an answer in closed form."""

from thalweg.problems.pde.heat import Heat, forced_on_the_line, fundamental, on_the_line
from thalweg.problems.pde.mesh import Mesh, disk, square
from thalweg.problems.pde.poisson import (
    Poisson,
    green_on_disk,
    harmonic_on_disk,
    solution_on_disk,
    stencil_eigenvalues,
)

__all__ = [
    "Heat",
    "Mesh",
    "Poisson",
    "disk",
    "forced_on_the_line",
    "fundamental",
    "green_on_disk",
    "harmonic_on_disk",
    "on_the_line",
    "solution_on_disk",
    "square",
    "stencil_eigenvalues",
]
