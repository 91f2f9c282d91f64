# Every target makes or completes .venv by itself; versions come from constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
SETUP := pyproject.toml constraints.txt
OUT ?= demo-report
# Every worker has a core of its own.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: demo test lint docs ledger bench packaging mutation clean

demo: $(VENV)/.demo
	@$(BIN)/ncollapse demo --out $(OUT)

test: $(VENV)/.test
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto --dist loadgroup

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

ledger: $(VENV)/.test
	$(BIN)/ncollapse ledger --html docs/ledger-quick.html

bench: $(VENV)/.bench
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

# One function's mutants: make mutation MUTANTS='ncollapse.certify.verify.x__norms*'
mutation: $(VENV)/.mutation
	$(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results

packaging: $(VENV)/.test
	$(BIN)/python tests/promises.py

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.%: $(SETUP) | $(VENV)/.python
	$(PIP) --editable '.[$*]'
	@touch $@

$(VENV)/.lint: $(SETUP) | $(VENV)/.python
	$(PIP) --editable '.[lint,test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist site mutants
