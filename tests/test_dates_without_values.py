"""Columns of dates that hold nothing have no dtype of their own; every question still has an answer."""

import polars as pl
import pyarrow as pa
import pytest

import tidyusage as tu
from conftest import rows

COLUMNS = {
    "id": ["a"],
    "charges.net": [1.5],
    "charges.currency": ["USD"],
    "start_date": [None],
    "end_date": [None],
    "user.id": ["u"],
    "usage.requests.total": [1.0],
}


@pytest.mark.parametrize(
    "library", [pa.table, pl.DataFrame, pl.LazyFrame, lambda c: pa.table(c).to_pandas()]
)
def test_all_records_are_without_a_date(library):
    frame = library(COLUMNS)
    for freq in ("1h", "1d", "1mo", "1y"):
        (found,) = rows(tu.cost_by(frame, freq=freq))
        assert (found["period"], found["cost"]) == (None, 1.5)
    assert rows(tu.active_users(frame, freq="1d")) == []
    assert rows(tu.active_users(frame))[0]["active_users"] == 1
