"""Every endpoint takes bytes from anybody: nothing but documented status codes, and nothing has changed.

Some bodies are drawn by hypothesis, some are honest ones with bytes changed, cut, put in and spliced by a
seeded mutator, for a bounded time.
"""

import asyncio
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce._ext.enc import enc
from sottovoce.clsc import IssueError
from sottovoce.fl.http import IssuerService
from support.fl_federation import MODEL, update_of
from support.fl_http import HttpFederation

DOCUMENTED = {200, 202, 400, 403, 404, 405, 408, 409, 410, 413, 429, 431, 503}
MUTATOR_S = 2.5
PATHS = {
    "aggregator": ["/", "/v1/shard", "/v1/close", "/v1/round", "/v1/header", "/v1/result/x"],
    "relay-0": ["/v1/shard", "/v1/round", "/v1/header", "/v1/result/x"],
    "member-1": ["/v1/identity", "/v1/cosign", "/v1/check", "/v1/answer"],
    "issuer": ["/v1/params", "/v1/challenge", "/v1/issue", "/v1/admit"],
}
TARGETS = [(host, path) for host, paths in PATHS.items() for path in paths]


class Refusing:
    """A desk that gives nothing away: the bytes before it are what is fuzzed here."""

    def root_public_key(self):
        return bytes(32)

    def params(self):
        return []

    revocations = params

    def challenge(self):
        raise IssueError("none is open")

    def admit(self, party, request):
        raise IssueError("refused")

    issue = lambda self, party, request, admissions: self.admit(party, request)  # noqa: E731


class Open:
    """A federation that collects, in a loop of its own, for tests that are not asynchronous."""

    def __init__(self, fed):
        self.loop = asyncio.new_event_loop()
        self.http = HttpFederation(fed, plan={"close_at": 0})
        self.http.net.apps["issuer"] = IssuerService(Refusing()).app
        self.run(self.http.__aenter__())
        self.header = self.run(self.http.courier().header(wait_s=20))
        sealed = self.http.client(0).seal(self.header, MODEL, update_of(0))
        framed = [enc(self.header, b""), enc(self.header, sealed.packet[:500])]
        self.honest = [sealed.shards()[0], self.header, *framed, b""]

    def run(self, work):
        return self.loop.run_until_complete(work)

    def send(self, host, path, body, **headers):
        status, answer = self.run(self.http.call(host, "POST", path, body, **headers))
        assert status in DOCUMENTED, (host, path, status)
        if status >= 400:
            assert len(answer) <= 256
            assert answer.decode().rstrip("\n").isprintable()
        return status

    def check(self):
        """Whatever came: nobody was accepted, nothing was signed, everybody still answers."""
        assert self.http.aggregator.status.accepted == 0
        assert self.http.aggregator.status.state == "collecting"
        assert {**self.http.members[0].counts, "refused": 0, "cosigned": 0} == dict.fromkeys(
            ["cosigned", "checked", "answered", "refused"], 0
        )
        for host in PATHS:
            assert self.run(self.http.call(host, "GET", "/healthz"))[0] == 200

    def close(self):
        self.run(self.http.__aexit__())
        self.loop.close()


@pytest.fixture(scope="module")
def opened(fed):
    made = Open(fed)
    yield made
    made.close()


@settings(max_examples=60)
@given(
    target=st.sampled_from(TARGETS),
    body=st.binary(max_size=300),
    name=st.sampled_from(["authorization", "content-type", "content-encoding", "x"]),
    value=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
)
def test_any_bytes_get_a_documented_answer(opened, target, body, name, value):
    opened.send(*target, body, **{name: value})


def test_changed_honest_bytes_get_a_documented_answer(opened):
    choose, end, count = random.Random(20261129), time.monotonic() + MUTATOR_S, 0
    while time.monotonic() < end:
        host, path = choose.choice(TARGETS)
        opened.send(host, path, mutate(choose, opened.honest))
        count += 1
    assert count > len(TARGETS)
    opened.check()


def mutate(choose, honest):
    body = bytearray(choose.choice(honest))
    for _ in range(choose.randint(1, 4)):
        kind, at = choose.randrange(5), choose.randrange(len(body) + 1)
        if kind == 0 and body:
            body[at % len(body)] ^= 1 << choose.randrange(8)
        elif kind == 1:
            del body[at : at + choose.randrange(1, 64)]
        elif kind == 2:
            body[at:at] = choose.randbytes(choose.randrange(1, 64))
        elif kind == 3:
            body[at:] = choose.choice(honest)[at:]
        else:
            body[at : at + 4] = choose.choice([0, 1, 255, 1 << 16, (1 << 32) - 1]).to_bytes(4, "big")
    return bytes(body)
