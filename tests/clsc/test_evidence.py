"""Evidence and its judge: what each strength shows, of packets in memory and in files."""

import io
import pickle
import tracemalloc

import pytest
from py_ecc.fields import optimized_bls12_381_FQ

from sottovoce._ext.padme import padme
from sottovoce.clsc import (
    DecodeError,
    Evidence,
    EvidenceError,
    Mode,
    ParameterError,
    SenderError,
    SignatureError,
    Strength,
    UnsigncryptError,
    judge,
    make_evidence,
    signcrypt,
    unsigncrypt,
)
from support.clsc_attacker import CoReceiver
from support.clsc_evidence import ALL, fields_of, flip, forged, same_everywhere, sealed
from support.clsc_world import NOT_AFTER, World

AD = b"round 1"
TEXT = b"I owe bob 5"
MIB = 1 << 20
FIELD_MODULUS = optimized_bls12_381_FQ.field_modulus


@pytest.fixture
def data(world):
    return sealed(world)


def evidence_of(world, data, strength=Strength.ADDRESSED, name="bob", ad=AD):
    return make_evidence(data, receiver=world.receiver(name), trust=world.trust, ad=ad, strength=strength)


def left_behind(error):
    """The frames of the package that an exception has passed, innermost included."""
    tb = error.__traceback__
    while tb:
        if tb.tb_frame.f_globals["__name__"].startswith("sottovoce."):
            yield tb.tb_frame
        tb = tb.tb_next


@pytest.mark.parametrize("strength", ALL)
@pytest.mark.parametrize("mode", Mode)
def test_a_judge_with_the_root_key_alone_sees_what_was_shown(world, mode, strength):
    sender, receiver = world.signer("s", mode), world.receiver("r", mode)
    packet = signcrypt(TEXT, sender=sender, receivers=[receiver.public_key], ad=AD, pad=True, dummy_slots=2)
    evidence = make_evidence(packet, receiver=receiver, trust=world.trust, ad=AD, strength=strength)
    opened = unsigncrypt(packet, receiver=receiver, trust=world.trust, ad=AD)
    # Only bytes travel.
    verdict = judge(Evidence.from_bytes(evidence.to_bytes()), world.root.public_key, packet=packet)
    assert verdict.strength is evidence.strength is strength
    assert (verdict.sender, verdict.mode, verdict.packet_id) == (sender.public_key, mode, opened.packet_id)
    assert (verdict.ad, verdict.plaintext_bytes) == (AD, len(TEXT))
    assert verdict.plaintext == (None if strength is Strength.SIGNED else TEXT)
    assert verdict.addressee == (receiver.public_key if strength is Strength.ADDRESSED else None)


def test_stronger_evidence_contains_the_weaker(world, data):
    made = {strength: evidence_of(world, data, strength) for strength in ALL}
    strongest = made[Strength.ADDRESSED]
    for strength in ALL:
        weak = strongest.weakened(strength)
        assert weak == made[strength]
        assert weak.strength is strength
        assert same_everywhere(weak, strongest)
        assert judge(weak, world.root.public_key, packet=data).strength is strength
    with pytest.raises(ParameterError, match="at most SIGNED"):
        made[Strength.SIGNED].weakened(Strength.CONTENT)
    with pytest.raises(TypeError):
        strongest.weakened(1)


def test_weak_evidence_holds_nothing_that_opens(world, data):
    insider = CoReceiver(data, world.receiver("bob"), AD)
    strong = fields_of(evidence_of(world, data))
    assert strong["cek"] == insider.cek
    signed = evidence_of(world, data, Strength.SIGNED).to_bytes()
    content = evidence_of(world, data, Strength.CONTENT).to_bytes()
    for secret in (insider.cek, insider.k_head, insider.k_body, TEXT):
        assert secret not in signed
    for secret in (strong["T"], strong["S"], world.receiver("bob").public_key.X):
        assert secret not in signed
        assert secret not in content
    for key in (world.receiver("bob"), world.receiver("carol")):  # never a long-term secret
        for secret in (key._x.to_bytes(32, "big"), key._d_bytes):
            assert secret not in evidence_of(world, data).to_bytes()


@pytest.mark.parametrize("strength", ALL)
def test_without_the_packet_only_the_signature_is_judged(world, data, strength):
    verdict = judge(evidence_of(world, data, strength), world.root.public_key)
    assert verdict.strength is Strength.SIGNED
    assert (verdict.plaintext, verdict.addressee) == (None, None)
    assert (verdict.sender, verdict.plaintext_bytes) == (world.signer().public_key, len(TEXT))


def test_encoding_and_its_length(world, data):
    bob = world.receiver("bob")
    signed = 507 + len(world.params[Mode.IDENTITY].to_bytes()) + len(b"alice") + 2 * 80 + len(AD) + 32
    lengths = [signed, signed + 36, signed + 36 + 692 + len(bob.params.to_bytes()) + len(b"bob")]
    for strength, n_bytes in zip(ALL, lengths, strict=True):
        evidence = evidence_of(world, data, strength)
        encoded = evidence.to_bytes()
        assert len(encoded) == n_bytes
        again = Evidence.from_bytes(encoded)
        assert again == evidence
        assert again.to_bytes() == encoded
        assert hash(again) == hash(evidence)
        assert forged(evidence) == encoded
    assert evidence != encoded


