"""Sign, verify, batch: behaviour, forgery attempts, exact bad indices."""

import random

import pytest

from sottovoce._ext.enc import sha256_enc
from sottovoce.clsc import (
    SIGNATURE_BYTES,
    Mode,
    ParameterError,
    PublicKey,
    SignatureError,
    Usage,
    batch_verify,
    group,
    hashes,
    sign,
    signature,
    verify,
)
from support.clsc_world import Drbg, World


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("message", [b"", b"m", bytes(5000)])
def test_round_trip(world, mode, message):
    key = world.signer("alice", mode)
    data = sign(key, message)
    assert len(data) == SIGNATURE_BYTES == 176
    verify(key.public_key, message, data)
    assert sign(key, message) != data


def test_rejects_other_message_name_key_params_usage(world):
    key = world.signer()
    data = sign(key, b"m")
    other_epoch = World("other", b"2026-W48").signer()
    strangers = [
        world.signer("carol").public_key,
        PublicKey(key.params, Usage.SIGN, b"alicf", key.public_key.X),
        PublicKey(key.params, Usage.SIGN, b"alice", world.signer("carol").public_key.X),
        PublicKey(key.params, Usage.DECRYPT, b"alice", key.public_key.X),
        PublicKey(other_epoch.params, Usage.SIGN, b"alice", key.public_key.X),
        PublicKey(world.params[Mode.BLIND], Usage.SIGN, b"", key.public_key.X),
    ]
    for public in strangers:
        with pytest.raises(SignatureError):
            verify(public, b"m", data)
    for message in (b"", b"n", b"m\0"):
        with pytest.raises(SignatureError):
            verify(key.public_key, message, data)


def test_contexts_do_not_mix(world):
    """A signature over a packet's transcript is no signature of a message with these bytes."""
    key = world.signer()
    transcript = hashes.message_transcript(b"m")
    for context in ("packet", "issue"):
        data = signature._sign_derand(key, context, transcript, Drbg("s"))
        with pytest.raises(SignatureError):
            verify(key.public_key, b"m", data)
    verify(key.public_key, b"m", signature._sign_derand(key, "message", transcript, Drbg("s")))
    assert sha256_enc("SOTTOVOCE-V1-MESSAGE", b"m") == transcript


def _malformed(data):
    a, v, r, z = data[:48], data[48:96], data[96:144], data[144:]
    identity = b"\xc0" + bytes(47)
    return {
        "empty": b"",
        "truncated": data[:-1],
        "extended": data + b"\0",
        "A identity": identity + v + r + z,
        "V identity": a + identity + r + z,
        "R identity": a + v + identity + z,
        "A not in subgroup": b"\x80" + bytes(46) + b"\4" + v + r + z,
        "V not in subgroup": a + b"\x80" + bytes(46) + b"\4" + r + z,
        "R not in subgroup": a + v + b"\x80" + bytes(46) + b"\4" + z,
        "A sign flag": bytes([a[0] ^ 0x20]) + a[1:] + v + r + z,
        "V sign flag": a + bytes([v[0] ^ 0x20]) + v[1:] + r + z,
        "R sign flag": a + v + bytes([r[0] ^ 0x20]) + r[1:] + z,
        "A compression flag": bytes([a[0] ^ 0x80]) + a[1:] + v + r + z,
        "A infinity flag": bytes([a[0] ^ 0x40]) + a[1:] + v + r + z,
        "z zero": a + v + r + bytes(32),
        "z = r": a + v + r + group.ORDER.to_bytes(32, "big"),
        "z + r": a + v + r + (int.from_bytes(z, "big") + group.ORDER).to_bytes(33, "big")[-32:],
        "A and V swapped": v + a + r + z,
        "V and R swapped": a + r + v + z,
        "A and R swapped": r + v + a + z,
    }


@pytest.mark.parametrize("name", list(_malformed(bytes(176))))
def test_rejects_malformed(world, name):
    key = world.signer()
    bad = _malformed(sign(key, b"m"))[name]
    with pytest.raises(SignatureError):
        verify(key.public_key, b"m", bad)
    with pytest.raises(SignatureError) as caught:
        batch_verify([(key.public_key, b"m", sign(key, b"m")), (key.public_key, b"m", bad)])
    assert caught.value.bad_indices == (1,)


