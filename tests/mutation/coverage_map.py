"""A pytest plugin that writes which test runs which line of ``clsc``, and how long each test takes.

Loaded by ``run.py`` with ``-p coverage_map``.  ``MUTATION_SOURCE`` is the folder of the measured modules,
``MUTATION_MAP`` the JSON file written at the end: ``tests`` maps a test to its seconds, ``files`` a test
file to the seconds of its import, ``lines`` a module to line to the tests (or test files, for what runs
while they are imported).
"""

import json
import os
import time
from pathlib import Path

import coverage
import pytest

SOURCE = Path(os.environ["MUTATION_SOURCE"])


class Mapper:
    def __init__(self):
        self.coverage = coverage.Coverage(
            data_file=None, include=[f"{SOURCE}/*"], config_file=False, messages=False
        )
        self.seconds = {}
        self.imports = {}
        self.passed = set()

    def pytest_sessionstart(self):
        # What the package does at its own import belongs to no test.
        import sottovoce.clsc

        assert SOURCE in Path(sottovoce.clsc.__file__).parents, "another copy of the package is imported"
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector):
        if not isinstance(collector, pytest.Module):
            return (yield)
        self.coverage.switch_context(collector.nodeid)
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            self.imports[collector.nodeid] = time.perf_counter() - start
            self.coverage.switch_context("")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.coverage.switch_context(item.nodeid)
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.perf_counter() - start
            self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def pytest_sessionfinish(self):
        self.coverage.stop()
        data = self.coverage.get_data()
        known = self.passed | self.imports.keys()
        lines = {}
        for path in data.measured_files():
            by_line = data.contexts_by_lineno(path)
            lines[Path(path).name] = {
                str(line): sorted(known.intersection(names)) for line, names in sorted(by_line.items())
            }
        found = {
            "tests": {name: self.seconds[name] for name in sorted(self.passed)},
            "files": self.imports,
            "lines": lines,
        }
        Path(os.environ["MUTATION_MAP"]).write_text(json.dumps(found))


def pytest_configure(config):
    config.pluginmanager.register(Mapper(), "mutation-map")
