"""Batches opened in threads, in processes and on a cluster: the same sums, the same refusals, no key sent."""

import contextlib
import datetime
import multiprocessing
import os
import pickle
import warnings
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address

import numpy as np
import pytest

from sottovoce import clsc
from sottovoce.fl import (
    HeldKey,
    MemoryAggregatorStore,
    Reason,
    WorkerKeyFile,
    collecting,
    drop_key,
    handover,
    hold_key,
    workers,
)
from support.fl_federation import NOW, craft, finish

FIXED_CLOCK = partial(int, NOW)  # goes to other processes with the trust store


@pytest.fixture(scope="module")
def arrivals(fed, sealed):
    """Honest packets among all kinds of others, in an order that splits pairs over batches of three."""
    header = sealed.header
    second = craft(fed, header, fed.client_keys[0])[0]
    stranger = craft(fed, header, fed.stranger_key)[0]
    malformed = craft(fed, header, fed.client_keys[8], plaintext=lambda update: b"short")[0]
    h = sealed.packets
    return [h[0], second, h[1], b"noise", h[2], h[2], stranger, h[3], malformed, h[4], h[0], second, h[5]]


REFUSED = {
    Reason.EQUIVOCATION: 2,
    Reason.NOT_FOR_US: 1,
    Reason.SENDER: 1,
    Reason.MALFORMED: 1,
}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(collecting, "BATCH", 3)


def collect(fed, sealed, arrivals, **options):
    trust = fed.trust()
    trust._clock = FIXED_CLOCK
    aggregator = fed.aggregator(sealed.signed, trust=trust, **options)
    for packet in arrivals:
        aggregator.receive_packet(packet)
    return aggregator, aggregator.process()


def check(fed, sealed, arrivals, **options):
    """Everything as without an executor, and the exact sum at the end."""
    plain, expected = collect(fed, sealed, arrivals)
    aggregator, receipts = collect(fed, sealed, arrivals, **options)
    assert receipts == expected
    assert aggregator.refused == plain.refused == REFUSED
    assert aggregator._collection.sum.digest == plain._collection.sum.digest
    assert aggregator.accepted == tuple(sorted(sealed.pids))
    finish(aggregator, sealed.members(), sealed.signed)
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))


