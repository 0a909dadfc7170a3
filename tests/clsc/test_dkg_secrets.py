"""Threshold set-up: what reaches the back end is no secret, and what an exception carries is none."""

import pytest

from sottovoce.clsc import (
    DecodeError,
    DkgError,
    DkgParticipant,
    DkgResult,
    EpochParams,
    MasterKey,
    MasterShare,
    Mode,
    ParameterError,
    RootKey,
    comb,
    deal,
    dkg_proof,
    group,
    hashes,
    polynomial,
)
from sottovoce.clsc.dkg_messages import PrivateShare
from support.clsc_dkg import Net, participants, run, session, share_off_by_one, silent, wrong_justification
from support.clsc_traceback import reachable
from support.clsc_world import NOT_AFTER, Drbg

R = group.ORDER
TIMES = {"not_before": 0, "not_after": NOT_AFTER}
HOLDERS = (DkgParticipant, DkgResult, MasterShare, MasterKey, RootKey, EpochParams)
"""What the caller gave or holds itself: their inside is their own, repr is checked elsewhere."""


# -- the back end ---------------------------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch):
    """Every scalar that meets a multiplication whose time follows it."""
    found = []
    for name in ("g1_mul_vartime", "g2_mul_vartime"):
        real = getattr(group._backend, name)
        monkeypatch.setattr(group._backend, name, lambda p, k, real=real: found.append(k) or real(p, k))
    for name in ("g1_msm_vartime", "g2_msm_vartime"):
        real = getattr(group._backend, name)
        monkeypatch.setattr(group._backend, name, lambda p, ks, real=real: found.extend(ks) or real(p, ks))
    return found


@pytest.fixture
def nonces(monkeypatch):
    """The ``rho`` of every proof, as the key derivation gives it."""
    found = []
    real = hashes.hkdf

    def spy(ikm, salt, info, n):
        out = real(ikm, salt, info, n)
        if b"DKG-POK-NONCE" in info:
            found.append(int.from_bytes(out, "big") % R)
        return out

    monkeypatch.setattr(hashes, "hkdf", spy)
    return found


def assert_none(secrets_, seen):
    assert seen
    both_signs = {v for k in secrets_ for v in (k % R, -k % R)}
    assert not both_signs & set(seen)


def test_dealer_gives_no_share_to_the_backend(seen, monkeypatch):
    drawn = []
    real = polynomial.draw
    monkeypatch.setattr(polynomial, "draw", lambda *args: drawn.append(real(*args)) or drawn[-1])
    shares = deal(RootKey.generate(), Mode.BLIND, b"e", **TIMES, threshold=3, servers=5)
    assert len(drawn) == 1
    assert polynomial.evaluate(drawn[0], 5) == shares[4]._s
    assert_none([*drawn[0], *(share._s for share in shares)], seen)


def test_key_generation_gives_no_secret_to_the_backend(seen, nonces):
    at = session()
    parties = participants(at)
    secrets_ = [a for party in parties.values() for a in party._f]
    secrets_ += [polynomial.evaluate(party._f, j) for party in parties.values() for j in range(1, 6)]
    assert len(nonces) == 5
    for party, rho in zip(parties.values(), nonces, strict=True):
        assert comb.p2_mul(rho).to_compressed_bytes() == party._own.R  # the spy sees the real nonce
    results = Net(parties).run()
    assert_none([*secrets_, *nonces, *(result._s for result in results.values())], seen)


def test_nonces_are_fresh_and_hedged(monkeypatch):
    at = session()
    f = polynomial.draw(3, Drbg("f"))
    made = [dkg_proof.commit_to(f, at, 1, Drbg("same")) for _ in range(2)]
    assert made[0] == made[1]
    # The generator repeats itself: another secret, index or session still gives another nonce.
    other = [f[0] + 1, *f[1:]]
    found = {
        made[0].R,
        dkg_proof.commit_to(other, at, 1, Drbg("same")).R,
        dkg_proof.commit_to([*f[:2], f[2] + 1], at, 1, Drbg("same")).R,
        dkg_proof.commit_to(f, at, 2, Drbg("same")).R,
        dkg_proof.commit_to(f, session(attempt=2), 1, Drbg("same")).R,
        dkg_proof.commit_to(f, at, 1, Drbg("fresh")).R,
    }
    assert len(found) == 6
    asked = []
    dkg_proof.commit_to(f, at, 1, lambda n_bytes: asked.append(n_bytes) or Drbg("same")(n_bytes))
    assert asked == [32]  # bytes: the nonce is as strong if only the generator is good


def test_degree_test_has_fresh_weights(seen):
    ys = [comb.p2_mul(polynomial.evaluate([5, 7], x)) for x in range(5)]
    for _ in range(2):
        assert polynomial.has_degree_below(ys, 2)
    assert len(seen) == len(set(seen)) == 10


# -- exceptions -----------------------------------------------------------------------------------


