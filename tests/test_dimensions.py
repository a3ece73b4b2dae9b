"""Columns of the caller's own as dimensions: any name, any dtype, on every library."""

import datetime as dt
import uuid
from functools import cache

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

import tidyusage as tu
from conftest import FRAMES, ask, rows
from test_metrics import wide
from tidyusage.errors import FrameError, OptionError, UnknownFieldError, UnknownOptionError

# What steps of queries call their columns.
INNER = (
    "provider",
    "total",
    "input",
    "output",
    "cost",
    "currency",
    "tokens",
    "value",
    "a{b}",
    "x y",
)


def own(name, value, backend):
    frame = wide(backend=backend)
    if backend == "pandas":
        return frame.assign(**{name: value})
    if backend == "polars":
        return frame.with_columns(pl.lit(value).alias(name))
    return duckdb.from_arrow(frame.with_columns(pl.lit(value).alias(name)).to_arrow())


@cache
def without_it(metric, backend):
    return rows(ask(metric, wide(backend=backend), *(["id"] if metric == "top" else [])))


@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize(("backend", "value"), [("pandas", "x"), ("polars", 1.0)])
def test_a_column_may_be_called_anything_that_the_answer_is_not(name, value, backend):
    frame = own(name, value, backend)
    for metric in FRAMES:
        try:
            answer = rows(ask(metric, frame, name))
        except OptionError as error:
            assert "called like a column of the answer" in str(error)  # noqa: PT017
            continue
        assert {row[name] for row in answer} <= {value, None}
        if metric != "top":
            assert [{k: v for k, v in row.items() if k != name} for row in answer] == without_it(
                metric, backend
            )


def test_a_name_that_differs_in_case_alone_is_refused():
    for metric, name in (("acceptance_rate", "Kind"), ("totals", "Metric"), ("cost_by", "COST")):
        with pytest.raises(OptionError, match=f"{name!r} is called like a column of the answer"):
            ask(metric, wide().assign(**{name: "x"}), name)


def test_whole_numbers_stay_exact_beside_nulls():
    ids = [2**60 + 1, 2**60 + 3, None, *[2**60 + 1] * 5]
    frame = wide().assign(account=pd.array(ids, dtype="Int64"))
    answer = tu.cost_by(frame, "account", charge="tax")
    assert answer["account"].dtype == "Int64"
    assert set(answer["account"].dropna()) == {2**60 + 1, 2**60 + 3}


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint64", "bool"])
def test_the_others_of_top_have_no_value_of_a_numpy_column(dtype):
    frame = wide().assign(seat=np.arange(8).astype(dtype))
    answer = tu.top(frame, 1, "seat")
    assert str(answer["seat"].dtype).lower() == {"bool": "boolean"}.get(dtype, dtype)
    assert answer["seat"].isna().any()


def test_objects_come_back_as_they_went_in():
    day = dt.date(2026, 1, 5)
    frame = wide().assign(day=pd.Series([day, None] * 4, dtype=object))
    assert set(tu.cost_by(frame, "day")["day"]) == {day, None}
    assert len(frame.merge(tu.cost_by(frame, "day"), on="day")) >= 8
    names = [str(uuid.UUID(int=n)) for n in range(8)]
    assert set(tu.top(wide().assign(u=names), 9, "u")["u"]) <= set(names)


@pytest.mark.parametrize(
    "make",
    [
        lambda df: pd.cut(pd.Series(range(8)), 2),
        lambda df: df["start_date"].dt.tz_localize(None).dt.to_period("Q"),
        lambda df: df["end_date"] - df["start_date"],
        lambda df: df["start_date"].astype("datetime64[ns, UTC]"),
        lambda df: [1, "x", *[None] * 6],
    ],
)
def test_what_nothing_can_be_grouped_by_is_said(make):
    frame = wide()
    with pytest.raises(FrameError, match=r"(?s)The column 'odd' holds .* first"):
        tu.cost_by(frame.assign(odd=make(frame)), "odd", freq="1d")


def test_a_polars_duration_is_refused_too():
    frame = wide(backend="polars").with_columns(odd=pl.duration(days=1))
    for lazy in (frame, frame.lazy()):
        with pytest.raises(FrameError, match="The column 'odd' holds duration"):
            tu.cost_by(lazy, "odd")


