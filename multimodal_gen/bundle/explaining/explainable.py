"""What a bundle inherits: `explain` and `importance`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from multimodal_gen.bundle.explaining.explaining import explain
from multimodal_gen.bundle.explaining.explanations import Explanations
from multimodal_gen.bundle.explaining.importance import Importance, importance_of
from multimodal_gen.bundle.explaining.judged_rows import Judged
from multimodal_gen.bundle.explaining.model_parts import Parts
from multimodal_gen.bundle.explaining.subjects import Subject
from multimodal_gen.bundle.turns import turn_of
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target


class Explainable:
    """A model with loaders and a target, whose predictions can be explained."""

    model: Any
    inputs: dict[str, Loader]
    target: Target | dict[str, Target] | None
    inputs_as: str
    _parts: Parts | None = None

    def explain(
        self,
        rows: pd.DataFrame,
        *,
        of: Any = None,
        target: str | None = None,
        background: pd.DataFrame | None = None,
        batch_size: int = 64,
    ) -> Explanations:
        """Say which pixels, words, columns and inputs made the predictions; see `Explanation`.

        Args:
            rows: A table with the inputs' columns. A row that cannot be loaded has its error.
            of: The class to explain, or of several numbers the name of one. By default each row's
                most likely class.
            target: Of several targets, the name of one; by default the first.
            background: Rows that stand for what is left out, at best from training; 32 are drawn.
                By default `rows` themselves if there are at least nine, otherwise blank inputs. An
                input whose loader has `missing="blank"` is left out as the model knows it.
            batch_size: Rows per batch.

        Raises:
            ValueError: If `of` or `target` is unknown, there is no class or number to explain, or
                no row.
        """
        subject = Subject.chosen(self.target, target, of)
        with turn_of(self.model):
            return explain(self._in_parts(), subject, rows, background, batch_size)

    def importance(
        self,
        table: pd.DataFrame,
        *,
        repeats: int = 10,
        group: str | None = None,
        resamples: int = 1000,
        seed: int = 0,
        target: str | None = None,
        batch_size: int = 64,
        on_error: str = "raise",
    ) -> Importance:
        """Say what each input and each column is worth: the score that is lost when its cells are
        exchanged between the rows, overall and by class.

        Inputs that read the same column are one, as a model would find in the other what is taken
        from the one. Of an input that reads several columns, each is exchanged by itself too. An
        input is read and encoded once; a model with a `call` of its own runs as a whole for each
        repeat. This is permutation importance (Breiman, "Random forests", 2001; Fisher, Rudin and
        Dominici, "All models are wrong, but many are useful", 2019). Where two inputs say the same,
        the model can do without either, and each alone is worth little.

        Args:
            table: The columns of the inputs and of the target, of rows that the model was not
                trained on.
            repeats: How often the cells of each input are exchanged.
            group: A column whose equal values are one case, such as a patient: cells come from
                other groups, and the intervals are of groups instead of rows. A missing value is a
                group by itself.
            resamples: How often rows and repeats are drawn with replacement for the 95 % intervals.
            seed: The same seed exchanges and draws the same rows.
            target: Of several targets, the name of one; by default all.
            batch_size: Rows per batch.
            on_error: As in `evaluate`.

        Raises:
            LoadError: As `evaluate`.
            TableError: If there is no column `group`.
            ValueError: As `evaluate`; if `target` is unknown, or fewer than two rows can be scored.
        """
        with turn_of(self.model):
            return importance_of(
                [Judged(self, self._in_parts(), table)],
                repeats=repeats,
                group=group,
                resamples=resamples,
                seed=seed,
                target=target,
                batch_size=batch_size,
                on_error=on_error,
            )

    def _in_parts(self) -> Parts:
        # Kept, as Keras compiles the parts of the model when they run first.
        if self._parts is None or self._parts.model is not self.model:
            self._parts = Parts(self.model, self.inputs, self.inputs_as)
        return self._parts
