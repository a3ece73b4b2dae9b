"""Restatements: which version counts, what changed, and what is too fresh to be whole."""

import datetime as dt
import itertools
from fractions import Fraction

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import columns, rows
from flavours import FEW, FLAVOURS, frame_of
from strategies import draws
from test_daily import LAW
from tidyusage.errors import FrameError, OptionError, UnknownOptionError


@pytest.fixture(params=FEW)
def make(request):
    return lambda records, **options: frame_of(
        records, request.param, **{"duplicates": "keep", **options}
    )


@pytest.fixture(params=FLAVOURS)
def make_each(request):
    return lambda records, **options: frame_of(
        records, request.param, **{"duplicates": "keep", **options}
    )


def money(amount, currency="USD"):
    return [{"type": "net", "amount": amount, "currency": currency}]


def version(amount, updated=None, created=None, **other):
    return {
        "id": "a",
        "charges": money(amount),
        "updated_at": updated,
        "created_at": created,
        **other,
    }


def kept(frame, **options):
    return [row["charges.net"] for row in rows(tu.latest(frame, **options))]


# The newest version


@pytest.mark.parametrize(
    ("versions", "amount"),
    [
        ([version(1, "2026-01-03"), version(2, "2026-01-02")], 1),
        ([version(1, "2026-01-03"), version(2, "2026-01-03T00:00:00.000001Z")], 2),
        ([version(1), version(2, "2026-01-01"), version(3)], 2),  # a date beats none
        ([version(1, "2026-01-03", "2026-01-02"), version(2, "2026-01-03", "2026-01-01")], 1),
        ([version(1, "2026-01-03", "2026-01-01"), version(2, "2026-01-02", "2026-01-02")], 1),
        ([version(1, None, "2026-01-02"), version(2, None, "2026-01-01")], 1),
        ([version(1, "2026-01-03"), version(2, "2026-01-03")], 2),  # the last seen
        ([version(1), version(2), version(3)], 3),
    ],
)
def test_the_newest_version_is_that_which_flatten_keeps(versions, amount):
    frame = tu.flatten_usage(versions, duplicates="keep", backend="polars")
    assert kept(frame) == [amount]
    with pytest.warns(tu.errors.DuplicateWarning):
        assert kept(tu.flatten_usage(versions, backend="polars")) == [amount]


@pytest.mark.parametrize("key", ["id", "natural"])
@pytest.mark.parametrize("sep", [".", "_"])
def test_rows_stay_as_they_are_and_in_their_order(make_each, key, sep):
    records = [
        {**version(1, "2026-01-02"), "surface": "chat"},
        {**version(2), "id": "b", "surface": "cli"},
        {**version(3, "2026-01-01"), "surface": "chat"},
        {**version(4), "id": "b", "surface": "cli"},
    ]
    frame = make_each(records, sep=sep)
    before = rows(frame)
    assert rows(tu.latest(frame, key=key)) == [before[0], before[3]]


def test_the_index_of_pandas_and_the_dtypes_stay():
    frame = tu.flatten_usage([version(1, "2026-01-02"), version(2)], duplicates="keep")
    frame = frame.set_index(pd.Index(["x", "y"])).assign(team=pd.Categorical(["p", "q"]))
    pd.testing.assert_frame_equal(tu.latest(frame), frame.loc[["x"]])


def test_rows_without_an_id_are_versions_of_no_other():
    frame = pl.DataFrame({"id": [None, None, "a", "a"], "surface": ["x", "y", "x", "y"]})
    assert tu.latest(frame).rows() == [(None, "x"), (None, "y"), ("a", "y")]


FULL = {
    "product": {"id": "claude"},
    "metric_name": "tokens",
    "organization": {"id": "o"},
    "user": {"id": "u1", "email": "Ada@example.com", "name": "Ada"},
    "model": {"id": "opus", "provider": "anthropic"},
    "surface": "chat",
    "resources": [{"id": "r1"}, {"id": "r2"}],
    "start_date": "2026-01-01",
    "end_date": "2026-01-02",
    "charges": money(1),
}


