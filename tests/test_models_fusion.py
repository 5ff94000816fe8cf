"""The whole model: every fusion builds, starts even, fits, saves and loads, and takes inputs in
every form.
"""

import threading
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from multimodal_gen.loaders.base import ArraySpec
from multimodal_gen.models import FusionModel, ImageBranch, Late, Match, build_fusion_classifier
from multimodal_gen.models.layers import SumOfHeads


def number(tensor) -> float:
    return float(keras.ops.convert_to_numpy(tensor))


# On tensorflow, compiling with XLA would take most of the time of these tests.
JIT = False if keras.backend.backend() == "tensorflow" else "auto"
SPECS = {
    "picture": ArraySpec((8, 8, 3), "uint8", "image"),
    "caption": ArraySpec((6, 2), "int32", "ngrams", vocabulary_size=20),
    "age": ArraySpec((2,), "float32", "vector"),
}
ROWS = 12
TINY = {"picture": ImageBranch(widths=(4, 8), embedding_size=8)}


def make_target(units: int = 3, activation: str | None = "softmax") -> SimpleNamespace:
    losses = {
        "softmax": keras.losses.SparseCategoricalCrossentropy,
        "sigmoid": keras.losses.BinaryCrossentropy,
        None: keras.losses.MeanSquaredError,
    }
    return SimpleNamespace(
        units=units,
        activation=activation,
        loss=losses[activation](reduction="mean_with_sample_weight"),
    )


def make_data(names) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {
        "picture": rng.integers(0, 256, (ROWS, 8, 8, 3)).astype("uint8"),
        "caption": np.stack(
            [rng.integers(0, 20, (ROWS, 6)), rng.integers(0, 2**16, (ROWS, 6))], -1
        ).astype("int32"),
        "age": rng.normal(size=(ROWS, 2)).astype("float32"),
    }
    return {name: arrays[name] for name in names}


def build(names, fusion="joint", target=None) -> FusionModel:
    return build_fusion_classifier(
        {name: SPECS[name] for name in names},
        target or make_target(),
        fusion=fusion,
        branches={name: TINY[name] for name in names if name in TINY},
    )


