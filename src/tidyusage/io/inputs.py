"""Turn the caller's input into JSON text for DuckDB.

Files stay where they are, all else is spooled.  Whatever comes in goes one road, so that one set
of guards judges it: a dict, a frame's row and a line of a file are refused for the same reasons,
in the same words.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, replace
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from tidyusage.errors import RecordError
from tidyusage.io import compression, fetch_manifest, file_kinds, json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tidyusage.io.compression import Compression, Unpacked
    from tidyusage.io.json_text import Shape
    from tidyusage.io.memory import Lines

# The length from which on DuckDB must be told to read a record.
LONG: Final = 1 << 24
_BLOCK: Final = 1 << 16
_HEAD: Final = 1 << 20
# How much is read at a time of what must be looked at more closely.
_LINES: Final = 1 << 25
_RECORDS: Final = 50_000
# A longer line is never collected in memory.
LONGEST_LINE: Final = 1 << 26
BOM: Final = b"\xef\xbb\xbf"
# How a record begins that a fetch has marked, be it on a line, in an array or on a page.
SOURCE: Final = re.compile(
    rb'\s*(?:(?:\[|\{\s*"result"\s*:\s*\[)\s*)?\{\s*"source"\s*:\s*\{\s*"account"\s*:'
)


class Place(NamedTuple):
    """Where a record stands, in words that its owner can follow."""

    source: str
    line: int | None
    nan_is_missing: bool = False


Row = tuple[Place, bytes]


@dataclass(frozen=True, slots=True)
class Text:
    """A file of JSON text.  ``label`` is what its owner calls it.

    Records of ``indexed`` text were never lines to their owner: they are named by position.
    Those that have ``lines`` are no file: ``path`` is the name by which DuckDB knows them.  Where a
    fetch has marked the records with account and report, the text ``has_source``.  ``unpacked`` is
    what is known of a text that came compressed, even if it has been unpacked since.
    ``longest`` is the length of its longest record, if that is known.
    """

    path: str
    label: str
    shape: Shape = "lines"
    compression: Compression = "none"
    indexed: bool = False
    from_frame: bool = False
    lines: Lines | None = None
    has_source: bool = False
    unpacked: Unpacked | None = None
    longest: int = 0

    def records(self) -> Iterator[Row]:
        """Yield every record's place and text, one by one; the slow way."""
        for batch in self.batches():
            yield from batch.rows()

    def batches(self) -> Iterator[Batch]:
        """Yield the records, many at a time."""
        with self.open() as stream:
            blocks = _Blocks(stream)
            if self.shape == "lines":
                first = 1
                for lines in _whole_lines(blocks, self.label):
                    for part in self._parts(lines):
                        yield Batch(self, lines=part, first=first)
                        first += part.count(b"\n")
            else:
                found = self._found(blocks)
                while rows := list(islice(found, _RECORDS)):
                    yield Batch(self, found=rows)
            if blocks.problem or self._ends_early():
                problem = blocks.problem or "compressed data that is cut off"
                row = Place(self.label, None), f"{json_text.PROBLEM}{problem}".encode()
                yield Batch(self, found=[row])

    def _parts(self, lines: bytes) -> Iterator[bytes]:
        """Yield lines, and apart from them the line in which compressed data is cut off."""
        if not self._ends_early() or lines.endswith(b"\n"):
            yield lines
            return
        whole, newline, cut = lines.rpartition(b"\n")
        yield from filter(None, (whole + newline, cut))

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
        return compression.open_unpacked(self.path, self.compression)

    def head(self) -> bytes:
        """Return the text's beginning, without its byte order mark."""
        with self.open() as stream:
            return b"".join(islice(_Blocks(stream), _HEAD // _BLOCK)).removeprefix(BOM)

    def size(self) -> int:
        """Return the length of the text, unpacked."""
        return os.path.getsize(self.path) if self.unpacked is None else self.unpacked.size

    def is_short(self) -> bool:
        """Tell whether the text is too short for its reading to take long."""
        if self.lines is not None:
            return self.lines.are_few()
        return os.path.getsize(self.path) < _HEAD

    def is_cut_off(self) -> bool:
        """Tell whether a text ends early, which DuckDB may not notice.

        That is compressed data without its end, or an array: after a comma DuckDB does not miss the
        closing bracket.
        """
        if self._ends_early():
            return True
        if self.shape != "array":
            return False
        if self.unpacked is not None:
            return self.unpacked.last != b"]"
        with open(self.path, "rb") as stream:
            stream.seek(max(0, os.path.getsize(self.path) - _BLOCK))
            return not stream.read().rstrip().endswith(b"]")

    def require_whole(self) -> None:
        """Raise if the text came compressed and ends early."""
        if self._ends_early():
            raise compression.cut_off(self.label)

    def _ends_early(self) -> bool:
        return self.unpacked is not None and self.unpacked.is_cut_off

    def _found(self, blocks: Iterable[bytes]) -> Iterator[Row]:
        text = b"".join(blocks).removeprefix(BOM).decode("utf-8", "surrogateescape")
        line, offset = 1, 0
        for position, found in enumerate(json_text.records(text)):
            line += text.count("\n", offset, found.offset)
            offset = found.offset
            place = Place(f"{self.label}[{position}]", None if self.indexed else line)
            yield place, found.text.encode("utf-8", "surrogateescape")

    def place(self, line: int) -> Place:
        """Return the place of a line, counted from 1."""
        if self.indexed:
            return Place(f"{self.label}[{line - 1}]", None, self.from_frame)
        return Place(self.label, line)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of a text: whole lines, of which the first has a number, or records found in it."""

    text: Text
    lines: bytes = b""
    first: int = 1
    found: Sequence[Row] = ()

    def rows(self) -> Iterator[Row]:
        """Yield every record's place and text."""
        yield from self.found
        for number, line in enumerate(self.lines.split(b"\n"), start=self.first):
            text = line.removeprefix(BOM) if number == 1 else line
            if text.strip():
                yield self.text.place(number), text.strip()  # of all that DuckDB passes over

    def count(self) -> int:
        """Return how many records there are."""
        return len(self.found) + sum(map(bool, map(bytes.strip, self.lines.split(b"\n"))))

    def write(self, path: str) -> Text:
        """Write the records to a file, one a line."""
        with open(path, "wb") as stream:
            stream.write(self.lines.removeprefix(BOM) if self.first == 1 else self.lines)
            # A record of an array may stand on several lines; within its strings there are none.
            stream.writelines(record.replace(b"\n", b" ") + b"\n" for _, record in self.found)
        longest = max((len(record) for _, record in self.found), default=0)
        if len(self.lines) > LONG:
            longest = max(map(len, self.lines.split(b"\n")))
        return Text(path, "batch", indexed=True, from_frame=self.text.from_frame, longest=longest)


class _Blocks:
    """The blocks of a stream as far as it can be unpacked; ``problem`` says why no further."""

    def __init__(self, stream: Any) -> None:
        self.read = getattr(stream, "read1", stream.read)
        self.problem = ""

    def __iter__(self) -> Iterator[bytes]:
        try:
            while block := self.read(_BLOCK):
                yield block
        except compression.ERRORS as error:
            self.problem = f"compressed data that is cut off or damaged: {error}"


def _whole_lines(blocks: Iterable[bytes], label: str) -> Iterator[bytes]:
    """Yield many lines at a time, each with its end; the last may have none.

    A line that is longer than any record may be is not collected in memory, but raises.
    """
    kept: list[bytes] = []
    size = line = 0
    for block in blocks:
        lines, newline, rest = block.rpartition(b"\n")
        size += len(block)
        line = len(rest) if newline else line + len(block)
        _require_short(line, label)
        if size < _LINES or not newline:
            kept.append(block)
            continue
        yield b"".join([*kept, lines, newline])
        kept, size = [rest], len(rest)
    if kept:
        yield b"".join(kept)


def _require_short(line: int, label: str) -> None:
    """Raise for a line that no memory should be spent on."""
    if line > LONGEST_LINE:
        raise RecordError(
            f"{label!r} has a line of more than {LONGEST_LINE // 2**20} MiB, which is too long for "
            "a record.",
            "Each record must have a line of its own.  Is the file damaged, or a single array?",
        )


def text(path: str, label: str | None = None, *, indexed: bool = False) -> Text:
    """Look at a file to learn how it is to be read.

    Raises
    ------
    RecordError
        If the file is compressed and damaged, or unpacks to a line of more than `LONGEST_LINE`.
    SourceError
        If the file holds something else than JSON, as far as its beginning shows.
    """
    label = label or path
    packing, unpacked = compression.detect(path), None
    if packing != "none":
        unpacked = compression.check(path, label, packing)
    elif compression.is_cut_off_at_once(path, label):
        unpacked = compression.NOTHING
    found = Text(path, label, compression=packing, indexed=indexed, unpacked=unpacked)
    head = found.head()
    file_kinds.require_text(head, label)
    decoded = head.decode("utf-8", "replace")
    file_kinds.require_records(decoded, label)
    shape = json_text.shape(decoded)
    if shape == "lines" and unpacked is not None:
        _require_short(unpacked.longest, label)
    return replace(
        found,
        shape=shape,
        has_source=bool(SOURCE.match(head)) or fetch_manifest.home(path) is not None,
    )


def is_parquet(path: str, label: str) -> bool:
    """Tell whether a file is Parquet, by its name or by its first bytes."""
    with open(path, "rb") as stream:
        return label.lower().endswith(".parquet") or stream.read(4) == b"PAR1"


def starts_with_bom(file: Text) -> bool:
    """Tell whether a text begins with a byte order mark, which DuckDB does not read past."""
    with file.open() as stream:
        return next(iter(_Blocks(stream)), b"").startswith(BOM)
