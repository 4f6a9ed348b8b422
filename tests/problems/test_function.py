"""Any function as a problem: the same minimum in every form and by every method; given derivatives used and checked."""

import math
import pickle

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.errors import InputError
from thalweg.core.records import CertificateKind, Status
from thalweg.core.vector import as_vector, flat, like
from thalweg.linalg import Factor
from thalweg.problems import Function, function
from thalweg.problems.derivatives import EAGER_CALLS
from tolerances import arithmetic, central_difference, eps, minimizer, structured_solution

rng = np.random.default_rng(7)
# Singular values from 0.6 to 1.5.
A = np.linalg.qr(rng.normal(size=(9, 7)))[0] * np.linspace(0.6, 1.5, 7) @ np.linalg.qr(rng.normal(size=(7, 7)))[0]
B = rng.normal(size=9)
METHODS = ["newton", "newton-cg", "l-bfgs", "gradient-descent", "heavy-ball", "nesterov"]


def gradient(x):
    return A.T @ (A @ x - B) + x**3


def hessian(x):
    return A.T @ A + np.diag(3 * x**2)


def value(x):
    return 0.5 * float((A @ x - B) @ (A @ x - B)) + 0.25 * float((x**4).sum())


def bowl(x):
    return of(x, lambda a: a)


def literal_minimum():
    x = np.zeros(7)
    for _ in range(50):
        x = x - np.linalg.solve(hessian(x), gradient(x))
    return x


BEST = literal_minimum()


def of(entries, where):
    """Half of ||A x - b||^2 plus a quarter of sum x^4, of any library's entries and that library's constants."""
    residual = where(A) @ entries - where(B)
    return 0.5 * (residual * residual).sum() + 0.25 * (entries**4).sum()


def joined(u, v, where, concatenate):
    return of(concatenate((u.reshape(-1), v)), where)


def forms():
    def same(a):
        return a

    zero = np.zeros(7)
    yield "array", lambda x: of(x, same), zero
    yield "whole numbers", lambda x: of(x, same), [0] * 7
    yield "column", lambda x: of(x[:, 0], same), zero[:, None]
    yield "tuple", lambda x: joined(*x, same, np.concatenate), (zero[:4].reshape(2, 2), zero[4:])
    yield "list", lambda x: joined(*x, same, np.concatenate), [zero[:4].reshape(2, 2), zero[4:]]
    yield (
        "mapping",
        lambda x: joined(x["u"], x["v"], same, np.concatenate),
        {"u": zero[:4].reshape(4, 1), "v": zero[4:]},
    )


def torch_forms(torch):
    zero = torch.zeros(7, dtype=torch.float64)
    yield "tensor", lambda x: of(x, torch.as_tensor), zero
    yield (
        "tensors",
        lambda x: joined(x["u"], x["v"], torch.as_tensor, torch.cat),
        {"u": zero[:4].clone(), "v": zero[4:]},
    )


FORMS = {name: (f, x0) for name, f, x0 in forms()}


