"""Exports: what each target's own reader reads back is what was exported."""

import csv
import datetime as dt
import gzip
import os

import duckdb
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tidyusage as tu
from export_targets import EXACT, decoded, read_parquet
from flavours import FLAVOURS, flattened
from tidyusage import catalogue, schema
from tidyusage.errors import ExportError

# Text that breaks what is quoted badly, numbers at the edge of what floats hold, and nothing.
RECORDS = [
    {
        "id": "a,\"b\"\n'c'",
        "product": {"id": "claude", "name": "=1+1"},
        "organization": {"id": "-1", "name": "+org"},
        "user": {"id": "@u", "email": "ada@example.com", "name": "\tAda"},
        "model": {"id": "模型-é-😀", "provider": "anthropic; drop table usage_wide; --"},
        "usage": {
            "quantity": 0.1 + 0.2,
            "requests": {"total": 2**53 + 0.0},
            "tokens": {"input": 1e300, "output": 5e-324, "total": -0.0},
            "code": {"tool_actions": {"edit_tool": {"accepted": 3, "rejected": 1}}},
            "activity": {"is_active": False, "client_version": "'=quoted"},
        },
        "charges": [
            {"amount": 1234567890123.4567, "currency": "usd", "type": "net"},
            {"amount": -0.01, "currency": "USD", "type": "credit"},
        ],
        "resources": [{"id": "r1", "name": "a|b", "workspace": {"id": "w"}}, {"id": "r2"}],
        "start_date": "2026-03-08T01:30:00.123456-05:00",
        "end_date": "2026-03-09",
    },
    {"id": "nothing"},
    {
        "id": "flag",
        "usage": {"activity": {"is_active": True}},
        "start_date": "1969-12-31T23:59:59Z",
        "charges": [],
        "resources": [],
    },
]


def wide(backend="polars"):
    return flattened(RECORDS, backend)


def expected(layout="wide"):
    """Rows as dicts under exported names, as plain Python has them."""
    frame = flattened(RECORDS, "pyarrow", sep="_", layout=layout)
    return by_id(frame.to_pylist(), layout)


def by_id(rows, layout="wide"):
    return sorted(rows, key=lambda row: (row["id"], row.get("metric") or ""))


def same(found, wanted):
    """Tell whether rows are equal, floats to the last bit."""
    assert len(found) == len(wanted)
    for ours, theirs in zip(by_id(found), wanted, strict=True):
        assert set(ours) == set(theirs)
        for name, value in theirs.items():
            assert ours[name] == value, name


def read_polars(path, _):
    return pl.read_parquet(path).to_dicts()


def read_pandas(path, _):
    frame = pd.read_parquet(path, dtype_backend="pyarrow")
    return pa.Table.from_pandas(frame, preserve_index=False).to_pylist()


TARGETS = {
    **EXACT,
    "parquet, polars": ("usage.parquet", read_polars),
    "parquet, pandas": ("usage.parquet", read_pandas),
}


@pytest.fixture(params=TARGETS)
def place(request, tmp_path, monkeypatch):
    """A target and its own reader, in an empty folder or an empty schema."""
    monkeypatch.chdir(tmp_path)
    target, reader = TARGETS[request.param]
    if target:
        return target, reader
    schema_ = f"Süß {tmp_path.name}"
    return f"{request.getfixturevalue('server')}?schema={schema_}", reader


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_what_a_reader_reads_back_is_what_was_exported(place, layout):
    target, reader = place
    told = tu.export_usage(wide(), target, tables=layout)
    name = f"usage_{layout}"
    same(reader(target, name), expected(layout))
    assert told["tables"][name]["rows"] == told["tables"][name]["rows_in_target"]
    assert told["tables"][name]["rows"] == len(expected(layout))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_library_exports_the_same(flavour, tmp_path):
    frame = FLAVOURS[flavour](flattened(RECORDS, "pyarrow"))
    tu.export_usage(frame, tmp_path / "usage.parquet")
    same(read_parquet(tmp_path / "usage.parquet", ""), expected())


# CSV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["usage.csv", "usage.csv.gz"])
@pytest.mark.parametrize("reader", ["pandas", "polars", "duckdb"])
def test_csv_comes_back_as_it_was(tmp_path, name, reader):
    records = [{**RECORDS[0], **HARMLESS}, *RECORDS[1:]]
    frame = tu.flatten_usage(records, backend="polars")
    tu.export_usage(frame, tmp_path / name)
    path = str(tmp_path / name)
    back = {
        "pandas": lambda: pd.read_csv(path, dtype=str, keep_default_na=False),
        "polars": lambda: pl.read_csv(path, infer_schema=False),
        "duckdb": lambda: duckdb.sql(f"from read_csv('{path}', all_varchar = true)").pl(),
    }[reader]()
    found = tu.restore(back)
    as_rows = pa.Table.from_pandas(found, preserve_index=False) if reader == "pandas" else found
    rows = as_rows.to_pylist() if reader == "pandas" else as_rows.to_dicts()
    same(rows, by_id(tu.flatten_usage(records, backend="pyarrow").to_pylist()))


