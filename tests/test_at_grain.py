"""One grain of a frame: what is kept, what is left over, and that the total stays."""

import datetime as dt
import itertools
import math

import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import columns, rows
from flavours import FEW, FLAVOURS, frame_of
from strategies import draws
from test_grain import fetched, record, roll_up, two_reports
from tidyusage.engines import frames
from tidyusage.errors import FrameError, OptionError, RecordError

EACH = pytest.mark.parametrize("flavour", FLAVOURS)
SOME = pytest.mark.parametrize("flavour", FEW)
KEPT = ("user.id", "charges.net", "usage.tokens.total", "unattributed")


def at(records, which="finest", flavour="polars", names=KEPT, **options):
    found = rows(tu.at_grain(frame_of(records, flavour, **options), which))
    return [tuple(clean(row[name]) for name in names) for row in found]


def held(found, flavour):
    """Return an answer with its rows, so that what is asked of it does not ask for them anew."""
    return FLAVOURS[flavour](frames.collected(found))


def clean(value):
    return None if value is None or value is pd.NA or value != value else value  # noqa: PLR0124 - NaN


# By hand


@SOME
def test_the_finest_grain_and_what_is_left_over(flavour):
    # a day of 10.50 USD, of which the users have 4 and 6; all 100 tokens are theirs
    assert at(roll_up(extra=0.5), flavour=flavour) == [
        (None, 0.5, 0, True),
        ("ada", 4, 60, False),
        ("bob", 6, 40, False),
        (None, 0.5, 0, True),
        ("ada", 4, 60, False),
        ("bob", 6, 40, False),
    ]


@SOME
def test_nothing_is_left_of_a_roll_up_that_equals_its_parts(flavour):
    users = ["ada", "bob", "ada", "bob"]
    assert [row[0] for row in at(roll_up(), flavour=flavour)] == users


@SOME
def test_the_coarsest_grain_is_the_roll_up(flavour):
    names = KEPT[:3]
    expected = [(None, 10.5, 100), (None, 10.5, 100)]
    assert at(roll_up(extra=0.5), "coarsest", flavour, names) == expected
    frame = frame_of(roll_up(), flavour)
    assert columns(tu.at_grain(frame, "coarsest")) == columns(frame)


@EACH
def test_columns_keep_their_names_order_and_dtypes(flavour):
    frame = frame_of(roll_up(extra=0.5), flavour, sep="_")
    found = tu.at_grain(frame, "finest")
    assert columns(found) == [*columns(frame), "unattributed"]
    if isinstance(frame, pd.DataFrame):
        assert found.dtypes[list(frame.columns)].to_list() == frame.dtypes.to_list()
    if isinstance(frame, pl.DataFrame):
        assert found.select(frame.columns).schema == frame.schema


def test_a_chain_of_grains_leaves_something_at_each():
    records = [
        record(10),
        record(7, user="ada"),  # 3 are nobody's
        record(5, user="ada", model="opus"),  # 2 of ada's are of no model
    ]
    found = at(records, names=("user.id", "model.id", "charges.net", "unattributed"))
    assert found == [(None, None, 3, True), ("ada", None, 2, True), ("ada", "opus", 5, False)]
    assert [row[1] for row in at(records, "coarsest", names=KEPT[:3])] == [10]


def test_a_grain_between_may_be_there_on_some_days_alone():
    records = [
        record(10),
        record(7, user="ada"),
        record(5, user="ada", model="opus"),
        record(20, day=2),
        record(8, day=2, user="ada", model="opus"),
    ]
    found = at(records, names=("user.id", "model.id", "charges.net", "unattributed"))
    assert found == [
        (None, None, 3, True),
        ("ada", None, 2, True),
        ("ada", "opus", 5, False),
        (None, None, 12, True),  # 20 less ada's 8, of whom there is no other row that day
        ("ada", "opus", 8, False),
    ]


def test_finer_rows_of_two_grains_are_both_taken_off():
    # ada has a row of her own, bob has one of his model's alone: 20 less 7 and 8
    records = [
        record(20),
        record(7, user="ada"),
        record(5, user="ada", model="opus"),
        record(8, user="bob", model="opus"),
    ]
    assert [row[1] for row in at(records)] == [5, 2, 5, 8]


