"""The command line, run as a user runs it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import tidyusage as tu
from processes import command

EXAMPLE = Path(__file__).parents[1] / "examples" / "usage.ndjson"
COMMAND = [sys.executable, "-m", "tidyusage.cli"]


def run(*args, stdin=None, width="100"):
    environment = {**os.environ, "COLUMNS": width, "NO_COLOR": "1", "TERM": "dumb"}
    return command(*args, environment=environment, stdin=stdin)


@pytest.mark.slow
def test_the_command_is_installed():
    path = shutil.which("tidyusage", path=str(Path(sys.executable).parent))
    for words in ([path], COMMAND):
        given = [*words, "flatten", EXAMPLE]
        done = subprocess.run(given, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert "10 of 310 rows" in done.stdout


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

    from tidyusage._utils import connections, progress

    monkeypatch.setattr(progress, "_PATIENCE", 0.01)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.bar("Reading"), connections.connect() as connection:
        connection.execute("select sum(sin(range)) from range(3000000)").fetchall()
        time.sleep(0.3)
    assert "Reading" in capsys.readouterr().err


# Questions

RECORDS = [
    {
        "id": "a",
        "model": {"id": "opus|1"},
        "user": {"id": "ada"},
        "usage": {"tokens": {"total": 900}},
    },
    {"id": "b", "model": {"id": "opus|1"}},
    {"id": "c", "model": {"id": "gpt"}, "usage": {"requests": {"tab_shown": 9, "tab_accepted": 3}}},
]
CHARGES = {"a": [("net", 7.5, "USD"), ("total", 10, "USD")], "b": [("total", 1, "eur")], "c": []}
for number, each in enumerate(RECORDS):
    each["charges"] = [{"type": t, "amount": x, "currency": c} for t, x, c in CHARGES[each["id"]]]
    each["start_date"] = f"2026-01-0{number + 1}"


@pytest.fixture
def records(tmp_path):
    target = tmp_path / "records.ndjson"
    target.write_text("\n".join(map(json.dumps, RECORDS)), encoding="utf-8")
    return target


def test_cost_is_a_table(records):
    done = run("cost", records, "--by", "model.id")
    assert done.stderr == ""
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["model.id", "currency", "cost", "share", "records", "priced"],
        ["opus|1", "USD", "7.50", "100.0%", "2", "1"],
        ["opus|1", "EUR", "1.00", "100.0%", "2", "1"],
        ["gpt", "1", "0"],
        ["total", "USD", "7.50", "100.0%", "3", "1"],  # three records, one with a cost in USD
        ["total", "EUR", "1.00", "100.0%", "3", "1"],
    ]


def test_cost_in_one_currency_by_period_as_markdown(records):
    options = ["--freq", "1mo", "--rate", "EUR=2", "--to", "USD", "--format", "md"]
    assert run("cost", records, *options).stdout.splitlines() == [
        "| period | currency | cost | share | records | priced |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| 2026-01-01 | USD | 9.50 | 100.0% | 3 | 2 |",  # 7.5 + 2 × 1
    ]
    assert "opus\\|1" in run("cost", records, "--by", "model.id", "--format", "md").stdout


def test_cost_of_one_charge_type_as_json(records):
    done = run("cost", records, "--by", "model.id", "--charge", "total", "--format", "json")
    first = {"model.id": "opus|1", "currency": "USD", "cost": 10.0, "share": 1.0}
    assert json.loads(done.stdout)[0] == {**first, "records": 2, "priced": 1}


def test_users_as_csv(records):
    done = run("users", records, "--freq", "1d", "--rolling", "2", "--format", "csv")
    # The two days up to 1 January begin before the frame does; no day of the others is missing.
    lines = [
        '"period","active_users","complete"',
        "2026-01-01,,false",
        "2026-01-02,1,true",
        "2026-01-03,,true",
    ]
    assert done.stdout.splitlines() == lines


def test_tokens_and_acceptance(records):
    assert run("tokens", records).stdout.split()[-1] == "900"
    assert run("acceptance", records, "--kind", "tab").stdout.split()[-4:] == [
        "tab",
        "3",
        "9",
        "33.3%",
    ]


def test_summary_of_a_folder_says_what_it_covers(records):
    lines = [line.split() for line in run("summary", records.parent).stdout.splitlines()]
    found = {line[0]: line[2:5] for line in lines[1:]}
    assert found["records"] == ["3", "3", "100.0%"]
    assert found["models"] == ["2", "3", "100.0%"]
    assert found["users"] == ["1", "1", "33.3%"]
    assert found["cost"] == ["1", "1", "33.3%"]  # the last: EUR


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--by", "modle.id"], 2, "Did you mean 'model.id'?"),
        (["--rate", "EUR"], 2, "Write --rate EUR=1.08."),
        (["--rate", "GBP=2", "--to", "USD"], 1, "There is no rate of EUR to USD."),
        (["--to", "USD"], 2, "converted with both, as --rate EUR=1.08 --to USD"),
        (["--tz", "Mars"], 2, "Invalid time zone: 'Mars'."),
        (["--freq", "1m"], 2, "--freq"),
        (["--format", "xml"], 2, "--format"),
    ],
)
def test_a_wrong_question_says_what_to_do(records, arguments, code, words):
    done = run("cost", records, *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert done.stdout == ""


# Checking


BROKEN = (
    {"id": "a", "usage": {"tokens": {"input": -1}}},
    {"id": "b", "start_date": "2026-01-02", "end_date": "2026-01-01"},
    {"id": "c", "charges": [{"type": "net", "amount": 3}]},
)


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def test_validate_ends_with_one_where_a_rule_is_broken():
    done = run("validate", "-", "--format", "csv", stdin=lines(BROKEN))
    assert done.returncode == 1
    rows = [line.split(",")[:3] for line in done.stdout.replace('"', "").splitlines()]
    assert rows == [
        ["id", "column", "check"],
        ["a", "usage.tokens.input", "not_negative"],
        ["b", "end_date", "not_before_start_date"],
    ]
    assert "2 of 3 records break a rule." in done.stderr


def test_validate_ends_with_nought_where_all_are_kept():
    done = run("validate", EXAMPLE)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "The schema's rules hold for 310 records.\n"


def test_validate_counts_an_id_twice_unless_the_latest_is_asked_for():
    twice = lines([{"id": "a"}, {"id": "a"}])
    assert run("validate", "-", stdin=twice).returncode == 1
    assert run("validate", "-", "--duplicates", "latest", stdin=twice).returncode == 0


def test_validate_allows_the_currencies_that_are_named():
    credits_ = lines(
        [{"id": "a", "charges": [{"type": "net", "amount": 3, "currency": "CREDITS"}]}]
    )
    assert run("validate", "-", stdin=credits_).returncode == 1
    assert run("validate", "-", "--also", "CREDITS", stdin=credits_).returncode == 0


def test_validate_says_what_cannot_be_read():
    done = run("validate", "-", stdin='{"id": "a", "usage": {"tokens": {"input": true}}}')
    assert done.returncode == 1
    assert "expected a number, found true" in done.stderr


def test_findings_tell_what_is_suspect():
    done = run("findings", "-", stdin=lines(BROKEN))
    assert done.returncode == 0
    assert done.stdout.split()[:5] == ["severity", "check", "id", "records", "message"]
    assert "currency_missing" in done.stdout
    found = json.loads(run("findings", "-", "--format", "json", stdin=lines(BROKEN)).stdout)
    assert [row["check"] for row in found] == ["currency_missing", "end_before_start"]
    assert set(found[0]) >= {"severity", "column", "value", "expected", "records"}
    none = run("findings", "-", "--only", "missing_days", "--format", "json", stdin=lines(BROKEN))
    assert json.loads(none.stdout) == []


def test_findings_name_the_nearest_check():
    done = run("findings", EXAMPLE, "--only", "mising_days")
    assert done.returncode == 2
    assert "missing_days" in done.stderr
    assert run("findings", EXAMPLE).stderr == "Nothing is suspect in 310 records.\n"


def test_a_command_warns_of_what_counts_twice():
    pair = [
        {"id": str(n), "user": {"id": user}, "usage": {"tokens": {"total": 5}}}
        for n, user in enumerate([None, "ada"])
    ]
    done = run("tokens", "-", stdin=lines(pair))
    assert done.returncode == 0
    assert "warning: The sums count some usage twice" in done.stderr
