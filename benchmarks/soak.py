"""A soak of the endpoint: good, broken, huge, slow and cancelled requests, each answer checked.

    python -m benchmarks.soak --seconds 600

The model is that of `marks.py`, so each answer shows which row it belongs to. `multimodal-gen
serve` runs in a process of its own, whose memory is read every second and whose threads are counted
before and after. At the end it gets SIGTERM in the midst of requests.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import struct
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.http_client import Connection, Server, form, request
from benchmarks.marks import answer_of, picture_of, row_of, write_marks

# Of the endpoint in the soak: small, so that they are met.
_BODY = 300_000
OPTIONS = ("--max-body", "300kb", "--queue", "64", "--timeout", "20")
# A picture of many pixels in a few bytes.
_SIDE = 60_000
# Seconds after which the process has what it needs, and its memory should stay.
_WARM = 60.0


def bomb() -> bytes:
    """A PNG file whose header promises far more pixels than a loader decodes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        both = kind + data
        return struct.pack(">I", len(data)) + both + struct.pack(">I", zlib.crc32(both))

    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


_BOMB = bomb()


class Client:
    """Sends one kind of request after another, and checks each answer.

    Args:
        port: The server's port.
        marks: Numbers that no other row has.
        seen: Counts what there was.
    """

    def __init__(self, port: int, marks: Any, seen: Counter[str]) -> None:
        self.connection = Connection(port)
        self.marks, self.seen = marks, seen
        self.random = random.Random(next(marks))
        self.kinds: dict[Callable[[], Any], int] = {
            self.good: 55,
            self.form: 10,
            self.broken: 10,
            self.malformed: 4,
            self.huge: 4,
            self.slow: 5,
            self.cancelled: 12,
        }

    async def run(self, until: Callable[[], bool]) -> None:
        """Send requests for as long as there is time."""
        while not until():
            kind = self.random.choices(list(self.kinds), list(self.kinds.values()))[0]
            await kind()
            self.seen[kind.__name__] += 1
        self.connection.hang_up()

    def rows(self) -> tuple[list[dict[str, Any]], list[Any]]:
        """Rows, and what their answers must be."""
        marks = [next(self.marks) for _ in range(self.random.randint(1, 8))]
        return [row_of(mark) for mark in marks], [answer_of(mark) for mark in marks]

    async def check(self, sent: bytes, expected: list[Any], **how: Any) -> None:
        """Send a request, and compare its answer with what it must be."""
        await self.connection.send(sent, **how)
        status, body = await self.connection.answer()
        if status == 503:
            self.seen["refused, as the queue was full"] += 1
            return
        assert status == 200, body
        found = json.loads(body)["rows"]
        assert len(found) == len(expected)
        for one, answer in zip(found, expected, strict=True):
            if isinstance(answer, str):
                assert answer in one["error"], one
            else:
                assert one == answer, (one, answer)
            self.seen["rows checked"] += 1

    async def good(self) -> None:
        """Rows as JSON."""
        rows, expected = self.rows()
        await self.check(request("/predict", json.dumps({"rows": rows}).encode()), expected)

    async def form(self) -> None:
        """A row as a form."""
        mark = next(self.marks)
        sent = form("/predict", {"picture": picture_of(mark)}, {"mark": str(mark)})
        await self.check(sent, [answer_of(mark)])

    async def broken(self) -> None:
        """Rows of which some cannot be read, each in its own way."""
        rows, expected = self.rows()
        ways = (
            ("picture", "!", "not the content of a file as base64"),
            ("picture", "AAAA", "not a picture"),
            ("picture", "/etc/passwd", "not the content of a file as base64"),
            ("picture", row_of(0, _BOMB)["picture"], f"{_SIDE} x {_SIDE} pixels"),
            ("picture", None, "missing"),
            ("mark", "no number", "no number"),
        )
        for place in range(0, len(rows), 2):
            column, cell, reason = self.random.choice(ways)
            rows[place][column] = cell
            expected[place] = reason
        await self.check(request("/predict", json.dumps({"rows": rows}).encode()), expected)

    async def malformed(self) -> None:
        """What is no request of rows."""
        body = self.random.choice([b"{", b"[]", b'{"rows": [{"mark": [1]}]}', b"[" * 90_000])
        status, said = await self.connection.ask(request("/predict", body))
        assert status in (400, 422), (status, said)

    async def huge(self) -> None:
        """A body beyond the limit."""
        status, said = await self.connection.ask(request("/predict", b" " * (3 * _BODY)))
        assert status == 413, (status, said)

    async def slow(self) -> None:
        """Rows that arrive in pieces."""
        rows, expected = self.rows()
        sent = request("/predict", json.dumps({"rows": rows}).encode())
        await self.check(sent, expected, pieces=10, pause=self.random.uniform(0.02, 0.2))

    async def cancelled(self) -> None:
        """A client that hangs up before its answer, at any moment."""
        rows, _ = self.rows()
        sent = request("/predict", json.dumps({"rows": rows}).encode())
        await self.connection.send(sent[: self.random.randint(1, len(sent))])
        await asyncio.sleep(self.random.uniform(0, 0.01))
        self.connection.hang_up()


