"""Allocation over resources: laws of conservation on every kind of frame, and cases by hand."""

import math
import random
import sys
from fractions import Fraction

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import rows
from flavours import FEW, flattened
from flavours import FLAVOURS as EVERY
from strategies import draws
from tidyusage.catalogue import CHARGE_TYPES, MEASURES
from tidyusage.errors import FrameError, OptionError, RecordError, UnknownFieldError

COUNTS = "usage.code.tool_actions"
FLAVOURS = {name: make for name, make in EVERY.items() if name != "pandas nullable"}
EACH = pytest.mark.parametrize("flavour", FLAVOURS)
SOME = pytest.mark.parametrize("flavour", FEW)


LAW = settings(max_examples=draws(6), deadline=None, suppress_health_check=list(HealthCheck))


def frame_of(records, flavour="polars", sep=".", **own):
    table = flattened(records, "pyarrow", sep=sep)
    for name, values in own.items():
        table = table.append_column(name, pa.array(values))
    return FLAVOURS[flavour](table)


def plain(frame):
    """Return rows under dotted names, with None for every kind of missing."""
    found = []
    for row in rows(frame):
        clean = {k: None if v != v else v for k, v in row.items()}  # noqa: PLR0124 - NaN
        found.append({DOTTED.get(name, name): value for name, value in clean.items()})
    return found


DOTTED = {
    name.replace(".", "_"): name
    for name in (
        *tu.flatten_usage([], backend="pyarrow").column_names,
        *tu.flatten_usage([], backend="pyarrow", layout="resources").column_names,
    )
}


def charged(amount, *resources, id_="a", **usage):
    return {
        "id": id_,
        "product": {"id": "confluent"},
        "resources": [{"id": name} for name in resources],
        "charges": [
            {"type": "total", "amount": amount * 2, "currency": "USD"},
            {"type": "net", "amount": amount, "currency": "USD"},
        ],
        "usage": usage,
        "start_date": "2026-01-01T00:00:00Z",
    }


# ---------------------------------------------------------------------------------------------
# By hand


@EACH
@pytest.mark.parametrize("sep", [".", "_"])
def test_ten_dollars_over_three_resources(flavour, sep):
    resources = [
        {"id": "r1", "name": "one", "workspace": {"id": "w1", "name": "prod"}},
        {"id": "r2"},
        {"id": "r3"},
    ]
    record = charged(10, quantity=9, unit="GB") | {"resources": resources}
    found = plain(tu.allocate(frame_of([record], flavour, sep)))
    third = 10 / 3
    assert [row["charges.net"] for row in found] == pytest.approx([third] * 3, rel=1e-15)
    assert [row["charges.total"] for row in found] == pytest.approx([2 * third] * 3, rel=1e-15)
    assert [row["usage.quantity"] for row in found] == [3, 3, 3]
    assert [row["share"] for row in found] == [1 / 3] * 3
    assert [row["part"] for row in found] == [0, 1, 2]
    assert [row["resources.id"] for row in found] == ["r1", "r2", "r3"]
    assert [row["resources.workspace.name"] for row in found] == ["prod", None, None]
    assert [[each["id"] for each in row["resources"]] for row in found] == [["r1"], ["r2"], ["r3"]]
    # what is no measure stands in every part
    assert {row["id"] for row in found} == {"a"}
    assert {row["usage.unit"] for row in found} == {"GB"}
    assert {row["charges.currency"] for row in found} == {"USD"}
    assert len({row["start_date"] for row in found}) == 1


@SOME
def test_weights_one_to_two_to_nothing(flavour):
    frame = frame_of([charged(9, "r1", "r2", "r3")], flavour)
    weights = {"r1": 1, "r2": 2, "r3": 0}
    found = plain(tu.allocate(frame, weights=weights))
    # shares 1/3, 2/3, 0 of 9.00
    assert [row["charges.net"] for row in found] == pytest.approx([3, 6, 0])
    assert [row["share"] for row in found] == pytest.approx([1 / 3, 2 / 3, 0])
    assert [row["resources.id"] for row in found] == ["r1", "r2", "r3"]


