"""What `tw.solve` does with a listener, a Ctrl-C and arguments that make no sense."""

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.events import Finished, Started, Stepped, StopRun
from thalweg.core.records import Status


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def function(f=rosenbrock):
    return tw.problem(f, x0=[-1.2, 1.0])


def interrupting(at):
    """A function in whose call number ``at`` a Ctrl-C arrives."""
    calls = [0]

    def f(x):
        calls[0] += 1
        if calls[0] == at:
            raise KeyboardInterrupt
        return rosenbrock(x)

    return f


@pytest.mark.parametrize("call", range(2, 12))
@pytest.mark.parametrize("method", ["l-bfgs", "gradient-descent"])
def test_control_c_ends_the_run_wherever_it_comes(method, call):
    """Before the first step there is nothing to return, and the interrupt goes on to the caller."""
    problem = function(interrupting(call))
    try:
        solution = tw.solve(problem, method)
    except KeyboardInterrupt:
        return
    assert solution.status is Status.INTERRUPTED
    assert solution.value <= rosenbrock(np.array([-1.2, 1.0]))


@pytest.mark.parametrize("answer", [True, np.True_, np.bool_(1)])
def test_true_of_any_kind_ends_the_run(answer):
    solution = tw.solve(function(), callback=lambda event: answer)
    assert solution.status is Status.STOPPED
    assert solution.cost.steps == 0


@pytest.mark.parametrize("kind", [StopIteration, StopRun])
def test_what_stops_a_run_may_be_raised_at_any_event(kind):
    for steps in (0, 3):

        def callback(event, steps=steps):
            if getattr(event, "step", 0) == steps:
                raise kind

        solution = tw.solve(function(), callback=callback)
        assert solution.status is Status.STOPPED
        assert solution.cost.steps == steps


@pytest.mark.parametrize("answer", [None, 0, 1, "yes", [1], np.array([1, 2]), np.False_])
def test_any_other_answer_does_not(answer):
    assert tw.solve(function(), callback=lambda event: answer).status is Status.CONVERGED


@pytest.mark.parametrize("kind", [Started, Stepped, Finished])
def test_what_a_callback_raises_reaches_the_caller(kind):
    class Mine(Exception):
        pass

    def callback(event):
        if isinstance(event, kind):
            raise Mine

    with pytest.raises(Mine):
        tw.solve(function(), callback=callback)


def test_a_listener_cannot_move_the_run():
    def spoil(event):
        if isinstance(event, Stepped):
            event.x[:] = 0

    quiet = tw.solve(function(), "l-bfgs")
    np.testing.assert_array_equal(tw.solve(function(), "l-bfgs", callback=spoil).trace["value"], quiet.trace["value"])


def test_a_callback_that_is_none_is_refused_before_the_run():
    with pytest.raises(tw.InputError, match="callback=3"):
        tw.solve(function(), callback=3)


@pytest.mark.parametrize("method", ["gradient-descent", "nesterov", "heavy-ball", "l-bfgs"])
@pytest.mark.parametrize("rank", [1, 4])
def test_directions_without_curvature_do_not_slow_a_quadratic(method, rank):
    """A = B B' of low rank: the step that suits its curved directions, not one at the edge of stability."""
    B = np.linalg.qr(np.random.default_rng(0).normal(size=(10, rank)))[0] * np.linspace(1, 2, rank)
    solution = tw.solve(tw.Quadratic(B @ B.T, B @ np.ones(rank)), method, max_steps=200)
    assert solution.status is Status.CONVERGED
    np.testing.assert_allclose(B.T @ solution.x, np.ones(rank), atol=1e-3)


def test_a_class_is_no_problem():
    with pytest.raises(tw.InputError, match="Quadratic is a class"):
        tw.solve(tw.Quadratic)
