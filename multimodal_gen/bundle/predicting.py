"""What a bundle inherits: predictions of a table, and their scores.

Nothing here needs Keras, so an exported model predicts in the same way.
"""

from __future__ import annotations

import abc
import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd

from multimodal_gen.bundle.checks import rows_of_nan
from multimodal_gen.bundle.held_out import held_out
from multimodal_gen.bundle.outputs import columns_of, flat
from multimodal_gen.errors import by_number, level_of_caller
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.checks import check_choice


class Predicting(abc.ABC):
    """A model with loaders and a target, whose outputs become predictions."""

    inputs: dict[str, Loader]
    target: Target | dict[str, Target] | None

    @abc.abstractmethod
    def _sequence(
        self,
        table: pd.DataFrame,
        batch_size: int,
        on_error: str = "raise",
        targets: Mapping[str, Target] | None = None,
    ) -> Any:
        # Batches of the inputs, or of the targets instead, with the rows that failed.
        ...

    @abc.abstractmethod
    def _outputs(self, sequence: Any, verbose: int) -> Any:
        # What the model puts out for the rows of such a sequence, checked against the target.
        ...

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
        self, table: pd.DataFrame, batch_size: int, verbose: int, *, fail: bool = True
    ) -> tuple[pd.DataFrame, dict[int, str], str]:
        # The predictions, NaN in rows without one; place of such a row -> why; and in words how
        # many have none, as in "2 of 9 rows cannot be loaded and have". With `fail`, an error if no
        # row can be loaded.
        columns, errors, broken = self._predicted_columns(table, batch_size, verbose)
        if fail and len(errors) == len(table):
            # Not some bad rows, but a wrong folder or the like.
            self._sequence(table, 1)[0]
        frame = pd.DataFrame(columns, index=table.index)
        # A row that could not be loaded was predicted as zeros, so its own error says more.
        errors = {**broken, **errors}
        if errors:
            # A prediction for a blank row would look like a real one.
            kept = [row not in errors for row in range(len(table))]
            frame = frame.where(pd.Series(kept, frame.index))
        have = by_number(len(errors), "has", "have")
        why = "" if broken else "cannot be loaded and "
        return frame, errors, f"{len(errors):,} of {len(table):,} rows {why}{have}"

    def _predicted_columns(
        self, table: pd.DataFrame, batch_size: int, verbose: int
    ) -> tuple[Any, dict[int, str], dict[int, str]]:
        # Column -> predictions; place of a row that cannot be loaded -> why; and the same of a row
        # that the model has no outputs for.
        # Not "skip": every row of the table has a row in the result.
        sequence = self._sequence(table, batch_size, on_error="blank")
        outputs = self._outputs(sequence, verbose)
        errors = sequence.assembly.failures.positions
        return columns_of(outputs, self.target), errors, rows_of_nan(outputs)

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
