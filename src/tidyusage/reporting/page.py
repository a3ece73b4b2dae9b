"""Render the report as a single HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.html import json_text, script_text
from tidyusage.errors import require_packages
from tidyusage.plot.draw import vega
from tidyusage.reporting import calendar
from tidyusage.reporting.embedded import KINDS, embedded
from tidyusage.reporting.figures import product_of
from tidyusage.reporting.markup import items, table, text
from tidyusage.reporting.spelled import NOTHING, money, number, rate

if TYPE_CHECKING:
    from datetime import datetime

    from tidyusage.reporting.asked import Row
    from tidyusage.reporting.figures import Figures


_SCRIPTS: Final = (
    "figures.js",
    "written.js",
    "tables.js",
    "charts.js",
    "headlines.js",
    "sections.js",
    "costs.js",
    "rankings.js",
    "usage.js",
    "page.js",
)
_SEVERITIES: Final = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Card:
    """A headline: its key, what it is called, and its figure."""

    key: str
    label: str
    value: str


def page(figures: Figures, title: str, made: datetime) -> str:
    """Return the whole page."""
    body = Template(_asset("report.html" if figures.records else "empty.html"))
    parts = {
        "title": text(title),
        "style": _asset("page.css"),
        "span": text(_span(figures)),
        "records": text(f"{figures.records:,} record{'' if figures.records == 1 else 's'}"),
        "made": text(f"{day(made)} {made:%H:%M} UTC"),
        "version": text(version("tidyusage")),
        "notices": _notices(figures),
    }
    if figures.records:
        parts |= {
            "cards": "".join(map(_card, cards(figures))),
            "findings": _findings(figures.findings),
            "coverage": coverage(figures),
            "rules": _rules(figures),
            "data": json_text(embedded(figures)),
            "bundle": script_text(vega()),
            "script": "\n".join(map(_asset, _SCRIPTS)),
        }
    return body.substitute(parts)


def require_vega() -> None:
    """Raise if what draws the charts is not installed."""
    require_packages("A report needs", ("vl_convert",), "plot")


def day(value: datetime) -> str:
    """Return the day of an instant."""
    return calendar.day(value.date())


def cards(figures: Figures) -> list[Card]:
    """Return the headlines of the whole frame, as the metrics give them."""
    totals = figures.totals
    found = [
        *(_money("cost", "Cost", row["cost"], row) for row in totals["cost"]),
        *(Card("tokens", "Tokens", number(row["tokens"])) for row in totals["tokens"]),
        *(
            _money("unit", "Cost of a million tokens", row["cost_per_token"], row)
            for row in totals["unit"]
        ),
        *(Card("users", "Active users", number(row["active_users"])) for row in totals["users"]),
        *(Card("cache", "Cache hit rate", rate(row["cache_hit_rate"])) for row in totals["cache"]),
    ]
    acceptance = {row["kind"]: row for row in totals["acceptance"]}
    found += [
        Card(f"acceptance-{kind}", f"Accepted {label}", rate(acceptance[kind]["acceptance_rate"]))
        for kind, label in KINDS.items()
        if kind in acceptance
    ]
    return found


def _money(key: str, label: str, value: Any, row: Row) -> Card:
    return Card(f"{key}-{row['currency'] or ''}", label, money(value, row["currency"]))


def _card(card: Card) -> str:
    figure, _, unit = card.value.partition(" ")
    small = " %" if unit == "%" else f" <small>{text(unit)}</small>" if unit else ""
    return (
        f'<div class="card" data-card="{text(card.key)}"><dt>{text(card.label)}</dt>'
        f"<dd>{text(figure)}{small}</dd></div>"
    )


def _span(figures: Figures) -> str:
    """Say from when until when there is data."""
    if figures.span is None:
        return "No record has a date"
    first, last = calendar.day(figures.span.first.date()), calendar.day(figures.span.last_day)
    zone = figures.asked.options["tz"]
    return f"{first} ({zone})" if first == last else f"{first} to {last} ({zone})"


def _notices(figures: Figures) -> str:
    """Return what a reader must know before the figures."""
    if not figures.twice:
        return ""
    lead = (
        "Some records repeat others or look like their total. What follows may be in the figures "
        "twice:"
    )
    title = '<h2 id="twice">These figures may count some usage twice</h2>'
    inside = f"{title}<p>{text(lead)}</p>{items(figures.twice)}"
    return f'<section class="notice" aria-labelledby="twice">{inside}</section>'


def _findings(found: list[Row]) -> str:
    heads = (("Severity", "text"), ("Check", "text"), ("Records", "number"), ("Finding", "text"))
    lines = [
        (
            (row["severity"], _SEVERITIES[row["severity"]]),
            row["check"].replace("_", " "),
            (number(row["records"]) if row["records"] else "", row["records"]),
            row["message"],
        )
        for row in found
    ]
    return table("Findings", heads, lines, "Nothing is suspect in these records.")


def _rules(figures: Figures) -> str:
    """Return how figures were made, a list a rule."""
    blocks = []
    for rule in figures.rules:
        lines = "".join(
            f"<li{' class=inner' if line.startswith(' ') else ''}>"
            f"{text(line.lstrip().removeprefix('- '))}</li>"
            for line in rule.lines
        )
        blocks.append(f"<h3>{text(rule.title)}</h3><ul>{lines}</ul>")
    return "".join(blocks)


def _asset(name: str) -> str:
    return files("tidyusage.reporting").joinpath("assets", name).read_text(encoding="utf-8")


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
