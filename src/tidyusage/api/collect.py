"""Pages into a folder, all of them or to be gone on with."""

from __future__ import annotations

from functools import partial as bound
from typing import TYPE_CHECKING, Any, Final

from tidyusage.api.bars import bar
from tidyusage.api.client import Client
from tidyusage.api.crawl import Found, Job, pages
from tidyusage.api.landing import Landing, asked, landing
from tidyusage.api.pages import LeadsBackError
from tidyusage.api.ranges import left_to_do, split
from tidyusage.api.reach import Reach
from tidyusage.api.secret import find
from tidyusage.errors import ApiError, PartialWarning, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tidyusage.api.bars import Bar
    from tidyusage.api.plan import Plan
    from tidyusage.io.fetch_manifest import Run

# What a service says to a cursor that it no longer knows.
_EXPIRED: Final = frozenset({400, 404, 410, 422})
_SHOWN: Final = 5


def _connecting(plan: Plan) -> Callable[[], Client]:
    """Return what makes a client; a token that is missing is said now."""
    return bound(Client, plan.service, find(plan.token, plan.service.host))


def records(plan: Plan) -> Iterator[dict[str, Any]]:
    """Return an iterator of all records as they come; a token that is missing is said now."""
    return _records(plan, _connecting(plan))


def _records(plan: Plan, client: Callable[[], Client]) -> Iterator[dict[str, Any]]:
    jobs = [Job(part, plan.partial) for part in plan.parts()]
    reach = Reach()
    with bar(plan.progress) as shown:
        for number, found in pages(client, jobs):
            if isinstance(found, ApiError):
                raise found
            reach.see(number, found)
            shown.tell(found)
            yield from found.records()


def collect(plan: Plan, folder: str, *, goes_on: bool) -> None:
    """Fetch pages into a folder.

    Where one query fails, the others are fetched first, if it ``goes_on``.
    """
    client = _connecting(plan)
    with landing(folder) as landed, bar(plan.progress) as shown:
        runs, failures = list(_runs(landed, plan)), list[ApiError]()
        anew: list[Run] = []
        while runs:
            jobs = [Job(asked(run), plan.partial, tuple(_cursors(run))) for run in runs]
            lost: list[Run] = []
            for run, error in _land(landed, runs, pages(client, jobs), shown):
                if not goes_on:
                    raise error
                if _has_expired(error, run, jobs[runs.index(run)]):
                    lost.append(run)
                    continue
                failures.append(error)
                if run in anew and not run.pages:
                    landed.void(run)  # what it was to replace is there still
            runs = anew = [_begun_anew(landed, run) for run in lost]
        if failures:
            raise _together(failures)


def _land(
    landed: Landing, runs: Sequence[Run], found: Iterator[Found], shown: Bar
) -> Iterator[tuple[Run, ApiError]]:
    """Write pages as they come; yield the runs that come to no end, with the reason."""
    reach = Reach()
    began = [not run.pages for run in runs]
    for number, page in found:
        run = runs[number]
        if isinstance(page, ApiError):
            yield run, page
            continue
        landed.land(run, page)
        if page.next_cursor is None:
            landed.end(run)
            _void_others(landed, run, runs)
        if began[number]:
            reach.see(number, page)
        shown.tell(page)


def _runs(landed: Landing, plan: Plan) -> Iterator[Run]:
    """Yield what is left to fetch: runs that are unfinished, and new ones.

    A run that has lost a page counts for nothing; it stays until another has all that it had.
    """
    service = plan.service.base_url
    for query in plan.queries:
        runs = [
            run
            for run in landed.runs
            if run.query["service"] == service and asked(run).is_of(query) and landed.is_whole(run)
        ]
        unfinished = [run for run in runs if not run.is_ended]
        left = left_to_do(
            query, (run for run in runs if run.query["every"] == plan.every), plan.lookback
        )
        parts = split(left, plan.every) if left else ()
        begun = [landed.begin(part, service, plan.every) for part in parts]
        for run in [*unfinished, *begun]:
            if run.pages and run.pages[-1].next_cursor is None:
                landed.end(run)
            else:
                yield run


def _cursors(run: Run) -> Iterator[str]:
    for page in run.pages:
        if page.next_cursor is not None:
            yield page.next_cursor


def _void_others(landed: Landing, run: Run, active: Sequence[Run]) -> None:
    """Remove runs of the same query that are not whole, and of which all is there now.

    Those that are ``active`` go on: their pages still come.
    """
    if run.is_partial:
        return
    query = asked(run)
    for other in [other for other in landed.runs if other not in active]:
        earlier = asked(other)
        is_held = other.name < run.name and earlier.is_of(query) and query.holds(earlier)
        if is_held and not (other.is_ended and not other.is_partial and landed.is_whole(other)):
            landed.void(other)


def _has_expired(error: ApiError, run: Run, job: Job) -> bool:
    """Tell whether the cursor of an earlier call is no longer known, or leads back."""
    is_first = len(run.pages) == len(job.seen)
    is_of_cursor = error.status in _EXPIRED or isinstance(error, LeadsBackError)
    return bool(job.seen) and is_first and is_of_cursor


def _begun_anew(landed: Landing, run: Run) -> Run:
    """Return a new run for one that cannot be gone on with; that is void when this has ended."""
    warn(
        f"The service no longer knows where the fetch of {asked(run)} ended; its "
        f"{len(run.pages):,} pages are fetched again.",
        PartialWarning,
    )
    return landed.begin(asked(run), run.query["service"], run.query["every"])


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
