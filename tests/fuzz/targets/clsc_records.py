"""What an issuer or a judge publishes: parameters, keys, lists, evidence, traces, notices.

What the root key signs is fuzzed twice: as it comes, where nearly everything ends at the signature, and
as a body that is signed anew, which is what a careless or hostile issuer may publish.
"""

from fuzz import world
from fuzz.core import Target
from sottovoce import clsc
from sottovoce._ext.errors import DecodeError, EvidenceError, SenderError, SignatureError
from sottovoce.clsc import dkg_messages, group

ROOT = world.people().root.public_key
TOPIC = "fuzz"


def signed_anew(read):
    """``read`` of the body with a root signature behind it; the encoding without it."""

    def resigned(data: bytes) -> bytes:
        return read(data + world.people().root._key.sign(data))[:-64]

    return resigned


def bodies(name: str):
    """Seeds of the target that reads bodies: those of the one that reads signed bytes, without signature."""

    def made() -> list[bytes]:
        return [data[:-64] for data in BY_NAME[name].stored()]

    return made


def read_params(data: bytes) -> bytes:
    return clsc.EpochParams.from_bytes(data, ROOT).to_bytes()


def read_revocations(data: bytes) -> bytes:
    return clsc.RevocationList.from_bytes(data, ROOT).to_bytes()


def read_notice(data: bytes) -> bytes:
    body = clsc.read_notice(data, TOPIC, ROOT)
    return clsc.sign_notice(world.people().root, TOPIC, body)


def read_admission_keys(data: bytes) -> bytes:
    params = world.servers(clsc.Mode.BLIND).params
    return clsc.sign_admission_keys(world.people().root, params, clsc.read_admission_keys(data, params))


def read_trace(data: bytes) -> bytes:
    trace = clsc.Trace.from_bytes(data, world.people().trust)
    honest = clsc.Trace.from_bytes(BY_NAME["clsc/trace"].stored()[0], world.people().trust)
    try:
        trace.verify(world.people().trust)
    except SignatureError:
        pass
    else:
        # The name has signed X and usage.  The pseudonym's own 64 bytes it never saw: the issuer gave them.
        assert trace.request == honest.request, "a trace of something that nobody asked for is believed"
    return trace.to_bytes()


def read_evidence(data: bytes) -> bytes:
    evidence = clsc.Evidence.from_bytes(data)
    believed = data in BY_NAME["clsc/evidence"].stored()
    try:
        clsc.judge(evidence, ROOT, packet=judged_packet())
    except (SignatureError, EvidenceError):
        assert not believed
    else:
        assert believed
    return evidence.to_bytes()


def judged_packet() -> bytes:
    return (BY_NAME["clsc/evidence"].corpus.parent / "packet" / "judged").read_bytes()


def read_conflict(data: bytes) -> bytes:
    conflict = clsc.KeyConflict.from_bytes(data)
    try:
        clsc.judge_issuer(conflict, ROOT)
    except SignatureError:
        pass
    else:
        assert data in BY_NAME["clsc/conflict"].stored()
    return conflict.to_bytes()


def read_params_conflict(data: bytes) -> bytes:
    first, second = clsc.judge_params(world.people().params[clsc.Mode.IDENTITY].to_bytes(), data, ROOT)
    assert (first.mode, first.epoch) == (second.mode, second.epoch) or first.Y == second.Y
    return second.to_bytes()


def read_public_key(data: bytes) -> bytes:
    key = clsc.PublicKey.from_bytes(data, world.people().trust)
    assert world.people().trust.read_key(data) == key
    return key.to_bytes()


def point(read):
    return lambda data: read(data, "point").to_compressed_bytes()


def of_dkg(kind):
    return Target(
        f"clsc/dkg-{kind.NAME.replace(' ', '-')}",
        lambda data: kind.from_bytes(data).to_bytes(),
        of=(f"clsc.dkg_messages.{kind.__name__}",),
        tries=30,
    )


_DKG = ("Commit", "Reveal", "PrivateShare", "Complaints", "Justifications", "Confirm")

TARGETS = [
    Target("clsc/g1", point(group.g1_from_bytes)),
    Target("clsc/g2", point(group.g2_from_bytes)),
    Target("clsc/scalar", lambda data: group.scalar_to_bytes(group.scalar_from_bytes(data, "k"))),
    Target("clsc/params", read_params, of=("clsc.params.EpochParams",)),
    Target("clsc/params-signed-anew", signed_anew(read_params), made=bodies("clsc/params")),
    Target(
        "clsc/params-conflict",
        read_params_conflict,
        (DecodeError, EvidenceError),
        tries=30,
        of=("clsc.conflict.judge_params",),
    ),
    Target(
        "clsc/public-key",
        read_public_key,
        (DecodeError, SenderError),
        of=("clsc.keys.PublicKey", "clsc.trust.TrustStore.read_key"),
    ),
    Target("clsc/revocations", read_revocations, of=("clsc.revocation.RevocationList",)),
    Target("clsc/revocations-signed-anew", signed_anew(read_revocations), made=bodies("clsc/revocations")),
    Target("clsc/notice", read_notice, of=("clsc.notice.read_notice",)),
    Target("clsc/notice-signed-anew", signed_anew(read_notice), made=bodies("clsc/notice")),
    Target("clsc/admission-keys", read_admission_keys, of=("clsc.admission.read_admission_keys",)),
    Target(
        "clsc/admission-keys-signed-anew",
        signed_anew(read_admission_keys),
        made=bodies("clsc/admission-keys"),
    ),
    Target("clsc/trace", read_trace, (DecodeError, SenderError), of=("clsc.tracing.Trace",), tries=30),
    Target("clsc/evidence", read_evidence, of=("clsc.evidence.Evidence", "clsc.judge.judge"), tries=30),
    Target(
        "clsc/conflict",
        read_conflict,
        of=("clsc.conflict.KeyConflict", "clsc.conflict.judge_issuer"),
        tries=30,
    ),
    Target(
        "clsc/bls-key",
        lambda data: clsc.BlsPublicKey.from_bytes(data).to_bytes(),
        of=("clsc.bls.BlsPublicKey",),
        tries=30,
    ),
    Target(
        "clsc/dkg-public",
        lambda data: clsc.DkgPublic.from_bytes(data, world.dkg()).to_bytes(),
        of=("clsc.dkg_session.DkgPublic",),
        tries=30,
    ),
    *(of_dkg(getattr(dkg_messages, name)) for name in _DKG),
]
BY_NAME = {target.name: target for target in TARGETS}
