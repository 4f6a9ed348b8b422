"""The command as a user meets it: a process, its streams, its exit code and its files."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn import datasets
from sklearn.linear_model import LogisticRegression

from tolerances import PEER_COEFFICIENTS

THALWEG = [sys.executable, "-m", "thalweg"]


def thalweg(*arguments, cwd):
    return subprocess.run(
        [*THALWEG, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def test_fit_prints_and_keeps_everything(tmp_path):
    done = thalweg("fit", "breast_cancer", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in ("569 rows x 30 features, logistic loss", "l2 = 1/n", "proof", "converged", "held-out", "runs/"):
        assert words in done.stdout
    assert "step" in done.stderr
    # Said before it happens: diagnosis and plan stand above what was observed.
    labels = [line.split(" ")[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert labels.index("diagnosis") < labels.index("plan") < labels.index("solve") < labels.index("certificate")
    assert "Warning" not in done.stderr
    folder = tmp_path / "runs" / "breast_cancer-1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.html",
        "run.json",
        "solution.npz",
        "trace.csv",
    ]
    X, y = datasets.load_breast_cancer(return_X_y=True)
    peer = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, y)
    with np.load(folder / "solution.npz") as solution:
        found = solution["coef"]
        assert solution["classes"].tolist() == [0, 1]
        assert len(solution["feature_names"]) == 30
        assert np.array_equal(solution["x"], np.append(found, solution["intercept"]))
    expected = peer.coef_[0]
    assert np.linalg.norm(found - expected) <= PEER_COEFFICIENTS * np.linalg.norm(expected)
    header, *rows = (folder / "trace.csv").read_text().splitlines()
    assert header.startswith("step,value,gap")
    values = [float(row.split(",")[1]) for row in rows]
    assert values == sorted(values, reverse=True)
    record = json.loads((folder / "run.json").read_text())
    assert record["settings"]["seed"] == 0
    assert record["versions"]["numpy"] == np.__version__
    assert record["steps"] == len(rows) - 1


def test_json_quiet_out_and_numbering(tmp_path):
    for number in (1, 2):
        done = thalweg("fit", "iris", "--json", "--quiet", "--out", tmp_path / "deep" / "er", "--seed", 7, cwd=tmp_path)
        assert done.returncode == 0
        assert done.stderr == ""
        record = json.loads(done.stdout)
        assert record["folder"] == str(tmp_path / "deep" / "er" / f"iris-{number}")
        assert record["settings"]["seed"] == 7
        assert record["certificate"]["kind"] == "proof"


def csv(path, text):
    path.write_text(text)
    return path


GOOD = "a,b,y\n" + "".join(f"{i % 7},{i * i % 11},{'no' if i % 3 else 'yes'}\n" for i in range(40))


def test_a_users_own_file(tmp_path):
    csv(tmp_path / "mine.csv", GOOD)
    done = thalweg("fit", "mine.csv", "--target", "b", "--loss", "huber", "--l2", "0.1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "huber loss, l2 = 0.1" in done.stdout
    assert "indicator" in done.stdout
    assert (tmp_path / "runs" / "mine-1" / "run.json").exists()


BAD = {
    "nan": (GOOD.replace("1,1,no", "nan,1,no", 1), [], ["row", "a"]),
    "inf": (GOOD.replace("1,1,no", "inf,1,no", 1), [], ["row", "a", "inf"]),
    "bad cell": (GOOD.replace("1,1,no", "one,1,no", 1), [], ["row", "a", "one"]),
    "ragged": (GOOD.replace("1,1,no", "1,1", 1), [], ["line"]),
    "empty": ("", [], ["empty"]),
    "header only": ("a,b,y\n", [], ["row"]),
    "missing target": (GOOD, ["--target", "z"], ["z"]),
    "one class": ("a,y\n1,x\n2,x\n3,x\n", [], ["one class"]),
    "one row": ("a,y\n1,x\n", [], ["1"]),
    "negative count": ("a,y\n1,2\n2,-3\n3,4\n", ["--loss", "poisson"], ["row 2", "-3"]),
    "three labels": ("a,y\n1,x\n2,y\n3,z\n", ["--loss", "logistic"], ["3 classes"]),
    "unknown loss": (GOOD, ["--loss", "logit"], ["logit"]),
    "negative l2": (GOOD, ["--l2", "-1"], ["l2=-1"]),
    "negative seed": (GOOD, ["--seed", "-1"], ["seed"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_with_a_hint_and_leaves_nothing(name, tmp_path):
    text, options, words = BAD[name]
    csv(tmp_path / "bad.csv", text)
    done = thalweg("fit", "bad.csv", *options, cwd=tmp_path)
    assert done.returncode == 2, done
    error, hint = done.stderr.strip().splitlines()[-2:]
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in error
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_paths_that_cannot_be_used(tmp_path):
    done = thalweg("fit", "nowhere.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert "nowhere.csv" in done.stderr
    (tmp_path / "file").write_text("")
    done = thalweg("fit", "iris", "--out", tmp_path / "file" / "runs", cwd=tmp_path)
    assert done.returncode == 2
    assert "--out" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_stated_treatments_exit_zero(tmp_path):
    rows = "".join(f"{i % 5},{i % 5},3,{'true' if i % 2 else 'false'},{i % 3 + i % 5 * 0.5}\n" for i in range(30))
    csv(tmp_path / "odd.csv", "a,copy,fixed,flag,y\n" + rows)
    done = thalweg("fit", "odd.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in ("constant", "fixed", "copy"):
        assert words in done.stdout


def test_separable_data_has_its_own_exit(tmp_path):
    csv(tmp_path / "apart.csv", "a,y\n" + "".join(f"{i},{'low' if i < 10 else 'high'}\n" for i in range(20)))
    done = thalweg("fit", "apart.csv", "--l2", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert "separable" in done.stdout
    assert "l2 > 0" in done.stdout
    with np.load(tmp_path / "runs" / "apart-1" / "solution.npz") as solution:
        assert np.linalg.norm(solution["direction"]) == pytest.approx(1)


def test_plan_diagnose_and_report_alone(tmp_path):
    planned = thalweg("plan", "iris", cwd=tmp_path)
    assert planned.returncode == 0
    assert planned.stdout.startswith("> newton")
    assert "gradient-descent" in planned.stdout
    rows = json.loads(thalweg("plan", "iris", "--json", cwd=tmp_path).stdout)["rows"]
    assert {"newton", "newton-cg", "l-bfgs", "nesterov", "gradient-descent"} == {row["method"] for row in rows}
    measured = json.loads(thalweg("diagnose", "iris", "--json", cwd=tmp_path).stdout)
    assert {"L", "mu", "kappa", "kappa_scaled", "L_max", "sigma2", "effective_dimension"} <= set(measured["constants"])
    assert list(tmp_path.iterdir()) == []
    assert thalweg("fit", "iris", "--quiet", cwd=tmp_path).returncode == 0
    page = tmp_path / "runs" / "iris-1" / "report.html"
    page.unlink()
    assert thalweg("report", "runs/iris-1", cwd=tmp_path).returncode == 0
    assert page.stat().st_size < 2_000_000
    assert thalweg("report", "runs/nothing", cwd=tmp_path).returncode == 2


def test_a_method_by_name_overrules_the_plan(tmp_path):
    done = thalweg("fit", "iris", "--method", "nesterov", "--json", "--quiet", cwd=tmp_path)
    record = json.loads(done.stdout)
    assert record["method"] == "nesterov"
    assert record["settings"]["method_asked"] == "nesterov"
    assert record["status"] == "converged"
    done = thalweg("fit", "iris", "--method", "newtn", cwd=tmp_path)
    assert done.returncode == 2
    assert "newtn" in done.stderr


def test_help_and_wrong_options(tmp_path):
    done = thalweg("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "fit" in done.stdout
    assert thalweg("fit", "iris", "--lose", "x", cwd=tmp_path).returncode == 2


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a POSIX signal")
def test_control_c_returns_the_best_point(tmp_path):
    """A fit that would take minutes is interrupted once its first steps are on the screen."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 1_500)) @ np.diag(np.geomspace(1, 1e-3, 1_500))
    np.savez(tmp_path / "big.npz", X=X, y=(X @ rng.normal(size=1_500) + rng.logistic(size=20_000) > 0).astype(int))
    process = subprocess.Popen(
        [*THALWEG, "fit", "big.npz", "--l2", "1e-7"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("step"):
            break
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "interrupted" in out
    record = json.loads((tmp_path / "runs" / "big-1" / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert record["value"] < record["start_value"] or record["steps"] == 0


def test_derive_prints_formula_shapes_code_and_check(tmp_path):
    options = ["--wrt", "x", "--order", 2, "--A", "symmetric", "--steps", "--latex", "--code", "numpy"]
    done = thalweg("derive", "log(x'*A*x)", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    page = {line[:14].strip(): line[14:] for line in done.stdout.splitlines() if line[:14].strip()}
    assert {"formula", "Hessian", "differential", "where", "shape", "steps", "latex", "checked"} <= set(page)
    assert page["shape"] == "n x n"
    assert "central differences" in page["checked"]
    assert "A: n x n matrix, symmetric" in done.stdout
    names = {}
    exec(done.stdout[done.stdout.index("from numpy") :], names)
    A, x = np.diag([1.0, 2.0, 3.0]), np.array([1.0, -1.0, 0.5])
    q = x @ A @ x
    expected = 2 / q * A - 4 / q**2 * np.outer(A @ x, A @ x)
    assert np.allclose(names["derivative"](x, A), expected, rtol=PEER_COEFFICIENTS)


def test_derive_as_json_and_attributes_anywhere(tmp_path):
    done = thalweg("derive", "--A=symmetric", "x'*A*x", "--wrt", "x", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["derivative"] == "2*A*x"
    assert record["symbols"] == {"x": "n vector", "A": "n x n matrix, symmetric"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["log(x'*A*x", "--wrt", "x"], ["  log(x'*A*x\n     ^", "hint: "]),
        (["x'*A*x", "--wrt", "z"], ["'z'", "x, A"]),
        (["x'*A*x", "y"], ["2 formulas"]),
        (["x'*A*x", "--wrt", "x", "--A", "round"], ["round", "symmetric"]),
    ],
)
def test_derive_names_what_is_wrong(arguments, words, tmp_path):
    done = thalweg("derive", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_compare_prints_a_table_and_draws_it(tmp_path):
    done = thalweg("compare", "iris", "--methods", "newton, l-bfgs", "--out", "picture.svg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "proven" in done.stdout
    for name in ("newton", "l-bfgs"):
        row = next(line for line in lines if line.startswith(name))
        assert row.endswith("converged")
    assert (tmp_path / "picture.svg").read_text().startswith("<svg")
    done = thalweg("compare", "iris", "--methods", "newton", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["methods"][0]["method"] == "newton"
    done = thalweg("compare", "iris", "--out", "picture.gif", cwd=tmp_path)
    assert done.returncode == 2 and "hint: use .html" in done.stderr and not done.stdout
    done = thalweg("compare", "iris", "--methods", "nwton", cwd=tmp_path)
    assert done.returncode == 2
    assert "'nwton'" in done.stderr and "hint:" in done.stderr


def test_rate_of_a_formula_and_of_a_file(tmp_path):
    done = thalweg("rate", "1/3^k", cwd=tmp_path)
    assert done.returncode == 0 and "linear, q = 0.3333" in done.stdout
    (tmp_path / "losses.csv").write_text("step,loss\n" + "\n".join(f"{k},{2 * 0.8**k}" for k in range(60)) + "\n")
    found = json.loads(thalweg("rate", "losses.csv", "--json", cwd=tmp_path).stdout)
    assert found["kind"] == "linear"
    assert abs(found["q"] - 0.8) < 1e-3
    for arguments, words in ((["none.csv"], "no file"), (["losses.csv", "--column", "x"], "'x'"), (["1/3^"], "hint:")):
        done = thalweg("rate", *arguments, cwd=tmp_path)
        assert done.returncode == 2 and words in done.stderr
