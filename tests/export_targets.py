"""Every export target with its own reader, which gives rows as dicts."""

import datetime as dt
import json

import duckdb
import openpyxl
import pantab
import polars as pl
import psycopg
import pyarrow.parquet as pq
from deltalake import DeltaTable

UTC = dt.UTC
NESTED = ("resources", "charges", "usage_code_tool_actions")


def decoded(rows):
    """Rows of a reader that has no lists: the JSON in the place of them is read."""
    return [
        {k: json.loads(v) if k in NESTED and isinstance(v, str) else v for k, v in row.items()}
        for row in rows
    ]


def in_utc(rows):
    return [
        {
            k: v.astimezone(UTC) if isinstance(v, dt.datetime) and v.tzinfo else v
            for k, v in row.items()
        }
        for row in rows
    ]


def read_parquet(path, _=""):
    return pq.read_table(path).to_pylist()


def read_csv(path, _=""):
    return pl.read_csv(path, infer_schema=False).to_dicts()


def read_sheet(path, name):
    names, *rows = list(openpyxl.load_workbook(path)[name].values)
    return [dict(zip(names, row, strict=True)) for row in rows]


def read_folder(path, name):
    return pl.read_parquet(f"{path}/{name}/").to_dicts()


def read_duckdb(path, name):
    with duckdb.connect(path, read_only=True) as connection:
        return in_utc(connection.sql(f"from {name}").to_arrow_table().to_pylist())


def read_postgres(url, name):
    address, _, place = url.partition("?schema=")
    with psycopg.connect(address, row_factory=psycopg.rows.dict_row) as connection:
        return in_utc(connection.execute(f'select * from "{place}".{name}').fetchall())


def read_delta(target, name):
    return DeltaTable(f"{target.removeprefix('delta:')}/{name}").to_pyarrow_table().to_pylist()


def read_hyper(path, name):
    found = pantab.frame_from_hyper(path, table=name, return_type="pyarrow")
    return decoded(found.to_pylist())


# Those that hold whatever an export has, with nulls, zones and every digit.
EXACT = {
    "parquet": ("usage.parquet", read_parquet),
    "folder": ("usage/", read_folder),
    "duckdb": ("usage.duckdb", read_duckdb),
    "postgres": ("", read_postgres),
    "delta": ("delta:usage", read_delta),
    "hyper": ("usage.hyper", read_hyper),
}
ALL = {
    **EXACT,
    "csv": ("usage.csv", read_csv),
    "csv.gz": ("usage.csv.gz", read_csv),
    "excel": ("usage.xlsx", read_sheet),
}
# Those to which rows can be added, and those in which they can take the place of others.
ADDING = ("parquet", "folder", "duckdb", "postgres", "delta", "hyper", "csv", "csv.gz")
REPLACING = ("parquet", "folder", "duckdb", "postgres", "delta")
# Those that hold a star.
SEVERAL = ("folder", "duckdb", "postgres", "delta")
