"""Findings: what each check reports and what it must not, on every flavour of frame."""

import datetime as dt
import re
import warnings
from functools import cache
from pathlib import Path

import babel.core
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import columns, rows
from findings_cases import CASES, charged, cost, tokens, user
from flavours import flattened
from strategies import draws
from tidyusage._utils.iso4217 import ISO_4217, WITHDRAWN
from tidyusage.engines import frames
from tidyusage.errors import (
    FrameError,
    OptionError,
    OverlapError,
    OverlapWarning,
    UnknownOptionError,
)
from tidyusage.quality.findings.report import CHECKS
from tidyusage.testing import sample_records

ROOT = Path(__file__).parents[1]
NAMES = ["check", "severity", "id", "column", "value", "expected", "message", "records"]
NUMBERED = [(name, place) for name, cases in CASES.items() for place in range(len(cases))]


def in_new_york(frame):
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'America/New_York'")
    connection.register("frame", frame.to_arrow())
    return connection.sql("select * from frame")


def with_own(frame):
    """A pandas frame with an index and a column of the caller's."""
    own = frames.to_pandas(frame.to_arrow()).assign(team="a")
    return own.set_index(own.index[::-1] + 7)


def nullable(frame):
    arrow = frame.to_arrow().to_pandas(types_mapper=pd.ArrowDtype)
    numbers = [n for n, t in frame.schema.items() if t == pl.Float64]
    return arrow.astype(dict.fromkeys(numbers, "Float64"))


FLAVOURS = {
    "pandas": lambda frame: frames.to_pandas(frame.to_arrow()),
    "pandas with own": with_own,
    "pandas arrow": lambda frame: frame.to_arrow().to_pandas(types_mapper=pd.ArrowDtype),
    "pandas nullable": nullable,
    "polars": lambda frame: frame,
    "lazy": lambda frame: frame.lazy(),
    "pyarrow": lambda frame: frame.to_arrow(),
    "duckdb": in_new_york,
}


@cache
def wide(name, place, kind, sep="."):
    return flat(getattr(CASES[name][place], kind), sep=sep)


