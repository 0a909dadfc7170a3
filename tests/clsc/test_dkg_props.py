"""Key generation under random faults, and its messages under random bytes."""

import contextlib
import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.clsc import DecodeError, DkgError, DkgPublic, comb, group
from sottovoce.clsc.dkg_messages import (
    Commit,
    Complaints,
    Confirm,
    Justifications,
    PrivateShare,
    Reveal,
)
from support.clsc_dkg import (
    KINDS,
    Net,
    accuse,
    check_issuing,
    master_secret,
    one_public,
    other_transcript,
    participants,
    run,
    session,
    share_off_by_one,
    silent,
    wrong_justification,
)

R = group.ORDER
CLASSES = (Commit, Reveal, PrivateShare, Complaints, Justifications, Confirm)

# -- random faults --------------------------------------------------------------------------------


def _twice(change):
    """The honest message and another one, in this order: everybody keeps the first."""
    return lambda data: [data, change(data)]


def _flip(at):
    return lambda data: (
        data[: at % len(data)] + bytes([data[at % len(data)] ^ 1]) + data[at % len(data) + 1 :]
    )


def _steps(n):
    return [*KINDS, *(f"share {j}" for j in range(1, n + 1))]


@st.composite
def faulty_runs(draw):
    """A session, and at most min(t - 1, n - t) servers that do anything at all."""
    t, n = draw(st.sampled_from([(2, 3), (3, 4), (3, 5), (4, 6)]))
    servers = draw(st.sets(st.integers(1, n), max_size=min(t - 1, n - t)))
    faults = {}
    for i in sorted(servers):
        others = [j for j in range(1, n + 1) if j != i]
        for step in draw(st.sets(st.sampled_from(_steps(n)), min_size=1, max_size=4)):
            changes = [
                silent,
                _flip(draw(st.integers(0, 400))),
                lambda data: data[:-1],
                lambda data: [data] * 2,
            ]
            if step.startswith("share"):
                changes += [share_off_by_one, share_off_by_one, _twice(share_off_by_one)]
            elif step == "complain":
                lie = accuse(*draw(st.sets(st.sampled_from(others))))
                changes += [lie, lie, _twice(lie)]
            elif step == "justify":
                changes += [wrong_justification, wrong_justification]
            elif step == "confirm":
                changes.append(other_transcript)
            faults[i, step] = draw(st.sampled_from(changes))
    return t, n, faults, draw(st.integers(0, 1 << 20))


@given(faulty_runs())
@settings(max_examples=60, deadline=None)
def test_honest_servers_agree_whatever_the_others_do(case):
    t, n, faults, seed = case
    results, net = run(session(t, n), faults, seed=f"props {seed}")
    honest = {i for i in range(1, n + 1) if not net.faulty(i)}
    assert set(results) == honest
    public = one_public(results)
    assert honest <= set(public.qualified)
    assert len(public.qualified) >= t
    check_issuing(results, t)
    # The secret of every qualified server counts, and nothing else.
    fresh = participants(session(t, n), seed=f"props {seed}")
    total = sum(fresh[i]._f[0] for i in public.qualified)
    assert comb.p2_mul(total % R).to_compressed_bytes() == public.Y
    assert (master_secret(results, t) - total) % R == 0
    # No honest server published a share that a faulty one did not have already.
    for step, i, data in net.sent:
        if step == "justify" and i in honest:
            receivers = {j for j, _ in Justifications.from_bytes(data).shares}
            wronged = {j for j in honest if f"share {i}" in faults}
            assert not receivers & (honest - wronged)


