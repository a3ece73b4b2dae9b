"""Turn the API's error responses into helpful errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson

from tidyusage.errors import ApiError

if TYPE_CHECKING:
    import httpx

    from tidyusage.api.query import Query
    from tidyusage.api.secret import Secret

_LONGEST: Final = 500
_IDS: Final = ("x-request-id", "request-id", "x-correlation-id", "x-trace-id", "cf-ray")
_HINTS: Final = {
    400: "Check the arguments; params= takes what has no keyword.",
    401: "The token was not accepted. Give token=, set TRUTO_API_TOKEN, or mend the netrc entry.",
    403: "Grant what is missing to the integrated account or the token, then run it again.",
    404: "Check integrated_account_id and base_url, and that the account's integration has usage.",
    422: "Check the arguments; params= takes what has no keyword.",
    429: "The service asks for patience. Run it again later; what has landed is kept.",
    503: "The service is down, or the account is blocked. Run it again later, or ask its support.",
}
_REAUTHORISE: Final = (
    "Connect the integrated account anew: the vendor no longer accepts its authorisation."
)
_LATER: Final = "Run it again later; what has landed is kept."


def refusal(answer: httpx.Response, query: Query, secret: Secret) -> ApiError:
    """Return the error of an answer that is no page."""
    content = secret.hide(answer.text)  # before anything is cut
    body = _body(content)
    text = content if body is None else _text(body.get("message") or body.get("error"))
    said = [text.strip()[:_LONGEST], *_insight((body or {}).get("truto_error_insight"))]
    status = answer.status_code
    request_id = _request_id(answer, body or {}, secret)
    of_vendor = (
        " The vendor's own API said so." if (body or {}).get("truto_is_remote_error") else ""
    )
    words = "; ".join(filter(None, said)) or "nothing more"
    id_ = f" (request {request_id})" if request_id else ""
    fact = f"The service answered {status} {_phrase(status)} to {query}: {words}.{of_vendor}{id_}"
    return ApiError(
        fact.replace("..", "."),
        _hint(status, json.dumps(body) if body else text),
        status=status,
        request_id=request_id,
    )


def _body(content: str) -> dict[str, Any] | None:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _request_id(answer: httpx.Response, body: Mapping[str, Any], secret: Secret) -> str | None:
    found = (answer.headers.get(name) for name in _IDS)
    said = (body.get(name) for name in ("request_id", "requestId"))
    return next((secret.hide(str(id_)) for id_ in (*found, *said) if id_), None)


def _hint(status: int, said: str) -> str:
    if "needs_reauth" in said or "reauth" in said.lower():
        return _REAUTHORISE
    if status < HTTPStatus.BAD_REQUEST:
        return "Check base_url: what answers there may be no API."
    return _HINTS.get(status, _LATER if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _HINTS[400])


def _insight(insight: object) -> Iterator[str]:
    """Yield what the service found out about the error, in words."""
    if not isinstance(insight, Mapping):
        return
    for key, value in insight.items():
        if not value:
            continue
        if key == "forbidden_error":
            scopes = _deep(value, "value", "missing_scopes")
            yield f"missing scopes: {_text(scopes)}" if scopes else f"forbidden: {_text(value)}"
        else:
            yield f"{str(key).replace('_', ' ')}: {_text(value)}"


def _deep(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _text(value: object) -> str:
    """Return text as it is, a list as its items, and what is nested as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, Mapping) and isinstance(value.get("message"), str):
        return str(value["message"])
    return json.dumps(value)[:_LONGEST]
