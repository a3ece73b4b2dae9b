"""Translate DuckDB SQL to Spark where sqlglot does not, or changes its meaning.

What depends on a Spark session's zone is rewritten too: a query sees times without a zone, in UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidyusage.engines.dialects import spark_functions

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlglot.expressions import Expr


def prepared(text: str) -> str:
    """Return a query's text as it is to be parsed."""
    return spark_functions.LENGTH.sub(f"{spark_functions.SIZE}(", text)


def rewritten(node: Expr) -> Any:
    """Return a part of a query as Spark is to have it."""
    from sqlglot import exp

    if isinstance(node, exp.Select):
        return _selected(node)
    if isinstance(node, exp.TimeToUnix):  # of a length of time
        return spark("(unix_micros(timestamp '1970-01-01 00:00:00Z' + :x) / 1000000D)", x=node.this)
    if isinstance(node, exp.CTE):
        node.set("materialized", None)  # Spark shares what is no function of its input on its own
        return node
    if isinstance(node, exp.Window) and isinstance(node.this, exp.RowNumber):
        has_order = node.args.get("order") or node.args.get("partition_by")
        return node if has_order else spark("(monotonically_increasing_id() + 1)")
    for types, change in _changes().items():
        if isinstance(node, types):
            return change(node)
    return node


def _changes() -> dict[Any, Callable[[Any], Any]]:
    """Return what is rewritten, by the kind of a part of a query."""
    from sqlglot import exp

    return {
        (exp.TimestampTrunc, exp.DateTrunc): _truncated,
        exp.DateDiff: _days,
        exp.DayOfWeekIso: _weekday,
        (exp.Monthname, exp.Dayname): _spelled_out,
        (exp.ArgMin, exp.ArgMax): _of_those_there,
        exp.DataType: _without_zone,
        exp.RegexpExtract: _extracted,
        exp.RegexpFullMatch: _matched,
        exp.RegexpLike: _in_any_case,
        exp.RegexpReplace: _in_any_case,
        exp.ArrayFilter: _numbered,
        exp.ArrayMax: _mode,
        exp.Bracket: _item,
        exp.Cast: _figure,
        exp.Filter: _listed,
        exp.ArrayAgg: _listed,
        exp.Format: _formatted,
        exp.IsInf: _infinite,
        exp.Log: _log,
        exp.Window: _within,
        exp.Anonymous: _renamed,
    }


def _selected(node: Any) -> Any:
    """Return a select in which no column is put in another's place, and lists go side by side."""
    from sqlglot import exp

    chosen: list[Any] = []
    unnested = [each for each in node.expressions if isinstance(each.unalias(), exp.Explode)]
    for each in node.expressions:
        if isinstance(each, exp.Star) and each.args.get("replace"):
            replaced = each.args["replace"]
            names = [exp.to_identifier(one.alias, quoted=True) for one in replaced]
            chosen += [exp.Star(except_=[*(each.args.get("except_") or []), *names]), *replaced]
        elif len(unnested) < 2 or each not in unnested:  # noqa: PLR2004
            chosen.append(each)
    if len(unnested) > 1:
        lists = [each.unalias().this for each in unnested]
        zipped = exp.Anonymous(this="arrays_zip", expressions=lists)
        inline = exp.Anonymous(this="inline", expressions=[zipped])
        names = [exp.to_identifier(each.alias, quoted=True) for each in unnested]
        chosen.append(exp.Aliases(this=inline, expressions=names))
    node.set("expressions", chosen)
    return node


def _spelled_out(node: Any) -> Any:
    """Return the whole name of a day or month."""
    signs = "MMMM" if type(node).__name__ == "Monthname" else "EEEE"
    return spark(f"date_format(:x, '{signs}')", x=node.this.transform(rewritten))


