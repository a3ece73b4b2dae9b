"""What becomes of what is there already; and what a manifest tells of an export."""

import json
import os
import re
from pathlib import Path

import duckdb
import polars as pl
import psycopg
import pyarrow.parquet as pq
import pytest

import tidyusage as tu
from export_targets import ADDING, ALL, REPLACING, SEVERAL, read_folder, read_parquet
from flavours import example, flattened
from tidyusage.errors import (
    ExportError,
    FrameError,
    MissingExtraError,
    OptionError,
    OverlapWarning,
    UnknownFieldError,
    UnknownOptionError,
)


def record(id_, net=1.0, *, user="u1", tokens=10, resources=("r1",), day=1, month=1, **more):
    return {
        "id": id_,
        "product": {"id": "claude"},
        "organization": {"id": "o"},
        "user": {"id": user},
        "usage": {"tokens": {"total": tokens}},
        "charges": [{"amount": net, "currency": "USD", "type": "net"}] if net is not None else [],
        "resources": [{"id": name} for name in resources],
        "start_date": f"2026-{month:02}-{day:02}",
        "end_date": f"2026-{month:02}-{day + 1:02}",
        **more,
    }


def frame(*records):
    return flattened(list(records), "polars")


FIRST = (record("a"), record("b", 2.0, resources=("r1", "r2")))
# b comes again with other figures, and without charges and resources; c is new.
SECOND = (record("b", None, tokens=7, resources=()), record("c", 4.0, user="u2", day=3))


def nets(rows):
    return sorted(
        (row["id"], None if row["charges_net"] in {None, ""} else float(row["charges_net"]))
        for row in rows
    )


@pytest.mark.parametrize("kind", ALL)
def test_what_is_there_is_not_touched_unless_that_is_asked_for(at, kind):
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target)
    with pytest.raises(ExportError, match=r"is there already\.\n\nmode='overwrite'"):
        tu.export_usage(frame(*SECOND), target)
    assert nets(reader(target, "usage_wide")) == [("a", 1.0), ("b", 2.0)]


@pytest.mark.parametrize("kind", ALL)
def test_overwrite_leaves_the_new_rows_alone(at, kind):
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target)
    told = tu.export_usage(frame(*SECOND), target, mode="overwrite")
    assert nets(reader(target, "usage_wide")) == [("b", None), ("c", 4.0)]
    assert told["tables"]["usage_wide"]["rows_in_target"] == 2


@pytest.mark.parametrize("kind", ADDING)
def test_append_adds_rows(at, kind):
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target)
    told = tu.export_usage(frame(SECOND[1]), target, mode="append")
    assert nets(reader(target, "usage_wide")) == [("a", 1.0), ("b", 2.0), ("c", 4.0)]
    assert told["tables"]["usage_wide"]["rows"] == 1
    assert told["tables"]["usage_wide"]["rows_in_target"] == 3


@pytest.mark.parametrize("kind", REPLACING)
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_where_nothing_is_there_a_target_is_made(at, kind, mode):
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target, mode=mode)
    assert nets(reader(target, "usage_wide")) == [("a", 1.0), ("b", 2.0)]


@pytest.mark.parametrize("kind", REPLACING)
def test_upsert_puts_rows_in_the_place_of_those_of_the_same_records(at, kind):
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target)
    told = tu.export_usage(frame(*SECOND), target, mode="upsert")
    assert nets(reader(target, "usage_wide")) == [("a", 1.0), ("b", None), ("c", 4.0)]
    assert told["tables"]["usage_wide"]["rows_in_target"] == 3


@pytest.mark.parametrize("kind", REPLACING)
def test_upsert_takes_out_measures_that_a_record_has_no_more(at, kind):
    # Of a and b at first: tokens and net each. Then b has tokens alone, c both.
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target, tables="long")
    tu.export_usage(frame(*SECOND), target, tables="long", mode="upsert")
    found = {(row["id"], row["metric"]): row["value"] for row in reader(target, "usage_long")}
    assert found == {
        ("a", "usage.tokens.total"): 10,
        ("a", "charges.net"): 1,
        ("b", "usage.tokens.total"): 7,
        ("c", "usage.tokens.total"): 10,
        ("c", "charges.net"): 4,
    }


