"""What a coarser row has beyond its finer rows, as a row of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tidyusage import catalogue
from tidyusage._utils.sql import clauses, listed, quote, same
from tidyusage.catalogue import CHARGE_AMOUNTS
from tidyusage.engines.columns import rebuilt_charges
from tidyusage.layouts.convert_sql import COUNTS
from tidyusage.metrics import _grain
from tidyusage.metrics._charges import cost
from tidyusage.metrics._grain import METRIC, SCOPE
from tidyusage.metrics._periods import DATES
from tidyusage.metrics._tolerance import places_sql, rounding_sql
from tidyusage.prepare._rewrite import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidyusage.engines.columns import Columns

_QUANTITY: Final = "usage.quantity"
_TOTAL: Final = "usage.tokens.total"
_MEASURES: Final = tuple(field.column for field in catalogue.MEASURES)
_ADDED: Final = tuple(f.column for f in catalogue.MEASURES if f.addition != "never")
CHANGED: Final = (*_MEASURES, *CHARGE_AMOUNTS)
# What a sum of floats is off by, and no residual.
_NOISE: Final = "1e-9"


def residuals(found: Columns, columns: Iterable[str]) -> str:
    """Return the steps from ``coarser_rows`` and ``finer_rows`` to ``residuals``.

    A row a cell and currency; the first row of a cell has the measures that are not money.
    """
    measures = [name for name in _ADDED if name in found.known]
    counts = COUNTS in found.known
    shown = dict.fromkeys(filter(found.known.__contains__, CHANGED), "null")
    shown |= {name: f"m.{quote(name)}" for name in measures}
    shown |= {name: f"c.{quote(name)}" for name in CHARGE_AMOUNTS if name in found.known}
    shown |= {name: _bound(name) for name in DATES if name in found.known}
    shown |= {COUNTS: "a.actions"} if counts else {}
    shown |= {"charges": "c.charges"} if "charges" in found.known else {}
    picked = [f"{shown.get(name, f'r.{quote(name)}')} as {quote(name)}" for name in columns]
    actions = f"\n  left join actions a on a.spot = c.spot and m.{ROW} is not null" * counts
    tests = ["coalesce(m.tu__any, false)", "c.tu__any", *["a.spot is not null"] * counts]
    return f"""parts as materialized (
  select spot, {ROW}, 1 as tu__sign
  from coarser_rows
  union all
  select spot, {ROW}, -1
  from finer_rows
),
{_measured(measures, has_unit="usage.unit" in found.known)},
{_charged()},
{_actions() if counts else ""}residuals as (
  select r.{ROW}, {", ".join(picked)}
  from charged c
  join usage r using ({ROW})
  join spots s using (spot)
  left join measured m on m.spot = c.spot and m.{ROW} = c.{ROW}{actions}
  where {" or ".join(tests)}
)"""


def _measured(measures: list[str], *, has_unit: bool) -> str:
    """Return the step to ``measured``: by cell, its first coarser row and the measures left.

    Where the tokens left would be another sum, all of them are one total.
    """
    unit = f"arg_min({quote('usage.unit')}, {ROW}) filter (tu__sign = 1)"
    first = f"{unit} over (partition by spot)" if has_unit else "cast(null as varchar)"
    others = {_QUANTITY: f"{quote('usage.unit')} is not distinct from tu__unit"} if has_unit else {}
    sums = [_sums(name, others.get(name, "true")) for name in (*measures, "tu__tokens")]
    left = [_left(name) for name in (*measures, "tu__tokens")]
    tests = " or ".join(is_any for _, is_any in left)
    all_ = quote("coarser.tu__tokens")
    is_same = f"abs({_grain.tokens(measures)} - tu__tokens) <= {_NOISE} * abs({all_})"
    kept = listed(*(_token(name) if name in _grain.TOKENS else quote(name) for name in measures))
    return f"""of_unit as (
  select spot, tu__sign, usage.*, tu__tokens, {first} as tu__unit
  from parts
  join usage using ({ROW})
  join (select {ROW}, tu__tokens from figures) using ({ROW})
),
measured_sums as (
  select spot, {listed(*sums)}min({ROW}) filter (tu__sign = 1) as {ROW}
  from of_unit
  group by spot
),
differences as (
  select spot, {ROW}, {all_}, {listed(*(value for value, _ in left))}{tests} as tu__any
  from measured_sums
),
tokens_told as (
  select *, coalesce({is_same}, tu__tokens is null) as tu__is_same
  from differences
),
measured as (
  select spot, {ROW}, {kept}tu__any
  from tokens_told
)"""


def _token(name: str) -> str:
    """Return the SQL of a sort of tokens that is left, if the sorts make what is left in all."""
    rest = "else tu__tokens " if name == _TOTAL else ""
    return f"case when tu__is_same then {quote(name)} {rest}end as {quote(name)}"


def _charged() -> str:
    """Return the steps to ``charged``: by cell and currency, what is left of each charge.

    Where what was billed would be another sum, all of it is one charge.
    """
    sums = clauses(_sums(name) for name in ("tu__cost", *CHARGE_AMOUNTS))
    left = {name: _left(name, "tu__places") for name in ("tu__cost", *CHARGE_AMOUNTS)}
    values = [left[name][0] for name in CHARGE_AMOUNTS]
    bill, all_ = left["tu__cost"][0], quote("coarser.tu__cost")
    is_left = " or ".join(is_any for _, is_any in left.values())
    places = places_sql("tu__cost", quote("charges.total"))
    grain_ = ", ".join((*SCOPE, *METRIC, "tu__grain", "tu__currency"))
    billed = f"abs({cost('billed')} - tu__cost) <= {_NOISE} * abs({all_})"
    is_same = f"coalesce({billed}, tu__cost is null)"
    kept = [
        f"case when tu__is_same then {quote(name)} "
        f"{'else tu__cost ' if name == 'charges.net' else ''}end as {quote(name)}"
        for name in CHARGE_AMOUNTS
    ]
    money = 'tu__currency as "charges.currency"'
    return f"""decimal_places as (
  select {grain_}, max({places}) as tu__places
  from coarser_rows
  join figures using ({ROW})
  where tu__cost is not null
  group by {grain_}
),
charged_sums as (
  select spot, figures.tu__currency, min({ROW}) filter (tu__sign = 1) as {ROW},
    count(*) filter (tu__sign = 1) as tu__rows, count(*) filter (tu__sign = -1) as tu__finer,
    max(case when tu__sign = 1 then tu__places end) as tu__places,
    {sums}
  from parts
  join figures using ({ROW})
  left join decimal_places on {same("figures", "decimal_places", *grain_.split(", "))}
  group by spot, figures.tu__currency
  having count(*) filter (tu__sign = 1) > 0
),
left_over as (
  select spot, tu__currency, {ROW}, tu__rows, {all_}, {is_left} as tu__any, {bill},
    {clauses(values)}
  from charged_sums
),
told as (
  select *, {is_same} as tu__is_same
  from left_over
),
renamed as (
  select spot, {ROW}, tu__rows, tu__any, {money},
    {clauses(kept)}
  from told
),
charged as (
  select *, case when tu__any then {rebuilt_charges()} end as charges
  from renamed
)"""


def _actions() -> str:
    """Return the steps to ``actions``: by cell, what is left of each tool's counts."""
    counts = quote(COUNTS)
    value, is_left = _left("count")
    return f"""entries as (
  select spot, tu__sign, unnest({counts}) as tu__e
  from parts
  join usage using ({ROW})
),
action_sums as (
  select spot, tu__e.tool as tool, tu__e.action as action, {_sums("count", of="tu__e.count")}
  from entries
  group by spot, tu__e.tool, tu__e.action
),
by_action as (
  select spot, tool, action, {value}
  from action_sums
  where {is_left}
),
actions as (
  select spot, list({{tool: tool, action: action, count: count}} order by tool, action) as actions
  from by_action
  group by spot
),
"""


