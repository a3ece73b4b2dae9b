"""`report`: the page as its reader sees it, in a browser, and as a file."""

import json
import os
import re
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pandas as pd
import pytest

import tidyusage as tu
from browser import Tab
from flavours import frame_of
from test_cli import run
from tidyusage.reporting import calendar

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

SCRIPT = "<script>alert(1)</script>"
NAMES = [
    SCRIPT,
    "</script><img src=x onerror=alert(1)>",
    "\"'&",
    "\u05de\u05e9\u05ea\u05de\u05e9 \u0663",
    "x" * 300,
    "\U0001f98a fox",
    "a\u2028b <!-- $title ${cards} {{datum}}",
]


def record(id_, product, day, user, cost, *, currency="USD", model="m1", days=1, **more):
    """Return a record of a window from a day of January 2026 on; input and output are 10 each."""
    start = day and date(2026, 1, day) if not isinstance(day, date) else day
    dates = {"start_date": f"{start}", "end_date": f"{start + timedelta(days)}"} if start else {}
    tokens = {"input": 10, "output": 10, "cache_read": 30, "total": 50}
    user_ = (
        {"user": user if isinstance(user, dict) else {"id": user, "name": user.title()}}
        if user
        else {}
    )
    return {
        "id": id_,
        "product": {"id": product},
        **user_,
        **({"model": {"id": model}} if model is not None else {}),
        **dates,
        "usage": {"tokens": tokens, **more},
        "charges": [{"type": "net", "amount": cost, "currency": currency}],
    }


# Weeks from Monday: 5, 12, 19 and 26 January are whole, that of 2 February has two days.
EDIT = {"code": {"accepts": 3, "rejects": 1}}
RECORDS = [
    record("1", "alpha", 5, "ada", 10, **EDIT),
    record("2", "alpha", 6, "bob", 20, model="m2"),
    record("3", "beta", 7, "ada", 5),
    record("4", "alpha", 12, "ada", 30),
    record("5", "beta", 13, "cy", 7.005),
    record("6", "beta", 14, "ada", 2, currency=None),
    record("7", "alpha", 20, "bob", 40, **EDIT),
    record("8", "beta", 21, "ada", 8, currency="EUR"),
    record("9", "alpha", 26, "ada", 50, model="m2"),
    record("10", "beta", 28, "bob", 9, code={"accepts": 0, "rejects": 4}),
    record("11", "alpha", date(2026, 2, 3), "ada", 3),
    record("12", "alpha", None, "dan", 1.5),
]
WEEKS = [
    f"week of {day}"
    for day in ("5 Jan 2026", "12 Jan 2026", "19 Jan 2026", "26 Jan 2026", "2 Feb 2026")
]


def messy():
    """Return records with odd names, a sum beside its parts, and a window across two weeks."""
    named = [
        record(f"n{n}", "gamma", 5 + n, {"id": f"u{n}", "name": name}, 10 + n, model=name)
        for n, name in enumerate(NAMES)
    ]
    blank = record("b", "gamma", 20, {"email": " Key@Example.com "}, 1, model="")
    whole = record("w", "gamma", 5, None, 10, model=None)
    long = record("l", "delta", 7, {"id": "u0", "name": NAMES[0]}, 14, days=14)
    return [*named, blank, whole, long]


