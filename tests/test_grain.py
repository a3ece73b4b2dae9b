"""Grains, which of them overlap, and what metrics say of it: cases of both kinds, by hand."""

import warnings

import pandas as pd
import polars as pl
import pytest

import tidyusage as tu
from conftest import ARGUMENTS, FRAMES, OPTIONS, ask, columns, rows
from flavours import FEW, FLAVOURS, abroad, frame_of
from tidyusage.errors import FrameError, OptionError, OverlapError, OverlapWarning
from tidyusage.metrics import _overlap

EACH = pytest.mark.parametrize("flavour", FLAVOURS)
SHOWN = ("coarser", "finer", "relation", "windows", "figure", "unit", "coarser_sum", "finer_sum")


def record(cost=None, tokens=None, day=1, days=1, currency="USD", **keys):
    """Return a record of a window from a day of January on."""
    record.count += 1
    made = {
        "id": str(record.count),
        "product": {"id": keys.get("product", "claude")},
        "organization": {"id": keys.get("organization", "org")},
        "metric_name": keys.get("metric"),
        "user": {"id": keys.get("user")},
        "model": {"id": keys.get("model")},
        "surface": keys.get("surface"),
        "resources": [{"id": name} for name in keys.get("resources", ())],
        "usage": {"tokens": {"total": tokens}},
    }
    if cost is not None:
        made["charges"] = [{"type": "net", "amount": cost, "currency": currency}]
    if day is not None:
        made["start_date"] = f"2026-01-{day:02}T00:00:00Z"
        made["end_date"] = f"2026-01-{day + days:02}T00:00:00Z"
    return made


record.count = 0


def shown(records, flavour="polars", **options):
    found = rows(tu.overlaps(frame_of(records, flavour, **options)))
    return [tuple(row[name] for name in SHOWN) for row in found]


def roll_up(extra=0.0):
    """Return two days on which the organization's row holds its two users'."""
    return [
        each
        for day in (1, 2)
        for each in (
            record(10 + extra, 100, day),
            record(4, 60, day, user="ada"),
            record(6, 40, day, user="bob"),
        )
    ]


# What overlaps


@EACH
def test_a_roll_up_equals_its_parts(flavour):
    # two days of 10 USD and 100 tokens, at either grain
    assert shown(roll_up(), flavour) == [
        ("organization", "user", "equals", 2, "cost", "USD", 20, 20),
        ("organization", "user", "equals", 2, "tokens", "tokens", 200, 200),
    ]


@EACH
def test_a_roll_up_contains_its_parts_and_more(flavour):
    frame = frame_of(roll_up(extra=0.5), flavour, sep="_")
    found = rows(tu.overlaps(frame))
    assert [row["relation"] for row in found] == ["contains", "contains"]
    assert [row["residual"] for row in found] == [1, 0]
    assert [row["product_id"] for row in found] == ["claude", "claude"]


def test_a_long_frame_tells_the_same():
    wide = frame_of(roll_up(extra=0.5))
    assert rows(tu.overlaps(tu.to_long(wide))) == rows(tu.overlaps(wide))
    assert rows(tu.grains(tu.to_long(wide))) == rows(tu.grains(wide))


def test_a_month_holds_its_days_at_either_grain():
    days = [record(2, 10, day, user="ada") for day in range(1, 31)]
    month = [record(60, 300, 1, 30)]  # 30 days of 2 USD and 10 tokens
    assert shown(month + days) == [
        ("organization", "user", "equals", 1, "cost", "USD", 60, 60),
        ("organization", "user", "equals", 1, "tokens", "tokens", 300, 300),
    ]
    days = [record(2, 10, day) for day in range(1, 31)]
    month = [record(60, 300, 1, 30, user="ada")]
    assert shown(month + days) == [
        ("organization", "user", "equals", 1, "cost", "USD", 60, 60),
        ("organization", "user", "equals", 1, "tokens", "tokens", 300, 300),
    ]


def test_rows_of_one_grain_overlap_where_the_longer_windows_equal_the_shorter():
    days = [record(2, 10, day, user="ada") for day in (1, 2)]
    equal = [record(4, 20, 1, 2, user="ada")]
    more = [record(5, 20, 1, 2, user="ada")]
    assert shown(equal + days) == [
        ("user", "user", "equals", 1, "cost", "USD", 4, 4),
        ("user", "user", "equals", 1, "tokens", "tokens", 20, 20),
    ]
    assert shown(more + days) == []


