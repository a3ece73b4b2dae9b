"""Which files are read, through which doors, and what is said of those that are not."""

import bz2
import errno
import gzip
import io
import json
import lzma
import os
import signal
import subprocess
import sys
import tarfile
import threading
import tracemalloc
import zipfile

import pytest

import tidyusage as tu
from conftest import rows
from tidyusage._utils import bounded, machine
from tidyusage.errors import RecordError, SkippedFileWarning, SourceError
from tidyusage.io import file_kinds, inputs, rejects, spool
from tidyusage.plot import saving

ONE = b'{"id": "a", "usage": {"tokens": {"input": 7}}}\n'
TWO = ONE + b'{"id": "b"}\n'


def ids(frame):
    return [row["id"] for row in rows(frame)]


def zipped(members, **options):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


# Folders -----------------------------------------------------------------------------------------


def lines_of(id_):
    return json.dumps({"id": id_}).encode() + b"\n"


def test_a_folder_s_data_files_are_read_in_any_case_and_any_compression(tmp_path):
    files = {
        "A.NDJSON": lines_of("A"),
        "b.json": lines_of("b"),
        "c.ndjson.GZ": gzip.compress(lines_of("c")),
        "d.jsonl.gzip": gzip.compress(lines_of("d")),
        "e.ndjson.bz2": bz2.compress(lines_of("e")),
        "f.JSON.xz": lzma.compress(lines_of("f")),
        "g.zip": zipped({"inside.ndjson": lines_of("g")}),
        "sub/h.ndjson": lines_of("h"),
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    for backend in ("pandas", "duckdb"):
        assert sorted(ids(tu.read_usage(tmp_path, backend=backend))) == list("Abcdefgh")


def test_hidden_and_underscore_names_below_a_folder_are_skipped_silently(tmp_path):
    home = tmp_path / "_exports" / ".today"  # names of the folder that is given do not count
    for name in (
        "a.ndjson",
        ".b.ndjson",
        "_c.ndjson",
        ".ipynb_checkpoints/d.ndjson",
        "_temporary/0/e.ndjson",
        "sub/_f/g.ndjson",
        "_SUCCESS",
        ".crc",
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(lines_of(name))
    assert ids(tu.read_usage(home)) == ["a.ndjson"]


def test_other_files_of_a_folder_are_named_in_one_warning(tmp_path):
    (tmp_path / "a.ndjson").write_bytes(ONE)
    for name in ("notes.txt", "usage.ndjson.bak", "sub/readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    os.mkfifo(tmp_path / "pipe.ndjson")  # which could not be read without waiting for somebody
    with pytest.warns(SkippedFileWarning) as caught:
        frame = tu.read_usage(tmp_path)
    assert ids(frame) == ["a"]
    (warning,) = caught
    assert "4 files are skipped" in str(warning.message)
    for name in ("notes.txt", "usage.ndjson.bak", "sub/readme.md", "pipe.ndjson"):
        assert repr(name) in str(warning.message)


def test_a_folder_without_data_files_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"?")
    with pytest.raises(SourceError, match=r"holds no data files, only 'notes.txt'"):
        tu.read_usage(tmp_path)


# Zip ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["polars", "duckdb"])
def test_the_files_in_a_zip_archive_are_read(tmp_path, backend):
    path = tmp_path / "export.zip"
    path.write_bytes(zipped({"any name": TWO}))
    assert ids(tu.read_usage(path, backend=backend)) == ["a", "b"]
    path.write_bytes(
        zipped(
            {
                "x/1.ndjson": lines_of("x"),
                "y/2.json.gz": gzip.compress(lines_of("y")),
                "__MACOSX/1.ndjson": b"?",
                "y/": b"",
            }
        )
    )
    assert ids(tu.read_usage(path, backend=backend)) == ["x", "y"]
    with path.open("rb") as stream:
        assert ids(tu.read_usage(stream, backend=backend)) == ["x", "y"]


def test_a_zip_archive_names_its_files_and_those_that_are_skipped(tmp_path):
    path = tmp_path / "export.zip"
    path.write_bytes(zipped({"a.ndjson": ONE, "readme.txt": b"?", "b.ndjson": b"oops\n"}))
    with (
        pytest.warns(SkippedFileWarning, match="'readme.txt'"),
        pytest.raises(RecordError, match=r"export\.zip/b\.ndjson, line 1"),
    ):
        tu.read_usage(path)


def test_damaged_and_encrypted_zip_archives_are_errors(tmp_path):
    path = tmp_path / "export.zip"
    whole = zipped({"a.ndjson": ONE * 50})
    for cut in (1, 5, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:-cut])
        with pytest.raises(tu.errors.UsageError, match=r"cut off|is damaged"):
            tu.read_usage(path)
    flipped = bytearray(whole)
    flipped[45] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(RecordError, match=r"export.zip/a.ndjson' is damaged"):
        tu.read_usage(path)
    encrypted = bytearray(whole)
    encrypted[6] |= 1  # the flag in the file's own header, and in the archive's directory
    encrypted[whole.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(encrypted)
    with pytest.raises(SourceError, match=r"a.ndjson' is encrypted"):
        tu.read_usage(path)
    path.write_bytes(zipped({"inner.zip": whole}))
    with pytest.raises(SourceError, match="a zip archive within another"):
        tu.read_usage(path)
    path.write_bytes(zipped({}))
    with pytest.raises(SourceError, match="holds no data files"):
        tu.read_usage(path)


# Streams -----------------------------------------------------------------------------------------


def fed(path, data):
    """Write into a FIFO from another thread, as `cat usage.ndjson > pipe` does."""
    os.mkfifo(path)
    thread = threading.Thread(target=lambda: path.write_bytes(data), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "data",
    [TWO, gzip.compress(TWO), json.dumps([{"id": "a"}, {"id": "b"}]).encode()],
    ids=["lines", "gzip", "array"],
)
@pytest.mark.parametrize("backend", ["polars", "duckdb"])
def test_a_fifo_is_read_as_a_stream(tmp_path, data, backend):
    writer = fed(tmp_path / "pipe", data)
    assert ids(tu.read_usage(tmp_path / "pipe", backend=backend)) == ["a", "b"]
    writer.join()


def test_a_pipe_among_files_keeps_its_place(tmp_path):
    (tmp_path / "x.ndjson").write_bytes(lines_of("x"))
    fed(tmp_path / "pipe", ONE)
    assert ids(tu.read_usage([tmp_path / "pipe", tmp_path / "x.ndjson"])) == ["a", "x"]


def test_a_file_descriptor_s_path_is_read_as_a_shell_gives_it():
    # bash makes of <(cat usage.ndjson) the path of a pipe, /dev/fd/63
    read, write = os.pipe()
    os.write(write, TWO)
    os.close(write)
    try:
        assert ids(tu.read_usage(f"/dev/fd/{read}")) == ["a", "b"]
    finally:
        os.close(read)


def test_standard_input_is_read_as_a_stream(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TWO))))
    assert ids(tu.read_usage("-")) == ["a", "b"]


