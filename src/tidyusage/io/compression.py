"""Compressed files: detect, unpack and verify them.

DuckDB reads gzip and zstd itself, but notices neither a zstd stream that ends early nor a wrong
gzip checksum (2.0).  So each compressed file is unpacked once, block by block, before it is read:
that finds damage, and tells what reading needs to know about the text.  It takes about a twentieth
of the time of reading (``python benchmarks/compressed.py``).
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Literal, Protocol, cast

import pyarrow as pa

from tidyusage.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable

Compression = Literal["none", "gzip", "zstd", "bz2", "xz"]

_MAGIC: Final[dict[bytes, Compression]] = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "xz",
}
SUFFIXES: Final = (".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz")
# DuckDB reads these without help.
OF_DUCKDB: Final = frozenset({"none", "gzip", "zstd"})
# A skippable frame: metadata that zstd and lz4 allow before, between and after their own frames.
_SKIPPABLE: Final = b"\x2a\x4d\x18"
_FIRST_SKIPPABLE: Final = 0x50
_LONGEST_MAGIC: Final = 8
_BLOCK: Final = 1 << 16
# What the libraries raise for compressed data that is damaged or ends early.
ERRORS: Final = (EOFError, OSError, zlib.error, lzma.LZMAError, pa.ArrowInvalid)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a compressed file holds, as far as it can be unpacked.

    ``last`` is the last byte that is not white space.  ``longest`` is the length of the longest
    line; of lines below 64 kB it may be less.  A file that ``is_cut_off`` ends before its
    compressed data does.  One that ``is_padded`` has zeros after it, which DuckDB does not skip.
    """

    size: int
    last: bytes
    longest: int
    is_cut_off: bool = False
    is_padded: bool = False


# What there is in a file that is cut off before its compressed data begins.
NOTHING: Final = Unpacked(0, b"", 0, is_cut_off=True)


def detect(path: str) -> Compression:
    """Return how a file is compressed, by its first bytes."""
    with open(path, "rb") as stream:
        magic = first_bytes(stream)
    for mark, kind in _MAGIC.items():
        if magic.startswith(mark):
            return kind
    return "none"


def first_bytes(stream: IO[bytes]) -> bytes:
    """Return the first bytes of a file after skippable frames."""
    found = stream.read(_LONGEST_MAGIC)
    while found[1:4] == _SKIPPABLE and found[0] >> 4 == _FIRST_SKIPPABLE >> 4:
        stream.seek(int.from_bytes(found[4:8], "little"), io.SEEK_CUR)
        found = stream.read(_LONGEST_MAGIC)
    return found


def open_unpacked(path: str, compression: Compression) -> IO[bytes]:
    """Open a file and unpack it while it is read.

    Concatenated streams are read one after another.  Reading raises one of `ERRORS` for data that
    is damaged, ends early, or is followed by something else.
    """
    if compression == "none":
        return open(path, "rb")
    if compression == "zstd":
        return cast("IO[bytes]", pa.CompressedInputStream(path, "zstd"))
    return cast("IO[bytes]", _Streams(open(path, "rb"), _DECOMPRESSORS[compression]))


def check(path: str, label: str, compression: Compression) -> Unpacked:
    """Unpack a file to see whether all of it is there; raise if it is damaged.

    Raises
    ------
    RecordError
        For a wrong checksum, or data that no compressor writes.
    """
    size, longest, line, last = 0, 0, 0, b""
    with open_unpacked(path, compression) as stream:
        try:
            while block := stream.read(_BLOCK):
                size += len(block)
                last = (block[-1:].strip() or block.rstrip()[-1:]) or last
                end = block.find(b"\n")
                if end < 0:
                    line += len(block)
                else:
                    longest = max(longest, line + end)
                    line = len(block) - block.rfind(b"\n") - 1
        except ERRORS as error:
            if not ends_early(error):
                raise damaged(label, compression, error) from error
            return Unpacked(size, last, max(longest, line), is_cut_off=True)
        is_padded = isinstance(stream, _Streams) and stream.is_padded
    return Unpacked(size, last, max(longest, line), is_padded=is_padded)


def is_cut_off_at_once(path: str, label: str) -> bool:
    """Tell whether a file has a compressed one's name, and less than the beginning of one."""
    if not label.lower().endswith(SUFFIXES):
        return False
    with open(path, "rb") as stream:
        found = stream.read(_LONGEST_MAGIC)
    return any(mark.startswith(found) for mark in _MAGIC)


def ends_early(error: Exception) -> bool:
    """Tell whether an error of a library says that data ends early, and not that it is wrong."""
    return isinstance(error, EOFError) or "Truncated compressed stream" in str(error)


def damaged(label: str, compression: str, error: Exception) -> RecordError:
    """Return the error for compressed data that cannot be trusted."""
    return RecordError(
        f"{label!r} is damaged: its {compression} data cannot be unpacked ({error}).",
        "Copy or download the file again.",
    )


def cut_off(label: str) -> RecordError:
    """Return the error for compressed data that ends early."""
    return RecordError(
        f"{label!r} is cut off: the file ends before its compressed data does.",
        "Copy or download the file again.  rejects=PATH reads the records before the cut.",
    )


class _Decompressor(Protocol):
    """What `bz2.BZ2Decompressor` and `lzma.LZMADecompressor` have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """A decompressor of one gzip stream, with the interface of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)  # 31: with gzip's header and checksum
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        found = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(found) < max_length
        return found


_DECOMPRESSORS: Final[dict[str, Callable[[], _Decompressor]]] = {
    "gzip": _Gzip,
    "bz2": bz2.BZ2Decompressor,
    "xz": lzma.LZMADecompressor,
}


class _Streams(io.RawIOBase):
    """Concatenated compressed streams as one file of what is in them.

    The standard library's own readers of bz2 and xz pass over what follows the first stream and is
    not another, so that a damaged second stream would go unnoticed; here it raises.  Zeros at the
    end, with which tapes and some tools fill blocks, are allowed.
    """

    def __init__(self, file: IO[bytes], new: Callable[[], _Decompressor]) -> None:
        self._file, self._new = file, new
        self._stream = new()
        self._has_begun = False
        self.is_padded = False

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return self.readall()
        while True:
            found, is_end = self._step(size)
            if found or is_end:
                return found

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _step(self, size: int) -> tuple[bytes, bool]:
        """Unpack up to ``size`` bytes; also tell whether this is the end of the file."""
        if self._stream.eof:
            data = self._next_stream()
            if not data:
                return b"", True
            self._stream, self._has_begun = self._new(), True
        elif self._stream.needs_input:
            data = self._file.read(_BLOCK)
            if not data and self._has_begun:
                raise EOFError("the file ends early")
            if not data:
                return b"", True
            self._has_begun = True
        else:
            data = b""
        return self._stream.decompress(data, size), False

    def _next_stream(self) -> bytes:
        """Return the beginning of the next stream; nothing at the end of the file."""
        rest = self._stream.unused_data or self._file.read(_BLOCK)
        while rest:
            data = rest.lstrip(b"\0")
            self.is_padded |= len(data) < len(rest)
            if data:
                return data
            rest = self._file.read(_BLOCK)
        return b""