@pytest.fixture(scope="module")
def frame():
    return tu.flatten_usage(RECORDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def small(frame, folder):
    return tu.report(frame, folder / "small.html", title="A & B", freq="1w")


@pytest.fixture(scope="module")
def odd(folder):
    with pytest.warns(tu.errors.OverlapWarning, match="count some usage twice"):
        return tu.report(tu.flatten_usage(messy()), folder / "odd.html", freq="1w", title=SCRIPT)


@pytest.fixture(scope="module")
def opened(browser, small):
    tab = Tab(browser, small)
    yield tab
    tab.close()


@pytest.fixture
def tab(opened):
    """The small page as it is when it is opened."""
    opened.reset()
    return opened


@pytest.fixture(scope="module")
def odd_tab(browser, odd):
    found = Tab(browser, odd)
    yield found
    found.close()


def cost(frame, currency="USD"):
    """Return the cost of a frame as the metric has it, as a page writes it."""
    found = tu.cost_by(frame, overlap="ignore")
    found = found[found["currency"] == currency]["cost"]
    return f"{half_up(found.item())} {currency}"


def half_up(value):
    """Return an amount as people round it: 21.005 to 21.01, whatever a float makes of it."""
    return f"{Decimal(f'{value:.9f}').quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


def test_the_page_speaks_to_nobody_and_draws_its_charts(tab):
    assert tab.said == []
    assert tab.requests == [f"file://{tab.path}"]
    # Dated costs in USD: alpha in all five weeks, beta in the first, second and fourth.
    assert tab.marks("time", "rect") == 8
    assert tab.page.locator('[data-section="time"] .chart').count() == 3  # one for each currency
    assert tab.marks("active", "rect") == 5
    assert tab.marks("tokens", "rect") == 15  # input, output and cache reads of five weeks
    assert tab.page.title() == tab.page.inner_text("h1") == "A & B"


def test_headlines_are_the_librarys_figures(tab, frame):
    cards = tab.figures()
    # 10 + 20 + 5 + 30 + 7.005 + 40 + 50 + 9 + 3 + 1.5
    assert cards["cost-USD"] == "175.51 USD"  # 175.505, half up
    assert cards["cost-EUR"] == "8.00 EUR" == cost(frame, "EUR")
    assert cards["cost-"] == "2.00 of unknown currency"
    assert cards["tokens"] == "600" == f"{tu.tokens_by(frame)['tokens'].item():,.0f}"
    assert cards["users"] == "4" == str(tu.active_users(frame)["active_users"].item())
    assert cards["cache"] == "75.0 %"  # 30 of every 40 that prompts hold
    assert cards["acceptance-edit"] == "50.0 %"  # 3 + 3 + 0 of 4 + 4 + 4
    unit = tu.cost_per_token(frame, per=1_000_000).set_index("currency")["cost_per_token"]
    assert cards["unit-EUR"] == f"{unit['EUR']:,.2f} EUR" == "160,000.00 EUR"


def test_the_change_is_that_of_the_last_two_whole_periods(tab):
    cards = tab.cards()
    assert cards["cost-USD"][2] == "last week: +47.5 %"  # 50 + 9 after 40
    assert cards["users"][2] == "last week: no change"  # ada and bob, both weeks
    assert cards["acceptance-edit"][2] == "last week: −75.0 points"  # 0 of 4 after 3 of 4
    said = tab.page.inner_text("#compared")
    assert said == f"Changes are those of the last whole week: {WEEKS[3]} against {WEEKS[2]}."
    tab.choose(last=WEEKS[0])
    assert "no two whole weeks" in tab.page.inner_text("#compared")
    assert len(tab.cards()["cost-USD"]) == 2


@pytest.fixture
def days_tab(browser, folder):
    """A page of sixteen days: 1 USD a day, from the tenth on 2; with people of two names."""
    users = [{"id": "toString"}, {"email": "Ada@x.org"}]
    records = [
        record(f"d{n}", "constructor", n, users[n % 2], 1 + (n >= 10), model="__proto__")
        for n in range(1, 17)
    ]
    people = {"toString": "ada", "ada@x.org": "ada"}
    found = Tab(browser, tu.report(tu.flatten_usage(records), folder / "days.html", people=people))
    yield found
    found.close()


def test_no_change_is_told_against_a_week_of_missing_days(browser, folder):
    # Monday 5 to Sunday 25 January, without the 12th and the 13th: 13 of 15 weekdays.
    days = [day for day in range(5, 26) if day not in {12, 13}]
    frame = tu.flatten_usage([record(f"d{day}", "alpha", day, "ada", 1) for day in days])
    tab = Tab(browser, tu.report(frame, folder / "holes.html", freq="1w"))
    assert tab.cards()["cost-USD"][1] == "19.00 USD"
    assert len(tab.cards()["cost-USD"]) == 2
    assert "no two whole weeks" in tab.page.inner_text("#compared")
    tab.close()


def test_of_days_the_last_seven_are_compared_and_any_name_is_drawn(days_tab):
    cards = days_tab.cards()
    assert cards["cost-USD"][2] == "last 7 days: +100.0 %"  # 7 × 2 after 7 × 1
    assert days_tab.page.inner_text("#compared") == (
        "Changes are those of the last 7 whole days: 10 Jan 2026 to 16 Jan 2026 "
        "against 3 Jan 2026 to 9 Jan 2026."
    )
    assert cards["users"][1] == "1"  # both are ada
    for section in ("products", "models", "users"):
        assert days_tab.marks(section, "rect") == 1
    assert days_tab.marks("time", "rect") == 16
    assert days_tab.said == []


def test_a_picture_keeps_its_name_once_it_is_drawn(tab):
    tab.choose(["alpha"])
    names = tab.page.eval_on_selector_all(
        ".chart", "all => all.map((one) => `${one.role}: ${one.ariaLabel}`)"
    )
    assert len(names) > 5
    assert all(name.startswith("img: ") and "Vega" not in name for name in names)
    tab.reset()


def test_what_is_covered_in_part_is_told_and_paler(tab):
    words = tab.page.locator('[data-section="time"] figcaption').first.inner_text()
    assert words.endswith(f"Only a part of {WEEKS[4]} has data; it is paler.")
    rows = tab.table("Cost in USD by week and product")
    assert [row[0] for row in rows] == [*WEEKS[:4], f"{WEEKS[4]} (in part)", "without a date"]
    opacities = tab.page.eval_on_selector_all(
        '[data-section="active"] .mark-rect path',
        "paths => paths.map((p) => p.getAttribute('opacity'))",
    )
    assert [value or "1" for value in opacities] == ["1", "1", "1", "1", "0.4"]


@pytest.mark.parametrize("product", ["alpha", "beta"])
def test_one_product_is_what_the_metrics_say_of_its_records(tab, frame, product):
    part = frame[frame["product.id"] == product]
    tab.choose([product])
    cards = tab.figures()
    assert cards["cost-USD"] == cost(part)
    assert cards["tokens"] == f"{tu.tokens_by(part)['tokens'].item():,.0f}"
    assert cards["users"] == str(tu.active_users(part)["active_users"].item())
    assert ("cost-EUR" in cards) == (product == "beta")
    assert tab.marks("time", "rect") == {"alpha": 5, "beta": 3}[product]
    users = tu.cost_by(part, "user.name")
    users = users[users["currency"] == "USD"].set_index("user.name")["cost"]
    shown = {row[0]: row[1] for row in tab.table("Cost and tokens by user")[:-1]}
    assert {k: v for k, v in shown.items() if v != "–"} == {k: half_up(v) for k, v in users.items()}
    tab.reset()
    assert tab.figures()["cost-USD"] == "175.51 USD"


def test_a_narrower_period_is_what_the_metrics_say_of_its_records(tab, frame):
    dates = pd.to_datetime(frame["start_date"])
    part = frame[(dates >= "2026-01-12") & (dates < "2026-01-26")]
    tab.choose(first=WEEKS[1], last=WEEKS[2])
    cards = tab.figures()
    assert cards["cost-USD"] == cost(part)
    assert cards["cost-USD"] == "77.01 USD"  # 30 + 7.005 + 40, half up
    assert cards["users"] == "3"  # ada, bob and cy: dan has no date
    assert [row[0] for row in tab.table("Cost in USD by week and product")] == WEEKS[1:3]
    assert (
        tab.status()
        == f"Showing all products, {WEEKS[1]} to {WEEKS[2]}. 1 record without a date is left out."
    )
    tab.choose(first=WEEKS[3])  # after the last one chosen, which follows it
    assert tab.page.locator("#to option:checked").inner_text() == WEEKS[3]
    assert tab.figures()["cost-USD"] == "59.00 USD"


def test_records_without_dates_count_where_all_periods_are_chosen(tab):
    assert "1 record without a date is in the figures" in tab.status()
    assert tab.table("Cost in USD by week and product")[-1] == [
        "without a date",
        "1.50",
        "–",
        "1.50",
    ]
    tab.choose(last=WEEKS[3])
    assert tab.figures()["cost-USD"] == "171.01 USD"  # 175.505 − 3 − 1.5 = 171.005
    assert tab.figures()["users"] == "3"


def test_people_of_two_products_are_not_added(tab):
    def users():
        return {row[0]: row[-1] for row in tab.table("Cost and tokens by product")}

    # alpha has ada, bob and dan; beta has ada, cy and bob.
    assert users() == {"alpha": "3", "beta": "3", "All that is chosen": "4"}
    weeks = [row[1] for row in tab.table("Active users by week")]
    assert weeks == ["2", "2", "2", "2", "1", "4"]


def test_currencies_stay_apart(tab):
    rows = {row[0]: row for row in tab.table("Cost and tokens by product")}
    head = tab.page.eval_on_selector_all(
        '[aria-label="Cost and tokens by product"] thead th',
        "heads => heads.map((h) => h.textContent)",
    )
    costs = [place for place, words in enumerate(head) if words.startswith("Cost, ")]
    assert [head[place] for place in costs] == ["Cost, USD", "Cost, EUR", "Cost, unknown currency"]
    assert [rows["beta"][place] for place in costs] == ["21.01", "8.00", "2.00"]  # 21.005
    assert [rows["alpha"][place] for place in costs] == ["154.50", "–", "–"]
    assert "$" not in tab.page.inner_text("main")


def test_what_is_missing_is_a_dash_with_a_reason(browser, folder):
    bare = tu.flatten_usage(RECORDS)[
        ["id", "product.id", "start_date", "end_date", "usage.tokens.total"]
    ]
    tab = Tab(browser, tu.report(bare, folder / "bare.html", freq="1w"))
    cards = tab.cards()
    assert cards["cost-"][1] == "–"
    assert cards["cost-"][2].startswith("The frame has none of the columns that cost_by needs")
    assert cards["users"][1:] == [
        "–",
        "The frame has none of the columns that active_users needs: user.id, user.email.",
    ]
    assert "none of the columns" in tab.page.inner_text('[data-section="acceptance"]')
    assert cards["tokens"][1] == "600"
    tab.choose([])
    assert tab.figures()["tokens"] == "–"
    assert tab.page.inner_text('[data-section="time"] p') == "No product is chosen."
    assert tab.said == []
    tab.close()


def test_names_are_text_and_nothing_else(odd_tab, odd):
    assert odd_tab.said == []
    assert odd_tab.requests == [f"file://{odd}"]
    users = [row[0] for row in odd_tab.table("Cost and tokens by user")]
    models = [row[0] for row in odd_tab.table("Cost and tokens by model")]
    assert set(NAMES) <= set(users)
    assert set(NAMES) <= set(models)
    assert "(empty name)" in models  # a model called nothing
    assert "key@example.com" in users  # addresses are compared in lower case
    assert odd_tab.page.inner_text("h1") == odd_tab.page.title() == SCRIPT
    assert odd_tab.page.locator("img").count() == 0
    assert odd_tab.page.locator("script").count() == 3  # figures, Vega, the page's own


def test_windows_across_two_periods_leave_users_of_a_period_untold(odd_tab):
    words = odd_tab.page.inner_text('[data-section="active"]')
    assert "begin in one week and end in another" in words
    assert odd_tab.figures()["users"] == "8"  # seven names and an e-mail
    odd_tab.choose(last=WEEKS[0])
    card = odd_tab.cards()["users"]
    assert card[1] == "–"
    assert "end in another" in card[2]
    # 10 + 11 + … + 16 and 10 fall into the first week, and 5 of the 14 days that cost 1 a day.
    assert odd_tab.figures()["cost-USD"] == "106.00 USD"
    odd_tab.reset()


def test_what_may_count_twice_is_said_at_the_top(odd_tab, tab):
    notice = odd_tab.page.inner_text("section.notice")
    assert "These figures may count some usage twice" in notice
    assert "gamma: rows by organization" in notice
    assert tab.page.locator("section.notice").count() == 0


def test_tables_are_sorted_by_click_and_by_keyboard(tab):
    region = '[aria-label="Cost and tokens by user"]'

    def first():
        return [row[0] for row in tab.table("Cost and tokens by user")][:-1]

    def sorted_by(column):
        return tab.page.get_attribute(f"{region} thead th:nth-child({column})", "aria-sort")

    tab.page.click(f"{region} thead th:nth-child(2) button")
    assert sorted_by(2) == "descending"
    assert first() == ["Ada", "Bob", "Cy", "Dan"]  # 98, 69, 7.005, 1.5
    tab.page.focus(f"{region} thead th:nth-child(2) button")
    tab.page.keyboard.press("Enter")
    assert (sorted_by(2), first()[0]) == ("ascending", "Dan")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.textContent") == "Share of EUR"
    tab.page.keyboard.press("Space")
    assert (sorted_by(2), sorted_by(5)) == ("none", "descending")
    tab.choose(["alpha"])  # the order stays where the column does
    tab.page.click(f"{region} thead th:nth-child(1) button")
    assert (sorted_by(1), first()) == ("ascending", ["Ada", "Bob", "Dan"])
    assert tab.table("Cost and tokens by user")[-1][0] == "All that is chosen"


def test_all_is_reached_by_keyboard(tab):
    tab.page.reload()
    tab.drawn()
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.textContent") == "Skip to the figures"
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Space")
    assert tab.status().startswith("Showing 1 of 2 products")
    assert tab.page.get_attribute("#status", "role") == "status"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser, small, odd, scheme):
    tab = Tab(browser, small, color_scheme=scheme)
    assert tab.faults() == []
    tab.close()
    tab = Tab(browser, odd, color_scheme=scheme)
    tab.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    tab.choose(first=WEEKS[1])
    assert tab.faults() == []
    tab.close()