def test_days_and_months_of_one_grain_are_taken_off_together():
    # 100 a month, which ada's days and bob's month make but for 10
    days = [record(2, user="ada", day=day) for day in range(1, 31)]
    records = [record(100, days=30), *days, record(30, days=30, user="bob")]
    found = at(records)
    assert found[0][1] == 10
    assert math.fsum(row[1] for row in found) == 100


def test_rows_that_complete_each_other_stay():
    records = [record(3), record(4, user="ada"), record(10, day=2)]
    assert [row[1] for row in at(records)] == [3, 4, 10]
    assert [row[1] for row in at(records, "coarsest", names=KEPT[:3])] == [3, 4, 10]


def test_a_month_less_its_days_is_one_row_of_the_month():
    days = [record(2, 10, day, user="ada") for day in range(1, 31)]
    found = tu.at_grain(frame_of([record(61, 300, 1, 30), *days]), "finest")
    left = found.row(0, named=True)
    assert left["charges.net"] == 1  # 61 less 30 days of 2
    assert (left["start_date"].day, left["end_date"].day) == (1, 31)
    assert found.height == 31


def test_days_less_their_month_are_one_row_of_the_month():
    days = [record(2, 10, day) for day in range(1, 31)]
    found = tu.at_grain(frame_of([*days, record(59, 300, 1, 30, user="ada")]), "finest")
    left = found.row(0, named=True)
    assert left["charges.net"] == 1  # 30 days of 2 less 59
    assert (left["start_date"].day, left["end_date"].day) == (1, 31)
    assert found["charges.net"].sum() == 60


def charged(user, tokens=0, **amounts):
    made = record(None, tokens, user=user)
    made["charges"] = [
        {"type": type_, "amount": amount, "currency": "USD"} for type_, amount in amounts.items()
    ]
    return made


def test_each_type_of_charge_is_taken_off_its_own():
    records = [
        charged(None, total=12, discount=2, net=10),
        charged("ada", total=5, discount=1, net=4),
    ]
    found = tu.at_grain(frame_of(records), "finest").row(0, named=True)
    assert (found["charges.total"], found["charges.discount"], found["charges.net"]) == (7, 1, 6)
    entries = {entry["type"]: entry["amount"] for entry in found["charges"]}
    assert entries == {"total": 7, "discount": 1, "net": 6}


def test_types_that_differ_leave_one_net_charge():
    # billed: net 10 of the whole, total 6 of the part; the types alone would leave net 10
    records = [charged(None, total=12, net=10), charged("ada", total=6)]
    frame = frame_of(records)
    found = tu.at_grain(frame, "finest").row(0, named=True)
    assert found["charges.net"] == 4
    assert found["charges.total"] is None
    assert found["charges"] == [{"amount": 4.0, "currency": "USD", "type": "net"}]
    total = tu.cost_by(tu.at_grain(frame, "finest"))["cost"].to_list()
    assert total == [10]


def test_currencies_are_left_apart():
    records = [
        record(10, 100),
        record(20, None, currency="EUR"),
        record(9, 90, user="ada"),
        record(15, None, user="ada", currency="EUR"),
    ]
    names = ("charges.currency", "charges.net", "usage.tokens.total", "unattributed")
    left = [row for row in at(records, names=names) if row[3]]
    assert left == [("USD", 1, 10, True), ("EUR", 5, None, True)]


def test_measures_that_cannot_be_added_are_null_in_what_is_left():
    whole, part = record(10, 100), record(4, 60, user="ada")
    whole["usage"] |= {"sessions": {"distinct": 5}, "activity": {"is_active": True}}
    part["usage"] |= {"sessions": {"distinct": 3}, "activity": {"is_active": True}}
    names = ("usage.sessions.distinct", "usage.activity.is_active", "unattributed")
    assert at([whole, part], names=names) == [(None, None, True), (3, True, False)]


def test_tool_actions_are_taken_off_tool_by_tool():
    whole, part = record(10, 100), record(4, 60, user="ada")
    whole["usage"]["code"] = {"tool_actions": {"edit": {"accepted": 9, "rejected": 2}}}
    part["usage"]["code"] = {"tool_actions": {"edit": {"accepted": 5, "rejected": 2}}}
    (left,) = at([whole, part], names=("usage.code.tool_actions", "unattributed"))[:1]
    assert left == ([{"tool": "edit", "action": "accepted", "count": 4.0}], True)


