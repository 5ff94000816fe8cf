"""A model from the ids of tokens to a vector, around the backbone of a preset."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from multimodal_gen.models.hub.presets import Preset, class_for, keras_hub

POOLINGS = ("mean", "cls", "max", "last")
_INPUTS = ("token_ids", "padding_mask", "segment_ids")


@keras.saving.register_keras_serializable(package="multimodal_gen")
class TokenIds(layers.Layer):
    """Takes apart what a `PresetTextLoader` gives: the tokenizer's ids, a mask, and segments.

    Args:
        pad: The id of padding.
    """

    def __init__(
        self, pad: int, *, name: str | None = None, trainable: bool = True, dtype: Any = None
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.pad = pad

    def call(self, inputs: Any) -> tuple[Any, Any, Any]:
        """`(batch, length)` -> ids, 1 where there is a token, and zeros, all int32."""
        inputs = ops.cast(inputs, "int32")
        there = inputs > 0
        ids = ops.where(there, inputs - 1, ops.full_like(inputs, self.pad))
        return ids, ops.cast(there, "int32"), ops.zeros_like(inputs)

    def compute_output_spec(self, inputs: Any) -> Any:
        """The same shape three times, as int32."""
        return tuple(keras.KerasTensor(inputs.shape, dtype="int32") for _ in range(3))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "pad": self.pad}


@keras.saving.register_keras_serializable(package="multimodal_gen")
class TokenPooling(layers.Layer):
    """Makes one vector of those of all tokens.

    Args:
        pooling: "mean" or "max" of the tokens that are not padding, the first one ("cls"), or the
            "last" one that is not padding.
        idle: Names of layers below that the vector does not depend on, such as those of another
            output; they are never trained.
    """

    def __init__(
        self,
        pooling: str,
        *,
        idle: Sequence[str] = (),
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.pooling, self.idle = pooling, list(idle)

    def call(self, inputs: Any) -> Any:
        """`(batch, length, size)` and a mask `(batch, length)` -> `(batch, size)`."""
        vectors, mask = inputs
        if self.pooling == "cls":
            return vectors[:, 0]
        there = ops.expand_dims(ops.cast(mask, vectors.dtype), -1)
        if self.pooling == "last":
            place = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=1) - 1, 0)
            return ops.take_along_axis(vectors, place[:, None, None], axis=1)[:, 0]
        if self.pooling == "max":
            # A row of padding only is zeros, and not the smallest number.
            lowest = ops.where(there > 0, vectors, ops.full_like(vectors, -1e9))
            return ops.max(lowest, axis=1) * ops.max(there, axis=1)
        return ops.sum(vectors * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1.0)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Without the axis of tokens."""
        vectors, _ = inputs
        return keras.KerasTensor((vectors.shape[0], vectors.shape[2]), dtype=vectors.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "pooling": self.pooling, "idle": self.idle}


def text_model(preset: Preset, pad: int) -> keras.Model:
    """Build the model of a text preset.

    The vector is the one that keras-hub's `TextEmbedder` gives, if it has one for this model; else
    the mean of the tokens.

    Args:
        preset: The preset.
        pad: The id of padding.

    Returns:
        A model from ids of any length, raised by one and 0 for padding, to `(batch, size)`.

    Raises:
        ValueError: If the backbone takes or gives something else.
    """
    backbone = preset.backbone
    unknown = [name for name in preset.input_names if name not in _INPUTS]
    if unknown:
        raise ValueError(
            f"The model takes more than ids of tokens: {unknown}. Received: preset={preset.path!r}"
        )
    ids = keras.Input((None,), dtype="int32", name="tokens")
    given: dict[str | None, Any] = dict(
        zip(_INPUTS, TokenIds(pad, name="token_ids_and_mask")(ids), strict=True)
    )
    found = backbone({name: given[name] for name in preset.input_names})
    if getattr(backbone, "is_embedding_model", False):
        return keras.Model(ids, found["pooled_output"], name="text")
    vectors = found["sequence_output"] if isinstance(found, dict) else found
    if len(vectors.shape) != 3:
        raise ValueError(
            "The model must give a vector for each token. Received: an output of shape "
            f"{tuple(vectors.shape)} of preset={preset.path!r}"
        )
    pooling, normalize = _embedder(preset)
    pool = TokenPooling(pooling, idle=_idle(backbone), name="pooled")
    x = pool([vectors, given["padding_mask"]])
    if normalize:
        x = layers.UnitNormalization(name="unit")(x)
    return keras.Model(ids, x, name="text")


def _idle(backbone: Any) -> list[str]:
    # Layers of the backbone behind the vectors of the tokens.
    if not isinstance(backbone.output, dict):
        return []
    used = keras.Model(backbone.input, backbone.output["sequence_output"]).layers
    return sorted({one.name for one in backbone.layers} - {one.name for one in used})


def _embedder(preset: Preset) -> tuple[str, bool]:
    # How keras-hub's own `TextEmbedder` pools, which models without one are pooled like.
    embedder = class_for(preset.backbone, keras_hub().models.TextEmbedder)
    if embedder is None:
        return "mean", False
    defaults = inspect.signature(embedder).parameters
    config = {name: defaults[name].default for name in ("pooling_mode", "normalize")}
    if not os.path.isdir(preset.path):
        task = embedder.from_preset(preset.path, load_weights=False)
        config |= {name: getattr(task, name) for name in config}
    elif os.path.isfile(os.path.join(preset.path, "task.json")):
        task = json.loads(Path(preset.path, "task.json").read_text("utf-8"))
        if task.get("class_name") == embedder.__name__:
            config |= task["config"]
    if config["pooling_mode"] not in POOLINGS:
        raise ValueError(
            f"The preset pools its tokens in an unknown way; known are {POOLINGS}. Received: "
            f"pooling_mode={config['pooling_mode']!r}, preset={preset.path!r}"
        )
    return config["pooling_mode"], bool(config["normalize"])
