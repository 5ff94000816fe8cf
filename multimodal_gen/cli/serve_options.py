"""The options of `serve`: name, type and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Served = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="The folder of an export, which needs no Keras, or that of a run."
    ),
]
Host = Annotated[
    str,
    typer.Option(
        "--host", help="The address to listen on. 0.0.0.0 for all networks of this machine."
    ),
]
Port = Annotated[int, typer.Option("--port", help="The port to listen on; 0 for any free one.")]
BatchSize = Annotated[
    int, typer.Option("--batch-size", help="Rows, of any requests, that the model runs on at once.")
]
Queue = Annotated[
    int,
    typer.Option(
        "--queue",
        help="Rows that may wait for the model, and rows of a request. Further ones are refused.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", help="Seconds that a request may take to arrive, and then to be answered."
    ),
]
Processes = Annotated[
    int,
    typer.Option("--processes", help="Processes that answer, each with a model of its own."),
]
MaxBody = Annotated[
    str, typer.Option("--max-body", metavar="SIZE", help="The largest request, such as 32MB.")
]