def test_quantities_are_taken_off_within_their_unit():
    whole, part, other = record(10), record(4, user="ada"), record(3, user="bob")
    whole["usage"] |= {"quantity": 100, "unit": "GB"}
    part["usage"] |= {"quantity": 60, "unit": "GB"}
    other["usage"] |= {"quantity": 7, "unit": "hour"}
    (left,) = at([whole, part, other], names=("usage.quantity", "usage.unit"))[:1]
    assert left == (40, "GB")


def test_what_the_roll_up_does_not_tell_is_not_left_over():
    whole, part = record(10), record(4, 60, user="ada")
    whole["usage"]["requests"] = {"total": 3}
    names = ("usage.tokens.total", "usage.requests.total", "unattributed")
    assert at([whole, part], names=names) == [(None, 3, True), (60, None, False)]


def test_own_columns_come_from_the_roll_up():
    frame = frame_of(roll_up(extra=0.5), "pandas").assign(team=list("abcdef"))
    found = tu.at_grain(frame.set_index(frame["id"]), "finest")
    assert found["team"].to_list() == list("abcdef")


# What is left over is told apart


@SOME
def test_a_frame_at_one_grain_is_looked_at_in_peace(flavour):
    # 30 are nobody's, and reach ada's 4: without the mark they would look like her roll-up
    frame = frame_of([record(34, 100), record(4, 60, user="ada")], flavour)
    found = held(tu.at_grain(frame, "finest"), flavour)
    assert rows(tu.cost_by(found, overlap="raise"))[0]["cost"] == 34
    assert rows(tu.overlaps(found)) == []
    assert [row["records"] for row in rows(tu.grains(found))] == [1, 1]


@SOME
def test_a_frame_at_one_grain_stays_as_it_is(flavour):
    once = held(tu.at_grain(frame_of(roll_up(extra=0.5), flavour), "finest"), flavour)
    assert rows(tu.at_grain(once, "finest")) == rows(once)
    assert rows(tu.at_grain(once, "coarsest")) == rows(once)


# Grains that cannot be compared


@SOME
def test_users_beside_models_raise_and_are_named(flavour):
    records = [record(10), record(10, user="ada"), record(10, model="opus")]
    told = "claude: rows by user and rows by model cannot be compared"
    with pytest.raises(Exception, match=told) as error:
        rows(tu.at_grain(frame_of(records, flavour), "finest"))
    assert flavour in {"duckdb", "polars lazy"} or isinstance(error.value, RecordError)
    assert len(rows(tu.at_grain(frame_of(records, flavour), "coarsest"))) == 1


def test_users_beside_models_without_a_roll_up_raise_either_way():
    for which in ("finest", "coarsest"):
        with pytest.raises(RecordError, match="rows by user and rows by model"):
            at([record(10, user="ada"), record(10, model="opus")], which)


@pytest.mark.parametrize(
    "other",
    [
        record(10, model="opus", day=2),
        record(None, 5, model="opus"),
        record(10, model="opus", currency="EUR"),
        record(10, model="opus", product="codex"),
        record(10, model="opus", metric="storage"),
    ],
)
def test_users_and_models_that_never_meet_are_no_matter(other):
    assert len(at([record(10, user="ada"), other])) == 2


# Bad input


def test_only_a_wide_frame_has_one_grain():
    with pytest.raises(FrameError, match="a wide one is needed"):
        tu.at_grain(tu.load_example(layout="long"), "finest")
    with pytest.raises(OptionError, match="which='fine'"):
        tu.at_grain(tu.load_example(), "fine")


@SOME
def test_an_empty_frame_stays_empty(flavour):
    for which in ("finest", "coarsest"):
        assert rows(tu.at_grain(frame_of([], flavour), which)) == []


def test_columns_may_be_absent():
    frame = frame_of(roll_up(extra=0.5)).select("id", "user.id", "charges.net", "charges.currency")
    # without dates all is one window: 2 x 10.50 less 4 + 6 + 4 + 6
    assert tu.at_grain(frame, "finest")["charges.net"].to_list() == [1, 4, 6, 4, 6]


# The law: whatever is drawn, the total is the roll-ups' and that of the days without one