def test_days_are_the_same_in_every_zone(browser, small, tab):
    expected = tab.labels("time")
    assert [label for label in expected if "Jan" in label or "Feb" in label][:2] == [
        "5 Jan",
        "12 Jan",
    ]
    for zone in ("America/New_York", "Asia/Tokyo"):
        other = Tab(browser, small, timezone_id=zone, locale="de-DE")
        assert other.labels("time") == expected
        assert other.tables() == tab.tables()
        assert other.figures() == tab.figures()
        other.close()


def test_a_phone_scrolls_down_alone(browser, small, odd):
    for path in (small, odd):
        tab = Tab(browser, path, viewport={"width": 390, "height": 844})
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        filters = tab.page.locator("#filters")
        assert filters.evaluate("form => getComputedStyle(form).position") == "static"
        tab.close()


def test_charts_follow_the_width_of_the_window(browser, small):
    tab = Tab(browser, small)
    tab.page.set_viewport_size({"width": 600, "height": 800})
    chart = tab.page.locator('[data-section="time"] .chart svg').first
    tab.page.wait_for_function(
        "() => document.querySelector('.chart svg').getBoundingClientRect().width < 600"
    )
    assert chart.evaluate("svg => svg.viewBox.baseVal.width") <= 600
    tab.close()


def test_paper_has_no_controls_and_shows_all_figures(browser, small):
    tab = Tab(browser, small, color_scheme="dark")
    tab.page.emulate_media(media="print")
    assert not tab.page.locator("#reset").is_visible()
    assert not tab.page.locator("#products").is_visible()
    assert not tab.page.locator("summary").first.is_visible()
    assert (
        tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    )
    tab.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.page.locator("details:not([open])").count() == 0
    tab.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.page.locator("details[open]").count() == 0
    tab.close()


