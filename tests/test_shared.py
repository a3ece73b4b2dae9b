"""Shared cost over those who bear it: by hand, and held to plain Python over drawn records."""

import datetime as dt
import math
import random
import warnings
from fractions import Fraction

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import rows
from strategies import draws
from test_allocate import EACH, SOME, frame_of, names, plain
from tidyusage.catalogue import CHARGE_TYPES
from tidyusage.errors import (
    AllocationWarning,
    FrameError,
    OptionError,
    OverlapError,
    OverlapWarning,
    UnknownFieldError,
)

LAW = settings(max_examples=draws(6), deadline=None, suppress_health_check=list(HealthCheck))
ANYONE = {"user.id": None}


def used(id_, user=None, tokens=None, amount=None, **more):
    """Return a record of January 1st, of one organization and product unless said otherwise."""
    record = {
        "id": id_,
        "organization": {"id": "o1"},
        "product": {"id": "claude"},
        "user": {"id": user},
        "charges": [],
        "usage": {"tokens": {"total": tokens}},
        "start_date": "2026-01-01",
        "end_date": "2026-01-02",
    }
    if amount is not None:
        record["charges"] = [{"type": "net", "amount": amount, "currency": "USD"}]
    return record | more


def product(name):
    return {"product": {"id": name}}


def window(start, end):
    return {"start_date": start, "end_date": end}


def spread_of(frame, *to, name="user.id", where=None, **options):
    """Return who has what share of the rows that were spread."""
    found = plain(tu.allocate_shared(frame, where or ANYONE, *(to or (name,)), **options))
    return {(row["id"], row[name]): row["allocated_share"] for row in found if row["allocated"]}


# ---------------------------------------------------------------------------------------------
# By hand


@EACH
@pytest.mark.parametrize("sep", [".", "_"])
def test_a_fee_goes_to_users_as_their_tokens(flavour, sep):
    records = [
        used("fee", amount=10),
        used("a", "ada", 300, 6),
        used("b", "bob", 60, 2),
        used("c", "bob", 40),
    ]
    frame = frame_of(records, flavour, sep)
    found = plain(tu.allocate_shared(frame, ANYONE, "user.id"))
    keys = ("id", "user.id", "charges.net", "allocated", "allocated_share")
    # 300 : 100 of 10.00, where the fee stood
    assert [tuple(row[key] for key in keys) for row in found] == [
        ("fee", "ada", 7.5, True, 0.75),
        ("fee", "bob", 2.5, True, 0.25),
        ("a", "ada", 6, False, 1),
        ("b", "bob", 2, False, 1),
        ("c", "bob", None, False, 1),
    ]
    assert found[0]["charges"] == [{"amount": 7.5, "currency": "USD", "type": "net"}]
    assert names(tu.allocate_shared(frame, ANYONE, "user.id")) == [
        *names(frame),
        "allocated",
        "allocated_share",
    ]


@SOME
def test_all_that_may_be_added_is_spread_and_the_rest_is_null(flavour):
    usage = {
        "tokens": {"total": 40, "input": 12},
        "sessions": {"distinct": 3, "dispatch_turns": 8},
        "activity": {"is_active": True, "client_version": "1.2"},
        "code": {"tool_actions": {"edit": {"accepted": 6}}},
    }
    charges = [
        {"type": "total", "amount": 8, "currency": "EUR"},
        {"type": "tax", "amount": 2, "currency": "EUR"},
    ]
    fee = used("fee") | {"usage": usage, "charges": charges}
    frame = frame_of([fee, used("a", "ada", 3), used("b", "bob", 1)], flavour)
    first, second = plain(tu.allocate_shared(frame, ANYONE, "user.id"))[:2]
    for row, share in ((first, 0.75), (second, 0.25)):
        assert row["charges.total"] == 8 * share
        assert row["charges.tax"] == 2 * share
        assert row["charges.currency"] == "EUR"
        assert row["usage.tokens.input"] == 12 * share
        assert row["usage.sessions.dispatch_turns"] == 8 * share
        assert row["usage.code.tool_actions"] == [
            {"tool": "edit", "action": "accepted", "count": 6 * share}
        ]
        assert row["usage.sessions.distinct"] is None
        assert row["usage.activity.is_active"] is None
        assert row["usage.activity.client_version"] == "1.2"


