# Two commands: `make run` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := collectors pipeline tests setup.py

.DEFAULT_GOAL := help
.PHONY: bench check clean cluster coverage elasticsearch elasticsearch-stop faults fuzz help install lint lock migration overload postgres \
  postgres-stop queries request-tracker request-tracker-stop run test types

bench: install ## speed of the matcher over a million events (needs ../shared), of the queue, the receivers, the normaliser, from an event to its ticket, of both stores on a real node
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pysigma-backend-sqlite>=1.2.4,<2'
	$(BIN)/python tests/bench/bench_match.py
	$(BIN)/python -m tests.bench.bench_queue
	$(BIN)/python -m tests.bench.bench_lake
	$(BIN)/python -m tests.bench.bench_elasticsearch
	$(BIN)/python -m tests.bench.bench_receivers
	$(BIN)/python -m tests.bench.bench_normalise
	$(BIN)/python -m tests.bench.bench_append
	$(BIN)/python -m tests.bench.bench_flow

check: lint types ## what CI checks before the tests

clean: ## remove what was built, not what was collected
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage

cluster: install ## three nodes, PostgreSQL, two collectors, two detect workers; a node is killed under load (RECORDS=20000)
	$(BIN)/python -m tests.elasticsearch.cluster --records $${RECORDS:-20000}

coverage: install ## the whole suite, with the share of lines and branches it reaches
	$(BIN)/python -m pytest --cov --cov-report=term

elasticsearch: install ## a real node in the background; prints its ELASTICSEARCH_URL
	@$(BIN)/python tests/elasticsearch/node.py start

elasticsearch-stop: install ## end that node
	@$(BIN)/python tests/elasticsearch/node.py stop

faults: install ## the kill and fault tests with many more rounds (KILLS=200)
	KILLS=$${KILLS:-200} $(BIN)/python -m pytest -m faults --timeout=3600 tests

fuzz: install ## the matcher against the reference, and every product and format with made lines (ROUNDS=50)
	FUZZ_ROUNDS=$(or $(ROUNDS),50) $(BIN)/python -m pytest tests/detect/matching/test_matcher.py tests/detect/matching/test_differential.py \
	  tests/normalise/test_normaliser.py tests/normalise/test_hostile.py tests/collectors/formats \
	  --timeout=0 -p no:cacheprovider

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

install: $(STAMP) ## the environment in .venv, with the test tools

$(STAMP): requirements.lock setup.cfg setup.py pyproject.toml
	@echo "installing into $(VENV): a minute or a few, once" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lint: install ## ruff, and the arrows between packages
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/lint-imports

lock: ## pin every dependency with its hashes
	$(BIN)/pip-compile --quiet --no-strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --extra dev --output-file requirements.lock setup.cfg pyproject.toml

migration: install ## write the first migration anew from the tables (until the first release)
	$(BIN)/python -m pipeline.state.migrate --regenerate

overload: install ## the collector under senders that never rest, with room and with a full spool (OVERLOAD=600 seconds of each)
	OVERLOAD=$${OVERLOAD:-600} $(BIN)/python -m tests.bench.bench_receivers recovery overload

postgres: install ## a real PostgreSQL in the background; prints its POSTGRES_URL
	@$(BIN)/python tests/support/postgres.py start

postgres-stop: install ## end that server
	@$(BIN)/python tests/support/postgres.py stop

request-tracker: install ## a real Request Tracker in the background; prints its REQUEST_TRACKER_URL
	@$(BIN)/python tests/request_tracker/server.py start

request-tracker-stop: install ## end that server
	@$(BIN)/python tests/request_tracker/server.py stop

queries: install ## which exported Lucene queries find what the matcher does not, per rule with the cause (EVERY=1: all)
	COMPARE_EVERY=$${EVERY:-1} $(BIN)/python -m pytest -q -s -rN --timeout=0 tests/elasticsearch/test_exported_queries.py -k difference

run: install ## the whole system with the drill played into it, until Ctrl-C; STORE=elasticsearch keeps its events there
ifeq ($(STORE),elasticsearch)
	@test -n "$$ELASTICSEARCH_URL" || { echo "name the cluster in ELASTICSEARCH_URL; make elasticsearch starts a node and prints it"; exit 2; }
	@THAPCANH__STORE__KIND=elasticsearch THAPCANH__STORE__ELASTICSEARCH="{hosts: [$$ELASTICSEARCH_URL]}" \
	  $(BIN)/thapcanh serve --rehearsal --home "$${THAPCANH_HOME:-var-elasticsearch}"
else
	@$(BIN)/thapcanh serve --rehearsal
endif

test: install ## the whole suite; what cannot run here says how to get it
	$(BIN)/python -m pytest

types: install ## mypy, strict
	$(BIN)/mypy
