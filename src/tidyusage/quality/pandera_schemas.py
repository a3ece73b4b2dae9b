"""The validation rules as pandera schemas and models; importing this imports pandera."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import pandas as pd
import polars as pl

from tidyusage import catalogue, schema
from tidyusage.engines import frames
from tidyusage.engines.columns import Columns, layout_types
from tidyusage.engines.query import run_query
from tidyusage.quality import _pandera_import
from tidyusage.quality._pandera_classes import (
    PandasSchema,
    PolarsSchema,
    RowCheck,
    pandas_dtype,
    polars_dtype,
)
from tidyusage.quality._rule import Rule, marked
from tidyusage.quality.rules import rules
from tidyusage.quality.rules_sql import verdict

_pandera_import.load()
import pandera.pandas as pa_pandas  # noqa: E402 - loaded quietly first
import pandera.polars as pa_polars  # noqa: E402

if TYPE_CHECKING:
    from tidyusage.typing import Layout, Separator

# Columns that a frame has only if they were asked for.
_OPTIONAL: Final = ("remote_data", "extra", "record", *catalogue.SOURCE_COLUMNS)
_TITLES: Final = {
    field.column: field.description for field in (*catalogue.FIELDS, *catalogue.SOURCE)
}


def build(
    layout: Layout, backend: str, sep: Separator, currencies: tuple[str, ...]
) -> PandasSchema | PolarsSchema:
    """Return the schema of a layout."""
    columns = {
        schema.rename(path, sep): _column(layout, backend, path, sep, currencies)
        for path in layout_types(layout)
    }
    kind = PandasSchema if backend == "pandas" else PolarsSchema
    return kind(columns, name=f"{layout} of {backend}")


def _column(
    layout: Layout, backend: str, path: str, sep: Separator, currencies: tuple[str, ...]
) -> Any:
    own = [rule for rule in rules(layout, currencies) if rule.column == path]
    kind = pa_pandas.Column if backend == "pandas" else pa_polars.Column
    return kind(
        dtype(layout, backend, path)(),
        checks=checks(layout, backend, path, sep, currencies),
        nullable=all(rule.name != "required" for rule in own),
        unique=any(map(_is_told, own)),
        required=path not in _OPTIONAL,
        description=_TITLES.get(path),
    )


def checks(
    layout: Layout, backend: str, path: str, sep: Separator, currencies: tuple[str, ...]
) -> list[Any]:
    """Return pandera's checks of a column."""
    own = [rule for rule in rules(layout, currencies) if rule.column == path]
    return [_check(rule, layout, backend, sep) for rule in own if rule.name != "required"]


def _is_told(rule: Rule) -> bool:
    """Tell whether a rule says that a column alone tells rows apart: pandera has its own way."""
    return rule.name == "unique" and len(rule.reads) == 1


def _check(rule: Rule, layout: Layout, backend: str, sep: Separator) -> Any:
    if rule.name == "not_negative" and rule.portable:
        return pa_pandas.Check.ge(0, name=rule.name, error=rule.name)
    function = _pandas_keeps if backend == "pandas" else _polars_keeps
    return RowCheck(
        partial(function, rule, layout, sep),
        name=rule.name,
        ignore_na=False,
        description=rule.sentence,
    )


def _pandas_keeps(rule: Rule, layout: Layout, sep: Separator, frame: pd.DataFrame) -> Any:
    rule = _of_frame(rule, sep, frame.columns)
    if _is_told(rule):
        return pd.Series(True, index=frame.index, dtype=bool)  # noqa: FBT003 - pandas' own
    known = _known(rule, layout, sep, frame.columns)
    asked = pd.DataFrame({name: frame[name] for name in known.known.values()}, copy=False)
    table = pl.DataFrame(frames.to_arrow(asked))
    keeps = run_query(table, verdict(rule, known))["keeps"]
    return pd.Series(keeps.to_numpy(), index=frame.index, dtype=bool)


def _polars_keeps(rule: Rule, layout: Layout, sep: Separator, data: Any) -> pl.LazyFrame:
    names = data.lazyframe.collect_schema().names()
    rule = _of_frame(rule, sep, names)
    if _is_told(rule):
        return cast("pl.LazyFrame", data.lazyframe.select(keeps=pl.repeat(True, pl.len())))  # noqa: FBT003
    known = _known(rule, layout, sep, names)
    return cast("pl.LazyFrame", run_query(data.lazyframe, verdict(rule, known)))


def _of_frame(rule: Rule, sep: Separator, names: Any) -> Rule:
    """Return the rule of a frame with these columns: fetched records are known by their marks."""
    marks = (schema.rename(name, sep) for name in catalogue.SOURCE_COLUMNS)
    return marked(rule) if any(name in names for name in marks) else rule


def _known(rule: Rule, layout: Layout, sep: Separator, names: Any) -> Columns:
    spelled = {path: schema.rename(path, sep) for path in rule.reads}
    known = {path: name for path, name in spelled.items() if name in names}
    return Columns(layout, sep, known, ())


def dtype(layout: Layout, backend: str, path: str) -> type:
    """Return pandera's dtype of a column, which takes all flavours of its library."""
    return (pandas_dtype if backend == "pandas" else polars_dtype)(layout_types(layout)[path])


class _Ruled:
    """What turns a model of pandera's into one that keeps the rules of a layout."""

    _usage_of: ClassVar[tuple[Any, ...]] = ()

    @classmethod
    def ruled(cls, made: Any, kind: Any) -> Any:
        """Return pandera's schema of a model with the rules added, as a schema of ours."""
        if not cls._usage_of:  # a base class, whose schema `help()` builds when it lists attributes
            return made
        layout, backend, sep = cls._usage_of
        for path in layout_types(layout):
            column = made.columns[schema.rename(path, sep)]
            column.checks = [*checks(layout, backend, path, sep, ()), *column.checks]
        made.__class__ = kind
        return made


class PandasModel(_Ruled, pa_pandas.DataFrameModel):
    """A model whose columns keep the rules."""

    @classmethod
    def build_schema_(cls, **kwargs: Any) -> Any:
        """Return the schema of the model's fields and of the rules."""
        return cls.ruled(super().build_schema_(**kwargs), PandasSchema)


class PolarsModel(_Ruled, pa_polars.DataFrameModel):
    """A model whose columns keep the rules."""

    @classmethod
    def build_schema_(cls, **kwargs: Any) -> Any:
        """Return the schema of the model's fields and of the rules."""
        return cls.ruled(super().build_schema_(**kwargs), PolarsSchema)


@cache
def model(layout: Layout, backend: str, sep: Separator, name: str, module: str) -> type:
    """Return a class whose fields are a layout's columns, to be subclassed."""
    base, kit = (PandasModel, pa_pandas) if backend == "pandas" else (PolarsModel, pa_polars)
    own: dict[str, Any] = {"__annotations__": {}}
    for path in layout_types(layout):
        column = schema.rename(path, sep)
        field = column.replace(".", "__")
        rules_ = [rule for rule in rules(layout) if rule.column == path]
        wanted = dtype(layout, backend, path)
        own["__annotations__"][field] = wanted | None if path in _OPTIONAL else wanted
        own[field] = kit.Field(
            alias=column,
            nullable=all(rule.name != "required" for rule in rules_),
            unique=any(map(_is_told, rules_)),
            description=_TITLES.get(path),
        )
    said = f"The {layout} layout as a model of pandera's: subclass it to add columns and checks."
    own |= {"__module__": module, "__doc__": said, "_usage_of": (layout, backend, sep)}
    return type(name, (base,), own)
