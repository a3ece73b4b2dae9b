"""Everything that records can come in as, and what is said where there is nothing to read."""

import dataclasses
import gzip
import io
import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal

import attrs
import duckdb
import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
import pytest

import tidyusage as tu
from conftest import BACKENDS, present, rows
from tidyusage.io import diagnose
from tidyusage.testing import sample_records

RECORDS = [
    {
        "id": "a",
        "usage": {"tokens": {"input": 1}},
        "charges": [{"amount": 2.5, "currency": "USD", "type": "net"}],
    },
    {"id": "b", "user": {"email": "x@example.com"}, "start_date": "2026-01-01"},
    {"id": "c", "usage": {"code": {"tool_actions": {"edit": {"accepted": 3}}}}},
]
EXPECTED = [
    {
        "id": "a",
        "usage.tokens.input": 1.0,
        "charges.net": 2.5,
        "charges.currency": "USD",
        "charges": [{"amount": 2.5, "currency": "USD", "type": "net"}],
    },
    {"id": "b", "user.email": "x@example.com", "start_date": datetime(2026, 1, 1, tzinfo=UTC)},
    {"id": "c", "usage.code.tool_actions": [{"tool": "edit", "action": "accepted", "count": 3.0}]},
]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()
ARRAY = json.dumps(RECORDS).encode()
PRETTY = json.dumps(RECORDS, indent=2).encode()
PAGE = json.dumps({"result": RECORDS, "next_cursor": None, "result_count": 3}).encode()
KEYED = json.dumps({"result": {r["id"]: r for r in RECORDS}, "next_cursor": None}).encode()
PAGES = b"".join(
    json.dumps({"result": part, "next_cursor": cursor}).encode() + b"\n"
    for part, cursor in ((RECORDS[:2], "x"), ([], "y"), (RECORDS[2:], None))
)
OBJECTS = b"\n".join(json.dumps(record, indent=1).encode() for record in RECORDS)
TEXTS = {
    "lines": LINES,
    "lines without the last end": LINES.rstrip(),
    "lines with blank ones and CRLF": LINES.replace(b"\n", b"\r\n\r\n  \r\n"),
    "lines behind a BOM": b"\xef\xbb\xbf" + LINES,
    "array": ARRAY,
    "array behind a BOM": b"\xef\xbb\xbf" + ARRAY,
    "pretty array": PRETTY,
    "page": PAGE,
    "pretty page": json.dumps(json.loads(PAGE), indent=2).encode(),
    "cursor before result": json.dumps({"next_cursor": None, "result": RECORDS}).encode(),
    "page keyed by id": KEYED,
    "page a line": PAGES,
    "pretty records": OBJECTS,
}


def held(frame):
    return [present(row) for row in rows(frame)]


@pytest.fixture(autouse=True)
def clean_data_is_not_judged(request, monkeypatch):
    """Nothing in this file is judged record by record: clean data never enters rejects.py."""
    calls = []
    monkeypatch.setattr(diagnose, "judge", lambda *args, **kwargs: calls.append(args))
    yield
    assert not calls


@pytest.mark.parametrize("name", TEXTS)
def test_json_text_of_every_shape(name):
    assert held(tu.flatten_usage(TEXTS[name])) == EXPECTED
    if "BOM" not in name:
        assert held(tu.flatten_usage(TEXTS[name].decode(), backend="polars")) == EXPECTED


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("packing", ["plain", "gz", "zst"])
@pytest.mark.parametrize("backend", ["polars", "duckdb"])
def test_files_of_every_shape_and_packing(tmp_path, name, packing, backend):
    path = tmp_path / f"usage.json.{packing}"
    path.write_bytes(packed(TEXTS[name], packing))
    assert held(tu.read_usage(path, backend=backend)) == EXPECTED


def packed(data, packing):
    if packing == "gz":
        return gzip.compress(data)
    if packing == "zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(data)
        return sink.getvalue().to_pybytes()
    return data


