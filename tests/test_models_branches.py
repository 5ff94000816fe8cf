"""Branches: shapes, padding, dropped n-grams, preprocessing of backbones, and branches given by
hand.
"""

import functools
import inspect
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from multimodal_gen.loaders.base import ArraySpec
from multimodal_gen.models import (
    BackboneBranch,
    ColorBranch,
    ImageBranch,
    NgramBranch,
    TokenBranch,
    VectorBranch,
    build_fusion_classifier,
)
from multimodal_gen.models.image_branches import family_of
from multimodal_gen.models.layers import ApplicationPreprocessing, NgramSum
from multimodal_gen.models.token_layers import MaskedMean

TARGET = SimpleNamespace(units=3, activation="softmax")
IMAGE = ArraySpec((32, 32, 3), "uint8", "image")
TOKENS = ArraySpec((5,), "int32", "tokens", vocabulary_size=9)
NGRAMS = ArraySpec((4, 2), "int32", "ngrams", vocabulary_size=9)


def embedding_model(spec: ArraySpec, branch) -> keras.Model:
    inputs = keras.Input(spec.shape, dtype=spec.dtype)
    return keras.Model(inputs, branch.encode(inputs, spec, 3, "x").embedding)


@pytest.mark.parametrize(
    ("spec", "branch"),
    [
        (IMAGE, ImageBranch(embedding_size=7)),
        (ArraySpec((3, 40, 1), "float32", "image"), ImageBranch(embedding_size=7, residual=True)),
        (IMAGE, ImageBranch(embedding_size=7, colors=True)),
        (IMAGE, ColorBranch(embedding_size=7)),
        (ArraySpec((9, 70, 1), "float32", "image"), ColorBranch(embedding_size=7)),
        (TOKENS, TokenBranch(embedding_size=7)),
        (TOKENS, TokenBranch(embedding_size=7, blocks=1, heads=2)),
        (NGRAMS, NgramBranch(embedding_size=7)),
        (ArraySpec((2, 3), "float32", "vector"), VectorBranch(embedding_size=7)),
        (ArraySpec((2,), "int32", "vector"), VectorBranch(embedding_size=7)),
    ],
)
def test_every_branch_yields_an_embedding_of_its_size(spec, branch):
    assert embedding_model(spec, branch).output_shape == (None, 7)


@pytest.mark.parametrize("blocks", [0, 1])
def test_padding_on_any_side_does_not_change_a_prediction_and_an_empty_row_is_finite(
    blocks, tmp_path
):
    branch = TokenBranch(embedding_size=8, blocks=blocks, heads=2)
    built = build_fusion_classifier({"x": TOKENS}, TARGET, branches={"x": branch})
    built.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in built.get_weights()])
    built.save(tmp_path / "model.keras")
    for model in (built, keras.models.load_model(tmp_path / "model.keras")):
        padded = model.predict(
            np.array([[4, 5, 6, 0, 0], [0, 0, 4, 5, 6], [0, 0, 0, 0, 0]], "int32"), verbose=0
        )
        short = model.predict(np.array([[4, 5, 6], [0, 0, 0]], "int32"), verbose=0)
        assert np.isfinite(padded).all()
        np.testing.assert_allclose(padded, short[[0, 0, 1]], atol=1e-5)
        assert np.abs(padded[0] - padded[2]).max() > 1e-3


def test_a_token_branch_with_positions_knows_the_order_of_words_and_refuses_too_many_words():
    inputs = keras.Input((None,), dtype="int32")
    branch = TokenBranch(embedding_size=8, blocks=1, heads=2)
    model = keras.Model(inputs, branch.encode(inputs, TOKENS, 3, "x").embedding)
    one, other = model.predict(np.array([[4, 5, 6], [6, 5, 4]], "int32"), verbose=0)
    assert np.abs(one - other).max() > 1e-4
    with pytest.raises(ValueError, match="at most 5 positions. Received: 6 positions"):
        model(np.ones((1, 6), "int32"))


