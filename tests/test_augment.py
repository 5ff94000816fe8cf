from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.augment import (
    GeometricAugmentation,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
    augment_image,
)
from multimodal_gen.augment.warp import Fill, warp
from multimodal_gen.config import deserialize, serialize


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@pytest.fixture
def picture() -> np.ndarray:
    """A smooth picture: noise would make every interpolation look wrong."""
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x * 3, y * 4, (x + y)], axis=-1).astype("uint8")


def test_flips_are_exact_and_happen_half_of_the_time(picture: np.ndarray) -> None:
    results = [RandomFlip("horizontal")(picture, rng(seed)) for seed in range(200)]
    flipped = [bool(np.array_equal(result, picture[:, ::-1])) for result in results]
    assert all(np.array_equal(r, picture[:, ::-1]) or np.array_equal(r, picture) for r in results)
    assert 70 < sum(flipped) < 130
    vertical = {RandomFlip("vertical")(picture, rng(seed)).tobytes() for seed in range(20)}
    assert vertical == {picture.tobytes(), picture[::-1].tobytes()}
    assert len({RandomFlip()(picture, rng(seed)).tobytes() for seed in range(60)}) == 4


@pytest.mark.parametrize(
    ("fill_mode", "pad_mode"),
    [("reflect", "symmetric"), ("nearest", "edge"), ("wrap", "wrap"), ("constant", "constant")],
)
def test_a_whole_pixel_shift_is_exact_with_each_border(
    picture: np.ndarray, fill_mode: str, pad_mode: str
) -> None:
    down, right = 12, 16
    operation = RandomTranslation((0.25, 0.25), (0.25, 0.25), fill_mode=fill_mode)
    padded = np.pad(picture, ((down, 0), (right, 0), (0, 0)), pad_mode)
    assert np.array_equal(operation(picture, rng()), padded[:48, :64])


def test_a_positive_zoom_shows_more_and_a_negative_one_less(picture: np.ndarray) -> None:
    out = RandomZoom((1.0, 1.0), fill_mode="constant", fill_value=7)(picture, rng())
    assert (out[0, 0] == 7).all()
    assert abs(int(out[24, 32, 0]) - int(picture[24, 32, 0])) <= 3
    inside = RandomZoom((-0.5, -0.5))(picture, rng())
    assert inside[0, 0, 0] == pytest.approx(picture[12, 16, 0], abs=3)
    assert inside[-1, -1, 1] == pytest.approx(picture[36, 48, 1], abs=4)


def test_a_positive_quarter_turn_is_counter_clockwise() -> None:
    square = np.arange(49, dtype="uint8").reshape(7, 7, 1)
    turned = RandomRotation((0.25, 0.25))(square, rng())
    assert np.array_equal(turned[:, :, 0], np.rot90(square[:, :, 0]))


def test_neighbouring_operations_are_resampled_once_and_mean_the_same(picture: np.ndarray) -> None:
    operations = [
        RandomZoom((0.1, 0.1)),
        RandomRotation((0.02, 0.02)),
        RandomTranslation((0.05, 0.05), (-0.1, -0.1)),
    ]
    once = augment_image(picture, operations, rng())
    thrice = picture
    for operation in operations:
        thrice = operation(thrice, rng())
    middle = (slice(12, 36), slice(16, 48))
    assert np.abs(once[middle].astype(int) - thrice[middle]).mean() < 1.5
    calls = []

    class Spy(GeometricAugmentation):
        def matrix(self, height, width, rng):
            calls.append((height, width))
            return np.eye(3)

    assert augment_image(picture, [Spy(), Spy()], rng()) is not None
    assert calls == [(48, 64)] * 2


