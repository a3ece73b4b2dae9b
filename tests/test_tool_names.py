"""Tools whose names hold dots: wide and long give the same, and each gives the other back."""

import pytest

import tidyusage as tu
from conftest import rows
from flavours import FLAVOURS

NAMES = ["web.search", "a.b.c", ".", "%", "100%.x", "%2E", "%252E", "mcp__x.y", "edit", "Ä.b", ""]


def record(tools, id_="a"):
    return {"id": id_, "product": {"id": "p"}, "usage": {"code": {"tool_actions": tools}}}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_acceptance_is_the_same_in_wide_and_long(flavour):
    tools = {
        "web.search": {"accepted": 1, "rejected": 1},
        "edit": {"accepted": 9, "rejected": 1},
    }
    wide = FLAVOURS[flavour](tu.flatten_usage(record(tools), backend="pyarrow"))
    for frame in (wide, tu.to_long(wide), tu.to_wide(tu.to_long(wide))):
        (row,) = rows(tu.acceptance_rate(frame, kind="tool"))
        assert (row["accepted"], row["offered"]) == (10.0, 12.0)  # 1 + 9 of 2 + 10
    back = tu.to_wide(tu.to_long(wide))
    by_tool = {row["tool"]: row["accepted"] for row in rows(tu.acceptance_rate(back, "tool"))}
    assert by_tool == {"web.search": 1.0, "edit": 9.0}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_comes_back(name):
    tools = {
        name: {"accepted": 2, "rejected": 1, "x.y": 3, "": 4, "deep": {"er": 5}},
        "plain": {"accepted": 6},
    }
    wide = tu.flatten_usage([record(tools), record({name: 7}, "b")], backend="polars")
    long = tu.to_long(wide)
    assert rows(tu.tool_actions(long)) == rows(tu.tool_actions(wide))
    column = "usage.code.tool_actions"
    assert tu.to_wide(long)[column].to_list() == wide[column].to_list()
    assert rows(tu.flatten_usage(record(tools), layout="long", backend="polars")) == [
        row for row in rows(long) if row["id"] == "a"
    ]


def test_names_in_long_are_percent_encoded_where_they_hold_a_dot():
    long = tu.flatten_usage(
        record({"web.search": {"accepted": 1}, "edit": {"accepted": 2}}), layout="long"
    )
    assert list(long["metric"]) == [
        "usage.code.tool_actions.web%2Esearch.accepted",
        "usage.code.tool_actions.edit.accepted",
    ]


@pytest.mark.xdist_group("spark")
def test_spark_gives_the_same(spark):
    wide = spark.createDataFrame([("a", "cursor")], "id string, product_id string").selectExpr(
        "*",
        "array(named_struct('tool', 'web.search', 'action', 'accepted', 'count', 1D), "
        "named_struct('tool', 'web.search', 'action', 'rejected', 'count', 1D)) "
        "as usage_code_tool_actions",
    )
    for given in (wide, tu.to_long(wide), tu.to_wide(tu.to_long(wide))):
        (row,) = tu.acceptance_rate(given, kind="tool").collect()
        assert (row["accepted"], row["offered"]) == (1.0, 2.0)
