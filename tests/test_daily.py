"""Windows cut at day bounds: what the pieces hold, and that they add up to the whole."""

import datetime as dt
import math
import random
from fractions import Fraction
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import columns, rows
from flavours import FEW, FLAVOURS, frame_of
from strategies import draws
from test_oracle import RECORDS
from tidyusage.errors import FrameError, OptionError

UTC = dt.UTC
NEW_YORK = "America/New_York"


@pytest.fixture(params=FEW)
def make(request):
    return lambda records, **options: frame_of(records, request.param, **options)


@pytest.fixture(params=FLAVOURS)
def make_each(request):
    return lambda records, **options: frame_of(records, request.param, **options)


def cut(frame, **options):
    """Return the rows of `daily` with instants of UTC, as text without the zone."""
    return [
        {
            name: f"{value.astimezone(UTC):%Y-%m-%dT%H:%M}" if is_time(value) else value
            for name, value in row.items()
        }
        for row in rows(tu.daily(frame, **options))
    ]


def is_time(value):
    return isinstance(value, dt.datetime) and not pd.isna(value)


def windows(found):
    return [(row["start_date"], row["end_date"]) for row in found]


# A cost of Confluent's, as its documentation has it: 12 to 15 October, three days.
CONFLUENT = {
    "id": "dlz-f3a90de",
    "product": {"id": "KAFKA"},
    "metric_name": "KAFKA_NUM_CKUS",
    "resources": [{"id": "lkc-12345"}],
    "charges": [
        {"type": "total", "amount": 99.9},
        {"type": "discount", "amount": 20.7},
        {"type": "net", "amount": 79.2},
    ],
    "usage": {
        "quantity": 72,
        "unit": "hour",
        "requests": {"total": 6},
        "sessions": {"distinct": 5},
        "tools": {"distinct_skills_used_count": 2},
        "activity": {"is_active": True, "client_version": "1.2"},
        "code": {"tool_actions": {"edit": {"accepted": 9, "rejected": 3}}},
    },
    "start_date": "2022-10-12",
    "end_date": "2022-10-15",
    "updated_at": "2022-10-16",
}


@pytest.mark.parametrize("sep", [".", "_"])
def test_a_window_of_three_days_becomes_a_row_of_each(make_each, sep):
    found = cut(make_each(CONFLUENT, sep=sep))
    assert windows(found) == [
        ("2022-10-12T00:00", "2022-10-13T00:00"),
        ("2022-10-13T00:00", "2022-10-14T00:00"),
        ("2022-10-14T00:00", "2022-10-15T00:00"),
    ]
    for piece in found:
        row = {name.replace("_", "."): value for name, value in piece.items()}
        assert row["charges.net"] == pytest.approx(26.4)  # 79.2 / 3
        assert row["charges.discount"] == pytest.approx(6.9)
        assert row["usage.quantity"] == pytest.approx(24)
        assert row["usage.requests.total"] == pytest.approx(2)
        amounts = {entry["type"]: entry["amount"] for entry in row["charges"]}
        assert amounts == pytest.approx({"total": 33.3, "discount": 6.9, "net": 26.4})
        counts = {entry["action"]: entry["count"] for entry in row["usage.code.tool.actions"]}
        assert counts == pytest.approx({"accepted": 3, "rejected": 1})
        for name in ("sessions.distinct", "tools.distinct.skills.used.count", "activity.is.active"):
            assert row[f"usage.{name}"] is None
        assert row["usage.unit"] == "hour"
        assert row["usage.activity.client.version"] == "1.2"
        assert row["metric.name"] == "KAFKA_NUM_CKUS"
        assert row["resources"][0]["id"] == "lkc-12345"
        assert row["updated.at"] == "2022-10-16T00:00"


def test_a_record_within_one_day_stays_as_it_is(make):
    records = [
        {**CONFLUENT, "id": "day", "end_date": "2022-10-13"},
        {**CONFLUENT, "id": "hours", "start_date": "2022-10-12T05:00:00.123456Z"},
        {**CONFLUENT, "id": "no end", "end_date": None},
        {**CONFLUENT, "id": "backwards", "end_date": "2022-10-11"},
        {**CONFLUENT, "id": "undated", "start_date": None, "end_date": None},
        {**CONFLUENT, "id": "only an end", "start_date": None},
    ]
    records[1]["end_date"] = "2022-10-12T06:00:00Z"
    frame = make(records)
    assert rows(tu.daily(frame)) == [{**row, "window_cut": False} for row in rows(frame)]


