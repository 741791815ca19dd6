# Every target sets up its own virtual environment in .venv first.
# PYTHON chooses the interpreter it is made with: make test PYTHON=python3.13
# COMPILED=1 tests or measures the compiled package, in .venv-compiled: make bench COMPILED=1

PYTHON ?= python3
VENV := .venv$(if $(COMPILED),-compiled)
BIN := $(VENV)/bin
PACKAGES := events registry subscribers

NAMES := $(sort $(wildcard $(PACKAGES:=/*.py) $(PACKAGES:=/*/*.py) $(PACKAGES:=/*/*.py[ix]) \
	$(PACKAGES:=/*/static/*)))

.PHONY: FORCE help demo test check format soak storms crashes log-crashes fuzz bench bench-quick \
	performance bench-journal bench-peers herd floods screenshots compiled compiled-tests clean

help:
	@echo "make demo    a registry, three devices and a watcher, for real (under 20 s)"
	@echo "make test    all tests, and the coverage that must be whole"
	@echo "make check   ruff (format and lint) and mypy --strict"
	@echo "make format  let ruff put the code in order"
	@echo "make soak    every promise, through all that can happen, for MINUTES=5, from SEED=…"
	@echo "make storms  the same on real sockets and processes, for SECONDS=60, from SEED=…"
	@echo "make crashes kill a registry that has a journal KILLS=30 times under load, from SEED=…"
	@echo "make log-crashes  the same with loggers, KILLS=100 times: their files are the event stream"
	@echo "make fuzz    bytes that nobody has thought of, for SECONDS=60 each target, from SEED=…"
	@echo "make bench   everything that matters, beside a bare loop; minutes. ONLY=latency,watching"
	@echo "make bench-quick  the same, roughly, in less than a minute"
	@echo "make performance  the same, compiled as well, and what docs/performance.md shows, anew"
	@echo "make bench-journal  what a journal costs, on the disk of FOLDER=…, and how soon it is back"
	@echo "make bench-peers  Redis and NATS at the same work, where they are installed; QUICK=1"
	@echo "make herd    200 watchers of 5,000 devices lose the registry together, and come back"
	@echo "make floods  what a flood from one key does to the renewals of the others"
	@echo "make screenshots  the pictures of the web page in the docs, anew (needs Chromium)"
	@echo "make compiled  build with compiled modules, and test what is compiled (a minute or two)"
	@echo "make clean   remove what the other targets made"
	@echo "With COMPILED=1 tests and benchmarks use the compiled package: make bench COMPILED=1"

demo: $(VENV)/installed
	$(BIN)/devicewatch demo

# What the compiled modules do, and not what is around them: `make test COMPILED=1` tests all.
compiled:
	$(MAKE) compiled-tests COMPILED=1

compiled-tests: $(VENV)/installed
	$(BIN)/pytest --numprocesses 3 --dist worksteal tests/promises tests/events/test_codec.py \
		tests/events/test_[fmtw]*.py tests/registry/test_core*.py tests/registry/test_device*.py \
		tests/registry/test_[blnouw]*.py tests/registry/test_ser*.py tests/registry/test_sh*.py

test: $(VENV)/installed
ifdef COMPILED
	$(BIN)/pytest --numprocesses 3 --dist worksteal
else
	$(BIN)/pytest --numprocesses 3 --dist worksteal --cov --cov-report=
	$(BIN)/coverage report --fail-under=100
endif

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy -p tests
	$(BIN)/mypy docs/examples

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

soak: $(VENV)/installed
	$(BIN)/python -m tests.promises.soak --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

storms: $(VENV)/installed
	$(BIN)/python -m tests.faults --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

crashes: $(VENV)/installed
	$(BIN)/python -m tests.faults.crashes --kills $(or $(KILLS),30) $(if $(SEED),--seed $(SEED))

log-crashes: $(VENV)/installed
	$(BIN)/python -m tests.faults.log_crashes --kills $(or $(KILLS),100) $(if $(SEED),--seed $(SEED))

fuzz: $(VENV)/fuzz
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks --json $(or $(JSON),bench.json) $(if $(ONLY),--only $(ONLY))

bench-quick: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks --quick --json $(or $(JSON),bench.json) $(if $(ONLY),--only $(ONLY))

performance: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks --json docs/performance.json
	$(MAKE) bench COMPILED=1 JSON=docs/performance-compiled.json
	$(BIN)/python -m tests.benchmarks.charts docs/performance.json docs/performance-compiled.json

bench-journal: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.journal $(FOLDER)

bench-peers: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check "redis[hiredis]>=8" "nats-py>=2.16"
	$(BIN)/python -m tests.benchmarks.peers $(if $(QUICK),--quick)

herd: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.herd

floods: $(VENV)/installed
	$(BIN)/python -m tests.benchmarks.floods $(SECONDS)

screenshots: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check "pillow>=11"
	$(BIN)/python -m tests.web.screenshots

ifdef COMPILED
# Built anew whenever a file has changed, from nothing: what an earlier build left would be packed, too.
$(VENV)/installed: pyproject.toml setup.py $(NAMES) $(VENV)/files | $(BIN)/python
	rm -rf build/bdist* build/compiled build/lib* build/temp*
	DEVICEWATCH_COMPILED=1 $(BIN)/pip install --quiet --disable-pip-version-check ".[test]"
	touch $@
else
# The strict editable install maps files one by one, so it is repeated when one comes or goes.
$(VENV)/installed: pyproject.toml $(VENV)/files | $(BIN)/python
	rm -rf build/__editable__*
	DEVICEWATCH_COMPILED= $(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]" \
		-C editable_mode=strict
	touch $@
endif

# What only fuzzing needs. Where there is no wheel of it, nothing is installed (see pyproject.toml).
$(VENV)/fuzz: $(VENV)/installed
	$(if $(COMPILED),$(error what is compiled cannot be fuzzed: its branches cannot be seen))
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev,fuzz]" -C editable_mode=strict
	touch $@

$(VENV)/files: FORCE | $(BIN)/python
	@echo $(NAMES) | cmp -s - $@ || echo $(NAMES) > $@

FORCE:

$(BIN)/python:
	@echo "setting up $(VENV); this happens once and takes half a minute"
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf .venv .venv-compiled build *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
