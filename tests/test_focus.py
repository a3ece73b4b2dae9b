"""FOCUS: what each record becomes, what is set aside, and what the official validator lets pass."""

import json
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from importlib import resources

import babel.core
import babel.numbers
import pyarrow as pa
import pytest
from hypothesis import given, settings

import oracle
import tidyusage as tu
from focus_cases import MESSY, charge, exported, flat, plain, present, record, resource, staged
from strategies import batches, draws
from tidyusage._utils.iso4217 import NATIONAL
from tidyusage.engines import frames
from tidyusage.errors import FrameError, OptionError
from tidyusage.export import focus, focus_columns
from tidyusage.export.focus_services import PRODUCTS, SUBCATEGORIES

EXAMPLE = [
    json.loads(line)
    for line in (resources.files(tu) / "data" / "usage.ndjson").read_text("utf-8").splitlines()
]
# What FOCUS must have on every row.
NEVER_NULL = (
    *("BilledCost", "BillingAccountId", "BillingAccountType", "BillingCurrency"),
    *("BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeDescription"),
    *("ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost"),
    *("EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingCurrency"),
    *("PricingCurrencyEffectiveCost", "ProviderName", "PublisherName", "ServiceCategory"),
    *("ServiceName", "ServiceSubcategory"),
)
# Why each of the messy records is not, or not wholly, in the export.
ASIDE = {
    ("included", "Usage"): "no amount to pay",
    ("odd", "Usage"): "no amount to pay",
    ("no start", "Usage"): "no start_date",
    ("no currency", "Usage"): "no currency",
    ("odd currency", "Usage"): "no ISO currency",
    ("gold", "Usage"): "no ISO currency",
    ("credits", "Usage"): "no ISO currency",
    ("no account", "Credit"): "no account",
    ("no product", "Usage"): "no product",
}
SOUND = [each for each in MESSY if each["id"] not in {id_ for id_, _ in ASIDE}]
ONE = {"charges": [charge("net", 1)]}
SETS = {"example": EXAMPLE, "messy": MESSY}
ALL = pytest.mark.parametrize("name", SETS)


@cache
def found_in(name):
    """Return the rows of a set of records, and those set aside."""
    return exported(SETS[name])


def each(cases, *names):
    """Return what columns say of the usage rows of records, by the cases' own keys."""
    records = [record(str(place), **more) for place, (_, more) in enumerate(cases)]
    rows = {row["x_UsageId"]: row for row in exported(records)[0]}
    return {key: tuple(rows[str(place)][n] for n in names) for place, (key, _) in enumerate(cases)}


def one(*charges, category="Usage", options=None, **more):
    """Return the row that a record becomes."""
    rows, _ = exported([record("one", *charges, **more)], **(options or {}))
    (found,) = (row for row in rows if row["ChargeCategory"] == category)
    return found


def keyed(rows):
    return {(row["x_UsageId"], row["ChargeCategory"]): row for row in rows}


# Rows


@pytest.mark.parametrize("records", [EXAMPLE, SOUND], ids=["example", "messy"])
def test_every_row_is_what_a_plain_reading_of_its_record_gives(records):
    rows, aside = exported(records)
    assert not aside
    expected = keyed(plain(records))
    found = {key: present(row) for key, row in keyed(rows).items()}
    assert found.keys() == expected.keys()
    for key, row in found.items():
        numbers = {n: v for n, v in expected[key].items() if isinstance(v, int | float)}
        assert {n: row.get(n) for n in numbers} == pytest.approx(numbers, rel=1e-12), key
        rest = expected[key].keys() - numbers.keys()
        assert {n: v for n, v in row.items() if n not in numbers} == {
            n: expected[key][n] for n in rest
        }, key


