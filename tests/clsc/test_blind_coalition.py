"""Parties that work together at a blind threshold issuer: never more keys than they have units of quota.

The attack that this began with: 3 parties with one unit each take 4 keys from an honest 3-of-4 issuer, by
asking for the shares of one key under several names, blinded anew at each server.
"""

import hmac
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce._ext.enc import enc
from sottovoce.clsc import IssueError, Mode, TooFewAdmissions, group, issue_wire, polynomial
from support.clsc_servers import Servers


def request_of(servers, party, j, B):
    """A request for any point, as the party sends it to server ``j``."""
    mac = hmac.digest(
        servers.tokens[party][j], enc("SOTTOVOCE-V1-ISSUE", servers.params.params_id, B), "sha256"
    )
    return bytes([1, 3]) + servers.params.params_id + B + mac


class Coalition:
    """Parties of one will, and ``f`` corrupted servers, the last ones, that do as they say.

    ``target(k)`` is the ``Q`` of the k-th key that they want, ``point(k, b)`` a blinding of it.
    """

    def __init__(self, servers, parties, *, quota=1):
        self.servers, self.parties = servers, parties
        self.n, self.t, self.f = servers.params.servers, servers.params.threshold, servers.params.corrupted
        self.honest = range(1, self.n - self.f + 1)
        self.admissions = {}  # (party, B) -> server -> acknowledgement
        self.shares = {}  # k -> server -> s_j * target
        self.points = {}  # B -> (k, b)
        self.answered = set()  # every B that an honest server has answered, to whomever
        for party in parties:
            servers.enrol(party, quota=quota)

    def target(self, k):
        return group.g1_mul_vartime(group.P1, 1000 + k)

    def point(self, k, b):
        B = group.g1_mul_vartime(self.target(k), b).to_compressed_bytes()
        self.points[B] = (k, b)
        return B

    def admit(self, party, j, B):
        """Whether server ``j`` acknowledges."""
        shown = self.admissions.setdefault((party, B), {})
        for corrupted in range(self.n - self.f + 1, self.n + 1):
            key = self.servers.admission_keys[corrupted]
            shown[corrupted] = key._acknowledge(self.servers.params, corrupted, party, B)
        try:
            shown[j] = self.servers.issuers[j].admit(party, request_of(self.servers, party, j, B))
        except IssueError as error:
            assert "quota" in str(error)  # noqa: PT017
            return False
        return True

    def ask(self, party, j, B, admissions):
        """Whether server ``j`` answers; if it does, the share is the coalition's."""
        try:
            answer = self.servers.issuers[j].issue(party, request_of(self.servers, party, j, B), admissions)
        except TooFewAdmissions:
            return False
        except IssueError as error:
            assert "quota" in str(error)  # noqa: PT017
            return False
        self.answered.add(B)
        k, b = self.points[B]
        C = group.g1_from_bytes(answer[2:], "C")
        self.shares.setdefault(k, {})[j] = group.g1_mul_vartime(C, pow(b, -1, group.ORDER))
        return True

    def collect(self):
        """Ask every honest server for everything, by everybody, with everything there is; count the keys.

        All acknowledgements of a point under whatever name, and under the one name alone.
        """
        for (party, B), own in self.admissions.items():
            foreign = {}
            for (_, other), shown in self.admissions.items():
                if other == B:
                    foreign |= shown
            for j in self.honest:
                for asking in self.parties:
                    self.ask(asking, j, B, foreign | (own if asking == party else {}))
                    self.ask(asking, j, B, own)
        return len(self.keys())

    def keys(self):
        """The targets of which they have ``s*Q``: corrupted servers give their shares for nothing."""
        made = []
        secret = dict(enumerate((share._s for share in self.servers.shares), 1))
        everything = polynomial.lagrange_at_zero(list(range(1, self.t + 1)))
        s = sum(c * secret[j] for j, c in enumerate(everything, 1)) % group.ORDER
        for k, got in self.shares.items():
            shares = dict(got)
            for j in range(self.n - self.f + 1, self.n + 1):
                shares[j] = group.g1_mul_vartime(self.target(k), secret[j])
            if len(shares) < self.t:
                continue
            chosen = sorted(shares)[: self.t]
            D = group.g1_msm_vartime([shares[j] for j in chosen], polynomial.lagrange_at_zero(chosen))
            assert group.g1_mul_vartime(self.target(k), s) == D
            made.append(k)
        return made


