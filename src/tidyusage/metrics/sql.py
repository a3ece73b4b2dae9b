"""`sql`: the metrics as SQL text for a warehouse that holds the wide table."""

from __future__ import annotations

from typing import Any, cast

from tidyusage.engines.dialects.translate import Table
from tidyusage.errors import one_of
from tidyusage.metrics.explain import bind, named
from tidyusage.typing import Separator  # noqa: TC001 - in the signature that users see


def sql(
    metric: str,
    *by: str,
    table: str = "usage_wide",
    sep: Separator = "_",
    dialect: str = "duckdb",
    **options: Any,
) -> str:
    """Return the SQL of a metric, to be run where the wide table is.

    It is the same text that answers for frames, written for another engine by sqlglot.

    Parameters
    ----------
    metric
        A metric's name, such as "cost_by".
    *by
        The dimensions, as the metric takes them.
    table
        The table's name as the dialect spells it, with its schema.  It has the columns of the
        wide layout; dates are instants (`timestamptz` in DuckDB and PostgreSQL, `TIMESTAMP` in
        Spark), lists are lists of structs (`jsonb` in PostgreSQL).
    sep
        What joins a path into a column's name there.
    dialect
        One of sqlglot's.  "duckdb", "postgres" and "spark" are executed in the tests and give the
        same figures as frames do; of the others it is known that the text can be read, not that
        an engine takes it.
    **options
        The metric's own options.

    Returns
    -------
    str
        One query.  Where a metric raises for what records do not tell, the query has a last
        column `tu__guard` instead: what is not null there says that the answer is none.
        Where a metric warns of windows it left out (`crossing="exclude"`), a last column
        `tu__notice` says which.

    Raises
    ------
    OptionError
        For an unknown metric, dialect or separator, or what the metric itself refuses.
    UnknownOptionError
        For an option that the metric does not know.

    Examples
    --------
    >>> import tidyusage as tu
    >>> print(tu.sql("cache_hit_rate", "model.id", dialect="snowflake")[:21])
    WITH tidyusage_frame
    """
    ask = named(metric)
    one_of("sep", sep, (".", "_"))
    bind(metric, None, *by)
    return cast("str", ask(Table(table, sep, dialect), *by, **options))