def test_only_a_branch_that_says_so_is_given_tokens_of_any_length():
    def flat(x):
        return keras.layers.Flatten()(keras.layers.Embedding(9, 2)(x))

    assert build_fusion_classifier({"x": TOKENS}, TARGET).input_shape == (None, None)
    assert build_fusion_classifier({"x": TOKENS}, TARGET, branches={"x": flat}).input_shape == (
        None,
        5,
    )


def test_masked_mean_takes_the_mean_of_what_is_there():
    values = np.arange(12, dtype="float32").reshape(2, 3, 2)
    mask = np.array([[True, True, False], [False, False, False]])
    pooled = MaskedMean()(values, mask=mask)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(pooled), [[1, 2], [0, 0]])


def test_ngram_sum_is_the_weighted_sum_of_the_vectors():
    layer = NgramSum(4, 2, multiplier=5.0, scale=1.0)
    bag = np.array([[[1, 65536], [3, 32768], [0, 0]]], dtype="int32")
    layer.build(bag.shape)
    table = np.arange(8, dtype="float32").reshape(4, 2)
    layer.set_weights([table])
    expected = 5.0 * (table[1] + 0.5 * table[3])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(bag))[0], expected, rtol=1e-6)


def test_ngram_sum_drops_ngrams_in_training_only():
    layer = NgramSum(2, 1, rate=0.25)
    bag = np.tile(np.array([1, 65536], dtype="int32"), (400, 8, 1))
    layer.build(bag.shape)
    layer.set_weights([np.ones((2, 1), "float32")])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(bag, training=False)), 8.0)
    dropped = keras.ops.convert_to_numpy(layer(bag, training=True))
    assert dropped.mean() == pytest.approx(8.0, abs=0.3)
    assert set(np.round(dropped.ravel() * 0.75).astype(int)) >= {5, 6, 7}


def test_the_ngram_embedding_starts_at_its_scale_whatever_the_multiplier():
    for multiplier in (1.0, 5.0):
        layer = NgramSum(500, 64, multiplier=multiplier, scale=0.25)
        layer.build((None, 1, 2))
        bag = np.stack([np.arange(500), np.full(500, 65536)], -1)[:, None].astype("int32")
        assert np.std(keras.ops.convert_to_numpy(layer(bag))) == pytest.approx(0.25, rel=0.05)


def test_image_branch_scales_uint8_inside_the_model():
    model = embedding_model(IMAGE, ImageBranch())
    rescaling = next(layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling))
    scaled = keras.ops.convert_to_numpy(rescaling(np.array([[[[0, 255, 51]]]], dtype="uint8")))
    np.testing.assert_allclose(scaled.ravel(), [-1, 1, -0.6], atol=1e-6)


@pytest.mark.parametrize(
    ("application", "pixel"),
    [
        ("mobilenet_v2", [-1.0, 1.0, -0.6]),
        ("vgg16", [51 - 103.939, 255 - 116.779, -123.68]),
        ("densenet", [-0.485 / 0.229, (1 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]),
        ("efficientnet", [0.0, 255.0, 51.0]),
        (None, [0.0, 255.0, 51.0]),
    ],
)
@pytest.mark.parametrize("value_range", [(0.0, 255.0), (0.0, 1.0)])
def test_images_are_scaled_as_the_application_expects_and_left_untouched(
    application, pixel, value_range
):
    layer = ApplicationPreprocessing(application, value_range=value_range)
    images = (np.array([[[[0.0, 1.0, 0.2]]]]) * value_range[1]).astype("float32")
    tensor = keras.ops.convert_to_tensor(images)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(tensor)).ravel(), pixel, atol=1e-3)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tensor), images)


