from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.augment import RandomFlip
from multimodal_gen.config import deserialize, serialize
from multimodal_gen.loaders.image.normalization import (
    FeaturewiseNormalization,
    Normalization,
    SamplewiseNormalization,
    ZCAWhitening,
)


def pictures(number: int = 120, size: int = 5) -> np.ndarray:
    """Random pictures whose neighbouring pixels and channels go together, `(number, size, size, 3)
    uint8`.
    """
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (number, size + 1, size + 1, 3)) @ np.array(
        [[1, 0.6, 0.2], [0, 0.8, 0.3], [0, 0, 0.5]]
    )
    smooth = noise[:, 1:, 1:] + noise[:, :-1, 1:] + noise[:, 1:, :-1]
    return np.clip(np.rint(120 + 25 * smooth + [0, 10, 30]), 0, 255).astype("uint8")


def table_of(arrays: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"image": pd.Series(list(arrays), dtype=object)})


def reader(size: int = 5, **arguments: Any) -> mg.ImageLoader:
    return mg.ImageLoader(
        "image", image_size=(size, size), dtype="float32", rescale=1 / 255, **arguments
    )


def image_data_generator(**arguments: Any) -> Any:
    pytest.importorskip("scipy")
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator(rescale=1 / 255, **arguments)


def normalised(loader: mg.ImageLoader, arrays: np.ndarray) -> np.ndarray:
    """The pictures as a model gets them when evaluating."""
    data = mg.MultimodalSequence(table_of(arrays), {"image": loader}, batch_size=7)
    return np.concatenate([batch[0][0] for batch in data])


@pytest.mark.parametrize("scale", [True, False])
def test_samplewise_is_that_of_image_data_generator(scale: bool) -> None:
    arrays = pictures()
    theirs = image_data_generator(samplewise_center=True, samplewise_std_normalization=scale)
    expected = np.stack([theirs.standardize(one.astype("float32")) for one in arrays])
    result = normalised(reader(normalize=SamplewiseNormalization(scale=scale)), arrays)
    assert np.allclose(result, expected, atol=1e-5)
    if scale:
        assert np.allclose(result.mean(axis=(1, 2, 3)), 0, atol=1e-5)
        assert np.allclose(result.std(axis=(1, 2, 3)), 1, atol=1e-4)


@pytest.mark.parametrize("scale", [True, False])
def test_featurewise_is_that_of_image_data_generator(scale: bool) -> None:
    arrays = pictures()
    theirs = image_data_generator(featurewise_center=True, featurewise_std_normalization=scale)
    theirs.fit(arrays)
    expected = theirs.standardize(arrays.astype("float32"))
    learned = FeaturewiseNormalization.from_table(
        reader(), table_of(arrays), scale=scale, verbose=0
    )
    assert np.allclose(normalised(reader(normalize=learned), arrays), expected, atol=1e-4)
    assert (learned.std is None) is not scale


def test_the_mean_can_be_left_where_it_is() -> None:
    arrays = pictures()
    scaled = arrays.astype("float64") / 255
    samplewise = normalised(reader(normalize=SamplewiseNormalization(center=False)), arrays)
    assert np.allclose(
        samplewise, scaled / (scaled.std(axis=(1, 2, 3), keepdims=True) + 1e-6), rtol=1e-5
    )
    learned = FeaturewiseNormalization.from_table(
        reader(), table_of(arrays), center=False, verbose=0
    )
    assert learned.mean is None
    assert np.allclose(
        normalised(reader(normalize=learned), arrays),
        scaled / scaled.std(axis=(0, 1, 2)),
        rtol=1e-4,
    )


