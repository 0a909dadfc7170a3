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
    "header": "f01ef70f0e1f923ccb92d1ddf34571f85cd6a6f415f4906d5f9d2081e1dd6964",
    "header hash": "03abf5401f121b874d735442db3bff72c44d714e44a788a028d7c44bfd6e4239",
    "manifest": "c6be54941c71fe6c53e53aba92ac26a9121689ddff8dc2e45a0a7c2b95115a10",
    "manifest digest": "1efcceb725139b2de35a16d136ac70d0d92163a4b23d256a69856a342a4f8aad",
    "member share": "9b06316212bf8327f4d1b296749001e0c2997c56698568bcf50897d2e5a316a3",
    "update": "6d67a881bd81b8dbfd6692e38b3bfafbf31f44b27ba671e0d2dd9554f6893449",
    "set root": "fb1d21b9835f3ad65719e1d63864fdd3edf5a553c8c79a283e26c367a5063018",
    "check": "e15f8ba9a00fd9e3298d89913edb4e30f069b7a1c00b8a46742bb762b192ab89",
    "conviction": "4390e9f5db38db5bcc770a1e8d239ee147dd7fa01f94f1adde17ce2b846eb828",
    "conviction without a manifest": "edbbe28e7ca090b2b7a221b5f99bd9b2b01ab53a03353d6c5208e306ecccd166",
    "check with a conviction": "3b44b4feadf4753ba6e50ead296abe57fb87dc0bcf67b44d669066c194efe918",
    "answered text": "388b2a8ef713d97d6e3367284ca5c7c19065500171dbcfc43773fd8aa4ef7cab",
    "associated data": "ecddb8414862c056b87f3077a130eda4722b014f318a6a39b175a44ff01f5069",
    "associated data of packets": "c58b9588685d8f0f95cd1bee57f45e355d8111b65f44d7308bb15419adaf8dc6",
}


@pytest.mark.parametrize("name", [*FROZEN])
def test_wire_frozen(messages, name):
    assert hashlib.sha256(messages[name]).hexdigest() == FROZEN[name], (
        f"the bytes of {name!r} changed: undo it, or raise the version of the message, write a Breaking line"
        " with its migration in CHANGELOG.md, change the byte table, and put the new digest here"
    )


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
