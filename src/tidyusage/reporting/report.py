"""`report`: write a page for people who do not code."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from tidyusage._utils.whole import replaced
from tidyusage.engines.cache import read_once
from tidyusage.errors import ExportError, OptionError, known_options, one_of
from tidyusage.metrics import _spread
from tidyusage.metrics._periods import Periods
from tidyusage.metrics._person import checked as checked_people
from tidyusage.metrics._usage import usage
from tidyusage.reporting import calendar
from tidyusage.reporting.asked import CALENDAR, Asked
from tidyusage.reporting.figures import figures
from tidyusage.reporting.page import page, require_vega
from tidyusage.typing import Overlap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidyusage.typing import Charge, Conventions, Ends, Frame, Freq, Path, Rates, WeekStart

_TITLE = "Usage report"


@known_options
def report(
    frame: Frame,
    path: Path,
    *,
    title: str | None = None,
    freq: Freq | None = None,
    charge: Charge = "billed",
    rates: Rates | None = None,
    to: str | None = None,
    assume_currency: str | None = None,
    token_convention: Conventions = "auto",
    tz: str = "UTC",
    end: Ends = "exclusive",
    fiscal_year_start: int = 1,
    week_start: WeekStart = "monday",
    people: Mapping[str, str] | None = None,
    overlap: Overlap = "warn",
    users: bool = True,
) -> str:
    """Write a page that shows a manager what usage cost, who used what, and how sure that is.

    The page is one HTML file with all that it needs inside: it opens without a network, and
    nothing leaves it.  Products and periods can be chosen on it; its figures are those of the
    metrics for whatever is chosen.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling; absent columns count as null.
    path
        The file to write, which ends with .html; one that is there is replaced.
    title
        The page's heading.
    freq
        The length of a period: "1d", "1w", "1mo", "1q" or "1y".  If not given, days
        for up to 31 days of data, weeks for up to 184, else months.
    charge
        As in `cost_by`.
    rates
        As in `cost_by`.
    to
        The currency to which amounts are converted.
    assume_currency
        The currency of amounts that name none, as in `cost_by`.
    token_convention
        As in `tokens_by`.
    tz
        The zone whose calendar counts, an IANA name.
    end
        As in `cost_by`.
    fiscal_year_start, week_start
        As in `cost_by`.  Fiscal quarters and years are labelled "FY2026 Q1" and "FY2026".
    people
        Who is meant by a user id or e-mail, as in `active_users`.
    overlap
        What to do about rows that the sums count twice, as in `cost_by`: "warn", here and on the
        page; "ignore"; or "raise" an `OverlapError`.
    users
        False leaves the names of users out of the page, for one that is passed on.  Records' ids
        and what findings say of single records are left out with them.

    Returns
    -------
    str
        The path that was written.

    Raises
    ------
    UnknownFieldError
        For a frame that has amounts and no `charges.currency`, while `assume_currency` is not
        given.
    ExportError
        If there is no such folder, or the file cannot be written; what was there stays then.
    OptionError
        For an option's value that it cannot have, or more than 400 periods.
    MissingExtraError
        If vl_convert is missing, which `tidyusage[plot]` installs.
    RecordError
        If a rate is missing, as in `cost_by`.
    OverlapError
        With `overlap="raise"`.

    Warns
    -----
    OverlapWarning
        With `overlap="warn"`, of every kind of frame, since all of them are asked at once.
    MissingColumnWarning
        As in `cost_by`, of every kind of frame.

    Notes
    -----
    A page names at most 24 products, 200 models and 200 users, the ones with the highest cost or
    the most tokens; all others of each are one row, so that the page's size does not grow with
    the frame's.  Different users are counted over any choice as long as their patterns fit into 4
    MB, which more than 100,000 may.

    Examples
    --------
    >>> import tempfile
    >>> import tidyusage as tu
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = tu.report(tu.load_example(), f"{folder}/report.html", title="January")
    ...     with open(path, encoding="utf-8") as file:
    ...         "<title>January</title>" in file.read()
    True
    """
    target = _target(path)
    options: dict[str, Any] = {"charge": charge, "rates": rates, "to": to, "tz": tz, "end": end}
    options |= {"token_convention": token_convention, "people": people}
    options |= {"assume_currency": assume_currency}
    options |= {"fiscal_year_start": fiscal_year_start, "week_start": week_start}
    _check(frame, options, freq, overlap, title=title, users=users)
    require_vega()
    made = datetime.now(UTC)
    with read_once(frame) as rows, _spread.warn_once():
        found = figures(Asked(rows, options, freq), overlap, users=users)
    html = page(found, _TITLE if title is None else title, made)
    with replaced(target) as partial, open(partial, "w", encoding="utf-8") as file:
        file.write(html)
    return os.path.expanduser(path)


def _target(path: Path) -> str:
    """Return where a page is to be; refuse what is no page's name, or is in no folder."""
    if not isinstance(path, str | os.PathLike) or not str(path).lower().endswith((".html", ".htm")):
        raise OptionError(f"{path!r} is no name of a page.", "Give a path that ends with .html.")
    target = os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(target):
        raise ExportError(f"{target!r} is a folder.", "Give the path of a file.")
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise ExportError(f"There is no folder {folder!r}.", "Make it, or mend the path.")
    return target


def _check(
    frame: Any, options: dict[str, Any], freq: Any, overlap: Any, *, title: Any, users: Any
) -> None:
    """Refuse what no option can be, before anything is asked."""
    if freq is not None:
        one_of("freq", freq, (None, *calendar.FREQS))
    one_of("overlap", overlap, get_args(Overlap))
    one_of("users", users, (True, False))
    if title is not None and not isinstance(title, str):
        raise OptionError(f"title={title!r} is no text.", "Give the page's heading as text.")
    checked_people(options["people"])
    Periods("1d", **{name: options[name] for name in CALENDAR})
    Asked(frame, options).money.require_currency(usage(frame, ()))
