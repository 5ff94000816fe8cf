"""Rounds the weights and sums of an ONNX network to 8 bits, and says what that costs in score."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.checks import check_outputs
from multimodal_gen.bundle.exporting.engines import Run, open_network, outputs_of_batches
from multimodal_gen.bundle.exporting.manifest import FILES, Network
from multimodal_gen.bundle.predicting import Predicting
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.spec import with_masks

# Layers of convolutions, products and embeddings; all others stay as they are.
_OPERATIONS = ["Conv", "Gemm", "MatMul", "Gather"]
_BATCH_SIZE = 32
# Rows that tell how large sums get.
_MOST_ROWS = 512


class _Rounded(Predicting):
    # The bundle with another network in the place of its model.
    def __init__(self, bundle: Any, run: Run) -> None:
        self._bundle, self._run = bundle, run
        self.inputs, self.target = bundle.inputs, bundle.target

    def _sequence(
        self,
        table: pd.DataFrame,
        batch_size: int,
        on_error: str = "raise",
        targets: Mapping[str, Target] | None = None,
    ) -> Any:
        return self._bundle._sequence(table, batch_size, on_error, targets)

    def _outputs(self, sequence: Any, verbose: int) -> Any:
        outputs = outputs_of_batches(self._run, _arrays_of(self._bundle, sequence))
        check_outputs(outputs, self.target)
        return outputs


def _arrays_of(bundle: Any, sequence: Any) -> Iterator[dict[str, np.ndarray]]:
    # The inputs of each batch by name, whatever form the model takes them in.
    names = list(with_masks(bundle.inputs))
    for (given,) in sequence:
        if isinstance(given, Mapping):
            yield dict(given)
        else:
            yield dict(
                zip(names, given if isinstance(given, list | tuple) else [given], strict=True)
            )


def quantize(
    bundle: Any, folder: Path, network: Network, validation: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """Replace an ONNX network by one of 8-bit integers.

    Weights are rounded by channel, and sums by the range that they have in the validation rows.

    Args:
        bundle: The bundle.
        folder: Where the network is.
        network: What it takes and puts out.
        validation: Rows with the truth, which the model was not trained on.

    Returns:
        "before" and "after" -> the scores on the validation rows, as `Bundle.evaluate` has them.

    Raises:
        ImportError: If onnx, which onnxruntime needs for this, is not installed.
        LoadError: If no row can be loaded.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quant_pre_process, quantize_static

    path = folder / FILES[network.format]
    before = bundle.evaluate(validation, on_error="skip")
    sequence = bundle._sequence(validation.iloc[:_MOST_ROWS], _BATCH_SIZE, "blank")
    reader = _Reader(network, _arrays_of(bundle, islice(sequence, len(sequence))))
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        fused, rounded = Path(temporary, "fused.onnx"), Path(temporary, path.name)
        # Convolutions take their normalisations in first.
        quant_pre_process(os.fspath(path), os.fspath(fused), skip_symbolic_shape=True)
        quantize_static(
            os.fspath(fused),
            os.fspath(rounded),
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_OPERATIONS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # Weights of 7 bits: with 8, sums of two products overflow 16 bits on processors without
            # instructions for it, in silence.
            reduce_range=True,
        )
        os.replace(rounded, path)
    after = _Rounded(bundle, open_network(folder, network)).evaluate(validation, on_error="skip")
    return {"before": before, "after": after}


class _Reader:
    # What onnxruntime takes batches from.
    def __init__(self, network: Network, batches: Iterator[Mapping[str, np.ndarray]]) -> None:
        self._network, self._batches = network, batches

    def get_next(self) -> dict[str, np.ndarray] | None:
        arrays = next(self._batches, None)
        if arrays is None:
            return None
        return {one.node: arrays[str(one.name)] for one in self._network.inputs}
