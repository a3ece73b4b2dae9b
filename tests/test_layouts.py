"""From frame to frame: layouts without the raw records, and frames that come back from elsewhere."""

import io

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tidyusage as tu
from conftest import BACKENDS, columns, rows
from tidyusage.testing import sample_records

RECORDS = list(sample_records(60, seed=11))
SHAPES = {
    "long": tu.to_long,
    "charges": tu.charges,
    "resources": tu.resources,
    "tool_actions": tu.tool_actions,
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sep", [".", "_"])
def test_a_layout_from_wide_is_the_layout_from_the_records(backend, sep):
    wide = tu.flatten_usage(RECORDS, backend=backend, sep=sep)
    for layout, reshape in SHAPES.items():
        direct = tu.flatten_usage(RECORDS, backend=backend, sep=sep, layout=layout)
        made = reshape(wide)
        assert type(made) is type(wide)
        assert columns(made) == columns(direct)
        assert rows(made) == rows(direct)
        assert reshape(made) is made


def test_a_lazy_frame_stays_lazy_with_the_schema_it_will_have():
    lazy = tu.flatten_usage(RECORDS, backend="polars").lazy()
    for reshape in (*SHAPES.values(), tu.restore):
        answer = reshape(lazy)
        assert isinstance(answer, pl.LazyFrame)
        assert answer.collect_schema() == answer.collect().schema


@pytest.mark.parametrize("dtypes", ["numpy", "numpy_nullable", "pyarrow"])
def test_pandas_frames_of_every_dtype_flavour(dtypes):
    frame = tu.flatten_usage(RECORDS)
    if dtypes != "numpy":
        flat = frame.columns.drop(["resources", "charges", "usage.code.tool_actions"])
        frame[flat] = frame[flat].convert_dtypes(dtype_backend=dtypes)
    assert rows(tu.to_long(frame)) == rows(tu.flatten_usage(RECORDS, layout="long"))


def test_the_caller_s_own_columns_come_along_and_the_frame_is_left_alone():
    frame = tu.flatten_usage(RECORDS)
    frame["team.name"] = pd.Categorical(["red", "blue"] * 30)
    frame.index = range(100, 160)
    before = frame.copy(deep=True)
    long = tu.to_long(frame)
    assert list(long.columns)[-1] == "team.name"
    assert long["team.name"].dtype == frame["team.name"].dtype
    assert set(long.loc[long["id"] == RECORDS[0]["id"], "team.name"]) == {"red"}
    again = tu.to_wide(long)
    assert list(again["team.name"]) == list(frame["team.name"])
    pd.testing.assert_frame_equal(frame, before)


def test_to_wide_holds_what_long_holds():
    # 3 + 4 requests in two metrics, one charge; resources and dates of change are not in long
    long = pl.DataFrame(
        {
            "id": ["a", "a", "a", "b", "a"],
            "metric": [
                "usage.requests.chat",
                "usage.requests.agent",
                "charges.net",
                "usage.quantity",
                "charges.bonus",
            ],
            "value": [3.0, 4.0, 2.5, 9.0, 1.0],
            "unit": ["requests", "requests", "EUR", "GB", "EUR"],
        }
    )
    first, second = rows(tu.to_wide(long))
    assert (first["usage.requests.chat"], first["usage.requests.agent"]) == (3.0, 4.0)
    assert (first["charges.net"], first["charges.currency"]) == (2.5, "EUR")
    assert first["charges"] == [
        {"amount": 2.5, "currency": "EUR", "type": "net"},
        {"amount": 1.0, "currency": "EUR", "type": "bonus"},
    ]
    assert (second["id"], second["usage.quantity"], second["usage.unit"]) == ("b", 9.0, "GB")


def test_charges_without_the_nested_column_come_from_the_typed_ones():
    frame = tu.flatten_usage(RECORDS, backend="polars").drop("charges")
    made, direct = tu.charges(frame), tu.flatten_usage(RECORDS, backend="polars", layout="charges")
    assert made["charges.amount"].sum() == pytest.approx(direct["charges.amount"].sum(), rel=1e-12)
    assert (
        tu.to_long(frame).height == tu.to_long(tu.flatten_usage(RECORDS, backend="polars")).height
    )


def test_what_a_frame_does_not_hold_is_named():
    frame = tu.flatten_usage(RECORDS, backend="polars", sep="_")
    with pytest.raises(tu.errors.UnknownFieldError, match="no column 'resources'"):
        tu.resources(frame.drop("resources"))
    with pytest.raises(KeyError, match="no column 'usage_code_tool_actions'"):
        tu.tool_actions(frame.drop("usage_code_tool_actions"))
    with pytest.raises(tu.errors.UnknownFieldError, match="long frame holds no resources"):
        tu.resources(tu.to_long(frame))
    with pytest.raises(tu.errors.FrameError, match="no usage frame"):
        tu.to_long(pd.DataFrame({"x": [1]}))
    with pytest.raises(tu.errors.FrameError, match="frame of charges; a wide one is needed"):
        tu.to_long(tu.charges(frame))
    with pytest.raises(TypeError, match="Did you mean 'duplicates'"):
        tu.to_long(frame, duplicate="keep")


def test_frames_with_a_few_columns_suffice():
    frame = pd.DataFrame({"id": ["a", "b"], "usage_tokens_input": [1, None], "team": ["x", "y"]})
    long = tu.to_long(frame)
    assert [(r["id"], r["metric"], r["value"], r["team"]) for r in rows(long)] == [
        ("a", "usage.tokens.input", 1.0, "x")
    ]


def csv_of_pandas(frame):
    text = frame.to_csv(index=False)
    return pd.read_csv(io.StringIO(text))


def csv_of_text(frame):
    text = frame.to_csv(index=False)
    return pd.read_csv(io.StringIO(text), dtype=str)


def database(frame):
    with duckdb.connect() as connection:
        connection.register("frame", pa.Table.from_pandas(frame, preserve_index=False))
        connection.execute("create table t as select * from frame")
        return connection.sql("select * from t").df()


def excel(frame):
    """What a spreadsheet does: naive dates, flags as numbers, text for the lists."""
    back = frame.copy()
    for name in ("start_date", "end_date", "created_at", "updated_at"):
        back[name] = back[name].dt.tz_localize(None)
    for name in ("usage.activity.is_active", "usage.activity.max_mode"):
        back[name] = back[name].astype("Float64")
    for name in ("charges", "resources", "usage.code.tool_actions"):
        back[name] = [str(entries) for entries in pa.array(frame[name]).to_pylist()]
        back[name] = back[name].replace("None", None)
    return back


@pytest.mark.parametrize("way", [csv_of_pandas, csv_of_text, database, excel])
@pytest.mark.parametrize("sep", [".", "_"])
@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
def test_restore_brings_a_frame_back(way, sep):
    frame = tu.flatten_usage(RECORDS)
    back = way(frame)
    back.columns = [name.replace(".", sep) for name in back.columns]
    pd.testing.assert_frame_equal(tu.restore(back), frame)
    assert columns(tu.restore(back, sep="_")) == [name.replace(".", "_") for name in frame.columns]


def test_restore_of_polars_and_long(tmp_path):
    long = tu.flatten_usage(RECORDS, layout="long", backend="polars")
    path = tmp_path / "long.csv"
    long.write_csv(path)
    assert tu.restore(pl.read_csv(path, infer_schema=False)).equals(long)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_restore_reads_naive_dates_as_utc_in_any_session(zone):
    with duckdb.connect() as connection:
        connection.execute(f"set TimeZone = '{zone}'")
        relation = connection.sql(
            "select 'a' as id, timestamp '2026-03-01' as start_date, '1' as usage_quantity"
        )
        instant = tu.restore(relation).aggregate("epoch(max(start_date))").fetchall()[0][0]
    assert instant == 1772323200  # 2026-03-01T00:00:00Z: 20,513 days × 86,400 s


def test_restore_names_the_column_and_the_value_that_does_not_fit():
    for column, value, kind in (
        ("usage.quantity", "many", "number"),
        ("start_date", "yesterday", "date"),
        ("usage.activity.is_active", "maybe", "boolean"),
    ):
        frame = pd.DataFrame({"id": ["a", "b"], column: [None, value]})
        with pytest.raises(
            tu.errors.FrameError, match=f"{column}.* holds {value}, which is not a {kind}"
        ):
            tu.restore(frame)
    with pytest.raises(tu.errors.FrameError, match="'charges' holds three, which is not a list"):
        tu.restore(pd.DataFrame({"id": ["a"], "charges": ["three"]}))


def test_empty_frames_reshape_to_empty_frames():
    empty = tu.flatten_usage([], backend="polars")
    for layout, reshape in SHAPES.items():
        assert reshape(empty).equals(tu.flatten_usage([], backend="polars", layout=layout))
    assert tu.to_wide(tu.to_long(empty)).equals(empty)


ACTIONS = {
    "id": "a",
    "usage": {"code": {"tool_actions": {"e": {"x": 2, "y": 3}}}},
    "charges": [{"amount": 1, "type": "zz", "currency": "usd"}],
}


@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
@pytest.mark.parametrize(
    "own", ["m", "e", "i", "entry", "place", "charges_", "team", "tool", "count"]
)
def test_no_name_of_a_caller_s_column_reaches_the_figures(own):
    frame = tu.flatten_usage([ACTIONS])
    long = tu.to_long(frame.assign(**{own: "s"}))
    assert list(long[own]) == ["s"] * 3
    assert long.drop(columns=own).equals(tu.to_long(frame))
    assert list(tu.to_wide(long)[own]) == ["s"]


@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
def test_a_caller_s_column_that_would_meet_the_answer_s_is_refused():
    frame = tu.flatten_usage([ACTIONS])
    for own in ("metric", "value", "unit"):
        with pytest.raises(tu.errors.FrameError, match=f"own column '{own}'"):
            tu.to_long(frame.assign(**{own: "s"}))


def test_to_wide_adds_nothing_up_and_tears_nothing_apart():
    sessions = {"id": "a", "usage": {"sessions": {"distinct": 5}, "quantity": 1}}
    long = tu.flatten_usage([sessions], layout="long")
    with pytest.raises(tu.errors.FrameError, match="a record has a metric twice"):
        tu.to_wide(pd.concat([long, long]))
    with pytest.raises(tu.errors.FrameError, match="the rows of a record differ"):
        tu.to_wide(long.assign(n=[1, 2]))


def test_frames_with_unclear_names_are_refused():
    for frame, words in (
        (
            pd.DataFrame({"id": ["a"], "usage_quantity": [5.0], "usage.unit": ["GB"]}),
            "mixes spellings",
        ),
        (
            pd.DataFrame([["a", 1, 2]], columns=["id", "usage.quantity", "usage.quantity"]),
            "tell apart",
        ),
        (pd.DataFrame([["a", 1, 2]], columns=["id", "usage.quantity", "ID"]), "tell apart"),
        (pd.DataFrame({"id": ["a"], "usage.quantity": [1], 5: [1]}), "must be text"),
    ):
        with pytest.raises(tu.errors.FrameError, match=words):
            tu.to_long(frame)
        with pytest.raises(tu.errors.FrameError, match=words):
            tu.restore(frame)


def test_restore_leaves_the_text_within_nested_columns_as_it_was():
    odd = [{"id": 'it\'s {"x"} {y}'}, {"id": "r} {s"}, {"id": "a\n} {b", "name": "None"}]
    frame = tu.flatten_usage([{"id": "a", "resources": odd}])
    back = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert rows(tu.resources(tu.restore(back))) == rows(tu.resources(frame))


def test_restore_of_a_relation_takes_json():
    relation = duckdb.sql(
        'select \'a\' as id, \'[{"amount": 1, "currency": null, "type": "net"}]\' as charges'
    )
    (row,) = rows(tu.restore(relation))
    assert row["charges"] == [{"amount": 1.0, "currency": None, "type": "net"}]
