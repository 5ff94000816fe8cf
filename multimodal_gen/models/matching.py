"""The parts of fusion "match": the relation of two embeddings, and the matching class.

The matching class, whose inputs belong together, is given by name or found in training. Registered
for saving and written with `keras.ops`, like the layers in `layers.py`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from multimodal_gen.models.auxiliary_terms import PairTerm, hand_over
from multimodal_gen.models.outputs import class_target, outputs_of

# How much faster the matching class is learned than everything else: within the first hundred
# steps, before the model can memorize rows whose inputs do not belong together.
_HASTE = 30.0


@keras.saving.register_keras_serializable(package="multimodal_gen")
class PairRelation(keras.layers.Layer):
    """Product and absolute difference of two embeddings, which show whether the two belong
    together.

    In training, it passes the pair on to a contrastive auxiliary loss.

    Args:
        positive: Position of the matching class; negative positions count from the end. None finds
            it, with a trained weight per class.
        temperature: Temperature of the contrastive loss.
        weight: Weight of the contrastive loss; 0 leaves it out.
        target: Name of the target that is the class, if there are several targets.
        classes: Number of classes, needed if `positive` is None.
    """

    def __init__(
        self,
        *,
        positive: int | None = -1,
        temperature: float = 0.1,
        weight: float = 0.5,
        target: str | None = None,
        classes: int | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.positive = positive
        self.temperature = temperature
        self.weight = weight
        self.target = target
        self.classes = classes

    def build(self, input_shape: Any) -> None:
        """Create the weight of each class, `(classes,)`, if the matching class must be found."""
        self.leanings = None
        # Without the contrastive loss, the weights would get no gradient.
        if self.positive is None and self.weight:
            self.leanings = self.add_weight(
                (self.classes,), "zeros", dtype="float32", name="leanings"
            )

    @property
    def shares(self) -> Any:
        """Probabilities that each class matches, `(classes,)` summing to 1; None if it is given."""
        return (
            None
            if self.leanings is None
            else ops.softmax(_HASTE * ops.cast(self.leanings, "float32"))
        )

    def call(self, inputs: list[Any], training: bool | None = None) -> Any:
        """Compute the relation of two embeddings.

        Args:
            inputs: Two `(batch, size)` embeddings, and if rows may lack one, the `(batch, 1)` mask
                of rows that have both.
            training: Whether to pass the pair on to the contrastive loss.

        Returns:
            `(batch, 2 * size)` float32.
        """
        first, second = (normalized(ops.cast(tensor, "float32")) for tensor in inputs[:2])
        if training is True:
            both = inputs[2] if len(inputs) > 2 else None
            arguments = (self.temperature, self.weight, self.target, both, self.shares)
            hand_over(
                self, (PairTerm(first, second, self.positive, *arguments),) if self.weight else ()
            )
        # Entries of a unit vector are near size**-0.5; this scales both features to about 1.
        size = float(first.shape[-1])
        return ops.concatenate(
            [first * second * size, ops.abs(first - second) * size**0.5], axis=-1
        )

    def compute_output_spec(self, inputs: list[Any], training: bool | None = None) -> Any:
        """Twice the size of one embedding, as float32."""
        return keras.KerasTensor((inputs[0].shape[0], 2 * inputs[0].shape[-1]), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("positive", "temperature", "weight", "target", "classes")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def normalized(tensor: Any) -> Any:
    """Scale vectors to Euclidean length 1, along the last axis; one of zeros stays so."""
    # `ops.normalize` has the gradient NaN at zero, and the embedding of an empty caption is zero.
    return tensor * ops.rsqrt(ops.sum(ops.square(tensor), axis=-1, keepdims=True) + 1e-6)


def position_of(positive: Any, target: Any) -> int:
    """Return the position of a class in the only target that is a class.

    Args:
        positive: Name of the class.
        target: A target, or a mapping of names to targets.

    Raises:
        ValueError: If the target has no such class, or no class names.
    """
    units, activation = outputs_of(target)
    name, _ = class_target(activation, units)
    names = getattr(target if name is None else target[name], "class_names", ())
    if positive not in names:
        known = f"they are {list(names)!r}" if names else "the target has no `class_names`"
        raise ValueError(
            f"`positive` must be one of the target's classes; {known}. Received: "
            f"positive={positive!r}"
        )
    return list(names).index(positive)


def chosen_class(model: keras.Model, target: Any) -> str | None:
    """Return a sentence about the matching class that was found, or None if it was given."""
    layer = _relation(model)
    if layer is None or layer.shares is None:
        return None
    share = float(np.max(ops.convert_to_numpy(layer.shares)))
    return (
        f"Fusion 'match' took the inputs of class {matching_class(model, target)!r} to belong "
        f"together, with a share of {share:.2f}; set `positive` (--positive) to choose."
    )


def matching_class(model: keras.Model, target: Any) -> Any:
    """Return the class whose inputs a model with fusion "match" takes to belong together.

    Args:
        model: A model of `build_fusion_classifier`, trained if the class was not given.
        target: The target, or the mapping of targets, that the model was built for.

    Returns:
        The name of the class, or its position if the target has no `class_names`; None for another
        fusion. For an untrained model without `positive`, the first class.
    """
    layer = _relation(model)
    if layer is None:
        return None
    target = target if layer.target is None else target[layer.target]
    position = layer.positive
    if position is None:
        position = 0 if layer.shares is None else int(np.argmax(ops.convert_to_numpy(layer.shares)))
    names = getattr(target, "class_names", ())
    # A position may count from the end.
    return names[position] if names else position % max(target.units, 2)


def _relation(model: keras.Model) -> PairRelation | None:
    return next((layer for layer in model.layers if isinstance(layer, PairRelation)), None)