def test_a_midnight_that_comes_twice_begins_its_day_once():
    # Azores: 01:00 becomes 00:00 again on 25 October 2026.  Havana: on 1 November.
    for zone, start, end in (
        ("Atlantic/Azores", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"),
        ("Atlantic/Azores", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
        ("Atlantic/Azores", "2026-10-25T00:00:00Z", "2026-10-26T00:00:00Z"),
        ("America/Havana", "2026-11-01T04:10:00Z", "2026-11-01T04:20:00Z"),
    ):
        charge = {"type": "net", "amount": 100, "currency": "USD"}
        record = {"id": "a", "start_date": start, "end_date": end, "charges": [charge]}
        answer = rows(tu.cost_by(tu.flatten_usage([record]), freq="1d", tz=zone))
        assert [row["cost"] for row in answer] == [pytest.approx(100)]


def test_sessions_defaults_change_no_order():
    connection = duckdb.connect()
    connection.execute("set default_order = 'desc'")
    charge = [{"type": "net", "amount": 1, "currency": "USD"}]
    days = [{"id": str(n), "start_date": f"2026-0{n}-01", "charges": charge} for n in (1, 2)]
    usage = tu.flatten_usage(days, backend="duckdb", connection=connection)
    answer = rows(tu.trend(usage))
    assert [(row["period"].month, row["change"]) for row in answer] == [(1, None), (2, 0)]


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_blanks_that_are_no_spaces_are_told_apart_everywhere(backend):
    names = ["a@x.com", " A@X.com", "a@x.com\n"]
    active = {"activity": {"is_active": True}}
    records = [{"id": str(n), "user": {"email": e}, "usage": active} for n, e in enumerate(names)]
    assert rows(tu.active_users(tu.flatten_usage(records, backend=backend))) == [
        {"active_users": 2}
    ]


@pytest.mark.parametrize(
    ("ask_", "error", "words"),
    [
        (
            lambda df: tu.cost_by(df, by="model.id"),
            UnknownOptionError,
            r"cost_by\(df, 'model.id', 'user.id'\)",
        ),
        (lambda df: tu.cost_by(None), FrameError, "NoneType is no frame"),
        (lambda df: tu.cost_by(df["id"]), FrameError, "Series is no frame"),
        (lambda df: tu.cost_by(df, freq=""), OptionError, "freq=''"),
        (lambda df: tu.cost_by(df, charge={1: "net"}), OptionError, "names the product 1"),
        (lambda df: tu.cost_by(df, tz="localtime"), OptionError, "Invalid time zone: 'localtime'"),
        (lambda df: tu.tokens_by(df, token_convention={1: "auto"}), OptionError, "names 1"),
        (lambda df: tu.top(df, 3, ["model.id"]), OptionError, "Expected the name of a dimension"),
        (lambda df: tu.cost_per(df, ["commits"]), OptionError, "no name of a measure"),
        (lambda df: tu.cost_per(df, "users", "product.id", seats={}), OptionError, "is empty"),
        (lambda df: tu.cost_per_token(df, per=10**400), OptionError, "no positive number"),
        (lambda df: tu.active_users(df, people=["a"]), OptionError, "people= maps text"),
        (lambda df: tu.active_users(df, freq="1d", rolling=10**12), OptionError, "rolling=1000"),
        (
            lambda df: tu.acceptance_rate(df[["id", "usage.requests.tab_accepted"]], kind="tab"),
            UnknownFieldError,
            "needs both columns of a kind",
        ),
    ],
)
def test_options_of_the_wrong_kind_are_told_in_words(ask_, error, words):
    with pytest.raises(error, match=words):
        ask_(wide())


def test_numbers_may_be_numpys_or_decimal():
    from decimal import Decimal

    known = wide().iloc[:1]
    assert rows(tu.cost_by(known, rates={"USD": Decimal("0.5")}, to="EUR"))[0]["cost"] == 4
    assert rows(tu.cost_per_token(known, per=np.int64(100)))[0]["cost_per_token"] == 4
    assert len(tu.top(wide(), np.int64(1), "product.id")) == 4
