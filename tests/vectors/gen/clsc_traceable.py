"""Write tests/vectors/clsc/traceable.json: pseudonyms, requests, answers and traces of mode traceable.

    python tests/vectors/gen/clsc_traceable.py [FOLDER]

Everything comes from seeds, so the file is byte for byte the same on every run and on both back ends.
tests/support/clsc_independent_issuing.py computes the pseudonyms and opens the envelopes again, with
AES-SIV written out and ``py_ecc``.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from sottovoce.clsc import (
    Account,
    Issuer,
    MemoryRegistry,
    Mode,
    TraceableRequest,
    TracingKey,
    Usage,
    hashes,
    sign,
    tracing,
)
from sottovoce.clsc import signature as signatures
from support.clsc_world import NOW, Drbg, World

IDENTITY_48 = b"\xc0" + bytes(47)
SMALL_ORDER = b"\x80" + bytes(46) + b"\4"
PARTY = "device 1"


def main(folder):
    folder.mkdir(exist_ok=True)
    world = World("traceable vectors")
    params = world.params[Mode.TRACEABLE]
    alice = world.signer("alice")
    key = TracingKey(Drbg("tracing key of the vectors")(64))
    registry = MemoryRegistry()
    registry.enrol(Account(PARTY, b"alice", 9, bytes(32)))
    issuer = Issuer(world.master[Mode.TRACEABLE], registry, tracing_key=key, trust=world.trust)
    tests = []

    def add(kind, comment, data, flag=None, error=None, **more):
        result = {"result": "invalid", "error": error} if error else {"result": "valid"}
        tests.append({
            "tcId": len(tests) + 1, "kind": kind, "comment": comment, "flags": [flag] if flag else [],
            "input": data.hex(), **more, **result,
        })  # fmt: skip

    # -- pseudonyms: the tracing key alone ----------------------------------------------------------
    X = world.signer("X").public_key.X
    for usage in Usage:
        for name in (b"a", b"alice", b"n" * 31):
            identity = key._pseudonym(params.params_id, usage, X, name)
            add("pseudonym", f"{usage}, name of {len(name)}", identity, usage=str(usage), X=X.hex(),
                name=name.hex())  # fmt: skip

    # -- requests and answers -----------------------------------------------------------------------
    made = {}
    for usage in Usage:
        asked = TraceableRequest._derand(params, usage, alice, Drbg(f"request {usage}"))
        request = asked.to_bytes()
        answer = issuer._issue_derand(PARTY, request, Drbg(f"answer {usage}"))
        secret = asked.finish(answer)
        trace = issuer.trace(secret.public_key)
        made[usage] = (asked, request, answer, trace.to_bytes())
        transcript = tracing.request_transcript(params.params_id, usage, secret.public_key.X)
        fields = {"usage": str(usage), "x": f"{secret._x:064x}"}
        add("request", f"{usage}", request, transcript=transcript.hex(), answer=answer.hex(), **fields)
        add("answer", f"{usage}", answer, D=secret._d_bytes.hex(),
            public_key=secret.public_key.to_bytes().hex(), **fields)  # fmt: skip
        add("trace", f"{usage}", trace.to_bytes(), name=trace.name.hex())

    asked, request, answer, trace = made[Usage.SIGN]
    fields = {"usage": "sign", "x": f"{asked._x:064x}"}

    def bad_request(comment, flag, data, error="IssueError"):
        add("request", comment, data, flag, error, **fields)

    def signed(signer=alice, context="issue", params_id=params.params_id, usage="sign", X=asked._X):
        transcript = tracing.request_transcript(params_id, usage, X)
        return signatures._sign_derand(signer, context, transcript, Drbg("false"))

    body, mallory = request[:-176], world.signer("mallory")
    bad_request("truncated by 1", "Length", request[:-1], "DecodeError")
    bad_request("extended by 1", "Length", request + b"\0", "DecodeError")
    bad_request("empty", "Length", b"", "DecodeError")
    bad_request("suite 2", "Version", b"\2" + request[1:], "DecodeError")
    bad_request("mode 4", "Mode", request[:1] + b"\4" + request[2:], "DecodeError")
    bad_request("usage 0", "Usage", request[:2] + b"\0" + request[3:], "DecodeError")
    bad_request("other parameters", "Params", request[:3] + bytes(32) + request[35:])
    for what, flag, point in (("the identity", "Identity", IDENTITY_48),
                              ("outside the subgroup", "Subgroup", SMALL_ORDER)):  # fmt: skip
        data = request[:35] + point + request[83:-176] + signed(X=point)
        bad_request(f"X {what}", flag, data, "DecodeError")
    bad_request("signer of suite 2", "Version", request[:83] + b"\2" + request[84:], "DecodeError")
    bad_request("signer for decryption", "Signer", request[:84] + b"\2" + request[85:], "DecodeError")
    bad_request("signer under unknown parameters", "Params", request[:85] + bytes(32) + request[117:])
    for comment, other in (("signer is a pseudonym", world.signer("t", Mode.TRACEABLE)),
                           ("name of 32 bytes", world.signer("n" * 32))):  # fmt: skip
        data = request[:83] + other.public_key.to_bytes() + signed(other)
        bad_request(comment, "Signer", data, "DecodeError")
    data = request[:83] + mallory.public_key.to_bytes() + signed(mallory)
    bad_request("signer is not who is enrolled", "Party", data)
    bad_request("signature of another", "Signature", body + signed(mallory))
    bad_request("signature in context message", "Context", body + signed(context="message"))
    bad_request("signature of a message that says the same", "Context", body + _message(alice, params, asked))
    bad_request("signature for another usage", "Signature", body + signed(usage="decrypt"))
    bad_request("signature for another X", "Signature", body + signed(X=X))
    bad_request("signature for other parameters", "Signature", body + signed(params_id=bytes(32)))

    def bad_answer(comment, flag, data):
        add("answer", comment, data, flag, "IssueError", **fields)

    def flip(data, i):
        return data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]

    bad_answer("truncated by 1", "Length", answer[:-1])
    bad_answer("extended by 1", "Length", answer + b"\0")
    bad_answer("suite 2", "Version", b"\2" + answer[1:])
    bad_answer("mode identity", "Mode", answer[:1] + b"\1" + answer[2:])
    bad_answer("bit of N", "Pseudonym", flip(answer, 2))
    bad_answer("bit of C", "Pseudonym", flip(answer, 65))
    bad_answer("E is the identity", "Identity", answer[:66] + IDENTITY_48 + answer[114:])
    bad_answer("E outside the subgroup", "Subgroup", answer[:66] + SMALL_ORDER + answer[114:])
    bad_answer("bit of the envelope", "Envelope", flip(answer, 114))
    bad_answer("bit of the envelope's tag", "Envelope", flip(answer, 177))
    bad_answer("answer to the other request", "Envelope", made[Usage.DECRYPT][2])

    def bad_trace(comment, flag, data, error):
        add("trace", comment, data, flag, error)

    pseudonym, signer, signature = trace[:147], trace[147:-176], trace[-176:]
    bad_trace("truncated by 1", "Length", trace[:-1], "DecodeError")
    bad_trace("extended by 1", "Length", trace + b"\0", "DecodeError")
    bad_trace("empty", "Length", b"", "DecodeError")
    bad_trace("no pseudonym", "Mode", signer + signer + bytes(147 - len(signer)) + signature, "DecodeError")
    bad_trace("signer is a pseudonym", "Signer", pseudonym + pseudonym + signature, "DecodeError")
    bad_trace("signer for decryption", "Signer", pseudonym + signer[:1] + b"\2" + signer[2:] + signature,
              "DecodeError")  # fmt: skip
    bad_trace("unknown parameters of the signer", "Params",
              pseudonym + signer[:2] + bytes(32) + signer[34:] + signature, "SenderError")  # fmt: skip
    bad_trace("other X", "Signature", pseudonym[:-48] + X + signer + signature, "SignatureError")
    bad_trace("other usage", "Signature", pseudonym[:1] + b"\2" + pseudonym[2:] + signer + signature,
              "SignatureError")  # fmt: skip
    bad_trace("other signer", "Signature", pseudonym + mallory.public_key.to_bytes() + signature,
              "SignatureError")  # fmt: skip
    bad_trace("other name, same key", "Signature", pseudonym + signer.replace(b"alice", b"alicf") + signature,
              "SignatureError")  # fmt: skip
    bad_trace("trace of the other pseudonym", "Signature",
              pseudonym + signer + made[Usage.DECRYPT][3][-176:], "SignatureError")  # fmt: skip
    bad_trace("bit of z", "Signature", trace[:-1] + bytes([trace[-1] ^ 1]), "SignatureError")
    bad_trace("A is the identity", "Identity", trace[:-176] + IDENTITY_48 + trace[-128:], "SignatureError")

    data = {
        "algorithm": "traceable", "suite": hashes.SUITE_NAME, "numberOfTests": len(tests), "now": NOW,
        "root": world.root.public_key.hex(),
        "params": {str(m): p.to_bytes().hex() for m, p in world.params.items()},
        "s": f"{world.master[Mode.TRACEABLE]._s:064x}", "tracing_key": key._key.hex(), "party": PARTY,
        "signer": alice.public_key.to_bytes().hex(), "tests": tests,
    }  # fmt: skip
    (folder / "traceable.json").write_text(json.dumps(data, indent=1) + "\n")


def _message(alice, params, asked):
    """The same 32 bytes, signed as a message; the signature is fixed by its seed."""
    message = hashes.issue_transcript(params.params_id, "sign", asked._X)
    assert len(sign(alice, message)) == 176
    transcript = hashes.message_transcript(message)
    return signatures._sign_derand(alice, "message", transcript, Drbg("message"))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "clsc")
