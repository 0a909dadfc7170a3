"""Headers that cannot be: one fault a case, refused by the constructor and by the decoder alike."""

import cbor2
import numpy as np
import pytest

from sottovoce import clsc, he
from sottovoce.fl import ProtocolError, RoundHeader, ServerKeys, SignedHeader
from support.fl_federation import NOW


def _fields(header):
    return cbor2.loads(header.to_bytes())


def _decode(fed, fields):
    return RoundHeader.from_bytes(cbor2.dumps(fields, canonical=True), fed.trust())


# CBOR field -> values that no header can have.
IMPOSSIBLE = {
    "v": [0, 2, True],
    "epoch": [b"", b"e" * 65, "text"],
    "round": [-1, 1 << 63, 1.0, True],
    "view": [-1, 1 << 12, 1.0, False],
    "sender_params": [b"", bytes(31), bytes(33)],
    "committee_params": [b"", bytes(31), bytes(32)],
    "revoked": [b"", bytes(31), bytes(33)],
    "layout": [b"", b"\xa0", bytes(40)],
    "model": [b"", bytes(31), bytes(33)],
    "clip": [0.0, -0.0, -1.0, float("nan"), float("inf"), 1],
    "value_bits": [0, 3, 25, -1, 1 << 70, True],
    "max_examples": [-1, 1 << 53, False],
    "set": ["", "RLWE_128_N4096_Q1000", "rlwe_128_n2048_q50", b"RLWE_128_N2048_Q50"],
    "wire_bits": [0, 1, 20, 64, 1 << 40],
    "min_contributors": [-1, 0, 1, 2, 65],
    "max_contributors": [-1, 0, 2, (1 << 20) + 1],
    "shard_key": [b"", bytes(31), bytes(33)],
    "shard_k": [-1, 0, 6, 256],
    "shard_n": [-1, 0, 2, 256],
    "packet_bytes": [-1, 0, 1, 1 << 40],
    "deadline": [-1, 0, NOW + 7201, 1 << 53],
    "audit_deadline": [-1, 0, NOW + 3599, 1 << 53],
    "members": [[], [[]], [b""], "members"],
    "aggregator": [[], [b""], [b"", b""], b""],
}
ATTRIBUTE = {"round": "round_number", "set": "set_name"}
OTHER_TYPE = {"v", "layout", "members", "aggregator"}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in IMPOSSIBLE.items() for value in values],
    ids=lambda v: str(v)[:24],
)
def test_impossible_field(fed, name, value):
    header = fed.header()
    fields = _fields(header)
    assert type(fields[name]) is not type(value) or fields[name] != value
    fields[name] = value
    with pytest.raises(clsc.DecodeError):
        _decode(fed, fields)
    same_type = type(value) is type(_fields(header)[name])
    if name not in OTHER_TYPE and same_type:
        with pytest.raises(clsc.ParameterError):
            fed.header(
                **{
                    "wire_bits": header.wire_bits,
                    "packet_bytes": header.packet_bytes,
                    ATTRIBUTE.get(name, name): value,
                }
            )


def test_every_field_is_needed_and_no_other_is_known(fed):
    fields = _fields(fed.header())
    assert RoundHeader.from_bytes(cbor2.dumps(fields, canonical=True), fed.trust()) == fed.header()
    for name in fields:
        with pytest.raises(clsc.DecodeError, match=name):
            _decode(fed, {k: v for k, v in fields.items() if k != name})
    for extra in ("seed", "note", "", "V"):
        with pytest.raises(clsc.DecodeError, match="unknown"):
            _decode(fed, {**fields, extra: b"chosen"})


def test_packet_bytes_one_below_the_least_is_refused(fed):
    header = fed.header()
    with pytest.raises(clsc.ParameterError, match=str(header.packet_bytes)):
        fed.header(packet_bytes=header.packet_bytes - 1)


def test_wire_bits_one_below_what_opens_every_sum_is_refused(fed):
    header = fed.header()
    with pytest.raises(clsc.ParameterError):
        fed.header(wire_bits=header.wire_bits - 1, packet_bytes=header.packet_bytes)


class TestClip:
    """Half of float32's least number, 2**-149, is rounded to 0: all means of such a round would be."""

    LEAST = 2.0**-150

    def header(self, fed, dtype, clip):
        return fed.header(layout=he.ModelLayout.of([np.zeros(50, dtype)]), clip=clip)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32])
    def test_that_is_0_where_the_mean_travels_as_float32_is_refused(self, fed, dtype):
        fields = _fields(self.header(fed, dtype, np.nextafter(self.LEAST, 1)))
        with pytest.raises(clsc.ParameterError, match=r"clip: above 7\.006.*, got 7\.006"):
            self.header(fed, dtype, self.LEAST)
        with pytest.raises(clsc.DecodeError, match="clip"):
            _decode(fed, {**fields, "clip": self.LEAST})

    def test_that_small_is_one_where_it_travels_as_float64(self, fed):
        assert self.header(fed, np.float64, 5e-324).clip == 5e-324


