"""What a bundle inherits: `export`."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

from multimodal_gen.bundle.exporting.exporting import Exported, export
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target


class Exportable:
    """A model with loaders and a target that can leave Keras behind."""

    model: Any
    inputs: dict[str, Loader]
    target: Target | dict[str, Target] | None
    inputs_as: str

    def export(
        self,
        directory: str | os.PathLike[str],
        format: str = "onnx",  # noqa: A002 - as `keras.Model.export` calls it
        *,
        int8: pd.DataFrame | None = None,
        overwrite: bool = False,
    ) -> Exported:
        """Write a folder that predicts on raw cells without Keras: `serving.load` reads it.

        It has the network, the loaders' settings, the tokenizers, and `export.json`, which names
        inputs and outputs. The converters that Keras calls are wrong for some layers, in silence or
        not. So the network is run against the model before this returns, on full rows and on blank
        ones, on texts of one token and in batches of several sizes; and where the converter of this
        backend fails, those of the other installed ones are tried, each in a process of its own.

        Args:
            directory: The folder, which does not exist yet.
            format: "onnx", for onnxruntime; "saved_model", for TensorFlow; or "litert", for the
                interpreter on phones and small devices.
            int8: Validation rows with the truth, to round an ONNX network to 8 bits, about a
                quarter of the size. What this costs in score is in the result; what is run against
                the model is the network before it.
            overwrite: Whether an earlier export there is replaced.

        Returns:
            What was written, and how far its outputs are from the model's.

        Raises:
            FileExistsError: If there is something at `directory`, unless it is an export and
                `overwrite` is true.
            ValueError: If an input needs Keras to be read, or no converter makes a network with the
                model's outputs to 1e-5 (if they are beyond 1, as a share of the largest); it says
                why not.
        """
        return export(self, directory, format, int8=int8, overwrite=overwrite)