def reaches_the_minimum(problem, method):
    solution = tw.solve(problem, method, tol=1e-13)
    assert solution.status is Status.CONVERGED, solution
    assert -8 * eps() <= solution.value - value(BEST) <= 2e-13
    assert flat(as_vector(solution.x)) == pytest.approx(BEST, rel=0, abs=minimizer(1 / 0.6**2, 2e-13, math.sqrt(2)))
    return solution


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", FORMS)
def test_every_method_on_every_form(form, method):
    f, x0 = FORMS[form]
    solution = reaches_the_minimum(tw.problem(f, x0), method)
    if form not in ("whole numbers",):
        assert type(solution.x) is type(x0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", ["tensor", "tensors"])
def test_every_method_on_tensors(form, method):
    torch = pytest.importorskip("torch")
    f, x0 = {name: (f, x0) for name, f, x0 in torch_forms(torch)}[form]
    solution = reaches_the_minimum(tw.problem(f, x0), method)
    leaves = list(solution.x.values()) if form == "tensors" else [solution.x]
    assert all(isinstance(leaf, torch.Tensor) for leaf in leaves)


@pytest.mark.parametrize("form", FORMS)
def test_derivatives_are_those_by_hand(form):
    f, x0 = FORMS[form]
    problem = tw.problem(f, x0)
    layout = as_vector(x0)
    entries, v = rng.normal(size=7), rng.normal(size=7)
    point = problem.at(like(layout, entries))
    close = {"rel": 0, "abs": arithmetic(operations=60)}
    assert point.value == pytest.approx(value(entries), rel=arithmetic(operations=20))
    assert flat(point.gradient) == pytest.approx(gradient(entries), **close)
    assert np.abs(point.hessian - hessian(entries)).max() <= close["abs"]
    assert flat(point.hvp(like(layout, v))) == pytest.approx(hessian(entries) @ v, **close)


def test_a_number_is_a_vector_too():
    for method in METHODS:
        solution = tw.solve(tw.problem(lambda x: (x - 3.0) ** 2 + 1.0, 5), method)
        assert solution.x == pytest.approx(3.0, abs=1e-4)
        assert np.shape(solution.x) == ()


@pytest.mark.parametrize("method", ["newton", "newton-cg", "l-bfgs", "nesterov"])
@pytest.mark.parametrize("form", ["array", "tuple"])
def test_float32_stays_and_says_how_far_it_reaches(form, method):
    f, x0 = FORMS[form]
    narrow = x0.astype(np.float32) if form == "array" else tuple(a.astype(np.float32) for a in x0)
    solution = tw.solve(tw.problem(f, narrow), method, tol=1e-5)
    assert solution.status is Status.CONVERGED
    assert flat(as_vector(solution.x)).dtype == np.float32
    assert abs(solution.value - value(BEST)) <= 2e-5
    if solution.certificate.kind is not CertificateKind.NONE:
        assert solution.certificate.gap >= 8 * eps(np.float32) * abs(solution.value)


def test_rounding_of_a_single_precision_hessian_is_no_negative_curvature():
    """With fewer rows than columns the Hessian has zero eigenvalues, which rounding makes negative."""
    rows = np.random.default_rng(0).normal(size=(5, 60)).astype(np.float32)
    solution = tw.solve(tw.problem(lambda x: np.cosh(rows @ x - rows[:, 0]).mean(), x0=np.zeros(60, np.float32)))
    assert solution.status.success
    assert solution.value == pytest.approx(1.0, abs=4 * eps(np.float32))
    assert solution.certificate.kind is CertificateKind.ESTIMATE


def counted(name, function):
    calls = []
    return calls, {name: lambda *arguments: calls.append(1) or function(*arguments)}


def opaque(x):
    """The value alone, in a way from which nothing can be derived."""
    return value(np.array([float(a) for a in x]))


GIVEN = {
    "gradient": ({"gradient": gradient}, ["newton", "newton-cg", "l-bfgs", "gradient-descent", "nesterov"]),
    "both": ({"value_and_gradient": lambda x: (value(x), gradient(x))}, ["newton", "l-bfgs", "nesterov"]),
    "gradient and hessian": ({"gradient": gradient, "hessian": hessian}, ["newton", "newton-cg"]),
    "gradient and products": ({"gradient": gradient, "hvp": lambda x, v: hessian(x) @ v}, ["newton", "newton-cg"]),
}


@pytest.mark.parametrize(("given", "method"), [(name, m) for name, (_, methods) in GIVEN.items() for m in methods])
def test_given_derivatives_are_enough_and_are_used(given, method):
    problem = tw.problem(opaque, np.zeros(7), **GIVEN[given][0])
    reaches_the_minimum(problem, method)
    point = problem.at(BEST + 0.1)
    assert point.hessian == pytest.approx(hessian(BEST + 0.1), abs=10 * central_difference())
    assert point.hvp(B[:7]) == pytest.approx(hessian(BEST + 0.1) @ B[:7], abs=20 * central_difference())
    assert not problem.at(BEST).hvp(np.zeros(7)).any()


def test_a_given_second_derivative_is_asked_where_the_first_is_derived():
    for name, call, method in (("hessian", hessian, "newton"), ("hvp", lambda x, v: hessian(x) @ v, "newton-cg")):
        calls, given = counted(name, call)
        reaches_the_minimum(tw.problem(FORMS["array"][0], np.zeros(7), **given), method)
        assert calls


def test_given_derivatives_follow_keys_not_their_order():
    problem = tw.problem(
        lambda x: (x["a"] - 1.0) ** 2 + 4.0 * (x["b"] - 2.0) ** 2, {"a": 5.0, "b": 1.0},
        gradient=lambda x: {"b": 8.0 * (x["b"] - 2.0), "a": 2.0 * (x["a"] - 1.0)},
    )  # fmt: skip
    assert tw.solve(problem, "l-bfgs").x == {"a": pytest.approx(1.0, abs=1e-4), "b": pytest.approx(2.0, abs=1e-4)}


def test_a_start_follows_keys_not_their_order():
    problem = tw.problem(lambda x: (x["a"] - 1.0) ** 2 + 4.0 * (x["b"] - 2.0) ** 2, {"a": 5.0, "b": 1.0})
    assert problem.at(as_vector({"b": 2.0, "a": 1.0})).value == 0.0
    solution = tw.solve(problem, "newton", x0={"b": 1.0, "a": 5.0})
    assert solution.x == {"a": pytest.approx(1.0, abs=1e-4), "b": pytest.approx(2.0, abs=1e-4)}
    with pytest.raises(InputError, match="x is a mapping"):
        problem.at(as_vector({"b": 2.0, "c": 1.0}))


def test_a_gradient_in_one_buffer_is_copied():
    buffer = np.empty(7)

    def into_buffer(x):
        buffer[:] = gradient(x)
        return buffer

    reaches_the_minimum(tw.problem(opaque, np.zeros(7), gradient=into_buffer), "l-bfgs")


def test_sparse_hessians_are_taken():
    sparse = pytest.importorskip("scipy.sparse")
    given = {"gradient": gradient, "hessian": lambda x: sparse.csr_array(hessian(x))}
    reaches_the_minimum(tw.problem(opaque, np.zeros(7), **given), "newton")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gradient": lambda x: np.ones(3)}, r"the given gradient .*\(3,\)"),
        ({"gradient": lambda x: 1.0}, "the given gradient"),
        ({"gradient": lambda x: None}, "the given gradient"),
        ({"gradient": lambda x: gradient(x)[:, None]}, r"the given gradient .*\(7, 1\)"),
        ({"gradient": lambda x: gradient(x) + 1j}, "the given gradient has dtype complex"),
        ({"gradient": lambda x: ["a"] * 7}, "the given gradient has dtype <U1"),
        ({"hessian": lambda x: np.eye(3)}, r"the given hessian .*\(3, 3\)"),
        ({"hessian": lambda x: None}, "the given hessian"),
        ({"hessian": lambda x: np.triu(hessian(x))}, "the given hessian is not symmetric"),
        ({"hessian": lambda x: hessian(x) * 1j}, "the given hessian"),
        ({"gradient": gradient, "hvp": lambda x, v: np.ones(3)}, "the given hvp"),
        ({"value_and_gradient": gradient}, "value_and_gradient gave"),
        ({"value_and_gradient": value}, "value_and_gradient gave"),
        ({"value_and_gradient": lambda x: (np.ones(2), gradient(x))}, "the given value"),
        ({"value_and_gradient": lambda x: (1j, gradient(x))}, "the given value"),
        ({"gradient": "no function"}, "gradient='no function'"),
        ({"grad": gradient}, "grad=.* is not known"),
    ],
)
def test_answers_that_cannot_be_are_refused_by_name(given, message):
    with pytest.raises(InputError, match=message):
        tw.solve(tw.problem(FORMS["array"][0], np.zeros(7), **given), "newton")


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: x**2, r"shape \(2,\)"),
        (lambda x: (x**2).sum(keepdims=True), r"shape \(1,\)"),
        (lambda x: None, r"f\(x0\) is None"),
        (lambda x: x.sum() + 1j, "j"),
        (lambda x: "a", "'a'"),
        (lambda x: x.sum() > 0, "True"),
        (3.0, "f=3.0 is no function"),
    ],
)
def test_f_must_give_one_real_number(f, message):
    with pytest.raises(InputError, match=message):
        tw.problem(f, np.ones(2))


