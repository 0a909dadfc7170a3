"""The measurements of ``sottovoce.cli.bench`` under pytest-benchmark, with their peers.

::

    pytest benches --benchmark-enable                           # all
    pytest benches/bench_rs.py --benchmark-enable -k encode
    pytest benches --benchmark-enable --benchmark-json=new.json

The same objects as in ``sottovoce bench``; here one gets pytest-benchmark's histograms, storage and
comparison.  Peers that are not installed are skipped.
"""

import pytest

from sottovoce.cli import machine
from sottovoce.cli.bench.measurement import load


def pytest_collect_file(file_path, parent):
    """Collect ``bench_*.py``; one that was named on the command line is collected anyway."""
    if file_path.match("bench_*.py") and not parent.session.isinitpath(file_path):
        return pytest.Module.from_parent(parent, path=file_path)
    return None


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["sottovoce"] = machine.card()


def pytest_generate_tests(metafunc):
    """``case``: a measurement of the module's ``AREA``, and who is measured (None: ourselves)."""
    if "case" in metafunc.fixturenames:
        cases = []
        for m in load(metafunc.module.AREA):
            cases.append(pytest.param((m, None), id=m.name))
            cases += [pytest.param((m, peer), id=f"{m.name}, {peer.title}") for peer in m.peers]
        metafunc.parametrize("case", cases)


@pytest.fixture
def timed(benchmark):
    """Times a case as ``sottovoce bench`` does."""

    def run(case):
        measurement, peer = case
        try:
            operation = (measurement if peer is None else peer).prepare()
        except ImportError as error:
            pytest.skip(str(error))
        benchmark.group = measurement.id
        benchmark.extra_info.update(
            size=dict(measurement.size),
            work_amount=measurement.work.amount,
            work_unit=measurement.work.unit,
        )
        if operation.fresh is None:
            benchmark(operation.call)
        else:
            # Objects for one use: made before every call, and not timed.
            benchmark.pedantic(
                operation.call, setup=lambda: (operation.fresh(), {}), rounds=20, warmup_rounds=2
            )

    return run
