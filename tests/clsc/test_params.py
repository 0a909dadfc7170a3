"""Epoch parameters, master keys, the trust store."""

import contextlib
import pickle
import threading
import time

import pytest

from sottovoce._ext.enc import enc
from sottovoce._ext.limits import CLOCK_SKEW_S
from sottovoce.clsc import (
    DecodeError,
    EpochParams,
    MasterKey,
    Mode,
    ParameterError,
    ParamsConflict,
    RootKey,
    SenderError,
    TrustStore,
    Usage,
    group,
)
from support.clsc_world import NOT_AFTER, NOT_BEFORE, NOW, Drbg, World

R = group.ORDER


def signed_params(root, /, **changes):
    """Params bytes from fields, signed by the root: an issuer that breaks one rule."""
    y = group.g2_mul_vartime(group.P2, 1234).to_compressed_bytes()
    f = {
        "tag": b"SOTTOVOCE-V1-PARAMS", "root": root.public_key, "suite": 1, "mode": "blind", "epoch": b"e",
        "Y": y, "not_before": 5, "not_after": 9, "t": 1, "n": 1, "q": 1, "f": 0, "servers": [y],
    }  # fmt: skip
    f.update(changes)
    body = enc(*[v for k, v in f.items() if k != "servers"], *f["servers"])
    return body + root._key.sign(body)


def shamir_servers(secret, coefficients, n):
    """Y_j = s_j * P2 with s_j on the polynomial with constant term ``secret``."""
    poly = [secret, *coefficients]
    return [
        group.g2_mul_vartime(
            group.P2, sum(a * pow(j, i, R) for i, a in enumerate(poly)) % R
        ).to_compressed_bytes()
        for j in range(1, n + 1)
    ]


def test_round_trip(world):
    for mode, params in world.params.items():
        data = params.to_bytes()
        again = EpochParams.from_bytes(data, world.root.public_key)
        assert again.to_bytes() == data
        assert len(data) == 415 + len(mode) + len(params.epoch)
        assert again == params
        assert hash(again) == hash(params)
        assert (again.mode, again.epoch) == (mode, b"2026-W47")
        assert (again.not_before, again.not_after) == (NOT_BEFORE, NOT_AFTER)
        assert (again.threshold, again.servers, again.answers, again.corrupted) == (1, 1, 1, 0)
        assert len(again.params_id) == 32


def test_each_mode_has_its_own_secret(world):
    assert len({world.params[mode].Y.to_compressed_bytes() for mode in Mode}) == 3


BROKEN = {
    "tag": {"tag": b"SOTTOVOCE-V1-PARAMZ"},
    "another root inside": {"root": bytes(32)},
    "suite 2": {"suite": 2},
    "suite of one byte": {"suite": b"\1"},
    "unknown mode": {"mode": "open"},
    "mode not ascii": {"mode": b"\xff"},
    "empty epoch": {"epoch": b""},
    "long epoch": {"epoch": b"e" * 65},
    "Y is the identity": {"Y": b"\xc0" + bytes(95)},
    "Y truncated": {"Y": bytes(95)},
    "validity reversed": {"not_before": 9, "not_after": 5},
    "validity empty": {"not_before": 9, "not_after": 9},
    "far future": {"not_after": 1 << 40},
    "t is zero": {"t": 0},
    "t above n": {"t": 2},
    "n without servers": {"n": 2},
    "q is zero": {"q": 0},
    "f not below t": {"f": 1},
    "no server": {"n": 0, "servers": []},
    "server not Y": {"servers": [group.g2_mul_vartime(group.P2, 4321).to_compressed_bytes()]},
    "field too many": {"servers": [group.g2_mul_vartime(group.P2, 1234).to_compressed_bytes()] * 2},
}


@pytest.mark.parametrize("name", BROKEN)
def test_rejects_broken_rule_even_with_root_signature(name):
    root = RootKey.generate()
    EpochParams.from_bytes(signed_params(root), root.public_key)
    with pytest.raises(DecodeError):
        EpochParams.from_bytes(signed_params(root, **BROKEN[name]), root.public_key)


def test_rejects_wrong_root_signature_and_lengths(world):
    data, root = world.params[Mode.BLIND].to_bytes(), world.root.public_key
    for bad in (data[:-1], data + b"\0", b"", data[:-64], data[:64], bytes(len(data)), data * 50):
        with pytest.raises(DecodeError):
            EpochParams.from_bytes(bad, root)
    for i in range(0, len(data), 7):
        flipped = data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]
        with pytest.raises(DecodeError):
            EpochParams.from_bytes(flipped, root)
    with pytest.raises(DecodeError):
        EpochParams.from_bytes(data, RootKey.generate().public_key)
    with pytest.raises(ParameterError):
        EpochParams.from_bytes(data, root[:-1])
    with pytest.raises(TypeError):
        EpochParams.from_bytes(data.hex(), root)


