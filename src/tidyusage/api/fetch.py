"""`fetch_usage`: fetch records into a frame or a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from tidyusage.api.plan import BASE_URL, plan
from tidyusage.api.query import queries
from tidyusage.api.secret import guards_token
from tidyusage.errors import OptionError, known_options
from tidyusage.io import inputs
from tidyusage.io.assemble import assemble
from tidyusage.io.options import Options
from tidyusage.io.paths import expand, files

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    import duckdb

    from tidyusage.api.plan import Plan
    from tidyusage.io.inputs import Text
    from tidyusage.typing import (
        Backend,
        Duplicates,
        Every,
        Layout,
        Partial,
        Path,
        RemoteData,
        Separator,
        Texts,
        Unknown,
    )


@guards_token
@known_options
def fetch_usage(
    *,
    integrated_account_id: Texts | None = None,
    start_date: str | dt.date | None = None,
    end_date: str | dt.date | None = None,
    report_type: Texts | None = None,
    product_ids: Texts | None = None,
    user_ids: Texts | None = None,
    model_ids: Texts | None = None,
    surfaces: Texts | None = None,
    every: Every | None = None,
    page_size: int | None = None,
    params: Mapping[str, Any] | None = None,
    into: Path | None = None,
    lookback: int | dt.timedelta = 30,
    partial: Partial = "raise",
    token: str | None = None,
    base_url: str = BASE_URL,
    progress: bool | None = None,
    layout: Layout = "wide",
    backend: Backend | None = None,
    sep: Separator = ".",
    rejects: Path | None = None,
    unknown: Unknown = "warn",
    duplicates: Duplicates = "latest",
    remote_data: RemoteData = "drop",
    currency: str | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> Any:
    """Fetch Usage records from the API into a tidy frame, or into a folder.

    Follows the pages to their end, keeps the service's limits (50 requests in ten seconds an
    account, 500 a token), and tries again after 429, 502, 503, 504 and lost connections.

    Parameters
    ----------
    integrated_account_id
        The account to ask, or several.  None where the token is one account's own.
    start_date, end_date
        The range, as text of ISO 8601, dates or datetimes (without a zone: UTC).  Whether the end
        is inside is the vendor's matter: for Claude it is not, for Cursor it is.  Without an end
        it is today, in UTC, so that all days are over; without a beginning the vendor's default.
    report_type
        The report, or several, such as "cost" or "user_usage"; None is the vendor's default.
    product_ids, user_ids, model_ids, surfaces
        Filters, one or several values each.
    every
        "1d" or "1mo" asks for each day or month on its own, for vendors that answer no more
        (OpenAI Codex a day, Datadog a month); None asks for the whole range at once.
    page_size
        How many records a page may have; None is the service's default.
    params
        Further parameters, under the service's names.  Lists, mappings, flags and dates are
        written as the service takes them.
    into
        None returns a frame.  A folder lands the pages there, as compressed NDJSON that
        `read_usage` reads, with a manifest; a fetch that was killed goes on from its last whole
        page when it is called again.  A later call asks for what is new.
    lookback
        How many days before the end of the last fetch into the folder are asked for again, since
        vendors restate figures; a number of days, or a timedelta.
    partial
        What to do about a page that the service itself calls partial: "raise", or "warn" and take
        what is there.
    token
        The API token.  None takes the environment variable TRUTO_API_TOKEN, else the password of
        the host's entry in the netrc file.
    base_url
        The service's address; plain http is for loopback alone.
    progress
        True shows a bar, False none, None one in notebooks and on terminals.
    layout, backend, sep, rejects, unknown, duplicates
        As in `read_usage`; with ``into`` give them to `read_usage`.
    remote_data
        "drop" asks the service to leave the vendor's raw object out; "json" fetches it.
    currency, connection
        As in `read_usage`; with ``into`` give them to `read_usage`.

    Returns
    -------
    frame or str
        The frame, as `read_usage` gives it, with two more columns: `source.account` and
        `source.report_type` say what each row was fetched for.  With ``into`` the folder's path.

    Raises
    ------
    ApiError
        If the service refuses, fails, or sends what is no page; says its status, its message,
        what it knows of the reason, the request's id, and what to do.
    OptionError
        If an option has a value that it cannot have, or there is no token.
    MissingExtraError
        If the packages of tidyusage[api] are not installed.
    RecordError
        If records cannot be read, as in `read_usage`.

    Warns
    -----
    PartialWarning
        If pages are partial, a fetch had to begin anew, or all records are of the first day or
        month of a longer range.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tu.fetch_usage(integrated_account_id="a1", start_date="2026-02-01", end_date="2026-01-01")
    Traceback (most recent call last):
        ...
    tidyusage.errors.OptionError: start_date='2026-02-01' is after end_date='2026-01-01'.
    <BLANKLINE>
    Exchange them, or drop one.
    """
    options = Options(
        layout, backend, sep, rejects, unknown, duplicates, remote_data, currency, connection
    )
    asked = queries(
        accounts=integrated_account_id,
        report_types=report_type,
        start=start_date,
        end=end_date,
        filters={
            "product_ids": product_ids,
            "user_ids": user_ids,
            "model_ids": model_ids,
            "surfaces": surfaces,
        },
        params=params,
        page_size=page_size,
        remote_data=options.keeps_remote_data,
    )
    made = plan(
        asked,
        base_url=base_url,
        token=token,
        every=every,
        lookback=lookback,
        partial=partial,
        progress=progress,
    )
    if into is None:
        return assemble(lambda folder: _landed(made, folder), options)
    _require_no_reading(options)
    from tidyusage.api.collect import collect

    folder = expand(into)
    collect(made, folder, goes_on=True)
    return folder


def _landed(made: Plan, folder: str) -> list[Text]:
    """Fetch pages into a folder of ours, and return them as texts."""
    from tidyusage.api.collect import collect

    home = os.path.join(folder, "fetched")
    collect(made, home, goes_on=False)
    return [inputs.text(path, label) for path, label in _pages(home)]


def _pages(home: str) -> Iterator[tuple[str, str]]:
    for path in files([home]):
        yield path, os.path.relpath(path, home)


def _require_no_reading(options: Options) -> None:
    """Refuse options of reading where nothing is read."""
    default = Options(remote_data=options.remote_data)
    given = [name for name in _READING if getattr(options, name) != getattr(default, name)]
    if given:
        raise OptionError(
            f"{given[0]}= has no meaning with into=, which reads nothing.",
            "Give it to read_usage(), which reads the folder.",
        )


_READING: Final = (
    "layout",
    "backend",
    "sep",
    "rejects",
    "unknown",
    "duplicates",
    "currency",
    "connection",
)
