"""A small network of one's own, trained on some products and reused for others.

    python -m benchmarks.reuse --data ../shared/data --out runs/bench

Half of the classes of `fashion` are set aside. A network is trained on the photos of these, as
`multimodal-gen train` does, its image branch is saved as a `.keras` file, and `from_preset` takes
its features of the other classes, of which only 100, 300 and 1,000 rows are known. Beside it: the
same network trained from scratch on these rows, and both together, each with several draws of rows.
The score is the accuracy on all test rows of the other classes. Draws the curve with `--out` or
`--markdown`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pandas as pd
from matplotlib.figure import Figure

import multimodal_gen as mg
from benchmarks.report import Report, add_arguments, publish
from multimodal_gen.cli.data import AUGMENT
from multimodal_gen.inspection.layout import BLUE, GREY, INK, LINE
from multimodal_gen.inspection.letters import fonts
from multimodal_gen.models import branches_for

# Name -> what its curve is called.
WAYS = {
    "reused": "features of the other network",
    "both": "its features, and a network from scratch",
    "from scratch": "a network from scratch",
}
_COLOURS = dict(zip(WAYS, (BLUE, "#2f7d4f", GREY), strict=True))


@dataclass(frozen=True)
class Products:
    """The table and how its pictures are read.

    Args:
        table: Rows with the columns image, label and split.
        directory: The folder of the pictures.
        pixels: Height and width that pictures are resized to.
    """

    table: pd.DataFrame
    directory: Path
    pixels: int

    def pictures(self) -> mg.ImageLoader:
        """The pictures as the command line reads them."""
        size = (self.pixels, self.pixels)
        return mg.ImageLoader(
            "image", image_size=size, directory=self.directory, augment=list(AUGMENT)
        )

    def parts(self) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
        """Training, validation and test rows of every second class, and of the others."""
        classes = sorted(self.table["label"].unique())
        first = self.table["label"].isin(classes[::2])
        halves = (self.table[first], self.table[~first])
        source, other = (
            [half[half["split"] == name] for name in ("train", "val", "test")] for half in halves
        )
        return source, other


def fit(
    inputs: dict[str, mg.Loader],
    branches: dict[str, Any],
    parts: Sequence[pd.DataFrame],
    seed: int,
    **recipe: Any,
) -> tuple[mg.Bundle, float]:
    """Train as the command line does, on training and validation rows.

    Returns:
        The bundle, and the accuracy on the third part.
    """
    train, validation, test = parts
    keras.utils.set_random_seed(seed)
    target = mg.ClassLabel.from_values("label", pd.concat([train, validation]))
    data = mg.MultimodalSequence(
        train, inputs, target, batch_size=min(64, len(train) // 4), shuffle=True, seed=seed
    )
    branches = branches_for(inputs, len(train)) | branches
    model = mg.build_fusion_classifier(inputs, target, branches=branches)
    mg.fit_with_recipe(model, target, data, data.for_evaluation(validation), verbose=0, **recipe)
    bundle = mg.Bundle(model, inputs, target)
    return bundle, float(bundle.evaluate(test)["accuracy"])


def ways(network: Path, products: Products) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Name -> inputs and branches."""
    reused = mg.from_preset(network, "image", directory=products.directory)
    own = products.pictures()
    return {
        "reused": ({"image": reused.loader}, {"image": reused.branch}),
        "both": ({"image": own, "features": reused.loader}, {"features": reused.branch}),
        "from scratch": ({"image": own}, {}),
    }


def draw_rows(rows: pd.DataFrame, number: int, seed: int) -> list[pd.DataFrame]:
    """A draw of so many rows, 15 percent of which are for validation."""
    share = number / len(rows)
    some, _ = mg.split_table(rows, (share, 1 - share), stratify="label", seed=seed)
    return mg.split_table(some, (0.85, 0.15), stratify="label", seed=seed)


