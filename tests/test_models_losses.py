"""The loss of pictures: a row is a row, whatever its shape."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from multimodal_gen.models import RowMeanSquaredError, row_mean_squared_error


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 5), (4, 4, 4, 3)])
def test_each_row_has_the_mean_of_its_squared_errors(shape: tuple[int, ...]) -> None:
    truth, outputs = np.random.default_rng(0).random((2, *shape)).astype("float32")
    expected = ((truth - outputs) ** 2).reshape(4, -1).mean(axis=1)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(row_mean_squared_error(truth, outputs)), expected, rtol=1e-5
    )
    loss = RowMeanSquaredError()(truth, outputs.reshape(4, -1))
    assert float(keras.ops.convert_to_numpy(loss)) == pytest.approx(expected.mean(), rel=1e-5)


def test_weights_go_with_rows_even_where_pictures_are_as_wide_as_the_batch_is_long() -> None:
    truth, outputs = np.random.default_rng(0).random((2, 4, 4, 4)).astype("float32")
    errors = ((truth - outputs) ** 2).mean(axis=(1, 2))
    weights = np.array([1.0, 0.0, 0.0, 3.0], "float32")
    loss = float(
        keras.ops.convert_to_numpy(RowMeanSquaredError()(truth, outputs, sample_weight=weights))
    )
    assert loss == pytest.approx((errors * weights).sum() / 4, rel=1e-5)


def test_a_compiled_model_is_saved_and_loaded_with_it(tmp_path) -> None:
    inputs = keras.Input((2, 3))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    metric = keras.metrics.MeanMetricWrapper(row_mean_squared_error, name="mean_squared_error")
    model.compile("sgd", loss=RowMeanSquaredError(), metrics=[metric], run_eagerly=True)
    x = np.random.default_rng(0).random((5, 2, 3)).astype("float32")
    expected = model.evaluate(x, 2 * x, verbose=0)
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").evaluate(
        x, 2 * x, verbose=0
    ) == pytest.approx(expected)
    assert expected[0] == pytest.approx(expected[1])
