"""``RSCodec``: words that correct unknown errors and erasures; a drop-in for ``reedsolo.RSCodec``.

A word of n symbols has nsym parity symbols at its end and corrects e errors (place unknown) and v erasures
(place known) where ``2 e + v <= nsym``.  Beyond that it raises, or rarely finds a *wrong* codeword nearby:
how rarely depends on nsym (docs/rs-codec.md, "Miscorrection").  What matters carries a MAC.

Symbol p of a word of n is the coefficient of x^(n-1-p); the word is a multiple of the generator polynomial,
product of (x - a^(fcr+i)) for i = 0 ... nsym - 1 with a = ``generator``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._ext import rsword
from .._ext.errors import ParameterError, ReedSolomonError
from . import _codec_batch as batch
from ._codec_field import DEFAULT_NSIZE, DEFAULT_PRIM, complete, generates
from ._codec_presets import PRESETS
from ._codec_symbols import Words, dtype_of, give, take
from ._numbers import integer

if TYPE_CHECKING:
    from ._codec_symbols import Symbols


class RSCodec:
    """A Reed-Solomon code over GF(2^c_exp); immutable, safe to share between threads, picklable.

    Messages of any length are cut into chunks of ``nsize - nsym`` symbols, each of which becomes a word; the
    last may be shorter.  Symbols are bytes; above ``c_exp = 8`` they are integers below ``2**c_exp``.

    Args:
        nsym: Parity symbols of a word, ``1 <= nsym < nsize``.
        nsize: Symbols of a whole word, at least 2; above 255 it asks for a larger field.
        fcr: Power of the first zero of the generator polynomial, any integer.
        prim: Polynomial of the field as a number.  The default stands for another one if ``c_exp`` is not 8:
            the first prime number that will do, as in ``reedsolo`` (0x22D, 0x409, 0x805, 0x1069 for
            9 to 12).
        generator: Element whose powers are the places of a word, ``2 <= generator < 2**c_exp``; must generate
            the field.
        c_exp: Bits of a symbol, 2 to 16.
        single_gen: Whether ``gen`` has the generator polynomial for ``nsym`` only, or for each below
            ``nsize``.

    Raises:
        TypeError: An argument is not an integer (numpy's will do, and what has ``__index__``; no bool).
        ParameterError: Out of range, or ``generator`` does not generate the field of ``prim``.

    Timing: depends on data and errors everywhere; nothing here is made for secrets.
    Source: Reed and Solomon 1960; Forney 1965; Massey 1969; Sarwate and Shanbhag 2001; the conventions are
        those of reedsolo 1.7: docs/rs-codec.md, "Words".
    """

    __slots__ = ("_c_exp", "_fcr", "_generator", "_nsize", "_nsym", "_prim", "_single_gen")

    def __init__(
        self,
        nsym: int = 10,
        nsize: int = DEFAULT_NSIZE,
        fcr: int = 0,
        prim: int = DEFAULT_PRIM,
        generator: int = 2,
        c_exp: int = 8,
        single_gen: bool = True,
    ) -> None:
        self._nsym = integer("nsym", nsym)
        self._fcr = integer("fcr", fcr)
        self._generator = integer("generator", generator)
        self._nsize, self._prim, self._c_exp = complete(
            integer("nsize", nsize), integer("prim", prim), self._generator, integer("c_exp", c_exp)
        )
        self._single_gen = bool(single_gen)
        if not generates(self._generator, self._prim, self._c_exp):
            raise ParameterError(
                f"prim, generator: {self._generator} does not generate the field of {self._prim:#x}"
            )
        self._parity_symbols(self._nsym)

    @classmethod
    def preset(cls, name: str, nsym: int | None = None) -> RSCodec:
        """The code of a standard.

        Args:
            name: ``"qr"``, ``"datamatrix"``, ``"dvb"`` (204, 188) or ``"ccsds"`` (255, 223) in the
                conventional basis; for the dual basis and interleaving there is :class:`CcsdsCodec`.
            nsym: Parity symbols, where the standard leaves a choice: any for ``"qr"`` and ``"datamatrix"``,
                which need it; 32 (default) or 16 for ``"ccsds"``.

        Raises:
            TypeError: ``name`` is no str, or ``nsym`` no int.
            ParameterError: Unknown name, or a choice that the standard does not leave.
        """
        if not isinstance(name, str):
            raise TypeError(f"name: str expected, got {type(name).__name__}")
        if name not in PRESETS:
            raise ParameterError(f"preset: one of {', '.join(PRESETS)} expected, got {name[:32]!r}")
        return cls(**PRESETS[name](None if nsym is None else integer("nsym", nsym)))

    @property
    def nsym(self) -> int:
        """Parity symbols of a word."""
        return self._nsym

    @property
    def nsize(self) -> int:
        """Symbols of a whole word, parity included."""
        return self._nsize

    @property
    def fcr(self) -> int:
        """Power of the first zero of the generator polynomial."""
        return self._fcr

    @property
    def prim(self) -> int:
        """Polynomial of the field as a number, of degree ``c_exp``."""
        return self._prim

    @property
    def generator(self) -> int:
        """Element whose powers are the places of a word."""
        return self._generator

    @property
    def c_exp(self) -> int:
        """Bits of a symbol, 2 to 16."""
        return self._c_exp

    @property
    def gen(self) -> Mapping[int, bytearray | array[int]]:
        """nsym -> generator polynomial, leading coefficient first; made when it is looked up."""
        return _Generators(self, [self._nsym] if self._single_gen else range(self._nsize))

    def __repr__(self) -> str:
        return (
            f"RSCodec(nsym={self._nsym}, nsize={self._nsize}, fcr={self._fcr}, prim={self._prim:#x}, "
            f"generator={self._generator}, c_exp={self._c_exp})"
        )

    def __reduce__(self) -> tuple[type[RSCodec], tuple[Any, ...]]:
        return type(self), (
            self._nsym, self._nsize, self._fcr, self._prim, self._generator, self._c_exp, self._single_gen
        )  # fmt: skip

    # ---- as reedsolo has it ----

    def chunk(self, data: Any, chunksize: int) -> Iterator[Any]:
        """Pieces of ``chunksize`` of a sequence, the last one shorter.

        Args:
            data: Any sequence.
            chunksize: At least 1.

        Yields:
            Slices of ``data``.

        Raises:
            TypeError: ``data`` has no length, or ``chunksize`` is no int.
            ValueError: ``chunksize`` is 0.
        """
        for start in range(0, len(data), chunksize):
            yield data[start : start + chunksize]

    def encode(self, data: Symbols, nsym: int | None = None) -> bytearray | array[int]:
        """Append parity to each chunk of a message.

        Args:
            data: Bytes, a list of integers, or a one-dimensional array: uint8 up to ``c_exp`` 8 (an int64
                array is refused: its bytes are not its numbers), any integers above.  Text only above 8, as
                Latin-1.  Read, never kept.
            nsym: Parity symbols instead of those of the codec; chunks are then of ``nsize - nsym``.

        Returns:
            ``len(data) + nsym * ceil(len(data) / (nsize - nsym))`` symbols, a bytearray, or ``array("i")``
            for ``c_exp > 8``.

        Raises:
            TypeError: ``data`` is of another kind.
            ParameterError: A symbol outside the field, or a word longer than the field allows.
        """
        parity = self._parity_symbols(nsym)
        message = take("data", data, self._c_exp)
        k = self._nsize - parity
        full, rest = divmod(len(message), k)
        out = np.empty(len(message) + parity * (full + (rest > 0)), message.dtype)
        if full:
            self._encode_rows(parity, out[: full * self._nsize], message[: full * k], full)
        if rest:
            self._encode_rows(parity, out[full * self._nsize :], message[full * k :], 1)
        return give(out, self._c_exp)

    def decode(
        self,
        data: Symbols,
        nsym: int | None = None,
        erase_pos: Iterable[int] | None = None,
        only_erasures: bool = False,
    ) -> tuple[bytearray | array[int], bytearray | array[int], bytearray | array[int]]:
        """Correct words, and take the parity off.

        Args:
            data: Words as :meth:`encode` makes them, received; read, never kept.
            nsym: Parity symbols instead of those of the codec.
            erase_pos: Places in ``data``, ``[0, len(data))``, of symbols that are missing; what stands there
                counts as 0.
            only_erasures: Refuse words with errors anywhere else.

        Returns:
            Three bytearrays, or ``array("i")`` for ``c_exp > 8``; the message; message and parity, corrected;
            and the places that were corrected: for each word,
            counted from its own start, the erasures as given and then the errors, descending.

        Raises:
            TypeError: ``data`` is of another kind, or a place no int.
            ParameterError: A symbol outside the field, a place outside ``data``, or words longer than the
                field allows.
            ReedSolomonError: A word that cannot be corrected, with its index as ``word``: more than
                ``2 * errors + erasures = nsym``, or not longer than ``nsym``.  Far beyond that a wrong word
                may come out instead (docs/rs-codec.md, "Miscorrection").
        """
        parity = self._parity_symbols(nsym)
        received = take("data", data, self._c_exp)
        size, count = self._nsize, -(-len(received) // self._nsize)
        if count and len(received) - (count - 1) * size <= parity:
            short = len(received) - (count - 1) * size
            raise ReedSolomonError(
                f"word {count - 1}: more than {parity} symbols needed, {short} present", count - 1
            )
        erased = _by_word(erase_pos, len(received), size)
        words = received.copy()
        for word, places in erased.items():
            if len(places) > parity:
                raise ReedSolomonError(
                    f"word {word}: {parity} parity symbols correct at most {parity} erasures, "
                    f"got {len(places)}",
                    word,
                )
            words[[word * size + place for place in places]] = 0
        fixed = words.copy()
        self._decode_rows(parity, fixed, words, erased)
        errata = []
        changed = np.flatnonzero(fixed != words)
        for word in sorted({*erased, *(changed // size).tolist()}):
            here = changed[
                np.searchsorted(changed, word * size) : np.searchsorted(changed, (word + 1) * size)
            ]
            known = erased.get(word, [])
            found = [p for p in reversed((here - word * size).tolist()) if p not in set(known)]
            if only_erasures and found:
                raise ReedSolomonError(f"word {word}: errors outside of the {len(known)} erasures", word)
            errata += [*known, *found]
        keep = np.ones(len(fixed), np.bool_)
        keep[: len(fixed) // size * size].reshape(-1, size)[:, size - parity :] = False
        if len(fixed) % size:
            keep[-parity:] = False
        found_at = np.array(errata, dtype_of(self._c_exp))
        return give(fixed[keep], self._c_exp), give(fixed, self._c_exp), give(found_at, self._c_exp)

    def check(self, data: Symbols, nsym: int | None = None) -> list[bool]:
        """Whether each word is a codeword; one not longer than ``nsym`` is not.

        Args:
            data: Words, as for :meth:`decode`.
            nsym: Parity symbols instead of those of the codec.

        Returns:
            One bool a word; nothing was corrected.

        Raises:
            TypeError, ParameterError: As :meth:`decode`.
        """
        parity = self._parity_symbols(nsym)
        received = take("data", data, self._c_exp)
        full, rest = divmod(len(received), self._nsize)
        found: list[bool] = []
        if full:
            found += self._check_rows(parity, received[: full * self._nsize], full)
        if rest:
            found += self._check_rows(parity, received[full * self._nsize :], 1) if rest > parity else [False]
        return found

    def maxerrata(
        self, errors: int | None = None, erasures: int | None = None, verbose: bool = False
    ) -> tuple[int, int]:
        """How many errors and erasures a word corrects.

        Args:
            errors: If given (and not negative), how many erasures can be corrected besides so many errors.
            erasures: If given (and not negative), how many errors can be corrected besides so many erasures;
                ``errors`` is not looked at then.
            verbose: Print it too, on standard output.

        Returns:
            ``(errors, erasures)``, at once if one was given, each without the other if not.

        Raises:
            ReedSolomonError: More than the code corrects.
        """
        most_errors, most_erasures, how = self._nsym // 2, self._nsym, "independently"
        if erasures is not None and erasures >= 0:
            if erasures > self._nsym:
                raise ReedSolomonError(f"erasures: at most {self._nsym} can be corrected, got {erasures}")
            most_errors, most_erasures, how = (self._nsym - erasures) // 2, erasures, "simultaneously"
        elif errors is not None and errors >= 0:
            if errors > self._nsym // 2:
                raise ReedSolomonError(f"errors: at most {self._nsym // 2} can be corrected, got {errors}")
            most_errors, most_erasures, how = errors, self._nsym - 2 * errors, "simultaneously"
        if verbose:
            print(f"This codec can correct up to {most_errors} errors and {most_erasures} erasures {how}")
        return most_errors, most_erasures

    # ---- many words at once ----

    def encode_batch(self, messages: Words, out: Words | None = None, threads: int = 1) -> Words:
        """Encode messages of one length.

        Args:
            messages: ``(words, k)``, uint8 or (``c_exp > 8``) uint16, rows contiguous, and
                ``k + nsym < 2**c_exp``.  Read, never kept.
            out: Where to write, ``(words, k + nsym)`` of the same type; may have the messages in front
                already (``messages`` is ``out[:, :k]``), any other overlap is refused.
            threads: Share the words out among so many, 1 to 256.

        Returns:
            The words, ``(words, k + nsym)``; ``out`` itself if given.

        Raises:
            TypeError: No numpy array, or of another type.
            ParameterError: A wrong shape, a symbol outside the field, overlap, ``out`` that is read-only, or
                ``threads`` out of range.
        """
        messages = batch.words_of("messages", messages, self._c_exp)
        n = messages.shape[1] + self._nsym
        self._fits(n)
        target = batch.target(out, (len(messages), n), self._c_exp)
        batch.encode(self._code(self._nsym), target, messages, threads)
        return target

    def decode_batch(
        self, words: Words, erasures: batch.Erasures = None, out: Words | None = None, threads: int = 1
    ) -> batch.DecodedBatch:
        """Correct words of one length; one that cannot be corrected does not stop the others.

        Args:
            words: ``(words, n)``, uint8 or (``c_exp > 8``) uint16, rows contiguous, ``nsym < n < 2**c_exp``.
                Read, never kept.
            erasures: Places erased in every word, or bool flags of shape ``(words, n)`` or ``(n,)``.  What
                stands at such a place does not matter.
            out: Where to write, of the shape of ``words``; may be ``words`` itself, any other overlap is
                refused.
            threads: Share the words out among so many, 1 to 256.

        Returns:
            Words, and for each how many symbols were changed, or that it failed.

        Raises:
            TypeError: No numpy array, or of another type.
            ParameterError: A wrong shape, a symbol outside the field, a place outside the word, overlap,
                ``out`` that is read-only, or ``threads`` out of range.
        """
        words = batch.words_of("words", words, self._c_exp)
        n = words.shape[1]
        if n <= self._nsym:
            raise ParameterError(f"words: more than {self._nsym} symbols a word expected, got {n}")
        self._fits(n)
        flags = batch.flags_of(erasures, len(words), n)
        target = batch.target(out, words.shape, self._c_exp)
        changed = batch.decode(self._code(self._nsym), target, words, flags, threads)
        return batch.DecodedBatch(target, target[:, : n - self._nsym], changed)

    # ---- ----

    def _code(self, nsym: int) -> rsword.Code:
        return rsword.code(self._c_exp, self._prim, self._generator, self._fcr, nsym)

    def _parity_symbols(self, nsym: int | None) -> int:
        parity = integer("nsym", nsym) if nsym else self._nsym
        most = min(self._nsize, (1 << self._c_exp) - 1) - 1
        if not 1 <= parity <= most:
            raise ParameterError(f"nsym: 1 to {most} expected, got {parity}")
        return parity

    def _fits(self, n: int) -> None:
        if n >= 1 << self._c_exp:
            raise ParameterError(
                f"word: at most {(1 << self._c_exp) - 1} symbols expected for c_exp = {self._c_exp}, got {n}"
            )

    def _encode_rows(self, nsym: int, out: Words, message: Words, count: int) -> None:
        self._fits(len(out) // count)
        self._code(nsym).encode(out.reshape(count, -1), message.reshape(count, -1))

    def _check_rows(self, nsym: int, words: Words, count: int) -> list[bool]:
        self._fits(len(words) // count)
        return [bool(right) for right in batch.check(self._code(nsym), words.reshape(count, -1))]

    def _decode_rows(self, nsym: int, fixed: Words, words: Words, erased: Mapping[int, list[int]]) -> None:
        full, size = len(words) // self._nsize, self._nsize
        for first, count, length in ((0, full, size), (full, 1, len(words) - full * size)):
            if count and length:
                self._fits(length)
                flags = _flags(erased, first, count, length)
                part = slice(first * size, first * size + count * length)
                rows = words[part].reshape(count, length)
                status = batch.decode(self._code(nsym), fixed[part].reshape(count, length), rows, flags)
                for bad in np.flatnonzero(status < 0)[:1]:
                    word = first + int(bad)
                    known = f" beside {len(erased[word])} erasures" if word in erased else ""
                    raise ReedSolomonError(
                        f"word {word}: more errors{known} than {nsym} parity symbols correct", word
                    )


class _Generators(Mapping[int, "bytearray | array[int]"]):
    """Generator polynomials of a codec by their degree."""

    def __init__(self, codec: RSCodec, degrees: list[int] | range) -> None:
        self._codec, self._degrees = codec, degrees

    def __getitem__(self, nsym: int) -> bytearray | array[int]:
        if nsym not in self._degrees:
            raise KeyError(nsym)
        numbers = self._codec._code(nsym).generator_polynomial() if nsym else [1]
        return give(np.array(numbers, dtype_of(self._codec.c_exp)), self._codec.c_exp)

    def __iter__(self) -> Iterator[int]:
        return iter(self._degrees)

    def __len__(self) -> int:
        return len(self._degrees)


def _by_word(erase_pos: Iterable[int] | None, length: int, size: int) -> dict[int, list[int]]:
    """Erased places by word, counted from its start, in the order given and each once."""
    erased: dict[int, list[int]] = {}
    for place in () if erase_pos is None else erase_pos:
        at = integer("erase_pos", place)
        if not 0 <= at < length:
            raise ParameterError(f"erase_pos: 0 to {length - 1} expected, got {at}")
        mine = erased.setdefault(at // size, [])
        if at % size not in mine:
            mine.append(at % size)
    return erased


def _flags(erased: Mapping[int, list[int]], first: int, count: int, length: int) -> NDArray[np.uint8] | None:
    mine = {word: places for word, places in erased.items() if first <= word < first + count}
    if not mine:
        return None
    flags = np.zeros((count, length), np.uint8)
    for word, places in mine.items():
        flags[word - first, places] = 1
    return flags
