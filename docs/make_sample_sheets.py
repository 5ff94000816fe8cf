"""Draws the pictures of docs/augmentation.md that show whole samples and batches: python
docs/make_sample_sheets.py
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import multimodal_gen as mg

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
SEEDS = {"flip_with_words": 428}


def main() -> None:
    """Draw one sheet an operation."""
    table = mg.read_table(ROOT / "sample_data" / "catalog.csv").iloc[3:200:25]
    sides = ["left", "right", "right", "left"]
    pairs = table.iloc[[0, 2, 5, 7]].assign(
        caption=lambda rows: [
            f"a {label}, lit from the {side}"
            for label, side in zip(rows["label"], sides, strict=True)
        ]
    )
    # Each row twice: one of the two is mirrored.
    sided = pairs.loc[pairs.index.repeat(2)]
    inputs = {
        "image": mg.ImageLoader("image", directory=ROOT / "sample_data", image_size=(64, 64)),
        "caption": mg.TextLoader.from_texts(
            "caption", [*table["caption"], *sided["caption"]], sequence_length=32
        ),
    }
    target = mg.ClassLabel.from_values("label", table["label"], label_mode="categorical")
    sheets = {
        "mixup": (table, {"batch_augment": [mg.augment.MixUp(1.0, text="joined")]}),
        "cutmix": (table, {"batch_augment": [mg.augment.CutMix()]}),
        "flip_with_words": (sided, {"sample_augment": [mg.augment.FlipWithWords()]}),
        "modality_dropout": (table, {"sample_augment": [mg.augment.ModalityDropout(0.3)]}),
    }
    for name, (rows, operations) in sheets.items():
        data = mg.MultimodalSequence(
            rows, inputs, target, batch_size=8, seed=SEEDS.get(name, 5), **operations
        )
        mg.show_batch(data).savefig(IMAGES / f"{name}.jpg", dpi=80, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()
