"""How often a hopeless word comes out as a wrong codeword: measured, and as many as there must be.

A word drawn at random lies within t = nsym / 2 errors of a codeword with the probability of the balls of
radius t around all codewords, which do not overlap; the decoder finds each of these and no other.
"""

from math import comb, sqrt

import numpy as np
import pytest

from sottovoce.rs import RSCodec


def probability(n, nsym, order=255):
    ball = sum(comb(n, e) * order**e for e in range(nsym // 2 + 1))
    return ball / (order + 1) ** nsym


def measured(n, nsym, words, seed):
    rng, codec = np.random.default_rng(seed), RSCodec(nsym)
    result = codec.decode_batch(rng.integers(0, 256, (words, n), np.uint8))
    back = codec.decode_batch(result.words[result.ok])
    assert (back.changed == 0).all()  # whatever came out as corrected is a codeword
    return np.count_nonzero(result.ok)


@pytest.mark.parametrize(
    ("nsym", "documented"),
    [(2, 0.99), (4, 0.49), (6, 0.16), (8, 0.039), (10, 0.0077), (16, 2.1e-5), (32, 2.6e-14)],
)
def test_the_table_of_the_documentation_is_the_theory(nsym, documented):
    assert probability(255, nsym) == pytest.approx(documented, rel=0.02, abs=0)


@pytest.mark.parametrize("n", [255, 60])
@pytest.mark.parametrize("nsym", [2, 3, 4, 5, 6, 8, 10])
def test_measured_rate_is_that_of_the_theory(n, nsym):
    words, p = 4000, probability(n, nsym)
    hits = measured(n, nsym, words, [n, nsym])
    # Five standard deviations, and one word for what is rounded.
    assert abs(hits - words * p) <= 5 * sqrt(words * p * (1 - p)) + 1


def test_the_statistics_would_notice_a_decoder_that_gives_up_early():
    words, p = 4000, probability(255, 4)
    only_one_error = words * probability(255, 2) / 256**2
    assert abs(only_one_error - words * p) > 5 * sqrt(words * p * (1 - p)) + 1
