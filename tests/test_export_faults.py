"""Exports that are killed, cut off, or find a full disk: what was there stays, or all is new."""

import contextlib
import csv
import gzip
import json
import os
import random
import resource
import shutil
import subprocess
import tempfile
import threading
import time
import traceback
from pathlib import Path
from urllib.parse import quote

import duckdb
import openpyxl
import pantab
import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

import export_process
import processes
import tidyusage as tu
from export_process import frame
from servers import postgres
from tidyusage._utils import whole
from tidyusage.errors import ExportError, FrameError, OptionError
from tidyusage.export import delimited, delta, excel, hyper, parquet
from tidyusage.export import postgres as postgres_writer

pytestmark = pytest.mark.slow  # kills, full disks, cut connections, two exports at once
WIDE = "usage_wide"
ALL = ("error", "overwrite", "append", "upsert")


def read_csv(path):
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_excel(path):
    names, *rows = openpyxl.load_workbook(path)[WIDE].iter_rows(values_only=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def read_duckdb(path):
    with duckdb.connect(path, read_only=True) as connection:
        return connection.sql(f"from {WIDE}").to_arrow_table().to_pylist()


def read_hyper(path):
    return pantab.frame_from_hyper(path, table=WIDE, return_type="pyarrow").to_pylist()


def read_star(path):
    tables = sorted(name for name in os.listdir(path) if not name.startswith("_"))
    return [
        {"table": t, **row} for t in tables for row in pl.read_parquet(f"{path}/{t}/").to_dicts()
    ]


def read_delta(path):
    return DeltaTable(f"{path.removeprefix('delta:')}/{WIDE}").to_pyarrow_table().to_pylist()


def read_postgres(url):
    address, _, schema = url.partition("?schema=")
    with psycopg.connect(address, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(f'select * from "{schema}".{WIDE}').fetchall()


PARTED = {"partition_by": "month"}
STAR = {"tables": "star"}
# By target: its name, the modes that it takes, options, and its own reader.
TARGETS = {
    "parquet": ("usage.parquet", ALL, {}, lambda p: pl.read_parquet(p).to_dicts()),
    "csv": ("usage.csv", ALL[:3], {}, read_csv),
    "csv.gz": ("usage.csv.gz", ALL[:3], {}, read_csv),
    "excel": ("usage.xlsx", ALL[:2], {}, read_excel),
    "duckdb": ("usage.duckdb", ALL, {}, read_duckdb),
    "hyper": ("usage.hyper", ALL[:3], {}, read_hyper),
    "folder": ("usage/", ALL, PARTED, lambda p: pl.read_parquet(f"{p}/{WIDE}/").to_dicts()),
    "star": ("usage/", ALL, STAR, read_star),
    "delta": ("delta:usage", ALL, {}, read_delta),
    "postgres": ("", ALL, {}, read_postgres),
}
CASES = [(name, mode) for name, (_, modes, *_) in TARGETS.items() for mode in modes]
FILES = [case for case in CASES if case[0] != "postgres"]


@pytest.fixture(autouse=True)
def no_flush(monkeypatch):
    """No test cuts the power: nothing waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def server():
    # None of its files can be larger than its log of 16 MB.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with contextlib.ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_FSIZE, (17 * 2**20, before[1]))
        try:
            url = stack.enter_context(postgres())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        yield url


# Exports of two rows, by target: they are made once, and copied.
BEGUN: dict[str, str] = {}


class Place:
    """A target in a folder or a schema of its own, and what its reader finds there."""

    def __init__(self, name, folder, url=""):
        base, _, self.options, self._read = TARGETS[name]
        self.name, self.folder = name, str(folder)
        path = f"{folder}/{base.removeprefix('delta:')}".removesuffix("/")
        self.path = path if base else f"{url}?schema=s{random.getrandbits(60)}"
        self.target = path + "/" if base.endswith("/") else self.path
        if base.startswith("delta:"):
            self.target = f"delta:{path}"
        self.is_server = not base

    def rows(self):
        """All rows as text, in order; nothing where nothing is there."""
        try:
            return sorted(map(str, self._read(self.path)))
        except psycopg.errors.UndefinedTable:
            return None
        except Exception:
            if self.is_server or os.path.exists(self.path):
                raise
            return None

    def export(self, ids, mode, note="old"):
        return tu.export_usage(frame(ids, note), self.target, mode=mode, **self.options)

    def begin(self, mode):
        """Put there what a mode finds: nothing for "error", else two rows."""
        if mode != "error" and self.is_server:
            self.export("ab", "error")
        elif mode != "error":
            if self.name not in BEGUN:
                begun = Place(self.name, tempfile.mkdtemp(dir=BEGUN["in"]))
                begun.export("ab", "error")
                BEGUN[self.name] = begun.folder
            shutil.copytree(BEGUN[self.name], self.folder, dirs_exist_ok=True)
        return self.rows()

    def names(self):
        return sorted(
            os.path.relpath(os.path.join(inner, name), self.folder)
            for inner, _, names in os.walk(self.folder)
            for name in names
        )


@pytest.fixture(autouse=True, scope="module")
def begun(tmp_path_factory):
    BEGUN["in"] = str(tmp_path_factory.mktemp("begun"))


@pytest.fixture
def place(request, tmp_path):
    def made(name, where=tmp_path):
        url = request.getfixturevalue("server") if name == "postgres" else ""
        return Place(name, where, url)

    return made


# Killed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mode"), FILES)
def test_before_every_step_of_writing_all_is_old_or_all_is_new(place, tmp_path, name, mode):
    # What a kill would leave is copied before each step of one export.
    made = place(name, _folder(tmp_path, "made"))
    before = made.begin(mode)
    copies = _folder(tmp_path, "copies")
    given = (made.target, mode, made.options, made.folder, str(copies))
    process = processes.run(export_process.export_with_copies, *given)
    process.join(60)
    assert process.exitcode == 0
    after, states = made.rows(), []
    assert before != after
    count = len(os.listdir(copies))
    assert count > 3
    is_last = mode == TARGETS[name][1][-1]
    for step in (
        range(count) if is_last else sorted({*range(0, count, 3), *range(count - 4, count)})
    ):
        left = place(name, copies / str(step))
        states.append(_require_old_or_new(left, before, after, step))
        if step == (count - 2 if is_last else count - 4):
            _require_it_goes_on(left)
    assert states == sorted(states)  # once new, never old again
    assert [states[0], states[-1]] == [False, True]


@pytest.mark.parametrize("name", TARGETS)
def test_killed_all_is_old_or_all_is_new(place, tmp_path, name):
    mode = TARGETS[name][1][-1]
    draw = random.Random(name)  # noqa: S311 - steps are no secret
    ended = place(name, _folder(tmp_path, "ended"))
    before = ended.begin(mode)
    began = time.monotonic()
    export_process.export(ended.target, mode, ended.options)
    duration, after = time.monotonic() - began, ended.rows()
    steps = [1, 5, 9, 13, 16, 10_000] if ended.is_server else [draw.randrange(20)]
    for step in [*steps, -1]:
        killed = place(name, _folder(tmp_path, str(step)))
        assert killed.begin(mode) == before
        given = (killed.target, mode, killed.options, killed.folder)
        if step < 0:  # at a random time
            process = processes.run(export_process.export_aside, *given)
            time.sleep(draw.uniform(0.1, 1.5) * duration)
            process.kill()
        else:
            process = processes.run(export_process.export_and_die, *given, step)
        process.join(60)
        is_new = _require_old_or_new(killed, before, after, step)
        assert is_new or process.exitcode == -9
        _require_it_goes_on(killed)


def _folder(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    return path


def _require_old_or_new(killed, before, after, step):
    """Tell whether all is new; raise if it is neither that nor old."""
    found = killed.rows()
    assert found in (before, after), step
    manifest = f"{killed.path}_manifest.json"
    if os.path.isfile(manifest) and found == after:
        with open(manifest, encoding="utf-8") as file:
            assert json.load(file)["tables"][WIDE]["rows_in_target"] == len(after)
    return found == after


def _require_it_goes_on(killed):
    """The next export works, and removes what the killed one left."""
    killed.export("xyz", "overwrite", "last")
    assert sum("last" in row for row in killed.rows()) == 3
    assert not [name for name in killed.names() if ".partial" in name or name.endswith(".wal")]


def test_where_a_folder_needs_two_steps_a_kill_between_them_is_mended(place, monkeypatch):
    made = place("folder")
    before = made.begin("upsert")
    rename = os.rename

    def cut_off(old, new):
        if old.endswith(".partial") and not new.endswith(".old"):
            os._exit(9)
        rename(old, new)

    monkeypatch.setattr(whole, "_exchange_at_once", lambda *_: False)
    made.export("ab", "overwrite")
    assert made.rows() == before
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os.rename = cut_off
        whole._exchange(_copied(made.path), made.path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert made.rows() is None
    made.export("ab", "upsert")
    assert made.rows() == before
    assert os.listdir(made.folder) == ["usage"]


def test_a_manifest_that_a_killed_export_had_begun_is_in_nobodys_way(tmp_path):
    target, folder = f"delta:{tmp_path}/usage", tmp_path / "usage"
    tu.export_usage(frame("ab"), target)
    killed = processes.run(os.getpid)
    killed.join()
    left = whole._name("_manifest.json").replace(f"-{os.getpid()}-", f"-{killed.pid}-")
    (folder / left).touch()
    tu.export_usage(frame("bc"), target, mode="upsert")
    assert sorted(os.listdir(folder)) == ["_manifest.json", WIDE]


def _copied(path):
    name = whole._name(path)
    return shutil.copytree(path, os.path.join(os.path.dirname(path), name))


def test_what_stands_beside_a_file_stays_if_the_file_cannot_take_its_place(place, monkeypatch):
    made = place("parquet")
    made.begin("overwrite")
    before = _contents(made)
    put = os.replace

    def refused(old, new):
        if new == made.path:
            raise PermissionError(13, "in use")
        put(old, new)

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(ExportError, match=r"could not be written, and is as it was before.*in use"):
        made.export("xyz", "overwrite")
    monkeypatch.undo()
    assert _contents(made) == before


def _contents(made):
    return {name: Path(made.folder, name).read_bytes() for name in made.names()}


# Interrupted, or cut off ------------------------------------------------------------------------

WRITES = {
    "parquet": (parquet, "rows"),
    "csv": (delimited, "_put"),
    "excel": (excel, "_describe"),
    "duckdb": ("tidyusage.export.database", "_rows"),
    "hyper": (hyper, "_rows"),
    "folder": (parquet, "rows"),
    "star": (parquet, "rows"),
    "delta": (delta, "_rows"),
    "postgres": (postgres_writer, "_note"),
}


@pytest.mark.parametrize(
    ("mode", "error"), [("error", MemoryError), ("overwrite", KeyboardInterrupt)]
)
@pytest.mark.parametrize("name", WRITES)
def test_interrupted_when_rows_are_written_nothing_has_happened(
    place, monkeypatch, name, mode, error
):
    made = place(name)
    before, names = made.begin(mode), made.names()
    module, function = WRITES[name]

    def interrupted(*_, **__):
        raise error

    where = f"{module}.{function}" if isinstance(module, str) else (module, function)
    monkeypatch.setattr(*([where] if isinstance(where, str) else where), interrupted)
    with pytest.raises(error):
        made.export("xyz", mode)
    monkeypatch.undo()
    assert made.rows() == before
    if name != "delta":  # whose log tells of both versions
        assert made.names() == names
    made.export("xyz", "overwrite")
    assert len(made.rows()) >= 3


def test_of_several_delta_tables_all_or_none_are_new(tmp_path, monkeypatch):
    target, tables = f"delta:{tmp_path}/usage", DeltaTable
    tu.export_usage(frame("ab"), target, tables="star")
    names = [name for name in sorted(os.listdir(tmp_path / "usage")) if name[0] != "_"]

    def keys():
        return {n: tables(f"{tmp_path}/usage/{n}").to_pyarrow_table().num_rows for n in names}

    before, count = keys(), [0]
    rows = delta._rows

    def refused(there):
        count[0] += 1
        if count[0] == 6:
            raise OSError(28, "No space left on device")
        return rows(there)

    monkeypatch.setattr(delta, "_rows", refused)
    with pytest.raises(ExportError, match="No space left"):
        tu.export_usage(frame("bcdef"), target, tables="star", mode="upsert")
    assert keys() == before
    assert before["fact_usage"] == 2


@pytest.mark.parametrize("mode", ["overwrite", "upsert"])
def test_a_delta_commit_that_another_was_before_is_refused_and_theirs_stays(
    tmp_path, monkeypatch, mode
):
    target = f"delta:{tmp_path}/usage"
    tu.export_usage(frame("ab"), target)
    path = f"{tmp_path}/usage/{WIDE}"
    reader = delta._reader

    def late(*args):
        rows = reader(*args)

        def batches():
            another = threading.Thread(target=_rewrite, args=(path,))
            another.start()
            another.join()
            yield from rows

        return pa.RecordBatchReader.from_batches(rows.schema, batches())

    monkeypatch.setattr(delta, "_reader", late)
    with pytest.raises(ExportError, match=r"usage_wide' could not be written.*concurrent"):
        tu.export_usage(frame("bc"), target, mode=mode)
    there = DeltaTable(path)
    assert (there.version(), there.history(1)[0]["by"]) == (1, "another")
    assert sorted(there.to_pyarrow_table()["id"].to_pylist()) == ["a", "b"]
    logs = [n for n in os.listdir(f"{path}/_delta_log") if n.endswith(".json")]
    assert sorted(logs) == [f"{0:020}.json", f"{1:020}.json"]


def _rewrite(path):
    properties = CommitProperties(custom_metadata={"by": "another"})
    data = DeltaTable(path).to_pyarrow_table()
    write_deltalake(path, data, mode="overwrite", commit_properties=properties)


# A full disk ------------------------------------------------------------------------------------

LIMIT = 2_000_000  # bytes; the export is of six million


@contextlib.contextmanager
def _mounted(folder):
    """Mount a small disk, and yield what a file is limited to there: nothing; or it is too."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={LIMIT}", "tmpfs", folder]
    is_root = os.name == "posix" and os.getuid() == 0
    if not is_root or subprocess.run(mount, check=False, capture_output=True).returncode:
        yield LIMIT  # nor may root in some containers
        return
    try:
        yield -1
    finally:
        subprocess.run(["umount", "-l", folder], check=True)  # noqa: S607 - where it is differs


@pytest.mark.parametrize(
    ("name", "mode"), [(name, mode) for name, mode in FILES if mode != TARGETS[name][1][-1]]
)
def test_a_file_that_may_not_grow_leaves_what_was_there(place, name, mode):
    _require_told_of_full(place(name), mode, LIMIT)


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "postgres"])
def test_a_full_disk_leaves_what_was_there(place, tmp_path, name):
    where = _folder(tmp_path, "small")
    with _mounted(str(where)) as limit:
        _require_told_of_full(place(name, where), TARGETS[name][1][-1], limit)


