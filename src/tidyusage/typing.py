"""Public types: the frames that functions take and return, and the values of options."""

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from datetime import date, timedelta

    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from pyspark.sql import DataFrame as SparkFrame

    Frame: TypeAlias = (
        pd.DataFrame | pl.DataFrame | pl.LazyFrame | pa.Table | duckdb.DuckDBPyRelation | SparkFrame
    )
else:
    Frame = Any

Layout: TypeAlias = Literal["wide", "long", "charges", "resources", "tool_actions"]
Backend: TypeAlias = Literal["pandas", "polars", "pyarrow", "duckdb", "pyspark"]
Separator: TypeAlias = Literal[".", "_"]
Unknown: TypeAlias = Literal["warn", "ignore", "raise", "keep"]
Duplicates: TypeAlias = Literal["latest", "keep", "raise"]
RemoteData: TypeAlias = Literal["drop", "json"]
ChargeType: TypeAlias = Literal[
    "total",
    "net",
    "on_demand",
    "committed",
    "usage_based",
    "included",
    "platform_fee",
    "discount",
    "tax",
    "credit",
]
Policy: TypeAlias = Literal["billed", ChargeType]
Charge: TypeAlias = Policy | Mapping[str, Policy]
Rates: TypeAlias = "Mapping[str, float] | Frame"
Prices: TypeAlias = "Mapping[str, Mapping[str, float]] | Frame"
Aliases: TypeAlias = "Mapping[str, str] | Frame"
Scope: TypeAlias = Literal["unbilled", "all"]
Tokens: TypeAlias = Literal["total", "input", "output", "cache_read", "cache_write"]
Convention: TypeAlias = Literal["auto", "exclusive", "inclusive"]
Conventions: TypeAlias = Convention | Mapping[str, Convention]
AcceptanceKind: TypeAlias = Literal["tab", "edit", "line", "tool"]
Severity: TypeAlias = Literal["error", "warning", "info"]
Freq: TypeAlias = Literal["1h", "1d", "1w", "1mo", "1q", "1y"]
WeekStart: TypeAlias = Literal["monday", "sunday"]
End: TypeAlias = Literal["exclusive", "inclusive"]
Grain: TypeAlias = Literal["finest", "coarsest"]
Overlap: TypeAlias = Literal["warn", "ignore", "raise"]
Crossing: TypeAlias = Literal["raise", "exclude", "touch"]
People: TypeAlias = Mapping[str, str]
Divided: TypeAlias = Literal["resources"]
Where: TypeAlias = str | Mapping[str, Any]
Weights: TypeAlias = str | Mapping[str, float] | Callable[[Any], Any]
Ends: TypeAlias = End | Mapping[str, End]
Lag: TypeAlias = "str | timedelta | Mapping[str, str | timedelta]"
Instant: TypeAlias = "str | date"
Identity: TypeAlias = Literal["id", "natural"]
Every: TypeAlias = Literal["1d", "1mo"]
Partial: TypeAlias = Literal["raise", "warn"]
Tables: TypeAlias = Literal["wide", "long", "star", "focus"]
VirtualCurrencies: TypeAlias = Mapping[str, tuple[str, float]]
Services: TypeAlias = Mapping[str, tuple[str, str, str]]
CreditSign: TypeAlias = Literal["keep", "negative"]
Mode: TypeAlias = Literal["error", "overwrite", "append", "upsert"]
Texts: TypeAlias = "str | Iterable[str]"

Record: TypeAlias = Mapping[str, Any]
Records: TypeAlias = "Record | Iterable[Any] | str | bytes | Frame"
Path: TypeAlias = str | PathLike[str]
Source: TypeAlias = Path | IO[bytes] | Iterable[Path]

FrameT = TypeVar("FrameT", bound="Frame")
