"""The options of `audit` for models."""

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
ImageEncoder = Annotated[
    str | None,
    typer.Option(
        "--image-encoder",
        metavar="MODEL",
        help="Also find pictures that are unlike all others, by the features of a pretrained "
        "model, named as for `train`.",
    ),
]
TextEncoder = Annotated[
    str | None,
    typer.Option(
        "--text-encoder",
        metavar="MODEL",
        help="Also find captions that are unlike all others, by a sentence encoder, named as for "
        "`train`.",
    ),
]
