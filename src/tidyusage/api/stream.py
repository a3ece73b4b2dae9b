"""`iter_usage`: iterate over records from the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidyusage.api.plan import BASE_URL, plan
from tidyusage.api.query import queries
from tidyusage.api.secret import guards_token
from tidyusage.errors import known_options, one_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from tidyusage.typing import Every, Partial, RemoteData, Texts


@guards_token
@known_options
def iter_usage(
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
    partial: Partial = "raise",
    token: str | None = None,
    base_url: str = BASE_URL,
    progress: bool | None = None,
    remote_data: RemoteData = "drop",
) -> Iterator[dict[str, Any]]:
    """Yield Usage records from the API, one by one, as they come.

    Parameters
    ----------
    integrated_account_id, start_date, end_date, report_type
        As in `fetch_usage`.
    product_ids, user_ids, model_ids, surfaces, every, page_size, params
        As in `fetch_usage`.
    partial, token, base_url, progress, remote_data
        As in `fetch_usage`.

    Returns
    -------
    iterator of dict
        Each record as the service sends it, with a first key `source`: the `account` and the
        `report_type` that it was fetched for.  Records of one report come in their order; several
        reports take turns.  What is left is not fetched once the iterator is closed.

    Raises
    ------
    ApiError
        If the service refuses, fails, or sends what is no page; when it is reached.
    OptionError
        If an option has a value that it cannot have, or there is no token.
    MissingExtraError
        If the packages of tidyusage[api] are not installed.

    Examples
    --------
    >>> import tidyusage as tu
    >>> tu.iter_usage(integrated_account_id="a1", base_url="http://example.com")
    Traceback (most recent call last):
        ...
    tidyusage.errors.OptionError: base_url='http://example.com' would send the token in the clear.
    <BLANKLINE>
    Use https.
    """
    one_of("remote_data", remote_data, ("drop", "json"))
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
        remote_data=remote_data == "json",
    )
    made = plan(
        asked,
        base_url=base_url,
        token=token,
        every=every,
        lookback=0,
        partial=partial,
        progress=progress,
    )
    from tidyusage.api.collect import records

    return records(made)
