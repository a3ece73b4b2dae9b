"""`restore`: give frames from CSV, Excel, Parquet or a database the catalogue's dtypes.

Each column is converted by one SQL expression, which depends on the type the column has now.  It
follows the rules of reading: what `read_usage` would reject raises here, with column and value.
"""

from __future__ import annotations

import ast
import json
import math
import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

import pyarrow as pa

from tidyusage import schema
from tidyusage._utils import connections, json_lines
from tidyusage._utils.sql import FRAME, clauses, literal, quote, values
from tidyusage._utils.timestamps import TIMESTAMP, timestamp_sql
from tidyusage.engines import frames
from tidyusage.engines import spark as sparks
from tidyusage.engines.columns import Columns, columns, types, with_own
from tidyusage.engines.dialects.spark_functions import INSTANT
from tidyusage.errors import FrameError, UnknownKeyWarning, known_options, named, warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidyusage.typing import FrameT, Separator


@known_options
def restore(frame: FrameT, *, sep: Separator = ".") -> FrameT:
    """Give a frame that came back from CSV, Excel, Parquet or a database the catalogue's dtypes.

    Parameters
    ----------
    frame
        A frame of any layout and library.  Its columns may be text, numbers where text belongs
        and the other way round, dates with or without a time zone (UTC then), 0 and 1 for flags,
        and lists as JSON or as Python prints them.
    sep
        Separator of the answer's column names: "." or "_".

    Returns
    -------
    frame
        Of the same library, with the same columns and rows in the same order, in the catalogue's
        dtypes; a pandas frame keeps its index.  Empty text becomes null, and so does NaN.  Your
        own columns stay as they are.

        Ids and names are never changed: a float such as 12.0 in a text column, as `read_csv` makes
        of ids beside an empty cell, becomes "12" again.

    Raises
    ------
    FrameError
        If the frame is not a usage frame, or a value is one that reading would reject: not a
        number, infinite, true or false where a number belongs, not a date, not a list of entries.
        Also if a text column holds floats whose digits are lost (2**53 and above, or with
        decimals): read the file again with `dtype=str`.

    Warns
    -----
    UnknownKeyWarning
        If entries of `charges`, `resources` or `usage.code.tool_actions` have keys that the schema
        does not know, which are dropped.  A DuckDB relation raises when it is run instead.

    Notes
    -----
    Zeros at the start of an id are gone once a CSV reader has made numbers of "007", and nothing
    shows that they were there.  `dtype=str` keeps them.

    Examples
    --------
    >>> import io
    >>> import pandas as pd
    >>> import tidyusage as tu
    >>> text = tu.load_example(sep="_").to_csv(index=False)
    >>> back = tu.restore(pd.read_csv(io.StringIO(text)))
    >>> back["start_date"].dtype, back["usage.activity.is_active"].dtype
    (datetime64[us, UTC], BooleanDtype)
    """
    found = columns(frame)
    typed = with_own({name: types()[name] for name in found.known}, found)
    dotted = {actual: name for name, actual in found.known.items()}
    names = [dotted.get(name, name) for name in frames.columns(frame)]
    wanted = {name: typed[name] for name in names}
    try:
        if frames.backend_of(frame) == "pyspark":
            return cast("FrameT", _of_spark(frame, found, wanted, sep))
        if frames.backend_of(frame) == "duckdb":
            return cast("FrameT", _of_relation(frame, found, wanted, sep))
        if frames.is_lazy(frame):
            return cast(
                "FrameT",
                frames.map_lazily(frame, lambda eager: restore(eager, sep=sep), wanted, sep),
            )
        return cast("FrameT", _of_eager(frame, found, wanted, sep))
    except frames.refusals() as error:
        raise _refusal(error) from error


def _refusal(error: Exception) -> FrameError:
    fact, _, hint = frames.message(error).partition(_HINT)
    return FrameError(fact, hint or "Correct or drop the value.")


# Separates the fact from the hint in an error that SQL raises.
_HINT: Final = " — "
_AS_TEXT: Final = (
    "Read the file again with this column as text, as in pd.read_csv(path, dtype=str)."
)
_LOST: Final = ", a float: digits of what it was before may be lost"


