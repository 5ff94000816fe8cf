"""Operations on colours and detail, each against an independent computation."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from multimodal_gen.augment import (
    Augmentation,
    GaussianBlur,
    RandAugment,
    RandomBrightness,
    RandomChannelShift,
    RandomContrast,
    RandomErasing,
    RandomGrayscale,
    RandomHue,
    RandomSaturation,
    TrivialAugment,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@pytest.fixture
def noise() -> np.ndarray:
    """All colours there are, nearly."""
    return rng(9).integers(0, 256, (60, 80, 3), "uint8")


LUMA = np.array([0.299, 0.587, 0.114])


def apply(operation: Augmentation, image: np.ndarray) -> np.ndarray:
    """The result as floats, of any draw: the operations tested have a range of one point."""
    image.flags.writeable = False
    result = operation(image, rng())
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    return result.astype("float64")


def clipped(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255)


def test_brightness_adds_a_share_of_255_or_multiplies(noise: np.ndarray) -> None:
    assert np.abs(apply(RandomBrightness((0.2, 0.2)), noise) - clipped(noise + 51.0)).max() <= 0.5
    assert (
        np.abs(apply(RandomBrightness((-0.4, -0.4)), noise) - clipped(noise - 102.0)).max() <= 0.5
    )
    assert (
        np.abs(
            apply(RandomBrightness((0.5, 0.5), method="multiply"), noise) - clipped(noise * 1.5)
        ).max()
        <= 0.5
    )
    assert (apply(RandomBrightness((1, 1)), noise) == 255).all()
    assert (apply(RandomBrightness((-1, -1), method="multiply"), noise) == 0).all()


def test_contrast_is_about_the_mean_of_each_channel(noise: np.ndarray) -> None:
    noise = noise // [1, 2, 3]
    noise = noise.astype("uint8")
    mean = noise.mean(axis=(0, 1))
    assert (
        np.abs(
            apply(RandomContrast((0.6, 0.6)), noise) - clipped(mean + 1.6 * (noise - mean))
        ).max()
        <= 0.51
    )
    assert np.abs(apply(RandomContrast((-1, -1)), noise) - mean).max() <= 0.51


def test_saturation_is_the_distance_from_grey(noise: np.ndarray) -> None:
    gray = (noise @ LUMA)[:, :, None]
    assert (
        np.abs(
            apply(RandomSaturation((0.5, 0.5)), noise) - clipped(gray + 1.5 * (noise - gray))
        ).max()
        <= 2
    )
    assert np.abs(apply(RandomSaturation((-1, -1)), noise) - gray).max() <= 1


@pytest.mark.parametrize("turn", [1 / 3, -0.25, 0.1, 0.5])
def test_hue_is_turned_as_in_colorsys(noise: np.ndarray, turn: float) -> None:
    small = noise[:20, :20]

    def turned(pixel: np.ndarray) -> tuple[float, float, float]:
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
        return colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)

    expected = 255 * np.apply_along_axis(turned, 2, small)
    assert np.abs(apply(RandomHue((turn, turn)), small) - expected).max() <= 0.51


def test_a_third_of_a_turn_makes_red_green_and_leaves_grey_alone() -> None:
    image = np.array([[[200, 0, 0], [70, 70, 70]]], "uint8")
    assert apply(RandomHue((1 / 3, 1 / 3)), image).tolist() == [[[0, 200, 0], [70, 70, 70]]]


def test_large_images_are_turned_like_small_ones(noise: np.ndarray) -> None:
    large = np.tile(noise, (4, 3, 1))
    assert np.array_equal(
        apply(RandomHue((0.2, 0.2)), large), np.tile(apply(RandomHue((0.2, 0.2)), noise), (4, 3, 1))
    )


def test_channels_are_shifted_each_by_its_own_number_or_together(noise: np.ndarray) -> None:
    flat = np.full((4, 4, 3), 100, "uint8")
    each = [apply(RandomChannelShift(0.3), flat)[0, 0], RandomChannelShift(0.3)(flat, rng(1))[0, 0]]
    assert all(len(set(levels.tolist())) == 3 for levels in each)
    together = {
        tuple(RandomChannelShift(0.3, together=True)(flat, rng(seed))[0, 0].tolist())
        for seed in range(9)
    }
    assert all(len(set(levels)) == 1 for levels in together)
    assert len(together) > 5
    assert np.abs(apply(RandomChannelShift((0.2, 0.2)), noise) - clipped(noise + 51.0)).max() <= 0.5


def test_grayscale_gives_every_channel_the_same_level(noise: np.ndarray) -> None:
    assert np.abs(apply(RandomGrayscale(1.0), noise) - (noise @ LUMA)[:, :, None]).max() <= 1
    assert np.array_equal(apply(RandomGrayscale(0.0), noise), noise)


def test_erasing_covers_one_rectangle_and_nothing_else(noise: np.ndarray) -> None:
    result = apply(RandomErasing(scale=(0.25, 0.25), fill_value=(1, 2, 3)), noise)
    covered = (result == [1, 2, 3]).all(axis=2)
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    assert (len(rows), len(columns)) == (30, 40)
    assert covered.sum() == 30 * 40
    assert np.array_equal(result[~covered], noise[~covered])
    assert set(np.unique(apply(RandomErasing(scale=(1, 1), fill_value=9), noise))) == {9}
    assert np.array_equal(apply(RandomErasing(0.0), noise), noise)
    assert np.array_equal(apply(RandomErasing(scale=0.0), noise), noise)
    static = apply(RandomErasing(scale=(1, 1)), np.zeros((50, 50, 1), "uint8"))
    assert len(np.unique(static)) > 200


def test_blur_has_the_standard_deviation_it_says() -> None:
    step = np.zeros((8, 200, 1), "uint8")
    step[:, 100:] = 255
    for sigma in (0.7, 1.5, 4.0):
        tail = apply(GaussianBlur(sigma=(sigma, sigma)), step)[4, 99::-1, 0] / 255
        # The variance of a kernel from the tail of its step response.
        variance = 2 * ((2 * np.arange(1, 101) - 1) * tail).sum()
        assert np.sqrt(variance) == pytest.approx(sigma, rel=0.03)
    assert np.array_equal(apply(GaussianBlur(0.0, sigma=9), step), step)


EVERY = [
    RandomBrightness(0.3),
    RandomBrightness(0.3, method="multiply"),
    RandomContrast(0.5),
    RandomSaturation(0.5),
    RandomHue(0.2),
    RandomChannelShift(0.2),
    RandomChannelShift(0.2, together=True),
    RandomGrayscale(1.0),
    RandomErasing(),
    GaussianBlur(sigma=(1, 2)),
]


@pytest.mark.parametrize("operation", EVERY, ids=repr)
def test_alpha_is_left_alone_and_colours_change_as_without_it(
    operation: Augmentation, noise: np.ndarray
) -> None:
    alpha = rng(1).integers(0, 256, (60, 80, 1), "uint8")
    with_alpha = np.concatenate([noise, alpha], axis=2)
    result = operation(with_alpha, rng(2))
    assert np.array_equal(result[:, :, 3:], alpha)
    assert np.array_equal(result[:, :, :3], operation(noise, rng(2)))
    assert not np.array_equal(result[:, :, :3], noise)


@pytest.mark.parametrize("operation", [*EVERY, RandAugment(), TrivialAugment()], ids=repr)
def test_one_channel_keeps_its_shape_and_colour_operations_do_nothing(
    operation: Augmentation,
) -> None:
    gray = rng(3).integers(0, 256, (20, 30, 1), "uint8")
    result = operation(gray, rng(4))
    assert result.shape == gray.shape
    assert result.dtype == np.uint8
    colorless = isinstance(operation, RandomSaturation | RandomHue | RandomGrayscale)
    assert not colorless or np.array_equal(result, gray)


@pytest.mark.parametrize("operation", [*EVERY, RandAugment(), TrivialAugment()], ids=repr)
def test_the_same_stream_gives_the_same_bytes_and_nothing_is_written_to(
    operation: Augmentation, noise
) -> None:
    noise.flags.writeable = False
    results = [operation(noise, rng(seed)).tobytes() for seed in range(8)]
    assert results == [operation(noise, rng(seed)).tobytes() for seed in range(8)]
    assert len(set(results)) > 1 or isinstance(operation, RandomGrayscale)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: RandomBrightness(1.5),
            r"`factor` must be a number, or a pair .*in \[-1, 1\]. Received: factor=1.5",
        ),
        (
            lambda: RandomBrightness((-2, 1), method="multiply"),
            "`factor` must be .* at least -1. Received",
        ),
        (
            lambda: RandomBrightness(0.1, method="scale"),
            r"`method` must be one of \['add', 'multiply'\]. Received",
        ),
        (lambda: RandomContrast((-1.1, 0)), "`factor` must be .* at least -1. Received"),
        (
            lambda: RandomSaturation(None),
            "`factor` must be a number, or a pair .*Received: factor=None",
        ),
        (lambda: RandomSaturation(-2), "`factor` must be .* at least -1. Received: factor=-2"),
        (lambda: RandomHue((0, 2)), r"`factor` must be .* in \[-1, 1\]. Received: factor=\(0, 2\)"),
        (lambda: RandomChannelShift(20), r"`factor` must be .* in \[-1, 1\]. Received: factor=20"),
        (
            lambda: RandomGrayscale(2),
            r"`factor` must be a probability in \[0, 1\]. Received: factor=2",
        ),
        (lambda: RandomErasing((0, 1)), "`factor` must be a probability"),
        (
            lambda: RandomErasing(scale=(0.5, 1.2)),
            r"`scale` must be .* in \[0, 1\]. Received: scale=\(0.5, 1.2\)",
        ),
        (
            lambda: RandomErasing(scale=-0.1),
            r"`scale` must be .* in \[0, 1\]. Received: scale=-0.1",
        ),
        (
            lambda: RandomErasing(fill_value=(1, 2)),
            "`fill_value` must be None for noise, or one or three .*Received",
        ),
        (lambda: RandomErasing(fill_value=256), "`fill_value` must be None for noise"),
        (lambda: RandomErasing(fill_value="black"), "`fill_value` must be None for noise"),
        (
            lambda: GaussianBlur(2.0),
            "`factor` must be a probability .*; the width of the blur is `sigma`. Received",
        ),
        (lambda: GaussianBlur(sigma=-1), "`sigma` must be .* at least 0. Received: sigma=-1"),
        (lambda: RandAugment(0), "`num_ops` must be a positive integer. Received: num_ops=0"),
        (lambda: RandAugment(factor=9), r"`factor` must be .* in \[0, 1\]. Received: factor=9"),
        (lambda: TrivialAugment(fill_mode="edge"), "`fill_mode` must be one of"),
    ],
)
def test_arguments_without_meaning_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_three_colours_do_not_fit_one_channel() -> None:
    with pytest.raises(
        ValueError,
        match=r"one channel needs one `fill_value`, or None. Received: fill_value=\(1, 2, 3\)",
    ):
        RandomErasing(fill_value=(1, 2, 3))(np.zeros((4, 4, 1), "uint8"), rng())


@pytest.mark.parametrize("operation", [*EVERY, RandAugment()], ids=repr)
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3)), r"uint8. Received: \(4, 4, 3\) float64"),
        (np.zeros((4, 4), "uint8"), r"Received: \(4, 4\) uint8"),
        (
            np.zeros((4, 4, 2), "uint8"),
            r"\(height, width, 1, 3 or 4\) array of uint8. Received: \(4, 4, 2\) uint8",
        ),
        ([[1]], "Received: list"),
    ],
)
def test_what_is_no_image_is_refused(
    operation: Augmentation, image: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        operation(image, rng())
