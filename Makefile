# make demo: train on real data.  make test: lint, type check, tests.
# make test-versions REQUIREMENTS="lightning==2.6.0 torch==2.10.0": tests with these versions.
# make bench: speed compared with other frameworks.  Each target sets up its virtual environment.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: demo test test-versions setup bench clean

setup: $(VENV)/.installed

# A stamp file: packages are installed again only when the requirements change.
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

# A new environment without constraints.txt, which names one version of each package.
test-versions:
	$(PYTHON) -m venv --clear $(VENV)-versions
	$(VENV)-versions/bin/pip install --disable-pip-version-check -q -e '.[dev]' $(REQUIREMENTS)
	$(VENV)-versions/bin/pytest -n 2 tests/engine tests/callbacks tests/runs tests/cli/test_fit.py

# The other frameworks have a separate environment, because the tests must pass without them.
bench: $(VENV)-bench/.installed
	$(VENV)-bench/bin/python scripts/bench/speed.py
	$(VENV)-bench/bin/python scripts/bench/many.py

$(VENV)-bench/.installed: pyproject.toml constraints.txt
	test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/pip install --disable-pip-version-check -q -c constraints.txt -e '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-bench $(VENV)-versions build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
