"""Flower is an extra: nothing else needs it, and its absence is explained."""

import subprocess
import sys

SCRIPT = """
import sys
sys.modules["flwr"] = None  # as if it were not installed
import sottovoce, sottovoce.fl, sottovoce.fl.simulate, sottovoce.cli
try:
    import sottovoce.fl.flower
except ModuleNotFoundError as error:
    print(error)
"""


def test_only_the_adapter_needs_flower_and_says_how_to_get_it():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'sottovoce.fl.flower needs Flower: pip install "sottovoce[flower]"\n'
