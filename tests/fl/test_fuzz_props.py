"""Bytes from outside: refused with the documented exception, without a trace, or read back exactly.

Truncated, extended, altered and foreign input for every decoder and every role method that takes bytes;
absurdly large input; and messages that are properly signed but hold anything.
"""

import time
from dataclasses import dataclass, replace

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce import clsc, he
from sottovoce._ext.enc import enc
from sottovoce._ext.errors import SottovoceError
from sottovoce.fl import (
    Answer,
    CheckReply,
    CloseRequest,
    Conviction,
    Manifest,
    MemberShare,
    ProtocolError,
    Removal,
    RoundHeader,
    RoundResult,
    SignedHeader,
    Update,
)
from sottovoce.fl import Sealed as OneSealed
from sottovoce.fl.closing import _TAG_RESULT
from sottovoce.fl.request import _TAG_CLOSE
from sottovoce.fl.wire import associated_data, open_body, sign_body, split, split_exactly
from support.fl_federation import MODEL, craft, snapshot, update_of

# One of each ---------------------------------------------------------------------------------------


@dataclass
class Stage:
    """One of every message, and the roles in every state, fed with all that is good."""

    messages: dict
    collecting: object
    closing: object
    answering: object
    members: dict
    requests: dict
    result: object


@pytest.fixture(scope="module")
def stage(fed, sealed):
    header = sealed.header
    members = sealed.members()
    closing, answering = sealed.aggregator(), sealed.aggregator()
    requests = closing.close()
    answering.close()
    checks = {j: members[j].check(sealed.signed, requests[j]) for j in members}
    answers = {j: members[j].answer(sealed.signed, requests[j]) for j in members}
    for j in members:
        answering.receive_check(j, checks[j])
    answering.settle()
    done = sealed.aggregator()
    done.close()
    for j in members:
        done.receive_check(j, checks[j])
    done.settle()
    for j in members:
        done.receive_answer(j, answers[j])
    result = done.open()
    for j in (1, 2, 3):
        closing.receive_check(j, checks[j])
        answering.receive_answer(j, answers[j])
    opened_answer = clsc.unsigncrypt(
        answers[4],
        receiver=fed.aggregator_keys.decrypt,
        trust=fed.trust(),
        ad=associated_data(header.hash, "answer", 4),
    )
    share = clsc.unsigncrypt(
        sealed.update(0).member_packets[0],
        receiver=fed.member_keys[0].decrypt,
        trust=fed.trust(),
        ad=associated_data(header.hash, "share", 1),
    )
    late = craft(fed, header, fed.client_keys[7])[0]
    _, cheat = craft(fed, header, fed.client_keys[8], bad_for=[4])
    conviction = Conviction.make(
        header,
        4,
        cheat.member_packets[3],
        cheat.manifest,
        receiver=fed.member_keys[3].decrypt,
        trust=fed.trust(),
    )
    named = tuple(sorted([*fed.pids[:3], conviction.pid]))
    asked = CloseRequest.from_bytes(requests[4], header, 4)
    again = replace(asked, removals=((Removal(cheat.manifest.digest, conviction),),))
    messages = {
        "header": header.to_bytes(),
        "signed header": sealed.signed,
        "proposal": SignedHeader.propose(header, fed.aggregator_keys).to_bytes(),
        "packet": late,
        "shard": OneSealed(header, late).shards()[0],
        "update": sealed.update(0).to_bytes(),
        "manifest": sealed.update(0).manifest.to_bytes(),
        "member packet": sealed.update(0).member_packets[0],
        "member share": share.plaintext,
        "request": requests[4],
        "check": checks[4],
        "check plain": CheckReply(closing._settlement.agreed.root, named, (conviction,)).to_bytes(),
        "conviction": conviction.to_bytes(),
        "request again": again.to_bytes(header, 4, fed.aggregator_keys),
        "answer": answers[4],
        "answer plain": opened_answer.plaintext,
        "result": done.publish(result),
        "layout": header.layout.to_bytes(),
    }
    return Stage(messages, sealed.aggregator(), closing, answering, members, requests, result)


