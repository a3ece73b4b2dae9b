"""Which records can be read, and as what: the rules of docs/reading.md in plain Python.

It shares no code with the library.  The fields are those of the schema page, by `plain`; the values
of an accepted record are those of `plain.wide`.
"""

import json
import math
import re
import sys
from datetime import UTC, datetime, timedelta, timezone

import plain

LONGEST = 32 * 2**20
NUMBER = re.compile(
    r"[ \t\n\v\f\r]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t\n\v\f\r]*"
)
DATE = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?"
    r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<ahead>\d\d)(?::?(?P<more>\d\d))?)?)?",
    re.ASCII,
)
STRING = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*")', re.DOTALL)
WORD = re.compile(r"(?<![\w.+-])-?(?:nan|inf(?:inity)?)(?![\w.])", re.IGNORECASE)
COMMA = re.compile(r",([ \t\r\n]*)$")
DEEP = 50_000
LEVELS = 16


class Rejected(Exception):  # noqa: N818 - a verdict, not an error
    """A record breaks a rule."""


class Json(dict):
    """An object that remembers which of its keys are there twice."""

    twice = frozenset()


class Big(float):
    """An integer that is too long to convert."""

    text = ""


class Word(float):
    """NaN or an infinity, written as a word."""


def _object(pairs):
    made = Json(pairs)
    keys = [key for key, _ in pairs]
    if len(made) < len(keys):
        made.twice = frozenset(key for key in made if keys.count(key) > 1)
    return made


def _integer(digits):
    if len(digits) <= 4_000:
        return int(digits)
    made = Big(digits)
    made.text = digits
    return made


def parse(text):
    """Return the JSON value of a text, as lenient as the library says it is."""
    if len(text) > LONGEST:
        raise Rejected("size")
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise Rejected("UTF-8") from None
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(DEEP)
    try:
        return _loads(decoded)
    except ValueError:
        pass
    finally:
        sys.setrecursionlimit(limit)
    sys.setrecursionlimit(DEEP)
    try:
        return _loads(_strict(decoded))
    except ValueError:
        raise Rejected("JSON") from None
    finally:
        sys.setrecursionlimit(limit)


def _loads(text):
    value = json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_constant=Word)
    try:
        STRING.sub(_without_half_pairs, text)
    except UnicodeEncodeError:
        raise Rejected("surrogate") from None
    return value


def _without_half_pairs(match):
    json.loads(match[0]).encode()
    return ""


def _strict(text):
    """Return lenient JSON as strict: no comma before a bracket, NaN and Infinity as Python has them."""
    parts = STRING.split(text)
    for place in range(0, len(parts), 2):  # outside of strings
        part = re.sub(r",(?=[ \t\r\n]*[}\]])", "", re.sub(r"(?<=[\[{,]),", ",,", parts[place]))
        parts[place] = WORD.sub(_word, part)
    return "".join(parts)


def _word(match):
    word = match[0].lower()
    sign = "-" if word.startswith("-") else ""
    return "NaN" if "nan" in word else f"{sign}Infinity"


def is_page(value):
    """Return whether a value is an API page."""
    keys = {path.split(".")[0].removesuffix("[]") for path, _, _ in plain.LEAVES}
    if not isinstance(value, dict) or "result" not in value:
        return False
    if any(value.get(key) is not None for key in keys - {"id", "remote_data"}):
        return False
    result = value["result"]
    return isinstance(result, list | dict) or (result is None and value.get("id") is None)


def records(value, level=0):
    """Yield the records of a value: of a page all within it, 16 levels deep."""
    if is_page(value) and level < LEVELS:
        result = value["result"] or []
        for inner in result.values() if isinstance(result, dict) else result:
            yield from records(inner, level + 1)
    else:
        yield value


