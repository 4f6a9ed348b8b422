"""Row blocks on threads: order, threads, errors."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from thalweg.core import parallel
from thalweg.core.parallel import available_cores, map_blocks, one_blas_thread


@pytest.mark.parametrize("cores", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 16, 101])
def test_results_come_in_the_order_of_the_blocks(count, cores, monkeypatch):
    monkeypatch.setattr(parallel, "available_cores", lambda: cores)
    blocks = list(range(count))
    assert map_blocks(lambda block: 10 * block, blocks) == [10 * block for block in blocks]


def test_every_block_is_worked_on_once():
    seen, lock = [], threading.Lock()

    def work(block):
        with lock:
            seen.append(block)

    map_blocks(work, range(50))
    assert sorted(seen) == list(range(50))


def test_each_thread_takes_one_consecutive_run(monkeypatch):
    monkeypatch.setattr(parallel, "available_cores", lambda: 2)
    threads = map_blocks(lambda block: threading.get_ident(), range(10))
    assert threads[0] == threading.get_ident()  # the caller works too, on the first run
    changes = sum(a != b for a, b in zip(threads, threads[1:], strict=False))
    assert changes <= 1


def test_two_blocks_run_at_the_same_time(monkeypatch):
    """Each waits for the other: one after the other they would break the barrier."""
    monkeypatch.setattr(parallel, "available_cores", lambda: 2)
    barrier = threading.Barrier(2, timeout=30)
    assert sorted(map_blocks(lambda block: barrier.wait(), range(2))) == [0, 1]


def test_one_core_uses_no_other_thread(monkeypatch):
    monkeypatch.setattr(parallel, "available_cores", lambda: 1)
    assert set(map_blocks(lambda block: threading.get_ident(), range(9))) == {threading.get_ident()}


@pytest.mark.parametrize("bad", [0, 9], ids=["caller's share", "another thread's share"])
def test_errors_reach_the_caller(bad, monkeypatch):
    monkeypatch.setattr(parallel, "available_cores", lambda: 2)

    def work(block):
        if block == bad:
            raise ValueError("mine")
        return block

    with pytest.raises(ValueError, match="mine"):
        map_blocks(work, range(10))
    assert map_blocks(lambda block: block, range(4)) == [0, 1, 2, 3]  # the pool still works


def test_sums_of_blocks_are_those_of_the_whole():
    values = np.random.default_rng(0).integers(0, 100, size=10_000)
    blocks = [slice(k, k + 700) for k in range(0, 10_000, 700)]
    assert sum(map_blocks(lambda rows: int(values[rows].sum()), blocks)) == values.sum()


def test_cores_are_at_least_one():
    assert available_cores() >= 1


def test_blas_is_held_to_one_thread_inside_the_block_alone():
    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = threads()
    with one_blas_thread():
        assert set(threads()) <= {1}
    assert threads() == before