@SOME
def test_by_cost_only_the_same_currency_bears(flavour):
    euro = [{"type": "net", "amount": 90, "currency": "EUR"}]
    records = [
        used("fee", amount=10),
        used("a", "ada", 1, 3),
        used("b", "bob", 1, 1),
        used("c", "cyd", 1, charges=euro),
    ]
    records[2]["charges"][0]["currency"] = " usd "
    shares = spread_of(frame_of(records, flavour), by="cost")
    assert shares == {("fee", "ada"): 0.75, ("fee", "bob"): 0.25}


@SOME
def test_support_goes_to_the_products(flavour):
    records = [
        used("s", amount=12, **product("support")),
        used("a", None, 30, **product("claude")),
        used("b", "bob", 10, **product("cursor")),
    ]
    records[1]["product"]["name"] = "Claude"
    frame = frame_of(records, flavour)
    found = plain(tu.allocate_shared(frame, {"product.id": "support"}, "product.id"))
    assert [(row["product.id"], row["product.name"], row["charges.net"]) for row in found[:2]] == [
        ("claude", "Claude", 9),
        ("cursor", None, 3),
    ]


@SOME
def test_two_dimensions_and_a_column_of_ones_own(flavour):
    records = [
        used("fee", amount=8),
        used("a", "ada", 1, model={"id": "x"}),
        used("b", "ada", 2, model={"id": "y"}),
        used("c", "bob", 5, model={"id": None}),
    ]
    frame = frame_of(
        records, flavour, team=[None, "red", "blue", " "], fee=[True, False, None, False]
    )
    found = plain(tu.allocate_shared(frame, "fee", "user.id", "model.id"))
    # bob names no model
    assert [(row["user.id"], row["model.id"]) for row in found[:2]] == [("ada", "y"), ("ada", "x")]
    assert [row["charges.net"] for row in found[:2]] == pytest.approx([16 / 3, 8 / 3])
    by_team = plain(tu.allocate_shared(frame, {"fee": True}, "team"))
    assert [(row["team"], row["user.id"]) for row in by_team[:2]] == [("blue", None), ("red", None)]


@SOME
def test_only_what_a_window_has_in_common_counts(flavour):
    records = [
        used("month", amount=10, **window("2026-01-01", "2026-02-01")),
        # two days, one of which is in January: 50
        used("a", "ada", 100, **window("2026-01-31", "2026-02-02")),
        used("b", "bob", 150, **window("2026-01-07", "2026-01-08")),
        used("c", "cyd", 999, **window("2026-02-01", "2026-02-02")),
        used("d", "dan", 999, **window(None, None)),
    ]
    assert spread_of(frame_of(records, flavour)) == {("month", "ada"): 0.25, ("month", "bob"): 0.75}
    # even: who is there at all
    even = spread_of(frame_of(records, flavour), by="even")
    assert even == {("month", "ada"): 0.5, ("month", "bob"): 0.5}


def test_an_inclusive_end_counts_the_day_that_it_names():
    records = [
        used("fee", amount=10, **window("2026-01-03", "2026-01-03")),
        used("a", "ada", 100, **window("2026-01-01", "2026-01-03")),
        used("b", "bob", 10, **window("2026-01-03", None)),
    ]
    assert spread_of(frame_of(records)) == {("fee", "bob"): 1}
    # a third of ada's 100, which are of three days
    shares = spread_of(frame_of(records), end="inclusive")
    assert shares[("fee", "ada")] == pytest.approx((100 / 3) / (100 / 3 + 10), rel=1e-14)


@SOME
def test_rows_without_dates_bear_rows_without_dates(flavour):
    none = window(None, None)
    records = [used("fee", amount=4, **none), used("a", "ada", 1, **none), used("b", "bob", 7)]
    assert spread_of(frame_of(records, flavour)) == {("fee", "ada"): 1}


