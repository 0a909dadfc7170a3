"""Whole rounds: the opened sum is the plain sum of exactly the accepted, or the round fails loudly."""

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from sottovoce.fl import Aggregator, MemoryAggregatorStore, ProtocolError, Reason, State, simulate
from sottovoce.fl import Sealed as OneSealed
from sottovoce.fl.simulate import Faults, ParameterError, Simulation
from support.fl_federation import (
    CLIP,
    LAYOUT,
    MODEL,
    NOW,
    Sealed,
    craft,
    finish,
    update_of,
)


def shards_of(sealed, i):
    return OneSealed(sealed.header, sealed.packets[i]).shards()


def assert_exact(sealed, aggregator, result):
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(aggregator.accepted))
    assert tuple(pid for pid, _ in result.entries) == aggregator.accepted


class TestByHand:
    def test_opens_the_exact_sum_and_the_mean_within_rounding(self, fed, sealed):
        aggregator = sealed.aggregator()
        result = finish(aggregator, sealed.members(), sealed.signed)
        assert_exact(sealed, aggregator, result)
        assert aggregator.state is State.DONE
        assert aggregator.wrong_members == ()
        plain = np.mean([LAYOUT.flatten(update_of(i)) for i in range(6)], axis=0)
        # Equal weights G: every value is off by less than one step of clip / G.
        assert np.abs(result.mean - plain).max() < CLIP / (2**15 - 1)
        assert result.total_weight == 6 * (2**15 - 1)
        assert not result.mean.flags.writeable

    def test_weighs_by_examples(self, fed):
        sealed = Sealed(fed, n_clients=4, max_examples=100, round_number=2)
        aggregator = sealed.aggregator()
        result = finish(aggregator, sealed.members(), sealed.signed)
        assert_exact(sealed, aggregator, result)
        weights = [10, 20, 30, 40]
        plain = np.average([LAYOUT.flatten(update_of(i)) for i in range(4)], axis=0, weights=weights)
        codec = sealed.header.codec
        assert result.total_weight == sum(codec.weight(w, 100) for w in weights)
        # One step of rounding each, and the weights themselves are rounded to 1/G.
        assert np.abs(result.mean - plain).max() < CLIP * (4 + 4) / result.total_weight

    def test_a_set_of_two_primes(self, fed, monkeypatch):
        name = "RLWE_128_N4096_Q100"
        policy = fed.policy
        monkeypatch.setattr(fed, "policy", lambda **fields: policy(sets=frozenset({name}), **fields))
        sealed = Sealed(fed, n_clients=4, set_name=name, round_number=4)
        assert sealed.header.kahe_params.slots_per_coefficient == 4
        aggregator = sealed.aggregator()
        result = finish(aggregator, sealed.members(), sealed.signed)
        assert_exact(sealed, aggregator, result)

    def test_clips_what_is_too_large(self, fed):
        header = fed.header(round_number=3)
        signed = fed.sign(header)
        aggregator = fed.aggregator(signed)
        for i in range(3):
            huge = [np.full_like(a, 1e6) for a in MODEL]
            aggregator.receive_packet(fed.client(i).seal(signed, MODEL, huge).packet)
        members = {j: fed.member(j) for j in range(1, 6)}
        assert np.array_equal(finish(aggregator, members, signed).mean, np.full(50, CLIP))

    def test_shards_in_any_order_with_duplicates_and_losses(self, sealed):
        rng = random.Random(1)
        wires = [(r, s) for i in range(6) for r, s in rng.sample(list(enumerate(shards_of(sealed, i))), 3)]
        wires += rng.sample(wires, 5)
        rng.shuffle(wires)
        aggregator = sealed.aggregator([])
        for relay, shard in wires:
            aggregator.receive_shard(shard, relay)
        aggregator.process()
        assert aggregator.accepted == tuple(sorted(sealed.pids))
        assert_exact(sealed, aggregator, finish(aggregator, sealed.members(), sealed.signed))

    def test_a_packet_with_too_few_shards_is_left_out(self, sealed):
        aggregator = sealed.aggregator(sealed.packets[:5])
        for shard in shards_of(sealed, 5)[:2]:
            aggregator.receive_shard(shard)
        assert_exact(sealed, aggregator, finish(aggregator, sealed.members(), sealed.signed))
        assert aggregator.accepted == tuple(sorted(sealed.pids[:5]))

    def test_shards_of_two_cuts_do_not_combine_and_both_lead_to_one_count(self, sealed):
        aggregator = sealed.aggregator(sealed.packets[1:])
        first, second = shards_of(sealed, 0), shards_of(sealed, 0)
        for shard in [*first[:2], *second[:2]]:
            aggregator.receive_shard(shard)
        aggregator.process()
        assert len(aggregator.accepted) == 5
        for shard in [first[4], second[4]]:
            aggregator.receive_shard(shard)
        receipts = aggregator.process()
        assert [r.refused for r in receipts] == [None, None]
        assert_exact(sealed, aggregator, finish(aggregator, sealed.members(), sealed.signed))
        assert len(aggregator.accepted) == 6

    def test_late_shards_are_refused(self, sealed):
        aggregator = sealed.aggregator(sealed.packets[:5])
        late = shards_of(sealed, 5)
        aggregator.receive_shard(late[0])
        aggregator.close()
        with pytest.raises(ProtocolError) as caught:
            aggregator.receive_shard(late[1])
        assert caught.value.reason is Reason.STATE

    def test_batches_on_an_executor_give_the_same(self, fed, sealed):
        with ThreadPoolExecutor(3) as executor:
            aggregator = sealed.aggregator(sealed.packets * 7, executor=executor)  # two batches
        assert aggregator.accepted == tuple(sorted(sealed.pids))
        assert not aggregator.refused
        assert_exact(sealed, aggregator, finish(aggregator, sealed.members(), sealed.signed))

    def test_fewer_than_the_minimum_keep_the_round_open(self, sealed):
        aggregator = sealed.aggregator(sealed.packets[:2])
        with pytest.raises(ProtocolError) as caught:
            aggregator.close()
        assert caught.value.reason is Reason.TOO_FEW
        assert aggregator.state is State.COLLECTING
        aggregator.receive_packet(sealed.packets[2])
        assert_exact(sealed, aggregator, finish(aggregator, sealed.members(), sealed.signed))

    @pytest.mark.parametrize("n", [4, 6, 7])
    def test_other_committees_with_as_many_absent_as_may_be(self, fed, n):
        header = fed.header(n)
        signed = fed.sign(header, members=range(1, header.threshold + 1))
        aggregator = fed.aggregator(signed)
        values = []
        for i in range(3):
            v = np.random.default_rng(i).integers(-99, 99, 51)
            v[-1] = 99
            values.append(v)
            aggregator.receive_packet(craft(fed, header, fed.client_keys[i], v)[0])
        present = range(n - header.threshold + 1, n + 1)
        finish(aggregator, {j: fed.member(j) for j in present}, signed)
        assert np.array_equal(aggregator.opened_sum, np.sum(values, axis=0))

    def test_extreme_sums_open(self, fed):
        header = fed.header(max_contributors=4, round_number=8)
        signed = fed.sign(header)
        aggregator = fed.aggregator(signed)
        top = 2**15 - 1
        values = np.array([top if i % 2 else -top for i in range(50)] + [top])
        for i in range(4):
            aggregator.receive_packet(craft(fed, header, fed.client_keys[i], values)[0])
        members = {j: fed.member(j) for j in range(1, 6)}
        result = finish(aggregator, members, signed)
        assert np.array_equal(aggregator.opened_sum, 4 * values)
        assert np.array_equal(np.abs(result.mean), np.full(50, CLIP))

    def test_every_client_reads_the_result_and_finds_itself(self, fed, sealed):
        aggregator = sealed.aggregator(sealed.packets[:5])
        result = finish(aggregator, sealed.members(), sealed.signed)
        published = aggregator.publish(result)
        for i, client in enumerate(sealed.clients):
            read = client.read_result(sealed.signed, published)
            assert client.included(read) == (i < 5)
            assert np.array_equal(read.mean, result.mean)
            assert (read.agreed, read.entries) == (result.agreed, result.entries)
            assert (read.total_weight, read.member_signatures) == (
                result.total_weight,
                result.member_signatures,
            )


