"""What stands before every service: rates, places, lengths, and what is too slow."""

import asyncio
import io
import json
import logging

import pytest

from sottovoce.fl import Member
from sottovoce.fl.http import MemberService
from sottovoce.fl.http.guard import Buckets, Limits
from sottovoce.fl.http.logs import log_to
from sottovoce.fl.http.pace import Pace
from support.fl_relay import BEGUN, SIZE, Hop, raw, run, send, shards


def test_one_address_gets_its_rate_and_no_more():
    async def work(relay, net, hop):
        statuses = [await send(net, shard) for shard in shards(6)]
        assert statuses[:3] == [202, 202, 202]
        assert set(statuses[3:]) == {429}
        assert await send(net, b"", "/healthz", "GET") == 200

    run(work, bounds=Limits(rate_per_s=0.01, burst=3), threshold=1000)


def test_buckets_fill_again_and_forget_the_address_heard_first():
    now = [0.0]
    buckets = Buckets(1.0, 2.0, lambda: now[0])
    assert [buckets.take("a") for _ in range(3)] == [True, True, False]
    now[0] = 1.0
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    for i in range(5000):
        buckets.take(str(i))
    assert len(buckets._levels) == 4096


def test_a_body_without_a_length_is_refused_whatever_its_size():
    async def work(relay, net, hop):
        async def pieces():
            for byte in shards(1)[0]:
                yield bytes([byte])

        assert await send(net, pieces()) == 411
        assert (relay._held_bytes, relay.counts["taken"]) == (0, 0)
        assert (
            await raw(relay.app, [{"type": "http.request", "body": b"", "more_body": False}], length=None)
            == 411
        )
        many = [{"type": "http.request", "body": b"x" * SIZE, "more_body": True}] * 2
        assert await raw(relay.app, many) == 413
        assert await raw(relay.app, [{"type": "http.request", "body": b"x", "more_body": False}]) == 400
        for wrong in (b"-1", b"x", b"", b"1" * 30, "\u0662".encode()):
            assert await raw(relay.app, [], length=wrong) == 400
        assert (relay._held_bytes, relay.counts["taken"]) == (0, 0)

    run(work, threshold=1)


def test_a_slow_body_ends_and_holds_no_place_in_the_queue():
    async def work(relay, net, hop):
        begun = {"type": "http.request", "body": b"x", "more_body": True}
        assert await raw(relay.app, [begun]) == 408
        assert relay._held_bytes == 0

    run(work, bounds=Limits(body_seconds=0.1))


