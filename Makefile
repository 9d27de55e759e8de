# Everything that CI and a person run. Needs Python 3.13 (.python-version), Node.js and make.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
TOOLS := .local/tools
AZURITE_READY := local/node_modules/.ready
LINT_READY := local/lint/node_modules/.ready
# A module is one worker's; tests/conftest.py says in which order.
SIDE_BY_SIDE := --dist loadgroup --no-loadscope-reorder

export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help setup check test unit soak month storm demo up host azurite emulator request resend show list decide link mappings \
  targets plan docs \
  package lock audit doctor bench faults bicep clean

help: ## List the commands
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) $(AZURITE_READY) ## Create the virtual environment and install the storage emulator

$(READY): requirements-dev.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	  sys.exit(0 if v == (3, 13) else f"Python 3.13 is needed (.python-version); {sys.executable} is {v[0]}.{v[1]}. Try make PYTHON=/path/to/python3.13")'
	@echo "setting up $(VENV) (about half a minute)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(RUN) -m pip install -qq --disable-pip-version-check --no-warn-script-location \
	  --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

$(AZURITE_READY): local/package.json local/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed (Node.js 20 or later), for the storage emulator Azurite" >&2; exit 1; }
	@echo "installing the storage emulator Azurite"
	@npm ci --prefix local --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

$(LINT_READY): local/lint/package.json local/lint/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed (Node.js 20 or later), for the linters of the API documents" >&2; exit 1; }
	@echo "installing the linters of the API documents"
	@npm ci --prefix local/lint --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

check: $(READY) $(LINT_READY) ## Check lint, format, types, import rules and the API documents
	@$(RUN) -m local check

test: setup check ## Run everything that CI runs (JOBS, default 3: tests that run side by side)
	@$(RUN) -m pytest -n $(or $(JOBS),3) $(SIDE_BY_SIDE)

unit: $(READY) ## Run the fast tests alone
	@$(RUN) -m pytest -q tests/unit

soak: setup ## Run simulation, fuzzers, storms at length (SEEDS, default 5000; FROM; CASES, default 50000; ONLY)
	@SOAK=1 SOAK_FROM=$(or $(FROM),1000) SOAK_TO=$$(( $(or $(FROM),1000) + $(or $(SEEDS),5000) )) \
	  $(RUN) -m pytest -q -m soak -n $(or $(JOBS),2) $(SIDE_BY_SIDE) -k "$(or $(ONLY),test)" -o faulthandler_timeout=0

month: $(READY) ## Simulate a month of fifty targets (TARGETS, DAYS, SEED)
	@MONTH_TARGETS=$(or $(TARGETS),50) MONTH_DAYS=$(or $(DAYS),30) MONTH_SEED=$(or $(SEED),1) \
	  $(RUN) -m pytest -q tests/month

storm: setup ## Let many tickets ask for one job at once (TICKETS, default 2000; HOSTS, default 1; COOLDOWN)
	@$(RUN) -m local.storm

demo: setup ## Show the main job here: a request, a full restart, the rows in Table Storage
	@$(RUN) -m local.demo

host: setup ## Start the development host alone (PORT, default 7071; APP_DIR, default this project)
	@$(RUN) -m local.host

azurite: setup ## Start the storage emulator alone (127.0.0.1; BLOB_PORT, QUEUE_PORT, TABLE_PORT)
	@exec $(RUN) -m local --make azurite

emulator: $(READY) ## Start the Graph emulator alone (GRAPH_EMULATOR_PORT, default 7072)
	@$(RUN) -m local.emulator

up: setup ## Start storage, Graph emulator, host and a desk that prints what tickets hear
	@$(RUN) -m local --make up

request: $(READY) ## Ask for a reset (TARGET, REASON, BY, SUBJECTS, TICKET, NOT_BEFORE, REQUEST_ID, DRY_RUN, YES, FOLLOW)
	@$(RUN) -m local --make request

resend: $(READY) ## Send again the answers that were given up (JSON)
	@$(RUN) -m local --make resend

show: $(READY) ## Show one reset (ID, FOLLOW, JSON, WIDE) by RELINK_URL and RELINK_KEY
	@$(RUN) -m local --make show

list: $(READY) ## List open resets, or others (TARGET, STATE, TICKET, BY, SUBJECT, SINCE, JSON, WIDE)
	@$(RUN) -m local --make list

decide: $(READY) ## Decide on a reset (ID, DECISION, BY, REASON)
	@$(RUN) -m local --make decide

link: $(READY) ## Show to whom a user is linked, and what would match (USER, TARGET, JSON, WIDE)
	@$(RUN) -m local --make link

mappings: $(READY) ## Write out a job's schema as it was kept beside a reset (RESET, TO)
	@$(RUN) -m local --make mappings

targets: $(READY) ## List every provisioning job, with entries for RESET_TARGETS (JSON, WIDE)
	@$(RUN) -m local --make targets

plan: $(READY) ## Say what would happen now to every target, and why; sends nothing (JSON, WIDE)
	@$(RUN) -m local --make plan

package: ## Build dist/functionapp.zip, which deploys without a remote build (TELEMETRY)
	@$(PYTHON) -s -m local.package

lock: $(TOOLS)/.ready ## Resolve everything again and write the lock files
	@$(TOOLS)/bin/python -m local.locks

audit: $(TOOLS)/.ready ## Look for known vulnerabilities in everything that is locked
	@for lock in requirements.lock requirements-dev.lock requirements-tools.lock; do \
	  $(TOOLS)/bin/pip-audit --disable-pip --require-hashes --requirement $$lock; done

$(TOOLS)/.ready: requirements-tools.lock
	@$(PYTHON) -m venv --clear $(TOOLS)
	@$(TOOLS)/bin/python -m pip install -qq --disable-pip-version-check \
	  --require-hashes --no-deps -r $<
	@touch $@

doctor: ## Say what this machine has and lacks, each with the line that mends it
	@$(PYTHON) -s -m local.doctor

bench: setup ## Measure everything beside a naive app (ROUNDS, default 3; QUICK=1; ONLY=reset,storm; OUT)
	@$(RUN) -m bench

faults: setup ## Break what can break while requests are under way (REQUESTS, default 20; ONLY=killed,storage)
	@$(RUN) -m bench.faults

docs: $(READY) ## Write what the documents take from the code (schemas, diagram, tables)
	@$(RUN) -m local.documents

bicep: $(READY) ## Format infra/ and write what is compiled from it (BICEP, or a compiler on the PATH)
	@$(RUN) -m local.bicep

clean: ## Remove what setup and runs have created
	@rm -rf $(VENV) local/node_modules local/lint/node_modules .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
