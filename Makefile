# Every target sets up its own virtual environment in .venv first.
# PYTHON chooses the interpreter it is made with: make test PYTHON=python3.13

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := events registry subscribers

.PHONY: help demo test check format bench clean

help:
	@echo "make demo    a registry, three devices and a watcher, for real (under 20 s)"
	@echo "make test    all tests"
	@echo "make check   ruff (format and lint) and mypy --strict"
	@echo "make format  let ruff put the code in order"
	@echo "make bench   requests per second at 10 and at 10,000 devices, beside a bare loop"
	@echo "make clean   remove what the other targets made"

demo: $(VENV)/installed
	$(BIN)/devicewatch demo

test: $(VENV)/installed
	$(BIN)/pytest

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy -p tests

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed
	$(BIN)/python tests/benchmarks/flatness.py

# The strict editable install maps files one by one, so it is repeated when one comes or goes:
# that is when a folder's own time stamp changes.
$(VENV)/installed: pyproject.toml $(PACKAGES) | $(BIN)/python
	rm -rf build
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]" -C editable_mode=strict
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
