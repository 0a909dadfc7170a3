"""Ratios to parts and to alternatives: how they are taken, shown and written, and what clsc counts."""

import json
from collections import Counter

import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from typer.testing import CliRunner

from sottovoce import clsc
from sottovoce.cli import console, machine
from sottovoce.cli.app import app
from sottovoce.cli.bench import clsc_parts, clsc_plain, command, harness, of_clsc, record, report
from sottovoce.cli.bench.areas import Area
from sottovoce.cli.bench.clsc_world import strangers, world
from sottovoce.cli.bench.measurement import (
    Alternative,
    Measurement,
    Operation,
    Part,
    Parts,
    Work,
    load,
    measurement,
)
from sottovoce.clsc import comb, group, hashes

FAST = harness.Effort(seconds=0.0, least=2, most=2, warm_up_s=0.0)


def timing(*samples):
    return harness.Timing(min(samples), min(samples), max(samples), min(samples), len(samples), 1, samples)


# -- ratios -----------------------------------------------------------------------------------------


def test_a_ratio_is_taken_round_by_round():
    """A machine that is twice as slow in every other round does not move it; medians would."""
    subject = timing(3.0, 6.0, 3.0, 6.0, 3.0)
    a, b = timing(1.0, 2.0, 1.0, 2.0, 1.0), timing(0.5, 1.0, 0.5, 1.0)
    to = harness.ratio(subject, [(1, a), (4, b)])
    assert (to.median, to.low, to.high, to.n) == (1.0, 1.0, 1.0, 4)
    assert harness.ratio(subject, [(3, a)]).n == 5


def test_quartiles_of_a_ratio():
    to = harness.ratio(timing(1.0, 2.0, 3.0, 4.0, 5.0), [(1, timing(1.0, 1.0, 1.0, 1.0, 1.0))])
    assert (to.low, to.median, to.high) == (2.0, 3.0, 4.0)


def test_samples_are_kept_in_their_order_and_each_has_its_own_effort():
    now = 0.0
    order = []

    def operation(name, durations):
        durations = iter(durations)

        def call():
            nonlocal now
            now += next(durations)
            order.append(name)

        return Operation(call)

    rising = [0.1, 0.4, 0.3, 0.2, 0.1]
    efforts = [harness.Effort(0.0, least, least, 0.0) for least in (4, 2)]
    first, second = harness.measure([operation("a", rising), operation("b", rising)], efforts, lambda: now)
    assert first.samples == pytest.approx(rising[1:])
    assert second.samples == pytest.approx(rising[1:3])
    assert order == ["a", "b", "a", "b", "a", "b", "a", "a"]


def test_the_parts_together_get_about_the_effort_of_the_whole():
    share = harness.THOROUGH.shared_by(20)
    assert 20 * share.seconds == pytest.approx(2 * harness.THOROUGH.seconds)
    assert share.least == harness.THOROUGH.least
    assert harness.THOROUGH.shared_by(1).warm_up_s == harness.THOROUGH.warm_up_s


# -- declaring and showing --------------------------------------------------------------------------


def made(aim_parts, aim_other, parts=(1.0, 1.0), other=10.0):
    """Something that takes 3 s, of parts ``a`` (once) and ``b`` (twice), and another way to do it."""
    of = (Part("a", lambda: None), Part("b", lambda: None, 2))
    m = Measurement(
        Area.RS,
        "thing",
        lambda: None,
        Work(1, "thing"),
        {"things": 1},
        alternatives=(Alternative("the long way", lambda: None, aim_other),),
        parts=Parts(of, aim_parts),
    )
    return report.Result(
        m,
        timing(3.0, 3.0, 3.0),
        alternatives=(timing(other, other, other),),
        parts=tuple(timing(part, part, part) for part in parts),
    )


def test_an_aim_is_missed_only_beyond_it():
    assert made(1.0, 0.3).missed == []
    assert made(None, None).missed == []
    assert made(0.99, 0.3).missed == ["1.00 times its parts, aim 0.99"]
    assert made(1.0, 0.29).missed == ["0.30 times 'the long way', aim 0.29"]


