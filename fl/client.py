"""The client: checks a header against its own policy and seals one update for it, in one message."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import clsc, he, rs
from .._ext.enc import sha256_enc
from .._ext.errors import ParameterError
from .._ext.fingerprint import Fingerprint
from ..he import kahe
from .closing import RoundResult
from .errors import ProtocolError, Reason
from .header import RoundHeader, check_sender
from .meter import Meter
from .model import Arrays, model_digest
from .policy import Policy
from .signed import HeaderReader
from .stores import MemoryOutbox, Outbox, Sent
from .update import Manifest, MemberShare, UpdateDraft
from .wire import associated_data, expect


@dataclass(frozen=True)
class Sealed:
    """One update, ready to leave.

    Attributes:
        header: The round it is for.
        packet: The signcryption to the aggregator; ``update_packet_bytes(header.kahe_params)`` bytes, one
            length for all clients of a round.

    Source: docs/fl-protocol.md, "Collecting over relays".
    """

    header: RoundHeader
    packet: bytes = field(repr=False)

    def shards(self) -> list[bytes]:
        """The packet as ``shard_n`` sealed shards of one size, ``shard_k`` of which suffice.

        Every call draws fresh randomness: shards of two calls do not combine, and both lead to the
        same packet.  Send each over another relay.  Each has ``rs.shard_bytes(packet_bytes, shard_k,
        shard_n)`` bytes.
        """
        header = self.header
        return rs.disperse(
            self.packet,
            header.shard_k,
            header.shard_n,
            header.shard_key,
            context=header.hash,
            packet_bytes=header.packet_bytes,
        )


class Client:
    """Seals one update a round under its epoch's pseudonym.

    Not safe for concurrent calls on one object; objects of one device may share an outbox, which then
    decides between them.  After an error nothing has left and nothing is kept.

    Args:
        key: ``sign`` key of the epoch; blind mode hides the device from its issuer too.
        trust: Pins the issuer's root, knows senders' and committee's parameters.
        policy: The owner's conditions.
        outbox: Keeps finished packets; in memory if None.
        clock: Unix seconds.
        meter: Listens to time and bytes of each stage.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``key`` is no ``sign`` key.

    Timing: of :meth:`seal`, the others look at public bytes only.
    Source: docs/fl.md, "What happens".
    """

    def __init__(
        self,
        key: clsc.SecretKey,
        trust: clsc.TrustStore,
        policy: Policy,
        *,
        outbox: Outbox | None = None,
        clock: Callable[[], float] = time.time,
        meter: Meter | None = None,
    ) -> None:
        expect("key", key, clsc.SecretKey)
        expect("trust", trust, clsc.TrustStore)
        expect("policy", policy, Policy)
        if key.usage is not clsc.Usage.SIGN:
            raise ParameterError("key: a sign key expected")
        self._key = key
        self._trust = trust
        self._reader = HeaderReader(trust)
        self._policy = policy
        self._outbox = outbox if outbox is not None else MemoryOutbox()
        self._clock = clock
        self._meter = meter if meter is not None else Meter()

    @property
    def pid(self) -> bytes:
        """The pseudonym under which this client appears in this epoch, 16 bytes."""
        return self._key.public_key.pid

    def check(self, signed_header: bytes) -> RoundHeader:
        """Parse a signed header, verify it, and hold it against the policy.

        Args:
            signed_header: What the aggregator published.

        Returns:
            The header.

        Raises:
            DecodeError: Malformed.
            SenderError: Server keys or one's own unknown, revoked or out of validity.
            ProtocolError: Signatures, policy or deadline; or own key is not of the header's epoch.
        """
        header = self._reader.read(signed_header)
        self._policy.check(header, self._trust, self._clock())
        check_sender(header, self._key.public_key)
        self._trust.acceptable(self._key.public_key)
        return header

    def seal(
        self, signed_header: bytes, model: Arrays, update: Arrays, *, examples: int | None = None
    ) -> Sealed:
        """Encrypt, share, sign and seal one update.

        A second call for the same header gives the packet of the first, whatever the update: a client
        never seals twice for one round.

        Args:
            signed_header: From the aggregator.
            model: The global model that was trained on, arrays of the header's layout; read, never kept.
            update: What to contribute, arrays of the same shapes and dtypes; clipped to the header's range;
                read, never kept.
            examples: Size of the data behind it, 1 to ``max_examples``; required if the header weighs
                by examples, refused if it does not.

        Returns:
            The packet; :meth:`Sealed.shards` cuts it.

        Raises:
            DecodeError, SenderError, ProtocolError: As :meth:`check`; or the model is not the one of the
                header (:attr:`Reason.MODEL`), or an update for it, or this update for any model, has left
                (:attr:`Reason.MODEL_REUSED`, :attr:`Reason.UPDATE_REUSED`).
            TypeError: Not lists of numpy arrays, or ``examples`` is no integer.
            RangeError: ``model`` or ``update`` has NaN or infinity; names the array and the index.
            ParameterError: ``update`` has other shapes or dtypes; ``examples`` out of range.

        Timing: rounding is as :meth:`sottovoce.he.Codec.quantize`, not constant in the values; encryption and
            sharing neither branch nor index on secrets (docs/he.md); signatures are as
            :func:`sottovoce.clsc.sign`.
        """
        with self._meter.stage("check header") as stage:
            header = self.check(signed_header)
            stage.n_bytes += len(signed_header)
        known = self._outbox.find(header.hash)
        if known is not None:
            return self._again(header, known)
        if model_digest(model) != header.model:
            same = he.ModelLayout.of(model) == header.layout
            detail = "other values" if same else "other shapes or dtypes"
            raise ProtocolError(Reason.MODEL, detail, round_id=header.hash)
        with self._meter.stage("quantize"):
            values = self._quantize(header, update, examples)
        digests = self._check_unused(header, update)
        manifest, plain = self._encrypt(header, values)
        with self._meter.stage("signcrypt to aggregator") as stage:
            packet = clsc.signcrypt(
                plain,
                sender=self._key,
                receivers=[header.aggregator.decrypt],
                ad=associated_data(header.hash, "packet"),
            )
            stage.n_bytes += len(packet)
        # The outbox holds the rule about models again: another object may have sealed meanwhile.
        self._outbox.put(
            Sent(header.hash, self.pid, header.model, digests, manifest.digest, packet),
            allow_retrained=self._policy.allow_retrained,
        )
        return Sealed(header, packet)

    def resend(self, signed_header: bytes) -> Sealed:
        """The packet that was sealed for a round, from the outbox: after a crash, without the update.

        Args:
            signed_header: What the aggregator published.

        Raises:
            DecodeError, SenderError, ProtocolError: As :meth:`check`; or nothing was sealed for this round
                (:attr:`Reason.UNSEALED`), or under another pseudonym, or it was discarded
                (:attr:`Reason.SEALED`).
        """
        header = self.check(signed_header)
        known = self._outbox.find(header.hash)
        if known is None:
            raise ProtocolError(Reason.UNSEALED, round_id=header.hash)
        return self._again(header, known)

    def _again(self, header: RoundHeader, known: Sent) -> Sealed:
        if known.pid != self.pid:
            raise ProtocolError(Reason.SEALED, "under another pseudonym", round_id=header.hash)
        if not known.packet:
            raise ProtocolError(Reason.SEALED, "and the packet discarded", round_id=header.hash)
        return Sealed(header, known.packet)

    def read_result(self, signed_header: bytes, result: bytes) -> RoundResult:
        """Verify a round's result: the aggregator's signature, ``t`` members', and the list.

        If this client has sealed for the round and is in the list, then with the manifest it sealed.

        Args:
            signed_header: What the aggregator published.
            result: What :meth:`Aggregator.publish` gave.

        Returns:
            The result; whether this client is in it: :meth:`included`.

        Raises:
            DecodeError, SenderError, SignatureError, ProtocolError: As :meth:`SignedHeader.from_bytes` and
                :meth:`RoundResult.from_bytes`; servers that the policy does not accept; or the list names
                this client with a manifest that it never made (:attr:`Reason.RESULT`).
        """
        header = self._reader.read(signed_header)
        # Anybody with enough keys of the issuer could sign a round of their own.
        self._policy.check_parties(header)
        with self._meter.stage("read result") as stage:
            checked = RoundResult.from_bytes(result, header)
            stage.n_bytes += len(result)
        sent = self._outbox.find(header.hash)
        listed = dict(checked.entries).get(self.pid)
        own = sent.manifest_digest if sent is not None and sent.pid == self.pid else None
        if listed not in (None, own):
            raise ProtocolError(
                Reason.RESULT, "lists us with another manifest", round_id=header.hash, sender=self.pid
            )
        return checked

    def included(self, result: RoundResult) -> bool:
        """Whether this client's contribution is in a verified result.

        Args:
            result: Of :meth:`read_result`.

        Raises:
            TypeError: Wrong types.
        """
        expect("result", result, RoundResult)
        return self.pid in dict(result.entries)

    def _quantize(self, header: RoundHeader, update: Arrays, examples: int | None) -> NDArray[np.int64]:
        if examples is None and header.max_examples:
            raise ParameterError(f"examples: 1 to {header.max_examples} required, the header weighs by them")
        if examples is not None and not header.max_examples:
            raise ParameterError("examples: refused, the header weighs all clients the same")
        weight = None
        if examples is not None:
            if isinstance(examples, bool) or not isinstance(examples, (int, np.integer)):
                raise TypeError(f"examples: int expected, got {type(examples).__name__}")
            examples = int(examples)
            if not 1 <= examples <= header.max_examples:
                raise ParameterError(f"examples: 1 to {header.max_examples} expected, got {examples}")
            weight = header.codec.weight(examples, header.max_examples)
        return header.codec.quantize_model(header.layout, update, weight)

    def _check_unused(self, header: RoundHeader, update: Arrays) -> frozenset[bytes]:
        """Digests of the update, after seeing that the outbox would take it."""
        digests = _update_digests(header, update)
        try:
            self._outbox.check(header.model, digests, allow_retrained=self._policy.allow_retrained)
        except ProtocolError as error:
            error.round_id = header.hash  # an outbox is not told for which round it is asked
            raise
        return digests

    def _encrypt(self, header: RoundHeader, values: NDArray[np.int64]) -> tuple[Manifest, bytes]:
        """The manifest, and the update that it is part of, encoded."""
        params = header.kahe_params
        key = kahe.OneTimeKey.generate(params, header.hash)
        draft = UpdateDraft(header)
        with self._meter.stage("encrypt") as stage:
            digest = key.encrypt_into(values, draft.ciphertext)
            stage.n_bytes += params.ciphertext_bytes
        with self._meter.stage("share") as stage:
            proof, shares = key.share(self.pid)
            stage.n_bytes += params.proof_bytes
        manifest = Manifest(header.hash, self.pid, digest, proof)
        with self._meter.stage("signcrypt to committee") as stage:
            packets = []
            for index, (member, share) in enumerate(zip(header.members, shares, strict=True), 1):
                plain = MemberShare(index, manifest.digest, share).to_bytes()
                ad = associated_data(header.hash, "share", index)
                packets.append(clsc.signcrypt(plain, sender=self._key, receivers=[member.decrypt], ad=ad))
            stage.n_bytes += sum(map(len, packets))
        return manifest, draft.finish(manifest, packets)


_DIGEST_BLOCK = 1 << 15
"""Numbers looked at together: their copies stay in the cache, and a large model needs no second one."""


def _update_digests(header: RoundHeader, update: Arrays) -> frozenset[bytes]:
    """Fingerprints of the update in float32, and of the integers nearest to it: 32 bytes each.

    Stochastic rounding makes two encodings of one update differ, so these are compared: what only the clip
    or the rounding would tell apart is the same, and so is what differs by less than float32 can tell.

    Their keys are no secrets.  What a client relies on is that one update gives one fingerprint, whatever
    anybody knows; whoever could make two updates agree would make the client refuse the second.
    """
    nearest = replace(header.codec, rounding="nearest")
    wide = "<i2" if nearest.max_weight < 1 << 15 else "<i4"  # a weight has at most 24 bits
    floats = Fingerprint(sha256_enc("SOTTOVOCE-V1-UPDATE"))
    integers = Fingerprint(sha256_enc("SOTTOVOCE-V1-UPDATE-ENCODED", nearest.max_weight))
    for block in _blocks(update):
        with np.errstate(over="ignore"):  # beyond float32 is infinity, and beyond any clip
            floats.add(block.astype("<f4", order="C", copy=False).data.cast("B"))
        integers.add(nearest.quantize(block)[:-1].astype(wide).data.cast("B"))
    return frozenset({floats.digest(), integers.digest()})


def _blocks(update: Arrays) -> Iterator[NDArray[Any]]:
    """All numbers of the arrays, the same number at a time however the arrays are cut."""
    held, n = np.empty(_DIGEST_BLOCK), 0  # float64 holds those of every array
    for array in update:
        flat, at = array.reshape(-1), 0
        while at < flat.size:
            part = flat[at : at + _DIGEST_BLOCK - n]
            at += part.size
            if part.size == _DIGEST_BLOCK:
                yield part
                continue
            held[n : n + part.size] = part
            n += part.size
            if n == _DIGEST_BLOCK:
                yield held
                n = 0
    if n:
        yield held[:n]
