"""Measurements of :mod:`sottovoce.rs`, each kind in its own module."""

# The order of import is that of the table.
from . import rs_erasure as rs_erasure  # noqa: I001 - in this order
from . import rs_codec as rs_codec
from . import rs_dispersal as rs_dispersal
