"""What the measurements of he encrypt is right, the peers' too, and every call is of a new round."""

import numpy as np
import pytest

from sottovoce import he
from sottovoce.cli.bench import he_common, he_peers, of_he
from sottovoce.cli.bench.areas import Area
from sottovoce.cli.bench.measurement import load
from sottovoce.he import kahe

# Through of_he: the order in which the modules are imported is that of the table.
he_kahe, he_rlwe, he_paillier = of_he.he_kahe, of_he.he_rlwe, of_he.he_paillier
BY_NAME = {m.name: m for m in load(Area.HE)}


def called(m):
    operation = m.prepare()
    return operation, operation.call(*(operation.fresh() if operation.fresh else ()))


def test_all_of_it_is_measured_on_one_core():
    assert all(m.one_core for m in BY_NAME.values())


def test_what_is_encrypted_comes_back():
    """The bytes of ``kahe encrypt`` are ciphertexts of the vector: three of them open to three times it."""
    params, of = he_kahe.params(), he_common.codec()
    mean = BY_NAME["kahe open a sum"].prepare().call()
    assert mean.dtype == np.float32
    assert np.abs(mean - he_common.vector()).max() < 2.0 / of.max_weight
    operation = BY_NAME["kahe encrypt"].prepare()
    one, other = (operation.call(*operation.fresh()) for _ in range(2))
    assert len(one) == operation.n_bytes == params.ciphertext_bytes
    assert one != other
    assert kahe.Ciphertext.from_bytes(one, params).to_bytes() == one


def test_every_call_has_a_round_of_its_own():
    assert he_common.new_context() != he_common.new_context()
    fresh = BY_NAME["kahe encrypt"].prepare().fresh
    assert fresh() != fresh()


def test_the_opener_starts_without_public_elements():
    from sottovoce.he import _kahe_public

    operation = BY_NAME["kahe open a sum"].prepare()
    assert _kahe_public._cache
    operation.fresh()
    assert not _kahe_public._cache


@pytest.mark.parametrize("name", ["kahe add", "rlwe add"])
def test_adding_never_exceeds_the_declaration(name, monkeypatch):
    """A sum that is full is not added to: samples may be more than summands."""
    monkeypatch.setattr(he_rlwe, "SUMMANDS", 4)
    operation = BY_NAME[name].prepare()
    counts = []
    for _ in range(9):
        operation.call(*(fresh := operation.fresh()))
        counts += [total.weight_sum for total in fresh]
    assert counts == ([2, 3, 4, 2, 3, 4, 2, 3, 4] if counts else [])


def test_numpy_moves_as_many_bytes_as_adding_does():
    for name, traffic in (("kahe add", he_kahe.add_traffic()), ("rlwe add", he_rlwe.add_traffic())):
        (other,) = BY_NAME[name].alternatives
        assert 3 * other.prepare().call().nbytes == pytest.approx(traffic, rel=1e-5)
        assert other.aim == pytest.approx(1 / 0.7)
        assert BY_NAME[name].work.amount == traffic


def test_the_size_of_the_default_set_is_the_designs():
    m = BY_NAME["kahe encrypt"]
    assert m.prepare().n_bytes / m.work.amount == pytest.approx(4.25, rel=2e-3)
    assert m.size["set"] == he.DEFAULT_SET


def test_what_the_other_schemes_encrypt_comes_back():
    of = he_common.codec()
    for name, length in (("rlwe decrypt a sum", he_common.D), ("paillier decrypt", he_paillier.COUNT)):
        mean = BY_NAME[name].prepare().call()
        assert mean.dtype == np.float32
        assert np.abs(mean - he_common.vector()[:length]).max() < 2.0 / of.max_weight
    for name in ("rlwe encrypt", "paillier encrypt"):
        operation = BY_NAME[name].prepare()
        assert len(operation.call()) == operation.n_bytes


def test_sets_without_room_are_not_measured():
    """Those that rlwe refuses for 1024 vectors of 16 bits, and no others."""
    for name in he.SETS:
        if name in (he_rlwe.SET, *he_rlwe.MORE_SETS):
            assert f"rlwe encrypt, {name.removeprefix('RLWE_')}" in BY_NAME or name == he_rlwe.SET
        else:
            with pytest.raises(he.ParameterError):
                he_rlwe.params(name)


def test_phe_gives_back_what_it_was_given():
    pytest.importorskip("phe")
    numbers = he_common.vector()[: he_peers._PHE_NUMBERS].tolist()
    assert he_peers._phe_decrypt().call() == numbers
    operation = he_peers._phe_encrypt()
    assert sum(len(data) for data, _ in operation.call()) == operation.n_bytes


def test_aims_fall_with_the_level():
    assert he_peers.aims(30.0) == {"avx512": 30.0, "avx2": 15.0, "portable": 5.0, "neon": 5.0}


@pytest.mark.parametrize("scheme", ["_bfv", "_ckks"])
def test_tenseal_gives_back_what_it_was_given(scheme):
    """Whole ciphertexts of 4096 numbers, in the shape that the measurement times."""
    pytest.importorskip("tenseal")
    context, _, read, lists = getattr(he_peers, scheme)()
    assert {len(numbers) for numbers in lists} == {4096}
    operation = he_peers._tenseal_encrypt(getattr(he_peers, scheme))
    made = operation.call()
    assert sum(map(len, made)) == pytest.approx(operation.n_bytes, rel=1e-2)
    for data, numbers in zip(made, lists, strict=True):
        assert np.allclose(read(context, data).decrypt(), numbers, atol=1e-6)
    assert he_peers._tenseal_decrypt(getattr(he_peers, scheme)).call()[0] == pytest.approx(lists[0], abs=1e-6)


def test_bfv_holds_the_sum_of_all_summands():
    """Otherwise a larger, slower modulus would be due: the peer must not be given less to do."""
    pytest.importorskip("tenseal")
    largest = he_common.SUMMANDS * he_common.codec().max_weight
    q = he_peers._BFV_MODULUS
    assert 2 * largest < q
    assert q % 8192 == 1
    smaller = range(2 * largest + 1, q)
    assert not [n for n in smaller if n % 8192 == 1 and all(n % d for d in range(3, int(n**0.5) + 1, 2))]
