"""How often a file is asked for, and after which pauses: not at all where a host is down."""

from __future__ import annotations

import threading
import time
import zlib

from multimodal_gen.errors import seconds_in_words
from multimodal_gen.loaders.remote.reasons import FetchError, PassingError

# Seconds before the second, third and fourth try, each made up to half longer, so that requests
# that failed at the same moment do not come back at the same moment.
PAUSES = (0.5, 1.5, 4.0)
# The longest that a server's own wish is followed, and after which no further try begins.
_LONGEST_WAIT, _LONGEST = 30.0, 120.0
# A host that failed for so many files, one after the other, is down: each is then tried once.
_DOWN = 8


class Patience:
    """Which hosts are down. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: dict[str, int] = {}

    def has_ended(self, host: str) -> bool:
        """Whether a host is taken to be down."""
        return self._failed.get(host, 0) >= _DOWN

    def note(self, host: str, came: bool) -> None:
        """Note that a file of a host came, or did not after all tries."""
        with self._lock:
            if came:
                self._failed.pop(host, None)
            else:
                self._failed[host] = self._failed.get(host, 0) + 1


_PATIENCE = Patience()


class Tries:
    """The tries for one URL.

    Args:
        url: The URL.
        host: Its host, which may be down.
    """

    def __init__(self, url: str, host: str) -> None:
        self._host = host
        self._spread = 1 + (zlib.crc32(url.encode("utf-8", "replace")) % 1000) / 2000
        self._made, self._started = 0, time.monotonic()

    def came(self) -> None:
        """Note success."""
        _PATIENCE.note(self._host, True)

    def pause_after(self, error: FetchError) -> float:
        """How long to wait before the next try, in seconds.

        Args:
            error: Why the last one failed.

        Raises:
            FetchError: If there is no next try.
        """
        self._made += 1
        if not isinstance(error, PassingError):
            # The host does answer.
            self.came()
            raise error
        passed = time.monotonic() - self._started
        down = _PATIENCE.has_ended(self._host)
        if down or self._made > len(PAUSES) or passed > _LONGEST:
            _PATIENCE.note(self._host, False)
            raise FetchError(f"{error}, {self._in_words(passed, down)}") from error
        return max(min(error.wait, _LONGEST_WAIT), PAUSES[self._made - 1] * self._spread)

    def _in_words(self, passed: float, down: bool) -> str:
        if down:
            return "as it did for the files before, so it was tried once. Try again later"
        within = seconds_in_words(round(passed))
        return f"in each of {self._made} tries within {within}. Try again later"
