"""What API pages say of themselves: that more follow, or that not all is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidyusage.errors import PartialWarning, warn

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class Pages:
    """How many pages there were, how many were a last one, and how many were partial."""

    seen: int = 0
    last: int = 0
    partial: int = 0

    def see(self, page: Mapping[str, Any]) -> None:
        """Count a page."""
        self.seen += 1
        self.last += page.get("next_cursor") in (None, "")
        self.partial += page.get("is_partial_response") is True

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
