# Two commands do everything on a fresh clone: `make bench` and `make test`. Both set up .venv first; the second time is cheap.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: bench test all-tests check quick-tests setup lint benchmarks campaign track showcase constraints clean

bench: setup
	@$(BIN)/bench run quick --verify

# What Python has compiled is kept for the next start: two workers and hundreds of processes read the same files.
export PYTHONDONTWRITEBYTECODE :=

# Tests of one framework share its process and what it compiled, those of a file what they made: each group stays in one
# worker of pytest (tests/conftest.py). There is one more than cores, since some tests wait; more than four would wait for
# each other.
MORE := PYTEST_XDIST_AUTO_NUM_WORKERS=$$(( $$($(BIN)/python -c 'import os; print(os.cpu_count() or 1)') + 1 ))
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

# lint beside the tests, since one worker ends alone
test: setup
	@$(MAKE) --no-print-directory --jobs=2 lint all-tests

all-tests: setup
	$(MORE) $(PYTEST)

# between two edits: nothing that starts a process, loads a framework or reads published data
check: setup
	@$(MAKE) --no-print-directory --jobs=2 lint quick-tests

quick-tests: setup
	$(MORE) $(PYTEST) -m "not process and not published"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "vaebench needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmarks: setup
	$(BIN)/python -m pytest -o addopts=--import-mode=importlib tests/benchmarks --benchmark-only --benchmark-columns=min,median,iqr,rounds

# bad input, kills, bad machines, load and strangers, by the thousand; DURATION is that of the soak, in seconds
SEED ?= 0
DURATION ?= 7200
campaign: setup
	PYTHONPATH=.:tests $(BIN)/python -m campaign --seed $(SEED) --duration $(DURATION) --anew --report reports/campaign.md

# the shipped suite of this name, a directory of its own each time, so that every call measures anew
track: RUN := results/track/$(shell date -u +%Y%m%dT%H%M%SZ)
track: setup
	$(BIN)/bench run track --out $(RUN)
	$(BIN)/bench history add $(RUN)
	$(BIN)/bench history check

# what the front page shows: real data where DATA_DIR has them, else the data that needs no download
DATA_DIR ?= $(BENCH_DATA_DIR)
SHOWCASE := $(if $(wildcard $(DATA_DIR)/mnist $(DATA_DIR)/nsl-kdd),showcase,quick)

showcase: setup
	@$(BIN)/bench run $(SHOWCASE) $(if $(DATA_DIR),--data-dir $(DATA_DIR)) --out results/front-page-$(SHOWCASE)
	@$(BIN)/python -m bench.serve.showcase results/front-page-$(SHOWCASE) reports/showcase README.md

constraints:
	@{ sed -n 1p constraints.txt; $(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf .venv results build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .benchmarks
