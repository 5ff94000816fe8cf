"""Linear probes: the same numbers as scikit-learn's, for every kind of input and target."""

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.models import calibrate_heads, designs, probe
from multimodal_gen.models.linear import linear_model
from multimodal_gen.models.linear_fits import Fit

ROWS = 240


def table(seed=0, rows=ROWS):
    # The class depends on a word, on a direction of the vectors, and on a place.
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, rows)
    vectors = rng.normal(size=(rows, 6)).astype("float32") * [1, 50, 1, 1, 0.01, 1] + 7
    vectors[:, 1] += 60 * label
    words = np.array([["red", "round"], ["green", "long"], ["blue", "flat"]])[
        label, rng.integers(0, 2, rows)
    ]
    frame = pd.DataFrame(
        {
            "vector": list(vectors.astype("float32")),
            "text": [f"a {word} thing" for word in words],
            "place": np.array(["north", "south", "east"])[(label + (rng.random(rows) < 0.3)) % 3],
            "price": label * 10.0 + rng.normal(size=rows),
            "label": np.array(["a", "b", "c"])[label],
            "binary": np.array(["no", "yes"])[(label == 2).astype(int)],
            "tags": [["", "x", "x|y"][one] for one in label],
        }
    )
    frame.loc[rng.random(rows) < 0.2, "text"] = None
    # Something to find out beside the features: the place of a tenth is missing.
    frame.loc[rng.random(rows) < 0.1, "place"] = None
    return frame


TRAIN, VALIDATION = table(0), table(1, 120)
VECTOR = mg.ArrayLoader("vector", shape=(6,), dtype="float32", kind="features")
INPUTS = {
    "vector": VECTOR,
    "text": mg.TextLoader.from_texts("text", TRAIN, output_mode="ngrams", missing="blank"),
    "place": mg.CategoryLoader.from_values("place", TRAIN),
    "price": mg.NumericLoader.from_values("price", TRAIN),
}
TARGETS = {
    "class": mg.ClassLabel.from_values("label", TRAIN),
    "one-hot": mg.ClassLabel.from_values("label", TRAIN, label_mode="categorical"),
    "binary": mg.ClassLabel.from_values("binary", TRAIN, label_mode="binary"),
    "labels": mg.MultiLabel.from_values("tags", TRAIN.fillna(""), separator="|"),
    "number": mg.NumericTarget("price"),
    "several": {
        "kind": mg.ClassLabel.from_values("label", TRAIN),
        "price": mg.NumericTarget("price"),
    },
}


def sequence(frame, inputs, target, **arguments):
    return mg.MultimodalSequence(frame, inputs, target, batch_size=50, **arguments)


def fitted(inputs, target, **arguments):
    train = sequence(TRAIN, inputs, target, shuffle=True, **arguments)
    return mg.fit_linear_probe(inputs, target, train, train.for_evaluation(VALIDATION), verbose=0)


@pytest.mark.parametrize("kind", TARGETS)
def test_a_probe_tells_every_kind_of_target(kind):
    target = TARGETS[kind]
    inputs = {name: one for name, one in INPUTS.items() if name != "price"}
    model = fitted(inputs, target)
    scores = mg.Bundle(model, inputs, target).evaluate(table(2, 100))
    found = {
        "class": ("accuracy", 0.9),
        "one-hot": ("accuracy", 0.9),
        "binary": ("accuracy", 0.9),
        "labels": ("mean_average_precision", 0.9),
        "number": ("r2", 0.8),
        "several": ("kind.accuracy", 0.9),
    }[kind]
    assert scores[found[0]] > found[1], scores


def test_probabilities_are_those_of_scikit_learn(capsys):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    target = TARGETS["class"]
    train = sequence(TRAIN, {"vector": VECTOR}, target)
    model = mg.fit_linear_probe({"vector": VECTOR}, target, train, train)
    strength = float(capsys.readouterr().out.split("C=")[1].split(",")[0])
    vectors = np.stack(TRAIN["vector"])
    # The probe divides by the root of the number of columns, too.
    scaled = StandardScaler().fit_transform(vectors) / np.sqrt(6)
    reference = LogisticRegression(C=strength, max_iter=1000, tol=1e-6).fit(scaled, TRAIN["label"])
    np.testing.assert_allclose(
        model.predict(train, verbose=0), reference.predict_proba(scaled), atol=2e-3
    )


