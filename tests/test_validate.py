"""Validation: every rule fires where it must, and nowhere else, on every kind of frame."""

import datetime as dt
import pickle
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import columns, rows
from flavours import FEW, flattened
from flavours import FLAVOURS as EVERY
from strategies import batches, draws
from tidyusage import quality, schema
from tidyusage.engines import frames
from tidyusage.quality import _pandera_import
from tidyusage.testing import sample_records

_pandera_import.load()
from pandera.errors import SchemaErrors  # noqa: E402 - its own import warns

DATA = Path(__file__).parent / "data"
LAYOUTS = ("wide", "long", "charges", "resources", "tool_actions")
DAY = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
EVE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


FLAVOURS = {**EVERY, "pandas objects": lambda table: table.to_pandas()}


def table(layout, dicts, sep="."):
    """Return an Arrow table of a layout that holds what the dicts say, valid or not."""
    types = schema.layout_types(layout)
    made = pa.Table.from_pylist(dicts, schema=pa.schema(list(types.items())))
    return made.rename_columns([name.replace(".", sep) for name in types])


def failures(frame, **options):
    """Return what breaks a rule, or nothing."""
    try:
        checked = tu.validate_usage(frame, **options)
        if isinstance(frame, pl.LazyFrame):
            checked.collect()
        else:
            assert checked is frame
    except SchemaErrors as error:
        return [tuple(row.values()) for row in rows(error.failure_cases)]
    return []


C5, C1 = "usage.tokens.cache_write_ephemeral_5m", "usage.tokens.cache_write_ephemeral_1h"
CW = "usage.tokens.cache_write"


def charge(type_, amount=1.0):
    return {"amount": amount, "currency": "USD", "type": type_}


def action(count):
    return {"tool": "edit", "action": "accepted", "count": count}


