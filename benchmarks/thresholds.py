"""What thresholds of labels do for F1 on rows that had no part in them.

    python -m benchmarks.thresholds --data ../shared/data/fashion

The labels of a row are its category, colour and use. A network reads the captions' n-grams, and
`choose_thresholds` decides by validation rows. Printed are the F1 of all decisions ("micro") and
the mean F1 of the labels ("macro") on the test rows, at 0.5, with the best threshold of each label,
and with `choose_thresholds`; each with its 95 % interval over test rows, and what
`choose_thresholds` gains over 0.5 on the same resamples.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd

import multimodal_gen as mg
from benchmarks.report import Report, add_arguments, publish
from multimodal_gen.bundle.held_out import held_out
from multimodal_gen.bundle.judging.resamples import interval_of, resamples_of
from multimodal_gen.loaders.targets.label_thresholds import own_thresholds

COLUMNS = ("label", "colour", "usage")
CAPTIONS = {"masked": "caption_masked", "whole": "caption"}
TRAINING, VALIDATION, RESAMPLES = {"masked": 1050, "whole": 2100}, 450, 1000
BEFORE, BEST, AFTER = "at 0.5", "best of each label", "choose_thresholds"


def labelled(folder: Path) -> pd.DataFrame:
    """The table with all labels of a row in one column."""
    table = mg.read_table(folder / "data.csv").dropna(subset=[*COLUMNS, *CAPTIONS.values()])
    return table.assign(labels=table[list(COLUMNS)].agg("|".join, axis=1))


def network(
    train: pd.DataFrame, validation: pd.DataFrame, caption: str, weight: Any, seed: int
) -> mg.Bundle:
    """A network on n-grams, trained with the recipe."""
    inputs = {"caption": mg.TextLoader.from_texts(caption, train, output_mode="ngrams")}
    target = mg.MultiLabel.from_values("labels", train, separator="|", positive_weight=weight)
    keras.utils.set_random_seed(seed)
    data = mg.MultimodalSequence(train, inputs, target, shuffle=True, seed=seed)
    model = mg.build_fusion_classifier(inputs, target)
    mg.fit_with_recipe(model, target, data, data.for_evaluation(validation), verbose=0)
    return mg.Bundle(model, inputs, target)


def resampled_f1(truth: np.ndarray, said: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`(2, resamples)`: the F1 of all decisions, and the mean of the labels that a resample has."""
    hits, claims, there = (
        counts @ one.astype("float64") for one in (truth & said, said, truth.astype(bool))
    )
    micro = 2 * hits.sum(axis=1) / (claims + there).sum(axis=1)
    # A label that no row has and that is said of none has no F1, as in `MultiLabel.score`.
    each = 2 * hits / np.where(claims + there > 0, claims + there, np.nan)
    return np.stack([micro, np.nanmean(each, axis=1)])


def measure(table: pd.DataFrame, kind: str, weight: Any, seed: int) -> dict[str, Any]:
    """The F1 of one seed: name -> (micro, macro) of `(1 + resamples,)`, the first of all rows."""
    rows, caption = TRAINING[kind], CAPTIONS[kind]
    order = np.random.default_rng(seed).permutation(len(table))
    train, validation, test = (
        table.iloc[one] for one in np.split(order, [rows, rows + VALIDATION])
    )
    known = set(train["labels"].str.split("|").explode())
    validation, test = (
        part[[set(one.split("|")) <= known for one in part["labels"]]]
        for part in (validation, test)
    )
    bundle = network(train, validation, caption, weight, seed)
    ((_, held),) = held_out(bundle, validation, 64, 0, "raise").by_target
    ((_, new),) = held_out(bundle, test, 64, 0, "raise").by_target
    truth = np.asarray(new.truth) > 0.5
    halves = np.full(truth.shape[1], 0.5)
    thresholds = {
        BEFORE: halves,
        BEST: own_thresholds(np.asarray(held.truth) > 0.5, held.outputs, halves),
        AFTER: np.array(held.target.decided_by(held.truth, held.outputs).thresholds),
    }
    counts = np.concatenate(
        [np.ones((1, len(truth))), *resamples_of(np.arange(len(truth)), RESAMPLES, seed)]
    )
    return {
        "rows": len(truth),
        "labels": truth.shape[1],
        **{
            name: resampled_f1(truth, new.outputs > own, counts) for name, own in thresholds.items()
        },
    }


def line(kind: str, weight: Any, found: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The lines of one setting: means over the seeds, and their intervals."""
    means = {name: np.mean([one[name] for one in found], axis=0) for name in (BEFORE, BEST, AFTER)}
    lines = []
    for place, name in enumerate(("micro F1", "macro F1")):
        own = [means[one][place] for one in (BEFORE, BEST, AFTER)]
        gain = own[2] - own[0]
        setting = f"{kind}, {TRAINING[kind]:,}, {weight or 'none'}"
        lines.append([setting, name, *map(_shown, own), _shown(gain, "+")])
    return lines


def _shown(values: np.ndarray, sign: str = "") -> str:
    low, high = interval_of(values[1:])
    return f"{values[0]:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of fashion")
    parser.add_argument("--captions", nargs="+", choices=CAPTIONS, default=list(CAPTIONS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add_arguments(parser)
    given = parser.parse_args(arguments)
    table = labelled(given.data)
    rows: list[list[str]] = []
    figures: dict[str, Any] = {}
    for kind in given.captions:
        for weight in (None, "balanced"):
            found = [measure(table, kind, weight, seed) for seed in given.seeds]
            rows += line(kind, weight, found)
            figures[f"{kind}, {weight}"] = [
                {name: one[name][:, 0].tolist() for name in (BEFORE, BEST, AFTER)} for one in found
            ]
    notes = [
        f"Means of {len(given.seeds)} seeds; {VALIDATION} validation rows; about "
        f"{found[0]['rows']:,} test rows and {found[0]['labels']} labels. In brackets the 95 % "
        f"interval over test rows, {RESAMPLES:,} resamples of those of each seed."
    ]
    columns = ("captions, training rows, weight", "score", BEFORE, BEST, AFTER, "gain over 0.5")
    title = "Thresholds of labels"
    publish(Report("thresholds", title, columns, rows, notes, figures), given)


if __name__ == "__main__":
    main()
