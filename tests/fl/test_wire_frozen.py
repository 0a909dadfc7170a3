"""The tripwire: digests of every message that fixed seeds determine.

A changed digest means that other versions no longer read what this one writes: raise the version of the
message, and say so in the changelog.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sottovoce import clsc, he, rs
from sottovoce.fl import (
    CheckReply,
    ContributorSet,
    Conviction,
    Manifest,
    MemberShare,
    RoundHeader,
    ServerIdentity,
    Update,
    model_digest,
    revocation_digest,
    update_packet_bytes,
)
from sottovoce.fl.sizes import manifest_bytes, member_packet_bytes
from sottovoce.fl.wire import associated_data, set_root
from sottovoce.he import kahe
from support.clsc_world import NOT_AFTER, World

VECTORS = Path(__file__).parents[1] / "vectors"
MODEL = [np.arange(12, dtype=np.float32).reshape(3, 4) / 16, np.array([-1.5, 2.25])]


def server(world, name):
    return ServerIdentity(world.signer(name).public_key, world.receiver(name).public_key)


@pytest.fixture(scope="module")
def header():
    world = World("frozen fl", epoch=b"2027-W02")
    layout = he.ModelLayout.of(MODEL)
    params = kahe.Params(
        "RLWE_128_N2048_Q50", n_slots=layout.size + 1, value_bits=16, max_summands=64, n_members=4
    )
    return RoundHeader(
        aggregator=server(world, "aggregator"),
        members=tuple(server(world, f"member-{j}") for j in range(1, 5)),
        epoch=b"2027-W02",
        round_number=7,
        sender_params=world.params[clsc.Mode.BLIND].params_id,
        committee_params=world.params[clsc.Mode.IDENTITY].params_id,
        revoked=revocation_digest(frozenset({bytes(16)})),
        layout=layout,
        model=model_digest(MODEL),
        clip=0.5,
        value_bits=16,
        max_examples=1000,
        set_name="RLWE_128_N2048_Q50",
        wire_bits=params.wire_bits,
        min_contributors=8,
        max_contributors=64,
        shard_key=bytes(range(32)),
        shard_k=3,
        shard_n=5,
        packet_bytes=update_packet_bytes(params),
        deadline=NOT_AFTER - 7200,
        audit_deadline=NOT_AFTER,
    )


@pytest.fixture(scope="module")
def messages(header):
    params, pid = header.kahe_params, bytes(range(16))
    key = kahe.OneTimeKey._generate_derand(params, bytes(range(32)), bytes(32))
    ciphertext = key.encrypt(np.arange(params.n_slots) - 3)
    proof, shares = key.share(pid)
    manifest = Manifest(header.hash, pid, ciphertext.digest, proof)
    packets = tuple(bytes([j]) * member_packet_bytes(params) for j in range(1, 5))
    cases = json.loads((VECTORS / "clsc" / "evidence.json").read_text())["tests"]
    shown = next(case for case in cases if case["result"] == "valid" and case["strength"] == 3)
    evidence = clsc.Evidence.from_bytes(bytes.fromhex(shown["evidence"]))
    conviction = Conviction(header.hash, 2, packets[1], evidence, manifest)
    agreed = ContributorSet(bytes([1]) * 32, bytes([2]) * 32, 9)
    return {
        "model digest": model_digest(MODEL),
        "revocation digest": revocation_digest(frozenset({bytes(16), bytes(range(16))})),
        "header": header.to_bytes(),
        "header hash": header.hash,
        "manifest": manifest.to_bytes(),
        "manifest digest": manifest.digest,
        "member share": MemberShare(2, manifest.digest, shares[1]).to_bytes(),
        "update": Update(manifest, ciphertext, packets).to_bytes(),
        "set root": set_root(header.hash, [(pid, manifest.digest), (b"\xff" * 16, bytes(32))]),
        "check": CheckReply(bytes(32), (pid, b"\xff" * 16)).to_bytes(),
        "conviction": conviction.to_bytes(),
        "conviction without a manifest": replace(conviction, manifest=None).to_bytes(),
        "check with a conviction": CheckReply(bytes(32), (evidence.sender.pid,), (conviction,)).to_bytes(),
        "answered text": agreed.signed_text(header.hash),
        "associated data": associated_data(header.hash, "share", 3),
        "associated data of packets": associated_data(header.hash, "packet"),
    }


FROZEN = {
    "model digest": "7865f3f52f7049d144e7ef971eb1051239f1f98601b75e07b27bdb5a57b477db",
    "revocation digest": "5b6050b40701a540d21efd250979f15cca4b48a5680564390795012b2988f036",
    "header": "6fab2f5f5a0c500eab202f07473b8b1f058f48a45004f4840e2d81869b71f006",
    "header hash": "1f3bc6d110a38821509838ed3c25d16cf9a1cf6320c3938e74dca2321a2704a2",
    "manifest": "1d21fa6c4ea05859d6a74341ee392aca150a9f0ff39329d0961726784b918384",
    "manifest digest": "c728f92829289ea251a61d67141791059a69f69e91a5bc07ac0a356bb84b1958",
    "member share": "56a55021b64a23af61027a92087dbdd752ba7d4c494822ced686f377700ad63d",
    "update": "1e56c8ea08150134dd70f53aef999f5968b7758ced09e740b2061100948860d6",
    "set root": "6d3063e9adb9697862513f658db5eb15f59772d8d92257175a349462a77a5d7a",
    "check": "e15f8ba9a00fd9e3298d89913edb4e30f069b7a1c00b8a46742bb762b192ab89",
    "conviction": "f6acb0842a947e89b934d949a394ba7173537fb866395bd9d92f1da004c4c9ba",
    "conviction without a manifest": "837aa3a54fb9938a4edc2d8dcdebd0343fa91b3490c4df2067d8211b03a34e07",
    "check with a conviction": "3befa80fa6357a43a7cb7001f8b72b70116ee4d8854d182662f8f4d76332b854",
    "answered text": "c352adee1687cb86a0501f70faeb62e3b04bb44d44466a88cc6b8ec0b24d66a9",
    "associated data": "aaaaff5da1e5451fa807eb9f5737e5570670b3e1b5a65977f2b07dea0eb51788",
    "associated data of packets": "54683c75a4fb9d250085ffaeda9efff50dd875558cc2094f4f887e9b185c7d81",
}


@pytest.mark.parametrize("name", [*FROZEN])
def test_wire_frozen(messages, name):
    assert hashlib.sha256(messages[name]).hexdigest() == FROZEN[name]


def test_every_message_is_frozen(messages):
    assert messages.keys() == FROZEN.keys()


def test_lengths_are_what_the_public_parameters_say(header, messages):
    params = header.kahe_params
    assert len(messages["manifest"]) == manifest_bytes(params)
    plain = 12 + 36 + 4 + params.share_bytes
    assert len(messages["member share"]) == plain
    assert member_packet_bytes(params) == clsc.packet_bytes(plain, 1)
    assert update_packet_bytes(params) == clsc.packet_bytes(len(messages["update"]), 1)
    assert rs.shard_bytes(header.packet_bytes, 3, 5) * 3 > header.packet_bytes
