"""``sottovoce he``: what sets offer, keys, files of arrays there and back, and what is refused."""

import io
import json
import re
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sottovoce import he
from sottovoce._ext import cbor, sealed
from sottovoce._ext.errors import DecodeError
from sottovoce.cli.app import app
from sottovoce.cli.he import commands, container, sizes
from sottovoce.he import ModelLayout, fitting, load_key, rlwe
from sottovoce.he._paillier_params import KEY_BITS
from support.cli_session import plain
from support.terminal import Terminal

PASSPHRASE = b"nobody hears a word"
SMALL = "RLWE_128_N2048_Q50"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sealed, "COST", sealed.Cost(memory_kib=64, passes=1, lanes=1))
    monkeypatch.chdir(tmp_path)
    Path("pw").write_bytes(PASSPHRASE + b"\n")
    return tmp_path


def run(*arguments, code=0):
    words = ["he", *map(str, arguments)]
    if arguments[0] in ("keygen", "decrypt"):
        words += ["--passphrase-file", "pw"]
    result = CliRunner().invoke(app, words, prog_name="sottovoce")
    assert result.exit_code == code, (result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    assert PASSPHRASE.decode() not in result.stdout + result.stderr
    return result


def model(seed, dtypes=(np.float32, np.float16, np.float64)):
    rng = np.random.default_rng(seed)
    shapes = ((20, 31), (7,), (3, 1, 2))
    return {
        f"layer{i}.w": rng.normal(0, 0.3, s).astype(d)
        for i, (s, d) in enumerate(zip(shapes, dtypes, strict=True))
    }


@pytest.fixture
def keys(folder):
    run("keygen", "-o", "secret", "--public", "public", "--set", SMALL)
    return "public", "secret"


# -- there and back -------------------------------------------------------------------------------


def test_the_mean_of_three_models_comes_back_with_names_shapes_and_dtypes(keys):
    models = [model(i) for i in range(3)]
    for i, arrays in enumerate(models):
        np.savez(f"m{i}.npz", **arrays)
        run("encrypt", f"m{i}.npz", "--to", "public", "--clip", 1, "-o", f"m{i}.svh")
    run("add", "m0.svh", "m1.svh", "m2.svh", "--to", "public", "-o", "sum.svh")
    said = run("decrypt", "sum.svh", "--key", "secret", "-o", "mean.npz", "--json", "-")
    told = json.loads(said.stdout)
    assert (told["clients"], told["weight_sum"], told["full_weight"]) == (3, 3 * 32767, 32767)
    assert "mean of 3 in mean.npz" in said.stderr
    with np.load("mean.npz") as mean:
        assert mean.files == list(models[0])
        for name in mean.files:
            arrays = [m[name] for m in models]
            assert mean[name].dtype == arrays[0].dtype
            exact = np.mean(np.clip([a.astype(float) for a in arrays], -1, 1), axis=0)
            step = 1 / 32767 + (1e-3 if mean[name].dtype == np.float16 else 0)
            assert np.abs(mean[name].astype(float) - exact).max() < step


def test_sums_add_up_in_any_grouping_to_the_same_arrays(keys):
    for i in range(3):
        np.save(f"m{i}.npy", model(i)["layer0.w"])
        run("encrypt", f"m{i}.npy", "--to", "public", "--clip", 1, "--clients", 8, "-o", f"m{i}.svh")
    run("add", "m0.svh", "m1.svh", "--to", "public", "-o", "part.svh")
    run("add", "part.svh", "m2.svh", "--to", "public", "-o", "sum.svh")
    run("add", "m2.svh", "m0.svh", "m1.svh", "--to", "public", "-o", "other.svh")
    assert Path("sum.svh").read_bytes() == Path("other.svh").read_bytes()
    run("decrypt", "sum.svh", "--key", "secret", "-o", "sum.npy", "--sum")
    exact = sum(np.clip(np.load(f"m{i}.npy").astype(float), -1, 1) for i in range(3))
    assert np.abs(np.load("sum.npy") - exact).max() < 3 / 32767 + 1e-6


def test_weights_by_examples(keys):
    for i, examples in enumerate((10, 30)):
        np.save("m.npy", np.full(5, float(i)))
        run(
            "encrypt", "m.npy", "--to", "public", "--clip", 1, "--nearest", "--examples", examples,
            "--max-examples", 100, "-o", f"m{i}.svh",
        )  # fmt: skip
    run("add", "m0.svh", "m1.svh", "--to", "public", "-o", "sum.svh")
    run("decrypt", "sum.svh", "--key", "secret", "-o", "mean.npy")
    assert np.allclose(np.load("mean.npy"), 0.75, atol=1e-3)


def test_paillier_does_the_same(folder):
    run("keygen", "-o", "secret", "--public", "public", "--scheme", "paillier", "--key-bits", 2048)
    for i in range(2):
        np.save(f"m{i}.npy", model(i)["layer1.w"].astype(np.float32))
        run("encrypt", f"m{i}.npy", "--to", "public", "--clip", 1, "--nearest", "-o", f"m{i}.svh")
    run("add", "m0.svh", "m1.svh", "--to", "public", "-o", "sum.svh")
    run("decrypt", "sum.svh", "--key", "secret", "-o", "mean.npy")
    exact = np.mean([np.clip(np.load(f"m{i}.npy"), -1, 1) for i in range(2)], axis=0)
    assert np.abs(np.load("mean.npy") - exact).max() < 1 / 32767
    # Blinded again before it leaves: nobody who knows the summands recognises the sum.
    first = Path("sum.svh").read_bytes()
    run("add", "m0.svh", "m1.svh", "--to", "public", "-o", "sum.svh", "--force")
    assert Path("sum.svh").read_bytes() != first


def test_a_key_pair_is_a_private_file_and_a_text(keys):
    assert stat.S_IMODE(Path("secret").stat().st_mode) == 0o600
    text = Path("public").read_text()
    assert text.startswith("-----BEGIN SOTTOVOCE HE PUBLIC KEY-----\n")
    key = load_key("secret", PASSPHRASE, rlwe.SecretKey)
    assert key.set == SMALL
    told = json.loads(run("keygen", "-o", "other", "--public", "p2", "--json", "-").stdout)
    assert told["scheme"] == "rlwe"
    assert told["key"] == load_key("other", PASSPHRASE).public_key.key_id.hex()
    # The text goes to stdout without --public.
    assert run("keygen", "-o", "third", "--set", SMALL).stdout.startswith(
        "-----BEGIN SOTTOVOCE HE PUBLIC KEY"
    )


def test_a_result_can_go_through_a_pipe(keys, capfdbinary):
    np.save("m.npy", np.zeros(3))
    run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh")
    piped = CliRunner().invoke(
        app, ["he", "add", "-", "--to", "public", "-o", "s.svh"], input=Path("m.svh").read_bytes()
    )
    assert piped.exit_code == 0, piped.stderr
    run("decrypt", "s.svh", "--key", "secret", "-o", "m2.npy")
    assert not np.load("m2.npy").any()


def test_arrays_can_come_through_a_pipe(keys):
    np.save("m.npy", np.full(3, 0.5))
    np.savez("m.npz", a=np.full(3, 0.5))
    for kind in ("npy", "npz"):
        piped = CliRunner().invoke(
            app, ["he", "encrypt", "-", "--to", "public", "--clip", "1", "--nearest", "-o", f"{kind}.svh"],
            input=Path(f"m.{kind}").read_bytes(),
        )  # fmt: skip
        assert piped.exit_code == 0, piped.stderr
        run("decrypt", f"{kind}.svh", "--key", "secret", "-o", f"x.{kind}")
    assert np.allclose(np.load("x.npy"), 0.5, atol=1e-4)
    with np.load("x.npz") as found:
        assert np.allclose(found["a"], 0.5, atol=1e-4)


# -- refused --------------------------------------------------------------------------------------


def test_nothing_is_overwritten_unasked(keys):
    np.save("m.npy", np.zeros(3))
    Path("m.svh").write_bytes(b"mine")
    assert (
        "is there already"
        in run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh", code=1).stderr
    )
    assert Path("m.svh").read_bytes() == b"mine"
    run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh", "--force")
    assert "is there already" in run("keygen", "-o", "secret", "--public", "p2", code=1).stderr
    assert not Path("p2").exists()
    Path("mean.npy").write_bytes(b"mine")
    assert "is there already" in run("decrypt", "m.svh", "--key", "secret", "-o", "mean.npy", code=1).stderr


def test_files_of_other_kinds_are_named_and_leave_nothing(keys):
    np.save("m.npy", np.zeros(3))
    np.save("n.npy", np.zeros(4))
    run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh")
    run("encrypt", "m.npy", "--to", "public", "--clip", 2, "-o", "clip.svh")
    run("encrypt", "n.npy", "--to", "public", "--clip", 1, "-o", "shape.svh")
    run("keygen", "-o", "secret2", "--public", "public2", "--set", SMALL)
    run("encrypt", "m.npy", "--to", "public2", "--clip", 1, "-o", "key.svh")
    for name, what in (("clip.svh", "clip"), ("shape.svh", "layout"), ("key.svh", "key")):
        said = run("add", "m.svh", name, "--to", "public", "-o", "sum.svh", code=1).stderr
        assert f"{name} is of another kind than m.svh: {what}" in plain(said)
        assert not Path("sum.svh").exists()
    assert "is encrypted to key" in run("add", "key.svh", "--to", "public", "-o", "sum.svh", code=1).stderr
    said = run("decrypt", "m.svh", "--key", "secret2", "-o", "x.npy", code=1).stderr
    assert "is encrypted to key" in said
    assert not Path("x.npy").exists()


def test_a_cut_or_changed_file_is_refused_and_named(keys):
    np.save("m.npy", np.zeros(3))
    run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh")
    good = Path("m.svh").read_bytes()
    for bad in (good[:-1], good + b"\0", good[:3], b"", b"SVH\x02" + good[4:], b"PK" + good[2:], good[:9]):
        Path("bad.svh").write_bytes(bad)
        for command in (
            ("add", "m.svh", "bad.svh", "--to", "public", "-o", "sum.svh"),
            ("decrypt", "bad.svh", "--key", "secret", "-o", "x.npy"),
        ):
            assert "bad.svh: " in run(*command, code=1).stderr
            assert not Path("sum.svh").exists()
            assert not Path("x.npy").exists()


def test_a_header_that_says_to_be_longer_than_the_file_is_refused():
    """Found by fuzzing: what there was of it was read, as if its length had been right."""
    layout = ModelLayout.of([np.zeros(3)]).to_bytes()
    data = container.Header("rlwe", bytes(16), 1.0, 16, 8, 0, layout, None).to_bytes()
    assert container.read_header(io.BytesIO(data), "m").to_bytes() == data
    longer = data[:4] + (len(data) - 8 + 1).to_bytes(4, "big") + data[8:]
    with pytest.raises(DecodeError, match="m: cut in its header"):
        container.read_header(io.BytesIO(longer), "m")


def test_more_than_declared_cannot_be_added(keys):
    np.save("m.npy", np.zeros(3))
    for name in ("m.svh", "n.svh"):
        run("encrypt", "m.npy", "--to", "public", "--clip", 1, "--clients", 2, "-o", name)
    run("add", "m.svh", "n.svh", "--to", "public", "-o", "two.svh")
    assert "RangeError" in run("add", "two.svh", "m.svh", "--to", "public", "-o", "three.svh", code=1).stderr


def test_a_file_counts_once(keys):
    np.save("m.npy", np.zeros(3))
    run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh")
    Path("link.svh").symlink_to("m.svh")
    for again in ("m.svh", "./m.svh", "link.svh"):
        said = run("add", "m.svh", again, "--to", "public", "-o", "sum.svh", code=1).stderr
        assert f"{again} is named twice" in said
    assert not Path("sum.svh").exists()


def test_keys_stay_also_with_force(keys):
    np.save("m.npy", np.zeros(3))
    run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh")
    before = {name: Path(name).read_bytes() for name in ("public", "secret")}
    Path("link").symlink_to("public")
    for command in (
        ("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "link", "--force"),
        ("add", "m.svh", "--to", "public", "-o", "./public", "--force"),
        ("keygen", "-o", "both", "--public", "./both"),
        ("keygen", "-o", "both", "--public", "p2", "--json", "both"),
        ("keygen", "-o", "both", "--public", "p2", "--json", "p2"),
    ):
        assert "is the file of --" in plain(run(*command, code=2).stderr)
        assert not Path("both").exists()
        assert not Path("p2").exists()
    # Other key files are known by how they begin.
    for command in (
        ("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "secret", "--force"),
        ("keygen", "-o", "both", "--public", "secret", "--force"),
        ("decrypt", "m.svh", "--key", "secret", "-o", "x.npy", "--json", "secret"),
        ("params", "--json", "secret"),
    ):
        assert "is a key file" in plain(run(*command, code=2).stderr)
    assert {name: Path(name).read_bytes() for name in before} == before


def test_a_report_replaces_no_model(keys):
    np.save("m.npy", np.zeros(3))
    run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh")
    before = {name: Path(name).read_bytes() for name in ("public", "m.npy", "m.svh")}
    for command, taken in (
        (("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "n.svh"), ("m.npy", "public", "n.svh")),
        (("add", "m.svh", "--to", "public", "-o", "n.svh"), ("m.svh", "./public", "n.svh")),
        (("decrypt", "m.svh", "--key", "secret", "-o", "n.npy"), ("m.svh", "n.npy")),
    ):
        for name in taken:
            assert "is the file of" in plain(run(*command, "--json", name, code=2).stderr)
    assert not Path("n.svh").exists()
    assert not Path("n.npy").exists()
    assert {name: Path(name).read_bytes() for name in before} == before


def test_what_was_decrypted_is_for_its_owner(keys):
    np.savez("m.npz", a=np.zeros(3))
    run("encrypt", "m.npz", "--to", "public", "--clip", 1, "-o", "m.svh")
    run("decrypt", "m.svh", "--key", "secret", "-o", "x.npz")
    assert stat.S_IMODE(Path("x.npz").stat().st_mode) == 0o600


def test_a_sum_beyond_its_dtype_is_refused(keys):
    np.savez("m.npz", a=np.zeros(2), w=np.array([40000, 1], np.float16))
    for name in ("m.svh", "n.svh"):
        run("encrypt", "m.npz", "--to", "public", "--clip", 50000, "-o", name)
    run("add", "m.svh", "n.svh", "--to", "public", "-o", "sum.svh")
    said = run("decrypt", "sum.svh", "--key", "secret", "--sum", "-o", "x.npz", code=1).stderr
    assert "sum.svh: array 'w', index (0,): not a finite float16 number" in said
    assert not Path("x.npz").exists()
    run("decrypt", "sum.svh", "--key", "secret", "-o", "x.npz")


def test_a_header_that_no_ciphertext_fits_is_refused_with_its_file(keys):
    np.save("m.npy", np.zeros(3))
    run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh")
    data = Path("m.svh").read_bytes()
    end = 8 + int.from_bytes(data[4:8], "big")
    header = cbor.loads(data[8:end])
    huge = cbor.dumps({"version": 1, "arrays": [["float32", [1 << 39]]]})
    large = cbor.dumps({"version": 1, "arrays": [["float32", [1 << 30]]]})
    for change, message in (
        ({"layout": huge}, "n_slots"),
        ({"layout": large}, "bytes expected"),
        ({"scheme": "paillier"}, "scheme"),
    ):
        body = cbor.dumps({**header, **change})
        Path("bad.svh").write_bytes(data[:4] + len(body).to_bytes(4, "big") + body + data[end:])
        for command in (
            ("decrypt", "bad.svh", "--key", "secret", "-o", "x.npy"),
            ("add", "bad.svh", "--to", "public", "-o", "x.svh"),
        ):
            said = run(*command, code=1).stderr
            assert "DecodeError: bad.svh: " in said
            assert message in said


@pytest.mark.parametrize("name", ["../w", "/w", "a/../../w", "\\\\w", "a\\..\\w", ".."])
def test_names_that_lead_out_of_an_archive_are_refused(keys, name):
    with zipfile.ZipFile("m.npz", "w") as archive, archive.open(f"{name}.npy", "w") as member:
        np.lib.format.write_array(member, np.zeros(3))
    assert "leads out of its folder" in run(
        "encrypt", "m.npz", "--to", "public", "--clip", 1, "-o", "m.svh", code=1
    ).stderr  # fmt: skip
    assert not Path("m.svh").exists()
    np.savez("good.npz", **{"layer/w": np.zeros(3)})
    run("encrypt", "good.npz", "--to", "public", "--clip", 1, "-o", "m.svh")
    run("decrypt", "m.svh", "--key", "secret", "-o", "out.npz")
    assert list(np.load("out.npz")) == ["layer/w"]
    data = Path("m.svh").read_bytes()
    end = 8 + int.from_bytes(data[4:8], "big")
    body = cbor.dumps({**cbor.loads(data[8:end]), "names": [name]})
    Path("bad.svh").write_bytes(data[:4] + len(body).to_bytes(4, "big") + body + data[end:])
    said = run("decrypt", "bad.svh", "--key", "secret", "-o", "x.npz", code=1).stderr
    assert "DecodeError: bad.svh: header: the name" in said
    assert not Path("x.npz").exists()


def test_a_wrong_passphrase_has_one_answer(keys):
    np.save("m.npy", np.zeros(3))
    run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh")
    Path("pw").write_text("something else\n")
    said = run("decrypt", "m.svh", "--key", "secret", "-o", "x.npy", code=1).stderr
    assert "wrong passphrase, or the file was altered" in said
    Path("pw").write_bytes(PASSPHRASE + b"\n")
    Path("secret").chmod(0o644)
    assert "open to others" in run("decrypt", "m.svh", "--key", "secret", "-o", "x.npy", code=1).stderr


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1.0, np.nan]), "m.npy: index (1,): not a finite float64 number"),
        (np.arange(3), "dtype float16, float32, float64 expected"),
        (np.array(["text"]), "dtype float16, float32, float64 expected"),
        (np.array([{}], object), "is not a file of arrays"),
    ],
)
def test_arrays_that_have_no_mean_are_refused(keys, array, message):
    np.save("m.npy", array, allow_pickle=True)
    said = run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh", code=1).stderr
    assert message in plain(said)
    assert not Path("m.svh").exists()


