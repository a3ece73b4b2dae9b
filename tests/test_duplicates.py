"""Rows that repeat an id over overlapping windows: who speaks of them, and what is not one."""

import random
import warnings

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import oracle
import tidyusage as tu
from conftest import ARGUMENTS, FRAMES, OPTIONS, ask, rows
from flavours import FLAVOURS, abroad, frame_of
from tidyusage.engines.columns import columns as columns_of
from tidyusage.errors import FrameError, OptionError, OverlapError, OverlapWarning
from tidyusage.metrics import _duplicates

EACH = pytest.mark.parametrize("flavour", [name for name in FLAVOURS if name != "duckdb"])


def record(id_="a", amount=None, tokens=None, start=None, end=None, **keys):
    currency = keys.pop("currency", "USD")
    made = {"id": id_, "product": {"id": "claude"}, **keys}
    if amount is not None:
        made["charges"] = [{"type": "net", "amount": amount, "currency": currency}]
    if tokens is not None:
        made["usage"] = {"tokens": {"total": tokens}}
    if start:
        made |= {"start_date": f"2026-01-{start:02}", "end_date": f"2026-01-{end or start + 1:02}"}
    return made


def kept(records, flavour="polars", **options):
    return frame_of(records, flavour, duplicates="keep", **options)


def said(frame, ask_=tu.cost_by):
    """Return what a question says of a frame, without what to do about it; at most one warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows(ask_(frame))
    told = [str(each.message) for each in caught if each.category is OverlapWarning]
    assert len(told) <= 1
    return told[0].partition("\n")[0] if told else ""


def doubled(frame):
    if isinstance(frame, pd.DataFrame):
        return pd.concat([frame, frame])
    return (
        pa.concat_tables([frame, frame]) if isinstance(frame, pa.Table) else pl.concat([frame] * 2)
    )


# What metrics say


@EACH
def test_a_frame_that_was_put_together_twice_is_added_and_warned_of(flavour):
    frame = doubled(frame_of([record("m1", 30.58)], flavour))
    with pytest.warns(OverlapWarning) as told:
        (row,) = rows(tu.cost_by(frame))
    assert row["cost"] == 61.16  # 30.58 twice
    (warning,) = told
    fact, _, hint = str(warning.message).partition("\n\n")
    assert fact == "1 row repeats an id over an overlapping window and adds 30.58 USD."
    assert "tu.latest(df)" in hint
    assert flavour == "polars lazy" or warning.filename == __file__
    with pytest.raises(OverlapError, match=r"adds 30\.58 USD"):
        rows(tu.cost_by(frame, overlap="raise"))
    assert said(frame, lambda it: tu.cost_by(it, overlap="ignore")) == ""


def test_a_merge_that_lists_a_user_twice_repeats_their_records():
    frame = tu.flatten_usage([record("a", 4, user={"id": "u1"}), record("b", 6, user={"id": "u2"})])
    staff = pd.DataFrame({"user.id": ["u1", "u1", "u2"], "team": ["red", "blue", "red"]})
    merged = frame.merge(staff, on="user.id")
    assert said(merged, lambda it: tu.cost_by(it, "team")) == (
        "1 row repeats an id over an overlapping window and adds 4.00 USD."
    )


def test_what_is_added_is_that_of_all_rows_but_the_newest():
    # the newest of a is the one of 7; beside it stand 5 USD, 6 USD and, of b, 2 EUR
    records = [
        record("a", 7, updated_at="2026-02-03"),
        record("a", 5, updated_at="2026-02-01"),
        record("a", 6),
        record("b", 2, currency="eur"),
        record("b", 3, currency="eur"),
        record("c", 100),
    ]
    assert said(kept(records)) == (
        "3 rows repeat an id over an overlapping window and add 2.00 EUR, 11.00 USD."
    )


def test_tokens_are_named_where_there_is_no_money():
    frame = kept([record("a", tokens=1200), record("a", tokens=1300)])
    assert said(frame, tu.tokens_by) == (
        "1 row repeats an id over an overlapping window and adds 1,200 tokens."
    )
    frame = kept([{"id": "a", "surface": "chat"}] * 2)
    assert said(frame, tu.active_users) == "1 row repeats an id over an overlapping window."


@pytest.mark.parametrize("name", FRAMES)
def test_every_metric_warns_once_raises_and_ignores(name):
    frame = kept([record("a", 4, 100, 1, user={"id": "u"}, model={"id": "opus"})] * 2)
    by = ["user.id"] if name == "top" else []
    assert "1 row repeats" in said(frame, lambda it: ask(name, it, *by, overlap="warn"))
    metric, options = getattr(tu, name), OPTIONS.get(name, {})
    with pytest.raises(OverlapError, match="1 row repeats"):
        metric(frame, *ARGUMENTS.get(name, ()), *by, overlap="raise", **options)
    assert said(frame, lambda it: ask(name, it, *by, overlap="ignore")) == ""


def test_repeated_rows_and_roll_ups_are_said_at_once():
    whole = record("o", 10, 100, 1)
    parts = [record("u", 4, 60, 1, user={"id": "u"}), record("v", 6, 40, 1, user={"id": "v"})]
    fact = said(kept([whole, *parts, *parts]))
    # 4 + 6 are repeated; without them the organization's 10 equal 4 + 6
    assert fact.startswith("2 rows repeat an id over an overlapping window and add 10.00 USD. ")
    assert "rows by organization equal those by user (10.00 USD, 100 tokens)" in fact
    assert "organization equal those by user" in said(kept([whole, whole, *parts]))


def test_a_lazy_frame_says_nothing_before_it_is_collected():
    lazy = kept([record("a", 5)] * 2, "polars lazy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = tu.cost_by(lazy, "user.id", freq="1d")
    with pytest.warns(OverlapWarning):
        answer.collect()


def test_a_relation_raises_when_it_is_run_and_cannot_warn():
    relation = kept([record("a", 5), record("a", 7), record("b", 1)], "duckdb")
    assert said(relation) == ""
    raising = tu.cost_by(relation, overlap="raise")
    with pytest.raises(Exception, match=r"1 row repeats an id .* adds 5\.0 USD"):
        raising.fetchall()
    counted = kept([record("a", tokens=5)] * 3, "duckdb")
    with pytest.raises(Exception, match=r"2 rows repeat an id .* adds 10 tokens"):
        tu.tokens_by(counted, overlap="raise").fetchall()
    sound = abroad().from_arrow(tu.daily(frame_of([record("a", 8, None, 1, 5)], "pyarrow")))
    assert rows(tu.cost_by(sound, overlap="raise"))[0]["cost"] == 8


@pytest.mark.xdist_group("spark")
def test_spark_raises_finds_and_resolves_them(spark):
    table = kept([record("a", 5, 1, 1), record("a", 7, 1, 1), record("b", 1, 1, 2)], "pyarrow")
    frame = spark.createDataFrame(table)
    with pytest.raises(Exception, match=r"tidyusage: 1 row repeats an id .* adds 5\.0 USD"):
        tu.cost_by(frame, overlap="raise").collect()
    found = tu.findings(frame, only="repeated_id").toArrow().to_pylist()
    assert [(row["id"], row["value"]) for row in found] == [("a", "2")]
    amounts = sorted(row["charges.net"] for row in tu.latest(frame).toArrow().to_pylist())
    assert amounts == [1, 7]


# What is not a duplicate


@pytest.mark.parametrize(
    "records",
    [
        [record("a", 5, None, 1), record("a", 6, None, 2)],  # windows that meet
        [record("a", 5, None, 3, 9), record("a", 6, None, 1, 3), record("a", 7, None, 9, 12)],
        [record("a", 5), record("b", 5)],
        [
            {**record("a", amount), "source": {"account": account, "report_type": report}}
            for amount, account, report in ((5, "x", "cost"), (5, "y", "cost"), (6, "x", "usage"))
        ],
        [],
    ],
)
def test_other_identities_and_windows_that_do_not_overlap_are_none(records):
    for flavour in ("pandas", "polars", "polars lazy", "pyarrow"):
        assert said(kept(records, flavour)) == ""
    assert rows(tu.findings(kept(records), only="repeated_id")) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1, 5), (1, 10)),  # a window that grew
        ((1, 10), (4, 6)),
        ((1, 5), (4, 9)),
        ((1, 5), None),  # a window that is not known may be any
        (None, None),
    ],
)
def test_windows_need_not_be_the_same_to_overlap(first, second):
    records = [record("a", n, None, *(window or ())) for n, window in ((5, first), (7, second))]
    for each in (records, records[::-1]):
        assert "1 row repeats" in said(kept(each))
        assert "1 row repeats" in said(tu.to_long(kept(each), duplicates="keep"))


def test_instants_are_repeated_only_at_the_same_moment():
    def event(time):
        stamp = f"2026-01-01T{time}Z"
        return record("a", 1) | {"start_date": stamp, "end_date": stamp.replace("Z", ".000001Z")}

    assert said(kept([event("10:00:01"), event("10:00:02")])) == ""
    assert said(kept([event("10:00:01"), event("10:00:01")])) != ""


def test_rows_without_an_id_repeat_nothing():
    columns = {"id": [None, None, "a"], "charges.net": [1.0, 1.0, 2.0]}
    frame = pl.DataFrame(columns | {"charges.currency": ["USD"] * 3})
    assert said(frame) == ""
    assert said(pl.concat([frame, frame])).startswith("1 row repeats")


def shared(frame):
    return tu.allocate_shared(frame, {"user.id": None}, "user.id", overlap="ignore")


def finest(frame):
    return tu.at_grain(frame, "finest")


NATURAL = {
    "long": tu.to_long,
    "daily": tu.daily,
    "allocate": tu.allocate,
    "allocate_shared": shared,
    "at_grain": finest,
    "daily, long": lambda it: tu.to_long(tu.daily(it), duplicates="keep"),
    "allocate, long": lambda it: tu.to_long(tu.allocate(it), duplicates="keep"),
    "allocate, daily": lambda it: tu.daily(tu.allocate(it)),
    "allocate, shared": lambda it: shared(tu.allocate(it)),
}


def several():
    """Return records that each function turns into several rows with the same id."""
    resources = [{"id": "r1"}, {"id": "r2"}, {"id": "r1"}]
    return [
        record("o", 12, 90, 1, 3),  # what the users have, and 2 USD and 10 tokens more
        record("e", 5, 90, 1, 3, currency="EUR"),
        record("u", 4, 30, 1, 3, user={"id": "u"}, resources=resources),
        record("v", 6, 50, 1, 3, user={"id": "v"}, resources=resources[:2]),
        record("w", 5, 100, 1, 3, user={"id": "v"}, currency="EUR"),
    ]


@pytest.mark.parametrize("name", NATURAL)
def test_rows_that_share_an_id_by_nature_are_told_apart(name):
    frame = NATURAL[name](frame_of(several()))
    assert "repeat" not in said(frame)
    assert "repeat" in said(doubled(frame))
    assert rows(tu.findings(frame, only="repeated_id", overlap="ignore")) == []


def test_a_part_of_an_allocated_frame_is_still_told_apart():
    frame = tu.allocate(frame_of(several()))
    names = ["id", "charges.net", "charges.currency"]
    assert said(frame.select(*names, "part", "share")) == ""
    assert said(frame.select(*names, "part", "resources.id")) == ""


def test_two_long_frames_of_one_pull_repeat_their_measures():
    long = tu.to_long(frame_of([record("a", 5, 100, 1), record("b", 6, 100, 1)]))
    fact = "2 rows repeat an id over an overlapping window and add 11.00 USD."
    assert said(pl.concat([long, long])) == fact
    assert said(pl.concat([long, long.head(1)])).startswith("1 row repeats")
    with_numbers = tu.to_long(kept([record("a", 5)] * 2), duplicates="keep")
    assert said(with_numbers) == said(kept([record("a", 5)] * 2))


def test_ids_that_are_hashed_alike_are_compared_exactly(monkeypatch):
    monkeypatch.setattr(pl.Series, "hash", lambda it, *_: pl.Series([7] * len(it), dtype=pl.UInt64))
    frame = frame_of([record("a", 5, 1, 1), record("b", 6, 1, 1)])
    assert _duplicates.suspects(frame, columns_of(frame)).rows.all()
    assert said(frame) == ""
    assert said(doubled(frame)).startswith("2 rows repeat an id")


def test_frames_without_repeated_ids_are_seen_at_a_glance(monkeypatch):
    monkeypatch.setattr(_duplicates, "steps", None)
    for flavour in ("pandas", "pandas arrow", "polars", "pyarrow"):
        frame = FLAVOURS[flavour](tu.load_example(backend="pyarrow"))
        for made in (frame, tu.to_long(frame), tu.daily(frame), tu.allocate(frame)):
            tu.cost_by(made)


# The same by the oracle


@pytest.mark.parametrize("seed", range(3))
def test_repeated_rows_are_those_of_the_oracle(seed):
    chance = random.Random(seed)  # noqa: S311 - no secret is made of it
    records = []
    for _ in range(80):
        start = chance.choice([None, *range(1, 20)])
        end = start and start + chance.choice([1, 1, 2, 7])
        stamp = chance.choice([None, "2026-02-01", "2026-02-02"])
        id_ = f"r{chance.randrange(12)}"
        source = {"account": "x", "report_type": chance.choice(["cost", "usage"])}
        records.append(record(id_, chance.randrange(9), None, start, end, updated_at=stamp))
        records[-1]["source"] = source
    repeated = oracle.superseded(records)
    amount = sum(records[place]["charges"][0]["amount"] for place in repeated)
    assert said(kept(records)).startswith(
        f"{len(repeated)} rows repeat an id over an overlapping window and add {amount:.2f} USD."
    )
    places = [place for place, _ in enumerate(records) if place not in repeated]
    for flavour in ("polars lazy", "duckdb"):
        frame = kept(records, flavour)
        wanted = [rows(frame)[place] for place in places]
        assert rows(tu.latest(frame)) == wanted
    assert said(tu.latest(kept(records))) == ""


# latest()


@EACH
def test_latest_keeps_the_pieces_of_a_record_and_the_newest_of_each(flavour):
    frame = tu.daily(frame_of([record("a", 9, None, 1, 4), record("b", 1, None, 1)], flavour))
    pieces = rows(frame)
    assert len(pieces) == 4  # three days of a, one of b
    assert rows(tu.latest(frame)) == pieces
    assert rows(tu.latest(doubled(frame))) == pieces


def test_latest_takes_a_month_for_its_days_or_the_days_for_their_month():
    month = tu.flatten_usage(record("a", 30, None, 1, 31), backend="polars")
    days = tu.daily(month)
    assert days.height == 30

    def kept_of(*frames):
        return tu.latest(pl.concat(frames, how="diagonal"))["charges.net"].to_list()

    assert kept_of(month, days) == [1] * 30
    assert kept_of(days, month) == [30]


def test_a_record_that_was_clipped_to_ranges_that_meet_is_no_duplicate():
    frame = frame_of([record("a", 9, None, 1, 10), record("b", 1, None, 2)])
    first, second = (
        tu.between(frame, "2026-01-01", "2026-01-04"),
        tu.between(frame, since="2026-01-05"),
    )
    assert said(pl.concat([first, second])) == ""
    again = tu.between(frame, "2026-01-04", "2026-01-06")  # the fourth is in the first, too
    assert said(pl.concat([first, again])) == (
        "1 row repeats an id over an overlapping window and adds 4.00 USD."
    )


def test_latest_keeps_all_parts_of_an_allocated_record():
    frame = tu.allocate(frame_of(several()))
    assert tu.latest(frame).equals(frame)
    assert tu.latest(pl.concat([frame, frame])).equals(frame)


def test_of_a_chain_of_very_many_windows_the_newest_stays(monkeypatch):
    monkeypatch.setattr(_duplicates, "_MOST_WINDOWS", 2)
    frame = kept([record("a", n, None, n, n + 2) for n in (1, 2, 3)])
    assert tu.latest(frame)["charges.net"].to_list() == [3]
    monkeypatch.undo()
    assert tu.latest(frame)["charges.net"].to_list() == [3]  # each is overlapped by the next


# Everybody else who speaks


def test_a_finding_names_each_id_and_what_to_do():
    records = [
        record("a", 4),
        record("a", 5),
        record("a", 6),
        record("b", 1, currency=""),
        record("b", 1),
    ]
    found = rows(tu.findings(kept(records), only="repeated_id", overlap="ignore"))
    shown = [
        (row["severity"], row["id"], row["value"], row["expected"], row["records"]) for row in found
    ]
    assert shown == [("error", "a", "3", "1", 3), ("error", "b", "2", "1", 2)]
    assert "All but the newest add 9 USD; tu.latest(df)" in found[0]["message"]  # 4 + 5
    assert "1 of unknown currency" in found[1]["message"]
    assert rows(tu.findings(tu.latest(kept(records)), only="repeated_id")) == []


@pytest.mark.parametrize("flavour", ["pandas", "polars lazy", "pyarrow", "duckdb"])
def test_a_finding_is_the_same_in_every_library(flavour):
    for sep in (".", "_"):
        frame = kept([record("a", 4, 10, 1), record("a", 5, 10, 1)], flavour, sep=sep)
        (row,) = rows(tu.findings(frame, only="repeated_id", overlap="ignore"))
        assert (row["check"], row["id"], row["records"]) == ("repeated_id", "a", 2)


def test_findings_warn_once():
    assert "1 row repeats" in said(kept([record("a", 4)] * 2), tu.findings)


@pytest.mark.parametrize("function", [tu.grains, tu.overlaps, finest])
def test_grains_and_overlaps_say_that_their_sums_hold_repeated_rows(function):
    frame = kept([record("a", 4, 1, 1)] * 2)
    assert "1 row repeats" in said(frame, function)
    assert "1 row repeats" in said(frame.lazy(), function)


def test_explain_tells_of_repeated_rows():
    told = tu.explain(kept([record("a", 4)] * 2), "cost_by")
    assert told.counts["repeated.rows"] == 1
    assert "1 row repeats an id over an overlapping window and adds 4.00 USD" in str(told)
    assert "repeated.rows" not in tu.explain(kept([record("a", 4)]), "cost_by").counts
    assert tu.explain(kept([record("a", 4)] * 2, "duckdb"), "cost_by").counts["repeated.rows"] == 1


def charts():
    frame = kept([record("a", 4, 100, 1, user={"id": "u"}, model={"id": "opus"})] * 2, "pandas")
    return frame, {
        "cost_by": lambda it: tu.plot.cost_by(it, "model.id", overlap="warn"),
        "cost_by over time": lambda it: tu.plot.cost_by(it, "model.id", freq="1d"),
        "tokens_by": lambda it: tu.plot.tokens_by(it, freq="1d"),
        "active_users": lambda it: tu.plot.active_users(it, freq="1d"),
        "trend": lambda it: tu.plot.trend(it, "user.id", freq="1d"),
        "heatmap": lambda it: tu.plot.heatmap(it, "user.id", freq="1d"),
        "pareto": lambda it: tu.plot.pareto(it, "user.id"),
    }


@pytest.mark.parametrize("name", charts()[1])
def test_a_chart_warns_once(name):
    frame, drawn = charts()
    assert "1 row repeats" in said(frame, lambda it: drawn[name](it) and [])


def test_a_report_warns_once_and_has_a_note(tmp_path):
    frame = kept([record("a", 4, 100, 1)] * 2, "pandas")
    assert "1 row repeats" in said(frame, lambda it: tu.report(it, tmp_path / "r.html") and [])
    page = (tmp_path / "r.html").read_text()
    notice = page[page.index('<section class="notice"') :].partition("</section>")[0]
    assert "1 row repeats an id over an overlapping window and adds 4.00 USD." in notice
    with pytest.raises(OverlapError, match="1 row repeats"):
        tu.report(frame, tmp_path / "s.html", overlap="raise")


@pytest.mark.parametrize("tables", ["wide", "long", "focus"])
@pytest.mark.parametrize("flavour", ["pandas", "polars lazy", "duckdb"])
def test_an_export_warns_once_raises_and_ignores(tables, flavour, tmp_path):
    records = [record("a", 4, None, 1), record("a", 5, None, 1), record("b", 1, None, 1)]
    frame = kept([{**each, "organization": {"id": "o"}} for each in records], flavour)

    def exported(overlap):
        target = tmp_path / f"{overlap}.parquet"
        return lambda it: tu.export_usage(it, target, tables=tables, overlap=overlap) and []

    assert said(frame, exported("warn")) == (
        "1 row repeats an id over an overlapping window and adds 4.00 USD."
    )
    assert said(frame, exported("ignore")) == ""
    with pytest.raises(OverlapError, match=r"adds 4\.00 USD"):
        exported("raise")(frame)
    assert not (tmp_path / "raise.parquet").exists()


def test_an_export_is_silent_where_windows_do_not_overlap(tmp_path):
    frame = tu.daily(frame_of([record("a", 9, None, 1, 4)]))
    assert said(frame, lambda it: tu.export_usage(it, tmp_path / "daily.parquet") and []) == ""
    parts = tu.allocate(frame_of(several())).drop("^resources.+$")
    assert said(parts, lambda it: tu.export_usage(it, tmp_path / "parts.parquet") and []) == ""


def test_what_must_tell_records_apart_refuses_repeated_ids(tmp_path):
    frame = kept([record("a", 4), record("a", 5)])
    with pytest.raises(FrameError, match=r"'a' \(2×\)"):
        tu.export_usage(frame, tmp_path / "usage.parquet", mode="upsert")
    with pytest.raises(FrameError, match=r"tu\.latest"):
        tu.export_usage(frame, tmp_path / "star", tables="star")
    with pytest.raises(OptionError, match="overlap='never'"):
        tu.export_usage(frame, tmp_path / "usage.parquet", overlap="never")