def test_a_body_may_be_long_but_not_slow():
    async def work(relay, net, hop):
        part = {"type": "http.request", "body": b"x" * (SIZE // 8), "more_body": True}

        async def trickle(pause_s):
            for i in range(8):
                await asyncio.sleep(pause_s)
                yield {**part, "more_body": i < 7}

        assert await raw(relay.app, trickle(0.15)) == 202  # 1.2 s, longer than a pause may be
        assert await raw(relay.app, trickle(5)) == 408
        assert relay._held_bytes == SIZE

    run(work, bounds=Limits(body_seconds=1, slowest=20), threshold=1000)


def test_a_pace_is_neither_lost_by_bytes_now_and_then_nor_saved_up_by_a_fast_beginning():
    async def dripping():
        pace = Pace(0.1, 1000)
        while True:
            await pace.of(asyncio.sleep(0.02))
            pace.passed(1)

    async def stopping():
        pace = Pace(0.1, 1000)
        pace.passed(1 << 40)
        await pace.of(asyncio.sleep(0))
        await pace.of(asyncio.Event().wait())

    async def working_between():
        pace = Pace(0.1, 1000)
        for _ in range(3):
            await pace.of(asyncio.sleep(0))
            await asyncio.sleep(0.1)

    for slow in (dripping, stopping):
        with pytest.raises(TimeoutError):
            asyncio.run(slow())
    asyncio.run(working_between())


def test_more_at_once_than_allowed_are_refused_and_the_others_go_on():
    async def work(relay, net, hop):
        waiting = [asyncio.create_task(raw(relay.app, [BEGUN], address=f"10.0.0.{i}")) for i in range(2)]
        await asyncio.sleep(0.1)
        assert await send(net, shards(1)[0]) == 503
        assert await send(net, b"", "/healthz", "GET") == 200
        assert [await task for task in waiting] == [408, 408]
        assert await send(net, shards(1)[0]) == 202

    run(work, bounds=Limits(concurrent=2, body_seconds=0.5))


@pytest.mark.parametrize("spread", ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::{}"])
def test_one_address_takes_no_more_than_its_places(spread):
    async def work(relay, net, hop):
        mine = [asyncio.create_task(raw(relay.app, [BEGUN], address=spread.format(i))) for i in range(9)]
        await asyncio.sleep(0.1)
        assert await send(net, shards(1)[0]) == 202  # somebody else
        assert sorted([await task for task in mine]) == [408] * 3 + [503] * 6
        assert (
            await raw(relay.app, [{**BEGUN, "body": shards(2)[1], "more_body": False}], address=spread) == 202
        )

    run(work, bounds=Limits(concurrent=8, per_address=3, body_seconds=0.5))


def test_one_address_cannot_silence_a_member(fed):
    member = MemberService(
        Member(fed.member_keys[0], fed.trust(), fed.policy()), fed.member_keys[0].public, fed.trust()
    )

    async def work():
        slow = [asyncio.create_task(raw(member.app, [BEGUN], path="/v1/check")) for _ in range(8)]
        await asyncio.sleep(0.05)
        assert await raw(member.app, [], method="GET", path="/v1/identity", address="b") == 200
        for task in slow:
            task.cancel()
        assert sorted(map(str, await asyncio.gather(*slow, return_exceptions=True))) == ["", "", *["503"] * 6]

    asyncio.run(asyncio.wait_for(work(), 20))


def test_an_answer_that_is_not_read_is_cut_off_and_holds_no_more_than_a_piece():
    size, given = 1 << 20, []

    async def work(relay, net, hop):
        async def sent(message):
            given.append(len(message.get("body", b"")))
            if len(given) > 4:
                await asyncio.Event().wait()

        cut = []
        await raw(
            relay.app, [], method="GET", path="/v1/model", sent=sent, state={"abort": lambda: cut.append(1)}
        )
        assert (cut, sum(given) <= 4 * (1 << 16), max(given)) == ([1], True, 1 << 16)
        async with net.client() as client:
            text = (await client.get("http://relay/metrics")).text
        assert 'path="/v1/model",role="relay",status="499"} 1.0' in text

    run(work, hop=Hop(model=b"m" * size), bounds=Limits(body_seconds=0.2))


def test_a_long_answer_lets_others_run_and_ends_when_its_reader_is_gone():
    given, turns = [], []

    async def work(relay, net, hop):
        async def others():
            while True:
                turns.append(len(given))
                await asyncio.sleep(0)

        async def sent(message):  # as of a server that takes all at once
            given.append(len(message.get("body", b"")))

        other = asyncio.create_task(others())
        state = {"abort": lambda: None, "is_closing": lambda: len(given) > 8}
        await raw(relay.app, [], method="GET", path="/v1/model", sent=sent, state=state)
        other.cancel()

    run(work, hop=Hop(model=b"m" * (1 << 22)))
    assert len(given) == 9
    assert set(range(9)) <= set(turns)


def test_what_is_underneath_speaks_json_too():
    names = ("sottovoce", "uvicorn.error", "asyncio")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    stream = io.StringIO()
    try:
        log_to(stream)
        for logger in loggers:
            logger.warning("socket.send() raised exception.")
    finally:
        for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["socket.send() raised exception."] * 3


def test_a_sender_that_hangs_up_changes_nothing():
    async def work(relay, net, hop):
        begun = {"type": "http.request", "body": b"x", "more_body": True}
        with pytest.raises(IndexError):  # nobody to answer
            await raw(relay.app, [begun, {"type": "http.disconnect"}])
        assert (relay._held_bytes, relay.counts["taken"]) == (0, 0)

    run(work)
