# Two commands for a fresh machine: `make demo` and `make test`. Everything lands in .venv and runs/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup demo test lint type check bench docs

setup: $(VENV)/.installed

# Installed again when the dependencies change; an interrupted installation leaves no stamp and is taken up again.
$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/tagweave demo

# Two processes of one thread each: much of the time goes into waiting for servers and commands.
test: setup
	TAGWEAVE_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: setup
	$(BIN)/mypy

check: lint type test

bench: setup
	$(BIN)/python benchmarks/run.py

docs: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
