"""`fetch_usage` and `iter_usage` against the documented contract, served over HTTP on loopback."""

import datetime as dt
import threading
import time
from uuid import UUID

import pandas as pd
import pytest

import api_server
import tidyusage as tu
from api_server import TOKEN, page, refusal, serving
from tidyusage.api import client, collect, limits, pages
from tidyusage.errors import ApiError, OptionError, PartialWarning


@pytest.fixture
def service(monkeypatch, tmp_path):
    """A server of its own for each test; tries again without waiting long."""
    monkeypatch.setattr(client, "WAIT", 0.01)
    monkeypatch.delenv("TRUTO_API_TOKEN", raising=False)
    with serving() as (server, url):
        server.records = {("a1", None): api_server.records(250)}
        server.url, server.folder = url, tmp_path
        yield server


def fetch(service, **options):
    given = {"integrated_account_id": "a1", "token": TOKEN, "base_url": service.url, **options}
    return tu.fetch_usage(**given)


def walk(service, **options):
    given = {"integrated_account_id": "a1", "token": TOKEN, "base_url": service.url, **options}
    return tu.iter_usage(**given)


def test_a_frame_holds_all_pages_and_says_where_rows_come_from(service):
    frame = fetch(service)
    assert frame.shape == (250, 80)
    # 0 + 1 + … + 249
    assert frame["usage.tokens.input"].sum() == 249 * 250 / 2
    assert frame["id"].tolist() == [f"a1-{n:06}" for n in range(250)]
    assert frame.columns[-2:].tolist() == ["source.account", "source.report_type"]
    assert set(frame["source.account"]) == {"a1"}
    assert frame["source.report_type"].isna().all()
    assert [query.get("next_cursor") for query in service.requests] == [None, "c100", "c200"]


@pytest.mark.parametrize("layout", ["wide", "long", "charges", "resources", "tool_actions"])
@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow", "duckdb"])
def test_shared_keywords_mean_what_they_mean_elsewhere(service, layout, backend):
    service.records["a1", None] = api_server.records(3)
    options = {"layout": layout, "backend": backend, "sep": "_"}
    frame = fetch(service, **options)
    found = list(walk(service))
    same = tu.flatten_usage(found, **options)
    for of in (frame, same):
        assert type(of) is type(same)
    if backend == "duckdb":
        frame, same = frame.to_arrow_table(), same.to_arrow_table()
    if backend in {"pyarrow", "duckdb"}:
        assert frame.equals(same)
    else:
        assert frame.equals(same)


def test_an_answer_without_records_is_a_full_empty_frame(service):
    service.records["a1", "cost"] = []
    frame = fetch(service, report_type="cost", layout="long")
    assert len(frame) == 0
    assert {"metric", "value", "source.account"} <= set(frame.columns)


def test_records_come_one_by_one_with_their_source_first(service):
    found = list(walk(service))
    assert len(found) == 250
    assert found[7] == {
        "source": {"account": "a1", "report_type": None},
        **{k: v for k, v in api_server.records(250)[7].items() if k != "remote_data"},
    }
    assert next(iter(found[7])) == "source"


def test_a_closed_iterator_asks_for_no_more(service):
    service.records["a1", None] = api_server.records(5_000)
    service.page_size = 10
    found = walk(service)
    assert next(found)["id"] == "a1-000000"
    found.close()
    asked = len(service.requests)
    assert asked < 50
    time.sleep(0.2)
    assert len(service.requests) == asked
    assert not [t for t in threading.enumerate() if t.name == "tidyusage-fetch"]


