"""Explain why a record cannot be read: the slow, exact path for records the fast path refused.

Records are judged by the catalogue, one by one, with their place, the path of the fault, what was
expected and what was found.  Clean data never comes here.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tidyusage import catalogue
from tidyusage._utils.timestamps import TIMESTAMP
from tidyusage.catalogue import Field, Tree
from tidyusage.io import json_text
from tidyusage.io.json_text import LONGEST, PROBLEM
from tidyusage.io.parse_sql import COUNT_LEVELS
from tidyusage.io.rejects import Reject

if TYPE_CHECKING:
    from tidyusage.io.inputs import Place

NUMBER: Final = r"[ \t\n\v\f\r]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t\n\v\f\r]*"
_NUMBER: Final = re.compile(NUMBER)
_TIMESTAMP: Final = re.compile(TIMESTAMP, re.ASCII)
_OFFSET: Final = re.compile(r"([+-])([0-9]{2})(?::?([0-9]{2}))?$")
_DATE: Final = "a date such as 2026-01-31 or 2026-01-31T08:00:00Z"
_YEARS: Final = "a date within the years 1 to 9999 in UTC"
# Longer integers are not converted: their float is infinite, and Python's int() is quadratic.
_LONGEST_INTEGER: Final = 300
# A sign that text may be JSON to DuckDB although it is not to Python.
_LENIENT: Final = re.compile(r",[ \t\r\n]*[}\]]|[:,\[][ \t\r\n]*-?(?:nan|inf)", re.IGNORECASE)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


class Fault(NamedTuple):
    """What is wrong with a record, and where in it."""

    path: str
    expected: str
    found: str


class _Object(dict[str, Any]):
    """A JSON object that remembers which keys it was given twice."""

    twice: frozenset[str] = frozenset()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        made.twice = frozenset(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return made


class _Constant(float):
    """NaN or an infinity, as the text wrote it."""


class _LongInteger(float):
    """An integer of so many digits that only its text is exact."""

    text: str


def _integer(digits: str) -> int | _LongInteger:
    if len(digits) <= _LONGEST_INTEGER:
        return int(digits)
    made = _LongInteger(digits)
    made.text = digits
    return made


_HOOKS: Final = json_text.Hooks(_object, _integer, _Constant)


def judge(place: Place, text: bytes, *, currency: str | None = None) -> Reject | None:
    """Return why a record cannot be read, or None if nothing is wrong with it.

    The judge must never refuse what DuckDB reads: beside a broken line it is asked first, alone
    DuckDB is, and the verdict has to be the same.
    """
    if len(text) > LONGEST:
        most, size = (f"{length / 2**20:,.1f} MiB" for length in (LONGEST, len(text)))
        return _reject(place, text, None, Fault("$", f"a record of at most {most}", size))
    record, fault = _parsed(text)
    fault = fault or _fault(record, place.nan_is_missing, currency)
    return _reject(place, text, record, fault) if fault else None


def holds_records(text: bytes) -> bool:
    """Return whether a text is not a record, but an API page of records."""
    return b'"result"' in text and json_text.is_page(_parsed(text)[0])


def refused(place: Place, text: bytes, reason: str, engine: str = "DuckDB") -> Reject:
    """Return the reject of a record that the engine refuses, in the engine's words."""
    record, _ = _parsed(text)
    reason = re.sub(r' in file "[^"]*", (at byte \d+ )?in (line|record/value) \d+', "", reason)
    return _reject(place, text, record, Fault("$", f"a record that {engine} reads", reason))


def _reject(place: Place, text: bytes, record: object, fault: Fault) -> Reject:
    id_ = record.get("id") if isinstance(record, dict) else None
    if isinstance(id_, _LongInteger):
        id_ = id_.text
    known = id_ if isinstance(id_, str) else str(id_) if type(id_) in {int, float} else None
    return Reject(place.source, place.line, known, *fault, text.decode("utf-8", "backslashreplace"))


def _parsed(text: bytes) -> tuple[Any, Fault | None]:
    if text.startswith(PROBLEM.encode()):
        problem = text.decode("utf-8", "backslashreplace").removeprefix(PROBLEM)
        return None, Fault("$", "a whole text", problem or "a NUL")
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        found = f"the byte 0x{text[error.start]:02x} at byte {error.start + 1}"
        return None, Fault("$", "UTF-8 text", found)
    try:
        record = _loads(decoded)
    except json.JSONDecodeError as error:
        found = f"{_short(decoded)} ({error.msg} at character {error.colno})"
        return None, Fault("$", "JSON", found)
    return record, _half_pair(decoded)


def _loads(text: str) -> Any:
    """Decode JSON as DuckDB does, which is more lenient than Python and nests without a limit."""
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_constant=_Constant
        )
    except (json.JSONDecodeError, RecursionError) as error:
        failure = error
    if isinstance(failure, json.JSONDecodeError) and not _LENIENT.search(text):
        raise failure
    try:
        value, end = json_text.decode(text, 0, _HOOKS)
    except json_text.Malformed as malformed:
        end = malformed.offset
    else:
        if not text[end:].strip(" \t\r\n"):
            return value
    if isinstance(failure, json.JSONDecodeError):
        raise failure
    raise json.JSONDecodeError("Unexpected text", text, end)


def _half_pair(text: str) -> Fault | None:
    """Find an escape that is half a surrogate pair: the one way to write what Unicode lacks."""
    if "\\u" not in text:
        return None
    half, end = "", 0
    for match in _ESCAPE.finditer(text):
        code = (match[1] or "").lower()
        is_low = "dc00" <= code <= "dfff"
        if half and not (is_low and match.start() == end):
            break
        if half:
            half = ""
        elif "d800" <= code <= "dfff":
            half, end = code, match.end()
            if is_low:
                break
    if not half:
        return None
    return Fault("$", "text that is Unicode", f"half a surrogate pair, \\u{half}")