QUARTERS = st.integers(0, 40).map(lambda number: number / 4)


@st.composite
def days(draw):
    """Return records of some days, and the cost and tokens that they have in all."""
    records, cost, tokens = [], 0.0, 0.0
    for day in range(1, draw(st.integers(2, 5))):
        parts = [
            record(draw(QUARTERS), draw(st.integers(0, 50)), day, user=user, model=model)
            for user in "ab"
            for model in draw(st.lists(st.sampled_from("xy"), unique=True))
        ]
        users = []
        if draw(st.booleans()):  # the users' rows, with what no model has
            users = [roll(parts, draw, day, user) for user in "ab"]
        top = [each for each in (users or parts) if each]
        if draw(st.booleans()):
            top = [roll(top, draw, day)]
        cost += math.fsum(each["charges"][0]["amount"] for each in top)
        tokens += math.fsum(each["usage"]["tokens"]["total"] for each in top)
        records += draw(
            st.permutations([*parts, *users, *(t for t in top if t not in users + parts)])
        )
    return records, cost, tokens


def roll(parts, draw, day, user=None):
    those = [each for each in parts if user in {None, each["user"]["id"]}]
    cost = math.fsum(each["charges"][0]["amount"] for each in those) + draw(QUARTERS)
    tokens = sum(each["usage"]["tokens"]["total"] for each in those) + draw(st.integers(0, 20))
    return record(cost, tokens, day, user=user)


@SOME
@settings(max_examples=draws(4), deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=days(), which=st.sampled_from(["finest", "coarsest"]))
def test_the_total_stays_the_roll_ups(flavour, drawn, which):
    records, cost, tokens = drawn
    found = rows(tu.at_grain(frame_of(records, flavour), which))
    sums = [math.fsum(clean(row[name]) or 0 for row in found) for name in KEPT[1:3]]
    assert sums == [cost, tokens]
    ids = [row["id"] for row in found]
    assert len(ids) == len(set(ids))
    assert all(isinstance(row["start_date"], dt.datetime) for row in found)


# Windows of several lengths, and figures told in other ways


def months(*rows_):
    """Return January's record, or those of its days, of each (cost, user, is of the month)."""
    days = pd.date_range("2026-01-01", "2026-02-01").strftime("%Y-%m-%d")
    made = []
    for cost, user, is_month in rows_:
        windows = [(days[0], days[-1])] if is_month else itertools.pairwise(days)
        for start, end in windows:
            part = cost if is_month else cost / 31
            dates = {"start_date": start, "end_date": end}
            made.append(record(part, part, user=user) | dates)
    return made


@pytest.mark.parametrize("which", ["finest", "coarsest"])
@pytest.mark.parametrize(
    "rows_",
    [
        [(310, None, True), (310, None, False), (310, "ada", True)],
        [(310, None, True), (310, "ada", True), (310, "ada", False)],
        [(310, None, True), (310, None, False), (310, "ada", True), (310, "ada", False)],
    ],
)
def test_months_and_days_of_two_grains_count_once(rows_, which):
    once = tu.at_grain(frame_of(months(*rows_)), which)
    assert once["charges.net"].sum() == pytest.approx(310)
    assert rows(tu.overlaps(once)) == []
    assert rows(tu.at_grain(once, which)) == rows(once)


@pytest.mark.parametrize(
    ("whole", "part", "left"),
    [
        ({"total": 10}, {"input": 4, "output": 6}, 0),
        ({"input": 5, "output": 7}, {"total": 10}, 2),
        ({"total": 12, "input": 5, "output": 7}, {"input": 4, "output": 6}, 2),
        ({"cache_write": 5, "input": 10}, {"cache_write_ephemeral_5m": 5, "input": 9}, 1),
    ],
)
def test_tokens_told_in_other_fields_are_taken_off_too(whole, part, left):
    records = [record(day=1), record(day=1, user="ada")]
    for each, tokens in zip(records, (whole, part), strict=True):
        each["usage"] = {"tokens": tokens}
    found = tu.at_grain(frame_of(records), "finest")
    total = tu.tokens_by(found, overlap="raise")["tokens"].to_list()
    parts = {"cache_write_ephemeral_5m": 5, "input": 9}
    assert total == [sum(parts.values()) + left if part == parts else 10 + left]


