"""What augmentation is worth: one model trained without, with the default, and with dropped inputs,
over several seeds.

    python -m benchmarks.augmentation --data ../shared/data/fashion --seeds 0 1 2

Trains the command line's default model on a table with the columns image, caption_masked, label and
split, and prints a JSON object a run: balanced accuracy on the test rows as they are, with all
captions blank, and with black pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import multimodal_gen as mg
from multimodal_gen.cli.data import AUGMENT
from multimodal_gen.models import branches_for

MODES = ("none", "default", "modality_dropout")


def train(data: Path, mode: str, seed: int, fusion: str, epochs: int | None) -> dict[str, Any]:
    """Train one model and score it."""
    table = mg.read_table(data / "data.csv")
    train_rows, validation_rows, test_rows = (
        table[table["split"] == name] for name in ("train", "val", "test")
    )
    inputs = {
        "image": mg.ImageLoader(
            "image",
            directory=data,
            image_size=(64, 64),
            augment=() if mode == "none" else list(AUGMENT),
        ),
        "caption": mg.TextLoader.from_texts(
            "caption_masked", train_rows["caption_masked"], output_mode="ngrams"
        ),
    }
    target = mg.ClassLabel.from_values("label", train_rows["label"])
    dropout = [mg.augment.ModalityDropout(0.3)] if mode == "modality_dropout" else []
    keras.utils.set_random_seed(seed)
    sequence = mg.MultimodalSequence(
        train_rows, inputs, target, batch_size=64, shuffle=True, seed=seed, sample_augment=dropout
    )
    branches = branches_for(inputs, len(train_rows))
    model = mg.build_fusion_classifier(inputs, target, fusion=fusion, branches=branches)
    started = time.perf_counter()
    mg.fit_with_recipe(
        model, target, sequence, sequence.for_evaluation(validation_rows), epochs=epochs, verbose=0
    )
    bundle = mg.Bundle(model, inputs, target)
    black = test_rows.assign(image=[np.zeros((64, 64, 3), "uint8")] * len(test_rows))
    return {
        "mode": mode,
        "fusion": fusion,
        "seed": seed,
        "epochs": epochs,
        "balanced_accuracy": round(bundle.evaluate(test_rows)["balanced_accuracy"], 4),
        "captions_blank": round(
            bundle.evaluate(test_rows.assign(caption_masked=""))["balanced_accuracy"], 4
        ),
        "pictures_black": round(bundle.evaluate(black)["balanced_accuracy"], 4),
        "seconds": round(time.perf_counter() - started),
    }


def main() -> None:
    """Read the arguments, train, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("MULTIMODAL_GEN_DATA", "../shared/data")) / "fashion",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--fusion", default="joint")
    parser.add_argument(
        "--epochs", type=int, help="by default as many as the recipe takes, which is 20 for fashion"
    )
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for mode in arguments.modes:
            print(
                json.dumps(train(arguments.data, mode, seed, arguments.fusion, arguments.epochs)),
                flush=True,
            )


if __name__ == "__main__":
    main()
