"""Exports of columns of every type: what a target holds of them, and what it refuses."""

import datetime as dt
import json
import zipfile
from decimal import Decimal
from itertools import product

import duckdb
import openpyxl
import pandas as pd
import polars as pl
import psycopg
import pyarrow as pa
import pytest
from deltalake import DeltaTable

import tidyusage as tu
from export_targets import ADDING, ALL, EXACT, REPLACING, read_csv, read_folder, read_sheet
from flavours import flattened
from tidyusage.errors import ExportError, FrameError, OptionError

UTC = dt.UTC


def naive(*parts):
    """A time as a clock shows it, of no zone."""
    return dt.datetime(*parts)  # noqa: DTZ001 - that is what is meant


def rows(**own):
    """Three records with columns of the caller's own."""
    records = [{"id": name, "product": {"id": "claude"}} for name in "abc"]
    return flattened(records, "polars").with_columns(**own)


def column(found, name="own"):
    return [row[name] for row in sorted(found, key=lambda row: row["id"])]


# One column, two types ------------------------------------------------------------------------

WHOLE = pl.Series([10, 20, 30])
# 4622100592565682176 is what the bytes of the float 10.5 are as a whole number.
OTHERS = {
    "float": pl.Series([10.5, None, 30.0]),
    "text": pl.Series(["abcdefgh"] * 3),
    "date": pl.Series([dt.date(2026, 1, 1)] * 3),
    "instant": pl.Series([dt.datetime(2026, 1, 1, tzinfo=UTC)] * 3),
    "list": pl.Series([[1]] * 3),
}


@pytest.mark.parametrize("kind", [kind for kind in ADDING if not kind.startswith("csv")])
def test_another_type_is_refused_where_rows_are_added(at, kind):
    target, reader = at(kind)
    tu.export_usage(rows(own=WHOLE), target)
    modes = ("append", "upsert") if kind in REPLACING else ("append",)
    for other, mode in product(OTHERS, modes):
        with pytest.raises(ExportError, match=r"has the column 'own' as (int64|bigint), and .* as"):
            tu.export_usage(rows(own=OTHERS[other]), target, mode=mode)
    assert column(reader(target, "usage_wide")) == [10, 20, 30]


@pytest.mark.parametrize("kind", EXACT)
def test_overwrite_takes_another_type(at, kind):
    target, reader = at(kind)
    tu.export_usage(rows(own=WHOLE), target)
    tu.export_usage(rows(own=OTHERS["float"]), target, mode="overwrite")
    assert column(reader(target, "usage_wide")) == [10.5, None, 30.0]


@pytest.mark.slow
def test_the_error_of_another_type_says_what_to_do(at):
    target, _ = at("postgres")
    tu.export_usage(rows(own=WHOLE), target)
    said = r"as bigint, and the table usage_wide has it as double precision\.\n\nBring it to bigint"
    with pytest.raises(ExportError, match=said):
        tu.export_usage(rows(own=OTHERS["float"]), target, mode="upsert")


@pytest.mark.parametrize("kind", ["postgres", "folder", "delta", "duckdb"])
def test_a_star_of_another_type_is_refused_whole(at, kind):
    target, reader = at(kind)
    tu.export_usage(rows(own=WHOLE), target, tables="star")
    with pytest.raises(ExportError, match="has the column 'own' as"):
        tu.export_usage(rows(own=OTHERS["float"]), target, tables="star", mode="upsert")
    assert sorted(row["own"] for row in reader(target, "fact_usage")) == [10, 20, 30]


@pytest.mark.parametrize("kind", EXACT)
def test_how_many_bytes_a_number_has_makes_no_other_type(at, kind):
    target, reader = at(kind)
    narrow = pl.Series([1, 2, 3], dtype=pl.Int8)
    tu.export_usage(rows(own=narrow, part=narrow.cast(pl.Float32)), target)
    more = rows(own=WHOLE.cast(pl.UInt32), part=WHOLE.cast(pl.Float64))
    more = more.with_columns(id=pl.Series(["d", "e", "f"]))
    tu.export_usage(more, target, mode="append")
    assert column(reader(target, "usage_wide")) == [1, 2, 3, 10, 20, 30]


