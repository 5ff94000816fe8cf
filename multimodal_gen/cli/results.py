"""Write the results of a run: the bundle, the history, predictions of the test rows, pictures and
scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.judging.reliability import Reliability
from multimodal_gen.cli.curves import KEPT
from multimodal_gen.cli.predict import finite, with_index, with_inputs, with_joined_labels
from multimodal_gen.inspection import plots
from multimodal_gen.inspection.confusion import plot_confusion
from multimodal_gen.inspection.layout import GREY
from multimodal_gen.inspection.letters import fonts, readable
from multimodal_gen.loaders import Loader
from multimodal_gen.loaders.targets.balance import classes_where_known
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.sequence.sequence import MultimodalSequence

# What a search writes beside the files of every run: its trials, as a table and as a picture.
SEARCHED = ("trials.csv", "search.png")


def write_results(
    folder: Path,
    bundle: Bundle,
    history: Any,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    probe: bool = False,
) -> None:
    """Write everything except the scores and the report.

    Args:
        folder: The folder of the run.
        bundle: The trained model with its loaders and target.
        history: The result of `fit_with_recipe`.
        test: The test rows.
        predictions: What the bundle predicts of them.
        probe: Whether the bundle is the linear probe beside the network of the history.
    """
    target = bundle.target
    assert isinstance(target, Target)
    # The bundle comes first, because everything else can be made from it again.
    bundle.save(folder)
    frame = pd.DataFrame({"epoch": [epoch + 1 for epoch in history.epoch], **history.history})
    frame.to_csv(folder / "history.csv", index=False)
    write_predictions(folder / "predictions.csv", predictions, test, bundle.inputs, target)
    curves = plots.plot_history(history, kept=not probe)
    if target.training_units is not None:
        _name_units(curves, target.training_units)
    curves.savefig(folder / "curves.png")
    draw_predictions(folder, predictions, test, bundle.inputs, target)


def write_predictions(
    file: Path,
    predictions: pd.DataFrame,
    rows: pd.DataFrame,
    inputs: Mapping[str, Loader],
    target: Target,
) -> None:
    """Write predictions of rows as csv: their index, truth, inputs and predictions.

    Args:
        file: The file.
        predictions: What `Bundle.predict` returns of these rows; more columns are written too.
        rows: The rows.
        inputs: Input name -> loader.
        target: The target.
    """
    columns = [target.column] if isinstance(target.column, str) else list(target.column)
    frame, _ = with_joined_labels(with_inputs(with_index(predictions), rows, inputs), target)
    for place, column in enumerate(columns, 1):
        name = "truth" if len(columns) == 1 else f"true_{column}"
        # After the index and before the predictions.
        frame.insert(place, name if name not in frame else f"true_{name}", rows[column].to_numpy())
    frame.to_csv(file, index=False)


def draw_predictions(
    folder: Path,
    predictions: pd.DataFrame,
    rows: pd.DataFrame,
    inputs: Mapping[str, Loader],
    target: Target,
) -> None:
    """Draw `predictions.png`, `wrong.png`, and for a class `confusion.png`.

    Args:
        folder: The folder of the run.
        predictions: What `Bundle.predict` returns of the rows.
        rows: The rows.
        inputs: Input name -> loader, for the rows that are drawn.
        target: The target.
    """
    if target.one_class:
        truth = classes_where_known(target, rows)
        # Leaves out rows whose class the model cannot know.
        said = predictions.iloc[:, 0].to_numpy(object)[truth >= 0]
        names = target.class_names
        classes = [names[one] for one in truth[truth >= 0]]
        plot_confusion(classes, said, names).savefig(folder / "confusion.png")
    sequence = MultimodalSequence(rows, inputs, target)
    plots.plot_predictions(sequence, predictions).savefig(folder / "predictions.png")
    plots.plot_predictions(sequence, predictions, only_wrong=True).savefig(folder / "wrong.png")


def write_reliability(folder: Path, found: Reliability | None) -> None:
    """Write the reliability diagram of the test rows, if the target has classes."""
    if found is None:
        (folder / "reliability.png").unlink(missing_ok=True)
    else:
        found.plot().savefig(folder / "reliability.png")


def remove_stale(
    folder: Path,
    target: Target,
    *,
    lost: bool,
    resumable: bool,
    folds: bool = False,
    searched: bool = False,
) -> None:
    """Remove results of an earlier run with this name that this one does not write; other files
    stay.

    Args:
        folder: The folder of the run, with its results already written.
        target: The target.
        lost: Whether rows were left out, which are listed in `failures.csv`.
        resumable: Whether the run keeps the states for `--resume`.
        folds: Whether the run is one of folds, each with a history of its own.
        searched: Whether it is a search, whose trials are listed.
    """
    single = ("history.csv", "curves.png")
    for name in single if folds else ("out_of_fold.csv",):
        (folder / name).unlink(missing_ok=True)
    if not target.one_class:
        (folder / "confusion.png").unlink(missing_ok=True)
    if not lost:
        (folder / "failures.csv").unlink(missing_ok=True)
    if not searched:
        for name in SEARCHED:
            (folder / name).unlink(missing_ok=True)
    if not resumable:
        for file in (*folder.glob("state/*/state-*.npz"), *folder.glob(f"state/*/{KEPT}")):
            file.unlink()
        for place in (*folder.glob("state/*/"), folder / "state"):
            # If the user keeps files in the folder, it stays.
            with suppress(OSError):
                place.rmdir()


def _name_units(curves: Figure, units: str) -> None:
    for axes in curves.axes:
        # The loss of numbers is a mean squared error; the metrics are in plain units.
        squared = "squared " if axes.get_title(loc="left") == "loss" else ""
        words = readable(f"in {squared}{units}")
        axes.set_ylabel(words, color=GREY, parse_math=False, family=fonts())


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write `metrics.json`; numbers that are not finite become null, because JSON does not have
    them.
    """
    text = json.dumps(finite(metrics), indent=1, ensure_ascii=False)
    # Paths from the command line may hold bytes of another encoding, which Python keeps as
    # surrogates.
    (folder / "metrics.json").write_text(f"{text}\n", "utf-8", "surrogateescape")
