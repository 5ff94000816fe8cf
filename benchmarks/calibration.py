"""How far probabilities are from how often they are right, before and after `Bundle.calibrate`.

    python -m benchmarks.calibration --data /data/fashion/data.csv /data/emoji/data.csv

Trains a network on the captions' n-grams with the recipe, calibrates it on the validation rows, and
prints for each table the log loss and the expected calibration error (15 bins of equally many rows)
of the test rows before and after: of the network that the recipe keeps, and of one trained for as
many epochs with `fit` alone. The last column is of sets at 90 %: in how many of the rows they hold
the true class, as mean, least and most of 20 random halves of validation and test rows (one half
sets the limit, the other is counted).
"""

from __future__ import annotations

import argparse
import sys

import keras
import numpy as np
import pandas as pd

import multimodal_gen as mg
from multimodal_gen.loaders.targets.conformal import limit_at, quantiles


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """The mean distance of confidence and accuracy over bins of equally many rows."""
    parts = np.array_split(np.argsort(confidence, kind="stable"), bins)
    gaps = [abs(confidence[one].sum() - right[one].sum()) for one in parts]
    return float(np.sum(gaps) / len(confidence))


def error_of(bundle: mg.Bundle, test: pd.DataFrame, label: str) -> tuple[float, float]:
    """The log loss and the expected calibration error of test rows."""
    target = bundle.target
    assert isinstance(target, mg.ClassLabel)
    predictions = bundle.predict(test)
    right = (predictions["label"] == test[label]).to_numpy("float64")
    confidence = predictions[list(target.class_names)].max(axis=1).to_numpy("float64")
    return bundle.evaluate(test)["log_loss"], calibration_error(confidence, right)


def coverages(bundle: mg.Bundle, rows: pd.DataFrame, label: str) -> np.ndarray:
    """The share of rows whose set at 90 % holds the true class, for 20 random halves."""
    target = bundle.target
    assert isinstance(target, mg.ClassLabel)
    shares = bundle.predict(rows)[list(target.class_names)].to_numpy("float64")
    own = shares[np.arange(len(rows)), target.classes_of(rows[label].tolist())]
    found = []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(rows))
        first, second = own[order[: len(own) // 2]], own[order[len(own) // 2 :]]
        found.append((second >= -limit_at(quantiles(-first), 0.9)).mean())
    return np.array(found)


def measure(path: str, caption: str, label: str, seed: int) -> list[list[str]]:
    """The rows of the table for one file and seed."""
    table = mg.read_table(path).dropna(subset=[caption, label])
    train, validation, test = mg.split_table(table, (0.5, 0.2, 0.3), stratify=label, seed=seed)
    inputs = {"caption": mg.TextLoader.from_texts(caption, train, output_mode="ngrams")}
    target = mg.ClassLabel.from_values(label, train)
    found = []
    for kind in ("recipe", "fit alone"):
        keras.utils.set_random_seed(seed)
        sequence = mg.MultimodalSequence(train, inputs, target, shuffle=True, seed=seed)
        model = mg.build_fusion_classifier(inputs, target)
        if kind == "recipe":
            held_out = sequence.for_evaluation(validation)
            mg.fit_with_recipe(model, target, sequence, held_out, epochs=40, verbose=0)
        else:
            model.compile("adam", loss=target.loss, metrics=target.metrics)
            model.fit(sequence, epochs=40, verbose=0)
        bundle = mg.Bundle(model, inputs, target)
        before = error_of(bundle, test, label)
        calibrated = bundle.calibrate(validation)
        after = error_of(calibrated, test, label)
        assert isinstance(calibrated.target, mg.ClassLabel)
        factors = calibrated.target.calibration
        each = "nothing" if factors is None else "one" if len(set(factors[0])) == 1 else "each"
        held = coverages(calibrated, pd.concat([validation, test]), label)
        words = [f"{one:.3f}" for pair in zip(before, after, strict=True) for one in pair]
        sets = f"{held.mean():.3f} ({held.min():.3f} to {held.max():.3f})"
        found.append([path.split("/")[-2], kind, str(seed), f"{len(test)}", *words, each, sets])
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--caption", default="caption")
    parser.add_argument("--label", default="label")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    columns = ["table", "training", "seed", "test rows", "log loss", "calibrated"]
    columns += ["error", "calibrated error", "factors", "sets at 90 %"]
    rows = [
        row
        for path in given.data
        for seed in given.seeds
        for row in measure(path, given.caption, given.label, seed)
    ]
    sys.stdout.write(pd.DataFrame(rows, columns=columns).to_string(index=False) + "\n")


if __name__ == "__main__":
    main()
