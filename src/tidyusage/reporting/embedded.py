"""The data that the page's scripts receive."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from tidyusage.plot.colors import NONE, OTHER, PALETTE, assign
from tidyusage.plot.labels import seen, words
from tidyusage.plot.periods import WORDS
from tidyusage.plot.tokens import PARTS
from tidyusage.reporting import calendar
from tidyusage.reporting.figures import product_of

if TYPE_CHECKING:
    from tidyusage.reporting.asked import Row
    from tidyusage.reporting.figures import Figures
    from tidyusage.reporting.members import Members

SORT_NAMES: Final = {
    "input": "fresh input",
    "cache_read": "read from the cache",
    "cache_write": "written to the cache",
    "output": "output",
}
KINDS: Final = {
    "tab": "tab completions",
    "edit": "edits",
    "line": "lines of code",
    "tool": "tool actions",
}


def embedded(figures: Figures) -> dict[str, Any]:
    """Return all that the scripts of a page are given."""
    members = {name: figures.cubes[name] for name in ("models", "users")}
    cubes = {name: cube for name, cube in figures.cubes.items() if name not in members}
    return {
        "freq": WORDS[figures.asked.freq],
        "isFiscal": figures.asked.options["fiscal_year_start"] != 1,
        "tz": figures.asked.options["tz"],
        "periods": [_period(period) for period in figures.periods],
        "products": _products(figures),
        "models": _models(members["models"]),
        "users": _named(members["users"]),
        "sorts": _colored(SORT_NAMES, {sort: PARTS[words(sort)] for sort in SORT_NAMES}),
        "kinds": _colored(KINDS, assign(KINDS)),
        "palette": PALETTE,
        "other": OTHER,
        "none": NONE,
        "cubes": cubes,
        "missing": dict(figures.missing),
        "activity": asdict(figures.activity),
        "hasUsers": figures.has_users,
    }


def _period(period: calendar.Period) -> dict[str, str]:
    return {
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "label": period.label,
        "short": period.short,
    }


def _colored(names: dict[str, str], colors: dict[str, str]) -> list[dict[str, str]]:
    """Return the names of a fixed list, with the colours that charts elsewhere give them."""
    return [{"key": key, "label": label, "color": colors[key]} for key, label in names.items()]


def _models(members: Members) -> list[dict[str, Any]]:
    """Return the models of a page, each with its colour."""
    colors = assign(members.labels)
    hues = [colors[label] for label in members.labels] + [NONE, OTHER]
    return [named | {"color": hue} for named, hue in zip(_named(members), hues, strict=True)]


def _named(members: Members) -> list[dict[str, Any]]:
    """Return what places are called, and which of them stand for what is not named."""
    kinds = ["named"] * len(members.labels) + ["none", "others"]
    return [
        {"label": seen(label), "kind": kind}
        for label, kind in zip(members.shown(), kinds, strict=True)
    ]


def _products(figures: Figures) -> list[dict[str, Any]]:
    """Return the products of a page, each with its colour and from when until when it has data."""
    products = figures.products
    colors = assign(products.labels)
    hues = [colors[label] for label in products.labels] + [NONE, OTHER]
    entries = [
        named
        | {"color": hue, "records": 0, "undated": 0, "from": None, "to": None, "incomplete": []}
        for named, hue in zip(_named(products), hues, strict=True)
    ]
    places = {key: place for place, key in enumerate(products.keys)}

    def place_of(key: str | None) -> int:
        return len(places) if key is None else places.get(key, len(places) + 1)

    for row in figures.by_product:
        if row["figure"] in {"records", "days"}:
            _add(entries[place_of(product_of(row))], row, figures.asked.options["tz"])
    for key, periods in figures.incomplete.items():
        entries[place_of(key)]["incomplete"] += periods
    return entries


def _add(entry: dict[str, Any], row: Row, tz: str) -> None:
    """Add to a product what a row of its overview tells."""
    records = row["records"] or 0
    if row["figure"] == "records":
        entry["records"] += records
        entry["undated"] += records
        return
    entry["undated"] -= records
    if row["start_date"] is None:
        return
    first, last = (
        calendar.local(row[name], tz).isoformat(timespec="seconds")
        for name in ("start_date", "end_date")
    )
    entry["from"] = min(filter(None, (entry["from"], first)))
    entry["to"] = max(filter(None, (entry["to"], last)))