# What of the first record is no formula: CSV gives it back to the letter.
HARMLESS = {
    "product": {"id": "claude", "name": "1+1"},
    "organization": {"id": "o-1", "name": "org"},
    "user": {"id": "u@", "email": "ada@example.com", "name": "Ada"},
    "usage": {
        **RECORDS[0]["usage"],
        "activity": {"is_active": False, "client_version": "quoted"},
    },
}


def cells(path):
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_no_text_of_a_csv_is_a_formula_and_numbers_stay_numbers(tmp_path):
    tu.export_usage(wide(), tmp_path / "usage.csv")
    first = cells(tmp_path / "usage.csv")[0]
    assert first["product_name"] == "'=1+1"
    assert first["organization_id"] == "'-1"
    assert first["organization_name"] == "'+org"
    assert first["user_id"] == "'@u"
    assert first["user_name"] == "'\tAda"
    assert first["usage_activity_client_version"] == "''=quoted"  # one is taken away by who reads
    assert first["charges_credit"] == "-0.01"
    assert first["usage_tokens_total"] == "-0.0"
    assert first["id"] == RECORDS[0]["id"]
    dangerous = ("=", "+", "-", "@", "\t", "\r", "\n")
    texts = [n for n, type_ in wide().schema.items() if type_ == pl.String]
    for row in cells(tmp_path / "usage.csv"):
        for name in texts:
            assert not row[schema.rename(name, "_")].startswith(dangerous)


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "'=", "''@"])
def test_the_apostrophe_can_be_taken_away_again(tmp_path, sign):
    frame = wide().with_columns(pl.lit(f"{sign}x").alias(f"{sign}own"))
    tu.export_usage(frame, tmp_path / "usage.csv")
    row = cells(tmp_path / "usage.csv")[0]
    assert row[f"'{sign}own"] == f"'{sign}x"


def test_apostrophes_of_other_text_stay_as_they_are(tmp_path):
    frame = wide().with_columns(pl.lit("'t was").alias("own"), pl.lit("").alias("empty"))
    tu.export_usage(frame, tmp_path / "usage.csv")
    assert [row["own"] for row in cells(tmp_path / "usage.csv")] == ["'t was"] * 3


def test_csv_is_that_of_rfc_4180(tmp_path):
    # Lines end with CR LF; a comma, a quote or a line's end puts a cell in quotes, a quote in it
    # stands twice; all lines have as many cells, and what is missing is empty and not quoted.
    frame = tu.flatten_usage([{"id": "a,b"}, {"id": 'c"d'}, {"id": "e\nf"}, {"id": "g"}])
    tu.export_usage(frame, tmp_path / "usage.csv")
    text = (tmp_path / "usage.csv").read_bytes().decode()
    empty = "," * 77
    assert text.endswith(f'"a,b"{empty}\r\n"c""d"{empty}\r\n"e\nf"{empty}\r\ng{empty}\r\n')
    assert text.count("\r\n") == 5
    assert text.startswith("id,product_id,product_name,")


def test_dates_of_a_csv_are_iso_8601_in_utc(tmp_path):
    tu.export_usage(wide(), tmp_path / "usage.csv")
    starts = [row["start_date"] for row in cells(tmp_path / "usage.csv")]
    # 01:30:00.123456 five hours behind UTC is 06:30:00.123456 there.
    assert starts == ["2026-03-08T06:30:00.123456Z", "", "1969-12-31T23:59:59Z"]


def test_empty_text_and_nothing_are_told_apart_in_csv(tmp_path):
    frame = wide().with_columns(pl.Series("own", ["", None, "x"]))
    tu.export_usage(frame, tmp_path / "usage.csv")
    lines = (tmp_path / "usage.csv").read_bytes().decode().split("\r\n")
    assert [line.rpartition(",")[2] for line in lines[1:4]] == ['""', "", "x"]


# Excel ----------------------------------------------------------------------------------------


def sheet(path, name):
    """A sheet's rows as dicts, and its cells' kinds: n, s, b, d, f."""
    book = openpyxl.load_workbook(path)
    names, *rows = list(book[name].iter_rows())
    names = [cell.value for cell in names]
    values = [dict(zip(names, (cell.value for cell in row), strict=True)) for row in rows]
    kinds = [dict(zip(names, (cell.data_type for cell in row), strict=True)) for row in rows]
    return values, kinds, book