@SOME
def test_a_mapping_weighs_all_others_under_a_star(flavour):
    frame = frame_of([charged(8, "r1", "r2", "r3"), charged(3, "r2", "r4", id_="b")], flavour)
    found = plain(tu.allocate(frame, weights={"r1": 2, "*": 1}))
    # a: 2:1:1 of 8; b: 1:1 of 3
    assert [row["charges.net"] for row in found] == [4, 2, 2, 1.5, 1.5]


@SOME
@pytest.mark.parametrize("type_", [pa.int64(), pa.float32()])
def test_a_column_lists_the_weights_of_each_record(flavour, type_):
    records = [charged(8, "r1", "r2"), charged(5, "r1", id_="b"), charged(9, "r2", "r1", id_="c")]
    weights = pa.array([[3, 1], None, [1, 2]], pa.list_(type_))
    found = plain(tu.allocate(frame_of(records, flavour, weight=weights), weights="weight"))
    # 8 as 3:1, 5 whole without a weight, 9 as 1:2
    assert [row["charges.net"] for row in found] == pytest.approx([6, 2, 5, 3, 6])
    assert [[*row["weight"]] if row["weight"] is not None else None for row in found] == [
        [3, 1],
        [3, 1],
        None,
        [1, 2],
        [1, 2],
    ]


def weigh(flavour):
    """Return a function that weighs production three times, in the words of a library."""
    return {
        "pandas": lambda e: np.where(e["resources.workspace.name"] == "prod", 3, 1),
        "pandas arrow": lambda e: e["resources.workspace.name"].map({"prod": 3}).fillna(1),
        "polars": lambda e: (
            pl.when(pl.col("resources.workspace.name") == "prod").then(3).otherwise(1)
        ),
        "polars lazy": lambda e: e.select(
            pl.when(pl.col("resources.workspace.name") == "prod").then(3).otherwise(1).alias("w")
        )["w"],
        "pyarrow": lambda e: [
            3 if name == "prod" else 1 for name in e["resources.workspace.name"].to_pylist()
        ],
        "duckdb": lambda e: """case when "resources.workspace.name" = 'prod' then 3 else 1 end""",
    }[flavour]


@SOME
def test_a_function_weighs_the_entries(flavour):
    records = [charged(8), charged(8, id_="b"), charged(7, "r1", id_="c")]
    records[0]["resources"] = [
        {"id": "r1", "workspace": {"name": "prod"}},
        {"id": "r2", "workspace": {"name": "dev"}},
    ]
    frame = frame_of(records, flavour)
    found = plain(tu.allocate(frame, weights=weigh(flavour)))
    # 8 as 3:1; two records that stay whole
    assert [(row["id"], row["charges.net"]) for row in found] == [
        ("a", 6),
        ("a", 2),
        ("b", 8),
        ("c", 7),
    ]
    assert "tu__given" not in found[0]


def test_a_function_is_given_the_table_of_resources():
    seen = []
    frame = frame_of(
        [charged(8, "r1", "r2"), charged(1, id_="b"), charged(8, "r2", id_="c")], "pandas"
    )
    tu.allocate(frame, weights=lambda entries: seen.append(entries) or [1, 1, 1])
    assert seen[0].equals(tu.resources(frame, duplicates="keep"))


@SOME
def test_a_record_with_one_resource_or_none_stays_whole(flavour):
    usage = {
        "requests": {"total": 7},
        "sessions": {"distinct": 4},
        "activity": {"is_active": True, "client_version": "1.2"},
    }
    records = [charged(5, "r1", **usage), charged(6, id_="b", **usage)]
    found = plain(tu.allocate(frame_of(records, flavour), weights={}))
    assert [row["share"] for row in found] == [1, 1]
    assert [row["part"] for row in found] == [0, 0]
    assert [row["resources.id"] for row in found] == ["r1", None]
    assert [row["charges.net"] for row in found] == [5, 6]
    assert [row["usage.sessions.distinct"] for row in found] == [4, 4]
    assert [row["usage.activity.is_active"] for row in found] == [True, True]
    assert [row["resources"] for row in found][1] is None


