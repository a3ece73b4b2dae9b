"""The metrics, worked out by hand on a frame of all five vendors with their traps in it."""

import datetime as dt
import importlib
import inspect
import subprocess
import sys
import warnings
from typing import get_args

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tidyusage as tu
from conftest import ARGUMENTS, FRAMES, ask, rows
from flavours import FLAVOURS, flattened, frame_of
from tidyusage import accessor, metrics
from tidyusage.accessor import UsageAccessor
from tidyusage.catalogue import CHARGE_TYPES
from tidyusage.errors import FrameError, OptionError, RecordError, UnknownFieldError
from tidyusage.typing import ChargeType

DAY = {"start_date": "2026-01-05T00:00:00Z", "end_date": "2026-01-06T00:00:00Z"}


def charged(currency, **amounts):
    return [{"type": t, "amount": a, "currency": currency} for t, a in amounts.items()]


CLAUDE, CODEX, CURSOR = ({"id": name} for name in ("claude", "codex", "cursor"))
ANTHROPIC = {"id": "opus", "provider": "anthropic"}
OPENAI = {"id": "gpt", "provider": "openai"}
RECORDS = [
    {
        "id": "claude-1",  # a list price, a discount and the net of both
        "product": CLAUDE,
        "model": ANTHROPIC,
        "user": {"id": "ada"},
        "charges": charged("USD", total=10, discount=2, net=8),
        # 100 + 50 + 30 + 20 = 200: input holds no cached tokens
        "usage": {
            "tokens": {
                "input": 100,
                "output": 50,
                "cache_read": 30,
                "cache_write_ephemeral_5m": 15,
                "cache_write_ephemeral_1h": 5,
                "total": 200,
            },
            "code": {
                "tool_actions": {
                    "edit": {"accepted": 8, "rejected": 2},
                    "write": {"accepted": 5},  # nothing tells how many were rejected
                }
            },
        },
        **DAY,
    },
    {
        "id": "claude-2",  # no total of tokens: its provider's convention counts
        "product": CLAUDE,
        "model": ANTHROPIC,
        "user": {"email": "Bob@x.org"},
        "charges": charged("eur", total=5),
        "usage": {"tokens": {"input": 10, "output": 5, "cache_read": 5}},
        **DAY,
    },
    {
        "id": "codex-1",  # 80 + 20 = 100: input holds the 60
        "product": CODEX,
        "model": OPENAI,
        "user": {"email": "bob@X.org "},
        "charges": charged("USD", total=3),
        "usage": {"tokens": {"input": 80, "output": 20, "cache_read": 60, "total": 100}},
        **DAY,
    },
    {
        "id": "codex-2",  # tokens without a cost, and without a total
        "product": CODEX,
        "model": OPENAI,
        "usage": {"tokens": {"input": 40, "output": 10, "cache_read": 30}},
        **DAY,
    },
    {
        "id": "cursor-1",  # 5 + 7 = 12: the subscription covers 7 of it
        "product": CURSOR,
        "user": {"id": "cy"},
        "charges": charged("USD", total=12, usage_based=5, included=7),
        "usage": {
            "requests": {"tab_shown": 40, "tab_accepted": 10},
            "code": {
                "accepts": 3,
                "rejects": 1,
                "lines_added": 20,
                "lines_accepted_added": 5,
            },
            "activity": {"is_active": False},
        },
        **DAY,
    },
    {
        "id": "cursor-2",  # all of it is covered; tabs were shown, and that is no activity
        "product": CURSOR,
        "user": {"id": "dee"},
        "charges": charged("USD", total=4, included=4),
        "usage": {"requests": {"tab_shown": 60}, "code": {"accepts": 1, "rejects": 3}},
        **DAY,
    },
    {
        "id": "confluent-1",  # parts without a total, a discount, no currency, two months
        "product": {"id": "confluent"},
        "charges": charged(None, on_demand=6, platform_fee=1, discount=-2),
        "resources": [{"id": "k1"}, {"id": "k2"}],
        "start_date": "2026-01-31T00:00:00Z",
        "end_date": "2026-02-02T00:00:00Z",
    },
    {
        "id": "datadog-1",  # tax is told apart
        "product": {"id": "datadog"},
        "charges": charged("USD", committed=2, tax=9),
        "resources": [{"id": "k1"}],
        **DAY,
    },
]
COST = {
    # 8 + 3 + (5 + 0) + 2 = 18 USD
    ("claude", "USD"): (8, 8 / 18, 2, 1),
    ("claude", "EUR"): (5, 1, 2, 1),
    ("codex", "USD"): (3, 3 / 18, 2, 1),
    ("cursor", "USD"): (5, 5 / 18, 2, 2),
    ("confluent", None): (5, 1, 1, 1),  # 6 + 1 - 2, in a currency that nobody knows
    ("datadog", "USD"): (2, 2 / 18, 1, 1),
}


