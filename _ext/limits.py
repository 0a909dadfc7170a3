"""Every limit of the library, each with its reason.

Outside data is held against these before anything is allocated for it.
"""

from __future__ import annotations

from typing import Final

# -- CBOR ---------------------------------------------------------------------------------------
CBOR_MAX_DEPTH: Final = 8
"""Nesting: our deepest message has 4 levels; the bound keeps the decoder's recursion trivial."""

CBOR_MAX_BYTES: Final = 1 << 24
"""Any structured message: a close request for 2**14 clients is about 10 MiB.  Vectors are never in CBOR."""

# -- people and rounds --------------------------------------------------------------------------
MAX_CLIENTS: Final = 1 << 20
"""Contributors of one round: the pid list of a close request stays below CBOR_MAX_BYTES pages, and a
blind epoch issues at most 2**20 pseudonyms (docs/clsc.md)."""

MAX_MEMBERS: Final = 64
"""Committee: subset search at opening and shares per client grow with it; 31 suffices for random ones."""

MIN_CONTRIBUTORS_FLOOR: Final = 3
"""Under three, a sum and one's own update give away a neighbour's."""

CLOCK_SKEW_S: Final = 120
"""Two machines with NTP agree far better; phones without it rarely drift by more than this."""
