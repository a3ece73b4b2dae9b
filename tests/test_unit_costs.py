"""Rates of exchange, the cost of things, rankings and trends, worked out by hand."""

import datetime as dt

import duckdb
import pandas as pd
import polars as pl
import pytest

import tidyusage as tu
from conftest import rows
from flavours import flattened
from test_metrics import RECORDS, wide
from test_metrics import frame as frame  # noqa: PLC0414 - a fixture, used by its name
from tidyusage.errors import FrameError, OptionError, RecordError, UnknownFieldError

# Without confluent's record, whose currency nobody knows.
KNOWN = [record for record in RECORDS if record["id"] != "confluent-1"]
USD = {"rates": {"EUR": 2}, "to": "USD"}


def known(**options):
    return flattened(KNOWN, **options)


def figures(answer, *names):
    return [tuple(row[name] for name in names) for row in rows(answer)]


def charged(day, amount, currency, **more):
    charge = {"type": "net", "amount": amount, "currency": currency}
    return {"id": f"{day}{currency}", "start_date": day, "charges": [charge], **more}


# Rates


def test_amounts_are_converted_before_they_are_added():
    # 8 + 3 + 5 + 0 + 2 = 18 USD, and 5 EUR at 2: 28
    assert figures(tu.cost_by(known(), **USD), "currency", "cost", "share", "priced") == [
        ("USD", 28, 1, 6)
    ]
    # 8 + 2 × 5 = 18
    assert figures(tu.cost_by(known(), "product.id", **USD), "product.id", "cost")[0] == (
        "claude",
        18,
    )


def test_a_cost_of_a_token_is_converted_too():
    # claude: 8 USD for 200 tokens and 5 EUR for 20: 18 / 220
    answer = tu.cost_per_token(known(), "model.provider", **USD)
    assert figures(answer, "model.provider", "currency", "cost", "tokens", "cost_per_token")[0] == (
        ("anthropic", "USD", 18, 220, pytest.approx(18 / 220))
    )


def test_codes_are_compared_in_any_case_and_the_own_currency_needs_no_rate():
    answer = tu.cost_by(known(), rates={" eur ": 2}, to=" usd ")
    assert figures(answer, "currency", "cost") == [("USD", 28)]


DATED = [
    {"currency": "EUR", "date": dt.date(2026, 1, 1), "rate": 2.0},
    {"currency": "EUR", "date": dt.date(2026, 2, 1), "rate": 3.0},
]
OF_DATES = [
    charged("2026-01-31T23:59:59Z", 1, "EUR"),  # at 2, the rate of January
    charged("2026-02-01T00:00:00Z", 10, "EUR"),  # at 3, from its very beginning
    charged("2025-06-01T00:00:00Z", 100, "USD"),  # needs none
    {"id": "free", "start_date": "2025-01-01"},  # nor does this
]


@pytest.mark.parametrize(
    "of",
    [
        pd.DataFrame,
        pl.DataFrame,
        lambda data: pl.DataFrame(data).lazy(),
        lambda data: pl.DataFrame(data).to_arrow(),
        lambda data: duckdb.from_arrow(pl.DataFrame(data).to_arrow()),
        lambda data: pd.DataFrame(data).assign(date=["2026-01-01", "2026-02-01T00:00:00"]),
        lambda data: pl.DataFrame(data).sort("rate", descending=True),
    ],
)
@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow", "duckdb"])
def test_the_latest_rate_at_or_before_the_start_counts(backend, of):
    usage = flattened(OF_DATES, backend=backend)
    answer = tu.cost_by(usage, rates=of(DATED), to="USD")
    assert figures(answer, "cost", "records", "priced") == [(132, 4, 3)]  # 2 + 30 + 100


