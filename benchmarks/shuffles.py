"""What Spark sends from core to core for a question: ``python benchmarks/shuffles.py``.

Records are read, written as Parquet and asked.  Of each question it is told how many bytes and rows
stages hand to the next one, as Spark's own log of events counts them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import local_spark
import tidyusage as tu
from generate import default_path, generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUESTIONS: Final[dict[str, Callable[[Any], Any]]] = {
    'cost_by("model_id", overlap="ignore")': lambda df: tu.cost_by(
        df, "model_id", overlap="ignore"
    ),
    'cost_by("model_id")': lambda df: tu.cost_by(df, "model_id"),
    'cost_by("user_id", freq="1d")': lambda df: tu.cost_by(
        df, "user_id", freq="1d", overlap="ignore"
    ),
    "totals()": lambda df: tu.totals(df, overlap="ignore"),
    'active_users(freq="1mo")': lambda df: tu.active_users(df, freq="1mo"),
    'acceptance_rate("user_id")': lambda df: tu.acceptance_rate(df, "user_id", overlap="ignore"),
    "findings()": tu.findings,
    "daily()": tu.daily,
    "latest()": tu.latest,
}
_SENT: Final = "Shuffle Bytes Written"
_ROWS: Final = "Shuffle Records Written"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    records = parser.parse_args().records
    path = default_path(records)
    if not path.exists():
        generate(records, path)
    with tempfile.TemporaryDirectory() as folder, _spark(folder) as (session, events):
        wide = f"{folder}/wide"
        frame = tu.read_usage(path, backend="pyspark", session=session)
        _told("read_usage()", lambda: frame.write.parquet(wide), events, records)
        held = sum(file.stat().st_size for file in Path(wide).glob("*.parquet"))
        for name, question in QUESTIONS.items():
            rows = question(session.read.parquet(wide))
            _told(name, lambda rows=rows: _run(rows), events, records)
    print(
        f"\nA record takes {path.stat().st_size / records:,.0f} bytes of text, "
        f"{held / records:,.0f} of Parquet."
    )


def _run(rows: Any) -> None:
    rows.write.format("noop").mode("overwrite").save()


def _told(name: str, run: Callable[[], None], events: Callable[[], dict[str, int]], n: int) -> None:
    before = events()
    run()
    after = events()
    # Bytes a record are as many megabytes a million.
    sent, rows = ((after[key] - before[key]) / n for key in (_SENT, _ROWS))
    print(f"| `{name}` | {sent:,.2f} | {rows * 1e6:,.0f} |", flush=True)


@contextmanager
def _spark(folder: str) -> Iterator[tuple[Any, Callable[[], dict[str, int]]]]:
    log = Path(folder, "events")
    log.mkdir()
    settings = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.dir": log.as_uri(),
    }
    with local_spark.started(folder, "2g", **settings) as session:
        print("| question, of a million records | MB sent | rows sent |")
        print("| --- | ---: | ---: |")
        yield session, lambda: _counted(log)


def _counted(log: Path) -> dict[str, int]:
    """Return how many bytes all tasks so far have read and sent."""
    found = dict.fromkeys((_SENT, _ROWS), 0)
    for line in next(log.iterdir()).read_text().splitlines():
        if '"SparkListenerTaskEnd"' not in line:
            continue
        metrics = json.loads(line).get("Task Metrics") or {}
        for key in (_SENT, _ROWS):
            found[key] += metrics.get("Shuffle Write Metrics", {}).get(key, 0)
    return found


if __name__ == "__main__":
    main()