def damaged(data, foreign=b""):
    """Strategies for bytes that are nearly ``data``, or made of two messages, or of nothing."""
    size = len(data)
    positions = st.integers(0, size - 1)

    def flip(at, bit):
        return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]

    def spliced(at, other_at):
        return data[:at] + foreign[other_at:]

    # The first bytes hold structure (tags, lengths, versions): hit them as often as the rest.
    near = st.one_of(positions, st.integers(0, min(size, 200) - 1))
    return st.one_of(
        st.builds(flip, near, st.integers(0, 7)),
        near.map(lambda n: data[:n]),
        st.binary(min_size=1, max_size=40).map(lambda extra: data + extra),
        st.builds(lambda at, piece: data[:at] + piece + data[at:], near, st.binary(min_size=1, max_size=9)),
        st.builds(lambda at, n: data[:at] + data[at + n :], near, st.integers(1, 64)),
        st.builds(lambda at, piece: data[:at] + piece + data[at + len(piece) :], near, st.binary(max_size=9)),
        st.builds(spliced, positions, st.integers(0, max(len(foreign) - 1, 0))),
        st.binary(max_size=300),
    )


def attempt(call, data):
    """``(result, None)`` or ``(None, the documented error)``; any other exception is a failure."""
    try:
        return call(data), None
    except SottovoceError as error:
        return None, error


def decoders(fed, sealed):
    """Name of a message -> (its decoder, back to bytes)."""
    header, trust = sealed.header, fed.trust()
    plain = lambda parsed: parsed.to_bytes()  # noqa: E731
    return {
        "header": (lambda d: RoundHeader.from_bytes(d, trust), plain),
        "signed header": (lambda d: SignedHeader.from_bytes(d, trust), plain),
        "proposal": (lambda d: SignedHeader.from_bytes(d, trust, proposal=True), plain),
        "update": (lambda d: Update.from_bytes(d, header), plain),
        "manifest": (lambda d: Manifest.from_bytes(d, header), plain),
        "member share": (lambda d: MemberShare.from_bytes(d, header, 1), plain),
        "check plain": (lambda d: CheckReply.from_bytes(d, header), plain),
        "answer plain": (lambda d: Answer.from_bytes(d, header, 4), plain),
        "conviction": (lambda d: Conviction.from_bytes(d, header), plain),
        "request": (lambda d: CloseRequest.from_bytes(d, header, 4), None),
        "request again": (lambda d: CloseRequest.from_bytes(d, header, 4), None),
        "result": (lambda d: RoundResult.from_bytes(d, header), None),
        "layout": (he.ModelLayout.from_bytes, plain),
    }


DECODERS = [
    "header",
    "signed header",
    "proposal",
    "update",
    "manifest",
    "member share",
    "check plain",
    "answer plain",
    "conviction",
    "request",
    "request again",
    "result",
    "layout",
]
KINDS = [*DECODERS, "packet", "shard", "member packet", "check", "answer"]


class TestDecoders:
    @pytest.mark.parametrize("name", DECODERS)
    def test_reads_what_was_written(self, fed, sealed, stage, name):
        decode, back = decoders(fed, sealed)[name]
        parsed = decode(stage.messages[name])
        if back is not None:
            assert back(parsed) == stage.messages[name]

    @pytest.mark.parametrize("name", DECODERS)
    def test_damaged_input_is_refused_or_read_back_exactly(self, fed, sealed, stage, name):
        decode, back = decoders(fed, sealed)[name]
        data = stage.messages[name]

        @given(damaged(data, stage.messages["manifest"]))
        def run(changed):
            parsed, error = attempt(decode, changed)
            if error is not None:
                assert error.__cause__ is None
                return
            # Whatever is signed as a whole has no second form at all.
            assert back is not None or changed == data
            assert back is None or back(parsed) == changed

        run()

    @pytest.mark.parametrize("name", DECODERS)
    def test_valid_messages_of_another_kind_are_refused(self, fed, sealed, stage, name):
        decode, _ = decoders(fed, sealed)[name]
        akin = {
            "signed header": {"signed header"},
            "proposal": {"proposal", "signed header"},
            "request": {"request", "request again"},
            "request again": {"request", "request again"},
        }
        for kind, message in stage.messages.items():
            if kind not in akin.get(name, {name}):
                with pytest.raises(SottovoceError):
                    decode(message)

    @pytest.mark.parametrize("name", DECODERS)
    @pytest.mark.parametrize("thing", [None, "text", bytearray(8), memoryview(b"12345678"), 8, [b"x"]])
    def test_only_bytes_are_bytes(self, fed, sealed, name, thing):
        with pytest.raises(TypeError):
            decoders(fed, sealed)[name][0](thing)


