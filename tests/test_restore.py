"""Frames that come back from elsewhere: ids stay what they were, values follow the rules of reading."""

import datetime as dt
import io
import re
import uuid
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tidyusage as tu
from conftest import rows
from flavours import FLAVOURS
from tidyusage.errors import FrameError, UnknownKeyWarning

NAN = float("nan")


def of(flavour, **columns):
    """Return a frame of a flavour from columns, which are lists or Arrow arrays."""
    return FLAVOURS[flavour](pa.table(columns))


def values(frame, name):
    return [row[name] for row in rows(tu.restore(frame))]


def fails(frame, words):
    """Require an error with these words, at once or when the frame is run."""
    with pytest.raises(
        (FrameError, pl.exceptions.ComputeError, duckdb.Error), match=re.escape(words)
    ):
        rows(tu.restore(frame))


every_flavour = pytest.mark.parametrize("flavour", FLAVOURS)


# Ids ---------------------------------------------------------------------------------------------


@every_flavour
def test_ids_that_became_floats_are_whole_numbers_again(flavour):
    frame = of(
        flavour,
        id=["a", "b", "c"],
        **{"user.id": [12.0, None, 9007199254740991.0], "model.id": [-4.0, 0.0, NAN]},
    )
    # 9007199254740991 is 2**53 - 1: it and every smaller whole number are exact as floats
    assert values(frame, "user.id") == ["12", None, "9007199254740991"]
    assert values(frame, "model.id") == ["-4", "0", None]


@every_flavour
@pytest.mark.parametrize("value", [2.0**53, 1.2345678901234568e18, -1e300, 12.5])
def test_a_float_whose_digits_may_be_lost_raises(flavour, value):
    frame = of(flavour, id=["a", "b"], **{"user.id": [None, value]})
    fails(frame, "The column 'user.id' holds ")
    fails(frame, "dtype=str")


def test_a_csv_of_pandas_keeps_its_users():
    records = [{"id": str(n), "user": {"id": user}} for n, user in enumerate(["12", None, "7"])]
    wide = tu.flatten_usage(records)
    back = pd.read_csv(io.StringIO(wide.to_csv(index=False)))
    assert back["user.id"].dtype == "float64"
    pd.testing.assert_frame_equal(tu.restore(back), wide)
    both = pd.concat([wide, tu.restore(back)])
    assert both["user.id"].nunique() == 2
    fails(back.assign(**{"user.id": [1234567890123456789, NAN, 1]}), "holds 1.2345678901234568e+18")


@pytest.mark.parametrize(
    ("type_", "given", "expected"),
    [
        (pa.int64(), [1234567890123456789, None], ["1234567890123456789", None]),
        (pa.uint64(), [2**64 - 1, 1], ["18446744073709551615", "1"]),
        (pa.float32(), [16777215.0, None], ["16777215", None]),
        (pa.float16(), [np.float16(2048), None], ["2048", None]),
        (pa.decimal128(38, 2), [Decimal("12.00"), None], ["12", None]),
        (pa.decimal256(60, 0), [Decimal(10**37), None], [str(10**37), None]),
        (pa.dictionary(pa.int8(), pa.string()), ["12.0", "x"], ["12.0", "x"]),
    ],
)
def test_ids_of_other_types(type_, given, expected):
    table = pa.table({"id": ["a", "b"], "user.id": pa.array(given, type_)})
    assert values(table, "user.id") == expected


def test_ids_of_fewer_bits_raise_earlier():
    # 2**24 + 1 is not a 32-bit float, so 16777216.0 may have been 16777217
    table = pa.table({"id": ["a"], "user.id": pa.array([16777216.0], pa.float32())})
    fails(table, "'user.id' holds 16777216")
    fails(pa.table({"id": ["a"], "user.id": [Decimal("1.50")]}), "'user.id' holds 1.50")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([12, "x", None], ["12", "x", None]),
        ([12.0, "x", NAN], ["12", "x", None]),
        ([10**30, 7, pd.NA], [str(10**30), "7", None]),
        ([np.int64(5), Decimal("6.0"), "y"], ["5", "6", "y"]),
        ([uuid.UUID(int=1), None, 2], ["00000000-0000-0000-0000-000000000001", None, "2"]),
    ],
)
def test_ids_in_a_column_of_python_objects(given, expected):
    frame = pd.DataFrame({"id": ["a", "b", "c"], "user.id": pd.Series(given, dtype=object)})
    assert values(frame, "user.id") == expected
    frame = pl.DataFrame({"id": ["a", "b", "c"], "user.id": pl.Series(given, dtype=pl.Object)})
    assert values(frame, "user.id") == expected


