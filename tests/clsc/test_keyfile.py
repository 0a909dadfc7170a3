"""Key files: what they hold, what the file system sees of them, and what an error tells."""

import errno
import os
import stat
import threading

import pytest

from sottovoce._ext import limits, sealed
from sottovoce._ext.errors import DecodeError, KeyFileError, ParameterError
from sottovoce.clsc import (
    AdmissionKey,
    BlindRequest,
    IdentityRequest,
    Issuer,
    MasterKey,
    MasterShare,
    Mode,
    RootKey,
    SecretKey,
    TraceableRequest,
    TracingKey,
    Usage,
    deal_bls,
    dealer,
    keybody,
    keyfile,
    sign,
    verify,
)
from support.clsc_world import NOT_AFTER, NOT_BEFORE, World, issue_identity

PASSPHRASE = b"correct horse battery staple"
CHEAP = sealed.Cost(memory_kib=16, passes=1, lanes=1)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """One guess costs what a test can pay."""
    monkeypatch.setattr(sealed, "COST", CHEAP)


@pytest.fixture(scope="module")
def kinds(world):
    params, token = world.params, b"t" * 32
    shares = dealer.deal(
        RootKey.generate(), Mode.BLIND, b"shared", not_before=NOT_BEFORE, not_after=NOT_AFTER,
        threshold=3, servers=5,
    )  # fmt: skip
    return {
        "root": world.root,
        "master": world.master[Mode.BLIND],
        "share": shares[4],
        "secret": world.signer("somebody"),
        "pseudonym": world.signer("somebody", Mode.BLIND),
        "identity request": IdentityRequest(params[Mode.IDENTITY], Usage.SIGN, b"somebody", token),
        "traceable request": TraceableRequest(params[Mode.TRACEABLE], Usage.SIGN, world.signer("somebody")),
        "tracing": TracingKey.generate(),
        "admission": AdmissionKey.generate(),
        "BLS share": deal_bls(2, 3)[1],
        "blind request": BlindRequest(params[Mode.BLIND], Usage.DECRYPT, token),
    }


@pytest.fixture
def key(world):
    return world.signer("somebody")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "my.key"


def names(folder):
    return sorted(p.name for p in folder.iterdir())


# -- what they hold -------------------------------------------------------------------------------


def test_every_kind_comes_back(kinds, tmp_path):
    for name, key in kinds.items():
        keyfile.save_key(tmp_path / name, key, PASSPHRASE)
        back = keyfile.load_key(tmp_path / name, PASSPHRASE, type(key))
        assert type(back) is type(key)
        assert back is not key
        assert keybody.encode(back) == keybody.encode(key)


def test_a_loaded_key_signs(key, path):
    keyfile.save_key(path, key, PASSPHRASE)
    back = keyfile.load_key(path, PASSPHRASE, SecretKey)
    verify(key.public_key, b"text", sign(back, b"text"))
    assert back.public_key == key.public_key


def test_loaded_root_and_master_key_issue(path, tmp_path):
    root = RootKey.generate()
    keyfile.save_key(path, root, PASSPHRASE)
    root = keyfile.load_key(path, PASSPHRASE, RootKey)
    times = {"not_before": NOT_BEFORE, "not_after": NOT_AFTER}
    master = MasterKey.generate(root, Mode.IDENTITY, b"epoch", **times)
    keyfile.save_key(tmp_path / "master", master, PASSPHRASE)
    master = keyfile.load_key(tmp_path / "master", PASSPHRASE, MasterKey)
    assert master.params.root_public_key == root.public_key
    alice = issue_identity(Issuer(master), "alice")
    verify(alice.public_key, b"text", sign(alice, b"text"))


