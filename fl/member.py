"""The committee member: adds the key shares of exactly the agreed contributors, and answers once.

*Once* has one exception.  A client that is convicted (:class:`.Conviction`) forfeits its key, so a set
without it has the same honest part as one with it, and a member that answered the one may answer the
other: two sets that both find ``t`` answers have an honest member in common, and so their honest part.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .. import clsc
from .._ext.errors import DecodeError, ParameterError, ProofError
from ..he import kahe
from .closing import Answer
from .conviction import Conviction
from .errors import ProtocolError, Reason
from .header import RoundHeader, check_sender
from .meter import Meter
from .policy import Policy, check_revocations
from .request import CheckReply, CloseRequest
from .server import ServerKeys
from .signed import HeaderReader, SignedHeader
from .stores import Binding, MemberStore, MemoryMemberStore
from .update import Manifest, MemberShare
from .wire import associated_data, expect


class Member:
    """One member of a committee, over any number of rounds.

    *Checking* binds to no set and may be asked again.  *Answering* binds: for one round number a member
    ever answers one set, and that set without clients whose conviction it has verified itself, so two sets
    with different honest parts cannot both be opened while at most ``f`` members are corrupted.  A member
    that forgets its store counts as corrupted: with the store in memory, let its keys die with the process.

    Safe to call from several threads.  After an error the state is as before.

    Args:
        keys: ``sign`` and ``decrypt`` key, mode ``identity``.
        trust: Pins the issuer's root; its revocation list is the one this member enforces, and asks for
            in a header that it signs.
        policy: The same floors as a client's.
        store: Keeps what was signed and answered; in memory if None.
        clock: Unix seconds.
        meter: Listens to time and bytes of each stage.

    Raises:
        TypeError: Wrong types.

    Timing: shows which packets opened and which shares were right; of the keys what
        :func:`sottovoce.clsc.unsigncrypt` and :func:`sottovoce.clsc.sign` show.
    Source: docs/fl.md, "What happens"; a set without the convicted is docs/fl-audit.md, "Complaints and
        convictions".
    """

    def __init__(
        self,
        keys: ServerKeys,
        trust: clsc.TrustStore,
        policy: Policy,
        *,
        store: MemberStore | None = None,
        clock: Callable[[], float] = time.time,
        meter: Meter | None = None,
    ) -> None:
        expect("keys", keys, ServerKeys)
        expect("trust", trust, clsc.TrustStore)
        expect("policy", policy, Policy)
        self._keys = keys
        self._trust = trust
        self._reader = HeaderReader(trust)
        self._policy = policy
        self._store = store if store is not None else MemoryMemberStore()
        self._clock = clock
        self._meter = meter if meter is not None else Meter()
        # Shares that were checked for one set, so that answering does not open everything again.
        self._checked: tuple[bytes, dict[tuple[bytes, bytes, bytes], kahe.KeyShare]] = (b"", {})

    @property
    def name(self) -> bytes:
        """The name under which the issuer enrolled this member."""
        return self._keys.public.name

    def cosign(self, proposal: bytes) -> bytes:
        """Sign the header of a new round, one per aggregator, epoch and round number.

        Args:
            proposal: A :class:`SignedHeader` with the aggregator's signature.

        Returns:
            The co-signature, 176 bytes.

        Raises:
            DecodeError, SenderError: As :meth:`SignedHeader.from_bytes`.
            ProtocolError: Not signed by its aggregator, against the policy, not a member, past the
                deadline, or another header was signed for this round number.
        """
        with self._meter.stage("co-sign header") as stage:
            stage.n_bytes += len(proposal)
            header = self._check_header(SignedHeader.from_bytes(proposal, self._trust, proposal=True).header)
            check_revocations(header, self._trust)
            self._store.sign_header(header.aggregator.name, header.epoch, header.round_number, header.hash)
            return header.sign(self._keys)

    def check(self, signed_header: bytes, request: bytes) -> bytes:
        """Open this member's packets of a proposed set and say which are bad; binds to no set.

        Where the fault can be shown the reply carries a :class:`Conviction`, which shows the bad share and
        nothing else; about the other bad ones it is this member's word.  More convictions than a reply may
        hold are left for the next check (:meth:`CheckReply.fitting`).  Also for a request that
        :meth:`answer` refused because of bad shares.

        Args:
            signed_header: What the aggregator published.
            request: What :meth:`Aggregator.close` gave for this member.

        Returns:
            A :class:`CheckReply`, signcrypted to the aggregator.

        Raises:
            DecodeError, SenderError, SignatureError: Header or request malformed or not signed.
            ProtocolError: Policy, deadline, membership, too few contributors, or another header of this
                round number was dealt with (:attr:`Reason.OTHER_HEADER`).
        """
        with self._meter.stage("members check") as stage:
            stage.n_bytes += len(request)
            header, index, parsed = self._parse(signed_header, request)
            bad = self._verify(header, index, parsed)[1]
            reply = CheckReply(
                parsed.agreed.root,
                tuple(parsed.manifests[i].pid for i in bad),
                tuple(filter(None, (self._convict(header, index, parsed, i) for i in bad))),
            )
            return self._to_aggregator(header, "check", index, reply.fitting(header).to_bytes())

    def answer(self, signed_header: bytes, request: bytes) -> bytes:
        """Add the shares of the agreed contributors and bind to this set.

        The identical request gets the identical bytes again; so does any request for a set that was answered.
        After that only the last answered set without convicted clients is: the request carries the
        convictions (:class:`.Removal`), and this member verifies each of them.

        Args:
            signed_header: What the aggregator published.
            request: What :meth:`Aggregator.close` or :meth:`Aggregator.settle` gave for this member.

        Returns:
            An :class:`Answer`, signcrypted to the aggregator.

        Raises:
            DecodeError, SenderError, SignatureError: Header or request malformed or not signed.
            ProtocolError: Policy, deadline, membership, too few contributors, bad shares in the set
                (:attr:`Reason.BAD_SHARES`; :meth:`check` says which), another header of this round number was
                dealt with (:attr:`Reason.OTHER_HEADER`), another set was answered (:attr:`Reason.BOUND`), or
                that set is to be answered without somebody who is not convicted (:attr:`Reason.CONVICTION`).
        """
        with self._meter.stage("members answer") as stage:
            header, index, parsed = self._parse(signed_header, request)
            binding = Binding(header.hash, parsed.agreed.root, parsed.agreed.sum_digest)
            kept = self._store.find_answer(header.epoch, header.round_number, binding)
            if kept is not None:
                return kept
            shares, bad = self._verify(header, index, parsed)
            if bad:
                raise ProtocolError(Reason.BAD_SHARES, f"{len(bad)} of the set", round_id=header.hash)
            replaces = self._replaced(header, parsed)
            kept = self._store.bind(header.epoch, header.round_number, binding, replaces=replaces)
            if kept is not None:
                return kept
            total = kahe.ShareSum(header.kahe_params, index)
            for manifest, share in zip(parsed.manifests, shares, strict=True):
                total.add(share, manifest.pid)
            signature = clsc.sign(self._keys.sign, parsed.agreed.signed_text(header.hash))
            answer = self._to_aggregator(
                header, "answer", index, Answer(parsed.agreed, signature, total).to_bytes()
            )
            self._checked = (b"", {})
            stage.n_bytes += len(answer)
            return self._store.keep_answer(header.epoch, header.round_number, binding, answer)

    def _check_header(self, header: RoundHeader) -> RoundHeader:
        header.index_of(self._keys.public)
        self._policy.check(header, self._trust, self._clock())
        return header

    def _parse(self, signed_header: bytes, request: bytes) -> tuple[RoundHeader, int, CloseRequest]:
        header = self._check_header(self._reader.read(signed_header))
        # Also for one that was away when the header was signed: it deals with no other one.
        self._store.sign_header(header.aggregator.name, header.epoch, header.round_number, header.hash)
        index = header.index_of(self._keys.public)
        parsed = CloseRequest.from_bytes(request, header, index)
        if parsed.agreed.count < header.min_contributors:
            raise ProtocolError(Reason.TOO_FEW, round_id=header.hash)
        return header, index, parsed

    def _replaced(self, header: RoundHeader, request: CloseRequest) -> Binding | None:
        """The binding that this request may follow: the last one, without clients convicted before us."""
        last = self._store.last_binding(header.epoch, header.round_number)
        if last is None or last.header_hash != header.hash:
            return None
        removed = request.removed_since(last.root, header.hash)
        for removal in removed or ():
            removal.conviction.verify(header, self._trust.root_public_key)
        return last if removed else None

    def _convict(
        self, header: RoundHeader, index: int, request: CloseRequest, position: int
    ) -> Conviction | None:
        return Conviction.make(
            header,
            index,
            request.packets[position],
            request.manifests[position],
            receiver=self._keys.decrypt,
            trust=self._trust,
        )

    def _verify(
        self, header: RoundHeader, index: int, request: CloseRequest
    ) -> tuple[list[kahe.KeyShare], list[int]]:
        """Open and check every packet: the shares in the set's order, and the positions of bad ones."""
        of, known = self._checked
        revoked = self._trust.revoked  # who was revoked meanwhile is opened again, and refused
        known = {k: v for k, v in known.items() if k[0] not in revoked} if of == header.hash else {}
        keys = [
            (m.pid, m.digest, packet) for m, packet in zip(request.manifests, request.packets, strict=True)
        ]
        fresh = [i for i, key in enumerate(keys) if key not in known]
        opened = clsc.unsigncrypt_batch(
            [request.packets[i] for i in fresh],
            receiver=self._keys.decrypt,
            trust=self._trust,
            ad=associated_data(header.hash, "share", index),
        )
        verified = {key: known[key] for key in keys if key in known}
        bad = []
        for i, result in zip(fresh, opened, strict=True):
            share = self._check_share(header, index, request.manifests[i], result)
            if share is None:
                bad.append(i)
            else:
                verified[keys[i]] = share
        self._checked = (header.hash, verified)
        return [verified[key] for key in keys if key in verified], bad

    def _check_share(
        self, header: RoundHeader, index: int, manifest: Manifest, opened: clsc.Opened | Exception
    ) -> kahe.KeyShare | None:
        """The share of one packet if everything about it is right: signer, manifest, hash and degree."""
        if not isinstance(opened, clsc.Opened) or opened.sender.pid != manifest.pid:
            return None
        try:
            check_sender(header, opened.sender)
            content = MemberShare.from_bytes(opened.plaintext, header, index)
            if content.manifest_digest != manifest.digest:
                return None
            manifest.proof.verify(header.hash, manifest.pid, manifest.ciphertext_digest, content.share)
        except (ProtocolError, DecodeError, ProofError, ParameterError):
            return None
        return content.share

    def _to_aggregator(self, header: RoundHeader, role: str, index: int, plain: bytes) -> bytes:
        return clsc.signcrypt(
            plain,
            sender=self._keys.sign,
            receivers=[header.aggregator.decrypt],
            ad=associated_data(header.hash, role, index),
        )
