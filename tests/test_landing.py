"""Landing folders: pages whole or not at all, fetches that go on, and what comes new."""

import datetime as dt
import gzip
import hashlib
import json
import os
import random
import time
from contextlib import contextmanager

import polars as pl
import pytest

import api_server
import landing_process
import processes
import tidyusage as tu
from api_server import TOKEN, refusal, serving
from tidyusage.api import client, limits, pages
from tidyusage.api.query import Query
from tidyusage.errors import ApiError, OptionError, PartialWarning, SourceError

JANUARY = {"start_date": "2026-01-01", "end_date": "2026-02-01"}


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setattr(client, "WAIT", 0.01)
    monkeypatch.setattr(limits, "SECONDS", 0.0)  # tests/test_fetch.py tries the limits
    with serving() as (server, url):
        server.records = {("a1", None): api_server.records(280)}  # ten a day, to the 28th
        server.url = url
        yield server


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "usage")


def fetch(service, folder, **options):
    given = {"integrated_account_id": "a1", "token": TOKEN, "base_url": service.url, **options}
    return tu.fetch_usage(into=folder, **given)


def events(folder, kind=None):
    with open(f"{folder}/_manifest.ndjson") as stream:
        found = [json.loads(line) for line in stream]
    return [event for event in found if kind in {None, event["event"]}]


def ids(folder, **options):
    return tu.read_usage(folder, backend="polars", **options)["id"].to_list()


def asked(service):
    """Return the range and cursor of each request so far, and forget them."""
    found = [
        (q.get("start_date"), q.get("end_date"), q.get("next_cursor")) for q in service.requests
    ]
    service.requests.clear()
    return found


def test_pages_land_as_compressed_ndjson_with_a_manifest(service, folder):
    assert fetch(service, folder, **JANUARY) == folder
    pages = events(folder, "page")
    assert [page["records"] for page in pages] == [100, 100, 80]
    assert [page["next_cursor"] for page in pages] == ["c100", "c200", None]
    for page in pages:
        with open(f"{folder}/{page['file']}", "rb") as stream:
            data = stream.read()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (page["bytes"], page["sha256"])
        lines = gzip.decompress(data).splitlines()
        assert len(lines) == page["records"]
        assert json.loads(lines[0])["source"] == {"account": "a1", "report_type": None}
    (begin,), (end,) = events(folder, "begin"), events(folder, "end")
    assert begin["query"] == {
        "service": service.url,
        "account": "a1",
        "report_type": None,
        "start_date": "2026-01-01",
        "end_date": "2026-02-01",
        "every": None,
        "parameters": [["truto_ignore_remote_data", "true"]],
    }
    assert (end["pages"], end["records"]) == (3, 280)
    assert ids(folder) == [f"a1-{n:06}" for n in range(280)]
    assert pl.read_ndjson(f"{folder}/{pages[0]['file']}").height == 100


def test_the_folder_is_read_as_what_is_fetched_without_one(service, folder):
    service.records["a1", "cost"] = api_server.records(30)
    options = {"report_type": ["cost", None], "integrated_account_id": "a1"}
    fetch(service, folder, **options)
    frame = tu.fetch_usage(token=TOKEN, base_url=service.url, **options)
    assert tu.read_usage(folder).equals(frame)
    assert tu.read_usage(f"{folder}/*/*.gz", layout="long").shape[1] == 19
    lazy = tu.read_usage(folder, backend="duckdb")
    assert lazy.count("*").fetchall() == [(310,)]


def test_a_folder_without_records_gives_the_marked_empty_frame(service, folder):
    service.records["a1", None] = []
    fetch(service, folder)
    frame = tu.read_usage(folder)
    assert frame.shape == (0, 80)


# --- killed, and gone on with


@pytest.fixture(scope="module")
def long_service():
    with serving() as (server, url), pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SECONDS", 0.0)
        server.page_size, server.delay, server.url = 20, 0.003, url
        server.records = {("a1", r): api_server.records(200) for r in ("cost", "user_usage")}
        yield server


