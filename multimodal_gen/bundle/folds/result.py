"""The result of a cross-validation: predictions, scores, and the models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.explaining.importance import Importance, importance_of
from multimodal_gen.bundle.explaining.judged_rows import Judged
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
        intervals: One row for each fold and score, under both; columns "low" and "high", the ends
            of the score's 95 % interval, by the rows of the fold.
        judged: The scores of all rows at once, predicted out of fold, as `Bundle.scores` returns
            them: with their intervals, by groups if there are some, and by class.
        rows: The number of rows in each fold.
        bundles: The model of each fold, with its loaders.
        ensemble: All of them as one bundle, whose prediction is the mean of theirs. Use it for new
            rows; it has seen all rows of the table, so their scores come from `out_of_fold`.
    """

    out_of_fold: pd.DataFrame
    scores: pd.DataFrame
    intervals: pd.DataFrame
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
        "overall", the score of all rows at once, and "low" and "high", the ends of its 95 %
        interval.

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
                "low": self.judged.overall["low"],
                "high": self.judged.overall["high"],
            }
        )

    def importance(
        self,
        table: pd.DataFrame,
        *,
        repeats: int = 10,
        group: str | None = None,
        resamples: int = 1000,
        seed: int = 0,
        batch_size: int = 64,
        on_error: str = "raise",
    ) -> Importance:
        """Say what each input and each column is worth: the score of all rows at once that is lost
        when its cells are exchanged between the rows of a fold, of which each is predicted by the
        model that was not trained on them. See `Bundle.importance`.

        Args:
            table: Rows of the table, known by their index; some are enough, such as two thousand.
            repeats: How often the cells of each input are exchanged.
            group: A column whose equal values are one case; see `Bundle.importance`.
            resamples: How often rows and repeats are drawn with replacement for the 95 % intervals.
            seed: The same seed exchanges and draws the same rows.
            batch_size: Rows per batch.
            on_error: As in `Bundle.evaluate`.

        Raises:
            LoadError: As `Bundle.evaluate`.
            TableError: If there is no column `group`.
            ValueError: As `Bundle.evaluate`; if a row is in no fold, or fewer than two rows of a
                fold that has some can be scored.
        """
        folds = self.out_of_fold.iloc[:, 0]
        strange = table.index.difference(folds.index)
        if len(strange) or not folds.index.is_unique:
            raise ValueError(
                "`table` must have rows of the table that the folds were made of, with its index, "
                f"in which nothing is twice. Received: the index values {strange[:3].tolist()}, "
                "which are in no fold"
            )
        own = folds.loc[table.index].to_numpy()
        judged = [
            Judged(bundle, bundle._in_parts(), table[own == number])
            for number, bundle in enumerate(self.bundles, 1)
            if (own == number).any()
        ]
        return importance_of(
            judged,
            repeats=repeats,
            group=group,
            resamples=resamples,
            seed=seed,
            target=None,
            batch_size=batch_size,
            on_error=on_error,
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
