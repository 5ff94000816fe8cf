"""Fusion "attend": sequences of every branch and encoder, masks, precision, and what it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers, ops

import multimodal_gen as mg
from multimodal_gen.models import (
    Attend,
    BackboneBranch,
    Branch,
    Encoding,
    FeatureBranch,
    FusionModel,
    ImageBranch,
    TokenBranch,
    build_fusion_classifier,
    calibrate_heads,
)
from multimodal_gen.models.attention import AttendTo, Compare, PoolSequence, SequenceAndMask
from multimodal_gen.spec import ArraySpec, many_of

JIT = False if keras.backend.backend() == "tensorflow" else "auto"
SPECS = {
    "picture": ArraySpec((16, 16, 3), "uint8", "image"),
    "caption": ArraySpec((6,), "int32", "tokens", vocabulary_size=20),
    "bag": ArraySpec((5, 2), "int32", "ngrams", vocabulary_size=20),
    "words": ArraySpec((4, 3), "float32", "features"),
    "age": ArraySpec((2,), "float32", "vector"),
    "photos": many_of(ArraySpec((3,), "float32", "vector"), 3),
}
TINY = {"picture": ImageBranch((4, 8), 8), "caption": TokenBranch(8), "words": FeatureBranch(8)}
TARGET = mg.ClassLabel("label", ["no", "yes"])
ROWS = 6


def arrays(names: Any, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {}
    for name in names:
        spec = SPECS[name]
        whole = rng.integers(0, spec.vocabulary_size or 256, (ROWS, *spec.shape))
        numbers = rng.normal(size=(ROWS, *spec.shape))
        found[name] = (numbers if spec.dtype == "float32" else whole).astype(spec.dtype)
        if spec.item is not None:
            found[f"{name}_present"] = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 1]] * 2, "float32")
    return found


def build(names: Any, fusion: Any = None, **branches: Any) -> FusionModel:
    keras.utils.set_random_seed(0)
    return build_fusion_classifier(
        {name: SPECS[name] for name in names},
        TARGET,
        fusion=fusion or Attend(size=8, heads=2),
        branches={name: TINY[name] for name in names if name in TINY} | branches,
    )


def shaken(model: FusionModel) -> FusionModel:
    """The model with other weights, as heads that start at zero hide everything before them."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(scale=0.15, size=variable.shape))
    return model


def attended(model: FusionModel, name: str) -> keras.Model:
    return keras.Model(model.inputs, model.get_layer(f"{name}_found").output)


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ("float32", ("bag", "words", "age")),
        ("float32", ("picture", "caption", "photos")),
        pytest.param("mixed_float16", ("picture", "caption", "words"), marks=pytest.mark.slow),
    ],
)
def test_inputs_of_all_kinds_attend_fit_save_and_load(
    policy: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model, data = build(names), arrays(names)
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_allclose(model.predict(data, verbose=0), 0.5, atol=1e-6)
    model.compile("adam", loss=TARGET.loss, jit_compile=JIT)
    # Warnings are errors in tests, and Keras warns where a mask that it keeps is lost.
    model.fit(data, np.arange(ROWS) % 2, epochs=2, verbose=0)
    expected = model.predict(data, verbose=0)
    assert np.isfinite(expected).all() and np.ptp(expected) > 1e-4
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True, compile=False)
    np.testing.assert_allclose(loaded.predict(data, verbose=0), expected, atol=1e-6)


def test_padding_of_tokens_changes_nothing_and_tokens_do() -> None:
    model = shaken(build(["picture", "caption"]))
    data = arrays(["picture", "caption"])
    data["caption"][:] = [3, 4, 0, 0, 0, 0]
    long = model.predict(data, verbose=0)
    short = model.predict({**data, "caption": data["caption"][:, :2]}, verbose=0)
    np.testing.assert_allclose(short, long, atol=1e-6)
    other = model.predict({**data, "caption": data["caption"][:, :1]}, verbose=0)
    assert np.abs(other - long).max() > 1e-4


def test_vectors_of_zeros_are_the_padding_of_features() -> None:
    model = shaken(build(["age", "words"]))
    data = arrays(["age", "words"])
    data["words"][:, 2:] = 0
    places = model.get_layer("words_places").positions
    before = model.predict(data, verbose=0)
    # What belongs to the places of padding, and only that, has no effect.
    places.assign(np.concatenate([ops.convert_to_numpy(places)[:2], np.full((2, 8), 9.0)]))
    np.testing.assert_allclose(model.predict(data, verbose=0), before, atol=1e-6)
    data["words"][:, 2:] = 1e-3
    assert np.abs(model.predict(data, verbose=0) - before).max() > 1e-4


