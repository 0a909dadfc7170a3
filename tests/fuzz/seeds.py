"""Valid encodings that are stored, by target: see ``make_corpus.py``."""

import json
from functools import cache
from pathlib import Path

import cbor2

from fuzz import world
from sottovoce import clsc
from sottovoce._ext import cbor
from sottovoce._ext.enc import enc
from sottovoce.cli.armor import Label, armor
from sottovoce.clsc import Mode, Strength, Usage, comb, group
from sottovoce.fl import BeaconServer, Roster, SignedHeader, combine_beacon
from support.clsc_dkg import participants
from support.clsc_servers import issue_traceable, traceable_issuer
from support.clsc_world import NOW, Drbg

Seeds = dict[str, dict[str, bytes]]
VECTORS = Path(__file__).resolve().parents[1] / "vectors"


def seeds() -> Seeds:
    found: Seeds = {}
    for part in (_ext, _published, _judged, _dkg, _issuing, _sealed, _rounds):
        found |= part()
    return found


def _ext() -> Seeds:
    values = {
        "map": {"a": 1, "b": [b"bytes", "text", -5, True, None], "cc": {"": 1.5}},
        "numbers": [0, 23, 24, 255, 256, 1 << 16, 1 << 32, (1 << 64) - 1, -(1 << 64), 1.1, 0.0, 65504.0],
        "deep": [[[[[[[1]]]]]]],
    }
    from fuzz.targets.ext import seal_cheaply
    from sottovoce._ext.sqlite_file import MARK_TAG

    return {
        "ext/cbor": {name: cbor.dumps(value) for name, value in values.items()},
        "ext/enc": {"some": enc("tag", 5, b"", b"bytes"), "none": b""},
        "ext/key-file": {"cheap": seal_cheaply(b"body")},
        "ext/mark": {"mark": enc(MARK_TAG, bytes(range(16)), 3)},
    }


def _published() -> Seeds:
    people, root = world.people(), world.people().root
    servers = world.servers(Mode.BLIND)
    identity = people.params[Mode.IDENTITY]
    # Another root object of the same seed: one object refuses to sign an epoch twice.
    again = clsc.RootKey._from_seed_derand(Drbg("fuzz/root")(32))
    second = clsc.MasterKey._generate_derand(
        again, Mode.IDENTITY, identity.epoch, identity.not_before, identity.not_after, Drbg("second")
    )
    lists = {n: [bytes([i]) * 16 for i in range(n)] for n in (0, 1, 5)}
    admission = [key.public_key for key in servers.admission_keys.values()]
    return {
        "clsc/params": {
            **{str(mode): people.params[mode].to_bytes() for mode in Mode},
            "servers": servers.params.to_bytes(),
        },
        "clsc/params-conflict": {"second": second.params.to_bytes()},
        "clsc/public-key": {
            f"{mode}-{usage}": people.key("someone", usage, mode).public_key.to_bytes()
            for mode in Mode
            for usage in Usage
        },
        "clsc/revocations": {
            f"of-{n}": clsc.RevocationList.sign(
                root, identity.params_id, number=n + 1, issued_at=NOW, pids=pids
            ).to_bytes()
            for n, pids in lists.items()
        },
        "clsc/notice": {"notice": clsc.sign_notice(root, "fuzz", b"a body")},
        "clsc/admission-keys": {"keys": clsc.sign_admission_keys(root, servers.params, admission)},
        "clsc/g1": {"one": group.P1.to_compressed_bytes(), "five": comb.p1_mul(5).to_compressed_bytes()},
        "clsc/g2": {"one": group.P2.to_compressed_bytes(), "five": comb.p2_mul(5).to_compressed_bytes()},
        "clsc/scalar": {"one": group.scalar_to_bytes(1), "last": group.scalar_to_bytes(group.ORDER - 1)},
        "clsc/bls-key": {"key": world.beacon_shares()[0].public_key.to_bytes()},
        "cli/armour": {
            "root": armor(Label.ROOT, root.public_key).encode(),
            "params": armor(Label.PARAMS, identity.to_bytes()).encode(),
        },
    }