def test_several_accounts_and_reports_are_told_apart(service):
    # The same ids in both accounts and both reports: four different records each.
    same = api_server.records(150, account="x")
    service.records = {(a, r): same for a in ("a1", "a2") for r in ("cost", "user_usage")}
    frame = fetch(service, integrated_account_id=["a1", "a2"], report_type=["cost", "user_usage"])
    counts = frame.groupby(["source.account", "source.report_type"]).size()
    assert counts.to_dict() == dict.fromkeys(
        [("a1", "cost"), ("a1", "user_usage"), ("a2", "cost"), ("a2", "user_usage")], 150
    )
    for one in (frame, tu.to_long(frame), tu.to_wide(tu.to_long(frame))):
        by = one.usage.tokens_by("source.report_type", overlap="ignore")
        # twice 0 + … + 149, and 1.5 for each of 300
        assert by["input"].tolist() == [149 * 150.0] * 2
        assert by["output"].tolist() == [450.0] * 2
        # no dimension: 600 records, of which 4 have each id
        assert one.usage.cost_by(overlap="ignore")["records"].tolist() == [600]
    assert len(tu.charges(frame)) == 600


def test_one_account_is_one_however_it_is_written(service):
    uuid = "0A0A0A0A-0000-0000-0000-00000000000B"
    service.records[uuid.lower(), None] = api_server.records(3)
    frame = fetch(service, integrated_account_id=[uuid, uuid.lower(), f" {uuid} ", UUID(uuid)])
    assert frame["source.account"].tolist() == [uuid.lower()] * 3
    assert len(service.requests) == 1


def test_at_most_eight_queries_run_at_once(service):
    service.delay = 0.05
    accounts = [f"a{n}" for n in range(20)]
    service.records = {(account, None): api_server.records(1, account) for account in accounts}
    assert len(fetch(service, integrated_account_id=accounts)) == 20
    assert 2 <= service.most_at_once <= 8


