"""Closing a round at the committee: a client that cheats a member which is heard late is taken out."""

import numpy as np
import pytest

from sottovoce.fl import ProtocolError, Reason, SottovoceError
from sottovoce.fl.flower.committee import Committee, Deadlines
from sottovoce.fl.flower.messages import ANSWER, CHECK
from support.fl_federation import Federation, Sealed, craft


class Called(Committee):
    """Calls members where the other sends messages; ``away``: member and action, once for a check."""

    def __init__(self, members, away, check_first=False):
        super().__init__(Deadlines(1, 1, 1, 1, 1, 1), check_first=check_first)
        self.members, self.away, self.asked = members, set(away), []

    def _put(self, grid, action, header, signed_header, requests, receive):
        for j, request in requests.items():
            self.asked.append((j, action))
            if (j, action) in self.away:
                self.away -= {(j, CHECK)}
                continue
            work = {CHECK: self.members[j].check, ANSWER: self.members[j].answer}[action]
            try:
                receive(j, work(signed_header, request))
            except SottovoceError:
                continue  # as a node that refuses


@pytest.fixture(scope="module")
def sealed():
    return Sealed(Federation(), n_clients=4)


def closed(sealed, away, **cheating):
    cheat, _ = craft(sealed.fed, sealed.header, sealed.fed.client_keys[7], **cheating)
    aggregator = sealed.aggregator([*sealed.packets, cheat])
    committee = Called(sealed.members(), away)
    return aggregator, committee, lambda: committee.close(None, aggregator, sealed.signed)


def test_a_cheat_that_is_found_late_is_taken_out_and_the_mean_is_exact(sealed):
    aggregator, committee, run = closed(sealed, [(1, ANSWER)], bad_for=[5])
    result = run()
    assert sorted(pid for pid, _ in result.entries) == sorted(sealed.pids)
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
    assert aggregator.refused[Reason.CONVICTED] == 1
    assert committee.asked.count((2, ANSWER)) == 2  # once for each set


def test_nobody_is_asked_to_check_where_all_is_well(sealed):
    aggregator, committee = sealed.aggregator(sealed.packets), Called(sealed.members(), ())
    committee.close(None, aggregator, sealed.signed)
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
    assert committee.asked == [(j, ANSWER) for j in range(1, 6)]


def test_after_a_round_without_a_quorum_members_check_first(sealed):
    _, committee, run = closed(sealed, (), spoiled_for=[2, 3])
    with pytest.raises(ProtocolError) as caught:
        run()
    assert caught.value.reason is Reason.NO_QUORUM
    cheat, _ = craft(sealed.fed, sealed.header, sealed.fed.client_keys[7], spoiled_for=[2, 3])
    aggregator = sealed.aggregator([*sealed.packets, cheat])
    committee.members = sealed.members()  # who remember nothing: it stands for another round
    result = committee.close(None, aggregator, sealed.signed)
    assert sorted(pid for pid, _ in result.entries) == sorted(sealed.pids)


def test_without_a_conviction_too_few_answers_end_the_round(sealed):
    aggregator, _, run = closed(sealed, [(1, ANSWER)], spoiled_for=[5])
    with pytest.raises(ProtocolError) as caught:
        run()
    assert caught.value.reason is Reason.NO_QUORUM
    assert not aggregator.convictions
