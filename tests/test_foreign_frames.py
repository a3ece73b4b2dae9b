"""Frames of other libraries, types that engines lack, files of pandas, and names SQL cannot hold."""

import io
import subprocess
import sys
import warnings
from decimal import Decimal

import duckdb
import narwhals as nw
import narwhals.stable.v1 as nw_v1
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tidyusage as tu
from conftest import rows
from flavours import FLAVOURS
from tidyusage.errors import FrameError, OptionError

RECORDS = [
    {"id": "a", "model": {"id": "m"}, "charges": [{"amount": 3, "type": "net", "currency": "USD"}]},
    {"id": "b", "model": {"id": "m"}, "charges": [{"amount": 4, "type": "net", "currency": "USD"}]},
]
COST = 7.0  # 3 + 4
NESTED = ("resources", "charges", "usage.code.tool_actions")


def wide(backend="pandas", **options):
    return tu.flatten_usage(RECORDS, backend=backend, **options)


# Subclasses, narwhals, streams of Arrow -------------------------------------------------------------


class Geo(pd.DataFrame):
    """A subclass as geopandas has it: its methods give itself, and it has a state of its own."""

    _metadata = ("crs",)

    @property
    def _constructor(self):
        return Geo


class Mine(pl.DataFrame):
    """A subclass of Polars' frame."""


