"""Usage records, mutated: what a bad day at a vendor's, in a network or in an editor makes of them."""

import copy
import json

from tidyusage.testing import sample_records

# Values that may be anywhere, as JSON text.
VALUES = [
    *["null", "true", "false", "0", "-0", "7", "-1.50", "1e5", "1E-7", "1e16", "1E400", "-1e999"],
    *[
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "12345678901234567890123",
        "9" * 400,
        "1" * 4_301,
        "2" * 30 + ".5",
    ],
    *[
        "{}",
        "[]",
        "[null]",
        "[{}]",
        "[[]]",
        '{"a": 1}',
        '{"a": {"b": 2}}',
        '{"a": null}',
        '{"a": {}}',
    ],
    *['{"a": {"b": {"c": {"d": 1}}}}', '{"a": {"b": {"c": {"d": {"e": 1}}}}}', '{"a": 1, "a": 2}'],
    *[
        '{"a": {"b": "4"}}',
        '{"a": {"b": "x"}}',
        '{"a": {"b": true}}',
        '{"a": {"accepted_count": "+-3"}}',
    ],
    *['{"id": "x"}', '[{"id": "x"}]', '{"result": [{"id": "x"}]}', "[1,]", '{"a": 1,}'],
    "[" * 1_200 + "]" * 1_200,
    '{"a":' * 1_200 + "1" + "}" * 1_200,
    *[
        '"\\ud83d\\ude00"',
        '"\\ud800"',
        '"\\udc00"',
        '"\\\\ud800"',
        '"\\u0000"',
        '"a\\nb"',
        '"\\u2028"',
    ],
    *map(
        json.dumps,
        [
            *[
                "",
                " ",
                "x",
                "12",
                " 12 ",
                "+5",
                "+-3",
                "--3",
                "1_000",
                "1__0",
                "0x1F",
                "1e",
                "1e400",
                ".5",
            ],
            *[
                "5.",
                "1,5",
                "nan",
                "NaN",
                "inf",
                "Infinity",
                "true",
                "True",
                "null",
                "{",
                "[a]",
                "{a}",
                "é",
            ],
            *[
                "\uff11\uff12",
                "\u0663",
                "\u00a03",
                "😀",
                "USD",
                "usd",
                " eur ",
                "US D",
                "total",
                "net",
            ],
            *["2026-01-01", "2026-02-30", "2024-02-29T10:00", "2026-01-01T24:00:00Z", "0000-01-01"],
            *["2026-01-01T00:00:00.123456789Z", "2026-01-01T23:59:60Z", "2026-01-01t10:00:00z"],
            *["2026-01-01 10:00:00+0530", "2026-01-01T10:00:00-08", "2026-01-01T00:00:00+25:00"],
            *[
                "9999-12-31T23:59:59-01:00",
                "0001-01-01T00:00:00+01:00",
                "2026-1-1",
                "2026-01-01T00:00:00+01:00:30",
            ],
            *["1" * 5_000, "1" * 5_000 + "x", "x" * 20_000, "12e3456", "epoch", "infinity"],
        ],
    ),
]
ENTRIES = {
    "charges": [
        *[
            "null",
            "{}",
            '{"amount": 1}',
            '{"amount": "2.5", "currency": "usd", "type": "net"}',
            "5",
            "[]",
        ],
        *['{"amount": 3, "currency": "EUR", "type": "net"}', '{"amount": 1e308, "type": "total"}'],
        *[
            '{"amount": -1e308, "type": "tax"}',
            '{"amount": "+-3"}',
            '{"amount": null, "currency": "GBP"}',
        ],
        *[
            '{"amount": 1, "amount": 2}',
            '{"type": {}}',
            '{"amount": 4, "currency": 5}',
            '{"type": "new", "amount": 1}',
        ],
    ],
    "resources": [
        *[
            "null",
            "{}",
            '{"id": 5}',
            '{"workspace": {}}',
            '{"workspace": []}',
            '{"id": "r", "workspace": {"id": null}}',
        ],
        *[
            '{"name": true}',
            '"r"',
            '{"id": "a", "id": "b"}',
            '{"workspace": {"name": "w", "x": 1}}',
        ],
    ],
}
KEYS = [
    "id",
    "usage",
    "user",
    "result",
    "charges",
    "colour",
    "",
    "a.b",
    "é",
    "ID",
    " id",
    "remote_data",
    "source",
]


class Raw(str):
    """JSON text that is written as it is."""

    __slots__ = ()


