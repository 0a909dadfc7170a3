"""Closing a round: the requests, the members' checks, who is dropped, the answers, and the sum opened.

Holds what members said and decides what follows from it; in which order it may be called is the caller's.
Every step is noted in the store before it takes effect, and replaying the steps leads to the same set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from .. import clsc
from .._ext.enc import enc
from .._ext.errors import (
    OverflowDetected,
    RangeError,
    SignatureError,
    SottovoceError,
    StoreError,
    TooManyErasures,
)
from .._ext.limits import MAX_REMOVALS
from ..he import kahe
from .closing import Answer, ContributorSet, RoundResult
from .collecting import Collection
from .complaints import settle_complaints
from .conviction import Conviction
from .errors import ProtocolError, Reason
from .header import RoundHeader
from .meter import Meter
from .request import CheckReply, Removal, removal_parts, sign_request
from .server import ServerKeys
from .stores import AggregatorStore, Step, StepKind
from .wire import associated_data, expect, set_root


@dataclass(frozen=True)
class _Decision:
    """Who goes: the convicted, and others by members' words; and what to tell members who have answered."""

    convicted: AbstractSet[bytes]
    by_words: AbstractSet[bytes]
    removals: tuple[tuple[Removal, ...], ...]

    @property
    def gone(self) -> list[bytes]:
        return sorted(self.convicted | self.by_words)


_NOBODY = _Decision(frozenset(), frozenset(), ())