def test_whitening_is_that_of_image_data_generator_and_leaves_no_correlation() -> None:
    arrays = pictures(number=400)
    theirs = image_data_generator(featurewise_center=True, zca_whitening=True, zca_epsilon=1e-3)
    theirs.fit(arrays)
    expected = theirs.standardize(arrays.astype("float32"))
    learned = ZCAWhitening.from_table(reader(), table_of(arrays), epsilon=1e-3, verbose=0)
    assert np.allclose(learned.mean, theirs.mean.ravel(), atol=1e-5)
    assert np.allclose(
        learned.matrix, theirs.zca_whitening_matrix, atol=1e-3 * np.abs(learned.matrix).max()
    )
    result = normalised(reader(normalize=learned), arrays)
    assert np.allclose(result, expected, atol=5e-3)
    flat = result.reshape(400, -1).astype("float64")
    assert np.allclose(flat.T @ flat / 400, np.eye(75), atol=5e-3)


def test_directions_that_never_vary_are_left_out_of_whitening() -> None:
    arrays = pictures(number=30)
    arrays[:, 0] = 77
    learned = ZCAWhitening.from_table(reader(), table_of(arrays), verbose=0)
    other = normalised(reader(normalize=learned), pictures(number=60)[30:])
    assert np.isfinite(other).all()
    flat = normalised(reader(normalize=learned), arrays).reshape(30, -1).astype("float64")
    variances = np.linalg.eigvalsh(flat.T @ flat / 30)
    assert np.allclose(variances[-30:], 1, atol=1e-2)
    assert np.abs(variances[:-30]).max() < 1e-6
    with pytest.raises(
        ValueError,
        match="All pictures are identical: there is nothing to whiten. Received: 4 pictures",
    ):
        ZCAWhitening.from_table(reader(), table_of(np.zeros((4, 5, 5, 3), "uint8")), verbose=0)


def learned_ones() -> list[Normalization]:
    table = table_of(pictures())
    return [
        SamplewiseNormalization(),
        FeaturewiseNormalization.from_table(reader(), table, verbose=0),
        ZCAWhitening.from_table(reader(), table, verbose=0),
    ]


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_normalising_loader_keeps_the_contract_and_is_saved_compactly(kind: int) -> None:
    normalize = learned_ones()[kind]
    loader = reader(normalize=normalize, augment=[RandomFlip("horizontal")])
    mg.check_loader(loader, list(pictures(3)))
    text = json.dumps(serialize(loader))
    copy = deserialize(json.loads(text))
    assert copy == loader and copy.normalize == normalize
    image = loader.read(pictures(1)[0])
    assert np.array_equal(copy.augment(image, None), loader.augment(image, None))
    assert len(text) < 1_000 + 75 * 75 * 4 * 1.4
    assert len(repr(loader)) < 1_000


def test_pictures_are_varied_before_they_are_normalised_and_read_gives_neither() -> None:
    arrays = pictures()
    learned = FeaturewiseNormalization.from_table(reader(), table_of(arrays), verbose=0)
    flip = RandomFlip("horizontal")
    plain, loader = reader(augment=[flip]), reader(augment=[flip], normalize=learned)
    for seed in range(4):
        varied = plain.augment(plain.read(arrays[0]), np.random.default_rng(seed))
        result = loader.augment(loader.read(arrays[0]), np.random.default_rng(seed))
        assert np.array_equal(result, learned(varied))
    assert np.array_equal(loader.read(arrays[0]), plain.read(arrays[0]))
    assert np.array_equal(
        loader.augment(loader.read(arrays[0]), None), learned(plain.read(arrays[0]))
    )
    # What is learned does not depend on whether the loader normalises already.
    assert FeaturewiseNormalization.from_table(loader, table_of(arrays), verbose=0) == learned


