"""Delays signals that arrive while a block must not be interrupted."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any


def handled_signals() -> list[int]:
    """Return the signals that have a Python handler now."""
    return [int(number) for number in signal.valid_signals() if callable(signal.getsignal(number))]


class Deferred:
    """Context manager: signals that arrive in the block are handled when it ends.

    Args:
        numbers: The signals.
    """

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = numbers
        self._handlers: list[tuple[int, Any]] = []
        self._arrived: list[int] = []

    def __enter__(self) -> None:
        # Python runs signal handlers in the main thread only.
        main = threading.current_thread() is threading.main_thread()
        for number in self._numbers if main else ():
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers.append((number, handler))
                signal.signal(number, self._note)

    def __exit__(
        self, kind: type | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        handlers = dict(self._handlers)
        self._give_back()
        # Each signal once, as the system does with signals that wait.
        for number in dict.fromkeys(self._arrived):
            handlers[number](number, sys._getframe(1))

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._arrived.append(number)

    def _give_back(self) -> None:
        # A signal whose handler is restored may arrive at once and raise; the others must be
        # restored too.
        try:
            while self._handlers:
                signal.signal(*self._handlers[-1])
                self._handlers.pop()
        finally:
            if self._handlers:
                self._give_back()
