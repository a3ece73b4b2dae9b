"""Validate the keyword options that all reading functions share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from tidyusage import catalogue, schema
from tidyusage._utils import bounded
from tidyusage.errors import OptionError, one_of
from tidyusage.io import paths
from tidyusage.io import rejects as quarantine
from tidyusage.io.parse_sql import FAULT
from tidyusage.layouts import convert_sql
from tidyusage.typing import Backend, Duplicates, Layout, Path, RemoteData, Separator, Unknown

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller asked for."""

    layout: Layout = "wide"
    backend: Backend | None = None
    sep: Separator = "."
    rejects: Path | None = None
    unknown: Unknown = "warn"
    duplicates: Duplicates = "latest"
    remote_data: RemoteData = "drop"
    currency: str | None = None
    connection: duckdb.DuckDBPyConnection | None = None
    session: Any = None
    memory_limit: str | None = None
    temp_directory: Path | None = None
    progress: bool | None = None
    # Whether records are marked with the account and report that they come from.
    has_source: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no option has."""
        if self.backend == "pyspark":  # which takes a dot for a way into a struct
            object.__setattr__(self, "sep", "_")
        one_of("layout", self.layout, get_args(Layout))
        one_of("backend", self.backend, [None, *get_args(Backend)])
        one_of("sep", self.sep, get_args(Separator))
        one_of("unknown", self.unknown, get_args(Unknown))
        one_of("duplicates", self.duplicates, get_args(Duplicates))
        one_of("remote_data", self.remote_data, get_args(RemoteData))
        if self.rejects is not None and not isinstance(self.rejects, str | os.PathLike):
            raise OptionError(f"rejects={self.rejects!r} is no path.", "Give a path, or None.")
        if self.rejects is not None:
            object.__setattr__(self, "rejects", paths.expand(self.rejects))
            quarantine.check_target(self.rejects)
        if self.currency is not None and (
            not isinstance(self.currency, str) or not self.currency.strip()
        ):
            raise OptionError(f"currency={self.currency!r} is no currency.", "Give one as 'USD'.")
        if self.connection is not None and self.backend != "duckdb":
            raise OptionError(
                f"connection= has no meaning with backend={self.backend!r}.",
                "Give backend='duckdb' for a relation of that connection.",
            )
        if self.connection is not None and type(self.connection).__name__ != "DuckDBPyConnection":
            raise OptionError(
                f"connection={self.connection!r} is no DuckDB connection.",
                "Give what duckdb.connect() returns.",
            )
        if self.session is not None and self.backend != "pyspark":
            raise OptionError(
                f"session= has no meaning with backend={self.backend!r}.",
                "Give backend='pyspark' for a frame of that session.",
            )
        self._check_bounds()

    def _check_bounds(self) -> None:
        given = {"memory_limit": self.memory_limit, "temp_directory": self.temp_directory}
        names = [name for name, value in given.items() if value is not None]
        if names and self.backend != "duckdb":
            raise OptionError(
                f"{names[0]}= has no meaning with backend={self.backend!r}.",
                "Give backend='duckdb' for a relation on a DuckDB of its own.",
            )
        if names and self.connection is not None:
            raise OptionError(
                f"{names[0]}= is for a DuckDB of its own, and connection= is yours.",
                "Leave one of them out; yours takes a limit by \"set memory_limit = '2GB'\".",
            )
        if isinstance(self.temp_directory, str | os.PathLike):
            object.__setattr__(self, "temp_directory", paths.expand(self.temp_directory))
        bounded.check(self.memory_limit, self.temp_directory)

    @property
    def is_bounded(self) -> bool:
        """Whether records are read once, into a DuckDB with a limit or a folder of its own."""
        return self.memory_limit is not None or self.temp_directory is not None

    @property
    def keeps_remote_data(self) -> bool:
        """Whether the vendor's raw object is a column."""
        return self.remote_data == "json"

    @property
    def keeps_unknown(self) -> bool:
        """Whether keys that the schema does not know are a column."""
        return self.unknown == "keep"

    @property
    def default_currency(self) -> str | None:
        """What an absent currency means."""
        return self.currency.strip().upper() if self.currency else None

    @property
    def marks_records(self) -> bool:
        """Whether records of one id are told apart by their position."""
        return self.duplicates == "keep" and self.layout != "wide"

    @property
    def verifies(self) -> bool:
        """Whether every record must be looked at before a relation is returned."""
        return (
            self.rejects is not None
            or self.unknown in {"raise", "keep"}
            or self.duplicates == "raise"
        )

    def wide_types(self) -> dict[str, pa.DataType]:
        """Return wide's columns with their types."""
        return schema.layout_types(
            "wide",
            remote_data=self.keeps_remote_data,
            extra=self.keeps_unknown,
            source=self.has_source,
        )

    def types(self) -> dict[str, pa.DataType]:
        """Return the columns of the layout with their types."""
        if self.layout == "wide":
            return self.wide_types()
        return schema.layout_types(self.layout, record=self.marks_records, source=self.has_source)

    @property
    def needs_all(self) -> bool:
        """Whether the layout is made of all columns of wide."""
        return self.layout in {"wide", "long"}

    def needed(self) -> list[str]:
        """Return the columns of wide that the layout is made of, and those that judge a record."""
        types = self.wide_types()
        if self.needs_all:
            return [*types, FAULT]
        judged = (*self.identity, "created_at", "updated_at", convert_sql.CHILDREN[self.layout])
        return [*(name for name in types if name in judged), FAULT]

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns of wide that tell a record from all others."""
        return catalogue.IDENTITY if self.has_source else ("id",)

    def query(self, frame: str) -> str:
        """Return the query from wide to the layout."""
        if self.layout == "wide":
            return f"select * from {frame}"
        if self.layout == "long":
            return convert_sql.long(frame, record=self.marks_records, own=self.identity[:-1])
        return convert_sql.child(
            frame, self.layout, record=self.marks_records, own=self.identity[:-1]
        )
