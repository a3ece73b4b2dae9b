"""Nested records become wide rows: one SQL query, made from the catalogue.

The records come in raw: their leaves are still text or JSON (`tidyusage.schema.RAW`), because
DuckDB on its own reads true as the number 1.0, an object as text and "yes" as true.  The query
types each leaf and marks the rows that hold what the schema does not allow.  Columns are dotted
here; `tidyusage.schema.rename` spells them otherwise at the edge.
"""

from collections.abc import Iterator
from typing import Final, cast

from tidyusage import catalogue
from tidyusage.catalogue import CHARGE_TYPES, LISTS, Field, Tree
from tidyusage.sql import clauses, literal, quote

FAULT: Final = "fault"
FAULT_AT: Final = "fault_at"
TIMESTAMP: Final = (
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"([Tt ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?([Zz]|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?)?"
)
# How deep tool_actions may nest: the tool, then up to three keys that make the action.
COUNT_LEVELS: Final = 4
# Vendors call an action a count or not.
ACTIONS: Final = {"accepted_count": "accepted", "rejected_count": "rejected"}

_COUNTS: Final = quote(catalogue.TOOL_ACTIONS.column)
_NESTED: Final = (*map(quote, LISTS), _COUNTS)


def wide(
    source: str,
    *,
    remote_data: bool,
    currency: str | None,
    nan_is_missing: bool,
    explain: bool = False,
) -> str:
    """Return the query from raw records to wide, with a last column that marks faulty rows.

    A row is faulty that holds what the schema does not allow; `tidyusage.rejects` says why.  With
    ``explain`` one more column names the field.
    """
    fields = [*catalogue.SCALARS, *([catalogue.REMOTE_DATA] if remote_data else [])]
    columns = [quote(field.column) for field in fields]
    leaves = [_as(_typed(field, _member(field), nan_is_missing), field.column) for field in fields]
    lists = [_as(_typed_list(name, currency, nan_is_missing), name) for name in LISTS]
    actions = catalogue.TOOL_ACTIONS
    counts = _as(_typed_counts(_member(actions), nan_is_missing), actions.column)
    raw = [_as(f"raw.{quote(key)}", _raw(key)) for key in {field.keys[0]: None for field in fields}]
    raw += [_as(f"raw.{quote(name)}", _raw(name)) for name in LISTS]
    amounts = [_as(_amount(type_), f"charges.{type_}") for type_ in CHARGE_TYPES]
    nested = [_as(f"case when len({name}) > 0 then {name} end", name[1:-1]) for name in _NESTED]
    at = f",\n    {_fault_at(nan_is_missing)} as {FAULT_AT}" if explain else ""
    return f"""
with typed as not materialized (
  select
    {clauses([*leaves, *lists, counts, *raw])}
  from {source} as raw
)
select
    {clauses([*columns, *amounts, _as(_currency("list_min"), "charges.currency"), *nested])},
    coalesce(
    {clauses((test for _, test in _tests(nan_is_missing)), " or")},
    false) as {FAULT}{at}
from typed
"""


def _tests(nan_is_missing: bool) -> Iterator[tuple[str, str]]:
    """Yield each place that may be faulty, with the test of the rows that are."""
    for field in catalogue.SCALARS:
        yield field.path, _wrong(field, nan_is_missing)
    for name in LISTS:
        yield name, _wrong_list(name)
    yield "charges", _wrong_charges()
    yield catalogue.TOOL_ACTIONS.path, _wrong_counts()


def _fault_at(nan_is_missing: bool) -> str:
    """Return the path of the first faulty field, looked for in faulty rows alone."""
    tests = _tests(nan_is_missing)
    return f"case {clauses((f'when {test} then {literal(path)}' for path, test in tests), '')} end"


def _raw(key: str) -> str:
    return f"raw.{key}"


def _as(expression: str, name: str) -> str:
    return f"{expression} as {quote(name)}"


def _member(field: Field, holder: str = "raw") -> str:
    keys = field.keys[1:] if field.parent_list else field.keys
    return ".".join([holder, *map(quote, keys)])


def _typed(field: Field, x: str, nan_is_missing: bool) -> str:
    if field.dtype == "string":
        return f"({x} ->> '$')"
    if field.dtype == "number":
        return f"try_cast({_present(x, nan_is_missing)} as double)"
    if field.dtype == "boolean":
        return f"(cast({x} as varchar) = 'true')"
    if field.dtype == "timestamp":
        return timestamp(x)
    return f"cast({x} as varchar)"


def _present(x: str, nan_is_missing: bool) -> str:
    return f"nullif({x}, 'NaN')" if nan_is_missing else x


def timestamp(x: str) -> str:
    """Return the instant of a date's text; text without a zone is UTC, whatever the session's."""
    return f"""case
      when ends_with({x}, 'Z') then try_cast({x} as timestamptz)
      when length({x}) = 10 then try_cast({x} || ' 00:00:00Z' as timestamptz)
      when regexp_matches({x}, '[Zz]$|[+-]\\d\\d(:?\\d\\d)?$')
        then try_cast(upper({x}) as timestamptz)
      else try_cast(upper({x}) || 'Z' as timestamptz) end"""


