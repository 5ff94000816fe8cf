"""A small HTTP client on asyncio, so that many clients take little from the server beside them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Self

_PATIENCE = 120
ROOT = Path(__file__).parent.parent


class Connection:
    """A connection to a server, on which one request follows another.

    Args:
        port: The port, on this machine.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        """Close it; the next request opens another one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def send(self, request: bytes, *, pieces: int = 1, pause: float = 0.0) -> None:
        """Send a request.

        Args:
            request: What `request` made.
            pieces: In how many pieces.
            pause: Seconds between them.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        writer = self._streams[1]
        step = -(-len(request) // pieces)
        for start in range(0, len(request), step):
            writer.write(request[start : start + step])
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)

    async def answer(self) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        assert self._streams is not None
        reader = self._streams[0]
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None, head
        body = await reader.readexactly(int(length[1]))
        if b"connection: close" in head.lower():
            self.hang_up()
        return int(head.split(b" ", 2)[1]), body

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request, and wait for the answer."""
        await self.send(request)
        return await self.answer()


def request(path: str, body: bytes, kind: str = "application/json") -> bytes:
    """The bytes of a request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def form(path: str, files: Mapping[str, bytes], fields: Mapping[str, str]) -> bytes:
    """The bytes of a request with a form."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="file"\r\n\r\n'
        "".encode()
        + content
        + b"\r\n"
        for name, content in files.items()
    ]
    parts += [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        for name, text in fields.items()
    ]
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return request(path, body, f"multipart/form-data; boundary={boundary}")


class Server:
    """`multimodal-gen serve` in a process of its own, until the end of the block.

    Args:
        run: The export or run.
        options: Further options.
    """

    def __init__(self, run: Path, *options: str) -> None:
        line = [sys.executable, "-u", "-m", "multimodal_gen", "serve", str(run), "--port", "0"]
        self.process = subprocess.Popen(
            [*line, *options],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "1000"},
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        found = re.search(r"http://[^ ]*:(\d+)\.", said)
        assert found is not None, f"it did not start: {said!r}"
        self.port, self.said = int(found[1]), said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def stop(self) -> tuple[int, str]:
        """End it by SIGTERM: its status, and what it says last."""
        self.process.terminate()
        said, _ = self.process.communicate(timeout=_PATIENCE)
        return self.process.returncode, said

    def answering(self) -> list[int]:
        """The processes that answer: this one, or those that it has started."""
        pid = self.process.pid
        started = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        # multiprocessing starts one more, for itself.
        lines = {one: Path(f"/proc/{one}/cmdline").read_bytes() for one in started}
        return [one for one, line in lines.items() if b"spawn_main" in line] or [pid]

    def status(self, name: str, pid: int | None = None) -> int:
        """A number of the process or of one of `answering`: "VmRSS" in kB, "VmHWM" for its peak, or
        "Threads".
        """
        text = Path(f"/proc/{pid or self.process.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
        assert found is not None
        return int(found[1])
