"""Two keys of one name, two sets of parameters: what convicts an issuer, and what does not."""

from dataclasses import replace

import pytest

from sottovoce.clsc import (
    DecodeError,
    EpochParams,
    EvidenceError,
    KeyConflict,
    MasterKey,
    Mode,
    ParameterError,
    ParamsConflict,
    PublicKey,
    RootKey,
    SignatureError,
    SignedStatement,
    Strength,
    TrustStore,
    Usage,
    comb,
    judge,
    judge_issuer,
    judge_params,
    make_evidence,
    sign,
)
from support.clsc_evidence import CONFLICT_FIELDS, fields_of, flip, forged, sealed
from support.clsc_world import NOT_AFTER, NOT_BEFORE, World

AD = b"round 1"


def statement(key, message=b"m"):
    return SignedStatement.of_message(key.public_key, message, sign(key, message))


def evidence_of(world, data):
    return make_evidence(
        data, receiver=world.receiver("bob"), trust=world.trust, ad=AD, strength=Strength.CONTENT
    )


def second_key(world, name=b"alice", mode=Mode.IDENTITY):
    """What only the issuer can do: another X under a known name."""
    return world.make_key("the issuer's own", Usage.SIGN, mode, identity=name)


def test_attack_issuer_makes_a_second_key_for_a_name(world):
    """The judge names the key; two keys of one name that have both signed convict the issuer."""
    alice, forger = world.signer(), second_key(world)
    framed = sealed(world, b"I owe the issuer 1000", sender=forger)
    found = judge(evidence_of(world, framed), world.root.public_key, packet=framed)
    assert found.sender.identity == b"alice"
    assert found.sender != alice.public_key
    assert found.sender.X == forger.public_key.X
    # alice signs whatever she likes, and shows both.
    hers = statement(alice, b"not me")
    theirs = SignedStatement.of_evidence(evidence_of(world, framed))
    conflict = KeyConflict(hers, theirs)
    assert conflict == KeyConflict(theirs, hers)
    again = KeyConflict.from_bytes(conflict.to_bytes())
    assert again == conflict
    assert len(conflict.to_bytes()) == 593 + len(alice.params.to_bytes()) + 5 + len("message") + len("packet")
    judge_issuer(again, world.root.public_key)
    assert fields_of(evidence_of(world, framed))["cek"] not in conflict.to_bytes()


def test_attack_user_accuses_an_honest_issuer(world):
    """With one key of its own, or two names, or two usages, or an X that it made up, nobody convicts."""
    alice, root = world.signer(), world.root.public_key
    good = statement(alice)
    made_up = PublicKey(alice.params, Usage.SIGN, b"alice", comb.p1_mul(99).to_compressed_bytes())
    for value in (good.signature, bytes(176), sign(world.signer("mallory"), b"m")):
        conflict = KeyConflict(good, SignedStatement.of_message(made_up, b"m", value))
        with pytest.raises(SignatureError):
            judge_issuer(conflict, root)
    mallory = world.signer("mallory")
    other_epoch = World(world.seed, b"2026-W48").signer()
    decrypting = world.receiver("alice").public_key
    for other in (
        good,
        SignedStatement.of_evidence(evidence_of(world, sealed(world))),  # the same X
        statement(mallory),
        statement(other_epoch),
        statement(World("another").signer()),  # the same name in another epoch
        SignedStatement(decrypting, "message", bytes(32), bytes(176)),
        replace(SignedStatement.of_message(made_up, b"m", bytes(176)), context="packets"),
        replace(SignedStatement.of_message(made_up, b"m", bytes(176)), transcript=b""),
        SignedStatement.of_message(made_up, b"m", bytes(175)),
    ):
        with pytest.raises(ParameterError):
            KeyConflict(good, other)
    p, q = world.signer("p", Mode.BLIND), world.signer("q", Mode.BLIND)
    with pytest.raises(ParameterError, match="not blind"):  # blind keys all share the empty name
        KeyConflict(statement(p), statement(q))
    convicting = KeyConflict(good, statement(second_key(world)))
    with pytest.raises(SignatureError, match="another root"):
        judge_issuer(convicting, World("another").root.public_key)
    judge_issuer(convicting, root)