@SOME
def test_what_cannot_be_added_is_null_in_the_parts(flavour):
    usage = {
        "requests": {"total": 7},
        "sessions": {"distinct": 4, "dispatch_turns": 6},
        "conversations": {"distinct": 2},
        "tools": {"distinct_skills_used_count": 3, "skills_used_count": 9},
        "activity": {"is_active": True, "max_mode": False, "client_version": "1.2"},
        "code": {"file_extensions": {"tab_most_used": ".py"}},
    }
    found = plain(tu.allocate(frame_of([charged(5, "r1", "r2", **usage)], flavour)))
    for row in found:
        assert row["usage.requests.total"] == 3.5
        assert row["usage.sessions.dispatch_turns"] == 3
        assert row["usage.tools.skills_used_count"] == 4.5
        for never in (
            "sessions.distinct",
            "conversations.distinct",
            "tools.distinct_skills_used_count",
            "activity.is_active",
            "activity.max_mode",
        ):
            assert row[f"usage.{never}"] is None
        assert row["usage.activity.client_version"] == "1.2"  # text is no measure
        assert row["usage.code.file_extensions.tab_most_used"] == ".py"


@SOME
def test_lists_are_split_as_their_columns_are(flavour):
    record = charged(4, "r1", "r2", code={"tool_actions": {"edit": {"accepted": 6, "rejected": 3}}})
    record["charges"].append({"type": "bonus", "amount": 1, "currency": "USD"})
    with pytest.warns(tu.errors.ChargeTypeWarning):
        frame = frame_of([record], flavour)
    found = plain(tu.allocate(frame, weights={"r1": 3, "r2": 1}))
    for row, share in zip(found, (0.75, 0.25), strict=True):
        # 8 and 4 of the record, and what the schema has no column for
        assert row["charges"] == [
            {"amount": 8 * share, "currency": "USD", "type": "total"},
            {"amount": 4 * share, "currency": "USD", "type": "net"},
            {"amount": 1 * share, "currency": "USD", "type": "bonus"},
        ]
        assert row[COUNTS] == [
            {"tool": "edit", "action": "accepted", "count": 6 * share},
            {"tool": "edit", "action": "rejected", "count": 3 * share},
        ]


@SOME
@pytest.mark.parametrize("sep", [".", "_"])
def test_the_parts_are_measured_as_the_records_were(flavour, sep):
    records = [
        charged(8, "r1", "r2", requests={"total": 4}),
        charged(5, id_="b"),
        charged(2, "r2", id_="c", requests={"total": 1}),
    ]
    frame = frame_of(records, flavour, sep)
    parts = tu.allocate(frame)
    (before,), (after,) = (rows(tu.cost_by(each)) for each in (frame, parts))
    assert before["cost"] == after["cost"] == 15
    # r1: 4, r2: 4 + 2, none: 5, by field or by column, and as the even split of the metric
    name = f"resources{sep}id"
    for by in {"resources.id", name}:
        for each in (frame, parts):
            costs = {row[name]: row["cost"] for row in rows(tu.cost_by(each, by))}
            assert costs == {"r1": 4, "r2": 6, None: 5}
    assert {row["metric"]: row["value"] for row in rows(tu.totals(parts))} == {
        row["metric"]: row["value"] for row in rows(tu.totals(frame))
    }


