"""SQL that distributes shared rows over the rows that use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tidyusage import catalogue
from tidyusage._utils.sql import clauses, listed, literal, partition, prefixed, quote, same, trimmed
from tidyusage.errors import OptionError, UnknownFieldError
from tidyusage.metrics import _source
from tidyusage.metrics._charges import code, cost
from tidyusage.metrics._periods import DATES, Periods
from tidyusage.prepare import _parts
from tidyusage.prepare._rewrite import ROW
from tidyusage.prepare._selection import column, dimensions, is_absent, selected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tidyusage.engines.columns import Columns
    from tidyusage.metrics._source import Dimension
    from tidyusage.prepare._allocation_key import Bearing
    from tidyusage.typing import End, Where

SPREAD: Final = "allocated"
SHARE: Final = "allocated_share"
LEFT: Final = "tu__left"
AMOUNT: Final = "tu__amount"
_WITHIN: Final = ("organization.id", "product.id")
# A user is the same in another spelling, as in metrics/users.py.
_SPELLED: Final[dict[str, Callable[[str], str]]] = {
    "user.id": trimmed,
    "user.email": lambda text: f"lower({trimmed(text)})",
}
# Records without dates have a window of their own, of a microsecond far before all others.
_DATELESS: Final = -9_000_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class Spreading:
    """Which rows of a frame are spread over which targets, by what.

    ``scopes`` are the fields in which a target's rows are as the shared row.
    """

    found: Columns
    where: str
    targets: tuple[Dimension, ...]
    scopes: tuple[Dimension, ...]
    bearing: Bearing
    end: End

    @classmethod
    def of(
        cls,
        found: Columns,
        where: Where,
        to: Sequence[str],
        within: Sequence[str] | None,
        *,
        bearing: Bearing,
        end: End,
    ) -> Spreading:
        """Resolve the names; raise for what cannot be."""
        targets = dimensions(found, to)
        for target in targets:
            if target.column is None:
                raise UnknownFieldError(
                    f"The frame has no column {target.name!r} to spread over.",
                    "Name one that it has.",
                )
        scopes = _scopes(found, targets, within)
        return cls(found, selected(found, where), targets, scopes, bearing, end)

    @property
    def knows_currency(self) -> bool:
        """Whether the frame or the caller says in which currency the amounts are."""
        is_there = "charges.currency" in self.found.known
        return is_there or self.bearing.money.assumed is not None

    @property
    def steps(self) -> str:
        """The steps from ``usage`` to ``spread``: all rows, the shared ones once a target."""
        cell, target = self._cell, self._target
        window = ("tu__from", "tu__to")
        named = " and ".join(["not tu__shared", *(f"{key} is not null" for key in target)])
        of_cell = partition(*cell, *window)
        borne = f"{prefixed('cells', *cell, *window)}, {prefixed('windows', *target)}"
        carried = (*cell, *target, *window, "tu__shared")
        return f"""named as materialized (
  select *
  from usage
),
facts as (
  select {clauses(self._facts)}
  from named
),
marked as (
  select *, {cost(self.bearing.money.charge)} as {AMOUNT},
    coalesce(epoch_us(start_date), {_DATELESS}) as tu__from,
    coalesce(epoch_us({Periods("1d", end=self.end).ends()}), {_DATELESS} + 1) as tu__to
  from facts
),
{self.bearing.steps("marked", carried)},
windows as (
  select {listed(*cell, *target, *window)}{self.bearing.added("tu__value")} as tu__value
  from valued
  where {named}
  group by {", ".join((*cell, *target, *window))}
),
cells as (
  select distinct {", ".join((*cell, *window))}
  from marked
  where tu__shared
),
weights as (
  select {borne},
    {self.bearing.added(self.bearing.within("tu__value"))} as tu__weight
  from cells
  join windows on {same("cells", "windows", *cell)}
    and windows.tu__from < cells.tu__to and windows.tu__to > cells.tu__from
  group by {borne}
),
scaled as (
  select *, {_parts.scaled("tu__weight", f"max(tu__weight) over ({of_cell})")} as tu__scaled
  from weights
  where tu__weight > 0
),
shares as (
  select *, tu__scaled / sum(tu__scaled) over ({of_cell}) as tu__share
  from scaled
),
targets as (
  select {clauses([*target, *self._known])}
  from marked
  where {named}
  group by {", ".join(target)}
),
portions as (
  select marked.{ROW} as tu__of, tu__share, targets.*
  from marked
  join shares on {same("marked", "shares", *cell, *window)}
  join targets on {same("shares", "targets", *target)}
  where tu__shared
),
spread as (
  select named.*, portions.*, {AMOUNT}, tu__currency, tu__shared and tu__of is null as tu__is_left
  from named
  join marked on marked.{ROW} = named.{ROW}
  left join portions on tu__of = named.{ROW}
)"""

    @property
    def guard(self) -> str:
        """The sentence around the measure whose sum over a target's rows is not finite."""
        return (
            "The sum of {} over a target's rows is not finite: values are too large to be added, "
            "or one of them is infinite.\n\nLook for implausible values first, for example with "
            "findings()."
        )

    @property
    def guarded(self) -> str:
        """The SQL that names the measure if a sum of it is not finite, else null."""
        name = literal(self.bearing.name)
        return f"(select max(case when not isfinite(tu__weight) then {name} end) from weights)"

    @property
    def order(self) -> str:
        """The order of the rows of ``spread``: a shared row's largest share first."""
        return f"{ROW}, tu__share desc, {', '.join(self._target)}"

    @property
    def measures(self) -> dict[str, str]:
        """The SQL of the measures by path, in a row of ``spread``."""
        return _parts.measures(self.found, "tu__share", "tu__of is not null")

    @property
    def columns(self) -> dict[str, str]:
        """The SQL of the answer's columns by name, in a row of ``spread``."""
        own = self.found.own
        was = f"coalesce({quote(SPREAD)}, false)" if SPREAD in own else "false"
        share = f"coalesce({quote(SHARE)}, 1e0)" if SHARE in own else "1e0"
        taken = {
            name: f"case when tu__of is null then {quote(name)} else {alias} end"
            for name, alias in self._members.items()
        }
        return {
            **{name: quote(name) for name in (*self.found.known, *own)},
            **self.measures,
            **taken,
            SPREAD: f"tu__of is not null or {was}",
            SHARE: f"coalesce(tu__share, 1e0) * {share}",
            LEFT: "case when tu__is_left then coalesce(tu__currency, '') end",
            AMOUNT: f"case when tu__is_left then {AMOUNT} end",
        }

    @property
    def _cell(self) -> tuple[str, ...]:
        """The columns in which a target's rows are as the shared row, but for the window."""
        currency = ["tu__currency"] * self.bearing.is_cost
        return (*(f"tu__in_{place}" for place, _ in enumerate(self.scopes)), *currency)

    @property
    def _target(self) -> tuple[str, ...]:
        """The columns that tell targets apart."""
        return tuple(f"tu__to_{place}" for place, _ in enumerate(self.targets))

    @property
    def _members(self) -> dict[str, str]:
        """The columns that a part takes from its target, with what the steps call them."""
        named = [target.path or target.name for target in self.targets]
        heads = {target.path.split(".")[0] for target in self.targets if "." in target.path}
        heads |= {"user" for target in self.targets if target.is_person}
        related = [f.column for f in catalogue.DIMENSIONS if f.keys[0] in heads]
        held = (n for n in (*named, *related) if n in {*self.found.known, *self.found.own})
        return {name: f"tu__member_{place}" for place, name in enumerate(dict.fromkeys(held))}

    @property
    def _known(self) -> list[str]:
        """The SQL of what is known of a target: its own names, and others if it has one alone."""
        own = {target.path or target.name for target in self.targets}
        return [
            f"min({alias}) as {alias}" if name in own else f"{_only(name, alias)} as {alias}"
            for name, alias in self._members.items()
        ]

    @property
    def _facts(self) -> list[str]:
        """The SQL of what is read of each row."""
        money = self.bearing.money
        fields = dict.fromkeys((*self.bearing.fields, *money.fields, *DATES))
        currency = money.currency_sql(_field(self.found, "charges.currency"))
        keys = [_key(target) for target in self.targets]
        return [
            ROW,
            f"{self.where} as tu__shared",
            f"{code(currency)} as tu__currency",
            *(f"{column(scope)} as tu__in_{place}" for place, scope in enumerate(self.scopes)),
            *(f"{key} as tu__to_{place}" for place, key in enumerate(keys)),
            *(f"{quote(name)} as {alias}" for name, alias in self._members.items()),
            *(f"{_field(self.found, path)} as {quote(path)}" for path in fields),
        ]


