"""How an aggregator grows with the number of clients: time for each, and memory.

    python benches/fl_scale.py   # writes benches/results/fl_scale.json, docs/fl-scale.png, docs/fl-speed.md
    python benches/fl_scale.py --clients 10 100 --memory-clients 100 --no-plot   # a look

Every packet is sealed by a client of its own, with a pseudonym of its own; sealing is spread over processes
and not measured.  The packets lie in files, as they would with a relay.

* **Time**: processor time of the aggregator alone (collecting; closing; opening) in one thread, for growing
  numbers of clients.  The members answer in another process.
* **Memory**: an aggregator in a process of its own, which spools what it accepts and keeps its steps on disk.
  Its peak after collecting and at the end, above what the process had before the first packet.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import multiprocessing
import pathlib
import shutil
import sys
import tempfile
import time

import numpy as np

from sottovoce import fl, rs
from sottovoce.cli import machine
from sottovoce.fl import simulate

ROOT = pathlib.Path(__file__).parents[1]
EPOCH = b"scale"
MEMBERS = 4
SCALE = ROOT / "benches" / "results" / "fl_scale.json"
PEERS = ROOT / "benches" / "results" / "fl_peers.json"
PAGE = ROOT / "docs" / "fl-speed.md"


def resident(key: str) -> int:
    """``VmRSS`` or ``VmHWM`` of this process, bytes."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"no {key}: only Linux tells it")


class Federation:
    """Keys of everybody; made again the same way in no other process, so children are forked."""

    def __init__(self, n_parameters: int, n_clients: int) -> None:
        self.now = int(time.time())
        authority = simulate.Authority(EPOCH, self.now, 86_400)
        names = [b"aggregator", *(f"member-{j}".encode() for j in range(1, MEMBERS + 1))]
        self.aggregator_keys, *self.member_keys = (authority.server(name) for name in names)
        self.trust = authority.trust()
        self.authority = authority
        self.policy = fl.Policy(
            aggregators=frozenset(names[:1]), members=frozenset(names[1:]), min_contributors=3
        )
        self.shard_key = rs.ShardKey.generate()
        self.model = [np.zeros(n_parameters, np.float32)]
        self.n_clients = n_clients
        header = fl.plan_round(
            self.model,
            aggregator=self.aggregator_keys.public,
            members=[keys.public for keys in self.member_keys],
            shard_key=self.shard_key.public_key,
            sender_params=authority.blind,
            trust=self.trust,
            round_number=1,
            clip=1.0,
            deadline=self.now + 80_000,
            audit_deadline=self.now + 80_000,
            min_contributors=3,
            max_contributors=max(n_clients, 3),
        )
        proposal = fl.SignedHeader.propose(header, self.aggregator_keys)
        signatures = {j: m.cosign(proposal.to_bytes()) for j, m in enumerate(self.members(), 1)}
        self.signed = proposal.with_members(signatures).to_bytes()

    def members(self) -> list[fl.Member]:
        return [fl.Member(keys, self.trust, self.policy) for keys in self.member_keys]

    def aggregator(self, store: fl.AggregatorStore) -> fl.Aggregator:
        return fl.Aggregator(self.aggregator_keys, self.shard_key, self.trust, self.signed, store=store)


def seal(federation: Federation, folder: pathlib.Path, indices: range) -> None:
    """The packets of these clients, each with a fresh pseudonym."""
    for i in indices:
        key = federation.authority.pseudonym(f"device-{i}")
        update = [np.random.default_rng(i).normal(0, 0.1, a.shape).astype(a.dtype) for a in federation.model]
        packet = fl.Client(key, federation.trust, federation.policy).seal(
            federation.signed, federation.model, update
        )
        (folder / f"{i}.packet").write_bytes(packet.packet)


def seal_all(federation: Federation, folder: pathlib.Path, workers: int) -> None:
    """All packets, by forked children: keys go nowhere."""
    runs = [range(i, federation.n_clients, workers) for i in range(workers)]
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=seal, args=(federation, folder, run)) for run in runs]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            raise RuntimeError("a child that sealed has failed")


