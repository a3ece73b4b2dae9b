"""Each metric written plainly over the records themselves: the standard library and nothing else.

It shares no code with the library, so that the two can be held to each other.
"""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import product
from math import fsum
from zoneinfo import ZoneInfo

CHILDREN = ("resources.", "tool")
UNITS = {
    "chat": "requests",
    "tab_shown": "suggestions",
    "tab_accepted": "suggestions",
    "accepts": "edits",
    "rejects": "edits",
    "lines_added": "lines",
    "lines_accepted_added": "lines",
}
PARTS = ("on_demand", "committed", "usage_based", "platform_fee")


def get(record, path):
    for key in path.split("."):
        record = record.get(key) if isinstance(record, dict) else None
    return record


def close(a, b):
    return abs(a - b) <= 1e-6 * abs(b)


def total(values):
    """Add up what is there; nothing adds up to None."""
    there = [value for value in values if value is not None]
    return fsum(there) if there else None


def ratio(a, b):
    return None if a is None or not b else a / b


# Groups


def entries(record, dimension):
    """Return the values under which a record stands, of one dimension."""
    if dimension == "tool":
        return sorted({tool for tool, _, _ in tool_counts(record)}) or [None]
    if dimension.startswith("resources."):
        path = dimension.removeprefix("resources.")
        return [get(resource, path) for resource in record.get("resources") or []] or [None]
    return [get(record, dimension)]


def joint(record, by):
    """Return the keys under which a record stands; dimensions of one list go together."""
    lists = [name for name in by if name.startswith("resources.")]
    columns = {}
    if lists:
        columns["resources"] = list(zip(*(entries(record, name) for name in lists), strict=True))
    for name in by:
        if name not in lists:
            columns[name] = [(value,) for value in entries(record, name)]
    keys = []
    for chosen in product(*columns.values()):
        found = dict(zip(columns, chosen, strict=True))
        of_list = iter(found.get("resources", ()))
        keys.append(tuple(next(of_list) if name in lists else found[name][0] for name in by))
    return keys


def window(record):
    start, end = get(record, "start_date"), get(record, "end_date")
    if start is None:
        return None
    start = datetime.fromisoformat(start).astimezone(UTC)
    end = datetime.fromisoformat(end).astimezone(UTC) if end else None
    return start, end if end and end > start else start + timedelta(days=1)


def begin(instant, freq, tz):
    """Return the beginning of a period, as an instant, and its name."""
    local = instant.astimezone(ZoneInfo(tz))
    if freq == "1h":
        start = instant - timedelta(
            minutes=local.minute, seconds=local.second, microseconds=local.microsecond
        )
        return start, start
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if freq == "1w":
        day -= timedelta(days=day.weekday())
    if freq in {"1mo", "1q", "1y"}:
        day = day.replace(day=1)
    if freq == "1q":
        day = day.replace(month=(day.month - 1) // 3 * 3 + 1)
    if freq == "1y":
        day = day.replace(month=1)
    return day.astimezone(UTC), day.date()


def pieces(record, freq, tz):
    """Yield the periods that a window touches, with its share of seconds in each."""
    found = window(record)
    if freq is None or found is None:
        yield None, 1.0
        return
    start, end = found
    at = start
    while at < end:
        _, period = begin(at, freq, tz)
        upper = at
        while upper < end and begin(upper, freq, tz)[1] == period:
            upper = next_bound(upper, freq, tz)
        upper = min(upper, end)
        yield period, (upper - at) / (end - start)
        at = upper


def next_bound(at, freq, tz):
    """Return the next instant at which a period may begin: the next hour or local midnight."""
    start, _ = begin(at, "1h" if freq == "1h" else "1d", tz)
    if freq == "1h":
        return start + timedelta(hours=1)
    day = start.astimezone(ZoneInfo(tz)).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(tz)).astimezone(UTC)


def rows(records, by, freq=None, tz="UTC"):
    """Yield every record's number, group and weight, as often as it stands in groups."""
    for number, record in enumerate(records):
        keys = joint(record, by)
        for period, weight in pieces(record, freq, tz):
            for key in keys:
                yield number, record, ((period,) if freq else ()) + key, weight / len(keys)