@pytest.mark.parametrize("kind", REPLACING)
def test_accounts_and_reports_tell_records_of_one_id_apart(at, kind):
    marked = [
        {"source": {"account": account, "report_type": "cost"}, **record("a", net)}
        for account, net in (("one", 1.0), ("two", 2.0))
    ]
    target, reader = at(kind)
    tu.export_usage(frame(*marked), target)
    again = {"source": {"account": "two", "report_type": "cost"}, **record("a", 5.0)}
    tu.export_usage(frame(again), target, mode="upsert")
    found = [(row["source_account"], row["charges_net"]) for row in reader(target, "usage_wide")]
    assert sorted(found) == [("one", 1.0), ("two", 5.0)]


@pytest.mark.parametrize("kind", SEVERAL)
def test_a_star_that_is_upserted_is_the_star_of_all_records(at, kind):
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target, tables="star")
    tu.export_usage(frame(*SECOND), target, tables="star", mode="upsert")
    usage = {row["usage_id"]: row for row in reader(target, "fact_usage")}
    keys = {row["usage_key"]: id_ for id_, row in usage.items()}
    assert {id_: row["cost"] for id_, row in usage.items()} == {"a": 1.0, "b": None, "c": 4.0}
    charges = reader(target, "fact_charges")
    assert sorted((keys[row["usage_key"]], row["amount"]) for row in charges) == [
        ("a", 1.0),
        ("c", 4.0),
    ]
    bridge = reader(target, "bridge_resources")
    assert sorted(keys[row["usage_key"]] for row in bridge) == ["a", "c"]
    users = reader(target, "dim_user")
    assert sorted(str(row["user_id"]) for row in users) == ["None", "u1", "u2"]
    assert len({row["user_key"] for row in users}) == 3


@pytest.mark.parametrize("kind", SEVERAL)
def test_what_is_added_to_a_star_doubles_no_member(at, kind):
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target, tables="star")
    tu.export_usage(frame(SECOND[1]), target, tables="star", mode="append")
    assert len(reader(target, "fact_usage")) == 3
    for name in ("dim_user", "dim_product", "dim_model", "dim_organization", "dim_date"):
        rows = reader(target, name)
        assert len({next(iter(row.values())) for row in rows}) == len(rows)


@pytest.mark.parametrize("kind", SEVERAL)
def test_tables_of_several_forms_stand_side_by_side(at, kind):
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target)
    tu.export_usage(frame(*FIRST), target, tables="long")
    assert len(reader(target, "usage_wide")) == 2
    assert len(reader(target, "usage_long")) == 4


@pytest.mark.parametrize("kind", SEVERAL)
def test_a_charge_that_can_be_told_at_last_is_set_aside_no_more(at, kind):
    target, reader = at(kind)
    without = record("a", organization=None)
    with pytest.warns(tu.errors.RejectWarning, match="1 charge is not told in FOCUS"):
        tu.export_usage(frame(without), target, tables="focus")
    assert reader(target, "focus") == []
    tu.export_usage(frame(record("a")), target, tables="focus", mode="upsert")
    assert reader(target, "focus_set_aside") == []
    assert [row["BilledCost"] for row in reader(target, "focus")] == [1.0]


@pytest.mark.parametrize(
    "kind", ["parquet", "csv", "folder", "duckdb", "postgres", "delta", "hyper"]
)
def test_other_columns_than_those_that_are_there_are_refused(at, kind):
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target)
    wider = frame(SECOND[1]).with_columns(pl.lit("x").alias("team"))
    with pytest.raises(ExportError, match=r"has other columns .* with \['team'\]"):
        tu.export_usage(wider, target, mode="append")
    assert len(reader(target, "usage_wide")) == 2
    tu.export_usage(wider, target, mode="overwrite")
    assert [row["team"] for row in reader(target, "usage_wide")] == ["x"]


