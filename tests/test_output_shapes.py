"""A target that does not go with a model's outputs is an error before the first step, and what
works is left alone.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg

TABLE = pd.DataFrame(
    {"n": np.arange(8.0), "y": list("ab") * 4, "z": list("abca") * 2, "price": np.arange(8.0)}
)
INPUTS = {"n": mg.NumericLoader("n", mean=[0.0], scale=[4.0])}
TWO, THREE = mg.ClassLabel("y", ["a", "b"]), mg.ClassLabel("z", ["a", "b", "c"])
PRICE = mg.NumericTarget("price", mean=[0.0], scale=[4.0])
TAGS = mg.MultiLabel("tags", ["p", "q", "r"])


def make_data(target: Any, **settings: Any) -> mg.MultimodalSequence:
    table = TABLE.assign(tags=[["p"]] * 8)
    return mg.MultimodalSequence(table, INPUTS, target, batch_size=4, **settings)


def make_fusion(target: Any) -> keras.Model:
    model = mg.build_fusion_classifier(INPUTS, target)
    losses = (
        {name: one.loss for name, one in target.items()}
        if isinstance(target, dict)
        else target.loss
    )
    model.compile("sgd", loss=losses, jit_compile=False)
    return model


def make_own(
    units: int, activation: str | None, loss: Any, kind: type[keras.Model] = keras.Model
) -> keras.Model:
    numbers = keras.Input((1,), name="n")
    model = kind([numbers], keras.layers.Dense(units, activation)(numbers))
    model.compile("sgd", loss, jit_compile=False)
    return model


@pytest.mark.parametrize("method", ["fit", "evaluate"])
@pytest.mark.parametrize(
    ("learned", "given", "message"),
    [
        (
            TWO,
            THREE,
            r"have 3 outputs per row, the `units` of the ClassLabel on 'z'.*"
            r"Received: outputs of shape \(2,\)",
        ),
        (
            THREE,
            TWO,
            r"have 2 outputs per row, the `units` of the ClassLabel on 'y'.*"
            r"Received: outputs of shape \(3,\)",
        ),
        (TWO, PRICE, r"have 1 outputs per row, the `units` of the NumericTarget on 'price'"),
        (
            PRICE,
            TWO,
            r"have 2 outputs per row, the `units` of the ClassLabel on 'y'.*"
            r"Received: outputs of shape \(1,\)",
        ),
        (TWO, TAGS, r"have 3 outputs per row, the `units` of the MultiLabel on 'tags'"),
        ({"u": TWO, "v": PRICE}, {"u": PRICE, "v": TWO}, r"Received: outputs 'u' of shape \(2,\)"),
        (
            TWO,
            {"kind": TWO},
            r"has one output without a name. Received: targets named \['kind'\]",
        ),
        ({"kind": TWO}, TWO, r"has outputs named \['kind'\]. Received: a single target"),
        (TWO, None, r"needs a target.*Received: a sequence with target=None"),
    ],
)
def test_a_target_that_does_not_go_with_the_outputs_is_refused(
    method: str, learned: Any, given: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(make_fusion(learned), method)(make_data(given), verbose=0)


def test_a_validation_sequence_is_looked_at_before_the_first_step() -> None:
    model, steps = make_fusion(TWO), []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    with pytest.raises(ValueError, match="have 3 outputs per row"):
        model.fit(
            make_data(TWO),
            validation_data=make_data(THREE),
            callbacks=[watch],
            shuffle=False,
            verbose=0,
        )
    assert steps == []


def test_predict_takes_no_notice_of_the_target() -> None:
    for target in (None, THREE, {"kind": TWO}):
        assert make_fusion(TWO).predict(make_data(target), verbose=0).shape == (8, 2)


class Own(keras.Model):
    """A loss of its own, whatever the target."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(y_pred))


class Called(keras.Model):
    """A `call` of its own: what it puts out is not known before."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(3, "softmax")

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def spread(truth: Any, outputs: Any) -> Any:
    return keras.ops.mean(keras.ops.square(outputs), axis=-1)


@pytest.mark.parametrize(
    ("make", "target"),
    [
        (lambda: make_own(1, "sigmoid", "binary_crossentropy"), TWO),
        (
            lambda: make_own(2, "softmax", "sparse_categorical_crossentropy"),
            mg.ClassLabel("y", "ab", label_mode="binary"),
        ),
        (lambda: make_own(5, None, spread), TWO),
        (lambda: make_own(5, None, keras.losses.Circle()), TWO),
        (lambda: make_own(5, None, "mse", Own), TWO),
        (lambda: make_own(5, None, "mse", Own), None),
        (lambda: make_own(1, None, "mse"), INPUTS["n"]),
        (lambda: make_own(1, None, "mse"), mg.InputTarget(INPUTS["n"])),
    ],
    ids=[
        "sigmoid",
        "two-for-binary",
        "function",
        "circle",
        "own-loss",
        "own-loss-alone",
        "loader",
        "input-target",
    ],
)
def test_what_works_is_left_alone(make: Any, target: Any) -> None:
    model = make()
    model.fit(make_data(target), shuffle=False, verbose=0)
    model.evaluate(make_data(target), verbose=0)


def test_a_model_with_a_call_of_its_own_is_left_alone() -> None:
    model = Called()
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(make_data(TWO, inputs_as="array"), shuffle=False, verbose=0)


def test_a_dataset_of_ones_own_may_make_other_targets() -> None:
    class Wrapped(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            self.data = make_data(None)

        def __len__(self) -> int:
            return len(self.data)

        def __getitem__(self, index: int) -> Any:
            (numbers,) = self.data[index][0]
            return (numbers,), numbers

        def on_epoch_begin(self) -> None:
            self.data.on_epoch_begin()

    make_own(1, None, "mse").fit(Wrapped(), shuffle=False, verbose=0)