# Column, rule, what is reported; a row that breaks it; one that must not.
WIDE = [
    ("id", "required", None, {"id": None}, {"id": " "}),
    (
        "product.id",
        "required_with_name",
        None,
        {"product.name": "Claude"},
        {"product.id": "claude", "product.name": "Claude"},
    ),
    (
        "organization.id",
        "required_with_name",
        None,
        {"organization.name": "Example"},
        {"organization.id": "org"},
    ),
    (
        "usage.tokens.input",
        "not_negative",
        "-1.0",
        {"usage.tokens.input": -1},
        {"usage.tokens.input": 0},
    ),
    (
        "usage.sessions.distinct",
        "not_negative",
        "-0.5",
        {"usage.sessions.distinct": -0.5},
        {"usage.sessions.distinct": 0.5},
    ),
    (
        "usage.requests.tab_accepted",
        "at_most_tab_shown",
        "5.0",
        {"usage.requests.tab_accepted": 5, "usage.requests.tab_shown": 4},
        {"usage.requests.tab_accepted": 5, "usage.requests.tab_shown": 5},
    ),
    (
        "usage.code.lines_accepted_added",
        "at_most_lines_added",
        "2.0",
        {"usage.code.lines_accepted_added": 2, "usage.code.lines_added": 1},
        {"usage.code.lines_accepted_added": 2},
    ),
    (
        "usage.code.lines_accepted_removed",
        "at_most_lines_removed",
        "2.0",
        {"usage.code.lines_accepted_removed": 2, "usage.code.lines_removed": 1},
        {"usage.code.lines_accepted_removed": 0, "usage.code.lines_removed": 0},
    ),
    (
        "usage.code.accepts",
        "at_most_applies",
        "9.0",
        {"usage.code.accepts": 9, "usage.code.applies": 8},
        {"usage.code.accepts": 73, "usage.code.rejects": 14, "usage.code.applies": 87},
    ),
    (
        "usage.code.rejects",
        "at_most_applies",
        "9.0",
        {"usage.code.rejects": 9, "usage.code.applies": 8},
        {"usage.code.rejects": 9},
    ),
    (
        "usage.conversations.thinking_message_count",
        "at_most_message_count",
        "2.0",
        {"usage.conversations.thinking_message_count": 2, "usage.conversations.message_count": 1},
        {"usage.conversations.message_count": 1},
    ),
    (
        "usage.tools.distinct_skills_used_count",
        "at_most_skills_used_count",
        "2.0",
        {"usage.tools.distinct_skills_used_count": 2, "usage.tools.skills_used_count": 1},
        {"usage.tools.distinct_skills_used_count": 1, "usage.tools.skills_used_count": 1},
    ),
    (
        "usage.tools.distinct_connectors_used_count",
        "at_most_connectors_used_count",
        "2.0",
        {"usage.tools.distinct_connectors_used_count": 2, "usage.tools.connectors_used_count": 1},
        {"usage.tools.connectors_used_count": 1},
    ),
    (CW, "sum_of_5m_and_1h", "10.0", {CW: 10, C5: 6, C1: 5}, {CW: 10.000001, C5: 6, C1: 4}),
    (CW, "sum_of_5m_and_1h", "0.0", {CW: 0, C5: 1, C1: 0}, {CW: 10, C5: 6}),  # a part is unknown
    (
        "end_date",
        "not_before_start_date",
        "2026-01-01 00:00:00",
        {"start_date": DAY, "end_date": EVE},
        {"start_date": DAY, "end_date": DAY},
    ),
    (
        "updated_at",
        "not_before_created_at",
        "2026-01-01 00:00:00",
        {"created_at": DAY, "updated_at": EVE},
        {"updated_at": EVE},
    ),
    (
        "charges.currency",
        "currency_code",
        "usd",
        {"charges.currency": "usd"},
        {"charges.currency": "USD"},
    ),
    ("charges.currency", "currency_code", "", {"charges.currency": ""}, {"charges.currency": None}),
    (
        "charges.currency",
        "currency_code",
        "USD\n",
        {"charges.currency": "USD\n"},
        {"charges.currency": "XXX"},
    ),
    (
        "charges",
        "known_type",
        "bonus, extra",
        {"charges": [charge("net"), charge("bonus"), None, charge("extra")]},
        {"charges": [charge("tax", -1), charge(None), None]},
    ),
    (
        "usage.code.tool_actions",
        "not_negative",
        "-3.0",
        {"usage.code.tool_actions": [action(2), action(-3)]},
        {"usage.code.tool_actions": [action(0), action(None), None]},
    ),
]
LONG = [
    ("id", "required", None, {"id": None}, {}),
    ("metric", "required", None, {"metric": None}, {}),
    ("value", "required", None, {"value": None}, {}),
    ("value", "not_negative", "-1.0", {"value": -1}, {"value": 0}),
    (
        "value",
        "not_negative",
        "-1.0",
        {"metric": "usage.code.tool_actions.edit", "value": -1},
        {"metric": "usage.quantity", "value": -1},
    ),
    (
        "metric",
        "known_type",
        "charges.bonus",
        {"metric": "charges.bonus", "unit": "USD"},
        {"metric": "charges", "unit": None},
    ),
    (
        "unit",
        "currency_code",
        "usd",
        {"metric": "charges.net", "unit": "usd", "value": -1},
        {"metric": "charges.net", "unit": "USD", "value": -1},
    ),
    (
        "product.id",
        "required_with_name",
        None,
        {"product.name": "Claude"},
        {"product.id": "claude"},
    ),
    (
        "end_date",
        "not_before_start_date",
        "2026-01-01 00:00:00",
        {"start_date": DAY, "end_date": EVE},
        {"end_date": EVE},
    ),
    (
        "organization.id",
        "required_with_name",
        None,
        {"organization.name": "Example"},
        {"organization.id": "org"},
    ),
]
CHARGES = [
    ("id", "required", None, {"id": None}, {}),
    ("position", "not_negative", "-1", {"position": -1}, {"position": 3}),
    ("charges.type", "known_type", "bonus", {"charges.type": "bonus"}, {"charges.type": None}),
    ("charges.currency", "currency_code", "US", {"charges.currency": "US"}, {"charges.amount": -1}),
]
ENTRIES = [
    ("id", "required", None, {"id": None}, {}),
    ("position", "not_negative", "-1", {"position": -1}, {"position": 3}),
]
TOOLS = [*ENTRIES, ("count", "not_negative", "-1.0", {"count": -1}, {"count": 0})]
CASES = {
    "wide": ({}, WIDE),
    "long": ({"metric": "usage.tokens.input", "value": 1.0, "unit": "tokens"}, LONG),
    "charges": ({"position": 0}, CHARGES),
    "resources": ({"position": 0}, ENTRIES),
    "tool_actions": ({"position": 0, "tool": "edit"}, TOOLS),
}


