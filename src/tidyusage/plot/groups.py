"""Choose the groups that a chart shows: the largest, the rest as "other", those without a name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tidyusage.engines import frames
from tidyusage.errors import OptionError, is_count
from tidyusage.metrics import _spread
from tidyusage.metrics._missing_charges import ALREADY_CHECKED
from tidyusage.metrics._source import Folded
from tidyusage.plot import colors as colors_
from tidyusage.plot import labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DOZEN: Final = 12
MOST: Final = 2  # dimensions of a chart: one has colours, one has panels
GROUP: Final = "group"
PANEL: Final = "panel"
Row = dict[str, Any]
Size = Callable[[Row], float | None]


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of a dimension: in each split, the ``most`` largest are shown and the rest folded.

    A split is what has an axis of its own: a currency, or a kind of acceptance.  ``names`` are all
    groups that have a name.  ``members`` are the groups with a figure in each split, the largest
    first; ``silent`` are those without a figure in any split.
    """

    dimension: str
    names: tuple[str, ...]
    members: Mapping[str | None, Sequence[str]]
    most: int
    silent: tuple[str | None, ...] = ()

    @classmethod
    def from_rows(
        cls, rows: Iterable[Row], place: int, *, size: Size, dimension: str, most: int
    ) -> Groups:
        """Rank the groups of the dimension at a place of ``by``, each split by its own figures."""
        sizes: dict[str | None, dict[str, float]] = {}
        has_figure: dict[str | None, bool] = {}
        for row in rows:
            name, figure = row["by"][place], size(row)
            has_figure[name] = has_figure.get(name, False) or figure is not None
            if name is not None and figure is not None:
                sizes.setdefault(split_of(row), defaultdict(float))[name] += figure
        members = {split: _largest_first(of) for split, of in sizes.items()}
        names = tuple(name for name in has_figure if name is not None)
        silent = tuple(name for name, has in has_figure.items() if not has)
        return cls(dimension, names, members, most, silent)

    def kept(self, split: str | None) -> tuple[str, ...]:
        """Return the groups that a split shows, the largest first."""
        return tuple(self.members.get(split, ())[: self.most])

    def rest(self, split: str | None) -> str:
        """Return what the folded groups of a split are called; empty if there are none."""
        folded = len(self.members.get(split, ())) - self.most
        return labels.unlike(f"other ({folded:,})", self.names) if folded > 0 else ""

    def folded(self, split: str | None) -> Folded:
        """Return the dimension as a metric is to group a split's figures by it."""
        rest = self.rest(split)
        return Folded(self.dimension, self.kept(split) if rest else None, rest)

    def is_rest(self, row: Row) -> bool:
        """Tell whether a row holds the folded groups of its split."""
        rest = self.rest(split_of(row))
        return bool(rest) and row[GROUP] == rest

    @property
    def silent_labels(self) -> list[str]:
        """What the groups without a figure are called, in alphabetical order."""
        return sorted(map(self.label, self.silent))

    def label(self, value: str | None) -> str:
        """Return what a chart calls a group."""
        return labels.group(value, self.names)

    def order(self, split: str | None) -> list[str]:
        """Return what a split may show: the largest first, then the rest, then the unnamed."""
        rest = self.rest(split)
        return [*map(self.label, self.kept(split)), *([rest] if rest else []), self.label(None)]

    def colors(self, fixed: Mapping[str, str] | None) -> dict[str, str]:
        """Return the colour of everything shown; a group has the same one in every split."""
        shown = [self.kept(split) for split in self.members]
        given = colors_.assign(self.names, fixed, shown)
        found = {self.label(name): given[name] for kept in shown for name in kept}
        found |= {rest: colors_.OTHER for split in self.members if (rest := self.rest(split))}
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
    size: Size,
    most: int = DOZEN,
    overlap: str = "warn",
    rank: Callable[..., Any] | None = None,
    **options: Any,
) -> Answer:
    """Query a metric by the largest groups of each currency.

    ``rank`` (by default the metric, without periods) is queried first; the ``size`` of its rows
    decides which groups are the largest.  Overlaps and missing columns are checked once.
    """
    _check(by, most)
    if not by:
        return _named(rows_of(metric(frame, overlap=overlap, **options), by), None, None)
    rows = rows_of((rank or metric)(frame, *map(Folded, by), overlap=overlap), by)
    groups = [
        Groups.from_rows(rows, place, size=size, dimension=name, most=most)
        for place, name in enumerate(by)
    ]
    splits = list(dict.fromkeys(split_of(row) for row in rows if size(row) is not None)) or [None]
    if rank or options or any(one.rest(split) for one in groups for split in splits):
        measured = partial(metric, frame, overlap=ALREADY_CHECKED, **options)
        rows = _folded_rows(measured, groups, splits)
    return _named(rows, *(*groups, None, None)[:MOST])


def split_of(row: Row) -> str | None:
    """Return the currency of a row, or its kind of acceptance: figures that share no axis."""
    found: str | None = row.get("currency", row.get("kind"))
    return found


def _folded_rows(
    measured: Callable[..., Any], groups: Sequence[Groups], splits: Sequence[str | None]
) -> list[Row]:
    """Query a metric once for each different fold, and keep the rows of the splits that have it.

    Groups are folded in SQL because distinct users and rates of several groups cannot be added up.
    """
    by = [one.dimension for one in groups]
    folds = {split: tuple(one.folded(split) for one in groups) for split in splits}
    first = folds[splits[0]]  # also for rows without a figure, whose split may be no other's
    found: list[Row] = []
    with _spread.warn_once():
        for fold in dict.fromkeys(folds.values()):
            rows = rows_of(measured(*fold), by)
            found += [row for row in rows if folds.get(split_of(row), first) == fold]
    return found


def _named(rows: list[Row], groups: Groups | None, panels: Groups | None) -> Answer:
    """Return an answer's rows with what their group and their panel are called."""
    for row in rows:
        names = row.pop("by")
        row[GROUP] = groups.label(names[0]) if groups else ""
        row[PANEL] = panels.label(names[1]) if panels else ""
    return Answer(rows, groups, panels)


def rows_of(answer: Any, by: Sequence[str]) -> list[Row]:
    """Return an answer as rows, in each the values of its dimensions as ``by``."""
    table = frames.collected(answer)
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


def _largest_first(sizes: Mapping[str, float]) -> list[str]:
    return sorted(sizes, key=lambda name: (-abs(sizes[name]), name))
