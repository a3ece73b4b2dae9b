"""Exports of a frame of Spark hold what those of Polars hold, file by file and figure by figure."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

import tidyusage as tu
from tidyusage.errors import ExportError, OptionError

ROOT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.xdist_group("spark"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet", "ignore:The copy keyword"),
]
# Windows that begin in another month where the session's clock is New York's.
RECORDS = [
    {
        "id": id_,
        "product": {"id": "claude", "name": "Claude"},
        "user": {"id": user},
        "model": {"id": "m"},
        "start_date": start,
        "end_date": end,
        "usage": {"tokens": {"input": 5}},
        "charges": [{"type": "net", "amount": amount, "currency": "USD"}],
    }
    for id_, user, start, end, amount in (
        ("a", "ada", "2026-01-31T20:00:00Z", "2026-01-31T21:00:00Z", 1.5),
        ("b", "bob", "2026-02-01T02:00:00Z", "2026-02-01T03:00:00Z", 2.25),
        ("c", None, None, None, 4.0),
    )
]


@pytest.fixture(autouse=True)
def elsewhere(spark):
    """Have the session's clock be one that no answer may depend on."""
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    yield
    spark.conf.unset("spark.sql.session.timeZone")


@pytest.fixture(scope="module")
def frame(spark):
    return tu.flatten_usage(RECORDS, backend="pyspark", session=spark)


def both(tmp_path, frame, target, **options):
    """Export from Spark and from Polars; return both manifests' tables, and both places."""
    given = tu.flatten_usage(RECORDS, backend="polars")
    places = [tmp_path / "spark", tmp_path / "polars"]
    told = [
        tu.export_usage(each, f"{target}{place}/", **options)["tables"]
        for each, place in zip((frame, given), places, strict=True)
    ]
    return told, places


def test_parquet_is_parted_by_months_of_utc(tmp_path, frame):
    (told, theirs), (ours, other) = both(tmp_path, frame, "", partition_by="month")
    assert told["usage_wide"] == theirs["usage_wide"]
    assert told["usage_wide"]["money"]["USD"]["cost"] == 7.75  # 1.5 + 2.25 + 4
    folders = {path.name for path in (ours / "usage_wide").iterdir()}
    assert folders == {"month=2026-01", "month=2026-02", "month=__HIVE_DEFAULT_PARTITION__"}
    assert json.loads((ours / "_manifest.json").read_text())["tables"] == told
    assert {path.suffix for path in ours.rglob("*") if path.is_file()} == {".parquet", ".json"}
    found = pl.read_parquet(ours / "usage_wide")
    assert_frame_equal(found, pl.read_parquet(other / "usage_wide"), check_row_order=False)


def test_the_star_is_that_of_polars_as_delta_lake_tables(tmp_path, frame):
    (told, theirs), places = both(tmp_path, frame, "delta:", tables="star")
    assert told == theirs
    for name in told:
        ours, other = (DeltaTable(place / name).to_pyarrow_table() for place in places)
        found = pl.from_arrow(ours).select(other.column_names)
        assert_frame_equal(found, pl.from_arrow(other), check_row_order=False)


def test_focus_is_that_of_polars(tmp_path, frame):
    with pytest.warns(tu.errors.RejectWarning, match="1 charge is not told in FOCUS"):
        (told, theirs), (ours, other) = both(
            tmp_path, frame, "", tables="focus", billing_account="4711"
        )
    assert told == theirs
    for name in ("focus", "focus_set_aside"):
        found = pl.read_parquet(ours / name)
        assert_frame_equal(found, pl.read_parquet(other / name), check_row_order=False)


