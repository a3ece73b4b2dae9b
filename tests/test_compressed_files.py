"""Compressed files: damage is never a shorter result, and every container is read right or named."""

import bz2
import gzip
import io
import json
import lzma
import struct
import zlib

import numpy as np
import pytest
import zstandard

import tidyusage as tu
from conftest import rows
from tidyusage.errors import RecordError
from tidyusage.io import compression

ENGINES = {
    "pandas": {"backend": "pandas"},
    "polars": {"backend": "polars"},
    "pyarrow": {"backend": "pyarrow"},
    "duckdb": {"backend": "duckdb"},
    "memory_limit": {"backend": "duckdb", "memory_limit": "500MB"},
}
# 100 in each of 12 records, so that the sum tells how many were read.
RECORDS = [{"id": f"r{n}", "usage": {"tokens": {"input": 100}}} for n in range(12)]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()
ARRAY = json.dumps(RECORDS).encode()


def zstd(data):
    """Return one zstd frame, with a checksum as the command zstd writes it."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def stored(data):
    """Return gzip whose data is not encoded, so that a flipped bit changes a figure and no more."""
    return gzip.compress(data, 0, mtime=0)


COMPRESS = {
    "gz": gzip.compress,
    "zst": zstd,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
SKIPPABLE = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 5) + b"hello"


def total(frame):
    return sum(row["usage.tokens.input"] for row in rows(frame))


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("text", [LINES, ARRAY], ids=["lines", "array"])
def test_a_compressed_file_cut_at_any_byte_is_an_error_that_names_it(tmp_path, ending, text):
    packed = COMPRESS[ending](text)
    path = tmp_path / f"usage.ndjson.{ending}"
    for length in range(len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(RecordError, match=r"usage.ndjson.*(cut off|is damaged)"):
            tu.read_usage(path)
    path.write_bytes(packed)
    assert total(tu.read_usage(path)) == 1200


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ending", COMPRESS)
def test_a_cut_is_an_error_on_every_engine(tmp_path, engine, ending):
    packed = COMPRESS[ending](LINES)
    path = tmp_path / f"usage.ndjson.{ending}"
    for length in (0, len(packed) - 1):
        path.write_bytes(packed[:length])
        with pytest.raises(RecordError, match="cut off"):
            tu.read_usage(path, **ENGINES[engine])


def test_a_cut_between_the_frames_of_a_zstd_file_is_only_seen_within_one(tmp_path):
    frames = zstd(LINES[:200]) + zstd(LINES[200:])
    path = tmp_path / "usage.ndjson.zst"
    path.write_bytes(frames)
    assert total(tu.read_usage(path)) == 1200
    for cut in range(1, len(zstd(LINES[200:]))):
        path.write_bytes(frames[:-cut])
        with pytest.raises(RecordError, match="cut off"):
            tu.read_usage(path)


def test_a_cut_in_an_open_file_is_an_error_too():
    stream = io.BytesIO(zstd(LINES)[:-1])
    stream.name = "upload.zst"
    with pytest.raises(RecordError, match=r"'upload.zst' is cut off"):
        tu.read_usage(stream)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_flipped_bit_never_changes_a_figure(tmp_path, engine):
    # '1' is 0x31 and '9' is 0x39: one bit makes 900 of 100.
    packed = bytearray(stored(LINES))
    packed[packed.index(b'"input": 100') + 9] ^= 0x08
    assert zlib.decompressobj(-15).decompress(bytes(packed[10:])).count(b"900") == 1
    path = tmp_path / "usage.ndjson.gz"
    path.write_bytes(packed)
    with pytest.raises(RecordError, match=r"usage.ndjson.gz' is damaged"):
        tu.read_usage(path, **ENGINES[engine])
    with pytest.raises(RecordError, match="is damaged"):  # no record of it can be trusted
        tu.read_usage(path, rejects=tmp_path / "bad.ndjson", **ENGINES[engine])


@pytest.mark.parametrize("ending", COMPRESS)
def test_any_flipped_bit_is_an_error_or_changes_nothing(tmp_path, ending):
    packed = COMPRESS[ending](LINES)
    path = tmp_path / f"usage.ndjson.{ending}"
    draw = np.random.default_rng(24)
    for place in range(len(packed)):
        damaged = bytearray(packed)
        damaged[place] ^= 1 << int(draw.integers(8))
        path.write_bytes(damaged)
        try:
            frame = tu.read_usage(path)
        except tu.errors.UsageError:
            continue
        assert total(frame) == 1200  # a bit of a header that says nothing of the data


def test_wrong_checksum_and_wrong_length_are_both_noticed(tmp_path):
    path = tmp_path / "usage.ndjson.gz"
    for place in (-8, -1):  # of the checksum and of the length, the last eight bytes
        packed = bytearray(gzip.compress(LINES))
        packed[place] ^= 0x40
        path.write_bytes(packed)
        with pytest.raises(RecordError, match=r"is damaged: its gzip data"):
            tu.read_usage(path)
    packed = bytearray(zstd(LINES))
    packed[-1] ^= 0x40
    path.write_bytes(packed)
    with pytest.raises(RecordError, match="zstd data"):
        tu.read_usage(path)


WHOLE = {
    "gzip members": gzip.compress(LINES[:100]) + gzip.compress(LINES[100:]),
    "an empty gzip member": gzip.compress(b"") + gzip.compress(LINES),
    "gzip padded with zeros": gzip.compress(LINES) + bytes(512),
    "gzip members with zeros between": gzip.compress(LINES[:99])
    + bytes(9)
    + gzip.compress(LINES[99:]),
    "zstd frames": zstd(LINES[:100]) + zstd(LINES[100:]),
    "a skippable frame first": SKIPPABLE + zstd(LINES),
    "skippable frames all over": SKIPPABLE * 2
    + zstd(LINES[:7])
    + SKIPPABLE
    + zstd(LINES[7:])
    + SKIPPABLE,
    "bz2 streams": bz2.compress(LINES[:100]) + bz2.compress(LINES[100:]),
    "xz streams with padding": lzma.compress(LINES[:100]) + bytes(8) + lzma.compress(LINES[100:]),
    "a byte order mark within": gzip.compress(b"\xef\xbb\xbf" + LINES),
}


@pytest.mark.parametrize("engine", ["polars", "duckdb", "memory_limit"])
@pytest.mark.parametrize("name", WHOLE)
def test_every_way_to_put_streams_together_is_read(tmp_path, name, engine):
    path = tmp_path / "usage.json"  # the first bytes decide, not the name
    path.write_bytes(WHOLE[name])
    assert total(tu.read_usage(path, **ENGINES[engine])) == 1200


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("rest", [b"hello there", b"\r\n", b'{"id": "x"}\n'])
def test_what_follows_compressed_data_is_an_error(tmp_path, ending, rest):
    path = tmp_path / f"usage.ndjson.{ending}"
    path.write_bytes(COMPRESS[ending](LINES) + rest)
    with pytest.raises(RecordError, match="is damaged"):
        tu.read_usage(path)


@pytest.mark.parametrize(
    ("ending", "engine"),
    [("gz", "pandas"), ("bz2", "polars"), ("xz", "duckdb"), ("zst", "memory_limit")],
)
def test_with_rejects_the_records_before_a_cut_are_read(tmp_path, ending, engine):
    draw = np.random.default_rng(1)
    records = [{"id": f"r{n}", "surface": draw.bytes(50).hex()} for n in range(9_000)]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    path = tmp_path / "usage.ndjson"
    path.write_bytes(COMPRESS[ending](lines)[:-3_000])
    with pytest.warns(tu.errors.RejectWarning):
        frame = tu.read_usage(path, rejects=tmp_path / "bad", **ENGINES[engine])
    found = rows(frame)
    assert 0 < len(found) < 9_000
    assert [row["surface"] for row in found] == [r["surface"] for r in records[: len(found)]]
    assert "cut off" in (tmp_path / "bad").read_text()


def test_lines_are_measured_across_blocks(tmp_path):
    path = tmp_path / "x.gz"
    line = b"x" * 200_000
    path.write_bytes(gzip.compress(b"short\n" + line + b"\nshort \n\n"))
    found = compression.check(str(path), "x.gz", "gzip")
    # 6 + 200,001 + 7 + 1 bytes; the last that is not white space is the t of "short"
    assert (found.size, found.longest, found.last) == (200_015, 200_000, b"t")


@pytest.mark.xdist_group("spark")
def test_damage_is_an_error_on_spark_too(spark, tmp_path):
    flipped = bytearray(stored(LINES))
    flipped[flipped.index(b'"input": 100') + 9] ^= 0x08
    for ending, packed in (
        ("gz", bytes(flipped)),
        ("gz", gzip.compress(LINES)[:-1]),
        ("bz2", bz2.compress(LINES)[:-1]),
        ("zst", zstd(LINES)[:-1]),
    ):
        path = tmp_path / f"usage.ndjson.{ending}"
        path.write_bytes(packed)
        with pytest.raises(RecordError, match=r"damaged|cut off"):
            tu.read_usage(path, backend="pyspark")