@given(st.permutations(range(1, 6)), st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_order_of_arrival_does_not_matter(order, random):
    at = session()

    class Shuffled(Net):
        def broadcast(self, step, messages):
            for party in self.parties.values():
                items = list(messages.items()) * 2
                random.shuffle(items)
                for i, data in items:
                    party.receive(i, data)

    parties = participants(at)
    results = Shuffled({i: parties[i] for i in order}).run()
    assert one_public(results) == _reference()


@functools.cache
def _reference():
    return one_public(run(session())[0])


# -- messages -------------------------------------------------------------------------------------


@functools.cache
def samples():
    """One message of each kind from a run with a complaint, by class."""
    at = session()
    shares = []

    def off(data):
        shares.append(share_off_by_one(data))
        return shares[-1]

    _, net = run(at, {(2, "share 4"): off, (2, "share 5"): off})
    found = {PrivateShare: shares[0]}
    for step, _, data in net.sent:
        kind = KINDS.get(step)
        if kind and len(data) >= len(found.get(kind, b"")):
            found[kind] = data
    return {cls: found[cls] for cls in CLASSES}


BYTES = {
    Commit: 67,
    Reveal: 163 + 96 * 3,
    PrivateShare: 68,
    Complaints: 37,
    Justifications: 36 + 66,
    Confirm: 67,
}


@pytest.mark.parametrize("cls", CLASSES)
def test_message_round_trip(cls):
    data = samples()[cls]
    assert len(data) == BYTES[cls]
    message = cls.from_bytes(data)
    assert message.to_bytes() == data
    assert cls.from_bytes(message.to_bytes()) == message
    assert message.session == session().id
    with pytest.raises(AttributeError):
        message.sender = 3
    for wrong in (None, data.hex(), bytearray(data), 5):
        with pytest.raises(TypeError):
            cls.from_bytes(wrong)


def _cases(cls):
    data = samples()[cls]
    yield "empty", b""
    yield "head only", data[:35]
    yield "head cut", data[:34]
    yield "one byte less", data[:-1]
    yield "one byte more", data + b"\0"
    yield "suite", bytes([2]) + data[1:]
    yield "kind", data[:1] + bytes([data[1] % 6 + 1]) + data[2:]
    yield "sender 0", data[:34] + b"\0" + data[35:]
    yield "sender 65", data[:34] + b"\x41" + data[35:]
    if cls is Reveal:
        identity, zero = b"\xc0" + bytes(95), bytes(32)
        for at in (35, 131, 227, 323):
            yield f"identity at {at}", data[:at] + identity + data[at + 96 :]
            yield f"without flag at {at}", data[:at] + bytes([data[at] & 0x7F]) + data[at + 1 :]
            yield f"infinity flag at {at}", data[:at] + bytes([data[at] | 0x40]) + data[at + 1 :]
        yield "z is zero", data[:-32] + zero
        yield "z is r", data[:-32] + R.to_bytes(32, "big")
        yield "no commitments", data[:35] + data[-128:]
        yield "65 commitments", data[:35] + data[35:131] * 65 + data[-128:]
    if cls is PrivateShare:
        yield "zero", data[:36] + bytes(32)
        yield "r", data[:36] + R.to_bytes(32, "big")
        yield "all ones", data[:36] + b"\xff" * 32
        yield "receiver 0", data[:35] + b"\0" + data[36:]
        yield "receiver 65", data[:35] + b"\x41" + data[36:]
    if cls is Complaints:
        head = data[:35]
        for name, tail in {
            "count": [2, 1], "count 0": [0, 1], "descending": [2, 3, 1], "twice": [2, 3, 3], "zero": [1, 0],
            "65": [1, 65], "itself": [1, data[34]],
        }.items():  # fmt: skip
            yield name, head + bytes(tail)
    if cls is Justifications:
        head, one, two = data[:35], data[36:69], data[69:102]
        yield "descending", head + b"\2" + two + one
        yield "twice", head + b"\2" + one + one
        yield "count", head + b"\1" + one + two
        yield "itself", head + b"\1" + data[34:35] + one[1:]
        yield "receiver 0", head + b"\1\0" + one[1:]
        yield "receiver 65", head + b"\1\x41" + one[1:]
        yield "zero", head + b"\1" + one[:1] + bytes(32)
        yield "r", head + b"\1" + one[:1] + R.to_bytes(32, "big")


@pytest.mark.parametrize("cls", CLASSES)
def test_messages_that_are_not_canonical_are_refused(cls):
    for name, data in _cases(cls):
        with pytest.raises(DecodeError) as caught:
            cls.from_bytes(data)
        assert str(caught.value).startswith(cls.NAME), name
        assert caught.value.__context__ is None


@given(st.sampled_from(CLASSES), st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_read_is_canonical(cls, data):
    """Flipped, cut and extended messages: refused, or the same bytes come out again."""
    value = bytearray(samples()[cls])
    for _ in range(data.draw(st.integers(1, 3))):
        kind = data.draw(st.sampled_from(["flip", "cut", "extend", "set"]))
        at = data.draw(st.integers(0, max(len(value) - 1, 0)))
        if kind == "cut":
            del value[at:]
        elif kind == "extend":
            value += data.draw(st.binary(max_size=40))
        elif value:
            value[at] = value[at] ^ 1 << data.draw(st.integers(0, 7)) if kind == "flip" else data.draw(
                st.integers(0, 255)
            )  # fmt: skip
    value = bytes(value)
    try:
        message = cls.from_bytes(value)
    except DecodeError:
        return
    assert message.to_bytes() == value


@given(st.binary(max_size=200), st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_random_bytes_raise_only_what_is_documented(tail, kind):
    party = participants(session(2, 3))[1]
    for data in (tail, bytes([1, kind]) + tail, bytes([1, kind]) + session(2, 3).id + tail):
        for take in (party.receive, party.receive_private):
            with contextlib.suppress(DecodeError, DkgError):
                take(2, data)
        party.reveal()
        for cls in CLASSES:
            with contextlib.suppress(DecodeError):
                assert cls.from_bytes(data).to_bytes() == data
        with pytest.raises(DecodeError):
            DkgPublic.from_bytes(data, session(2, 3))
