"""Fusion "match" and the class whose rows belong together: said by its name, or found, whatever its
place and name.
"""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.base import ArraySpec
from multimodal_gen.models import Match, build_fusion_classifier, fit_with_recipe, matching_class
from multimodal_gen.models.auxiliary_terms import (
    PairTerm,
    contrastive_loss,
    pair_loss,
    positive_rows,
)
from multimodal_gen.models.matching import PairRelation

# On tensorflow, compiling with XLA would take most of the time of these tests.
JIT = False if keras.backend.backend() == "tensorflow" else "auto"
SPECS = {name: ArraySpec((6,), "float32", "vector") for name in ("first", "second")}
ROWS = 192


def pairs(kinds: int = 2):
    """Rows whose second input is the first one, shifted by the number of the kind."""
    rng = np.random.default_rng(0)
    first, kind = rng.integers(0, 6, ROWS), np.arange(ROWS) % kinds
    second = (first + np.where(kind, 2 * kind - rng.integers(0, 2, ROWS), 0)) % 6
    return tuple(np.eye(6, dtype="float32")[one] for one in (first, second)), kind


def train(target, cells, data, **arguments):
    keras.utils.set_random_seed(1)
    model = build_fusion_classifier(SPECS, target, fusion="match", **arguments)
    model.compile(keras.optimizers.Adam(0.01), loss=target.loss, jit_compile=JIT)
    model.fit(
        data,
        np.stack([target.read(cell) for cell in cells]),
        epochs=8,
        batch_size=32,
        shuffle=False,
        verbose=0,
    )
    return model


@pytest.mark.slow
@pytest.mark.parametrize("label_mode", ["int", "binary"])
def test_labels_in_either_order_find_the_same_class_and_give_the_same_predictions(label_mode):
    data, kind = pairs()
    columns = []
    for names in (("match", "no-match"), ("same", "different")):
        cells = np.array(names)[kind]
        target = mg.ClassLabel.from_values("label", cells, label_mode=label_mode)
        model = train(target, cells, data)
        assert matching_class(model, target) == names[0]
        probabilities = target.probabilities(model.predict(data, verbose=0))
        assert (np.array(target.class_names)[probabilities.argmax(1)] == cells).mean() > 0.95
        columns.append(probabilities[:, target.class_names.index(names[0])])
    np.testing.assert_allclose(*columns, atol=0.01)


def test_of_three_classes_the_one_whose_rows_belong_together_is_found_and_is_kept_in_a_file(
    tmp_path,
):
    data, kind = pairs(3)
    cells = np.array(["entails", "neutral", "contradicts"])[kind]
    target = mg.ClassLabel.from_values("label", cells)
    model = train(target, cells, data)
    assert matching_class(model, target) == "entails"
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert matching_class(loaded, target) == "entails"
    shares = [
        keras.ops.convert_to_numpy(one.get_layer("relation").shares) for one in (model, loaded)
    ]
    np.testing.assert_array_equal(*shares)
    assert shares[0][1] > 0.9


def test_a_class_that_is_said_by_its_name_is_taken_wherever_it_stands():
    for names in (["match", "no-match"], ["no-match", "match"], [1, 0], [True, False]):
        target = mg.ClassLabel("label", names)
        for position, name in enumerate(names):
            model = build_fusion_classifier(SPECS, target, fusion="match", positive=name)
            layer = model.get_layer("relation")
            assert layer.positive == position and not layer.weights
            assert matching_class(model, target) is names[position]
    several = {"price": mg.NumericTarget("price"), "fits": mg.ClassLabel("fits", ["no", "yes"])}
    model = build_fusion_classifier(SPECS, several, fusion=Match(temperature=0.2), positive="no")
    assert (
        model.get_layer("relation").positive == 0 and model.get_layer("relation").temperature == 0.2
    )
    assert matching_class(model, several) == "no"
    assert matching_class(build_fusion_classifier(SPECS, several), several) is None


@pytest.mark.parametrize(
    ("target", "fusion", "positive", "message"),
    [
        (
            mg.ClassLabel("l", ["no", "yes"]),
            "match",
            "Yes",
            r"they are \['no', 'yes'\]. Received: positive='Yes'",
        ),
        (
            mg.ClassLabel("l", ["no", "yes"]),
            "joint",
            "yes",
            "'match' only. Received: positive='yes', fusion='joint'",
        ),
        (
            SimpleNamespace(units=2, activation="softmax"),
            "match",
            1,
            "no `class_names`. Received: positive=1",
        ),
        (mg.NumericTarget("l"), "match", 1, "exactly one target that is a class"),
    ],
)
def test_a_class_that_is_none_is_refused(target, fusion, positive, message):
    with pytest.raises(ValueError, match=message):
        build_fusion_classifier(SPECS, target, fusion=fusion, positive=positive)


def terms(shares):
    rng = np.random.default_rng(2)
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in rng.normal(size=(2, 6, 4))]
    first, second = (keras.ops.convert_to_tensor(one.astype("float32")) for one in unit)
    return PairTerm(
        first,
        second,
        None,
        0.2,
        1.0,
        shares=keras.ops.convert_to_tensor(np.array(shares, "float32")),
    )


@pytest.mark.parametrize("weights", [None, np.array([1, 0.5, 0, 2, 1, 1], "float32")])
def test_the_loss_is_that_of_each_class_by_its_share(weights):
    term, labels = (
        terms([0.7, 0.2, 0.1]),
        keras.ops.convert_to_tensor(np.array([0, 1, 2, 0, 1, 1], "int32")),
    )
    given = None if weights is None else keras.ops.convert_to_tensor(weights)
    each = [float(contrastive_loss(term, positive_rows(labels, 3, one), given)) for one in range(3)]
    assert float(pair_loss(term, labels, 3, given)) == pytest.approx(
        np.dot([0.7, 0.2, 0.1], each), rel=1e-5
    )
    assert (each[2] == 0) is (weights is not None)


def test_a_class_without_rows_is_not_taken_for_one_that_is_easy():
    # Its loss would be 0, the least of all.
    data, _ = pairs()
    target = mg.ClassLabel("label", ["match", "no-match"])
    model = train(target, ["no-match"] * ROWS, data)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(model.get_layer("relation").leanings), [0, 0]
    )


def test_a_layer_that_was_saved_when_the_last_class_was_meant_still_means_it():
    before = {"name": "relation", "positive": -1, "temperature": 0.1, "weight": 0.5, "target": None}
    layer = PairRelation.from_config(before)
    layer.build([(None, 4), (None, 4)])
    assert layer.positive == -1 and layer.shares is None and not layer.weights


def test_the_recipe_says_which_class_was_taken_unless_it_was_told(capsys):
    class Rows(keras.utils.PyDataset):
        num_batches = 2

        def __getitem__(self, index):
            rows = slice(index * 16, index * 16 + 16)
            return tuple(one[rows] for one in data), kind[rows].astype("int32")

    data, kind = pairs()
    target = mg.ClassLabel("label", ["match", "no-match"])
    for positive, said in ((None, True), ("match", False)):
        model = build_fusion_classifier(SPECS, target, fusion="match", positive=positive)
        fit_with_recipe(model, target, Rows(), epochs=1, verbose=2)
        assert ("match' took the inputs of class '" in capsys.readouterr().out) is said
