"""`complete_until`: drop the most recent periods, for which vendors report data late."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import clauses, literal, quote
from tidyusage.errors import OptionError, known_options
from tidyusage.metrics._periods import AT_START, DATES, PRODUCT, Periods
from tidyusage.prepare import _rewrite

if TYPE_CHECKING:
    from tidyusage.typing import Ends, FrameT, Instant, Lag

_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}
_LAG: Final = re.compile(r"(\d+(?:\.\d+)?)([hdw])")
_HINT: Final = "Give text such as '72h', '3d' or '2w', a timedelta, or a mapping from product id."


@known_options
def complete_until(
    frame: FrameT, lag: Lag, *, as_of: Instant | None = None, end: Ends = "exclusive"
) -> FrameT:
    """Return the records whose window ended so long ago that their figures are whole.

    Vendors deliver late and restate: the last days of a series fall off until they do.  Kept is
    what ended at or before `as_of` − `lag`.

    Parameters
    ----------
    frame
        A wide frame of any library, of either spelling.
    lag
        How long after its window's end a record is whole: text such as "72h", "3d" or "2w", a
        timedelta, or a mapping from product id to either, `{"claude": "30d", "*": "3d"}`.  Without
        "*", products that it does not name are kept whole.
    as_of
        When the frame was pulled: an instant, or its text; without a zone it is UTC.  None is now,
        at the call.
    end
        "inclusive" if vendors mean the last day by `end_date`: a date then counts to its end; or a
        mapping from product id to either.

    Returns
    -------
    frame
        Of the same library; lazy frames and relations stay lazy.  Some of its rows, as they are
        and in their order, with their index in pandas.  A window without an end is one day
        if it starts at 00:00 UTC, else an instant; records without dates are kept.

    Raises
    ------
    OptionError
        For what is no lag, no instant, or no kind of end.
    FrameError
        If the frame is no wide one.

    Examples
    --------
    >>> import tidyusage as tu
    >>> df = tu.load_example()
    >>> df["end_date"].max()
    Timestamp('2026-02-01 00:00:00+0000', tz='UTC')
    >>> tu.complete_until(df, "3d", as_of="2026-02-01")["end_date"].max()
    Timestamp('2026-01-29 00:00:00+0000', tz='UTC')
    """
    found, days = _rewrite.wide(frame), Periods("1d", end=end)
    bound = _bound(_lags(lag), _instant(as_of))
    # A window without dates has no end, and a product without a lag no bound.
    steps = f"""bounded as (
  select *, {days.ends(instant=AT_START)} as tu__to, {bound} as tu__bound
  from usage
)"""
    is_whole = "tu__to is null or tu__bound is null or tu__to <= tu__bound"
    return _rewrite.chosen(frame, found, steps, (*DATES, PRODUCT), of="bounded", where=is_whole)


def _bound(lags: Mapping[str, dt.timedelta], as_of: dt.datetime) -> str:
    """Return the SQL of the last instant at which a record's window may end."""
    bounds = {product: _literal(as_of, lag) for product, lag in lags.items()}
    default = bounds.pop("*", "cast(null as timestamp)")
    cases = [f"when {literal(product)} then {bound}" for product, bound in bounds.items()]
    return f"case {quote(PRODUCT)} {clauses(cases, '')} else {default} end" if cases else default


def _literal(as_of: dt.datetime, lag: dt.timedelta) -> str:
    try:
        return f"cast({literal((as_of - lag).isoformat(' '))} as timestamp)"
    except OverflowError as error:
        raise OptionError(f"lag={lag} leads before the year 1.", _HINT) from error


def _lags(lag: Lag) -> dict[str, dt.timedelta]:
    """Return each product's lag, and under * that of all others."""
    lags = dict(lag) if isinstance(lag, Mapping) else {"*": lag}
    if unnamed := [product for product in lags if not isinstance(product, str)]:
        raise OptionError(f"lag= names the product {unnamed[0]!r}.", "Name products as text.")
    return {product: _length(each) for product, each in lags.items()}


def _length(lag: object) -> dt.timedelta:
    if isinstance(lag, str) and (found := _LAG.fullmatch(lag.strip())):
        number, unit = found.groups()
        try:
            return dt.timedelta(**{_UNITS[unit]: float(number)})
        except OverflowError as error:
            raise OptionError(f"lag={lag!r} is too long.", _HINT) from error
    if isinstance(lag, dt.timedelta) and lag >= dt.timedelta():
        return dt.timedelta(microseconds=lag // dt.timedelta(microseconds=1))
    raise OptionError(f"lag={lag!r} is no length of time.", _HINT)


def _instant(as_of: object) -> dt.datetime:
    """Return an instant of UTC without a zone; a date is its midnight."""
    if as_of is None:
        return dt.datetime.now(dt.UTC).replace(tzinfo=None)
    if isinstance(as_of, str):
        try:
            as_of = dt.datetime.fromisoformat(as_of)
        except ValueError as error:
            raise OptionError(f"as_of={as_of!r} is no date.", "Write 2026-01-31.") from error
    if isinstance(as_of, dt.datetime) and as_of == as_of:  # noqa: PLR0124 - NaT is not itself
        plain = dt.datetime.fromisoformat(as_of.isoformat(timespec="microseconds"))
        return plain.astimezone(dt.UTC).replace(tzinfo=None) if plain.tzinfo else plain
    if isinstance(as_of, dt.date) and not isinstance(as_of, dt.datetime):
        return dt.datetime.combine(as_of, dt.time())
    raise OptionError(f"as_of={as_of!r} is no date.", "Give a date, or text such as 2026-01-31.")
