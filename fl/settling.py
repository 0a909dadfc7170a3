"""Closing a round: the requests, the members' checks, who is dropped, the answers, and the sum opened.

Holds what members said and decides what follows from it; in which order it may be called is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable

from .. import clsc
from .._ext.errors import OverflowDetected, TooManyErasures
from ..he import kahe
from .closing import Answer, CheckReply, CloseRequest, ContributorSet, RoundResult
from .collecting import Collection
from .complaints import settle_complaints
from .errors import ProtocolError, Reason
from .header import RoundHeader
from .meter import Meter
from .server import ServerKeys
from .update import Manifest
from .wire import associated_data, expect, set_root


class Settlement:
    """One round from the collected set to its result.

    Args:
        header: The round.
        keys: The aggregator's.
        trust: Pins the issuer's root.
        collection: What counts; dropped clients are dropped from it.
        meter: Listens to time and bytes.

    Attributes:
        agreed: The set that the last requests name, or None.
        opened: The opened sum, or None.
    """

    def __init__(
        self,
        header: RoundHeader,
        keys: ServerKeys,
        trust: clsc.TrustStore,
        collection: Collection,
        meter: Meter,
    ) -> None:
        self.agreed: ContributorSet | None = None
        self.opened: kahe.OpenedSum | None = None
        self._header = header
        self._keys = keys
        self._trust = trust
        self._collection = collection
        self._meter = meter
        self._complaints: dict[int, CheckReply] = {}
        self._answers: dict[int, Answer] = {}

    # -- the set ----------------------------------------------------------------------------------

    def close(self) -> dict[int, bytes]:
        """Fix the set and the sum; index -> request to check.

        Raises:
            ProtocolError: Too few contributors.
        """
        self._require_enough(len(self._collection.manifests))
        return self._requests(range(1, len(self._header.members) + 1))

    def add_check(self, index: int, reply: bytes) -> None:
        """Take a member's verdict on the set."""
        check = CheckReply.from_bytes(self._from_member(index, "check", reply), self._header)
        if self.agreed is None or check.root != self.agreed.root:
            raise ProtocolError(Reason.SET, "check of another set", round_id=self._header.hash)
        self._complaints[index] = check

    def settle(self) -> dict[int, bytes]:
        """Decide about complaints, drop, and fix set and sum again; index -> request to answer.

        After an error nothing has been decided.
        """
        header, collection = self._header, self._collection
        listed = collection.manifests.keys()
        complaints = {j: listed & set(check.bad) for j, check in self._complaints.items()}
        drop, content = settle_complaints(complaints, header.kahe_params.n_corrupted, header.threshold)
        if len(content) < header.threshold:
            raise ProtocolError(
                Reason.NO_QUORUM,
                f"{header.threshold} members needed, {len(content)} present",
                round_id=header.hash,
            )
        self._require_enough(len(listed) - len(drop))
        dropped = [collection.update(pid) for pid in sorted(drop)]
        for update in dropped:
            collection.drop(update)
        try:
            unheard = set(range(1, len(header.members) + 1)) - self._complaints.keys()
            requests = self._requests(sorted({*content, *unheard}))
        except BaseException:  # the store failed: as if nothing had been decided
            for update in dropped:
                collection.restore(update)
            raise
        collection.refused.update({Reason.BAD_SHARES: len(dropped)} if dropped else {})
        return requests

    def _require_enough(self, count: int) -> None:
        if count < self._header.min_contributors:
            raise ProtocolError(
                Reason.TOO_FEW,
                f"{self._header.min_contributors} needed, {count} present",
                round_id=self._header.hash,
            )

    def _requests(self, indices: Iterable[int]) -> dict[int, bytes]:
        header, collection = self._header, self._collection
        entries = collection.entries
        agreed = ContributorSet(set_root(header.hash, entries), collection.sum.digest, len(entries))
        manifests: list[Manifest] = []
        packets: dict[int, list[bytes]] = {j: [] for j in indices}
        for pid, _ in entries:
            manifest, member_packets = collection.outline(pid)
            manifests.append(manifest)
            for j, of_member in packets.items():
                of_member.append(member_packets[j - 1])
        requests = {
            j: CloseRequest(agreed, tuple(manifests), tuple(of_member)).to_bytes(header, j, self._keys)
            for j, of_member in packets.items()
        }
        self.agreed = agreed
        return requests

    # -- the sum ----------------------------------------------------------------------------------

    def add_answer(self, index: int, answer: bytes) -> None:
        """Take a member's answer for the agreed set; the first of a member stays."""
        parsed = Answer.from_bytes(self._from_member(index, "answer", answer), self._header, index)
        if parsed.agreed != self.agreed:
            raise ProtocolError(Reason.SET, "answer for another set", round_id=self._header.hash)
        self._answers.setdefault(index, parsed)

    def open(self, agreed: ContributorSet) -> RoundResult:
        """Reconstruct the sum of the keys from the answers for ``agreed``, open the sum, make the result."""
        header = self._header
        with self._meter.stage("open sum") as stage:
            stage.n_bytes += header.kahe_params.ciphertext_bytes
            try:
                opened = kahe.open_sum(
                    header.kahe_params,
                    header.hash,
                    self._collection.sum,
                    [self._answers[j].share_sum for j in sorted(self._answers)],
                    agreed.count,
                )
                mean, weight = header.codec.dequantize(opened.values, agreed.count)
            except TooManyErasures as error:
                detail = f"{error.needed} answers needed, {error.present} usable"
                raise ProtocolError(Reason.NO_QUORUM, detail, round_id=header.hash) from None
            except OverflowDetected:
                raise ProtocolError(Reason.SUM, round_id=header.hash) from None
        self.opened = opened
        mean.setflags(write=False)
        signatures = {j: answer.signature for j, answer in sorted(self._answers.items())}
        return RoundResult(agreed, tuple(self._collection.entries), mean, weight, signatures)

    def erase(self) -> None:
        """Forget the answers: together they are the key of the sum."""
        self._answers.clear()

    def _from_member(self, index: int, role: str, data: bytes) -> bytes:
        header = self._header
        expect("index", index, int)
        if not 1 <= index <= len(header.members):
            raise ProtocolError(Reason.NOT_MEMBER, round_id=header.hash)
        opened = clsc.unsigncrypt(
            data, receiver=self._keys.decrypt, trust=self._trust, ad=associated_data(header.hash, role, index)
        )
        if opened.sender.to_bytes() != header.members[index - 1].sign.to_bytes():
            raise ProtocolError(Reason.NOT_MEMBER, "another signer", round_id=header.hash)
        return opened.plaintext
