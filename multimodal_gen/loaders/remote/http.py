"""Asks web servers for a file, or for its version, with one request each.

Connections are those of fsspec's file system, with its settings, such as headers for a login.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from multimodal_gen.loaders.remote.reasons import page_instead, reason_of_status

# Seconds to wait for a connection, for the next bytes, and for the whole file.
_CONNECT, _NEXT_BYTES, _WHOLE = 15.0, 30.0, 300.0


class Answer(NamedTuple):
    """A file.

    Args:
        content: Its bytes; if it is too large, one byte more than may be read, or some more.
        version: What changes with its content, or None if the server says nothing of the kind.
    """

    content: bytes
    version: str | None


async def get(system: Any, url: str, most: int) -> Answer:
    """Fetch a file.

    Args:
        system: fsspec's HTTPFileSystem.
        url: The URL.
        most: Bytes after which no more is read.
    """
    session = await system.set_session()
    async with session.get(system.encode_url(url), **_options(system)) as answer:
        _check(answer)
        content = bytearray()
        # A server may state a wrong size, so what arrives is counted.
        async for chunk in answer.content.iter_any():
            content += chunk
            if len(content) > most:
                break
        found = bytes(content)
        if error := page_instead(found):
            raise error
        return Answer(found, _version(answer.headers))


async def version_of(system: Any, url: str) -> str | None:
    """The version of a file, without its content; None if the server does not say."""
    session = await system.set_session()
    async with session.head(
        system.encode_url(url), allow_redirects=True, **_options(system)
    ) as answer:
        # A server that answers no HEAD says nothing of the version, and may still send the file.
        if answer.status in (405, 501):
            return None
        _check(answer)
        return _version(answer.headers)


def _options(system: Any) -> dict[str, Any]:
    # Not above: aiohttp is needed for web servers alone.
    from aiohttp import ClientTimeout

    limits = ClientTimeout(total=_WHOLE, sock_connect=_CONNECT, sock_read=_NEXT_BYTES)
    return {"timeout": limits, **system.kwargs}


def _check(answer: Any) -> None:
    wait = 0.0
    # It may be a date instead; then the usual pauses are made.
    with suppress(ValueError):
        wait = float(answer.headers.get("Retry-After", 0))
    if error := reason_of_status(answer.status, wait):
        raise error


def _version(headers: Mapping[str, str]) -> str | None:
    if tag := headers.get("ETag"):
        return tag
    changed = headers.get("Last-Modified")
    return f"{changed} {headers.get('Content-Length')}" if changed else None
