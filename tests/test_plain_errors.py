"""Errors of sequences come out of Keras's methods as they are, on every backend, whichever batch
they are in.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg

ROWS = 40


@pytest.fixture
def broken(picture_table: pd.DataFrame) -> pd.DataFrame:
    """Forty rows, the picture of the last one gone."""
    table = pd.concat([picture_table] * (ROWS // len(picture_table)), ignore_index=True)
    table.index = [f"row-{row}" for row in range(ROWS)]
    table.loc[f"row-{ROWS - 1}", "image"] = "gone.png"
    return table


def make(table: pd.DataFrame, folder: Path, **arguments: object) -> mg.MultimodalSequence:
    loader = mg.ImageLoader("image", directory=folder, image_size=(8, 8))
    target = mg.ClassLabel("label", ["x", "y", "z"])
    return mg.MultimodalSequence(
        table, {"image": loader}, target, batch_size=4, inputs_as="array", **arguments
    )


def make_model() -> keras.Model:
    image = keras.Input((8, 8, 3), dtype="uint8", name="image")
    outputs = keras.layers.Dense(3, activation="softmax")(
        keras.layers.Flatten()(keras.ops.cast(image, "float32"))
    )
    model = keras.Model(image, outputs)
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_a_bad_cell_in_a_late_batch_is_a_load_error(
    broken: pd.DataFrame, tmp_path: Path, method: str
) -> None:
    data, model = make(broken, tmp_path), make_model()
    with pytest.raises(mg.LoadError, match="Cannot load index 'row-39', column 'image'") as caught:
        getattr(model, method)(data, verbose=0, **({"shuffle": False} if method == "fit" else {}))
    assert (caught.value.index, caught.value.column) == ("row-39", "image")
    assert caught.value.path == str(tmp_path / "gone.png")
    assert len(str(caught.value)) < 700
    # The same model continues with good rows.
    good = make(broken[:-1], tmp_path)
    model.fit(good, verbose=0, shuffle=False)
    assert model.predict(good, verbose=0).shape == (ROWS - 1, 3)


def test_a_bad_cell_in_the_rows_for_validation_is_one_too(
    broken: pd.DataFrame, tmp_path: Path
) -> None:
    data = make(broken[:-1], tmp_path)
    with pytest.raises(mg.LoadError, match="row-39"):
        make_model().fit(
            data, validation_data=data.for_evaluation(broken), verbose=0, shuffle=False
        )


def test_too_many_bad_cells_are_a_table_error(broken: pd.DataFrame, tmp_path: Path) -> None:
    table = broken.assign(
        image=["gone.png" if row > 30 else image for row, image in enumerate(broken["image"])]
    )
    with pytest.raises(mg.TableError, match=r"more than a share of 0.1 of the 40 rows"):
        make_model().fit(make(table, tmp_path, on_error="skip"), verbose=0, shuffle=False)


def test_errors_of_others_stay_what_they_are(broken: pd.DataFrame, tmp_path: Path) -> None:
    class Failing(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            raise RuntimeError("a callback failed")

    data, model = make(broken, tmp_path), make_model()
    with pytest.raises(mg.LoadError):
        model.fit(data, verbose=0, shuffle=False)
    good = make(broken[:-1], tmp_path)
    with pytest.raises(RuntimeError, match="a callback failed"):
        model.fit(good, verbose=0, shuffle=False, callbacks=[Failing()])
    with pytest.raises(Exception) as caught:  # noqa: PT011 - each backend has its own
        model.train_on_batch(np.zeros((2, 5, 5, 3), "uint8"), np.zeros(2))
    assert not isinstance(caught.value, mg.LoadError)