@pytest.fixture(params=["pandas", "polars", "lazy", "pyarrow", "duckdb", "underscored", "long"])
def frame(request):
    """The records as a frame of each kind."""
    if request.param == "lazy":
        return flattened(RECORDS, backend="polars").lazy()
    if request.param == "underscored":
        return flattened(RECORDS, sep="_")
    if request.param == "long":
        return flattened(RECORDS, layout="long", backend="polars")
    return flattened(RECORDS, backend=request.param)


def found(answer, *keys):
    """Return an answer's figures by the values of its first columns."""
    return {tuple(list(row.values())[: len(keys)]): row for row in rows(answer)}


def wide(**options):
    return flattened(RECORDS, **options)


def figures(answer, *names):
    return [tuple(row[name] for name in names) for row in rows(answer)]


# Money


def test_one_figure_a_record_and_no_sum_across_currencies(frame):
    answer = {
        (row.get("product.id", row.get("product_id")), row["currency"]): (
            row["cost"],
            pytest.approx(row["share"]),
            row["records"],
            row["priced"],
        )
        for row in rows(tu.cost_by(frame, "product.id"))
    }
    assert answer == COST


def test_rows_stand_by_cost_with_the_largest_first():
    answer = figures(tu.cost_by(wide(), "product.id"), "product.id", "cost", "currency")
    # 8, then thrice 5 by product and currency, 3, 2
    assert answer == [
        ("claude", 8, "USD"),
        ("claude", 5, "EUR"),
        ("confluent", 5, None),
        ("cursor", 5, "USD"),
        ("codex", 3, "USD"),
        ("datadog", 2, "USD"),
    ]


def test_a_group_without_a_cost_is_one_row_of_nulls():
    bare = tu.flatten_usage([{"id": "a", "model": {"id": "m"}}, {"id": "b"}])
    assert figures(tu.cost_by(bare, "model.id"), "model.id", "currency", "cost", "records") == [
        ("m", None, None, 1),
        (None, None, None, 1),
    ]


