"""The few layers that Keras does not have; everything else in `models` uses Keras's own.

All are registered for saving and written with `keras.ops`, so they run on the tensorflow, jax and
torch backends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from multimodal_gen.loaders.text.ngrams import WEIGHT_SCALE
from multimodal_gen.models.auxiliary_terms import HeadTerm, hand_over
from multimodal_gen.models.outputs import Activation, activate


@keras.saving.register_keras_serializable(package="multimodal_gen")
class NgramSum(keras.layers.Layer):
    """Weighted sum of one learned vector per n-gram: a linear layer on a sparse bag of n-grams.

    Args:
        vocabulary_size: Number of ids, 0 included.
        units: Size of the vectors.
        rate: Share of the n-grams that is dropped in training, in [0, 1); the weights of the others
            are scaled by 1 / (1 - rate), as in dropout.
        multiplier: Factor of the output. With an optimizer like Adam, whose steps do not depend on
            the size of gradients, it multiplies the learning rate of this layer.
        scale: Standard deviation of the initial vectors after `multiplier`; 0 starts at zero.
    """

    def __init__(
        self,
        vocabulary_size: int,
        units: int,
        *,
        rate: float = 0.0,
        multiplier: float = 1.0,
        scale: float = 0.0,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.rate = rate
        self.multiplier = multiplier
        self.scale = scale
        # A generator of its own, so that dropout is saved and resumed with the model.
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the `(vocabulary_size, units)` table."""
        deviation = self.scale / self.multiplier
        initializer = keras.initializers.RandomNormal(stddev=deviation) if deviation else "zeros"
        self.table = self.add_weight(
            shape=(self.vocabulary_size, self.units), initializer=initializer, name="table"
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """`(batch, length, 2)` int32 ids and fixed-point weights -> `(batch, units)`."""
        weights = ops.cast(inputs[:, :, 1], self.compute_dtype) / WEIGHT_SCALE
        if training and self.rate:
            weights = keras.random.dropout(weights, self.rate, seed=self.seed_generator)
        # Padding has weight 0, so the vector of id 0 never counts.
        vectors = ops.take(self.table, inputs[:, :, 0], axis=0)
        summed = ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), vectors), 1)
        return summed * self.multiplier

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """`(batch, length, 2)` -> `(batch, units)`."""
        return (input_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("vocabulary_size", "units", "rate", "multiplier", "scale")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="multimodal_gen")
class ApplicationPreprocessing(keras.layers.Layer):
    """Scales images as one family of `keras.applications` expects.

    Args:
        application: Name of a module of `keras.applications` with a `preprocess_input`, such as
            `"mobilenet_v2"`. None only converts to float32.
        value_range: Smallest and greatest pixel value of the input; it is first scaled to [0, 255].
    """

    def __init__(
        self,
        application: str | None = None,
        *,
        value_range: Sequence[float] = (0.0, 255.0),
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.application = application
        self.value_range = (float(value_range[0]), float(value_range[1]))

    def call(self, inputs: Any) -> Any:
        """`(batch, height, width, channels)` in `value_range` -> the same shape, float32."""
        low, high = self.value_range
        # The arithmetic creates a new tensor, because `preprocess_input` writes into its argument.
        pixels = (ops.cast(inputs, "float32") - low) * (255.0 / (high - low))
        if self.application is None:
            return pixels
        return getattr(keras.applications, self.application).preprocess_input(
            pixels, data_format="channels_last"
        )

    def compute_output_spec(self, inputs: Any) -> Any:
        """The shape of the input, as float32."""
        return keras.KerasTensor(inputs.shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "application": self.application,
            "value_range": list(self.value_range),
        }


@keras.saving.register_keras_serializable(package="multimodal_gen")
class SumOfHeads(keras.layers.Layer):
    """Sum of the logits of several heads, each times its own non-negative scale per target.

    In training, it passes on the predictions of the first `num_auxiliary` heads alone, without
    their scales, for auxiliary losses.

    Takes a list: the logits of the heads, then the masks of inputs that rows may lack, as `masked`
    says.

    Args:
        activation: Activation of the model's output, applied to the heads' predictions:
            `"softmax"`, `"sigmoid"` or None; for several targets, target name -> (units, one of
            these).
        num_auxiliary: Number of heads, from the first on, with an auxiliary loss.
        auxiliary_weight: Weight of each of these losses.
        learned: Whether the scales are trained. If not, they are 1 until they are assigned.
        masked: Positions of the heads whose input rows may lack. The masks follow the heads, in
            this order; a row with mask 0 does not count in that head's own loss.
    """

    def __init__(
        self,
        *,
        activation: Activation,
        num_auxiliary: int = 0,
        auxiliary_weight: float = 0.0,
        learned: bool = False,
        masked: Sequence[int] = (),
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.activation = activation
        self.num_auxiliary = num_auxiliary
        self.auxiliary_weight = auxiliary_weight
        self.learned = learned
        self.masked = tuple(masked)

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Create the scales, `(heads,)`, or `(heads, targets)` for several targets."""
        several = (len(self.activation),) if isinstance(self.activation, Mapping) else ()
        self.scales = self.add_weight(
            shape=(len(input_shape) - len(self.masked), *several),
            initializer="ones",
            # A head that does harm gets 0; below, it would say the opposite of what it learned.
            constraint=keras.constraints.NonNeg(),
            trainable=self.learned,
            dtype="float32",
            name="scales",
        )

    def call(self, inputs: list[Any], training: bool | None = None) -> Any:
        """`(batch, units)` logits and `(batch, 1)` masks -> the `(batch, units)` weighted sum."""
        # The branches may compute in half precision, in which sums of logits lose digits.
        heads = [ops.cast(head, "float32") for head in self.heads_of(inputs)]
        if training is True:
            # Copies, because what a head's own loss says of it may be scaled by itself.
            own = [
                activate(ops.copy(head), self.activation) for head in heads[: self.num_auxiliary]
            ]
            masks = dict(zip(self.masked, inputs[len(heads) :], strict=True))
            terms = tuple(
                HeadTerm(one, self.auxiliary_weight, masks.get(number))
                for number, one in enumerate(own)
            )
            # Also if there are none, to clear the terms of an earlier pass that had no loss.
            hand_over(self, terms if self.auxiliary_weight else ())
        scales = ops.cast(self.scales, "float32")
        if isinstance(self.activation, Mapping):
            # Repeat each target's scale for each of its units: (heads, targets) -> (heads, units).
            units = [units for units, _ in self.activation.values()]
            scales = ops.matmul(
                scales, np.repeat(np.eye(len(units), dtype="float32"), units, axis=1)
            )
        return sum(head * scales[i] for i, head in enumerate(heads))

    def heads_of(self, inputs: list[Any]) -> list[Any]:
        """Return the logits of the heads among the inputs of this layer."""
        return inputs[: len(inputs) - len(self.masked)]

    def compute_output_spec(self, inputs: list[Any], training: bool | None = None) -> Any:
        """The shape of the first head, as float32."""
        return keras.KerasTensor(inputs[0].shape, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        activation: Any = self.activation
        if isinstance(activation, Mapping):
            activation = {name: list(one) for name, one in activation.items()}
        names = ("num_auxiliary", "auxiliary_weight", "learned")
        arguments = {name: getattr(self, name) for name in names}
        return {
            **super().get_config(),
            "activation": activation,
            **arguments,
            "masked": list(self.masked),
        }
