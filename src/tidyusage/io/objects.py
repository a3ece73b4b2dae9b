"""Records as Python objects: one, several, or API pages of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from tidyusage.errors import FrameError
from tidyusage.io.json_text import LEVELS, is_page

if TYPE_CHECKING:
    from tidyusage.io.api_pages import Pages


def items(records: object, pages: Pages) -> Iterator[object]:
    """Yield the records of whatever holds them: one record, several, or API pages."""
    if isinstance(records, Mapping) or _is_object(records):
        return _unpaged(records, pages)
    if not isinstance(records, Iterable):
        raise FrameError(
            f"Expected Usage records, got {type(records).__name__}.",
            "Give dicts, JSON text, or a frame; use read_usage() for files.",
        )
    return chain.from_iterable(_unpaged(record, pages) for record in records)


def _is_object(value: object) -> bool:
    """Tell whether a value is a record as an object: pydantic, dataclass, attrs or msgspec."""
    kind = type(value)
    return hasattr(kind, "model_dump") or any(
        hasattr(kind, mark)
        for mark in ("__dataclass_fields__", "__attrs_attrs__", "__struct_fields__")
    )


def can_be_read_again(records: object) -> bool:
    """Tell whether records are a list of them, and not of API pages."""
    return isinstance(records, list | tuple) and not (records and is_page(records[0]))


def _unpaged(value: Any, pages: Pages, level: int = 0) -> Iterator[object]:
    """Yield the records of an API page, by the rule of `io.json_text`, or the one given."""
    if not is_page(value) or level >= LEVELS:
        yield value
        return
    pages.see(value)
    found = value["result"] or ()
    for inner in found.values() if isinstance(found, Mapping) else found:
        yield from _unpaged(inner, pages, level + 1)
