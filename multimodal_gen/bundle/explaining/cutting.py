"""Cuts the graph of a model where its inputs meet: an encoder for each player, and a head.

A model that is a layer of another, as those of the folds are in an ensemble, is cut as well: its
encoders and its head take its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from multimodal_gen.sequence.keras_inside.graph import made_from

# Name -> symbolic tensors.
Tensors = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Cut:
    """A graph in parts.

    Args:
        ends: Player -> the last tensors that depend on no other player.
        encoders: Player -> a model from its inputs to its ends, unless these are the inputs.
        head: A model from all ends to the outputs.
    """

    ends: dict[str, list[Any]]
    encoders: dict[str, Any]
    head: Any

    @classmethod
    def of(cls, starts: Tensors, output: Any, name: str | None = None) -> Cut | None:
        """Cut a graph; None if an output depends on one player alone.

        Args:
            starts: Player -> its symbolic inputs.
            output: What is made of them.
            name: What the names of the parts begin with.
        """
        ends = _meeting(starts, output)
        if ends is None:
            return None
        encoders = {}
        for place, (player, own) in enumerate(starts.items()):
            # An input that goes into the head as it is, or nowhere, has no encoder.
            if any(all(end is not one for one in own) for end in ends[player]):
                named = None if name is None else f"{name}_part_{place}"
                encoders[player] = keras.Model(list(own), ends[player], name=named)
        every = [one for own in ends.values() for one in own]
        return cls(ends, encoders, keras.Model(every, output, name=name and f"{name}_head"))

    def encoded(self, player: str, starts: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        """What a player without an encoder gives the head.

        Args:
            player: Its name.
            starts: Its symbolic inputs.
            given: What is given for them.
        """
        return [
            tensor
            for end in self.ends[player]
            for one, tensor in zip(starts, given, strict=True)
            if one is end
        ]


def unfolded(starts: Tensors, output: Any) -> tuple[dict[str, list[Any]], Any]:
    """The same graph, ready to be cut: the models are cut that several players go into.

    Where an input goes into the head as it is, it is replaced by a new one, as Keras would count
    it as an input of the head and could no longer save the model.

    Args:
        starts: Player -> its symbolic inputs.
        output: What is made of them.

    Returns:
        Symbolic inputs like `starts`, and what is made of them.
    """
    every = [one for own in starts.values() for one in own]
    model = keras.Model(every, output)
    ends = _meeting(starts, output) or {}
    goes_on = {id(end) for own in ends.values() for end in own} & set(map(id, every))
    if not goes_on and not any(_has_several(layer) for layer in model.layers):
        return {player: list(own) for player, own in starts.items()}, output
    fresh = {player: [fresh_input(one) for one in own] for player, own in starts.items()}
    given = [one for own in fresh.values() for one in own]
    changed = keras.models.clone_model(
        model,
        input_tensors=given,
        clone_function=_itself,
        call_function=partial(_call_in_parts, fresh),
    )
    return fresh, changed.output


def _has_several(layer: Any) -> bool:
    return is_graph(layer) and len(layer.inputs) > 1


def _call_in_parts(starts: Tensors, layer: Any, *args: Any, **kwargs: Any) -> Any:
    inner, outer = _by_player(starts, layer, args) if _has_several(layer) else ({}, {})
    if not inner:
        return layer(*args, **kwargs)
    inner, output = unfolded(inner, layer.output)
    cut = Cut.of(inner, output, layer.name)
    if cut is None:
        return layer(*args, **kwargs)
    codes = []
    for player, tensors in outer.items():
        encoder = cut.encoders.get(player)
        if encoder is None:
            codes += cut.encoded(player, inner[player], tensors)
        else:
            codes += listed(encoder(tensors))
    return cut.head(codes)


def _by_player(
    starts: Tensors, layer: Any, args: Sequence[Any]
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    # Player -> the symbolic inputs of a model that it goes into, and -> what is given for them;
    # nothing where they cannot be told apart.
    taken, given = layer.input, args[0] if args else []
    by_name = isinstance(taken, Mapping)
    if by_name != isinstance(given, Mapping) or (by_name and set(taken) != set(given)):
        return {}, {}
    pairs = [(taken[key], given[key]) for key in taken] if by_name else []
    if not by_name and len(listed(taken)) == len(listed(given)):
        pairs = list(zip(listed(taken), listed(given), strict=True))
    depends = _depends(starts, [outer for _, outer in pairs])
    if not all(len(depends[id(outer)]) == 1 for _, outer in pairs):
        return {}, {}
    inside: dict[str, list[Any]] = {}
    outside: dict[str, list[Any]] = {}
    for inner, outer in pairs:
        player = next(iter(depends[id(outer)]))
        inside.setdefault(player, []).append(inner)
        outside.setdefault(player, []).append(outer)
    return inside, outside


def called(graph: Any, tensors: Sequence[Any]) -> Any:
    """The outputs of the same layers on other inputs, whatever the types of the inputs are.

    Args:
        graph: A model of a list of inputs.
        tensors: Symbolic inputs.
    """
    return keras.models.clone_model(
        graph, input_tensors=list(tensors), clone_function=_itself, call_function=_call_on_any
    ).output


def _call_on_any(layer: Any, *args: Any, **kwargs: Any) -> Any:
    # A model that is called on another type than it takes converts it, which has no gradient.
    if not is_graph(layer) or not args:
        return layer(*args, **kwargs)
    given, taken = listed(args[0]), listed(layer.input)
    same = [one.dtype == other.dtype for one, other in zip(given, taken, strict=False)]
    if all(same) or isinstance(layer.input, Mapping) or len(given) != len(taken):
        return layer(*args, **kwargs)
    fresh = [fresh_input(one) for one in given]
    inner = called(keras.Model(taken, layer.output), fresh)
    return keras.Model(fresh, inner, name=layer.name)(given)


def _itself(layer: Any) -> Any:
    return layer


def fresh_input(tensor: Any) -> Any:
    """A symbolic input like a tensor."""
    return keras.Input(tensor.shape[1:], dtype=tensor.dtype)


def listed(outputs: Any) -> list[Any]:
    """What a model puts out or takes, as a list."""
    if isinstance(outputs, Mapping):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def is_graph(model: Any) -> bool:
    """Whether a model is a graph of layers."""
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


def _depends(starts: Tensors, tensors: Sequence[Any]) -> dict[int, frozenset[str]]:
    # For each tensor that these are made of, in order, the players that it depends on.
    start = {id(one): name for name, own in starts.items() for one in own}
    depends: dict[int, frozenset[str]] = {}
    for tensor in _in_order(tensors, set(start)):
        if id(tensor) in start:
            depends[id(tensor)] = frozenset([start[id(tensor)]])
        else:
            sources = made_from(tensor)
            depends[id(tensor)] = frozenset().union(*(depends[id(one)] for one in sources))
    return depends


def _meeting(starts: Tensors, output: Any) -> dict[str, list[Any]] | None:
    # Player -> the last tensors that depend on no other player.
    outputs = listed(output)
    depends = _depends(starts, outputs)
    if any(len(depends[id(one)]) == 1 for one in outputs):
        # An output of one player alone leaves the head nothing to do.
        return None
    ends: dict[str, dict[int, Any]] = {name: {} for name in starts}
    for tensor in _in_order(outputs, {id(one) for own in starts.values() for one in own}):
        if len(depends[id(tensor)]) > 1:
            for one in made_from(tensor):
                if len(depends[id(one)]) == 1:
                    ends[next(iter(depends[id(one)]))][id(one)] = one
    return {name: list(own.values()) for name, own in ends.items()}


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
