"""What importance finds where the truth is known, and what it costs beside predictions.

- `relations`: where the label is whether the caption names the thing in the picture. Either is
  worth all, and a column of noise nothing.
- `speed`: importance of pictures and captions with 10 repeats, beside predictions of the same
  table, in seconds of the processor.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
from keras import layers

import multimodal_gen as mg
from benchmarks.explain import SAMPLE, relations_bundle, trained
from benchmarks.report import Report, add_arguments, publish


def with_noise(
    bundle: mg.Bundle, parts: Sequence[pd.DataFrame], epochs: int
) -> tuple[mg.Bundle, list[pd.DataFrame]]:
    """A bundle whose last layer also sees a column of noise, and the parts with this column."""
    rng = np.random.default_rng(0)
    parts = [part.assign(noise=rng.normal(size=len(part))) for part in parts]
    inputs = {**bundle.inputs, "noise": mg.NumericLoader.from_values("noise", parts[0])}
    starts = [
        keras.Input(one.spec.shape, dtype=one.spec.dtype, name=name) for name, one in inputs.items()
    ]
    bundle.model.trainable = False
    joined = layers.Concatenate()([bundle.model(starts[:-1]), starts[-1]])
    target = bundle.target
    assert isinstance(target, mg.ClassLabel)
    keras.utils.set_random_seed(0)
    model = keras.Model(starts, layers.Dense(target.units, target.activation)(joined))
    data = mg.MultimodalSequence(parts[0], inputs, target, shuffle=True, seed=0)
    model.compile(keras.optimizers.Adam(0.02), loss=target.loss)
    model.fit(data, epochs=epochs, verbose=0)
    return mg.Bundle(model, inputs, target), parts


def on_relations(models: Path, epochs: int) -> dict[str, Any]:
    """The accuracy, and what is lost of it without each input, with the interval."""
    known, parts = relations_bundle(models, epochs)
    bundle, parts = with_noise(known, parts, 4)
    found = bundle.importance(parts[2], group="group")
    lines = {str(one["input"]): one for one in found.of("accuracy").to_dict("records")}
    return {
        "rows": found.rows,
        "accuracy": bundle.evaluate(parts[2])["accuracy"],
        **{
            name: [float(one[key]) for key in ("lost", "low", "high")]
            for name, one in lines.items()
        },
    }


def seconds(call: Callable[[], Any]) -> float:
    """Seconds of the processor that a call takes."""
    started = time.process_time()
    call()
    return time.process_time() - started


def on_speed(models: Path, rows: int, runs: int) -> dict[str, float]:
    """Seconds of a prediction and of importance on so many rows, medians of some runs."""
    table = mg.read_table(SAMPLE / "catalog.csv")
    parts = mg.split_table(table, (0.7, 0.15, 0.15), stratify="label", seed=0)
    bundle = trained("speed", SAMPLE, models, parts, "caption", 0, 1)
    many = table.sample(rows, replace=True, random_state=0).reset_index(drop=True)
    first = seconds(lambda: bundle.importance(many))
    bundle.predict(many)
    # In turns, as a machine gets slower and faster.
    pairs = [
        (seconds(lambda: bundle.predict(many)), seconds(lambda: bundle.importance(many)))
        for _ in range(runs)
    ]
    predicted, valued = np.median(pairs, axis=0)
    return {
        "rows": rows,
        "prediction": float(predicted),
        "importance": float(valued),
        "importance, first call": first,
        "predictions that importance costs": float(valued / predicted),
    }


def report_of(found: dict[str, Any]) -> Report:
    """The table of all that was measured."""
    rows = []
    for name, one in found.get("relations", {}).items():
        value = (
            "{:+.3f} ({:+.3f} to {:+.3f})".format(*one) if isinstance(one, list) else f"{one:.3g}"
        )
        rows.append((f"relations: {name}", value))
    rows += [(f"speed: {name}", f"{one:.3g}") for name, one in found.get("speed", {}).items()]
    notes = ["Seconds are of the processor; importance has 10 repeats."]
    return Report("importance", "Importance", ("what", "figure"), rows, notes, found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", default=["relations", "speed"])
    parser.add_argument("--models", type=Path, help="a folder that keeps the trained models")
    parser.add_argument("--epochs", type=int, default=20, help="of the model of relations")
    parser.add_argument("--rows", type=int, default=2000, help="rows for the speed")
    parser.add_argument("--runs", type=int, default=3, help="for the speed")
    add_arguments(parser)
    given = parser.parse_args(arguments)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        models = given.models or Path(folder)
        if "speed" in given.parts:
            found["speed"] = on_speed(models, given.rows, given.runs)
        if "relations" in given.parts:
            found["relations"] = on_relations(models, given.epochs)
    publish(report_of(found), given)


if __name__ == "__main__":
    main()