@pytest.mark.parametrize(("short", "is_shown"), [(1, True), (2, False)])
def test_nineteen_windows_of_twenty_are_enough(short, is_shown):
    # 19 of 20 are 95 %, 18 are not
    whole = [record(10 if day > short else 9, 100, day) for day in range(1, 21)]
    parts = [record(10, 100, day, user="ada") for day in range(1, 21)]
    assert bool(shown(whole + parts)) == is_shown


def test_cost_and_tokens_must_both_be_reached():
    parts = [record(10, 100, user="ada")]
    assert shown([record(10, 99), *parts]) == []
    assert shown([record(9, 100), *parts]) == []
    assert shown([record(10, 100), *parts]) != []


def test_the_tolerance_is_a_millionth():
    parts = [record(1_000_000, user="ada")]
    assert [found[2] for found in shown([record(1_000_000 - 0.9), *parts])] == ["equals"]
    assert shown([record(1_000_000 - 1.1), *parts]) == []
    assert [found[2] for found in shown([record(1_000_000 + 1.1), *parts])] == ["contains"]


def test_credits_are_reached_by_what_is_as_far_below_zero():
    assert shown([record(-5), record(-4, user="ada")])[0][2] == "contains"
    assert shown([record(-3), record(-4, user="ada")]) == []
    assert shown([record(5), record(-4, user="ada")]) == []


def test_across_metrics_figures_must_be_equal():
    parts = [record(4, metric="user_cost", user="ada"), record(6, metric="user_cost", user="bob")]
    assert shown([record(10, metric="cost"), *parts]) == [
        ("organization", "user", "equals", 1, "cost", "USD", 10, 10)
    ]
    assert shown([record(11, metric="cost"), *parts]) == []


def test_each_user_is_held_to_their_own_rows():
    parts = [record(4, user="ada", model="opus"), record(1, user="ada", model="haiku")]
    assert [found[:3] for found in shown([record(5, user="ada"), *parts])] == [
        ("user", "user × model", "equals")
    ]
    assert shown([record(5, user="bob"), *parts]) == []


def test_every_part_of_a_grain_counts():
    whole = [record(5)]
    assert shown([*whole, record(5, surface="chat")])[0][1] == "surface"
    assert shown([*whole, record(5, resources=["r"])])[0][1] == "resource"
    all_ = record(5, user="ada", model="opus", surface="chat", resources=["r"])
    assert shown([*whole, all_])[0][1] == "user × model × surface × resource"


def test_records_without_dates_are_one_window():
    found = shown([record(5, day=None), record(5, day=None, user="ada")])
    assert [each[2:4] for each in found] == [("equals", 1)]
    assert shown([record(5, day=None), record(5, user="ada")]) == []


def test_users_are_one_however_their_address_is_spelled():
    of_user = record(5)
    of_user["user"] = {"email": "Ada@x.org"}
    part = record(5, model="opus")
    part["user"] = {"email": " ada@X.org "}
    assert [found[2] for found in shown([of_user, part])] == ["equals"]


# What completes, and does not overlap


@pytest.mark.parametrize(
    "records",
    [
        [record(3), record(4, user="ada")],  # smaller
        [record(10, day=2), record(4, user="ada")],  # a window of its own
        [record(10, product="codex"), record(4, user="ada")],
        [record(10, organization="other"), record(4, user="ada")],
        [record(10, currency="EUR"), record(4, user="ada")],
        [record(10), record(None, 100, user="ada")],  # cost here, tokens there
        [record(4, user="ada"), record(4, model="opus")],  # neither is part of the other
        [record(4, user="ada"), record(4, user="bob")],
        [record(0, 0), record(0, 0, user="ada")],  # nothing is at stake
        [record(None), record(None, user="ada")],
        [],
    ],
)
def test_rows_that_complete_each_other_are_not_reported(records):
    assert shown(records) == []
    tu.cost_by(frame_of(records), overlap="raise")


@EACH
def test_an_empty_answer_has_its_columns(flavour):
    found = tu.overlaps(frame_of([record(4, user="ada")], flavour))
    assert rows(found) == []
    assert len(columns(found)) == 13


# Grains


@EACH
def test_grains_tell_records_windows_cost_and_tokens(flavour):
    records = [*roll_up(), record(7, 5, 3, 2, user="ada", currency="EUR")]
    found = rows(tu.grains(frame_of(records, flavour)))
    figures = ("grain", "currency", "records", "days", "cost", "tokens")
    assert [tuple(row[name] for name in figures) for row in found] == [
        ("organization", "USD", 2, 1, 20, 200),
        ("user", "EUR", 1, 2, 7, 5),
        ("user", "USD", 4, 1, 20, 200),
    ]
    times = {pd.Timestamp(row["end_date"]).tz_convert("UTC").day for row in found}
    assert times == {3, 5}  # the second day ends on the third, the last window on the fifth


