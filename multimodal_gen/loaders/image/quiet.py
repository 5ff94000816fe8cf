"""Warnings of the libraries that decode, silenced in the thread that decodes and in no other.

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


class _WhileDecoding(type):
    def __subclasscheck__(cls, subclass: type) -> bool:
        return getattr(_thread, "quiet", False)


class WarningOfDecoder(Warning, metaclass=_WhileDecoding):
    """Every warning, in a thread that is inside `quiet`; no warning, in others."""


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore warnings of this thread, those that a filter has made errors included."""
    # Others may have put their filters in front, or have taken all away, as tests do; only the
    # first one decides.
    if not warnings.filters or warnings.filters[0][2] is not WarningOfDecoder:
        warnings.simplefilter("ignore", WarningOfDecoder)
    before = getattr(_thread, "quiet", False)
    _thread.quiet = True
    try:
        yield
    finally:
        _thread.quiet = before
