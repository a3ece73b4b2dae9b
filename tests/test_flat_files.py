"""Wide and long frames in files: what was written is read as what it is."""

import bz2
import gzip
import io

import polars as pl
import pytest

import tidyusage as tu
from conftest import present, rows
from tidyusage.errors import OptionError, RecordError, SourceError

RECORDS = [
    {
        "id": "a",
        "product": {"id": "claude"},
        "user": {"id": "12", "email": "ada@x.io"},
        "start_date": "2026-01-01T00:00:00Z",
        "usage": {"tokens": {"input": 7}, "activity": {"is_active": True},
                  "code": {"tool_actions": {"edit": {"accepted": 3}}}},
        "charges": [{"amount": 2.5, "currency": "USD", "type": "net"}],
    },
    {"id": "b", "product": {"id": "cursor"}, "charges": [{"amount": 1, "currency": "USD", "type": "total"}]},
]  # fmt: skip
BACKENDS = ("pandas", "polars", "pyarrow", "duckdb")


def held(frame):
    return [present(row) for row in rows(frame)]


WIDE = tu.flatten_usage(RECORDS)
EXPECTED = held(WIDE)


def written(path, how):
    """Write the wide frame as users write it."""
    if how == "pandas":
        WIDE.to_csv(path, index=False)
    elif how == "pandas with its index":
        WIDE.to_csv(path)
    elif how == "polars":
        lists = ("resources", "charges", "usage.code.tool_actions")
        frame = tu.flatten_usage(RECORDS, backend="polars")
        frame.drop(lists).write_csv(path)
    elif how == "semicolons":
        WIDE.to_csv(path, index=False, sep=";")
    elif how == "export":
        tu.export_usage(WIDE, path)
    return path


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("how", ["pandas", "pandas with its index", "semicolons"])
def test_a_wide_frame_in_a_csv_file_comes_back(tmp_path, how, backend):
    path = written(tmp_path / "usage.csv", how)
    assert held(tu.read_usage(path, backend=backend)) == EXPECTED


def test_the_library_s_own_csv_and_polars_csv_come_back(tmp_path):
    # The export has no lists by default, and polars cannot write them: the amounts say the same.
    for how in ("export", "polars"):
        frame = tu.read_usage(written(tmp_path / f"{how}.csv", how))
        assert [row["charges.currency"] for row in held(frame)] == ["USD", "USD"]
        # 2.5 net, 1 total
        assert tu.cost_by(frame)["cost"].tolist() == [3.5]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_compressed_csv_and_csv_from_a_pipe_are_read(tmp_path, pack):
    path = written(tmp_path / "usage.csv", "pandas")
    packed = pack(path.read_bytes())
    (tmp_path / "usage.csv.gz").write_bytes(packed)
    assert held(tu.read_usage(tmp_path / "usage.csv.gz")) == EXPECTED
    for backend in ("polars", "duckdb"):
        assert held(tu.read_usage(io.BytesIO(packed), backend=backend)) == EXPECTED
    (tmp_path / "usage.csv.gz").write_bytes(packed[:-1])
    with pytest.raises(RecordError, match=r"usage.csv.gz' is cut off"):
        tu.read_usage(tmp_path / "usage.csv.gz")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sep", [".", "_"])
@pytest.mark.parametrize("layout", ["wide", "long"])
def test_both_layouts_in_either_spelling_come_back_from_parquet(tmp_path, layout, sep, backend):
    path = tmp_path / "usage.parquet"
    frame = tu.flatten_usage(RECORDS, layout=layout, sep=sep, backend="polars")
    frame.write_parquet(path)
    assert held(tu.read_usage(path, layout=layout, sep=sep, backend=backend)) == held(frame)
    dotted = held(tu.flatten_usage(RECORDS, layout=layout))
    assert held(tu.read_usage(path, layout=layout, backend=backend)) == dotted


def test_another_layout_is_made_of_a_file_s_own(tmp_path):
    tu.flatten_usage(RECORDS, layout="long", sep="_").to_csv(tmp_path / "long.csv", index=False)
    written(tmp_path / "wide.csv", "pandas")
    assert held(tu.read_usage(tmp_path / "wide.csv", layout="long")) == held(tu.to_long(WIDE))
    assert tu.cost_by(tu.read_usage(tmp_path / "long.csv"))["cost"].tolist() == [3.5]
    charges = held(tu.read_usage(tmp_path / "wide.csv", layout="charges"))
    assert [row["charges.amount"] for row in charges] == [2.5, 1.0]
    tu.charges(WIDE).to_csv(tmp_path / "charges.csv", index=False)
    assert len(tu.read_usage(tmp_path / "charges.csv", layout="charges")) == 2
    with pytest.raises(OptionError, match="hold the layout 'charges'"):
        tu.read_usage(tmp_path / "charges.csv")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_memory_limit_holds_for_flat_files_too(tmp_path, ending):
    path = tmp_path / f"usage.{ending}"
    WIDE.to_csv(path, index=False) if ending == "csv" else tu.export_usage(WIDE, path)
    frame = tu.read_usage(path, backend="duckdb", memory_limit="500MB")
    assert frame.aggregate('count(*), sum("charges.net")').fetchall() == [(2, 2.5)]


