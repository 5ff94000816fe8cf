"""A trained model together with its loaders and target: everything needed to predict on a raw
table.

On disk a bundle is a folder: `model.keras`, `bundle.json` (loaders and target), a `tokenizer.json`
for each of their tokenizers, and an `encoder.keras` for each of their encoders. It contains no
pickle, and loading it runs no code from the bundle.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from multimodal_gen.bundle.checks import check_model, check_outputs, structure_of_inputs
from multimodal_gen.bundle.description import (
    check_description,
    write_description,
)
from multimodal_gen.bundle.encoders import FILES, check_encoders
from multimodal_gen.bundle.explaining.explainable import Explainable
from multimodal_gen.bundle.exporting.exportable import Exportable
from multimodal_gen.bundle.files import new_folder
from multimodal_gen.bundle.judging.judged import Judged
from multimodal_gen.bundle.model_config import check_model_config
from multimodal_gen.bundle.model_file import check_quantized, uncompiled
from multimodal_gen.bundle.predicting import Predicting
from multimodal_gen.bundle.turns import turn_of
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.checks import check_choice
from multimodal_gen.sequence.output_shapes import map_outputs
from multimodal_gen.sequence.sequence import MultimodalSequence


class Bundle(Predicting, Exportable, Explainable, Judged):
    """A model with its loaders and target.

    Args:
        model: A built Keras model whose inputs match the loaders' arrays.
        inputs: Input name -> loader, in the order of the model's inputs.
        target: The target that the model was trained on, or a mapping of target names to targets;
            None returns raw outputs.
        inputs_as: How the model takes its inputs: "list", "tuple", "dict" by name, or for a single
            input "array". By default as the model defines them, or, for a model with its own
            `call`, as in the batch it was built with.

    Raises:
        ValueError: If the model is not built, its inputs do not have the loaders' shapes, its
            outputs do not have the target's shapes, it does not have one named output for each of
            several targets, or `inputs_as` is invalid.
        TypeError: If a target is not a target, or `save` could not write the model, a loader or a
            target. So create the bundle before a long training: it holds the model itself, not a
            copy.
    """

    def __init__(
        self,
        model: keras.Model,
        inputs: Mapping[str, Loader],
        target: Target | Mapping[str, Target] | None = None,
        *,
        inputs_as: str | None = None,
    ) -> None:
        if inputs_as is not None:
            check_choice("inputs_as", inputs_as, ("list", "tuple", "dict", "array"))
        self.model = model
        self.inputs = dict(inputs)
        self.target = dict(target) if isinstance(target, Mapping) else target
        check_model(model, self.inputs, self.target)
        check_description(self.inputs, self.target)
        with uncompiled(model):
            check_model_config(model)
        check_encoders([self.inputs, self.target])
        self.inputs_as = inputs_as or structure_of_inputs(model, self.inputs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle into a folder, which may contain other files; an older bundle there is
        replaced.

        The optimizer's state is not saved: to continue training later, use `model.save` as well.

        Args:
            path: The folder; it is created if it does not exist.

        Raises:
            ValueError: If the model is quantised and Keras could not load it again; nothing is
                written then.
        """
        folder = Path(path)
        with self._written(folder) as temporary:
            # An older bundle there may have had more tokenizers or encoders.
            for stale in [
                path for name in ("tokenizer*.json", *FILES) for path in folder.glob(name)
            ]:
                if not Path(temporary, stale.name).exists():
                    stale.unlink()
            # The description comes last: a folder without it is not a bundle.
            for name in sorted(os.listdir(temporary), key=lambda name: name == "bundle.json"):
                os.replace(Path(temporary, name), folder / name)

    def try_save(self, path: str | os.PathLike[str]) -> None:
        """Find out before training whether `save` will work: write everything into the folder, and
        remove it again.

        Args:
            path: The folder; it is created if it does not exist. An older bundle there is not
                changed.

        Raises:
            OSError: If the folder cannot be written to, or the disk is full.
        """
        folder = Path(path)
        with self._written(folder) as temporary:
            for name in os.listdir(temporary):
                if Path(folder, name).is_dir():
                    raise IsADirectoryError(
                        f"A folder has the name of a file of the bundle: '{folder / name}'"
                    )

    @contextmanager
    def _written(self, folder: Path) -> Iterator[Path]:
        # Writes all files of the bundle, in a temporary folder next to their final place.
        with (
            new_folder(folder),
            # In the folder itself: moving a file is safe only within one file system.
            tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as temporary,
        ):
            with uncompiled(self.model):
                self.model.save(Path(temporary, "model.keras"))
            check_quantized(self.model, Path(temporary, "model.keras"))
            write_description(Path(temporary), self.inputs, self.target, self.inputs_as)
            yield Path(temporary)

    def _sequence(
        self,
        table: pd.DataFrame,
        batch_size: int,
        on_error: str = "raise",
        targets: Mapping[str, Target] | None = None,
    ) -> MultimodalSequence:
        # A sequence of the inputs, or of the targets instead.
        return MultimodalSequence(
            table,
            self.inputs if targets is None else targets,
            batch_size=batch_size,
            inputs_as=self.inputs_as if targets is None else "dict",
            on_error=on_error,
            # One bad row in ten stops a training, but not the prediction of the other nine.
            max_error_rate=1.0,
        )

    def _outputs(self, sequence: MultimodalSequence, verbose: int) -> Any:
        with turn_of(self.model):
            outputs = map_outputs(np.asarray, self.model.predict(sequence, verbose=verbose))
        check_outputs(outputs, self.target)
        return outputs

    def __repr__(self) -> str:
        lines = [
            f"Bundle: {type(self.model).__name__} {self.model.name!r}, "
            f"{self.model.count_params():,} parameters"
        ]
        lines += [
            f"  {name}: {loader.spec} from {loader.column!r}"
            for name, loader in self.inputs.items()
        ]
        targets = self.target if isinstance(self.target, Mapping) else {"target": self.target}
        for name, target in targets.items():
            lines.append(
                f"  {name}: {'none' if target is None else f'{target.spec} from {target.column!r}'}"
            )
        return "\n".join(lines)
