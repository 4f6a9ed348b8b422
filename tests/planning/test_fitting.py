"""``fit`` beside scikit-learn and beside itself on data that should not matter."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, Ridge

import thalweg as tw
from reference import NAMES, Objective, targets
from thalweg.core.records import CertificateKind
from tolerances import CERTIFIED_GAP, FLOAT32_INPUT, PEER_COEFFICIENTS, eps, minimizer

CLASSIFIED = ["breast_cancer", "digits", "wine", "iris"]


def distance(found, expected):
    return np.linalg.norm(found - expected) / max(np.linalg.norm(expected), np.finfo(float).tiny)


@pytest.mark.parametrize("name", [*CLASSIFIED, "diabetes"])
def test_built_in_sets_equal_scikit_learn_on_raw_features(name, recwarn):
    fit = tw.fit(name)
    assert fit.status in (tw.Status.CONVERGED, tw.Status.PRECISION_FLOOR)
    assert fit.certificate.kind is CertificateKind.PROOF
    assert fit.certificate.gap <= CERTIFIED_GAP * fit.start_value
    # Polished: what is left is a few rounding units of the objective.
    assert fit.certificate.gap <= 100 * eps() * max(fit.value, fit.start_value)
    assert not [w for w in recwarn if "iter" in str(w.message) or "scale" in str(w.message)]
    if name == "diabetes":
        X, y = datasets.load_diabetes(return_X_y=True, scaled=False)
        peer = Ridge(alpha=1.0, solver="cholesky").fit(X, y)
    else:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        peer = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, y)
    coefficients = peer.coef_.reshape(fit.coef.shape)
    assert distance(fit.coef, coefficients) <= PEER_COEFFICIENTS
    intercepts = peer.intercept_ - np.mean(peer.intercept_) if np.ndim(fit.intercept) else peer.intercept_
    assert distance(np.atleast_1d(fit.intercept), np.atleast_1d(intercepts)) <= PEER_COEFFICIENTS
    assert (fit.predict(X) == peer.predict(X)).all() if name != "diabetes" else True
    assert fit.score(X, y) == pytest.approx(peer.score(X, y), rel=PEER_COEFFICIENTS)


def test_constant_columns_get_zero():
    fit = tw.fit("digits")
    constant = np.ptp(datasets.load_digits().data, axis=0) == 0
    assert constant.any()
    assert (fit.coef[:, constant] == 0).all()
    assert any("constant" in note for note in fit.notes)


def table(name, n=150, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * [1, 20, 0.3, 1] + [0, -5, 0, 2]
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=(d, 3 if name == "softmax" else 1))
    return X, targets(name, z, rng), rng


@pytest.mark.parametrize("name", NAMES)
class TestSameSolution:
    """Changes of the data that do not change the problem do not change the solution."""

    tolerance = minimizer(1e3, 64 * eps())

    def test_sparse_and_dense(self, name):
        X, y, rng = table(name)
        X = X * (rng.random(X.shape) < 0.5)
        dense = tw.fit(X, y, loss=name)
        for form in (sp.csr_array, sp.csc_array, sp.coo_matrix):
            assert distance(tw.fit(form(X), y, loss=name).x, dense.x) <= self.tolerance

    def test_weight_two_and_a_repeated_row(self, name):
        X, y, _ = table(name)
        weights = np.ones(len(y))
        weights[:20] = 2
        weighted = tw.fit(X, y, loss=name, sample_weight=weights, l2=0.01)
        repeated = tw.fit(np.vstack([X, X[:20]]), np.concatenate([y, y[:20]]), loss=name, l2=0.01)
        assert distance(weighted.x, repeated.x) <= self.tolerance

    def test_zero_weight_and_a_missing_row(self, name):
        X, y, _ = table(name)
        weights = np.ones(len(y))
        weights[-30:] = 0
        weighted = tw.fit(X, y, loss=name, sample_weight=weights, l2=0.01)
        shorter = tw.fit(X[:-30], y[:-30], loss=name, l2=0.01)
        assert distance(weighted.x, shorter.x) <= self.tolerance
        assert any("weight" in note for note in weighted.notes)

    def test_rows_in_any_order(self, name):
        X, y, rng = table(name)
        order = rng.permutation(len(y))
        assert distance(tw.fit(X[order], y[order], loss=name).x, tw.fit(X, y, loss=name).x) <= self.tolerance

    def test_memory_order_and_frames(self, name):
        X, y, _ = table(name)
        fit = tw.fit(X, y, loss=name)
        assert distance(tw.fit(np.asfortranarray(X), y, loss=name).x, fit.x) <= self.tolerance
        columns = {f"c{j}": X[:, j] for j in range(X.shape[1])}
        for frame in (pd.DataFrame, pl.DataFrame):
            framed = tw.fit(frame({**columns, "y": y}), loss=name)
            assert distance(framed.x, fit.x) <= self.tolerance
            assert (framed.predict(frame(columns)) == fit.predict(X)).mean() > 0.99 or name not in ("softmax",)

    def test_float32_input(self, name):
        X, y, _ = table(name)
        narrow = X.astype(np.float32)
        same = tw.fit(narrow.astype(np.float64), y, loss=name)
        assert distance(tw.fit(narrow, y, loss=name).x, same.x) <= self.tolerance
        assert distance(tw.fit(X, y, loss=name).x, same.x) <= 16 * FLOAT32_INPUT

    def test_value_is_the_objective_by_hand(self, name):
        X, y, _ = table(name)
        fit = tw.fit(X, y, loss=name, l2=0.05)
        codes = y if name == "softmax" else y
        assert fit.value == pytest.approx(Objective(name, X, codes, 0.05).value(fit.x), rel=32 * eps())


INVENTED = {
    "log-cosh": (lambda z, y: tw.log((tw.exp(z - y) + tw.exp(y - z)) / 2), "real"),
    "pseudo-Huber": (lambda z, y: tw.sqrt(1 + (z - y) ** 2) - 1, "real"),
    "exponential": (lambda z, y: tw.exp(-y * z), "+-1"),
    "quantile, smoothed": (lambda z, y: tw.softplus(4 * (z - y)) / 4 - 0.3 * (z - y), "real"),
    "asymmetric squares": (lambda z, y: tw.where(z > y, 2.0, 0.5) * (z - y) ** 2, "real"),
    "gamma": (lambda z, y: y * tw.exp(-z) + z, "count"),
}


@pytest.mark.parametrize("name", INVENTED)
def test_losses_that_appear_nowhere_in_the_sources(name):
    expression, domain = INVENTED[name]
    rng = np.random.default_rng(5)
    X = rng.normal(size=(120, 3)) * [1, 5, 0.2]
    z = X / X.std(axis=0) @ [1.0, -0.5, 0.3]
    y = {"real": z + rng.normal(size=120), "+-1": np.sign(z + rng.logistic(size=120)), "count": np.exp(z)}[domain]
    fit = tw.fit(X, y, loss=expression, target=domain, l2=0.01)
    assert fit.status is tw.Status.CONVERGED, fit
    assert fit.certificate.gap <= CERTIFIED_GAP * abs(fit.start_value)

    def objective(x):
        z = X @ x[:3] + x[3]
        return {
            "log-cosh": lambda r: np.logaddexp(r, -r) - np.log(2),
            "pseudo-Huber": lambda r: np.sqrt(1 + r * r) - 1,
            "exponential": lambda r: np.exp(-y * z),
            "quantile, smoothed": lambda r: np.logaddexp(0, 4 * r) / 4 - 0.3 * r,
            "asymmetric squares": lambda r: np.where(r > 0, 2.0, 0.5) * r * r,
            "gamma": lambda r: y * np.exp(-z) + z,
        }[name](z - y).mean() + 0.005 * (x[:3] @ x[:3])

    assert fit.value == pytest.approx(objective(fit.x), rel=64 * eps())
    # Independent of our derivatives: no direction and no length of step gives less.
    for scale in (1e-4, 1e-2, 1.0):
        for _ in range(50):
            assert objective(fit.x + scale * rng.normal(size=4)) >= fit.value - fit.certificate.gap - 64 * eps()


def test_user_losses_in_numpy_spelling_and_default_targets():
    X, y, _ = table("logistic")
    ours = tw.fit(X, y, loss="logistic")
    for labels in (y, (y > 0).astype(int), np.where(y > 0, "yes", "no"), y > 0):
        mine = tw.fit(X, labels, loss=lambda z, y: np.log1p(np.exp(-y * z)))
        assert distance(mine.x, ours.x) <= minimizer(1e3, 64 * eps())
        assert (mine.predict(X) == labels).mean() > 0.6
    assert any("-1 and +1" in note for note in mine.notes)


def test_nonconvex_losses_say_that_nothing_is_proven():
    X, y, _ = table("squared")
    fit = tw.fit(X, y, loss=lambda z, y: tw.log1p((z - y) ** 2))
    assert fit.certificate.kind is not CertificateKind.PROOF
    assert any("not proven convex" in note for note in fit.notes)


def test_inferred_losses_are_said():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    cases = {
        "logistic": (np.arange(60) % 2, np.where(np.arange(60) % 2, "a", "b"), np.arange(60) % 2 == 0),
        "softmax": (np.arange(60) % 3, np.array(["a", "b", "c"] * 20), np.arange(60) % 20),
        "squared": (rng.normal(size=60), np.arange(60), np.arange(60) % 3 + 0.5),
    }
    for loss, columns in cases.items():
        for y in columns:
            fit = tw.fit(X, y)
            assert fit.loss == loss
            assert any(loss in note for note in fit.notes)
            assert any("l2 = 1/n" in note for note in fit.notes)


def test_unbounded_curvature_says_what_is_used_instead():
    X, y, _ = table("poisson")
    fit = tw.fit(X, y, loss="poisson")
    assert any("unbounded" in note and "instead" in note for note in fit.notes)


class TestStatus:
    """Every run ends with a definite status."""

    def test_separable(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(80, 3)) * [1, 100, 1]
        for y in ((X[:, 0] + X[:, 1] / 50 > 0).astype(int), (X @ rng.normal(size=(3, 3))).argmax(axis=1)):
            fit = tw.fit(X, y, l2=0.0)
            assert fit.status is tw.Status.SEPARABLE
            assert "l2 > 0" in fit.status.remedy
            W, b = fit.problem.split(fit.direction)
            z = X @ W.T + b
            codes = fit.problem.y
            margin = (
                codes * z[:, 0]
                if len(W) == 1
                else z[np.arange(80), codes] - np.where(np.eye(3, dtype=bool)[codes], -np.inf, z).max(axis=1)
            )
            assert (margin > 0).all()

    def test_quasi_separable(self):
        """One feature decides where it is not zero, and says nothing elsewhere: the minimum is still at infinity."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(200, 3))
        X[:, 0] = rng.random(200) < 0.2
        y = np.where(X[:, 0] > 0, 1, rng.random(200) < 0.5)
        assert tw.fit(X, y, l2=0.0).status is tw.Status.SEPARABLE

    def test_not_separable_without_penalty(self):
        X, y, _ = table("logistic")
        fit = tw.fit(X, y, l2=0.0)
        assert fit.status is tw.Status.CONVERGED
        peer = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=500).fit(X, y)
        assert distance(fit.coef, peer.coef_[0]) <= PEER_COEFFICIENTS

    def test_diverged(self):
        X, y, _ = table("squared")
        fit = tw.fit(X, y, loss=lambda z, y: -((z - y) ** 2), l2=0.0)
        assert fit.status is tw.Status.DIVERGED
        assert fit.certificate.kind is CertificateKind.NONE

    def test_precision_floor(self):
        X, y, _ = table("logistic")
        assert tw.fit(X, y, tol=0.0).status is tw.Status.PRECISION_FLOOR

    def test_budget(self):
        X, y, _ = table("logistic")
        fit = tw.fit(X, y, max_steps=1)
        assert fit.status is tw.Status.BUDGET_SPENT
        assert tw.fit(X, y, x0=fit.x).status is tw.Status.CONVERGED

    def test_interrupted(self):
        X, y, _ = table("softmax")

        def listen(event):
            if getattr(event, "step", 0) == 2:
                raise KeyboardInterrupt

        fit = tw.fit(X, y, listen=listen)
        assert fit.status is tw.Status.INTERRUPTED
        assert fit.value < fit.start_value


