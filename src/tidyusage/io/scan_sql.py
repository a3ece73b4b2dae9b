"""SQL that reads JSON text: raw records as a table, or as whole JSON values."""

from __future__ import annotations

import glob
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from tidyusage import schema
from tidyusage._utils.sql import literal, quote
from tidyusage.io import json_text
from tidyusage.io.api_pages import Pages
from tidyusage.io.inputs import LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import duckdb

    from tidyusage.io.inputs import Text
    from tidyusage.io.json_text import Shape

PAGED: Final[frozenset[Shape]] = frozenset({"pages", "keyed"})
# The keys of a record: an object that has one is not a page (see `tidyusage.io.json_text.is_page`).
_OTHERS: Final = dict.fromkeys(sorted(json_text.RECORD_KEYS), "JSON")
_IS_PAGE: Final = " and ".join(
    ["result is not null", *(f"{quote(key)} is null" for key in _OTHERS)]
)
# An object among pages that is not a page must not pass for an empty one.
_RESULT: Final = (
    f"case when {_IS_PAGE} then result else error('tidyusage: a page has no result') end"
)
_FORMATS: Final[dict[Shape, str]] = {
    "lines": "newline_delimited",
    "array": "array",
    "objects": "unstructured",
    "pages": "unstructured",
    "keyed": "unstructured",
}


def attach(connection: duckdb.DuckDBPyConnection, texts: Iterable[Text]) -> None:
    """Let a connection of ours know what is no file."""
    for file in texts:
        if file.lines is not None:
            connection.register(file.path, file.lines)


def raw(texts: Iterable[Text], *, remote_data: bool, text: str, source: bool) -> str:
    """Return the SQL of a table of raw records, in the order of the texts.

    ``text`` is the type as which text is read: JSON, or VARCHAR.
    """
    columns = schema.raw_columns(remote_data=remote_data, text=text, source=source)
    struct = schema.raw_struct(remote_data=remote_data, text=text, source=source)

    def rows(files: list[Text]) -> str:
        if files[0].lines is not None:
            structure = schema.raw_structure(remote_data=remote_data, text=text, source=source)
            return f"select unnest(j) from ({_unpacked(files[0], structure)})"
        if files[0].shape in PAGED:
            return f"select unnest(j) from ({_entries(files, struct)})"
        return f"select * from {_read(files, columns)}"

    return _united(texts, rows)


def whole(texts: Iterable[Text]) -> str:
    """Return the SQL of a table of whole records as JSON, in the order of the texts."""

    def rows(files: list[Text]) -> str:
        if files[0].lines is not None:
            return _unpacked(files[0], '"JSON"')
        if files[0].shape in PAGED:
            return _entries(files, "JSON")
        return f"select json as j from read_json_objects({', '.join(_arguments(files))})"

    return _united(texts, rows)


def pages(texts: Iterable[Text]) -> str:
    """Return the query of how many pages texts hold, how many are a last one, and are partial."""
    paged = [file for file in texts if file.shape in PAGED]
    columns = {"next_cursor": "VARCHAR", "is_partial_response": "VARCHAR"}
    largest = max((file.size() for file in paged), default=0) + 1024
    groups = groupby(paged, lambda file: (file.shape, file.compression))
    rows = [f"select * from {_read(list(group), columns, largest)}" for _, group in groups]
    return f"""select count(*), count(*) filter (coalesce(next_cursor, '') in ('', 'false')),
  count(*) filter (lower(trim(is_partial_response)) not in ('null', '', 'false', '0'))
from ({" union all ".join(rows)})"""


def warn_of_pages(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], *, is_sifted: bool
) -> None:
    """Warn if records are missing, because pages are partial or lead to others.

    If texts are sifted, pages may be anywhere in them; otherwise only texts of pages have some.
    """
    import duckdb

    found = Pages()
    if any(text.shape in PAGED for text in texts):
        try:
            found = Pages(*connection.sql(pages(texts)).fetchall()[0])
        except duckdb.Error:
            return  # what is wrong with the text has been said
    for text in texts if is_sifted else ():
        if text.shape not in PAGED:
            for page in _pages_within(text):
                found.see(page)
    found.tell()


def _pages_within(text: Text) -> Iterator[Mapping[str, Any]]:
    """Yield the pages of a text whose beginning does not look like one."""
    for part in _parts(text):
        if b'"result"' in part:
            yield from json_text.pages(part.decode("utf-8", "replace"))


def _parts(text: Text) -> Iterator[bytes]:
    if text.shape == "lines":
        yield from (line for _, line in text.records())
        return
    with text.open() as stream:
        yield stream.read()


def _united(texts: Iterable[Text], rows: Callable[[list[Text]], str]) -> str:
    """Return the SQL of all texts, those of one shape and packing being read together."""
    groups = groupby(texts, lambda file: file.lines or (file.shape, file.compression))
    parts = [f"({rows(list(group))})" for _, group in groups]
    return parts[0] if len(parts) == 1 else f"({' union all '.join(parts)})"


def _unpacked(text: Text, structure: str) -> str:
    """Return the query of the records that `tidyusage.io.memory` holds, each as a column ``j``."""
    records = f"from_json(records, {literal(f'[{structure}]')})"
    return f"select unnest({records}) as j from {quote(text.path)}"


def _entries(files: list[Text], entry: str) -> str:
    """Return the query of the records of API pages, each as a column ``j``."""
    largest = max(file.size() for file in files) + 1024  # a page is one object, however large
    keyed = files[0].shape == "keyed"
    columns = {"result": f"MAP(VARCHAR, {entry})" if keyed else f"{entry}[]", **_OTHERS}
    items = f"map_values({_RESULT})" if keyed else _RESULT
    return f"select unnest({items}) as j from {_read(files, columns, largest)}"


def _read(files: list[Text], columns: dict[str, str], largest: int | None = None) -> str:
    arguments = [*_arguments(files), f"columns = {schema.columns_argument(columns)}"]
    if largest is not None:
        arguments.append(f"maximum_object_size = {largest}")
    return f"read_json({', '.join(arguments)})"


def _arguments(files: list[Text]) -> list[str]:
    paths = ", ".join(literal(glob.escape(file.path)) for file in files)
    first, longest = files[0], max(file.longest for file in files)
    return [
        f"[{paths}]",
        f"format = '{_FORMATS[first.shape]}'",
        f"compression = '{first.compression}'",
        *([f"maximum_object_size = {longest + 1024}"] if longest > LONG else []),
    ]
