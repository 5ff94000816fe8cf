"""The endpoint beside `predict` and a plain FastAPI handler: rows a second, and how long one takes.

    KERAS_BACKEND=jax python -m benchmarks.serve trained --data ../shared/data/fashion

Trains and exports a network as `benchmarks.export` does, and keeps both in the folder `trained`.
Then, in turns: `predict` of the bundle and of the export, in batches of 32, with the files in
memory; the endpoint of the export, in one process and in two, with 32 clients that each send a row
at a time; and a FastAPI handler that calls `predict` for one row, of the export and of the bundle,
where FastAPI is installed. The clients are in one process beside the server's. What is printed are
medians of the turns.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd

from benchmarks.export import SAMPLE, trained
from benchmarks.http_client import ROOT, Connection, Server, request

_CLIENTS, _BATCH = 32, 32
_PROCESSES = 1, 2
# A handler without batches is slow, and fewer requests tell.
_PLAIN = 300


async def asked(port: int, sent: list[bytes]) -> tuple[float, list[float]]:
    """Let every client send the next request once it has its answer.

    Args:
        port: The server's port.
        sent: The requests.

    Returns:
        Seconds in all, and those of each request.
    """
    left = iter(sent)
    taken: list[float] = []

    async def client() -> None:
        async with Connection(port) as one:
            for body in left:
                start = time.perf_counter()
                status, found = await one.ask(body)
                taken.append(time.perf_counter() - start)
                assert (status, b'"error"' in found) == (200, False), found

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    return time.perf_counter() - start, taken


@contextmanager
def plain(run: Path) -> Iterator[int]:
    """Run the FastAPI handler in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "uvicorn", "benchmarks.plain_fastapi:app", "--port", str(port)]
    # Neither writes a line for each request.
    line += ["--log-level", "warning"]
    process = subprocess.Popen(line, cwd=ROOT, env={**os.environ, "SERVED": str(run)})
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


class Turns:
    """Rows a second and milliseconds a row of each way, of several turns."""

    def __init__(self) -> None:
        self.speeds: dict[str, list[float]] = defaultdict(list)
        self.times: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def predicted(self, name: str, model: Any, table: pd.DataFrame) -> None:
        """Measure `predict`."""
        start = time.perf_counter()
        model.predict(table, batch_size=_BATCH)
        self.speeds[name].append(len(table) / (time.perf_counter() - start))

    def answered(self, name: str, port: int, sent: list[bytes]) -> None:
        """Measure a server."""
        seconds, taken = asyncio.run(asked(port, sent))
        self.speeds[name].append(len(sent) / seconds)
        median, late = np.percentile(taken, (50, 99)) * 1000
        self.times[name].append((median, late))

    def lines(self, first: str) -> list[str]:
        """The lines of the table; speeds also as shares of the first way's."""
        base, found = float(np.median(self.speeds[first])), []
        for name, speeds in self.speeds.items():
            speed = float(np.median(speeds))
            low, high = min(speeds), max(speeds)
            times = ("", "", "")
            if name in self.times:
                median, late = np.median(self.times[name], axis=0)
                times = (f"{median:.1f}", f"{late:.1f}", f"{late / median:.1f}")
            found.append(
                f"| {name} | {speed:,.0f} ({low:,.0f} to {high:,.0f}) | {speed / base:.2f} | "
                f"{' | '.join(times)} |"
            )
        return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kept", type=Path, help="the folder of the trained bundles")
    parser.add_argument("--data", type=Path, help="the folder of `fashion`")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    name, data, caption, side = "sample", SAMPLE, "caption", (64, 64)
    if given.data is not None:
        name, data, caption, side = "fashion", given.data, "caption_masked", (80, 60)
    run, out = given.kept / name, given.kept / f"{name}_onnx"
    bundle, _, test = trained(run, data, caption, side, 1000, 4)
    if not out.exists():
        bundle.export(out)
    from multimodal_gen.serving import load

    served = load(out)
    contents = [(data / path).read_bytes() for path in test["image"]]
    again = np.resize(np.arange(len(test)), given.requests)
    texts = test[caption].tolist()
    table = pd.DataFrame(
        {"image": [contents[row] for row in again], caption: [texts[row] for row in again]}
    )
    rows = [
        {"image": base64.b64encode(content).decode(), caption: text}
        for content, text in zip(table["image"], table[caption], strict=True)
    ]
    ours = [request("/predict", json.dumps({"rows": [row]}).encode()) for row in rows]
    theirs = [request("/predict", json.dumps(row).encode()) for row in rows[:_PLAIN]]
    for model in (bundle, served):
        model.predict(table.iloc[:200], batch_size=_BATCH)
    fastapi = importlib.util.find_spec("fastapi") is not None
    turns, memory = Turns(), dict[int, list[float]]()
    for _ in range(given.turns):
        turns.predicted("`Bundle.predict`", bundle, table)
        turns.predicted("the export's `predict`", served, table)
        for processes in _PROCESSES:
            with Server(out, "--processes", str(processes)) as server:
                asyncio.run(asked(server.port, ours[:200]))
                many = f" --processes {processes}" if processes > 1 else ""
                turns.answered(f"`multimodal-gen serve{many}`, the export", server.port, ours)
                memory[processes] = [
                    server.status("VmHWM", one) / 1024 for one in server.answering()
                ]
        for what, folder in (("export", out), ("run", run)) if fastapi else ():
            with plain(folder) as port:
                asyncio.run(asked(port, theirs[:50]))
                turns.answered(f"plain FastAPI handler, the {what}", port, theirs)
    size = sum(map(len, contents)) / len(contents) / 1024
    print(
        f"{name}: {given.requests:,} rows of {size:.1f} kB, keras {keras.__version__} on "
        f"{keras.backend.backend()}, load {os.getloadavg()[0]:.1f}"
    )
    print("| way | rows a second | of `Bundle.predict` | median ms | 99 % ms | 99 % / median |")
    print("|---|---|---|---|---|---|")
    print("\n".join(turns.lines("`Bundle.predict`")))
    for processes, most in memory.items():
        print(f"memory of {processes} at most: {' + '.join(f'{one:.0f}' for one in most)} MB")
    if not fastapi:
        print("without the plain handler: FastAPI is not installed")


if __name__ == "__main__":
    main()