class TestThreads:
    @pytest.mark.parametrize("in_flight", [1, 8])
    def test_give_what_the_calling_thread_gives(self, fed, sealed, arrivals, in_flight):
        with ThreadPoolExecutor(2) as executor:
            check(fed, sealed, arrivals, executor=executor, batches_in_flight=in_flight)

    def test_no_more_is_in_flight_than_may_be(self, fed, sealed):
        started, waited = [], []

        class Patient(Future):
            def result(self, timeout=None):
                waited.append(sum(not future.done() for future, _ in started))
                for future, task in started:
                    if not future.done():
                        future.set_result(task())
                return super().result()

        class Slow:
            def submit(self, task, *args):
                started.append((Patient(), partial(task, *args)))
                return started[-1][0]

        aggregator = fed.aggregator(sealed.signed, executor=Slow(), batches_in_flight=2)
        for packet in 2 * sealed.packets:
            aggregator.receive_packet(packet)
        aggregator.process()
        assert max(waited) == 2
        assert len(aggregator.accepted) == 6

    def test_what_an_executor_lost_is_opened_again_in_order(self, fed, sealed, arrivals):
        expected = collect(fed, sealed, arrivals)[1]
        calls = []

        class Flaky(ThreadPoolExecutor):
            def submit(self, task, *args):
                calls.append(task)
                if len(calls) == 2:
                    return super().submit(lost)
                return super().submit(task, *args)

        def lost():
            raise OSError("worker is gone")

        with Flaky(2) as executor:
            aggregator = fed.aggregator(sealed.signed, executor=executor)
            for packet in arrivals:
                with contextlib.suppress(OSError):
                    aggregator.receive_packet(packet)
            receipts = []
            with contextlib.suppress(OSError):
                receipts = aggregator.process()
            receipts += aggregator.process()
        assert receipts == expected
        assert aggregator.refused == REFUSED
        assert aggregator._collection.sum.count == 6

    def test_a_store_that_fails_leaves_the_sum_of_what_it_took(self, fed, sealed):
        store, calls = MemoryAggregatorStore(), []
        accept = store.accept

        def failing(*args):
            calls.append(args)
            if len(calls) == 5:
                raise OSError("disk full")
            accept(*args)

        store.accept = failing
        with ThreadPoolExecutor(2) as executor:
            aggregator = fed.aggregator(sealed.signed, executor=executor, store=store)
            for packet in sealed.packets[:5]:
                aggregator.receive_packet(packet)
            with pytest.raises(OSError, match="disk full"):
                aggregator.process()
            assert aggregator._collection.sum.count == len(aggregator.accepted) == 4
            aggregator.receive_packet(sealed.packets[5])
            aggregator.process()
        finish(aggregator, sealed.members(), sealed.signed)
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))

    def test_more_good_packets_in_a_batch_than_a_sum_may_hold(self, fed, monkeypatch):
        monkeypatch.setattr(collecting, "BATCH", 32)
        header = fed.header(max_contributors=3)
        packets = [craft(fed, header, fed.client_keys[i])[0] for i in range(5)]
        aggregator = fed.aggregator(fed.sign(header))
        # The first is refused, so that one that counts is not in the batch's sum.
        for packet in [packets[0], craft(fed, header, fed.client_keys[0])[0], *packets[1:]]:
            aggregator.receive_packet(packet)
        receipts = aggregator.process()
        assert [r.refused for r in receipts] == [
            None,
            Reason.EQUIVOCATION,
            None,
            None,
            Reason.FULL,
            Reason.FULL,
        ]
        assert aggregator._collection.sum.count == 3

    def test_a_round_given_up_waits_for_nothing(self, fed, sealed):
        class Never:
            def submit(self, task, *args):
                return Future()

        aggregator = fed.aggregator(sealed.signed, executor=Never())
        for packet in sealed.packets:
            aggregator.receive_packet(packet)
        aggregator.erase()
        assert aggregator.process() == []


@pytest.fixture(scope="module")
def pool(fed):
    context = multiprocessing.get_context("spawn")
    initargs = handover(fed.aggregator_keys.decrypt)
    with ProcessPoolExecutor(2, context, initializer=hold_key, initargs=initargs) as executor:
        yield executor


class TestProcesses:
    def test_give_what_the_calling_thread_gives(self, fed, sealed, arrivals, pool):
        key = HeldKey(fed.aggregator_keys.public.decrypt)
        check(fed, sealed, arrivals, executor=pool, worker_key=key)

    def test_get_no_key_by_themselves(self, fed, sealed, pool):
        aggregator = fed.aggregator(sealed.signed, executor=pool)
        aggregator.receive_packet(sealed.packets[0])
        with pytest.raises(TypeError, match="secret"):
            aggregator.process()

    def test_refuse_to_work_with_another_key(self, fed, sealed, pool):
        """Rather than to find every honest packet unreadable."""
        other = fed.other_aggregator_keys.decrypt
        pool.submit(hold_key, *handover(other)).result()
        for key in (HeldKey(other.public_key), HeldKey(fed.member_keys[0].public.decrypt)):
            aggregator, _ = collect(fed, sealed, [], executor=pool, worker_key=key)
            aggregator.receive_packet(sealed.packets[0])
            with pytest.raises(clsc.ParameterError, match="worker: holds"):
                aggregator.process()
            assert not aggregator.refused

    def test_read_their_own_key_file(self, fed, sealed, arrivals, pool, tmp_path):
        path, secret = tmp_path / "aggregator.key", tmp_path / "passphrase"
        clsc.save_key(path, fed.aggregator_keys.decrypt, b"several words")
        secret.write_bytes(b"several words\n")
        secret.chmod(0o600)
        key = WorkerKeyFile(str(path), str(secret))
        aggregator, _ = collect(fed, sealed, arrivals, executor=pool, worker_key=key)
        assert aggregator.refused == REFUSED


