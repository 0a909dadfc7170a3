"""Known answers of the codec: published words, words of the twin, presets of standards."""

import hashlib

import numpy as np
import pytest

from sottovoce.rs import CcsdsCodec, ReedSolomonError, RSCodec
from sottovoce.rs._codec_ccsds import FROM_DUAL, TO_DUAL
from support import rs_codec_twin, rs_twin, rs_vectors

FIELDS = ["nsym", "fcr", "prim", "generator", "c_exp", "word", "received", "erased"]
DATA, TESTS = rs_vectors.load("codec.json", ["accumulated"], FIELDS)


def symbols(text, c_exp):
    width = 2 if c_exp <= 8 else 4
    return [int(text[i : i + width], 16) for i in range(0, len(text), width)]


def codec_of(case):
    return RSCodec(case["nsym"], **{name: case[name] for name in ("fcr", "prim", "generator", "c_exp")})


@pytest.mark.parametrize("case", TESTS, ids=lambda c: f"{c['tcId']} {c['comment']}")
def test_word(case):
    codec, word = codec_of(case), symbols(case["word"], case["c_exp"])
    message = word[: len(word) - case["nsym"]]
    assert list(codec.encode(message)) == word
    assert codec.check(word) == [True]
    received = symbols(case.get("received", case["word"]), case["c_exp"])
    if case["result"] == "valid":
        got = codec.decode(received, erase_pos=case.get("erased", []))
        assert [list(part) for part in got[:2]] == [message, word]
    else:
        with pytest.raises(ReedSolomonError):
            codec.decode(received, erase_pos=case["erased"])


@pytest.mark.parametrize("case", [t for t in TESTS if len(t["word"]) < 100], ids=lambda c: str(c["tcId"]))
def test_second_implementation_agrees(case):
    twin = rs_codec_twin.Twin(case["nsym"], case["fcr"], case["prim"], case["generator"], case["c_exp"])
    word = symbols(case["word"], case["c_exp"])
    assert twin.encode(word[: len(word) - case["nsym"]]) == word
    assert not any(twin.syndromes(word))
    assert list(codec_of(case).gen[case["nsym"]]) == twin.gen


def test_a_thousand_words_have_the_accumulated_digest():
    want = DATA["accumulated"]
    stream, digest = rs_twin.Stream(bytes.fromhex(want["seed"])), hashlib.sha256()
    for _ in range(want["encodes"]):
        nsym, fcr = stream.number(1, 12), stream.number(0, 254)
        prim = (0x11D, 0x12D, 0x187)[stream.number(0, 2)]
        digest.update(RSCodec(nsym, fcr=fcr, prim=prim).encode(stream.take(stream.number(1, 16))))
    assert want["encodes"] == 1000
    assert digest.hexdigest() == want["sha256"]


def test_examples_of_the_readme_of_reedsolo_are_repaired():
    codec = RSCodec(10)
    assert codec.decode(b"hXXXo worXd\xed%T\xc4\xfdX\x89\xf3\xa8\xaa")[0] == b"hello world"
    with pytest.raises(ReedSolomonError):
        codec.decode(b"hXXXo worXd\xed%T\xc4\xfdXX\xf3\xa8\xaa")
    codec = RSCodec(12)
    assert codec.decode(b"hello worXXXXy\xb2XX\x01q\xb9\xe3\xe2=")[0] == b"hello world"
    erased = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16]
    twelve = codec.decode(b"helXXXXXXXXXXy\xb2XX\x01q\xb9\xe3\xe2=", erase_pos=erased)
    assert twelve[0] == b"hello world"
    assert list(twelve[2]) == erased


