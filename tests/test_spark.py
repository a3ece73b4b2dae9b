"""Spark frames: every question gets the answer that Polars gives of the same records.

What Polars answers is held to the oracle and to figures worked out by hand elsewhere.
"""

import datetime as dt
import math
import re
from types import SimpleNamespace

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import findings_cases
import servers
import tidyusage as tu
from conftest import PRICES
from conftest import rows as rows_of
from flavours import example, flattened
from test_grain import roll_up
from tidyusage.engines import spark as sparks
from tidyusage.engines.dialects import translate
from tidyusage.errors import FrameError, OptionError, RecordError, UsageError

pytestmark = [
    pytest.mark.xdist_group("spark"),
    pytest.mark.filterwarnings("ignore"),  # pyspark's own, of pandas 3; and that sums overlap
]
AT = "2026-03-0{}T00:00:00Z"
ODD = [
    {"id": "nothing"},
    {"id": "empty", "resources": [], "charges": [], "usage": {"code": {"tool_actions": {}}}},
    {
        "id": "quotes'\"`",
        "product": {"id": "{tu__spark}", "name": 'O\'Neil \\ "q" {x}'},
        "user": {"id": " U1 ", "email": "A@x.org"},
        "model": {"id": "m'{0}\\n", "provider": "ü"},
        "surface": "}{",
        "start_date": AT.format(1),
        "end_date": AT.format(8),
        "charges": [{"type": "net", "amount": 7, "currency": "usd"}],
        "resources": [{"id": "r'{}"}, {"name": "\\"}],
        "usage": {
            "tokens": {"input": 100, "output": 7, "cache_read": 10},
            "requests": {"total": 0},
            "code": {"tool_actions": {"a.b'{}": {"accepted": 3, "rejected": 0}, "z": 4}},
        },
    },
    {
        "id": "euro",
        "product": {"id": "{tu__spark}"},
        "user": {"email": "a@x.org "},
        "model": {"id": "gpt-4o-2024-08-06"},
        "start_date": "2026-03-07T23:30:00Z",
        "end_date": "2026-03-08T00:30:00Z",
        "updated_at": "2026-03-08T00:30:00.123456Z",
        "charges": [
            {"type": "total", "amount": 9, "currency": "EUR"},
            {"type": "committed", "amount": 5, "currency": "EUR"},
            {"type": "on_demand", "amount": 3, "currency": "EUR"},
        ],
        "usage": {
            "tokens": {"input": 0, "output": 0, "total": 0},
            "requests": {"total": 3},
            "code": {"lines_added": 0, "accepts": 0, "rejects": 0},
            "activity": {"is_active": False},
        },
    },
    {"id": "zero", "user": {"id": "u1"}, "usage": {"tokens": {"total": 12345678.5}}},
]
BROKEN = [
    {"id": "a", "usage": {"tokens": {"input": -12}}, "charges": [{"type": "neto", "amount": 3}]},
    {"id": "a", "usage": {"tokens": {"input": 3, "cache_write": 5}}},
    {"id": "b", "start_date": AT.format(3), "end_date": AT.format(1)},
    {"id": "c", "product": {"name": "x'{y}\\"}},
    {"id": "d", "usage": {"code": {"tool_actions": {"edit": {"accepted": -3}}}}},
    {"id": "e", "charges": [{"type": "net", "amount": 1, "currency": "dollar"}]},
    {"id": "good"},
]
VERSIONS = [
    {
        "id": "a",
        "start_date": AT.format(1),
        "updated_at": AT.format(day),
        "charges": [{"type": "net", "amount": amount, "currency": currency}],
    }
    for day, amount, currency in [(3, 5, "USD"), (5, 7, "EUR"), (4, 6, "USD")]
] + [{"id": "b", "user": {"id": "{}"}, "start_date": AT.format(2)}] * 2


def table(records):
    return flattened(records, "pyarrow", sep="_", duplicates="keep")


