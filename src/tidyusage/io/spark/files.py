"""Read files as lines in Spark, each with its file and position."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from tidyusage.engines.spark import text
from tidyusage.errors import OptionError, RecordError, SourceError
from tidyusage.io import compression, inputs, json_text
from tidyusage.io.paths import expand
from tidyusage.io.spark.raw import WHOLE
from tidyusage.io.spark.typed_sql import FILE, LINE, PLACE, PLACES, START

if TYPE_CHECKING:
    from tidyusage.typing import Path

SAMPLE: Final = 1_000
_HEAD: Final = 20
# Spark strips a byte order mark from lines, but not from files.
_WITHOUT_BOM: Final = f"trim(leading '\ufeff' from {LINE})"
# No string holds the end of a line, so that records can be told apart by theirs.
_BETWEEN: Final = r"'\\}(\\s*\\n\\s*)\\{', '},$1{'"
_LISTED: Final = f"concat('[', regexp_replace({_WITHOUT_BOM}, {_BETWEEN}), ']')"
_RESULTS: Final = ("array<string>", "map<string, string>")
_AS_IT_IS: Final = "/-_.!~*'(),;:$&+=@"  # in the path of an address, as Java writes one
_BYTES: Final = 1 << 23
_DATA: Final = "*.{json,ndjson,jsonl}{,.gz,.zst,.bz2,.snappy,.lz4}"
# How files that are packed begin, as text.
_PACKED: Final = ("\x1f\ufffd", "(\ufffd/\ufffd")
_IS_THERE: Final = f"regexp_like({LINE}, '[^ \\\\t\\\\r\\\\n]')"


class Lines(NamedTuple):
    """Lines of text and the records in them; how long they are, and whether a fetch marked them."""

    read: Any
    records: Any
    longest: int
    has_source: bool


def paths(source: Any) -> list[str]:
    """Return the paths that the caller names, as Spark takes them."""
    places = [source] if isinstance(source, str | os.PathLike) else source
    if not isinstance(places, Iterable):
        raise OptionError(
            f"Spark cannot read a {type(source).__name__}.",
            "Give a path, a glob, or a list of them.",
        )
    found = [expand(place) for place in places]
    if not found:
        raise SourceError("The list of files is empty.", "Name at least one file.")
    return found


def is_parquet(places: Iterable[str]) -> bool:
    """Tell whether all paths are of Parquet, by their names."""
    return all(place.rstrip("/").endswith(".parquet") for place in places)


def lines(session: Any, places: list[str], rejects: Path | None) -> Lines:
    """Return the lines of text; but for the first twenty of them nothing is read now.

    They tell the shape of all files.  Where values go over several lines, a file is read as one.
    The file of an earlier run's ``rejects`` is no source.
    """
    _check_local(places)
    try:
        head = _head(_text(session, places, rejects, whole=False))
    except Exception as error:
        raise _refusal(error, places) from error
    if head and head[0].startswith(_PACKED):
        raise SourceError(
            f"{_named(places)} holds a file that is packed, though its name does not say so.",
            "Spark goes by names: end them in .gz or .zst.",
        )
    shape = json_text.shape("\n".join(head))
    is_whole = shape in {"array", "objects"} or (shape != "lines" and not _is_json(head[0]))
    rows = _text(session, places, rejects, whole=is_whole)
    line = _LISTED if shape == "objects" else _WITHOUT_BOM
    read = _placed(rows, "_metadata.file_path", "_metadata.file_block_start", line)
    records = _lines(read) if shape == "lines" else _records(read)
    has_source = bool(inputs.SOURCE.match("\n".join(head).encode()))
    return Lines(read, records, max(map(len, head), default=1), has_source)


def sample(lines: Lines) -> list[bytes]:
    """Return the first records, a thousand of them or less where they are long."""
    many = max(1, min(SAMPLE, _BYTES // lines.longest))
    return [str(row[0]).encode() for row in lines.records.select(LINE).head(many)]


def texts(frame: Any) -> Any:
    """Return a frame of nested rows, or of lines alone, as records' text."""
    if frame.dtypes == [(LINE, "string")]:
        return _lines(_placed(frame, "cast(null as string)", "cast(null as bigint)"))
    options = (
        "'timeZone', 'UTC', 'timestampFormat', 'yyyy-MM-dd\\'T\\'HH:mm:ss.SSSSSSXXX', "
        "'timestampNTZFormat', 'yyyy-MM-dd\\'T\\'HH:mm:ss.SSSSSS'"
    )
    rows = frame.selectExpr(f"to_json(struct(*), map({options})) as {LINE}")
    return _placed(rows, "cast(null as string)", "cast(null as bigint)")