def test_a_date_in_a_zone_is_its_instant():
    zoned = pl.DataFrame(DATED).with_columns(
        pl.col("date").cast(pl.Datetime).dt.replace_time_zone("America/New_York")
    )
    # February begins in New York at 05:00 UTC: both amounts are at 2
    frame = flattened(OF_DATES, backend="polars")
    assert figures(tu.cost_by(frame, rates=zoned, to="USD"), "cost") == [(122,)]


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize(
    ("record", "rates", "words"),
    [
        (charged("2026-01-01", 1, "GBP"), {"EUR": 2}, "There is no rate of GBP to USD"),
        (charged("2026-01-01", 1, None), {"EUR": 2}, "no rate of an unknown currency to USD"),
        (charged("2025-12-31", 1, "EUR"), pl.DataFrame(DATED), "of EUR on 2025-12-31 00:00:00 to"),
        (charged(None, 1, "EUR"), pl.DataFrame(DATED), "of EUR without a date to USD"),
    ],
)
def test_a_missing_rate_is_an_error(backend, record, rates, words):
    usage = tu.flatten_usage([record], backend=backend)
    with pytest.raises(RecordError, match=words):
        tu.cost_by(usage, rates=rates, to="USD")
    with pytest.raises(RecordError, match=words):
        tu.trend(usage, rates=rates, to="USD")


def test_a_lazy_frame_and_a_relation_raise_when_they_are_collected():
    record = charged("2026-01-01", 1, "GBP")
    lazy = tu.cost_by(tu.flatten_usage([record], backend="polars").lazy(), **USD)
    with pytest.raises(Exception, match="no rate of GBP"):
        lazy.collect()
    relation = tu.cost_by(tu.flatten_usage([record], backend="duckdb"), **USD)
    with pytest.raises(duckdb.Error, match="no rate of GBP"):
        relation.fetchall()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rates": {"EUR": 2}}, r"rates= is given, and to= is not"),
        ({"to": "USD"}, r"to= is given, and rates= is not"),
        ({"rates": {"EUR": 0}, "to": "USD"}, "has the rate 0 of 'EUR'"),
        ({"rates": {"EUR": float("nan")}, "to": "USD"}, "has the rate nan"),
        ({"rates": {"EUR": True}, "to": "USD"}, "has the rate True"),
        ({"rates": {"": 1}, "to": "USD"}, "has the currency ''"),
        ({"rates": {"USD": 2}, "to": "USD"}, "changes USD into itself"),
        ({"rates": {"EUR": 2, "eur": 3}, "to": "USD"}, "two rates of 'eur'"),
        ({"rates": [("EUR", 2)], "to": "USD"}, "rates= is list"),
        ({"rates": pl.DataFrame({"currency": ["EUR"]}), "to": "USD"}, "has no column 'date'"),
        ({"rates": pl.DataFrame([*DATED, DATED[0]]), "to": "USD"}, "two rates of 'EUR' at 2026"),
        ({"rates": pl.DataFrame(DATED).with_columns(date=pl.lit("x")), "to": "USD"}, "date 'x'"),
        ({"rates": {"EUR": 2}, "to": " "}, "Invalid currency: to=' '"),
    ],
)
def test_wrong_rates_say_so(options, words):
    with pytest.raises(OptionError, match=words):
        tu.cost_by(wide(), **options)


@pytest.mark.parametrize("by", [["model.id"], ["resources.id", "model.id"]])
@pytest.mark.parametrize("metric", ["cost_by", "top", "trend"])
def test_an_amount_without_a_rate_raises_whatever_it_is_split_over(metric, by):
    charge = {"type": "net", "amount": 0}
    frame = tu.flatten_usage([{"id": "a"}, {"id": "b", "charges": [charge]}])
    given = {"top": (1,)}.get(metric, ())
    options = {"freq": "1d"} if metric == "trend" else {}
    with pytest.raises(RecordError, match="There is no rate of"):
        getattr(tu, metric)(frame, *given, *by, rates={"EUR": 1.5}, to="USD", **options)


# The cost of things