@pytest.mark.parametrize(
    "given", [["x", True], ["x", 1e17], ["x", 0.5], ["x", dt.date(2026, 1, 1)], ["x", [1]]]
)
def test_python_objects_that_are_not_ids_raise(given):
    frame = pd.DataFrame({"id": ["a", "b"], "user.id": pd.Series(given, dtype=object)})
    fails(frame, "The column 'user.id' holds ")


@every_flavour
def test_flags_and_dates_where_text_belongs_raise(flavour):
    fails(
        of(flavour, id=["a"], **{"user.name": [True]}), "'user.name' holds true, which is not text"
    )
    day = [dt.date(2026, 1, 31)]
    fails(of(flavour, id=["a"], **{"model.id": day}), "'model.id' holds 2026-01-31")


@every_flavour
@pytest.mark.filterwarnings("ignore::tidyusage.errors.UnknownKeyWarning")
def test_ids_within_lists_are_kept_too(flavour):
    inner = pa.list_(pa.struct([("id", pa.float64()), ("name", pa.int64())]))
    entries = pa.array([[{"id": 12.0, "name": 7}, {"id": None, "name": 2**60}]], inner)
    ((first, second),) = values(of(flavour, id=["a"], resources=entries), "resources")
    assert (first["id"], first["name"]) == ("12", "7")
    assert (second["id"], second["name"]) == (None, "1152921504606846976")
    lost = pa.array([[{"id": 2.0**53, "name": 7}]], inner)
    fails(of(flavour, id=["a"], resources=lost), "an entry whose id is 9007199254740992")


# The rules of reading ----------------------------------------------------------------------------


@every_flavour
@pytest.mark.parametrize(
    "given", [["inf"], ["-Infinity"], [float("inf")], ["1e999"], [True], ["yes"]]
)
def test_what_reading_rejects_as_a_number_raises(flavour, given):
    frame = of(flavour, id=["a"], **{"usage.tokens.input": given})
    fails(frame, "The column 'usage.tokens.input' holds ")


@every_flavour
@pytest.mark.parametrize("given", [["5", None, "nan"], [5.0, NAN, None], [" 5.0 ", "", "NaN"]])
def test_numbers_from_text_and_missing_ones(flavour, given):
    frame = of(flavour, id=["a", "b", "c"], **{"usage.tokens.input": given})
    assert [v for v in values(frame, "usage.tokens.input") if v is not None] == [5.0]


@every_flavour
def test_a_position_is_a_whole_number(flavour):
    child = {"id": ["a", "a"], "charges.amount": [1.0, 2.0]}
    assert values(of(flavour, position=["0", "1.0"], **child), "position") == [0, 1]
    fails(of(flavour, position=[0.0, 1.5], **child), "'position' holds 1.5, which is not a whole")
    fails(of(flavour, position=["0", "3.5"], **child), "'position' holds 3.5, which is not a whole")


ENTRY = '"currency": "usd", "type": "net"'


@every_flavour
@pytest.mark.parametrize(
    ("text", "amount"),
    [
        (f'[{{"amount": 1.5, {ENTRY}}}]', 1.5),
        (f'[{{"amount": "1.5", {ENTRY}}}, null, {{}}]', 1.5),
        (f'[{{"amount": NaN, {ENTRY}}}]', None),
        ("[{'amount': 1.5, 'currency': 'usd ', 'type': 'net'}]", 1.5),
        ("[{'amount': nan, 'currency': 'USD', 'type': 'net'}]", None),
    ],
)
def test_entries_as_text_follow_the_rules_of_reading(flavour, text, amount):
    ((entry,), nothing) = values(of(flavour, id=["a", "b"], charges=[text, "[]"]), "charges")
    assert entry == {"amount": amount, "currency": "USD", "type": "net"}
    assert nothing is None


@every_flavour
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[{"amount": true, "type": "net"}]',
            "an entry whose amount is true, which is not a number",
        ),
        ('[{"amount": 1e999, "type": "net"}]', "an entry whose amount is 1e999"),
        ('[{"amount": Infinity}]', "an entry whose amount is Infinity"),
        ('[{"amount": 1, "type": false}]', "an entry whose type is false, which is not text"),
        ('{"amount": 1}', "which is not a list of entries"),
        ("[1]", "holds 1, which is not a list of entries"),
        ("three", "holds three, which is not a list of entries"),
    ],
)
def test_entries_that_reading_rejects_raise(flavour, text, words):
    fails(of(flavour, id=["a"], charges=[text]), words)


