"""One device as a process: fetches the model, trains, submits over three relays; in the end reads the result.

Everything that touches keys or the network is the command ``sottovoce client``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import training


def client(*arguments: str) -> dict:
    """``sottovoce client ...``; what it says as JSON."""
    command = [sys.executable, "-m", "sottovoce", "client", *arguments, "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    """All rounds of one device."""
    parser = argparse.ArgumentParser()
    parser.add_argument("number", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("relays", nargs=3)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder, label = options.folder, f"device-{options.number}-blind"
    # Another relay for each device to ask for what is public, so that none sees them all.
    source = options.relays[options.number % 3]
    home = ["--home", str(folder / "home"), "--policy", str(folder / "policy.toml")]
    secret = [
        "--passphrase-file",
        str(folder / "passphrase"),
        "--as",
        label,
        "--outbox",
        str(folder / "outbox"),
    ]
    relays = [part for url in options.relays for part in ("--relay", url)]
    last, header = 0, str(folder / "round.header")
    for _ in range(options.rounds):
        model_file, update_file = folder / "model.npz", folder / "update.npz"
        last = client(
            "model",
            "--from",
            source,
            *home,
            "-o",
            str(model_file),
            "-f",
            "--after",
            str(last),
            "--wait",
            "120",
        )["round"]
        with np.load(model_file) as loaded:
            model = [loaded[name] for name in loaded.files]
        update, examples = training.train(model, options.number)
        np.savez(update_file, *update)
        client(
            "submit",
            str(update_file),
            "--from",
            source,
            *relays,
            *home,
            *secret,
            "--model",
            str(model_file),
            "--examples",
            str(training.weight(examples)),
            "--header",
            header,
            "-f",
        )
    client("result", header, "--from", source, *home, *secret, "--wait", "120")


if __name__ == "__main__":
    main()
