"""Bounds the requests that are made at once: of a process, and of a process to one host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

# More are no kindness to a server, and bring nothing where there is one: one thread handles a few
# hundred answers a second.
REQUESTS_TO_A_HOST = 32
# A table with pictures of many hosts may ask more of them at once, so that one that is slow does
# not hold up the others. Below the 100 connections that aiohttp opens.
REQUESTS = 96


@dataclass(eq=False)
class _Gate:
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(REQUESTS_TO_A_HOST))
    # Requests that wait or are on their way; at 0 the host is forgotten.
    users: int = 0


class Gates:
    """What requests pass, on the thread of fsspec alone."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(REQUESTS)
        self._hosts: dict[str, _Gate] = {}

    @asynccontextmanager
    async def through(self, host: str) -> AsyncIterator[None]:
        """Wait for a place among the requests to a host, then for one among all."""
        gate = self._hosts.setdefault(host, _Gate())
        gate.users += 1
        try:
            async with gate.places, self._all:
                yield
        finally:
            gate.users -= 1
            if not gate.users:
                del self._hosts[host]
