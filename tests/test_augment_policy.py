"""RandAugment and TrivialAugment: what they draw, and what each tone of their list does."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from PIL import Image

from multimodal_gen.augment import (
    RandAugment,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    TrivialAugment,
    augment_image,
    tones,
)
from multimodal_gen.augment.policy import choices


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@pytest.fixture
def photo(sample_data) -> np.ndarray:
    return np.asarray(Image.open(sample_data / "images" / "0003.jpg").convert("RGB"))


def test_there_are_fourteen_different_operations_and_all_of_them_are_drawn(
    photo: np.ndarray,
) -> None:
    drawn = [
        RandAugment(1, factor=0.6).draw(rng(seed))[0](photo, rng()).tobytes() for seed in range(300)
    ]
    # Nine of the fourteen have a sign; solarize, posterize and three others have none.
    assert len(set(drawn)) == 9 * 2 + 5


def test_the_number_of_operations_is_as_asked() -> None:
    assert len(RandAugment(5).draw(rng())) == 5
    assert len(TrivialAugment().draw(rng())) == 1


def test_strength_zero_changes_little_and_nothing_that_moves_pixels(photo: np.ndarray) -> None:
    for choice in choices():
        operation = choice.build(choice.start)
        if isinstance(operation, RandomShear | RandomTranslation | RandomRotation):
            assert np.array_equal(operation(photo, rng()), photo)
        elif choice.reach:
            assert np.abs(operation(photo, rng()).astype(int) - photo).max() <= 1


def test_strength_is_the_same_for_all_or_drawn_from_a_pair() -> None:
    def angles(operation: RandAugment) -> set[float]:
        drawn = (operation.draw(rng(seed))[0] for seed in range(400))
        return {abs(one.factor[0]) for one in drawn if isinstance(one, RandomRotation)}

    assert angles(RandAugment(1, 0.5)) == {0.5 * 30 / 360}
    spread = angles(RandAugment(1, (0.2, 0.4)))
    assert len(spread) > 10
    assert 0.2 * 30 / 360 <= min(spread) <= max(spread) <= 0.4 * 30 / 360
    wide = {
        abs(one.factor[0])
        for seed in range(400)
        for one in TrivialAugment().draw(rng(seed))
        if hasattr(one, "factor")
    }
    assert max(wide) > 0.9


def test_borders_are_handed_on() -> None:
    for seed in range(60):
        for operation in RandAugment(
            2, 1.0, fill_mode="constant", fill_value=9, interpolation="nearest"
        ).draw(rng(seed)):
            if (
                isinstance(operation, RandomShear | RandomTranslation | RandomRotation)
                and operation != RandomShear()
            ):
                assert operation.fill == ("constant", 9, "nearest")


@pytest.mark.parametrize("operation", [RandAugment(3, 0.7), TrivialAugment()], ids=repr)
def test_an_image_is_given_what_was_drawn(
    operation: RandAugment | TrivialAugment, photo: np.ndarray
) -> None:
    for seed in range(20):
        expected = augment_image(photo, operation.draw(rng(seed)), rng(100))
        assert np.array_equal(operation(photo, rng(seed)), expected)


def tone(image: np.ndarray, change) -> np.ndarray:
    return tones.recolor(image, change).astype(int)


def test_each_tone_does_what_it_says(photo: np.ndarray) -> None:
    assert set(np.unique(tone(photo, partial(tones.posterize, bits=2)))) <= {0, 64, 128, 192}
    solarized = tone(photo, partial(tones.solarize, threshold=127))
    assert np.array_equal(solarized, np.where(photo > 127, 255 - photo.astype(int), photo))
    dull = (photo // 2 + 40).astype("uint8")
    stretched = tone(dull, tones.stretch_contrast)
    assert (stretched.min(axis=(0, 1)), stretched.max(axis=(0, 1))) == (
        pytest.approx([0] * 3),
        pytest.approx([255] * 3),
    )
    spread = tone(dull, tones.equalize)
    assert spread.std() > dull.std()
    edges = np.abs(np.diff(photo.astype(int), axis=1)).mean()
    assert (
        np.abs(np.diff(tone(photo, partial(tones.scale_sharpness, scale=1.9)), axis=1)).mean()
        > edges
    )
    assert (
        np.abs(np.diff(tone(photo, partial(tones.scale_sharpness, scale=0.1)), axis=1)).mean()
        < edges
    )
