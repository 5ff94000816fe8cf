"""The training recipe of the command line: optimizer, schedule, epochs and calibration.

`epochs_for` and `branches_for` choose epochs and depth by the number of rows. The recipe only calls
`model.compile`, `model.fit` and `calibrate_heads`; call those yourself for other choices.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from multimodal_gen.errors import counted
from multimodal_gen.models.branch import Branch
from multimodal_gen.models.calibration import calibrate_heads
from multimodal_gen.models.encoder_branches import FeatureBranch
from multimodal_gen.models.fitting import (
    KeepBest,
    check_fit,
    losses_and_metrics,
    num_ranks_of,
    num_rows_of,
    scheduled_adamw,
)
from multimodal_gen.models.image_branches import ImageBranch
from multimodal_gen.models.loss_balance import loss_weights_for
from multimodal_gen.models.matching import chosen_class
from multimodal_gen.rows.checks import check_positive, check_switches
from multimodal_gen.sequence.keras_inside.epochs import FollowFit
from multimodal_gen.sequence.keras_inside.tracing import make_variables_before
from multimodal_gen.sequence.reader import BatchReader

# Rows seen in all epochs together: a larger table gets fewer epochs, so that training takes about
# the same number of steps.
_ROW_VISITS = 115_000
_MIN_EPOCHS, _MAX_EPOCHS = 5, 40
_MANY_ROWS = 3000
LEARNING_RATE = 2e-3


def epochs_for(num_rows: int) -> int:
    """Return the epochs for a table: 40 up to 2,875 rows, 20 at 5,750, 5 from 23,000 on."""
    return min(max(round(_ROW_VISITS / max(num_rows, 1)), _MIN_EPOCHS), _MAX_EPOCHS)


def branches_for(inputs: Mapping[str, Any], num_rows: int) -> dict[str, Branch]:
    """Return the branches that suit a number of training rows, if not the default ones.

    From 3,000 rows on, pictures get residual blocks and features an embedding of 256. They raise
    accuracy on several thousand rows, but not on one thousand.

    Args:
        inputs: Name -> loader (anything with a `spec`), as for `build_fusion_classifier`.
        num_rows: Training rows.

    Returns:
        Name -> branch, for the argument `branches` of `build_fusion_classifier`.
    """
    if num_rows < _MANY_ROWS:
        return {}
    larger: dict[str, Branch] = {
        "image": ImageBranch(residual=True),
        "features": FeatureBranch(embedding_size=256),
    }
    kinds = {name: loader.spec.each.kind for name, loader in inputs.items()}
    return {name: larger[kind] for name, kind in kinds.items() if kind in larger}


def recipe_in_words(epochs: int, rows: int, learning_rate: float = LEARNING_RATE) -> str:
    """What is chosen by the data, in one line."""
    return (
        f"At most {counted(epochs, 'epoch')}, as there are about {counted(rows, 'training row')}; "
        f"learning rate {learning_rate:g}"
    )


def fit_with_recipe(
    model: keras.Model,
    target: Any,
    train_data: Any,
    validation_data: Any = None,
    *,
    epochs: int | None = None,
    learning_rate: float = LEARNING_RATE,
    weight_decay: float = 0.05,
    metrics: Sequence[Any] | Mapping[str, Sequence[Any]] = (),
    loss_weights: str | Mapping[str, float] | None = None,
    patience: int | None = None,
    calibrate: bool = True,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> keras.callbacks.History:
    """Compile and train a model from scratch, with defaults that work well on small tables.

    AdamW (Loshchilov and Hutter, 2019) without decay of biases and normalization, a cosine schedule
    after 10 % warm-up, and a number of epochs that depends on the rows. With validation data: early
    stopping on the validation accuracy (`KeepBest`), or on the validation loss for several targets
    or one without accuracy; then `calibrate_heads`, so that a weak input does not harm a strong
    one. N-grams learn five times as fast (`NgramBranch.multiplier`). Uses the dtype policy that the
    model was built with.

    Args:
        model: A model; it is compiled, again if necessary.
        target: The target that the model was built for, or the mapping of targets: `loss` and
            `metrics` are used.
        train_data: A `keras.utils.PyDataset` with `num_batches` that shuffles its rows itself.
        validation_data: Likewise, without shuffling or augmentation.
        epochs: Passes over the training rows. Default: `epochs_for` their number.
        learning_rate: Peak learning rate, reached after the warm-up.
        weight_decay: Decoupled weight decay, as a factor of the learning rate.
        metrics: Metrics in addition to the target's own; for several targets, lists by target name.
        loss_weights: For several targets: "balanced", as `balanced_loss_weights` gives them, or a
            number by target name. By default 1.
        patience: Epochs without a better validation accuracy or loss before training stops.
            Default: half of `epochs`, but at least 5.
        calibrate: Whether to weigh the heads on the validation data at the end.
        callbacks: Additional callbacks.
        verbose: As in `fit`. Unless it is 0, the first lines say how many epochs there are and how
            losses are balanced, and the last one names the class that fusion "match" has found.

    Returns:
        The history of `fit`. The model has the weights that early stopping kept;
        `history.best_epoch` is their epoch, counting from 0.

    Raises:
        TypeError: If the model, the target or the data has the wrong type, or the data is endless.
        ValueError: If heads are to be weighed on the data of several ranks.
    """
    check_switches(calibrate=calibrate)
    sequences = {"train_data": train_data} | (
        {} if validation_data is None else {"validation_data": validation_data}
    )
    check_fit(model, target, sequences)
    ranks = num_ranks_of(train_data)
    if calibrate and validation_data is not None and ranks > 1:
        raise ValueError(
            "Heads are weighed in one process: use `calibrate=False` here. Received: "
            f"calibrate=True with data for {ranks} ranks"
        )
    rows = num_rows_of(train_data)
    if epochs is None:
        epochs = epochs_for(rows)
    check_positive(epochs=epochs)
    if verbose:
        sys.stdout.write(f"{recipe_in_words(epochs, rows, learning_rate)}\n")
    steps = epochs * int(train_data.num_batches)
    optimizer = scheduled_adamw(steps, learning_rate, weight_decay)
    losses, watched, accuracy = losses_and_metrics(target, metrics)
    factors = loss_weights_for(loss_weights, target, train_data, verbose)
    # Of several ranks, rows that only fill up the last batch have weight 0.
    counted = "weighted_metrics" if ranks > 1 else "metrics"
    model.compile(optimizer, loss=losses, loss_weights=factors, **{counted: watched})
    make_variables_before(model, train_data)
    stopper = None
    if validation_data is not None:
        patience = max(epochs // 2, 5) if patience is None else patience
        stopper = (
            # A loss has no such standard error; then the best epoch counts.
            KeepBest(num_rows_of(validation_data), patience)
            if accuracy
            else keras.callbacks.EarlyStopping(
                "val_loss", patience=patience, mode="min", restore_best_weights=True
            )
        )
    # A user's own dataset may count epochs differently, so it is left alone.
    following = [FollowFit(train_data)] if isinstance(train_data, BatchReader) else []
    history = model.fit(
        train_data,
        validation_data=validation_data,
        epochs=epochs,
        # The data shuffles its rows itself; Keras would also permute the batches.
        shuffle=False,
        # `FollowFit` first, so that other callbacks see the right epoch of the data.
        callbacks=[*following, *callbacks, *([] if stopper is None else [stopper])],
        verbose=verbose,
    )
    if isinstance(stopper, keras.callbacks.EarlyStopping):
        history.best_epoch = stopper.best_epoch
    if calibrate and validation_data is not None:
        calibrate_heads(model, validation_data)
    found = chosen_class(model, target)
    if verbose and found is not None:
        sys.stdout.write(f"{found}\n")
    return history
