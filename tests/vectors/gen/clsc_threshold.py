"""Write tests/vectors/clsc/threshold.json: partial answers of t of n servers, and what they combine to.

    python tests/vectors/gen/clsc_threshold.py [FOLDER]

Everything comes from seeds, so the file is byte for byte the same on every run and on both back ends.
tests/support/clsc_independent_issuing.py combines the answers again, over ``py_ecc``.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from sottovoce.clsc import (
    Account,
    BlindRequest,
    IdentityRequest,
    Mode,
    TraceableRequest,
    Usage,
    group,
    hashes,
    issue_wire,
    polynomial,
)
from support.clsc_servers import Servers, tracing_key
from support.clsc_world import NOW, Drbg, World

IDENTITY_48 = b"\xc0" + bytes(47)
SMALL_ORDER = b"\x80" + bytes(46) + b"\4"
PARTY = "alice"
SHAPES = {Mode.IDENTITY: (2, 3), Mode.TRACEABLE: (2, 3), Mode.BLIND: (3, 5)}


def ask(world, servers):
    """The request's object, tokens, the bytes for each server, the acknowledgements and the answers."""
    mode = servers.mode
    tokens = {j: Drbg(f"token {mode} {j}")(32) for j in servers.issuers}
    for j, issuer in servers.issuers.items():
        issuer._registry.enrol(Account(PARTY, b"alice", 1, tokens[j]))
        issuer._registry._challenges[Drbg(f"challenge {j}")(32)] = None
    random = Drbg(f"request {mode}")
    if mode is Mode.TRACEABLE:
        asked = TraceableRequest._derand(servers.params, Usage.SIGN, world.signer("alice"), random)
        requests = {j: asked.to_bytes() for j in tokens}
    elif mode is Mode.IDENTITY:
        asked = IdentityRequest._derand(servers.params, Usage.SIGN, b"alice", tokens, random)
        requests = {
            j: asked._to_bytes_derand(Drbg(f"challenge {j}")(32), Drbg(f"proof {j}"), j) for j in tokens
        }
    else:
        asked = BlindRequest._derand(servers.params, Usage.SIGN, tokens, random)
        requests = {j: asked.to_bytes(j) for j in tokens}
    admissions = None
    if mode is Mode.BLIND:
        admissions = {j: issuer.admit(PARTY, requests[j]) for j, issuer in servers.issuers.items()}
    answers = {
        j: issuer._issue_derand(PARTY, requests[j], Drbg(f"answer {mode} {j}"), admissions)
        for j, issuer in servers.issuers.items()
    }
    return asked, tokens, requests, admissions or {}, answers


def texts(values):
    return {str(j): value.hex() for j, value in values.items()}


