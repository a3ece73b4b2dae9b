"""Every metric on every kind of frame, held to `oracle.py` over drawn records."""

import ast
import datetime as dt
import math
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oracle
import tidyusage as tu
from conftest import DRAWN, rows
from flavours import FLAVOURS
from strategies import draws

AMOUNT = st.integers(0, 40).map(lambda quarter: quarter / 4)
COUNT = st.none() | st.integers(0, 30)
TYPES = ("total", "net", "on_demand", "committed", "usage_based", "included", "platform_fee")
DAYS = [f"2026-0{month}-{day}" for month in (2, 3) for day in ("01", "02", "08", "28")]
START = st.sampled_from(DAYS).flatmap(
    lambda day: st.sampled_from(["T00:00:00Z", "T05:00:00Z", "T23:30:15.250Z"]).map(day.__add__)
)


def given_keys(**values):
    return st.fixed_dictionaries({}, optional={k: st.none() | v for k, v in values.items()})


@st.composite
def charges(draw, others=()):
    code = draw(st.sampled_from(["USD", "usd", " EUR ", None]))
    every = (*TYPES, "discount", "tax", "credit", *others)
    types = draw(st.lists(st.sampled_from(every), max_size=5))
    found = [{"type": t, "amount": draw(AMOUNT), "currency": code} for t in types]
    if found and draw(st.booleans()):  # parts that make their total
        parts = [c["amount"] for c in found if c["type"] in TYPES[2:]]
        found = [c for c in found if c["type"] not in {"total", "net"}]
        found.append({"type": "total", "amount": sum(parts), "currency": code})
    return found


@st.composite
def tokens(draw):
    names = ("input", "output", "cache_read", "cache_write")
    found = {name: draw(COUNT) for name in names}
    found |= {f"cache_write_ephemeral_{life}": draw(COUNT) for life in ("5m", "1h")}
    written = found["cache_write"]
    if written is None:
        written = sum(found[f"cache_write_ephemeral_{life}"] or 0 for life in ("5m", "1h"))
    within = (found["input"] or 0) + (found["output"] or 0)
    separate = within + (found["cache_read"] or 0) + written
    found["total"] = draw(st.sampled_from([None, within, separate, 17]))
    return found


@st.composite
def record(draw, others=()):
    start = draw(st.none() | START)
    end = None
    if start and draw(st.booleans()):
        length = draw(st.sampled_from([-1, 0, 1, 24, 24, 24, 72, 31 * 24]))
        end = dt.datetime.fromisoformat(start) + dt.timedelta(hours=length)
    return {
        "product": {"id": draw(st.sampled_from(["cursor", "claude", None]))},
        "metric_name": draw(st.sampled_from(["storage", None])),
        "model": {
            "id": draw(st.sampled_from(["a", "b", None])),
            "provider": draw(st.sampled_from(["anthropic", "openai", None])),
        },
        "user": draw(
            given_keys(
                id=st.sampled_from(["u1", " u1", "u2", " ", "17", "Ada@x.org", "sk-1", "ci-bot"]),
                email=st.sampled_from(
                    ["Ada@x.org", "ada@X.org ", "b@x.org", "nobody", "svc-a@x.org"]
                ),
            )
        ),
        "resources": draw(
            st.none() | st.lists(st.fixed_dictionaries({"id": st.sampled_from("rst")}), max_size=3)
        ),
        "charges": draw(st.none() | charges(others)),
        "usage": {
            "quantity": draw(COUNT),
            "unit": draw(st.sampled_from(["GB", "host", None])),
            "tokens": draw(st.none() | tokens()),
            "requests": draw(given_keys(tab_shown=COUNT, tab_accepted=COUNT, chat=COUNT)),
            "code": draw(
                given_keys(
                    accepts=COUNT,
                    rejects=COUNT,
                    lines_added=COUNT,
                    lines_accepted_added=COUNT,
                    tool_actions=st.dictionaries(
                        st.sampled_from(["edit", "write"]),
                        st.dictionaries(
                            st.sampled_from(["accepted_count", "rejected", "seen"]), COUNT
                        ),
                    ),
                )
            ),
            "activity": draw(given_keys(is_active=st.booleans())),
        },
        "start_date": start,
        "end_date": end.isoformat() if end else None,
    }