def _sums(name: str, where: str = "true", *, of: str = "") -> str:
    """Return the SQL of the sums of the coarser rows and of the finer ones."""
    value = of or quote(name)
    coarser = f"sum({value}) filter (tu__sign = 1) as {quote(f'coarser.{name}')}"
    finer = f"sum({value}) filter (tu__sign = -1 and {where})"
    return f"{coarser}, coalesce({finer}, 0) as {quote(f'finer.{name}')}"


def _left(name: str, places: str = "") -> tuple[str, str]:
    """Return the SQL of the coarser sum less the finer one, and of whether that is any.

    It is null where the coarser have none, and zero for a float's noise.  Amounts of money have
    ``places``: what rounding can explain is no residual.
    """
    coarser, finer = quote(f"coarser.{name}"), quote(f"finer.{name}")
    allowed = f"{_NOISE} * abs({coarser})"
    if places:
        allowed = f"greatest({allowed}, {rounding_sql(places, 'tu__finer', coarser)})"
    is_any = f"coalesce(abs({coarser} - {finer}) > {allowed}, false)"
    left = f"case when {is_any} then {coarser} - {finer} when {coarser} is not null then 0e0 end"
    return f"{left} as {quote(name)}", is_any


def _bound(name: str) -> str:
    """Return the SQL of a bound of a residual's window: the cell's, if it has several rows."""
    bound = {"start_date": "s.tu__from", "end_date": "s.tu__to"}[name]
    return f"case when c.tu__rows > 1 and r.start_date is not null then {bound} else r.{name} end"
