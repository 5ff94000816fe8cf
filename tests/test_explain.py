"""Explanations: of models whose answers are known, and against predictions of changed rows."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import make_picture_table, run_on
from keras import layers, ops
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.bundle.explaining.players import players_of
from multimodal_gen.bundle.explaining.shapley import coalitions, shapley
from multimodal_gen.bundle.explaining.words import word_spans
from multimodal_gen.bundle.folds.ensemble import ensemble_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A red  mug, isn't it?", ["A", "red", "mug", "isn't", "it"]),
        ("cafe\u0301 au lait, na\u00efve", ["cafe\u0301", "au", "lait", "na\u00efve"]),
        ("\u7ea2\u8272 mug\u676f", ["\u7ea2", "\u8272", "mug", "\u676f"]),
        ("\u0e19\u0e49\u0e33 \u0e0a\u0e32", ["\u0e19\u0e49", "\u0e33", "\u0e0a", "\u0e32"]),
        (
            "\u0915\u093f\u0924\u093e\u092c \u0932\u093e\u0932",
            ["\u0915\u093f\u0924\u093e\u092c", "\u0932\u093e\u0932"],
        ),
        (
            "hi \U0001f44b\U0001f3fd\U0001f468\u200d\U0001f373!\u2764\ufe0f",
            ["hi", "\U0001f44b\U0001f3fd", "\U0001f468\u200d\U0001f373", "\u2764\ufe0f"],
        ),
        (
            "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 1\ufe0f\u20e3",
            ["\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7", "1\ufe0f\u20e3"],
        ),
        ("12 \u20ac, ... --", ["12", "\u20ac"]),
        ("", []),
    ],
)
def test_words_are_spans_of_the_cell_in_every_script(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words


def test_a_long_text_has_few_spans_that_hold_all_its_words() -> None:
    text = " ".join(f"w{number}" for number in range(100))
    spans = word_spans(text, 7)
    assert len(spans) == 7
    assert " ".join(text[start:end] for start, end in spans) == text


@pytest.mark.parametrize("count", [1, 3, 4])
def test_shapley_values_are_the_mean_over_all_orders(count: int) -> None:
    rng = np.random.default_rng(count)
    values = {members: rng.normal(size=2) for members in coalitions(count)}
    expected = np.zeros((count, 2))
    orders = list(itertools.permutations(range(count)))
    for order in orders:
        members = 0
        for one in order:
            expected[one] += (values[members | 1 << one] - values[members]) / len(orders)
            members |= 1 << one
    np.testing.assert_allclose(shapley(values, count), expected)


def test_beyond_six_inputs_shares_still_add_up_and_are_exact_for_a_sum() -> None:
    weights = np.arange(9.0)
    sets = coalitions(9)
    assert len(sets) < 32 * 9
    values = {
        members: np.array([sum(one for place, one in enumerate(weights) if members >> place & 1)])
        for members in sets
    }
    np.testing.assert_allclose(shapley(values, 9)[:, 0], weights, atol=1e-9)


class Corner(layers.Layer):
    """The mean of the upper left quarter of a picture."""

    def call(self, pictures: Any) -> Any:
        height, width = pictures.shape[1] // 2, pictures.shape[2] // 2
        corner = ops.cast(pictures[:, :height, :width], "float32")
        return ops.mean(corner, axis=(1, 2, 3))[:, None] / 255.0


class Cup(mg.Loader):
    """Whether a text says "cup"."""

    reads_text = True

    def __init__(self, column: str) -> None:
        self.column, self.spec = column, mg.ArraySpec((1,), "float32")

    def read(self, cell: str) -> np.ndarray:
        return np.array(["cup" in cell.lower()], "float32")


TARGET = mg.NumericTarget("price", mean=[10.0], scale=[5.0])


@pytest.fixture
def corners(tmp_path: Path) -> pd.DataFrame:
    """Twelve pictures with a bright spot: in six of them where `Corner` looks."""
    rows = []
    for row in range(12):
        pixels = np.full((32, 32, 3), 60, "uint8")
        y, x = (4, 4) if row % 2 else (20, 22)
        pixels[y : y + 8, x : x + 8] = 250
        Image.fromarray(pixels).save(tmp_path / f"{row}.png")
        rows.append((f"{row}.png", "a cup of tea" if row % 3 else "a pot of tea", float(row)))
    index = [f"row-{row}" for row in range(12)]
    return pd.DataFrame(rows, columns=["image", "caption", "price"], index=index)


def corner_inputs(folder: Path) -> dict[str, mg.Loader]:
    return {
        "image": mg.ImageLoader("image", directory=folder, image_size=(32, 32)),
        "caption": Cup("caption"),
    }


def corner_model(product: bool = False) -> keras.Model:
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    caption = keras.Input((1,), name="caption")
    corner = Corner()(image)
    joined = layers.Multiply() if product else layers.Add()
    return keras.Model([image, caption], joined([corner, caption]))


class Whole(keras.Model):
    """The same with a `call` of its own, which nobody can cut or differentiate."""

    def __init__(self) -> None:
        super().__init__()
        self.corner = Corner()
        self.scale = layers.Dense(1, kernel_initializer="ones", use_bias=False)

    def call(self, inputs: Any) -> Any:
        return self.scale(self.corner(inputs[0]) + inputs[1])


def whole_model() -> keras.Model:
    model = Whole()
    model([np.zeros((1, 32, 32, 3), "uint8"), np.zeros((1, 1), "float32")])
    return model


@pytest.mark.parametrize("make", [corner_model, whole_model])
def test_heat_is_where_the_model_looks_and_words_are_those_it_knows(
    make: Any, corners: pd.DataFrame, tmp_path: Path
) -> None:
    bundle = mg.Bundle(make(), corner_inputs(tmp_path), TARGET)
    found = bundle.explain(corners)
    assert len(found) == 12
    for place, one in enumerate(found):
        (heat,), (picture,) = one.heat["image"], one.pictures["image"]
        assert (heat.shape, heat.dtype, picture.shape) == ((32, 32), np.float32, (32, 32, 3))
        assert np.abs(heat).max() == pytest.approx(1, abs=1e-6)
        # What lies beyond the corner counts for nothing, up to smoothing and the size of windows.
        assert np.abs(heat[22:, 22:]).max() < 0.05
        if place % 2:
            y, x = np.unravel_index(heat.argmax(), heat.shape)
            assert 3 <= y <= 12 and 3 <= x <= 12
        words = {word.text: word.weight for word in one.words["caption"]}
        cup = 5.0 if place % 3 else 0.0
        assert words.pop("cup" if cup else "pot") == pytest.approx(cup, abs=1e-4)
        assert max(map(abs, words.values())) < 1e-4


def test_shares_of_a_sum_are_its_terms_and_add_up(corners: pd.DataFrame, tmp_path: Path) -> None:
    bundle = mg.Bundle(corner_model(), corner_inputs(tmp_path), TARGET)
    found = bundle.explain(corners.iloc[:3], background=corners)
    says = corners["caption"].str.contains("cup").astype(float)
    for one in found:
        shares = one.inputs
        assert shares["share"].sum() == pytest.approx(one.value - one.baseline, abs=1e-4)
        expected = 5 * (says[one.row] - says.mean())
        assert shares.loc["caption"].tolist() == pytest.approx([expected] * 3, abs=1e-4)


def test_where_only_both_together_tell_neither_does_alone(
    corners: pd.DataFrame, tmp_path: Path
) -> None:
    bundle = mg.Bundle(corner_model(product=True), corner_inputs(tmp_path), TARGET)
    blank = corners.assign(caption="a pot")
    one = bundle.explain(corners.iloc[[1]], background=blank)[0]
    assert one.inputs.loc["image", "alone"] == pytest.approx(0, abs=1e-5)
    assert one.inputs.loc["caption", "needed"] == pytest.approx(one.value - 10, abs=1e-4)


def test_a_left_out_input_is_the_mean_of_the_predictions_with_those_of_other_rows(
    corners: pd.DataFrame, tmp_path: Path
) -> None:
    bundle = mg.Bundle(corner_model(product=True), corner_inputs(tmp_path), TARGET)
    for row, one in zip(corners.index, bundle.explain(corners), strict=True):
        others = corners.drop(index=row)
        mixed = others.assign(image=corners.loc[row, "image"])
        expected = one.value - bundle.predict(mixed)["price"].mean()
        assert one.inputs.loc["caption", "needed"] == pytest.approx(expected, abs=1e-4)
        assert one.baseline == pytest.approx(bundle.predict(others)["price"].mean(), abs=1e-4)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[mg.Bundle, pd.DataFrame]:
    """A model with random weights of four inputs, one of which may be missing."""
    folder = tmp_path_factory.mktemp("pictures")
    table = make_picture_table(folder).assign(size=[1.0, 4.0, 2.0, 8.0, 5.0] * 2)
    table["note"] = table["caption"]
    inputs = {
        "image": mg.ImageLoader("image", directory=folder, image_size=(16, 16)),
        "caption": mg.TextLoader.from_texts("caption", table["caption"], sequence_length=6),
        "words": mg.TextLoader.from_texts(
            "note", table["note"], output_mode="ngrams", missing="blank"
        ),
        "numbers": mg.NumericLoader.from_values(["price", "size"], table),
    }
    target = mg.ClassLabel.from_values("label", table["label"])
    keras.utils.set_random_seed(1)
    model = mg.build_fusion_classifier(inputs, target, fusion="concat")
    rng = np.random.default_rng(0)
    # The last layers of a new model are zeros, which would make every row the same.
    model.set_weights(
        [one if one.any() else rng.normal(0, 0.5, one.shape) for one in model.get_weights()]
    )
    return mg.Bundle(model, inputs, target), table


def test_shares_add_up_to_the_prediction_less_the_baseline(
    shop: tuple[mg.Bundle, pd.DataFrame],
) -> None:
    bundle, table = shop
    predictions = bundle.predict(table)
    found = bundle.explain(table)
    for one, (_, predicted) in zip(found, predictions.iterrows(), strict=True):
        assert one.of == one.predicted == predicted["label"]
        assert one.value == pytest.approx(predicted[one.of], abs=1e-5)
        assert one.inputs["share"].sum() == pytest.approx(one.value - one.baseline, abs=1e-6)
        assert list(one.inputs.index) == list(bundle.inputs)
        assert set(one.columns) == {"price", "size"}
        assert set(one.words) == {"caption", "words"}
    assert np.ptp([one.baseline for one in found]) < 0.9
    assert max(abs(one.inputs["share"]).max() for one in found) > 1e-3


def test_an_input_that_may_be_missing_is_left_out_as_the_model_knows_it(
    shop: tuple[mg.Bundle, pd.DataFrame],
) -> None:
    bundle, table = shop
    only = mg.Bundle(bundle.model, bundle.inputs, bundle.target)
    one = only.explain(table.iloc[[2]], of="y")[0]
    arrays = only._sequence(table.iloc[[2]], 1)[0][0]
    # The last array is the mask of the n-grams.
    gone = [*arrays[:2], np.zeros_like(arrays[2]), arrays[3], np.zeros_like(arrays[4])]
    without = float(only.model.predict_on_batch(gone)[0, 1])
    assert one.inputs.loc["words", "needed"] == pytest.approx(one.value - without, abs=1e-5)


def test_a_word_is_what_its_row_loses_without_it_and_gains_by_it_alone(
    shop: tuple[mg.Bundle, pd.DataFrame],
) -> None:
    bundle, table = shop
    one = bundle.explain(table.iloc[[0]])[0]
    rows = table.iloc[[0] * 3]
    texts = ["a  mug number 0", "blue", ""]
    changed = bundle.predict(rows.assign(caption=texts))[one.of].to_numpy()
    word = one.words["caption"][1]
    assert (word.text, word.start, word.end) == ("blue", 2, 6)
    expected = (one.value - changed[0] + changed[1] - changed[2]) / 2
    assert word.weight == pytest.approx(expected, abs=1e-5)

    # With other rows, what it adds to their texts counts instead.
    others = table.iloc[1:4].assign(caption="a big cup")
    word = bundle.explain(table.iloc[[0]], background=others)[0].words["caption"][1]
    texts = ["a  mug number 0", "a big cup blue", "a big cup"]
    changed = bundle.predict(rows.assign(caption=texts))[one.of].to_numpy()
    expected = (one.value - changed[0] + changed[1] - changed[2]) / 2
    assert word.weight == pytest.approx(expected, abs=1e-5)


def test_inputs_that_read_one_column_are_left_out_and_changed_together(
    shop: tuple[mg.Bundle, pd.DataFrame],
) -> None:
    bundle, table = shop
    # The n-grams read what the tokens read.
    inputs = {**bundle.inputs, "words": bundle.inputs["words"].replace(column="caption")}
    both = mg.Bundle(bundle.model, inputs, bundle.target)
    row, others = table.iloc[[0]], table.iloc[1:4].assign(caption="a big cup")
    one = both.explain(row, background=others)[0]
    assert list(one.inputs.index) == ["image", "caption", "numbers"]
    assert one.inputs["share"].sum() == pytest.approx(one.value - one.baseline, abs=1e-6)
    lost = one.value - both.predict(row.assign(caption="a big cup"))[one.of].iloc[0]
    assert one.inputs.loc["caption", "needed"] == pytest.approx(lost, abs=1e-5)
    assert list(one.words) == ["caption"]
    texts = ["a  mug number 0", "a big cup blue", "a big cup"]
    changed = both.predict(table.iloc[[0] * 3].assign(caption=texts))[one.of].to_numpy()
    expected = (one.value - changed[0] + changed[1] - changed[2]) / 2
    assert one.words["caption"][1].weight == pytest.approx(expected, abs=1e-5)


def test_a_player_has_the_name_of_its_input_column_or_copies() -> None:
    def number(*columns: str) -> mg.Loader:
        width = len(columns)
        return mg.NumericLoader(list(columns), mean=[0.0] * width, scale=[1.0] * width)

    alone = {"size": number("height"), "text": Cup("title")}
    assert list(players_of(alone)) == ["size", "text"]
    folds = {"title_1": Cup("title"), "n_1": number("a", "b"), "title_2": Cup("title")}
    found = players_of({**folds, "n_2": number("a", "b")})
    assert {name: list(one.inputs) for name, one in found.items()} == {
        "title": ["title_1", "title_2"],
        "n": ["n_1", "n_2"],
    }
    # By way of a third one.
    chain = players_of({"x": number("a", "b"), "y": number("c", "d"), "z": number("b", "c")})
    assert {name: one.columns for name, one in chain.items()} == {
        "a, b, c and 1 more": ("a", "b", "c", "d")
    }
    taken = players_of({"title": number("n"), "one": Cup("title"), "two": Cup("title")})
    assert list(taken) == ["title", "one and two"]


def test_a_column_of_several_is_replaced_by_that_of_other_rows(
    shop: tuple[mg.Bundle, pd.DataFrame],
) -> None:
    bundle, table = shop
    others = pd.concat([table.assign(price=3.0)] * 2)
    one = bundle.explain(table.iloc[[4]], background=others)[0]
    changed = bundle.predict(table.iloc[[4]].assign(price=3.0))[one.of].iloc[0]
    assert one.columns["price"] == pytest.approx(one.value - changed, abs=1e-5)
    # Without other rows, and as this loader takes no missing numbers, nobody knows.
    assert np.isnan(bundle.explain(table.iloc[[4]])[0].columns["size"])


def test_the_class_explained_may_be_chosen_and_must_be_one(
    shop: tuple[mg.Bundle, pd.DataFrame],
) -> None:
    bundle, table = shop
    found = bundle.explain(table, of="z")
    assert [one.value for one in found] == pytest.approx(bundle.predict(table)["z"], abs=1e-5)
    with pytest.raises(ValueError, match=r"one of \['x', 'y', 'z'\]. Received: of='w'"):
        bundle.explain(table, of="w")
    with pytest.raises(ValueError, match="several targets by name. Received: target='label'"):
        bundle.explain(table, target="label")
    with pytest.raises(ValueError, match="no rows to explain"):
        bundle.explain(table.iloc[:0])


def test_rows_that_cannot_be_loaded_have_their_error_and_the_others_go_on(
    shop: tuple[mg.Bundle, pd.DataFrame],
) -> None:
    bundle, table = shop
    broken = table.copy()
    broken.loc["row-3", "image"] = "gone.png"
    found = bundle.explain(broken, batch_size=4)
    alone = bundle.explain(table.drop(index="row-3"), batch_size=4)
    assert "index 'row-3', column 'image'" in str(found[3].error)
    assert [one.error for one in found].count(None) == 9
    # It stands for no other row either.
    assert found[5].baseline == pytest.approx(alone[4].baseline, abs=1e-6)
    frame = found.to_frame()
    assert frame.loc[frame["row"] == "row-3", "part"].tolist() == ["error"]
    assert "gone.png" in repr(found[3])


def test_the_table_of_explanations_has_a_line_for_each_input_word_and_column(
    shop: tuple[mg.Bundle, pd.DataFrame],
) -> None:
    bundle, table = shop
    found = bundle.explain(table.iloc[:2])
    frame = found.to_frame()
    own = frame[frame["row"] == "row-1"]
    assert own["part"].value_counts().to_dict() == {"input": 4, "word": 10, "column": 2}
    for line in own[own["part"] == "word"].itertuples():
        assert table.loc["row-1", "caption"][line.start : line.end] == line.name
    assert found[1:].to_frame()["row"].unique().tolist() == ["row-1"]
    assert "blank" in found.background and "words" in found.background


@pytest.mark.parametrize("form", ["list", "tuple", "dict", "array"])
def test_models_get_their_inputs_in_every_form(
    form: str, corners: pd.DataFrame, tmp_path: Path
) -> None:
    inputs = corner_inputs(tmp_path)
    if form == "array":
        image = keras.Input((32, 32, 3), dtype="uint8", name="other")
        model = keras.Model(image, Corner()(image))
        inputs = {"image": inputs["image"]}
    else:
        built = corner_model()
        by_name = {one.name: one for one in built.inputs}
        form_of = {"list": list(by_name.values()), "tuple": tuple(by_name.values())}
        model = keras.Model(form_of.get(form, by_name), built.output)
    bundle = mg.Bundle(model, inputs, TARGET, inputs_as=form)
    found = bundle.explain(corners)
    assert [one.value for one in found] == pytest.approx(bundle.predict(corners)["price"], abs=1e-4)
    assert np.abs(found[1].heat["image"][0][:16, :16]).max() == pytest.approx(1, abs=1e-6)


def corner_mean(pictures: list[np.ndarray]) -> np.ndarray:
    return np.array([[one[:16, :16].mean() / 255] for one in pictures], "float32")


def says_cup(texts: list[str]) -> np.ndarray:
    return np.array([["cup" in text] for text in texts], "float32")


def encoded(function: Any, loader: Any) -> mg.EncodedLoader:
    return mg.EncodedLoader(loader, mg.FunctionEncoder(function, 1, name=function.__name__))


def test_pictures_and_texts_behind_functions_are_explained_too(
    corners: pd.DataFrame, tmp_path: Path
) -> None:
    inputs: dict[str, mg.Loader] = {
        "image": encoded(corner_mean, corner_inputs(tmp_path)["image"]),
        "caption": encoded(says_cup, "caption"),
    }
    tensors = [keras.Input((1,), name=name) for name in inputs]
    bundle = mg.Bundle(keras.Model(tensors, layers.Add()(tensors)), inputs, TARGET)
    found = bundle.explain(corners)
    for one in found[1::2]:
        y, x = np.unravel_index(one.heat["image"][0].argmax(), (32, 32))
        assert 3 <= y <= 12 and 3 <= x <= 12
        assert np.abs(one.heat["image"][0][24:, 24:]).max() < 0.05
    assert max(found[1].words["caption"], key=lambda word: word.weight).text == "cup"
    assert found[1].columns == {}


class Items(layers.Layer):
    """The sum over a row's pictures of what `Corner` sees."""

    def call(self, inputs: Any) -> Any:
        pictures, there = inputs
        corner = ops.cast(pictures[:, :, :16, :16], "float32")
        return ops.sum(ops.mean(corner, axis=(2, 3, 4)) / 255.0 * there, axis=1, keepdims=True)


