"""Send one request: authentication, rate limits and retries."""

from __future__ import annotations

import logging
import ssl
from email.utils import parsedate_to_datetime
from math import isnan
from time import time
from typing import TYPE_CHECKING, Final, Self

import httpx
import stamina

from tidyusage.api.faults import refusal
from tidyusage.api.limits import limits_of
from tidyusage.api.service import origin
from tidyusage.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    from tidyusage.api.query import Query
    from tidyusage.api.secret import Secret
    from tidyusage.api.service import Service

ATTEMPTS: Final = 6
WAIT: Final = 0.5
LONGEST: Final = 120.0  # what the service may ask to wait; beyond, the caller decides
TIMEOUT: Final = httpx.Timeout(30.0, read=120.0)
_AGAIN: Final = frozenset({429, 502, 503, 504})
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_MOVES: Final = 5
_USELESS: Final = (httpx.UnsupportedProtocol, httpx.InvalidURL)


# Retries are logged for who asks for logs; unasked, Python would print their bare name.
logging.getLogger("stamina").addHandler(logging.NullHandler())


class _Lost(Exception):  # noqa: N818 - it is no error of the caller's
    """There was no answer, or none that helps; ``wait`` is False where another try is useless."""

    def __init__(self, error: ApiError, wait: float | bool) -> None:
        super().__init__()
        self.error = error
        self.wait = wait


class _Bearer(httpx.Auth):
    """Shows the token to one origin alone."""

    def __init__(self, secret: Secret, service: Service) -> None:
        self._secret = secret
        self._origin = service.origin

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if origin(str(request.url)) == self._origin:
            request.headers["Authorization"] = f"Bearer {self._secret.reveal()}"
        yield request


class Client:
    """Asks the service for pages."""

    def __init__(self, service: Service, secret: Secret) -> None:
        self._service = service
        self._secret = secret
        self._limits = limits_of(service.base_url, secret.digest())
        self._http = httpx.AsyncClient(
            auth=_Bearer(secret, service),
            timeout=TIMEOUT,
            # Proxies of the environment would see what goes to loopback in the clear.
            trust_env=service.is_encrypted,
            headers={"Accept": "application/json", "User-Agent": "tidyusage"},
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    def hide(self, text: str) -> str:
        """Return a text of the service's without the token."""
        return self._secret.hide(text)

    async def get(self, query: Query, cursor: str | None) -> bytes:
        """Return the body of a page; raise what says why there is none."""
        again = stamina.retry_context(
            on=_wait,
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=WAIT,
            wait_max=30.0,
            wait_jitter=WAIT,
        )
        try:
            async for attempt in again:
                with attempt:
                    return await self._once(query, cursor)
        except _Lost as lost:
            raise lost.error from None
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, query: Query, cursor: str | None) -> bytes:
        url = httpx.URL(self._service.endpoint, params=query.pairs(cursor))
        answer = await self._answer(query, url)
        for _ in range(_MOVES):
            if answer.status_code not in _MOVED or "location" not in answer.headers:
                break
            url = self._moved(query, url, answer)
            answer = await self._answer(query, url)
        if answer.status_code == httpx.codes.OK:
            return self._secret.hide_in(answer.content)
        error = refusal(answer, query, self._secret)
        raise _Lost(error, _retry_after(answer))

    async def _answer(self, query: Query, url: httpx.URL) -> httpx.Response:
        await self._limits.turn(query.account)
        problem, is_final = "", False
        try:
            return await self._http.get(url)
        except (httpx.TransportError, httpx.DecodingError, httpx.InvalidURL) as error:
            # Its text may hold what was sent.
            problem = self.hide(f"{type(error).__name__}: {error}".rstrip(": "))
            is_final = _has_bad_certificate(error) or isinstance(error, _USELESS)
        # Raised here, the error has no frames of HTTP behind it, which hold the token.
        fact = f"{self._service.host} could not be asked for {query}: {problem}."
        hint = "Check base_url, and the connection, proxy and certificates of this machine."
        raise _Lost(ApiError(fact, hint), not is_final)

    def _moved(self, query: Query, url: httpx.URL, answer: httpx.Response) -> httpx.URL:
        """Return where a redirect leads, which may be no other host: the token stays here."""
        place = self.hide(answer.headers["location"])
        try:
            target = url.join(place)
            if origin(str(target)) == self._service.origin:
                return target
            place = f"{target.scheme}://{target.host}"
        except (httpx.InvalidURL, ValueError):
            pass  # no address, and so not asked either
        error = ApiError(
            f"The service redirects {query} to {place}, "
            "which is not asked: the token is for the service alone.",
            "If the service has moved, give its new address as base_url=.",
            status=answer.status_code,
        )
        raise _Lost(error, wait=False)


def _wait(error: Exception) -> float | bool:
    return error.wait if isinstance(error, _Lost) else False


def _has_bad_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _retry_after(answer: httpx.Response) -> float | bool:
    """Return how long to wait before the next try; False where there should be none."""
    if answer.status_code not in _AGAIN:
        return False
    asked = answer.headers.get("retry-after", "").strip()
    if not asked:
        return True
    try:
        wait = float(asked)
    except ValueError:
        try:
            wait = parsedate_to_datetime(asked).timestamp() - time()
        except ValueError:
            return True
    if isnan(wait):
        return True
    return max(wait, 0.0) if wait <= LONGEST else False