def test_fields_without_number_are_not_collected(world, data):
    with pytest.raises(DecodeError, match="too many fields"):
        Evidence.from_bytes(evidence_of(world, data).to_bytes() + bytes(4_000_000))


def test_coefficients_of_T_end_below_p(world, data):
    evidence = evidence_of(world, data)
    T = fields_of(evidence)["T"]
    for i in (0, 1, 11):
        for value in (FIELD_MODULUS - 1, FIELD_MODULUS):
            changed = T[: 48 * i] + value.to_bytes(48, "little") + T[48 * i + 48 :]
            if value < FIELD_MODULUS:
                Evidence.from_bytes(forged(evidence, T=changed))
            else:
                with pytest.raises(DecodeError, match="T is not"):
                    Evidence.from_bytes(forged(evidence, T=changed))


def test_evidence_is_immutable_and_shows_no_key(world, data):
    evidence = evidence_of(world, data)
    secrets = [fields_of(evidence)[name] for name in ("cek", "T", "S")]
    for shown in (
        repr(evidence),
        repr(evidence._addressee),
        repr(judge(evidence, world.root.public_key, packet=data)),
    ):
        assert len(shown) < 600
        assert not any(s.hex()[:16] in shown or repr(s)[2:-1] in shown for s in [*secrets, TEXT])
    with pytest.raises(AttributeError):
        evidence.ad = b"x"
    with pytest.raises(AttributeError):
        del evidence.ad
    with pytest.raises(AttributeError):
        evidence.new = 1
    assert pickle.loads(pickle.dumps(evidence)) == evidence
    assert repr(object.__new__(Evidence)) == "Evidence(not made)"


def test_make_evidence_refuses_as_unsigncrypt_does(world, data):
    bob, trust = world.receiver("bob"), world.trust
    insider = CoReceiver(data, bob, AD)
    revoking = world.new_trust()
    revoking.revoke(world.signer().public_key.pid)
    first = [
        (data, world.receiver("mallory"), trust, AD), (data, bob, trust, b""), (b"", bob, trust, AD),
        (data[:-1], bob, trust, AD), (flip(data, len(data) - 400), bob, trust, AD),
        (flip(data, 200), bob, trust, AD), (flip(data, 150), bob, trust, AD),
    ]  # fmt: skip
    second = [
        (data, bob, revoking, AD), (data, bob, world.new_trust(NOT_AFTER + 10_000), AD),
        (insider.rewrite(signature=bytes(176), ad=AD), bob, trust, AD),
        (insider.rewrite(plaintext_bytes=4, ad=AD), bob, trust, AD),
        (insider.rewrite(body=b"pay mallory", ad=AD), bob, trust, AD),
    ]  # fmt: skip
    for expected, cases in ((UnsigncryptError, first), (SenderError, second)):
        for value, receiver, store, ad in cases:
            with pytest.raises(expected) as as_evidence:
                make_evidence(value, receiver=receiver, trust=store, ad=ad, strength=Strength.ADDRESSED)
            with pytest.raises(expected) as as_text:
                unsigncrypt(value, receiver=receiver, trust=store, ad=ad)
            a, b = as_evidence.value, as_text.value
            assert (type(a), a.args) == (type(b), b.args)
            assert a.__cause__ is a.__context__ is None


