"""The branch of cells with several items: one encoder for all of them, whose results are pooled.

Its layers are registered for saving and written with `keras.ops`, like those in `layers.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from multimodal_gen.models.branch import Branch, Encoding
from multimodal_gen.models.encoding import encoded
from multimodal_gen.rows.checks import check_choice, check_positive
from multimodal_gen.spec import ArraySpec

_FAR_BELOW = -1e9


@dataclass(frozen=True)
class ManyBranch(Branch):
    """Encodes all items of a row by one branch, and pools what it gives.

    The items of a batch go through the branch together, as if they were rows, so this is as fast as
    a batch of as many rows. "mean" gives each item the same share. "attention" learns shares from
    the embeddings, by a hidden layer with tanh (Ilse et al., "Attention-based deep multiple
    instance learning", 2018, equation 8); it needs a loader with `training="all"`. A branch's own
    logits are pooled by the same shares. A row without items gets zeros.

    Args:
        branch: The branch of one item: one of this package's branches, or any layer, model or
            callable; by default that of the item's kind.
        pool: "mean" or "attention".
        hidden_units: Width of the hidden layer of "attention".
    """

    branch: Branch | Callable[[Any], Any] | None = None
    pool: str = "mean"
    hidden_units: int = 64

    def __post_init__(self) -> None:
        check_choice("pool", self.pool, ("mean", "attention"))
        check_positive(hidden_units=self.hidden_units)

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        """`[(batch, items, ...), (batch, items)]`, arrays and their mask -> `(batch, size)`."""
        if spec.item is None or self.branch is None:
            raise ValueError(
                "ManyBranch needs an input of kind 'many', and `build_fusion_classifier` gives it "
                f"the default branch of an item. Received: {spec}, branch={self.branch!r}"
            )
        items, mask = inputs
        own = encoded(
            name, spec.item, self.branch, ItemsAsRows(name=f"{name}_as_rows")(items), units
        )
        scores = []
        if self.pool == "attention":
            hidden = layers.Dense(self.hidden_units, activation="tanh", name=f"{name}_attended")
            score = layers.Dense(1, use_bias=False, name=f"{name}_score")
            scores = [score(hidden(own.embedding))]
        shares = ItemShares(name=f"{name}_shares")([mask, *scores])
        pooled = PoolItems(name=f"{name}_pooled")([own.embedding, shares])
        tokens = RowsAsItems(name=f"{name}_items")([own.embedding, mask])
        if own.logits is None:
            return Encoding(pooled, tokens=tokens, mask=mask)
        # In the precision of the logits, which a branch with a head of its own has chosen.
        head = PoolItems(dtype=own.logits.dtype, name=f"{name}_pooled_head")
        return Encoding(pooled, head([own.logits, shares]), tokens=tokens, mask=mask)


@keras.saving.register_keras_serializable(package="multimodal_gen")
class ItemsAsRows(layers.Layer):
    """`(batch, items, ...)` -> `(batch * items, ...)`."""

    def __init__(
        self, *, name: str | None = None, trainable: bool = True, dtype: Any = None
    ) -> None:
        # Ids and bytes stay what they are: a policy would round them to half precision.
        super().__init__(name=name, trainable=trainable, dtype=dtype, autocast=False)

    def call(self, inputs: Any) -> Any:
        """See the class."""
        return ops.reshape(inputs, (-1, *inputs.shape[2:]))

    def compute_output_spec(self, inputs: Any) -> Any:
        """The shape of an item, with an unknown number of rows."""
        return keras.KerasTensor((None, *inputs.shape[2:]), dtype=inputs.dtype)


@keras.saving.register_keras_serializable(package="multimodal_gen")
class RowsAsItems(layers.Layer):
    """The embeddings of items by row again, for fusion "attend".

    Takes a list: vectors `(batch * items, size)` and the mask `(batch, items)`.
    """

    def call(self, inputs: list[Any]) -> Any:
        """`(batch, items, size)`."""
        vectors, mask = inputs
        return ops.reshape(vectors, (-1, ops.shape(mask)[1], vectors.shape[-1]))

    def compute_output_spec(self, inputs: list[Any]) -> Any:
        """The shape of the mask, and the size."""
        vectors, mask = inputs
        return keras.KerasTensor((*mask.shape, vectors.shape[-1]), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="multimodal_gen")
class ItemShares(layers.Layer):
    """The share of each item in its row: they sum to 1, or are all 0 without items.

    Takes a list: the mask `(batch, items)`, and for shares that differ also scores `(batch * items,
    1)`, of which a softmax over the row's items is taken.
    """

    def call(self, inputs: list[Any]) -> Any:
        """`(batch, items) float32`."""
        mask = ops.cast(inputs[0], "float32")
        there = mask > 0.5
        weights = ops.cast(there, "float32")
        if len(inputs) > 1:
            scores = ops.reshape(ops.cast(inputs[1], "float32"), (-1, ops.shape(mask)[1]))
            scores = ops.where(there, scores, _FAR_BELOW)
            # Shifted by the greatest one, so that no power overflows.
            scores = scores - ops.stop_gradient(ops.max(scores, axis=1, keepdims=True))
            weights = weights * ops.exp(scores)
        return weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1e-9)

    def compute_output_spec(self, inputs: list[Any]) -> Any:
        """The shape of the mask."""
        return keras.KerasTensor(inputs[0].shape, dtype="float32")


@keras.saving.register_keras_serializable(package="multimodal_gen")
class PoolItems(layers.Layer):
    """Sums the vectors of a row's items by their shares.

    Takes a list: vectors `(batch * items, size)` and shares `(batch, items)`.
    """

    def call(self, inputs: list[Any]) -> Any:
        """`(batch, size)`."""
        vectors, shares = inputs
        by_row = ops.reshape(vectors, (-1, ops.shape(shares)[1], vectors.shape[-1]))
        shares = ops.expand_dims(ops.cast(shares, by_row.dtype), 1)
        return ops.squeeze(ops.matmul(shares, by_row), 1)

    def compute_output_spec(self, inputs: list[Any]) -> Any:
        """One vector for each row."""
        vectors, shares = inputs
        return keras.KerasTensor((shares.shape[0], vectors.shape[-1]), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="multimodal_gen")
class AnyItem(layers.Layer):
    """`(batch, items)` of 0 and 1 -> `(batch, 1)`: whether a row has any item."""

    def call(self, inputs: Any) -> Any:
        """See the class."""
        return ops.max(inputs, axis=1, keepdims=True)

    def compute_output_spec(self, inputs: Any) -> Any:
        """One number for each row."""
        return keras.KerasTensor((inputs.shape[0], 1), dtype=inputs.dtype)
