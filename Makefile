# `make help` lists what can be made. Everything runs in .venv, which is made and filled on first use.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What is installed: everything a user may want, and everything to work on landbridge.
EXTRAS ?= all,dev
ARGS ?=

# Written after an installation, so that nothing is installed again until pyproject.toml changes.
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
install: $(INSTALLED) ## make .venv and install landbridge into it, with everything optional

.PHONY: train
train: $(INSTALLED) ## run a transfer; without ARGS the default one, about a minute
	@$(BIN)/python -m landbridge $(ARGS)

.PHONY: demo
demo: $(INSTALLED) ## a small sweep in both directions of a pair of digits, and its report: about three minutes
	@$(BIN)/python -m landbridge -m experiment=demo source=uci_digits target=mnist_5k hydra.sweep.dir=outputs/demo/uci_digits-mnist_5k $(ARGS)
	@$(BIN)/python -m landbridge -m experiment=demo source=mnist_5k target=uci_digits hydra.sweep.dir=outputs/demo/mnist_5k-uci_digits $(ARGS)
	@$(BIN)/python -m landbridge.report outputs/demo

.PHONY: test
test: $(INSTALLED) ## run the tests, in a few minutes
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal -m 'not long' $(ARGS)

.PHONY: test-all
test-all: $(INSTALLED) ## run all tests, also those of sweeps that are killed and of several processes
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

.PHONY: test-fast
test-fast: $(INSTALLED) ## run the tests that take no more than a few seconds each
	@$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal -m 'not slow and not long' $(ARGS)

.PHONY: lint
lint: $(INSTALLED) ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: format
format: $(INSTALLED) ## mend style and formatting where that can be done by itself
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: types
types: $(INSTALLED) ## check types
	@$(BIN)/pyright --pythonpath $(BIN)/python $(ARGS)

.PHONY: docs
docs: $(INSTALLED) ## build the documentation into site/; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

.PHONY: bench
bench: $(INSTALLED) ## measure speed and memory against hand-written loops and other launchers
	@$(BIN)/python benchmarks/training_loop.py
	@$(BIN)/python benchmarks/image_folder_memory.py
	@$(BIN)/python benchmarks/sweep.py

.PHONY: bench-transfer
bench-transfer: $(INSTALLED) ## run the comparison in docs/results.md again, and write its table
	@$(BIN)/python benchmarks/transfer.py $(ARGS)

.PHONY: bench-fine-tuning
bench-fine-tuning: $(INSTALLED) ## run the comparison of fine-tuning methods again, and write its table
	@$(BIN)/python benchmarks/fine_tuning.py $(ARGS)

.PHONY: clean
clean: ## remove .venv and caches; runs in outputs/ stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis dist build site
