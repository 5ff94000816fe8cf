"""Samples a second of pictures at URLs, beside threads that wait for each picture.

    python -m benchmarks.remote --delay 0.02

A web server in a process of its own answers each request after a while. What waits is requests of
the standard library on two threads; both decode every picture to 32x32 pixels, and the pixels are
compared. With `--failing 0.01`, so many requests are answered by 500 or broken off: no row may be
lost.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import time
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console
from rich.table import Table

import multimodal_gen as mg


def picture(number: int) -> bytes:
    """A JPEG file of 64x64 pixels."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), "uint8")
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((64, 64)).save(stream, "JPEG")
    return stream.getvalue()


def serve(port: Any, pictures: list[bytes], delay: float, failing: float) -> None:
    """Answer each request after `delay` seconds; a share of first requests fails."""
    asked: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16
        disable_nagle_algorithm = True

        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            time.sleep(delay)
            content = pictures[int(self.path[1:])]
            draw = zlib.crc32(self.path.encode()) % 10_000 / 10_000
            fails = draw < failing and self.path not in asked
            asked.add(self.path)
            cut = fails and draw < failing / 2
            self.send_response(500 if fails and not cut else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.close_connection = fails

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        port.send(server.server_port)
        server.serve_forever()


def waiting(urls: list[str], threads: int) -> np.ndarray:
    """Read pictures on threads that wait for each."""

    def read(url: str) -> np.ndarray:
        with urllib.request.urlopen(url) as answer:
            content = answer.read()
        return np.asarray(
            Image.open(io.BytesIO(content))
            .convert("RGB")
            .resize((32, 32), Image.Resampling.BILINEAR)
        )

    with ThreadPoolExecutor(threads) as pool:
        return np.stack(list(pool.map(read, urls)))


def ours(urls: list[str], threads: int) -> np.ndarray:
    """Read them as a sequence does."""
    data = mg.MultimodalSequence(
        pd.DataFrame({"image": urls}),
        {"image": mg.ImageLoader("image", image_size=(32, 32), protocols=["http"])},
        batch_size=32,
        inputs_as="array",
        threads=threads,
        processes=0,
    )
    pixels = np.concatenate([batch[0] for batch in data])
    assert data.failures.empty
    return pixels


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--delay", type=float, default=0.02)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--failing", type=float, default=0.0)
    arguments = parser.parse_args()
    pictures = [picture(number) for number in range(arguments.rows)]
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(there, pictures, arguments.delay, arguments.failing), daemon=True
    )
    server.start()
    # So that `recv` ends if the server does.
    there.close()
    start = f"http://127.0.0.1:{here.recv()}"
    urls = [f"{start}/{number}" for number in range(arguments.rows)]
    table = Table("way", "samples/s", "CPU ms a sample", "times")
    first = 0.0
    ways = {"ours": ours, "threads that wait": waiting}
    if arguments.failing:
        # Nothing is tried again there.
        del ways["threads that wait"]
    ways["ours"](urls[:32], 1)
    for name, way in reversed(ways.items()):
        started, cpu = time.perf_counter(), time.process_time()
        way(urls, arguments.threads)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        rate = len(urls) / seconds
        first = first or rate
        table.add_row(name, f"{rate:,.0f}", f"{1000 * cpu / len(urls):.2f}", f"{rate / first:.1f}")
    Console().print(table)
    files = mg.MultimodalSequence(
        pd.DataFrame({"image": pictures}),
        {"image": mg.ImageLoader("image", image_size=(32, 32))},
        batch_size=32,
        inputs_as="array",
    )
    same = np.array_equal(ours(urls, 2), np.concatenate([batch[0] for batch in files]))
    print(f"The same pixels as from files: {same}")
    server.terminate()


if __name__ == "__main__":
    main()