@pytest.mark.parametrize(
    ("target", "mode"), [("a.csv", "upsert"), ("a.xlsx", "append"), ("a.hyper", "upsert")]
)
def test_a_mode_that_a_target_does_not_take_is_refused(at, target, mode):
    at("csv")
    with pytest.raises(OptionError, match=f"mode='{mode}' is not for '{target}'"):
        tu.export_usage(frame(*FIRST), target, mode=mode)


@pytest.mark.parametrize(
    ("target", "options", "error", "said"),
    [
        ("a.json", {}, OptionError, "does not say its kind"),
        ("s3://bucket/a.parquet", {}, OptionError, "cannot export to s3:"),
        ("nowhere/a.csv", {}, OptionError, "There is no folder"),
        ("delta:", {}, OptionError, "names no folder"),
        (3, {}, OptionError, "3 is no target"),
        ("a.csv", {"tables": "narrow"}, OptionError, "tables='narrow'"),
        ("a.csv", {"mode": "replace"}, OptionError, "mode='replace'"),
        ("a.csv", {"tables": "star"}, OptionError, "A star is of several tables"),
        ("a.csv", {"partition_by": "month"}, OptionError, "'a.csv' cannot be parted"),
        ("a/", {"partition_by": "mont"}, UnknownFieldError, "Did you mean 'month'"),
        ("a/", {"partition_by": ["month", "month"]}, OptionError, "names a column twice"),
        ("a/", {"partition_by": "../x"}, OptionError, "no name to partition by"),
        ("a.csv", {"table": "wide"}, UnknownOptionError, "Did you mean 'tables'"),
        ("a.csv", {"tables": "focus", "version": "1.0"}, OptionError, "version='1.0'"),
        ("a.csv", {"billing_account": "a"}, OptionError, "billing_account= is an option of FOCUS"),
        ("postgresql:host/db", {}, OptionError, "cannot export to postgresql:"),
    ],
)
def test_what_cannot_be_asked_is_said(at, target, options, error, said):
    at("csv")
    with pytest.raises(error, match=re.escape(said)):
        tu.export_usage(frame(*FIRST), target, **options)
    assert os.listdir(".") == []


@pytest.mark.parametrize("form", ["charges", "resources"])
def test_child_tables_are_no_records(tmp_path, form):
    child = tu.flatten_usage(list(FIRST), layout=form)
    with pytest.raises(FrameError, match=f"This is a frame of {form}"):
        tu.export_usage(child, tmp_path / "a.csv")


def test_ids_that_tell_nothing_apart_are_refused_where_they_must(at):
    target, reader = at("parquet")
    twice = pl.concat([frame(*FIRST), frame(FIRST[0])])
    for options in ({"mode": "upsert"}, {"tables": "star"}):
        place = "usage/" if "tables" in options else target
        with pytest.raises(FrameError, match=r"1 id cannot tell records apart: 'a' \(2×\)"):
            tu.export_usage(twice, place, **options)
    with pytest.warns(OverlapWarning, match="1 row repeats an id"):
        tu.export_usage(twice, target)
    assert len(reader(target)) == 3


def test_a_missing_package_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("tidyusage.errors.find_spec", lambda _: None)
    for target, extra in (
        ("a.xlsx", "excel"),
        ("a.hyper", "hyper"),
        ("delta:a", "delta"),
        ("postgresql://host/db", "postgres"),
    ):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(MissingExtraError, match=rf"Install tidyusage\[{extra}\]"):
            tu.export_usage(frame(*FIRST), target)


# Folders --------------------------------------------------------------------------------------


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def test_a_folder_is_parted_by_month_and_by_columns(at):
    target, _ = at("folder")
    rows = (record("a"), record("b", month=2), record("c", product={"id": "codex"}, month=2))
    tu.export_usage(frame(*rows), target, partition_by=["month", "product.id"])
    assert files("usage") == [
        "_manifest.json",
        "usage_wide/month=2026-01/product_id=claude/part-0-0.parquet",
        "usage_wide/month=2026-02/product_id=claude/part-0-0.parquet",
        "usage_wide/month=2026-02/product_id=codex/part-0-0.parquet",
    ]
    found = read_folder("usage", "usage_wide")
    assert {(r["id"], r["month"], r["product_id"]) for r in found} == {
        ("a", "2026-01", "claude"),
        ("b", "2026-02", "claude"),
        ("c", "2026-02", "codex"),
    }


