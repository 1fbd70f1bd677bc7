# Everything a newcomer types. `make run` needs no key, no GPU and no download beyond the packages.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run demo-local weights test slow long lint check studio build clean

run: $(VENV)/.installed
	$(BIN)/move37 run

# A small real model on this machine in every role; MOVE37_LOCAL_GGUF names another.
demo-local: $(VENV)/.installed-local
	$(BIN)/python -m benchmarks.local_model

weights: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.local_model weights

# Boxes use one thread each, and so do the tests; a file's tests share what they set up.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

test: $(VENV)/.installed-dev
	$(PYTEST)

slow: $(VENV)/.installed-dev weights
	$(PYTEST) -m slow

long: $(VENV)/.installed-dev weights
	$(PYTEST) -m long

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test slow build

build: $(VENV)/.installed-dev
	bash .ci/wheel

studio: $(VENV)/.installed-dev
	LANGSMITH_TRACING=$${LANGSMITH_TRACING:-false} LANGGRAPH_CLI_NO_ANALYTICS=1 \
	  $(BIN)/langgraph dev --no-browser --host 127.0.0.1

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	touch $@

$(VENV)/.installed-local: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[local]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	touch $@ $(VENV)/.installed $(VENV)/.installed-local
