"""Every endpoint takes bytes from anybody: documented answers only, and what is refused changes nothing.

Each service is real: the issuer over a folder, a relay before an aggregator that collects, a member that has
signed the header, and the peer whose turn it is.  Requests are made by hypothesis (method, path, headers,
body and its pieces), and by a seeded mutator from honest bodies of every endpoint, for a bounded time.  After
every refusal the state is compared; in the end what is honest is served.
"""

import asyncio
import sqlite3
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce._ext import cbor, sealed
from sottovoce._ext.enc import enc
from sottovoce.clsc import BlindRequest, IdentityRequest, Mode, TraceableRequest, Usage
from sottovoce.fl import SignedHeader
from sottovoce.fl.http import IssuerService, MemberService
from sottovoce.fl.http.relay import Mixing
from support.fl_asgi import DOCUMENTED, Asked, ask, mutate, seeded
from support.fl_federation import MODEL, finish, snapshot, update_of
from support.fl_http import HttpFederation
from support.fl_http_issuer import IssuerWorld
from support.fl_http_peers import Peers

MUTATOR_S = 2.0
LONG_S = 30.0


class Service:
    """One service to be fuzzed.

    Attributes:
        app: Its application.
        endpoints: ``METHOD path`` -> honest bodies.
        answers: ``METHOD path`` -> what other bodies than the honest ones may get beside a refusal.
    """

    app, endpoints, answers = None, {}, {}

    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def run(self, work):
        return self.loop.run_until_complete(work)

    def state(self):
        """All that a refused request must leave alone."""
        raise NotImplementedError

    def still_serves(self):
        """Send what is honest."""
        raise NotImplementedError

    def end(self):
        pass

    def close(self):
        self.end()
        self.loop.close()

    def send(self, asked, **options):
        """Send one request and hold the answer against the documentation; gives its status."""
        before = self.state()
        status, headers, body = self.run(ask(self.app, asked, **options))
        assert status in DOCUMENTED, (asked, status)
        if status >= 400:
            text = body.decode()
            assert len(text) <= 201, asked
            assert text.removesuffix("\n").isprintable(), asked
            assert headers[b"content-type"].startswith(b"text/plain"), asked
            assert self.state() == before, (asked, status, text)
        return status

    def post(self, path, body):
        status, _, answer = self.run(ask(self.app, Asked("POST", path.encode(), pieces=[body])))
        return status, answer

    def get(self, path):
        status, _, answer = self.run(ask(self.app, Asked("GET", path.encode())))
        assert status == 200, (path, status, answer)
        return answer


class OfIssuer(Service):
    """Over a folder with an epoch of each mode."""

    def __init__(self, folder):
        super().__init__()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sealed, "COST", sealed.Cost(memory_kib=16, passes=1, lanes=1))
            self.world = world = IssuerWorld(folder)
        self.service = IssuerService(world.desk)
        self.app = self.service.app
        params = world.params()
        enrolled = {party: world.enrol(party) for party in ("server", "signer", "device")}
        keys = {
            party: IdentityRequest(params[Mode.IDENTITY], Usage.SIGN, e.identity, e.token)
            for party, e in enrolled.items()
        }
        signer = keys["signer"].to_bytes(self.challenge())
        key = keys["signer"].finish(self.issued("signer", signer))
        self.requests = {
            "server": keys["server"].to_bytes(self.challenge()),
            "device": BlindRequest(params[Mode.BLIND], Usage.SIGN, enrolled["device"].token).to_bytes(),
            "signer": TraceableRequest(params[Mode.TRACEABLE], Usage.SIGN, key).to_bytes(),
        }
        bodies = [self.body(party, request) for party, request in self.requests.items()]
        admits = [cbor.dumps({"v": 1, "party": p, "request": r}) for p, r in self.requests.items()]
        self.endpoints = {
            "GET /v1/params": [b""],
            "POST /v1/challenge": [b""],
            "POST /v1/issue": bodies,
            "POST /v1/admit": admits,
        }
        self.registry = sqlite3.connect(f"file:{world.folder.registry_path}?mode=ro", uri=True)

    @staticmethod
    def body(party, request):
        return cbor.dumps({"v": 1, "party": party, "request": request, "admissions": []})

    def challenge(self):
        status, answer = self.post("/v1/challenge", b"")
        assert status == 200
        return cbor.loads(answer)["challenge"]

    def issued(self, party, request):
        status, answer = self.post("/v1/issue", self.body(party, request))
        assert status == 200, (party, answer)
        return cbor.loads(answer)["answer"]

    def state(self):
        given = {fate: n for fate, n in self.service.counts.items() if fate != "refused"}
        return given, "\n".join(self.registry.iterdump()), set(self.world.desk._registry.challenges._used)

    def still_serves(self):
        # Not one challenge or unit of quota was spent, and a repetition gets the same.
        answers = {party: self.issued(party, request) for party, request in self.requests.items()}
        assert {party: self.issued(party, request) for party, request in self.requests.items()} == answers
        assert cbor.loads(self.get("/v1/params"))["root"] == self.world.trust.root_public_key

    def end(self):
        self.registry.close()
        self.world.desk.close()


