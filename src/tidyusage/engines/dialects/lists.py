"""SQL for the lists within a record, in DuckDB, PostgreSQL and Spark.

Lists of structs in DuckDB and Spark are jsonb in PostgreSQL.  What is made of them alone, such as
the greatest count of a record's tool actions, is a derived field: each dialect has its text, and
Polars, whose SQL has no lists of structs, brings it as a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.sql import literal, quote

if TYPE_CHECKING:
    import polars as pl

MOST: Final = "tu__most"
ACCEPTED: Final = "tu__accepted"
REJECTED: Final = "tu__rejected"
DERIVED: Final = (MOST, ACCEPTED, REJECTED)
_ACTIONS: Final = {ACCEPTED: ("accepted", "rejected"), REJECTED: ("rejected", "accepted")}


class Lists:
    """DuckDB's lists."""

    def unnested(self, rows: str, entries: str, name: str) -> str:
        """Return the SQL of rows, one for each entry, and one with null where there is none."""
        present = f"case when len({entries}) > 0 then {entries} else [null] end"
        return f"(select *, unnest({present}) as {name} from {rows}) as tu__rows"

    def length(self, entries: str) -> str:
        """Return the SQL of how many entries there are."""
        return f"len({entries})"

    def member(self, entry: str, *path: str) -> str:
        """Return the SQL of a text inside an entry."""
        return ".".join([entry, *map(quote, path)])

    def number(self, entry: str, name: str) -> str:
        """Return the SQL of a number inside an entry."""
        return self.member(entry, name)

    def count(self, entry: str) -> str:
        """Return the SQL of a tool action's count."""
        return self.number(entry, "count")

    def tools(self, counts: str) -> str:
        """Return the SQL of the tools of a list of actions, each once; a list itself."""
        return f"list_distinct(list_transform({counts}, lambda tu__e: tu__e.tool))"

    def tool(self, entry: str) -> str:
        """Return the SQL of an entry of `tools`."""
        return entry

    def derived(self, name: str, counts: str, tool: str = "") -> str:
        """Return the SQL of a derived field: of a record, or of one of its tools."""
        if name == MOST:
            return f"list_max(list_transform({counts}, lambda tu__e: tu__e.count))"
        wanted, other = _ACTIONS[name]
        if tool:
            counts = f"list_filter({counts}, lambda tu__e: tu__e.tool = {tool})"
        paired = f"list_transform({_those(counts, other)}, lambda tu__e: tu__e.tool)"
        is_paired = f"lambda tu__f: list_contains({paired}, tu__f.tool)"
        return self._sum(f"list_filter({_those(counts, wanted)}, {is_paired})")

    def _sum(self, counts: str) -> str:
        return f"list_sum(list_transform({counts}, lambda tu__e: tu__e.count))"


class Spark(Lists):
    """Spark's arrays, as far as sqlglot does not turn DuckDB's lists into them."""

    def unnested(self, rows: str, entries: str, name: str) -> str:
        """Return the SQL of rows, one for each entry, and one with null where there is none."""
        return f"(select *, explode_outer({entries}) as {name} from {rows}) as tu__rows"

    def length(self, entries: str) -> str:
        """Return the SQL of how many entries there are."""
        return f"size({entries})"

    def tools(self, counts: str) -> str:
        """Return the SQL of the tools of a list of actions, each once; a list itself."""
        return f"array_distinct(list_transform({counts}, lambda tu__e: tu__e.tool))"

    def _sum(self, counts: str) -> str:
        added = "lambda tu__a, tu__e: coalesce(tu__a, 0e0) + tu__e.count"
        return f"aggregate({counts}, cast(null as double), {added})"


