"""How right probabilities are before and after `Bundle.calibrate`, and how often sets hold.

    python -m benchmarks.calibration --data /data/fashion/data.csv /data/emoji/data.csv

Trains a network on the captions' n-grams with the recipe, calibrates it on the validation rows, and
prints for each table the log loss and the expected calibration error (15 bins of equally many rows)
of the test rows before and after.

Then the validation and test rows are halved at random again and again: one half calibrates, the
other is given sets at 90 %. Of n and m rows in any order, the number of rows whose set holds the
true class is beta-binomial. Printed are the mean coverage of the halves with the least and the
most, the share of halves outside 88 to 92 % beside the share that theory expects, and the
dispersion: the variance about the mean of the theory divided by its variance, with the range that
holds 95 % of such experiments.

`--picture FILE` instead draws the reliability of the first table's test rows by a network that was
trained for `--past` epochs, without early stopping or weighted heads, before and after.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from PIL import Image
from scipy import stats

import multimodal_gen as mg
from multimodal_gen.bundle.held_out import held_out
from multimodal_gen.loaders.targets.class_shares import class_shares
from multimodal_gen.loaders.targets.conformal import limit_at

_COVERAGE, _LOW, _HIGH = 0.9, 0.88, 0.92


def halves(bundle: mg.Bundle, rows: pd.DataFrame, splits: int) -> tuple[np.ndarray, int, int]:
    """How many rows of a half have a set that holds, `(splits,)`, and the sizes of both halves."""
    ((_, one),) = held_out(bundle, rows, 64, 0, "raise").by_target
    found = []
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(one.truth))
        first, second = np.split(order, [len(order) // 2])
        target = one.target.calibrated_by(one.truth[first], one.outputs[first])
        shares = class_shares(target, one.outputs[second])
        own = shares[np.arange(len(second)), target.class_positions(one.truth[second])]
        found.append((own >= limit_at(target.conformal_limits, _COVERAGE)).sum())
    return np.array(found), len(first), len(second)


def in_theory(n: int, m: int) -> Any:
    """The distribution of the number of rows that hold, of m with limits from n."""
    rank = int(np.ceil((n + 1) * _COVERAGE - 1e-9))
    return stats.betabinom(m, rank, n + 1 - rank)


def spread(hits: np.ndarray, n: int, m: int) -> list[str]:
    """The columns about sets."""
    held, theory, splits = hits / m, in_theory(n, m), len(hits)
    outside = ((held < _LOW) | (held > _HIGH)).mean()
    numbers = np.arange(m + 1)
    expected = theory.pmf(numbers)[(numbers / m < _LOW) | (numbers / m > _HIGH)].sum()
    dispersion = (((hits - theory.mean()) / theory.std()) ** 2).mean()
    low, high = stats.chi2(splits).ppf([0.025, 0.975]) / splits
    return [
        f"{held.mean():.3f} ({held.min():.3f} to {held.max():.3f})",
        f"{outside:.3f}, {expected:.3f}",
        f"{dispersion:.2f} ({low:.2f} to {high:.2f})",
    ]


def bundle_of(
    train: pd.DataFrame, validation: pd.DataFrame, caption: str, label: str, seed: int, past: int
) -> mg.Bundle:
    """A trained network; with `past` epochs, without the recipe."""
    inputs = {"caption": mg.TextLoader.from_texts(caption, train, output_mode="ngrams")}
    target = mg.ClassLabel.from_values(label, train)
    keras.utils.set_random_seed(seed)
    sequence = mg.MultimodalSequence(train, inputs, target, shuffle=True, seed=seed)
    model = mg.build_fusion_classifier(inputs, target)
    if past:
        model.compile("adam", loss=target.loss)
        model.fit(sequence, epochs=past, verbose=0)
    else:
        held = sequence.for_evaluation(validation)
        mg.fit_with_recipe(model, target, sequence, held, epochs=40, verbose=0)
    return mg.Bundle(model, inputs, target)


def measure(table: pd.DataFrame, caption: str, label: str, seed: int, splits: int) -> list[str]:
    """The figures of one table and seed."""
    train, validation, test = mg.split_table(table, (0.5, 0.2, 0.3), stratify=label, seed=seed)
    bundle = bundle_of(train, validation, caption, label, seed, 0)
    calibrated = bundle.calibrate(validation)
    assert isinstance(calibrated.target, mg.ClassLabel)
    factors = calibrated.target.calibration
    each = "nothing" if factors is None else "one" if len(set(factors[0])) == 1 else "each"
    words = [str(seed), f"{len(test)}"]
    for one in (bundle, calibrated):
        found = one.reliability(test, resamples=10)
        assert not isinstance(found, dict)
        words += [f"{one.evaluate(test)['log_loss']:.3f}", f"{found.error:.3f}"]
    words += [f"{found.chance:.3f}", each]
    return words + spread(*halves(bundle, pd.concat([validation, test]), splits))


def draw(table: pd.DataFrame, caption: str, label: str, past: int, file: Path) -> None:
    """Draw the reliability of a network that is too sure, before and after, side by side."""
    train, validation, test = mg.split_table(table, (0.5, 0.2, 0.3), stratify=label, seed=0)
    bundle = bundle_of(train, validation, caption, label, 0, past)
    pictures = []
    for one in (bundle, bundle.calibrate(validation)):
        found = one.reliability(test)
        assert not isinstance(found, dict)
        sys.stdout.write(f"{found}\n")
        memory = io.BytesIO()
        found.plot().savefig(memory)
        pictures.append(Image.open(memory).convert("RGB"))
    width, height = pictures[0].size
    both = Image.new("RGB", (2 * width, height), "white")
    for place, picture in enumerate(pictures):
        both.paste(picture, (place * width, 0))
    both.save(file)


def main() -> None:
    """Print the table, or draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--caption", default="caption")
    parser.add_argument("--label", default="label")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--past", type=int, default=200)
    given = parser.parse_args()
    tables = {
        Path(path).parent.name: mg.read_table(path).dropna(subset=[given.caption, given.label])
        for path in given.data
    }
    if given.picture is not None:
        draw(next(iter(tables.values())), given.caption, given.label, given.past, given.picture)
        return
    columns = ["table", "seed", "test rows", "log loss", "error", "log loss after", "error after"]
    columns += ["chance", "factors", "sets at 90 %", "outside, expected", "dispersion"]
    rows = [
        [name, *measure(table, given.caption, given.label, seed, given.splits)]
        for name, table in tables.items()
        for seed in given.seeds
    ]
    sys.stdout.write(pd.DataFrame(rows, columns=columns).to_string(index=False) + "\n")


if __name__ == "__main__":
    main()