class Collecting(Service):
    """A federation that collects, and does not end by itself."""

    def __init__(self, fed):
        super().__init__()
        mixing = Mixing(threshold=1 << 20, wait_s=3600.0, shutdown_s=0.1)  # nothing leaves by itself
        self.http = HttpFederation(
            fed, plan={"close_at": 0}, mixing=mixing, control_token=b"a token of the operator"
        )
        self.run(self.http.__aenter__())
        self.header = self.run(self.http.courier().header(wait_s=20))
        packets = [self.http.client(i).seal(self.header, MODEL, update_of(i)) for i in (0, 1)]
        self.shards, others = (packet.shards() for packet in packets)
        self.endpoints = {
            "POST /v1/shard": others[:1],  # one of a packet, which stays incomplete
            "GET /v1/round": [b""],
            "GET /v1/header": [b""],
            "GET /v1/model": [b""],
            "GET /v1/result/" + "0" * 64: [b""],
            "GET /healthz": [b""],
            "GET /metrics": [b""],
        }
        self.answers = {"POST /v1/shard": {202}}  # what is inside is seen later, by another

    def end(self):
        self.run(self.http.__aexit__())


class OfAggregator(Collecting):
    def __init__(self, fed):
        super().__init__(fed)
        self.service = self.http.aggregator
        self.app = self.service.app
        more = {"GET /": [b""], "GET /v1/status": [b""], "POST /v1/close": [b""]}
        self.endpoints |= more

    def state(self):
        role, status = self.service._open.role, self.service.status
        return (
            snapshot(role), role.shard_stats, self.service._bytes, status.state, status.accepted,
            bytes(self.service._model_bytes), self.service._close_now.is_set(),
        )  # fmt: skip

    def still_serves(self):
        assert self.service.status.accepted == 0
        altered = self.shards[-1][:-1] + bytes([self.shards[-1][-1] ^ 1])
        for shard in (altered, *self.shards):
            assert self.post("/v1/shard", shard) == (202, b"taken\n")
        self.run(self.http.until(lambda: self.service.status.accepted == 1))
        assert self.get("/v1/header") == self.header
        refused = self.service.status.refused
        assert set(refused) == {"shard: unopenable"}


class OfRelay(Collecting):
    def __init__(self, fed):
        super().__init__(fed)
        self.service = self.http.relays[0]
        self.app = self.service.app

    def state(self):
        return dict(self.service.counts), list(map(hash, self.service._held)), self.service._held_bytes

    def still_serves(self):
        held = self.service._n_held
        assert self.post("/v1/shard", self.shards[0]) == (202, b"taken\n")
        assert self.service._held[held:] == [self.shards[0]]
        assert self.get("/v1/header") == self.header


