"""The house: who may import whom, what an import costs, and what README and CI agree on."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import tidyusage as tu

ROOT = Path(__file__).parents[1]
SOURCE = Path(tu.__file__).parent
# From the ground up: a module imports only what stands before it.
FLOORS = [
    "_utils.foreign typing catalogue _utils.iso4217 _utils.numbers _utils.html _utils.progress _utils.machine _utils.interrupts",
    "errors io.json_text",
    "_utils.sql",
    "_utils.atomic",
    "schema testing io.compression",
    "io.paths io.rejects io.fetch_manifest io.api_pages _utils.connections",
    "io.serialize _utils.bounded",
    "io.memory engines.dialects.spark_functions",
    "engines.dialects.spark",
    "engines.dialects.translate engines.column_checks engines.spark_steps engines.spark_sessions",
    "spark engines.spark",
    "engines.frames",
    "io.file_kinds io.archives io.remote",
    "io.inputs engines.pandas_dtypes engines.relations metrics._charges metrics._tolerance",
    "engines.query",
    "io.parse_sql layouts.convert_sql engines.columns io.scan_sql metrics._periods prepare._date_range metrics._person",
    "io.diagnose io.spool io.unknown_keys io.options io.quick_sql engines.dialects.lists",
    "io.spark.typed_sql",
    "io.spark.new_keys",
    "io.spark.raw",
    "io.spark.files io.spark.reject_places",
    "metrics._source metrics._spread",
    "metrics._grain metrics._mixed_grains",
    "metrics._duplicates metrics._overlap_sql",
    "metrics._overlap metrics._missing_charges",
    "io.reader metrics._usage metrics._rates",
    "io.lazy layouts.convert layouts.restore metrics._measures metrics._token_convention metrics._missing_days",
    "io.spark.read",
    "metrics.cost metrics.tokens metrics.acceptance",
    "metrics.users metrics.cost_per_token metrics.totals metrics._ranked_measures",
    "metrics._prices metrics.ranking",
    "metrics.stickiness metrics.cost_per metrics.estimates metrics.summary metrics._topics",
    "metrics._cost_topics",
    "metrics.explain",
    "metrics prepare._rewrite prepare._parts prepare.grains prepare._name_rules prepare._texts",
    "prepare._residual prepare._members",
    "prepare._reports",
    "prepare.at_grain",
    "prepare._weights prepare._selection prepare._allocation_key",
    "prepare.allocate prepare._spreading prepare.with_person",
    "prepare.allocate_shared",
    "prepare._keys prepare.windows prepare.complete_until",
    "prepare.restatements",
    "prepare.model_names quality._pull_facts quality.invoice",
    "quality.drift quality.reconcile",
    "quality._rule",
    "quality.rules quality._dtypes quality._pandera_import",
    "quality.rules_sql quality._pandera_classes",
    "quality.pandera_schemas",
    "schemas",
    "quality._pandera_errors",
    "quality.validate",
    "quality.findings quality.findings.check",
    "quality.findings.money quality.findings.tokens quality.findings.days quality.findings.people",
    "quality.findings.currency quality.findings.running quality.findings.cents",
    "quality.findings.duplicates",
    "quality.findings.report",
    "prepare quality metrics.sql _utils.htmltext engines.cache",
    "plot.colors plot.labels plot.periods",
    "plot.groups tables.formats",
    "plot.draw tables.build",
    "plot.compose plot.saving",
    "plot.costs plot.tokens plot.users plot.acceptance",
    "plot.measure",
    "plot.trends plot.heatmaps plot.concentration",
    "plot",
    "export.table export.focus_services export.focus_currencies export.focus_units export.masks",
    "export.calendar export.dimensions export.focus_columns export.usage",
    "export.star export.focus_records",
    "export.focus_charges export.charge_columns",
    "export.focus",
    "export.whole export.target export.pseudonyms export.held export.secret export.own",
    "export.stage",
    "export.extras export.privacy export.partitions export.cells export.upsert export.sheet",
    "export.manifest",
    "export.job",
    "export.parquet export.delimited export.excel export.database export.postgres export.hyper",
    "export.folder",
    "export.delta",
    "export.plan",
    "export.executors",
    "export.export",
    "export",
    "reporting.asked reporting.calendar reporting.members reporting.markup",
    "reporting.cubes reporting.trust",
    "reporting.activity reporting.spelled",
    "reporting.figures",
    "reporting.coverage reporting.embedded",
    "reporting.page",
    "reporting.report",
    "reporting",
    "accessor",
    "io.stored",
    "io.assemble",
    "io.flat_files",
    "io.read io.records",
    "api.query api.secret api.service api.limits",
    "api.faults api.ranges",
    "api.client api.plan",
    "api.pages",
    "api.landing api.crawl api.bars api.reach",
    "api.collect",
    "api.fetch api.stream",
    "api",
    "__init__",
    "cli.console",
    "cli.metrics",
    "cli.quality cli.fetch cli.export cli.report",
    "cli.main",
]


@functools.cache
def modules():
    paths = (path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.py"))
    names = (".".join(path.parts) for path in paths)
    return sorted(name.removesuffix(".__init__") for name in names)


def path_of(name):
    path = SOURCE / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imported(name):
    tree = ast.parse(path_of(name).read_text())
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        assert not node.level, "relative import"
        home, _, module = (node.module or "").partition(".")
        if home != "tidyusage":
            continue
        inner = [f"{module}.{alias.name}".removeprefix(".") for alias in node.names]
        yield from {m if m in modules() else module for m in inner} - {""}


def test_every_module_has_its_floor():
    assert sorted(name for floor in FLOORS for name in floor.split()) == modules()


@pytest.mark.parametrize("name", modules())
def test_imports_point_down(name):
    floor = next(number for number, names in enumerate(FLOORS) if name in names.split())
    for other in imported(name):
        other_floor = next(number for number, names in enumerate(FLOORS) if other in names.split())
        assert other_floor < floor, f"{name} imports {other}"


def fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_brings_pandas_and_polars_and_nothing_else_that_is_heavy():
    heavy = (
        "pandera",
        "duckdb",
        "sqlglot",
        "pyspark",
        "altair",
        "vl_convert",
        "great_tables",
        "typer",
        "rich",
        "httpx",
        "anyio",
    )
    loaded = fresh(
        f"import sys, tidyusage; print([m for m in {(*heavy, 'pandas', 'polars')!r} if m in sys.modules])"
    )
    assert loaded == "['pandas', 'polars']"


def test_help_loads_no_engine():
    code = (
        "import sys\nsys.argv = ['tidyusage', '--help']\nfrom tidyusage.cli import app\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'duckdb', 'pandera', 'sqlglot', 'pyspark'} & set(sys.modules)"
    )
    assert "flatten" in fresh(code)


def test_public_names_are_complete_sorted_and_documented():
    assert tu.__all__ == sorted(tu.__all__)
    public = {name for name in vars(tu) if not name.startswith("_")}
    assert public - set(tu.__all__) <= set(modules())
    for name in tu.__all__:
        assert getattr(tu, name).__doc__, name


def test_ci_runs_the_second_command_of_readme():
    command = next(
        line for line in (ROOT / "README.md").read_text().splitlines() if "/pytest" in line
    )
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_errors_are_also_the_builtins_they_stand_for():
    pairs = {
        "OptionError": ValueError,
        "UnknownOptionError": TypeError,
        "UnknownFieldError": KeyError,
        "FrameError": TypeError,
        "SourceError": FileNotFoundError,
        "RecordError": ValueError,
        "MissingExtraError": ImportError,
        "OverlapError": ValueError,
        "MemoryLimitError": MemoryError,
        "ApiError": OSError,
    }
    for name, builtin in pairs.items():
        error = getattr(tu.errors, name)
        assert issubclass(error, tu.errors.UsageError)
        assert issubclass(error, builtin)
        assert str(error("the fact", "what to do")) == "the fact\n\nwhat to do"
