"""Fiscal years and quarters, and weeks that begin on Sunday."""

import pytest

import tidyusage as tu
from conftest import rows
from flavours import FEW, FLAVOURS, frame_of
from tidyusage.errors import OptionError


def day(date, end=None, amount=1.0):
    charge = {"type": "net", "amount": amount, "currency": "USD"}
    used = {"user": {"id": "ada"}, "usage": {"requests": {"chat": 1}}}
    return {"id": date, "charges": [charge], **used, "start_date": date, "end_date": end}


def periods(answer):
    return [str(row["period"])[:10] for row in rows(answer)]


CASES = [
    # A year that starts in April: 31 March 2026 is in the one that started in April 2025.
    ("1y", {"fiscal_year_start": 4}, ["2026-03-31", "2026-04-01"], ["2025-04-01", "2026-04-01"]),
    ("1y", {"fiscal_year_start": 12}, ["2026-11-30", "2026-12-01"], ["2025-12-01", "2026-12-01"]),
    ("1y", {"fiscal_year_start": 1}, ["2026-03-31"], ["2026-01-01"]),
    # Its quarters, of a year from February: February, May, August, November.
    (
        "1q",
        {"fiscal_year_start": 2},
        ["2026-01-31", "2026-02-01", "2026-04-30", "2026-05-01", "2026-12-31"],
        ["2025-11-01", "2026-02-01", "2026-05-01", "2026-11-01"],
    ),
    ("1q", {"fiscal_year_start": 4}, ["2026-03-31", "2026-04-01"], ["2026-01-01", "2026-04-01"]),
    ("1mo", {"fiscal_year_start": 4}, ["2026-03-31"], ["2026-03-01"]),
    # 4 January 2026 is a Sunday.
    (
        "1w",
        {"week_start": "sunday"},
        ["2026-01-03", "2026-01-04", "2026-01-10", "2026-01-11"],
        ["2025-12-28", "2026-01-04", "2026-01-11"],
    ),
    ("1w", {"week_start": "monday"}, ["2026-01-04", "2026-01-05"], ["2025-12-29", "2026-01-05"]),
]


@pytest.mark.parametrize("flavour", FEW)
@pytest.mark.parametrize(("freq", "options", "dates", "expected"), CASES)
def test_a_period_is_its_first_day(flavour, freq, options, dates, expected):
    frame = frame_of([day(date) for date in dates], flavour)
    assert periods(tu.cost_by(frame, freq=freq, **options)) == expected
    assert periods(tu.active_users(frame, freq=freq, **options)) == expected


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_window_over_the_fiscal_year_s_end_is_split(flavour):
    # 29 March to 3 April: 3 of its 5 days are of the old year.
    frame = frame_of(day("2026-03-29", "2026-04-03", 5), flavour)
    found = rows(tu.cost_by(frame, freq="1y", fiscal_year_start=4))
    assert [(str(row["period"])[:10], row["cost"]) for row in found] == [
        ("2025-04-01", 3),
        ("2026-04-01", 2),
    ]


@pytest.mark.parametrize("flavour", FEW)
def test_a_fiscal_year_is_that_of_the_zone(flavour):
    frame = frame_of(day("2026-04-01T02:00:00Z"), flavour)  # the evening of 31 March in New York
    options = {"freq": "1y", "fiscal_year_start": 4, "tz": "America/New_York"}
    assert periods(tu.cost_by(frame, **options)) == ["2025-04-01"]


def test_a_trend_compares_with_the_fiscal_period_before():
    frame = frame_of([day("2025-05-01", amount=2), day("2026-05-01", amount=3)])
    found = rows(tu.trend(frame, freq="1y", fiscal_year_start=4))
    assert [row["change"] for row in found] == [None, 1]


@pytest.mark.parametrize(
    "ask",
    [
        tu.cost_by,
        tu.tokens_by,
        tu.cache_hit_rate,
        tu.totals,
        tu.acceptance_rate,
        tu.active_users,
        tu.trend,
        lambda df, **o: tu.cost_per(df, "requests", **o),
        tu.cost_per_token,
        lambda df, **o: tu.estimate_cost(df, prices={}, **o),
        lambda df, **o: tu.cache_savings(df, prices={}, **o),
    ],
)
def test_every_metric_with_periods_takes_them_and_refuses_what_is_not_one(ask):
    frame = tu.flatten_usage(day("2026-01-03"), backend="polars")
    answer = ask(frame, freq="1w", week_start="sunday")
    assert set(periods(answer)) <= {"2025-12-28"}
    for month in (0, 13, 1.5, "4", True, None):
        with pytest.raises(OptionError, match=r"fiscal_year_start=.* is not a month[\s\S]*1 to 12"):
            ask(frame, freq="1y", fiscal_year_start=month)
    with pytest.raises(OptionError, match=r"week_start='friday'[\s\S]*'monday', 'sunday'"):
        ask(frame, freq="1w", week_start="friday")


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "spark", "snowflake"])
def test_a_warehouse_s_text_has_the_calendar(dialect):
    text = tu.sql("cost_by", table="usage", dialect=dialect, freq="1y", fiscal_year_start=4)
    assert text != tu.sql("cost_by", table="usage", dialect=dialect, freq="1y")


@pytest.mark.xdist_group("spark")
def test_spark_knows_fiscal_years_and_weeks_from_sunday(spark):
    records = [day(date) for date in ("2026-01-31", "2026-02-01")]
    frame = tu.flatten_usage(records, backend="pyspark", session=spark)
    found = tu.cost_by(frame, freq="1q", fiscal_year_start=2).collect()
    assert [str(row["period"]) for row in found] == ["2025-11-01", "2026-02-01"]
    found = tu.cost_by(frame, freq="1w", week_start="sunday").collect()
    assert [str(row["period"]) for row in found] == ["2026-01-25", "2026-02-01"]
