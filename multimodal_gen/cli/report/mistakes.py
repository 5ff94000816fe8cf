"""The worst test rows of a run, and why the model said what it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_gen.bundle.bundle import Bundle
from multimodal_gen.bundle.explaining.pictures import picture_source
from multimodal_gen.bundle.explaining.results import Explanation
from multimodal_gen.bundle.folds.result import CrossValidation
from multimodal_gen.inspection.verdicts import verdicts_on
from multimodal_gen.loaders.targets.base import Target
from multimodal_gen.loaders.targets.judgement import Judgement
from multimodal_gen.loaders.targets.numbers import NumericTarget
from multimodal_gen.rows.table import cells_of

# How many rows are explained; if none is wrong, of those that the model is least sure of.
_MOST, _LEAST_SURE = 12, 4
# An explanation runs an encoder of pictures some 70 times for each row, so there are fewer of
# them: at most one for each hundred test rows, which is less than encoding the table takes.
_ENCODED, _ROWS_FOR_ONE = 4, 100


@dataclass(frozen=True)
class Mistake:
    """A row.

    Args:
        said: What the model says of it.
        true: What is so.
        explanation: Why the model says it.
    """

    said: str
    true: str
    explanation: Explanation


@dataclass(frozen=True)
class Mistakes:
    """The worst rows.

    Args:
        title: How many rows are right, or how large errors are.
        wrong: How many rows are wrong; None for numbers, which are never quite right.
        rows: The worst of them, the worst first; if none is wrong, those that the model is least
            sure of.
        background: What stood for inputs that explanations leave out, in words.
    """

    title: str
    wrong: int | None
    rows: Sequence[Mistake]
    background: str


def mistakes_of(
    bundle: Bundle, test: pd.DataFrame, predictions: pd.DataFrame, train: pd.DataFrame
) -> Mistakes:
    """Find the worst rows and explain them.

    Args:
        bundle: The model.
        test: The test rows.
        predictions: What the model says of them.
        train: The training rows, which stand for inputs that are left out.
    """

    def explain(rows: pd.DataFrame, of: Any) -> tuple[Sequence[Explanation], str]:
        found = bundle.explain(rows, of=of, background=train)
        return [*found], found.background

    return _mistakes(bundle, test, predictions, explain)


def mistakes_of_folds(result: CrossValidation, table: pd.DataFrame) -> Mistakes:
    """Find the worst predictions out of fold, and explain each by the model that made it.

    Args:
        result: The cross-validation.
        table: Its rows.
    """
    fold = result.out_of_fold.iloc[:, 0]

    def explain(rows: pd.DataFrame, of: Any) -> tuple[Sequence[Explanation], str]:
        found: dict[Any, Explanation] = {}
        background = ""
        for number, own in rows.groupby(fold.loc[rows.index].to_numpy()):
            others = table[(fold != number).to_numpy()]
            bundle = result.bundles[int(str(number)) - 1]
            explained = bundle.explain(own, of=of, background=others)
            found |= zip(own.index, explained, strict=True)
            background = explained.background
        return [found[row] for row in rows.index], background

    return _mistakes(result.bundles[0], table, result.out_of_fold.iloc[:, 1:], explain)


def _mistakes(
    bundle: Bundle,
    test: pd.DataFrame,
    predictions: pd.DataFrame,
    explain: Callable[[pd.DataFrame, Any], tuple[Sequence[Explanation], str]],
) -> Mistakes:
    target = bundle.target
    assert isinstance(target, Target)
    verdicts = verdicts_on(target, test, predictions)
    judgement = target.judge(cells_of(test, target.column), predictions)
    # Targets that do not judge are refused above.
    assert judgement is not None
    most = _MOST
    if any(source and source[1] for source in map(picture_source, bundle.inputs.values())):
        most = min(_ENCODED, max(1, len(test) // _ROWS_FOR_ONE))
    chosen = verdicts.worst_first[:most]
    if not len(chosen) and target.one_class:
        sure = np.argsort(judgement.badness, kind="stable")
        chosen = sure[: min(most, _LEAST_SURE)]
    wrong = None if judgement.right is None else int((~judgement.right).sum())
    if not len(chosen):
        return Mistakes(judgement.title, wrong, [], "")
    rows, own = test.iloc[chosen], predictions.iloc[chosen]
    of = _explained(target, rows, own)
    found: dict[int, Explanation] = {}
    background = ""
    for one in dict.fromkeys(of):
        places = [place for place, other in enumerate(of) if other == one]
        explained, background = explain(rows.iloc[places], one)
        found |= zip(places, explained, strict=True)
    said = [_said(judgement, int(row)) for row in chosen]
    if target.one_class:
        said = [
            (one, f"{true}{_share(target, rows.iloc[[place]], own.iloc[place])}")
            for place, (one, true) in enumerate(said)
        ]
    mistakes = [Mistake(*words, found[place]) for place, words in enumerate(said)]
    return Mistakes(judgement.title, wrong, mistakes, background)


def _explained(target: Target, rows: pd.DataFrame, predictions: pd.DataFrame) -> list[Any]:
    # What is explained of each row: the predicted class, or the label or number that is most off.
    columns = list(target.decode_outputs(np.zeros((1, *target.output_shape), "float32")))
    names = list(target.class_names) or columns
    if target.one_class or len(names) == 1:
        return [None] * len(rows)
    said = predictions[columns[len(columns) - len(names) :]].to_numpy("float64")
    true = np.stack([target.read(cell) for cell in cells_of(rows, target.column)])
    if isinstance(target, NumericTarget):
        said = (said - target.mean) / target.scale
    return [names[place] for place in np.abs(said - true).argmax(axis=1)]


def _said(judgement: Judgement, row: int) -> tuple[str, str]:
    words = judgement.words(row)
    if judgement.right is None:
        # What was said of each number and what is so, and how far off that is.
        return "; ".join(words[:-1]), words[-1]
    return words[0], words[1]


def _share(target: Target, row: pd.DataFrame, said: pd.Series) -> str:
    # The probability of the true class.
    (place,) = target.classes_of(cells_of(row, target.column))
    # After the prediction, the probabilities come in the order of the classes.
    return "" if place < 0 else f" ({float(said.iloc[1 + place]):.0%})"
