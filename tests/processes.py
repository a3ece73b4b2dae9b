"""Processes of their own, for what is to be killed, measured, or run as a command.

They are forked from one that has imported everything, so that each is there at once.  There is one
such process for all tests, and one list of what it imports.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "export_process",
        "landing_process",
        "tidyusage.api.collect",
        "tidyusage.quality.validate",
        "tidyusage.cli",
        "tidyusage.export.delta",
        "adbc_driver_postgresql.dbapi",
        "deltalake",
        "pantab",
        "pyarrow.dataset",
        "rich.console",
        "typer.rich_utils",
        "xlsxwriter",
    ]
)


def run(target, *arguments):
    """Start a function in a process of its own."""
    process = CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def command(*arguments, environment, stdin=""):
    """Run `tidyusage` with arguments, as `subprocess.run` would, and return what it did."""
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("in", "out", "err")]
        with open(paths[0], "w", encoding="utf-8") as file:
            file.write(stdin or "")
        process = run(_command, words, dict(environment), os.getcwd(), paths)
        process.join(120)
        texts = []
        for path in paths[1:]:
            with open(path, encoding="utf-8") as file:
                texts.append(file.read())
    return subprocess.CompletedProcess(["tidyusage", *words], process.exitcode, *texts)


def _command(words, environment, folder, paths):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in enumerate(paths):
        flags = os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY
        os.dup2(os.open(path, flags, 0o600), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = ["tidyusage", *words]
    from tidyusage.cli.main import app

    app()
