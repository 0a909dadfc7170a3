"""``client submit`` and ``client result`` once more: the same bytes, kept no longer than needed."""

import inspect

import numpy as np
import pytest

from sottovoce.cli.client import sending
from sottovoce.cli.console import Refused
from sottovoce.cli.passphrase import Passphrase
from sottovoce.fl import Client, SqliteOutbox
from sottovoce.fl.http import Delivery, TransportError
from support.fl_federation import MODEL, NOW, finish, update_of


class Wire:
    """Stands in for the courier: what was sent, and what is answered."""

    def __init__(self):
        self.header_bytes, self.published, self.sent = b"", None, []

    def __call__(self, source, tls=None):
        return self

    async def header(self, *, wait_s=0.0, after=-1):
        return self.header_bytes

    async def deliver(self, sealed, relays, **options):
        self.sent.append(sealed.packet)
        return Delivery(3, 2, {})

    async def result(self, header, *, wait_s=0.0):
        if self.published is None:
            raise TransportError("no such result", status=404)
        return self.published


@pytest.fixture
def wire(fed, sealed4, tmp_path, monkeypatch):
    wire = Wire()
    wire.header_bytes = sealed4.signed
    monkeypatch.setattr(sending, "Courier", wire)
    trust = fed.trust()
    monkeypatch.setattr(
        sending,
        "_client",
        lambda ring, secret, label, policy, outbox: (
            Client(fed.client_keys[5], trust, fed.policy(), outbox=outbox, clock=lambda: NOW),
            trust,
        ),
    )
    np.savez(tmp_path / "model.npz", *MODEL)
    np.savez(tmp_path / "update.npz", *update_of(5))
    return wire


def call(command, tmp_path, **options):
    """One of the commands; what is not said is not given."""
    shared = {
        "passphrase": Passphrase(None, None), "source": "http://relay", "outbox": tmp_path / "outbox",
        "policy_file": tmp_path / "policy.toml", "header_file": str(tmp_path / "round.header"), "wait_s": 0,
    }  # fmt: skip
    command(**dict.fromkeys(inspect.signature(command).parameters) | shared | options)


def submit(tmp_path, **changed):
    options = {
        "update_file": str(tmp_path / "update.npz"), "model_file": str(tmp_path / "model.npz"), "relays": [],
        "patience_s": 1, "spread_s": 0, "force": False,
    }  # fmt: skip
    call(sending.submit, tmp_path, **options | changed)


def result(tmp_path):
    call(sending.result, tmp_path, target=str(tmp_path / "mean.npz"), force=True)


def kept(tmp_path, sealed4):
    with SqliteOutbox(tmp_path / "outbox" / "outbox.sqlite") as outbox:
        return outbox.find(sealed4.header.hash)


def test_the_same_command_again_sends_the_same_bytes(wire, tmp_path):
    for _ in range(3):
        submit(tmp_path)
    assert len(wire.sent) == 3
    assert len(set(wire.sent)) == 1


def test_the_header_of_another_round_is_not_replaced_and_nothing_is_sent(fed, wire, sealed, tmp_path):
    submit(tmp_path)
    before = (tmp_path / "round.header").read_bytes()
    wire.header_bytes = sealed.signed
    with pytest.raises(Refused, match="there already"):
        submit(tmp_path)
    (tmp_path / "other").write_text("something else")
    with pytest.raises(Refused, match="there already"):
        submit(tmp_path, header_file=str(tmp_path / "other"))
    assert (tmp_path / "round.header").read_bytes() == before
    assert (tmp_path / "other").read_text() == "something else"
    assert len(wire.sent) == 1


def test_a_packet_goes_when_its_result_was_read_and_stays_known(wire, sealed4, tmp_path):
    submit(tmp_path)
    with pytest.raises(TransportError):
        result(tmp_path)  # there is none yet: the packet may have to be sent again
    assert kept(tmp_path, sealed4).packet == wire.sent[0]
    aggregator = sealed4.aggregator([*sealed4.packets, wire.sent[0]])
    opened = finish(aggregator, sealed4.members(), sealed4.signed)
    good = aggregator.publish(opened)
    wire.published = good[:-1]
    with pytest.raises(Exception, match=r"message|result"):
        result(tmp_path)
    assert kept(tmp_path, sealed4).packet
    wire.published = good
    for _ in range(2):  # the second time without the packet
        result(tmp_path)
        assert kept(tmp_path, sealed4).packet == b""
    assert len(list((tmp_path / "outbox").glob("*.spool/*"))) == 0
    assert (tmp_path / "mean.npz").exists()


def test_a_packet_goes_after_the_audit_deadline_though_there_is_no_result(
    wire, sealed4, tmp_path, monkeypatch
):
    submit(tmp_path)
    monkeypatch.setattr(sending.time, "time", lambda: sealed4.header.audit_deadline + 1)
    with pytest.raises(TransportError):
        result(tmp_path)
    assert kept(tmp_path, sealed4).packet == b""
