"""`between`: a frame clipped to a range of dates, and how such ranges are written."""

import datetime as dt
import warnings

import pandas as pd
import polars as pl
import pytest

import tidyusage as tu
from conftest import columns, rows
from flavours import FEW, FLAVOURS, frame_of
from tidyusage.errors import FrameError, OptionError, UndatedWarning
from tidyusage.prepare.windows import parse_date_range

UTC = dt.UTC


def used(id_, start, end=None, amount=30.0):
    charges = [{"type": "net", "amount": amount, "currency": "USD"}]
    counts = {"requests": {"total": amount}, "sessions": {"distinct": 4}}
    activity = {"activity": {"is_active": True}}
    dates = {"start_date": start, "end_date": end}
    product = {"product": {"id": "cursor"}}
    return {"id": id_, **product, "charges": charges, "usage": {**counts, **activity}, **dates}


RECORDS = [
    used("before", "2025-12-30", "2026-01-01"),
    used("into", "2025-12-31", "2026-01-03"),  # 2 of its 3 days
    used("within", "2026-01-05", "2026-01-06"),
    used("day", "2026-01-31"),
    used("event", "2026-01-31T20:08:00Z"),
    used("out of", "2026-01-31T12:00:00Z", "2026-02-01T12:00:00Z"),  # 12 of its 24 hours
    used("across", "2025-12-16", "2026-02-15"),  # 31 of its 61 days
    used("after", "2026-02-01", "2026-02-02"),
]
COSTS = {"into": 20, "within": 30, "day": 30, "event": 30, "out of": 15, "across": 30 * 31 / 61}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_month_holds_what_its_seconds_hold(flavour):
    found = rows(tu.between(frame_of(RECORDS, flavour), "2026-01"))
    assert {row["id"]: row["charges.net"] for row in found} == pytest.approx(COSTS)
    assert [row["id"] for row in found] == list(COSTS)
    for row in found:
        is_cut = row["id"] in {"into", "out of", "across"}
        assert row["window_cut"] is is_cut
        # Distinct counts and flags are about the whole window.
        assert row["usage.sessions.distinct"] == (None if is_cut else 4)
        assert row["usage.activity.is_active"] == (None if is_cut else True)
        assert row["usage.requests.total"] == pytest.approx(COSTS[row["id"]])
        (charge,) = row["charges"]
        assert charge["amount"] == pytest.approx(COSTS[row["id"]])
    dates = {row["id"]: (row["start_date"], row["end_date"]) for row in found}
    assert dates["across"] == (
        dt.datetime(2026, 1, 1, tzinfo=UTC),
        dt.datetime(2026, 2, 1, tzinfo=UTC),
    )
    assert dates["into"][0] == dt.datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("flavour", FEW)
def test_metrics_of_a_month_are_the_month_of_the_metrics(flavour):
    frame = frame_of(RECORDS, flavour)
    months = {str(row["period"])[:7]: row["cost"] for row in rows(tu.cost_by(frame, freq="1mo"))}
    for month, cost in months.items():
        (row,) = rows(tu.cost_by(tu.between(frame, month)))
        assert row["cost"] == pytest.approx(cost)


@pytest.mark.parametrize("flavour", FEW)
def test_a_date_as_the_upper_bound_is_included_and_an_instant_is_not(flavour):
    frame = frame_of([used("a", "2026-01-30"), used("b", "2026-01-31")], flavour)
    ids = lambda *bounds: [row["id"] for row in rows(tu.between(frame, *bounds))]  # noqa: E731
    assert ids("2026-01-30", "2026-01-31") == ["a", "b"]
    assert ids("2026-01-30", "2026-01-31T00:00:00Z") == ["a"]
    assert ids(None, "2026-01-30") == ["a"]
    assert ids("2026-01-31") == ["b"]
    assert ids(dt.date(2026, 1, 31), pd.Timestamp("2026-01-31 12:00")) == ["b"]


@pytest.mark.parametrize("flavour", FEW)
def test_bounds_are_those_of_the_zone(flavour):
    # A day of UTC; in New York the 31st begins at 05:00 UTC, so that 19 of 24 hours are its own.
    frame = frame_of(used("a", "2026-01-31", amount=24), flavour)
    (row,) = rows(tu.between(frame, "2026-01-31", "2026-01-31", tz="America/New_York"))
    assert row["charges.net"] == pytest.approx(19)
    assert row["window_cut"] is True


@pytest.mark.parametrize("flavour", FEW)
def test_an_inclusive_end_belongs_to_the_window(flavour):
    frame = frame_of(used("a", "2026-01-30", "2026-02-01", amount=30), flavour)
    (row,) = rows(tu.between(frame, "2026-01", end={"cursor": "inclusive"}))  # 2 of 3 days
    assert row["charges.net"] == pytest.approx(20)
    (row,) = rows(tu.between(frame, "2026", end="inclusive"))
    assert (row["window_cut"], row["charges.net"]) == (False, 30)


@pytest.mark.parametrize("flavour", FEW)
def test_records_without_dates_are_left_out_with_their_count(flavour):
    frame = frame_of([used("a", None), used("b", None), used("c", "2026-01-31")], flavour)
    if flavour == "duckdb":
        assert [row["id"] for row in rows(tu.between(frame, "2026-01"))] == ["c"]
        return
    found = tu.between(frame, "2026-01") if flavour == "polars lazy" else None  # warns later
    with pytest.warns(UndatedWarning, match=r"2 records have no start_date"):
        found = rows(tu.between(frame, "2026-01") if found is None else found)
    assert [row["id"] for row in found] == ["c"]


