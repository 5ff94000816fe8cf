"""Truth and outputs of held-out rows, to score them, or to choose thresholds by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.checks import rows_of_nan
from multimodal_gen.loaders.targets.base import Target


@dataclass(frozen=True)
class Rows:
    """The rows of a table that have both a truth and outputs, for one target.

    Args:
        target: The target.
        truth: What its `read` returned, `(rows, ...)`.
        outputs: What the model put out, `(rows, ...)`.
    """

    target: Target
    truth: np.ndarray
    outputs: np.ndarray


@dataclass(frozen=True)
class HeldOut:
    """The rows of a table, by target.

    Args:
        by_target: Pairs of a target's name, "target" for a single one, and its rows.
        left_out: How many rows could not be loaded or predicted.
        positions: `(rows,) int64`, the positions of the others in the table.
    """

    by_target: list[tuple[str, Rows]]
    left_out: int
    positions: np.ndarray


def held_out(
    bundle: Any, table: pd.DataFrame, batch_size: int, verbose: int, on_error: str
) -> HeldOut:
    """Read the truth of a table, and predict it.

    Args:
        bundle: A `Bundle` with a target.
        table: The columns of the inputs and of the target.
        batch_size: Rows per batch.
        verbose: 0 for silence, 1 for a progress bar.
        on_error: What to do with a bad row: "raise", or "skip".

    Raises:
        LoadError: If a cell cannot be loaded, or a label is missing or unknown; with "skip", only
            if this is so in every row.
        ValueError: If the outputs of a row are NaN and `on_error` is "raise", or they are not what
            a target needs.
    """
    return with_truth(
        bundle, table, batch_size, on_error, partial(_predicted, bundle, table, batch_size, verbose)
    )


def _predicted(
    bundle: Any, table: pd.DataFrame, batch_size: int, verbose: int, policy: str
) -> tuple[Any, dict[int, Any]]:
    sequence = bundle._sequence(table, batch_size, policy)
    outputs = bundle._outputs(sequence, verbose)
    return outputs, sequence.assembly.failures.positions


def with_truth(
    bundle: Any,
    table: pd.DataFrame,
    batch_size: int,
    on_error: str,
    predict: Callable[[str], tuple[Any, Mapping[int, Any]]],
) -> HeldOut:
    """Read the truth of a table, and predict it in any way; see `held_out`.

    Args:
        bundle: A `Bundle` with a target.
        table: The columns of the inputs and of the target.
        batch_size: Rows per batch.
        on_error: What to do with a bad row: "raise", or "skip".
        predict: Gives the outputs for all rows, and why by position for those that cannot be
            loaded. Its argument is the policy for them, "raise" or "blank".
    """
    single = isinstance(bundle.target, Target)
    targets = {"target": bundle.target} if single else bundle.target
    # Blank instead of skipped, so that labels and outputs keep the places of their rows.
    policy = "blank" if on_error == "skip" else "raise"
    # The truth first: a bad label is known before the model has run for an hour.
    labels = bundle._sequence(table, batch_size, policy, targets)
    batches = [arrays for (arrays,) in labels]
    outputs, failures = predict(policy)
    lost = {**labels.assembly.failures.positions, **failures}
    for row, reason in rows_of_nan(outputs).items():
        if on_error == "raise" and row not in lost:
            raise ValueError(
                f"A row cannot be scored: {reason}. Received: index "
                f"{table.index[[row]].tolist()[0]!r}"
            )
        lost[row] = reason
    good = np.setdiff1d(np.arange(len(table)), list(lost))
    if not len(good):
        # Nothing is left to score: reading the first row again raises its error.
        for one in (targets, None):
            bundle._sequence(table, 1, "raise", one)[0]
    found = []
    for name, target in targets.items():
        truth = np.concatenate([arrays[name] for arrays in batches])
        found.append(
            (name, Rows(target, truth[good], (outputs if single else outputs[name])[good]))
        )
    return HeldOut(found, len(lost), good)