def test_a_request_waits_in_a_file_for_its_answer(path, tmp_path):
    world = World("waiting")
    issuer = Issuer(world.master[Mode.IDENTITY])
    ask = IdentityRequest(issuer.params, Usage.SIGN, b"alice", issuer.enrol("alice"))
    answer = issuer.issue("alice", ask.to_bytes(issuer.challenge()))
    keyfile.save_key(path, ask, PASSPHRASE)
    assert keyfile.load_key(path, PASSPHRASE, IdentityRequest).finish(answer).identity == b"alice"

    issuer = Issuer(world.master[Mode.BLIND])
    ask = BlindRequest(issuer.params, Usage.SIGN, issuer.enrol("alice"))
    answer = issuer.issue("alice", ask.to_bytes())
    keyfile.save_key(tmp_path / "blind", ask, PASSPHRASE)
    back = keyfile.load_key(tmp_path / "blind", PASSPHRASE, BlindRequest)
    assert back.to_bytes() == ask.to_bytes()  # the same B: no second unit of quota
    assert back.finish(answer).params.mode is Mode.BLIND


def test_another_kind_than_expected_is_named(key, path):
    keyfile.save_key(path, key, PASSPHRASE)
    with pytest.raises(ParameterError, match="holds a SecretKey, expected a RootKey"):
        keyfile.load_key(path, PASSPHRASE, RootKey)
    with pytest.raises(ParameterError, match="holds a SecretKey, expected a MasterShare"):
        keyfile.load_key_bytes(path.read_bytes(), PASSPHRASE, MasterShare)


def test_the_cost_that_is_written_is_the_one_of_the_rfc(key, monkeypatch):
    """RFC 9106 section 4, second recommended choice; if this changes, so does the documentation."""
    monkeypatch.undo()
    data = keyfile.dump_key(key, PASSPHRASE)
    assert data[4:12] == bytes([1, 4, 0, 3]) + (64 << 10).to_bytes(4, "big")
    assert keyfile.load_key_bytes(data, PASSPHRASE).public_key == key.public_key


# -- what is seen without the passphrase ----------------------------------------------------------


def test_nothing_in_clear_tells_whose_it_is_or_what(kinds, world):
    # A public key of the signer with its parameters is in there, too; the share has many servers.
    two_blocks = ("traceable request", "share")
    files = {name: keyfile.dump_key(key, PASSPHRASE) for name, key in kinds.items() if name not in two_blocks}
    assert {len(data) for data in files.values()} == {44 + 32 + 1024 + 16}
    assert len({data[:12] for data in files.values()}) == 1
    for key, data in zip(kinds.values(), files.values(), strict=False):
        for part in (b"somebody", world.root.public_key, *(p.params_id for p in world.params.values())):
            assert part not in data
        assert keybody.encode(key)[:64] not in data


def test_the_same_key_twice_has_nothing_in_common(key):
    first, second = (keyfile.dump_key(key, PASSPHRASE) for _ in range(2))
    assert first[:12] == second[:12]
    assert not any(first[i : i + 8] in second for i in range(12, len(first) - 8))


def test_every_single_bit_counts(key):
    data = keyfile.dump_key(key, PASSPHRASE)
    seen = set()
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]
        with pytest.raises((DecodeError, KeyFileError)) as caught:
            # Bits of the cost are held against a small limit, so that this ends soon.
            keyfile.load_key_bytes(changed, PASSPHRASE)
        seen.add((type(caught.value), at < 12))
    assert seen == {(DecodeError, True), (KeyFileError, True), (KeyFileError, False)}


def test_wrong_passphrase_and_altered_file_cannot_be_told_apart(key):
    data = keyfile.dump_key(key, PASSPHRASE)
    told = set()
    for given, passphrase in (
        (data, PASSPHRASE + b" "),
        (data[:20] + bytes(4) + data[24:], PASSPHRASE),
        (data[:50] + bytes(4) + data[54:], PASSPHRASE),
        (data[:-1] + bytes([data[-1] ^ 1]), PASSPHRASE),
        (sealed.seal(b"not a key", PASSPHRASE, CHEAP, os.urandom), PASSPHRASE),
    ):
        with pytest.raises(KeyFileError) as caught:
            keyfile.load_key_bytes(given, passphrase)
        assert caught.value.__cause__ is caught.value.__context__ is None
        told.add((type(caught.value), str(caught.value)))
    assert len(told) == 1


