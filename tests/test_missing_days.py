"""Quiet days count as 0; a value whose window holds missing days is marked, and not compared."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
import tidyusage as tu
from conftest import rows
from flavours import FLAVOURS, frame_of
from test_oracle import alike, answered, expected
from test_warehouse import check as check_text
from test_warehouse import drawn, engine  # noqa: F401 - a fixture

MONDAY = date(2026, 1, 5)


def on(days, *, product="cursor", users=("a", "b", "c"), organization="o"):
    """Return a record of 1 USD a user on each day, counted from Monday 5 January 2026."""
    return [
        {
            "id": f"{product}-{organization}-{user}-{day}",
            "product": {"id": product},
            "organization": {"id": organization},
            "user": {"id": user},
            "start_date": f"{MONDAY + timedelta(day)}",
            "end_date": f"{MONDAY + timedelta(day + 1)}",
            "usage": {"requests": {"chat": 1}},
            "charges": [{"type": "net", "amount": 1, "currency": "USD"}],
        }
        for day in days
        for user in users
    ]


# Six weeks; of the third, from 19 January, Monday to Thursday are missing: 26 of 30 weekdays.
HOLED = on(day for day in range(42) if day not in range(14, 18))


def told(answer, *names):
    return [tuple(row[name] for name in names) for row in rows(answer)]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_trend_is_not_compared_with_a_week_of_missing_days(flavour):
    found = told(tu.trend(frame_of(HOLED, flavour), freq="1w"), "cost", "change", "complete")
    whole, none = 21, None  # 3 users on 7 days; of the third week 3 days are left
    assert found == [
        (whole, none, True),
        (whole, 0, True),
        (9, none, False),  # -57 % says nothing
        (whole, none, True),  # and +133 % neither
        (whole, 0, True),
        (whole, 0, True),
    ]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_rolling_count_over_missing_days_is_marked(flavour):
    frame = frame_of(HOLED, flavour)
    found = told(tu.active_users(frame, freq="1d", rolling=3), "active_users", "complete")
    assert found[:3] == [(None, False), (None, False), (3, True)]  # the first window is the third
    # Days 14 to 17 are missing: windows of three days hold one of them up to day 19.
    assert [complete for _, complete in found[12:22]] == [True] * 2 + [False] * 6 + [True] * 2
    # Day 16 looks back at three missing days, and so does day 17: nobody is known of.
    assert [count for count, _ in found[14:20]] == [3, 3, 0, 0, 3, 3]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_quiet_week_counts_nobody(flavour):
    # Two weeks with records and one without between them: 10 of 15 weekdays are no habit.
    frame = frame_of(on([*range(7), *range(14, 21)]), flavour)
    found = told(tu.active_users(frame, freq="1d", rolling=7), "active_users", "complete")
    # The window of day 13 is days 7 to 13, without a record.
    assert found == [(None, False)] * 6 + [(3, True)] * 7 + [(0, True)] + [(3, True)] * 7


def test_weekends_without_records_are_quiet():
    weekdays = [day for day in range(42) if day % 7 < 5]
    found = told(tu.trend(tu.flatten_usage(on(weekdays)), freq="1w"), "cost", "complete")
    assert found == [(15, True)] * 6


def test_one_more_weekday_than_a_quarter_is_quiet():
    # Of the 20 weekdays of 4 weeks, 15 (75 %) are enough to expect records; 14 are not.
    for holes, is_complete in ((5, False), (6, True)):
        weekdays = [day for day in range(28) if day % 7 < 5]
        del weekdays[5 : 5 + holes]
        found = told(tu.trend(tu.flatten_usage(on(weekdays)), freq="1mo"), "complete")
        assert found == [(is_complete,)]  # 5 January to 1 February


def test_outside_a_product_s_days_there_is_nothing():
    frame = tu.flatten_usage([*on(range(21)), *on([0, 1, 6], product="claude", users="a")])
    found = tu.active_users(frame, "product.id", freq="1d", rolling=2)
    claude = [row["active_users"] for row in rows(found) if row["product.id"] == "claude"]
    # Quiet from day 3 to day 5; on day 7 the window holds day 6; then nothing is known.
    assert claude == [None, 1, 1, 0, 0, 0, 1, 1, *[None] * 13]


def test_a_group_that_names_nobody_is_not_0():
    nameless = [{**record, "user": {}} for record in on([0, 1, 6], product="claude")]
    frame = tu.flatten_usage([*on(range(7)), *nameless])
    found = tu.active_users(frame, "product.id", freq="1d", rolling=2)
    assert {r["active_users"] for r in rows(found) if r["product.id"] == "claude"} == {None}


def test_a_group_is_incomplete_by_its_own_series():
    frame = tu.flatten_usage([*HOLED, *on(range(42), product="claude")])
    by_product = told(tu.trend(frame, "product.id", freq="1w"), "product.id", "complete")
    assert [name for name, complete in by_product if not complete] == ["cursor"]
    assert told(tu.trend(frame, freq="1w"), "complete") == [(week != 2,) for week in range(6)]
    # Records of one organization do not fill the gaps of another.
    frame = tu.flatten_usage([*HOLED, *on(range(42), organization="p")])
    by_user = told(tu.trend(frame, "user.id", freq="1w"), "user.id", "complete")
    assert [name for name, complete in by_user if not complete] == ["a", "b", "c"]


def test_a_missing_day_touches_two_days_of_another_zone():
    holed = tu.flatten_usage(on([*range(10), *range(11, 20)]))
    found = rows(tu.trend(holed, freq="1d", tz="America/New_York"))
    # 15 January in UTC is from 19:00 on the 14th to 19:00 on the 15th in New York.
    assert [str(row["period"])[:10] for row in found if not row["complete"]] == [
        "2026-01-14",
        "2026-01-15",
    ]


def test_the_hours_of_a_missing_day_are_incomplete():
    records = on(day for day in range(12) if day != 8)
    long = {**records[0], "id": "long", "start_date": "2026-01-12", "end_date": "2026-01-15"}
    alone = {**long, "product": {"id": "claude"}}
    found = rows(tu.trend(tu.flatten_usage([*records, alone]), freq="1h", overlap="ignore"))
    days = {str(row["period"])[:10] for row in found if not row["complete"]}
    assert days == {"2026-01-13"}
    assert sum(not row["complete"] for row in found) == 24


def test_the_finding_and_the_trend_agree():
    frame = tu.flatten_usage(HOLED)
    (finding,) = frame.usage.findings().query("check == 'missing_days'")["value"]
    assert finding == "2026-01-19 to 2026-01-22"
    found = rows(tu.trend(frame, freq="1d"))
    missing = {f"{MONDAY + timedelta(day)}" for day in range(14, 18)}
    assert not missing & {str(row["period"])[:10] for row in found}  # they have no row
    # Friday has no figure of the day before; every other day has one.
    changes = {str(row["period"])[:10]: row["change"] for row in found}
    assert [day for day, change in changes.items() if change is None] == [
        "2026-01-05",
        "2026-01-23",
    ]


DENSE = st.lists(
    st.tuples(
        st.sampled_from(["cursor", "claude"]),
        st.sampled_from("op"),
        st.sets(st.integers(0, 30), min_size=5),
        st.sets(st.sampled_from("abc"), min_size=1),
    ),
    min_size=1,
    max_size=3,
).map(lambda found: [r for p, o, days, users in found for r in rested(p, o, days, users)])


def rested(product, organization, rests, users):
    """Return days of a month but a few of them."""
    days = sorted(set(range(31)) - set(sorted(rests)[:7]))
    return on(days, product=product, organization=organization, users=sorted(users))


QUESTIONS = st.sampled_from(
    [
        ("active_users", {"rolling": 3, "freq": "1d"}),
        ("active_users", {"rolling": 2, "freq": "1w"}),
        ("trend", {"freq": "1w", "measure": "cost"}),
        ("trend", {"freq": "1d", "measure": "requests"}),
        ("trend", {"freq": "1mo", "measure": "cost"}),
    ]
)
BY = st.sampled_from([[], ["product.id"], ["user.id"], ["organization.id", "product.id"]])
ZONE = st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"])


@drawn(60)
@given(records=DENSE, question=QUESTIONS, by=BY, zone=ZONE)
def test_the_oracle_says_the_same(records, question, by, zone):
    name, options = question
    tz = zone if name == "trend" else "UTC"  # a day of users crosses the bounds of other zones
    records = list({record["id"]: record for record in records}.values())
    frame = tu.flatten_usage(records, backend="pyarrow")
    ours = getattr(tu, name)(frame, *by, tz=tz, **options)
    theirs = expected(records, name, by, {**options, "tz": tz})
    alike(answered(ours, by, options["freq"]), theirs)


def test_the_oracle_finds_holes():
    assert oracle.missing_days(HOLED) == {
        ("cursor", "o"): {(MONDAY + timedelta(day)).toordinal() for day in range(14, 18)}
    }


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "question",
    [
        ("trend", ["product.id"], {"freq": "1w", "measure": "cost"}),
        ("active_users", [], {"freq": "1d", "rolling": 3}),
    ],
)
def test_postgres_says_the_same(engine, question):  # noqa: F811
    check_text(engine, HOLED, question, "UTC")


@pytest.mark.slow
@pytest.mark.xdist_group("spark")
def test_spark_says_the_same(spark):
    frame = spark.createDataFrame(tu.flatten_usage(HOLED, backend="pyarrow", sep="_"))
    for asked in (
        lambda given: tu.trend(given, freq="1w"),
        lambda given: tu.active_users(given, freq="1d", rolling=3),
    ):
        theirs = asked(tu.flatten_usage(HOLED, backend="pyarrow", sep="_")).to_pylist()
        assert [row.asDict() for row in asked(frame).collect()] == theirs
