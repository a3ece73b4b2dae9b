"""Charts: their figures are those of the metrics, worked out by hand here from few records."""

import functools
import importlib.util
import json
import os
import time
import warnings
from xml.etree import ElementTree as ET

import altair as alt
import polars as pl
import pytest
import vl_convert

import tidyusage as tu
from flavours import FLAVOURS, example, flattened, frame_of
from tidyusage.plot import colors

SVG = "{http://www.w3.org/2000/svg}"
CHARTS = [name for name in tu.plot.__all__ if name != "save"]


def record(
    id_,
    day="2026-03-02",
    cost=None,
    currency="USD",
    *,
    days=1,
    user=None,
    model=None,
    product="p",
    **usage,
):
    year, month, first = map(int, day.split("-"))
    end = f"{year}-{month:02}-{first + days:02}" if days else None
    return {
        "id": id_,
        "product": {"id": product},
        "user": {"id": user},
        "model": {"id": model},
        "charges": [{"type": "net", "amount": cost, "currency": currency}] if cost else [],
        "usage": usage,
        "start_date": day,
        "end_date": end,
    }


def frame(*records, **options):
    return flattened(records, **options)


def units(spec):
    """Yield the charts within a chart that have a mark."""
    if "mark" in spec:
        yield spec
    for part in ("layer", "vconcat", "hconcat"):
        for one in spec.get(part, ()):
            yield from units({"data": spec.get("data"), **one})


def marks(chart, kind):
    spec = chart.to_dict()
    for unit in units(spec):
        mark = unit["mark"]
        if (mark if isinstance(mark, str) else mark["type"]) == kind:
            data = unit["data"]
            yield unit, data.get("values") or spec["datasets"][data["name"]]


def shown(chart, kind, *names):
    """Return columns of what marks of a kind show, of all panels."""
    return [
        tuple(row.get(name) for name in names) for _, rows in marks(chart, kind) for row in rows
    ]


def beside(chart):
    """Return the texts at the side of a chart, in the order of its bars or columns."""
    return [text.rstrip("\u200b") for (text,) in shown(chart, "point", "beside")]


def scale(chart, kind="bar"):
    """Return the colours of a chart's groups."""
    unit, _ = next(marks(chart, kind))
    found = unit["encoding"]["color"]["scale"]
    return dict(zip(found["domain"], found["range"], strict=True))


def rounded(spec):
    """Return a chart with the noise of sums in another order off its floats."""
    return json.loads(json.dumps(spec), parse_float=lambda text: f"{float(text):.9g}")


def title(chart):
    return chart.to_dict()["title"]["text"]


def said(chart):
    return chart.to_dict()["title"].get("subtitle", [])


def panels(chart):
    return [one["title"]["text"] for one in chart.to_dict()["vconcat"]]


def axis(chart, channel, kind="bar"):
    return [unit["encoding"][channel]["title"] for unit, _ in marks(chart, kind)]


TWO = (
    record("a", cost=3, model="m1", user="ada"),
    record("b", cost=5, model="m2", user="bob"),
    record("c", "2026-03-04", cost=2, model="m1", user="bob"),
)


# Cost


def test_a_bar_has_what_a_group_cost():
    # m1: 3 + 2, m2: 5; of 10 half each.
    chart = tu.plot.cost_by(frame(*TWO), "model.id")
    assert shown(chart, "bar", "group", "cost", "part_of") == [
        ("m1", 5, "50.0%"),
        ("m2", 5, "50.0%"),
    ]
    assert beside(chart) == ["5.00", "5.00"]
    assert title(chart) == "Cost by model"
    assert axis(chart, "x") == ["cost, USD"]
    assert said(chart) == ["2026-03-02 to 2026-03-04 (UTC)"]


def test_columns_have_what_a_period_cost_and_every_period_has_its_place():
    chart = tu.plot.cost_by(frame(*TWO), "model.id", freq="1d")
    found = shown(chart, "bar", "period", "group", "cost")
    assert sorted(found) == [
        ("2026-03-02", "m1", 3),
        ("2026-03-02", "m2", 5),
        ("2026-03-04", "m1", 2),
    ]
    unit, _ = next(marks(chart, "bar"))
    assert unit["encoding"]["x"]["scale"]["domain"] == ["2026-03-02", "2026-03-03", "2026-03-04"]
    assert title(chart) == "Cost by model, per day"
    assert axis(chart, "x") == ["day (UTC)"]
    assert axis(chart, "y") == ["cost, USD"]


