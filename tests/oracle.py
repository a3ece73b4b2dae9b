"""Each metric written plainly over the records themselves: the standard library and nothing else.

It shares no code with the library, so that the two can be held to each other.
"""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import product
from math import fsum
from statistics import fmean
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
REQUESTS = (
    ("total",),
    ("chat", "agent", "composer", "cmdk", "bugbot"),
    ("included", "usage_based", "api_key"),
)
# The ways to have each count: the first of which anything is there, added up.
COUNTS = {
    "commits": [["usage.code.commits"]],
    "pull_requests": [["usage.code.pull_requests"]],
    "accepted_lines": [["usage.code.lines_accepted_added"]],
    "sessions": [["usage.sessions.distinct"]],
    "conversations": [["usage.conversations.distinct"], ["usage.conversations.thread_count"]],
    "requests": [[f"usage.requests.{name}" for name in names] for names in REQUESTS],
}


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


def ratio(a, b, per=1):
    return None if a is None or not b else per * a / b


def joined(names):
    """Write the different names in order, one without a name as unknown."""
    return ", ".join(sorted({"unknown" if name is None else name for name in names})) or None


# Groups


def entries(record, dimension):
    """Return the values under which a record stands, of one dimension."""
    if dimension == "person":
        return [get(record, "tu_person")]
    if dimension == "user.email":
        return [(get(record, "user.email") or "").strip(" ").lower() or None]
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
    if end and end > start:
        return start, end
    is_midnight = start.time() == datetime.min.time()  # a day from there on, else an instant
    return start, start + (timedelta(days=1) if is_midnight else timedelta(microseconds=1))


def ended(record, end):
    """Return a record whose end is the first instant after its window, where a day is meant."""
    if isinstance(end, dict):
        end = end.get(get(record, "product.id"), end.get("*", "exclusive"))
    last = get(record, "end_date")
    last = last and datetime.fromisoformat(last).astimezone(UTC)
    if end == "exclusive" or last is None or last.time() != datetime.min.time():
        return record
    return {**record, "end_date": (last + timedelta(days=1)).isoformat()}


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


def opening(period, tz):
    """Return the instant at which a period of this name begins."""
    if isinstance(period, datetime):
        return period
    return datetime(period.year, period.month, period.day, tzinfo=ZoneInfo(tz)).astimezone(UTC)


def before(period, freq, tz):
    return begin(opening(period, tz) - timedelta(microseconds=1), freq, tz)[1]


def after(period, freq, tz):
    at = opening(period, tz)
    while begin(at, freq, tz)[1] == period:
        at = next_bound(at, freq, tz)
    return begin(at, freq, tz)[1]


def span(periods, freq, tz):
    """Return all periods from the first to the last of some."""
    found = [min(periods)]
    while found[-1] < max(periods):
        found.append(after(found[-1], freq, tz))
    return found


def rows(records, by, freq=None, tz="UTC"):
    """Yield every record's number, group and weight, as often as it stands in groups."""
    for number, record in enumerate(records):
        keys = joint(record, by)
        for period, weight in pieces(record, freq, tz):
            for key in keys:
                yield number, record, ((period,) if freq else ()) + key, weight / len(keys)


def tool_of(record, key, by, weight, freq):
    """Return a group's tool, and the share of the tool's own actions that belongs there.

    They are split over periods, but not over tools.
    """
    if "tool" not in by:
        return None, weight
    return key[bool(freq) :][by.index("tool")], weight * len(joint(record, by))


# Money


def amounts(record):
    found = defaultdict(list)
    for charge in record.get("charges") or []:
        if charge and charge.get("amount") is not None:
            found[charge.get("type")].append(charge["amount"])
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
            low, high = sorted([0, money["total"]])
            is_alone = not parts and low <= included <= high  # of its sign, and not larger
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


def written(code):
    return None if code is None else code.strip(" ").upper()


