"""Starts worker processes from their parent, and learns how they ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

from multimodal_gen.batch.processes.messages import readable, receive, send

# Each worker has one core: without these, libraries would start a thread per core in each of them.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2])\n"
    "for name in json.loads(sys.argv[3]): __import__(name)\n"
    "from multimodal_gen.batch.processes.nursery import main; main()"
)
# What a nursery imports if its parent has: a forked worker then shares it.
_ROOMS = tuple(f"multimodal_gen.{room}." for room in ("rows", "augment", "loaders", "batch"))
_LIBRARIES = ("PIL.Image", "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "tokenizers", "simplejpeg")
_SECONDS_TO_END = 2.0
# For the rest of a batch, and to finish the files of a cache.
_SECONDS_TO_FINISH = 0.7


@dataclass(eq=False)
class Child:
    """A worker process.

    Args:
        channel: The socket to it.
        process: Its process id, or None until the nursery has said it.
        popen: The process, if it was started without a nursery.
    """

    channel: socket.socket
    process: int | None = None
    popen: subprocess.Popen[bytes] | None = None


class Starter:
    """Starts workers: forked by a nursery, or each as a new process.

    Args:
        forks: Whether to use a nursery. macOS does not support forks of a process that has loaded
            its frameworks.
    """

    def __init__(self, forks: bool) -> None:
        self._forks = forks
        self._control: socket.socket | None = None
        self._nursery: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._asked: dict[int, Child] = {}
        self._ended: dict[int, int] = {}

    @property
    def control(self) -> socket.socket | None:
        """The socket to the nursery, to be watched: `read` takes what it says."""
        return self._control

    def start(self) -> Child:
        """Start a worker.

        Raises:
            OSError: If the system refuses to start a process.
        """
        # A socket each, so that a worker that dies can hold no lock that others wait for, and its
        # parent sees its end at once.
        ours, theirs = socket.socketpair()
        with theirs:
            child = Child(ours)
            if not self._forks:
                child.popen = _run("worker", theirs)
                child.process = child.popen.pid
                return child
            if self._control is None:
                self._control, other = socket.socketpair()
                with other:
                    self._nursery = _run("nursery", other)
            self._count += 1
            self._asked[self._count] = child
            try:
                send(self._control, self._count, [theirs.fileno()])
            except OSError:
                self.lose_nursery()
                raise
            return child

    def read(self) -> None:
        """Take what the nursery says.

        Raises:
            EOFError: If it has ended. The next worker starts a new one.
        """
        assert self._control is not None
        try:
            (what, number, value), _ = receive(self._control)
        except EOFError:
            self.lose_nursery()
            raise
        if what == "started":
            self._asked.pop(number).process = value
        else:
            self._ended[number] = value

    def ending_of(self, child: Child) -> str:
        """Return how a worker ended, in words; waits a moment for it."""
        if child.popen is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return _in_words(child.popen.wait(_SECONDS_TO_END))
        end = time.monotonic() + _SECONDS_TO_END
        while child.process not in self._ended and self._control is not None:
            left = end - time.monotonic()
            if left < 0 or not readable([self._control], left):
                break
            with contextlib.suppress(EOFError):
                self.read()
        code = self._ended.pop(child.process, None) if child.process is not None else None
        return "for unknown reasons" if code is None else _in_words(code)

    def close(self, children: list[Child]) -> None:
        """Wait until all workers, whose channels are closed, have ended; kill those that do not."""
        end = time.monotonic() + _SECONDS_TO_FINISH
        for child in children:
            if child.popen is not None:
                _wait(child.popen, end)
        waiting = {child.process for child in children if child.popen is None} - set(self._ended)
        while waiting and self._control is not None and (left := end - time.monotonic()) > 0:
            if readable([self._control], left):
                with contextlib.suppress(EOFError):
                    self.read()
            waiting -= set(self._ended)
        for process in waiting:
            # In the middle of a batch, which nobody waits for.
            if process is not None:
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGKILL)
        self.lose_nursery()

    def lose_nursery(self) -> None:
        """Close the channel to the nursery, which ends it and then its workers."""
        if self._control is not None and self._nursery is not None:
            self._control.close()
            _wait(self._nursery, time.monotonic() + _SECONDS_TO_END)
        self._control = self._nursery = None
        self._asked.clear()


def _run(kind: str, channel: socket.socket) -> subprocess.Popen[bytes]:
    # Not `multiprocessing`: its spawn and forkserver run the user's main script again in each
    # child, and its fork copies a process with the threads of a backend.
    # Losses import Keras, which workers do without.
    loaded = [
        name
        for name, module in list(sys.modules.items())
        if name.startswith(_ROOMS) and "keras" not in vars(module)
    ]
    loaded += [name for name in _LIBRARIES if name in sys.modules]
    arguments = [json.dumps([kind, channel.fileno()]), json.dumps(sys.path), json.dumps(loaded)]
    return subprocess.Popen(
        [sys.executable, "-c", _CODE, *arguments],
        pass_fds=[channel.fileno()],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **_ONE_THREAD},
    )


def _wait(process: subprocess.Popen[bytes], end: float) -> None:
    try:
        process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _in_words(code: int) -> str:
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
