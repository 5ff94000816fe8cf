"""How far probabilities are from how often they are right: expected calibration error, by bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.held_out import HeldOut, held_out
from multimodal_gen.bundle.judging.resamples import interval_of, resamples_of
from multimodal_gen.bundle.judging.scores import groups_of
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.class_shares import class_shares
from multimodal_gen.loaders.targets.resampling import share_interval
from multimodal_gen.rows.checks import check_choice, check_positive, check_seed

# Bins at most, where nobody says how many.
BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """How far probabilities are from how often they are right, as `Bundle.reliability` returns it.

    Attributes:
        error: The expected calibration error: the distance of the mean probability of a bin from
            the share that is right there, averaged over all predictions.
        low: Lower end of its 95 % interval.
        high: Upper end.
        chance: The error that perfect probabilities would have on so many rows, because the share
            that is right varies by chance in each bin. An error near it is as small as can be seen.
        bins: A row per bin of about equally many predictions: "rows", the mean "probability", the
            share that is "right", and its 95 % interval, "low" and "high" (Wilson's, of rows).
    """

    error: float
    low: float
    high: float
    chance: float
    bins: pd.DataFrame

    def plot(self) -> Any:
        """Draw the reliability diagram, a matplotlib figure: on the dashed line, all is well."""
        from multimodal_gen.inspection.reliability import draw_reliability

        return draw_reliability(self.bins, f"{self}")

    def __str__(self) -> str:
        return (
            f"Expected calibration error {self.error:.3f} (95 % interval {self.low:.3f} to "
            f"{self.high:.3f}); perfect probabilities would have {self.chance:.3f} by chance"
        )


def reliability_of(
    bundle: Any,
    table: pd.DataFrame,
    *,
    group: str | None,
    bins: int,
    resamples: int,
    seed: int,
    batch_size: int,
    verbose: int,
    on_error: str,
) -> Reliability | dict[str, Reliability]:
    """What `Bundle.reliability` returns."""
    several = isinstance(bundle.target, Mapping)
    given = bundle.target if several else {"target": bundle.target}
    if not any(one is not None and one.class_names for one in given.values()):
        raise ValueError(
            "Reliability is that of probabilities: the bundle needs a target with classes. "
            f"Received: target={bundle.target!r}"
        )
    check_choice("on_error", on_error, ("raise", "skip"))
    check_positive(bins=bins, resamples=resamples)
    check_seed(seed)
    groups = np.arange(len(table)) if group is None else groups_of(table, group)
    rows = held_out(bundle, table, batch_size, verbose, on_error)
    found = reliability_of_held_out(rows, groups, bins, resamples, seed)
    return found if several else found["target"]


def reliability_of_held_out(
    rows: HeldOut, groups: np.ndarray, bins: int, resamples: int, seed: int
) -> dict[str, Reliability]:
    """Target name -> its reliability on rows that are read and predicted, if it has classes.

    Args:
        rows: The rows.
        groups: The group of each row of the table that they are from.
        bins: How many bins at most.
        resamples: How often rows are drawn for the interval.
        seed: Seed of the resamples.
    """
    _, own = np.unique(groups[rows.positions], return_inverse=True)
    return {
        name: reliability_of_rows(
            *said_and_right(one.target, one.truth, one.outputs), own, bins, resamples, seed
        )
        for name, one in rows.by_target
        if one.target.class_names
    }


def said_and_right(
    target: Target, truth: np.ndarray, outputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What probabilities were said, and whether what they are of is so.

    Args:
        target: A target with classes.
        truth: What its `read` returned, `(rows, ...)`.
        outputs: What the model put out, `(rows, ...)`.

    Returns:
        Both `(rows, 1) float64`, of the most likely class, if each row has one class; otherwise
        `(rows, classes)`.

    Raises:
        ValueError: If the target's `decode_outputs` has no probabilities.
    """
    shares = class_shares(target, outputs)
    if not target.one_class:
        return shares, (np.asarray(truth) > 0.5).astype("float64")
    right = shares.argmax(axis=1) == target.class_positions(truth)
    return shares.max(axis=1, keepdims=True), right[:, None].astype("float64")


def reliability_of_rows(
    said: np.ndarray, right: np.ndarray, groups: np.ndarray, bins: int, resamples: int, seed: int
) -> Reliability:
    """The reliability of probabilities.

    Args:
        said: `(rows, predictions)`, probabilities.
        right: `(rows, predictions)` of 0 and 1.
        groups: `(rows,) int64`, the group of each row, from 0 on.
        bins: How many bins at most; equal probabilities are in one bin.
        resamples: How often rows are drawn for the interval.
        seed: Seed of the resamples.
    """
    edges = np.unique(np.quantile(said, np.linspace(0, 1, bins + 1)[1:-1]))
    places = np.searchsorted(edges, said, side="right")
    # Probabilities that are all in the last bin leave the others empty.
    _, places = np.unique(places, return_inverse=True)
    places = places.reshape(said.shape)
    masks = [places == one for one in range(int(places.max()) + 1)]
    number = np.array([mask.sum() for mask in masks])
    # How much each row adds to the gap of each bin.
    gaps = np.stack([((said - right) * mask).sum(axis=1) for mask in masks], axis=1)
    error = float(np.abs(gaps.sum(axis=0)).sum() / said.size)
    drawn = np.concatenate(
        [
            np.abs(counts @ gaps).sum(axis=1) / (counts.sum(axis=1) * said.shape[1])
            for counts in resamples_of(groups, resamples, seed)
        ]
    )
    # Drawn rows have the chance of the draw on top of that of the rows, so their errors are larger
    # by as much on average. Only their spread is taken.
    low, high = interval_of(drawn - drawn.mean())
    # The mean of |x| of a normal x.
    spread = np.array([(said * (1 - said))[mask].sum() for mask in masks]) ** 0.5
    hits = np.array([right[mask].sum() for mask in masks])
    ends = share_interval(hits, number)
    frame = pd.DataFrame(
        {
            "rows": number,
            "probability": [said[mask].mean() for mask in masks],
            "right": hits / number,
            "low": ends[0],
            "high": ends[1],
        }
    )
    return Reliability(
        error,
        max(0.0, error + low),
        error + high,
        float((2 / np.pi) ** 0.5 * spread.sum() / said.size),
        frame,
    )