# Eager frames, relations, Spark ------------------------------------------------------------------


def _of_eager(frame: Any, found: Columns, wanted: frames.Types, sep: Separator) -> Any:
    """Convert the known columns in DuckDB.  The caller's own columns never leave the frame."""
    backend = cast("Any", frames.backend_of(frame))
    frame = frames.to_arrow(frame) if backend == "pyarrow" else frame
    table = frames.readable(_with_json(_arrow_table(frame, found.known), found))
    ours = {name: wanted[name] for name in found.known}
    with connections.connect(few=frames.is_few(table), form=backend) as connection:
        frames.prepare(connection, backend)
        connection.register(FRAME, table)
        relation = connection.sql(f"from {FRAME} limit 0")
        given = dict(zip(relation.columns, map(str, relation.types), strict=True))
        sources = [Source(name, actual, given[actual]) for name, actual in found.known.items()]
        for source in sources:
            if source.is_parsed:
                strangers = connection.execute(source.unknown_keys_sql()).fetchall()
                _warn_of_unknown_keys(source, strangers)
        answer = frames.ask(connection, table, lambda rows: _query(sources, (), rows))
    made = frames.deliver(frames.finish(answer, ours, sep), backend)
    own = {name for name in wanted if name not in found.known}
    return _beside(made, frame, {schema.rename(name, sep): name in own for name in wanted})


def _beside(made: Any, frame: Any, is_own: Mapping[str, bool]) -> Any:
    """Return the converted columns and the caller's own in one frame, with the caller's index."""
    backend = frames.backend_of(frame)
    if backend == "pandas":
        import pandas as pd

        made.index = frame.index
        if not any(is_own.values()):
            return made
        columns_ = {name: (frame if own else made)[name] for name, own in is_own.items()}
        return pd.DataFrame(columns_, index=frame.index, copy=False)
    if backend == "polars":
        return made.with_columns(frame[name] for name, own in is_own.items() if own).select(
            list(is_own)
        )
    return pa.table({name: (frame if own else made)[name] for name, own in is_own.items()})


def _of_relation(frame: Any, found: Columns, wanted: frames.Types, sep: Separator) -> Any:
    given = dict(zip(frame.columns, map(str, frame.types), strict=True))
    sources = [
        Source(name, actual, given[actual], raises=True) for name, actual in found.known.items()
    ]
    return frames.spelled(frames.queried(frame, _query(sources, found.own, FRAME)), wanted, sep)


def _of_spark(frame: Any, found: Columns, wanted: frames.Types, sep: Separator) -> Any:
    given = sparks.types(frame)
    for name, actual in found.known.items():
        if pa.types.is_nested(types()[name]) and given[actual] == "string":
            raise FrameError(
                f"The column {actual!r} holds text, and lists belong there.",
                "Convert it with Spark's from_json(column, schema), or keep the frame in Parquet.",
            )
    sources = [
        Source(name, actual, _duckdb_type(given[actual]), is_spark=True)
        for name, actual in found.known.items()
    ]

    def query(rows: str) -> str:
        return _query(sources, found.own, rows)

    return frames.run(frame, query, wanted, sep)


def _duckdb_type(spark_type: str) -> str:
    names = {
        "string": "VARCHAR",
        "boolean": "BOOLEAN",
        "tinyint": "TINYINT",
        "smallint": "SMALLINT",
        "int": "INTEGER",
        "bigint": "BIGINT",
        "float": "FLOAT",
        "double": "DOUBLE",
        "timestamp": _INSTANT,
        "timestamp_ntz": "TIMESTAMP",
        "date": "DATE",
        "void": "NULL",
    }
    return names.get(spark_type, spark_type.upper())


def _query(sources: Iterable[Source], own: Iterable[str], rows: str) -> str:
    parts = [f"{source.sql()} as {quote(source.name)}" for source in sources]
    parsed = [f"{source.json_sql()} as {source.json}" for source in sources if source.is_parsed]
    return f"""with parsed as (
  select
    {clauses(["*", *parsed])}
  from {rows}
)
select
    {clauses([*parts, *map(quote, own)])}
from parsed"""


# Values that Arrow has no type for ---------------------------------------------------------------


