"""Unknown keys are seen wherever they are: a file gives the warning that its records give."""

import gzip
import json
import warnings

import pytest

import tidyusage as tu
from tidyusage.io import unknown_keys

COUNT = 5_000
PACKINGS = ("lines", "array", "page", "pretty", "gzip", "dicts")


def packed(records, packing, tmp_path):
    """Return records in a file, or as they are."""
    lines = [json.dumps(record) for record in records]
    text = {
        "lines": "\n".join(lines),
        "array": f"[{', '.join(lines)}]",
        "page": f'{{"result": [{", ".join(lines)}], "next_cursor": null}}',
        "pretty": "\n".join(json.dumps(record, indent=1) for record in records),
        "gzip": "\n".join(lines),
    }.get(packing)
    if text is None:
        return records
    path = tmp_path / packing
    path.write_bytes(gzip.compress(text.encode()) if packing == "gzip" else text.encode())
    return path


def warned(source):
    """Return the warning over unknown keys, or None."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read = tu.flatten_usage if isinstance(source, list) else tu.read_usage
        read(source, backend="polars")
    found = [each.message for each in caught if each.category is tu.errors.UnknownKeyWarning]
    return str(found[0]) if found else None


def records(is_new, padding=""):
    return [
        {"id": f"r{place}", "surface": padding} | ({"colour": "red"} if is_new(place) else {})
        for place in range(COUNT)
    ]


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_key_of_the_second_half_is_seen(tmp_path, packing):
    assert "'colour'" in warned(packed(records(lambda n: n >= 2_500), packing, tmp_path))


@pytest.mark.parametrize("packing", ["lines", "gzip", "dicts"])
def test_records_without_unknown_keys_give_no_warning(tmp_path, packing):
    assert warned(packed(records(lambda _: False), packing, tmp_path)) is None


@pytest.mark.parametrize("first", [1_700, 2_500, 4_500, 4_995])
def test_a_key_is_seen_in_a_long_file_up_to_its_end(tmp_path, first):
    # 5,000 lines of a kilobyte and more: a sample, not the whole file.
    path = packed(records(lambda n: n >= first, "x" * 1_000), "lines", tmp_path)
    assert "'colour'" in warned(path)


def test_lines_longer_than_a_block_are_looked_at(tmp_path):
    long = [{"id": f"r{n}", "surface": "x" * 90_000} for n in range(60)]
    long[-1]["colour"] = "red"
    assert "'colour'" in warned(packed(long, "lines", tmp_path))


def test_beside_a_line_that_is_not_json_a_key_is_seen_too(tmp_path):
    text = "\n".join(json.dumps(record) for record in records(lambda n: n >= 2_500))
    path = tmp_path / "usage.ndjson.gz"
    path.write_bytes(gzip.compress(f"oops\n{text}".encode()))
    with (
        pytest.warns(tu.errors.UnknownKeyWarning, match="colour"),
        pytest.warns(tu.errors.RejectWarning),
    ):
        tu.read_usage(path, rejects=tmp_path / "rejects")


def test_pages_among_records_are_looked_into():
    page = {"id": "req", "result": [{"id": "b", "colour": "red"}]}
    assert "'colour'" in warned([{"id": "a"}, page])


def test_each_of_many_files_is_looked_at_from_end_to_end(tmp_path):
    for name in range(20):
        lines = [json.dumps({"id": f"{name}-{n}"}) for n in range(200)]
        lines[150:] = [line.replace("}", ', "colour": 1}') for line in lines[150:]]
        (tmp_path / f"{name}.ndjson").write_text("\n".join(lines) if name == 13 else lines[0])
    assert "'colour'" in warned(tmp_path)


def test_thinning_keeps_lines_at_equal_distances():
    # Wanted are 3: at the sixth every other one goes, and from there on every second line counts.
    assert unknown_keys._thinned(map(str.encode, "0123456789"), 3) == list(map(str.encode, "02468"))
    assert unknown_keys._thinned(map(str.encode, "01234"), 3) == list(map(str.encode, "01234"))