def test_rows_stand_as_they_did_and_pieces_by_time(make):
    records = [
        {"id": "late", "start_date": "2026-03-03", "end_date": "2026-03-05"},
        {"id": "undated"},
        {"id": "early", "start_date": "2026-01-31T12:00:00Z", "end_date": "2026-02-01T06:00:00Z"},
    ]
    assert [(row["id"], row["start_date"]) for row in cut(make(records))] == [
        ("late", "2026-03-03T00:00"),
        ("late", "2026-03-04T00:00"),
        ("undated", None),
        ("early", "2026-01-31T12:00"),
        ("early", "2026-02-01T00:00"),
    ]


def hours(zone, start, end):
    """Return the hours of each piece of a window, and its part of as many tokens as hours."""
    start, end = (
        dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)) for text in (start, end)
    )
    amount = (end.astimezone(UTC) - start.astimezone(UTC)) / dt.timedelta(hours=1)
    record = {
        "id": "a",
        "start_date": start.astimezone(UTC).isoformat(),
        "end_date": end.astimezone(UTC).isoformat(),
        "usage": {"tokens": {"total": amount}},
    }
    found = rows(tu.daily(tu.flatten_usage(record, backend="polars"), tz=zone))
    lengths = [(row["end_date"] - row["start_date"]) / dt.timedelta(hours=1) for row in found]
    tokens = [row["usage.tokens.total"] for row in found]
    assert lengths == pytest.approx(tokens)
    return lengths


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        (NEW_YORK, "2026-03-08", 23),
        (NEW_YORK, "2026-11-01", 25),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),  # clocks there go by half an hour
        ("Australia/Lord_Howe", "2025-10-05", 23.5),
        ("America/Sao_Paulo", "2018-11-04", 23),  # there is no midnight: 00:00 is 01:00
        ("America/Sao_Paulo", "2018-02-17", 25),  # 24:00 is 23:00 again
        ("America/Havana", "2025-11-02", 25),  # 01:00 is 00:00 again
        ("Asia/Beirut", "2025-03-30", 23),
        ("Asia/Kathmandu", "2026-02-28", 24),
        ("Antarctica/Casey", "2023-03-09", 27),  # 03:00 is 00:00 again
        ("Pacific/Apia", "2011-12-29", 24),
    ],
)
def test_a_day_is_as_long_as_the_zone_s_clocks_make_it(zone, day, length):
    first = dt.date.fromisoformat(day)
    before, after = first - dt.timedelta(days=1), first + dt.timedelta(days=1)
    if zone == "Pacific/Apia":
        after += dt.timedelta(days=1)  # the 30th was left out
    found = hours(zone, f"{before}T12:00", f"{after}T12:00")
    assert found == [12, length, 12]


def test_a_day_of_23_hours_and_the_next(make):
    # In New York 8 March 2026 begins at 05:00 UTC and ends at 04:00: 23 of the 47 hours.
    record = {
        "id": "a",
        "charges": [{"type": "net", "amount": 47}],
        "start_date": "2026-03-08T05:00:00Z",
        "end_date": "2026-03-10T04:00:00Z",
    }
    found = cut(make(record), tz=NEW_YORK)
    assert windows(found) == [
        ("2026-03-08T05:00", "2026-03-09T04:00"),
        ("2026-03-09T04:00", "2026-03-10T04:00"),
    ]
    assert [row["charges.net"] for row in found] == pytest.approx([23, 24])


@pytest.mark.parametrize("end", ["03:00:45", "03:30:00", "06:00:00"])
def test_nothing_is_lost_where_clocks_go_back_over_midnight(end):
    # In Goose Bay it was 00:01 of 7 November 2010 at 03:01 UTC, and then 23:01 of the 6th.
    record = {
        "id": "a",
        "start_date": "2010-11-07T03:00:30Z",
        "end_date": f"2010-11-07T{end}Z",
        "usage": {"tokens": {"total": 5}},
    }
    frame = tu.flatten_usage(record, backend="polars")
    found = tu.daily(frame, tz="America/Goose_Bay")
    assert found.equals(frame.with_columns(window_cut=False))


def test_an_event_is_not_cut(make):
    record = {"id": "a", "start_date": "2026-01-31T18:00:00Z", "usage": {"requests": {"chat": 4}}}
    found = cut(make(record))
    assert windows(found) == [("2026-01-31T18:00", None)]
    assert [row["usage.requests.chat"] for row in found] == [4]