def cases(layout, sep="."):
    """Return rows, of which every other one breaks a rule, and what is to be said of them."""
    base, of_layout = CASES[layout]
    dicts, said = [], []
    for number, (column, check, value, broken, kept) in enumerate(of_layout):
        bad = {**base, "id": f"b{number}", **broken}
        said.append((bad["id"], column.replace(".", sep), check, value, len(dicts)))
        dicts += [bad, {**base, "id": f"k{number}", **kept}]
    return dicts, said


SPELLED = [(flavour, ".") for flavour in FLAVOURS]
SPELLED += [(flavour, "_") for flavour in ("pandas", "polars", "duckdb")]


@pytest.mark.parametrize(("flavour", "sep"), SPELLED)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_rule_fires_where_it_must_and_nowhere_else(layout, flavour, sep):
    dicts, said = cases(layout, sep)
    frame = FLAVOURS[flavour](table(layout, dicts, sep))
    assert failures(frame) == said


def test_every_rule_has_a_case():
    for layout in LAYOUTS:
        tried = {(column, check) for column, check, *_ in CASES[layout][1]}
        rules = {
            (rule.column, rule.name)
            for rule in quality.rules.rules(layout)
            if not rule.groups and rule.name != "not_negative"
        }
        assert rules - tried <= {  # these are the same in all layouts, or have a test of their own
            ("id", "required"),
            ("position", "required"),
            ("organization.id", "required_with_name"),
        }


def test_no_count_is_negative_and_money_and_quantities_may_be():
    numbers = [n for n, t in schema.layout_types("wide").items() if pa.types.is_floating(t)]
    money = [name for name in numbers if name.startswith("charges.")]
    dicts = [{"id": name, name: -1.0} for name in numbers]
    negative = [
        column for _, column, check, *_ in failures(FLAVOURS["polars"](table("wide", dicts)))
    ]
    # 11 of requests, 2 of sessions, 6 of conversations, 9 of code, 7 of tokens, 6 of tools
    assert len(negative) == 41
    assert {*numbers} - {*negative} == {*money, "usage.quantity"}


@pytest.mark.parametrize("flavour", ["pandas arrow", "polars", "pyarrow", "duckdb"])
def test_an_entry_has_its_place(flavour):
    for layout in LAYOUTS[2:]:
        frame = FLAVOURS[flavour](table(layout, [{"id": "a"}, {"id": "a", "position": 1}]))
        assert failures(frame) == [("a", "position", "required", None, 0)]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_entry_stands_once_in_its_record(flavour):
    places = [("a", 0), ("b", 0), ("a", 1), ("a", 0)]
    for layout in LAYOUTS[2:]:
        dicts = [{"id": id_, "position": position} for id_, position in places]
        assert failures(FLAVOURS[flavour](table(layout, dicts))) == [
            ("a", "position", "unique", "0", 0),
            ("a", "position", "unique", "0", 3),
        ]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_all_rows_of_a_repeated_id_are_told(flavour):
    dicts = [{"id": i} for i in ["a", "b", "a", None, None, "a"]]
    assert failures(FLAVOURS[flavour](table("wide", dicts))) == [
        ("a", "id", "unique", "a", 0),
        ("a", "id", "unique", "a", 2),
        (None, "id", "required", None, 3),
        (None, "id", "required", None, 4),
        ("a", "id", "unique", "a", 5),
    ]


def fetched(report, id_="1", account="a", **fields):
    """Return a record as it is fetched: marked with its account and report."""
    return {"source": {"account": account, "report_type": report}, "id": id_, **fields}


# One id under two reports and two accounts, and another id.
APART = [fetched("cost"), fetched("usage"), fetched("cost", account="b"), fetched("cost", "2")]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("sep", [".", "_"])
def test_an_id_is_unique_within_its_account_and_report(flavour, sep):
    make = lambda records: FLAVOURS[flavour](  # noqa: E731
        flattened(records, "pyarrow", duplicates="keep", sep=sep)
    )
    assert failures(make(APART)) == []
    twice = make([*APART, fetched("usage")])
    assert failures(twice) == [("1", "id", "unique", "1", 1), ("1", "id", "unique", "1", 4)]
    good, bad = tu.filter_usage(twice)
    assert [row["id"] for row in rows(good)] == ["1", "1", "2"]
    assert [row["reasons"] for row in rows(bad)] == ["id: unique"] * 2


