"""The facts that `drift` compares between two pulls: keys, values and their counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from tidyusage import catalogue
from tidyusage._utils.sql import FRAME, clauses, literal, quote
from tidyusage.engines import column_checks, frames
from tidyusage.engines import spark as sparks
from tidyusage.engines.query import Query, run_query
from tidyusage.layouts.convert_sql import COUNTS
from tidyusage.metrics._usage import INTEGER, TEXT
from tidyusage.prepare import _rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidyusage.engines.columns import Columns

PRODUCT: Final = "product.id"
TYPE: Final = "charges.type"
EXTRA: Final = "extra"
# Fields of few values, of which a new one says that something has changed.
VALUES: Final = (
    "metric_name",
    "model.id",
    "model.provider",
    "surface",
    "usage.unit",
    "charges.currency",
)
FACT: Final = {
    **dict.fromkeys(("product", "kind", "name", "value"), "varchar"),
    "seen": "bigint",
}
_AMOUNTS: Final = {f"charges.{type_}": type_ for type_ in catalogue.CHARGE_TYPES}
_IDENTITY: Final = ("id", PRODUCT)


@dataclass(frozen=True, slots=True)
class Facts:
    """A wide frame's columns with their Arrow types, by dotted name, and the SQL of its facts.

    A fact is a row of the columns `FACT`: so many records of a product (``seen``) have a key, or
    a value.
    """

    found: Columns
    types: dict[str, pa.DataType]

    @classmethod
    def of(cls, frame: object) -> Facts:
        """Look at a frame; raise if it is no wide one."""
        found = _rewrite.wide(frame)
        schema = _schema(frame)
        named = {**found.known, **{name: name for name in found.own}}
        return cls(found, {path: schema.field(name).type for path, name in named.items()})

    @property
    def needs(self) -> tuple[str, ...]:
        """The frame's columns that are read: all of them."""
        return (*self.found.known.values(), *self.found.own)

    def asked(self, frame: Any) -> list[tuple[Any, ...]]:
        """Return a frame's facts; a lazy one is collected, as far as they need it."""
        types = {name: INTEGER if name == "seen" else TEXT for name in FACT}
        sql = f"with {self.steps()}\nselect {', '.join(FACT)}\nfrom facts"
        table = frames.collected(run_query(frame, Query(sql, self.needs, types, {})))
        return [tuple(row[name] for name in FACT) for row in table.to_pylist()]

    def steps(self) -> str:
        """Return the steps to ``facts``."""
        product = quote(self.found.known[PRODUCT]) if PRODUCT in self.types else "null"
        counts = [f"count({self._there(name)}) as {quote(name)}" for name in self.types]
        dated = "count(start_date)" if self._is("start_date", "time") else "0"
        days = "date_diff('day', min(start_date), max(start_date)) + 1"
        span = f"select null, 'span', null, null, {days} from products" if dated != "0" else ""
        facts = "\n  union all ".join(filter(None, (*self._entries(), *self._values(), span)))
        named = [f"{quote(name)} as {quote(path)}" for path, name in self.found.known.items()]
        # Read anew by each step, of which each needs few columns; a copy would hold them all.
        return f"""products as not materialized (
  select cast({product} as varchar) as tu__product,
    {clauses([*named, *map(quote, self.found.own)])}
  from {FRAME}
),
sizes as (
  select tu__product, count(*) as tu__records, {dated} as tu__dated,
    {clauses(counts)}
  from products
  group by tu__product
),
facts(product, kind, name, value, seen) as (
  {facts}
)"""

    def _is(self, name: str, kind: str) -> bool:
        return name in self.types and _kind(self.types[name]) == kind

    def _there(self, name: str) -> str:
        """Return the SQL of a value that is null where there is nothing; an empty list is."""
        return f"nullif(len({quote(name)}), 0)" if self._is_list(name) else quote(name)

    def _is_list(self, name: str) -> bool:
        type_ = self.types.get(name)
        return type_ is not None and (pa.types.is_list(type_) or pa.types.is_large_list(type_))

    def _entries(self) -> Iterator[str]:
        """Yield the queries of how many records there are, and of how many have which column."""
        yield "select tu__product, 'records', null, null, tu__records from sizes"
        yield "select tu__product, 'dated', null, null, tu__dated from sizes"
        entries = [
            f"{{kind: {literal(kind)}, name: {literal(name)}, seen: {quote(name)}}}"
            for name in self.types
            if (kind := _kind_of(name))
        ]
        listed = f"unnest([\n    {clauses(entries)}\n  ])"
        yield f"""select tu__product, tu__e.kind, tu__e.name, null, tu__e.seen
  from (select tu__product, {listed} as tu__e from sizes)
  where tu__e.seen > 0"""

    def _values(self) -> Iterator[str]:
        """Yield the queries of which values there are, and which keys of open objects."""
        for name in VALUES:
            if name in self.types:
                yield _counted("value", literal(name), f"cast({quote(name)} as varchar)")
        if self._is_list("charges"):
            types = "list_transform(charges, lambda tu__e: tu__e.type)"
            yield _counted("value", literal(TYPE), _each(types))
        else:
            for name, type_ in _AMOUNTS.items():
                if name in self.types:
                    value = f"case when {quote(name)} is not null then {literal(type_)} end"
                    yield _counted("value", literal(TYPE), value)
        if self._is_list(COUNTS):
            metric = f"concat_ws('.', {literal(COUNTS)}, tu__e.tool, tu__e.action)"
            keys = f"list_transform({quote(COUNTS)}, lambda tu__e: {metric})"
            yield _counted("key", _each(keys), "null")
        if self._is(EXTRA, "text"):
            keys = f"json_keys(case when json_valid({EXTRA}) then cast({EXTRA} as json) end)"
            plain = r"regexp_replace(tu__k, '\[\d+\]', '[]', 'g')"
            yield _counted("key", _each(f"list_transform({keys}, lambda tu__k: {plain})"), "null")


