"""The command line, run as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import tidyusage as tu

EXAMPLE = Path(__file__).parents[1] / "examples" / "usage.ndjson"
COMMAND = [sys.executable, "-m", "tidyusage.cli"]


def run(*args, stdin=None, width="100"):
    return subprocess.run(
        [*COMMAND, *map(str, args)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": width, "NO_COLOR": "1", "TERM": "dumb"},
    )


def test_help_shows_examples():
    done = run("flatten", "--help")
    assert done.returncode == 0
    assert "tidyusage flatten usage.ndjson --layout long -o long.parquet" in done.stdout
    assert run("--help").returncode == 0


@pytest.mark.parametrize("width", ["60", "100", "200"])
def test_a_table_fits_the_terminal_and_says_how_much_it_shows(width):
    done = run("flatten", EXAMPLE, width=width)
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= int(width)
    assert lines[0].split()[:2] == ["id", "product.id"]
    assert "10 of 310 rows" in lines[-1]


def test_long_shows_metric_and_value_first():
    head = run("flatten", EXAMPLE, "--layout", "long").stdout.splitlines()[0].split()
    assert head[:4] == ["id", "metric", "value", "unit"]


@pytest.mark.parametrize("ending", ["parquet", "csv", "ndjson"])
def test_files_hold_the_frame(tmp_path, ending):
    target = tmp_path / f"usage.{ending}"
    done = run("flatten", EXAMPLE, "-o", target)
    assert done.returncode == 0
    assert "310 rows × 78 columns" in done.stderr
    assert os.listdir(tmp_path) == [target.name]
    expected = tu.read_usage(EXAMPLE, backend="polars")
    if ending == "parquet":
        assert pl.read_parquet(target).equals(expected)
    elif ending == "csv":
        assert tu.restore(pl.read_csv(target, infer_schema=False)).equals(expected)
    else:
        first = json.loads(target.read_text().splitlines()[0])
        assert first["charges.net"] == expected["charges.net"][0]
        assert first["charges"] == expected["charges"][0].to_list()


def test_layout_and_sep(tmp_path):
    target = tmp_path / "long.parquet"
    assert run("flatten", EXAMPLE, "--layout", "long", "--sep", "_", "-o", target).returncode == 0
    expected = tu.read_usage(EXAMPLE, backend="polars", layout="long", sep="_")
    assert pl.read_parquet(target).equals(expected)


def test_standard_input_and_several_sources(tmp_path):
    text = EXAMPLE.read_text()
    assert "10 of 310 rows" in run("flatten", "-", stdin=text).stdout
    other = tmp_path / "more.ndjson"
    other.write_text('{"id": "one more"}')
    assert "10 of 311 rows" in run("flatten", EXAMPLE, other).stdout


def test_bad_data_is_1_and_says_where(tmp_path):
    path = tmp_path / "bad.ndjson"
    path.write_text('{"id": "a"}\noops\n')
    done = run("flatten", path)
    assert done.returncode == 1
    assert f"{path}, line 2" in done.stderr
    assert "Traceback" not in done.stderr
    done = run("flatten", path, "--rejects", tmp_path / "r")
    assert done.returncode == 0
    assert done.stderr.startswith("warning: 1 record set aside in")
    assert "1 of 1 rows" in done.stdout


@pytest.mark.parametrize(
    "args",
    [
        ["nowhere.ndjson"],
        [EXAMPLE, "--layout", "lng"],
        [EXAMPLE, "-o", "usage.xls"],
        [EXAMPLE, "-o", "/nowhere/usage.csv"],
        [EXAMPLE, "--nothing"],
        [EXAMPLE, "--currency", " "],
        ["-", EXAMPLE],
        [],
    ],
)
def test_bad_usage_is_2_without_a_traceback(args):
    done = run("flatten", *args, stdin="")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_no_bar_when_piped():
    assert run("flatten", EXAMPLE).stderr == ""


def test_a_bar_on_a_terminal_for_what_takes_long(monkeypatch, capsys):
    import time

    from tidyusage import engines, progress

    monkeypatch.setattr(progress, "_PATIENCE", 0.01)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.bar("Reading"), engines.connect() as connection:
        connection.execute("select sum(sin(range)) from range(3000000)").fetchall()
        time.sleep(0.3)
    assert "Reading" in capsys.readouterr().err