def judge(record, *, nan_is_missing=False):
    """Return the row that a record is read as; raise if it cannot be read."""
    if not isinstance(record, dict):
        raise Rejected("an object")
    tree = {}
    for path, kind, _ in plain.LEAVES:
        node = tree
        *steps, last = path.split(".")
        for step in steps:
            node = node.setdefault(step, {})
        node[last] = kind
    tree.pop("remote_data", None)
    clean = _walk(record, tree, "", nan_is_missing)
    if not isinstance(clean.get("id"), str) or not clean["id"].strip(" "):
        raise Rejected("id")
    _charges(clean)
    dates = {path: clean.pop(path, None) for path in plain.DATES}
    return plain.wide(clean) | dates


def _walk(node, tree, prefix, nan_is_missing):
    clean = {}
    for key, child in tree.items():
        name = key.removesuffix("[]")
        path = f"{prefix}{name}"
        if name in getattr(node, "twice", ()):
            raise Rejected(f"{path} twice")
        value = node.get(name)
        if value is None:
            continue
        if path == "usage.code.tool_actions":
            clean[name] = _counts(value, path, nan_is_missing)
        elif key.endswith("[]"):
            if not isinstance(value, list):
                raise Rejected(path)
            clean[name] = [_entry(entry, child, path, nan_is_missing) for entry in value]
        elif isinstance(child, dict):
            if not isinstance(value, dict):
                raise Rejected(path)
            clean[name] = _walk(value, child, f"{path}.", nan_is_missing)
        else:
            clean[name] = _leaf(value, child, path, nan_is_missing)
    return clean


def _entry(entry, tree, path, nan_is_missing):
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise Rejected(path)
    return _walk(entry, tree, f"{path}.", nan_is_missing)


def _leaf(value, kind, path, nan_is_missing):
    if path in plain.DATES:
        return _instant(value)
    if kind == "number":
        return _number(value, nan_is_missing)
    if kind == "boolean":
        if not isinstance(value, bool):
            raise Rejected(path)
        return value
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected(path)
    if isinstance(value, Big):
        return value.text
    if isinstance(value, float) and not math.isfinite(value):
        raise Rejected(path)
    return Written(value)


class Written(str):
    """The text of a number where text belongs; how a float is written is left open."""

    __slots__ = ()


def _number(value, nan_is_missing):
    if isinstance(value, str) and NUMBER.fullmatch(value):
        value = float(value)
    if nan_is_missing and str(value).lower() == "nan":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected("a number")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise Rejected("a number")
    return value


def _counts(value, path, nan_is_missing, level=0):
    if not isinstance(value, dict):
        raise Rejected(path)
    if getattr(value, "twice", ()):
        raise Rejected(f"{path} twice")
    clean = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            if level == 3:
                raise Rejected(f"{path} too deep")
            clean[key] = _counts(inner, f"{path}.{key}", nan_is_missing, level + 1)
        elif inner is not None:
            clean[key] = _number(inner, nan_is_missing)
    return clean


def _instant(value):
    match = DATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Rejected("a date")
    part = {
        name: int(text or 0)
        for name, text in match.groupdict().items()
        if name not in {"zone", "sign"} and name != "fraction"
    }
    micros = int((match["fraction"] or "0")[:6].ljust(6, "0"))
    if part["ahead"] > 23 or part["more"] > 59:
        raise Rejected("a date")
    ahead = timedelta(hours=part["ahead"], minutes=part["more"])
    try:
        local = datetime(
            part["year"],
            part["month"],
            part["day"],
            part["hour"],
            part["minute"],
            part["second"],
            micros,
            tzinfo=timezone(-ahead if match["sign"] == "-" else ahead),
        )
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Rejected("a date") from None


def _charges(clean):
    entries = [
        entry for entry in clean.get("charges") or [] if entry and entry.get("amount") is not None
    ]
    codes = {(entry.get("currency") or "").strip(" ").upper() for entry in entries} - {""}
    if len(codes) > 1:
        raise Rejected("currencies")
    if math.isinf(sum(abs(entry["amount"]) for entry in entries)):
        raise Rejected("sum")
