"""Answers on a terminal: total rows, names for missing groups, whole numbers, visible controls."""

import json
import os

import pyarrow as pa
import pytest

import tidyusage as tu
from processes import command
from tidyusage.cli import console
from tidyusage.errors import printable

RECORDS = [
    # ada is active in both products: 2 persons, not 3
    {"id": "1", "product": {"id": "cursor"}, "user": {"id": "ada"}, "amount": 6.0, "tokens": 100},
    {"id": "2", "product": {"id": "cursor"}, "user": {"id": "bob"}, "amount": 1.5, "tokens": 300},
    {"id": "3", "product": {"id": "claude"}, "user": {"id": "ada"}, "amount": 2.5, "tokens": 100},
    {"id": "4", "product": None, "user": None, "amount": 10.0, "tokens": 2_081_191_080},
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "usage.ndjson"
    lines = []
    for record in RECORDS:
        charge = {"type": "net", "amount": record["amount"], "currency": "USD"}
        tokens = {"total": record["tokens"]}
        kept = {name: record[name] for name in ("id", "product", "user")}
        dates = {"start_date": "2026-01-05", "end_date": "2026-01-06"}
        lines.append(
            json.dumps({**kept, **dates, "charges": [charge], "usage": {"tokens": tokens}})
        )
    path.write_text("\n".join(lines))
    return str(path)


def run(*arguments, stdin=None):
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    return command(*arguments, environment=environment, stdin=stdin)


def table(done):
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_a_total_is_the_metric_computed_again_not_a_sum(source):
    assert table(run("users", source, "--by", "product.id")) == [
        ["product.id", "active_users"],
        ["cursor", "2"],
        ["claude", "1"],
        ["(none)"],  # names no user
        ["total", "2"],
    ]


def test_the_total_of_periods_is_the_metric_without_them(source):
    found = table(run("users", source, "--freq", "1w", "--by", "product.id"))
    assert found[-1] == ["total", "2"]


def test_programs_get_no_total(source):
    found = json.loads(run("users", source, "--by", "product.id", "--json").stdout)
    assert [row["active_users"] for row in found] == [2, 1, None]
    lines = run("users", source, "--by", "product.id", "--format", "csv").stdout.splitlines()
    assert len(lines) == 1 + 3


def test_markdown_ends_with_a_total_in_bold(source):
    lines = run("cost", source, "--by", "product.id", "--format", "md").stdout.splitlines()
    # 10 + 6 + 1.5 + 2.5
    assert lines[-1].startswith("| **total** | **USD** | **20.00** | **100.0%** | **4** |")


@pytest.mark.parametrize(
    ("options", "cost"),
    [
        (["--since", "2026-01"], "20"),
        (["--since", "2026-01-05", "--until", "2026-01-05"], "20"),  # the last day is included
        (["--until", "2026-01-05T12:00:00Z"], "10"),  # half of a day's 20
    ],
)
def test_since_and_until_clip_the_records(source, options, cost):
    assert table(run("cost", source, *options))[1][:2] == ["USD", cost]


def test_an_invalid_date_is_said_to_be_one(source):
    done = run("cost", source, "--since", "January")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: Invalid date: --since January.")


def test_dimensions_are_separated_by_commas_or_repeated(source):
    together = run("cost", source, "--by", "product.id, user.id").stdout
    assert together == run("cost", source, "--by", "product.id", "--by", "user.id").stdout
    assert together.splitlines()[0].split()[:2] == ["product.id", "user.id"]


def test_top_tells_the_nameless_group_from_all_others(source):
    assert table(run("top", source, "--by", "product.id", "-n", "2")) == [
        ["product.id", "rank", "currency", "cost", "share", "records", "groups"],
        ["(none)", "1", "USD", "10.00", "50.0%", "1", "1"],
        ["cursor", "2", "USD", "7.50", "37.5%", "2", "1"],
        ["(all", "others)", "USD", "2.50", "12.5%", "1", "1"],
    ]


def test_trend_of_a_measure(source):
    assert table(run("trend", source, "--measure", "tokens"))[1][:2] == [
        "2026-01-01",
        "2,081,191,580",
    ]


def test_a_pipe_has_no_width_and_breaks_no_number(source):
    lines = run("tokens", source, "--by", "product.id,user.id").stdout.splitlines()
    assert len(lines) == 6
    assert "2,081,191,080" in lines[1]


def test_the_version_is_shown():
    assert run("--version").stdout == f"tidyusage {tu.__version__}\n"


def test_an_empty_source_is_said_to_be_empty(tmp_path):
    (tmp_path / "empty.ndjson").write_text("")
    done = run("cost", str(tmp_path / "empty.ndjson"))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "The source holds no usage records.\n"


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Print a table as a terminal of a width would, and return its lines."""

    def printed(columns, width, **options):
        from rich.console import Console

        monkeypatch.setattr(
            console,
            "_console",
            lambda: Console(width=width, markup=False, emoji=False, color_system=None),
        )
        console.show_answer(pa.table(columns), "table", **options)
        return [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return printed


def test_numbers_without_room_go_into_a_further_table(terminal):
    columns = {"model.id": ["a-long-name"], "input": [2_081_191_080], "output": [5]}
    # 10 for the folded name, 2 + 13 for the input: 25; the output needs 2 + 6 more
    assert terminal(columns, 30, dimensions=["model.id"]) == [
        "model.id             input",
        "a-long-name  2,081,191,080",
        "model.id     output",
        "a-long-name       5",
    ]


def test_text_folds_before_a_number_does(terminal):
    lines = terminal(
        {"model.id": ["x" * 40], "input": [2_081_191_080]}, 30, dimensions=["model.id"]
    )
    assert lines[1].endswith("2,081,191,080")
    assert "".join(line.split()[0] for line in lines[1:]) == "x" * 40


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "\x9b2J", "a\rb", "a\x00", "\u202eevil", "\u2066x"]
)
def test_control_characters_are_printed_as_escapes(terminal, text):
    lines = terminal({"user.id": [text], "cost": [1.0]}, 80, dimensions=["user.id"])
    shown = text.encode("unicode_escape").decode()
    assert lines[1].split()[0] == shown
    assert printable(f"error: {text}") == f"error: {shown}"


def test_markup_in_a_name_is_text(terminal):
    lines = terminal({"user.id": ["[bold]ada[/]"], "cost": [1.0]}, 80, dimensions=["user.id"])
    assert lines[1].split()[0] == "[bold]ada[/]"


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("Pass it as freq='1w'.", "Pass it as --freq 1w."),
        ("Name one, as in top(10, 'user.id').", "Name one, as in --by user.id."),
        (
            "Keep the column, or pass assume_currency='USD'.",
            "Keep the column, or pass --currency USD.",
        ),
        ("Give rates={'EUR': 1.08}, to='USD'.", "Give --rate EUR=1.08 --to USD."),
        (
            "tu.overlaps(df) shows them; overlap='ignore' adds them.",
            "In Python, tu.overlaps(df) shows them; --overlap ignore adds them.",
        ),
    ],
)
def test_hints_speak_the_language_of_the_command_line(python, shell):
    assert console._spoken(f"The fact.\n\n{python}") == f"The fact.\n\n{shell}"
