"""Read mutated records in every container, and hold what comes of it to five invariants.

    python tests/fuzz.py --records 1000000 --seed 1 [--alone 1000] [--seconds 60]

1. Accepted and rejected records add up to those given.
2. Accepted records have the values that `fuzz_judge` gives them.
3. Rejected records have the right line.
4. No exception but the library's own, no hang, no blow-up of memory.
5. One verdict: as NDJSON, array, page and dicts, on pandas and Polars, alone and among clean records.
"""

import argparse
import json
import os
import random
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from time import monotonic

import tidyusage as tu
from fuzz_judge import Rejected, judge, parse, records
from fuzz_records import clean, mutated

BATCH = 5_000
QUICK = 1_000  # batch size when a time limit is set
BLANK = b" \t\n\r\v\f"
BOM = b"\xef\xbb\xbf"
HANG = 600  # seconds for one batch
MEMORY = 6  # GiB that the process may hold


class Fuzzer:
    """Counts what was read, and keeps what broke an invariant."""

    def __init__(self, seed, folder):
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.folder = folder
        self.read, self.accepted, self.rejected, self.reads = 0, 0, 0, 0
        self.failures = []
        self.clean = clean(BATCH, seed)
        signal.signal(signal.SIGALRM, _hang)

    def texts(self, count):
        """Yield so many mutated records with their verdicts; each is one line without its end."""
        while count:
            text = mutated(self.random.choice(self.clean), self.random).strip(BLANK)
            verdicts = judged(text)
            if verdicts is not None:
                count -= 1
                yield text, verdicts

    def batch(self, count):
        """Read so many records in each container."""
        found = list(self.texts(count))
        # The first line is a clean record, which tells the shape of the text.
        first = json.dumps(self.clean[0]).encode()
        lines = [(first, judged(first)), *found]
        end = self.random.choice([b"\n", b"\r\n", b"\n\n"])
        step = end.count(b"\n")
        self.hold("lines", lines, end.join(text for text, _ in lines), step=step)
        whole = [(text, verdicts) for text, verdicts in found if is_json(text)]
        texts = [text for text, _ in whole]
        self.hold("array", whole, b"[" + b",\n".join(texts) + b"]")
        page = b'{"next_cursor": null, "result": [' + b",\n".join(texts) + b"]}"
        self.hold("page", whole, page, backend="pandas")
        objects = [(text, as_object(text)) for text in texts]
        dicts = [(text, judged(text), value) for text, value in objects if value is not None]
        given = [(text, verdicts) for text, verdicts, _ in dicts]
        self.hold("dicts", given, [value for _, _, value in dicts], step=None)

    def alone(self, count):
        """Read so many records alone, and each among clean ones."""
        many = [json.dumps(record).encode() for record in self.clean]
        for text, verdicts in list(self.texts(count)):
            if not text.startswith((b"[", BOM + b"[")):  # alone, that is an array of records
                self.hold("alone", [(text, judged(text.removeprefix(BOM)))], text)
            place = self.random.randrange(1, len(many))
            lines = [(line, [{"id": None}]) for line in many]
            lines.insert(place, (text, verdicts))
            self.hold("among", lines, b"\n".join(line for line, _ in lines))

    def hold(self, container, given, data, *, step=1, backend="polars"):
        """Read records and compare what comes of it with the verdicts."""
        self.reads += 1
        target = os.path.join(self.folder, "rejects.ndjson")
        signal.alarm(HANG)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", tu.errors.UsageWarning)
                frame = tu.flatten_usage(
                    data, rejects=target, backend=backend, duplicates="keep", unknown="ignore"
                )
        except Exception:  # noqa: BLE001 - whatever it is, it is found out here
            self.fail(container, data, traceback.format_exc(limit=-3))
            return
        finally:
            signal.alarm(0)
        rejects = []
        if os.path.exists(target):
            with open(target, encoding="utf-8", errors="surrogateescape") as stream:
                rejects = [json.loads(line) for line in stream]
        self.compare(container, given, frame, rejects, step)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MEMORY * 2**20:
            self.fail(container, b"", f"more than {MEMORY} GiB are held")

    def compare(self, container, given, frame, rejects, step):
        good, bad = [], []
        for place, (text, verdicts) in enumerate(given):
            for row in verdicts:
                (bad if row is None else good).append((place * (step or 1) + 1, text, row))
        self.read += len(good) + len(bad)
        self.accepted += len(frame)
        self.rejected += len(rejects)
        wrong = self.wrong_lines(bad, rejects, step)
        if wrong or len(frame) != len(good):
            detail = f"{len(frame)} of {len(good)} accepted, {len(rejects)} of {len(bad)} rejected"
            self.fail(container, b"\n".join(wrong[:3]), detail)
            return
        rows = frame.to_dicts() if hasattr(frame, "to_dicts") else frame[["id"]].to_dict("records")
        for (_, text, expected), row in zip(good, rows, strict=True):
            for name in row:
                if expected.get(name) is not None and not same(row[name], expected[name]):
                    self.fail(container, text, f"{name}: {row[name]!r}, not {expected[name]!r}")
                    break

    def wrong_lines(self, bad, rejects, step):
        """Return the texts whose rejects are missing, or that were rejected although they are right."""
        if step is None:
            return [] if len(bad) == len(rejects) else [repr(rejects[:3]).encode()]
        expected, found = {}, {}
        for line, text, _ in bad:
            expected.setdefault(line, []).append(text)
        for reject in rejects:
            found.setdefault(reject["line"], []).append(repr(reject).encode())
        lines = expected.keys() | found.keys()
        return [
            (found.get(line) or expected.get(line))[0]
            for line in lines
            if len(expected.get(line, ())) != len(found.get(line, ()))
        ]

    def fail(self, container, text, detail):
        shown = text if isinstance(text, bytes) else repr(text)[:500].encode()
        self.failures.append((container, shown[:3_000], detail))
        say(f"FAILED {container}: {detail}\n  {shown[:1_500]!r}")


