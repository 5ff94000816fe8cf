"""Small messages between processes over a socket, with open files; large things lie in regions."""

from __future__ import annotations

import contextlib
import pickle
import selectors
import socket
import struct
from collections.abc import Sequence
from typing import Any

_LENGTH = struct.Struct("<Q")
# The most files that come with one message: a parcel's, and one for each loader that keeps rows.
_MOST_FILES = 64


def send(channel: socket.socket, message: Any, files: Sequence[int] = ()) -> None:
    """Send a message with files.

    Raises:
        OSError: If the other side is gone.
    """
    data = pickle.dumps(message)
    # Files travel with the first bytes, so that the receiver gets them together with the message.
    if files:
        socket.send_fds(channel, [_LENGTH.pack(len(data))], list(files))
    else:
        channel.sendall(_LENGTH.pack(len(data)))
    channel.sendall(data)


def receive(channel: socket.socket) -> tuple[Any, list[int]]:
    """Wait for a message, and return it with its files.

    Raises:
        EOFError: If the other side is gone.
    """
    try:
        head, files, _, _ = socket.recv_fds(channel, _LENGTH.size, _MOST_FILES)
        head += _exactly(channel, _LENGTH.size - len(head)) if head else b""
        data = _exactly(channel, _LENGTH.unpack(head)[0]) if head else b""
    except OSError as error:
        raise EOFError from error
    if not head:
        raise EOFError
    return pickle.loads(data), files


def readable(channels: Sequence[socket.socket], timeout: float) -> list[socket.socket]:
    """Wait up to `timeout` seconds until channels have messages, and return those."""
    # `select.select` cannot watch files with numbers above 1,023.
    with selectors.DefaultSelector() as selector:
        for channel in channels:
            # Another thread may have closed it.
            with contextlib.suppress(ValueError, OSError):
                selector.register(channel, selectors.EVENT_READ)
        return [key.fileobj for key, _ in selector.select(timeout)]  # type: ignore[misc]


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = channel.recv(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
