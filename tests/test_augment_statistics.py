"""Random parameters are distributed as documented, measured on matrices and pictures; each row and
epoch draws again.

The streams are those that a plan gives the rows, so that this tests them too. Seeds are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.augment import (
    Augmentation,
    GaussianBlur,
    RandAugment,
    RandomBrightness,
    RandomChannelShift,
    RandomContrast,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomGrayscale,
    RandomHue,
    RandomResizedCrop,
    RandomRotation,
    RandomSaturation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
    TrivialAugment,
    from_image_data_generator,
)
from multimodal_gen.rows.plan import Plan

stats = pytest.importorskip("scipy.stats")

LEVEL = 0.005
ROWS = 800


def streams() -> list[np.random.Generator]:
    plan = Plan(ROWS, 1, seed=20)
    return [plan.rng(epoch=3, position=row, column="image") for row in range(ROWS)]


def matrices(operation: Augmentation, height: int = 90, width: int = 120) -> np.ndarray:
    return np.array([operation.matrix(height, width, rng) for rng in streams()])


def results(operation: Augmentation, image: np.ndarray) -> np.ndarray:
    return np.array([operation(image, rng) for rng in streams()], "float64")


def assert_even(values: np.ndarray, low: float, high: float) -> None:
    """Kolmogorov and Smirnov's test against the uniform distribution."""
    assert values.min() >= low - 1e-9
    assert values.max() <= high + 1e-9
    assert stats.kstest(values, "uniform", args=(low, high - low)).pvalue > LEVEL


def assert_independent(first: np.ndarray, second: np.ndarray) -> None:
    assert stats.spearmanr(first, second).pvalue > LEVEL


def assert_as_frequent(values: Sequence[object], kinds: int) -> None:
    counts = pd.Series(list(values)).value_counts()
    assert len(counts) == kinds
    assert stats.chisquare(counts).pvalue > LEVEL


def assert_probability(happened: np.ndarray, probability: float) -> None:
    assert stats.binomtest(int(np.sum(happened)), len(happened), probability).pvalue > LEVEL


def test_flips_happen_half_of_the_time_and_independently() -> None:
    drawn = matrices(RandomFlip())
    assert_as_frequent(list(zip(drawn[:, 0, 0], drawn[:, 1, 1], strict=True)), 4)


def test_zooms_are_even() -> None:
    drawn = matrices(RandomZoom((-0.3, 0.2), 0.4))
    assert_even(drawn[:, 1, 1] - 1, -0.3, 0.2)
    assert_even(drawn[:, 0, 0] - 1, -0.4, 0.4)
    assert_independent(drawn[:, 0, 0], drawn[:, 1, 1])
    drawn = matrices(RandomZoom(0.3))
    assert_even(drawn[:, 1, 1] - 1, -0.3, 0.3)
    assert np.array_equal(drawn[:, 0, 0], drawn[:, 1, 1])


def test_shifts_are_even() -> None:
    drawn = matrices(RandomTranslation((-0.1, 0.3), 0.2))
    assert_even(-drawn[:, 1, 2] / 90, -0.1, 0.3)
    assert_even(-drawn[:, 0, 2] / 120, -0.2, 0.2)
    assert_independent(drawn[:, 0, 2], drawn[:, 1, 2])
    drawn = matrices(RandomTranslation(2.5, 3, unit="pixels"))
    assert_even(drawn[:, 1, 2], -2.5, 2.5)
    assert_as_frequent(drawn[:, 0, 2], 7)


def test_angles_are_even() -> None:
    drawn = matrices(RandomRotation((-0.05, 0.2)))
    assert_even(np.arctan2(drawn[:, 1, 0], drawn[:, 0, 0]) / (2 * math.pi), -0.05, 0.2)


def test_shears_are_even() -> None:
    drawn = matrices(RandomShear(0.4, (-0.3, 0.1)))
    assert_even(drawn[:, 0, 1], -0.4, 0.4)
    assert_even(drawn[:, 1, 0], -0.3, 0.1)
    assert_independent(drawn[:, 0, 1], drawn[:, 1, 0])


def test_crops_lie_anywhere() -> None:
    drawn = matrices(RandomCrop(86, 114))
    assert_as_frequent(drawn[:, 1, 2], 5)
    assert_as_frequent(drawn[:, 0, 2], 7)
    assert_independent(drawn[:, 0, 2], drawn[:, 1, 2])


