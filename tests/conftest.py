"""What every test needs before it starts: one BLAS thread, and a cache folder of the session's own."""

import os
import sys

# BLAS reads these once, when NumPy loads. Two threads on a busy machine make small products tens of times slower, and
# a sum's last bits depend on how many threads shared it.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"

if "numpy" in sys.modules:  # a plugin was quicker than this file
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)

import pytest
from hypothesis import settings

# A deadline per example would make tests depend on wall time; a fixed seed makes a failure in CI the same at the desk.
settings.register_profile("thalweg", deadline=None, derandomize=True)
settings.load_profile("thalweg")


@pytest.fixture(scope="session", autouse=True)
def thalweg_cache(tmp_path_factory):
    """The session's cache folder, seen by subprocesses too: no test meets a kernel or a profile of the user's."""
    folder = tmp_path_factory.mktemp("thalweg_cache")
    before = os.environ.get("THALWEG_CACHE")
    os.environ["THALWEG_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["THALWEG_CACHE"]
    else:
        os.environ["THALWEG_CACHE"] = before
