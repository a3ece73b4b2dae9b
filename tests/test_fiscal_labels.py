"""Fiscal quarters and years, and weeks from Sunday, in charts, the report and the command line."""

import json
import os
import re
from datetime import date, datetime
from pathlib import Path

import pytest

import tidyusage as tu
from browser import Tab
from flavours import FLAVOURS, frame_of
from processes import command
from test_plot import axis, marks, shown
from tidyusage.errors import OptionError
from tidyusage.metrics._periods import fiscal_label
from tidyusage.reporting import calendar

# A fiscal year from April: FY2026 is 2025-04-01 to 2026-03-31, so 2026-02-15 is in its Q4.
RECORDS = [
    {
        "id": id_,
        "product": {"id": "p"},
        "user": {"id": "ada"},
        "charges": [{"type": "net", "amount": amount, "currency": "USD"}],
        "usage": {
            "tokens": {"input": 10, "output": 1},
            "requests": {"total": 1},
            "code": {"accepts": 3, "rejects": 1},
        },
        "start_date": day,
        "end_date": None,
    }
    for id_, day, amount in (
        ("a", "2025-05-15", 10),
        ("b", "2026-02-15", 20),
        ("c", "2026-04-01", 30),
    )
]
CHARTS = {
    "cost_by": lambda df, **o: tu.plot.cost_by(df, "product.id", **o),
    "tokens_by": tu.plot.tokens_by,
    "active_users": tu.plot.active_users,
    "acceptance_rate": tu.plot.acceptance_rate,
    "trend": tu.plot.trend,
    "heatmap": tu.plot.heatmap,
}


@pytest.mark.parametrize(
    ("start", "freq", "month", "expected"),
    [
        # From April, FY2026 has the quarters from April, July, October 2025 and January 2026.
        (date(2025, 4, 1), "1q", 4, "FY2026 Q1"),
        (date(2025, 7, 1), "1q", 4, "FY2026 Q2"),
        (date(2025, 10, 1), "1q", 4, "FY2026 Q3"),
        (date(2026, 1, 1), "1q", 4, "FY2026 Q4"),
        (date(2025, 4, 1), "1y", 4, "FY2026"),
        # From February, FY2026 ends on 31 January 2026; from December, on 30 November 2026.
        (date(2025, 11, 1), "1q", 2, "FY2026 Q4"),
        (date(2025, 2, 1), "1y", 2, "FY2026"),
        (date(2025, 12, 1), "1q", 12, "FY2026 Q1"),
        (date(2025, 12, 1), "1y", 12, "FY2026"),
        # Years from January and shorter periods keep their calendar names.
        (date(2026, 1, 1), "1q", 1, None),
        (date(2026, 1, 1), "1y", 1, None),
        (date(2026, 1, 1), "1mo", 4, None),
    ],
)
def test_a_fiscal_year_is_named_after_the_year_in_which_it_ends(start, freq, month, expected):
    assert fiscal_label(start, freq, month) == expected


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_columns_are_fiscal_quarters(flavour):
    chart = tu.plot.cost_by(frame_of(RECORDS, flavour), freq="1q", fiscal_year_start=4)
    assert shown(chart, "bar", "period", "cost") == [
        ("FY2026 Q1", 10),
        ("FY2026 Q4", 20),
        ("FY2027 Q1", 30),
    ]
    unit, _ = next(marks(chart, "bar"))
    places = unit["encoding"]["x"]["scale"]["domain"]
    assert places == ["FY2026 Q1", "FY2026 Q2", "FY2026 Q3", "FY2026 Q4", "FY2027 Q1"]
    assert axis(chart, "x") == ["quarter, fiscal year from April (UTC)"]


def test_columns_are_fiscal_years():
    chart = tu.plot.cost_by(frame_of(RECORDS), freq="1y", fiscal_year_start=4)
    assert shown(chart, "bar", "period", "cost") == [("FY2026", 30), ("FY2027", 30)]


def test_a_year_from_january_keeps_calendar_labels():
    chart = tu.plot.cost_by(frame_of(RECORDS), freq="1q", fiscal_year_start=1)
    assert [period for (period,) in shown(chart, "bar", "period")] == [
        "2025-Q2",
        "2026-Q1",
        "2026-Q2",
    ]
    assert axis(chart, "x") == ["quarter (UTC)"]