def test_a_record_worked_out_by_hand():
    tokens = {"input": 20, "output": 10, "cache_read": 70, "total": 100}
    found = one(
        charge("total", 12.5),
        charge("discount", 2.5),
        charge("net", 10),
        name="Claude",
        model={"id": "claude-opus-5", "provider": "anthropic"},
        user={"id": "u1", "email": "ada@example.com", "name": "Ada"},
        surface="chat",
        usage={"tokens": tokens, "requests": {"total": 3}},
    )
    assert present(found) == {
        "BilledCost": 10.0,
        "BillingAccountId": "org_1",
        "BillingAccountName": "Example Ltd",
        "BillingAccountType": "Organization",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": datetime(2026, 4, 1, tzinfo=UTC),
        "BillingPeriodStart": datetime(2026, 3, 1, tzinfo=UTC),
        "ChargeCategory": "Usage",
        "ChargeDescription": "Claude, claude-opus-5, chat",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": datetime(2026, 3, 5, tzinfo=UTC),
        "ChargePeriodStart": datetime(2026, 3, 4, tzinfo=UTC),
        "ConsumedQuantity": 100.0,
        "ConsumedUnit": "Tokens",
        "ContractedCost": 10.0,
        "EffectiveCost": 10.0,
        "InvoiceIssuerName": "Anthropic",
        "ListCost": 12.5,
        "PricingCurrency": "USD",
        "PricingCurrencyEffectiveCost": 10.0,
        "PricingQuantity": 100.0,
        "PricingUnit": "Tokens",
        "ProviderName": "Anthropic",
        "PublisherName": "Anthropic",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Claude",
        "ServiceSubcategory": "Generative AI",
        "x_UsageId": "one",
        "x_ProductId": "claude",
        "x_ModelId": "claude-opus-5",
        "x_ModelProvider": "anthropic",
        "x_UserId": "u1",
        "x_UserEmail": "ada@example.com",
        "x_UserName": "Ada",
        "x_Surface": "chat",
        "x_InputTokens": 20.0,
        "x_OutputTokens": 10.0,
        "x_CacheReadTokens": 70.0,
        "x_TotalTokens": 100.0,
        "x_RequestCount": 3.0,
    }


def test_the_list_cost_is_what_it_was_before_discounts_where_that_shows():
    cases = [
        ({"total": 10}, 10, 10),
        ({"total": 10, "net": 8}, 8, 10),
        ({"total": 10, "net": 0}, 0, 10),  # all of it taken off
        ({"total": -10, "net": -8}, -8, -10),  # a refund of what was discounted
        ({"total": 7, "net": 8}, 8, 8),  # a total below net is no list price
        ({"total": -10, "net": 8}, 8, 8),
        ({"total": 10, "net": 6, "included": 4}, 6, 6),  # what is covered has no price
        ({"total": 10, "net": 8, "included": 0}, 8, 10),
        ({"net": 8, "discount": -2}, 8, 10),
        ({"net": 8}, 8, 8),
        ({"net": -8, "discount": 2}, -8, -8),
        ({"total": 10, "discount": 2}, 10, 10),  # whether it is off already nobody says
        ({"total": 10, "included": 4}, 6, 6),
        ({"on_demand": 6, "committed": 3, "discount": 1}, 8, 9),
    ]
    records = [
        record(str(place), *(charge(type_, amount) for type_, amount in charges.items()))
        for place, (charges, _, _) in enumerate(cases)
    ]
    rows = {row["x_UsageId"]: row for row in exported(records)[0]}
    for place, (charges, billed, listed) in enumerate(cases):
        found = rows[str(place)]
        assert (found["BilledCost"], found["ListCost"]) == (billed, listed), charges
        assert found["ContractedCost"] == found["EffectiveCost"] == billed, charges


@pytest.mark.parametrize(
    ("credit_sign", "amount", "cost"),
    [
        (None, 2.5, 2.5),
        (None, -2.5, -2.5),
        ("keep", 2.5, 2.5),
        ("keep", -2.5, -2.5),
        ("negative", 2.5, -2.5),
        ("negative", -2.5, -2.5),
    ],
)
def test_a_credit_keeps_its_sign_unless_all_are_to_be_negative(credit_sign, amount, cost):
    options = {"credit_sign": credit_sign}
    found = one(charge("net", 9), charge("credit", amount), category="Credit", options=options)
    costs = ("BilledCost", "ListCost", "ContractedCost", "EffectiveCost")
    assert [found[name] for name in costs] == [cost] * 4
    assert found["ChargeFrequency"] == "One-Time"


def test_tax_and_credit_repeat_no_quantity_of_their_record():
    whole = [charge("net", 9), charge("tax", 1), charge("credit", 2)]
    used = {"tokens": {"output": 5}, "requests": {"total": 2}}
    rows, _ = exported([record("a", *whole, usage=used)])
    counted = list(focus_columns.names(focus_columns.COUNTS))
    counted += ["ConsumedQuantity", "ConsumedUnit", "PricingQuantity", "PricingUnit"]
    told = {row["ChargeCategory"]: {n for n in counted if row[n] is not None} for row in rows}
    assert told["Tax"] == told["Credit"] == set()
    assert {"ConsumedQuantity", "x_OutputTokens", "x_TokenType"} <= told["Usage"]


