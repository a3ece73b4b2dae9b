"""Drift between two pulls: each kind of change, one that is told and one that is not."""

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import columns, rows
from flavours import example, flattened
from strategies import batches, draws
from tidyusage.errors import FrameError, OptionError

COLUMNS = ["product.id", "what", "column", "before", "after", "change", "message"]


def relation(table):
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'America/New_York'")
    connection.register("usage", table)
    return connection.sql("select * from usage")


FLAVOURS = {
    "pandas": lambda df: df.to_pandas(),
    "pandas of the library": lambda df: tu.flatten_usage([]).pipe(
        lambda empty: df.to_pandas().astype({n: empty[n].dtype for n in df.columns if n in empty})
    ),
    "pandas arrow": lambda df: df.to_pandas(use_pyarrow_extension_array=True),
    "pandas index": lambda df: df.to_pandas().set_axis(range(7, 7 + len(df))),
    "polars": lambda df: df,
    "polars lazy": lambda df: df.lazy(),
    "pyarrow": lambda df: df.to_arrow(),
    "duckdb": lambda df: relation(df.to_arrow()),
    "underscores": lambda df: df.rename({name: name.replace(".", "_") for name in df.columns}),
}


def many(count, product="claude", first=0, days=1, **more):
    """Return records of a product, spread evenly over days of January."""
    return [
        {
            "id": f"{product}{first + n}",
            "product": {"id": product},
            "start_date": f"2026-01-{n % days + 1:02}",
            **more,
        }
        for n in range(count)
    ]


def flat(records, **options):
    return flattened(records, "polars", unknown="keep", **options)


def told(before, after, *names, **options):
    """Return some columns of the drift as tuples."""
    found = rows(tu.drift(flat(before), flat(after), **options))
    return [tuple(row[name] for name in names or COLUMNS[1:6]) for row in found]


BEFORE = [
    {"id": "a", "product": {"id": "claude"}, "surface": "chat", "usage": {"tokens": {"input": 1}}},
    {"id": "b", "product": {"id": "cursor"}, "usage": {"requests": {"total": 2}}},
]
AFTER = [
    {"id": "c", "product": {"id": "claude"}, "surface": "cli", "usage": {"tokens": {"output": 1}}},
    {"id": "d", "product": {"id": "codex"}},
]
DRIFT = [
    ("claude", "key", "usage.tokens.input", "1", None),
    ("claude", "key", "usage.tokens.output", None, "1"),
    ("claude", "value", "surface", "chat", None),
    ("claude", "value", "surface", None, "cli"),
    ("codex", "value", "product.id", None, "codex"),
    ("cursor", "value", "product.id", "cursor", None),
]


@pytest.mark.parametrize(
    ("flavour", "other"),
    [
        *((flavour, "polars") for flavour in FLAVOURS),
        *(("polars", other) for other in ("pandas", "duckdb", "underscores")),
        *[("pandas", "duckdb"), ("duckdb", "pandas"), ("underscores", "underscores")],
    ],
)
def test_every_library_tells_the_same(flavour, other):
    before, after = FLAVOURS[flavour](flat(BEFORE)), FLAVOURS[other](flat(AFTER))
    found = tu.drift(before, after)
    assert type(found) is type(before)
    sep = "_" if flavour == "underscores" else "."
    assert columns(found) == [f"product{sep}id", *COLUMNS[1:]]
    assert [tuple(row.values())[:5] for row in rows(found)] == DRIFT


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_pull_does_not_differ_from_itself(flavour):
    frame = FLAVOURS[flavour](example(backend="polars"))
    found = tu.drift(frame, frame)
    assert columns(found) == [
        n.replace(".", "_") if flavour == "underscores" else n for n in COLUMNS
    ]
    assert rows(found) == []
    if flavour == "polars":
        assert dict(found.schema) == dict.fromkeys(COLUMNS, pl.String) | {"change": pl.Float64}
    if flavour.startswith("pandas"):
        assert str(found["change"].dtype) in {"float64", "double[pyarrow]"}


# Keys


def test_keys_are_compared_within_a_product():
    before = many(2, "claude", surface="chat") + many(2, "codex")
    after = many(2, "claude", surface="chat") + many(2, "codex", surface="chat")
    assert told(before, after, "product.id", "what", "column", "message") == [
        ("codex", "key", "surface", "surface is new, in 2 of 2 records."),
    ]
    assert told(after, before, "message") == [("surface is gone: it was in 2 of 2 records.",)]


def test_keys_that_the_schema_does_not_know_are_compared():
    before = many(1, tier="pro", usage={"tokens": {"reasoning": 1}})
    after = many(1, usage={"tokens": {"reasoning": 1, "audio": 2}})
    after[0]["resources"] = [{"id": "x", "colour": 1}, {"colour": 2}]
    assert told(before, after) == [
        ("key", "resources", None, "1", None),
        ("key", "resources[].colour", None, "1", None),
        ("key", "tier", "1", None, None),
        ("key", "usage.tokens.audio", None, "1", None),
    ]