def test_a_missing_input_is_not_looked_at_and_leaves_the_others_finite() -> None:
    loaders = {
        "caption": mg.TextLoader.from_texts(
            "caption", ["a b c"], vocabulary_size=20, sequence_length=6, missing="blank"
        ),
        "age": mg.NumericLoader("age", mean=[0.0], scale=[1.0]),
    }
    keras.utils.set_random_seed(0)
    model = shaken(build_fusion_classifier(loaders, TARGET, fusion="attend"))
    found = attended(model, "age")
    captions = np.array([[3, 4, 5, 0, 0, 0], [4, 4, 0, 0, 0, 0]], "int32")
    ages = np.ones((2, 1), "float32")
    there, gone = (np.full((2, 1), value, "float32") for value in (1, 0))
    with_text, without = (found.predict([captions, ages, one], verbose=0) for one in (there, gone))
    assert np.abs(with_text[0] - with_text[1]).max() > 1e-4
    np.testing.assert_allclose(without[0], without[1], atol=1e-6)
    predicted = model.predict([captions, ages, gone], verbose=0)
    assert np.isfinite(predicted).all()
    np.testing.assert_allclose(predicted[0], predicted[1], atol=1e-6)


def test_items_of_a_row_attend_and_those_that_are_not_there_do_not() -> None:
    model = shaken(build(["photos", "age"]))
    data = arrays(["photos", "age"])
    before = model.predict(data, verbose=0)
    data["photos"][0, 2] += 5
    np.testing.assert_allclose(model.predict(data, verbose=0), before, atol=1e-6)
    data["photos"][0, 1] += 5
    changed = np.abs(model.predict(data, verbose=0) - before).max(axis=1)
    assert changed[0] > 1e-4 and changed[1:].max() < 1e-6


def windows(x: Any) -> Any:
    """A branch of one's own, from numbers to a sequence of four vectors."""
    return layers.Dense(8)(layers.Reshape((4, 4))(x))


def patches(x: Any) -> Any:
    """A branch of one's own, from pictures to a feature map."""
    return layers.Conv2D(8, 4, strides=4)(layers.Rescaling(1 / 255)(x))


@pytest.mark.parametrize(
    ("spec", "branch", "length"),
    [
        (ArraySpec((16,), "float32", "spectrum"), windows, 4),
        (ArraySpec((8, 12, 3), "uint8", "image"), patches, 6),
    ],
)
def test_a_branch_of_ones_own_may_give_a_sequence(spec: Any, branch: Any, length: int) -> None:
    inputs = {"own": spec, "age": SPECS["age"]}
    branches = {"own": branch}
    model = build_fusion_classifier(inputs, TARGET, fusion="attend", branches=branches)
    assert model.get_layer("own_places").positions.shape == (length, 64)
    with pytest.raises(ValueError, match=r"Fusion 'attend' takes sequences.*Received: shape="):
        build_fusion_classifier(inputs, TARGET, branches=branches)


def test_keras_own_mask_of_a_sequence_is_heeded() -> None:
    inputs = {"own": ArraySpec((5,), "int32", "codes"), "age": SPECS["age"]}
    branches = {"own": layers.Embedding(9, 8, mask_zero=True)}
    model = build_fusion_classifier(inputs, TARGET, fusion="attend", branches=branches)
    found = attended(shaken(model), "age")
    codes = np.array([[1, 2, 0, 0, 0]], "int32")
    age = np.ones((1, 2), "float32")
    before = found.predict([codes, age], verbose=0)
    table = branches["own"].embeddings
    # The vector of padding may be anything.
    table.assign(ops.convert_to_numpy(table) + np.eye(9)[:, :1] * 7)
    np.testing.assert_allclose(found.predict([codes, age], verbose=0), before, atol=1e-6)


class Rank4(Branch):
    """A branch of one's own whose tokens have a mask of their own."""

    def encode(self, inputs: Any, spec: ArraySpec, units: int, name: str) -> Encoding:
        tokens = layers.Reshape((*spec.shape, 1))(inputs)
        mask = layers.Lambda(lambda x: ops.cast(x > 0, "float32"))(inputs)
        return Encoding(layers.Dense(4)(inputs), tokens=tokens, mask=mask)