def test_a_start_is_wanted_and_must_be_inside_the_domain():
    with pytest.raises(InputError, match="x0 is missing"):
        tw.problem(lambda x: x @ x)
    for start in ([-1.0, 2.0], [0.0, 2.0]):
        with pytest.raises(InputError, match="not finite at the start"):
            tw.solve(tw.problem(lambda x: -np.log(x).sum(), start))
    with pytest.raises(InputError, match="not finite at the start"):
        tw.solve(tw.problem(opaque, np.zeros(7), gradient=lambda x: np.full(7, np.nan)))


@pytest.mark.parametrize("method", ["newton", "newton-cg", "l-bfgs", "nesterov"])
def test_a_line_search_that_leaves_the_domain_comes_back(method):
    """x - 2 log x from far on either side: first steps go beyond zero, where log is nan; the minimum is at 2."""
    solution = tw.solve(tw.problem(lambda x: x.sum() - 2 * np.log(x).sum(), [0.05, 30.0]), method)
    assert solution.status is Status.CONVERGED
    assert solution.x == pytest.approx(np.full(2, 2.0), abs=minimizer(1.0, 2e-8, 3.0))


@pytest.mark.parametrize("method", ["newton", "newton-cg", "l-bfgs", "gradient-descent", "nesterov"])
def test_control_flow_on_values_runs_eagerly(method):
    """The branch is taken anew at every x: steeper to the right of zero; started left and right, for many calls."""
    asked = []

    def kinked(x):
        asked.append(1)
        if x[0] > 0:
            return 4.0 * x[0] ** 2 + (x[1] - 1.0) ** 2 + x[1] ** 4
        return x[0] ** 2 + (x[1] - 1.0) ** 2 + x[1] ** 4

    for start in ([3.0, -2.0], [-3.0, 2.0]):
        solution = tw.solve(tw.problem(kinked, start), method, tol=1e-12, max_steps=2000)
        # 4 y^3 + 2 (y - 1) = 0
        y = min(np.roots([4.0, 0.0, 2.0, -2.0]), key=lambda root: abs(root.imag)).real
        assert solution.x == pytest.approx([0.0, y], abs=minimizer(4.0, 1e-11))
    if method == "gradient-descent":
        assert len(asked) > 2 * EAGER_CALLS  # beyond the call at which it would be compiled