@SOME
def test_organizations_and_products_keep_to_themselves(flavour):
    other = {"organization": {"id": "o2"}}
    records = [
        used("fee", amount=4),
        used("a", "ada", 1),
        used("b", "bob", 7, **other),
        used("c", "cyd", 8, **product("cursor")),
    ]
    frame = frame_of(records, flavour)
    assert spread_of(frame) == {("fee", "ada"): 1}
    within = spread_of(frame, within=["organization.id"])
    assert within == {("fee", "cyd"): pytest.approx(8 / 9), ("fee", "ada"): pytest.approx(1 / 9)}
    assert set(spread_of(frame, within=[])) == {("fee", "ada"), ("fee", "bob"), ("fee", "cyd")}


def test_a_user_brings_the_names_that_all_rows_agree_on():
    ada = {"user": {"id": "u1", "email": "Ada@x.org", "name": "Ada"}}
    again = {"user": {"id": "u1 ", "email": "ada@X.org", "name": "Ada L."}}
    fee = {"user": {"name": "Billing"}}
    frame = frame_of(
        [used("fee", amount=4) | fee, used("a", tokens=1) | ada, used("b", tokens=1) | again]
    )
    first = tu.allocate_shared(frame, ANYONE, "user.id").row(0, named=True)
    # one person in two spellings, by two names
    assert (first["user.id"], first["user.email"], first["user.name"]) == ("u1", "Ada@x.org", None)
    by_mail = tu.allocate_shared(frame, ANYONE, "user.email", by="even").row(0, named=True)
    assert (by_mail["user.email"], by_mail["allocated_share"]) == ("Ada@x.org", 1)


@SOME
def test_who_has_nothing_bears_nothing(flavour):
    records = [
        used("fee", amount=4),
        used("a", "ada", 1),
        used("b", "bob", 0),
        used("c", "cyd"),
        used("d", "  ", 50),
    ]
    assert spread_of(frame_of(records, flavour), where={"id": "fee"}) == {("fee", "ada"): 1}


def test_other_measures():
    records = [used("fee", amount=4), used("a", "ada", 1), used("b", "bob", 9)]
    records[1]["usage"]["requests"] = {"chat": 2, "agent": 1}
    records[2]["usage"]["requests"] = {"total": 1}
    shares = {("fee", "ada"): 0.75, ("fee", "bob"): 0.25}
    assert spread_of(frame_of(records), by="requests") == shares
    fields = spread_of(frame_of(records), by="tokens.total")
    assert fields == {("fee", "bob"): 0.9, ("fee", "ada"): 0.1}


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({"user.id": None}, {"n", "blank"}),
        ({"user.id": "ada"}, {"a"}),
        ({"user.id": ["ada", None]}, {"a", "n", "blank"}),
        ({"user.id": None, "surface": "api"}, {"n"}),
        ({"level": 2}, {"n"}),
        ({"level": [1, 2]}, {"n", "a"}),
        ({"flag": True}, {"blank"}),
        ({"usage.activity.is_active": False}, {"n"}),
        ({"user_id": None}, None),
        ({"surface": []}, set()),
        ("flag", {"blank"}),
        ("usage.activity.is_active", {"a"}),
    ],
)
def test_which_rows_are_shared(where, ids):
    records = [
        used("a", "ada", 1, surface="chat"),
        used("n", None, 1, surface="api"),
        used("blank", " ", 1),
        used("z", "zoe", 1),
    ]
    records[0]["usage"]["activity"] = {"is_active": True}
    records[1]["usage"]["activity"] = {"is_active": False}
    frame = frame_of(records, level=[1, 2, 3, None], flag=[False, None, True, False])
    if ids is None:
        renamed = frame.rename({"user.id": "x"})
        assert tu.allocate_shared(renamed, {"x": None}, "x", overlap="ignore").height == 6
        return
    found = tu.allocate_shared(frame, where, "user.id", by="even", overlap="ignore")
    assert {row["id"] for row in plain(found) if row["allocated"]} == ids


# ---------------------------------------------------------------------------------------------
# What nobody bears


