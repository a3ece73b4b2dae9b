"""Spark in local mode, on all cores of this machine, for benchmarks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def started(folder: str, memory: str, **more: str) -> Iterator[Any]:
    """Start a session that shuffles by way of a folder; ``memory`` is Java's, ``more`` settings."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.memory": memory,
        "spark.local.dir": folder,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        **more,
    }
    session = SparkSession.builder.master("local[*]").config(map=settings).getOrCreate()
    try:
        yield session
    finally:
        session.stop()
