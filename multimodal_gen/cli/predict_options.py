"""The options of `predict` for sets, intervals and decisions: name, type and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Coverage = Annotated[
    float | None,
    typer.Option(
        "--coverage",
        metavar="SHARE",
        help="Add sets of classes or labels, or intervals of numbers, that hold the truth in this "
        "share of rows, such as 0.9.",
    ),
]
CostFile = Annotated[
    Path | None,
    typer.Option(
        "--costs",
        metavar="FILE",
        help="Add the decisions that cost least, by a JSON file of what mistakes cost.",
    ),
]
