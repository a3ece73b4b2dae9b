"""`table`: show a metric's result with currencies, percentages and share bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import pyarrow as pa

from tidyusage._utils import html
from tidyusage.engines import frames
from tidyusage.errors import (
    FrameError,
    OptionError,
    is_count,
    known_options,
    require_packages,
)
from tidyusage.tables import formats

if TYPE_CHECKING:
    import great_tables

    from tidyusage.typing import Frame

_ROWS: Final = 1_000
# Each cell takes a notebook 0.2 kB and a tenth of a millisecond.
_CELLS: Final = 20_000
# What is to be wrapped says so itself.
_CSS: Final = "#{id} td {{ white-space: pre; }}"
# Colours of the page around are not known here: text takes on what it finds, lines show on all.
_COLORS: Final[dict[str, Any]] = dict.fromkeys(
    (
        *("table_border_top_color", "table_border_bottom_color", "heading_border_bottom_color"),
        *("column_labels_border_top_color", "column_labels_border_bottom_color"),
        *("table_body_border_top_color", "table_body_border_bottom_color"),
        "table_body_hlines_color",
    ),
    "rgba(128,128,128,.45)",
) | {"table_background_color": "inherit"}


@known_options
def table(
    result: Frame,
    *,
    title: str | None = None,
    subtitle: str | None = None,
    rows: int | None = None,
) -> great_tables.GT:
    r"""Return an answer as a table to be shown: in a notebook, on a page, in a mail.

    Amounts stand with their currency, in its decimals; unit prices with three digits of the
    smallest at least.  Ratios are in per cent; shares have a bar from 0 to 100 %.  What is missing
    is a dash, what has no name "(none)".  Figures are rounded, and what is not zero never looks so.

    Parameters
    ----------
    result
        What a metric or a check answered, of any library; or any other frame, which is shown as it
        is.  A lazy one is collected, a relation is asked, for the rows that are shown.
    title
        What stands above the table.
    subtitle
        What stands below the title.
    rows
        How many rows are shown.  None shows the first 1,000, of many columns as many as make
        20,000 cells.  If there are more, a note below tells how many.

    Returns
    -------
    great_tables.GT
        Its data are the rows of `result`, as they were: what great_tables has can be done to it,
        such as `tab_spanner`, `cols_hide` or `as_raw_html`.  `currency` is hidden where the amounts
        name it.  Colours are those of the page around.

    Raises
    ------
    MissingExtraError
        If great_tables is not installed: `tidyusage[table]` installs it.
    FrameError
        For what is no frame; for a column that no engine reads.
    OptionError
        For an option's value that it cannot have.

    Notes
    -----
    Columns are known by their names.  How many tokens or requests a price is for (`per=`) is told
    from the figures beside it.  Names are shown letter by letter: what looks like HTML or Markdown
    in them is none.

    Examples
    --------
    >>> import tidyusage as tu
    >>> shown = tu.table(tu.cost_by(tu.load_example(), "product.id"), title="January")
    >>> "USD\xa01,265.90" in shown.as_raw_html()
    True
    """
    require_packages("table() needs", ("great_tables",), "table")
    if rows is not None and not is_count(rows):
        raise OptionError(f"rows={rows!r} is no number of rows.", "Give one such as 100.")
    if subtitle is not None and title is None:
        raise OptionError(f"subtitle={subtitle!r} stands below no title.", "Give title= too.")
    if frames.backend_of(result) is None:
        raise FrameError(
            f"{type(result).__name__} is no frame that tidyusage knows.",
            "Give what a metric or a check answered.",
        )
    shown, count = _glance(result, rows)
    drawn = _drawn(shown, title, subtitle)
    if not count:
        return drawn.tab_source_note("No rows.")
    if more := count - shown.num_rows:
        kept = f"first {shown.num_rows:,} rows are" if shown.num_rows > 1 else "first row is"
        return drawn.tab_source_note(
            f"The {kept} shown; there {'are' if more > 1 else 'is'} {more:,} more."
        )
    return drawn


def _glance(frame: Any, rows: int | None) -> tuple[pa.Table, int]:
    """Return the first rows of a frame as an Arrow table, and how many there are."""
    backend = frames.backend_of(frame)
    if backend == "pandas":
        frame = _with_index(frame)
    names = frames.columns(frame)
    if twice := [name for name in names if names.count(name) > 1]:
        raise FrameError(f"The frame has two columns {twice[0]!r}.", "Rename one.")
    most = rows or max(1, min(_ROWS, _CELLS // max(1, len(names))))
    if not (frames.is_lazy(frame) or backend in {"duckdb", "pyspark"}):
        table = _collected(frame)
        return _readable(table[:most]), table.num_rows
    # What is lazy runs once where all of it is shown, and is counted where it is not.
    first = frame.limit(most + 1)
    table = frames.collected(first)
    count = table.num_rows if table.num_rows <= most else _height(frame)
    return _readable(table[:most]), count


def _readable(table: pa.Table) -> pa.Table:
    """Return a table for Polars, which knows no intervals of months: they become text."""
    columns: dict[str, Any] = {field.name: table[field.name] for field in table.schema}
    for field in table.schema:
        if pa.types.is_interval(field.type):
            values = table[field.name].to_pylist()
            columns[field.name] = [None if value is None else str(value) for value in values]
    return pa.table(columns)


def _with_index(frame: Any) -> Any:
    """Return a pandas frame whose index, where it has names, and whose names are columns."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    names = [" ".join(map(str, n)) if isinstance(n, tuple) else str(n) for n in frame.columns]
    return frame.set_axis(names, axis=1)


