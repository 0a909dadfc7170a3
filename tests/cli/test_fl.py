"""``sottovoce fl audit`` and ``fl judge``: what a third party is told, and the exit codes."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sottovoce.cli.app import app
from sottovoce.cli.armor import Label, armor
from sottovoce.fl import RoundResult, show_conviction
from sottovoce.fl.audit_file import AuditHead, AuditReader
from support.cli_session import plain
from support.fl_federation import AGGREGATOR_NAME, Federation, Sealed, craft, finish


@pytest.fixture(scope="module")
def world():
    """A round of three, from which a fourth was taken out: the federation, its record, a conviction."""
    fed = Federation(n_clients=4)
    sealed = Sealed(fed, n_clients=3, n=4)
    packet, _ = craft(fed, sealed.header, fed.client_keys[3], bad_for=[2])
    aggregator = sealed.aggregator([*sealed.packets, packet])
    result = finish(aggregator, sealed.members(), sealed.signed)
    out = io.BytesIO()
    aggregator.write_audit(aggregator.publish(result), out)
    (conviction,) = aggregator.convictions.values()
    return fed, sealed, out.getvalue(), show_conviction(sealed.header, conviction)


@pytest.fixture(autouse=True)
def folder(world, tmp_path, monkeypatch):
    fed, _, record, conviction = world
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOTTOVOCE_HOME", str(tmp_path / "home"))
    Path("record").write_bytes(record)
    Path("result").write_bytes(result_of(world))
    Path("conviction").write_bytes(conviction)
    Path("root").write_text(armor(Label.ROOT, fed.authority.root_public_key))
    Path("other").write_text(armor(Label.ROOT, fed.other_authority.root_public_key))
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["fl", *map(str, arguments)], prog_name="sottovoce")
    assert result.exit_code == code, (result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    return result


def result_of(world):
    """The result in the record, as bytes."""
    reader = AuditReader(io.BytesIO(world[2]))
    reader.round()
    return reader.result(world[1].header)


def with_result(world, result):
    """The record with other bytes for a result."""
    header, record = world[1].header, world[2]
    reader = AuditReader(io.BytesIO(record))
    first = reader.round()
    reader.result(header)
    out = io.BytesIO()
    AuditHead(*first, result, reader.share_sums(header), tuple(reader.convictions(header))).write(out, [])
    return out.getvalue() + record[reader.n_bytes :]


def another_result(world, **fields):
    """What the aggregator changed and signed."""
    fed, sealed, _, _ = world
    result = replace(RoundResult.from_bytes(result_of(world), sealed.header), **fields)
    return result.to_bytes(sealed.header, fed.aggregator_keys)


def changed(world, **fields):
    """The record with a result that the aggregator changed and signed."""
    return with_result(world, another_result(world, **fields))


class TestAudit:
    def test_a_round_that_is_right(self, world):
        fed, sealed, _, _ = world
        said = run("audit", "record", "--root", "root", "--json", "report")
        lines = plain(said.stdout)
        assert f"round 1 of {AGGREGATOR_NAME.decode()}: 3 ciphertexts" in lines
        assert lines.count("right") == 9
        assert f"convicted: {fed.pids[3].hex()} signed a share that its own manifest refutes" in lines
        assert said.stderr == ""
        report = json.loads(Path("report").read_text())
        assert report["right"]
        assert (report["contributors"], report["signers"]) == (3, [1, 2, 3, 4])
        assert report["convictions"] == {fed.pids[3].hex(): "share"}
        assert report["findings"] == []
        assert report["header"] == sealed.header.hash.hex()

    def test_without_a_result_it_says_so(self):
        said = run("audit", "record", "--root", "root", "--json", "report")
        assert "nobody's result was compared with the one in the record" in plain(said.stdout)
        assert json.loads(Path("report").read_text())["compared"] is False

    def test_with_a_result_it_says_what_was_agreed(self, world):
        header = world[1].header
        result = RoundResult.from_bytes(result_of(world), header)
        expected = ("--result", "result", "--header-hash", header.hash.hex().upper())
        said = run("audit", "record", "--root", "root", *expected, "--json", "report")
        lines = plain(said.stdout)
        assert "nobody" not in lines
        assert lines.count("right") == 11
        digests = {
            "header": header.hash.hex(),
            "set_root": result.agreed.root.hex(),
            "sum_digest": result.agreed.sum_digest.hex(),
            "mean_digest": hashlib.sha256(result.mean.tobytes()).hexdigest(),
            "result_digest": hashlib.sha256(result_of(world)).hexdigest(),
        }
        names = (AGGREGATOR_NAME, *(member.name for member in header.members))
        report = json.loads(Path("report").read_text())
        assert {name: report[name] for name in digests} == digests
        assert (report["compared"], report["count"], report["round_number"]) == (True, 3, 1)
        assert [report["aggregator"], *report["members"]] == [name.decode() for name in names]
        assert report["epoch"] == header.epoch.decode()
        for text in (*digests.values(), *(name.decode() for name in names)):
            assert text in said.stdout.replace("\n", " ")

    def test_another_result_than_the_one_in_the_record(self, world):
        got = RoundResult.from_bytes(result_of(world), world[1].header)
        Path("result").write_bytes(another_result(world, mean=got.mean / 2))
        said = run("audit", "record", "--root", "root", "--result", "result", code=1)
        assert "AuditError: audit: result: not the one that was got (another mean)" in plain(said.stderr)
        assert "wrong: another mean" in plain(said.stdout)
        assert "nobody" not in plain(said.stdout)

    def test_another_round_than_the_expected_one(self, world):
        said = run("audit", "record", "--root", "root", "--header-hash", "00" * 32, code=1)
        assert "header: not the round that was expected" in plain(said.stderr)
        assert world[1].header.hash.hex() in said.stderr.replace("\n", "")
        for wrong in ("00" * 31, "00" * 33, "zz" * 32, "", "0x" + "00" * 31):
            assert "64 hexadecimal digits" in plain(
                run("audit", "record", "--root", "root", "--header-hash", wrong, code=2).stderr
            )

    @pytest.mark.parametrize("taken", ["record", "result", "root", "./record", "link"])
    def test_the_report_takes_no_inputs_place(self, taken):
        Path("link").symlink_to("record")
        before = {name: Path(name).read_bytes() for name in ("record", "result", "root")}
        said = run("audit", "record", "--root", "root", "--result", "result", "--json", taken, code=2)
        assert "is the file of" in plain(said.stderr)
        assert {name: Path(name).read_bytes() for name in before} == before
        said = run("judge", "conviction", "--root", "root", "--json", "conviction", code=2)
        assert "is the file of" in plain(said.stderr)

    def test_quiet_says_nothing_and_json_may_go_to_stdout(self):
        said = run("audit", "record", "--root", "root", "--quiet")
        assert (said.stdout, said.stderr) == ("", "")
        said = run("audit", "record", "--root", "root", "--json", "-")
        assert json.loads(said.stdout)["right"]
        assert "right" in plain(said.stderr)

    def test_what_is_wrong_is_told_and_ends_with_1(self, world):
        agreed = RoundResult.from_bytes(result_of(world), world[1].header)
        Path("record").write_bytes(changed(world, agreed=replace(agreed.agreed, sum_digest=bytes(32))))
        said = run("audit", "record", "--root", "root", "--json", "report", code=1)
        assert "AuditError: audit: result: a quorum of members did not sign this set and sum" in said.stderr
        assert "and 1 more" in said.stderr
        assert "hint: keep the record" in plain(said.stderr)
        assert plain(said.stdout).count("wrong:") == 2
        assert plain(said.stdout).count("not looked at") == 1
        report = json.loads(Path("report").read_text())
        assert not report["right"]
        assert [found["fault"] for found in report["findings"]] == ["members", "sum"]

    def test_another_mean(self, world):
        Path("record").write_bytes(changed(world, total_weight=4))
        said = run("audit", "record", "--root", "root", code=1)
        assert "mean: the sum gives another one (sum of weights 98301, not 4)" in plain(said.stderr)

    def test_a_result_that_nobody_signed(self, world):
        Path("record").write_bytes(with_result(world, result_of(world)[:-1]))
        said = run("audit", "record", "--root", "root", code=1)
        assert plain(said.stdout).count("not looked at") == 5
        assert "set root" not in said.stdout

    def test_what_is_no_record(self, world):
        Path("record").write_bytes(world[2][:-1])
        assert "audit record: cut short" in run("audit", "record", "--root", "root", code=1).stderr
        assert "DecodeError" in run("audit", "root", "--root", "root", code=1).stderr
        assert "No such file" in run("audit", "nothing", "--root", "root", code=1).stderr

    def test_the_root_key(self):
        assert "no issuer's root key" in run("audit", "record", code=1).stderr
        assert "DecodeError" in run("audit", "record", "--root", "record", code=1).stderr
        assert "Error" in run("audit", "record", "--root", "other", code=1).stderr
        pinned = CliRunner().invoke(app, ["trust", "root", "root"], prog_name="sottovoce")
        assert pinned.exit_code == 0, pinned.stderr
        assert "right" in plain(run("audit", "record").stdout)


class TestJudge:
    def test_a_conviction(self, world):
        fed, _, _, _ = world
        said = run("judge", "conviction", "--root", "root", "--json", "verdict")
        lines = plain(said.stdout)
        assert f"pid {fed.pids[3].hex()}" in lines
        assert "of: signed a share that its own manifest refutes" in lines
        assert "sent to: member 2, committee member number 2" in lines
        verdict = json.loads(Path("verdict").read_text())
        assert (verdict["fault"], verdict["member"], verdict["round_number"]) == ("share", 2, 1)

    def test_what_does_not_convict(self, world):
        data = bytearray(world[3])
        data[data.index(b"SOTTOVOCE-V1-CONVICTION") + 24 + 36 + 12 + 400] ^= 1  # in the body of the packet
        Path("conviction").write_bytes(bytes(data))
        said = run("judge", "conviction", "--root", "root", code=1)
        assert "conviction: does not hold" in said.stderr
        assert "DecodeError" in run("judge", "record", "--root", "root", code=1).stderr
        Path("conviction").write_bytes(world[3] + bytes(1 << 19))
        assert "DecodeError" in run("judge", "conviction", "--root", "root", code=1).stderr
        Path("conviction").write_bytes(world[3])
        assert "Error" in run("judge", "conviction", "--root", "other", code=1).stderr
