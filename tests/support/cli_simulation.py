"""A stand-in for ``simulate.Simulation``, for the demo's own logic: exact, instant, wrong on demand.

It loses client 0 in every round, and says that each injected fault was refused.
"""

from types import SimpleNamespace

import numpy as np

from sottovoce.cli.demo import train
from sottovoce.fl import Stage


class Double:
    """Makes the report that :meth:`alter`, which a subclass may have, then changes."""

    def __init__(self, template, n_clients, **settings):
        self.setup_stages = {"issue pseudonyms": Stage(0.5, 10, n_clients)}
        self.settings = settings
        self.round_number = 0

    def run_round(self, model, updates, *, faults, progress):
        self.round_number += 1
        progress("clients seal", 1, len(updates))
        accepted = tuple(sorted(updates))[1:]
        total = np.arange(self.size(model) + 1, dtype=np.int64)
        report = SimpleNamespace(
            round_number=self.round_number,
            mean=train.average({i: updates[i] for i in accepted}),
            total_weight=10_000 * len(accepted),
            accepted=accepted,
            dropped=(0,),
            injected={"shards corrupted": 5, "packets replayed": 2, "packets of strangers": 1},
            refused={"shard: unopenable": 10, "packet: not for this key and round": 1, "sender: unknown": 1},
            opened_sum=total,
            expected_sum=total.copy(),
            stages={
                "encrypt": Stage(0.1, 14_336 * len(updates), len(updates)),
                "members answer": Stage(0.2, 100, 4),
                "open sum": Stage(0.01, 0, 1),
            },
        )
        self.alter(report)
        return report

    def alter(self, report):
        pass

    @staticmethod
    def size(model):
        return sum(array.size for array in model)
