"""Row blocks on threads, with BLAS held to one thread each.

Two BLAS threads on a loaded two-core machine turned a 0.4 ms product into 24 ms, so products run on one BLAS
thread and the parallelism is over blocks of rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def available_cores() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=available_cores(), thread_name_prefix="thalweg")


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401 - SciPy brings a BLAS of its own, which must be loaded to be found
    from threadpoolctl import ThreadpoolController  # finding the loaded BLAS takes milliseconds: once a process

    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """Hold BLAS to one thread inside a ``with`` block."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


def map_blocks(function: Callable[[T], R], blocks: Sequence[T]) -> list[R]:
    """Apply a function to every block; each core takes one consecutive run of them.

    The function must release the interpreter lock in its work (NumPy and BLAS do) and must not call map_blocks.
    """
    cores = min(available_cores(), len(blocks))
    if cores < 2:
        return [function(block) for block in blocks]
    ends = [len(blocks) * part // cores for part in range(cores + 1)]

    def run(part: int) -> list[R]:
        return [function(block) for block in blocks[ends[part] : ends[part + 1]]]

    # The calling thread works too: one hand-over less.
    others = [_pool().submit(run, part) for part in range(1, cores)]
    results = run(0)
    for other in others:
        results += other.result()
    return results