def test_duplicate_columns_share_their_coefficient():
    X, y, _ = table("logistic")
    fit = tw.fit(np.column_stack([X, X[:, 1]]), y, l2=0.01)
    assert fit.coef[1] == pytest.approx(fit.coef[4], rel=minimizer(1e3, 64 * eps()))
    assert any("equal" in note or "same" in note for note in fit.notes)


def test_softmax_intercepts_sum_to_zero():
    for l2 in (0.0, 0.01):
        X, y, _ = table("softmax")
        fit = tw.fit(X, y, l2=l2)
        assert abs(fit.intercept.sum()) <= 32 * eps() * np.abs(fit.intercept).sum()
        assert fit.status is tw.Status.CONVERGED


def test_without_intercept():
    X, y, _ = table("squared")
    fit = tw.fit(X, y, intercept=False, l2=0.1)
    n, d = X.shape
    expected = np.linalg.solve(X.T @ X / n + 0.1 * np.eye(d), X.T @ y / n)
    assert distance(fit.coef, expected) <= minimizer(1e4, 64 * eps())
    assert fit.intercept == 0.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"loss": "logistc"}, "logistc"),
        ({"loss": "softmax", "y": np.linspace(0, 1, 150)}, "real values"),
        ({"loss": "logistic", "y": np.arange(150) % 3}, "3 classes"),
        ({"loss": "poisson", "y": np.arange(150) - 3.0}, "row 1 is -3.0"),
        ({"loss": "squared", "y": np.array(["a", "b", "c"] * 50)}, "text"),
        ({"y": np.ones(150)}, "one class"),
        ({"l2": -1}, "l2=-1"),
        ({"l2": "much"}, "l2='much'"),
        ({"tol": -1.0}, "tol=-1.0"),
        ({"method": "adam"}, "'adam' is not known"),
        ({"x0": np.zeros(2)}, "x0 has shape (2,)"),
        ({"sample_weight": np.full(150, -1.0)}, "sample_weight"),
        ({"y": np.full(3, 1.0)}, "3"),
        ({"X": np.full((150, 2), np.nan)}, "nan"),
        ({"X": np.zeros((1, 2)), "y": np.zeros(1)}, "1"),
        ({"X": np.array([[object()] * 2] * 150)}, "object"),
        ({"loss": lambda z, y: np.fft.fft(z)}, "fft"),
        ({"loss": lambda z, y: 3.0}, "loss"),
        ({"loss": lambda z, y: y * 2}, "z"),
        ({"loss": 3}, "loss=3"),
        ({"target": "reel", "loss": lambda z, y: (z - y) ** 2}, "reel"),
    ],
)
def test_bad_input_is_named_with_a_remedy(arguments, words):
    X, y, _ = table("squared")
    arguments = {"X": X, "y": y, **arguments}
    with pytest.raises((tw.ThalwegError,)) as caught:
        tw.fit(arguments.pop("X"), arguments.pop("y"), **arguments)
    assert words in str(caught.value)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_prediction_checks_its_rows():
    X, y, _ = table("squared")
    fit = tw.fit(X, y)
    with pytest.raises(tw.InputError, match="4 features"):
        fit.predict(X[:, :2])


