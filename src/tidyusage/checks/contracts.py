"""The rules as pandera's schemas; imported once pandera is.

pandera's own check of several columns reports every column of a row that fails.  `RowCheck` hangs
on one column, sees the whole row, and reports that column alone.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import pandas as pd
import pandera.pandas as pa_pandas
import pandera.polars as pa_polars
import polars as pl
import pyarrow as pa
from pandera.backends.pandas.checks import PandasCheckBackend
from pandera.backends.polars.checks import PolarsCheckBackend
from pandera.config import get_config_context, get_config_global
from pandera.dtypes import immutable
from pandera.engines import pandas_engine, polars_engine

from tidyusage import answers, catalogue, engines, schema
from tidyusage.checks import dtypes
from tidyusage.checks.judge import verdict
from tidyusage.checks.rules import Rule, rules
from tidyusage.columns import layout_types
from tidyusage.errors import OptionError

if TYPE_CHECKING:
    from tidyusage.columns import Columns
    from tidyusage.typing import Layout, Separator

# Columns that a frame has only if they were asked for.
_OPTIONAL: Final = ("remote_data", "extra", "record")
_TITLES: Final = {field.column: field.description for field in catalogue.FIELDS}


class RowCheck(pa_pandas.Check):
    """A check of one column that sees the others of its row."""


class _PandasRows(PandasCheckBackend):
    """Hands the whole frame to a check, and reports one of its columns."""

    column: Any = None

    def preprocess(self, check_obj: Any, key: Any) -> Any:
        self.column = key
        return check_obj

    def postprocess(self, check_obj: Any, check_output: Any) -> Any:
        return self.postprocess_field(check_obj[self.column], check_output)


RowCheck.register_backend(pd.DataFrame, _PandasRows)
RowCheck.register_backend(pl.LazyFrame, PolarsCheckBackend)


class PandasSchema(pa_pandas.DataFrameSchema):
    """pandera's schema; it copies nothing."""

    def validate(
        self,
        check_obj: Any,
        head: int | None = None,
        tail: int | None = None,
        sample: int | None = None,
        random_state: int | None = None,
        lazy: bool = False,  # noqa: FBT002 - pandera's own order
        inplace: bool = False,  # noqa: FBT002 - likewise
    ) -> Any:
        """Check a frame; the caller's is never changed, whatever ``inplace`` says."""
        _refuse_dropping(self)
        # pandera copies all data unless it may change the frame: it gets one that shares them.
        shared = check_obj if inplace else check_obj.copy(deep=False)
        return super().validate(shared, head, tail, sample, random_state, lazy, inplace=True)

    @classmethod
    def get_backend(cls, check_obj: Any = None, check_type: Any = None) -> Any:
        """Return what checks for pandera's own class."""
        return pa_pandas.DataFrameSchema.get_backend(check_obj, check_type)


class PolarsSchema(pa_polars.DataFrameSchema):
    """pandera's schema; it looks at a lazy frame's data too."""

    def validate(
        self,
        check_obj: Any,
        head: int | None = None,
        tail: int | None = None,
        sample: int | None = None,
        random_state: int | None = None,
        lazy: bool = False,  # noqa: FBT002 - pandera's own order
        inplace: bool = False,  # noqa: FBT002 - likewise
    ) -> Any:
        """Check a frame; the data of a lazy one when it is collected."""
        _refuse_dropping(self)
        validate = partial(
            super().validate,
            head=head,
            tail=tail,
            sample=sample,
            random_state=random_state,
            lazy=lazy,
            inplace=inplace,
        )
        checked = validate(check_obj)
        if not isinstance(check_obj, pl.LazyFrame) or _has_depth():
            return checked
        return checked.map_batches(validate, schema=checked.collect_schema())

    @classmethod
    def get_backend(cls, check_obj: Any = None, check_type: Any = None) -> Any:
        """Return what checks for pandera's own class."""
        return pa_polars.DataFrameSchema.get_backend(check_obj, check_type)


