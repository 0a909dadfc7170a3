"""An aggregator that is killed where it fixes the set, and started again: what became of a lone shard.

Keys are made once; the child dies in the middle of a round, the parent goes on with what it left.
"""

import asyncio
import json
import os
import pathlib
import signal
import sys

from sottovoce.fl import RoundResult, SqliteAggregatorStore
from sottovoce.fl.stores import StepKind
from support.fl_federation import MODEL, Federation, update_of
from support.fl_http import HttpFederation


class Deadly(SqliteAggregatorStore):
    """Dies before the set is noted."""

    def note(self, header_hash, step):
        if step.kind is StepKind.CLOSED:
            os.kill(os.getpid(), signal.SIGKILL)
        super().note(header_hash, step)


async def dies(fed, folder):
    with Deadly(folder / "store") as store:
        async with HttpFederation(fed, store=store, folder=folder) as http:
            signed_header = await http.courier().header(wait_s=20)
            shards = http.client(4).seal(signed_header, MODEL, update_of(4)).shards()
            (folder / "second shard").write_bytes(shards[1])
            assert (await http.call("aggregator", "POST", "/v1/shard", shards[0]))[0] == 202
            await asyncio.gather(*(http.submit(i) for i in range(4)))
            await asyncio.sleep(30)


async def goes_on(fed, folder):
    with SqliteAggregatorStore(folder / "store") as store:
        async with HttpFederation(fed, store=store, folder=folder, plan={"close_at": 5}) as http:
            await http.until(lambda: http.aggregator.status.accepted == 4)
            shard = (folder / "second shard").read_bytes()
            assert (await http.call("aggregator", "POST", "/v1/shard", shard))[0] == 202
            await http.until(http.aggregator.finished.is_set)
            header = http.aggregator._open.header
            published = await http.courier().result(header)
            result = RoundResult.from_bytes(published, header)
            return {
                "accepted": http.aggregator.status.accepted,
                "contributors": result.agreed.count,
                "journals": len(list(folder.glob("shards-*"))),
            }


def main():
    folder, fed = pathlib.Path(sys.argv[1]), Federation(n_clients=5)
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(asyncio.wait_for(dies(fed, folder), 40))
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    ended = {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}
    print(json.dumps(ended | asyncio.run(asyncio.wait_for(goes_on(fed, folder), 60))))


main()
