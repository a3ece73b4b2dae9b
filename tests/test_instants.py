"""Events: a start with a time of day and no end after it counts whole, at that moment."""

import datetime as dt
from pathlib import Path

import duckdb
import polars as pl
import pytest

import tidyusage as tu
from conftest import rows
from flavours import FEW, FLAVOURS, frame_of
from tidyusage.metrics import _mixed_grains
from tidyusage.metrics._periods import window_end_sql
from tidyusage.testing import sample_records

DATA = Path(__file__).parent / "data"


def event(start, amount=1.0, end=None, id_="a", **more):
    charge = {"type": "net", "amount": amount, "currency": "USD"}
    window = {"start_date": start, "end_date": end}
    return {"id": id_, "product": {"id": "cursor"}, "charges": [charge], **window, **more}


def by_period(frame, **options):
    answer = rows(tu.cost_by(frame, **options))
    return {str(row["period"])[:10]: row["cost"] for row in answer}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_event_late_on_the_last_day_belongs_to_its_month(flavour):
    frame = frame_of(event("2026-01-31T20:08:00Z", 31), flavour)
    assert by_period(frame, freq="1mo") == {"2026-01-01": 31}


@pytest.mark.parametrize("flavour", FEW)
@pytest.mark.parametrize(
    ("start", "end", "periods"),
    [
        # A day begins at 00:00 UTC, however that is written.
        ("2026-01-31", None, {"2026-01-31": 24}),
        ("2026-01-31T00:00:00Z", None, {"2026-01-31": 24}),
        ("2026-01-31T02:00:00+02:00", None, {"2026-01-31": 24}),
        ("2026-01-31", "2026-01-31", {"2026-01-31": 24}),
        ("2026-01-31", "2026-01-30", {"2026-01-31": 24}),
        # Any other start without an end after it is an instant.
        ("2026-01-31T00:00:00.000001Z", None, {"2026-01-31": 24}),
        ("2026-01-31T23:59:59.999999Z", None, {"2026-01-31": 24}),
        ("2026-01-31T20:08:00Z", "2026-01-31T20:08:00Z", {"2026-01-31": 24}),
        ("2026-01-31T20:08:00Z", "2026-01-31T20:00:00Z", {"2026-01-31": 24}),
        ("2026-01-31T00:00:00+05:30", None, {"2026-01-30": 24}),
        # A window with an end after its start is split, one hour of three before midnight.
        ("2026-01-31T23:00:00Z", "2026-02-01T02:00:00Z", {"2026-01-31": 8, "2026-02-01": 16}),
    ],
)
def test_a_missing_end_makes_a_day_of_midnight_and_an_instant_of_the_rest(
    flavour, start, end, periods
):
    assert by_period(frame_of(event(start, 24, end), flavour), freq="1d") == pytest.approx(periods)


@pytest.mark.parametrize("flavour", FEW)
def test_an_instant_is_in_the_period_that_its_zone_shows(flavour):
    frame = frame_of(event("2026-01-31T20:08:00Z", 31), flavour)
    # 20:08 in UTC is 05:08 of the next day in Tokyo
    assert by_period(frame, freq="1mo", tz="Asia/Tokyo") == {"2026-02-01": 31}
    hours = rows(tu.cost_by(frame, freq="1h", tz="Asia/Tokyo"))
    assert [row["period"].astimezone(dt.UTC).hour for row in hours] == [20]


@pytest.mark.parametrize("flavour", FEW)
def test_an_inclusive_end_on_the_same_day_still_ends_after_the_event(flavour):
    # end_date of the 31st, meant to its end: the window is 18:00 to 24:00.
    frame = frame_of(event("2026-01-31T18:00:00Z", 6, "2026-01-31"), flavour)
    found = rows(tu.cost_by(frame, freq="1h", end="inclusive"))
    assert [row["cost"] for row in found] == pytest.approx([1] * 6)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_daily_leaves_an_event_as_it_is(flavour):
    frame = frame_of([event("2026-01-31T20:08:00Z"), event("2026-01-31", id_="b")], flavour)
    found = rows(tu.daily(frame))
    assert [row["id"] for row in found] == ["a", "b"]
    for after, before in zip(found, rows(frame), strict=True):
        assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("flavour", FEW)
