"""The types of the public face: frames that go in and come out, and the values of options."""

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    Frame: TypeAlias = (
        pd.DataFrame | pl.DataFrame | pl.LazyFrame | pa.Table | duckdb.DuckDBPyRelation
    )
else:
    Frame = Any

Layout: TypeAlias = Literal["wide", "long", "charges", "resources", "tool_actions"]
Backend: TypeAlias = Literal["pandas", "polars", "pyarrow", "duckdb"]
Separator: TypeAlias = Literal[".", "_"]
Unknown: TypeAlias = Literal["warn", "ignore", "raise", "keep"]
Duplicates: TypeAlias = Literal["latest", "keep", "raise"]
RemoteData: TypeAlias = Literal["drop", "json"]

Record: TypeAlias = Mapping[str, Any]
Records: TypeAlias = "Record | Iterable[Any] | str | bytes | Frame"
Path: TypeAlias = str | PathLike[str]
Source: TypeAlias = Path | IO[bytes] | Iterable[Path]

FrameT = TypeVar("FrameT", bound="Frame")
