"""Closing a round: the requests, the members' checks, who is dropped, the answers, and the sum opened.

Holds what members said and decides what follows from it; in which order it may be called is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from .. import clsc
from .._ext.errors import OverflowDetected, TooManyErasures
from .._ext.limits import MAX_REMOVALS
from ..he import kahe
from .closing import Answer, CheckReply, CloseRequest, ContributorSet, Removal, RoundResult
from .collecting import Collection
from .complaints import settle_complaints
from .conviction import Conviction
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
        convictions: Pid -> verified conviction.
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
        self.convictions: dict[bytes, Conviction] = {}
        self.opened: kahe.OpenedSum | None = None
        self._header = header
        self._keys = keys
        self._trust = trust
        self._collection = collection
        self._meter = meter
        self._roots: set[bytes] = set()  # of all sets that were asked about
        self._removals: list[tuple[Removal, ...]] = []
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
        """Take a member's verdict on a set that it was asked about.

        One that shows a conviction that does not hold is refused as a whole: no honest member makes it, and
        after the first nothing more needs to be verified.
        """
        check = CheckReply.from_bytes(self._from_member(index, "check", reply), self._header)
        if check.root not in self._roots:
            raise ProtocolError(Reason.SET, "check of another set", round_id=self._header.hash)
        news = [
            conviction
            for conviction in check.convictions
            if conviction.pid in self._collection.manifests and conviction.pid not in self.convictions
        ]
        for conviction in news:
            conviction.verify(self._header, self._trust.root_public_key)
        for conviction in news:
            self._collection.convict(conviction)
            self.convictions[conviction.pid] = conviction
        self._complaints[index] = check

    def settle(self) -> dict[int, bytes]:
        """Decide about complaints, drop, and fix set and sum again; index -> request to answer.

        After an error nothing has been decided.
        """
        header = self._header
        listed = self._collection.manifests.keys()
        convicted = listed & self.convictions.keys()
        drop, content = settle_complaints(
            self._words(listed - convicted), header.kahe_params.n_corrupted, header.threshold
        )
        if len(content) < header.threshold:
            raise ProtocolError(
                Reason.NO_QUORUM,
                f"{header.threshold} members needed, {len(content)} present",
                round_id=header.hash,
            )
        # Some member may have answered unasked, and can follow, unless somebody goes by mere words.
        return self._without(convicted, drop, [] if drop else self._removal(convicted))

    def settle_again(self) -> dict[int, bytes]:
        """Take those who were convicted meanwhile out of the set that members may have answered already.

        After an error nothing has been decided.
        """
        convicted = self._collection.manifests.keys() & self.convictions.keys()
        if not convicted:
            raise ProtocolError(
                Reason.STATE, "settled, and nobody of the set is convicted", round_id=self._header.hash
            )
        if len(self._removals) >= MAX_REMOVALS:
            raise ProtocolError(
                Reason.STATE, f"settled {MAX_REMOVALS} times again", round_id=self._header.hash
            )
        requests = self._without(convicted, set(), [*self._removals, *self._removal(convicted)])
        self._answers.clear()
        return requests

    def _words(self, about: AbstractSet[bytes]) -> dict[int, set[bytes]]:
        """What members say of these clients that nobody has shown."""
        return {j: set(about & set(check.bad)) for j, check in self._complaints.items()}

    def _removal(self, convicted: AbstractSet[bytes]) -> list[tuple[Removal, ...]]:
        """One step, or none."""
        listed = self._collection.manifests
        step = tuple(Removal(listed[pid], self.convictions[pid]) for pid in sorted(convicted))
        return [step] if step else []

    def _without(
        self, convicted: AbstractSet[bytes], drop: AbstractSet[bytes], removals: list[tuple[Removal, ...]]
    ) -> dict[int, bytes]:
        """Drop these clients, and ask all members that have nothing against the rest, or were not heard."""
        collection = self._collection
        self._require_enough(len(collection.manifests) - len(convicted | drop))
        dropped = [collection.update(pid) for pid in sorted(convicted | drop)]
        before, self._removals = self._removals, removals
        for update in dropped:
            collection.drop(update)
        try:
            words = self._words(collection.manifests.keys())
            requests = self._requests(j for j in range(1, len(self._header.members) + 1) if not words.get(j))
        except BaseException:  # the store failed: as if nothing had been decided
            self._removals = before
            for update in dropped:
                collection.restore(update)
            raise
        for reason, pids in ((Reason.CONVICTED, convicted), (Reason.BAD_SHARES, drop)):
            if pids:
                collection.refused[reason] += len(pids)
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
            update = collection.update(pid)
            manifests.append(update.manifest)
            for j, of_member in packets.items():
                of_member.append(update.member_packets[j - 1])
        requests = {
            j: CloseRequest(agreed, tuple(manifests), tuple(of_member), tuple(self._removals)).to_bytes(
                header, j, self._keys
            )
            for j, of_member in packets.items()
        }
        self.agreed = agreed
        self._roots.add(agreed.root)
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
