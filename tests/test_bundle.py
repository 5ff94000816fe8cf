from __future__ import annotations

import json
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import make_picture_table

import multimodal_gen as mg
from multimodal_gen.loaders.numbers import NumericLoader
from multimodal_gen.loaders.targets.inputs import InputTarget
from multimodal_gen.loaders.targets.masked_tokens import MaskedTokens
from multimodal_gen.loaders.targets.multi_label import MultiLabel
from multimodal_gen.loaders.targets.numbers import NumericTarget
from multimodal_gen.loaders.text.masked import MaskedTextLoader


class LengthLoader(mg.Loader):
    """A loader that is not the package's own."""

    def __init__(self, column: str, scale: float = 0.1) -> None:
        self.column, self.scale = column, scale
        self.spec = mg.ArraySpec((1,), "float32")

    def read(self, cell: str) -> np.ndarray:
        return np.array([len(cell) * self.scale], "float32")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> mg.Bundle:
    """Trained once, as no test changes it."""
    folder = tmp_path_factory.mktemp("pictures")
    picture_table = make_picture_table(folder)
    inputs = {
        "image": mg.ImageLoader("image", directory=folder, image_size=(16, 16)),
        "caption": mg.TextLoader.from_texts("caption", picture_table["caption"], sequence_length=6),
        "words": mg.TextLoader.from_texts(
            "caption", picture_table["caption"], output_mode="ngrams"
        ),
        "price": NumericLoader.from_values("price", picture_table["price"]),
    }
    target = mg.ClassLabel.from_values("label", picture_table["label"])
    keras.utils.set_random_seed(0)
    model = mg.build_fusion_classifier(inputs, target)
    model.compile("adam", loss=target.loss, metrics=["accuracy"])
    data = mg.MultimodalSequence(picture_table, inputs, target, batch_size=5, shuffle=True)
    model.fit(data, epochs=1, shuffle=False, verbose=0)
    return mg.Bundle(model, inputs, target)


def test_a_loaded_bundle_predicts_what_the_saved_one_did(
    bundle: mg.Bundle, picture_table, tmp_path: Path
) -> None:
    expected = bundle.predict(picture_table)
    bundle.save(tmp_path / "runs" / "first")
    loaded = mg.load_bundle(tmp_path / "runs" / "first")
    pd.testing.assert_frame_equal(loaded.predict(picture_table), expected, rtol=1e-5)
    assert {name: loader.spec for name, loader in loaded.inputs.items()} == {
        name: loader.spec for name, loader in bundle.inputs.items()
    }
    assert loaded.target == bundle.target


def test_threads_predict_and_explain_with_one_model(bundle: mg.Bundle, picture_table) -> None:
    expected = bundle.predict(picture_table)
    with ThreadPoolExecutor(4) as pool:
        explained = pool.submit(bundle.explain, picture_table.head(2))
        found = list(pool.map(lambda _: bundle.predict(picture_table, batch_size=4), range(12)))
        assert len(explained.result()) == 2
    for one in [*found, bundle.predict(picture_table)]:
        pd.testing.assert_frame_equal(one, expected, rtol=1e-5)


def test_predictions_have_a_label_and_a_probability_for_each_class(
    bundle: mg.Bundle, picture_table
) -> None:
    predictions = bundle.predict(picture_table)
    assert list(predictions.columns) == ["label", "x", "y", "z"]
    assert predictions[["x", "y", "z"]].sum(axis=1).to_numpy() == pytest.approx(
        np.ones(10), abs=1e-5
    )
    assert (predictions[["x", "y", "z"]].idxmax(axis=1) == predictions["label"]).all()


def test_the_order_is_the_tables_even_with_a_shuffled_non_unique_index(
    bundle: mg.Bundle, picture_table
) -> None:
    alone = {
        row: bundle.predict(picture_table.loc[[row]]).iloc[0]["x"] for row in picture_table.index
    }
    many = picture_table.iloc[np.random.default_rng(0).integers(0, 10, 150)]
    named = many.set_axis(["twin", *many.index[1:-1], "twin"])
    predictions = bundle.predict(named, batch_size=7)
    assert predictions.index.tolist() == named.index.tolist()
    assert predictions["x"].to_numpy() == pytest.approx(
        [alone[row] for row in many.index], abs=1e-5
    )


