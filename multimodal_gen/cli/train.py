"""One training run, from a table to a folder of results: what `multimodal-gen train` does after its
arguments are read.

Everything is done by public objects of the package, in the order a notebook would use them; this
file only adds the choices that the command line makes. Nothing here prints: reports go to a
`Reporter`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.held_out import held_out
from multimodal_gen.bundle.judging.scores import Scores, groups_of
from multimodal_gen.cli.curves import Curves
from multimodal_gen.cli.fitting import (
    Watch,
    fit_network,
    network_for,
    say_class,
    training_data,
    validation_data,
    versions,
)
from multimodal_gen.cli.importance import importance_after_training
from multimodal_gen.cli.model_choice import NETWORK, PROBE, choose, probe_beside, rows_of, say_kept
from multimodal_gen.cli.parts import Parts
from multimodal_gen.cli.rehearsal import check_folder, rehearse
from multimodal_gen.cli.report.facts import Facts, Known, facts_of, known_of
from multimodal_gen.cli.report.writing import write_report
from multimodal_gen.cli.reporter import Remembering, Reporter
from multimodal_gen.cli.results import remove_stale, write_metrics, write_reliability, write_results
from multimodal_gen.cli.run_data import RunData, read_run
from multimodal_gen.cli.score_tables import differences, noted
from multimodal_gen.cli.seen import write_seen
from multimodal_gen.cli.settings import RunSettings
from multimodal_gen.cli.sureness import calibrated, judged_on, noted_calibration
from multimodal_gen.cli.target_choice import main_score, score_name, shown_scores
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.models.comparing import Outcome
from multimodal_gen.models.recipe import epochs_for, recipe_in_words
from multimodal_gen.sequence.resume import ResumeTraining


def run(settings: RunSettings, reporter: Reporter, curves: Curves) -> dict[str, Any]:
    """Train, score on the test rows, and write the results.

    Returns:
        The content of `metrics.json`: the main score on test under "both" ("all" for three inputs,
        the input's own name for one), and with `ablate` under each input's name; and everything
        else under "details". The main score is balanced accuracy for a class, R² for a number, and
        mean average precision for labels.
    """
    # First, so that nothing is read in vain if the results cannot be written.
    check_folder(settings.folder)
    curves.check(settings, reporter)
    reporter = Remembering(reporter)
    data = read_run(settings, reporter)
    settings, parts, inputs, target = data.settings, data.parts, data.inputs, data.target
    main = name_of(inputs)
    chosen = {main: inputs}
    if len(inputs) == 1:
        alone = ", and there is no other to compare it with" if settings.ablate else ""
        reporter.say(f"One input: its scores are under {main!r}{alone}.")
    elif settings.ablate:
        chosen |= {name: {name: loader} for name, loader in inputs.items()}
    known = known_of(settings, parts, target, reporter.notes, data.left_out)
    folder = Path(settings.folder)
    scores: dict[str, dict[str, float]] = {}
    judged: dict[str, Scores] = {}
    calibration: dict[str, dict[str, float]] = {}
    worth: dict[str, Any] | None = None
    facts: Facts | None = None
    for name, some in chosen.items():
        started = time.perf_counter()
        # Only for the model whose results are written.
        trial = partial(try_results, data, known) if name == main else None
        with curves.of(settings, name, resumable=settings.resume) as watched:
            bundle, history, choice = _train(
                settings, name, parts, some, target, reporter, trial, watched.callbacks
            )
            seconds = time.perf_counter() - started
            judged[name], reliable, predictions = judged_on(bundle, parts.test, settings)
            watched.scores.update(judged[name].values)
        calibration |= {name: noted_calibration(reliable)} if reliable is not None else {}
        scores[name] = {
            **judged[name].values,
            "epochs": len(history.epoch),
            "seconds": round(seconds, 1),
            **choice,
        }
        metrics = metrics_of(settings, parts, target, scores, judged)
        metrics["details"]["calibration"] = calibration
        if facts is None:
            probe = choice.get("kept") == PROBE
            write_results(folder, bundle, history, parts.test, predictions, probe=probe)
            write_reliability(folder, reliable)
            write_seen(folder, bundle, parts.train, parts.validation)
            remove_stale(folder, target, lost=bool(data.left_out), resumable=settings.resume)
            curves.remove_stale(folder)
            # After the bundle is saved.
            worth = importance_after_training(bundle, parts.test, settings.group, settings.seed)
            rows = (parts.train, parts.test)
            facts = facts_of(known, metrics, bundle, history, rows, predictions, probe=probe)
        metrics["details"]["importance"] = worth
        # After each model, so that a stopped run keeps the finished ones.
        write_metrics(folder, metrics)
        write_report(folder, replace(facts, metrics=metrics))
        reporter.finish(name)
    return metrics


def name_of(inputs: dict[str, Loader]) -> str:
    """What the scores of a model with these inputs are called."""
    return {1: next(iter(inputs)), 2: "both"}.get(len(inputs), "all")


def try_results(
    data: RunData,
    known: Known,
    folder: Path,
    bundle: Bundle,
    history: Any,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
) -> None:
    """Write what is written at the end, for `rehearse`."""
    write_results(folder, bundle, history, test, predictions)
    write_seen(folder, bundle, test)
    settings = data.settings
    judged, reliable, _ = judged_on(bundle, test, settings)
    write_reliability(folder, reliable)
    scores = {"trial": {**judged.values, "seconds": 0.0}}
    metrics = metrics_of(settings, data.parts, data.target, scores, {"trial": judged})
    metrics["details"]["calibration"] = (
        {} if reliable is None else {"trial": noted_calibration(reliable)}
    )
    metrics["details"]["importance"] = importance_after_training(
        bundle, test, settings.group, settings.seed, repeats=1
    )
    rows = (data.parts.train, test)
    facts = facts_of(known, metrics, bundle, history, rows, predictions, probe=False)
    write_report(folder, facts)


def metrics_of(
    settings: RunSettings,
    parts: Parts,
    target: Target,
    scores: dict[str, dict[str, float]],
    judged: dict[str, Scores],
) -> dict[str, Any]:
    """The content of `metrics.json`.

    Args:
        settings: The settings.
        parts: The rows.
        target: The target.
        scores: What was trained -> its scores on the test rows, and what else is told of it.
        judged: The same with their intervals, by class and by row.
    """
    metrics: dict[str, Any] = {
        name: main_score(settings.target, one) for name, one in scores.items()
    }
    names = (
        {"classes": [str(name) for name in target.class_names]}
        if hasattr(target, "class_names")
        else {}
    )
    shown = shown_scores(settings.target, list(next(iter(scores.values()))))
    more = {name: noted(one) for name, one in judged.items()}
    metrics["details"] = {
        "score": score_name(settings.target),
        "shown": shown,
        "scores": scores,
        "intervals": {name: one["intervals"] for name, one in more.items()},
        "by_class": {name: one["by_class"] for name, one in more.items() if "by_class" in one},
        "differences": differences(score_name(settings.target), shown, judged),
        "rows": {name: len(part) for name, part in parts._asdict().items()},
        "groups": {
            name: len(np.unique(groups_of(part, settings.group)))
            for name, part in parts._asdict().items()
        },
        **names,
        "settings": asdict(settings),
        **versions(),
    }
    return metrics


def _train(
    settings: RunSettings,
    name: str,
    parts: Parts,
    inputs: dict[str, Loader],
    target: Target,
    reporter: Reporter,
    trial: Callable[[Path, Bundle, Any, pd.DataFrame, pd.DataFrame], None] | None,
    watching: list[keras.callbacks.Callback],
) -> tuple[Bundle, keras.callbacks.History, dict[str, Any]]:
    # For initial weights and dropout; the data has its own random streams.
    keras.utils.set_random_seed(settings.seed)
    train_data = training_data(settings, parts.train, inputs, target)
    model, positive = network_for(settings, inputs, target, len(parts.train))
    bundle = Bundle(model, inputs, target)
    if trial is not None:
        rehearse(trial, Path(settings.folder), bundle, parts.test)
    # Only several inputs are joined.
    kind = f"{settings.fusion} model" if len(inputs) > 1 else "model"
    reporter.say(f"Training on {name}: {kind} of {model.count_params():,} parameters")
    epochs = settings.epochs or epochs_for(len(parts.train))
    words = recipe_in_words(epochs, len(parts.train))
    reporter.say(f"  {words[0].lower()}{words[1:]}")
    validation = validation_data(settings, train_data, parts.validation, target)
    probe = probe_beside(settings, inputs, target, train_data, validation, reporter)
    callbacks: list[keras.callbacks.Callback] = [Watch(reporter, name), *watching]
    if settings.resume:
        callbacks.append(ResumeTraining(Path(settings.folder, "state", name), train_data))
    history = fit_network(model, target, train_data, validation, epochs, callbacks)
    reporter.end()
    say_class(model, target, positive, reporter)
    judged: dict[str, Outcome] = {}
    noted = choose(model, probe, validation, judged)
    said = {name: rows_of(one) for name, one in judged.items()}
    said = said or {NETWORK: rows_of(held_out(bundle, parts.validation, 64, 0, "raise"))}
    groups = groups_of(parts.validation, settings.group)
    say_kept(settings, target, noted, said, groups, history, reporter)
    if noted.get("kept") == PROBE:
        assert probe is not None
        bundle = Bundle(probe, inputs, target)
    rows = said[noted.get("kept", NETWORK)]
    return calibrated(bundle, *rows, reporter, balance=settings.balance), history, noted
