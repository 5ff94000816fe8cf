"""Reads the body of a request into memory, within a limit of its own and one for all together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from multimodal_gen.serving.endpoint.columns import RequestError

# Of a body that is too large, so many times the limit are read and forgotten: a client that is cut
# off while it sends often never sees why.
_DRAINED = 4


class Room:
    """Memory for the bodies of all requests in progress.

    Args:
        most: Bytes of one body.
        together: Bytes of all.
    """

    def __init__(self, most: int, together: int) -> None:
        self.most, self.together = most, together
        self.used = 0

    @contextmanager
    def taken(self) -> Iterator[Body]:
        """A body that is forgotten at the end of the block."""
        body = Body(self)
        try:
            yield body
        finally:
            self.used -= body.size


class Body:
    """The body of one request.

    Args:
        room: Where it is.
    """

    def __init__(self, room: Room) -> None:
        self._room, self.size = room, 0

    async def read(self, request: Request) -> bytes:
        """The whole body.

        Raises:
            RequestError: If it is too large, or there is no room for it now.
            ClientDisconnect: If the client hangs up.
        """
        stated = request.headers.get("content-length", "")
        too_large = stated.isdecimal() and int(stated[:20]) > self._room.most
        chunks: list[bytes] = []
        drained = 0
        async for chunk in request.stream():
            too_large = too_large or self.size + len(chunk) > self._room.most
            if too_large:
                drained += len(chunk)
                if drained > _DRAINED * self._room.most:
                    break
                continue
            if self._room.used + len(chunk) > self._room.together:
                raise RequestError(503, "too many requests at once; try again later")
            self._room.used += len(chunk)
            self.size += len(chunk)
            chunks.append(chunk)
        if too_large:
            raise RequestError(
                413, f"the body may have {self._room.most:,} bytes: send fewer rows at once"
            )
        return b"".join(chunks)