def _kind_of(name: str) -> str:
    if name == EXTRA:
        return ""  # its keys are compared
    return "amount" if name in _AMOUNTS else "identity" if name in _IDENTITY else "column"


def _counted(kind: str, name: str, value: str) -> str:
    """Return the query of how many records have each name and value; null is none of them."""
    there = "name" if value == "null" else "value"
    return f"""select tu__product, '{kind}', name, value, count(*)
  from (select tu__product, {name} as name, {value} as value from products)
  where {there} is not null
  group by tu__product, name, value"""


def _each(items: str) -> str:
    """Return the SQL of a record's different items, one a row."""
    return f"unnest(list_distinct({items}))"


def dtypes(types: dict[str, pa.DataType]) -> dict[str, str]:
    """Return the names of columns' types, the same whatever library holds them."""
    return {name: named for name, type_ in types.items() if (named := _dtype(type_))}


def _dtype(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        return _dtype(type_.value_type)
    kind = _kind(type_)
    if kind == "time":
        has_zone = pa.types.is_timestamp(type_) and type_.tz is not None
        date = "date" if pa.types.is_date(type_) else "timestamp"
        return "timestamp with zone" if has_zone else date
    if kind == "list":
        return "list" if pa.types.is_list(type_) or pa.types.is_large_list(type_) else "struct"
    return {"text": "string", "": ""}.get(kind, str(type_))


def _kind(type_: pa.DataType) -> str:
    return column_checks.of_arrow(pa.schema([("x", type_)]))["x"]


def _schema(frame: Any) -> pa.Schema:
    """Return the Arrow types of a frame's columns; nothing lazy is collected."""
    backend = frames.backend_of(frame)
    if backend == "pyspark":
        return sparks.schema(frame)
    if backend == "duckdb":
        return cast("pa.Schema", frame.limit(0).to_arrow_table().schema)
    if backend == "polars":
        import polars as pl

        lazy = cast("pl.LazyFrame", frame).lazy()
        frame = pl.DataFrame(schema=lazy.collect_schema())
    return frames.to_arrow(frame).schema
