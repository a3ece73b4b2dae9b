"""The exact query from nested records to wide rows; it marks faulty records.

The records come in raw: their leaves are still text or JSON (`tidyusage.schema.raw_columns`),
because DuckDB on its own reads true as the number 1.0, an object as text and "yes" as true.  The
query types each leaf and marks the rows that hold what the schema does not allow.  Columns are
dotted here; `tidyusage.schema.rename` spells them otherwise at the edge.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, cast

from tidyusage import catalogue
from tidyusage._utils.sql import clauses, literal, quote
from tidyusage._utils.timestamps import TIMESTAMP, timestamp_sql
from tidyusage.catalogue import CHARGE_TYPES, LISTS, Field, Tree
from tidyusage.io.json_text import RECORD_KEYS
from tidyusage.schema import RESULT

FAULT: Final = "fault"
FAULT_AT: Final = "fault_at"
# How deep tool_actions may nest: the tool, then up to three keys that make the action.
COUNT_LEVELS: Final = 4
# Vendors call an action a count or not.
ACTIONS: Final = {"accepted_count": "accepted", "rejected_count": "rejected"}

NAN: Final = "'nan'::double"
# What stands among the counts of ``tool_actions`` for what is none.
NO_COUNT: Final = f"[{{tool: null, action: null, count: {NAN}}}]"
# The first and last instant that pandas, Polars and Python can all hold.
_FIRST: Final = "timestamptz '0001-01-01 00:00:00+00'"
_LAST: Final = "timestamptz '9999-12-31 23:59:59.999999+00'"
COUNTS: Final = quote(catalogue.TOOL_ACTIONS.column)
_NESTED: Final = (*map(quote, LISTS), COUNTS)


@dataclass(frozen=True, slots=True)
class Exact:
    """The query that tells every faulty row from a good one; `tidyusage.io.diagnose` says why.

    Text comes in as JSON, so that a word is told from a flag and a number.
    """

    remote_data: bool
    currency: str | None
    nan_is_missing: bool
    source: bool = False

    text_type: ClassVar[str] = "JSON"
    # Columns of the source other than the record's own keys.
    beside: ClassVar[tuple[str, ...]] = (RESULT,)
    # What of that is a column of the answer.
    kept: ClassVar[tuple[str, ...]] = ()

    def query(self, source: str, *, explain: bool = False) -> str:
        """Return the query from raw records to wide, with a last column that marks faulty rows.

        With ``explain`` one more column names the field.
        """
        fields = [*catalogue.SCALARS, *([catalogue.REMOTE_DATA] if self.remote_data else [])]
        columns = [quote(field.column) for field in fields]
        marks = catalogue.SOURCE if self.source else ()
        fields = [*fields, *marks]
        typed = [_as(self.typed(field, member(field)), field.column) for field in fields]
        typed += [_as(self.typed_list(name), name) for name in LISTS]
        typed += [f"{self.typed_counts(member(catalogue.TOOL_ACTIONS))} as {COUNTS}"]
        keys = dict.fromkeys([*(field.keys[0] for field in fields), *LISTS, *self.beside])
        raw = [_as(f"raw.{quote(key)}", raw_name(key)) for key in keys]
        amounts = [_as(_amount(type_), f"charges.{type_}") for type_ in CHARGE_TYPES]
        nested = [_as(f"case when len({name}) > 0 then {name} end", name[1:-1]) for name in _NESTED]
        nested += [quote(field.column) for field in marks]
        nested += [_as(quote(raw_name(key)), key) for key in self.kept]
        at = f",\n    {self._fault_at()} as {FAULT_AT}" if explain else ""
        return f"""
with typed as not materialized (
  select
    {clauses([*typed, *raw])}
  from {source} as raw
)
select
    {clauses([*columns, *amounts, _as(currency("list_min"), "charges.currency"), *nested])},
    coalesce(
    {clauses((test for _, test in self.tests()), " or")},
    false) as {FAULT}{at}
