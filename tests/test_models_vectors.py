"""Fusion `joint` and `calibrate_heads` with inputs that are not pictures or texts: features of
encoders, numbers, categories and several items.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import multimodal_gen as mg
from multimodal_gen.models import build_fusion_classifier, calibrate_heads
from multimodal_gen.spec import ArraySpec, many_of

ROWS = 60
SPECS = {
    "features": ArraySpec((6,), "float32", "features"),
    "sequence": ArraySpec((3, 4), "float32", "features"),
    "numbers": ArraySpec((2,), "float32", "vector"),
    "brand": ArraySpec((1,), "int32", "category", vocabulary_size=9),
    "photos": many_of(ArraySpec((3,), "float32", "vector"), 2),
}


class Rows(keras.utils.PyDataset):
    """Rows of all inputs, and labels."""

    num_batches = 1

    def __init__(self, labels: Any) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.labels = labels
        self.inputs = {
            name: rng.integers(0, 9, (ROWS, 1)).astype("int32")
            if spec.kind == "category"
            else rng.normal(size=(ROWS, *spec.shape)).astype("float32")
            for name, spec in SPECS.items()
        }
        self.inputs["photos_present"] = np.array([[1, 0], [1, 1], [0, 0]] * 20, "float32")

    def __getitem__(self, index: int) -> Any:
        return self.inputs, self.labels


CLASSES = np.arange(ROWS) % 3
TARGETS: list[tuple[Any, Any]] = [
    (mg.ClassLabel("c", ["a", "b", "c"]), CLASSES.astype("int32")),
    (
        mg.ClassLabel("c", ["a", "b"], label_mode="binary"),
        (CLASSES == 1).astype("float32")[:, None],
    ),
    (
        mg.ClassLabel("c", ["a", "b", "c"], label_mode="categorical"),
        np.eye(3, dtype="float32")[CLASSES],
    ),
    (
        mg.MultiLabel("c", ["a", "b", "c", "d"]),
        np.eye(4, dtype="float32")[CLASSES] + np.eye(4, dtype="float32")[3],
    ),
    (mg.NumericTarget(["c", "d"]), np.stack([CLASSES, -CLASSES], 1).astype("float32")),
]


@pytest.mark.parametrize("number", range(len(TARGETS)))
def test_heads_of_all_kinds_are_weighed_for_each_kind_of_target(number: int) -> None:
    target, labels = TARGETS[number]
    keras.utils.set_random_seed(0)
    model = build_fusion_classifier(SPECS, target)
    # Heads that nobody trained disturb, and those that do harm must lose their weight.
    rng = np.random.default_rng(2)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=0.3, size=variable.shape))
    data = Rows(labels)

    def loss() -> float:
        predicted = model.predict_on_batch(data[0][0])
        return float(keras.ops.convert_to_numpy(target.loss(labels, predicted)))

    before = loss()
    scales = calibrate_heads(model, data)
    assert list(scales) == [*(f"{name}_head" for name in SPECS), "joint_head"]
    assert min(scales.values()) >= 0
    assert loss() < before - 0.01


def test_several_targets_have_scales_of_their_own_for_vectors() -> None:
    targets = {"kind": TARGETS[0][0], "size": TARGETS[4][0]}
    labels = {"kind": TARGETS[0][1], "size": TARGETS[4][1]}
    model = build_fusion_classifier(SPECS, targets)
    scales = calibrate_heads(model, Rows(labels))
    assert set(scales) == {
        f"{target}.{name}_head" for target in targets for name in (*SPECS, "joint")
    }


def test_one_input_of_vectors_is_made_as_sure_as_it_is_right() -> None:
    model = build_fusion_classifier({"features": SPECS["features"]}, TARGETS[0][0])
    # Before training all classes are equal, and there is nothing to be sure of.
    assert calibrate_heads(model, Rows(CLASSES)) == {"features_head": 1.0}
    model = build_fusion_classifier({"features": SPECS["features"]}, TARGETS[0][0], fusion="concat")
    assert calibrate_heads(model, Rows(CLASSES)) == {}
