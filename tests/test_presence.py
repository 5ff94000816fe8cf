"""Missing cells: a table with gaps is trained on, saved, predicted, drawn, and varied."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import multimodal_gen as mg
from multimodal_gen.batch.cache import ArrayCache
from multimodal_gen.batch.cache.filling import fill_cache
from multimodal_gen.models import ImageBranch, fit_with_recipe
from multimodal_gen.spec import MASK, mask_name, mask_names, with_masks


@pytest.fixture
def gaps(picture_table: pd.DataFrame) -> pd.DataFrame:
    """The table of ten rows; three lack the picture, three the caption, one of them both."""
    table = picture_table.copy()
    table.loc[["row-1", "row-4", "row-7"], "image"] = None
    table.loc[["row-2", "row-4", "row-8"], "caption"] = None
    return table


def loaders(table: pd.DataFrame, folder: Path, **options: object) -> dict[str, mg.Loader]:
    return {
        "image": mg.ImageLoader(
            "image", directory=folder, image_size=(8, 8), missing="blank", **options
        ),
        "caption": mg.TextLoader.from_texts(
            "caption", table, output_mode="ngrams", missing="blank"
        ),
    }


def make_model(inputs: dict[str, mg.Loader], target: mg.Target, **arguments: object) -> keras.Model:
    tiny = {
        name: ImageBranch(widths=(4, 8), embedding_size=8) for name in inputs if name == "image"
    }
    return mg.build_fusion_classifier(inputs, target, branches=tiny, **arguments)


def test_masks_follow_the_inputs_and_have_a_spec() -> None:
    inputs = {
        "b": mg.ImageLoader("b", missing="blank"),
        "a": mg.NumericLoader("a", mean=[0.0], scale=[1.0], missing="mean"),
        "c": mg.ArraySpec((2,), "float32", "vector"),
    }
    assert mask_names(inputs) == {"b": "b_present"} == {"b": mask_name("b")}
    assert list(with_masks(inputs)) == ["b", "a", "c", "b_present"]
    assert with_masks(inputs)["b_present"] == MASK


@pytest.mark.slow
@pytest.mark.parametrize("inputs_as", ["list", "dict"])
def test_a_table_with_gaps_is_trained_on_saved_and_predicted(gaps, tmp_path, inputs_as) -> None:
    inputs, target = loaders(gaps, tmp_path), mg.ClassLabel.from_values("label", gaps["label"])
    data = mg.MultimodalSequence(
        gaps, inputs, target, batch_size=4, shuffle=True, inputs_as=inputs_as
    )
    model = make_model(inputs, target)
    fit_with_recipe(model, target, data, data.for_evaluation(), epochs=2, verbose=0)
    bundle = mg.Bundle(model, inputs, target, inputs_as=inputs_as)
    expected = bundle.predict(gaps)
    assert expected.notna().all(axis=None)
    assert "error" not in expected
    bundle.save(tmp_path / "bundle")
    loaded = mg.load_bundle(tmp_path / "bundle")
    assert loaded.inputs_as == inputs_as
    assert [one.missing for one in loaded.inputs.values()] == ["blank", "blank"]
    pd.testing.assert_frame_equal(loaded.predict(gaps), expected, atol=1e-6)
    assert loaded.evaluate(gaps) == pytest.approx(bundle.evaluate(gaps))
    # What a row without a picture is predicted depends on its caption alone.
    alone = loaded.predict(gaps.loc[["row-1"]])
    pd.testing.assert_frame_equal(alone, expected.loc[["row-1"]], atol=1e-5)


def test_a_broken_picture_is_not_a_missing_one(gaps, tmp_path) -> None:
    inputs = loaders(gaps, tmp_path)
    gaps.loc["row-3", "image"] = "gone.png"
    with pytest.raises(mg.LoadError, match="'row-3'"):
        list(mg.MultimodalSequence(gaps, inputs, batch_size=4))


def test_a_model_without_masks_is_refused_for_inputs_that_have_them(gaps, tmp_path) -> None:
    inputs, target = loaders(gaps, tmp_path), mg.ClassLabel.from_values("label", gaps["label"])
    plain = {name: loader.spec for name, loader in inputs.items()}
    with pytest.raises(ValueError, match=r"takes inputs of shapes.*\(1,\)"):
        mg.Bundle(make_model(plain, target), inputs, target)
    named = {
        name: keras.Input(spec.shape, dtype=spec.dtype, name=name) for name, spec in plain.items()
    }
    flat = [keras.layers.Flatten()(keras.ops.cast(tensor, "float32")) for tensor in named.values()]
    by_name = keras.Model(
        named, keras.layers.Dense(3, activation="softmax")(keras.layers.Concatenate()(flat))
    )
    with pytest.raises(
        ValueError,
        match=r"loaders named \['caption', 'caption_present', 'image', 'image_present'\]",
    ):
        mg.Bundle(by_name, inputs, target)


def test_a_single_input_with_a_mask_is_no_single_array(gaps, tmp_path) -> None:
    inputs = {"caption": loaders(gaps, tmp_path)["caption"]}
    target = mg.ClassLabel.from_values("label", gaps["label"])
    with pytest.raises(ValueError, match="without a mask.*caption_present"):
        mg.MultimodalSequence(gaps, inputs, target, inputs_as="array")
    bundle = mg.Bundle(make_model(inputs, target), inputs, target)
    assert bundle.inputs_as == "list"
    assert len(bundle.predict(gaps)) == len(gaps)


def test_a_target_is_never_blank(gaps, tmp_path) -> None:
    image = loaders(gaps, tmp_path)["image"]
    with pytest.raises(mg.LoadError, match=r"'row-1'.*missing"):
        list(mg.MultimodalSequence(gaps, {"image": image}, mg.InputTarget(image), batch_size=4))
    tokens = mg.TextLoader.from_texts("caption", gaps, vocabulary_size=50, missing="blank")
    masked = mg.MaskedTextLoader(tokens)
    with pytest.raises(mg.LoadError, match=r"'row-2'.*missing"):
        list(
            mg.MultimodalSequence(gaps, {"caption": masked}, mg.MaskedTokens(masked), batch_size=4)
        )


def test_a_missing_input_is_drawn_as_missing_and_not_as_a_black_picture(gaps, tmp_path) -> None:
    inputs, target = loaders(gaps, tmp_path), mg.ClassLabel.from_values("label", gaps["label"])
    data = mg.MultimodalSequence(gaps, inputs, target, batch_size=10)
    figure = mg.show_batch(data, rows=5, columns=2)
    texts = [one.get_text() for one in figure.findobj(Text)]
    assert texts.count("image: (missing)") == texts.count("caption: (missing)") == 3
    assert sum(bool(axes.images) for axes in figure.axes) == 7
    predictions = pd.DataFrame({"label": gaps["label"]})
    drawn = [
        one.get_text()
        for one in mg.plot_predictions(data, predictions, rows=5, columns=2).findobj(Text)
    ]
    assert drawn.count("image: (missing)") == 3


@pytest.mark.parametrize("threads", [1, 3])
def test_random_operations_leave_gaps_as_they_are_and_mark_those_they_make(
    gaps, tmp_path, threads
) -> None:
    inputs = loaders(gaps, tmp_path, augment=[mg.augment.RandomBrightness(0.3)])
    target = mg.ClassLabel.from_values("label", gaps["label"], label_mode="categorical")
    dropped = set()
    for epoch in range(8):
        data = mg.MultimodalSequence(
            gaps,
            inputs,
            target,
            batch_size=10,
            inputs_as="dict",
            threads=threads,
            sample_augment=[mg.augment.ModalityDropout(0.4)],
        )
        data.epoch = epoch
        arrays, _ = data[0]
        for name in inputs:
            there = arrays[f"{name}_present"][:, 0] == 1
            missing = gaps[name].isna().to_numpy()
            assert not there[missing].any()
            assert np.array_equal(arrays[name].reshape(10, -1).any(axis=1), there)
            dropped.update((name, row) for row in np.flatnonzero(~there & ~missing))
    assert {name for name, _ in dropped} == {"image", "caption"}
    # Row 1 has nothing but its caption, row 2 nothing but its picture.
    assert not {("caption", 1), ("image", 2)} & dropped


def test_mixed_rows_of_a_table_with_gaps_train(gaps, tmp_path) -> None:
    inputs = loaders(gaps, tmp_path)
    target = mg.ClassLabel.from_values("label", gaps["label"], label_mode="categorical")
    data = mg.MultimodalSequence(
        gaps,
        inputs,
        target,
        batch_size=10,
        shuffle=True,
        inputs_as="dict",
        batch_augment=[mg.augment.MixUp(1.0)],
    )
    arrays, _ = data[0]
    assert arrays["image_present"].sum() > 7
    model = make_model(inputs, target)
    model.compile("adam", loss=target.loss)
    model.fit(data, epochs=1, shuffle=False, verbose=0)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_gaps_are_left_out_of_what_is_learned_and_of_what_is_kept(gaps, tmp_path) -> None:
    images = loaders(gaps, tmp_path)["image"].replace(dtype="float32")
    learned = mg.FeaturewiseNormalization.from_table(images, gaps, verbose=0)
    there = gaps[gaps["image"].notna()]
    assert learned == mg.FeaturewiseNormalization.from_table(images, there, verbose=0)
    cache = ArrayCache(tmp_path / "cache")
    filled = fill_cache(gaps, loaders(gaps, tmp_path).values(), cache)
    assert (filled.bad, filled.errors) == (0, ())