def test_one_record_on_one_line_or_several():
    assert held(tu.flatten_usage(json.dumps(RECORDS[0]))) == EXPECTED[:1]
    assert held(tu.flatten_usage(json.dumps(RECORDS[0], indent=3))) == EXPECTED[:1]
    assert held(tu.flatten_usage(RECORDS[0])) == EXPECTED[:1]


def test_globs_lists_folders_and_paths(tmp_path):
    for number, record in enumerate(RECORDS):
        (tmp_path / f"part-{number}.ndjson").write_text(json.dumps(record))
    (tmp_path / "_manifest.json").write_text("not a record")
    (tmp_path / "notes.txt").write_text("not a record")
    parts = sorted(tmp_path.glob("part-*"))
    for source in (str(tmp_path / "part-*.ndjson"), parts):
        assert held(tu.read_usage(source)) == EXPECTED
    for folder in (tmp_path, str(tmp_path), [str(tmp_path)]):
        with pytest.warns(tu.errors.SkippedFileWarning, match=r"1 file is .*: 'notes\.txt'"):
            assert held(tu.read_usage(folder)) == EXPECTED
    assert held(tu.read_usage(parts[1])) == EXPECTED[1:2]


def test_files_of_different_shapes_in_one_read_keep_their_order(tmp_path):
    texts = [json.dumps([RECORDS[0]]), json.dumps({"result": [RECORDS[1]]}), json.dumps(RECORDS[2])]
    paths = [tmp_path / f"{number}.json" for number in range(3)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    for backend in BACKENDS:
        assert held(tu.read_usage(paths, backend=backend)) == EXPECTED


def test_a_path_with_the_signs_of_a_pattern_is_a_path(tmp_path):
    path = tmp_path / "usage [1]*.ndjson"
    path.write_bytes(LINES)
    assert held(tu.read_usage(path)) == EXPECTED


def test_open_binary_files(tmp_path):
    path = tmp_path / "usage.ndjson"
    path.write_bytes(LINES)
    with path.open("rb") as stream:
        assert held(tu.read_usage(stream)) == EXPECTED
    assert held(tu.read_usage(io.BytesIO(gzip.compress(LINES)))) == EXPECTED


def test_lists_generators_and_pages_of_dicts():
    assert held(tu.flatten_usage(RECORDS)) == EXPECTED
    assert held(tu.flatten_usage(record for record in RECORDS)) == EXPECTED
    assert held(tu.flatten_usage(tuple(RECORDS))) == EXPECTED
    assert held(tu.flatten_usage({"result": RECORDS, "next_cursor": None})) == EXPECTED
    pages = [{"result": RECORDS[:1]}, {"result": {"b": RECORDS[1]}}, {"result": RECORDS[2:]}]
    assert held(tu.flatten_usage(iter(pages))) == EXPECTED


class Tokens(pydantic.BaseModel):
    input: float | None = None


class Usage(pydantic.BaseModel):
    tokens: Tokens


class Model(pydantic.BaseModel):
    id: str
    usage: Usage


@dataclasses.dataclass
class Data:
    id: str
    usage: dict


class Struct(msgspec.Struct):
    id: str
    usage: dict


@attrs.define
class Attrs:
    id: str
    usage: dict


def test_objects_of_pydantic_dataclass_msgspec_and_attrs():
    usage = {"tokens": {"input": 5}}
    for make in (Data, Struct, Attrs, Model):
        one = make(id="a", usage=usage if make is not Model else Usage(tokens=Tokens(input=5)))
        for records in (one, [one], iter([one])):
            assert held(tu.flatten_usage(records)) == [{"id": "a", "usage.tokens.input": 5.0}]


def test_python_values_that_stand_for_json_ones():
    record = {
        "id": np.str_("a"),
        "usage": {
            "tokens": {
                "input": np.int64(3),
                "output": Decimal("0.1"),
                "total": 2**70,
                "cache_read": float("nan"),
                "cache_write": pd.NA,
            },
            "activity": {"is_active": np.bool_(True), "max_mode": None},
        },
        "start_date": date(2026, 1, 1),
        "end_date": datetime(2026, 1, 2, tzinfo=UTC),
        "created_at": pd.Timestamp("2026-01-02 03:00", tz="Asia/Tokyo"),
        "updated_at": pd.NaT,
        "charges": [{"amount": Decimal("NaN"), "currency": float("nan"), "type": "net"}],
    }
    (row,) = held(tu.flatten_usage([record]))
    assert row == {
        "id": "a",
        "usage.tokens.input": 3.0,
        "usage.tokens.output": 0.1,
        "usage.tokens.total": 2.0**70,
        "usage.activity.is_active": True,
        "start_date": datetime(2026, 1, 1, tzinfo=UTC),
        "end_date": datetime(2026, 1, 2, tzinfo=UTC),
        "created_at": datetime(2026, 1, 1, 18, tzinfo=UTC),  # 03:00 in Tokyo, UTC+9
        "charges": [{"amount": None, "currency": None, "type": "net"}],
    }


def nested_frames():
    table = pl.DataFrame(RECORDS).to_arrow()
    return {
        "pyarrow": table,
        "polars": pl.DataFrame(RECORDS),
        "lazy": pl.DataFrame(RECORDS).lazy(),
        "pandas of dicts": pd.DataFrame(RECORDS),
        "pandas of Arrow structs": table.to_pandas(types_mapper=pd.ArrowDtype),
    }


@pytest.mark.parametrize("name", nested_frames())
def test_frames_of_nested_columns_come_back_in_their_kind(name):
    frame = nested_frames()[name]
    answer = tu.flatten_usage(frame)
    assert type(answer) is type(frame)
    assert held(answer) == EXPECTED
    assert (
        held(tu.flatten_usage(frame, backend="pyarrow", layout="charges"))[0]["charges.amount"]
        == 2.5
    )


def test_a_lazy_frame_is_not_collected_before_its_answer_is():
    def fail(_):
        raise AssertionError("collected early")

    lazy = pl.DataFrame(RECORDS).lazy().map_batches(fail, schema=pl.DataFrame(RECORDS).schema)
    assert isinstance(tu.flatten_usage(lazy), pl.LazyFrame)


def test_a_relation_of_nested_rows():
    connection = duckdb.connect()
    relation = connection.from_arrow(pl.DataFrame(RECORDS).to_arrow())
    assert held(tu.flatten_usage(relation)) == EXPECTED
    assert held(tu.flatten_usage(relation, backend="polars")) == EXPECTED
    assert held(tu.flatten_usage(relation, layout="long"))[0]["metric"] == "usage.tokens.input"


def test_parquet_of_nested_rows(tmp_path):
    path = tmp_path / "usage.parquet"
    pq.write_table(pl.DataFrame(RECORDS).to_arrow(), path)
    for backend in BACKENDS:
        assert held(tu.read_usage(path, backend=backend)) == EXPECTED


def test_nan_in_a_frame_is_missing():
    tokens = pa.array([{"input": float("nan")}, {"input": 2.0}])
    table = pa.table({"id": ["a", "b"], "usage": pa.StructArray.from_arrays([tokens], ["tokens"])})
    assert held(tu.flatten_usage(table)) == [{"id": "a"}, {"id": "b", "usage.tokens.input": 2.0}]


EMPTY = {
    "list": [],
    "generator": iter(()),
    "bytes": b"",
    "text": " \n",
    "array": "[]",
    "page": '{"result": [], "next_cursor": null}',
    "keyed page": '{"result": {}}',
    "page without result": '{"result": null, "next_cursor": null}',
    "dict page": {"result": []},
    "pandas": pd.DataFrame({"id": pd.Series([], dtype="str")}),
    "polars": pl.DataFrame(schema={"id": pl.String, "usage": pl.Struct({})}),
    "lazy": pl.LazyFrame(schema={"id": pl.String}),
    "arrow": pa.table({"id": pa.array([], pa.string())}),
    "pandas without columns": pd.DataFrame(),
    "polars without columns": pl.DataFrame(),
    "arrow without columns": pa.table({}),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_input_gives_the_full_typed_frame(name):
    full = tu.flatten_usage(RECORDS, backend="polars")
    empty = tu.flatten_usage(EMPTY[name], backend="polars")
    empty = empty.collect() if isinstance(empty, pl.LazyFrame) else empty
    assert empty.schema == full.schema
    assert empty.height == 0


@pytest.mark.parametrize("packing", ["plain", "gz", "zst"])
def test_empty_files(tmp_path, packing):
    path = tmp_path / "empty.ndjson"
    path.write_bytes(packed(b"", packing))
    assert rows(tu.read_usage(path)) == []


@pytest.mark.parametrize("layout", ["wide", "long", "charges", "resources", "tool_actions"])
@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_types_do_not_depend_on_the_data(layout, backend):
    def types(records):
        frame = tu.flatten_usage(records, layout=layout, backend=backend)
        return list(frame.schema) if backend != "pandas" else frame.dtypes.astype(str).to_dict()

    assert types([]) == types(RECORDS) == types([{"id": "z"}])


def test_pandas_dtypes():
    dtypes = tu.flatten_usage([], backend="pandas").dtypes
    assert dtypes["id"] == pd.StringDtype(na_value=np.nan)
    assert dtypes["usage.tokens.input"] == np.dtype("float64")
    assert dtypes["usage.activity.is_active"] == pd.BooleanDtype()
    assert dtypes["start_date"] == pd.DatetimeTZDtype("us", "UTC")
    arrow = {name for name, dtype in dtypes.items() if isinstance(dtype, pd.ArrowDtype)}
    assert arrow == {"resources", "charges", "usage.code.tool_actions"}


def test_polars_dtypes():
    schema = tu.flatten_usage([], backend="polars").schema
    assert schema["id"] == pl.String
    assert schema["usage.tokens.input"] == pl.Float64
    assert schema["usage.activity.is_active"] == pl.Boolean
    assert schema["start_date"] == pl.Datetime("us", "UTC")
    assert schema["charges"] == pl.List(
        pl.Struct({"amount": pl.Float64, "currency": pl.String, "type": pl.String})
    )


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_dates_do_not_depend_on_the_session_s_zone(monkeypatch, zone, backend):
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    duckdb.default_connection().execute(f"set TimeZone = '{zone}'")
    texts = [
        "2026-03-01",
        "2026-03-01T00:00:00",
        "2026-03-01T05:30:00+05:30",
        "2026-02-28T19:00-0500",
        "2026-03-01 00:00:00.000000001z",
    ]
    records = [{"id": str(n), "start_date": text} for n, text in enumerate(texts)]
    try:
        frame = tu.flatten_usage(records, backend=backend)
        found = {row["start_date"].astimezone(UTC) for row in rows(frame)}
    finally:
        monkeypatch.undo()
        time.tzset()
        duckdb.default_connection().execute("set TimeZone = 'UTC'")
    assert found == {datetime(2026, 3, 1, tzinfo=UTC)}


def test_the_caller_s_objects_are_left_alone():
    records = json.loads(ARRAY)
    frame = pd.DataFrame(records, index=[7, 8, 9])
    tu.flatten_usage(records)
    tu.flatten_usage(frame)
    assert records == RECORDS
    assert list(frame.index) == [7, 8, 9]


def test_remote_data_is_dropped_or_kept_as_text():
    record = {"id": "a", "remote_data": {"mixed": [1, 2, {"b": 3}], "amount": 1.10}}
    assert held(tu.flatten_usage([record])) == [{"id": "a"}]
    (row,) = held(tu.flatten_usage(json.dumps(record), remote_data="json"))
    assert row["remote_data"] == '{"mixed":[1,2,{"b":3}],"amount":1.1}'
    assert rows(tu.flatten_usage([{"id": "a"}], remote_data="json"))[0]["remote_data"] is None


def test_sources_that_are_not_there_say_what_to_do(tmp_path):
    (tmp_path / "empty").mkdir()
    for source, words in (
        (tmp_path / "missing.ndjson", "There is no file .*missing.ndjson"),
        (tmp_path / "nowhere" / "x.ndjson", "There is no folder"),
        (str(tmp_path / "*.gz"), "No file matches"),
        (tmp_path / "empty", "holds no data files"),
        ([], "list of files is empty"),
    ):
        with pytest.raises(tu.errors.SourceError, match=words):
            tu.read_usage(source)
    with pytest.raises(FileNotFoundError):
        tu.read_usage(tmp_path / "missing.ndjson")


def test_what_holds_no_records_is_named():
    with pytest.raises(tu.errors.OptionError, match="Use read_usage"):
        tu.flatten_usage(__file__)
    with pytest.raises(tu.errors.FrameError, match="Expected Usage records, got int"):
        tu.flatten_usage(5)
    with pytest.raises(tu.errors.FrameError, match="flat already"):
        tu.flatten_usage(tu.flatten_usage(RECORDS))
    with pytest.raises(tu.errors.FrameError, match="no column 'id'"):
        tu.flatten_usage(pd.DataFrame({"x": [1]}))
    with pytest.raises(tu.errors.OptionError, match="cannot read a int"):
        tu.read_usage(5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": "lng"}, "layout='lng'"),
        ({"backend": "dask"}, "backend='dask'"),
        ({"sep": "/"}, "sep='/'"),
        ({"unknown": "drop"}, "unknown='drop'"),
        ({"duplicates": "first"}, "duplicates='first'"),
        ({"remote_data": True}, "remote_data=True"),
        ({"currency": ""}, "currency=''"),
        ({"rejects": 5}, "rejects=5"),
        ({"connection": 5}, "backend='duckdb'"),
    ],
)
def test_unknown_values_are_refused_with_the_known_ones(options, words):
    with pytest.raises(tu.errors.OptionError, match=words):
        tu.flatten_usage([], **options)


def test_unknown_keywords_are_refused_with_the_nearest():
    with pytest.raises(TypeError, match="Did you mean 'layout'"):
        tu.flatten_usage([], layot="long")
    with pytest.raises(tu.errors.UnknownOptionError, match="Did you mean 'backend'"):
        tu.read_usage("x", backnd="polars")


def test_what_is_open_as_text_or_no_path_is_named(tmp_path):
    (tmp_path / "x").write_text("{}")
    for stream in (io.StringIO("{}"), (tmp_path / "x").open()):
        with pytest.raises(tu.errors.OptionError, match="open as text"):
            tu.read_usage(stream)
        stream.close()
    with pytest.raises(tu.errors.OptionError, match="flatten_usage\\(\\) takes records"):
        tu.read_usage([{"id": "a"}])
    with pytest.raises(tu.errors.OptionError, match="folder that does not exist"):
        tu.flatten_usage(RECORDS, rejects=tmp_path / "nowhere" / "r")


def test_example_loads_in_every_layout():
    assert tu.load_example().shape == (310, 78)
    assert (
        tu.load_example(layout="charges", backend="polars", sep="_").columns[2] == "charges_amount"
    )


def test_a_lazy_relation_reads_nothing_before_it_is_asked(tmp_path):
    path = tmp_path / "usage.ndjson"
    path.write_bytes(b'{"id": "a"}\n')
    relation = tu.read_usage(path, backend="duckdb")
    path.write_bytes(LINES)
    assert held(relation) == EXPECTED


def test_a_relation_lives_on_the_connection_that_is_given(tmp_path):
    path = tmp_path / "usage.ndjson"
    path.write_bytes(LINES)
    with duckdb.connect() as connection:
        relation = tu.read_usage(path, backend="duckdb", connection=connection)
        connection.register("ours", relation.to_arrow_table())
        assert relation.aggregate("count(*)").fetchall() == [(3,)]
        assert connection.sql("select count(*) from ours").fetchall() == [(3,)]


def test_a_relation_of_records_in_memory_outlives_the_call():
    relation = tu.flatten_usage(RECORDS, backend="duckdb").filter("id <> 'b'")
    assert [row["id"] for row in rows(relation)] == ["a", "c"]


@pytest.mark.slow
def test_many_records_in_many_batches(tmp_path):
    records = list(sample_records(45_000, seed=3))
    frame = tu.flatten_usage(iter(records), backend="polars")
    assert frame["id"].to_list() == [record["id"] for record in records]
    total = sum(c["amount"] for r in records for c in r["charges"] if c["type"] == "net")
    assert frame["charges.net"].sum() == pytest.approx(total, rel=1e-12)


def test_temporary_files_are_gone_after_the_call(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tu.flatten_usage(RECORDS)
    assert os.listdir(tmp_path) == []


def test_record_batches_and_their_readers():
    table = pl.DataFrame(RECORDS).to_arrow()
    assert held(tu.flatten_usage(table.to_reader())) == EXPECTED
    assert held(tu.flatten_usage(table.to_batches()[0])) == EXPECTED


def test_parquet_is_known_by_its_bytes_and_damage_is_named(tmp_path):
    path = tmp_path / "usage.dat"
    pl.DataFrame(RECORDS).write_parquet(path)
    assert held(tu.read_usage(path)) == EXPECTED
    with path.open("rb") as stream:
        assert held(tu.read_usage(stream)) == EXPECTED
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(tu.errors.SourceError, match="cannot be read as Parquet"):
        tu.read_usage(tmp_path / "bad.parquet")


def test_a_relation_with_columns_of_any_name():
    (row,) = held(tu.flatten_usage(duckdb.sql("select 'a' as id, 5 as r, 6 as j, 7 as e")))
    assert row == {"id": "a"}


def test_two_columns_of_one_name_are_refused():
    frame = pd.DataFrame([["a", {"x": 1}, {"x": 2}]], columns=["id", "usage", "usage"])
    with pytest.raises(tu.errors.FrameError, match="two columns 'usage'"):
        tu.flatten_usage(frame)


def test_the_garbage_collector_is_as_it_was_after_a_call():
    import gc

    assert gc.isenabled()
    tu.flatten_usage(RECORDS)
    assert gc.isenabled()
    gc.disable()
    try:
        tu.flatten_usage(RECORDS)
        assert not gc.isenabled()
    finally:
        gc.enable()


def envelopes(*cursors, **more):
    return [
        {"result": [{"id": str(n)}], "next_cursor": cursor, **more}
        for n, cursor in enumerate(cursors)
    ]


def given(pages, tmp_path):
    """Yield the ways to read pages: from memory, from text, from files."""
    yield lambda: tu.flatten_usage(pages if len(pages) > 1 else pages[0])
    yield lambda: tu.flatten_usage(iter(pages))
    yield lambda: tu.flatten_usage("\n".join(map(json.dumps, pages)))
    names = [tmp_path / f"{n}.json" for n in range(len(pages))]
    for name, page in zip(names, pages, strict=True):
        name.write_text(json.dumps(page, indent=1))
    yield lambda: tu.read_usage(names)
    keyed = [{**page, "result": {"k": page["result"][0]}} for page in pages]
    (tmp_path / "keyed.json").write_text("\n".join(map(json.dumps, keyed)))
    yield lambda: tu.read_usage(tmp_path / "keyed.json")


@pytest.mark.parametrize("cursors", [["c1"], ["c1", "c2"]])
def test_pages_of_which_none_is_the_last_are_told_of(cursors, tmp_path):
    for read in given(envelopes(*cursors), tmp_path):
        with pytest.warns(
            tu.errors.PartialWarning, match=rf"No page of {len(cursors)} is the last"
        ):
            assert len(read()) == len(cursors)


@pytest.mark.parametrize("cursors", [[None], [""], ["c1", None], [None, "c1"]])
def test_pages_with_a_last_one_are_read_in_silence(cursors, tmp_path):
    for read in given(envelopes(*cursors, is_partial_response=False), tmp_path):
        assert len(read()) == len(cursors)


def test_pages_that_the_service_called_partial_are_told_of(tmp_path):
    for read in given(envelopes("c1", None, is_partial_response=True), tmp_path):
        with pytest.warns(tu.errors.PartialWarning, match="called 2 of 2 pages partial"):
            assert len(read()) == 2