def _hang(*_):
    raise TimeoutError(f"a read took more than {HANG} seconds")


def say(text):
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def judged(text):
    """Return the row of each record of a line, None where it is rejected; None if it cannot be said.

    Where an array or a page breaks off, how many records are in the rest is left open.
    """
    if not text.strip(BLANK):
        return []
    try:
        value = parse(text)
    except Rejected:
        return None if text.startswith(b"[") or b'"result"' in text else [None]
    return [_row(record) for record in records(value)]


def _row(record):
    try:
        return judge(record)
    except Rejected:
        return None


def is_json(text):
    try:
        parse(text)
    except Rejected:
        return False
    return True


def as_object(text):
    """Return the Python object of a text that is strictly JSON; None if it is not."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _once(pairs):
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError
    return made


def _refuse(word):
    raise ValueError(word)


def same(found, expected):
    """Return whether a value is the expected one; how a float is written as text is left open."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            same(found.get(key), value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return len(found or ()) == len(expected) and all(map(same, found, expected))
    if found == expected:
        return True
    try:
        return isinstance(expected, str) and float(found) == float(expected)
    except (TypeError, ValueError):
        return False


def run(count, seed, alone=0, seconds=None):
    """Fuzz so many records, or for so many seconds; return the fuzzer."""
    start = monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        fuzzer = Fuzzer(seed, folder)
        fuzzer.alone(alone)
        done = 0
        while done < count and (seconds is None or monotonic() - start < seconds):
            size = min(BATCH if seconds is None else QUICK, count - done)
            fuzzer.batch(size)
            done += size
            took = monotonic() - start
            say(
                f"{done:,} records mutated, {fuzzer.reads:,} reads of {fuzzer.read:,} records: "
                f"{fuzzer.accepted:,} accepted, {fuzzer.rejected:,} rejected, "
                f"{len(fuzzer.failures)} failures, {took:,.0f} s"
            )
    return fuzzer


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--alone", type=int, default=0, help="so many are read alone, and among others"
    )
    parser.add_argument("--seconds", type=float, help="stop after so long")
    options = parser.parse_args()
    return bool(run(options.records, options.seed, options.alone, options.seconds).failures)


if __name__ == "__main__":
    sys.exit(main())