@pytest.mark.parametrize(
    ("amounts", "charge", "cost"),
    [
        ({"total": 10, "discount": 2, "net": 8}, "billed", 8),
        ({"total": 10, "discount": 2}, "billed", 10),  # before or after it: as charged
        ({"total": 10, "usage_based": 6, "included": 4}, "billed", 6),
        ({"total": 10, "usage_based": 6, "included": 1}, "billed", 10),  # it cannot be seen inside
        ({"total": 10, "included": 4}, "billed", 6),
        ({"total": 3, "included": 4}, "billed", 3),  # it is more
        ({"total": -5, "included": -7}, "billed", -5),  # likewise
        ({"total": -7, "included": -5}, "billed", -2),  # -7 - -5
        ({"total": 5, "included": -7}, "billed", 5),  # of the other sign, it is not part of it
        ({"total": -7, "included": 5}, "billed", -7),
        ({"total": 1e-200, "included": -1e-200}, "billed", 1e-200),  # their product is 0
        ({"total": -4, "usage_based": 3, "included": -7}, "billed", 3),  # 3 - 7 makes the total
        ({"on_demand": 1, "committed": 2, "platform_fee": 4, "discount": 3}, "billed", 4),
        ({"included": 4}, "billed", None),
        ({"discount": 4}, "billed", None),
        ({"tax": 4, "credit": -1}, "billed", None),
        ({"total": 0}, "billed", 0),
        ({"total": 0.3, "on_demand": 0.1, "included": 0.2}, "billed", pytest.approx(0.1)),
        ({"total": 10, "net": 8}, "total", 10),
        ({"total": 10, "net": 8}, "tax", None),
        ({"total": 10, "net": 8}, {"claude": "total", "*": "net"}, 10),
        ({"total": 10, "net": 8}, {"cursor": "total"}, 8),
        ({"total": 10, "net": 8}, {"*": "total"}, 10),
    ],
)
@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_the_policy(amounts, charge, cost, backend):
    record = {"id": "a", "product": CLAUDE, "charges": charged("USD", **amounts)}
    answer = tu.cost_by(tu.flatten_usage(record, backend=backend), charge=charge)
    assert figures(answer, "cost") == [(cost,)]


def test_a_window_that_crosses_a_bound_is_split_by_its_seconds():
    answer = tu.cost_by(wide(), freq="1mo")
    confluent = [row for row in rows(answer) if row["currency"] is None]
    # 31 January and 1 February, of 5 half each
    assert [(row["period"].date(), row["cost"]) for row in confluent] == [
        (dt.date(2026, 1, 1), 2.5),
        (dt.date(2026, 2, 1), 2.5),
    ]


def test_the_zone_moves_the_bound():
    answer = tu.cost_by(wide(backend="polars"), "product.id", freq="1mo", tz="America/New_York")
    confluent = [row for row in rows(answer) if row["product.id"] == "confluent"]
    # 31 January 00:00 UTC is 30 January 19:00 there: 29 of 48 hours are January's
    assert [(row["period"], row["cost"]) for row in confluent] == [
        (dt.date(2026, 1, 1), pytest.approx(5 * 29 / 48)),
        (dt.date(2026, 2, 1), pytest.approx(5 * 19 / 48)),
    ]


def test_an_hour_that_comes_twice_is_two():
    record = {
        "id": "a",
        "charges": charged("USD", net=3),
        "start_date": "2026-11-01T04:00:00Z",  # midnight in New York, where 1 o'clock comes twice
        "end_date": "2026-11-01T07:00:00Z",
    }
    answer = tu.cost_by(tu.flatten_usage(record), freq="1h", tz="America/New_York")
    assert [str(p) for p in answer["period"]] == [
        "2026-11-01 00:00:00-04:00",
        "2026-11-01 01:00:00-04:00",
        "2026-11-01 01:00:00-05:00",
    ]
    assert answer["cost"].tolist() == [1, 1, 1]


def test_an_inclusive_end_is_a_day_more_if_it_is_a_date():
    base = {"id": "a", "charges": charged("USD", net=4), "start_date": "2026-01-31T00:00:00Z"}
    date = tu.flatten_usage(base | {"end_date": "2026-02-01T00:00:00Z"})
    instant = tu.flatten_usage(base | {"end_date": "2026-02-01T12:00:00Z"})
    assert tu.cost_by(date, freq="1mo")["cost"].tolist() == [4]
    assert tu.cost_by(date, freq="1mo", end="inclusive")["cost"].tolist() == [2, 2]
    # 24 hours of 36 are January's
    assert tu.cost_by(instant, freq="1mo", end="inclusive")["cost"].tolist() == pytest.approx(
        [8 / 3, 4 / 3]
    )


