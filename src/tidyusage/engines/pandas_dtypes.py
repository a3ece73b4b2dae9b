"""Give a result the pandas dtypes (NumPy, nullable or Arrow) of the frame it was made from."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from tidyusage import catalogue, schema
from tidyusage.engines import frames

if TYPE_CHECKING:
    import pandas as pd

_NAIVE: Final = pa.timestamp("us")
_LARGE: Final = re.compile("large_(?=list|string)")


def flavoured(table: pa.Table, frame: pd.DataFrame, nullable: tuple[str, ...]) -> pd.DataFrame:
    """Return a pandas frame in the flavour of dtypes that another has."""
    import pandas as pd

    dtypes = list(frame.dtypes)
    arrow = [dtype.pyarrow_dtype for dtype in dtypes if isinstance(dtype, pd.ArrowDtype)]
    if not all(map(pa.types.is_nested, arrow)):
        return table.to_pandas(types_mapper=pd.ArrowDtype)
    plain = frames.to_pandas(_without_dates(table))
    if nullable:
        plain = plain.astype(dict.fromkeys(nullable, "Int64"))
    if not any(isinstance(dtype, pd.Float64Dtype | pd.Int64Dtype) for dtype in dtypes):
        return plain
    masked = {"float64": "Float64", "int64": "Int64", "str": "string"}
    dtypes_: dict[Any, Any] = {n: masked.get(str(t), t) for n, t in plain.dtypes.items()}
    return plain.astype(dtypes_)


def _without_dates(table: pa.Table) -> pa.Table:
    """Return dates as instants without a zone: NumPy has no other dates."""
    columns: dict[str, Any] = {
        name: table[name].cast(_NAIVE) if pa.types.is_date(table[name].type) else table[name]
        for name in table.column_names
    }
    return pa.table(columns)


def as_dtype(column: Any, type_: pa.DataType, dtype: Any) -> Any:
    """Return an answer's column with the dtype, and the Arrow type, that it has in the frame.

    Whole numbers stay exact; where a row of an answer stands for several groups, whole numbers and
    booleans of NumPy become nullable.
    """
    import numpy as np
    import pandas as pd

    if isinstance(dtype, pd.DatetimeTZDtype):
        return column.to_pandas().dt.tz_localize("UTC").astype(dtype)
    if isinstance(dtype, pd.BooleanDtype) or getattr(dtype, "kind", "") in {"i", "u", "b"}:
        if isinstance(dtype, np.dtype) and not column.null_count:
            return pd.Series(column.to_numpy().astype(dtype))
        if isinstance(dtype, np.dtype):
            names = {
                "b": "boolean",
                "i": f"Int{8 * dtype.itemsize}",
                "u": f"UInt{8 * dtype.itemsize}",
            }
            dtype = pd.api.types.pandas_dtype(names[dtype.kind])
        from_arrow = getattr(dtype, "__from_arrow__", None)
        if from_arrow is not None:  # from a list, 2^64 - 1 would go through a float
            return pd.Series(from_arrow(column.cast(type_)))
        return pd.Series(pd.array(column.to_pylist(), dtype=dtype))
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        if pa.types.is_date(type_) or pa.types.is_timestamp(type_):
            column = column.cast(_NAIVE).cast(type_)
        return pd.Series(column.to_pylist(), dtype=object)
    return column.to_pandas(types_mapper=None).astype(dtype)


@cache
def register_lists() -> None:
    """Have pandas read lists of entries from Parquet and Feather files that it wrote.

    Such a file holds the names of dtypes.  pandas cannot parse that of a nested Arrow dtype (pandas
    issue 57411; try without from pandas 4 on), so a dtype is registered that knows the names of our
    three lists.
    """
    import pandas as pd
    from pandas.api.extensions import ExtensionDtype, register_extension_dtype

    lists = [*map(schema.list_type, catalogue.LISTS), schema.COUNTS]
    dtypes = {str(pd.ArrowDtype(type_)): pd.ArrowDtype(type_) for type_ in lists}

    @register_extension_dtype
    class UsageListDtype(ExtensionDtype):
        """Names of the dtypes of `resources`, `charges` and `usage.code.tool_actions`."""

        name = "tidyusage"
        type = object

        @classmethod
        def construct_from_string(cls, string: str) -> Any:
            """Return the Arrow dtype of one of the three lists, by its name."""
            # Parquet calls an item "element", and text may be of the large kind.
            plain = _LARGE.sub("", string).replace("list<element: ", "list<item: ")
            if plain not in dtypes:
                raise TypeError(f"{string!r} is not the name of a list of tidyusage.")
            return dtypes[plain]
