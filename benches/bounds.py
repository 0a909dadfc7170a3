"""What was measured in each area, and what bounds it; every figure from the run's document."""

from __future__ import annotations

from figures import by_name, n_bytes, rate

from sottovoce.cli.bench.report import duration


def parts_table(document, area):
    """A row for each measurement of the area whose parts were measured beside it."""
    yield "| | times the sum of its parts | most of it |"
    yield "| --- | --- | --- |"
    for name, result in by_name(document, area).items():
        if result["parts"] is None:
            continue
        of = result["parts"]["of"]
        total = sum(part["count"] * part["seconds"]["median"] for part in of)
        shares = {part["name"]: part["count"] * part["seconds"]["median"] / total for part in of}
        first = sorted(shares.items(), key=lambda item: -item[1])[:3]
        said = ", ".join(f"{part.replace('*', '·')} {share:.0%}" for part, share in first)
        yield f"| {name} | {result['parts']['ratio']['median']:.2f} | {said} |"


def bounds_clsc(document):
    """The share of each primitive, as measured beside the operation."""
    yield (
        "Group arithmetic: every operation is a list of primitives that the construction asks for, "
        "each timed alone by turns with it ([how](testing.md#measuring)). The second column is what "
        "the package adds to them; the third says which of them the time goes to."
    )
    yield ""
    yield from parts_table(document, "clsc")
    yield ""
    yield (
        "Whoever needs neither pseudonyms nor two secrets behind a name is served faster by "
        "[standard parts](clsc-comparison.md)."
    )


def bounds_he(document):
    """Arithmetic for encryption, memory for adding, powers for Paillier."""
    of = by_name(document, "he")
    encrypt, add = of["kahe encrypt"], of["kahe add"]
    per_parameter = add["seconds"]["median"] / encrypt["work"]["amount"]
    (numpy,) = add["alternatives"]
    yield (
        f"Adding a ciphertext is bound by memory: it takes {numpy['ratio']['median']:.2f} times what "
        f"numpy takes to add as many bytes, {duration(per_parameter)} a parameter. Encrypting takes "
        f"{encrypt['seconds']['median'] / encrypt['work']['amount'] / per_parameter:.0f} times that, "
        "so memory does not bound it: it is arithmetic on vectors, and AES. Its parts, the same loops over "
        "the same buffers, timed alone by turns with it:"
    )
    yield ""
    yield from parts_table(document, "he")
    yield ""
    yield (
        "What comes on top of the parts is checks and memory that is new to the process. The public elements "
        "are made once for a round and kept; whoever encrypts and opens in one process pays for them once. "
        "Where no part has most of it, the level of the kernels counts: [on every level](he-speed.md)."
    )
    yield ""
    paillier = of["paillier encrypt"]
    yield (
        "Paillier is bound by powers modulo n^2 (GMP), one for each ciphertext, and a ciphertext "
        f"holds as many numbers as fit: {rate(paillier)}, {n_bytes(paillier)}. No kernel of ours helps "
        "it."
    )


def bounds_rs(document):
    """Products of bytes a second, which hardly depend on the code."""
    of = by_name(document, "rs")
    shapes = [of[name] for name in ("encode 10+4 large", "encode 20+10", "encode 100+50") if name in of]
    products = []
    for result in shapes:
        m = result["size"]["n"] - result["size"]["k"]
        products.append(
            f"{result['size']['k']}+{m}: {m * result['per_second'] / 1e9:.0f}",
        )
    yield (
        "A byte of data is multiplied once for every row of parity. Products of bytes, 10^9 a second: "
        f"{', '.join(products)}. Where that is the same for all shapes, the multiplication (two "
        "shuffles of 32 bytes, or one affine instruction) bounds it; where the smallest code falls "
        "behind, memory does: [over sizes of shards, beside what the machine copies](rs-speed.md)."
    )
    yield ""
    said = []
    for name, words in (("disperse 3 of 5 large", "large"), ("disperse 3 of 5", "small")):
        parts = of[name]["parts"]["of"]
        total = sum(part["count"] * part["seconds"]["median"] for part in parts)
        most = max(parts, key=lambda part: part["count"] * part["seconds"]["median"])
        share = most["count"] * most["seconds"]["median"] / total
        said.append(f"of a {words} packet {most['name']} has {share:.0%} of the primitives' time")
    yield (
        f"Dispersal is sealing: {', '.join(said)} (bytes through AES-GCM there, one X25519 exchange for "
        "each shard here)."
    )
    yield ""
    clean, one, full = (of[f"RS(255, 223) {what}"] for what in ("clean", "1 error", "16 errors"))
    whole = full["seconds"]["median"]
    yield (
        "Correction of errors works on many words at once and does the same for every word that is at fault: "
        f"with one error it takes {one['seconds']['median'] / whole:.2f} times as long as with 16. The "
        f"syndromes, all that a clean word needs, are {clean['seconds']['median'] / whole:.0%} of it; the "
        "rest is the key equation and the search for places and values. Alone, without a batch, a word "
        "takes longer."
    )


def bounds_fl(document):
    """A part that does not depend on the model, and one that grows with it."""
    of = by_name(document, "fl")
    for role, words in (("client", "A client"), ("server", "The aggregator, for all clients,")):
        few = of.get(f"{role}, 10000 parameters, 10 clients")
        many = of.get(f"{role}, 1000000 parameters, 10 clients")
        if few is None or many is None:
            continue
        n = [result["size"]["parameters"] for result in (few, many)]
        t = [result["seconds"]["median"] for result in (few, many)]
        slope = (t[1] - t[0]) / (n[1] - n[0])
        yield (
            f"{words} takes about {duration(max(t[0] - slope * n[0], 0.0))} whatever the model, and "
            f"{duration(slope)} for each parameter on top (10 clients)."
        )
    yield (
        "The first is group arithmetic: the header's signatures, shares of the key signcrypted to the "
        "committee, opening packets. The second is hashing, encryption, sealing and memory. With "
        "small models the first is all there is. How it grows with the number of clients: "
        "[fl-speed.md](fl-speed.md)."
    )
    for result in of.values():
        for peer in result["peers"]:
            if peer.get("lacks"):
                yield ""
                yield peer["lacks"]
                return


MEASURED = {
    "clsc": (
        (
            "Signatures, packets and issuing, each with its real inputs: senders that were never seen "
            "before where the operation says so, a message of 1 KiB."
        ),
        bounds_clsc,
    ),
    "he": (
        (
            "What a caller waits for: float32 numbers in, quantized with stochastic rounding to 16 bits, "
            "encrypted for a sum of 1024 clients, bytes out; and back. Everything that is new in a round "
            "is new in every call. Peers get ready-made lists, and fewer numbers, because their time "
            "grows in proportion."
        ),
        bounds_he,
    ),
    "rs": (
        (
            "Whole calls from Python into arrays that are there. MB/s count bytes of data (or of message, "
            "or packet), never parity. Peers get the form that they are quickest with; their output is "
            "compared with ours first."
        ),
        bounds_rs,
    ),
    "fl": (
        (
            "All that one role does in a round, on recorded messages of the others; committee of five. "
            "Beside it Flower's SecAgg+ on the same vectors, client and server each alone, without its "
            "transport."
        ),
        bounds_fl,
    ),
}