def test_filters_dates_and_further_parameters_go_out_as_documented(service):
    service.records[str(UUID(int=1)), "user_usage"] = []
    fetch(
        service,
        integrated_account_id=UUID(int=1),
        start_date=dt.date(2026, 1, 1),
        end_date=dt.datetime(2026, 1, 31, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        report_type="user_usage",
        product_ids=["p1", "p2"],
        user_ids="u1",
        surfaces=["chat", "cli"],
        page_size=50,
        params={
            "bucket": "day",
            "deleted": True,
            "group": ["user", "model"],
            "remote_query": {"foo": "bar", "on": False},
            "since": dt.date(2026, 1, 2),
            "nothing": None,
            "top": 3,
        },
    )
    (query,) = service.requests
    del query["number"]
    assert query == {
        "path": "/unified/usage-metering/usage",
        "integrated_account_id": "00000000-0000-0000-0000-000000000001",
        "start_date": "2026-01-01",
        "end_date": "2026-01-31T10:00:00Z",
        "report_type": "user_usage",
        "product_ids[]": ["p1", "p2"],
        "user_ids[]": ["u1"],
        "surfaces[]": ["chat", "cli"],
        "limit": "50",
        "truto_ignore_remote_data": "true",
        "bucket": "day",
        "deleted": "true",
        "group[]": ["user", "model"],
        "remote_query[foo]": "bar",
        "remote_query[on]": "false",
        "since": "2026-01-02",
        "top": "3",
    }


def test_remote_data_is_left_out_unless_it_is_asked_for(service):
    service.records["a1", None] = api_server.records(2)
    assert "remote_data" not in fetch(service).columns
    kept = fetch(service, remote_data="json")
    assert kept["remote_data"].tolist() == ['{"raw":0}', '{"raw":1}']
    assert [q["truto_ignore_remote_data"] for q in service.requests] == ["true", "false"]
    assert next(walk(service, remote_data="json"))["remote_data"] == {"raw": 0}


def test_a_range_without_an_end_ends_today(service):
    service.records["a1", None] = []
    fetch(service, start_date="2026-01-01")
    today = dt.datetime.now(dt.UTC).date()
    asked = dt.date.fromisoformat(service.requests[0]["end_date"])
    assert today - dt.timedelta(days=1) <= asked <= today


def test_every_day_and_every_month_are_asked_for(service):
    fetch(service, start_date="2026-01-30", end_date="2026-02-02", every="1d")
    fetch(service, start_date="2026-01-30", end_date="2026-03-02", every="1mo")
    asked = sorted((q["start_date"], q["end_date"]) for q in service.requests)
    assert asked == [
        ("2026-01-30", "2026-01-31"),
        ("2026-01-30", "2026-02-01"),
        ("2026-01-31", "2026-02-01"),
        ("2026-02-01", "2026-02-02"),
        ("2026-02-01", "2026-03-01"),
        ("2026-03-01", "2026-03-02"),
    ]


@pytest.mark.parametrize(
    ("start", "end", "every", "asks"),
    [
        # The last part of a day, and the first, are parts of their own.
        (
            *("2026-01-01T12:00:00Z", "2026-01-03T23:59:59Z", "1d"),
            [
                ("2026-01-01T12:00:00Z", "2026-01-02"),
                ("2026-01-02", "2026-01-03"),
                ("2026-01-03", "2026-01-03T23:59:59Z"),
            ],
        ),
        ("2026-01-31", "2026-01-31", "1d", [("2026-01-31", "2026-01-31")]),
        (
            "2024-02-28",
            "2024-03-01",
            "1d",
            [("2024-02-28", "2024-02-29"), ("2024-02-29", "2024-03-01")],
        ),
        (
            *("2025-12-31", "2026-02-01T00:00:01Z", "1mo"),
            [
                ("2025-12-31", "2026-01-01"),
                ("2026-01-01", "2026-02-01"),
                ("2026-02-01", "2026-02-01T00:00:01Z"),
            ],
        ),
    ],
)
def test_parts_of_a_range_are_the_whole(service, start, end, every, asks):
    service.records["a1", None] = []
    fetch(service, start_date=start, end_date=end, every=every)
    assert sorted((q["start_date"], q["end_date"]) for q in service.requests) == asks


def test_a_vendor_that_answers_the_first_day_or_month_alone_is_told_of(service):
    every = api_server.records(280)  # ten a day, from the 1st to the 28th
    service.records["a1", None] = every[:10]
    with pytest.warns(PartialWarning, match=r"its first day\. .*OpenAI Codex.* every='1d'"):
        fetch(service, start_date="2026-01-01", end_date="2026-01-05")
    service.records["a1", None] = every
    with pytest.warns(PartialWarning, match=r"its first month\. .*Confluent.* every='1mo'"):
        fetch(service, start_date="2026-01-01", end_date="2026-03-01")
    fetch(service, start_date="2026-01-01", end_date="2026-01-02")
    fetch(service, start_date="2026-01-01", end_date="2026-02-01")


def test_a_record_of_the_whole_range_reaches_its_end(service):
    one = api_server.records(1)[0] | {"end_date": "2026-02-01T00:00:00Z"}
    service.records["a1", None] = [one]
    assert len(fetch(service, start_date="2026-01-01", end_date="2026-02-01")) == 1


# --- pages


def answers(service, *bodies):
    """Have the service give these answers, one after another, whatever it is asked."""
    left = list(bodies)
    service.faults = [lambda _: (200, left.pop(0))]


def test_empty_pages_are_walked_over(service):
    answers(service, page([], "x1"), page([{"id": "1"}], "x2"), page([], "x3"), page([{"id": "2"}]))
    assert fetch(service)["id"].tolist() == ["1", "2"]
    assert [q.get("next_cursor") for q in service.requests] == [None, "x1", "x2", "x3"]


def test_a_result_keyed_by_a_field_is_a_page_too(service):
    service.keyed = "id"
    assert len(fetch(service)) == 250
    assert len(list(walk(service))) == 250


@pytest.mark.parametrize("cursors", [["x1", "x1"], ["x1", "x2", "x1"]])
def test_a_cursor_that_repeats_is_refused(service, cursors):
    answers(service, *(page([{"id": str(n)}], c) for n, c in enumerate(cursors)))
    with pytest.raises(ApiError, match=rf"Page {len(cursors)} .* cursor 'x1' repeats"):
        fetch(service)


def test_cursors_without_an_end_and_without_records_are_refused(service, monkeypatch):
    monkeypatch.setattr(pages, "EMPTY", 5)
    service.faults = [lambda query: (200, page([], f"x{query['number']}"))]
    with pytest.raises(ApiError, match=r"The last 5 pages .* hold no record"):
        fetch(service)
    assert len(service.requests) == 5


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"data": []}, r"is no page of records: it has no result, but \['data'\]"),
        ({"result": None}, "no result"),
        ([1], "no result, but list"),
        ({"result": {"id": "x1", "usage": {}}}, "no result, but"),
        (b"<html>hello", r"is no JSON: .*begins '<html>hello'"),
    ],
)
def test_what_is_no_page_is_refused(service, body, words):
    answers(service, body)
    with pytest.raises(ApiError, match=words):
        fetch(service)