def test_wrong_types_and_usage(world):
    key = world.signer()
    data = sign(key, b"m")
    with pytest.raises(TypeError):
        sign(key, "m")
    with pytest.raises(TypeError):
        sign(key.public_key, b"m")
    with pytest.raises(ParameterError):
        sign(world.receiver(), b"m")
    for args in ((key, b"m", data), (key.public_key, "m", data), (key.public_key, b"m", bytearray(data))):
        with pytest.raises(TypeError):
            verify(*args)
        with pytest.raises(TypeError):
            batch_verify([args])
    for item in (data, (key.public_key, b"m"), (key.public_key, b"m", data, b"")):
        with pytest.raises(TypeError, match=r"items\[1\]"):
            batch_verify([(key.public_key, b"m", data), item])
    with pytest.raises(SignatureError, match="not for signing"):
        verify(world.receiver().public_key, b"m", data)


# -- forgeries that own one of the two secrets ----------------------------------------------------


def _forge(public, x, D, message):
    """Sign with what one has: x or a stand-in, D or a stand-in."""
    transcript = hashes.message_transcript(message)
    k, rho = 1234567, 7654321
    A = group.g1_mul_vartime(public._Q_base.point, k).to_compressed_bytes()
    R = group.g1_mul_vartime(group.P1, rho).to_compressed_bytes()
    c = signature._challenge("message", public, A, R, transcript)
    V = group.g1_mul_vartime(D, (k + c) % group.ORDER).to_compressed_bytes()
    return A + V + R + group.scalar_to_bytes((rho + c * x) % group.ORDER)


def test_forging_needs_both_secrets(world):
    key, other = world.signer(), world.signer("mallory")
    public = key.public_key
    verify(public, b"m", _forge(public, key._x, key._D.point, b"m"))  # the forger itself is right
    with pytest.raises(SignatureError):  # type I: user key replaced or stolen, no D
        verify(public, b"m", _forge(public, key._x, other._D.point, b"m"))
    with pytest.raises(SignatureError):  # type II: the issuer knows D, not x
        verify(public, b"m", _forge(public, other._x, key._D.point, b"m"))


def test_type_one_replaced_key_does_not_fit_the_old_partial_key(world):
    """X is hashed into Q, so a stolen D is worthless for an X of the thief's choice."""
    key, thief = world.signer(), world.signer("mallory")
    replaced = PublicKey(key.params, Usage.SIGN, b"alice", thief.public_key.X)
    with pytest.raises(SignatureError):
        verify(replaced, b"m", _forge(replaced, thief._x, key._D.point, b"m"))


def test_nonces_are_hedged_and_bound_to_everything(world):
    """A dead random source gives a repeated signature, never a repeated nonce for another input."""
    key, transcript = world.signer(), hashes.message_transcript(b"m")
    dead = bytes
    one = signature._sign_derand(key, "message", transcript, dead)
    assert one == signature._sign_derand(key, "message", transcript, dead)
    others = [
        signature._sign_derand(key, "message", hashes.message_transcript(b"n"), dead),
        signature._sign_derand(key, "packet", transcript, dead),
        signature._sign_derand(world.signer("carol"), "message", transcript, dead),
        signature._sign_derand(key, "message", transcript, Drbg("alive")),
    ]
    R = {data[96:144] for data in (one, *others)}
    assert len(R) == 5


@pytest.mark.parametrize("zero", ["k", "rho", "V", "z"])
def test_a_half_that_would_be_zero_is_drawn_again(world, monkeypatch, zero):
    """V would be the identity, or a nonce known: no draw gives it, so it is made to happen once."""
    key, draws, wanted = world.signer(), [], {}
    hkdf, challenge = hashes.hkdf, signature._challenge

    def derive(*args):
        draws.append(hkdf(*args))
        if len(draws) > 1:
            return draws[-1]
        k, rho = draws[0][:48], draws[0][48:]
        k, rho = (bytes(48) if zero == "k" else k), (bytes(48) if zero == "rho" else rho)
        wanted["V"] = -int.from_bytes(k, "big") % group.ORDER
        wanted["z"] = -int.from_bytes(rho, "big") * pow(key._x, -1, group.ORDER) % group.ORDER
        return k + rho

    def ask(*args):
        return wanted[zero] if len(draws) == 1 and zero in wanted else challenge(*args)

    monkeypatch.setattr(hashes, "hkdf", derive)
    monkeypatch.setattr(signature, "_challenge", ask)
    data = sign(key, b"m")
    assert len(draws) == 2
    verify(key.public_key, b"m", data)


