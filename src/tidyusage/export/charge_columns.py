"""Check the charge columns that an export needs to compute costs.

Wide and long exports only write rows, so they need no column; their manifest leaves out the sums
that cannot be known (`Usage.lacks_currency`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tidyusage import catalogue, schema
from tidyusage.errors import UnknownFieldError
from tidyusage.export import focus_records
from tidyusage.export.table import USAGE
from tidyusage.metrics import _charges, _missing_charges
from tidyusage.metrics.cost import require_currency
from tidyusage.metrics.totals import require_unit

if TYPE_CHECKING:
    import duckdb

    from tidyusage.engines.columns import Columns
    from tidyusage.export.table import Usage
    from tidyusage.typing import Tables

_NAMES: Final[dict[Tables, str]] = {"star": "a star", "focus": "FOCUS"}


def require_columns(form: Tables, given: Columns) -> None:
    """Raise if a frame has amounts or quantities without the column of their currency or unit."""
    if form not in _NAMES or given.layout not in {"wide", "long"}:
        return
    is_long = given.layout == "long"
    amounts = [name for name in catalogue.CHARGE_AMOUNTS if name in given.known]
    if form == "focus" and not amounts and not is_long:
        names = ", ".join(schema.rename(name, given.sep) for name in focus_records.AMOUNTS)
        raise UnknownFieldError(
            f"The frame has none of the columns that {_NAMES[form]} needs: {names}.",
            "Keep at least one of them.",
        )
    if given.lacks_currency:
        require_currency(given, can_assume=False)
    if form == "focus":
        require_unit(given)


def warn_of_missing(connection: duckdb.DuckDBPyConnection, form: Tables, usage: Usage) -> None:
    """Warn if the frame lacks charge columns that could change what the export computes."""
    given = usage.given
    if form not in _NAMES or given is None or given.layout != "wide":
        return
    if form == "focus":
        tests, figure = focus_records.missing_columns(given.known), "the charges"
    else:
        has_cost = any(name in given.known for name in _charges.amounts_of(_charges.BILLED))
        tests = _charges.missing_columns(_charges.BILLED, given.known) if has_cost else {}
        figure = "the cost"
    if not tests:
        return
    query = f"with usage as (\n  select *\n  from {USAGE}\n)\n{_missing_charges.counts_sql(tests)}"
    counts: list[Any] = [*connection.execute(query).fetchall()[0]]
    names = [schema.rename(name, given.sep) for name in tests]
    _missing_charges.warn_of_columns(names, counts, figure=figure)
