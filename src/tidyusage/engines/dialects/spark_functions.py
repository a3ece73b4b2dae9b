"""Spark's equivalents of DuckDB functions that sqlglot does not translate correctly."""

from __future__ import annotations

import re
from typing import Final

TO_INSTANT: Final = (
    "make_timestamp(year(:x), month(:x), day(:x), hour(:x), minute(:x), "
    "extract(second from :x), 'UTC')"
)
EPOCH: Final = "timestamp_ntz '1970-01-01 00:00:00'"
# Of an instant the time in UTC; what has no zone is in UTC already.
IN_UTC: Final = (
    "if(typeof(:x) = 'timestamp_ntz', cast(:x as timestamp_ntz), "
    f"timestampadd(microsecond, unix_micros(cast(:x as timestamp)), {EPOCH}))"
)
# sqlglot takes the length of a list for that of a text.
LENGTH: Final = re.compile(r"\blen\(")
SIZE: Final = "tu__size"
# What `tidyusage.io.spark.typed_sql` asks of text and of values with their types.
INSTANT: Final = "tu__instant"
NO_TEXT: Final = "tu__no_text"
MEMBERS: Final = "tu__members"
_OFFSET: Final = r"'([+-])(\\d\\d)(:?(\\d\\d))?$'"
# Zones of Java go up to 18 hours only, so that an offset is taken off by hand.
_MINUTES: Final = f"coalesce(try_cast(regexp_extract(:x, {_OFFSET}, 4) as int), 0)"
_AWAY: Final = (
    f"if(regexp_extract(:x, {_OFFSET}, 1) = '-', 1, -1) * "
    f"(60 * int(regexp_extract(:x, {_OFFSET}, 2)) + {_MINUTES})"
)
# Spark's cast wants seconds, which a text may go without.
_WHOLE: Final = r"regexp_replace(upper(:x), '^(.{10}[T ]\\d\\d:\\d\\d)(?!:)', '$1:00')"
_FROM_TEXT: Final = f"""case
  when length(:x) = 10 then try_cast(concat(:x, 'T00:00:00Z') as timestamp)
  when endswith(upper(:x), 'Z') then try_cast({_WHOLE} as timestamp)
  when regexp_like(:x, {_OFFSET}) then timestampadd(
    minute, {_AWAY}, try_cast(concat(regexp_replace({_WHOLE}, {_OFFSET}, ''), 'Z') as timestamp))
  else try_cast(concat({_WHOLE}, 'Z') as timestamp) end"""
# By a function that Spark does not have: its arguments, and what says the same there.
FUNCTIONS: Final = {
    SIZE: (("x",), "array_size(:x)"),
    "error": (("x",), "raise_error(:x)"),
    "isfinite": (("x",), "(abs(:x) < double('infinity'))"),
    "fsum": (("x",), "sum(:x)"),
    "list_bool_or": (("x",), "exists(:x, e -> e)"),
    "list_sum": (
        ("x",),
        "aggregate(:x, cast(null as double), (a, e) -> if(e is null, a, coalesce(a, 0D) + e))",
    ),
    "list_position": (("x", "y"), "array_position(:x, :y)"),
    "list_contains": (("x", "y"), "array_contains(:x, :y)"),
    "list_any_value": (("x",), "filter(:x, e -> e is not null)[0]"),
    INSTANT: (("x",), _FROM_TEXT),
    NO_TEXT: (("x",), "regexp_like(schema_of_variant(:x), '^(OBJECT|ARRAY|BOOLEAN)')"),
    MEMBERS: (("x",), "map_entries(from_json(:x, 'map<string, string>'))"),
    "strlen": (("x",), "octet_length(:x)"),
    "isoyear": (("x",), "extract(yearofweek from :x)"),
    "epoch_us": (("x",), f"unix_micros({TO_INSTANT})"),
    "list_unique": (
        ("x",),
        "array_size(array_distinct(filter(:x, e -> e is not null)))",
    ),
    "list_count": (("x",), "array_size(filter(:x, e -> e is not null))"),
    "list_slice": (("x", "y", "z"), "slice(:x, :y, :z - :y + 1)"),
    "try_strptime": (("x", "y"), "try_to_timestamp(:x, 'yyyyMMdd')"),
    "json_valid": (("x",), "(json_object_keys(:x) is not null)"),
}
# What is written of a number, as DuckDB writes it: at least one digit behind the point.
FIGURE: Final = (
    "regexp_replace(coalesce(cast(try_cast(:x as decimal(38, 6)) as string), cast(:x as string)), "
    "'([.][0-9]+?)0+$', '$1')"
)
# How often the most frequent item of a group is there.
MODE: Final = """aggregate(
    array_sort(collect_list(:x)),
    struct(cast(null as bigint) as last, 0 as run, 0 as most),
    (a, e) -> struct(
        cast(e as bigint) as last,
        if(e = a.last, a.run + 1, 1) as run,
        greatest(a.most, if(e = a.last, a.run + 1, 1)) as most
    ),
    a -> a.most
)"""
# Of a time the parts that stay; what is less than a day Spark's `trunc` makes null of.
CLOCKS: Final = {
    "hour": "hour(:x), 0, 0",
    "minute": "hour(:x), minute(:x), 0",
    "second": "hour(:x), minute(:x), second(:x)",
}
DAYS: Final = ("week", "month", "quarter", "year")
