# make app    build .venv, start the app and open it in the browser
# make test   lint, types and every test that takes seconds; make test-long runs the others
# make clean  remove .venv and the tools' caches
#
# PYTHON=...       the interpreter to build .venv with (3.11 or newer)
# TORCH_INDEX=...  an extra package index that has the CPU-only torch, see the README

VENV := .venv
BIN := $(VENV)/bin
RECENT := import sys; sys.exit(sys.version_info < (3, 11))

ifndef PYTHON
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(RECENT)' >/dev/null 2>&1 && { echo $$p; break; }; done)
endif

PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --quiet \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: help app test test-long clean

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

app: $(VENV)/app.stamp
	$(BIN)/python -m streamlit run app.py

test: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not long"

test-long: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m long

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp is written when an installation is complete: an interrupted one is taken up again, a
# second call does nothing, and a changed requirements file installs anew.
$(VENV)/created.stamp:
	@$(or $(PYTHON),false) -c '$(RECENT)' 2>/dev/null || \
		{ echo "fkd needs Python 3.11 or newer: install it, or name it with 'make PYTHON=/path/to/python3'." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) lacks its venv module: install it (Debian and Ubuntu: the package python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/app.stamp: requirements.txt | $(VENV)/created.stamp
	@echo "Installing what the app needs into $(VENV); the first time takes some minutes."
	$(PIP_INSTALL) -r requirements.txt
	$(PIP_INSTALL) --no-deps --editable .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/app.stamp
	@echo "Installing what the tests need into $(VENV)."
	$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@