def test_records_without_dates_are_a_period_of_their_own():
    undated = {"id": "a", "charges": charged("USD", net=4)}
    answer = tu.cost_by(tu.flatten_usage([undated, undated | DAY | {"id": "b"}]), freq="1d")
    assert answer["period"].isna().tolist() == [False, True]
    assert answer["cost"].tolist() == [4, 4]


def test_money_is_split_over_resources_and_adds_up():
    answer = found(tu.cost_by(wide(), "resources.id"), "resources.id", "currency")
    assert answer["k1", None]["cost"] == 2.5
    assert answer["k2", None]["cost"] == 2.5
    assert answer["k1", "USD"]["cost"] == 2
    assert sum(row["cost"] for row in answer.values()) == 18 + 5 + 5


def test_a_resource_named_twice_is_one_record():
    record = {"id": "a", "charges": charged("USD", net=4), "resources": [{"id": "k"}, {"id": "k"}]}
    answer = tu.cost_by(tu.flatten_usage(record), "resources.id")
    assert figures(answer, "cost", "records", "priced") == [(4, 1, 1)]


# Tokens


def test_tokens_by_the_convention_of_each_vendor(frame):
    answer = found(tu.tokens_by(frame, "product.id"), "product.id")
    names = ("input", "output", "cache_read", "cache_write", "tokens")
    # 100 + 10; 50 + 5; 30 + 5; 15 + 5; 200 + (10 + 5 + 5)
    assert [answer[("claude",)][name] for name in names] == [110, 55, 35, 20, 220]
    # (80 - 60) + (40 - 30); 20 + 10; 60 + 30; 100 + (40 + 10)
    assert [answer[("codex",)][name] for name in names] == [30, 30, 90, None, 150]
    assert [answer[("datadog",)][name] for name in names] == [None] * 5


def test_the_convention_can_be_set():
    frame = wide()
    exclusive = found(tu.tokens_by(frame, "product.id", token_convention="exclusive"), "product.id")
    assert exclusive[("codex",)]["input"] == 120
    assert exclusive[("codex",)]["tokens"] == 100 + 80
    by_provider = tu.tokens_by(frame, "product.id", token_convention={"openai": "exclusive"})
    assert found(by_provider, "product.id")[("codex",)]["tokens"] == 180


def test_cost_per_token_is_a_ratio_of_sums_over_the_same_records(frame):
    answer = found(tu.cost_per_token(frame, "product.id", per=1000), "product.id", "currency")
    # codex-2 has tokens and no cost: it takes no part
    assert answer["codex", "USD"]["cost_per_token"] == pytest.approx(1000 * 3 / 100)
    assert answer["codex", "USD"]["records"] == 1
    assert answer["claude", "USD"]["cost_per_token"] == pytest.approx(1000 * 8 / 200)
    assert answer["claude", "EUR"]["tokens"] == 20


def test_a_cost_without_tokens_takes_no_part_in_the_cost_of_a_token():
    both = {"id": "a", "charges": charged("USD", net=2), "usage": {"tokens": {"total": 4}}}
    frame = tu.flatten_usage([both, {"id": "b", "charges": charged("USD", net=100)}])
    # 2 / 4, not 102 / 4
    assert figures(tu.cost_per_token(frame), "cost", "cost_per_token", "records") == [(2, 0.5, 1)]


def test_large_records_weigh_more_in_a_ratio():
    record = lambda id_, net, total: {  # noqa: E731
        "id": id_,
        "charges": charged("USD", net=net),
        "usage": {"tokens": {"total": total}},
    }
    frame = tu.flatten_usage([record("a", 1, 1), record("b", 1, 99)])
    # 2 / 100, where the mean of 1 and 1/99 would be about a half
    assert tu.cost_per_token(frame)["cost_per_token"].tolist() == [0.02]


