"""What an exception carries: the variables of the frames it passed hold no plaintext and no secret.

Error reporters, ``pytest -l`` and ``traceback.TracebackException(capture_locals=True)`` print them.
"""

import pytest

from sottovoce.clsc import (
    BlindRequest,
    IdentityRequest,
    IssueError,
    MemoryRegistry,
    Mode,
    ParameterError,
    PublicKey,
    SecretKey,
    SenderError,
    UnsigncryptError,
    Usage,
    group,
    issue_wire,
    packet,
    signcrypt,
    unsigncrypt,
    unsigncrypt_batch,
)
from support.clsc_attacker import CoReceiver
from support.clsc_traceback import assert_no_secret_in
from support.clsc_world import NOT_AFTER, issuers

TEXT = b"TOPSECRET-PLAINTEXT"


def test_the_walker_finds_what_is_there(world):
    """Otherwise the tests below would prove nothing."""
    code = "def leak(box):\n    raise ValueError\n"
    scope = {"__name__": "sottovoce.clsc.fake"}
    exec(code, scope)
    for box in ([TEXT], {"a": (bytearray(b"." + TEXT),)}, packet.Head(b"", b"", TEXT, b"", 0)):
        with pytest.raises(ValueError) as caught:
            scope["leak"](box)
        with pytest.raises(AssertionError, match="leak: box"):
            assert_no_secret_in(caught.value, [TEXT])
    for box, found in (([77], {"numbers": [77]}), ([group.P1 + group.P1], {"points": [group.P1 + group.P1]})):
        with pytest.raises(ValueError) as caught:
            scope["leak"](box)
        with pytest.raises(AssertionError, match="leak: box"):
            assert_no_secret_in(caught.value, **found)


def _refused(world):
    """Packets that get far: opened, and then refused because of their sender."""
    alice, bob, carol = world.signer(), world.receiver("bob"), world.receiver("carol")
    to_both = [bob.public_key, carol.public_key]
    good = signcrypt(TEXT, sender=alice, receivers=to_both)
    insider = CoReceiver(good, carol)
    other = CoReceiver(signcrypt(TEXT, sender=alice, receivers=to_both), carol).head.signature
    revoking = world.new_trust()
    revoking.revoke(alice.public_key.pid)
    return bob, insider, [
        (good, revoking),
        (good, world.new_trust(NOT_AFTER + 10_000)),
        (insider.rewrite(signature=other), world.trust),
        (insider.rewrite(signature=bytes(176)), world.trust),
        (insider.rewrite(plaintext_bytes=3), world.trust),
        (insider.rewrite(X=b"\xc0" + bytes(47)), world.trust),
        (insider.rewrite(name=bytes(65)), world.trust),
    ]  # fmt: skip


def test_sender_error_carries_no_plaintext_and_no_key(world):
    bob, insider, cases = _refused(world)
    secrets_ = [TEXT, insider.cek, insider.k_body, insider.k_head]
    for data, trust in cases:
        with pytest.raises(SenderError) as caught:
            unsigncrypt(data, receiver=bob, trust=trust)
        assert_no_secret_in(caught.value, secrets_, [bob._x], [bob._D.point])
        (result,) = unsigncrypt_batch([data], receiver=bob, trust=trust)
        assert type(result) is SenderError
        assert result.__traceback__ is None
        assert result.__context__ is None


def test_unsigncrypt_error_carries_no_key(world):
    bob, insider, cases = _refused(world)
    good = cases[0][0]
    at_body = 4 + 178 + 160 + 8
    for i in (6, 54, 160, 182, 182 + 80, at_body, len(good) - 365, len(good) - 1):
        data = good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :]
        with pytest.raises(UnsigncryptError) as caught:
            unsigncrypt(data, receiver=bob, trust=world.trust)
        assert_no_secret_in(
            caught.value, [TEXT, insider.cek, insider.k_body, insider.k_head], [bob._x], [bob._D.point]
        )


def test_type_error_in_a_batch_carries_no_plaintext(world):
    bob, _, cases = _refused(world)
    with pytest.raises(TypeError) as caught:
        unsigncrypt_batch([cases[0][0], None], receiver=bob, trust=world.trust)
    assert_no_secret_in(caught.value, [TEXT], [bob._x], [bob._D.point])


