"""How `train`, `evaluate` and `compare` print scores: with their intervals, by class, and their
differences.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from multimodal_gen.cli.console import print_table
from multimodal_gen.cli.option_values import as_score, score_title
from multimodal_gen.cli.progress import ProgressReporter
from multimodal_gen.errors import counted

# Classes of which a table is still read; of more, the worst are printed.
_MOST_CLASSES, _FEWER = 12, 10
_LONGEST_NAME = 25
# Title of each share of the tables by class.
SHARES = {
    "precision": "precision, %",
    "recall": "recall, %",
    "f1": "F1, %",
    "average_precision": "average\nprecision, %",
}


# Of fewer cases than these, a bootstrap's intervals hold the truth too rarely: those of an accuracy
# of .85 in 77, 86, 89 and 91 % of simulated tables of 5, 10, 20 and 30 groups of 2 to 11 rows.
_FEW_CASES = 20


def few_cases(number: int, group: str | None) -> str | None:
    """A line about intervals from few rows or groups; None if there are enough.

    Args:
        number: How many there are.
        group: The column of the groups, or None for rows.
    """
    if number >= _FEW_CASES:
        return None
    which = counted(number, "row") if group is None else f"{counted(number, 'group')} of {group!r}"
    return f"note: these intervals come from {which}: with so few, they are rough and too narrow"


def ends(low: float, high: float, decimals: int = 3) -> str:
    """An interval in words: "0.910 to 0.951"; "none" if there is none."""
    if low != low:
        return "none"
    return f"{as_score(low, decimals)} to {as_score(high, decimals)}"


def noted(scores: Any) -> dict[str, Any]:
    """What `metrics.json` keeps of a `Scores` beside the values.

    Args:
        scores: The `Scores` of one target.

    Returns:
        "intervals": score -> [low, high]; and "by_class": class -> its rows and scores, if there
        are classes.
    """
    # Not above, as it imports NumPy, for which --help would wait.
    from multimodal_gen.rows.cells import shown_name

    found: dict[str, Any] = {
        "intervals": {
            str(name): [float(low), float(high)]
            for name, low, high in scores.overall[["low", "high"]].itertuples()
        }
    }
    tables = scores.by_class if isinstance(scores.by_class, dict) else {"": scores.by_class}
    for target, table in tables.items():
        if table is not None:
            rows = {
                shown_name(name): one for name, one in zip(table.index, _rows(table), strict=True)
            }
            found["by_class"] = found.get("by_class", {}) | ({target: rows} if target else rows)
    return found


def _rows(table: Any) -> Iterable[dict[str, float]]:
    for row in table.to_dict("records"):
        yield {name: int(one) if name == "rows" else float(one) for name, one in row.items()}


def print_classes(console: Console, by_class: Mapping[str, Mapping[str, float]], file: str) -> None:
    """Print the table by class: all of up to twelve, or the ten with the lowest F1.

    Args:
        console: The output.
        by_class: As `noted` returns it, for one target.
        file: Where the whole table is.
    """
    if not by_class:
        return
    names = list(by_class)
    shown = [name for name in SHARES if name in by_class[names[0]]]
    # Only labels, of which a row may have several, have an average precision.
    one, several = ("label", "labels") if "average_precision" in shown else ("class", "classes")
    title = f"By {one}, each with its 95 % interval"
    if len(names) > _MOST_CLASSES:
        worst = sorted(names, key=lambda name: _or(by_class[name]["f1"], math.inf))[:_FEWER]
        title = f"The {_FEWER} of {len(names):,} {several} with the lowest F1 ({file} has all)"
        names = worst
    rows = [
        (
            _short(name),
            int(by_class[name]["rows"]),
            *(_share(by_class[name], score) for score in shown),
        )
        for name in names
    ]
    print_table(console, title, (one, "rows", *(SHARES[one] for one in shown)), rows, keep=True)


def _or(value: float, other: float) -> float:
    # A score, or what stands for one that cannot be computed: it is neither the worst nor the best.
    return other if math.isnan(value) else value


def _short(name: str) -> str:
    # Long names often begin alike, as paths of a catalog do.
    half = (_LONGEST_NAME - 3) // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}...{name[-half:]}"


def _share(row: Mapping[str, float], score: str) -> str:
    value, low, high = (100 * row[one] for one in (score, f"{score}_low", f"{score}_high"))
    return "none" if value != value else f"{value:.0f} ({low:.0f}-{high:.0f})"


def differences(
    kind: str, shown: Sequence[str], judged: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The whole model against the best of the single inputs, for `--ablate`.

    Args:
        kind: The name of the main score, such as "balanced_accuracy".
        shown: The scores that tables show.
        judged: Name of what was trained on -> its `Scores`, the whole model first.

    Returns:
        Score -> "than", the single input with the best value, "rows", "groups", and the columns of
        `Scores.minus`; for the main score, or for that of each of several numbers.
    """
    (whole, scores), *singles = judged.items()
    found: dict[str, dict[str, Any]] = {}
    for score in shown:
        if score.split(".")[-1] != kind or not singles:
            continue
        # A score that cannot be computed is not the best.
        best, other = max(singles, key=lambda one: _or(one[1].overall["value"][score], -math.inf))
        row = {name: float(one) for name, one in scores.minus(other).loc[score].items()}
        found[score] = {"of": whole, "than": best, **row}
        found[score] |= {"rows": scores.rows, "groups": scores.groups}
    return found


def difference_in_words(score: str, found: Mapping[str, Any]) -> str:
    """A line about a difference, and what it shows.

    Args:
        score: Its score.
        found: As `differences` returns it.
    """
    value, low, high = (found[name] for name in ("difference", "low", "high"))
    said = f"{found['of']} against {found['than']}: {score_title(score)}"
    if value != value or low != low:
        return f"{said} cannot be compared"
    many = (
        counted(found["groups"], "group")
        if found["groups"] < found["rows"]
        else counted(found["rows"], "row")
    )
    if low <= 0 <= high:
        verb = "shows" if many.startswith("1 ") else "can show"
        shows = f"no difference that {many} {verb}"
    else:
        shows = f"more than chance in {many}"
    return f"{said} {value:+,.3f} (95 % interval {low:+,.3f} to {high:+,.3f}): {shows}"


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
            *(_with_ends(one[score], details["intervals"][trained_on][score]) for score in shown),
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
    shown, intervals = details["shown"], details["intervals"]
    probed = any("kept" in one for one in details["scores"].values())
    rows = [
        (
            name,
            *([one.get("kept", "")] if probed else []),
            *(_with_ends(one[score], intervals.get(name, {}).get(score)) for score in shown),
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


def _with_ends(value: float, interval: Sequence[float] | None) -> str:
    said = as_score(value)
    return said if interval is None else f"{said}\n{ends(interval[0], interval[1])}"