@pytest.mark.parametrize(
    "change",
    [
        {"product": {"id": "codex"}},
        {"product": None},
        {"metric_name": None},
        {"organization": {"id": "p"}},
        {"user": {"id": "u2", "email": "Ada@example.com", "name": "Ada"}},
        {"user": None},
        {"model": {"id": "sonnet", "provider": "anthropic"}},
        {"model": {"id": "opus", "provider": "bedrock"}},
        {"surface": "cli"},
        {"resources": [{"id": "r1"}]},
        {"resources": None},
        {"start_date": "2026-01-01T01:00:00Z"},
        {"end_date": "2026-01-03"},
        {"start_date": None, "end_date": None},
    ],
)
def test_each_part_of_the_natural_key_tells_records_apart(change):
    records = [{**FULL, "id": "a"}, {**FULL, **change, "id": "b"}]
    frame = tu.flatten_usage(records, backend="polars")
    assert tu.latest(frame, key="natural").height == 2
    # Both twice, under other ids: of each the newest.
    again = [{**record, "id": f"{record['id']}2"} for record in records]
    frame = tu.flatten_usage([*records, *again], backend="polars")
    assert tu.latest(frame, key="natural")["id"].to_list() == ["a2", "b2"]


@pytest.mark.parametrize(
    "change",
    [
        {"id": "b", "charges": money(2, "EUR")},
        {"resources": [{"id": "r2"}, {"id": "r1", "name": "first"}, {"id": "r2"}]},
        {"user": {"id": " u1 ", "email": None}},
        {"end_date": None},  # 24 hours from the start
        {"product": {"id": "claude", "name": "Claude"}},
        {"usage": {"unit": "GB"}},
    ],
)
def test_the_natural_key_overlooks_what_is_no_part_of_it(make, change):
    records = [{**FULL, "id": "a"}, {**FULL, "id": "b", **change}]
    assert [row["id"] for row in rows(tu.latest(make(records), key="natural"))] == ["b"]


@pytest.mark.parametrize("key", ["id", "natural"])
@pytest.mark.parametrize("sep", [".", "_"])
def test_rows_of_two_accounts_or_reports_are_no_versions(make, key, sep):
    records = [
        {
            "source": {"account": account, "report_type": report},
            **version(amount, f"2026-01-{day:02}"),
        }
        for account, report, amount, day in [
            ("a", "cost", 1, 3),
            ("a", "usage", 2, 2),
            ("b", "cost", 3, 1),
            ("a", "cost", 5, 4),  # the newer version of the first
        ]
    ]
    frame = make(records, sep=sep)
    found = rows(tu.latest(frame, key=key))
    assert [row[f"charges{sep}net"] for row in found] == [2, 3, 5]
    steps = rows(tu.restatements(frame, key=key))
    assert [(row["before"], row["after"], row["versions"]) for row in steps] == [(1, 5, 2)]


@pytest.mark.parametrize(
    ("users", "count"),
    [
        ([{"email": "Ada@x.org"}, {"email": " ada@X.org "}], 1),
        ([{"name": "key-1"}, {"name": "key-2"}], 2),  # API keys have no more than a name
        ([{"name": "key-1"}, {"name": "key-1"}], 1),
        ([{"email": "ada@x.org", "name": "Ada"}, {"email": "ada@x.org"}], 1),
        ([None, {"email": " "}], 1),
    ],
)
def test_a_user_is_the_id_else_the_email_else_the_name(users, count):
    records = [{"id": f"r{n}", "user": user} for n, user in enumerate(users)]
    assert tu.latest(tu.flatten_usage(records, backend="polars"), key="natural").height == count


def test_a_resource_without_an_id_is_known_by_its_name():
    lists = [[{"name": "x"}], [{"name": "y"}], [{"workspace": {"id": "w"}}], None]
    records = [{"id": f"r{n}", "resources": entries} for n, entries in enumerate(lists)]
    assert tu.latest(tu.flatten_usage(records, backend="polars"), key="natural").height == 4


def test_absent_and_empty_columns_tell_nothing_apart():
    frame = pd.DataFrame({"id": [1, 2, 2], "surface": ["x", "x", None], "resources": None})
    assert tu.latest(frame).index.tolist() == [0, 2]
    assert tu.latest(frame, key="natural").index.tolist() == [1, 2]


# What changed