def test_records_without_a_mark_are_told_apart_too():
    frame = tu.flatten_usage([*APART, fetched("usage")], duplicates="keep", backend="polars")
    none = pl.lit(None, pl.String)
    assert failures(frame.with_columns(none.alias("source.account")))[0][2] == "unique"
    unmarked = frame.drop("source.account", "source.report_type")
    assert [row[4] for row in failures(unmarked)] == [0, 1, 2, 4]
    of_report = frame.drop("source.account")  # "cost" has the id of two accounts then
    assert [row[4] for row in failures(of_report)] == [0, 1, 2, 4]


@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_the_rows_of_a_record_are_those_of_its_report(layout):
    inside = {
        "charges": [{"type": "net", "amount": 1, "currency": "USD"}],
        "resources": [{"id": "r"}],
        "usage": {
            "code": {"tool_actions": {"edit": {"accepted": 1}}},
            "tokens": {
                "cache_write": 3,
                "cache_write_ephemeral_5m": 1,
                "cache_write_ephemeral_1h": 2,
            },
        },
    }
    other = {**inside, "usage": {**inside["usage"], "tokens": {"cache_write": 9}}}
    # The one's 9 are no sum of the other's lifetimes, of which there is but one.
    records = [fetched("cost", **inside), fetched("usage", **other)]
    frame = tu.flatten_usage(records, layout=layout, backend="polars")
    assert failures(frame) == []
    wrong = pl.concat([frame, frame.tail(1)])
    assert {row[2] for row in failures(wrong)} == {"unique"}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_long_compares_the_measures_of_a_record(flavour):
    def row(id_, metric, value):
        return {"id": id_, "metric": f"usage.{metric}", "value": value}

    shown, accepted = "requests.tab_shown", "requests.tab_accepted"
    writes = "tokens.cache_write"
    dicts = [
        row("a", accepted, 5),
        row("a", shown, 4),
        row("b", shown, 5),
        row("b", accepted, 5),
        row("c", accepted, 9),
        row("d", writes, 9),
        row("d", f"{writes}_ephemeral_5m", 1),
        row("d", f"{writes}_ephemeral_1h", 7),
        row("e", writes, 9),
        row("e", f"{writes}_ephemeral_1h", 7),
        row("f", shown, 1),
        row("f", shown, 1),
    ]
    assert failures(FLAVOURS[flavour](table("long", dicts))) == [
        ("a", "value", "at_most_tab_shown", "5.0", 0),
        ("d", "value", "sum_of_5m_and_1h", "9.0", 5),
        ("f", "metric", "unique", "usage.requests.tab_shown", 10),
        ("f", "metric", "unique", "usage.requests.tab_shown", 11),
    ]


PAIRS = {
    "requests.tab_accepted": "requests.tab_shown",
    "conversations.thinking_message_count": "conversations.message_count",
    "code.lines_accepted_added": "code.lines_added",
    "code.lines_accepted_removed": "code.lines_removed",
    "code.accepts": "code.applies",
    "code.rejects": "code.applies",
    "tools.distinct_connectors_used_count": "tools.connectors_used_count",
    "tools.distinct_skills_used_count": "tools.skills_used_count",
}


def test_long_has_every_pair_that_wide_has():
    dicts = []
    for part, whole in PAIRS.items():
        for id_, values in ((part, (3, 2)), (f"{part} kept", (2, 2))):
            for metric, value in zip((part, whole), values, strict=True):
                dicts.append({"id": id_, "metric": f"usage.{metric}", "value": value})
    expected = [
        (part, "value", f"at_most_{whole.rpartition('.')[2]}", "3.0", 4 * place)
        for place, (part, whole) in enumerate(PAIRS.items())
    ]
    assert failures(pl.from_arrow(table("long", dicts))) == expected


def test_one_row_a_record_and_rule_however_many_columns_a_rule_reads():
    frame = tu.load_example()
    frame["usage.requests.tab_shown"] = 1.0
    frame["usage.requests.tab_accepted"] = 2.0
    assert len(failures(frame)) == len(frame) == 310


def test_labels_of_pandas_are_the_index():
    frame = frames.to_pandas(table("wide", [{"id": "a"}, {"id": "b", "usage.tokens.input": -1}]))
    for index, label in [
        (pd.Index(["x", "y"], name="mine"), "y"),
        (pd.DatetimeIndex([EVE, DAY]), DAY),
        (pd.Index([7, 7]), 7),
        (pd.MultiIndex.from_tuples([(1, "x"), (2, "y")]), (2, "y")),
    ]:
        with pytest.raises(SchemaErrors) as error:
            tu.validate_usage(frame.set_axis(index))
        assert list(error.value.failure_cases["index"]) == [label]
        good, bad = tu.filter_usage(frame.set_axis(index))
        assert list(good.index) == list(index[:1])
        assert list(bad.index) == list(index[1:])
        assert good.index.names == bad.index.names == index.names