@pytest.mark.parametrize("behind", [False, True])
def test_each_of_several_pictures_and_texts_in_a_cell_has_its_own(
    behind: bool, corners: pd.DataFrame, tmp_path: Path
) -> None:
    table = pd.DataFrame(
        {
            "photos": [["0.png", "1.png"], ["3.png"], ["2.png", "4.png", "5.png"]],
            "texts": ["a pot; my cup", "a cup", "a pot; a pot"],
        }
    )
    item = mg.ImageLoader("photos", directory=tmp_path, image_size=(32, 32))
    one: mg.Loader = encoded(corner_mean, item) if behind else item
    inputs = {
        "photos": mg.ManyLoader(one, at_most=3),
        "texts": mg.ManyLoader(Cup("texts"), at_most=2, separator=";"),
    }
    shape, dtype = ((3, 1), "float32") if behind else ((3, 32, 32, 3), "uint8")
    photos = keras.Input(shape, dtype=dtype, name="photos")
    texts = keras.Input((2, 1), name="texts")
    masks = [
        keras.Input((count,), name=f"{name}_present")
        for name, count in {"photos": 3, "texts": 2}.items()
    ]
    seen = layers.Dot(1)([layers.Reshape((3,))(photos), masks[0]]) if behind else None
    seen = Items()([photos, masks[0]]) if seen is None else seen
    read = layers.Dot(1)([layers.Reshape((2,))(texts), masks[1]])
    model = keras.Model([photos, texts, *masks], layers.Add()([seen, read]))
    bundle = mg.Bundle(model, inputs, TARGET)
    found = bundle.explain(table)
    assert [len(own.heat["photos"]) for own in found] == [2, 1, 3]
    assert [len(own.pictures["photos"]) for own in found] == [2, 1, 3]
    # The bright spot is in the corner of 1.png, 3.png and 5.png.
    for own, place in zip(found, (1, 0, 2), strict=True):
        heat = np.stack(own.heat["photos"])
        assert np.unravel_index(heat.argmax(), heat.shape)[0] == place
        assert heat.max() == pytest.approx(1, abs=1e-6)
    word = max(found[0].words["texts"], key=lambda word: word.weight)
    assert (word.text, word.item, word.start, word.end) == ("cup", 1, 3, 6)
    assert found[0].texts["texts"] == ["a pot", "my cup"]
    assert word.weight == pytest.approx(5, abs=1e-4)


