"""Reed-Solomon coding: erasure shards, and dispersal of one packet over several relays.

- To correct errors whose places nobody knows: :class:`RSCodec` (a drop-in for ``reedsolo``), for CCSDS
  :class:`CcsdsCodec`; both raise :class:`ReedSolomonError`, and for batches :class:`DecodedBatch` tells it
  word by word.
- To lose shards and keep data: :class:`Erasure` (k of n, systematic, no protection against wrong bytes).
- To send a packet as n sealed shards, k of which suffice: :func:`disperse`, opened by
  :func:`gather` (all at once) or :class:`Collector` (one by one, bounded memory), both with a
  :class:`ShardKey`; :func:`shard_bytes` tells the size before.
- To keep a file as n shard files: :func:`split_file`, :func:`join_file`, :func:`verify_files`,
  :func:`repair_files`, in bounded memory (docs/rs-files.md).

Shards hide which of them belong together from everyone but the recipient.  They hide neither
addresses nor times, and do not say who sent: sign what you disperse.
Construction, wire format and limits: docs/rs.md, docs/rs-codec.md.  Kernels: docs/kernels.md.
"""

from .._ext.errors import (
    CorruptShards,
    DecodeError,
    ParameterError,
    ReedSolomonError,
    SottovoceError,
    TooManyErasures,
)
from ._codec_batch import DecodedBatch
from ._codec_ccsds import CcsdsCodec
from ._files_report import (
    DamageError,
    JoinedFile,
    MixedShardsError,
    RepairedFiles,
    ShardsReport,
    ShardState,
    SplitFile,
)
from .codec import RSCodec
from .collector import Collector
from .dispersal import disperse, gather
from .erasure import Erasure
from .files import (
    join_file,
    repair_files,
    split_file,
    verify_files,
)
from .shard import shard_bytes
from .shardkey import ShardKey

__all__ = [
    "CcsdsCodec",
    "Collector",
    "CorruptShards",
    "DamageError",
    "DecodeError",
    "DecodedBatch",
    "Erasure",
    "JoinedFile",
    "MixedShardsError",
    "ParameterError",
    "RSCodec",
    "ReedSolomonError",
    "RepairedFiles",
    "ShardKey",
    "ShardState",
    "ShardsReport",
    "SottovoceError",
    "SplitFile",
    "TooManyErasures",
    "disperse",
    "gather",
    "join_file",
    "repair_files",
    "shard_bytes",
    "split_file",
    "verify_files",
]
