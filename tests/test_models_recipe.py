"""The recipe and the guard: what is trained how long, what is kept, and that a weak head cannot
spoil a strong one.
"""

import keras
import numpy as np
import pytest

from multimodal_gen.loaders.base import ArraySpec
from multimodal_gen.loaders.image.loader import ImageLoader
from multimodal_gen.loaders.numbers import NumericLoader
from multimodal_gen.loaders.targets.class_label import ClassLabel
from multimodal_gen.loaders.targets.multi_label import MultiLabel
from multimodal_gen.loaders.targets.numbers import NumericTarget
from multimodal_gen.models import (
    FeatureBranch,
    ImageBranch,
    branches_for,
    build_fusion_classifier,
    calibrate_heads,
    epochs_for,
    fit_with_recipe,
    recipe,
)
from multimodal_gen.models.calibration import fit_scales
from multimodal_gen.models.fitting import KeepBest
from multimodal_gen.models.layers import SumOfHeads

SPECS = {name: ArraySpec((6,), "float32", "vector") for name in ("strong", "weak")}
TARGET = ClassLabel("label", ["a", "b", "c"])
# What the rows below tell: the class, whether it is "a" or "b", and its position as a number.
TARGETS = {"kind": TARGET, "tags": MultiLabel("tags", ["a", "b"]), "price": NumericTarget("price")}


