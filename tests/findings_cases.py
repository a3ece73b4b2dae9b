"""Cases of findings, worked out by hand: for each check records that it reports, and such as it must not."""

import datetime as dt
from typing import Any, NamedTuple


class Case(NamedTuple):
    fires: list[dict[str, Any]]
    found: list[dict[str, Any]]  # id, column, value, expected, records, of each finding in order
    quiet: list[dict[str, Any]]
    in_long: bool = True  # whether long holds what the check looks at


def charged(id_, currency="USD", product="p", **amounts):
    charges = [{"type": t, "amount": a, "currency": currency} for t, a in amounts.items()]
    return {"id": id_, "product": {"id": product}, "charges": charges}


def tokens(id_, provider="x", **counts):
    return {"id": id_, "model": {"provider": provider}, "usage": {"tokens": counts}}


def user(id_, **names):
    return {"id": id_, "user": names, "usage": {"requests": {"total": 1}}}


def day(number, product="p", *, month=1, **more):
    """A record of one day of 2026; the first of January is a Thursday."""
    start = dt.date(2026, month, number)
    end = start + dt.timedelta(days=1)
    return {
        "id": f"{product}-{start}",
        "product": {"id": product},
        "organization": {"id": "o"},
        "start_date": f"{start}T00:00:00Z",
        "end_date": f"{end}T00:00:00Z",
        "usage": {"requests": {"total": 1}},  # without a measure it would not be in long
        **more,
    }


def cost(amount, currency="USD"):
    return {"charges": [{"type": "total", "amount": amount, "currency": currency}]}


def metered(number, product, amount, *, suffix="", **counts):
    record = day(number, product, model={"id": "m"}, **cost(amount), usage={"tokens": counts})
    return {**record, "id": record["id"] + suffix}


def finding(id_, column, value, expected, records=1):
    return {
        "id": id_,
        "column": column,
        "value": value,
        "expected": expected,
        "records": records,
    }


ISO = "a code of ISO 4217"
# Of January 2026: what is no Saturday and no Sunday.
WORKDAYS = [n for n in range(1, 32) if dt.date(2026, 1, n).isoweekday() < 6]
RESTDAYS = [n for n in range(1, 32) if n not in WORKDAYS]
CURSOR = {  # 0.40167 - 0.040167 + 0.0118 = 0.373303, of which the vendor shows 0.3733
    "total": 0.3733,
    "usage_based": 0.40167,
    "discount": 0.040167,
    "platform_fee": 0.0118,
}

