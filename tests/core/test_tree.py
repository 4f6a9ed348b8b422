"""Leaves nested in containers come back as they were given, in whatever order a mapping's entries came."""

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.tree import taken_apart
from thalweg.core.vector import as_user_sees, as_vector, laid_out_like

NESTED = {"w": {"b": np.arange(2.0), "a": 1.0}, "v": (np.ones((2, 2)), [np.zeros(3), {"c": np.ones(1)}]), "none": {}}


def test_what_was_taken_apart_is_put_together():
    leaves, tree = taken_apart(NESTED)
    again = tree.put_together(iter(leaves))
    assert again == {"none": {}, "v": NESTED["v"], "w": NESTED["w"]}
    assert list(tree.names("x")) == ["x['v'][0]", "x['v'][1][0]", "x['v'][1][1]['c']", "x['w']['a']", "x['w']['b']"]
    with pytest.raises(tw.InputError, match=r"x0\['v'\]\[1\]\['c'\]"):
        as_vector({"v": (np.ones(2), {"c": np.nan})})


def test_entries_follow_their_keys_and_containers_their_kind():
    x = as_vector(NESTED)
    turned = {"none": {}, "w": {"a": 5.0, "b": np.full(2, 7.0)}, "v": NESTED["v"]}
    seen = as_user_sees(laid_out_like(turned, x, "y"))
    assert seen["w"]["a"] == 5.0 and seen["w"]["b"].tolist() == [7.0, 7.0]
    for other in ({**NESTED, "v": NESTED["v"][0]}, {**NESTED, "v": list(NESTED["v"])}, {"w": NESTED["w"]}, np.ones(11)):
        with pytest.raises(tw.InputError, match="lay it out like x"):
            laid_out_like(other, x, "y")


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_function_of_nested_leaves_is_minimised_saved_and_resumed(library, tmp_path):
    if library == "torch":
        torch = pytest.importorskip("torch")
        start = {"a": {"w": torch.zeros(2, 2).double(), "b": torch.zeros(2).double()}, "c": (torch.ones(1).double(),)}
    else:
        start = {"a": {"w": np.zeros((2, 2)), "b": np.zeros(2)}, "c": (np.ones(1),)}

    def f(x):
        w, b, c = x["a"]["w"], x["a"]["b"], x["c"][0]
        return ((w - 1) ** 4).sum() + ((b - c) ** 2).sum() + ((c - w.sum()) ** 2).sum()

    problem = tw.problem(f, start)
    whole = tw.solve(problem, "l-bfgs")
    tw.solve(problem, "l-bfgs", max_steps=3, save=tmp_path / "run.npz")
    resumed = tw.solve(problem, "l-bfgs", resume=tmp_path / "run.npz")
    assert whole.status.success and resumed.value == pytest.approx(whole.value)
    np.testing.assert_allclose(np.asarray(resumed.x["a"]["b"]), 4.0, atol=0.1)
    np.testing.assert_allclose(np.asarray(tw.solve(problem).x["c"][0]), 4.0, atol=0.1)