def test_tools_and_their_actions_are_keys():
    def acted(*tools):
        counts = {tool: {"accepted": 1} for tool in tools}
        return many(2, usage={"code": {"tool_actions": counts}})

    path = "usage.code.tool_actions"
    assert told(acted("edit", "write"), acted("edit", "notebook")) == [
        ("key", f"{path}.notebook.accepted", None, "2", None),
        ("key", f"{path}.write.accepted", "2", None, None),
    ]
    # without any before it is the field that is new, with all that is in it
    assert [name for _, name, *_ in told(many(2), acted("edit"))] == [path, f"{path}.edit.accepted"]


def test_columns_of_the_callers_own_are_keys():
    frame = flat(many(2))
    found = tu.drift(frame, frame.with_columns(team=pl.lit("core"), none=pl.lit(None)))
    assert [tuple(row.values())[:5] for row in rows(found)] == [
        ("claude", "key", "team", None, "2")
    ]


# Values


@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
def test_charge_types_are_values_and_unknown_ones_are_said_to_be():
    def charged(*types):
        return many(3, charges=[{"type": type_, "amount": 1} for type_ in types])

    assert told(
        charged("net", "total"), charged("net", "bonus", "bonus"), *COLUMNS[2:5], "message"
    ) == [
        (
            "charges.type",
            "total",
            None,
            "charges.type has no value total any more; it was in 3 records.",
        ),
        (
            "charges.type",
            None,
            "bonus",
            "charges.type has a new value bonus: 3 records. The schema does not know it.",
        ),
    ]
    # without the list, the columns of the types tell
    before, after = (flat(charged(*types)).drop("charges") for types in (("net",), ("net", "tax")))
    assert [row["after"] for row in rows(tu.drift(before, after))] == ["tax"]


def test_values_of_a_field_that_is_new_are_not_told_again():
    assert told(many(2), many(2, surface="chat")) == [("key", "surface", None, "2", None)]


def test_values_are_told_of_fields_of_few_values_alone():
    before = many(2, user={"id": "ada"}, model={"id": "gpt-5", "provider": "openai"})
    after = many(2, user={"id": "bob"}, model={"id": "gpt-6", "provider": "openai"})
    assert told(before, after) == [
        ("value", "model.id", "gpt-5", None, None),
        ("value", "model.id", None, "gpt-6", None),
    ]


def test_records_without_a_product_are_a_product_of_their_own():
    bare = [{"id": "a", "surface": "chat"}]
    assert told(many(1), many(1) + bare, "product.id", "column", "message") == [
        (None, "product.id", "No product at all came: 1 record."),
    ]
    assert told(bare, [{"id": "a", "surface": "cli"}]) == [
        ("value", "surface", "chat", None, None),
        ("value", "surface", None, "cli", None),
    ]


# Dtypes


def test_dtypes_are_told_whatever_library_holds_them():
    before = flat(many(2, usage={"tokens": {"input": 3}}, surface="chat"))
    after = before.with_columns(
        pl.col("usage.tokens.input").cast(pl.String),
        pl.col("surface").cast(pl.Categorical),
        pl.col("start_date").dt.replace_time_zone(None),
    )
    expected = [
        (None, "dtype", "start_date", "timestamp with zone", "timestamp"),
        (None, "dtype", "usage.tokens.input", "double", "string"),
    ]
    for flavour in ("polars", "pandas", "duckdb"):
        found = tu.drift(FLAVOURS[flavour](before), after)
        assert [tuple(row.values())[:5] for row in rows(found)] == expected


def test_a_column_without_values_has_no_dtype():
    before = flat(many(2))
    assert rows(tu.drift(before, before.with_columns(pl.col("surface").cast(pl.Float64)))) == []


# Nulls


def with_model(count, of):
    records = many(of)
    for record in records[:count]:
        record["model"] = {"id": "gpt-5"}
    return records


def test_shares_of_nulls_are_told_from_a_threshold_on():
    # 100 records: 2 without a model, then 7: five points more
    assert told(with_model(98, 100), with_model(93, 100), *COLUMNS[1:5], "message") == [
        (
            "nulls",
            "model.id",
            "0.02",
            "0.07",
            "model.id was null in 2.0 % of 100 records and is in 7.0 % of 100.",
        ),
    ]
    (row,) = rows(tu.drift(flat(with_model(98, 100)), flat(with_model(93, 100))))
    assert row["change"] == pytest.approx(0.05)
    assert told(with_model(98, 100), with_model(94, 100)) == []
    assert len(told(with_model(98, 100), with_model(94, 100), nulls=0.04)) == 1
    assert told(with_model(98, 100), with_model(98, 100), nulls=0) == []