def test_cost_per_user_is_over_the_active_ones(frame):
    # Of records that name a user: 8 + 3 + 5 + 0 USD (claude-1, codex-1, both of cursor), 5 EUR.
    # Active are ada, Bob (by one e-mail in two cases) and dee: cy is said not to be.
    answer = figures(
        tu.cost_per(frame, "users"), "currency", "cost", "users", "cost_per", "records"
    )
    assert answer == [
        ("USD", 16, 3, pytest.approx(16 / 3), 4),
        ("EUR", 5, 3, pytest.approx(5 / 3), 1),
    ]


def test_seats_take_all_of_the_cost():
    # 8 + 3 + 5 + 0 + 2 = 18 USD, datadog's 2 among them, that name nobody
    answer = tu.cost_per(wide(), "users", seats=10, per=2)
    assert figures(answer, "currency", "cost", "users", "seats", "cost_per", "records") == [
        ("USD", 18, 3, 10, pytest.approx(3.6), 5),
        ("EUR", 5, 3, 10, 1, 1),
        (None, 5, 3, 10, 1, 1),
    ]
    answer = tu.cost_per(wide(), "users", "product.id", seats={"cursor": 4, "claude": 2})
    assert figures(answer, "product.id", "currency", "users", "seats", "cost_per")[:3] == [
        ("claude", "USD", 2, 2, 4),  # 8 / 2
        ("claude", "EUR", 2, 2, 2.5),
        ("cursor", "USD", 1, 4, 1.25),  # 5 / 4
    ]


def test_a_group_that_names_nobody_has_no_users_and_nobody_active_is_no_divisor():
    records = [
        charged("2026-01-01", 4, "USD", product={"id": "x"}),
        charged("2026-01-02", 4, "USD", product={"id": "y"}, user={"id": "ada"}),
    ]
    answer = tu.cost_per(tu.flatten_usage(records), "users", "product.id")
    names = ("product.id", "currency", "cost", "users", "cost_per", "records")
    assert figures(answer, *names) == [
        ("x", None, None, None, None, 0),
        ("y", "USD", 4, 0, None, 1),
    ]


COUNTED = [
    charged("2026-01-01", 10, "USD", usage={"code": {"commits": 4, "pull_requests": 1}}),
    charged("2026-01-02", 100, "USD", usage={"code": {"pull_requests": 3}}),  # and no commits
    {"id": "c", "usage": {"code": {"commits": 50}}},  # and no cost
    charged(
        "2026-01-03",
        6,
        "USD",
        usage={
            "requests": {"chat": 2, "agent": 1, "included": 3, "api_key": 9},
            "sessions": {"distinct": 4},
            "conversations": {"distinct": 2, "thread_count": 50},
            "code": {"lines_accepted_added": 12},
        },
    ),
    charged("2026-01-04", 3, "USD", usage={"requests": {"total": 6, "chat": 1}}),
    charged("2026-01-05", 1, "USD", usage={"requests": {"usage_based": 1, "included": 1}}),
    charged("2026-01-06", 1, "USD", usage={"conversations": {"thread_count": 3}}),
]


@pytest.mark.parametrize(
    ("measure", "cost", "count", "records"),
    [
        ("commits", 10, 4, 1),  # not 10 / 54, not 120 / 4
        ("pull_requests", 110, 4, 2),
        ("accepted_lines", 6, 12, 1),
        ("sessions", 6, 4, 1),
        ("conversations", 7, 5, 2),  # 2, not 50; and 3
        # 2 + 1 by kind, not the same again by billing; the total, not its part; 1 + 1 by billing
        ("requests", 10, 3 + 6 + 2, 3),
        ("usage.requests.chat", 9, 3, 2),
        ("requests.chat", 9, 3, 2),
    ],
)
def test_cost_per_count_is_of_the_records_that_have_both(measure, cost, count, records):
    answer = tu.cost_per(flattened(COUNTED), measure)
    name = {"requests.chat": "usage.requests.chat"}.get(measure, measure)
    names = ("currency", "cost", name, "cost_per", "records")
    assert figures(answer, *names) == [("USD", cost, count, pytest.approx(cost / count), records)]


