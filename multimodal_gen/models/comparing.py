"""Compares models on rows that none of them was trained on, and says how far that can be chance."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd

from multimodal_gen.models.fitting import check_data
from multimodal_gen.spec import by_name


class Outcome(NamedTuple):
    """One model on rows that it was not trained on.

    Attributes:
        losses: Target -> `(rows,)` loss of each row times its weight; the mean is the loss of the
            target.
        truth: Target -> the arrays of all rows.
        outputs: Target -> the model's outputs for all rows.
        metrics: The compiled metrics.
    """

    losses: dict[Any, np.ndarray]
    truth: dict[Any, np.ndarray]
    outputs: dict[Any, np.ndarray]
    metrics: dict[str, float]


def compare_models(
    models: Mapping[str, keras.Model], validation_data: Any, *, verbose: str | int = 0
) -> pd.DataFrame:
    """Compare models on rows that none of them was trained on.

    The rows are read once, and each model predicts them once.

    Args:
        models: Name -> compiled model with the same losses, such as a network and a linear probe.
        validation_data: A `keras.utils.PyDataset` of validation rows.
        verbose: 0 only returns the table, which shows itself as the last line of a notebook's cell;
            1 also prints it, as for a script.

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
    table = side_by_side(judge(models, validation_data))
    if verbose:
        sys.stdout.write(f"{table.to_string(float_format='{:.4f}'.format)}\n")
    return table


def judge(models: Mapping[str, keras.Model], validation_data: Any) -> dict[str, Outcome]:
    """Read the rows once, and let each model predict them once.

    Args:
        models: As for `compare_models`.
        validation_data: As for `compare_models`.

    Raises:
        TypeError: As for `compare_models`.
        ValueError: As for `compare_models`.
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
    judges = {name: _Judge(model) for name, model in models.items()}
    for number in range(validation_data.num_batches):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(validation_data[number])
        for judge_of_one in judges.values():
            judge_of_one.add(x, y, sample_weight)
    return {name: one.judged() for name, one in judges.items()}


def side_by_side(judged: Mapping[str, Outcome]) -> pd.DataFrame:
    """The table of `compare_models`."""
    rows = {name: np.sum([*one.losses.values()], axis=0) for name, one in judged.items()}
    means = pd.Series({name: float(losses.mean()) for name, losses in rows.items()})
    best = str(means.sort_values(kind="stable").index[0])
    found = pd.DataFrame(
        {
            "loss": means,
            "worse_by": means - means[best],
            "standard_error": {name: _error(one - rows[best]) for name, one in rows.items()},
        }
    )
    own = {
        name: {f"{target}_loss": losses.mean() for target, losses in one.losses.items() if target}
        for name, one in judged.items()
    }
    metrics = pd.DataFrame({name: one.metrics | own[name] for name, one in judged.items()}).T
    return found.join(metrics).sort_values("loss", kind="stable")


class _Judge:
    # Gathers what one model says of batch after batch.
    def __init__(self, model: Any) -> None:
        self.model = model
        self.losses = {
            name: type(one).from_config({**one.get_config(), "reduction": None})
            for name, one in by_name(model.loss).items()
        }
        self.found: dict[str, dict[Any, list[np.ndarray]]] = {
            part: {name: [] for name in self.losses}
            for part in ("losses", "weights", "truth", "outputs")
        }
        model.reset_metrics()

    def add(self, x: Any, y: Any, sample_weight: Any) -> None:
        predicted = self.model.predict_on_batch(x)
        self.model.compute_metrics(x, y, predicted, sample_weight)
        outputs, truth = by_name(predicted), by_name(y)
        for name, loss in self.losses.items():
            own = keras.ops.convert_to_numpy(loss(truth[name], outputs[name]))
            weight = (
                sample_weight.get(name) if isinstance(sample_weight, Mapping) else sample_weight
            )
            of_rows = {
                "losses": own.reshape(len(own), -1).mean(axis=1).astype("float64"),
                "weights": (
                    np.ones(len(own))
                    if weight is None
                    else np.asarray(weight, "float64").reshape(-1)
                ),
                "truth": np.asarray(truth[name]),
                "outputs": np.asarray(outputs[name]),
            }
            for part, array in of_rows.items():
                self.found[part][name].append(array)

    def judged(self) -> Outcome:
        together = {
            part: {name: np.concatenate(some) for name, some in by_target.items()}
            for part, by_target in self.found.items()
        }
        # Keras's own losses are means of batches, of which the last has fewer rows.
        known = {"loss", *(f"{name}_loss" for name in self.losses)}
        metrics = {
            name: float(keras.ops.convert_to_numpy(value))
            for name, value in self.model.get_metrics_result().items()
            if name not in known
        }
        self.model.reset_metrics()
        losses = {
            name: together["losses"][name] * weight / max(weight.mean(), 1e-12)
            for name, weight in together["weights"].items()
        }
        return Outcome(losses, together["truth"], together["outputs"], metrics)


def _error(differences: np.ndarray) -> float:
    if len(differences) < 2:
        return float("nan")
    return float(differences.std(ddof=1) / np.sqrt(len(differences)))
