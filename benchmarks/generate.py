"""Write sample records as NDJSON: ``python benchmarks/generate.py COUNT [PATH]``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import orjson

from tidyusage.testing import sample_records

DATA: Final = Path(__file__).parent / "data"
SEED: Final = 20_260_101


def default_path(count: int) -> Path:
    """Return where a file of so many records stands unless told otherwise."""
    return DATA / f"usage-{count}.ndjson"


def generate(count: int, path: Path) -> None:
    """Write records, the vendors' raw objects among them; a file cut short is never left behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as stream:
        stream.writelines(
            orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
            for record in sample_records(count, seed=SEED, remote_data=True)
        )
    part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="how many records")
    parser.add_argument("path", type=Path, nargs="?", help="default: benchmarks/data/")
    arguments = parser.parse_args()
    path = arguments.path or default_path(arguments.count)
    generate(arguments.count, path)
    print(f"{arguments.count:,} records, {path.stat().st_size / 1e6:,.0f} MB: {path}")


if __name__ == "__main__":
    main()
