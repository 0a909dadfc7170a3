"""Known answers of ``sottovoce.clsc``: the curve, hashes, and everything that is signed or sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from ... import clsc
from ...clsc import group, hashes
from ..bench.areas import Area
from .answers import Vector, each, load, raw, tests
from .check import Case, known_answers
from .expect import refused, same

_NOW: Final = 1_800_000_000  # within the epochs of the vectors


def _trust(data: dict[str, Any]) -> clsc.TrustStore:
    trust = clsc.TrustStore(raw(data["root"]), clock=lambda: data.get("now", _NOW))
    for params in data["params"]:
        trust.add_bytes(raw(params))
    return trust


def _run(t: Vector, call: Callable[[], Any], check: Callable[[Any], None] | None = None) -> None:
    """A valid case gives what ``check`` takes; any other is refused by the error of the vector."""
    if t["result"] == "invalid":
        refused(getattr(clsc, t["error"]), call)
        return
    result = call()
    if check is not None:
        check(result)


# -- RFC 9380 and the pairing ---------------------------------------------------------------------------


@known_answers(Area.CLSC, "hashing to G1 (RFC 9380 appendix J.9.1)")
def hash_to_g1() -> Iterator[Case]:
    data = load("bls12_381/hash_to_g1.json")

    def point(t: Vector) -> None:
        made = group.hash_to_g1(data["dst"].encode(), t["msg"].encode())
        same(made.to_compressed_bytes(), raw(t["compressed"]), "point")

    yield from each(tests(data), point)


@known_answers(Area.CLSC, "expanding a message (RFC 9380 appendix K.1)")
def expand_message() -> Iterator[Case]:
    data = load("bls12_381/expand_message_xmd.json")

    def expanded(t: Vector) -> None:
        made = hashes.expand_message_xmd(t["msg"].encode(), data["dst"].encode(), t["len_in_bytes"])
        same(made, raw(t["uniform_bytes"]), "bytes")

    yield from each(tests(data), expanded)


@known_answers(Area.CLSC, "bytes of the pairing (py_ecc)")
def pairing() -> Iterator[Case]:
    def paired(t: Vector) -> None:
        p, q = group.g1_from_bytes(raw(t["P"]), "P"), group.g2_from_bytes(raw(t["Q"]), "Q")
        same(p, group.g1_mul_vartime(group.P1, int(t["a"], 16)), "P")
        same(q, group.g2_mul_vartime(group.P2, int(t["b"], 16)), "Q")
        same(group.multi_pairing([p], [q]), raw(t["gt"]), "pairing")

    yield from each(tests(load("bls12_381/pairing_bytes.json")), paired)


# -- the scheme -----------------------------------------------------------------------------------------


@known_answers(Area.CLSC, "hashes of the scheme (py_ecc and hashlib)")
def scheme_hashes() -> Iterator[Case]:
    def hashed(t: Vector) -> None:
        name = (raw(t["params_id"]), t["usage"], raw(t["identity"]), raw(t["X"]))
        same(hashes.hash_identity(*name).to_compressed_bytes(), raw(t["Q"]), "Q")
        same(hashes.pid(*name), raw(t["pid"]), "pid")
        same(hashes.message_transcript(raw(t["message"])), raw(t["message_transcript"]), "transcript")

    yield from each(tests(load("clsc/hashes.json")), hashed)


@known_answers(Area.CLSC, "parameters of an epoch, valid ones and one fault each")
def params() -> Iterator[Case]:
    def read(t: Vector) -> None:
        def check(made: clsc.EpochParams) -> None:
            same(made.to_bytes(), raw(t["input"]), "encoding")
            same(made.params_id, raw(t["params_id"]), "params_id")

        _run(t, lambda: clsc.EpochParams.from_bytes(raw(t["input"]), raw(t["root"])), check)

    yield from each(tests(load("clsc/params.json")), read)


@known_answers(Area.CLSC, "public keys, valid ones and one fault each")
def public_key() -> Iterator[Case]:
    data = load("clsc/public_key.json")
    trust = _trust(data)

    def read(t: Vector) -> None:
        def check(made: clsc.PublicKey) -> None:
            same(made.to_bytes(), raw(t["input"]), "encoding")
            same(made.pid, raw(t["pid"]), "pid")

        _run(t, lambda: clsc.PublicKey.from_bytes(raw(t["input"]), trust), check)

    yield from each(tests(data), read)


@known_answers(Area.CLSC, "signatures, valid ones and one fault each")
def signature() -> Iterator[Case]:
    data = load("clsc/signature.json")
    trust = _trust(data)

    def verify(t: Vector) -> None:
        key = clsc.PublicKey.from_bytes(raw(t["public_key"]), trust)
        _run(t, lambda: clsc.verify(key, raw(t["message"]), raw(t["signature"])))

    yield from each(tests(data), verify)


@known_answers(Area.CLSC, "signcrypted packets, valid ones and one fault each")
def packet() -> Iterator[Case]:
    data = load("clsc/packet.json")
    trust = _trust(data)

    def opens(t: Vector) -> None:
        fields = t["receiver"]
        public = clsc.PublicKey.from_bytes(raw(fields["public_key"]), trust)
        D = group.g1_from_bytes(raw(fields["D"]), "D")  # noqa: N806  # as the paper calls it
        receiver = clsc.SecretKey(public, int(fields["x"], 16), D)

        def check(opened: clsc.Opened) -> None:
            same(opened.plaintext, raw(t["plaintext"]), "plaintext")
            same(opened.sender.to_bytes(), raw(t["sender"]), "sender")
            same(opened.packet_id, raw(t["steps"]["packet_id"]), "packet id")

        packet, ad = raw(t["packet"]), raw(t["ad"])
        _run(t, lambda: clsc.unsigncrypt(packet, receiver=receiver, trust=trust, ad=ad), check)

    yield from each(tests(data), opens)


@known_answers(Area.CLSC, "revocation lists, valid ones and one fault each")
def revocation() -> Iterator[Case]:
    data = load("clsc/revocation.json")
    root = raw(data["root"])

    def read(t: Vector) -> None:
        def lists() -> clsc.RevocationList:
            made = clsc.RevocationList.from_bytes(raw(t["list"]), root)
            if "known" in t:
                made.check_agrees(clsc.RevocationList.from_bytes(raw(t["known"]), root))
            return made

        _run(t, lists, lambda made: same(made.to_bytes(), raw(t["list"]), "encoding"))

    yield from each(tests(data), read)