def _without_zone(node: Any) -> Any:
    """Return the type of a time as a query sees a frame's: without a zone, in UTC."""
    from sqlglot import exp

    has_zone = node.this == exp.DataType.Type.TIMESTAMPTZ
    return exp.DataType(this=exp.DataType.Type.TIMESTAMPNTZ) if has_zone else node


def _of_those_there(node: Any) -> Any:
    """Return the value of the row that comes first or last, of those that have one."""
    value, by = (each.transform(rewritten) for each in (node.this, node.expression))
    found = "min_by" if type(node).__name__ == "ArgMin" else "max_by"
    return spark(f"{found}(:x, if(:x is null, null, :y))", x=value, y=by)


def _extracted(node: Any) -> Any:
    """Return what the groups of a pattern match, under their names."""
    from sqlglot import exp

    if not isinstance(node.args.get("group"), exp.Array):
        return node
    text, pattern = (each.transform(rewritten) for each in (node.this, node.expression))
    names = [each.name for each in node.args["group"].expressions]
    parts = (f"'{name}', regexp_extract(:x, :y, {i})" for i, name in enumerate(names, start=1))
    return spark(f"named_struct({', '.join(parts)})", x=text, y=pattern)


def _numbered(node: Any) -> Any:
    """Return a filter of a list whose places begin with 0, not 1."""
    from sqlglot import exp

    chosen = node.expression
    if isinstance(chosen, exp.Lambda) and len(chosen.expressions) > 1:
        place = chosen.expressions[1].name
        for column in list(chosen.this.find_all(exp.Identifier)):
            if column.name == place:
                column.replace(
                    exp.paren(exp.Add(this=column.copy(), expression=exp.Literal.number(1)))
                )
    return node


def _listed(node: Any) -> Any:
    """Return a list of the rows that a condition lets through, in order; null if there are none."""
    from sqlglot import exp

    if isinstance(node, exp.Filter) and (found := node.this.find(exp.AnyValue)):
        node.set("this", exp.Min(this=found.this))  # Spark takes no filter with `ignore nulls`
        return node
    made = node.this if isinstance(node, exp.Filter) else node
    if not isinstance(made, exp.ArrayAgg) or not isinstance(made.this, exp.Order):
        return node
    test = node.expression.this if made is not node else exp.true()
    keys = [exp.alias_(each.this, f"tu__{n}") for n, each in enumerate(made.this.expressions)]
    entry = exp.Struct(expressions=[*keys, exp.alias_(made.this.this, "tu__x")])
    rows = "array_sort(collect_list(:e) filter (where :c))"
    text = f"nullif(transform({rows}, e -> e.tu__x), array())"
    return spark(text, e=entry.transform(rewritten), c=test.transform(rewritten))


def _within(node: Any) -> Any:
    """Return an aggregate in a window whose condition is in what it adds up."""
    from sqlglot import exp

    if not isinstance(node.this, exp.Filter):
        return node
    inner, test = node.this.this, node.this.expression.this
    key = "expression" if isinstance(inner, exp.ArgMin | exp.ArgMax) else "this"
    inner.set(key, exp.Case(ifs=[exp.If(this=test, true=inner.args[key])]))
    node.set("this", inner)
    return node


def _matched(node: Any) -> Any:
    text, pattern = (each.transform(rewritten) for each in (node.this, node.expression))
    return spark("regexp_like(:x, concat('\\\\A(?:', :y, ')\\\\z'))", x=text, y=pattern)


def _in_any_case(node: Any) -> Any:
    """Return a look for a pattern in whatever case, where it is asked for, said in the pattern."""
    flag = node.args.get("flag") or node.args.get("modifiers")
    if flag is not None and flag.name == "i":
        node.set("flag", None)
        node.set("modifiers", None)
        node.set("expression", spark("concat('(?i)', :x)", x=node.expression))
    elif flag is not None and flag.name == "g":
        node.set("modifiers", None)  # all, as Spark does
    return node


