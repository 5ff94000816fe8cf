"""Which labels to name as likely wrong: the rule of `audit` and those of cleanlab.

    python -m benchmarks.label_rules --data ../shared/data/fashion

`label_errors.py` plants wrong labels in training rows. The rows are ranked by out-of-fold
probabilities of TF-IDF and logistic regression, and of our linear probe on n-grams, five folds
each. Shown are the share of planted ones among as many rows at the top as were planted, and how
many rows are named without knowing that number. Where cleanlab is installed, it ranks and names by
the same probabilities. A label that was wrong before counts as a false alarm.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

import multimodal_gen as mg
from benchmarks.label_errors import text_model, with_wrong_labels
from multimodal_gen.inspection.audit.unlikely import probabilities_of, unlikely_labels


class Found(NamedTuple):
    """What one way to look for wrong labels finds.

    Attributes:
        top: Of as many rows at the top of the ranking as were planted, the share of planted ones.
        named: How many rows are named.
        right: The share of planted ones among them.
        found: The share of the planted ones that are named.
    """

    top: float
    named: int
    right: float
    found: float


def by_regression(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Out-of-fold probabilities of TF-IDF and logistic regression on the captions."""
    numbers = text_model(table, "caption", seed)
    return pd.DataFrame(numbers, table.index, sorted(set(table["label"])))


def by_probe(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Those of our linear probe on n-grams of the captions."""
    result = mg.cross_validate(
        table,
        _words,
        mg.ClassLabel.from_values("label", table),
        fit=_probe,
        # Only captions are read here, many of which say nearly the same.
        copies=False,
        seed=seed,
        batch_size=64,
        verbose=0,
    )
    return result.out_of_fold


def _words(train: pd.DataFrame) -> dict[str, mg.Loader]:
    return {"caption": mg.TextLoader.from_texts("caption", train, output_mode="ngrams")}


def _probe(inputs: Any, target: Any, train_data: Any, validation_data: Any) -> Any:
    return mg.fit_linear_probe(inputs, target, train_data, validation_data, verbose=0)


def ours(table: pd.DataFrame, predictions: pd.DataFrame, wrong: np.ndarray) -> Found:
    """What an audit finds by these predictions."""
    target = mg.ClassLabel.from_values("label", table)
    probabilities = probabilities_of(predictions, table, target)
    ranking = unlikely_labels(table, target, probabilities).ranking
    order = table.index.get_indexer(ranking.index)
    return _found(order, order[ranking["unlikely"].to_numpy()], wrong)


def theirs(
    table: pd.DataFrame, predictions: pd.DataFrame, wrong: np.ndarray
) -> Iterator[tuple[str, Found]]:
    """What cleanlab finds by them: its way to rank, with each of two ways to name rows."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    names, codes = np.unique(table["label"], return_inverse=True)
    numbers = predictions[list(names)].to_numpy("float64")
    order = np.argsort(get_label_quality_scores(codes, numbers), kind="stable")
    for way in ("prune_by_noise_rate", "both"):
        named = np.flatnonzero(find_label_issues(codes, numbers, filter_by=way, n_jobs=1))
        yield way, _found(order, named, wrong)


def _found(order: np.ndarray, named: np.ndarray, wrong: np.ndarray) -> Found:
    right = wrong[named].mean() if len(named) else 0.0
    return Found(
        wrong[order[: wrong.sum()]].mean(), len(named), right, wrong[named].sum() / wrong.sum()
    )


def measure(
    data: Path, seed: int, ways: dict[str, Callable], caption: str = "caption"
) -> dict[tuple[str, str], Found]:
    """Plant wrong labels, predict, rank.

    Args:
        data: A folder with images/ and data.csv.
        seed: Fixes which labels are planted, and the folds.
        ways: Name -> function that predicts.
        caption: The column of the captions.

    Returns:
        (predictions, ranking) -> what is found.
    """
    table = mg.read_table(data / "data.csv")
    if "split" in table:
        table = table[table["split"] == "train"]
    table = table.assign(caption=table[caption].fillna("")).reset_index(drop=True)
    table, wrong = with_wrong_labels(table, seed)
    found = {}
    for name, predict in ways.items():
        predictions = predict(table, seed)
        found[name, "audit"] = ours(table, predictions, wrong)
        if importlib.util.find_spec("cleanlab") is not None:
            for way, theirs_found in theirs(table, predictions, wrong):
                found[name, f"cleanlab, {way}"] = theirs_found
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with images/, data.csv")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--caption", default="caption", help="the column of the captions")
    arguments = parser.parse_args()
    ways: dict[str, Callable] = {
        "TF-IDF and logistic regression": by_regression,
        "n-grams, linear probe": by_probe,
    }
    runs = [measure(arguments.data, seed, ways, arguments.caption) for seed in arguments.seeds]
    shown = Table(
        "predictions", "ranked by", "top", "named", "right", "found", title="Wrong labels"
    )
    for key in runs[0]:
        mean = np.mean([run[key] for run in runs], axis=0)
        shares = [f"{mean[place]:.1%}" for place in (0, 2, 3)]
        shown.add_row(*key, shares[0], f"{mean[1]:.0f}", *shares[1:])
    Console().print(shown)


if __name__ == "__main__":
    main()
