# One target, one thing. Each makes its own virtual environment first, so a fresh clone needs no other step.
#   make demo    run the first notebook for real; prints the results and the path of a page that reads offline
#   make test    format, lint, types, tests, notebooks, browser: all that a reviewer runs
#   make check   the first three of these
#   make lab     open the first notebook in JupyterLab
#   make sidebar build the part of it that runs in the browser (lab and test do)
#   make pictures take the README's pictures anew, of a real JupyterLab
#   make clean   remove what these targets made
.PHONY: demo test check sidebar lab pictures clean
.DEFAULT_GOAL := test

PYTHON ?= python3
# Processes that tests run in at once: they mostly wait. 0 for a debugger.
AT_ONCE ?= 2
BIN := .venv/bin
READY := .venv/.ready

demo: $(READY)
	@$(BIN)/python .ci/demo.py demo

test: check sidebar
	@bash .ci/system
	@$(BIN)/python -m pytest -n $(AT_ONCE) $(ARGS)

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then $(BIN)/mypy; \
	else echo "types: not checked on Python 3.10, whose newest libraries are annotated differently"; fi

sidebar: $(READY)
	@bash .ci/labextension

lab: sidebar
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/01_first_sweep.ipynb

pictures: sidebar
	@PYTHONPATH=tests $(BIN)/python .ci/pictures.py

clean:
	rm -rf .venv demo

$(READY): pyproject.toml .ci/venv
	@PYTHON="$(PYTHON)" bash .ci/venv
