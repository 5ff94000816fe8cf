"""The parts of two encoders with a shared space: unit vectors, their contrastive loss, the model.

Registered for saving and written with `keras.ops`, like the layers in `layers.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from multimodal_gen.models.matching import normalized

# Of CLIP (Radford et al., 2021, section 2.5): where the temperature starts, and the most that
# similarities are multiplied by.
FIRST_SCALE, MOST_SCALE = 1 / 0.07, 100.0


@keras.saving.register_keras_serializable(package="multimodal_gen")
class UnitVectors(keras.layers.Layer):
    """Scales vectors to Euclidean length 1, in float32."""

    def call(self, inputs: Any) -> Any:
        """`(batch, size)` -> `(batch, size)` float32."""
        return normalized(ops.cast(inputs, "float32"))

    def compute_output_spec(self, inputs: Any) -> Any:
        """The same shape, as float32."""
        return keras.KerasTensor(inputs.shape, dtype="float32")


@keras.saving.register_keras_serializable(package="multimodal_gen")
class PairModel(keras.Model):
    """A Functional model of two inputs, after which masks may come, and their unit vectors, with an
    accuracy.

    Build, compile, fit, save and load it like any Functional model.
    """

    # The signature by which Keras, from 3.12 on, knows that it loads like a Functional model.
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Not in the layer: on jax, what a layer does to a metric is lost.
        self.nearest = keras.metrics.Mean(name="accuracy")

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count the rows whose second vector is the nearest in the batch to their first."""
        # After the two inputs there may be masks of their items.
        first, second = (y_pred[one.name] for one in self.inputs[:2])
        similarity = ops.matmul(first, ops.transpose(second))
        # Rows of one text have equal vectors, up to rounding.
        best = ops.max(similarity, axis=1) - 1e-5
        self.nearest.update_state(ops.cast(ops.diagonal(similarity) >= best, "float32"))
        return self.get_metrics_result()


@keras.saving.register_keras_serializable(package="multimodal_gen")
class ContrastivePair(keras.layers.Layer):
    """The symmetric contrastive loss of a batch of pairs (InfoNCE), with a learned temperature.

    Radford et al., 2021, figure 3. The two vectors of a row belong together, and those of all other
    rows of the batch are the negatives, unless they hold the same text: "red mug" is not a wrong
    caption for the picture of another red mug.

    Args:
        scale: What similarities are multiplied by at first, 1 / temperature. Training leaves it at
            100 or below, or at most where it began.
    """

    def __init__(
        self,
        *,
        scale: float = FIRST_SCALE,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.scale = scale

    def build(self, input_shape: Any) -> None:
        """Create the logarithm of the scale, a scalar."""
        start = keras.initializers.Constant(math.log(self.scale))
        self.log_scale = self.add_weight((), start, dtype="float32", name="log_scale")

    @property
    def similarity_scale(self) -> Any:
        """What similarities are multiplied by now, a scalar."""
        most = math.log(max(MOST_SCALE, self.scale))
        return ops.exp(ops.minimum(ops.cast(self.log_scale, "float32"), most))

    def call(self, inputs: Sequence[Any]) -> tuple[Any, Any]:
        """Add the loss.

        Args:
            inputs: Two `(batch, size)` arrays of unit vectors, then the arrays that show which rows
                hold the same, of any shape.

        Returns:
            The two arrays of unit vectors, unchanged.
        """
        first, second, *given = inputs
        similarity = ops.matmul(first, ops.transpose(second)) * self.similarity_scale
        # Large instead of infinite: infinity times the zeros would be NaN.
        similarity = similarity - 1e9 * same_rows(given, ops.shape(first)[0])
        matching = ops.diagonal(similarity)
        # Both ways: each first vector looks for its second one, and each second for its first.
        both = ops.logsumexp(similarity, axis=0) + ops.logsumexp(similarity, axis=1)
        self.add_loss(ops.mean(0.5 * both - matching))
        return first, second

    def compute_output_spec(self, inputs: Sequence[Any]) -> Any:
        """The two arrays of unit vectors."""
        first, second = (keras.KerasTensor(one.shape, dtype="float32") for one in inputs[:2])
        return first, second

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}


def same_rows(arrays: Sequence[Any], rows: Any) -> Any:
    """Which pairs of different rows are equal in any of the arrays.

    Args:
        arrays: Each `(rows, ...)`, of any dtype.
        rows: Their number, which may be a tensor.

    Returns:
        `(rows, rows) float32`, 1 for such pairs, 0 for others and for the diagonal.
    """
    found = ops.zeros((rows, rows), "float32")
    for array in arrays:
        flat = ops.reshape(ops.cast(array, "float32"), (rows, -1))
        places = ops.cast(ops.arange(ops.shape(flat)[1]), "float32")
        # Comparing all numbers of all pairs would take rows * rows * length numbers of memory. Two
        # bounded sums in its place: equal rows have equal ones to the bit, and of others next to
        # none.
        sums = [
            ops.sum(ops.sin(flat * one + places * two), axis=1)
            for one, two in ((0.7310, 1.1303), (0.3179, 2.7071))
        ]
        equal = ops.logical_and(*(one[:, None] == one[None, :] for one in sums))
        found = ops.maximum(found, ops.cast(equal, "float32"))
    return found * (1.0 - ops.eye(rows))


def pair_of(model: Any) -> ContrastivePair:
    """Return the layer that compares the two vectors of a model.

    Raises:
        TypeError: If the model is not one of `build_dual_encoder`.
    """
    layers = getattr(model, "layers", ())
    found = next((one for one in layers if isinstance(one, ContrastivePair)), None)
    if found is None:
        raise TypeError(
            f"`model` must be the result of `build_dual_encoder`. Received: model={model!r}"
        )
    return found
