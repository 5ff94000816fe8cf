"""Auxiliary losses: the right amount, in training only, for every form of label, and neutral rows
stay neutral.
"""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from multimodal_gen.loaders.base import ArraySpec
from multimodal_gen.models import Joint, Match, build_fusion_classifier
from multimodal_gen.models.auxiliary_terms import (
    PairTerm,
    contrastive_loss,
    hand_over,
    positive_rows,
    take_over,
)
from multimodal_gen.models.layers import SumOfHeads


def number(tensor) -> float:
    return float(keras.ops.convert_to_numpy(tensor))


# On tensorflow, compiling with XLA would take most of the time of these tests.
JIT = False if keras.backend.backend() == "tensorflow" else "auto"
SPECS = {"a": ArraySpec((4,), "float32", "vector"), "b": ArraySpec((3,), "float32", "vector")}
LOSSES = {
    "int": (3, "softmax", keras.losses.SparseCategoricalCrossentropy),
    "categorical": (3, "softmax", keras.losses.CategoricalCrossentropy),
    "binary": (1, "sigmoid", keras.losses.BinaryCrossentropy),
}


def make_target(label_mode: str) -> SimpleNamespace:
    units, activation, loss = LOSSES[label_mode]
    return SimpleNamespace(
        units=units, activation=activation, loss=loss(reduction="mean_with_sample_weight")
    )


def make_batch(label_mode: str, rows: int = 8):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(rows, 4)).astype("float32"), rng.normal(size=(rows, 3)).astype("float32"))
    units = LOSSES[label_mode][0]
    ids = rng.integers(0, max(units, 2), rows).astype("int32")
    y = {
        "int": ids,
        "categorical": np.eye(3)[ids % 3].astype("float32"),
        "binary": ids[:, None].astype("float32"),
    }
    return x, y[label_mode]


def build(label_mode: str, fusion):
    target = make_target(label_mode)
    model = build_fusion_classifier(SPECS, target, fusion=fusion)
    model.compile("sgd", loss=target.loss, jit_compile=JIT)
    return model


def training_loss(model, x, y, sample_weight=None) -> float:
    y_pred = model(x, training=True)
    return number(model.compute_loss(x, y, y_pred, sample_weight, training=True))


@pytest.mark.parametrize("label_mode", LOSSES)
def test_each_single_head_adds_its_weight_times_the_compiled_loss(label_mode):
    x, y = make_batch(label_mode)
    model = build(label_mode, Joint(auxiliary_weight=0.25))
    # All heads start at zero, so all of them predict alike and have the same loss.
    plain = number(model.compute_loss(x, y, model(x, training=False), training=False))
    assert plain == pytest.approx(np.log(max(LOSSES[label_mode][0], 2)), abs=1e-5)
    assert training_loss(model, x, y) == pytest.approx(1.5 * plain, rel=1e-5)


@pytest.mark.parametrize("label_mode", LOSSES)
def test_the_contrastive_loss_is_added_with_its_weight(label_mode):
    x, y = make_batch(label_mode)
    model = build(label_mode, Match(contrastive_weight=0.5, positive=-1))
    y_pred = model(x, training=True)
    (term,) = take_over(model)
    expected = contrastive_loss(term, positive_rows(ops.convert_to_tensor(y), y_pred.shape[-1], -1))
    plain = number(model.compute_loss(x, y, y_pred, training=True))
    hand_over(model.get_layer("relation"), (term,))
    assert number(model.compute_loss(x, y, y_pred, training=True)) == pytest.approx(
        plain + 0.5 * number(expected)
    )
    assert number(expected) > 0.1


def test_evaluation_reports_the_compiled_loss_alone():
    x, y = make_batch("int")
    model = build("int", "joint")
    assert model.evaluate(x, y, verbose=0) == pytest.approx(np.log(3), abs=1e-5)


def test_the_losses_of_layers_count_once():
    x, y = make_batch("int")
    target = make_target("int")
    regularized = keras.layers.Dense(5, kernel_regularizer=keras.regularizers.L2(0.1))
    model = build_fusion_classifier(SPECS, target, branches={"a": regularized})
    model.compile("sgd", loss=target.loss, jit_compile=JIT)
    penalty = 0.1 * float(np.sum(keras.ops.convert_to_numpy(regularized.kernel) ** 2))
    assert training_loss(model, x, y) == pytest.approx(1.6 * np.log(3) + penalty, rel=1e-4)