def _require_told_of_full(made, mode, limit):
    before, names = made.begin(mode), made.names()
    size = _size(made.path)
    kind, said = _told_of_full(made, mode, limit)
    assert kind == "ExportError", said
    assert f"{made.folder}/usage" in said
    assert "is as it was before" in said
    assert "\n\nMake room" in said
    assert made.rows() == before
    assert _size(made.path) == size
    if not made.target.startswith("delta:"):  # whose files without a commit go by its vacuum
        assert made.names() == names


def _size(path):
    return os.path.getsize(path) if os.path.isfile(path) else None


def _told_of_full(made, mode, limit):
    receive, send = processes.CONTEXT.Pipe(duplex=False)
    given = (made.target, mode, made.options, limit, send)
    process = processes.run(export_process.export_when_full, *given)
    process.join(60)
    return receive.recv() if receive.poll() else ("killed", process.exitcode)


def test_a_full_disk_of_the_server_leaves_what_was_there(place):
    made = place("postgres")
    before = made.begin("upsert")
    with pytest.raises(ExportError, match=r"is as it was before: .*(File too large|No space)"):
        tu.export_usage(frame(map(str, range(4_000)), size=12_000), made.target, mode="upsert")
    assert made.rows() == before


def test_a_full_temporary_folder_is_told_of(tmp_path, monkeypatch):
    path = tmp_path / "given.parquet"
    given = frame([f"n{n}" for n in range(1_000)], size=6_000)
    given.write_parquet(path)
    receive, send = processes.CONTEXT.Pipe(duplex=False)
    arguments = (str(path), f"{tmp_path}/usage.parquet", LIMIT, send)
    processes.run(export_process.stage_when_full, *arguments).join(60)
    kind, said, left = receive.recv()
    assert kind == "ExportError"
    assert "usage.parquet' could not be written, and is as it was before" in said
    assert "Make room there and in" in said
    assert os.listdir(tmp_path) == ["given.parquet"]
    assert left == []


