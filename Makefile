# Two commands do everything on a fresh clone: `make bench` and `make test`. Both set up .venv first; the second time is cheap.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: bench test setup lint benchmarks track constraints clean

bench: setup
	@$(BIN)/bench run quick --verify

test: setup
	$(BIN)/python -m pytest
	@$(MAKE) --no-print-directory lint

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

# the shipped suite of this name, a directory of its own each time, so that every call measures anew
track: RUN := results/track/$(shell date -u +%Y%m%dT%H%M%SZ)
track: setup
	$(BIN)/bench run track --out $(RUN)
	$(BIN)/bench history add $(RUN)
	$(BIN)/bench history check

constraints:
	@{ sed -n 1p constraints.txt; $(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf .venv results build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .benchmarks