def narrow(found):
    """Return a table without columns that hold nothing: plans are made of columns."""
    return found.select(
        [name for name in found.column_names if found[name].null_count < len(found)]
    )


def with_own(found):
    """Return a table with columns of the caller's own, whose names and texts try to mislead."""
    count = found.num_rows
    own = {
        "team {x}": [f"t'{n % 2}\\{{}}" for n in range(count)],
        "tu `day`": [dt.date(2026, 1, 1 + n) for n in range(count)],
        "seen": [dt.datetime(2026, 3, 8, n, tzinfo=dt.UTC) for n in range(count)],
        "weight": [None, math.nan, *range(2, count)],
        "flag": [n % 2 == 0 for n in range(count)],
    }
    for name, values in own.items():
        found = found.append_column(name, pa.array(values))
    return found


FRAMES = {
    "example": lambda: example(backend="pyarrow", sep="_"),
    "odd": lambda: with_own(table(ODD)),
    "none": lambda: table([]),
    "broken": lambda: table(BROKEN),
    "versions": lambda: table(VERSIONS),
    "findings": lambda: table(
        [r for cases in findings_cases.CASES.values() for case in cases for r in case.fires]
    ),
    "roll_up": lambda: narrow(table(roll_up(extra=0.5))),
}
# The session of each frame, so that both kinds are asked much the same.
CONNECTED = {"odd", "versions", "roll_up"}


@pytest.fixture(scope="module")
def frames(spark):
    """Return each of the frames on Spark, classic or connected, and in Polars."""
    remote = servers.connected(spark)
    held = {}

    def found(name):
        if name not in held:
            rows = FRAMES[name]()
            session = remote if name in CONNECTED else spark
            # Tests of others set the zone too; no answer depends on it, nor on ANSI's way.
            spark.conf.set("spark.sql.session.timeZone", "America/New_York")
            remote.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
            remote.conf.set("spark.sql.ansi.enabled", "false")
            whole = rows or pa.Table.from_batches([pa.RecordBatch.from_pylist([], rows.schema)])
            held[name] = (session.createDataFrame(whole), pl.from_arrow(rows))
        return held[name]

    yield SimpleNamespace(of=found, sessions=(spark, remote))
    remote.stop()


def plain(value):
    """Return a value with floats to nine digits, instants in UTC, and NaN as what it is: nothing."""
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.9g}")
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.astimezone(dt.UTC) if getattr(value, "tzinfo", None) else value


def rows(frame):
    frame = frame.toArrow() if hasattr(frame, "toArrow") else frame
    return [plain(row) for row in rows_of(frame)]


QUESTIONS = [
    ("acceptance_rate", ("model.id",), {}),
    ("active_users", (), {"freq": "1w", "overlap": "ignore"}),
    ("allocate", ("resources",), {"weights": {"r'{}": 3, "*": 1}}),
    ("allocate_shared", ({"user.id": None}, "user.id"), {}),
    ("cache_hit_rate", ("surface",), {}),
    ("cache_savings", (), {"prices": PRICES}),
    ("between", ("2026-03",), {}),
    ("charges", (), {"duplicates": "keep"}),
    ("complete_until", ({"{tu__spark}": "2d", "*": "30d"},), {"as_of": "2026-03-10"}),
    ("cost_by", ("model.id",), {"freq": "1mo", "tz": "Asia/Kolkata", "end": "inclusive"}),
    ("cost_by", ("resources.id",), {"rates": {"EUR": 1.25, "USD": 1, "CREDITS": 2}, "to": "USD"}),
    ("cost_per", ("requests.total", "user.id"), {}),
    ("cost_per_token", ("product.id",), {"per": 1e6}),
    ("daily", (), {}),
    ("estimate_cost", ("model.id",), {"prices": PRICES}),
    ("findings", (), {"only": ["parts_not_total", "currency_missing"]}),
    ("grains", (), {}),
    ("latest", (), {"key": "natural"}),
    ("model_names", ({"m'{0}\\n": "gpt-4o"},), {}),
    ("rename_models", ({"m'{0}\\n": "{}'\\"},), {}),
    ("resources", (), {"duplicates": "keep"}),
    ("restatements", (), {}),
    ("restore", (), {"sep": "_"}),
    ("stickiness", (), {}),
    ("summary", (), {}),
    ("to_long", (), {"duplicates": "keep"}),
    ("to_wide", (), {}),
    ("tokens_by", ("tool",), {}),
    ("tool_actions", (), {"duplicates": "keep"}),
    ("top", (2, "surface"), {}),
    ("totals", (), {}),
    ("trend", ("product.id",), {}),
    ("with_person", (), {}),
]
# Those that have tests of their own, below; and those that take no frame of Spark.
APART = {"at_grain", "drift", "explain", "filter_usage", "overlaps", "reconcile", "usage"}
APART |= {"plot", "report", "table", "validate_usage"}
WITHOUT = {"errors", "export_usage", "fetch_usage", "flatten_usage", "iter_usage", "load_example"}
WITHOUT |= {"read_usage", "schemas", "sql"}
# What has little to say of the odd records; each question costs a second.
ON_EXAMPLE = {
    "active_users",
    "acceptance_rate",
    "cost_by",
    "cost_per",
    "daily",
    "stickiness",
    "top",
}