def test_months_are_those_of_utc(at):
    # 31 January, 22:00 five hours behind UTC is 1 February, 03:00 in UTC.
    target, _ = at("folder")
    late = record("a", start_date="2026-01-31T22:00:00-05:00")
    tu.export_usage(frame(late), target, partition_by="month")
    assert files("usage")[1].startswith("usage_wide/month=2026-02/")


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_partitions_take_more_rows(at, mode):
    target, _ = at("folder")
    tu.export_usage(frame(record("a"), record("b", month=2)), target, partition_by="month")
    more = frame(record("c", month=2), record("d", month=3))
    told = tu.export_usage(more, target, mode=mode, partition_by="month")
    found = {(r["id"], r["month"]) for r in read_folder("usage", "usage_wide")}
    assert found == {("a", "2026-01"), ("b", "2026-02"), ("c", "2026-02"), ("d", "2026-03")}
    assert told["tables"]["usage_wide"]["rows_in_target"] == 4


def test_a_record_that_moves_to_another_partition_stands_once(at):
    target, _ = at("folder")
    tu.export_usage(frame(record("a"), record("b")), target, partition_by="month")
    moved = frame(record("b", 9.0, month=2))
    tu.export_usage(moved, target, mode="upsert", partition_by="month")
    found = {(r["id"], r["month"], r["charges_net"]) for r in read_folder("usage", "usage_wide")}
    assert found == {("a", "2026-01", 1.0), ("b", "2026-02", 9.0)}


def test_other_partitions_than_those_that_are_there_are_refused(at):
    target, _ = at("folder")
    tu.export_usage(frame(*FIRST), target, partition_by="month")
    with pytest.raises(ExportError, match=r"is partitioned by \['month'\], and not by \[\]"):
        tu.export_usage(frame(SECOND[1]), target, mode="append")


def test_a_folder_that_holds_anything_else_is_left_alone(at):
    at("folder")
    os.mkdir("mine")
    Path("mine/thesis.txt").write_text("years of work")
    for mode in ("error", "overwrite", "append", "upsert"):
        for target in ("mine/", "delta:mine"):
            with pytest.raises(ExportError, match=r"holds \['thesis.txt'\], which no export put"):
                tu.export_usage(frame(*FIRST), target, mode=mode)
    assert files("mine") == ["thesis.txt"]


def test_rows_within_a_file_are_in_order(at):
    target, _ = at("folder")
    rows = [record(f"r{n:03}", day=28 - n % 28) for n in range(200)]
    tu.export_usage(frame(*rows), target)
    starts = pq.read_table("usage/usage_wide")["start_date"].to_pylist()
    assert starts == sorted(starts)


# The manifest ---------------------------------------------------------------------------------


