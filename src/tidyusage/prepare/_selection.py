"""Select rows by a mapping of fields to values or by a boolean column, as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidyusage._utils.sql import literal, quote, trimmed
from tidyusage.errors import FrameError, OptionError, UnknownFieldError, is_number
from tidyusage.metrics import _source
from tidyusage.metrics._usage import TOOL, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.engines.columns import Columns
    from tidyusage.metrics._source import Dimension
    from tidyusage.typing import Where


def selected(found: Columns, where: Where) -> str:
    """Return the SQL of whether a row of ``usage`` is meant."""
    if isinstance(where, str):
        (flag,) = dimensions(found, (where,))
        return f"coalesce({column(flag)}, false)"
    if not isinstance(where, Mapping) or not where:
        raise OptionError(
            f"where={where!r} selects no rows.",
            "Give fields with their values, such as {'user.id': None}, or a column of booleans.",
        )
    fields = dimensions(found, where)
    tests = (_any(field, value) for field, value in zip(fields, where.values(), strict=True))
    return " and ".join(tests)


def kinds(found: Columns, where: Where) -> dict[str, str]:
    """Return what the column must hold that says which rows are meant."""
    if not isinstance(where, str):
        return {}
    (flag,) = dimensions(found, (where,))
    if flag.column is None:
        raise UnknownFieldError(f"The frame has no column {where!r}.", "Add it, or give a mapping.")
    return {flag.column: "boolean"}


def dimensions(found: Columns, names: Iterable[str]) -> tuple[Dimension, ...]:
    """Return dimensions of records by their names; raise for what is none, or is in a list."""
    fields = Usage.of(found, names).by
    for field in fields:
        if field.path == TOOL or field.path.startswith("resources."):
            raise FrameError(
                f"{field.name!r} stands in a list of the record.",
                "allocate() gives each resource a row, and its id a column.",
            )
    return fields


def column(field: Dimension) -> str:
    """Return the SQL of a dimension in a row of ``usage``."""
    return quote(field.path or field.name) if field.column else _source.null(field.path)


def is_absent(text: str) -> str:
    """Return the SQL of whether nothing stands in a column: null, or spaces alone."""
    return f"nullif({trimmed(f'cast({text} as varchar)')}, '') is null"


def _any(field: Dimension, value: Any) -> str:
    values = value if isinstance(value, list | tuple | set | frozenset) else [value]
    return f"({' or '.join(_test(field, one) for one in values) or 'false'})"


def _test(field: Dimension, value: Any) -> str:
    if value is None:
        return is_absent(column(field))
    text = f"cast({column(field)} as varchar)"
    if field.path == "user.email" and isinstance(value, str):
        text, value = _source.spelled(column(field)), value.strip(" ").lower()
    if isinstance(value, str):
        return f"coalesce({text} = {literal(value)}, false)"
    if isinstance(value, bool):
        return f"coalesce(try_cast({text} as boolean) = {literal(value)}, false)"
    if is_number(value):
        return f"coalesce(try_cast({text} as double) = {literal(float(value))}, false)"
    raise _no_value(field, value)


def _no_value(field: Dimension, value: object) -> OptionError:
    return OptionError(
        f"where= gives {field.name!r} the value {value!r}.",
        "Give text, a number, a boolean, None for what is not there, or a list of them.",
    )