class OfMember(Service):
    """One that has signed the header and is asked about the set."""

    def __init__(self, fed, sealed4):
        super().__init__()
        self.sealed, self.members = sealed4, sealed4.members()
        self.role = self.members[1]
        self.service = MemberService(self.role, fed.member_keys[0].public, fed.trust())
        self.app = self.service.app
        self.aggregator = sealed4.aggregator()
        proposal = SignedHeader.propose(sealed4.header, fed.aggregator_keys).to_bytes()
        # The set as it is closed, and what a member is asked then; the round is finished in the end.
        self.request = sealed4.request(1)
        self.endpoints = {
            "GET /v1/identity": [b""],
            "POST /v1/cosign": [proposal, sealed4.signed],
            "POST /v1/check": [enc(sealed4.signed, self.request)],
            "POST /v1/answer": [enc(sealed4.signed, self.request)],
        }
        assert self.post("/v1/cosign", proposal)[0] == 200

    def state(self):
        store = self.role._store
        given = {fate: n for fate, n in self.service.counts.items() if fate != "refused"}
        return given, dict(store._headers), dict(store._bindings), dict(store._answers)

    def still_serves(self):
        assert self.state()[2:] == ({}, {})
        served = self

        class Asked:
            """The member behind its service."""

            def check(self, header, request):
                return served.served("/v1/check", header, request)

            def answer(self, header, request):
                return served.served("/v1/answer", header, request)

        finish(self.aggregator, {**self.members, 1: Asked()}, self.sealed.signed)
        assert self.aggregator.answered == (1, 2, 3, 4)
        assert not self.aggregator.suspect_members
        assert (self.aggregator.opened_sum == self.sealed.sum_of(self.sealed.pids)).all()

    def served(self, path, header, request):
        status, answer = self.post(path, enc(header, request))
        assert status == 200, answer
        return answer


class OfPeer(Service):
    """The peer whose turn it is, and which collects."""

    def __init__(self, peer_world):
        super().__init__()
        self.peers = peers = Peers(peer_world, close_at=0)
        self.run(peers.__aenter__())
        self.run(peers.release(1))
        first = peers.chosen(1, 0)
        self.service, self.other = peers.services[first], peers.services[(first + 1) % 7]
        self.app = self.service.app
        self.task = self.loop.create_task(self.service.run_round(1))
        opened = lambda: self.service._turn.opened is not None and len(self.accepted) == 1  # noqa: E731
        self.run(peers.until(opened))  # it has sent its own update
        self.header = self.service._turn.opened.signed_header
        self.packet = self.seal(self.other)
        roster, beacon = peer_world.signed_roster(), peer_world.beacon(1).to_bytes()
        self.endpoints = {
            "GET /v1/identity": [b""],
            "GET /v1/status": [b""],
            "GET /v1/round": [b""],
            "GET /v1/header": [b""],
            "GET /v1/result/" + "0" * 64: [b""],
            "POST /v1/roster": [roster, peer_world.signed_roster(version=2, first_round=2)[:-1]],
            "POST /v1/beacon": [beacon],
            "POST /v1/cosign": [self.header],
            "POST /v1/check": [enc(self.header, bytes(100))],
            "POST /v1/answer": [enc(self.header, bytes(100))],
            "POST /v1/packet": [self.seal(peers.services[(first + 2) % 7])],
        }
        self.honest = [(path, bodies[0]) for path, bodies in self.endpoints.items() if path[-6:] in _TAKEN]
        self.answers = {"POST /v1/packet": {202}}

    @property
    def accepted(self):
        return self.service._turn.opened.role.accepted

    def seal(self, service):
        return service._peer.client.seal(self.header, MODEL, update_of(service is self.other)).packet

    def state(self):
        book, service = self.service._peer.book, self.service
        store = service._peer.member._store
        return (
            snapshot(service._turn.opened.role), dict(service.counts),
            dict(store._headers), dict(store._answers),
            {epoch: [roster.digest for roster in known] for epoch, known in book._rosters.items()},
            {epoch: sorted(known) for epoch, known in book._beacons.items()},
            {fate: n for fate, n in service._member.counts.items() if fate != "refused"},
        )  # fmt: skip

    def still_serves(self):
        for path, body in self.honest:
            before = self.state()
            assert self.post(path.split()[1], body)[0] == 202, path  # known already
            assert self.state() == before
        assert self.post("/v1/packet", self.packet) == (202, b"taken\n")
        self.run(self.peers.until(lambda: len(self.accepted) == 2))
        assert self.get("/v1/header") == self.header

    def end(self):
        self.task.cancel()
        self.run(asyncio.gather(self.task, return_exceptions=True))
        self.run(self.peers.__aexit__())


