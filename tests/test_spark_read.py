"""Spark reads what all others read: the same rows, the same rejects, the same refusals."""

import gzip
import json
import re
import sys
import warnings
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

import servers
import tidyusage as tu
from test_plain import ENTRIES, VALUES, holding
from test_read import TEXTS
from test_rejects import FAULTS, as_bytes
from tidyusage import catalogue
from tidyusage.errors import MissingExtraError, OptionError, RecordError, SourceError
from tidyusage.io.options import Options
from tidyusage.testing import sample_records

pytestmark = [
    pytest.mark.xdist_group("spark"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet", "ignore:The copy keyword"),
]
ROOT = Path(__file__).parents[1]
LAYOUTS = ("wide", "long", "charges", "tool_actions")


@pytest.fixture(autouse=True)
def elsewhere(spark):
    """Have the session's clock be one that no answer may depend on."""
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    yield
    spark.conf.unset("spark.sql.session.timeZone")


def here(frame):
    return pl.from_arrow(frame.toArrow())


def alike(frame, theirs):
    found = here(frame)
    assert found.schema == theirs.schema
    assert_frame_equal(found, theirs, check_row_order=False)


def write(folder, records):
    path = folder / "usage.ndjson"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def polars(path, **options):
    return tu.read_usage(path, backend="polars", sep="_", **options)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_that_of_polars(spark, tmp_path, layout):
    path = write(tmp_path, sample_records(200))
    frame = tu.read_usage(path, layout=layout, backend="pyspark")
    alike(frame, polars(path, layout=layout))


def test_two_records_by_hand(spark, tmp_path):
    path = write(
        tmp_path,
        [
            {
                "id": "a",
                "usage": {"tokens": {"input": "1000"}, "code": {"tool_actions": {"edit": 2}}},
                "charges": [{"amount": 1, "type": "net"}, {"amount": 2, "type": "net"}],
                "start_date": "2026-03-01T00:30:00+19:00",
            },
            {"id": "b", "model": {"id": "{x}"}, "end_date": "2026-03-01"},
        ],
    )
    a, b = sorted(here(tu.read_usage(path, backend="pyspark")).to_dicts(), key=lambda r: r["id"])
    assert a["usage_tokens_input"] == 1_000
    assert a["charges_net"] == 3  # 1 + 2
    assert a["start_date"] == datetime(2026, 2, 28, 5, 30, tzinfo=UTC)  # 00:30 less 19 hours
    assert a["usage_code_tool_actions"] == [{"tool": "edit", "action": None, "count": 2.0}]
    assert (b["model_id"], b["end_date"]) == ("{x}", datetime(2026, 3, 1, tzinfo=UTC))


def test_dates_are_read_in_all_their_forms(spark, tmp_path):
    zones = {"": 0, "Z": 0, "z": 0, "+05:30": -330, "-0530": 330, "+05": -300}  # minutes to UTC
    times = {"00:00": 0, "00:00:30": 30, "00:00:30.125": 30.125}  # seconds
    due = {
        f"2026-03-01{between}{time}{zone}": datetime(2026, 3, 1, tzinfo=UTC)
        + timedelta(minutes=zones[zone], seconds=times[time])
        for between, time, zone in product("Tt ", times, zones)
    }
    path = write(tmp_path, [{"id": date, "start_date": date} for date in due])
    for frame in (here(tu.read_usage(path, backend="pyspark")), polars(path)):
        assert dict(frame.select("id", "start_date").iter_rows()) == due


def grid():
    """Return lines with each odd value at each field, and every fault, blank lines among them."""
    fields = [field for field in catalogue.FIELDS if field.dtype != "json"]
    at_fields = [holding(field, value) for field in fields for value in VALUES[::2]]
    entries = [
        f'{{"id": "x", "{name}": [{one}, {other}]}}'
        for name, all_ in ENTRIES.items()
        for one in all_
        for other in all_
    ]
    lines = [*at_fields, *entries, *(fault for fault, *_ in FAULTS.values())]
    yield b'{"id": "first"}'
    for number, line in enumerate(map(as_bytes, lines)):
        own = b'{"id": "x%d"' % number
        yield own + line.removeprefix(b'{"id": "x"') if line.startswith(b'{"id": "x"') else line
        yield from [b"", b" \t\r"] if number % 100 == 0 else []


def test_what_cannot_be_read_is_set_aside_as_elsewhere(spark, tmp_path):
    path = tmp_path / "usage.ndjson"
    path.write_bytes(b"\n".join(grid()))
    with pytest.warns(tu.errors.RejectWarning, match="set aside in .*spark.ndjson"):
        frame = tu.read_usage(
            path, backend="pyspark", duplicates="keep", rejects=tmp_path / "spark.ndjson"
        )
    with pytest.warns(tu.errors.UsageWarning):
        theirs = polars(path, duplicates="keep", rejects=tmp_path / "polars.ndjson")
    assert rejects(tmp_path / "spark.ndjson") == rejects(tmp_path / "polars.ndjson")
    ours = here(frame)
    assert ours.height == theirs.height > 1_000
    exponent = pl.any_horizontal(  # a number for a text: Spark spells those with one its own way
        pl.col(name).cast(pl.String).str.contains("1e-?[79]")
        for name, dtype in theirs.schema.items()
        if dtype == pl.String
    ) | pl.col("resources").list.eval(pl.element().struct.json_encode()).list.join("").str.contains(
        "1e-?[79]"
    )
    plain = theirs.filter(~exponent.fill_null(value=False))
    kept = ours.filter(pl.col("id").is_in(plain["id"].implode()))
    assert_frame_equal(kept.sort("id"), plain.sort("id"))


def rejects(path):
    return sorted(map(json.loads, path.read_text().splitlines()), key=lambda r: r["line"])


def test_lines_are_counted_from_file_to_file_and_from_part_to_part(spark, tmp_path):
    good, bad = '{"id": "%d"}\n', "oops\n"
    (tmp_path / "a.ndjson").write_text("".join(good % n for n in range(500)) + bad + good % 501)
    (tmp_path / "b.ndjson").write_text(
        bad + "".join(good % n for n in range(600, 605)) + "\n" + bad
    )
    spark.conf.set("spark.sql.files.maxPartitionBytes", "1000")  # several parts a file
    try:
        with pytest.warns(tu.errors.RejectWarning, match="3 records"):
            frame = tu.read_usage(tmp_path, backend="pyspark", rejects=tmp_path / "r é.ndjson")
        found = [(reject["source"], reject["line"]) for reject in rejects(tmp_path / "r é.ndjson")]
        a, b = (str(tmp_path / name) for name in ("a.ndjson", "b.ndjson"))
        assert sorted(found) == [(a, 501), (b, 1), (b, 8)]
        assert frame.count() == 506  # 501 in one file, 5 in the other
        with pytest.warns(tu.errors.RejectWarning, match="3 records"):  # and not six
            tu.read_usage(tmp_path, backend="pyspark", rejects=tmp_path / "r é.ndjson")
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")


@pytest.mark.parametrize(
    "question",
    [
        lambda frame: frame.count(),
        lambda frame: frame.where("surface = 'x'").select("surface").collect(),
    ],
)
def test_no_question_passes_over_a_faulty_record(spark, tmp_path, question):
    path = tmp_path / "usage.ndjson"
    path.write_text('{"id": "a", "surface": "x"}\n{"id": "b", "usage": {"quantity": "many"}}\n')
    frame = tu.read_usage(path, backend="pyspark")
    with pytest.raises(
        Exception, match=r"the record with id b cannot be read: see usage\.quantity"
    ):
        question(frame)


SHAPES = (
    *("lines with blank ones and CRLF", "array behind a BOM", "page keyed by id", "page a line"),
    "pretty records",
)


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_text_is_read(spark, tmp_path, name):
    path = tmp_path / "usage.json.gz"
    path.write_bytes(gzip.compress(TEXTS[name]))
    alike(tu.read_usage(path, backend="pyspark"), polars(path))


RECORDS = list(sample_records(12))
ODD = [
    {
        **RECORDS[0],
        "strange": 1,
        "usage": {"odd": {"x": [1, "a"]}},
        "remote_data": {"b": 2, "a": 1},
    },
    {**RECORDS[1], "charges": [{"amount": 1, "type": "net", "zz": 5}], "remote_data": "text"},
    *RECORDS[2:],
    {**RECORDS[5], "updated_at": "2030-01-01", "surface": "newer"},
]


@pytest.mark.parametrize(
    "options",
    [
        {"unknown": "ignore"},  # and of two records of one id the newer
        {"unknown": "keep"},
        {"unknown": "ignore", "duplicates": "keep", "layout": "long"},
        {"unknown": "ignore", "remote_data": "json", "currency": "eur"},
    ],
)
def test_every_option_means_the_same(spark, tmp_path, options):
    path = write(tmp_path, ODD)
    frame = tu.read_usage(path, backend="pyspark", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tu.errors.DuplicateWarning)  # Spark has not looked yet
        theirs = polars(path, **options)
    alike(frame, theirs)


@pytest.mark.parametrize("options", [{"unknown": "raise"}, {"duplicates": "raise"}])
def test_refusals_are_those_of_elsewhere(spark, tmp_path, options):
    path = write(tmp_path, ODD)
    options = {"unknown": "ignore", **options}
    with pytest.raises(RecordError) as theirs:
        polars(path, **options)
    with pytest.raises(RecordError) as ours:
        tu.read_usage(path, backend="pyspark", **options)
    assert str(ours.value) == str(theirs.value)


def test_unknown_keys_are_looked_for_in_the_first_records(spark, tmp_path):
    path = write(tmp_path, ODD)
    with pytest.warns(tu.errors.UnknownKeyWarning, match="'strange'.*in a sample of 13 records"):
        tu.read_usage(path, backend="pyspark")


def test_a_frame_of_nested_rows_is_flattened(spark, tmp_path):
    path = write(tmp_path, RECORDS)
    nested = spark.read.json(str(path))
    theirs = polars(path)
    ours = here(tu.flatten_usage(nested, unknown="ignore"))
    # Spark's own look at the file sorts the keys of objects, and so the tools.
    counts = pl.col("usage_code_tool_actions")
    in_order = counts.list.eval(pl.element().sort_by(pl.element().struct.json_encode()))
    assert_frame_equal(
        ours.with_columns(in_order), theirs.with_columns(in_order), check_row_order=False
    )
    nested.write.parquet(str(tmp_path / "nested.parquet"))
    again = tu.read_usage(tmp_path / "nested.parquet", backend="pyspark", unknown="ignore")
    assert_frame_equal(here(again), ours, check_row_order=False)


def test_a_frame_of_lines_is_read_and_rows_go_to_other_libraries(spark, tmp_path):
    path = write(tmp_path, RECORDS)
    lines = spark.read.text(str(path))
    alike(tu.flatten_usage(lines), polars(path))
    of_arrow = spark.createDataFrame(
        tu.flatten_usage(RECORDS, backend="pyarrow").select(["id", "surface"])
    )
    theirs = tu.flatten_usage(RECORDS, backend="polars").select("id", "surface")
    found = tu.flatten_usage(of_arrow, backend="polars").select("id", "surface")
    assert_frame_equal(found, theirs, check_row_order=False)


def test_what_a_frame_holds_beside_is_told_from_its_type(spark):
    frame = spark.sql("select 'a' as id, 1 as strange, struct(2 as odd, 'm' as id) as model")
    with pytest.warns(tu.errors.UnknownKeyWarning, match="strange, model.odd; they are dropped"):
        found = tu.flatten_usage(frame)
    assert here(found)["model_id"].to_list() == ["m"]
    with pytest.raises(RecordError, match=r"does not know strange, model\.odd"):
        tu.flatten_usage(frame, unknown="raise")


def test_numbers_and_times_of_a_frame_keep_their_value(spark):
    frame = spark.sql(
        "select 'a' as id, struct(double('nan') as quantity, struct(0.1D + 0.2D as input) as "
        "tokens) as usage, timestamp '2026-01-02 03:04:05.123456Z' as start_date, "
        "timestamp_ntz '2026-01-02 03:04:05' as end_date, date '2026-01-02' as created_at"
    )
    (row,) = here(tu.flatten_usage(frame)).to_dicts()
    assert row["usage_quantity"] is None
    assert row["usage_tokens_input"] == 0.1 + 0.2
    assert row["start_date"] == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)
    assert row["end_date"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert row["created_at"] == datetime(2026, 1, 2, tzinfo=UTC)


def test_faulty_rows_of_a_frame_are_named(spark, tmp_path):
    frame = spark.sql("select 'a' as id, 'many' as surface union all select null, 'x'")
    with pytest.warns(tu.errors.RejectWarning, match="1 record"):
        found = tu.flatten_usage(frame, rejects=tmp_path / "rejects")
    (reject,) = map(json.loads, (tmp_path / "rejects").read_text().splitlines())
    assert (reject["path"], reject["expected"]) == ("id", "text that is not empty")
    assert here(found)["id"].to_list() == ["a"]


def test_what_is_in_memory_becomes_a_frame_of_spark(spark):
    theirs = tu.load_example(backend="polars", sep="_")
    alike(tu.load_example(backend="pyspark"), theirs)
    given = tu.flatten_usage(RECORDS, backend="pyspark", session=spark)
    alike(given, tu.flatten_usage(RECORDS, backend="polars", sep="_"))


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ("nothing.json", SourceError, "Spark finds nothing at 'nothing.json'"),
        ([], SourceError, "The list of files is empty"),
        (5, OptionError, "Spark cannot read a int"),
    ],
)
def test_where_there_is_nothing_to_read_it_is_said(spark, source, error, said):
    with pytest.raises(error, match=said):
        tu.read_usage(source, backend="pyspark")


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_packed_files_go_by_their_names(spark, tmp_path, packing):
    path = tmp_path / "usage.ndjson"
    with pa.CompressedOutputStream(str(path), packing) as stream:
        stream.write(b'{"id": "a"}\n')
    with pytest.raises(
        SourceError, match=r"(?s)packed, though its name.*end them in \.gz or \.zst"
    ):
        tu.read_usage(path, backend="pyspark")