def test_each_step_is_a_row_with_what_changed_and_how_late(make):
    records = [
        {
            **version(amount, updated, start_date="2026-01-01", end_date="2026-01-02"),
            "product": {"id": "claude"},
            "usage": {"tokens": {"input": tokens}, "requests": {"total": 4}},
        }
        # The second and the third, in the order in which they came in, are the third and second.
        for amount, tokens, updated in [
            (5, 100, "2026-01-03"),
            (6.5, 150, "2026-01-09T12:00:00Z"),
            (7, 100, "2026-01-04"),
        ]
    ]
    found = rows(tu.restatements(make(records)))
    told = [
        tuple(
            row[name] for name in ("metric", "unit", "before", "after", "change", "version", "lag")
        )
        for row in found
    ]
    assert told == [
        ("charges.net", "USD", 5, 7, 2, 2, 2),  # from the 2nd to the 4th
        ("charges.net", "USD", 7, 6.5, -0.5, 3, 7.5),
        ("usage.tokens.input", "tokens", 100, 150, 50, 3, 7.5),
    ]
    assert {(row["id"], row["product.id"], row["versions"]) for row in found} == {
        ("a", "claude", 3)
    }
    assert {row["start_date"] for row in found} == {dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}
    assert found[0]["restated_at"] == dt.datetime(2026, 1, 4, tzinfo=dt.UTC)


def test_what_comes_and_goes_is_shown_without_a_change():
    records = [
        {"id": "a", "usage": {"activity": {"is_active": False}, "requests": {"chat": 2}}},
        {"id": "a", "usage": {"activity": {"is_active": True}, "tokens": {"total": 3}}},
        {"id": "once", "usage": {"requests": {"chat": 9}}},
    ]
    found = tu.restatements(tu.flatten_usage(records, duplicates="keep", backend="polars"))
    assert found.select("id", "metric", "unit", "before", "after", "change").rows() == [
        ("a", "usage.activity.is_active", "flag", 0, 1, 1),
        ("a", "usage.requests.chat", "requests", 2, None, None),
        ("a", "usage.tokens.total", "tokens", None, 3, None),
    ]
    assert found["lag"].to_list() == found["restated_at"].to_list() == [None] * 3


def test_amounts_of_two_currencies_are_not_subtracted():
    records = [
        {"id": "a", "charges": money(5, "USD")},
        {"id": "a", "charges": money(5, "EUR")},
        {"id": "b", "charges": money(2)},
        {"id": "b", "charges": money(2)},
    ]
    found = tu.restatements(tu.flatten_usage(records, duplicates="keep", backend="polars"))
    assert found.select("id", "unit", "before", "after").rows() == [
        ("a", "EUR", None, 5),
        ("a", "USD", 5, None),
    ]


def test_a_currency_that_is_spelled_otherwise_is_no_change():
    frame = pl.DataFrame(
        {"id": ["a", "a"], "charges.net": [1.0, 3.0], "charges.currency": [" usd", "USD"]}
    )
    found = tu.restatements(frame)
    assert found.select("metric", "unit", "change").rows() == [("charges.net", "USD", 2)]


@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
def test_tool_actions_and_charges_of_unknown_types_are_measures_too():
    records = [
        {
            "id": "a",
            "charges": [{"type": "bonus", "amount": count}],
            "usage": {"code": {"tool_actions": {"edit": {"accepted_count": count}}}},
        }
        for count in (1, 4)
    ]
    found = tu.restatements(tu.flatten_usage(records, duplicates="keep", backend="polars"))
    assert found.select("metric", "unit", "change").rows() == [
        ("charges.bonus", None, 3),
        ("usage.code.tool_actions.edit.accepted", "actions", 3),
    ]


def test_under_the_natural_key_the_id_is_that_which_latest_keeps(make):
    records = [
        {**FULL, "id": name, "charges": money(amount), "created_at": f"2026-01-{day}"}
        for name, amount, day in [("new", 9, "07"), ("old", 4, "03"), ("older", 1, "02")]
    ]
    frame = make(records, sep="_")
    found = rows(tu.restatements(frame, key="natural"))
    assert [row["id"] for row in rows(tu.latest(frame, key="natural"))] == ["new"]
    assert [(row["id"], row["change"], row["lag"]) for row in found] == [
        ("new", 3, 1),  # 1 to 4, a day after the 2nd
        ("new", 5, 5),
    ]
    assert columns(tu.restatements(frame))[:2] == ["id", "product_id"]


def test_an_inclusive_end_makes_the_lag_a_day_shorter():
    records = [
        version(n, f"2026-01-0{4 + n}", start_date="2026-01-01", end_date="2026-01-02")
        for n in (0, 1)
    ]
    frame = tu.flatten_usage(records, duplicates="keep", backend="polars")
    assert tu.restatements(frame)["lag"].to_list() == [3]
    assert tu.restatements(frame, end={"*": "inclusive"})["lag"].to_list() == [2]


