"""Answers as tables: every figure with its unit, every name letter by letter, nothing left out in silence."""

import datetime as dt
from html.parser import HTMLParser

import duckdb
import nbformat
import pandas as pd
import polars as pl
import pytest
from babel.core import get_global
from nbclient import NotebookClient

import tidyusage as tu
from conftest import FRAMES, ask
from flavours import FLAVOURS, example, frame_of
from tidyusage._utils import html as markup
from tidyusage._utils import iso4217, numbers
from tidyusage.plot.colors import PALETTE

NAMES = [
    "<script>alert(1)</script>",
    "</td></tr></table>",
    "&amp;",
    "**bold**",
    "{{x}}",
    "<b>{{m^2}}</b>",
    "a\r\nb",
    "$1_2$",
    "a  b",
    "'\"",
    "(none)",
    "x" * 300,
]


class Page(HTMLParser):
    """The rows of a page's tables, and what stands below them."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.notes, self.tags, self.at = [], [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")
            self.at = tag

    def handle_endtag(self, tag):
        if tag in {"td", "th"}:
            self.at = None

    def handle_data(self, data):
        if self.at:
            self.rows[-1][-1] += data


def shown(frame, **options):
    """Return the labels and the rows of a table, as a reader sees them."""
    labels, *rows = Page(tu.table(frame, **options).as_raw_html()).rows
    plain = [[cell.replace("\xa0", " ") for cell in row] for row in rows]
    return labels, plain


def column(frame, label, **options):
    labels, rows = shown(frame, **options)
    return [row[labels.index(label)] for row in rows]


def charged(id_, currency, amount, user=None, tokens=None, *, start="2026-01-05"):
    return {
        "id": id_,
        "user": {"id": user},
        "start_date": start,
        "usage": {"tokens": {"total": tokens}},
        "charges": [{"type": "net", "amount": amount, "currency": currency}],
    }


MIXED = [
    charged("1", "USD", 1234.5, "ada"),
    charged("2", "JPY", 98765, "bob"),
    charged("3", None, 12.5, "cyd"),
    charged("4", "credits", 40, "dan"),
    charged("5", "KWD", -1.5, "eve"),
    charged("6", "EUR", None, "fay"),
]

# Every flavour of frames -----------------------------------------------------------------------


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_flavour_of_frames_shows_the_same(flavour):
    records = [
        charged("a", "USD", 3, "ada", 1_000),
        charged("b", "USD", 1, "bob", 4_000),
        charged("c", "USD", 0, None, None),
    ]
    frame = frame_of(records, flavour)
    assert shown(tu.usage(frame).cost_by("user.id")) == (
        ["user.id", "cost", "share", "records", "priced records"],
        [
            ["ada", "USD 3.00", "75.0%", "1", "1"],
            ["bob", "USD 1.00", "25.0%", "1", "1"],
            ["(none)", "USD 0.00", "0.0%", "1", "1"],
        ],
    )
    assert shown(tu.usage(frame).trend(freq="1d")) == (
        ["period", "cost", "change", "change rate", "share", "records", "complete"],
        [["2026-01-05", "USD 4.00", "–", "–", "100.0%", "3", "yes"]],
    )


@pytest.mark.xdist_group("spark")
def test_a_frame_of_spark(spark):
    frame = spark.createDataFrame(
        [("a", "USD", 3.5), (None, "USD", None)], "user_id string, currency string, cost double"
    )
    assert shown(frame) == (["user_id", "cost"], [["a", "USD 3.50"], ["(none)", "–"]])
    note = tu.table(frame, rows=1).as_raw_html()
    assert "The first row is shown; there is 1 more." in note


# Money -----------------------------------------------------------------------------------------


def test_amounts_stand_with_their_currency_in_its_decimals():
    answer = tu.cost_by(frame_of(MIXED), "user.id")
    labels, rows = shown(answer)
    assert "currency" not in labels
    assert {row[0]: row[1] for row in rows} == {
        "ada": "USD 1,234.50",
        "bob": "JPY 98,765",
        "cyd": "unknown currency 12.50",
        "dan": "CREDITS 40.00",
        "eve": "KWD −1.500",
        "fay": "–",
    }


def test_unit_prices_show_three_digits_of_the_smallest():
    frame = pl.DataFrame({"currency": ["USD", "USD"], "cost_per_token": [0.0000123, 0.00045678]})
    assert column(frame, "cost per token") == ["USD 0.0000123", "USD 0.0004568"]


def test_an_amount_that_is_not_zero_does_not_look_so():
    frame = pl.DataFrame({"currency": "USD", "cost": [5000.0, 0.00042, 0.004, 0.0, -0.0, 4.5e-13]})
    assert column(frame, "cost") == [
        *("USD 5,000.00", "USD 0.00042", "USD 0.0040"),
        *("USD 0.00", "USD 0.00", "USD 0.00"),  # the last is what a sum of floats leaves
    ]


@pytest.mark.parametrize(
    ("per", "label"),
    [(1, "cost per token"), (1_000_000, "cost per 1,000,000 tokens"), (0.5, "cost per 0.5 tokens")],
)
def test_a_unit_price_says_what_for(per, label):
    records = [charged("a", "USD", 3, "ada", 1_500), charged("b", "USD", 1, "bob", 4_000)]
    answer = tu.cost_per_token(frame_of(records), "user.id", per=per)
    # 3 of 1,500 is 0.002 a token, 1 of 4,000 is 0.00025.
    prices = {
        1: ["USD 0.002000", "USD 0.000250"],
        1_000_000: ["USD 2,000.00", "USD 250.00"],
        0.5: ["USD 0.001000", "USD 0.000125"],
    }
    assert column(answer, label) == prices[per]


def test_a_unit_price_whose_figures_were_changed_says_less():
    frame = pl.DataFrame(
        {"currency": "USD", "cost": [3.0, 3.0], "tokens": [3.0, 3.0], "cost_per_token": [1.0, 2.0]}
    )
    assert shown(frame)[0] == ["cost", "tokens", "cost per token"]
    assert shown(frame.select("currency", "cost_per_token"))[0] == ["cost per token"]


def test_the_cost_of_a_seat():
    frame = frame_of([charged("a", "USD", 30, "ada", 5)])
    labels, rows = shown(tu.cost_per(frame, "users", seats=4))
    assert labels == ["cost", "users", "seats", "cost per seat", "records"]
    assert rows == [["USD 30.00", "1", "4", "USD 7.50", "1"]]


def test_a_unit_stands_behind_what_it_is_of_and_money_has_its_decimals():
    frame = pl.DataFrame(
        {
            "metric": [
                "usage.tokens.total",
                "charges.net",
                "charges.net",
                "charges.net",
                "usage.quantity.x",
            ],
            "unit": ["tokens", "USD", "JPY", None, None],
            "value": [17645468.0, 5.5, 5.0, 2.5, 0.004],
        }
    )
    assert shown(frame) == (
        ["metric", "value", "unit"],
        [
            ["usage.tokens.total", "17,645,468", "tokens"],
            ["charges.net", "5.50", "USD"],
            ["charges.net", "5", "JPY"],
            ["charges.net", "2.50", "unknown currency"],
            ["usage.quantity.x", "0.0040", "–"],
        ],
    )


def test_the_wide_frames_charges_have_the_records_currency():
    for sep in "._":
        wide = frame_of(MIXED[:3], sep=sep)
        assert column(wide, f"charges{sep}net") == [
            "USD 1,234.50",
            "JPY 98,765",
            "unknown currency 12.50",
        ]
        assert column(wide, f"charges{sep}currency") == ["USD", "JPY", "(none)"]


def test_decimals_are_those_of_iso_4217():
    # The standard's list; CLDR has fewer for currencies whose small coins are out of use.
    cldr = {code: digits for code, (digits, *_) in get_global("currency_fractions").items()}
    for code in iso4217.ISO_4217:
        assert iso4217.decimals(code) >= cldr.get(code, 2)
    assert [iso4217.decimals(code) for code in ("USD", "JPY", "KWD", "CLF", "CREDITS")] == [
        2,
        0,
        3,
        4,
        2,
    ]


# Shares ----------------------------------------------------------------------------------------


def test_ratios_are_per_cent_and_missing_is_not_zero():
    shares = [0.4938, 0.0, None, 0.0004, 0.99996, 1.0, 1.5, -0.25, -0.0004]
    frame = pl.DataFrame({"share": shares, "change_rate": shares})
    expected = ["49.4%", "0.0%", "–", "<0.1%", ">99.9%", "100.0%", "150.0%", "−25.0%", ">−0.1%"]
    labels, rows = shown(frame)
    assert labels == ["share", "change rate"]
    assert [row[0] for row in rows] == [row[1] for row in rows] == expected


def test_shares_have_bars_from_nothing_to_all():
    frame = pl.DataFrame({"acceptance_rate": [0.4938, 1.5, -0.25, None], "change_rate": 0.5})
    styles = [attrs.get("style", "") for _, attrs in Page(tu.table(frame).as_raw_html()).tags]
    widths = [
        style.split("width:")[1].split(";")[0]
        for style in styles
        if f"background:{PALETTE[0]}" in style
    ]
    assert widths == ["49.4%", "100.0%", "0.0%"]


# Periods ---------------------------------------------------------------------------------------


def periods(*values):
    return column(pl.DataFrame({"period": list(values), "records": 1}), "period")


def test_periods_are_as_short_as_says_it_all():
    day = dt.date
    assert periods(day(2026, 1, 1), day(2026, 2, 1), None) == ["2026-01", "2026-02", "–"]
    assert periods(day(2025, 12, 1), day(2026, 1, 1)) == ["2025-12", "2026-01"]
    assert periods(day(2026, 1, 1), day(2026, 1, 2)) == ["2026-01-01", "2026-01-02"]
    # A day, a month, a quarter or a year: it begins then.
    assert periods(day(2026, 1, 1)) == ["2026-01-01"]
    assert periods(day(2026, 1, 1), day(2026, 4, 1)) == ["2026-01-01", "2026-04-01"]


def test_pandas_dates_are_dates():
    frame = pd.DataFrame({"period": pd.to_datetime(["2026-01-05", "2026-01-12"]), "cost": 1})
    assert column(frame, "period") == ["2026-01-05", "2026-01-12"]


def test_hours_have_their_zone():
    # Of the two hours from 02:00 on that day in Berlin, the first is summer time.
    record = charged("a", "USD", 4, start="2026-10-25T00:00:00Z") | {
        "end_date": "2026-10-25T02:00:00Z"
    }
    answer = tu.cost_by(frame_of([record]), freq="1h", tz="Europe/Berlin")
    assert column(answer, "period") == ["2026-10-25 02:00 CEST", "2026-10-25 02:00 CET"]
    utc = tu.cost_by(frame_of([record | {"end_date": "2026-10-25T01:00:00Z"}]), freq="1h")
    assert column(utc, "period") == ["2026-10-25 00:00 UTC"]


def test_stickiness_is_by_the_month():
    frame = frame_of([charged("a", None, None, "ada", 5)])
    assert shown(tu.stickiness(frame)) == (
        ["period", "daily active users", "monthly active users", "stickiness"],
        [["2026-01", "1", "1", "100.0%"]],
    )


def test_instants_that_are_days_are_shown_so():
    start = [dt.datetime(2026, 1, 5, tzinfo=dt.UTC), None]
    assert column(pl.DataFrame({"start_date": start}), "start date") == ["2026-01-05", "–"]
    later = [*start, dt.datetime(2026, 1, 5, 6, 7, 8, tzinfo=dt.UTC)]
    assert column(pl.DataFrame({"start_date": later}), "start date") == [
        "2026-01-05 00:00 UTC",
        "–",
        "2026-01-05 06:07:08 UTC",
    ]


# Names -----------------------------------------------------------------------------------------


def test_names_are_shown_letter_by_letter():
    frame = pl.DataFrame({"user.id": NAMES, "currency": NAMES, "cost": 1.0})
    html = tu.table(frame, title=NAMES[0], subtitle="**b** {{x}} &amp;").as_raw_html()
    title, subtitle, _, *rows = Page(html).rows
    assert (title, subtitle) == ([NAMES[0]], ["**b** {{x}} &amp;"])
    assert [row[0] for row in rows] == NAMES
    assert [row[1] for row in rows] == [f"{name}\xa01.00" for name in NAMES]
    assert not {"script", "b"} & {tag for tag, _ in Page(html).tags}


def test_names_are_text_in_a_browser(browser):
    page = browser.new_page(viewport={"width": 800, "height": 600})
    said = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    frame = pl.DataFrame({"user.id": NAMES, "currency": "USD", "cost": 1.0})
    page.set_content(tu.table(frame).as_raw_html())
    cells = page.locator("tbody tr td:first-child")
    assert cells.evaluate_all("cells => cells.map(cell => cell.textContent)") == NAMES
    assert not said
    # What is too long for a line wraps, and the table does not leave the page.
    assert page.evaluate("document.documentElement.scrollWidth") <= 800
    assert cells.last.evaluate(
        "cell => cell.offsetHeight > 2 * cell.parentElement.previousElementSibling.offsetHeight"
    )
    page.close()


@pytest.mark.parametrize(
    "scheme", [("rgb(255, 255, 255)", "rgb(34, 34, 34)"), ("rgb(17, 17, 17)", "rgb(230, 230, 230)")]
)
def test_text_and_ground_are_those_of_the_page(browser, scheme):
    ground, ink = scheme
    page = browser.new_page()
    table = tu.table(pl.DataFrame({"team": ["a"], "share": [0.5]}), title="t").as_raw_html()
    page.set_content(f"<body style='background:{ground};color:{ink}'>{table}</body>")
    for cell in page.locator("td, th").all():
        assert cell.evaluate("cell => getComputedStyle(cell).color") == ink
    grounds = "nodes => nodes.map(node => getComputedStyle(node).backgroundColor)"
    assert set(page.locator("table, tr, td, th").evaluate_all(grounds)) == {"rgba(0, 0, 0, 0)"}
    page.close()


def test_columns_of_the_callers_own_are_called_as_they_are():
    frame = pl.DataFrame(
        {name: ["a"] for name in ("<i>x</i>", "{{m^2}}", "cost_center", "model_id")}
    )
    assert shown(frame)[0] == ["<i>x</i>", "{{m^2}}", "cost_center", "model_id"]


def test_what_has_no_name_is_unlike_a_name():
    html = tu.table(
        pl.DataFrame({"team": [None, "(none)", ""], "kind": [None, "a", "b"]})
    ).as_raw_html()
    _, *rows = Page(html).rows
    assert rows == [["(none)", "–"], ["(none)", "a"], ["", "b"]]
    assert html.count("<i ") == 2  # of nulls alone


def test_all_other_groups_are_called_so():
    records = [charged(str(n), "USD", n, user) for n, user in enumerate(["ada", "bob", None], 1)]
    assert shown(tu.top(frame_of(records), 1, "user.id", overlap="ignore"))[1] == [
        ["(none)", "1", "USD 3.00", "50.0%", "1", "1"],
        ["(all others)", "–", "USD 3.00", "50.0%", "2", "2"],
    ]


@pytest.mark.parametrize("name", FRAMES)
def test_every_column_of_every_metric_is_known(name):
    answer = ask(name, example(backend="polars"), "product.id")
    own = {"product.id", "users"} if name == "cost_per" else {"product.id"}
    assert set(answer.columns) - own <= numbers.RESULTS


def test_every_column_of_every_check_is_known():
    frame = tu.load_example(backend="polars")
    named = {"id", "product.id", "organization.id", "metric_name", "model.id"}
    answers = [
        tu.findings(frame),
        tu.drift(frame, frame),
        tu.reconcile(frame, frame),
        tu.grains(frame),
    ]
    answers += [tu.overlaps(frame), tu.restatements(frame), tu.model_names(frame)]
    for answer in answers:
        assert set(answer.columns) - named <= numbers.RESULTS


# Any other frame -------------------------------------------------------------------------------


def test_the_wide_frame_is_shown_up_to_so_many_cells():
    wide = tu.load_example(backend="polars")
    html = tu.table(wide).as_raw_html()
    # 20,000 cells of 78 columns.
    assert "The first 256 rows are shown; there are 54 more." in html
    labels, *rows = Page(html).rows
    assert (len(labels), len(rows)) == (78, 257)  # and the note
    assert "more." not in tu.table(wide.select("id", "surface")).as_raw_html()


def test_no_more_rows_than_a_thousand_are_shown_in_silence():
    frame = pl.DataFrame({"n": range(1_002)})
    for flavour in (
        frame,
        frame.lazy(),
        frame.to_arrow(),
        duckdb.sql("select * from range(1002) t(n)"),
    ):
        _, rows = shown(flavour)
        assert len(rows) == 1_001
        assert rows[-1] == ["The first 1,000 rows are shown; there are 2 more."]
    assert len(shown(frame, rows=1_002)[1]) == 1_002


def test_an_answer_without_rows_says_so():
    empty = tu.cost_by(tu.load_example(backend="polars").clear(), "model.id")
    assert shown(empty) == (
        ["model.id", "cost", "share", "records", "priced records"],
        [["No rows."]],
    )


def test_a_relation_of_all_kinds_of_columns():
    relation = duckdb.sql(
        "select interval 3 month as i, 5::hugeint as h, 1.50::decimal(10, 2) as d, true as b, [1, 2] as l, "
        "[1] as one, {'a': 'é'} as s, null as n, 2026 as year, 1e400 as infinite, 'nan'::double as nothing, "
        "'a'::enum('a', 'b') as e"
    )
    labels, rows = shown(relation)
    assert dict(zip(labels, *rows, strict=True)) == {
        "i": "MonthDayNano(months=3, days=0, nanoseconds=0)",
        "h": "5", "d": "1.50", "b": "yes", "l": "2 entries", "one": "1 entry", "s": '{"a": "é"}',
        "n": "–", "year": "2026", "infinite": "inf", "nothing": "–", "e": "a",
    }  # fmt: skip


def test_an_index_of_pandas_with_a_name_is_shown():
    answer = tu.cost_by(frame_of(MIXED[:1], "pandas"), "user.id")
    assert shown(answer.set_index("user.id"))[0][:2] == ["user.id", "cost"]
    assert shown(answer[answer["cost"] > 0])[0][:2] == ["user.id", "cost"]
    pivot = pd.DataFrame({("a", 1): [1], ("a", 2): [2], 3: [4]})
    assert shown(pivot)[0] == ["a 1", "a 2", "3"]


def test_the_answer_stays_as_it_was():
    answer = frame_of(MIXED, "pandas")
    before = answer.copy()
    tu.table(answer)
    pd.testing.assert_frame_equal(answer, before)


def test_what_great_tables_has_can_be_done_to_it():
    made = tu.table(pl.DataFrame({"currency": ["USD"], "cost": [2.0]}))
    assert made.as_raw_html() == made.as_raw_html()
    labels, *rows = Page(made.cols_unhide("currency").as_raw_html()).rows
    assert (labels, rows) == (["currency", "cost"], [["USD", "USD\xa02.00"]])


@pytest.mark.parametrize("thing", [[{"a": 1}], "text", pd.Series([1]), None])
def test_what_is_no_frame_is_refused(thing):
    with pytest.raises(tu.errors.FrameError, match="is no frame"):
        tu.table(thing)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(tu.errors.FrameError, match="'b'"):
        tu.table(pd.DataFrame({"a": [1, 2], "b": [1, "x"]}))
    with pytest.raises(tu.errors.FrameError, match="two columns 'a'"):
        tu.table(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"rows": 0}, "rows=0"), ({"rows": "all"}, "rows='all'"), ({"subtitle": "x"}, "subtitle='x'")],
)
def test_options_that_have_no_meaning_are_refused(options, words):
    with pytest.raises(tu.errors.OptionError, match=words):
        tu.table(pl.DataFrame({"a": [1]}), **options)
    with pytest.raises(tu.errors.UnknownOptionError, match="titel"):
        tu.table(pl.DataFrame({"a": [1]}), titel="x")


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("tidyusage.errors.find_spec", lambda name: None)
    with pytest.raises(tu.errors.MissingExtraError, match=r"tidyusage\[table\]"):
        tu.table(pl.DataFrame({"a": [1]}))


# In a notebook ---------------------------------------------------------------------------------


def test_an_explanation_is_shown_as_lists():
    made = tu.explain("cache_hit_rate")._repr_html_()
    assert made.startswith("<b>cache_hit_rate</b><div>")
    assert made.count("<ul>") == made.count("</ul>") > 0
    assert made.count("<li>") == sum(
        line.lstrip().startswith("- ") for line in tu.explain("cache_hit_rate").lines
    )


def test_an_outline_is_nested_and_escaped():
    made = markup.outline(["a <b>", "- c", "  - d", "- e", "f"])
    assert made == "<div>a &lt;b&gt;</div><ul><li>c<ul><li>d</ul><li>e</ul><div>f</div>"


def test_a_kernel_shows_a_table_and_an_explanation():
    source = """import tidyusage as tu
df = tu.load_example()
display(tu.table(df.usage.cost_by("model.id")), df.usage.explain("cost_by"))"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    table, explanation = notebook.cells[0].outputs
    assert "USD\xa02,484.77" in table.data["text/html"]
    assert explanation.data["text/html"].startswith("<b>cost_by</b>")
    assert explanation.data["text/plain"].startswith("cost_by\n  Cost of a record")