# -- the attack that was ------------------------------------------------------------------------


def test_attack_three_parties_want_four_pseudonyms(world):
    """3-of-4, all honest, one unit each: key ``k`` from every server but the k-th, no party twice at one."""
    servers = Servers(world, Mode.BLIND, 3, 4)
    coalition = Coalition(servers, ["p", "q", "r"])
    assert 3 * 4 // 3 == 4  # what the rule on q, n, t and f alone would let them have
    purses = {j: list(coalition.parties) for j in coalition.honest}
    for k in range(1, 5):
        for j in coalition.honest:
            if j != k:
                assert coalition.admit(purses[j].pop(), j, coalition.point(k, 7 * k + j))
    assert coalition.collect() == 0
    # With one blinding for all servers keys 1 and 4 have one name at all three; the others' do not add up.
    servers = Servers(world, Mode.BLIND, 3, 4)
    coalition = Coalition(servers, ["p", "q", "r"])
    purses = {j: list(coalition.parties) for j in coalition.honest}
    for k in range(1, 5):
        for j in coalition.honest:
            if j != k:
                assert coalition.admit(purses[j].pop(), j, coalition.point(k, 1))
    assert coalition.collect() == 2


def test_honest_parties_get_a_key_for_each_unit(world):
    """Otherwise the tests here would pass for an issuer that answers nothing."""
    coalition = Coalition(Servers(world, Mode.BLIND, 3, 4), ["p", "q", "r"])
    for k, party in enumerate(coalition.parties):
        for j in coalition.honest:
            assert coalition.admit(party, j, coalition.point(k, 1))
    assert coalition.collect() == 3


# -- every way to spread admissions -------------------------------------------------------------


def most_keys(n, t, q, f, parties):
    """By counting alone: the most ``(party, B)`` that honest servers answer, over all ways to be admitted.

    A pair needs ``t-f`` honest records; a server has ``q`` for each party; a pair counts as a key.
    """
    honest = n - f
    choices = [c for size in range(honest + 1) for c in itertools.combinations(range(honest), size)]
    best = 0
    # Of one party: which set of honest servers records each of its points, at most q+1 useful ones.
    for sets in itertools.product(choices, repeat=q + 1):
        if all(sum(j in chosen for chosen in sets) <= q for j in range(honest)):
            best = max(best, sum(len(chosen) >= t - f for chosen in sets))
    return best * parties


@pytest.mark.parametrize(
    ("n", "t", "q", "f"),
    [(2, 2, 1, 0), (3, 2, 1, 0), (3, 3, 2, 1), (4, 3, 1, 0), (4, 3, 1, 1), (5, 3, 1, 0), (5, 4, 1, 1),
     (4, 3, 2, 0), (5, 4, 2, 0), (5, 4, 2, 1), (4, 4, 2, 2)],
)  # fmt: skip
def test_rule_bounds_every_party_by_exhaustion(n, t, q, f):
    assert (q * (n - f) < (q + 1) * (t - f)) is True
    assert most_keys(n, t, q, f, parties=1) == q


def test_without_the_rule_there_is_a_way():
    assert most_keys(4, 2, 1, 0, parties=1) == 2
    assert most_keys(5, 3, 1, 1, parties=1) == 2


def spreads():
    """For 2 parties at 3 servers: which of 3 points each asks each server to admit, or 3 for none.

    Points are numbered as they appear.
    """
    for spread in itertools.product(range(4), repeat=6):
        seen = list(dict.fromkeys(k for k in spread if k < 3))
        if seen == sorted(seen) and seen == list(range(len(seen))):
            yield spread


def _spread(world, spread, blinded):
    coalition = Coalition(Servers(world, Mode.BLIND, 2, 3), ["p", "q"])
    for (party, j), k in zip(itertools.product(coalition.parties, coalition.honest), spread, strict=True):
        if k < 3:
            coalition.admit(party, j, coalition.point(k, 1 + j * blinded))
    return coalition.collect()