def test_usage_has_a_quantity():
    cases = [
        ({"quantity": 3, "unit": "GB", "tokens": {"total": 9}}, 3, "GB"),
        ({"quantity": 3}, 3, "Units"),
        ({"quantity": 0, "unit": ""}, 0, "Units"),
        ({"unit": "GB", "requests": {"total": 4}}, 4, "Requests"),
        (
            {"tokens": {"input": 5, "output": 2, "cache_read": 3}, "requests": {"total": 4}},
            10,
            "Tokens",
        ),
        ({"requests": {"chat": 4, "agent": 1}}, 5, "Requests"),
        ({"requests": {"included": 4, "api_key": 2}}, 6, "Requests"),
        ({"requests": {"total": 0}}, 0, "Requests"),
        ({}, 1, "Days"),
    ]
    told = [(place, {"usage": usage, **ONE}) for place, (usage, _, _) in enumerate(cases)]
    found = each(told, "ConsumedQuantity", "ConsumedUnit", "PricingQuantity", "PricingUnit")
    for place, (usage, quantity, unit) in enumerate(cases):
        assert found[place] == (quantity, unit) * 2, usage


def test_days_are_those_of_the_window():
    window = {"start_date": "2026-03-04T06:00:00Z", "end_date": "2026-03-06T18:00:00Z"}
    assert one(charge("net", 1), **window)["ConsumedQuantity"] == 2.5


def test_units_are_written_as_focus_has_them():
    expected = {
        "GB": "GB",
        "gb": "GB",
        "kB": "KB",
        "Gb": "Gb",  # bits
        "GiB": "GiB",
        "gigabytes": "GB",
        "bytes": "B",
        "GB-hour": "GB-Hours",
        "GB-Hours": "GB-Hours",
        "CKU-hour": "CKU-Hours",
        "cku-HOURS": "Cku-Hours",
        "requests/day": "Requests/Day",
        "request / second": "Requests/Second",
        "hour": "Hours",
        "Hrs": "Hours",
        "request": "Requests",
        "host": "Hosts",
        "Tokens": "Tokens",
        "1000 tokens": "1000 Tokens",
        "query": "Queries",
        "day-pass": "Day-pass",  # no unit of time: one word
        "index": "Indexes",
        "relay": "Relays",
        "%": "%",
    }
    told = [(unit, {"usage": {"quantity": 1, "unit": unit}, **ONE}) for unit in expected]
    found = each(told, "ConsumedUnit")
    assert {unit: written for unit, (written,) in found.items()} == expected


def test_a_token_type_is_told_of_records_of_one():
    cases = [
        ({"usage": {"tokens": {"output": 5}}}, "output"),
        ({"usage": {"tokens": {"input": 0, "output": 5, "total": 5}}}, "output"),
        ({"usage": {"tokens": {"input": 1, "output": 5}}}, None),
        ({"usage": {"tokens": {"output": 5, "total": 6}}}, None),
        ({"usage": {"tokens": {"output": 0}}}, None),
        ({"usage": {"tokens": {"input": 5}}}, "input"),
        ({"usage": {"tokens": {"cache_write_ephemeral_5m": 5}}}, "cache_write"),
        ({"metric_name": "uncached_input_tokens"}, "input"),
        ({"metric_name": "cache_creation.ephemeral_1h_input_tokens"}, "cache_write"),
        ({"metric_name": "KAFKA_STORAGE"}, None),
        ({}, None),
    ]
    told = [(place, {**more, **ONE}) for place, (more, _) in enumerate(cases)]
    found = each(told, "x_TokenType")
    for place, (more, expected) in enumerate(cases):
        assert found[place] == (expected,), more