def test_what_the_others_pass_over_is_said(spark, tmp_path):
    path = tmp_path / "usage.ndjson"
    path.write_text('{"id": "a"}\n{"id": "b",}\n')
    with pytest.warns(tu.errors.RejectWarning):
        found = tu.read_usage(path, backend="pyspark", rejects=tmp_path / "bad.ndjson")
    (reject,) = rejects(tmp_path / "bad.ndjson")
    assert (reject["line"], reject["id"], reject["path"]) == (2, "b", "$")
    assert reject["found"].startswith("a comma before a closing bracket, or")
    assert here(found)["id"].to_list() == ["a"]
    assert polars(path)["id"].to_list() == ["a", "b"]


def test_a_session_is_for_spark_alone():
    with pytest.raises(OptionError, match="session= has no meaning with backend='polars'"):
        Options(backend="polars", session=object())


def test_without_a_session_or_spark_it_is_said_what_to_do(spark, monkeypatch):
    monkeypatch.setattr("pyspark.sql.SparkSession.getActiveSession", lambda: None)
    monkeypatch.delitem(sys.modules, "pyspark.sql.connect.session", raising=False)
    with pytest.raises(OptionError, match="There is no active Spark session"):
        tu.read_usage("usage.ndjson", backend="pyspark")
    with pytest.raises(OptionError, match="session= is a str, and no Spark session"):
        tu.read_usage("usage.ndjson", backend="pyspark", session="local")
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(MissingExtraError, match=r"Install tidyusage\[spark\]"):
        tu.read_usage("usage.ndjson", backend="pyspark")


def test_the_run_of_the_readme_works(spark, monkeypatch, capfd):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "SparkSession" in block)
    found = {}
    exec(block, found)  # noqa: S102 - it is ours
    assert capfd.readouterr().out.count("USD") == 5  # one row a vendor
    costs = [row["cost"] for row in found["answer"].collect()]
    assert sum(costs) == pytest.approx(5031.76)


def test_spark_connect_reads_and_writes_too(spark, tmp_path):
    path = write(tmp_path, ODD[:3])
    frame = tu.read_usage(path, backend="pyspark", session=servers.connected(spark), unknown="keep")
    assert type(frame).__module__ == "pyspark.sql.connect.dataframe"
    alike(frame, polars(path, unknown="keep"))
    told = tu.export_usage(frame, f"{tmp_path / 'out'}/")
    assert told["tables"]["usage_wide"]["rows"] == 3