def test_resized_crops_have_even_areas_and_places_and_shapes_of_even_logarithm() -> None:
    drawn = matrices(RandomResizedCrop((0.1, 0.5), (0.5, 2.0)))
    wide, high = drawn[:, 0, 0], drawn[:, 1, 1]
    assert_even(wide * high, 0.1, 0.5)
    assert_even(np.log2(wide / high), -1, 1)
    assert_even(drawn[:, 0, 2] / 120 / (1 - wide), 0, 1)
    assert_even(drawn[:, 1, 2] / 90 / (1 - high), 0, 1)


FLAT = np.full((2, 2, 3), 120, "uint8")


def test_brightness_is_even() -> None:
    added = results(RandomBrightness((-0.3, 0.4)), FLAT)[:, 0, 0, 0]
    assert_even((added - 120) / 255, -0.3 - 1 / 510, 0.4 + 1 / 510)
    multiplied = results(RandomBrightness(0.5, method="multiply"), FLAT)[:, 0, 0, 0]
    assert_even(multiplied / 120 - 1, -0.5, 0.5)


def test_contrast_is_even() -> None:
    image = np.array([[[60], [180]]], "uint8")
    drawn = results(RandomContrast((-0.8, 0.4)), image)[:, 0, :, 0]
    assert_even((drawn[:, 1] - drawn[:, 0]) / 120 - 1, -0.8, 0.4)


def test_saturation_is_even() -> None:
    image = np.array([[[200, 100, 60]]], "uint8")
    drawn = results(RandomSaturation((-1.0, 0.3)), image)[:, 0, 0]
    assert_even((drawn[:, 0] - drawn[:, 2]) / 140 - 1, -1.01, 0.31)


def test_hue_is_even() -> None:
    red = np.array([[[240, 0, 0]]], "uint8")
    drawn = results(RandomHue((0.0, 1 / 6)), red)[:, 0, 0]
    # Between red and yellow the green channel rises in step with the hue.
    assert_even(drawn[:, 1] / 240 / 6, 0, 1 / 6)
    drawn = results(RandomHue(0.5), red)[:, 0, 0]
    assert_as_frequent([tuple(np.argsort(-pixel, kind="stable")) for pixel in drawn], 6)


def test_channel_shifts_are_even_and_independent_unless_together() -> None:
    drawn = results(RandomChannelShift((-0.2, 0.4)), FLAT)[:, 0, 0]
    for channel in range(3):
        assert_even((drawn[:, channel] - 120) / 255, -0.2 - 1 / 510, 0.4 + 1 / 510)
        assert_independent(drawn[:, channel], drawn[:, channel - 1])
    drawn = results(RandomChannelShift(0.3, together=True), FLAT)[:, 0, 0]
    assert_even((drawn[:, 0] - 120) / 255, -0.3 - 1 / 510, 0.3 + 1 / 510)
    assert (drawn == drawn[:, :1]).all()


def test_colour_is_taken_away_as_often_as_asked() -> None:
    drawn = results(RandomGrayscale(0.3), np.array([[[200, 100, 60]]], "uint8"))[:, 0, 0]
    assert_probability(drawn[:, 0] == drawn[:, 2], 0.3)


def test_patches_are_erased_as_often_and_as_large_as_asked_anywhere() -> None:
    image = np.zeros((120, 160, 1), "uint8")
    drawn = results(RandomErasing(0.7, scale=(0.1, 0.4), fill_value=255), image)[..., 0] > 0
    erased = drawn.any(axis=(1, 2))
    assert_probability(erased, 0.7)
    rows, columns = drawn[erased].any(axis=2), drawn[erased].any(axis=1)
    for stretches, length in ((rows, 120), (columns, 160)):
        share, start = stretches.mean(axis=1), stretches.argmax(axis=1)
        assert_even(share**2, 0.1 - 1 / length, 0.4 + 1 / length)
        assert_even(start / (length - stretches.sum(axis=1)), 0, 1)
    assert_independent(rows.mean(axis=1), columns.mean(axis=1))


def test_noise_uses_every_level_alike() -> None:
    noise = RandomErasing(scale=(1, 1))(np.zeros((64, 64, 3), "uint8"), streams()[0])
    assert_as_frequent(noise.ravel(), 256)