def assert_carries_none(error, numbers):
    """No frame of the package that the error passed holds one of the secret numbers, or its bytes."""
    assert error.__cause__ is None
    assert error.__context__ is None
    numbers = {v for n in numbers for v in (n % R, -n % R)}
    encoded = [n.to_bytes(32, "big") for n in numbers]
    n_frames, tb = 0, error.__traceback__
    while tb:
        if tb.tb_frame.f_globals["__name__"].startswith("sottovoce.clsc"):
            n_frames += 1
            for name, local in tb.tb_frame.f_locals.items():
                where = f"{tb.tb_frame.f_code.co_qualname}: {name}"
                shown = repr(local)
                assert not any(str(n) in shown for n in numbers), where
                for value in reachable(local, HOLDERS):
                    assert not (type(value) is int and value in numbers), where
                    assert not (isinstance(value, bytes) and any(e in value for e in encoded)), where
        tb = tb.tb_next
    assert n_frames


def test_share_that_does_not_fit_carries_no_share():
    one, two = deal(RootKey.generate(), Mode.BLIND, b"e", **TIMES, threshold=2, servers=2)
    for s, params, index in (
        (one._s, one.params, 2),
        (one._s, one.params, 3),
        (one._s, one.params, "1"),
        (one._s, None, 1),
        (two._s, one.params, 1),
    ):
        with pytest.raises((ParameterError, TypeError)) as caught:
            MasterShare(s, params, index)
        assert_carries_none(caught.value, [one._s, two._s])


def test_refused_signature_carries_no_master_secret(monkeypatch):
    root = RootKey.generate()
    deal(root, Mode.BLIND, b"e", **TIMES, threshold=2, servers=3)
    drawn = []
    real_draw, real_scalar = polynomial.draw, group.random_scalar
    monkeypatch.setattr(polynomial, "draw", lambda *a: drawn.extend(real_draw(*a)) or list(drawn[-2:]))
    with pytest.raises(ParameterError, match="already") as caught:
        deal(root, Mode.BLIND, b"e", **TIMES, threshold=2, servers=3)
    assert len(drawn) == 2
    assert_carries_none(caught.value, [polynomial.evaluate(drawn, x) for x in range(4)])
    monkeypatch.setattr(group, "random_scalar", lambda *a: drawn.append(real_scalar(*a)) or drawn[-1])
    with pytest.raises(ParameterError, match="already") as caught:
        MasterKey.generate(root, Mode.BLIND, b"e", **TIMES)
    assert len(drawn) == 3
    assert_carries_none(caught.value, drawn)


def test_refused_private_share_carries_no_share():
    at = session(2, 3)
    parties = participants(at)
    a, b = parties[1], parties[2]
    _, shares = participants(at)[2].reveal()
    data, number = shares[1], PrivateShare.from_bytes(shares[1]).value

    def refused(party, sender, data):
        with pytest.raises((DecodeError, DkgError, ParameterError)) as caught:
            party.receive_private(sender, data)
        assert_carries_none(caught.value, [number])

    refused(a, 2, data)  # the round has not begun
    for party in parties.values():
        party.receive(2, b.commit()) if party is not b else None
    a.reveal()
    for sender, bad in (
        (2, data + b"\0"), (2, data[:34] + b"\3" + data[35:]), (3, data), (9, data), (1, data),
        (2, data[:2] + bytes(32) + data[34:]), (2, data[:35] + b"\3" + data[36:]),
        (2, data[:35] + b"\0" + data[36:]), (2, b"\2" + data[1:]),
    ):  # fmt: skip
        refused(a, sender, bad)
    a.receive_private(2, data)
    refused(a, 2, share_off_by_one(data))
    refused(a, 2, data[:-1] + bytes([data[-1] ^ 1]))
    for bad in (data + b"\0", b"\2" + data[1:], data[:35] + b"\0" + data[36:]):
        with pytest.raises(DecodeError) as caught:
            PrivateShare.from_bytes(bad)
        assert_carries_none(caught.value, [number])


def test_failed_run_carries_no_share():
    at = session(3, 5)
    parties = participants(at)
    secrets_ = [a for party in parties.values() for a in party._f]
    secrets_ += [polynomial.evaluate(party._f, j) for party in parties.values() for j in range(1, 6)]
    net = Net(parties, {
        (1, "commit"): silent, (2, "reveal"): silent,
        (4, "share 5"): share_off_by_one, (4, "justify"): wrong_justification,
    })  # fmt: skip
    net.run()
    assert_carries_none(net.failed[3], secrets_)


def test_foreign_parameters_carry_no_share():
    root = RootKey.generate()
    results, _ = run(session(2, 3, root_public_key=root.public_key))
    other = deal(root, Mode.BLIND, b"g", **TIMES, threshold=2, servers=3)[0].params
    with pytest.raises(ParameterError) as caught:
        results[1].share(other)
    assert_carries_none(caught.value, [results[1]._s])