def test_no_other_layout_has_a_grain():
    for ask_ in (tu.grains, tu.overlaps):
        with pytest.raises(FrameError, match="tells of no grain"):
            ask_(tu.load_example(layout="charges"))


# What metrics say


def test_a_warning_names_product_grains_and_amounts():
    with pytest.warns(OverlapWarning) as told:
        tu.cost_by(frame_of(roll_up(extra=0.5)))
    (warning,) = told
    assert "claude: rows by organization contain those by user" in str(warning.message)
    assert "(20.00 USD, 200 tokens)" in str(warning.message)
    assert warning.filename == __file__
    with pytest.warns(OverlapWarning, match="organization equal those by user"):
        tu.cost_by(frame_of(roll_up()))


@pytest.mark.parametrize("name", FRAMES)
def test_every_metric_warns_ignores_and_raises(name):
    frame = frame_of(roll_up())
    with pytest.warns(OverlapWarning):
        ask(name, frame, *(["user.id"] if name == "top" else []), overlap="warn")
    metric, options = getattr(tu, name), OPTIONS.get(name, {})
    leading = (*ARGUMENTS.get(name, ()), *(["user.id"] if name == "top" else []))
    with pytest.raises(OverlapError, match="at_grain"):
        metric(frame, *leading, overlap="raise", **options)
    metric(frame, *leading, overlap="ignore", **options)
    with pytest.raises(OptionError, match="overlap='never'"):
        metric(frame, *leading, overlap="never", **options)


@pytest.mark.parametrize("flavour", [each for each in FLAVOURS if each != "duckdb"])
def test_frames_warn_when_their_rows_are_asked_for(flavour):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = tu.cost_by(frame_of(roll_up(), flavour), overlap="ignore")
    with pytest.warns(OverlapWarning):
        theirs = rows(tu.cost_by(frame_of(roll_up(), flavour)))
    assert theirs == rows(answer)
    with pytest.raises(OverlapError):
        rows(tu.cost_by(frame_of(roll_up(), flavour), overlap="raise"))


def test_a_lazy_frame_says_nothing_before_it_is_collected():
    answer = tu.cost_by(frame_of(roll_up(), "polars lazy"), "user.id", freq="1d")
    with pytest.warns(OverlapWarning):
        answer.collect()


def test_a_relation_raises_and_cannot_warn():
    relation = frame_of(roll_up(), "duckdb")
    assert len(rows(tu.cost_by(relation))) == 1
    raising = tu.cost_by(relation, overlap="raise")
    with pytest.raises(Exception, match="count some usage twice, of the products claude"):
        raising.fetchall()
    sound = abroad().from_arrow(tu.flatten_usage([record(4, user="ada")], backend="pyarrow"))
    assert rows(tu.cost_by(sound, overlap="raise"))[0]["cost"] == 4


def test_a_reader_is_read_once():
    reader = tu.flatten_usage(roll_up(), backend="pyarrow").to_reader()
    with pytest.warns(OverlapWarning):
        assert rows(tu.cost_by(reader))[0]["cost"] == 40


def test_a_warehouses_table_is_not_looked_at():
    assert tu.sql("cost_by", overlap="raise") == tu.sql("cost_by")


def test_columns_of_the_wrong_kind_are_the_metrics_own_concern():
    frame = frame_of(roll_up()).with_columns(pl.lit("many").alias("usage.tokens.total"))
    with pytest.warns(OverlapWarning, match=r"\(20.00 USD\)"):
        tu.cost_by(frame)
    odd = frame_of(roll_up(), "pandas").assign(surface=[object() for _ in range(6)])
    with pytest.warns(OverlapWarning):
        tu.cost_by(odd)


def test_frames_of_one_grain_are_seen_at_a_glance(monkeypatch):
    calls = []
    monkeypatch.setattr(_overlap, "_read", lambda *args: calls.append(args))
    for flavour in ("pandas", "pandas arrow", "polars", "pyarrow"):
        tu.cost_by(FLAVOURS[flavour](tu.load_example(backend="pyarrow")))
        tu.cost_by(frame_of([], flavour))
    assert not calls