def test_tokens_add_up_as_those_of_tokens_by():
    # OpenAI's input holds the cached ones, which two of its records show and the third follows.
    shown = {"input": 70, "output": 5, "cache_read": 60, "total": 75}
    silent = {"input": 50, "output": 5, "cache_read": 20}
    given = [shown, shown, silent]
    model = {"provider": "openai"}
    rows, _ = exported(
        [
            record(str(n), charge("net", 1), model=model, usage={"tokens": tokens})
            for n, tokens in enumerate(given)
        ]
    )
    assert [row["x_InputTokens"] for row in rows] == [10, 10, 30]
    assert [row["ConsumedQuantity"] for row in rows] == [75, 75, 55]


def test_a_resource_and_a_workspace_are_told_where_there_is_one():
    names = ("ResourceId", "ResourceName", "SubAccountId", "SubAccountName", "SubAccountType")
    rows = keyed(found_in("messy")[0])
    told = {
        id_: [rows[id_, "Usage"][n] for n in names] for id_ in ("resource", "resources", "spaces")
    }
    assert told == {
        "resource": ["lkc-1", "orders", "env-1", "production", "Workspace"],
        "resources": [None, None, "env-1", "env-1", "Workspace"],
        "spaces": [None] * 5,
    }
    nameless = one(charge("net", 1), resources=[resource(None, "orders")])
    assert nameless["ResourceName"] is None  # FOCUS has no name without an id


