from __future__ import annotations

import datetime
import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.augment import Batch
from multimodal_gen.config import deserialize, serialize
from multimodal_gen.models import CategoryBranch
from multimodal_gen.models.categories import CategoryEmbedding

BRANDS = ["Puma", "Nike", "Nike", None, "Asics", "Puma", " ", "Nike"]


def test_categories_are_learned_sorted_with_rare_unseen_and_missing_beside_them() -> None:
    loader = mg.CategoryLoader.from_values("brand", BRANDS)
    assert (loader.categories, loader.rare) == (("Nike", "Puma"), ("Asics",))
    assert loader.spec == mg.ArraySpec((1,), "int32", "category", 5)
    cells = ["Nike", "Puma", "Asics", "Fila", None, np.nan, pd.NA, "", "  "]
    assert [loader.id_of(cell) for cell in cells] == [3, 4, 2, 1, 0, 0, 0, 0, 0]
    assert loader.read("Puma").tolist() == [4]
    assert mg.CategoryLoader.from_values("brand", BRANDS, min_count=1).rare == ()
    assert mg.CategoryLoader.from_values("brand", BRANDS, min_count=3).rare == ("Asics", "Puma")
    table = pd.DataFrame({"brand": BRANDS})
    assert mg.CategoryLoader.from_values("brand", table) == loader
    assert mg.CategoryLoader.from_values("brand", table["brand"].astype("category")) == loader


@pytest.mark.parametrize(
    ("values", "same"),
    [
        ([0, 1, 1, 0], [0, "0", 0.0, np.int8(0)]),
        (["0", "1", "1", "0"], [0, "0", 0.0]),
        (["1.50", "1.50", "2"], ["1.50", 1.5]),
        ([True, False, True], [True, "True", np.True_]),
        ([datetime.date(2024, 1, 31)] * 2, [datetime.date(2024, 1, 31), "2024-01-31"]),
    ],
)
def test_the_same_text_is_the_same_category_whatever_type_its_column_has(
    values: list, same: list
) -> None:
    loader = mg.CategoryLoader.from_values("code", values, min_count=1)
    ids = {loader.id_of(cell) for cell in same}
    assert len(ids) == 1
    assert ids.pop() >= 3
    assert deserialize(json.loads(json.dumps(serialize(loader)))) == loader


def test_a_category_keeps_its_contract_and_is_shown_by_its_name() -> None:
    loader = mg.CategoryLoader.from_values("brand", BRANDS)
    mg.check_loader(loader, ["Nike", None, "Fila", "Asics"])
    shown = [loader.describe(loader.read(one), one)["brand"] for one in ("Nike", "Asics", "Q", "")]
    assert shown == ["Nike", "Asics (rare)", "Q (not in training)", "(missing)"]


@pytest.mark.parametrize("cell", [["Nike"], b"Nike", {"a": 1}, np.array([1, 2])])
def test_a_cell_of_several_values_is_an_error_of_its_row(cell: object) -> None:
    loader = mg.CategoryLoader.from_values("brand", BRANDS)
    with pytest.raises(mg.LoadError, match="a category must be a single value"):
        loader.read(cell)
    series = pd.Series(["Nike", cell], index=["r", "s"])
    with pytest.raises(ValueError, match="must be a single value.*at index 's', column 'brand'"):
        mg.CategoryLoader.from_values("brand", series)


def test_a_column_without_a_frequent_value_and_doubled_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"most frequent of 2 has 1. Missing cells: 1 of 3"):
        mg.CategoryLoader.from_values("title", ["a", "b", None])
    with pytest.raises(ValueError, match="`min_count` must be a positive integer"):
        mg.CategoryLoader.from_values("brand", BRANDS, min_count=0)
    with pytest.raises(ValueError, match="named once.*'1' more than once"):
        mg.CategoryLoader("brand", ["1"], rare=[1])
    with pytest.raises(ValueError, match="at least one category"):
        mg.CategoryLoader("brand", [])
    with pytest.raises(ValueError, match="A category must be a string"):
        mg.CategoryLoader("brand", ["a", 1.5])


