"""What a check is: a name, a severity, and SQL that finds its cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from tidyusage import catalogue, schema
from tidyusage._utils.sql import literal, quote
from tidyusage.metrics._charges import BILLED, cost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tidyusage.metrics._usage import Usage
    from tidyusage.typing import Severity

RESULTS: Final[Mapping[str, pa.DataType]] = {
    "check": pa.string(),
    "severity": pa.string(),
    "id": pa.string(),
    "column": pa.string(),
    "value": pa.string(),
    "expected": pa.string(),
    "message": pa.string(),
    "records": pa.int64(),
}
_MEASURED: Final = {*(field.column for field in catalogue.MEASURES), *catalogue.CHARGE_COLUMNS}


@dataclass(frozen=True, slots=True)
class Check:
    """A rule about what is legal but suspect.

    ``steps`` are its SQL after ``usage``, made of ``fields``; two checks may share steps.  The
    last one is named as the check is, and has the columns of `found`.  Where the frame holds
    nothing of one of ``needs``, each a choice of fields, it has nothing to say.
    """

    name: str
    severity: Severity
    fields: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...]
    steps: tuple[Callable[[Usage], str], ...]

    def applies(self, asked: Usage) -> bool:
        """Tell whether a frame may hold what the check looks at."""
        return all(any(holds(asked, path) for path in choice) for choice in self.needs)


def holds(asked: Usage, path: str) -> bool:
    """Tell whether a frame may hold a field: any measure may be a row of long."""
    is_row = asked.columns.layout == "long" and path in _MEASURED
    return is_row or path in asked.columns.known


def found(
    *, id_: str, column: str, value: str, expected: str, message: str, records: str = "1"
) -> str:
    """Return the SQL of a finding's columns."""
    parts = {
        "id": id_,
        '"column"': column,
        "value": value,
        "expected": expected,
        "message": message,
        "records": records,
    }
    return ",\n    ".join(f"{sql} as {name}" for name, sql in parts.items())


def spelled(asked: Usage, path: str) -> str:
    """Return the SQL of a column's name, as the frame spells it."""
    return literal(schema.rename(path, asked.columns.sep))


def only_one(id_: str = "id") -> str:
    """Return the SQL of a group's id: that of its record, null if it has several."""
    return f"case when count(*) = 1 then max({id_}) end"


def figure(number: str) -> str:
    """Return the SQL of a number as text: up to six decimals, none for a whole one."""
    return f"regexp_replace(cast(round({number}, 6) as varchar), '\\.0$', '')"


def sentence(words: str, *parts: str) -> str:
    """Return the SQL of a text: words, with the SQL of what stands at each {}."""
    first, *rest = map(literal, words.split("{}"))
    return " || ".join(
        [first, *(f"{part} || {text}" for part, text in zip(parts, rest, strict=True))]
    )


def named(*columns: str) -> str:
    """Return the SQL of what a group is: its columns with a value, and a word before each."""
    words = {"product.id": "product", "organization.id": "organization", "model.id": "model"}
    parts = (
        f"{literal(words.get(column, column.replace('_', ' ')))} || ' ' || {quote(column)}"
        for column in columns
    )
    listed = f"concat_ws(', ', {', '.join(parts)})"
    return f"coalesce(nullif({listed}, ''), 'no product')"


def counted(number: str, one: str = "record", many: str = "records") -> str:
    """Return the SQL of a count and what it counts."""
    return f"case when {number} = 1 then '1 {one}' else {number} || ' {many}' end"


def cost_in_currency(asked: Usage) -> str:
    """Return the SQL of a record's cost; null in a frame without the column of currencies.

    Costs that are in who knows which currencies are no series, and cannot be compared.
    """
    return "cast(null as double)" if asked.columns.lacks_currency else cost(BILLED)