def flat(records, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # charges without a type
        return flattened(records, "polars", **options)


def told(frame):
    """Return what findings say, without what is told of each check elsewhere."""
    return [
        {name: row[name] for name in ("id", "column", "value", "expected", "records")}
        for row in rows(frame)
    ]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(("name", "place"), NUMBERED)
def test_a_check_finds_what_it_is_about_and_nothing_else(name, place, flavour):
    case, make = CASES[name][place], FLAVOURS[flavour]
    found = tu.findings(make(wide(name, place, "fires")), only=name)
    assert told(found) == case.found
    assert {(row["check"], row["severity"]) for row in rows(found)} == {
        (name, CHECKS[name].severity)
    }
    assert rows(tu.findings(make(wide(name, place, "quiet")), only=name)) == []


@pytest.mark.parametrize(("name", "place"), NUMBERED)
def test_both_spellings_are_read_and_the_frames_own_is_written(name, place):
    found = tu.findings(wide(name, place, "fires", "_"), only=name)
    expected = [
        {**one, "column": one["column"].replace(".", "_")} for one in CASES[name][place].found
    ]
    assert told(found) == expected
    assert rows(tu.findings(wide(name, place, "quiet", "_"), only=name)) == []


@pytest.mark.parametrize(("name", "place"), NUMBERED)
def test_long_tells_the_same_of_what_it_holds(name, place):
    case = CASES[name][place]
    for kind, expected in (("fires", case.found), ("quiet", [])):
        long = tu.to_long(wide(name, place, kind))
        assert told(tu.findings(long, only=name)) == (expected if case.in_long else [])


@pytest.mark.parametrize(("name", "place"), NUMBERED)
def test_a_message_is_a_sentence_that_says_what_to_do(name, place):
    for row in rows(tu.findings(wide(name, place, "fires"), only=name)):
        assert re.fullmatch(r"\S.*[;.,] [a-z].*\.", row["message"]), row["message"]
        assert "  " not in row["message"]


@pytest.mark.parametrize(("name", "place"), NUMBERED)
def test_a_frame_without_the_columns_of_a_check_has_no_finding(name, place):
    frame = wide(name, place, "fires")
    for choice in CHECKS[name].needs:
        assert rows(tu.findings(frame.drop(choice), only=name)) == []


@pytest.mark.parametrize(("name", "place"), NUMBERED)
def test_order_of_rows_does_not_matter(name, place):
    found = tu.findings(wide(name, place, "fires").reverse(), only=name)
    assert told(found) == CASES[name][place].found


ALL = [
    record | {"id": f"{name}-{place}-{record['id']}"}
    for name, cases in CASES.items()
    for place, case in enumerate(cases)
    for record in case.fires
]


def test_findings_stand_by_severity_then_check_then_the_most_records_then_id():
    found = rows(tu.findings(flat(ALL)))
    ranks = ["error", "warning", "info"]
    order = [
        (ranks.index(r["severity"]), r["check"], -r["records"], r["id"] is None, r["id"] or "")
        for r in found
    ]
    assert order == sorted(order)
    assert {row["check"] for row in found} == set(CASES)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("records", [[], [{"id": "a", "product": {"id": "p"}}], ALL[:4]])
def test_the_answer_has_the_same_columns_and_dtypes_whatever_is_found(flavour, records):
    frame = FLAVOURS[flavour](flat(records))
    found = tu.findings(frame)
    assert columns(found) == NAMES
    if flavour == "lazy":
        assert isinstance(found, pl.LazyFrame)
        assert found.collect_schema() == {
            **dict.fromkeys(NAMES[:-1], pl.String),
            "records": pl.Int64,
        }
        found = found.collect()
    elif flavour == "duckdb":
        assert list(map(str, found.types)) == ["VARCHAR"] * 7 + ["BIGINT"]
    elif flavour == "pyarrow":
        assert found.schema.types == [pa.string()] * 7 + [pa.int64()]
    elif flavour in {"pandas", "pandas with own"}:
        assert list(map(str, found.dtypes)) == ["str"] * 7 + ["int64"]
    assert type(found) is type(frame) or flavour == "lazy"
    assert len(rows(found)) == len(
        {"a", "b", "c", "d"} & {r["id"][-1] for r in records[1:]}
    ) + bool(records[2:])


def test_a_lazy_frame_is_not_collected_before_it_is_asked():
    def refuse(_):
        raise AssertionError

    frame = flat([charged("a", total=9, committed=5, on_demand=3)]).lazy()
    tu.findings(frame.map_batches(refuse, schema=frame.collect_schema()))


def test_only_names_checks():
    frame = flat(ALL)
    some = tu.findings(frame, only=["late_days", "parts_not_total", "late_days"])
    assert list(dict.fromkeys(some["check"])) == ["parts_not_total", "late_days"]
    assert tu.findings(frame, only=[]).height == 0
    with pytest.raises(OptionError, match=r"no check 'late_day'\.\n\nDid you mean 'late_days'\?"):
        tu.findings(frame, only="late_day")
    with pytest.raises(OptionError, match="only="):
        tu.findings(frame, only=3)
    with pytest.raises(UnknownOptionError, match="only"):
        tu.findings(frame, onyl="late_days")


def test_the_method_is_the_function():
    frame = flat(ALL[:9])
    assert frame.usage.findings(only="parts_not_total").equals(
        tu.findings(frame, only="parts_not_total")
    )


def test_what_is_no_wide_or_long_frame_is_refused():
    frame = flat([charged("a", total=1, net=1)])
    with pytest.raises(FrameError):
        tu.findings(tu.charges(frame))
    with pytest.raises(FrameError, match="holds text, and numbers belong there"):
        tu.findings(frame.with_columns(pl.lit("1").alias("charges.total")))


def test_the_frame_is_not_changed():
    frame = with_own(flat(ALL))
    before = frame.copy(deep=True)
    tu.findings(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_frames_of_the_examples_have_no_finding():
    assert len(tu.findings(tu.load_example())) == 0


@pytest.mark.parametrize(
    ("count", "days", "seed"), [(0, 31, 0), (1, 31, 0), (60, 31, 1), (310, 31, 2), (2500, 90, 3)]
)
def test_frames_of_sample_records_have_no_finding(count, days, seed):
    frame = flat(list(sample_records(count, days=days, seed=seed)))
    assert rows(tu.findings(frame)) == []
    assert rows(tu.findings(tu.to_long(frame))) == []


def test_records_of_the_vendors_have_the_findings_that_they_should():
    """What is suspect in the vendors' documented responses, as one reads it there."""

    def read(vendor):
        return tu.read_usage(ROOT / f"tests/data/{vendor}.ndjson")

    with pytest.warns(OverlapWarning, match="codex: rows by organization equal those by surface"):
        tu.findings(read("codex"))  # its totals beside its clients
    found = {
        vendor: {
            (row["check"], row["id"] or row["value"])
            for row in rows(tu.findings(read(vendor), overlap="ignore"))
        }
        for vendor in ("claude", "codex", "cursor", "confluent", "datadog")
    }
    assert found == {
        "claude": set(),
        "codex": {("currency_not_iso", "workspace-2025-10-01-gpt-5.5")},
        # Events have no user id; two e-mails of the documentation's examples share an id.
        "cursor": {
            ("email_with_several_ids", "12345, developer@company.com"),
            ("email_with_several_ids", "12346, admin@company.com"),
            ("id_with_several_emails", "admin@company.com, inactive-user@company.com"),
        },
        # Neither of the two says in what it charges.
        "confluent": {("currency_missing", None), ("currency_missing", "a-2")},
        "datadog": {
            ("currency_missing", None),
            ("currency_missing", "2022-04-synthetics_api_tests"),
            ("currency_missing", "2023-04-fargate_container"),
            ("duplicate_charge_types", "2022-04-infra_host"),
        },
    }


def test_a_part_of_the_cached_tokens_that_the_frame_lacks_may_be_in_the_total():
    frame = flat(
        [tokens("a", input=10, output=5, total=20), tokens("b", input=1, output=1, total=1)]
    )
    names = [n for n in frame.columns if "cache" in n]
    found = tu.findings(frame.drop(names), only="tokens_not_total")
    assert [row["id"] for row in rows(found)] == ["b"]


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_columns_without_values_and_lists_of_ones_own_are_read(library):
    net = [{"type": "net", "amount": 1.0}, {"type": "net", "amount": 2.0}]
    frame = {"id": ["a", "b"], "charges.total": [5.0, None], "charges.currency": ["USD", None]}
    names = ("start_date", "end_date", "user.id", "usage.tokens.total")
    empty = {name: [None, None] for name in names}
    for charges in ([None, None], [[], []]):
        assert rows(tu.findings(library({**frame, **empty, "charges": charges}))) == []
    (found,) = rows(tu.findings(library({**frame, "charges": [None, net]})))
    assert (found["id"], found["column"], found["value"]) == ("b", "charges.net", "1, 2")


def test_the_first_of_many_ids_are_named():
    frame = flat([user(str(n), id=f"u{n}", email="ada@x.org") for n in range(7)])
    (found,) = rows(tu.findings(frame, only="email_with_several_ids"))
    assert found["value"] == "u0, u1, u2, u3, u4 and more"


def test_records_of_far_dates_and_numbers_are_read():
    far = [
        {"id": "a", "start_date": "0001-01-01", "end_date": "9999-12-31", **cost(1e300)},
        {"id": "b", "start_date": "9999-12-31", **cost(1e-300)},
        {"id": "c", "start_date": "0001-01-01", **cost(-1e100)},
        tokens("d", input=1e-300, output=0) | cost(1e200),
    ]
    assert rows(tu.findings(flat(far))) == []


def test_codes_are_those_that_babel_knows():
    of_lands = babel.core.get_global("territory_currencies").values()
    tender = {
        (code, since or (0,), until)
        for land in of_lands
        for code, since, until, is_tender in land
        if is_tender
    }
    active = {code for code, _, until in tender if until is None}
    assert active - set(ISO_4217) <= set(WITHDRAWN)
    assert not set(ISO_4217) & set(WITHDRAWN)
    assert list(ISO_4217) == sorted(set(ISO_4217))


def test_the_page_and_the_docstring_name_every_check():
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    severities = {name: check.severity for name, check in CHECKS.items()}
    assert (
        dict(re.findall(r"^\| \[`(\w+)`\]\(#\w+\) \| (\w+) \|", page, re.MULTILINE)) == severities
    )
    assert set(re.findall(r"^## `(\w+)`$", page, re.MULTILINE)) == set(severities)
    listed = re.findall(r"^    (\w+) +(error|warning|info) ", tu.findings.__doc__, re.MULTILINE)
    assert dict(listed) == severities
    # test_duplicates.py has those of repeated ids, which reading resolves.
    assert {*CASES, "repeated_id"} == set(severities)


# Records that keep the catalogue's own rules: parts make totals, a day's figures are all there, a
# user has one id and one address, and a model one price.
SHARE = st.integers(0, 100)
AMOUNT = st.integers(70, 130)
SHAPES = st.sampled_from(["total", "net", "parts", "included", "event", "fee"])
CONVENTIONS = {"anthropic": 0, "openai": 1}


def bill(draw, shape, amount):
    """Return charges of an amount in hundredths, in one of the vendors' shapes."""
    part = amount * draw(SHARE) // 100
    rest = amount - part
    return {
        "total": {"total": amount},
        "net": {"total": amount, "discount": draw(st.sampled_from([1, -1])) * part, "net": rest},
        "parts": {"total": amount, "on_demand": part, "committed": rest},
        "included": {"total": amount, "usage_based": part, "included": rest},
        "event": {"total": rest, "usage_based": amount, "discount": part},
        "fee": {"total": amount, "platform_fee": part},
    }[shape]


@st.composite
def fair_records(draw):
    first = draw(st.dates(dt.date(2024, 1, 1), dt.date(2026, 12, 31)))
    days, records = draw(st.integers(1, 45)), []
    for provider in draw(st.lists(st.sampled_from(sorted(CONVENTIONS)), max_size=2, unique=True)):
        shape, currency = draw(SHAPES), draw(st.sampled_from(["USD", "eur", "JPY"]))
        for number in range(days):
            amount = draw(AMOUNT)
            start = first + dt.timedelta(days=number)
            fresh, output, read, write = 20_000 * amount, 100 * amount, 50 * amount, 20 * amount
            inside = CONVENTIONS[provider] * (read + write)
            whole = {"total": fresh + output + read + write}
            who = draw(st.integers(0, 2))
            charges = bill(draw, shape, amount)
            records.append(
                {
                    "id": f"{provider}-{number}",
                    "product": {"id": provider},
                    "model": {"id": "m", "provider": provider},
                    "user": {
                        "id": f"u{who}",
                        "email": draw(st.sampled_from(["", " "])) + f"u{who}@x.org",
                    },
                    "charges": [
                        {"type": t, "amount": a / 100, "currency": currency}
                        for t, a in charges.items()
                    ],
                    "usage": {
                        "tokens": {
                            "input": fresh + inside,
                            "output": output,
                            "cache_read": read,
                            "cache_write": write,
                            **draw(st.sampled_from([{}, whole])),
                        }
                    },
                    "start_date": f"{start}",
                    "end_date": f"{start + dt.timedelta(days=1)}",
                }
            )
    return records


@settings(max_examples=draws(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(records=fair_records(), is_long=st.booleans())
def test_frames_that_keep_the_catalogues_rules_have_no_finding(records, is_long):
    frame = flat(records)
    assert rows(tu.findings(tu.to_long(frame) if is_long else frame)) == []


def test_sums_of_rows_that_count_twice_are_told_with_a_warning():
    rows_ = [
        {
            "id": f"{name}{day}",
            "user": {"id": name},
            "usage": {"tokens": {"total": 5}},
            "start_date": f"2026-01-{day:02}",
        }
        for day in (1, 2)
        for name in (None, "ada")
    ]
    with pytest.warns(OverlapWarning, match="organization equal those by user"):
        tu.findings(flat(rows_))
    with pytest.raises(OverlapError):
        tu.findings(flat(rows_), overlap="raise")
    tu.findings(flat(rows_), overlap="ignore")
