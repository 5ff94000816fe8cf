"""What the endpoint counts, in the text format that Prometheus reads."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from multimodal_gen.errors import counted

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of requests, rows and batches."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.rows: Counter[str] = Counter()
        self._seconds = [0] * (len(_SECONDS) + 1)
        self._total_seconds = 0.0
        self._batches, self._batch_rows = 0, 0

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            path: Its route, never its text.
            status: The HTTP status of the answer.
            seconds: From its headers to its answer.
        """
        self.requests[path, status] += 1
        if path == "/predict":
            self._seconds[bisect_left(_SECONDS, seconds)] += 1
            self._total_seconds += seconds

    def ran(self, rows: int) -> None:
        """Count a batch."""
        self._batches += 1
        self._batch_rows += rows

    def in_words(self) -> str:
        """What there was, in one sentence."""
        rows = counted(self.rows["predicted"], "row")
        requests = counted(sum(self.requests.values()), "request")
        return f"{requests}, {rows} predicted."

    def text(self, waiting: int) -> str:
        """All numbers.

        Args:
            waiting: Rows that wait now.
        """
        lines = _head("requests_total", "counter", "Requests by route and status.")
        for (path, status), count in sorted(self.requests.items()):
            lines.append(
                f'multimodal_gen_requests_total{{path="{path}",status="{status}"}} {count}'
            )
        lines += _head("rows_total", "counter", "Rows with a prediction, and without one.")
        for outcome in ("predicted", "failed"):
            lines.append(f'multimodal_gen_rows_total{{outcome="{outcome}"}} {self.rows[outcome]}')
        lines += _head("waiting_rows", "gauge", "Rows that wait for the model.")
        lines.append(f"multimodal_gen_waiting_rows {waiting}")
        lines += _head("batch_rows", "summary", "Rows that the model ran on at once.")
        lines.append(f"multimodal_gen_batch_rows_sum {self._batch_rows}")
        lines.append(f"multimodal_gen_batch_rows_count {self._batches}")
        lines += _head("request_seconds", "histogram", "Seconds until an answer of /predict.")
        total = 0
        for limit, count in zip((*_SECONDS, "+Inf"), self._seconds, strict=True):
            total += count
            lines.append(f'multimodal_gen_request_seconds_bucket{{le="{limit}"}} {total}')
        lines.append(f"multimodal_gen_request_seconds_sum {self._total_seconds:.6f}")
        lines.append(f"multimodal_gen_request_seconds_count {total}")
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, words: str) -> list[str]:
    full = f"multimodal_gen_{name}"
    return [f"# HELP {full} {words}", f"# TYPE {full} {kind}"]
