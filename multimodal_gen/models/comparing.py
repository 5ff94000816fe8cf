"""Compares models on rows that none of them was trained on, and says how far that can be chance."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd

from multimodal_gen.models.fitting import check_data
from multimodal_gen.spec import by_name


def compare_models(
    models: Mapping[str, keras.Model], validation_data: Any, *, verbose: str | int = "auto"
) -> pd.DataFrame:
    """Compare models on rows that none of them was trained on.

    Args:
        models: Name -> compiled model with the same losses, such as a network and a linear probe.
        validation_data: A `keras.utils.PyDataset` of validation rows.
        verbose: 0 prints nothing; otherwise the table.

    Returns:
        One row per model under its name, the one with the lowest mean loss first. Columns: "loss";
        "worse_by", how much more it is than that of the first; "standard_error" of this difference,
        over the rows: a difference that is not larger is chance; and the models' metrics. Of
        several targets the loss is the sum, without `loss_weights`, and "{target}_loss" that of
        each.

    Raises:
        TypeError: If the data has the wrong type, or is endless.
        ValueError: If there is no model, or one is not compiled.
    """
    if not isinstance(models, Mapping) or not models:
        raise ValueError(f"`models` must map names to compiled models. Received: models={models!r}")
    for name, model in models.items():
        if not getattr(model, "compiled", False):
            raise ValueError(
                "Models must be compiled, as `fit_with_recipe` and `fit_linear_probe` leave them. "
                f"Received: models[{name!r}]={model!r}"
            )
    check_data("validation_data", validation_data)
    scores = {
        name: model.evaluate(validation_data, verbose=0, return_dict=True)
        for name, model in models.items()
    }
    by_target = {name: _losses(model, validation_data) for name, model in models.items()}
    rows = {name: np.sum([*losses.values()], axis=0) for name, losses in by_target.items()}
    means = pd.Series({name: float(losses.mean()) for name, losses in rows.items()})
    best = str(means.sort_values(kind="stable").index[0])
    found = pd.DataFrame(
        {
            "loss": means,
            "worse_by": means - means[best],
            "standard_error": {name: _error(one - rows[best]) for name, one in rows.items()},
        }
    )
    # Keras's own losses of several targets are means of batches, of which the last has fewer rows.
    own = {
        name: {f"{target}_loss": losses.mean() for target, losses in one.items() if target}
        for name, one in by_target.items()
    }
    metrics = pd.DataFrame({name: scores[name] | own[name] for name in models}).T.drop(
        columns="loss"
    )
    table = found.join(metrics).sort_values("loss", kind="stable")
    if verbose:
        sys.stdout.write(f"{table.to_string(float_format='{:.4f}'.format)}\n")
    return table


def _losses(model: Any, data: Any) -> dict[Any, np.ndarray]:
    # Target -> `(rows,)` loss of each row times its weight: the mean is the loss of the target.
    losses = {
        name: type(one).from_config({**one.get_config(), "reduction": None})
        for name, one in by_name(model.loss).items()
    }
    found: dict[Any, list[np.ndarray]] = {name: [] for name in losses}
    weights: dict[Any, list[np.ndarray]] = {name: [] for name in losses}
    for number in range(data.num_batches):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data[number])
        outputs, truth = by_name(model.predict_on_batch(x)), by_name(y)
        for name, loss in losses.items():
            own = keras.ops.convert_to_numpy(loss(truth[name], outputs[name]))
            found[name].append(own.reshape(len(own), -1).mean(axis=1).astype("float64"))
            weight = (
                sample_weight.get(name) if isinstance(sample_weight, Mapping) else sample_weight
            )
            weights[name].append(
                np.ones(len(own)) if weight is None else np.asarray(weight, "float64").reshape(-1)
            )
    together = {name: np.concatenate(weights[name]) for name in losses}
    return {
        name: np.concatenate(found[name]) * weight / max(weight.mean(), 1e-12)
        for name, weight in together.items()
    }


def _error(differences: np.ndarray) -> float:
    if len(differences) < 2:
        return float("nan")
    return float(differences.std(ddof=1) / np.sqrt(len(differences)))
