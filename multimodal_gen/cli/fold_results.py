"""Write the results of `train --folds`: the ensemble, predictions of all rows by models of other
folds, pictures and scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.folds.result import CrossValidation
from multimodal_gen.bundle.judging.reliability import BINS, Reliability, reliability_of_rows
from multimodal_gen.bundle.judging.scores import RESAMPLES, Scores, groups_of
from multimodal_gen.cli.fitting import versions
from multimodal_gen.cli.model_choice import NETWORK, PROBE
from multimodal_gen.cli.results import draw_predictions, write_predictions, write_reliability
from multimodal_gen.cli.score_tables import noted
from multimodal_gen.cli.seen import write_seen
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.sureness import judged_on, noted_calibration
from multimodal_gen.cli.target_choice import main_score, score_name, shown_scores
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.targets.balance import classes_where_known
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.models.linear import is_linear
from multimodal_gen.rows.chunks import cells_in

# What is scored: all rows of the folds, and the test rows.
EVERY, TEST = "all at once", "test rows, by the ensemble"


def write_folds(
    settings: RunSettings,
    result: CrossValidation,
    rows: pd.DataFrame,
    test: pd.DataFrame,
    inputs: Mapping[str, Loader],
    target: Target,
) -> tuple[dict[str, Scores], dict[str, Reliability]]:
    """Write everything except `metrics.json` and the report.

    Args:
        settings: Settings of the run.
        result: The finished cross-validation.
        rows: The rows of the folds.
        test: The test rows, perhaps none.
        inputs: Loaders for the rows that are drawn.
        target: The target.

    Returns:
        The scores of all rows of the folds, and those of the test rows; and, of a target with
            classes, how right the probabilities of both are.
    """
    folder = Path(settings.folder)
    result.ensemble.save(folder)
    write_seen(folder, result.ensemble, rows)
    judged = {EVERY: result.judged}
    found = {EVERY: _reliability(settings, result, rows, target)}
    if not test.empty:
        judged[TEST], found[TEST], predictions = judged_on(result.ensemble, test, settings)
        write_predictions(folder / "predictions.csv", predictions, test, inputs, target)
    # Without the fold, they are predictions like those of a single model.
    write_predictions(folder / "out_of_fold.csv", result.out_of_fold, rows, inputs, target)
    draw_predictions(folder, result.out_of_fold.iloc[:, 1:], rows, inputs, target)
    write_reliability(folder, found[EVERY])
    return judged, {name: one for name, one in found.items() if one is not None}


def _reliability(
    settings: RunSettings, result: CrossValidation, rows: pd.DataFrame, target: Target
) -> Reliability | None:
    # Of the probabilities out of fold, which come last among the predictions.
    if not target.class_names:
        return None
    shares = result.out_of_fold.iloc[:, -len(target.class_names) :].to_numpy("float64")
    if target.one_class:
        right = (shares.argmax(axis=1) == classes_where_known(target, rows))[:, None]
        shares = shares.max(axis=1, keepdims=True)
    else:
        right = np.stack([target.read(cell) for cell in cells_in(rows, target.column)]) > 0.5
    groups = groups_of(rows, settings.group)
    return reliability_of_rows(
        shares, right.astype("float64"), groups, BINS, RESAMPLES, settings.seed
    )


def metrics_of_folds(
    settings: RunSettings,
    result: CrossValidation,
    judged: Mapping[str, Scores],
    reliable: Mapping[str, Reliability],
    seconds: Mapping[int, float],
    *,
    target: Target,
    probed: bool,
) -> dict[str, Any]:
    """The content of `metrics.json`: "out_of_fold" and "test" instead of the inputs, and of the
    details of a run of one model those that folds have.

    Args:
        settings: Settings of the run.
        result: The finished cross-validation.
        judged: As `write_folds` returns it.
        reliable: Likewise.
        seconds: What each fold took.
        target: The target.
        probed: Whether there was a linear probe beside each network.
    """
    scores = _scores(result, judged, seconds, probed=probed)
    metrics: dict[str, Any] = {"out_of_fold": main_score(settings.target, result.overall)}
    if TEST in judged:
        metrics["test"] = main_score(settings.target, scores[TEST])
    more = {name: noted(one) for name, one in judged.items()}
    metrics["details"] = {
        "score": score_name(settings.target),
        "shown": shown_scores(settings.target, list(result.overall)),
        "scores": scores,
        "intervals": {name: one["intervals"] for name, one in more.items()},
        "intervals_of_folds": _intervals(result),
        "by_class": {name: one["by_class"] for name, one in more.items() if "by_class" in one},
        "calibration": {name: noted_calibration(one) for name, one in reliable.items()},
        "summary": result.summary.to_dict("index"),
        "rows": {
            "folds": len(result.out_of_fold),
            "test": judged[TEST].rows if TEST in judged else 0,
        },
        "groups": {"folds": result.judged.groups},
        "classes": [str(name) for name in target.class_names],
        "settings": asdict(settings),
        **versions(),
    }
    return metrics


def _scores(
    result: CrossValidation,
    judged: Mapping[str, Scores],
    seconds: Mapping[int, float],
    *,
    probed: bool,
) -> dict[str, dict[str, Any]]:
    scores: dict[str, dict[str, Any]] = {}
    for number, one in result.scores.iterrows():
        place = int(str(number))
        scores[f"fold {place}"] = {**_named(one), "seconds": round(seconds[place], 1)}
        if probed:
            scores[f"fold {place}"]["kept"] = _kind(result.bundles[place - 1])
    summary = result.summary
    scores["mean of the folds"] = _named(summary["mean"])
    scores["their spread"] = _named(summary["spread"])
    scores["standard error"] = _named(summary["standard_error"])
    for name, whole in judged.items():
        scores[name] = {**whole.values}
    scores[EVERY]["seconds"] = round(sum(seconds.values()), 1)
    return scores


def _intervals(result: CrossValidation) -> dict[str, dict[str, list[float]]]:
    return {
        f"fold {number}": {
            str(score): [float(low), float(high)]
            for score, low, high in own.droplevel("fold").itertuples()
        }
        for number, own in result.intervals.groupby(level="fold")
    }


def _kind(bundle: Bundle) -> str:
    # A fold that was trained by an earlier command has no other trace of it.
    return PROBE if is_linear(bundle.model) else NETWORK


def _named(scores: pd.Series) -> dict[str, float]:
    return {str(name): float(value) for name, value in scores.items()}