def test_currencies_share_no_axis_and_unknown_is_one():
    df = frame(*TWO, record("d", cost=7, currency="EUR"), record("e", cost=9, currency=None))
    for freq in (None, "1d"):
        chart = tu.plot.cost_by(df, freq=freq)
        assert panels(chart) == ["EUR", "USD", "unknown currency"]
        assert axis(chart, "y" if freq else "x") == [
            "cost, EUR",
            "cost, USD",
            "cost, unknown currency",
        ]
        # 7 | 3 + 5, 2 on another day | 9
        sums = [sum(row["cost"] for row in rows) for _, rows in marks(chart, "bar")]
        assert sums == [7, 10, 9]
        resolved = chart.to_dict()["resolve"]["scale"]
        assert resolved["x"] == resolved["y"] == "independent"


def test_amounts_can_be_converted_onto_one_axis():
    df = frame(*TWO, record("d", cost=7, currency="EUR"))
    chart = tu.plot.cost_by(df, rates={"EUR": 2, "USD": 1}, to="USD")
    assert shown(chart, "bar", "cost") == [(24,)]  # 10 + 2 × 7


def test_a_second_dimension_makes_panels():
    df = frame(*TWO, record("d", cost=7, model="m1", product="q"))
    chart = tu.plot.cost_by(df, "model.id", "product.id")
    # p has 10, q has 7
    assert panels(chart) == ["product: p", "product: q"]
    found = [[(r["group"], r["cost"]) for r in rows] for _, rows in marks(chart, "bar")]
    assert found == [[("m1", 5), ("m2", 5)], [("m1", 7)]]
    assert title(chart) == "Cost by model and product"


def test_groups_without_any_cost_are_told():
    df = frame(*TWO, record("d", model="m3"))
    chart = tu.plot.cost_by(df, "model.id")
    assert {group for (group,) in shown(chart, "bar", "group")} == {"m1", "m2"}
    assert said(chart)[1:] == ["Without any cost, and not shown: m3."]


def test_periods_that_the_data_covers_in_part_are_pale():
    # Monday 2 March to Wednesday 11 March: the second week lacks four days.
    df = frame(*(record(f"r{n}", f"2026-03-{n:02}", cost=1) for n in range(2, 12)))
    chart = tu.plot.cost_by(df, freq="1w")
    assert shown(chart, "bar", "period", "cost", "whole") == [
        ("2026-03-02", 7, True),
        ("2026-03-09", 3, False),
    ]
    assert "Pale: periods that the data covers in part." in said(chart)
    unit, _ = next(marks(chart, "bar"))
    assert unit["encoding"]["opacity"]["condition"] == {
        "test": "datum.whole === false",
        "value": 0.45,
    }


def test_records_without_dates_stand_apart():
    df = frame(record("a", cost=3), {**record("b", cost=5), "start_date": None, "end_date": None})
    chart = tu.plot.cost_by(df, freq="1mo")
    assert shown(chart, "bar", "period", "cost") == [("2026-03", 3), ("(no date)", 5)]


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        ("1h", "2026-03-02 00:00"),
        ("1w", "2026-03-02"),
        ("1mo", "2026-03"),
        ("1q", "2026-Q1"),
        ("1y", "2026"),
    ],
)
def test_a_period_is_called_by_its_length(freq, expected):
    chart = tu.plot.cost_by(frame(record("a", cost=24)), freq=freq)
    assert shown(chart, "bar", "period")[0] == (expected,)


def test_hours_that_come_twice_are_two():
    # On 25 October 2026 Berlin's clocks show 2:00 twice: at 0:00 and 1:00 UTC.
    one = {
        **record("a", "2026-10-25", cost=2),
        "start_date": "2026-10-25T00:00:00Z",
        "end_date": "2026-10-25T02:00:00Z",
    }
    chart = tu.plot.cost_by(frame(one), freq="1h", tz="Europe/Berlin")
    assert shown(chart, "bar", "period", "cost") == [
        ("2026-10-25 02:00+0200", 1),
        ("2026-10-25 02:00+0100", 1),
    ]


