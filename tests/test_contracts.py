"""`check_loader`, `check_target`, `check_sampler` and `check_augmentation`: every bundled class
keeps its contract, and each rule that is broken is named.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen import augment
from multimodal_gen.augment import Batch, Sample
from multimodal_gen.loaders.drawn_item import DrawnItem

CAPTIONS = ["a red mug on the left of a plate", "a blue lamp", "two chairs right of it", "a mug"]
TEXT = mg.TextLoader.from_texts("caption", CAPTIONS * 4, vocabulary_size=200)
MASKED = mg.MaskedTextLoader(TEXT)
NOISE = np.random.default_rng(0)
PICTURES = [NOISE.integers(0, 256, (20, 24, 3), "uint8") for _ in range(3)]
IMAGE = mg.ImageLoader("image", image_size=(16, 16))
FLIP = augment.RandomFlip("horizontal")


def means(rows: list[np.ndarray]) -> np.ndarray:
    return np.stack([one.mean((0, 1)) for one in rows])


LOADERS: dict[str, tuple[mg.Loader, list[Any]]] = {
    "pictures": (IMAGE, PICTURES),
    "varied pictures": (IMAGE.replace(augment=[FLIP, augment.RandomBrightness(0.2)]), PICTURES),
    "floats": (
        IMAGE.replace(dtype="float32", rescale=1 / 255, normalize=mg.SamplewiseNormalization()),
        PICTURES,
    ),
    "tokens": (
        TEXT.replace(augment=[augment.RandomWordSwap(0.5), augment.TokenDropout(0.3)]),
        CAPTIONS,
    ),
    "tokens with padding before them": (
        mg.TextLoader.from_texts("caption", CAPTIONS * 4, vocabulary_size=200, padding="left"),
        CAPTIONS,
    ),
    "n-grams": (
        mg.TextLoader.from_texts(
            "caption", CAPTIONS * 4, output_mode="ngrams", augment=[augment.RandomWordDeletion(0.5)]
        ),
        CAPTIONS,
    ),
    "masked tokens": (MASKED, CAPTIONS),
    "numbers": (mg.NumericLoader(["a", "b"], mean=[1, 2], scale=[3, 4]), [(1.0, 2.0), (5, 6)]),
    "categories": (mg.CategoryLoader("a", ["x", "y"], rare=["z"]), ["x", "z", None, "new"]),
    "dates": (mg.DateLoader("a", parts=["hour"], mean=9, scale=2), ["2024-01-31", "2024-02-01"]),
    "features": (
        mg.EncodedLoader(
            IMAGE.replace(augment=[FLIP]),
            mg.FunctionEncoder(means, 3, name="means"),
            views=2,
        ),
        PICTURES,
    ),
    "arrays": (mg.ArrayLoader("array", shape=(2, 3)), [np.ones((2, 3)), [[1, 2, 3], [4, 5, 6]]]),
    "arrays of pictures": (
        mg.ArrayLoader("array", shape=(20, 24, 3), dtype="uint8", augment=[FLIP]),
        PICTURES,
    ),
    # The check covers what it is in training too, a `DrawnItem`.
    "several pictures": (mg.ManyLoader(IMAGE, at_most=2), [PICTURES[:1], PICTURES]),
}
TARGETS: dict[str, tuple[mg.Target, list[Any]]] = {
    "int": (mg.ClassLabel("label", ["x", "y", "z"]), ["x", "z", "x", "y"]),
    "categorical": (
        mg.ClassLabel("label", ["x", "y", "z"], label_mode="categorical"),
        ["x", "z", "x"],
    ),
    "binary": (mg.ClassLabel("label", [False, True], label_mode="binary"), [True, False, "True"]),
    "labels": (mg.MultiLabel("tags", ["a", "b"]), [["a"], [], ["b", "a"]]),
    "separated labels": (mg.MultiLabel("tags", ["a", "b"], separator="|"), ["a|b", "b"]),
    "columns of labels": (mg.MultiLabel(["a", "b"]), [(0, 1), (1, 0)]),
    "number": (mg.NumericTarget("price", mean=2, scale=3), [1.0, 2, 7]),
    "numbers": (mg.NumericTarget(["a", "b"], mean=[1, 2], scale=[3, 4]), [(1.0, 2.0), (5, 6)]),
    "box": (mg.NumericTarget("box", units=3), [[1.0, 2.0, 3.0], (5, 6, 7)]),
    "picture": (mg.InputTarget(IMAGE.replace(augment=[FLIP])), PICTURES),
    "vector": (mg.InputTarget(mg.NumericLoader("n", mean=[0], scale=[1])), [1.0, 2.0, 4.0]),
    "hidden tokens": (mg.MaskedTokens(MASKED), CAPTIONS),
}


@pytest.mark.parametrize("name", LOADERS)
def test_every_bundled_loader_keeps_its_contract(name) -> None:
    mg.check_loader(*LOADERS[name])


@pytest.mark.parametrize("name", TARGETS)
def test_every_bundled_target_keeps_its_contract(name) -> None:
    mg.check_target(*TARGETS[name])


def test_no_bundled_class_is_left_out() -> None:
    def bundled(base: type) -> set[type]:
        own = {one for one in base.__subclasses__() if one.__module__.startswith("multimodal_gen.")}
        return own | {found for one in own for found in bundled(one)}

    assert bundled(mg.Target) == {type(one) for one, _ in TARGETS.values()}
    # Loaders of pairs and of presets need models: test_similarity.py and test_hub.py check them.
    # Those of sounds and clips need libraries of their own: test_audio.py and test_clips.py do.
    elsewhere = {"SimilarityLoader", "PresetTextLoader", "AudioLoader", "ClipLoader"}
    abstract = {mg.Target, DrawnItem, mg.loaders.FileLoader}
    loaders = bundled(mg.Loader) - bundled(mg.Target) - abstract
    assert {one for one in loaders if one.__name__ not in elsewhere} == {
        type(one) for one, _ in LOADERS.values()
    }
    known = {type(one) for one in (*IMAGES, *WORDS, *SAMPLES, *BATCHES)} | {
        type(one) for one in TOKENS
    }
    public = {getattr(augment, name) for name in augment.__all__}
    concrete = {
        one
        for one in public
        if isinstance(one, type) and not getattr(one, "__abstractmethods__", None)
    }
    assert concrete - {Sample, Batch, augment.FromLibrary} <= known
    # Before: a class that nobody has asked for is not imported yet.
    samplers = {mg.BalancedSampler, mg.WeightedSampler, mg.Mix}
    assert bundled(mg.Sampler) == samplers | {type(Halves("a").balanced_sampler())}


# Loaders that break a rule


@dataclass(frozen=True)
class Counts(mg.Loader):
    """The length of a text."""

    column: str = "text"
    spec = mg.ArraySpec((1,), "float32", "vector")

    def read(self, cell: Any) -> np.ndarray:
        return np.array([len(cell)], "float32")


CALLS = itertools.count(1)


class Unrepeatable(Counts):
    def augment_cell(self, cell, rng):
        return cell + "x" * next(CALLS)


class Writing(Counts):
    def augment_cell(self, cell, rng):
        cell.append("more")
        return cell


class Unreadable(Counts):
    def augment_cell(self, cell, rng):
        return None


class Hidden(Counts):
    def varies(self, training):
        return False

    def augment_cell(self, cell, rng):
        return cell + "x"


class HiddenArrays(Counts):
    def varies(self, training):
        return False

    def augment(self, array, rng):
        return array if rng is None else array + 1


class Mute(Counts):
    def describe(self, array, cell=None):
        return str(array)


class Grey(Counts):
    def draw(self, array):
        return np.zeros((4, 4), "uint8")


class WrongSide(Counts):
    spec = mg.ArraySpec((4,), "int32", "tokens", 9)

    def read(self, cell):
        return np.array([0, 0, 1, 2], "int32")


class Covered(Counts):
    reads_text = True

    def text_coverage(self, texts):
        return 0.5


class Astray(Counts):
    def moved(self, directory):
        return Counts("other")


class Elsewhere(Counts):
    directory = "."

    def moved(self, directory):
        return Elsewhere2()


class Elsewhere2(Elsewhere):
    pass


class Large(Counts):
    spec = mg.ArraySpec((4, 4, 3), "uint8", "image")

    def read(self, cell):
        return np.zeros(self.spec.shape, "uint8")

    def thumbnails(self, size, *, pad=False):
        return self


@pytest.mark.parametrize(
    ("loader", "cells", "message"),
    [
        (Unrepeatable(), ["a"], "augment_cell must draw only from `rng`"),
        (Writing(), [["a"]], "augment_cell must leave the cell unchanged"),
        (
            Unreadable(),
            ["a"],
            "augment_cell must return a cell that `read` takes. Received: None for 'a'",
        ),
        (Hidden(), ["a"], r"varies\(training=True\) must be true, because `augment_cell`"),
        (HiddenArrays(), ["a"], r"varies\(training=True\) must be true, because `augment` "),
        (Mute(), ["a"], "describe must map titles to words"),
        (
            Grey(),
            ["a"],
            r"draw must return None or \(height, width, 3\) uint8. Received: \(4, 4\) uint8",
        ),
        (WrongSide(), ["a"], "pads_left must say on which side"),
        (Covered(), ["a"], "text_coverage must return words or None. Received: 0.5"),
        (Astray(), ["a"], "moved must return the same loader"),
        (Elsewhere(), ["a"], "moved must return the same loader"),
        (Large(), ["a"], "thumbnails must return a loader of pictures of that size"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, mg.Loader) else "",
)
def test_a_loader_that_breaks_a_rule_is_told_which(loader, cells, message) -> None:
    mg.check_loader(Counts(), ["a", "bcd"])
    with pytest.raises(mg.LoaderError, match=message):
        mg.check_loader(loader, cells)


# Targets that break a rule


@dataclass(frozen=True)
class Halves(mg.Target):
    """Whether a text is longer than three letters."""

    column: str = "text"
    class_names = ("short", "long")
    spec = mg.ArraySpec((1,), "float32", "label")
    units = 1
    activation = "sigmoid"

    def read(self, cell: str) -> np.ndarray:
        return np.array([len(cell) > 3], "float32")

    @property
    def loss(self):
        import keras

        return keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight")

    def score(self, truth, outputs):
        return {"accuracy": float(((outputs > 0.5) == (truth > 0.5)).mean())}

    def decode_outputs(self, outputs):
        return {"half": np.array(self.class_names, object)[(outputs[:, 0] > 0.5).astype(int)]}


def broken(**changes: Any) -> Halves:
    """A `Halves` of another class, with some members changed."""
    members = {"__module__": __name__, "__annotations__": {}, **changes}
    # Where pickle looks for it.
    globals()["Broken"] = dataclass(frozen=True)(type("Broken", (Halves,), members))
    return globals()["Broken"]()


def wrong_loss(self):
    import keras

    return keras.losses.BinaryCrossentropy()


def not_finite(self):
    return lambda truth, outputs, sample_weight: float("nan")


def loss_of_tokens(self):
    import keras

    # Of a row it gives a number per token, which no weight of a row goes with.
    return lambda truth, outputs, sample_weight: keras.losses.SparseCategoricalCrossentropy()(
        np.zeros((len(truth), 7), "int32"),
        np.full((len(truth), 7, 2), 0.5, "float32"),
        sample_weight,
    )


def same_metrics(self):
    return METRICS


class _Metric:
    name = "mine"


METRICS = [_Metric()]
CELLS = ["a", "abcdef", "abc"]
BROKEN = {
    "units": ({"units": 0}, "units must be a positive integer. Received: units=0"),
    "activation": ({"activation": ""}, "activation must name a Keras activation"),
    "names": (
        {"class_names": ("short", "short")},
        "class_names must be a tuple of different names",
    ),
    "list of names": ({"class_names": ["short", "long"]}, "class_names must be a tuple"),
    "no names": ({"class_names": (), "one_class": True}, "class_names must name the classes"),
    "no class number": (
        {"class_positions": lambda self, truth: truth},
        r"class_positions must return one integer per row. Received: \(3, 1\) float32",
    ),
    "class beyond": ({"class_names": ("short",)}, r"class_positions must be in \[0, 1\)"),
    "other classes": (
        {"classes_of": lambda self, cells: np.zeros(len(cells), int)},
        "classes_of must match class_positions",
    ),
    "lopsided": (
        {"balanced_sampler": lambda self: Even()},
        "balanced_sampler must balance classes",
    ),
    "few rows": (
        {"decode_outputs": lambda self, outputs: {"half": ["short"]}},
        "a value for each of 3 rows",
    ),
    "another order": (
        {
            "decode_outputs": lambda self, outputs: {
                "p": outputs[:, 0],
                "half": np.array(["short"] * len(outputs)),
            }
        },
        "the predicted class in its first column",
    ),
    "random columns": (
        {
            "class_names": (),
            "decode_outputs": lambda self, outputs: {
                "p": np.random.default_rng().random(len(outputs))
            },
        },
        "decode_outputs must return the same every time",
    ),
    "writing": (
        {"decode_outputs": lambda self, outputs: outputs.sort() or {"p": outputs}},
        "decode_outputs must not write into the outputs",
    ),
    "score": (
        {"score": lambda self, truth, outputs: {"a": np.float32(1)}},
        "score must map names to plain floats",
    ),
    "random score": (
        {"score": lambda self, truth, outputs: {"a": float(np.random.default_rng().random())}},
        "score must return the same every time",
    ),
    "loss": ({"loss": property(wrong_loss)}, "loss must ignore rows of weight 0"),
    "no loss": ({"loss": property(not_finite)}, "loss must be finite"),
    "loss of tokens": (
        {"loss": property(loss_of_tokens)},
        "loss must take what read returns.*one weight per row",
    ),
    "metrics": ({"metrics": property(same_metrics)}, "metrics must be new each time"),
    "judge": (
        {"judge": lambda self, cells, predictions: "fine"},
        "judge must return a Judgement or None",
    ),
    "loader": (
        {"read": lambda self, cell: np.array([2.0])},
        "read.* must return what `spec` says",
    ),
}


@dataclass(frozen=True)
class Even(mg.Sampler):
    """Every row alike."""

    def weights(self, table: pd.DataFrame) -> np.ndarray:
        return np.ones(len(table))


@pytest.mark.parametrize("name", BROKEN)
def test_a_target_that_breaks_a_rule_is_told_which(name) -> None:
    changes, message = BROKEN[name]
    with pytest.raises(mg.LoaderError, match=message):
        mg.check_target(broken(**changes), CELLS)


def test_a_target_of_ones_own_keeps_the_contract_and_anything_else_is_refused() -> None:
    mg.check_target(Halves(), CELLS)
    with pytest.raises(
        mg.LoaderError, match="A target must derive from Target. Received: target=Counts"
    ):
        mg.check_target(Counts(), CELLS)
    judged = Halves().judge(CELLS, pd.DataFrame({"half": ["short", "short", "short"]}))
    wrong = dataclasses.replace(judged, badness=judged.badness[:2])
    with pytest.raises(mg.LoaderError, match="judge must say for each row"):
        mg.check_target(broken(judge=lambda self, cells, predictions: wrong), CELLS)
    mute = dataclasses.replace(judged, words=lambda row: "short")
    with pytest.raises(mg.LoaderError, match="judge must say in words"):
        mg.check_target(broken(judge=lambda self, cells, predictions: mute), CELLS)


# Samplers

TABLE = pd.DataFrame({"label": ["a", "a", "b"], "weight": [1.0, 0.5, 2.0]})


def sampler(weights: Any, **changes: Any) -> mg.Sampler:
    own = type("Own", (mg.Sampler,), {"weights": weights, **changes})
    return own()


def appending(self, table):
    table["more"] = 1
    return np.ones(len(table))


def test_bundled_samplers_keep_their_contract() -> None:
    mg.check_sampler(mg.BalancedSampler("label"), TABLE)
    mg.check_sampler(mg.WeightedSampler("weight"), TABLE)
    mixed = mg.concat_tables({"a": TABLE, "b": TABLE.head(2)})
    mg.check_sampler(mg.Mix({"a": 3, "b": 1}), mixed)
    mg.check_sampler(Even(), TABLE)
    mg.check_sampler(Halves("label").balanced_sampler(), TABLE)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda self, table: np.ones(2), r"one weight per row. Received: shape \(2,\) for 3 rows"),
        (lambda self, table: -np.ones(3), "finite number of at least 0"),
        (lambda self, table: np.zeros(3), "At least one row must have a weight above 0"),
        (
            lambda self, table: np.random.default_rng().random(3),
            "the same weights every time|must be picklable",
        ),
        (appending, "must not change the table"),
    ],
)
def test_a_sampler_that_breaks_a_rule_is_told_which(weights, message) -> None:
    with pytest.raises(mg.LoaderError, match=message):
        mg.check_sampler(sampler(weights), TABLE.copy())


@dataclass(frozen=True)
class Restless(mg.Sampler):
    def weights(self, table):
        return np.random.default_rng().random(len(table))


@dataclass(frozen=True)
class Unsaved(mg.Sampler):
    function: Any

    def weights(self, table):
        return np.ones(len(table))


class Forgetful(mg.Sampler):
    def __init__(self, scale):
        self.scale = scale

    def get_config(self):
        return {"scale": 1}

    def weights(self, table):
        return np.arange(1, len(table) + 1) ** self.scale


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (Restless(), "weights must return the same weights every time"),
        (Unsaved(len), "Unsaved cannot be saved"),
        (Forgetful(2), "the same weights after saving to JSON"),
        ("balanced", "A sampler must derive from Sampler"),
    ],
)
def test_a_sampler_must_be_repeatable_and_saved(one, message) -> None:
    with pytest.raises(mg.LoaderError, match=message):
        mg.check_sampler(one, TABLE)


# Augmentations

IMAGES = [
    FLIP,
    augment.RandomRotation(0.1),
    augment.RandomTranslation(0.1, 0.1),
    augment.RandomZoom(0.2),
    augment.RandomShear(0.2, 0.2),
    augment.RandomCrop(12, 12),
    augment.RandomResizedCrop(),
    augment.RandomBrightness(0.2),
    augment.RandomContrast(0.2),
    augment.RandomHue(0.2),
    augment.RandomSaturation(0.2),
    augment.RandomGrayscale(0.5),
    augment.RandomChannelShift(0.2),
    augment.GaussianBlur(),
    augment.RandomErasing(),
    augment.RandAugment(),
    augment.TrivialAugment(),
]
WORDS = [augment.RandomWordSwap(0.5), augment.RandomWordDeletion(0.5)]
TOKENS = [augment.TokenDropout(0.5), augment.TokenMasking(0.5)]
SAMPLES = [augment.FlipWithWords(image="image", caption="caption"), augment.ModalityDropout(0.5)]
BATCHES = [augment.MixUp(), augment.CutMix()]
SAMPLE = Sample({"image": PICTURES[0], "caption": TEXT.read(CAPTIONS[0])}, np.float32([1, 0]))
PAIR = ({"image": "0.png", "caption": CAPTIONS[0]}, SAMPLE)
BATCH = Batch(
    {"image": np.stack(PICTURES), "caption": np.stack([TEXT.read(one) for one in CAPTIONS[:3]])},
    np.eye(3, dtype="float32"),
    np.ones(3, "float32"),
    {"image": mg.ArraySpec((20, 24, 3), "uint8", "image"), "caption": TEXT.spec},
)
KINDS = [
    *((one, PICTURES) for one in IMAGES),
    *((one, CAPTIONS) for one in WORDS),
    *((one, [TEXT.read(cell) for cell in CAPTIONS]) for one in TOKENS),
    *((one, [PAIR]) for one in SAMPLES),
    *((one, [BATCH]) for one in BATCHES),
]


@pytest.mark.parametrize(("operation", "examples"), KINDS, ids=lambda one: type(one).__name__)
def test_every_bundled_augmentation_keeps_its_contract(operation, examples) -> None:
    mg.check_augmentation(operation, examples, tokens=TEXT.encoder)


def unrepeatable(example, rng):
    return example + "x" * int(np.random.default_rng().integers(1, 100))


def in_place(image, rng):
    image[:] = 0
    return image


def other_shape(image, rng):
    return image[:4]


def floats(image, rng):
    return image.astype("float32")


def other_kind(sample, rng):
    return sample.inputs


def writes_mapping(sample, rng):
    sample.inputs["image"] = sample.inputs["image"][::-1]
    return sample


def drops_input(sample, rng):
    return Sample({"image": sample.inputs["image"]}, sample.target)


def not_finite_target(batch, rng):
    return dataclasses.replace(batch, target=batch.target * np.nan)


def negative_weights(batch, rng):
    return dataclasses.replace(batch, sample_weight=-batch.sample_weight)


def drops_rows(batch, rng):
    return dataclasses.replace(batch, target=batch.target[:2])


@dataclass(frozen=True)
class LosesCells(augment.SampleAugmentation):
    def prepare(self, cells, rng):
        return {"image": cells["image"]}, None


@dataclass(frozen=True)
class LosesTarget(augment.SampleAugmentation):
    def prepare(self, cells, rng):
        return cells, lambda sample: Sample(sample.inputs)


class Renamed(augment.Augmentation):
    def __init__(self, strength):
        self.strength = strength

    def get_config(self):
        return {"strength": 0}

    def __call__(self, image, rng):
        return image + np.uint8(self.strength)


@pytest.mark.parametrize(
    ("operation", "example", "message"),
    [
        (unrepeatable, "a mug", "unrepeatable must draw only from `rng`"),
        (in_place, PICTURES[0], "in_place must return new arrays"),
        (other_shape, PICTURES[0], "other_shape must keep the shape and dtype"),
        (floats, PICTURES[0], "floats must keep the shape and dtype"),
        (lambda image, rng: image, PICTURES[0], "must be picklable"),
        (other_kind, SAMPLE, "other_kind must return a Sample. Received: dict"),
        (writes_mapping, SAMPLE, "writes_mapping must not change its input"),
        (drops_input, SAMPLE, "drops_input must keep all arrays"),
        (not_finite_target, BATCH, "must keep numbers finite of target"),
        (negative_weights, BATCH, "must return weights of at least 0"),
        (drops_rows, BATCH, "drops_rows must keep the shape and dtype of target"),
        (LosesCells(), PAIR, "prepare must return a cell for each input"),
        (LosesTarget(), PAIR, "LosesTarget must keep all arrays"),
        (Renamed(3), PICTURES[0], "so return the same result after saving to JSON"),
        (augment.MixUp, BATCH, "must be a callable object"),
        ("flip", PICTURES[0], "must be a callable object"),
    ],
)
def test_an_augmentation_that_breaks_a_rule_is_told_which(operation, example, message) -> None:
    with pytest.raises(mg.LoaderError, match=message):
        mg.check_augmentation(operation, [example])


def test_an_augmentation_is_checked_on_examples() -> None:
    with pytest.raises(mg.LoaderError, match="needs at least one example"):
        mg.check_augmentation(FLIP, [])


def test_the_page_on_loaders_names_every_proof() -> None:
    page = (Path(__file__).parents[1] / "docs" / "loaders.md").read_text()
    for name in ("check_loader", "check_target", "check_sampler", "check_augmentation"):
        assert f"`{name}" in page