def _wrong(field: Field, nan_is_missing: bool) -> str:
    """Return the test of a faulty value; it may be null where the value is."""
    x, typed = _before(field), quote(field.column)
    if field.dtype == "number":
        return f"not coalesce(isfinite({typed}), {_present(x, nan_is_missing)} is null)"
    if field.dtype == "boolean":
        return f"cast({x} as varchar) not in ('true', 'false')"
    if field.dtype == "timestamp":
        shape = f"{x} < '0001' or not regexp_full_match({x}, {literal(TIMESTAMP)})"
        return f"{shape} or ({typed} is null) <> ({x} is null)"
    if field.kind == "key":
        return f"{x} is null or trim({typed}, ' ') = '' or {_wrong_text(x)}"
    return _wrong_text(x)


def _before(field: Field) -> str:
    """Return a field as it was before it was typed."""
    key, *inner = field.keys
    return ".".join([quote(_raw(key)), *map(quote, inner)])


def _wrong_text(x: str) -> str:
    # JSON that may stand for text begins with a quotation mark, a digit, or a minus and a digit.
    json = f"cast({x} as varchar)"
    return f"{json} >= ':' or ({json} >= '-:' and {json} < '.')"


def _wrong_list(name: str) -> str:
    texts = (_member(field, "e") for field in LISTS[name] if field.dtype == "string")
    wrong = " or ".join(map(_wrong_text, texts))
    return f"len(list_filter({quote(_raw(name))}, lambda e: {wrong})) > 0"


def _wrong_charges() -> str:
    # One sum finds what is no number (read as NaN), infinities, and amounts too large to add.
    size = "list_sum(list_transform(charges, lambda e: abs(e.amount)))"
    return f"not isfinite({size}) or {_currency('list_min')} <> {_currency('list_max')}"


def _wrong_counts() -> str:
    return f"not isfinite(list_sum(list_transform({_COUNTS}, lambda e: abs(e.count))))"


def _typed_list(name: str, currency: str | None, nan_is_missing: bool) -> str:
    """Return a list with typed entries; null and {} are no entries."""
    (tree,) = cast("list[Tree]", catalogue.tree(LISTS[name])[name])
    present = " or ".join(f"{_member(field, 'e')} is not null" for field in LISTS[name])
    entries = f"list_filter(raw.{quote(name)}, lambda e: {present})"
    entry = _entry(tree, "e", currency, nan_is_missing)
    return f"list_transform({entries}, lambda e: {entry})"


def _entry(tree: Tree, holder: str, currency: str | None, nan_is_missing: bool) -> str:
    members = []
    for key, child in tree.items():
        x = f"{holder}.{quote(key)}"
        if isinstance(child, Field):
            value = _typed_member(child, x, currency, nan_is_missing)
        else:
            child = cast("Tree", child)
            absent = " and ".join(f"{x}.{quote(leaf)} is null" for leaf in child)
            inner = _entry(child, x, currency, nan_is_missing)
            value = f"case when not ({absent}) then {inner} end"
        members.append(f"{quote(key)}: {value}")
    return "{" + ", ".join(members) + "}"


def _typed_member(field: Field, x: str, currency: str | None, nan_is_missing: bool) -> str:
    typed = _typed(field, x, nan_is_missing)
    if field.path == "charges[].currency":
        return f"coalesce(nullif(upper(trim({typed}, ' ')), ''), {literal(currency)})"
    if field.dtype == "number":
        return _nan_if_wrong(typed, f"{_present(x, nan_is_missing)} is not null")
    return typed


def _nan_if_wrong(number: str, present: str) -> str:
    return f"case when {present} then coalesce({number}, 'nan'::double) end"


def _typed_counts(x: str, nan_is_missing: bool) -> str:
    """Return ``tool_actions`` as a list of tool, action and count; what is no count is NaN."""
    is_object = f"starts_with(cast({x} as varchar), '{{')"
    wrong = "[{tool: null, action: null, count: 'nan'::double}]"
    found = _count_leaves(x, nan_is_missing)
    leaves = f"case when {is_object} then {found} when {x} is not null then {wrong} end"
    return f"list_filter({leaves}, lambda e: e.count is not null)"


def _count_leaves(
    x: str, nan_is_missing: bool, tool: str = "", prefix: str = "", level: int = 0
) -> str:
    """Return the list of every leaf below an object: first key = tool, the rest = action."""
    key, value = f"e{level}.key", f"e{level}.value"
    if level:
        renamed = " ".join(
            f"when {literal(old)} then {literal(new)}" for old, new in ACTIONS.items()
        )
        action = f"{prefix}case {key} {renamed} else {key} end"
        prefix = f"{prefix}{key} || '.' || "
    else:
        tool, action = key, "null"
    text = f"({value} ->> '$')"
    present = f"{_present(text, nan_is_missing)} is not null"
    count = _nan_if_wrong(f"try_cast({text} as double)", present)
    found = f"[{{tool: {tool}, action: {action}, count: {count}}}]"
    if level + 1 < COUNT_LEVELS:
        inner = _count_leaves(value, nan_is_missing, tool, prefix, level + 1)
        found = (
            f"case when starts_with(cast({value} as varchar), '{{') then {inner} else {found} end"
        )
    entries = f"map_entries(cast({x} as map(varchar, json)))"
    return f"flatten(list_transform({entries}, lambda e{level}: {found}))"


def _amount(type_: str) -> str:
    chosen = f"lambda e: case when e.type = {literal(type_)} then e.amount end"
    return f"list_sum(list_transform(charges, {chosen}))"


def _currency(aggregate: str) -> str:
    chosen = "lambda e: case when e.amount is not null then e.currency end"
    return f"{aggregate}(list_transform(charges, {chosen}))"