def test_every_target_of_a_class_or_a_number_is_explained_in_its_units(
    corners: pd.DataFrame, tmp_path: Path
) -> None:
    built = corner_model()
    sums = built.output
    targets = {
        "sure": mg.ClassLabel("label", ["no", "yes"], label_mode="binary"),
        "tags": mg.MultiLabel("tags", ["warm", "cold"]),
        "price": TARGET,
    }
    # A probability of both would be .5 if the sum were .8.
    steep = layers.Rescaling(4.0, offset=-3.2)
    outputs = {
        "sure": layers.Activation("sigmoid", name="sure")(steep(sums)),
        "tags": layers.Activation("sigmoid", name="tags")(
            layers.Concatenate()([steep(sums), layers.Rescaling(-1.0)(steep(sums))])
        ),
        "price": layers.Rescaling(1.0, name="price")(sums),
    }
    bundle = mg.Bundle(keras.Model(built.inputs, outputs), corner_inputs(tmp_path), targets)
    predicted = bundle.predict(corners)
    for target, of, column in [
        ("sure", None, None),
        ("sure", "no", "sure.no"),
        ("tags", "cold", "tags.cold"),
        ("price", None, "price.price"),
    ]:
        found = bundle.explain(corners, target=target, of=of)
        column = column or f"sure.{found[1].of}"
        assert found[1].value == pytest.approx(predicted[column].iloc[1], abs=1e-4)
        for one in found:
            total = one.inputs["share"].sum()
            assert total == pytest.approx(one.value - one.baseline, abs=1e-4)
        # Light in the corner speaks for "yes", "warm" and a price, and against the others.
        heat = found[1].heat["image"][0]
        against = of in ("no", "cold") or found[1].of == "no"
        assert heat.flat[np.abs(heat).argmax()] == (-1 if against else 1)
    assert bundle.explain(corners, target="tags")[1].of in ("warm", "cold")
    with pytest.raises(ValueError, match=r"one of \['sure', 'tags', 'price'\]"):
        bundle.explain(corners, target="colour")
    with pytest.raises(ValueError, match="without a target"):
        mg.Bundle(corner_model(), corner_inputs(tmp_path)).explain(corners)
    pictures = mg.InputTarget(corner_inputs(tmp_path)["image"])
    drawing = layers.Reshape((32, 32, 3))(layers.Dense(32 * 32 * 3)(sums))
    with pytest.raises(ValueError, match="a class or a number. Received: target=InputTarget"):
        mg.Bundle(keras.Model(built.inputs, drawing), corner_inputs(tmp_path), pictures).explain(
            corners
        )