def test_files_of_several_pulls_are_one_frame_without_the_older_rows(tmp_path):
    older = WIDE.assign(updated_at="2026-01-02T00:00:00Z", **{"charges.net": [9.0, None]})
    newer = WIDE.assign(updated_at="2026-01-03T00:00:00Z").iloc[:1]
    older.to_csv(tmp_path / "1.csv", index=False)
    newer.to_csv(tmp_path / "2.csv", index=False)
    with pytest.warns(tu.errors.DuplicateWarning, match="1 record dropped"):
        frame = tu.read_usage(tmp_path)  # the folder holds CSV files alone
    assert sorted(frame["id"]) == ["a", "b"]
    assert frame["charges.net"].sum() == 2.5
    assert len(tu.read_usage(tmp_path, duplicates="keep")) == 3
    with pytest.raises(RecordError, match="'a'"):
        tu.read_usage(tmp_path, duplicates="raise")


def test_rows_of_one_id_in_different_windows_are_all_kept(tmp_path):
    record = {"id": "a", "start_date": "2026-01-01", "end_date": "2026-01-04",
              "charges": [{"amount": 3, "currency": "USD", "type": "net"}]}  # fmt: skip
    tu.daily(tu.flatten_usage(record)).to_csv(tmp_path / "daily.csv", index=False)
    frame = tu.read_usage(tmp_path / "daily.csv")
    assert frame["charges.net"].tolist() == [1.0, 1.0, 1.0]


def test_own_columns_and_a_column_selection_are_kept(tmp_path):
    frame = WIDE[["id", "charges.net"]].assign(team=["x", "y"])
    frame.to_csv(tmp_path / "usage.csv", index=False)
    found = tu.read_usage(tmp_path / "usage.csv")
    assert list(found.columns) == ["id", "charges.net", "team"]
    with pytest.raises(RecordError, match="'team'"):
        tu.read_usage(tmp_path / "usage.csv", unknown="raise")


def test_an_absent_currency_is_what_currency_says(tmp_path):
    WIDE.drop(columns=["charges", "charges.currency"]).to_csv(tmp_path / "usage.csv", index=False)
    frame = tu.read_usage(tmp_path / "usage.csv", currency="eur")
    assert tu.cost_by(frame)["currency"].tolist() == ["EUR"]


def test_a_csv_file_of_something_else_is_an_error_in_one_sentence(tmp_path):
    (tmp_path / "x.csv").write_text("date,model,cost\n2026-01-01,gpt-5,3\n")
    with pytest.raises(
        SourceError, match=r"x.csv' is a CSV file, but not .* 'date', 'model', 'cost'\."
    ):
        tu.read_usage(tmp_path / "x.csv")
    (tmp_path / "x.txt").write_text("date;model;cost\n2026-01-01;gpt-5;3\n")
    with pytest.raises(SourceError, match="is a CSV file"):
        tu.read_usage(tmp_path / "x.txt")
    stream = io.BytesIO(b"date,model\n1,2\n")
    stream.name = "upload"
    with pytest.raises(SourceError, match="'upload' is a CSV file"):
        tu.read_usage(stream)


def test_wrong_values_and_broken_rows_are_errors_of_ours(tmp_path):
    path = tmp_path / "usage.csv"
    path.write_text("id,charges.net,charges.currency\na,many,USD\n")
    for backend in ("pandas", "polars"):
        with pytest.raises(tu.errors.UsageError, match=r"charges\.net.*many"):
            tu.read_usage(path, backend=backend)
    path.write_text("id,charges.net,charges.currency\na,1,USD\nb,2\n")
    with pytest.raises(SourceError, match=r"usage\.csv' cannot be read as CSV"):
        tu.read_usage(path)


def test_frames_beside_records_are_not_mixed(tmp_path):
    written(tmp_path / "a.csv", "pandas")
    (tmp_path / "b.ndjson").write_text('{"id": "c"}\n')
    with pytest.raises(SourceError, match="Read them separately"):
        tu.read_usage([tmp_path / "a.csv", tmp_path / "b.ndjson"])
    with pytest.warns(tu.errors.SkippedFileWarning, match="'a.csv'"):
        assert list(tu.read_usage(tmp_path)["id"]) == ["c"]  # of a folder, records are read


def test_ids_of_digits_stay_as_they_are(tmp_path):
    frame = tu.flatten_usage([{"id": "007", "user": {"id": "1234567890123456789"}}, {"id": "8"}])
    frame.to_csv(tmp_path / "usage.csv", index=False)
    found = tu.read_usage(tmp_path / "usage.csv")
    assert list(found["id"]) == ["007", "8"]
    assert found["user.id"][0] == "1234567890123456789"


@pytest.mark.parametrize("name", ["usage.csv", "usage.csv.gz", "usage.parquet"])
def test_commands_read_what_they_wrote(tmp_path, name):
    from typer.testing import CliRunner

    from tidyusage.cli.main import app

    path = tmp_path / name
    tu.export_usage(tu.load_example(), path)
    done = CliRunner().invoke(app, ["cost", str(path), "--format", "csv"])
    assert done.exit_code == 0, done.output
    expected = tu.cost_by(tu.load_example(), overlap="ignore")
    found = pl.read_csv(io.StringIO(done.stdout))
    assert found["cost"].to_list() == pytest.approx(expected["cost"].tolist(), rel=1e-9)


@pytest.mark.xdist_group("spark")
def test_flat_files_are_read_for_spark(spark, tmp_path):
    path = written(tmp_path / "usage.csv", "pandas")
    frame = tu.read_usage(path, backend="pyspark")
    assert [(row["id"], row["charges_net"]) for row in frame.collect()] == [("a", 2.5), ("b", None)]