def test_without_restatements_the_answer_is_empty_and_typed(make):
    found = tu.restatements(make(FULL | {"id": "a"}))
    assert rows(found) == []
    assert columns(found) == [
        *("id", "product.id", "metric", "unit", "before", "after", "change"),
        *("version", "versions", "start_date", "restated_at", "lag"),
    ]
    assert columns(found) == columns(tu.restatements(make([])))


def test_restatements_of_a_frame_with_few_columns():
    frame = pd.DataFrame({"id": [1, 1], "usage_tokens_input": [3, 5], "updated_at": [None, None]})
    found = tu.restatements(frame)
    assert found[["id", "metric", "change"]].to_numpy().tolist() == [[1, "usage.tokens.input", 2]]
    assert "product_id" in found


STAMP = st.none() | st.sampled_from(["2026-01-02", "2026-01-03", "2026-01-04"])
VERSIONS = st.lists(
    st.builds(
        lambda name, amount, updated, created: {
            **version(amount, updated, created),
            "id": name,
        },
        st.sampled_from("abc"),
        st.none() | st.integers(0, 9).map(lambda eighth: eighth / 8),
        STAMP,
        STAMP,
    ),
    max_size=9,
)


def in_order(records):
    """Return each record's versions by id, the newest last, by a plain sort."""
    found = {}
    for place, record in enumerate(records):
        order = (record["updated_at"] or "", record["created_at"] or "", place)
        found.setdefault(record["id"], []).append((order, record))
    return {
        name: [record for _, record in sorted(each, key=lambda x: x[0])]
        for name, each in found.items()
    }


@pytest.mark.parametrize("flavour", ["pandas", "duckdb"])
@settings(max_examples=draws(8), **LAW)
@given(records=VERSIONS)
def test_changes_lead_from_the_first_version_to_the_last(flavour, records):
    frame = frame_of(records, flavour, duplicates="keep")
    versions = in_order(records)
    newest = rows(tu.latest(frame))
    amounts = {
        name: [record["charges"][0]["amount"] for record in each] for name, each in versions.items()
    }
    assert {row["id"]: row["charges.net"] for row in newest} == {
        n: a[-1] for n, a in amounts.items()
    }
    assert len(newest) == len(versions)
    steps = {}
    for row in rows(tu.restatements(frame)):
        steps.setdefault(row["id"], []).append((row["before"], row["after"], row["change"]))
    for name, found in amounts.items():
        pairs = [(a, b) for a, b in itertools.pairwise(found) if a != b]
        assert [step[:2] for step in steps.get(name, [])] == pairs
        if None not in found:
            added = sum(Fraction(step[2]) for step in steps.get(name, []))
            assert added == Fraction(found[-1]) - Fraction(found[0])


# What is too fresh

WEEK = [
    {"id": f"{product}{day}", "product": {"id": product}, "start_date": f"2026-01-0{day}"}
    | ({"end_date": f"2026-01-0{day + 1}"} if product != "open" else {})
    for product in ("claude", "kafka", "open")
    for day in (1, 2, 3)
]
WEEK.append({"id": "undated", "product": {"id": "claude"}})


def ids(frame, *arguments, **options):
    options = {"as_of": "2026-01-05", **options}
    return [row["id"] for row in rows(tu.complete_until(frame, *arguments, **options))]


@pytest.mark.parametrize("sep", [".", "_"])
def test_what_ended_within_the_lag_is_cut(make, sep):
    # As of the 5th, two days back is the 3rd: the windows of the 1st and 2nd have ended.
    expected = ["claude1", "claude2", "kafka1", "kafka2", "open1", "open2", "undated"]
    assert ids(make(WEEK, sep=sep), "2d") == expected


@pytest.mark.parametrize(
    ("lag", "days"),
    [
        ("48h", 2),
        ("2d", 2),
        (" 1.5d ", 2),
        ("0.2w", 2),
        ("49h", 1),
        ("1w", 0),
        ("0d", 3),
        (dt.timedelta(days=2), 2),
        (dt.timedelta(days=2, microseconds=1), 1),
        (pd.Timedelta(hours=48), 2),
    ],
)
def test_a_lag_is_text_or_a_timedelta(lag, days):
    frame = tu.flatten_usage(WEEK, backend="polars")
    assert sum(name.startswith("kafka") for name in ids(frame, lag)) == days


def test_a_lag_by_product(make):
    kept_ = ids(make(WEEK), {"claude": "30d", "kafka": "3d", "*": "0h"})
    assert kept_ == ["kafka1", "open1", "open2", "open3", "undated"]
    assert ids(make(WEEK), {"claude": "30d"})[0] == "kafka1"  # the others are kept whole
    assert len(ids(make(WEEK), {})) == 10