@pytest.mark.parametrize("session", ["America/New_York", "Asia/Tokyo"])
def test_days_are_those_of_the_zone_asked_for_wherever_this_runs(monkeypatch, request, session):
    monkeypatch.setenv("TZ", session)
    time.tzset()
    request.addfinalizer(lambda: (monkeypatch.undo(), time.tzset()))
    one = {
        **record("a", cost=1),
        "start_date": "2026-03-02T20:00:00Z",
        "end_date": "2026-03-02T21:00:00Z",
    }
    for tz, day in {"UTC": "2026-03-02", "Asia/Tokyo": "2026-03-03"}.items():
        # 20:00 UTC is 5:00 of the next day in Tokyo.
        chart = tu.plot.cost_by(frame(one), freq="1d", tz=tz)
        assert shown(chart, "bar", "period") == [(day,)]
        assert said(chart) == [f"{day} ({tz})", "Pale: periods that the data covers in part."]


# Groups


MANY = [
    # cost 1 to 15; the three least are m1 (1), m2 (2), m3 (3): ada is in all, bob in m3
    *(
        record(
            f"r{n}",
            cost=n,
            model=f"m{n}",
            user="ada",
            requests={"total": 1},
            code={"accepts": n, "rejects": 1},
        )
        for n in range(1, 16)
    ),
    record(
        "more", model="m3", user="bob", requests={"total": 1}, code={"accepts": 0, "rejects": 4}
    ),
]


def test_more_than_a_dozen_are_folded_and_other_comes_last():
    chart = tu.plot.cost_by(frame(*MANY), "model.id")
    found = shown(chart, "bar", "group", "cost")
    assert found[:2] == [("m15", 15), ("m14", 14)]
    assert found[-1] == ("other (3)", 6)  # 1 + 2 + 3
    assert len(found) == 13
    assert scale(chart)["other (3)"] == colors.OTHER


def test_a_dozen_are_not():
    chart = tu.plot.cost_by(frame(*MANY[:12]), "model.id")
    assert len(shown(chart, "bar", "group")) == 12


def test_users_of_folded_groups_are_counted_anew():
    df = frame(*(one for one in MANY))
    chart = tu.plot.active_users(df, "model.id", freq=None)
    # By users m3 has two, all others one; by name m1, m10 … m15, m2, m4 … m7: m8 and m9 are left.
    assert dict(shown(chart, "bar", "group", "active_users")) == {
        "m3": 2,
        **{f"m{n}": 1 for n in (1, 10, 11, 12, 13, 14, 15, 2, 4, 5, 6)},
        "other (3)": 1,  # m7, m8, m9 have ada each
    }


def test_rates_of_folded_groups_are_those_of_the_sums():
    chart = tu.plot.acceptance_rate(frame(*MANY), "model.id", kind="edit")
    rates = dict(shown(chart, "bar", "group", "acceptance_rate"))
    # Offered: n + 1, m3 has 3 + 1 + 4 = 8. Least are m1 (2), m2 (3), m4 (5): 1 + 2 + 4 of 2 + 3 + 5.
    assert rates["other (3)"] == pytest.approx(7 / 10)
    assert rates["m3"] == pytest.approx(3 / 8)


def test_as_many_as_are_asked_for_are_shown():
    chart = tu.plot.cost_by(frame(*MANY), "model.id", groups=2)
    assert shown(chart, "bar", "group", "cost") == [("m15", 15), ("m14", 14), ("other (13)", 91)]


def test_what_has_no_name_is_unlike_all_that_have_one():
    df = frame(
        record("a", cost=1, model="(none)"),
        record("b", cost=2),
        record("c", cost=3, model="other (2)"),
        record("d", cost=4, model="x"),
        record("e", cost=5, model="y"),
    )
    chart = tu.plot.cost_by(df, "model.id", groups=3)
    assert dict(shown(chart, "bar", "group", "cost")) == {
        "y": 5,
        "x": 4,
        "other (2)": 3,
        "(none)'": 2,
        "other (1)": 1,
    }


def test_groups_that_are_no_text_are_groups():
    df = frame(*TWO)
    df["team"] = [1, 2, 1]
    chart = tu.plot.cost_by(df, "team")
    assert shown(chart, "bar", "group", "cost") == [("1", 5), ("2", 5)]


# Colours


def test_a_model_has_one_colour_in_every_chart():
    df = example()
    found = [
        scale(tu.plot.cost_by(df, "model.id")),
        scale(tu.plot.cost_by(df, "model.id", freq="1w")),
        scale(tu.plot.tokens_by(df, "model.id", freq="1d")),
        scale(tu.plot.trend(df, "model.id", measure="tokens", freq="1w"), "line"),
        scale(tu.plot.pareto(df, "model.id")),
        scale(tu.plot.active_users(df, "model.id"), "line"),
    ]
    for one in found:
        assert set(one) <= set(found[0])
        assert all(found[0][name] == color for name, color in one.items())
    assert len(set(found[0].values())) == len(found[0]) == 7  # six models, and none


