"""A worker process: makes one batch after the other in shared memory.

It imports the loaders and what they need, and neither Keras nor a backend. It ends when its parent
closes the channel, or is gone.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from contextlib import nullcontext
from typing import Any

from multimodal_gen.batch.assembly import Assembly
from multimodal_gen.batch.draft import Draft
from multimodal_gen.batch.failures import Found
from multimodal_gen.batch.processes.making import Task, make
from multimodal_gen.batch.processes.messages import receive, send
from multimodal_gen.batch.processes.parcels import opened
from multimodal_gen.batch.processes.regions import WorkerRegion
from multimodal_gen.loaders.stages import Stopwatch

_SECONDS_BETWEEN_LOOKS_AT_THE_PARENT = 1.0


class Worker:
    """The loop of a worker.

    Args:
        channel: The socket to the parent.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._assemblies: dict[int, Assembly] = {}
        self._epochs: dict[int, int] = {}
        self._refused: dict[int, str] = {}
        self._regions: dict[int, WorkerRegion] = {}
        self._tasks: deque[Any] = deque()
        self._skipped: set[int] = set()
        self._warnings: list[tuple[str, type[Warning], str, int]] = []

    def run(self) -> None:
        """Make batches until the parent closes the channel."""
        warnings.showwarning = self._keep_warning
        try:
            # A program that has ended meanwhile hears nothing.
            send(self._channel, ("hello",))
            while True:
                # Everything that has arrived first: it may say that a task is not needed any more.
                while not self._tasks or select.select([self._channel], [], [], 0)[0]:
                    self._take(*receive(self._channel))
                number, *rest = self._tasks.popleft()
                if number is None:
                    self._forget(*rest)
                else:
                    self._work(number, *rest)
        except (EOFError, OSError):
            for assembly in self._assemblies.values():
                if assembly.cache is not None:
                    assembly.cache.close()

    def _take(self, message: tuple[Any, ...], files: list[int]) -> None:
        what, number, *rest = message
        if what == "make":
            region, *others = rest
            if files:
                self._regions[region] = WorkerRegion(files[0])
            self._tasks.append((number, region, *others))
        elif what == "skip":
            self._skipped.add(number)
        elif what == "forget":
            # After the tasks that need it.
            self._tasks.append((None, number))
        elif what == "learn":
            try:
                self._assemblies[number] = opened(files, *rest)
            except Exception as error:
                self._refused[number] = f"{type(error).__name__}: {error}"
            _use_one_thread()

    def _forget(self, parcel: int) -> None:
        forgotten = self._assemblies.pop(parcel, None)
        if forgotten is not None and forgotten.cache is not None:
            forgotten.cache.close()

    def _work(self, number: int, region: int, parcel: int, size: int, spans: Any) -> None:
        if number in self._skipped:
            self._skipped.discard(number)
            send(self._channel, ("skipped", number))
            return
        # Loading the parcel failed before its tasks came; each of them gets the reason.
        if parcel in self._refused:
            send(self._channel, ("refused", number, self._refused[parcel]))
            return
        place, assembly = self._regions[region], self._assemblies[parcel]
        task = place.open(size, spans)
        if self._epochs.get(parcel) != task.epoch and assembly.cache is not None:
            # What other workers have read in the epoch before.
            assembly.cache.look_again()
        self._epochs[parcel] = task.epoch
        placed = self._made(place, assembly, task)
        send(self._channel, ("made", number, place.size, placed))

    def _made(self, place: WorkerRegion, assembly: Assembly, task: Task) -> Any:
        # Only the parent knows all failures, so it judges whether they are too many.
        found, watch = Found(), Stopwatch()
        self._warnings.clear()
        batch, error = None, None
        try:
            with watch.running() if task.timed else nullcontext():
                draft = Draft(
                    assembly,
                    task.plan,
                    task.epoch,
                    task.index,
                    task.length,
                    task.rows,
                    place.allocate,
                )
                found = draft.found
                batch = make(draft, task, place.header)
        except Exception as problem:
            # A traceback cannot be pickled, so its text goes along.
            error = _travelling(problem), "".join(traceback.format_exception(problem))
        result = (batch, error, found.cells, found.rows, list(self._warnings), watch.seconds)
        return place.put(result)

    def _keep_warning(
        self, message: Any, category: Any, filename: str, lineno: int, *_: Any, **__: Any
    ) -> None:
        self._warnings.append((str(message), category, filename, lineno))


def run(channel: socket.socket) -> None:
    """Be a worker until the parent closes the channel; never returns."""
    # Ctrl-C goes to all processes of a terminal. The parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    status = 1
    try:
        Worker(channel).run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Not `sys.exit`: a forked worker would run what its nursery left to do.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end_with(parent: int) -> None:
    # A worker that hangs in a read does not see that the channel is closed.
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS_AT_THE_PARENT)
    os._exit(1)


def _use_one_thread() -> None:
    # There is a worker per core, and each library would start a thread per core in each of them.
    for name, function in (("cv2", "setNumThreads"), ("pyarrow", "set_cpu_count")):
        if name in sys.modules:
            getattr(sys.modules[name], function)(1)


def _travelling(error: Exception) -> Exception:
    # The error itself if it can be pickled, and otherwise its text.
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