from typed
"""

    def tests(self) -> Iterator[tuple[str, str]]:
        """Yield each place that may be faulty, with the test of the rows that are."""
        yield "$", self.wrong_record()
        for field in catalogue.SCALARS:
            yield field.path, self.wrong(field)
        for name in LISTS:
            yield name, self.wrong_list(name)
        yield "charges", self.wrong_charges()
        yield catalogue.TOOL_ACTIONS.path, self.wrong_counts()

    def wrong_record(self) -> str:
        """Return the test of an API page among records, by `json_text.is_page`."""
        result = f"cast({quote(raw_name(RESULT))} as varchar)"
        others = " and ".join(f"{quote(raw_name(key))} is null" for key in sorted(RECORD_KEYS))
        return f"(left({result}, 1) in ('[', '{{') and {others})"

    def _fault_at(self) -> str:
        """Return the path of the first faulty field, looked for in faulty rows alone."""
        tests = (f"when {test} then {literal(path)}" for path, test in self.tests())
        return f"case when {FAULT} then case {clauses(tests, '')} end end"

    def typed(self, field: Field, x: str) -> str:
        """Return a field's value of its raw one."""
        if field.dtype == "string":
            return self.text(x)
        if field.dtype == "number":
            return self.number(self.present(x))
        if field.dtype == "boolean":
            return f"(cast({x} as varchar) = 'true')"
        if field.dtype == "timestamp":
            return self.timestamp(x)
        return f"cast({x} as varchar)"

    def text(self, x: str) -> str:
        """Return the text of a raw value."""
        return f"({x} ->> '$')"

    def present(self, x: str) -> str:
        """Return a raw number, or null where it stands for a missing one."""
        return f"nullif({x}, 'NaN')" if self.nan_is_missing else x

    def timestamp(self, x: str) -> str:
        """Return the instant of a date's text; without a zone it is UTC, whatever the session's."""
        return timestamp_sql(x)

    def wrong(self, field: Field) -> str:
        """Return the test of a faulty value; it may be null where the value is."""
        x, typed = before(field), quote(field.column)
        if field.dtype == "number":
            return f"not coalesce(isfinite({typed}), {self.present(x)} is null)"
        if field.dtype == "boolean":
            return f"cast({x} as varchar) not in ('true', 'false')"
        if field.dtype == "timestamp":
            return (
                f"{self.wrong_date(x)} or ({typed} is null) <> ({x} is null)"
                f" or not ({typed} between {_FIRST} and {_LAST})"
            )
        no_text = self.wrong_text(self.looked(field))
        if field.kind == "key":
            return f"{x} is null or trim({typed}, ' ') = '' or {no_text}"
        return no_text

    def looked(self, field: Field) -> str:
        """Return where it can be seen whether a field's value is text."""
        return before(field)

    def wrong_text(self, x: str) -> str:
        """Return the test of what is no text."""
        # JSON that may stand for text begins with a quotation mark, a digit, or a minus and one.
        json = f"cast({x} as varchar)"
        # A number too large for a float stays as it was written; of integers only the text counts.
        is_infinite = (
            f"regexp_matches({json}, '^-?[0-9].*[.eE]') and isinf(try_cast({json} as double))"
        )
        return f"{json} >= ':' or ({json} >= '-:' and {json} < '.') or ({is_infinite})"

    def wrong_date(self, x: str) -> str:
        """Return the test of text that is not written as a date is."""
        return f"{x} < '0001' or not regexp_full_match({x}, {literal(TIMESTAMP)})"

    def typed_list(self, name: str) -> str:
        """Return a list with typed entries."""
        entry = self.entry(catalogue.entry(name), "e")
        return f"list_transform({self.entries(name)}, lambda e: {entry})"

    def entries(self, name: str) -> str:
        """Return the raw entries of a list; null and {} are none."""
        present = " or ".join(f"{member(field, 'e')} is not null" for field in LISTS[name])
        return f"list_filter(raw.{quote(name)}, lambda e: {present})"

    def entry(self, tree: Tree, holder: str) -> str:
        """Return a typed entry of a list, or an object within one."""
        members = []
        for key, child in tree.items():
            x = f"{holder}.{quote(key)}"
            if isinstance(child, Field):
                value = self.typed_member(child, x)
            else:
                child = cast("Tree", child)
                value = f"case when {self.holds(child, x)} then {self.entry(child, x)} end"
            members.append(f"{quote(key)}: {value}")
        return "{" + ", ".join(members) + "}"

    def holds(self, tree: Tree, x: str) -> str:
        """Return the test of an object that holds something."""
        return " or ".join(f"{x}.{quote(leaf)} is not null" for leaf in tree)

    def typed_member(self, field: Field, x: str) -> str:
        """Return the value of a field of a list's entry; what is no number is NaN."""
        typed = self.typed(field, x)
        if field.path == "charges[].currency":
            return f"coalesce(nullif(upper(trim({typed}, ' ')), ''), {literal(self.currency)})"
        if field.dtype == "number":
            return nan_if_wrong(typed, f"{self.present(x)} is not null")
        return typed

    def wrong_list(self, name: str) -> str:
        """Return the test of a list with an entry that is faulty."""
        texts = (member(field, "e") for field in LISTS[name] if field.dtype == "string")
        wrong = " or ".join(map(self.wrong_text, texts))
        return f"len(list_filter({quote(raw_name(name))}, lambda e: {wrong})) > 0"

    def wrong_charges(self) -> str:
        """Return the test of charges that cannot be one row."""
        # One sum finds what is no number (read as NaN), infinities, and amounts too large to add.
        size = "list_sum(list_transform(charges, lambda e: abs(e.amount)))"
        return f"not isfinite({size}) or {currency('list_min')} <> {currency('list_max')}"

    def typed_counts(self, x: str) -> str:
        """Return ``tool_actions`` as a list of tool, action and count; what is no count is NaN."""
        found = self.count_leaves(self.members(x))
        is_object = self.is_object(x)
        leaves = f"case when {is_object} then {found} when {x} is not null then {NO_COUNT} end"
        return f"list_filter({leaves}, lambda e: e.count is not null)"

    def is_object(self, x: str) -> str:
        """Return the test of a raw value that is an object."""
        return f"starts_with(cast({x} as varchar), '{{')"

    def members(self, x: str) -> str:
        """Return the raw values of an object with their keys, as a list."""
        return f"map_entries(cast({x} as map(varchar, json)))"

    def count_text(self, x: str) -> str:
        """Return the text of a raw value among the counts."""
        return f"({x} ->> '$')"

    def number(self, x: str) -> str:
        """Return the number that a text is, or null."""
        return f"case when not ({oddly_written(x)}) then try_cast({x} as double) end"

    def count_leaves(self, entries: str, tool: str = "", prefix: str = "", level: int = 0) -> str:
        """Return every leaf below an object's entries: first key = tool, the rest = action."""
        key, value = f"e{level}.key", f"e{level}.value"
        if level:
            action = f"{prefix}{renamed_action(key)}"
            prefix = f"{prefix}{key} || '.' || "
        else:
            tool, action = key, "null"
        text = self.count_text(value)
        count = nan_if_wrong(self.number(text), f"{self.present(text)} is not null")
        found = f"[{{tool: {tool}, action: {action}, count: {count}}}]"
        if level + 1 < COUNT_LEVELS:
            inner = self.count_leaves(self.members(value), tool, prefix, level + 1)
            found = f"case when {self.is_object(value)} then {inner} else {found} end"
        return f"flatten(list_transform({entries}, lambda e{level}: {found}))"

    def wrong_counts(self) -> str:
        """Return the test of ``tool_actions`` with what is no count."""
        return f"not isfinite(list_sum(list_transform({COUNTS}, lambda e: abs(e.count))))"


