"""The options of `tune`: name, type and help."""

from __future__ import annotations

from typing import Annotated

import typer

Hours = Annotated[
    float | None,
    typer.Option(
        "--hours",
        metavar="HOURS",
        help="Time of the whole search, also over several starts, such as 2 or 0.5.",
    ),
]
Trials = Annotated[
    int | None, typer.Option("--trials", min=1, metavar="N", help="Number of trials.")
]
Continue = Annotated[
    bool, typer.Option("--resume", help="Go on with a search of this name that was stopped.")
]
