"""Test functions with known minima and standard starts: the set of Moré, Garbow and Hillstrom, classics, quadratics."""

from __future__ import annotations

from thalweg.problems.zoo import any_size, curve_fits, many, planar, small_systems
from thalweg.problems.zoo.entry import Family, Minimum, TestFunction
from thalweg.problems.zoo.quadratics import quadratic, spectrum

__all__ = ["FAMILIES", "ZOO", "Family", "Minimum", "TestFunction", "quadratic", "spectrum"]

FAMILIES: dict[str, Family] = {family.name: family for family in (*any_size.FAMILIES, *many.FAMILIES)}
"""Functions that exist for many sizes, by name: ``FAMILIES["watson"](7)``."""

#: Sizes in ``ZOO``: those with a published minimum; else 10, and 100 where a step should cost more than its overhead.
_SIZES: dict[str, tuple[int, ...]] = {
    "watson": (6, 9, 12),
    "extended_rosenbrock": (100,),
    "extended_powell_singular": (100,),
    "penalty_1": (4, 10),
    "penalty_2": (4, 10),
    "discrete_boundary_value": (10, 50),
    "broyden_tridiagonal": (10, 100),
    "chebyquad": (7, 8, 9, 10),
    "tridia": (100,),
    "arwhead": (100,),
    "engval1": (100,),
    "liarwhd": (100,),
}

ZOO: dict[str, TestFunction] = {
    entry.name: entry
    for entry in (
        *small_systems.ENTRIES,
        *curve_fits.ENTRIES,
        *(family(n) for family in any_size.FAMILIES for n in _SIZES.get(family.name, (10,))),
        *planar.ENTRIES,
        *(family(n) for family in many.FAMILIES for n in _SIZES.get(family.name, (10,))),
    )
}
"""Every entry by name, in a fixed order."""