def test_wrong_types(world, data):
    bob, root = world.receiver("bob"), world.root.public_key
    evidence = evidence_of(world, data)
    for change in (
        {"packet": 5}, {"receiver": bob.public_key}, {"trust": None}, {"ad": "x"}, {"strength": 1},
        {"packet": bytearray(data)},
    ):  # fmt: skip
        arguments = {"packet": data, "receiver": bob, "trust": world.trust, "ad": AD, **change}
        packet = arguments.pop("packet")
        with pytest.raises(TypeError):
            make_evidence(packet, **arguments)
    with pytest.raises(ParameterError, match="usage decrypt"):
        make_evidence(data, receiver=world.signer(), trust=world.trust, ad=AD)
    for positional, named in (
        ((evidence.to_bytes(), root), {}), ((evidence, root.hex()), {}), ((evidence, root), {"packet": 1}),
        ((evidence, root), {"packet": data, "target": "out"}), ((evidence, root), {"addressee_root": 1}),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            judge(*positional, **named)
    for named in ({"root_public_key": root[:-1]}, {"root_public_key": root, "addressee_root": b""}):
        with pytest.raises(ParameterError, match="32 bytes"):
            judge(evidence, **named)
    with pytest.raises(TypeError):
        Evidence.from_bytes(bytearray(evidence.to_bytes()))


# -- files ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_text():
    return b"".join(bytes([i]) * MIB for i in range(1, 4)) + b"end"


@pytest.fixture
def in_file(world, long_text, tmp_path):
    path = tmp_path / "long.svs"
    path.write_bytes(sealed(world, long_text, pad=True))
    return path


@pytest.mark.parametrize("strength", ALL)
def test_a_packet_in_a_file_gives_the_same(world, in_file, long_text, strength):
    evidence = evidence_of(world, in_file, strength)
    assert evidence == evidence_of(world, str(in_file), strength)
    assert evidence == evidence_of(world, in_file.read_bytes(), strength)
    assert len(evidence.chunk_hashes) == 32 * 4
    root = world.root.public_key
    by_path, by_bytes = (judge(evidence, root, packet=p) for p in (in_file, in_file.read_bytes()))
    assert by_path == by_bytes
    if strength is Strength.SIGNED:
        with pytest.raises(ParameterError, match="target"):
            judge(evidence, root, packet=in_file, target=io.BytesIO())
        return
    assert by_path.plaintext == long_text
    out, seen = io.BytesIO(), []
    verdict = judge(evidence, root, packet=in_file, target=out, progress=lambda *n: seen.append(n))
    assert seen[0] == (0, 2 * evidence.body_bytes)
    assert seen[-1] == (2 * evidence.body_bytes,) * 2
    assert (out.getvalue(), verdict.plaintext) == (long_text, None)


def test_progress_may_stop_the_work_and_leaves_no_key_behind(world, in_file):
    bob, seen = world.receiver("bob"), []

    def progress(done, total):
        seen.append((done, total))
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        make_evidence(in_file, receiver=bob, trust=world.trust, ad=AD, progress=progress)
    assert len(seen) > 4
    insider = CoReceiver(in_file.read_bytes(), bob, AD)
    for frame in left_behind(caught.value):
        shown = repr(frame.f_locals)
        assert not any(repr(key)[2:-1] in shown for key in (insider.cek, insider.k_body, insider.k_head))


def test_target_needs_the_packet(world, data):
    with pytest.raises(ParameterError, match="target"):
        judge(evidence_of(world, data), world.root.public_key, target=io.BytesIO())


def test_memory_stays_bounded(world, tmp_path):
    path = tmp_path / "big.svs"
    path.write_bytes(sealed(world, bytes(24 * MIB)))
    warm = evidence_of(world, path)
    with open(tmp_path / "out", "wb") as out:
        tracemalloc.start()
        try:
            evidence = evidence_of(world, path)
            judge(evidence, world.root.public_key, packet=path, target=out)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert evidence == warm
    assert peak < 8 * MIB
    assert (tmp_path / "out").stat().st_size == 24 * MIB


def test_files_that_are_not_there_or_no_packets(world, data, tmp_path):
    bob, root = world.receiver("bob"), world.root.public_key
    evidence = evidence_of(world, data)
    missing, wrong = tmp_path / "missing", tmp_path / "wrong"
    with pytest.raises(FileNotFoundError, match="missing"):
        make_evidence(missing, receiver=bob, trust=world.trust)
    with pytest.raises(FileNotFoundError, match="missing"):
        judge(evidence, root, packet=missing)
    for content in (b"", b"SVS\1", data[:-1], data + b"\0", b"x" + data[1:], data[:5] + b"\0" + data[6:]):
        wrong.write_bytes(content)
        with pytest.raises(UnsigncryptError):
            make_evidence(wrong, receiver=bob, trust=world.trust, ad=AD)
        for packet in (wrong, content):
            with pytest.raises(DecodeError):
                judge(evidence, root, packet=packet)


# -- roots and lengths ---------------------------------------------------------------------------------


def test_receiver_of_another_issuer(world):
    other = World("another issuer")
    eve = other.receiver("eve")
    packet = signcrypt(TEXT, sender=world.signer(), receivers=[eve.public_key])
    evidence = make_evidence(packet, receiver=eve, trust=world.trust, strength=Strength.ADDRESSED)
    root = world.root.public_key
    with pytest.raises(EvidenceError, match="another root key"):
        judge(evidence, root, packet=packet)
    verdict = judge(evidence, root, packet=packet, addressee_root=other.root.public_key)
    assert verdict.addressee == eve.public_key
    assert judge(evidence.weakened(Strength.CONTENT), root, packet=packet).plaintext == TEXT
    with pytest.raises(SignatureError, match="another root key"):
        judge(evidence, other.root.public_key, packet=packet, addressee_root=other.root.public_key)


@pytest.mark.parametrize("n_bytes", [0, 1, 9, MIB - 1, MIB, MIB + 1])
@pytest.mark.parametrize("pad", [False, True])
def test_lengths_at_the_edges(world, n_bytes, pad):
    text = b"\xa5" * n_bytes
    packet = sealed(world, text, pad=pad, names=("bob",))
    evidence = evidence_of(world, packet)
    padded = padme(n_bytes) if pad else n_bytes
    assert evidence.body_bytes == padded + 16 * max(1, -(-padded // MIB))
    assert (
        judge(Evidence.from_bytes(evidence.to_bytes()), world.root.public_key, packet=packet).plaintext
        == text
    )
