"""No secret of a Paillier key in repr, pickles, messages, or the variables of frames an error has passed."""

import copy
import pickle

import numpy as np
import pytest

from sottovoce._ext.errors import DecodeError, OverflowDetected, ParameterError, RangeError
from sottovoce.he import _paillier_secret, paillier
from support.paillier_world import REAL, key, make_params

SECRET = key(REAL)
PARAMS = make_params(REAL, 3)
P, Q = int(SECRET._p.prime), int(SECRET._q.prime)
NUMBERS = {
    v for r in (SECRET._p, SECRET._q) for v in map(int, (r.prime, r.prime - 1, r.square, r.factor))
}  # fmt: skip


def reachable(value, depth=5):
    yield value
    if depth == 0 or isinstance(value, (paillier.SecretKey, _paillier_secret._Half, np.ndarray)):
        return
    inside = []
    if isinstance(value, dict):
        inside = [*value, *value.values()]
    elif isinstance(value, (list, tuple, set)):
        inside = list(value)
    for part in inside:
        yield from reachable(part, depth - 1)


def assert_no_secret_in(error, values=()):
    """``values``: encrypted numbers that may not show either."""
    n_frames = 0
    texts = [x.to_bytes(128, order) for x in (P, Q) for order in ("little", "big")]
    while error is not None:
        assert error.__cause__ is None
        assert not any(str(x) in str(error) for x in (*NUMBERS, *values))
        tb = error.__traceback__
        while tb:
            if tb.tb_frame.f_globals["__name__"].startswith("sottovoce.he"):
                n_frames += 1
                for name, local in tb.tb_frame.f_locals.items():
                    where = f"{tb.tb_frame.f_code.co_qualname}: {name}"
                    shown = repr(local)
                    assert not any(str(x) in shown for x in (P, Q)), where
                    for x in reachable(local):
                        assert not (isinstance(x, int) or type(x).__name__ == "mpz") or x not in NUMBERS, (
                            where
                        )
                        if isinstance(x, (bytes, bytearray)):
                            assert not any(t in x for t in texts), where
            tb = tb.tb_next
        error = error.__context__
    assert n_frames


def test_the_walker_finds_what_is_there():
    for box in ([P], {"a": (SECRET._q.prime,)}, SECRET.to_bytes()):
        scope = {"__name__": "sottovoce.he.fake"}
        exec("def leak(box):\n    raise ValueError\n", scope)
        with pytest.raises(ValueError) as caught:
            scope["leak"](box)
        with pytest.raises(AssertionError, match="leak: box"):
            assert_no_secret_in(caught.value)


def test_overflow_carries_no_key_and_no_plaintext():
    public = SECRET.public_key
    c = public._n2 - 1, *()
    wrong = paillier.Ciphertext._of(
        public, make_params(REAL, 1, slots=1), 1, (pow(1 + public._n, 987654321, public._n2),)
    )
    with pytest.raises(OverflowDetected) as caught:
        SECRET.decrypt(wrong)
    assert_no_secret_in(caught.value, [987654321])
    for frame_value in c:
        assert frame_value  # -1 decrypts to 0 and is no overflow
    assert SECRET.decrypt(paillier.Ciphertext._of(public, make_params(REAL, 1, slots=1), 1, c)).tolist() == [
        0
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d[:-1],
        lambda d: d + b"\0",
        lambda d: b"\0\0" + d[2:],
        lambda d: d[:2] + b"\0\0" + d[4:],
        lambda d: d[:260] + bytes(512),
        lambda d: d[:4] + d[132:260] + d[4:132] + d[260:],
        lambda d: d[:260] + (pow(1 + P * Q, 3, (P * Q) ** 2)).to_bytes(512, "little"),
    ],
)
def test_bytes_of_a_secret_key_that_do_not_fit_carry_no_secret(change):
    data = change(SECRET.to_bytes())
    with pytest.raises(DecodeError) as caught:
        paillier.SecretKey.from_bytes(data)
    assert_no_secret_in(caught.value)


def test_argument_errors_carry_no_key_and_no_value():
    c = SECRET.public_key.encrypt(np.array([1, 2, 3]), PARAMS)
    with pytest.raises(ParameterError) as caught:
        SECRET.decrypt(c, 0)
    assert_no_secret_in(caught.value)
    with pytest.raises(TypeError) as caught:
        SECRET.decrypt(None)
    assert_no_secret_in(caught.value)
    with pytest.raises(RangeError) as caught:
        SECRET.public_key.encrypt(np.array([1, 987654321, 3]), PARAMS)
    assert_no_secret_in(caught.value, [987654321])


def test_repr_and_pickles():
    for shown in (repr(SECRET), str(SECRET), f"{SECRET}", repr(SECRET._p), repr(SECRET.public_key)):
        assert not any(str(x) in shown or f"{x:x}" in shown for x in NUMBERS)
        assert len(shown) < 100
    for refuse in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            refuse(SECRET)
    assert "SecretKey" in repr(object.__new__(paillier.SecretKey))
    data = pickle.dumps((SECRET.public_key, SECRET.public_key.encrypt(np.array([1, 2, 3]), PARAMS)))
    assert not any(x.to_bytes(128, order) in data for x in (P, Q) for order in ("little", "big"))