# A connection that ends ------------------------------------------------------------------------


def _asked(server, query, *values):
    with psycopg.connect(server, autocommit=True) as connection:
        return connection.execute(query, values).fetchall()


@pytest.mark.parametrize("mode", ["overwrite", "append", "upsert"])
@pytest.mark.parametrize("end", ["terminated", "crashed"])
def test_a_connection_that_ends_within_copy_leaves_all_rows(place, server, monkeypatch, end, mode):
    made = place("postgres")
    before = made.begin(mode)
    made.target = f"{made.target}&application_name=cut%20off"
    monkeypatch.setattr(postgres_writer, "_ROWS", 100)
    as_, seen = postgres_writer._as, []

    def cut_off(*args):
        if not seen:
            query = "select pid, query from pg_stat_activity where application_name = 'cut off'"
            seen.extend(_asked(server, query))
            if end == "terminated":
                _asked(server, "select pg_terminate_backend(%s, 10000)", seen[0][0])
            else:
                os.kill(seen[0][0], 9)  # the server ends all connections, and recovers
        return as_(*args)

    monkeypatch.setattr(postgres_writer, "_as", cut_off)
    with pytest.raises(ExportError, match="was not written, and is as it was before"):
        tu.export_usage(frame([f"n{n}" for n in range(3_000)], size=900), made.target, mode=mode)
    assert seen[0][1].startswith("COPY")
    monkeypatch.undo()
    _await_server(server)
    assert made.rows() == before
    made.export("xyz", "overwrite")
    assert len(made.rows()) == 3