class Rows(keras.utils.PyDataset):
    def __init__(self, rows: int, seed: int, batch_size: int = 32) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 3, rows).astype("int32")
        signal = np.eye(3, 6)[self.labels]
        self.strong = (2 * signal + rng.normal(size=(rows, 6))).astype("float32")
        self.weak = (0.2 * signal + rng.normal(size=(rows, 6))).astype("float32")
        self.batch_size = batch_size

    @property
    def num_batches(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __getitem__(self, index: int):
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return (self.strong[rows], self.weak[rows]), self.labels[rows]


class RowsOf(Rows):
    """The same rows for other targets: one of `TARGETS`, or several."""

    def __init__(self, names: str | tuple[str, ...], rows: int, seed: int) -> None:
        super().__init__(rows, seed)
        self.names = names

    def __getitem__(self, index: int):
        inputs, labels = super().__getitem__(index)
        one_hot = np.eye(3, dtype="float32")[labels]
        truth = {
            "kind": labels,
            "tags": one_hot[:, :2],
            "price": labels[:, None].astype("float32") - 1,
        }
        return inputs, truth[self.names] if isinstance(self.names, str) else {
            name: truth[name] for name in self.names
        }


def test_epochs_shrink_as_the_table_grows():
    assert [epochs_for(rows) for rows in (10, 2000, 5750, 100_000)] == [40, 40, 20, 5]


def test_pictures_get_residual_blocks_from_3000_rows_on():
    inputs = {"image": ImageLoader("image"), "price": NumericLoader("price", mean=[0], scale=[1])}
    assert branches_for(inputs, 2999) == {}
    assert branches_for(inputs, 3000) == {"image": ImageBranch(residual=True)}
    features = {"vector": ArraySpec((16,), "float32", "features")}
    loaders = {name: type("Loader", (), {"spec": spec}) for name, spec in features.items()}
    assert branches_for(loaders, 2999) == {}
    assert branches_for(loaders, 3000) == {"vector": FeatureBranch(embedding_size=256)}


def test_the_recipe_learns_keeps_the_best_weights_and_weighs_the_heads():
    keras.utils.set_random_seed(0)
    model = build_fusion_classifier(SPECS, TARGET)
    validation = Rows(96, 1)
    history = fit_with_recipe(model, TARGET, Rows(256, 0), validation, epochs=8, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    layer = next(layer for layer in model.layers if isinstance(layer, SumOfHeads))
    scales = keras.ops.convert_to_numpy(layer.scales)
    assert (scales >= 0).all()
    assert (scales != 1).any()
    layer.scales.assign(np.ones(3))
    accuracy = model.evaluate(validation, verbose=0, return_dict=True)["accuracy"]
    assert accuracy == pytest.approx(history.history["val_accuracy"][history.best_epoch], abs=1e-6)
    test = Rows(300, 2)
    predicted = model.predict(test, verbose=0).argmax(1)
    assert (predicted == test.labels).mean() > 0.7


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others trace it once")
@pytest.mark.parametrize("once", [True, False])
def test_the_training_step_is_traced_once(once: bool, monkeypatch: pytest.MonkeyPatch):
    traced = []

    class Counting(keras.Model):
        def train_step(self, data):
            traced.append(data)
            return super().train_step(data)

    if not once:
        monkeypatch.setattr(recipe, "make_variables_before", lambda model, data: None)
    keras.utils.set_random_seed(0)
    built = build_fusion_classifier(SPECS, TARGET)
    model = Counting(built.inputs, built.outputs[0])
    fit_with_recipe(model, TARGET, Rows(64, 0), epochs=1, calibrate=False, verbose=0)
    # Keras alone traces it again after the variables of metrics and optimizer are there.
    assert len(traced) == (1 if once else 2)


@pytest.mark.slow
def test_several_targets_train_stop_and_are_weighed_together():
    keras.utils.set_random_seed(0)
    names = ("kind", "tags", "price")
    model = build_fusion_classifier(SPECS, TARGETS)
    validation = RowsOf(names, 96, 1)
    history = fit_with_recipe(
        model,
        TARGETS,
        RowsOf(names, 256, 0),
        validation,
        epochs=8,
        metrics={"price": [keras.metrics.MeanSquaredError(name="mse")]},
        verbose=0,
    )
    wanted = {
        "kind_accuracy",
        "tags_auc",
        "price_root_mean_squared_error",
        "price_mse",
        "val_kind_accuracy",
    }
    assert wanted < set(history.history)
    scales = keras.ops.convert_to_numpy(model.get_layer("sum_of_heads").scales)
    assert scales.shape == (3, 3)
    assert (scales.max(axis=0) != 1).all()
    model.get_layer("sum_of_heads").scales.assign(np.ones((3, 3)))
    kept = model.evaluate(validation, verbose=0, return_dict=True)["loss"]
    assert kept == pytest.approx(min(history.history["val_loss"]), rel=1e-4)
    assert history.best_epoch == int(np.argmin(history.history["val_loss"]))
    test = RowsOf(names, 300, 2)
    scores = model.evaluate(test, verbose=0, return_dict=True)
    assert scores["kind_accuracy"] > 0.7
    assert scores["tags_auc"] > 0.85
    # Its spread is 0.82.
    assert scores["price_root_mean_squared_error"] < 0.6


@pytest.mark.parametrize(
    ("name", "metric"), [("tags", "val_auc"), ("price", "val_mean_absolute_error")]
)
def test_a_target_without_an_accuracy_stops_by_its_loss(name, metric):
    model = build_fusion_classifier(SPECS, TARGETS[name], fusion="concat")
    validation = RowsOf(name, 64, 1)
    # A rate that makes it worse from some epoch on.
    history = fit_with_recipe(
        model,
        TARGETS[name],
        RowsOf(name, 64, 0),
        validation,
        epochs=12,
        learning_rate=0.5,
        patience=2,
        verbose=0,
    )
    losses = history.history["val_loss"]
    assert metric in history.history
    assert history.best_epoch == int(np.argmin(losses))
    assert len(losses) == min(history.best_epoch + 3, 12)
    assert model.evaluate(validation, verbose=0)[0] == pytest.approx(min(losses), rel=1e-4)


def test_the_last_epoch_within_one_standard_error_of_the_best_is_kept():
    model = build_fusion_classifier({"strong": SPECS["strong"]}, TARGET)
    keep = KeepBest(100, patience=3)
    keep.set_model(model)
    model.history = keras.callbacks.History()
    # One standard error of 0.8 on 100 rows is 0.04.
    for epoch, accuracy in enumerate((0.5, 0.8, 0.77, 0.75, 0.78, 0.7)):
        model.set_weights([np.full_like(weight, epoch) for weight in model.get_weights()])
        keep.on_epoch_end(epoch, {"val_accuracy": accuracy})
        assert getattr(model, "stop_training", False) == (epoch >= 4)
    keep.on_train_end()
    assert model.history.best_epoch == 4
    assert all((weight == 4).all() for weight in model.get_weights())


def test_while_the_validation_loss_falls_training_goes_on():
    # A network that says the largest class for every row has one accuracy, and may be learning.
    model = build_fusion_classifier({"strong": SPECS["strong"]}, TARGET)
    keep = KeepBest(100, patience=2)
    keep.set_model(model)
    keep.on_train_begin()
    losses = (1.4, 1.3, 1.2, 1.1, 1.0, 1.0, 1.1, 1.2)
    stopped = []
    for epoch, loss in enumerate(losses):
        keep.on_epoch_end(epoch, {"val_accuracy": 0.5, "val_loss": loss})
        stopped.append(bool(getattr(model, "stop_training", False)))
    assert stopped.index(True) == 6
    assert set(keep.get_state()) >= {"best_loss", "best_epoch"}


def test_the_schedule_warms_up_and_ends_at_zero():
    model = build_fusion_classifier({"strong": SPECS["strong"]}, TARGET)

    class Rates(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))

    class StrongOnly(Rows):
        def __getitem__(self, index):
            (strong, _), labels = super().__getitem__(index)
            return (strong,), labels

    rates: list[float] = []
    fit_with_recipe(
        model,
        TARGET,
        StrongOnly(320, 0),
        epochs=4,
        learning_rate=0.01,
        callbacks=[Rates()],
        verbose=0,
    )
    assert len(rates) == 40
    assert int(np.argmax(rates)) in (2, 3, 4)
    assert max(rates) == pytest.approx(0.01, rel=0.01)
    assert rates[-1] < 1e-4
    assert model.optimizer.weight_decay == pytest.approx(0.05)


def test_a_misleading_head_is_silenced_by_the_held_out_rows():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 90)
    good = 3.0 * np.eye(4)[labels] + rng.normal(size=(90, 4))
    misleading = 6.0 * np.eye(4)[rng.integers(0, 4, 90)]
    logits = np.stack([good, misleading, np.zeros((90, 4))], axis=1)
    scales = fit_scales(logits, labels, activation="softmax")
    assert (scales >= 0).all()
    assert scales[1] < 0.1 * scales[0]

    def accuracy(weights):
        return (np.einsum("rhu,h->ru", logits, weights).argmax(1) == labels).mean()

    assert accuracy(scales) > accuracy(np.ones(3)) + 0.2
    assert accuracy(scales) >= accuracy(np.array([1, 0, 0])) - 0.01


