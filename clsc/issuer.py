"""The issuer (KGC): answers authenticated requests with partial keys, once per unit of quota."""

from __future__ import annotations

import hmac
import os
import secrets
import threading
from dataclasses import replace
from typing import Any

from .._ext import limits
from .._ext.errors import IssueError, ParameterError
from . import group
from .keys import PublicKey
from .master import MasterKey
from .params import EpochParams, Mode
from .registry import Account, Issuance, MemoryRegistry, Registry
from .request import (
    CHALLENGE_BYTES,
    TOKEN_BYTES,
    IssueRequest,
    blind_answer,
    check_possession,
    parse_request,
    seal_partial_key,
    token_mac,
)


class Issuer:
    """Issues partial keys of one (epoch, mode).  Holds the master secret.

    Mode ``identity``: at most ONE key per (parameters, usage, name), ever; then two valid signatures
    under one name and two ``X`` convict the issuer (Girault level 3).  Mode ``blind``: one unit of the
    party's quota per answer, and no knowledge of the pseudonym, nor of its usage.

    Args:
        master: Master key of mode ``identity`` or ``blind``.
        registry: Enrolment and records; a :class:`MemoryRegistry` if None.  May be shared by the
            issuers of several epochs: quota counts for each parameters (and usage, in mode
            ``identity``).

    Raises:
        ParameterError: A ``traceable`` master key; this version does not issue such names.

    Threads: safe, if the registry is.
    """

    def __init__(self, master: MasterKey, registry: Registry | None = None) -> None:
        if not isinstance(master, MasterKey):
            raise TypeError(f"master: MasterKey expected, got {type(master).__name__}")
        if master.params.mode is Mode.TRACEABLE:
            raise ParameterError("master: issuing in mode traceable is not supported")
        self._master = master
        self._registry: Registry = MemoryRegistry() if registry is None else registry
        self._lock = threading.Lock()
        self._challenges: dict[bytes, None] = {}
        self._identity_lock = threading.Lock()

    @property
    def params(self) -> EpochParams:
        """Parameters of the epoch."""
        return self._master.params

    def enrol(self, party: str, *, quota: int = 1, identity: bytes | None = None) -> bytes:
        """Enrol a party; give it the token over a confidential channel.

        Args:
            party: Its name here, 1 to 64 bytes of UTF-8.
            quota: Keys, at least 1: per (parameters, usage) in mode ``identity``; per parameters in
                mode ``blind``, of either usage, because a blind request hides what it is for.
            identity: The one name that it may ask keys for in mode ``identity``; by default
                ``party`` as UTF-8.  Without this binding any enrolled party could take any free name.

        Returns:
            The enrolment token, 32 random bytes.

        Raises:
            ParameterError: A name or the quota is out of range.
            IssueError: The party or the identity is enrolled already.
        """
        if not isinstance(party, str):
            raise TypeError(f"party: str expected, got {type(party).__name__}")
        name = party.encode("utf-8") if identity is None else identity
        if not isinstance(name, bytes):
            raise TypeError(f"identity: bytes expected, got {type(name).__name__}")
        if not 1 <= len(party.encode("utf-8")) <= 64 or not 1 <= len(name) <= 64:
            raise ParameterError("party, identity: 1 to 64 bytes expected")
        if type(quota) is not int or not 1 <= quota <= limits.MAX_BLIND_ISSUANCES:
            raise ParameterError(f"quota: 1 to {limits.MAX_BLIND_ISSUANCES} expected")
        token = secrets.token_bytes(TOKEN_BYTES)
        self._registry.enrol(Account(party, name, quota, token))
        return token

    def disable(self, party: str) -> None:
        """Give the party nothing from now on, in any epoch: not even an earlier answer again.

        Keys that it has stay valid; :meth:`TrustStore.revoke` is what verifiers do about those.

        Raises:
            IssueError: The party is not enrolled.
        """
        self._registry.disable(party)

    def challenge(self) -> bytes:
        """32 random bytes for one proof of possession; each is accepted once."""
        value = secrets.token_bytes(CHALLENGE_BYTES)
        with self._lock:
            self._challenges[value] = None
            while len(self._challenges) > limits.MAX_CHALLENGES:
                del self._challenges[next(iter(self._challenges))]
        return value

    def issue(self, party: str, request: bytes) -> bytes:
        """Answer a request of an enrolled party.

        The record is durable before this returns.  The same request (same party, parameters, and
        usage and ``X``, or ``B``) gets the same answer again; a different one counts against the quota.

        Args:
            party: Who asks, as the transport says; the token's MAC in the request proves it.
            request: Of :class:`IdentityRequest` or :class:`BlindRequest`.

        Returns:
            114 bytes in mode ``identity``, 50 in mode ``blind``.

        Raises:
            DecodeError: The bytes are not a request, or hold an invalid point or scalar.
            IssueError: Not enrolled or disabled, wrong parameters, token, proof or challenge, or quota
                spent.

        Timing: multiplications by the master secret are blinded.
        """
        return self._issue_derand(party, request, os.urandom)

    def _issue_derand(self, party: str, request: bytes, random_bytes: group.RandomBytes) -> bytes:
        parsed = parse_request(request)
        params = self._master.params
        if parsed.mode is not params.mode or parsed.params_id != params.params_id:
            raise IssueError("issue: the request is for other parameters")
        name = self._authenticate(party, parsed)
        if name is None:
            raise IssueError("issue: not authenticated")  # here, where no frame holds the token
        if parsed.mode is Mode.IDENTITY and parsed.identity != name:
            raise IssueError("issue: the name belongs to somebody else")
        usage = str(parsed.usage or "")
        known = self._registry.find(party, parsed.params_id, usage, parsed.issued)
        if known is not None:
            return known.answer
        entry = Issuance(
            party,
            parsed.params_id,
            parsed.mode,
            usage,
            parsed.identity,
            parsed.issued,
            request,
            b"",
        )
        if parsed.usage is None:
            return self._issue_blind(entry)
        key = PublicKey(params, parsed.usage, parsed.identity, parsed.issued)
        return self._issue_identity(entry, key, parsed, random_bytes)

    def _authenticate(self, party: str, parsed: IssueRequest) -> bytes | None:
        """The name that the party may ask for; None if it does not hold the token."""
        account = self._registry.account(party)
        # Same work whether the party is unknown or the token is wrong.
        token = account.token if account is not None else secrets.token_bytes(TOKEN_BYTES)
        expected = token_mac(token, parsed.params_id, parsed.usage, parsed.issued)
        if not hmac.compare_digest(expected, parsed.mac) or account is None:
            return None
        return account.identity

    def _issue_blind(self, entry: Issuance) -> bytes:
        B = group.g1_from_bytes(entry.issued, "request: B")
        self._registry.check(entry)
        return self._record(entry, blind_answer(group.g1_mul_secret(B, self._master._s)))

    def _issue_identity(
        self, entry: Issuance, key: PublicKey, parsed: IssueRequest, random_bytes: group.RandomBytes
    ) -> bytes:
        # One at a time: else the second of two equal requests finds its challenge used and the
        # answer to the first not recorded yet.
        with self._identity_lock:
            known = self._registry.find(entry.party, entry.params_id, entry.usage, entry.issued)
            if known is not None:
                return known.answer
            with self._lock:
                fresh = parsed.challenge in self._challenges
                self._challenges.pop(parsed.challenge, None)
            if not fresh:
                raise IssueError("issue: the challenge is unknown or was used")
            check_possession(parsed, key)
            self._registry.check(entry)
            # Q is computed here from (id, X): never multiplied is a point that the client chose.
            return self._record(entry, self._sealed(key, random_bytes))

    def _sealed(self, key: PublicKey, random_bytes: group.RandomBytes) -> bytes:
        D = group.g1_mul_secret(key._Q_base.point, self._master._s)
        return seal_partial_key(key, D, random_bytes)

    def _record(self, entry: Issuance, answer: bytes) -> bytes:
        # If two threads race with one request, both give out the record that won.
        return self._registry.record(replace(entry, answer=answer)).answer

    def __repr__(self) -> str:
        return f"Issuer({self._master.params!r})"

    def __reduce__(self) -> Any:
        raise TypeError("an Issuer holds a master secret and cannot be pickled")