def _fault(record: object, nan_is_missing: bool, currency: str | None) -> Fault | None:
    if not isinstance(record, _Object):
        return Fault("$", "an object", _named(record))
    fault = _walk(record, catalogue.tree(), "", nan_is_missing)
    return fault or _currencies(record, currency) or _sizes(record)


def _walk(node: _Object, tree: Tree, prefix: str, nan_is_missing: bool) -> Fault | None:
    for key, child in tree.items():
        path = f"{prefix}{key}"
        if key in node.twice and path != "remote_data":
            return Fault(path, "one value", "the key twice")
        fault = _member(node.get(key), child, path, nan_is_missing)
        if fault:
            return fault
    return None


def _member(value: Any, child: Any, path: str, nan_is_missing: bool) -> Fault | None:
    if isinstance(child, Field):
        return _leaf(value, child, path, nan_is_missing)
    if value is None:
        return None
    if isinstance(child, dict):
        if not isinstance(value, _Object):
            return Fault(path, "an object", _named(value))
        return _walk(value, child, f"{path}.", nan_is_missing)
    if not isinstance(value, list):
        return Fault(path, "a list", _named(value))
    for position, entry in enumerate(value):
        fault = _member(entry, child[0], f"{path}[{position}]", nan_is_missing)
        if fault:
            return fault
    return None


def _leaf(value: Any, field: Field, path: str, nan_is_missing: bool) -> Fault | None:
    if field.dtype == "json":
        return None
    if field.kind == "key" and (value is None or (isinstance(value, str) and not value.strip(" "))):
        return Fault(path, "text that is not empty", "nothing" if value is None else repr(value))
    if value is None or (
        nan_is_missing and str(value).lower() == "nan" and field.dtype == "number"
    ):
        return None
    if field.dtype == "counts":
        return _counts(value, path, nan_is_missing)
    if field.dtype == "number":
        return None if _is_number(value) else Fault(path, "a number", _named(value))
    if field.dtype == "boolean":
        return None if isinstance(value, bool) else Fault(path, "true or false", _named(value))
    if field.dtype == "timestamp":
        expected = _expected_date(value)
        return Fault(path, expected, _named(value)) if expected else None
    return None if _is_text(value) else Fault(path, "text", _named(value))


def _counts(value: Any, path: str, nan_is_missing: bool, level: int = 0) -> Fault | None:
    if not isinstance(value, _Object):
        return Fault(path, "an object", _named(value))
    for key, inner in value.items():
        place = f"{path}.{key}"
        if key in value.twice:
            return Fault(place, "one value", "the key twice")
        if isinstance(inner, _Object):
            if level + 1 == COUNT_LEVELS:
                return Fault(place, f"at most {COUNT_LEVELS} levels of keys", "an object")
            fault = _counts(inner, place, nan_is_missing, level + 1)
            if fault:
                return fault
        elif nan_is_missing and str(inner).lower() == "nan":
            continue
        elif inner is not None and not _is_number(inner):
            return Fault(place, "a number", _named(inner))
    return None


def _currencies(record: _Object, default: str | None) -> Fault | None:
    """Tell two currencies: such charges cannot be one row, for they must not be added."""
    given = [
        charge.get("currency")
        for charge in record.get("charges") or []
        if charge and charge.get("amount") is not None
    ]
    if any(isinstance(currency, float) for currency in given):
        return None  # DuckDB writes it in its own way, and compares that
    # Letters are folded further than DuckDB does, so that the judge is never the stricter one.
    texts = ("" if currency is None else str(currency).strip(" ") for currency in given)
    codes = {text.casefold(): text.upper() for text in (text or default or "" for text in texts)}
    codes.pop("", None)
    if len(codes) <= 1:
        return None
    found = " and ".join(sorted(codes.values()))
    return Fault("charges[].currency", "one currency a record", found)


def _sizes(record: _Object) -> Fault | None:
    """Tell amounts whose sum would be infinite."""
    charges = (charge.get("amount") for charge in record.get("charges") or [] if charge)
    if math.isinf(sum(abs(float(amount)) for amount in charges if amount is not None)):
        return Fault("charges[].amount", "amounts that can be added", "a sum that is infinite")
    return None


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(value)) and math.isfinite(float(value))
    return isinstance(value, int | float) and math.isfinite(value)


def _is_text(value: object) -> bool:
    """Return whether a value can be read as text: text, and numbers that are not infinite."""
    if isinstance(value, float):
        return math.isfinite(value) or isinstance(value, _LongInteger)
    return isinstance(value, str | int) and not isinstance(value, bool)


def _expected_date(value: object) -> str:
    """Return what was expected in place of a date; nothing if it is one."""
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value) or value < "0001":
        return _DATE
    try:
        day = datetime.fromisoformat(value[:10])
    except ValueError:
        return _DATE
    offset = _OFFSET.search(value, 10)
    if offset is None:
        return ""
    clock = value[11:16]
    shift = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
    time = timedelta(hours=int(clock[:2]), minutes=int(clock[3:]))
    try:
        _ = day + time + (-shift if offset[1] == "+" else shift)
    except OverflowError:
        return _YEARS
    return ""


def _named(value: object) -> str:
    """Say what a value is, so that its owner recognises it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text {_short(value)}"
    if isinstance(value, _LongInteger):
        return f"{value.text[:60]}…"
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(str(value), _short(value))


def _short(value: object, most: int = 60) -> str:
    cut = value[: most + 1] if isinstance(value, str) else value
    shown = repr(cut)
    return shown if len(shown) <= most and cut == value else f"{shown[:most]}…"
