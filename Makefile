# Everything sets itself up in .venv; the first call takes a minute, the next ones a second.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test faults bench check lock wheel clean
.DEFAULT_GOAL := help

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.runtime ## play the demonstration and keep serving (EXIT=1 returns; BUS=amqp://… DATABASE=postgresql://…)
	@$(BIN)/unefois demo $(if $(EXIT),--exit) $(if $(BUS),--bus '$(BUS)') $(if $(DATABASE),--database '$(DATABASE)')

test: .venv/.dev ## run every test, two files at a time, with real RabbitMQs and PostgreSQLs (ARGS="tests/bus -x" narrows it)
	@scripts/services.sh $(BIN)/pytest $(or $(ARGS),-n auto --dist loadfile)

faults: .venv/.dev ## break a hub of real processes for MINUTES=2 by SEED=1, balance its books, write docs/reliability.md
	@scripts/services.sh $(BIN)/unefois faults --seed $(or $(SEED),1) --minutes $(or $(MINUTES),2) $(if $(EMBEDDED),--embedded) \
	  --report docs/reliability.md

bench: .venv/.dev .venv-bench/.bench ## measure the hub, the bare broker and other libraries, on real servers (ARGS="--only http_pipeline,raw_pika")
	@scripts/services.sh $(BIN)/unefois bench $(ARGS)

check: .venv/.dev ## format, lint, types, import directions, connectors, evolution of the schemas
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --check .; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/pytest --no-header tests/test_architecture.py
	@$(BIN)/unefois check
	@$(BIN)/unefois schema diff

lock: .venv/.dev ## pin the dependencies again from pyproject.toml (UPGRADE=1 moves them)
	@scripts/lock.sh $(if $(UPGRADE),--upgrade)

wheel: .venv/.dev ## build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation

clean: ## remove .venv and all that was built or cached
	@rm -rf .venv .venv-bench build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-data
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.runtime: requirements.lock pyproject.toml
	@PYTHON='$(PYTHON)' scripts/venv.sh runtime

.venv/.dev: requirements-dev.lock requirements.lock pyproject.toml
	@PYTHON='$(PYTHON)' scripts/venv.sh dev

.venv-bench/.bench: requirements-bench.lock
	@PYTHON='$(PYTHON)' scripts/venv.sh bench