@SOME
def test_what_nobody_bears_stays_and_is_told(flavour):
    euro = [{"type": "net", "amount": 3, "currency": "eur"}]
    none = [{"type": "net", "amount": 5}]
    records = [
        used("f", amount=1000.5),
        used("g", amount=0.25),
        used("h", charges=euro),
        used("i", charges=none),
        used("j"),
        used("k", "kim", 3, **product("cursor")),
    ]
    frame = frame_of(records, flavour)
    said = (
        r"5 shared rows are not spread: no other row of the same organization\.id and product\.id "
        r"and window names user\.id and has more than 0 of 'tokens'\. They cost "
        r"5\.00 without a currency, 3\.00 EUR, 1,000\.75 USD"
    )
    if flavour == "duckdb":  # which cannot warn: its rows tell
        found = plain(tu.allocate_shared(frame, ANYONE, "user.id"))
    else:
        with pytest.warns(AllocationWarning, match=said):
            found = plain(tu.allocate_shared(frame, ANYONE, "user.id"))
    assert not any(row.pop("allocated") for row in found)
    assert {row.pop("allocated_share") for row in found} == {1}
    assert found == plain(frame)


def test_one_row_without_a_cost_is_told_as_one():
    with pytest.warns(AllocationWarning, match=r"1 shared row is not spread.*They have no cost"):
        tu.allocate_shared(frame_of([used("f")]), ANYONE, "user.id")


def test_a_lazy_frame_warns_when_it_is_collected():
    lazy = tu.allocate_shared(frame_of([used("f", amount=1)], "polars lazy"), ANYONE, "user.id")
    assert isinstance(lazy, pl.LazyFrame)
    with pytest.warns(AllocationWarning):
        found = lazy.collect()
    assert found.schema == lazy.collect_schema()


@SOME
@pytest.mark.parametrize("records", [[], [used("a", "ada", 1, 2)]])
def test_without_shared_rows_nothing_changes(flavour, records):
    frame = frame_of(records, flavour)
    found = plain(tu.allocate_shared(frame, ANYONE, "user.id"))
    assert [row.pop("allocated") for row in found] == [False] * len(records)
    assert [row.pop("allocated_share") for row in found] == [1] * len(records)
    assert found == plain(frame)


# ---------------------------------------------------------------------------------------------
# With what stands around it


@SOME
def test_a_frame_is_spread_twice(flavour):
    records = [
        used("support", amount=8, **product("support")),
        used("fee", None, 4, 4),
        used("a", "ada", 3),
        used("b", "bob", 1),
        used("c", "cyd", 8, **product("cursor")),
    ]
    frame = frame_of(records, flavour)
    first = tu.allocate_shared(frame, {"product.id": "support"}, "product.id", overlap="ignore")
    both = plain(tu.allocate_shared(first, ANYONE, "user.id", overlap="ignore"))
    found = {
        (row["id"], row["product.id"], row["user.id"]): (row["charges.net"], row["allocated_share"])
        for row in both
        if row["allocated"]
    }
    # support: 8 tokens each, half to claude and half to cursor; then 3 : 1 within claude
    assert found == {
        ("support", "claude", "ada"): (3, 0.375),
        ("support", "claude", "bob"): (1, 0.125),
        ("support", "cursor", "cyd"): (4, 0.5),
        ("fee", "claude", "ada"): (3, 0.75),
        ("fee", "claude", "bob"): (1, 0.25),
    }


@SOME
def test_what_was_spread_before_stays_marked(flavour):
    records = [
        used("fee", amount=4),
        used("a", "ada", 3),
        used("b", "bob", 1),
        used("tip", amount=2, **product("cursor")),
        used("c", "cyd", 8, **product("cursor")),
    ]
    first = tu.allocate_shared(
        frame_of(records, flavour), {"user.id": None, "product.id": "claude"}, "user.id"
    )
    both = plain(tu.allocate_shared(first, ANYONE, "user.id"))
    # the second call leaves the fee's rows alone, and what they are
    assert [
        (row["id"], row["user.id"], row["allocated"], row["allocated_share"]) for row in both
    ] == [
        ("fee", "ada", True, 0.75),
        ("fee", "bob", True, 0.25),
        ("a", "ada", False, 1),
        ("b", "bob", False, 1),
        ("tip", "cyd", True, 1),
        ("c", "cyd", False, 1),
    ]


