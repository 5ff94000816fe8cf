"""The layers of fusion "attend": sequences with masks, attention between them, and pooling.

A mask is a tensor of its own here, not the mask that Keras attaches to a tensor: `keras.ops` and
some layers drop that one without a word. Registered for saving and written with `keras.ops`, like
the layers in `layers.py`. Scores, shares and pooling are float32 under every policy.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from multimodal_gen.models.matching import normalized

# Far below every score, and within float32.
_FAR_BELOW = -1e9


@keras.saving.register_keras_serializable(package="multimodal_gen")
class SequenceAndMask(layers.Layer):
    """Splits a sequence from its mask, and lays the patches of a feature map in a row.

    Args:
        zeros: Whether vectors of zeros are padding, as in the features of an `EncodedLoader`.
            Otherwise Keras's mask of the tensor counts, such as that of `Embedding(mask_zero=
            True)`; without one, nothing is padding.
    """

    def __init__(
        self,
        zeros: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.zeros = zeros
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> tuple[Any, Any]:
        """`(batch, length, size)`, or `(batch, height, width, size)`, and its mask.

        Returns:
            `(batch, length, size)`, and `(batch, length) float32` of 0 and 1.
        """
        if len(inputs.shape) == 4:
            _, height, width, size = inputs.shape
            length = -1 if height is None or width is None else height * width
            inputs, mask = ops.reshape(inputs, (ops.shape(inputs)[0], length, size)), None
        if self.zeros:
            mask = ops.max(ops.abs(inputs), axis=-1) > 0
        elif mask is None:
            mask = ops.ones(ops.shape(inputs)[:2], "float32")
        mask = ops.cast(mask, "float32")
        # A new tensor: the given one would carry Keras's mask on to layers that do not know it.
        return inputs * ops.expand_dims(ops.cast(mask, inputs.dtype), -1), mask

    def compute_mask(self, inputs: Any, mask: Any = None) -> list[None]:
        """None: from here on the mask is the second result."""
        return [None, None]

    def compute_output_spec(self, inputs: Any, mask: Any = None) -> tuple[Any, Any]:
        """See `call`."""
        batch, *places, size = inputs.shape
        length = None if None in places else math.prod(places)
        return (
            keras.KerasTensor((batch, length, size), dtype=self.compute_dtype),
            keras.KerasTensor((batch, length), dtype="float32"),
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "zeros": self.zeros}


@keras.saving.register_keras_serializable(package="multimodal_gen")
class AttendTo(layers.Layer):
    """Each position of one sequence takes the mean of the others' values, by how well keys fit.

    Scores are cosines of queries and keys times a learned number per head (Henry et al.,
    "Query-key normalization for transformers", 2020), so that encoders of any scale fit. One more
    key, of value zero and a learned score, fits always: a row whose other inputs are all missing,
    and a position that nothing fits, get about zeros.

    Takes a list: queries `(batch, length, size)`, then the keys, the values and the masks of each
    other sequence.

    Args:
        heads: Attention heads; they divide `size`.
    """

    def __init__(
        self, heads: int, *, name: str | None = None, trainable: bool = True, dtype: Any = None
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.heads = heads

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Create two numbers for each head."""
        # exp(2.3) = 10, about as sharp as the usual scores of heads of 16 to 64 numbers become.
        sharp = keras.initializers.Constant(2.3)
        shape, exact = (self.heads, 1, 1), {"dtype": "float32", "autocast": False}
        self.log_scale = self.add_weight(shape, sharp, name="log_scale", **exact)
        self.absent = self.add_weight(shape, "zeros", name="absent", **exact)

    def call(self, inputs: list[Any]) -> Any:
        """`(batch, length, size)`."""
        others = (len(inputs) - 1) // 3
        keys, values, masks = (
            ops.concatenate(inputs[1 + one * others : 1 + (one + 1) * others], axis=1)
            for one in range(3)
        )
        size = inputs[0].shape[-1]
        queries = normalized(self._by_head(ops.cast(inputs[0], "float32"), size))
        keys = normalized(self._by_head(ops.cast(keys, "float32"), size))
        values = self._by_head(ops.cast(values, "float32"), size)
        scores = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))) * ops.exp(self.log_scale)
        there = ops.expand_dims(ops.cast(masks, "float32"), (1, 2)) > 0.5
        scores = ops.where(there, scores, _FAR_BELOW)
        # The key that always fits, by hand: its value is zero, so only the sum has it. Shifted by
        # the greatest score, so that no power overflows.
        most = ops.maximum(ops.max(scores, axis=-1, keepdims=True), self.absent)
        most = ops.stop_gradient(most)
        powers = ops.exp(scores - most)
        total = ops.sum(powers, axis=-1, keepdims=True) + ops.exp(self.absent - most)
        found = ops.transpose(ops.matmul(powers / total, values), (0, 2, 1, 3))
        found = ops.reshape(found, (-1, ops.shape(inputs[0])[1], size))
        return ops.cast(found, self.compute_dtype)

    def _by_head(self, sequence: Any, size: int) -> Any:
        # (batch, length, size) -> (batch, heads, length, size of a head)
        shape = (-1, ops.shape(sequence)[1], self.heads, size // self.heads)
        return ops.transpose(ops.reshape(sequence, shape), (0, 2, 1, 3))

    def compute_output_spec(self, inputs: list[Any]) -> Any:
        """The shape of the queries."""
        return keras.KerasTensor(inputs[0].shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable(package="multimodal_gen")
class Compare(layers.Layer):
    """A sequence, what its positions found, and how the two relate: product and difference.

    As the features of Chen et al., "Enhanced LSTM for natural language inference", 2017, section
    3.2, on vectors of length 1, like `PairRelation`.
    """

    def call(self, inputs: list[Any]) -> Any:
        """Two `(batch, length, size)` -> `(batch, length, 4 * size)`."""
        own, found = inputs
        one, other = (normalized(ops.cast(tensor, "float32")) for tensor in inputs)
        size = float(own.shape[-1])
        relation = [one * other * size, ops.abs(one - other) * size**0.5]
        return ops.concatenate(
            [own, found, *(ops.cast(tensor, self.compute_dtype) for tensor in relation)], axis=-1
        )

    def compute_output_spec(self, inputs: list[Any]) -> Any:
        """Four times the size."""
        *shape, size = inputs[0].shape
        return keras.KerasTensor((*shape, 4 * size), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="multimodal_gen")
class PoolSequence(layers.Layer):
    """Mean and maximum of the positions of a sequence that are there; zeros if none is."""

    def call(self, inputs: list[Any]) -> Any:
        """`[(batch, length, size), (batch, length)]`, the latter 0 or 1 -> `(batch, 2 * size)`."""
        sequence, mask = (ops.cast(tensor, "float32") for tensor in inputs)
        there = ops.expand_dims(mask, -1) > 0.5
        count = ops.maximum(ops.sum(ops.cast(there, "float32"), axis=1), 1.0)
        mean = ops.sum(ops.where(there, sequence, 0.0), axis=1) / count
        most = ops.max(ops.where(there, sequence, _FAR_BELOW), axis=1)
        most = ops.where(most > _FAR_BELOW / 2, most, 0.0)
        return ops.cast(ops.concatenate([mean, most], axis=-1), self.compute_dtype)

    def compute_output_spec(self, inputs: list[Any]) -> Any:
        """Twice the size."""
        batch, _, size = inputs[0].shape
        return keras.KerasTensor((batch, 2 * size), dtype=self.compute_dtype)
