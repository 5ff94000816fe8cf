"""The work of a cross-validation: train fold after fold, and combine what they predict."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.folds.ensemble import ensemble_of
from multimodal_gen.bundle.folds.fitting import seeded
from multimodal_gen.bundle.folds.keeping import Kept
from multimodal_gen.bundle.folds.rehearsing import keep_vectors
from multimodal_gen.bundle.folds.result import CrossValidation
from multimodal_gen.bundle.held_out import HeldOut, Rows
from multimodal_gen.bundle.judging.scores import (
    RESAMPLES,
    Scores,
    groups_of,
    overall_scores,
    scores_of_rows,
)
from multimodal_gen.bundle.outputs import columns_of
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.folds import validation_rows
from multimodal_gen.sequence.sequence import MultimodalSequence

Inputs = Mapping[str, Loader] | Callable[[pd.DataFrame], Mapping[str, Loader]]
Fit = Callable[[Mapping[str, Loader], Target, Any, Any], keras.Model]


@dataclass(frozen=True)
class Run:
    """A cross-validation whose arguments have been checked.

    Args:
        table: The rows.
        inputs: As for `cross_validate`.
        target: The target.
        truth: `(rows, ...)`, what the target reads.
        together: `(rows,) int64`, equal for rows that stay in one fold.
        classes: `(rows,) int64`, the class of each row, or zeros.
        fold: `(rows,) int64`, counting from 0.
        folds: How many there are.
        batch_size: Rows per batch.
        seed: The seed.
        cache: The directory of a cache, or None.
        settings: What the folds depend on, apart from what trains them; JSON values.
    """

    table: pd.DataFrame
    inputs: Inputs
    target: Target
    truth: np.ndarray
    together: np.ndarray
    classes: np.ndarray
    fold: np.ndarray
    folds: int
    batch_size: int
    seed: int
    cache: str | os.PathLike[str] | None
    settings: dict[str, Any]

    def finish(
        self, fit: Fit, kept: Kept, tell: Callable[[int, int, pd.DataFrame], None]
    ) -> CrossValidation:
        """Train all folds that are not kept.

        Args:
            fit: Trains the model of a fold.
            kept: Has the folds that are finished, and gets the others.
            tell: Called after each fold with its number, the number of folds, and its scores with
                their intervals.
        """
        bundles: list[Bundle] = []
        every: list[np.ndarray] = []
        judged: list[pd.DataFrame] = []
        for number in range(1, self.folds + 1):
            rows = np.flatnonzero(self.fold == number - 1)
            done = kept.load(number)
            bundle, outputs = self._train(number, rows, fit) if done is None else done
            if done is None:
                # Finds out now, and not after the last fold, whether it can be made.
                ensemble_of([bundle, bundle])
                kept.save(number, bundle, outputs)
            bundles.append(bundle)
            every.append(outputs)
            judged.append(self._judged_fold(rows, outputs))
            tell(number, self.folds, judged[-1])
        return self._combined(bundles, every, judged, ensemble_of(bundles))

    def rehearsed(self, bundle: Bundle, rows: int) -> CrossValidation:
        """What the result would be of two folds of the first rows, if one bundle were the model of
        both and the ensemble: to try what will be done with the result.

        Args:
            bundle: The bundle.
            rows: How many rows.
        """
        own = replace(
            self,
            table=self.table.iloc[:rows],
            truth=self.truth[:rows],
            together=self.together[:rows],
            classes=self.classes[:rows],
            fold=np.arange(len(self.fold[:rows])) % 2,
            folds=2,
        )
        folds = [np.flatnonzero(own.fold == one) for one in (0, 1)]
        outputs = [own._predicted(bundle, one) for one in folds]
        judged = [own._judged_fold(*one) for one in zip(folds, outputs, strict=True)]
        return own._combined([bundle, bundle], outputs, judged, bundle)

    def _combined(
        self,
        bundles: Sequence[Bundle],
        outputs: Sequence[np.ndarray],
        judged: Sequence[pd.DataFrame],
        ensemble: Bundle,
    ) -> CrossValidation:
        every = np.empty((len(self.table), *outputs[0].shape[1:]), outputs[0].dtype)
        for number, own in enumerate(outputs):
            every[self.fold == number] = own
        frame = pd.DataFrame(columns_of(every, self.target), index=self.table.index)
        frame.insert(0, "fold" if "fold" not in frame else "fold_number", self.fold + 1)
        numbers = range(1, len(judged) + 1)
        scores = {number: one["value"] for number, one in zip(numbers, judged, strict=True)}
        by_fold = pd.DataFrame.from_dict(scores, orient="index").rename_axis("fold")
        rows_of_folds = pd.Series(np.bincount(self.fold), by_fold.index, name="rows")
        intervals = pd.concat(
            {number: one[["low", "high"]] for number, one in zip(numbers, judged, strict=True)},
            names=["fold", "score"],
        )
        return CrossValidation(
            frame, by_fold, intervals, self._judged(every), rows_of_folds, tuple(bundles), ensemble
        )

    def _judged_fold(self, rows: np.ndarray, outputs: np.ndarray) -> pd.DataFrame:
        own = Rows(self.target, self.truth[rows], outputs)
        groups = groups_of(self.table, self.settings["group"])[rows]
        return overall_scores(own, groups, RESAMPLES, self.seed)

    def _judged(self, outputs: np.ndarray) -> Scores:
        rows = Rows(self.target, self.truth, outputs)
        held = HeldOut([("target", rows)], 0, np.arange(len(self.table)))
        groups = groups_of(self.table, self.settings["group"])
        return scores_of_rows(held, groups, RESAMPLES, self.seed, several=False)

    def _train(self, number: int, rows: np.ndarray, fit: Fit) -> tuple[Bundle, np.ndarray]:
        # The bundle of a fold, and its outputs for the rows of the fold.
        seed = (self.seed + number) % 2**64
        others = np.flatnonzero(self.fold != number - 1)
        chosen = validation_rows(self.together, self.classes, others, seed)
        train, validation = self.table.iloc[others[~chosen]], self.table.iloc[others[chosen]]
        inputs = dict(self.inputs(train) if callable(self.inputs) else self.inputs)
        keep_vectors(inputs)
        data = MultimodalSequence(
            train,
            inputs,
            self.target,
            batch_size=self.batch_size,
            shuffle=True,
            seed=seed,
            cache=self.cache,
        )
        # So a fold does not depend on whether those before it were trained in this process.
        with seeded(seed):
            model = fit(inputs, self.target, data, data.for_evaluation(validation))
        if not isinstance(model, keras.Model):
            raise TypeError(f"`fit` must return a Keras model. Received: {model!r}")
        bundle = Bundle(model, inputs, self.target)
        return bundle, self._predicted(bundle, rows)

    def _predicted(self, bundle: Bundle, rows: np.ndarray) -> np.ndarray:
        sequence = bundle._sequence(self.table.iloc[rows], self.batch_size)
        return bundle._outputs(sequence, 0)
