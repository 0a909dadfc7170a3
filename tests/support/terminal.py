"""A command at a terminal of its own."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

from support.cli_command import environment


class Terminal:
    """A process whose standard streams, or some of them, are a terminal that it owns."""

    def __init__(self, folder, *arguments, home="alice", **streams):
        self.master, slave = pty.openpty()

        def own():
            signal.signal(signal.SIGINT, signal.default_int_handler)
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [sys.executable, "-m", "sottovoce", *map(str, arguments)],
            cwd=folder,
            env=environment({"SOTTOVOCE_HOME": str(folder / home)}),
            start_new_session=True,
            preexec_fn=own,
            pass_fds=[slave],
            **{name: streams.get(name, slave) for name in ("stdin", "stdout", "stderr")},
        )
        os.close(slave)
        self.seen = b""

    def until(self, wanted, timeout_s=60):
        """Read until the terminal shows ``wanted``."""
        end = time.monotonic() + timeout_s
        while wanted not in self.seen and time.monotonic() < end:
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:  # the other end is closed
                    break
        assert wanted in self.seen, self.seen
        return self

    def type(self, text):
        os.write(self.master, text.encode())
        return self

    def interrupt(self):
        """Ctrl-C; once more if it fell between Python's last look and a read that waits."""
        for _ in range(3):
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
                return

    def end(self):
        """The exit code, after everything was shown."""
        while True:
            try:
                chunk = os.read(self.master, 65536)
            except OSError:
                break
            if not chunk:
                break
            self.seen += chunk
        os.close(self.master)
        code = self.process.wait(timeout=60)
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code
