"""Records for the tests of FOCUS, and FOCUS written plainly over the records themselves.

`plain` shares no code with the library: the standard library, and the oracle of the metrics.
"""

import warnings
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pyarrow as pa

import oracle
import tidyusage as tu
from flavours import flattened
from tidyusage import schema
from tidyusage._utils import connections
from tidyusage.engines import columns
from tidyusage.export import focus, table

USD = {"currency": "USD"}
DAY = {"start_date": "2026-03-04T00:00:00Z", "end_date": "2026-03-05T00:00:00Z"}
ORG = {"organization": {"id": "org_1", "name": "Example Ltd"}}


def charge(type_, amount, currency="USD"):
    return {"type": type_, "amount": amount, "currency": currency}


def record(id_, *charges, product="claude", name=None, **more):
    """Make a record that FOCUS can hold, unless it is told otherwise."""
    whole = {"id": id_, "product": {"id": product, "name": name}, "charges": list(charges)}
    return {**whole, **ORG, **DAY, **more}


def resource(id_, name=None, workspace=None, space=None):
    return {"id": id_, "name": name, "workspace": {"id": workspace, "name": space}}


MESSY = [
    record("list", charge("total", 100), charge("discount", 20), charge("net", 80), name="Claude"),
    record("taxed", charge("net", 10), charge("tax", 1.9), charge("credit", 2.5), name="Claude"),
    record("signed", charge("net", 10), charge("credit", -2.5), name="Claude"),
    record("credit", charge("credit", 4), name="Claude"),
    record("free", charge("total", 0), name="Claude"),
    record("refund", charge("net", -8), charge("total", -10), name="Claude"),
    record("euro", charge("net", 7, " eur "), product="KAFKA"),
    record(
        "resource",
        charge("net", 3),
        product="KAFKA",
        resources=[resource("lkc-1", "orders", "env-1", "production")],
        usage={"quantity": 12, "unit": "GB-hour"},
    ),
    record(
        "resources",
        charge("net", 3),
        product="KAFKA",
        resources=[resource("lkc-1", "orders", "env-1"), resource("lkc-2", None, "env-1")],
        usage={"quantity": 5, "unit": " "},
    ),
    record(
        "spaces",
        charge("net", 3),
        product="KAFKA",
        resources=[resource("lkc-1", None, "env-1"), resource("lkc-3", None, "env-2")],
    ),
    record("parts", charge("on_demand", 6), charge("committed", 4), product="infra_host"),
    record(
        "fee",
        charge("usage_based", 6),
        charge("platform_fee", 1),
        charge("discount", -2),
        product="cursor",
        name="Cursor",
        user={"email": "Ada@Example.com "},
        usage={"requests": {"chat": 3, "agent": 2}},
    ),
    record(
        "within",
        charge("total", 32),
        charge("on_demand", 18.75),
        charge("included", 13.25),
        product="cursor",
        name="Cursor",
    ),
    record(
        "unknown",
        charge("total", 2),
        product="mystery",
        start_date="2026-01-31T12:00:00.5Z",
        end_date="2026-02-02T00:00:00.25Z",
    ),
    record(
        "tokens",
        charge("total", 1),
        name="Claude",
        model={"id": "claude-opus-5", "provider": "anthropic"},
        surface="chat",
        usage={"tokens": {"output": 40}},
    ),
    record("meter", charge("total", 1), name="Claude", metric_name="Cache_Read_Input_Tokens"),
    record(
        "inclusive",
        charge("total", 1),
        product="openai",
        model={"provider": "openai"},
        usage={"tokens": {"input": 70, "output": 5, "cache_read": 60, "total": 75}},
    ),
    record("included", charge("included", 5), product="cursor"),
    record("odd", charge("projected", 5), product="infra_host"),
    record("no charge", usage={"tokens": {"total": 9}}),
    record("no start", charge("net", 1), start_date=None),
    record("no end", charge("net", 1), charge("tax", 1), end_date=None),
    record("backwards", charge("net", 1), start_date=DAY["end_date"], end_date=DAY["start_date"]),
    record("at once", charge("net", 1), end_date=DAY["start_date"]),
    record("event", charge("net", 1), start_date="2026-03-04T23:59:59.5Z", end_date=None),
    record("no currency", charge("net", 1, None)),
    record("odd currency", charge("net", 1, "US$")),
    record("gold", charge("net", 1, "XAU")),
    record("credits", charge("net", 1234, "credits"), product="codex"),
    record("no account", charge("credit", 1), name="Claude", organization={"id": " "}),
    record("no product", charge("net", 1), product=None),
]