def _await_server(server):
    for _ in range(600):
        try:
            return _asked(server, "select 1")
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise TimeoutError


SECRET = "p/w#s?e@c[r%et"  # noqa: S105 - of a role that the test makes


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://mallory:{}@{host}/postgres", 'role "mallory" does not exist'),
        ("postgresql://tidyusage:{}@{host}/none", 'database "none" does not exist'),
        ("postgresql://tidyusage:{}@127.0.0.1:1/postgres", "Connection refused"),
        ("postgresql://tidyusage:{}@none.invalid/postgres", "could not translate host name"),
        ("postgresql://tidyusage:{}%zz@{host}/postgres", "invalid percent-encoded token"),
        ("postgresql://{host}/postgres?user=u&password={}&nonsense=1", "invalid URI query"),
        ("postgresql://{host}/postgres?user=mallory&password={}", 'role "mallory"'),
        ("mysql://tidyusage:{}@{host}/postgres", "cannot export to mysql"),
        ("postgresql://tidyusage:{}@{host}/postgres?schema=", "names no schema"),
    ],
)
def test_an_error_shows_no_password_nor_do_its_frames(server, address, said):
    host = server.partition("@")[2].partition("/")[0]
    with pytest.raises((ExportError, OptionError), match=said) as caught:
        _exported(lambda: address.format(quote(SECRET, safe=""), host=host))
    _require_hidden(caught.value)