def test_some_spreads_of_two_parties_at_two_of_three(world):
    assert _spread(world, (0, 0, 0, 1, 1, 1), blinded=0) == 2
    assert _spread(world, (0, 0, 1, 2, 1, 2), blinded=0) == 2  # without admissions three, for two units
    assert _spread(world, (0, 0, 1, 2, 1, 2), blinded=1) == 0
    assert _spread(world, (0, 1, 2, 1, 2, 0), blinded=0) == 0
    assert {_spread(world, spread, blinded=0) for spread in list(spreads())[::40]} <= {0, 1, 2}


@pytest.mark.slow
def test_every_spread_of_two_parties_at_two_of_three(world):
    counts = [_spread(world, spread, blinded=0) for spread in spreads()]
    assert max(counts) == 2
    assert len(counts) > 600


@st.composite
def plans(draw):
    """Valid (n, t, q, f), parties, quota, and who asks which server to admit which point, in turn."""
    n, t, q, f = draw(
        st.sampled_from([(3, 2, 1, 0), (4, 3, 1, 0), (4, 3, 1, 1), (5, 4, 1, 1), (4, 3, 2, 0), (3, 3, 2, 1)])
    )
    parties = ["p", "q", "r"][: draw(st.integers(1, 3))]
    step = st.tuples(st.sampled_from(parties), st.integers(1, n - f), st.integers(0, 3), st.integers(1, 2))
    return (n, t, q, f), parties, draw(st.integers(1, 3)), draw(st.lists(step, max_size=24))


@given(plans())
@settings(max_examples=25)
def test_whatever_a_coalition_does_units_bound_its_keys(world, plan):
    (n, t, q, f), parties, quota, steps = plan
    coalition = Coalition(Servers(world, Mode.BLIND, t, n, q=q, f=f), parties, quota=quota)
    for party, j, k, b in steps:
        coalition.admit(party, j, coalition.point(k, b))
    assert coalition.collect() <= len(parties) * min(quota, q)
    # The stronger statement that the proof needs: so many points are answered at all.
    assert len(coalition.answered) <= len(parties) * min(quota, q)


# -- false acknowledgements ---------------------------------------------------------------------


@pytest.fixture
def four(world):
    """4-of-5 with f = 1: server 5 is corrupted; p is admitted by two honest ones, one too few."""
    coalition = Coalition(Servers(world, Mode.BLIND, 4, 5, f=1), ["p", "q"])
    B = coalition.point(1, 1)
    for j in (1, 2):
        assert coalition.admit("p", j, B)
    assert sorted(coalition.admissions["p", B]) == [1, 2, 5]
    return coalition, B


def refused(coalition, party, B, admissions, present, wrong):
    """By every honest server, naming what is wrong, and nothing is changed by it."""
    for j in coalition.honest:
        issuer = coalition.servers.issuers[j]
        before = [dict(vars(issuer._registry)[name]) for name in ("_records", "_spent", "_issued")]
        with pytest.raises(TooFewAdmissions) as caught:
            issuer.issue(party, request_of(coalition.servers, party, j, B), admissions)
        error = caught.value
        assert (error.needed, error.present, error.wrong) == (4, present, wrong)
        assert all(str(w) in str(error) for w in (4, present, *wrong))
        assert [dict(vars(issuer._registry)[name]) for name in ("_records", "_spent", "_issued")] == before
    assert not coalition.shares


def test_attack_too_few(four):
    coalition, B = four
    own = coalition.admissions["p", B]
    refused(coalition, "p", B, own, 3, ())
    refused(coalition, "p", B, {}, 0, ())
    refused(coalition, "p", B, None, 0, ())


def test_attack_one_acknowledgement_counts_twice(four):
    coalition, B = four
    own = coalition.admissions["p", B]
    for j in (3, 4):
        refused(coalition, "p", B, {**own, j: own[1]}, 3, (j,))
        relabelled = bytes([1, j]) + own[1][2:]  # the number is signed, too
        refused(coalition, "p", B, {**own, j: relabelled}, 3, (j,))
    refused(coalition, "p", B, {**own, 0: own[1], 6: own[1], -1: own[2], 300: own[1]}, 3, (-1, 0, 6, 300))


def test_attack_swapped_servers(four):
    coalition, B = four
    own = coalition.admissions["p", B]
    refused(coalition, "p", B, {1: own[2], 2: own[1], 5: own[5]}, 1, (1, 2))