def test_a_fault_in_standard_input_is_named(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"oops\n")))
    with pytest.raises(RecordError, match="standard input, line 1"):
        tu.read_usage("-")


def test_the_command_line_reads_standard_input_by_any_name():
    for name in ("-", "/dev/stdin"):
        given = [sys.executable, "-m", "tidyusage.cli", "flatten", name]
        done = subprocess.run(given, check=False, capture_output=True, input=TWO)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"2 of 2 rows" in done.stdout


def test_an_empty_device_is_an_empty_frame():
    assert tu.read_usage("/dev/null").shape == (0, 78)


# What is not read --------------------------------------------------------------------------------


def tar():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        member = tarfile.TarInfo("a.ndjson")
        member.size = len(ONE)
        archive.addfile(member, io.BytesIO(ONE))
    return data.getvalue()


ESCAPE = b"\x1b[31m"
STRANGE = {
    "UTF-16": (TWO.decode().encode("utf-16"), "text in UTF-16"),
    "UTF-16 without a mark": (TWO.decode().encode("utf-16-le"), "text in UTF-16"),
    "UTF-16, big": (TWO.decode().encode("utf-16-be"), "text in UTF-16"),
    "UTF-32": (TWO.decode().encode("utf-32"), "text in UTF-32"),
    "tar": (tar(), "a tar archive"),
    "tar in gzip": (gzip.compress(tar()), "a tar archive"),
    "tar in xz": (lzma.compress(tar()), "a tar archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\x04" + ESCAPE * 20, "a 7z archive"),
    "lz4": (b"\x04\x22\x4d\x18" + ESCAPE * 20, "compressed with lz4"),
    "lz4 after a skippable frame": (b"\x50\x2a\x4d\x18\1\0\0\0x\x04\x22\x4d\x18", "compressed with lz4"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + ESCAPE * 20, "a PNG picture"),
    "PDF": (b"%PDF-1.7\n", "a PDF document"),
    "HTML": (b"\n <!DOCTYPE html><title>Sign in</title>", r"a web page \(HTML\)"),
    "Excel": (zipped({"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"}), "Excel workbook"),
    "SQLite": (b"SQLite format 3\0" + bytes(50), "an SQLite database"),
    "data": (b'{"data": [{"id": "a"}]}', "an object with a list 'data'"),
    "data after other keys": (b'{\n "object": "page", "data": [\n {"id": "a"}], "has_more": false}', "a list 'data'"),
    "data of 3 MB": (b'{"data": [' + b",".join([b'{"n": "' + b"x" * 999 + b'"}'] * 3000) + b"]}", "a list 'data'"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, name):
    data, kind = STRANGE[name]
    path = tmp_path / "usage.ndjson"
    path.write_bytes(data)
    for options in ({}, {"backend": "duckdb"}):
        with pytest.raises(SourceError, match=f"usage.ndjson' is .*{kind}") as caught:
            tu.read_usage(path, **options)
        message = str(caught.value)
        assert len(message) < 400 + len(str(path))
        assert message.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "text", ['{"id": "a", "data": [{}]}', '{"usage": {}, "data": [{}], "id": "a"}']
)
def test_a_record_with_a_list_of_its_own_is_a_record(text):
    assert file_kinds.list_within(text) is None