def test_failures_come_in_the_frames_own_kind():
    bad = table("wide", [{"id": "a", "usage.tokens.input": -1}])
    kinds = {
        "polars": pl.DataFrame,
        "polars lazy": pl.DataFrame,
        "pyarrow": pa.Table,
        "duckdb": pa.Table,
    }
    for flavour, make in FLAVOURS.items():
        with pytest.raises(SchemaErrors) as error:
            rows(tu.validate_usage(make(bad)))
        assert type(error.value.failure_cases) is kinds.get(flavour, pd.DataFrame)
        assert isinstance(error.value, tu.errors.UsageError)
        assert columns(error.value.failure_cases) == [
            "id",
            "column",
            "check",
            "failure_case",
            "index",
        ]
    frame = FLAVOURS["pandas arrow"](bad)
    with pytest.raises(SchemaErrors) as error:
        tu.validate_usage(frame)
    assert isinstance(error.value.failure_cases["check"].dtype, pd.ArrowDtype)


HINT = (
    "failure_cases of this error is a frame with each of them; filter_usage(frame) parts the rows "
    "that fail from the others."
)


def test_the_error_says_the_rules_their_counts_and_what_to_do():
    dicts = [{"id": n, "usage.tokens.input": -1} for n in "abc"]
    dicts.append({"id": "d", "charges.currency": "credits"})
    with pytest.raises(SchemaErrors) as error:
        tu.validate_usage(frames.to_pandas(table("wide", dicts)))
    assert str(error.value).split("\n") == [
        "4 values break a rule:",
        "  usage.tokens.input: not_negative (3×, such as '-1.0')",
        "  charges.currency: currency_code (1×, such as 'credits')",
        "",
        f"{HINT}  currencies=[…] names further currencies that may be charged.",
    ]
    assert [of.check for of in error.value.schema_errors] == ["not_negative", "currency_code"]
    assert error.value.error_counts == {"DATAFRAME_CHECK": 2}
    assert error.value.schema.name == "wide of pandas"


def test_further_currencies_can_be_named():
    frame = tu.flatten_usage(
        {"id": "a", "charges": [{"amount": 1, "currency": "credits", "type": "net"}]}
    )
    assert failures(frame) == [("a", "charges.currency", "currency_code", "CREDITS", 0)]
    assert failures(frame, currencies=["credits "]) == []
    assert len(frame.usage.filter(currencies={"CREDITS", "TOKENS"})[0]) == 1
    for wrong in ("CREDITS", [None], [""], 5):
        with pytest.raises(tu.errors.OptionError, match="currenc"):
            tu.validate_usage(frame, currencies=wrong)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_tidyusage_makes_is_valid(layout, flatten):
    for records in ([], sample_records(40)):
        assert failures(flatten(records, layout=layout)) == []
    assert failures(tu.load_example(layout=layout, backend="polars", sep="_")) == []


