"""Turns a model into a network of another format, by Keras and the converter that it calls."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from multimodal_gen.bundle.exporting.manifest import FILES, Network, Tensor
from multimodal_gen.bundle.exporting.plain_parts import plain_parts
from multimodal_gen.models.exporting import check_converter
from multimodal_gen.sequence.output_shapes import map_outputs
from multimodal_gen.spec import ArraySpec

# As `keras.Model.export` calls them.
KERAS_FORMATS = {"onnx": "onnx", "saved_model": "tf_saved_model", "litert": "litert"}


def convert(
    model: keras.Model, specs: Mapping[str, ArraySpec], inputs_as: str, form: str, folder: Path
) -> Network:
    """Write a model as a network of another format.

    Every axis but that of rows has the length that loaders give it, because converters get others
    wrong: a bundle's tokens always come in their full length.

    Args:
        model: The model.
        specs: Name -> spec of all that it takes, in its order.
        inputs_as: How it takes them: "list", "tuple", "dict" or "array".
        form: A key of `FILES`.
        folder: Where the file is written.

    Raises:
        ImportError: If the converter is not installed.
        Exception: Whatever Keras or the converter raises for a model that it cannot convert.
    """
    check_converter((), {"format": KERAS_FORMATS[form]})
    path = folder / FILES[form]
    with _quiet(), plain_parts(model, form):
        named, network = _with_fixed_names(model, specs, inputs_as, form)
        # Keras exports to ONNX only what was called in this process.
        rows = {one.node: keras.ops.zeros((2, *one.shape), one.dtype) for one in network.inputs}
        named(rows, training=False)
        named.export(str(path), format=KERAS_FORMATS[form], verbose=False)
    if form == "onnx":
        _name_nodes(path, network)
    return network


def _with_fixed_names(
    model: keras.Model, specs: Mapping[str, ArraySpec], inputs_as: str, form: str
) -> tuple[keras.Model, Network]:
    # The model within one that has dicts of inputs and outputs, whose keys are the names of nodes.
    nodes = _nodes(specs)
    tensors = {
        name: keras.Input(spec.shape, dtype=spec.dtype, name=nodes[name])
        for name, spec in specs.items()
    }
    given: Any = dict(tensors) if inputs_as == "dict" else list(tensors.values())
    if inputs_as == "array":
        (given,) = given
    outputs = map_outputs(lambda one: one, model(given, training=False))
    by_name = dict(outputs) if isinstance(outputs, Mapping) else {None: outputs}
    # Not those of inputs too: a target may have the name of an input.
    named = _nodes({name: "output" if name is None else f"{name}_output" for name in by_name})
    found = {named[name]: one for name, one in by_name.items()}
    whole = keras.Model({nodes[name]: one for name, one in tensors.items()}, found)
    network = Network(
        form,
        tuple(Tensor(name, nodes[name], one.shape, one.dtype) for name, one in specs.items()),
        tuple(
            Tensor(
                name, named[name], tuple(one.shape[1:]), keras.backend.standardize_dtype(one.dtype)
            )
            for name, one in by_name.items()
        ),
    )
    return whole, network


def _nodes(names: Mapping[Any, Any]) -> dict[Any, str]:
    # Names that every format can hold, in the order in which Keras sorts the keys of a dict.
    taken = {
        name: re.sub(r"\W", "_", str(value if isinstance(value, str) else name), flags=re.ASCII)
        for name, value in names.items()
    }
    if len(set(taken.values())) < len(taken):
        return {name: f"{one}_{place}" for place, (name, one) in enumerate(taken.items())}
    return taken


def _name_nodes(path: Path, network: Network) -> None:
    # Converters name inputs as Keras does, and outputs as they like, in the order of the keys.
    import onnx

    model = onnx.load(path)
    graph = model.graph
    _check_order(graph, network)
    for value, one in zip(
        list(graph.output), sorted(network.outputs, key=lambda one: one.node), strict=True
    ):
        if value.name == one.node:
            continue
        graph.node.append(onnx.helper.make_node("Identity", [value.name], [one.node]))
        value.name = one.node
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "rows"
    model.producer_name = "multimodal_gen"
    onnx.save(model, path)


def _check_order(graph: Any, network: Network) -> None:
    found = sorted(one.name for one in graph.input)
    if found != sorted(one.node for one in network.inputs):
        raise ValueError(
            f"the converter gave the inputs other names. Received: {found} instead of "
            f"{[one.node for one in network.inputs]}"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    # Converters warn about parts of themselves and of each other.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