@pytest.mark.parametrize("method", ["newton", "newton-cg", "l-bfgs", "gradient-descent", "nesterov"])
def test_a_start_with_negative_curvature_is_left_downhill(method):
    """(x^2 - 1)^2 / 4 + y^2 from 0.1: the Hessian at the start is diag(-0.97, 2)."""
    problem = tw.problem(lambda x: (x[0] ** 2 - 1) ** 2 / 4 + x[1] ** 2, [0.1, 1.0])
    assert np.linalg.eigvalsh(problem.at(problem.start()).hessian)[0] < 0
    solution = tw.solve(problem, method)
    assert solution.status is Status.CONVERGED
    assert solution.x == pytest.approx([1.0, 0.0], abs=minimizer(1.0, 1e-8, 2.0))


def test_an_exact_saddle_is_told():
    """No gradient says anything there: nothing is claimed of f - f*, and the text says why."""
    point = tw.problem(lambda x: (x[0] ** 2 - 1) ** 2 / 4 + x[1] ** 2, [0.0, 0.0]).at(np.zeros(2))
    told = point.certificate(np.zeros(2), point.factored)
    assert told.kind is CertificateKind.NONE and "negative curvature" in told.how
    told = point.certificate()
    assert told.kind is CertificateKind.NONE and "not positive semidefinite" in told.how