def answer(federation: Federation, folder: pathlib.Path, asked) -> None:
    """The members, in a process of their own: an answer for every request that lies in ``folder``."""
    members = federation.members()
    while (j := asked.recv()) is not None:
        request = (folder / f"{j}.request").read_bytes()
        asked.send(members[j - 1].answer(federation.signed, request))


def play(
    federation: Federation, folder: pathlib.Path, n_clients: int, spool: pathlib.Path
) -> dict[str, float]:
    """One round of the first ``n_clients``; seconds of processor time and bytes of memory by stage."""
    measured: dict[str, float] = {
        "clients": n_clients,
        "packet_bytes": (folder / "0.packet").stat().st_size,
    }
    context = multiprocessing.get_context("fork")
    asked, asking = context.Pipe()
    child = context.Process(target=answer, args=(federation, spool, asked), daemon=True)
    child.start()
    store = fl.SqliteAggregatorStore(spool / "aggregator.sqlite")
    aggregator = federation.aggregator(store)
    gc.collect()
    baseline = resident("VmRSS")

    def stage(name: str, work):
        start = time.process_time()
        result = work()
        measured[f"{name}_s"] = measured.get(f"{name}_s", 0.0) + time.process_time() - start
        measured[f"{name}_peak_bytes"] = resident("VmHWM") - baseline
        return result

    def collect() -> None:
        for i in range(n_clients):
            aggregator.receive_packet((folder / f"{i}.packet").read_bytes())
        aggregator.process()

    stage("collect", collect)
    assert len(aggregator.accepted) == n_clients, aggregator.refused
    requests = stage("close", functools.partial(aggregator.close, check_first=False))
    measured["request_bytes"] = sum(map(len, requests.values()))
    answers = {}
    for j in range(1, aggregator.header.threshold + 1):
        (spool / f"{j}.request").write_bytes(requests.pop(j))
        asking.send(j)
        answers[j] = asking.recv()
    asking.send(None)
    child.join()
    del requests
    refused = stage("open", functools.partial(aggregator.receive_answers, answers))
    assert not refused, refused
    result = stage("open", aggregator.open)
    assert result.agreed.count == n_clients
    store.close()
    return measured


