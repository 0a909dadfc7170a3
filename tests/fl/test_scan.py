"""What an eavesdropper finds in the bytes of every message: no value, no name, no secret, no pseudonym."""

import numpy as np
import pytest

from sottovoce.fl import Sealed as OneSealed
from support.fl_federation import AGGREGATOR_NAME, DEVICE, LAYOUT, MODEL, craft, member_name, update_of


@pytest.fixture(scope="module")
def traffic(fed, sealed):
    """Kind of message -> all of its bytes, of one whole round."""
    aggregator, members = sealed.aggregator(), sealed.members()
    requests = aggregator.close()
    checks = {j: members[j].check(sealed.signed, requests[j]) for j in members}
    for j, check in checks.items():
        aggregator.receive_check(j, check)
    final = aggregator.settle()
    answers = {j: members[j].answer(sealed.signed, final[j]) for j in final}
    for j, answer in answers.items():
        aggregator.receive_answer(j, answer)
    result = aggregator.publish(aggregator.open())
    shards = [s for p in sealed.packets for s in OneSealed(sealed.header, p).shards()]
    return {
        "header": [sealed.signed],
        "packets": list(sealed.packets),
        "shards": shards,
        "requests": list(requests.values()),
        "checks": list(checks.values()),
        "answers": list(answers.values()),
        "result": [result],
    }


def secrets_of(key):
    yield key._d_bytes
    x = key._x.to_bytes(32, "big")
    yield x
    yield x[::-1]


def test_no_secret_key_anywhere(fed, traffic):
    keys = [*fed.client_keys, fed.aggregator_keys.sign, fed.aggregator_keys.decrypt]
    keys += [k for server in fed.member_keys for k in (server.sign, server.decrypt)]
    needles = [needle for key in keys for needle in secrets_of(key)]
    for messages in traffic.values():
        for message in messages:
            assert not any(needle in message for needle in needles)


def plain_values(sealed):
    """Every form in which an update could stand in a message."""
    for i, encoded in enumerate(sealed.encoded):
        yield encoded[:8].astype("<i8").tobytes()
        yield encoded[:8].astype("<i2").tobytes()
        yield encoded[:8].astype(">i2").tobytes()
        for array in update_of(i):
            flat = array.reshape(-1)[:2]
            if len(flat) == 2:
                yield flat.tobytes()
        flat = LAYOUT.flatten(update_of(i))
        yield flat[:2].astype("<f4").tobytes()
        yield flat[:2].tobytes()


def test_no_plaintext_anywhere(sealed, traffic):
    needles = list(plain_values(sealed))
    assert all(len(needle) >= 8 for needle in needles)
    for messages in traffic.values():
        for message in messages:
            assert not any(needle in message for needle in needles)


def test_the_scanner_finds_what_is_there(fed, sealed):
    """A control: a careless client is found out."""
    needles = list(plain_values(sealed))
    naive = b"header" + sealed.encoded[3].astype("<i2").tobytes()
    assert any(needle in naive for needle in needles)
    assert fed.pids[0] in sealed.update(0).manifest.to_bytes()


@pytest.mark.parametrize("kind", ["packets", "shards", "checks", "answers"])
def test_sealed_messages_name_nobody(fed, traffic, kind):
    """Neither pseudonyms nor public keys, nor names of devices or servers."""
    needles = [*fed.pids, AGGREGATOR_NAME, *(member_name(j) for j in range(1, 8)), b"device-of", b"example"]
    needles += [DEVICE.format(i).encode() for i in range(12)]
    needles += [key.public_key.X for key in fed.client_keys]
    for server in (fed.aggregator_keys, *fed.member_keys):
        needles += [server.sign.public_key.X, server.decrypt.public_key.X]
    for message in traffic[kind]:
        assert not any(needle in message for needle in needles)


def test_no_message_names_a_device(traffic):
    for messages in traffic.values():
        for message in messages:
            assert b"device-of" not in message


def test_shards_do_not_show_round_group_or_packet(sealed, traffic):
    seen = set()
    for shard in traffic["shards"]:
        assert sealed.header.hash not in shard
        assert sealed.header.shard_key not in shard
        for i in range(0, len(shard) - 16, 16):
            assert shard[i : i + 16] not in seen
        seen.update(shard[i : i + 16] for i in range(0, len(shard) - 16, 16))
    assert len({len(s) for s in traffic["shards"]}) == 1


@pytest.mark.parametrize("kind", ["packets", "shards", "requests", "checks", "answers"])
def test_lengths_do_not_tell_clients_or_members_apart(traffic, kind):
    assert len({len(message) for message in traffic[kind]}) == 1


def test_length_does_not_depend_on_the_update(fed, sealed):
    lengths = set()
    for values in (np.zeros(51, np.int64), np.full(51, 2**15 - 1)):
        lengths.add(len(craft(fed, sealed.header, fed.client_keys[7], values)[0]))
    for scale in (0.0, 1e-6, 1e6):
        lengths.add(len(fed.client(0).seal(sealed.signed, MODEL, update_of(0, scale)).packet))
    assert lengths == {sealed.header.packet_bytes}
