"""`import thalweg` is light: what costs a second, or belongs to an extra, waits until it is asked for."""

import subprocess
import sys

import pytest

# What neither the import nor the use of any public name may load: extras, plots, and a second of scikit-learn.
NEVER = ["torch", "sklearn", "altair", "vl_convert", "optuna", "pandas", "pyarrow"]
# What the import alone leaves for later, because it costs tens of milliseconds or more.
LATER = ["numba", "polars", "scipy.stats", "scipy.sparse", "typer", "rich"]


def modules_after(code):
    run = subprocess.run(
        [sys.executable, "-c", f"import sys, thalweg\n{code}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(run.stdout.split())


@pytest.fixture(scope="module")
def after_import():
    return modules_after("")


@pytest.fixture(scope="module")
def after_every_name():
    # A problem made of a torch module cannot do without torch.
    return modules_after("for name in set(thalweg.__all__) - {'ModuleProblem'}: getattr(thalweg, name)")


@pytest.mark.parametrize("module", NEVER + LATER)
def test_import_leaves_out(module, after_import):
    assert "thalweg" in after_import
    assert module not in after_import


@pytest.mark.parametrize("module", NEVER)
def test_the_use_of_every_public_name_leaves_out(module, after_every_name):
    assert {"thalweg.core.records", "numpy"} <= after_every_name
    assert module not in after_every_name