class Postgres(Lists):
    """PostgreSQL's arrays of jsonb."""

    def unnested(self, rows: str, entries: str, name: str) -> str:
        """Return the SQL of rows, one for each entry, and one with null where there is none."""
        each = f"jsonb_array_elements({_array(entries)}) as tu__each({name})"
        return f"(select * from {rows} left join lateral {each} on true) as tu__rows"

    def length(self, entries: str) -> str:
        """Return the SQL of how many entries there are."""
        return f"jsonb_array_length({_array(entries)})"

    def member(self, entry: str, *path: str) -> str:
        """Return the SQL of a text inside an entry."""
        return f"jsonb_extract_path_text({entry}, {', '.join(map(literal, path))})"

    def number(self, entry: str, name: str) -> str:
        """Return the SQL of a number inside an entry."""
        return f"cast({self.member(entry, name)} as double)"

    def tools(self, counts: str) -> str:
        """Return the SQL of the tools of a list of actions, each once; a list itself."""
        each = f"jsonb_array_elements({_array(counts)}) as tu__t(tu__e)"
        name = self.member("tu__e", "tool")
        found = f"jsonb_agg(distinct jsonb_build_object('tool', {name}))"
        return f"(select {found} from {each} where {name} is not null)"

    def tool(self, entry: str) -> str:
        """Return the SQL of an entry of `tools`."""
        return self.member(entry, "tool")

    def derived(self, name: str, counts: str, tool: str = "") -> str:
        """Return the SQL of a derived field: of a record, or of one of its tools."""
        each = f"jsonb_array_elements({_array(counts)})"
        if name == MOST:
            return f"(select max({self.count('tu__e')}) from {each} as tu__t(tu__e))"
        wanted, other = _ACTIONS[name]
        is_pair = (
            f"{self.member('tu__f', 'tool')} = {self.member('tu__e', 'tool')}"
            f" and {self.member('tu__f', 'action')} = {literal(other)}"
            f" and {self.count('tu__f')} is not null"
        )
        of_tool = f" and {self.member('tu__e', 'tool')} = {tool}" if tool else ""
        return (
            f"(select sum({self.count('tu__e')}) from {each} as tu__t(tu__e)"
            f" where {self.member('tu__e', 'action')} = {literal(wanted)}{of_tool}"
            f" and exists (select 1 from {each} as tu__u(tu__f) where {is_pair}))"
        )


class Brought(Lists):
    """Derived fields that stand in the frame already."""

    def derived(self, name: str, counts: str, tool: str = "") -> str:  # noqa: ARG002 - as the others
        """Return the SQL of a derived field."""
        return quote(name)


DIALECTS: Final[dict[str, Lists]] = {"spark": Spark(), "postgres": Postgres()}
DUCKDB: Final = Lists()
BROUGHT: Final = Brought()


def brought(frame: pl.LazyFrame, counts: str, names: tuple[str, ...]) -> pl.LazyFrame:
    """Add derived fields to a Polars frame."""
    import polars as pl

    if MOST in names:
        most = pl.col(counts).list.eval(pl.element().struct.field("count")).list.max()
        frame = frame.with_columns(most.alias(MOST))
    if not {ACCEPTED, REJECTED} & set(names):
        return frame
    row = "tu__row"
    entries = (
        frame.select(counts)
        .with_row_index(row)
        .filter(pl.col(counts).list.len() > 0)
        .explode(counts)
        .unnest(counts)
        .filter(pl.col("count").is_not_null(), pl.col("tool").is_not_null())
    )
    pairs = entries.group_by(row, "tool").agg(*_pair(ACCEPTED), *_pair(REJECTED))
    both = pairs.filter(pl.col(f"{ACCEPTED}_is"), pl.col(f"{REJECTED}_is"))
    sums = both.group_by(row).agg(pl.col(ACCEPTED, REJECTED).sum())
    return frame.with_row_index(row).join(sums, on=row, how="left", maintain_order="left").drop(row)


def _pair(name: str) -> tuple[Any, Any]:
    import polars as pl

    is_it = pl.col("action") == _ACTIONS[name][0]
    return pl.col("count").filter(is_it).sum().alias(name), is_it.any().alias(f"{name}_is")


def _those(counts: str, action: str) -> str:
    is_it = f"tu__e.action = {literal(action)} and tu__e.count is not null"
    return f"list_filter({counts}, lambda tu__e: {is_it})"


def _array(entries: str) -> str:
    """Return the SQL of jsonb if it is an array, else null: JSON's null is no SQL null."""
    return f"case when jsonb_typeof({entries}) = 'array' then {entries} end"