@pytest.mark.parametrize("flavour", ["pandas", "polars"])
def test_windows_of_several_lengths_are_looked_at_where_one_holds_another(flavour, monkeypatch):
    calls = []
    monkeypatch.setattr(_overlap, "_read", lambda *args: calls.append(args) or ([], args[1]))
    months = [record(5, day=day, days=days) for day, days in ((1, 9), (10, 5), (15, 2))]
    tu.cost_by(frame_of(months, flavour))  # one after the other
    assert not calls
    session = record(1) | {"start_date": "2026-01-01T10:00:07Z", "end_date": "2026-01-12T00:00:07Z"}
    with pytest.raises(Exception):  # noqa: B017, PT011 - no table is there to go on with
        tu.cost_by(frame_of([*months, session, record(1, day=2)], flavour))
    assert calls


def test_sessions_that_lie_in_others_are_no_roll_up():
    def session(id_, start, end):
        times = {"start_date": f"2026-01-01T{start}Z", "end_date": f"2026-01-01T{end}Z"}
        return record(5) | times | {"id": id_}

    assert shown([session("a", "10:00:07", "11:30:11"), session("b", "10:20:00", "10:40:00")]) == []
    hour = session("a", "10:00:00", "11:00:00")
    assert shown([hour, session("b", "10:20:00", "10:40:00")])[0][2] == "equals"


def test_an_empty_user_is_none():
    whole = record(10) | {"user": {"id": ""}}
    with pytest.warns(OverlapWarning):
        tu.cost_by(frame_of([whole, record(10, user="ada")]))


def test_resources_without_an_id_are_known_by_their_name():
    def of(name, cost, **keys):
        return record(cost, **keys) | {"resources": [{"name": name}]}

    assert shown([of("A", 10), of("B", 6, user="ada")]) == []
    assert shown([of("A", 10), of("A", 10, user="ada")])[0][:3] == (
        "resource",
        "user × resource",
        "equals",
    )


def test_dates_that_are_text_compare_nothing():
    frame = frame_of(roll_up(), "pandas")
    text = frame.assign(start_date=frame["start_date"].astype(str))
    tu.cost_by(text, overlap="raise")


# Fetched records: accounts and reports


def fetched(report, *figures, account="a", **keys):
    """Return a record as it is fetched: marked with its account and report."""
    return {
        "source": {"account": account, "report_type": report},
        **record(*figures, **keys),
    }


def two_reports(first=(10, 100), second=(10, 100)):
    """Return ada's cost and tokens of a day, as two reports tell them."""
    return [
        fetched("user_usage", *first, user="ada"),
        fetched("activity", *second, user="ada"),
    ]


@pytest.mark.parametrize("flavour", FEW)
@pytest.mark.parametrize("sep", [".", "_"])
def test_two_reports_that_list_the_same_overlap_once(flavour, sep):
    (cost, tokens) = rows(tu.overlaps(frame_of(two_reports(), flavour, sep=sep)))
    assert list(cost)[2:9] == [
        *("metric_name", f"source{sep}account", f"source{sep}report_type"),
        *("finer_metric_name", "finer_report_type", "coarser", "finer"),
    ]
    assert list(cost.values())[3:5] == ["a", "activity"]  # as much is told: the first by name
    assert (cost["finer_report_type"], cost["coarser"], cost["finer"]) == (
        *("user_usage", "user", "user"),
    )
    figures = ("relation", "windows", "figure", "coarser_sum", "finer_sum")
    assert [cost[name] for name in figures] == ["equals", 1, "cost", 10, 10]
    assert [tokens[name] for name in figures] == ["equals", 1, "tokens", 100, 100]


def test_the_report_that_tells_more_stands_first():
    (found,) = rows(tu.overlaps(frame_of(two_reports(second=(None, 100)))))
    assert (found["source.report_type"], found["finer_report_type"]) == ("user_usage", "activity")


@pytest.mark.parametrize(("other", "is_shown"), [(1, True), (2, False)])
def test_of_two_reports_nineteen_of_twenty_must_be_equal(other, is_shown):
    # 19 of 20 are 95 %, 18 are not; a report that has more is none that holds the other
    records = [
        fetched(report, 10 + (report == "b" and day <= other), day=day, user="ada")
        for day in range(1, 21)
        for report in "ab"
    ]
    assert bool(shown(records)) == is_shown


def test_a_month_of_one_report_holds_the_days_of_another():
    days = [fetched("daily", 2, day=day, user="ada") for day in range(1, 31)]
    for names in (("daily", "monthly"), ("daily", "a month")):  # whichever comes first by name
        month = fetched(names[1], 60, day=1, days=30, user="ada")  # 30 days of 2
        assert shown([*days, month]) == [("user", "user", "equals", 1, "cost", "USD", 60, 60)]