CURSOR = {
    "id": "c",
    "product": {"id": "cursor"},
    "charges": [{"type": "total", "amount": 6}],
    "start_date": "2026-03-01",
    "end_date": "2026-03-03",
}


@pytest.mark.parametrize(
    "end", ["inclusive", {"cursor": "inclusive"}, {"kafka": "exclusive", "*": "inclusive"}]
)
def test_an_inclusive_end_counts_to_the_end_of_its_day(make, end):
    found = cut(make(CURSOR), end=end)
    assert windows(found) == [
        ("2026-03-01T00:00", "2026-03-02T00:00"),
        ("2026-03-02T00:00", "2026-03-03T00:00"),
        ("2026-03-03T00:00", "2026-03-04T00:00"),
    ]
    assert [row["charges.total"] for row in found] == pytest.approx([2, 2, 2])


@pytest.mark.parametrize("end", ["exclusive", {"kafka": "inclusive"}, {"cursor": "exclusive"}])
def test_an_end_that_is_not_inclusive_is_not_counted(make, end):
    assert [row["charges.total"] for row in cut(make(CURSOR), end=end)] == pytest.approx([3, 3])


def test_after_it_all_ends_are_exclusive(make):
    records = [
        {**CURSOR, "id": "day", "end_date": "2026-03-01"},
        {**CURSOR, "id": "noon", "start_date": "2026-03-01T12:00:00Z", "end_date": "2026-03-01"},
        {**CURSOR, "id": "instant", "end_date": "2026-03-01T23:59:59Z"},
        {**CURSOR, "id": "other", "product": {"id": "kafka"}, "end_date": "2026-03-02"},
        {**CURSOR, "id": "open", "end_date": None},
    ]
    found = cut(make(records), end={"cursor": "inclusive"})
    assert [(row["id"], *window) for row, window in zip(found, windows(found), strict=True)] == [
        ("day", "2026-03-01T00:00", "2026-03-02T00:00"),
        ("noon", "2026-03-01T12:00", "2026-03-02T00:00"),
        ("instant", "2026-03-01T00:00", "2026-03-01T23:59"),
        ("other", "2026-03-01T00:00", "2026-03-02T00:00"),
        ("open", "2026-03-01T00:00", None),
    ]


def test_dtypes_columns_and_own_columns_stay(make_each):
    frame = make_each(CONFLUENT)
    if hasattr(frame, "append_column"):
        frame = frame.append_column("period", [["x"]])
    elif isinstance(frame, pd.DataFrame):
        frame = frame.assign(period="x").set_index(pd.Index([7]))
    elif isinstance(frame, pl.DataFrame | pl.LazyFrame):
        frame = frame.with_columns(period=pl.lit("x"))
    else:
        frame = frame.project("*, 'x' as period")
    answer = tu.daily(frame)
    assert type(answer) is type(frame)
    assert columns(answer) == [*columns(frame), "window_cut"]
    assert [row["period"] for row in rows(answer)] == ["x", "x", "x"]
    assert [row["window_cut"] for row in rows(answer)] == [True, True, True]
    if isinstance(frame, pd.DataFrame):
        assert list(answer.dtypes)[:-1] == list(frame.dtypes)
    elif isinstance(frame, pl.DataFrame | pl.LazyFrame):
        expected_schema = {**frame.lazy().collect_schema(), "window_cut": pl.Boolean}
        assert dict(answer.lazy().collect_schema()) == expected_schema
    elif hasattr(frame, "schema"):
        assert answer.schema.types[:-1] == frame.schema.types
    else:
        assert answer.types[:-1] == frame.types


def test_no_rows_and_lists_without_values(make):
    empty = tu.flatten_usage([], backend="pyarrow")
    assert rows(tu.daily(empty)) == []
    bare = {"id": "a", "start_date": "2026-01-01", "end_date": "2026-01-03"}
    found = cut(make(bare))
    assert len(found) == 2
    assert found[0]["charges"] is None
    assert found[0]["charges.net"] is None