def oddly_written(x: str) -> str:
    """Return the test of text that DuckDB casts to a number although it is not written as one."""
    return f"contains({x}, '_') or contains({x}, '+-')"


def before(field: Field) -> str:
    """Return a field as it was before it was typed."""
    return raw_at(field.column)


def raw_at(path: str) -> str:
    """Return what stood at a dotted path before it was typed."""
    key, *inner = path.split(".")
    return ".".join([quote(raw_name(key)), *map(quote, inner)])


def renamed_action(key: str) -> str:
    """Return the name of an action of its key."""
    renamed = (f"when {literal(old)} then {literal(new)}" for old, new in ACTIONS.items())
    return f"case {key} {' '.join(renamed)} else {key} end"


def currency(aggregate: str) -> str:
    """Return the least or greatest currency of a record's amounts."""
    chosen = "lambda e: case when e.amount is not null then e.currency end"
    return f"{aggregate}(list_transform(charges, {chosen}))"


def raw_name(key: str) -> str:
    """Return the name under which a key's raw value goes with the typed ones."""
    return f"raw.{key}"


def _as(expression: str, name: str) -> str:
    return f"{expression} as {quote(name)}"


def member(field: Field, holder: str = "raw") -> str:
    """Return the raw value of a field of the record, or of a list's entry."""
    keys = field.keys[1:] if field.parent_list else field.keys
    return ".".join([holder, *map(quote, keys)])


def nan_if_wrong(number: str, present: str) -> str:
    """Return a number, NaN for what is there and is none."""
    return f"case when {present} then coalesce({number}, {NAN}) end"


def _amount(type_: str) -> str:
    chosen = f"lambda e: case when e.type = {literal(type_)} then e.amount end"
    return f"list_sum(list_transform(charges, {chosen}))"