def test_without_scripts_the_headlines_stand(browser, small):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{small}")
    assert "175.51 USD" in page.inner_text("#cards")
    assert (
        page.locator("noscript")
        .inner_text()
        .startswith("Charts, tables and filters need JavaScript")
    )
    assert not page.locator("#filters").is_visible()
    context.close()


def test_without_users_no_name_is_in_the_file(tmp_path):
    mail, key = {"email": "Ada@Example.com"}, {"id": "sk-4711-secret"}
    rows = [
        *messy()[:2],
        record("ada@example.com", "alpha", 5, mail, -3),
        record("k", "alpha", 6, key, 1),
    ]
    frame = tu.flatten_usage([{**row, "model": {"id": "m"}} for row in rows])
    named = Path(tu.report(frame, tmp_path / "a.html")).read_text()
    bare = Path(tu.report(frame, tmp_path / "b.html", users=False)).read_text().lower()
    assert all(name in named for name in ("ada@example.com", "alert(1)", "img src=x", "sk-4711-…"))
    assert "sk-4711-secret" not in named  # a key is in no page
    assert not any(name in bare for name in ("ada@example.com", "alert(1)", "img src=x", "sk-4711"))


def test_how_figures_were_made_and_how_complete_the_data_is(tab):
    rules = tab.page.locator(".rules").text_content()
    assert "by net, where it is there: 12 of 12 records" in rules
    assert "have no dates, and are a period of their own: 1 of 12 records" in rules
    rows = tab.table("Coverage")
    assert rows[0] == [
        "All products",
        "12",
        "5 Jan 2026",
        "3 Feb 2026",
        "100.0 %",
        "100.0 %",
        "100.0 %",
        "100.0 %",
        "1",
    ]
    assert [row[0] for row in tab.table("Findings")]  # of a currency that is missing
    meta = tab.page.inner_text(".meta")
    assert re.fullmatch(
        r"5 Jan 2026 to 3 Feb 2026 \(UTC\) · 12 records · made \d+ \w+ \d{4} \d\d:\d\d UTC with tidyusage \S+",
        meta,
    )


