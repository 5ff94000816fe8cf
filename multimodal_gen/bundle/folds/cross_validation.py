"""Cross-validation of a table: the public function, and the order of its work."""

from __future__ import annotations

import os
import sys

import keras
import numpy as np
import pandas as pd

from multimodal_gen.batch.assembly import columns_read
from multimodal_gen.bundle.folds.fitting import fit_fold
from multimodal_gen.bundle.folds.keeping import Kept, digest_of_function, digests_of_table
from multimodal_gen.bundle.folds.rehearsing import keep_vectors, read_inputs, read_truth
from multimodal_gen.bundle.folds.result import CrossValidation
from multimodal_gen.bundle.folds.running import Fit, Inputs, Run
from multimodal_gen.bundle.folds.together import kept_together, warn_of_lone_classes
from multimodal_gen.loaders.targets.balance import classes_where_known
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.rows.checks import check_positive, check_seed, check_switches
from multimodal_gen.rows.folds import check_folds, fold_of_rows
from multimodal_gen.sequence.state import digest_of_settings


def cross_validate(
    table: pd.DataFrame,
    inputs: Inputs,
    target: Target,
    *,
    folds: int = 5,
    group: str | None = None,
    copies: bool = True,
    fit: Fit | None = None,
    batch_size: int = 32,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    verbose: str | int = "auto",
) -> CrossValidation:
    """Train a model for each fold on the rows outside it, and predict its rows: every row of the
    table is predicted by a model that has not seen it.

    Every cell is read once at the start. Of the rows outside a fold, an eighth is for validation.
    Where encoders are inputs, each row is encoded once for all folds.

    Args:
        table: The rows, with a unique index.
        inputs: A function that returns input name -> loader, given the training rows of a fold, so
            that vocabularies and statistics are learned from these only; or input name -> loader,
            for loaders that learn nothing, or have learned from other rows. Make encoders outside
            the function, or each fold encodes all rows again.
        target: What to predict. It is the same for all folds, so its classes come from the whole
            table.
        folds: How many folds there are, at least 2.
        group: A column whose equal values stay in one fold.
        copies: Whether rows with the same content, or nearly the same, stay in one fold, as an
            `audit` finds them. This takes about as long as decoding all pictures once.
        fit: Trains the model of a fold, given its inputs, the target, training data and validation
            data, which are `MultimodalSequence`s; returns the model. By default
            `build_fusion_classifier`, trained by `fit_with_recipe`, or a linear probe if there can
            be one and it is better by more than one standard error on the validation rows.
        batch_size: Rows per batch.
        seed: Fixes the folds, the order of rows, random operations, and the models' initial
            weights.
        folder: Keeps each finished fold. If the run is stopped, the same call continues with the
            next fold, and its result is the same. Layers of your own must be registered for saving.
        cache: As for `MultimodalSequence`; all folds share it.
        verbose: 0 prints nothing; otherwise one line per fold, whose scores have their 95 %
            intervals, and the summary.

    Returns:
        A `CrossValidation`: predictions in the order of the table, scores, and the models.

    Raises:
        TableError: If the index is not unique, a column or a group is missing, or there are fewer
            groups than folds.
        LoadError: If a cell cannot be loaded; with the number of such rows.
        ValueError: If `folder` has folds of another table or other settings.
        TypeError: If `target` is not a target, or `fit` returns no model.

    Warns:
        RareClassWarning: If all rows of a class are in one fold.

    Example:
        def inputs(train):
            return {"caption": TextLoader.from_texts("caption", train["caption"])}

        result = cross_validate(table, inputs, ClassLabel.from_values("label", table))
        result.ensemble.save("ensemble")
    """
    run = prepare(
        table,
        inputs,
        target,
        folds=folds,
        group=group,
        copies=copies,
        batch_size=batch_size,
        seed=seed,
        cache=cache,
    )
    fit = fit_fold if fit is None else fit
    kept = Kept(folder, {**run.settings, "fit": digest_of_function(fit)})
    result = run.finish(fit, kept, _print if verbose else _keep_silent)
    if verbose:
        sys.stdout.write(f"{result.summary.to_string(float_format='{:.4f}'.format)}\n")
    return result


def prepare(
    table: pd.DataFrame,
    inputs: Inputs,
    target: Target,
    *,
    folds: int,
    group: str | None,
    copies: bool,
    batch_size: int,
    seed: int,
    cache: str | os.PathLike[str] | None,
    rehearse: bool = True,
) -> Run:
    """Check the arguments of `cross_validate`, read every cell unless that was done before
    (`rehearse`), and choose the folds.
    """
    check_switches(copies=copies)
    check_positive(batch_size=batch_size)
    check_folds(table, folds, group)
    seed = check_seed(seed)
    if not isinstance(target, Target):
        raise TypeError(
            "`target` must be one target, such as a ClassLabel; validate several one by one. "
            f"Received: target={target!r}"
        )
    learned = inputs(table) if callable(inputs) else inputs
    keep_vectors(learned)
    truth = read_truth(table, target, batch_size)
    together = kept_together(table, learned, group, copies)
    classes = np.zeros(len(table), "int64")
    if target.one_class:
        classes = classes_where_known(target, table)
    fold = fold_of_rows(together, classes, folds, seed)
    warn_of_lone_classes(target, classes, fold)
    if rehearse:
        read_inputs(table, learned, batch_size, cache)
    columns = None
    if not callable(inputs):
        columns = [*columns_read(inputs, {None: target}, []), *([] if group is None else [group])]
    settings = {
        **digests_of_table(table, columns),
        "inputs": digest_of_function(inputs)
        if callable(inputs)
        else {name: digest_of_settings(one) for name, one in inputs.items()},
        "target": digest_of_settings(target),
        "folds": int(folds),
        "group": group,
        "copies": bool(copies),
        "batch_size": int(batch_size),
        "seed": seed,
        "backend": keras.backend.backend(),
    }
    return Run(
        table,
        inputs,
        target,
        truth,
        together,
        classes,
        fold,
        int(folds),
        int(batch_size),
        seed,
        cache,
        settings,
    )


def _print(number: int, folds: int, scores: pd.DataFrame) -> None:
    words = ", ".join(
        f"{name} {value:.4f} ({low:.4f} to {high:.4f})"
        for name, value, low, high in scores.itertuples()
    )
    sys.stdout.write(f"Fold {number} of {folds}: {words}\n")
    sys.stdout.flush()


def _keep_silent(number: int, folds: int, scores: pd.DataFrame) -> None:
    pass