class Settlement:
    """One round from the collected set to its result.

    Args:
        header: The round.
        keys: The aggregator's.
        trust: Pins the issuer's root.
        collection: What counts; dropped clients are dropped from it.
        store: Keeps the steps.
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
        store: AggregatorStore,
        meter: Meter,
    ) -> None:
        self.agreed: ContributorSet | None = None
        self.convictions: dict[bytes, Conviction] = {}
        self.opened: kahe.OpenedSum | None = None
        self._header = header
        self._keys = keys
        self._trust = trust
        self._collection = collection
        self._store = store
        self._asked: list[int] = []
        self._settled = False
        self._roots: set[bytes] = set()  # of all sets that were asked about
        self._removals: tuple[tuple[Removal, ...], ...] = ()
        self._meter = meter
        self._complaints: dict[int, CheckReply] = {}
        self._answers: dict[int, Answer] = {}

    # -- the set ----------------------------------------------------------------------------------

    def close(self) -> dict[int, bytes]:
        """Fix the set and the sum; index -> request to check or to answer.

        Raises:
            ProtocolError: Too few contributors.
        """
        self._require_enough(len(self._collection.manifests))
        agreed, asked = self._fixed(), self._everybody
        requests = self._requests(agreed, asked, ())
        self._note(StepKind.CLOSED, data=_fixed_text(agreed))
        self._take_set(agreed, asked)
        return requests

    def settle_unchecked(self) -> None:
        """Let the set stand as it was closed, before any member was heard."""
        assert self.agreed is not None
        self._note(StepKind.SETTLED, data=_fixed_text(self.agreed))
        self._take_decision(_NOBODY, self.agreed, self._asked)

    def _take_set(self, agreed: ContributorSet, asked: list[int]) -> None:
        self.agreed, self._asked = agreed, asked
        self._roots.add(agreed.root)

    def requests_again(self) -> dict[int, bytes]:
        """The last requests: about the same set to the same members, signed anew."""
        return {} if self.agreed is None else self._requests(self.agreed, self._asked, self._removals)

    def add_check(self, index: int, reply: bytes) -> None:
        """Take a member's verdict on a set that it was asked about.

        One that shows a conviction that does not hold is refused as a whole: no honest member makes it, and
        after the first nothing more needs to be verified.
        """
        expect("index", index, int)
        plain = self._from_members("check", {index: reply})[index]
        if not isinstance(plain, bytes):
            raise plain
        check = self._read_check(plain)
        self._note(StepKind.CHECK, index, plain)
        self._take_check(index, check)

    def _read_check(self, plain: bytes) -> CheckReply:
        check = CheckReply.from_bytes(plain, self._header)
        if check.root not in self._roots:
            raise ProtocolError(Reason.SET, "check of another set", round_id=self._header.hash)
        for conviction in self._news(check):
            conviction.verify(self._header, self._trust.root_public_key)
        return check

    def _news(self, check: CheckReply) -> list[Conviction]:
        """Convictions of those who are in the set and were not convicted before."""
        listed = self._collection.manifests.keys() - self.convictions.keys()
        return [conviction for conviction in check.convictions if conviction.pid in listed]

    def _take_check(self, index: int, check: CheckReply) -> None:
        for conviction in self._news(check):
            self._store.convict(self._header.hash, conviction.pid, conviction.to_bytes())
            self.convictions[conviction.pid] = conviction
        self._complaints[index] = check

    def settle(self) -> dict[int, bytes]:
        """Decide about complaints, drop, and fix set and sum again; index -> request to answer.

        When it was settled before, then only to take out those who were convicted since: members may have
        answered, and follow nothing else.  After an error nothing has been decided.
        """
        collection = self._collection
        decision = self._decide()
        dropped = [collection.update(pid) for pid in decision.gone]
        for update in dropped:
            collection.drop(update)
        try:
            agreed, asked = self._fixed(), self._content()
            requests = self._requests(agreed, asked, decision.removals)
            self._note(StepKind.SETTLED, data=_fixed_text(agreed))
        except BaseException:  # the store failed: as if nothing had been decided
            for update in dropped:
                collection.restore(update)
            raise
        self._take_decision(decision, agreed, asked)
        return requests

    def _take_decision(self, decision: _Decision, agreed: ContributorSet, asked: list[int]) -> None:
        for reason, pids in (
            (Reason.CONVICTED, decision.convicted),
            (Reason.BAD_SHARES, decision.by_words),
        ):
            if pids:
                self._collection.refused[reason] += len(pids)
        self._take_set(agreed, asked)
        self._removals = decision.removals
        self._answers.clear()  # for another set
        self._settled = True

    def _decide(self) -> _Decision:
        header = self._header
        listed = self._collection.manifests.keys()
        convicted = listed & self.convictions.keys()
        step = tuple(Removal(self._collection.manifests[p], self.convictions[p]) for p in sorted(convicted))
        removals = (*self._removals, step) if step else self._removals
        if self._settled:
            if not convicted or len(removals) > MAX_REMOVALS:
                detail = f"settled {MAX_REMOVALS} times again" if convicted else "nobody of the set convicted"
                raise ProtocolError(Reason.STATE, detail, round_id=header.hash)
            decision = _Decision(convicted, frozenset(), removals)
        else:
            words = self._words(listed - convicted)
            drop, content = settle_complaints(words, header.kahe_params.n_corrupted, header.threshold)
            if len(content) < header.threshold:
                raise ProtocolError(
                    Reason.NO_QUORUM,
                    f"{header.threshold} members needed, {len(content)} present",
                    round_id=header.hash,
                )
            # Some member may have answered unasked: it can follow, unless somebody goes by mere words.
            decision = _Decision(convicted, drop, () if drop else removals)
        self._require_enough(len(listed) - len(decision.gone))
        return decision

    @property
    def complaints(self) -> dict[int, frozenset[bytes]]:
        """Member index -> whom it refuses and nobody has convicted, of members that refuse any."""
        words = {j: frozenset(check.bad) - self.convictions.keys() for j, check in self._complaints.items()}
        return {j: pids for j, pids in words.items() if pids}

    def _words(self, about: AbstractSet[bytes]) -> dict[int, set[bytes]]:
        """What members say of these clients that nobody has shown."""
        return {j: set(about & set(check.bad)) for j, check in self._complaints.items()}

    def _content(self) -> list[int]:
        """Members that have nothing against the set as it is, or were not heard."""
        words = self._words(self._collection.manifests.keys())
        return [j for j in self._everybody if not words.get(j)]

    @property
    def _everybody(self) -> list[int]:
        return list(range(1, len(self._header.members) + 1))

    def _require_enough(self, count: int) -> None:
        if count < self._header.min_contributors:
            raise ProtocolError(
                Reason.TOO_FEW,
                f"{self._header.min_contributors} needed, {count} present",
                round_id=self._header.hash,
            )

    def _fixed(self) -> ContributorSet:
        """The set and the sum as they are now."""
        entries = self._collection.entries
        root = set_root(self._header.hash, entries)
        return ContributorSet(root, self._collection.sum.digest, len(entries))

    def _requests(
        self, agreed: ContributorSet, indices: Iterable[int], removals: tuple[tuple[Removal, ...], ...]
    ) -> dict[int, bytes]:
        # Written side by side, so that what is sent is in memory once: 9 KB a contributor and member.
        parts = {j: removal_parts(removals) for j in indices}
        for pid, _ in self._collection.entries:
            manifest, packets = self._collection.outline(pid)
            for j, part in parts.items():
                part += enc(manifest.to_bytes(), packets[j - 1])
        return {
            j: sign_request(agreed, removals, parts.pop(j), self._header, j, self._keys) for j in list(parts)
        }

    # -- the sum ----------------------------------------------------------------------------------

    def add_answers(self, answers: Mapping[int, bytes]) -> dict[int, SottovoceError]:
        """Take members' answers for the agreed set, the first of each; index -> why one is refused."""
        header = self._header
        refused: dict[int, SottovoceError] = {}
        good: dict[int, tuple[bytes, Answer]] = {}
        for index, plain in self._from_members("answer", answers).items():
            try:
                if not isinstance(plain, bytes):
                    raise plain
                good[index] = plain, Answer.unverified(plain, header, index)
            except SottovoceError as error:
                refused[index] = error
        try:
            clsc.batch_verify([answer.claim(header, index) for index, (_, answer) in good.items()])
        except SignatureError as error:
            for index in [list(good)[i] for i in error.bad_indices]:
                del good[index]
                refused[index] = SignatureError()
        for index, (plain, answer) in good.items():
            if answer.agreed != self.agreed:
                refused[index] = self._of_another_set()
            elif index not in self._answers:
                self._note(StepKind.ANSWER, index, plain)
                self._answers[index] = answer
        return refused

    def _of_another_set(self) -> ProtocolError:
        return ProtocolError(Reason.SET, "answer for another set", round_id=self._header.hash)

    def open(self, agreed: ContributorSet) -> RoundResult:
        """Reconstruct the sum of the keys from the answers for ``agreed``, open the sum, make the result."""
        first = self.opened is None
        opened, result = self._open(agreed)
        if first:
            self._note(StepKind.OPENED)
        self.opened = opened
        return result

    def _open(self, agreed: ContributorSet) -> tuple[kahe.OpenedSum, RoundResult]:
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
                mean, weight = header.codec.dequantize(
                    opened.values, agreed.count, header.layout.vector_dtype
                )
            except TooManyErasures as error:
                detail = f"{error.needed} answers needed, {error.present} usable"
                raise ProtocolError(Reason.NO_QUORUM, detail, round_id=header.hash) from None
            except (OverflowDetected, RangeError):
                raise ProtocolError(Reason.SUM, round_id=header.hash) from None
        mean.setflags(write=False)
        signatures = {j: answer.signature for j, answer in sorted(self._answers.items())}
        return opened, RoundResult(agreed, tuple(self._collection.entries), mean, weight, signatures)

    @property
    def share_sums(self) -> dict[int, bytes]:
        """Member index -> its sum of key shares, of the answers for the last set."""
        return {j: answer.share_sum.to_bytes() for j, answer in self._answers.items()}

    def erase(self) -> None:
        """Forget the answers: together they are the key of the sum."""
        self._answers.clear()

    # -- after a crash ----------------------------------------------------------------------------

    @property
    def heard(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Members whose check, and members whose answer for the last set is here."""
        return tuple(sorted(self._complaints)), tuple(sorted(self._answers))

    def replay(self, step: Step) -> None:
        """Take a step again that was noted by a process that is no more.

        Raises:
            StoreError: The set that it led to is not the one that was fixed then.
            SottovoceError: It cannot have been noted.
        """
        if step.kind is StepKind.CLOSED:
            self._take_set(self._fixed(), self._everybody)
        elif step.kind is StepKind.CHECK:
            self._take_check(step.member, self._read_check(step.data))
        elif step.kind is StepKind.SETTLED:
            # Settled with no member heard: it was closed so, and there was nothing to decide.
            decision = self._decide() if self._complaints else _NOBODY
            for pid in decision.gone:
                self._collection.drop(self._collection.update(pid))
            self._take_decision(decision, self._fixed(), self._content())
        elif step.kind is StepKind.ANSWER:
            answer = Answer.from_bytes(step.data, self._header, step.member)
            if answer.agreed != self.agreed:
                raise self._of_another_set()
            self._answers[step.member] = answer
        elif step.kind is StepKind.OPENED and self.agreed is not None:
            self.opened = self._open(self.agreed)[0]
        if step.kind in (StepKind.CLOSED, StepKind.SETTLED) and (
            self.agreed is None or step.data != _fixed_text(self.agreed)
        ):
            raise StoreError("aggregator's store: what it holds is not the set that was fixed")

    def _note(self, kind: StepKind, member: int = 0, data: bytes = b"") -> None:
        self._store.note(self._header.hash, Step(kind, member, data))

    def _from_members(self, role: str, messages: Mapping[int, bytes]) -> dict[int, bytes | SottovoceError]:
        """The plaintext of what each member has sent, or what is wrong with it; opened as one batch."""
        header = self._header
        for index in messages:
            expect("index", index, int)
            if not 1 <= index <= len(header.members):
                raise ProtocolError(Reason.NOT_MEMBER, round_id=header.hash)
        results = clsc.unsigncrypt_batch(
            list(messages.values()),
            receiver=self._keys.decrypt,
            trust=self._trust,
            ad=[associated_data(header.hash, role, index) for index in messages],
        )
        return {i: self._of_member(i, result) for i, result in zip(messages, results, strict=True)}

    def _of_member(self, index: int, result: clsc.Opened | SottovoceError) -> bytes | SottovoceError:
        if not isinstance(result, clsc.Opened):
            return result
        if result.sender != self._header.members[index - 1].sign:
            return ProtocolError(Reason.NOT_MEMBER, "another signer", round_id=self._header.hash)
        return result.plaintext


def _fixed_text(agreed: ContributorSet) -> bytes:
    """What a step keeps of a set: all that members will be bound to."""
    return agreed.root + agreed.sum_digest
