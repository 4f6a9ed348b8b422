"""Loss kernels: value, slope and curvature a row, in the precision given, from memory or disk."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import special

from thalweg import expr
from thalweg.core.errors import InputError, UnsupportedError
from thalweg.expr import loss_kernel, losskernel
from tolerances import arithmetic

RNG = np.random.default_rng(3)
Z = RNG.normal(size=200) * 4
Y = RNG.normal(size=200)
SIGNS = np.where(RNG.random(200) < 0.5, -1.0, 1.0)
COUNTS = RNG.poisson(3.0, 200).astype(float)
EDGE = np.array([-800.0, -40.0, 0.0, 40.0, 800.0])

# name: (loss, target, y, value, first, second) in closed form
FORMS = {
    "squared": (lambda z, y: (z - y) ** 2 / 2, "real", Y, lambda z, y: (z - y) ** 2 / 2, lambda z, y: z - y,
                lambda z, y: np.ones_like(z)),
    "logistic": (lambda z, y: expr.softplus(-y * z), "+-1", SIGNS, lambda z, y: np.logaddexp(0, -y * z),
                 lambda z, y: -y * special.expit(-y * z), lambda z, y: special.expit(z) * special.expit(-z)),
    "poisson": (lambda z, y: np.exp(z) - y * z, "count", COUNTS, lambda z, y: np.exp(z) - y * z,
                lambda z, y: np.exp(z) - y, lambda z, y: np.exp(z)),
    "huber": (lambda z, y: np.where(np.abs(z - y) <= 1, (z - y) ** 2 / 2, np.abs(z - y) - 0.5), "real", Y,
              lambda z, y: special.huber(1.0, z - y), lambda z, y: np.clip(z - y, -1, 1),
              lambda z, y: (np.abs(z - y) <= 1) * 1.0),
    "squared hinge": (lambda z, y: np.maximum(0, 1 - y * z) ** 2, "+-1", SIGNS,
                      lambda z, y: np.maximum(0, 1 - y * z) ** 2, lambda z, y: -2 * y * np.maximum(0, 1 - y * z),
                      lambda z, y: 2.0 * (y * z < 1)),
    "cauchy": (lambda z, y: np.log(1 + (z - y) ** 2), "real", Y, lambda z, y: np.log1p((z - y) ** 2),
               lambda z, y: 2 * (z - y) / (1 + (z - y) ** 2),
               lambda z, y: 2 * (1 - (z - y) ** 2) / (1 + (z - y) ** 2) ** 2),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_elementwise_losses_beside_closed_forms(name, dtype):
    function, target, y, *forms = FORMS[name]
    kernel = loss_kernel(function, target)
    z, y = Z.astype(dtype), y.astype(dtype)
    expected = [form(z.astype(float), y.astype(float)) for form in forms]
    got = kernel.value_gradient_curvature(z, y)
    slack = arithmetic(dtype, operations=30)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == dtype
        assert a.flags.writeable
        np.testing.assert_allclose(a, b, rtol=slack, atol=slack * 100)
    assert kernel.elementwise
    np.testing.assert_array_equal(kernel.value(z, y), got[0])
    np.testing.assert_array_equal(kernel.value_gradient(z, y)[1], got[1])
    np.testing.assert_array_equal(kernel.curvature(z, y), got[2])
    np.testing.assert_array_equal(kernel.second(z, y), got[2])
    np.testing.assert_array_equal(kernel.apply_curvature(got[2], z), got[2] * z)


def test_logistic_keeps_its_digits_in_both_tails():
    kernel = loss_kernel(lambda z, y: np.log(1 + np.exp(-y * z)), "+-1")
    value, slope, second = kernel.value_gradient_curvature(EDGE, np.ones(5))
    np.testing.assert_allclose(value, np.logaddexp(0, -EDGE), rtol=arithmetic())
    np.testing.assert_allclose(slope, -special.expit(-EDGE), rtol=arithmetic(operations=3), atol=5e-324)
    np.testing.assert_allclose(second[[1, 3]], special.expit(-40.0), rtol=arithmetic(operations=4))


def test_one_exponential_feeds_value_slope_and_curvature():
    source = loss_kernel(lambda z, y: expr.softplus(-y * z), "+-1").source
    fused = source[source.index("def value_gradient_curvature") :]
    assert fused.count("exp(") == 1
    assert fused.count("log1p(") == 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_softmax_beside_closed_forms(dtype):
    kernel = loss_kernel(lambda z, y: expr.logsumexp(z, axis=-1) - expr.pick(z, y), classes=True)
    z = (RNG.normal(size=(60, 4)) * 3).astype(dtype)
    labels = RNG.integers(0, 4, 60)
    v = RNG.normal(size=z.shape).astype(dtype)
    p = special.softmax(z.astype(float), axis=1)
    value, slope, kept = kernel.value_gradient_curvature(z, labels)
    product = kernel.apply_curvature(kept, v)
    assert not kernel.elementwise and kernel.second is None
    slack = {"rtol": arithmetic(dtype, 20), "atol": arithmetic(dtype, 20)}
    assert {a.dtype for a in (value, slope, product)} == {np.dtype(dtype)}
    np.testing.assert_allclose(value, -np.log(p[np.arange(60), labels]), **slack)
    np.testing.assert_allclose(slope, p - np.eye(4)[labels], **slack)
    np.testing.assert_allclose(
        product, p * v - p * np.sum(p * v, axis=1, keepdims=True), rtol=1, atol=10 * slack["atol"]
    )
    np.testing.assert_array_equal(kernel.apply_curvature(kernel.curvature(z, labels), v), product)
    huge = kernel.value_gradient(np.array([[1e4, -1e4]]), np.array([1]))
    np.testing.assert_array_equal(huge[0], [2e4])
    np.testing.assert_array_equal(huge[1], [[1.0, -1.0]])


def test_a_known_structure_is_neither_differentiated_nor_lowered_again(monkeypatch):
    function, target, *_ = FORMS["cauchy"]
    first = loss_kernel(function, target)
    monkeypatch.setattr(losskernel, "write_source", None)
    assert loss_kernel(lambda z, y: np.log(1 + (z - y) ** 2), target) is first


def test_a_second_process_reads_the_kernel_from_disk():
    program = (
        "import numpy as np\n"
        "from thalweg.expr import loss_kernel, losskernel\n"
        "{}\n"
        "k = loss_kernel(lambda z, y: np.cosh(z - y) - 1.125)\n"
        "print(float(k.value(np.ones(1), np.zeros(1))[0]))\n"
    )
    answers = [
        subprocess.run([sys.executable, "-c", program.format(line)], capture_output=True, text=True, check=True).stdout
        for line in ("", "losskernel.write_source = None")
    ]
    assert answers[0] == answers[1]
    assert float(answers[0]) == pytest.approx(np.cosh(1) - 1.125)


def test_arrays_in_a_loss_stay_in_this_process():
    kernel = loss_kernel(
        lambda z, y: expr.logsumexp(z * np.array([2.0]), axis=-1) - expr.pick(z * np.array([[2.0]]), y), "class"
    )
    z = RNG.normal(size=(5, 3))
    np.testing.assert_allclose(
        kernel.value(z, np.zeros(5, int)), special.logsumexp(2 * z, axis=1) - 2 * z[:, 0], rtol=1e-13
    )


def test_knowledge_of_the_target_stays_with_its_target():
    general = loss_kernel(lambda z, y: expr.softplus(-y * z), "real")
    z, y = np.array([0.3]), np.array([2.0])
    s = special.expit(-0.6)
    np.testing.assert_allclose(general.second(z, y), 4 * s * (1 - s), rtol=1e-14)
    assert "multiply" in general.source


def test_refusals_name_what_is_wrong():
    with pytest.raises(InputError, match="does not depend"):
        loss_kernel(lambda z, y: y)
    with pytest.raises(UnsupportedError, match=r"np\.partition"):
        loss_kernel(lambda z, y: np.partition(z, 1))
    with pytest.raises(InputError, match="argsort works across"):
        loss_kernel(lambda z, y: np.sort(z))
    with pytest.raises(InputError, match="domain"):
        loss_kernel(lambda z, y: z - y, "reals")


def test_a_constant_curvature_needs_nothing_kept():
    kernel = loss_kernel(lambda z, y: (z * z).sum(axis=-1) / 2 - expr.pick(z, y), "class")
    z = RNG.normal(size=(5, 3))
    _, slope, kept = kernel.value_gradient_curvature(z, np.zeros(5, int))
    np.testing.assert_allclose(kernel.apply_curvature(kept, z), z)
    np.testing.assert_allclose(slope, z - np.eye(3)[np.zeros(5, int)])