def _requests(world):
    token = bytes(32)
    identity = IdentityRequest(world.params[Mode.IDENTITY], Usage.SIGN, b"a", token)
    blind = BlindRequest(world.params[Mode.BLIND], Usage.SIGN, token)
    wrong = group.g1_mul_vartime(group.P1, 5)
    yield identity, wrong, issue_wire.seal_partial_key(identity.public_key, wrong)
    yield identity, wrong, bytes([1, 1]) + group.P1.to_compressed_bytes() + bytes(64)
    C = group.g1_mul_vartime(wrong, blind._b)
    yield blind, wrong, bytes([1, 3]) + C.to_compressed_bytes()
    yield blind, wrong, bytes([1, 3, 0xC0]) + bytes(47)


def test_wrong_answer_carries_no_x_and_no_partial_key(world):
    """Anybody can send a wrong answer, so anybody can cause this error."""
    messages = set()
    for asked, D, answer in _requests(world):
        with pytest.raises(IssueError) as caught:
            asked.finish(answer)
        assert caught.value.__context__ is None
        messages.add(str(caught.value))
        numbers = [asked._x] + ([asked._b] if isinstance(asked, BlindRequest) else [])
        assert_no_secret_in(caught.value, numbers=numbers, points=[D])
    assert len(messages) == 1


def test_issuer_carries_no_token_and_no_partial_key(world):
    identity, blind = issuers(world)
    for issuer in (identity, blind):
        token = issuer.enrol("alice")
        if issuer is blind:
            wrong = BlindRequest(issuer.params, Usage.SIGN, bytes(32)).to_bytes()
            right = BlindRequest(issuer.params, Usage.SIGN, token)
            data = right.to_bytes()
        else:
            wrong = IdentityRequest(issuer.params, Usage.SIGN, b"alice", bytes(32)).to_bytes(bytes(32))
            right = IdentityRequest(issuer.params, Usage.SIGN, b"alice", token)
            data = right.to_bytes(issuer.challenge())
        with pytest.raises(IssueError, match="not authenticated") as caught:
            issuer.issue("alice", wrong)
        mac = issue_wire.token_mac(token, *[getattr(issue_wire.parse_request(wrong), name)
                                         for name in ("params_id", "usage", "issued")])  # fmt: skip
        assert_no_secret_in(caught.value, [token, mac])

        class Late(MemoryRegistry):
            """Refuses when the partial key was computed, as a lost race for the last unit does."""

            def record(self, issuance, *, at_most=None):
                raise IssueError("issue: quota is spent")

        late = Late()
        late.use_challenge = issuer._registry.use_challenge
        late.enrol(issuer._registry.account("alice"))
        issuer._registry = late
        with pytest.raises(IssueError, match="quota") as caught:
            issuer.issue("alice", data)
        key = right.public_key if issuer is identity else right._public_key
        D = group.g1_mul_vartime(key._Q_base.point, world.master[key.mode]._s)
        assert_no_secret_in(caught.value, [token], [world.master[key.mode]._s], [D])


def test_secret_key_that_does_not_fit_carries_no_secret(world):
    alice, carol = world.signer(), world.signer("carol")
    x, D = alice._x, carol._D.point
    with pytest.raises(IssueError) as caught:
        SecretKey(alice.public_key, x, D)
    assert_no_secret_in(caught.value, numbers=[x], points=[D])


def test_repr_of_half_made_objects():
    """A debugger looks at ``self`` in the middle of a constructor that raises."""
    for cls in (SecretKey, PublicKey, IdentityRequest, BlindRequest):
        assert cls.__name__ in repr(cls.__new__(cls))


def test_too_long_ad_is_an_argument_error_without_secrets(world):
    class Long(bytes):
        def __len__(self):
            return 1 << 32

    alice, bob = world.signer(), world.receiver("bob")
    data = signcrypt(TEXT, sender=alice, receivers=[bob.public_key])
    with pytest.raises(ParameterError, match="4 GiB") as caught:
        signcrypt(b"", sender=alice, receivers=[bob.public_key], ad=Long())
    assert_no_secret_in(caught.value, numbers=[alice._x], points=[alice._D.point])
    with pytest.raises(ParameterError, match="4 GiB") as caught:
        unsigncrypt(data, receiver=bob, trust=world.trust, ad=Long())
    cek = CoReceiver(data, bob).cek
    assert_no_secret_in(caught.value, [TEXT, cek], [bob._x], [bob._D.point])


def test_argument_errors_of_a_sender_carry_no_key(world):
    alice = world.signer()
    with pytest.raises(ParameterError) as caught:
        signcrypt(b"", sender=alice, receivers=[alice.public_key])
    assert_no_secret_in(caught.value, numbers=[alice._x], points=[alice._D.point])