def test_mixed_rows_keep_the_category_of_the_heavier() -> None:
    ids = np.arange(3, 9, dtype="int32")[:, None]
    batch = Batch({"brand": ids}, np.eye(6, dtype="float32"), None, {"brand": SPEC})
    mixed = mg.augment.MixUp(alpha=1.0)(batch, np.random.default_rng(0))
    heavier = np.asarray(mixed.target).argmax(axis=1) + 3
    assert mixed.inputs["brand"][:, 0].tolist() == heavier.tolist()
    assert heavier.tolist() != ids[:, 0].tolist()


SPEC = mg.ArraySpec((1,), "int32", "category", 9)


def test_some_categories_are_unseen_in_training_and_none_afterwards() -> None:
    layer = CategoryEmbedding(9, 1, rate=0.3)
    layer.build((None, 1))
    layer.table.assign(np.arange(9.0)[:, None])
    ids = np.repeat(np.arange(9, dtype="int32"), 500)[:, None]
    plain = keras.ops.convert_to_numpy(layer(ids, training=False))
    assert plain.tolist() == ids.tolist()
    varied = keras.ops.convert_to_numpy(layer(ids, training=True)).reshape(9, 500)
    shares = (varied != np.arange(9)[:, None]).mean(axis=1)
    assert shares[:2].tolist() == [0, 0]  # missing stays missing
    assert ((shares[2:] > 0.2) & (shares[2:] < 0.4)).all()
    assert set(varied[5]) == {1, 5}


def test_the_embedding_grows_with_the_number_of_categories() -> None:
    target = mg.ClassLabel("label", ["x", "y"])
    sizes = []
    for count in (4, 123, 50_000):
        spec = mg.ArraySpec((1,), "int32", "category", count)
        model = mg.build_fusion_classifier({"brand": spec}, target)
        sizes.append(model.get_layer("brand_embedding").table.shape[1])
    assert sizes == [3, 24, 600]
    with pytest.raises(ValueError, match="needs an input of kind 'category'"):
        mg.build_fusion_classifier(
            {"x": mg.ArraySpec((1,), "float32")}, target, branches={"x": CategoryBranch()}
        )
    with pytest.raises(ValueError, match="one id per row"):
        mg.build_fusion_classifier({"x": mg.ArraySpec((2,), "int32", "category", 9)}, target)


def test_a_model_learns_from_categories_and_reads_new_ones_from_its_bundle(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    brands = rng.integers(0, 12, 400)
    table = pd.DataFrame({"brand": brands, "kind": np.where(brands % 3 == 0, "shoe", "bag")})
    inputs = {"brand": mg.CategoryLoader.from_values("brand", table)}
    target = mg.ClassLabel.from_values("kind", table)
    data = mg.MultimodalSequence(table, inputs, target, batch_size=32, shuffle=True, seed=0)
    keras.utils.set_random_seed(0)
    model = mg.build_fusion_classifier(inputs, target)
    mg.fit_with_recipe(model, target, data, epochs=8, verbose=0)
    bundle = mg.Bundle(model, inputs, target)
    assert bundle.evaluate(table)["accuracy"] == 1
    bundle.save(tmp_path)
    asked = pd.DataFrame({"brand": ["0", 4, "4.0", 99, None, "new"]})
    again = mg.load_bundle(tmp_path).predict(asked)
    pd.testing.assert_frame_equal(again, bundle.predict(asked))
    assert again["label"].tolist()[:3] == ["shoe", "bag", "bag"]
    # Of new and missing brands the model knows no more than how frequent the kinds are.
    assert again["bag"].iloc[3] == again["bag"].iloc[5]
    assert 0.4 < again["bag"].iloc[3] < 0.9