class Mug(Cup):
    """Not the same loader, as that of another fold."""


@pytest.mark.parametrize("form", ["list", "dict"])
@pytest.mark.parametrize("copies", [False, True])
def test_a_bundle_of_several_models_is_cut_into_the_parts_of_all(
    copies: bool, form: str, corners: pd.DataFrame, tmp_path: Path
) -> None:
    models = [corner_model(), corner_model(product=True)]
    if form == "dict":
        models = [keras.Model({x.name: x for x in one.inputs}, one.output) for one in models]
    inputs = corner_inputs(tmp_path)
    others = {**inputs, "caption": Mug("caption")} if copies else inputs
    bundle = ensemble_of(
        [mg.Bundle(models[0], inputs, TARGET), mg.Bundle(models[1], others, TARGET)]
    )
    assert len(bundle.inputs) == 2 + copies
    found = bundle.explain(corners)
    # Of a model that is run as a whole, there would be 8.
    assert "those of 11 others of the rows explained" in found.background
    assert list(found[0].inputs.index) == ["image", "caption"]
    assert list(found[0].words) == ["caption"]
    # In one model the caption is added to what the corner has, in the other one it multiplies it.
    corner = (192 * 60 + 64 * 250) / 256 / 255
    cup = found[1].words["caption"][1]
    assert (cup.text, cup.weight) == ("cup", pytest.approx(2.5 * (1 + corner), abs=1e-3))
    predicted = bundle.predict(corners)["price"]
    for own, price in zip(found, predicted, strict=True):
        assert own.value == pytest.approx(price, abs=1e-4)
        assert own.inputs["share"].sum() == pytest.approx(own.value - own.baseline, abs=1e-4)
    y, x = np.unravel_index(found[1].heat["image"][0].argmax(), (32, 32))
    assert y <= 13 and x <= 13


