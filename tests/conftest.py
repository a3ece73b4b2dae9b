"""What all tests share: the two speeds of a run, the engines' constructors, a skip that CI does not forgive."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any
from zlib import crc32

import pytest

# A process a core runs the tests: threads of Polars' own would wait for each other.
os.environ["POLARS_MAX_THREADS"] = "1"

import polars as pl
import pyarrow as pa

import tidyusage as tu
import tidyusage.metrics

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else every process recompiles all modules
os.environ["COLUMNS"] = "80"  # frames print alike wherever the tests run

BACKENDS = ("pandas", "polars", "pyarrow", "duckdb")

PRICES = {"opus": {"input": 15, "output": 75, "cache_read": 1.5, "cache_write": 18.75}}
# What a metric must be given before its dimensions, and what else: enough to ask every one.
ARGUMENTS: dict[str, tuple[Any, ...]] = {"top": (3,), "cost_per": ("users",)}
OPTIONS = {name: {"prices": PRICES} for name in ("cache_savings", "estimate_cost")}
FRAMES = tuple(name for name in tu.metrics.__all__ if name != "explain")  # that give a frame


def ask(name: str, frame: Any, *by: str, overlap: str = "ignore") -> Any:
    """Ask a metric of a frame, with no more options than it must have."""
    metric, options = getattr(tu, name), {**OPTIONS.get(name, {}), "overlap": overlap}
    return metric(frame, *ARGUMENTS.get(name, ()), *by, **options)


def rows(frame: Any) -> list[dict[str, Any]]:
    """Return any frame as dicts, with None for every kind of missing."""
    if isinstance(frame, list):
        return frame
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame.to_dicts()
    if isinstance(frame, pa.Table):
        return frame.to_pylist()
    if type(frame).__name__ == "DuckDBPyRelation":
        return frame.to_arrow_table().to_pylist()
    return pa.Table.from_pandas(frame, preserve_index=False).to_pylist()


def columns(frame: Any) -> list[str]:
    if isinstance(frame, pl.LazyFrame):
        return frame.collect_schema().names()
    return list(frame.column_names if isinstance(frame, pa.Table) else frame.columns)


def present(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a row holds, without its nulls."""
    return {name: value for name, value in row.items() if value is not None}


@pytest.fixture(params=BACKENDS)
def flatten(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """flatten_usage, for each library in turn."""
    return lambda records, **options: tu.flatten_usage(records, backend=request.param, **options)


@pytest.fixture(scope="module")
def server() -> Any:
    """A PostgreSQL of a module's own."""
    from servers import postgres

    with postgres() as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Any:
    """A Chromium of a module's own."""
    from browser import chromium

    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def spark() -> Any:
    """The one Spark of all tests; those that ask for it are of the xdist group `spark`."""
    import warnings

    from servers import spark as started

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyspark's own, of pandas 3
        with started() as session:
            yield session


@pytest.fixture
def at(tmp_path: Any, monkeypatch: Any, request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """A target of a kind, and its reader, in an empty folder or an empty schema."""
    from export_targets import ALL

    monkeypatch.chdir(tmp_path)

    def found(kind: str) -> Any:
        target, reader = ALL[kind]
        if target:
            return target, reader
        return f"{request.getfixturevalue('server')}?schema={tmp_path.name}", reader

    return found


# The long run, `CI=true pytest`, runs everything; `pytest` alone leaves out what is marked slow.
IN_CI = bool(os.environ.get("CI"))
# What needs one of these is slow without a mark: a test with the fixture, or with the parameter "postgres".
SLOW_FIXTURES = {"server", "browser", "spark"}


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers() -> Any:
    """Use one more worker than cores in the long run: some wait for servers and Spark."""
    return (yield) + IN_CI


def pytest_itemcollected(item: Any) -> None:
    """Mark as slow what starts PostgreSQL, a browser or Spark."""
    fixtures = getattr(item, "fixturenames", ())
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    if SLOW_FIXTURES & {*fixtures} or any(
        isinstance(v, str) and v == "postgres" for v in parameters
    ):
        item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    """Leave slow tests to the long run, and make groups of xdist hold."""
    if not IN_CI and not config.option.markexpr:
        _leave_out_slow(config, items)
    # xdist 3.8 writes groups where pytest 9.2 does not look; try without at 3.9.
    for item in items:
        if (grouped := getattr(item, "_nodeid", item.nodeid)) != item.nodeid:
            from _pytest.nodeid import coerce_node_id

            item._id = coerce_node_id(grouped)


def _leave_out_slow(config: pytest.Config, items: list[Any]) -> None:
    left = {item for item in items if item.get_closest_marker("slow")}
    if _runs_all(config):
        left |= {item for item in items if _is_page(item)}
        left |= _further_cases(item for item in items if item not in left)
    if left:
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = [item for item in items if item not in left]
    config.stash[LEFT_OUT] = len(left)


def _is_page(item: Any) -> bool:
    """Tell whether this is a page of the documentation, other than the tutorial."""
    return (
        item.path.suffix == ".md"
        and item.path.parent.name == "docs"
        and item.path.stem != "tutorial"
    )


def _runs_all(config: pytest.Config) -> bool:
    """Tell whether this is `pytest` alone; whoever names files wants all of their cases."""
    if hasattr(config, "workerinput"):
        return bool(config.workerinput["runs_all"])
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS


def pytest_configure_node(node: Any) -> None:
    """Tell xdist's workers, which are always given paths."""
    node.workerinput["runs_all"] = _runs_all(node.config)


def _further_cases(items: Iterable[Any]) -> set[Any]:
    """Return all but one case of each test; which one it is differs from test to test."""
    cases = defaultdict(list)
    for item in items:
        cases[item.nodeid.partition("[")[0]].append(item)
    kept = {group[crc32(name.encode()) % len(group)] for name, group in cases.items()}
    return {item for group in cases.values() for item in group} - kept


# How many tests are left to the long run. Every worker of xdist collects, and so counts, all of them.
LEFT_OUT = pytest.StashKey[int]()
# What the oracle's tests drew, by flavour of frame and by what; each worker of xdist hands over its own.
DRAWN: Counter[tuple[str, str]] = Counter()


def pytest_testnodedown(node: Any) -> None:
    output = getattr(node, "workeroutput", {})
    for key, count in output.get("drawn", []):
        DRAWN[tuple(key)] += count
    if "left_out" in output:
        node.config.stash[LEFT_OUT] = output["left_out"]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print how many tests were left out, and what was drawn: a strategy may draw nothing odd."""
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(
            f"{left_out:,} tests left out as slow; CI=true pytest runs them"
        )
    for flavour in dict.fromkeys(flavour for flavour, _ in DRAWN):
        counts = {what: count for (of, what), count in DRAWN.items() if of == flavour}
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        terminalreporter.write_line(f"drawn for {flavour}: {told}")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything is there that a test may need: a skip is a failure."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["drawn"] = [(list(key), n) for key, n in DRAWN.items()]
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, 0)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