async def _watched(server: Server, seconds: float, memory: list[int]) -> None:
    for _ in range(max(1, int(seconds))):
        memory.append(server.status("VmRSS"))
        await asyncio.sleep(1)


async def _last(port: int, marks: Any, seen: Counter[str]) -> None:
    # A request that is complete when the server is told to end.
    async with Connection(port) as one:
        mark = next(marks)
        body = json.dumps({"rows": [row_of(mark)]}).encode()
        await one.send(request("/predict", body))
        status, found = await one.answer()
        assert (status, json.loads(found)["rows"]) == (200, [answer_of(mark)])
        seen["answered at the end"] += 1


async def soak(
    server: Server, seconds: float, clients: int, memory: list[int]
) -> tuple[Counter[str], int, str]:
    """Run clients against a server, and end it while requests wait.

    Args:
        server: The server.
        seconds: How long.
        clients: How many at once.
        memory: Gets the kilobytes of the process, each second.

    Returns:
        What there was; the status of the server, and what it said last.
    """
    seen: Counter[str] = Counter()
    marks = itertools.count(1)
    end = time.monotonic() + seconds
    everyone = [Client(server.port, marks, seen) for _ in range(clients)]
    await asyncio.gather(
        _watched(server, seconds, memory),
        *(one.run(lambda: time.monotonic() > end) for one in everyone),
    )
    # The pool of the readers ends after half a second without work.
    await asyncio.sleep(2)
    seen["threads after"] = server.status("Threads")
    last = [asyncio.ensure_future(_last(server.port, marks, seen)) for _ in range(16)]
    # They have been sent, and some are being answered.
    await asyncio.sleep(0.05)
    status, said = await asyncio.to_thread(server.stop)
    await asyncio.gather(*last)
    return seen, status, said


def main() -> None:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--clients", type=int, default=16)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = write_marks(Path(folder, "marks"))
        with Server(run, *OPTIONS) as server:
            before, memory = server.status("Threads"), []
            print(
                f"{before} threads, {server.status('VmRSS') / 1024:.0f} MB before the first request"
            )
            seen, status, said = asyncio.run(soak(server, given.seconds, given.clients, memory))
    for name, count in seen.most_common():
        print(f"{count:>9,} {name}")
    warm = memory[min(int(_WARM), len(memory) // 3) :]
    tenth = max(1, len(warm) // 10)
    first, last = (sum(part) / len(part) / 1024 for part in (warm[:tenth], warm[-tenth:]))
    most = max(memory) / 1024
    print(f"memory: {first:.1f} MB once warm, {last:.1f} MB at the end, {most:.1f} MB most")
    print(f"threads: {before} before, {seen['threads after']} after")
    print(f"exit status {status}; it said: {said.strip()}")


if __name__ == "__main__":
    main()
