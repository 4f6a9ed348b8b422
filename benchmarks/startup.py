"""How long does a person wait before anything happens? Help, import, and a whole fit from the shell, cold and warm.

Each row is a process of its own, started in an empty folder: wall seconds as a person feels them beside CPU seconds of
the process and its children, median and spread over the runs. Cold means an empty cache folder, so kernels are
generated and compiled; warm means the folder that a first fit left.

    python benchmarks/startup.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")}
COMMAND = shutil.which("thalweg", path=sysconfig.get_path("scripts")) or shutil.which("thalweg")
PYTHON = sys.executable
FIT = ["fit", "breast_cancer"]
EVERY_NAME = "[getattr(thalweg, name) for name in thalweg.__all__]"


def run_once(command: list[str], cache: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one process in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | THREADS | {"THALWEG_CACHE": str(cache)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(command: list[str], runs: int, *, cold: bool) -> list[tuple[float, float]]:
    """Several runs; a warm one meets byte code and a cache that an uncounted run left."""
    with tempfile.TemporaryDirectory() as folder:
        caches = [Path(folder) / (str(run) if cold else "shared") for run in range(runs)]
        run_once(command, Path(folder) / "uncounted" if cold else caches[0])
        return [run_once(command, cache) for cache in caches]


def machine() -> str:
    """What the figures belong to."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, one BLAS thread"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="3 runs of each in place of 15")
    runs = 3 if parser.parse_args().quick else 15
    if COMMAND is None:
        sys.exit("the thalweg command is not installed in this environment; hint: pip install -c constraints.txt -e .")

    questions = [
        ("thalweg --help", [COMMAND, "--help"], False, 0.3),
        ("import thalweg", [PYTHON, "-c", "import thalweg"], False, 0.5),
        # The import alone loads no room; whoever uses a name pays for its room, so the target holds for all too.
        ("import thalweg, every public name", [PYTHON, "-c", f"import thalweg; {EVERY_NAME}"], False, 0.5),
        ("thalweg fit breast_cancer, cold", [COMMAND, *FIT], True, 3.0),
        ("thalweg fit breast_cancer, warm", [COMMAND, *FIT], False, 1.5),
        ("python -c pass (for comparison)", [PYTHON, "-c", "pass"], False, None),
    ]
    print(f"{machine()}; {runs} runs each, seconds")
    print(f"{'':34}{'target':>8}{'wall':>8}{'least':>8}{'most':>8}{'CPU':>8}")
    for name, command, cold, target in questions:
        times = measure(command, runs, cold=cold)
        walls, cpus = zip(*times, strict=True)
        wall = statistics.median(walls)
        goal = "" if target is None else f"{target:.1f}"
        verdict = "" if target is None else "  met" if wall <= target else "  MISSED"
        print(
            f"{name:34}{goal:>8}{wall:8.3f}{min(walls):8.3f}{max(walls):8.3f}{statistics.median(cpus):8.3f}{verdict}",
            flush=True,
        )


if __name__ == "__main__":
    main()
