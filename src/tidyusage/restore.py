"""Frames that come back from CSV, Excel or a database, brought to the catalogue's dtypes."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage import engines, flatten, schema
from tidyusage.columns import Columns, columns, types, with_own
from tidyusage.errors import FrameError, known_options
from tidyusage.spark import frames as sparks
from tidyusage.sqltext import quote

if TYPE_CHECKING:
    from collections.abc import Collection

    from tidyusage.typing import FrameT, Separator


@known_options
def restore(frame: FrameT, *, sep: Separator = ".") -> FrameT:
    """Bring a frame that came back from CSV, Excel or a database to the catalogue's dtypes.

    Parameters
    ----------
    frame
        A frame of any layout and library whose columns may be text, naive dates (taken as UTC),
        0 and 1 for flags, or lists as JSON or as Python prints them.
    sep
        What joins a path into a column's name in the answer.

    Returns
    -------
    frame
        Of the same library, with the same columns in the same order, in the catalogue's dtypes;
        empty text is null.  The caller's own columns are left as they are.

    Raises
    ------
    FrameError
        If the frame is no usage frame, or a value is not of its column's kind; column and value
        are named.

    Examples
    --------
    >>> import io
    >>> import pandas as pd
    >>> import tidyusage as tu
    >>> text = tu.load_example(sep="_").to_csv(index=False)
    >>> back = tu.restore(pd.read_csv(io.StringIO(text)))
    >>> back["start_date"].dtype, back["usage.activity.is_active"].dtype
    (datetime64[us, UTC], BooleanDtype)
    """
    found = columns(frame)
    wanted = with_own({name: types()[name] for name in found.known}, found)
    nested = {actual: types()[name] for name, actual in found.known.items()}
    nested_ = {actual for actual, type_ in nested.items() if pa.types.is_nested(type_)}

    texts = engines.text_columns(frame)
    is_spark = engines.backend_of(frame) == "pyspark"
    if is_spark and (lists := nested_ & set(texts)):
        raise FrameError(
            f"The column {min(lists)!r} holds text, and lists belong there.",
            "Spark's from_json(column, schema) makes them; Parquet keeps them.",
        )
    # Their text would be that of the session's zone.
    instants = [n for n, t in sparks.types(frame).items() if t == "timestamp"] if is_spark else []

    def query(source: str) -> str:
        return _restored(source, found, texts, instants)

    try:
        return engines.run(frame, query, wanted, sep, before=lambda t: _with_parsed(t, nested))
    except engines.refusals() as error:
        raise FrameError(engines.message(error), "Mend or drop the value.") from error


def _with_parsed(table: pa.Table, nested: dict[str, pa.DataType]) -> pa.Table:
    """Return a table whose nested columns are no longer text."""
    for name, type_ in nested.items():
        place = table.column_names.index(name)
        if pa.types.is_nested(type_) and not pa.types.is_nested(table.schema.types[place]):
            values = [_parsed(text) for text in table[name].cast(pa.string()).to_pylist()]
            try:
                table = table.set_column(place, name, pa.array(values, type_))
            except (pa.ArrowException, AttributeError) as error:
                raise FrameError(
                    f"The column {name} holds what is no list of entries: {error}",
                    "Mend or drop it.",
                ) from error
    return table


# Strings as Python prints them, or the gap between two entries outside of any.
_GAP: Final = re.compile(r"""(?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\}\s+\{""", re.DOTALL)


def _parsed(text: str | None) -> Any:
    """Return a nested value from its text: JSON, or the way Python prints it."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        try:  # pandas writes an array of entries without commas between them
            return ast.literal_eval(_GAP.sub(lambda gap: gap["text"] or "}, {", text))
        except (ValueError, SyntaxError):
            raise FrameError(
                f"This is no list of entries: {text[:80]!r}.",
                "Nested columns come back as JSON or as Python prints them; drop others first.",
            ) from None


def _restored(
    source: str, found: Columns, texts: Collection[str], instants: Collection[str]
) -> str:
    parts = [
        quote(actual) + f" as {quote(name)}"
        if actual in instants
        else f"{_cast(name, quote(actual), is_json=actual in texts)} as {quote(name)}"
        for name, actual in found.known.items()
    ]
    return f"select {', '.join([*parts, *map(quote, found.own)])} from {source}"


def _cast(name: str, x: str, *, is_json: bool) -> str:
    type_ = types()[name]
    if pa.types.is_nested(type_):
        x = f"cast({x} as json)" if is_json else x
        return f"cast({x} as {schema.duckdb_type(type_)})"
    text = f"nullif(cast({x} as varchar), '')"
    if type_ == pa.string():
        return text
    value = _value(type_, text)
    fact = f"'tidyusage: the column {name} holds ' || {text} || ', which is no {_KINDS[type_]}'"
    return f"case when {text} is not null and ({value}) is null then error({fact}) else {value} end"


def _value(type_: pa.DataType, text: str) -> str:
    if type_ == schema.ARROW["timestamp"]:
        return flatten.timestamp(text)  # naive ones, as Excel and databases give them, are UTC
    if type_ != pa.bool_():
        return f"try_cast({text} as {schema.duckdb_type(type_)})"
    return (
        f"case when lower({text}) in ('true', 't', '1', '1.0') then true"
        f" when lower({text}) in ('false', 'f', '0', '0.0') then false end"
    )


_KINDS: Final = {
    pa.float64(): "number",
    pa.int64(): "whole number",
    pa.bool_(): "boolean",
    schema.ARROW["timestamp"]: "date",
}
