"""`rename_models` and `model_names`: one name for each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import pyarrow as pa

from tidyusage._utils import connections
from tidyusage._utils.sql import FRAME, clauses, quote, trimmed
from tidyusage.engines import column_checks, frames
from tidyusage.engines import spark as sparks
from tidyusage.engines.columns import columns
from tidyusage.engines.query import run_query
from tidyusage.errors import (
    FrameError,
    ModelWarning,
    OptionError,
    UnknownFieldError,
    known_options,
    named,
    warn,
)
from tidyusage.metrics._usage import INTEGER, TEXT, usage
from tidyusage.prepare import _name_rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb
    import pandas as pd
    import polars as pl

    from tidyusage.typing import Aliases, FrameT


MODEL: Final = "model.id"
_SHAPE: Final = "Give {'our-sonnet': 'claude-sonnet-4-5'}, or a frame with columns alias and model."


@known_options
def rename_models(frame: FrameT, aliases: Aliases | None = None, *, dated: bool = True) -> FrameT:
    """Give each model one name, and warn of the names of which nothing is known.

    A name is looked up as it stands: in `aliases`, then in a table of models and of vendors'
    spellings (Cursor's `claude-4.5-sonnet`).  Then without what vendors put around it: a prefix
    (`anthropic/`, `models/`, Bedrock's `us.anthropic.`), a revision (`-v1:0`), a suffix that is a
    real date (`-20250929`, `-2024-08-06`, `@20250929`), `-latest`, and after `claude-` and `gpt-`
    the effort (`-thinking`, `-high`).  Nothing is matched by likeness.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling.
    aliases
        Names of your own, `{"our-sonnet": "claude-sonnet-4-5"}`, or a frame with the columns
        `alias` and `model`.  They come first, and again for the name that the rules give, so that
        `{"gpt-5": "GPT-5"}` holds for `gpt-5-2025-08-07` too.  An alias to itself says that a name
        is right.
    dated
        False keeps dates, for snapshots of one model whose prices differ.

    Returns
    -------
    frame
        Of the same library, with the same rows, order and dtypes (categories are those of the new
        names).  Only `model.id` differs; what it held is not kept.  What matches nothing stays:
        `model_names` lists it.  A lazy frame and a relation stay lazy; a relation's enum becomes
        text.

    Raises
    ------
    UnknownFieldError
        If the frame has no `model.id`.
    FrameError
        If it holds no text.
    OptionError
        If `aliases` is no mapping of names, or names something twice.

    Warns
    -----
    ModelWarning
        Of names that match nothing, with how many rows have them.  A lazy frame warns when it is
        collected; a relation cannot warn.

    Examples
    --------
    >>> import tidyusage as tu
    >>> models = ["claude-sonnet-4-5-20250929", "claude-4.5-sonnet", "openai/gpt-5", "default"]
    >>> df = tu.flatten_usage([{"id": name, "model": {"id": name}} for name in models])
    >>> tu.rename_models(df)["model.id"].tolist()
    ['claude-sonnet-4-5', 'claude-sonnet-4-5', 'gpt-5', 'default']
    """
    given = _given(aliases)
    steps = _name_rules.steps(given, dated=dated)
    return replaced(frame, _column(frame), partial(_renamed, steps=steps), steps)


@known_options
def model_names(frame: FrameT, aliases: Aliases | None = None, *, dated: bool = True) -> FrameT:
    """List the names of a frame's models, what `rename_models` makes of each, and by which rule.

    Parameters
    ----------
    frame
        A wide or long frame of any library, of either spelling.
    aliases
        As in `rename_models`.
    dated
        As in `rename_models`.

    Returns
    -------
    frame
        Of the same library; a lazy one stays lazy.  `model.id` (as it stands), `model` (str, its
        one name; null if it matches nothing), `rule` (str: "alias" of yours, "known" as it stands,
        "date" taken off, a "vendor"'s way to write it; null), `records` (int64).  First those that
        match nothing, then by records, most first.  Records without a model are not in it.

    Raises
    ------
    UnknownFieldError
        If the frame has no `model.id`.
    OptionError
        If `aliases` is no mapping of names, or names something twice.

    Examples
    --------
    >>> import tidyusage as tu
    >>> models = ["gpt-4o-2024-08-06", "gpt-4o", "our-own"]
    >>> df = tu.flatten_usage([{"id": name, "model": {"id": name}} for name in models])
    >>> tu.model_names(df)
                model.id   model   rule  records
    0            our-own     NaN    NaN        1
    1             gpt-4o  gpt-4o  known        1
    2  gpt-4o-2024-08-06  gpt-4o   date        1
    """
    _column(frame)
    asked = usage(frame, (MODEL,))
    (key,) = asked.dimensions
    rules = _name_rules.steps(_given(aliases), dated=dated, keys=("records",))
    sql = f"""names as (
  select cast({key} as varchar) as name, count(*) as records
  from usage
  where {trimmed(f"cast({key} as varchar)")} <> ''
  group by {key}
),
{rules}
select name as {key}, model, rule, records
from renamed
order by model is not null, records desc, name"""
    types = {"model": TEXT, "rule": TEXT, "records": INTEGER}
    return run_query(frame, asked.query(sql, (), types, portable=False))


def _column(frame: object) -> str:
    """Return the frame's own name of the column of models."""
    known = columns(frame).known
    if MODEL not in known:
        raise UnknownFieldError(
            f"The frame has no column {MODEL}.",
            "Give the wide or the long frame, with that column.",
        )
    return known[MODEL]


def _given(aliases: Aliases | None) -> dict[str, str]:
    """Look at the option ``aliases``; refuse what would need to be renamed twice."""
    if aliases is None:
        return {}
    found: dict[str, str] = {}
    for alias, model in aliases.items() if isinstance(aliases, Mapping) else _rows(aliases):
        if not all(isinstance(name, str) and name.strip() for name in (alias, model)):
            raise OptionError(f"aliases= has {alias!r}: {model!r}.", _SHAPE)
        if found.setdefault(alias, model) != model:
            raise OptionError(f"aliases= has two names for {alias!r}.", "Keep one.")
    for alias, model in found.items():
        if found.get(model, model) != model:
            raise OptionError(
                f"aliases= sends {alias!r} to {model!r}, and that to {found[model]!r}.",
                "Name the last one for both.",
            )
    return found


def _rows(aliases: Any) -> Iterable[tuple[Any, Any]]:
    if frames.backend_of(aliases) is None:
        raise OptionError(f"aliases= is {type(aliases).__name__}.", _SHAPE)
    table = frames.collected(aliases)
    if missing := [name for name in ("alias", "model") if name not in table.column_names]:
        raise OptionError(f"aliases= has no column {missing[0]!r}.", _SHAPE)
    return zip(table["alias"].to_pylist(), table["model"].to_pylist(), strict=True)


def _renamed(counts: Mapping[str, int], *, steps: str) -> dict[str, str]:
    """Return what each name becomes, itself where it matches nothing; warn of these."""
    table = pa.table({"name": pa.array(list(counts), pa.string())})
    sql = f"""with names as (
  select name
  from {FRAME}
),
{steps}
select name, model
from renamed"""
    with connections.connect(few=frames.is_few(table)) as connection:
        found = frames.ask(connection, table, lambda _: sql)
    rows: Any = zip(found["name"].to_pylist(), found["model"].to_pylist(), strict=True)
    pairs: dict[str, str | None] = dict(rows)
    strange = Counter({name: counts[name] for name in counts if pairs[name] is None and _is(name)})
    if +strange:
        warn(
            f"Nothing is known of the models {named((+strange).most_common())}; they keep their "
            "names. Name them in aliases=; an alias to itself says that a name is right. "
            "model_names() lists all.",
            ModelWarning,
        )
    return {name: model or name for name, model in pairs.items()}


def _is(name: str) -> bool:
    """Tell whether a text is a name at all."""
    return bool(name.strip(" "))


# What each text becomes, of the texts and how many rows have them.
Replace: TypeAlias = Callable[[Mapping[str, int]], dict[str, str]]


def replaced(frame: FrameT, column: str, replace: Replace, steps: str) -> FrameT:
    """Replace texts in a column; lazy frames and relations stay lazy.

    Only the distinct texts are looked at, of which there are few.  The rest of the frame is not
    touched, and keeps its order, index and dtypes.

    ``steps`` do for a relation what ``replace`` does: from ``names`` to ``renamed``, SQL that gives
    each ``name`` its ``model``.
    """
    backend = frames.backend_of(frame)
    if backend == "duckdb":
        relation = cast("duckdb.DuckDBPyRelation", frame)
        return cast("FrameT", _of_relation(relation, column, steps))
    if backend == "pyspark":
        return cast("FrameT", _of_spark(frame, column, steps))
    if backend == "pandas":
        return cast("FrameT", _of_pandas(cast("pd.DataFrame", frame), column, replace))
    if backend == "polars":
        return cast("FrameT", _of_polars(frame, column, replace))
    return cast("FrameT", _of_arrow(frames.to_arrow(frame), column, replace))


def _check(column: str, kind: str) -> None:
    column_checks.check({column: "text"}, {column: kind})
    if kind not in {"text", ""}:
        raise FrameError(
            f"The column {column!r} holds {kind}s, and text belongs there.",
            "tu.restore(frame) brings a frame's columns to their dtypes.",
        )


def _of_pandas(frame: pd.DataFrame, column: str, replace: Replace) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    old = frame[column]
    if old.isna().all():
        return frame.copy(deep=False)
    _check(column, column_checks.of_arrow(_schema(frame, column))[column])
    is_category = isinstance(old.dtype, pd.CategoricalDtype)
    codes, found = (
        (old.cat.codes.to_numpy(), old.cat.categories) if is_category else old.factorize()
    )
    counts = np.bincount(codes[codes >= 0], minlength=len(found))
    pairs = replace({name: int(rows) for name, rows in zip(found, counts, strict=True)})
    new: Any
    if is_category:
        kept = list(dict.fromkeys(map(pairs.__getitem__, found)))
        places = np.array([*(kept.index(pairs[name]) for name in found), -1])
        dtype = pd.CategoricalDtype(kept, old.cat.ordered)
        new = pd.Categorical.from_codes(places[codes], dtype=dtype)
    elif old.dtype == object:
        new = np.array([*map(pairs.__getitem__, found), None], dtype=object)[codes]
        new[codes < 0] = old.to_numpy()[codes < 0]  # None, NaN or NA, as it was
        new = pd.Series(new, index=old.index, dtype=object)
    else:
        texts = pd.array([pairs[name] for name in found], dtype=cast("Any", old.dtype))
        new = texts.take(codes, allow_fill=True)
    return frame.assign(**{column: new})


def _schema(frame: pd.DataFrame, column: str) -> pa.Schema:
    try:
        return frames.to_arrow(frame[[column]]).schema
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise FrameError(
            f"The column {column!r} holds values of several kinds.", "Bring it to text first."
        ) from error


def _of_polars(frame: Any, column: str, replace: Replace) -> Any:
    import polars as pl

    lazy = cast("pl.LazyFrame", frame).lazy()
    dtype = lazy.collect_schema()[column]
    schema = pl.DataFrame(schema={column: dtype}).to_arrow().schema
    _check(column, column_checks.of_arrow(schema)[column])
    target: Any = dtype
    if isinstance(dtype, pl.Enum):
        renamed_ = replace(dict.fromkeys(dtype.categories, 0))
        target = pl.Enum(list(dict.fromkeys(renamed_.values())))

    def renamed(series: pl.Series) -> pl.Series:
        text = series.cast(pl.String)
        found = text.drop_nulls().value_counts(name="tu__rows")
        pairs = replace(dict(found.iter_rows()))
        return text.replace(list(pairs), list(pairs.values())).cast(target)

    if isinstance(frame, pl.LazyFrame):
        return frame.with_columns(pl.col(column).map_batches(renamed, return_dtype=target))
    return frame.with_columns(renamed(frame[column]))


def _of_arrow(table: pa.Table, column: str, replace: Replace) -> pa.Table:
    from pyarrow import compute as pc

    place, field = table.column_names.index(column), table.schema.field(column)
    _check(column, column_checks.of_arrow(table.schema)[column])
    texts: Any = table[column].cast(pa.string()).combine_chunks()
    counts = {
        each["values"]: each["counts"] for each in texts.drop_null().value_counts().to_pylist()
    }
    pairs = replace(counts)
    places = pc.index_in(texts, value_set=pa.array(list(pairs), pa.string()))
    new: Any = pa.array(list(pairs.values()), pa.string()).take(places)
    new = new.dictionary_encode() if pa.types.is_dictionary(field.type) else new
    return table.set_column(place, field, new.cast(field.type))


def _of_relation(
    relation: duckdb.DuckDBPyRelation, column: str, steps: str
) -> duckdb.DuckDBPyRelation:
    _check(column, column_checks.of_duckdb(str(relation.types[relation.columns.index(column)])))
    name = f"cast({quote(column)} as varchar)"
    sql = f"""{_mapping(name, steps)}
select * replace (coalesce((select tu__models from mapping)[{name}], {name}) as {quote(column)})
from {FRAME}"""
    return frames.queried(relation, sql)


def _of_spark(frame: Any, column: str, steps: str) -> Any:
    types = sparks.types(frame)
    _check(column, column_checks.of_spark(types[column]))
    name = quote(column)
    shown = [
        f"coalesce((select tu__models from mapping)[{name}], {name}) as {name}"
        if other == column
        else quote(other)
        for other in types
    ]
    return sparks.over(frame, f"{_mapping(name, steps)}\nselect {clauses(shown)}\nfrom {FRAME}")


def _mapping(name: str, steps: str) -> str:
    """Return the steps to ``mapping``: one row for all names, since a join would lose the order."""
    return f"""with names as (
  select distinct {name} as name
  from {FRAME}
  where {name} is not null
),
{steps},
mapping as (
  select map(coalesce(list(name), []), coalesce(list(model), [])) as tu__models
  from renamed
  where model is not null
)"""
