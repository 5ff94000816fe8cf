"""Runs the network of an export: by onnxruntime, TensorFlow or the LiteRT interpreter, without
Keras.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_gen.bundle.exporting.manifest import FILES, Network
from multimodal_gen.bundle.files import check_file
from multimodal_gen.errors import BundleError
from multimodal_gen.loaders.encoded.onnx_file import check_onnx

# Input name -> array of a batch; gives the outputs by name, or the single one by itself.
Run = Callable[[Mapping[str, np.ndarray]], Any]
# Format -> the package that runs it.
RUNNERS = {
    "onnx": ("onnxruntime", "onnxruntime"),
    "saved_model": ("tensorflow", "tensorflow"),
    "litert": ("ai_edge_litert", "ai-edge-litert"),
}


def open_network(folder: Path, network: Network) -> Run:
    """Open the network of an export.

    Args:
        folder: The folder of the export.
        network: What the network takes and puts out.

    Raises:
        BundleError: If the file is missing, damaged or not allowed, or the package that runs it is
            not installed.
    """
    path = folder / FILES[network.format]
    opened = {"onnx": _onnx, "saved_model": _saved_model, "litert": _litert}[network.format]
    try:
        run = opened(path, network)
    except ImportError as error:
        package = RUNNERS[network.format][1]
        raise BundleError(
            f"A network of the format {network.format!r} needs {package}: pip install {package}. "
            f"Received: {error}"
        ) from error
    except FileNotFoundError:
        raise BundleError(f"The export is incomplete. Received: no {path.name}") from None
    except BundleError:
        raise
    except Exception as error:
        # Whatever the runtime says of a damaged file.
        raise BundleError(f"{path.name} cannot be opened: {_line(error)}.") from error
    return lambda arrays: network.by_name(run(arrays))


def outputs_of_batches(run: Run, batches: Iterable[Mapping[str, np.ndarray]]) -> Any:
    """The outputs of a network for several batches, as one array, or one by name."""
    found = [run(arrays) for arrays in batches]
    if isinstance(found[0], Mapping):
        return {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    return np.concatenate(found)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _onnx(path: Path, network: Network) -> Run:
    import onnxruntime

    check_file(path)
    try:
        check_onnx(path)
    except ValueError as error:
        raise BundleError(f"{path.name} cannot be used: {error}.") from error
    options = onnxruntime.SessionOptions()
    # Its errors are raised too, and its warnings are about its own optimisations.
    options.log_severity_level = 4
    # Its threads would go on turning for a while after each batch, on the cores that read the next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        os.fspath(path), options, providers=["CPUExecutionProvider"]
    )
    _check_nodes(
        network,
        [one.name for one in session.get_inputs()],
        [one.name for one in session.get_outputs()],
    )
    nodes = [one.node for one in network.outputs]

    def run(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        given = {one.node: arrays[str(one.name)] for one in network.inputs}
        return dict(zip(nodes, session.run(nodes, given), strict=True))

    return run


def _saved_model(path: Path, network: Network) -> Run:
    import tensorflow as tf

    if not path.is_dir():
        raise FileNotFoundError(path)
    model = tf.saved_model.load(os.fspath(path))
    function = model.signatures["serving_default"]
    _check_nodes(
        network,
        list(function.structured_input_signature[1]),
        list(function.structured_outputs),
    )

    def run(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        given = {one.node: tf.constant(arrays[str(one.name)]) for one in network.inputs}
        return {node: one.numpy() for node, one in function(**given).items()}

    # A signature does not keep the variables of its model.
    run.model = model  # type: ignore[attr-defined]
    return run


def _litert(path: Path, network: Network) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    check_file(path)
    interpreter = Interpreter(os.fspath(path))
    function = interpreter.get_signature_runner("serving_default")
    _check_nodes(network, list(function.get_input_details()), list(function.get_output_details()))
    # An interpreter has one set of tensors.
    lock = threading.Lock()

    def run(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        given = {one.node: arrays[str(one.name)] for one in network.inputs}
        with lock:
            # Copied: the next call writes into the same memory.
            return {node: np.array(one) for node, one in function(**given).items()}

    return run


def _check_nodes(network: Network, inputs: list[str], outputs: list[str]) -> None:
    for what, own, found in (
        ("inputs", network.inputs, inputs),
        ("outputs", network.outputs, outputs),
    ):
        if {one.node for one in own} != set(found):
            raise BundleError(
                f"The {what} of {FILES[network.format]} must be those that export.json names, "
                f"{[one.node for one in own]}. Received: {found}"
            )