def test_a_count_by_its_field_is_named_as_the_frame_spells_it():
    frame_ = flattened(COUNTED, sep="_", backend="polars")
    answer = tu.cost_per(frame_, "requests.chat", per=100, freq="1mo")
    assert answer.columns[:4] == ["period", "currency", "cost", "usage_requests_chat"]
    assert figures(answer, "cost_per") == [(300,), (None,)]  # of January, and of no date


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda df: tu.cost_per(df, "sessions.distinct"), "counts different ones within a record"),
        (lambda df: tu.top(df, 3, "user.id", measure="sessions"), r"Ask cost_per\('sessions'\)"),
        (lambda df: tu.trend(df, measure="conversations.distinct"), "Ask active_users"),
        (lambda df: tu.trend(df, measure="usage.quantity"), "one unit and metric_name alone"),
        (lambda df: tu.trend(df, measure="charges.net"), "Ask for the cost with charge='net'"),
        (lambda df: tu.cost_per(df, "activity.is_active"), "it is a flag"),
        (lambda df: tu.top(df, 3, "user.id", measure="code.tool_actions"), r"totals\('tool'\)"),
    ],
)
def test_a_sum_without_meaning_is_refused_with_what_to_ask_instead(ask, words):
    with pytest.raises(OptionError, match=words):
        ask(wide())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"measure": "comits"}, UnknownFieldError, "Did you mean 'commits'"),
        ({"measure": "user"}, UnknownFieldError, "Did you mean 'users'"),
        ({"measure": "users", "freq": "1mo"}, OptionError, "users are not"),
        ({"measure": "users", "seats": 0}, OptionError, "seats= has 0"),
        ({"measure": "commits", "seats": 5}, OptionError, "seats= applies to users"),
        ({"measure": "commits", "people": {}}, OptionError, "people= applies to users"),
        ({"measure": "commits", "per": float("inf")}, OptionError, "per=inf"),
        ({"measure": "users", "seats": {"a": 1}}, OptionError, "there are 0 dimensions"),
    ],
)
def test_a_wrong_question_about_cost_says_so(options, error, words):
    options = dict(options)
    with pytest.raises(error, match=words):
        tu.cost_per(wide(), options.pop("measure"), **options)
    with pytest.raises(OptionError, match="a mapping from its values"):
        tu.cost_per(wide(), "users", "product.id", seats=3)
    with pytest.raises(UnknownFieldError, match=r"needs: usage\.code\.commits"):
        tu.cost_per(wide()[["id", "charges.net", "charges.currency"]], "commits")


# Rankings


def test_top_has_the_first_of_each_currency_and_one_row_for_the_rest(frame):
    # USD: claude 8, cursor 5, and codex 3 + datadog 2 together, of 18
    answer = rows(tu.top(frame, 2, "product.id"))
    assert [tuple(row.values()) for row in answer] == [
        ("claude", 1, "USD", 8, pytest.approx(8 / 18), 1, 1),
        ("cursor", 2, "USD", 5, pytest.approx(5 / 18), 2, 1),
        (None, None, "USD", 5, pytest.approx(5 / 18), 2, 2),
        ("claude", 1, "EUR", 5, 1, 1, 1),
        ("confluent", 1, None, 5, 1, 1, 1),
    ]


def test_a_record_among_the_rest_of_two_groups_counts_once():
    # datadog's 2 are k1's; confluent's record has no such charge
    answer = tu.top(wide(), 1, "resources.id", charge="committed")
    assert figures(answer, "resources.id", "cost") == [("k1", 2)]
    records = [charged("2026-01-01", 9, "USD", resources=[{"id": x} for x in "abc"])]
    answer = tu.top(tu.flatten_usage(records), 1, "resources.id")
    names = ("rank", "cost", "records", "groups")
    assert figures(answer, *names) == [(1, 3, 1, 1), (None, 6, 1, 2)]


