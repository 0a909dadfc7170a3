"""A server role under its name: two keys, one to sign and one to be written to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from .. import clsc
from .._ext.errors import DecodeError, ParameterError
from .wire import expect


@dataclass(frozen=True)
class ServerIdentity:
    """The two public keys of a server role: one to sign, one to be written to; one name.

    Attributes:
        sign: Key of mode ``identity`` and usage ``sign``.
        decrypt: Key of mode ``identity`` and usage ``decrypt``, same name and parameters.

    Raises:
        TypeError: Wrong types.
        ParameterError: Another mode or usage, or keys of two names or epochs.

    Source: docs/fl.md, "Messages".
    """

    sign: clsc.PublicKey
    decrypt: clsc.PublicKey

    def __post_init__(self) -> None:
        expect("sign", self.sign, clsc.PublicKey)
        expect("decrypt", self.decrypt, clsc.PublicKey)
        if self.sign.usage is not clsc.Usage.SIGN or self.decrypt.usage is not clsc.Usage.DECRYPT:
            raise ParameterError("server identity: one sign and one decrypt key expected")
        if self.sign.params.mode is not clsc.Mode.IDENTITY or self.sign.params != self.decrypt.params:
            raise ParameterError("server identity: both keys of one identity epoch expected")
        if self.sign.identity != self.decrypt.identity:
            raise ParameterError("server identity: both keys under one name expected")

    @property
    def name(self) -> bytes:
        """The name under which the issuer enrolled it, 1 to 64 bytes."""
        return self.sign.identity

    def to_list(self) -> list[bytes]:
        """For CBOR: ``[sign, decrypt]``."""
        return [self.sign.to_bytes(), self.decrypt.to_bytes()]

    @classmethod
    def from_list(cls, value: Any, trust: clsc.TrustStore) -> Self:
        """Inverse of :meth:`to_list`.

        Args:
            value: Two byte strings, as a header holds them.
            trust: Knows the parameters of the keys.

        Raises:
            DecodeError: Not two keys of one name.
            SenderError: Keys under parameters that ``trust`` does not know.
        """
        if type(value) is not list or [type(v) for v in value] != [bytes, bytes]:
            raise DecodeError("server identity: two keys expected")
        sign, decrypt = (trust.read_key(v) for v in value)
        try:
            return cls(sign, decrypt)
        except ParameterError as error:
            raise DecodeError(str(error)) from None


@dataclass(frozen=True)
class ServerKeys:
    """The two secret keys of a server role.

    Attributes:
        sign: Key of mode ``identity`` and usage ``sign``.
        decrypt: Key of mode ``identity`` and usage ``decrypt``, same name and parameters.
        public: What goes into the header.

    Raises:
        TypeError: Not secret keys.
        ParameterError: Not two keys of one server, in this order.

    Timing: looks at the public halves only.
    Source: docs/fl.md, "fl: one private round".
    """

    sign: clsc.SecretKey
    decrypt: clsc.SecretKey
    public: ServerIdentity = field(init=False)

    def __post_init__(self) -> None:
        expect("sign", self.sign, clsc.SecretKey)
        expect("decrypt", self.decrypt, clsc.SecretKey)
        public = ServerIdentity(self.sign.public_key, self.decrypt.public_key)
        object.__setattr__(self, "public", public)
