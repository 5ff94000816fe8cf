"""Several targets in one model: an output for each, by name, with losses, weights and scales of its
own.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest

from multimodal_gen.loaders.base import ArraySpec
from multimodal_gen.loaders.targets.class_label import ClassLabel
from multimodal_gen.loaders.targets.multi_label import MultiLabel
from multimodal_gen.loaders.targets.numbers import NumericTarget
from multimodal_gen.models import (
    FusionModel,
    Joint,
    Match,
    build_fusion_classifier,
    calibrate_heads,
)
from multimodal_gen.models.auxiliary_terms import (
    contrastive_loss,
    hand_over,
    positive_rows,
    take_over,
)
from multimodal_gen.models.layers import SumOfHeads
from multimodal_gen.models.matching import PairRelation
from multimodal_gen.models.outputs import activate, class_target, output_layers, outputs_of, slices

# On tensorflow, compiling with XLA would take most of the time of these tests.
JIT = False if keras.backend.backend() == "tensorflow" else "auto"
SPECS = {"a": ArraySpec((4,), "float32", "vector"), "b": ArraySpec((3,), "float32", "vector")}
TARGETS = {
    "kind": ClassLabel("kind", ["x", "y", "z"]),
    "tags": MultiLabel("tags", ["p", "q"]),
    "price": NumericTarget("price"),
}
ROWS = 16


def number(tensor) -> float:
    return float(keras.ops.convert_to_numpy(tensor))


def make_batch() -> tuple[tuple[np.ndarray, ...], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(ROWS, 4)).astype("float32"), rng.normal(size=(ROWS, 3)).astype("float32"))
    y = {
        "kind": rng.integers(0, 3, ROWS).astype("int32"),
        "tags": rng.integers(0, 2, (ROWS, 2)).astype("float32"),
        "price": rng.normal(size=(ROWS, 1)).astype("float32"),
    }
    return x, y


def build(fusion="joint", names=tuple(TARGETS), optimizer="sgd") -> FusionModel:
    targets = {name: TARGETS[name] for name in names}
    branches = {name: keras.layers.Dense(4, activation="tanh") for name in SPECS}
    model = build_fusion_classifier(SPECS, targets, fusion=fusion, branches=branches)
    model.compile(
        optimizer, loss={name: one.loss for name, one in targets.items()}, jit_compile=JIT
    )
    return model


def start_losses(y: dict[str, np.ndarray]) -> dict[str, float]:
    """What a model of zero logits loses: each class, each yes or no alike, and the number 0."""
    return {"kind": np.log(3), "tags": np.log(2), "price": float(np.mean(y["price"] ** 2))}


@pytest.mark.parametrize("fusion", ["joint", "late", "concat", "gated", "match"])
def test_every_fusion_has_an_output_for_each_target_and_starts_even(fusion):
    x, _ = make_batch()
    outputs = build(fusion)(x)
    assert {name: tuple(one.shape) for name, one in outputs.items()} == {
        "kind": (ROWS, 3),
        "tags": (ROWS, 2),
        "price": (ROWS, 1),
    }
    for name, start in (("kind", 1 / 3), ("tags", 0.5), ("price", 0.0)):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(outputs[name]), start, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["joint", "match"])
def test_it_fits_saves_and_loads(fusion, tmp_path):
    x, y = make_batch()
    model = build(fusion, optimizer="adam")
    model.compile(
        "adam",
        loss={name: one.loss for name, one in TARGETS.items()},
        metrics={name: one.metrics for name, one in TARGETS.items()},
        jit_compile=JIT,
    )
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0).history
    assert {"loss", "kind_accuracy", "tags_auc", "price_mean_absolute_error", "price_loss"} < set(
        history
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded) is FusionModel
    expected = model.predict(x, verbose=0)
    for name, outputs in loaded.predict(x, verbose=0).items():
        np.testing.assert_allclose(outputs, expected[name], atol=1e-6)
        assert np.ptp(outputs) > 1e-4
    terms = [layer for layer in loaded.layers if isinstance(layer, SumOfHeads | PairRelation)]
    assert len(terms) == 1
    assert terms[0].get_config() == model.get_layer(terms[0].name).get_config()


def test_each_single_head_adds_its_weight_times_the_losses_of_all_targets():
    x, y = make_batch()
    model = build(Joint(auxiliary_weight=0.25))
    expected = 1.5 * sum(start_losses(y).values())
    assert number(model.compute_loss(x, y, model(x, training=True))) == pytest.approx(
        expected, rel=1e-5
    )


def test_the_losses_that_fit_reports_by_target_are_those_of_the_predictions_alone():
    x, y = make_batch()
    model = build(Joint(dropout=0.0), optimizer=keras.optimizers.SGD(0.3))
    model.fit(x, y, epochs=6, verbose=0)
    model.optimizer.learning_rate = 0.0
    trained = model.fit(x, y, verbose=0).history
    evaluated = model.evaluate(x, y, verbose=0, return_dict=True)
    for name in TARGETS:
        assert trained[f"{name}_loss"] == pytest.approx([evaluated[f"{name}_loss"]], rel=1e-4)
    # The sum holds the heads' own losses too.
    assert trained["loss"][0] > evaluated["loss"] + 0.1


def test_a_row_may_count_for_one_target_and_not_for_another():
    x, y = make_batch()
    model = build(Joint(auxiliary_weight=0.0))
    none, half = np.zeros(ROWS, "float32"), np.repeat([1.0, 0.0], ROWS // 2).astype("float32")
    weights = {"kind": none, "tags": none, "price": half}
    loss = number(model.compute_loss(x, y, model(x, training=True), weights))
    assert loss == pytest.approx(float(np.mean(y["price"][: ROWS // 2] ** 2)), rel=1e-5)


@pytest.mark.parametrize("by_target", [False, True])
def test_match_takes_the_one_target_that_is_a_class(by_target):
    x, y = make_batch()
    model = build(Match(contrastive_weight=0.5, positive=1))
    weights = np.repeat([1.0, 0.5, 0.0], [8, 4, 4]).astype("float32")
    given = (
        {name: (weights if name == "kind" else 0 * weights) for name in y} if by_target else weights
    )
    y_pred = model(x, training=True)
    (term,) = take_over(model)
    assert term.target == "kind"
    plain = number(model.compute_loss(x, y, y_pred, given))
    hand_over(model.get_layer("relation"), (term,))
    whole = number(model.compute_loss(x, y, y_pred, given))
    rows = positive_rows(keras.ops.convert_to_tensor(y["kind"]), 3, 1)
    pairs = number(contrastive_loss(term, rows, weights))
    assert pairs > 0.1
    assert whole == pytest.approx(plain + 0.5 * pairs, rel=1e-5)


@pytest.mark.parametrize(
    ("target", "number_of_classes"),
    [
        (NumericTarget("price"), 0),
        (MultiLabel("tags", ["p", "q"]), 0),
        ({"tags": TARGETS["tags"], "price": TARGETS["price"]}, 0),
        (
            {
                "kind": TARGETS["kind"],
                "other": ClassLabel("other", ["p", "q"], label_mode="binary"),
            },
            2,
        ),
    ],
)
def test_match_without_exactly_one_class_target_is_refused(target, number_of_classes):
    with pytest.raises(
        ValueError, match=rf"exactly one target that is a class.*Received: {number_of_classes} such"
    ):
        build_fusion_classifier(SPECS, target, fusion="match")


def test_match_checks_the_position_against_the_class_target():
    with pytest.raises(ValueError, match="one of the 3 classes. Received: positive=3"):
        build_fusion_classifier(SPECS, TARGETS, fusion=Match(positive=3))


def test_each_target_weighs_the_heads_for_itself():
    model = build()
    layer = model.get_layer("sum_of_heads")
    assert tuple(layer.scales.shape) == (3, 3)
    scales = np.arange(9, dtype="float32").reshape(3, 3)
    layer.scales.assign(scales)
    heads = [np.full((2, 6), one, "float32") for one in (1.0, 10.0, 100.0)]
    summed = keras.ops.convert_to_numpy(
        layer([keras.ops.convert_to_tensor(head) for head in heads])
    )
    kind, tags, price = np.array([1.0, 10.0, 100.0]) @ scales
    np.testing.assert_allclose(summed, np.tile([kind, kind, kind, tags, tags, price], (2, 1)))


class Rows(keras.utils.PyDataset):
    """Input "a" tells the kind and misleads about the price, input "b" the other way round."""

    def __init__(self, weighted: bool) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.kind, self.price = rng.integers(0, 3, 240), rng.normal(size=(240, 1)).astype("float32")
        noise = rng.normal(size=(2, 240, 3))
        told, misled = 3 * np.eye(3)[np.stack([self.kind, rng.integers(0, 3, 240)])] + noise
        self.first = np.concatenate([told, rng.normal(size=(240, 1))], axis=1).astype("float32")
        self.second = np.concatenate([misled, self.price], axis=1).astype("float32")
        self.weighted = weighted

    @property
    def num_batches(self) -> int:
        return 3

    def __getitem__(self, index: int):
        rows = slice(80 * index, 80 * index + 80)
        batch = (
            (self.first[rows], self.second[rows]),
            {"kind": self.kind[rows], "price": self.price[rows]},
        )
        if not self.weighted:
            return batch
        # On the rows that do not count everything is wrong.
        wrong = np.arange(80) % 2 == 0
        targets = {
            "kind": np.where(wrong, (batch[1]["kind"] + 1) % 3, batch[1]["kind"]),
            "price": batch[1]["price"],
        }
        return batch[0], targets, {"kind": 1.0 - wrong, "price": np.ones(80)}


@pytest.mark.parametrize("weighted", [False, True])
def test_calibration_silences_a_head_for_the_target_it_misleads_about_only(weighted):
    inputs = [keras.Input((4,), name=name) for name in ("a", "b")]
    layer = SumOfHeads(activation={"kind": (3, "softmax"), "price": (1, None)}, name="sum_of_heads")
    activation = {"kind": (3, "softmax"), "price": (1, None)}
    heads = [keras.layers.Activation("linear", name=f"{one.name}_head")(one) for one in inputs]
    model = keras.Model(inputs, output_layers(layer(heads), activation))
    scales = calibrate_heads(model, Rows(weighted))
    assert list(scales) == ["kind.a_head", "kind.b_head", "price.a_head", "price.b_head"]
    assert scales["kind.b_head"] < 0.2 * scales["kind.a_head"]
    assert scales["price.a_head"] < 0.2
    assert scales["price.b_head"] == pytest.approx(1.0, abs=0.1)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer.scales),
        np.array(list(scales.values())).reshape(2, 2).T,
        rtol=1e-6,
    )
    inputs, truth = Rows(False)[0]
    assert (model.predict(inputs, verbose=0)["kind"].argmax(1) == truth["kind"]).mean() > 0.95


@pytest.mark.parametrize(
    ("activation", "labels"),
    [
        ("sigmoid", np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]] * 40)),
        (None, np.linspace(-1, 1, 24)[:, None]),
    ],
)
def test_heads_of_a_single_multi_label_or_numeric_target_are_weighed(activation, labels):
    units = labels.shape[1]
    rng = np.random.default_rng(0)
    good = 2 * (2 * labels - 1) + rng.normal(size=labels.shape) if activation else labels
    noise = 2 * rng.normal(size=labels.shape)

    class Data(keras.utils.PyDataset):
        num_batches = 1

        def __getitem__(self, index: int):
            return (good.astype("float32"), noise.astype("float32")), labels

    inputs = [keras.Input((units,), name=name) for name in ("good", "noise")]
    model = keras.Model(inputs, SumOfHeads(activation=activation)(inputs))
    scales = calibrate_heads(model, Data(), strength=0.1)
    assert scales["good"] > 0.9
    assert scales["noise"] < 0.3 * scales["good"]


def test_logits_stand_side_by_side_in_the_order_of_the_targets():
    units, activation = outputs_of(TARGETS)
    assert units == 6
    assert activation == {"kind": (3, "softmax"), "tags": (2, "sigmoid"), "price": (1, None)}
    assert slices(activation) == {"kind": slice(0, 3), "tags": slice(3, 5), "price": slice(5, 6)}
    logits = np.array([[0.0, 0.0, 0.0, 0.0, np.log(3), 7.0]], "float32")
    outputs = {
        name: keras.ops.convert_to_numpy(one)[0].tolist()
        for name, one in activate(keras.ops.convert_to_tensor(logits), activation).items()
    }
    assert outputs["kind"] == pytest.approx([1 / 3] * 3)
    assert outputs["tags"] == pytest.approx([0.5, 0.75])
    assert outputs["price"] == [7.0]
    assert class_target(activation, units) == ("kind", 3)
    assert class_target("sigmoid", 1) == (None, 1)


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ({}, ValueError, "at least one target. Received: target={}"),
        (
            {"a/b": TARGETS["kind"]},
            ValueError,
            r"names without '/' to targets. Received: target\['a/b'\]",
        ),
        ({"kind": 3}, TypeError, r"such as ClassLabel, or a mapping.*Received: target\['kind'\]=3"),
        ("kind", TypeError, "Received: target='kind'"),
        (ClassLabel, TypeError, "Received: target=<class"),
    ],
)
def test_what_is_no_target_is_refused_by_name(target, error, message):
    with pytest.raises(error, match=message):
        build_fusion_classifier(SPECS, target)


def test_a_target_of_several_values_a_row_needs_a_model_of_its_own():
    class Words(ClassLabel):
        def __init__(self) -> None:
            super().__init__("words", ["x", "y", "z"])
            self.spec = ArraySpec((5,), "int32", "label")

    with pytest.raises(
        ValueError, match=r"your own model.*Received: target of shape \(5,\) with units=3"
    ):
        build_fusion_classifier(SPECS, Words())