def rows(folder):
    """Return all rows of a folder; that no page is there twice is part of it."""
    frame = tu.read_usage(folder, backend="polars", duplicates="raise")
    return frame.sort("source.report_type", "id")


@pytest.fixture(scope="module")
def whole(long_service, tmp_path_factory):
    """The rows of a fetch that was never killed, and how long one takes."""
    for _ in range(2):  # the first waits for imports
        folder = str(tmp_path_factory.mktemp("whole"))
        began = time.monotonic()
        done = start(landing_process.fetch, long_service, folder)
        done.join(60)
        assert done.exitcode == 0
    duration = time.monotonic() - began
    frame = rows(folder)
    assert frame.height == 400
    return frame, duration


def start(target, service, folder, *arguments):
    return processes.run(target, service.url, folder, *landing_process.OF, *arguments)


@pytest.mark.slow
def test_killed_at_random_fifty_times_it_ends_with_the_same_rows(long_service, whole, tmp_path):
    frame, duration = whole
    draw = random.Random(4)  # noqa: S311 - points in time are no secret
    landed = []
    for number in range(25):
        folder = str(tmp_path / str(number))
        for _ in range(2):
            process = start(landing_process.fetch, long_service, folder)
            time.sleep(draw.uniform(0.1, 1.0) * duration)
            process.kill()
            process.join(60)
            landed.append(
                len(events(folder, "page")) if os.path.exists(f"{folder}/_manifest.ndjson") else 0
            )
        landing_process.fetch(long_service.url, folder, *landing_process.OF)
        assert rows(folder).equals(frame), number
        assert not [name for _, _, names in os.walk(folder) for name in names if "partial" in name]
    # The kills fell before the first page, between pages, and after many.
    assert len(set(landed)) > 5


@pytest.mark.slow
def test_killed_before_every_step_of_writing_it_ends_with_the_same_rows(
    long_service, whole, tmp_path
):
    frame, _ = whole
    codes = []
    # Two begins, and of each page a folder, two syncs and a name: past 80 it comes to its end.
    for step in [*range(14), 33, 60, 1_000]:
        folder = str(tmp_path / str(step))
        process = start(landing_process.fetch_and_die, long_service, folder, step)
        process.join(60)
        codes.append(process.exitcode)
        landing_process.fetch(long_service.url, folder, *landing_process.OF)
        assert rows(folder).equals(frame), step
    assert codes == [-9] * 16 + [7]


def test_a_line_of_the_manifest_that_was_never_finished_is_no_matter(service, folder):
    fetch(service, folder)
    path = f"{folder}/_manifest.ndjson"
    with open(path, "rb") as stream:
        text = stream.read()
    ends = [place + 1 for place, byte in enumerate(text) if byte == 10]
    for cut in (1, 40, ends[0] - 1, ends[0], ends[1] - 1, ends[1], ends[1] + 30, ends[3] - 1):
        with open(path, "wb") as stream:
            stream.write(text[:cut])
        fetch(service, folder)
        assert sorted(ids(folder, duplicates="raise")) == [f"a1-{n:06}" for n in range(280)], cut


def test_a_damaged_line_of_the_manifest_is_named(service, folder):
    fetch(service, folder)
    path = f"{folder}/_manifest.ndjson"
    with open(path, "rb") as stream:
        lines = stream.read().splitlines(keepends=True)
    with open(path, "wb") as stream:
        stream.writelines([lines[0], b"{oh}\n", *lines[1:]])
    with pytest.raises(SourceError, match=r"Line 2 of .*_manifest\.ndjson' is no event"):
        fetch(service, folder)
    with pytest.raises(SourceError, match="Line 2"):
        tu.read_usage(folder)