def test_a_bundle_is_one_folder_without_pickle(bundle: mg.Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "history.csv").write_text("kept")
    (folder / "tokenizer_1.json").write_text("of an older bundle")
    bundle.save(folder)
    bundle.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "bundle.json",
        "history.csv",
        "model.keras",
        "tokenizer.json",
    ]
    assert json.loads((folder / "tokenizer.json").read_text())["model"]["type"] == "WordPiece"
    members = zipfile.ZipFile(folder / "model.keras").namelist()
    assert not [name for name in members if name.endswith((".pkl", ".pickle"))]
    for path in folder.iterdir():
        with pytest.raises(
            (pickle.UnpicklingError, ValueError, EOFError, KeyError, UnicodeDecodeError, IndexError)
        ):
            pickle.loads(path.read_bytes())


def test_saving_leaves_the_optimizer_out_of_the_file_and_in_the_model(
    picture_table, tmp_path: Path
) -> None:
    bundle = small_bundle(picture_table, length=LengthLoader("caption"))
    bundle.model.compile("adam", loss=bundle.target.loss)
    data = mg.MultimodalSequence(picture_table, bundle.inputs, bundle.target)
    bundle.model.fit(data, verbose=0)
    optimizer = bundle.model.optimizer
    bundle.save(tmp_path / "run")
    assert bundle.model.optimizer is optimizer
    bundle.model.fit(data, verbose=0)
    assert int(keras.ops.convert_to_numpy(optimizer.iterations)) == 2
    assert not keras.saving.load_model(tmp_path / "run" / "model.keras").compiled


def test_the_scores_of_evaluate_follow_from_the_predictions(
    bundle: mg.Bundle, picture_table
) -> None:
    scores = bundle.evaluate(picture_table)
    assert scores["accuracy"] == pytest.approx(
        (bundle.predict(picture_table)["label"] == picture_table["label"]).mean()
    )
    assert {"balanced_accuracy", "macro_f1", "log_loss"} < set(scores)
    table = picture_table.assign(label="w")
    with pytest.raises(
        mg.LoadError, match="index 'row-0', column 'label': the label 'w' is not one of"
    ):
        bundle.evaluate(table)


def test_images_may_have_moved(bundle: mg.Bundle, picture_table, tmp_path: Path) -> None:
    expected = bundle.predict(picture_table)
    bundle.save(tmp_path / "run")
    with pytest.raises(mg.LoadError, match="no such file"):
        mg.load_bundle(tmp_path / "run", directory=tmp_path / "run").predict(picture_table)
    moved = mg.load_bundle(tmp_path / "run", directory=tmp_path).predict(picture_table)
    pd.testing.assert_frame_equal(moved, expected, rtol=1e-5)


def small_bundle(table: pd.DataFrame, **inputs: mg.Loader) -> mg.Bundle:
    tensors = [
        keras.Input(loader.spec.shape, dtype=loader.spec.dtype, name=name)
        for name, loader in inputs.items()
    ]
    joined = keras.layers.Concatenate()(tensors) if len(tensors) > 1 else tensors[0]
    target = mg.ClassLabel.from_values("label", table["label"])
    return mg.Bundle(keras.Model(tensors, keras.layers.Dense(3, "softmax")(joined)), inputs, target)


