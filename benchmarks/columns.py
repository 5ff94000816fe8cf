"""What the automatic choice of inputs is worth: `train --label` alone, against choices by hand.

    python -m benchmarks.columns --data ../shared/data

The table is a shop of real products, with what shops add: two pictures in one cell (a photo, and a
drawn swatch of the material; `--apart` puts each into a column of its own), a title without its
class words, a description, the brand (missing in a third of the rows), price, date, sale, and
columns that are no inputs: an article number, a currency and a code of the category. Each choice is
trained by the command line's own `train.run`, on the same parts, and scored on the test rows, which
are half of the table.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

import multimodal_gen as mg
from multimodal_gen.cli.settings import INPUT_OPTIONS, RunSettings

LABEL = "category"
# Name -> the options of a choice by hand; those of the first are found by the command line. One of
# the pictures can only be chosen where they are apart.
_BOTH = {"images": ("photos",)}
CHOICES: dict[str, dict[str, Any]] = {
    "--label alone": {},
    "photo, title": {"image": ("photo",), "caption": ("title",)},
    "texts": {"caption": ("title", "description")},
    "photo, texts": {"image": ("photo",), "caption": ("title", "description")},
    "photo, texts, price": {
        "image": ("photo",),
        "caption": ("title", "description"),
        "number": ("price",),
    },
    "photo, texts, brand": {
        "image": ("photo",),
        "caption": ("title", "description"),
        "category": ("brand",),
    },
    "photo, texts, price, brand": {
        "image": ("photo",),
        "caption": ("title", "description"),
        "number": ("price",),
        "category": ("brand",),
    },
    "both pictures, texts, price, brand": {
        **_BOTH,
        "caption": ("title", "description"),
        "number": ("price",),
        "category": ("brand",),
    },
    "all": {
        **_BOTH,
        "caption": ("title", "description"),
        "number": ("price", "on_sale"),
        "category": ("brand", "colour"),
        "date": ("listed",),
    },
}
_MATERIALS = ("cotton", "leather", "steel", "rubber", "silk", "canvas", "resin", "denim")
_WORDS = (
    "Ships in two days.",
    "A gift for friends and family.",
    "Wipe with a dry cloth.",
    "Returns within a month.",
    "Made for every day.",
)


def make_shop(fashion: Path, folder: Path, rows: int, seed: int, *, apart: bool = False) -> Path:
    """Write a shop's table and pictures into a folder.

    Args:
        fashion: The folder of real products.
        folder: An existing folder.
        rows: Rows of the table.
        seed: What it is drawn by.
        apart: Whether the two pictures of a row are in columns of their own.

    Returns:
        The path of the table.
    """
    rng = np.random.default_rng(seed)
    products = mg.read_table(fashion / "data.csv").sample(rows, random_state=seed)
    products = products.reset_index(drop=True)
    classes = sorted(products["label"].unique())
    # What a class is like: its price, its materials, and the day of the year it sells best.
    prices = dict(zip(classes, rng.normal(3.5, 0.7, len(classes)), strict=True))
    stuff = dict(zip(classes, rng.dirichlet(np.full(8, 0.3), len(classes)), strict=True))
    season = dict(zip(classes, rng.integers(0, 365, len(classes)), strict=True))
    shop = []
    for row, product in enumerate(products.to_dict("records")):
        kind = product["label"]
        Image.open(fashion / product["image"]).save(folder / f"{row}-photo.jpg", quality=90)
        material = int(rng.choice(8, p=stuff[kind]))
        _draw_swatch(material, rng).save(folder / f"{row}-swatch.png")
        said = material if rng.random() < 0.7 else int(rng.integers(0, 8))
        day = int(season[kind] + rng.normal(0, 60)) % 365
        words = product["caption_masked"].split()
        # The brand stands first in a title: in a column of its own it would say nothing new.
        shop.append(
            {
                "article": f"A-{100_000 + row}",
                **(
                    {"photo": f"{row}-photo.jpg", "swatch": f"{row}-swatch.png"}
                    if apart
                    else {"photos": f"{row}-photo.jpg|{row}-swatch.png"}
                ),
                "title": " ".join(words[1:]) or words[0],
                "description": f"{product['usage']} {_MATERIALS[said]} item for "
                f"{'women' if 'Women' in words else 'men'}. {rng.choice(_WORDS)}",
                "brand": None if rng.random() < 1 / 3 else product["caption"].split()[0],
                "colour": product["colour"],
                "price": None
                if rng.random() < 0.05
                else round(float(np.exp(prices[kind] + rng.normal(0, 0.5))), 2),
                "currency": "EUR",
                "on_sale": ("true", "false", "false")[int(rng.integers(0, 3))],
                "listed": str(np.datetime64("2023-01-01") + day + 365 * int(rng.integers(0, 2))),
                "code": 100 + 7 * classes.index(kind),
                LABEL: kind,
            }
        )
    path = folder / "shop.csv"
    pd.DataFrame(shop).to_csv(path, index=False)
    return path


def _draw_swatch(material: int, rng: np.random.Generator) -> Image.Image:
    # Each material has a pattern of lines of its own; colours and offsets are random.
    picture = Image.new("RGB", (48, 48), tuple(rng.integers(120, 256, 3).tolist()))
    draw, step = ImageDraw.Draw(picture), 4 + 2 * (material % 4)
    ink = tuple(rng.integers(0, 120, 3).tolist())
    for at in range(-48 + int(rng.integers(0, step)), 96, step):
        draw.line((at, 0, at + 48 * (material // 4), 48), fill=ink, width=2)
    return picture


class _Quiet:
    # A reporter that keeps what is said.
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def begin(self, *_: Any, **__: Any) -> None: ...
    def advance(self) -> None: ...
    def epoch(self, *_: Any) -> None: ...
    def end(self) -> None: ...
    def finish(self, *_: Any) -> None: ...


def score(table: Path, choice: dict[str, Any], seed: int, folder: Path) -> tuple[float, list[str]]:
    """The balanced accuracy on test rows of a choice of inputs, and what the run said."""
    from multimodal_gen.cli.curves import Curves
    from multimodal_gen.cli.train import run

    data = dict.fromkeys(INPUT_OPTIONS, ()) | choice
    settings = RunSettings(
        **data,
        table=str(table),
        missing="error",
        number_missing="flag" if choice else "error",
        label=(LABEL,),
        target="class",
        separator=None,
        directory=None,
        split=None,
        split_names=None,
        fractions=(0.4, 0.1, 0.5),
        group=None,
        image_size=(64, 64),
        text="ngrams",
        augment="default",
        batch_size=64,
        seed=seed,
        folder=str(folder),
        fusion="joint",
        positive=None,
        epochs=None,
        ablate=False,
    )
    reporter = _Quiet()
    metrics = run(settings, reporter, Curves())
    (scores,) = metrics["details"]["scores"].values()
    return float(scores["balanced_accuracy"]), reporter.lines


def _there(choice: dict[str, Any], apart: bool) -> dict[str, Any] | None:
    # A choice in the columns of the table; None if it has no such columns.
    if "images" in choice and apart:
        return {"image": ("photo", "swatch")} | {
            option: columns for option, columns in choice.items() if option != "images"
        }
    return None if "image" in choice and not apart else choice


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("MULTIMODAL_GEN_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(data), help="folder with fashion")
    parser.add_argument("--rows", type=int, default=2400)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--apart", action="store_true", help="each picture has its own column")
    parser.add_argument("--choices", nargs="*", help="names; all by default")
    arguments = parser.parse_args()
    choices = {name: _there(choice, arguments.apart) for name, choice in CHOICES.items()}
    chosen = [name for name in arguments.choices or choices if choices[name] is not None]
    console, scores = Console(), dict[str, list[float]]()
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            table = make_shop(
                arguments.data / "fashion", folder, arguments.rows, seed, apart=arguments.apart
            )
            for name in chosen:
                choice = choices[name] or {}
                found, lines = score(table, choice, seed, folder / "run")
                scores.setdefault(name, []).append(found)
                if not seed and not choice:
                    console.print("\n".join(lines), markup=False, highlight=False)
                console.print(f"{name}, seed {seed}: {found:.3f}", highlight=False)
    shown = Table("inputs", "balanced accuracy", "below --label alone")
    first = scores[chosen[0]]
    for name, own in scores.items():
        less = f"{np.mean(first) - np.mean(own):+.3f}"
        shown.add_row(name, " ".join(f"{one:.3f}" for one in own), less)
    console.print(shown)


if __name__ == "__main__":
    main()