@SOME
def test_long_tells_the_parts_apart(flavour):
    parts = tu.allocate(frame_of([charged(8, "r1", "r2")], flavour))
    with pytest.raises(Exception, match="several rows"):
        rows(tu.to_long(parts))
    long = rows(tu.to_long(parts, duplicates="keep"))
    assert [
        (row["record"], row["resources.id"], row["metric"], row["value"], row["share"])
        for row in long
    ] == [
        (0, "r1", "charges.total", 8, 0.5),
        (0, "r1", "charges.net", 4, 0.5),
        (1, "r2", "charges.total", 8, 0.5),
        (1, "r2", "charges.net", 4, 0.5),
    ]


@EACH
def test_own_columns_and_odd_names_stay(flavour):
    records = [charged(8, "r1", "r2"), charged(5, id_="b")]
    own = {"team": ["red", None], "n": [2**53 + 1, 3], "tags": [["x"], []]}
    found = plain(tu.allocate(frame_of(records, flavour, **own)))
    assert [row["team"] for row in found] == ["red", "red", None]
    assert [row["n"] for row in found] == [2**53 + 1, 2**53 + 1, 3]
    assert [[*row["tags"]] for row in found] == [["x"], ["x"], []]


def test_a_pandas_frame_is_not_changed_whatever_its_index():
    frame = frame_of([charged(8, "r1", "r2"), charged(5, id_="b")], "pandas")
    frame.index = [7, 7]
    before = frame.copy(deep=True)
    found = tu.allocate(frame, weights=lambda entries: [1, 3])
    assert found["charges.net"].tolist() == [2, 6, 5]
    assert found.index.tolist() == [0, 1, 2]
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(("flavour", "sep"), [("polars", "."), *((each, "_") for each in FLAVOURS)])
def test_an_empty_frame_gives_an_empty_one_with_the_same_columns(flavour, sep):
    full = tu.allocate(frame_of([charged(8, "r1", "r2")], flavour, sep))
    for weights in (None, {"r": 1}, lambda entries: "1" if flavour == "duckdb" else []):
        empty = tu.allocate(frame_of([], flavour, sep), weights=weights)
        assert plain(empty) == []
        if flavour == "pandas":
            assert empty.dtypes.to_dict() == full.dtypes.to_dict()
        elif flavour != "pandas arrow":
            assert names(empty) == names(full)
    assert names(full)[-6:] == [
        *(
            f"resources{sep}{end}"
            for end in ("id", "name", f"workspace{sep}id", f"workspace{sep}name")
        ),
        "part",
        "share",
    ]


def names(frame):
    return (
        frame.collect_schema().names()
        if isinstance(frame, pl.LazyFrame)
        else list(frame.column_names if isinstance(frame, pa.Table) else frame.columns)
    )


def test_some_columns_are_enough_and_whole_numbers_become_fractions():
    frame = pl.DataFrame(
        {"id": ["a"], "charges.net": [5], "resources": [[{"id": "r1"}, {"id": "r2"}]]}
    )
    found = tu.allocate(frame)
    assert found["charges.net"].to_list() == [2.5, 2.5]
    assert found["resources.workspace.id"].to_list() == [None, None]


def test_lazy_frames_stay_lazy_and_relations_relations():
    assert isinstance(tu.allocate(frame_of([charged(1, "r")], "polars lazy")), pl.LazyFrame)
    given_ = tu.allocate(frame_of([charged(1, "r")], "polars lazy"), weights=lambda e: [1])
    assert isinstance(given_, pl.LazyFrame)
    assert given_.collect().schema == given_.collect_schema()
    relation = tu.allocate(frame_of([charged(1, "r")], "duckdb"))
    assert type(relation).__name__ == "DuckDBPyRelation"


def test_a_resource_that_stands_twice_has_two_parts():
    found = tu.allocate(frame_of([charged(9, "r1", "r1", "r2")]), weights={"r1": 1, "r2": 1})
    assert found["charges.net"].to_list() == pytest.approx([3, 3, 3])


# ---------------------------------------------------------------------------------------------
# What cannot be


