# make quickstart    train on the bundled data, measure, certify, match five offers
# make histories     train on the bundled histories, measure, list next items for four customers
# make serve         answer offers over HTTP with what quickstart made, and review the rest in a browser
# make test          the tests
# make check         style, types, imports, spelling, documentation, known weaknesses of dependencies
# make docs          the documentation as a site, into build/site
# Needs Python 3.11 or newer. Another one than python3: make quickstart PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
export NO_MKDOCS_2_WARNING := 1
BIN := $(VENV)/bin
RUN := runs/quickstart
EXAMPLE := examples/quickstart

.PHONY: quickstart histories serve test check audit docs docs-check tutorials bench slow fuzz crash gpu figure clean
.DELETE_ON_ERROR:

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Thresher needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp is newer than pyproject.toml when what it stands for is installed.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.serve: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[serve]'
	@touch $@ $(VENV)/.installed

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test,dev,docs]'
	@touch $@ $(VENV)/.test $(VENV)/.installed

quickstart: $(VENV)/.installed
	$(BIN)/thresher train $(EXAMPLE)/quickstart.toml --out $(RUN)
	$(BIN)/thresher calibrate $(RUN) || [ $$? -eq 1 ]  # 1: no threshold, which the report explains
	$(BIN)/thresher evaluate $(RUN)
	$(BIN)/thresher match $(RUN) --queries $(EXAMPLE)/offers.csv
	@$(BIN)/python $(EXAMPLE)/headline.py $(RUN)

histories: $(VENV)/.installed
	$(BIN)/thresher train examples/histories/run.toml --out runs/histories
	$(BIN)/thresher evaluate runs/histories
	$(BIN)/thresher recommend runs/histories --events examples/histories/customers.csv --top 5 --remove-history

# The address of the review page is the first line.
serve: $(VENV)/.serve
	@[ -f $(RUN)/manifest.json ] || $(MAKE) quickstart
	$(BIN)/thresher serve $(RUN)

# By file, since the tests of one share what they train. Compiled files are kept, whatever the
# environment says: every worker and every process that a test starts would compile them again.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m 'not slow and not gpu'

check: $(VENV)/.dev audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/typos
	$(BIN)/python docs/check.py
	$(BIN)/mkdocs build --strict --quiet

# Fails on a known weakness of a version that CI installs; an index that does not tell passes, and is named.
audit: $(VENV)/.dev
	@$(BIN)/pip-audit -r .ci/constraints.txt --no-deps --disable-pip --progress-spinner off > $(VENV)/audit.txt 2>&1 || true
	@! grep -A 99 '^Found' $(VENV)/audit.txt
	@grep -q '^No known' $(VENV)/audit.txt && ! grep -q 'not be audited' $(VENV)/audit.txt \
	  || echo "dependencies not audited: the package index does not tell of known weaknesses"

# Fails where a page is lost, a link leads nowhere, or something would be loaded from elsewhere.
docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict --quiet

# Executes the notebooks again and keeps what they print.
tutorials: $(VENV)/.dev
	$(BIN)/python docs/notebooks.py

docs-check: $(VENV)/.installed
	$(BIN)/python docs/check.py

# A table of what it takes beside peers and floors, in runs/bench; some ten minutes on two free cores.
bench: $(VENV)/.serve
	$(BIN)/python benchmarks/bench.py

# pytest answers 5 where no test carries the mark.
slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow || [ $$? -eq 5 ]

# Damaged inputs of every command, table and importer.
fuzz: $(VENV)/.test
	$(BIN)/python -m pytest tests/fuzz -n auto --maxprocesses 4

# Every command killed, and its disk full, at many calls that change files; two at once.
crash: $(VENV)/.test
	$(BIN)/python -m pytest tests/crash -n auto --maxprocesses 4

gpu: $(VENV)/.test
	$(BIN)/python -m pytest -m gpu || [ $$? -eq 5 ]

figure: $(VENV)/.installed
	$(BIN)/python docs/figure.py $(RUN)

clean:
	rm -rf $(VENV) build/site $(RUN) runs/histories .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
