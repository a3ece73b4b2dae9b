"""The SQL that `tu.sql` prints, executed where it is meant for, and held to the oracle."""

import functools
import re
import warnings
from decimal import Decimal

import adbc_driver_postgresql.dbapi
import duckdb
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import servers
import tidyusage as tu
from conftest import ARGUMENTS, FRAMES, OPTIONS, ask
from flavours import example
from strategies import draws
from test_oracle import QUESTIONS, RECORDS, alike, answered, asked, expected, period_of
from tidyusage.engines.query import GUARD, NOTICE
from tidyusage.errors import OptionError, UnknownFieldError, UnknownOptionError

ZONES = st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"])
TABLE = "usage_wide"
DIALECTS = (
    "bigquery",
    "clickhouse",
    "databricks",
    "mysql",
    "redshift",
    "snowflake",
    "trino",
    "tsql",
)


class DuckDB:
    dialect = "duckdb"

    def __init__(self):
        self.connection = duckdb.connect()

    def hold(self, table, zone):
        self.connection.execute(f"set TimeZone = '{zone}'")
        self.connection.register(TABLE, table)

    def ask(self, sql):
        return self.connection.sql(sql).to_arrow_table().to_pylist()


class Postgres:
    dialect = "postgres"

    def __init__(self, address):
        self.connection = adbc_driver_postgresql.dbapi.connect(address, autocommit=True)

    def hold(self, table, zone):
        lists = ("resources", "charges", "usage_code_tool_actions")
        texts = ", ".join(f"to_json({name}) as {name}" for name in lists)
        table = duckdb.from_arrow(table).project(f"* replace ({texts})").to_arrow_table()
        with self.connection.cursor() as cursor:
            cursor.execute(f"set timezone = '{zone}'")
            cursor.execute(f"drop table if exists {TABLE}")
            cursor.adbc_ingest(TABLE, table)
            for name in lists:
                change = f"alter column {name} type jsonb using {name}::jsonb"
                cursor.execute(f"alter table {TABLE} {change}")

    def ask(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            found = cursor.fetch_arrow_table()
        # A sum of whole numbers is numeric in PostgreSQL, which Arrow gets as opaque text.
        numeric = [field.name for field in found.schema if isinstance(field.type, pa.OpaqueType)]
        rows = found.to_pylist()
        return [
            row | {name: float(row[name]) for name in numeric if row[name] is not None}
            for row in rows
        ]


class Spark:
    dialect = "spark"

    def __init__(self, session):
        self.session = session

    def hold(self, table, zone):
        self.session.conf.set("spark.sql.session.timeZone", zone)
        if not table.num_rows:  # Spark takes no table without a batch
            table = pa.Table.from_batches([pa.RecordBatch.from_pylist([], table.schema)])
        self.session.createDataFrame(table).createOrReplaceTempView(TABLE)

    def ask(self, sql):
        return self.session.sql(sql).toArrow().to_pylist()


@pytest.fixture(scope="module")
def engine(request):
    if request.param == "duckdb":
        yield DuckDB()
    elif request.param == "postgres":
        with servers.postgres() as address:
            found = Postgres(address)
            yield found
            found.connection.close()
    else:
        yield Spark(request.getfixturevalue("spark"))


def number(value):
    return float(value) if isinstance(value, Decimal) else value


def check(engine, records, question, zone):
    name, by, options = question
    table = tu.flatten_usage(records, backend="pyarrow", sep="_")
    engine.hold(table, zone)
    sql = asked(functools.partial(tu.sql, table=TABLE, dialect=engine.dialect), question, name)
    rows = [{key: number(value) for key, value in row.items()} for row in engine.ask(sql)]
    guards = [row.pop(GUARD) for row in rows if GUARD in row]
    for row in rows:
        row.pop(NOTICE, None)
    theirs = expected(records, name, by, options)
    if isinstance(theirs, str):
        assert guards[0] is not None
        return
    assert not any(guards)
    spelled = [field.replace(".", "_") for field in by]
    alike(answered(rows, spelled, period_of(question)), theirs)


def drawn(examples):
    return settings(
        max_examples=draws(examples), deadline=None, suppress_health_check=list(HealthCheck)
    )


@pytest.mark.parametrize("engine", ["duckdb", "postgres"], indirect=True)
@drawn(50)
@given(records=RECORDS, question=QUESTIONS, zone=ZONES)
def test_the_text_gives_what_the_oracle_says(engine, records, question, zone):
    check(engine, records, question, zone)


@pytest.mark.slow
@pytest.mark.xdist_group("spark")
@pytest.mark.parametrize("engine", ["spark"], indirect=True)
@drawn(15)
@given(records=RECORDS, question=QUESTIONS, zone=ZONES)
def test_spark_gives_what_the_oracle_says(engine, records, question, zone):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(engine, records, question, zone)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", FRAMES)
def test_other_dialects_are_read_back_or_refused(name, dialect):
    try:
        asked_ = (*ARGUMENTS.get(name, ()), "model.id")
        text = tu.sql(name, *asked_, dialect=dialect, **OPTIONS.get(name, {}))
    except OptionError as error:
        assert f"{dialect} has no words" in str(error)  # noqa: PT017
        return
    tree = sqlglot.parse_one(text, read=dialect)
    assert {table.name for table in tree.find_all(sqlglot.exp.Table)} >= {TABLE}
    names = [name for name in tree.named_selects if name != GUARD]
    assert names == columns_of(name)


@pytest.mark.parametrize("name", FRAMES)
def test_persons_go_by_their_name(name):
    frame = example(backend="polars", sep="_")
    given, options = (*ARGUMENTS.get(name, ()), "person"), OPTIONS.get(name, {})
    found = duckdb.sql(tu.sql(name, *given, table="frame", **options)).pl()
    found = found.select(column for column in found.columns if column != GUARD)
    theirs = ask(name, frame, "person")
    assert found.columns == theirs.columns
    assert found["person"].to_list() == theirs["person"].to_list()


@functools.cache
def columns_of(name):
    """The columns of an answer, by model, to the example."""
    return ask(name, example(backend="polars", sep="_"), "model.id").columns


def test_the_table_is_named_as_it_is_written():
    text = tu.sql("cost_by", "model.id", table='sales."Usage wide"', sep=".", dialect="postgres")
    assert 'FROM sales."Usage wide"' in text
    assert '"charges.net"' in text
    assert "charges_net" not in text


def test_a_week_begins_on_monday_in_bigquery():
    assert "ISOWEEK" in tu.sql("active_users", freq="1w", dialect="bigquery")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (["cost"], {}, OptionError, "There is no metric 'cost'.\n\nDid you mean 'cost_by'?"),
        (["cost_per"], {}, OptionError, "cost_per: missing a required argument: 'measure'"),
        (["explain"], {}, OptionError, "There is no metric 'explain'"),
        (["cost_by"], {"dialect": None}, OptionError, "dialect=None is none"),
        (["cost_by"], {"dialect": "postgresql"}, OptionError, "Did you mean 'postgres'?"),
        (["cost_by"], {"sep": "-"}, OptionError, "sep='-' is not a value"),
        (["cost_by"], {"table": "a b; drop"}, OptionError, "'a b; drop' is no name of a table"),
        (["cost_by"], {"charges": "net"}, UnknownOptionError, "Did you mean 'charge'?"),
        (["cost_by", "model"], {}, UnknownFieldError, "Unknown dimension 'model'"),
    ],
)
def test_what_cannot_be_asked_is_said(arguments, options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        tu.sql(*arguments, **options)
