"""`import thalweg` is light: what costs a second, or belongs to an extra, waits until it is asked for."""

import subprocess
import sys

import pytest

HEAVY = ["torch", "sklearn", "altair", "vl_convert", "optuna", "numba", "pandas", "polars", "pyarrow", "scipy.stats"]


@pytest.fixture(scope="module")
def modules_after_import():
    run = subprocess.run(
        [sys.executable, "-c", "import sys, thalweg; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(run.stdout.split())


def test_the_import_itself_happened(modules_after_import):
    assert {"thalweg", "thalweg.core", "numpy"} <= modules_after_import


@pytest.mark.parametrize("module", HEAVY)
def test_import_leaves_out(module, modules_after_import):
    assert module not in modules_after_import
