"""What the endpoint counts, in the text format that Prometheus reads."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable
from itertools import product
from typing import Any

from multimodal_gen.errors import counted

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ROUTES = ("/", "/explain", "/health", "/metrics", "/openapi.json", "/predict")
# Whatever the routes answer with; 499 where the client has hung up, as nginx calls it.
STATUSES = (200, 400, 408, 413, 415, 421, 422, 499, 500, 503, 504)
_NAMES: list[Hashable] = [
    *(("request", path, status) for path in ROUTES for status in STATUSES),
    *(("seconds", place) for place in range(len(_SECONDS) + 1)),
    *("all seconds", "predicted", "failed", "batches", "batch rows", "waiting"),
]
_PLACES = {name: place for place, name in enumerate(_NAMES)}
# Numbers of a process.
WIDTH = len(_NAMES)


class Metrics:
    """Counters of requests, rows and batches, of this process or of several.

    Args:
        numbers: The counters of all processes, `WIDTH` of 8 bytes for each, in memory that they
            share. Each changes only its own, which needs no lock.
        own: Which are those of this process.
    """

    def __init__(self, numbers: Any = None, own: int = 0) -> None:
        shared = memoryview(bytearray(8 * WIDTH) if numbers is None else numbers)
        self._numbers: Any = shared.cast("B").cast("d")
        self._start = own * WIDTH

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            path: Its route, never its text.
            status: The HTTP status of the answer.
            seconds: From its headers to its answer.
        """
        self._add(("request", path, status))
        if path == "/predict":
            self._add(("seconds", bisect_left(_SECONDS, seconds)))
            self._add("all seconds", seconds)

    def predicted(self, rows: int, failed: int) -> None:
        """Count rows with a prediction, and rows without one."""
        self._add("predicted", rows)
        self._add("failed", failed)

    def ran(self, rows: int) -> None:
        """Count a batch."""
        self._add("batches")
        self._add("batch rows", rows)

    def waits(self, rows: int) -> None:
        """Note how many rows wait now."""
        self._numbers[self._start + _PLACES["waiting"]] = rows

    def requests(self, path: str, status: int) -> int:
        """Requests of a route with a status."""
        return int(self._sum(("request", path, status)))

    def in_words(self) -> str:
        """What there was, in one sentence."""
        rows = counted(int(self._sum("predicted")), "row")
        requests = sum(self.requests(path, status) for path in ROUTES for status in STATUSES)
        return f"{counted(requests, 'request')}, {rows} predicted."

    def _add(self, what: Hashable, number: float = 1) -> None:
        self._numbers[self._start + _PLACES[what]] += number

    def _sum(self, what: Hashable) -> float:
        return sum(self._numbers[_PLACES[what] :: WIDTH])

    def text(self) -> str:
        """All numbers, those of several processes added up."""
        lines = _head("requests_total", "counter", "Requests by route and status.")
        for path, status in product(sorted(ROUTES), STATUSES):
            count = self.requests(path, status)
            if count:
                labels = f'path="{path}",status="{status}"'
                lines.append(f"multimodal_gen_requests_total{{{labels}}} {count}")
        lines += _head("rows_total", "counter", "Rows with a prediction, and without one.")
        for outcome in ("predicted", "failed"):
            lines.append(
                f'multimodal_gen_rows_total{{outcome="{outcome}"}} {self._sum(outcome):.0f}'
            )
        lines += _head("waiting_rows", "gauge", "Rows that wait for the model.")
        lines.append(f"multimodal_gen_waiting_rows {self._sum('waiting'):.0f}")
        lines += _head("batch_rows", "summary", "Rows that the model ran on at once.")
        lines.append(f"multimodal_gen_batch_rows_sum {self._sum('batch rows'):.0f}")
        lines.append(f"multimodal_gen_batch_rows_count {self._sum('batches'):.0f}")
        lines += _head("request_seconds", "histogram", "Seconds until an answer of /predict.")
        total = 0
        for place, limit in enumerate((*_SECONDS, "+Inf")):
            total += int(self._sum(("seconds", place)))
            lines.append(f'multimodal_gen_request_seconds_bucket{{le="{limit}"}} {total}')
        lines.append(f"multimodal_gen_request_seconds_sum {self._sum('all seconds'):.6f}")
        lines.append(f"multimodal_gen_request_seconds_count {total}")
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, words: str) -> list[str]:
    full = f"multimodal_gen_{name}"
    return [f"# HELP {full} {words}", f"# TYPE {full} {kind}"]