def test_blur_happens_as_often_and_is_as_wide_as_asked() -> None:
    step = np.zeros((1, 120, 1), "uint8")
    step[:, 60:] = 255
    tails = results(GaussianBlur(0.6, sigma=(1.0, 4.0)), step)[:, 0, 59::-1, 0] / 255
    blurred = tails.any(axis=1)
    assert_probability(blurred, 0.6)
    # The variance of a kernel from the tail of its step response, which is rounded to whole levels.
    sigmas = np.sqrt(2 * tails[blurred] @ (2 * np.arange(1, 61) - 1))
    assert_even(sigmas.clip(1.0, 4.0), 1.0, 4.0)


def test_policies_draw_every_operation_alike_and_signs_half_of_the_time() -> None:
    def name(operation: object) -> str:
        values = {
            "x_factor": getattr(operation, "x_factor", 0),
            "height_factor": getattr(operation, "height_factor", 0),
        }
        change = getattr(operation, "change", None)
        tone = getattr(getattr(change, "func", change), "__name__", "")
        return (
            f"{type(operation).__name__} {tone} "
            f"{[key for key, value in values.items() if value != 0.0]} "
            + str(operation == RandomShear())
        )

    for policy in (RandAugment(3, 0.5), TrivialAugment()):
        drawn = [operation for rng in streams() for operation in policy.draw(rng)]
        assert_as_frequent([name(operation) for operation in drawn], 14)
        factors = np.array([one.factor[0] for one in drawn if hasattr(one, "factor")])
        assert_probability(factors > 0, 0.5)
    turns = np.array([abs(one.factor[0]) for one in drawn if isinstance(one, RandomRotation)])
    assert_even(turns / (135 / 360), 0, 1)


def test_the_ranges_of_image_data_generator_are_kept() -> None:
    def only(**arguments: object) -> Augmentation:
        (operation,) = from_image_data_generator(**arguments)
        return operation

    drawn = matrices(only(rotation_range=30))
    assert_even(np.degrees(np.arctan2(drawn[:, 1, 0], drawn[:, 0, 0])), -30, 30)
    drawn = matrices(only(zoom_range=[0.7, 1.2]))
    assert_even(drawn[:, 0, 0], 0.7, 1.2)
    assert_independent(drawn[:, 0, 0], drawn[:, 1, 1])
    drawn = matrices(only(shear_range=20))
    assert np.abs(np.degrees(np.arctan(drawn[:, 0, 1]))).max() <= 20
    assert_even(drawn[:, 0, 1], -math.tan(math.radians(20)), math.tan(math.radians(20)))
    assert_even(results(only(brightness_range=(0.5, 1.5)), FLAT)[:, 0, 0, 0] / 120, 0.5, 1.5)
    assert_even(results(only(channel_shift_range=40), FLAT)[:, 0, 0, 0] - 120, -40, 40)


@pytest.fixture
def data(picture_table: pd.DataFrame, tmp_path: Path) -> Callable[..., mg.MultimodalSequence]:
    def build(**arguments: object) -> mg.MultimodalSequence:
        table = pd.concat([picture_table.iloc[:1]] * 40, ignore_index=True)
        augment = [
            RandomZoom(0.3),
            RandomBrightness(0.3),
            RandAugment(),
            RandomErasing(),
            GaussianBlur(),
        ]
        image = mg.ImageLoader("image", directory=tmp_path, image_size=(16, 16), augment=augment)
        target = mg.ClassLabel.from_values("label", ["x", "y"])
        return mg.MultimodalSequence(table, {"image": image}, target, seed=4, **arguments)

    return build


def pictures(sequence: mg.MultimodalSequence, epoch: int) -> list[bytes]:
    sequence.epoch = epoch
    return [image.tobytes() for index in range(len(sequence)) for image in sequence[index][0][0]]


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_each_row_and_epoch_draws_anew_whatever_the_threads_and_the_batch_size(
    data, threads: int
) -> None:
    expected = [pictures(data(batch_size=40, threads=1), epoch) for epoch in range(3)]
    assert len({image for epoch in expected for image in epoch}) == 120
    for batch_size in (7, 40):
        sequence = data(batch_size=batch_size, threads=threads)
        assert [pictures(sequence, epoch) for epoch in range(3)] == expected
