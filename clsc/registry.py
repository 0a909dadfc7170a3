"""The issuer's memory: who is enrolled, and what was issued to whom.

``issue`` writes a record durably BEFORE the answer leaves.  Whoever loses an answer asks again and
gets the same one; an issuer restored without its records would spend a unit of quota twice.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from typing import Protocol

from .._ext import limits
from .._ext.errors import IssueError, ParameterError
from .issue_wire import CHALLENGE_BYTES
from .params import Mode, Usage, identity_fits


@dataclass(frozen=True, slots=True)
class Account:
    """An enrolled party.  Holds its token: SECRET.

    Attributes:
        party: Its name at the issuer, 1 to 64 bytes of UTF-8.
        identity: 1 to 64 bytes: the one name that it may have keys for in mode ``identity``, or whose key
            signs its requests in mode ``traceable``.
        quota: Keys for each purse, 1 to 2**20: (parameters, usage) in modes ``identity`` and ``traceable``;
            the parameters alone in mode ``blind``, where one unit is one key of either usage.
        token: 32 bytes.  SECRET; not shown by ``repr``.

    Nothing is checked here: :meth:`Issuer.enrol` does.

    Timing: holds values only.
    Source: docs/clsc-stores.md, "The registry".
    """

    party: str
    identity: bytes
    quota: int
    token: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Issuance:
    """One key issued.

    Attributes:
        party: To whom, 1 to 64 bytes of UTF-8.
        params_id: 32 bytes.
        mode: Of the parameters.
        usage: ``sign`` or ``decrypt``; empty in mode ``blind``, where the issuer cannot know it.
        identity: The name, 1 to 64 bytes; the pseudonym (64 bytes) in mode ``traceable``; empty in mode
            ``blind``.
        issued: What the answer is for: ``X``, or ``B`` in mode ``blind`` (48 bytes).
        request: The request, as evidence; in mode ``traceable`` with the signature that a trace shows.
        answer: What left, or will leave; empty until it is made.  No secret of the issuer: ``D`` is encrypted
            or blinded.

    Raises:
        ParameterError: A usage or name that ``mode`` has not.

    Timing: holds values only.
    Source: docs/clsc-stores.md, "The registry"; docs/clsc-issuing.md, "Requests and answers".
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
        if self.mode is not Mode.BLIND and self.usage not in tuple(Usage):
            raise ParameterError("issuance: usage sign or decrypt expected")
        if not identity_fits(self.mode, self.identity):
            raise ParameterError(f"issuance: the identity does not fit mode {self.mode}")


class Registry(Protocol):
    """What an :class:`~sottovoce.clsc.Issuer` needs of its store; every method is atomic."""

    def enrol(self, account: Account) -> None:
        """Add a party.  IssueError if the party, or its identity, is enrolled already.

        Args:
            account: Name, identity, quota and token.
        """

    def disable(self, party: str) -> None:
        """Give the party nothing from now on; its name and identity stay taken.

        The same again changes nothing.  IssueError if the party is not enrolled.

        Args:
            party: Its name here.
        """

    def account(self, party: str) -> Account | None:
        """The party's account, if it is enrolled and not disabled.

        Args:
            party: Its name here.
        """

    def find(self, party: str, params_id: bytes, usage: str, issued: bytes) -> Issuance | None:
        """The record of exactly this request, if it was answered; ``usage`` as in :class:`Issuance`.

        Args:
            party: Its name here.
            params_id: 32 bytes.
            usage: As in :class:`Issuance`.
            issued: ``X`` or ``B`` of the request, 48 bytes.
        """

    def by_identity(self, params_id: bytes, usage: str, identity: bytes) -> Issuance | None:
        """The record of the one key with this name; None in mode ``blind``, where keys have none.

        Args:
            params_id: 32 bytes.
            usage: As in :class:`Issuance`.
            identity: The name in the key.
        """

    def check(self, issuance: Issuance, *, at_most: int | None = None) -> None:
        """Refuse now what :meth:`record` would refuse; ``answer`` is still empty.  Changes nothing.

        So that nobody without quota has the issuer multiply by its secret.  Only ``record`` decides:
        another thread may spend the unit in between.

        Args:
            issuance: What is about to be recorded.
            at_most: As in :meth:`record`.

        Raises:
            IssueError: As :meth:`record`.
        """

    def record(self, issuance: Issuance, *, at_most: int | None = None) -> Issuance:
        """Write durably, or refuse; one transaction.

        Args:
            issuance: What shall leave.
            at_most: Keys for the purse, should the account's quota be larger: a server of a threshold
                issuer answers ``q`` different requests of a party, whatever its quota.

        Returns:
            The record that holds: this one, or the earlier one for the same
            ``(party, params_id, usage, issued)``.

        Raises:
            IssueError: The party is disabled; its quota for (params_id, usage) is spent, where
                ``usage`` is empty in mode blind; the name has a key for (params_id, usage) already;
                ``X`` was issued to the same party under another usage or parameters, or to anybody in
                mode identity; or ``MAX_BLIND_ISSUANCES`` is reached.
        """

    def new_challenge(self) -> bytes:
        """32 random bytes that :meth:`use_challenge` will accept once.

        At most ``MAX_CHALLENGES`` are outstanding; the oldest is forgotten first.
        """

    def use_challenge(self, value: bytes) -> bool:
        """Whether ``value`` is outstanding; it is not any more.

        Args:
            value: Of :meth:`new_challenge`, 32 bytes.
        """


