"""The result of a cross-validation: predictions, scores, and the models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.judging.scores import Scores
from multimodal_gen.errors import counted


@dataclass(frozen=True, repr=False)
class CrossValidation:
    """What `cross_validate` returns.

    Attributes:
        out_of_fold: One row per row of the table, with its index and in its order: "fold", the
            fold that the row is in, counting from 1 ("fold_number" if a class has that name), and
            the columns of `Bundle.predict`, predicted by the model that was not trained on the row.
        scores: One row per fold, counting from 1, and a column for each score of the target, on the
            rows of the fold.
        judged: The scores of all rows at once, predicted out of fold, as `Bundle.scores` returns
            them: with their intervals, by groups if there are some, and by class.
        rows: The number of rows in each fold.
        bundles: The model of each fold, with its loaders.
        ensemble: All of them as one bundle, whose prediction is the mean of theirs. Use it for new
            rows; it has seen all rows of the table, so their scores come from `out_of_fold`.
    """

    out_of_fold: pd.DataFrame
    scores: pd.DataFrame
    judged: Scores
    rows: pd.Series
    bundles: tuple[Bundle, ...]
    ensemble: Bundle

    @property
    def overall(self) -> dict[str, float]:
        """Score -> its value on all rows at once, predicted out of fold."""
        return self.judged.values

    @property
    def summary(self) -> pd.DataFrame:
        """One row per score: "mean" of the folds, "spread" (their standard deviation, with n - 1),
        "standard_error" of the mean (the spread divided by the root of the number of folds), and
        "overall", the score of all rows at once.

        Models of different folds share most of their training rows, so the standard error is
        somewhat too small (Bengio and Grandvalet, "No unbiased estimator of the variance of k-fold
        cross-validation", 2004).
        """
        spread = self.scores.std(ddof=1)
        return pd.DataFrame(
            {
                "mean": self.scores.mean(),
                "spread": spread,
                "standard_error": spread / np.sqrt(len(self.scores)),
                "overall": pd.Series(self.overall),
            }
        )

    def __repr__(self) -> str:
        return (
            f"CrossValidation({counted(len(self.scores), 'fold')}, "
            f"{counted(len(self.out_of_fold), 'row')})"
        )

    def __str__(self) -> str:
        digits = "{:.4f}".format
        return "\n".join(
            [
                repr(self),
                self.scores.assign(rows=self.rows).to_string(float_format=digits),
                self.summary.to_string(float_format=digits),
            ]
        )