def test_a_function_without_a_minimum_diverges():
    assert tw.solve(tw.problem(lambda x: x.sum(), [1.0, 1.0])).status is Status.DIVERGED


def test_two_runs_are_the_same_to_the_last_bit():
    def rosenbrock(x):
        return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()

    runs = [tw.solve(tw.problem(rosenbrock, np.full(6, -1.0)), "l-bfgs") for _ in range(2)]
    assert np.array_equal(runs[0].x, runs[1].x)
    assert runs[0].trace["value"].tolist() == runs[1].trace["value"].tolist()


def test_the_estimate_is_the_gap_where_the_model_is_exact():
    quadratic = tw.problem(lambda x: 0.5 * ((A @ x - B) ** 2).sum(), np.ones(7))
    best = 0.5 * float(np.linalg.lstsq(A, B, rcond=None)[1][0])
    point = quadratic.at(np.linspace(-1, 1, 7))
    for certificate in (point.certificate(), point.certificate(-np.linalg.solve(A.T @ A, point.gradient))):
        assert certificate.kind is CertificateKind.ESTIMATE
        assert certificate.gap == pytest.approx(point.value - best, rel=arithmetic(operations=1000))
    assert point.certificate(point.gradient).kind is CertificateKind.NONE  # uphill
    indefinite = tw.problem(lambda x: x[0] ** 2 - x[1] ** 2, np.ones(2))
    assert indefinite.at(np.ones(2)).certificate().kind is CertificateKind.NONE


def test_a_large_problem_is_certified_by_products(monkeypatch):
    problem = tw.problem(FORMS["array"][0], np.zeros(7))
    dense = problem.at(BEST + 0.01).certificate()
    monkeypatch.setattr(function, "LARGEST_HESSIAN", 3)
    monkeypatch.setattr(function.FunctionPoint, "hessian", property(lambda point: pytest.fail("formed")))
    by_products = problem.at(BEST + 0.01).certificate()
    assert by_products.kind is CertificateKind.ESTIMATE
    assert by_products.gap == pytest.approx(dense.gap, rel=0.02)  # conjugate gradients to a residual of 1e-2


# Structure.

X = rng.normal(size=(260, 120))
Y = np.sign(X[:, 0] + rng.normal(size=260))
TABLE, FACTOR = rng.normal(size=(60, 15)), rng.normal(size=(15, 5))


def logistic(w):
    return np.logaddexp(0, -Y * (X @ w)).mean() + 0.01 * (w @ w)


def factored_table(U):
    return ((TABLE - U @ FACTOR.T) ** 2).sum() + 0.1 * (U * U).sum()


@pytest.mark.parametrize(("f", "x0"), [(logistic, np.zeros(120)), (factored_table, np.zeros((60, 5)))])
def test_a_structured_hessian_solves_as_the_dense_one(f, x0, monkeypatch):
    """X' diag(d) X + l2 I of a logistic sum, and I (x) (2 V'V + 0.2 I) of ||T - U V'||^2 in the matrix U."""
    known, unknown = tw.problem(f, x0), tw.problem(f, x0, convex=False)  # the formula proves the first
    point, plain = known.at(known.start()), unknown.at(unknown.start())
    right = flat(plain.gradient)
    expected = np.linalg.solve(plain.hessian, right)
    condition = np.linalg.cond(plain.hessian)
    tolerance = structured_solution(condition, len(right)) * np.abs(expected).max()
    assert plain.factored(right) == pytest.approx(expected, rel=0, abs=tolerance)
    assert plain.factored.definite
    monkeypatch.setattr(function.FunctionPoint, "hessian", property(lambda point: pytest.fail("formed")))
    assert point.factored(right) == pytest.approx(expected, rel=0, abs=tolerance)
    monkeypatch.undo()
    solutions = [tw.solve(p, "newton") for p in (known, unknown)]
    assert all(solution.status is Status.CONVERGED for solution in solutions)
    assert solutions[0].value == pytest.approx(solutions[1].value, rel=0, abs=2e-8)  # the target of both


