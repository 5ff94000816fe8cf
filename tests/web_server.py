"""A small web server on this machine that answers as paths say: late, wrongly, or not at all."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer(ThreadingHTTPServer):
    """Serves `files`, name -> content.

    A path is `/way/name`, where the way is: "ok"; "late", after `delay` seconds; a status such as
    "404"; "first503", which fails for the first two requests of a name; "cut", which breaks off in
    the middle; "stall", which does not go on after half of the first answer; "short", whose first
    answer states half of its length; "endless"; "moved", which leads to "ok"; "page", which sends a
    web page; "unnamed", which tells no version; or "nohead", which answers no HEAD.

    Attributes:
        requests: (method, path) -> how many came.
        busiest: The most requests that were answered at the same time.
    """

    daemon_threads = True
    # The default queue of 5 would refuse some of 32 connections at once.
    request_queue_size = 128

    def __init__(self, files: dict[str, bytes], delay: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.delay = files, delay
        self.versions = dict.fromkeys(files, 1)
        self.requests: Counter[tuple[str, str]] = Counter()
        self.lock, self.busy, self.busiest = threading.Lock(), 0, 0
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Small packets would otherwise wait for each other, 40 ms each.
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: WebServer

    def log_message(self, *arguments: object) -> None:
        """Keep silent."""

    def do_HEAD(self) -> None:
        self._do("HEAD")

    def do_GET(self) -> None:
        self._do("GET")

    def _do(self, method: str) -> None:
        server = self.server
        with server.lock:
            server.requests[method, self.path] += 1
            count = server.requests[method, self.path]
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
        try:
            self._answer(method, count)
        finally:
            with server.lock:
                server.busy -= 1

    def _answer(self, method: str, count: int) -> None:
        _, way, name = self.path.split("/", 2)
        content = self.server.files.get(name)
        time.sleep(self.server.delay if way == "late" else 0)
        if way.isdigit() or content is None:
            self._send(int(way) if way.isdigit() else 404, b"no", {})
        elif way == "first503" and count < 3:
            self._send(503, b"busy", {"Retry-After": "0"})
        elif way == "moved":
            self._send(302, b"", {"Location": f"/ok/{name}"})
        elif way == "page":
            self._send(200, b"  <!DOCTYPE html><title>Log in</title>", {})
        elif way == "nohead" and method == "HEAD":
            self._send(501, b"", {})
        elif way == "stall" and count == 1:
            self._send(200, content, {}, cut=True)
            self.wfile.flush()
            self.server.closing.wait(60)
        elif way == "short" and count == 1:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) // 2))
            self.end_headers()
            self.wfile.write(content)
        elif way == "endless":
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            for _ in range(10_000):
                self.wfile.write(content * 10)
        else:
            told = {} if way == "unnamed" else {"ETag": f'"{self.server.versions[name]}"'}
            self._send(200, content, told, cut=way == "cut")

    def _send(self, status: int, body: bytes, headers: dict[str, str], cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = cut


@contextmanager
def serving(files: dict[str, bytes], delay: float = 0.0) -> Iterator[WebServer]:
    """Run a server until the end of the block."""
    with WebServer(files, delay) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