def test_no_function_is_forgotten():
    assert {name for name, *_ in QUESTIONS} | APART | WITHOUT == set(tu.__all__)


def check(name, frames, which, *arguments, **options):
    of_spark, of_polars = frames.of(which)
    try:
        theirs = getattr(tu, name)(of_polars, *arguments, **options)
    except RecordError as fault:  # a lazy answer says it when its rows are asked for
        fact = str(fault).partition("\n")[0]
        with pytest.raises(Exception, match=re.escape(fact)):
            getattr(tu, name)(of_spark, *arguments, **options).collect()
        return
    ours = getattr(tu, name)(of_spark, *arguments, **options)
    assert ours.columns == theirs.columns
    assert numbered(rows(ours)) == numbered(rows(theirs))


def numbered(found):
    """Return rows whose records are counted: Spark numbers them in order, and leaves some out."""
    records = sorted({row["record"] for row in found if "record" in row})
    return [
        {**row, "record": records.index(row["record"])} if "record" in row else row for row in found
    ]


@pytest.mark.parametrize(("name", "arguments", "options"), QUESTIONS)
def test_spark_answers_as_polars_does(frames, name, arguments, options):
    check(name, frames, "odd", *arguments, **options)


@pytest.mark.parametrize("question", [q for q in QUESTIONS if q[0] in ON_EXAMPLE])
def test_spark_answers_so_of_the_example(frames, question):
    name, arguments, options = question
    check(name, frames, "example", *arguments, **options)


def test_dimensions_of_ones_own_keep_their_dtypes(frames):
    by = ["team {x}", "tu `day`", "seen", "flag"]
    check("tokens_by", frames, "odd", *by)
    of_spark, _ = frames.of("odd")
    found = tu.tokens_by(of_spark, *by)
    assert found.dtypes[:4] == [(name, dict(of_spark.dtypes)[name]) for name in by]


@pytest.mark.parametrize("name", ["cost_by", "charges", "latest", "validate_usage"])
def test_a_frame_without_rows_has_none(frames, name):
    of_spark, _ = frames.of("none")
    assert rows(getattr(tu, name)(of_spark)) == []


@pytest.mark.parametrize("name", ["latest", "restatements"])
def test_versions_are_told_apart(frames, name):
    check(name, frames, "versions")


@pytest.mark.parametrize("only", [*findings_cases.CASES])
def test_findings_are_those_of_polars(frames, only):
    _, of_polars = frames.of("findings")
    assert rows(tu.findings(of_polars, only=only, overlap="ignore"))
    check("findings", frames, "findings", only=only, overlap="ignore")


def test_one_grain_is_made(frames):
    of_spark, of_polars = frames.of("roll_up")
    ours, theirs = (tu.at_grain(frame, "finest") for frame in (of_spark, of_polars))
    assert sorted(map(str, rows(ours))) == sorted(map(str, rows(theirs)))


