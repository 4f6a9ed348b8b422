"""Evaluation of contractions: the same numbers as NumPy's own loops, at the speed of matrix products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.expr.products import contract, contraction
from tolerances import summation

SIZES = {"a": 2, "b": 3, "c": 4, "d": 5, "e": 3}
TERMS = st.lists(st.text("abcde", max_size=4), min_size=1, max_size=4)


def operands(terms, seed=0, dtype=float):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=[SIZES[c] for c in term]).astype(dtype) for term in terms]
    return [np.asfortranarray(x) if i % 2 and x.ndim else x for i, x in enumerate(arrays)]  # both memory orders


@given(TERMS, st.data())
def test_any_contraction_beside_numpy(terms, data):
    letters = data.draw(st.permutations(sorted(set("".join(terms)))))
    out = "".join(letters[: data.draw(st.integers(0, len(letters)))])
    subscripts = ",".join(terms) + "->" + out
    arrays = operands(terms)
    truth, size = np.einsum(subscripts, *arrays), np.einsum(subscripts, *map(np.abs, arrays))
    value = contract(subscripts, *arrays)
    assert np.shape(value) == truth.shape
    assert (np.abs(value - truth) <= summation(360) * size).all()


@pytest.mark.parametrize(
    "subscripts",
    ["ab,bc->ac", "b,bc->c", "bd,ba->da", "abc,abd->acd", "dab,dbc->ac", "ab,ab->", "abcd,abce->dce", "bac,abc->ab"],
)
def test_precision_is_the_operands(subscripts):
    arrays = operands(subscripts.split("->")[0].split(","), dtype=np.float32)
    assert contract(subscripts, *arrays).dtype == np.float32


def test_a_number_among_the_operands_sets_no_precision():
    (x,) = operands(["ab"], dtype=np.float32)
    assert contract(",ab->ba", 2.0, x).dtype == np.float32


@pytest.mark.parametrize("subscripts", ["abc,abd->acd", "ab,bcd->acd", "dab,dbc->ac", "bcd,abd->ca"])
def test_two_contracted_operands_never_meet_numpy_loops(subscripts, monkeypatch):
    def refuse(*arguments, **settings):
        raise AssertionError("np.einsum was called")

    arrays = operands(subscripts.split("->")[0].split(","))
    contraction.cache_clear()
    monkeypatch.setattr(np, "einsum", refuse)
    contract(subscripts, *arrays)