@pytest.mark.parametrize("sign", "/#?@[")
def test_an_address_whose_password_cannot_be_told_is_refused_without_it(sign):
    with pytest.raises(OptionError, match=r"cannot be read\.\n\nWrite .* / is %2F") as caught:
        _exported(lambda: f"postgresql://u:pw{sign}secret@host/db")
    _require_hidden(caught.value)


def test_a_key_that_is_none_is_refused_without_the_password():
    with pytest.raises(OptionError, match="is no key") as caught:
        _exported(lambda: "postgresql://u:secret@h/db", anonymise="user", anonymise_key=" ")
    _require_hidden(caught.value)


def _exported(address, **options):
    return tu.export_usage(frame("a"), address(), mode="append", **options)


def _require_hidden(error):
    parts = {SECRET, quote(SECRET, safe=""), "secret@", "pw/", "pw#", "pw?", "pw@", "pw["}
    while error is not None:
        held = [repr(error), str(error)]
        for found, _ in traceback.walk_tb(error.__traceback__):
            if found.f_code.co_filename != __file__:
                held += [repr(value) for value in found.f_locals.values()]
        assert not [text for text in held for part in parts if part in text]
        error = error.__cause__ or error.__context__


def test_the_password_stands_in_no_manifest_and_words_of_the_server_reach_it(server):
    address = server.replace("tidyusage@", f"tidyusage:{quote(SECRET, safe='')}@")
    options = quote("-c statement_timeout=54321", safe="")
    told = tu.export_usage(frame("a"), f"{address}?schema=hidden&options={options}")
    assert told["target"] == f"{server}?schema=hidden"
    (found,) = _asked(server, "select manifest::text from hidden.tidyusage_manifest")
    assert "54321" not in found[0]
    assert "%2F" not in found[0]


