# Everything these commands keep stays inside the checkout: the environment and the caches of the tools.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
TORCH := $(shell grep '^torch==' requirements.lock)

export PIP_NO_CACHE_DIR := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MYPY_CACHE_DIR := $(CURDIR)/.mypy_cache
export RUFF_CACHE_DIR := $(CURDIR)/.ruff_cache

EXAMPLES := $(sort $(wildcard examples/*.py))
GALLERY := $(EXAMPLES:examples/%.py=gallery/%)

.PHONY: help setup demo test test-all test-trainers check bench docs gallery $(GALLERY) lock build clean clean-venv

help:
	@echo "setup     make $(VENV) with the locked versions"
	@echo "demo      profile an example and print where its report is"
	@echo "test      the test suite without the long end-to-end runs"
	@echo "test-all  the whole test suite"
	@echo "test-trainers  Lightning, HF Trainer and others, in .venv-trainers"
	@echo "check     ruff, mypy and the architecture test"
	@echo "bench     the figures that docs/ quotes"
	@echo "docs      write docs/rules/ again, a page a rule"
	@echo "gallery   profile every example into reports/"
	@echo "build     wheel and source archive into dist/"
	@echo "lock      write requirements.lock from $(VENV)"
	@echo "clean     remove caches and build products; clean-venv also the environment"

setup: $(STAMP)

# torch first and alone: its build (CPU or CUDA) is the machine's choice, the lock file pins only its version.
$(STAMP): pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/slowprobe profile --out reports/demo examples/cpu_transform_slow.py
	@echo "Open reports/demo/report.html"

test: setup
	$(BIN)/python -m pytest -m "not slow"

test-all: setup
	$(BIN)/python -m pytest

# Trainers are large and move fast: an environment of their own, and no part of the lock file.
test-trainers:
	test -x .venv-trainers/bin/python || $(PYTHON) -m venv .venv-trainers
	.venv-trainers/bin/python -m pip install --quiet $(TORCH)
	.venv-trainers/bin/python -m pip install --quiet -r requirements.lock -r tests/trainers/requirements.txt
	.venv-trainers/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	.venv-trainers/bin/python -m pytest tests/trainers

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: setup
	for script in benchmarks/examples.py benchmarks/accuracy.py benchmarks/diagnosis.py benchmarks/overhead.py benchmarks/trace_reading.py; do $(BIN)/python $$script || exit 1; done

docs: setup
	$(BIN)/python docs/build_rules.py
	$(BIN)/python docs/build_schema.py

gallery: $(GALLERY)
	$(BIN)/python benchmarks/gallery.py

$(GALLERY): gallery/%: setup
	rm -rf reports/$*
	$(BIN)/slowprobe profile --out reports/$* examples/$*.py
	find reports/$* -mindepth 1 -maxdepth 1 ! -name report.html ! -name report.json ! -name report.md -exec rm -rf {} +

lock: setup
	{ sed '/^[^#]/,$$d' requirements.lock; \
	  $(BIN)/python -m pip freeze --exclude-editable | sed 's/^\(torch==[^+]*\)+.*/\1/'; } > requirements.lock.new
	mv requirements.lock.new requirements.lock

build: setup
	$(BIN)/python -m build --no-isolation

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info reports/demo reports/*-20*
	find slowprobe tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} +

clean-venv:
	rm -rf $(VENV)