@pytest.mark.parametrize("kind", EXACT)
def test_decimals_of_fewer_digits_fit_and_of_more_do_not(at, kind):
    target, reader = at(kind)
    tu.export_usage(rows(own=money("5.250", "-7.125", None)), target)
    more = rows(own=money("1000.50", "0.1", "2")).with_columns(id=pl.Series(["d", "e", "f"]))
    tu.export_usage(more, target, mode="append")
    wanted = ["5.25", "-7.125", None, "1000.5", "0.1", "2"]
    assert column(reader(target, "usage_wide")) == [w and Decimal(w) for w in wanted]
    if kind != "postgres":  # its numbers have as many digits as they come with
        with pytest.raises(ExportError, match=r"as decimal128\(38, 3\), and .*\(38, 4\)"):
            tu.export_usage(rows(own=money("0.0001", None, None)), target, mode="append")


# Decimals, dates, times, durations ------------------------------------------------------------


def money(*texts):
    """Decimals as pandas has them: with as many digits as the longest has."""
    values = pa.array([text and Decimal(text) for text in texts])
    return pl.from_arrow(values)


CLOCK = [naive(2026, 1, 5, 6, 7, 8, 900_001), None, naive(1850, 1, 1)]
DAYS = [dt.date(2026, 1, 5), None, dt.date(1850, 1, 1)]
DECIMALS = [Decimal("-5.25"), None, Decimal("12345678901234567890.5")]


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "duckdb"])
def test_own_columns_come_back_as_what_they_were(at, kind, library):
    target, reader = at(kind)
    given = rows(day=pl.Series(DAYS), clock=pl.Series(CLOCK), price=pl.Series(DECIMALS)).to_arrow()
    connection = duckdb.connect()
    connection.register("given", given)
    frame = {
        "pandas": lambda: given.to_pandas(types_mapper=pd.ArrowDtype),
        "polars": lambda: pl.from_arrow(given),
        "pyarrow": lambda: given,
        "duckdb": lambda: connection.sql("from given"),
    }[library]()
    tu.export_usage(frame, target)
    found = reader(target, "usage_wide")
    assert column(found, "day") == DAYS
    assert column(found, "clock") == CLOCK
    assert column(found, "price") == DECIMALS
    assert not any(isinstance(value, dt.datetime) for value in column(found, "day"))


def test_pandas_own_dates_and_decimals_are_not_text(at):
    target, reader = at("parquet")
    frame = rows().to_pandas().assign(day=DAYS, price=DECIMALS)
    tu.export_usage(frame, target)
    assert column(reader(target), "day") == DAYS
    assert column(reader(target), "price") == DECIMALS


@pytest.mark.slow
def test_postgres_has_types_for_them(at):
    target, _ = at("postgres")
    own = {"day": pl.Series(DAYS), "clock": pl.Series(CLOCK), "price": pl.Series(DECIMALS)}
    tu.export_usage(rows(**own), target)
    address, _, schema = target.partition("?schema=")
    with psycopg.connect(address) as connection:
        found = connection.execute(
            "select column_name, data_type from information_schema.columns "
            f"where table_schema = '{schema}' and column_name in ('day', 'clock', 'price')"
        ).fetchall()
    wanted = {"day": "date", "clock": "timestamp without time zone", "price": "numeric"}
    assert dict(found) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("exponent", range(-12, 22))
def test_a_decimal_of_any_size_is_the_same_in_postgres(at, exponent):
    # Binary decimals are groups of four digits: a group that is empty must not shift the others.
    values = [Decimal(1).scaleb(exponent), Decimal(-12345).scaleb(exponent), Decimal(0)]
    target, reader = at("postgres")
    tu.export_usage(rows(own=pl.Series(values, dtype=pl.Decimal(38, 12))), target)
    assert column(reader(target, "usage_wide")) == values


def test_nanoseconds_are_cut_to_microseconds(at):
    target, reader = at("parquet")
    clock = pl.Series([1_999, None, -1]).cast(pl.Datetime("ns"))
    instants = clock.dt.replace_time_zone("UTC")
    tu.export_usage(rows(clock=clock, instant=instants), target)
    first = naive(1970, 1, 1, 0, 0, 0, 1)
    second = naive(1969, 12, 31, 23, 59, 59, 999_999)
    assert column(reader(target), "clock") == [first, None, second]
    assert column(reader(target), "instant") == [
        first.replace(tzinfo=UTC),
        None,
        second.replace(tzinfo=UTC),
    ]


