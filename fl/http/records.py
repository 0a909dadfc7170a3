"""What a round leaves for others, in the folder of results: the result, the audit record, convictions.

::

    <header hash>                    the result as it was published
    <header hash>.audit              the record that ``sottovoce fl audit`` reads
    <header hash>.<pid>.conviction   what ``sottovoce fl judge`` reads
    <header hash>.refused            members' words: a line a client, its pid and the members that refuse it
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..._ext.spool import NewFile
from ..aggregator import Aggregator
from ..conviction import show_conviction
from .base import is_digest
from .downloads import Buffer, map_file
from .state import write_file


class Records:
    """The folder of results; it must exist."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep_result(self, role: Aggregator, published: bytes) -> None:
        """Keep the result of a round that was opened, and what verifies it; the same again is fine.

        Raises:
            OSError: The disk is full, or failed; no file is there in part.
        """
        name = role.header.hash.hex()
        write_file(self._path / name, published)
        self.keep_convictions(role)
        with NewFile(self._path / f"{name}.audit", overwrite=True) as new:
            role.write_audit(published, new.file)
            new.publish()

    def keep_convictions(self, role: Aggregator) -> None:
        """Keep the convictions of a round, also of one that gave no result, and what is members' word."""
        for pid, conviction in role.convictions.items():
            name = f"{role.header.hash.hex()}.{pid.hex()}.conviction"
            write_file(self._path / name, show_conviction(role.header, conviction))
        refused: dict[bytes, list[int]] = {}
        for member, pids in sorted(role.complaints.items()):
            for pid in pids:
                refused.setdefault(pid, []).append(member)
        if refused:
            lines = [
                f"{pid.hex()} {' '.join(map(str, members))}\n" for pid, members in sorted(refused.items())
            ]
            write_file(self._path / f"{role.header.hash.hex()}.refused", "".join(lines).encode())

    def result(self, name: str) -> Buffer | None:
        """A result that was published once, by the hexadecimal hash of its header."""
        if not is_digest(name):
            return None
        try:
            return map_file(self._path / name)
        except FileNotFoundError:
            return None

    def prune(self, keep: int, audited: Collection[bytes]) -> int:
        """Forget the oldest rounds beyond ``keep``; gives how many.

        Args:
            keep: Rounds that stay.
            audited: Header hashes of rounds before their audit deadline: they stay in any case.
        """
        rounds: dict[str, list[Path]] = {}
        for file in self._path.iterdir():
            name = file.name.partition(".")[0]
            if is_digest(name):
                rounds.setdefault(name, []).append(file)
        age = {name: max(file.stat().st_mtime_ns for file in files) for name, files in rounds.items()}
        old = sorted(rounds, key=lambda name: (age[name], name))[: max(0, len(rounds) - keep)]
        gone = [name for name in old if bytes.fromhex(name) not in audited]
        for name in gone:
            # The result last: what is left of a removal that was cut off is removed by the next one.
            for file in sorted(rounds[name], reverse=True):
                file.unlink(missing_ok=True)
        return len(gone)