class Ids(mg.Loader):
    """Cells that are arrays of ids."""

    def __init__(self, column: str) -> None:
        self.column, self.spec = column, mg.ArraySpec((4,), "int32", "ids")

    def read(self, cell: Any) -> np.ndarray:
        return np.asarray(cell, "int32")


def test_a_model_whose_keras_mask_crosses_the_cut_is_run_whole() -> None:
    ids = [keras.Input((4,), dtype="int32", name=name) for name in "ab"]
    embedding = layers.Embedding(10, 3, mask_zero=True)
    vectors = layers.Add()([embedding(one) for one in ids])
    model = keras.Model(ids, layers.Dense(1)(layers.GlobalAveragePooling1D()(vectors)))
    bundle = mg.Bundle(model, {"a": Ids("a"), "b": Ids("b")}, TARGET)
    table = pd.DataFrame({"a": [[1, 2, 0, 0], [3, 0, 0, 0]], "b": [[4, 5, 0, 0], [6, 0, 0, 0]]})
    found = bundle.explain(table, background=table)
    assert [one.value for one in found] == pytest.approx(bundle.predict(table)["price"], abs=1e-4)
    mixed = bundle.predict(table.assign(b=[table["b"][1]] * 2))["price"]
    needed = (found[0].value - mixed[0]) / 2
    assert found[0].inputs.loc["b", "needed"] == pytest.approx(needed, abs=1e-4)


