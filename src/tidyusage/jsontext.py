"""JSON text as files hold it: which shape a text has, and where its records begin and end.

Shapes: ``lines`` (one record a line), ``array``, ``objects`` (one or several records, each over
several lines), ``pages`` and ``keyed`` (API pages whose ``result`` is an array, or an object keyed
by some field; one page, or one after another).
"""

import json
import re
from collections.abc import Generator, Iterator
from typing import Final, Literal, NamedTuple

# What cannot be read and has no text begins with a sign that no JSON begins with.
PROBLEM: Final = "\0"
CUT_OFF: Final = "the end of the text within an array or object"

Shape = Literal["lines", "array", "objects", "pages", "keyed"]

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder()


class Found(NamedTuple):
    """A record's text and the offset at which it begins."""

    offset: int
    text: str


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


def records(text: str, shape: Shape) -> Iterator[Found]:
    """Yield the records of a text; what cannot be read as JSON comes as one last record."""
    place = _skip(text, 0)
    while place < len(text):
        try:
            if shape == "array" and text[place] == "[":
                place = yield from _elements(text, place)
            elif shape in {"pages", "keyed"} and _opening_of_result(text, place):
                place = yield from _page(text, place)
            else:
                place = yield from _value(text, place)
        except _Malformed as cut:
            rest = text[cut.offset :]
            yield Found(cut.offset, rest if rest.strip() else f"{PROBLEM}{CUT_OFF}")
            return
        place = _skip(text, place)


class _Malformed(Exception):  # noqa: N818 - it is no error of the caller's
    def __init__(self, offset: int) -> None:
        self.offset = offset


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _ends_with_its_line(head: str, start: int) -> bool:
    """Tell whether a value ends with its line although more text follows."""
    line, _, rest = head[start:].partition("\n")
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return bool(rest.strip())


def _opening_of_result(head: str, start: int) -> str:
    """Return the bracket that opens a page's ``result``; nothing if this is no page."""
    if not head.startswith("{", start):
        return ""
    place = _skip(head, start + 1)
    try:
        while True:
            key, place = _member(head, place)
            bracket = head[place : place + 1]
            if key == "id":
                return ""
            if key == "result" and (bracket in {"[", "{"} or head.startswith("null", place)):
                return "{" if bracket == "{" else "["
            _, place = _decode(head, place)
            place = _next(head, place, "}")
    except _Malformed:
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
    except _Malformed:
        return


def _spans_lines(head: str, start: int) -> bool:
    """Tell whether the object at ``start`` is written over several lines."""
    line, newline, rest = head[start:].partition("\n")
    try:
        _, end = _decode(head, start)
    except _Malformed:  # cut off, by the end of the head or in its line
        ends = line.rstrip().endswith("}") or rest.lstrip().startswith("{")
        return bool(newline) and not ends
    return "\n" in head[start:end]


def _decode(text: str, place: int) -> tuple[object, int]:
    try:
        value, end = _DECODER.raw_decode(text, place)
    except (ValueError, RecursionError):
        raise _Malformed(place) from None
    return value, end


def _value(text: str, place: int) -> Generator[Found, None, int]:
    _, end = _decode(text, place)
    yield Found(place, text[place:end])
    return end


def _elements(text: str, place: int) -> Generator[Found, None, int]:
    """Yield the elements of the array that begins at ``place``; return where it ends."""
    place = _skip(text, place + 1)
    while text[place : place + 1] != "]":
        place = yield from _value(text, place)
        place = _next(text, place, "]")
    return place + 1


def _page(text: str, place: int) -> Generator[Found, None, int]:
    """Yield the records of the page that begins at ``place``; return where it ends."""
    place = _skip(text, place + 1)
    while text[place : place + 1] != "}":
        key, place = _member(text, place)
        if key == "result" and text[place : place + 1] == "[":
            place = yield from _elements(text, place)
        elif key == "result" and text[place : place + 1] == "{":
            place = yield from _members(text, place)
        else:
            _, place = _decode(text, place)
        place = _next(text, place, "}")
    return place + 1


def _members(text: str, place: int) -> Generator[Found, None, int]:
    place = _skip(text, place + 1)
    while text[place : place + 1] != "}":
        _, place = _member(text, place)
        place = yield from _value(text, place)
        place = _next(text, place, "}")
    return place + 1


def _member(text: str, place: int) -> tuple[object, int]:
    """Return the key that stands at ``place`` and where its value begins."""
    key, after = _decode(text, place)
    colon = _skip(text, after)
    if text[colon : colon + 1] != ":":
        raise _Malformed(place)
    return key, _skip(text, colon + 1)


def _next(text: str, place: int, end: str) -> int:
    """Return the place of the next element, or of the end."""
    place = _skip(text, place)
    if text[place : place + 1] == ",":
        return _skip(text, place + 1)
    if text[place : place + 1] != end:
        raise _Malformed(place)
    return place
