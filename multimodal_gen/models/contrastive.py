"""Two branches whose vectors share one space, learned from pairs alone, without labels.

`build_dual_encoder` builds the model and `fit_contrastive` trains it; `bundle/dual_encoder.py` uses
it on tables. Its parts are in `pairs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from multimodal_gen.models.branch import Branch
from multimodal_gen.models.classifier import branch_of, input_tensors, without_slow_jit
from multimodal_gen.models.encoding import encoded
from multimodal_gen.models.fitting import check_data, num_rows_of, scheduled_adamw
from multimodal_gen.models.many import ManyBranch
from multimodal_gen.models.pairs import (
    FIRST_SCALE,
    ContrastivePair,
    PairModel,
    UnitVectors,
    pair_of,
)
from multimodal_gen.models.recipe import epochs_for
from multimodal_gen.rows.checks import check_positive
from multimodal_gen.sequence.keras_inside.epochs import FollowFit
from multimodal_gen.sequence.keras_inside.tracing import make_variables_before
from multimodal_gen.sequence.reader import BatchReader
from multimodal_gen.spec import ArraySpec


def build_dual_encoder(
    inputs: Mapping[str, Any],
    *,
    embedding_size: int | None = 128,
    branches: Mapping[str, Branch | Callable[[Any], Any]] | None = None,
    scale: float = FIRST_SCALE,
    name: str | None = None,
) -> keras.Model:
    """Build a model from two inputs of a row to two unit vectors that can be compared.

    Each input has its branch, a linear projection to `embedding_size`, and is scaled to length 1.
    Of several items in a cell, the embeddings are averaged before.
    The model adds its own loss; `fit_contrastive` trains it, and `DualEncoder` uses it on tables.

    Args:
        inputs: Name -> loader (anything with a `spec`) or `ArraySpec`, two of them, such as a
            picture and its caption. Cells may hold several, such as the captions of a picture, if
            the `ManyLoader` trains on one of them, "turns" or "draw".
        embedding_size: Size of the vectors. None takes vectors as they are, for encoders that
            share a space already (`EncodedLoader` of a CLIP's two halves): nothing but the scale is
            left to train.
        branches: Name -> branch, as for `build_fusion_classifier`.
        scale: What similarities are multiplied by at first, 1 / temperature; in [1, 1000], and for
            training not above 100.
        name: Name of the model.

    Returns:
        An uncompiled model with the outputs `{name: (batch, size) float32}`.

    Raises:
        ValueError: If there are not two inputs, one of them may be blank, or without an
            `embedding_size` they are not vectors of one size.

    Example:
        inputs = {"image": image_loader, "caption": text_loader}
        model = build_dual_encoder(inputs)
        data = MultimodalSequence(table, inputs, batch_size=128, shuffle=True)
        fit_contrastive(model, data)
    """
    specs = {key: one if isinstance(one, ArraySpec) else one.spec for key, one in inputs.items()}
    if len(specs) != 2:
        raise ValueError(
            "`inputs` must be two, such as a picture and its caption. Received: inputs named "
            f"{list(specs)}"
        )
    together = [key for key, one in inputs.items() if getattr(one, "training", None) == "all"]
    if together:
        raise ValueError(
            "A pair learns from one item of each cell at a time: give the ManyLoader "
            'training="turns" or "draw". Received: inputs with training="all", '
            f"{together}"
        )
    blank = [key for key, one in inputs.items() if getattr(one, "missing", None) == "blank"]
    if blank:
        raise ValueError(
            'Both inputs of a pair must be there: leave out `missing="blank"`, and drop the rows '
            f"that lack one. Received: inputs that may be blank, {blank}"
        )
    if not 1 <= scale <= 1000:
        raise ValueError(f"`scale` must be in [1, 1000]. Received: scale={scale!r}")
    tensors, vectors, masks = {}, {}, []
    for key, spec in specs.items():
        branch = _branch_of(key, inputs[key], spec, branches or {}, embedding_size)
        x = input_tensors(key, spec, branch)
        tensors[key] = x if spec.item is None else x[0]
        masks += [] if spec.item is None else [x[1]]
        if branch is not None:
            x = encoded(key, spec, branch, x, embedding_size or 1).embedding
        if embedding_size is not None:
            x = keras.layers.Dense(embedding_size, use_bias=False, name=f"{key}_projection")(x)
        vectors[key] = UnitVectors(dtype="float32", name=f"{key}_vector")(x)
    shapes = {key: tuple(one.shape[1:]) for key, one in vectors.items()}
    if len(set(shapes.values())) > 1 or any(len(one) != 1 for one in shapes.values()):
        raise ValueError(
            "Without `embedding_size`, both inputs must be vectors of one size. Received: "
            f"embedding_size=None, with inputs of shapes {shapes}"
        )
    # A picture is seldom the same twice: it has been varied.
    known = [tensors[key] for key, spec in specs.items() if spec.each.kind != "image"]
    pair = ContrastivePair(scale=scale, dtype="float32", name="pair")
    outputs = pair([*vectors.values(), *known])
    # The masks of items come after all inputs, where sequences put them.
    every = [*tensors.values(), *masks]
    model = PairModel(every, dict(zip(specs, outputs, strict=True)), name=name)
    return without_slow_jit(model)


def _branch_of(
    key: str, loader: Any, spec: ArraySpec, branches: Mapping[str, Any], size: int | None
) -> Any:
    # Vectors that share a space already need none, but items of a cell are pooled.
    if size is not None or branches.get(key) is not None:
        given = {key: one for key, one in branches.items() if one is not None}
        return branch_of(key, loader, spec, given)
    return None if spec.item is None else ManyBranch(_unchanged)


def _unchanged(vectors: Any) -> Any:
    return vectors


def fit_contrastive(
    model: keras.Model,
    train_data: Any,
    validation_data: Any = None,
    *,
    epochs: int | None = None,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.05,
    patience: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> keras.callbacks.History:
    """Compile and train a model of `build_dual_encoder` on pairs.

    AdamW with the schedule of `fit_with_recipe`. Larger batches have more negatives: 128 rows or
    more are better than 32. With validation data, the weights of the epoch with the lowest
    validation loss are kept.

    Args:
        model: The model; it is compiled.
        train_data: A `MultimodalSequence` of the two inputs without a target, with `shuffle=True`.
        validation_data: Likewise, without shuffling. A loss depends on the number of negatives, so
            give it the same `batch_size`.
        epochs: Passes over the rows. Default: `epochs_for` their number.
        learning_rate: Peak learning rate.
        weight_decay: Decoupled weight decay, as a factor of the learning rate.
        patience: Epochs without a lower validation loss before training stops. Default: half of
            `epochs`, but at least 5.
        callbacks: Additional callbacks.
        verbose: As in `fit`.

    Returns:
        The history of `fit`: "loss", and "accuracy", the share of rows whose second vector is the
        nearest in its batch.

    Raises:
        TypeError: If the model is not one of `build_dual_encoder`, or the data is not a sequence.
        ValueError: If the data has targets.
    """
    pair_of(model)
    for name, data in (("train_data", train_data), ("validation_data", validation_data)):
        if data is None and name == "validation_data":
            continue
        check_data(name, data)
        if getattr(getattr(data, "assembly", None), "targets", None):
            raise ValueError(
                "Pairs need no labels: leave out the target, as in `MultimodalSequence(table, "
                f"inputs, shuffle=True)`. Received: {name} with a target"
            )
    if epochs is None:
        epochs = epochs_for(num_rows_of(train_data))
    check_positive(epochs=epochs)
    steps = epochs * int(train_data.num_batches)
    model.compile(scheduled_adamw(steps, learning_rate, weight_decay))
    make_variables_before(model, train_data)
    stopping = []
    if validation_data is not None:
        patience = max(epochs // 2, 5) if patience is None else patience
        stopping = [
            keras.callbacks.EarlyStopping(
                "val_loss", patience=patience, mode="min", restore_best_weights=True
            )
        ]
    following = [FollowFit(train_data)] if isinstance(train_data, BatchReader) else []
    return model.fit(
        train_data,
        validation_data=validation_data,
        epochs=epochs,
        shuffle=False,
        callbacks=[*following, *callbacks, *stopping],
        verbose=verbose,
    )
