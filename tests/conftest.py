"""Options, profiles and the header line of the suite.

``--slow`` adds the tests marked slow; ``--kernel NAME`` sets the ceiling of the compiled back ends
for the whole run (before anything of ours is imported).
"""

import os

import pytest
from hypothesis import HealthCheck, settings

for name, examples in {"dev": 30, "ci": 60, "nightly": 500}.items():
    settings.register_profile(
        name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")
    parser.addoption("--kernel", help="ceiling of the compiled back ends: portable, avx2, avx512, neon")


def pytest_configure(config):
    if config.getoption("--kernel"):
        os.environ["SOTTOVOCE_KERNEL"] = config.getoption("--kernel")
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_report_header(config):
    from sottovoce._ext import kernel

    features = ", ".join(sorted(kernel.cpu_features()))
    return f"sottovoce kernels: ceiling {kernel.ceiling()}; the processor has {features}"


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow (make test-all)")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)
