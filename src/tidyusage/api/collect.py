"""Pages into a folder, all of them or to be gone on with."""

from __future__ import annotations

from functools import partial as bound
from typing import TYPE_CHECKING, Any, Final

from tidyusage.api.bars import bar
from tidyusage.api.client import Client
from tidyusage.api.crawl import Job, pages
from tidyusage.api.landing import Landing, asked, landing
from tidyusage.api.ranges import left_to_do, split
from tidyusage.api.reach import Reach
from tidyusage.api.secret import find
from tidyusage.errors import ApiError, PartialWarning, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tidyusage.api.pages import Page
    from tidyusage.api.plan import Plan
    from tidyusage.manifest import Run

# What a service says to a cursor that it no longer knows.
_EXPIRED: Final = frozenset({400, 404, 410, 422})
_SHOWN: Final = 5


def connect(plan: Plan) -> Client:
    """Return a client, which has the token."""
    return Client(plan.service, find(plan.token, plan.service.host))


def records(plan: Plan) -> Iterator[dict[str, Any]]:
    """Return an iterator of all records as they come; a token that is missing is said now."""
    client = bound(connect, plan)
    client()
    return _records(plan, client)


def _records(plan: Plan, client: Callable[[], Client]) -> Iterator[dict[str, Any]]:
    reach = Reach()
    with bar(plan.progress) as shown:
        for number, found in pages(client, list(map(Job, plan.parts()))):
            if isinstance(found, ApiError):
                raise found
            if found.is_partial:
                _tell_partial(plan, found)
            reach.see(number, found)
            shown.tell(found)
            yield from found.records()


def collect(plan: Plan, folder: str, *, goes_on: bool) -> None:
    """Fetch pages into a folder.

    Where one query fails, the others are fetched first, if it ``goes_on``.
    """
    client = bound(connect, plan)
    client()
    with landing(folder) as landed, bar(plan.progress) as shown:
        runs = list(_runs(landed, plan))
        failures: list[ApiError] = []
        while runs:
            again: list[Run] = []
            jobs = [Job(asked(run), tuple(_cursors(run))) for run in runs]
            reach = Reach()
            for number, found in pages(client, jobs):
                run = runs[number]
                try:
                    if isinstance(found, ApiError):
                        raise found
                    _take(landed, run, found, plan)
                    if not jobs[number].seen:
                        reach.see(number, found)
                    shown.tell(found)
                except ApiError as error:
                    if _has_expired(error, run, jobs[number]):
                        _begin_anew(landed, run)
                        again.append(run)
                    elif goes_on:
                        failures.append(error)
                    else:
                        raise
            runs = again
        if failures:
            raise _together(failures)


def _runs(landed: Landing, plan: Plan) -> Iterator[Run]:
    """Yield what is left to fetch: runs that are unfinished, and new ones."""
    service = plan.service.base_url
    for query in plan.queries:
        runs = [
            run
            for run in landed.runs
            if run.query["service"] == service and asked(run).is_of(query)
        ]
        for run in runs:
            landed.verify(run)
        left = left_to_do(query, runs, plan.lookback)
        unfinished = [run for run in runs if not run.is_ended]
        begun = [landed.begin(part, service) for part in split(left, plan.every)] if left else []
        for run in [*unfinished, *begun]:
            if run.pages and run.pages[-1].next_cursor is None:
                landed.end(run)
            else:
                yield run


def _cursors(run: Run) -> Iterator[str]:
    for page in run.pages:
        if page.next_cursor is not None:
            yield page.next_cursor


def _take(landed: Landing, run: Run, page: Page, plan: Plan) -> None:
    if page.is_partial:
        _tell_partial(plan, page)
    landed.land(run, page)
    if page.next_cursor is None:
        landed.end(run)


def _tell_partial(plan: Plan, page: Page) -> None:
    fact = f"The service called page {page.number:,} of {page.query} partial: records are missing."
    if plan.partial == "raise":
        raise ApiError(
            fact, "Run it again later. partial='warn' takes what is there; totals will be too low."
        )
    warn(f"{fact} Totals are too low.", PartialWarning)


def _has_expired(error: ApiError, run: Run, job: Job) -> bool:
    """Tell whether the cursor of an earlier call is no longer known."""
    is_first = len(run.pages) == len(job.seen)
    return bool(job.seen) and is_first and error.status in _EXPIRED


def _begin_anew(landed: Landing, run: Run) -> None:
    warn(
        f"The service no longer knows where the fetch of {asked(run)} ended; its "
        f"{len(run.pages):,} pages are fetched again.",
        PartialWarning,
    )
    landed.drop(run, 1)


def _together(failures: Sequence[ApiError]) -> ApiError:
    """Return one error for all."""
    if len(failures) == 1:
        return failures[0]
    facts = [str(error).partition("\n\n")[0] for error in failures]
    more = [f"and {len(facts) - _SHOWN:,} more"] if len(facts) > _SHOWN else []
    listed = "\n".join(f"  {fact}" for fact in [*facts[:_SHOWN], *more])
    hints = dict.fromkeys(str(error).partition("\n\n")[2] for error in failures)
    return ApiError(
        f"{len(failures):,} reports could not be fetched; what else was asked for has landed:\n"
        f"{listed}",
        "\n".join(hints),
        status=failures[0].status,
        request_id=failures[0].request_id,
    )
