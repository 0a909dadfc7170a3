"""Reed-Solomon coding: erasure shards, and dispersal of one packet over several relays.

- To correct errors whose places nobody knows: :class:`RSCodec` (a drop-in for ``reedsolo``), for CCSDS
  :class:`CcsdsCodec`; both raise :class:`ReedSolomonError`, and for batches :class:`DecodedBatch` tells it
  word by word.
- To lose shards and keep data: :class:`Erasure` (k of n, systematic, no protection against wrong bytes).
- To send a packet as n sealed shards, k of which suffice: :func:`disperse`, opened by
  :func:`gather` (all at once) or :class:`Collector` (one by one, bounded memory), both with a
  :class:`ShardKey`; :func:`shard_bytes` tells the size before.

Shards hide which of them belong together from everyone but the recipient.  They hide neither
addresses nor times, and do not say who sent: sign what you disperse.
Construction, wire format and limits: docs/rs.md, docs/rs-codec.md.  Kernels: docs/kernels.md.
"""

from .._ext.errors import DecodeError, ParameterError, ReedSolomonError, SottovoceError, TooManyErasures
from ._codec_batch import DecodedBatch
from ._codec_ccsds import CcsdsCodec
from .codec import RSCodec
from .collector import Collector
from .dispersal import disperse, gather
from .erasure import Erasure
from .shard import ShardKey, shard_bytes

__all__ = [
    "CcsdsCodec",
    "Collector",
    "DecodeError",
    "DecodedBatch",
    "Erasure",
    "ParameterError",
    "RSCodec",
    "ReedSolomonError",
    "ShardKey",
    "SottovoceError",
    "TooManyErasures",
    "disperse",
    "gather",
    "shard_bytes",
]