def test_custom_loaders_come_back_with_custom_objects(picture_table, tmp_path: Path) -> None:
    bundle = small_bundle(picture_table, length=LengthLoader("caption", scale=0.5))
    bundle.save(tmp_path / "run")
    with pytest.raises(mg.BundleError, match=r"custom_objects=\{'LengthLoader': LengthLoader\}"):
        mg.load_bundle(tmp_path / "run")
    with pytest.raises(TypeError, match="must map class names to classes"):
        mg.load_bundle(tmp_path / "run", custom_objects=[LengthLoader])
    loaded = mg.load_bundle(tmp_path / "run", custom_objects={"LengthLoader": LengthLoader})
    assert loaded.inputs["length"].scale == 0.5
    pd.testing.assert_frame_equal(loaded.predict(picture_table), bundle.predict(picture_table))


def test_a_bundle_without_a_target_gives_raw_outputs(picture_table) -> None:
    whole = small_bundle(picture_table, length=LengthLoader("caption"))
    raw = mg.Bundle(whole.model, whole.inputs)
    assert raw.predict(picture_table).to_numpy() == pytest.approx(
        whole.predict(picture_table)[["x", "y", "z"]].to_numpy()
    )
    with pytest.raises(ValueError, match="nothing to score"):
        raw.evaluate(picture_table)


def test_a_model_of_other_inputs_is_refused(picture_table) -> None:
    bundle = small_bundle(picture_table, length=LengthLoader("caption"))
    price = NumericLoader(["price", "length"], mean=[0, 0], scale=[1, 1])
    with pytest.raises(
        ValueError, match=r"inputs of shapes \[\(1,\)\]. Received: loaders with shapes \[\(2,\)\]"
    ):
        mg.Bundle(bundle.model, {"length": price})


def damage(folder: Path, **changes: object) -> None:
    description = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**description, **changes}))


def test_what_is_no_bundle_is_refused_by_name(bundle: mg.Bundle, tmp_path: Path) -> None:
    with pytest.raises(
        mg.BundleError, match=r"in the folder, which is empty, as that of a training"
    ):
        mg.load_bundle(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(mg.BundleError, match=r"no bundle.json in the folder. Received: path="):
        mg.load_bundle(tmp_path)
    bundle.save(tmp_path / "run")
    with pytest.raises(mg.BundleError, match=r"no bundle.json in the folder; '.*run' has one\. "):
        mg.load_bundle(tmp_path)
    with pytest.raises(mg.BundleError, match=r"There is no such folder; '.*run' has one\. "):
        mg.load_bundle(tmp_path / "runs")
    with pytest.raises(mg.BundleError, match=r"This is a file; .*a folder that has bundle.json"):
        mg.load_bundle(tmp_path / "run" / "bundle.json")
    damage(tmp_path / "run", format=99)
    with pytest.raises(mg.BundleError, match="reads bundles of format 1.*Received: format=99"):
        mg.load_bundle(tmp_path / "run")
    bundle.save(tmp_path / "run")
    damage(tmp_path / "run", inputs={"image": {"config": {}}})
    with pytest.raises(mg.BundleError, match="damaged.*'image' is no Loader"):
        mg.load_bundle(tmp_path / "run")
    (tmp_path / "run" / "bundle.json").write_text("{")
    with pytest.raises(mg.BundleError, match="cannot be read"):
        mg.load_bundle(tmp_path / "run")


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": {"image": {"class_name": "Nowhere", "config": {}}}},
        {"inputs": {"image": {"class_name": None, "config": {}}}},
        {
            "inputs": {
                "image": {
                    "class_name": "ImageLoader",
                    "config": {"column": "image", "dtype": "int8"},
                }
            }
        },
        {"inputs": {"image": {"class_name": "ImageLoader", "config": {"colour": 1}}}},
        {"inputs": None},
        {"target": {"class_name": "Nowhere", "config": {}}},
        {"target": 3},
        {"targets": {"kind": {"class_name": "ImageLoader", "config": {"column": "image"}}}},
        {"inputs_as": "set"},
    ],
)
def test_every_kind_of_damage_is_an_error_of_the_bundle_that_ends_in_its_path(
    changes: dict[str, object], bundle: mg.Bundle, tmp_path: Path
) -> None:
    bundle.save(tmp_path / "run")
    damage(tmp_path / "run", **changes)
    with pytest.raises(mg.BundleError, match=r"Received: .*path='.*run'$"):
        mg.load_bundle(tmp_path / "run")


