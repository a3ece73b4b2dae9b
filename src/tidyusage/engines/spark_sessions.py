"""Find the Spark session to read with: the caller's, or the active one."""

from __future__ import annotations

import sys
from typing import Any

from tidyusage.errors import MissingExtraError, OptionError


def session(given: Any) -> Any:
    """Return the session that is given, else the active one, be it here or of Spark Connect."""
    if given is not None:
        if type(given).__name__ != "SparkSession":
            raise OptionError(
                f"session= is a {type(given).__name__}, and no Spark session.",
                "Give one, as of SparkSession.builder.getOrCreate().",
            )
        return given
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise MissingExtraError(
            "backend='pyspark' needs pyspark, which is not installed.",
            "Install tidyusage[spark]; Spark itself needs Java 17 or newer.",
        ) from error
    found = SparkSession.getActiveSession() or _connected()
    if found is None:
        raise OptionError(
            "There is no active Spark session.",
            "Make one by SparkSession.builder.getOrCreate(), or give session=.",
        )
    return found


def _connected() -> Any:
    """Return the active session of Spark Connect; where none was made, its module is not loaded."""
    module = sys.modules.get("pyspark.sql.connect.session")
    return module.SparkSession.getActiveSession() if module else None