def test_a_workbook_holds_what_was_exported(tmp_path):
    tu.export_usage(wide(), tmp_path / "usage.xlsx")
    found, _, _ = sheet(tmp_path / "usage.xlsx", "usage_wide")
    wanted = [
        {
            k: v.replace(tzinfo=None, microsecond=v.microsecond // 1000 * 1000)
            if isinstance(v, dt.datetime)
            else v
            for k, v in row.items()
        }
        for row in expected()
    ]
    same(decoded(found), wanted)


def test_cells_are_what_they_are_and_never_formulas_or_links(tmp_path):
    frame = wide().with_columns(
        pl.lit("https://example.com").alias("link"),
        pl.lit("mailto:a@b.c").alias("mail"),
        pl.lit("{=1}").alias("array"),
        pl.lit("0042").alias("digits"),
    )
    tu.export_usage(frame, tmp_path / "usage.xlsx")
    values, kinds, book = sheet(tmp_path / "usage.xlsx", "usage_wide")
    assert {kind for row in kinds for kind in row.values()} == {"n", "s", "b", "d"}
    assert kinds[0]["start_date"] == "d"
    assert kinds[0]["product_name"] == kinds[0]["link"] == kinds[0]["digits"] == "s"
    assert values[0]["digits"] == "0042"
    assert values[0]["product_name"] == "=1+1"
    assert all(cell.hyperlink is None for row in book["usage_wide"] for cell in row)


def test_a_sheet_has_a_frozen_header_widths_and_formats_of_dates(tmp_path):
    tu.export_usage(wide(), tmp_path / "usage.xlsx")
    _, _, book = sheet(tmp_path / "usage.xlsx", "usage_wide")
    found = book["usage_wide"]
    assert found.freeze_panes == "A2"
    assert found.auto_filter.ref == "A1:BZ4"  # 78 columns, three rows below the header
    place = next(cell for cell in found[1] if cell.value == "start_date")
    assert found.cell(2, place.column).number_format == "yyyy-mm-dd hh:mm:ss"
    assert found.column_dimensions[place.column_letter].width >= len("2026-03-08 06:30:00")


def test_a_sheet_says_what_each_column_is(tmp_path):
    tu.export_usage(wide(), tmp_path / "usage.xlsx")
    rows, _, _ = sheet(tmp_path / "usage.xlsx", "data_dictionary")
    told = {row["column"]: row for row in rows}
    assert len(rows) == 78
    assert told["usage_tokens_input"]["unit"] == "tokens"
    assert told["usage_tokens_input"]["description"] == field("usage.tokens.input").description
    assert told["start_date"]["type"] == "date and time, UTC"
    assert told["charges"]["type"] == "JSON"


def field(path):
    return next(field for field in catalogue.FIELDS if field.path == path)


@pytest.mark.parametrize(
    ("rows", "text", "said"),
    [(1_048_576, "", "1,048,576 rows"), (2, "x" * 32_768, "a text of 32,768 characters")],
)
def test_what_a_sheet_does_not_hold_is_refused_before_anything_is_written(
    tmp_path, rows, text, said
):
    frame = pl.DataFrame({"id": pl.int_range(rows, eager=True).cast(pl.String)})
    frame = frame.with_columns(pl.lit("p").alias("product_id"), pl.lit(text).alias("own"))
    with pytest.raises(ExportError, match=said):
        tu.export_usage(frame, tmp_path / "usage.xlsx")
    assert os.listdir(tmp_path) == []


# Parquet --------------------------------------------------------------------------------------


def test_parquet_tells_units_and_descriptions_and_is_compressed_and_sorted(tmp_path):
    records = [{"id": str(n), "start_date": f"2026-01-{31 - n:02}"} for n in range(31)]
    tu.export_usage(tu.flatten_usage(records), tmp_path / "usage.parquet")
    found = pq.ParquetFile(tmp_path / "usage.parquet")
    told = found.schema_arrow.field("usage_tokens_input").metadata
    assert told == {
        b"description": field("usage.tokens.input").description.encode(),
        b"unit": b"tokens",
    }
    assert found.schema_arrow.field("start_date").type == pa.timestamp("us", tz="UTC")
    assert found.metadata.row_group(0).column(0).compression == "ZSTD"
    starts = found.read(["start_date"])["start_date"].to_pylist()
    assert starts == sorted(starts)


def test_every_field_of_the_catalogue_is_described(tmp_path):
    tu.export_usage(wide(), tmp_path / "usage.parquet")
    schema_ = pq.read_schema(tmp_path / "usage.parquet")
    assert all(b"description" in column.metadata for column in schema_)
    assert {c.name: c.type for c in schema_} == {
        schema.rename(n, "_"): t for n, t in schema.layout_types("wide").items()
    }


def test_an_empty_frame_gives_typed_empty_tables(place):
    target, reader = place
    told = tu.export_usage(tu.flatten_usage([]), target)
    assert reader(target, "usage_wide") == []
    assert told["tables"]["usage_wide"]["rows_in_target"] == 0