@SOME
def test_resources_and_shared_cost_go_together(flavour):
    records = [
        used("support", amount=6, **product("support")),
        used("a", tokens=3, amount=2) | {"resources": [{"id": "r1"}, {"id": "r2"}]},
        used("b", tokens=1) | {"resources": [{"id": "r2"}]},
    ]
    parts = tu.allocate(frame_of(records, flavour), weights={"r1": 1, "r2": 2})
    where = {"product.id": "support"}
    # r1 has 1 of 4 tokens, r2 has 2 + 1
    shares = spread_of(parts, name="resources.id", where=where, within=["organization.id"])
    assert shares == {
        ("support", "r1"): pytest.approx(0.25),
        ("support", "r2"): pytest.approx(0.75),
    }


@SOME
def test_costs_are_the_same_before_and_after(flavour):
    records = [
        used("fee", amount=10),
        used("tax", charges=[{"type": "total", "amount": 3, "currency": "EUR"}]),
        used("a", "ada", 3, 5),
        used("b", "bob", 1),
    ]
    frame = frame_of(records, flavour)
    spread = tu.allocate_shared(frame, ANYONE, "user.id", overlap="ignore")
    costs = [
        {row["currency"]: row["cost"] for row in rows(tu.cost_by(each, overlap="ignore"))}
        for each in (frame, spread)
    ]
    assert costs[0] == costs[1] == {"USD": 15, "EUR": 3}
    by_user = {
        (row["user.id"], row["currency"]): row["cost"]
        for row in rows(tu.cost_by(spread, "user.id", overlap="ignore"))
    }
    assert by_user == {
        ("ada", "USD"): 12.5,
        ("bob", "USD"): 2.5,
        ("ada", "EUR"): 2.25,
        ("bob", "EUR"): 0.75,
    }


def test_a_pandas_frame_is_not_changed_and_dtypes_stay():
    records = [used("fee", amount=10), used("a", "ada", 3, 5), used("b", "bob", 1)]
    frame = frame_of(records, "pandas", n=[1, 2, 3])
    frame["user.id"] = frame["user.id"].astype("category")
    frame.index = [5, 5, 6]
    before = frame.copy(deep=True)
    found = tu.allocate_shared(frame, ANYONE, "user.id")
    pd.testing.assert_frame_equal(frame, before)
    assert found.dtypes["user.id"].name == "category"
    kept = [name for name in frame.columns if name != "user.id"]
    assert found.dtypes[kept].to_dict() == frame.dtypes[kept].to_dict()
    assert found.index.tolist() == [0, 1, 2, 3]


def test_some_columns_are_enough():
    frame = pl.DataFrame({"id": ["f", "a"], "user.id": [None, "ada"], "charges.net": [5, 1]})
    # Silent: each row has a net amount, so that no other charge could change its cost.
    found = tu.allocate_shared(frame, ANYONE, "user.id", by="cost", assume_currency="USD")
    assert found["charges.net"].to_list() == [5, 1]
    assert found["user.id"].to_list() == ["ada", "ada"]


# ---------------------------------------------------------------------------------------------
# What cannot be


@pytest.mark.parametrize(
    ("where", "to", "options", "error", "said"),
    [
        (ANYONE, (), {}, OptionError, "nothing to spread shared rows over"),
        ({}, ("user.id",), {}, OptionError, "selects no rows"),
        (None, ("user.id",), {}, OptionError, "selects no rows"),
        ({"user.id": {"a": 1}}, ("user.id",), {}, OptionError, "gives 'user.id' the value"),
        ({"user.id": math.nan}, ("user.id",), {}, OptionError, "gives 'user.id' the value nan"),
        ({"user.idd": None}, ("user.id",), {}, UnknownFieldError, "Did you mean"),
        ("nothing", ("user.id",), {}, UnknownFieldError, "Unknown dimension 'nothing'"),
        ("team", ("user.id",), {}, FrameError, "holds text, and booleans belong there"),
        (ANYONE, ("user.idd",), {}, UnknownFieldError, "Did you mean"),
        (ANYONE, ("resources.id",), {}, FrameError, "stands in a list"),
        (ANYONE, ("tool",), {}, FrameError, "stands in a list"),
        (ANYONE, ("user.id", "user.id"), {}, OptionError, "named twice"),
        (ANYONE, ("user.id",), {"by": "sessions.distinct"}, OptionError, "has no meaning"),
        (ANYONE, ("user.id",), {"by": "quantity"}, OptionError, "has no meaning"),
        (ANYONE, ("user.id",), {"by": "tokns"}, UnknownFieldError, "Did you mean 'tokens'"),
        (ANYONE, ("user.id",), {"by": None}, OptionError, "no name of a measure"),
        (ANYONE, ("user.id",), {"within": "product.id"}, OptionError, "is no list"),
        (ANYONE, ("user.id",), {"within": ["user.id"]}, OptionError, "within= names 'user.id'"),
        (ANYONE, ("user.id",), {"charge": "nett"}, OptionError, "no policy"),
        (ANYONE, ("user.id",), {"end": "open"}, OptionError, "end='open'"),
        (ANYONE, ("user.id",), {"token_convention": "x"}, OptionError, "token_convention='x'"),
    ],
)
def test_options_that_cannot_be(where, to, options, error, said):
    frame = frame_of([used("f", amount=1), used("a", "ada", 1)], team=["x", "y"])
    with pytest.raises(error, match=said):
        tu.allocate_shared(frame, where, *to, **options)