def _arrow_table(frame: Any, known: Mapping[str, str]) -> pa.Table:
    """Return the known columns as Arrow; columns of Python objects that Arrow refuses as text."""
    names = list(known.values())
    try:
        return frames.to_arrow(frame[names] if hasattr(frame, "loc") else frame.select(names))
    except (*frames.UNTYPED, OverflowError):
        columns_ = {actual: _arrow_column(frame, name, actual) for name, actual in known.items()}
        return pa.table(columns_)


def _arrow_column(frame: Any, name: str, actual: str) -> Any:
    try:
        one = frame[[actual]] if hasattr(frame, "loc") else frame.select([actual])
        return frames.to_arrow(one)[actual]
    except (*frames.UNTYPED, OverflowError):
        found = frame[actual]
        if getattr(found.dtype, "kind", "O") != "O":
            raise FrameError(
                f"The column {actual!r} holds {found.dtype}, which cannot be read.",
                "Convert it to text or numbers first, or drop it.",
            ) from None
        return pa.array([_text(value, name, actual) for value in found.to_list()], pa.string())


def _text(value: Any, name: str, actual: str) -> str | None:
    """Return a Python object as text that the column's type is parsed from."""
    type_ = types()[name]
    value = value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
    is_nan = isinstance(value, float | Decimal) and value != value  # noqa: PLR0124
    if value is None or is_nan or repr(value) in {"NaT", "<NA>"}:
        return None
    if isinstance(value, str):
        return value
    if pa.types.is_nested(type_):
        return json_lines.lines([value])[0].decode()
    if isinstance(value, date) and pa.types.is_timestamp(type_):
        return value.isoformat()
    if type_ != pa.string() and isinstance(value, bool | int | float | Decimal):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, int | UUID) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float | Decimal):
        is_exact = math.isfinite(value) and value == int(value)
        if is_exact and (isinstance(value, Decimal) or abs(value) < _EXACT["DOUBLE"]):
            return str(int(value))
        raise FrameError(f"The column {actual!r} holds {value}{_LOST}.", _AS_TEXT)
    kind = type(value).__name__
    raise FrameError(
        f"The column {actual!r} holds {value!r:.80} ({kind}), and {_KINDS[type_]} belongs there.",
        "Correct or drop the value.",
    )


def _with_json(table: pa.Table, found: Columns) -> pa.Table:
    """Return a table in which lists that only Python can read are JSON."""
    from pyarrow import compute as pc

    for name, actual in found.known.items():
        column: Any = table[actual].combine_chunks()
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if not (is_text and pa.types.is_nested(types()[name])):
            continue
        is_odd: Any = pc.and_(
            pc.match_substring(column, "'"), pc.match_substring_regex(column, _ODD)
        )
        is_odd = is_odd.fill_null(pa.scalar(value=False))
        read = {text: _json(str(text)) for text in column.filter(is_odd).unique().to_pylist()}
        odd = pa.array(map(read.get, column.filter(is_odd).to_pylist()), column.type)
        column = pc.replace_with_mask(column, is_odd, odd)
        table = table.set_column(table.column_names.index(actual), actual, column)
    return table


# Signs by which a list that Python printed cannot be turned into JSON by patterns alone.
_ODD: Final = r'["\\]|[\[,]\s*None'
# Strings as Python prints them, a gap between two entries, and NaN.
_PRINTED: Final = re.compile(
    r"""(?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?P<gap>\}\s+\{)|\bnan\b""", re.DOTALL
)


def _json(text: str) -> str:
    """Return a list that Python printed as JSON; other text as it is."""
    try:
        json.loads(text)
    except ValueError:
        plain = _PRINTED.sub(lambda m: m["text"] or ("}, {" if m["gap"] else "None"), text)
        try:
            return json_lines.lines([ast.literal_eval(plain)])[0].decode()
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return text
    return text


# One column as SQL -------------------------------------------------------------------------------