def test_terms_are_used_once_and_only_by_the_model_that_made_them():
    x, y = make_batch("int")
    model, other = build("int", "joint"), build("int", "joint")
    y_pred = model(x, training=True)
    assert number(other.compute_loss(x, y, y_pred, training=True)) == pytest.approx(
        np.log(3), abs=1e-5
    )
    assert number(model.compute_loss(x, y, y_pred, training=True)) == pytest.approx(
        np.log(3), abs=1e-5
    )


def test_nothing_is_left_behind_after_fit():
    x, y = make_batch("int")
    model = build("int", "joint")
    model.fit(x, y, verbose=0)
    assert take_over(model) == ()


@pytest.mark.parametrize("fusion", ["joint", "match"])
def test_rows_of_sample_weight_zero_change_neither_loss_nor_weights(fusion):
    x, y = make_batch("int")
    blank = np.array([1, 1, 1, 1, 1, 0, 0, 0], dtype="float32")
    rng = np.random.default_rng(1)
    other = tuple(
        np.where(blank[:, None] > 0, a, 9 * rng.normal(size=a.shape)).astype("float32") for a in x
    )
    results = []
    for batch in (x, other):
        keras.utils.set_random_seed(3)
        model = build_fusion_classifier(
            SPECS,
            make_target("int"),
            fusion=Joint(dropout=0) if fusion == "joint" else Match(dropout=0),
            branches={key: keras.layers.Dense(4) for key in SPECS},
        )
        model.compile(keras.optimizers.SGD(0.5), loss=make_target("int").loss, jit_compile=JIT)
        losses = [float(model.train_on_batch(batch, y, sample_weight=blank)) for _ in range(3)]
        results.append((losses, [keras.ops.convert_to_numpy(w) for w in model.trainable_variables]))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    for first, second in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_contrastive_loss_is_the_mean_cross_entropy_both_ways():
    rng = np.random.default_rng(0)
    first, second = (
        v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 5, 4))
    )
    rows = np.array([1, 0, 1, 1, 0], dtype="float32")
    similarity = first @ second.T / 0.2
    log_rows = similarity - np.log(np.exp(similarity).sum(1, keepdims=True))
    log_columns = similarity - np.log(np.exp(similarity).sum(0, keepdims=True))
    expected = -0.5 * (np.diag(log_rows) + np.diag(log_columns))[rows > 0].mean()
    tensors = [ops.convert_to_tensor(v.astype("float32")) for v in (first, second)]
    term = PairTerm(*tensors, positive=-1, temperature=0.2, weight=1.0)
    assert number(contrastive_loss(term, ops.convert_to_tensor(rows))) == pytest.approx(
        expected, rel=1e-5
    )
    assert number(contrastive_loss(term, ops.convert_to_tensor(0 * rows))) == 0.0


@pytest.mark.parametrize(
    ("labels", "units", "positive", "expected"),
    [
        ([0, 1, 2], 3, -1, [0, 0, 1]),
        ([[0], [1], [2]], 3, 1, [0, 1, 0]),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 3, 0, [1, 0, 0]),
        ([[0], [1]], 1, -1, [0, 1]),
        ([0.0, 1.0], 1, 0, [1, 0]),
    ],
)
def test_positive_rows_in_every_form_of_label(labels, units, positive, expected):
    rows = positive_rows(ops.convert_to_tensor(np.array(labels)), units, positive)
    assert keras.ops.convert_to_numpy(rows).tolist() == expected


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="there, gradients are scaled so")
def test_the_gradient_of_a_heads_own_loss_is_scaled_apart_from_that_of_the_sum() -> None:
    layer = SumOfHeads(activation=None, num_auxiliary=2, auxiliary_weight=0.3)
    heads = [ops.ones((2, 1)).requires_grad_() for _ in range(3)]
    total = layer(heads, training=True)
    terms = take_over(SimpleNamespace(layers=[layer]))
    for term in terms:
        term.predictions.register_hook(lambda gradient: gradient * 10)
    ops.sum(total + sum(term.predictions for term in terms)).backward()
    assert [number(head.grad[0, 0]) for head in heads] == [11, 11, 1]
