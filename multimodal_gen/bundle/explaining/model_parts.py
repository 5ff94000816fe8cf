"""A model in parts: an encoder for each player, and a head that joins what they give.

What a player alone determines is computed once for each of its variants, and only the head runs for
each combination. A model with a `call` of its own is one part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from multimodal_gen.bundle.explaining.cutting import (
    Cut,
    called,
    fresh_input,
    is_graph,
    listed,
    unfolded,
)
from multimodal_gen.bundle.explaining.gradients import Gradient, gradient_of
from multimodal_gen.bundle.explaining.players import players_of
from multimodal_gen.loaders.base import Loader
from multimodal_gen.sequence.output_shapes import map_outputs
from multimodal_gen.spec import mask_names, with_masks

# The arrays of one player: those of its inputs, each followed by its mask if it has one.
Arrays = list[np.ndarray]

# jax compiles a step for each size of batch, so there are few sizes.
_SIZES = (8, 32, 64, 512)
# How far the parts together may be from the whole, as a share of the largest output.
_TOLERANCE = 1e-3


class Parts:
    """A model, cut where its players meet.

    Args:
        model: A built model.
        inputs: Input name -> loader.
        inputs_as: How the model takes its inputs.

    Attributes:
        players: Name -> the inputs that change together.
        names: Player -> the names of its arrays.
        cut: The parts; None if the model cannot be cut.
    """

    def __init__(self, model: Any, inputs: Mapping[str, Loader], inputs_as: str) -> None:
        self.model, self.inputs_as = model, inputs_as
        # Rows that an encoder is given at once, at most.
        self.batch_size = 64
        self._checked = False
        self.players = players_of(inputs)
        masks = mask_names(inputs)
        self.names = {
            name: [key for one in own.inputs for key in (one, masks.get(one)) if key is not None]
            for name, own in self.players.items()
        }
        self.order = list(with_masks(inputs))
        self._gradients: dict[str, Gradient | None] = {}
        found = _starts(model, self.order, inputs_as) if is_graph(model) else {}
        # Player -> the symbolic inputs of the model, and of its parts.
        self._whole_starts: dict[str, list[Any]] = {}
        self._starts: dict[str, list[Any]] = {}
        self.cut: Cut | None = None
        if found:
            own = {name: [found[key] for key in keys] for name, keys in self.names.items()}
            self._whole_starts = own
            self._starts, output = unfolded(own, model.output)
            self.cut = Cut.of(self._starts, output)

    @property
    def is_whole(self) -> bool:
        """Whether every combination of players costs a run of the whole model."""
        return self.cut is None or not self.cut.encoders

    def check(self, arrays: Mapping[str, Arrays]) -> None:
        """Use the whole model if its parts do not give what it gives, such as where a Keras mask
        travels with a tensor.
        """
        if self.cut is None or self._checked:
            return
        self._checked = True
        codes = {name: self.encode(name, own) for name, own in arrays.items()}
        found, expected = self.outputs(codes), self._whole(arrays)
        for one, other in zip(listed(found), listed(expected), strict=True):
            if not np.allclose(one, other, atol=_TOLERANCE * max(1.0, float(np.abs(other).max()))):
                self.cut = None
                return

    def encode(self, name: str, arrays: Arrays) -> Arrays:
        """What the encoder of a player makes of its arrays, `(rows, ...)` each."""
        if self.cut is None:
            return arrays
        if name not in self.cut.encoders:
            return self.cut.encoded(name, self._starts[name], arrays)
        return listed(_run(self.cut.encoders[name], arrays, self.batch_size))

    def outputs(self, codes: Mapping[str, Arrays]) -> Any:
        """The model's outputs for rows of what `encode` returned, float arrays `(rows, ...)`."""
        if self.cut is None:
            return self._whole(codes)
        ends = [one for name in self.names for one in codes[name]]
        return _run(self.cut.head, ends, _SIZES[-1])

    def _whole(self, arrays: Mapping[str, Arrays]) -> Any:
        by_name = {
            key: one
            for name, own in arrays.items()
            for key, one in zip(self.names[name], own, strict=True)
        }
        ordered = [by_name[name] for name in self.order]
        return _run(self.model, ordered, self.batch_size, self._shaped)

    def _shaped(self, arrays: Arrays) -> Any:
        if self.inputs_as == "array":
            return arrays[0]
        if self.inputs_as == "dict":
            return dict(zip(self.order, arrays, strict=True))
        return tuple(arrays) if self.inputs_as == "tuple" else arrays

    def gradient(self, name: str) -> Gradient | None:
        """The gradient of the outputs by the one input of a player, made once; None if there is
        none.
        """
        if name not in self._gradients:
            model = self.differentiable(name)
            self._gradients[name] = None if model is None else gradient_of(model)
        return self._gradients[name]

    def differentiable(self, name: str) -> Any:
        """A model from an input as float32, and what `encode` gives for the others, to the outputs.

        It takes the input, its mask if it has one, then the others in their order. None for a model
        with a `call` of its own, and for a player of several inputs.
        """
        if not self._whole_starts or len(self.players[name].inputs) > 1:
            return None
        # An input of whole numbers has no gradient, so the same layers are called on floats.
        own = [fresh_input(one) for one in self._whole_starts[name]]
        own[0] = keras.Input(own[0].shape[1:], dtype="float32")
        cut = self.cut
        if cut is None:
            starts = self._whole_starts
            fresh = {key: [fresh_input(one) for one in each] for key, each in starts.items()}
            fresh[name] = own
            others = [one for key, each in fresh.items() if key != name for one in each]
            graph = keras.Model(_joined_lists(starts), self.model.output)
            return keras.Model([*own, *others], called(graph, _joined_lists(fresh)))
        ends, others = [], []
        for key, tensors in cut.ends.items():
            given = [fresh_input(one) for one in tensors]
            if key != name:
                others += given
            elif name in cut.encoders:
                given = listed(called(cut.encoders[name], own))
            else:
                given = own[: len(tensors)]
            ends += given
        return keras.Model([*own, *others], cut.head(ends))