def test_colours_can_be_given():
    chart = tu.plot.cost_by(frame(*TWO), "model.id", colors={"m1": "#123456"})
    assert scale(chart)["m1"] == "#123456"
    assert scale(chart)["m2"] in colors.PALETTE


# Tokens


def tokens(id_, total=None, **parts):
    return record(id_, model=f"m-{id_}", tokens={"total": total, **parts})


def test_tokens_are_shown_by_sort_and_what_is_not_told_apart():
    # a: all is told, 10 + 5 + 80 + 5 = 100; b: 30 of 40 are not.
    df = frame(
        tokens("a", 100, input=10, output=5, cache_read=80, cache_write=5),
        tokens("b", 40, output=10),
    )
    chart = tu.plot.tokens_by(df, "model.id")
    assert shown(chart, "bar", "group", "part", "count") == [
        ("m-a", "input", 10),
        ("m-a", "output", 5),
        ("m-a", "cache read", 80),
        ("m-a", "cache write", 5),
        ("m-b", "output", 10),
        ("m-b", "not told apart", 30),
    ]
    assert beside(chart) == ["100", "40"]


def test_tokens_over_time_are_of_groups_where_there_are_some():
    df = frame(tokens("a", 100, input=100), tokens("b", 40, output=40))
    assert shown(tu.plot.tokens_by(df, freq="1d"), "bar", "part", "count") == [
        ("input", 100),
        ("output", 40),
    ]
    assert shown(tu.plot.tokens_by(df, "model.id", freq="1d"), "bar", "group", "tokens") == [
        ("m-a", 100),
        ("m-b", 40),
    ]


# Users and acceptance


def active(id_, day, user, product="p"):
    return record(id_, day, user=user, product=product, requests={"total": 1})


def test_a_line_of_users_is_broken_where_nothing_is_known():
    df = frame(
        active("a", "2026-03-02", "ada"),
        active("b", "2026-03-02", "bob"),
        active("c", "2026-03-04", "ada"),
    )
    chart = tu.plot.active_users(df)
    assert shown(chart, "line", "period", "active_users") == [
        ("2026-03-02", 2),
        ("2026-03-03", None),
        ("2026-03-04", 1),
    ]
    unit, _ = next(marks(chart, "line"))
    assert unit["mark"]["invalid"] == "break-paths-show-path-domains"


def test_rolling_users_are_those_of_several_days():
    df = frame(
        *(
            active(f"r{n}", f"2026-03-{n:02}", user)
            for n, user in zip(range(2, 6), "abca", strict=True)
        )
    )
    chart = tu.plot.active_users(df, rolling=3)
    # days 4 (a, b, c) and 5 (b, c, a); before, three days are not there
    assert shown(chart, "line", "period", "active_users") == [("2026-03-04", 3), ("2026-03-05", 3)]
    assert title(chart) == "Active users of the last 3 days, per day"


def test_products_that_name_no_user_are_told():
    df = frame(active("a", "2026-03-02", "ada"), active("b", "2026-03-02", None, "hosts"))
    assert (
        said(tu.plot.active_users(df, "product.id"))[-1]
        == "Of these no record names a user: hosts."
    )


def test_windows_that_cross_a_day_raise_as_the_metric_does():
    df = frame({**active("a", "2026-03-02", "ada"), "end_date": "2026-03-09"})
    with pytest.raises(tu.errors.RecordError, match="crosses a bound of freq='1d'"):
        tu.plot.active_users(df)


ACCEPTED = (
    record(
        "a",
        user="ada",
        code={"accepts": 3, "rejects": 1},
        requests={"tab_shown": 10, "tab_accepted": 2},
    ),
    record("b", "2026-03-03", user="bob", code={"accepts": 1, "rejects": 1}),
)


def test_kinds_of_acceptance_are_panels_and_rates_stand_beside_what_makes_them():
    chart = tu.plot.acceptance_rate(frame(*ACCEPTED), "user.id")
    assert panels(chart) == ["edit: accepted of accepted and rejected", "tab: accepted of shown"]
    found = shown(chart, "bar", "group", "acceptance_rate", "text")
    assert found == [
        ("ada", 0.75, "75.0% (3 of 4)"),
        ("bob", 0.5, "50.0% (1 of 2)"),
        ("ada", 0.2, "20.0% (2 of 10)"),
    ]
    for unit, _ in marks(chart, "bar"):
        assert unit["encoding"]["x"]["scale"]["domain"] == [0, 1]


