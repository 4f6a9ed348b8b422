"""Long runs: stopped, saved and taken up again, they end where an unbroken run does."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.events import Finished, Stepped
from thalweg.core.records import Status
from thalweg.planning import saving
from tolerances import RESUMED


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def function():
    return tw.problem(rosenbrock, x0=np.full(6, -1.2))


def pair():
    return tw.problem(
        lambda p: ((p["w"] - 1) ** 2).sum() + (p["b"] - p["w"].sum()) ** 4, x0={"w": np.zeros(3), "b": 2.0}
    )


def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5)) * [1, 3, 0.1, 1, 1]
    return tw.FiniteSum(X, np.where(X[:, 0] + rng.normal(size=200) > 0, 1.0, -1.0), "logistic", 1e-3)


CASES = {
    "newton": (function, tw.Newton(), 8),
    "newton-cg": (function, tw.NewtonCG(), 8),
    "l-bfgs": (function, tw.LBFGS(), 10),
    "nesterov": (function, tw.Nesterov(step_size=1e-3), 100),
    "heavy ball": (function, tw.HeavyBall(step_size=5e-4, momentum=0.9), 100),
    "gradient descent": (function, tw.GradientDescent(step_size=5e-4), 100),
    "leaves": (pair, tw.LBFGS(), 5),
    "table, l-bfgs": (table, tw.LBFGS(), 5),
    "table, nesterov": (table, tw.Nesterov(), 20),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_in_two_parts_is_the_unbroken_run(name, tmp_path):
    make, method, count = CASES[name]
    file = tmp_path / "run.npz"
    whole = tw.solve(make(), method, max_steps=2 * count, tol=0)
    first = tw.solve(make(), method, max_steps=count, tol=0, save=file)
    assert first.status is Status.BUDGET_SPENT
    second = tw.solve(make(), method, max_steps=2 * count, tol=0, resume=file)
    assert len(second.trace) == len(whole.trace)
    assert second.cost.steps == whole.cost.steps
    np.testing.assert_allclose(second.trace["value"], whole.trace["value"], rtol=RESUMED)
    np.testing.assert_array_equal(second.trace["step"], np.arange(len(whole.trace)))
    assert (np.diff(second.trace["seconds"]) >= 0).all()


def test_tensors_are_saved_in_their_own_type(tmp_path):
    torch = pytest.importorskip("torch")
    file = tmp_path / "run.npz"

    def make():
        return tw.problem(lambda w: ((w - 1) ** 4).sum(), x0=torch.zeros(2, 3, dtype=torch.float32))

    method = tw.Nesterov(step_size=0.05)
    whole = tw.solve(make(), method, max_steps=20, tol=0)
    tw.solve(make(), method, max_steps=10, tol=0, save=file)
    second = tw.solve(make(), method, max_steps=20, tol=0, resume=file)
    assert second.x.dtype == torch.float32
    assert torch.equal(second.x, whole.x)


def test_the_callback_ends_a_run_by_true_or_stop_iteration(tmp_path):
    def at_five(event):
        return isinstance(event, Stepped) and event.step == 5

    def raising(event):
        if at_five(event):
            raise StopIteration

    for callback in (at_five, raising):
        solution = tw.solve(function(), tw.LBFGS(), callback=callback, save=tmp_path / "run.npz")
        assert solution.status is Status.STOPPED
        assert solution.cost.steps == 5
        assert "resume" in solution.status.remedy
        going_on = tw.solve(function(), tw.LBFGS(), resume=tmp_path / "run.npz")
        assert going_on.status is Status.CONVERGED
        assert going_on.cost.steps > 5


def test_the_callback_sees_the_solution_in_the_users_variables():
    seen = []
    solution = tw.solve(pair(), callback=seen.append)
    assert isinstance(seen[-1], Finished)
    assert seen[-1].solution.x["w"].shape == (3,)
    assert solution.x.keys() == {"w", "b"}


def test_seconds_end_a_run():
    def slow(x):
        time.sleep(0.002)
        return rosenbrock(x)

    solution = tw.solve(tw.problem(slow, x0=np.full(6, -1.2)), tw.GradientDescent(step_size=1e-5), max_seconds=0.05)
    assert solution.status is Status.BUDGET_SPENT
    assert solution.cost.steps < 1000


def test_an_interrupted_run_is_saved_and_goes_on(tmp_path):
    file = tmp_path / "run.npz"

    def interrupt(event):
        if isinstance(event, Stepped) and event.step == 7:
            raise KeyboardInterrupt

    solution = tw.solve(function(), tw.LBFGS(), callback=interrupt, save=file)
    assert solution.status is Status.INTERRUPTED
    whole = tw.solve(function(), tw.LBFGS())
    assert tw.solve(function(), tw.LBFGS(), resume=file).cost.steps == whole.cost.steps


def test_control_c_in_the_middle_of_a_step(tmp_path):
    """A real signal to a real process, while the objective is being computed."""
    program = """
