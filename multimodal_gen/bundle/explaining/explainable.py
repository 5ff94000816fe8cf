"""What a bundle inherits: `explain`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from multimodal_gen.bundle.explaining.explaining import explain
from multimodal_gen.bundle.explaining.explanations import Explanations
from multimodal_gen.bundle.explaining.model_parts import Parts
from multimodal_gen.bundle.explaining.subjects import Subject
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
        # Kept, as Keras compiles the parts of the model when they run first.
        if self._parts is None or self._parts.model is not self.model:
            self._parts = Parts(self.model, self.inputs, self.inputs_as)
        return explain(self._parts, self.inputs, subject, rows, background, batch_size)