def told(path):
    """Return a page but for the time at which it was made."""
    return re.sub(r"\d+ \w{3} \d{4} \d\d:\d\d UTC", "", Path(path).read_text())


@pytest.mark.parametrize("flavour", ["polars", "polars lazy", "pyarrow", "duckdb"])
def test_each_library_gives_the_same_page(flavour, small, tmp_path):
    frame = frame_of(RECORDS, flavour)
    assert told(tu.report(frame, tmp_path / "page.html", title="A & B", freq="1w")) == told(small)


def test_long_and_underscores_give_the_same_page(small, tmp_path):
    for options in ({"sep": "_"}, {"layout": "long", "backend": "polars"}):
        frame = tu.flatten_usage(RECORDS, **options)
        page = told(tu.report(frame, tmp_path / "page.html", title="A & B", freq="1w"))
        if "layout" in options:  # of which findings look at less
            cut = re.compile(
                r"<section aria-labelledby=\"findings-title\">.*?</section>", re.DOTALL
            )
            assert cut.sub("", page) == cut.sub("", told(small))
        else:
            assert page == told(small)


def test_an_empty_frame_is_a_whole_page(browser, tmp_path):
    tab = Tab(browser, tu.report(tu.flatten_usage([]), tmp_path / "empty.html"))
    assert "There are no records" in tab.page.inner_text("main")
    assert (tab.said, tab.faults()) == ([], [])
    tab.close()