MEGA = 1 << 24
ABSURD = {
    "zeros": lambda: bytes(MEGA),
    "ones": lambda: b"\xff" * MEGA,
    "byte string of 2**63": lambda: b"\x5b\x7f" + b"\xff" * 7,
    "map of 2**64 - 1": lambda: b"\xbb" + b"\xff" * 8,
    "array of 2**32 - 1": lambda: b"\x9a" + b"\xff" * 4 + bytes(1000),
    "indefinite map": lambda: b"\xbf" + b"\xff" * 1000,
    "a million nested arrays": lambda: b"\x81" * (1 << 20) + b"\x00",
    "16 million small integers": lambda: b"\x9a" + (MEGA - 5).to_bytes(4, "big") + bytes(MEGA - 5),
    "fields of 4 GiB": lambda: b"\xff\xff\xff\xff" * 100,
    "a million empty fields": lambda: bytes(4 << 20),
    "16 MiB field": lambda: enc(bytes(MEGA)),
    "packet that claims 2**63 bytes": lambda: (
        b"SVS\x01\x01\x01" + bytes(176) + bytes(80) + b"\x7f" + b"\xff" * 7
    ),
}


def entries(fed, sealed, stage):
    """Every role method that takes bytes from outside: name -> call."""
    member, client = stage.members[4], sealed.clients[0]
    return {
        "receive_shard": lambda d: stage.collecting.receive_shard(d),
        "receive_packet": lambda d: (stage.collecting.receive_packet(d), stage.collecting.process()),
        "receive_check": lambda d: stage.closing.receive_check(4, d),
        "receive_answer": lambda d: stage.answering.receive_answer(4, d),
        "cosign": lambda d: member.cosign(d),
        "check: header": lambda d: member.check(d, stage.requests[4]),
        "check: request": lambda d: member.check(sealed.signed, d),
        "answer: header": lambda d: member.answer(d, stage.requests[4]),
        "answer: request": lambda d: member.answer(sealed.signed, d),
        "seal": lambda d: fed_client(fed).seal(d, MODEL, update_of(9)),
        "client check": lambda d: client.check(d),
        "read_result: header": lambda d: client.read_result(d, stage.messages["result"]),
        "read_result": lambda d: client.read_result(sealed.signed, d),
        "aggregator": lambda d: fed.aggregator(d),
    }


_CLIENT = []


def fed_client(fed):
    if not _CLIENT:
        _CLIENT.append(fed.client(9))
    return _CLIENT[0]


# Entry -> the message that it is meant for.
MEANT = {
    "receive_shard": "shard",
    "receive_packet": "packet",
    "receive_check": "check",
    "receive_answer": "answer",
    "cosign": "proposal",
    "check: header": "signed header",
    "check: request": "request",
    "answer: header": "signed header",
    "answer: request": "request",
    "seal": "signed header",
    "client check": "signed header",
    "read_result: header": "signed header",
    "read_result": "result",
    "aggregator": "signed header",
}
QUIET = {"receive_shard", "receive_packet"}  # count what they refuse


def state_of(fed, sealed, stage):
    member = stage.members[4]._store
    return (
        snapshot(stage.collecting),
        snapshot(stage.closing),
        snapshot(stage.answering),
        dict(member._headers),
        dict(member._bindings),
        dict(member._answers),
        dict(fed_client(fed)._outbox._sent),
        [dict(client._outbox._sent) for client in sealed.clients],
    )


class TestRoles:
    def refuses(self, fed, sealed, stage, name, data):
        before = state_of(fed, sealed, stage)
        call = entries(fed, sealed, stage)[name]
        _, error = attempt(call, data)
        if name in QUIET:
            assert error is None or isinstance(error, ProtocolError)
        else:
            assert error is not None
        assert error is None or error.__cause__ is None
        assert state_of(fed, sealed, stage) == before

    @pytest.mark.parametrize("name", MEANT)
    def test_damaged_messages_are_refused_and_change_nothing(self, fed, sealed, stage, name):
        data = stage.messages[MEANT[name]]

        @given(damaged(data, stage.messages["manifest"]).filter(lambda d: d != data))
        def run(changed):
            self.refuses(fed, sealed, stage, name, changed)

        run()

    @pytest.mark.parametrize("name", MEANT)
    def test_messages_of_another_kind_are_refused_and_change_nothing(self, fed, sealed, stage, name):
        akin = {MEANT[name], "signed header"} if name == "cosign" else {MEANT[name]}
        akin |= {"request again"} if MEANT[name] == "request" else set()
        for kind, message in stage.messages.items():
            if kind not in akin:
                self.refuses(fed, sealed, stage, name, message)

    @pytest.mark.parametrize("case", ABSURD)
    def test_absurd_input_is_refused_soon_and_changes_nothing(self, fed, sealed, stage, case):
        data = ABSURD[case]()
        start = time.perf_counter()
        for name in MEANT:
            self.refuses(fed, sealed, stage, name, data)
        for name, (decode, _) in decoders(fed, sealed).items():
            if name != "layout":  # read only inside a header, which is bounded
                with pytest.raises(SottovoceError):
                    decode(data)
        # A scanner that walks over everything claimed takes some seconds for each.
        assert time.perf_counter() - start < 10

    def test_after_all_of_it_the_rounds_still_finish_exactly(self, sealed, stage):
        """Runs last in this class, on the very objects that were fed with everything above."""
        aggregator = stage.closing
        for j in (4, 5):
            aggregator.receive_check(j, stage.members[j].check(sealed.signed, stage.requests[j]))
        final = aggregator.settle()
        for j in final:
            aggregator.receive_answer(j, stage.members[j].answer(sealed.signed, final[j]))
        aggregator.open()
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
        other = stage.answering
        for j in (4, 5):
            other.receive_answer(j, stage.members[j].answer(sealed.signed, stage.requests[j]))
        other.open()
        assert np.array_equal(other.opened_sum, aggregator.opened_sum)
        assert stage.collecting.accepted == tuple(sorted(sealed.pids))
        stage.collecting.close()