@every_flavour
def test_typed_entries_follow_the_rules_too(flavour):
    wide = tu.flatten_usage(
        [{"id": "a", "charges": [{"amount": 1, "type": "net", "currency": "USD"}]}],
        backend="pyarrow",
    )
    type_ = wide.schema.field("charges").type

    def charged(amount):
        entry = {"amount": amount, "currency": "USD", "type": "net"}
        return of(flavour, id=["a"], charges=pa.array([[entry]], type_))

    assert values(charged(2.0), "charges")[0][0]["amount"] == 2.0
    assert values(charged(NAN), "charges")[0][0]["amount"] is None
    fails(charged(float("inf")), "an entry whose amount is Infinity")


@pytest.mark.parametrize("flavour", [name for name in FLAVOURS if name != "duckdb"])
def test_unknown_keys_of_entries_are_named_with_counts(flavour):
    texts = ['[{"amount": 1, "note": "x"}, {"amount": 2, "note": "y"}]', None]
    found = ['[{"id": "r", "workspace": {"id": "w", "Region": 1}}]', None]
    frame = of(flavour, id=["a", "b"], charges=texts, resources=found)
    with pytest.warns(UnknownKeyWarning) as caught:
        restored = rows(tu.restore(frame))
    assert sorted(str(one.message).partition("; ")[0] for one in caught) == [
        "The schema does not know 'charges[].note' (2×)",
        "The schema does not know 'resources[].workspace.Region' (1×)",
    ]
    assert [entry["amount"] for entry in restored[0]["charges"]] == [1.0, 2.0]


def test_unknown_keys_of_a_relation_raise_when_it_is_run():
    relation = duckdb.sql("""select 'a' as id, '[{"amount": 1, "note": "x"}]' as charges""")
    restored = tu.restore(relation)
    with pytest.raises(duckdb.Error, match="with the key note, which the schema does not know"):
        restored.fetchall()


@pytest.mark.parametrize("sep", [".", "_"])
def test_the_index_and_own_columns_of_a_pandas_frame_are_kept(sep):
    index = pd.MultiIndex.from_tuples([("x", 1), ("x", 1)], names=["team", "n"])
    frame = pd.DataFrame(
        {"when": pd.period_range("2026-01", periods=2, freq="M"), "id": ["a", "b"]}, index=index
    )
    frame["usage.tokens.input"] = ["1", "2"]
    frame[""] = pd.Series([{1}, {2}], dtype=object, index=index)
    before = frame.copy(deep=True)
    restored = tu.restore(frame, sep=sep)
    assert restored.index.equals(index)
    assert restored.index.names == index.names
    assert list(restored) == ["when", "id", f"usage{sep}tokens{sep}input", ""]
    assert list(restored[f"usage{sep}tokens{sep}input"]) == [1.0, 2.0]
    assert restored["when"].equals(frame["when"])
    assert list(restored[""]) == [{1}, {2}]
    pd.testing.assert_frame_equal(frame, before)


def test_own_columns_of_polars_keep_their_dtypes():
    frame = pl.DataFrame(
        {"mine": [2**100], "": [{1}], "id": ["a"], "usage_quantity": [2**100]},
        schema={"mine": pl.Int128, "": pl.Object, "id": pl.String, "usage_quantity": pl.Int128},
    )
    restored = tu.restore(frame)
    assert restored.schema["mine"] == pl.Int128
    assert restored.columns == ["mine", "", "id", "usage.quantity"]
    assert restored["usage.quantity"].to_list() == [2.0**100]
    lazy = tu.restore(frame.lazy())
    assert lazy.collect_schema() == restored.schema
    largest = frame.with_columns(pl.lit(2**127 - 1, pl.Int128).alias("usage_quantity"))
    assert values(largest.drop("mine", ""), "usage.quantity") == [2.0**127]


def test_numbers_beside_their_text_in_one_pandas_column():
    frame = pd.DataFrame({"id": ["a", "b"], "usage.tokens.input": [1, "2"]})
    assert list(tu.restore(frame)["usage.tokens.input"]) == [1.0, 2.0]
    frame["usage.tokens.input"] = [Decimal("1.5"), 2**70]
    assert list(tu.restore(frame)["usage.tokens.input"]) == [1.5, 2.0**70]
    frame["usage.activity.is_active"] = pd.Series([True, "0"], dtype=object)
    assert list(tu.restore(frame)["usage.activity.is_active"]) == [True, False]
    frame["start_date"] = pd.Series([dt.date(2026, 1, 31), "2026-01-31 08:00:00 UTC"])
    assert list(tu.restore(frame)["start_date"]) == [
        pd.Timestamp("2026-01-31", tz="UTC"),
        pd.Timestamp("2026-01-31 08:00", tz="UTC"),
    ]
    frame["usage.tokens.input"] = [1, [2]]
    fails(frame, "The column 'usage.tokens.input' holds [2] (list), and a number belongs there")