def test_a_bundle_that_was_explained_is_saved_and_trained_as_before(
    shop: tuple[mg.Bundle, pd.DataFrame], tmp_path: Path
) -> None:
    bundle, table = shop
    bundle.explain(table)
    bundle.save(tmp_path)
    loaded = mg.load_bundle(tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(table), bundle.predict(table), rtol=1e-5)
    before = bundle.explain(table)[0].value
    weights = bundle.model.get_weights()
    bundle.model.set_weights([one * 0.5 for one in weights])
    # The parts share the weights with the model.
    assert bundle.explain(table, of=bundle.explain(table)[0].of)[0].value == pytest.approx(
        bundle.predict(table)[bundle.explain(table)[0].of].iloc[0], abs=1e-5
    )
    bundle.model.set_weights(weights)
    assert bundle.explain(table)[0].value == pytest.approx(before, abs=1e-6)


def test_categories_dates_and_arrays_have_a_value_each_for_one_of_several_numbers() -> None:
    days = [f"2024-0{1 + row % 9}-11" for row in range(10)]
    table = pd.DataFrame(
        {
            "colour": ["red", "blue"] * 5,
            "day": days,
            "size": [[1.0, row] for row in range(10)],
        }
    )
    inputs: dict[str, mg.Loader] = {
        "colour": mg.CategoryLoader.from_values("colour", table["colour"]),
        "day": mg.DateLoader.from_values("day", table["day"]),
        "size": mg.ArrayLoader.from_values("size", table["size"]),
    }
    target = mg.NumericTarget(["low", "high"], mean=[0.0, 100.0], scale=[1.0, 50.0])
    keras.utils.set_random_seed(0)
    tensors = [
        keras.Input(one.spec.shape, dtype=one.spec.dtype, name=name) for name, one in inputs.items()
    ]
    floats = [layers.Rescaling(0.1)(one) for one in tensors]
    hidden = layers.Dense(8, activation="tanh")(layers.Concatenate()(floats))
    bundle = mg.Bundle(keras.Model(tensors, layers.Dense(2)(hidden)), inputs, target)
    found = bundle.explain(table, of="high")
    one = found[4]
    assert one.of == "high" and one.value == pytest.approx(
        bundle.predict(table)["high"].iloc[4], abs=1e-3
    )
    others = table.drop(index=4)
    for column in ("colour", "day", "size"):
        mixed = table.loc[[4] * 9].reset_index(drop=True)
        mixed[column] = others[column].to_numpy()
        expected = one.value - bundle.predict(mixed)["high"].mean()
        assert one.columns[column] == pytest.approx(expected, abs=1e-2)
    assert (one.words, one.heat) == ({}, {})


