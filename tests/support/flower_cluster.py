"""Flower's daemons for a test: on loopback, in a home of their own, stopped by their process ids."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

APP = Path(__file__).parent / "flower_app"
BIN = Path(sys.executable).parent


def free_ports(n):
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Cluster:
    """A SuperLink and what else is started; a context manager that leaves nothing behind."""

    def __init__(self, home, keys, *, n_nodes, simulation=False):
        self.home, self.keys, self.n_nodes = home, keys, n_nodes
        self.faults, self.out = home / "faults", home / "report.json"
        self.faults.mkdir(parents=True)
        self.simulation = simulation
        self.port, *self.node_ports = free_ports(1 + n_nodes)
        self.processes = {}
        self.env = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "FLWR_HOME": str(home / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "SOTTOVOCE_FLOWER_SERVER": str(keys / "server"),
            "AVERAGED_FAULTS": str(self.faults),
            "AVERAGED_OUT": str(self.out),
        }
        if simulation:
            self.env["SOTTOVOCE_FLOWER_NODE"] = str(keys / "node-{partition-id}")
        (home / "flwr").mkdir()
        (home / "flwr" / "config.toml").write_text(
            f'[superlink]\ndefault = "loop"\n[superlink.loop]\n'
            f'address = "127.0.0.1:{self.port}"\ninsecure = true\n'
        )

    def __enter__(self):
        try:
            command = ["flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(self.port)]
            command += ["--disable-runtime-dependency-installation"]
            self._start("superlink", command + (["--simulation"] if self.simulation else []))
            self._await_port(self.port)
            for i in range(0 if self.simulation else self.n_nodes):
                command = ["flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{self.port}"]
                command += ["--host", "127.0.0.1", "--port", str(self.node_ports[i])]
                config = f'partition-id={i} num-partitions={self.n_nodes} sottovoce="{self.keys}/node-{i}"'
                self._start(f"node-{i}", [*command, "--node-config", config])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in reversed(list(self.processes)):
            self.stop(name)

    def _start(self, name, command):
        log = (self.home / f"{name}.log").open("wb")
        # A session of its own, so that what a daemon starts can be stopped with it.
        self.processes[name] = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            env=self.env, cwd=self.home, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        log.close()

    def stop(self, name, kill=False):
        """End one process with its children; ``kill``: without a farewell."""
        process = self.processes.pop(name)
        if not kill and process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the group of this process alone
        process.wait(10)

    def _await_port(self, port, timeout_s=60):
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        raise TimeoutError(f"nothing listens on port {port}\n{self.logs()}")

    def submit(self, app=APP, *, config="", federation="", stream_s=None):
        """``flwr run``: its output when the run has been taken, or with ``stream_s`` when it ended."""
        command = [str(BIN / "flwr"), "run", str(app), "loop"]
        command += ["--run-config", config] if config else []
        command += ["--federation-config", federation] if federation else []
        command += ["--stream"] if stream_s else []
        done = subprocess.run(
            command, env=self.env, cwd=self.home, timeout=stream_s or 120, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def await_file(self, path, timeout_s):
        end = time.monotonic() + timeout_s
        while not path.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"{path.name} did not come\n{self.logs()}")
            time.sleep(0.1)

    def report(self, timeout_s):
        """What the server wrote at the end."""
        self.await_file(self.out, timeout_s)
        report = json.loads(self.out.read_text())
        assert "error" not in report, f"{report['error']}\n{self.logs()}"
        return report

    def logs(self):
        """The ends of all logs."""
        texts = [
            f"== {p.name}\n{p.read_text(errors='replace')[-3000:]}" for p in sorted(self.home.glob("*.log"))
        ]
        return "\n".join(texts)