def numbered(found):
    return [{"id": f"r{number}", **each} for number, each in enumerate(found)]


RECORDS = st.lists(record(), max_size=8).map(numbered)
# With charge types that the schema does not know; reading warns about them.
UNKNOWN_TYPES = st.lists(record(("a type of its own", None)), max_size=8).map(numbered)
SCALARS = ("model.id", "product.id", "model.provider", "user.email", "person")
DIMENSION = st.sampled_from((*SCALARS, "resources.id", "tool"))
BY = st.lists(DIMENSION, max_size=2, unique=True)
SOME = st.lists(DIMENSION, min_size=1, max_size=2, unique=True)
FREQ = st.sampled_from([None, None, "1d", "1w", "1mo", "1q", "1y", "1h"])
ZONE = st.sampled_from(["UTC", "UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata"])
CHARGE = st.sampled_from(["billed", "net", "total", {"cursor": "total", "*": "billed"}])
CONVENTION = st.sampled_from(["auto", "exclusive", "inclusive", {"openai": "inclusive"}])
BY_PRODUCT = [{"cursor": "inclusive"}, {"cursor": "exclusive", "*": "inclusive"}]
END = st.sampled_from(["exclusive", "exclusive", "inclusive", *BY_PRODUCT])
CROSSING = st.sampled_from(["raise", "exclude", "touch"])
PERIODS = {"freq": FREQ, "tz": ZONE, "end": END}
DATED = [
    {"currency": code, "date": dt.date(2026, month, 1), "rate": rate}
    for code, month, rate in [("EUR", 1, 1.5), ("EUR", 3, 2.0), ("GBP", 2, 0.5)]
]
EXCHANGE = {
    "rates, to": st.sampled_from(
        [(None, None)] * 4
        + [({"EUR": 1.5}, "usd"), (DATED, "USD"), ({"usd": 0.5, "eur": 0.25}, "GBP")]
    )
}
COUNTED = ["commits", "pull_requests", "accepted_lines", "requests"]
RANKED = st.sampled_from(["cost", "cost", "tokens", *COUNTED]).flatmap(
    lambda measure: EXCHANGE["rates, to"].map(
        lambda pair: (measure, *(pair if measure == "cost" else (None, None)))
    )
)
PRICE = st.integers(0, 8).map(lambda quarter: quarter / 4)
SORTS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
PRICES = st.fixed_dictionaries(
    {}, optional={m: st.fixed_dictionaries({}, optional=dict.fromkeys(SORTS, PRICE)) for m in "ab"}
)
# Each metric's options, and its main figure.
METRICS = {
    "cost_by": ({"charge": CHARGE, **EXCHANGE, **PERIODS}, "cost"),
    "tokens_by": ({"token_convention": CONVENTION, **PERIODS}, "tokens"),
    "cost_per_token": (
        {
            "charge": CHARGE,
            "token_convention": CONVENTION,
            "per": st.sampled_from([1, 1_000_000]),
            "tokens": st.sampled_from(["total", "input", "output", "cache_read", "cache_write"]),
            **EXCHANGE,
            **PERIODS,
        },
        "cost_per_token",
    ),
    "cache_hit_rate": ({"token_convention": CONVENTION, **PERIODS}, "cache_hit_rate"),
    "acceptance_rate": (
        {"kind": st.sampled_from([None, "tab", "edit", "line", "tool"]), **PERIODS},
        "acceptance_rate",
    ),
    "active_users": (
        {
            "tz": ZONE,
            "end": END,
            "crossing": CROSSING,
            "freq, rolling": FREQ.flatmap(
                lambda freq: st.tuples(
                    st.just(freq), st.none() | st.sampled_from([1, 2, 7]) if freq else st.none()
                )
            ),
        },
        "active_users",
    ),
    "cost_per": (
        {
            "measure": st.sampled_from([*COUNTED, "sessions", "conversations"]),
            "charge": CHARGE,
            "per": st.sampled_from([1, 100]),
            **EXCHANGE,
            **PERIODS,
        },
        "cost_per",
    ),
    "cache_savings": (
        {"prices": PRICES, "per": st.sampled_from([1, 1000]), **PERIODS},
        "savings",
    ),
    "estimate_cost": (
        {
            "prices": PRICES,
            "scope": st.sampled_from(["unbilled", "all"]),
            "charge": CHARGE,
            "token_convention": CONVENTION,
            **PERIODS,
        },
        "estimated_cost",
    ),
    "summary": (
        {"charge": CHARGE, "token_convention": CONVENTION, "end": END, **EXCHANGE},
        "value",
    ),
    "stickiness": ({"tz": ZONE, "end": END, "crossing": CROSSING}, "stickiness"),
    "top": (
        {
            "n": st.integers(1, 3),
            "measure, rates, to": RANKED,
            "charge": CHARGE,
            "token_convention": CONVENTION,
        },
        "",
    ),
    "trend": (
        {
            "measure, rates, to": RANKED,
            "charge": CHARGE,
            "token_convention": CONVENTION,
            "freq": FREQ.filter(bool),
            "tz": ZONE,
            "end": END,
        },
        "",
    ),
    "totals": (PERIODS, "value"),
}
NAMES = {"token_convention": "chosen", "tokens": "sort"}
# What a metric takes before its dimensions.
LEADING = {"top": ("n",), "cost_per": ("measure",)}
REFUSALS = {
    "a window crosses a bound": "crosses a bound of",
    "there is no rate": "There is no rate of",
}