PARTS_NOT_TOTAL = Case(
    [
        charged("a", total=9, committed=5, on_demand=3),  # 5 + 3 = 8
        charged("b", total=1.5, platform_fee=2),  # a part, and more than the whole
        # Three figures of two decimals are off by 3 × 0.005 at most, and this by 0.02.
        charged("c", total=10.02, committed=6, on_demand=4),
        charged("d", total=10, usage_based=4, included=3),  # 4, or 7 with what is covered
        charged("e", total=-1, on_demand=-3, committed=0),
    ],
    [
        finding("a", "charges.total", "9", "8"),
        finding("b", "charges.total", "1.5", "2"),
        finding("c", "charges.total", "10.02", "10"),
        finding("d", "charges.total", "10", "7"),
        finding("e", "charges.total", "-1", "-3"),
    ],
    [
        charged("a", total=5, committed=2, on_demand=3),  # Datadog
        charged("b", **CURSOR),
        charged("c", total=32, on_demand=18.75, included=13.25),  # Cursor's spend, inside
        charged("d", total=18.75, on_demand=18.75, included=13.25),  # and beside
        charged("e", total=10, platform_fee=2),  # one part of several
        charged("f", total=10, on_demand=4),
        charged("g", total=0, included=0.08),
        charged("h", total=10.01, committed=6, on_demand=4),  # off by 0.01, of 0.015
        charged("i", total=-8, on_demand=-10, committed=0, discount=2),  # given back
        charged("j", total=270247170, on_demand=270247171.451923, committed=0),  # off by 5e-9
        charged("k", net=7, on_demand=4, committed=5),
        charged("l", total=3),
        charged("m", total=0.3, on_demand=0.1, committed=0.2),  # a float's noise
    ],
)
NET = Case(
    [
        charged("a", total=10, discount=2, net=9),  # 10 - 2 = 8
        charged("b", total=5, net=6),
        charged("c", total=0.05, discount=0.0251, net=0.0401),  # 0.0249; noise is 0.00015
    ],
    [
        finding("a", "charges.net", "9", "8"),
        finding("b", "charges.net", "6", "5"),
        finding("c", "charges.net", "0.0401", "0.0249"),
    ],
    [
        charged("a", total=99.95, discount=20.95, net=79),
        charged("b", total=516, discount=103.2, net=412.8),
        charged("c", total=10, discount=-2, net=8),
        charged("d", total=5, net=4),
        charged("e", total=-10, discount=2, net=-8),
        charged("f", total=-10, discount=2, net=-12),
        charged("g", discount=2, net=9),
    ],
)
DISCOUNT = Case(
    [
        charged("a", total=10, discount=2),
        charged("b", total=5, discount=-1),
        charged("c", product="q", total=5, on_demand=5, discount=1),  # before it, so far as seen
    ],
    [
        finding(None, "charges.discount", "3", None, 2),
        finding("c", "charges.discount", "1", None),
    ],
    [
        charged("a", total=10, discount=0),
        charged("b", total=10, discount=2, net=8),
        charged("c", **CURSOR),  # the parts show that the total is after it
        charged("d", discount=2, on_demand=9),
    ],
)
DUPLICATES = Case(
    [
        {
            "id": "a",
            "charges": [
                {"type": "committed", "amount": 0, "currency": "USD"},
                {"type": "total", "amount": 1.17, "currency": "USD"},
                {"type": "committed", "amount": 1.17, "currency": "USD"},
            ],
        }
    ],
    [finding("a", "charges.committed", "0, 1.17", None)],
    [
        charged("a", total=2, net=2),
        {
            "id": "b",
            "charges": [
                {"type": "net", "amount": None, "currency": "USD"},
                {"type": "net", "amount": 1, "currency": "USD"},
                {"type": None, "amount": 1, "currency": "USD"},
                {"type": None, "amount": 1, "currency": "USD"},
            ],
        },
    ],
    in_long=False,
)
UNKNOWN = Case(
    [
        charged("a", None, total=1),
        charged("b", " ", on_demand=1),
        charged("c", None, "q", credit=-1),
    ],
    [
        finding(None, "charges.currency", None, ISO, 2),
        finding("c", "charges.currency", None, ISO),
    ],
    [charged("a", total=1), {"id": "b", "charges": []}, charged("c", None, total=None)],
)
HALF_UNKNOWN = Case(
    [
        {
            "id": "a",
            "product": {"id": "p"},
            "charges": [{"type": "total", "amount": 2}, charged("", net=1)["charges"][0]],
        }
    ],
    [finding("a", "charges.currency", None, ISO)],
    [
        {
            "id": "a",
            "charges": [{"type": "total", "amount": None}, charged("", net=1)["charges"][0]],
        }
    ],
    in_long=False,
)
NO_ISO = Case(
    [
        charged("a", "credits", total=1),
        charged("b", " Credits ", net=1),
        charged("c", "US$", net=1),
    ],
    [
        finding(None, "charges.currency", "CREDITS", ISO, 2),
        finding("c", "charges.currency", "US$", ISO),
    ],
    [
        charged("a", "usd", total=1),
        charged("b", " EUR ", total=1),
        charged("c", "HRK", total=1),  # in force until 2022
        charged("d", None, total=1),
    ],
)
TOKENS = Case(
    [
        tokens("a", input=110, output=55, cache_read=220, total=400),  # 165, or 385
        tokens("b", output=100, total=50),
        tokens("c", input=10, output=5, total=20),
        tokens("d", input=100, cache_read=20, output=5, total=60),  # 105, or 125
        tokens("e", input=100, cache_read=20, total=60),  # of the 100, 20 may be cached
    ],
    [
        finding("a", "usage.tokens.total", "400", "385"),
        finding("b", "usage.tokens.total", "50", "100"),
        finding("c", "usage.tokens.total", "20", "15"),
        finding("d", "usage.tokens.total", "60", "105"),
        finding("e", "usage.tokens.total", "60", "100"),
    ],
    [
        tokens("a", input=110, output=55, cache_read=220, total=385),
        tokens("b", input=110, output=55, cache_read=100, total=165),
        tokens("c", input=126, output=450, cache_read=11964, cache_write=6112, total=18652),
        tokens(
            "d",
            input=1284500,
            output=891000,
            cache_read=3200000,
            cache_write_ephemeral_5m=500,
            cache_write_ephemeral_1h=1000,
            total=5377000,
        ),
        tokens("e", total=7),
        tokens("f", output=100, total=200),  # the rest is not told
        tokens("g", input=10, output=5),
    ],
)
WRITES = Case(
    [
        tokens("a", cache_write=1500, cache_write_ephemeral_5m=500, cache_write_ephemeral_1h=900),
        tokens("b", cache_write=10, cache_write_ephemeral_5m=20),
    ],
    [
        finding("a", "usage.tokens.cache_write", "1500", "1400"),
        finding("b", "usage.tokens.cache_write", "10", "20"),
    ],
    [
        tokens("a", cache_write=1500, cache_write_ephemeral_5m=500, cache_write_ephemeral_1h=1000),
        tokens(
            "b", cache_write=1500, cache_write_ephemeral_5m=500
        ),  # some live nobody knows how long
        tokens("c", cache_write_ephemeral_5m=500, cache_write_ephemeral_1h=1000),
        tokens("d", cache_write=5),
    ],
)
CACHED = Case(
    [
        tokens("a", "openai", input=80, output=20, cache_read=60, total=100),  # 80 + 20: inside
        tokens("b", "openai", input=40, output=5, cache_read=30, cache_write=20),
    ],
    [finding("b", "usage.tokens.input", "40", "50")],
    [
        tokens("a", "openai", input=80, output=20, cache_read=60, total=100),
        tokens("b", "openai", input=40, output=5, cache_read=40),
        # This one shows that its input does not hold them: 40 + 5 + 50 = 95.
        tokens("c", "openai", input=40, output=5, cache_read=50, total=95),
        tokens("d", "anthropic", input=126, output=450, cache_read=11964),
        tokens("e", "openai", cache_read=70),
    ],
)
RUNNING = Case(
    # 10, 20, … 70 from the first of a month: 280 in all, and 70 at the end.  Tokens go up and down.
    [day(n, **cost(10 * n), usage={"tokens": {"total": 5 + n % 2}}) for n in range(1, 8)]
    # Up to 310 in no straight line, then 10 … 40: 940 + 100 in all, 310 + 40 at the ends.
    + [
        day(n, "q", **cost(amount))
        for n, amount in enumerate((10, 20, 100, 200, 300, 310), start=26)
    ]
    + [day(n, "q", month=2, **cost(10 * n)) for n in range(1, 5)],
    [
        finding(None, "charges", "1040", "350", 10),
        finding(None, "charges", "280", "70", 7),
    ],
    [day(n, "even", **cost(10)) for n in range(1, 29)]
    # Growth within one month looks the same.
    + [day(n, "alike", **cost(10 * n)) for n in range(1, 8)]
    + [day(n, "growing", **cost(100 + 3 * n)) for n in range(1, 32)]
    + [day(n, "growing", month=2, **cost(200 + 3 * n)) for n in range(1, 20)]
    + [day(n, "short", **cost(10 * n)) for n in range(1, 7)]
    + [day(n, "falling", **cost(10 * n - 15 * (n == 9))) for n in range(1, 20)]
    + [day(n, "stairs", **cost(c)) for n, c in enumerate((20, 20, 40, 40, 60, 60, 70), 1)]
    + [day(n, "no cost") for n in range(1, 20)]
    + [day(n, "jumping", **cost(2**n)) for n in range(1, 15)],
)
CENTS = Case(
    # 3 USD a million tokens, and 300 from the sixth day.
    [metered(n, "step", 0.003 if n < 6 else 0.3, input=1000) for n in range(1, 11)]
    # The same day by day in turn, and what is dear is in whole numbers.
    + [metered(n, "whole", 3 if n % 2 else 0.03, input=10000) for n in range(1, 11)]
    # All 300 USD a million: 5 × 300,000 tokens for 90 each.
    + [metered(n, "dear", 90, input=300_000) for n in range(1, 6)]
    # Nothing is counted, and five days cost a hundred times as much as five before.
    + [day(n, "days", **cost(10 + n if n < 6 else 100 * (5 + n))) for n in range(1, 11)],
    [
        finding(None, "charges", "0.3", "0.003", 5),
        finding(None, "charges", "1300", "13", 5),  # 1100 … 1500, over 11 … 15
        finding(None, "charges", "3", "0.03", 5),
        finding(None, "charges", "90", "0.9", 5),
    ],
    [metered(n, "twenty", 0.003 if n < 6 else 0.06, input=1000) for n in range(1, 11)]
    + [metered(n, "use", 0.003 * 100 ** (n > 5), input=1000 * 100 ** (n > 5)) for n in range(1, 11)]
    # What is read from the cache counts a tenth: 3 USD a million, and 20.
    + [metered(n, "read", 3, cache_read=10**7) for n in range(1, 6)]
    + [metered(n, "read", 20, input=10**6) for n in range(6, 11)]
    # What is put out counts five times.
    + [metered(n, "out", 3, input=10**6) for n in range(1, 6)]
    + [metered(n, "out", 15, output=10**6) for n in range(6, 11)]
    # Clumps that are too near each other, 0.027 and 0.2, and one that is too wide, 0.003 to 0.075.
    + [
        metered(n, "near", amount, input=1000)
        for n, amount in enumerate((0.003, 0.004, 0.009, 0.02, 0.027, 0.2, 0.3, 0.6, 1, 1.8), 1)
    ]
    + [
        metered(n, "wide", amount, input=1000)
        for n, amount in enumerate((0.003, 0.005, 0.015, 0.05, 0.075, 0.9, 1, 2, 3, 4), 1)
    ]
    + [metered(n, "tail", 0.003 * 3.2 ** (n % 5), input=1000) for n in range(1, 31)]
    + [metered(n, "turns", 0.0031 if n % 2 else 0.31, input=1000) for n in range(1, 11)]
    + [metered(n, "four", 0.003 if n < 7 else 0.3, input=1000) for n in range(1, 11)]
    + [metered(n, "o1-pro", 45, input=300_000) for n in range(1, 6)]
    + [metered(n, "little", 0.9, input=3000) for n in range(1, 6)]
    # Most are dear, and the one that is not has most of the tokens: 450 over 11.2 million.
    + [metered(n, "mostly", 90, input=300_000 if n < 5 else 10**7) for n in range(1, 6)]
    + [day(n, "weekend", **cost(10 if n in RESTDAYS else 1000)) for n in range(1, 32)]
    + [day(n, "few days", **cost(10 if n < 5 else 1000)) for n in range(1, 9)],
)
KEYS = Case(
    [
        user("a", id="sk-ant-api03-x1y2z3"),
        user("b", name="prod-key"),
        user("c", name=" prod-key"),
        user("d", id="u9", name="Service Account 7"),
        user("e", email="ci@proj.iam.gserviceaccount.com"),
        user("f", email="Production API key"),  # no e-mail
        user("g", id="sk-proj-99", email="ada@x.org"),
    ],
    [
        finding(None, "user.name", "prod-key", "a person", 2),
        finding("a", "user.id", "sk-ant-a…", "a person"),
        finding("d", "user.name", "Service Account 7", "a person"),
        finding("e", "user.email", "ci@proj.iam.gserviceaccount.com", "a person"),
        finding("f", "user.email", "Production API key", "a person"),
        finding("g", "user.id", "sk-proj-…", "a person"),
    ],
    [
        user("a", name="Alicia Keys"),
        user("b", name="Francis Scott Key"),
        user("c", name="Jan Bot"),
        user("d", name="api-key", email="ada@x.org"),  # a person calls himself so
        user("e", id="sk-johnson", name="Sue K. Johnson"),
        user("f", id="user_01AbCdEfGhIjKlMnOpQrSt", name="Deleted User"),
        user("g", name="Keystone", email="key@x.org"),
        user("h", id="12345"),
    ],
)
IDS = Case(
    [
        user("a", id="u1", email=" Ada@X.org"),
        user("b", id="u2", email="ada@x.org "),
        user("c", id="b", email="bob@x.org"),
        user("d", email="Bob@x.org"),
        user("e", email="Bob@x.org"),
    ],
    [
        finding(None, "user.id", "b, bob@x.org", "one id", 3),
        finding(None, "user.id", "u1, u2", "one id", 2),
    ],
    [
        user("a", id="u1", email=" Ada@X.org"),
        user("b", id=" u1", email="ada@x.org"),
        user("c", id="u2"),
        user("d", email="bob@x.org"),
        user("e", email="BOB@x.org"),
        user("f", id="u3", name="ada@x.org"),
    ],
)
EMAILS = Case(
    [user("a", id="u1", email="ada@x.org"), user("b", id="u1", email="ada@y.org")],
    [finding(None, "user.email", "ada@x.org, ada@y.org", "one e-mail", 2)],
    [
        user("a", id="u1", email="ada@x.org"),
        user("b", id="u1", email=" ADA@x.org"),
        user("c", id="u1"),
        user("d", email="eve@x.org"),
    ],
)
NUMBERS = Case(
    [
        user("a", id="17") | {"product": {"id": "claude"}},
        user("b", id="17") | {"product": {"id": "cursor"}},
        user("c", id=" 17 ") | {"product": {"id": "cursor"}},
    ],
    [finding(None, "user.id", "17", "an e-mail address", 3)],
    [
        # Only one product has it without an address, or it is not a number.
        user("a", id="17", email="ada@x.org") | {"product": {"id": "claude"}},
        user("b", id="17") | {"product": {"id": "claude"}},
        user("c", id="17") | {"product": {"id": "cursor"}},
        user("d", id="u1") | {"product": {"id": "claude"}},
        user("e", id="u1") | {"product": {"id": "cursor"}},
    ],
)
MISSING = Case(
    # 12 of 14 days from Monday to Friday are there, and all weekends.
    [day(n) for n in range(1, 21) if n not in {7, 8}]
    # One workday of 22 is not there, and no weekend is expected.
    + [day(n, "work") for n in WORKDAYS if n != 14],
    [
        finding(None, "start_date", "2026-01-14", "a record every day", 21),
        finding(None, "start_date", "2026-01-07 to 2026-01-08", "a record every day", 18),
    ],
    [day(n, "work") for n in WORKDAYS]
    + [day(n, "whole") for n in range(1, 32)]
    + [day(n, "weekly") for n in (5, 12, 19, 26)]
    + [day(n, "now and then") for n in (1, 2, 5, 7, 9, 12, 13, 16, 20, 21, 28, 30)]
    + [day(n, "few") for n in (1, 2, 5, 7)]
    # The eighth stands in a window of three days.
    + [day(n, "long") for n in range(1, 21) if n not in {7, 8}]
    + [{**day(6, "long"), "id": "long", "end_date": "2026-01-09"}]
    # Of some use on most days: that there is none on one is chance.
    + [
        {**day(n, "chance"), "id": f"chance-{n}-{k}"}
        for n in WORKDAYS
        if n != 14
        for k in range(n % 3 + 1)
    ]
    + [{"id": "no date", "product": {"id": "work"}}],
)
LATE = Case(
    # Sixteen workdays at 10, the seventeenth at 2.
    [day(n, **cost(2 if n == 23 else 10)) for n in WORKDAYS if n <= 23]
    # The same, and weekends at 1 are another matter.
    + [day(n, "rest", **cost(2 if n == 23 else 1 if n in RESTDAYS else 10)) for n in range(1, 24)]
    # Nothing is charged, and of three records a day one is there.
    + [
        {**day(n, "rows"), "id": f"rows-{n}-{k}"}
        for n in WORKDAYS
        if n <= 23
        for k in range(3 if n < 23 else 1)
    ],
    [
        finding(None, "charges", "2", "10"),
        finding(None, "charges", "2", "10"),
        finding(None, "id", "1", "3"),
    ],
    [day(n, "less", **cost(6 if n == 23 else 10)) for n in WORKDAYS if n <= 23]
    + [day(n, "noisy", **cost(2 if n == 23 else 3 + 10 * (n % 2))) for n in WORKDAYS if n <= 23]
    # The median is 8 and so is 2 from most: 3.5 deviations are 3.5 × 1.4826 × 2 = 10.4.
    + [day(n, "uneven", **cost(3 if n == 23 else 6 + 4 * (n % 2))) for n in WORKDAYS if n <= 23]
    + [day(n, "short", **cost(2 if n == 9 else 10)) for n in range(1, 10)]
    + [day(n, "rest", **cost(1 if n in RESTDAYS else 10)) for n in range(1, 32)]
    + [day(n, "fell before", **cost(2 if n in {7, 23} else 10)) for n in WORKDAYS if n <= 23],
)


