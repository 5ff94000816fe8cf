"""Whether explanations are right, and what they cost.

    python -m benchmarks.explain --data ../shared/data --out runs/bench

- `sample`: the script that draws the sample data knows where the object is and which word names
  the material: how often the heat map has its peak on the object, how often the heaviest word is
  the material, and what share of the prediction each input gets.
- `relations`: the shares of a model of `fusion="match"`, where neither input alone tells anything.
- `curves`: pixels of `fashion` are deleted (replaced by those of a blurred picture) and inserted
  (into it), the hottest first, and the probability of the predicted class is averaged on the way.
  Beside ours: the size of the gradient, and windows that are hidden, each by itself.
- `shap`: the same rows by the partition explainer of shap (`pip install shap`), with as many runs
  of the model, and with the runs that it takes by default. Without shap, this part is left out.

Models are trained first, and kept in `--models` if that is given.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

import multimodal_gen as mg
from benchmarks.report import Report, add_arguments, publish
from benchmarks.reuse import fit
from multimodal_gen.bundle.explaining.engine import Batch, Engine
from multimodal_gen.bundle.explaining.model_parts import Parts
from multimodal_gen.bundle.explaining.pictures import (
    HeatMaps,
    areas,
    blurred,
    mean_colour,
    smoothed,
)
from multimodal_gen.bundle.explaining.reading import read_table
from multimodal_gen.bundle.explaining.subjects import Subject
from multimodal_gen.cli.data import AUGMENT
from multimodal_gen.models import branches_for

SAMPLE = Path(__file__).parent.parent / "sample_data"
_STEPS = 20


def script(name: str) -> Any:
    """A script of the sample data as a module."""
    spec = importlib.util.spec_from_file_location(name, SAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def trained(
    name: str,
    folder: Path,
    models: Path,
    parts: Sequence[pd.DataFrame],
    caption: str,
    seed: int,
    epochs: int,
) -> mg.Bundle:
    """A bundle of pictures and captions, trained as the command line does, or loaded if kept."""
    path = models / f"{name}{seed}"
    if (path / "bundle.json").exists():
        return mg.load_bundle(path, directory=folder)
    inputs = {
        "image": mg.ImageLoader(
            "image", image_size=(64, 64), directory=folder, augment=list(AUGMENT)
        ),
        "caption": mg.TextLoader.from_texts(caption, parts[0], output_mode="ngrams"),
    }
    branches = branches_for(inputs, len(parts[0]))
    bundle, accuracy = fit(inputs, branches, parts, seed, epochs=epochs)
    print(f"{name}, seed {seed}: accuracy {accuracy:.3f}", flush=True)
    bundle.save(path)
    return bundle


def object_mask(catalog: Any, row: int) -> np.ndarray:
    """Which pixels of a sample picture its object covers, `(64, 64) bool`."""
    layers: list[Any] = []
    draw = dict(catalog._DRAW)
    for shape, function in draw.items():
        catalog._DRAW[shape] = _recorded(function, layers)
    catalog.draw_row(catalog.SEED, row)
    catalog._DRAW.update(draw)
    size = catalog.SIZE
    covered = layers[0].mask.reshape(size, 4, size, 4).mean((1, 3))
    return np.asarray(covered > 0)


def _recorded(function: Callable[..., None], layers: list[Any]) -> Callable[..., None]:
    def draw(layer: Any, *rest: Any) -> None:
        function(layer, *rest)
        layers.append(layer)

    return draw


def on_sample(models: Path, epochs: int, card: Path | None) -> dict[str, float]:
    """How often peak and heaviest word are where they must be, and the shares; draws a card."""
    catalog, table = script("make_catalog"), mg.read_table(SAMPLE / "catalog.csv")
    parts = mg.split_table(table, (0.7, 0.15, 0.15), stratify="label", seed=0)
    bundle = trained("sample", SAMPLE, models, parts, "caption", 0, epochs)
    test = parts[2]
    materials = {
        word
        for name, texts in catalog._MATERIAL_WORDS.items()
        for word in [*" ".join(texts).split(), catalog._MATERIAL_ADJECTIVES[name]]
    }
    peaks, words = [], []
    found = bundle.explain(test)
    if card is not None:
        found[:2].show().savefig(card)
    for row, one in zip(test.index, found, strict=True):
        heat, mask = one.heat["image"][0], object_mask(catalog, int(row))
        peaks.append(bool(mask[np.unravel_index(heat.argmax(), heat.shape)]))
        heaviest = max(one.words["caption"], key=lambda word: word.weight)
        words.append(heaviest.text.lower() in materials)
    shares = pd.concat([one.inputs for one in found]).groupby("input").mean()
    return {
        "rows": len(test),
        "peak on the object": float(np.mean(peaks)),
        "heaviest word is the material": float(np.mean(words)),
        **{f"share of {name}": float(share) for name, share in shares["share"].items()},
        "prediction less baseline": float(np.mean([one.value - one.baseline for one in found])),
    }


def relations_bundle(models: Path, epochs: int) -> tuple[mg.Bundle, list[pd.DataFrame]]:
    """A model of the table of relations, trained or loaded if kept, and the three parts."""
    rows = pd.DataFrame(script("make_relations").make_relations(SAMPLE))
    parts = mg.split_table(rows, (0.7, 0.15, 0.15), group="group", seed=0)
    path = models / "relations0"
    if (path / "bundle.json").exists():
        bundle = mg.load_bundle(path, directory=SAMPLE)
    else:
        inputs = {
            "image": mg.ImageLoader("image", image_size=(32, 32), directory=SAMPLE),
            "caption": mg.TextLoader.from_texts("caption", parts[0]),
        }
        target = mg.ClassLabel.from_values("label", rows)
        model = mg.build_fusion_classifier(inputs, target, fusion="match")
        data = mg.MultimodalSequence(parts[0], inputs, target, shuffle=True, seed=0)
        held_out = data.for_evaluation(parts[1])
        mg.fit_with_recipe(model, target, data, held_out, epochs=epochs, verbose=0)
        bundle = mg.Bundle(model, inputs, target)
        bundle.save(path)
    return bundle, parts


def on_relations(models: Path, epochs: int) -> dict[str, float]:
    """What each input changes alone, and what is lost without it, where only both tell."""
    bundle, parts = relations_bundle(models, epochs)
    found = bundle.explain(parts[2])
    means = pd.concat([one.inputs for one in found]).groupby("input").mean()
    return {
        "accuracy": bundle.evaluate(parts[2])["accuracy"],
        "prediction less baseline": float(np.mean([one.value - one.baseline for one in found])),
        **{
            f"{name}, {column}": float(means.loc[name, column])
            for name in means.index
            for column in ("alone", "share", "needed")
        },
    }


@dataclass
class Curves:
    """Rows of a table, their pictures, and the model that is asked about changed ones."""

    engine: Engine
    batch: Batch
    heat: HeatMaps
    pictures: np.ndarray

    @classmethod
    def of(cls, bundle: mg.Bundle, table: pd.DataFrame) -> Curves:
        """Read and encode the rows."""
        parts = Parts(bundle.model, bundle.inputs, bundle.inputs_as)
        subject = Subject.chosen(bundle.target, None, None)
        engine = Engine(parts, subject, len(table))
        engine.prepare()
        arrays, _ = read_table(parts.players, table, len(table))
        batch = engine.batch(table, arrays, np.arange(len(table)))
        heat = HeatMaps(engine, "image")
        return cls(engine, batch, heat, arrays["image"][0].astype("float32"))

    def value(self, pictures: np.ndarray) -> np.ndarray:
        """The probability of each row's class with another picture, `(rows,)`."""
        whole = np.rint(pictures).clip(0, 255).astype("uint8")
        codes = self.engine.parts.encode("image", [whole])
        return self.engine.changed(self.batch, "image", codes, np.arange(len(whole)))

    def areas_under(self, heat: np.ndarray) -> tuple[float, float]:
        """The mean probability while pixels are deleted, and while they are inserted."""
        order = np.argsort(-heat.reshape(len(heat), -1), axis=1, kind="stable")
        plain, values = blurred(self.pictures), []
        for step in np.linspace(0, 1, _STEPS + 1):
            gone = np.zeros(order.shape, bool)
            np.put_along_axis(gone, order[:, : int(step * order.shape[1])], True, axis=1)
            mask = gone.reshape(*heat.shape, 1)
            deleted = self.value(np.where(mask, plain, self.pictures)).mean()
            inserted = self.value(np.where(mask, self.pictures, plain)).mean()
            values.append((deleted, inserted))
        means = np.mean(values, axis=0)
        return float(means[0]), float(means[1])

    def ours(self) -> np.ndarray:
        """The maps of `explain`, `(rows, height, width)`."""
        return self.heat.maps(self.batch, self.heat.pictures(self.batch))[:, 0]

    def gradient(self) -> np.ndarray:
        """The size of the gradient at the picture, smoothed as ours is."""
        gradient = self.engine.parts.gradient("image")
        weights = self.engine.subject.weights(self.batch.outputs, self.batch.explained)
        assert gradient is not None
        found = gradient(self.pictures, self.batch.codes["caption"], weights)
        assert found is not None
        return smoothed(np.abs(found).sum(axis=-1))

    def occlusion(self, plain: np.ndarray) -> np.ndarray:
        """What is lost where a window shows a picture without detail; 64 windows that overlap."""
        heat, often = np.zeros(self.pictures.shape[:3]), np.zeros(self.pictures.shape[1:3])
        for area in areas(self.pictures.shape[1:3], 8):
            hidden = self.pictures.copy()
            hidden[(slice(None), *area)] = plain[(slice(None), *area)]
            heat[(slice(None), *area)] += (self.batch.values - self.value(hidden))[:, None, None]
            often[area] += 1
        return heat / often


