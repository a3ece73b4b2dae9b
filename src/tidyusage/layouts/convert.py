"""`to_long`, `to_wide`, `charges` and other conversions between layouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from tidyusage import catalogue, schema
from tidyusage._utils.sql import literal, quote
from tidyusage.engines import frames
from tidyusage.engines.columns import Columns, columns, rebuilt_charges, typed, with_own
from tidyusage.errors import FrameError, UnknownFieldError, known_options, one_of
from tidyusage.layouts import convert_sql

if TYPE_CHECKING:
    from collections.abc import Collection

    from tidyusage.typing import FrameT, Layout

    Repeated = Literal["raise", "keep"]

_MEASURES: Final = (*(field.column for field in catalogue.MEASURES), *catalogue.CHARGE_COLUMNS)


@known_options
def to_long(frame: FrameT, *, duplicates: Repeated = "raise") -> FrameT:
    """Return one row a record and measure from a wide frame.

    Parameters
    ----------
    frame
        A wide frame of any library, with `.` or `_` in its names, whole or with some of its
        columns; absent ones count as null.  A long frame comes back as it is.
    duplicates
        An `id` on several rows: "raise", or "keep" and tell them apart by a column `record`
        (int64, the row's position).

    Returns
    -------
    frame
        Of the same library; lazy frames and relations stay lazy.  Columns `id`, the dimensions,
        `start_date`, `end_date`, `metric` (dotted, str), `value` (float64), `unit` (str; a
        charge's is its currency), then the caller's own columns.  One row for each measure,
        charge type and tool action that is not null; flags count 0 and 1.

    Raises
    ------
    FrameError
        If the frame is no wide one, an `id` stands on several rows, or dtypes do not fit.

    Examples
    --------
    >>> import tidyusage as tu
    >>> wide = tu.flatten_usage({"id": "a", "usage": {"tokens": {"input": 12, "output": 3}}})
    >>> tu.to_long(wide)[["id", "metric", "value", "unit"]]
      id               metric  value    unit
    0  a   usage.tokens.input   12.0  tokens
    1  a  usage.tokens.output    3.0  tokens
    """
    found = columns(frame)
    if found.layout == "long":
        return frame
    _require(found, "wide")
    record = _marks(duplicates)
    wanted = [
        *convert_sql.LONG_KEYS,
        *found.marks,
        *_MEASURES,
        "usage.unit",
        "charges",
        convert_sql.COUNTS,
    ]

    def query(source: str) -> str:
        rows = _wide(source, found, wanted, record)
        return convert_sql.long(rows, record=record, own=(*found.marks, *found.own))

    types_ = schema.layout_types("long", record=record, source=bool(found.marks))
    return _run(frame, found, query, with_own(types_, found))


@known_options
def to_wide(frame: FrameT) -> FrameT:
    """Return one row a record from a long frame.

    Parameters
    ----------
    frame
        A long frame of any library.  A wide one comes back as it is.

    Returns
    -------
    frame
        Of the same library, with all columns of wide, in the order in which the records first
        stand in long.  What long does not hold (resources, creation dates, text within `usage`)
        is null; `charges` holds one entry a type.

    Raises
    ------
    FrameError
        If the frame is no long one, or dtypes do not fit.

    Examples
    --------
    >>> import tidyusage as tu
    >>> long = tu.load_example(layout="long")
    >>> tu.to_wide(long).shape
    (310, 78)
    """
    found = columns(frame)
    if found.layout == "wide":
        return frame
    _require(found, "long")
    types_ = with_own(schema.layout_types("wide", source=bool(found.marks)), found)
    return _run(frame, found, lambda source: wide_of_long(source, found), types_)


@known_options
def charges(frame: FrameT, *, duplicates: Repeated = "raise") -> FrameT:
    """Return one row a charge.

    Parameters
    ----------
    frame
        A wide or long frame of any library.
    duplicates
        As in `to_long`.

    Returns
    -------
    frame
        `id`, `position` (int64, from 0), `charges.amount` (float64, in units of the currency),
        `charges.currency` (str, upper case), `charges.type` (str).  The charges of a record are
        overlapping views of one cost: do not add them up across types.

    Raises
    ------
    FrameError
        If the frame is no usage frame, or an `id` stands on several rows.
    UnknownFieldError
        If it has no charges.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tu.charges(tu.load_example()).groupby("charges.type").size().loc[["net", "total"]]
    charges.type
    net      186
    total    310
    dtype: int64
    """
    return _child(frame, "charges", duplicates)


@known_options
def resources(frame: FrameT, *, duplicates: Repeated = "raise") -> FrameT:
    """Return one row a record and resource.

    Parameters
    ----------
    frame
        A wide frame of any library.
    duplicates
        As in `to_long`.

    Returns
    -------
    frame
        `id`, `position` (int64, from 0), `resources.id`, `resources.name`,
        `resources.workspace.id`, `resources.workspace.name` (all str).

    Raises
    ------
    FrameError
        If the frame is no usage frame, or an `id` stands on several rows.
    UnknownFieldError
        If it has no column `resources`; a long frame has none.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tu.resources(tu.load_example()).columns[:3].tolist()
    ['id', 'position', 'resources.id']
    """
    return _child(frame, "resources", duplicates)


@known_options
def tool_actions(frame: FrameT, *, duplicates: Repeated = "raise") -> FrameT:
    """Return one row a record, tool and action.

    Parameters
    ----------
    frame
        A wide or long frame of any library.
    duplicates
        As in `to_long`.

    Returns
    -------
    frame
        `id`, `position` (int64, from 0), `tool`, `action` (str), `count` (float64).

    Raises
    ------
    FrameError
        If the frame is no usage frame, or an `id` stands on several rows.
    UnknownFieldError
        If it has no tool actions.

    Examples
    --------
    >>> import tidyusage as tu
    >>> actions = tu.tool_actions(tu.load_example())
    >>> sorted(actions["action"].unique())
    ['accepted', 'rejected']
    """
    return _child(frame, "tool_actions", duplicates)


def _child(frame: FrameT, layout: Layout, duplicates: Repeated) -> FrameT:
    found = columns(frame)
    if found.layout == layout:
        return frame
    record = _marks(duplicates)
    if found.layout == "long":
        if layout == "resources":
            raise UnknownFieldError(
                "A long frame holds no resources.", "Call resources() on the wide frame."
            )
    else:
        _require(found, "wide")
        _require_entries(found, layout)

    def query(source: str) -> str:
        if found.layout == "long":
            rows = f"({wide_of_long(source, found)})"
        else:
            wanted = ["id", *found.marks, *catalogue.CHARGE_COLUMNS, convert_sql.CHILDREN[layout]]
            rows = _wide(source, found, wanted, record)
        return convert_sql.child(rows, layout, record=record, own=found.marks)

    types_ = schema.layout_types(layout, record=record, source=bool(found.marks))
    return _run(frame, found, query, types_)


def _require_entries(found: Columns, layout: Layout) -> None:
    entries = convert_sql.CHILDREN[layout]
    amounts = set(catalogue.CHARGE_AMOUNTS)
    if entries in found.known or (layout == "charges" and amounts & set(found.known)):
        return
    raise UnknownFieldError(
        f"The frame has no column {schema.rename(entries, found.sep)!r}.",
        "It holds the entries; flatten_usage() and read_usage() make it in the wide layout.",
    )


def _run(frame: FrameT, found: Columns, query: frames.Query, types_: frames.Types) -> FrameT:
    try:
        return frames.run(frame, query, types_, found.sep)
    except frames.refusals() as error:
        fact, _, hint = frames.message(error).partition(" — ")
        raise FrameError(
            f"The frame cannot be reshaped: {fact}",
            hint or "restore() brings a frame from CSV, Excel or a database to the dtypes needed.",
        ) from error


def _marks(duplicates: str) -> bool:
    one_of("duplicates", duplicates, ("raise", "keep"))
    return duplicates == "keep"


def _require(found: Columns, layout: str) -> None:
    if found.layout != layout:
        raise FrameError(
            f"This is a frame of {found.layout}; a {layout} one is needed.",
            f"Make one with flatten_usage(…, layout={layout!r}).",
        )


def _wide(source: str, found: Columns, wanted: Collection[str], record: bool) -> str:
    """Return the SQL of the wide columns that a query needs, and the guard over repeated ids."""
    rows = typed(source, found, dict.fromkeys(wanted), found.own)
    if "charges" in wanted and "charges" not in found.known:
        rows = f"(select * replace ({rebuilt_charges()} as charges) from {rows})"
    if record:
        return f"(select *, row_number() over () - 1 as record from {rows})"
    message = literal(
        "tidyusage: an id stands on several rows — Give duplicates='keep' to tell them apart by "
        "a column record, or keep the newest of each."
    )
    id_ = quote(found.known["id"])
    marks = [quote(found.known[name]) for name in found.marks if name in found.known]
    key = f"row({', '.join([*marks, id_])})" if marks else id_
    counted = f"where {id_} is not null"
    repeated = f"(select count(*) > count(distinct {key}) from {source} {counted})"
    return f"(select * from {rows} where case when {repeated} then error({message}) else true end)"


def wide_of_long(source: str, found: Columns) -> str:
    """Return the query from a long frame to wide."""
    wanted = [*convert_sql.LONG_KEYS, *found.marks, "metric", "value", "unit"]
    record = "record" in found.known
    rows = typed(source, found, [*(["record"] if record else []), *wanted], found.own)
    return convert_sql.wide(rows, record=record, own=(*found.marks, *found.own))