def test_largest_field_and_word():
    # RS(65535, 65471) over 0x1100B, first zero at the power 1, message 1 ... 65471: a test of the free
    # decoder of A. Inan (xdsopl/reed-solomon, CC0), which names no other source.
    parity = [
        25271, 26303, 22052, 31318, 31233, 6076, 40148, 29468, 47507, 32655, 12404, 13265,
        23901, 38403, 50967, 50433, 40818, 226, 62296, 23636, 56393, 12952, 11476, 44416,
        518, 50014, 10037, 57582, 33421, 42654, 54025, 7157, 4826, 52148, 17167, 23294,
        6427, 40953, 11168, 35305, 18209, 1868, 39971, 54928, 27566, 1424, 4846, 25347,
        34710, 42190, 56452, 21859, 49805, 28028, 41657, 25756, 22014, 24479, 28758, 17438,
        12976, 61743, 46735, 1557,
    ]  # fmt: skip
    codec = RSCodec(64, nsize=65535, fcr=1, prim=0x1100B, c_exp=16)
    message = np.arange(1, 65472, dtype=np.uint16)
    word = codec.encode(message)
    assert list(word[-64:]) == parity
    for place in range(0, 65535, 2114):
        word[place] ^= 4711
    got = codec.decode(word)
    assert np.array_equal(got[0], message)
    assert list(got[2]) == list(range(0, 65535, 2114))[::-1]


# ---- presets ----


def logarithms(prim):
    log, value = {}, 1
    for power in range(255):
        log[value] = power
        value = rs_codec_twin.Field(8, prim).times(value, 2)
    return log


def test_generator_polynomial_of_dvb_is_that_of_the_standard():
    # EN 300 421, section 4.4.2: zeros at the powers 0 ... 15 of 2, field polynomial 0x11D; coefficients as
    # they are printed for implementations of it.
    codec = RSCodec.preset("dvb")
    assert list(codec.gen[16]) == [1, 59, 13, 104, 189, 68, 209, 30, 8, 163, 65, 41, 229, 98, 50, 36, 59]
    word = codec.encode(bytes(188))
    assert len(word) == 204
    # Shortened from (255, 239): zeros in front change nothing.
    packet = bytes([0x47, *range(187)])
    assert RSCodec(16).encode(bytes(51) + packet)[51:] == codec.encode(packet)


def test_generator_polynomial_of_qr_is_that_of_the_standard():
    # ISO/IEC 18004, annex A, 10 error correction codewords: exponents of 2.
    gen, log = RSCodec.preset("qr", 10).gen[10], logarithms(0x11D)
    assert [log[c] for c in gen] == [0, 251, 67, 46, 61, 118, 70, 64, 94, 32, 45]


def test_generator_polynomial_of_data_matrix_is_that_of_the_standard():
    # ISO/IEC 16022, annex E, 5 error correction codewords: 228, 48, 15, 111, 62 from the constant up.
    assert list(RSCodec.preset("datamatrix", 5).gen[5]) == [1, 62, 111, 15, 48, 228]


def test_generator_polynomial_of_ccsds_is_that_of_the_standard():
    # CCSDS 131.0-B, annex on the coefficients, E = 16: exponents of 2 in 0x187; they are a palindrome.
    half = [0, 249, 59, 66, 4, 43, 126, 251, 97, 30, 3, 213, 50, 66, 170, 5, 24]
    gen, log = RSCodec.preset("ccsds").gen[32], logarithms(0x187)
    assert [log[c] for c in gen] == [*half, *half[-2::-1]]
    other = list(RSCodec.preset("ccsds", 16).gen[16])
    assert other == other[::-1]


def test_dual_basis_is_that_of_the_standard():
    # CCSDS 131.0-B, annex on the transformation: rows for u7 ... u0, columns z0 ... z7; and the inverse.
    to_dual = [0b10001101, 0b11101111, 0b11101100, 0b10000110, 0b11111010, 0b10011001, 0b10101111, 0b01111011]
    assert [TO_DUAL[0x80 >> i] for i in range(8)] == to_dual
    from_dual = [
        0b11000101,
        0b01000010,
        0b00101110,
        0b11111101,
        0b11110000,
        0b01111001,
        0b10101100,
        0b11001100,
    ]
    assert [FROM_DUAL[0x80 >> i] for i in range(8)] == from_dual
    assert np.array_equal(FROM_DUAL[TO_DUAL], np.arange(256))


def test_a_code_block_is_its_words_in_turn_and_in_the_dual_basis():
    codec = CcsdsCodec(depth=5)
    data = np.random.default_rng(1).integers(0, 256, 5 * 200, np.uint8)
    block = np.frombuffer(codec.encode(data), np.uint8)
    assert len(block) == 5 * 232
    for w in range(5):
        word = RSCodec.preset("ccsds").encode(FROM_DUAL[data[w::5]].tobytes())
        assert block[w::5].tobytes() == TO_DUAL[np.frombuffer(word, np.uint8)].tobytes()
