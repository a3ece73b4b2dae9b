"""Python objects as JSON: dicts, and what stands for them."""

from __future__ import annotations

import json
import marshal
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

import orjson

from tidyusage.errors import FrameError

if TYPE_CHECKING:
    from tidyusage.envelope import Pages

# How marshal writes an infinity, of either sign, as 8 bytes and as NumPy's 4.
_INFINITIES: Final = (
    b"\x00\x00\x00\x00\x00\x00\xf0\x7f",
    b"\x00\x00\x00\x00\x00\x00\xf0\xff",
    b"s\x04\x00\x00\x00\x00\x00\x80\x7f",
    b"s\x04\x00\x00\x00\x00\x00\x80\xff",
)


def items(records: object, pages: Pages) -> Iterator[object]:
    """Yield the records of whatever holds them: one record, several, or API pages."""
    if isinstance(records, Mapping) or _is_object(records):
        return iter(_unpaged(records, pages))
    if not isinstance(records, Iterable):
        raise FrameError(
            f"{type(records).__name__} holds no Usage records.",
            "Give dicts, JSON text, or a frame; use read_usage() for files.",
        )
    rest = iter(records)
    first = list(islice(rest, 1))
    if first and _is_page(first[0]):
        return chain.from_iterable(_unpaged(page, pages) for page in chain(first, rest))
    return chain(first, rest)


def _is_object(value: object) -> bool:
    """Tell whether a value is a record as an object: pydantic, dataclass, attrs or msgspec."""
    kind = type(value)
    return hasattr(kind, "model_dump") or any(
        hasattr(kind, mark)
        for mark in ("__dataclass_fields__", "__attrs_attrs__", "__struct_fields__")
    )


def can_be_read_again(records: object) -> bool:
    """Tell whether records are a list of them, and not of API pages."""
    return isinstance(records, list | tuple) and not (records and _is_page(records[0]))


def _is_page(value: object) -> bool:
    return isinstance(value, Mapping) and "result" in value and "id" not in value


def _unpaged(value: Any, pages: Pages) -> Iterable[object]:
    if not _is_page(value):
        return [value]
    pages.see(value)
    result = value["result"]
    return list(result.values()) if isinstance(result, Mapping) else result or []


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
        return list(map(_line, records))
    if not any(b"null" in line for line in found):
        return found
    return [
        _line(record) if b"null" in line and _may_hold_infinity(record) else line
        for record, line in zip(records, found, strict=True)
    ]


_DUMPS: Final = partial(orjson.dumps, option=orjson.OPT_SERIALIZE_NUMPY)


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
        return b'["an object that contains itself"]'


def _plain(value: Any) -> Any:
    """Return a value as plain JSON; what it has no word for is a list, which no field takes."""
    if value is None or (isinstance(value, str | bool | int) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, Decimal):
        return None if value.is_nan() else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if repr(value) in {"NaT", "<NA>"}:  # pandas' other ways to say missing
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, UUID):
        return str(value)
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump())
    for mark in ("__dataclass_fields__", "__struct_fields__"):
        if names := getattr(type(value), mark, ()):
            return {name: _plain(getattr(value, name)) for name in names}
    if names := getattr(type(value), "__attrs_attrs__", ()):
        return {member.name: _plain(getattr(value, member.name)) for member in names}
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        inner = value.tolist()
        return str(value) if type(inner) is type(value) else _plain(inner)
    return [repr(value)]
