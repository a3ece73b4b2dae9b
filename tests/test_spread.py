"""Figures of windows that are longer than the period are spread evenly, and that is said."""

import datetime as dt
import json
import warnings

import pytest

import tidyusage as tu
from conftest import rows
from flavours import frame_of
from tidyusage.errors import SpreadWarning

EAGER = ("pandas", "pandas arrow", "polars", "pyarrow")


def window(id_, days, start=dt.date(2026, 1, 5), product="p"):
    charge = {"type": "net", "amount": 24, "currency": "USD"}
    end = start + dt.timedelta(days=days) if days is not None else None
    dates = {"start_date": str(start), "end_date": end and str(end)}
    return {"id": id_, "product": {"id": product}, "charges": [charge], **dates}


def records(*lengths):
    return [window(f"r{n}", days) for n, days in enumerate(lengths)]


def warned(ask):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        rows(ask())
    return [str(each.message) for each in told if each.category is SpreadWarning]


@pytest.mark.parametrize("flavour", [*EAGER, "polars lazy"])
@pytest.mark.parametrize("layout", ["wide", "long"])
def test_daily_records_by_the_hour_warn_once(flavour, layout):
    frame = frame_of(records(1, 1, None), flavour, layout=layout)
    (message,) = warned(lambda: tu.cost_by(frame, freq="1h", overlap="ignore"))
    assert message.startswith("Figures are spread evenly: 3 of 3 windows are longer")


def test_a_lazy_frame_warns_when_it_is_collected():
    frame = frame_of(records(1, 1), "polars lazy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lazy = tu.cost_by(frame, freq="1h")
    with pytest.warns(SpreadWarning):
        lazy.collect()


SILENT = [
    ("1d", [1, 1, None]),
    ("1w", [7, 7]),
    ("1mo", [7, 7, 7]),  # weeks that cross the month's end are no matter
    ("1mo", [31, 30, 28]),
    ("1q", [92]),
    ("1y", [365, 366]),
    ("1d", [1, 7]),  # half of them are not most
    ("1d", []),
]
WARNING = [
    ("1h", [1]),
    ("1d", [1, 7, 7]),
    ("1d", [2]),
    ("1w", [30]),
    ("1mo", [92]),
    ("1q", [365]),
    ("1y", [400]),
]


@pytest.mark.parametrize(("freq", "lengths"), SILENT)
def test_no_warning_where_most_windows_fit(freq, lengths):
    frame = frame_of(records(*lengths))
    assert not warned(lambda: tu.cost_by(frame, freq=freq, overlap="ignore"))


@pytest.mark.parametrize(("freq", "lengths"), WARNING)
def test_a_warning_where_most_windows_are_longer(freq, lengths):
    frame = frame_of(records(*lengths))
    assert len(warned(lambda: tu.cost_by(frame, freq=freq, overlap="ignore"))) == 1


def test_a_day_of_25_hours_is_a_day():
    record = window("a", 1) | {
        "start_date": "2026-11-01T04:00:00Z",
        "end_date": "2026-11-02T05:00:00Z",  # in New York, where clocks go back
    }
    frame = frame_of(record)
    assert not warned(lambda: tu.cost_by(frame, freq="1d", tz="America/New_York"))


def test_events_by_the_hour_are_not_spread():
    record = window("a", None) | {"start_date": "2026-01-05T20:08:00Z"}
    assert not warned(lambda: tu.cost_by(frame_of(record), freq="1h"))


def test_an_inclusive_end_makes_a_window_longer():
    frame = frame_of(records(1))  # two days, if the end is meant to be included
    assert not warned(lambda: tu.cost_by(frame, freq="1d"))
    assert warned(lambda: tu.cost_by(frame, freq="1d", end="inclusive"))
    assert warned(lambda: tu.cost_by(frame, freq="1d", end={"p": "inclusive"}))
    assert not warned(lambda: tu.cost_by(frame, freq="1d", end={"q": "inclusive"}))


def test_users_and_figures_without_periods_do_not_warn():
    frame = frame_of(records(7))
    assert not warned(lambda: tu.cost_by(frame))
    assert not warned(lambda: tu.active_users(frame, freq="1mo"))


def test_records_without_dates_have_no_window():
    undated = window("a", None) | {"start_date": None}
    assert not warned(lambda: tu.cost_by(frame_of([undated]), freq="1h"))


def test_a_relation_cannot_warn():
    frame = frame_of(records(1), "duckdb")
    assert not warned(lambda: tu.cost_by(frame, freq="1h"))


@pytest.mark.parametrize(("freq", "is_spread"), [("1h", True), ("1d", False)])
def test_a_chart_says_it_in_its_subtitle(freq, is_spread):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        chart = tu.plot.cost_by(frame_of(records(1, 1), "pandas"), freq=freq, overlap="ignore")
    assert ("Spread evenly" in json.dumps(chart.to_dict())) is is_spread
    assert len([each for each in told if each.category is SpreadWarning]) == is_spread