@pytest.mark.parametrize("name", [*INPUTS, "many", "board"])
def test_the_model_computes_what_the_matrix_says(name):
    board = mg.ArrayLoader("vector", shape=(2, 3), dtype="float32")
    inputs = {
        **INPUTS,
        "many": mg.ManyLoader(
            mg.CategoryLoader.from_values("place", TRAIN), at_most=2, separator="|", missing="blank"
        ),
        "board": board,
    }
    frame = TRAIN.assign(vector=[one.reshape(2, 3) for one in TRAIN["vector"]])
    if name == "many":
        frame["place"] = [
            "|".join(one for one in pair if one) or None
            for pair in zip(TRAIN["place"].fillna(""), TRAIN["place"][::-1].fillna(""), strict=True)
        ]
    chosen = {name: inputs[name]}
    target = TARGETS["class"]
    data = sequence(frame if name in ("board", "many") else TRAIN, chosen, target)
    model = linear_model(chosen, target)
    rows = probe._Rows(chosen, target)
    rows.read(data, lambda: None)
    rows.fit_blocks()
    rng = np.random.default_rng(0)
    fit = Fit(rng.normal(size=(rows.blocks[name].columns, 3)), rng.normal(size=3), 1.0, 0.0)
    probe._assign(model, rows.blocks, [fit])
    logits = rows.design(rows.blocks) @ fit.coefficients + fit.intercept
    wanted = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        # float32, and a column whose mean is 700 times its standard deviation.
        model.predict(data, verbose=0),
        wanted / wanted.sum(axis=1, keepdims=True),
        atol=1e-4,
    )
    assert logits.std() > 0.1


def test_a_probe_is_saved_and_the_order_of_inputs_does_not_matter(tmp_path):
    target = TARGETS["class"]
    some = {name: INPUTS[name] for name in ("text", "vector")}
    model, turned = fitted(some, target), fitted(dict(reversed(some.items())), target)
    rows = table(3, 40)
    mg.Bundle(model, some, target).save(tmp_path)
    first = mg.load_bundle(tmp_path).predict(rows)
    second = mg.Bundle(turned, dict(reversed(some.items())), target).predict(rows)
    assert (first["label"] == second["label"]).mean() > 0.97
    pd.testing.assert_frame_equal(first, mg.Bundle(model, some, target).predict(rows))


def test_weights_of_rows_count():
    target = TARGETS["class"]
    frame = TRAIN.assign(weight=(TRAIN["label"] != "c").astype(float))
    train = sequence(frame, {"vector": VECTOR}, target, sample_weight="weight")
    model = mg.fit_linear_probe({"vector": VECTOR}, target, train, train, verbose=0)
    assert set(model.predict(train, verbose=0).argmax(axis=1)) == {0, 1}


def test_a_large_table_is_cut_and_the_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(probe, "_MAX_NUMBERS", 600)
    target = TARGETS["class"]
    train = sequence(TRAIN, {"vector": VECTOR}, target, shuffle=True)
    mg.fit_linear_probe({"vector": VECTOR}, target, train, train.for_evaluation(VALIDATION))
    assert "Linear probe of 100 rows (the first 100, as more would" in capsys.readouterr().out


def test_constant_columns_and_labels_of_one_kind_do_no_harm():
    frame = TRAIN.assign(vector=[np.ones(6, "float32")] * ROWS, tags="x")
    target = mg.MultiLabel(column="tags", class_names=["x", "y"], separator="|")
    data = sequence(frame, {"vector": VECTOR}, target)
    model = mg.fit_linear_probe({"vector": VECTOR}, target, data, data, verbose=0)
    np.testing.assert_allclose(model.predict(data, verbose=0)[0], [0.99, 0.01], atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"inputs": {"image": mg.ImageLoader("image")}},
            "For pictures and texts, use their features",
        ),
        ({"train_data": [1]}, "`train_data` must be a MultimodalSequence"),
        ({"validation_data": None}, "`validation_data` must be a MultimodalSequence"),
        ({"target": "label"}, "`target` must be a target"),
    ],
)
def test_wrong_arguments_of_a_probe(changes, words):
    target = TARGETS["class"]
    data = sequence(TRAIN, {"vector": VECTOR}, target)
    arguments = {
        "inputs": {"vector": VECTOR},
        "target": target,
        "train_data": data,
        "validation_data": data,
    }
    with pytest.raises((TypeError, ValueError), match=words):
        mg.fit_linear_probe(**arguments | changes)


def test_mixed_classes_are_refused():
    target = TARGETS["one-hot"]
    data = sequence(
        TRAIN, {"vector": VECTOR}, target, shuffle=True, batch_augment=[mg.augment.MixUp()]
    )
    with pytest.raises(ValueError, match="Leave `batch_augment` out. Received: target with shares"):
        mg.fit_linear_probe({"vector": VECTOR}, target, data, data.for_evaluation(), verbose=0)


