# Everything here runs in .venv, made on first use from constraints.txt. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

# The first of these that runs, is new enough and can make a virtual environment; or say PYTHON=/path/to/python.
PYTHON_CANDIDATES := python3.13 python3.12 python3.11 python3
PYTHON_TEST := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach python,$(PYTHON_CANDIDATES),$(shell $(python) -c '$(PYTHON_TEST)' >/dev/null 2>&1 && echo $(python))))

VENV := .venv
BIN := $(VENV)/bin
# Nothing but what constraints.txt pins goes in: --no-build-isolation keeps pip from fetching another hatchling.
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt

PROTOS := $(shell cd protos && find kinema -name '*.proto' | sort)
# Writes the code of every .proto into folder $(1).
generate = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc --proto_path=protos \
	--python_out=$(1) --pyi_out=$(1) --grpc_python_out=$(1) --mypy_grpc_out=quiet:$(1) $(PROTOS)

.PHONY: help demo setup test check promtool fuzz format proto proto-check clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.serving ## Colorize the bundled clip through a real server; writes demo/colour.mp4 and demo/compare.png
	@$(BIN)/python demo/run.py

setup: $(VENV)/.dev ## Install everything for work on Kinema into .venv

test: $(VENV)/.dev promtool ## Run the tests; PYTEST_ARGS="-k frames" narrows them
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.dev promtool proto-check ## Format, lint, types, arrows between packages, protos, what is in deploy/, a little fuzzing
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/python -m pytest -q -rs tests/deploy
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=60 FUZZ_RUNS=3000 FUZZ_SEED=1

promtool: | $(VENV)/.dev
	@deploy/promtool.sh $(BIN)

FUZZ_SECONDS ?= 600
FUZZ_SEED ?= 0# another one each time
FUZZ_RUNS ?= -1# however many
fuzz: $(VENV)/.dev ## Fuzz what strangers can send, FUZZ_SECONDS each; `make check` gives each 3000 inputs, the same ones every time
	@$(BIN)/python -c 'import atheris' 2>/dev/null || { echo "LEFT OUT for want of atheris, which has no wheel here: fuzzing"; exit 0; }; \
	log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	for target in $$($(BIN)/python -c 'from tests.fuzz.targets import TARGETS; print(*TARGETS)'); do \
		$(BIN)/python tests/fuzz/run.py $$target -max_total_time=$(FUZZ_SECONDS) -runs=$(FUZZ_RUNS) -seed=$(FUZZ_SEED) -rss_limit_mb=4096 -timeout=20 >"$$log" 2>&1 \
			|| { cat "$$log"; exit 1; }; \
		echo "fuzzed $$target: $$(tail -n 1 "$$log")"; done

format: $(VENV)/.dev ## Format the code and mend what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

proto: $(VENV)/.dev ## Write the generated code anew, beside its .proto
	$(call generate,protos)

proto-check: $(VENV)/.dev
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(call generate,"$$fresh"); \
	cd "$$fresh"; for file in $$(find . -type f | sort); do \
		cmp -s "$$file" "$(CURDIR)/protos/$$file" || { echo "protos/$${file#./} is stale: run 'make proto' and commit it"; exit 1; }; \
	done; echo "generated code is fresh"

clean: ## Remove .venv, caches and what the demo wrote
	rm -rf $(VENV) .import_linter_cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist demo/colour.mp4 demo/compare.png demo/stills.png
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps: what serving needs, and all the rest on top. A stamp older than the pins is made anew.
$(VENV)/.serving: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Kinema for serving into $(VENV) (once; a few hundred megabytes) ..."
	@$(PIP_INSTALL) hatchling editables
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Kinema with its trainer and development tools into $(VENV) (once; torch is large) ..."
	@$(PIP_INSTALL) hatchling editables setuptools
	@$(PIP_INSTALL) --no-build-isolation --editable '.[train,tracing,dev]'
	@touch $(VENV)/.serving $@

$(BIN)/python:
	@python="$(PYTHON)"; if [ -z "$$python" ]; then \
		echo "Kinema needs Python 3.11 or newer with the venv module; tried: $(PYTHON_CANDIDATES)." >&2; \
		echo "Install one (on Debian: python3 and python3-venv), or name yours: make PYTHON=/path/to/python ..." >&2; exit 1; \
	fi; \
	"$$python" -c '$(PYTHON_TEST)' || { echo "$$python is older than Python 3.11, or lacks the venv module." >&2; exit 1; }; \
	echo "Making $(VENV) with $$("$$python" --version) ..."; "$$python" -m venv $(VENV)
