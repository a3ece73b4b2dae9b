"""What the caller has becomes JSON text that DuckDB reads.

Files stay where they are, all else is spooled.  Whatever comes in goes one road, so that one set
of guards judges it: a dict, a frame's row and a line of a file are refused for the same reasons,
in the same words.
"""

from __future__ import annotations

import glob
import gzip
import os
import shutil
import zlib
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import IO, TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

import pyarrow as pa

from tidyusage import jsontext, schema
from tidyusage.sql import literal, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import duckdb

    from tidyusage.jsontext import Shape
    from tidyusage.memory import Lines

Compression = Literal["none", "gzip", "zstd"]

_BLOCK: Final = 1 << 16
_HEAD: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"
_PAGED: Final[frozenset[Shape]] = frozenset({"pages", "keyed"})
# What stands among pages and is none must not pass for an empty one.
_RESULT: Final = (
    "case when result is null then error('tidyusage: a page has no result') else result end"
)
_MAGIC: Final[dict[bytes, Compression]] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_FORMATS: Final[dict[Shape, str]] = {
    "lines": "newline_delimited",
    "array": "array",
    "objects": "unstructured",
    "pages": "unstructured",
    "keyed": "unstructured",
}


class Place(NamedTuple):
    """Where a record stands, in words that its owner can follow."""

    source: str
    line: int | None
    nan_is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A file of JSON text.  ``label`` is what its owner calls it.

    Records of ``indexed`` text were never lines to their owner: they are named by position.
    Those that have ``lines`` are no file: ``path`` is the name by which DuckDB knows them.
    """

    path: str
    label: str
    shape: Shape = "lines"
    compression: Compression = "none"
    indexed: bool = False
    from_frame: bool = False
    lines: Lines | None = None

    def records(self) -> Iterator[tuple[Place, bytes]]:
        """Yield every record's place and text, one by one; the slow way."""
        with self.open() as stream:
            blocks = _Blocks(stream)
            yield from self._lines(blocks) if self.shape == "lines" else self._found(blocks)
            if blocks.problem:
                yield Place(self.label, None), f"{jsontext.PROBLEM}{blocks.problem}".encode()

    def on_disk(self) -> Text:
        """Return the text as a file, which is written if there is none yet."""
        if self.lines is None:
            return self
        with self.open() as lines, open(self.path, "wb") as stream:
            shutil.copyfileobj(lines, stream)
        return replace(self, lines=None)

    def open(self) -> IO[bytes]:
        """Open the text, unpacked."""
        if self.lines is not None:
            return self.lines.open()
        if self.compression == "gzip":
            return cast("IO[bytes]", gzip.open(self.path))
        if self.compression == "zstd":
            return cast("IO[bytes]", pa.CompressedInputStream(self.path, "zstd"))
        return open(self.path, "rb")

    def head(self) -> bytes:
        """Return the text's beginning, without its byte order mark."""
        with self.open() as stream:
            return b"".join(islice(_Blocks(stream), _HEAD // _BLOCK)).removeprefix(_BOM)

    def size(self) -> int:
        """Return the length of the text, unpacked."""
        if self.compression == "none":
            return os.path.getsize(self.path)
        with self.open() as stream:
            return sum(map(len, _Blocks(stream)))

    def is_cut_off(self) -> bool:
        """Tell whether an array has no end: after a comma DuckDB does not miss it."""
        if self.shape != "array":
            return False
        if self.compression == "none":
            with open(self.path, "rb") as stream:
                stream.seek(max(0, os.path.getsize(self.path) - _BLOCK))
                return not stream.read().rstrip().endswith(b"]")
        last = b""
        with self.open() as stream:
            for block in _Blocks(stream):
                last = block.rstrip() or last
        return not last.endswith(b"]")

    def _lines(self, blocks: Iterable[bytes]) -> Iterator[tuple[Place, bytes]]:
        for number, line in enumerate(_split(blocks), start=1):
            text = line.removeprefix(_BOM) if number == 1 else line
            if text.strip():
                yield self._place(number - 1, number), text.strip(b" \t\r\n")

    def _found(self, blocks: Iterable[bytes]) -> Iterator[tuple[Place, bytes]]:
        text = b"".join(blocks).removeprefix(_BOM).decode("utf-8", "surrogateescape")
        line, offset = 1, 0
        for position, found in enumerate(jsontext.records(text, self.shape)):
            line += text.count("\n", offset, found.offset)
            offset = found.offset
            place = Place(f"{self.label}[{position}]", None if self.indexed else line)
            yield place, found.text.encode("utf-8", "surrogateescape")

    def _place(self, position: int, line: int) -> Place:
        if self.indexed:
            return Place(f"{self.label}[{position}]", None, self.from_frame)
        return Place(self.label, line)


class _Blocks:
    """The blocks of a stream as far as it can be unpacked; ``problem`` says why no further."""

    def __init__(self, stream: Any) -> None:
        self.read = getattr(stream, "read1", stream.read)
        self.problem = ""

    def __iter__(self) -> Iterator[bytes]:
        try:
            while block := self.read(_BLOCK):
                yield block
        except (EOFError, OSError, zlib.error, pa.ArrowInvalid) as error:
            self.problem = f"compressed data that is cut off or damaged: {error}"


def _split(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        yield from lines
    if rest:
        yield rest


def text(path: str, label: str | None = None, *, indexed: bool = False) -> Text:
    """Look at a file's beginning to learn how it is to be read."""
    with open(path, "rb") as stream:
        magic = stream.read(4)
    found = Text(path, label or path, compression=_compression(magic), indexed=indexed)
    return replace(found, shape=jsontext.shape(found.head().decode("utf-8", "replace")))


def is_parquet(path: str) -> bool:
    """Tell whether a file is Parquet, by its name or by its first bytes."""
    with open(path, "rb") as stream:
        return path.lower().endswith(".parquet") or stream.read(4) == b"PAR1"


def _compression(magic: bytes) -> Compression:
    for mark, kind in _MAGIC.items():
        if magic.startswith(mark):
            return kind
    return "none"


def starts_with_bom(file: Text) -> bool:
    """Tell whether a text begins with a byte order mark, which DuckDB does not read past."""
    with file.open() as stream:
        return next(iter(_Blocks(stream)), b"").startswith(_BOM)


def attach(connection: duckdb.DuckDBPyConnection, texts: Iterable[Text]) -> None:
    """Let a connection of ours know what is no file."""
    for file in texts:
        if file.lines is not None:
            connection.register(file.path, file.lines)


def scan(texts: Iterable[Text], *, remote_data: bool, text: str) -> str:
    """Return the SQL of a table of raw records, in the order of the texts.

    ``text`` is the type as which text is read: JSON, or VARCHAR.
    """
    columns = schema.raw_columns(remote_data=remote_data, text=text)
    struct = schema.raw_struct(remote_data=remote_data, text=text)

    def rows(files: list[Text]) -> str:
        if files[0].lines is not None:
            structure = literal(schema.raw_structure(remote_data=remote_data, text=text))
            return f"select unnest(from_json(line, {structure})) from {quote(files[0].path)}"
        if files[0].shape in _PAGED:
            return f"select unnest(j) from ({_entries(files, struct)})"
        return f"select * from {_read(files, columns)}"

    return _united(texts, rows)


def scan_json(texts: Iterable[Text]) -> str:
    """Return the SQL of a table of whole records as JSON, in the order of the texts."""

    def rows(files: list[Text]) -> str:
        if files[0].lines is not None:
            return f"select line::json as j from {quote(files[0].path)}"
        if files[0].shape in _PAGED:
            return _entries(files, "JSON")
        return f"select json as j from read_json_objects({', '.join(_arguments(files))})"

    return _united(texts, rows)


def _united(texts: Iterable[Text], rows: Callable[[list[Text]], str]) -> str:
    """Return the SQL of all texts, those of one shape and packing being read together."""
    groups = groupby(texts, lambda file: file.lines or (file.shape, file.compression))
    parts = [f"({rows(list(group))})" for _, group in groups]
    return parts[0] if len(parts) == 1 else f"({' union all '.join(parts)})"


def _entries(files: list[Text], entry: str) -> str:
    """Return the query of the records of API pages, each as a column ``j``."""
    largest = max(file.size() for file in files) + 1024  # a page is one object, however large
    keyed = files[0].shape == "keyed"
    columns = {"result": f"MAP(VARCHAR, {entry})" if keyed else f"{entry}[]"}
    items = f"map_values({_RESULT})" if keyed else _RESULT
    return f"select unnest({items}) as j from {_read(files, columns, largest)}"


def _read(files: list[Text], columns: dict[str, str], largest: int | None = None) -> str:
    arguments = [*_arguments(files), f"columns = {schema.columns_argument(columns)}"]
    if largest is not None:
        arguments.append(f"maximum_object_size = {largest}")
    return f"read_json({', '.join(arguments)})"


def _arguments(files: list[Text]) -> list[str]:
    paths = ", ".join(literal(glob.escape(file.path)) for file in files)
    first = files[0]
    return [
        f"[{paths}]",
        f"format = '{_FORMATS[first.shape]}'",
        f"compression = '{first.compression}'",
    ]
