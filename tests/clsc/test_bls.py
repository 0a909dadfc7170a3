"""BLS signatures of t of n servers: one message has one signature, whoever makes it."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext.enc import enc
from sottovoce.clsc import (
    BlsPublicKey,
    BlsShare,
    DecodeError,
    ParameterError,
    SignatureError,
    TooFewAnswers,
    deal_bls,
    group,
    hashes,
)
from sottovoce.clsc.bls import _deal_bls_derand
from support.clsc_world import Drbg
from support.mutations import mutations, refused_or_canonical

MESSAGE = b"epoch and round"
SHARES = _deal_bls_derand(3, 5, Drbg("3 of 5"))
KEY = SHARES[0].public_key
PARTS = {share.index: share.sign(MESSAGE) for share in SHARES}
SIGNATURE = KEY.combine(MESSAGE, PARTS).signature


def without(*servers):
    return {j: part for j, part in PARTS.items() if j not in servers}


class TestSigning:
    def test_any_t_servers_make_the_same_bytes(self):
        for left_out in ((1, 2), (1, 5), (2, 4), (3,), ()):
            combined = KEY.combine(MESSAGE, without(*left_out))
            assert combined.signature == SIGNATURE
            assert combined.wrong == ()
        KEY.verify(MESSAGE, SIGNATURE)

    def test_no_other_signature_of_the_message_passes(self):
        """What makes it a beacon: the signers have nothing to choose."""
        point = group.g1_from_bytes(SIGNATURE, "signature")
        others = [-point, point + group.P1, point + point]
        for other in [
            *(p.to_compressed_bytes() for p in others),
            SIGNATURE[:-1],
            SIGNATURE + b"\0",
            *PARTS.values(),
        ]:
            with pytest.raises(SignatureError):
                KEY.verify(MESSAGE, other)
        with pytest.raises(SignatureError):
            KEY.verify(MESSAGE + b"\0", SIGNATURE)

    def test_fewer_than_t_are_not_enough(self):
        with pytest.raises(TooFewAnswers) as caught:
            KEY.combine(MESSAGE, without(1, 2, 3))
        assert (caught.value.needed, caught.value.present, caught.value.wrong) == (3, 2, ())

    def test_wrong_parts_are_named_and_mended_by_others(self):
        lying = PARTS | {2: SHARES[1].sign(b"another round"), 4: b"no point"}
        combined = KEY.combine(MESSAGE, lying)
        assert (combined.signature, combined.wrong) == (SIGNATURE, (2, 4))
        with pytest.raises(TooFewAnswers) as caught:
            KEY.combine(MESSAGE, {j: lying[j] for j in (1, 2, 3, 4)})
        assert caught.value.wrong == (2, 4)
        KEY.verify_part(1, MESSAGE, PARTS[1])
        for server, part in ((1, PARTS[2]), (2, lying[2]), (4, lying[4])):
            with pytest.raises(SignatureError):
                KEY.verify_part(server, MESSAGE, part)

    def test_one_server_signs_alone(self):
        (share,) = deal_bls()
        share.public_key.verify(MESSAGE, share.sign(MESSAGE))
        assert share.public_key.combine(MESSAGE, {1: share.sign(MESSAGE)}).signature == share.sign(MESSAGE)

    def test_two_dealings_have_nothing_in_common(self):
        first, second = deal_bls(), deal_bls()
        assert first[0].public_key != second[0].public_key
        with pytest.raises(SignatureError):
            first[0].public_key.verify(MESSAGE, second[0].sign(MESSAGE))

    def test_a_point_signed_here_is_no_partial_key(self):
        """Its own tag: even under one secret no name hashes to what is signed here."""
        Q = hashes.hash_identity(bytes(32), "sign", b"alice", bytes(48))
        assert group.hash_to_g1(b"SOTTOVOCE-V1-BLS", enc(bytes(32), b"alice", bytes(48))) != Q


class TestBorders:
    def test_impossible_shares(self):
        for s in (0, group.ORDER, SHARES[1]._s, "1"):
            with pytest.raises(ParameterError, match="not the share"):
                BlsShare(s, KEY, 1)
        with pytest.raises(ParameterError, match="server: 1 to 5"):
            BlsShare(SHARES[0]._s, KEY, 6)
        with pytest.raises(TypeError, match="BlsPublicKey"):
            BlsShare(SHARES[0]._s, None, 1)

    @pytest.mark.parametrize("counts", [(0, 1), (2, 1), (1, 65), (-1, 3)])
    def test_impossible_dealings(self, counts):
        with pytest.raises(ParameterError):
            deal_bls(*counts)

    def test_wrong_types(self):
        calls = [
            lambda: deal_bls(True, 1),
            lambda: KEY.verify("text", SIGNATURE),
            lambda: KEY.verify(MESSAGE, None),
            lambda: KEY.combine(MESSAGE, [SIGNATURE]),
            lambda: KEY.combine(MESSAGE, {"1": SIGNATURE}),
            lambda: KEY.verify_part(True, MESSAGE, SIGNATURE),
            lambda: SHARES[0].sign("text"),
            lambda: BlsPublicKey.from_bytes(None),
        ]
        for call in calls:
            with pytest.raises(TypeError):
                call()
        with pytest.raises(ParameterError):
            KEY.combine(MESSAGE, {6: SIGNATURE})

    def test_is_immutable_and_shows_no_secret(self):
        share = SHARES[0]
        for thing in (KEY, share):
            with pytest.raises(AttributeError):
                thing.index = 2
        assert str(share._s) not in repr(share)
        assert f"{share._s:x}" not in repr(share)
        with pytest.raises(TypeError, match="secret"):
            pickle.dumps(share)
        assert pickle.loads(pickle.dumps(KEY)) == KEY

    def test_no_traceback_holds_the_secret(self):
        with pytest.raises(ParameterError) as caught:
            BlsShare(12345678901234567890, KEY, 1)
        frames, tb = [], caught.tb
        while tb is not None:
            frames.append(tb.tb_frame)
            tb = tb.tb_next
        assert all(12345678901234567890 not in frame.f_locals.values() for frame in frames[1:])

    @given(mutations(KEY.to_bytes()))
    def test_key_is_not_malleable(self, data):
        refused_or_canonical(BlsPublicKey.from_bytes, BlsPublicKey.to_bytes, data, DecodeError)

    @given(st.one_of(st.binary(min_size=48, max_size=48), mutations(SIGNATURE)))
    def test_signature_is_not_malleable(self, data):
        if data != SIGNATURE:
            with pytest.raises(SignatureError):
                KEY.verify(MESSAGE, data)