def test_without_groups_kinds_are_the_bars():
    chart = tu.plot.acceptance_rate(frame(*ACCEPTED))
    # edit: 4 of 6
    assert shown(chart, "bar", "group", "text") == [
        ("edit", "66.7% (4 of 6)"),
        ("tab", "20.0% (2 of 10)"),
    ]


def test_acceptance_over_time_is_a_line_a_kind():
    chart = tu.plot.acceptance_rate(frame(*ACCEPTED), kind="edit", freq="1d")
    assert shown(chart, "line", "period", "acceptance_rate") == [
        ("2026-03-02", 0.75),
        ("2026-03-03", 0.5),
    ]


# Any measure


def test_a_change_is_written_between_whole_periods_alone():
    # Mondays are 2, 9, 16, 23 March; the data ends within the fourth week.
    days = {2: 70, 9: 140, 16: 105, 23: 10}
    df = frame(
        *(
            record(f"r{day}", f"2026-03-{day:02}", cost=cost, days=7 if day < 23 else 1)
            for day, cost in days.items()
        )
    )
    chart = tu.plot.trend(df, freq="1w")
    # 140 is 100% more than 70, 105 a quarter less than 140; the fourth week is not whole
    assert shown(chart, "bar", "period", "value") == [
        ("2026-03-02", 70),
        ("2026-03-09", 140),
        ("2026-03-16", 105),
        ("2026-03-23", 10),
    ]
    assert beside(chart) == ["", "+100.0%", "-25.0%", ""]


def test_a_trend_by_groups_is_lines_that_tell_the_change():
    chart = tu.plot.trend(frame(*TWO), "user.id", freq="1d", measure="cost")
    found = {
        row["group"]: row
        for _, rows in marks(chart, "line")
        for row in rows
        if row["period"] == "2026-03-04"
    }
    assert found["bob"]["figure"] == "2.00 USD"
    assert found["bob"]["changed"] == "–"  # he has nothing on the day before
    assert found["ada"]["value"] is None


def test_measures_that_have_no_sum_are_refused_as_by_the_metric():
    with pytest.raises(tu.errors.OptionError, match="has no meaning"):
        tu.plot.trend(frame(*TWO), measure="sessions.distinct")


def test_a_heatmap_has_a_cell_a_user_and_day_and_says_what_has_none():
    df = frame(*TWO, record("d", cost=4))
    chart = tu.plot.heatmap(df)
    assert sorted(shown(chart, "rect", "group", "period", "value")) == [
        ("ada", "2026-03-02", 3),
        ("bob", "2026-03-02", 5),
        ("bob", "2026-03-04", 2),
    ]
    assert said(chart)[1:] == ["Without a person, and not shown: 4.00 USD."]
    unit, _ = next(marks(chart, "rect"))
    assert unit["encoding"]["y"]["scale"]["domain"] == ["bob", "ada"]  # 7 and 3
    assert unit["encoding"]["color"]["legend"]["title"] == "cost, USD"


def test_a_heatmap_of_many_shows_those_with_the_most():
    chart = tu.plot.heatmap(frame(*TWO), groups=1)
    assert {group for (group,) in shown(chart, "rect", "group")} == {"bob"}
    assert said(chart)[1:] == ["The largest 1 of 2."]


def test_pareto_adds_shares_up_from_the_largest():
    chart = tu.plot.pareto(frame(*MANY), "model.id", groups=3)
    # Of 120: 15, 14, 13, and 78 in others.
    found = shown(chart, "bar", "group", "value", "cumulative")
    assert [name for name, _, _ in found] == ["m15", "m14", "m13", "other (12)"]
    assert [value for _, value, _ in found] == [15, 14, 13, 78]
    assert [share for _, _, share in found] == pytest.approx([15 / 120, 29 / 120, 42 / 120, 1])
    line, _ = next(marks(chart, "line"))
    assert line["encoding"]["y"]["scale"]["domain"] == [0, 1]


def test_pareto_of_two_currencies_is_two():
    chart = tu.plot.pareto(frame(*TWO, record("d", cost=7, currency="EUR", user="eve")))
    assert panels(chart) == ["EUR", "USD"]
    # eve has all of EUR; of USD bob has 7, ada 3 of 10
    assert shown(chart, "bar", "group", "cumulative") == [("eve", 1), ("bob", 0.7), ("ada", 1)]


