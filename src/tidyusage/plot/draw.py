"""Marks: bars, columns over time and lines, as ordinary Altair charts without a configuration.

A chart with one could not be put beside another.  Text is in titles, axes and legends alone, which
have a theme's colours, so that it is read on dark pages too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tidyusage.errors import require_packages
from tidyusage.plot import labels
from tidyusage.plot.groups import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import ModuleType

    from tidyusage.plot.groups import Row

WIDTH: Final = 560
HEIGHT: Final = 280
_LOW: Final = 150  # where there are several
TEXT: Final = "text"
ABOVE: Final = "above"
_UNSEEN: Final = "\u200b"  # a space without width
_BAR: Final = 24
_CELL: Final = 18
_LINE: Final = "#808080"  # is seen on white and on dark
_PALE: Final = 0.45
_LONGEST: Final = 260  # of a label, in pixels


@dataclass(frozen=True, slots=True)
class Look:
    """What a chart shows: the column of its ``value``, titles, colours, and what a mark tells."""

    value: str
    title: str
    colors: Mapping[str, str]
    channel: str = GROUP  # the column that has them
    legend: str = ""
    tells: Mapping[str, str] = field(default_factory=dict)  # columns, with their titles
    percent: bool = False
    reach: tuple[float, float] | None = None  # of the axis, where panels share one


@dataclass(frozen=True, slots=True)
class Time:
    """The axis of time: what its places are called, and its title."""

    places: Sequence[str]
    title: str


def altair() -> ModuleType:
    """Return Altair; raise where it is not installed."""
    require_packages("Charts need", ("altair", "vl_convert"), "plot")
    import altair as alt

    return alt


@cache
def vega() -> str:
    """Return what draws charts in a browser as one script, which puts `vegaEmbed` on `window`."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def bars(rows: Sequence[Row], look: Look) -> Any:
    """Draw a bar a group, of one part or several, with its figure in words at the right."""
    alt = altair()
    order = list(dict.fromkeys(row[GROUP] for row in rows))
    base = alt.Chart(alt.Data(values=list(rows)))
    marks = base.mark_bar().encode(
        y=_places(alt.Y, GROUP, order, alt, axis=_names(alt)),
        x=_value(alt, alt.X, rows, look),
        color=_color(alt, look),
        order=alt.Order("rank:Q"),
        tooltip=_tooltip(alt, look),
    )
    texts = {row[GROUP]: row[TEXT] for row in rows if TEXT in row}
    chart = _beside(alt, marks, alt.Y, [texts[name] for name in order], orient="right")
    # Two axes of one side cannot share a step, so that the height is given as a number.
    return chart.properties(width=WIDTH, height=_BAR * max(len(order), 1), view=_frame(alt))


def columns(rows: Sequence[Row], look: Look, time: Time) -> Any:
    """Draw stacked columns over time; those that the data covers in part are pale.

    What stands in the rows as `ABOVE` is written above the columns.
    """
    alt = altair()
    marks = (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_bar()
        .encode(
            x=_time(alt, time),
            y=_value(alt, alt.Y, rows, look),
            color=_color(alt, look),
            opacity=alt.condition("datum.whole === false", alt.value(_PALE), alt.value(1)),
            order=alt.Order("rank:Q"),
            tooltip=_tooltip(alt, look),
        )
    )
    texts = {row["period"]: row[ABOVE] for row in rows if ABOVE in row}
    written = [texts.get(place, "") for place in time.places] if texts else []
    chart = _beside(alt, marks, alt.X, written, orient="top") if written else marks
    return chart.properties(width=WIDTH, height=HEIGHT, view=_frame(alt))


def lines(rows: Sequence[Row], look: Look, time: Time) -> Any:
    """Draw a line a group, broken where there is no figure."""
    alt = altair()
    chart = alt.Chart(alt.Data(values=list(rows))).mark_line(
        point=alt.OverlayMarkDef(size=28, filled=True),
        strokeWidth=2,
        invalid="break-paths-show-path-domains",
    )
    return chart.encode(
        x=_time(alt, time),
        y=_value(alt, alt.Y, rows, look),
        color=_color(alt, look),
        tooltip=_tooltip(alt, look),
    ).properties(width=WIDTH, height=HEIGHT, view=_frame(alt))


def heat(rows: Sequence[Row], look: Look, time: Time) -> Any:
    """Draw a cell a group and period; where there is no figure, there is no cell."""
    alt = altair()
    order = list(dict.fromkeys(row[GROUP] for row in sorted(rows, key=lambda row: row["rank"])))
    scale = alt.Scale(scheme=alt.SchemeParams("viridis", extent=[0.12, 1]), zero=True)
    legend = alt.Legend(title=look.title, labelExpr=labels.TICKS, gradientLength=160)
    legend = legend if rows else None
    return (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_rect()
        .encode(
            x=_time(alt, time),
            y=_places(alt.Y, GROUP, order, alt, axis=_names(alt)),
            color=alt.Color(f"{look.value}:Q", scale=scale, legend=legend),
            tooltip=_tooltip(alt, look),
        )
        .properties(width=WIDTH, height=alt.Step(_CELL), view=_frame(alt))
    )