@pytest.mark.slow
def test_all_backends_give_the_same_heat_shares_and_words(
    shop: tuple[mg.Bundle, pd.DataFrame], other_backends: list[str], tmp_path: Path
) -> None:
    bundle, table = shop
    bundle.save(tmp_path / "run")
    table.to_pickle(tmp_path / "table.pkl")
    here = bundle.explain(table)
    code = (
        "import sys; import numpy as np; import pandas as pd; import multimodal_gen as mg; "
        "found = mg.load_bundle(sys.argv[1] + '/run').explain(pd.read_pickle(sys.argv[1] + "
        "'/table.pkl')); np.save(sys.argv[1] + '/heat.npy', [one.heat['image'][0] for one in "
        "found]); found.to_frame().to_pickle(sys.argv[1] + '/frame.pkl')"
    )
    for backend in other_backends:
        run_on(backend, code, str(tmp_path))
        heat = np.load(tmp_path / "heat.npy")
        np.testing.assert_allclose(heat, [one.heat["image"][0] for one in here], atol=2e-3)
        frame, own = pd.read_pickle(tmp_path / "frame.pkl"), here.to_frame()
        np.testing.assert_allclose(frame["weight"], own["weight"], atol=1e-5)
        assert frame["name"].tolist() == own["name"].tolist()