def _head(lines: Any) -> list[str]:
    rows = lines.where(_IS_THERE).head(_HEAD)
    return [row[0].removeprefix("\ufeff") for row in rows]


def _check_local(places: list[str]) -> None:
    """Raise for a compressed file of this machine that is damaged or ends early.

    Spark's own codecs notice that of gzip and zstd, but not of bz2 (4.3).
    """
    for place in filter(os.path.isfile, places):
        packing = compression.detect(place)
        is_cut_off = compression.is_cut_off_at_once(place, place)
        if is_cut_off or (
            packing != "none" and compression.check(place, place, packing).is_cut_off
        ):
            raise compression.cut_off(place)


def _refusal(error: Exception, places: list[str]) -> Exception:
    condition = getattr(error, "getCondition", lambda: None)() or ""
    if condition.startswith("FAILED_READ_FILE"):
        return RecordError(
            f"Spark cannot read {_named(places)} to its end.",
            "The file may be damaged or cut off: copy or download it again.",
        )
    if condition == "PATH_NOT_FOUND":
        said = f"Spark finds nothing at {_named(places)}."
        return SourceError(said, "Check the path and its scheme.")
    if condition == "UNABLE_TO_INFER_SCHEMA":
        return SourceError(f"{_named(places)} holds no data files.", "Check the path.")
    return error


def _named(places: list[str]) -> str:
    return repr(places[0] if len(places) == 1 else f"{len(places)} paths")


def _text(session: Any, places: list[str], rejects: Path | None, *, whole: bool) -> Any:
    reader = session.read.option("recursiveFileLookup", "true")
    if any(map(_is_folder, places)):
        reader = reader.option("pathGlobFilter", _DATA)  # of folders the data files alone
    rows = reader.text(places, wholetext=whole)
    if rejects is None:
        return rows
    path = os.path.abspath(os.fspath(rejects))
    address = "".join(quote(sign, _AS_IT_IS) if sign.isascii() else sign for sign in path)
    return rows.where(f"not endswith(_metadata.file_path, {text(address)})")


def _is_folder(place: str) -> bool:
    """Tell whether a path is a folder's: what is not here is known by its name alone."""
    has_ending = os.path.splitext(place.rstrip("/"))[1] != ""
    return os.path.isdir(place) or not (has_ending or os.path.isfile(place))


def _placed(rows: Any, file: str, start: str, line: str = LINE) -> Any:
    return rows.selectExpr(
        f"{line} as {LINE}",
        f"{file} as {FILE}",
        f"{start} as {START}",
        f"monotonically_increasing_id() as {PLACE}",
    )


def _lines(read: Any) -> Any:
    """Return a row a record, each of which stands on a line."""
    return read.where(_IS_THERE)


def _records(read: Any) -> Any:
    """Return a row a record: of an array its entries, of an API page those of its result."""
    one = f"from_json({WHOLE}, 'array<string>')"
    pages = [f"from_json(one[0], 'result {type_}').result" for type_ in _RESULTS]
    found = (
        f"case when size(one) = 2 then coalesce(if(left(ltrim({LINE}), 1) = '[', "
        f"from_json(one[0], 'array<string>'), coalesce({pages[0]}, map_values({pages[1]}))), "
        f"array({LINE})) else array({LINE}) end"
    )
    return _lines(read).selectExpr(
        f"explode(transform(array({one}), one -> {found})[0]) as {LINE}", *PLACES
    )


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