def _scopes(
    found: Columns, targets: tuple[Dimension, ...], within: Sequence[str] | None
) -> tuple[Dimension, ...]:
    """Return the fields in which a target's rows are as the shared row."""
    if isinstance(within, str):
        raise OptionError(f"within={within!r} is no list.", f"Give [{within!r}].")
    if within is None:
        heads = {target.path.split(".")[0] for target in targets}
        within = [name for name in _WITHIN if name.split(".")[0] not in heads]
    scopes = dimensions(found, within)
    taken = {target.name for target in targets}
    if meeting := [scope.name for scope in scopes if scope.name in taken]:
        raise OptionError(
            f"within= names {meeting[0]!r}, over which shared rows are spread.", "Leave it out."
        )
    return scopes


def _only(path: str, text: str) -> str:
    """Return the SQL of the one text of a group, null where it has several."""
    return f"case when count(distinct {_spelled(path, text)}) = 1 then min({text}) end"


def _key(target: Dimension) -> str:
    """Return the SQL of what tells a target from others; null where it is absent."""
    text = column(target)
    return f"case when not ({is_absent(text)}) then {_spelled(target.path, text)} end"


def _spelled(path: str, text: str) -> str:
    """Return the SQL of a text as it is compared."""
    return _SPELLED[path](f"cast({text} as varchar)") if path in _SPELLED else text


def _field(found: Columns, path: str) -> str:
    """Return the SQL of a field of a row of ``usage``, null where the frame has no such column."""
    if path not in found.known:
        return _source.null(path)
    is_number = _source.DTYPES[path] == "number"
    return f"cast({quote(path)} as double)" if is_number else quote(path)
