"""Lists of arrays as one vector, and the bytes of a layout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext import cbor
from sottovoce._ext.errors import DecodeError, ParameterError, RangeError
from sottovoce.he import ModelLayout

shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
arrays = st.lists(
    st.tuples(st.sampled_from(["float16", "float32", "float64"]), shapes), min_size=1, max_size=5
)


def model():
    rng = np.random.default_rng(1)
    return [
        rng.normal(size=(3, 4)).astype("f4"),
        np.asfortranarray(rng.normal(size=(2, 3))),
        np.array(2.5, "f2"),
        np.zeros((0, 7), "f4"),
    ]


def test_one_array_is_no_list_of_arrays():
    # It would be taken for the list of its rows.
    for wrong in (
        lambda: ModelLayout.of(np.zeros((4, 3))),
        lambda: ModelLayout.of([np.zeros(3)] * 4).flatten(np.zeros((4, 3))),
    ):
        with pytest.raises(TypeError, match="a list of arrays expected, got one array"):
            wrong()


def test_vector_and_back():
    layout = ModelLayout.of(model())
    assert layout.size == 12 + 6 + 1
    vector = layout.flatten(model())
    assert vector.dtype == np.float64
    assert vector[12:18].tolist() == model()[1].ravel().tolist()  # C order whatever the memory order
    for a, b in zip(model(), layout.unflatten(vector), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert np.array_equal(a, b)


def test_flatten_copies():
    layout = ModelLayout.of([np.zeros(3)])
    a = np.ones(3)
    layout.flatten([a])[0] = 7
    assert a[0] == 1
    vector = np.ones(3)
    layout.unflatten(vector)[0][0] = 7
    assert vector[0] == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_names_the_array_and_index_that_is_not_finite(bad):
    arrays = model()
    arrays[1][1, 2] = bad
    layout = ModelLayout.of(arrays)
    with pytest.raises(RangeError, match=r"array 1, index \(1, 2\)"):
        layout.flatten(arrays)


def test_rejects_another_model():
    layout = ModelLayout.of(model())
    for change in (
        lambda m: m[:-1],
        lambda m: [*m, m[0]],
        lambda m: [m[0].T, *m[1:]],
        lambda m: [m[0].astype("f8"), *m[1:]],
    ):
        with pytest.raises(ParameterError):
            layout.flatten(change(model()))
    with pytest.raises(TypeError):
        layout.flatten([1.0, *model()[1:]])
    for other in ("f2", "i8", "c8", ">u4", object):
        with pytest.raises(TypeError, match="float64 or float32"):
            layout.unflatten(np.zeros(19, other))
    with pytest.raises(ParameterError):
        layout.unflatten(np.zeros(18))


def test_a_vector_has_the_precision_of_its_widest_array():
    for dtypes, expected in (("e", "f4"), ("ef", "f4"), ("fd", "f8"), ("d", "f8")):
        layout = ModelLayout.of([np.zeros(2, d) for d in dtypes])
        assert layout.vector_dtype == expected
        vector = np.linspace(-1, 1, layout.size).astype(layout.vector_dtype)
        for array, part in zip(layout.unflatten(vector), vector.reshape(-1, 2), strict=True):
            assert np.array_equal(array, part.astype(array.dtype))


def test_rejects_what_has_no_mean():
    for bad in (
        [np.zeros(3, int)],
        [np.zeros(3, bool)],
        [np.zeros(3, ">f4")],
        [np.zeros(3, "c8")],
        [],
        [np.zeros(0)],
    ):
        with pytest.raises(ParameterError):
            ModelLayout.of(bad)
    with pytest.raises(TypeError):
        ModelLayout.of([[1.0]])


@given(arrays)
def test_bytes_round_trip(fields):
    try:
        layout = ModelLayout(tuple(s for _, s in fields), tuple(d for d, _ in fields))
    except ParameterError:
        assert sum(int(np.prod(s)) for _, s in fields) == 0
        return
    again = ModelLayout.from_bytes(layout.to_bytes())
    assert again == layout
    assert hash(again) == hash(layout)
    assert again.digest == layout.digest
    vector = np.arange(layout.size, dtype=np.float64)
    assert np.array_equal(layout.flatten(layout.unflatten(vector)), vector)


def test_digests_tell_layouts_apart():
    made = [
        ModelLayout.of(m).digest
        for m in (
            [np.zeros((2, 3))],
            [np.zeros((3, 2))],
            [np.zeros(6)],
            [np.zeros((2, 3), "f4")],
            [np.zeros((1, 3)), np.zeros((1, 3))],
        )
    ]
    assert len(set(made)) == len(made)
    assert all(len(d) == 32 for d in made)


@pytest.mark.parametrize(
    "value",
    [
        {"version": 2, "arrays": [["float64", [3]]]},
        {"version": 1, "arrays": []},
        {"version": 1, "arrays": [["float64", [0]]]},
        {"version": 1, "arrays": [["float128", [3]]]},
        {"version": 1, "arrays": [["int64", [3]]]},
        {"version": 1, "arrays": [["float64", [-1]]]},
        {"version": 1, "arrays": [["float64", [True]]]},
        {"version": 1, "arrays": [["float64", ["3"]]]},
        {"version": 1, "arrays": [["float64", [1 << 41]]]},
        {"version": 1, "arrays": [["float64", [1 << 39, 1 << 39]]]},
        {"version": 1, "arrays": [["float64", [1] * 33]]},
        {"version": 1, "arrays": [["float64"]]},
        {"version": 1, "arrays": [["float64", 3]]},
        {"version": 1, "arrays": [[3, [3]]]},
        {"version": 1, "arrays": [3]},
        {"version": 1},
        {"version": 1, "arrays": [["float64", [3]]], "more": 1},
        [],
    ],
)
def test_rejects_other_maps(value):
    with pytest.raises(DecodeError):
        ModelLayout.from_bytes(cbor.dumps(value))


@given(st.data())
def test_what_parses_has_one_encoding(data):
    good = ModelLayout.of([np.zeros((2, 3), "f4"), np.zeros(5)]).to_bytes()
    kind = data.draw(st.sampled_from(["flip", "cut", "extend", "random"]))
    if kind == "flip":
        bit = data.draw(st.integers(0, 8 * len(good) - 1))
        bad = (int.from_bytes(good, "big") ^ (1 << bit)).to_bytes(len(good), "big")
    elif kind == "cut":
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    elif kind == "extend":
        bad = good + data.draw(st.binary(min_size=1, max_size=10))
    else:
        bad = data.draw(st.binary(max_size=60))
    try:
        layout = ModelLayout.from_bytes(bad)
    except DecodeError:
        return
    assert layout.to_bytes() == bad


def test_rejects_what_is_not_bytes():
    with pytest.raises(TypeError):
        ModelLayout.from_bytes("x")


def test_a_number_beyond_its_array_is_refused_with_array_and_index():
    layout = ModelLayout.of([np.zeros(2), np.zeros((1, 2), "f2"), np.zeros(1, "f4")])
    fine = np.array([1e300, 1e5, 65504, -65504, 1e38])
    assert layout.unflatten(fine)[1].tolist() == [[65504, -65504]]
    for at, value, where in (
        (3, 1e5, r"array 1, index \(0, 1\): .* float16"),
        (4, -1e39, r"array 2, index \(0,\): .* float32"),
        (1, np.nan, r"array 0, index \(1,\): .* float64"),
    ):
        bad = fine.copy()
        bad[at] = value
        with pytest.raises(RangeError, match=where):
            layout.unflatten(bad)


def test_masked_arrays_are_refused():
    layout = ModelLayout.of([np.zeros(3)])
    with pytest.raises(TypeError, match="mask"):
        layout.flatten([np.ma.masked_array(np.ones(3), mask=[True, False, False])])


def test_a_list_of_names_is_no_model():
    for bad in ({"w": np.zeros(2)}, "w", b"w", None, 3):
        with pytest.raises(TypeError, match=f"arrays: a list of arrays expected, got {type(bad).__name__}"):
            ModelLayout.of(bad)