def measure(
    products: Products, sizes: Sequence[int], seeds: Sequence[int], **recipe: Any
) -> dict[str, dict[int, list[float]]]:
    """Accuracy by way, rows and seed; each is printed as soon as it is there."""
    source, other = products.parts()
    started = time.perf_counter()
    bundle, accuracy = fit({"image": products.pictures()}, {}, source, 0, **recipe)
    seconds = time.perf_counter() - started
    print(f"trained on {len(source[0]):,} rows: {accuracy:.3f} in {seconds:.0f} s", flush=True)
    found: dict[str, dict[int, list[float]]] = {way: {} for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder, "network.keras")
        mg.KerasEncoder.from_branch(bundle.model, "image").save(network)
        known = pd.concat(other[:2])
        for number in sizes:
            for seed in seeds:
                rows = [*draw_rows(known, number, seed), other[2]]
                for way, (inputs, branches) in ways(network, products).items():
                    started = time.perf_counter()
                    _, accuracy = fit(inputs, branches, rows, seed, **recipe)
                    found[way].setdefault(number, []).append(accuracy)
                    seconds = time.perf_counter() - started
                    line = f"{number} rows, seed {seed}, {way}: {accuracy:.4f} in {seconds:.0f} s"
                    print(line, flush=True)
    return found


def curve(found: dict[str, dict[int, list[float]]], title: str, subtitle: str) -> Figure:
    """Accuracy over rows: the mean of each way as a line, and every draw as a point."""
    figure = Figure(figsize=(7.4, 4.3), dpi=150)
    axes = figure.add_axes((0.085, 0.13, 0.51, 0.69))
    for way, scores in found.items():
        rows = list(scores)
        means = [sum(scores[number]) / len(scores[number]) for number in rows]
        axes.plot(rows, means, color=_COLOURS[way], linewidth=2)
        for number in rows:
            own = scores[number]
            axes.plot([number] * len(own), own, "o", color=_COLOURS[way], markersize=4, alpha=0.7)
    # Names beside the ends of the lines, no closer than a line of text.
    last = max(max(scores) for scores in found.values())
    ends = sorted((sum(own[last]) / len(own[last]), way) for way, own in found.items())
    low, high = axes.get_ylim()
    places: list[float] = []
    for end, _ in ends:
        places.append(max(end, places[-1] + 0.065 * (high - low)) if places else end)
    lower = sum(place - end for place, (end, _) in zip(places, ends, strict=True)) / len(ends)
    for place, (_, way) in zip(places, ends, strict=True):
        axes.annotate(
            WAYS[way],
            (last, place - lower),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            color=_COLOURS[way],
            fontfamily=fonts(),
            fontsize=10,
            annotation_clip=False,
        )
    axes.set_xscale("log")
    sizes = list(next(iter(found.values())))
    axes.set_xticks(sizes, [f"{number:,}" for number in sizes])
    axes.minorticks_off()
    axes.set_xlabel("labelled rows", fontfamily=fonts(), color=GREY)
    axes.tick_params(colors=GREY, length=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}")
    axes.grid(axis="y", color=LINE)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)
    words = {"fontfamily": fonts(), "x": 0.02, "va": "top"}
    figure.text(y=0.97, s=title, fontsize=13, fontweight="bold", color=INK, **words)
    figure.text(y=0.90, s=subtitle, fontsize=9.5, color=GREY, **words)
    return figure


def make_report(found: dict[str, dict[int, list[float]]], products: Products) -> Report:
    """The table of all accuracies."""
    rows = []
    for way, scores in found.items():
        for number, own in scores.items():
            shown = " ".join(f"{one:.3f}" for one in own)
            rows.append([WAYS[way], f"{number:,}", shown, f"{sum(own) / len(own):.3f}"])
    title = f"Accuracy on ten classes of products by photos of {products.pixels} pixels"
    figures = {"backend": keras.backend.backend(), "pixels": products.pixels, "accuracy": found}
    return Report("reuse", title, ("way", "rows", "each draw", "mean"), rows, [], figures)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("MULTIMODAL_GEN_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(data), help="folder with fashion")
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 300, 1000], help="rows")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--pixels", type=int, default=64, help="height and width")
    parser.add_argument("--epochs", type=int, help="by default as many as the recipe chooses")
    add_arguments(parser)
    given = parser.parse_args(arguments)
    folder = given.data / "fashion"
    products = Products(mg.read_table(folder / "data.csv"), folder, given.pixels)
    found = measure(products, given.sizes, given.seeds, epochs=given.epochs)
    title = "A network trained on ten other classes, reused"
    subtitle = "accuracy on test rows of ten classes; a point for each draw of rows"
    publish(make_report(found, products), given, curve(found, title, subtitle))


if __name__ == "__main__":
    main()
