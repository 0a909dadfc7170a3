"""A whole round over the services: everything that crosses a process is an HTTP request."""

import asyncio

import numpy as np
import pytest

from sottovoce.fl import SignedHeader
from sottovoce.he import ModelLayout
from support.fl_federation import DEVICE, MODEL, member_name, update_of
from support.fl_http import N_RELAYS, HttpFederation

CLIENTS = range(4)


def run(fed, **options):
    """One round of four clients; gives the federation and each client with its verified result."""

    async def whole():
        async with HttpFederation(fed, **options) as http:
            sent = await asyncio.gather(*(http.submit(i) for i in CLIENTS))
            assert all(delivery.taken == N_RELAYS for _, _, delivery in sent)
            signed_header = (
                await http.courier().header() if http.aggregator.status.state == "collecting" else None
            )
            results = []
            for client, sealed, _ in sent:
                published = await http.courier(http.urls[-1]).result(sealed.header, wait_s=20)
                signed_header = signed_header or (await http.call("aggregator", "GET", "/v1/header"))[1]
                results.append((client, sealed, client.read_result(signed_header, published)))
            await http.until(http.aggregator.finished.is_set)
            return http, results

    return asyncio.run(whole())


def plain_mean():
    updates = [update_of(i) for i in CLIENTS]
    return [np.mean([u[k].astype(float) for u in updates], axis=0) for k in range(len(MODEL))]


@pytest.fixture(scope="module")
def done(fed):
    return run(fed)


def test_a_round_gives_the_mean_and_every_client_finds_itself_in_it(done):
    http, results = done
    layout = ModelLayout.of(MODEL)
    for client, _, result in results:
        assert client.included(result)
        for mean, expected in zip(layout.unflatten(result.mean), plain_mean(), strict=True):
            np.testing.assert_allclose(mean, expected, atol=1e-4)
    assert http.aggregator.status.state == "ended"
    # Three of four are needed; the fourth's answer may be there in time, and is not looked at.
    *rest, a, b, c = sorted(http.aggregator.status.members.values(), key="answered".__eq__)
    assert {a, b, c} == {"answered"}
    assert set(rest) < {"not waited for", "answer not opened"}
    for model, old, mean in zip(http.aggregator._model, MODEL, plain_mean(), strict=True):
        np.testing.assert_allclose(model, old + mean, atol=1e-4)


def test_relays_see_nothing_that_tells_whose_shard_it_is_or_which_belong_together(done):
    http, results = done
    header = results[0][1].header
    secret = [member_name(j) for j in range(1, 8)] + [DEVICE.format(i).encode() for i in range(12)]
    for client, sealed, _ in results:
        key = client._key.public_key
        secret += [
            client.pid,
            client.pid.hex().encode(),
            key.to_bytes(),
            sealed.packet[:64],
            sealed.packet[-64:],
        ]
    groups = [part for group in http.aggregator._open.role._collection.shards._finished for part in group]
    secret += [part for part in groups if isinstance(part, bytes)]
    assert len(secret) > len(groups) // 4 >= len(CLIENTS)
    for i in range(N_RELAYS):
        posts = http.net.of(f"relay-{i}", "POST")
        assert len(posts) == len(CLIENTS)
        for request in http.net.of(f"relay-{i}"):
            everything = b"\n".join(
                [request.path.encode(), *(n + b":" + v for n, v in request.headers), request.body]
            )
            assert not [s for s in secret if s in everything]
        # All alike but for the shard: no user agent, no cookie, nothing that differs between clients.
        assert len({r.body for r in posts}) == len(posts)
        assert len({len(r.body) for r in posts}) == 1
        assert {tuple(r.headers) for r in posts} == {
            ((b"Host", f"relay-{i}".encode()), (b"Content-Length", str(len(posts[0].body)).encode()))
        }
    assert header.shard_n == N_RELAYS
    # No 8 bytes of one client's shards are in another shard of it, on any two relays: nothing to join on.
    bodies = [r.body for i in range(N_RELAYS) for r in http.net.of(f"relay-{i}", "POST")]
    windows = [{body[k : k + 8] for k in range(len(body) - 8)} for body in bodies]
    for a in range(len(windows)):
        for b in range(a + 1, len(windows)):
            assert not windows[a] & windows[b]


def test_a_relay_may_forward_to_another_relay_and_a_member_may_be_away(fed):
    async def whole():
        async with HttpFederation(fed, n_members=5, chain=True) as http:
            await http.courier().header(wait_s=20)
            http.net.down.add("member-3")
            await asyncio.gather(*(http.submit(i) for i in CLIENTS))
            await http.until(http.aggregator.finished.is_set)
        return http

    http = asyncio.run(whole())
    status = http.aggregator.status
    assert status.results == 1
    assert status.members["committee member number 3"] == "does not answer"
    assert sorted(status.members.values()).count("answered") == 4
    # Through relay-2 by way of relay-1: of each packet still one shard only arrived by the client's own hand.
    assert http.relays[1].counts["taken"] == 2 * len(CLIENTS)


def test_rounds_follow_each_other_on_the_new_model(fed):
    async def whole():
        async with HttpFederation(fed, plan={"rounds": 2, "close_at": 3}) as http:
            first = (await asyncio.gather(*(http.submit(i) for i in range(3))))[0][1].header
            courier = http.courier()
            signed_header = await courier.header(wait_s=20, after=first.round_number)
            header = SignedHeader.from_bytes(signed_header, fed.trust()).header
            model = await courier.model(header)
            for i in range(3):
                sealed = http.client(i).seal(signed_header, model, update_of(i + 3))
                await courier.deliver(sealed, http.urls)
            await http.until(http.aggregator.finished.is_set)
            return first, header, http.aggregator.status

    first, header, status = asyncio.run(whole())
    assert (first.round_number, header.round_number, status.results) == (1, 2, 2)
    assert first.model != header.model