@pytest.mark.parametrize(
    ("activation", "labels"),
    [
        ("softmax", np.array([0, 1, 1])),
        ("softmax", np.array([[1, 0], [0, 1], [0, 1]])),
        ("sigmoid", np.array([[1, 0], [0, 1], [0, 1]])),
        (None, np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])),
    ],
)
def test_scales_are_fitted_for_every_kind_of_target(activation, labels):
    truth = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    logits = np.stack([2 * truth - 1 if activation else truth, 1 - 2 * truth], axis=1)
    scales = fit_scales(logits, labels, activation=activation, strength=0.0)
    assert scales[0] >= 1 - 1e-2
    assert scales[1] == pytest.approx(0.0, abs=1e-2)


def test_rows_of_sample_weight_zero_do_not_count():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(20, 2, 3)), rng.integers(0, 3, 20)
    weights = np.repeat([1.0, 0.0], 10)
    first = fit_scales(logits, labels, activation="softmax", sample_weight=weights)
    np.testing.assert_allclose(
        first, fit_scales(logits[:10], labels[:10], activation="softmax"), atol=1e-6
    )


def test_a_model_without_heads_to_weigh_is_left_alone():
    assert (
        calibrate_heads(build_fusion_classifier(SPECS, TARGET, fusion="concat"), Rows(8, 0)) == {}
    )


def test_zero_epochs_are_refused():
    with pytest.raises(ValueError, match="Received: epochs=0"):
        fit_with_recipe(build_fusion_classifier(SPECS, TARGET), TARGET, Rows(8, 0), epochs=0)


class Endless(Rows):
    num_batches = None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": "model.keras"},
            "`model` must be a Keras model, such as .*`build.*Received: model='model.keras'",
        ),
        ({"model": build_fusion_classifier}, "Received: model=<function build_fusion_classifier"),
        (
            {"target": Rows(8, 0)},
            "must be a target with a `loss` and `metrics`.*Received: target=<",
        ),
        ({"target": ClassLabel}, "Received: target=<class"),
        (
            {"target": {"kind": TARGET, "price": "price"}},
            r"mapping of names to targets. Received: target\['price'\]=",
        ),
        (
            {"train_data": np.zeros(3)},
            "`train_data` must be a MultimodalSequence.*train_data of type ndarray",
        ),
        ({"train_data": TARGET}, "train_data of type ClassLabel"),
        (
            {"validation_data": [1]},
            "`validation_data` must be a MultimodalSequence.*validation_data of type list",
        ),
        (
            {"train_data": Endless(8, 0)},
            "must not be endless.*call `model.compile` and `model.fit` yourself.",
        ),
        (
            {"metrics": {"kind": ["mse"]}},
            "must be a list for a single target. Received: metrics={'kind'",
        ),
        (
            {"target": {"kind": TARGET}, "metrics": ["mse"]},
            r"target names to lists; the targets are \['kind'\]",
        ),
        ({"target": {"kind": TARGET}, "metrics": {"sort": ["mse"]}}, "Received: metrics={'sort'"),
    ],
)
def test_wrong_objects_are_refused_and_it_says_what_to_pass(changes, message):
    arguments = {
        "model": build_fusion_classifier(SPECS, TARGET),
        "target": TARGET,
        "train_data": Rows(8, 0),
    }
    with pytest.raises(TypeError, match=message):
        fit_with_recipe(**{**arguments, **changes}, epochs=1)
