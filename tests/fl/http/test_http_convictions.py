"""A client that cheats a member which is heard late: the round opens without it, over HTTP too."""

import asyncio
import contextlib
import time

import httpx
import numpy as np
import pytest

from sottovoce.fl import ProtocolError, Reason, SignedHeader, State
from sottovoce.fl.http import MemberService
from sottovoce.fl.http.asking import MemberState, Patience
from sottovoce.fl.http.base import RoleThread
from sottovoce.fl.http.outgoing import quiet_client
from sottovoce.fl.http.rounds import Committee
from support.fl_federation import craft, member_name, wrong_sum


class Away(httpx.AsyncBaseTransport):
    """Members by host name; ``away`` holds the pairs of member and request to which nobody answers.

    ``wrong``: what comes instead of an answer, or a function that changes it.
    """

    def __init__(self, services, away=(), wrong=None):
        self.services, self.away, self.wrong, self.asked = services, set(away), wrong or {}, []
        self.slow, self.until = {}, {}

    async def handle_async_request(self, request):
        j, what = int(request.url.host.removeprefix("member-")), request.url.path.removeprefix("/v1/")
        self.asked.append((j, what))
        if what == "answer":
            self.away.discard((j, "check"))  # it is up again
        if (j, what) in self.away:
            raise httpx.ConnectError("down", request=request)
        await asyncio.sleep(self.slow.get(j, 0))
        while not self.until.get(j, lambda: True)():
            await asyncio.sleep(0.01)
        wrong = self.wrong.get((j, what))
        if isinstance(wrong, bytes):
            return httpx.Response(200, stream=httpx.ByteStream(wrong), request=request)
        answer = await httpx.ASGITransport(self.services[j].app).handle_async_request(request)
        if wrong is None:
            return answer
        changed = httpx.ByteStream(wrong(await answer.aread()))
        return httpx.Response(answer.status_code, stream=changed, request=request)


def services_of(fed, sealed):
    return {
        j: MemberService(member, fed.member_keys[j - 1].public, fed.trust())
        for j, member in sealed.members().items()
    }


def finish(fed, sealed, cheat, away):
    """Member 5 is not heard when the set is checked, member 1 not when it is answered."""
    aggregator = sealed.aggregator([*sealed.packets, cheat])
    services = services_of(fed, sealed)
    net = Away(services, away)

    async def whole():
        role = RoleThread("aggregator")
        try:
            async with quiet_client(transport=net) as client:
                urls = {member_name(j): f"http://member-{j}" for j in services}
                committee = Committee(urls, client, Patience(ask_s=1.5, more_s=0.3))
                return await committee.finish(aggregator, sealed.signed, role)
        finally:
            role.stop()

    return aggregator, net, lambda: asyncio.run(whole())


def test_a_cheat_that_is_found_late_is_taken_out_and_the_mean_is_exact(fed, sealed):
    cheat, _ = craft(fed, sealed.header, fed.client_keys[7], bad_for=[5])
    aggregator, net, run = finish(fed, sealed, cheat, [(5, "check"), (1, "answer")])
    result = run()
    assert sorted(pid for pid, _ in result.entries) == sorted(sealed.pids)
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
    assert [*aggregator.convictions] == [fed.pids[7]]
    assert aggregator.refused[Reason.CONVICTED] == 1
    assert net.asked.count((2, "answer")) == 2  # once for each set


def test_a_packet_that_does_not_open_convicts_nobody_and_the_round_fails_loudly(fed, sealed):
    cheat, _ = craft(fed, sealed.header, fed.client_keys[7], spoiled_for=[5])
    aggregator, _, run = finish(fed, sealed, cheat, [(5, "check"), (1, "answer")])
    with pytest.raises(ProtocolError) as caught:
        run()
    assert caught.value.reason is Reason.NO_QUORUM
    assert not aggregator.convictions


def test_nobody_is_asked_to_check_where_all_is_well(fed, sealed):
    aggregator = sealed.aggregator(sealed.packets)
    net, run = over_http(fed, sealed, [aggregator])
    (result,) = run()
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
    assert len(result.entries) == len(sealed.pids)
    assert sorted(net.asked) == [(j, "answer") for j in range(1, 6)]


def test_after_a_round_without_a_quorum_members_check_first(fed, sealed):
    """One client sends two of five what does not open: it costs a round, and its place in the next ones."""
    cheat, _ = craft(fed, sealed.header, fed.client_keys[7], spoiled_for=[2, 3])
    first, second = (sealed.aggregator([*sealed.packets, cheat]) for _ in range(2))
    net, run = over_http(fed, sealed, [first, second])
    lost, result = run()
    assert lost.reason is Reason.NO_QUORUM
    assert {(2, "check"), (3, "check")} <= set(net.asked)
    assert np.array_equal(second.opened_sum, sealed.sum_of(sealed.pids))
    assert sorted(pid for pid, _ in result.entries) == sorted(sealed.pids)
    assert second.refused[Reason.BAD_SHARES] == 1


def test_junk_that_comes_quickly_does_not_cut_a_slow_member_off(fed, sealed):
    aggregator = sealed.aggregator(sealed.packets)
    net, run = over_http(fed, sealed, [aggregator])
    net.wrong[1, "answer"] = b"junk"
    net.slow[5] = 1.0  # longer than the others get once there are enough
    (result,) = run()
    assert len(result.entries) == len(sealed.pids)
    assert net.asked.count((5, "answer")) == 1


