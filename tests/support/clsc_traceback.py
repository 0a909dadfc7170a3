"""Walk the frames that an exception has passed, and look for secrets in their variables.

Error reporters, ``pytest -l`` and ``traceback.TracebackException(capture_locals=True)`` print them.
"""

import dataclasses

from sottovoce.clsc import (
    AdmissionKey,
    BlindRequest,
    IdentityRequest,
    Issuer,
    MasterKey,
    MasterShare,
    PublicKey,
    SecretKey,
    Trace,
    TraceableRequest,
    TracingKey,
    TrustStore,
    group,
)

HOLDERS = (
    SecretKey, IdentityRequest, TraceableRequest, BlindRequest, MasterKey, MasterShare, TracingKey,
    AdmissionKey, TrustStore, PublicKey, Issuer, Trace,
)  # fmt: skip
"""What the caller gave or holds itself: their inside is their own, repr is checked elsewhere."""


def reachable(value, holders=HOLDERS, depth=6):
    """The value, and what it holds."""
    yield value
    if depth == 0 or isinstance(value, holders):
        return
    if isinstance(value, dict):
        inside = [*value, *value.values()]
    elif isinstance(value, (list, tuple, set)):
        inside = list(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inside = [getattr(value, f.name) for f in dataclasses.fields(value)]
    else:
        return
    for part in inside:
        yield from reachable(part, holders, depth - 1)


def frames(error):
    """Every frame of the package that the error, or one that hangs on it, has passed."""
    while error is not None:
        assert error.__cause__ is None
        tb = error.__traceback__
        while tb:
            if tb.tb_frame.f_globals["__name__"].startswith("sottovoce.clsc"):
                yield tb.tb_frame
            tb = tb.tb_next
        error = error.__context__


def assert_no_secret_in(error, texts=(), numbers=(), points=()):
    n_frames = 0
    numbers = {v for n in numbers for v in (n, -n % group.ORDER)}
    texts = [*texts, *(n.to_bytes(32, "big") for n in numbers), *(p.to_compressed_bytes() for p in points)]
    for frame in frames(error):
        n_frames += 1
        for name, local in frame.f_locals.items():
            where = f"{frame.f_code.co_qualname}: {name}"
            shown = repr(local)  # as a reporter does it: may not fail either
            assert not any(str(n) in shown for n in numbers), where
            assert not any(repr(text)[2:-1] in shown for text in texts), where
            for value in reachable(local):
                assert not any(type(value) is type(p) and value == p for p in points), where
                if isinstance(value, int):
                    assert value not in numbers, where
                if isinstance(value, (bytes, bytearray, memoryview)):
                    assert not any(text in bytes(value) for text in texts), where
    assert n_frames  # else nothing was looked at
