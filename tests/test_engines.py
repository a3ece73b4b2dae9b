"""What runs the SQL: few rows are asked for in another way than many, and are the same."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pyarrow as pa
import pytest

import tidyusage as tu
from conftest import BACKENDS, rows
from flavours import flattened
from tidyusage._utils import connections
from tidyusage.engines import frames as engines
from tidyusage.testing import sample_records

QUERIES = [
    "select * from usage order by place desc",
    "select null as nothing, [place] as list, {a: text} as object from usage",
    "select timestamptz '2026-01-01 00:00:00+01' as at, date '2026-01-01' as day from usage",
    "with none_ as (select * from usage where place < 0) select * from none_ order by place",
    "select sum(place) as sum, '?' as mark, '$1; --' as text from usage",
]
FAULTS = [
    "select cast(text as integer) from usage",
    "select error('tidyusage: no') from usage",
    "select nothing from usage",
    "select from from usage",
]


@pytest.fixture(params=BACKENDS)
def connection(request):
    with connections.connect() as found:
        engines.prepare(found, request.param)
        found.register("usage", pa.table({"place": [1, 2, 3], "text": ["a", None, "b"]}))
        yield found


@pytest.mark.parametrize("sql", QUERIES)
def test_rows_and_types_are_the_same(connection, sql):
    few, many = (engines.rows(connection, sql, few=few) for few in (True, False))
    assert few.schema == many.schema
    assert few.to_pylist() == many.to_pylist()


@pytest.mark.parametrize("sql", FAULTS)
def test_a_fault_is_the_same_and_the_next_query_runs(connection, sql):
    said = []
    for few in (True, False):
        with pytest.raises(Exception, match="Error") as fault:
            engines.rows(connection, sql, few=few)
        said.append((type(fault.value), engines.message(fault.value)))
        assert engines.rows(connection, "select 1 as one", few=few).to_pylist() == [{"one": 1}]
    assert said[0] == said[1]


def test_one_record_more_than_few_changes_none():
    records = list(sample_records(connections.FEW + 1, seed=5))
    few, many = (rows(tu.flatten_usage(r, backend="polars")) for r in (records[:-1], records))
    assert few == many[:-1]
    assert len(many) == connections.FEW + 1


def test_a_query_holds_no_table_when_it_is_over():
    before = pa.total_allocated_bytes()
    for few in (True, False):
        table = pa.table({"x": pa.array(range(1_000), pa.int64())})
        with connections.connect(few=few) as connection:
            connection.register("usage", table)
            engines.rows(connection, "select sum(x) from usage", few=few)
        del table
        assert pa.total_allocated_bytes() <= before


# One DuckDB for few rows -----------------------------------------------------------------------


def test_a_session_of_few_rows_sees_nothing_of_another():
    with connections.connect(few=True) as one, connections.connect(few=True) as other:
        one.register("usage", pa.table({"x": [1]}))
        one.execute("create temp table kept as select 2 as x")
        one.execute("set TimeZone = 'Asia/Tokyo'")
        for name in ("usage", "kept"):
            with pytest.raises(duckdb.CatalogException):
                other.execute(f"from {name}")
        zone = "select current_setting('TimeZone')"
        assert other.execute(zone).fetchall() == [("UTC",)]
    with connections.connect(few=True) as later:
        assert later.execute(zone).fetchall() == [("UTC",)]


def test_the_form_of_one_library_is_not_that_of_another():
    record = {"id": "a", "model": {"id": "m"}}
    for _ in range(2):
        types = [
            engines.collected(tu.flatten_usage(record, backend=backend)).schema.field("id").type
            for backend in ("pandas", "pyarrow", "polars")
        ]
        assert types == [pa.large_string(), pa.string(), pa.large_string()]


def test_threads_ask_beside_each_other():
    frames = [
        flattened([{"id": str(n), "usage": {"tokens": {"input": n}}}], backend)
        for n in range(10)
        for backend in ("pandas", "polars", "pyarrow")
    ]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda frame: rows(tu.tokens_by(frame))[0]["input"], frames * 3))
    assert found == [n for n in range(10) for _ in range(3)] * 3


FORKED = """
import os, sys
from tidyusage._utils import connections
def ask():
    with connections.connect(few=True) as connection:
        return connection.execute("select sum(range) from range(5)").fetchall()
assert ask() == [(10,)]
child = os.fork()
if not child:
    os._exit(0 if ask() == [(10,)] else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_that_is_forked_asks_too():
    command = [sys.executable, "-W", "ignore", "-c", FORKED]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