class Stream:
    """An object that streams Arrow and can do nothing else."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class Batch:
    """An object that hands over one batch."""

    def __init__(self, table):
        (self._batch,) = table.to_batches()

    def __arrow_c_array__(self, requested_schema=None):
        return self._batch.__arrow_c_array__(requested_schema)


def typed_by_pandera(frame):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyspark's own, of pandas 3
        import pandera.pandas as pa_pandas
        from pandera.typing import DataFrame

    class Model(pa_pandas.DataFrameModel):
        id: str

    return DataFrame[Model](frame)


FOREIGN = {
    "pandas subclass": (lambda: Geo(wide()), pd.DataFrame),
    "pandera": (lambda: typed_by_pandera(wide()), pd.DataFrame),
    "Polars subclass": (lambda: Mine(wide("polars")), pl.DataFrame),
    "narwhals of pandas": (lambda: nw.from_native(wide()), nw.DataFrame),
    "narwhals of Polars": (lambda: nw.from_native(wide("polars").lazy()), nw.LazyFrame),
    "narwhals of Arrow": (lambda: nw.from_native(wide("pyarrow")), nw.DataFrame),
    "narwhals of DuckDB": (lambda: nw.from_native(wide("duckdb")), nw.LazyFrame),
    "narwhals, stable": (lambda: nw_v1.from_native(wide()), nw_v1.DataFrame),
    "stream": (lambda: Stream(wide("pyarrow")), pa.Table),
    "batch": (lambda: Batch(wide("pyarrow")), pa.Table),
    "reader": (lambda: wide("pyarrow").to_reader(), pa.Table),
}


def plain(frame):
    frame = nw.to_native(nw_v1.to_native(frame, pass_through=True), pass_through=True)
    return rows(frame)


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_frame_of_another_kind_is_taken(kind):
    make, answers = FOREIGN[kind]
    cost = tu.cost_by(make(), "model.id")
    assert type(cost) is answers
    assert [row["cost"] for row in plain(cost)] == [COST]
    for function in (tu.to_long, tu.restore, tu.latest, tu.daily):
        if kind == "reader" and function is not tu.to_long:
            continue  # it can be read but once, and these look at it twice
        assert type(function(make())) is answers, function
    assert tu.usage(make()).totals() is not None


def test_a_frame_of_another_kind_is_not_changed_and_keeps_its_columns():
    frame = Geo(wide().assign(shape=pd.Series([object(), object()], dtype=object)))
    frame.crs = "EPSG:4326"
    before = frame.copy(deep=True)
    assert frame.usage.cost_by()["cost"].tolist() == [COST]
    assert list(tu.restore(frame)["shape"]) == list(frame["shape"])
    assert type(frame) is Geo
    pd.testing.assert_frame_equal(pd.DataFrame(frame), pd.DataFrame(before))


def test_options_may_be_frames_of_another_kind():
    aliases = pa.table({"alias": ["m"], "model": ["opus"]})
    for given in (Stream(aliases), nw.from_native(aliases), Geo(aliases.to_pandas())):
        assert set(tu.rename_models(wide(), given)["model.id"]) == {"opus"}
        assert set(tu.rename_models(wide(), aliases=given)["model.id"]) == {"opus"}


def test_nested_records_in_a_frame_of_another_kind():
    table = pa.Table.from_pylist(RECORDS)
    assert tu.cost_by(tu.flatten_usage(Stream(table)))["cost"].to_pylist() == [COST]
    frame = tu.flatten_usage(nw.from_native(pl.from_arrow(table)))
    assert type(frame) is nw.DataFrame
    assert tu.cost_by(frame.to_native())["cost"].to_list() == [COST]


# Files of pandas ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sep", [".", "_"])
def test_pandas_reads_what_it_wrote(tmp_path, sep):
    frame = tu.load_example(sep=sep)
    path = str(tmp_path / "usage.parquet")
    for _ in range(2):  # what was read is written again
        frame.to_parquet(path)
        frame = pd.read_parquet(path)
    assert tu.restore(frame, sep=sep).equals(tu.load_example(sep=sep))
    assert rows(tu.charges(frame)) == rows(tu.charges(tu.load_example(sep=sep)))
    frame.to_feather(f"{path}.feather")
    assert rows(pd.read_feather(f"{path}.feather")) == rows(frame)
    with_arrow = pd.read_parquet(str(tmp_path / "usage.parquet"), dtype_backend="pyarrow")
    assert rows(tu.restore(with_arrow)) == rows(tu.load_example())


def test_pandas_reads_files_of_empty_and_of_odd_frames(tmp_path):
    path = str(tmp_path / "usage.parquet")
    for frame in (tu.flatten_usage([]), wide().convert_dtypes(dtype_backend="pyarrow")):
        frame.to_parquet(path)
        assert rows(pd.read_parquet(path)) == rows(frame)


def test_other_names_of_dtypes_are_still_unknown():
    for name in ("list<item: struct<x: string>>[pyarrow]", "tidyusage", "large_list<item: x>"):
        with pytest.raises(TypeError, match="not understood"):
            pd.api.types.pandas_dtype(name)


def test_pandas_alone_reads_the_file_as_the_docs_say(tmp_path):
    path = str(tmp_path / "usage.parquet")
    wide().to_parquet(path)
    code = f"import pandas as pd; print(len(pd.read_parquet({path!r}, dtype_backend='pyarrow')))"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert found.stdout.strip() == "2"


# Types that an engine lacks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        pa.array([np.float16(5), None], pa.float16()),
        pa.array([Decimal("5.00"), None], pa.decimal256(60, 2)),
        pa.array([Decimal("5.00"), None], pa.decimal128(38, 2)),
        pa.array([5, None], pa.uint64()),
    ],
    ids=lambda values: str(values.type),
)
def test_arrow_types_of_numbers(values):
    table = pa.table({"id": ["a", "b"], "usage.tokens.input": values, "mine": values})
    assert tu.tokens_by(table)["input"].to_pylist() == [5.0]
    assert tu.restore(table)["usage.tokens.input"].to_pylist() == [5.0, None]
    assert tu.restore(table)["mine"].type == values.type
    long = tu.to_long(table)
    assert (long["value"].to_pylist(), long["mine"].type) == ([5.0], values.type)


@pytest.mark.parametrize("dtype", [pl.Int128, pl.UInt128, pl.Float16, pl.Decimal(20, 2)])
@pytest.mark.parametrize("lazily", [False, True])
def test_polars_types_of_numbers(dtype, lazily):
    frame = pl.DataFrame(
        {"id": ["a", "b"], "usage.tokens.input": pl.Series([5, None], dtype=dtype)}
    )
    frame = frame.lazy() if lazily else frame
    assert rows(tu.tokens_by(frame))[0]["input"] == 5.0
    assert [row["usage.tokens.input"] for row in rows(tu.restore(frame))] == [5.0, None]
    assert [row["value"] for row in rows(tu.to_long(frame))] == [5.0]


def test_decimals_that_are_too_long_are_named():
    table = pa.table(
        {
            "id": ["a"],
            "usage.unit": ["GB"],
            "usage.quantity": pa.array([Decimal(10**50)], pa.decimal256(60)),
        }
    )
    for function in (tu.to_long, tu.totals):
        with pytest.raises(FrameError, match=r"'usage\.quantity' holds decimals of more than 38"):
            function(table)


@pytest.mark.parametrize(("key", "wanted"), [("usage", "objects"), ("charges", "lists")])
def test_text_in_nested_columns_of_a_relation(key, wanted):
    text = {"usage": '{"tokens": {"input": 5}}', "charges": '[{"amount": 5, "type": "net"}]'}[key]
    relation = duckdb.sql(f"select 'a' as id, '{text}' as {key}")
    with pytest.raises(FrameError, match=f"The column '{key}' holds text, and {wanted} belong"):
        tu.flatten_usage(relation)
    (row,) = rows(tu.flatten_usage(duckdb.sql(f"select 'a' as id, '{text}'::json as {key}")))
    assert 5.0 in {row["usage.tokens.input"], row["charges.net"]}


def test_a_file_that_reads_as_text():
    class Reader:
        def read(self, *_):
            return '{"id": "a"}'

    for stream in (Reader(), io.StringIO('{"id": "a"}')):
        with pytest.raises(OptionError, match="is open as text"):
            tu.read_usage(stream)


# Names and texts that SQL cannot hold -----------------------------------------------------------------


@pytest.mark.parametrize("flavour", ["pandas", "polars", "polars lazy", "pyarrow"])
@pytest.mark.parametrize("name", ["", "a\0b"])
def test_own_columns_whose_names_sql_cannot_hold(flavour, name):
    frame = FLAVOURS[flavour](wide("pyarrow").append_column("mine", pa.array(["x", "y"])))
    frame = (
        frame.rename_columns([*wide("pyarrow").column_names, name])
        if flavour == "pyarrow"
        else frame.rename(**{"columns" if flavour == "pandas" else "mapping": {"mine": name}})
    )
    assert rows(tu.cost_by(frame))[0]["cost"] == COST
    assert rows(tu.restore(frame))[0][name] == "x"
    for ask in (lambda: tu.cost_by(frame, name), lambda: tu.to_long(frame)):
        with pytest.raises(FrameError, match="A column is named '"):
            rows(ask())


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", ["a\"b'c", "{x}", "{}", "a;--b", "%s", "n" * 5_000, "é\u2028"])
def test_odd_names_of_own_columns_are_dimensions(flavour, name):
    frame = FLAVOURS[flavour](wide("pyarrow").append_column(name, pa.array(["x", "x"])))
    assert [(row[name], row["cost"]) for row in rows(tu.cost_by(frame, name))] == [("x", COST)]
    assert [row[name] for row in rows(tu.to_long(frame))] == ["x", "x"]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("to", ["{x}", "{}", "{0}", "%s"])
def test_braces_in_an_option(flavour, to):
    frame = FLAVOURS[flavour](wide("pyarrow"))
    (row,) = rows(tu.cost_by(frame, rates={"USD": 2}, to=to))
    assert (row["currency"], row["cost"]) == (to.upper(), 2 * COST)
    with pytest.raises(Exception, match="There is no rate") as caught:
        rows(tu.cost_by(frame, rates={"JPY": 2}, to=to))
    assert to in str(caught.value) or to.upper() in str(caught.value)


HALF = "a\ud800"


@pytest.mark.parametrize(
    "ask",
    [
        lambda df: tu.cost_by(df, HALF),
        lambda df: tu.cost_by(df, charge=HALF),
        lambda df: tu.cost_by(df, charge={HALF: "net"}),
        lambda df: tu.cost_by(df, rates={"USD": 1}, to=HALF),
        lambda df: tu.cost_by(df, rates={HALF: 1}, to="USD"),
        lambda df: tu.cost_by(df, freq="1d", tz=HALF),
        lambda df: tu.cost_by(df, freq="1d", end={HALF: "inclusive"}),
        lambda df: tu.estimate_cost(df, prices={HALF: {"input": 1, "output": 1}}),
        lambda df: tu.rename_models(df, {HALF: "x"}),
        lambda df: tu.rename_models(df, {"m": HALF}),
        lambda df: tu.allocate_shared(df, to="user.id", shared=HALF),
        lambda df: tu.export_usage(df, HALF + ".csv"),
        lambda df: tu.export_usage(df, HALF + ".parquet"),
        lambda df: tu.latest(df, key=HALF),
        lambda _: tu.flatten_usage(RECORDS, currency=HALF),
        lambda _: tu.flatten_usage(RECORDS, rejects=HALF),
        lambda _: tu.sql("cost_by", table=HALF),
        lambda _: tu.sql("cost_by", table="x'"),
        lambda _: tu.sql("cost_by", table='x"'),
        lambda _: tu.sql("cost_by", table="x; drop table y"),
        lambda _: tu.sql("cost_by", table="x\0"),
        lambda _: tu.sql("cost_by", table=""),
        lambda _: tu.sql("cost_by", table="x -- y"),
    ],
)
def test_half_a_surrogate_pair_and_odd_tables_are_refused(ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(tu.errors.UsageError):
        ask(wide())
