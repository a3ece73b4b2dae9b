"""Exports that are killed, cut off, or find a full disk: what was there stays, or all is new."""

import csv
import gzip
import json
import os
import random
import subprocess
import threading
import time
import traceback

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
import tidyusage as tu
from export_process import frame
from servers import postgres
from tidyusage.errors import ExportError, FrameError, OptionError
from tidyusage.export import delta, delimited, excel, folder, hyper, parquet, whole
from tidyusage.export import postgres as postgres_writer

WIDE = "usage_wide"
ALL = ("error", "overwrite", "append", "upsert")


def read_csv(path):
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_excel(path):
    names, *rows = openpyxl.load_workbook(path, read_only=True)[WIDE].iter_rows(values_only=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def read_duckdb(path):
    with duckdb.connect(path, read_only=True) as connection:
        return connection.sql(f"from {WIDE}").to_arrow_table().to_pylist()


def read_hyper(path):
    return pantab.frame_from_hyper(path, table=WIDE, return_type="pyarrow").to_pylist()


def read_star(path):
    tables = sorted(name for name in os.listdir(path) if not name.startswith("_"))
    return [{"table": t, **row} for t in tables for row in pl.read_parquet(f"{path}/{t}/").to_dicts()]


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


@pytest.fixture(scope="module")
def server():
    with postgres() as url:
        yield url


class Place:
    """A target in a folder or a schema of its own, and what its reader finds there."""

    def __init__(self, name, folder, url=""):
        base, _, self.options, self._read = TARGETS[name]
        self.folder = str(folder)
        path = f"{folder}/{base.removeprefix('delta:')}".removesuffix("/")
        self.path = path if base else f"{url}?schema=s{random.getrandbits(60)}"  # noqa: S311
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
        if mode != "error":
            self.export("ab", "error")
        return self.rows()

    def names(self):
        return sorted(
            os.path.relpath(os.path.join(inner, name), self.folder)
            for inner, _, names in os.walk(self.folder)
            for name in names
        )


@pytest.fixture
def place(request, tmp_path):
    def made(name, where=tmp_path):
        url = request.getfixturevalue("server") if name == "postgres" else ""
        return Place(name, where, url)

    return made


# Killed ---------------------------------------------------------------------------------------


def chosen(count, mode):
    """All steps of an upsert; of other modes the first, the last, and some between."""
    some = {0, 1, count // 3, count // 2, count - 4, count - 3, count - 2, count - 1}
    return sorted({n for n in some if 0 <= n < count}) + [count]


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_killed_before_a_step_of_writing_all_is_old_or_all_is_new(place, tmp_path, name, mode):
    first = place(name, _folder(tmp_path, "dry"))
    first.begin(mode)
    receive, send = export_process.CONTEXT.Pipe(duplex=False)
    export_process.run(
        export_process.steps, first.target, mode, first.options, first.folder, send
    ).join(60)
    count, after = receive.recv(), first.rows()
    codes = []
    for step in chosen(count, mode):
        killed = place(name, _folder(tmp_path, str(step)))
        before = killed.begin(mode)
        assert before != after
        given = (killed.target, mode, killed.options, killed.folder, step)
        process = export_process.run(export_process.export_and_die, *given)
        process.join(60)
        codes.append(process.exitcode)
        _require_old_or_new(killed, before, after, step)
        assert killed.rows() == after or step < count
        _require_it_goes_on(killed)
    assert codes == [-9] * (len(codes) - 1) + [7]


def _folder(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    return path


def _require_old_or_new(killed, before, after, step):
    found = killed.rows()
    assert found in (before, after), step
    manifest = f"{killed.path}_manifest.json"
    if os.path.isfile(manifest) and found == after:
        with open(manifest, encoding="utf-8") as file:
            assert json.load(file)["tables"][WIDE]["rows_in_target"] == len(after)


def _require_it_goes_on(killed):
    """The next export works, and removes what the killed one left."""
    killed.export("xyz", "overwrite", "last")
    found = killed.rows()
    assert sum("'u-" in row and "last" in row for row in found) >= 3
    assert not [name for name in killed.names() if ".partial" in name or name.endswith(".wal")]


@pytest.mark.parametrize("name", TARGETS)
def test_killed_at_random_all_is_old_or_all_is_new(place, tmp_path, name):
    mode = TARGETS[name][1][-1]
    draw = random.Random(name)  # noqa: S311 - points in time are no secret
    done = place(name, _folder(tmp_path, "done"))
    done.begin(mode)
    began = time.monotonic()
    export_process.run(export_process.export, done.target, mode, done.options).join(60)
    duration, after = time.monotonic() - began, done.rows()
    for number in range(3):
        killed = place(name, _folder(tmp_path, str(number)))
        before = killed.begin(mode)
        process = export_process.run(export_process.export, killed.target, mode, killed.options)
        time.sleep(draw.uniform(0.2, 1.0) * duration)
        process.kill()
        process.join(60)
        _require_old_or_new(killed, before, after, number)
        _require_it_goes_on(killed)