@pytest.mark.parametrize("tables", ["wide", "long", "star"])
def test_two_upserts_to_one_schema_neither_lose_nor_double_rows(place, server, monkeypatch, tables):
    made = place("postgres")
    table = {"wide": WIDE, "long": "usage_long", "star": "fact_charges"}[tables]
    schema = made.target.partition("=")[2]
    tu.export_usage(frame("abc"), made.target, tables=tables)
    note, held, failures = postgres_writer._note, threading.Event(), []

    def late(*args):
        if not held.is_set():
            held.set()
            _await_second(server, second)
        note(*args)

    def upsert(ids):
        try:
            tu.export_usage(frame(ids, "new"), made.target, tables=tables, mode="upsert")
        except Exception as error:  # noqa: BLE001 - it is looked at below
            failures.append(error)

    monkeypatch.setattr(postgres_writer, "_note", late)
    first = threading.Thread(target=upsert, args=("bcd",))
    second = threading.Thread(target=upsert, args=("dcbe",))
    first.start()
    held.wait(60)
    second.start()
    first.join(60)
    second.join(60)
    assert failures == []
    each = {"wide": 1, "long": 2, "star": 1}[tables]  # tokens and a charge; a charge
    assert _asked(server, f'select count(*) from "{schema}".{table}') == [(5 * each,)]


def _await_second(server, second):
    """Wait until the second export waits for the first, or is at its end."""
    query = "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
    while not second.ident or (second.is_alive() and not _asked(server, query)):
        time.sleep(0.01)


# Two at once ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["parquet", "csv", "excel", "hyper", "folder", "star"])
def test_of_two_exports_that_overwrite_one_file_one_is_there_whole(place, monkeypatch, name):
    made = place(name)
    made.begin("overwrite")
    _overtaken(monkeypatch, lambda: made.export("xyz", "overwrite", "theirs"))
    made.export("uvw", "overwrite", "ours")
    assert sum("ours" in row for row in made.rows()) == 3
    assert not [row for row in made.rows() if "theirs" in row]
    assert not [n for n in made.names() if "partial" in n]