def test_the_table_has_the_ratio_and_names_a_missed_aim(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    report.print_results(console.stdout(), [made(1.2, 0.2, parts=(0.5, 0.5))])
    out = capsys.readouterr().out
    assert "its parts" in out
    row = next(line for line in out.splitlines() if line.split()[:1] == ["thing"])
    assert row.split()[-1] == "2.00"
    other = next(line for line in out.splitlines() if "the long way" in line)
    assert other.split()[-1] == "3.3"
    assert "aim missed: rs: thing: 2.00 times its parts, aim 1.2" in out
    assert "aim missed: rs: thing: 0.30 times 'the long way', aim 0.2" in out


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_list_of_parts(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    report.print_parts(console.stdout(), [made(1.2, 0.2)])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    cells = [line.split() for line in out.splitlines()]
    share = ["67%"] if width > 60 else []
    assert any(row[:4] == ["b", "2", "1", "s"] and row[4:6] == ["2", "s"] for row in cells)
    assert not share or any(row[-1:] == share for row in cells)
    assert any(row[:3] == ["sum", "3", "s"] for row in cells)
    assert " ".join(out.split()).count("1.00 times the sum") == 1


def test_the_document_has_parts_and_alternatives():
    (result,) = record.document([made(1.2, 0.2)], machine.card(), quick=True)["results"]
    parts = result["parts"]
    assert [(part["name"], part["count"]) for part in parts["of"]] == [("a", 1), ("b", 2)]
    assert parts["of"][0]["seconds"]["median"] == 1.0
    assert parts["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0, "n": 3}
    assert parts["aim"] == 1.2
    (other,) = result["alternatives"]
    assert (other["name"], other["aim"]) == ("the long way", 0.2)
    assert other["ratio"]["median"] == pytest.approx(0.3)
    plain = report.Result(Measurement(Area.RS, "x", None, Work(1, "x"), {"x": 1}), timing(1.0, 1.0))
    (result,) = record.document([plain], machine.card(), quick=True)["results"]
    assert (result["parts"], result["alternatives"]) == (None, [])


def test_parts_have_distinct_names():
    part = Part("a", lambda: None)
    for of in ((), (part, part)):
        with pytest.raises(ValueError, match="distinct"):
            Parts(of)


def test_the_decorator_passes_everything_on(monkeypatch):
    from sottovoce.cli.bench import measurement as module

    monkeypatch.setattr(module, "_register", {})
    parts, other = Parts((Part("a", lambda: None),)), Alternative("b", lambda: None)
    m = measurement(
        Area.RS, "new", work=Work(1, "x"), size={"x": 1}, alternatives=(other,), parts=parts
    )(lambda: None)  # fmt: skip
    assert (m.parts, m.alternatives) == (parts, (other,))


def test_every_part_and_alternative_is_measured_in_the_same_run():
    called = Counter()

    def operation(name):
        return lambda: Operation(lambda: called.update([name]))

    of = (Part("a", operation("a")), Part("b", operation("b"), 3))
    other = (Alternative("c", operation("c")),)
    m = Measurement(Area.RS, "x", operation("x"), Work(1, "x"), {"x": 1}, alternatives=other, parts=Parts(of))
    result = command.run(m, FAST, peers=False)
    assert set(called) == {"a", "b", "c", "x"}
    assert result.to_parts.n == 2
    assert len(result.parts) == 2
    assert len(result.to_alternatives) == 1


def test_a_measurement_may_be_prepared_again():
    """The world of keys is kept for the process, and so is what its issuer remembers."""
    for _ in range(2):
        operation = of_clsc.issue_blind.prepare()
        operation.call(*operation.fresh())


@pytest.mark.slow
def test_bench_clsc_quick(tmp_path):
    target = tmp_path / "bench.json"
    arguments = ["bench", "clsc", "--quick", "--parts", "--peers", "--json", str(target)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    results = {result["name"]: result for result in json.loads(target.read_text())["results"]}
    assert list(results) == [m.name for m in load(Area.CLSC) if m.quick]
    assert "clsc: signcrypt to 1" in done.output
    for result in results.values():
        for part in (result["parts"] or {"of": ()})["of"]:
            assert part["count"] >= 1
            assert part["seconds"]["median"] > 0
    assert clsc_plain.LACKS in " ".join(done.output.split())


# -- what clsc counts -------------------------------------------------------------------------------


def calls(monkeypatch, work):
    """How often the group layer is asked for what in ``work``."""
    seen = Counter()

    def spy(holder, name, key):
        real = getattr(holder, name)
        monkeypatch.setattr(
            holder, name, lambda *args: seen.update([key(*args) if callable(key) else key]) or real(*args)
        )

    spy(comb.Comb, "mul", lambda self, k: self._window)
    spy(group, "_mul_window", "window")
    backend = group._backend
    spy(backend, "g1_mul_vartime", "public")
    spy(backend, "g1_msm_vartime", lambda points, scalars: f"sum of {len(points)}")
    spy(backend, "multi_pairing", lambda a, b: f"pairing {len(a)}")
    spy(backend, "pairing_is_one", "check")
    spy(backend, "g1_decode", "decode G1")
    spy(backend, "g2_decode", "decode G2")
    spy(backend, "hash_to_g1", "hash to G1")
    spy(hashes, "hash_to_scalar", "hash to scalar")
    work()
    monkeypatch.undo()
    return seen


def counted(parts):
    """The same of a list of parts."""
    keys = {
        "k*B by a table, window 4": 4,
        "k*P1 by a table, window 6": 6,
        "k*P2 by a table, window 6": 6,
        "k*U, secret k, window": "window",
        "k*U, public k": "public",
        "k*P + l*U, public": "sum of 2",
        "pairing, to bytes": "pairing 1",
        "product of 2 pairings, to bytes": "pairing 2",
        "check of 2 pairings": "check",
    }
    same = {"decode G1", "decode G2", "hash to G1", "hash to scalar"}
    counts = Counter()
    for part in parts:
        name = part.name.partition(" in G1")[0] if part.name.startswith("sum of") else part.name
        if name in keys or name in same or name.startswith("sum of"):
            counts[keys.get(name, name)] += part.count
    return counts


OPERATIONS = {
    m.name: (m, warm)
    for m, warm in (
        (of_clsc.sign, 3),  # tables are made at the third use
        (of_clsc.verify, 1),
        (of_clsc.signcrypt_one, 3),
        (of_clsc.signcrypt_many, 3),
        (of_clsc.unsigncrypt, 1),
    )
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_primitives_counted_are_those_that_are_called(name, monkeypatch):
    """In group operations the list IS the implementation; a sum with too much in it would flatter."""
    m, warm = OPERATIONS[name]
    operation = m.prepare()

    def once():
        operation.call(*(operation.fresh() if operation.fresh else ()))

    for _ in range(warm):
        once()
    arguments = operation.fresh() if operation.fresh else ()
    assert calls(monkeypatch, lambda: operation.call(*arguments)) == counted(m.parts.of)


@pytest.mark.parametrize("n", [2, 7])
def test_the_primitives_of_a_batch(n, monkeypatch):
    w = world()
    packets = [w.packet(b"text", sender) for sender in strangers(n)]
    seen = calls(monkeypatch, lambda: clsc.unsigncrypt_batch(packets, receiver=w.receivers[0], trust=w.trust))
    assert seen == counted(clsc_parts.unsigncrypt_batch(n))


def test_every_primitive_of_every_list_runs():
    lists = [clsc_parts.ISSUE_BLIND, clsc_parts.batch_verify(3), clsc_parts.seal_body(2 << 20)]
    lists += [m.parts.of for m, _ in OPERATIONS.values()]
    seen = {}
    for part in (part for parts in lists for part in parts):
        if part.name not in seen:
            seen[part.name] = part.prepare().call()
    assert len(seen["HKDF 96"]) == 96
    assert len(seen["encode G2"]) == 96
    assert len(seen["pairing, to bytes"]) == 576


def test_without_tables_gives_signatures_that_hold():
    key = world().sender
    signed = of_clsc.sign_without_tables(key, b"m")
    clsc.verify(key.public_key, b"m", signed)
    with pytest.raises(clsc.SignatureError):
        clsc.verify(key.public_key, b"n", signed)


def test_signing_without_tables_uses_none(monkeypatch):
    key = world().sender
    seen = calls(monkeypatch, lambda: of_clsc.sign_without_tables(key, b"m"))
    assert seen == {"window": 3, "hash to scalar": 1}


# -- the plain alternative --------------------------------------------------------------------------


class TestPlain:
    """It must do its work, or there is nothing to compare with."""

    authority = clsc_plain.Authority()
    sender = clsc_plain.Sender.of(authority, b"alice")
    keys = tuple(X25519PrivateKey.generate() for _ in range(3))

    def test_opens_what_was_sealed(self):
        packet = clsc_plain.seal(self.sender, [self.keys[0].public_key()], b"text")
        assert clsc_plain.open_one(self.authority, self.keys[0], packet) == b"text"
        publics = [key.public_key() for key in self.keys]
        packet = clsc_plain.seal(self.sender, publics, b"text")
        for key in self.keys:
            assert clsc_plain.open_many(self.authority, key, packet) == b"text"

    def test_refuses_others_and_what_was_altered(self):
        packet = clsc_plain.seal(self.sender, [self.keys[0].public_key()], b"text")
        with pytest.raises(InvalidTag):
            clsc_plain.open_one(self.authority, self.keys[1], packet)
        with pytest.raises(InvalidTag):
            clsc_plain.open_one(self.authority, self.keys[0], packet[:-1] + bytes([packet[-1] ^ 1]))

    def test_refuses_a_certificate_of_another_authority(self):
        other = clsc_plain.Sender.of(clsc_plain.Authority(), b"alice")
        packet = clsc_plain.seal(other, [self.keys[0].public_key()], b"text")
        with pytest.raises(InvalidSignature):
            clsc_plain.open_one(self.authority, self.keys[0], packet)

    def test_refuses_what_was_meant_for_somebody_else(self):
        """A receiver seals the content and its signature again to another one."""
        first, second = (key.public_key() for key in self.keys[:2])
        packet = clsc_plain.seal(self.sender, [first], b"text")
        inner = clsc_plain._SUITE.decrypt(packet, self.keys[0], clsc_plain._INFO)
        forwarded = clsc_plain._SUITE.encrypt(inner, second, clsc_plain._INFO)
        with pytest.raises(InvalidSignature):
            clsc_plain.open_one(self.authority, self.keys[1], forwarded)
