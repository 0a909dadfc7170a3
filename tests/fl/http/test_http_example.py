"""``examples/http_round`` by its one command: twenty processes, the digits, and nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "http_round"
SCRIPT = EXAMPLE / "run.py"

DRIVER = """
import subprocess, sys, time
from pathlib import Path
example, folder, mark, how = sys.argv[1:]
sys.path.insert(0, example)
from processes import Processes

SLEEP = "import time; print('up', flush=True); time.sleep(300)"
# Of a device: a child in its group that takes no notice of SIGTERM.
CHILD = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"
DEVICE = '''
import subprocess, sys
process = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], stdout=subprocess.PIPE)
process.stdout.readline()
print("up", flush=True)
process.wait()
'''

def one(i):
    processes.start(f"command-{i}", "-c", SLEEP, mark)
    return processes.wait(f"command-{i}")

try:
    with Processes() as processes:
        processes.logs = Path(folder)
        processes.start("relay", "-c", SLEEP, mark).stdout.readline()
        processes.start("device", "-c", DEVICE, CHILD, mark).stdout.readline()
        print("ready", flush=True)
        if how == "together":
            processes.together(one, range(20))
        elif how == "starting":
            for i in range(1000):
                processes.start(f"more-{i}", "-c", SLEEP, mark)
        elif how == "error":
            raise ZeroDivisionError
        elif how == "end":
            processes.running["device"].terminate()  # its child outlives it
            processes.wait("device")
        else:
            time.sleep(300)
except KeyboardInterrupt:
    sys.exit(130)
"""


def with_mark(mark):
    """Processes that have it in their command line."""
    return [p for p in Path("/proc").glob("[0-9]*/cmdline") if mark.encode() in _read(p)]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


@pytest.mark.parametrize(
    ("how", "number", "code"),
    [
        ("sleep", signal.SIGINT, 130),
        ("sleep", signal.SIGHUP, 130),
        ("together", signal.SIGTERM, 130),
        ("starting", signal.SIGTERM, 130),
        ("error", None, 1),
        ("end", None, 0),
    ],
)
def test_nothing_is_left_whatever_the_end(tmp_path, how, number, code):
    mark = f"http-round-test-{os.getpid()}-{how}-{number}"
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, EXAMPLE, tmp_path, mark, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        with process.stdout as out:
            assert out.readline() == b"ready\n"
        if number is not None:
            time.sleep(0.2)
            assert len(with_mark(mark)) >= 4  # itself, two that it started, and the child of one
            process.send_signal(number)
            process.send_signal(number)  # in the midst of ending
        assert process.wait(60) == code
        assert with_mark(mark) == []
    finally:
        process.kill()
        process.wait()
        for left in with_mark(mark):
            os.kill(int(left.parent.name), signal.SIGKILL)


@pytest.mark.slow
def test_the_example_trains_as_plain_averaging_does_and_stops_everything(tmp_path):
    command = [sys.executable, SCRIPT, "--rounds", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=580, check=False)
    assert done.returncode == 0, done.stderr
    private, plain = map(float, re.search(r"accuracy +([\d.]+) +([\d.]+)", done.stdout).groups())
    assert abs(private - plain) <= 0.005
    assert "20 processes" in done.stdout
    assert with_mark("/http-round-") == []


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [1, 10, 40])
def test_the_example_is_ended_at_any_time_and_leaves_nothing(tmp_path, after_s):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, SCRIPT], env=environment, stdout=subprocess.DEVNULL)
    try:
        begun_by = time.monotonic() + 60
        while not list(tmp_path.iterdir()):  # before that it has started nothing, and ends as any program
            assert process.poll() is None
            assert time.monotonic() < begun_by
            time.sleep(0.1)
        time.sleep(after_s)
        process.send_signal(signal.SIGHUP)
        assert process.wait(120) == 130
        assert with_mark(str(tmp_path)) == []
        assert list(tmp_path.iterdir()) == []
    finally:
        process.kill()
        process.wait()