@pytest.mark.parametrize(
    ("saved", "told"), [("99.1.0", True), ("99.1.0.dev3", True), ("3.0.0", False), (7, False)]
)
def test_a_model_that_a_newer_keras_saved_is_an_error_that_says_so(
    saved: object, told: bool, bundle: mg.Bundle, tmp_path: Path
) -> None:
    bundle.save(tmp_path / "bundle")
    description = json.loads((tmp_path / "bundle" / "bundle.json").read_text("utf-8"))
    (tmp_path / "bundle" / "bundle.json").write_text(
        json.dumps({**description, "keras": saved}), "utf-8"
    )
    # One that can be loaded all the same is.
    mg.load_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / "model.keras").write_bytes(b"of another kind")
    with pytest.raises(
        mg.BundleError, match="model.keras is missing, damaged.*Received: path="
    ) as caught:
        mg.load_bundle(tmp_path / "bundle")
    words = (
        f"It was saved with Keras {saved}, and this is {keras.__version__}, which may not support"
    )
    assert str(caught.value).startswith(words) == told


def test_a_damaged_model_is_an_error_of_the_bundle(bundle: mg.Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "run")
    content = (tmp_path / "run" / "model.keras").read_bytes()
    (tmp_path / "run" / "model.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(mg.BundleError, match="model.keras is missing, damaged.*Received: path="):
        mg.load_bundle(tmp_path / "run")
    (tmp_path / "run" / "model.keras").unlink()
    with pytest.raises(mg.BundleError, match="model.keras is missing"):
        mg.load_bundle(tmp_path / "run")


def test_a_bundle_cannot_reach_out_of_its_folder(bundle: mg.Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "run")
    description = json.loads((tmp_path / "run" / "bundle.json").read_text())
    description["inputs"]["caption"]["config"]["tokenizer"]["config"]["tokenizer_json"] = (
        "../secret.json"
    )
    (tmp_path / "run" / "bundle.json").write_text(json.dumps(description))
    with pytest.raises(
        mg.BundleError, match="must be in its own folder.*Received: '../secret.json'"
    ):
        mg.load_bundle(tmp_path / "run")


def test_repr_explains_the_bundle(bundle: mg.Bundle) -> None:
    assert "image: image (16, 16, 3) uint8 from 'image'" in repr(bundle)
    assert "target: label () int32 from 'label'" in repr(bundle)


@pytest.fixture
def targets(picture_table: pd.DataFrame) -> dict[str, mg.Target]:
    return {
        "kind": mg.ClassLabel.from_values("label", picture_table["label"]),
        "tags": MultiLabel.from_values("tags", picture_table["tags"], separator="|"),
        "cost": NumericTarget.from_values("price", picture_table["price"]),
    }


@pytest.fixture
def picture_table(picture_table: pd.DataFrame) -> pd.DataFrame:
    return picture_table.assign(tags=["", "new", "new|red", "red", "new"] * 2)


def bundle_of_several(
    table: pd.DataFrame, targets: dict[str, mg.Target], folder: Path
) -> mg.Bundle:
    inputs = {
        "image": mg.ImageLoader("image", directory=folder, image_size=(4, 4)),
        "words": mg.TextLoader.from_texts("caption", table["caption"], output_mode="ngrams"),
    }
    branches = {
        "image": lambda pixels: keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    }
    keras.utils.set_random_seed(0)
    model = mg.build_fusion_classifier(inputs, targets, branches=branches)
    model.compile("adam", loss={name: target.loss for name, target in targets.items()})
    model.fit(mg.MultimodalSequence(table, inputs, targets, batch_size=5), shuffle=False, verbose=0)
    return mg.Bundle(model, inputs, targets)


def test_several_targets_are_predicted_scored_saved_and_loaded(
    picture_table: pd.DataFrame, targets: dict[str, mg.Target], tmp_path: Path
) -> None:
    bundle = bundle_of_several(picture_table, targets, tmp_path)
    predictions = bundle.predict(picture_table)
    assert predictions.columns.tolist() == [
        *("kind.label", "kind.x", "kind.y", "kind.z"),
        *("tags.labels", "tags.new", "tags.red"),
        "cost.price",
    ]
    assert predictions.index.equals(picture_table.index)
    assert (
        (predictions["tags.new"] > 0.5)
        == ["new" in labels for labels in predictions["tags.labels"]]
    ).all()
    # In the table's own units, around whose mean an almost untrained model predicts.
    assert predictions["cost.price"].mean() == pytest.approx(picture_table["price"].mean(), abs=3)

    scores = bundle.evaluate(picture_table)
    assert {"kind.accuracy", "kind.log_loss", "tags.micro_f1", "cost.r2"} < set(scores)
    errors = (predictions["cost.price"] - picture_table["price"]).abs()
    assert scores["cost.mean_absolute_error"] == pytest.approx(errors.mean(), rel=1e-4)
    assert scores["kind.accuracy"] == pytest.approx(
        (predictions["kind.label"] == picture_table["label"]).mean()
    )

    bundle.save(tmp_path / "run")
    loaded = mg.load_bundle(tmp_path / "run")
    assert list(loaded.target) == ["kind", "tags", "cost"]
    assert loaded.target == bundle.target
    pd.testing.assert_frame_equal(loaded.predict(picture_table), predictions, rtol=1e-4)
    assert "tags: label (2,) float32 from 'tags'" in repr(loaded)
    with pytest.raises(
        mg.LoadError, match="index 'row-2', column 'tags': the label 'old' is not one of"
    ):
        bundle.evaluate(picture_table.assign(tags=["", "", "old", *[""] * 7]))


def test_a_bundle_of_several_outputs_without_a_target_gives_them_all(
    picture_table: pd.DataFrame, targets: dict[str, mg.Target], tmp_path: Path
) -> None:
    bundle = bundle_of_several(picture_table, targets, tmp_path)
    raw = mg.Bundle(bundle.model, bundle.inputs).predict(picture_table)
    assert sorted(raw.columns) == ["cost.0", "kind.0", "kind.1", "kind.2", "tags.0", "tags.1"]
    assert raw["kind.1"].to_numpy() == pytest.approx(
        bundle.predict(picture_table)["kind.y"].to_numpy()
    )


def test_targets_that_the_model_has_no_outputs_for_are_refused(
    picture_table: pd.DataFrame, targets: dict[str, mg.Target], tmp_path: Path
) -> None:
    single = small_bundle(picture_table, length=LengthLoader("caption"))
    with pytest.raises(
        ValueError,
        match=r"one output without a name. Received: targets named \['cost', 'kind', 'tags'\]",
    ):
        mg.Bundle(single.model, single.inputs, targets)
    several = bundle_of_several(picture_table, targets, tmp_path)
    with pytest.raises(
        ValueError, match=r"outputs named \['cost', 'kind', 'tags'\]. Received: a single target"
    ):
        mg.Bundle(several.model, several.inputs, targets["kind"])
    with pytest.raises(ValueError, match=r"Received: targets named \['kind'\]"):
        mg.Bundle(several.model, several.inputs, {"kind": targets["kind"]})
    with pytest.raises(
        TypeError, match="a target such as ClassLabel, a mapping.*Received: target='label'"
    ):
        mg.Bundle(single.model, single.inputs, "label")
    with pytest.raises(ValueError, match="must be one of .*. Received: inputs_as='set'"):
        mg.Bundle(single.model, single.inputs, single.target, inputs_as="set")


def test_pictures_of_a_reconstruction_may_have_moved_too(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    loader = mg.ImageLoader("image", directory=tmp_path / "before", image_size=(4, 4))
    pixels = keras.Input((4, 4, 3), dtype="uint8", name="image")
    model = keras.Model([pixels], keras.layers.Rescaling(1 / 255)(pixels))
    mg.Bundle(model, {"image": loader}, InputTarget(loader)).save(tmp_path / "run")
    bundle = mg.load_bundle(tmp_path / "run", directory=tmp_path)
    assert bundle.evaluate(picture_table) == pytest.approx(
        {"mean_squared_error": 0.0, "r2": 1.0}, abs=1e-6
    )
    picture = bundle.predict(picture_table)["reconstruction"]["row-4"]
    np.testing.assert_array_equal(picture, loader.replace(directory=tmp_path).read("4.png"))


def dense(units: int, activation: str | None = "softmax") -> keras.Model:
    pixels = keras.Input((1,), name="length")
    return keras.Model([pixels], keras.layers.Dense(units, activation)(pixels))


def test_outputs_that_do_not_fit_the_target_are_refused(
    picture_table: pd.DataFrame, targets: dict[str, mg.Target]
) -> None:
    inputs = {"length": LengthLoader("caption")}
    for units, name, wanted in ((5, "kind", 3), (3, "tags", 2), (3, "cost", 1)):
        with pytest.raises(
            ValueError,
            match=rf"must have {wanted} outputs per row.*Received: outputs of shape \({units},\)",
        ):
            mg.Bundle(dense(units), inputs, targets[name])
    tensor = keras.Input((1,), name="length")
    several = keras.Model(
        [tensor],
        {name: keras.layers.Dense(2, name=f"to_{name}")(tensor) for name in ("kind", "tags")},
    )
    with pytest.raises(
        ValueError,
        match=r"3 outputs per row, the `units` of the ClassLabel.*Received: outputs .kind. of",
    ):
        mg.Bundle(several, inputs, {name: targets[name] for name in ("kind", "tags")})
    two = keras.Model([tensor], [keras.layers.Dense(3)(tensor), keras.layers.Dense(3)(tensor)])
    with pytest.raises(ValueError, match=r"outputs named \[0, 1\]. Received: a single target"):
        mg.Bundle(two, inputs, targets["kind"])
    assert list(mg.Bundle(two, inputs).predict(picture_table).columns) == [
        f"{one}.{i}" for one in "01" for i in range(3)
    ]
    alone = keras.Model([tensor], [keras.layers.Dense(3, "softmax")(tensor)])
    assert mg.Bundle(alone, inputs, targets["kind"]).predict(picture_table).shape == (10, 4)


def test_logits_are_no_probabilities(
    picture_table: pd.DataFrame, targets: dict[str, mg.Target]
) -> None:
    inputs = {"length": LengthLoader("caption", scale=5.0)}
    for name, units, activation in (("kind", 3, "softmax"), ("tags", 2, "sigmoid")):
        bundle = mg.Bundle(dense(units, None), inputs, targets[name])
        rule = (
            rf"needs probabilities in \[0, 1\]; end the model with `target.activation`, "
            rf"'{activation}'. Received"
        )
        with pytest.raises(ValueError, match=rule):
            bundle.predict(picture_table)
        with pytest.raises(ValueError, match=rule):
            bundle.evaluate(picture_table)
    numbers = mg.Bundle(dense(1, None), inputs, targets["cost"])
    assert numbers.predict(picture_table)["price"].abs().max() > 1


@keras.saving.register_keras_serializable(package="tests")
class OwnCall(keras.Model):
    """A model that shows nothing of its inputs and outputs."""

    def __init__(self, units: int = 3, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.head = keras.layers.Dense(units, "softmax")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.head.build(shape)

    def call(self, inputs: object) -> object:
        return self.head(inputs)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="tests")
class OfTuple(OwnCall):
    def build(self, shapes: tuple[tuple[int | None, ...], ...]) -> None:
        self.head.build(shapes[0])

    def call(self, inputs: tuple[object, ...]) -> object:
        return self.head(inputs[0])


@pytest.mark.parametrize(
    "kind", ["list", "tensor", "dict", "sequential", "call", "call of a tuple"]
)
def test_a_single_input_is_given_as_the_model_takes_it(
    kind: str, picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    tensor = keras.Input((1,), name="length")
    output = keras.layers.Dense(3, "softmax")(tensor)
    batch = np.ones((2, 1), "float32")
    model, form = {
        "list": lambda: (keras.Model([tensor], output), "list"),
        "tensor": lambda: (keras.Model(tensor, output), "array"),
        "dict": lambda: (keras.Model({"length": tensor}, output), "dict"),
        "sequential": lambda: (
            keras.Sequential([tensor, keras.layers.Dense(3, "softmax")]),
            "array",
        ),
        "call": lambda: (OwnCall(), "array"),
        "call of a tuple": lambda: (OfTuple(), "list"),
    }[kind]()
    model(batch if form == "array" else {"length": batch} if form == "dict" else (batch,))
    inputs = {"length": LengthLoader("caption")}
    target = mg.ClassLabel.from_values("label", picture_table["label"])
    bundle = mg.Bundle(model, inputs, target)
    assert bundle.inputs_as == form
    predictions = bundle.predict(picture_table)
    bundle.save(tmp_path)
    loaded = mg.load_bundle(tmp_path, custom_objects={"LengthLoader": LengthLoader})
    assert loaded.inputs_as == form
    pd.testing.assert_frame_equal(loaded.predict(picture_table), predictions)


def test_inputs_by_name_may_come_in_any_order(picture_table: pd.DataFrame) -> None:
    tensors = {"words": keras.Input((1,), name="words"), "area": keras.Input((2,), name="area")}
    model = keras.Model(
        tensors, keras.layers.Dense(1)(keras.layers.Concatenate()(list(tensors.values())))
    )
    area = NumericLoader(["price", "cost"], mean=[0, 0], scale=[1, 1])
    picture_table["cost"] = 2 * picture_table["price"]
    bundle = mg.Bundle(model, {"area": area, "words": LengthLoader("caption")})
    numbers = picture_table["price"].to_numpy("float32")
    given = {
        "area": np.stack([numbers, 2 * numbers], 1),
        "words": np.array([[len(one) * 0.1] for one in picture_table["caption"]]),
    }
    assert bundle.predict(picture_table).to_numpy() == pytest.approx(
        model.predict(given, verbose=0), abs=1e-5
    )
    with pytest.raises(
        ValueError,
        match=r"inputs named \['area', 'words'\]. Received: loaders named \['area', 'word'\]",
    ):
        mg.Bundle(model, {"area": area, "word": LengthLoader("caption")})


def test_a_model_that_is_not_built_is_refused_and_one_of_other_outputs_found_out(
    picture_table: pd.DataFrame,
) -> None:
    inputs = {"length": LengthLoader("caption")}
    target = mg.ClassLabel.from_values("label", picture_table["label"])
    for model in (OwnCall(5), keras.Sequential([keras.layers.Dense(3, "softmax")])):
        with pytest.raises(
            ValueError, match=r"call it on a batch first.*Received: an unbuilt (OwnCall|Sequential)"
        ):
            mg.Bundle(model, inputs, target)
    model = OwnCall(5)
    model(np.ones((2, 1), "float32"))
    with pytest.raises(
        ValueError, match=r"must have 3 outputs per row.*Received: outputs of shape \(5,\)"
    ):
        mg.Bundle(model, inputs, target).predict(picture_table)


def test_tokenizers_lie_in_files_of_their_own_wherever_they_are_used(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    text = mg.TextLoader.from_texts("caption", picture_table["caption"], sequence_length=6)
    masked = MaskedTextLoader(text)
    target = MaskedTokens(masked)
    ids = keras.Input((6,), dtype="int32", name="caption")
    embedded = keras.layers.Embedding(target.units, 4)(ids)
    model = keras.Model([ids], keras.layers.Dense(target.units, "softmax")(embedded))
    bundle = mg.Bundle(model, {"caption": masked}, target)
    bundle.save(tmp_path)
    assert [path.name for path in tmp_path.glob("tokenizer*")] == ["tokenizer.json"]
    description = (tmp_path / "bundle.json").read_text()
    assert "WordPiece" not in description
    loaded = mg.load_bundle(tmp_path)
    assert (loaded.inputs, loaded.target) == (bundle.inputs, target)
    pd.testing.assert_frame_equal(loaded.predict(picture_table), bundle.predict(picture_table))
    # As it was written once.
    inline = json.dumps(text.encoder.tokenizer_json)
    (tmp_path / "bundle.json").write_text(description.replace('"tokenizer.json"', inline))
    assert mg.load_bundle(tmp_path).inputs == bundle.inputs


def test_a_row_for_which_the_model_puts_out_nan_has_no_prediction_and_says_so() -> None:
    table = pd.DataFrame(
        {"price": [1.0, -1.0, 2.0], "label": ["x", "y", "x"]}, index=["a", "b", "c"]
    )
    inputs = {"price": NumericLoader("price", mean=[0.0], scale=[1.0])}
    numbers = keras.Input((1,), name="price")
    outputs = keras.layers.Dense(2, "softmax")(keras.ops.log(numbers))
    bundle = mg.Bundle(
        keras.Model(numbers, outputs), inputs, mg.ClassLabel("label", ["x", "y"]), inputs_as="array"
    )
    with pytest.warns(UserWarning, match="1 of 3 rows has no prediction; .*NaN for this row"):
        predictions = bundle.predict(table)
    assert (
        predictions["label"].isna().tolist() == [False, True, False]
        and predictions["error"].notna()["b"]
    )
    with pytest.raises(ValueError, match="cannot be scored: the model outputs NaN.*index 'b'"):
        bundle.evaluate(table)
    assert bundle.evaluate(table, on_error="skip")["left_out"] == 1
    with pytest.raises(ValueError, match="outputs NaN for every row: its training diverged"):
        bundle.predict(table.loc[["b", "b"]])


@pytest.mark.parametrize("cell", [None, float("nan"), "", pd.NA])
def test_a_missing_label_is_not_told_to_be_read_as_blank(cell: Any) -> None:
    table = pd.DataFrame({"x": [1.0, 2.0, 3.0], "c": ["a", "b", "a"]}, dtype=object)
    inputs = {"x": mg.NumericLoader.from_values("x", table)}
    target = mg.ClassLabel.from_values("c", table)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, activation="softmax")])
    bundle = mg.Bundle(model, inputs, target)
    table.at[1, "c"] = cell
    with pytest.raises(mg.LoadError) as raised:
        bundle.evaluate(table)
    assert "without it there is nothing to learn or score" in str(raised.value)
    assert "blank" not in str(raised.value) and raised.value.index == 1
    # Of an input it is possible.
    table.loc[1] = [None, "b"]
    with pytest.warns(UserWarning, match=r"missing.*`missing=\"mean\"`"):
        bundle.predict(table)


def test_a_model_of_compiled_and_trained_models_is_saved_without_their_optimizers(
    tmp_path: Path,
) -> None:
    table = pd.DataFrame({"n": np.arange(8.0), "label": ["a", "b"] * 4})
    inputs = {"n": mg.NumericLoader("n", mean=[0.0], scale=[1.0])}
    target = mg.ClassLabel.from_values("label", table)
    x = keras.Input((1,), name="n")
    inner = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, "softmax")])
    inner.compile("adam", "sparse_categorical_crossentropy")
    data = mg.MultimodalSequence(table, inputs, target, inputs_as="array")
    inner.fit(data, shuffle=False, verbose=0)
    bundle = mg.Bundle(keras.Model(x, inner(x)), inputs, target)
    bundle.save(tmp_path)
    assert inner.compiled and inner.optimizer is not None
    found = mg.load_bundle(tmp_path).predict(table)
    pd.testing.assert_frame_equal(found, bundle.predict(table))
