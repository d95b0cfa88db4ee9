# Everything is set up in .venv, from Python and the package registry alone. GNU make 3.81 or newer.

UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
LOCKED := pyproject.toml uv.lock

# Pytest's processes: one per core, at most four; 0 is none but pytest itself.
WORKERS ?= $(shell cores=`getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2`; [ $$cores -lt 4 ] || cores=4; echo $$cores)
PYTEST_ARGS ?=

# Versions and hashes are those of uv.lock; --inexact leaves what another target installed.
SYNC := UV_PROJECT_ENVIRONMENT=$(VENV) UV_PYTHON_DOWNLOADS=never $(BIN)/uv sync --locked --inexact --python $(BIN)/python

FUZZ ?= 20

.DEFAULT_GOAL := help
.PHONY: help install run test pictures fuzz soak bench bench-quick docs check audit sbom try-image format clean

help:
	@echo "make run      serve the agents on http://127.0.0.1:8000"
	@echo "make install  set up what run needs, and no more"
	@echo "make test     run the tests; PYTEST_ARGS='-k stream' and WORKERS=0 are passed on"
	@echo "make fuzz     send it what nobody would, in some minutes: FUZZ=20 times as many cases as in the tests"
	@echo "make pictures  take the pictures of the playground in docs/pictures anew; PICTURES='dark phone' takes those"
	@echo "make soak     200 users for five minutes, with faults, and what was lost or leaked; SOAK='--seconds 60 --postgres'"
	@echo "make bench    measure all of it beside its peers, in half an hour; SCENARIOS='run token' PEERS='plain floor' ROUNDS=3"
	@echo "make bench-quick  hold what matters most against bench/limits.json, in five minutes"
	@echo "make docs     build the documentation's site into dist/docs"
	@echo "make check    formatting, lint, types, imports"
	@echo "make audit    known vulnerabilities of what uv.lock holds, and bandit's rules"
	@echo "make sbom     write sbom.json, CycloneDX, of what uv.lock holds"
	@echo "make try-image  build the image on a clean Debian, run it locked down, stop it; as root, without an engine"
	@echo "make format   format, and fix what can be fixed by itself"
	@echo "make clean    remove .venv and caches; data/ stays"

# The embedded model is a large download, so it is left out where another one is configured.
install: $(VENV)/.service
	@$(BIN)/python -c "$$WHICH_MODEL"; case $$? in \
	  0) $(MAKE) -s $(VENV)/.local;; \
	  3) echo "A model is configured, so the embedded one is not installed.";; \
	esac

run: install
	@exec $(BIN)/python -m app

test: $(VENV)/.dev $(VENV)/.browser $(VENV)/.node $(VENV)/.clients $(VENV)/.typescript $(VENV)/.inspector $(VENV)/.kubectl
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(PYTEST_ARGS)

pictures: $(VENV)/.dev $(VENV)/.browser
	$(BIN)/python -m tests.browser.pictures $(PICTURES)

fuzz: $(VENV)/.dev
	FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/fuzz --timeout 0 --numprocesses $(WORKERS) $(PYTEST_ARGS)

soak: $(VENV)/.dev
	$(BIN)/python bench/soak.py $(SOAK)

bench: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python bench/bench.py --scenarios $(SCENARIOS) --peers $(PEERS) --rounds $(or $(ROUNDS),3)

bench-quick: $(VENV)/.dev
	PYTHONPATH=. $(BIN)/python bench/quick.py

# Its theme would speak of MkDocs' future at each build: docs/decisions/0021 does.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet -f docs/site/mkdocs.yml
	@echo "Open dist/docs/index.html"

check: $(VENV)/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(VENV)/.dev
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive app
	$(BIN)/python deploy/audit.py

sbom: $(VENV)/.dev
	$(BIN)/uv export --frozen --all-extras --all-groups --quiet \
	  --format cyclonedx1.5 --preview-features sbom-export --output-file sbom.json >/dev/null

try-image: $(VENV)/.dev
	TRY_IMAGE=1 $(BIN)/python -m pytest tests/test_image.py -rs