def manifest_of(kind, target):
    if kind in {"folder", "delta"}:
        return json.loads(Path("usage/_manifest.json").read_text(encoding="utf-8"))
    if kind == "duckdb":
        with duckdb.connect(target) as connection:
            found = connection.sql("select manifest from tidyusage_manifest").fetchall()
        return json.loads(found[-1][0])
    if kind == "postgres":
        address, _, schema = target.partition("?schema=")
        with psycopg.connect(address) as connection:
            query = f'select manifest from "{schema}".tidyusage_manifest order by exported_at'
            return connection.execute(query).fetchall()[-1][0]
    return json.loads(Path(f"{target}_manifest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ALL)
def test_a_manifest_tells_what_a_load_can_be_checked_by(at, kind):
    target, _ = at(kind)
    rows = (
        record("a", 1.25, tokens=10),
        record("b", 2.5, tokens=20),
        record("c", charges=[{"amount": 7, "currency": "EUR", "type": "total"}], tokens=None),
        record("d", charges=[{"amount": 3, "type": "total"}]),
    )
    told = tu.export_usage(frame(*rows), target)
    stored = manifest_of(kind, target)
    assert stored == told
    table = told["tables"]["usage_wide"]
    assert (table["rows"], table["rows_in_target"], table["key"]) == (4, 4, ["id"])
    assert table["money"] == {
        "EUR": {"cost": 7.0, "charges_total": 7.0},
        "USD": {"cost": 3.75, "charges_net": 3.75},
        "unknown": {"cost": 3.0, "charges_total": 3.0},
    }
    assert table["tokens"] == {"usage_tokens_total": 40.0}
    assert (told["schema_version"], told["mode"], told["form"]) == (1, "error", "wide")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["exported_at"])
    assert table["columns"]["charges_net"] == "double"


@pytest.mark.parametrize("tables", ["long", "star", "focus"])
def test_every_form_tells_the_same_money_and_tokens(at, tables):
    at("folder")
    told = tu.export_usage(example(), "usage/", tables=tables)["tables"]
    cost = tu.cost_by(example())["cost"].item()
    billed = {
        "long": lambda: cost,
        "star": lambda: told["fact_usage"]["money"]["USD"]["cost"],
        "focus": lambda: told["focus"]["money"]["USD"]["BilledCost Usage"],
    }[tables]()
    assert billed == pytest.approx(cost, rel=1e-12)
    if tables == "long":
        net = example()["charges.net"].sum()
        assert told["usage_long"]["money"]["USD"]["charges_net"] == pytest.approx(net)


def test_a_dictionary_of_what_was_exported_is_a_files_neighbour(at):
    target, _ = at("csv")
    tu.export_usage(frame(*FIRST), target)
    assert sorted(os.listdir(".")) == ["usage.csv", "usage.csv_manifest.json"]


def test_what_is_set_aside_is_written_beside(at):
    at("csv")
    rows = frame(record("a"), record("b", 3.0, organization=None))
    with pytest.warns(tu.errors.RejectWarning, match=r"stands in focus_set_aside: .*\(1×\)"):
        told = tu.export_usage(rows, "focus.parquet", tables="focus")
    assert [row["x_UsageId"] for row in read_parquet("focus.parquet")] == ["a"]
    aside = read_parquet("focus.set_aside.parquet")
    assert [(row["id"], row["amount"]) for row in aside] == [("b", 3.0)]
    assert told["tables"]["focus_set_aside"]["rows"] == 1
    tu.export_usage(frame(record("a")), "focus.parquet", tables="focus", mode="overwrite")
    assert not os.path.exists("focus.set_aside.parquet")


# DuckDB and PostgreSQL ------------------------------------------------------------------------


def test_views_of_a_file_answer_as_the_metrics_do(at):
    target, _ = at("duckdb")
    usage = example(backend="polars")
    tu.export_usage(usage, target)
    with duckdb.connect(target, read_only=True) as connection:
        cost = connection.sql("from cost_by_model").pl()
        days = connection.sql("from active_users_by_day").pl()
        (comment,) = connection.sql(
            "select comment from duckdb_columns() where table_name = 'usage_wide' "
            "and column_name = 'usage_tokens_input'"
        ).fetchall()
    wanted = tu.cost_by(usage, "model.id")
    assert cost["cost"].to_list() == pytest.approx(wanted["cost"].to_list())
    assert days.height == tu.active_users(usage, freq="1d").height
    assert comment[0].endswith("Unit: tokens.")


def test_every_view_of_a_file_can_be_asked(at):
    target, _ = at("duckdb")
    tu.export_usage(example(), target)
    with duckdb.connect(target, read_only=True) as connection:
        views = connection.sql("select view_name from duckdb_views() where not internal").fetchall()
        counts = {name: len(connection.sql(f"from {name}").fetchall()) for (name,) in views}
    assert len(counts) == 11
    assert min(counts.values()) > 0


def test_what_else_is_in_a_database_stays(at):
    target, _ = at("duckdb")
    with duckdb.connect(target) as connection:
        connection.execute("create table mine as select 42 as answer")
    for mode in ("error", "overwrite", "upsert"):
        tu.export_usage(frame(*FIRST), target, mode=mode)
    with duckdb.connect(target) as connection:
        assert connection.sql("from mine").fetchall() == [(42,)]


def test_a_file_that_another_process_has_open_is_said_so(at):
    target, _ = at("duckdb")
    import subprocess
    import sys

    hold = f"import duckdb, sys; c = duckdb.connect({target!r}); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        with pytest.raises(ExportError, match="lock"):
            tu.export_usage(frame(*FIRST), target)
        other.stdin.close()


def asked(server, query):
    with psycopg.connect(server.partition("?")[0]) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.slow
def test_tables_have_keys_types_and_comments(at):
    target, _ = at("postgres")
    tu.export_usage(frame(*FIRST), target, tables="star")
    schema = target.partition("?schema=")[2]
    keys = asked(
        target,
        "select conrelid::regclass::text, contype::text, count(*) from pg_constraint "
        f"where connamespace = '{schema}'::regnamespace group by 1, 2 order by 1, 2",
    )
    found = {(table.rpartition(".")[2], kind): count for table, kind, count in keys}
    # One primary key a table; facts point to five dimensions, children to their record too.
    assert {key: n for key, n in found.items() if key[1] == "p"} == dict.fromkeys(
        [(name, "p") for name in sorted({name for name, _ in found})], 1
    )
    assert found["fact_usage", "f"] == 5
    assert found["fact_charges", "f"] == found["fact_measures", "f"] == 6
    assert found["bridge_resources", "f"] == 1
    types = asked(
        target,
        "select column_name, data_type from information_schema.columns where table_schema = "
        f"'{schema}' and table_name = 'fact_usage' and column_name in "
        "('usage_key', 'start_date', 'cost', 'date_key', 'usage_activity_is_active')",
    )
    assert dict(types) == {
        "usage_key": "text",
        "start_date": "timestamp with time zone",
        "cost": "double precision",
        "date_key": "bigint",
        "usage_activity_is_active": "boolean",
    }
    comments = asked(target, f"select obj_description('\"{schema}\".dim_user'::regclass)")
    assert comments[0][0]


@pytest.mark.slow
def test_lists_are_jsonb_that_the_metrics_sql_can_read(at):
    target, _ = at("postgres")
    usage = example(backend="polars")
    tu.export_usage(usage, target)
    schema = target.partition("?schema=")[2]
    sql = tu.sql("cost_by", "resources.id", table=f'"{schema}".usage_wide', dialect="postgres")
    costs = {row[0]: row[2] for row in asked(target, sql)}
    wanted = tu.cost_by(usage, "resources.id")
    assert costs == pytest.approx(dict(zip(wanted["resources.id"], wanted["cost"], strict=True)))


@pytest.mark.slow
def test_views_on_a_table_outlive_an_overwrite(at):
    target, _ = at("postgres")
    tu.export_usage(frame(*FIRST), target)
    schema = target.partition("?schema=")[2]
    with psycopg.connect(target.partition("?")[0]) as connection:
        connection.execute(f'create view "{schema}".v as select id from "{schema}".usage_wide')
    tu.export_usage(frame(*SECOND), target, mode="overwrite")
    assert sorted(asked(target, f'select id from "{schema}".v')) == [("b",), ("c",)]
    wider = frame(SECOND[1]).with_columns(pl.lit("x").alias("team"))
    with pytest.raises(ExportError, match="Drop what depends on the table"):
        tu.export_usage(wider, target, mode="overwrite")
    assert sorted(asked(target, f'select id from "{schema}".v')) == [("b",), ("c",)]


@pytest.mark.slow
def test_rows_that_are_there_cannot_be_added_again(at):
    target, reader = at("postgres")
    tu.export_usage(frame(*FIRST), target)
    with pytest.raises(ExportError, match=r"duplicate key .*\n\nmode='upsert' puts new rows"):
        tu.export_usage(frame(record("c"), FIRST[0]), target, mode="append")
    assert len(reader(target, "usage_wide")) == 2


@pytest.mark.parametrize("kind", SEVERAL)
def test_records_of_a_star_are_added_once(at, kind):
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target, tables="star")
    with pytest.raises(ExportError, match="mode='upsert' puts new rows"):
        tu.export_usage(frame(FIRST[0], SECOND[1]), target, tables="star", mode="append")
    assert len(reader(target, "fact_usage")) == 2


