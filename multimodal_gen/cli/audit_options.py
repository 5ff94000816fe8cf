"""The option of `audit` for models."""

from __future__ import annotations

from typing import Annotated

import typer

Deep = Annotated[
    bool,
    typer.Option(
        "--deep",
        help="Also train models, in folds, that find likely wrong labels and captions of other "
        "pictures. Takes minutes.",
    ),
]