@pytest.mark.parametrize("flavour", ["pandas", "polars lazy", "duckdb"])
@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"r1": 1}, "The record 'a' has no weight for the resource 'r2'"),
        ({"r1": 0, "*": 0}, "The record 'a' has no weight above 0"),
        ([1.0, -2.0], "The record 'a' gives the resource 'r2' the weight -2.0"),
        ([1.0, math.inf], "The record 'a' gives the resource 'r2' the weight inf"),
        ([math.nan, 1.0], "The record 'a' has no weight for the resource 'r1'"),
        ([None, 1.0], "The record 'a' has no weight for the resource 'r1'"),
        ([1.0], "The record 'a' has 2 resources and 1 weights"),
        (None, "The record 'a' has 2 resources and no weights"),
    ],
)
def test_weights_that_are_none_name_record_and_resource(flavour, weights, said):
    records = [charged(3, "r9", id_="whole"), charged(8, "r1", "r2")]
    column = pa.array([[5.0], None if isinstance(weights, dict) else weights])
    frame = frame_of(records, flavour, weight=column)
    given_ = weights if isinstance(weights, dict) else "weight"
    error = duckdb.Error if flavour == "duckdb" else Exception
    with pytest.raises(error, match=said):  # a lazy one says it when it is collected
        rows(tu.allocate(frame, weights=given_))
    if flavour == "pandas":
        with pytest.raises(RecordError, match=r"(?s)Weights are numbers from 0 up"):
            tu.allocate(frame, weights=given_)


@pytest.mark.parametrize("weight", [-1, math.nan, math.inf, "2", None, True])
def test_a_mapping_with_what_is_no_weight(weight):
    with pytest.raises(OptionError, match="'r1' the weight"):
        tu.allocate(frame_of([charged(8, "r1", "r2")]), weights={"r1": weight})


def test_options_that_cannot_be():
    frame = frame_of([charged(8, "r1", "r2")], weight=[[1, 2]])
    with pytest.raises(OptionError, match="child='tools'"):
        tu.allocate(frame, "tools")
    with pytest.raises(OptionError, match="names the resource 7"):
        tu.allocate(frame, weights={7: 1})
    with pytest.raises(OptionError, match="weighs nothing"):
        tu.allocate(frame, weights=[1, 2])
    with pytest.raises(OptionError, match="holds no list"):
        tu.allocate(frame, weights="charges.net")
    with pytest.raises(UnknownFieldError, match="Did you mean 'weight'"):
        tu.allocate(frame, weights="wieght")
    with pytest.raises(FrameError, match="holds numbers, and lists belong there"):
        tu.allocate(frame.with_columns(weight=1.0), weights="weight")
    with pytest.raises(OptionError, match="3 numbers for 2 rows"):
        tu.allocate(frame, weights=lambda entries: [1, 2, 3])
    with pytest.raises(OptionError, match="without numbers"):
        tu.allocate(frame, weights=lambda entries: ["a", "b"])


def test_frames_that_cannot_be():
    frame = frame_of([charged(8, "r1", "r2")])
    with pytest.raises(UnknownFieldError, match="no column 'resources'"):
        tu.allocate(frame.drop("resources"))
    with pytest.raises(FrameError, match="long frame holds no resources"):
        tu.allocate(tu.to_long(frame))
    with pytest.raises(FrameError, match=r"has a column 'resources\.id'"):
        tu.allocate(tu.allocate(frame))


# ---------------------------------------------------------------------------------------------
# Laws

WEIGHT = (
    st.sampled_from([0.0, 1.0, 1e-12, 1e12, 1 / 3])
    | st.floats(1e-12, 1e12)
    | st.floats(1e300, sys.float_info.max)
    | st.floats(0, 1e-300)
    | st.integers(0, 10**6).map(float)
)
AMOUNT = st.integers(-(10**6), 10**6) | st.floats(-1e12, 1e12).filter(
    lambda x: not 0 < abs(x) < 1e-200
)
ADDED = [field for field in MEASURES if field.addition != "never"]