def test_frames_that_cannot_be():
    frame = frame_of([used("f", amount=1), used("a", "ada", 1)])
    with pytest.raises(FrameError, match="a wide one is needed"):
        tu.allocate_shared(tu.to_long(frame), ANYONE, "user.id")
    with pytest.raises(UnknownFieldError, match=r"no column 'user\.id' to spread over"):
        tu.allocate_shared(frame.drop("user.id"), {"surface": None}, "user.id")
    tokens = [name for name in frame.columns if name.startswith("usage.tokens")]
    with pytest.raises(UnknownFieldError, match="none of the columns that allocate_shared needs"):
        tu.allocate_shared(frame.drop(tokens), ANYONE, "user.id")
    with pytest.raises(FrameError, match="'allocated' holds numbers, and booleans belong there"):
        tu.allocate_shared(frame.with_columns(allocated=1), ANYONE, "user.id")


# ---------------------------------------------------------------------------------------------
# Laws

DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
AMOUNT = st.integers(-100, 1000) | st.floats(-1e9, 1e9).filter(lambda x: not 0 < abs(x) < 1e-9)


@st.composite
def records_(draw):
    found = []
    for number in range(draw(st.integers(0, 14))):
        start = draw(st.none() | st.integers(0, 72))
        length = draw(st.none() | st.sampled_from([-5, 0, 1, 24, 24, 31, 100]))
        begin = None if start is None else DAY + dt.timedelta(hours=start)
        currency = draw(st.sampled_from(["USD", "usd", "EUR", None]))
        types = draw(st.lists(st.sampled_from(CHARGE_TYPES), max_size=3, unique=True))
        found.append(
            {
                "id": f"r{number}",
                "organization": {"id": draw(st.sampled_from(["o1", "o1", "o2", None]))},
                "product": {"id": draw(st.sampled_from(["p", "p", "q"]))},
                "user": {"id": draw(st.sampled_from([None, None, " ", "u1", "u2", "u1 ", "u3"]))},
                "charges": [
                    {"type": t, "amount": draw(AMOUNT), "currency": currency} for t in types
                ],
                "usage": {
                    "tokens": {"total": draw(st.none() | st.integers(0, 50))},
                    "requests": {"total": draw(st.none() | st.floats(1e-9, 1e9))},
                },
                "start_date": begin and begin.isoformat(),
                "end_date": None
                if begin is None or length is None
                else (begin + dt.timedelta(hours=length)).isoformat(),
            }
        )
    return found


def microseconds(record):
    """Return a record's window in microseconds, None without dates.

    Without an end after it, midnight is a day and any other start an instant.
    """
    if record["start_date"] is None:
        return None
    start = dt.datetime.fromisoformat(record["start_date"])
    end = record["end_date"] and dt.datetime.fromisoformat(record["end_date"])
    tick = dt.timedelta(microseconds=1)
    if not end or end <= start:
        end = start + (dt.timedelta(days=1) if start.time() == dt.time() else tick)
    return (start - DAY) // tick, (end - DAY) // tick


def common(shared, other):
    """Return which part of another record's window lies in a shared one's."""
    here, there = microseconds(shared), microseconds(other)
    if here is None or there is None:
        return Fraction(here is there)
    inside = min(here[1], there[1]) - max(here[0], there[0])
    return Fraction(max(inside, 0), there[1] - there[0])


