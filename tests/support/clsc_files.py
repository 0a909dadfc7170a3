"""Open a packet in every way that there is, and see that it makes no difference."""

import io
import os

from sottovoce.clsc import (
    SenderError,
    UnsigncryptError,
    unsigncrypt,
    unsigncrypt_batch,
    unsigncrypt_file,
)

TEXT = b"TOPSECRET-PLAINTEXT"


def open_everywhere(world, data, receiver, tmp_path, ad=b""):
    """Class and text of the error, the same for bytes, a batch, a path, a seekable file and a pipe."""

    def outcome(call):
        try:
            call()
        except (UnsigncryptError, SenderError) as error:
            return type(error), error.args, error.__cause__, error.__context__
        return None

    source, folder = tmp_path / "source", tmp_path / "target"
    folder.mkdir(exist_ok=True)
    source.write_bytes(data)
    keys = {"receiver": receiver, "trust": world.trust, "ad": ad}
    out = io.BytesIO()
    found = {
        outcome(lambda: unsigncrypt(data, **keys)),
        outcome(lambda: unsigncrypt_file(source, folder / "opened", **keys)),
        outcome(lambda: unsigncrypt_file(io.BytesIO(data), out, **keys)),
        outcome(lambda: unsigncrypt_file(NoSeek(data), out, **keys)),
    }
    (batched,) = unsigncrypt_batch([data], **keys)
    found.add((type(batched), batched.args, None, None) if isinstance(batched, Exception) else None)
    if found != {None}:
        assert os.listdir(folder) == []
        assert out.getvalue() == b""
    (only,) = found
    return only and only[0]


class NoSeek(io.BytesIO):
    def seekable(self):
        return False
