"""Leaves nested in containers come back as they were given, in whatever order a mapping's entries came."""

from collections import namedtuple

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.tree import taken_apart
from thalweg.core.vector import as_user_sees, as_vector, laid_out_like

Layer = namedtuple("Layer", "w b")
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
    listed = as_user_sees(laid_out_like({**NESTED, "v": [NESTED["v"][0], tuple(NESTED["v"][1])]}, x, "y"))
    assert type(listed["v"]) is tuple and type(listed["v"][1]) is list


def test_the_first_container_that_differs_is_named():
    x = as_vector(NESTED)
    for other, name in (
        ({**NESTED, "v": NESTED["v"][0]}, r"y\['v'\] is"),
        ({**NESTED, "v": NESTED["v"] * 2}, r"y\['v'\] is"),
        ({**NESTED, "v": (np.ones((2, 2)), [np.zeros(3), np.ones(1)])}, r"y\['v'\]\[1\]\[1\] is"),
        ({**NESTED, "w": {"a": 1.0, "b": {}}}, r"y\['w'\]\['b'\]"),
        ({"w": NESTED["w"]}, "y is .*lay it out like x: a mapping of"),
        (np.ones(11), "lay it out like x"),
        (as_vector((np.ones(11), 1.0)), "lay it out like x"),
        ({**NESTED, "w": {"a": 1.0, "b": np.ones(3)}}, "lay it out like x"),
    ):
        with pytest.raises(tw.InputError, match=name):
            laid_out_like(other, x, "y")


@pytest.mark.parametrize(
    ("given", "shapes"),
    [
        ([[np.float32(1), np.float32(2)], [np.float32(3), np.float32(4)]], [(2, 2)]),
        ({"a": list(np.arange(3))}, [(3,)]),
        ({"a": tuple(np.zeros(3, np.float32)), "b": [[np.float64(1), 2]]}, [(3,), (1, 2)]),
        (({"c": [np.float64(1), 2.0]}, [1, np.int8(2)]), [(2,), (2,)]),
    ],
)
def test_lists_of_numpys_numbers_are_arrays(given, shapes):
    assert [leaf.shape for leaf in as_vector(given).leaves] == shapes


@pytest.mark.parametrize("bad", [True, 1j])
def test_lists_of_numpys_other_numbers_are_refused(bad):
    with pytest.raises(tw.InputError, match=r"x0\['a'\] has dtype"):
        as_vector({"a": list(np.array([bad]))})


@pytest.mark.parametrize("start", [Layer(np.zeros((2, 2)), np.ones(2)), Layer(0.0, 1.0)], ids=["arrays", "numbers"])
@pytest.mark.parametrize("wrap", [lambda layer: layer, lambda layer: {"a": layer}, lambda layer: [layer, (layer,)]])
def test_a_named_tuple_stays_one(start, wrap):
    def first(x):
        return x if isinstance(x, Layer) else x["a"] if isinstance(x, dict) else x[0]

    x = as_vector(wrap(start))
    assert type(first(as_user_sees(x))) is Layer
    for plain in (wrap(tuple(start)), as_vector(wrap(Layer(*map(np.asarray, start))))):
        assert type(first(as_user_sees(laid_out_like(plain, x, "y")))) is Layer

    def f(x):
        layer = first(x)
        return ((layer.w - 1) ** 2).sum() + ((layer.b - 3) ** 2).sum()

    problem = tw.problem(f, wrap(start))
    plain = as_vector(wrap(tuple(np.ones((1, *np.shape(a))) for a in start)))
    with pytest.raises(tw.InputError, match="lay it out like x"):
        problem.at(plain)
    found = first(tw.solve(problem, "l-bfgs").x)
    np.testing.assert_allclose(found.w, 1.0, atol=1e-5)
    np.testing.assert_allclose(found.b, 3.0, atol=1e-5)


def test_what_holds_itself_is_refused():
    numbers, arrays, mapping = [1.0], [np.ones(2)], {}
    numbers.append(numbers)
    arrays.append(arrays)
    mapping["a"] = mapping
    for endless in (numbers, arrays, mapping, {"b": (numbers,)}):
        with pytest.raises(tw.InputError, match="x0 holds itself"):
            as_vector(endless)


def test_a_gradient_with_tuples_for_lists_is_taken():
    problem = tw.problem(
        lambda x: float(((x["a"][0] - 2) ** 2).sum() + (x["a"][1] ** 2).sum()),
        {"a": [np.zeros(2), np.ones(3)]},
        gradient=lambda x: {"a": (2 * (x["a"][0] - 2), 2 * x["a"][1])},
    )
    np.testing.assert_allclose(tw.solve(problem, "l-bfgs").x["a"][0], 2.0, atol=1e-5)


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
