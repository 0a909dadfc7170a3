"""The processes of the example: started here, each with whatever it starts itself in a group, and ended here.

Nothing is left after the end, an error, Ctrl-C, SIGTERM or a closed terminal (SIGHUP).  Only SIGKILL, which
nobody hears, leaves them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOP_S = 20


class Processes:
    """A context manager: while it is entered, each of the signals raises KeyboardInterrupt, once.

    Attributes:
        logs: Folder for what each process writes to its standard error.
        running: Name -> process.
    """

    def __init__(self) -> None:
        self.logs = Path()
        self.running: dict[str, subprocess.Popen[str]] = {}
        self._lock = threading.RLock()
        self._before: dict[int, Any] = {}
        self._ending = self._interrupted = False
        self._quiet = 0

    def __enter__(self) -> Processes:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """In the main thread, between any two steps of it."""
        if self._quiet:
            self._interrupted = True
        elif not self._ending:
            self._ending = True
            raise KeyboardInterrupt

    @contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """Between a process and the note of it nothing comes; what came is raised afterwards."""
        is_main = threading.current_thread() is threading.main_thread()
        self._quiet += is_main
        try:
            with self._lock:
                yield
        finally:
            self._quiet -= is_main
        if is_main and self._interrupted and not self._ending:
            self._ending = True
            raise KeyboardInterrupt

    def start(self, name: str, *arguments: str, stderr: int | None = None) -> subprocess.Popen[str]:
        """Start a Python program; its standard error goes to a file, unless ``stderr`` says otherwise."""
        with self._uninterrupted():
            if self._ending:
                raise KeyboardInterrupt
            with (self.logs / f"{name}.log").open("w") as log:
                process = self.running[name] = subprocess.Popen(
                    [sys.executable, *arguments],
                    stdout=subprocess.PIPE,
                    stderr=log if stderr is None else stderr,
                    text=True,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
        return process

    def serve(self, name: str, *arguments: str) -> str:
        """Start a service; gives its URL, which it prints when it listens."""
        process = self.start(name, "-m", "sottovoce", "serve", *arguments)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise SystemExit(f"{name} did not start:\n{(self.logs / f'{name}.log').read_text()}")
        return url

    def run(self, name: str, *arguments: str) -> None:
        """Run a command of sottovoce to its end."""
        process = self.start(name, "-m", "sottovoce", *arguments, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        text = process.stdout.read()
        if self.wait(name):
            raise SystemExit(f"sottovoce {' '.join(arguments)}:\n{text}")

    def together(self, work: Callable[[T], U], items: Iterable[T]) -> list[U]:
        """``work`` on each item, in threads, as many as there are processors."""
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            return list(pool.map(work, items))
        except BaseException:
            self.stop()  # else what the threads wait for is waited for
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def wait(self, name: str, timeout_s: float = 120.0) -> int:
        """Wait for a process to end, end what it has left behind, and forget it; gives its exit code.

        Raises:
            SystemExit: It takes too long.
        """
        process = self.running[name]
        if not _has_ended(process, timeout_s):
            raise SystemExit(f"{name} takes too long")
        with self._uninterrupted():
            if self.running.pop(name, None) is None:
                raise SystemExit(f"{name} was ended")  # by stop(), in another thread
            return _end(process)

    def stop(self) -> None:
        """SIGTERM to all and their children, stage by stage as shards flow; who is left of one is killed."""
        self._ending = True
        with self._lock:
            for stage in ("device", "relay", ""):
                processes = [self.running.pop(name) for name in tuple(self.running) if name.startswith(stage)]
                for process in processes:
                    _signal(process, signal.SIGTERM)
                until = time.monotonic() + STOP_S
                for process in processes:
                    _has_ended(process, until - time.monotonic())
                    _end(process)


def _signal(process: subprocess.Popen[str], number: int) -> None:
    """To the whole group: a child of a device is not a child of this process."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _has_ended(process: subprocess.Popen[str], timeout_s: float) -> bool:
    """Waits, and leaves the process to be reaped: until then no other can get its number."""
    until = time.monotonic() + timeout_s
    with suppress(ChildProcessError):  # reaped, by another thread
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
    return True


def _end(process: subprocess.Popen[str]) -> int:
    _signal(process, signal.SIGKILL)
    code = process.wait()
    if process.stdout is not None:
        process.stdout.close()
    return code
