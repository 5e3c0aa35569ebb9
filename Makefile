# `make` or `make help` lists the targets. Each target sets up the virtual environment that it needs.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

# Quick tests from every folder of tests/.
FAST := $(addprefix tests/,\
	test_discovery.py test_errors.py test_signature.py test_random_state.py \
	callbacks/test_stop_conditions.py cli/test_verbs.py cli/test_listings.py \
	clipping/test_clipping.py config/test_edit_yaml.py config/test_expand_paths.py \
	conformance/test_conformance_record.py curvature/test_lanczos.py data/test_splits.py \
	data/test_preprocess.py diagnostics/test_checks.py drawing/test_page.py \
	engine/test_eval_weights.py lab/test_panels.py landscape/test_planes.py \
	monitor/test_activity.py monitor/test_step_delta.py nets/test_mlp.py \
	optimizers/test_groups.py optimizers/test_registry.py races/test_test_functions.py \
	range_test/test_suggestion.py runs/test_config_callbacks.py schedules/test_decays.py \
	storage/test_atomic_write.py storage/test_journal.py study/test_statistics.py \
	tasks/test_metrics.py)

.PHONY: help setup demo lint format test test-fast test-versions bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## install gdlightning and its tools into .venv

# A stamp file: packages are installed again only when the requirements change.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	touch $@

demo: setup  ## train on real data
	$(BIN)/gdl fit --config configs/tabular.yaml

lint: setup  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint  ## lint, then run all tests
	$(BIN)/pytest -n auto

test-fast: setup  ## run quick tests of every part
	$(BIN)/pytest -n auto $(FAST)

# A new environment without constraints.txt, which names one version of each package, such as
# make test-versions REQUIREMENTS="lightning==2.6.0 torch==2.10.0"
test-versions:  ## run the core tests with other versions of Lightning and torch
	$(PYTHON) -m venv --clear $(VENV)-versions
	$(VENV)-versions/bin/pip install --disable-pip-version-check -q -e '.[dev]' $(REQUIREMENTS)
	$(VENV)-versions/bin/pytest -n 2 tests/engine tests/callbacks tests/runs tests/cli/test_fit.py

# The other frameworks have a separate environment, because the tests must pass without them.
bench: $(VENV)-bench/.installed  ## compare the speed with other frameworks
	$(VENV)-bench/bin/python scripts/bench/speed.py
	$(VENV)-bench/bin/python scripts/bench/many.py

$(VENV)-bench/.installed: pyproject.toml constraints.txt
	test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/pip install --disable-pip-version-check -q -c constraints.txt -e '.[bench]'
	touch $@

clean:  ## remove environments, builds and caches
	rm -rf $(VENV) $(VENV)-bench $(VENV)-versions build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
