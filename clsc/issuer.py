"""The issuer (KGC): answers authenticated requests with partial keys, once per unit of quota."""

from __future__ import annotations

import hmac
import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._ext import limits
from .._ext.errors import IssueError, ParameterError, SenderError, SignatureError
from . import group
from .admission import AdmissionKey, admissions_of
from .issue_wire import (
    TOKEN_BYTES,
    IssueRequest,
    blind_answer,
    parse_request,
    seal_partial_key,
    token_mac,
)
from .keys import PublicKey
from .master import MasterKey, MasterShare
from .params import EpochParams, Mode
from .possession import check_possession
from .registry import Account, Issuance, MemoryRegistry, Registry
from .tracing import Trace, TracingKey, check_request_signature, check_signer
from .trust import TrustStore


class Issuer:
    """Issues partial keys of one (epoch, mode), or shares of them.  Holds a master secret or a share.

    Mode ``identity``: at most ONE key per (parameters, usage, name), ever; then two valid signatures
    under one name and two ``X`` convict the issuer (Girault level 3).  Mode ``traceable``: a fresh
    pseudonym for each key, which :meth:`trace` opens again.  Mode ``blind``: one unit of the party's
    quota per answer, and no knowledge of the pseudonym, nor of its usage.

    With a :class:`MasterShare` this is one of the servers of a threshold issuer.  Each server has its
    own registry and enrols the parties itself, with a token of its own.  It answers a party at most
    ``params.answers`` different requests, whatever the quota: with more, asking different servers for
    different keys would give more keys than that.  In mode ``blind`` its answers leave in two rounds,
    :meth:`admit` and :meth:`issue`, so that parties who work together get no more either; see
    :class:`AdmissionKey`.

    Args:
        master: Master key or share.
        registry: Enrolment and records; a :class:`MemoryRegistry` if None.  May be shared by the
            issuers of several epochs, never by two servers of one: quota counts for each parameters
            (and usage, but in mode ``blind``).
        tracing_key: In mode ``traceable``, and only there; the servers of an epoch share one.
        trust: In mode ``traceable``, and only there: knows the ``identity`` epochs whose keys may sign
            requests, with validity, revocation and pins; of the same root as ``master``.
        admission_key: In mode ``blind`` with several servers, and only there: this server's own.
        admission_public_keys: With it: of servers 1 to ``n``, as :func:`read_admission_keys` gives
            them.  Whoever can put others there can have this server answer without the consent of ``t``.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``tracing_key`` and ``trust`` missing in mode ``traceable`` or given in another;
            the same of the admission keys; not ``n`` different ones, or the own not in its place; ``trust``
            of another root; or a master key of an epoch that has several servers.

    Threads: safe, if the registry is.

    Timing: the master secret, or share, meets the same doublings and additions whatever it is; MACs of tokens
        are compared in constant time.  See :meth:`issue`.
    Source: partial keys are BLS signatures, Boneh, Lynn, Shacham, ASIACRYPT 2001, of ``H(id, X)``, Al-Riyami
        and Paterson, ASIACRYPT 2003, section 5.1; blind and threshold ones: Boldyreva, PKC 2003; one key for
        each name: Girault, EUROCRYPT 1991, section 2; docs/clsc-issuing.md, "Requests and answers".
    """

    def __init__(
        self,
        master: MasterKey | MasterShare,
        registry: Registry | None = None,
        *,
        tracing_key: TracingKey | None = None,
        trust: TrustStore | None = None,
        admission_key: AdmissionKey | None = None,
        admission_public_keys: Sequence[bytes] | None = None,
    ) -> None:
        if not isinstance(master, (MasterKey, MasterShare)):
            raise TypeError(f"master: MasterKey or MasterShare expected, got {type(master).__name__}")
        if registry is not None and not callable(getattr(registry, "record", None)):
            raise TypeError(f"registry: Registry expected, got {type(registry).__name__}")
        if tracing_key is not None and not isinstance(tracing_key, TracingKey):
            raise TypeError(f"tracing_key: TracingKey expected, got {type(tracing_key).__name__}")
        if trust is not None and not isinstance(trust, TrustStore):
            raise TypeError(f"trust: TrustStore expected, got {type(trust).__name__}")
        traceable = master.params.mode is Mode.TRACEABLE
        if traceable != (tracing_key is not None) or traceable != (trust is not None):
            needed = "are needed" if traceable else "have no use"
            raise ParameterError(f"tracing_key, trust: {needed} in mode {master.params.mode}")
        if trust is not None and trust.root_public_key != master.params.root_public_key:
            # No verifier, with one root pinned, could read a trace that names keys of two.
            raise ParameterError("trust: the root key of the master key expected")
        if isinstance(master, MasterKey) and master.params.servers > 1:
            raise ParameterError("master: the share of one server expected, several issue in this epoch")
        self._master = master
        self._registry: Registry = MemoryRegistry() if registry is None else registry
        self._tracing_key = tracing_key
        self._trust = trust
        self._admissions = admissions_of(master, admission_key, admission_public_keys)
        self._at_most = master.params.answers if master.params.servers > 1 else None
        self._identity_lock = threading.Lock()

    @property
    def params(self) -> EpochParams:
        """Parameters of the epoch."""
        return self._master.params

    @property
    def server(self) -> int:
        """Number of this server, 1 to ``params.servers``."""
        return self._master.index if isinstance(self._master, MasterShare) else 1

    # -- parties --------------------------------------------------------------------------------

    def enrol(self, party: str, *, quota: int = 1, identity: bytes | None = None) -> bytes:
        """Enrol a party; give it the token over a confidential channel.

        Args:
            party: Its name here, 1 to 64 bytes of UTF-8.
            quota: Keys, 1 to 2**20: per (parameters, usage) in modes ``identity`` and ``traceable``;
                per parameters in mode ``blind``, of either usage, because a blind request hides what
                it is for.  A server of a threshold issuer gives ``params.answers`` at most.
            identity: 1 to 64 bytes (of use in mode ``traceable`` up to 31): the one name that it may ask keys
                for in mode ``identity``, or whose key signs its requests in mode ``traceable``; by default
                ``party`` as UTF-8.  Without this binding any enrolled party could take any free name.

        Returns:
            The enrolment token, 32 random bytes; mode ``traceable`` has no use for it.

        Raises:
            TypeError: Wrong types.
            ParameterError: A name or the quota is out of range, or ``party`` has no UTF-8 (a lone surrogate).
            IssueError: The party or the identity is enrolled already.
        """
        _check_party(party)
        try:
            own_name = party.encode("utf-8")
        except UnicodeEncodeError:
            raise ParameterError("party: has no UTF-8") from None
        name = own_name if identity is None else identity
        if not isinstance(name, bytes):
            raise TypeError(f"identity: bytes expected, got {type(name).__name__}")
        if not 1 <= len(own_name) <= 64 or not 1 <= len(name) <= 64:
            raise ParameterError("party, identity: 1 to 64 bytes expected")
        if type(quota) is not int or not 1 <= quota <= limits.MAX_BLIND_ISSUANCES:
            raise ParameterError(f"quota: 1 to {limits.MAX_BLIND_ISSUANCES} expected")
        token = secrets.token_bytes(TOKEN_BYTES)
        self._registry.enrol(Account(party, name, quota, token))
        return token

    def disable(self, party: str) -> None:
        """Give the party nothing from now on, in any epoch: not even an earlier answer again.

        Keys that it has stay valid; :meth:`TrustStore.revoke` is what verifiers do about those.

        Args:
            party: Its name here, as :meth:`enrol` took it.

        Raises:
            TypeError: Wrong types.
            IssueError: The party is not enrolled.
        """
        _check_party(party)
        self._registry.disable(party)

    def challenge(self) -> bytes:
        """32 random bytes for one proof of possession; each is accepted once, while not forgotten.

        ``MAX_CHALLENGES`` (2**17) may be outstanding; of more the oldest are forgotten.
        """
        return self._registry.new_challenge()

    # -- issuing --------------------------------------------------------------------------------

    def admit(self, party: str, request: bytes) -> bytes:
        """First round of a threshold issuer in mode ``blind``: record the request and acknowledge it.

        Spends the same quota as :meth:`issue`, which gives the answer when ``params.threshold`` servers
        have acknowledged.  The record is durable before this returns; the same request gets the same
        acknowledgement again.  Send one ``B`` to every server: a server that has recorded another has
        no quota left for it.

        Args:
            party: Who asks; every server must call it by this very name.
            request: Of :class:`BlindRequest`, for this server: 114 bytes.

        Returns:
            66 bytes, no secret.  It is of use to nobody but the party.

        Raises:
            TypeError: ``request`` is not bytes.
            ParameterError: An epoch of another mode or of one server.
            DecodeError: The bytes are not a request, or hold an invalid point.
            IssueError: Not enrolled or disabled, wrong parameters or token, quota spent, or the epoch has
                issued its 2**20 blind keys.

        Timing: as :meth:`issue`; the answer is computed here already.
        """
        if self._admissions is None:
            raise ParameterError("admit: mode blind and several servers expected")
        parsed, name = self._authenticated(party, request)
        if self._registry.find(party, parsed.params_id, "", parsed.issued) is None:
            self._issue_blind(self._entry(party, parsed, name, request))
        return self._admissions.acknowledge(party, parsed.issued)

    def issue(self, party: str, request: bytes, admissions: Mapping[int, bytes] | None = None) -> bytes:
        """Answer a request of an enrolled party.

        The record is durable before this returns.  The same request (same party, parameters, and
        usage and ``X``, or ``B``) gets the same answer again; a different one counts against the quota.
        Of two equal identity requests at one moment in two processes one may be refused for its
        challenge; asked again, it gets the answer of the other.

        Args:
            party: Who asks, as the transport says; the token's MAC in the request proves it, or the
                signature in mode ``traceable``.
            request: Of :class:`IdentityRequest` (228 bytes and the name), :class:`TraceableRequest` (342 and
                the name) or :class:`BlindRequest` (114).
            admissions: In mode ``blind`` with several servers, and only there: server -> what its
                :meth:`admit` gave for the same ``B`` and party, of at least ``params.threshold``.

        Returns:
            114 bytes in mode ``identity``, 178 in ``traceable``, 50 in ``blind``.  No secret of the issuer:
            ``D`` is encrypted to ``X``, or blinded.

        Raises:
            TypeError: Wrong types.
            ParameterError: ``admissions`` where they have no use.
            DecodeError: The bytes are not a request, or hold an invalid point or scalar.
            TooFewAdmissions: Fewer than ``params.threshold`` are valid; names the wrong ones.  Nothing
                was recorded.
            IssueError: Not enrolled or disabled, wrong parameters, token, signature, proof or challenge, a
                signer who is not acceptable, quota spent, a name or ``X`` that has a key, or an epoch that
                has issued its 2**20 blind keys or is closed since its registry was restored.

        Timing: the master secret, or share, meets the same doublings and additions whatever it is, on random
            coordinates; the token's MAC is compared in constant time, with the same work, but for the
            registry's look-up, for a party that is not enrolled.  An answer on record, and a refusal, come
            sooner.
        """
        return self._issue_derand(party, request, os.urandom, admissions)

    def _issue_derand(
        self,
        party: str,
        request: bytes,
        random_bytes: group.RandomBytes,
        admissions: Mapping[int, bytes] | None = None,
    ) -> bytes:
        if self._admissions is None and admissions is not None:
            raise ParameterError("admissions: of use in mode blind with several servers only")
        parsed, name = self._authenticated(party, request)
        if self._admissions is not None:
            # Before the record is looked for: what admit() recorded is an answer that may not leave yet.
            self._admissions.require(party, parsed.issued, admissions)
        known = self._registry.find(party, parsed.params_id, str(parsed.usage or ""), parsed.issued)
        if known is not None:
            return known.answer
        entry = self._entry(party, parsed, name, request)
        if parsed.usage is None:
            return self._issue_blind(entry)
        key = PublicKey(self._master.params, parsed.usage, entry.identity, parsed.issued)
        if parsed.mode is Mode.IDENTITY:
            return self._issue_identity(entry, key, parsed, random_bytes)
        return self._issue_sealed(entry, key, random_bytes)

    def _authenticated(self, party: str, request: bytes) -> tuple[IssueRequest, bytes]:
        """The parsed request, and the name that the party may have keys for."""
        _check_party(party)
        parsed = parse_request(request)
        params = self._master.params
        if parsed.mode is not params.mode or parsed.params_id != params.params_id:
            raise IssueError("issue: the request is for other parameters")
        if parsed.mode is Mode.TRACEABLE:
            name = self._authenticate_signer(party, parsed)
        else:
            name = self._authenticate(party, parsed)
        if name is None:
            raise IssueError("issue: not authenticated")  # here, where no frame holds the token
        if parsed.mode is Mode.IDENTITY and parsed.identity != name:
            raise IssueError("issue: the name belongs to somebody else")
        return parsed, name

    def _entry(self, party: str, parsed: IssueRequest, name: bytes, request: bytes) -> Issuance:
        """What to record, without the answer."""
        usage, identity = str(parsed.usage or ""), parsed.identity
        if self._tracing_key is not None:
            identity = self._tracing_key._pseudonym(parsed.params_id, usage, parsed.issued, name)
        return Issuance(party, parsed.params_id, parsed.mode, usage, identity, parsed.issued, request, b"")

    def _authenticate(self, party: str, parsed: IssueRequest) -> bytes | None:
        """The name that the party may ask for; None if it does not hold the token."""
        account = self._registry.account(party)
        # Same work whether the party is unknown or the token is wrong.
        nobodys = secrets.token_bytes(TOKEN_BYTES)
        token = account.token if account is not None else nobodys
        expected = token_mac(token, parsed.params_id, parsed.usage, parsed.issued)
        if not hmac.compare_digest(expected, parsed.mac) or account is None:
            return None
        return account.identity

    def _authenticate_signer(self, party: str, parsed: IssueRequest) -> bytes | None:
        """The name whose key signed the request; None unless the party is enrolled under it."""
        signer = self._acceptable_signer(parsed.signer)
        # Same work whether the party is unknown or the signature is wrong.
        identity = self._enrolled_identity(party)
        try:
            check_request_signature(
                signer, parsed.params_id, str(parsed.usage), parsed.issued, parsed.signature
            )
        except SignatureError:
            return None
        return identity if identity == signer.identity else None

    def _acceptable_signer(self, data: bytes) -> PublicKey:
        assert self._trust is not None
        try:
            signer = PublicKey.from_bytes(data, self._trust)
            self._trust.acceptable(signer)
            check_signer(signer)
        except SenderError as error:
            raise IssueError(f"issue: the signer is not acceptable: {error}") from None
        return signer

    def _enrolled_identity(self, party: str) -> bytes | None:
        """In a frame of its own: the account holds the token."""
        account = self._registry.account(party)
        return None if account is None else account.identity

    def _issue_blind(self, entry: Issuance) -> bytes:
        B = group.g1_from_bytes(entry.issued, "request: B")
        self._registry.check(entry, at_most=self._at_most)
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
            # Before the challenge is used: the token's MAC does not cover the proof, and whoever alters a
            # request on its way must not spend what its sender needs.
            check_possession(parsed, key)
            self._registry.check(entry, at_most=self._at_most)
            if not self._registry.use_challenge(parsed.challenge):
                raise IssueError("issue: the challenge is unknown or was used")
            return self._issue_sealed(entry, key, random_bytes)

    def _issue_sealed(self, entry: Issuance, key: PublicKey, random_bytes: group.RandomBytes) -> bytes:
        self._registry.check(entry, at_most=self._at_most)
        # Q is computed here from (id, X): never multiplied is a point that the client chose.
        return self._record(entry, self._sealed(key, random_bytes))

    def _sealed(self, key: PublicKey, random_bytes: group.RandomBytes) -> bytes:
        D = group.g1_mul_secret(key._Q_base.point, self._master._s)
        return seal_partial_key(key, D, random_bytes)

    def _record(self, entry: Issuance, answer: bytes) -> bytes:
        # If two threads race with one request, both give out the record that won.
        return self._registry.record(replace(entry, answer=answer), at_most=self._at_most).answer

    # -- tracing --------------------------------------------------------------------------------

    def trace(self, pseudonym: PublicKey) -> Trace:
        """Who asked for this pseudonym, with that person's signed request.

        Args:
            pseudonym: A key of this epoch, as :attr:`Opened.sender` gives it; its name has 64 bytes.

        Returns:
            What anybody can check with :meth:`Trace.verify`.  A server of a threshold issuer finds the
            pseudonyms only that it answered for itself.

        Raises:
            TypeError: Not a PublicKey.
            ParameterError: The issuer's mode is not ``traceable``.
            SenderError: ``trust`` does not know the signer's parameters any more.
            IssueError: A key of other parameters; or not a pseudonym that was issued here, for that
                ``X``: always the same message, because the tracing key was used.

        Timing: AES-SIV is OpenSSL's; the registry is asked whether or not the pseudonym opened.
        """
        if not isinstance(pseudonym, PublicKey):
            raise TypeError(f"pseudonym: PublicKey expected, got {type(pseudonym).__name__}")
        if self._trust is None:
            raise ParameterError(f"trace: mode {Mode.TRACEABLE} expected, got {self.params.mode}")
        if pseudonym.params != self.params:
            raise IssueError("trace: the pseudonym is of other parameters")
        record = self._traced(pseudonym)
        if record is None:
            raise IssueError("trace: not a pseudonym that was issued here")
        parsed = parse_request(record.request)
        return Trace(pseudonym, PublicKey.from_bytes(parsed.signer, self._trust), parsed.signature)

    def _traced(self, pseudonym: PublicKey) -> Issuance | None:
        """The record of a pseudonym that opens to the name of the one who asked; None else."""
        assert self._tracing_key is not None
        params_id, usage = pseudonym.params.params_id, str(pseudonym.usage)
        name = self._tracing_key._name(params_id, usage, pseudonym.identity)
        record = self._registry.by_identity(params_id, usage, pseudonym.identity)
        # Without the second comparison anybody could put a known pseudonym on an X of its own.
        if name is None or record is None or record.issued != pseudonym.X:
            return None
        signer = parse_request(record.request).signer
        return record if signer[35:-48] == name else None

    def __repr__(self) -> str:
        return f"Issuer({self._master.params!r})"

    def __reduce__(self) -> Any:
        raise TypeError("an Issuer holds a master secret and cannot be pickled")


def _check_party(party: str) -> None:
    if not isinstance(party, str):
        raise TypeError(f"party: str expected, got {type(party).__name__}")