def test_an_application_is_a_branch_with_its_own_preprocessing_and_can_be_saved(tmp_path):
    # One channel: the application gets it three times.
    spec = ArraySpec((32, 32, 1), "uint8", "image")
    branch = BackboneBranch(keras.applications.MobileNetV2, trainable=False)
    model = build_fusion_classifier({"image": spec}, TARGET, branches={"image": branch})
    preprocessing = next(
        layer for layer in model.layers if isinstance(layer, ApplicationPreprocessing)
    )
    assert preprocessing.application == "mobilenet_v2"
    assert not model.get_layer("image_backbone").trainable_variables
    images = np.random.default_rng(0).integers(0, 256, (2, *spec.shape)).astype("uint8")
    head = model.get_layer("image_head")
    head.set_weights([np.random.default_rng(1).normal(size=w.shape) for w in head.get_weights()])
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, atol=1e-5)


def test_a_function_that_knows_its_network_by_its_name_is_a_branch():
    # Keras looks up the blocks of the seven EfficientNetV2 by the argument `name`.
    model = embedding_model(
        IMAGE, BackboneBranch(keras.applications.EfficientNetV2B0, embedding_size=4)
    )
    assert "x_backbone" in {layer.name for layer in model.layers}


def test_every_application_is_scaled_once_by_its_own_family():
    functions = [one for one in vars(keras.applications).values() if inspect.isfunction(one)]
    assert len(functions) >= 38
    pixels = np.array([[[[0.0, 255.0, 51.0]]]], "float32")
    for function in functions:
        family = getattr(keras.applications, family_of(function))
        scaled = np.asarray(family.preprocess_input(pixels.copy(), data_format="channels_last"))
        within = (
            "include_preprocessing" in inspect.signature(function).parameters
            or "EfficientNet" in function.__name__
        )
        assert np.array_equal(scaled, pixels) is within, function.__name__


def test_a_partial_of_an_application_has_the_preprocessing_of_its_family():
    narrow = functools.partial(keras.applications.MobileNetV2, alpha=0.35)
    assert family_of(functools.partial(narrow)) == "mobilenet_v2"
    assert family_of(keras.applications.EfficientNetV2B0) == "efficientnet_v2"
    assert family_of(len) is None


def test_a_model_is_a_backbone_with_weights_from_a_file(tmp_path):
    def make() -> keras.Model:
        return keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3, strides=4)])

    source = make()
    source.save_weights(tmp_path / "stem.weights.h5")
    given = make()
    branch = BackboneBranch(given, weights=str(tmp_path / "stem.weights.h5"))
    model = build_fusion_classifier({"image": IMAGE}, TARGET, branches={"image": branch})
    np.testing.assert_array_equal(given.get_weights()[0], source.get_weights()[0])
    assert len(model.trainable_variables) == 6


def test_any_layer_model_or_function_is_a_branch():
    spec = ArraySpec((4,), "float32", "vector")
    size = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6)])
    for branch in (keras.layers.Dense(6), size, lambda x: keras.layers.Dense(6)(x)):
        model = build_fusion_classifier({"v": spec}, TARGET, branches={"v": branch})
        assert model.get_layer("v_head").kernel.shape == (6, 3)


@pytest.mark.parametrize(
    ("spec", "branch", "message"),
    [
        (
            TOKENS,
            ImageBranch(),
            "ImageBranch needs an input of kind 'image' with 3 axes. Received: kind='tokens'",
        ),
        (
            ArraySpec((4,), "int32", "tokens"),
            TokenBranch(),
            "`vocabulary_size` must be set.*Received: vocabulary",
        ),
        (
            ArraySpec((32, 32, 4), "uint8", "image"),
            BackboneBranch(keras.applications.MobileNetV2),
            r"1 or 3 channels.*Received: shape=\(32, 32, 4\)",
        ),
    ],
)
def test_a_branch_that_does_not_fit_its_input_says_why(spec, branch, message):
    with pytest.raises(ValueError, match=message):
        embedding_model(spec, branch)


def test_an_unknown_preprocessing_is_refused():
    with pytest.raises(ValueError, match="Received: preprocessing='nasnet_large'"):
        BackboneBranch(keras.applications.NASNetLarge, preprocessing="nasnet_large")