@pytest.mark.parametrize("vendor", ["claude", "codex", "confluent", "cursor", "datadog"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_vendors_records_are_valid_but_for_credits(vendor, layout):
    """Codex reports one figure in credits: the only thing in these files that breaks a rule."""
    frame = tu.read_usage(DATA / f"{vendor}.ndjson", layout=layout)
    found = {case[2:4] for case in failures(frame)}
    has_money = layout in {"wide", "long", "charges"}
    assert found == ({("currency_code", "CREDITS")} if vendor == "codex" and has_money else set())
    assert failures(frame, currencies=["CREDITS"]) == []


def test_some_columns_of_a_frame_are_enough():
    frame = tu.load_example()
    assert failures(frame[["id", "usage.requests.tab_accepted"]]) == []
    assert failures(frame[["id", "product.name"]])[0][1:4] == (
        "product.id",
        "required_with_name",
        None,
    )
    assert failures(frame.assign(mine=object())) == []
    for wrong in (frame.drop(columns="id"), frame[["id"]], [1, 2]):
        with pytest.raises(tu.errors.FrameError):
            tu.validate_usage(wrong)


WRONG = {
    "usage.tokens.input": (pa.string(), "x"),
    "usage.tokens.output": (pa.int64(), 1),
    "user.email": (pa.int64(), 1),
    "start_date": (pa.timestamp("us"), EVE.replace(tzinfo=None)),
    "end_date": (pa.string(), "2026-01-01"),
    "usage.activity.is_active": (pa.int64(), 1),
    "charges": (pa.string(), "[]"),
    "resources": (pa.list_(pa.struct([("id", pa.string())])), [{"id": "r"}]),
}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_wrong_dtype_is_one_row_and_no_row_is_to_blame(flavour):
    made = table("wide", [{"id": "a", "usage.tokens.cache_read": -1}])
    for name, (type_, value) in WRONG.items():
        place = made.column_names.index(name)
        made = made.set_column(place, name, pa.array([value], type_))
    frame = FLAVOURS[flavour](made)
    found = failures(frame)
    of_rows = [("a", "usage.tokens.cache_read", "not_negative", "-1.0", 0)]
    order = schema.layout_types("wide")
    assert [case[:3] for case in found if case[2] == "dtype"] == [
        (None, name, "dtype") for name in order if name in WRONG
    ]
    # A lazy frame's dtypes are told before its data are looked at.
    assert [c for c in found if c[2] != "dtype"] == ([] if flavour == "polars lazy" else of_rows)
    with pytest.raises(SchemaErrors, match="restore"):
        tu.filter_usage(frame)


def test_an_id_of_a_wrong_dtype_is_told_too():
    """Whether others can be asked of the rows or not, and even where no engine can read it."""
    for ids in ([1, 2], [1, "a"], [{1}, {2}]):
        for more in ({}, {"usage.tokens.input": [1.0, -1.0]}):
            frame = pd.DataFrame({"id": ids, "user.email": "x", **more})
            found = failures(frame)
            assert found[0][:3] == (None, "id", "dtype")
            assert [case[1:3] for case in found[1:]] == [
                ("usage.tokens.input", "not_negative")
            ] * len(more)
            with pytest.raises(SchemaErrors):
                tu.filter_usage(frame)


def test_categories_other_units_and_zones_are_flavours():
    frame = tu.load_example()
    frame["product.id"] = frame["product.id"].astype("category")
    frame["start_date"] = frame["start_date"].dt.as_unit("ns")
    frame["end_date"] = frame["end_date"].dt.tz_convert("Asia/Tokyo")
    frame["charges.currency"] = frame["charges.currency"].astype(object)
    frame["user.name"] = pd.Series([None] * len(frame), dtype=object)
    assert failures(frame) == []
    eager = tu.load_example(backend="polars").with_columns(
        pl.col("charges.currency", "product.id").cast(pl.Categorical),
        pl.col("model.id").cast(pl.Enum(["gpt-5.5"]), strict=False),
        pl.lit(None).alias("usage.tokens.input"),
    )
    assert failures(eager) == []
    assert failures(
        eager.with_columns(pl.lit("usd").cast(pl.Categorical).alias("charges.currency"))
    )


def test_nan_is_missing():
    for flavour in ("pandas", "polars", "pyarrow", "duckdb"):
        dicts = [{"id": "a", CW: 5, C5: float("nan"), C1: 5, "usage.tokens.input": float("nan")}]
        assert failures(FLAVOURS[flavour](table("wide", dicts))) == []


def test_a_lazy_frame_is_checked_before_what_is_asked_of_it_later():
    dicts = [{"id": "a"}, {"id": "b", "usage.tokens.input": -1}]
    lazy = tu.validate_usage(pl.from_arrow(table("wide", dicts)).lazy())
    for later in (lazy.filter(pl.col("id") == "a"), lazy.select("id"), lazy.head(1)):
        with pytest.raises(SchemaErrors):
            later.collect()


def test_a_reader_is_not_used_up():
    made = table("wide", [{"id": "a"}])
    reader = made.to_reader()
    with pytest.raises(tu.errors.FrameError, match="only once"):
        tu.validate_usage(reader)
    assert reader.read_all() == made
    assert failures(made.to_batches()[0]) == []


def test_the_frame_is_never_changed():
    frame = frames.to_pandas(table("wide", cases("wide")[0]))
    before = frame.copy()
    failures(frame)
    good, bad = tu.filter_usage(frame)
    good["id"] = bad["id"] = "x"
    pd.testing.assert_frame_equal(frame, before)
    clean = frame.iloc[1::2]
    good, _ = tu.filter_usage(clean)
    good["id"] = "x"
    assert list(clean["id"]) == list(before["id"].iloc[1::2])


@pytest.mark.parametrize(("flavour", "sep"), SPELLED)
@pytest.mark.parametrize("layout", ["wide", "charges"])
def test_filter_parts_the_rows_and_says_why(layout, flavour, sep):
    dicts, said = cases(layout, sep)
    frame = FLAVOURS[flavour](table(layout, dicts, sep))
    good, bad = tu.filter_usage(frame)
    assert type(good) is type(bad) is type(frame)
    assert [row["id"] for row in rows(good)] == [row["id"] for row in dicts[1::2]]
    assert [row["reasons"] for row in rows(bad)] == [f"{of[1]}: {of[2]}" for of in said]
    assert columns(bad) == [*columns(frame), "reasons"]
    assert failures(good) == []
    if "pandas" in flavour:
        assert dict(good.dtypes) == dict(bad.dtypes[:-1]) == dict(frame.dtypes)


def test_a_row_that_breaks_several_rules_is_bad_once():
    dicts = [{"id": "a", "usage.tokens.input": -1, "charges.currency": "x"}, {"id": "b"}]
    _, bad = tu.filter_usage(frames.to_pandas(table("wide", dicts)))
    assert list(bad["reasons"]) == [
        "usage.tokens.input: not_negative; charges.currency: currency_code"
    ]
    with pytest.raises(tu.errors.FrameError, match="reasons"):
        tu.filter_usage(bad)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_clean_and_empty_frames_have_no_bad_rows(flavour):
    for dicts in ([], [{"id": "a"}]):
        frame = FLAVOURS[flavour](table("wide", dicts))
        good, bad = tu.filter_usage(frame)
        assert len(rows(good)) == len(dicts)
        assert rows(bad) == []
        assert columns(bad) == [*columns(frame), "reasons"]


EDITS = st.tuples(st.sampled_from("abcd"), st.sampled_from(WIDE), st.booleans())
LAW = settings(max_examples=draws(8), deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("flavour", FEW)
@LAW
@given(edits=st.lists(EDITS, max_size=6))
def test_good_and_bad_are_all_rows(flavour, edits):
    dicts = [
        {"id": id_, **(broken if breaks else kept), "surface": str(number)}
        for number, (id_, (_, _, _, broken, kept), breaks) in enumerate(edits)
    ]
    frame = FLAVOURS[flavour](table("wide", dicts))
    good, bad = tu.filter_usage(frame)
    found = [(row["surface"], False) for row in rows(good)]
    found += [(row["surface"], bool(row["reasons"])) for row in rows(bad)]
    ids = [row["id"] for row in dicts]
    is_bad = [edits[n][2] or (id_ is not None and ids.count(id_) > 1) for n, id_ in enumerate(ids)]
    assert sorted(found) == [(str(n), is_bad[n]) for n in range(len(dicts))]
    assert failures(good) == []


@settings(LAW, max_examples=draws(4))
@given(records=batches(4))
@pytest.mark.filterwarnings("ignore::tidyusage.errors.UsageWarning")
def test_drawn_records_part_into_valid_and_invalid_ones(records, tmp_path_factory):
    rejects = tmp_path_factory.mktemp("rejects") / "rejects.ndjson"
    options = {"unknown": "ignore", "duplicates": "keep", "backend": "polars"}
    for layout in ("wide", "long", "charges"):
        frame = tu.flatten_usage(records, layout=layout, rejects=rejects, **options)
        good, bad = tu.filter_usage(frame)
        assert len(good) + len(bad) == len(frame)
        assert failures(good) == []
        assert len({case[4] for case in failures(frame)}) == len(bad)


def test_methods_are_the_functions():
    frame = tu.load_example()
    assert frame.usage.validate() is frame
    good, bad = frame.usage.filter()
    assert (len(good), len(bad)) == (310, 0)


def test_the_error_can_be_sent_to_another_process():
    with pytest.raises(SchemaErrors) as error:
        tu.validate_usage(tu.load_example().assign(**{"usage.tokens.input": -1.0}))
    with pytest.warns(UserWarning, match="does not preserve state"):
        again = pickle.loads(pickle.dumps(error.value))  # noqa: S301 - our own
    assert str(again) == str(error.value)