def main(folder):
    folder.mkdir(exist_ok=True)
    world = World("threshold vectors")
    tests, epochs = [], {}

    def add(kind, comment, mode, flag=None, error=None, **more):
        result = {"result": "invalid", "error": error} if error else {"result": "valid"}
        tests.append({"tcId": len(tests) + 1, "kind": kind, "comment": comment,
                      "flags": [flag] if flag else [], "mode": str(mode), **more, **result})  # fmt: skip

    for mode, (t, n) in SHAPES.items():
        servers = Servers(world, mode, t, n, seed="servers of the vectors")
        asked, tokens, requests, admissions, answers = ask(world, servers)
        good = dict(list(answers.items())[n - t :])
        key = asked.combine(good).key
        epochs[str(mode)] = {
            "params": servers.params.to_bytes().hex(), "threshold": t, "servers": n,
            "shares": {str(share.index): f"{share._s:064x}" for share in servers.shares},
            "usage": "sign", "x": f"{asked._x:064x}", "b": f"{asked._b:064x}" if mode is Mode.BLIND else "",
            "tokens": texts(tokens) if mode is not Mode.TRACEABLE else {}, "requests": texts(requests),
            "admissions": texts(admissions),
            "public_key": key.public_key.to_bytes().hex(), "D": key._d_bytes.hex(),
        }  # fmt: skip

        def combined(comment, given, wrong=(), mode=mode, t=t, flag=None):
            chosen = [j for j in sorted(given) if j not in wrong][:t]
            coefficients = {str(j): f"{c:064x}" for j, c in zip(
                chosen, polynomial.lagrange_at_zero(chosen), strict=True)}  # fmt: skip
            add("combine", comment, mode, flag, answers=texts(given), wrong=list(wrong),
                coefficients=coefficients)  # fmt: skip

        def too_few(comment, given, wrong, flag, mode=mode):
            add("combine", comment, mode, flag, "TooFewAnswers", answers=texts(given), wrong=list(wrong))

        combined("the last t", good)
        combined("all", answers)
        combined("the first t", dict(list(answers.items())[:t]))
        last = answers[n]
        at = 66 if mode is Mode.TRACEABLE else 2
        for comment, flag, wrong in (
            ("truncated by 1", "Length", last[:-1]),
            ("extended by 1", "Length", last + b"\0"),
            ("empty", "Length", b""),
            ("suite 2", "Version", b"\2" + last[1:]),
            ("another mode", "Mode", last[:1] + bytes([last[1] % 3 + 1]) + last[2:]),
            ("the point is the identity", "Identity", last[:at] + IDENTITY_48 + last[at + 48 :]),
            ("the point is outside the subgroup", "Subgroup", last[:at] + SMALL_ORDER + last[at + 48 :]),
            ("the point is negated", "Equation", last[:at] + bytes([last[at] ^ 0x20]) + last[at + 1 :]),
            ("the answer of another server", "Equation", answers[1]),
        ):
            combined(f"one wrong: {comment}", {**answers, n: wrong}, (n,), flag=flag)
            few = {**dict(list(answers.items())[1:t]), n: wrong}
            too_few(f"one wrong of t: {comment}", few, (n,), flag)
        too_few("fewer than t", dict(list(answers.items())[: t - 1]), (), "Shortage")
        too_few("none", {}, (), "Shortage")
        if mode is not Mode.BLIND:
            continue
        for j, answer in answers.items():
            add("verify", f"server {j}", mode, index=j, request=requests[j].hex(), answer=answer.hex())
        data, answer = requests[1], answers[1]
        for comment, flag, error, index, request, value in (
            ("another server", "Equation", "IssueError", 2, data, answer),
            (
                "negated",
                "Equation",
                "IssueError",
                1,
                data,
                answer[:2] + bytes([answer[2] ^ 0x20]) + answer[3:],
            ),
            ("truncated by 1", "Length", "IssueError", 1, data, answer[:-1]),
            ("the identity", "Identity", "IssueError", 1, data, answer[:2] + IDENTITY_48),
            ("other parameters", "Params", "IssueError", 1, data[:2] + bytes(32) + data[34:], answer),
            ("request truncated by 1", "Length", "DecodeError", 1, data[:-1], answer),
            ("B is the identity", "Identity", "DecodeError", 1, data[:34] + IDENTITY_48 + data[82:], answer),
        ):
            add("verify", comment, mode, flag, error, index=index, request=request.hex(), answer=value.hex())
        # Errors that cancel in a sum with equal weights: C1 + P1 and C2 - P1.
        first, second = (group.g1_from_bytes(answers[j][2:], "C") for j in (1, 2))
        given = {**answers, 1: issue_wire.blind_answer(first + group.P1),
                 2: issue_wire.blind_answer(second + -group.P1)}  # fmt: skip
        combined("two errors that cancel", given, (1, 2), flag="Equation")

    data = {
        "algorithm": "threshold", "suite": hashes.SUITE_NAME, "numberOfTests": len(tests), "now": NOW,
        "root": world.root.public_key.hex(),
        "identity_params": world.params[Mode.IDENTITY].to_bytes().hex(),
        "signer": world.signer("alice").public_key.to_bytes().hex(),
        "tracing_key": tracing_key()._key.hex(), "epochs": epochs, "tests": tests,
    }  # fmt: skip
    (folder / "threshold.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "clsc")