@pytest.mark.parametrize(
    ("days", "freq", "count"), [(31, "1d", 31), (32, "1w", 5), (184, "1w", 27), (185, "1mo", 7)]
)
def test_periods_fit_the_data(days, freq, count):
    # From Thursday, 1 January 2026; the 32nd day is Sunday, 1 February, the 184th 3 July.
    span = calendar.Span(datetime(2026, 1, 1), datetime(2026, 1, 1) + timedelta(days))  # noqa: DTZ001 - of a zone's clocks
    assert calendar.chosen(None, span) == freq
    assert len(calendar.periods(freq, span)) == count


def test_what_cannot_be_is_refused_and_nothing_is_written(frame, tmp_path):
    page = tmp_path / "page.html"
    faults = {
        "freq='1h' is not a value of freq": {"freq": "1h"},
        "charge='nett' is no policy": {"charge": "nett"},
        "Invalid time zone: 'Mars'": {"tz": "Mars"},
        "overlap='look' is not a value of overlap": {"overlap": "look"},
        "users='no' is not a value of users": {"users": "no"},
        "title=5 is no text": {"title": 5},
        "no rate": {"rates": {"USD": 1.0}, "to": "EUR"},
    }
    for words, options in faults.items():
        with pytest.raises(tu.errors.UsageError, match=words):
            tu.report(frame, page, **options)
    with pytest.raises(tu.errors.OptionError, match="is no name of a page"):
        tu.report(frame, tmp_path / "page.parquet")
    with pytest.raises(tu.errors.ExportError, match="There is no folder"):
        tu.report(frame, tmp_path / "nowhere" / "page.html")
    with pytest.raises(tu.errors.UnknownOptionError, match="Did you mean 'users'"):
        tu.report(frame, page, user=False)
    with pytest.raises(tu.errors.FrameError):
        tu.report(pd.DataFrame({"x": [1]}), page)
    far = tu.flatten_usage([record("0", "a", date(1970, 1, 1), "u", 1), *RECORDS])
    with pytest.raises(tu.errors.OptionError, match="more than 400 periods"):
        tu.report(far, page, freq="1d")
    assert os.listdir(tmp_path) == []


