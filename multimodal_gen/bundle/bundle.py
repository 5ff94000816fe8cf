"""A trained model together with its loaders and target: everything needed to predict on a raw
table.

On disk a bundle is a folder: `model.keras`, `bundle.json` (loaders and target), a `tokenizer.json`
for each of their tokenizers, and an `encoder.keras` for each of their encoders. It contains no
pickle, and loading it runs no code from the bundle.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from multimodal_gen.bundle.checks import (
    check_model,
    check_outputs,
    rows_of_nan,
    structure_of_inputs,
)
from multimodal_gen.bundle.description import (
    check_description,
    write_description,
)
from multimodal_gen.bundle.encoders import FILES, check_encoders
from multimodal_gen.bundle.explaining.explainable import Explainable
from multimodal_gen.bundle.files import new_folder
from multimodal_gen.bundle.held_out import held_out
from multimodal_gen.bundle.judging.judged import Judged
from multimodal_gen.bundle.model_config import check_model_config
from multimodal_gen.bundle.model_file import check_quantized, uncompiled
from multimodal_gen.bundle.outputs import columns_of, flat
from multimodal_gen.errors import by_number, level_of_caller
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.checks import check_choice
from multimodal_gen.sequence.output_shapes import map_outputs
from multimodal_gen.sequence.sequence import MultimodalSequence


class Bundle(Explainable, Judged):
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

    def predict(
        self, table: pd.DataFrame, *, batch_size: int = 64, verbose: int = 0
    ) -> pd.DataFrame:
        """Predict every row of a table.

        A row with a cell that cannot be loaded does not affect other rows: its own values are
        missing (NaN), and a last column "error" says why ("load_error" if a class has that name); a
        warning counts such rows. If every row could be loaded, there is no such column.

        Args:
            table: It needs the columns of the inputs, but not the target's.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.

        Returns:
            One row for each row of `table`, with its index and in its order; the columns are the
            target's. For a `ClassLabel`: "label" with the most likely class, and a column named
            after each class with its probability. For several targets the columns are
            "{target}.{column}".

        Raises:
            LoadError: If no row can be loaded; the message names the first row's index, the column
                and the path.
            ValueError: If the model's outputs are not what the target needs, such as logits.
        """
        frame, errors, lost = self._predicted(table, batch_size, verbose)
        if errors:
            reasons = pd.Series(
                [errors.get(row) for row in range(len(table))], frame.index, dtype=object
            )
            name = "error" if "error" not in frame else "load_error"
            frame[name] = reasons
            warnings.warn(
                f"{lost} no prediction; the column {name!r} says why. The first: "
                f"{next(iter(errors.values()))}",
                stacklevel=level_of_caller(),
            )
        return frame

    def _predicted(
        self, table: pd.DataFrame, batch_size: int, verbose: int
    ) -> tuple[pd.DataFrame, dict[int, str], str]:
        # The predictions, NaN in rows without one; place of such a row -> why; and in words how
        # many have none, as in "2 of 9 rows cannot be loaded and have".
        # Not "skip": every row of the table has a row in the result.
        sequence = self._sequence(table, batch_size, on_error="blank")
        outputs = self._outputs(sequence, verbose)
        frame = pd.DataFrame(columns_of(outputs, self.target), index=table.index)
        errors = sequence.assembly.failures.positions
        if len(errors) == len(table):
            # Not some bad rows, but a wrong folder or the like.
            self._sequence(table, 1)[0]
        broken = rows_of_nan(outputs)
        # A row that could not be loaded was predicted as zeros, so its own error says more.
        errors = {**broken, **errors}
        if errors:
            # A prediction for a blank row would look like a real one.
            kept = [row not in errors for row in range(len(table))]
            frame = frame.where(pd.Series(kept, frame.index))
        have = by_number(len(errors), "has", "have")
        why = "" if broken else "cannot be loaded and "
        return frame, errors, f"{len(errors):,} of {len(table):,} rows {why}{have}"

    def evaluate(
        self,
        table: pd.DataFrame,
        *,
        batch_size: int = 64,
        verbose: int = 0,
        on_error: str = "raise",
    ) -> dict[str, float]:
        """Score the predictions on a table that has the target's column.

        Args:
            table: The columns of the inputs and of the target.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.
            on_error: What to do with a row with a cell that cannot be loaded: "raise", or "skip" to
                score the others.

        Returns:
            Names and values of the target's scores; for a `ClassLabel` "accuracy",
            "balanced_accuracy" (the mean of the classes' recalls), "macro_f1" and "log_loss". For
            several targets the names are "{target}.{score}". With "skip" also "left_out", the
            number of skipped rows.

        Raises:
            LoadError: If a cell cannot be loaded, or a label is missing or unknown; with "skip",
                only if this is so in every row.
            ValueError: If there is no target, or the model's outputs are not what it needs, such as
                logits.
        """
        if self.target is None:
            raise ValueError(
                "A bundle without a target has nothing to score. Received: target=None"
            )
        check_choice("on_error", on_error, ("raise", "skip"))
        several = isinstance(self.target, Mapping)
        rows = held_out(self, table, batch_size, verbose, on_error)
        scores = {name: one.target.score(one.truth, one.outputs) for name, one in rows.by_target}
        found = flat(scores) if several else scores["target"]
        return {**found, "left_out": rows.left_out} if on_error == "skip" else found

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
