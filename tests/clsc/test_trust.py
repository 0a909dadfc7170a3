"""What a verifier believes: pinned keys, revocation lists, copies in other processes, threads."""

import copy
import pickle
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from sottovoce.clsc import (
    DecodeError,
    MasterKey,
    Mode,
    ParameterError,
    ParamsConflict,
    PublicKey,
    RootKey,
    SenderError,
    TrustStore,
    Usage,
    sign,
    signcrypt,
    unsigncrypt,
    verify,
)
from sottovoce.clsc.revocation import RevocationConflict, RevocationList
from support.clsc_stores import forked_root, some_params
from support.clsc_world import NOT_AFTER, NOT_BEFORE, NOW, Drbg, World


def now():
    return NOW


def listing(world, number, keys, mode=Mode.IDENTITY, root=None):
    params_id = world.params[mode].params_id
    pids = [key.pid for key in keys]
    return RevocationList.sign(root or world.root, params_id, number=number, issued_at=NOW, pids=pids)


def public(world, name, mode=Mode.IDENTITY):
    return world.signer(name, mode).public_key


def replaced(world, name=b"alice", usage=Usage.SIGN):
    """What an issuer can always make: another key for a known name."""
    return world.make_key("mallory", usage, identity=name)


# -- pinned keys -----------------------------------------------------------------------------------


def test_known_keys_bring_their_parameters_and_are_listed(world):
    alice, bob = public(world, "alice"), world.receiver("bob").public_key
    trust = TrustStore(world.root.public_key, clock=now, known_keys=[alice, bob])
    assert trust.known_keys == (alice, bob)
    assert trust.epochs == (world.params[Mode.IDENTITY],)
    for key in (alice, bob):
        trust.acceptable(key)
        with pytest.raises(SenderError, match="pinned to another"):
            trust.acceptable(replaced(world, key.identity, key.usage).public_key)
    trust.pin(alice)
    assert trust.known_keys == (alice, bob)
    assert TrustStore(world.root.public_key).known_keys == ()


def test_known_keys_of_another_root_or_kind_are_refused(world):
    for wrong, error in (
        (public(World("stranger"), "alice"), SenderError),
        (public(world, "p", Mode.BLIND), ParameterError),
        (world.signer("alice"), TypeError),
        (b"key", TypeError),
    ):
        with pytest.raises(error):
            TrustStore(world.root.public_key, known_keys=[wrong])
    with pytest.raises(SenderError, match="pinned"):
        TrustStore(world.root.public_key, known_keys=[public(world, "alice"), replaced(world).public_key])
    trust = TrustStore(world.root.public_key)
    with pytest.raises(TypeError):
        trust.pin(world.signer("alice"))
    with pytest.raises(SenderError, match="unknown"):
        trust.pin(public(world, "alice"))


def test_pin_is_for_one_usage_and_epoch(world):
    trust = world.new_trust()
    trust.pin(public(world, "alice"))
    trust.acceptable(replaced(world, usage=Usage.DECRYPT).public_key)
    later = MasterKey._generate_derand(
        RootKey._from_seed_derand(Drbg(f"{world.seed}/root")(32)),
        Mode.IDENTITY, b"2026-W48", NOT_BEFORE, NOT_AFTER, Drbg("later"),
    ).params  # fmt: skip
    trust.add(later)
    trust.acceptable(PublicKey(later, Usage.SIGN, b"alice", replaced(world).public_key.X))
    trust.pin(public(world, "t", Mode.TRACEABLE))
    trust.acceptable(public(world, "u", Mode.TRACEABLE))


def test_attack_issuer_replaces_the_key_of_a_pinned_sender(world):
    """The packet opens and its signature holds; only the pin tells that it is not alice's key."""
    mallory, bob = replaced(world), world.receiver("bob")
    packet = signcrypt(b"pay mallory", sender=mallory, receivers=[bob.public_key])
    assert unsigncrypt(packet, receiver=bob, trust=world.new_trust()).sender.identity == b"alice"
    trust = TrustStore(world.root.public_key, clock=now, known_keys=[public(world, "alice")])
    with pytest.raises(SenderError):
        unsigncrypt(packet, receiver=bob, trust=trust)


def test_known_only_refuses_senders_that_were_never_pinned(world):
    alice, bob = world.signer("alice"), world.receiver("bob")
    trust = TrustStore(world.root.public_key, clock=now, known_keys=[alice.public_key], known_only=True)
    for params in world.params.values():
        trust.add(params)
    trust.acceptable(alice.public_key)
    trust.acceptable(bob.public_key)  # receivers are not concerned
    for mode in (Mode.TRACEABLE, Mode.BLIND):
        trust.acceptable(public(world, "p", mode))  # nobody can know a pseudonym before
    with pytest.raises(SenderError, match="not among the known keys"):
        trust.acceptable(public(world, "carol"))
    with pytest.raises(SenderError, match="pinned to another"):
        trust.acceptable(replaced(world).public_key)
    packet = signcrypt(b"text", sender=world.signer("carol"), receivers=[bob.public_key], trust=trust)
    with pytest.raises(SenderError):
        unsigncrypt(packet, receiver=bob, trust=trust)
    trust.pin(public(world, "carol"))
    assert unsigncrypt(packet, receiver=bob, trust=trust).plaintext == b"text"