def test_a_file_that_is_there_stays_where_a_report_fails(frame, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("old")
    with pytest.raises(tu.errors.UsageError):
        tu.report(frame, page, rates={"USD": 1.0}, to="EUR")
    assert page.read_text() == "old"
    assert tu.report(frame, str(page), freq="1mo") == str(page)
    assert page.read_text().startswith("<!doctype html>")


def test_without_the_extra_it_is_named(frame, tmp_path, monkeypatch):
    monkeypatch.setattr("tidyusage.errors.find_spec", lambda name: None)
    with pytest.raises(tu.errors.MissingExtraError, match=r"Install tidyusage\[plot\]"):
        tu.report(frame, tmp_path / "page.html")


def test_overlap_can_raise_or_be_ignored(tmp_path):
    frame = tu.flatten_usage(messy())
    with pytest.raises(tu.errors.OverlapError, match="count some usage twice"):
        tu.report(frame, tmp_path / "page.html", overlap="raise")
    page = Path(tu.report(frame, tmp_path / "page.html", overlap="ignore")).read_text()
    assert "may count some usage twice" not in page


def test_many_users_products_and_models_are_bounded(browser, tmp_path):
    rows = [
        record(
            f"{n}",
            f"p{n % 30:02}",
            1 + n % 31,
            f"user {n:04}",
            1 + n,
            model=f"m{n % 300}",
            tokens={"total": n},
        )
        for n in range(3000)
    ]
    path = tu.report(tu.flatten_usage(rows, backend="polars"), tmp_path / "page.html")
    assert os.path.getsize(path) < 3_000_000
    tab = Tab(browser, path)
    table = tab.table("Cost and tokens by user")
    assert len(table) == 202  # 200 users, all others, and the sum
    others = next(row for row in table if row[0] == "all other users")
    # All is 1 + 2 + … + 3000 = 4,501,500; the 200 with the most cost are 2801 to 3000: 580,100.
    assert others[1] == "3,921,400.00"
    assert table[-1][1] == "4,501,500.00"
    assert len(tab.table("Cost and tokens by product")) == 26  # 24, all others, and the sum
    assert tab.figures()["users"] == "2,999"  # the first one's tokens are none
    assert tab.marks("users", "rect") <= 12
    tab.close()


def test_users_too_many_for_patterns_are_told_as_far_as_they_can_be(
    browser, frame, tmp_path, monkeypatch
):
    monkeypatch.setattr("tidyusage.reporting.activity.LONGEST", 10)
    tab = Tab(browser, tu.report(frame, tmp_path / "page.html", freq="1w"))
    assert tab.figures()["users"] == "4"
    tab.choose(["alpha"])
    assert tab.figures()["users"] == "3"
    tab.choose(first=WEEKS[1], last=WEEKS[2])
    assert tab.cards()["users"][1:] == [
        "–",
        "There are too many different users (4) for this page to count them.",
    ]
    assert [row[1] for row in tab.table("Active users by week")] == ["1", "1", "–"]
    tab.close()


def test_the_command_writes_a_page(tmp_path):
    source, page = tmp_path / "usage.ndjson", tmp_path / "page.html"
    rows = [one for one in RECORDS if one["charges"][0]["currency"] == "USD"]
    source.write_text("\n".join(map(json.dumps, rows)))
    options = ("--title", "Tokens & <money>", "--no-users", "--rate", "USD=2", "--to", "EUR")
    done = run("report", source, "-o", page, *options, "--memory-limit", "1GB")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"The report is in {page}\n"
    html = page.read_text()
    assert "<title>Tokens &amp; &lt;money&gt;</title>" in html
    assert "351.01 <small>EUR</small>" in html  # twice 175.505
    assert not re.search(r"\b(ada|bob|dan)\b", html[: html.index("<script>")], re.IGNORECASE)
    wrong = run("report", source, "-o", tmp_path / "page.txt")
    assert (wrong.returncode, "is no name of a page" in wrong.stderr) == (2, True)


def test_help_shows_examples():
    assert "tidyusage report usage.ndjson -o report.html" in run("report", "--help").stdout


def test_the_wheel_has_what_a_page_is_made_of():
    assets = Path(tu.__file__).parent / "reporting" / "assets"
    names = {path.name for path in assets.iterdir()}
    assert {"report.html", "empty.html", "page.css", "page.js"} <= names
