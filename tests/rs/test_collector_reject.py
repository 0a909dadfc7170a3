"""``Collector``: what it refuses, before it takes a shard and of one."""

import numpy as np
import pytest

from sottovoce.rs import Collector, ParameterError, ShardKey, disperse

KEY = ShardKey.generate()
COST = 2048 + 59 + 38  # a shard in the accounting: overhead, header, piece ceil((64 + 48) / 3)
GROUP = 1024


@pytest.mark.parametrize("shard", [None, "x", bytearray(200), memoryview(bytes(200)), 7])
def test_add_rejects_other_types_and_counts_nothing(shard):
    c = Collector(KEY)
    with pytest.raises(TypeError):
        c.add(shard)
    assert not any(c.stats.values())


def test_add_rejects_a_source_that_cannot_be_counted():
    c = Collector(KEY)
    with pytest.raises(TypeError):
        c.add(disperse(b"packet", 3, 5, KEY.public_key)[0], source=[])
    assert not any(c.stats.values())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"k": 0}, ParameterError),
        ({"k": 5, "n": 4}, ParameterError),
        ({"n": 256}, ParameterError),
        ({"k": 2.0}, TypeError),
        ({"max_groups": 0}, ParameterError),
        ({"max_groups": None}, TypeError),
        ({"max_bytes": 0}, ParameterError),
        ({"max_bytes": 1.5}, TypeError),
        ({"shard_bytes": 0}, ParameterError),
        ({"shard_bytes": "1"}, TypeError),
        ({"max_openings_per_source": 0}, ParameterError),
        ({"max_openings_per_source": True}, TypeError),
        ({"k": 3, "shard_bytes": 145, "max_bytes": 3 * COST + GROUP - 1}, ParameterError),
        ({"group_timeout_s": 0}, ParameterError),
        ({"group_timeout_s": float("nan")}, ParameterError),
        ({"group_timeout_s": "60"}, TypeError),
        ({"group_timeout_s": None}, TypeError),
        ({"clock": None}, TypeError),
        ({"clock": 12.5}, TypeError),
        ({"shard_bytes": 5}, ParameterError),
        ({"shard_bytes": 200, "max_bytes": 1000}, ParameterError),
        ({"context": "c"}, TypeError),
    ],
)
def test_rejects_impossible_options(options, error):
    with pytest.raises(error, match=f"^(k, n|{'|'.join(options)})"):
        Collector(KEY, **options)


@pytest.mark.parametrize("k", [None, 1, 3, 48, 200])
def test_the_least_length_is_that_of_a_shard_of_an_empty_packet(k):
    shards = disperse(b"", k or 255, 255, KEY.public_key)
    size = len(shards[0])
    assert Collector(KEY, k=k, shard_bytes=np.int64(size)).add(shards[0]) is (b"" if k == 1 else None)
    with pytest.raises(ParameterError, match=f"shard_bytes: at least {size} expected, got {size - 1}"):
        Collector(KEY, k=k, shard_bytes=size - 1)


def test_rejects_another_kind_of_key():
    with pytest.raises(TypeError):
        Collector(KEY.to_bytes())