def test_a_roll_up_of_one_report_equals_its_parts_of_another():
    parts = [fetched("user_usage", cost, user=user) for cost, user in ((4, "ada"), (6, "bob"))]
    found = ("organization", "user", "equals", 1, "cost", "USD", 10, 10)
    assert shown([fetched("cost", 10), *parts]) == [found]
    assert shown([fetched("cost", 11), *parts]) == []  # of one report, it would contain them
    assert shown([fetched("user_usage", 11), *parts])[0][2] == "contains"


def test_frames_that_were_fetched_and_others_are_two_reports():
    frame = frame_of([fetched("cost", 4, user="ada"), fetched("cost", 4, user="ada")])
    one = pl.lit(None, pl.String)
    name = pl.when(pl.int_range(pl.len()) == 0).then("source.report_type").otherwise(one)
    (found,) = rows(tu.overlaps(frame.with_columns(name.alias("source.report_type"))))
    assert (found["source.report_type"], found["finer_report_type"]) == ("cost", None)


@pytest.mark.parametrize(
    "records",
    [
        two_reports(second=(10, 101)),  # one figure of two differs
        two_reports(second=(9, 100)),
        two_reports((10, None), (None, 100)),  # cost here, tokens there
        [fetched("cost", 4, user="ada"), fetched("usage", 4, user="bob")],
        [fetched("cost", 4, user="ada"), fetched("usage", 4, user="ada", day=2)],
        [fetched("cost", 4, user="ada"), fetched("usage", 4, model="opus")],
        [fetched("cost", 4, metric="CKU"), fetched("usage", 4, metric="storage")],
        [fetched("cost", 0, user="ada"), fetched("usage", 0, user="ada")],
        [fetched("cost", 4, account=account, user="ada") for account in "ab"],
        [fetched(report, 4, account=report, user="ada") for report in "ab"],
        [fetched("cost", 4, account="a"), fetched("cost", 4, account="b", user="ada")],
        [fetched("cost", 4, user="ada"), fetched("cost", 4, user="ada")],  # of one report
    ],
)
def test_reports_that_complete_each_other_are_not_reported(records):
    assert shown(records) == []
    tu.cost_by(frame_of(records), overlap="raise")


@pytest.mark.parametrize("flavour", FEW)
def test_grains_are_told_by_account_and_report(flavour):
    frame = frame_of([*two_reports(), fetched("activity", 3, 5, account="b")], flavour, sep="_")
    names = ("source_account", "source_report_type", "grain", "records", "cost")
    assert [tuple(row[name] for name in names) for row in rows(tu.grains(frame))] == [
        ("a", "activity", "user", 1, 10),
        ("a", "user_usage", "user", 1, 10),
        ("b", "activity", "organization", 1, 3),
    ]
    assert columns(tu.grains(frame))[2:6] == ["metric_name", *names[:3]]


def test_frames_that_were_not_fetched_have_no_columns_of_it():
    frame = frame_of(roll_up())
    names = {"source.account", "source.report_type", "finer_report_type"}
    assert not names & {*columns(tu.grains(frame)), *columns(tu.overlaps(frame))}


def test_a_long_frame_tells_the_same_of_reports():
    wide = frame_of(two_reports())
    assert rows(tu.overlaps(tu.to_long(wide))) == rows(tu.overlaps(wide)) != []
    assert rows(tu.grains(tu.to_long(wide))) == rows(tu.grains(wide))


@pytest.mark.parametrize("flavour", [*(each for each in FLAVOURS if each != "duckdb")])
def test_a_warning_names_the_reports_where_they_differ(flavour):
    with pytest.warns(OverlapWarning) as told:
        rows(tu.cost_by(frame_of(two_reports(), flavour)))
    said = "claude: rows by user of report 'activity' equal those by user of report 'user_usage'"
    assert f"{said} (10.00 USD, 100 tokens)" in str(told[0].message)
    one = [fetched("cost", 10), fetched("cost", 10, user="ada")]
    with pytest.warns(OverlapWarning, match="rows by organization equal those by user "):
        rows(tu.cost_by(frame_of(one, flavour)))


def test_fetched_frames_of_one_report_are_seen_at_a_glance(monkeypatch):
    calls = []
    monkeypatch.setattr(_overlap, "_read", lambda *args: calls.append(args))
    records = [fetched("cost", 4, account=account, user="ada") for account in "ab"]
    for flavour in ("pandas", "pandas arrow", "polars", "pyarrow"):
        tu.cost_by(frame_of(records, flavour))
        tu.cost_by(frame_of([*records, fetched("usage", 4, product="codex")], flavour))
    assert not calls
