"""The declarations of the options for cells that hold several pictures or captions."""

from __future__ import annotations

from typing import Annotated

import typer

Images = Annotated[
    list[str] | None,
    typer.Option(
        "--images",
        metavar="COLUMN",
        help="Column whose cells hold several picture paths: a list, or joined by a separator. "
        "Repeat it for more inputs.",
    ),
]
Captions = Annotated[
    list[str] | None,
    typer.Option(
        "--captions",
        metavar="COLUMN",
        help="Column whose cells hold several texts, likewise. Repeat it for more inputs.",
    ),
]
ItemSeparator = Annotated[
    str | None,
    typer.Option(
        "--item-separator",
        metavar="TEXT",
        help="What separates the items in cells of --images and --captions. Default: it is found.",
    ),
]
