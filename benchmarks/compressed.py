"""Measure what it costs to check compressed files for damage: ``python benchmarks/compressed.py``.

DuckDB's own reading notices neither a zstd file that is cut off nor a wrong gzip checksum, so each
file is unpacked once before it is read.  The check may take at most a tenth of the CPU time of
reading the same file.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

import tidyusage as tu
from tidyusage.io import compression

if TYPE_CHECKING:
    from collections.abc import Callable

HERE: Final = Path(__file__).parent
MOST: Final = 0.10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=56_000, help="56,000 make 51 MB")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "usage.ndjson")
        command = [sys.executable, HERE / "generate.py", str(arguments.records), text]
        subprocess.run(command, check=True, stdout=sys.stderr)
        print(f"{text.stat().st_size / 1e6:.0f} MB of text, CPU seconds, median of the rounds\n")
        print("| | compressed | check | read, with the check | share | bar |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for path in (_gzip(text), _zstd(text)):
            _measure(path, arguments.rounds)


def _measure(path: Path, rounds: int) -> None:
    kind = compression.detect(str(path))
    checks, reads = [], []
    for _ in range(rounds):
        checks.append(_cpu(lambda: compression.check(str(path), path.name, kind)))
        reads.append(_cpu(lambda: tu.read_usage(path, backend="polars")))
    check, read = statistics.median(checks), statistics.median(reads)
    size = path.stat().st_size / 1e6
    print(
        f"| {kind} | {size:.1f} MB | {check:.3f} | {read:.2f} | {check / read:.1%} | {MOST:.0%} |"
    )


def _cpu(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _gzip(text: Path) -> Path:
    path = text.with_suffix(".ndjson.gz")
    path.write_bytes(gzip.compress(text.read_bytes(), 6))
    return path


def _zstd(text: Path) -> Path:
    path = text.with_suffix(".ndjson.zst")
    with pa.CompressedOutputStream(str(path), "zstd") as stream:
        stream.write(text.read_bytes())
    return path


if __name__ == "__main__":
    main()