def test_fits_and_problems_travel_by_pickle():
    import pickle

    for name in ("iris", "diabetes"):
        fit = tw.fit(name)
        again = pickle.loads(pickle.dumps(fit))
        assert np.array_equal(again.x, fit.x)
        # The solution's margins were updated along the way; these are computed afresh.
        assert again.problem.at(fit.x).value == pytest.approx(fit.value, rel=64 * eps())


def test_prediction_takes_the_frame_that_was_fitted():
    """Text columns were made indicators; the same frame, rows in another order and columns too, predicts the same."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"size": rng.normal(size=90), "colour": ["red", "blue", "green"] * 30, "kind": ["a", "b"] * 45}
    )
    y = frame["size"] + (frame["colour"] == "red") + 2 * (frame["kind"] == "b") + 0.1 * rng.normal(size=90)
    fit = tw.fit(frame.assign(y=y))
    shuffled = frame.sample(frac=1.0, random_state=1)[["kind", "size", "colour"]]
    np.testing.assert_allclose(fit.predict(shuffled), fit.predict(frame)[shuffled.index], rtol=1e-12)
    assert fit.score(frame, y) > 0.98


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.full((2, 4), np.nan), "row 1"),
        (np.array([["a"] * 4]), "numbers"),
        (pd.DataFrame({"wrong": [1.0]}), "no column"),
    ],
)
def test_prediction_refuses_what_it_cannot_read(rows, words):
    X, y, _ = table("squared")
    with pytest.raises(tw.InputError, match=words):
        tw.fit(X, y).predict(rows)


def test_least_squares_without_penalty_on_nearly_dependent_columns_ends():
    """Powers of one variable: the Hessian is singular to rounding, and no proof is claimed for what that hides."""
    rng = np.random.default_rng(0)
    x, y = rng.random(100), rng.random(100)
    for columns in (15, 20):
        X = np.vander(x, columns, increasing=True)[:, 1:]
        fit = tw.fit(X, y, l2=0)
        best = np.linalg.lstsq(np.column_stack([X, np.ones(100)]), y, rcond=None)[0]
        truth = np.square(np.column_stack([X, np.ones(100)]) @ best - y).mean() / 2
        assert fit.cost.steps < 5_000
        if fit.certificate.kind is CertificateKind.PROOF:
            assert fit.value - truth <= fit.certificate.gap


def test_far_offsets_do_not_make_false_proofs():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(200, 2))
    y = np.where(Z[:, 0] + rng.logistic(size=200) > 0, 1.0, -1.0)
    best = tw.fit(Z, y, loss="logistic", l2=0.0).value
    for offset in (0.0, 1e6, 1e12, 1e13):
        problem = tw.FiniteSum(Z + offset, y, "logistic", l2=0.0)
        certificate = problem.at(np.zeros(3)).certificate()
        if certificate.kind is CertificateKind.PROOF:
            assert np.log(2) - best <= certificate.gap


def test_one_class_of_positive_weight_is_refused():
    X, y, _ = table("logistic")
    with pytest.raises(tw.InputError, match="positive weight"):
        tw.fit(X, y, sample_weight=(y > 0).astype(float))


def test_kinked_losses_are_said_to_be():
    X, y, _ = table("logistic")
    fit = tw.fit(X, y, loss=lambda z, y: tw.maximum(0, 1 - y * z))
    assert any("kinks" in note for note in fit.notes)