def test_a_heatmap_has_a_scale_of_colours_for_each_currency():
    df = frame(*TWO, record("d", cost=9000, currency="JPY", user="ken"))
    chart = tu.plot.heatmap(df)
    assert panels(chart) == ["JPY", "USD"]
    assert chart.to_dict()["resolve"]["scale"]["color"] == "independent"
    titles = [unit["encoding"]["color"]["legend"]["title"] for unit, _ in marks(chart, "rect")]
    assert titles == ["cost, JPY", "cost, USD"]


def test_pareto_has_what_has_no_name_at_its_end():
    df = frame(*TWO, record("d", cost=10, user=None))
    # bob 7, ada 3, nobody 10 of 20
    found = shown(tu.plot.pareto(df, overlap="ignore"), "bar", "group", "cumulative")
    assert found == [("bob", 0.35), ("ada", 0.5), ("(none)", 1)]


def test_pareto_of_negative_figures_has_no_line():
    df = frame(*TWO, record("d", cost=-4, user="eve"))
    chart = tu.plot.pareto(df)
    assert shown(chart, "bar", "group", "value") == [("bob", 7), ("ada", 3), ("eve", -4)]
    assert not list(marks(chart, "line"))


def test_no_change_is_told_to_or_from_a_part_of_a_period():
    # the second of two weeks ends on its third day
    whole = record("a", "2026-03-02", cost=70, user="ada", days=7)
    df = frame(whole, record("b", "2026-03-09", cost=30, user="ada", days=3))
    chart = tu.plot.trend(df, "user.id", freq="1w")
    assert shown(chart, "line", "value", "changed") == [(70, "–"), (30, "–")]
    assert "Covered by the data in part: 2026-03-09." in said(chart)


def test_records_without_dates_are_on_no_line():
    undated = {**record("d", cost=4, user="bob"), "start_date": None, "end_date": None}
    chart = tu.plot.trend(frame(*TWO, undated), "user.id", freq="1d")
    assert {period for (period,) in shown(chart, "line", "period")} == {
        "2026-03-02",
        "2026-03-03",
        "2026-03-04",
    }
    assert said(chart)[-1] == "Records without dates are on no line."


def test_panels_of_one_currency_have_one_length_of_axis():
    df = frame(
        record("a", cost=30, product="p", model="m1"),
        record("b", cost=20, product="p", model="m2"),
        record("c", cost=4, product="q", model="m1"),
        record("d", cost=900, product="q", model="m1", currency="JPY"),
    )
    chart = tu.plot.cost_by(df, "model.id", "product.id", freq="1d")
    # JPY has one panel; of USD the highest column is 30 + 20
    reach = [
        (title_, unit["encoding"]["y"].get("scale", {}).get("domain"))
        for title_, (unit, _) in zip(panels(chart), marks(chart, "bar"), strict=True)
    ]
    assert reach == [
        ("product: q · JPY", None),
        ("product: q · USD", [0, 50]),
        ("product: p · USD", [0, 50]),
    ]
    bars = tu.plot.cost_by(df, "model.id", "product.id")
    domains = [
        unit["encoding"]["x"].get("scale", {}).get("domain") for unit, _ in marks(bars, "bar")
    ]
    assert domains == [None, [0, 30], [0, 30]]


@pytest.mark.parametrize("name", ["toString", "constructor", "__proto__"])
def test_names_that_javascript_has_too_are_drawn(name, tmp_path):
    df = frame(record("a", cost=5, model=name), record("b", cost=7, model="m2"))
    for chart in (df.usage.plot.cost_by("model.id", freq="1d"), df.usage.plot.pareto("model.id")):
        tu.plot.save(chart, tmp_path / "c.svg")
        svg = (tmp_path / "c.svg").read_text()
        assert all(f'fill="{color}"' in svg for color in scale(chart).values())


# Charts as charts


@functools.cache
def charts():
    df = example()
    return {
        "cost_by": df.usage.plot.cost_by("model.id", freq="1w"),
        "tokens_by": df.usage.plot.tokens_by("model.id"),
        "active_users": df.usage.plot.active_users(),
        "acceptance_rate": df.usage.plot.acceptance_rate("product.id"),
        "trend": df.usage.plot.trend(freq="1w"),
        "heatmap": df.usage.plot.heatmap(),
        "pareto": df.usage.plot.pareto(),
    }