def test_the_better_of_several_models_comes_first_and_rows_are_read_once(capsys, monkeypatch):
    target = TARGETS["class"]
    inputs = {"vector": VECTOR}
    good, bad = fitted(inputs, target), linear_model(inputs, target)
    bad.compile(loss=target.loss, metrics=target.metrics)
    data = sequence(VALIDATION, inputs, target)
    assert mg.compare_models({"bad": bad}, data).index == ["bad"]
    assert capsys.readouterr().out == "", "a notebook shows the table that is returned"
    reads, read = [], type(data).__getitem__
    monkeypatch.setattr(
        type(data), "__getitem__", lambda own, number: reads.append(number) or read(own, number)
    )
    found = mg.compare_models({"bad": bad, "good": good}, data, verbose=1)
    assert reads == list(range(data.num_batches)), "rows are read once, whatever the models"
    by_keras = good.evaluate(data, verbose=0, return_dict=True)
    assert found.loc["good", ["loss", "accuracy"]].tolist() == pytest.approx(
        [by_keras["loss"], by_keras["accuracy"]], rel=1e-5
    )
    assert list(found.index) == ["good", "bad"]
    assert found.loc["bad", "loss"] == pytest.approx(np.log(3), abs=1e-5)
    assert found.loc["good", "accuracy"] > found.loc["bad", "accuracy"]
    assert "good" in capsys.readouterr().out
    bad = linear_model(inputs, target)
    with pytest.raises(ValueError, match="Models must be compiled"):
        mg.compare_models({"bad": bad}, data)
    with pytest.raises(ValueError, match="`models` must map names"):
        mg.compare_models({}, data)


def test_a_focal_target_is_weighed_by_cross_entropy_so_its_probabilities_fit_the_rows():
    keras.utils.set_random_seed(0)
    target = TARGETS["class"].replace(focal=3.0)
    inputs = {"vector": VECTOR}
    model = mg.build_fusion_classifier(inputs, target)
    data = sequence(TRAIN, inputs, target, shuffle=True)
    mg.fit_with_recipe(model, target, data, epochs=8, verbose=0)
    bundle = mg.Bundle(model, inputs, target)
    before = bundle.evaluate(VALIDATION)
    (scale,) = calibrate_heads(model, sequence(VALIDATION, inputs, target)).values()
    after = bundle.evaluate(VALIDATION)
    # A focal loss leaves predictions unsure.
    assert scale > 1.2 and after["log_loss"] < before["log_loss"] - 0.01
    assert after["accuracy"] == before["accuracy"]


def test_one_head_alone_is_made_as_sure_as_it_is_right():
    keras.utils.set_random_seed(0)
    target = TARGETS["class"]
    inputs = {"vector": VECTOR}
    model = mg.build_fusion_classifier(inputs, target)
    data = sequence(TRAIN, inputs, target, shuffle=True)
    mg.fit_with_recipe(model, target, data, epochs=30, verbose=0)
    labels = VALIDATION["label"].to_numpy().copy()
    labels[:60] = labels[59::-1]
    noisy = VALIDATION.assign(label=labels)
    check = sequence(noisy, inputs, target)
    model.compile(loss=target.loss, metrics=target.metrics)
    before = model.evaluate(check, verbose=0, return_dict=True)
    (scale,) = calibrate_heads(model, check).values()
    after = model.evaluate(check, verbose=0, return_dict=True)
    assert 0 < scale < 0.5
    assert after["loss"] < before["loss"]
    assert after["accuracy"] == before["accuracy"]


def test_the_mean_of_items_counts_only_those_that_are_there():
    array = np.arange(24, dtype="float32").reshape(2, 2, 6)
    mask = np.array([[1, 0], [1, 1]], "float32")
    block = designs.block_of(mg.ManyLoader(VECTOR, at_most=2).spec, array, mask)
    np.testing.assert_allclose(block, [array[0, 0], array[1].mean(axis=0)])


def test_losses_of_several_targets_add_up_whatever_the_size_of_the_last_batch():
    target = TARGETS["several"]
    inputs = {"vector": VECTOR}
    model = fitted(inputs, target)
    tables = [
        mg.compare_models(
            {"probe": model},
            mg.MultimodalSequence(VALIDATION, inputs, target, batch_size=size),
            verbose=0,
        )
        for size in (120, 50)
    ]
    for table in tables:
        row = table.loc["probe"]
        assert row["loss"] == pytest.approx(row["kind_loss"] + row["price_loss"], rel=1e-5)
    assert tables[0]["kind_loss"].item() == pytest.approx(tables[1]["kind_loss"].item(), rel=1e-5)