@pytest.mark.parametrize("kind", SEVERAL)
def test_an_overwrite_leaves_other_tables_as_they_are(at, kind):
    target, reader = at(kind)
    tu.export_usage(frame(*FIRST), target)
    tu.export_usage(frame(*FIRST), target, tables="long")
    tu.export_usage(frame(SECOND[1]), target, mode="overwrite")
    assert len(reader(target, "usage_wide")) == 1
    assert len(reader(target, "usage_long")) == 4


def test_what_was_set_aside_in_a_file_and_can_be_told_at_last_stands_once(at):
    at("parquet")
    rows = frame(record("b", 3.0, organization=None))
    with pytest.warns(tu.errors.RejectWarning):
        tu.export_usage(rows, "focus.parquet", tables="focus")
    told = tu.export_usage(
        rows, "focus.parquet", tables="focus", mode="upsert", billing_account="a"
    )
    assert [row["BilledCost"] for row in read_parquet("focus.parquet")] == [3.0]
    assert read_parquet("focus.set_aside.parquet") == []
    assert told["tables"]["focus_set_aside"]["rows_in_target"] == 0


@pytest.mark.parametrize("name", ["focus.CSV", "focus.csv.gz", "focus.parquet"])
def test_a_file_of_ones_own_is_not_taken_for_what_is_set_aside(at, name):
    at("csv")
    stem, dot, ending = name.partition(".")
    mine = Path(f"{stem}.set_aside{dot}{ending}")
    mine.write_text("mine")
    with pytest.raises(ExportError, match="is there already"):
        tu.export_usage(frame(*FIRST), name, tables="focus")
    assert mine.read_text() == "mine"
    assert os.listdir(".") == [mine.name]


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("a.parquet", b"no parquet"),
        ("a.csv.gz", b"no gzip"),
        ("a.csv", b"\xff\xfe,\n"),
        ("a.duckdb", b"no database" * 999),
        ("a.hyper", b"no extract"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_left_as_it_is(at, name, held):
    at("csv")
    Path(name).write_bytes(held)
    with pytest.raises(ExportError, match=re.escape(name)):
        tu.export_usage(frame(*FIRST), name, mode="append")
    assert Path(name).read_bytes() == held
    assert os.listdir(".") == [name]


def test_a_manifest_that_cannot_be_read_is_said_so(at):
    target, _ = at("folder")
    tu.export_usage(frame(*FIRST), target)
    for text in ("{", "[]", '{"tables": 3}'):
        Path("usage/_manifest.json").write_text(text)
        for mode in ("overwrite", "append"):
            with pytest.raises(ExportError, match=r"_manifest\.json' cannot be read"):
                tu.export_usage(frame(*FIRST), target, mode=mode)


def test_own_columns_called_like_those_of_a_table_are_refused(at):
    at("csv")
    own = frame(*FIRST).with_columns(pl.lit("x").alias("metric"))
    with pytest.raises(FrameError, match="'metric' is called like a column of usage_long"):
        tu.export_usage(own, "a.csv", tables="long")


@pytest.mark.slow
def test_the_load_of_a_table_can_be_checked_in_the_database(at):
    target, _ = at("postgres")
    tu.export_usage(frame(*FIRST), target)
    tu.export_usage(frame(*FIRST), target, tables="star")
    schema = target.partition("?schema=")[2]
    page = Path(__file__).parents[1] / "docs" / "postgres.md"
    query = page.read_text().partition("```sql\n")[2].partition("```")[0]
    ((_, rows, money),) = asked(target, query.replace("usage.", f'"{schema}".'))
    assert (rows, money["USD"]["cost"]) == (2, 3.0)
