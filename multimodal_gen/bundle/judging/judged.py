"""What a bundle inherits: scores with intervals."""

from __future__ import annotations

from typing import Any

import pandas as pd

from multimodal_gen.bundle.judging.scores import Scores, scores_with_intervals
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target


class Judged:
    """A model with loaders and a target, whose predictions can be judged."""

    model: Any
    inputs: dict[str, Loader]
    target: Target | dict[str, Target] | None
    inputs_as: str

    def scores(
        self,
        table: pd.DataFrame,
        *,
        group: str | None = None,
        resamples: int = 1000,
        seed: int = 0,
        batch_size: int = 64,
        verbose: int = 0,
        on_error: str = "raise",
    ) -> Scores:
        """Score the predictions as `evaluate` does, with 95 % intervals, and each class by itself.

        The intervals are percentiles of a bootstrap: the rows are drawn with replacement again and
        again, and the scores computed each time (Efron, "Bootstrap methods", 1979). Those of single
        classes, and a score of 1, are Wilson's, which hold for few rows too.

        Args:
            table: The columns of the inputs and of the target.
            group: A column whose equal values are one case, such as a patient or a product with
                several pictures: then groups are drawn instead of rows, because rows of a group
                are alike and tell less than as many others. A missing value is a group by itself.
            resamples: How often rows are drawn.
            seed: The same seed draws the same rows.
            batch_size: Rows per batch.
            verbose: 0 for silence, 1 for a progress bar.
            on_error: As in `evaluate`.

        Raises:
            LoadError: As `evaluate`.
            TableError: If there is no column `group`.
            ValueError: As `evaluate`; or if `resamples` is not a positive integer.
        """
        return scores_with_intervals(
            self,
            table,
            group=group,
            resamples=resamples,
            seed=seed,
            batch_size=batch_size,
            verbose=verbose,
            on_error=on_error,
        )