def test_columns_of_other_dtypes_and_absent_ones():
    table = pd.DataFrame(
        {
            "id": [1, 2],
            "start_date": pd.to_datetime(["2026-01-01 12:00", "2026-01-05 00:00"]),  # naive: UTC
            "end_date": pd.to_datetime(["2026-01-03 00:00", None]),
            "usage.requests.total": [6, 3],
            "usage.activity.is_active": [True, False],
            "usage.sessions.distinct": [4, 1],
            "team": pd.Categorical(["x", "y"]),
        },
        index=[5, 9],
    )
    before = table.copy()
    found = tu.daily(table)
    pd.testing.assert_frame_equal(table, before)
    # 36 hours: 12 of the first day, 24 of the second.
    assert found["id"].tolist() == [1, 1, 2]
    assert found["usage.requests.total"].tolist() == [2, 4, 3]
    assert found["usage.activity.is_active"].tolist() == [pd.NA, pd.NA, False]
    assert found["usage.sessions.distinct"].isna().tolist() == [True, True, False]
    assert found["end_date"].isna().tolist() == [False, False, True]
    assert found["team"].tolist() == ["x", "x", "y"]
    assert found["team"].dtype == table["team"].dtype
    assert str(found["start_date"].iloc[1]) == "2026-01-02 00:00:00+00:00"


def test_columns_without_any_value_and_dates_without_a_time():
    frame = pl.DataFrame(
        {"id": ["a"], "start_date": [dt.date(2026, 1, 1)], "end_date": [dt.date(2026, 1, 3)]}
    ).with_columns(pl.lit(None).alias(name) for name in ("charges", "charges.net", "user.id"))
    found = tu.daily(frame, tz="Asia/Tokyo")
    assert [f"{at:%d %H}" for at in found["start_date"]] == ["01 00", "01 15", "02 15"]
    nothing = frame.with_columns(pl.lit(None).alias("end_date"))
    assert tu.daily(nothing)["end_date"].to_list() == [None]
    undated = frame.drop("start_date")
    found = tu.daily(undated).select("id", "end_date", "window_cut").row(0)
    assert found == ("a", dt.datetime(2026, 1, 3, tzinfo=UTC), False)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tz": "Mars"}, "Invalid time zone: 'Mars'"),
        ({"end": "open"}, "end='open' is not a value of end"),
        ({"end": {"cursor": "open"}}, "end='open' is not a value of end"),
        ({"end": {1: "inclusive"}}, "end= names the product 1"),
        ({"end": None}, "end=None is not a value of end"),
    ],
)
def test_what_is_no_option_is_said(options, text):
    frame = tu.flatten_usage(CURSOR)
    for ask in (tu.daily, lambda frame, **o: tu.cost_by(frame, freq="1d", **o)):
        with pytest.raises(OptionError, match=text):
            ask(frame, **options)


def test_a_long_frame_is_refused():
    with pytest.raises(FrameError, match="to_wide"):
        tu.daily(tu.load_example(layout="long"))


# Laws

ZONES = (
    "UTC",
    NEW_YORK,
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Kathmandu",
)
# About changes of clocks and ends of months in those zones.
AROUND = [
    dt.datetime(2018, 2, 16, 20, tzinfo=UTC),
    dt.datetime(2018, 11, 2, 20, tzinfo=UTC),
    dt.datetime(2024, 2, 27, 3, tzinfo=UTC),
    dt.datetime(2025, 10, 3, 20, tzinfo=UTC),
    dt.datetime(2025, 11, 1, 1, tzinfo=UTC),
    dt.datetime(2026, 3, 7, 1, tzinfo=UTC),
    dt.datetime(2026, 3, 28, 1, tzinfo=UTC),
    dt.datetime(2026, 4, 4, 1, tzinfo=UTC),
]
MICROSECONDS = st.integers(0, 3 * 86_400_000_000) | st.sampled_from([0, 1, 86_400_000_000])
FIGURE = (
    st.none()
    | st.integers(0, 10**9)
    | st.floats(-1e15, 1e15).filter(lambda x: x == 0 or abs(x) > 1e-200)
)


@st.composite
def spans(draw):
    start = draw(st.sampled_from(AROUND)) + dt.timedelta(microseconds=draw(MICROSECONDS))
    length = draw(MICROSECONDS) + 86_400_000_000 * draw(st.sampled_from([0, 0, 1, 30]))
    tool = draw(FIGURE)
    return {
        "charges": [
            {"type": kind, "amount": draw(FIGURE), "currency": "USD"}
            for kind in ("net", "tax", "x")
        ],
        "usage": {
            "quantity": draw(FIGURE),
            "tokens": {"input": draw(FIGURE)},
            "code": {"tool_actions": {"edit": {"accepted": tool}}},
            "sessions": {"distinct": 3},
        },
        "start_date": start.isoformat(),
        "end_date": (start + dt.timedelta(microseconds=length)).isoformat(),
    }


