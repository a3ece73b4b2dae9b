"""Why a record cannot be read: the slow, exact path for what the fast path refused.

Records are judged by the catalogue, one by one, with their place, the path of the fault, what was
expected and what was found.  Clean data never comes here.
"""

from __future__ import annotations

import json
import math
import re
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tidyusage import catalogue
from tidyusage.catalogue import Field, Tree
from tidyusage.flatten import COUNT_LEVELS, TIMESTAMP
from tidyusage.jsontext import PROBLEM
from tidyusage.quarantine import Reject

if TYPE_CHECKING:
    from tidyusage.sources import Place

NUMBER: Final = (
    r"[ \t\n\v\f\r]*\+?-?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)"
    r"([eE][+-]?\d+(_\d+)*)?[ \t\n\v\f\r]*"
)
_NUMBER: Final = re.compile(NUMBER, re.ASCII)
_TIMESTAMP: Final = re.compile(TIMESTAMP)
_DATE: Final = "a date such as 2026-01-31 or 2026-01-31T08:00:00Z"


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


def judge(place: Place, text: bytes, *, currency: str | None = None) -> Reject | None:
    """Return why a record cannot be read, or None if nothing is wrong with it."""
    record, fault = _parsed(text)
    fault = fault or _fault(record, place.nan_is_missing, currency)
    return _reject(place, text, record, fault) if fault else None


def refused(place: Place, text: bytes, reason: str, engine: str = "DuckDB") -> Reject:
    """Return the reject of a record that the engine refuses, in the engine's words."""
    record, _ = _parsed(text)
    reason = re.sub(r' in file "[^"]*", (at byte \d+ )?in (line|record/value) \d+', "", reason)
    return _reject(place, text, record, Fault("$", f"a record that {engine} reads", reason))


def _reject(place: Place, text: bytes, record: object, fault: Fault) -> Reject:
    id_ = record.get("id") if isinstance(record, dict) else None
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
        return record, _half_pair(record)
    except json.JSONDecodeError as error:
        try:
            return _loads(_TOLERATED.sub(_tolerate, decoded)), None
        except ValueError:
            found = f"{_short(decoded)} ({error.msg} at character {error.colno})"
            return None, Fault("$", "JSON", found)
    except (ValueError, RecursionError) as error:
        return None, Fault("$", "JSON", str(error))


def _half_pair(record: object) -> Fault | None:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        found = f"half a surrogate pair, \\u{ord(error.object[error.start]):x}"
        return Fault("$", "text that is Unicode", found)
    return None


# What DuckDB reads although it is not quite JSON: a trailing comma, and nan in lower case.
_TOLERATED: Final = re.compile(r",(?=\s*[}\]])|(?<=:)\s*-?(?:nan|inf(?:inity)?)\b", re.IGNORECASE)


def _tolerate(match: re.Match[str]) -> str:
    return "" if match[0] == "," else "NaN"


def _loads(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_object, parse_constant=_Constant)


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
        return None if _is_timestamp(value) else Fault(path, _DATE, _named(value))
    is_text = isinstance(value, str) or (
        type(value) in {int, float} and not isinstance(value, _Constant)
    )
    return None if is_text else Fault(path, "text", _named(value))


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
    given = (
        charge.get("currency")
        for charge in record.get("charges") or []
        if charge and charge.get("amount") is not None
    )
    known = {
        ("" if currency is None else str(currency)).strip(" ").upper() or default or ""
        for currency in given
    } - {""}
    if len(known) <= 1:
        return None
    return Fault("charges[].currency", "one currency a record", " and ".join(sorted(known)))


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
        return bool(_NUMBER.fullmatch(value)) and math.isfinite(_float(value))
    return isinstance(value, int | float) and math.isfinite(_float(value))


def _float(value: str | float) -> float:
    try:
        return float(value.replace("+-", "-") if isinstance(value, str) else value)
    except OverflowError:
        return math.inf


def _is_timestamp(value: object) -> bool:
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value) or value < "0001":
        return False
    try:
        date.fromisoformat(value[:10])
    except ValueError:
        return False
    return True


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
    return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(str(value), _short(value))


def _short(value: object, most: int = 60) -> str:
    shown = repr(value)
    return shown if len(shown) <= most else f"{shown[:most]}…"
