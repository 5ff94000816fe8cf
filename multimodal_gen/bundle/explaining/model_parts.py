"""A model in parts: an encoder for each input, and a head that joins what they give.

What an input alone determines is computed once for each of its variants, and only the head runs for
each combination of inputs. A model with a `call` of its own is one part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from multimodal_gen.bundle.explaining.gradients import Gradient, gradient_of
from multimodal_gen.loaders.base import Loader
from multimodal_gen.sequence.keras_inside.graph import made_from
from multimodal_gen.sequence.output_shapes import map_outputs
from multimodal_gen.spec import mask_names, with_masks

# The arrays of one input: its own, and its mask if it has one.
Arrays = list[np.ndarray]

# jax compiles a step for each size of batch, so there are few sizes.
_SIZES = (8, 32, 64, 512)
# How far the parts together may be from the whole, as a share of the largest output.
_TOLERANCE = 1e-3


class Parts:
    """A model, cut where its inputs meet.

    Args:
        model: A built model.
        inputs: Input name -> loader.
        inputs_as: How the model takes its inputs.

    Attributes:
        tensors: Input name -> symbolic tensors where its part of the model ends; None if the model
            cannot be cut.
    """

    def __init__(self, model: Any, inputs: Mapping[str, Loader], inputs_as: str) -> None:
        self.model, self.inputs_as = model, inputs_as
        # Rows that an encoder is given at once, at most.
        self.batch_size = 64
        self._checked = False
        masks = mask_names(inputs)
        self.names = {name: [name, *([masks[name]] if name in masks else [])] for name in inputs}
        self.order = list(with_masks(inputs))
        self._starts = _starts(model, self.order, inputs_as) if _is_graph(model) else {}
        self.tensors = _meeting(model, self.names, self._starts) if self._starts else None
        self._encoders: dict[str, Any] = {}
        self._gradients: dict[str, Gradient | None] = {}
        self.head: Any = None
        if self.tensors is not None:
            self.head = keras.Model(
                [one for own in self.tensors.values() for one in own], model.output
            )
            for name in inputs:
                starts = [self._starts[one] for one in self.names[name]]
                # An input that goes into the head as it is, or nowhere, has no encoder.
                if any(all(end is not one for one in starts) for end in self.tensors[name]):
                    self._encoders[name] = keras.Model(starts, self.tensors[name])

    @property
    def is_whole(self) -> bool:
        """Whether every combination of inputs costs a run of the whole model."""
        return not self._encoders

    def check(self, arrays: Mapping[str, Arrays]) -> None:
        """Use the whole model if its parts do not give what it gives, such as where a Keras mask
        travels with a tensor.
        """
        if self.tensors is None or self._checked:
            return
        self._checked = True
        codes = {name: self.encode(name, own) for name, own in arrays.items()}
        found, expected = self.outputs(codes), self._whole(arrays)
        for one, other in zip(_listed(found), _listed(expected), strict=True):
            if not np.allclose(one, other, atol=_TOLERANCE * max(1.0, float(np.abs(other).max()))):
                self.tensors, self._encoders, self.head = None, {}, None
                return

    def encode(self, name: str, arrays: Arrays) -> Arrays:
        """What the encoder of an input makes of its arrays, `(rows, ...)` each."""
        if self.tensors is None:
            return arrays
        if name not in self._encoders:
            starts = [self._starts[one] for one in self.names[name]]
            return [
                array
                for end in self.tensors[name]
                for one, array in zip(starts, arrays, strict=True)
                if one is end
            ]
        return _listed(_run(self._encoders[name], arrays, self.batch_size))

    def outputs(self, codes: Mapping[str, Arrays]) -> Any:
        """The model's outputs for rows of what `encode` returned, float arrays `(rows, ...)`."""
        if self.tensors is None:
            return self._whole(codes)
        ends = [one for name in self.names for one in codes[name]]
        return _run(self.head, ends, _SIZES[-1])

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
        """The gradient of the outputs by an input, made once; None if there is none."""
        if name not in self._gradients:
            model = self.differentiable(name)
            self._gradients[name] = None if model is None else gradient_of(model)
        return self._gradients[name]

    def differentiable(self, name: str) -> Any:
        """A model from an input as float32, and what `encode` gives for the others, to the outputs.

        It takes the input, its mask if it has one, then the others in their order. None for a model
        with a `call` of its own.
        """
        if not self._starts:
            return None
        # An input of whole numbers has no gradient, so the same layers are called on floats.
        starts = [_fresh(self._starts[one]) for one in self.names[name]]
        starts[0] = keras.Input(starts[0].shape[1:], dtype="float32")
        if self.tensors is None:
            fresh = {key: _fresh(one) for key, one in self._starts.items()}
            fresh |= dict(zip(self.names[name], starts, strict=True))
            given = [fresh[key] for key in self._starts]
            order = [one for own in self.names.values() for one in own]
            others = [fresh[key] for key in order if key not in self.names[name]]
            graph = keras.Model(list(self._starts.values()), self.model.output)
            return keras.Model([*starts, *others], _called(graph, given))
        ends, others = [], []
        for key, tensors in self.tensors.items():
            own = [_fresh(one) for one in tensors]
            if key != name:
                others += own
            elif name in self._encoders:
                own = _listed(_called(self._encoders[name], starts))
            else:
                own = starts[: len(tensors)]
            ends += own
        return keras.Model([*starts, *others], self.head(ends))