@pytest.mark.parametrize("mode", ["error", "append"])
@pytest.mark.parametrize("name", ["parquet", "csv", "hyper", "folder", "star"])
def test_rows_that_another_export_put_there_meanwhile_are_not_lost(place, monkeypatch, name, mode):
    made = place(name)
    made.begin(mode)
    _overtaken(monkeypatch, lambda: made.export("xyz", "overwrite", "theirs"))
    with pytest.raises(ExportError, match=r"was changed by another while.*\n\nRun it again"):
        made.export("uvw", mode, "ours")
    assert sum("theirs" in row for row in made.rows()) == 3
    assert not [row for row in made.rows() if "ours" in row]
    made.export("uvw", "append", "ours")


def _overtaken(monkeypatch, other):
    """Have another export run from beginning to end before this one takes its place."""
    take = whole.Files.take_places

    def late(self):
        monkeypatch.setattr(whole.Files, "take_places", take)
        other()
        take(self)

    monkeypatch.setattr(whole.Files, "take_places", late)


def test_a_duckdb_file_that_is_open_elsewhere_is_told_of(tmp_path):
    path = str(tmp_path / "usage.duckdb")
    tu.export_usage(frame("ab"), path)
    with (
        duckdb.connect(path),
        pytest.raises(ExportError, match=r"usage\.duckdb' could not be written"),
    ):
        tu.export_usage(frame("xyz"), path, mode="overwrite")
    assert len(read_duckdb(path)) == 2


# Names ------------------------------------------------------------------------------------------

NAMES = [
    'a"b', "a'b", "a.b", "a\nb", "😀", '"; drop table usage_wide; --', "x" * 63, "é" * 31, " ", "a\\b",
    "%s", "$1", "{x}", "select", "tu__x", "own[0]", "a,b", "e\u0301", "é", "a;b(c)", "rowid", "_file",
]  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_columns_of_any_name_come_back(place, name):
    made = place(name)
    named = frame("ab").with_columns(pl.lit(f"v{n}").alias(of) for n, of in enumerate(NAMES))
    for mode in ("error", TARGETS[name][1][-1]):
        tu.export_usage(named, made.target, mode=mode, **made.options)
    rows = [row for row in made._read(made.path) if row.get("table", "fact_usage") == "fact_usage"]
    assert len(rows) in {2, 4}
    for row in rows:
        assert {of: row[of] for of in NAMES} == {of: f"v{n}" for n, of in enumerate(NAMES)}


@pytest.mark.parametrize("name", ["parquet", "folder", "delta", "postgres"])
@pytest.mark.parametrize("of", ["", "a\0b", "Product_ID"])
def test_a_column_whose_name_cannot_be_held_is_refused(place, name, of):
    made = place(name)
    with pytest.raises(FrameError, match=r"is no name of a column|few targets can tell apart"):
        tu.export_usage(
            frame("ab").with_columns(pl.lit("x").alias(of)), made.target, **made.options
        )
    assert made.rows() is None
    assert made.names() == []


@pytest.mark.parametrize("of", ["x" * 64, "é" * 32])
def test_postgresql_would_cut_a_name_off(place, of):
    made = place("postgres")
    with pytest.raises(ExportError, match=r"63 bytes at most"):
        tu.export_usage(frame("ab").with_columns(pl.lit("x").alias(of)), made.target)
    with pytest.raises(OptionError, match=r"63 bytes at most"):
        tu.export_usage(frame("ab"), f"{made.target.partition('?')[0]}?schema={quote(of)}")
    assert made.rows() is None