def test_threshold_parameters_must_interpolate():
    root = RootKey.generate()
    s = 99991
    Y = group.g2_mul_vartime(group.P2, s).to_compressed_bytes()
    servers = shamir_servers(s, [77, 13], 5)
    good = {"Y": Y, "t": 3, "n": 5, "servers": servers}
    params = EpochParams.from_bytes(signed_params(root, **good), root.public_key)
    assert (params.threshold, params.servers, len(params.Y_servers)) == (3, 5, 5)
    for change in (
        {"servers": [*servers[:4], servers[0]]},  # two the same
        {"servers": [*servers[:4], shamir_servers(s, [77, 14], 5)[4]]},  # one off the polynomial
        {"servers": [servers[1], servers[0], *servers[2:]]},  # swapped
        {"Y": group.g2_mul_vartime(group.P2, s + 1).to_compressed_bytes()},
        {"servers": shamir_servers(s, [77, 13, 5], 5)},  # degree t instead of t - 1
        {"servers": shamir_servers(s, [77], 5)},  # degree t - 2: any two servers know the secret
        {"servers": shamir_servers(s, [R - 39, 13], 5)},  # fits, but servers 1 and 2 hold one share
    ):
        with pytest.raises(DecodeError):
            EpochParams.from_bytes(signed_params(root, **{**good, **change}), root.public_key)


def test_attack_two_of_four_servers_would_give_two_keys():
    """q(n-f) < (q+1)(t-f): with 2 of 4, all honest, a client asks servers 1, 2 for one key and 3, 4
    for another."""
    root = RootKey.generate()
    s = 5
    Y = group.g2_mul_vartime(group.P2, s).to_compressed_bytes()
    for t, n, q, f, fine in (
        (2, 4, 1, 0, False),
        (3, 4, 1, 0, True),
        (3, 4, 1, 1, True),
        (4, 5, 1, 1, True),
        (4, 5, 1, 3, False),
        (3, 5, 2, 0, False),
        (4, 5, 2, 0, True),
    ):
        coefficients = list(range(1, t))
        servers = shamir_servers(s, coefficients, n)
        data = signed_params(root, Y=Y, t=t, n=n, q=q, f=f, servers=servers)
        if fine:
            EpochParams.from_bytes(data, root.public_key)
        else:
            with pytest.raises(DecodeError, match="does not hold"):
                EpochParams.from_bytes(data, root.public_key)


def test_root_signs_once_for_each_mode_and_epoch():
    root = RootKey.generate()
    times = {"not_before": 1, "not_after": 2}
    MasterKey.generate(root, Mode.BLIND, b"e", **times)
    MasterKey.generate(root, Mode.IDENTITY, b"e", **times)
    MasterKey.generate(root, Mode.BLIND, b"f", **times)
    with pytest.raises(ParameterError, match="already"):
        MasterKey.generate(root, Mode.BLIND, b"e", **times)


