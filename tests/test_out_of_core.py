"""Relations within a limit of memory: what they hold, what they leave, and how they end."""

import gc
import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Timer, current_thread, main_thread

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import tidyusage as tu
from test_cli import COMMAND, EXAMPLE, run
from tidyusage._utils import bounded, connections, interrupts, progress, whole
from tidyusage.errors import (
    ChargeTypeWarning,
    DuplicateWarning,
    ExportError,
    MemoryLimitError,
    OptionError,
    RecordError,
    RejectWarning,
    SourceError,
    UnknownKeyWarning,
)
from tidyusage.quality import validate

pytestmark = pytest.mark.slow  # limits of memory, Ctrl-C, processes
LAYOUTS = ["wide", "long", "charges", "resources", "tool_actions"]


@pytest.fixture
def spill(tmp_path):
    folder = tmp_path / "spill"
    folder.mkdir()
    return folder


@pytest.fixture
def read(spill):
    def reading(source, **how):
        return tu.read_usage(
            source, backend="duckdb", memory_limit="512MB", temp_directory=spill, **how
        )

    return reading


def written(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def copies(path, times):
    """Write the example several times, each with ids of its own."""
    lines = EXAMPLE.read_text().splitlines()
    with path.open("w") as file:
        for n in range(times):
            file.writelines(line.replace('"id":"', f'"id":"{n}-', 1) + "\n" for line in lines)
    return path


# What is read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("duplicates", ["latest", "keep"])
@pytest.mark.filterwarnings("ignore::tidyusage.errors.DuplicateWarning")
def test_rows_and_types_are_those_of_any_reading(read, tmp_path, layout, duplicates):
    packed = tmp_path / "more.ndjson.gz"
    older = [
        {**json.loads(line), "updated_at": None} for line in EXAMPLE.read_text().splitlines()[:7]
    ]
    packed.write_bytes(gzip.compress("\n".join(map(json.dumps, older)).encode()))
    how = {"layout": layout, "duplicates": duplicates, "remote_data": "json"}
    relation = read([EXAMPLE, packed], **how)
    lazy = tu.read_usage([EXAMPLE, packed], backend="duckdb", **how)
    assert dict(zip(relation.columns, relation.types, strict=True)) == dict(
        zip(lazy.columns, lazy.types, strict=True)
    )
    eager = tu.read_usage([EXAMPLE, packed], backend="polars", **how)
    assert pl.from_arrow(relation.to_arrow_table()).equals(eager)


def test_of_an_id_the_newest_stays_where_it_stands(read, tmp_path):
    path = written(
        tmp_path / "a.ndjson",
        {"id": "a", "updated_at": "2026-01-02T00:00:00Z", "surface": "newest"},
        {"id": "b", "surface": "only"},
        {"id": "a", "updated_at": "2026-01-01T00:00:00Z", "surface": "older"},
        {"id": "c", "created_at": "2026-01-01T00:00:00Z", "surface": "first"},
        {"id": "c", "created_at": "2026-01-01T00:00:00Z", "surface": "last seen"},
        {"id": "a", "surface": "without a date"},
    )
    with pytest.warns(DuplicateWarning, match="3 records dropped"):
        relation = read(path)
    # a: the date of 2 January; b: alone; c: dates alike, so the last one seen.
    found = relation.project('"id", "surface"').to_arrow_table().to_pylist()
    assert [tuple(row.values()) for row in found] == [
        ("a", "newest"),
        ("b", "only"),
        ("c", "last seen"),
    ]
    with pytest.raises(RecordError, match="2 ids stand on several records"):
        read(path, duplicates="raise")


def test_reports_of_two_accounts_may_have_one_id(read, tmp_path):
    path = written(
        tmp_path / "a.ndjson",
        {"source": {"account": "x", "report_type": "r"}, "id": "a"},
        {"source": {"account": None, "report_type": "r"}, "id": "a"},
        {"source": {"account": None, "report_type": "r"}, "id": "a"},
    )
    with pytest.warns(DuplicateWarning, match="1 record dropped"):
        assert read(path).aggregate("count(*)").fetchall() == [(2,)]


@pytest.mark.parametrize(
    "bad",
    [
        '{"id": "bad", "usage": {"tokens": {"input": "many"}}}',  # a wrong value
        '{"id": "bad", "usage": 3}',
        '{"id": "bad", "usa',  # no JSON
        '{"id": "bad", "surface": true}',
    ],
)
def test_what_cannot_be_read_is_set_aside_as_elsewhere(read, tmp_path, spill, bad):
    lines = EXAMPLE.read_text().splitlines()
    path = tmp_path / "a.ndjson"
    path.write_text("\n".join([*lines[:100], bad, *lines[100:]]))
    with pytest.warns(RejectWarning, match="1 record set aside"):
        relation = read(path, rejects=tmp_path / "ours.ndjson")
    with pytest.warns(RejectWarning):
        eager = tu.read_usage(path, backend="pyarrow", rejects=tmp_path / "theirs.ndjson")
    assert pl.from_arrow(relation.to_arrow_table()).equals(pl.from_arrow(eager))
    ours = json.loads((tmp_path / "ours.ndjson").read_text())
    assert ours == json.loads((tmp_path / "theirs.ndjson").read_text())
    assert (ours["line"], ours["raw"]) == (101, bad)
    del relation
    gc.collect()
    with pytest.raises(RecordError, match="line 101") as error:
        read(path)
    assert os.listdir(spill) == [], error


def test_where_rows_are_not_records_each_line_is_looked_at_once(read, tmp_path):
    lines = ['{"id": "a"}', '{"id": "b", "usage": 3}', '{"id": "c"} {"id": "d"}', '{"id": "e"}']
    path = tmp_path / "a.ndjson"
    path.write_text("\n".join(lines))
    with pytest.warns(RejectWarning, match="2 records set aside"):
        relation = read(path, rejects=tmp_path / "bad.ndjson")
    assert relation.project("id").fetchall() == [("a",), ("e",)]
    rejects = [json.loads(line) for line in (tmp_path / "bad.ndjson").read_text().splitlines()]
    assert [(reject["line"], reject["raw"]) for reject in rejects] == [(2, lines[1]), (3, lines[2])]


def test_unknown_keys_and_types_of_charges_are_told(read, tmp_path):
    charge = {"amount": 1, "currency": "USD", "type": "tip"}
    path = written(tmp_path / "a.ndjson", {"id": "a", "colour": 5, "charges": [charge, charge]})
    with (
        pytest.warns(UnknownKeyWarning, match="colour"),
        pytest.warns(ChargeTypeWarning, match=r"'tip' \(2×\)"),
    ):
        read(path)
    with pytest.raises(RecordError, match="colour"):
        read(path, unknown="raise")
    with pytest.warns(ChargeTypeWarning):
        assert read(path, unknown="keep").project("extra").fetchall() == [('{"colour":5}',)]


def test_nothing_is_a_typed_table_without_rows(read, tmp_path):
    (tmp_path / "a.ndjson").touch()
    table = read(tmp_path / "a.ndjson").to_arrow_table()
    assert (table.num_rows, table.num_columns) == (0, len(tu.load_example().columns))
    with pytest.raises(SourceError):
        read(tmp_path / "nothing.ndjson")


@pytest.mark.parametrize("as_", [list, iter, pl.DataFrame, pa.Table.from_pylist])
def test_what_is_in_memory_or_comes_one_by_one(spill, as_):
    records = [{"id": str(n), "usage": {"tokens": {"input": float(n)}}} for n in range(3_000)]
    relation = tu.flatten_usage(
        as_(records), backend="duckdb", temp_directory=spill, progress=False
    )
    # 0 + 1 + … + 2999 = 3000 · 2999 / 2
    assert relation.aggregate('sum("usage.tokens.input")').fetchall() == [(4_498_500,)]


def test_a_relation_of_rows_is_read_too(spill):
    rows = duckdb.connect().sql("select 'a' as id, {'tokens': {'input': 5}} as usage")
    relation = tu.flatten_usage(rows, backend="duckdb", memory_limit="1GB", temp_directory=spill)
    assert relation.project('"usage.tokens.input"').fetchall() == [(5,)]


# Its folder, and its limit ---------------------------------------------------------------------


def test_the_folder_goes_with_the_last_relation(read, spill):
    relation = read(EXAMPLE)
    few = relation.filter("\"product.id\" = 'claude'")
    del relation
    gc.collect()
    assert few.aggregate("count(*)").fetchall() == [(62,)]  # a fifth of 310
    assert len(os.listdir(spill)) == 1
    del few
    gc.collect()
    assert os.listdir(spill) == []


def test_what_a_killed_process_left_is_removed_and_no_other(read, spill):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    left = spill / f"tidyusage-{bounded.HOST}-{gone.pid}-abc"
    others = spill / f"tidyusage-{bounded.HOST}-{os.getppid()}-abc"
    left.mkdir()
    others.mkdir()
    read(EXAMPLE)
    assert others.exists()
    assert not left.exists()


def test_an_export_has_the_limit_and_gives_it_back(read, tmp_path):
    relation = read(EXAMPLE)
    home = bounded.home(relation)
    before = home.connection.execute("select current_setting('memory_limit')").fetchall()
    told = tu.export_usage(relation, tmp_path / "out/", partition_by="month", progress=False)
    assert told["tables"]["usage_wide"]["money"]["USD"]["cost"] == pytest.approx(5031.76)
    after = home.connection.execute("select current_setting('memory_limit')").fetchall()
    assert before == after == [("366.2 MiB",)]  # three quarters of 512 · 10⁶ bytes
    assert sorted(os.listdir(home.folder)) == ["records.parquet"]


def test_too_little_memory_says_what_to_do(read, tmp_path):
    relation = read(copies(tmp_path / "a.ndjson", 3))
    bounded.home(relation).connection.execute("set memory_limit = '1MB'")
    with pytest.raises(MemoryLimitError, match=r"limit of memory was reached: (?s:.*)\n\nRaise"):
        tu.validate_usage(relation)
    with pytest.raises((MemoryLimitError, ExportError), match="Raise memory_limit="):
        tu.export_usage(relation, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_an_export_without_memory_says_so_too():
    def ended():
        raise duckdb.OutOfMemoryException("Out of Memory Error: failed to pin block")

    with pytest.raises(ExportError, match="Raise memory_limit="), whole.telling("out.parquet"):
        ended()


def test_a_full_disk_says_so(spill, monkeypatch):
    def full(*_):
        raise duckdb.IOException("IO Error: Could not write file: No space left on device")

    monkeypatch.setattr("tidyusage.io.stored._Store._copy", full)
    with pytest.raises(MemoryLimitError, match=r"no room (?s:.*)temp_directory="):
        tu.read_usage(EXAMPLE, backend="duckdb", temp_directory=spill)
    assert os.listdir(spill) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory_limit": "2GB"}, "memory_limit= has no meaning with backend=None"),
        ({"temp_directory": "."}, "temp_directory= has no meaning with backend=None"),
        ({"backend": "polars", "memory_limit": "2GB"}, "no meaning with backend='polars'"),
        ({"backend": "duckdb", "memory_limit": "much"}, "memory_limit='much' is no amount"),
        ({"backend": "duckdb", "memory_limit": 2}, "memory_limit=2 is no amount"),
        ({"backend": "duckdb", "memory_limit": "2"}, "memory_limit='2' is no amount"),
        ({"backend": "duckdb", "memory_limit": "-2GB"}, "is no amount"),
        ({"backend": "duckdb", "memory_limit": "1MB"}, "less than records can be read in"),
        ({"backend": "duckdb", "temp_directory": "nowhere"}, "'nowhere' is no folder"),
        ({"backend": "duckdb", "temp_directory": 5}, "temp_directory=5 is no path"),
        ({"backend": "duckdb", "temp_directory": "/proc"}, "cannot be written to"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_read(options, message):
    with pytest.raises(OptionError, match=message):
        tu.read_usage(EXAMPLE, **options)
    with pytest.raises(OptionError, match=message):
        tu.flatten_usage([], **options)


def test_the_callers_connection_has_its_own_limit():
    with duckdb.connect() as connection, pytest.raises(OptionError, match="connection= is yours"):
        tu.read_usage(EXAMPLE, backend="duckdb", connection=connection, memory_limit="2GB")


CHILD = """
import resource, sys
import tidyusage as tu
how = {"backend": "duckdb", "memory_limit": "256MB", "temp_directory": sys.argv[2]}
relation = tu.read_usage(sys.argv[1], **how)
tu.cost_by(relation, "user.id", freq="1d").to_arrow_table()
tu.validate_usage(relation)
tu.export_usage(relation, sys.argv[2] + "/out/", partition_by="day", mode="overwrite")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_what_is_read(tmp_path, spill):
    peaks = []
    for times in (7, 70):
        path = copies(tmp_path / f"{times}.ndjson", times)
        command = [sys.executable, "-c", CHILD, str(path), str(spill)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 150, peaks  # MB, of the 2 and 20 MB of text


# Validation ------------------------------------------------------------------------------------


def test_failures_of_a_relation_are_bounded_and_all_are_counted(read, tmp_path, monkeypatch):
    monkeypatch.setattr(validate, "_MOST", 2)
    bad = [{"id": str(n), "usage": {"tokens": {"input": -n}}} for n in range(4)]
    relation = read(written(tmp_path / "a.ndjson", *bad, bad[0]), duplicates="keep")
    with pytest.raises(tu.errors.UsageError) as error:
        tu.validate_usage(relation)
    # Rows 1, 2 and 3 are negative; 0 and 4 share an id.
    assert "5 values break a rule" in str(error.value)
    assert "not_negative (3×, such as '-1.0')" in str(error.value)
    assert "the first 2 of them" in str(error.value)
    assert error.value.failure_cases.to_pylist() == [
        {"id": "0", "column": "id", "check": "unique", "failure_case": "0", "index": 0},
        {
            "id": "1",
            "column": "usage.tokens.input",
            "check": "not_negative",
            "failure_case": "-1.0",
            "index": 1,
        },
    ]


# Bars ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_notebook", [False, True])
def test_a_bar_shows_how_far_reading_has_come(tmp_path, spill, monkeypatch, capsys, in_notebook):
    monkeypatch.setattr(progress, "_PATIENCE", 0)
    monkeypatch.setattr(progress, "_PATIENCE_IN_NOTEBOOKS", 0)
    monkeypatch.setattr(progress, "is_notebook", lambda: in_notebook)
    path = copies(tmp_path / "a.ndjson", 20)
    how = {"backend": "duckdb", "temp_directory": spill}
    tu.read_usage(path, progress=False, **how)
    assert capsys.readouterr().err == ""
    tu.read_usage(path, progress=True, **how)
    captured = capsys.readouterr()
    assert "Reading" in captured.err
    assert captured.out == ""


# The command line ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("cost", "--by", "model.id", "--format", "csv"),
        ("summary",),
        ("validate",),
        ("findings", "--format", "csv"),
        ("flatten",),
        ("flatten", "--layout", "long"),
    ],
)
def test_commands_print_the_same_within_a_limit(command, spill):
    name, *options = command
    limits = ("--memory-limit", "512MB", "--temp-directory", spill)
    expected = run(name, EXAMPLE, *options)
    done = run(name, EXAMPLE, *options, *limits)
    assert (done.returncode, done.stderr) == (expected.returncode, expected.stderr)
    assert _to_the_cent(done.stdout) == _to_the_cent(expected.stdout)
    assert os.listdir(spill) == []


def _to_the_cent(printed):
    """Return what was printed with figures of six places: floats are added in another order."""
    return re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.6f}", printed)


@pytest.mark.parametrize("ending", ["parquet", "csv", "ndjson"])
def test_flatten_writes_the_same_within_a_limit(tmp_path, spill, ending):
    ours, theirs = tmp_path / f"ours.{ending}", tmp_path / f"theirs.{ending}"
    done = run("flatten", EXAMPLE, "-o", ours, "--memory-limit", "512MB")
    assert done.stderr == f"310 rows × 78 columns in {ours}\n"
    run("flatten", EXAMPLE, "-o", theirs)
    if ending == "parquet":
        assert pl.read_parquet(ours).equals(pl.read_parquet(theirs))
    else:
        assert ours.read_text() == theirs.read_text()


def test_a_wrong_limit_is_said_in_the_words_of_a_command():
    done = run("cost", EXAMPLE, "--memory-limit", "much")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --memory-limit 'much' is no amount of memory.")


# Ctrl-C ----------------------------------------------------------------------------------------


def test_an_engine_is_told_while_it_works_and_handlers_are_as_before():
    told = []

    def work():
        Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000)  # half a second in C, deaf to signals

    with (
        pytest.raises(KeyboardInterrupt),
        interrupts.heard(lambda: told.append(current_thread() is main_thread())),
    ):
        work()
    assert told[0] is False
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_does_not_wait_for_what_does_not_look_up(tmp_path):
    go_on, path = Event(), tmp_path / "a.parquet"

    def batches():
        Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        go_on.wait(60)
        yield pa.record_batch({"n": [1]})

    def write():
        with connections.connect() as connection:
            rows = pa.RecordBatchReader.from_batches(pa.schema({"n": pa.int64()}), batches())
            connection.register("rows", rows)
            connections.write(connection, f"copy rows to '{path}' (use_tmp_file false)", str(path))

    with pytest.raises(KeyboardInterrupt):
        write()
    (left,) = interrupts._LEFT_TO_THEMSELVES  # it still waits, and nobody waits for it
    assert left.is_alive()
    go_on.set()
    left.join(60)
    interrupts._LEFT_TO_THEMSELVES.clear()
    assert not left.is_alive()
    assert not path.exists()


def test_what_a_statement_raises_is_raised():
    with (
        pytest.raises(duckdb.CatalogException, match="nothing_there"),
        connections.connect() as connection,
    ):
        connections.write(connection, "copy nothing_there to 'a.parquet'", "a.parquet")


def test_every_connection_of_ours_listens():
    with connections.connect():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


ENDLESS = """
import sys
import tidyusage as tu
paths, spill, target = sys.argv[1:]
how = {"backend": "duckdb", "memory_limit": "512MB", "temp_directory": spill}
relation = None if {reads} else tu.read_usage(paths, **how)
print("begun", flush=True)
while True:
    {call}
"""
CALLS = {
    "read": "tu.read_usage(paths, **how)",
    "validate": "tu.validate_usage(relation)",
    "export": "tu.export_usage(relation, target, partition_by='day', mode='overwrite')",
}


@pytest.mark.parametrize("moment", [0.1, 0.6])
@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_ends_it_and_nothing_is_left(tmp_path, spill, call, moment):
    path = copies(tmp_path / "a.ndjson", 20)
    target = tmp_path / "out"
    script = ENDLESS.replace("{call}", CALLS[call]).replace("{reads}", str(call == "read"))
    command = [sys.executable, "-c", script, str(path), str(spill), f"{target}/"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as done:
        done.stdout.readline()
        time.sleep(moment)
        done.send_signal(signal.SIGINT)
        _, said = done.communicate(timeout=20)
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert done.returncode in {-signal.SIGINT, 130}
    assert os.listdir(spill) == []
    left = [name for name in os.listdir(tmp_path) if name.startswith(".")]
    assert left == []
    if target.exists():  # an earlier one, whole
        assert json.loads((target / "_manifest.json").read_text())["tables"]["usage_wide"]
        assert pl.read_parquet(f"{target}/usage_wide/").height == 20 * 310


def test_ctrl_c_ends_a_command(tmp_path, spill):
    path = copies(tmp_path / "a.ndjson", 10)
    many = [tmp_path / f"{n}.ndjson" for n in range(40)]
    for link in many:
        link.symlink_to(path)
    command = [*COMMAND, "export", *many, tmp_path / "out/", "--temp-directory", spill]
    with subprocess.Popen(
        [*map(str, command), "--duplicates", "keep"], stderr=subprocess.PIPE, text=True
    ) as done:
        while not os.listdir(spill) and done.poll() is None:
            time.sleep(0.02)
        time.sleep(0.3)
        done.send_signal(signal.SIGINT)
        _, said = done.communicate(timeout=20)
    assert done.returncode == 130
    assert "Traceback" not in said
    assert os.listdir(spill) == []
    assert not Path(tmp_path / "out").exists()