class TestCommittee:
    def test_of_three_is_refused(self, fed):
        with pytest.raises(clsc.ParameterError, match="4 to 64"):
            fed.header(3)

    def test_the_aggregator_is_no_member(self, fed):
        members = tuple(k.public for k in (*fed.member_keys[:4], fed.aggregator_keys))
        with pytest.raises(clsc.ParameterError, match="aggregator"):
            fed.header(members=members)

    def test_a_member_twice_is_refused(self, fed):
        members = tuple(k.public for k in (*fed.member_keys[:4], fed.member_keys[0]))
        with pytest.raises(clsc.ParameterError, match="distinct"):
            fed.header(members=members)

    def test_two_keys_under_one_name_are_refused(self, fed):
        """An issuer that cheats can make a second pair of keys for a name: still one member."""
        cheat = clsc.Issuer(fed.authority._identity_issuer._master)
        token = cheat.enrol("x", identity=fed.member_keys[0].public.name, quota=2)
        twin = []
        for usage in (clsc.Usage.SIGN, clsc.Usage.DECRYPT):
            request = clsc.IdentityRequest(
                fed.authority.identity, usage, fed.member_keys[0].public.name, token
            )
            twin.append(request.finish(cheat.issue("x", request.to_bytes(cheat.challenge()))))
        members = (*(k.public for k in fed.member_keys[:4]), ServerKeys(*twin).public)
        with pytest.raises(clsc.ParameterError, match="distinct"):
            fed.header(members=members)

    def test_keys_under_other_parameters_are_refused(self, fed):
        foreign = fed.other_authority.server(b"foreign server")
        members = (*(k.public for k in fed.member_keys[:4]), foreign.public)
        with pytest.raises(clsc.ParameterError, match="committee_params"):
            fed.header(members=members)
        with pytest.raises(clsc.ParameterError, match="committee_params"):
            fed.header(aggregator=foreign.public)

    def test_too_many_members_are_refused_before_their_keys_are_read(self, fed):
        fields = _fields(fed.header())
        fields["members"] = fields["members"][:1] * 65
        with pytest.raises(clsc.DecodeError, match="4 to 64"):
            _decode(fed, fields)

    def test_unknown_parameters_are_a_sender_error(self, fed, sealed):
        nobody = clsc.TrustStore(fed.authority.root_public_key, clock=lambda: NOW)
        with pytest.raises(clsc.SenderError):
            RoundHeader.from_bytes(sealed.header.to_bytes(), nobody)


class TestSignedHeader:
    def test_fields(self, fed, sealed):
        fields = cbor2.loads(sealed.signed)
        good = fields["members"]
        bad = [
            {**fields, "v": 2},
            {**fields, "members": good[:-1]},
            {**fields, "members": [*good, good[0]]},
            {**fields, "members": [*good[:-1], "text"]},
            {**fields, "members": [*good[:-1], None]},
            {**fields, "members": [*good[:-1], good[-1] + b"\0"]},
            {**fields, "aggregator": fields["aggregator"][:-1]},
            {**fields, "aggregator": b""},
            {**fields, "header": b""},
            {**fields, "header": fields["header"] + b"\0"},
            {**fields, "more": 1},
        ]
        for case in bad:
            with pytest.raises(clsc.DecodeError):
                SignedHeader.from_bytes(cbor2.dumps(case, canonical=True), fed.trust())

    def test_too_long_to_be_read_is_refused_when_made(self, fed):
        """What a header's maker may build, its readers must accept."""
        arrays = [np.zeros((1,) * 20, np.float32) for _ in range(36_000)]
        with pytest.raises(clsc.ParameterError, match="header"):
            fed.header(layout=he.ModelLayout.of(arrays))

    def test_a_signature_for_another_header_does_not_carry_over(self, fed, sealed):
        fields = cbor2.loads(sealed.signed)
        inner = cbor2.loads(fields["header"])
        inner["min_contributors"] = 4
        fields["header"] = cbor2.dumps(inner, canonical=True)
        with pytest.raises(ProtocolError, match="aggregator, member 1, member 2"):
            SignedHeader.from_bytes(cbor2.dumps(fields, canonical=True), fed.trust())