# Money


def amounts(record):
    found = defaultdict(list)
    for charge in record.get("charges") or []:
        if charge and charge.get("amount") is not None and charge.get("type"):
            found[charge["type"]].append(charge["amount"])
    return {type_: fsum(values) for type_, values in found.items()}


def billed(record):
    money = amounts(record)
    if "net" in money:
        return money["net"]
    parts = [money[type_] for type_ in PARTS if type_ in money]
    if "total" in money:
        included = money.get("included")
        if included is not None:
            is_whole = parts and close(fsum(parts) + included, money["total"])
            is_alone = not parts and included <= money["total"]
            if is_whole or is_alone:
                return money["total"] - included
        return money["total"]
    return fsum(parts) - abs(money.get("discount", 0)) if parts else None


def cost(record, charge="billed"):
    if isinstance(charge, dict):
        charge = charge.get(get(record, "product.id"), charge.get("*", "billed"))
    return billed(record) if charge == "billed" else amounts(record).get(charge)


def currency(record):
    codes = {
        charge["currency"].strip(" ").upper()
        for charge in record.get("charges") or []
        if charge and charge.get("amount") is not None and (charge.get("currency") or "").strip(" ")
    }
    return codes.pop() if codes else None


def cost_by(records, by=(), charge="billed", freq=None, tz="UTC"):
    groups, everyone = defaultdict(list), defaultdict(set)
    for number, record, key, weight in rows(records, by, freq, tz):
        everyone[key].add(number)
        if (figure := cost(record, charge)) is not None:
            groups[key, currency(record)].append((number, figure * weight))
    sums = {group: fsum(x for _, x in found) for group, found in groups.items()}
    whole = defaultdict(list)
    for (key, code), amount in sums.items():
        whole[key[:1] if freq else (), code].append(amount)
    answer = [
        {
            "key": key,
            "currency": code,
            "cost": amount,
            "share": ratio(amount, fsum(whole[key[:1] if freq else (), code])),
            "records": len(everyone[key]),
            "priced": len({number for number, _ in groups[key, code]}),
        }
        for (key, code), amount in sums.items()
    ]
    priced = {key for key, _ in sums}
    nothing = {"currency": None, "cost": None, "share": None, "priced": 0}
    return answer + [
        {"key": key, **nothing, "records": len(found)}
        for key, found in everyone.items()
        if key not in priced
    ]


# Tokens


def sorts(record):
    found = {
        name: get(record, f"usage.tokens.{name}")
        for name in ("input", "output", "cache_read", "cache_write", "total")
    }
    if found["cache_write"] is None:
        found["cache_write"] = total(
            get(record, f"usage.tokens.cache_write_ephemeral_{life}") for life in ("5m", "1h")
        )
    return found


def cached(found):
    return (found["cache_read"] or 0) + (found["cache_write"] or 0)


def shown(record):
    """Tell which convention a record's own figures show."""
    found = sorts(record)
    if not cached(found) > 0 or found["total"] is None or found["input"] is None:
        return None
    rest = found["total"] - found["input"] - (found["output"] or 0)
    if abs(rest - cached(found)) <= 1e-6 * abs(found["total"]):
        return "exclusive"
    return "inclusive" if abs(rest) <= 1e-6 * abs(found["total"]) else None


def conventions(records, chosen="auto"):
    votes = defaultdict(int)
    for record in records:
        provider = get(record, "model.provider")
        votes[provider] += {"inclusive": 1, "exclusive": -1, None: 0}[shown(record)]
    found = []
    for record in records:
        provider = get(record, "model.provider")
        named = chosen if isinstance(chosen, str) else chosen.get(provider, chosen.get("*", "auto"))
        if named == "auto":
            majority = "inclusive" if provider is not None and votes[provider] > 0 else "exclusive"
            named = shown(record) or majority
        found.append(named)
    return found


