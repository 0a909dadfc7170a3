"""What services refuse, with which status, and that nothing has changed after it."""

import asyncio
import threading

import numpy as np
import pytest
from starlette.responses import PlainTextResponse

from sottovoce._ext import cbor
from sottovoce._ext.enc import enc
from sottovoce.fl import (
    DecodeError,
    MemoryAggregatorStore,
    ProtocolError,
    Reason,
    SignedHeader,
    SqliteAggregatorStore,
)
from sottovoce.fl.http.asking import Patience
from sottovoce.fl.http.base import RoleThread, cbor_answer
from sottovoce.fl.http.state import RoundFolder
from support.fl_federation import MODEL, NOW, update_of
from support.fl_http import HttpFederation

TOKEN = b"a token of the operator"


def run(fed, work, **options):
    """``work(http, signed_header)`` while the round collects; gives the federation."""

    async def whole():
        async with HttpFederation(fed, plan={"close_at": 0}, **options) as http:
            await work(http, await http.courier().header(wait_s=20))
        return http

    return asyncio.run(asyncio.wait_for(whole(), 60))


def test_the_aggregator_refuses_and_stays_as_it_was(fed):
    async def work(http, _):
        before = http.aggregator.status
        size = http.aggregator._open.shard_bytes
        for method, path, body, status in (
            ("POST", "/v1/shard", b"", 400),
            ("POST", "/v1/shard", b"x" * (size - 1), 400),
            ("POST", "/v1/shard", b"x" * (size + 1), 413),
            ("GET", "/v1/shard", b"", 405),
            ("POST", "/v1/close", b"", 403),
            ("POST", "/v1/close", b"x", 413),
            ("GET", "/v1/result/" + "0" * 64, b"", 404),
            ("GET", "/v1/result/..%2fround", b"", 404),
            ("GET", "/nothing", b"", 404),
        ):
            assert (await http.call("aggregator", method, path, body))[0] == status, path
        await asyncio.sleep(0.3)
        assert http.aggregator.status == before
        # Of the right length, and no shard: taken, counted, forgotten.
        assert (await http.call("aggregator", "POST", "/v1/shard", b"x" * size))[0] == 202
        await http.until(lambda: http.aggregator.status.refused == {"shard: unopenable": 1})
        assert http.aggregator.status.accepted == 0

    run(fed, work)


def test_collecting_ends_on_command_of_who_has_the_token(fed):
    async def work(http, _):
        bearer = {"authorization": "Bearer " + TOKEN.decode()}
        for i in range(3):
            assert (await http.call("aggregator", "POST", "/v1/close", **bearer))[0] == 409
            await http.submit(i)
        await http.until(lambda: http.aggregator.status.accepted == 3)
        wrong = {"authorization": "Bearer " + TOKEN.decode() + "x"}
        assert (await http.call("aggregator", "POST", "/v1/close", **wrong))[0] == 403
        assert (await http.call("aggregator", "POST", "/v1/close", **bearer))[0] == 202
        await http.until(http.aggregator.finished.is_set)
        assert http.aggregator.status.results == 1
        size = http.aggregator._open.shard_bytes
        assert (await http.call("aggregator", "POST", "/v1/shard", b"x" * size))[0] == 409

    run(fed, work, control_token=TOKEN)


def test_the_status_says_what_the_page_says(fed):
    async def work(http, _):
        status, body = await http.call("aggregator", "GET", "/v1/status")
        fields = cbor.loads(body)
        assert status == 200
        assert (fields["state"], fields["round"], fields["needed"]) == ("collecting", 1, 3)
        assert fields["members"] == {f"committee member number {j}": "signed the header" for j in range(1, 5)}

    run(fed, work)