# -- revocation lists ------------------------------------------------------------------------------


def test_lists_are_taken_as_objects_and_as_bytes(world):
    trust, alice, carol = world.new_trust(), public(world, "alice"), public(world, "carol")
    params_id = alice.params.params_id
    assert trust.revocations(params_id) is None
    first = listing(world, 1, [alice])
    assert trust.add_revocations(first) is first
    with pytest.raises(SenderError, match="revoked"):
        trust.acceptable(alice)
    trust.acceptable(carol)
    second = listing(world, 2, [alice, carol])
    assert trust.add_revocations(second.to_bytes()) == second
    assert trust.revocations(params_id) == second
    with pytest.raises(SenderError, match="revoked"):
        trust.acceptable(carol)
    assert trust.revoked == {alice.pid, carol.pid}


def test_nothing_is_accepted_again_in_whatever_order_lists_come(world):
    keys = [public(world, name) for name in ("alice", "bob", "carol")]
    lists = [listing(world, n, keys[:n]) for n in (1, 2, 3)]
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1, 1)):
        trust = world.new_trust()
        trust.revoke(bytes(16))
        for i in order:
            trust.add_revocations(lists[i])
        assert trust.revoked == {bytes(16), *(key.pid for key in keys)}
        assert trust.revocations(lists[0].params_id) == lists[2]


@pytest.mark.parametrize("numbers", [(1, 1), (1, 2), (2, 1)])
def test_attack_contradicting_lists_are_evidence_and_both_count(world, numbers):
    trust, alice, carol = world.new_trust(), public(world, "alice"), public(world, "carol")
    first, second = listing(world, numbers[0], [alice]), listing(world, numbers[1], [carol])
    trust.add_revocations(first)
    with pytest.raises(RevocationConflict) as caught:
        trust.add_revocations(second)
    assert (caught.value.first, caught.value.second) == (first.to_bytes(), second.to_bytes())
    assert trust.revoked == {alice.pid, carol.pid}
    trust.add_revocations(listing(world, 3, [alice, carol]))


def test_lists_of_strangers_are_refused_and_change_nothing(world):
    trust, alice = world.new_trust(), public(world, "alice")
    stranger = World("stranger")
    wrong = listing(world, 1, [alice], root=stranger.root)
    unknown = listing(World(world.seed, epoch=b"unknown"), 1, [alice])
    for data, error in (
        (wrong, SenderError),
        (wrong.to_bytes(), DecodeError),
        (unknown, SenderError),
        (unknown.to_bytes(), SenderError),
        (listing(world, 1, [alice]).to_bytes()[:-1], DecodeError),
        ("list", TypeError),
        (None, TypeError),
    ):
        with pytest.raises(error):
            trust.add_revocations(data)
    assert trust.revoked == frozenset()
    trust.acceptable(alice)


def test_revoked_sender_is_refused_after_opening(world):
    trust, alice, bob = world.new_trust(), world.signer("alice"), world.receiver("bob")
    packet = signcrypt(b"text", sender=alice, receivers=[bob.public_key])
    assert unsigncrypt(packet, receiver=bob, trust=trust).plaintext == b"text"
    trust.add_revocations(listing(world, 1, [alice.public_key]))
    with pytest.raises(SenderError):
        unsigncrypt(packet, receiver=bob, trust=trust)


# -- copies ----------------------------------------------------------------------------------------


def full(world):
    trust = TrustStore(world.root.public_key, clock=now, known_keys=[public(world, "alice")], known_only=True)
    for params in world.params.values():
        trust.add(params)
    trust.revoke(bytes(16))
    trust.add_revocations(listing(world, 4, [public(world, "carol")]))
    return trust


def believes(trust):
    return (
        trust.root_public_key,
        trust.known_only,
        trust.epochs,
        trust.known_keys,
        trust.revoked,
        [trust.revocations(params.params_id) for params in trust.epochs],
    )


def through_pickle(trust):
    return pickle.loads(pickle.dumps(trust))


@pytest.mark.parametrize("copied", [through_pickle, copy.deepcopy, copy.copy])
def test_copy_believes_the_same_and_goes_its_own_way(world, copied):
    trust = full(world)
    other = copied(trust)
    assert believes(other) == believes(trust)
    other.acceptable(public(world, "alice"))
    for refused in (replaced(world).public_key, public(world, "carol"), public(world, "dave")):
        with pytest.raises(SenderError):
            other.acceptable(refused)
    other.revoke(bytes([1]) * 16)
    other.pin(public(world, "dave"))
    with pytest.raises(SenderError):
        trust.acceptable(public(world, "dave"))
    assert bytes([1]) * 16 not in trust.revoked


