"""What runs the SQL: few rows are asked for in another way than many, and are the same."""

import pyarrow as pa
import pytest

import tidyusage as tu
from conftest import BACKENDS, rows
from tidyusage import connections, engines
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
    records = list(sample_records(engines.FEW + 1, seed=5))
    few, many = (rows(tu.flatten_usage(r, backend="polars")) for r in (records[:-1], records))
    assert few == many[:-1]
    assert len(many) == engines.FEW + 1


def test_a_query_holds_no_table_when_it_is_over():
    before = pa.total_allocated_bytes()
    for few in (True, False):
        table = pa.table({"x": pa.array(range(1_000), pa.int64())})
        with connections.connect() as connection:
            connection.register("usage", table)
            engines.rows(connection, "select sum(x) from usage", few=few)
        del table
        assert pa.total_allocated_bytes() <= before
