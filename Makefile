# `make run` starts Watchmark, `make test` runs its tests; each first prepares .venv as far as it needs.
# Wanted beside make: Python 3.11 or newer, named by PYTHON=… where `python3` is an older one.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
export PYTHONUNBUFFERED := 1
# Set, it would have every start compile every module again, which takes a third of the start.
export PYTHONDONTWRITEBYTECODE :=

# Two more than there are cores: much of a test's time is waiting for a process, a page or a clock.
WORKERS := $(shell expr $$(nproc 2>/dev/null || echo 2) + 2)

.PHONY: setup run demo screenshots screenshots-accept contract-accept texts test test-fast soak image-test audit check bench lock clean

setup: .venv/.dev  ## everything the other targets need, then stop

run: .venv/.runtime
	@exec $(BIN)/watchmark serve

demo: .venv/.runtime
	@exec $(BIN)/watchmark demo

screenshots: setup
	$(BIN)/python -m tests.browser.screenshots docs/images

screenshots-accept: setup  ## keep what the pages look like now, after looking at what differs
	ACCEPT_LOOKS=1 $(BIN)/pytest -q -n 0 tests/browser/test_looks.py

contract-accept: setup  ## write the public contract anew, where a change of it is meant
	ACCEPT_CONTRACT=1 $(BIN)/pytest -q -n 0 tests/test_public_contract.py

texts: setup  ## collects the texts of pages and brings the catalogues up to date
	$(BIN)/python -m tests.locale.update

test: setup
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal

test-fast: setup
	$(BIN)/pytest -q -n auto -m "unit and not soak"

# The attacks come by themselves, since they are measured by the clock. Each part runs whatever came of those before.
soak: setup  ## hours of load, kills and attacks; what they did is then in soak-report.md
	@rm -f soak-report.md
	@failed=0; for part in "-n auto tests --ignore tests/attacks --ignore tests/image" "tests/attacks" "-n 0 tests/image"; do \
		$(BIN)/pytest -q -m soak --soak-report soak-report.md $$part || failed=1; \
	done; cat soak-report.md; exit $$failed

image-test: setup  ## builds the image on a Debian base and runs it; as root, with buildah, debootstrap, runc, prometheus and systemd
	$(BIN)/pytest -q -n 0 -m soak tests/image

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/deptry .

bench: setup  ## or some parts: make bench PARTS="product slow", see bench/README.md
	$(BIN)/python -m bench $(PARTS)

# Pins anew what pyproject.toml asks for. The tool for that is fetched into a folder that is thrown away.
LOCK := uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-header --extra postgres --group build pyproject.toml

lock:
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(PYTHON) -m venv "$$dir" && \
	"$$dir/bin/pip" install --quiet uv && \
	"$$dir/bin/"$(LOCK) --output-file requirements.lock && \
	"$$dir/bin/"$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock && \
	sed -i '1i # Written by `make lock` from pyproject.toml: exactly these files, from whatever index pip is set up with.' \
		requirements.lock requirements-dev.lock

# Secrets that have a form of their own; guesses by words and by chance would name half of the tests.
SECRETS := detect-secrets-hook --disable-plugin KeywordDetector --disable-plugin BasicAuthDetector \
	--disable-plugin Base64HighEntropyString --disable-plugin HexHighEntropyString

audit:  ## secrets in the repository, and known holes in what is pinned; the latter are asked of the internet
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(PYTHON) -m venv "$$dir" && \
	"$$dir/bin/pip" install --quiet detect-secrets pip-audit && \
	git ls-files -z | xargs -0 "$$dir/bin/"$(SECRETS) && \
	"$$dir/bin/pip-audit" --strict --disable-pip --require-hashes --requirement requirements.lock

clean:
	rm -rf .venv

# --- .venv, in two steps that are each done once until what they are made of changes

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Watchmark needs Python 3.11 or newer. Name one: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "$(PYTHON) cannot make a virtual environment. On Debian or Ubuntu: sudo apt install python3-venv" >&2; \
		exit 1; }

.venv/.runtime: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing what Watchmark needs into .venv"
	@$(PIP) --require-hashes --requirement requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# In one go: the second lock holds all of the first. What is never run need not be compiled.
.venv/.dev: requirements-dev.lock requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing Watchmark, and what its tests and checks need, into .venv"
	@$(PIP) --no-compile --require-hashes --requirement requirements-dev.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch .venv/.runtime $@
