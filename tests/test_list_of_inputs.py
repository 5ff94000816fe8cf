"""A batch's inputs are a list wherever somebody reads them, and Keras takes them on every backend
without a word.

On tensorflow Keras cannot take a list out of a dataset, so its adapter there is handed a tuple, and
nobody else is. Warnings are errors in tests, so a model that Keras finds to be given another
structure than its own fails here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg

ROWS = 20
TABLE = pd.DataFrame(
    {
        "width": np.linspace(-1, 1, ROWS),
        "note": [None if row % 5 == 0 else f"note {row % 4}" for row in range(ROWS)],
        "title": [
            " ".join(["red mug of glass", "blue plate", "cup"][row % 3 :]) for row in range(ROWS)
        ],
        "label": ["x" if row % 2 else "y" for row in range(ROWS)],
        "weight": np.linspace(0.5, 1.5, ROWS),
    }
)
LABEL = mg.ClassLabel.from_values("label", TABLE["label"])
WIDTH = mg.NumericLoader("width", mean=[0], scale=[1])


def make_data(
    *, several: bool = True, target: Any = LABEL, **arguments: Any
) -> mg.MultimodalSequence:
    inputs = (
        {"width": WIDTH, "twice": mg.NumericLoader("width", mean=[0], scale=[0.5])}
        if several
        else {"w": WIDTH}
    )
    return mg.MultimodalSequence(
        TABLE, inputs, target, **{"batch_size": 8, "shuffle": True, **arguments}
    )


class OwnCall(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.head = keras.layers.Dense(2, activation="softmax")

    def call(self, inputs: Any) -> Any:
        return self.head(keras.ops.concatenate(list(inputs), axis=-1))


def make_model(kind: str = "list", *, several: bool = True) -> keras.Model:
    tensors = [keras.Input((1,), name=name) for name in (("width", "twice") if several else ("w",))]
    joined = keras.layers.Concatenate()(tensors) if several else tensors[0]
    output = keras.layers.Dense(2, "softmax")(joined)
    makers = {
        "list": lambda: keras.Model(tensors, output),
        "tuple": lambda: keras.Model(tuple(tensors), output),
        "dict": lambda: keras.Model({tensor.name: tensor for tensor in tensors}, output),
        "tensor": lambda: keras.Model(tensors[0], output),
        "call": OwnCall,
    }
    model = makers[kind]()
    model.compile("sgd", loss=LABEL.loss, weighted_metrics=[])
    return model


def use(model: keras.Model, data: mg.MultimodalSequence) -> None:
    plain = data.for_evaluation()
    history = model.fit(data, validation_data=plain, shuffle=False, verbose=0)
    assert len(history.history["val_loss"]) == 1
    assert np.isfinite(model.evaluate(plain, verbose=0, return_dict=True)["loss"])
    outputs = model.predict(plain, verbose=0)
    assert {len(one) for one in keras.tree.flatten(outputs)} == {ROWS}
    model.train_on_batch(*data[0])


@pytest.mark.parametrize("several", [True, False])
def test_inputs_are_a_list_however_they_are_read(several: bool) -> None:
    data = make_data(several=several)
    number = 2 if several else 1
    iterator = iter(data)
    for inputs, labels in (
        data[0],
        next(iterator),
        data.replay(epoch=1, row=3),
        *data.for_evaluation(),
    ):
        assert type(inputs) is list
        assert len(inputs) == number
        assert isinstance(labels, np.ndarray)
    (alone,) = make_data(target=None, shuffle=False)[0]
    assert type(alone) is list


@pytest.mark.parametrize(
    ("kind", "inputs_as", "several"),
    [
        ("list", "list", True),
        ("tuple", "list", True),
        ("call", "list", True),
        ("list", "list", False),
        ("list", "tuple", True),
        ("dict", "dict", True),
        ("tensor", "array", False),
    ],
)
def test_keras_takes_models_of_every_form_without_a_word(
    kind: str, inputs_as: str, several: bool
) -> None:
    use(make_model(kind, several=several), make_data(several=several, inputs_as=inputs_as))


def test_weights_masks_buckets_and_several_targets_come_with_a_list_too(tmp_path: Path) -> None:
    inputs = {
        "note": mg.TextLoader.from_texts(
            "note", TABLE["note"].dropna(), sequence_length=4, missing="blank"
        ),
        "title": mg.TextLoader.from_texts(
            "title", TABLE["title"], sequence_length=12, output_mode="tokens"
        ),
    }
    targets = {"label": LABEL, "width": mg.NumericTarget("width", mean=[0], scale=[1])}
    data = mg.MultimodalSequence(
        TABLE,
        inputs,
        targets,
        batch_size=4,
        shuffle=True,
        sample_weight="weight",
        bucket_by_length="title",
        on_error="blank",
    )
    arrays, _, _ = data[0]
    assert type(arrays) is list
    assert [one.shape for one in arrays] == [(4, 4), (4, arrays[1].shape[1]), (4, 1)]
    model = mg.build_fusion_classifier(inputs, targets)
    model.compile("sgd", loss={name: target.loss for name, target in targets.items()})
    use(model, data)
    bundle = mg.Bundle(model, inputs, targets)
    bundle.save(tmp_path)
    loaded = mg.load_bundle(tmp_path)
    assert (bundle.inputs_as, loaded.inputs_as) == ("list", "list")
    pd.testing.assert_frame_equal(loaded.predict(TABLE), bundle.predict(TABLE))
    assert loaded.evaluate(TABLE) == pytest.approx(bundle.evaluate(TABLE))
    loaded.model.compile("sgd", loss={name: target.loss for name, target in targets.items()})
    use(loaded.model, data)


def test_an_endless_sequence_is_trained_on_as_lists() -> None:
    model, data = make_model(), make_data(endless=True)
    model.fit(data, steps_per_epoch=2, epochs=2, shuffle=False, verbose=0)
    assert type(data[7][0]) is list


class Reader(keras.callbacks.Callback):
    """Reads the sequence that is being trained on, and others, while Keras reads it too."""

    def __init__(self, data: mg.MultimodalSequence) -> None:
        super().__init__()
        self.data, self.kinds = data, []

    def _look(self) -> None:
        batches = (
            self.data[0],
            next(iter(self.data)),
            self.data.replay(0, 3),
            self.data.for_evaluation()[1],
        )
        self.kinds += [type(inputs) for inputs, _ in batches]

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self._look()

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._look()

    def on_test_batch_end(self, batch: int, logs: object = None) -> None:
        self._look()


def test_a_callback_is_given_lists_while_keras_reads() -> None:
    data = make_data()
    reader = Reader(data)
    make_model().fit(
        data, validation_data=data.for_evaluation(), shuffle=False, verbose=0, callbacks=[reader]
    )
    assert len(reader.kinds) == 4 * (1 + 3 + 3)
    assert set(reader.kinds) == {list}


class Subclass(mg.MultimodalSequence):
    """A sequence that looks at what it gives, and reads itself in a hook of Keras's."""

    def __getitem__(self, index: int) -> Any:
        inputs, labels = super().__getitem__(index)
        return inputs, labels

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        assert type(self[0][0]) is list


class Around(keras.utils.PyDataset):
    """Somebody's dataset around a sequence."""

    def __init__(self, data: mg.MultimodalSequence) -> None:
        super().__init__()
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return self.data[index]


def generate(data: mg.MultimodalSequence) -> Iterator[Any]:
    while True:
        yield from data


@pytest.mark.parametrize("around", [Around, generate])
def test_a_dataset_or_generator_around_a_sequence_hands_on_what_keras_takes(around: Any) -> None:
    data = make_data()
    make_model().fit(around(data), steps_per_epoch=3, epochs=2, shuffle=False, verbose=0)
    batch = next(iter(around(data))) if around is generate else around(data)[0]
    assert type(batch[0]) is list


def test_a_subclass_hands_on_what_keras_takes_and_is_given_lists() -> None:
    data = make_data()
    inherited = Subclass(data.table, data.inputs, LABEL, batch_size=8, shuffle=True)
    use(make_model(), inherited)
    assert type(inherited[0][0]) is list
