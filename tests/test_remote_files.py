"""Addresses: read through fsspec, with the errors of files, and without a secret in a message."""

import builtins
import gzip
import json

import fsspec
import pytest

import tidyusage as tu
from conftest import rows
from tidyusage.errors import MissingExtraError, RecordError, SkippedFileWarning, SourceError
from tidyusage.io import remote


def line(id_):
    return json.dumps({"id": id_}).encode() + b"\n"


def ids(frame):
    return [row["id"] for row in rows(frame)]


@pytest.fixture
def bucket():
    """A file system in memory with a few files."""
    system = fsspec.filesystem("memory")
    files = {
        "/bucket/a.ndjson": line("a"),
        "/bucket/sub/b.ndjson.gz": gzip.compress(line("b")),
        "/bucket/_temporary/c.ndjson": line("c"),
        "/bucket/notes.txt": b"?",
        "/cut.ndjson.gz": gzip.compress(line("d"))[:-1],
        "/frames/f.csv": b"id,charges.net,charges.currency\nf,2,USD\n",
    }
    for path, data in files.items():
        system.pipe(path, data)
    yield system
    system.store.clear()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"backend": "polars"},
        {"backend": "duckdb"},
        {"backend": "duckdb", "memory_limit": "500MB"},
    ],
)
def test_a_file_at_an_address_is_read(bucket, options):
    assert ids(tu.read_usage("memory://bucket/a.ndjson", **options)) == ["a"]


def test_folders_patterns_and_lists_of_addresses_are_read(bucket, tmp_path):
    with pytest.warns(SkippedFileWarning, match="notes.txt"):
        assert ids(tu.read_usage("memory://bucket")) == ["a", "b"]
    assert ids(tu.read_usage("memory://bucket/*/b.ndjson.*")) == ["b"]
    (tmp_path / "x.ndjson").write_bytes(line("x"))
    both = [str(tmp_path / "x.ndjson"), "memory://bucket/a.ndjson"]
    assert ids(tu.read_usage(both)) == ["x", "a"]
    assert (tmp_path / "x.ndjson").exists()
    assert ids(tu.read_usage(f"file://{tmp_path}/x.ndjson")) == ["x"]


def test_a_frame_at_an_address_is_read(bucket):
    for backend in ("pandas", "duckdb"):
        assert ids(tu.read_usage("memory://frames/f.csv", backend=backend)) == ["f"]


def test_what_is_wrong_at_an_address_is_said(bucket):
    with pytest.raises(RecordError, match=r"'memory://.*cut.ndjson.gz' is cut off"):
        tu.read_usage("memory://cut.ndjson.gz")
    with pytest.raises(SourceError, match="There is no file 'memory://bucket/none'"):
        tu.read_usage("memory://bucket/none")
    with pytest.raises(SourceError, match="No file matches"):
        tu.read_usage("memory://bucket/*.xyz")
    with pytest.raises(SourceError, match="cannot be read: ValueError: Protocol not known"):
        tu.read_usage("nonsense://x")


def test_without_fsspec_the_error_names_the_extra(monkeypatch):
    really = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "fsspec":
            raise ImportError(name)
        return really(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"(?s)takes fsspec.*tidyusage\[remote\]"):
        tu.read_usage("s3://bucket/usage.ndjson")


def test_without_a_service_s_package_the_error_names_it(monkeypatch):
    def missing(address):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingExtraError, match=r"(?s)takes s3fs.*tidyusage\[remote\]"):
        tu.read_usage("s3://bucket/usage.ndjson")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ada:hunter2@example.com/x", "https://***@example.com/x"),
        ("https://example.com/x?sig=hunter2&page=2", "https://example.com/x?sig=***&page=2"),
        ("https://e.com/x?X-Amz-Signature=hunter2", "https://e.com/x?X-Amz-Signature=***"),
        ("s3://bucket/x?access_token=hunter2#a", "s3://bucket/x?access_token=***#a"),
        ("postgresql://u:hunter2@h/d", "postgresql://***@h/d"),
        ("postgresql://u:hunter2@x@h/d", "***@h/d"),
        ("host=db user=me password=hunter2", "host=db user=me password=***"),
    ],
)  # fmt: skip
def test_no_message_shows_a_secret_of_an_address(monkeypatch, address, shown):
    def refuse(given):
        raise PermissionError(f"403 for {given}")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refuse)
    assert remote.masked(address).endswith(shown)
    with pytest.raises(tu.errors.UsageError) as caught:
        tu.read_usage(address)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert shown in str(caught.value)
