"""Options that say how models are trained: in folds, with what weights, and watched how."""

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
Balance = Annotated[
    bool,
    typer.Option(
        "--balance",
        help="Let rare classes or labels count as much as frequent ones in training.",
    ),
]
Tensorboard = Annotated[
    bool,
    typer.Option("--tensorboard", help="Write curves for TensorBoard to RUNS/NAME/tensorboard."),
]
Mlflow = Annotated[
    str | None,
    typer.Option(
        "--mlflow",
        metavar="URI",
        help="Log settings, curves and test scores to MLflow, such as http://localhost:5000.",
    ),
]
