"""``he params``: what each scheme and set makes of values of so many bits and so many clients."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from ..._ext.errors import ParameterError
from ...he import Fit, fit, fitting
from .. import console, tables
from ..tables import Column

_CLAIMS: Final = {
    "RLWE_128_N2048_Q50": "128 classical",
    "RLWE_PQ128_N2048_Q40": "128 quantum",
    "RLWE_128_N4096_Q100": "128 classical",
    "RLWE_PQ128_N4096_Q80": "128 quantum",
    "RLWE_192_N4096_Q72": "192 classical",
    "PAILLIER_2048": "112 classical",
    "PAILLIER_3072": "128 classical",
    "PAILLIER_4096": "140 classical",
}
_OPENERS: Final = {
    "kahe": "t of n members, and only the sum",
    "rlwe": "who holds the secret key, everything",
    "paillier": "who holds the secret key, everything",
}


def show(bits: int, clients: int, sets: list[str] | None, json_target: str | None) -> None:
    """Print the table; see the command's help."""
    rows: list[tuple[str, ...] | None] = []
    entries: list[dict[str, Any]] = []
    for scheme, names in fitting.SCHEMES.items():
        chosen = [name for name in names if sets is None or name in sets]
        if not chosen:
            continue
        if rows:
            rows.append(None)
        rows.append((f"[bold]{scheme}[/]",))
        for name in chosen:
            entry, row = _line(scheme, name, bits, clients)
            entries.append(entry)
            rows.append(row)
    document = {"bits": bits, "clients": clients, "parameters": fitting.N_VALUES, "fits": entries}
    # The file first: the reader of the tables may leave early, as `head` does.
    console.write_json(document, json_target)
    results = console.results_console(json_target)
    tables.print_table(
        results,
        [
            Column("set", 20), Column("security", 9, 2), Column("slots"), Column("bits of\na slot", None, 1),
            Column("bits on\nthe wire"), Column("bytes /\nparameter"), Column("fails\nbelow"),
        ],
        rows,
        title=f"Values of {bits} bits, sums of up to {clients} vectors",
    )  # fmt: skip
    results.print(
        "[dim]slots: numbers that share a coefficient (paillier: a ciphertext), which takes the bits on the "
        "wire; fails below: bound on the probability that an honest sum of all clients with "
        f"{fitting.N_VALUES:,} parameters is refused or wrong. Opened by: "
        + "; ".join(f"{scheme}, {who}" for scheme, who in _OPENERS.items())
        + "[/]"
    )
    if not any(entry["possible"] for entry in entries):
        raise ParameterError("nothing named here holds such sums: fewer clients, fewer bits, or another set")


def _line(scheme: str, name: str, bits: int, clients: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    found: Fit | None = None
    try:
        found = fit(scheme, name, bits, clients)
    except ParameterError:
        near = fitting.nearest(scheme, name, bits, clients)
    claim = _CLAIMS[name]
    if found is None:
        ways = " or ".join(f"{b} bits and {most:,} clients" for b, most in near) or "nothing near"
        entry = {
            "scheme": scheme, "set": name, "security": claim, "possible": False,
            "nearest": [{"bits": b, "clients": most} for b, most in near],
        }  # fmt: skip
        return entry, (f"{name}\n[dim]no; {ways}[/]", claim, "-", "-", "-", "-", "-")
    figures = {
        key: value for key, value in asdict(found).items() if key not in ("value_bits", "max_summands")
    }
    failure = "never" if found.log2_failure is None else f"2^{found.log2_failure:.0f}"
    row = (
        name, claim, str(found.slots), str(found.slot_bits), f"{found.wire_bits:,}",
        f"{found.bytes_per_value:.2f}", failure,
    )  # fmt: skip
    return {"security": claim, "possible": True, **figures}, row