CASES = [
    (("caption",), "late"),
    (("caption",), "joint"),
    (("age",), "gated"),
    (("age",), "concat"),
    (("caption", "age"), "concat"),
    (("caption", "age"), "gated"),
    (("caption", "age"), "late"),
    (("caption", "age"), "match"),
    (("picture", "caption", "age"), "joint"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("names", "fusion"), CASES)
def test_every_fusion_starts_even_fits_saves_and_loads(names, fusion, tmp_path):
    model, data = build(names, fusion), make_data(names)
    labels = np.arange(ROWS, dtype="int32") % 3
    np.testing.assert_allclose(model.predict(data, verbose=0), 1 / 3, atol=1e-6)
    model.compile("adam", loss=make_target().loss, metrics=["accuracy"], jit_compile=JIT)
    model.fit(data, labels, batch_size=6, epochs=2, verbose=0)
    expected = model.predict(data, verbose=0)
    assert expected.dtype == np.float32
    assert np.ptp(expected) > 1e-4
    np.testing.assert_allclose(expected.sum(axis=1), 1.0, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded) is FusionModel
    np.testing.assert_allclose(loaded.predict(data, verbose=0), expected, atol=1e-6)
    assert loaded.evaluate(data, labels, verbose=0) == pytest.approx(
        model.evaluate(data, labels, verbose=0)
    )


@pytest.mark.parametrize("names", [("caption", "age"), ("caption",)])
def test_tuple_list_and_dict_give_the_same_in_fit_evaluate_and_predict(names):
    data, labels = make_data(names), np.arange(ROWS, dtype="int32") % 3
    backwards = dict(reversed(data.items()))
    results = []
    for form in (tuple(data.values()), list(data.values()), data, backwards):
        keras.utils.set_random_seed(0)
        model = build(names)
        model.compile("sgd", loss=make_target().loss, jit_compile=JIT)
        loss = model.fit(form, labels, batch_size=6, shuffle=False, verbose=0).history["loss"]
        results.append(
            (loss, model.evaluate(form, labels, verbose=0), model.predict(form, verbose=0))
        )
    for loss, evaluated, predicted in results[1:]:
        np.testing.assert_allclose(loss, results[0][0], rtol=1e-5)
        np.testing.assert_allclose(evaluated, results[0][1], rtol=1e-5)
        np.testing.assert_allclose(predicted, results[0][2], atol=1e-6)


@pytest.mark.parametrize(("units", "activation"), [(1, "sigmoid"), (4, "sigmoid"), (2, None)])
def test_other_targets_than_classes(units, activation):
    target = make_target(units, activation)
    model, data = build(("caption", "age"), target=target), make_data(("caption", "age"))
    model.compile("sgd", loss=target.loss, jit_compile=JIT)
    model.fit(data, np.ones((ROWS, units), "float32"), verbose=0)
    predicted = model.predict(data, verbose=0)
    assert predicted.shape == (ROWS, units)
    assert (predicted > (0.5 if activation else 0)).all()


def test_an_empty_caption_does_no_harm_to_match():
    model, data = build(("caption", "age"), "match"), make_data(("caption", "age"))
    data["caption"][3] = 0
    model.compile("sgd", loss=make_target().loss, jit_compile=JIT)
    model.fit(data, np.arange(ROWS, dtype="int32") % 3, batch_size=6, epochs=2, verbose=0)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_late_weights_stay_non_negative():
    model, data = build(("caption", "age"), Late(auxiliary_weight=0)), make_data(("caption", "age"))
    layer = next(layer for layer in model.layers if isinstance(layer, SumOfHeads))
    layer.scales.assign([0.01, 0.01])
    # Heads that are fixed and wrong pull their weights below zero at once.
    for name in ("caption_head", "age_head"):
        head = model.get_layer(name)
        head.set_weights([np.full_like(w, 1.0) * [-1.0, 0.0, 1.0] for w in head.get_weights()])
        head.trainable = False
    model.compile(keras.optimizers.SGD(5.0), loss=make_target().loss, jit_compile=JIT)
    data["age"] = np.abs(data["age"])
    model.fit(data, np.zeros(ROWS), epochs=3, verbose=0)
    scales = keras.ops.convert_to_numpy(layer.scales)
    assert (scales >= 0).all()
    assert scales.min() == 0


@pytest.mark.slow
def test_match_learns_a_relation_that_late_cannot():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (2, 256))
    second = np.where(rng.random(256) < 0.5, first, second)
    labels = (first == second).astype("int32")
    specs = {name: ArraySpec((4,), "float32", "vector") for name in ("first", "second")}
    data = tuple(np.eye(4, dtype="float32")[ids] for ids in (first, second))
    weights = np.where(labels, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    accuracy = {}
    for fusion in ("match", "late"):
        keras.utils.set_random_seed(1)
        model = build_fusion_classifier(specs, make_target(2), fusion=fusion)
        model.compile(keras.optimizers.Adam(0.01), loss=make_target(2).loss, jit_compile=JIT)
        model.fit(data, labels, sample_weight=weights, epochs=8, batch_size=32, verbose=0)
        hits = model.predict(data, verbose=0).argmax(1) == labels
        accuracy[fusion] = (hits[labels == 1].mean() + hits[labels == 0].mean()) / 2
    assert accuracy["match"] > 0.95
    assert accuracy["late"] < 0.75


def test_two_models_train_in_threads_without_taking_each_others_terms():
    data, labels = make_data(("caption", "age")), np.arange(ROWS, dtype="int32") % 3
    losses: dict[int, list[float]] = {}

    def losses_of(i: int) -> None:
        model = models[i]
        values = []
        for _ in range(20):
            y_pred = model(data, training=True)
            values.append(number(model.compute_loss(data, labels, y_pred, training=True)))
        losses[i] = values

    models = [build(("caption", "age")) for _ in range(4)]
    for model in models:
        model.compile("sgd", loss=make_target().loss, jit_compile=JIT)
    threads = [threading.Thread(target=losses_of, args=(i,)) for i in range(len(models))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose([losses[i] for i in range(4)], 1.6 * np.log(3), rtol=1e-4)


def test_match_needs_exactly_two_inputs_and_says_so():
    for names in (("caption",), ("picture", "caption", "age")):
        with pytest.raises(ValueError, match=r"exactly two inputs.*Received: inputs=\['"):
            build(names, "match")


def test_match_refuses_a_position_that_is_no_class():
    with pytest.raises(ValueError, match="one of the 3 classes. Received: positive=3"):
        build(("caption", "age"), Match(positive=3))


@pytest.mark.parametrize(
    ("inputs", "arguments", "message"),
    [
        ({}, {}, "at least one input. Received: inputs={}"),
        ({"a/b": SPECS["age"]}, {}, r"names without '/'.*Received: inputs\['a/b'\]"),
        ({"age": 3}, {}, r"loaders or ArraySpecs. Received: inputs\['age'\]=3"),
        (
            {"age": SPECS["age"]},
            {"fusion": "sum"},
            "must be one of .*'match'.*Received: fusion='sum'",
        ),
        (
            {"age": SPECS["age"]},
            {"branches": {"wage": None}},
            r"are \['age'\]. Received: branches for \['wage'\]",
        ),
        (
            {"age": ArraySpec((2,), "float32", "graph")},
            {},
            r"'age' has the kind 'graph'.*branches=.*kind='graph'",
        ),
        (
            {"age": ArraySpec((4, 2), "float32", "vector")},
            {"branches": {"age": keras.layers.Dense(2)}},
            r"input 'age' must yield .*Received: shape=\(None, 4, 2\)",
        ),
    ],
)
def test_wrong_arguments_are_named(inputs, arguments, message):
    with pytest.raises(ValueError, match=message):
        build_fusion_classifier(inputs, make_target(), **arguments)


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        (3, r"a Branch, layer, model or callable.*Received: branches\['picture'\]=3"),
        (
            keras.applications.MobileNetV2,
            r"`BackboneBranch\(keras.applications.MobileNetV2\)`.*Received: branches",
        ),
        (
            keras.applications.EfficientNetB0,
            r"`BackboneBranch\(keras.applications.EfficientNetB0\)`",
        ),
        (
            ImageBranch,
            r"an object, not a class: build one, as in `ImageBranch\(\)`. Received: branches",
        ),
        (keras.layers.Dense, r"as in `Dense\(\)`"),
    ],
)
def test_what_cannot_be_a_branch_is_refused_and_it_says_what_to_pass(branch, message):
    with pytest.raises(TypeError, match=message):
        build_fusion_classifier(
            {"picture": SPECS["picture"]}, make_target(), branches={"picture": branch}
        )


def test_feature_maps_are_pointed_to_the_branch_that_pools_them():
    maps = keras.layers.Conv2D(4, 3)
    with pytest.raises(
        ValueError, match="A `BackboneBranch` turns feature maps into one. Received: shape="
    ):
        build_fusion_classifier(
            {"picture": SPECS["picture"]}, make_target(), branches={"picture": maps}
        )