@pytest.mark.parametrize(
    ("f", "x0", "lowest"),
    [
        (lambda x: ((x**2 - 1) ** 2).sum() / 4 + ((x[1:] - x[:-1]) ** 2).sum(), np.linspace(0.01, 0.2, 120), 0.0),
        (lambda x: np.cos(x).sum(), np.linspace(-0.5, 0.6, 128), -128.0),
    ],
    ids=["chain", "cosines"],
)
def test_structure_does_not_lead_nonconvex_functions_to_saddles(f, x0, lowest):
    """Their structured Hessians are a sum and diagonal, and indefinite at the start."""
    problem = tw.problem(f, x0)
    assert np.linalg.eigvalsh(problem.at(problem.start()).hessian)[0] < 0
    assert tw.solve(problem, "newton").value == pytest.approx(lowest, abs=1e-6)


class Backwards:
    """Derivatives of x'x/2 whose structured solver climbs."""

    def value_and_gradient(self, x):
        return 0.5 * float(x @ x), x

    def hvp(self, x, v):
        return v

    def hessian(self, x):
        return np.eye(x.size)

    def structured(self, x):
        return Factor(lambda r: -r)


def test_a_structured_solver_is_trusted_only_as_long_as_it_descends(monkeypatch):
    problem = Function(lambda x: x, np.ones(120), derivatives=Backwards(), convex=True)
    right = np.linspace(1, 2, 120)
    assert problem.at(np.ones(120)).factored(right) == pytest.approx(right)  # from the dense factor
    monkeypatch.setattr(function, "LARGEST_HESSIAN", 100)
    monkeypatch.setattr(function.FunctionPoint, "hessian", property(lambda point: pytest.fail("formed")))
    assert (problem.at(np.ones(120)).factored(right) == right).all()  # steepest descent


def test_a_line_keeps_its_trials_and_says_what_they_cost():
    problem = tw.problem(FORMS["array"][0], np.zeros(7))
    point = problem.at(problem.start())
    direction = -point.gradient
    line = point.along(direction)
    assert point.along(direction) is line
    assert point.along(direction.copy()) is not line
    line = point.along(direction)
    got, slope = line.value_slope(0.3)
    assert got == pytest.approx(value(0.3 * direction), rel=arithmetic(operations=50))
    assert slope == pytest.approx(gradient(0.3 * direction) @ direction, rel=arithmetic(operations=500))
    assert line.value_slope(0.0)[0] == point.value
    line.value_slope(0.3)
    assert line.passes == 2.0
    assert line.at(0.3) is line.at(0.3)
    assert line.passes == 2.0


def test_a_problem_travels_by_pickle_after_it_was_solved():
    problem = tw.problem(bowl, np.zeros(7))
    solution = tw.solve(problem)
    again = tw.solve(pickle.loads(pickle.dumps(problem)))
    np.testing.assert_array_equal(again.trace["value"], solution.trace["value"])


def test_names():
    assert repr(tw.problem(logistic, np.zeros(120))) == "Function(logistic, 120 parameters)"
    assert tw.problem(lambda x: x @ x, [1.0]).name == "function"
    assert tw.problem(lambda x: x @ x, [1.0], name="bowl").name == "bowl"


def test_newton_uses_the_structure_where_the_formula_proves_convexity(monkeypatch):
    """Nobody says that it is convex: composition does. The dense Hessian (1,000 x 1,000) is never formed."""
    rng = np.random.default_rng(0)
    T, V = rng.normal(size=(200, 50)), rng.normal(size=(50, 5))
    problem = tw.problem(lambda U: ((T - U @ V.T) ** 2).sum(), x0=np.zeros((200, 5)))
    assert problem.proven_convex
    monkeypatch.setattr(
        function.FunctionPoint, "hessian", property(lambda self: pytest.fail("a dense Hessian was formed"))
    )
    solution = tw.solve(problem, "newton")
    exact = np.linalg.lstsq(V, T.T, rcond=None)[0].T
    np.testing.assert_allclose(solution.x, exact, atol=1e-9)
    bent = tw.problem(lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2), x0=np.zeros(200))
    assert not bent.proven_convex