def test_a_member_refuses_and_has_signed_nothing_more(fed):
    async def work(http, signed_header):
        counts = {**http.members[0].counts}
        request = b"not a request"
        for path, body, status in (
            ("/v1/cosign", b"", 400),
            ("/v1/cosign", b"\xa0", 400),
            ("/v1/cosign", signed_header[:-1], 400),
            ("/v1/cosign", b"x" * (1 << 19), 413),
            ("/v1/check", b"", 400),
            ("/v1/check", signed_header, 413),  # its first bytes say: longer than any header
            ("/v1/check", enc(signed_header), 400),
            ("/v1/check", enc(signed_header, request), 400),
            ("/v1/answer", enc(signed_header, request), 400),
            ("/v1/answer", enc(signed_header, request, request), 400),
            ("/v1/answer", enc(signed_header, request) + b"x", 400),
            ("/v1/answer", enc(signed_header, b"x" * (1 << 22)), 413),
            ("/v1/answer", enc(b"no header", request), 400),
        ):
            assert (await http.call("member-1", "POST", path, body))[0] == status, (path, body[:20])
        # The header again, which it has signed: the same answer, no error.
        assert (await http.call("member-1", "POST", "/v1/cosign", signed_header))[0] == 200
        other = fed.sign(fed.header(4, round_number=1))
        assert (await http.call("member-1", "POST", "/v1/cosign", other))[0] == 409
        late = fed.sign(fed.header(4, round_number=2, deadline=NOW - 3600))
        assert (await http.call("member-1", "POST", "/v1/cosign", late))[0] == 410
        stranger = fed.sign(fed.header(4, round_number=2, aggregator=fed.other_aggregator_keys.public))
        assert (await http.call("member-1", "POST", "/v1/cosign", stranger))[0] == 403
        assert http.members[0].counts["cosigned"] == counts["cosigned"] + 1

    run(fed, work)


def test_a_model_that_is_not_the_one_of_the_header_is_refused(fed):
    async def work(http, signed_header):
        header = SignedHeader.from_bytes(signed_header, fed.trust()).header
        assert len(await http.courier().model(header)) == len(MODEL)
        http.aggregator._use_model([array + 1 for array in MODEL])
        with pytest.raises(ProtocolError, match="model: not the one of the header"):
            await http.courier().model(header)
        http.aggregator._use_model(MODEL[:1])
        with pytest.raises(DecodeError):
            await http.courier().model(header)

    run(fed, work)


def test_a_client_needs_a_relay_for_each_shard(fed):
    async def work(http, signed_header):
        sealed = http.client(0).seal(signed_header, MODEL, update_of(0))
        http.urls = [http.urls[0], http.urls[1], http.urls[1] + "/"]
        with pytest.raises(ValueError, match="relays: 3 expected, one for each shard, got 2"):
            await http.courier().deliver(sealed, http.urls)
        assert http.net.of("relay-0", "POST") == []

    run(fed, work)


def test_one_relay_away_of_three_is_no_matter_and_two_are_told(fed):
    async def work(http, _):
        http.net.down.add("relay-2")
        _, _, one = await http.submit(0, patience_s=0.3)
        assert (one.taken, one.needed, one.enough, list(one.failed)) == (2, 2, True, ["http://relay-2"])
        http.net.down.add("relay-1")
        _, _, two = await http.submit(3, patience_s=0.3)
        assert (two.taken, two.enough) == (1, False)
        await http.until(lambda: http.aggregator.status.accepted == 1)

    run(fed, work)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (None, "does not answer"),
        ("relay-1", "answers 404"),
        ("member-1", Reason.NOT_MEMBER.value),
        (PlainTextResponse("It works!\n"), Reason.MALFORMED.value),
        (cbor_answer({"v": 1, "keys": [b"", b""]}), Reason.MALFORMED.value),
    ],
    ids=["nobody", "a 404", "another name", "a page", "no keys"],
)
def test_a_member_that_was_never_heard_is_asked_again(fed, there, told):
    """What is wrong at one address, and at which, is told, and does not end the series for good."""

    async def whole():
        http = HttpFederation(fed, patience=Patience(ask_s=0.3, more_s=0.3))
        member = http.net.apps.pop("member-2")
        if there is not None:
            http.net.apps["member-2"] = http.net.apps[there] if isinstance(there, str) else there
        async with http:
            await http.until(lambda: http.aggregator.health.troubles["rounds"] >= 2)
            assert not http.aggregator.finished.is_set()
            status, text = await http.call("aggregator", "GET", "/healthz")
            assert (status, text.decode()) == (503, f"rounds: committee: member 2: {told}\n")
            http.net.apps["member-2"] = member
            await http.until(lambda: http.aggregator.status.state == "collecting")
            await http.until(lambda: not http.aggregator.health.reason)

    asyncio.run(whole())


