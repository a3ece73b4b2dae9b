"""Windows cut at the bounds of days: a record of several days becomes one of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidyusage import schema
from tidyusage.errors import known_options
from tidyusage.metrics import source
from tidyusage.metrics.time import BEGIN, DATES, FROM, PART, PRODUCT, TO, UNTIL, Periods
from tidyusage.prepare import frames, parts
from tidyusage.sqltext import clauses, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidyusage.columns import Columns
    from tidyusage.typing import Ends, FrameT

START, END = DATES


@known_options
def daily(frame: FrameT, *, end: Ends = "exclusive", tz: str = "UTC") -> FrameT:
    """Return a record for each day that a window touches.

    A window that spans several days of the zone is cut at their bounds.  Each piece has the part
    of its record's charges and counts that its seconds are of the window's, so that the pieces add
    up to the record.  `freq=` of the metrics cuts by the same rule.

    Parameters
    ----------
    frame
        A wide frame of any library, of either spelling.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either, such as `{"cursor": "inclusive", "*": "exclusive"}`.
    tz
        The zone whose days count, an IANA name.

    Returns
    -------
    frame
        Of the same library; lazy frames and relations stay lazy.  The frame's columns, its own
        included, in its order of rows, a record's pieces by time.  A piece has its record's `id`,
        text, lists of resources and dates of creation; `start_date` and `end_date` (timestamp,
        UTC) are its own.  Counts, `usage.quantity` and charges (float64) are its share, within
        `charges` and `usage.code.tool_actions` too.  What cannot be added (distinct counts, flags)
        is null on a piece.  A record within one day stays as it is, and so does one without dates.

    Raises
    ------
    OptionError
        For what is no zone, or no kind of end.
    FrameError
        If the frame is no wide one, or dtypes do not fit.

    Notes
    -----
    A window without an end after its start is one day if it starts at 00:00 UTC, else an instant,
    which is never cut.  After this all ends are exclusive: an inclusive `end_date` is written as
    the instant after its day.
    `start_date` tells the rows of one `id` apart.

    Examples
    --------
    >>> import tidyusage as tu
    >>> record = {"id": "a", "charges": [{"type": "net", "amount": 79}],
    ...           "start_date": "2026-10-12", "end_date": "2026-10-15"}
    >>> tu.daily(tu.flatten_usage(record))[["id", "start_date", "charges.net"]]
      id                start_date  charges.net
    0  a 2026-10-12 00:00:00+00:00    26.333333
    1  a 2026-10-13 00:00:00+00:00    26.333333
    2  a 2026-10-14 00:00:00+00:00    26.333333
    """
    found, days = frames.wide(frame), Periods("1d", tz, end)
    if START not in found.known:
        return frame
    added = {} if END in found.known else {END: schema.ARROW["timestamp"]}
    divided = parts.measures(found, PART, "tu__is_cut")
    changed = (*DATES, *divided)
    return frames.rewritten(
        frame, found, _steps(found, days, divided), changed=changed, added=added
    )


def _steps(found: Columns, days: Periods, divided: Mapping[str, str]) -> str:
    """Return the steps from ``usage`` to the rows of the answer."""
    names = (*found.known, *found.own, *({END} - {*found.known}))
    pieces = {**divided, START: _start(), END: _end(days)}
    rows = [f"{pieces.get(name, quote(name))} as {quote(name)}" for name in names]
    return f"""{_dated(found)},
{days.pieces("dated", "tu__day")},
cut as (
  select *, {BEGIN} > {FROM} or {UNTIL} < {TO} as tu__is_cut
  from pieces
)
select
    {clauses(rows)}
from cut
order by {frames.ROW}, {BEGIN}"""


def _dated(found: Columns) -> str:
    """Return the step that has what a window is read from, null where absent."""
    absent = {END, PRODUCT} - {*found.known}
    nulls = "".join(f", {source.null(name)} as {quote(name)}" for name in sorted(absent))
    typed = [f"cast({name} as timestamp) as {name}" for name in DATES if name in found.known]
    return f"dated as (\n  select * replace ({', '.join(typed)}){nulls}\n  from usage\n)"


def _start() -> str:
    """Return the SQL of where a piece begins."""
    return f"case when tu__is_cut then {BEGIN} else {quote(START)} end"


def _end(days: Periods) -> str:
    """Return the SQL of where a piece ends."""
    moved = f" when {days.moved()} then {TO}" if days.moved() else ""
    return f"case when tu__is_cut then {UNTIL}{moved} else {quote(END)} end"
