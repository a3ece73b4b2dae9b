"""Pages into a folder, all of them or to be gone on with."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from functools import partial as bound
from typing import TYPE_CHECKING, Any, Final, Protocol

from tidyusage._utils.progress import in_notebook, is_notebook, is_shown, on_terminal
from tidyusage.api.client import Client
from tidyusage.api.crawl import Found, Job, pages
from tidyusage.api.landing import Landing, asked, landing
from tidyusage.api.pages import LeadsBackError
from tidyusage.api.query import day, moment
from tidyusage.api.ranges import left_to_do, split
from tidyusage.api.secret import find
from tidyusage.errors import ApiError, PartialWarning, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tidyusage.api.pages import Page
    from tidyusage.api.plan import Plan
    from tidyusage.api.query import Query
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


class Bar(Protocol):
    """Progress that is reported for every page."""

    def tell(self, page: Page) -> None:
        """Count a page."""


class _Counter:
    """Counts pages, and remembers the latest day."""

    def __init__(self) -> None:
        self.pages = 0
        self.day = ""

    def tell(self, page: Page) -> None:
        """Count a page."""
        self.pages += 1
        self.day = max(self.day, page.last_day() or "")

    @property
    def words(self) -> str:
        """What the bar says beside the records."""
        plural = "" if self.pages == 1 else "s"
        return f"{self.pages:,} page{plural}" + (f", up to {self.day}" if self.day else "")


@contextmanager
def bar(progress: bool | None) -> Iterator[Bar]:
    """Show a bar while the block runs: None shows one where somebody looks."""
    if not is_shown(progress):
        yield _Counter()
    elif is_notebook():
        with _notebook() as shown:
            yield shown
    else:
        with _terminal() as shown:
            yield shown


@contextmanager
def _notebook() -> Iterator[Bar]:
    tqdm = in_notebook()
    if tqdm is None:
        yield _Counter()
        return
    drawn = tqdm(desc="Fetching", unit=" records")

    class Shown(_Counter):
        def tell(self, page: Page) -> None:
            super().tell(page)
            drawn.set_postfix_str(self.words, refresh=False)
            drawn.update(len(page.parsed))

    with drawn:
        yield Shown()


@contextmanager
def _terminal() -> Iterator[Bar]:
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}: {task.completed:,.0f} records"),
        TextColumn("{task.fields[words]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    with on_terminal(*columns) as drawn:
        task = drawn.add_task("Fetching", total=None, words="", rate="")

        class Shown(_Counter):
            def tell(self, page: Page) -> None:
                super().tell(page)
                speed = drawn.tasks[0].speed
                rate = f"{speed:,.0f}/s" if speed else ""
                drawn.update(task, advance=len(page.parsed), words=self.words, rate=rate)

        yield Shown()


_DAY: Final = dt.timedelta(days=1)


class Reach:
    """The last day covered by the records of each query."""

    def __init__(self) -> None:
        self._last: dict[int, dt.date] = {}

    def see(self, number: int, page: Page) -> None:
        """Look at a page of a query from its first page on; warn after its last."""
        last = max(_days(page.parsed), default=None)
        if last is not None:
            self._last[number] = max(last, self._last.get(number, last))
        if page.next_cursor is None and number in self._last:
            _tell(page.query, self._last[number])


def _days(records: Iterable[Any]) -> Iterable[dt.date]:
    """Yield the last day of each record that has dates; an end is not inside."""
    for record in records:
        if not isinstance(record, dict):
            continue
        dates = {"start_date": dt.timedelta(), "end_date": dt.timedelta(microseconds=1)}
        try:
            instants = [
                moment(record[name]) - before
                for name, before in dates.items()
                if isinstance(record.get(name), str)
            ]
        except ValueError:
            continue
        if instants:
            yield max(instants).date()


def _tell(query: Query, last: dt.date) -> None:
    if query.start is None or query.end is None:
        return
    first, end = day(query.start), day(query.end)
    month = (first.replace(day=1) + 31 * _DAY).replace(day=1)
    if end > first + _DAY and last <= first:
        part, every, vendor = "day", "1d", "OpenAI Codex"
    elif end > month and last < month:
        part, every, vendor = "month", "1mo", "Confluent and Datadog"
    else:
        return
    warn(
        f"All records of {query} are of its first {part}. Either nothing was used after it, or the "
        f"vendor answers one {part} at a time, as {vendor} may: every={every!r} asks for each.",
        PartialWarning,
    )
