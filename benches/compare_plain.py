"""``sottovoce.clsc`` beside Ed25519, a certificate and HPKE, in one run; writes docs/clsc-comparison.md.

::

    python benches/compare_plain.py             # measure, write benches/results/compare_plain.json, the page
    python benches/compare_plain.py --quick
    python benches/compare_plain.py --render    # only write the page again from the results that are there

The plain side is ``sottovoce.cli.bench.clsc_plain``.  Times of both are taken by turns; they are processor
time, so that other work on the machine stays out of them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from sottovoce import clsc
from sottovoce.cli import machine
from sottovoce.cli.bench import clsc_plain as plain
from sottovoce.cli.bench.clsc_world import RECEIVERS, strangers, world
from sottovoce.cli.bench.harness import QUICK, THOROUGH, measure, ratio
from sottovoce.cli.bench.measurement import Operation
from sottovoce.cli.bench.report import duration

SCHEMA = "sottovoce-comparison/1"
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benches" / "results" / "compare_plain.json"
PAGE = ROOT / "docs" / "clsc-comparison.md"

CONTENT = bytes(1024)
BATCH = 100


# -- what is done -----------------------------------------------------------------------------------


def plain_world():
    """An authority, a sender, as many receivers as ours."""
    authority = plain.Authority()
    return (
        authority,
        plain.Sender.of(authority, b"sender"),
        [X25519PrivateKey.generate() for _ in range(RECEIVERS)],
    )


def ours():
    """Name -> operation."""
    w = world()
    to = [key.public_key for key in w.receivers]
    first, trust = w.receivers[0], w.trust
    many = clsc.signcrypt(CONTENT, sender=w.sender, receivers=to)
    signed = clsc.sign(w.sender, CONTENT)
    batch = [w.packet(CONTENT, sender) for sender in strangers(BATCH)]
    parties = iter(range(1 << 30))

    def issued():
        party = f"compared {next(parties)}"
        return party, clsc.BlindRequest(w.issuer.params, clsc.Usage.SIGN, w.issuer.enrol(party))

    def asked():
        party, request = issued()
        return party, request.to_bytes()

    def ask_and_finish(party, request):
        return request.finish(w.issuer.issue(party, request.to_bytes()))

    return {
        "seal to 1": Operation(lambda: w.packet(CONTENT, w.sender)),
        "open": Operation(
            lambda data: clsc.unsigncrypt(data, receiver=first, trust=trust),
            lambda: (w.packet(CONTENT, w.new_sender()),),
        ),
        "seal to 5": Operation(lambda: clsc.signcrypt(CONTENT, sender=w.sender, receivers=to)),
        "open, sealed to 5": Operation(lambda: clsc.unsigncrypt(many, receiver=first, trust=trust)),
        "open 100": Operation(lambda: clsc.unsigncrypt_batch(batch, receiver=first, trust=trust)),
        "sign": Operation(lambda: clsc.sign(w.sender, CONTENT)),
        "verify": Operation(lambda: clsc.verify(w.sender.public_key, CONTENT, signed)),
        "issue, the issuer": Operation(w.issuer.issue, asked),
        "issue, both sides": Operation(ask_and_finish, issued),
    }


def plain_ones():
    """The same names, where the plain alternative has such a thing."""
    authority, sender, keys = plain_world()
    to = [key.public_key() for key in keys]
    one = plain.seal(sender, to[:1], CONTENT)
    many = plain.seal(sender, to, CONTENT)
    signed = plain.sign(sender, CONTENT)
    senders = [plain.Sender.of(authority, b"%d" % i) for i in range(BATCH)]
    batch = [plain.seal(each, to[:1], CONTENT) for each in senders]
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()

    def both_sides():
        certificate = plain.Sender.of(authority, b"new").certificate
        authority.public_key.verify(certificate[-64:], certificate[:-64])

    return {
        "seal to 1": Operation(lambda: plain.seal(sender, to[:1], CONTENT)),
        "open": Operation(lambda: plain.open_one(authority, keys[0], one)),
        "seal to 5": Operation(lambda: plain.seal(sender, to, CONTENT)),
        "open, sealed to 5": Operation(lambda: plain.open_many(authority, keys[0], many)),
        "open 100": Operation(lambda: [plain.open_one(authority, keys[0], data) for data in batch]),
        "sign": Operation(lambda: plain.sign(sender, CONTENT)),
        "verify": Operation(lambda: plain.verify(authority, sender.certificate, CONTENT, signed)),
        "issue, the issuer": Operation(lambda: authority.certify(b"new", public)),
        "issue, both sides": Operation(both_sides),
    }


def sizes():
    """Name -> bytes, ours and plain."""
    w = world()
    _, sender, keys = plain_world()
    to, plain_to = [key.public_key for key in w.receivers], [key.public_key() for key in keys]

    def over(n):
        mine = len(clsc.signcrypt(CONTENT, sender=w.sender, receivers=to[:n]))
        return {
            "ours": mine - len(CONTENT),
            "plain": len(plain.seal(sender, plain_to[:n], CONTENT)) - len(CONTENT),
        }

    return {
        "packet to 1, over the content": over(1),
        "packet to 5, over the content": over(RECEIVERS),
        "signature": {"ours": clsc.SIGNATURE_BYTES, "plain": plain.SIGNATURE_BYTES},
        "what a verifier needs of a sender": {
            "ours": len(w.sender.public_key.to_bytes()),
            "plain": plain.CERTIFICATE_BYTES,
        },
    }


WORDS = {
    "seal to 1": "sign and encrypt 1 KiB to one receiver",
    "open": "open it, check a sender never seen before",
    "seal to 5": "sign and encrypt 1 KiB to five receivers",
    "open, sealed to 5": "one of them opens it",
    "open 100": "open 100 packets of 100 senders",
    "sign": "sign 1 KiB",
    "verify": "verify it (plain: and the certificate; ours: a known key)",
    "issue, the issuer": "issue a key: the issuer's part (ours: blind)",
    "issue, both sides": "issue a key: both sides, checked",
    "packet to 1, over the content": "packet to one receiver, over the content",
    "packet to 5, over the content": "packet to five receivers, over the content",
    "signature": "signature",
    "what a verifier needs of a sender": "public key of a pseudonym; key with certificate",
}

INTRODUCTION = """\
Who needs neither pseudonyms nor two independent secrets behind a name is served better by standard parts: an
Ed25519 key with a certificate, its signature over receivers and content, all of it inside HPKE (X25519,
HKDF-SHA256, AES-256-GCM). For several receivers the content is encrypted once and its key sealed to each.
This page measures both, by turns in one run, and says what each of them gives."""

GIVEN = (
    ("content hidden from everybody but the receivers", "yes", "yes"),
    ("sender hidden from everybody but the receivers", "yes", "yes"),
    ("receivers hidden from observers", "yes", "one: yes; several: no, their keys are in the packet"),
    ("receivers hidden from each other", "yes, from passive ones", "no: the signature names them"),
    ("number of secrets a thief needs to sign in a name", "two, from two sources", "one"),
    ("what the issuer alone can do", "make a NEW key for a name, which convicts it", "the same"),
    ("receivers without certificates", "yes: name, key and epoch parameters are enough", "no"),
    ("pseudonyms that their issuer cannot link, bounded by quota", "yes (`blind`)", "no"),
    ("pseudonyms that their issuer can open", "yes (`traceable`)", "with a list kept by the authority"),
    ("one packet provably the same for all receivers", "yes", "no: needs a committing AEAD and a rule"),
    ("issuing by t of n servers that do not talk to each other", "yes", "no"),
    ("verifying many at once", "yes, and names the bad ones", "not in this library"),
    ("forward secrecy against a receiver's keys", "no", "no"),
    ("security after a quantum computer", "no", "no"),
    ("assumptions", "pairings, random oracles, about 120 bits", "elliptic curves, about 128 bits"),
    (
        "standards and reviewed implementations",
        "building blocks only; this package is not audited",
        "RFC 8032, RFC 9180",
    ),
)


# -- measuring and writing --------------------------------------------------------------------------


def run(effort):
    """Measure; returns the document."""
    mine, theirs = ours(), plain_ones()
    rows = []
    for name, operation in mine.items():
        first, second = measure([operation, theirs[name]], effort, time.process_time)
        rows.append(
            {
                "name": name,
                "ours": {"seconds": first.median, "spread": first.spread},
                "plain": {"seconds": second.median, "spread": second.spread},
                "ratio": ratio(first, [(1, second)]).median,
            }
        )
    return {
        "schema": SCHEMA,
        "created": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine.card(),
        "times": rows,
        "bytes": [{"name": name, **both} for name, both in sizes().items()],
    }


def render(document):
    """The page; every figure in it is from ``document``."""
    card = document["machine"]
    found = card["dependencies"]
    versions = f"cryptography {found['cryptography']}, py_arkworks_bls12381 {found['py_arkworks_bls12381']}"
    lines = [
        "# The plain alternative",
        "",
        "<!-- Written by benches/compare_plain.py from benches/results/compare_plain.json; do not edit. -->",
        "",
        *INTRODUCTION.splitlines(),
        "",
        f"Measured {document['created']} on {card['cpu']}, {card['system']}; {card['python']}, {versions};",
        "processor time of one core; by `python benches/compare_plain.py`.",
        "",
        "| median time | `clsc` | plain | times |",
        "| --- | --- | --- | --- |",
    ]
    for row in document["times"]:
        mine, theirs = (duration(row[side]["seconds"]) for side in ("ours", "plain"))
        lines.append(f"| {WORDS[row['name']]} | {mine} | {theirs} | {row['ratio']:.0f} |")
    lines += ["", "| bytes | `clsc` | plain |", "| --- | --- | --- |"]
    lines += [f"| {WORDS[row['name']]} | {row['ours']} | {row['plain']} |" for row in document["bytes"]]
    lines += ["", "| | `clsc` | plain |", "| --- | --- | --- |"]
    lines += [f"| {what} | {mine} | {theirs} |" for what, mine, theirs in GIVEN]
    return "\n".join([*lines, ""])


def main(arguments=None):
    """Measure (unless told not to) and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--render", action="store_true", help="do not measure")
    options = parser.parse_args(arguments)
    if options.render:
        document = json.loads(RESULTS.read_text(encoding="utf-8"))
    else:
        document = run(QUICK if options.quick else THOROUGH)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(render(document), encoding="utf-8")


if __name__ == "__main__":
    main()