def test_weeks_from_sunday_are_labelled_by_their_first_day():
    # 15 May 2025 is a Thursday; 15 February 2026 a Sunday; 1 April 2026 a Wednesday.
    chart = tu.plot.cost_by(frame_of(RECORDS), freq="1w", week_start="sunday")
    assert [period for (period,) in shown(chart, "bar", "period")] == [
        "2025-05-11",
        "2026-02-15",
        "2026-03-29",
    ]


def test_a_fiscal_quarter_that_the_data_covers_is_not_pale():
    # The fourth quarter of a year from February: 2025-11-01 to 2026-01-31.
    record = RECORDS[0] | {"start_date": "2025-11-01", "end_date": "2026-02-01"}
    df = frame_of([record])
    chart = tu.plot.cost_by(df, freq="1q", fiscal_year_start=2)
    assert shown(chart, "bar", "period", "whole") == [("FY2026 Q4", True)]
    chart = tu.plot.cost_by(df, freq="1q", fiscal_year_start=4)
    # Of its 92 days 61 are in October to December, 31 in January to March.
    assert shown(chart, "bar", "period", "whole") == [("FY2026 Q3", False), ("FY2026 Q4", False)]
    costs = [cost for (cost,) in shown(chart, "bar", "cost")]
    assert costs == pytest.approx([10 * 61 / 92, 10 * 31 / 92])


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_with_periods_takes_the_calendar_and_raises_for_invalid_values(name):
    df = frame_of(RECORDS)
    chart = CHARTS[name](df, freq="1q", fiscal_year_start=4)
    text = json.dumps(chart.to_dict())
    assert "FY2026 Q4" in text
    assert "2026-Q1" not in text
    with pytest.raises(OptionError, match=r"fiscal_year_start=13 is not a month[\s\S]*1 to 12"):
        CHARTS[name](df, freq="1y", fiscal_year_start=13)
    with pytest.raises(OptionError, match=r"week_start='friday'[\s\S]*'monday', 'sunday'"):
        CHARTS[name](df, freq="1w", week_start="friday")


def test_the_accessor_takes_the_calendar():
    df = frame_of(RECORDS, "pandas")
    chart = df.usage.plot.trend(freq="1y", fiscal_year_start=4)
    # 30 in FY2026 and 30 in FY2027; neither is covered whole, so no change is shown.
    assert shown(chart, "bar", "period", "value") == [("FY2026", 30), ("FY2027", 30)]


# The report


def span(*days):
    return calendar.Span(*(datetime.fromisoformat(day) for day in days))


def test_a_report_s_periods_are_fiscal():
    found = calendar.periods("1q", span("2026-02-15", "2026-04-02"), 4)
    assert [(one.start, one.end, one.label) for one in found] == [
        (date(2026, 1, 1), date(2026, 4, 1), "FY2026 Q4"),
        (date(2026, 4, 1), date(2026, 7, 1), "FY2027 Q1"),
    ]
    found = calendar.periods("1q", span("2026-01-31", "2026-02-02"), 2)
    assert [(one.start, one.label) for one in found] == [
        (date(2025, 11, 1), "FY2026 Q4"),
        (date(2026, 2, 1), "FY2027 Q1"),
    ]
    found = calendar.periods("1y", span("2026-03-31", "2026-04-02"), 4)
    assert [(one.start, one.end, one.label) for one in found] == [
        (date(2025, 4, 1), date(2026, 4, 1), "FY2026"),
        (date(2026, 4, 1), date(2027, 4, 1), "FY2027"),
    ]


def test_a_report_s_weeks_begin_on_sunday():
    # 3 January 2026 is a Saturday.
    found = calendar.periods("1w", span("2026-01-03", "2026-01-05"), week_start="sunday")
    assert [one.label for one in found] == ["week of 28 Dec 2025", "week of 4 Jan 2026"]
    found = calendar.periods("1w", span("2026-01-03", "2026-01-06"))
    assert [one.label for one in found] == ["week of 29 Dec 2025", "week of 5 Jan 2026"]


