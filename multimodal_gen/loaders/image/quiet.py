"""Silence warnings of decoding libraries in the decoding thread only.

`warnings.catch_warnings` replaces the filters of the whole process and puts old ones back: in
threads that overlap it leaves the wrong ones behind. Here one filter is added, whose category
contains every warning while the thread that asks is decoding, and none otherwise; so it changes
nothing for anybody else.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_thread = threading.local()


# Python issue 128384. From 3.14 on `catch_warnings` can be a matter of one thread, but only with
# `-X context_aware_warnings`, which ordinary builds leave off.
class _WhileDecoding(type):
    def __subclasscheck__(cls, subclass: type) -> bool:
        return getattr(_thread, "quiet", False)


class WarningOfDecoder(Warning, metaclass=_WhileDecoding):
    """Match every warning in a thread inside `quiet`, and none in other threads."""


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore this thread's warnings, including those that a filter turns into errors."""
    # Others may have inserted filters in front of ours or removed all, as tests do; only the first
    # filter decides.
    if not warnings.filters or warnings.filters[0][2] is not WarningOfDecoder:
        warnings.simplefilter("ignore", WarningOfDecoder)
    before = getattr(_thread, "quiet", False)
    _thread.quiet = True
    try:
        yield
    finally:
        _thread.quiet = before
