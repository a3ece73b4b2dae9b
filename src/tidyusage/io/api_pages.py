"""What API pages say about themselves: that more pages follow, or that data is incomplete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tidyusage.errors import PartialWarning, warn

if TYPE_CHECKING:
    from collections.abc import Mapping


_WHOLE: Final = ("none", "null", "", "false", "0")


def next_cursor(page: Mapping[str, Any]) -> object:
    """Return where a page leads, None from the last one."""
    cursor = page.get("next_cursor")
    return None if cursor is None or cursor is False or cursor == "" else cursor


def is_partial(page: Mapping[str, Any]) -> bool:
    """Tell whether the service says of a page that it is not all, be it true, 1 or "true"."""
    return str(page.get("is_partial_response")).strip().lower() not in _WHOLE


@dataclass(slots=True)
class Pages:
    """How many pages there were, how many were a last one, and how many were partial."""

    seen: int = 0
    last: int = 0
    partial: int = 0

    def see(self, page: Mapping[str, Any]) -> None:
        """Count a page."""
        self.seen += 1
        self.last += next_cursor(page) is None
        self.partial += is_partial(page)

    def tell(self) -> None:
        """Warn where records are missing."""
        if self.partial:
            warn(
                f"The service called {self.partial:,} of {self.seen:,} pages partial: records are "
                "missing, and totals are too low.",
                PartialWarning,
            )
        if self.seen and not self.last:
            warn(
                f"No page of {self.seen:,} is the last one: next_cursor leads to another, whose "
                "records are missing. fetch_usage() follows the pages.",
                PartialWarning,
            )
