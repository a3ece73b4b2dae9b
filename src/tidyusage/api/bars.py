"""The progress bar of a fetch."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from tidyusage._utils.progress import in_notebook, is_notebook, is_shown, on_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidyusage.api.pages import Page


class Bar(Protocol):
    """What is told of every page."""

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