_INSTANT: Final = "TIMESTAMP WITH TIME ZONE"
_NULL: Final = ("NULL", '"NULL"')
_WHOLE: Final = re.compile("U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?")
_DECIMAL: Final = re.compile(r"DECIMAL\(\d+, ?(\d+)\)")
# Below these, floats of a type hold every whole number.
_EXACT: Final = {"DOUBLE": 2**53, "FLOAT": 2**24}
_KINDS: Final = {
    pa.string(): "text",
    pa.float64(): "a number",
    pa.int64(): "a whole number",
    pa.bool_(): "a boolean",
    schema.ARROW["timestamp"]: "a date",
}
# BigQuery writes `2026-01-31 08:00:00 UTC`, Snowflake `2026-01-31 08:00:00.000 -0800`.
_ZONE_APART: Final = r" +(UTC|Z|[+-]\d\d:?\d\d)$"
_NUMERIC: Final = r"-?\d+(\.\d*)?"
# How many digits a count since 1970 has, by its unit, for dates from 2001 to 2286.
_EPOCHS: Final = {10: "s", 13: "ms", 16: "us", 19: "ns"}


@dataclass(frozen=True, slots=True)
class Source:
    """A known column: its dotted name, its name in the frame, and its type as DuckDB writes it.

    A relation cannot warn, so unknown keys of entries raise there.
    """

    name: str
    actual: str
    given: str
    raises: bool = False
    is_spark: bool = False

    @property
    def column(self) -> str:
        """The column's quoted name in the frame."""
        return quote(self.actual)

    @property
    def is_text(self) -> bool:
        """Whether the column holds text or categories."""
        return self.given == "VARCHAR" or self.given.startswith("ENUM")

    def sql(self) -> str:
        """Return the column in the type that the catalogue has for it."""
        type_ = types()[self.name]
        if self.given in _NULL:
            return f"cast(null as {schema.duckdb_type(type_)})"
        if pa.types.is_nested(type_):
            return self.list_sql()
        if type_ == schema.ARROW["timestamp"]:
            return self.timestamp_sql()
        if type_ == pa.bool_():
            return self.boolean_sql()
        if type_ == pa.string():
            return self.text_sql()
        return self.number_sql(is_whole=type_ == pa.int64())

    # Text

    def text_sql(self) -> str:
        """Return the SQL of text; numbers must be whole and exact, so that ids are not changed."""
        x = self.column
        if self.is_text:
            text = f"nullif(cast({x} as varchar), '')"
            return f"upper(trim({text}))" if self.name == "charges.currency" else text
        if self.name in {"remote_data", "extra"}:
            return f"cast(to_json({x}) as varchar)"
        if self.given == "JSON":
            return _text_of_json(x, self._is_lost(), self._is_not("text"))
        decimal = _DECIMAL.fullmatch(self.given)
        if _WHOLE.fullmatch(self.given) or (decimal and decimal[1] == "0"):
            return f"cast({x} as varchar)"
        if decimal:
            return (
                f"case when {x} = trunc({x}) "
                f"then cast(cast(trunc({x}) as decimal(38, 0)) as varchar) "
                f"when {x} is not null then {self._is_lost()} end"
            )
        if exact := _EXACT.get(self.given):
            return (
                f"case when {x} is null or isnan({x}) then null "
                f"when abs({x}) < {exact} and {x} = floor({x}) "
                f"then cast(cast({x} as bigint) as varchar) else {self._is_lost()} end"
            )
        return f"case when {x} is not null then {self._is_not('text')} end"

    def _is_lost(self) -> str:
        fact = f"The column {self.actual!r} holds "
        return _raise_sql(fact, f"cast({self.column} as varchar)", _LOST, _AS_TEXT)

    def _is_not(self, kind: str, value: str = "", hint: str = "") -> str:
        value = value or f"cast({self.column} as varchar)"
        return _raise_sql(
            f"The column {self.actual!r} holds ", value, f", which is not {kind}", hint
        )

    # Numbers and flags

    def number_sql(self, *, is_whole: bool) -> str:
        """Return the SQL of a finite number, or of a whole one; NaN is null."""
        x, kind = self.column, "a whole number" if is_whole else "a number"
        type_ = "bigint" if is_whole else "double"
        if self.given == "BOOLEAN" or not (
            self._is_numeric or self.is_text or self.given == "JSON"
        ):
            return f"case when {x} is not null then {self._is_not(kind)} end"
        value = x
        if self.given == "JSON":
            x = f"({x} ->> '$')"
        if not self._is_numeric:
            x = f"nullif(cast({x} as varchar), '')"
            value = f"try_cast({x} as double)"
        valid = f"isfinite(cast({value} as double))"
        if is_whole:
            valid += f" and cast({value} as double) = floor(cast({value} as double))"
        absent = f"{x} is null or isnan(cast({value} as double))"
        wrong = self._is_not(kind, f"cast({x} as varchar)")
        return (
            f"case when {absent} then null when {valid} then cast({x} as {type_}) else {wrong} end"
        )

    @property
    def _is_numeric(self) -> bool:
        given = self.given
        return bool(given in _EXACT or _WHOLE.fullmatch(given) or _DECIMAL.fullmatch(given))

    def boolean_sql(self) -> str:
        """Return the SQL of a flag, which may be written as 0 and 1."""
        x = self.column
        if self.given == "BOOLEAN":
            return x
        text = f"nullif(lower(cast({x} as varchar)), '')"
        if self._is_numeric:
            text = f"case when {x} = 1 then '1' when {x} = 0 then '0' else {text} end"
        return (
            f"case when {text} in ('true', 't', '1', '1.0') then true "
            f"when {text} in ('false', 'f', '0', '0.0') then false "
            f"when {text} is not null and {text} <> 'nan' then {self._is_not('a boolean')} end"
        )

    # Dates

    def timestamp_sql(self) -> str:
        """Return the SQL of an instant; dates without a time zone are UTC."""
        x = self.column
        if self.given == _INSTANT:
            # Cast to text, it would be that of the session's zone.
            if self.is_spark:
                return x
            return (
                f"case when {x} is null or isfinite({x}) then {x} else {self._is_not_a_date(x)} end"
            )
        text = f"nullif(cast({x} as varchar), '')"
        time = f"regexp_replace({text}, {literal(_ZONE_APART)}, '')"
        zone = f"replace(replace(substr({text}, length({time}) + 1), ' ', ''), 'UTC', 'Z')"
        plain = f"({time} || {zone})"
        value = f"{INSTANT}({plain})" if self.is_spark else timestamp_sql(plain)
        valid = f"{plain} >= '0001' and regexp_full_match({plain}, {literal(TIMESTAMP)})"
        return (
            f"case when {text} is null then null when {valid} and ({value}) is not null "
            f"then {value} else {self._is_not_a_date(text)} end"
        )

    def _is_not_a_date(self, x: str) -> str:
        x = f"cast({x} as varchar)"
        digits = f"length(regexp_replace({x}, '\\..*$', ''))"
        epochs = (
            f"when {digits} = {n} then {literal(_epoch(unit))}" for n, unit in _EPOCHS.items()
        )
        is_count = f"regexp_full_match({x}, {literal(_NUMERIC)})"
        dates = literal(_DATES)
        hint = f"case when not {is_count} then {dates} {' '.join(epochs)} else {dates} end"
        return _raise_sql(
            f"The column {self.actual!r} holds ", x, ", which is not a date", hint, is_sql=True
        )

    # Lists

    def list_sql(self) -> str:
        """Return the SQL of a list of entries; an empty list is null."""
        type_ = types()[self.name]
        written = schema.duckdb_type(type_)
        x = self.column
        if self.is_spark:
            return f"cast({x} as {written})"
        entries = self._entries_sql(_tree(type_))
        if not self._is_typed:
            return entries
        number = {"charges": "amount", "usage.code.tool_actions": "count"}.get(self.name)
        if number is None:
            return f"case when len({x}) > 0 then {x} end"
        odd = f"len(list_filter({x}, lambda tu__e: not isfinite(tu__e.{number}))) > 0"
        return f"case when {odd} then {entries} when len({x}) > 0 then {x} end"

    @property
    def _is_typed(self) -> bool:
        def plain(written: str) -> str:
            return re.sub(r'["\s]', "", written).lower()

        return plain(self.given) == plain(schema.duckdb_type(types()[self.name]))

    def unknown_keys_sql(self) -> str:
        """Return the query of the keys of entries that the schema does not know, with counts."""
        type_ = types()[self.name]
        keys = f"list_transform({self._items_sql()}, lambda tu__e: {_unknown_sql(_tree(type_))})"
        return f"""with parsed as (
  select {self.json_sql()} as {self.json}
  from {FRAME}
),
strangers as (
  select unnest(flatten({keys})) as tu__key
  from parsed
)
select tu__key, count(*) as seen
from strangers
group by tu__key
order by seen desc, tu__key"""

    @property
    def is_parsed(self) -> bool:
        """Tell whether the column holds lists in another type than the catalogue's."""
        is_list = pa.types.is_nested(types()[self.name]) and self.given not in _NULL
        return is_list and not self.is_spark and not self._is_typed

    @property
    def json(self) -> str:
        """The column as JSON, which a step before has made of text or of another type."""
        return quote(f"tu__json_{self.name}") if self.is_parsed else f"to_json({self.column})"

    def json_sql(self) -> str:
        """Return the SQL of JSON; text may be JSON already, or lists as Python prints them."""
        x = self.column
        if self.given == "JSON":
            return x
        if not self.is_text:
            return f"to_json({x})"
        text = f"nullif(trim(cast({x} as varchar)), '')"
        python = text
        for pattern, new in _PYTHON.items():
            python = f"regexp_replace({python}, {literal(pattern)}, {literal(new)}, 'g')"
        python = f"replace({python}, '''', '\"')"
        wrong = self._is_not("a list of entries", text, _LISTS)
        return (
            f"case when lower({text}) in ('nan', 'none', '<na>') then null "
            f"when json_valid({text}) then cast({text} as json) "
            f"when strpos({text}, '\"') = 0 and strpos({text}, '\\') = 0 and json_valid({python}) "
            f"then cast({python} as json) when {text} is not null then cast({wrong} as json) end"
        )

    def _items_sql(self) -> str:
        """Return the column as a list of JSON values."""
        x = self.json
        wrong = self._is_not("a list of entries", f"cast({x} as varchar)", _LISTS)
        is_none = f"json_type({x}) = 'NULL' or cast({x} as varchar) = '{{}}'"
        return (
            f"case when {x} is null or {is_none} then null when json_type({x}) = 'ARRAY' "
            f"then from_json({x}, '[\"JSON\"]') else cast({wrong} as json[]) end"
        )

    def _entries_sql(self, tree: Mapping[str, Any]) -> str:
        guard = ""
        if self.raises:
            unknown = _unknown_sql(tree)
            dropped = _raise_sql(
                f"The column {self.actual!r} has entries with the key ",
                f"({unknown})[1]",
                ", which the schema does not know",
                "restore() drops such keys with a warning, which a relation cannot give: convert "
                "it first, with relation.to_arrow_table().",
            )
            guard = f"when len({unknown}) > 0 then {dropped} "
        wrong = self._is_not("a list of entries", "cast(tu__e as varchar)", _LISTS)
        entry = (
            f"case when tu__e is null or json_type(tu__e) = 'NULL' then null "
            f"when json_type(tu__e) <> 'OBJECT' then {wrong} {guard}"
            f"else {self._struct_sql(tree, 'tu__e')} end"
        )
        made = f"list_transform({self._items_sql()}, lambda tu__e: {entry})"
        present = " or ".join(f"tu__e.{quote(key)} is not null" for key in tree)
        return f"nullif(list_filter({made}, lambda tu__e: {present}), [])"

    def _struct_sql(self, tree: Mapping[str, Any], x: str, path: str = "") -> str:
        members = (
            f"{quote(key)}: {self._member_sql(inner, f'({x} -> {literal(key)})', path + key)}"
            for key, inner in tree.items()
        )
        return "{" + ", ".join(members) + "}"

    def _member_sql(self, inner: Any, x: str, path: str) -> str:
        place = f"The column {self.actual!r} holds an entry whose {path} is "

        def raises(kind: str) -> str:
            return _raise_sql(place, f"cast({x} as varchar)", f", which is not {kind}")

        type_ = f"coalesce(json_type({x}), 'NULL')"
        if isinstance(inner, dict):
            present = " or ".join(f"json_type({x} -> {literal(key)}) <> 'NULL'" for key in inner)
            return (
                f"case when {type_} = 'NULL' then null when {type_} <> 'OBJECT' then "
                f"{raises('an object')} when {present} "
                f"then {self._struct_sql(inner, x, path + '.')} end"
            )
        text = f"({x} ->> '$')"
        if inner == pa.string():
            lost = _raise_sql(place, f"cast({x} as varchar)", _LOST, _AS_TEXT)
            found = _text_of_json(x, lost, raises("text"))
            return f"upper(trim({found}))" if path == "currency" else found
        number = f"try_cast({text} as double)"
        return (
            f"case when {type_} = 'NULL' or isnan({number}) or {text} = '' then null "
            f"when {type_} <> 'BOOLEAN' and isfinite({number}) then {number} "
            f"else {raises('a number')} end"
        )