@pytest.mark.parametrize("said", [True, 1, "true", "True"])
def test_a_page_is_partial_however_it_is_said(service, said):
    service.faults = [lambda _: (200, page([{"id": "1"}], is_partial_response=said))]
    with pytest.raises(ApiError, match="partial"):
        fetch(service)


@pytest.mark.parametrize("said", [False, None, 0, "false", ""])
def test_a_page_is_whole_however_it_is_said(service, said):
    service.faults = [lambda _: (200, page([{"id": "1"}], is_partial_response=said))]
    assert len(fetch(service)) == 1


@pytest.mark.parametrize("cursor", [None, "", False])
def test_there_is_no_next_page_however_it_is_said(service, cursor):
    service.faults = [lambda _: (200, page([{"id": "1"}], cursor))]
    assert len(fetch(service)) == 1


def test_a_number_may_be_a_cursor_an_object_may_not(service):
    answers(service, page([{"id": "1"}], 7), page([{"id": "2"}], {"x": 1}))
    with pytest.raises(ApiError, match=r"has a cursor that is none: \{'x': 1\}"):
        fetch(service)
    assert service.requests[1]["next_cursor"] == "7"


@pytest.mark.parametrize(("length", "is_taken"), [(8_192, True), (8_193, False), (100_000, False)])
def test_a_cursor_too_long_for_an_address_is_refused(service, length, is_taken):
    answers(service, page([{"id": "1"}], "x" * length), page([{"id": "2"}]))
    if is_taken:
        assert len(fetch(service)) == 2
        return
    with pytest.raises(ApiError, match=rf"cursor of {length:,} characters"):
        fetch(service)


def test_a_byte_order_mark_is_no_matter(service):
    service.faults = [
        lambda _: (200, b'\xef\xbb\xbf{"result": [{"id": "1"}], "next_cursor": null}')
    ]
    assert len(fetch(service)) == 1


def test_a_partial_page_raises_or_warns(service):
    service.partial = {2}
    with pytest.raises(ApiError, match=r"page 2 of .* partial: records are missing"):
        fetch(service)
    with pytest.raises(ApiError, match=r"page 2 of .* partial"):
        list(walk(service))
    with pytest.warns(PartialWarning, match="page 2 of .* Totals are too low"):
        assert len(fetch(service, partial="warn")) == 250


def test_records_keep_their_text(service):
    # 20 digits are more than a double or 64 bits hold; an id may be a number.
    body = b'{"next_cursor": null, "result": [{"id": 12345678901234567890123,\n "user": {"name": "\\u00e9"}}, {}, 5]}'
    service.faults = [lambda _: (200, body)]
    with pytest.warns(tu.errors.RejectWarning, match="2 records"):
        frame = fetch(service, rejects=str(service.folder / "bad.ndjson"))
    assert frame[["id", "user.name"]].to_numpy().tolist() == [["12345678901234567890123", "é"]]


def test_a_record_with_a_source_of_its_own_keeps_it(service):
    answers(service, *[page([{"id": "1", "source": "them"}])] * 2)
    with pytest.warns(tu.errors.UnknownKeyWarning, match=r"'source\.value'"):
        frame = fetch(service)
    assert frame["source.account"].tolist() == ["a1"]
    (found,) = walk(service)
    assert found["source"] == {"account": "a1", "report_type": None, "value": "them"}


# --- what goes wrong


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(service, status):
    service.faults = [lambda q: refusal(status, "x", "y") if q["number"] in {1, 3, 4} else None]
    assert len(fetch(service)) == 250
    assert len(service.requests) == 6


