"""What every recipe needs before `fit`: checks of its arguments, the number of rows, losses and
metrics, an optimizer with its schedule, and early stopping.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

from multimodal_gen.sequence.reader import BatchReader


def num_rows_of(data: Any) -> int:
    """Return about how many rows a dataset has, over all ranks."""
    # One batch is enough; the last one may be shorter, which hardly changes the result.
    rows = len(next(iter(keras.tree.flatten(data[0]))))
    return int(data.num_batches) * rows * num_ranks_of(data)


def num_ranks_of(data: Any) -> int:
    """Return for how many processes a dataset was cut."""
    return data.plan.world_size if isinstance(data, BatchReader) else 1


def check_fit(model: Any, target: Any, sequences: Mapping[str, Any]) -> None:
    """Refuse a model, a target or data of the wrong type.

    Raises:
        TypeError: If one is something else, or data is endless.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a Keras model, such as the result of `build_fusion_classifier`. "
            f"Received: model={model!r}"
        )
    check_target(target)
    for name, data in sequences.items():
        check_data(name, data)


def check_target(target: Any) -> None:
    """Refuse what has no loss and metrics.

    Raises:
        TypeError: If something is not a target.
    """
    for name, one in target.items() if isinstance(target, Mapping) else [(None, target)]:
        if isinstance(one, type) or not hasattr(one, "loss") or not hasattr(one, "metrics"):
            argument = "target" if name is None else f"target[{name!r}]"
            raise TypeError(
                "`target` must be a target with a `loss` and `metrics`, such as ClassLabel, or a "
                f"mapping of names to targets. Received: {argument}={one!r}"
            )


def check_data(name: str, data: Any) -> None:
    """Refuse data whose length a schedule cannot be made for.

    Raises:
        TypeError: If it is not a dataset, or endless.
    """
    if not isinstance(data, keras.utils.PyDataset):
        raise TypeError(
            f"`{name}` must be a MultimodalSequence or another `keras.utils.PyDataset`. "
            f"Received: {name} of type {type(data).__name__}"
        )
    if data.num_batches is None:
        raise TypeError(
            f"`{name}` must not be endless, as the schedule depends on its length; for an "
            "endless one, call `model.compile` and `model.fit` yourself. Received: "
            f"{name}.num_batches=None"
        )


def losses_and_metrics(target: Any, metrics: Any) -> tuple[Any, Any, bool]:
    """Losses and metrics for `compile`, and whether there is an accuracy for early stopping."""
    if not isinstance(target, Mapping):
        if isinstance(metrics, Mapping):
            raise TypeError(
                f"`metrics` must be a list for a single target. Received: metrics={metrics!r}"
            )
        own = list(target.metrics)
        return target.loss, [*own, *metrics], any(metric.name == "accuracy" for metric in own)
    metrics = metrics or {}
    if not isinstance(metrics, Mapping) or not set(metrics) <= set(target):
        raise TypeError(
            f"`metrics` must map target names to lists; the targets are {list(target)}. "
            f"Received: metrics={metrics!r}"
        )
    losses = {name: one.loss for name, one in target.items()}
    return (
        losses,
        {name: [*one.metrics, *metrics.get(name, ())] for name, one in target.items()},
        False,
    )


def scheduled_adamw(steps: int, learning_rate: float, weight_decay: float) -> Any:
    """Return AdamW with a cosine schedule after 10 % warm-up.

    Args:
        steps: Steps of the whole training.
        learning_rate: Peak learning rate, reached after the warm-up.
        weight_decay: Decoupled weight decay, as a factor of the learning rate.
    """
    warmup = max(math.ceil(0.1 * steps), 1)
    # Starts above zero, or a run of a single step would learn nothing.
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate / warmup,
        max(steps - warmup, 1),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
    # Decay is meant for weight matrices; it would pull scales and gammas towards zero.
    optimizer.exclude_from_weight_decay(
        var_names=["bias", "gamma", "beta", "scales", "log_scale", "positions", "absent"]
    )
    return optimizer


class KeepBest(keras.callbacks.Callback):
    """Early stopping on the validation accuracy, by the one-standard-error rule.

    Keeps the weights of the last epoch whose accuracy is at most one standard error below the best.
    Smaller differences are chance, and with a falling learning rate the later of two equal epochs
    is better (Breiman et al., 1984, section 3.4.3, for the rule).

    Args:
        num_rows: Number of validation rows, which determines the standard error.
        patience: Epochs without a better accuracy or a lower loss before training stops. While a
            model says the largest class for every row, only the loss shows what it learns.
    """

    def __init__(self, num_rows: int, patience: int) -> None:
        super().__init__()
        self.num_rows, self.patience = num_rows, patience
        self.best, self.best_epoch, self.kept_epoch = 0.0, 0, 0
        self.best_loss = math.inf

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Keep the initial weights, in case no epoch gives an accuracy."""
        self.weights = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Check the accuracy, and keep the weights or stop."""
        accuracy = float((logs or {})["val_accuracy"])
        loss = float((logs or {}).get("val_loss", math.inf))
        if accuracy > self.best or loss < self.best_loss:
            self.best_epoch = epoch
        self.best, self.best_loss = max(accuracy, self.best), min(loss, self.best_loss)
        if accuracy >= self.best - math.sqrt(self.best * (1 - self.best) / self.num_rows):
            self.kept_epoch, self.weights = epoch, self.model.get_weights()
        if epoch - self.best_epoch >= self.patience:
            self.model.stop_training = True

    def get_state(self) -> dict[str, Any]:
        """Return the state for `ResumeTraining`."""
        names = ("best", "best_loss", "best_epoch", "kept_epoch", "weights")
        return {name: getattr(self, name) for name in names}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the state from `get_state`."""
        self.__dict__.update(state)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Restore the kept weights."""
        self.model.set_weights(self.weights)
        self.model.history.best_epoch = self.kept_epoch
