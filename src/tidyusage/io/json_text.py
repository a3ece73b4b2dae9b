"""Scan JSON text: its shape, and where records begin and end.

Shapes: ``lines`` (one record a line), ``array``, ``objects`` (one or several records, each over
several lines), ``pages`` and ``keyed`` (API pages whose ``result`` is an array, or an object keyed
by some field; one page, or one after another).

The shape is a first guess from the beginning of a text: it picks the fastest reader.  Whatever the
shape, records are found by one rule: a text is a sequence of arrays, pages and records, pages are
unpacked wherever they occur, and everything else is a record.  An array within an array, or on a
line among records, is not unpacked: it is rejected as a record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeGuard

from tidyusage import catalogue

# What cannot be read and has no text begins with a character that no JSON begins with.
PROBLEM: Final = "\0"
CUT_OFF: Final = "the end of the text within an array or object"

# A longer record is rejected, however it is packed.  DuckDB never reads a longer one without being
# told to: its buffer is twice its default `maximum_object_size` of 16 MiB.
LONGEST: Final = 1 << 25

Shape = Literal["lines", "array", "objects", "pages", "keyed"]

# An object with one of these keys is a record, even if it has a ``result``.
RECORD_KEYS: Final = frozenset(catalogue.tree()) - {"id", "remote_data"}
# How deep pages may be nested in each other and still be unpacked.
LEVELS: Final = 16
_SPACE: Final = re.compile(r"[ \t\r\n\v\f]*")
_DECODER: Final = json.JSONDecoder()
_TOKEN: Final = re.compile(
    r"[ \t\r\n]*(?:(?P<mark>[\[\]{},:])"
    r'|(?P<text>"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?P<rest>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?))"
    r"|(?P<word>true|false|null|-?(?:[nN][aA][nN]|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)))"
)
_WORDS: Final = {"true": True, "false": False, "null": None}


class Found(NamedTuple):
    """A record's text and the offset at which it begins."""

    offset: int
    text: str


class Malformed(Exception):  # noqa: N818 - callers of the library never see it
    """Text that is not JSON from an offset on."""

    def __init__(self, offset: int) -> None:
        self.offset = offset


class Hooks(NamedTuple):
    """How `decode` builds objects, integers and the words NaN and Infinity."""

    make_object: Callable[[list[tuple[str, Any]]], Any] = dict
    make_integer: Callable[[str], Any] = float
    make_constant: Callable[[str], Any] = float


PLAIN: Final = Hooks()


def shape(head: str) -> Shape:
    """Return the shape of a text from its beginning."""
    start = _skip(head, 0)
    if head.startswith("[", start):
        return "lines" if _ends_with_its_line(head, start) else "array"
    if not head.startswith("{", start):
        return "lines"
    opening = _opening_of_result(head, start)
    if opening:
        return "pages" if opening == "[" else "keyed"
    return "objects" if _spans_lines(head, start) else "lines"


