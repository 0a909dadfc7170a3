# The two commands: `make demo` and `make test`.  Everything lands in .venv and build/.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# cython-lint starts pycodestyle by its name.
export PATH := $(abspath $(BIN)):$(PATH)
# What an install depends on: change one of these and the package is built again.
SOURCES := pyproject.toml setup.py MANIFEST.in $(shell find _root _ext clsc he rs fl cli -name '*.py' -o -name '*.pyx' -o -name '*.pyi' -o -name '*.c' -o -name '*.h')
JOBS   ?= 2

.PHONY: demo test test-all lint bench docs clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"

# Compiled once, whatever extras follow.  build/ first: a file deleted from the checkout would come back from it.
$(VENV)/.built: $(SOURCES) | $(BIN)/python
	@echo "building the package, a minute or more ..."
	rm -rf build $(VENV)/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(VENV)/wheel .
	@touch $@

# A wheel of the version that is there already would be left alone, so it is forced; its extras are not.
$(VENV)/.installed-%: $(VENV)/.built
	@echo "installing into $(VENV): what $* needs ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $(VENV)/wheel/*.whl
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(echo $(VENV)/wheel/*.whl)[$*]"
	@touch $@

demo: $(VENV)/.installed-demo
	$(BIN)/sottovoce demo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n $(JOBS)

test-all: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n $(JOBS) --slow

lint: $(VENV)/.installed-lint $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/cython-lint _ext
	$(BIN)/codespell
	$(BIN)/mypy -p sottovoce
	$(BIN)/lint-imports

bench: $(VENV)/.installed-test
	$(BIN)/sottovoce bench all

# A warning is an error: a link that leads nowhere, a name that is not described.
docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -b html -d build/doctrees docs build/docs

clean:
	rm -rf build dist .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