@pytest.mark.parametrize("damage", ["removed", "changed", "cut"])
def test_a_page_that_is_no_longer_whole_is_fetched_again(service, folder, damage):
    fetch(service, folder, **JANUARY)
    path = f"{folder}/{events(folder, 'page')[1]['file']}"
    with open(path, "rb") as stream:
        data = stream.read()
    if damage == "removed":
        os.remove(path)
    else:
        with open(path, "wb") as stream:
            stream.write(data[:-9] if damage == "cut" else data[:-1] + b"x")
    if damage == "removed":
        with pytest.warns(PartialWarning, match=r"lacks 1 pages that it had, such as '000001"):
            assert len(ids(folder)) == 180
    # What is good stays until all is there again.
    service.faults = [lambda query: refusal(500, "x", "y") if "next_cursor" in query else None]
    with pytest.raises(ApiError, match="500"):
        fetch(service, folder, lookback=0, **JANUARY)
    good = [f"{folder}/{page['file']}" for page in events(folder, "page")[:3]]
    assert [os.path.exists(path) for path in good] == [True, damage != "removed", True]
    service.faults = []
    asked(service)
    fetch(service, folder, lookback=0, **JANUARY)
    assert [cursor for *_, cursor in asked(service)] == ["c100", "c200"]
    assert ids(folder, duplicates="raise") == [f"a1-{n:06}" for n in range(280)]


def test_a_cursor_that_the_service_forgot_begins_the_report_anew(service, folder):
    service.faults = [lambda query: refusal(500, "x", "y") if query["number"] == 3 else None]
    with pytest.raises(ApiError, match="500"):
        fetch(service, folder)
    service.faults = [
        lambda query: (
            refusal(410, "Gone", "expired") if query.get("next_cursor") == "c200" else None
        )
    ]
    asked(service)
    service.cursor = "{}"

    def forget(query):
        gone = query.get("next_cursor") == "c200" and len(service.requests) == 1
        return refusal(410, "Gone", "expired") if gone else None

    service.faults = [forget]
    with pytest.warns(PartialWarning, match="no longer knows where .* 2 pages are fetched again"):
        fetch(service, folder)
    assert [cursor for *_, cursor in asked(service)] == ["c200", None, "c100", "c200"]
    assert ids(folder, duplicates="raise") == [f"a1-{n:06}" for n in range(280)]


def test_what_cannot_be_gone_on_with_stays_until_another_has_all(service, folder):
    service.faults = [lambda query: refusal(500, "x", "y") if query["number"] == 3 else None]
    with pytest.raises(ApiError, match="500"):
        fetch(service, folder)
    gone = [refusal(404, "Not Found", "Integrated account not found")]
    service.faults = [lambda _: gone[0]]
    for _ in range(3):
        with (
            pytest.warns(PartialWarning, match="no longer knows"),
            pytest.raises(ApiError, match="Integrated account not found"),
        ):
            fetch(service, folder)
    with pytest.warns(PartialWarning, match=r"unfinished, with 2 pages\. Run"):
        assert len(ids(folder)) == 200
    service.faults = []
    asked(service)
    fetch(service, folder)
    assert [cursor for *_, cursor in asked(service)] == ["c200"]


def test_a_service_that_ignores_an_old_cursor_is_asked_anew(service, folder):
    service.faults = [lambda query: refusal(500, "x", "y") if query["number"] == 2 else None]
    with pytest.raises(ApiError, match="500"):
        fetch(service, folder)
    first = service._page({"integrated_account_id": "a1"})
    service.faults = [lambda query: (200, first) if query["number"] == 3 else None]
    with pytest.warns(PartialWarning, match="no longer knows"):
        fetch(service, folder)
    assert ids(folder, duplicates="raise") == [f"a1-{n:06}" for n in range(280)]


