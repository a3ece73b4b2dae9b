"""How complete the data is, product by product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tidyusage.reporting import calendar
from tidyusage.reporting.figures import product_of
from tidyusage.reporting.markup import table, text
from tidyusage.reporting.spelled import NOTHING, number, rate

if TYPE_CHECKING:
    from tidyusage.reporting.asked import Row
    from tidyusage.reporting.figures import Figures

_SHARES: Final = {"cost": "cost", "tokens": "tokens", "models": "model", "users": "user"}
_HEADS: Final = (
    ("Product", "text"),
    ("Records", "number"),
    ("From", "number"),
    ("Until", "number"),
    *(
        (f"With a {name}" if name != "tokens" else "With tokens", "number")
        for name in _SHARES.values()
    ),
    ("Without a date", "number"),
)


def coverage(figures: Figures) -> str:
    """Return a table of how much of the records each figure is made of."""
    groups: dict[str | None, list[Row]] = {}
    for row in figures.by_product:
        groups.setdefault(product_of(row), []).append(row)
    zone = figures.asked.options["tz"]
    labels = dict(zip(figures.products.keys, figures.products.labels, strict=True))
    shown = [name for name in figures.products.keys if name in groups]
    lines = [_line("All products", figures.overview, zone)]
    lines += [_line(labels[name], groups[name], zone) for name in shown]
    if None in groups:
        lines.append(_line("no product named", groups[None], zone))
    rest = len(groups) - len(lines) + 1
    words = f"{rest:,} more products are in the first row alone." if rest else ""
    return table("Coverage", _HEADS, lines) + (f"<p>{text(words)}</p>" if words else "")


def _line(label: str, rows: list[Row], zone: str) -> list[Any]:
    """Return a product's line of the table."""
    found: dict[str, Row] = {row["figure"]: row for row in reversed(rows)}
    records, dated = found["records"]["records"], found["days"]
    with_cost = sum(row["records"] for row in rows if row["figure"] == "cost")
    counts = {**{name: found[name]["records"] for name in _SHARES}, "cost": with_cost}
    span = calendar.Span.of(dated["start_date"], dated["end_date"], zone)
    days = (span.first.date(), span.last_day) if span else (None, None)
    return [
        label,
        (number(records), records),
        *((calendar.day(day) if day else NOTHING, day) for day in days),
        *((rate(counts[name] / records), counts[name] / records) for name in _SHARES),
        (number(records - dated["records"]), records - dated["records"]),
    ]