@pytest.mark.parametrize("how", ["cut", "hang"])
def test_lost_connections_are_tried_again(service, how, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT", client.httpx.Timeout(5, read=0.3))
    service.faults = [lambda query: how if query["number"] == 2 else None]
    assert len(fetch(service)) == 250
    assert len(service.requests) == 4


def test_a_slow_service_is_waited_for(service):
    service.delay = 0.2
    assert len(fetch(service)) == 250


def test_answers_without_compression_are_read(service):
    service.zip = False
    assert len(fetch(service)) == 250


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422, 500])
def test_what_is_the_callers_is_asked_once(service, status):
    service.faults = [lambda _: refusal(status, "Nope", "we will not")]
    with pytest.raises(
        ApiError, match=rf"answered {status} .*: we will not[.] [(]request req-77\)"
    ) as e:
        fetch(service)
    assert (e.value.status, e.value.request_id) == (status, "req-77")
    assert len(service.requests) == 1


def test_what_does_not_pass_is_said_after_six_tries(service):
    service.faults = [lambda _: refusal(503, "Service Unavailable", "closed")]
    with pytest.raises(ApiError, match=r"answered 503 .*closed"):
        fetch(service)
    assert len(service.requests) == 6


def test_retry_after_is_kept(service):
    late = {"retry-after": "1"}
    times = []

    def busy(query):
        times.append(time.monotonic())
        return (*refusal(429, "Too Many Requests", "slow"), late) if query["number"] == 1 else None

    service.faults = [busy]
    assert len(fetch(service)) == 250
    assert times[1] - times[0] >= 1


@pytest.mark.parametrize("wait", ["nan", "soon", "-3", "Mon, 23 Nov 2026 00:00:00 GMT"])
def test_a_wait_that_is_none_is_ours(service, wait):
    busy = (*refusal(429, "Too Many", "later"), {"retry-after": wait})
    service.faults = [lambda query: busy if query["number"] == 1 else None]
    assert len(fetch(service)) == 250


def test_a_wait_of_hours_is_the_callers_to_decide(service):
    service.faults = [lambda _: (*refusal(429, "Too Many", "later"), {"retry-after": "7200"})]
    with pytest.raises(ApiError, match="429"):
        fetch(service)
    assert len(service.requests) == 1


def test_nobody_there_is_said(service):
    with pytest.raises(ApiError, match=r"127\.0\.0\.1 could not be asked for the default report"):
        fetch(service, base_url="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("status", "more", "words"),
    [
        (
            400,
            {"truto_error_insight": {"missing_required_query_parameters": ["start_date", "x"]}},
            "missing required query parameters: start_date, x",
        ),
        (
            403,
            {
                "truto_error_insight": {
                    "forbidden_error": {"value": {"missing_scopes": ["a:r", "b"]}}
                }
            },
            r"missing scopes: a:r, b.*Grant what is missing",
        ),
        (401, {"needs_reauth": True}, "Connect the integrated account anew"),
        (401, {}, "Give token=, set TRUTO_API_TOKEN"),
        (502, {"truto_is_remote_error": True}, "The vendor's own API said so"),
        (429, {"truto_error_insight": {"rate_limit_error": {"message": "50/10s"}}}, "50/10s"),
    ],
)
def test_errors_say_what_the_service_knows(service, status, more, words):
    service.faults = [lambda _: refusal(status, "Some Error", "a message", **more)]
    with pytest.raises(ApiError, match=f"(?s)a message.*{words}"):
        fetch(service)