# Signed, but of any content ----------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**64), 2**64 - 1),
        st.floats(),
        st.binary(max_size=40),
        st.text(max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def with_any_field(fields):
    """The map with one field replaced by anything, left out, or added."""
    names = st.sampled_from(sorted(fields))
    return st.one_of(
        st.builds(lambda name, value: {**fields, name: value}, names, ANYTHING),
        names.map(lambda name: {k: v for k, v in fields.items() if k != name}),
        st.builds(lambda name, value: {**fields, name: value}, st.text(max_size=8), ANYTHING),
    )


class TestSignedAnything:
    def test_header(self, fed, sealed):
        fields = cbor2.loads(sealed.header.to_bytes())
        trust = fed.trust()

        @given(with_any_field(fields))
        def run(changed):
            data = cbor2.dumps(changed, canonical=True)
            try:
                header = RoundHeader.from_bytes(data, trust)
            except SottovoceError:
                return
            assert header.to_bytes() == data
            assert changed.keys() == fields.keys()

        run()

    def test_signed_header(self, fed, sealed):
        fields = cbor2.loads(sealed.signed)

        @given(with_any_field(fields))
        def run(changed):
            data = cbor2.dumps(changed, canonical=True)
            try:
                SignedHeader.from_bytes(data, fed.trust())
            except SottovoceError:
                return
            assert data == sealed.signed

        run()

    def test_close_request(self, fed, sealed, stage):
        key, header = fed.aggregator_keys, sealed.header
        envelope, *parts = split(stage.requests[4], max_fields=100)
        fields = cbor2.loads(open_body(envelope, key.public.sign, _TAG_CLOSE, 4))

        @given(with_any_field(fields))
        def run(changed):
            body = cbor2.dumps(changed, canonical=True)
            data = enc(sign_body(key.sign, _TAG_CLOSE, body, 4), *parts)
            try:
                request = CloseRequest.from_bytes(data, header, 4)
            except SottovoceError:
                return
            # The digest of the sum is the one thing that a member cannot know.
            assert {**changed, "sum": b""} == {**fields, "sum": b""}
            assert request.agreed.sum_digest == changed["sum"]

        run()

    def test_result(self, fed, sealed, stage):
        key, header = fed.aggregator_keys, sealed.header
        envelope, listed, mean = split_exactly(stage.messages["result"], 3)
        fields = cbor2.loads(open_body(envelope, key.public.sign, _TAG_RESULT))

        @given(with_any_field(fields))
        def run(changed):
            body = cbor2.dumps(changed, canonical=True)
            data = enc(sign_body(key.sign, _TAG_RESULT, body), listed, mean)
            try:
                result = RoundResult.from_bytes(data, header)
            except SottovoceError:
                return
            assert {**changed, "weight": 0} == {**fields, "weight": 0}
            assert 6 <= result.total_weight <= 6 * (2**15 - 1)

        run()

    def test_check(self, sealed, stage):
        body, shown = split_exactly(stage.messages["check plain"], 2)
        fields = cbor2.loads(body)

        @given(with_any_field(fields))
        def run(changed):
            data = enc(cbor2.dumps(changed, canonical=True), shown)
            try:
                check = CheckReply.from_bytes(data, sealed.header)
            except SottovoceError:
                return
            assert check.to_bytes() == data
            assert len(set(check.bad)) == len(check.bad)

        run()
