"""Several processes that answer at one address, each with a model of its own.

This one only starts them, and ends them: all at a signal, and the others if one ends by itself.
Each has its end of a pipe, and ends in order once nobody holds the other one.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from multimodal_gen.serving.endpoint.metrics import WIDTH, Metrics
from multimodal_gen.serving.endpoint.server import SIGNALS


class Work(Protocol):
    """Serves in a process until it is told to end. It is sent there, and must be picklable."""

    def __call__(
        self,
        listening: socket.socket,
        metrics: Metrics,
        ready: Callable[[str], None],
        ending: Callable[[Callable[[], None]], None],
    ) -> None:
        """Serve.

        Args:
            listening: The socket.
            metrics: What counts.
            ready: Called with what the model is, once it takes connections.
            ending: Called with what ends it in order, which may be called on another thread.
        """


class ProcessEndedError(Exception):
    """A process has ended by itself, and so have all others."""


def run_in_processes(
    work: Work, sockets: list[socket.socket], ready: Callable[[str], None]
) -> Metrics:
    """Serve on each socket in a process of its own until SIGTERM or SIGINT.

    Args:
        work: What each does.
        sockets: Their sockets.
        ready: Called with what the model is, once all take connections.

    Returns:
        What they have counted.

    Raises:
        ProcessEndedError: If one of them has ended by itself.
        Exception: Whatever `work` raised before it was ready.
    """
    # Not forked: a library of this process may have threads.
    context = get_context("spawn")
    numbers = context.RawArray("d", WIDTH * len(sockets))
    with _signalled() as signalled:
        pipes, processes = [], []
        try:
            for number, listening in enumerate(sockets):
                ours, theirs = context.Pipe()
                pipes.append(ours)
                one = context.Process(
                    target=_serve, args=(work, listening, numbers, number, theirs), daemon=True
                )
                processes.append(one)
                one.start()
                theirs.close()
            # They have their own: while it is open here too, clients could still connect when
            # nobody answers any more.
            for listening in sockets:
                listening.close()
            told = _told(pipes, signalled)
            if told is not None:
                ready(told)
                found = wait([signalled, *(one.sentinel for one in processes)])
                if signalled not in found:
                    ended = next(one for one in processes if one.sentinel in found)
                    # Its status is known a moment later.
                    ended.join()
                    raise ProcessEndedError(
                        f"process {ended.pid} has ended with the status {ended.exitcode}"
                    )
        finally:
            for pipe in pipes:
                pipe.close()
            for one in processes:
                one.join()
    return Metrics(numbers)


def _told(pipes: list[Connection], signalled: socket.socket) -> str | None:
    # What the model is, once all processes have said it; None after a signal.
    told, left = "", list(pipes)
    while left:
        found = wait([signalled, *left])
        if signalled in found:
            return None
        for pipe in [one for one in left if one in found]:
            try:
                said = pipe.recv()
            except EOFError:
                raise ProcessEndedError("a process has ended before its model was loaded") from None
            if isinstance(said, Exception):
                raise said
            told = said
            left.remove(pipe)
    return told


def _serve(
    work: Work, listening: socket.socket, numbers: Any, number: int, pipe: Connection
) -> None:
    # Ctrl-C goes to all processes of a group, and only the first one is to hear it.
    if hasattr(os, "setpgrp"):
        os.setpgrp()

    def ending(end: Callable[[], None]) -> None:
        def watch() -> None:
            with suppress(EOFError, OSError):
                pipe.recv()
            end()

        threading.Thread(target=watch, daemon=True).start()

    try:
        work(listening, Metrics(numbers, number), pipe.send, ending)
    except Exception as error:
        # Nobody may be there any more.
        with suppress(OSError):
            pipe.send(error)


@contextmanager
def _signalled() -> Iterator[socket.socket]:
    # A socket that can be read once there was a signal.
    found, told = socket.socketpair()
    with found, told:
        before = {one: signal.signal(one, lambda *_: told.send(b".")) for one in SIGNALS}
        try:
            yield found
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