def test_a_file_does_not_open_under_two_passphrases(key):
    """GCM alone does not commit to its key; the commitment is looked at before anything is decrypted."""
    data = keyfile.dump_key(key, PASSPHRASE)
    other = b"another one"
    com, aead = sealed._derive(data[:44], CHEAP, other)
    body = keybody.encode(key)
    plain = (len(body).to_bytes(4, "big") + body).ljust(1024, b"\0")
    forged = data[:76] + aead.encrypt(bytes(12), plain, data[:76])
    with pytest.raises(KeyFileError):
        keyfile.load_key_bytes(forged, other)
    assert com != data[44:76]


@pytest.mark.parametrize(
    ("lanes", "passes", "memory_kib"),
    [
        (limits.MAX_KEYFILE_LANES + 1, 1, 1 << 16),
        (1, limits.MAX_KEYFILE_PASSES + 1, 1 << 16),
        (1, 1, limits.MAX_KEYFILE_MEMORY_KIB + 1),
        (255, 0xFFFF, 0xFFFFFFFF),
        (0, 1, 1 << 16),
        (1, 0, 1 << 16),
        (2, 1, 15),
    ],
)
def test_a_cost_out_of_bounds_is_refused_before_it_is_paid(lanes, passes, memory_kib, key, monkeypatch):
    data = keyfile.dump_key(key, PASSPHRASE)
    monkeypatch.setattr(sealed, "Argon2id", None)
    header = data[:5] + bytes([lanes]) + passes.to_bytes(2, "big") + memory_kib.to_bytes(4, "big")
    with pytest.raises(DecodeError, match="too much or too little"):
        keyfile.load_key_bytes(header + data[12:], PASSPHRASE)


def test_want_of_memory_is_told_as_such(key, monkeypatch):
    class Greedy:
        def __init__(self, **_):
            pass

        def derive(self, passphrase):
            raise MemoryError

    data = keyfile.dump_key(key, PASSPHRASE)
    monkeypatch.setattr(sealed, "Argon2id", Greedy)
    for call in (lambda: keyfile.load_key_bytes(data, PASSPHRASE), lambda: keyfile.dump_key(key, PASSPHRASE)):
        with pytest.raises(MemoryError, match="key derivation takes"):
            call()


@pytest.mark.parametrize(
    "data",
    [b"", b"S", b"SVS\x01" + bytes(1100), b"-----BEGIN SOTTOVOCE", bytes(44 + 32 + 16 + (1 << 16))],
    ids=["empty", "one byte", "a packet", "armour", "long"],
)
def test_what_is_no_key_file_is_told_as_such(data):
    with pytest.raises(DecodeError, match="key file"):
        keyfile.load_key_bytes(data, PASSPHRASE)


def test_a_file_longer_than_any_key_is_refused(key):
    data = keyfile.dump_key(key, PASSPHRASE)
    with pytest.raises(DecodeError, match="length"):
        keyfile.load_key_bytes(data + bytes(1 << 16), PASSPHRASE)


def test_the_longest_key_fits(world):
    """64 servers have the longest parameters; the limit on files leaves room for them."""
    (share, *_) = dealer.deal(
        RootKey.generate(), Mode.TRACEABLE, b"e" * 64, not_before=0, not_after=1,
        threshold=33, servers=64,
    )  # fmt: skip
    data = keyfile.dump_key(share, PASSPHRASE)
    assert len(data) < limits.MAX_KEYFILE_BYTES // 4
    assert keyfile.load_key_bytes(data, PASSPHRASE, MasterShare).index == 1


@pytest.mark.parametrize("passphrase", [b"", b"p" * (limits.MAX_PASSPHRASE_BYTES + 1)])
def test_no_passphrase_and_an_endless_one_are_refused(passphrase, key, path):
    data = keyfile.dump_key(key, PASSPHRASE)
    for call in (
        lambda: keyfile.dump_key(key, passphrase),
        lambda: keyfile.save_key(path, key, passphrase),
        lambda: keyfile.load_key_bytes(data, passphrase),
    ):
        with pytest.raises(ParameterError, match="passphrase"):
            call()
    assert not path.exists()