def _has_depth() -> bool:
    """Tell whether somebody has told pandera how deep to look; then it does so at once."""
    depths = (get_config_context(validation_depth_default=None), get_config_global())
    return any(of.validation_depth is not None for of in depths)


def _refuse_dropping(schema_: Any) -> None:
    if schema_.drop_invalid_rows:
        raise OptionError(
            "drop_invalid_rows=True is not taken: pandera lets columns of a wrong dtype pass.",
            "tu.filter_usage(frame) parts the rows that fail from the others.",
        )


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
        unique=_is_unique(own),
        required=path not in _OPTIONAL,
        description=_TITLES.get(path),
    )


def checks(
    layout: Layout, backend: str, path: str, sep: Separator, currencies: tuple[str, ...]
) -> list[Any]:
    """Return pandera's checks of a column."""
    own = [rule for rule in rules(layout, currencies) if rule.column == path]
    told = {"required", *(["unique"] if _is_unique(own) else [])}
    return [_check(rule, layout, backend, sep) for rule in own if rule.name not in told]


def _is_unique(own: list[Rule]) -> bool:
    """Tell whether a column alone tells rows apart, which pandera asks in its own way."""
    return any(rule.name == "unique" and len(rule.reads) == 1 for rule in own)


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
    known = _known(rule, layout, sep, frame.columns)
    asked = pd.DataFrame({name: frame[name] for name in known.known.values()}, copy=False)
    table = pl.DataFrame(engines.to_arrow(asked))
    keeps = answers.answer(table, verdict(rule, known))["keeps"]
    return pd.Series(keeps.to_numpy(), index=frame.index, dtype=bool)


def _polars_keeps(rule: Rule, layout: Layout, sep: Separator, data: Any) -> pl.LazyFrame:
    known = _known(rule, layout, sep, data.lazyframe.collect_schema().names())
    return answers.answer(data.lazyframe, verdict(rule, known))


def _known(rule: Rule, layout: Layout, sep: Separator, names: Any) -> Columns:
    from tidyusage.columns import Columns

    spelled = {path: schema.rename(path, sep) for path in rule.reads}
    known = {path: name for path, name in spelled.items() if name in names}
    return Columns(layout, sep, known, ())


@cache
def dtype(layout: Layout, backend: str, path: str) -> type:
    """Return pandera's dtype of a column, which takes all flavours of its library."""
    return (_of_pandas if backend == "pandas" else _of_polars)(layout_types(layout)[path])


@cache
def _of_pandas(wanted: pa.DataType) -> type:
    native = engines.to_pandas(pa.table({"x": pa.array([], wanted)}))["x"].dtype

    @immutable
    class Flavoured(pandas_engine.DataType):
        type = native

        def check(self, pandera_dtype: Any, data_container: Any = None) -> bool:
            if data_container is None:
                return super().check(pandera_dtype)
            return dtypes.fits(dtypes.of_series(data_container), wanted)

        def __str__(self) -> str:
            return str(native)

    return Flavoured


@cache
def _of_polars(wanted: pa.DataType) -> type:
    native = pl.Series(pa.array([], wanted)).dtype

    @immutable
    class Flavoured(polars_engine.DataType):
        type = native

        def check(self, pandera_dtype: Any, data_container: Any = None) -> bool:
            found = getattr(pandera_dtype, "type", pandera_dtype)
            return dtypes.fits(dtypes.of_polars(found), wanted)

        def __str__(self) -> str:
            return str(native)

    return Flavoured


class _Ruled:
    """What turns a model of pandera's into one that keeps the rules of a layout."""

    _usage_of: ClassVar[tuple[Any, ...]] = ()

    @classmethod
    def ruled(cls, made: Any, kind: Any) -> Any:
        """Return pandera's schema of a model with the rules added, as a schema of ours."""
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
            unique=_is_unique(rules_),
            description=_TITLES.get(path),
        )
    said = f"The {layout} layout as a model of pandera's: subclass it to add columns and checks."
    own |= {"__module__": module, "__doc__": said, "_usage_of": (layout, backend, sep)}
    return type(name, (base,), own)
