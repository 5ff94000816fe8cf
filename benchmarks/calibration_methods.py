"""Ways to make probabilities right, fitted on validation rows and judged on test rows.

    python -m benchmarks.calibration_methods --data /data/emoji/data.csv --seeds 0 1 2 3 4

For each seed the table is split into train, validation and test rows, and three networks are
trained on the captions' n-grams: one with the recipe, one that smooths its labels by 0.05, and one
for many more epochs than the recipe would, without early stopping or weighted heads. Two more with
the recipe make an ensemble of three. Each way to calibrate sees the validation rows only. Printed
are means over the seeds of the log loss and the expected calibration error of the test rows (15
bins of equally many rows), what perfect probabilities would have by chance, how much lower the
error is than the uncalibrated one, with its standard error over the seeds, and how much lower the
log loss is, as mean and for the seed where that is least.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

import multimodal_gen as mg
from multimodal_gen.bundle.judging.reliability import reliability_of_rows
from multimodal_gen.loaders.targets.calibration import fit_scaling, scaled

Way = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
_FOLDS = 5


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def loss_of(shares: np.ndarray, classes: np.ndarray) -> float:
    """The log loss."""
    own = shares[np.arange(len(shares)), classes]
    return float(-np.log(np.clip(own, 1e-7, 1)).mean())


def logs(shares: np.ndarray) -> np.ndarray:
    """Logits about their mean."""
    found = np.log(np.clip(shares, 1e-7, 1))
    return np.asarray(found - found.mean(axis=1, keepdims=True))


def nothing(shares: np.ndarray, classes: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Probabilities as they are."""
    return new


def ours(shares: np.ndarray, classes: np.ndarray, new: np.ndarray) -> np.ndarray:
    """What `Bundle.calibrate` does."""
    truth = np.eye(shares.shape[1])[classes]
    return scaled(new, fit_scaling(truth, shares, exclusive=True), exclusive=True)


def temperature(shares: np.ndarray, classes: np.ndarray, new: np.ndarray) -> np.ndarray:
    """One factor (Guo and others, 2017)."""
    rows = np.arange(len(classes))

    def loss(numbers: np.ndarray) -> float:
        return loss_of(softmax(logs(shares) * np.exp(numbers[0])), classes[rows])

    found = minimize(loss, np.zeros(1), method="Nelder-Mead").x
    return softmax(logs(new) * np.exp(found[0]))


def linear(
    shares: np.ndarray, classes: np.ndarray, off: float, away: float
) -> tuple[np.ndarray, np.ndarray]:
    """A matrix and shifts for the logits, with a penalty on what is off the diagonal."""
    rows, number = shares.shape
    logits, truth, start = logs(shares), np.eye(number)[classes], np.eye(number)
    weights = np.where(start > 0, away, off)

    def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        matrix, shifts = numbers[: number**2].reshape(number, number), numbers[number**2 :]
        found = softmax(logits @ matrix + shifts)
        wrong, moved = (found - truth) / rows, matrix - start
        total = loss_of(found, classes) + (weights * moved**2).sum() + away * (shifts**2).sum()
        gradient = logits.T @ wrong + 2 * weights * moved
        return total, np.r_[gradient.ravel(), wrong.sum(axis=0) + 2 * away * shifts]

    begin = np.r_[start.ravel(), np.zeros(number)]
    found = minimize(loss, begin, jac=True, method="L-BFGS-B").x
    return found[: number**2].reshape(number, number), found[number**2 :]


def vector(shares: np.ndarray, classes: np.ndarray, new: np.ndarray) -> np.ndarray:
    """A factor and a shift for each class, without any choice."""
    matrix, shifts = linear(shares, classes, 1e6, 1e-3)
    return softmax(logs(new) @ matrix + shifts)