class TestKeys:
    def test_nothing_secret_is_in_what_tasks_carry(self, fed, tmp_path):
        key = fed.aggregator_keys.decrypt
        key_file, passphrase = handover(key)
        for public in (HeldKey(key.public_key), WorkerKeyFile("a", "b")):
            data = pickle.dumps(public)
            assert key_file not in data
            assert passphrase not in data
            assert pickle.loads(data) == public
        assert handover(key)[1] != passphrase

    def test_are_dropped(self, fed):
        key = fed.aggregator_keys.decrypt
        hold_key(*handover(key))
        assert HeldKey(key.public_key)().public_key == key.public_key
        for _ in range(2):
            drop_key(key.public_key)
        assert workers._held == {}
        with pytest.raises(clsc.ParameterError):
            HeldKey(key.public_key)()

    def test_of_a_file_are_held_for_a_while(self, fed, tmp_path, monkeypatch):
        reads = []
        load = clsc.load_key
        monkeypatch.setattr(clsc, "load_key", lambda *args: reads.append(args) or load(*args))
        now = [NOW]
        monkeypatch.setattr(workers.time, "time", lambda: now[0])
        timers = []

        class Timer:
            def __init__(self, seconds, then):
                self.seconds, self.then, self.cancelled = seconds, then, False
                timers.append(self)

            def start(self):
                assert self.daemon

            def cancel(self):
                self.cancelled = True

            def fire(self):
                monkeypatch.setattr(workers.threading, "current_thread", lambda: self)
                self.then()

        monkeypatch.setattr(workers.threading, "Timer", Timer)
        files = [tmp_path / "aggregator.key", tmp_path / "other.key"]
        keys = [fed.aggregator_keys.decrypt, fed.other_aggregator_keys.decrypt]
        for path, key in zip(files, keys, strict=True):
            path.write_bytes(clsc.dump_key(key, b"several words"))
            path.chmod(0o600)
        secret = tmp_path / "passphrase"
        secret.write_bytes(b"several words\n")
        secret.chmod(0o600)
        ours, other = (WorkerKeyFile(str(path), str(secret)) for path in files)
        held = workers._from_file
        for _ in range(3):
            assert ours().public_key == keys[0].public_key
            now[0] += 300
        assert len(reads) == len(timers) == 1
        timers[0].fire()  # ten minutes after the first use, five after the last
        assert held._key is not None
        now[0] += 301
        timers[1].fire()
        assert held._key is None, "ten minutes after the last use"
        ours()
        other()
        assert len(reads) == 3, "another file"
        assert timers[2].cancelled
        assert held._key.public_key == keys[1].public_key
        drop_key(keys[0].public_key)
        assert held._key is not None, "another key"
        drop_key(keys[1].public_key)
        assert held._key is None
        ours()
        files[0].write_bytes(clsc.dump_key(keys[1], b"several words"))
        assert ours().public_key == keys[1].public_key, "replaced"
        now[0] = keys[1].public_key.params.not_after
        ours()
        assert timers[-1].seconds <= 600
        now[0] += 1
        timers[-1].fire()
        assert held._key is None, "the epoch is over"

    def test_of_a_file_need_a_passphrase_that_nobody_else_may_read(self, fed, tmp_path):
        path, secret = tmp_path / "aggregator.key", tmp_path / "passphrase"
        clsc.save_key(path, fed.aggregator_keys.decrypt, b"several words")
        secret.write_bytes(b"several words\n")
        secret.chmod(0o640)
        with pytest.raises(PermissionError):
            WorkerKeyFile(str(path), str(secret))()

    def test_bad_arguments(self, fed, sealed):
        with pytest.raises(clsc.ParameterError, match="worker_key"):
            fed.aggregator(sealed.signed, worker_key=lambda: None)
        with ThreadPoolExecutor(1) as executor, pytest.raises(TypeError, match="worker_key"):
            fed.aggregator(sealed.signed, executor=executor, worker_key=fed.aggregator_keys.decrypt)
        for wrong in (0, -1):
            with pytest.raises(clsc.ParameterError, match="batches_in_flight"):
                fed.aggregator(sealed.signed, batches_in_flight=wrong)
        for wrong in (True, 1.5):
            with pytest.raises(TypeError, match="batches_in_flight"):
                fed.aggregator(sealed.signed, batches_in_flight=wrong)
        for call in (handover, HeldKey):
            with pytest.raises(TypeError):
                call(b"a key")


