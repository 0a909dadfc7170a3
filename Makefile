# The two commands: `make demo` and `make test`.  Everything lands in .venv and build/.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# cython-lint starts pycodestyle by its name.
export PATH := $(abspath $(BIN)):$(PATH)
# What an install depends on: change one of these and the package is built again.
SOURCES := pyproject.toml setup.py MANIFEST.in $(shell find _root _ext clsc he rs fl cli -name '*.py' -o -name '*.pyx' -o -name '*.pyi' -o -name '*.c' -o -name '*.h') \
	$(wildcard tests/vectors/*/*.json)
JOBS   ?= 2

.PHONY: demo test test-all lint fuzz sanitize mutation bench dist sbom licences lowest docs clean

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
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-all: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --slow

lint: $(VENV)/.installed-lint $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/cython-lint _ext
	$(BIN)/codespell
	$(BIN)/mypy -p sottovoce
	$(BIN)/lint-imports

# Long runs that the suite has a short form of: docs/testing.md.
SECONDS ?= 600
fuzz: $(VENV)/.installed-fuzz $(VENV)/.installed-test
	$(BIN)/python tests/fuzz/run.py --target all --seconds $(SECONDS)

sanitize: $(VENV)/.installed-lint $(VENV)/.installed-test
	$(BIN)/python tests/sanitize/run.py

mutation: $(VENV)/.installed-test
	$(BIN)/python tests/mutation/run.py

bench: $(VENV)/.installed-test
	$(BIN)/sottovoce bench all

# A warning is an error: a link that leads nowhere, a name that is not described.
docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -b html -d build/doctrees docs build/docs

# A source archive and a wheel for this Python and most Linux systems, the same bytes for everybody who builds this commit.
dist: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1790000000)
dist: $(VENV)/.installed-release
	rm -rf build dist
	$(BIN)/python -m build --outdir dist/built .
	$(BIN)/auditwheel repair --strip --wheel-dir dist dist/built/*.whl
	mv dist/built/*.tar.gz dist && rm -r dist/built
	@ls -l dist

# What an installation of the library alone brings along (CycloneDX).
sbom: $(VENV)/.installed-release
	rm -rf $(VENV)/alone && $(PYTHON) -m venv $(VENV)/alone
	$(VENV)/alone/bin/python -m pip install --quiet --disable-pip-version-check $(VENV)/wheel/*.whl
	$(VENV)/alone/bin/python -m pip uninstall --quiet --yes setuptools pip
	mkdir -p dist
	$(BIN)/cyclonedx-py environment --output-reproducible \
		--output-format JSON --output-file dist/sottovoce.cdx.json $(VENV)/alone/bin/python

# Of everything that any extra brings along.
licences: $(VENV)/.installed-release
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(echo $(VENV)/wheel/*.whl)[$$($(BIN)/python -c \
		'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"], sep=",")')]"
	sed -i '/^| Name/,$$d' docs/licences.md
	$(BIN)/pip-licenses --from=mixed --format=markdown --with-system --ignore-packages sottovoce \
		| sed 's/  */ /g; s/---*/---/g' >> docs/licences.md

# The core with exactly the lowest versions that it declares.
LOWEST_TESTS ?= tests/ext tests/clsc tests/he tests/rs
lowest: $(VENV)/.installed-release
	rm -rf $(VENV)/lowest && $(BIN)/uv venv --quiet --python $(BIN)/python $(VENV)/lowest
	$(BIN)/uv pip install --quiet --python $(VENV)/lowest --resolution lowest-direct -r pyproject.toml
	$(BIN)/uv pip install --quiet --python $(VENV)/lowest --no-deps $(VENV)/wheel/*.whl
	$(BIN)/uv pip install --quiet --python $(VENV)/lowest "pytest>=8" "pytest-xdist>=3.6" "hypothesis>=6.100" "py_ecc>=8" "pytest-benchmark>=5"
	$(VENV)/lowest/bin/python tests/lowest.py
	$(VENV)/lowest/bin/python -m pytest -n $(JOBS) $(LOWEST_TESTS)

clean:
	rm -rf build dist .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
