"""Build and train the network of a run, as `train` and each fold of `train --folds` do."""

from __future__ import annotations

import math
import platform
from datetime import datetime
from typing import Any

import keras
import numpy as np
import pandas as pd

from multimodal_gen.bundle.versions import running_version
from multimodal_gen.cli.balancing import weights_of_classes
from multimodal_gen.cli.reading import READ_TIMEOUT
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.target_choice import class_called
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.targets.balance import classes_where_known
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.models import build_fusion_classifier
from multimodal_gen.models.auxiliary import FusionModel
from multimodal_gen.models.matching import chosen_class
from multimodal_gen.models.recipe import LEARNING_RATE, branches_for, fit_with_recipe
from multimodal_gen.sequence.sequence import MultimodalSequence


class Watch(keras.callbacks.Callback):
    """Reports the progress of `fit`, and stops it if the loss is not a number.

    Args:
        reporter: Gets the reports.
        title: What is trained.

    Attributes:
        broken: What was wrong with the loss, or None.
    """

    def __init__(self, reporter: Reporter, title: str) -> None:
        super().__init__()
        self.reporter, self.title = reporter, title
        self.broken: str | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin with the number of steps."""
        self.reporter.begin(
            self.title, self.params["epochs"] * self.params["steps"], self.params["epochs"]
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count a step."""
        self.reporter.advance()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Report the figures of an epoch."""
        self.reporter.epoch(epoch + 1, dict(logs or {}))
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            self.broken = f"the loss of epoch {epoch + 1} is {loss}"
            self.model.stop_training = True


def training_data(
    settings: RunSettings, rows: pd.DataFrame, inputs: dict[str, Loader], target: Target
) -> MultimodalSequence:
    """The training rows in batches, in the order of the run's seed."""
    return MultimodalSequence(
        rows,
        inputs,
        target,
        batch_size=settings.batch_size,
        shuffle=True,
        seed=settings.seed,
        class_weight=weights_of_classes(settings, rows, target),
        cache=settings.cache,
        cache_limit=settings.cache_limit,
        read_timeout=READ_TIMEOUT,
    )


def validation_data(
    settings: RunSettings, train_data: MultimodalSequence, rows: pd.DataFrame, target: Target
) -> MultimodalSequence:
    """The validation rows in batches. With `--balance` they have the class weights of the training
    rows, so that what is chosen by them is chosen for the loss that is trained.

    Args:
        settings: The settings.
        train_data: What `training_data` returned.
        rows: The validation rows.
        target: The target.
    """
    weights = weights_of_classes(settings, train_data.table, target)
    if weights is None:
        return train_data.for_evaluation(rows)
    classes = classes_where_known(target, rows)
    own = np.array([weights[name] for name in target.class_names])[classes]
    name = "weight"
    while name in rows:
        name += "_"
    weighted = MultimodalSequence(
        rows.assign(**{name: own}),
        train_data.inputs,
        target,
        batch_size=settings.batch_size,
        sample_weight=name,
        cache=settings.cache,
        cache_limit=settings.cache_limit,
        read_timeout=READ_TIMEOUT,
    )
    return weighted.for_evaluation()


def network_for(
    settings: RunSettings, inputs: dict[str, Loader], target: Target, rows: int
) -> tuple[FusionModel, str | None]:
    """The network, and the class whose inputs belong together if an option names it."""
    # A fusion needs several inputs: for the single ones of --ablate "match" would raise an error.
    fusion = settings.fusion if len(inputs) > 1 else "joint"
    positive = None
    if fusion == "match" and settings.positive is not None:
        positive = class_called(settings.positive, target)
    model = build_fusion_classifier(
        inputs,
        target,
        fusion=fusion,
        positive=positive,
        branches=branches_for(inputs, rows),
    )
    return model, positive


def fit_network(
    model: FusionModel,
    target: Target,
    train_data: MultimodalSequence,
    held_data: MultimodalSequence,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
    learning_rate: float = LEARNING_RATE,
) -> keras.callbacks.History:
    """Train it with the recipe; the reporter shows the progress.

    Raises:
        ValueError: If the loss is not a number.
    """
    # The training loss of a joint model has terms of its heads that the validation loss lacks, so
    # the common part is measured too.
    own = keras.metrics.MeanMetricWrapper(target.loss.call, name="prediction_loss")
    history = fit_with_recipe(
        model,
        target,
        train_data,
        held_data,
        epochs=epochs,
        learning_rate=learning_rate,
        metrics=[own],
        callbacks=callbacks,
        # The reporter shows the progress instead.
        verbose=0,
    )
    for one in callbacks:
        if isinstance(one, Watch) and one.broken is not None:
            # What loaders read is finite and scaled, so that no row does this alone.
            raise ValueError(
                "Training has broken down, and its model is useless: use another --seed, or larger "
                "batches with --batch-size, and --overwrite what this run has written. If it comes "
                "again, `multimodal_gen.LossGuard` says in Python whether rows are to blame. "
                f"Received: {one.title}: {one.broken}"
            )
    return history


def say_class(model: FusionModel, target: Target, positive: str | None, reporter: Reporter) -> None:
    """Say which class fusion "match" has found, or was given."""
    found = chosen_class(model, target)
    if positive is not None:
        found = (
            f"Fusion 'match': rows of the class {positive!r} belong together, as set by --positive."
        )
    if found is not None:
        reporter.say(f"  {found}")


def versions() -> dict[str, Any]:
    """What a run was made with and when, for `metrics.json`."""
    return {
        "versions": {
            name: running_version(name)
            for name in ("multimodal_gen", "keras", keras.backend.backend())
        }
        | {"python": platform.python_version()},
        "backend": keras.backend.backend(),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