def test_cache_hit_rate(frame):
    answer = found(tu.cache_hit_rate(frame, "product.id"), "product.id")
    # claude: (30 + 5) / (100 + 30 + 20 + 10 + 5); codex: (60 + 30) / (80 + 40)
    assert answer[("claude",)]["cache_hit_rate"] == pytest.approx(35 / 165)
    assert answer[("codex",)]["prompt_tokens"] == 120
    assert answer[("codex",)]["cache_hit_rate"] == 0.75


# Acceptance


def test_acceptance_by_kind(frame):
    answer = found(tu.acceptance_rate(frame, "product.id"), "product.id", "kind")
    # cursor-2 was shown 60 tabs and does not say how many were accepted
    assert answer["cursor", "tab"]["acceptance_rate"] == 10 / 40
    # (3 + 1) / (3 + 1 + 1 + 3), where the mean of 3/4 and 1/4 happens to be the same half
    assert answer["cursor", "edit"]["offered"] == 8
    assert answer["cursor", "line"]["acceptance_rate"] == 5 / 20
    # edit alone: write does not tell of rejections
    assert (answer["claude", "tool"]["accepted"], answer["claude", "tool"]["offered"]) == (8, 10)
    assert answer["codex", None]["acceptance_rate"] is None


def test_acceptance_by_tool():
    answer = tu.acceptance_rate(wide(backend="polars"), "tool", kind="tool")
    assert figures(answer, "tool", "accepted", "offered") == [
        ("edit", 8, 10),
        ("write", None, None),
        (None, None, None),
    ]


def test_nothing_offered_is_no_rate():
    record = {"id": "a", "usage": {"requests": {"tab_shown": 0, "tab_accepted": 0}}}
    for backend in ("pandas", "polars"):
        answer = tu.acceptance_rate(tu.flatten_usage(record, backend=backend), kind="tab")
        assert figures(answer, "accepted", "offered", "acceptance_rate") == [(0, 0, None)]


# Users


def test_active_users(frame):
    answer = found(tu.active_users(frame, "product.id"), "product.id")
    counts = {key[0]: row["active_users"] for key, row in answer.items()}
    # cy is said not to be active; dee was only shown tabs, but accepted an edit
    expected = {"claude": 2, "codex": 1, "cursor": 1, "confluent": None, "datadog": None}
    assert {key: counts[key] for key in expected} == expected
    # ada, bob in two spellings, dee: distinct users are not added
    assert figures(tu.active_users(frame), "active_users") == [(3,)]


def test_people_joins_an_id_and_an_email():
    people = {"ada": "Ada", "BOB@x.org": "Ada"}
    assert figures(tu.active_users(wide(), people=people), "active_users") == [(2,)]


def test_a_user_whose_window_crosses_a_bound_cannot_be_placed():
    record = {"id": "a", "user": {"id": "u"}, "usage": {"requests": {"chat": 1}}, **DAY}
    frame = tu.flatten_usage(record)
    assert tu.active_users(frame, freq="1d")["active_users"].tolist() == [1]
    with pytest.raises(RecordError, match=r"1 record \(a\) has a window that crosses") as error:
        tu.active_users(frame, freq="1d", tz="Asia/Tokyo")
    assert "Asia/Tokyo" in str(error.value)
    lazy = tu.active_users(tu.flatten_usage(record, backend="polars").lazy(), freq="1h")
    with pytest.raises(RecordError, match="freq='1h'"):
        lazy.collect()
    idle = tu.flatten_usage({**record, "usage": None})
    # A row for every hour of the day that the window touches.
    assert tu.active_users(idle, freq="1h")["active_users"].tolist() == [0] * 24


# Frames


@pytest.mark.slow
def test_no_answer_depends_on_the_session_zone():
    code = (
        "import os, time; os.environ['TZ'] = '{zone}'; time.tzset()\n"
        "import duckdb, tidyusage as tu\n"
        "c = duckdb.connect(); c.execute(\"set TimeZone = '{zone}'\")\n"
        "df = c.from_arrow(tu.load_example(backend='pyarrow'))\n"
        "print(tu.cost_by(df, freq='1d', tz='Europe/Berlin').fetchall())\n"
        "print(tu.active_users(df, freq='1w').fetchall())\n"
        "print(tu.cost_by(tu.load_example(), freq='1mo').to_dict())\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code.format(zone=zone)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for zone in ("UTC", "America/New_York", "Asia/Tokyo")
    }
    assert len(answers) == 1