def pareto(rows: Sequence[Row], look: Look) -> Any:
    """Draw a column a group, the largest first, and over them a line of their share together."""
    alt = altair()
    order = list(dict.fromkeys(row[GROUP] for row in rows))
    axis = alt.Axis(labelAngle=-40, labelLimit=140, ticks=False)
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=_places(alt.X, GROUP, order, alt, axis=axis), tooltip=_tooltip(alt, look)
    )
    marks = base.mark_bar().encode(
        y=_value(alt, alt.Y, rows, look),
        color=_color(alt, look),
    )
    share = alt.Axis(format=".0%", grid=False, domain=False, ticks=False, tickCount=5)
    together = base.encode(
        y=alt.Y("cumulative:Q", title="share together", axis=share, scale=alt.Scale(domain=[0, 1]))
    )
    point = alt.OverlayMarkDef(color=_LINE, size=30)
    if any(row["cumulative"] is None for row in rows):
        return marks.properties(width=WIDTH, height=HEIGHT, view=_frame(alt))
    line = alt.layer(  # a light line below the grey one, so that it is seen over any column
        together.mark_line(color="white", strokeWidth=5, opacity=0.8),
        together.mark_line(color=_LINE, strokeWidth=1.5, point=point),
    )
    layers = alt.layer(marks, line).resolve_scale(y="independent")
    return layers.properties(width=WIDTH, height=HEIGHT, view=_frame(alt))


def panels(
    charts: Sequence[tuple[str, Any]],
    title: str,
    subtitle: Iterable[str],
    *,
    apart: Sequence[str] = ("x", "y"),
) -> Any:
    """Return one chart, or several below each other, with a title and what else is to be said.

    What is ``apart`` has a scale of its own in each.
    """
    alt = altair()
    lines_ = [line for line in subtitle if line]
    head = alt.TitleParams(title, subtitle=lines_, anchor="start", frame="group", offset=12)
    said = ". ".join([title, *lines_])
    if len(charts) == 1:
        name, chart = charts[0]
        if name:
            head = alt.TitleParams(
                title, subtitle=[name, *lines_], anchor="start", frame="group", offset=12
            )
        return chart.properties(title=head, description=said)
    named = [
        _lower(chart).properties(title=alt.TitleParams(name, anchor="start", fontSize=11))
        for name, chart in charts
    ]
    return (
        alt.vconcat(*named)
        .resolve_scale(**dict.fromkeys(apart, "independent"))
        .properties(title=head, description=said)
    )


def _lower(chart: Any) -> Any:
    """Return a chart over time with the height of one of several."""
    return chart.properties(height=_LOW) if chart.height == HEIGHT else chart


def _frame(alt: ModuleType) -> Any:
    return alt.ViewBackground(stroke=None)


def _names(alt: ModuleType) -> Any:
    return alt.Axis(ticks=False, domain=False, labelLimit=_LONGEST, labelPadding=6)


def _value(alt: ModuleType, channel: Any, rows: Sequence[Row], look: Look) -> Any:
    """Return the axis of the value; rates have the whole of theirs, so that panels compare."""
    most = max((row[look.value] or 0 for row in rows), default=0)
    scale = alt.Undefined
    if look.percent:
        scale = alt.Scale(domain=[0, max(most, 1)])
    elif look.reach:
        scale = alt.Scale(domain=list(look.reach), nice=True)
    axis = _figures(alt, look)
    return channel(f"{look.value}:Q", title=look.title, axis=axis, scale=scale)


def _figures(alt: ModuleType, look: Look) -> Any:
    if look.percent:
        return alt.Axis(format=".0%", domain=False, ticks=False, tickCount=5)
    return alt.Axis(labelExpr=labels.TICKS, domain=False, ticks=False, tickCount=5)


def _time(alt: ModuleType, time: Time) -> Any:
    """Return the axis of time: a place a period, which is text, so that no browser moves it."""
    axis = alt.Axis(
        labelAngle=0, labelOverlap="greedy", labelSeparation=8, ticks=False, labelPadding=6
    )
    return _places(alt.X, "period", time.places, alt, axis=axis).title(time.title)


def _beside(alt: ModuleType, marks: Any, channel: Any, texts: Sequence[str], **side: Any) -> Any:
    """Return marks with texts at their side, in the order of their places.

    They are labels of a second axis: those take a theme's colour, which marks of text do not.
    A place is known by its text, so that equal ones are told apart by what nobody sees.
    """
    unlike = [f"{text}{_UNSEEN * place}" for place, text in enumerate(texts)]
    axis = alt.Axis(
        labelAngle=0, ticks=False, domain=False, grid=False, labelLimit=_LONGEST, **side
    )
    places = _places(channel, "beside", unlike, alt, axis=axis)
    name = "y" if channel is alt.Y else "x"
    said = alt.Chart(alt.Data(values=[{"beside": text} for text in unlike]))
    labels_ = said.mark_point(opacity=0).encode(**{name: places}, tooltip=alt.value(None))
    return alt.layer(marks, labels_).resolve_scale(**{name: "independent"})


def _places(channel: Any, name: str, order: Iterable[str], alt: ModuleType, **more: Any) -> Any:
    """Return an axis of names in their order.

    It is given as a domain: Vega-Lite makes expressions of an order, in which not all text can be.
    """
    scale = alt.Scale(domain=list(order))
    return channel(f"{name}:N", sort=None, scale=scale, title=None, **more)


def _color(alt: ModuleType, look: Look) -> Any:
    scale = alt.Scale(domain=list(look.colors), range=list(look.colors.values()))
    legend = alt.Legend(title=look.legend.strip() or None, labelLimit=200, symbolType="square")
    is_told = look.legend and look.colors
    return alt.Color(f"{look.channel}:N", scale=scale, legend=legend if is_told else None)


def _tooltip(alt: ModuleType, look: Look) -> list[Any]:
    return [alt.Tooltip(f"{name}:N", title=title) for name, title in look.tells.items()]