def test_shares_of_few_records_are_not_told():
    few = (with_model(29, 29), with_model(10, 29))
    assert told(*few) == []
    assert len(told(*few, min_records=29)) == 1
    assert told(with_model(29, 29), with_model(10, 40)) == []
    assert told(with_model(40, 40), with_model(10, 29)) == []


def test_an_amount_that_becomes_rare_is_told():
    before = many(40, charges=[{"type": "net", "amount": 1}, {"type": "tax", "amount": 1}])
    after = before[:20] + many(20, first=20, charges=[{"type": "tax", "amount": 1}])
    assert told(before, after) == [("nulls", "charges.net", "0.0", "0.5", 0.5)]


# Volume


def test_volume_is_of_a_day_of_the_pull():
    # 60 records over 10 days, 60 over 20: 6 a day, then 3
    assert told(many(60, days=10), many(60, days=20), *COLUMNS[1:6], "message") == [
        ("volume", "records", "6.0", "3.0", 0.5, "6.0 records a day, and then 3.0."),
    ]
    assert told(many(60, days=10), many(120, days=20)) == []
    # two thirds are told, and so is half as much again; less is not
    assert len(told(many(60, days=10), many(40, days=10))) == 1
    assert len(told(many(60, days=10), many(90, days=10))) == 1
    assert told(many(60, days=10), many(41, days=10)) == []
    assert len(told(many(60, days=10), many(41, days=10), volume=0.4)) == 1


def test_a_product_that_stops_is_seen_against_the_days_of_the_pull():
    before = many(60, "claude", days=20) + many(60, "codex", days=20)
    after = many(60, "claude", days=20) + many(20, "codex", days=5)  # of 20 days
    assert told(before, after, "product.id", "before", "after") == [("codex", "3.0", "1.0")]


def test_volume_of_records_without_dates_is_their_number():
    bare = [{**record, "start_date": None} for record in many(90)]
    assert told(bare[:40], bare, *COLUMNS[1:6], "message") == [
        ("volume", "records", "40.0", "90.0", 2.25, "40.0 records, and then 90.0."),
    ]
    # of one with dates and one without, nothing can be said but that
    assert [row[:2] for row in told(many(90), bare[:40])] == [("key", "start_date")]


def test_few_records_have_no_volume():
    assert told(many(2), many(29)) == []
    assert [row[0] for row in told(many(2), many(30))] == ["volume"]


# Frames and options


def test_pulls_without_records():
    empty = flat([])
    assert rows(tu.drift(empty, empty)) == []
    assert told([], many(2)) == [("value", "product.id", None, "claude", None)]
    assert told(many(2), []) == [("value", "product.id", "claude", None, None)]


def test_a_lazy_pull_stays_lazy():
    lazy = flat(many(2)).lazy()
    assert isinstance(tu.drift(lazy, lazy), pl.LazyFrame)
    explosive = lazy.map_batches(lambda _: pytest.fail("collected"))
    tu.drift(explosive, lazy)


def test_the_accessor_compares_too():
    assert flat(many(1)).usage.drift(flat(many(1))).height == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nulls": -1}, "nulls=-1 is no threshold"),
        ({"volume": "x"}, "volume='x' is no threshold"),
        ({"min_records": 0}, "min_records=0 is no count"),
    ],
)
def test_wrong_options_say_so(options, words):
    frame = flat([])
    with pytest.raises(OptionError, match=words):
        tu.drift(frame, frame, **options)


def test_other_frames_say_so():
    wide, long = example(), example(layout="long")
    for pair in ((wide, long), (long, wide)):
        with pytest.raises(FrameError, match=r"This is a frame of long; a wide one is needed"):
            tu.drift(*pair)
    with pytest.raises(FrameError):
        tu.drift(wide, pd.DataFrame({"x": [1]}))


@pytest.mark.filterwarnings("ignore::tidyusage.errors.UsageWarning")
@settings(max_examples=draws(8), deadline=None, suppress_health_check=list(HealthCheck))
@given(batches(3), batches(3), st.sampled_from(["pandas", "polars", "pyarrow"]))
def test_the_way_back_is_the_way_there_turned_round(before, after, backend):
    left, right = (tu.flatten_usage(records, backend="polars") for records in (before, after))
    there = rows(tu.drift(left, FLAVOURS[backend](right), min_records=1))
    back = rows(tu.drift(right, left, min_records=1))

    def key(row, *sides):
        return tuple(str(row[name]) for name in ("product.id", "what", "column", *sides))

    assert sorted(key(r, "before", "after") for r in there) == sorted(
        key(r, "after", "before") for r in back
    )
    assert rows(tu.drift(left, FLAVOURS[backend](left), min_records=1, nulls=0, volume=0)) == []


def test_the_table_is_arrow_without_a_row():
    found = tu.drift(flat([]).to_arrow(), flat([]))
    assert isinstance(found, pa.Table)
    assert found.schema.field("change").type == pa.float64()