def test_a_page_that_cannot_be_written_is_not_there(service, folder, monkeypatch):
    def full(_):
        if os.path.exists(f"{folder}/000001-a1-default"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(service, folder, **JANUARY)
    names = [name for _, _, names in os.walk(folder) for name in names]
    assert sorted(names) == [".000001.ndjson.gz.partial", ".lock", "_manifest.ndjson"]
    monkeypatch.undo()
    fetch(service, folder, **JANUARY)
    assert len(ids(folder, duplicates="raise")) == 280


def test_a_run_that_is_gone_on_with_beside_a_longer_one_comes_to_its_end(service, folder):
    service.faults = [lambda query: refusal(500, "x", "y") if query["number"] == 2 else None]
    with pytest.raises(ApiError, match="500"):
        fetch(service, folder, start_date="2026-01-01", end_date="2026-01-28")
    # The longer one, which holds it, is there first: the other's pages come late.
    service.faults = []
    service.slow = lambda query: 0.4 if query["end_date"] == "2026-01-28" else 0
    fetch(service, folder, start_date="2026-01-01", end_date="2026-01-29")
    assert [event["run"][:6] for event in events(folder, "end")] == ["000002", "000001"]
    with pytest.warns(tu.errors.DuplicateWarning, match="270 records"):
        assert len(ids(folder)) == 280


def test_what_is_void_is_gone_although_a_kill_came_before(service, folder):
    service.faults = [lambda query: refusal(500, "x", "y") if query["number"] == 2 else None]
    with pytest.raises(ApiError, match="500"):
        fetch(service, folder, **JANUARY)
    (begun,) = events(folder, "begin")
    with open(f"{folder}/_manifest.ndjson", "a") as stream:
        stream.write(json.dumps({"event": "void", "run": begun["run"]}) + "\n")
    service.faults = []
    fetch(service, folder, **JANUARY)
    assert sorted(os.listdir(folder)) == [".lock", "000002-a1-default", "_manifest.ndjson"]


def test_an_unfinished_folder_is_read_with_a_warning(service, folder):
    service.faults = [lambda query: refusal(500, "x", "y") if query["number"] == 3 else None]
    with pytest.raises(ApiError):
        fetch(service, folder, **JANUARY)
    with pytest.warns(PartialWarning, match=r"from 2026-01-01 is unfinished, with 2 pages.*again"):
        assert len(ids(folder)) == 200
    with pytest.warns(PartialWarning, match="unfinished"):
        tu.read_usage(folder, backend="duckdb")


def test_what_one_account_refuses_does_not_keep_the_others_from_landing(service, folder):
    names = ["a1", "a2", "a3", "a4"]
    service.records |= {(name, None): api_server.records(150, name) for name in names}
    refused = {"a2", "a4"}
    service.faults = [
        lambda query: (
            refusal(403, "Forbidden", f"no to {query['integrated_account_id']}")
            if query["integrated_account_id"] in refused
            else None
        )
    ]
    with pytest.raises(ApiError, match=r"(?s)^2 reports could not .*no to a2.*no to a4.*Grant"):
        fetch(service, folder, integrated_account_id=names, **JANUARY)
    refused.clear()
    asked(service)
    fetch(service, folder, integrated_account_id=names, lookback=0, **JANUARY)
    assert len(asked(service)) == 4  # two pages of a2 and of a4; the others were whole
    assert len(ids(folder)) == 600


# --- what comes new


def test_a_later_call_asks_for_what_is_new_and_looks_back(service, folder):
    fetch(service, folder, start_date="2026-01-01", end_date="2026-01-15")
    assert {(start, end) for start, end, _ in asked(service)} == {("2026-01-01", "2026-01-15")}
    assert len(ids(folder)) == 140
    # The vendor restates a figure of the 12th, and has more days.
    changed = service.records["a1", None][115]
    changed["usage"] = {"tokens": {"input": 7_000_000}}
    changed["updated_at"] = "2026-01-20T00:00:00Z"
    fetch(service, folder, start_date="2026-01-01", end_date="2026-01-29", lookback=5)
    assert {(start, end) for start, end, _ in asked(service)} == {("2026-01-10", "2026-01-29")}
    with pytest.warns(tu.errors.DuplicateWarning, match="50 records"):  # the 10th to the 14th
        frame = tu.read_usage(folder, backend="polars")
    assert frame.height == 280
    assert frame["usage.tokens.input"].max() == 7_000_000
    # 0 + … + 279, less the one that was restated
    assert frame["usage.tokens.input"].sum() == 279 * 140 - 115 + 7_000_000


def test_of_versions_without_stamps_the_last_fetched_counts(service, folder):
    fetch(service, folder, **JANUARY)
    service.records["a1", None][3]["usage"] = {"tokens": {"input": 5_000}}
    fetch(service, folder, **JANUARY)
    with pytest.warns(tu.errors.DuplicateWarning):
        frame = tu.read_usage(folder, backend="polars")
    assert frame.filter(pl.col("id") == "a1-000003")["usage.tokens.input"].to_list() == [3.0]
    fetch(service, folder, lookback=60, **JANUARY)
    with pytest.warns(tu.errors.DuplicateWarning):
        frame = tu.read_usage(folder, backend="polars")
    assert frame.filter(pl.col("id") == "a1-000003")["usage.tokens.input"].to_list() == [5_000.0]


@pytest.mark.parametrize(
    ("before", "then", "lookback", "asks"),
    [
        # All is there: only what may be restated is asked for, or nothing.
        ([("01-01", "01-20")], ("01-01", "01-20"), 3, [("01-17", "01-20")]),
        ([("01-01", "01-20")], ("01-01", "01-20"), 0, []),
        ([("01-01", "01-20")], ("01-05", "01-10"), 0, []),
        # What was asked for in two calls is one range, with a gap it is not.
        ([("01-01", "01-10"), ("01-10", "01-20")], ("01-01", "01-25"), 0, [("01-20", "01-25")]),
        ([("01-01", "01-10"), ("01-12", "01-20")], ("01-01", "01-25"), 0, [("01-10", "01-25")]),
        # An earlier beginning asks for all.
        ([("01-10", "01-20")], ("01-01", "01-20"), 0, [("01-01", "01-20")]),
        ([("01-10", "01-20")], ("01-20", "01-25"), 2, [("01-20", "01-25")]),
        ([("01-01", "01-10")], ("01-01", "01-12"), 30, [("01-01", "01-12")]),
        ([("01-01", "01-10")], ("01-01", "01-12"), 10**9, [("01-01", "01-12")]),
        # Instants count, not their days alone.
        (
            [("01-01", "01-03T06:00Z")],
            ("01-01", "01-03T18:00Z"),
            0,
            [("01-03T06:00:00Z", "01-03T18:00Z")],
        ),
        ([("01-01T12:00Z", "01-20")], ("01-01", "01-20"), 0, [("01-01", "01-20")]),
        ([("01-01", "01-20")], ("01-01", "01-20"), 0.5, [("01-19T12:00:00Z", "01-20")]),
    ],
)
def test_what_is_left_of_a_range(  # noqa: PLR0917 - a row of the table
    service, folder, before, then, lookback, asks
):
    for start, last in before:
        fetch(service, folder, start_date=f"2026-{start}", end_date=f"2026-{last}", lookback=0)
    asked(service)
    start, last = (f"2026-{day}" for day in then)
    fetch(service, folder, start_date=start, end_date=last, lookback=lookback)
    ranges = dict.fromkeys((start, last) for start, last, _ in asked(service))
    assert list(ranges) == [(f"2026-{start}", f"2026-{last}") for start, last in asks]


def test_days_that_were_not_over_are_asked_for_again(service, folder):
    today = dt.datetime.now(dt.UTC).date()
    service.records["a1", None] = []
    range_ = {
        "start_date": today - dt.timedelta(5),
        "end_date": today + dt.timedelta(10),
        "lookback": 0,
    }
    fetch(service, folder, **range_)
    asked(service)
    fetch(service, folder, **range_)
    ((start, end, _),) = asked(service)
    assert start in {today.isoformat(), (today + dt.timedelta(1)).isoformat()}  # past midnight
    assert end == range_["end_date"].isoformat()


def test_another_filter_is_another_fetch(service, folder):
    fetch(service, folder, **JANUARY)
    asked(service)
    fetch(service, folder, user_ids="u1", lookback=0, **JANUARY)
    assert asked(service)[0] == ("2026-01-01", "2026-02-01", None)


def test_without_a_beginning_the_vendors_default_is_asked_for_each_time(service, folder):
    for _ in range(2):
        fetch(service, folder)
        assert [cursor for *_, cursor in asked(service)] == [None, "c100", "c200"]


def test_days_that_were_never_begun_are_gone_on_with(service, folder):
    service.faults = [lambda query: refusal(500, "x", "y") if query["number"] > 12 else None]
    days = {"start_date": "2026-01-01", "end_date": "2026-01-29", "every": "1d"}
    with pytest.raises(ApiError, match="16 reports could not be fetched"):
        fetch(service, folder, **days)
    service.faults = []
    asked(service)
    fetch(service, folder, lookback=0, **days)
    assert len(asked(service)) == 16
    assert sorted(ids(folder, duplicates="raise")) == [f"a1-{n:06}" for n in range(280)]


def test_the_advice_to_ask_by_the_day_gets_what_was_missing(service, folder):
    every = service.records["a1", None]

    def first_day_alone(query):
        day = query["start_date"]
        found = [record for record in every if record["start_date"].startswith(day)]
        return 200, api_server.page(found)

    service.faults = [first_day_alone]
    with pytest.warns(PartialWarning, match="every='1d' asks for each"):
        fetch(service, folder, start_date="2026-01-01", end_date="2026-01-29")
    assert len(ids(folder)) == 10
    fetch(service, folder, start_date="2026-01-01", end_date="2026-01-29", every="1d")
    with pytest.warns(tu.errors.DuplicateWarning, match="10 records"):
        assert len(ids(folder)) == 280


def test_a_partial_page_does_not_land_unless_it_may(service, folder):
    service.partial = {2}
    with pytest.raises(ApiError, match="partial"):
        fetch(service, folder, **JANUARY)
    assert len(events(folder, "page")) == 1
    with pytest.warns(PartialWarning, match="page 2"):
        fetch(service, folder, partial="warn", **JANUARY)
    with pytest.warns(PartialWarning, match="has pages that the service called partial"):
        assert len(ids(folder)) == 280
    # Whole at last, the partial ones are void.
    service.partial = set()
    asked(service)
    fetch(service, folder, lookback=0, **JANUARY)
    assert [cursor for *_, cursor in asked(service)] == [None, "c100", "c200"]
    assert len(ids(folder, duplicates="raise")) == 280


# --- what cannot be


def test_two_fetches_into_one_folder_are_refused(service, folder):
    with landing(folder), pytest.raises(SourceError, match="Another fetch is writing"):
        fetch(service, folder)
    fetch(service, folder)


@contextmanager
def landing(folder):
    from tidyusage.api.landing import landing as opened

    with opened(folder) as found:
        yield found


def test_a_file_is_no_folder(service, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="is a file"):
        fetch(service, str(tmp_path / "file"))


@pytest.mark.parametrize(
    "option",
    [
        {"layout": "long"},
        {"backend": "polars"},
        {"sep": "_"},
        {"rejects": "x"},
        {"currency": "USD"},
    ],
)
def test_options_of_reading_have_no_meaning_with_into(service, folder, option):
    with pytest.raises(OptionError, match=rf"{next(iter(option))}= has no meaning with into="):
        fetch(service, folder, **option)


@pytest.mark.slow
def test_memory_stays_flat(tmp_path):
    with serving() as (server, url):
        server.zip = False  # packing is the server's work
        peaks = []
        for count in (50, 600):
            # 100 records a page: 5,000 records, then 60,000, which as objects take 180 MB.
            names = [f"a{n}" for n in range(count // 50)]
            shared = api_server.records(5_000)
            server.records = {(name, None): shared for name in names}
            receive, send = processes.CONTEXT.Pipe(duplex=False)
            folder = str(tmp_path / str(count))
            process = processes.run(landing_process.peak, url, folder, names, send)
            found, peak = receive.recv() if receive.poll(300) else (0, 0)
            process.join(10)
            assert found == count * 100
            peaks.append(peak)
    assert peaks[1] - peaks[0] < 60, peaks


def test_a_record_over_several_lines_lands_on_one():
    body = b'{"result": [{"id": "1",\n "user": {\r\n"name": "a\\nb"}}\n, {"id": "2"}], "next_cursor": null}'
    query = Query("a1", "cost", None, None)
    lines = list(pages.page(query, 1, body).lines())
    assert [line.count(b"\n") for line in lines] == [1, 1]
    label = {"account": "a1", "report_type": "cost"}
    assert [json.loads(line) for line in lines] == [
        {"source": label, "id": "1", "user": {"name": "a\nb"}},
        {"source": label, "id": "2"},
    ]