@pytest.fixture(scope="module")
def simulation():
    return Simulation([np.zeros((5, 8), np.float32), np.zeros(10)], 8, clip=1.0, min_contributors=3, seed=7)


def run(simulation, faults, n=8):
    rng = np.random.default_rng(simulation.round_number)
    template = [np.zeros((5, 8), np.float32), np.zeros(10)]
    model = [rng.normal(size=a.shape).astype(a.dtype) for a in template]
    updates = {
        i: ([rng.uniform(-0.9, 0.9, a.shape).astype(a.dtype) for a in template], 5 + 3 * i) for i in range(n)
    }
    return simulation.run_round(model, updates, faults=faults), updates


class TestSimulation:
    @pytest.mark.parametrize(
        "faults",
        [
            Faults(),
            Faults(lose_shards=0.2),
            Faults(corrupt_shards=0.1),
            Faults(replay=True),
            Faults(stranger=True),
            Faults(absent_members=1),
            Faults(0.2, 0.05, True, True, 1),
        ],
        ids=str,
    )
    def test_each_fault_leaves_the_sum_exact(self, simulation, faults):
        report, updates = run(simulation, faults)
        assert report.exact
        assert set(report.accepted) | set(report.dropped) == set(range(8))
        weights = [updates[i][1] for i in report.accepted]
        for k, array in enumerate(report.mean):
            plain = np.average([updates[i][0][k] for i in report.accepted], axis=0, weights=weights)
            assert array.shape == plain.shape
            assert np.abs(array - plain).max() < 1e-3
        refused = report.refused
        if not faults.lose_shards and not faults.corrupt_shards:
            assert report.dropped == ()
        assert refused.get(Reason.NOT_FOR_US.value, 0) == int(faults.replay)
        assert refused.get(Reason.SENDER.value, 0) == int(faults.stranger)
        old_shards = simulation.shard_n if faults.replay else 0
        corrupted = report.injected.get("shards corrupted", 0)
        assert refused.get("shard: unopenable", 0) == old_shards + corrupted
        assert report.injected["members absent"] == faults.absent_members
        assert report.wrong_members == ()

    def test_two_absent_members_of_five_fail_loudly(self, simulation):
        with pytest.raises(ProtocolError) as caught:
            run(simulation, Faults(absent_members=2))
        assert caught.value.reason is Reason.HEADER_SIGNATURE
        assert run(simulation, Faults())[0].exact  # and the next round works

    def test_losing_nearly_everything_fails_loudly(self, simulation):
        with pytest.raises(ProtocolError) as caught:
            run(simulation, Faults(lose_shards=0.9))
        assert caught.value.reason is Reason.TOO_FEW

    def test_groups_that_did_not_fit_into_memory_are_reported(self, monkeypatch):
        template = [np.zeros((5, 8), np.float32), np.zeros(10)]
        cramped = Simulation(template, 8, clip=1.0, min_contributors=3, seed=7)
        shards = []
        cut = cramped._cut
        monkeypatch.setattr(cramped, "_cut", lambda *args: shards.extend(new := cut(*args)) or new)
        first, _ = run(cramped, Faults())
        assert "shard: evicted" not in first.refused
        room = 9 * (len(shards[0][1]) + 2048)
        monkeypatch.setattr(simulate, "Aggregator", partial(Aggregator, shard_memory_bytes=room))
        report, _ = run(cramped, Faults())
        assert report.refused["shard: evicted"] > 0
        assert report.exact

    def test_reports_progress_and_stages(self, simulation):
        seen = []
        model = [np.ones((5, 8), np.float32), np.ones(10)]
        updates = dict.fromkeys(range(3), (model, 1))
        report = simulation.run_round(model, updates, progress=lambda *step: seen.append(step))
        assert {stage for stage, _, _ in seen} == {
            "clients seal",
            "shards arrive",
            "members answer",
        }
        assert all(1 <= done <= total for _, done, total in seen)
        assert {"encrypt", "share", "signcrypt to committee", "disperse", "open sum"} <= set(report.stages)
        assert all(s.calls and s.seconds >= 0 for s in report.stages.values())

    def test_refuses_impossible_arguments(self, simulation):
        template = [np.zeros(3)]
        for bad in ({"lose_shards": 1.0}, {"corrupt_shards": -0.1}, {"absent_members": -1}):
            with pytest.raises(ParameterError):
                Faults(**bad)
        with pytest.raises(ParameterError):
            Simulation(template, 5, clip=1.0)
        with pytest.raises(ParameterError):
            simulation.run_round(template, {})
        with pytest.raises(ParameterError):
            simulation.run_round(template, {99: (template, 1)})