def admit(
    entry: Issuance,
    known: Issuance | None,
    *,
    quota: int | None,
    spent: int,
    n_issued: int,
    name_taken: bool,
    point_taken: bool,
) -> Issuance | None:
    """The admission rules, in one place for every registry.

    Args:
        entry: What is asked for.
        known: The record of the same request, if there is one.
        quota: Of the party; None if it is not enrolled or disabled.
        spent: Records in the purse of ``entry``.
        n_issued: Records under its parameters.
        name_taken: Whether (params_id, usage, identity) has a record.
        point_taken: Whether ``X`` has one, under any parameters and usage: of anybody in mode
            ``identity``, of the same party in mode ``traceable``.  There nothing proves that ``x`` is
            known: whoever sees an ``X`` on its way could ask first, and keep its owner out.

    Returns:
        ``known``, or None if there may be a new record.

    Raises:
        IssueError: See :meth:`Registry.record`.
    """
    if quota is None:
        raise IssueError("issue: the party is not enrolled")
    if known is not None:
        return known
    if spent >= quota:
        raise IssueError("issue: quota is spent")
    if entry.mode is Mode.BLIND:
        if n_issued >= limits.MAX_BLIND_ISSUANCES:
            raise IssueError("issue: the epoch has issued all its blind keys")
    elif name_taken:
        raise IssueError("issue: the name has a key already")
    elif point_taken:
        raise IssueError("issue: X was issued before")
    return None


class MemoryRegistry:
    """A registry that lives as long as the process: for tests, and simulations in one process.

    It holds the enrolment tokens: SECRET.  Nothing of it is durable.

    Threads: safe.

    Timing: that of look-ups by party, name, point and challenge; no token is compared here.
    Source: docs/clsc-stores.md, "The registry".
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[str, Account] = {}
        self._disabled: set[str] = set()
        self._identities: set[bytes] = set()
        self._records: dict[tuple[str, bytes, str, bytes], Issuance] = {}
        self._spent: dict[tuple[str, bytes, str], int] = {}
        self._named: dict[tuple[bytes, str, bytes], Issuance] = {}
        self._points: set[bytes] = set()
        self._points_of: set[tuple[str, bytes]] = set()
        self._issued: dict[bytes, int] = {}
        self._challenges: dict[bytes, None] = {}

    def enrol(self, account: Account) -> None:
        """See :meth:`Registry.enrol`."""
        party, identity = account.party, account.identity
        with self._lock:
            refusal = None
            if party in self._accounts:
                refusal = "enrol: the party is enrolled already"
            elif identity in self._identities:
                refusal = "enrol: the identity belongs to another party"
            else:
                self._accounts[party] = account
                self._identities.add(identity)
        del account  # a traceback keeps the variables of the frame that raises
        if refusal is not None:
            raise IssueError(refusal)

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

    def by_identity(self, params_id: bytes, usage: str, identity: bytes) -> Issuance | None:
        """See :meth:`Registry.by_identity`."""
        return self._named.get((params_id, usage, identity))

    def check(self, issuance: Issuance, *, at_most: int | None = None) -> None:
        """See :meth:`Registry.check`."""
        with self._lock:
            self._admit(issuance, at_most)

    def record(self, issuance: Issuance, *, at_most: int | None = None) -> Issuance:
        """See :meth:`Registry.record`."""
        entry = issuance
        with self._lock:
            known = self._admit(entry, at_most)
            if known is not None:
                return known
            self._records[entry.party, entry.params_id, entry.usage, entry.issued] = entry
            purse = (entry.party, entry.params_id, entry.usage)
            self._spent[purse] = self._spent.get(purse, 0) + 1
            self._issued[entry.params_id] = self._issued.get(entry.params_id, 0) + 1
            if entry.mode is not Mode.BLIND:
                self._named[entry.params_id, entry.usage, entry.identity] = entry
                self._points_of.add((entry.party, entry.issued))
            if entry.mode is Mode.IDENTITY:
                self._points.add(entry.issued)
            return entry

    def new_challenge(self) -> bytes:
        """See :meth:`Registry.new_challenge`."""
        value = secrets.token_bytes(CHALLENGE_BYTES)
        with self._lock:
            self._challenges[value] = None
            while len(self._challenges) > limits.MAX_CHALLENGES:
                del self._challenges[next(iter(self._challenges))]  # dicts keep their order
        return value

    def use_challenge(self, value: bytes) -> bool:
        """See :meth:`Registry.use_challenge`."""
        with self._lock:
            fresh = value in self._challenges
            self._challenges.pop(value, None)
            return fresh

    def _admit(self, entry: Issuance, at_most: int | None) -> Issuance | None:
        """The record that is there already, or None if there may be a new one; under the lock."""
        return admit(
            entry,
            self._records.get((entry.party, entry.params_id, entry.usage, entry.issued)),
            quota=self._quota(entry.party, at_most),
            spent=self._spent.get((entry.party, entry.params_id, entry.usage), 0),
            n_issued=self._issued.get(entry.params_id, 0),
            name_taken=(entry.params_id, entry.usage, entry.identity) in self._named,
            point_taken=(entry.issued in self._points or (entry.party, entry.issued) in self._points_of),
        )

    def _quota(self, party: str, at_most: int | None) -> int | None:
        """A number, not the account: that one holds the token, and the frame of the caller may raise."""
        account = self._accounts.get(party)
        if account is None or party in self._disabled:
            return None
        return account.quota if at_most is None else min(account.quota, at_most)
