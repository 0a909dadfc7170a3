"""Key objects: strict bytes, the mode rule, secrets that stay inside."""

import pickle

import pytest

from sottovoce.clsc import (
    DecodeError,
    IssueError,
    Mode,
    PublicKey,
    SecretKey,
    SenderError,
    Usage,
)


def test_public_key_round_trip(world):
    for mode in Mode:
        for usage in Usage:
            key = world.key("alice", usage, mode).public_key
            data = key.to_bytes()
            assert len(data) == 83 + len(key.identity)
            again = PublicKey.from_bytes(data, world.trust)
            assert again == key
            assert again.to_bytes() == data
            assert (again.pid, again.usage, again.identity) == (key.pid, usage, key.identity)
            assert pickle.loads(pickle.dumps(key)) == key


def test_public_key_of_other_usage_or_name_differs(world):
    key = world.signer().public_key
    same_x = PublicKey(key.params, Usage.DECRYPT, key.identity, key.X)
    other_name = PublicKey(key.params, Usage.SIGN, b"alicf", key.X)
    assert len({key, same_x, other_name}) == 3
    assert len({key.pid, same_x.pid, other_name.pid}) == 3
    assert key._Q_base.point != same_x._Q_base.point


@pytest.mark.parametrize(
    ("mode", "identity"),
    [
        (Mode.IDENTITY, b""),
        (Mode.IDENTITY, b"a" * 65),
        (Mode.TRACEABLE, b"a" * 63),
        (Mode.TRACEABLE, b"a" * 65),
        (Mode.TRACEABLE, b""),
        (Mode.BLIND, b"alice"),
        (Mode.BLIND, b"\0"),
    ],
)
def test_mode_rule_on_every_border(world, mode, identity):
    good = world.key("alice", Usage.SIGN, mode).public_key
    with pytest.raises(DecodeError, match="do not fit"):
        PublicKey(good.params, Usage.SIGN, identity, good.X)
    data = good.to_bytes()[:34] + bytes([len(identity)]) + identity + good.X
    with pytest.raises(DecodeError):
        PublicKey.from_bytes(data, world.trust)


def test_public_key_rejections(world):
    data = world.signer().public_key.to_bytes()
    bad = {
        "empty": b"",
        "truncated": data[:-1],
        "extended": data + b"\0",
        "suite": b"\2" + data[1:],
        "usage 0": data[:1] + b"\0" + data[2:],
        "usage 3": data[:1] + b"\3" + data[2:],
        "id length": data[:34] + bytes([data[34] + 1]) + data[35:],
        "X identity": data[:-48] + b"\xc0" + bytes(47),
        "X flag": data[:-48] + bytes([data[-48] & 0x7F]) + data[-47:],
        "X twist": data[:-48] + b"\x80" + bytes(46) + b"\4",
    }
    for value in bad.values():
        with pytest.raises(DecodeError):
            PublicKey.from_bytes(value, world.trust)
    with pytest.raises(SenderError):
        PublicKey.from_bytes(data[:2] + bytes(32) + data[34:], world.trust)
    with pytest.raises(TypeError):
        PublicKey.from_bytes(bytearray(data), world.trust)
    with pytest.raises(TypeError, match="trust: TrustStore expected, got bytes"):
        PublicKey.from_bytes(data, world.trust.root_public_key)


def test_secret_key_is_checked_when_made(world):
    alice, carol = world.signer(), world.signer("carol")
    SecretKey(alice.public_key, alice._x, alice._D.point)
    with pytest.raises(IssueError):
        SecretKey(alice.public_key, alice._x + 1, alice._D.point)
    with pytest.raises(IssueError):
        SecretKey(alice.public_key, alice._x, carol._D.point)
    with pytest.raises(IssueError):
        SecretKey(carol.public_key, alice._x, carol._D.point)


def test_objects_are_immutable_and_leak_nothing(world):
    key = world.signer()
    secret_texts = [str(key._x), f"{key._x:x}", key._d_bytes.hex(), str(world.master[Mode.BLIND]._s)]
    secret_objects = [key, world.master[Mode.BLIND], world.root]
    for thing in secret_objects:
        assert not any(text in repr(thing) + str(thing) for text in secret_texts)
        assert not hasattr(thing, "__dict__")
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(thing)
    for thing in (key, key.public_key, world.params[Mode.BLIND]):
        for name in ("params", "identity", "_x", "new"):
            with pytest.raises(AttributeError):
                setattr(thing, name, 1)
            with pytest.raises(AttributeError):
                delattr(thing, name)
    params = pickle.loads(pickle.dumps(world.params[Mode.BLIND]))
    assert params == world.params[Mode.BLIND]