def _text_of_json(x: str, lost: str, wrong: str) -> str:
    """Return the text of a JSON value, where numbers are whole: floats may have lost digits."""
    type_ = f"coalesce(json_type({x}), 'NULL')"
    text = f"({x} ->> '$')"
    number = f"try_cast({text} as double)"
    return (
        f"case when {type_} = 'NULL' then null when {type_} = 'VARCHAR' "
        f"or regexp_full_match({text}, '-?\\d+') then {text} when {type_} <> 'DOUBLE' then {wrong} "
        f"when isnan({number}) then null when abs({number}) < {2**53} "
        f"and {number} = floor({number}) then cast(cast({number} as bigint) as varchar) "
        f"else {lost} end"
    )


def _tree(type_: pa.DataType) -> dict[str, Any]:
    """Return the members of a list's entries, and of the structs within them."""
    struct: Any = type_.value_type if pa.types.is_list(type_) else type_
    return {m.name: _tree(m.type) if pa.types.is_struct(m.type) else m.type for m in struct}


def _unknown_sql(tree: Mapping[str, Any], x: str = "tu__e", path: str = "") -> str:
    """Return a list of the keys of a JSON object that the schema does not know."""
    keys = f"case when json_type({x}) = 'OBJECT' then json_keys({x}) end"
    found = f"list_filter({keys}, lambda tu__k: tu__k not in ({values(tree)}))"
    own = f"coalesce(list_transform({found}, lambda tu__k: {literal(path)} || tu__k), [])"
    inner = [
        _unknown_sql(child, f"({x} -> {literal(key)})", f"{path}{key}.")
        for key, child in tree.items()
        if isinstance(child, dict)
    ]
    return " || ".join([own, *inner])


