"""What `--target` means: the target made from the training rows, and the scores that summarize the
result.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.loaders import ClassLabel, MultiLabel, NumericTarget
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.variants import LabelWarning
from multimodal_gen.rows.cells import cell_text, shown_name

# The scores that tables show for each kind of target; the first one is at the top of
# `metrics.json`.
_SHOWN = {
    "class": ("balanced_accuracy", "accuracy"),
    "number": ("r2", "mean_absolute_error"),
    "labels": ("mean_average_precision", "macro_f1"),
}
_MOST_NAMES = 10


def make_target(
    settings: DataSettings, train: pd.DataFrame, rows: pd.DataFrame | None = None
) -> ClassLabel | NumericTarget | MultiLabel:
    """The target.

    Args:
        settings: The settings.
        train: The training rows, whose statistics standardise numbers.
        rows: The rows that contain all classes; by default the training rows.

    Raises:
        ValueError: If a cell is missing or does not match `--target`.
    """
    names = list(settings.label)
    column = names[0] if len(names) == 1 else names
    rows = train if rows is None else rows
    with warnings.catch_warnings():
        # `check_classes` says the same in the words of the command line.
        warnings.simplefilter("ignore", LabelWarning)
        if settings.target == "class":
            return ClassLabel.from_values(settings.label[0], rows)
        if settings.target == "number":
            return NumericTarget.from_values(column, train)
        return MultiLabel.from_values(column, rows, separator=settings.separator)


def class_called(text: str, target: Target) -> Any:
    """The class that `--positive` names, as in `class_names`.

    Raises:
        ValueError: If there is none.
    """
    names = getattr(target, "class_names", ())
    for name in names:
        # The command line gives texts, while classes may be numbers.
        if cell_text(name) == text:
            return name
    raise ValueError(
        f"--positive must name one of the classes: {', '.join(map(cell_text, names))}. Received: "
        f"--positive {text}"
    )


def in_words(target: Target) -> str:
    """A line that describes the target."""
    if target.class_names:
        names = target.class_names
        kind = "classes" if target.one_class else "labels"
        shown = ", ".join(map(_in_a_list, names[:_MOST_NAMES]))
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        return f"  {kind:<9} {len(names)}: {shown}{more}"
    assert isinstance(target, NumericTarget)
    each = [
        f"{name} (mean {mean:.4g}, deviation {scale:.4g})"
        for name, mean, scale in zip(target.names, target.mean, target.scale, strict=True)
    ]
    return f"  {'numbers':<9} {', '.join(each[:_MOST_NAMES])}"


def _in_a_list(name: Any) -> str:
    # A separator in a class would look like the end of the class.
    text = str(name)
    return repr(text) if any(one in text for one in ",;|") else shown_name(name)


def shown_scores(kind: str, scores: Sequence[str]) -> list[str]:
    """The names of the scores that a table shows; with several numbers, each has its own.

    Args:
        kind: "class", "number" or "labels".
        scores: The names of all scores.
    """
    return [
        name
        for wanted in _SHOWN[kind]
        for name in scores
        if name == wanted or name.endswith(f".{wanted}")
    ]


def main_score(kind: str, scores: Mapping[str, float]) -> float | None:
    """The main score: for several numbers, the mean; None if it cannot be computed."""
    values = [
        scores[name]
        for name in shown_scores(kind, list(scores))
        if name.split(".")[-1] == _SHOWN[kind][0]
    ]
    mean = sum(values) / len(values)
    return mean if math.isfinite(mean) else None


def score_name(kind: str) -> str:
    """The name of the main score."""
    return _SHOWN[kind][0]