def test_the_mask_that_a_branch_gives_with_its_tokens_counts() -> None:
    inputs = {"own": ArraySpec((3,), "float32", "codes"), "age": SPECS["age"]}
    model = build_fusion_classifier(inputs, TARGET, fusion="attend", branches={"own": Rank4()})
    found = attended(shaken(model), "age")
    age = np.ones((3, 2), "float32")
    own = np.array([[-1, -2, -3], [-9, -9, -9], [1, -9, -9]], "float32")
    first, second, third = found.predict([own, age], verbose=0)
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert np.abs(third - first).max() > 1e-4


def test_a_backbone_gives_its_feature_map_and_one_that_pools_a_sequence_of_one() -> None:
    pixels = keras.Input((16, 16, 3))
    maps = keras.Model(pixels, layers.Conv2D(5, 4, strides=4)(pixels))
    pooled = keras.Model(pixels, layers.GlobalAveragePooling2D()(maps(pixels)))
    for backbone, length in ((maps, 16), (pooled, None)):
        model = build(["picture", "age"], picture=BackboneBranch(backbone))
        names = [layer.name for layer in model.layers]
        assert ("picture_places" in names) == (length is not None)
        assert model.get_layer("picture_asks").output.shape[1] == (length or 1)


def test_one_input_is_its_head_and_ten_inputs_build() -> None:
    names = [layer.name for layer in build(["age"]).layers]
    assert "age_head" in names and "age_attends" not in names
    ten = {f"number {place}": SPECS["age"] for place in range(10)}
    model = build_fusion_classifier(ten, TARGET, fusion=Attend(size=8, heads=2))
    assert model.get_layer("attend_hidden").kernel.shape[0] == 10 * (64 + 2 * 8)


def test_arguments_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must divide `size`. Received: heads=3, size=64"):
        Attend(heads=3)
    with pytest.raises(ValueError, match="size"):
        Attend(size=0)