def dated(id_, start, end):
    return {
        "id": id_,
        "start_date": start,
        "end_date": end,
        "usage": {"requests": {"total": 1}},  # without a measure it would not be in long
    }


BACKWARDS = Case(
    [
        dated("a", "2026-03-05", "2026-03-04"),
        dated("b", "2026-03-05T20:08:00Z", "2026-03-05"),  # an inclusive end of the same day
        dated("c", "2026-03-05T20:08:00Z", "2026-03-05T20:07:59Z"),
    ],
    [
        finding("a", "end_date", "2026-03-04T00:00:00Z", "after 2026-03-05T00:00:00Z"),
        finding("b", "end_date", "2026-03-05T00:00:00Z", "after 2026-03-05T20:08:00Z"),
        finding("c", "end_date", "2026-03-05T20:07:59Z", "after 2026-03-05T20:08:00Z"),
    ],
    [
        dated("a", "2026-03-05", "2026-03-05"),
        dated("b", "2026-03-05", None),
        dated("c", "2026-03-05T20:08:00Z", "2026-03-05T20:08:00Z"),
        dated("d", None, "2026-03-05"),
        dated("e", "2026-03-05", "2026-03-06"),
    ],
)
CASES = {
    "parts_not_total": [PARTS_NOT_TOTAL],
    "net_not_total_less_discount": [NET],
    "discount_without_net": [DISCOUNT],
    "duplicate_charge_types": [DUPLICATES],
    "currency_missing": [UNKNOWN, HALF_UNKNOWN],
    "currency_not_iso": [NO_ISO],
    "tokens_not_total": [TOKENS],
    "cache_write_not_parts": [WRITES],
    "cached_exceeds_input": [CACHED],
    "running_totals": [RUNNING],
    "amounts_in_cents": [CENTS],
    "api_key_users": [KEYS],
    "email_with_several_ids": [IDS],
    "id_with_several_emails": [EMAILS],
    "end_before_start": [BACKWARDS],
    "number_in_several_products": [NUMBERS],
    "missing_days": [MISSING],
    "late_days": [LATE],
}
