"""Makes a table of relations from the sample catalogue: does the sentence name the thing in the
picture, yes or no?

Every picture comes once with a true and once with a false sentence, and each shape is named as
often truly as falsely. So a picture alone and a sentence alone say nothing, and neither does a sum
of what each of them says: only a model that multiplies the two can answer. It reads `catalog.csv`
and draws nothing itself.
"""

import argparse
import csv
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

COLUMNS = ("image", "caption", "label", "group")
SEED = 11

_NAMES = {
    "mug": ("mug", "coffee mug", "tea mug"),
    "lamp": ("lamp", "table lamp", "reading lamp"),
    "chair": ("chair", "kitchen chair", "dining chair"),
}
_FORMS = (
    "a {name} in {time} light",
    "the picture shows a {name}",
    "here is a {mood} {name}",
    "a {mood} {name} in front of a wall",
    "somebody drew a {name}",
    "one {name}, {time}",
    "this must be a {name}",
    "a {name} for {person}",
    "look, a {mood} {name}",
    "{person} would like this {name}",
    "a small picture of a {name}",
    "no doubt a {name}, and a {mood} one",
)
_FILLERS = {
    "time": ("morning", "midday", "afternoon", "evening", "winter", "summer"),
    "mood": ("plain", "old", "friendly", "lonely", "tidy", "crooked", "elegant", "cheerful"),
    "person": ("grandmother", "a neighbour", "a friend", "everybody", "my sister", "the teacher"),
}


def _sentence(rng: np.random.Generator, shape: str) -> str:
    def pick(options: tuple[str, ...]) -> str:
        return options[int(rng.random() * len(options))]

    fillers = {slot: pick(options) for slot, options in _FILLERS.items()}
    text = pick(_FORMS).format(name=pick(_NAMES[shape]), **fillers)
    text = re.sub(r"\ba (?=[aeio])", "an ", text)
    return text[0].upper() + text[1:] + "."


def make_relations(directory: Path, *, seed: int = SEED) -> list[dict[str, str]]:
    """Pairs every picture of a catalogue with one true and one false sentence about its shape.

    Args:
        directory: Folder with `catalog.csv`; the last word of its labels is the shape.
        seed: Settles the wording, the false names and the order of the rows.

    Returns:
        Two rows for every row of the catalogue, shuffled: `image` (relative to `directory`),
            `caption`, `label`
        ("yes" or "no") and `group`, the same for the two rows of one picture. Split by `group`, or
        a model may know a picture from training.
    """
    rng = np.random.default_rng(seed)
    images: dict[str, list[str]] = defaultdict(list)
    with (directory / "catalog.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            images[row["label"].split()[-1]].append(row["image"])

    rows = []
    for shape in sorted(images):
        others = [other for other in _NAMES if other != shape]
        # Turns, not draws, share out the false names: every name is then false exactly as often as
        # it is true.
        for turn, place in enumerate(np.argsort(rng.random(len(images[shape])), kind="stable")):
            image = images[shape][place]
            for label, named in (("yes", shape), ("no", others[turn % len(others)])):
                values = (image, _sentence(rng, named), label, Path(image).stem)
                rows.append(dict(zip(COLUMNS, values, strict=True)))
    return [rows[place] for place in np.argsort(rng.random(len(rows)), kind="stable")]


def write_relations(rows: list[dict[str, str]], path: Path) -> None:
    """Writes the rows as CSV: UTF-8, a header, line feeds only."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Make a table of true and false sentences about the catalogue."
    )
    parser.add_argument(
        "--directory", type=Path, default=Path(__file__).parent, help="folder of catalog.csv"
    )
    parser.add_argument("--out", type=Path, required=True, help="table to write")
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed (default {SEED})")
    arguments = parser.parse_args()
    write_relations(make_relations(arguments.directory, seed=arguments.seed), arguments.out)
    print(arguments.out)