def test_copy_still_refuses_a_second_set_of_parameters(world):
    first, second = some_params("s"), some_params("s", root=forked_root("s"), secret="another")
    trust = TrustStore(first.root_public_key, clock=now)
    trust.add(first)
    other = pickle.loads(pickle.dumps(trust))
    with pytest.raises(ParamsConflict):
        other.add(second)


def verify_elsewhere(trust, data, message, signature):
    key = PublicKey.from_bytes(data, trust)
    trust.acceptable(key)
    verify(key, message, signature)
    return believes(trust) != ()


def test_store_can_be_sent_to_a_worker_process(world):
    alice, trust = world.signer("alice"), full(world)
    with ProcessPoolExecutor(1) as pool:
        done = pool.submit(verify_elsewhere, trust, alice.public_key.to_bytes(), b"m", sign(alice, b"m"))
        assert done.result()
        refused = pool.submit(
            verify_elsewhere, trust, public(world, "dave").to_bytes(), b"m", sign(world.signer("dave"), b"m")
        )
        with pytest.raises(SenderError, match="known keys"):
            refused.result()


def test_clock_that_cannot_be_pickled_says_so(world):
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(TrustStore(world.root.public_key, clock=lambda: NOW))
    assert pickle.loads(pickle.dumps(TrustStore(world.root.public_key)))._clock is time.time


# -- threads ---------------------------------------------------------------------------------------


def test_threads_pin_one_key_for_a_name(world):
    keys = [world.make_key(f"m{i}", Usage.SIGN, identity=b"alice").public_key for i in range(6)]
    trust, start, pinned, lists = world.new_trust(), threading.Barrier(6), [], []
    several = [listing(world, i + 1, keys[: i + 1]) for i in range(6)]

    def work(i):
        start.wait()
        try:
            trust.pin(keys[i])
            pinned.append(keys[i])
        except SenderError:
            pass
        lists.append(trust.add_revocations(several[i]))
        pickle.dumps(trust.revoked)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lists) == 6
    assert trust.known_keys == tuple(pinned)
    assert len(pinned) == 1
    assert trust.revoked == {key.pid for key in keys}
    assert trust.revocations(several[0].params_id) == several[-1]


# -- keys that come again ----------------------------------------------------------------------------


def test_read_key_gives_one_object_for_one_key_and_believes_nothing(world):
    trust = TrustStore(world.root.public_key, clock=now)
    key = public(world, "alice")
    data = key.to_bytes()
    with pytest.raises(SenderError):
        trust.read_key(data)
    trust.add(key.params)
    read = trust.read_key(data)
    assert read == key
    assert read is trust.read_key(bytes(bytearray(data)))
    assert read.params is trust.get(key.params.params_id)
    trust.revoke(key.pid)
    with pytest.raises(SenderError):
        trust.acceptable(trust.read_key(data))
    assert pickle.loads(pickle.dumps(trust)).read_key(data) == key


@pytest.mark.parametrize("wrong", [b"", bytes(83), bytearray(90), None, "key"])
def test_read_key_refuses_what_is_no_key(world, wrong):
    with pytest.raises((DecodeError, TypeError)):
        world.trust.read_key(wrong)


def test_read_key_forgets_the_one_not_asked_for_longest(world, monkeypatch):
    monkeypatch.setattr("sottovoce.clsc.trust.MAX_READ_KEYS", 2)
    keys = [public(world, name).to_bytes() for name in ("alice", "bob", "carol")]
    trust = TrustStore(world.root.public_key, clock=now)
    trust.add(world.params[Mode.IDENTITY])
    first, second = trust.read_key(keys[0]), trust.read_key(keys[1])
    assert trust.read_key(keys[0]) is first  # now the newest
    trust.read_key(keys[2])
    assert trust.read_key(keys[0]) is first
    assert trust.read_key(keys[1]) is not second


def test_a_key_read_before_is_the_sender_of_a_packet(world):
    alice, bob = world.signer("alice"), world.receiver("bob")
    trust = TrustStore(world.root.public_key, clock=now)
    trust.add(alice.params)
    data = signcrypt(b"m", sender=alice, receivers=[bob.public_key])
    assert unsigncrypt(data, receiver=bob, trust=trust).sender is not trust.read_key(
        alice.public_key.to_bytes()
    )
    assert unsigncrypt(data, receiver=bob, trust=trust).sender is trust.read_key(alice.public_key.to_bytes())
    trust.revoke(alice.public_key.pid)
    with pytest.raises(SenderError):
        unsigncrypt(data, receiver=bob, trust=trust)
