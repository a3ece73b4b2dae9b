"""Stream records that are in memory to DuckDB as JSON, without a temporary file.

What DuckDB makes of it is looser than what it makes of a file: of 5 where an object belongs it
makes an object without members, and of {} where a list belongs, nothing.  The former is marked
by `tidyusage.io.quick_sql.Loose`, the latter is refused here; either is then read from a file.
"""

from __future__ import annotations

import io
import struct
from itertools import repeat
from typing import IO, TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage._utils import json_lines
from tidyusage.catalogue import LISTS
from tidyusage.io.json_text import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BATCH: Final = 2_048  # as many as DuckDB takes at once; half or twice as many take longer
_LISTS: Final = frozenset({list, tuple, type(None)})
_SCHEMA: Final = pa.schema([("records", pa.large_string())])


class Lines:
    """Records that become JSON when they are asked for, as often as that may be."""

    def __init__(self, records: Sequence[object]) -> None:
        self._records = records

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand a new stream of JSON arrays over, by Arrow's protocol."""
        batches = (pa.record_batch([_array(batch)], schema=_SCHEMA) for batch in self._batches())
        reader: Any = pa.RecordBatchReader.from_batches(_SCHEMA, batches)
        return reader.__arrow_c_stream__(requested_schema)

    def open(self) -> IO[bytes]:
        """Open the lines as a file is opened."""
        batches = (b"\n".join([*json_lines.lines(batch), b""]) for batch in self._batches())
        return io.BufferedReader(_Stream(batches))

    def are_few(self) -> bool:
        """Tell whether DuckDB takes them at once."""
        return len(self._records) <= _BATCH

    def sample(self, count: int) -> list[bytes]:
        """Return about so many lines from all over."""
        return json_lines.lines(self._records[:: -(-len(self._records) // count) or 1])

    def _batches(self) -> Iterator[Sequence[object]]:
        for start in range(0, len(self._records), _BATCH):
            yield self._records[start : start + _BATCH]


def _array(records: Sequence[Any]) -> pa.Array[Any]:
    """Return records as one text of Arrow, without a copy."""
    if not _are_fit(records):
        raise ValueError("a record that is no dict, or a list that is none")
    text = json_lines.array(records)
    if len(text) > LONGEST and max(map(len, json_lines.lines(records))) > LONGEST:
        raise ValueError("a record that is too long")
    ends = struct.pack("=qq", 0, len(text))
    return pa.LargeStringArray.from_buffers(1, pa.py_buffer(ends), pa.py_buffer(text))


def _are_fit(records: Sequence[Any]) -> bool:
    return all(issubclass(kind, dict) for kind in set(map(type, records))) and all(
        set(map(type, map(dict.get, records, repeat(name)))) <= _LISTS for name in LISTS
    )


class _Stream(io.RawIOBase):
    """A file of what an iterator yields."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._blocks, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
