"""pandera's schemas and models: as they are, extended, and without pandera's traps."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import tidyusage as tu
from conftest import rows
from flavours import example
from test_validate import APART, CASES, FLAVOURS, LAYOUTS, cases, table
from tidyusage import schema, schemas
from tidyusage.quality import _pandera_import
from tidyusage.quality.rules import rules

_pandera_import.load()
import pandera.pandas as pa  # noqa: E402 - its own import warns
import pandera.polars as pp  # noqa: E402
from pandera.config import config_context  # noqa: E402
from pandera.errors import SchemaErrors  # noqa: E402
from pandera.typing import DataFrame  # noqa: E402
from pandera.typing.polars import DataFrame as PolarsFrame  # noqa: E402

LIBRARIES = {"pandas": ["pandas", "pandas arrow"], "polars": ["polars"]}
OURS = {"not_nullable": "required", "field_uniqueness": "unique"}


def told(validate, frame):
    """Return what pandera says: column, rule and row."""
    try:
        validate(frame, lazy=True)
    except SchemaErrors as error:
        found = (
            rows(error.failure_cases.astype({"failure_case": str, "index": "Int64"}))
            if isinstance(error.failure_cases, pd.DataFrame)
            else rows(error.failure_cases)
        )
        return sorted(
            (of["column"], OURS.get(of["check"], of["check"]), of["index"]) for of in found
        )
    return []


def both(layout, sep="."):
    """Return the schema and the class of a layout, by library."""
    return [
        (library, flavour, validate)
        for library, flavours in LIBRARIES.items()
        for validate in (
            getattr(schemas, layout)(library, sep=sep).validate,
            schemas.model(layout, library, sep=sep).validate,
        )
        for flavour in flavours
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pandera_says_what_validate_usage_says(layout):
    dicts, said = cases(layout)
    dicts += [{**CASES[layout][0], "id": "twice"}] * 2
    key = {"wide": "id", "long": "metric"}.get(layout, "position")
    expected = [(column, check, row) for _, column, check, _, row in said]
    expected += [(key, "unique", len(dicts) - 2), (key, "unique", len(dicts) - 1)]
    for _, flavour, validate in both(layout):
        assert told(validate, FLAVOURS[flavour](table(layout, dicts))) == sorted(expected)


@pytest.mark.parametrize(("layout", "sep"), [*((layout, ".") for layout in LAYOUTS), ("wide", "_")])
def test_frames_of_tidyusage_pass_and_are_given_back(layout, sep):
    for library in LIBRARIES:
        frame = example(layout=layout, backend=library, sep=sep)
        assert getattr(schemas, layout)(library, sep=sep).validate(frame).shape == frame.shape
        empty = frame.head(0)
        assert schemas.model(layout, library, sep=sep).validate(empty).shape == empty.shape


@pytest.mark.parametrize(("layout", "sep"), [*((layout, ".") for layout in LAYOUTS), ("long", "_")])
def test_pandera_knows_records_by_account_and_report(layout, sep):
    inside = {
        "charges": [{"type": "net", "amount": 1, "currency": "USD"}],
        "resources": [{"id": "r"}],
        "usage": {"code": {"tool_actions": {"edit": {"accepted": 1}}}},
    }
    records = [{**each, **inside} for each in APART]
    frame = tu.flatten_usage(records, layout=layout, sep=sep, backend="pyarrow")
    wrong = frame.take([*range(frame.num_rows), 0])
    places = {("unique", 0), ("unique", frame.num_rows)}
    for _, flavour, validate in both(layout, sep):
        assert told(validate, FLAVOURS[flavour](frame)) == []
        assert {row[1:] for row in told(validate, FLAVOURS[flavour](wrong))} == places
        if flavour == "polars":
            with pytest.raises(SchemaErrors):
                validate(FLAVOURS[flavour](wrong).lazy(), lazy=True).collect()


def test_columns_dtypes_and_what_is_required_are_the_catalogues():
    made = tu.schemas.wide("polars")
    frame = tu.load_example(backend="polars")
    optional = {"remote_data", "extra", "source.account", "source.report_type"}
    every = schema.layout_types("wide", remote_data=True, extra=True, source=True)
    assert list(made.columns) == list(every)
    for name, column in made.columns.items():
        assert column.required == (name not in optional)
        assert column.nullable == (name != "id")
        assert column.unique == (name == "id")
        assert name in optional or column.dtype.type == frame.schema[name]
    pandas = tu.load_example()
    assert all(tu.schemas.wide().columns[n].dtype.type == t for n, t in pandas.dtypes.items())
    assert tu.schemas.wide().columns["model.id"].description.startswith("The AI model")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_column_that_is_absent_or_of_another_dtype_fails(library):
    made = tu.schemas.wide(library)
    frame = tu.load_example(backend=library)
    without = (
        frame.drop(columns="charges.net") if library == "pandas" else frame.drop("charges.net")
    )
    with pytest.raises(SchemaErrors, match=r"charges\.net"):
        made.validate(without, lazy=True)
    for wrong in ("int64", "str", "naive"):
        column = "start_date" if wrong == "naive" else "usage.tokens.input"
        if library == "pandas":
            value = (
                pd.Timestamp("2026-01-01") if wrong == "naive" else {"int64": 1, "str": "x"}[wrong]
            )
            odd = frame.assign(**{column: value})
        else:
            value = (
                pl.datetime(2026, 1, 1)
                if wrong == "naive"
                else pl.lit({"int64": 1, "str": "x"}[wrong])
            )
            odd = frame.with_columns(value.alias(column))
        with pytest.raises(SchemaErrors, match=column):
            made.validate(odd, lazy=True)


def test_options_that_are_none_are_refused():
    for call in (
        lambda: tu.schemas.wide("duckdb"),
        lambda: tu.schemas.long("pandas", sep="__"),
        lambda: tu.schemas.charges("pandas", currencies="CREDITS"),
        lambda: tu.schemas.model("width"),
    ):
        with pytest.raises(tu.errors.OptionError):
            call()
    with pytest.raises(tu.errors.UnknownOptionError, match="currencies"):
        tu.schemas.wide(currency=["CREDITS"])
    with pytest.raises(AttributeError, match="PandasTall"):
        schemas.PandasTall  # noqa: B018 - the name alone


def test_further_currencies_are_named_to_schemas_too():
    frame = table("charges", [{"id": "a", "position": 0, "charges.currency": "CREDITS"}])
    for library in LIBRARIES:
        made = FLAVOURS[library](frame)
        assert tu.schemas.charges(library, currencies=["credits"]).validate(made) is not None
        assert told(tu.schemas.charges(library).validate, made) == [
            ("charges.currency", "currency_code", 0)
        ]


def test_classes_are_there_to_complete_and_are_made_once():
    assert {name for name in dir(schemas) if name.startswith(("Pandas", "Polars"))} == {
        *schemas._MODELS
    }
    assert set(schemas._MODELS) < set(schemas.__all__)
    assert schemas.PandasWide is schemas.PandasWide is schemas.model()
    assert schemas.PolarsToolActions.__name__ == "PolarsToolActions"
    assert schemas.PandasWide.charges__net == "charges.net"
    assert schemas.model("wide", "polars", sep="_").charges_net == "charges_net"


class PandasTeams(schemas.PandasWide):
    team: str = pa.Field(isin=["core", "data"])
    charges__net: float = pa.Field(alias="charges.net", ge=0, nullable=True)

    @pa.check("usage.tokens.input", name="few")
    def few(cls, tokens):  # noqa: N805 - pandera calls it with the class
        return tokens < 1e9


class PolarsTeams(schemas.PolarsWide):
    team: str = pp.Field(isin=["core", "data"])

    @pp.check("usage.tokens.input", name="few")
    def few(cls, data):  # noqa: N805 - likewise
        return data.lazyframe.select(pl.col(data.key) < 1e9)


def test_a_class_is_extended_and_keeps_the_rules():
    dicts = [
        {"id": "a", "charges.net": 1.0},
        {"id": "b", "usage.tokens.input": 1e9},
        {"id": "c", "usage.tokens.input": -1, "charges.net": -1.0},
    ]
    teams = ["core", "other", "data"]
    pandas = FLAVOURS["pandas"](table("wide", dicts)).assign(team=teams)
    rules = [("team", f"isin({teams[::2]})", 1), ("usage.tokens.input", "few", 1)]
    rules.append(("usage.tokens.input", "not_negative", 2))
    net = ("charges.net", "greater_than_or_equal_to(0)", 2)
    assert told(PandasTeams.validate, pandas) == sorted([*rules, net])
    assert told(PolarsTeams.validate, pl.from_pandas(pandas)) == sorted(rules)
    # A class that was extended is as before.
    assert told(schemas.PandasWide.validate, pandas) == rules[2:]


def test_check_types_reads_the_classes():
    @pa.check_types(lazy=True)
    def first(frame: DataFrame[schemas.PandasWide]) -> DataFrame[PandasTeams]:
        return frame.head(1).assign(team="core")

    @pp.check_types(lazy=True)
    def second(frame: PolarsFrame[schemas.PolarsLong]) -> PolarsFrame[schemas.PolarsLong]:
        return frame.head(1)

    frame = tu.load_example()
    assert list(first(frame)["team"]) == ["core"]
    assert second(tu.load_example(layout="long", backend="polars")).height == 1
    with pytest.raises(SchemaErrors, match="not_negative"):
        first(frame.assign(**{"usage.tokens.input": -1.0}))
    with pytest.raises(SchemaErrors, match="metric"):
        second(tu.load_example(layout="long", backend="polars").drop("metric"))


def test_a_lazy_frames_data_are_checked_when_it_is_collected():
    """pandera looks at the dtypes of a lazy frame, and no further."""
    made = table("wide", [{"id": "a", "usage.tokens.input": -1}])
    lazy = pl.from_arrow(made).lazy()
    pandera_alone = pp.DataFrameSchema(
        {"usage.tokens.input": pp.Column(float, pa.Check.ge(0), nullable=True)}
    )
    assert pandera_alone.validate(lazy).collect().height == 1
    for validate in (tu.schemas.wide("polars").validate, schemas.PolarsWide.validate):
        checked = validate(lazy, lazy=True)
        assert isinstance(checked, pl.LazyFrame)
        with pytest.raises(SchemaErrors, match="not_negative"):
            checked.filter(pl.col("id") == "b").collect()
        with pytest.raises(SchemaErrors, match="dtype"):
            validate(lazy.with_columns(pl.lit(1).alias("usage.tokens.input")), lazy=True)
        with config_context(validation_depth="SCHEMA_ONLY"):  # as somebody asked for
            assert validate(lazy).collect().height == 1


def test_invalid_rows_are_not_dropped_by_pandera():
    """With drop_invalid_rows=True a column of a wrong dtype passes without a word."""
    wrong = tu.load_example(backend="polars").with_columns(pl.lit("x").alias("usage.tokens.input"))
    alone = pp.DataFrameSchema({"usage.tokens.input": pp.Column(float)}, drop_invalid_rows=True)
    assert alone.validate(wrong, lazy=True).height == wrong.height
    with pytest.raises(SchemaErrors):
        tu.filter_usage(wrong)

    class Dropping(schemas.PolarsWide):
        class Config:
            drop_invalid_rows = True

    made = tu.schemas.wide()
    made.drop_invalid_rows = True
    for call in (
        lambda: made.validate(tu.load_example(), lazy=True),
        lambda: Dropping.validate(wrong, lazy=True),
    ):
        with pytest.raises(tu.errors.OptionError, match="filter_usage"):
            call()


QUIET = """
import os, sys
import pyspark
import tidyusage as tu
before = dict(os.environ)
assert not any(name.startswith("pandera") for name in sys.modules)
frame = tu.load_example()
frame["usage.tokens.input"] = -1.0
for check in (tu.validate_usage, tu.schemas.wide().validate, tu.schemas.PandasWide.validate):
    try:
        check(frame)
    except Exception as error:
        assert "not_negative" in str(error), error
    else:
        raise AssertionError("nothing was said")
