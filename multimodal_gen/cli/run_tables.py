"""What `train` and `train --folds` print last: scores of each model or fold, and by class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimodal_gen.cli.console import print_table
from multimodal_gen.cli.option_values import as_score, score_title
from multimodal_gen.cli.progress import ProgressReporter
from multimodal_gen.cli.score_tables import (
    difference_in_words,
    few_cases,
    print_classes,
    with_ends,
)


def print_run(reporter: ProgressReporter, details: Mapping[str, Any], folder: Path) -> None:
    """Print the scores at the end of `train`: of each model, what they differ by, and by class.

    Args:
        reporter: The output.
        details: The details of `metrics.json`.
        folder: The folder of the run.
    """
    shown = details["shown"]
    # Of a model with a probe beside it, which of the two is scored here, and saved.
    probed = any("kept" in one for one in details["scores"].values())
    rows = [
        (
            trained_on,
            *([one.get("kept", "network")] if probed else []),
            *(with_ends(one[score], *details["intervals"][trained_on][score]) for score in shown),
            f"{one['seconds']:.0f}",
        )
        for trained_on, one in details["scores"].items()
    ]
    kept = ["model kept"] if probed else []
    columns = ("trained on", *kept, *map(score_title, shown), "seconds")
    print_table(reporter.console, "Scores on the test rows, with 95 % intervals", columns, rows)
    for score, found in details["differences"].items():
        reporter.say(difference_in_words(score, found))
    _note_few(reporter, details, "test")
    by_class: dict[str, Any] = next(iter(details["by_class"].values()), {})
    for found in list(details["calibration"].values())[:1]:
        reporter.say(calibration_in_words(found))
    _print_ends(reporter, by_class, details, folder)


def _print_ends(
    reporter: ProgressReporter,
    by_class: Mapping[str, Any],
    details: Mapping[str, Any],
    folder: Path,
) -> None:
    # What `train` and `train --folds` print last.
    file = str(folder / "metrics.json")
    print_classes(reporter.console, by_class, file)
    # Not above, as it imports Keras, for which --help would wait.
    from multimodal_gen.cli.importance import print_importance

    print_importance(reporter.console, details["importance"], file)


def _note_few(reporter: ProgressReporter, details: Mapping[str, Any], part: str) -> None:
    line = few_cases(details["groups"][part], details["settings"]["group"])
    if line is not None:
        reporter.say(line)


def calibration_in_words(found: Mapping[str, float]) -> str:
    """A line about what `sureness.noted_calibration` has kept."""
    return (
        f"Probabilities of the test rows: expected calibration error {found['error']:.3f} (95 % "
        f"interval {found['low']:.3f} to {found['high']:.3f}); chance alone would give "
        f"{found['chance']:.3f}"
    )


def print_folds(reporter: ProgressReporter, details: Mapping[str, Any], folder: Path) -> None:
    """Print the scores at the end of `train --folds`.

    Args:
        reporter: The output.
        details: The details of `metrics.json`.
        folder: The folder of the run.
    """
    shown, intervals = details["shown"], details["intervals_of_folds"] | details["intervals"]
    probed = any("kept" in one for one in details["scores"].values())
    rows = [
        (
            name,
            *([one.get("kept", "")] if probed else []),
            *(
                with_ends(one[score], *intervals[name][score])
                if name in intervals
                else as_score(one[score])
                for score in shown
            ),
            _whole(one.get("seconds")),
        )
        for name, one in details["scores"].items()
    ]
    title = "Scores of rows by models that were not trained on them, with 95 % intervals"
    kept = ["model kept"] if probed else []
    columns = ("rows", *kept, *map(score_title, shown), "seconds")
    print_table(reporter.console, title, columns, rows)
    _note_few(reporter, details, "folds")
    main = details["score"]
    if main in details["summary"]:
        mean, error = (details["summary"][main][name] for name in ("mean", "standard_error"))
        reporter.say(
            f"{score_title(main)}: {mean:.3f} as the mean of the folds, with a standard error of "
            f"{error:.3f}; every prediction is in {folder / 'out_of_fold.csv'}"
        )
    by_class: dict[str, Any] = next(iter(details["by_class"].values()), {})
    _print_ends(reporter, by_class, details, folder)


def _whole(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f}"