def dirichlet(shares: np.ndarray, classes: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Dirichlet calibration (Kull and others, 2019); cross-validation chooses the penalty."""
    order = np.random.default_rng(0).permutation(len(classes))
    losses = {}
    for penalty in (1e-3, 1e-2, 1e-1, 1.0):
        found = np.empty_like(shares, dtype="float64")
        for fold in range(_FOLDS):
            out = order[fold::_FOLDS]
            rest = np.setdiff1d(order, out)
            matrix, shifts = linear(shares[rest], classes[rest], penalty, penalty / 10)
            found[out] = softmax(logs(shares[out]) @ matrix + shifts)
        losses[penalty] = loss_of(found, classes)
    best = min(losses, key=lambda one: losses[one])
    matrix, shifts = linear(shares, classes, best, best / 10)
    return softmax(logs(new) @ matrix + shifts)


def with_confidence(shares: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Probabilities whose largest is another one, and the others in their proportions."""
    top, found = shares.argmax(axis=1), shares.astype("float64").copy()
    rows = np.arange(len(shares))
    confidence = np.clip(confidence, 1e-3, 1 - 1e-6)
    rest = np.maximum(1 - found[rows, top], 1e-9)
    found *= ((1 - confidence) / rest)[:, None]
    found[rows, top] = confidence
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def isotonic(shares: np.ndarray, classes: np.ndarray, new: np.ndarray) -> np.ndarray:
    """A rising step function of the largest probability; cross-validation mixes in the identity."""
    said, right = shares.max(axis=1), (shares.argmax(axis=1) == classes).astype("float64")
    order = np.random.default_rng(0).permutation(len(classes))
    own = np.empty(len(classes))
    for fold in range(_FOLDS):
        out = order[fold::_FOLDS]
        rest = np.setdiff1d(order, out)
        fitted = IsotonicRegression(out_of_bounds="clip").fit(said[rest], right[rest])
        own[out] = fitted.predict(said[out])
    mixes = np.linspace(0, 1, 11)
    errors = [(((1 - one) * said + one * own - right) ** 2).mean() for one in mixes]
    mix = mixes[int(np.argmin(errors))]
    fitted = IsotonicRegression(out_of_bounds="clip").fit(said, right)
    confidence = new.max(axis=1)
    return with_confidence(new, (1 - mix) * confidence + mix * fitted.predict(confidence))


def histogram(shares: np.ndarray, classes: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The share that is right in ten bins (Zadrozny and Elkan, 2001), shrunk by ten rows."""
    said, right = shares.max(axis=1), (shares.argmax(axis=1) == classes).astype("float64")
    edges = np.quantile(said, np.linspace(0, 1, 11)[1:-1])
    places, confidence = np.searchsorted(edges, said), new.max(axis=1)
    rows = np.bincount(places, minlength=10)
    shift = np.bincount(places, right - said, minlength=10) / (rows + 10)
    return with_confidence(new, confidence + shift[np.searchsorted(edges, confidence)])


WAYS: dict[str, Way] = {
    "nothing": nothing,
    "Bundle.calibrate": ours,
    "temperature": temperature,
    "vector scaling": vector,
    "Dirichlet, penalty by folds": dirichlet,
    "isotonic, mixed by folds": isotonic,
    "histogram, shrunk": histogram,
}


def network(
    kind: str,
    parts: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    inputs: dict[str, mg.TextLoader],
    target: mg.ClassLabel,
    seed: int,
    past: int,
) -> list[np.ndarray]:
    """The probabilities of validation and test rows."""
    train, validation, _ = parts
    keras.utils.set_random_seed(seed)
    sequence = mg.MultimodalSequence(train, inputs, target, shuffle=True, seed=seed)
    model = mg.build_fusion_classifier(inputs, target)
    if kind == "past":
        model.compile("adam", loss=target.loss)
        model.fit(sequence, epochs=past, verbose=0)
    else:
        held_out = sequence.for_evaluation(validation)
        mg.fit_with_recipe(model, target, sequence, held_out, epochs=40, verbose=0)
    bundle = mg.Bundle(model, inputs, target)
    names = list(target.class_names)
    return [bundle.predict(part)[names].to_numpy("float64") for part in parts[1:]]


def measure(table: pd.DataFrame, caption: str, label: str, seed: int, past: int) -> list[Any]:
    """Rows of network, way, log loss, error and chance for one seed."""
    train, validation, test = mg.split_table(table, (0.5, 0.2, 0.3), stratify=label, seed=seed)
    parts = (train, validation, test)
    inputs = {"caption": mg.TextLoader.from_texts(caption, train, output_mode="ngrams")}
    target = mg.ClassLabel.from_values(label, train)
    known = [target.classes_of(part[label].tolist()) for part in parts[1:]]
    more = [network("recipe", parts, inputs, target, seed + 100 * one, past) for one in range(3)]
    smooth = target.replace(label_smoothing=0.05)
    networks = {
        "recipe": more[0],
        "ensemble of 3": [np.mean(one, axis=0) for one in zip(*more, strict=True)],
        "labels smoothed": network("recipe", parts, inputs, smooth, seed, past),
        f"{past} epochs": network("past", parts, inputs, target, seed, past),
    }
    found = []
    for name, (shares, new) in networks.items():
        for way, make in WAYS.items():
            after = make(shares, known[0], new)
            right = (after.argmax(axis=1) == known[1])[:, None].astype("float64")
            said, rows = after.max(axis=1, keepdims=True), np.arange(len(after))
            one = reliability_of_rows(said, right, rows, 15, 10, 0)
            loss = loss_of(after, known[1])
            found.append((name, way, seed, right.mean(), loss, one.error, one.chance))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--caption", default="caption")
    parser.add_argument("--label", default="label")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--past", type=int, default=200, help="epochs of the long training")
    given = parser.parse_args()
    table = mg.read_table(given.data).dropna(subset=[given.caption, given.label])
    found: list[Any] = []
    for seed in given.seeds:
        found += measure(table, given.caption, given.label, seed, given.past)
    columns = ["network", "way", "seed", "accuracy", "log_loss", "error", "chance"]
    frame = pd.DataFrame(found, columns=columns)
    before = frame["way"] == "nothing"
    first = frame[before].set_index(["network", "seed"])
    own = frame.set_index(["network", "seed"]).index
    for column in ("log_loss", "error"):
        frame[f"{column}_less"] = own.map(first[column]) - frame[column]
    grouped = frame.groupby(["network", "way"], sort=False)
    means = grouped[[*columns[3:], "error_less"]].mean()
    means["standard_error"] = grouped["error_less"].sem()
    means["log_loss_less"] = grouped["log_loss_less"].mean()
    means["least_of_seeds"] = grouped["log_loss_less"].min()
    sys.stdout.write(means.to_string(float_format="{:.4f}".format) + "\n")


if __name__ == "__main__":
    main()