@cache
def _judged() -> Seeds:
    people = world.people()
    to = [people.receiver(name).public_key for name in ("bob", "carol")]
    shown = clsc.signcrypt(b"I owe bob 5", sender=people.signer(), receivers=to, ad=b"fuzz")
    strongest = clsc.make_evidence(
        shown, receiver=people.receiver(), trust=people.trust, ad=b"fuzz", strength=Strength.ADDRESSED
    )
    forger = people.make_key("the issuer's own", Usage.SIGN, Mode.IDENTITY, identity=b"alice")
    conflict = clsc.KeyConflict(
        *(
            clsc.SignedStatement.of_message(key.public_key, b"m", clsc.sign(key, b"m"))
            for key in (people.signer(), forger)
        )
    )
    at = traceable_issuer(people)
    pseudonym = issue_traceable(at, people.signer())
    return {
        "clsc/evidence": {str(s.name).lower(): strongest.weakened(s).to_bytes() for s in Strength},
        "clsc/conflict": {"conflict": conflict.to_bytes()},
        "clsc/trace": {"trace": at.trace(pseudonym.public_key).to_bytes()},
        "clsc/packet": {"judged": shown},
    }


def _dkg() -> Seeds:
    """The messages of a run among three servers, one of which is accused by a second."""
    from sottovoce.clsc import dkg_messages

    data = json.loads((VECTORS / "clsc" / "dkg.json").read_text())
    found: Seeds = {}
    for case in data["tests"]:
        if case["result"] == "valid":
            kind = next(k for k in vars(dkg_messages).values() if getattr(k, "KIND", None) == case["kind"])
            folder = found.setdefault(f"clsc/dkg-{kind.NAME.replace(' ', '-')}", {})
            if len(folder) < 2:
                folder[f"vector-{case['tcId']}"] = bytes.fromhex(case["input"])
    from support.clsc_dkg import Net

    results = Net(participants(world.dkg())).run()
    public = next(iter(results.values())).public
    return {**found, "clsc/dkg-public": {"result": public.to_bytes()}}


def _issuing() -> Seeds:
    from fuzz.targets.clsc_issuing import asked
    from sottovoce.clsc import keybody

    people = world.people()
    keys = {
        "root": people.root,
        "master": people.master[Mode.BLIND],
        "share": world.servers(Mode.BLIND).shares[0],
        "secret": people.signer(),
        "admission": world.servers(Mode.BLIND).admission_keys[1],
        "tracing": world.tracing(),
        "bls": world.beacon_shares()[0],
        **{f"request-{mode}": asked(mode)[1] for mode in Mode},
    }
    bodies = {name: keybody.encode(key) for name, key in keys.items()}
    return {
        "clsc/request": {str(mode): asked(mode)[2] for mode in Mode},
        "clsc/key-body": {name: body for name, body in bodies.items() if body is not None},
    }


def _sealed() -> Seeds:
    people = world.people()
    to = [people.receiver(name).public_key for name in ("carol", "bob")]
    packets = {
        "judged": _judged()["clsc/packet"]["judged"],
        "padded": clsc.signcrypt(
            b"x" * 100,
            sender=people.signer(mode=Mode.BLIND),
            receivers=to,
            ad=b"fuzz",
            pad=True,
            dummy_slots=1,
        ),
        "empty": clsc.signcrypt(b"", sender=people.signer(), receivers=to[1:], ad=b"fuzz"),
    }
    shares = world.beacon_shares()
    message = b"what was signed"
    combined = shares[0].public_key.combine(message, {s.index: s.sign(message) for s in shares[:2]})
    return {
        "clsc/packet": packets,
        "clsc/signature": {"signature": clsc.sign(people.signer(), message)},
        "clsc/bls-signature": {"signature": combined.signature},
    }


def _rounds() -> Seeds:
    from fuzz.targets.fl import result

    header, keys = world.header(), world.server_keys
    proposal = SignedHeader.propose(header, keys("aggregator"))
    signed = proposal.with_members({j: header.sign(keys(f"member-{j}")) for j in (1, 2, 4)})
    roster = Roster(
        epoch=b"2027-W02",
        version=1,
        first_round=1,
        committee=4,
        view_s=600,
        beacon_key=world.beacon_shares()[0].public_key,
        peers=tuple(sorted((keys(f"peer-{i}").public for i in range(6)), key=lambda peer: peer.name)),
    )
    parts = {
        s.index: BeaconServer(s, b"2027-W02", first_round=1).end_round(0) for s in world.beacon_shares()[:2]
    }
    beacon, _ = combine_beacon(world.beacon_shares()[0].public_key, b"2027-W02", 1, parts)
    assert cbor2.loads(beacon.to_bytes())["round"] == 1
    return {
        "fl/header": {"header": header.to_bytes()},
        "fl/signed-header": {"signed": signed.to_bytes()},
        "fl/proposal": {"proposal": proposal.to_bytes(), "signed": signed.to_bytes()},
        "fl/roster": {"roster": roster.sign(world.people().root)},
        "fl/result": {"result": result()},
        "fl/beacon": {"beacon": beacon.to_bytes()},
    }
