"""The List Usage endpoint as it is documented, on loopback, for tests and the notebook.

An ASGI app under uvicorn.  What it should do wrong is set on the server, a test at a time.
"""

import asyncio
import gzip
import json
import socket
import threading
import time
from collections import defaultdict, deque
from contextlib import contextmanager
from urllib.parse import parse_qsl

import uvicorn

TOKEN = "tok_3f9a-SECRET-71c2"  # noqa: S105 - it opens nothing
PATH = "/unified/usage-metering/usage"


def page(records, next_cursor=None, **more):
    return {
        "result": records,
        "next_cursor": next_cursor,
        "prev_cursor": None,
        "result_count": len(records),
        **more,
    }


def refusal(status, error, message, **more):
    return status, {"statusCode": status, "error": error, "message": message, **more}


class Server:
    """Holds the records of each account and report, and what is to go wrong.

    ``faults`` are functions of the request (a dict of its parameters, with ``number``, counted from
    one) that return None, or status, body and headers; or a word: "cut" ends the connection in the
    middle of the answer, "hang" never answers.
    """

    def __init__(self):
        self.records = {}
        self.page_size = 100
        self.faults = []
        self.requests = []
        self.headers = []
        self.delay = 0.0
        self.slow = lambda _: 0.0
        self.zip = True
        self.limits = False
        self.refused = 0
        self.times = defaultdict(deque)
        self.at_once = self.most_at_once = 0
        self.cursor = "{}"
        self.keyed = None
        self.partial = set()
        self.empty_first = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._answer(scope, send)
        finally:
            self.at_once -= 1

    async def _answer(self, scope, send):
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        pairs = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
        query = {"path": scope["path"], "number": len(self.requests) + 1}
        for name, value in pairs:
            if name.endswith("[]"):
                query.setdefault(name, []).append(value)
            else:
                query[name] = value
        self.requests.append(query)
        self.headers.append(headers)
        await asyncio.sleep(self.slow(query) or self.delay)
        status, body, extra = self._reply(query, headers)
        if status == "hang":
            await asyncio.sleep(60)
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        if status == "cut":
            sent = [(b"content-length", str(len(text)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": sent})
            await send(
                {"type": "http.response.body", "body": text[: len(text) // 2], "more_body": True}
            )
            raise ConnectionAbortedError("cut, as the test asks")
        sent = [(b"content-type", b"application/json"), (b"x-request-id", b"req-77")]
        sent += [(k.encode(), v.encode()) for k, v in extra.items()]
        if self.zip and "gzip" in headers.get("accept-encoding", ""):
            text = gzip.compress(text)
            sent.append((b"content-encoding", b"gzip"))
        sent.append((b"content-length", str(len(text)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": text})

    def _reply(self, query, headers):
        for fault in self.faults:
            found = fault(query)
            if found == "cut":
                return "cut", self._page(query), {}
            if found == "hang":
                return "hang", {}, {}
            if found is not None:
                status, body, *extra = found
                return status, body, extra[0] if extra else {}
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return *refusal(401, "Unauthorized", "Invalid API token"), {}
        if query["path"] != PATH:
            return *refusal(404, "Not Found", f"Cannot GET {query['path']}"), {}
        account = query.get("integrated_account_id")
        if self.limits and not self._has_room(account):
            self.refused += 1
            return *refusal(429, "Too Many Requests", "Rate limit exceeded"), {"retry-after": "10"}
        if account is None:
            insight = {"missing_required_query_parameters": ["integrated_account_id"]}
            return *refusal(
                400, "Bad Request", "Validation failed", truto_error_insight=insight
            ), {}
        if account not in {of for of, _ in self.records}:
            return *refusal(404, "Not Found", "Integrated account not found"), {}
        return 200, self._page(query), {}

    def _has_room(self, account):
        now = time.monotonic()
        windows = ((self.times[account], 50), (self.times["token"], 500))
        for times, _ in windows:
            while times and now - times[0] >= 10:
                times.popleft()
        if any(len(times) >= most for times, most in windows):
            return False
        for times, _ in windows:
            times.append(now)
        return True

    def _page(self, query):
        size = int(query.get("limit", self.page_size))
        records = self._chosen(query)
        start = int(
            query.get("next_cursor", "c0").strip(self.cursor.replace("{}", "")).strip("c") or 0
        )
        end = start + size
        following = self.cursor.format(f"c{end}") if end < len(records) else None
        found = records[start:end]
        if query.get("truto_ignore_remote_data") == "true":
            found = [{k: v for k, v in r.items() if k != "remote_data"} for r in found]
        more = {"is_partial_response": True} if start // size + 1 in self.partial else {}
        answer = page(found, following, **more)
        if self.keyed:
            answer["result"] = {record[self.keyed]: record for record in found}
        return answer

    def _chosen(self, query):
        """Return an account's records of a report within the range: the end is not inside."""
        records = self.records.get((query["integrated_account_id"], query.get("report_type")), [])
        start, end = query.get("start_date", ""), query.get("end_date", "9")
        return [r for r in records if start <= r.get("start_date", start) < end]


class _Quiet(uvicorn.Server):
    def install_signal_handlers(self):
        pass


@contextmanager
def serving(app=None):
    """Serve on a free port of loopback until the block ends; yield the server and its address."""
    app = app or Server()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = _Quiet(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield app, f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(10)
        listener.close()


def records(count, account="a1", day="2026-01-{:02}", **more):
    """Return records, one a user and day, which go round the days of January."""
    return [
        {
            "id": f"{account}-{n:06}",
            "user": {"id": f"u{n % 7}"},
            "model": {"id": "claude-opus-5"},
            "product": {"id": "claude"},
            "start_date": f"2026-01-{n * 28 // max(count, 1) + 1:02}T00:00:00Z",
            "end_date": f"2026-01-{n * 28 // max(count, 1) + 2:02}T00:00:00Z",
            "usage": {"tokens": {"input": n, "output": 1.5}},
            "charges": [{"type": "net", "amount": n / 4, "currency": "USD"}],
            "remote_data": {"raw": n},
            **more,
        }
        for n in range(count)
    ]
