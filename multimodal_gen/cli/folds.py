"""`multimodal-gen train --folds`: each row is predicted by a model that was trained on other rows.

All rows are in the folds, or if a column names parts, all but the test rows, which the ensemble of
the folds is scored on. The folds are trained as `train.py` trains a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.folds.cross_validation import prepare
from multimodal_gen.bundle.folds.keeping import Kept
from multimodal_gen.bundle.folds.result import CrossValidation
from multimodal_gen.bundle.folds.running import Run
from multimodal_gen.cli.balancing import with_weights_of_labels
from multimodal_gen.cli.columns import (
    check_named_columns,
    refuse_missing_groups,
    refuse_missing_labels,
)
from multimodal_gen.cli.curves import Curves
from multimodal_gen.cli.data import column_inputs, encoded_inputs
from multimodal_gen.cli.fitting import (
    network_for,
)
from multimodal_gen.cli.fold_results import EVERY, metrics_of_folds, write_folds
from multimodal_gen.cli.fold_training import FoldFit
from multimodal_gen.cli.given_table import read_given, rows_in_words
from multimodal_gen.cli.importance import importance_of_folds
from multimodal_gen.cli.inference import with_inputs
from multimodal_gen.cli.label_checks import check_classes
from multimodal_gen.cli.model_choice import (
    has_probe,
)
from multimodal_gen.cli.parts import Parts, given_parts, split_column
from multimodal_gen.cli.reading import readable_parts
from multimodal_gen.cli.rehearsal import check_folder, rehearse
from multimodal_gen.cli.report.data import data_of
from multimodal_gen.cli.report.facts import Known, facts_of_folds
from multimodal_gen.cli.report.writing import write_report
from multimodal_gen.cli.reporter import Remembering, Reporter
from multimodal_gen.cli.results import remove_stale, write_metrics
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.table_notes import notes_on
from multimodal_gen.cli.target_choice import (
    class_called,
    in_words,
    make_target,
)
from multimodal_gen.cli.unlabelled import without_unlabelled
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.encoded.loader import EncodedLoader
from multimodal_gen.loaders.many import ManyLoader
from multimodal_gen.loaders.targets.base import Target

# Where the finished folds of a run are, for --resume.
KEPT = "state/folds"


def run(settings: RunSettings, reporter: Reporter, curves: Curves) -> dict[str, Any]:
    """Train all folds, score them, and write the results.

    Returns:
        The content of `metrics.json`: the main score of all rows predicted out of fold under
        "out_of_fold", that of the ensemble on test rows, if there are any, under "test", and
        everything else under "details".
    """
    check_folder(settings.folder)
    curves.check(settings, reporter)
    reporter = Remembering(reporter)
    unlabelled: list[pd.DataFrame] = []
    settings, rows, test = _rows(settings, reporter, unlabelled)
    settings = with_inputs(settings, rows, pd.concat([rows, test]), reporter)
    target: Target = make_target(settings, rows, rows)
    reporter.say(in_words(target))
    if settings.positive is not None:
        class_called(settings.positive, target)
    inputs = _Inputs(settings, rows)
    for note in notes_on(settings, Parts(rows, rows.iloc[:0], test), inputs.of_all, target):
        reporter.say(f"note: {note}")
    count = len(rows) + len(test)
    rows, test = _readable(settings, rows, test, inputs.of_all, target, reporter, unlabelled)
    target = with_weights_of_labels(settings, rows, target)
    lost = bool(unlabelled) or len(rows) + len(test) < count
    reporter.say("Looking for copies, which stay in one fold.")
    work = prepare(
        rows,
        inputs,
        target,
        folds=settings.folds or 0,
        group=settings.group,
        copies=True,
        batch_size=settings.batch_size,
        seed=settings.seed,
        cache=settings.cache,
        # Every cell was read above.
        rehearse=False,
    )
    left_out = sum(map(len, unlabelled)) + count - len(rows) - len(test)
    known = _known(settings, rows, test, target, reporter.notes, left_out)
    network, _ = network_for(settings, inputs.of_all, target, len(rows))
    fit = FoldFit(settings, reporter, curves, probed=has_probe(settings, inputs.of_all))
    end = partial(_write, inputs=inputs.of_all, target=target, known=known)
    trial = Bundle(network, inputs.of_all, target)
    try_results = partial(_try_results, settings, work, test, end)
    rehearse(try_results, Path(settings.folder), trial, rows)
    result = work.finish(fit, _kept(settings, work), fit.tell)
    metrics = end(settings, result, rows, test, fit.seconds, probed=fit.probed)
    remove_stale(Path(settings.folder), target, lost=lost, resumable=settings.resume, folds=True)
    curves.remove_stale(Path(settings.folder))
    reporter.finish("all folds")
    return metrics


def _write(
    settings: RunSettings,
    result: CrossValidation,
    rows: pd.DataFrame,
    test: pd.DataFrame,
    seconds: Mapping[int, float],
    *,
    inputs: dict[str, Loader],
    target: Target,
    known: Known,
    probed: bool = False,
    repeats: int = 10,
) -> dict[str, Any]:
    # Writes everything, and returns the content of `metrics.json`.
    folder = Path(settings.folder)
    judged, reliable = write_folds(settings, result, rows, test, inputs, target)
    metrics = metrics_of_folds(
        settings, result, judged, reliable, seconds, target=target, probed=probed
    )
    metrics["details"]["importance"] = importance_of_folds(
        result, rows, settings.group, settings.seed, repeats=repeats
    )
    write_metrics(folder, metrics)
    write_report(folder, facts_of_folds(known, metrics, EVERY, result, rows))
    return metrics


def _try_results(
    settings: RunSettings,
    work: Run,
    test: pd.DataFrame,
    end: Callable[..., Any],
    folder: Path,
    bundle: Bundle,
    history: Any,
    rows: pd.DataFrame,
    predictions: pd.DataFrame,
) -> None:
    # Writes what is written at the end, for `rehearse`, of two folds of a few rows.
    own, result = replace(settings, folder=str(folder)), work.rehearsed(bundle, len(rows))
    end(own, result, rows, test.head(len(rows)), {1: 0.0, 2: 0.0}, repeats=1)


def _known(
    settings: RunSettings,
    rows: pd.DataFrame,
    test: pd.DataFrame,
    target: Target,
    notes: list[str],
    left_out: int,
) -> Known:
    split = f"into {settings.folds} folds of about equal size, with copies of a row in one fold"
    if not test.empty:
        split += ", and test rows that are in none"
    data = data_of(settings, Parts(rows, rows.iloc[:0], test), target)
    return Known(asdict(settings), data, split, notes, left_out)


def _rows(
    settings: RunSettings, reporter: Reporter, unlabelled: list[pd.DataFrame]
) -> tuple[RunSettings, pd.DataFrame, pd.DataFrame]:
    # The rows of the folds, and the test rows.
    table = read_given(settings.table)
    settings = replace(settings, split=split_column(settings, table, reporter))
    check_named_columns(table, settings)
    table, lost = without_unlabelled(table, settings, reporter)
    unlabelled += [] if lost.empty else [lost]
    rows, test, said = table, table.iloc[:0], "all rows are in the folds"
    if settings.split is not None:
        parts = given_parts(table, settings.split, settings.split_names)
        test = parts.test
        # In their order in the table.
        rows = table[~table.index.isin(test.index)]
        said = f"all rows but the {len(test):,} test rows of column {settings.split!r}"
        if test.empty:
            said = "all rows are in the folds, as there are no test rows"
    refuse_missing_labels(rows, settings)
    refuse_missing_groups(rows, settings.group)
    notes = check_classes(table, settings)
    reporter.say(f"{settings.table}: {rows_in_words(table)}")
    reporter.say(f"  folds     {settings.folds}, of {len(rows):,} rows ({said})")
    for note in notes:
        reporter.say(f"note: {note}")
    return settings, rows, test


class _Inputs:
    # Makes the inputs of a fold from its training rows. Encoders learn nothing from them, so all
    # folds have the same, and each row is encoded once.
    def __init__(self, settings: RunSettings, rows: pd.DataFrame) -> None:
        self.settings = settings
        self.of_all = encoded_inputs(settings, column_inputs(settings, rows))

    def __call__(self, train: pd.DataFrame) -> Mapping[str, Loader]:
        own = column_inputs(self.settings, train)
        return {
            name: loader if _is_encoded(loader) else own[name]
            for name, loader in self.of_all.items()
        }


def _is_encoded(loader: Loader) -> bool:
    return isinstance(loader.item if isinstance(loader, ManyLoader) else loader, EncodedLoader)


def _readable(
    settings: RunSettings,
    rows: pd.DataFrame,
    test: pd.DataFrame,
    inputs: dict[str, Loader],
    target: Target,
    reporter: Reporter,
    unlabelled: list[pd.DataFrame],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    # Reads every cell. It is made for three parts, none of them empty.
    cut = len(rows) // 2
    parts = Parts(rows.iloc[:cut], rows.iloc[cut:], test)
    if test.empty:
        parts = Parts(rows.iloc[: cut // 2 + 1], rows.iloc[cut // 2 + 1 : cut + 1], rows[cut + 1 :])
    parts = readable_parts(settings, parts, inputs, target, reporter, unlabelled)
    if test.empty:
        return pd.concat(parts), test
    return pd.concat(parts[:2]), parts.test


def _kept(settings: RunSettings, work: Run) -> Kept:
    folder = Path(settings.folder, KEPT) if settings.resume else None
    # What does not change a fold.
    free = ("folder", "cache", "cache_limit", "resume", "table", "on_error", "max_error_rate")
    own = {name: value for name, value in asdict(settings).items() if name not in free}
    words = {f"--{name.replace('_', '-')}": repr(value) for name, value in own.items()}
    return Kept(folder, {**work.settings, **words})