def _days(node: Any) -> Any:
    """Return days as midnights between two times, not as whole days."""
    if node.text("unit").lower() != "day":
        return node
    first, last = (each.transform(rewritten) for each in (node.expression, node.this))
    text = "cast(datediff(cast(:y as date), cast(:x as date)) as bigint)"
    return spark(text, x=first, y=last)


def _weekday(node: Any) -> Any:
    return spark("(weekday(:x) + 1)", x=node.this.transform(rewritten))


def _mode(node: Any) -> Any:
    counts = node.this
    if counts.name.lower() != "map_values" or counts.expressions[0].name.lower() != "histogram":
        return node
    return spark(spark_functions.MODE, x=counts.expressions[0].expressions[0].transform(rewritten))


def _figure(node: Any) -> Any:
    """Return a number as the text that DuckDB makes of it, where it is rounded for that."""
    from sqlglot import exp

    is_text = node.to.this in exp.DataType.TEXT_TYPES
    if not is_text or not isinstance(node.this, exp.Round):
        return node
    return spark(spark_functions.FIGURE, x=node.this.transform(rewritten))


def _formatted(node: Any) -> Any:
    """Return a number in words as Java writes them."""
    (value,) = (each.transform(rewritten) for each in node.expressions)
    if node.this.name == "{:,}":
        return spark("format_number(:x, 0)", x=value)
    return spark("format_string('%.1f %%', cast(:x as double))", x=value)


def _item(node: Any) -> Any:
    """Return an item of a list, counted from 0, or null past its end; one of a map as it is."""
    from sqlglot import exp

    (place,) = node.expressions
    if isinstance(place, exp.Add):
        place = exp.Sub(this=exp.paren(place), expression=exp.Literal.number(1))
    elif not place.is_int:  # which sqlglot counts from 0 already
        return node
    return spark("get(:x, :y)", x=node.this.transform(rewritten), y=place.transform(rewritten))


def _infinite(node: Any) -> Any:
    return spark("(abs(:x) = double('infinity'))", x=node.this.transform(rewritten))


def _log(node: Any) -> Any:
    if node.this.name != "10":
        return node
    return spark("log10(:x)", x=node.expression.transform(rewritten))


def spark(text: str, **parts: Any) -> Any:
    """Return an expression that is written in Spark's words, its parts put in."""
    from sqlglot import exp, parse_one

    return exp.replace_placeholders(parse_one(text, read="spark"), **parts)


def _renamed(node: Any) -> Any:
    name = node.name.lower()
    if name == "timezone":
        return _in_zone(node)
    if name == "row":
        node.set("this", "struct")
    if name not in spark_functions.FUNCTIONS:
        return node
    names, text = spark_functions.FUNCTIONS[name]
    values = [each.transform(rewritten) for each in node.expressions]
    return spark(text, **dict(zip(names, values, strict=True)))


def _truncated(node: Any) -> Any:
    value, unit = node.this.transform(rewritten), node.text("unit").lower()
    if unit in spark_functions.CLOCKS:
        day = "year(:x), month(:x), day(:x)"
        return spark(f"make_timestamp_ntz({day}, {spark_functions.CLOCKS[unit]})", x=value)
    if unit not in (*spark_functions.DAYS, "day"):
        raise NotImplementedError(unit)
    date = f"trunc(:x, '{unit}')" if unit != "day" else "cast(:x as date)"
    return spark(f"cast({date} as timestamp_ntz)", x=value)


def _in_zone(node: Any) -> Any:
    """Return a clock's time on another clock, or an instant of the table on one."""
    target, inner = node.expressions
    if not (isinstance(inner, type(node)) and inner.name.lower() == "timezone"):
        return spark(spark_functions.IN_UTC, x=inner.transform(rewritten))
    source, value = inner.expressions
    there = value.transform(rewritten)
    return spark("convert_timezone(:a, :b, :x)", a=source, b=target, x=there)