def test_too_few_contributors_fail_the_round_at_the_deadline(fed):
    now = [NOW]

    async def work(http, _):
        await http.submit(0)
        await http.until(lambda: http.aggregator.status.accepted == 1)
        now[0] = NOW + 1201
        await http.until(http.aggregator.finished.is_set)
        assert http.aggregator.status.state == "failed"
        assert http.aggregator.status.error == Reason.TOO_FEW.value

    run(fed, work, clock=lambda: now[0])


def test_an_aggregator_that_restarts_goes_on_collecting(fed, tmp_path):
    async def first(store):
        async with HttpFederation(fed, store=store, folder=tmp_path) as http:
            signed_header = await http.courier().header(wait_s=20)
            shards = http.client(2).seal(signed_header, MODEL, update_of(2)).shards()
            assert (await http.call("relay-0", "POST", "/v1/shard", shards[0]))[0] == 202
            sent = [await http.submit(i) for i in range(2)]
            await http.until(lambda: http.aggregator.status.accepted == 2)
            await http.until(lambda: http.relays[0].counts["forwarded"] == 3)
        return http, sent, shards

    async def second(http, shards, store):
        again = HttpFederation(fed, store=store, folder=tmp_path)
        # The members stay up: only the aggregator's process is new.
        for j, member in enumerate(http.members, 1):
            again.net.apps[f"member-{j}"] = member.app
            member._thread = RoleThread("member")
        async with again:
            await again.until(lambda: again.aggregator.status.accepted == 2)
            # One shard of client 2 was acknowledged before the end; one more completes its packet.
            assert (await again.call("relay-1", "POST", "/v1/shard", shards[1]))[0] == 202
            await again.submit(3)
            await again.until(again.aggregator.finished.is_set)
        return again

    with SqliteAggregatorStore(tmp_path / "store") as store:
        http, sent, shards = asyncio.run(first(store))
    with SqliteAggregatorStore(tmp_path / "store") as store:
        again = asyncio.run(second(http, shards, store))
    client, sealed, _ = sent[0]
    assert again.aggregator.status.header_hash == sealed.header.hash.hex()
    published = (tmp_path / "results" / sealed.header.hash.hex()).read_bytes()
    result = client.read_result(again.aggregator._open.signed_header, published)
    assert result.agreed.count == 4
    assert client.included(result)
    assert list(tmp_path.glob("shards-*")) == []
    # The next process begins with the next number and the new model, and the shard key is gone.
    saved = RoundFolder(tmp_path).load()
    assert (saved.next_round, saved.signed_header, saved.shard_key) == (2, b"", None)
    for array, model in zip(saved.model, again.aggregator._model, strict=True):
        np.testing.assert_array_equal(array, model)


def test_packets_are_erased_after_the_audit_deadline(fed, tmp_path, monkeypatch):
    monkeypatch.setattr("sottovoce.fl.http.erasing._EVERY_S", 0.05)
    now, store = [NOW], MemoryAggregatorStore()

    async def whole():
        async with HttpFederation(fed, store=store, folder=tmp_path, clock=lambda: now[0]) as http:
            await asyncio.gather(*(http.submit(i) for i in range(4)))
            await http.until(http.aggregator.finished.is_set)
            digest = http.aggregator._open.header.hash
            assert len(list(store.accepted(digest))) == 4
            now[0] = http.aggregator._open.header.audit_deadline + 1
            await http.until(lambda: not list(store.accepted(digest)))
        assert list((tmp_path / "audits").iterdir()) == []

    asyncio.run(whole())


@pytest.mark.parametrize("which", ["member", "aggregator"])
def test_the_loop_goes_on_while_a_role_ends(fed, which):
    """What else ends at the same time needs it."""
    begun, go, outcome = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        outcome.append(go.wait(10))

    async def whole():
        http = HttpFederation(fed)
        service = http.aggregator if which == "aggregator" else http.members[0]
        async with service.app.router.lifespan_context(service.app):
            role = asyncio.create_task(service._thread(work))
            while not begun.is_set():  # what waits behind something else is given up at the end
                await asyncio.sleep(0.01)
            asyncio.get_running_loop().call_later(0.2, go.set)
        await role

    asyncio.run(asyncio.wait_for(whole(), 60))
    assert outcome == [True]
