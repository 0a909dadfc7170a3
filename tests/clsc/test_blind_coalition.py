"""What several parties together get from a blind threshold issuer: more keys than they have quota."""

import hmac

import pytest

from sottovoce._ext.enc import enc
from sottovoce.clsc import IssueError, Mode, PublicKey, SecretKey, Usage, group, polynomial, sign, verify
from support.clsc_servers import Servers


def keys_of_a_coalition(servers, parties, n_keys):
    """Blind requests for ``n_keys`` keys, spread so that no party asks a server twice.

    Key ``k`` is asked of every server but server ``k``, each time as another party and blinded anew: so
    neither a server nor the records of all of them show that two requests belong together.
    """
    params, n = servers.params, servers.params.servers
    tokens = {party: servers.enrol(party) for party in parties}
    purses = {j: list(parties) for j in range(1, n + 1)}
    keys = []
    for k in range(1, n_keys + 1):
        x = 1000 + k
        public = PublicKey(params, Usage.SIGN, b"", group.g1_mul_vartime(group.P1, x).to_compressed_bytes())
        answers = {}
        for j in [j for j in range(1, n + 1) if j != k]:
            party, b = purses[j].pop(), 7 * k + j
            B = group.g1_mul_vartime(public._Q_base.point, b).to_compressed_bytes()
            mac = hmac.digest(tokens[party][j], enc("SOTTOVOCE-V1-ISSUE", params.params_id, B), "sha256")
            answer = servers.issuers[j].issue(party, bytes([1, 3]) + params.params_id + B + mac)
            C = group.g1_from_bytes(answer[2:], "C")
            answers[j] = group.g1_mul_vartime(C, pow(b, -1, group.ORDER))
        weights = polynomial.lagrange_at_zero(list(answers))
        D = group.g1_msm_vartime(list(answers.values()), weights)
        keys.append(SecretKey(public, x, D))
    return keys


def test_known_limit_three_parties_get_four_pseudonyms(world):
    """NOT prevented, and documented: 3-of-4, all servers honest, three parties with one unit each.

    The rule ``q(n-f) < (q+1)(t-f)`` bounds what ONE party gets.  Parties that work together may gather
    ``floor(U(n-f)/(t-f))`` keys with U units.  If this test fails, issuing got better: docs/clsc.md must
    say so.
    """
    servers = Servers(world, Mode.BLIND, 3, 4)
    keys = keys_of_a_coalition(servers, ["p", "q", "r"], 4)
    assert len({key.public_key.pid for key in keys}) == 4
    for key in keys:
        verify(key.public_key, b"vote", sign(key, b"vote"))
    assert 3 * 4 // 3 == 4  # the bound, reached


def test_where_all_servers_are_needed_a_coalition_gains_nothing(world):
    """``t = n``: every key takes an answer of every server, so leaving one out gives nothing."""
    servers = Servers(world, Mode.BLIND, 3, 3)
    with pytest.raises(IssueError):
        keys_of_a_coalition(servers, ["p", "q", "r"], 3)
