"""The kind of figure in each result column, and how to format it for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# Parts of a whole, which are shown in per cent.
SHARES: Final = ("share", "coverage", "stickiness", "acceptance_rate", "cache_hit_rate")
# Likewise, but of no whole.
CHANGES: Final = ("change_rate",)
# Prices of one of something, of which every digit counts; and amounts.
UNIT_PRICES: Final = ("cost_per_token", "cost_per")
AMOUNTS: Final = (
    *("cost", "saved", "spent", "savings", "estimated_cost", "change"),
    *("ours", "theirs", "matched", "residual"),
)
# Figures of the unit beside them, which is another one in each row.
MIXED: Final = (
    *("value", "before", "after", "change"),
    *("coarser_sum", "finer_sum", "residual"),
)
_COUNTS: Final = (
    *("records", "priced", "tokens", "input", "output", "cache_read", "cache_write"),
    *("prompt_tokens", "accepted", "offered", "active_users", "dau", "mau", "rank", "groups"),
    *(
        "unpriced_records",
        "tier_unknown",
        "records_ours",
        "records_theirs",
        "windows",
        "days",
        "version",
    ),
    *("versions", "lag", "users", "seats", "commits", "pull_requests", "accepted_lines"),
    *("sessions", "conversations", "requests"),
)
_TEXTS: Final = (
    *("period", "currency", "unit", "metric", "figure", "kind", "unpriced", "status", "grain"),
    *("coarser", "finer", "relation", "finer_metric_name", "check", "severity", "column"),
    "complete",
    *(
        "expected",
        "message",
        "what",
        "model",
        "rule",
        "restated_at",
        "complete_until",
        "start_date",
        "end_date",
    ),
)
# Every column that an answer has beside its dimensions.
RESULTS: Final = frozenset(
    (*SHARES, *CHANGES, *UNIT_PRICES, *AMOUNTS, *MIXED, *_COUNTS, *_TEXTS),
)
_WORDS: Final = {
    "priced": "priced records",
    "unpriced": "without a price",
    "dau": "daily active users",
    "mau": "monthly active users",
    "records_ours": "our records",
    "records_theirs": "their records",
    "lag": "lag, days",
}
# What is smaller is what sums of floats leave.
_NOISE: Final = 1e-9
_MOST_PLACES: Final = 12
_SMALLEST_SHARE: Final = 0.0005


def label(name: str) -> str:
    """Return a column of an answer in words; a dimension stays under its name."""
    return _WORDS.get(name, name.replace("_", " ")) if name in RESULTS else name


def percent(value: float) -> str:
    """Write a share of one in per cent; what is not nothing, or not all, never looks so."""
    if 0 < abs(value) < _SMALLEST_SHARE:
        return "<0.1%" if value > 0 else ">-0.1%"
    if 1 - _SMALLEST_SHARE <= value < 1 - _NOISE:
        return ">99.9%"
    return f"{value:,.1%}"


def places(values: Sequence[float]) -> int:
    """Return with how many decimals a column's numbers are written."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    if all(size == int(size) for size in sizes):
        return 0
    return 2 if max(sizes) >= 1 else significant(sizes)


def significant(sizes: Sequence[float], digits: int = 3) -> int:
    """Return how many decimals show so many digits of the smallest number above zero."""
    smallest = min((size for size in sizes if size), default=1.0)
    return min(max(digits - 1 - math.floor(math.log10(smallest)), 0), _MOST_PLACES)


def number(value: float, decimals: int) -> str:
    """Write a number with so many decimals; with more if it would look like zero."""
    if not math.isfinite(value):
        return f"{value}"
    size = abs(value)
    if _NOISE <= size < 0.5 * 10**-decimals:
        decimals = significant([size], digits=2)
    text = f"{value:,.{decimals}f}"
    return text if any(digit in text for digit in "123456789") else text.removeprefix("-")


def of_one_unit(value: float) -> str:
    """Write a number of a column that mixes units."""
    return number(value, 2 if value % 1 else 0)
