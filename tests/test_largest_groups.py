"""Charts show the largest groups of each currency, and fold the rest of that currency."""

import pytest

import tidyusage as tu
from flavours import FEW, FLAVOURS, frame_of
from test_plot import marks, panels, said, shown
from tidyusage.plot import colors


def record(id_, user, amount, currency="USD", day="2026-01-05", **more):
    charge = {"type": "net", "amount": amount, "currency": currency}
    return {
        "id": id_,
        "product": {"id": "p"},
        "user": {"id": user},
        "charges": [] if amount is None else [charge],
        "start_date": day,
        "end_date": None,
        **more,
    }


# Users d01 … d20 have 1,000 … 981 USD; e01 … e20 have 10, 9.9 … 8.1 EUR and 1 USD each.
USERS = [
    one
    for n in range(20)
    for one in (
        record(f"d{n}", f"d{n + 1:02}", 1000 - n),
        record(f"e{n}", f"e{n + 1:02}", round(10 - n / 10, 1), "EUR"),
        record(f"x{n}", f"e{n + 1:02}", 1),
    )
]
DOLLARS = [f"d{n:02}" for n in range(1, 13)]
EUROS = [f"e{n:02}" for n in range(1, 13)]


def by_panel(chart, kind, *names):
    """Return columns of each panel, by the title of its panel."""
    found = [[tuple(row[name] for name in names) for row in rows] for _, rows in marks(chart, kind)]
    return dict(zip(panels(chart), found, strict=True))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_pareto_shows_the_largest_of_each_currency(flavour):
    chart = tu.plot.pareto(frame_of(USERS, flavour), "user.id")
    assert panels(chart) == ["EUR", "USD"]
    found = by_panel(chart, "bar", "group", "value", "cumulative")
    # USD: 1,000 … 989 are 12 × 994.5 = 11,934; all are 20 × 990.5 + 20 × 1 = 19,830: 60.2 %.
    # Folded: 988 … 981 (8 × 984.5 = 7,876) and 20 users of 1, together 28 of the 40 users.
    dollars = found["USD"]
    assert [name for name, _, _ in dollars] == [*DOLLARS, "other (28)"]
    assert dollars[11][1:] == (989, pytest.approx(11_934 / 19_830))
    assert dollars[12][1:] == (7_896, 1)
    # EUR: 10 … 8.9 are 12 × 9.45 = 113.4 of 20 × 9.05 = 181; the other 8 have 67.6.
    euros = found["EUR"]
    assert [name for name, _, _ in euros] == [*EUROS, "other (8)"]
    assert euros[11][1:] == (pytest.approx(8.9), pytest.approx(113.4 / 181))
    assert euros[12][1:] == (pytest.approx(67.6), pytest.approx(1))


def test_bars_of_cost_are_the_largest_of_each_currency():
    chart = tu.plot.cost_by(frame_of(USERS), "user.id")
    found = [rows for _, rows in marks(chart, "bar")]
    assert [row["group"] for row in found[0]] == [*EUROS, "other (8)"]
    assert [row["group"] for row in found[1]] == [*DOLLARS, "other (28)"]
    assert found[1][12]["cost"] == 7_896


def test_columns_over_time_stack_the_largest_of_each_currency():
    later = [record("later", "e01", 3000, day="2026-01-06")]
    chart = tu.plot.cost_by(frame_of(USERS + later), "user.id", freq="1d")
    found = by_panel(chart, "bar", "group", "period", "cost", "rank")
    # e01 now has 3,001 USD and ranks first in USD, so d12 is folded.
    assert ("e01", "2026-01-06", 3000, 0) in found["USD"]
    assert ("e01", "2026-01-05", 1, 0) in found["USD"]
    # 989 + … + 981 = 9 × 985 = 8,865, and 19 users of 1
    assert ("other (28)", "2026-01-05", 8_884, 12) in found["USD"]
    names = {name for name, *_ in found["USD"]}
    assert names == {"e01", *DOLLARS[:11], "other (28)"}
    assert {name for name, *_ in found["EUR"]} == {*EUROS, "other (8)"}