lazy = tu.load_example(backend="polars").lazy()
tu.schemas.PolarsWide.validate(tu.validate_usage(lazy)).collect()
spark = [name for name in sys.modules if name.startswith("pyspark.pandas")]
assert not spark and "pandera.pyspark" not in sys.modules, spark
assert dict(os.environ) == before
print("at the end")
"""


@pytest.mark.slow
@pytest.mark.parametrize("spark", ["import pyspark\n", ""])
def test_pandera_is_imported_without_spark_warnings_or_an_early_end(spark):
    """Importing pandera.pyspark without grpcio ends the interpreter, and its status is 0."""
    code = QUIET.replace("import pyspark\n", spark)
    environment = {k: v for k, v in os.environ.items() if k not in _pandera_import._SET}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("at the end\n", "", 0)


def listed_rules():
    """Return the table of the rules of wide, and of what other layouts have beside."""
    lines = ["| rule | column | what must hold |", "| --- | --- | --- |"]
    seen = set()
    for layout in LAYOUTS:
        grouped = {}
        for rule in rules(layout):
            if (rule.name, rule.column) not in seen:
                grouped.setdefault((rule.name, rule.sentence), []).append(rule.column)
        for (name, sentence), columns in grouped.items():
            of = (
                f"{len(columns)} counts"
                if len(columns) > 5
                else ", ".join(f"`{c}`" for c in columns)
            )
            of += "" if layout == "wide" else f" ({layout})"
            lines.append(f"| `{name}` | {of} | {sentence} |")
        seen |= {(rule.name, rule.column) for rule in rules(layout)}
    return "\n".join(lines)


def test_the_page_lists_the_rules():
    page = Path(__file__).parents[1] / "docs" / "validation.md"
    assert listed_rules() in page.read_text(encoding="utf-8")
