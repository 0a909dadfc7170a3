"""The vectors of admission: this package, the generator on both back ends, and every signature made again."""

import filecmp
import os
import subprocess
import sys

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sottovoce import clsc
from sottovoce.clsc import (
    AdmissionKey,
    EpochParams,
    TooFewAdmissions,
    admission,
    read_admission_keys,
    verify_admission,
)
from support.clsc_independent import enc
from support.clsc_vectors import ROOT, load, raw

FIELDS = ["kind", "comment", "flags", "result"]
OPTIONAL = [
    "error", "index", "party", "request", "public_key", "admission", "admissions", "needed", "present",
    "wrong", "data",
]  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return load("clsc/admission.json", FIELDS, optional=OPTIONAL)


@pytest.fixture(scope="module")
def params(data):
    return EpochParams.from_bytes(raw(data["params"]), raw(data["root"]))


def cases(data, kind):
    found = [t for t in data["tests"] if t["kind"] == kind]
    assert {t["result"] for t in found} == {"valid", "invalid"}
    return found


@pytest.mark.parametrize("backend", ["arkworks", pytest.param("py_ecc", marks=pytest.mark.slow)])
def test_generator_reproduces_every_byte(backend, tmp_path):
    env = {**os.environ, "SOTTOVOCE_BACKEND": backend}
    script = ROOT / "gen" / "clsc_admission.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, env=env, timeout=300)
    assert filecmp.cmp(tmp_path / "admission.json", ROOT / "clsc" / "admission.json", shallow=False)


def test_every_case_belongs_to_a_test(data):
    assert {t["kind"] for t in data["tests"]} == {"admission", "require", "keys"}
    assert all(len(t["flags"]) == (t["result"] == "invalid") for t in data["tests"])


def test_keys(data):
    for j, seed in data["seeds"].items():
        assert AdmissionKey(raw(seed)).public_key == raw(data["public_keys"][int(j) - 1])


def test_admissions(data, params):
    for t in cases(data, "admission"):
        request, shown = raw(t["request"]), raw(t["admission"])
        arguments = (params, t["index"], raw(t["public_key"]), t["party"], request, shown)
        if t["result"] == "valid":
            verify_admission(*arguments)
            key = AdmissionKey(raw(data["seeds"][str(t["index"])]))
            assert key._acknowledge(params, t["index"], t["party"], request[34:82]) == shown
        else:
            with pytest.raises(getattr(clsc, t["error"])) as caught:
                verify_admission(*arguments)
            assert type(caught.value).__name__ == t["error"], t["comment"]


def test_what_a_server_requires(data, params):
    keys = [raw(key) for key in data["public_keys"]]
    for j, seed in data["seeds"].items():
        server = admission.Admissions(params, int(j), AdmissionKey(raw(seed)), keys)
        for t in cases(data, "require"):
            given = {int(i): raw(shown) for i, shown in t["admissions"].items()}
            B = raw(t["request"])[34:82]
            if t["result"] == "valid":
                server.require(t["party"], B, given)
                continue
            with pytest.raises(TooFewAdmissions) as caught:
                server.require(t["party"], B, given)
            error = caught.value
            found = (error.needed, error.present, list(error.wrong))
            assert found == (t["needed"], t["present"], t["wrong"]), t["comment"]


def test_lists_of_keys(data, params):
    for t in cases(data, "keys"):
        if t["result"] == "valid":
            assert [key.hex() for key in read_admission_keys(raw(t["data"]), params)] == data["public_keys"]
        else:
            with pytest.raises(clsc.DecodeError) as caught:
                read_admission_keys(raw(t["data"]), params)
            assert type(caught.value).__name__ == t["error"], t["comment"]


# -- the second implementation ------------------------------------------------------------------


def signed_by_hand(params_id, index, party, B):
    """After the byte table of the documentation."""
    return enc("SOTTOVOCE-V1-ADMISSION", params_id, index.to_bytes(8, "big"), party.encode(), B)


def verifies(key, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_admissions_by_hand(data, params):
    params_id = params.params_id
    for t in cases(data, "admission"):
        request, shown = raw(t["request"]), raw(t["admission"])
        B = request[34:82]
        message = signed_by_hand(params_id, t["index"], t["party"], B)
        good = (
            len(request) == 114
            and request[:34] == bytes([1, 3]) + params_id
            and len(shown) == 66
            and shown[:2] == bytes([1, t["index"]])
            and verifies(raw(t["public_key"]), shown[2:], message)
        )
        assert good == (t["result"] == "valid"), t["comment"]
        if good:
            key = Ed25519PrivateKey.from_private_bytes(raw(data["seeds"][str(t["index"])]))
            assert shown == bytes([1, t["index"]]) + key.sign(message)


def test_requirements_by_hand(data, params):
    for t in cases(data, "require"):
        B, good = raw(t["request"])[34:82], []
        for i, shown in t["admissions"].items():
            j, shown = int(i), raw(shown)
            message = signed_by_hand(params.params_id, j, t["party"], B)
            if shown[:2] == bytes([1, j]) and 1 <= j <= data["servers"]:
                good += [j] if verifies(raw(data["public_keys"][j - 1]), shown[2:], message) else []
        assert len(good) == t["present"]
        assert sorted({int(i) for i in t["admissions"]} - set(good)) == t["wrong"]
        assert (len(good) >= data["threshold"]) == (t["result"] == "valid")


def test_lists_by_hand(data, params):
    root, keys = raw(data["root"]), [raw(key) for key in data["public_keys"]]
    body = enc("SOTTOVOCE-V1-ADMISSION-KEYS", root, params.params_id, *keys)
    (valid,) = [t for t in cases(data, "keys") if t["result"] == "valid"]
    key = Ed25519PrivateKey.from_private_bytes(raw(data["root_seed"]))
    assert raw(valid["data"]) == body + key.sign(body)
    assert len(body) + 64 == 167 + 36 * len(keys)