def test_dimensions_keep_their_dtypes():
    frame = wide()
    frame["team"] = pd.Categorical(["x", "y", "x", "y", "x", "y", "x", None], categories=["y", "x"])
    frame["when"] = frame["start_date"].dt.tz_convert("Asia/Tokyo")
    answer = tu.cost_by(frame, "team", "when")
    assert answer["team"].dtype == frame["team"].dtype
    assert answer["when"].dtype == frame["when"].dtype
    polars = wide(backend="polars").with_columns(
        pl.Series("team", list("xyxyxyxy"), pl.Enum(["y", "x"])),
        pl.col("start_date").dt.convert_time_zone("Asia/Tokyo").alias("when"),
    )
    answer = tu.cost_by(polars, "team", "when")
    assert (answer.schema["team"], answer.schema["when"]) == (
        polars.schema["team"],
        polars.schema["when"],
    )
    table = pa.table({"id": ["a"], "team": pa.array(["x"]).dictionary_encode()})
    table = table.append_column("charges.net", pa.array([1.0]))
    assert tu.cost_by(table, "team", assume_currency="USD")["team"].type == table["team"].type


def test_a_frames_own_column_and_lazy_frames():
    polars = wide(backend="polars").with_columns(team=pl.lit("t"))
    assert isinstance(tu.cost_by(polars.lazy(), "team"), pl.LazyFrame)
    assert tu.cost_by(polars, "team").columns[0] == "team"


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow", "duckdb"])
def test_nan_is_missing(backend):
    nan = float("nan")
    table = {"id": ["a", "b"], "charges.net": [nan, 2.0], "charges.total": [1.0, nan]}
    table |= {"charges.included": [nan, nan], "charges.currency": ["USD", "USD"]}
    polars = pl.DataFrame(table)
    frame = {
        "pandas": polars.to_pandas,
        "polars": lambda: polars,
        "pyarrow": polars.to_arrow,
        "duckdb": lambda: duckdb.from_arrow(polars.to_arrow()),
    }[backend]()
    assert figures(tu.cost_by(frame), "cost", "priced") == [(3, 2)]


def test_the_callers_frame_is_left_alone():
    frame = wide()
    frame.index = list("abcdefgh")
    before = frame.copy(deep=True)
    for name in FRAMES:
        ask(name, frame, "product.id")
    pd.testing.assert_frame_equal(frame, before)


def test_an_empty_frame_gives_the_typed_empty_answer(flatten):
    for name in FRAMES:
        assert rows(ask(name, flatten([]), "product.id")) == [], name


def test_only_the_columns_that_are_needed_are_read(tmp_path):
    wide(backend="polars").write_parquet(tmp_path / "usage.parquet")
    lazy = pl.scan_parquet(tmp_path / "usage.parquet")
    # The model, eight of the charges, their currency.
    answer = lazy.usage.cost_by("model.id", overlap="ignore")
    assert "PROJECT 10/78 COLUMNS" in answer.explain()


# Errors


def test_an_unknown_dimension_names_the_nearest():
    with pytest.raises(UnknownFieldError, match=r"Did you mean 'model\.id'"):
        tu.cost_by(wide(), "modle.id")
    with pytest.raises(OptionError, match="twice"):
        tu.cost_by(wide(), "model.id", "model.id")
    with pytest.raises(OptionError, match="called like a column of the answer"):
        tu.cost_by(wide().assign(cost=1), "cost")
    with pytest.raises(FrameError, match="wide frame"):
        tu.cost_by(wide(layout="long"), "resources.id")
    with pytest.raises(FrameError, match="no metric"):
        tu.cost_by(wide(layout="charges"))