def legends(chart):
    scales = [unit["encoding"]["color"]["scale"] for unit, _ in marks(chart, "bar")]
    return [dict(zip(one["domain"], one["range"], strict=True)) for one in scales]


def test_a_name_is_once_in_the_legend_of_all_panels():
    chart = tu.plot.cost_by(frame_of(USERS), "user.id", freq="1d", groups=2)
    euros, dollars = legends(chart)
    assert euros == dollars
    assert sorted(euros) == ["d01", "d02", "e01", "e02", "other (18)", "other (38)"]
    assert len({euros[name] for name in ("d01", "d02", "e01", "e02")}) == 4
    assert euros["other (18)"] == euros["other (38)"] == colors.OTHER


def test_panels_have_their_own_legends_where_there_are_more_names_than_colours():
    both = [record("later", "e01", 3000, day="2026-01-06")]
    chart = tu.plot.cost_by(frame_of(USERS + both), "user.id", freq="1d")
    euros, dollars = legends(chart)
    assert set(euros) == {*EUROS, "other (8)"}
    assert set(dollars) == {"e01", *DOLLARS[:11], "other (28)"}
    assert len(set(euros.values())) == len(set(dollars.values())) == 13  # no two look alike
    assert euros["e01"] == dollars["e01"]
    assert chart.to_dict()["resolve"]["scale"]["color"] == "independent"


@pytest.mark.parametrize("flavour", FEW)
def test_a_heatmap_s_rows_are_the_largest_of_each_currency(flavour):
    chart = tu.plot.heatmap(frame_of(USERS, flavour), "user.id", groups=12)
    found = by_panel(chart, "rect", "group")
    assert {name for (name,) in found["USD"]} == set(DOLLARS)
    assert {name for (name,) in found["EUR"]} == set(EUROS)
    domains = [unit["encoding"]["y"]["scale"]["domain"] for unit, _ in marks(chart, "rect")]
    assert domains == [EUROS, DOLLARS]
    assert said(chart)[1:] == ["The largest 12 of 20 (EUR), 12 of 40 (USD)."]


def test_a_heatmap_of_one_currency_does_not_name_it():
    dollars = [one for one in USERS if one["charges"][0]["currency"] == "USD"]
    chart = tu.plot.heatmap(frame_of(dollars), "user.id", groups=12)
    assert said(chart)[1:] == ["The largest 12 of 40."]


def test_a_trend_s_lines_are_the_largest_of_each_currency():
    chart = tu.plot.trend(frame_of(USERS), "user.id", freq="1d", groups=1)
    found = [{row["group"]: row["value"] for row in rows} for _, rows in marks(chart, "line")]
    assert panels(chart) == ["EUR", "USD"]
    assert found == [
        {"e01": 10, "other (19)": pytest.approx(171)},  # 181 less 10
        {"d01": 1000, "other (39)": pytest.approx(18_830)},
    ]


def test_panels_of_a_second_dimension_are_the_largest_of_each_currency():
    records = [
        record("a", "ada", 100, product={"id": "p"}),
        record("b", "ada", 90, product={"id": "q"}),
        record("c", "ada", 2, "EUR", product={"id": "r"}),
        record("d", "ada", 1, "EUR", product={"id": "s"}),
        record("e", "bob", 3, "EUR", product={"id": "t"}),
    ]
    chart = tu.plot.cost_by(frame_of(records), "user.id", "product.id", groups=1)
    found = [[(row["group"], row["cost"]) for row in rows] for _, rows in marks(chart, "bar")]
    assert panels(chart) == [
        "product: p · USD",
        "product: t · EUR",
        "product: other (1) · USD",
        "product: other (2) · EUR",
    ]
    # Of EUR, bob and ada have 3 each: by name ada is the largest.
    assert found == [[("ada", 100)], [("other (1)", 3)], [("ada", 90)], [("ada", 3)]]