def test_the_user_of_an_event_is_active_in_one_period(flavour):
    used = {"user": {"id": "ada"}, "usage": {"requests": {"chat": 1}}}
    frame = frame_of(event("2026-01-31T20:08:00Z", **used), flavour)
    for freq, period in {"1d": "2026-01-31", "1w": "2026-01-26", "1mo": "2026-01-01"}.items():
        (row,) = rows(tu.active_users(frame, freq=freq))
        assert (str(row["period"])[:10], row["active_users"]) == (period, 1)


@pytest.mark.parametrize("flavour", FEW)
def test_the_summary_counts_the_day_of_an_event_once(flavour):
    found = {
        row["figure"]: row
        for row in rows(tu.summary(frame_of(event("2026-01-31T20:08Z"), flavour)))
    }
    assert found["days"]["value"] == 1


def test_events_lie_within_the_day_that_rolls_them_up():
    """Three events of a user, 6 USD, and the organization's day, 6 USD: the same money twice."""
    times = ("00:00:01", "12:00:00", "23:59:59")
    records = [
        event(f"2026-01-31T{time}Z", amount, id_=time, user={"id": "ada"})
        for time, amount in zip(times, (1, 2, 3), strict=True)
    ]
    frame = frame_of([*records, event("2026-01-31", 6, id_="day")])
    (pair,) = rows(tu.overlaps(frame))
    assert (pair["coarser"], pair["finer"], pair["coarser_sum"]) == ("organization", "user", 6)
    (row,) = rows(tu.cost_by(tu.at_grain(frame, "finest"), overlap="ignore"))
    assert row["cost"] == 6


def test_an_event_contains_no_other_row():
    """With 24 hours for the first event, the second one would lie within it."""
    records = [event("2026-01-30T12:00:00Z"), event("2026-01-31T11:00:00Z", id_="b")]
    table = tu.flatten_usage(records, backend="polars")
    assert tu.overlaps(table).is_empty()


STARTS = ("2026-01-31 00:00", "2026-01-31 20:08", "2026-01-31 00:15")
LENGTHS = (None, -60, 0, 1, 86_400)


def test_the_quick_look_knows_windows_as_sql_does():
    starts = [dt.datetime.fromisoformat(start) for start in STARTS for _ in LENGTHS]
    ends = [
        None if length is None else dt.datetime.fromisoformat(start) + dt.timedelta(seconds=length)
        for start in STARTS
        for length in LENGTHS
    ]
    windows = pl.DataFrame({"start_date": starts, "end_date": ends})
    ours = windows.select(pl.all().cast(pl.Int64)).select(
        _mixed_grains.window_end(pl.col("start_date"), pl.col("end_date")).cast(pl.Datetime("us"))
    )
    theirs = duckdb.sql(f"select {window_end_sql()} from windows").fetchall()
    assert ours.rows() == theirs


def test_each_documented_cursor_event_is_on_its_own_day():
    frame = tu.read_usage(DATA / "cursor.ndjson")
    events = frame[frame["id"].str.startswith("event-")]
    # 0.2136232 + 0.3733 + 0, for the third one is included; all of 2025-06-26 after 22:00
    assert by_period(events, freq="1d") == pytest.approx({"2025-06-26": 0.5869232})
    assert by_period(events, freq="1mo") == pytest.approx({"2025-06-01": 0.5869232})


def test_the_sample_records_are_whole_days_in_every_product():
    frame = tu.flatten_usage(sample_records(50), backend="polars")
    assert tu.daily(frame).equals(frame.with_columns(window_cut=False))
    assert frame["start_date"].dt.time().unique().to_list() == [dt.time()]


@pytest.mark.xdist_group("spark")
def test_spark_and_warehouse_sql_count_an_event_whole(spark):
    records = [event("2026-01-31T20:08:00Z", 31), event("2026-01-31", 4, id_="b")]
    frame = tu.flatten_usage(records, backend="pyspark", session=spark)
    found = tu.cost_by(frame, freq="1mo").collect()
    assert [(str(row["period"])[:10], row["cost"]) for row in found] == [("2026-01-01", 35)]