def test_a_tax_is_left_where_the_bills_agree():
    found = tu.at_grain(frame_of([charged(None, net=10, tax=2), charged("ada", net=10)]), "finest")
    assert found["charges.tax"].to_list() == [2, None]
    assert tu.cost_by(found, overlap="raise")["cost"].to_list() == [10]


def test_the_mark_may_come_back_as_text():
    once = tu.at_grain(frame_of([record(10), record(4, user="ada")], "pandas"), "finest")
    text = once.assign(unattributed=once["unattributed"].astype(str))
    assert rows(tu.cost_by(tu.at_grain(text, "finest"), overlap="raise"))[0]["cost"] == 10


@pytest.mark.parametrize(
    ("whole", "told"),
    [
        (record(None, 100), "a cost in USD"),
        (record(10, None), "tokens"),
        (record(10, 100, currency="EUR"), "a cost in USD"),
    ],
)
def test_what_the_roll_up_has_not_is_never_lost(whole, told):
    frame = frame_of([whole, record(10, 100, user="ada")])
    with pytest.raises(RecordError, match=f"rows by user have {told} that their roll-up has not"):
        tu.at_grain(frame, "coarsest")
    assert tu.at_grain(frame, "finest")["charges.net"].sum() in {10, 20}


# Two reports of one grain


NAMES = ("source.report_type", "user.id", *KEPT[1:3])


@SOME
@pytest.mark.parametrize("which", ["finest", "coarsest"])
def test_of_two_reports_that_list_the_same_one_stays(flavour, which):
    # as much is told by both: the first by name
    records = [*two_reports(), fetched("activity", 3, 5, day=2, user="ada")]
    assert at(records, which, flavour, NAMES) == [
        ("activity", "ada", 10, 100),
        ("activity", "ada", 3, 5),
    ]


@pytest.mark.parametrize("which", ["finest", "coarsest"])
def test_the_report_that_tells_more_stays(which):
    records = two_reports(second=(None, 100))
    assert at(records, which, names=NAMES) == [("user_usage", "ada", 10, 100)]
    detailed = two_reports()
    detailed[0]["usage"]["tokens"] |= {"input": 60, "output": 40}
    assert at(detailed, which, names=NAMES) == [("user_usage", "ada", 10, 100)]


@SOME
@pytest.mark.parametrize("which", ["finest", "coarsest"])
def test_what_one_report_tells_alone_stays_in_a_row_of_its_own(flavour, which):
    usage, activity = two_reports(second=(None, 100))
    activity["usage"] |= {
        "code": {"lines_added": 7, "tool_actions": {"edit": {"accepted": 2}}},
        "sessions": {"distinct": 3},
        "requests": {"total": 9},
    }
    usage["usage"]["requests"] = {"total": 9}
    names = ("usage.code.lines_added", "usage.sessions.distinct", "usage.requests.total")
    found = rows(tu.at_grain(frame_of([usage, activity], flavour), which))
    assert [tuple(clean(row[name]) for name in (*NAMES, *names)) for row in found] == [
        ("user_usage", "ada", 10, 100, None, None, 9),
        ("activity", "ada", None, None, 7, 3, None),
    ]
    (kept, alone) = (clean(row["usage.code.tool_actions"]) for row in found)
    assert kept is None
    assert [dict(each) for each in alone] == [{"tool": "edit", "action": "accepted", "count": 2}]


def test_a_figure_that_one_report_has_alone_is_never_lost():
    # USD here, EUR there, and the same tokens
    records = two_reports()
    records[1]["charges"] = [
        {"type": "net", "amount": 9, "currency": "EUR"},
        {"type": "tax", "amount": 1, "currency": "EUR"},
    ]
    frame = frame_of(records)
    told = "by user of report 'user_usage' have a cost in USD that those of report 'activity' have"
    with pytest.raises(RecordError, match=f"{told} not, and that would be lost"):
        tu.at_grain(frame, "coarsest")
    once = tu.at_grain(frame, "finest")
    assert dict(tu.cost_by(once, overlap="raise").select("currency", "cost").rows()) == {
        "USD": 10,
        "EUR": 9,
    }
    assert tu.tokens_by(once, overlap="raise")["tokens"].to_list() == [100]