def _joined_lists(lists: Mapping[str, list[Any]]) -> list[Any]:
    return [one for own in lists.values() for one in own]


def _starts(model: Any, order: Sequence[str], inputs_as: str) -> dict[str, Any]:
    # Name of an array -> the symbolic input that takes it. In a list the place counts, not the
    # name.
    if inputs_as == "dict":
        taken = {one.name: one for one in model.inputs}
        return {name: taken[name] for name in order} if set(taken) == set(order) else {}
    if len(model.inputs) != len(order):
        return {}
    return dict(zip(order, model.inputs, strict=True))


def filled_size(rows: int, most: int) -> int:
    """To how many rows a batch is filled up.

    Args:
        rows: How many it has.
        most: The most rows of a batch.
    """
    if keras.backend.backend() != "jax":
        return rows
    return min([one for one in _SIZES if one >= rows] + [max(most, rows)])


def _run(
    model: Any, arrays: Arrays, most: int, shaped: Callable[[Arrays], Any] | None = None
) -> Any:
    rows, parts = len(arrays[0]), []
    for start in range(0, rows, most):
        batch = [one[start : start + most] for one in arrays]
        count = len(batch[0])
        size = filled_size(count, most)
        if size > count:
            batch = [np.concatenate([one, np.repeat(one[-1:], size - count, 0)]) for one in batch]
        given = batch if shaped is None else shaped(batch)
        found = map_outputs(np.asarray, model.predict_on_batch(given))
        parts.append(map_outputs(partial(_first, count), found))
    return _joined(parts)


def _first(rows: int, array: np.ndarray) -> np.ndarray:
    return array[:rows]


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Mapping):
        return {key: np.concatenate([one[key] for one in parts]) for key in parts[0]}
    if isinstance(parts[0], list | tuple):
        return [np.concatenate(own) for own in zip(*parts, strict=True)]
    return np.concatenate(parts)
