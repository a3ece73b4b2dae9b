"""What the tests of exports run in processes of their own, to be killed or kept from writing."""

import functools
import itertools
import os
import resource
import shutil
import signal
import sys
import tempfile

import duckdb
import polars as pl

import tidyusage as tu
from tidyusage._utils import whole
from tidyusage.export import database, delta

WRITTEN = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree"}


def frame(ids, note="", size=0):
    """A frame of records with a text each, which does not compress."""
    ids = list(ids)
    texts = [note + os.urandom(size // 2).hex() for _ in ids]
    named = [pl.Series("id", ids), pl.Series("user.id", [f"u-{id_}" for id_ in ids])]
    return pl.concat([one()] * len(ids)).with_columns(*named, pl.Series("own", texts))


@functools.cache
def one():
    """A frame of one record."""
    record = {
        "id": "one",
        "usage": {"tokens": {"input": 3}},
        "charges": [{"type": "net", "amount": 0.5, "currency": "USD"}],
        "start_date": "2026-01-01",
        "end_date": "2026-01-02",
    }
    return tu.flatten_usage([record], backend="polars")


def export(target, mode, options):
    """Export two rows: one is there already, but for a star, to which only new ones are added."""
    ids = "cd" if mode == "append" and options.get("tables") == "star" else "bc"
    tu.export_usage(frame(ids, "new"), target, mode=mode, **options)


def export_aside(target, mode, options, folder):
    """Export, to be killed."""
    _keep_aside(folder)
    export(target, mode, options)


def _keep_aside(folder):
    """Have temporary files, which a kill leaves, beside a folder of a test."""
    tempfile.tempdir = os.path.dirname(folder)


def export_with_copies(target, mode, options, folder, into):
    """Export; copy the folder before every step of writing, as a kill there would leave it."""
    count = itertools.count()
    _at_each_step(folder, lambda: shutil.copytree(folder, f"{into}/{next(count)}"))
    export(target, mode, options)
    shutil.copytree(folder, f"{into}/{next(count)}")


def export_and_die(target, mode, options, folder, step):
    """Export, and kill this process before the given step of writing."""
    _keep_aside(folder)
    left = [step]

    def dying():
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _at_each_step(folder, dying)
    export(target, mode, options)
    os._exit(7)  # there were not so many


def export_when_full(target, mode, options, limit, pipe):
    """Export more than a file may hold, and tell the error."""
    given = frame([f"n{n}" for n in range(1_000)], size=6_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    pipe.send(_told(given, target, mode=mode, **options))


def stage_when_full(path, target, limit, pipe):
    """Export a relation, which is staged in a temporary folder of its own, and tell the error."""
    tempfile.tempdir = tempfile.mkdtemp()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    relation = duckdb.connect().from_parquet(path)
    found = _told(relation, target)
    pipe.send((*found, os.listdir(tempfile.tempdir)))
    os.rmdir(tempfile.tempdir)


def _told(given, target, **options):
    try:
        tu.export_usage(given, target, **options)
    except BaseException as error:  # noqa: BLE001 - its kind is what is asked
        return type(error).__name__, str(error)
    return "nothing", ""


def _at_each_step(folder, step):
    """Call a function before whatever is done to a folder, to a DuckDB file or to PostgreSQL."""
    from adbc_driver_manager import dbapi

    def before(function):
        def called(*args, **kwargs):
            step()
            return function(*args, **kwargs)

        return called

    def heard(event, args):
        is_written = event in WRITTEN or (event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR))
        if is_written and str(args[0]).startswith(folder):
            step()

    class Counted:
        """A connection to DuckDB whose statements are steps."""

        def __init__(self, connection):
            self._connection = connection

        def __getattr__(self, name):
            return getattr(self._connection, name)

        def execute(self, *args):
            if not args[0].startswith("comment"):  # one for each column
                step()
            return self._connection.execute(*args)

    write = database.write
    database.write = lambda connection, job: write(Counted(connection), job)
    delta._commit, delta._merge = before(delta._commit), before(delta._merge)
    os.fsync = before(lambda _: None)  # no test cuts the power
    whole._exchange_at_once = before(whole._exchange_at_once)
    execute = dbapi.Cursor.execute
    dbapi.Cursor.execute = lambda self, sql, *args: (
        execute(self, sql, *args)
        if str(sql).startswith("comment")
        else before(execute)(self, sql, *args)
    )
    dbapi.Cursor.adbc_ingest = before(dbapi.Cursor.adbc_ingest)
    dbapi.Connection.commit = before(dbapi.Connection.commit)
    sys.addaudithook(heard)
