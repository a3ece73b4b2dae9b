"""The catalogue is held to the schema page, and everything else to the catalogue."""

import re
import subprocess
import sys
from pathlib import Path

from plain import LEAVES, PAGE
from tidyusage import catalogue, schema
from tidyusage.catalogue import BY_PATH, FIELDS
from tidyusage.testing import sample_records

ROOT = Path(__file__).parents[1]


def test_every_leaf_of_the_schema_page_is_declared_once_in_its_order():
    assert [field.path for field in FIELDS] == [path for path, _, _ in LEAVES]
    assert len(FIELDS) == 73


def test_types_and_required_are_the_page_s():
    dates = {"start_date", "end_date", "created_at", "updated_at"}
    for path, kind, required in LEAVES:
        field = BY_PATH[path]
        expected = "timestamp" if path in dates else kind
        expected = {"usage.code.tool_actions": "counts", "remote_data": "json"}.get(path, expected)
        assert field.dtype == expected, path
        assert field.required is required, path


def test_allowed_charge_types_are_the_page_s():
    line = next(line for line in PAGE.read_text().splitlines() if "Allowed:" in line)
    assert BY_PATH["charges[].type"].values == tuple(re.findall(r"`(\w+)`", line))


def test_parts_name_wholes_that_exist_and_share_their_unit():
    for field in FIELDS:
        if field.part_of:
            assert field.part_of in BY_PATH
            if field.addition == "sum":
                assert BY_PATH[field.part_of].unit == field.unit, field.path


def test_measures_have_units_and_rules_others_have_none():
    for field in FIELDS:
        assert (field.unit is not None) == (field.kind == "measure"), field.path
        if field.dtype in {"string", "boolean", "timestamp", "json"} or "distinct" in field.path:
            assert field.addition == "never", field.path


def test_descriptions_are_sentences_of_our_own():
    page = PAGE.read_text()
    for field in FIELDS:
        assert field.description.endswith("."), field.path
        assert field.description.removesuffix(".") not in page or len(field.description) < 20


def test_no_two_columns_meet_under_any_separator():
    for layout in schema.LAYOUTS:
        names = schema.layout_types(layout, remote_data=True, extra=True, record=True, source=True)
        for sep in "._":
            assert len({schema.rename(name, sep) for name in names}) == len(names)


def test_tree_and_objects_come_back_to_the_fields():
    paths = {path for path, _, _ in catalogue.objects()}
    assert {"usage.tokens", "charges", "resources[].workspace"} <= paths
    assert len(paths) == 16  # the page's objects and lists that have fields below them


def test_sample_records_use_every_field_and_make_sense():
    seen = set()
    for record in sample_records(500, seed=5):
        seen |= set(_paths(record))
        _check_sense(record)
    assert seen == set(BY_PATH)


def _paths(node, prefix=""):
    for key, value in node.items():
        path = f"{prefix}{key}"
        if path in BY_PATH:
            yield path
        elif isinstance(value, list):
            for entry in value:
                yield from _paths(entry, f"{path}[].")
        else:
            yield from _paths(value, f"{path}.")


def _check_sense(record):
    flat = {}
    for path in BY_PATH:
        value = record
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        flat[path] = value
    sums = {}
    for field in FIELDS:
        if field.part_of and flat[field.path] is not None:
            assert flat[field.path] <= flat[field.part_of], field.path
            if field.partition:
                key = (field.part_of, field.partition)
                sums[key] = sums.get(key, 0) + flat[field.path]
    for (whole, _), total in sums.items():
        assert total == flat[whole], whole
    amounts = {charge["type"]: charge["amount"] for charge in record["charges"]}
    parts = [
        amounts.get(t, 0)
        for t in ("on_demand", "committed", "usage_based", "included", "platform_fee")
    ]
    if any(parts):
        assert abs(sum(parts) - amounts["total"]) < 1e-9
    if "net" in amounts:
        assert abs(amounts["total"] - amounts.get("discount", 0) - amounts["net"]) < 1e-9


def test_fields_page_is_up_to_date():
    script = ROOT / "docs" / "generate_fields.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_example_is_the_one_in_the_wheel():
    shipped = ROOT / "src" / "tidyusage" / "data" / "usage.ndjson"
    if not shipped.exists():  # the wheel is tested without src
        from importlib.resources import files

        shipped = files("tidyusage") / "data" / "usage.ndjson"
    assert shipped.read_bytes() == (ROOT / "examples" / "usage.ndjson").read_bytes()
