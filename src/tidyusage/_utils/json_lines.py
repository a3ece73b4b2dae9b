"""Write Python objects as JSON lines: dicts, dataclasses, pydantic, attrs and msgspec objects."""

from __future__ import annotations

import json
import marshal
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import orjson

# How marshal writes an infinity, of either sign, as 8 bytes and as NumPy's 4.
_INFINITIES: Final = (
    b"\x00\x00\x00\x00\x00\x00\xf0\x7f",
    b"\x00\x00\x00\x00\x00\x00\xf0\xff",
    b"s\x04\x00\x00\x00\x00\x00\x80\x7f",
    b"s\x04\x00\x00\x00\x00\x00\x80\xff",
)


_MINUTE: Final = timedelta(minutes=1)


def array(records: Sequence[object]) -> bytes:
    """Return records as one JSON array; `lines` says what becomes of infinities."""
    try:
        found = _DUMPS(records)
    except (TypeError, ValueError):
        return _joined(records)
    has_null = found.rfind(b"null") >= 0  # half the time of ``in``
    return _joined(records) if has_null and _may_hold_infinity(records) else found


def _joined(records: Sequence[object]) -> bytes:
    return b"[" + b",".join(lines(records)) + b"]"


def lines(records: Sequence[object]) -> list[bytes]:
    """Return records as JSON, without a line's end.

    orjson writes NaN and infinities alike as null.  NaN is how pandas says missing; an infinity
    is a fault and must stay one, so a record with a null is looked at, and written the exact way
    if it holds an infinity.
    """
    try:
        found = list(map(_DUMPS, records))
    except (TypeError, ValueError):
        # Each on its own, so that how a record is written does not depend on the others.
        found = list(map(_quick_line, records))
    if not any(b"null" in line for line in found):
        return found
    return [
        _line(record) if b"null" in line and _may_hold_infinity(record) else line
        for record, line in zip(records, found, strict=True)
    ]


def _unknown_to_orjson(value: object) -> str:
    """Write dates and times, which orjson is told to leave: it drops the seconds of an offset."""
    if type(value) in {datetime, date, time}:
        return _time_text(cast("datetime | date | time", value))
    raise TypeError


_DUMPS: Final = partial(
    orjson.dumps,
    default=_unknown_to_orjson,
    option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATETIME,
)


def _quick_line(record: object) -> bytes:
    try:
        return _DUMPS(record)
    except (TypeError, ValueError):
        return _line(record)


def _may_hold_infinity(value: object) -> bool:
    try:
        image = marshal.dumps(cast("Any", value), 2)
    except ValueError:  # it holds more than plain Python values
        return True
    return any(mark in image for mark in _INFINITIES)


def _line(record: object) -> bytes:
    try:
        return json.dumps(_plain(record)).encode()
    except RecursionError:
        return _deep_line(record)


class _Mark(NamedTuple):
    """A piece of JSON that `_deep_line` writes as it is; it may close a container."""

    text: str
    closes: int = 0


def _deep_line(record: object) -> bytes:
    """Write a record that nests deeper than Python's encoder goes."""
    pieces: list[str] = []
    is_open: set[int] = set()
    todo: list[Any] = [record]
    while todo:
        value = todo.pop()
        if isinstance(value, _Mark):
            pieces.append(value.text)
            is_open.discard(value.closes)
            continue
        plain = _one_level(value)
        if not isinstance(plain, dict | list):
            pieces.append(json.dumps(plain))
            continue
        if id(value) in is_open:
            return b'"an object that contains itself"'
        is_open.add(id(value))
        # The last comes first: it is a stack.
        is_object = isinstance(plain, dict)
        todo.append(_Mark("}" if is_object else "]", id(value)))
        items = list(plain.items()) if isinstance(plain, dict) else [("", each) for each in plain]
        for place, (key, inner) in reversed(list(enumerate(items))):
            start = f"{json.dumps(key)}:" if is_object else ""
            todo += [inner, _Mark(f",{start}" if place else start)]
        pieces.append("{" if is_object else "[")
    return "".join(pieces).encode()


def _plain(value: Any) -> Any:
    """Return a value as plain JSON; what it has no word for is a list, which no field takes."""
    plain = _one_level(value)
    if isinstance(plain, dict):
        return {key: _plain(inner) for key, inner in plain.items()}
    if isinstance(plain, list):
        return [_plain(inner) for inner in plain]
    return plain


def _one_level(value: Any) -> Any:
    """Return a value as plain JSON, but for what is within it."""
    if value is None or (isinstance(value, str | bool | int) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, Decimal):
        return None if value.is_nan() else str(value)
    if isinstance(value, Mapping):
        return {str(key): inner for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if repr(value) in {"NaT", "<NA>"}:  # pandas' other ways to say missing
        return None
    if isinstance(value, datetime | date | time):
        return _time_text(value)
    if isinstance(value, Enum):
        return _one_level(value.value)
    if isinstance(value, UUID):
        return str(value)
    if hasattr(value, "model_dump"):
        return _one_level(value.model_dump())
    for mark in ("__dataclass_fields__", "__struct_fields__"):
        if names := getattr(type(value), mark, ()):
            return {name: getattr(value, name) for name in names}
    if names := getattr(type(value), "__attrs_attrs__", ()):
        return {member.name: getattr(value, member.name) for member in names}
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        return _plain_numpy(value)
    return [repr(value)]


def _plain_numpy(value: Any) -> Any:
    """Return an array as a list, a scalar as orjson writes it."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    inner = value.tolist()
    if isinstance(inner, list):
        return inner
    if kind == "M":
        return None if inner is None else str(value)
    if kind == "f" and type(inner) is float:  # a float32 of 0.1 is 0.1
        return None if math.isnan(inner) else float(str(value))
    return str(value) if type(inner) is type(value) else _one_level(inner)


def _time_text(value: datetime | date | time) -> str:
    """Return a date or time as ISO 8601, in UTC if its offset has seconds, which RFC 3339 lacks."""
    offset = value.utcoffset() if isinstance(value, datetime) else None
    if offset is not None and offset % _MINUTE:
        with suppress(OverflowError):
            value = cast("datetime", value).astimezone(UTC)
    return value.isoformat()
