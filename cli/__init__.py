"""sottovoce.cli: the ``sottovoce`` command.

* ``sottovoce keygen``, ``seal``, ``open``, ``sign``, ``verify``, ``evidence``, ``judge``, ``trust`` -- what
  a user does with keys and files (:mod:`sottovoce.cli.user`).
* ``sottovoce kgc`` -- an issuer of keys in a folder: epochs, people, answers, revocation, traces
  (:mod:`sottovoce.cli.kgc`).
* ``sottovoce rs`` -- a file as shards, any k of which give it back (:mod:`sottovoce.cli.rs`).
* ``sottovoce serve``, ``client`` -- the roles of a round as processes, and a device that takes part
  (:mod:`sottovoce.cli.serve`, :mod:`sottovoce.cli.client`; extra ``http``).
* ``sottovoce demo`` -- a federated training on real data through the whole stack, with faults
  (:mod:`sottovoce.cli.demo`; extra ``demo``).
* ``sottovoce bench`` -- what the installed package does per second on this machine
  (:mod:`sottovoce.cli.bench`).
* ``sottovoce selftest`` -- known answers and properties of the installed package, on the machine where it
  is to run (:mod:`sottovoce.cli.selftest`; extra ``selftest`` for the properties).
* ``sottovoce --version`` -- versions, and the back end of every compiled kernel.

:mod:`~sottovoce.cli.app` declares the commands, :mod:`~sottovoce.cli.console` holds the manners
(streams, colours, exit codes, hints), :mod:`~sottovoce.cli.files` and :mod:`~sottovoce.cli.armor` inputs,
outputs and their text form, :mod:`~sottovoce.cli.passphrase` how a passphrase is had,
:mod:`~sottovoce.cli.keyring` the user's home folder, :mod:`~sottovoce.cli.tables` the tables,
:mod:`~sottovoce.cli.machine` describes the machine.  Only this package knows terminals, hints and
hexadecimal; it imports everything below it and nothing imports it.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

__all__ = ["main"]


def main() -> None:
    """Run the command with ``sys.argv`` and leave the process with its exit code.

    Raises:
        SystemExit: Always.  0 done; 1 a check or an operation failed; 2 usage, or an extra that is
            not installed; 130 interrupted; 128 + N ended by signal N.
    """
    for ending in _ENDING:
        # Under nohup it is ignored, and stays so.
        if signal.getsignal(ending) is signal.SIG_DFL:
            signal.signal(ending, _end)
    try:
        # Imported here, so that Ctrl-C during the imports is answered like any other.
        from . import console
        from .app import app

        console.prepare_streams()
        app(prog_name="sottovoce")
    except KeyboardInterrupt:
        sys.exit(130)


_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _end(number: int, frame: FrameType | None) -> None:
    """Leave through every ``finally``, so that no half-written file stays; a second signal ends at once."""
    signal.signal(number, signal.SIG_DFL)
    sys.exit(128 + number)
