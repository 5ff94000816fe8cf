"""What broken rows cost: one model trained on good rows alone, and on the same rows among broken
ones.

    python -m benchmarks.failures --data ../shared/data/fashion --seeds 0 1 2

Draws training rows of a table with the columns image, caption_masked, label and split, spoils the
pictures or captions of some in one of six ways, and trains the command line's default model three
times: on the others alone, and on all with `on_error="skip"` and with `on_error="blank"`. Prints a
JSON object a run: balanced accuracy on the test rows, and whether `failures` lists the spoiled
rows, all of them, and no other.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd

import multimodal_gen as mg
from multimodal_gen.models import branches_for

_SPLIT = {"train": "train", "validation": "val", "test": "test"}


def spoil(
    table: pd.DataFrame, folder: Path, out: Path, count: int, rng: np.random.Generator
) -> pd.DataFrame:
    """A table with some rows broken, each in one of six ways.

    Args:
        table: The columns image and caption_masked; paths start in `folder`.
        folder: Where the good pictures are.
        out: An empty folder for the broken ones, inside `folder` or beside it.
        count: How many rows are broken.
        rng: Fixes which ones, and how.

    Returns:
        The same rows with the column "broken" (bool).
    """
    table = table.assign(broken=False, image=[str(folder / path) for path in table["image"]])
    image, caption = table.columns.get_loc("image"), table.columns.get_loc("caption_masked")
    for number, row in enumerate(rng.permutation(len(table))[:count].tolist()):
        content = Path(table.iat[row, image]).read_bytes()
        file = out / f"{row}.jpg"
        table.iat[row, table.columns.get_loc("broken")] = True
        match number % 6:
            case 0:
                file.write_bytes(content[: len(content) // 2])
            case 1:
                file.write_bytes(b"")
            case 2:
                file.write_bytes(rng.bytes(len(content)))
            case 3:
                file.mkdir()
            case 4:
                pass
            case _:
                table.iat[row, caption] = None
                continue
        table.iat[row, image] = str(file)
    return table


def train(
    rows: dict[str, pd.DataFrame], on_error: str, seed: int, epochs: int | None
) -> dict[str, Any]:
    """Train one model and score it."""
    good = rows["train"][~rows["train"]["broken"]]
    inputs = {
        "image": mg.ImageLoader("image", image_size=(64, 64)),
        "caption": mg.TextLoader.from_texts(
            "caption_masked", good["caption_masked"], output_mode="ngrams"
        ),
    }
    target = mg.ClassLabel.from_values("label", good["label"])
    keras.utils.set_random_seed(seed)
    sequence = mg.MultimodalSequence(
        good if on_error == "raise" else rows["train"],
        inputs,
        target,
        batch_size=32,
        shuffle=True,
        seed=seed,
        on_error=on_error,
    )
    model = mg.build_fusion_classifier(inputs, target, branches=branches_for(inputs, len(good)))
    started = time.perf_counter()
    mg.fit_with_recipe(
        model,
        target,
        sequence,
        sequence.for_evaluation(rows["validation"]),
        epochs=epochs,
        verbose=0,
    )
    broken = rows["train"].index[rows["train"]["broken"]]
    listed = set(sequence.failures["index"])
    return {
        "rows": len(sequence.table),
        "on_error": on_error,
        "seed": seed,
        "balanced_accuracy": round(
            mg.Bundle(model, inputs, target).evaluate(rows["test"])["balanced_accuracy"], 4
        ),
        "failures": len(listed),
        "exactly_the_broken": listed == (set() if on_error == "raise" else set(broken)),
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
    parser.add_argument("--rows", type=int, default=1000, help="training rows that are drawn")
    parser.add_argument("--broken", type=int, default=50, help="how many of them are spoiled")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="by default as many as the recipe takes")
    arguments = parser.parse_args()
    data = arguments.data.resolve()
    table = mg.read_table(data / "data.csv")
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as out:
            rows = {name: table[table["split"] == value] for name, value in _SPLIT.items()}
            drawn = rows["train"].sample(arguments.rows, random_state=seed)
            rng = np.random.default_rng(seed)
            rows["train"] = spoil(drawn, data, Path(out), arguments.broken, rng)
            for name in ("validation", "test"):
                rows[name] = spoil(rows[name], data, Path(out), 0, rng)
            for on_error in ("raise", "skip", "blank"):
                print(json.dumps(train(rows, on_error, seed, arguments.epochs)), flush=True)


if __name__ == "__main__":
    main()
