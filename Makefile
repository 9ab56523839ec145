# make demo: both clusters, live, on this machine.  make test: everything that proves it.  make down: leave nothing.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
# Bytecode is kept: without it every process of a run compiles its imports again.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(VENV)/bin:$(HOME)/.cache/twinplane/bin:$(PATH)

.PHONY: help setup lint types unit processes lab-test test demo down benchmark

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/ready: requirements.txt pyproject.toml lab/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Python 3.11 is needed: set PYTHON" >&2; exit 2; }
	test -x $(VENV)/bin/uv || { $(PYTHON) -m venv --clear $(VENV) && $(VENV)/bin/pip install -q --no-deps --require-hashes -r requirements-uv.txt; }
	$(VENV)/bin/uv pip install -q --python $(VENV)/bin/python --require-hashes -r requirements.txt
	$(VENV)/bin/uv pip install -q --python $(VENV)/bin/python --no-deps --no-build-isolation -e . -e lab
	touch $@

setup: $(VENV)/ready ## The virtual environment, with every library pinned

lint: setup ## ruff, import-linter, ansible-lint, and parliament on all IAM policies
	ruff check .
	ruff format --check .
	lint-imports
	ansible-lint --offline -q playbooks
	pytest tests/test_iam_policies.py

types: setup ## mypy, strict
	mypy

unit: setup ## The fast tests: mocks, pure functions, golden files
	pytest tests --ignore tests/live --ignore tests/engine --ignore tests/processes --ignore tests/test_iam_policies.py -n auto --dist loadfile --no-loadscope-reorder

processes: setup ## Playbook runs on this machine, and servers that are killed: real processes, no lab
	pytest tests/processes -n auto --dist loadfile

lab-test: setup ## The lab, end to end: starts from an empty one, and ends with one
	twinplane lab down
	twinplane lab up
	pytest tests/engine -n auto
	pytest tests/live --ignore tests/live/test_down.py
	pytest tests/live/test_down.py

test: lint types unit processes lab-test ## Everything that proves it

demo: setup ## Both clusters on this machine, and the comparison
	twinplane lab demo

down: setup ## Removes every host, mount, link, route and process of the lab
	twinplane lab down

benchmark: setup ## Ratios, side by side in one run
	python -m benchmarks
	python -m benchmarks.workers
	python -m benchmarks.ha
