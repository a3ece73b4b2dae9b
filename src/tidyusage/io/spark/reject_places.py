"""Find the file, line and reason of each record that Spark cannot read.

The lines that are refused come to the driver, and are judged there as everywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from tidyusage.io import diagnose
from tidyusage.io.inputs import Place
from tidyusage.io.parse_sql import FAULT
from tidyusage.io.spark.typed_sql import FILE, LINE, PLACE, PLACES, START

if TYPE_CHECKING:
    from tidyusage.io.rejects import Reject

# What the other engines read, and what none but Spark looks for where no field is.
_UNNAMED: Final = (
    "a comma before a closing bracket, or, where nothing looks for them, "
    "NaN, a key twice, or text of an object"
)


def refused(rows: Any, read: Any, *, from_frame: bool, currency: str | None) -> list[Reject]:
    """Return the rejects among rows that hold their line, its place and whether it is faulty."""
    faulty = rows.where(FAULT).selectExpr(f"cast({LINE} as binary) as {LINE}", *PLACES)
    found = sorted(faulty.collect(), key=lambda row: (row[FILE] or "", row[PLACE]))
    if not found:
        return []
    lines = {} if from_frame else _lines(read)
    judged = []
    for row in found:
        place = _place(row, lines, from_frame=from_frame)
        text = bytes(row[LINE]).strip(b" \t\r\n")
        judged.append(
            diagnose.judge(place, text, currency=currency)
            or diagnose.refused(place, text, _UNNAMED, "Spark")
        )
    return judged


def _lines(read: Any) -> dict[tuple[str, int], int]:
    """Return what is to be added to a place for its line, by file and part of a file.

    Places rise by one from line to line within a part; parts of a file follow each other.
    """
    parts = read.groupBy(FILE, START).agg({PLACE: "min", "*": "count"})
    shift: dict[tuple[str, int], int] = {}
    before: dict[str, int] = {}
    rows = parts.toDF("file", "start", "first", "lines").collect()
    for file, start, first, count in sorted(rows):
        shift[file, start] = before.get(file, 0) + 1 - first
        before[file] = before.get(file, 0) + count
    return shift


def _place(row: Any, lines: dict[tuple[str, int], int], *, from_frame: bool) -> Place:
    if from_frame:
        return Place(f"frame[{row[PLACE]}]", None, nan_is_missing=True)
    return Place(_label(row[FILE]), lines[row[FILE], row[START]] + row[PLACE])


def _label(file: str) -> str:
    """Return a file's address as its owner writes it."""
    parts = urlsplit(file)
    return unquote(parts.path) if parts.scheme == "file" else unquote(file)