import sys, time, numpy as np, thalweg as tw
def slow(x):
    time.sleep(0.01)
    return float(np.sum((x - 1) ** 4)), 4 * (x - 1) ** 3
def started(event):
    if getattr(event, "step", 0) == 5:
        print("ready", flush=True)
problem = tw.problem(lambda x: slow(x)[0], x0=np.zeros(3), value_and_gradient=slow)
solution = tw.solve(problem, tw.GradientDescent(step_size=1e-3), tol=0, save=sys.argv[1], callback=started)
print(solution.status.label, solution.cost.steps)
"""
    file = tmp_path / "run.npz"
    process = subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    killer = threading.Timer(0.2, lambda: os.kill(process.pid, signal.SIGINT))
    killer.start()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    label, steps = out.rsplit(" ", 1)
    assert label == "interrupted"
    header, arrays = saving.read(file)
    assert dict((k, v) for k, v in header["counters"]["mapping"])["steps"] == int(steps)
    assert not list(tmp_path.glob("*.part"))


def test_a_failure_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "run.npz"
    tw.solve(function(), tw.LBFGS(), max_steps=3, save=file)
    before = file.read_bytes()

    def broken(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(saving.np, "savez", broken)
    with pytest.raises(OSError, match="disk full"):
        tw.solve(function(), tw.LBFGS(), max_steps=5, save=file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_what_cannot_be_resumed_is_said(tmp_path):
    file = tmp_path / "run.npz"
    tw.solve(function(), tw.LBFGS(), max_steps=3, save=file)
    with pytest.raises(tw.InputError, match="LBFGS"):
        tw.solve(function(), tw.Nesterov(step_size=1e-3), resume=file)
    with pytest.raises(tw.InputError, match="6 parameters; the problem has 4"):
        tw.solve(tw.problem(rosenbrock, x0=np.zeros(4)), tw.LBFGS(), resume=file)
    with pytest.raises(tw.InputError, match="no such file"):
        tw.solve(function(), tw.LBFGS(), resume=tmp_path / "none.npz")
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(tw.InputError, match="no saved run"):
        tw.solve(function(), tw.LBFGS(), resume=file)
    with pytest.raises(tw.InputError, match="no folder"):
        tw.solve(function(), tw.LBFGS(), save=tmp_path / "nowhere" / "run.npz")
    header, arrays = {"format": 99}, {}
    saving.write(file, header, arrays)
    with pytest.raises(tw.InputError, match="format 99"):
        tw.solve(function(), tw.LBFGS(), resume=file)


@pytest.mark.parametrize("part", ["method", "point", "memory", "certificate", "trace", "counters"])
def test_a_saved_run_without_one_of_its_parts_is_refused(part, tmp_path):
    file = tmp_path / "run.npz"
    tw.solve(function(), tw.LBFGS(), max_steps=3, save=file)
    header, arrays = saving.read(file)
    saving.write(file, {name: value for name, value in header.items() if name != part}, arrays)
    with pytest.raises(tw.InputError, match="start afresh"):
        tw.solve(function(), tw.LBFGS(), resume=file)
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(tw.InputError, match="no saved run"):
        tw.solve(function(), tw.LBFGS(), resume=tmp_path / "array.npy")


def test_what_a_killed_process_left_is_removed_but_not_what_one_may_still_write(tmp_path):
    old, new, other = (tmp_path / name for name in ("run.npzabc.part", "run.npzdef.part", "walk.npzabc.part"))
    for part in (old, new, other):
        part.write_bytes(b"half")
    for part in (old, other):
        os.utime(part, (0, 0))
    tw.solve(function(), tw.LBFGS(), max_steps=3, save=tmp_path / "run.npz")
    assert {path.name for path in tmp_path.iterdir()} == {"run.npz", new.name, other.name}


def test_iterates_are_recorded_in_the_users_variables():
    problem, iterates = table(), []
    solution = tw.solve(
        problem, tw.LBFGS(), callback=lambda event: iterates.append(event.x) if isinstance(event, Stepped) else None
    )
    values = [problem.at(x).value for x in iterates]
    np.testing.assert_allclose(values, solution.trace["value"], rtol=RESUMED)
    np.testing.assert_array_equal(iterates[-1], solution.x)
    seen = []
    tw.solve(pair(), callback=lambda event: seen.append(event.x) if isinstance(event, Stepped) else None)
    assert seen[0]["w"].shape == (3,) and float(seen[0]["b"]) == 2.0


# --- What a resumed run may not do -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_a_finished_run_that_is_resumed_takes_no_step(name, tmp_path):
    make, method, count = CASES[name]
    file = tmp_path / "run.npz"
    first = tw.solve(make(), method, max_steps=20 * count, save=file)
    again = tw.solve(make(), method, max_steps=20 * count, resume=file)
    assert again.status is first.status
    assert again.cost.steps == first.cost.steps == len(again.trace) - 1
    assert again.value == pytest.approx(first.value, rel=RESUMED)


@pytest.mark.parametrize("allowed", [{"max_steps": 0}, {"max_steps": 5}, {"max_seconds": 0}])
def test_a_resumed_run_keeps_within_its_budget(allowed, tmp_path):
    file = tmp_path / "run.npz"
    tw.solve(function(), tw.LBFGS(), max_steps=5, save=file)
    solution = tw.solve(function(), tw.LBFGS(), resume=file, **allowed)
    assert solution.status is Status.BUDGET_SPENT
    assert solution.cost.steps == 5


def test_another_target_ends_a_resumed_run_or_lets_it_go_on(tmp_path):
    file = tmp_path / "run.npz"
    whole = tw.solve(function(), tw.LBFGS(), save=file)
    assert tw.solve(function(), tw.LBFGS(), resume=file, tol=1.0).cost.steps == whole.cost.steps
    finer = tw.solve(function(), tw.LBFGS(), resume=file, tol=1e-20)
    assert finer.cost.steps > whole.cost.steps
    assert finer.value < 1e-15


def test_another_problem_start_or_layout_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    file = tmp_path / "run.npz"
    tw.solve(function(), tw.LBFGS(), max_steps=3, save=file)
    zero = np.zeros(6)
    for other in (
        tw.problem(lambda x: ((x - 7) ** 2).sum(), x0=np.full(6, -1.2)),
        tw.problem(lambda x: rosenbrock(x) + 1e-3, x0=np.full(6, -1.2)),
        tw.problem(rosenbrock, x0=zero),
        tw.problem(lambda x: rosenbrock(x["a"]), x0={"a": np.full(6, -1.2)}),
        tw.problem(lambda x: rosenbrock(x[0]), x0=np.full((1, 6), -1.2)),
        tw.problem(lambda x: ((x - 7) ** 2).sum(), x0=torch.zeros(6)),
    ):
        with pytest.raises(tw.InputError, match=r"saved run"):
            tw.solve(other, tw.LBFGS(), resume=file)
    with pytest.raises(tw.InputError, match="at the start"):
        tw.solve(function(), tw.LBFGS(), x0=zero, resume=file)
    tw.solve(pair(), tw.LBFGS(), max_steps=3, save=file)
    renamed = tw.problem(lambda p: ((p["v"] - 1) ** 2).sum() + p["b"] ** 2, x0={"v": np.zeros(3), "b": 2.0})
    with pytest.raises(tw.InputError, match="laid out"):
        tw.solve(renamed, tw.LBFGS(), resume=file)


def test_keys_of_any_kind_are_resumed(tmp_path):
    file = tmp_path / "run.npz"

    def make():
        return tw.problem(
            lambda d: ((d[0] - 1) ** 4).sum() + ((d[1, 2] - 2) ** 4).sum(), x0={0: np.zeros(2), (1, 2): np.zeros(2)}
        )

    tw.solve(make(), tw.LBFGS(), max_steps=3, save=file)
    resumed = tw.solve(make(), tw.LBFGS(), resume=file)
    assert resumed.x.keys() == {0, (1, 2)}
    np.testing.assert_allclose(resumed.trace["value"], tw.solve(make(), tw.LBFGS()).trace["value"], rtol=RESUMED)


def test_a_new_step_size_is_the_one_that_is_taken(tmp_path):
    file = tmp_path / "run.npz"
    tw.solve(function(), tw.GradientDescent(step_size=5e-4), max_steps=3, save=file)
    resumed = tw.solve(function(), tw.GradientDescent(step_size=1e-4), max_steps=6, resume=file)
    np.testing.assert_array_equal(resumed.trace["step_size"], [0, 5e-4, 5e-4, 5e-4, 1e-4, 1e-4, 1e-4])


def test_a_file_that_cannot_be_written_is_refused_before_the_run(tmp_path):
    calls = []
    problem = tw.problem(lambda x: calls.append(1) or rosenbrock(x), x0=np.full(6, -1.2))
    for file in (tmp_path, "", 3, b"run.npz", "/dev/null/run.npz", "/proc/run.npz"):
        before = len(calls)
        with pytest.raises(tw.InputError, match="save="):
            tw.solve(problem, tw.LBFGS(), save=file)
        assert len(calls) < before + 10
    for file in (3, b"run.npz"):
        with pytest.raises(tw.InputError, match="resume="):
            tw.solve(problem, tw.LBFGS(), resume=file)