@st.composite
def divisible(draw):
    """Draw records with weights, one a resource and at least one above nothing."""
    records, weights = [], []
    for number in range(draw(st.integers(0, 12))):
        count = draw(st.integers(0, 5) | st.just(40))
        usage: dict = {}
        for field in draw(st.lists(st.sampled_from(ADDED), max_size=4, unique=True)):
            place = usage
            for key in field.keys[1:-1]:
                place = place.setdefault(key, {})
            place[field.keys[-1]] = draw(AMOUNT)
        usage.setdefault("code", {})["tool_actions"] = draw(
            st.dictionaries(st.sampled_from("ew"), st.dictionaries(st.sampled_from("ar"), AMOUNT))
        )
        usage["sessions"] = usage.get("sessions", {}) | {"distinct": 3}
        types = draw(st.lists(st.sampled_from(CHARGE_TYPES), max_size=3, unique=True))
        charges = [{"type": t, "amount": draw(AMOUNT), "currency": "USD"} for t in types]
        records.append(
            {
                "id": f"r{number}",
                "resources": [{"id": f"x{place}"} for place in range(count)],
                "charges": charges,
                "usage": usage,
            }
        )
        found = draw(st.lists(WEIGHT, min_size=count, max_size=count))
        weights.append(found if any(found) else [1.0] * count)
    return records, weights


@EACH
@LAW
@given(drawn=divisible(), is_even=st.booleans(), seed=st.randoms())
def test_parts_add_up_to_their_record_in_any_order(flavour, drawn, is_even, seed: random.Random):
    records, weights = drawn
    frame = frame_of(records, flavour, weight=pa.array(weights, pa.list_(pa.float64())))
    parts = plain(tu.allocate(frame, weights=None if is_even else "weight"))
    whole = plain(frame)
    assert [row["id"] for row in parts] == [
        each["id"] for each in records for _ in range(max(1, len(each["resources"])))
    ]
    for number, (record, row) in enumerate(zip(records, whole, strict=True)):
        own = [part for part in parts if part["id"] == record["id"]]
        expected = [1 if is_even else Fraction(weight) for weight in weights[number]] or [1]
        shares = [each / sum(expected) for each in expected]
        assert [part["share"] for part in own] == pytest.approx(
            [float(x) for x in shares], rel=1e-13
        )
        numbers = [f.column for f in ADDED] + [f"charges.{type_}" for type_ in CHARGE_TYPES]
        for name in numbers:
            adds_up([part[name] for part in own], row[name], seed)
        for name, number_ in (("charges", "amount"), (COUNTS, "count")):
            for place, entry in enumerate(row[name] or ()):
                adds_up([part[name][place][number_] for part in own], entry[number_], seed)
        distinct = [part["usage.sessions.distinct"] for part in own]
        assert distinct == ([3] if len(own) == 1 else [None] * len(own))


def adds_up(parts, whole, seed):
    if whole is None:
        assert parts == [None] * len(parts)
        return
    near = abs(whole) * 1e-12
    assert abs(math.fsum(parts) - whole) <= near
    assert abs(sum(sorted(parts)) - whole) <= near
    seed.shuffle(parts)
    assert abs(sum(parts) - whole) <= near


def test_a_thousand_parts_add_up_in_any_order():
    names_ = [f"r{number}" for number in range(1000)]
    weights = [[(number * 7919 % 1009) ** 3 + 0.1 for number in range(1000)]]
    frame = frame_of([charged(1234.56, *names_)], weight=weights)
    parts = tu.allocate(frame, weights="weight")["charges.net"].to_list()
    for order in (parts, parts[::-1], sorted(parts), sorted(parts, reverse=True)):
        total = 0.0
        for part in order:
            total += part
        assert abs(total - 1234.56) <= 1234.56e-12
