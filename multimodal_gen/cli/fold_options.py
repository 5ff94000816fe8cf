"""The option of `train` for a cross-validation."""

from __future__ import annotations

from typing import Annotated

import typer

Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        min=2,
        metavar="N",
        help="Train a model for each fold on the other rows, and save their ensemble.",
    ),
]