def is_page(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Return whether a decoded value is an API page.

    A page has a ``result`` (an array, an object, or null) and none of a record's own keys.  It may
    have an ``id``, that of a request, unless its ``result`` is null.
    """
    if not isinstance(value, Mapping) or "result" not in value:
        return False
    result = value["result"]
    if result is None:
        may_be = value.get("id") is None
    else:
        may_be = isinstance(result, list | tuple | Mapping)
    return may_be and all(value.get(key) is None for key in RECORD_KEYS)


def records(text: str) -> Iterator[Found]:
    """Yield the records of a text; what cannot be read as JSON comes as one last record."""
    place = _skip(text, 0)
    while place < len(text):
        try:
            place = yield from _records(text, place)
        except Malformed as cut:
            rest = text[cut.offset :]
            yield Found(cut.offset, rest if rest.strip() else f"{PROBLEM}{CUT_OFF}")
            return
        place = _skip(text, place)


def pages(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the API pages of a text, decoded, as far as it is JSON."""
    place = _skip(text, 0)
    while place < len(text):
        try:
            value, place = _decode(text, place)
        except Malformed:
            return
        yield from _pages_within(value)
        place = _skip(text, place)


def page_entries(text: str) -> Iterator[Found]:
    """Yield the entries of the page that a text is, as they are."""
    yield from _page(text, _skip(text, 0), LEVELS)


def decode(text: str, place: int, hooks: Hooks = PLAIN) -> tuple[Any, int]:
    """Decode the value at an offset as DuckDB does; return it and the offset of its end.

    Unlike Python's decoder this one nests without a limit, passes over a comma before a closing
    bracket, and knows NaN and Infinity in any case.  It is slow, so it is a second try.
    """
    is_open: list[_Open] = []
    while True:
        kind, sign, start, place = _next_token(text, place)
        if kind == "mark" and sign in "[{":
            is_open.append(_Open("]" if sign == "[" else "}", []))
            if (end := _end_of(text, place, is_open[-1].closing)) < 0:
                place = is_open[-1].read_key(text, place)
                continue
            value, place = is_open.pop().value(hooks), end
        elif kind == "mark":
            raise Malformed(start)
        else:
            value = _scalar(kind, sign, start, hooks)
        while is_open:
            is_open[-1].add(value)
            _, sign, start, place = _next_token(text, place)
            if sign == ",":
                if (end := _end_of(text, place, is_open[-1].closing)) < 0:
                    place = is_open[-1].read_key(text, place)
                    break
                place = end
            elif sign != is_open[-1].closing:
                raise Malformed(start)
            value = is_open.pop().value(hooks)
        else:
            return value, place


class _Open:
    """An array or object whose end `decode` has not reached."""

    __slots__ = ("closing", "items", "key")

    def __init__(self, closing: str, items: list[Any]) -> None:
        self.closing, self.items, self.key = closing, items, ""

    def read_key(self, text: str, place: int) -> int:
        """Read the key of an object's next value; return where the value begins."""
        if self.closing == "]":
            return place
        kind, sign, start, place = _next_token(text, place)
        if kind != "text":
            raise Malformed(start)
        self.key = _scalar(kind, sign, start, PLAIN)
        _, sign, start, place = _next_token(text, place)
        if sign != ":":
            raise Malformed(start)
        return place

    def add(self, value: Any) -> None:
        self.items.append(value if self.closing == "]" else (self.key, value))

    def value(self, hooks: Hooks) -> Any:
        return self.items if self.closing == "]" else hooks.make_object(self.items)


def _next_token(text: str, place: int) -> tuple[str, str, int, int]:
    """Return a sign's kind, its text, where it starts and where it ends."""
    match = _TOKEN.match(text, place)
    if match is None:
        raise Malformed(place)
    if match["rest"]:
        return "float", match["number"], match.start("number"), match.end()
    kind = str(match.lastgroup)
    return kind, match[kind], match.start(kind), match.end()


def _end_of(text: str, place: int, closing: str) -> int:
    """Return where an array or object ends, if nothing but its bracket follows; else -1."""
    place = _skip(text, place)
    return place + 1 if text.startswith(closing, place) else -1


def _scalar(kind: str, sign: str, start: int, hooks: Hooks) -> Any:
    if kind == "number":
        return hooks.make_integer(sign)
    if kind == "float":
        return float(sign)
    if kind == "text":
        return _decode_quickly(sign, 0, start)[0]
    return _WORDS[sign] if sign in _WORDS else hooks.make_constant(sign)


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _ends_with_its_line(head: str, start: int) -> bool:
    """Return whether a value ends with its line although more text follows."""
    line, _, rest = head[start:].partition("\n")
    if not rest.strip():
        return False
    try:
        _, end = _decode(line, 0)
    except Malformed:
        return False
    return not line[end:].strip()


def _opening_of_result(head: str, start: int) -> str:
    """Return the bracket that opens a page's ``result``; nothing if this is not a page."""
    if not head.startswith("{", start):
        return ""
    place = _skip(head, start + 1)
    has_id = False
    try:
        while True:
            key, place = _member(head, place)
            bracket = head[place : place + 1]
            is_null = head.startswith("null", place)
            if key == "result" and (bracket in {"[", "{"} or (is_null and not has_id)):
                return "{" if bracket == "{" else "["
            if key in RECORD_KEYS and not is_null:
                return ""
            has_id = has_id or (key == "id" and not is_null)
            _, place = _decode(head, place)
            place = _next(head, place, "}")
    except Malformed:
        return ""


def members(head: str, start: int) -> Iterator[tuple[str, int]]:
    """Yield an object's keys, and where their values begin, as far as the text goes."""
    place = _skip(head, start + 1)
    try:
        while True:
            key, place = _member(head, place)
            yield str(key), place
            _, place = _decode(head, place)
            place = _next(head, place, "}")
    except Malformed:
        return


def _spans_lines(head: str, start: int) -> bool:
    """Return whether the object at ``start`` is written over several lines."""
    line, newline, rest = head[start:].partition("\n")
    try:
        _, end = _decode(head, start)
    except Malformed:  # cut off, by the end of the head or in its line
        ends = line.rstrip().endswith("}") or rest.lstrip().startswith("{")
        return bool(newline) and not ends
    return "\n" in head[start:end]


def _decode(text: str, place: int) -> tuple[Any, int]:
    try:
        return _decode_quickly(text, place, place)
    except Malformed:
        return decode(text, place)


def _decode_quickly(text: str, place: int, offset: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, place)
    except (ValueError, RecursionError):
        raise Malformed(offset) from None


def _records(text: str, place: int, level: int = 0) -> Generator[Found, None, int]:
    """Yield the records of the value at ``place``; return where it ends."""
    if text.startswith("[", place) and not level:
        return (yield from _elements(text, place, level))
    try:
        value, end = _decode(text, place)
    except Malformed:
        # Of a page that is cut off, the records before the cut are kept.
        if not _opening_of_result(text, place):
            raise Malformed(place) from None
        return (yield from _page(text, place, level))
    if is_page(value) and level < LEVELS:
        return (yield from _page(text, place, level))
    yield Found(place, text[place:end])
    return end


def _pages_within(value: Any, level: int = 0) -> Iterator[Mapping[str, Any]]:
    found: Any = value if isinstance(value, list) and not level else ()
    if is_page(value):
        yield value
        found = value["result"] or ()
        found = found.values() if isinstance(found, Mapping) else found
    for inner in found if level < LEVELS else ():
        yield from _pages_within(inner, level + 1)


def _elements(text: str, place: int, level: int) -> Generator[Found, None, int]:
    """Yield the records of the array that begins at ``place``; return where it ends."""
    place = _skip(text, place + 1)
    while text[place : place + 1] != "]":
        place = yield from _records(text, place, level + 1)
        place = _next(text, place, "]")
    return place + 1


def _page(text: str, place: int, level: int) -> Generator[Found, None, int]:
    """Yield the records of the page that begins at ``place``; return where it ends."""
    place = _skip(text, place + 1)
    while text[place : place + 1] != "}":
        key, place = _member(text, place)
        if key == "result" and text[place : place + 1] == "[":
            place = yield from _elements(text, place, level)
        elif key == "result" and text[place : place + 1] == "{":
            place = yield from _members(text, place, level)
        else:
            _, place = _decode(text, place)
        place = _next(text, place, "}")
    return place + 1


def _members(text: str, place: int, level: int) -> Generator[Found, None, int]:
    place = _skip(text, place + 1)
    while text[place : place + 1] != "}":
        _, place = _member(text, place)
        place = yield from _records(text, place, level + 1)
        place = _next(text, place, "}")
    return place + 1


def _member(text: str, place: int) -> tuple[Any, int]:
    """Return the key that begins at ``place`` and where its value begins."""
    key, after = _decode(text, place)
    colon = _skip(text, after)
    if text[colon : colon + 1] != ":":
        raise Malformed(place)
    return key, _skip(text, colon + 1)


def _next(text: str, place: int, end: str) -> int:
    """Return the place of the next element, or of the end."""
    place = _skip(text, place)
    if text[place : place + 1] == ",":
        return _skip(text, place + 1)
    if text[place : place + 1] != end:
        raise Malformed(place)
    return place