def _fresh(tensor: Any) -> Any:
    return keras.Input(tensor.shape[1:], dtype=tensor.dtype)


def _called(graph: Any, tensors: list[Any]) -> Any:
    # The outputs of the same layers on other tensors, whatever the types of the inputs are.
    return keras.models.clone_model(graph, input_tensors=tensors, clone_function=_itself).output


def _itself(layer: Any) -> Any:
    return layer


def _listed(outputs: Any) -> list[Any]:
    if isinstance(outputs, Mapping):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _is_graph(model: Any) -> bool:
    # A subclass with a `call` of its own has inputs and outputs too, once it is built.
    return (
        isinstance(getattr(model, "inputs", None), list)
        and isinstance(model, keras.Model)
        and _own_call(model) is None
        and getattr(model, "output", None) is not None
    )


def _own_call(model: Any) -> Any:
    for owner in type(model).__mro__:
        if owner.__module__.startswith("keras."):
            return None
        if "call" in vars(owner):
            return owner
    return None


def _starts(model: Any, order: Sequence[str], inputs_as: str) -> dict[str, Any]:
    # Name of an array -> the symbolic input that takes it. In a list the place counts, not the
    # name.
    if inputs_as == "dict":
        taken = {one.name: one for one in model.inputs}
        return {name: taken[name] for name in order} if set(taken) == set(order) else {}
    if len(model.inputs) != len(order):
        return {}
    return dict(zip(order, model.inputs, strict=True))


def _meeting(
    model: Any, names: Mapping[str, Sequence[str]], starts: Mapping[str, Any]
) -> dict[str, list[Any]] | None:
    # Input -> the last tensors that depend on no other input.
    start = {id(starts[one]): name for name, own in names.items() for one in own}
    depends: dict[int, frozenset[str]] = {}
    ends: dict[str, dict[int, Any]] = {name: {} for name in names}
    for tensor in _in_order(_listed(model.output), set(start)):
        if id(tensor) in start:
            depends[id(tensor)] = frozenset([start[id(tensor)]])
            continue
        sources = made_from(tensor)
        depends[id(tensor)] = frozenset().union(*(depends[id(one)] for one in sources))
        if len(depends[id(tensor)]) > 1:
            _add_ends(ends, depends, sources)
    outputs = _listed(model.output)
    if any(len(depends[id(one)]) == 1 for one in outputs):
        # An output of one input alone leaves the head nothing to do.
        return None
    return {name: list(own.values()) for name, own in ends.items()}


def _add_ends(
    ends: dict[str, dict[int, Any]], depends: Mapping[int, frozenset[str]], tensors: Sequence[Any]
) -> None:
    for one in tensors:
        if len(depends[id(one)]) == 1:
            ends[next(iter(depends[id(one)]))][id(one)] = one


def _in_order(outputs: Sequence[Any], starts: set[int]) -> Iterator[Any]:
    # Every tensor once, after those that it is made from; without recursion, as models are deep.
    done: set[int] = set()
    stack = [(one, False) for one in reversed(outputs)]
    while stack:
        tensor, ready = stack.pop()
        if id(tensor) in done:
            continue
        if ready or id(tensor) in starts:
            done.add(id(tensor))
            yield tensor
            continue
        stack.append((tensor, True))
        stack += [(one, False) for one in made_from(tensor)]


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
