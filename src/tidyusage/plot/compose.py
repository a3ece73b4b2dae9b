"""Arrange a result's rows into panels and axes, one axis for each currency."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from tidyusage.plot import draw, labels
from tidyusage.plot.colors import OTHER, PALETTE
from tidyusage.plot.draw import Look
from tidyusage.plot.groups import GROUP, PANEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tidyusage.plot.groups import Answer, Row
    from tidyusage.plot.periods import Period, Times

Mark = Literal["columns", "lines", "heat", "pareto"]
PERIOD: Final = "period"
PART: Final = "part"
NOTHING: Final = "There is nothing to show."
PALE: Final = "Pale: periods that the data covers in part."
SPREAD: Final = "Spread evenly: most windows are longer than the period."
UNDATED: Final = "Records without dates are on no line."


@dataclass(frozen=True, slots=True)
class Plan:
    """What to draw of an answer.

    ``unit`` titles the axis of a value of ``split``, the column whose values share no axis, and
    ``heading`` its panel where there are several; ``tells`` are columns of text that a mark tells,
    with their titles; ``parts`` are the parts of one group's bar or column, with their colours.
    """

    answer: Answer
    times: Times
    title: str
    value: str
    unit: Callable[[Any], str]
    tells: Mapping[str, str]
    split: str = ""
    heading: Callable[[Any], str] = labels.money
    colors: Mapping[str, str] | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    percent: bool = False
    mark: Mark = "columns"  # over time; without periods there are bars, or a Pareto chart
    notes: tuple[str, ...] = ()


def drawn(plan: Plan, rows: Iterable[Row]) -> Any:
    """Return the chart of an answer's rows that have a figure."""
    colors = _colors(plan)
    rows = list(rows)
    ranks = {split: _ranks(plan, split) for split in {row.get(plan.split) for row in rows}}
    ready = [_ready(plan, row, ranks[row.get(plan.split)]) for row in rows]
    ready.sort(key=lambda row: _is_rest(plan, row))
    colors = _visible(plan, colors, ready)
    undated = [row for row in ready if _is_undated(plan, row)]
    ready = [row for row in ready if not _is_undated(plan, row)]
    places = plan.times.places(row["at"] for row in ready)
    panels = _panels(plan, ready)
    # One legend for all panels, unless a colour in it would mean two groups.
    has_legends = _has_ambiguous_colors(colors)
    charts = [
        (
            heading,
            _chart(
                plan,
                split,
                part,
                _visible(plan, colors, part) if has_legends else colors,
                places=places,
                reach=reach,
            ),
        )
        for heading, split, part in panels
        for reach in [_reach(plan, split, panels)]
    ]
    said = [
        plan.times.says,
        _partial(plan, ready),
        SPREAD if plan.times.is_spread else "",
        *plan.notes,
        UNDATED if undated else "",
        "" if ready else NOTHING,
    ]
    apart = ("x", "y", "color") if plan.mark == "heat" or has_legends else ("x", "y")
    return draw.panels(charts, plan.title, said, apart=apart)


def _visible(plan: Plan, colors: Mapping[str, str], rows: Iterable[Row]) -> dict[str, str]:
    """Return the colours that rows need."""
    there = {row[_channel(plan)] for row in rows}
    return {name: color for name, color in colors.items() if name in there}


def _has_ambiguous_colors(colors: Mapping[str, str]) -> bool:
    """Tell whether two groups that have a name share a colour."""
    named = [color for color in colors.values() if color != OTHER]
    return len(set(named)) < len(named)


def _is_undated(plan: Plan, row: Row) -> bool:
    """Tell whether a row has no place on a line, which no date would end."""
    return plan.mark == "lines" and plan.times.freq is not None and row["at"] is None


def _reach(
    plan: Plan, split: Any, panels: Sequence[tuple[str, Any, list[Row]]]
) -> tuple[float, float] | None:
    """Return how far the figures of all panels of a unit reach, which share an axis' length."""
    same = [rows for _, of, rows in panels if of == split]
    if len(same) < 2 or plan.percent:  # noqa: PLR2004 - one needs no other's
        return None
    is_stacked = plan.mark == "columns" and (plan.times.freq or plan.parts)
    above: Counter[Any] = Counter()
    below: Counter[Any] = Counter()
    for place, row in ((place, row) for place, rows in enumerate(same) for row in rows):
        bar = (
            place,
            row["at"] if plan.times.freq else row[GROUP],
            "" if is_stacked else row[GROUP],
        )
        (above if row[plan.value] > 0 else below)[bar] += row[plan.value]
    return min(below.values(), default=0.0), max(above.values(), default=0.0)