def test_control_characters_and_long_texts_never_reach_a_message(tmp_path):
    path = tmp_path / "usage.ndjson"
    names = [f"\x1b[31m{'k' * 500}", "\x07"]
    bad = {
        "id": "\x1b[2J" + "i" * 5_000,
        "usage": {"code": {"tool_actions": {names[0]: {names[1]: "x" * 9_000}}}},
    }
    path.write_text(
        "".join(json.dumps(bad | {"n": n}) + "\n" for n in range(9)) + "\x1b]0;title\x07" * 200
    )
    with pytest.raises(RecordError) as caught:
        tu.read_usage(path, unknown="ignore")
    message = str(caught.value)
    assert message.replace("\n", "").isprintable()
    assert all(len(line) < 400 + len(str(path)) for line in message.splitlines())


# The home folder ---------------------------------------------------------------------------------


def test_a_tilde_is_the_home_folder_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "usage.ndjson").write_bytes(TWO + b"oops\n")
    with pytest.warns(tu.errors.RejectWarning):
        frame = tu.read_usage("~/usage.ndjson", rejects="~/bad.ndjson")
    assert ids(frame) == ["a", "b"]
    assert (tmp_path / "bad.ndjson").exists()
    (tmp_path / "spill").mkdir()
    relation = tu.flatten_usage([{"id": "a"}], backend="duckdb", temp_directory="~/spill")
    assert len(list((tmp_path / "spill").iterdir())) == 1
    del relation
    tu.export_usage(frame, "~/out.parquet")
    assert (tmp_path / "out.parquet").exists()
    tu.export_usage(frame, "~/folder/")
    assert (tmp_path / "folder").is_dir()
    assert tu.report(frame, "~/report.html") == str(tmp_path / "report.html")
    chart = tu.load_example().usage.plot.cost_by("product.id")
    assert tu.plot.save(chart, "~/cost.html") == str(tmp_path / "cost.html")
    for name in ("report.html", "cost.html"):
        assert (tmp_path / name).exists()


# Limits ------------------------------------------------------------------------------------------


def bomb(path, megabytes, end=b"\n"):
    """Write a gzip file of one line that is a thousand times as long as the file."""
    with gzip.open(path, "wb", compresslevel=6) as stream:
        stream.write(b'{"id": "a", "surface": "')
        for _ in range(megabytes):
            stream.write(b"x" * 2**20)
        stream.write(b'"}' + end)


@pytest.mark.parametrize(
    "options", [{}, {"backend": "duckdb"}, {"backend": "duckdb", "memory_limit": "500MB"}]
)
def test_a_line_that_unpacks_to_far_more_than_a_record_is_an_error(tmp_path, options):
    bomb(tmp_path / "bomb.ndjson.gz", 65)
    tracemalloc.start()
    try:
        for more in ({}, {"rejects": tmp_path / "bad"}):
            with pytest.raises(RecordError, match="has a line of more than 64 MiB"):
                tu.read_usage(tmp_path / "bomb.ndjson.gz", **options, **more)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz"])
