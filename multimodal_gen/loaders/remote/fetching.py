"""Fetches the file at a URL, with tries, and remembers its version for the cache."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from typing import Any, TypeVar
from urllib.parse import urlsplit

from multimodal_gen.loaders.remote import http, stores
from multimodal_gen.loaders.remote.http import Answer
from multimodal_gen.loaders.remote.patience import Tries
from multimodal_gen.loaders.remote.reasons import reason_of

Result = TypeVar("Result")
# Versions that are remembered, at about 200 bytes each.
_MOST_VERSIONS = 1_000_000


class Remote:
    """The file at a URL.

    Args:
        protocol: What the URL begins with, such as "https".
        url: The URL.

    Raises:
        FetchError: If no file system is known for it.
    """

    def __init__(self, protocol: str, url: str) -> None:
        self.url = url
        # Of a store, the bucket.
        self.host = urlsplit(url).netloc
        try:
            # Not `fsspec.open`, which would follow chains such as "zip://a.png::file:///a.zip".
            kind = _kind_of(protocol)
            self.system = kind(**kind._get_kwargs_from_urls(url))
        except Exception as error:
            raise reason_of(error) from error
        # A library of the same protocol need not be that of aiohttp.
        self._ways: Any = http if _is_of_web(self.system) else stores
        self.is_async = stores.is_async(self.system)

    def fetch(self, most: int) -> bytes:
        """The content, or one byte more than `most` and perhaps some more, if it is too large.

        Raises:
            FetchError: If it cannot be had.
        """
        if self.is_async:
            return self.begin(lambda: self.fetching(most)).result()
        answer = self._now(lambda: stores.get_now(self.system, self.url, most))
        return answer.content

    async def fetching(self, most: int) -> bytes:
        """As `fetch`, on the thread of fsspec."""
        answer: Answer = await self._tried(lambda: self._ways.get(self.system, self.url, most))
        if answer.version is not None:
            VERSIONS.put(self.url, answer.version)
        return answer.content

    def version(self) -> str | None:
        """What changes with the content, asked once in a process; None if that is unknown.

        Raises:
            FetchError: If there is no such file, or it may not be read.
        """
        known, version = VERSIONS.get(self.url)
        # What is asked on the thread of fsspec itself cannot wait for it.
        if known or self.on_its_thread:
            return version
        if self.is_async:
            return self.begin(self.finding_version).result()
        version = self._now(lambda: stores.version_now(self.system, self.url))
        VERSIONS.put(self.url, version)
        return version

    async def finding_version(self) -> str | None:
        """As `version`, on the thread of fsspec."""
        known, version = VERSIONS.get(self.url)
        if known:
            return version
        version = await self._tried(lambda: self._ways.version_of(self.system, self.url))
        VERSIONS.put(self.url, version)
        return version

    @property
    def on_its_thread(self) -> bool:
        """Whether this is the thread of fsspec, which fetches and may never wait for that."""
        with suppress(RuntimeError):
            return self.is_async and asyncio.get_running_loop() is self.system.loop
        return False

    def begin(self, work: Callable[[], Any]) -> Future[Any]:
        """Start a coroutine on the thread of fsspec."""
        return asyncio.run_coroutine_threadsafe(work(), self.system.loop)

    async def _tried(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        tries = Tries(self.url, self.host)
        while True:
            try:
                found = await attempt()
            except Exception as error:
                await asyncio.sleep(tries.pause_after(reason_of(error)))
            else:
                tries.came()
                return found

    def _now(self, attempt: Callable[[], Result]) -> Result:
        tries = Tries(self.url, self.host)
        while True:
            try:
                found = attempt()
            except Exception as error:
                time.sleep(tries.pause_after(reason_of(error)))
            else:
                tries.came()
                return found


@cache
def _kind_of(protocol: str) -> Any:
    # Only URLs need it, and it is slow to import.
    import fsspec

    return fsspec.get_filesystem_class(protocol)


def _is_of_web(system: Any) -> bool:
    # By its name, as its module needs aiohttp; other file systems have a `set_session` too.
    return any(kind.__module__ == "fsspec.implementations.http" for kind in type(system).__mro__)


class Versions:
    """URL -> version, as it was first found in this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[bytes, str | None] = {}

    def get(self, url: str) -> tuple[bool, str | None]:
        """Whether it was asked, and the version."""
        key = _digest(url)
        with self._lock:
            return key in self._found, self._found.get(key)

    def put(self, url: str, version: str | None) -> None:
        """Keep a version; the newest is the right one."""
        with self._lock:
            if len(self._found) >= _MOST_VERSIONS:
                self._found.pop(next(iter(self._found)))
            self._found[_digest(url)] = version


VERSIONS = Versions()


def _digest(url: str) -> bytes:
    return blake2b(url.encode("utf-8", "surrogatepass"), digest_size=12).digest()
