"""The machine profile: what a pass, a product and a step cost here. Measured once, kept, refreshed when stale."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np

from thalweg.core.cache import cache_folder
from thalweg.core.parallel import available_cores, one_blas_thread
from thalweg.linalg import as_rows
from thalweg.methods import METHODS, drive
from thalweg.problems import ChangedProblem, FiniteSum, Standardizing, default_loss

#: Seconds after which a profile is measured again: a machine's load and its packages change.
MAX_AGE = 14 * 24 * 3600.0
#: Bumped when a field changes its meaning.
FORMAT = 1


@dataclass(frozen=True)
class MachineProfile:
    """Measured speeds.

    Attributes:
        bandwidth: Bytes of a matrix per second in a product with a vector, from memory.
        gram_rate: Multiplications per second in a symmetric rank-k update.
        element_seconds: Seconds per row for a loss with value and derivative.
        step_seconds: Seconds of one step of each method on a problem whose arithmetic takes none.
        measured: When, in seconds since 1970.
        key: What it depends on: processor, cores, versions.

    """

    bandwidth: float
    gram_rate: float
    element_seconds: float
    step_seconds: dict[str, float]
    measured: float
    key: str

    def sound(self) -> bool:
        """Whether every figure makes sense, is of this machine, and is fresh."""
        figures = [self.bandwidth, self.gram_rate, self.element_seconds, *self.step_seconds.values()]
        return (
            self.key == _key()
            and self.step_seconds.keys() == METHODS.keys()
            and all(isinstance(value, float) and 0 < value < np.inf for value in figures)
            and 0 <= time.time() - self.measured < MAX_AGE
        )


@cache
def machine_profile() -> MachineProfile:
    """This machine's profile: from the cache folder if fresh, else measured in well under a second and kept."""
    folder = cache_folder()
    path = None if folder is None else folder / "machine.json"
    if path is not None:
        try:
            kept = MachineProfile(**json.loads(path.read_text()))
            if kept.sound():
                return kept
        except (OSError, ValueError, TypeError, AttributeError):
            pass  # absent, torn or of another kind: measured again
    profile = measure()
    if path is not None:
        partial = path.with_name(f".machine.{os.getpid()}")
        try:
            partial.write_text(json.dumps(asdict(profile)))
            os.replace(partial, path)
        except OSError:
            # A folder that cannot be written only means measuring again next time.
            with contextlib.suppress(OSError):
                partial.unlink()
    return profile


def measure() -> MachineProfile:
    """Measure; medians of a few short runs."""
    rng = np.random.default_rng(0)
    with one_blas_thread():
        large = as_rows(rng.normal(size=(20_000, 100)))
        v, weights = rng.normal(size=100), rng.random(20_000)
        pass_seconds = _median(lambda: large.matvec(v), 5)
        gram_seconds = _median(lambda: large.gram(weights), 3)
        kernel = default_loss("two classes").kernel
        z, y = rng.normal(size=50_000), np.ones(50_000)
        element = _median(lambda: kernel.value_gradient(z, y), 5) / len(z)
        steps = {name: _step_seconds(name) for name in METHODS}
    return MachineProfile(
        bandwidth=large.stored * 8 / pass_seconds,
        gram_rate=large.stored * 100 / gram_seconds,
        element_seconds=element,
        step_seconds=steps,
        measured=time.time(),
        key=_key(),
    )


def _step_seconds(name: str) -> float:
    """Seconds a step on a problem of 40 rows and 3 features."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 3))
    y = np.sign(X[:, 0] + rng.normal(size=40))
    problem = FiniteSum(X, y, default_loss("two classes"), 1e-4)
    changed = ChangedProblem(problem, Standardizing(problem))
    method = METHODS[name].tuned(4.0, 0.1)

    def run() -> int:
        *_, last = drive(changed, method, np.zeros(changed.size), target=1e-13, max_steps=30)
        return last.solution.cost.steps  # type: ignore[union-attr]

    steps = max(run(), 1)
    return _median(run, 3) / steps


def _median(call: Callable[[], object], runs: int) -> float:
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds)[runs // 2]


def _key() -> str:
    return f"{FORMAT} {platform.processor()} {platform.machine()} {available_cores()} cores numpy {np.__version__}"