def test_an_array_is_refused_by_its_name(keys):
    for array, message in (
        (np.array([0, np.inf]), "m.npz: array 'bias', index (1,): not a finite"),
        (np.arange(3), "m.npz: array 'bias': dtype float16, float32, float64 expected, got int64"),
    ):
        np.savez("m.npz", weight=np.zeros(2), bias=array)
        said = run("encrypt", "m.npz", "--to", "public", "--clip", 1, "-o", "m.svh", code=1).stderr
        assert message in plain(said)
        assert "environment variable" not in said


def test_what_is_no_file_of_arrays_is_refused(keys):
    for content in (b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"text"):
        Path("m.npz").write_bytes(content)
        said = run("encrypt", "m.npz", "--to", "public", "--clip", 1, "-o", "m.svh", code=1).stderr
        assert "m.npz is not a file of arrays" in said
    np.savez("m.npz")
    assert (
        "holds no arrays" in run("encrypt", "m.npz", "--to", "public", "--clip", 1, "-o", "x", code=1).stderr
    )


def test_usage_errors_name_the_option(keys):
    np.save("m.npy", np.zeros(3))
    run("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "m.svh")
    weigh = ("encrypt", "m.npy", "--to", "public", "--clip", 1, "-o", "x")
    for command, message in (
        (("encrypt", "m.npy", "--to", "public", "--clip", 1, "--examples", 3, "-o", "x"), "--examples"),
        (("decrypt", "m.svh", "--key", "secret", "-o", "x.txt"), "one of .npy, .npz expected"),
        (("decrypt", "m.svh", "--key", "secret", "-o", "x.npz"), "becomes an .npy file"),
        (("encrypt", "m.npy", "--to", "public", "--clip", 1, "--json", "-"), "stdout is taken"),
        (("keygen", "-o", "k", "--json", "-"), "stdout is taken"),
        (("encrypt", "m.npy", "--to", "public", "--clip", 1, "--bits", 3), "--bits"),
        (("encrypt", "m.npy", "--to", "public", "--clip", "nan", "-o", "x"), "--clip"),
        (("encrypt", "m.npy", "--to", "public", "--clip", 0, "-o", "x"), "--clip"),
        ((*weigh, "--examples", 9, "--max-examples", 8), "--examples"),
        ((*weigh, "--examples", 9, "--max-examples", 10**20), "--max-examples"),
    ):
        assert message in plain(run(*command, code=2).stderr)


def test_a_file_that_is_no_public_key_is_named(keys):
    np.save("m.npy", np.zeros(3))
    said = run("encrypt", "m.npy", "--to", "pw", "--clip", 1, "-o", "x", code=1).stderr
    assert "pw: armour" in said


# -- params ---------------------------------------------------------------------------------------


def test_params_prints_the_sizes_of_the_page():
    told = json.loads(run("params", "--json", "-").stdout)
    size = {(f["scheme"], f["set"]): f for f in told["fits"]}
    assert size["kahe", "RLWE_128_N2048_Q50"]["bytes_per_value"] == 4.25
    assert size["kahe", "RLWE_PQ128_N4096_Q80"]["bytes_per_value"] == 3.75
    assert round(size["kahe", "RLWE_128_N4096_Q100"]["bytes_per_value"], 2) == 3.58
    assert size["rlwe", "RLWE_128_N2048_Q50"]["bytes_per_value"] == 9.375
    assert round(size["rlwe", "RLWE_128_N4096_Q100"]["bytes_per_value"], 2) == 7.46
    assert round(size["paillier", "PAILLIER_2048"]["bytes_per_value"], 2) == 6.56
    shown = plain(run("params").stdout)
    assert re.search(r"RLWE_128_N2048_Q50.* 4\.25 ", shown), shown


def test_params_tells_the_nearest_wish_that_can_be_had():
    told = json.loads(
        run("params", "--clients", 16384, "--set", "RLWE_PQ128_N2048_Q40", "--json", "-", code=1).stdout
    )
    assert not any(f["possible"] for f in told["fits"])
    for f in told["fits"]:
        assert f["nearest"]
        for near in f["nearest"]:
            found = he.fit(f["scheme"], f["set"], near["bits"], near["clients"])
            assert found.slots >= 1
            for bits, clients in ((near["bits"] + 1, near["clients"]), (near["bits"], near["clients"] + 1)):
                if (bits <= 16 and near["clients"] == 16384) or (clients <= 16384 and near["bits"] == 16):
                    with pytest.raises(he.ParameterError):
                        he.fit(f["scheme"], f["set"], bits, clients)


def test_names_that_are_typed_twice_are_the_same():
    assert [str(s) for s in commands.SetName] == list(he.SETS)
    assert [int(b) for b in commands.KeyBits] == list(KEY_BITS)
    assert set(sizes._CLAIMS) == {name for names in fitting.SCHEMES.values() for name in names}


# -- a terminal -----------------------------------------------------------------------------------


def test_long_work_draws_bars_on_a_terminal(folder):
    run("keygen", "-o", "secret", "--public", "public", "--scheme", "paillier", "--key-bits", 2048)
    np.save("m.npy", np.zeros(45_000, np.float32))
    steps = (
        ("encrypting", ("encrypt", "m.npy", "--to", "public", "--clip", "1", "-o", "a.svh")),
        ("rerandomizing", ("add", "a.svh", "--to", "public", "-o", "sum.svh")),
        ("decrypting", ("decrypt", "sum.svh", "--key", "secret", "--passphrase-file", "pw", "-o", "out.npy")),
    )
    for doing, arguments in steps:
        terminal = Terminal(folder, "he", *arguments).until(doing.encode())
        assert terminal.end() == 0, terminal.seen
        assert b"KiB" in terminal.seen
        assert not re.search(rb"Traceback", terminal.seen)
    assert np.array_equal(np.load("out.npy"), np.zeros(45_000, np.float32))