class Pairs(keras.utils.PyDataset):
    """Rows whose label is whether one of the numbers of a row is among its others."""

    num_batches = 1

    def __init__(self, rows: int, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        many = np.argsort(rng.random((rows, 12)))[:, :5]
        labels = np.arange(rows) % 2
        asked = np.where(labels, many[:, 2], np.argsort(rng.random((rows, 12)))[:, 0])
        absent = (many == asked[:, None]).any(1) == labels.astype(bool)
        many, asked, self.labels = many[absent], asked[absent], labels[absent].astype("int32")
        self.many, self.asked = (many + 1).astype("int32"), (asked[:, None] + 1).astype("int32")

    def __getitem__(self, index: int) -> Any:
        return (self.many, self.asked), self.labels


@pytest.mark.slow
def test_whether_one_thing_is_among_several_is_learned_by_attending() -> None:
    specs = {
        "many": ArraySpec((5,), "int32", "tokens", vocabulary_size=13),
        "asked": ArraySpec((1,), "int32", "tokens", vocabulary_size=13),
    }
    keras.utils.set_random_seed(0)
    branches = {name: TokenBranch(16, dropout=0) for name in specs}
    fusion = Attend(size=16, heads=2, dropout=0)
    model = build_fusion_classifier(specs, TARGET, fusion=fusion, branches=branches)
    model.compile(
        keras.optimizers.Adam(0.01), loss=TARGET.loss, metrics=["accuracy"], jit_compile=JIT
    )
    train, test = Pairs(600, 0), Pairs(600, 1)
    model.fit(*train[0], batch_size=100, epochs=25, verbose=0)
    assert set(calibrate_heads(model, test)) == {"many_head", "asked_head", "attend_head"}
    # The two are drawn apart, so a sum of what each of them says stays at one half.
    assert float(model.evaluate(*test[0], verbose=0)[1]) > 0.9


def test_the_layers_compute_what_they_say() -> None:
    rng = np.random.default_rng(0)
    queries, keys, values = (rng.normal(size=(2, n, 4)).astype("float32") for n in (3, 2, 2))
    mask = np.array([[1, 0], [0, 0]], "float32")
    layer = AttendTo(1)
    found = ops.convert_to_numpy(layer([queries, keys, values, mask]))
    unit = [one / np.sqrt((one**2).sum(-1, keepdims=True) + 1e-6) for one in (queries, keys)]
    power = np.exp(np.exp(2.3) * (unit[0][0] @ unit[1][0, :1].T))
    np.testing.assert_allclose(found[0], power / (power + 1) * values[0, :1], rtol=1e-4)
    assert (found[1] == 0).all()
    pooled = ops.convert_to_numpy(PoolSequence()([values, mask]))
    np.testing.assert_allclose(pooled[0], [*values[0, 0], *values[0, 0]], rtol=1e-6)
    assert (pooled[1] == 0).all()
    beside = ops.convert_to_numpy(Compare()([values, values]))
    np.testing.assert_allclose(beside[..., :8], np.concatenate([values, values], -1))
    np.testing.assert_allclose(beside[..., 8:12].sum(-1), 4, rtol=1e-4)
    assert (beside[..., 12:] == 0).all()
    sequence, there = SequenceAndMask(zeros=True)(np.array([[[1.0, 0], [0, 0]]], "float32"))
    assert ops.convert_to_numpy(there).tolist() == [[1, 0]]
    assert sequence.shape == (1, 2, 2)


def words_of(texts: list[str]) -> np.ndarray:
    """Two vectors for each text: how long its first two words are."""
    found = np.zeros((len(texts), 2, 2), "float32")
    for row, text in enumerate(texts):
        for place, word in enumerate(text.split()[:2]):
            found[row, place] = [len(word), 1]
    return found


def test_sequences_of_encoders_are_kept_used_and_predicted_from_a_bundle(tmp_path: Path) -> None:
    pixels = keras.Input((8, 8, 3))
    maps = keras.Model(pixels, layers.Conv2D(5, 4, strides=4)(pixels))
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "image": [rng.integers(0, 256, (8, 8, 3)).astype("uint8") for _ in range(8)],
            "caption": ["a mug", "lamps", "the old lamp", "an old mug"] * 2,
            "label": ["no", "yes"] * 4,
        }
    )
    image = mg.from_preset(maps, "image", sequence=True)
    assert image.loader.spec == ArraySpec((4, 5), "float32", "features")
    words = mg.FunctionEncoder(words_of, (2, 2), name="words")
    inputs = {"image": image.loader, "caption": mg.EncodedLoader("caption", words)}
    want = maps.predict(np.stack(table["image"]), verbose=0).reshape(8, 4, 5)
    cache = str(tmp_path / "cache")
    sequence = mg.MultimodalSequence(table, inputs, TARGET, batch_size=8, cache=cache)
    np.testing.assert_allclose(sequence[0][0][0], want, atol=1e-3)
    model = shaken(build_fusion_classifier(inputs, TARGET, fusion=Attend(size=8, heads=2)))
    bundle = mg.Bundle(model, inputs, TARGET)
    bundle.save(tmp_path / "bundle")
    loaded = mg.load_bundle(tmp_path / "bundle", custom_objects={"words": words_of})
    pd.testing.assert_frame_equal(loaded.predict(table), bundle.predict(table))
    assert loaded.inputs["image"].encoder.spec.shape == (4, 5)


def test_a_sequence_of_features_may_be_varied_and_trained_further() -> None:
    pixels = keras.Input((8, 8, 3))
    maps = keras.Model(pixels, layers.Conv2D(5, 4, strides=4)(pixels))
    flips = [mg.augment.RandomFlip("horizontal")]
    image = mg.from_preset(maps, "image", sequence=True, views=2, augment=flips)
    assert image.loader.read_spec.shape == (2, 4, 5)
    tuned = mg.from_preset(maps, "image", sequence=True, trainable=True)
    model = build_fusion_classifier(
        {"image": tuned.loader, "age": SPECS["age"]},
        TARGET,
        fusion="attend",
        branches={"image": tuned.branch},
    )
    assert model.get_layer("image_places").positions.shape == (4, 64)


def test_an_encoder_says_when_it_cannot_give_a_sequence() -> None:
    pixels = keras.Input((8, 8, 3))
    pooled = keras.Model(pixels, layers.GlobalAveragePooling2D()(pixels))
    with pytest.raises(ValueError, match=r"must give feature maps or .*sequence=True"):
        mg.KerasEncoder(pooled, sequence=True)
    tokens = keras.Model(pixels, layers.Reshape((64, 3))(pixels))
    with pytest.raises(ValueError, match=r"With `sequence=True` it may also give"):
        mg.KerasEncoder(tokens)
    assert mg.KerasEncoder(tokens, sequence=True).spec.shape == (64, 3)
    with pytest.raises(ValueError, match=r"make it with `sequence=True` itself"):
        mg.from_preset(mg.KerasEncoder(pooled), "image", sequence=True)
    with pytest.raises(ValueError, match=r"Received: size=\(1, 2, 3\)"):
        mg.FunctionEncoder(words_of, (1, 2, 3), name="words")