def test_top_of_tokens_and_of_a_group_without_a_name():
    # anthropic: 200 + (10 + 5 + 5); openai: 100 + (40 + 10); nobody's tokens are none
    answer = tu.top(wide(), 1, "model.provider", measure="tokens")
    names = ("model.provider", "rank", "tokens", "share", "records", "groups")
    assert figures(answer, *names) == [
        ("anthropic", 1, 220, pytest.approx(220 / 370), 2, 1),
        (None, None, 150, pytest.approx(150 / 370), 2, 1),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, "user.id"), "n=0"),
        (("user.id",), "n='user.id'"),
        ((3,), "needs a dimension"),
        ((3, "cost"), "Ask with measure='cost'"),
    ],
)
def test_a_wrong_ranking_says_so(arguments, words):
    with pytest.raises(OptionError, match=words):
        tu.top(wide(), *arguments)


# Trends


def test_trend_compares_with_the_calendar_period_before():
    records = [
        charged("2026-01-31T12:00:00Z", 8, "USD", end_date="2026-02-01T12:00:00Z"),  # 4 and 4
        charged("2026-02-03", 2, "USD"),
        charged("2026-04-01", 3, "USD"),  # March has nothing to compare with
        charged("2026-04-02", 1, "EUR"),
        charged(None, 7, "USD"),
    ]
    answer = tu.trend(tu.flatten_usage(records, backend="polars"))
    assert [tuple(row.values()) for row in rows(answer)] == [
        (dt.date(2026, 1, 1), "USD", 4, None, None, 1, 1, True),
        (dt.date(2026, 2, 1), "USD", 6, 2, 0.5, 1, 2, True),
        (dt.date(2026, 4, 1), "USD", 3, None, None, 1, 1, True),
        (dt.date(2026, 4, 1), "EUR", 1, None, None, 1, 1, True),
        (None, "USD", 7, None, None, 1, 1, True),
    ]


def test_trend_of_a_count_by_group_with_shares():
    records = [
        {
            "id": "a",
            "start_date": "2026-01-05",
            "user": {"id": "u"},
            "usage": {"code": {"commits": 3}},
        },
        {
            "id": "b",
            "start_date": "2026-01-05",
            "user": {"id": "v"},
            "usage": {"code": {"commits": 1}},
        },
        {
            "id": "c",
            "start_date": "2026-01-12",
            "user": {"id": "u"},
            "usage": {"code": {"commits": 0}},
        },
        {
            "id": "d",
            "start_date": "2026-01-19",
            "user": {"id": "u"},
            "usage": {"code": {"commits": 5}},
        },
    ]
    answer = tu.trend(tu.flatten_usage(records), "user.id", freq="1w", measure="commits")
    names = ("user.id", "commits", "change", "change_rate", "share")
    assert figures(answer, *names) == [
        ("u", 3, None, None, 0.75),
        ("v", 1, None, None, 0.25),
        ("u", 0, -3, -1, None),  # a share of nothing
        ("u", 5, 5, None, 1),  # nothing can be grown from nothing
    ]


def test_a_wrong_dtype_is_named():
    for name, make in {"charges.net": str, "start_date": str}.items():
        bad = wide().assign(**{name: make("x")})
        with pytest.raises(FrameError, match=f"The column '{name}' holds text"):
            tu.trend(bad)
    bad = wide(backend="polars").with_columns(pl.lit(1.0).alias("usage.activity.is_active"))
    with pytest.raises(FrameError, match="holds numbers, and booleans belong there"):
        tu.active_users(bad.lazy())
    relation = duckdb.sql("select 'a' as id, 'x' as \"charges.net\", 'USD' as \"charges.currency\"")
    with pytest.raises(FrameError, match=r"'charges\.net' holds text"):
        tu.cost_by(relation)
    long = wide(layout="long").assign(value="x")
    with pytest.raises(FrameError, match="'value' holds text"):
        tu.cost_by(long)