def test_attack_acknowledgements_of_another_party(four):
    coalition, B = four
    for j in (3, 4):
        assert coalition.admit("q", j, B)
    other = coalition.admissions["q", B]
    own = coalition.admissions["p", B]
    assert set(own) | set(other) == {1, 2, 3, 4, 5}
    refused(coalition, "p", B, {**other, **own}, 3, (3, 4))
    refused(coalition, "q", B, {**own, **other}, 3, (1, 2))


def test_attack_acknowledgements_for_another_point(four):
    coalition, B = four
    other = coalition.point(1, 2)
    for j in (3, 4):
        assert coalition.admit("p", j, other)
    mixed = {**coalition.admissions["p", other], **coalition.admissions["p", B]}
    refused(coalition, "p", B, mixed, 3, (3, 4))
    # And the other way round: 1 and 2 have no quota left for it, and 5 alone does not make up for it.
    refused(coalition, "p", other, {**mixed, **coalition.admissions["p", other]}, 3, (1, 2))
    # -B has the same x-coordinate: one bit of difference.
    minus = (-group.g1_from_bytes(B, "B")).to_compressed_bytes()
    coalition.points[minus] = (1, group.ORDER - 1)
    refused(coalition, "p", minus, coalition.admissions["p", B], 0, (1, 2, 5))


def test_attack_acknowledgements_of_another_epoch(world, four):
    """The same servers with the same admission keys: the epoch is signed."""
    coalition, B = four
    later = Coalition(Servers(world, Mode.BLIND, 4, 5, q=2, f=1), ["p"])
    assert later.servers.params.params_id != coalition.servers.params.params_id
    assert later.servers.admission_keys[3].public_key == coalition.servers.admission_keys[3].public_key
    later.points[B] = (1, 1)
    for j in (3, 4):
        assert later.admit("p", j, B)
    mixed = {**later.admissions["p", B], **coalition.admissions["p", B]}
    refused(coalition, "p", B, mixed, 3, (3, 4))


def test_attack_forged_and_malformed(four):
    coalition, B = four
    own = coalition.admissions["p", B]
    corrupted = coalition.servers.admission_keys[5]
    good = own[1]
    for forged in (
        corrupted._acknowledge(coalition.servers.params, 3, "p", B),  # by the key of another server
        bytes([1, 3]) + bytes(64),
        bytes([1, 3]) + b"\1" + bytes(63),  # the neutral element as R
        b"", good[:-1], good + b"\0", b"\2" + good[1:], b"\0" * 66,
        good[:-1] + bytes([good[-1] ^ 1]), good[:2] + bytes([good[2] ^ 1]) + good[3:],
        request_of(coalition.servers, "p", 3, B),
    ):  # fmt: skip
        refused(coalition, "p", B, {**own, 3: forged, 4: forged}, 3, (3, 4))
    for bad in (good[:-1] + bytes([good[-1] ^ 1]), b"\2" + good[1:], good + b"\0"):
        refused(coalition, "p", B, {**own, 1: bad}, 2, (1,))


def test_attack_answers_have_no_use_as_acknowledgements_and_admitting_gives_no_answer(four):
    coalition, B = four
    servers = coalition.servers
    for j in (1, 2):
        shown = servers.issuers[j].admit("p", request_of(servers, "p", j, B))
        C = servers.issuers[j]._registry.find("p", servers.params.params_id, "", B).answer
        assert len(shown) == 66
        assert C[2:] not in shown
    C = issue_wire.blind_answer(group.P1)
    refused(coalition, "p", B, {**coalition.admissions["p", B], 3: C}, 3, (3,))


def test_corrupted_servers_beyond_f_do_give_keys_too_many(world):
    """The ``f`` of the parameters must be true: with f = 0 and server 5 corrupted two keys for one unit."""
    coalition = Coalition(Servers(world, Mode.BLIND, 3, 5, f=0), ["p"])
    coalition.f = 1
    for k, js in ((1, (1, 2)), (2, (3, 4))):
        for j in js:
            assert coalition.admit("p", j, coalition.point(k, 1))
    coalition.honest = range(1, 5)
    assert coalition.collect() == 2