def tokens(record, convention):
    """Return a record's tokens by sort, input being what no cache served or kept."""
    found = sorts(record)
    fresh = found["input"]
    if convention == "inclusive" and fresh is not None:
        fresh -= cached(found)
    parts = total([fresh, found["output"], found["cache_read"], found["cache_write"]])
    count = found["total"] if found["total"] is not None else parts
    return {**found, "input": fresh, "tokens": count}


def tokens_by(records, by=(), chosen="auto", freq=None, tz="UTC"):
    named, groups = conventions(records, chosen), defaultdict(list)
    for number, record, key, weight in rows(records, by, freq, tz):
        found = tokens(record, named[number])
        groups[key].append({n: None if v is None else v * weight for n, v in found.items()})
    names = ("input", "output", "cache_read", "cache_write", "tokens")
    return [
        {"key": key, **{name: total(found[name] for found in members) for name in names}}
        for key, members in groups.items()
    ]


def cost_per_token(records, by=(), *, per=1, sort="total", charge="billed", chosen="auto"):
    named, groups, keys = conventions(records, chosen), defaultdict(list), {}
    for number, record, key, weight in rows(records, by):
        keys[key] = None
        count = tokens(record, named[number])["tokens" if sort == "total" else sort]
        figure = cost(record, charge)
        if count is not None and figure is not None:
            groups[key, currency(record)].append((number, figure * weight, count * weight))
    answer = []
    for (key, code), found in groups.items():
        amount, count = (fsum(row[place] for row in found) for place in (1, 2))
        answer.append(
            {
                "key": key,
                "currency": code,
                "cost": amount,
                "tokens": count,
                "cost_per_token": None if not count else per * amount / count,
                "records": len({row[0] for row in found}),
            }
        )
    nothing = {"currency": None, "cost": None, "tokens": None, "cost_per_token": None, "records": 0}
    found = {key for key, _ in groups}
    return answer + [{"key": key, **nothing} for key in keys if key not in found]


def cache_hit_rate(records, by=(), chosen="auto"):
    named, groups = conventions(records, chosen), defaultdict(list)
    for number, record, key, weight in rows(records, by):
        found = tokens(record, named[number])
        both = found["input"] is not None and found["cache_read"] is not None
        prompt = (found["input"] or 0) + cached(found)
        groups[key].append((found["cache_read"] * weight, prompt * weight) if both else (None,) * 2)
    answer = []
    for key, pairs in groups.items():
        read, prompt = (total(pair[place] for pair in pairs) for place in (0, 1))
        row = {"key": key, "cache_read": read, "prompt_tokens": prompt}
        answer.append(row | {"cache_hit_rate": ratio(read, prompt)})
    return answer


# Totals


def measures(record):
    """Yield metric, unit and value of what may be added, but of tool actions."""
    for name in ("requests", "sessions", "conversations", "code", "tokens", "tools"):
        for key, value in (get(record, f"usage.{name}") or {}).items():
            if isinstance(value, int | float) and "distinct" not in key:
                yield f"usage.{name}.{key}", UNITS.get(key, "tokens"), value
    quantity, metric = get(record, "usage.quantity"), record.get("metric_name")
    if quantity is not None:
        yield (
            ".".join(filter(None, ["usage.quantity", metric])),
            get(record, "usage.unit"),
            quantity,
        )
    for type_, amount in amounts(record).items():
        yield f"charges.{type_}", currency(record), amount


def totals(records, by=()):
    groups = defaultdict(lambda: defaultdict(list))
    for number, record, key, weight in rows(records, by):
        groups[key]  # is there, whatever it holds
        for metric, unit, value in measures(record):
            groups[key][metric, unit].append((number, value * weight))
        tool = key[by.index("tool")] if "tool" in by else None
        for name, action, count in tool_counts(record):
            if "tool" not in by or tool == name:
                metric = f"usage.code.tool_actions.{name}.{action}"
                share = 1 if "tool" in by else weight
                groups[key][metric, "actions"].append((number, count * share))
    answer = []
    for key, found in groups.items():
        for (metric, unit), values in found.items():
            records_ = len({number for number, _ in values})
            row = {"key": key, "metric": metric, "unit": unit, "records": records_}
            answer.append(row | {"value": fsum(value for _, value in values)})
        if not found:
            nothing = {"metric": None, "unit": None, "value": None, "records": 0}
            answer.append({"key": key, **nothing})
    return answer