@pytest.mark.parametrize(
    "as_of",
    [
        "2026-01-05T00:00:00Z",
        "2026-01-04T19:00:00-05:00",
        dt.date(2026, 1, 5),
        dt.datetime(2026, 1, 5),  # noqa: DTZ001 - UTC is meant
        dt.datetime(2026, 1, 5, 9, tzinfo=dt.timezone(dt.timedelta(hours=9))),
        pd.Timestamp("2026-01-05T00:00:00.000000001Z"),
    ],
)
def test_an_instant_is_written_in_several_ways(as_of):
    frame = tu.flatten_usage(WEEK)
    assert ids(frame, "2d", as_of=as_of)[:3] == ["claude1", "claude2", "kafka1"]


def test_without_an_instant_it_is_now():
    now = dt.datetime.now(dt.UTC)
    ends = {"fresh": now - dt.timedelta(hours=1), "whole": now - dt.timedelta(hours=3)}
    records = [
        {"id": name, "start_date": "2026-01-01", "end_date": end.isoformat()}
        for name, end in ends.items()
    ]
    assert ids(tu.flatten_usage(records), "2h", as_of=None) == ["whole"]


def test_an_inclusive_end_is_a_day_later():
    frame = tu.flatten_usage(WEEK, backend="polars")
    assert "kafka2" not in ids(frame, "2d", end={"kafka": "inclusive"})
    assert "claude2" in ids(frame, "2d", end={"kafka": "inclusive"})


def test_rows_index_and_dtypes_stay():
    frame = tu.flatten_usage(WEEK).set_index(pd.Index(range(20, 30)))
    found = tu.complete_until(frame, "3d", as_of="2026-01-05")
    pd.testing.assert_frame_equal(found, frame.loc[[20, 23, 26, 29]])
    bare = pd.DataFrame({"id": ["a"], "surface": ["x"]})
    assert len(tu.complete_until(bare, "3d")) == 1
    naive = pd.DataFrame(
        {"id": ["a", "b"], "start_date": pd.to_datetime(["2026-01-01", "2026-01-04"])}
    )
    assert tu.complete_until(naive, "2d", as_of="2026-01-05")["id"].tolist() == ["a"]


@pytest.mark.parametrize(
    ("ask", "error", "text"),
    [
        (lambda f: tu.latest(f, key="ids"), OptionError, "key='ids' is not a value of key"),
        (lambda f: tu.latest(f, keys="id"), UnknownOptionError, "Did you mean 'key'?"),
        (lambda f: tu.restatements(f, key=None), OptionError, "key=None is not a value of key"),
        (lambda f: tu.restatements(f, end="x"), OptionError, "end='x' is not a value of end"),
        (lambda f: tu.complete_until(f, 3), OptionError, "lag=3 is no length of time"),
        (lambda f: tu.complete_until(f, "3m"), OptionError, "lag='3m' is no length of time"),
        (lambda f: tu.complete_until(f, {"a": None}), OptionError, "lag=None is no length"),
        (lambda f: tu.complete_until(f, {1: "3d"}), OptionError, "lag= names the product 1"),
        (lambda f: tu.complete_until(f, "9999999999d"), OptionError, "is too long"),
        (lambda f: tu.complete_until(f, "999999d"), OptionError, "before the year 1"),
        (lambda f: tu.complete_until(f, dt.timedelta(-1)), OptionError, "is no length of time"),
        (
            lambda f: tu.complete_until(f, "1d", as_of="soon"),
            OptionError,
            "as_of='soon' is no date",
        ),
        (lambda f: tu.complete_until(f, "1d", as_of=pd.NaT), OptionError, "as_of=NaT is no date"),
        (lambda f: tu.complete_until(f, "1d", as_of=5), OptionError, "as_of=5 is no date"),
        (lambda f: tu.latest(tu.to_long(f)), FrameError, "to_wide"),
        (lambda f: tu.restatements(tu.to_long(f)), FrameError, "to_wide"),
        (lambda f: tu.complete_until(tu.charges(f), "1d"), FrameError, "a wide one is needed"),
    ],
)
def test_what_cannot_be_asked_is_said(ask, error, text):
    frame = tu.flatten_usage({**FULL, "id": "a"})
    with pytest.raises(error, match=text.replace("?", r"\?")):
        ask(frame)