def flat(records):
    """Return the wide frame, of odd records too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tu.errors.UsageWarning)
        return flattened(records, "pyarrow", duplicates="keep")


@contextmanager
def staged(records, *, own=None):
    """Open a connection that has records as an export stages them."""
    frame = records if hasattr(records, "schema") else flat(records)
    for name, values in (own or {}).items():
        frame = frame.append_column(name, pa.array(values))
    found = columns.columns(frame)
    types = schema.layout_types("wide", source=bool(found.marks))
    with connections.connect() as connection:
        connection.register("tu__frame", frame)
        view = columns.typed("tu__frame", found, types, found.own)
        connection.execute(f"create view {table.USAGE} as select * from {view}")
        mine = {name: frame.schema.field(name).type for name in found.own}
        yield connection, table.Usage({**types, **mine}, found.own, found.marks)


def exported(records, *, own=None, zone="UTC", **options):
    """Return the rows of FOCUS, and those set aside."""
    with staged(records, own=own) as (connection, usage):
        connection.execute(f"set TimeZone = '{zone}'")
        found = focus.tables(usage, **options)
        asked = [connection.sql(each.ordered).to_arrow_table() for each in found]
        assert [each.column_names for each in asked] == [each.schema.names for each in found]
        if zone == "UTC":
            types = [each.schema.types for each in found]
            assert [each.schema.types for each in asked] == types
        return [each.to_pylist() for each in asked]


# FOCUS, plainly

PROVIDERS = {"anthropic": "Anthropic", "openai": "OpenAI", "cursor": "Cursor"}
AI = ("AI and Machine Learning", "Generative AI")
SERVICES = {
    "claude": ("Anthropic", *AI),
    "codex": ("OpenAI", *AI),
    "openai": ("OpenAI", *AI),
    "cursor": ("Cursor", "Developer Tools", "Development Environments"),
    "confluent": ("Confluent", "Integration", "Messaging"),
    "kafka": ("Confluent", "Integration", "Messaging"),
    "datadog": ("Datadog", "Management and Governance", "Observability"),
    "infra_host": ("Datadog", "Management and Governance", "Observability"),
}
UNITS = {
    "CKU-hour": "CKU-Hours",
    "GB-hour": "GB-Hours",
    "host": "Hosts",
    "event": "Events",
    None: "Units",
}
TYPES = {"cache_read_input_tokens": "cache_read", "output_tokens": "output"}


def stripped(text):
    return (str(text).strip(" ") or None) if text is not None else None


def instant(text):
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def listed(record):
    """Return the cost before discounts, where it can be seen."""
    money, billed = oracle.amounts(record), oracle.billed(record)
    net, total = money.get("net"), money.get("total")
    if net is None and total is None:
        return oracle.total(money.get(type_) for type_ in oracle.PARTS)
    if net is not None and total is None and net >= 0:
        return net + abs(money.get("discount", 0))
    if net is None or money.get("included"):
        return billed
    return total if net * total >= 0 and abs(total) >= abs(net) else billed


def quantity(record, tokens, days):
    """Return how much was used, and of what."""
    if (amount := oracle.get(record, "usage.quantity")) is not None:
        return amount, UNITS[stripped(oracle.get(record, "usage.unit"))]
    if tokens["tokens"] is not None:
        return tokens["tokens"], "Tokens"
    requests = oracle.counted(record, "requests")
    return (days, "Days") if requests is None else (requests, "Requests")


def sort_of(record, tokens):
    if named := TYPES.get(str(record.get("metric_name")).lower()):
        return named
    whole = tokens["tokens"] or 0
    names = ("input", "output", "cache_read", "cache_write")
    return next((name for name in names if whole > 0 and tokens[name] == whole), None)


def place(record):
    """Return the columns of a resource and of a workspace, where there is one."""
    resources = [each or {} for each in record.get("resources") or []]
    found = {}
    if len(resources) == 1 and resources[0].get("id") is not None:
        found = {"ResourceId": resources[0]["id"], "ResourceName": resources[0].get("name")}
    spaces = [each.get("workspace") or {} for each in resources]
    ids = {space.get("id") for space in spaces} - {None}
    if len(ids) == 1:
        (id_,) = ids
        names = [s.get("name") for s in spaces if s.get("id") == id_ and s.get("name") is not None]
        found |= {"SubAccountId": id_, "SubAccountName": (names or [id_])[0]}
        found |= {"SubAccountType": "Workspace"}
    return found


def window(record):
    """Return the windows: of the charge in whole seconds, and the month in which it begins."""
    start, end = instant(record["start_date"]), record["end_date"]
    end = instant(end) if end else start
    if end <= start:  # a day from midnight on, else an event
        is_midnight = (start.hour, start.minute, start.second, start.microsecond) == (0, 0, 0, 0)
        end = start + (timedelta(days=1) if is_midnight else timedelta(microseconds=1))
    first = start.replace(microsecond=0)
    last = end if end.microsecond == 0 else end.replace(microsecond=0) + timedelta(seconds=1)
    month = first.replace(day=1, hour=0, minute=0, second=0)
    return {
        "ChargePeriodStart": first,
        "ChargePeriodEnd": last,
        "BillingPeriodStart": month,
        "BillingPeriodEnd": (month + timedelta(days=32)).replace(day=1),
    }


def plain(records):
    """Yield each charge of records that FOCUS can hold, without the columns that are null."""
    named = oracle.conventions(records)
    for number, record in enumerate(records):
        tokens = oracle.tokens(record, named[number])
        for category, amount, before in (
            ("Usage", oracle.billed(record), listed(record)),
            ("Tax", oracle.amounts(record).get("tax"), None),
            ("Credit", oracle.amounts(record).get("credit"), None),
        ):
            if amount is not None:
                yield present(row(record, category, amount, before, tokens))


def present(row):
    return {name: value for name, value in row.items() if value is not None}


def row(record, category, amount, before, tokens):
    product = oracle.get(record, "product.id")
    service = stripped(oracle.get(record, "product.name")) or product
    host = PROVIDERS.get(oracle.get(record, "model.provider"), service)
    provider, kind, part = SERVICES.get(product.lower(), (host, "Other", "Other (Other)"))
    paths = ("metric_name", "model.id", "surface")
    about = [service, *filter(None, (oracle.get(record, path) for path in paths))]
    windows = window(record)
    days = (windows["ChargePeriodEnd"] - windows["ChargePeriodStart"]) / timedelta(days=1)
    used = category == "Usage"
    count, unit = quantity(record, tokens, days) if used else (None, None)
    return {
        **windows,
        **place(record),
        "BilledCost": amount,
        "ContractedCost": amount,
        "EffectiveCost": amount,
        "PricingCurrencyEffectiveCost": amount,
        "ListCost": before if used else amount,
        "BillingAccountId": stripped(oracle.get(record, "organization.id")),
        "BillingAccountName": oracle.get(record, "organization.name"),
        "BillingAccountType": "Organization",
        "BillingCurrency": oracle.currency(record),
        "PricingCurrency": oracle.currency(record),
        "ChargeCategory": category,
        "ChargeFrequency": "One-Time" if category == "Credit" else "Usage-Based",
        "ChargeDescription": ("" if used else f"{category} on ") + ", ".join(about),
        "ConsumedQuantity": count,
        "ConsumedUnit": unit,
        "PricingQuantity": count,
        "PricingUnit": unit,
        "ProviderName": provider,
        "PublisherName": provider,
        "InvoiceIssuerName": provider,
        "ServiceName": service,
        "ServiceCategory": kind,
        "ServiceSubcategory": part,
        "x_UsageId": record["id"],
        "x_ProductId": product,
        "x_MetricName": record.get("metric_name"),
        "x_ModelId": oracle.get(record, "model.id"),
        "x_ModelProvider": oracle.get(record, "model.provider"),
        "x_UserId": oracle.get(record, "user.id"),
        "x_UserEmail": oracle.get(record, "user.email"),
        "x_UserName": oracle.get(record, "user.name"),
        "x_Surface": record.get("surface"),
        **(counts(record, tokens) if used else {}),
    }


def counts(record, tokens):
    return {
        "x_TokenType": sort_of(record, tokens),
        "x_InputTokens": tokens["input"],
        "x_OutputTokens": tokens["output"],
        "x_CacheReadTokens": tokens["cache_read"],
        "x_CacheWriteTokens": tokens["cache_write"],
        "x_TotalTokens": tokens["tokens"],
        "x_RequestCount": oracle.counted(record, "requests"),
    }
