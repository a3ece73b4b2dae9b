"""The command `export`, run as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import tidyusage as tu
from servers import postgres
from test_cli import EXAMPLE, run

PASSWORD = "correct-horse-battery"  # noqa: S105 - no one's


def test_help_shows_examples():
    done = run("export", "--help")
    assert done.returncode == 0
    assert "tidyusage export usage.ndjson usage.parquet" in done.stdout


def test_a_file_is_written_and_said_so(tmp_path):
    target = tmp_path / "usage.parquet"
    done = run("export", EXAMPLE, target)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"310 rows of usage_wide in {target}\n"
    found = pl.read_parquet(target)
    assert tu.cost_by(found)["cost"].item() == pytest.approx(5031.76)


def test_several_sources_and_options_of_reading(tmp_path):
    first, second = tmp_path / "a.ndjson", tmp_path / "b.ndjson"
    first.write_text(
        '{"id": "a", "charges": [{"amount": 1, "type": "net"}]}\n{"id": 5, "usage": 3}\n'
    )
    second.write_text('{"id": "b"}\n{"id": "a", "updated_at": "2026-01-01"}\n')
    target = tmp_path / "usage.csv"
    options = ("--rejects", tmp_path / "bad.ndjson", "--currency", "USD")
    done = run("export", first, second, target, *options)
    assert done.returncode == 0
    assert "1 record set aside" in done.stderr
    assert "1 record dropped" in done.stderr
    assert "2 rows of usage_wide" in done.stderr


def test_a_star_in_partitions_then_more_of_it(tmp_path):
    target = f"{tmp_path}/bi/"
    assert (
        run("export", EXAMPLE, target, "--tables", "star", "--partition-by", "month").returncode
        == 0
    )
    again = run("export", EXAMPLE, target, "--tables", "star", "--partition-by", "month")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    more = ("--tables", "star", "--partition-by", "month", "--mode", "upsert")
    assert run("export", EXAMPLE, target, *more).returncode == 0
    told = json.loads(Path(f"{target}_manifest.json").read_text())
    assert told["tables"]["fact_usage"]["rows_in_target"] == 310


def test_users_are_hidden_by_the_environments_key(tmp_path, monkeypatch):
    target = tmp_path / "usage.parquet"
    assert "TIDYUSAGE_KEY" in run("export", EXAMPLE, target, "--anonymise", "user").stderr
    monkeypatch.setenv("TIDYUSAGE_KEY", "k")
    assert run("export", EXAMPLE, target, "--anonymise", "user").returncode == 0
    assert not set(pl.read_parquet(target)["user_email"].drop_nulls()) & {"ada@example.com"}


def test_what_focus_cannot_hold_is_counted(tmp_path):
    source = tmp_path / "a.ndjson"
    source.write_text('{"id": "a", "charges": [{"amount": 1, "currency": "USD", "type": "net"}]}\n')
    done = run("export", source, tmp_path / "focus.csv", "--tables", "focus")
    assert done.returncode == 0
    assert "warning: 1 charge is not told in FOCUS" in done.stderr
    assert (tmp_path / "focus.set_aside.csv").exists()


@pytest.mark.slow
def test_a_database_is_filled_and_its_password_never_shown():
    with postgres() as url:
        address = url.replace("tidyusage@", f"tidyusage:{PASSWORD}@")
        done = run("export", EXAMPLE, f"{address}?schema=bi", "--mode", "upsert")
        assert done.returncode == 0, done.stderr
        assert "310 rows of usage_wide in postgresql://tidyusage@127.0.0.1" in done.stderr
        assert PASSWORD not in done.stderr
        missing = run("export", EXAMPLE, address.replace("/postgres", "/nowhere"))
        assert missing.returncode == 2
        assert "nowhere" in missing.stderr
        assert PASSWORD not in missing.stderr


@pytest.mark.parametrize("target", ["usage.txt", "nowhere/usage.csv", "ftp://host/x"])
def test_a_target_that_cannot_be_is_said_in_words(tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    done = run("export", EXAMPLE, target)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


CHILD = """
import resource, sys
from tidyusage.cli import export
export._LARGE = 0
from tidyusage.cli import app
app(sys.argv[1:], standalone_mode=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak(source, target):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "export", str(source), str(target), "--mode", "overwrite"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


@pytest.mark.slow
def test_memory_does_not_grow_with_what_is_streamed(tmp_path):
    small, large = tmp_path / "small.ndjson", tmp_path / "large.ndjson"
    lines = EXAMPLE.read_text().splitlines()
    for path, times in ((small, 20), (large, 200)):
        with path.open("w") as file:
            for n in range(times):
                file.writelines(line.replace('"id":"', f'"id":"{n}-', 1) + "\n" for line in lines)
    for ending in ("parquet", "csv"):
        before, after = peak(small, tmp_path / f"a.{ending}"), peak(large, tmp_path / f"b.{ending}")
        assert after - before < 250, (
            ending,
            before,
            after,
        )  # MB; ten times the 6 and 60 MB of text
    assert pl.scan_parquet(tmp_path / "b.parquet").select(pl.len()).collect().item() == 62_000
