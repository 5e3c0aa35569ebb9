# make demo: train on real data.  make test: lint, types, tests.  Both set up all they need.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: demo test setup bench clean

setup: $(VENV)/.installed

# A stamp: nothing is installed again until what is required changes.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/gdl fit --config configs/tabular.yaml

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