def test_windows_are_whole_seconds_and_the_month_is_that_of_the_start():
    found = keyed(found_in("messy")[0])["unknown", "Usage"]
    assert found["ChargePeriodStart"] == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert found["ChargePeriodEnd"] == datetime(2026, 2, 2, 0, 0, 1, tzinfo=UTC)
    assert found["BillingPeriodStart"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert found["BillingPeriodEnd"] == datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_the_sessions_zone_changes_nothing(zone):
    assert exported(MESSY, zone=zone) == found_in("messy")


# What the official validator lets pass


@ALL
def test_no_row_lacks_what_focus_asks_for(name):
    for row in found_in(name)[0]:
        assert [column for column in NEVER_NULL if row[column] in {None, ""}] == []
        assert (row["PricingQuantity"] is None) == (row["PricingUnit"] is None)
        assert (row["ConsumedQuantity"] is None) == (row["ConsumedUnit"] is None)
        assert (row["ChargeCategory"] == "Usage") == (row["ConsumedQuantity"] is not None)
        assert (row["ChargeCategory"] == "Usage") == (row["PricingQuantity"] is not None)
        assert (row["SubAccountId"] is None) == (row["SubAccountName"] is None)
        assert (row["SubAccountId"] is None) == (row["SubAccountType"] is None)
        assert row["ChargeClass"] is row["CommitmentDiscountStatus"] is row["InvoiceId"] is None


@ALL
def test_every_row_has_allowed_values(name):
    for row in found_in(name)[0]:
        assert row["ChargeCategory"] in {"Usage", "Tax", "Credit"}
        assert row["ChargeFrequency"] in {"Usage-Based", "One-Time"}
        assert row["ServiceSubcategory"] in SUBCATEGORIES[row["ServiceCategory"]]
        assert re.fullmatch("[A-Z]{3}", row["BillingCurrency"])
        assert row["BillingCurrency"] in babel.numbers.list_currencies()


@ALL
def test_windows_are_whole_and_end_after_they_begin(name):
    names = ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")
    for row in found_in(name)[0]:
        assert [row[name].microsecond for name in names] == [0] * 4
        assert [row[name].utcoffset().total_seconds() for name in names] == [0] * 4
        assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["BillingPeriodEnd"]
        for month in (row["BillingPeriodStart"], row["BillingPeriodEnd"]):
            assert (month.day, month.hour, month.minute, month.second) == (1, 0, 0, 0)


@ALL
def test_tax_and_credit_cost_the_same_by_every_count(name):
    credits_ = {each["id"]: oracle.cost(each, "credit") for each in SETS[name]}
    for row in found_in(name)[0]:
        if row["ChargeCategory"] != "Usage":
            costs = {
                row[name] for name in ("BilledCost", "ListCost", "ContractedCost", "EffectiveCost")
            }
            assert len(costs) == 1
        if row["ChargeCategory"] == "Credit":
            assert row["BilledCost"] == credits_[row["x_UsageId"]]  # with its sign


def test_a_service_has_one_category_even_if_two_products_share_its_name():
    rows, _ = exported(
        [
            record("a", charge("net", 1), product="A-product", name="Streams"),
            record("b", charge("net", 1), product="KAFKA", name="Streams"),
            record("c", charge("net", 1), product="ksql", name="Streams"),
        ]
    )
    kinds = {(row["ServiceCategory"], row["ServiceSubcategory"]) for row in rows}
    assert kinds == {("Integration", "Messaging")}  # KAFKA's: it is known, and comes first
    assert [row["ProviderName"] for row in rows] == ["Streams", "Confluent", "Confluent"]


def test_columns_of_focus_come_first_and_custom_ones_have_an_x():
    with staged(MESSY) as (_, usage):
        names = [column.name for column in focus.tables(usage)[0].columns]
    custom = [name.startswith("x_") for name in names]
    assert custom == sorted(custom)
    standard = names[: custom.index(True)]
    assert standard == sorted(standard)
    assert all(re.fullmatch("([A-Z][a-z]+)+", name) for name in standard)
    assert set(NEVER_NULL) <= set(standard)


# Sums


@ALL
def test_billed_cost_adds_up_to_cost_by(name):
    records, (rows, _) = SETS[name], found_in(name)
    frame = frames.to_pandas(flat(records))
    kept = frame[frame["id"].isin({row["x_UsageId"] for row in rows})]
    for category, type_ in (("Usage", "billed"), ("Tax", "tax"), ("Credit", "credit")):
        expected = defaultdict(float)
        for each in records:
            amount = oracle.cost(each, type_)
            if (each["id"], category) not in ASIDE and amount is not None:
                expected[oracle.currency(each)] += amount
        found = defaultdict(float)
        for row in rows:
            if row["ChargeCategory"] == category:
                found[row["BillingCurrency"]] += row["BilledCost"]
        assert found == pytest.approx(expected)
        asked = tu.cost_by(kept, charge=type_, overlap="ignore").dropna(subset="cost")
        assert found == pytest.approx(dict(zip(asked["currency"], asked["cost"], strict=True)))


def test_the_tables_sums_are_those_of_its_rows():
    with staged(MESSY) as (connection, usage):
        charges = focus.tables(usage)[0]
        sums = {
            name: dict(
                connection.sql(
                    f"select {currency}, sum({amount}) from ({charges.sql}) group by all"
                ).fetchall()
            )
            for name, amount, currency in charges.sums
        }
    # 1.9 of tax, and 1 of the record without an end.
    # Credits: 2.5 - 2.5 + 4; "no account" is set aside.
    assert sums["BilledCost Tax"] == {"USD": 2.9, "EUR": None}
    assert sums["BilledCost Credit"] == {"USD": 4.0, "EUR": None}
    # 80 + 10 + 10 + 0 - 8, 3 × 3, 10, 6 + 1 - 2, 32 - 13.25, 2, 3 × 1,
    # and 4 × 1 of the records without an end after their start
    assert sums["BilledCost Usage"] == {"USD": 143.75, "EUR": 7.0}
    assert sums["BilledCost"] == pytest.approx({"USD": 143.75 + 2.9 + 4, "EUR": 7.0})


@settings(max_examples=draws(15), deadline=None)
@given(batches())
def test_every_charge_is_exported_or_set_aside_once(records):
    frame = flat(records)
    rows, aside = exported(frame)
    found = Counter((row["x_UsageId"], row["ChargeCategory"]) for row in rows)
    found += Counter((row["id"], row["charge_category"]) for row in aside)
    expected = Counter()
    for row in frame.to_pylist():
        net, total = row["charges.net"], row["charges.total"]
        parts = [row[f"charges.{name}"] for name in oracle.PARTS]
        charged = [any(amount is not None for amount in (net, total, *parts))]
        charged += [row[f"charges.{name}"] is not None for name in ("tax", "credit")]
        unpaid = not any(charged) and any(e["amount"] is not None for e in row["charges"] or [])
        charged[0] = charged[0] or unpaid
        for category, is_charged in zip(("Usage", "Tax", "Credit"), charged, strict=True):
            expected[row["id"], category] += is_charged
    assert found == +expected


# What is set aside


def test_what_focus_cannot_hold_is_set_aside_with_the_reason():
    rows, aside = found_in("messy")
    assert {(row["id"], row["charge_category"]): row["reason"] for row in aside} == ASIDE
    assert not {(row["x_UsageId"], row["ChargeCategory"]) for row in rows} & ASIDE.keys()
    assert {row["id"]: row for row in aside}["no account"] == {
        "id": "no account",
        "charge_category": "Credit",
        "amount": 1.0,
        "currency": "USD",
        "start_date": datetime(2026, 3, 4, tzinfo=UTC),
        "end_date": datetime(2026, 3, 5, tzinfo=UTC),
        "organization_id": " ",
        "reason": "no account",
    }


def test_what_is_set_aside_is_counted_by_reason():
    with staged(MESSY) as (connection, usage):
        _, aside = focus.tables(usage)
        counts = focus.set_aside_counts(connection, aside)
    assert dict(counts) == Counter(ASIDE.values())
    assert [count for _, count in counts] == [3, 2, 1, 1, 1, 1]


def test_infinite_amounts_are_set_aside():
    frame = flat([record("a", charge("net", 1))])
    place = frame.column_names.index("charges.net")
    infinite = frame.set_column(place, "charges.net", pa.array([float("inf")]))
    rows, (aside,) = exported(infinite)
    assert not rows
    assert aside["reason"] == "amount is not finite"


def test_an_account_is_a_default_and_no_override():
    rows, aside = exported(MESSY, billing_account="acct")
    rows = keyed(rows)
    kinds = ("BillingAccountId", "BillingAccountName", "BillingAccountType")
    told = {id_: [rows[key][n] for n in kinds] for key in rows for id_ in key[:1]}
    assert told["no account"] == ["acct", None, "Billing Account"]
    assert told["list"] == ["org_1", "Example Ltd", "Organization"]
    assert "no account" not in {row["id"] for row in aside}


def test_nothing_gives_empty_tables_with_their_types():
    assert exported([]) == [[], []]


# Options


def test_virtual_currencies_are_the_currency_of_the_price():
    # The specification's scenario A2: 245 tokens of 2 USD, prepaid.
    found = one(
        charge("total", 245, "TOKEN"),
        usage={"quantity": 245, "unit": "execution"},
        options={"virtual_currencies": {"Token": ("usd", 2)}},
    )
    expected = {
        "BilledCost": 0.0,
        "BillingCurrency": "USD",
        "ListCost": 490.0,
        "ContractedCost": 490.0,
        "EffectiveCost": 490.0,
        "PricingCurrency": "Token",
        "PricingCurrencyEffectiveCost": 245.0,
        "PricingQuantity": 245.0,
        "PricingUnit": "Executions",
    }
    assert {name: found[name] for name in expected} == expected


def test_tax_and_credits_in_a_virtual_currency_are_set_aside():
    whole = [charge(type_, 10, "credits") for type_ in ("total", "net", "tax", "credit")]
    virtual = {"credits": ("EUR", 0.5)}
    rows, aside = exported([record("a", *whole)], virtual_currencies=virtual)
    (row,) = rows
    assert (row["EffectiveCost"], row["BilledCost"], row["BillingCurrency"]) == (5.0, 0.0, "EUR")
    assert {each["charge_category"]: each["reason"] for each in aside} == {
        "Tax": "no ISO currency",
        "Credit": "no ISO currency",
    }


def test_services_say_what_is_not_known():
    services = {
        "mystery": ("Acme", "Storage", "File Storage"),
        "CLAUDE": ("Reseller", "Web", "Other (Web)"),
        "*": ("Rest Ltd", "Databases", "Caching"),
    }
    records = [
        record(product, charge("net", 1), product=product, model={"provider": "openai"})
        for product in ("Mystery", "claude", "cursor", "novel")
    ]
    rows, _ = exported(records, services=services)
    parts = ("ProviderName", "ServiceCategory", "ServiceSubcategory")
    assert {row["x_UsageId"]: tuple(row[n] for n in parts) for row in rows} == {
        "Mystery": services["mystery"],
        "claude": services["CLAUDE"],
        "cursor": ("Cursor", "Developer Tools", "Development Environments"),
        "novel": services["*"],
    }


def test_who_hosts_the_model_provides_a_product_that_is_not_known():
    found = one(charge("net", 1), product="novel", name="Novel", model={"provider": "Anthropic"})
    assert (found["ProviderName"], found["ServiceCategory"]) == ("Anthropic", "Other")
    assert one(charge("net", 1), product="novel", name="Novel")["ProviderName"] == "Novel"


@pytest.mark.parametrize(
    ("options", "fact"),
    [
        ({"version": "1.3"}, "version='1.3'"),
        ({"version": 1.2}, "version=1.2"),
        ({"billing_account": " "}, "billing_account=' '"),
        ({"billing_account": 7}, "billing_account=7"),
        ({"virtual_currencies": ["credits"]}, "no mapping"),
        ({"virtual_currencies": {"USD": ("EUR", 1)}}, "national"),
        ({"virtual_currencies": {" ": ("EUR", 1)}}, "' '"),
        ({"virtual_currencies": {"credits": ("XAU", 1)}}, "XAU"),
        ({"virtual_currencies": {"credits": ("USD", -1)}}, "-1"),
        ({"virtual_currencies": {"credits": ("USD", True)}}, "True"),
        ({"virtual_currencies": {"credits": "USD"}}, "'USD'"),
        ({"virtual_currencies": {"credits": ("USD", 1), "Credits ": ("USD", 2)}}, "twice"),
        ({"credit_sign": "plus"}, "credit_sign='plus'"),
        ({"services": [("a", "b", "c")]}, "no mapping"),
        ({"services": {"a": ("A", "Web")}}, "('A', 'Web')"),
        ({"services": {"a": ("", "Web", "Other (Web)")}}, "''"),
        ({"services": {"a": ("A", "Wbe", "Other (Web)")}}, "Did you mean 'Web'?"),
        ({"services": {"a": ("A", "Web", "Caching")}}, "no subcategory of 'Web'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, fact):
    with staged([]) as (_, usage), pytest.raises(OptionError, match=re.escape(fact)):
        focus.tables(usage, **options)


# Whose columns


def test_own_columns_get_an_x():
    own = {"team": ["core"], "x_tag": [7], "cost as is": [1.5]}
    rows, _ = exported([record("a", charge("net", 1), charge("tax", 1))], own=own)
    assert [[row[n] for n in ("x_team", "x_tag", "x_cost as is")] for row in rows] == [
        ["core", 7, 1.5]
    ] * 2


@pytest.mark.parametrize("name", ["ModelId", "modelid", "x_UserEmail", "TotalTokens"])
def test_own_columns_that_meet_ours_are_refused(name):
    with (
        staged([record("a")], own={name: ["x"]}) as (_, usage),
        pytest.raises(FrameError, match=name),
    ):
        focus.tables(usage)


def test_own_columns_that_meet_each_other_are_refused():
    own = {"tag": ["a"], "x_Tag": ["b"]}
    with staged([record("a")], own=own) as (_, usage), pytest.raises(FrameError, match="x_Tag"):
        focus.tables(usage)


def test_records_of_one_id_are_told_apart_by_what_they_were_fetched_for():
    frame = flat([record("a", charge("net", n)) for n in (1, 2)])
    frame = frame.append_column("source.account", pa.array(["one", "two"]))
    with staged(frame) as (connection, usage):
        charges, aside = focus.tables(usage)
        rows = connection.sql(charges.ordered).to_arrow_table().to_pylist()
    assert [(row["x_Account"], row["x_ReportType"], row["BilledCost"]) for row in rows] == [
        ("one", None, 1.0),
        ("two", None, 2.0),
    ]
    assert charges.key == ("x_Account", "x_ReportType", "x_UsageId", "ChargeCategory")
    assert aside.owners == ("source_account", "source_report_type", "id")


def test_every_column_is_described():
    with staged(MESSY) as (_, usage):
        for each in focus.tables(usage):
            assert [column.name for column in each.columns if not column.description] == []
            assert {*each.key, *each.owners, *each.order} <= {
                column.name for column in each.columns
            }


# Lists that others keep


def test_national_currencies_are_those_of_cldr():
    territories = babel.core.get_global("territory_currencies")
    tender = {
        code
        for currencies in territories.values()
        for code, _, end, is_tender in currencies
        if is_tender and (end is None or end >= (2020, 1, 1))
    }
    assert tender <= NATIONAL
    assert NATIONAL - tender <= {"XCG", "ZWG"}  # which older releases of CLDR lack


def test_products_are_known_by_services_of_focus():
    assert {"claude", "codex", "cursor", "confluent", "datadog"} <= PRODUCTS.keys()
    for _, category, subcategory in PRODUCTS.values():
        assert subcategory in SUBCATEGORIES[category]