def test_a_metric_without_any_of_its_columns_names_them():
    with pytest.raises(UnknownFieldError, match=r"cost_by needs: charges\.net"):
        tu.cost_by(wide()[["id", "model.id"]])
    with pytest.raises(UnknownFieldError, match=r"user\.id, user\.email"):
        tu.active_users(wide()[["id", "model.id"]])


@pytest.mark.parametrize(
    ("metric", "options", "words"),
    [
        ("cost_by", {"charge": "nett"}, "Did you mean 'net'"),
        ("cost_by", {"freq": "1m"}, "freq='1m'"),
        ("cost_by", {"freq": "1d", "tz": "Mars"}, "Invalid time zone: 'Mars'"),
        ("cost_by", {"tz": "Mars"}, "Invalid time zone: 'Mars'"),
        ("cost_by", {"end": "open"}, "end='open'"),
        ("cost_by", {"freq": "1d", "end": "open"}, "end='open'"),
        ("tokens_by", {"token_convention": "auot"}, "token_convention='auot'"),
        ("cost_per_token", {"per": 0}, "per=0"),
        ("cost_per_token", {"tokens": "all"}, "tokens='all'"),
        ("acceptance_rate", {"kind": "tabs"}, "kind='tabs'"),
        ("active_users", {"people": {"a": 1}}, "people="),
    ],
)
def test_a_wrong_option_says_so(metric, options, words):
    with pytest.raises(OptionError, match=words):
        getattr(tu, metric)(wide(), **options)


def test_an_unknown_option_names_the_nearest():
    for name in FRAMES:
        with pytest.raises(TypeError, match=f"{name}.. got an unexpected keyword argument 'frq'"):
            getattr(tu, name)(wide(), *ARGUMENTS.get(name, ()), frq="1d")


def test_the_types_of_options_are_the_catalogues():
    assert set(get_args(ChargeType)) == set(CHARGE_TYPES)


# The accessor


def test_every_metric_is_a_method_with_its_words():
    own = {name for name in vars(UsageAccessor) if not name.startswith("_")}
    assert own == {*accessor.FUNCTIONS, "plot"}
    assert set(metrics.__all__) <= set(tu.__all__)
    for name, function in accessor.FUNCTIONS.items():
        method = getattr(UsageAccessor, name)
        assert method.__doc__ == function.__doc__
        assert "Returns" in method.__doc__
        assert ">>>" in method.__doc__
        ours = list(inspect.signature(method).parameters)
        assert ours == ["self", *list(inspect.signature(function).parameters)[1:]]


def test_the_accessor_on_every_library_that_has_one():
    for frame in (wide(), wide(backend="polars"), wide(backend="polars").lazy()):
        ours = rows(frame.usage.cost_by("product.id", charge="net"))
        assert ours == rows(tu.cost_by(frame, "product.id", charge="net"))
        assert "cost_by" in repr(frame.usage)


def test_registering_again_does_not_warn():
    from tidyusage import accessor

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.reload(accessor).register()
    assert wide().usage.cost_by("product.id").shape == (6, 6)


@pytest.mark.filterwarnings("ignore:The schema does not know the charge types")
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("layout", ["wide", "long"])
def test_totals_have_charges_of_any_type(flavour, layout):
    charges = [("weird", 5, "USD"), ("net", 2, "USD"), ("weird", 7, "EUR")]
    records = [
        {"id": str(n), "charges": [{"type": type_, "amount": amount, "currency": currency}]}
        for n, (type_, amount, currency) in enumerate(charges)
    ]
    found = rows(tu.totals(frame_of(records, flavour, layout=layout)))
    assert [(row["metric"], row["unit"], row["value"]) for row in found] == [
        ("charges.weird", "EUR", 7),
        ("charges.weird", "USD", 5),
        ("charges.net", "USD", 2),
    ]