def _collected(frame: Any) -> pa.Table:
    try:
        return frames.collected(frame)
    except frames.UNTYPED as error:
        if isinstance(error, FrameError) or (name := frames.untyped(frame)) is None:
            raise
        raise FrameError(
            f"The column {name!r} holds what no engine reads.", "Bring it to text, or drop it."
        ) from error


def _height(frame: Any) -> int:
    """Return how many rows a lazy frame or relation has."""
    backend = frames.backend_of(frame)
    if backend == "pyspark":
        return int(frame.count())
    if backend == "duckdb":
        return int(frame.aggregate("count(*)").fetchall()[0][0])
    import polars as pl

    return int(frame.select(pl.len()).collect().item())


def _drawn(table: pa.Table, title: str | None, subtitle: str | None) -> great_tables.GT:
    """Return rows as a table of great_tables."""
    import great_tables
    import polars as pl

    id_ = f"tidyusage-{crc32(repr((table.schema, table.to_pydict())).encode()):08x}"
    made = great_tables.GT(pl.from_arrow(table), id=id_)
    for name in table.column_names:
        for part in formats.parts(table, name):
            made = made.fmt(part.write, columns=[name], rows=part.rows)
    right = [field.name for field in table.schema if formats.is_number(field.type)]
    left = [name for name in table.column_names if name not in right]
    made = made.cols_align("right", right).cols_align("left", left)
    words = {name: formats.label(table, name) for name in table.column_names}
    made = made.cols_label({n: great_tables.html(html.escaped(w)) for n, w in words.items()})
    made = _arranged(made, table).tab_options(table_additional_css=_CSS.format(id=id_), **_COLORS)
    return made if title is None else made.tab_header(title, subtitle)


def _arranged(made: great_tables.GT, table: pa.Table) -> great_tables.GT:
    """Put a unit behind what it is of, and hide the currency that its amounts name."""
    if mixed := formats.mixed(table):
        made = made.cols_move([formats.UNIT], after=mixed[-1])
    named = {formats.money(table, name) for name in table.column_names}
    return made.cols_hide([formats.CURRENCY]) if formats.CURRENCY in named else made
