"""A process that imports once and forks workers: the second one starts in milliseconds.

It is started as a new Python process, so nothing of the user's script runs again, and nothing is
forked that has threads of TensorFlow or jax. It has no threads itself.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from typing import Any

from multimodal_gen.batch.processes.messages import receive, send

_SECONDS_BETWEEN_LOOKS_AT_THE_PARENT = 1.0


def main() -> None:
    """Run a nursery, or a single worker, as the command line says."""
    kind, number = json.loads(sys.argv[1])
    channel = socket.socket(fileno=number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Imported here, so that both kinds have all that a worker needs before the first task.
    from multimodal_gen.batch.processes import worker

    if kind == "worker":
        worker.run(channel)
    _raise_workers(channel, worker.run)
    os._exit(0)


def _raise_workers(channel: socket.socket, run: Any) -> None:
    # Each message brings the channel of a new worker. The end of a worker is reported.
    awake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    parent = os.getppid()
    while os.getppid() == parent:
        wait = _SECONDS_BETWEEN_LOOKS_AT_THE_PARENT
        ready, _, _ = select.select([channel.fileno(), awake], [], [], wait)
        try:
            if awake in ready:
                os.read(awake, 512)
                _report(channel)
            if channel.fileno() in ready:
                message, files = receive(channel)
                child = os.fork()
                if not child:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.close(awake)
                    os.close(woken)
                    channel.close()
                    run(socket.socket(fileno=files[0]))
                os.close(files[0])
                send(channel, ("started", message, child))
        except (EOFError, OSError):
            return


def _report(channel: socket.socket) -> None:
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not child:
            return
        send(channel, ("ended", child, os.waitstatus_to_exitcode(status)))
