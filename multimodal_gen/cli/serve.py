"""`serve`: an HTTP endpoint of a run or an export."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from multimodal_gen.cli import option_values, serve_options
from multimodal_gen.cli.progress import ProgressReporter
from multimodal_gen.cli.starting import starting

if TYPE_CHECKING:
    from multimodal_gen.serving.endpoint.app import Limits
    from multimodal_gen.serving.endpoint.metrics import Metrics

_NEEDED = ("starlette", "uvicorn", "python_multipart")


def serve(
    run: serve_options.Served,
    host: serve_options.Host = "127.0.0.1",
    port: serve_options.Port = 8000,
    batch_size: serve_options.BatchSize = 32,
    queue: serve_options.Queue = 256,
    timeout: serve_options.Timeout = 30.0,
    max_body: serve_options.MaxBody = "32MB",
    processes: serve_options.Processes = 1,
) -> None:
    """Answer requests over HTTP with predictions; the address shows a page to try it.

    Ends in order at Ctrl-C or SIGTERM: what was accepted is answered.
    """
    body = _checked(batch_size, queue, timeout, port, max_body, processes)
    from multimodal_gen.serving.endpoint.app import Limits
    from multimodal_gen.serving.endpoint.metrics import Metrics
    from multimodal_gen.serving.endpoint.processes import ProcessEndedError, run_in_processes
    from multimodal_gen.serving.endpoint.server import opened_for

    reporter, alone = ProgressReporter(Console()), processes == 1
    limits = Limits(batch_size, queue, timeout, body)
    hosts = _names(host) if _is_loopback(host) else None
    # First of all, as a model takes seconds to load.
    with opened_for(processes, host, port) as sockets:
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{sockets[0].getsockname()[1]}"
        who = (
            "For this machine only; --host 0.0.0.0 opens it to others."
            if hosts is not None
            else "Whoever can reach this address may use it: there is no password."
        )
        many = "" if alone else f" in {processes} processes"
        place = f"{many} at {address}. {who} Ctrl-C ends it."
        ready = partial(_say_ready, reporter, run, place)
        work = partial(_serve, run, limits, hosts, alone)
        if alone:
            metrics = Metrics()
            work(sockets[0], metrics, ready)
        else:
            try:
                metrics = run_in_processes(work, sockets, ready)
            except ProcessEndedError as error:
                typer.echo(f"Error: {error}; the others were ended.", err=True)
                raise typer.Exit(1) from None
    reporter.say(f"Ended. {metrics.in_words()}")


def _say_ready(reporter: ProgressReporter, run: Path, place: str, how: str) -> None:
    reporter.say(f"Serving {run}, {how},{place}")


def _serve(
    run: Path,
    limits: Limits,
    hosts: frozenset[str] | None,
    alone: bool,
    listening: socket,
    metrics: Metrics,
    ready: Callable[[str], None],
    ending: Callable[[Callable[[], None]], None] = lambda end: None,
) -> None:
    # Serves in this process, alone or as one of several, of which none shows how it starts.
    from multimodal_gen.serving.endpoint.app import Endpoint
    from multimodal_gen.serving.endpoint.server import run_until_signal, server_of

    model, how, options = _model(Console(quiet=not alone), run, alone)
    # Who sends a request cannot change the loaders.
    options |= {"name": run.name, "in_words": _in_words, "metrics": metrics}
    endpoint = Endpoint(model, limits, hosts=hosts, **options)
    server = server_of(endpoint.app(), limits.seconds, partial(ready, how))
    ending(partial(setattr, server, "should_exit", True))
    run_until_signal(server, listening)


def _checked(
    batch_size: int, queue: int, timeout: float, port: int, max_body: str, processes: int
) -> int:
    # What the options are, before anything is loaded; the bytes of --max-body.
    if processes < 1:
        raise ValueError(f"--processes must be at least 1. Received: --processes {processes}")
    if batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1. Received: --batch-size {batch_size}")
    if queue < batch_size:
        raise ValueError(
            f"--queue must hold a batch, so at least {batch_size} rows. Received: --queue {queue}"
        )
    if not 0 < timeout < float("inf"):
        raise ValueError(f"--timeout must be more than 0. Received: --timeout {timeout:g}")
    if not 0 <= port < 2**16:
        raise ValueError(f"--port must be from 0 to 65535. Received: --port {port}")
    body = option_values.size_in_bytes(max_body, "--max-body")
    assert body is not None
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ValueError(
            "An endpoint needs Starlette and uvicorn: pip install 'multimodal_gen[serve]'. "
            f"Received: no module named {missing[0]}"
        )
    return body


def _model(console: Console, run: Path, alone: bool) -> tuple[Any, str, dict[str, Any]]:
    # The model, what runs it in words, and the arguments that it needs of the endpoint.
    from multimodal_gen.bundle.exporting.manifest import MANIFEST

    if (run / MANIFEST).is_file():
        from multimodal_gen.serving import load

        model = load(run)
        # While one decodes files, the network runs on the other, or in another process.
        threads = 2 if alone else 1
        return model, f"an export of the format {model.network.format}", {"threads": threads}
    with starting(console, trains=False):
        import keras

        from multimodal_gen.bundle import load_bundle
        from multimodal_gen.serving.endpoint.explaining import explainer_of
    backend = keras.backend.backend()
    how = f"on Keras with {backend} (an export needs less memory)"
    bundle = load_bundle(run)
    # The others compile a model for each number of rows.
    return bundle, how, {"even": backend != "torch", "explain": explainer_of(bundle)}


def _in_words(errors: str) -> str:
    # Not above, as it imports pandas.
    from multimodal_gen.cli.bad_rows import plain_reason

    # Of several errors of a row, each by itself.
    return "; ".join(map(plain_reason, re.split("; (?=Cannot load )", errors)))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _names(host: str) -> frozenset[str]:
    return frozenset({"localhost", "127.0.0.1", "[::1]", host.lower()})