def test_the_order_of_operations_is_kept_around_a_callable(picture: np.ndarray) -> None:
    def darken_left(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        image = image.copy()
        image[:, :32] = 0
        return image

    flip = RandomTranslation((0, 0), (0.5, 0.5), fill_mode="wrap")
    assert augment_image(picture, [darken_left, flip], rng())[:, 32:].max() == 0
    assert augment_image(picture, [flip, darken_left], rng())[:, :32].max() == 0


def test_drawn_parameters_fill_their_range_evenly() -> None:
    operation = RandomTranslation((-0.2, 0.4), 0.0)
    shifts = np.array([operation.matrix(100, 100, rng(seed))[1, 2] for seed in range(2000)]) / -100
    assert shifts.min() >= -0.2
    assert shifts.max() <= 0.4
    # Kolmogorov-Smirnov against the uniform distribution; 1.63 / sqrt(n) is the bound at the 0.01
    # level.
    expected = (np.sort(shifts) + 0.2) / 0.6
    assert np.abs(expected - (np.arange(2000) + 0.5) / 2000).max() < 1.63 / np.sqrt(2000)


def test_the_image_given_is_never_written_to(picture: np.ndarray) -> None:
    picture.flags.writeable = False
    operations = [RandomFlip(), RandomZoom(0.2), RandomRotation(0.1)]
    for seed in range(5):
        result = augment_image(picture, operations, rng(seed))
        assert result.shape == picture.shape
        assert result.dtype == np.uint8


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_number_of_channels_is_warped(channels: int) -> None:
    image = np.full((10, 12, channels), 200, "uint8")
    assert np.array_equal(RandomRotation((0.1, 0.1))(image, rng()), image)


def test_a_warp_agrees_with_an_independent_resampling(sample_data) -> None:
    image = np.asarray(
        Image.open(sample_data / "images" / sorted((sample_data / "images").iterdir())[0].name)
    )
    small = np.asarray(
        Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR, box=(8, 8, 40, 40))
    )
    matrix = np.array([[1, 0, 8], [0, 1, 8], [0, 0, 1.0]])
    assert np.array_equal(warp(image, matrix, Fill())[:32, :32], small)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RandomFlip("sideways"), "`mode` must be one of .*Received: mode='sideways'"),
        (lambda: RandomZoom(-1.5), None),
        (
            lambda: RandomZoom((-1.5, 0.1)),
            "`height_factor` must be .* above -1 and at most 9. Received",
        ),
        (lambda: RandomZoom(0.1, (0.3, 0.1)), "`width_factor` must be"),
        (lambda: RandomZoom(20), "`height_factor` must be .*Received: height_factor=20"),
        (lambda: RandomRotation(float("nan")), "`factor` must be a number"),
        (
            lambda: RandomRotation(20),
            r"`factor` must be .* in full turns within \[-1, 1\]. Received: factor=20",
        ),
        (
            lambda: RandomTranslation(0, 4),
            r'`width_factor` must be .*or in pixels with unit="pixels". Received: width_',
        ),
        (lambda: RandomRotation(0.1, fill_mode="mirror"), "`fill_mode` must be one of .*mirror"),
        (
            lambda: RandomRotation(0.1, interpolation="area"),
            "`interpolation` must be one of .*area",
        ),
    ],
)
def test_arguments_without_meaning_are_refused(build, message: str | None) -> None:
    with pytest.raises(ValueError, match=message or "height_factor"):
        build()


def test_a_callable_that_returns_something_else_is_named(picture: np.ndarray) -> None:
    def to_float(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return image / 255

    with pytest.raises(
        ValueError, match=r"\(48, 64, 3\) uint8. Received: \(48, 64, 3\) float64 from .*to_float"
    ):
        augment_image(picture, [to_float], rng())


EVERY = [
    mg.augment.RandomFlip("vertical"),
    mg.augment.RandomZoom([-0.1, 0.2], fill_mode="wrap"),
    mg.augment.RandomTranslation((1, 3), 2, unit="pixels"),
    mg.augment.RandomRotation(0.1, interpolation="nearest"),
    mg.augment.RandomShear(0.2, (0.0, 0.1)),
    mg.augment.RandomCrop(20, 30),
    mg.augment.RandomResizedCrop((0.2, 0.9)),
    mg.augment.RandomBrightness(0.2, method="multiply"),
    mg.augment.RandomContrast((-0.5, 0.2)),
    mg.augment.RandomSaturation(0.3),
    mg.augment.RandomHue(0.1),
    mg.augment.RandomChannelShift(0.2, together=True),
    mg.augment.RandomGrayscale(0.9),
    mg.augment.RandomErasing(0.9, scale=(0.1, 0.2), fill_value=(1, 2, 3)),
    mg.augment.GaussianBlur(0.9, sigma=(1, 2)),
    mg.augment.RandAugment(3, factor=(0.2, 0.6), fill_mode="constant", fill_value=3),
    mg.augment.TrivialAugment(fill_mode="nearest"),
]


@pytest.mark.parametrize("operation", EVERY, ids=repr)
def test_an_operation_comes_back_from_json_and_from_a_pickle_as_it_was(
    operation, picture: np.ndarray
) -> None:
    for again in (
        deserialize(json.loads(json.dumps(serialize(operation)))),
        pickle.loads(pickle.dumps(operation)),
    ):
        assert again == operation
        assert hash(again) == hash(operation)
        for seed in range(5):
            assert np.array_equal(again(picture, rng(seed)), operation(picture, rng(seed)))


@pytest.mark.parametrize("operation", EVERY, ids=repr)
def test_an_operation_passes_check_loader(operation, picture: np.ndarray) -> None:
    mg.check_loader(mg.ImageLoader("image", image_size=(48, 64), augment=[operation]), [picture])


def test_a_repr_shows_what_was_given_and_no_more() -> None:
    assert (
        repr(RandomZoom(0.1, fill_mode="wrap")) == "RandomZoom(height_factor=0.1, fill_mode='wrap')"
    )


def test_every_operation_on_images_is_among_those_tested_here() -> None:
    public = [getattr(mg.augment, name) for name in mg.augment.__all__]
    concrete = {
        one for one in public if isinstance(one, type) and issubclass(one, mg.augment.Augmentation)
    }
    abstract = {mg.augment.Augmentation, GeometricAugmentation}
    assert {type(operation) for operation in EVERY} == concrete - abstract
