"""What `multimodal-gen audit --deep` asks of models: which labels are likely wrong, and which
captions belong to another picture. Each row is judged by a model that was trained on other rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from multimodal_gen.bundle.folds import cross_validate, out_of_fold_fits
from multimodal_gen.cli.data import column_inputs
from multimodal_gen.cli.fitting import Watch, fit_network
from multimodal_gen.cli.reporter import Reporter
from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.errors import by_number, counted
from multimodal_gen.inspection.audit.findings import UNUSABLE
from multimodal_gen.inspection.audit.misfits import unlike_rows
from multimodal_gen.inspection.audit.report import Audit
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.models import build_fusion_classifier
from multimodal_gen.models.probe import fit_linear_probe, not_linear
from multimodal_gen.models.recipe import branches_for, epochs_for
from multimodal_gen.rows.cells import is_blank

_FOLDS = 5
# Fewer epochs than for a model that is used: what counts is which row is odd.
_SHARE_OF_EPOCHS, _FEWEST_EPOCHS = 0.4, 5
# Of fewer rows, models learn too little to doubt one of them.
_FEWEST = 100
# A column that no table has.
_COPIES = "\0copies"


class Evidence(NamedTuple):
    """What models say of a table.

    Args:
        predictions: Class probabilities, as `audit` takes them, or None.
        pair: How well pictures and captions fit, or None.
    """

    predictions: pd.DataFrame | None
    pair: pd.DataFrame | None


def evidence_of_models(
    settings: DataSettings,
    table: pd.DataFrame,
    target: Target | None,
    report: Audit,
    reporter: Reporter,
) -> Evidence:
    """Train models in folds, on the rows that can be read.

    Args:
        settings: The settings, with the inputs.
        table: The table.
        target: The target, or None without labels.
        report: An audit without models: rows that it found unusable are left out, and copies stay
            in one fold.
        reporter: Gets the reports.

    Raises:
        ValueError: If there is nothing to train on.
    """
    bad = {one.position for one in report.view.findings if one.kind in UNUSABLE}
    rows = table.assign(**{_COPIES: report.duplicates.to_numpy()})
    rows = rows.iloc[[place for place in range(len(table)) if place not in bad]]
    # N-grams learn more than tokens from a few thousand captions.
    settings = replace(settings, text="ngrams", augment="default", split=None)
    judged = target if target is not None and target.one_class else None
    paired = _paired(settings, rows)
    if len(rows) < _FEWEST or (judged is None and paired is None):
        raise ValueError(
            f"--deep needs at least {_FEWEST} rows that can be read, and a --label that is a "
            "class, or one --image and one --caption. Received: "
            f"{counted(len(rows), 'readable row')}, "
            f"{'no class' if judged is None else 'a class'}, "
            f"{counted(len(settings.image), 'picture')} and "
            f"{counted(len(settings.caption), 'caption')} a row"
        )
    reporter.say(
        f"--deep trains {counted(_FOLDS, 'model')}"
        f"{' twice, for labels and for pairs' if judged and paired is not None else ''} on "
        f"{counted(len(rows), 'row')}; each row is judged by one that has not seen it."
    )
    return Evidence(
        None if judged is None else _predictions(settings, rows, judged, reporter),
        None if paired is None else _fits(settings, paired, reporter),
    )


def _predictions(
    settings: DataSettings, rows: pd.DataFrame, target: Target, reporter: Reporter
) -> pd.DataFrame:
    watch = _WatchFolds(reporter, "labels")

    def fit(inputs: Mapping[str, Loader], target: Target, train: Any, validation: Any) -> Any:
        watch.next_fold()
        if not not_linear(inputs):
            return fit_linear_probe(inputs, target, train, validation, verbose=0)
        model = build_fusion_classifier(
            inputs, target, branches=branches_for(inputs, len(train.table))
        )
        epochs = max(round(_SHARE_OF_EPOCHS * epochs_for(len(train.table))), _FEWEST_EPOCHS)
        fit_network(model, target, train, validation, epochs, [watch])
        return model

    result = cross_validate(
        rows,
        _inputs(settings),
        target,
        folds=_FOLDS,
        group=_COPIES,
        copies=False,
        fit=fit,
        batch_size=settings.batch_size,
        verbose=0,
    )
    right, low, high = result.judged.overall.loc["accuracy"]
    reporter.say(
        f"  labels: models of other rows are right in {right:.1%} of the rows (95 % interval "
        f"{low:.1%} to {high:.1%}, with copies as one case)"
    )
    return result.out_of_fold


class _WatchFolds(Watch):
    # Says which fold is trained, of labels or of pairs; a fit without epochs says so itself.
    def __init__(self, reporter: Reporter, what: str) -> None:
        super().__init__(reporter, what)
        self.what, self.number, self.started = what, 0, 0.0

    def next_fold(self) -> None:
        self.number += 1
        self.started = time.monotonic()
        self.title = f"{self.what}, fold {self.number} of {_FOLDS}"
        self.reporter.say(f"  {self.title}")

    def on_train_end(self, logs: Any = None) -> None:
        self.reporter.end()
        if self.number == 1:
            left = (_FOLDS - 1) * (time.monotonic() - self.started)
            about = f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} min"
            self.reporter.say(f"  {self.what}: the other {_FOLDS - 1} folds take about {about}")


class _WatchPairs(_WatchFolds):
    # Of pairs, each fit is a fold.
    def on_train_begin(self, logs: Any = None) -> None:
        self.next_fold()
        super().on_train_begin(logs)


def _fits(settings: DataSettings, rows: pd.DataFrame, reporter: Reporter) -> pd.DataFrame:
    found = out_of_fold_fits(
        rows,
        _inputs(replace(settings, missing="error", gaps=None, **_only_a_pair(settings))),
        folds=_FOLDS,
        group=_COPIES,
        copies=False,
        # A few rows would otherwise be a single step per epoch.
        batch_size=min(128, max(16, len(rows) // 8)),
        callbacks=[_WatchPairs(reporter, "pairs")],
    )
    of = counted(len(found), "pair")
    better = float(found[[*found.columns[:2]]].max(axis=1).median())
    named = unlike_rows(found)
    expected = round(float(found["exchanged"].to_numpy()[named].sum()))
    some = f", about {expected:,} of which were exchanged" if len(named) else ""
    reporter.say(
        f"  pairs: for the median row, {better:.1%} of the other rows fit better; "
        f"{len(named):,} of {of} {by_number(len(named), 'is', 'are')} unlike{some}"
    )
    return found


def _only_a_pair(settings: DataSettings) -> dict[str, Any]:
    empty = ("images", "captions", "number", "category", "date")
    return {name: () for name in empty if getattr(settings, name)}


def _paired(settings: DataSettings, rows: pd.DataFrame) -> pd.DataFrame | None:
    # The rows with a picture and a caption, if there is one column of each.
    if len(settings.image) != 1 or len(settings.caption) != 1:
        return None
    columns = [*settings.image, *settings.caption]
    there = ~rows[columns].map(is_blank).any(axis=1)
    return rows[there] if there.sum() >= _FEWEST else None


def _inputs(settings: DataSettings) -> Callable[[pd.DataFrame], Mapping[str, Loader]]:
    return lambda train: column_inputs(settings, train)
