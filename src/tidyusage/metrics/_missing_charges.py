"""Warn where a frame lacks charge columns that could change a record's cost.

A selection of columns that cannot change an answer is silent; one that can is reported, once per
call.  The names of the columns say which are missing, the rows whether that matters: a record with
a net amount needs no other column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from tidyusage.engines import frames
from tidyusage.engines.dialects.translate import Table
from tidyusage.engines.query import run_query
from tidyusage.errors import MissingColumnWarning, warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl

    from tidyusage.engines.query import Query
    from tidyusage.typing import Overlap

_RECORDS: Final = "tu__records"
_AFFECTED: Final = "tu__affected"


class _AlreadyChecked(str):
    __slots__ = ()


# The value of `overlap` for further queries of a frame within one call, after the first one has
# looked for overlaps and for missing columns.  It equals "ignore".
ALREADY_CHECKED: Final = cast("Overlap", _AlreadyChecked("ignore"))


@dataclass(frozen=True, slots=True)
class MissingCharges:
    """Charge columns that a frame lacks, and the ``query`` that counts the records they affect.

    ``suggests_net`` says whether "net" is a policy that would not need them.
    """

    columns: tuple[str, ...]
    query: Query
    suggests_net: bool

    def warn(self, frame: Any) -> None:
        """Run the query over a frame and warn if a missing column could change a cost."""
        (counts,) = frames.collected(run_query(frame, self.query)).to_pylist()
        of_net = ", or pass charge='net' if only net amounts count" if self.suggests_net else ""
        warn_of_columns(self.columns, [*counts.values()], advice=of_net)


def warn_of_columns(
    columns: Sequence[str],
    counts: Sequence[int | None],
    *,
    figure: str = "the cost",
    advice: str = "",
) -> None:
    """Warn of the missing columns that matter, by the answer to the query of `counts_sql`."""
    records, affected, *of_columns = (count or 0 for count in counts)
    if not affected:
        return
    named = [name for name, count in zip(columns, of_columns, strict=True) if count]
    noun, pronoun = ("a charge column", "it") if len(named) == 1 else ("charge columns", "them")
    warn(
        f"The frame lacks {noun} that could change {figure} of {affected:,} of "
        f"{records:,} records: {', '.join(named)}.\n\n"
        f"Keep {pronoun} when you select columns{advice}.",
        MissingColumnWarning,
    )


def is_checked(overlap: Overlap) -> bool:
    """Tell whether the frame has been checked within this call already."""
    return isinstance(overlap, _AlreadyChecked)


def count_columns(tests: Iterable[str]) -> list[str]:
    """Return the columns of the query of `counts_sql`."""
    return [_RECORDS, _AFFECTED, *(_affected(place) for place, _ in enumerate(tests))]


def counts_sql(tests: Mapping[str, str]) -> str:
    """Return a query that counts the rows of ``usage`` that missing columns affect.

    It counts all rows, those that any of the columns affects, and those that each affects.
    """
    any_ = " or ".join(f"({test})" for test in tests.values())
    columns = zip(count_columns(tests), ("true", any_, *tests.values()), strict=True)
    sums = (f"sum(case when {test} then 1 else 0 end) as {name}" for name, test in columns)
    return f"select {', '.join(sums)}\nfrom usage"


def checked(frame: Any, missing: MissingCharges | None, needs: Iterable[str]) -> Any:
    """Return a frame after warning of missing columns; a lazy frame warns when it is collected.

    DuckDB relations, Spark frames and tables of a warehouse are not read early and cannot warn
    when they are.
    """
    is_unread = isinstance(frame, Table) or frames.backend_of(frame) in {"duckdb", "pyspark"}
    if missing is None or is_unread:
        return frame

    def look(eager: Any) -> Any:
        missing.warn(eager)
        return eager

    if frames.is_lazy(frame):
        wanted = list(dict.fromkeys((*needs, *missing.query.needs)))
        return cast("pl.LazyFrame", frame).select(wanted).map_batches(look)
    if frames.backend_of(frame) == "pyarrow":
        frame = frames.to_arrow(frame)  # a reader can be read only once
    return look(frame)


def _affected(place: int) -> str:
    return f"tu__affected_{place}"