def test_no_more_answers_are_opened_than_the_sum_needs(fed, sealed):
    aggregator = sealed.aggregator(sealed.packets)
    net, run = over_http(fed, sealed, [aggregator])
    # Honest, and not needed: it would count if it were opened.  It is there before the sum is.
    net.until[5] = lambda: len(aggregator.answered) >= 4
    open_when(aggregator, lambda: net.states[member_name(5)] is MemberState.RECEIVED)
    (result,) = run()
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
    assert sorted(result.member_signatures) == sorted(aggregator.answered) == [1, 2, 3, 4]
    assert [net.states[member_name(j)] for j in range(1, 6)] == [*["answered"] * 4, "answer not opened"]


def test_a_member_that_hangs_is_not_waited_for_once_the_sum_opens(fed, sealed):
    """It would be waited for longer than a test may take."""
    aggregator = sealed.aggregator(sealed.packets)
    net, run = over_http(fed, sealed, [aggregator], more_s=3600)
    net.until[5] = lambda: aggregator.state is State.DONE
    (result,) = run()
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
    assert sorted(result.member_signatures) == [1, 2, 3, 4]
    # It was asked, and nobody knows what it would have said.
    assert net.asked.count((5, "answer")) == 1
    assert net.states[member_name(5)] == "not waited for"


def test_an_answer_that_was_not_needed_is_opened_when_another_one_lies(fed, sealed):
    aggregator = sealed.aggregator(sealed.packets)
    net, run = over_http(fed, sealed, [aggregator], more_s=10)
    net.wrong[2, "answer"] = lambda answer: wrong_sum(fed, sealed, 2, answer)
    net.until[5] = lambda: len(aggregator.answered) >= 4
    (result,) = run()
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
    assert sorted(aggregator.answered) == [1, 2, 3, 4, 5]
    assert net.asked.count((5, "answer")) == 1
    assert len(result.entries) == len(sealed.pids)
    assert set(net.states.values()) == {"answered"}


def open_when(aggregator, condition):
    """The sum is not opened before this holds; in the role's thread, while members are heard."""
    really = aggregator.open

    def opened():
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)
        return really()

    aggregator.open = opened


def over_http(fed, sealed, aggregators, more_s=0.3):
    """One committee object over several rounds, each with members that remember nothing of the one before."""
    net = Away({})

    async def whole():
        role, outcomes = RoleThread("aggregator"), []
        try:
            async with quiet_client(transport=net) as client:
                urls = {member_name(j): f"http://member-{j}" for j in range(1, 6)}
                committee = Committee(urls, client, Patience(ask_s=max(2, more_s), more_s=more_s))
                net.states = committee.states
                for aggregator in aggregators:
                    net.services = services_of(fed, sealed)
                    try:
                        outcomes.append(await committee.finish(aggregator, sealed.signed, role))
                    except ProtocolError as error:
                        outcomes.append(error)
        finally:
            role.stop()
        return outcomes

    return net, lambda: asyncio.run(asyncio.wait_for(whole(), 60))


@pytest.mark.parametrize("n_wrong", [1, 2])
def test_a_wrong_co_signature_is_one_that_is_missing(fed, sealed, n_wrong):
    """Four of five are enough, whatever the fifth sends."""
    proposal = SignedHeader.propose(sealed.header, fed.aggregator_keys)
    services = services_of(fed, sealed)
    other = fed.member(1).cosign(proposal.to_bytes())
    net = Away(
        services, wrong={(2, "cosign"): other, (3, "cosign"): b""} if n_wrong == 2 else {(2, "cosign"): other}
    )

    async def whole():
        async with quiet_client(transport=net) as client:
            urls = {member_name(j): f"http://member-{j}" for j in services}
            return await Committee(urls, client, Patience(ask_s=1.5, more_s=0.3)).cosign(proposal)

    if n_wrong == 1:
        signed = asyncio.run(whole()).to_bytes()
        assert SignedHeader.from_bytes(signed, fed.trust()).header == sealed.header
    else:
        with pytest.raises(ProtocolError) as caught:
            asyncio.run(whole())
        assert caught.value.reason is Reason.HEADER_SIGNATURE


def test_members_that_are_silent_do_not_keep_the_others_from_being_heard():
    """Of a large committee as many as may be, and they are asked first; over real connections."""
    n, f, heard = 28, 9, set()

    async def silent(reader, writer):
        await reader.read()
        writer.close()

    async def honest(reader, writer):
        await reader.readuntil(b"\r\n\r\nx")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        writer.close()

    async def take(index, _):
        heard.add(index)

    async def whole():
        async with contextlib.AsyncExitStack() as stack:
            servers = [
                await stack.enter_async_context(await asyncio.start_server(handler, "127.0.0.1", 0))
                for handler in (silent, honest)
            ]
            ports = [server.sockets[0].getsockname()[1] for server in servers]
            urls = {member_name(j): f"http://127.0.0.1:{ports[j > f]}" for j in range(1, n + 1)}
            client = await stack.enter_async_context(quiet_client(timeout_s=3))
            committee = Committee(urls, client, Patience(ask_s=3, more_s=0.1))
            bodies = dict.fromkeys(range(1, n + 1), b"x")
            await committee.ask("answer", bodies, take, MemberState.ANSWERED, lambda: len(heard) >= n - f)

    asyncio.run(asyncio.wait_for(whole(), 20))
    assert heard == set(range(f + 1, n + 1))