@pytest.mark.parametrize("schema", ['a"b', "a'b", '"; drop schema public; --', "😀", "a.b", "é" * 31, "a&b=c%"])  # fmt: skip
def test_a_schema_of_any_name(server, schema):
    tu.export_usage(frame("ab"), f"{server}?schema={quote(schema, safe='')}")
    tu.export_usage(frame("bc"), f"{server}?schema={quote(schema, safe='')}", mode="upsert")
    query = "select table_name::text from information_schema.tables where table_schema = %s"
    found = _asked(server, query, schema)
    assert sorted(found) == [("tidyusage_manifest",), (WIDE,)]


def test_delta_lake_cannot_merge_by_way_of_a_backtick(tmp_path):
    named = frame("ab").with_columns(pl.lit("x").alias("a`b"))
    target = f"delta:{tmp_path}/usage"
    tu.export_usage(named, target)
    with pytest.raises(ExportError, match="by way of the column 'a`b'"):
        tu.export_usage(named, target, mode="upsert")
    assert DeltaTable(f"{tmp_path}/usage/{WIDE}").version() == 0


VALUES = [
    "../../x", "a/b", "a=b", None, "..", ".", "a\0b", "%2F", "%", "a b", "/etc/passwd", "\n", "😀", "x" * 200,
    "'\"", "null", "nan", "01", "True", "\\", "x+y", "#?&", "é", "e\u0301", "~",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["", "delta:"])
def test_no_partition_leaves_its_folder_and_all_values_come_back(tmp_path, kind):
    values = VALUES if kind else [*VALUES, ""]
    given = frame([f"n{n}" for n in range(len(values))]).with_columns(pl.Series("own", values))
    for mode in ("error", "upsert"):
        tu.export_usage(given, f"{kind}{tmp_path}/usage/", partition_by="own", mode=mode)
    assert os.listdir(tmp_path) == ["usage"]
    assert {*os.listdir(tmp_path / "usage")} == {"_manifest.json", WIDE}
    path = f"{tmp_path}/usage/{WIDE}"
    inner = [name for name in os.listdir(path) if name != "_delta_log"]
    assert len(inner) == len(values)
    assert all(name.startswith("own=") for name in inner)
    wanted = {f"n{n}": value for n, value in enumerate(values)}
    for rows in _delta_rows(path) if kind else _hive_rows(path):
        assert {row["id"]: row["own"] for row in rows} == wanted


def _hive_rows(path):
    yield pl.read_parquet(f"{path}/", hive_schema={"own": pl.String}).to_dicts()
    hive = ds.partitioning(pa.schema([("own", pa.string())]), flavor="hive")
    yield ds.dataset(path, partitioning=hive).to_table().to_pylist()
    options = "hive_partitioning = true, hive_types = {own: varchar}"
    yield (
        duckdb.sql(f"from read_parquet('{path}/*/*.parquet', {options})")
        .to_arrow_table()
        .to_pylist()
    )


def _delta_rows(path):
    yield DeltaTable(path).to_pyarrow_table().to_pylist()
    yield pl.read_delta(path).to_dicts()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("", "x" * 252),  # own= and 252 are 256 bytes
        ("delta:", "x" * 252),
        ("", "é" * 60),  # six bytes each, as %C3%A9
        ("delta:", "é" * 60),
        ("", "__HIVE_DEFAULT_PARTITION__"),
        ("delta:", "__HIVE_DEFAULT_PARTITION__"),
        ("delta:", ""),  # which Delta Lake takes for null
    ],
)
def test_a_value_that_cannot_be_a_folder_is_refused(tmp_path, kind, value):
    given = frame("ab").with_columns(pl.Series("own", ["fine", value]))
    with pytest.raises(ExportError, match=r"The value .* of 'own' cannot be the name of a folder"):
        tu.export_usage(given, f"{kind}{tmp_path}/usage/", partition_by="own")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", [0.5, b"x", [1], {"a": 1}])
def test_a_column_whose_values_readers_take_for_others_is_no_partition(tmp_path, value):
    given = frame("ab").with_columns(pl.Series("own", [value, None]))
    with pytest.raises(OptionError, match="by which readers cannot tell folders apart"):
        tu.export_usage(given, f"{tmp_path}/usage/", partition_by="own")
    assert os.listdir(tmp_path) == []