def test_the_accessor_has_every_chart():
    df, found = example(), charts()
    assert sorted(found) == sorted(CHARTS)
    expected = tu.plot.cost_by(df, "model.id", freq="1w").to_dict()
    assert found["cost_by"].to_dict() == expected
    table = example(backend="pyarrow")
    assert tu.usage(table).plot.cost_by("model.id", freq="1w").to_dict() == expected
    assert "heatmap" in repr(df.usage.plot)


def test_charts_can_be_changed_and_put_side_by_side():
    found = charts()
    changed = found["cost_by"].properties(title="Mine", width=100).configure_axis(grid=False)
    assert changed.to_dict()["title"] == "Mine"
    one = alt.hconcat(*found.values()) & found["trend"]
    assert len(one.to_dict()["vconcat"]) == 2  # with a configuration of their own this raises


def test_text_is_left_to_the_theme_so_that_dark_pages_have_it_light():
    for name, chart in charts().items():
        spec = chart.to_dict()
        assert set(spec["config"]) == {"view"}, name  # Altair's own
        svg = ET.fromstring(vl_convert.vegalite_to_svg(spec, theme="dark"))  # noqa: S314 - ours
        fills = {text.get("fill") for text in svg.iter(f"{SVG}text")}
        assert fills <= {"#fff", "#ddd", "#ccc"}, name
        assert svg.find(f"{SVG}rect").get("fill") == "#333", name


def test_a_chart_is_described_to_those_who_do_not_see_it():
    for chart in charts().values():
        spec = chart.to_dict()
        assert spec["description"].startswith(spec["title"]["text"])


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_the_same_of_every_library_and_layout(flavour, name):
    records = [*MANY, *TWO, *ACCEPTED, tokens("t", 100, input=10, output=5)]
    records = [{**one, "id": f"{n}"} for n, one in enumerate(records)]
    by = [] if name in {"heatmap", "pareto"} else ["model.id"]
    expected = getattr(tu.plot, name)(frame(*records), *by, overlap="ignore").to_dict()
    found = getattr(tu.plot, name)(frame_of(records, flavour), *by, overlap="ignore").to_dict()
    assert rounded(found) == rounded(expected)


@pytest.mark.parametrize("name", CHARTS)
def test_a_frame_that_can_be_read_but_once_is_read_once(name):
    records = [*TWO, {**ACCEPTED[0], "id": "d"}, tokens("t", 100, input=10)]
    table = frame(*records, backend="pyarrow")
    expected = rounded(getattr(tu.plot, name)(table, overlap="ignore").to_dict())
    read = []
    lazy = pl.from_arrow(table).lazy().map_batches(lambda eager: read.append(1) or eager)
    assert rounded(getattr(tu.plot, name)(lazy, overlap="ignore").to_dict()) == expected
    assert len(read) == 1
    found = getattr(tu.plot, name)(table.to_reader(), overlap="ignore").to_dict()
    assert rounded(found) == expected


@pytest.mark.parametrize("name", CHARTS)
def test_of_nothing_there_is_an_empty_chart_that_says_so(name, tmp_path):
    chart = getattr(tu.plot, name)(tu.flatten_usage([]))
    assert said(chart)[-1] == "There is nothing to show."
    assert chart.to_dict()["title"]["text"]
    tu.plot.save(chart, tmp_path / "c.svg")
    svg = ET.parse(tmp_path / "c.svg").getroot()  # noqa: S314 - ours
    assert 100 < float(svg.get("width")) < 1000
    assert 10 < float(svg.get("height")) < 1000
    assert "NaN" not in (tmp_path / "c.svg").read_text()


def test_overlaps_are_told_once():
    pull = frame(
        record("all", cost=10, user=None),
        record("u1", cost=4, user="ada"),
        record("u2", cost=6, user="bob"),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tu.plot.cost_by(pull, "user.id", freq="1d")
    assert [one.category for one in caught] == [tu.errors.OverlapWarning]
    assert caught[0].filename == __file__
    with pytest.raises(tu.errors.OverlapError):
        tu.plot.cost_by(pull, "user.id", overlap="raise")


# What is refused


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda df: df.usage.plot.cost_by("a", "b", "c"),
            "OptionError",
            "two dimensions at the most",
        ),
        (
            lambda df: df.usage.plot.cost_by("modle.id"),
            "UnknownFieldError",
            "Did you mean 'model.id'",
        ),
        (lambda df: df.usage.plot.cost_by("model.id", groups=0), "OptionError", "groups=0"),
        (lambda df: df.usage.plot.cost_by(colour="red"), "UnknownOptionError", "colors"),
        (lambda df: df.usage.plot.cost_by(freq="1m"), "OptionError", "freq='1m'"),
        (lambda df: df.usage.plot.cost_by(tz="Mars"), "OptionError", "Invalid time zone: 'Mars'"),
        (lambda df: tu.plot.cost_by([1]), "FrameError", "is no frame"),
        (lambda df: tu.plot.save(df, "c.png"), "OptionError", "DataFrame is no chart"),
        (
            lambda df: df.usage.plot.cost_by("model.id", colors={"m1": "red"}),
            "OptionError",
            "gives 'm1' the colour 'red'",
        ),
    ],
)
def test_what_no_chart_can_be_is_refused_in_words(call, error, words):
    with pytest.raises(getattr(tu.errors, error), match=words):
        call(frame(*TWO))