format: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf $(VENV) sbom.json clients/*/node_modules clients/typescript/dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist
	find app tests -name __pycache__ -prune -exec rm -rf {} +

# Stamps: each is as new as the lock that it was installed from.

$(VENV)/.service: $(VENV)/.uv-$(UV_VERSION) $(LOCKED)
	$(SYNC) --no-dev
	@touch $@

$(VENV)/.local: $(VENV)/.uv-$(UV_VERSION) $(LOCKED)
	@echo "Installing the embedded model: about 1.1 GB, once."
	$(SYNC) --no-dev --extra local
	@touch $@

$(VENV)/.dev: $(VENV)/.uv-$(UV_VERSION) $(LOCKED)
	$(SYNC)
	@touch $@

$(VENV)/.docs: $(VENV)/.uv-$(UV_VERSION) $(LOCKED)
	$(SYNC) --only-group docs
	@touch $@

# The system's own browser and curl, for the tests that use them; those are left out where this does not find them.
$(VENV)/.browser: | $(VENV)/.dev
	@found() { command -v curl && { command -v chromium || command -v chromium-browser || command -v google-chrome; }; }; \
	if ! found >/dev/null && [ "`id -u`" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium and curl, once."; \
	  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
	    -o DPkg::Lock::Timeout=120 chromium curl; } >/dev/null 2>&1; \
	fi; \
	if found >/dev/null; then touch $@; \
	else echo "Without Chromium and curl, the tests in tests/browser that use them are left out."; fi

# What the playground is copied from, and axe, as its lock says, for the tests that use them.
$(VENV)/.node: clients/playground/package-lock.json | $(VENV)/.dev
	@if command -v npm >/dev/null && npm --prefix clients/playground ci --ignore-scripts --no-audit --no-fund --silent; \
	then touch $@; \
	else echo "Without node and npm's registry, the tests in tests/browser that use them are left out."; fi

# kubectl, for the tests that render manifests; those are left out where there is none.
$(VENV)/.kubectl: tests/kubectl.txt | $(VENV)/.dev
	@if $(BIN)/python tests/kubectl.py $(BIN) || command -v kubectl >/dev/null; then touch $@; \
	else echo "Without kubectl, the tests that render deploy/kubernetes are left out."; fi

# The JavaScript clients of tests/wire, MCP's inspector among them; their tests are left out where there is no npm.
$(VENV)/.clients: tests/wire/clients/package-lock.json | $(VENV)/.dev
	@if command -v npm >/dev/null && npm ci --prefix $(<D) --ignore-scripts --no-audit --no-fund --silent; then touch $@; \
	else echo "Without Node and npm, the tests of tests/wire that run JavaScript are left out."; fi
# The TypeScript client's compiler and what it depends on; its tests are left out where there is no npm.
$(VENV)/.typescript: clients/typescript/package-lock.json | $(VENV)/.dev
	@if command -v npm >/dev/null && npm ci --prefix $(<D) --ignore-scripts --no-audit --no-fund --silent; then touch $@; \
	else echo "Without Node and npm, the tests of clients/typescript are left out."; fi
$(VENV)/.inspector: tests/wire/inspector/package-lock.json | $(VENV)/.dev
	@if command -v npm >/dev/null && npm ci --prefix $(<D) --omit=dev --no-audit --no-fund --silent; then touch $@; \
	else echo "Without npm, the test that uses MCP's inspector is left out."; fi

$(VENV)/.uv-$(UV_VERSION):
	@$(BIN)/python -c "$$PYTHON_FITS" 2>/dev/null || { \
	  for python in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
	    $$python -c "$$PYTHON_FITS" 2>/dev/null && break; python=; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "Python 3.11, 3.12 or 3.13 is needed and none was found; PYTHON=/path/to/python names one." >&2; exit 1; \
	  fi; \
	  $$python -m venv --clear $(VENV) || { \
	    rm -rf $(VENV); \
	    echo "$$python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	  }; \
	}
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip
	$(BIN)/python -m pip install --disable-pip-version-check --quiet uv==$(UV_VERSION)
	@touch $@

define PYTHON_FITS
import sys
sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
endef
export PYTHON_FITS

# 0: the embedded model, 3: another one, 1: the settings are wrong, which the service itself says better.
define WHICH_MODEL
import sys
from app.settings import Settings
try:
    s = Settings()
except ValueError:
    sys.exit(1)
keys = s.openai_api_key, s.azure_openai_api_key, s.anthropic_api_key, s.gemini_api_key
sys.exit(0 if (s.model.startswith('local') if s.model else not any(keys)) else 3)
endef
export WHICH_MODEL