# -- batch ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def signed(world):
    other = World("second issuer", b"x")
    keys = [world.signer(f"s{i}") for i in range(5)]
    keys += [world.signer(f"s{i}", Mode.BLIND) for i in range(5)] + [other.signer("s0")]
    return [(keys[i % 11].public_key, b"%d" % i, sign(keys[i % 11], b"%d" % i)) for i in range(44)]


def test_batch_of_good_ones(signed):
    batch_verify([])
    batch_verify(signed[:1])
    batch_verify(signed)


def _spoil(items, bad):
    """Alternate the kinds of fault: message, z, V, key."""
    out = list(items)
    for n, i in enumerate(sorted(bad)):
        key, message, data = out[i]
        other_key, _, other = items[(i + 1) % len(items)]
        out[i] = [
            (key, message + b"!", data),
            (key, message, data[:144] + other[144:]),
            (key, message, data[:48] + other[48:96] + data[96:]),
            (other_key, message, data),
        ][n % 4]
    return out


@pytest.mark.parametrize("n_bad", [1, 2, 3, 5, 20, 43, 44])
def test_batch_names_exactly_the_bad_ones(signed, n_bad):
    for seed in range(2):
        bad = random.Random(seed * 100 + n_bad).sample(range(44), n_bad)
        with pytest.raises(SignatureError) as caught:
            batch_verify(_spoil(signed, bad))
        assert caught.value.bad_indices == tuple(sorted(bad))


@pytest.mark.slow
def test_batch_names_exactly_the_bad_ones_for_every_pair(signed):
    for i in range(44):
        for j in range(i + 1, 44, 5):
            with pytest.raises(SignatureError) as caught:
                batch_verify(_spoil(signed, [i, j]))
            assert caught.value.bad_indices == (i, j)


def test_batch_is_not_fooled_by_errors_that_cancel(world):
    """V_1 + E and V_2 - E: with equal weights the sum is unchanged."""
    key = world.signer()
    items = []
    E = group.g1_mul_vartime(group.P1, 99)
    for message, error in ((b"1", E), (b"2", -E)):
        data = sign(key, message)
        V = group.g1_from_bytes(data[48:96], "V") + error
        items.append((key.public_key, message, data[:48] + V.to_compressed_bytes() + data[96:]))
    with pytest.raises(SignatureError) as caught:
        batch_verify(items)
    assert caught.value.bad_indices == (0, 1)
    z = []
    for message, error in ((b"1", 5), (b"2", -5)):
        data = sign(key, message)
        moved = (int.from_bytes(data[144:], "big") + error) % group.ORDER
        z.append((key.public_key, message, data[:144] + group.scalar_to_bytes(moved)))
    with pytest.raises(SignatureError) as caught:
        batch_verify(z)
    assert caught.value.bad_indices == (0, 1)


def test_batch_stops_bisecting_when_many_are_bad(signed, monkeypatch):
    """All bad: after N/8 failed halves one by one, not a whole tree of sums."""
    sums = []
    original = signature._Sum.holds
    monkeypatch.setattr(signature._Sum, "holds", lambda self, Y: sums.append(1) or original(self, Y))
    with pytest.raises(SignatureError):
        batch_verify(_spoil(signed, range(44)))
    assert len(sums) <= 1 + 44 // 8 + 3


def test_batch_pairs_twice_for_one_epoch(signed, monkeypatch):
    calls = []
    original = group._backend.pairing_is_one
    monkeypatch.setattr(group._backend, "pairing_is_one", lambda a, b: calls.append(len(a)) or original(a, b))
    batch_verify([item for item in signed if item[0].mode is Mode.BLIND])
    assert calls == [2]
    calls.clear()
    batch_verify(signed)
    assert calls == [4]  # three sets of parameters


def test_batch_weights_have_128_bits(signed, monkeypatch):
    bounds, real = [], signature.secrets.randbelow
    monkeypatch.setattr(signature.secrets, "randbelow", lambda n: bounds.append(n) or real(n))
    batch_verify(signed)
    assert bounds == [2**128 - 1] * len(signed)  # 1 is added: never zero


@pytest.mark.parametrize("bad", [(0,), (255,), (100, 101), (3, 200)])
def test_bisection_alone_names_exactly_the_bad_ones(world, bad):
    """So many that single checks never begin: each half must be judged rightly."""
    key = world.signer()
    items = [(key.public_key, b"m", sign(key, b"m"))] * 256
    for i in bad:
        items[i] = (key.public_key, b"other", items[i][2])
    with pytest.raises(SignatureError) as caught:
        batch_verify(items)
    assert caught.value.bad_indices == bad
