"""Recognize files without Usage records, such as archives, pictures or UTF-16 text."""

from __future__ import annotations

import codecs
import io
import re
from typing import Final

from tidyusage import catalogue
from tidyusage.errors import SourceError
from tidyusage.io import compression, json_text

_TAR: Final = 257  # where a tar archive has its signature
_LIST: Final = re.compile(r"\[\s*(\{|\])")
_CONVERT: Final = "Save it as UTF-8, for example with iconv -f UTF-16 -t UTF-8."
_UNPACK: Final = "Unpack it first."
_NOT_RECORDS: Final = "Give JSON, Parquet or CSV files of Usage records."
# How files begin, what they are, and what to do with them.
_SIGNATURES: Final[tuple[tuple[bytes, str, str], ...]] = (
    (codecs.BOM_UTF32_LE, "text in UTF-32", _CONVERT),
    (codecs.BOM_UTF32_BE, "text in UTF-32", _CONVERT),
    (codecs.BOM_UTF16_LE, "text in UTF-16", _CONVERT),
    (codecs.BOM_UTF16_BE, "text in UTF-16", _CONVERT),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"PK\x03\x04", "a zip archive that is cut off", "Copy or download the file again."),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "Unpack it first: lz4 -d FILE."),
    (b"\xff\x06\0\0sNaPpY", "compressed with Snappy", _UNPACK),
    (b"\x1f\x9d", "compressed with compress (.Z)", _UNPACK),
    (b"\x89LZO", "compressed with lzop", _UNPACK),
    (b"LZIP", "compressed with lzip", _UNPACK),
    (b"\x89PNG", "a PNG picture", _NOT_RECORDS),
    (b"\xff\xd8\xff", "a JPEG picture", _NOT_RECORDS),
    (b"GIF8", "a GIF picture", _NOT_RECORDS),
    (b"%PDF", "a PDF document", _NOT_RECORDS),
    (b"\xd0\xcf\x11\xe0", "an old Office document, such as an .xls workbook", "Save it as CSV."),
    (b"SQLite format 3\0", "an SQLite database", "Read its table with pandas and flatten that."),
    (b"ARROW1", "an Arrow file (Feather)", "Read it with pandas.read_feather or pyarrow."),
    (b"ORC", "an ORC file", "Convert it to Parquet."),
    (b"Obj\x01", "an Avro file", "Convert it to NDJSON or Parquet."),
    (b"\x7fELF", "a program", _NOT_RECORDS),
)
# Likewise, but only after blanks, and in any case.
_MARKUP: Final[tuple[tuple[bytes, str], ...]] = (
    (b"<!doctype html", "a web page (HTML)"),
    (b"<html", "a web page (HTML)"),
    (b"<?xml", "XML"),
    (b"<", "markup, such as HTML or XML"),
)
_LOGIN: Final = "A login page or an error is often saved in place of the data: check the download."


def require_text(head: bytes, label: str) -> None:
    """Raise if a file, unpacked, does not begin as text of JSON does.

    Raises
    ------
    SourceError
        With what the file is, if it is known by its beginning.
    """
    first = compression.first_bytes(io.BytesIO(head))
    for signature, kind, hint in _SIGNATURES:
        if head.startswith(signature) or first.startswith(signature):
            raise _error(label, kind, hint)
    if head[_TAR : _TAR + 5] == b"ustar":
        raise _error(label, "a tar archive", "Unpack it first: tar -xf FILE.")
    if head[8:12] == b"DUCK":
        raise _error(label, "a DuckDB database", "Query its table with DuckDB and flatten that.")
    start = head[:64].lstrip().lower()
    for signature, kind in _MARKUP:
        if start.startswith(signature):
            raise _error(label, kind, _LOGIN)
    if _is_utf_16(head[:64]):
        raise _error(label, "text in UTF-16", _CONVERT)


def require_records(head: str, label: str) -> None:
    """Raise if a text is an object around a list that may be the records, such as {"data": […]}."""
    found = list_within(head)
    if found is not None:
        raise SourceError(
            f"{label!r} is an object with a list {found!r}: not Usage records, and not a page of "
            "them, whose list is 'result'.",
            f"If the entries of {found!r} are Usage records, save that list alone, "
            "or give it to flatten_usage().",
        )


def list_within(head: str) -> str | None:
    """Return the key of a list of objects if a text begins with an object of no known key."""
    start = len(head) - len(head.lstrip())
    if not head.startswith("{", start):
        return None
    known = {*catalogue.tree((*catalogue.FIELDS, *catalogue.SOURCE)), "result"}
    found = None
    for key, value in json_text.members(head, start):
        if key in known:
            return None
        if found is None and _LIST.match(head, value):
            found = key
    return found


def _error(label: str, kind: str, hint: str) -> SourceError:
    return SourceError(f"{label!r} is {kind}, which cannot be read as Usage records.", hint)


def _is_utf_16(head: bytes) -> bool:
    """Tell whether every other byte is zero: UTF-16 without a byte order mark."""
    evens, odds = head[0::2], head[1::2]
    zeros = (len(evens) > 1, evens.count(0), odds.count(0))
    return zeros in {(True, len(evens), 0), (True, 0, len(odds))}