def test_what_is_there_is_replaced_whole_or_stays(tmp_path, frame):
    target = f"{tmp_path / 'out'}/"
    tu.export_usage(frame, target)
    with pytest.raises(ExportError, match="is there already"):
        tu.export_usage(frame, target)
    few = frame.where("id = 'a'").withColumn("team", frame["user_id"])
    assert tu.export_usage(few, target, mode="overwrite")["tables"]["usage_wide"]["rows"] == 1
    assert pl.read_parquet(tmp_path / "out" / "usage_wide")["team"].to_list() == ["ada"]
    broken = frame.selectExpr("* except (id)", "raise_error('no') as id")
    with pytest.raises(Exception, match="no"):
        tu.export_usage(broken, target, mode="overwrite")
    assert pl.read_parquet(tmp_path / "out" / "usage_wide")["id"].to_list() == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_other_tables_stay(tmp_path, frame):
    target = f"{tmp_path / 'out'}/"
    tu.export_usage(frame, target)
    told = tu.export_usage(frame, target, tables="long", mode="overwrite")
    assert list(told["tables"]) == ["usage_long"]
    there = json.loads((tmp_path / "out" / "_manifest.json").read_text())["tables"]
    assert set(there) == {"usage_wide", "usage_long"}
    assert pl.read_parquet(tmp_path / "out" / "usage_wide").height == len(RECORDS)
    with pytest.raises(ExportError, match="usage_long' is there already"):
        tu.export_usage(frame, target, tables="long")


def test_a_partition_is_one_file_in_order_however_many_tasks_there_are(tmp_path, frame, request):
    conf = frame.sparkSession.conf
    conf.set("spark.sql.adaptive.enabled", "true")
    request.addfinalizer(lambda: conf.set("spark.sql.adaptive.enabled", "false"))
    rows = frame.where("start_date is not null")
    many = rows.unionByName(rows.selectExpr("* except (id)", "id || '2' as id"))
    tu.export_usage(many.repartition(4), f"{tmp_path / 'out'}/", partition_by="year")
    (file,) = (tmp_path / "out" / "usage_wide").rglob("*.parquet")
    assert pl.read_parquet(file)["start_date"].is_sorted()


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("usage.csv", {}, "Spark cannot export to 'usage.csv'"),
        ("out/", {"mode": "append"}, "mode='append' is not for a frame of Spark"),
        ("out/", {"drop": ["user"]}, "Users are not hidden"),
        ("out/", {"anonymise": ["user"], "anonymise_key": "k"}, "Users are not hidden"),
    ],
)
def test_what_executors_cannot_do_is_refused(tmp_path, frame, target, options, said):
    with pytest.raises(OptionError, match=said):
        tu.export_usage(frame, f"{tmp_path}/{target}", **options)


def test_a_value_that_would_not_come_back_from_a_folder_is_refused(tmp_path, frame):
    rows = frame.selectExpr("* except (surface)", "'' as surface")
    with pytest.raises(ExportError, match="The value '' of 'surface' cannot be the name"):
        tu.export_usage(rows, f"{tmp_path / 'out'}/", partition_by="surface")


def test_days_are_restated_as_the_page_says(tmp_path, spark):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/cluster.md").read_text(), re.DOTALL)
    page = {}
    exec(block, page)  # noqa: S102 - it is ours

    def of(**amounts):
        days = {"a": "2026-01-01", "b": "2026-01-01", "c": "2026-01-02", "d": "2026-01-03"}
        records = [
            {"id": id_, "updated_at": f"2026-02-{amount:02}", "start_date": days.get(id_)}
            | {"charges": [{"type": "net", "amount": amount}]}
            for id_, amount in amounts.items()
        ]
        return tu.flatten_usage(records, backend="pyspark", session=spark)

    wide = str(tmp_path / "wide")
    of(a=1, b=2, c=4, none=3).selectExpr("*", page["DAY"]).write.partitionBy("day").parquet(wide)
    untouched = {path.name for path in (tmp_path / "wide" / "day=2026-01-02").iterdir()}
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    page["restate"](of(b=8, d=16, also=5), wide)
    found = spark.read.parquet(wide).collect()
    # b is restated, d and "also" are new; a and "none" stay beside them, c is not looked at.
    assert {row["id"]: row["charges_net"] for row in found} == {
        "a": 1, "b": 8, "c": 4, "d": 16, "none": 3, "also": 5
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "wide" / "day=2026-01-02").iterdir()} == untouched
