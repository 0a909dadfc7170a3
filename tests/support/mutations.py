"""What a fuzzer does to valid bytes, and what a strict decoder may do with the result."""

from hypothesis import strategies as st


def mutations(original):
    """Flip, cut, extend, splice: what a fuzzer does to valid bytes, and bytes of its own."""
    n = len(original)
    flip = st.builds(
        lambda i, b: original[:i] + bytes([original[i] ^ b]) + original[i + 1 :],
        st.integers(0, n - 1),
        st.integers(1, 255),
    )
    cut = st.builds(lambda i: original[:i], st.integers(0, n - 1))
    extend = st.builds(lambda tail: original + tail, st.binary(min_size=1, max_size=300))
    splice = st.builds(
        lambda i, j, mid: original[:i] + mid + original[j:],
        st.integers(0, n), st.integers(0, n), st.binary(max_size=100),
    )  # fmt: skip
    return st.one_of(flip, cut, extend, splice, st.binary(max_size=2000), st.just(b"\0" * 100_000))


def refused_or_canonical(decode, encode, data, *errors):
    try:
        value = decode(data)
    except errors:
        return
    assert encode(value) == data
