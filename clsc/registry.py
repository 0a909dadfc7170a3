"""The issuer's memory: who is enrolled, and what was issued to whom.

``issue`` writes a record durably BEFORE the answer leaves.  Whoever loses an answer asks again and
gets the same one; an issuer restored without its records would spend a unit of quota twice.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol

from .._ext import limits
from .._ext.errors import IssueError, ParameterError
from .params import Mode


@dataclass(frozen=True, slots=True)
class Account:
    """An enrolled party.

    Attributes:
        party: Its name at the issuer.
        identity: The one name that it may have keys for in mode ``identity``.
        quota: Keys for each purse: (parameters, usage) in mode ``identity``; the parameters alone
            in mode ``blind``, where one unit is one key of either usage.
        token: 32 bytes.  SECRET.
    """

    party: str
    identity: bytes
    quota: int
    token: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Issuance:
    """One key issued.

    Attributes:
        party: To whom.
        params_id: 32 bytes.
        mode: Of the parameters.
        usage: ``sign`` or ``decrypt``; empty in mode ``blind``, where the issuer cannot know it.
        identity: The name; empty in mode ``blind``.
        issued: What the answer is for: ``X``, or ``B`` in mode ``blind`` (48 bytes).
        request: The request, as evidence.
        answer: What left, or will leave.  No secret of the issuer: ``D`` is encrypted or blinded.
    """

    party: str
    params_id: bytes
    mode: Mode
    usage: str
    identity: bytes
    issued: bytes
    request: bytes
    answer: bytes

    def __post_init__(self) -> None:
        # What a blind client says about usage or name proves nothing; a purse for each usage would
        # double its quota.
        if self.mode is Mode.BLIND and (self.usage or self.identity):
            raise ParameterError("issuance: no usage and no identity expected in mode blind")


class Registry(Protocol):
    """What an :class:`~sottovoce.clsc.Issuer` needs of its store; every method is atomic."""

    def enrol(self, account: Account) -> None:
        """Add a party.  IssueError if the party, or its identity, is enrolled already."""

    def account(self, party: str) -> Account | None:
        """The party's account, if it is enrolled."""

    def find(self, party: str, params_id: bytes, usage: str, issued: bytes) -> Issuance | None:
        """The record of exactly this request, if it was answered; ``usage`` as in :class:`Issuance`."""

    def record(self, issuance: Issuance) -> Issuance:
        """Write durably, or refuse; one transaction.

        Returns:
            The record that holds: this one, or the earlier one for the same
            ``(party, params_id, usage, issued)``.

        Raises:
            IssueError: Quota of the party for (params_id, usage) spent, where ``usage`` is empty in
                mode blind; the name has a key for (params_id, usage) already; ``issued`` was issued
                under another usage or to another party (modes other than blind); or
                ``MAX_BLIND_ISSUANCES`` reached.
        """


class MemoryRegistry:
    """A registry that lives as long as the process: for tests, and simulations in one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[str, Account] = {}
        self._identities: set[bytes] = set()
        self._records: dict[tuple[str, bytes, str, bytes], Issuance] = {}
        self._spent: dict[tuple[str, bytes, str], int] = {}
        self._named: set[tuple[bytes, str, bytes]] = set()
        self._points: set[bytes] = set()
        self._blind: dict[bytes, int] = {}

    def enrol(self, account: Account) -> None:
        """See :meth:`Registry.enrol`."""
        with self._lock:
            if account.party in self._accounts:
                raise IssueError("enrol: the party is enrolled already")
            if account.identity in self._identities:
                raise IssueError("enrol: the identity belongs to another party")
            self._accounts[account.party] = account
            self._identities.add(account.identity)

    def account(self, party: str) -> Account | None:
        """See :meth:`Registry.account`."""
        return self._accounts.get(party)

    def find(self, party: str, params_id: bytes, usage: str, issued: bytes) -> Issuance | None:
        """See :meth:`Registry.find`."""
        return self._records.get((party, params_id, usage, issued))

    def record(self, issuance: Issuance) -> Issuance:
        """See :meth:`Registry.record`."""
        entry = issuance
        key = (entry.party, entry.params_id, entry.usage, entry.issued)
        purse = (entry.party, entry.params_id, entry.usage)
        name = (entry.params_id, entry.usage, entry.identity)
        with self._lock:
            known = self._records.get(key)
            if known is not None:
                return known
            account = self._accounts.get(entry.party)
            if account is None or self._spent.get(purse, 0) >= account.quota:
                raise IssueError("issue: quota is spent")
            if entry.mode is Mode.BLIND:
                if self._blind.get(entry.params_id, 0) >= limits.MAX_BLIND_ISSUANCES:
                    raise IssueError("issue: the epoch has issued all its blind keys")
            elif name in self._named:
                raise IssueError("issue: the name has a key already")
            elif entry.issued in self._points:
                raise IssueError("issue: X was issued before")
            self._records[key] = entry
            self._spent[purse] = self._spent.get(purse, 0) + 1
            if entry.mode is Mode.BLIND:
                self._blind[entry.params_id] = self._blind.get(entry.params_id, 0) + 1
            else:
                self._named.add(name)
                self._points.add(entry.issued)
            return entry