# Acceptance


def tool_counts(record):
    """Return every tool, action and count of a record, of two levels."""
    actions = get(record, "usage.code.tool_actions") or {}
    renamed = {"accepted_count": "accepted", "rejected_count": "rejected"}
    return [
        (tool, renamed.get(action, action), count)
        for tool, found in actions.items()
        for action, count in found.items()
        if count is not None
    ]


def offers(record, tool=None):
    """Return of each kind what a record accepted and what it was offered."""
    pairs = {
        "tab": ("usage.requests.tab_accepted", "usage.requests.tab_shown"),
        "edit": ("usage.code.accepts", "usage.code.rejects"),
        "line": ("usage.code.lines_accepted_added", "usage.code.lines_added"),
    }
    found = {kind: [get(record, path) for path in paths] for kind, paths in pairs.items()}
    tools = defaultdict(dict)
    for name, action, count in tool_counts(record):
        if tool in {None, name}:
            tools[name][action] = tools[name].get(action, 0) + count
    both = [of for of in tools.values() if {"accepted", "rejected"} <= set(of)]
    found["tool"] = [total(of[action] for of in both) for action in ("accepted", "rejected")]
    for kind in ("edit", "tool"):
        accepted, rejected = found[kind]
        is_there = accepted is not None and rejected is not None
        found[kind] = [accepted, accepted + rejected if is_there else None]
    return {kind: pair for kind, pair in found.items() if None not in pair}


def acceptance_rate(records, by=(), kind=None):
    groups = defaultdict(lambda: defaultdict(list))
    for _, record, key, weight in rows(records, by):
        tool = key[by.index("tool")] if "tool" in by else None
        groups[key]  # is there, whatever it holds
        found = offers(record, tool) if "tool" not in by or tool is not None else offers(record)
        for name, (accepted, offered) in found.items():
            share = 1 if name == "tool" and "tool" in by else weight
            if kind in {None, name} and not (name == "tool" and "tool" in by and tool is None):
                groups[key][name].append((accepted * share, offered * share))
    answer = []
    for key, kinds in groups.items():
        for name, pairs in kinds.items():
            accepted, offered = (fsum(pair[place] for pair in pairs) for place in (0, 1))
            row = {"key": key, "kind": name, "accepted": accepted, "offered": offered}
            answer.append(row | {"acceptance_rate": ratio(accepted, offered)})
        if not kinds:
            nothing = {"accepted": None, "offered": None, "acceptance_rate": None}
            answer.append({"key": key, "kind": kind, **nothing})
    return answer


# Users


def person(record):
    id_ = (get(record, "user.id") or "").strip(" ")
    return id_ or (get(record, "user.email") or "").strip(" ").lower() or None


def leaves(node):
    for value in node.values() if isinstance(node, dict) else ():
        yield from leaves(value) if isinstance(value, dict) else [value]


def is_active(record):
    given = get(record, "usage.activity.is_active")
    if given is not None:
        return given
    counts = []
    for name in ("requests", "sessions", "conversations", "code", "tokens", "tools"):
        node = dict(get(record, f"usage.{name}") or {})
        node.pop("tab_shown", None)
        node.pop("file_extensions", None)
        counts += leaves(node)
    return any(count is not None and count > 0 for count in counts)


def active_users(records, by=(), freq=None, tz="UTC"):
    groups = defaultdict(lambda: (set(), set()))
    for record in records:
        periods = [period for period, _ in pieces(record, freq, tz)]
        if freq and periods == [None]:
            continue
        if len(periods) > 1 and person(record) and is_active(record):
            raise ValueError("a window crosses a bound")
        for key in joint(record, by):
            everyone, active = groups[((periods[0],) if freq else ()) + key]
            if who := person(record):
                everyone.add(who)
                if is_active(record):
                    active.add(who)
    return [
        {"key": key, "active_users": len(active) if everyone else None}
        for key, (everyone, active) in groups.items()
    ]
