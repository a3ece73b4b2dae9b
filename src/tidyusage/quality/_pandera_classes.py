"""pandera's own classes without their traps; importing this imports pandera.

pandera's own check of several columns reports every column of a row that fails.  `RowCheck` hangs
on one column, sees the whole row, and reports that column alone.  Its schemas copy a pandas frame,
and look at a lazy frame's dtypes alone.
"""

from __future__ import annotations

from copy import copy
from functools import cache, partial
from typing import Any, cast

import pandas as pd
import polars as pl
import pyarrow as pa

from tidyusage import catalogue, schema
from tidyusage.engines import frames
from tidyusage.errors import OptionError
from tidyusage.quality import _dtypes, _pandera_import

_pandera_import.load()
import pandera.pandas as pa_pandas  # noqa: E402 - loaded quietly first
import pandera.polars as pa_polars  # noqa: E402
from pandera.backends.pandas.checks import PandasCheckBackend  # noqa: E402
from pandera.backends.polars.checks import PolarsCheckBackend  # noqa: E402
from pandera.config import get_config_context, get_config_global  # noqa: E402
from pandera.dtypes import immutable  # noqa: E402
from pandera.engines import pandas_engine, polars_engine  # noqa: E402


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

    def validate(  # noqa: PLR0917 - pandera's own order
        self,
        check_obj: Any,
        head: int | None = None,
        tail: int | None = None,
        sample: int | None = None,
        random_state: int | None = None,
        lazy: bool = False,  # noqa: FBT002 - likewise
        inplace: bool = False,  # noqa: FBT002 - likewise
    ) -> Any:
        """Check a frame; the caller's is never changed, whatever ``inplace`` says."""
        _refuse_dropping(self)
        # pandera copies all data unless it may change the frame: it gets one that shares them.
        shared = check_obj if inplace else check_obj.copy(deep=False)
        asked = _of_frame(self, check_obj.columns)
        return pa_pandas.DataFrameSchema.validate(
            asked, shared, head, tail, sample, random_state, lazy, inplace=True
        )

    @classmethod
    def get_backend(cls, check_obj: Any = None, check_type: Any = None) -> Any:
        """Return what checks for pandera's own class."""
        return pa_pandas.DataFrameSchema.get_backend(check_obj, check_type)


class PolarsSchema(pa_polars.DataFrameSchema):
    """pandera's schema; it looks at a lazy frame's data too."""

    def validate(  # noqa: PLR0917 - pandera's own order
        self,
        check_obj: Any,
        head: int | None = None,
        tail: int | None = None,
        sample: int | None = None,
        random_state: int | None = None,
        lazy: bool = False,  # noqa: FBT002 - likewise
        inplace: bool = False,  # noqa: FBT002 - likewise
    ) -> Any:
        """Check a frame; the data of a lazy one when it is collected."""
        _refuse_dropping(self)
        names = check_obj.lazy().collect_schema().names()
        validate = partial(
            pa_polars.DataFrameSchema.validate,
            _of_frame(self, names),
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


def _of_frame(schema_: Any, names: Any) -> Any:
    """Return the schema of a frame with these columns.

    Ids of fetched records may repeat in another report; a check of ours knows, pandera does not.
    """
    marks = {schema.rename(name, sep) for name in catalogue.SOURCE_COLUMNS for sep in "._"}
    if marks.isdisjoint(names) or "id" not in schema_.columns:
        return schema_
    id_, made = copy(schema_.columns["id"]), copy(schema_)
    id_.unique = False
    made.columns = {**schema_.columns, "id": id_}
    return made


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


@cache
def pandas_dtype(wanted: pa.DataType) -> type:
    """Return pandera's dtype of an Arrow type, which takes all of pandas' flavours."""
    native = frames.to_pandas(pa.table({"x": pa.array([], wanted)}))["x"].dtype

    @immutable
    class Flavoured(pandas_engine.DataType):
        type = native

        def check(self, pandera_dtype: Any, data_container: Any = None) -> bool:
            if data_container is None:
                return bool(super().check(pandera_dtype))
            return _dtypes.fits(_dtypes.of_series(data_container), wanted)

        def __str__(self) -> str:
            return str(native)

    return Flavoured


@cache
def polars_dtype(wanted: pa.DataType) -> type:
    """Return pandera's dtype of an Arrow type, for Polars."""
    native = pl.Series(pa.array([], wanted)).dtype

    @immutable
    class Flavoured(polars_engine.DataType):
        type = cast("Any", native)

        def check(self, pandera_dtype: Any, data_container: Any = None) -> bool:  # noqa: ARG002 - pandera's
            found = getattr(pandera_dtype, "type", pandera_dtype)
            return _dtypes.fits(_dtypes.of_polars(found), wanted)

        def __str__(self) -> str:
            return str(native)

    return Flavoured
