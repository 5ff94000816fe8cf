"""Arguments that many public functions have: switches are True or False, seeds integers, and
columns named once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.models import BackboneBranch, ImageBranch
from multimodal_gen.rows.checks import check_at_least, check_choice
from multimodal_gen.rows.plan import Plan

TABLE = pd.DataFrame(
    {"text": ["a cat", "a dog"] * 4, "number": range(8), "label": ["cat", "dog"] * 4}
)
NUMBERS = {"number": mg.NumericLoader("number", mean=[0.0], scale=[1.0])}
PICTURES = mg.ImageLoader("image", image_size=(4, 4), dtype="float32")
MAPS = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 2)])
TOKENS = mg.TextLoader.from_texts("text", TABLE, vocabulary_size=64)


def sequence(**arguments: Any) -> mg.MultimodalSequence:
    return mg.MultimodalSequence(
        TABLE, NUMBERS, mg.ClassLabel.from_values("label", TABLE), batch_size=2, **arguments
    )


# How each is called that has switches. One that is missing here is found by the first test.
CALLS: dict[str, Callable[..., Any]] = {
    "ClassCrossentropy": mg.models.ClassCrossentropy,
    "ClassLabel": lambda **given: mg.ClassLabel("label", ["low", "middle", "high"], **given),
    "ClipLoader": lambda **given: mg.ClipLoader("clip", image_size=(4, 4), **given),
    "EncodedLoader.thumbnails": lambda **given: mg.EncodedLoader(
        PICTURES, mg.FunctionEncoder(len, 1, name="tried here")
    ).thumbnails((2, 2), **given),
    "EncoderBranch": lambda **given: mg.models.EncoderBranch(encoder=None, **given),
    "from_preset": lambda **given: mg.from_preset(MAPS, "image", **given),
    "BackboneBranch": lambda **given: BackboneBranch(backbone=lambda **_: None, **given),
    "FeaturewiseNormalization.from_table": lambda **given: mg.FeaturewiseNormalization.from_table(
        PICTURES, pd.DataFrame({"image": [np.zeros((4, 4, 3), "uint8")]}), verbose=0, **given
    ),
    "FlipWithWords": mg.augment.FlipWithWords,
    "ImageBranch": ImageBranch,
    "ImageLoader": lambda **given: mg.ImageLoader("image", image_size=(4, 4), **given),
    "ImageLoader.thumbnails": lambda **given: PICTURES.thumbnails((2, 2), **given),
    "InputTarget": lambda **given: mg.InputTarget(NUMBERS["number"], **given),
    "KerasEncoder": lambda **given: mg.KerasEncoder(MAPS, **given),
    "KerasEncoder.from_application": lambda **given: mg.KerasEncoder.from_application(
        "MobileNetV2", weights=None, **given
    ),
    "Loader.thumbnails": lambda **given: NUMBERS["number"].thumbnails((2, 2), **given),
    "MultimodalSequence": sequence,
    "NumericTarget.from_values": lambda **given: mg.NumericTarget.from_values(
        "number", TABLE, **given
    ),
    "RandomChannelShift": lambda **given: mg.augment.RandomChannelShift(0.1, **given),
    "SamplewiseNormalization": mg.SamplewiseNormalization,
    "TextLoader.from_texts": lambda **given: mg.TextLoader.from_texts(
        "text", TABLE, vocabulary_size=64, **given
    ),
    "TokenEncoder": lambda **given: mg.TokenEncoder(
        TOKENS.encoder.tokenizer_json, sequence_length=4, **given
    ),
    "TokenEncoder.decode": lambda **given: TOKENS.encoder.decode(np.array([3]), **given),
}
# What a function returns, and nobody builds.
RESULTS = ("Filled",)
# Their other arguments take a trained model, its predictions or a file; their checks come first.
LATER = {
    "pack_table": lambda **given: mg.pack_table(TABLE, "t.tar", [PICTURES], **given),
    "OnnxTextEncoder": lambda **given: mg.OnnxTextEncoder("absent.onnx", "{}", size=1, **given),
    "OnnxTextEncoder.from_folder": lambda **given: mg.OnnxTextEncoder.from_folder("none", **given),
    "cross_validate": lambda **given: mg.cross_validate(TABLE, NUMBERS, None, **given),
    "fit_with_recipe": lambda **given: mg.fit_with_recipe(None, None, sequence(), **given),
    "out_of_fold_fits": lambda **given: mg.out_of_fold_fits(TABLE, NUMBERS, **given),
    "plot_history": lambda **given: mg.plot_history({"loss": [1.0]}, **given),
    "plot_predictions": lambda **given: mg.plot_predictions(sequence(), TABLE, **given),
}


def switches() -> Iterator[tuple[str, str]]:
    """The name of each public callable that has arguments annotated `bool`, and the argument."""
    found = {}
    for module in (mg, mg.augment, mg.loaders, mg.models):
        for name in module.__all__:
            one = getattr(module, name)
            if inspect.isclass(one) and issubclass(one, BaseException):
                continue
            own = {name: one}
            if inspect.isclass(one) and one.__module__.startswith("multimodal_gen"):
                own |= {
                    f"{name}.{part}": getattr(one, part)
                    for part in vars(one)
                    if not part.startswith("_")
                }
            found |= {key: value for key, value in own.items() if callable(value)}
    for name, value in found.items():
        if name in RESULTS:
            continue
        for parameter in inspect.signature(value).parameters.values():
            # `varies(training)` and `call(training)` are what others call, with a bool that they
            # made.
            if parameter.annotation == "bool" and parameter.name != "training":
                yield name, parameter.name


def test_every_public_switch_is_among_those_that_are_tried_here() -> None:
    assert {name for name, _ in switches()} == {*CALLS, *LATER}


# Of `use_multiprocessing` only False is taken, and the error says why.
@pytest.mark.parametrize(
    ("name", "argument"), [one for one in switches() if one[1] != "use_multiprocessing"]
)
@pytest.mark.parametrize("value", ["yes", "False", 1, None, np.ones(2)])
def test_a_switch_that_is_neither_true_nor_false_is_refused(
    name: str, argument: str, value: Any
) -> None:
    with pytest.raises(
        TypeError, match=f"`{argument}` must be True or False. Received: {argument}="
    ):
        (CALLS | LATER)[name](**{argument: value})


@pytest.mark.parametrize(("name", "argument"), [pair for pair in switches() if pair[0] in CALLS])
def test_a_bool_of_numpy_is_one(name: str, argument: str) -> None:
    if argument == "use_multiprocessing":
        CALLS[name](**{argument: np.False_})
        return
    CALLS[name](**{argument: np.True_})


def test_a_loader_with_a_bool_of_numpy_is_saved_as_any_other() -> None:
    loader = mg.ImageLoader("image", image_size=(4, 4), crop_to_aspect_ratio=np.True_)
    assert loader == mg.ImageLoader("image", image_size=(4, 4), crop_to_aspect_ratio=True)


# Seeds


@pytest.mark.parametrize("seed", ["a", None, -1, 1.5, 2**64])
def test_a_seed_that_is_not_such_an_integer_is_refused(seed: Any) -> None:
    with pytest.raises(
        ValueError, match=r"`seed` must be an integer in \[0, 2\*\*64\). Received: seed="
    ):
        mg.split_table(TABLE, (0.5, 0.5), seed=seed)
    with pytest.raises(
        ValueError, match=r"`seed` must be an integer in \[0, 2\*\*64\). Received: seed="
    ):
        Plan(8, 2, seed=seed)


def test_a_seed_of_numpy_splits_as_the_integer_does() -> None:
    parts = [
        mg.split_table(TABLE, (0.5, 0.5), seed=seed)[0].index.tolist() for seed in (7, np.uint8(7))
    ]
    assert parts[0] == parts[1]


# Shares and columns of a split


@pytest.mark.parametrize(
    "fractions", ["0.7,0.3", "1", {"train": 0.7, "test": 0.3}, 0.5, ["a", "b"], [None, 1.0]]
)
def test_shares_that_are_not_a_list_of_numbers_are_refused(fractions: Any) -> None:
    with pytest.raises(
        TypeError, match=r"`fractions` must be a share for each part, .*Received: fractions="
    ):
        mg.split_table(TABLE, fractions)


@pytest.mark.parametrize("fractions", [(float("nan"), 0.5), (0.5, 0.6), (-0.5, 1.5), ()])
def test_shares_that_do_not_sum_to_one_are_refused(fractions: Any) -> None:
    with pytest.raises(
        ValueError, match=r"`fractions` must be positive and sum to one. Received: fractions="
    ):
        mg.split_table(TABLE, fractions)


@pytest.mark.parametrize("argument", ["stratify", "group"])
def test_several_columns_to_split_by_are_refused_with_the_way_to_join_them(argument: str) -> None:
    with pytest.raises(
        TypeError, match=r"name of one column.*\+ '\|' \+.*Received: .*=\['label', 'text'\]"
    ):
        mg.split_table(TABLE, (0.5, 0.5), **{argument: ["label", "text"]})


@pytest.mark.parametrize("cells", [TABLE["label"], TABLE["label"].to_numpy()])
def test_cells_in_the_place_of_the_column_to_split_by_are_refused(cells: Any) -> None:
    with pytest.raises(
        TypeError, match=r"`stratify` must be the name of a column, not its cells. Received: "
    ):
        mg.split_table(TABLE, (0.5, 0.5), stratify=cells)


# Columns and inputs are named once


@pytest.mark.parametrize(
    "build",
    [
        lambda: mg.NumericLoader(["x", "x"], mean=[0, 0], scale=[1, 1]),
        lambda: mg.NumericLoader.from_values(["x", "x"], pd.DataFrame({"x": [1, 2]})),
        lambda: mg.MultiLabel(["x", "x"], ["red", "blue"]),
        lambda: mg.MultiLabel(["x", "x"]),
        lambda: mg.augment.FlipWithWords(image=["x", "x"]),
        lambda: mg.augment.ModalityDropout(inputs=["x", "x"]),
    ],
)
def test_a_column_or_input_that_is_named_twice_is_refused(build: Callable[[], Any]) -> None:
    with pytest.raises(
        ValueError, match=r"must be named only once. 'x' appears twice. Received: \w+=\['x', 'x'\]"
    ):
        build()


def test_a_number_to_predict_that_is_named_twice_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"one or more different names. Received: column=\['x', 'x'\]"
    ):
        mg.NumericTarget(["x", "x"])


@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), [1.0, -1.0], np.array([0.0, np.nan])])
def test_a_number_below_its_bound_is_refused_and_so_is_nan(value: Any) -> None:
    check_at_least(0, epsilon=0, std=[0.0, 2.5], epoch=np.int64(3))
    with pytest.raises(ValueError, match="`epsilon` must be at least 0. Received: epsilon="):
        check_at_least(0, epsilon=value)


@pytest.mark.parametrize("value", ["Joint", ["joint"], None, np.array(["joint", "late"])])
def test_only_one_of_the_words_is_a_choice(value: Any) -> None:
    check_choice("fusion", "joint", ["joint", "late"])
    with pytest.raises(
        ValueError,
        match=r"`fusion` must be one of \['joint', 'late'\] or a Fusion. Received: fusion",
    ):
        check_choice("fusion", value, ["joint", "late"], " or a Fusion")


def test_arguments_of_several_rooms_are_checked_in_one_place() -> None:
    with pytest.raises(
        ValueError, match=r"`missing` must be one of .* Received: missing=\['mean'\]"
    ):
        mg.NumericLoader("number", mean=[0.0], scale=[1.0], missing=["mean"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`sequence_length` must be a positive integer"):
        TOKENS.replace(encoder=TOKENS.encoder.replace(sequence_length=2.5))
    with pytest.raises(
        ValueError, match="`units` must be a positive integer. Received: units=True"
    ):
        mg.NumericTarget("number", units=True)
    with pytest.raises(ValueError, match="`num_ops` must be a positive integer. Received: num_ops"):
        mg.augment.RandAugment(True)