def test_rows_that_have_no_order_are_not_sorted(frames, capsys):
    of_spark, _ = frames.of("example")
    key = "spark.sql.maxPlanStringLength"
    settings = of_spark.sparkSession.conf
    before = settings.get(key)
    settings.set(key, str(10**7))
    plans = []
    for frame in (of_spark.orderBy("id"), tu.daily(of_spark)):
        frame.explain("extended")
        plans.append(capsys.readouterr().out)
    settings.set(key, before)
    # A sort of all rows, not of each part by itself, is one with "true" in the plan.
    assert ["], true" in plan for plan in plans] == [True, False]


def test_overlaps_are_seen(frames):
    check("overlaps", frames, "roll_up")
    of_spark, _ = frames.of("roll_up")
    with pytest.raises(Exception, match="sums count some usage twice"):
        tu.cost_by(of_spark, overlap="raise").collect()


def test_a_long_frame_answers_as_a_wide_one(frames):
    of_spark, of_polars = frames.of("example")
    ours, theirs = tu.to_long(of_spark), tu.to_long(of_polars)
    assert rows(tu.to_wide(ours)) == rows(tu.to_wide(theirs))
    assert rows(tu.cost_by(ours, "model.id")) == rows(tu.cost_by(theirs, "model.id"))


@pytest.mark.parametrize("chart", ["cost_by", "active_users"])
def test_charts_are_those_of_polars_with_groups_folded(frames, chart):
    ours, theirs = (
        plain(getattr(tu.plot, chart)(frame, "model.id", freq="1w", groups=2).to_dict())
        for frame in frames.of("example")
    )
    assert "other (4)" in str(ours)
    assert ours == theirs


def test_it_is_explained(frames):
    ours, theirs = (tu.explain(frame, "cost_by", "model.id") for frame in frames.of("example"))
    assert str(ours) == str(theirs)
    assert ours.counts == theirs.counts


@pytest.mark.parametrize("name", ["drift", "reconcile"])
def test_two_frames_are_compared(frames, name):
    of_spark, of_polars = frames.of("example")
    ours = getattr(tu, name)(of_spark, of_spark.limit(200))
    assert rows(ours) == rows(getattr(tu, name)(of_polars, of_polars.head(200)))


def test_rates_prices_and_invoices_may_be_frames_of_spark(frames):
    of_spark, of_polars = frames.of("example")
    rates = [{"currency": "USD", "date": "2020-01-01", "rate": 2.0}]
    prices = [{"model.id": "claude-opus-4-1", "input": 15.0, "output": 75.0}]
    invoice = [{"Month": "2026-01", "Service": "Claude", "Amount": 5.0, "Currency": "USD"}]
    read = {"date": "Month", "product.id": "Service", "cost": "Amount", "currency": "Currency"}

    def asked(frame, make):
        yield tu.cost_by(frame, "product.id", rates=make(rates), to="EUR")
        yield tu.estimate_cost(frame, "model.id", prices=make(prices))
        yield tu.reconcile(frame, make(invoice), columns=read, products={"Claude": "claude"})

    make = of_spark.sparkSession.createDataFrame
    for ours, theirs in zip(asked(of_spark, make), asked(of_polars, pl.DataFrame), strict=True):
        assert rows(ours)
        assert rows(ours) == rows(theirs)


# What breaks a rule


def test_what_fails_is_told_row_by_row(frames):
    told = []
    of_spark, of_polars = frames.of("broken")
    for frame in (of_spark, of_polars, duckdb.from_arrow(of_polars.to_arrow())):
        with pytest.raises(UsageError) as fault:
            tu.validate_usage(frame)
        cases = rows(fault.value.failure_cases)
        told.append((str(fault.value), [{**row, "index": None} for row in cases]))
    (ours, our_cases), (theirs, their_cases), of_relation = told
    assert ours == theirs
    assert our_cases == their_cases
    assert of_relation == (theirs, their_cases)
    # two rows of one id, and one each of a negative input, an unknown type, dates, a name without
    # an id, a negative count and a currency
    assert len(our_cases) == 8