def instant(date):
    """Return a rate's date as an instant: without a time midnight, without a zone UTC."""
    found = datetime.fromisoformat(date if isinstance(date, str) else date.isoformat())
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def rate(record, code, rates, to):
    if code == written(to):
        return 1
    if isinstance(rates, dict):
        return {written(name): value for name, value in rates.items()}.get(code)
    start = (window(record) or (None,))[0]
    found = [
        (instant(row["date"]), row["rate"])
        for row in rates
        if start and row["rate"] is not None
        if written(row["currency"]) == code and instant(row["date"]) <= start
    ]
    return max(found)[1] if found else None


def priced(record, charge, rates, to):
    """Return a record's cost and its currency, both None if it has no cost."""
    amount, code = cost(record, charge), currency(record)
    if amount is None:
        return None, None
    if rates is None:
        return amount, code
    factor = None if code is None else rate(record, code, rates, to)
    if factor is None:
        raise ValueError("there is no rate")
    return amount * factor, written(to)


def cost_by(records, by=(), charge="billed", freq=None, tz="UTC", *, rates=None, to=None):
    bill = [priced(record, charge, rates, to) for record in records]
    groups, everyone = defaultdict(list), defaultdict(set)
    for number, _, key, weight in rows(records, by, freq, tz):
        everyone[key].add(number)
        amount, code = bill[number]
        if amount is not None:
            groups[key, code].append((number, amount * weight))
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
    there = {key for key, _ in sums}
    nothing = {"currency": None, "cost": None, "share": None, "priced": 0}
    return answer + [
        {"key": key, **nothing, "records": len(found)}
        for key, found in everyone.items()
        if key not in there
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
        given = sorts(record)
        if given["input"] is not None and given["input"] < cached(given):
            named = "exclusive"
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


def cost_per_token(
    records,
    by=(),
    *,
    per=1,
    sort="total",
    charge="billed",
    chosen="auto",
    freq=None,
    tz="UTC",
    rates=None,
    to=None,
):
    name = "tokens" if sort == "total" else sort
    named = conventions(records, chosen)
    counts = [tokens(record, how)[name] for record, how in zip(records, named, strict=True)]
    bill = [priced(record, charge, rates, to) for record in records]
    groups = both(rows(records, by, freq, tz), bill, counts)
    return unit_costs(groups, "tokens", "cost_per_token", per)


def both(found, bill, counts):
    """Return a group's costs and counts by currency, of the records that have both."""
    groups = defaultdict(lambda: defaultdict(list))
    for number, _, key, weight in found:
        groups[key]  # is there, whatever it holds
        amount, code = bill[number]
        if amount is not None and counts[number] is not None:
            groups[key][code].append((number, amount * weight, counts[number] * weight))
    return groups


def unit_costs(groups, measure, name, per):
    answer = []
    for key, codes in groups.items():
        for code, found in codes.items() or [(None, [])]:
            amount, count = (total(row[place] for row in found) for place in (1, 2))
            row = {"key": key, "currency": code, "cost": amount, measure: count}
            records = len({number for number, _, _ in found})
            answer.append(row | {name: ratio(amount, count, per), "records": records})
    return answer


def cache_hit_rate(records, by=(), chosen="auto", freq=None, tz="UTC"):
    named, groups = conventions(records, chosen), defaultdict(list)
    for number, record, key, weight in rows(records, by, freq, tz):
        found = tokens(record, named[number])
        has = found["input"] is not None and found["cache_read"] is not None
        prompt = (found["input"] or 0) + cached(found)
        groups[key].append((found["cache_read"] * weight, prompt * weight) if has else (None,) * 2)
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
        yield "charges" if type_ is None else f"charges.{type_}", currency(record), amount


def totals(records, by=(), freq=None, tz="UTC"):
    groups = defaultdict(lambda: defaultdict(list))
    for number, record, key, weight in rows(records, by, freq, tz):
        groups[key]  # is there, whatever it holds
        for metric, unit, value in measures(record):
            groups[key][metric, unit].append((number, value * weight))
        tool, share = tool_of(record, key, by, weight, freq)
        for name, action, count in tool_counts(record):
            if "tool" not in by or tool == name:
                metric = f"usage.code.tool_actions.{name}.{action}"
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
    full = [of for of in tools.values() if {"accepted", "rejected"} <= set(of)]
    found["tool"] = [total(of[action] for of in full) for action in ("accepted", "rejected")]
    for kind in ("edit", "tool"):
        accepted, rejected = found[kind]
        is_there = accepted is not None and rejected is not None
        found[kind] = [accepted, accepted + rejected if is_there else None]
    return {kind: pair for kind, pair in found.items() if None not in pair}


def acceptance_rate(records, by=(), kind=None, freq=None, tz="UTC"):
    groups = defaultdict(lambda: defaultdict(list))
    for _, record, key, weight in rows(records, by, freq, tz):
        tool, own = tool_of(record, key, by, weight, freq)
        groups[key]  # is there, whatever it holds
        found = offers(record, tool) if "tool" not in by or tool is not None else offers(record)
        for name, (accepted, offered) in found.items():
            share = own if name == "tool" else weight
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


def address(record):
    """Return the address that a record itself gives: its e-mail, or an id that is one."""
    mail = (get(record, "user.email") or "").strip(" ").lower()
    id_ = (get(record, "user.id") or "").strip(" ").lower()
    return mail if "@" in mail else id_ if "@" in id_[1:-1] and " " not in id_ else None


def scope(record):
    """Return where an id means one user: a plain number in its product, any other everywhere."""
    id_ = (get(record, "user.id") or "").strip(" ")
    return (id_, get(record, "product.id") if set(id_) <= set("0123456789") else None)


def is_machine(record, found):
    """Tell whether a user is a key or a service account, of the kinds that tests draw."""
    id_ = (get(record, "user.id") or "").strip(" ").lower()
    is_key = id_.startswith("sk-") and any(sign.isdigit() for sign in id_)
    return is_key or (found or "").startswith("svc-") or (not found and id_ == "ci-bot")


def persons(records):
    """Return who each record's person is, None where it names none."""
    shown = defaultdict(set)
    for record in records:
        if found := address(record):
            shown[scope(record)].add(found)
    answer = []
    for record in records:
        id_ = (get(record, "user.id") or "").strip(" ")
        found = address(record)
        if not found and id_ and len(shown[scope(record)]) == 1:
            (found,) = shown[scope(record)]
        mail = (get(record, "user.email") or "").strip(" ").lower()
        answer.append(None if is_machine(record, found) else found or id_ or mail or None)
    return answer


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


def people(records, by, freq, tz, crossing="raise"):
    """Return by period and key who is named and who is active.

    A named user's window is in every period that it touches, others in the first alone.
    """
    groups = defaultdict(lambda: (set(), set()))
    for record, who in zip(records, persons(records), strict=True):
        periods = [period for period, _ in pieces(record, freq, tz)]
        if freq and periods == [None]:
            continue
        crosses = len(periods) > 1 and who and is_active(record)
        if crosses and crossing == "raise":
            raise ValueError("a window crosses a bound")
        for period in periods if who else periods[:1]:
            for key in joint(record, by):
                everyone, active = groups[period, key]
                if who and not (crosses and crossing == "exclude"):
                    everyone.add(who)
                    if is_active(record):
                        active.add(who)
    return groups


def active_users(records, by=(), freq=None, tz="UTC", *, rolling=None, crossing="raise"):
    groups = people(records, by, freq, tz, crossing)
    if rolling is not None:
        return rolled(records, by, groups, freq=freq, tz=tz, rolling=rolling)
    return [
        {
            "key": ((period,) if freq else ()) + key,
            "active_users": len(active) if everyone else None,
        }
        for (period, key), (everyone, active) in groups.items()
    ]


def rolled(records, by, groups, *, freq, tz, rolling):
    """Count for every key and period of the frame who was active in the periods up to it."""
    answer = []
    periods = span([period for period, _ in groups], freq, tz) if groups else []
    holes, alive = incomplete(records, by, freq, tz), lives(records, by, freq, tz)
    for key in dict.fromkeys(key for _, key in groups):
        is_named = any(everyone for (_, other), (everyone, _) in groups.items() if other == key)
        first, last_of_all = alive.get(key, (None, None))
        for place, period in enumerate(periods):
            last = periods[max(place + 1 - rolling, 0) : place + 1]
            found = [groups[each, key] for each in last if (each, key) in groups]
            everyone, active = (set().union(*(sets[which] for sets in found)) for which in (0, 1))
            is_quiet = is_named and not found and first and first <= period <= last_of_all
            is_full = len(last) == rolling
            count = (len(active) if everyone else 0 if is_quiet else None) if is_full else None
            row = {"key": (period, *key), "active_users": count}
            answer.append(
                row | {"complete": is_full and not {(each, key) for each in last} & holes}
            )
    return answer


# Missing days


def missing_days(records):
    """Return the days without a record that each series should have had one on."""
    counts, missing = defaultdict(Counter), {}
    for record in records:
        if get(record, "start_date") is None:
            continue
        start, _ = window(record)
        end = get(record, "end_date")
        end = end and datetime.fromisoformat(end).astimezone(UTC)
        end = start if end is None or end <= start + timedelta(days=1) else end
        if end - start > timedelta(days=366):
            continue
        last = max(start, end - timedelta(microseconds=1)).toordinal()
        counts[series(record)].update(range(start.toordinal(), last + 1))
    for of, found in counts.items():
        first, last = min(found), max(found)
        is_dense = len(found) >= 5 and last - first < 6 * len(found)
        missing[of] = set()
        for is_weekend in (False, True) if is_dense else ():
            days = {d for d in range(first, last + 1) if ((d - 1) % 7 >= 5) == is_weekend}
            there = [found[day] for day in days if day in found]
            is_usual = len(there) >= 5 and len(there) >= 0.75 * len(days)
            if is_usual and (
                fmean(there) >= 3 or max(Counter(there).values()) >= 0.75 * len(there)
            ):
                missing[of] |= days - found.keys()
    return missing


def series(record):
    return get(record, "product.id"), get(record, "organization.id")


def series_of(records, by):
    """Return the series that the dated records of each key are of."""
    found = defaultdict(set)
    for _, record, key, _ in rows(records, by):
        if get(record, "start_date") is not None:
            found[key].add(series(record))
    return found


def incomplete(records, by, freq, tz):
    """Return the periods and keys that have a missing day."""
    missing, answer = missing_days(records), set()
    for key, of in series_of(records, by).items():
        for day in set().union(*(missing.get(each, ()) for each in of)):
            start = datetime.fromordinal(day)
            dates = {"start_date": f"{start}Z", "end_date": f"{start + timedelta(days=1)}Z"}
            answer |= {(period, key) for period, _ in pieces(dates, freq, tz)}
    return answer


def lives(records, by, freq, tz):
    """Return the first and the last period of the series that the records of each key are of."""
    touched = defaultdict(set)
    for record in records:
        if get(record, "start_date") is not None:
            touched[series(record)].update(period for period, _ in pieces(record, freq, tz))
    return {
        key: (min(found), max(found))
        for key, of in series_of(records, by).items()
        for found in [set().union(*(touched[each] for each in of))]
    }


def stickiness(records, by=(), tz="UTC", crossing="raise"):
    groups = people(records, by, "1d", tz, crossing)
    covered, months = defaultdict(int), defaultdict(list)
    for day in span([day for day, _ in groups], "1d", tz) if groups else ():
        covered[day.replace(day=1)] += 1
    for (day, key), sets in groups.items():
        months[day.replace(day=1), key].append(sets)
    answer = []
    for (month, key), days in months.items():
        dau = mau = None
        if any(everyone for everyone, _ in days):
            dau = sum(len(active) for _, active in days) / covered[month]
            mau = len(set().union(*(active for _, active in days)))
        row = {"key": (month, *key), "dau": dau, "mau": mau}
        answer.append(row | {"stickiness": ratio(dau, mau)})
    return answer


# Costs of a unit of work


def counted(record, measure):
    sums = (total(get(record, path) for path in paths) for paths in COUNTS[measure])
    return next((found for found in sums if found is not None), None)


def cost_per(
    records,
    measure,
    by=(),
    per=1,
    charge="billed",
    *,
    seats=None,
    freq=None,
    tz="UTC",
    rates=None,
    to=None,
):
    bill = [priced(record, charge, rates, to) for record in records]
    if measure == "users":
        return cost_per_user(records, by, per, bill, seats)
    counts = [counted(record, measure) for record in records]
    groups = both(rows(records, by, freq, tz), bill, counts)
    return unit_costs(groups, measure, "cost_per", per)


def cost_per_user(records, by, per, bill, seats):
    """Divide by the active users, or by the seats, which pay for every record."""
    groups, who = defaultdict(lambda: defaultdict(list)), persons(records)
    for number, _, key, weight in rows(records, by):
        amount, code = bill[number]
        if amount is not None and (seats is not None or who[number]):
            groups[key][code].append((number, amount * weight))
    answer = []
    for (_, key), (everyone, active) in people(records, by, None, "UTC").items():
        counts = {"users": len(active) if everyone else None}
        if seats is not None:
            counts["seats"] = seats.get(key[0]) if isinstance(seats, dict) else seats
        count = counts["users" if seats is None else "seats"]
        for code, found in groups[key].items() or [(None, [])]:
            amount = total(figure for _, figure in found)
            row = {"key": key, "currency": code, "cost": amount, **counts}
            row["cost_per"] = ratio(amount, count, per)
            answer.append(row | {"records": len({number for number, _ in found})})
    return answer


# Ranks and trends


def figures(records, measure, charge, chosen, *, rates, to):
    """Return every record's figure, and its currency if it is money."""
    if measure == "cost":
        return [priced(record, charge, rates, to) for record in records]
    if measure == "tokens":
        named = conventions(records, chosen)
        pairs = zip(records, named, strict=True)
        return [(tokens(record, how)["tokens"], None) for record, how in pairs]
    return [(counted(record, measure), None) for record in records]


def summed(found, of):
    """Return the sum and the records of every group and currency that has a figure."""
    groups = defaultdict(list)
    for number, _, key, weight in found:
        figure, code = of[number]
        if figure is not None:
            groups[key, code].append((number, figure * weight))
    return {
        group: (fsum(figure for _, figure in values), {number for number, _ in values})
        for group, values in groups.items()
    }


def top(records, n, by, measure="cost", charge="billed", *, chosen="auto", rates=None, to=None):
    groups = summed(
        rows(records, by), figures(records, measure, charge, chosen, rates=rates, to=to)
    )
    answer = []
    for code in {code for _, code in groups}:
        found = [(key, *values) for (key, other), values in groups.items() if other == code]
        found.sort(
            key=lambda row: (
                -row[1],
                [(value is None, 0 if value is None else value) for value in row[0]],
            )
        )
        whole = fsum(value for _, value, _ in found)
        ranked = [(key, rank, *values, 1) for rank, (key, *values) in enumerate(found[:n], 1)]
        if rest := found[n:]:
            value = fsum(value for _, value, _ in rest)
            numbers = set().union(*(numbers for _, _, numbers in rest))
            ranked.append(((None,) * len(by), None, value, numbers, len(rest)))
        for key, rank, value, numbers, count in ranked:
            row = {"key": key, "rank": rank} | ({"currency": code} if measure == "cost" else {})
            row |= {measure: value, "share": ratio(value, whole)}
            answer.append(row | {"records": len(numbers), "groups": count})
    return answer


def trend(
    records,
    by=(),
    freq="1mo",
    measure="cost",
    charge="billed",
    *,
    chosen="auto",
    tz="UTC",
    rates=None,
    to=None,
):
    of = figures(records, measure, charge, chosen, rates=rates, to=to)
    groups, whole = summed(rows(records, by, freq, tz), of), defaultdict(list)
    holes = incomplete(records, by, freq, tz)
    for ((period, *_), code), (value, _) in groups.items():
        whole[period, code].append(value)
    answer = []
    for ((period, *dims), code), (value, numbers) in groups.items():
        earlier = None
        if period is not None:
            earlier, _ = groups.get(((before(period, freq, tz), *dims), code), (None, None))
            if {(period, tuple(dims)), (before(period, freq, tz), tuple(dims))} & holes:
                earlier = None
        change = None if earlier is None else value - earlier
        rate = ratio(change, earlier) if earlier is not None and earlier > 0 else None
        row = {"key": (period, *dims)} | ({"currency": code} if measure == "cost" else {})
        row |= {measure: value, "change": change, "change_rate": rate}
        row["share"] = ratio(value, fsum(whole[period, code]))
        is_complete = (period, tuple(dims)) not in holes
        answer.append(row | {"records": len(numbers), "complete": is_complete})
    return answer


# Summary


def days(record):
    """Return the days of UTC that a window touches, by number."""
    start, end = window(record)
    return range(start.toordinal(), (end - timedelta(microseconds=1)).toordinal() + 1)


def overview(members, counts, bill):
    """Yield figure, unit, value and the records that took part, of a group's records by number.

    Counts and bill hold a record's tokens and cost in the group.
    """
    having = lambda found: {n: v for n, v in found.items() if v is not None}  # noqa: E731
    yield "records", "records", float(len(members)), set(members)
    dated = [number for number, record in members.items() if window(record)]
    touched = {day for number in dated for day in days(members[number])}
    yield "days", "days", len(touched) or None, dated
    for name, path in (("products", "product.id"), ("models", "model.id")):
        found = having({number: get(record, path) for number, record in members.items()})
        yield name, name, len(set(found.values())) or None, found
    found = having({number: get(record, "tu_person") for number, record in members.items()})
    yield "users", "users", len(set(found.values())) or None, found
    active = {number: who for number, who in found.items() if is_active(members[number])}
    yield "active_users", "users", len(set(active.values())) if found else None, active
    found = having(counts)
    yield "tokens", "tokens", total(found.values()), found
    codes = {code for amount, code in bill.values() if amount is not None}
    for code in codes or {None}:
        found = having({n: amount for n, (amount, other) in bill.items() if other == code})
        yield "cost", code, total(found.values()), found


def summary(records, by=(), charge="billed", chosen="auto", *, rates=None, to=None):
    bill = [priced(record, charge, rates, to) for record in records]
    named, weights = conventions(records, chosen), defaultdict(lambda: defaultdict(float))
    for number, _, key, weight in rows(records, by):
        weights[key][number] += weight
    answer = []
    for key, group in weights.items():
        members = {number: records[number] for number in group}
        counts, amounts_ = {}, {}
        for number, weight in group.items():
            count, (amount, code) = tokens(records[number], named[number])["tokens"], bill[number]
            counts[number] = None if count is None else count * weight
            amounts_[number] = (None if amount is None else amount * weight), code
        for figure, unit, value, part in overview(members, counts, amounts_):
            windows = [found for number in part if (found := window(records[number]))]
            answer.append(
                {
                    "key": key,
                    "figure": figure,
                    "unit": unit,
                    "value": value,
                    "records": len(part),
                    "coverage": len(part) / len(group),
                    "start_date": min((start for start, _ in windows), default=None),
                    "end_date": max((end for _, end in windows), default=None),
                }
            )
    return answer


# Prices


def kept(record):
    """Return what a cache served, and what it kept for five minutes and for an hour."""
    found = sorts(record)
    hour = get(record, "usage.tokens.cache_write_ephemeral_1h") or 0
    five = max((found["cache_write"] or 0) - hour, 0)
    return {"cache_read": found["cache_read"] or 0, "cache_write": five, "cache_write_1h": hour}


def price_list(record, prices, counts):
    """Return the prices of a record's model, None if a sort with a count has none."""
    found = prices.get(get(record, "model.id"))
    if found is None or any(n > 0 and found.get(sort) is None for sort, n in counts.items()):
        return None
    return {sort: price for sort, price in found.items() if price is not None}


def cache_savings(
    records, by=(), *, prices, per=1_000_000, chosen="auto", freq=None, tz="UTC", code="USD"
):
    groups = defaultdict(lambda: ([], []))
    for number, record, key, weight in rows(records, by, freq, tz):
        part, unpriced = groups[key]
        counts = kept(record)
        in_all = sorts(record)["cache_write"] or 0
        if max(counts["cache_read"], counts["cache_write_1h"], in_all) <= 0:
            continue
        list_ = price_list(record, prices, counts)
        if list_ is None or "input" not in list_:
            unpriced.append(get(record, "model.id"))
            continue
        dearer = {
            sort: n * (list_.get(sort, list_["input"]) - list_["input"]) * weight / per
            for sort, n in counts.items()
        }
        spent = dearer["cache_write"] + dearer["cache_write_1h"]
        part.append((number, -dearer["cache_read"], spent))
    answer = []
    for key, (part, unpriced) in groups.items():
        saved, spent = (total(row[place] for row in part) for place in (1, 2))
        answer.append(
            {
                "key": key,
                "currency": code if part else None,
                "saved": saved,
                "spent": spent,
                "savings": saved - spent if part else None,
                "records": len({number for number, _, _ in part}),
                "unpriced": joined(unpriced),
                "tier_unknown": 0,
            }
        )
    return answer


def estimate_cost(
    records,
    by=(),
    *,
    prices,
    per=1_000_000,
    scope="unbilled",
    chosen="auto",
    charge="billed",
    freq=None,
    tz="UTC",
    code="USD",
):
    named, groups = conventions(records, chosen), defaultdict(lambda: ([], {}))
    for number, record, key, weight in rows(records, by, freq, tz):
        part, unpriced = groups[key]
        given, found = sorts(record), tokens(record, named[number])
        is_billed = cost(record, charge) is not None
        if all(n is None for n in given.values()) or (scope == "unbilled" and is_billed):
            continue
        counts = {"input": found["input"] or 0, "output": found["output"] or 0, **kept(record)}
        list_ = price_list(record, prices, counts)
        parts = counts["input"] + counts["output"] + cached(given)
        is_whole = given["total"] is None or abs(parts - given["total"]) <= 1e-6 * given["total"]
        has_parts = any(n is not None for sort, n in given.items() if sort != "total")
        if list_ is None or not has_parts or not is_whole:
            unpriced[number] = get(record, "model.id")
            continue
        amount = fsum(n * list_.get(sort, 0) for sort, n in counts.items()) / per
        part.append((number, amount * weight, found["tokens"] * weight))
    answer = []
    for key, (part, unpriced) in groups.items():
        answer.append(
            {
                "key": key,
                "currency": code if part else None,
                "estimated_cost": total(amount for _, amount, _ in part),
                "tokens": total(count for _, _, count in part),
                "records": len({number for number, _, _ in part}),
                "unpriced_records": len(unpriced),
                "unpriced": joined(unpriced.values()),
                "tier_unknown": 0,
            }
        )
    return answer


# Repeated records


def superseded(records):
    """Return the places of records that a newer one of the same identity overlaps."""

    def newness(place):
        stamps = [get(records[place], name) for name in ("updated_at", "created_at")]
        return *((stamp is not None, stamp or "") for stamp in stamps), place

    def overlap(first, second):
        windows = window(first), window(second)
        if None in windows:
            return True
        (begin, until), (other_begin, other_until) = windows
        return begin < other_until and other_begin < until

    def identity(record):
        return get(record, "source.account"), get(record, "source.report_type"), record["id"]

    places = range(len(records))
    return {
        old
        for old in places
        for new in places
        if identity(records[old]) == identity(records[new])
        if newness(old) < newness(new) and overlap(records[old], records[new])
    }