def test_lists_of_python_objects():
    frame = pd.DataFrame({"id": ["a", "b", "c"]})
    frame["charges"] = pd.Series(
        [[{"amount": 1, "type": "net"}], '[{"amount": "2"}]', [{"amount": NAN, "type": "tax"}]],
        dtype=object,
    )
    assert [found[0]["amount"] for found in values(frame, "charges")] == [1.0, 2.0, None]


def test_frames_of_convert_dtypes():
    records = [{"id": "a", "user": {"id": "12"}, "usage": {"tokens": {"input": 5}}}, {"id": "b"}]
    wide = tu.flatten_usage(records)
    back = pd.read_csv(io.StringIO(wide.to_csv(index=False)))
    for dtypes in ("numpy_nullable", "pyarrow"):
        pd.testing.assert_frame_equal(tu.restore(back.convert_dtypes(dtype_backend=dtypes)), wide)


def test_a_csv_file_in_duckdb(tmp_path):
    wide = tu.load_example(backend="pandas")
    path = str(tmp_path / "usage.csv")
    wide.to_csv(path, index=False)
    restored = tu.restore(duckdb.read_csv(path))
    assert rows(restored) == rows(wide)


# Dates -------------------------------------------------------------------------------------------


@every_flavour
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31 08:00:00 UTC", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31 08:00:00.123456 UTC", "2026-01-31T08:00:00.123456+00:00"),
        ("2026-01-31 08:00:00 -0800", "2026-01-31T16:00:00+00:00"),
        ("2026-01-31 08:00:00.000 +0530", "2026-01-31T02:30:00+00:00"),
        ("2026-01-31 08:00:00.5 -08:00", "2026-01-31T16:00:00.500000+00:00"),
        ("2026-01-31 08:00:00 Z", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31 08:00:00", "2026-01-31T08:00:00+00:00"),
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
    ],
)
def test_dates_as_warehouses_write_them(flavour, text, expected):
    found = values(of(flavour, id=["a"], start_date=[text]), "start_date")
    assert found == [dt.datetime.fromisoformat(expected)]


@every_flavour
@pytest.mark.parametrize(
    ("given", "unit"),
    [
        ("1769846400", "unit='s'"),
        (1769846400, "unit='s'"),
        (1769846400.5, "unit='s'"),
        ("1769846400000", "unit='ms'"),
        (1769846400000000, "unit='us'"),
        ("1769846400000000000", "unit='ns'"),
    ],
)
def test_counts_since_1970_get_a_hint(flavour, given, unit):
    fails(of(flavour, id=["a"], start_date=[given]), unit)
    fails(of(flavour, id=["a"], start_date=[given]), "since 1970")


@every_flavour
@pytest.mark.parametrize(
    "text",
    ["31/01/2026", "2026-01-31 08:00 Europe/Berlin", "2026-02-30", "45688", "24:00", "2026-1-5"],
)
def test_other_dates_raise_with_an_example(flavour, text):
    fails(
        of(flavour, id=["a"], start_date=[text]), f"'start_date' holds {text}, which is not a date"
    )
    fails(of(flavour, id=["a"], start_date=[text]), "Dates look like 2026-01-31")


# Spark -------------------------------------------------------------------------------------------


@pytest.mark.xdist_group("spark")
def test_spark_follows_the_same_rules(spark):
    frame = spark.sql(
        "select 'a' as id, 12D as user_id, '2026-01-31 08:00:00 -0800' as start_date, "
        "'5' as usage_tokens_input, 1 as usage_activity_is_active"
    )
    (row,) = tu.restore(frame, sep="_").collect()
    assert (row["user_id"], row["usage_tokens_input"]) == ("12", 5.0)
    assert row["usage_activity_is_active"] is True
    assert row["start_date"].astimezone(dt.UTC) == dt.datetime(2026, 1, 31, 16, tzinfo=dt.UTC)
    for column, words in (
        ("12.5D as user_id", "'user_id' holds 12.5"),
        ("9007199254740992D as user_id", "dtype=str"),
        ("double('inf') as usage_quantity", "'usage_quantity' holds Infinity"),
        ("'1769846400' as start_date", "seconds since 1970"),
    ):
        with pytest.raises(Exception, match=re.escape(words)):
            tu.restore(spark.sql(f"select 'a' as id, {column}"), sep="_").collect()
