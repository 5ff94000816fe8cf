"""Scores in words and tables: with their intervals, by class, and their differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console

from multimodal_gen.cli.console import print_table
from multimodal_gen.cli.option_values import as_score, score_title
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


def with_ends(value: float, low: float, high: float) -> str:
    """A score, and in a second line its interval."""
    return f"{as_score(value)}\n{ends(low, high)}"


def scores_in_words(scores: Any, shown: Sequence[str]) -> str:
    """Scores with their intervals in a line.

    Args:
        scores: As `Scores.overall` has them.
        shown: Which, in this order.
    """
    return ", ".join(
        f"{score_title(one)} {as_score(scores['value'][one])} "
        f"({ends(scores['low'][one], scores['high'][one])})"
        for one in shown
    )


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
    return f"{said} {value:+z,.3f} (95 % interval {low:+z,.3f} to {high:+z,.3f}): {shows}"
