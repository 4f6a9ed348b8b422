# One command for each habit. They use the tools of the environment that is active.
.PHONY: check format test test-all bench docs

PYTHON ?= python
# Two BLAS threads on a busy machine make small products tens of times slower, and figures meaningless.
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export MKL_NUM_THREADS = 1

check:  ## style, docstrings against signatures, types, floors
	ruff check .
	ruff format --check .
	mypy
	lint-imports

format:  ## rewrite the sources in the project's style
	ruff check --fix .
	ruff format .

test:  ## what CI runs: about two minutes of tests for each issue
	$(PYTHON) -m pytest --numprocesses=auto --dist=worksteal

test-all:  ## the slow tests too
	$(PYTHON) -m pytest --numprocesses=auto --dist=worksteal -m "slow or not slow"

bench:  ## every benchmark in its quick form
	set -e; for file in benchmarks/*.py; do echo "== $$file"; $(PYTHON) $$file --quick; done

docs:  ## run every example in README, docs and docstrings
	$(PYTHON) -m pytest tests/test_docs.py