def test_an_error_that_is_no_json_is_shown(service):
    service.faults = [lambda _: (418, b"<h1>teapot</h1>")]
    with pytest.raises(ApiError, match=r"418 .*: <h1>teapot</h1>"):
        fetch(service)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start_date": "2026-02-01", "end_date": "2026-01-01"}, "is after"),
        ({"start_date": "January"}, "no date of ISO 8601"),
        ({"start_date": 20260101}, "no date of ISO 8601"),
        ({"start_date": "20260101"}, "no date of ISO 8601"),
        ({"start_date": "0001-01-01"}, "no date of ISO 8601"),
        ({"end_date": "9999-12-31"}, "no date of ISO 8601"),
        ({"start_date": pd.NaT}, "no date of ISO 8601"),
        ({"integrated_account_id": "\ud800"}, "half a surrogate pair"),
        ({"base_url": b"https://example.com"}, "no address"),
        ({"into": ""}, "names nothing"),
        ({"integrated_account_id": []}, "asks for nothing"),
        ({"product_ids": [1]}, "is no text"),
        ({"product_ids": [" "]}, "is no text"),
        ({"page_size": 0}, "no count"),
        ({"params": {"limit": 3}}, "page_size="),
        ({"params": {"next_cursor": "x"}}, "follows the pages"),
        ({"params": {"truto_response_format": "raw"}}, "follows the pages"),
        ({"params": {"x": object()}}, "nothing that an address can hold"),
        ({"params": [1]}, "no mapping"),
        ({"every": "1w"}, "every='1w'"),
        ({"every": "1d"}, "needs a range"),
        ({"lookback": -1}, "no number of days"),
        ({"partial": "ignore"}, "partial='ignore'"),
        ({"base_url": "http://example.com"}, "in the clear"),
        ({"base_url": "https://me:secret@example.com"}, "holds a user name"),
        ({"base_url": "ftp://example.com"}, "no address"),
        ({"base_url": None}, "no address"),
        ({"remote_data": "yes"}, "remote_data='yes'"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_asked(service, options, words):
    with pytest.raises(OptionError, match=words):
        fetch(service, **options)
    assert not service.requests


def test_loopback_may_be_plain_in_all_its_spellings(service):
    port = service.url.rpartition(":")[2]
    assert len(fetch(service, base_url=f"http://localhost:{port}/")) == 250


def test_what_is_not_installed_is_named(service, monkeypatch):
    monkeypatch.setattr(
        "tidyusage.api.plan.find_spec", lambda name: None if name == "stamina" else 1
    )
    with pytest.raises(tu.errors.MissingExtraError, match=r"(?s)stamina.*tidyusage\[api\]"):
        fetch(service)


# --- limits


@pytest.mark.slow
def test_the_services_limits_are_kept_without_being_told(service):
    # One account of 60 pages, 15 of 45: more than 50 an account, and than 500 a token, in 10 s.
    service.limits = True
    service.page_size = 1
    counts = {"a1": 60, **{f"b{n}": 45 for n in range(15)}}
    service.records = {(name, None): api_server.records(n, name) for name, n in counts.items()}
    assert len(fetch(service, integrated_account_id=list(counts))) == 60 + 15 * 45
    assert service.refused == 0
    assert len(service.requests) == 60 + 15 * 45


def test_redirects_count_too(service, monkeypatch):
    turns = []

    async def turn(_, account):
        turns.append(account)

    monkeypatch.setattr(limits.Limits, "turn", turn)
    place = {"location": f"{api_server.PATH}?integrated_account_id=a1&moved=1"}
    service.faults = [lambda query: None if "moved" in query else (307, {}, place)]
    service.records["a1", None] = api_server.records(3)
    assert len(fetch(service)) == 3
    assert turns == ["a1", "a1"]


def test_limits_are_those_of_all_calls_together(monkeypatch):
    monkeypatch.setattr(limits, "SECONDS", 0.5)
    of = limits.limits_of("https://example.com", "digest")
    assert limits.limits_of("https://example.com", "digest") is of
    assert limits.limits_of("https://example.com", "another") is not of
    now = time.monotonic()
    assert [of._take("a") for _ in range(50)] == [0.0] * 50
    assert 0 < of._take("a") <= 0.5
    assert of._take("b") == 0
    assert time.monotonic() - now < 0.5


# --- the bar


def test_a_bar_tells_pages_records_and_the_day(service, capsys):
    fetch(service, progress=True)
    assert "250 records" in capsys.readouterr().err
    counter = collect._Counter()
    for number in (1, 2):
        records = api_server.records(280)[: 100 * number]
        counter.tell(pages.Page(None, number, b"", records, None, False))
    assert counter.words == "2 pages, up to 2026-01-20"


def test_no_bar_where_nobody_looks(service, capsys):
    fetch(service)
    fetch(service, progress=False)
    assert capsys.readouterr() == ("", "")
