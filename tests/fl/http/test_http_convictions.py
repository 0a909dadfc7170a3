"""A client that cheats a member which is heard late: the round opens without it, over HTTP too."""

import asyncio

import httpx
import numpy as np
import pytest

from sottovoce.fl import ProtocolError, Reason
from sottovoce.fl.http import MemberService
from sottovoce.fl.http.base import RoleThread
from sottovoce.fl.http.outgoing import quiet_client
from sottovoce.fl.http.rounds import Committee, Patience
from support.fl_federation import craft, member_name


class Away(httpx.AsyncBaseTransport):
    """Members by host name; ``away`` holds the pairs of member and request to which nobody answers."""

    def __init__(self, services, away):
        self.services, self.away, self.asked = services, set(away), []

    async def handle_async_request(self, request):
        j, what = int(request.url.host.removeprefix("member-")), request.url.path.removeprefix("/v1/")
        self.asked.append((j, what))
        if what == "answer":
            self.away.discard((j, "check"))  # it is up again
        if (j, what) in self.away:
            raise httpx.ConnectError("down", request=request)
        return await httpx.ASGITransport(self.services[j].app).handle_async_request(request)


def finish(fed, sealed, cheat, away):
    """Member 5 is not heard when the set is checked, member 1 not when it is answered."""
    aggregator = sealed.aggregator([*sealed.packets, cheat])
    services = {j: MemberService(m, fed.member_keys[j - 1].public, fed.trust())
                for j, m in sealed.members().items()}  # fmt: skip
    net = Away(services, away)

    async def whole():
        role = RoleThread("aggregator")
        try:
            async with quiet_client(transport=net) as client:
                urls = {member_name(j): f"http://member-{j}" for j in services}
                committee = Committee(urls, client, Patience(ask_s=0.2, more_s=0.2))
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
