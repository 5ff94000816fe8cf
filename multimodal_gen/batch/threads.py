"""The threads that fill batches: one pool for all sequences of a process.

They are daemons and end when idle, so no finished or interrupted run leaves one behind. A thread
that hangs in a read is abandoned and replaced. `concurrent.futures` cannot do that: it would wait
for the thread at exit.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

# Long enough to outlive the pause between two batches, short enough to leave no thread behind.
_SECONDS_IDLE = 0.5
_SECONDS_AT_EXIT = 2.0
# On 16 cores, 16 threads decode no faster than 8, as each waits longer for the interpreter's lock:
# 0.9 of the rate with libjpeg-turbo, 0.8 with Pillow.
_MOST = 8
_POOLS: dict[tuple[int, int, str], WorkerPool] = {}
_POOLS_LOCK = threading.Lock()


def pool_of(threads: int, use: str = "read") -> WorkerPool:
    """Return the process's pool with this number of threads, for a use of its own.

    A forked child has none of its parent's threads, so it gets its own pool.
    """
    key = (os.getpid(), threads, use)
    with _POOLS_LOCK:
        if key not in _POOLS:
            _POOLS[key] = WorkerPool(threads)
        return _POOLS[key]


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """Return the number of threads that read cells, if the user does not say: one per core, up to
    8.
    """
    return min(available_cores(), _MOST)


class WorkerPool:
    """Runs functions on a fixed number of daemon threads, in the order of submission.

    Args:
        threads: Number of threads.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._workers: dict[int, threading.Thread] = {}

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Schedule a function; the future holds its result or error."""
        future: Future[Any] = Future()
        with self._lock:
            self._tasks.put((future, function, arguments))
            if len(self._workers) < self.threads:
                self._start()
        return future

    def abandon(self, thread: int) -> None:
        """Replace a hanging thread by another; it ends when its function returns.

        Args:
            thread: Its `threading.get_ident()`.
        """
        with self._lock:
            if self._workers.pop(thread, None) is not None and not self._tasks.empty():
                self._start()

    def close(self, timeout: float) -> None:
        """Cancel functions that have not started, and wait up to `timeout` seconds for others."""
        while True:
            try:
                self._tasks.get_nowait()[0].cancel()
            except queue.Empty:
                break
        with self._lock:
            workers = list(self._workers.values())
        for worker in workers:
            worker.join(timeout / max(1, len(workers)))

    def _start(self) -> None:
        started = threading.Event()
        worker = threading.Thread(
            target=self._work, args=(started,), name="multimodal_gen", daemon=True
        )
        worker.start()
        assert worker.ident is not None
        self._workers[worker.ident] = worker
        started.set()

    def _work(self, started: threading.Event) -> None:
        # Wait until `_start` has registered this thread, or it would not find itself below.
        started.wait()
        me = threading.get_ident()
        while True:
            try:
                future, function, arguments = self._tasks.get(timeout=_SECONDS_IDLE)
            except queue.Empty:
                with self._lock:
                    # `submit` holds this lock too: a task added before it counts this thread as
                    # alive.
                    if self._tasks.empty():
                        self._workers.pop(me, None)
                        return
                continue
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*arguments))
                except BaseException as error:
                    future.set_exception(error)
            # They may hold a batch, which should not stay in memory until the next task.
            del future, function, arguments
            # Abandoned while it hung: another thread has its place.
            if me not in self._workers:
                return


class Once:
    """Calls a function once; other threads wait for it, and all of them get its error."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function
        self._lock = threading.Lock()
        self._error: Exception | None = None

    def __call__(self) -> None:
        """Call the function, or wait until another thread has called it.

        Raises:
            Exception: The error of the function.
        """
        with self._lock:
            function, self._function = self._function, None
            if function is not None:
                try:
                    function()
                except Exception as error:
                    self._error = error
            if self._error is not None:
                raise self._error


@atexit.register
def _close_all() -> None:
    # A daemon thread killed inside a decoder's C code may crash the process.
    for (process, *_), pool in list(_POOLS.items()):
        if process == os.getpid():
            pool.close(_SECONDS_AT_EXIT)
