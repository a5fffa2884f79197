# make demo: run the quick start. make test: every check there is. Both set up .venv first and may be run again and again.
PYTHON ?= python3
JOBS ?= auto
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.requirements

export PYTHONPATH := $(CURDIR)
export OPENBLAS_NUM_THREADS ?= 1
# Tests check the IR and the spec of its level around every pass; kernels of users are verified stage by stage.
export TILELANG_VERIFY_SPECS ?= 1

.PHONY: demo test check lit unit clean

demo: $(READY)
	$(BIN)/python examples/quickstart.py

# The lit tests run under pytest, too (tests/unit/test_lit.py). It comes last: its closing line is the last one printed.
test: check unit

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

lit: $(READY)
	$(BIN)/lit --quiet tests/lit

unit: $(READY)
	$(BIN)/python -m pytest --quiet -n $(JOBS) tests

$(READY): pyproject.toml .ci/requirements.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python .ci/requirements.py | $(BIN)/python -m pip install --quiet -r /dev/stdin
	touch $@

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
