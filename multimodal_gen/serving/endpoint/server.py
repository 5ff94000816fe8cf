"""Runs the endpoint until a signal, and lets what was accepted be answered."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

# Seconds that an answer may take to reach the client after the last one was ready.
_SENDING = 5
# Seconds that the request of a client may take that has connected before the end.
_ARRIVING = 1.0
# Of the event loop, until a client that waits is let in, and then until it has its transport.
_ROUNDS = 3
# What ends a server in order.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def opened(host: str, port: int) -> socket.socket:
    """A socket on an address, which no other process has; it takes no connections yet.

    Raises:
        ValueError: If there is no such address, or its port is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refused(error, host, port) from None
    try:
        # A port of a server that has just ended may be taken again.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        found.close()
        raise _refused(error, host, port) from None
    return found


@contextmanager
def opened_for(count: int, host: str, port: int) -> Iterator[list[socket.socket]]:
    """Sockets on one address for so many processes, as of `opened`, until the end of the block.

    Raises:
        ValueError: If there is no such address, or its port is in use.
    """
    with ExitStack() as until:
        first = until.enter_context(opened(host, port))
        found = [first] * count
        # There the system gives each socket of an address its share of the connections. Elsewhere
        # all processes wait at one.
        if count > 1 and sys.platform == "linux":
            # Not before it was bound: nobody else has the address.
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            for place in range(1, count):
                # With the protocol: without one, asyncio sets no TCP_NODELAY, and an answer waits
                # 40 ms until the client has confirmed its head.
                one = until.enter_context(socket.socket(first.family, first.type, first.proto))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                one.bind(first.getsockname())
                found[place] = one
        yield found


def _refused(error: OSError, host: str, port: int) -> ValueError:
    return ValueError(
        f"This address cannot be opened: {error.strerror or error}. Name another --port, or "
        f"--host. Received: --host {host} --port {port}"
    )


class _Server(uvicorn.Server):
    # Says when it takes connections.

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn would hang up on clients that have connected and not sent their request yet. Who
        # waits to be connected is let in first, as closing the socket resets all who wait, and
        # asyncio loses those that it has let in but not made a transport for.
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        for one in self.servers:
            for listening in one.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        for one in self.servers:
            one.close()
        await asyncio.sleep(_ARRIVING)
        await super().shutdown(sockets)


def server_of(app: ASGIApp, seconds: float, ready: Callable[[], None]) -> uvicorn.Server:
    """A server of an application; `run(sockets=[...])` runs it, and `should_exit` ends that.

    Args:
        app: The application.
        seconds: How long an accepted request may take.
        ready: Called once it takes connections.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        ws="none",
        # httptools, which uvicorn would take where it is installed, has no limit for headers.
        http="h11",
        # A client has so long to send its request, and then for the answer.
        timeout_graceful_shutdown=int(2 * seconds) + _SENDING,
    )
    return _Server(config, ready)


def run_until_signal(server: uvicorn.Server, listening: socket.socket) -> None:
    """Run a server until SIGTERM or SIGINT; both end it in order, and then this returns.

    Args:
        server: The server.
        listening: Its socket.
    """
    with _heard():
        server.run(sockets=[listening])


@contextmanager
def _heard() -> Iterator[None]:
    # At its end uvicorn raises the signal again that ended it, for the handler that was there
    # before. Its default would end this process as if it had failed.
    before: dict[int, Any] = {one: signal.signal(one, _ignored) for one in SIGNALS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _ignored(number: int, frame: Any) -> None:
    pass
