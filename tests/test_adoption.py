"""Users over time, worked out by hand."""

import datetime as dt

import polars as pl
import pytest

import tidyusage as tu
from conftest import rows
from tidyusage.errors import OptionError, RecordError, UnknownFieldError


def came(day, user, *, active=True, **more):
    activity = {"activity": {"is_active": active}}
    return {
        "id": f"{day}{user}",
        "start_date": day,
        "user": {"id": user},
        "usage": activity,
        **more,
    }


JANUARY = [
    came("2026-01-01", "ada"),
    came("2026-01-02", "bob"),
    came("2026-01-02", "cy", active=False),
    came("2026-01-04", "ada"),
    {"id": "nobody", "start_date": "2026-01-05"},
    came(None, "dee"),
]


def days(answer, name="active_users"):
    return [(row["period"].day, row[name]) for row in rows(answer)]


# Rolling


def test_rolling_counts_the_different_users_of_the_last_days(flatten):
    answer = tu.active_users(flatten(JANUARY), freq="1d", rolling=2)
    # 1: the window begins before the frame does.  2: ada and bob.  3: bob, of the day before.
    # 4: ada.  5: ada, of the day before.  dee has no day.
    assert days(answer) == [(1, None), (2, 2), (3, 1), (4, 1), (5, 1)]
    assert days(tu.active_users(flatten(JANUARY), freq="1d", rolling=1)) == [
        (1, 1),
        (2, 1),
        (3, 0),  # no record: a quiet day
        (4, 1),
        (5, None),  # a record that names nobody
    ]


def test_every_group_has_every_period_of_the_frame():
    records = [
        came("2026-01-01", "ada", surface="chat"),
        came("2026-03-31", "bob", surface="cli"),
        came("2026-03-31", "ada", surface="cli"),
    ]
    answer = tu.active_users(tu.flatten_usage(records), "surface", freq="1mo", rolling=2)
    found = {(row["period"].month, row["surface"]): row["active_users"] for row in rows(answer)}
    assert {key: count for key, count in found.items() if count == count} == {  # noqa: PLR0124 - NaN
        (1, "chat"): None,
        (1, "cli"): None,
        (2, "chat"): 1,  # of January
        (2, "cli"): 0,  # no record in January or February, which others of its product have
        (3, "chat"): 0,
        (3, "cli"): 2,
    }


def test_rolling_weeks_begin_on_monday_in_a_zone():
    # Sunday 22:00 in New York is Monday 03:00 UTC
    records = [came("2026-01-12T03:00:00Z", "ada", end_date="2026-01-12T04:00:00Z")]
    records += [came("2026-01-20T03:00:00Z", "bob", end_date="2026-01-20T04:00:00Z")]
    frame = tu.flatten_usage(records, backend="polars")
    here = tu.active_users(frame, freq="1w", rolling=2, tz="America/New_York")
    assert [tuple(row.values()) for row in rows(here)] == [
        (dt.date(2026, 1, 5), None, False),
        (dt.date(2026, 1, 12), 1, True),
        (dt.date(2026, 1, 19), 1, True),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rolling": 7}, "Give freq='1d'"),
        ({"rolling": 0, "freq": "1d"}, "rolling=0"),
        ({"rolling": True, "freq": "1d"}, "rolling=True"),
        ({"rolling": 1.5, "freq": "1d"}, "rolling=1.5"),
    ],
)
def test_a_wrong_rolling_says_so(options, words):
    with pytest.raises(OptionError, match=words):
        tu.active_users(tu.flatten_usage(JANUARY), **options)


@pytest.mark.parametrize(
    "ask", [lambda df: tu.active_users(df, freq="1d", rolling=7), tu.stickiness]
)
def test_a_window_over_midnight_does_not_say_on_which_day(ask, flatten):
    record = came("2026-01-01", "ada", end_date="2026-01-03")
    with pytest.raises(
        Exception,
        match=r"1 record \(2026-01-01ada\) has a window that crosses a bound of freq='1d'",
    ):
        rows(ask(flatten([record])))
    # Of who was not active it does not matter.
    rows(ask(flatten([record | {"usage": {"activity": {"is_active": False}}}])))


def test_it_is_an_error_of_records():
    with pytest.raises(RecordError, match="in the time zone Asia/Tokyo"):
        tu.stickiness(tu.flatten_usage([came("2026-01-01", "ada")]), tz="Asia/Tokyo")


# Stickiness


def test_stickiness_is_the_mean_day_over_the_month(flatten):
    records = [
        came("2026-01-30", "ada"),
        came("2026-01-30", "bob"),
        came("2026-01-31", "ada"),
        came("2026-02-02", "cy"),
        came("2026-02-02", "cy", surface="cli") | {"id": "again"},
        came("2026-02-04", "dee", active=False),
    ]
    # January: the frame covers its 30th and 31st: (2 + 1) / 2 of 2.
    # February: its first four days: (0 + 1 + 0 + 0) / 4 of 1.
    assert [tuple(row.values())[1:] for row in rows(tu.stickiness(flatten(records)))] == [
        (1.5, 2, 0.75),
        (0.25, 1, 0.25),
    ]


def test_a_month_that_names_nobody_is_null_and_nobody_active_has_no_rate():
    records = [
        {"id": "a", "start_date": "2026-01-01"},
        came("2026-02-01", "ada", active=False),
    ]
    answer = tu.stickiness(tu.flatten_usage(records, backend="polars"))
    assert answer.rows() == [
        (dt.date(2026, 1, 1), None, None, None),
        (dt.date(2026, 2, 1), 0.0, 0, None),
    ]
    assert answer.schema == {
        "period": pl.Date,
        "dau": pl.Float64,
        "mau": pl.Int64,
        "stickiness": pl.Float64,
    }


def test_people_joins_and_a_frame_without_users_says_so():
    records = [came("2026-01-01", "ada"), came("2026-01-02", "Ada.L")]
    frame = tu.flatten_usage(records)
    assert rows(tu.stickiness(frame))[0]["mau"] == 2
    assert rows(tu.stickiness(frame, people={"ada.l": "ada"}))[0]["stickiness"] == 1
    with pytest.raises(UnknownFieldError, match=r"stickiness needs: user\.id, user\.email"):
        tu.stickiness(frame[["id", "start_date"]])