def test_the_clock_ends_a_round(fed, sealed):
    now = [NOW]
    store = MemoryAggregatorStore()
    before = sealed.aggregator(clock=lambda: now[0], store=store)
    now[0] = sealed.header.deadline + 121
    after = fed.aggregator(sealed.signed, now=now[0], store=store)  # it may be made, and erased
    for aggregator in (before, after):
        for call in (
            lambda a=aggregator: a.receive_packet(sealed.packets[0]),
            lambda a=aggregator: a.receive_shard(b"x"),
            aggregator.close,
        ):
            with pytest.raises(ProtocolError) as caught:
                call()
            assert caught.value.reason is Reason.DEADLINE


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_mean_travels_in_the_precision_of_the_model(dtype, monkeypatch):
    """float64 keeps every bit of the mean; what the model rounds anyway is rounded before it travels."""
    sizes = []
    publish = Aggregator.publish

    def measured(self, result):
        data = publish(self, result)
        sizes.append((result.mean.dtype, len(data)))
        return data

    monkeypatch.setattr(Aggregator, "publish", measured)
    model = [np.zeros(500, dtype)]
    simulation = Simulation(model, n_clients=3, clip=0.1, n_members=4, min_contributors=3)
    rng = np.random.default_rng(5)
    updates = {i: ([rng.uniform(-0.1, 0.1, 500).astype(dtype)], 10 + i) for i in range(3)}
    report = simulation.run_round(model, updates)
    exact = 0.1 * (report.opened_sum[:-1] / report.opened_sum[-1])
    expected = np.float64 if dtype is np.float64 else np.float32
    assert np.array_equal(report.mean[0], exact.astype(expected).astype(dtype))
    ((travelled, n_bytes),) = sizes
    assert travelled == expected
    assert np.dtype(expected).itemsize * 500 < n_bytes < np.dtype(expected).itemsize * 500 + 2000
