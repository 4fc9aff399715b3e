# The commands a person types. `make` alone lists them.
DEVICE ?= cpu
PYTHON ?= python3
SECONDS ?= 600
PORT ?= 4200
SITE ?= site
PARALLEL := -n logical --maxprocesses 4 --dist loadfile
BIN := .venv/bin
# Compiled at once: where PYTHONDONTWRITEBYTECODE is set, every process would compile what it imports, TensorFlow for 8 s.
INSTALL := VIRTUAL_ENV=.venv uv pip install --quiet --compile-bytecode
export PATH := $(CURDIR)/$(BIN):$(PATH)
export TF_CPP_MIN_LOG_LEVEL ?= 3
export DO_NOT_TRACK ?= 1

.PHONY: help setup setup-dev setup-extras repro serve test test-slow coverage fuzz check docs lock

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: .venv/$(DEVICE).txt ## install into .venv what the pipeline needs (DEVICE=gpu for CUDA)

setup-dev: .venv/$(DEVICE).txt .venv/dev.txt

setup-extras: .venv/$(DEVICE).txt .venv/extras.txt ## add what reads HEIC, s3:// and gs://

repro: setup ## check params.yaml, run the pipeline (dvc repro) and print what came out
	fauxscan validate
	dvc repro
	@printf '\nThe hints of DVC above are optional. The figures:\n\n'
	@fauxscan results

serve: setup ## run the schedules of prefect.yaml on this machine, with a page to watch them (PORT=4200)
	python -m flows.serve --port $(PORT)

test: setup-dev ## run the tests that take minutes
	pytest $(PARALLEL)

test-slow: setup-dev ## run the tests that take longer, which `make test` leaves out, and print which branches they miss
	pytest $(PARALLEL) -m "slow and not alone" --cov --cov-report=
	pytest -m alone --cov --cov-append --cov-report=term:skip-covered

coverage: setup-dev ## run all tests, and print which branches none of them takes
	pytest $(PARALLEL) -m "not alone" --cov --cov-report=
	pytest -m alone --cov --cov-append --cov-report=term:skip-covered

fuzz: setup-dev .venv/fuzz.txt ## try random images and videos on the decoders (SECONDS=600 each)
	PYTHONPATH=src python tests/fuzz/front.py images .fuzz/images -max_total_time=$(SECONDS) -artifact_prefix=.fuzz/image-
	PYTHONPATH=src python tests/fuzz/front.py videos .fuzz/videos -max_total_time=$(SECONDS) -artifact_prefix=.fuzz/video-

check: setup-dev ## lint, format, types, and which part imports which
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-logo --no-cache

docs: setup-dev ## build the documentation as a site that needs no network: site/index.html
	python -m sphinx --quiet --nitpicky --fail-on-warning --keep-going -d $(SITE)/.doctrees -c docs . $(SITE)
	@echo "Wrote $(abspath $(SITE))/index.html"

COMPILE := uv pip compile -q --universal --generate-hashes
PIPELINE := --extra pipeline --extra flows
EXTRAS := --extra s3 --extra gs --extra heic

lock: setup ## resolve the hashed requirements anew
	$(COMPILE) pyproject.toml --extra cpu $(PIPELINE) -o requirements/cpu.txt
	$(COMPILE) pyproject.toml --extra gpu $(PIPELINE) -c requirements/cpu.txt --override requirements/gpu.override \
	  -o requirements/gpu.txt
	$(COMPILE) pyproject.toml $(EXTRAS) --group dev -c requirements/cpu.txt -o requirements/dev.txt
	$(COMPILE) pyproject.toml $(EXTRAS) -c requirements/dev.txt -o requirements/extras.txt
	$(COMPILE) --group fuzz -c requirements/dev.txt -o requirements/fuzz.txt

.venv/bin/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	@touch $@

.venv/$(DEVICE).txt: requirements/$(DEVICE).txt pyproject.toml setup.py .venv/bin/uv
	$(INSTALL) --require-hashes -r $<
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev.txt .venv/extras.txt .venv/fuzz.txt: .venv/%.txt: requirements/%.txt .venv/$(DEVICE).txt
	$(INSTALL) --require-hashes -r $<
	@touch $@
