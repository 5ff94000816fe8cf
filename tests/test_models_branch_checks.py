"""What people hand over in the place of a branch is refused, or remarked upon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest

import multimodal_gen as mg
from multimodal_gen.models import BackboneBranch, build_fusion_classifier

TARGET = mg.ClassLabel("label", ["a", "b"])
INPUTS = {"image": mg.ArraySpec((8, 8, 3), "uint8", "image")}


@pytest.mark.parametrize(
    "branch", ["encoder.keras", Path("encoder.keras"), BackboneBranch("MobileNetV2")], ids=str
)
def test_a_path_or_name_in_the_place_of_a_branch_is_refused(branch: Any) -> None:
    with pytest.raises(
        TypeError, match=r"not its path or name.*load_model\('.*'\).*branches\['image'\]"
    ):
        build_fusion_classifier(INPUTS, TARGET, branches={"image": branch})


def classifier(last: keras.layers.Layer) -> keras.Model:
    pixels = keras.Input((8, 8, 3))
    return keras.Model(pixels, last(keras.layers.Dense(5)(keras.layers.Flatten()(pixels))))


TOPS = {
    "dense": lambda: classifier(keras.layers.Dense(7, activation="softmax")),
    "activation": lambda: classifier(keras.layers.Activation("softmax")),
    "layer": lambda: classifier(keras.layers.Softmax()),
    "nested": lambda: keras.Sequential(
        [keras.Input((8, 8, 3)), classifier(keras.layers.Softmax())]
    ),
    "backbone": lambda: BackboneBranch(classifier(keras.layers.Dense(7, activation="softmax"))),
}


@pytest.mark.parametrize("top", TOPS)
def test_a_classifier_in_the_place_of_an_encoder_is_remarked_upon(top: str) -> None:
    with pytest.warns(
        UserWarning,
        match=r"branch of input 'image' ends in a softmax.*Received: branches\['image'\]",
    ):
        build_fusion_classifier(INPUTS, TARGET, branches={"image": TOPS[top]()})


def test_an_encoder_is_taken_without_a_word() -> None:
    for last in (
        keras.layers.Dense(7),
        keras.layers.Dense(7, activation="relu"),
        keras.layers.LayerNormalization(),
    ):
        build_fusion_classifier(INPUTS, TARGET, branches={"image": classifier(last)})