_TAKEN = ("roster", "beacon")
SERVICES = ["issuer", "aggregator", "relay", "member", "peer"]


@pytest.fixture(scope="module", params=SERVICES)
def service(request, tmp_path_factory):
    fixtures = {
        "aggregator": (OfAggregator, ["fed"]),
        "relay": (OfRelay, ["fed"]),
        "member": (OfMember, ["fed", "sealed4"]),
        "peer": (OfPeer, ["peer_world"]),
    }
    if request.param == "issuer":
        made = OfIssuer(tmp_path_factory.mktemp("issuer"))
    else:
        kind, names = fixtures[request.param]
        made = kind(*(request.getfixturevalue(name) for name in names))
    yield made
    made.close()


# Made by hypothesis ------------------------------------------------------------------------------------

_NAMES = [
    b"authorization", b"content-type", b"content-encoding", b"content-length", b"transfer-encoding",
    b"expect", b"host", b"x-forwarded-for", b"range", b"if-none-match", b"cookie", b"x",
]  # fmt: skip
_TEXT = st.text(st.characters(max_codepoint=255), max_size=40).map(lambda text: text.encode("latin-1"))
_VALUES = st.one_of(
    st.sampled_from([b"", b"0", b"-1", b"+3", b"1e3", b"5", b"9" * 30, b"\xff", b"chunked", b"Bearer "]),
    _TEXT,
)
_METHODS = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "BREW"]


@st.composite
def requests(draw, endpoints):
    """A request that is nearly one of the endpoints', or not at all."""
    method, path = draw(st.sampled_from(sorted(endpoints))).split()
    known = path.encode()
    ends = st.sampled_from([b"/", b"//", b"?a=b", b"%00", b"/..", b"%2e%2e%2f", b"%ff", b"x" * 300])
    path = draw(st.one_of(
        st.just(known),
        st.just(known),
        ends.map(lambda end: known + end),
        ends.map(lambda end: end + known),
        _TEXT.map(lambda text: b"/v1/result/" + text),
        _TEXT.map(lambda text: b"/" + text),
    ))  # fmt: skip
    return Asked(
        draw(st.one_of(st.just(method), st.sampled_from(_METHODS))),
        path,
        draw(st.lists(st.tuples(st.sampled_from(_NAMES), _VALUES), max_size=3)),
        draw(st.lists(st.binary(max_size=300), max_size=3)),
    )


def any_requests(service, n):
    @settings(max_examples=n)
    @given(asked=requests(service.endpoints), length=st.booleans())
    def sent(asked, length):
        service.send(asked, length=length)

    sent()


def changed_bodies(service, name, seconds):
    """Honest bodies, changed, for a while; the endpoints by turns."""
    choose, end, sent = seeded(name), time.monotonic() + seconds, 0
    honest = [body for bodies in service.endpoints.values() for body in bodies]
    targets = [t for t in service.endpoints if t.startswith("POST")]
    while time.monotonic() < end or sent < 2 * len(targets):
        target = targets[sent % len(targets)]
        body = mutate(choose, choose.choice(service.endpoints[target]), honest)
        sent += 1
        if body in honest:
            continue
        method, path = target.split()
        status = service.send(Asked(method, path.encode(), pieces=[body]))
        assert status >= 400 or status in service.answers.get(target, ()), (target, status, body)


class TestEveryService:
    def test_any_request_gets_a_documented_answer(self, service):
        any_requests(service, 120)

    def test_a_changed_body_gets_a_documented_refusal_and_changes_nothing(self, service, request):
        changed_bodies(service, request.node.name, MUTATOR_S)

    @pytest.mark.slow
    def test_any_request_for_long(self, service):
        any_requests(service, 3000)

    @pytest.mark.slow
    def test_a_changed_body_for_long(self, service, request):
        changed_bodies(service, request.node.name, LONG_S)

    def test_after_all_of_it_what_is_honest_is_served(self, service):
        """Runs last, on the very service that got everything above."""
        service.still_serves()