def test_a_report_s_labels_are_fiscal_quarters(tmp_path):
    path = tu.report(frame_of(RECORDS), tmp_path / "page.html", freq="1q", fiscal_year_start=4)
    page = Path(path).read_text(encoding="utf-8")
    labels = re.findall(r'"label":\s*"(FY[^"]+)"', page)
    assert labels == ["FY2026 Q1", "FY2026 Q2", "FY2026 Q3", "FY2026 Q4", "FY2027 Q1"]


def test_a_report_shows_fiscal_quarters_on_its_axes_and_in_its_tables(browser, tmp_path):
    path = tu.report(frame_of(RECORDS), tmp_path / "page.html", freq="1q", fiscal_year_start=4)
    tab = Tab(browser, path)
    assert (tab.said, tab.faults()) == ([], [])
    axes = tab.page.eval_on_selector_all("svg text", "all => all.map((one) => one.textContent)")
    assert "FY2026 Q1" in axes
    assert "FY2027 Q1" in axes
    cells = tab.page.eval_on_selector_all(
        "tbody tr", "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert any(row[0] == "FY2026 Q4" and "20.00" in row for row in cells)
    tab.close()


def test_a_report_raises_for_an_invalid_calendar_and_writes_nothing(tmp_path):
    df = frame_of(RECORDS)
    with pytest.raises(OptionError, match="fiscal_year_start=0 is not a month"):
        tu.report(df, tmp_path / "page.html", fiscal_year_start=0)
    with pytest.raises(OptionError, match="week_start='friday'"):
        tu.report(df, tmp_path / "page.html", week_start="friday")
    assert os.listdir(tmp_path) == []


# The command line


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "usage.ndjson"
    undated = RECORDS[0] | {"id": "d", "start_date": None}
    path.write_text("\n".join(map(json.dumps, [*RECORDS, undated])))
    return str(path)


def run(*arguments):
    return command(*arguments, environment={**os.environ, "NO_COLOR": "1", "TERM": "dumb"})


@pytest.mark.parametrize("form", ["table", "md"])
def test_tables_and_markdown_name_fiscal_periods(source, form):
    done = run("cost", source, "--freq", "1q", "--fiscal-year-start", "4", "--format", form)
    assert done.returncode == 0, done.stderr
    found = [line.strip("| ").replace(" | ", "  ") for line in done.stdout.splitlines()]
    costs = {line[:9]: int(re.search(r"USD\s+(\d+)", line)[1]) for line in found if "FY" in line}
    assert costs == {"FY2026 Q1": 10, "FY2026 Q4": 20, "FY2027 Q1": 30}
    assert re.search(r"total\W+USD\W+70", done.stdout)  # with the record without a date


def test_programs_are_given_dates(source):
    done = run("trend", source, "--freq", "1y", "--fiscal-year-start", "4", "--json")
    found = json.loads(done.stdout)
    assert [(row["period"], row["cost"]) for row in found] == [
        ("2025-04-01", 30),
        ("2026-04-01", 30),
        (None, 10),
    ]


@pytest.mark.parametrize("name", ["cost", "tokens", "users", "acceptance", "trend"])
def test_commands_with_periods_take_weeks_from_sunday(source, name):
    done = run(name, source, "--freq", "1w", "--week-start", "sunday", "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert {"2025-05-11", "2026-02-15", "2026-03-29"} <= {
        line.split(",")[0].strip('"') for line in done.stdout.splitlines()
    }


def test_invalid_values_are_told_in_the_words_of_the_shell(source, tmp_path):
    page = str(tmp_path / "page.html")
    for words in (("users", source), ("report", source, "-o", page)):
        done = run(*words, "--freq", "1y", "--fiscal-year-start", "13")
        assert done.returncode == 2
        assert "--fiscal-year-start 13 is not a month." in done.stderr
        assert "1 to 12" in done.stderr
        done = run(*words, "--week-start", "friday")
        assert done.returncode == 2
        assert "--week-start" in done.stderr
        assert "'monday', 'sunday'" in done.stderr
    assert os.listdir(tmp_path) == []


def test_the_report_command_takes_the_calendar(source, tmp_path):
    page = tmp_path / "page.html"
    done = run("report", source, "-o", str(page), "--freq", "1y", "--fiscal-year-start", "4")
    assert done.returncode == 0, done.stderr
    assert re.findall(r'"label":\s*"(FY[^"]+)"', page.read_text(encoding="utf-8")) == [
        "FY2026",
        "FY2027",
    ]
