# `make help` lists the targets. All of them run in .venv, which the first of them makes.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Extras of pyproject.toml to install: all optional parts, and the development tools.
EXTRAS ?= all,dev
ARGS ?=

# This file is written after an installation, so that the next one is made only when pyproject.toml changes.
INSTALLED := $(VENV)/.installed

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "landbridge needs Python 3.11 or newer, $(PYTHON) is %d.%d: make PYTHON=python3.11 ..." % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -e '.[$(EXTRAS)]'
	@touch $@

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Settings go into ARGS: make train ARGS='source=mnist_5k target=uci_digits seed=3'"

.PHONY: install
install: $(INSTALLED) ## make .venv and install landbridge into it, with all optional parts

.PHONY: train
train: $(INSTALLED) ## run a transfer; without ARGS the default transfer, in about a minute
	@$(BIN)/python -m landbridge $(ARGS)

.PHONY: demo
demo: $(INSTALLED) ## run a small sweep in both directions of a pair of digit domains, and make its report, in about three minutes
	@$(BIN)/python -m landbridge -m experiment=demo source=uci_digits target=mnist_5k hydra.sweep.dir=outputs/demo/uci_digits-mnist_5k $(ARGS)
	@$(BIN)/python -m landbridge -m experiment=demo source=mnist_5k target=uci_digits hydra.sweep.dir=outputs/demo/mnist_5k-uci_digits $(ARGS)
	@$(BIN)/python -m landbridge.report outputs/demo

.PHONY: test
test: $(INSTALLED) ## run the tests, in a few minutes
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal -m 'not long' $(ARGS)

.PHONY: test-all
test-all: $(INSTALLED) ## run all tests, also those of killed sweeps and of several processes
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

.PHONY: test-fast
test-fast: $(INSTALLED) ## run the tests that take at most a few seconds each
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal -m 'not slow and not long' $(ARGS)

.PHONY: lint
lint: $(INSTALLED) ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: format
format: $(INSTALLED) ## correct style and formatting automatically
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: types
types: $(INSTALLED) ## check types
	@$(BIN)/pyright --pythonpath $(BIN)/python $(ARGS)

.PHONY: docs
docs: $(INSTALLED) ## build the documentation in site/; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

.PHONY: bench
bench: $(INSTALLED) ## measure speed and memory against hand-written loops and other launchers
	@$(BIN)/python benchmarks/training_loop.py
	@$(BIN)/python benchmarks/image_folder_memory.py
	@$(BIN)/python benchmarks/sweep.py

.PHONY: bench-transfer
bench-transfer: $(INSTALLED) ## run the comparison in docs/results.md, and write its tables
	@$(BIN)/python benchmarks/transfer.py $(ARGS)

.PHONY: bench-office
bench-office: $(INSTALLED) ## run the comparison in docs/results_office.md, and write its tables
	@$(BIN)/python benchmarks/office.py $(ARGS)

.PHONY: bench-fine-tuning
bench-fine-tuning: $(INSTALLED) ## run the comparison of fine-tuning methods, and write its table
	@$(BIN)/python benchmarks/fine_tuning.py $(ARGS)

.PHONY: bench-verdicts
bench-verdicts: $(INSTALLED) ## simulate how often verdicts are wrong, and write the tables in docs/comparing.md
	@$(BIN)/python benchmarks/verdicts.py $(ARGS)

.PHONY: clean
clean: ## remove .venv and caches; runs in outputs/ are kept
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis dist build site
