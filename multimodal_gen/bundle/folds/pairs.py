"""How well the two inputs of each row fit, by pairs of encoders that were trained on other rows."""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras
import numpy as np
import pandas as pd

from multimodal_gen.bundle.dual_encoder import DualEncoder
from multimodal_gen.bundle.folds.fitting import seeded
from multimodal_gen.bundle.folds.rehearsing import keep_vectors, read_inputs
from multimodal_gen.bundle.folds.running import Inputs
from multimodal_gen.bundle.folds.together import kept_together
from multimodal_gen.bundle.pair_fits import fits_of
from multimodal_gen.models.contrastive import build_dual_encoder, fit_contrastive
from multimodal_gen.models.recipe import epochs_for
from multimodal_gen.rows.checks import check_positive, check_seed, check_switches
from multimodal_gen.rows.folds import check_folds, fold_of_rows
from multimodal_gen.sequence.sequence import MultimodalSequence

# As for `cross_validate`, fewer epochs than a classifier gets: a pair learns its rows by heart, and
# what counts is what holds for others.
_SHARE_OF_EPOCHS = 0.4


def out_of_fold_fits(
    table: pd.DataFrame,
    inputs: Inputs,
    *,
    folds: int = 5,
    group: str | None = None,
    copies: bool = True,
    epochs: int | None = None,
    batch_size: int = 128,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> pd.DataFrame:
    """Say of each row how well its two inputs fit, such as a picture and its caption, by a pair of
    encoders that was trained on other rows.

    For each fold, `build_dual_encoder` is trained by `fit_contrastive` on the rows outside it. No
    label and no download is needed. `audit(pair=...)` names the rows that do not fit.

    Args:
        table: The rows, with a unique index.
        inputs: A function of the training rows of a fold that returns the two inputs, name ->
            loader; or the inputs.
        folds: How many folds there are, at least 2.
        group: A column whose equal values stay in one fold.
        copies: Whether rows with the same content, or nearly the same, stay in one fold.
        epochs: Passes over the training rows; by default by their number.
        batch_size: Rows per batch in training; each is a wrong answer for all others.
        seed: Fixes folds, order, random operations and initial weights.
        cache: As for `MultimodalSequence`.
        callbacks: For the training of each fold, such as one that shows how far it is.

    Returns:
        One row per row of the table, with its index and in its order. A column for each input: the
        share of the other rows of the fold, in [0, 1], whose other cell fits this cell better;
        "similarity", the cosine of the row's two vectors; and "exchanged", the probability that its
        cells belong to different rows, by the similarities and by the share of such rows that
        explains those of all rows best (docs/audit.md).

    Raises:
        TableError: If the index is not unique, a column or a group is missing, or there are fewer
            groups than folds.
        LoadError: If a cell cannot be loaded.
        ValueError: If there are not two inputs, or an argument is out of range.
    """
    check_switches(copies=copies)
    check_positive(batch_size=batch_size)
    check_folds(table, folds, group)
    seed = check_seed(seed)
    learned = inputs(table) if callable(inputs) else inputs
    # An error about the inputs comes now, and not after all cells have been read.
    build_dual_encoder(learned)
    keep_vectors(learned)
    read_inputs(table, learned, batch_size, cache)
    together = kept_together(table, learned, group, copies)
    fold = fold_of_rows(together, np.zeros(len(table), "int64"), folds, seed)
    judged = []
    for number in range(folds):
        train = table[fold != number]
        own = dict(inputs(train) if callable(inputs) else inputs)
        keep_vectors(own)
        own_seed = (seed + number) % 2**64
        data = MultimodalSequence(
            train, own, batch_size=batch_size, shuffle=True, seed=own_seed, cache=cache
        )
        with seeded(own_seed):
            model = build_dual_encoder(own)
            passes = _passes(len(train)) if epochs is None else epochs
            fit_contrastive(model, data, epochs=passes, callbacks=callbacks, verbose=0)
        judged.append((DualEncoder(model, own), table[fold == number]))
    return fits_of(judged).loc[table.index]


def _passes(rows: int) -> int:
    return max(round(_SHARE_OF_EPOCHS * epochs_for(rows)), 5)
