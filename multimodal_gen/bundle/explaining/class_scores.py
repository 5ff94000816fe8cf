"""Recall and F1 of each class, in many resamples of the rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from multimodal_gen.loaders.targets.base import Target


@dataclass(frozen=True)
class ClassScores:
    """The classes of rows, and what predictions make of them.

    Args:
        target: The target.
        names: The classes or labels; none if it has no classes.
        has: `(rows, classes) bool`, which row has which.
    """

    target: Target
    names: Sequence[Any]
    has: np.ndarray

    @classmethod
    def of(cls, target: Target, truth: np.ndarray) -> Self:
        """The classes of rows.

        Args:
            target: The target.
            truth: What its `read` returned, `(rows, ...)`.
        """
        names = target.class_names
        if not target.one_class:
            has = np.asarray(truth).reshape(len(truth), -1) > 0.5
            # Any other truth of a target of one's own says nothing about classes.
            names = names if has.shape[1] == len(names) else ()
            return cls(target, names, has[:, : len(names)])
        return cls(target, names, _one_hot(target.class_positions(truth), len(names)))

    def _said(self, outputs: np.ndarray) -> np.ndarray:
        predicted, *shares = self.target.decode_outputs(outputs).values()
        if self.target.one_class:
            places = {name: place for place, name in enumerate(self.names)}
            return _one_hot(np.array([places[one] for one in predicted]), len(places))
        # A target of several labels may have a threshold for each.
        above = np.stack(shares, axis=1) > getattr(self.target, "thresholds", 0.5)
        return np.asarray(above)

    def score(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """The scores by name, "recall" and "f1", `(classes,)` each; nothing without classes.

        NaN where no row has the class and, for F1, none is said to.

        Args:
            outputs: What the model put out, `(rows, ...)`.
        """
        found = self.resampled(outputs, np.ones((1, len(self.has)), "int64"))
        return {name.removeprefix("class "): one[0] for name, one in found.items()}

    def resampled(self, outputs: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
        """The same of resamples, `(resamples, classes)`, as "class recall" and "class f1".

        Args:
            outputs: What the model put out, `(rows, ...)`.
            counts: `(resamples, rows) int`, how often each row is in each resample.
        """
        if not self.names:
            return {}
        said = self._said(outputs)
        # Sums below 2 ** 24 are exact.
        times = counts.astype("float32")
        there, claimed, hits = (
            times @ one.astype("float32") for one in (self.has, said, self.has & said)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            return {"class recall": hits / there, "class f1": 2 * hits / (there + claimed)}


def _one_hot(places: np.ndarray, classes: int) -> np.ndarray:
    return np.asarray(places[:, None] == np.arange(classes))