def test_a_long_line_after_others_is_found(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(inputs, "LONGEST_LINE", 2**20)
    data = ONE * 9 + b'{"id": "b", "surface": "' + b"y" * 2**21 + b'"}\n' + ONE
    packed = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[ending](data)
    (tmp_path / f"usage.{ending}").write_bytes(packed)
    with pytest.raises(RecordError, match="has a line of more than 1 MiB"):
        tu.read_usage(tmp_path / f"usage.{ending}")


def test_an_array_on_one_line_is_no_long_line(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "LONGEST_LINE", 2**20)
    records = [{"id": f"r{n}", "surface": "z" * 2**18} for n in range(8)]
    (tmp_path / "usage.json.gz").write_bytes(gzip.compress(json.dumps(records).encode()))
    assert len(tu.read_usage(tmp_path / "usage.json.gz")) == 8


# Full disks --------------------------------------------------------------------------------------


@pytest.fixture
def full(monkeypatch):
    """Have every file that is opened for writing refuse what is written."""

    def no_space(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    def apply(module):
        monkeypatch.setattr(module, "open", no_space, raising=False)

    return apply


def test_a_full_disk_under_rejects_is_an_error_of_ours(tmp_path, full):
    full(rejects)
    (tmp_path / "usage.ndjson").write_bytes(ONE + b"oops\n")
    with pytest.raises(tu.errors.ExportError, match=r"bad' could not be written.*No space left"):
        tu.read_usage(tmp_path / "usage.ndjson", rejects=tmp_path / "bad")
    assert sorted(os.listdir(tmp_path)) == ["usage.ndjson"]


def test_a_full_disk_under_a_chart_is_an_error_of_ours(tmp_path, full):
    full(saving)
    (tmp_path / "cost.html").write_text("old")
    chart = tu.load_example().usage.plot.cost_by("product.id")
    with pytest.raises(tu.errors.ExportError, match=r"cost.html' could not be written"):
        tu.plot.save(chart, tmp_path / "cost.html")
    assert (tmp_path / "cost.html").read_text() == "old"


@pytest.mark.parametrize("backend", ["pandas", "duckdb"])
def test_a_full_temporary_folder_is_an_error_of_ours(tmp_path, full, backend):
    full(spool)
    with pytest.raises(tu.errors.MemoryLimitError, match="no room for temporary files in"):
        tu.flatten_usage('{"id": "a"}', backend=backend)
    with pytest.raises(tu.errors.MemoryLimitError, match="TMPDIR"):
        tu.read_usage(io.BytesIO(ONE), backend=backend)


# What a killed read leaves -----------------------------------------------------------------------


def dead_process():
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    "options", [{}, {"backend": "duckdb"}, {"backend": "duckdb", "memory_limit": "500MB"}]
)
def test_a_later_read_sweeps_what_a_killed_one_left(tmp_path, monkeypatch, options):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(bounded, "_SWEPT", {})
    names = {
        "dead": f"tidyusage-{machine.HOST}-{dead_process()}-{'0' * 32}",
        "alive": f"tidyusage-{machine.HOST}-{os.getppid()}-{'0' * 32}",
        "of another machine": f"tidyusage-elsewhere-{dead_process()}-{'0' * 32}",
        "of somebody else": "tidyusage-notes",
    }
    for name in names.values():
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.ndjson").write_bytes(ONE)
    frame = tu.flatten_usage('{"id": "a"}', **options)
    left = set(os.listdir(tmp_path))
    assert names["dead"] not in left
    assert {names["alive"], names["of another machine"], names["of somebody else"]} <= left
    assert len(rows(frame)) == 1


KILLED = """
import os, signal, sys, tempfile
import tidyusage as tu
from tidyusage.io import assemble
tempfile.tempdir = sys.argv[1]
assemble._layout_table = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
tu.flatten_usage('{"id": "a"}')
"""


def test_the_folder_of_a_read_that_is_killed_is_swept(tmp_path, monkeypatch):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 1
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(bounded, "_SWEPT", {})
    tu.flatten_usage([{"id": "a"}])
    assert os.listdir(tmp_path) == []
