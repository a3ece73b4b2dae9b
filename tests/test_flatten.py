"""The layouts, held to a plain Python writing of them on drawn records, and to each other."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidyusage as tu
from conftest import BACKENDS, columns, present, rows
from plain import LEAVES, charges, long, resources, tool_actions, wide
from strategies import batches, draws

CALM = settings(
    max_examples=draws(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def flat(records, **options):
    return tu.flatten_usage(records, unknown="ignore", **options)


@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
@CALM
@given(batches())
def test_wide_is_what_plain_python_makes_of_the_records(records):
    got = rows(flat(records, backend="pyarrow"))
    expected = [wide(record) for record in records]
    assert [set(row) for row in got] == [set(row) for row in expected]
    for row, plain in zip(got, expected, strict=True):
        for name, value in plain.items():
            is_sum = name.startswith("charges.") and isinstance(value, float)
            assert row[name] == (pytest.approx(value, rel=1e-12) if is_sum else value), name


@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
@CALM
@given(batches())
def test_long_is_what_plain_python_makes_of_the_records(records):
    got = {}
    for row in rows(flat(records, backend="pyarrow", layout="long")):
        assert row["metric"] not in got.setdefault(row["id"], {})
        got[row["id"]][row["metric"]] = row["value"]
    expected = {str(record["id"]): long(record) for record in records}
    assert got == {
        id_: pytest.approx(values, rel=1e-12) for id_, values in expected.items() if values
    }


@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
@settings(CALM, max_examples=draws(15))
@given(batches())
def test_child_tables_rebuild_the_lists(records):
    for layout, lists in (
        ("charges", charges),
        ("resources", resources),
        ("tool_actions", tool_actions),
    ):
        table = rows(flat(records, backend="pyarrow", layout=layout))
        rebuilt = {}
        for row in table:
            entries = rebuilt.setdefault(row["id"], [])
            assert row["position"] == len(entries)
            entries.append(_entry(layout, row))
        expected = {str(record["id"]): lists(record) for record in records}
        assert rebuilt == {id_: entries for id_, entries in expected.items() if entries}


def _entry(layout, row):
    if layout == "charges":
        return {key: row[f"charges.{key}"] for key in ("amount", "currency", "type")}
    if layout == "tool_actions":
        return {key: row[key] for key in ("tool", "action", "count")}
    workspace = {key: row[f"resources.workspace.{key}"] for key in ("id", "name")}
    return {
        "id": row["resources.id"],
        "name": row["resources.name"],
        "workspace": workspace if any(v is not None for v in workspace.values()) else None,
    }


@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
@settings(CALM, max_examples=draws(8))
@given(
    batches(), batches(), st.sampled_from(["wide", "long", "charges", "resources", "tool_actions"])
)
def test_flattening_two_lists_is_flattening_their_sum(first, second, layout):
    taken = {record["id"] for record in first}
    second = [record for record in second if record["id"] not in taken]
    apart = rows(flat(first, layout=layout, backend="polars")) + rows(
        flat(second, layout=layout, backend="polars")
    )
    assert rows(flat(first + second, layout=layout, backend="polars")) == apart
    swapped = rows(flat(second + first, layout=layout, backend="polars"))
    assert sorted(map(repr, swapped)) == sorted(map(repr, apart))


@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
@settings(CALM, max_examples=draws(12))
@given(batches())
def test_wide_to_long_to_wide_gives_the_same_numbers(records):
    frame = flat(records, backend="polars")
    again = tu.to_wide(tu.to_long(frame))
    kept = {row["id"]: row for row in rows(again)}
    for row in rows(frame):
        numbers = {name: value for name, value in row.items() if isinstance(value, float | bool)}
        assert present(kept.get(row["id"], {})) | numbers == present(kept.get(row["id"], {}))
    assert columns(again) == columns(frame)


@pytest.mark.filterwarnings("ignore::tidyusage.errors.ChargeTypeWarning")
@settings(CALM, max_examples=draws(8))
@given(batches())
def test_every_library_gets_the_same_rows(records):
    for layout in ("wide", "long"):
        answers = [rows(flat(records, layout=layout, backend=backend)) for backend in BACKENDS]
        for answer in answers[1:]:
            assert answer == answers[0]


def test_wide_has_the_scalar_fields_in_schema_order_then_charges_then_lists():
    page = [
        path
        for path, kind, _ in LEAVES
        if "[]" not in path and kind in {"string", "number", "boolean"}
    ]
    types = "total net on_demand committed included usage_based discount tax credit platform_fee"
    expected = [
        *page,
        *(f"charges.{type_}" for type_ in types.split()),
        "charges.currency",
        "resources",
        "charges",
        "usage.code.tool_actions",
    ]
    assert columns(flat([])) == expected
    assert len(page) == 64  # 73 leaves − 4 of resources − 3 of charges − 2 open objects


def test_same_type_charges_of_a_record_are_added_up():
    # Datadog reports infra_host/committed twice: 0 and 1.17
    record = {
        "id": "d",
        "charges": [
            {"amount": 0, "currency": "USD", "type": "committed"},
            {"amount": 1.17, "currency": "USD", "type": "committed"},
        ],
    }
    (row,) = rows(flat([record]))
    assert row["charges.committed"] == 1.17
    assert len(row["charges"]) == 2


def test_a_sum_of_no_charges_is_null():
    (row,) = rows(flat([{"id": "a", "charges": [{"type": "net", "currency": "USD"}]}]))
    assert row["charges.net"] is None
    assert row["charges.currency"] is None  # no charge has an amount


def test_currency_is_upper_case_and_its_absence_stays_unknown():
    records = [
        {"id": "a", "charges": [{"amount": 1, "currency": "usd", "type": "net"}]},
        {"id": "b", "charges": [{"amount": 1, "type": "net"}]},
    ]
    assert [row["charges.currency"] for row in rows(flat(records))] == ["USD", None]
    assert [row["charges.currency"] for row in rows(flat(records, currency="eur"))] == [
        "USD",
        "EUR",
    ]


def test_an_unknown_charge_type_stays_in_charges_has_its_long_row_and_is_named():
    record = {"id": "a", "charges": [{"amount": 2, "currency": "USD", "type": "bonus"}]}
    with pytest.warns(tu.errors.ChargeTypeWarning, match="'bonus' \\(1×\\)"):
        frame = flat([record], layout="long")
    assert [(r["metric"], r["value"], r["unit"]) for r in rows(frame)] == [
        ("charges.bonus", 2.0, "USD")
    ]


def test_a_record_of_two_currencies_is_refused_in_every_layout():
    record = {
        "id": "a",
        "charges": [
            {"amount": 1, "currency": "USD", "type": "net"},
            {"amount": 1, "currency": "EUR", "type": "tax"},
        ],
    }
    for layout in ("wide", "long", "charges"):
        with pytest.raises(tu.errors.RecordError, match="found EUR and USD"):
            flat([record], layout=layout)


def test_tool_actions_of_every_depth_become_rows():
    record = {
        "id": "a",
        "usage": {
            "code": {
                "tool_actions": {
                    "edit": 5,
                    "write_tool": {"accepted_count": 3, "rejected_count": 0, "unknown": None},
                    "shell": {"run": {"accepted": 1, "deep": {"er": 2}}},
                    "none": {},
                }
            }
        },
    }
    assert [
        (r["tool"], r["action"], r["count"]) for r in rows(flat([record], layout="tool_actions"))
    ] == [
        ("edit", None, 5.0),
        ("write_tool", "accepted", 3.0),
        ("write_tool", "rejected", 0.0),
        ("shell", "run.accepted", 1.0),
        ("shell", "run.deep.er", 2.0),
    ]


def test_absent_null_and_empty_are_the_same():
    records = [
        {"id": "a"},
        {"id": "b", "usage": None, "charges": None, "user": None},
        {"id": "c", "usage": {}, "charges": [], "user": {}, "resources": [{}, None]},
        {
            "id": "d",
            "usage": {"tokens": None, "code": {"tool_actions": {}}},
            "resources": [{"workspace": {}}],
        },
    ]
    wide_rows = rows(flat(records))
    assert [present(row) for row in wide_rows] == [{"id": id_} for id_ in "abcd"]
    for layout in ("long", "charges", "resources", "tool_actions"):
        assert rows(flat(records, layout=layout)) == []


def test_missing_is_not_zero():
    frame = flat([{"id": "a", "usage": {"tokens": {"input": 0, "output": None}}}], layout="long")
    assert [(row["metric"], row["value"]) for row in rows(frame)] == [("usage.tokens.input", 0.0)]


def test_flags_count_one_and_zero_in_long():
    activity = {"is_active": True, "max_mode": False}
    frame = flat([{"id": "a", "usage": {"activity": activity}}], layout="long")
    assert [(row["metric"], row["value"], row["unit"]) for row in rows(frame)] == [
        ("usage.activity.is_active", 1.0, "flag"),
        ("usage.activity.max_mode", 0.0, "flag"),
    ]


def test_units_of_quantity_and_charges_are_the_record_s_own():
    record = {
        "id": "a",
        "usage": {"quantity": 3, "unit": "GB"},
        "charges": [{"amount": 1, "currency": "credits", "type": "total"}],
    }
    assert [(r["metric"], r["unit"]) for r in rows(flat([record], layout="long"))] == [
        ("usage.quantity", "GB"),
        ("charges.total", "CREDITS"),
    ]


def test_rows_keep_the_order_of_the_input():
    ids = [f"{number * 7919 % 5000:05d}" for number in range(5000)]
    frame = flat([{"id": id_, "usage": {"quantity": 1}} for id_ in ids], backend="polars")
    assert frame["id"].to_list() == ids
    long_ids = flat(
        [{"id": id_, "usage": {"quantity": 1}} for id_ in ids], backend="polars", layout="long"
    )
    assert long_ids["id"].to_list() == ids


def test_separator_spells_columns_but_not_metrics():
    record = {"id": "a", "product": {"id": "p"}, "usage": {"tokens": {"input": 1}}}
    frame = flat([record], sep="_", layout="long")
    assert columns(frame)[:3] == ["id", "product_id", "product_name"]
    assert rows(frame)[0]["metric"] == "usage.tokens.input"
    assert "usage_tokens_input" in columns(flat([record], sep="_"))
    assert "usage_code_tool_actions" in columns(flat([record], sep="_"))


def test_charges_of_one_type_add_up(flatten):
    net = [{"amount": amount, "currency": "USD", "type": "net"} for amount in (1, 2.5, -0.25)]
    (row,) = rows(flatten([{"id": "x", "charges": net}]))
    assert row["charges.net"] == 3.25  # 1 + 2.5 - 0.25
    assert row["charges.total"] is None
