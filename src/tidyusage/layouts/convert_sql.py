"""From one layout to another: the queries between wide, long and the child tables.

`flatten_usage(layout="long")` runs the same query as `to_long`, on the wide rows it has read.
"""

from collections.abc import Collection
from typing import Final

from tidyusage import catalogue, schema
from tidyusage._utils.sql import clauses, literal, quote, values
from tidyusage.catalogue import CHARGE_TYPES, DIMENSIONS, LISTS, MEASURES, SOURCE_COLUMNS

LONG_KEYS: Final = ("id", *(field.column for field in DIMENSIONS), "start_date", "end_date")
CHARGES: Final = "charges."
COUNTS: Final = catalogue.TOOL_ACTIONS.column
CURRENCY: Final = quote("charges.currency")
# The tables that hang on wide, by the column that holds their entries.
CHILDREN: Final = {"charges": "charges", "resources": "resources", "tool_actions": COUNTS}


def long(source: str, *, record: bool = False, own: Collection[str] = ()) -> str:
    """Return the query from wide to long; ``own`` are further columns of the caller's to keep."""
    keys = [*(["record"] if record else []), *LONG_KEYS, *own]
    measures = [_measure(field.column, field.unit or "") for field in MEASURES]
    amounts = [
        _entry(f"{CHARGES}{type_}", quote(f"{CHARGES}{type_}"), CURRENCY) for type_ in CHARGE_TYPES
    ]
    entries = f"[\n    {clauses([*measures, *amounts])}\n  ] || {_other_charges()} || {_counts()}"
    return f"""
with entries as not materialized (
  select {", ".join(map(quote, keys))},
  unnest(list_filter({entries}, lambda tu__e: tu__e.value is not null)) as tu__entry
  from {source}
)
select {", ".join(map(quote, keys))}, tu__entry.metric, tu__entry.value, tu__entry.unit
from entries
"""


def _entry(metric: str, value: str, unit: str) -> str:
    return f"{{metric: {literal(metric)}, value: {value}, unit: {unit}}}"


def _measure(column: str, unit: str) -> str:
    value = f"cast({quote(column)} as double)"
    return _entry(column, value, quote(unit) if unit == "usage.unit" else literal(unit))


def _other_charges() -> str:
    """Return the entries of charges whose type the schema does not know, or that have none."""
    known = f"coalesce(tu__e.type in ({values(CHARGE_TYPES)}), false)"
    metric = f"concat({literal(CHARGES[:-1])}, '.' || tu__e.type)"
    others = f"list_filter(charges, lambda tu__e: not {known})"
    return _added_up(others, metric, "tu__e.amount", CURRENCY)


def _counts() -> str:
    metric = f"concat_ws('.', {literal(COUNTS)}, {_escaped('tu__e.tool')}, tu__e.action)"
    unit = literal(catalogue.TOOL_ACTIONS.unit)
    return _added_up(quote(COUNTS), metric, "tu__e.count", unit)


def _added_up(entries: str, metric: str, value: str, unit: str) -> str:
    """Return one entry a metric, in the order in which the metrics first stand there."""
    named = f"list_transform({entries}, lambda tu__e: {{metric: {metric}, value: {value}}})"
    of_metric = f"list_filter({named}, lambda tu__e: tu__e.metric = tu__m)"
    total = f"list_sum(list_transform({of_metric}, lambda tu__e: tu__e.value))"
    names = f"list_transform({named}, lambda tu__e: tu__e.metric)"
    is_first = f"list_position({names}, tu__m) = tu__i"
    first = f"list_filter({names}, lambda tu__m, tu__i: {is_first})"
    entry = f"{{metric: tu__m, value: {total}, unit: {unit}}}"
    return f"coalesce(list_transform({first}, lambda tu__m: {entry}), [])"


def child(source: str, layout: str, *, record: bool = False, own: Collection[str] = ()) -> str:
    """Return the query from wide to one of its child tables, one row an entry."""
    keys = [*(["record"] if record else []), "id"]
    entries = quote(CHILDREN[layout])
    if layout == "tool_actions":
        members = [f"tu__entry.{quote(name)}" for name in ("tool", "action", "count")]
    else:
        paths = [(field.column, field.keys[1:]) for field in LISTS[layout]]
        members = [
            f"{'.'.join(['tu__entry', *map(quote, path)])} as {quote(column)}"
            for column, path in paths
        ]
    return f"""
with entries as not materialized (
  select {", ".join(map(quote, (*keys, *own)))}, unnest({entries}) as tu__entry,
    unnest(range(len({entries}))) as position
  from {source}
)
select {", ".join(map(quote, keys))}, position, {", ".join((*members, *map(quote, own)))}
from entries
"""