def in_a_child(federation: Federation, *args) -> dict[str, float]:
    """:func:`play` in a fresh process, so that peaks are its own."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=lambda: send.send(play(federation, *args)))
    child.start()
    send.close()
    measured = receive.recv()
    child.join()
    return measured


def series(n_parameters: int, numbers: list[int], workers: int) -> list[dict[str, float]]:
    """One measurement a number of clients."""
    federation = Federation(n_parameters, max(numbers))
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        packets = pathlib.Path(temporary) / "packets"
        packets.mkdir()
        start = time.perf_counter()
        seal_all(federation, packets, workers)
        print(f"sealed {max(numbers)} in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        for n in numbers:
            spool = pathlib.Path(temporary) / "spool"
            spool.mkdir()
            row = in_a_child(federation, packets, n, spool)
            shutil.rmtree(spool)
            row["ms_per_client"] = 1e3 * (row["collect_s"] + row["close_s"]) / n
            row["collect_ms_per_client"] = 1e3 * row["collect_s"] / n
            rows.append(row)
            print(json.dumps(row), file=sys.stderr)
    return rows


def plot(document: dict, path: pathlib.Path) -> None:
    """Time for one client over the number of clients."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.2, 3.2))  # so narrow that a telephone shows it whole
    rows = document["time"]
    for key, label in (("collect_ms_per_client", "collecting"), ("ms_per_client", "with closing")):
        axes.plot([r["clients"] for r in rows], [r[key] for r in rows], marker="o", label=label)
    axes.set(xscale="log", xlabel="clients", ylabel="ms of processor time for each")
    axes.set_ylim(0, 1.1 * max(r["ms_per_client"] for r in rows))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def write_page() -> None:
    """docs/fl-speed.md from the results that there are."""
    lines = [
        "# Speed and memory of `fl`",
        "",
        "<!-- Written by benches/fl_scale.py from benches/results; do not edit. -->",
        "",
        "What it is made of: [fl-scale.md](fl-scale.md).",
        "",
    ]
    if SCALE.exists():
        document = json.loads(SCALE.read_text())
        lines += [
            f"## One aggregator, {document['parameters']:,} parameters, one thread",
            "",
            f"Processor time of the aggregator for each client, {document['members']} members;",
            f"`python benches/fl_scale.py` on {_machine(document['machine'])}.",
            "",
            "| clients | collecting, ms each | with closing, ms each | opening, ms in all |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| {row['clients']:,} | {row['collect_ms_per_client']:.1f} | {row['ms_per_client']:.1f} | "
            f"{1e3 * row['open_s']:.0f} |"
            for row in document["time"]
        ]
        lines += [
            "",
            "![time over clients](fl-scale.png)",
            "",
            f"## Memory of an aggregator, {document['memory_parameters']:,} parameters",
            "",
            "Peak above what the process had before the first packet; what is accepted is spooled to files.",
            "The members answer in another process; the requests to all of them are in memory together.",
            "",
            "| clients | peak collecting, MB | peak with closing and opening, MB | requests, MB |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| {row['clients']:,} | "
            f"{row['collect_peak_bytes'] / 1e6:.0f} | {row['open_peak_bytes'] / 1e6:.0f} | "
            f"{row['request_bytes'] / 1e6:.1f} |"
            for row in document["memory"]
        ]
        lines.append("")
    if PEERS.exists():
        document = json.loads(PEERS.read_text())
        lines += [
            "## Next to Flower's SecAgg+",
            "",
            "Processor time of one side alone on one core, medians by turns; committee of five, header",
            f"signatures included; `sottovoce bench fl --peers{' --quick' if document['quick'] else ''}` on",
            f"{_machine(document['machine'])}. Times faster: above 1 we take less.",
            "",
            "| what | ours, ms | SecAgg+, ms | times faster | ours, bytes a parameter | SecAgg+ |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for result in document["results"]:
            for peer in result["peers"]:
                if peer["installed"]:
                    ours, theirs = (
                        f"{r['bytes'] / result['size']['parameters']:.2f}" if r["bytes"] else ""
                        for r in (result, peer)
                    )
                    lines.append(
                        f"| {result['name']} | {1e3 * result['seconds']['median']:.0f} | "
                        f"{1e3 * peer['seconds']['median']:.0f} | {peer['times_ours']:.2f} | "
                        f"{ours} | {theirs} |"
                    )
        lines.append("")
    PAGE.write_text("\n".join(lines))


def _machine(card: dict) -> str:
    return f"{card['cpu']}, {card['system']}; {card['python']}; kernels up to {card['ceiling']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 100, 1000, 5000])
    parser.add_argument("--parameters", type=int, default=10_000)
    parser.add_argument("--memory-clients", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--memory-parameters", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2, help="processes that seal")
    parser.add_argument("--json", type=pathlib.Path, default=SCALE)
    parser.add_argument("--no-plot", action="store_true", help="neither picture nor page")
    parser.add_argument(
        "--page-only", action="store_true", help="write picture and page from what was measured before"
    )
    options = parser.parse_args()
    if options.page_only:
        plot(json.loads(SCALE.read_text()), ROOT / "docs" / "fl-scale.png")
        write_page()
        return
    document = {
        "machine": machine.card(),
        "parameters": options.parameters,
        "memory_parameters": options.memory_parameters,
        "members": MEMBERS,
        "time": series(options.parameters, options.clients, options.workers),
        "memory": series(options.memory_parameters, options.memory_clients, options.workers),
    }
    options.json.write_text(json.dumps(document, indent=1, default=str) + "\n")
    if not options.no_plot:
        plot(document, ROOT / "docs" / "fl-scale.png")
        write_page()


if __name__ == "__main__":
    main()
