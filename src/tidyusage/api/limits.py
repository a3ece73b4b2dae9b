"""The API's rate limits."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from time import monotonic
from typing import Final

import anyio

# The service counts over ten seconds; a request may take longer on its way than the next one.
SECONDS: Final = 10.5
PER_ACCOUNT: Final = 50
PER_TOKEN: Final = 500


class Window:
    """The times of the last requests, as many as may lie within a window."""

    def __init__(self, most: int) -> None:
        self._times: deque[float] = deque(maxlen=most)

    def wait(self, now: float) -> float:
        """Return how many seconds it takes until there is room for one more."""
        is_full = len(self._times) == self._times.maxlen
        return max(0.0, self._times[0] + SECONDS - now) if is_full else 0.0

    def take(self, now: float) -> None:
        """Take the room."""
        self._times.append(now)


@dataclass(slots=True)
class Limits:
    """Both limits of a token: its own, and that of each account."""

    token: Window = field(default_factory=lambda: Window(PER_TOKEN))
    accounts: defaultdict[str | None, Window] = field(
        default_factory=lambda: defaultdict(lambda: Window(PER_ACCOUNT))
    )
    lock: Lock = field(default_factory=Lock)

    async def turn(self, account: str | None) -> None:
        """Wait until a request may be sent."""
        while wait := self._take(account):  # noqa: ASYNC110 - it is time that is waited for
            await anyio.sleep(wait)

    def _take(self, account: str | None) -> float:
        with self.lock:
            now = monotonic()
            windows = (self.token, self.accounts[account])
            wait = max(window.wait(now) for window in windows)
            if not wait:
                for window in windows:
                    window.take(now)
            return wait


@cache
def limits_of(service: str, digest: str) -> Limits:
    """Return the limits of a token; they hold for all calls of this process together."""
    del service, digest
    return Limits()