def wide(source: str, *, record: bool = False, own: Collection[str] = ()) -> str:
    """Return the query from long to wide: what long does not hold is null."""
    keys = [*(["record"] if record else []), *LONG_KEYS, *own]
    grouped = ", ".join(map(quote, keys))
    sums = {field.column: _pivoted(field.column) for field in MEASURES}
    sums |= {f"{CHARGES}{type_}": _pivoted(f"{CHARGES}{type_}") for type_ in CHARGE_TYPES}
    for field in MEASURES:
        if field.dtype == "boolean":
            sums[field.column] = f"({sums[field.column]} <> 0)"
    is_charge = f"(metric = {literal(CHARGES[:-1])} or starts_with(metric, {literal(CHARGES)}))"
    is_count = f"starts_with(metric, {literal(COUNTS + '.')})"
    type_ = f"nullif(substr(metric, {len(CHARGES) + 1}), '')"
    charge = f"{{amount: value, currency: unit, type: {type_}}}"
    count = count_entry("metric", "value")
    derived = {
        "usage.unit": "any_value(unit) filter (metric = 'usage.quantity')",
        "charges.currency": f"any_value(unit) filter ({is_charge})",
        "charges": f"list({charge} order by tu__place) filter ({is_charge})",
        COUNTS: f"list({count} order by tu__place) filter ({is_count})",
    }
    absent = {
        name: f"cast(null as {schema.duckdb_type(type_)})"
        for name, type_ in schema.layout_types("wide").items()
        if name not in {*keys, *sums, *derived}
    }
    columns = [f"{sql} as {quote(name)}" for name, sql in (sums | derived | absent).items()]
    marks = [name for name in own if name in SOURCE_COLUMNS]
    record_keys = ", ".join(map(quote, [*(["record"] if record else []), *marks, "id"]))
    twice = literal(
        "tidyusage: a record has a metric twice — Adding them up could count twice; drop one, or "
        "tell records of one id apart by a column record."
    )
    torn = literal(
        "tidyusage: the rows of a record differ in a dimension or in a column of your own — "
        "Wide has one row a record; drop the column, or make it the same in all of its rows."
    )
    return f"""
with places as (
  select *, row_number() over () as tu__place,
    count(*) over (partition by {record_keys}, metric) as tu__times
  from {source}
),
records as (
  select {grouped}, min(tu__place) as tu__place, max(tu__times) as tu__times,
    {clauses(columns)}
  from places
  group by {grouped}
),
counted as (
  select *, count(*) over (partition by {record_keys}) as tu__rows
  from records
)
select * exclude (tu__place, tu__times, tu__rows)
from counted
where case
  when tu__times > 1 then error({twice})
  when tu__rows > 1 then error({torn})
  else true end
order by tu__place
"""


def count_entry(metric: str, value: str) -> str:
    """Return the SQL of an entry of ``tool_actions`` that a metric of long names.

    The tool ends at the first dot; dots within its name are escaped (`_escaped`).
    """
    tail = f"substr({metric}, {len(COUNTS) + 2})"
    tool = f"split_part({tail}, '.', 1)"
    has_action = f"length({tail}) > length({tool})"
    action = f"case when {has_action} then substr({tail}, length({tool}) + 2) end"
    name = f"replace(replace({tool}, '%2E', '.'), '%25', '%')"
    return f"{{tool: {name}, action: {action}, count: {value}}}"


def _escaped(tool: str) -> str:
    """Return the SQL of a tool's name in a metric, which the first dot ends.

    Dots are percent-encoded, as in addresses, and so are percent signs: `web.search` is
    `web%2Esearch`, and long and wide give the same tool.
    """
    return f"replace(replace({tool}, '%', '%25'), '.', '%2E')"


def _pivoted(metric: str) -> str:
    return f"sum(value) filter (metric = {literal(metric)})"
