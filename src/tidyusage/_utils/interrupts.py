"""Handle Ctrl-C while an engine runs: it stops at once.

DuckDB 2.0 looks for signals between tasks of the thread that asks, of which one may take minutes.
So another thread hears of the signal, and has the query end.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AGAIN: Final = 0.05
_TICK: Final = 0.2
# How long a command waits for an engine that does not end: a sort of DuckDB's looks up seldom.
_GRACE: Final = 0.3
EXIT_CODE: Final = 130
# Files and folders that must not outlive the process.
LEFT: Final[set[str]] = set()
_LEAVES: Final = threading.Event()
# Work that is not waited for any more, and goes on.
_LEFT_TO_THEMSELVES: Final[list[threading.Thread]] = []


@contextmanager
def leaving() -> Iterator[None]:
    """Have the process go, as after any Ctrl-C, if an engine does not end: for commands alone."""
    _LEAVES.set()
    try:
        yield
    finally:
        _LEAVES.clear()


def remove(path: str) -> None:
    """Remove a file or folder that was not to be left."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            os.remove(path)
    LEFT.discard(path)


@atexit.register
def _remove_all() -> None:
    for path in list(LEFT):
        remove(path)
    # DuckDB would list on stderr, as leaks, what a thread still holds.
    if any(thread.is_alive() for thread in _LEFT_TO_THEMSELVES):
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


@contextmanager
def heard(end: Callable[[], Any]) -> Iterator[None]:
    """Call a function, from another thread, as soon as somebody presses Ctrl-C in the block.

    It is called again until Python has seen the signal too, for a query that only begins may miss
    it.  Where Ctrl-C means something else to the process, or in a thread that gets no signals,
    nothing is changed.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    watch = _Watch(end)
    watch.begin()
    try:
        yield
    finally:
        watch.close()


def waited(work: Callable[[], Any], undo: Callable[[], Any]) -> None:
    """Have another thread do what may not look up, so that Ctrl-C need not wait for it.

    Work that is told to end, as by `heard`, and does not is left to itself; when it ends at last it
    is undone.
    """
    done, is_left, failures = threading.Event(), threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below, where somebody waits
            failures.append(error)
        done.set()
        if is_left.is_set():
            undo()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while not done.wait(_TICK):
            pass  # some systems' waits hear of no signal while they last
    except KeyboardInterrupt:
        is_left.set()
        if not done.wait(_GRACE):
            _LEFT_TO_THEMSELVES.append(thread)
        raise
    if failures:
        raise failures[0]


class _Watch:
    """A thread that waits for the signal's number at the end of a pipe."""

    def __init__(self, end: Callable[[], Any]) -> None:
        self._end, self._seen, self._closed = end, threading.Event(), threading.Event()
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = -1
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def begin(self) -> None:
        """Listen."""
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self._see)
        self._thread.start()

    def close(self) -> None:
        """Have all as it was."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.set_wakeup_fd(self._before)
        self._seen.set()
        self._closed.set()
        os.close(self._write)
        self._thread.join()
        os.close(self._read)

    def _see(self, number: int, frame: Any) -> None:
        # DuckDB may have seen it first, and waits for its other threads, which do not know yet.
        self._end()
        self._seen.set()
        signal.default_int_handler(number, frame)

    def _wait(self) -> None:
        while numbers := os.read(self._read, 64):
            if self._before >= 0:
                with suppress(OSError):  # who listened before hears of it too
                    os.write(self._before, numbers)
            if signal.SIGINT in numbers:
                self._stop()

    def _stop(self) -> None:
        for _ in range(round(_GRACE / _AGAIN)):
            if self._seen.wait(_AGAIN):
                break
            self._end()
        if _LEAVES.is_set() and not self._closed.wait(_GRACE):
            _remove_all()
            os._exit(EXIT_CODE)
