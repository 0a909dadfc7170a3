"""Reed-Solomon coding: erasure shards, and dispersal of one packet over several relays.

- To lose shards and keep data: :class:`Erasure` (k of n, systematic, no protection against wrong bytes).
- To send a packet as n sealed shards, k of which suffice: :func:`disperse`, opened by
  :func:`gather` (all at once) or :class:`Collector` (one by one, bounded memory), both with a
  :class:`ShardKey`; :func:`shard_bytes` tells the size before.
- To keep a file as n shard files: :func:`split_file`, :func:`join_file`, :func:`verify_files`,
  :func:`repair_files`, in bounded memory (docs/rs-files.md).

Shards hide which of them belong together from everyone but the recipient.  They hide neither
addresses nor times, and do not say who sent: sign what you disperse.
Construction, wire format and limits: docs/rs.md.  Kernels: docs/kernels.md.
"""

from .._ext.errors import CorruptShards, DecodeError, ParameterError, SottovoceError, TooManyErasures
from ._files_report import DamageError, MixedShardsError, ShardsReport, ShardState
from .collector import Collector
from .dispersal import disperse, gather
from .erasure import Erasure
from .files import (
    JoinedFile,
    RepairedFiles,
    SplitFile,
    join_file,
    repair_files,
    split_file,
    verify_files,
)
from .shard import ShardKey, shard_bytes

__all__ = [
    "Collector",
    "CorruptShards",
    "DamageError",
    "DecodeError",
    "Erasure",
    "JoinedFile",
    "MixedShardsError",
    "ParameterError",
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
