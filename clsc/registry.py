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

    def disable(self, party: str) -> None:
        """Give the party nothing from now on; its name and identity stay taken.

        The same again changes nothing.  IssueError if the party is not enrolled.
        """

    def account(self, party: str) -> Account | None:
        """The party's account, if it is enrolled and not disabled."""

    def find(self, party: str, params_id: bytes, usage: str, issued: bytes) -> Issuance | None:
        """The record of exactly this request, if it was answered; ``usage`` as in :class:`Issuance`."""

    def check(self, issuance: Issuance) -> None:
        """Refuse now what :meth:`record` would refuse; ``answer`` is still empty.  Changes nothing.

        So that nobody without quota has the issuer multiply by its secret.  Only ``record`` decides:
        another thread may spend the unit in between.

        Raises:
            IssueError: As :meth:`record`.
        """

    def record(self, issuance: Issuance) -> Issuance:
        """Write durably, or refuse; one transaction.

        Returns:
            The record that holds: this one, or the earlier one for the same
            ``(party, params_id, usage, issued)``.

        Raises:
            IssueError: The party is disabled; its quota for (params_id, usage) is spent, where
                ``usage`` is empty in mode blind; the name has a key for (params_id, usage) already;
                ``issued`` was issued under another usage or to another party (modes other than
                blind); or ``MAX_BLIND_ISSUANCES`` is reached.
        """


class MemoryRegistry:
    """A registry that lives as long as the process: for tests, and simulations in one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[str, Account] = {}
        self._disabled: set[str] = set()
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

    def disable(self, party: str) -> None:
        """See :meth:`Registry.disable`."""
        with self._lock:
            if party not in self._accounts:
                raise IssueError("disable: the party is not enrolled")
            self._disabled.add(party)

    def account(self, party: str) -> Account | None:
        """See :meth:`Registry.account`."""
        with self._lock:
            return None if party in self._disabled else self._accounts.get(party)

    def find(self, party: str, params_id: bytes, usage: str, issued: bytes) -> Issuance | None:
        """See :meth:`Registry.find`."""
        return self._records.get((party, params_id, usage, issued))

    def check(self, issuance: Issuance) -> None:
        """See :meth:`Registry.check`."""
        with self._lock:
            self._admit(issuance)

    def record(self, issuance: Issuance) -> Issuance:
        """See :meth:`Registry.record`."""
        entry = issuance
        with self._lock:
            known = self._admit(entry)
            if known is not None:
                return known
            self._records[entry.party, entry.params_id, entry.usage, entry.issued] = entry
            purse = (entry.party, entry.params_id, entry.usage)
            self._spent[purse] = self._spent.get(purse, 0) + 1
            if entry.mode is Mode.BLIND:
                self._blind[entry.params_id] = self._blind.get(entry.params_id, 0) + 1
            else:
                self._named.add((entry.params_id, entry.usage, entry.identity))
                self._points.add(entry.issued)
            return entry

    def _admit(self, entry: Issuance) -> Issuance | None:
        """The record that is there already, or None if there may be a new one; under the lock."""
        account = self._accounts.get(entry.party)
        if account is None or entry.party in self._disabled:
            raise IssueError("issue: the party is not enrolled")
        known = self._records.get((entry.party, entry.params_id, entry.usage, entry.issued))
        if known is not None:
            return known
        if self._spent.get((entry.party, entry.params_id, entry.usage), 0) >= account.quota:
            raise IssueError("issue: quota is spent")
        if entry.mode is Mode.BLIND:
            if self._blind.get(entry.params_id, 0) >= limits.MAX_BLIND_ISSUANCES:
                raise IssueError("issue: the epoch has issued all its blind keys")
        elif (entry.params_id, entry.usage, entry.identity) in self._named:
            raise IssueError("issue: the name has a key already")
        elif entry.issued in self._points:
            raise IssueError("issue: X was issued before")
        return None