def test_an_unknown_currency_has_its_own_largest_groups():
    records = [record("a", "ada", 5), record("b", "bob", 3)]
    records += [record("c", "bob", 9, None), record("d", "cy", 2, None), record("e", "di", 1, None)]
    chart = tu.plot.pareto(frame_of(records), "user.id", groups=1)
    found = [[(row["group"], row["value"]) for row in rows] for _, rows in marks(chart, "bar")]
    assert panels(chart) == ["USD", "unknown currency"]
    assert found == [[("ada", 5), ("other (1)", 3)], [("bob", 9), ("other (2)", 3)]]


def test_groups_without_a_cost_are_in_no_currency_s_rest():
    records = [record("a", "ada", 5), record("b", "bob", 3), record("c", "cy", 2)]
    records += [record("d", "di", None), record("e", "eve", 1, "EUR")]
    chart = tu.plot.cost_by(frame_of(records), "user.id", groups=1)
    assert shown(chart, "bar", "group", "cost", "of_records") == [
        ("eve", 1, "1 of 1"),
        ("ada", 5, "1 of 1"),
        ("other (2)", 5, "2"),  # not "of 4": di and eve have no USD
    ]
    assert said(chart)[1:] == ["Without any cost, and not shown: di."]


def test_figures_whose_sum_is_zero_are_ranked_too():
    records = [record("a", "ada", 1), record("b", "bob", 9), record("c", "cy", -10)]
    chart = tu.plot.heatmap(frame_of(records), "user.id", groups=2)
    assert shown(chart, "rect", "group", "value") == [("bob", 9), ("cy", -10)]


def test_rates_of_folded_groups_are_measured_again_for_each_kind():
    def acts(id_, user, model, **code):
        tabs = {name: code.pop(name) for name in ("tab_accepted", "tab_shown")}
        usage = {"code": code, "requests": tabs}
        return record(id_, user, None, model={"id": model}, usage=usage)

    records = [
        acts("a", "ada", "m1", accepts=8, rejects=2, tab_accepted=1, tab_shown=2),
        acts("b", "bob", "m2", accepts=1, rejects=1, tab_accepted=4, tab_shown=16),
        acts("c", "cy", "m3", accepts=2, rejects=3, tab_accepted=1, tab_shown=4),
    ]
    chart = tu.plot.acceptance_rate(frame_of(records), "model.id", groups=1)
    found = {
        row["kind"]: {row["group"]: row["acceptance_rate"] for row in rows}
        for _, rows in marks(chart, "bar")
        for row in rows
    }
    # Edits: 10 offered for m1; 7 for m2 and m3 together, 3 accepted.
    # Tabs: 16 offered for m2; 6 for the others together, 2 accepted.
    assert found["edit"] == {"m1": 0.8, "other (2)": pytest.approx(3 / 7)}
    assert found["tab"] == {"m2": 0.25, "other (2)": pytest.approx(2 / 6)}


def test_top_ranks_each_currency_by_itself():
    found = tu.top(frame_of(USERS, "pandas"), 12, "user.id")
    kept = found[found["rank"].notna()]
    assert kept[kept["currency"] == "USD"]["user.id"].tolist() == DOLLARS
    assert kept[kept["currency"] == "EUR"]["user.id"].tolist() == EUROS
    rest = found[found["rank"].isna()].set_index("currency")
    assert rest["groups"].to_dict() == {"USD": 28, "EUR": 8}
    assert rest["cost"].to_dict() == {"USD": 7_896, "EUR": pytest.approx(67.6)}


@pytest.mark.xdist_group("spark")
def test_a_chart_of_a_spark_frame_shows_the_largest_of_each_currency(spark):
    frame = tu.flatten_usage(USERS, backend="pyspark", session=spark)
    found = by_panel(tu.plot.pareto(frame, "user.id"), "bar", "group", "value")
    assert found["USD"][11:] == [("d12", 989), ("other (28)", 7_896)]
    assert found["EUR"][11:] == [("e12", 8.9), ("other (8)", pytest.approx(67.6))]
