# `make run` starts everything on this machine; `make test` is the whole check. `make help` lists the rest.
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
EXTRAS := --extra all --extra cpu --extra otel

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

.PHONY: run
run: ## Install what is needed into .venv and start router and services on this machine
	@python3 scripts/bootstrap.py --extra all --extra $(if $(filter cuda tensorrt,$(DEVICE)),cuda,cpu)
	@exec $(VENV)/bin/immich-mesh up

.PHONY: setup
setup: ## Install the development environment into .venv
	@python3 scripts/bootstrap.py $(EXTRAS) --group dev --group bench

.PHONY: test
test: setup check-format lint types check-generated pytest ## The whole check, as .ci/run runs it

.PHONY: check-format
check-format:
	$(VENV)/bin/ruff format --check .

.PHONY: lint
lint:
	$(VENV)/bin/ruff check .

.PHONY: types
types:
	$(VENV)/bin/mypy

.PHONY: check-generated
check-generated:
	$(PY) protos/generate.py --check
	$(PY) docs/settings_table.py --check
	$(PY) docs/version.py --check
	$(PY) -m helm.generate.schema --check
	$(PY) -m helm.generate.readme --check
	$(PY) -m helm.generate.dashboard --check
	$(PY) -m router --schema | diff -q - docs/router.schema.json

.PHONY: pytest
pytest:
	$(VENV)/bin/pytest -m "not postgres15"

# The first that runs: a version manager's shim may stand in for an interpreter that is switched off.
PYTHON_312 = $(firstword $(foreach python,$(shell which -a python3.12) $(wildcard $(HOME)/.pyenv/versions/3.12.*/bin/python3.12),\
  $(shell $(python) -c 'import sys; print(sys.executable)' 2>/dev/null)))
UV := $(firstword $(shell command -v uv) .tools/uv/bin/uv)

.PHONY: test-python312
test-python312: setup ## The unit and contract tests, and the services by a client, under Python 3.12
	$(PYTHON_312) scripts/bootstrap.py --venv .venv-3.12 $(EXTRAS) --group dev --group bench
	.venv-3.12/bin/pytest tests/unit tests/contract tests/integration/serving tests/integration/clip tests/integration/face

.PHONY: test-helm
test-helm: setup ## The chart in the Helm engine and as processes (Python 3.12)
	$(UV) venv -q --allow-existing -p $(PYTHON_312) .venv-helm
	$(UV) pip install -q -p .venv-helm -r tests/helm/requirements.txt
	HELM_DRIVER=memory .venv-helm/bin/pytest tests/helm

.PHONY: test-export
test-export: setup ## The cn-clip exporter, which needs torch (Python 3.11)
	test -x .venv-export/bin/python || $(UV) venv -q -p 3.11 .venv-export
	$(UV) pip install -q -p .venv-export $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) -e ".[cli,export,cpu]" --group dev torch==2.13.0
	.venv-export/bin/pytest tests/export

.PHONY: test-node
test-node: setup ## Immich's official SDK through the front door, buf on the protos (npm)
	cd tests/node && npm ci --no-audit --no-fund --loglevel=error
	$(VENV)/bin/pytest tests/node

.PHONY: test-postgres15
test-postgres15: setup ## Search on Debian's PostgreSQL with contrib (apt-get install -y postgresql-15)
	@test -x /usr/lib/postgresql/15/bin/pg_ctl || { echo "missing: apt-get install -y postgresql-15"; exit 1; }
	$(VENV)/bin/pytest -m postgres15 tests/integration/sql

.PHONY: test-browser
test-browser: setup ## The admin page in chromium (Debian: apt-get install -y chromium chromium-driver)
	@command -v chromedriver >/dev/null || { echo "missing: apt-get install -y chromium chromium-driver"; exit 1; }
	$(UV) run -q --no-sync --with-requirements tests/browser/requirements.txt pytest tests/browser

.PHONY: format
format: ## Format the code and mend what ruff can mend
	$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

.PHONY: generate
generate: ## Generate what comes from the code: protos/, settings table, versions, the chart's schema and README
	$(PY) protos/generate.py
	$(PY) docs/settings_table.py
	$(PY) docs/version.py
	$(PY) -m helm.generate.schema
	$(PY) -m helm.generate.readme
	$(PY) -m helm.generate.dashboard
	$(PY) -m router --schema > docs/router.schema.json
