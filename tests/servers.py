"""Engines beside our own, for tests: a PostgreSQL server on loopback, and a local Spark."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest


def _programs():
    """Return the folder of PostgreSQL's programs, which Debian keeps off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parts[4])
    on_path = shutil.which("initdb")
    folders += [Path(on_path).resolve().parent] if on_path else []
    return next((path for path in reversed(folders) if (path / "initdb").exists()), None)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def postgres():
    """Start a server of its own in a temporary folder, and stop it; yield its address."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    # The server refuses to run as root: it runs as whom Debian's package has for it.
    user = "postgres" if os.getuid() == 0 else None
    folder = tempfile.mkdtemp(prefix="tidyusage-postgres-")
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    port = _free_port()

    def run(program, *arguments):
        command = [str(programs / program), *arguments]
        options = {"user": user, "cwd": folder, "env": {**os.environ, "LC_ALL": "C.UTF-8"}}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120, **options)

    data = f"{folder}/data"
    try:
        run("initdb", "-D", data, "-U", "tidyusage", "-A", "trust", "--no-sync")
        settings = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
        run("pg_ctl", "-D", data, "-l", f"{folder}/log", "-o", settings, "-w", "start")
        try:
            yield f"postgresql://tidyusage@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require_java():
    """Skip the test where Spark cannot run, and say why."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Java is not installed (Debian: default-jre-headless)")


@contextmanager
def spark():
    """Start a Spark session in this process, on two threads, and stop it; it serves Connect."""
    require_java()
    from pyspark.sql import SparkSession

    folder = tempfile.mkdtemp(prefix="tidyusage-spark-")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "1",
        # Compiling, and planning anew as rows come, take longer than few rows do.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "2g",
        "spark.sql.maxPlanStringLength": "100",  # what pages of its own would show of a plan
        "spark.sql.ui.retainedExecutions": "1",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(_free_port()),
        "spark.sql.warehouse.dir": folder,
        "spark.local.dir": folder,
        "spark.log.level": "ERROR",
    }
    heard = signal.getsignal(signal.SIGINT)
    session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    signal.signal(signal.SIGINT, heard)  # other tests of this process press Ctrl-C
    try:
        yield session
    finally:
        session.stop()
        shutil.rmtree(folder, ignore_errors=True)


def connected(session):
    """Return a session of Spark Connect on the server of another."""
    from pyspark.sql.connect.session import SparkSession

    port = session.conf.get("spark.connect.grpc.binding.port")
    return SparkSession.builder.remote(f"sc://127.0.0.1:{port}").create()
