"""Which groups a chart shows: the largest, all others as one, and those without a name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from tidyusage import engines
from tidyusage.errors import OptionError, is_count
from tidyusage.metrics.missing_charges import ALREADY_CHECKED
from tidyusage.metrics.source import Folded
from tidyusage.plot import colors as colors_
from tidyusage.plot import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

DOZEN: Final = 12
MOST: Final = 2  # dimensions of a chart: one has colours, one has panels
GROUP: Final = "group"
PANEL: Final = "panel"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of a dimension: all its ``names``, and the ``kept`` ones, the largest first."""

    dimension: str
    names: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def rest(self) -> str:
        """What all the others are called together; empty where there are none."""
        folded = len(self.names) - len(self.kept)
        return labels.unlike(f"other ({folded:,})", self.names) if folded else ""

    @property
    def folded(self) -> Folded:
        """The dimension as a metric is to group by it."""
        return Folded(self.dimension, self.kept if self.rest else None, self.rest)

    def label(self, value: str | None) -> str:
        """Return what a chart calls a group."""
        return labels.group(value, self.names)

    @property
    def order(self) -> list[str]:
        """What may be shown: the largest first, then the rest, then what has no name."""
        return list(self.colors(None))

    def colors(self, fixed: Mapping[str, str] | None) -> dict[str, str]:
        """Return the colours of what may be shown, in the order of its groups."""
        given = colors_.assign(self.names, fixed, self.kept)
        found = {self.label(name): given[name] for name in self.kept}
        if self.rest:
            found[self.rest] = colors_.OTHER
        return found | {self.label(None): colors_.NONE}


@dataclass(frozen=True, slots=True)
class Answer:
    """A metric's rows, each with its group and its panel, and what groups there are."""

    rows: list[Row]
    groups: Groups | None
    panels: Groups | None

    @property
    def by(self) -> tuple[str, ...]:
        """The dimensions."""
        return tuple(one.dimension for one in (self.groups, self.panels) if one)


def asked(
    metric: Callable[..., Any],
    frame: Any,
    by: tuple[str, ...],
    *,
    size: str,
    most: int = DOZEN,
    overlap: str = "warn",
    rank: Callable[..., Any] | None = None,
    **options: Any,
) -> Answer:
    """Ask a metric by its largest groups.

    ``rank`` (else the metric, without periods) is asked first, and says by the column ``size``
    which are largest.  Overlaps and missing columns are looked for once.
    """
    _check(by, most)
    if not by:
        return _named(rows_of(metric(frame, overlap=overlap, **options), by), None, None)
    rows = rows_of((rank or metric)(frame, *map(Folded, by), overlap=overlap), by)
    chosen = [_largest(rows, place, size, name, most) for place, name in enumerate(by)]
    if rank or options or any(one.rest for one in chosen):
        folds = [one.folded for one in chosen]
        rows = rows_of(metric(frame, *folds, overlap=ALREADY_CHECKED, **options), by)
    return _named(rows, *(*chosen, None, None)[:MOST])


def _named(rows: list[Row], groups: Groups | None, panels: Groups | None) -> Answer:
    """Return an answer's rows with what their group and their panel are called."""
    for row in rows:
        names = row.pop("by")
        row[GROUP] = groups.label(names[0]) if groups else ""
        row[PANEL] = panels.label(names[1]) if panels else ""
    return Answer(rows, groups, panels)


def rows_of(answer: Any, by: Sequence[str]) -> list[Row]:
    """Return an answer as rows, in each the values of its dimensions as ``by``."""
    table = engines.collected(answer)
    begin = 1 if table.column_names[:1] == ["period"] else 0
    names = table.column_names[begin : begin + len(by)]
    return [
        {"by": [row[name] for name in names]}
        | {name: _day(value) for name, value in row.items() if name not in names}
        for row in table.to_pylist()
    ]


def _day(value: Any) -> Any:
    """Return a date for the midnight without a zone that pandas has in its place."""
    return value.date() if isinstance(value, datetime) and value.tzinfo is None else value


def _check(by: tuple[str, ...], most: int) -> None:
    if len(by) > MOST:
        raise OptionError(
            f"A chart shows two dimensions at the most, and {len(by)} are named.",
            "Name one for the colours, and one for the panels.",
        )
    if not is_count(most):
        raise OptionError(f"groups={most!r} is no number of groups.", "Give one such as 12.")


def _largest(rows: Iterable[Row], place: int, size: str, dimension: str, most: int) -> Groups:
    """Return the groups of a dimension, by their largest figure in any currency or kind."""
    sizes: dict[str, Counter[Any]] = {}
    for row in rows:
        name = row["by"][place]
        if name is not None:
            apart = row.get("currency"), row.get("kind")
            sizes.setdefault(name, Counter())[apart] += row[size] or 0
    largest = {name: max(map(abs, of.values())) for name, of in sizes.items()}
    names = sorted(sizes, key=lambda name: (-largest[name], name))
    return Groups(dimension, tuple(names), tuple(names[:most]))