def expected(records, by):
    """Return each shared record's shares by user."""
    is_shared = {each["id"]: not (each["user"]["id"] or "").strip() for each in records}
    answer = {}
    for shared in records:
        if not is_shared[shared["id"]]:
            continue
        bears: dict = {}
        for other in records:
            same = (
                shared["organization"] == other["organization"]
                and shared["product"] == other["product"]
            )
            part = common(shared, other)
            if is_shared[other["id"]] or not same or not part:
                continue
            user = other["user"]["id"].strip()
            if by == "even":
                bears[user] = Fraction(1)
                continue
            value = other["usage"][by]["total"]
            if value is not None:
                bears[user] = bears.get(user, 0) + Fraction(value) * part
        bears = {user: value for user, value in bears.items() if value > 0}
        total = sum(bears.values())
        answer[shared["id"]] = {user: float(value / total) for user, value in bears.items()}
    return answer


@EACH
@LAW
@given(records=records_(), by=st.sampled_from(["tokens", "requests", "even"]), seed=st.randoms())
def test_shares_are_what_python_says_and_parts_add_up(flavour, records, by, seed: random.Random):
    frame = frame_of(records, flavour)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AllocationWarning)
        found = plain(tu.allocate_shared(frame, ANYONE, "user.id", by=by))
    theirs = expected(records, by)
    for record in records:
        own = [row for row in found if row["id"] == record["id"]]
        shares = theirs.get(record["id"])
        if not shares:
            assert [row["allocated"] for row in own] == [False]
            continue
        assert all(row["allocated"] for row in own)
        ours = {row["user.id"].strip(): row["allocated_share"] for row in own}
        assert len(ours) == len(own)
        assert ours == pytest.approx(shares, rel=1e-12)
    before = plain(frame)
    for name in [f"charges.{type_}" for type_ in CHARGE_TYPES] + ["usage.tokens.total"]:
        for whole in before:
            amounts = [row[name] for row in found if row["id"] == whole["id"]]
            if whole[name] is None:
                assert amounts == [None] * len(amounts)
                continue
            seed.shuffle(amounts)
            assert abs(sum(amounts) - whole[name]) <= abs(whole[name]) * 1e-12
    money = {
        (row["charges.currency"], name)
        for row in before
        for name in (f"charges.{type_}" for type_ in CHARGE_TYPES)
    }
    for currency, name in money:
        old, new = (
            [
                row[name]
                for row in each
                if row["charges.currency"] == currency and row[name] is not None
            ]
            for each in (before, found)
        )
        near = 1e-12 * sum(map(abs, old))
        assert abs(math.fsum(old) - math.fsum(new)) <= near
    order = list(dict.fromkeys(row["id"] for row in found))
    assert order == [each["id"] for each in records]


def test_relations_of_a_query_in_no_order_keep_their_rows_whole():
    connection = duckdb.connect()
    table = frame_of(
        [used(f"f{n}", amount=n) for n in range(50)] + [used("a", "ada", 1)], "pyarrow"
    )
    relation = connection.from_arrow(table).query(
        "t", "select distinct * exclude (resources) from t"
    )
    found = plain(tu.allocate_shared(relation, ANYONE, "user.id"))
    assert sorted(row["charges.net"] for row in found if row["allocated"]) == list(range(50))
    assert all(row["id"] == f"f{row['charges.net']:.0f}" for row in found if row["allocated"])


def test_a_roll_up_is_not_spread_without_a_word():
    # 10 are ada's 6 and bob's 4: spread over them, they would count twice for good
    rolled = [used("all", None, 100, 10), used("a", "ada", 60, 6), used("b", "bob", 40, 4)]
    with pytest.warns(OverlapWarning, match="organization equal those by user"):
        tu.allocate_shared(frame_of(rolled), {"user.id": None}, "user.id")
    with pytest.raises(OverlapError):
        tu.allocate_shared(frame_of(rolled), {"user.id": None}, "user.id", overlap="raise")
    fee = [used("fee", None, None, 12), *rolled[1:]]  # 12 contain 10, as a fee may
    tu.allocate_shared(frame_of(fee), {"user.id": None}, "user.id", overlap="raise")