def fashion(
    data: Path, models: Path, seed: int, train: int, epochs: int
) -> tuple[mg.Bundle, pd.DataFrame]:
    """A bundle of fashion with captions without class words, and the test rows."""
    table = mg.read_table(data / "fashion" / "data.csv")
    parts = [table[table["split"] == name] for name in ("train", "val", "test")]
    parts[:2] = [part.sample(min(train, len(part)), random_state=seed) for part in parts[:2]]
    folder = data / "fashion"
    return trained("fashion", folder, models, parts, "caption_masked", seed, epochs), parts[2]


def on_fashion(bundle: mg.Bundle, rows: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Way -> areas under the curves of deletion and insertion."""
    curves = Curves.of(bundle, rows)
    ways = {
        "ours": curves.ours,
        "gradient alone": curves.gradient,
        "windows of the mean colour": lambda: curves.occlusion(mean_colour(curves.pictures)),
        "windows blurred": lambda: curves.occlusion(blurred(curves.pictures)),
    }
    return {name: curves.areas_under(way()) for name, way in ways.items()}


def beside_shap(bundle: mg.Bundle, rows: pd.DataFrame) -> dict[str, tuple[float, ...]]:
    """Way -> CPU seconds, runs of the model per row (ours has none to count), and both areas."""
    from benchmarks.explain_shap import Rows

    curves, first = Curves.of(bundle, rows), rows.iloc[:2]
    shap = Rows(curves, list(rows["caption_masked"]))
    # Once before, as jax and numba compile.
    bundle.explain(rows)
    Rows(Curves.of(bundle, first), list(first["caption_masked"])).explain(50, 20)
    started = time.process_time()
    found = bundle.explain(rows)
    seconds = time.process_time() - started
    heat = np.stack([one.heat["image"][0] for one in found])
    table = {"ours": (seconds, float("nan"), *curves.areas_under(heat))}
    for pictures, texts in ((34, 30), (100, 50), (500, 500)):
        heat, seconds, runs = shap.explain(pictures, texts)
        table[f"shap, at most {pictures} and {texts}"] = (seconds, runs, *curves.areas_under(heat))
    return table


def report_of(found: dict[str, Any]) -> Report:
    """The table of all that was measured."""
    rows: list[tuple[str, ...]] = []
    for part in ("sample", "relations"):
        rows += [(f"{part}: {name}", f"{one:.3g}", "") for name, one in found.get(part, {}).items()]
    for seed, ways in found.get("curves", {}).items():
        rows += [
            (f"fashion, seed {seed}: {way}", f"{deleted:.3f}", f"{inserted:.3f}")
            for way, (deleted, inserted) in ways.items()
        ]
    rows += [
        (f"{way}: {seconds:.1f} CPU s, {runs:.0f} runs a row", f"{deleted:.3f}", f"{inserted:.3f}")
        for way, (seconds, runs, deleted, inserted) in found.get("shap", {}).items()
    ]
    notes = ["Areas: less is better where pixels are deleted, more where they are inserted."]
    title, columns = "Explanations", ("what", "figure, or area deleted", "area inserted")
    return Report("explain", title, columns, rows, notes, found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="with fashion")
    parser.add_argument("--parts", nargs="+", default=["sample", "relations", "curves", "shap"])
    parser.add_argument("--models", type=Path, help="a folder that keeps the trained models")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train", type=int, default=2000, help="training rows of fashion")
    parser.add_argument("--rows", type=int, default=300, help="rows of fashion for the curves")
    parser.add_argument("--epochs", type=int, nargs=3, default=[14, 20, 10], help="of each model")
    parser.add_argument("--card", type=Path, help="a picture of two rows of the sample data")
    add_arguments(parser)
    given = parser.parse_args(arguments)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        models = given.models or Path(folder)
        if "sample" in given.parts:
            found["sample"] = on_sample(models, given.epochs[0], given.card)
        if "relations" in given.parts:
            found["relations"] = on_relations(models, given.epochs[1])
        for seed in given.seeds if {"curves", "shap"} & set(given.parts) else []:
            bundle, test = fashion(given.data, models, seed, given.train, given.epochs[2])
            if "curves" in given.parts:
                rows = test.sample(min(given.rows, len(test)), random_state=seed)
                found.setdefault("curves", {})[seed] = on_fashion(bundle, rows)
            if (
                "shap" in given.parts
                and seed == given.seeds[0]
                and importlib.util.find_spec("shap")
            ):
                rows = test.sample(min(100, given.rows), random_state=seed)
                found["shap"] = beside_shap(bundle, rows)
            print(f"seed {seed}: measured", flush=True)
    publish(report_of(found), given)


if __name__ == "__main__":
    main()