def questions(*names):
    return st.sampled_from(sorted(names or METRICS)).flatmap(
        lambda name: st.tuples(
            st.just(name),
            SOME if name == "top" else BY,
            st.fixed_dictionaries(METRICS[name][0]).map(apart),
        )
    )


def apart(options):
    """Return options with those apart that were drawn together."""
    return {
        name: value
        for names, values in options.items()
        for name, value in zip(
            names.split(", "), values if ", " in names else (values,), strict=True
        )
    }


QUESTIONS = questions()


def asked(ask, question, *first):
    """Ask a function, such as a metric, a question of a frame."""
    name, by, options = question
    options = {**options, "overlap": "ignore"}  # drawn rows overlap; test_grain asks of that
    if isinstance(options.get("rates"), list):
        options["rates"] = pl.DataFrame(options["rates"])
    leading = [options.pop(option) for option in LEADING.get(name, ())]
    return ask(*first, *leading, *by, **options)


def period_of(question):
    """Return the length of the periods that a question's answer has, if any."""
    name, _, options = question
    return "1mo" if name == "stickiness" else options.get("freq")


def plain(value):
    """Return a frame's value as the oracle writes it."""
    if value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, dt.datetime):
        value = value.replace(tzinfo=value.tzinfo or dt.UTC)
        return value.astimezone(dt.UTC)
    return value


def answered(answer, by, freq):
    """Return an answer's rows with their group as one key, in their order."""
    found = []
    for line in rows(answer):
        row = {name: plain(value) for name, value in line.items()}
        period = row.pop("period", None)
        if isinstance(period, dt.datetime) and freq != "1h":
            period = period.date()
        key = ((period,) if freq else ()) + tuple(row.pop(name) for name in by)
        found.append({"key": key, **row})
    return found


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        if isinstance(value, float) and ours[name] is not None:
            assert math.isclose(ours[name], value, rel_tol=1e-9, abs_tol=1e-9), (name, ours, theirs)
        else:
            assert ours[name] == value, (name, ours, theirs)


def last(value, *, falling=False):
    """Return what sorts nulls last."""
    if value is None:
        return (1, 0)
    return (0, -value if falling else value)


def ordered(found, name, options):
    """Tell whether rows stand by period, main figure and dimensions."""
    if name == "top":
        return [row["rank"] for row in found] == ranks(found)
    if name == "summary":
        return [row["figure"] for row in found] == figures(found)
    main, keys = main_of(name, options), []
    for row in found:
        has_period = options.get("freq") or name == "stickiness"
        period = [last(row["key"][0])] if has_period else []
        figure = None if row[main] is None else round(row[main], 9)
        keys.append([*period, last(figure, falling=True)])
    return keys == sorted(keys)


