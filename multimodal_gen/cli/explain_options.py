"""The options of `explain`, and of `evaluate` for the same: name, type and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Rows = Annotated[
    str | None,
    typer.Option(
        "--rows",
        metavar="ROWS",
        help="Rows of the table, such as 3,17,40-45; the first is 0. Default: the first 20.",
    ),
]
Class = Annotated[
    str | None,
    typer.Option(
        "--of", metavar="CLASS", help="The class to explain. Default: each row's most likely one."
    ),
]
TargetName = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="NAME",
        help="Of several targets the one to explain. Default: the first.",
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="The .html file. Default: explanations.html in the run's folder.",
    ),
]
Importance = Annotated[
    bool,
    typer.Option(
        "--importance", help="Also measure what is lost without each input and each column."
    ),
]