def test_a_stray_date_does_not_make_an_endless_axis():
    df = frame(record("a", cost=1), record("b", "1970-01-01", cost=1))
    with pytest.raises(
        tu.errors.OptionError, match="more than 5,000 periods from 1970-01-01 to 2026-03-02"
    ):
        tu.plot.cost_by(df, freq="1d")
    assert len(shown(tu.plot.cost_by(df, freq="1mo"), "bar", "cost")) == 2


@pytest.mark.parametrize("package", ["altair", "vl_convert"])
def test_without_the_extra_an_error_names_it(monkeypatch, package):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "tidyusage.errors.find_spec", lambda name: None if name == package else real(name)
    )
    with pytest.raises(
        tu.errors.MissingExtraError, match=rf"need {package}(.|\n)*Install tidyusage\[plot\]"
    ):
        tu.plot.cost_by(frame(*TWO))


# Files


def test_pictures_are_pictures(tmp_path):
    chart = tu.plot.cost_by(frame(*TWO), "model.id")
    assert tu.plot.save(chart, tmp_path / "c.png") == str(tmp_path / "c.png")
    png = (tmp_path / "c.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    tu.plot.save(chart, tmp_path / "small.png", scale=1)
    width, small = (
        int.from_bytes(data[16:20]) for data in (png, (tmp_path / "small.png").read_bytes())
    )
    assert width == pytest.approx(2 * small, abs=2)
    tu.plot.save(chart, tmp_path / "c.svg")
    svg = ET.parse(tmp_path / "c.svg").getroot()  # noqa: S314 - ours
    texts = ["".join(text.itertext()) for text in svg.iter(f"{SVG}text")]
    assert {"Cost by model", "m1", "m2", "cost, USD", "5.00"} <= set(texts)
    assert sorted(os.listdir(tmp_path)) == ["c.png", "c.svg", "small.png"]


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("chart.jpg", "OptionError", "End it with .png, .svg or .html"),
        ("chart", "OptionError", "does not say a format"),
        ("no/chart.png", "SourceError", "There is no folder 'no'"),
    ],
)
def test_what_cannot_be_saved_is_refused(tmp_path, monkeypatch, name, error, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(getattr(tu.errors, error), match=words):
        tu.plot.save(tu.plot.cost_by(frame(*TWO)), name)
    assert not os.listdir(tmp_path)


def test_what_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "c.png"
    path.write_bytes(b"before")
    broken = tu.plot.cost_by(frame(*TWO))
    broken.layer[0].encoding.x.shorthand = alt.Undefined
    broken.layer[0].encoding.x.type = "nonsense"
    with pytest.raises(Exception, match="nonsense"):
        tu.plot.save(broken, path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["c.png"]


ODD = (
    "<script>document.title = 1</script>",
    "</script><script>alert(1)</script>",
    "<!-- \u2028 &amp;",
    "名前 \u202e🙂",
    "\\'\"`${1}",
)


@pytest.mark.xdist_group("browser")
def test_a_page_asks_nobody_and_takes_no_name_for_markup(tmp_path, browser):
    df = frame(*(record(f"r{n}", cost=n + 1, user=name) for n, name in enumerate(ODD)))
    tu.plot.save(tu.plot.cost_by(df, "user.id"), tmp_path / "c.html")
    page, asked, spoken = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: spoken.append(message.text))
    page.on("pageerror", lambda error: spoken.append(str(error)))
    url = (tmp_path / "c.html").as_uri()
    page.goto(url)
    page.wait_for_selector("svg .mark-rect path")
    assert page.locator("svg .mark-rect path").count() >= 5
    labels = page.locator("svg .role-axis-label text").all_text_contents()
    assert set(ODD) <= set(labels)
    assert page.title() == "Cost by user"
    assert asked == [url]
    assert spoken == []
    page.close()
