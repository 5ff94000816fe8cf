"""The threads that run the model, for the rows of all requests that wait at that moment.

While a batch runs, requests gather; the next batch has whatever there is, so nobody waits for a
batch to fill up. An export that is served by one process has two threads, so that the files of one
batch are decoded while the network runs on the other; the second takes rows once half a batch
waits, as batches of a row or two would cost more than they save. The queue is bounded in rows, and
a request that nobody waits for any more is left out of the next batch.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.serving.endpoint.answers import records_of

_log = logging.getLogger(__name__)


class QueueFullError(Exception):
    """So many rows wait that no more are taken."""


@dataclass(eq=False)
class Job:
    """What a request asks for, and where its answer goes.

    Args:
        cells: Column -> cell of each row.
        places: The place of each row in its request.
        answer: Gets a record or a reason for each row; whatever `run` returns; or an error.
        run: What is run instead of a prediction, on a table of the rows.
    """

    cells: list[dict[str, Any]]
    places: list[int]
    answer: asyncio.Future[Any]
    run: Callable[[pd.DataFrame], Any] | None = None
    result: Any = field(default=None, init=False)

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for it."""
        return not self.answer.done()


class Batcher:
    """The threads that run a model.

    Args:
        model: A bundle, or an export.
        rows: Rows of a batch.
        threads: How many; Keras runs a model in one thread at a time.
        queue: Rows that may wait.
        even: Whether batches are filled up to a power of two, for a backend that compiles the model
            for each number of rows.
        ran: Called with the number of rows of each batch.
        waits: Called with the number of rows that wait, whenever it has changed.
    """

    def __init__(
        self,
        model: Any,
        *,
        rows: int,
        threads: int,
        queue: int,
        even: bool = False,
        ran: Callable[[int], None] = lambda rows: None,
        waits: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self.model, self.rows, self.queue, self.even, self.ran = model, rows, queue, even, ran
        self.waits = waits
        # Not as texts of Arrow, whose comparison takes longer.
        self.columns = pd.Index(dict.fromkeys(_columns_of(model.inputs.values())), dtype=object)
        # The columns of a prediction, and whether each is the probability of a class.
        self.given: list[tuple[str, bool]] = []
        self._jobs: deque[Job] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._closed = False
        self._running = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"model {number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Run the model once for each size of a batch, and start the threads."""
        for size in _sizes(self.rows) if self.even else (1,):
            # Missing cells: what is blank can be predicted, and nothing has to be read.
            columns = self._columns([{}] * size, [0] * size)[0]
        probable = _probabilities(self.model.target)
        self.given = [(str(name), str(name) in probable) for name in columns]
        for one in self._threads:
            one.start()

    def close(self) -> None:
        """Answer what waits, and end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for one in self._threads:
            if one.ident is not None:
                one.join()

    @property
    def alive(self) -> bool:
        """Whether the threads run."""
        return all(one.is_alive() for one in self._threads)

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        return self._waiting

    def put(self, job: Job) -> None:
        """Add a job to those that wait.

        Raises:
            QueueFullError: If too many rows wait.
        """
        with self._changed:
            if self._waiting + len(job.cells) > self.queue:
                self._drop_unwanted()
            if self._closed or self._waiting + len(job.cells) > self.queue:
                raise QueueFullError
            self._jobs.append(job)
            self._set_waiting(self._waiting + len(job.cells))
            self._changed.notify()

    def _drop_unwanted(self) -> None:
        # So that those who gave up keep nobody out.
        self._jobs = deque(job for job in self._jobs if job.wanted)
        self._set_waiting(sum(len(job.cells) for job in self._jobs))

    def _set_waiting(self, rows: int) -> None:
        self._waiting = rows
        self.waits(rows)

    def _work(self) -> None:
        while (jobs := self._next()) is not None:
            if jobs:
                self._answer(jobs)
                jobs[0].answer.get_loop().call_soon_threadsafe(_tell, jobs)
            with self._changed:
                self._running -= 1
                self._changed.notify()

    def _next(self) -> list[Job] | None:
        with self._changed:
            while not self._jobs or (self._running and 2 * self._waiting < self.rows):
                if self._closed and not self._jobs:
                    return None
                self._changed.wait()
            self._running += 1
            found: list[Job] = []
            rows = 0
            while self._jobs:
                job = self._jobs[0]
                alone = job.run is not None
                if found and (alone or rows + len(job.cells) > self.rows):
                    break
                self._jobs.popleft()
                self._set_waiting(self._waiting - len(job.cells))
                if job.wanted:
                    found.append(job)
                    rows += len(job.cells)
                    if alone:
                        break
            if found:
                self.ran(rows)
            return found

    def _answer(self, jobs: list[Job]) -> None:
        try:
            run = jobs[0].run
            if run is not None:
                jobs[0].result = run(self.table(jobs[0].cells, jobs[0].places))
                return
            cells = [cell for job in jobs for cell in job.cells]
            places = [place for job in jobs for place in job.places]
            answers = self._predicted(cells, places)
        except Exception as error:
            if len(jobs) > 1:
                # One of them is to blame, and the others are answered.
                for job in jobs:
                    self._answer([job])
                return
            _log.exception("the model failed")
            jobs[0].result = error
            return
        start = 0
        for job in jobs:
            job.result = answers[start : start + len(job.cells)]
            start += len(job.cells)

    def table(self, cells: list[dict[str, Any]], places: list[int]) -> pd.DataFrame:
        """Rows as a table, whose index is their places in their requests."""
        # As objects, so that no cell changes for the sake of the others.
        values = np.empty((len(cells), len(self.columns)), object)
        for row, own in enumerate(cells):
            for place, name in enumerate(self.columns):
                # Each by itself, as a cell may be a list.
                values[row, place] = own.get(name)
        return pd.DataFrame(values, places, self.columns, dtype=object)

    def _columns(
        self, cells: list[dict[str, Any]], places: list[int]
    ) -> tuple[dict[Any, np.ndarray], dict[int, str]]:
        # Column -> predictions, and the place of a row that has none -> why.
        columns, errors, broken = self.model._predicted_columns(
            self.table(cells, places), min(self.rows, len(cells)), 0
        )
        # Raw outputs have no names.
        named = dict(columns if isinstance(columns, Mapping) else enumerate(columns.T))
        return named, {**broken, **errors}

    def _predicted(self, cells: list[dict[str, Any]], places: list[int]) -> list[Any]:
        # A record for each row, or the reason why it has none.
        size = len(cells)
        if self.even:
            most = self.rows
            more = -size % most if size > most else min(most, _next_power(size)) - size
            cells, places = [*cells, *[{}] * more], [*places, *[0] * more]
        try:
            columns, errors = self._columns(cells, places)
        except ValueError as error:
            if size == 1:
                # Such as numbers so large that the model's outputs are not finite.
                return [str(error)]
            return [
                self._predicted([cell], [place])[0]
                for cell, place in zip(cells[:size], places, strict=False)
            ]
        records = records_of({name: values[:size] for name, values in columns.items()})
        return [errors.get(place, record) for place, record in enumerate(records)]


def _tell(jobs: list[Job]) -> None:
    for job in jobs:
        if job.wanted:
            if isinstance(job.result, Exception):
                job.answer.set_exception(job.result)
            else:
                job.answer.set_result(job.result)


def _columns_of(loaders: Any) -> list[str]:
    found: list[str] = []
    for one in loaders:
        found += [one.column] if isinstance(one.column, str) else one.column
    return found


def _probabilities(target: Any) -> set[str]:
    targets = target if isinstance(target, Mapping) else {"": target}
    return {
        f"{name}.{one}" if isinstance(target, Mapping) else str(one)
        for name, own in targets.items()
        for one in (() if own is None else own.class_names)
    }


def _next_power(size: int) -> int:
    return 1 << (size - 1).bit_length()


def _sizes(rows: int) -> list[int]:
    found = [1 << power for power in range(rows.bit_length()) if 1 << power < rows]
    return [*found, rows]