def test_csv_has_dates_times_and_numbers_as_such(at):
    at("csv")
    lengths = [dt.timedelta(hours=-5), None, dt.timedelta(microseconds=1)]
    own = {"day": pl.Series(DAYS), "clock": pl.Series(CLOCK), "took": pl.Series(lengths)}
    frame = rows(**own, price=pl.Series(DECIMALS))
    for held in (frame, frame.to_arrow().to_pandas(types_mapper=pd.ArrowDtype)):
        tu.export_usage(held, "usage.csv", mode="overwrite")
        found = read_csv("usage.csv")
        assert column(found, "day") == ["2026-01-05", None, "1850-01-01"]
        assert column(found, "clock") == ["2026-01-05T06:07:08.900001", None, "1850-01-01T00:00:00"]
        assert column(found, "price") == ["-5.25", None, "12345678901234567890.50"]
        assert [v and float(v) for v in column(found, "took")] == [-18_000, None, 1e-6]
        assert not [
            v for name in ("price", "took") for v in column(found, name) if "'" in (v or "")
        ]


@pytest.mark.parametrize("kind", EXACT)
def test_durations_are_seconds_everywhere(at, kind):
    target, reader = at(kind)
    lengths = [dt.timedelta(hours=-5), None, dt.timedelta(days=1, microseconds=1)]
    tu.export_usage(rows(own=pl.Series(lengths)), target)
    assert column(reader(target, "usage_wide")) == [-18_000.0, None, 86_400.000001]


@pytest.mark.parametrize("tables", ["wide", "long", "star", "focus"])
def test_the_unit_of_a_duration_is_told(at, tables):
    at("excel")
    records = [
        {
            "id": "a",
            "product": {"id": "claude"},
            "organization": {"id": "o"},
            "charges": [{"amount": 1, "currency": "USD", "type": "net"}],
            "start_date": "2026-01-01",
            "end_date": "2026-01-02",
        }
    ]
    frame = tu.flatten_usage(records, backend="polars")
    frame = frame.with_columns(took=pl.lit(dt.timedelta(hours=1)))
    tu.export_usage(frame, "usage.xlsx", tables=tables)
    told = read_sheet("usage.xlsx", "data_dictionary")
    assert {row["unit"] for row in told if row["column"].endswith("took")} == {"seconds"}


def test_months_are_no_number_of_seconds(at):
    target, _ = at("parquet")
    connection = duckdb.connect()
    connection.register("given", rows().to_arrow())
    relation = connection.sql("select *, interval 5 hours as own from given")
    tu.export_usage(relation, target)
    assert pl.read_parquet(target)["own"].to_list() == [18_000.0] * 3
    months = connection.sql("select *, interval 1 month as own from given")
    with pytest.raises(FrameError, match="'own' holds '1 month': how many seconds"):
        tu.export_usage(months, target, mode="overwrite")


# Infinities -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("amount", [float("inf"), float("-inf")])
def test_an_infinite_figure_is_refused_by_name(at, kind, amount):
    target, _ = at(kind)
    frame = rows().with_columns(pl.Series("charges.net", [1.0, amount, None]))
    with pytest.raises(FrameError, match=r"'charges.net' holds an infinity, of the record 'b'"):
        tu.export_usage(frame, target)


def test_an_infinity_in_the_list_of_charges_is_found(at):
    target, _ = at("parquet")
    infinite = [{"amount": float("inf"), "currency": "USD", "type": "net"}]
    frame = rows().with_columns(
        pl.Series("charges", [None, None, infinite], dtype=rows().schema["charges"])
    )
    with pytest.raises(FrameError, match="'charges' holds an infinity, of the record 'c'"):
        tu.export_usage(frame, target)


@pytest.mark.parametrize("kind", ALL)
def test_an_infinity_of_ones_own_is_kept(at, kind):
    target, reader = at(kind)
    ratio = pl.Series([float("inf"), float("nan"), float("-inf")])
    told = tu.export_usage(rows(own=ratio), target)
    found = [v and float(v) for v in column(reader(target, "usage_wide"))]
    assert found == [float("inf"), None, float("-inf")]
    json.loads(json.dumps(told, allow_nan=False))


