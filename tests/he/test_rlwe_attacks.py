"""What he.rlwe does not give, shown: a client can have the secret key decrypted, refusals tell about it."""

import numpy as np
import pytest

from sottovoce._ext.errors import OverflowDetected, RangeError
from sottovoce.he import rlwe
from support.he_reference import join
from support.rlwe_reference import BLOCK, HEADER
from support.rlwe_world import (
    ALL_SETS,
    Q50,
    decrypt,
    empty_sum,
    encrypt,
    extreme,
    make_params,
    random_values,
    scheme,
    secret_key,
)


def crafted(params, header, c0, c1):
    """Bytes of a fresh ciphertext that is ``(c0, c1)`` in its first element and 0 elsewhere, in integers.

    c0, c1: ``{coefficient: value}``, rounded down to what the wire holds.  Uses public knowledge only.
    """
    N, L, rows = params.N, params.q.bit_length(), BLOCK // params.N
    body = b""
    for block in range(0, params.n_elements, rows):
        count = min(rows, params.n_elements - block) * N
        for values, d in zip((c0, c1), params.drop_bits, strict=True):
            packed = [0] * count
            if block == 0:
                for at, value in values.items():
                    packed[at] = value % params.q >> d
            body += join(packed, L - d)
    return header + body


def small_updates(params, clients):
    """Vectors as training gives them: far smaller than the clip."""
    rng = np.random.default_rng(5)
    return [np.rint(rng.normal(scale=60, size=params.n_slots)).astype(np.int64) for _ in range(clients)]


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize("factor_bits", [12, 17])
def test_one_decrypted_sum_gives_the_secret_key_away(name, factor_bits):
    # The attack of the design: (0, 2^12 Delta) decrypts to 2^12 s.  It needs no noise, keeps every declared
    # bound, and looks like any other ciphertext to the server.
    params = make_params(6 * 4096, name=name, max_summands=64)
    updates = small_updates(params, 8)
    honest = [encrypt(params, x) for x in updates]
    header = honest[0].to_bytes()[:HEADER]
    evil = crafted(params, header, {}, {0: 1 << (factor_bits + params.scale_bits)})
    # The server accepts it, the key holder decrypts the sum as usual ...
    total = empty_sum(params)
    for c in honest:
        total.add(c)
    total.add(rlwe.Ciphertext.from_bytes(evil, params))
    opened = decrypt(total)
    # ... and whoever is shown the sum, say as the new model, reads the key from its first element.
    S = params.slots_per_coefficient
    multiples = opened[: params.N * S : S] / (1 << factor_bits)
    s = np.rint(multiples).astype(np.int64)
    assert np.abs(multiples - s).max() < 0.5
    assert np.array_equal(s, secret_key(name)._secret)
    # With it every single vector of every client is open: here by textbook arithmetic.
    theirs = scheme(params)
    theirs.key.s, real = s.tolist(), theirs.key.s
    try:
        slots, _ = theirs.decrypt(honest[3].to_bytes())
    finally:
        theirs.key.s = real
    assert slots[: params.n_slots] == updates[3].tolist()


def test_the_rest_of_the_sum_is_only_shifted():
    # Nobody notices from the numbers either: one element of many is off by what one client may contribute.
    params = make_params(6 * 4096, max_summands=64)
    updates = small_updates(params, 3)
    honest = [encrypt(params, x) for x in updates]
    evil = crafted(params, honest[0].to_bytes()[:HEADER], {}, {0: 1 << (12 + params.scale_bits)})
    opened = decrypt(rlwe.add([*honest, rlwe.Ciphertext.from_bytes(evil, params)]))
    shift = opened - sum(updates)
    assert not shift[params.N :].any()
    assert np.abs(shift).max() == 1 << 12 <= extreme(params)


def test_padding_stops_the_simple_form():
    # A multiple of s has N coefficients: in an element with padding it shows, and decryption refuses ...
    params = make_params(100)
    c = encrypt(params, np.zeros(100, np.int64))
    evil = crafted(params, c.to_bytes()[:HEADER], {}, {0: 1 << (12 + params.scale_bits)})
    with pytest.raises(OverflowDetected):
        decrypt(rlwe.add([c, rlwe.Ciphertext.from_bytes(evil, params)]))


def test_a_refusal_is_an_answer():
    # ... but whether a sum is refused tells about the key as well, one coefficient a round and without
    # changing a single number: c1 adds a multiple of s below the noise bound, c0 brings one coefficient so
    # near to the bound that it is crossed only if s_i = 1, or only if s_i = -1.
    params = make_params(100)
    honest = [encrypt(params, random_values(params, i), seed=i) for i in range(4)]
    bound = params.max_noise(5, 5)
    recovered = []
    for i in range(12):
        refused = []
        for sign in (1, -1):
            header = honest[0].to_bytes()[:HEADER]
            evil = crafted(params, header, {i: sign * bound * 3 // 4}, {0: bound // 2})
            total = rlwe.add([*honest, rlwe.Ciphertext.from_bytes(evil, params)])
            try:
                opened = decrypt(total)
            except OverflowDetected:
                refused.append(True)
            else:
                refused.append(False)
                assert np.array_equal(opened, sum(random_values(params, j) for j in range(4)))
        recovered.append(refused[0] - refused[1])
    assert recovered == secret_key()._secret[:12].tolist()
    assert len(set(recovered)) == 3


def test_counters_are_their_makers_word():
    # A client that claims to be a sum of many loosens what decryption refuses and uses up the declaration.
    # The server sees the claim: it takes fresh ciphertexts from clients and nothing else.
    params = make_params(100)
    c = encrypt(params, np.zeros(100, np.int64))
    claimed = bytearray(rlwe.add([c]).to_bytes())
    claimed[60:64] = (60).to_bytes(4, "little")
    claimed[64:72] = (60).to_bytes(8, "little")
    evil = rlwe.Ciphertext.from_bytes(bytes(claimed), params)
    assert c.fresh
    assert not evil.fresh
    total = empty_sum(params)
    total.add(evil)
    for _ in range(4):
        total.add(c)
    with pytest.raises(RangeError, match="at most 64"):
        total.add(c)


def test_any_client_moves_every_slot_and_its_neighbours():
    # Encryption does not enforce the clip: a crafted message moves a slot by more than one client may,
    # as long as the sum stays within what all of them may.
    params = make_params(3000, max_summands=64)
    updates = small_updates(params, 8)
    honest = [encrypt(params, x) for x in updates]
    shift = 6 * extreme(params)
    evil = crafted(params, honest[0].to_bytes()[:HEADER], {17: shift << params.scale_bits}, {})
    opened = decrypt(rlwe.add([*honest, rlwe.Ciphertext.from_bytes(evil, params)]))
    change = opened - sum(updates)
    assert change[17] == shift
    assert np.count_nonzero(change) == 1


def test_a_ciphertext_of_another_key_with_this_ones_name_is_noise():
    params = make_params(3000, name=Q50)
    stranger = rlwe.keygen(Q50)
    data = bytearray(stranger.public_key.encrypt(random_values(params), params).to_bytes())
    data[8:40] = secret_key().public_key.key_id
    with pytest.raises(OverflowDetected):
        decrypt(rlwe.Ciphertext.from_bytes(bytes(data), params))