def test_a_frame_without_a_column_of_dates_has_nothing_in_a_range():
    frame = tu.flatten_usage([used("a", "2026-01-31")], backend="polars").drop("start_date")
    with pytest.warns(UndatedWarning, match="1 record has no start_date"):
        found = tu.between(frame, "2026-01")
    assert found.is_empty()
    assert columns(found) == [*frame.columns, "window_cut"]


def test_the_mark_of_a_cut_window_stays():
    frame = tu.flatten_usage(used("a", "2026-01-30", "2026-02-02"), backend="polars")
    january = tu.between(frame, "2026-01")
    days = tu.daily(january)
    assert days["window_cut"].to_list() == [True, True]
    assert tu.between(days, "2026-01-31")["window_cut"].to_list() == [True]
    assert tu.daily(frame)["charges.net"].to_list() == pytest.approx([10, 10, 10])
    assert tu.between(tu.daily(frame), "2026-02")["charges.net"].to_list() == pytest.approx([10])
    assert columns(tu.between(january, "2026")) == columns(january)


def test_nothing_runs_before_a_lazy_frame_is_collected():
    def fail(frame):
        raise RuntimeError("collected")

    lazy = frame_of(RECORDS, "polars lazy")
    found = tu.between(lazy.map_batches(fail, schema=lazy.collect_schema()), "2026-01")
    assert isinstance(found, pl.LazyFrame)
    with pytest.raises(Exception, match="collected"):
        found.collect()


def test_the_caller_s_frame_and_its_own_columns_stay():
    frame = tu.flatten_usage(RECORDS).assign(team=pd.Categorical(["x"] * len(RECORDS)))
    before = frame.copy()
    found = frame.usage.between("2026-01", tz="UTC")
    pd.testing.assert_frame_equal(frame, before)
    assert columns(found) == [*columns(frame), "window_cut"]
    assert found["team"].dtype == frame["team"].dtype
    assert found["window_cut"].dtype == "boolean"


def test_a_long_frame_is_refused():
    with pytest.raises(FrameError, match="to_wide"):
        tu.between(tu.load_example(layout="long"), "2026-01")


JANUARY = ("2026-01-01T00:00", "2026-02-01T00:00")
RANGES = [
    (("2026-01",), JANUARY),
    (("2026-01", "2026-01"), JANUARY),
    (("2026-01-01", "2026-01-31"), JANUARY),
    (("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"), JANUARY),
    (("2026-01-01 01:00+01:00", "2026-01-31"), JANUARY),
    ((dt.date(2026, 1, 1), dt.datetime(2026, 2, 1, tzinfo=UTC)), JANUARY),
    (("2026",), ("2026-01-01T00:00", "2027-01-01T00:00")),
    (("2026-Q4",), ("2026-10-01T00:00", "2027-01-01T00:00")),
    (("2026-q1", "2026-Q2"), ("2026-01-01T00:00", "2026-07-01T00:00")),
    (("2026-12",), ("2026-12-01T00:00", "2027-01-01T00:00")),
    # 2026 begins on a Thursday: its first ISO week begins on 29 December, and it has 53.
    (("2026-W01",), ("2025-12-29T00:00", "2026-01-05T00:00")),
    (("2026-W53",), ("2026-12-28T00:00", "2027-01-04T00:00")),
    (("2026-01-05",), ("2026-01-05T00:00", None)),
    (("2026-01-05T12:00",), ("2026-01-05T12:00", None)),
    ((None, "2026-01"), (None, "2026-02-01T00:00")),
]


@pytest.mark.parametrize(("bounds", "expected"), RANGES)
def test_a_range_is_one_period_or_two_bounds(bounds, expected):
    found = parse_date_range(*bounds)
    told = [at and f"{at:%Y-%m-%dT%H:%M}" for at in (found.since, found.until)]
    assert tuple(told) == expected
    assert {at.tzinfo for at in (found.since, found.until) if at} == {UTC}


@pytest.mark.parametrize(
    ("zone", "day", "first", "after"),
    [
        ("Asia/Tokyo", "2026-01-01", "2025-12-31T15:00", "2026-01-01T15:00"),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00", "2026-03-09T04:00"),
        # There is no midnight: clocks go from 23:59 to 01:00, at 03:00 UTC.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00", "2018-11-05T02:00"),
        # Midnight comes twice, first at 04:00 UTC.
        ("America/Havana", "2025-11-02", "2025-11-02T04:00", "2025-11-03T05:00"),
    ],
)
def test_a_day_is_that_of_its_zone(zone, day, first, after):
    found = parse_date_range(day, day, zone)
    assert [f"{at:%Y-%m-%dT%H:%M}" for at in (found.since, found.until)] == [first, after]


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ((), "has no bound"),
        (("2026-13",), "Invalid date: since='2026-13'"),
        (("2026-Q5",), "Invalid date"),
        (("2025-W53",), "Invalid date"),
        (("20260131",), "Invalid date"),
        (("2026-02-30",), "Invalid date"),
        (("January",), "Invalid date"),
        ((2026,), "Invalid date: since=2026"),
        (("9999",), "Invalid date"),
        (("2026-01", "yesterday"), "Invalid date: until='yesterday'"),
        (("2026-02-01", "2026-01-31"), "ends before it starts"),
        (("2026-02-01T00:00Z", "2026-02-01T00:00Z"), "ends before it starts"),
    ],
)
def test_an_invalid_range_is_named(bounds, text):
    with pytest.raises(OptionError, match=text):
        tu.between(tu.flatten_usage(RECORDS[0]), *bounds)


def test_an_invalid_zone_is_named():
    with pytest.raises(OptionError, match="Mars"):
        tu.between(tu.flatten_usage(RECORDS[0]), "2026", tz="Mars")


def test_whole_windows_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tu.between(tu.load_example(), "2026-01")
