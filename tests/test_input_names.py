"""Inputs that go to a model under the wrong name are an error before the first step, and not a
worse model.
"""

from __future__ import annotations

from typing import Any

import keras
import ml_dtypes
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.base import ArraySpec

TARGET = mg.ClassLabel("y", ["a", "b"])


def numbers(*names: str) -> dict[str, mg.Loader]:
    return {name: mg.NumericLoader(name, mean=[0.0], scale=[1.0]) for name in names}


def make_data(*names: str, inputs_as: str = "tuple") -> mg.MultimodalSequence:
    table = pd.DataFrame({name: np.arange(8.0) for name in names} | {"y": list("ab") * 4})
    return mg.MultimodalSequence(table, numbers(*names), TARGET, batch_size=4, inputs_as=inputs_as)


def make_model(*names: str, by_name: bool = False) -> keras.Model:
    tensors = {name: keras.Input((1,), name=name) for name in names}
    joined = keras.layers.Concatenate()(list(tensors.values()))
    given: Any = tensors if by_name else list(tensors.values())
    model = keras.Model(given, keras.layers.Dense(2, "softmax")(joined))
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    return model


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_inputs_in_another_order_than_the_models_are_refused(method: str) -> None:
    arguments = {"shuffle": False} if method == "fit" else {}
    model = make_model("price", "weight")
    message = (
        r"takes its inputs in the order \['price', 'weight'\].*Received: inputs in the order "
        r"\['weight', 'price'\]"
    )
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(make_data("weight", "price"), verbose=0, **arguments)
    getattr(model, method)(make_data("price", "weight"), verbose=0, **arguments)
    getattr(model, method)(make_data("weight", "price", inputs_as="dict"), verbose=0, **arguments)


def test_names_that_are_not_those_of_the_sequence_say_nothing() -> None:
    make_model("input_1", "input_2").evaluate(make_data("weight", "price"), verbose=0)
    make_model("price", "other").evaluate(make_data("price", "weight"), verbose=0)


def test_one_input_more_than_a_model_of_names_takes_is_refused() -> None:
    model = make_model("price", "weight", by_name=True)
    with pytest.raises(
        ValueError,
        match=r"takes, \['price', 'weight'\].*Received: inputs named \['a', 'price'",
    ):
        model.predict(make_data("price", "weight", "a", inputs_as="dict"), verbose=0)
    with pytest.raises(ValueError, match=r"order \['price', 'weight'\]"):
        model.predict(make_data("weight", "price"), verbose=0)


def test_a_bundle_of_inputs_in_another_order_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"order \['price', 'weight'\].*Received: inputs in the order"
    ):
        mg.Bundle(make_model("price", "weight"), numbers("weight", "price"), TARGET)
    mg.Bundle(make_model("price", "weight"), numbers("price", "weight"), TARGET)
    mg.Bundle(make_model("price", "weight", by_name=True), numbers("weight", "price"), TARGET)


class Stars(mg.Target):
    """A target of your own, which forgets that classes count from 0."""

    first, units, activation, metrics = 1, 5, "softmax", ()

    def __init__(self, column: str) -> None:
        self.column, self.spec = column, ArraySpec((), "int32", "label")

    @property
    def loss(self) -> Any:
        return keras.losses.SparseCategoricalCrossentropy()

    def read(self, cell: Any) -> np.ndarray:
        return np.asarray(cell - 1 + self.first, "int32")

    def decode_outputs(self, outputs: np.ndarray) -> Any:
        return {"stars": outputs.argmax(1) + 1}

    def score(self, truth: np.ndarray, outputs: np.ndarray) -> Any:
        return {"accuracy": float((outputs.argmax(1) == truth).mean())}


class RightStars(Stars):
    first = 0


def test_a_class_beyond_the_models_outputs_is_known_to_check_loader() -> None:
    # On jax, such a row has the loss 0 and no error.
    with pytest.raises(
        mg.LoaderError, match=r"must be a class number in \[0, 5\).*Received: 5 for the cell 5"
    ):
        mg.check_loader(Stars("stars"), [1, 5])
    mg.check_loader(RightStars("stars"), [1, 5])
    mg.check_loader(TARGET, ["a", "b"])


def test_years_stay_apart_in_half_precision() -> None:
    years = range(2000, 2026)
    loader = mg.NumericLoader.from_values("year", years)
    kept = {float(loader.read(year).astype(ml_dtypes.bfloat16)[0]) for year in years}
    assert len(kept) == len(years)
    assert len({float(np.float32(year).astype(ml_dtypes.bfloat16)) for year in years}) == 4