SPANS = st.lists(spans(), min_size=3, max_size=9).map(
    lambda found: [{"id": f"r{n}", "product": {"id": "p"}, **each} for n, each in enumerate(found)]
)


def figures(row):
    """Yield each figure of a row that may be added, with its name."""
    for name in ("charges.net", "charges.tax", "usage.quantity", "usage.tokens.input"):
        yield name, row[name]
    for entry in row["charges"] or ():
        yield f"entry {entry['type']}", entry["amount"]
    for entry in row["usage.code.tool_actions"] or ():
        yield "tool", entry["count"]


def expected(record, zone):
    """Return begin and end of each piece, by the zone's calendar."""
    start, end = (dt.datetime.fromisoformat(record[name]) for name in ("start_date", "end_date"))
    if end <= start:  # a day from midnight on, else an instant
        is_midnight = start.time() == dt.time()
        end = start + (dt.timedelta(days=1) if is_midnight else SECOND)
    found, at = [], start
    while at < end:
        day = at.astimezone(ZoneInfo(zone)).date() + dt.timedelta(days=1)
        midnight = dt.datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
        found.append((at, min(midnight.astimezone(UTC), end)))
        at = found[-1][1]
    return found


LAW = {"deadline": None, "suppress_health_check": list(HealthCheck)}
SECOND = dt.timedelta(microseconds=1)


@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
@pytest.mark.parametrize("flavour", FLAVOURS)
@settings(max_examples=draws(3), **LAW)
@given(records=SPANS, zone=st.sampled_from(ZONES), seed=st.randoms())
def test_pieces_are_the_days_and_add_up_to_the_whole(flavour, records, zone, seed: random.Random):
    frame = frame_of(records, flavour)
    whole, pieces = rows(frame), rows(tu.daily(frame, tz=zone))
    for record, row in zip(records, whole, strict=True):
        mine = [piece for piece in pieces if piece["id"] == record["id"]]
        bounds = expected(record, zone)
        if len(bounds) == 1:
            assert mine == [{**row, "window_cut": False}]
            continue
        assert [(piece["start_date"], piece["end_date"]) for piece in mine] == bounds
        assert {piece["usage.sessions.distinct"] for piece in mine} == {None}
        length = (bounds[-1][1] - bounds[0][0]) // SECOND
        shares = [dict(figures(piece)) for piece in mine]
        for name, figure in figures(row):
            parts = [share[name] for share in shares]
            if figure is None:
                assert set(parts) == {None}
                continue
            for part, (begin, until) in zip(parts, bounds, strict=True):
                exact = Fraction(figure) * Fraction((until - begin) // SECOND, length)
                assert math.isclose(part, exact, rel_tol=1e-14)
            seed.shuffle(parts)
            assert math.isclose(math.fsum(parts), figure, rel_tol=1e-12)
            assert math.isclose(sum(parts), figure, rel_tol=1e-12)


ENDS = st.sampled_from(
    ["exclusive", "inclusive", {"cursor": "inclusive"}, {"cursor": "exclusive", "*": "inclusive"}]
)
POLARS = settings(max_examples=draws(10), **LAW)


def answered(answer):
    key = lambda row: tuple(str(value) for value in row[:3])  # noqa: E731
    return sorted(
        answer.select("period", "product.id", "currency", "cost", "records", "priced").rows(),
        key=key,
    )


def same(left, right):
    assert [row[:3] + row[4:] for row in left] == [row[:3] + row[4:] for row in right]
    for ours, theirs in zip(left, right, strict=True):
        assert (ours[3] is None) == (theirs[3] is None)
        assert ours[3] is None or math.isclose(ours[3], theirs[3], rel_tol=1e-12, abs_tol=1e-12)


@POLARS
@given(records=RECORDS, zone=st.sampled_from(ZONES), end=ENDS)
def test_metrics_by_day_cut_as_daily_does(records, zone, end):
    frame = tu.flatten_usage(records, backend="polars")
    cut_ = tu.daily(frame, end=end, tz=zone)
    options = {"freq": "1d", "tz": zone, "overlap": "ignore"}
    whole = tu.cost_by(frame, "product.id", end=end, **options)
    same(answered(tu.cost_by(cut_, "product.id", **options)), answered(whole))


@POLARS
@given(records=RECORDS, zone=st.sampled_from(ZONES), end=ENDS)
def test_what_is_cut_is_not_cut_again(records, zone, end):
    once = tu.daily(tu.flatten_usage(records, backend="polars"), end=end, tz=zone)
    assert tu.daily(once, tz=zone).equals(once)