def test_conflict_of_keys_is_strict(world):
    alice, forger = world.signer(), second_key(world)
    conflict = KeyConflict(statement(alice), statement(forger))
    true = fields_of(conflict, CONFLICT_FIELDS)
    swapped = {
        a + i: true[a + j] for a in ("X", "context", "transcript", "signature") for i, j in ("12", "21")
    }
    lies = [
        swapped, {"tag": b"SOTTOVOCE-V1-EVIDENCE"}, {"suite": 2}, {"suite": b"\1"}, {"X2": true["X1"]},
        {"X1": bytes(48)}, {"identity": b""}, {"context1": b"packets"}, {"context2": b"\xff"},
        {"transcript1": b""}, {"signature2": bytes(177)}, {"params": b""}, {"params": true["params"][:-1]},
        {"params": flip(true["params"], 100)},
        {"params": world.params[Mode.BLIND].to_bytes(), "identity": b""},
    ]  # fmt: skip
    for lie in lies:
        with pytest.raises(DecodeError):
            KeyConflict.from_bytes(forged(conflict, CONFLICT_FIELDS, **lie))
    encoded = conflict.to_bytes()
    for bad in (encoded[:-1], encoded + b"\0", encoded + bytes(4), b"", encoded[4:]):
        with pytest.raises(DecodeError):
            KeyConflict.from_bytes(bad)
    with pytest.raises(TypeError):
        KeyConflict.from_bytes(None)
    with pytest.raises(TypeError):
        KeyConflict(conflict.first, alice.public_key)
    with pytest.raises(TypeError):
        judge_issuer(encoded, world.root.public_key)
    with pytest.raises(TypeError):
        judge_issuer(conflict, None)


def test_traceable_pseudonyms_convict_too(world):
    tom = world.signer("tom", Mode.TRACEABLE)
    forger = second_key(world, tom.identity, Mode.TRACEABLE)
    judge_issuer(KeyConflict(statement(tom), statement(forger)), world.root.public_key)


def test_two_sets_of_parameters_convict_the_root(world):
    """What a TrustStore refuses, anybody can judge; and an honest root is safe."""
    root_key, root = world.root, world.root.public_key
    first = world.params[Mode.IDENTITY]
    careless = RootKey(root_key._key)  # forgets what it has signed
    times = {"not_before": NOT_BEFORE, "not_after": NOT_AFTER}
    twin = MasterKey.generate(careless, Mode.IDENTITY, first.epoch, **times).params
    later = MasterKey.generate(careless, Mode.IDENTITY, b"2026-W48", **times).params
    store = TrustStore(root)
    store.add(first)
    with pytest.raises(ParamsConflict) as caught:
        store.add(twin)
    assert judge_params(caught.value.first, caught.value.second, root) == (first, twin)
    body = later.to_bytes()[:-64].replace(later.Y.to_compressed_bytes(), first.Y.to_compressed_bytes())
    same_y = EpochParams.from_bytes(body + root_key._key.sign(body), root)
    assert judge_params(same_y.to_bytes(), first.to_bytes(), root) == (same_y, first)
    for other in (first, later, world.params[Mode.BLIND]):
        with pytest.raises(EvidenceError, match="no conflict"):
            judge_params(first.to_bytes(), other.to_bytes(), root)
    with pytest.raises(DecodeError, match="another root"):
        judge_params(first.to_bytes(), World("another").params[Mode.IDENTITY].to_bytes(), root)
    with pytest.raises(DecodeError, match="does not verify"):
        judge_params(first.to_bytes(), flip(twin.to_bytes(), 100), root)
    with pytest.raises(TypeError):
        judge_params(first, twin, root)