def test_charges_that_are_no_part_of_the_bill_stay_if_they_are_told_once():
    records = two_reports((10, None), (10, None))
    records[1]["charges"].append({"type": "credit", "amount": 3, "currency": "USD"})
    records[0]["charges"] += [
        {"type": "tax", "amount": 2, "currency": "USD"},
        {"type": "total", "amount": 12, "currency": "USD"},
    ]
    # user_usage tells more: of activity's charges the credit stays, which user_usage has not
    found = tu.at_grain(frame_of(records), "finest")
    names = ("charges.net", "charges.tax", "charges.credit", "charges.currency")
    assert found.select(names).rows() == [(10, 2, None, "USD"), (None, None, 3, "USD")]
    assert found["charges"].to_list()[1] == [{"amount": 3, "currency": "USD", "type": "credit"}]


def test_where_two_reports_differ_in_few_windows_those_that_stay_count():
    # 20 days of 10, but for the first, which the other report has as 12: 20 × 10
    records = [
        fetched(report, 10 + 2 * (report == "b" and day == 1), day=day, user="ada")
        for day in range(1, 21)
        for report in "ab"
    ]
    for which in ("finest", "coarsest"):
        assert tu.at_grain(frame_of(records), which)["charges.net"].sum() == 200


def test_windows_that_one_report_has_alone_stay():
    records = [*two_reports(), fetched("user_usage", 5, 50, day=9, user="ada")]
    assert [row[2] for row in at(records, names=NAMES)] == [10, 5]


def test_a_month_of_one_report_and_the_days_of_another_count_once():
    days = [fetched("daily", 2, day=day, user="ada") for day in range(1, 31)]
    for name, height in (("monthly", 30), ("a month", 1)):  # the first by name stays
        frame = frame_of([*days, fetched(name, 60, day=1, days=30, user="ada")])
        for which in ("finest", "coarsest"):
            once = tu.at_grain(frame, which)
            assert (once.height, once["charges.net"].sum()) == (height, 60)


@pytest.mark.parametrize("which", ["finest", "coarsest"])
def test_three_reports_of_two_grains_count_once(which):
    # each of the three has ada's 10 and 100, or the organization's
    records = [fetched("cost", 10, 100), *two_reports()]
    once = tu.at_grain(frame_of(records), which)
    assert once.select("charges.net", "usage.tokens.total").rows() == [(10, 100)]
    assert once["user.id"].to_list() == ["ada" if which == "finest" else None]
    assert rows(tu.overlaps(once)) == []
    assert rows(tu.at_grain(once, which)) == rows(once)


@pytest.mark.parametrize("which", ["finest", "coarsest"])
def test_two_roll_ups_of_two_reports_hold_the_same_rows(which):
    # the money in one, the tokens in the other; the users' rows have both
    records = [
        fetched("cost", 10),
        fetched("tokens", None, 100),
        fetched("user_usage", 4, 60, user="ada"),
        fetched("user_usage", 6, 40, user="bob"),
    ]
    once = tu.at_grain(frame_of(records), which)
    assert (once["charges.net"].sum(), once["usage.tokens.total"].sum()) == (10, 100)
    assert once.height == 2
    models = [
        fetched("models", cost, tokens, user=user, model="opus")
        for cost, tokens, user in ((4, 60, "ada"), (6, 40, "bob"))
    ]
    once = tu.at_grain(frame_of([*records, *models]), which)
    assert (once["charges.net"].sum(), once["usage.tokens.total"].sum()) == (10, 100)
    assert once.height == 2


def test_accounts_and_reports_that_differ_stay_as_they_are():
    records = [
        *two_reports(second=(10, 99)),
        fetched("user_usage", 10, 100, account="b", user="ada"),
    ]
    for which in ("finest", "coarsest"):
        assert [row[3] for row in at(records, which, names=NAMES)] == [100, 99, 100]
    assert at([], names=NAMES[1:]) == []


def test_users_of_one_report_beside_models_of_another_complete_each_other():
    records = [fetched("users", 10, user="ada"), fetched("models", 10, model="opus")]
    assert len(at(records, names=NAMES)) == 2
    records = [fetched("users", 10, user="ada"), fetched("users", 10, model="opus")]
    with pytest.raises(RecordError, match="rows by user and rows by model"):
        at(records, names=NAMES)