def certificate(folder):
    """A certificate of this run for 127.0.0.1, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sottovoce test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return map(str, paths)


class TestCluster:
    @pytest.mark.slow
    def test_gives_what_the_calling_thread_gives(self, fed, sealed, arrivals, tmp_path):
        """Two worker processes of Dask, everything under TLS with a certificate of this run."""
        import distributed

        from sottovoce.fl.cluster import cluster_executor

        cert, key_path = certificate(tmp_path)
        security = distributed.Security(
            tls_ca_file=cert,
            tls_scheduler_cert=cert,
            tls_scheduler_key=key_path,
            tls_worker_cert=cert,
            tls_worker_key=key_path,
            tls_client_cert=cert,
            tls_client_key=key_path,
            require_encryption=True,
        )
        key = fed.aggregator_keys.decrypt
        with (
            distributed.LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=security,
                dashboard_address=None,
                local_directory=str(tmp_path),
            ) as cluster,
            distributed.Client(cluster, timeout=60) as client,
        ):
            with cluster_executor(client, key) as executor:
                assert client.scheduler_info()["address"].startswith("tls://127.0.0.1:")
                check(fed, sealed, arrivals, executor=executor, worker_key=HeldKey(key.public_key))
                # One call twice is two calls, not the first one's result again.
                assert len({executor.submit(os.urandom, 16).result() for _ in range(2)}) == 2
            # Outside the block no worker has the key any more.
            held = client.run(partial(_holds, key.public_key))
            assert list(held.values()) == [False, False]

    @pytest.mark.parametrize(
        ("address", "good"),
        [
            ("tls://10.0.0.1:8786", True),
            ("tcp://127.0.0.1:8786", True),
            ("tcp://[::1]:8786", True),
            ("inproc://10.0.0.1/1/1", True),
            ("tcp://10.0.0.1:8786", False),
            ("ws://10.0.0.1:8786", False),
            ("tcp://localhost:8786", False),
            ("", False),
        ],
    )
    def test_needs_tls_off_loopback(self, address, good):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Dask imports
            cluster = pytest.importorskip("sottovoce.fl.cluster")
        if good:
            cluster._require_private(address)
        else:
            with pytest.raises(clsc.ParameterError, match="TLS required"):
                cluster._require_private(address)

    def test_sends_nothing_over_an_open_connection(self, fed):
        cluster = pytest.importorskip("sottovoce.fl.cluster")

        class Open(cluster.Client):
            def __init__(self):
                pass

            def scheduler_info(self, **kwargs):
                return {"address": "tls://10.0.0.1:1", "workers": {"tcp://10.0.0.2:1": {}}}

            def register_plugin(self, *args, **kwargs):
                raise AssertionError("the key would have been sent")

            def __del__(self):
                pass

            def __repr__(self):
                return "<open>"

        executor = cluster.cluster_executor(Open(), fed.aggregator_keys.decrypt)
        with pytest.raises(clsc.ParameterError, match=r"TLS required off loopback, got tcp://10\.0\.0\.2"):
            executor.__enter__()


def _holds(public_key):
    try:
        HeldKey(public_key)()
    except clsc.ParameterError:
        return False
    return True
