"""A process that is killed wherever it changes something, and what is left examined: shared by the victims.

A scenario has ``run(folder, place)``, which calls ``place()`` where somebody outside learns something and may
be run again over what is left until it is complete, and ``examine(folder, complete=, finish=)``, which
raises AssertionError if what is left breaks a promise.

``HOW`` is ``statements`` (killed before each SQL statement, each change of a mark, and before and after
anything leaves), ``calls`` (before each system call that changes a file) or ``torn`` (in the middle of each
write).  The last two need the shim preloaded.

One process makes the keys, then forks for each place ``k`` to die at.  The child runs the scenario and dies;
then the scenario runs again over what is left, as after a restart, and is examined.  So every ``k`` until the
scenario survives: those are all places there are.
"""

import ctypes
import os
import pathlib
import shutil
import signal
import traceback

from sottovoce._ext import sqlite_file


class Places:
    """Counts places to die at; dies at number ``deadly`` (0: never)."""

    def __init__(self, deadly=0):
        self.deadly = deadly
        self.count = 0

    def __call__(self):
        self.count += 1
        if self.count == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)


def die_at_statements(place):
    """Have SQLite statements and the writing of the mark pass ``place`` first."""

    class Watched(sqlite_file.Connection):
        def execute(self, *args):
            place()
            return super().execute(*args)

    sqlite_file.Connection = Watched
    write_mark = sqlite_file.write_mark

    def watched(*args):
        place()
        write_mark(*args)
        place()

    sqlite_file.write_mark = watched


def read_left(folder):
    """Everything that left, by name; a line without its full stop is torn."""
    path = pathlib.Path(f"{folder}/left")
    left = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.endswith("."):
            name, answer = line[:-1].split(":")
            answer = bytes.fromhex(answer)
            left.setdefault(name, set()).add(b"refused" if answer.startswith(b"refused") else answer)
    return left


def leave(folder, place, name, answer):
    """From here on somebody outside knows it."""
    place()
    descriptor = os.open(f"{folder}/left", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"\n{name}:{answer.hex()}.".encode())
    os.close(descriptor)
    place()


def kill_at(k, how, scenario, folder):
    """Run the scenario in a child that dies at place ``k``; True if it survived.  And how many it passed."""
    pid = os.fork()
    if pid == 0:
        place = Places(k if how == "statements" else 0)
        shim = ctypes.CDLL(None)
        if how == "statements":
            die_at_statements(place)
        else:
            shim.shim_arm(f"{folder}/".encode(), ctypes.c_long(k), ctypes.c_long(how == "torn"), -1)
        try:
            scenario.run(folder, place)
            passed = place.count if how == "statements" else shim.shim_count()
            pathlib.Path(f"{folder}.count").write_text(str(passed))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert os.WEXITSTATUS(status) == 0, f"place {k}: the scenario failed"
    return int(pathlib.Path(f"{folder}.count").read_text())


def order_of_calls(scenario, folder):
    """What the system was asked to do with each file, in order."""
    os.mkdir(folder)
    with open(f"{folder}.log", "wb") as log:
        ctypes.CDLL(None).shim_arm(f"{folder}/".encode(), ctypes.c_long(0), ctypes.c_long(0), log.fileno())
        scenario.run(folder, lambda: None)
        ctypes.CDLL(None).shim_arm(b"", ctypes.c_long(0), ctypes.c_long(0), -1)
    return pathlib.Path(f"{folder}.log").read_text().splitlines()


def kill_everywhere(scenario, how, parent, first=1, stride=1):
    """Kill at ``first``, ``first + stride``, ...; what was found, for the test to judge."""
    if how == "order":
        return {"order": order_of_calls(scenario, f"{parent}/order")}
    os.mkdir(f"{parent}/whole")
    places = kill_at(0, how, scenario, f"{parent}/whole")
    scenario.examine(f"{parent}/whole", complete=True, finish=True)
    died, survived = [], []
    for k in [*range(first, places + 1, stride), places + 1]:
        folder = f"{parent}/{k}"
        os.mkdir(folder)
        passed = kill_at(k, how, scenario, folder)
        if passed is None:
            died.append(k)
            scenario.examine(folder, complete=False)
            scenario.run(folder, lambda: None)
        else:
            survived.append(k)
            assert passed == places, "not the same places every time"
        scenario.examine(folder, complete=True, finish=k % 8 == 0)  # three pairings
        shutil.rmtree(folder)
    return {"places": places, "died": died, "survived": survived}