def _partial(plan: Plan, rows: Iterable[Row]) -> str:
    """Return what is to be said of periods that the data covers in part."""
    partial = sorted({row[PERIOD] for row in rows if not row["whole"]})
    if not partial or plan.mark == "heat":
        return ""
    return (
        PALE if plan.mark == "columns" else f"Covered by the data in part: {labels.some(partial)}."
    )


def _channel(plan: Plan) -> str:
    return PART if plan.parts else GROUP


def _is_rest(plan: Plan, row: Row) -> bool:
    """Tell whether a row is of the folded groups, which come last whatever their size."""
    groups = plan.answer.groups
    if plan.mark == "pareto" or groups is None:  # a Pareto chart's rows are in order
        return False
    return groups.is_rest(row)


def _colors(plan: Plan) -> Mapping[str, str]:
    """Return the colours of whatever has one, in the order in which it is stacked."""
    if plan.parts:
        return plan.parts
    groups = plan.answer.groups
    return groups.colors(plan.colors) if groups else {"": PALETTE[0]}


def _ranks(plan: Plan, split: Any) -> dict[str, int]:
    """Return the place of each group, or each part, of a split in a stack."""
    groups = plan.answer.groups
    order = list(plan.parts) or (groups.order(split) if groups else [""])
    return {name: rank for rank, name in enumerate(order)}


def _ready(plan: Plan, row: Row, ranks: Mapping[str, int]) -> Row:
    """Return a row with its place in time and in a stack."""
    at = row.get(PERIOD)
    is_whole = plan.times.covers(at) and row.get("complete", True)
    place = {"at": at, PERIOD: plan.times.label(at), "whole": is_whole}
    return {**row, **place, "rank": ranks[row[_channel(plan)]]}


def _panels(plan: Plan, rows: Sequence[Row]) -> list[tuple[str, Any, list[Row]]]:
    """Return the panels: what each is called, its value of the split, and its rows."""
    found: dict[tuple[str, Any], list[Row]] = {}
    for row in rows:
        found.setdefault((row[PANEL], row.get(plan.split)), []).append(row)
    order = list(plan.answer.panels.colors(None)) if plan.answer.panels else [""]
    keys = sorted(found, key=lambda key: (order.index(key[0]), key[1] is None, str(key[1])))
    several = len({split for _, split in keys}) > 1
    return [
        (_heading(plan, panel, plan.heading(split) if several else ""), split, found[panel, split])
        for panel, split in keys
    ] or [("", None, [])]


def _heading(plan: Plan, panel: str, unit: str) -> str:
    panels = plan.answer.panels
    named = f"{labels.dimension(panels.dimension)}: {panel}" if panels else ""
    return " · ".join(text for text in (named, unit) if text)


def _chart(
    plan: Plan,
    split: Any,
    rows: list[Row],
    colors: Mapping[str, str],
    *,
    places: Sequence[Period],
    reach: tuple[float, float] | None,
) -> Any:
    groups, times = plan.answer.groups, plan.times
    legend = labels.dimension(groups.dimension) if groups else ""
    look = Look(
        value=plan.value,
        title=plan.unit(split),
        channel=_channel(plan),
        colors=colors,
        legend=_legend(plan, legend),
        tells={
            **({PERIOD: times.word} if times.freq else {}),
            **({GROUP: legend} if groups else {}),
            **plan.tells,
        },
        percent=plan.percent,
        reach=reach,
    )
    return _marks(plan, rows, look, [times.label(place) for place in places])


def _marks(plan: Plan, rows: list[Row], look: Look, axis: Sequence[str]) -> Any:
    if plan.mark == "pareto":
        return draw.pareto(_plain(rows), look)
    if not plan.times.freq:
        return draw.bars(_plain(rows), look)
    time = draw.Time(axis, plan.times.title)
    if plan.mark == "heat":
        return draw.heat(_plain(rows), look, time)
    if plan.mark == "lines":
        return draw.lines(_unbroken(plan, rows, axis), look, time)
    return draw.columns(_plain(rows), look, time)


def _legend(plan: Plan, dimension: str) -> str:
    """Return the title of the legend of colours, if there is to be one."""
    if plan.parts:
        return " "
    return dimension if plan.times.freq else ""


def _plain(rows: Iterable[Row]) -> list[Row]:
    """Return rows as JSON has them."""
    return [{name: value for name, value in row.items() if name not in _INSIDE} for row in rows]


_INSIDE: Final = ("at", "currency")


def _unbroken(plan: Plan, rows: Sequence[Row], axis: Iterable[str]) -> list[Row]:
    """Return rows with one for every period of every group: a gap is no figure, and no line."""
    there = {(row[GROUP], row[PERIOD]): row for row in _plain(rows)}
    groups = dict.fromkeys(row[GROUP] for row in rows)
    gap = {plan.value: None}
    return [
        there.get((name, period), {GROUP: name, PERIOD: period, **gap})
        for name in groups
        for period in axis
    ]