def test_root_signs_once_when_threads_race():
    class Slow(set):
        def __contains__(self, item):
            known = super().__contains__(item)
            time.sleep(0.01)
            return known

    root, start, signed = RootKey.generate(), threading.Barrier(4), []
    root._signed = Slow()

    def ask(body):
        start.wait()
        with contextlib.suppress(ParameterError):
            signed.append(root._sign(Mode.BLIND, b"e", body))

    threads = [threading.Thread(target=ask, args=(bytes([i]),)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(signed) == 1


def test_master_key_is_checked_against_its_parameters(world):
    master = world.master[Mode.BLIND]
    MasterKey(master._s, master.params)
    for s in (0, master._s + 1, R - master._s, master._s + R, world.master[Mode.IDENTITY]._s, -1, b"s"):
        with pytest.raises(ParameterError, match="not the secret"):
            MasterKey(s, master.params)
    assert "MasterKey" in repr(MasterKey.__new__(MasterKey))


def test_master_key_arguments():
    root = RootKey.generate()
    for epoch, a, b in ((b"", 1, 2), (b"e" * 65, 1, 2), (b"e", 2, 1), (b"e", -1, 1), (b"e", 0, 1 << 40)):
        with pytest.raises(ParameterError):
            MasterKey.generate(root, Mode.BLIND, epoch, not_before=a, not_after=b)
    with pytest.raises(TypeError):
        MasterKey.generate(root, "blind", b"e", not_before=1, not_after=2)
    with pytest.raises(TypeError):
        MasterKey.generate(root, Mode.BLIND, "e", not_before=1, not_after=2)
    with pytest.raises(TypeError):
        MasterKey.generate(root, Mode.BLIND, b"e", not_before=1.0, not_after=2)


# -- trust --------------------------------------------------------------------------------------


def test_attack_split_view_second_params_for_an_epoch_are_evidence(world):
    other = World(world.seed)  # same root, but ...
    forked = MasterKey._generate_derand(
        RootKey._from_seed_derand(Drbg(f"{world.seed}/root")(32)),
        Mode.BLIND, b"2026-W47", NOT_BEFORE, NOT_AFTER, Drbg("another secret"),
    ).params  # fmt: skip
    trust = other.new_trust()
    with pytest.raises(ParamsConflict) as caught:
        trust.add_bytes(forked.to_bytes())
    assert caught.value.first == world.params[Mode.BLIND].to_bytes()
    assert caught.value.second == forked.to_bytes()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.second) == (str(caught.value), caught.value.second)
    for evidence in (caught.value.first, caught.value.second):
        EpochParams.from_bytes(evidence, world.root.public_key)
    with pytest.raises(SenderError):
        trust.get(forked.params_id)
    assert trust.get(world.params[Mode.BLIND].params_id) == world.params[Mode.BLIND]


def test_attack_shared_secret_across_modes_is_refused():
    """A Y known under another mode or epoch: its secret would be multiplied with blind points."""
    root = RootKey.generate()
    trust = TrustStore(root.public_key)
    trust.add_bytes(signed_params(root, mode="blind"))
    for changes in ({"mode": "identity"}, {"mode": "blind", "epoch": b"f"}):
        with pytest.raises(ParamsConflict, match="Y is known"):
            trust.add_bytes(signed_params(root, **changes))


def test_adding_again_changes_nothing_and_foreign_root_is_refused(world):
    trust = world.new_trust()
    first = trust.get(world.params[Mode.BLIND].params_id)
    trust.add_bytes(world.params[Mode.BLIND].to_bytes())
    assert trust.get(first.params_id) is first
    with pytest.raises(SenderError):
        trust.add(World("stranger").params[Mode.BLIND])
    with pytest.raises(TypeError):
        trust.add(b"params")
    with pytest.raises(ParameterError):
        TrustStore(b"short")
    with pytest.raises(TypeError):
        TrustStore("0" * 32)


def test_validity_with_skew(world):
    key = world.signer().public_key
    for now, fine in (
        (NOT_BEFORE - CLOCK_SKEW_S - 1, False),
        (NOT_BEFORE - CLOCK_SKEW_S, True),
        (NOT_AFTER + CLOCK_SKEW_S, True),
        (NOT_AFTER + CLOCK_SKEW_S + 1, False),
        (NOW, True),
    ):
        trust = world.new_trust(now)
        if fine:
            trust.acceptable(key)
        else:
            with pytest.raises(SenderError, match="validity"):
                trust.acceptable(key)


def test_revocation_and_unknown_params(world):
    trust, key = world.new_trust(), world.signer().public_key
    trust.acceptable(key)
    trust.revoke(key.pid)
    assert trust.revoked == {key.pid}
    with pytest.raises(SenderError, match="revoked"):
        trust.acceptable(key)
    trust.acceptable(world.signer("carol").public_key)
    with pytest.raises(SenderError, match="unknown"):
        TrustStore(world.root.public_key).acceptable(key)
    with pytest.raises(ParameterError):
        trust.revoke(key.pid[:-1])
    with pytest.raises(TypeError):
        trust.revoke(key)


def test_pinning_stops_a_second_key_for_a_name(world):
    """A malicious issuer (or a type I forger) makes a new (X', D') for a known name."""
    trust, key = world.new_trust(), world.signer().public_key
    replaced = World.make_key(world, "mallory", Usage.SIGN, identity=b"alice").public_key
    trust.pin(key)
    trust.pin(key)
    trust.acceptable(key)
    with pytest.raises(SenderError, match="pinned"):
        trust.acceptable(replaced)
    with pytest.raises(SenderError, match="pinned"):
        trust.pin(replaced)
    with pytest.raises(ParameterError):
        trust.pin(world.signer("b", Mode.BLIND).public_key)