def test_wrong_types(key, path):
    data = keyfile.dump_key(key, PASSPHRASE)
    for call in (
        lambda: keyfile.dump_key(key, "text"),
        lambda: keyfile.dump_key(b"bytes", PASSPHRASE),
        lambda: keyfile.dump_key(key.public_key, PASSPHRASE),
        lambda: keyfile.save_key(path, key, None),
        lambda: keyfile.load_key_bytes(bytearray(data), PASSPHRASE),
        lambda: keyfile.load_key_bytes(data, "text"),
    ):
        with pytest.raises(TypeError, match="expected, got"):
            call()
    assert not path.exists()


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o377], ids=oct)
def test_a_new_file_is_for_its_owner_whatever_the_umask(mask, key, path):
    before = os.umask(mask)
    try:
        keyfile.save_key(path, key, PASSPHRASE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_nlink == 1
    assert names(path.parent) == ["my.key"]


@pytest.mark.parametrize("what", ["file", "folder", "link", "dangling link"])
def test_nothing_is_overwritten_and_no_link_followed(what, key, path):
    target = path.with_name("target")
    if what == "file":
        path.write_bytes(b"precious")
    elif what == "folder":
        path.mkdir()
    else:
        if what == "link":
            target.write_bytes(b"precious")
        path.symlink_to(target)
    before = names(path.parent)
    with pytest.raises(FileExistsError) as caught:
        keyfile.save_key(path, key, PASSPHRASE)
    assert caught.value.filename == str(path)
    assert names(path.parent) == before
    assert target.exists() == (what == "link")
    if what in ("file", "link"):
        assert path.read_bytes() == b"precious"


def test_of_two_writers_at_a_time_one_wins(key, path):
    others = [World(f"writer {i}").root for i in range(8)]
    start, done = threading.Barrier(len(others)), []

    def write(root):
        start.wait()
        try:
            keyfile.save_key(path, root, PASSPHRASE)
            done.append(root.public_key)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=write, args=[root]) for root in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [keyfile.load_key(path, PASSPHRASE).public_key] == done
    assert names(path.parent) == ["my.key"]


@pytest.mark.parametrize("step", ["write", "fsync", "link"])
def test_a_failing_disk_leaves_nothing(step, key, path, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "write":
        real = os.open
        # A descriptor that cannot be written to: the first write fails.
        monkeypatch.setattr(
            os, "open", lambda name, flags, mode=0o600: real(name, flags & ~os.O_WRONLY, mode)
        )
    else:
        monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError):
        keyfile.save_key(path, key, PASSPHRASE)
    monkeypatch.undo()
    assert names(path.parent) == []


def test_the_file_is_on_the_disk_before_it_has_its_name(key, path, monkeypatch):
    steps = []
    for name in ("fsync", "link"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, _n=name, _r=real, **k: (steps.append(_n), _r(*a, **k))[1])
    keyfile.save_key(path, key, PASSPHRASE)
    assert steps == ["fsync", "link", "fsync"]  # content, name, folder


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644, 0o666])
def test_a_file_open_to_others_is_refused(mode, key, path):
    keyfile.save_key(path, key, PASSPHRASE)
    path.chmod(mode)
    with pytest.raises(PermissionError, match="chmod 600") as caught:
        keyfile.load_key(path, PASSPHRASE)
    assert caught.value.filename == str(path)
    path.chmod(0o400)
    assert keyfile.load_key(path, PASSPHRASE).public_key == key.public_key


def test_what_is_there_must_be_a_file(tmp_path, path):
    with pytest.raises(FileNotFoundError):
        keyfile.load_key(path, PASSPHRASE)
    with pytest.raises((DecodeError, IsADirectoryError)):
        keyfile.load_key(tmp_path, PASSPHRASE)
    os.mkfifo(path, 0o600)
    with pytest.raises(DecodeError, match="regular"):  # and is not waited for
        keyfile.load_key(path, PASSPHRASE)
    path.unlink()
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.truncate(1 << 40)
    with pytest.raises(DecodeError, match="not a key file"):  # and not read to its end
        keyfile.load_key(path, PASSPHRASE)