def clean(count, seed):
    """Return so many records as the library's own sample has them."""
    return list(sample_records(count, seed=seed))


def mutated(record, random):
    """Return the text of a record after one to three mutations; it has no end of a line."""
    record = copy.deepcopy(record)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        random.choice(MUTATIONS)(record, random)
    text = written(record, random).encode("utf-8", "surrogatepass")
    if random.random() < 0.25:
        text = random.choice(DAMAGES)(text, random)
    return text.replace(b"\n", b" ")


def written(value, random):
    """Write a record as JSON, some of its keys twice."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        members = [f"{json.dumps(key)}: {written(inner, random)}" for key, inner in value.items()]
        if members and random.random() < 0.004:
            members.append(random.choice(members))
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(inner, random) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=random.random() < 0.5)


def _objects(record):
    """Return all objects within a record, itself included."""
    found, todo = [], [record]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            found.append(node)
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)
    return found


def _place(record, random):
    node = random.choice([each for each in _objects(record) if each] or [record])
    return node, random.choice(list(node) or ["id"])


def _drop(record, random):
    node, key = _place(record, random)
    node.pop(key, None)


def _retype(record, random):
    node, key = _place(record, random)
    node[key] = Raw(random.choice(VALUES))


def _rename(record, random):
    node, key = _place(record, random)
    value = node.pop(key, None)
    node[random.choice([*KEYS, key.upper(), f"{key} "])] = value


def _add(record, random):
    node, _ = _place(record, random)
    node[random.choice(KEYS)] = Raw(random.choice(VALUES))


def _fill(record, random):
    """Put a value where the schema has a field that this record lacks."""
    path = random.choice(PATHS)
    node = record
    *steps, last = path.split(".")
    for step in steps:
        inner = node.get(step)
        if not isinstance(inner, dict):
            inner = node[step] = {}
        node = inner
    node[last] = Raw(random.choice(VALUES))


def _list(record, random):
    name = random.choice(list(ENTRIES))
    count = random.choice((1, 1, 2, 3))
    record[name] = [Raw(random.choice(ENTRIES[name])) for _ in range(count)]


PATHS = [
    *[
        "id",
        "product",
        "product.id",
        "organization.id",
        "user.id",
        "user.email",
        "model.id",
        "surface",
    ],
    *["start_date", "end_date", "created_at", "updated_at", "metric_name", "resources", "charges"],
    *[
        "usage",
        "usage.quantity",
        "usage.unit",
        "usage.tokens",
        "usage.tokens.input",
        "usage.tokens.total",
    ],
    *[
        "usage.requests.total",
        "usage.code.lines_added",
        "usage.code.tool_actions",
        "usage.code.tool_actions.edit",
    ],
    *["usage.activity.is_active", "usage.activity.max_mode", "remote_data", "source", "result"],
]
MUTATIONS = [_drop, _retype, _retype, _rename, _add, _fill, _fill, _fill, _list]


def _cut(text, random):
    return text[: random.randrange(len(text))]


def _flip(text, random):
    place = random.randrange(len(text))
    return text[:place] + bytes([random.randrange(256)]) + text[place + 1 :]


def _insert(text, random):
    place = random.randrange(len(text) + 1)
    piece = random.choice(
        [
            b"\0",
            b"\xff",
            b"\xed\xa0\x80",
            b"\\ud800",
            b",",
            b"}",
            b'"',
            b"\x0b",
            b"\r",
            b"\xef\xbb\xbf",
        ]
    )
    return text[:place] + piece + text[place:]


def _twice(text, random):
    return text + random.choice([b"", b" ", b"\r", b", "]) + text


def _comma(text, random):
    return text[:-1] + b" , }"


def _around(text, random):
    blank = random.choice([b" ", b"\t", b"\r", b"\v", b"\f", b"\xc2\xa0", b"\xef\xbb\xbf", b"\x1c"])
    return blank + text if random.random() < 0.5 else text + blank


def _packed(text, random):
    return random.choice(
        [
            b"[%s]",
            b'{"result": [%s]}',
            b'{"id": "req", "result": [%s, %s]}',
            b"[[%s], []]",
            b"[%s, 5]",
        ]
    ).replace(b"%s", text)


def _noise(text, random):
    return bytes(random.randrange(256) for _ in range(random.randrange(1, 40)))


DAMAGES = [
    _cut,
    _cut,
    _flip,
    _flip,
    _insert,
    _insert,
    _twice,
    _comma,
    _around,
    _packed,
    _packed,
    _noise,
]