def test_a_bad_picture_is_named_by_index_column_and_path(tmp_path: Path) -> None:
    for row, array in enumerate(pictures(4)):
        Image.fromarray(array).save(tmp_path / f"{row}.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    table = pd.DataFrame({"image": [f"{row}.png" for row in range(4)]}, index=list("abcd"))
    loader = reader(directory=tmp_path)
    for kind in (FeaturewiseNormalization, ZCAWhitening):
        with pytest.raises(mg.LoadError, match="not a picture") as caught:
            kind.from_table(loader, table, verbose=0)
        assert (caught.value.index, caught.value.column) == ("c", "image")
        assert caught.value.path == str(tmp_path / "2.png")


def test_pictures_too_large_for_whitening_are_refused_with_the_memory_and_the_way_out() -> None:
    table = table_of(pictures(4))
    message = (
        r"at most 4,096 values; .* about 32 GiB of memory.*`image_size`.*grayscale.*Received: "
        r"21,675 values per picture"
    )
    with pytest.raises(ValueError, match=message):
        ZCAWhitening.from_table(reader(85), table, verbose=0)
    with pytest.raises(ValueError, match="at most 4,096 values"):
        ZCAWhitening([0.5], np.zeros((4097, 4097), "float32"))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: SamplewiseNormalization(center=False, scale=False),
            "must centre or scale, or both. Received: neither",
        ),
        (lambda: FeaturewiseNormalization(), "must centre or scale, or both. Received: neither"),
        (
            lambda: FeaturewiseNormalization([0.5], [-1.0]),
            r"`std` must be at least 0. Received: std=\[-1.0\]",
        ),
        (
            lambda: FeaturewiseNormalization([float("nan")]),
            r"`mean` must be finite numbers with 1 axis.*mean=\[nan\]",
        ),
        (lambda: FeaturewiseNormalization(0.5), "`mean` must be finite numbers with 1 axis"),
        (
            lambda: ZCAWhitening([0.5], np.zeros((4, 5))),
            r"`matrix` must be square. Received: .*\(4, 5\)",
        ),
        (
            lambda: ZCAWhitening.from_table(reader(), table_of(pictures(4)), epsilon=-1),
            "`epsilon` must be at least 0",
        ),
        (
            lambda: reader(normalize="samplewise"),
            "`normalize` must be a normalisation .*Received: normalize='samplewise'",
        ),
        (
            lambda: mg.ImageLoader("image", normalize=SamplewiseNormalization()),
            '`normalize` needs dtype="float32"',
        ),
        (
            lambda: reader(normalize=FeaturewiseNormalization([0.5])),
            "`mean` must be one number per channel, 3. Received: 1",
        ),
        (
            lambda: reader(normalize=FeaturewiseNormalization(None, [1, 1])),
            "`std` must be one number per channel, 3",
        ),
        (
            lambda: reader(normalize=ZCAWhitening([0, 0, 0], np.eye(4))),
            r"\(5, 5, 3\) need 3 numbers as `mean` and a `matrix` of 75 rows. Received: 3 numbers "
            r"and 4 rows",
        ),
        (
            lambda: FeaturewiseNormalization.from_table(
                mg.ImageLoader("image"), table_of(pictures(4))
            ),
            "`loader` must return the pictures to normalise: float32.*Received: loader=ImageLoader",
        ),
    ],
)
def test_arguments_without_meaning_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_what_was_learned_cannot_be_changed() -> None:
    mean = np.array([0.1, 0.2, 0.3], "float32")
    learned = FeaturewiseNormalization(mean)
    mean[:] = 9
    assert learned.mean is not None and learned.mean.tolist() == pytest.approx([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="read-only"):
        learned.mean[0] = 1


@pytest.mark.parametrize("kind", [FeaturewiseNormalization, ZCAWhitening])
def test_a_loader_comes_first_and_then_the_table(kind: Any) -> None:
    table = table_of(pictures(4))
    with pytest.raises(
        TypeError, match="the loader .* first, then the table.*loader=DataFrame, table=ImageLoader"
    ):
        kind.from_table(table, reader())
    with pytest.raises(
        TypeError, match="the loader .* first, then the table.*loader=ImageLoader, table=Series"
    ):
        kind.from_table(reader(), table["image"])
