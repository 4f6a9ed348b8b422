"""What a fit leaves behind: the run folder, the record, the sentences and the page."""

import json
import threading
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import thalweg as tw
from thalweg.core.events import Started
from thalweg.core.plan import Revision
from thalweg.planning import HeldOut, RunFolder, fit_record
from thalweg.planning.record import steps_to_target, verdict


def data(n=60, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, np.where(X[:, 0] + rng.logistic(size=n) > 0, 1.0, -1.0)


def interrupt(event):
    if getattr(event, "step", -1) == 1:
        raise KeyboardInterrupt


@cache
def fitted(ending):
    """One small fit of each ending."""
    X, y = data()
    return {
        "converged": lambda: tw.fit(X, y),
        "softmax": lambda: tw.fit(X, np.digitize(X[:, 1], [-0.5, 0.5])),
        "by name": lambda: tw.fit(X, y, method="gradient-descent"),
        "separable": lambda: tw.fit(X, np.sign(X[:, 0]), l2=0.0),
        "interrupted": lambda: tw.fit(X, y, listen=interrupt),
        "budget": lambda: tw.fit(X, y, max_steps=1),
        "estimate": lambda: tw.fit(X, X[:, 0] + 0.1 * y, loss=lambda z, y: tw.log1p((z - y) ** 2)),
    }[ending]()


@cache
def record_of(ending):
    return fit_record(fitted(ending))


ENDINGS = ("converged", "softmax", "by name", "separable", "interrupted", "budget", "estimate")


class TestRunFolder:
    def test_numbers_count_up(self, tmp_path):
        names = []
        for _ in range(3):
            with RunFolder(tmp_path, "wine") as folder:
                (folder.path / "file").touch()
                names.append(folder.path.name)
        assert names == ["wine-1", "wine-2", "wine-3"]

    def test_the_first_free_number_is_taken(self, tmp_path):
        (tmp_path / "wine-1").mkdir()
        (tmp_path / "wine-3").mkdir()
        (tmp_path / "wine-2").write_text("a file of that name is in the way")
        assert RunFolder(tmp_path, "wine").path.name == "wine-4"

    def test_names_do_not_share_numbers(self, tmp_path):
        assert RunFolder(tmp_path, "wine").path.name == "wine-1"
        assert RunFolder(tmp_path, "iris").path.name == "iris-1"

    def test_missing_parents_are_made(self, tmp_path):
        folder = RunFolder(tmp_path / "a" / "b", "wine")
        assert folder.path.is_dir()

    def test_runs_at_the_same_time_get_folders_of_their_own(self, tmp_path):
        found, barrier = [], threading.Barrier(16)

        def make():
            barrier.wait()
            found.append(RunFolder(tmp_path, "wine").path)

        threads = [threading.Thread(target=make) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(path.name for path in found) == sorted(f"wine-{k}" for k in range(1, 17))

    def test_a_failed_run_leaves_no_empty_folder(self, tmp_path):
        for error in (RuntimeError, KeyboardInterrupt):
            with pytest.raises(error), RunFolder(tmp_path, "wine"):
                raise error
        assert not list(tmp_path.iterdir())

    def test_a_failed_run_keeps_what_was_written(self, tmp_path):
        with pytest.raises(RuntimeError), RunFolder(tmp_path, "wine") as folder:
            (folder.path / "trace.csv").write_text("step\n")
            raise RuntimeError
        assert [path.name for path in (tmp_path / "wine-1").iterdir()] == ["trace.csv"]

    def test_a_finished_run_keeps_its_folder(self, tmp_path):
        with RunFolder(tmp_path, "wine"):
            pass
        assert (tmp_path / "wine-1").is_dir()

    def test_a_parent_that_cannot_be_made_is_named(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(tw.InputError, match="cannot be written") as caught:
            RunFolder(tmp_path / "file", "wine")
        assert str(tmp_path / "file") in caught.value.problem
        assert "--out" in caught.value.remedy

    @pytest.mark.parametrize("ending", ENDINGS)
    def test_files(self, tmp_path, ending):
        fit = fitted(ending)
        with RunFolder(tmp_path, "rows") as folder:
            folder.write(fit, record_of(ending))
        assert {path.name for path in folder.path.iterdir()} == {"solution.npz", "trace.csv", "run.json"}
        with np.load(folder.path / "solution.npz") as kept:
            np.testing.assert_array_equal(kept["x"], fit.x)
            np.testing.assert_array_equal(kept["coef"], fit.coef)
            assert float(kept["value"]) == fit.value
            assert ("direction" in kept) == (fit.direction is not None)
        lines = (folder.path / "trace.csv").read_text().splitlines()
        assert len(lines) == len(fit.trace) + 1
        assert json.loads((folder.path / "run.json").read_text()) == json.loads(json.dumps(record_of(ending)))

    def test_a_record_that_cannot_be_written_leaves_no_half_file(self, tmp_path):
        with RunFolder(tmp_path, "rows") as folder, pytest.raises(TypeError):
            folder.write(fitted("converged"), {"not json": object()})
        assert {path.name for path in folder.path.iterdir()} == {"solution.npz", "trace.csv"}


@pytest.mark.parametrize("ending", ENDINGS)
class TestRecord:
    def test_it_is_strict_json(self, ending):
        record = record_of(ending)
        assert json.loads(json.dumps(record, allow_nan=False)) == record

    def test_it_says_what_the_fit_says(self, ending):
        fit, record = fitted(ending), record_of(ending)
        assert record["status"] == fit.status.label
        assert record["remedy"] == fit.status.remedy
        assert record["success"] == fit.status.success
        assert record["value"] == fit.value
        assert record["method"] == fit.method
        assert record["steps"] == fit.cost.steps
        assert record["certificate"]["kind"] == fit.certificate.kind.value
        assert record["certificate"]["gap"] == (fit.certificate.gap if np.isfinite(fit.certificate.gap) else None)
        assert record["data"]["rows"] == 60
        assert record["data"]["features"] == 3
        assert record["settings"]["loss"] == fit.loss
        assert record["settings"]["l2"] == fit.l2

    def test_the_trace_is_whole(self, ending):
        fit, trace = fitted(ending), record_of(ending)["trace"]
        assert set(trace) == set(fit.trace.columns)
        assert {len(column) for column in trace.values()} == {len(fit.trace)}
        assert trace["value"] == list(fit.trace["value"])

    def test_the_plan_and_the_constants_are_there(self, ending):
        record = record_of(ending)
        names = {row["method"] for row in record["plan"]["rows"]}
        assert {"newton", "newton-cg", "l-bfgs", "nesterov", "gradient-descent"} <= names
        assert sum(row["chosen"] for row in record["plan"]["rows"]) == 1
        assert {"mu", "kappa", "kappa_scaled", "sigma2"} <= set(record["constants"])
        assert record["spectrum"]["raw"]["eigenvalues"]
        assert record["plan"]["made"]
        assert record["observed"]["steps"] <= record["steps"]

    def test_the_predicted_curve_has_its_band(self, ending):
        curve = record_of(ending)["predicted"]
        lengths = {len(column) for column in curve.values()}
        assert len(lengths) == 1
        assert curve["step"] == sorted(curve["step"])
        assert curve["seconds"] == sorted(curve["seconds"])
        for low, gap, high in zip(curve["low"], curve["gap"], curve["high"], strict=True):
            if None in (low, gap, high):  # nothing is known of f* far from the minimum of a function that is not convex
                assert ending == "estimate"
                continue
            assert low <= gap <= high

    def test_sentences(self, ending):
        fit, sentences = fitted(ending), record_of(ending)["verdict"]
        assert sentences
        for sentence in sentences:
            assert sentence.endswith(".")
            assert "\n" not in sentence
            assert "nan" not in sentence.split()
        assert fit.status.label in sentences[0]
        if not fit.status.success:
            assert fit.status.remedy in sentences[0]

    def test_the_page_holds_the_record(self, ending, tmp_path):
        path = tw.report(fitted(ending), tmp_path / "page.html")
        text = path.read_text()
        assert path == tmp_path / "page.html"
        assert fitted(ending).status.label in text
        assert record_of(ending)["schema"] == 1
        start = text.index('type="application/json"')
        embedded = json.loads(text[text.index(">", start) + 1 : text.index("</script>", start)])
        assert embedded["status"] == record_of(ending)["status"]
        assert embedded["trace"]["value"] == record_of(ending)["trace"]["value"]


def test_the_certificate_stands_in_the_first_sentence():
    assert "at most" in record_of("converged")["verdict"][0]
    assert "proof" in record_of("converged")["verdict"][0]
    assert "about" in record_of("estimate")["verdict"][0]
    assert "estimate" in record_of("estimate")["verdict"][0]


def test_predicted_stands_beside_observed():
    fit = fitted("converged")
    sentence = next(s for s in verdict(fit, None, "rows") if "were predicted" in s)
    row = fit.plan[fit.plan.chosen]
    low, high = row.steps_interval
    assert f"{steps_to_target(fit)} steps" in sentence
    assert f"where {row.steps:.0f} were predicted ({low:.0f} to {high:.0f})" in sentence
    assert ("as foreseen" in sentence) == (low <= steps_to_target(fit) <= high)


def test_steps_to_the_target_leave_polishing_out():
    fit = fitted("converged")
    gaps = fit.trace["gap"]
    assert gaps[steps_to_target(fit)] <= fit.target
    assert (gaps[: steps_to_target(fit)] > fit.target).all()
    assert steps_to_target(fit) < fit.cost.steps


def test_what_the_caller_knows_is_kept():
    held_out = HeldOut("accuracy", 0.9, 0.8, 12, 3)
    fit = fitted("converged")
    record = fit_record(fit, held_out, command=["thalweg", "fit", "rows.csv"], seed=3, name="rows")
    assert record["data"]["name"] == "rows"
    assert record["command"] == ["thalweg", "fit", "rows.csv"]
    assert record["settings"]["seed"] == 3
    assert record["held_out"] == {"measure": "accuracy", "training": 0.9, "held_out": 0.8, "rows": 12, "seed": 3}
    assert any("0.8000 on 12 held-out rows" in sentence for sentence in record["verdict"])
    assert "rows" in record["verdict"][0]


def test_a_method_that_was_asked_for_is_said():
    assert record_of("by name")["settings"]["method_asked"] == "gradient-descent"
    assert record_of("converged")["settings"]["method_asked"] is None


def test_versions_and_machine():
    record = record_of("converged")
    assert record["versions"]["numpy"] == np.__version__
    assert record["versions"]["thalweg"]
    assert record["machine"]["cores"] >= 1


def test_changes_of_plan_are_told():
    made = fitted("converged").plan
    revisions = (Revision(4, "too slow", "newton", "l-bfgs"), Revision(6, "noted", "newton", "newton"))
    fit = replace(fitted("converged"), made_plan=replace(made, revisions=revisions))
    changed, noted = [s for s in verdict(fit, None, "rows") if "plan was changed" in s]
    assert changed == "The plan was changed at step 4: newton gave way to l-bfgs; too slow."
    assert noted == "The plan was changed at step 6; noted."


def test_record_method_and_report_agree():
    fit = fitted("converged")
    mine, theirs = fit.record(), record_of("converged")
    assert set(mine) == set(theirs)
    assert mine["trace"] == theirs["trace"]
    assert mine["constants"]["mu"]["value"] == theirs["constants"]["mu"]["value"]


def test_a_page_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(tw.InputError, match="cannot be written") as caught:
        tw.report(fitted("converged"), tmp_path / "file" / "page.html")
    assert caught.value.remedy
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_diverged_fit_has_a_record(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 3))
    fit = tw.fit(X, X[:, 0], loss=lambda z, y: -((z - y) ** 2), l2=0.0)
    json.dumps(fit_record(fit), allow_nan=False)
    tw.report(fit, tmp_path / "page.html")


def test_a_fit_interrupted_before_its_first_step_has_a_record():
    X = np.random.default_rng(0).normal(size=(60, 3))

    def listen(event):
        if isinstance(event, Started):
            raise KeyboardInterrupt

    json.dumps(fit_record(tw.fit(X, X[:, 0], listen=listen)), allow_nan=False)


def test_a_fit_that_missed_its_target_does_not_claim_steps_to_it():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = np.where(X[:, 0] + rng.logistic(size=60) > 0, 1.0, -1.0)
    record = fit_record(tw.fit(X, y, max_steps=1))
    assert not any("to the target" in s and "took" in s for s in record["verdict"])


def test_the_predicted_curve_ends_at_the_predicted_steps():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = np.where(X[:, 0] + rng.logistic(size=60) > 0, 1.0, -1.0)
    record = fit_record(tw.fit(X, y))
    chosen = next(row for row in record["plan"]["rows"] if row["chosen"])
    assert record["predicted"]["step"][-1] == pytest.approx(chosen["steps"], abs=1)