def test_a_sum_that_no_number_holds_is_told_by_name(at):
    target, _ = at("parquet")
    frame = rows().with_columns(  # 1e308 three times is more than the largest float, 1.8e308
        pl.Series("charges.net", [1e308] * 3), pl.Series("charges.currency", ["USD"] * 3)
    )
    with pytest.raises(FrameError, match="sum of cost of usage_wide is more than a number can be"):
        tu.export_usage(frame, target)


# What no target holds -------------------------------------------------------------------------


@pytest.mark.parametrize("values", [[1, "a", None], [object()] * 3], ids=["mixed", "objects"])
def test_a_column_without_a_type_is_told_by_name(at, values):
    target, _ = at("csv")
    frame = rows().to_pandas()
    frame["own"] = pd.Series(values, dtype=object)
    with pytest.raises(FrameError, match="'own' holds values of several kinds"):
        tu.export_usage(frame, target)


def test_a_polars_column_of_objects_is_told_by_name(at):
    target, _ = at("csv")
    frame = rows(own=pl.Series([object()] * 3, dtype=pl.Object))
    with pytest.raises(FrameError, match="'own' holds values of several kinds"):
        tu.export_usage(frame, target)


@pytest.mark.slow
def test_postgres_says_that_it_keeps_no_nul(at):
    target, _ = at("postgres")
    with pytest.raises(ExportError, match="keeps no NUL character"):
        tu.export_usage(rows(own=pl.Series(["a\0b"] * 3)), target)


# Partitions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "delta"])
@pytest.mark.parametrize(
    "values",
    [
        pl.Series([1, 2, None], dtype=pl.Int32),
        pl.Series([1, 2, None], dtype=pl.UInt16),
        pl.Series([dt.date(2026, 1, 5), dt.date(2026, 2, 5), None]),
    ],
)
def test_tables_are_parted_by_small_numbers_and_dates(at, kind, values):
    target, reader = at(kind)
    frame = rows(own=values)
    tu.export_usage(frame, target, partition_by="own")
    tu.export_usage(frame.head(2), target, partition_by="own", mode="upsert")
    assert column(reader(target, "usage_wide")) == values.to_list()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pl.Series(CLOCK), r"timestamp\[us\]"),
        (pl.Series(DECIMALS), "decimal128"),
        (pl.Series([1.5, 2.5, None]), "double"),
        (pl.Series([dt.timedelta(1)] * 3), "double"),
    ],
)
def test_what_cannot_be_a_folder_is_refused_by_name(at, values, said):
    for kind in ("folder", "delta"):
        target, _ = at(kind)
        with pytest.raises(OptionError, match=f"'own' is of type {said}"):
            tu.export_usage(rows(own=values), target, partition_by="own")


def test_a_number_names_no_partition(at):
    target, _ = at("folder")
    with pytest.raises(OptionError, match="partition_by=5 names nothing"):
        tu.export_usage(rows(), target, partition_by=5)


def test_undated_records_of_a_parted_table_can_be_read(at):
    from pyarrow import dataset

    at("folder")
    records = [{"id": "a", "start_date": "2026-01-05"}, {"id": "b"}]
    frame = tu.flatten_usage(records, backend="polars")
    tu.export_usage(frame, "usage/", partition_by="month")
    wanted = ["2026-01", None]
    found = dataset.dataset("usage/usage_wide", partitioning="hive").to_table().to_pylist()
    assert column(found, "month") == wanted
    assert column(read_folder("usage", "usage_wide"), "month") == wanted


# Excel ----------------------------------------------------------------------------------------

FORMULA = '</is></c><c r="ZZ2" t="str"><f>1+1</f><v>2</v></c><c r="AAA2" t="inlineStr"><is>'
MARKUP = ["<r><t>x</t></r>", f"<r><t>x</t></r>{FORMULA}<r><t>y</t></r>", "<r></r>"]


def test_no_text_of_a_workbook_is_markup(tmp_path):
    path = tmp_path / "usage.xlsx"
    frame = rows(own=pl.Series(MARKUP)).with_columns(pl.lit(1).alias(MARKUP[0]))
    tu.export_usage(frame, path)
    assert column(read_sheet(path, "usage_wide")) == MARKUP
    assert column(read_sheet(path, "usage_wide"), MARKUP[0]) == [1, 1, 1]
    assert MARKUP[0] in {row["column"] for row in read_sheet(path, "data_dictionary")}
    with zipfile.ZipFile(path) as book:
        sheets = [book.read(name).decode() for name in book.namelist() if "worksheets/" in name]
    assert not [text for text in sheets if "<f>" in text or "<r>" in text]