def _warn_of_unknown_keys(source: Source, found: list[tuple[str, int]]) -> None:
    if found:
        keys = named((f"{source.name}[].{key}", count) for key, count in found)
        warn(f"The schema does not know {keys}; restore() drops them.", UnknownKeyWarning)


# What turns lists as Python prints them into JSON.  Text with a quotation mark or a backslash is
# left to Python, so no pattern can meet a quote inside a value.
_PYTHON: Final = {
    # pandas writes an array of entries without commas between them
    r"\}\s+\{'(\w+)':": r"}, {'\1':",
    r"': (None|nan)\b": "': null",
    r"': True\b": "': true",
    r"': False\b": "': false",
}
_LISTS: Final = (
    "Nested columns come back from JSON or from what Python prints; drop such a column first."
)
_DATES: Final = "Dates look like 2026-01-31, 2026-01-31T08:00:00Z or 2026-01-31 08:00:00 -0800."


def _epoch(unit: str) -> str:
    words = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[unit]
    return (
        f"It looks like {words} since 1970. Convert them first: pd.to_datetime(column, "
        f"unit={unit!r}, utc=True) in pandas, pl.from_epoch(column, time_unit={unit!r}) in Polars."
    )


def _raise_sql(fact: str, value: str, rest: str, hint: str = "", *, is_sql: bool = False) -> str:
    """Return SQL that raises an error over a value, which it shows in at most 80 characters."""
    shown = f"coalesce(left(regexp_replace({value}, '\\s+', ' ', 'g'), 80), 'null')"
    end = f"{literal('.' + _HINT)} || {hint if is_sql else literal(hint)}" if hint else "'.'"
    return f"error({literal('tidyusage: ' + fact)} || {shown} || {literal(rest)} || {end})"
