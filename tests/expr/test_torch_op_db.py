"""Torch's own sample inputs for every operation whose name we share, and the page that lists them all."""

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="torch's op_db needs the package expecttest")

from expr import op_db_page  # noqa: E402
from expr.op_db_compare import adapter_of, full_name  # noqa: E402
from expr.op_db_names import NOT_SHARED, VARIANTS_LEFT_OUT  # noqa: E402
from expr.op_db_shared import SHARED  # noqa: E402

# torch warns of its deprecated names, on which its samples run, too.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")

DRAWN = 4
"""Samples of each operation in a quick run: all of them take longer than the tests' share of time."""

PINNED = re.search(r"^torch==(\S+)$", (Path(__file__).parents[2] / "constraints.txt").read_text(), re.M).group(1)


@pytest.fixture(scope="module")
def op_db():
    return op_db_page.load()


@pytest.fixture(scope="module")
def page():
    return op_db_page.read(op_db_page.PAGE.read_text())


def is_pinned():
    return torch.__version__.split("+")[0] == PINNED


def check(op_db, page, drawn):
    shared, _ = page
    failures = []
    for op in op_db:
        if adapter_of(op) is None:
            continue
        try:
            tally = op_db_page.run(op, drawn, others=1 if drawn else 2)
            assert tally.compared, f"{full_name(op)}: no sample is comparable ({dict(tally.left_out)})"
            unlisted = set(tally.left_out) - set(shared[op.name][1])
            assert not unlisted or not is_pinned(), f"{full_name(op)}: the page lacks the reasons {unlisted}"
        except AssertionError as failure:
            failures.append(str(failure))
    assert not failures, "\n\n".join([f"{len(failures)} operations differ", *failures])


def test_values_and_gradients_beside_torch(op_db, page):
    check(op_db, page, DRAWN)


@pytest.mark.slow
def test_values_and_gradients_beside_torch_on_every_sample(op_db, page):
    check(op_db, page, None)


def test_the_page_lists_every_operation_once_and_agrees_with_the_mapping(op_db, page):
    shared, unshared = page
    here = {op.name for op in op_db}
    assert not set(shared) & set(unshared)
    if is_pinned():
        assert set(shared) | set(unshared) == here
    assert {n.lower() for n in unshared.values()} == {n.lower() for n in NOT_SHARED.values()}
    assert set(unshared) == set(NOT_SHARED)
    ours = {op.name for op in op_db if adapter_of(op)}
    assert set(shared) & here == ours
    assert all(compared > 0 for compared, _ in shared.values())
    known = {full_name(op) for op in op_db} | here
    assert not is_pinned() or (set(SHARED) <= known and set(VARIANTS_LEFT_OUT) <= known)


@pytest.mark.slow
def test_every_sample_is_compared_or_left_out_for_a_reason_that_the_page_states(op_db, page):
    if not is_pinned():
        pytest.skip(f"the page counts the samples of torch {PINNED}")
    counts = {}
    for op in op_db:
        if adapter_of(op) or full_name(op) in VARIANTS_LEFT_OUT:
            counts[op.name] = counts.get(op.name, 0) + len(op_db_page.samples_of(op))
    assert {name: compared + sum(left_out.values()) for name, (compared, left_out) in page[0].items()} == counts
