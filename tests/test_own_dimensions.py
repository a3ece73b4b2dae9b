"""Columns of the caller's own as dimensions: their values come back exactly, whatever their dtype."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tidyusage as tu
from conftest import rows
from flavours import FLAVOURS
from tidyusage.errors import FrameError

RECORDS = [{"id": id_, "usage": {"tokens": {"total": n}}} for id_, n in (("a", 1), ("b", 3))]
TOP = 2**64 - 1
# The tokens of record b are more, so that its value comes first.
VALUES = {
    "unsigned": pa.array([TOP, 1], pa.uint64()),
    "unsigned and null": pa.array([TOP, None], pa.uint64()),
    "signed": pa.array([2**63 - 1, -(2**63)], pa.int64()),
    "signed and null": pa.array([2**63 - 1, None], pa.int64()),
    "small": pa.array([255, 0], pa.uint8()),
    "decimal": pa.array([Decimal("12345678901234567890.12"), Decimal("1.10")]),
    "binary": pa.array([b"a\x00", b"b"]),
    "single": pa.array([0.1, 1.5], pa.float32()),
}


# NumPy has no missing whole number.
CASES = [
    (flavour, values)
    for flavour in FLAVOURS
    for values in VALUES
    if flavour != "pandas nullable" and (flavour != "pandas" or "null" not in values)
]


@pytest.mark.parametrize(("flavour", "values"), CASES)
def test_every_value_comes_back(flavour, values):
    table = tu.flatten_usage(RECORDS, backend="pyarrow").append_column("own", VALUES[values])
    found = [row["own"] for row in rows(tu.tokens_by(FLAVOURS[flavour](table), "own"))]
    assert found == VALUES[values].to_pylist()[::-1]


@pytest.mark.parametrize("dtype", ["uint64", "UInt64", "uint64[pyarrow]"])
def test_unsigned_numbers_of_pandas_keep_value_and_dtype(dtype):
    frame = tu.flatten_usage(RECORDS)
    frame["own"] = pd.Series([TOP, 1], dtype=dtype)
    found = frame.usage.tokens_by("own")["own"]
    assert found.tolist() == [1, TOP]
    assert found.dtype == frame["own"].dtype


def test_python_integers_beyond_64_bits_are_refused_in_words():
    frame = tu.flatten_usage(RECORDS)
    frame["own"] = pd.Series([2**70, 1], dtype=object)
    with pytest.raises(FrameError, match="'own'"):
        frame.usage.tokens_by("own")


def test_an_array_of_numpy():
    frame = tu.flatten_usage(RECORDS).assign(own=np.array([TOP, 1], "uint64"))
    assert frame.usage.tokens_by("own")["own"].tolist() == [1, TOP]


def test_all_others_are_missing_among_whole_numbers():
    frame = tu.flatten_usage(RECORDS).assign(own=np.array([TOP, 1], "uint64"))
    found = frame.usage.top(1, "own", measure="tokens")["own"]  # 1 first, the rest as one row
    assert (found[0], found.isna().tolist(), found.dtype) == (1, [False, True], pd.UInt64Dtype())
    largest = frame.assign(own=np.array([1, TOP], "uint64")).usage.top(1, "own", measure="tokens")
    assert largest["own"][0] == TOP


def test_numbers_without_a_sign_in_polars_periods():
    frame = tu.flatten_usage(RECORDS, backend="polars").with_columns(
        pl.Series("own", [TOP, 1], dtype=pl.UInt64),
        start_date=pl.lit("2026-01-01").str.to_datetime(),
    )
    found = frame.lazy().usage.tokens_by("own", freq="1d").collect()
    assert found["own"].to_list() == [1, TOP]