def test_rows_that_fail_are_parted_from_the_others(frames):
    of_spark, of_polars = frames.of("broken")
    for ours, theirs in zip(tu.filter_usage(of_spark), tu.filter_usage(of_polars), strict=True):
        assert rows(ours) == rows(theirs)
    good, _ = tu.filter_usage(of_spark)
    assert tu.validate_usage(good) is good


def test_a_wrong_dtype_is_told(frames):
    of_spark, _ = frames.of("odd")
    wrong = of_spark.selectExpr("id", "cast(usage_tokens_input as string) as usage_tokens_input")
    with pytest.raises(UsageError) as fault:
        tu.validate_usage(wrong)
    cases = [
        (row["column"], row["check"], row["failure_case"])
        for row in rows(fault.value.failure_cases)
    ]
    assert cases == [("usage_tokens_input", "dtype", "string")]
    with pytest.raises(UsageError, match="usage_tokens_input: dtype string"):
        tu.filter_usage(wrong)


# When it runs


LAZY = [
    ("cost_by", ("model.id",), {}),
    ("daily", (), {}),
    ("filter_usage", (), {}),
    ("findings", (), {"only": "late_days"}),
    ("latest", (), {}),
    ("rename_models", (), {}),
    ("to_long", (), {"duplicates": "keep"}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), LAZY)
def test_nothing_runs_before_it_is_asked_for(frames, name, arguments, options):
    of_spark, _ = frames.of("odd")
    raising = of_spark.where("raise_error(concat('read ', id)) is null")
    found = getattr(tu, name)(raising, *arguments, **options)
    found = found[0] if isinstance(found, tuple) else found
    with pytest.raises(Exception, match="read nothing"):
        found.collect()


def test_a_query_of_few_steps_is_planned_as_it_is():
    tree = translate.parsed("with a as (select 1 as x) select * from a", "spark")
    assert sparks.run_in_steps(tree, lambda query, parts: (query, dict(parts))) == (tree, {})


def test_a_guard_speaks_when_the_rows_are_asked_for(frames):
    of_spark, _ = frames.of("odd")
    found = tu.cost_by(of_spark, rates={"GBP": 1.1}, to="USD")
    with pytest.raises(Exception, match="EUR"):
        found.collect()


# What Spark cannot do


REFUSED = [
    (lambda frame: tu.allocate(frame, weights=lambda _: 1), OptionError, "weights= is a function"),
    (tu.estimate_cost, OptionError, "Without prices="),
    (
        lambda frame: tu.restore(frame.selectExpr("id", "cast(charges as string) as charges")),
        FrameError,
        "The column 'charges' holds text",
    ),
    (
        lambda frame: tu.to_wide(frame.select("id", "team {x}")),
        FrameError,
        "This is no usage frame",
    ),
]


@pytest.mark.parametrize(("asked", "error", "text"), REFUSED)
def test_what_cannot_be_done_is_said(frames, asked, error, text):
    of_spark, _ = frames.of("odd")
    with pytest.raises(error, match=re.escape(text)):
        asked(of_spark)


# The accessor


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow", "duckdb"])
def test_any_frame_has_the_functions_as_methods(backend):
    frame = example(backend=backend, sep="_")
    assert rows(tu.usage(frame).cost_by("model_id")) == rows(tu.cost_by(frame, "model_id"))


def test_a_spark_frame_has_them_too(frames):
    of_spark, of_polars = frames.of("example")
    found = tu.usage(of_spark).cost_by("model_id")
    assert rows(found) == rows(tu.cost_by(of_polars, "model_id"))
    assert "DataFrame: acceptance_rate" in repr(tu.usage(of_spark))


def test_what_is_no_frame_has_none():
    with pytest.raises(FrameError, match="list is no frame"):
        tu.usage([])