def figures(found):
    """Return the figures as they should stand: in the same order in each group."""
    groups = dict.fromkeys(row["key"] for row in found)
    costs = Counter(row["key"] for row in found if row["figure"] == "cost")
    names = ["records", "days", "products", "models", "users", "active_users", "tokens"]
    return [name for key in groups for name in [*names, *["cost"] * costs[key]]]


def main_of(name, options):
    """Return the column of a metric's main figure."""
    return METRICS[name][1] or options["measure"]


def ranks(found):
    """Return the ranks as they should be: from one in each currency, the others last."""
    codes = list(dict.fromkeys(row.get("currency") for row in found))
    assert codes == sorted(codes, key=lambda code: (code is None, code or ""))
    counts = Counter(row.get("currency") for row in found if row["rank"] is not None)
    rest = {row.get("currency") for row in found if row["rank"] is None}
    numbers = ([*range(1, counts[code] + 1), *([None] if code in rest else [])] for code in codes)
    return [number for each in numbers for number in each]


def expected(records, name, by, options):
    renamed = {NAMES.get(option, option): value for option, value in options.items()}
    leading = [renamed.pop(option) for option in LEADING.get(name, ())]
    end = renamed.pop("end", "exclusive")
    persons = oracle.persons(records)
    records = [
        {**oracle.ended(each, end), "tu_person": who}
        for each, who in zip(records, persons, strict=True)
    ]
    try:
        return getattr(oracle, name)(records, *leading, tuple(by), **renamed)
    except ValueError as error:
        return str(error)


def check(flavour, frame, records, question, spelled):
    """Ask by path; the answer is under the frame's own names, ``spelled``."""
    name, by, options = question
    theirs = expected(records, name, by, options)
    tell(flavour, records)
    if isinstance(theirs, str):
        DRAWN[flavour, f"refusals ({theirs})"] += 1
        # A relation asks DuckDB, whose own error carries the words.
        with pytest.raises(Exception, match=REFUSALS[theirs]):
            rows(asked(getattr(tu, name), question, frame))
        return
    ours = answered(asked(getattr(tu, name), question, frame), spelled, period_of(question))
    alike(ours, theirs)
    assert ordered(ours, name, options)


def alike(ours, theirs):
    """Compare rows in any order."""
    figures = ("kind", "currency", "metric", "unit", "figure", "rank")
    place = lambda row: (row["key"], *(row.get(figure) for figure in figures))  # noqa: E731
    assert Counter(map(place, ours)) == Counter(map(place, theirs))
    found = {place(row): row for row in ours}
    for row in theirs:
        same(found[place(row)], row)


def tell(flavour, records):
    """Count what was drawn; the end of the run prints it."""
    values = [value for each in records for value in leaves(each)]
    charges = [charge for each in records for charge in each["charges"] or ()]
    DRAWN[flavour, "frames"] += 1
    DRAWN[flavour, "frames without a record"] += not records
    DRAWN[flavour, "records"] += len(records)
    DRAWN[flavour, "nulls"] += sum(value is None for value in values)
    DRAWN[flavour, "empty lists"] += sum(
        each[name] == [] for each in records for name in ("charges", "resources")
    )
    DRAWN[flavour, "charges without a currency"] += sum(c["currency"] is None for c in charges)
    DRAWN[flavour, "windows over a month's end"] += sum(
        len(list(oracle.pieces(each, "1mo", "UTC"))) > 1 for each in records
    )


def leaves(value):
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    return [value]


# Records are flattened once, and each flavour of them is asked a question of its own.
@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
@settings(max_examples=draws(120), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), records=RECORDS | UNKNOWN_TYPES, sep=st.sampled_from("._"))
def test_every_metric_is_what_the_oracle_says(data, records, sep):
    table = tu.flatten_usage(records, backend="pyarrow", sep=sep)
    for flavour in FLAVOURS:
        question = data.draw(QUESTIONS, label=flavour)
        spelled = [dimension.replace(".", sep) for dimension in question[1]]
        check(flavour, FLAVOURS[flavour](table), records, question, spelled)


def test_the_oracle_stands_alone():
    source = Path(oracle.__file__).read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(source)))
    names = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module for n in nodes if isinstance(n, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
