"""Issuers for the tests of traceable and threshold issuing: one of each kind, and ``n`` servers."""

from sottovoce.clsc import (
    AdmissionKey,
    BlindRequest,
    IdentityRequest,
    Issuer,
    MemoryRegistry,
    Mode,
    RootKey,
    TraceableRequest,
    TracingKey,
    TrustStore,
    Usage,
)
from sottovoce.clsc.dealer import _deal_derand
from support.clsc_world import NOT_AFTER, NOT_BEFORE, NOW, Drbg


def tracing_key(seed="tracing key"):
    return TracingKey(Drbg(seed)(64))


def traceable_issuer(world, registry=None, trust=None):
    return Issuer(
        world.master[Mode.TRACEABLE], registry, tracing_key=tracing_key(), trust=trust or world.trust
    )


def enrol_signer(issuer, signer, party=None, quota=1):
    """Enrol a party under the name of its identity key; give the party's name."""
    party = party or signer.identity.decode()
    issuer.enrol(party, quota=quota, identity=signer.identity)
    return party


def issue_traceable(issuer, signer, usage=Usage.SIGN, party=None):
    """Enrol (unless the party is given), ask and finish: the whole of traceable issuing."""
    party = party or enrol_signer(issuer, signer)
    asked = TraceableRequest(issuer.params, usage, signer)
    return asked.finish(issuer.issue(party, asked.to_bytes()))


class Servers:
    """A threshold issuer of ``t`` of ``n`` servers, all from one seed, each with its own registry."""

    def __init__(self, world, mode, t, n, *, q=1, f=0, seed="servers", registry=MemoryRegistry):
        root = RootKey._from_seed_derand(Drbg(f"{world.seed}/root")(32))
        epoch = f"{t} of {n}, {q}, {f}".encode()
        self.mode = mode
        self.shares = _deal_derand(
            root, mode, epoch, NOT_BEFORE, NOT_AFTER, t, n, q, f, Drbg(f"{seed}/{mode}")
        )
        self.params = self.shares[0].params
        self.trust = TrustStore(root.public_key, clock=lambda: NOW)
        for params in (*world.params.values(), self.params):
            self.trust.add(params)
        self.admission_keys = {j: AdmissionKey(Drbg(f"{seed}/admission {j}")(32)) for j in range(1, n + 1)}
        self.issuers = {share.index: self.issuer(share.index, registry()) for share in self.shares}
        self.tokens = {}

    def issuer(self, j, registry):
        """Server ``j`` over a registry: a new one, or that of a server that is started again."""
        extra = {}
        if self.mode is Mode.TRACEABLE:
            extra = {"tracing_key": tracing_key(), "trust": self.trust}
        if self.mode is Mode.BLIND:
            extra = {
                "admission_key": self.admission_keys[j],
                "admission_public_keys": [key.public_key for key in self.admission_keys.values()],
            }
        return Issuer(self.shares[j - 1], registry, **extra)

    def enrol(self, party="alice", quota=1):
        """Enrol at every server; each has its own token."""
        self.tokens[party] = {j: issuer.enrol(party, quota=quota) for j, issuer in self.issuers.items()}
        return self.tokens[party]

    def request(self, signer, usage=Usage.SIGN, party="alice"):
        """A new request of the party; enrols it when it is the first."""
        tokens = self.tokens.get(party) or self.enrol(party)
        if self.mode is Mode.TRACEABLE:
            return TraceableRequest(self.params, usage, signer)
        if self.mode is Mode.IDENTITY:
            return IdentityRequest(self.params, usage, party.encode(), tokens)
        return BlindRequest(self.params, usage, tokens)

    def bytes_for(self, request, j):
        """What goes to server ``j``."""
        if self.mode is Mode.TRACEABLE:
            return request.to_bytes()
        if self.mode is Mode.IDENTITY:
            return request.to_bytes(self.issuers[j].challenge(), server=j)
        return request.to_bytes(server=j)

    def admit(self, request, servers=None, party="alice"):
        """The acknowledgements of these servers, or of all."""
        servers = self.issuers if servers is None else servers
        return {j: self.issuers[j].admit(party, self.bytes_for(request, j)) for j in servers}

    def ask(self, request, servers=None, party="alice"):
        """The answers of these servers, or of all; in mode blind they admit first, and others up to ``t``."""
        servers = list(self.issuers if servers is None else servers)
        if self.mode is not Mode.BLIND:
            return {j: self.issuers[j].issue(party, self.bytes_for(request, j)) for j in servers}
        others = [j for j in self.issuers if j not in servers and j in request._token]
        admitting = servers + others[: max(0, self.params.threshold - len(servers))]
        admissions = self.admit(request, admitting, party)
        return {j: self.issuers[j].issue(party, self.bytes_for(request, j), admissions) for j in servers}