@pytest.mark.parametrize(
    ("own", "said"),
    [
        # [ and ], and 8,192 times "a" with quotes: 2 + 8,192 × 3, and 8,191 commas.
        (pl.Series([["a"] * 8_192] * 3), "32,769"),
        (pl.Series(["😀" * 16_384] * 3), "32,768"),
        (pl.Series([[["😀" * 16_382]]] * 3), "32,770"),
    ],
)
def test_a_cell_is_measured_as_excel_does(tmp_path, own, said):
    with pytest.raises(ExportError, match=f"a text of {said} characters"):
        tu.export_usage(rows(own=own), tmp_path / "usage.xlsx")


def test_a_cell_may_be_full(tmp_path):
    full = "😀" * 16_383 + "x"  # twice 16,383 and one is 32,767
    lists = ["a"] * 8_191  # 2 + 8,191 × 3 + 8,190 = 32,765
    frame = rows(own=pl.lit(full), tags=pl.Series([lists] * 3))
    tu.export_usage(frame, tmp_path / "usage.xlsx")
    found = read_sheet(tmp_path / "usage.xlsx", "usage_wide")[0]
    assert found["own"] == full
    assert json.loads(found["tags"]) == lists


def test_days_that_excel_has_no_number_for_are_text(tmp_path):
    path = tmp_path / "usage.xlsx"
    days = [dt.date(1900, 2, 28), dt.date(1900, 3, 1), dt.date(1850, 1, 1)]
    clock = [dt.datetime.combine(day, dt.time(6)) for day in days]
    instants = [time.replace(tzinfo=UTC) for time in clock]
    frame = rows(day=pl.Series(days), clock=pl.Series(clock), instant=pl.Series(instants))
    tu.export_usage(frame, path)
    found = read_sheet(path, "usage_wide")
    first = naive(1900, 3, 1)
    assert column(found, "day") == ["1900-02-28", first, "1850-01-01"]
    six = naive(1900, 3, 1, 6)
    assert column(found, "clock") == ["1900-02-28T06:00:00", six, "1850-01-01T06:00:00"]
    assert column(found, "instant") == ["1900-02-28T06:00:00Z", six, "1850-01-01T06:00:00Z"]


def test_a_workbook_has_dates_times_and_decimals(tmp_path):
    path = tmp_path / "usage.xlsx"
    prices = ["-5.25", "123456789012345.60", "0.10"]  # fifteen digits, and three of sixteen
    more = ["1234567890123456.7", "0.000000000000001", "100000000000000000000"]
    day, clock = dt.date(2026, 1, 5), naive(2026, 1, 5, 6, 7, 8)
    tu.export_usage(
        rows(
            day=pl.lit(day),
            clock=pl.lit(clock),
            price=pl.Series([Decimal(p) for p in prices]),
            more=pl.Series([Decimal(m) for m in more], dtype=pl.Decimal(38, 15)),
        ),
        path,
    )
    sheet = openpyxl.load_workbook(path)["usage_wide"]
    places = {cell.value: cell.column for cell in sheet[1]}
    assert sheet.cell(2, places["day"]).number_format == "yyyy-mm-dd"
    assert sheet.cell(2, places["day"]).value == naive(2026, 1, 5)
    assert sheet.cell(2, places["clock"]).value == clock
    found = read_sheet(path, "usage_wide")
    assert column(found, "price") == [-5.25, "123456789012345.60", 0.1]
    assert column(found, "more") == ["1234567890123456.700000000000000", 1e-15, 1e20]
    told = {row["column"]: row["type"] for row in read_sheet(path, "data_dictionary")}
    types = [told[name] for name in ("day", "clock", "price")]
    assert types == ["date", "date and time", "number"]


def test_delta_has_types_of_its_own_for_them(at):
    at("delta")
    own = {"day": pl.Series(DAYS), "clock": pl.Series(CLOCK), "price": pl.Series(DECIMALS)}
    tu.export_usage(rows(**own), "delta:usage")
    fields = DeltaTable("usage/usage_wide").schema().fields
    types = {field.name: str(field.type) for field in fields if field.name in own}
    assert "date" in types["day"]
    assert "timestamp_ntz" in types["clock"]
    assert "decimal(38,2)" in types["price"].replace(" ", "")
