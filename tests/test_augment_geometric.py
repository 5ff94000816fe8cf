"""Shears, shifts in pixels and crops against independent ways to do the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from multimodal_gen.augment import (
    GeometricAugmentation,
    RandomCrop,
    RandomFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
    augment_image,
)
from multimodal_gen.augment.warp import Fill, warp


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@pytest.fixture
def photo(sample_data) -> np.ndarray:
    """A picture of 96x64 (width x height)."""
    return np.asarray(
        Image.open(sample_data / "images" / "0003.jpg").convert("RGB").resize((96, 64))
    )


def bright_point(image: np.ndarray) -> tuple[float, float]:
    """Row and column of the centre of mass, in pixels from the image's centre."""
    mass = image[:, :, 0].astype(float)
    rows, columns = np.mgrid[: mass.shape[0], : mass.shape[1]] + 0.5
    total = mass.sum()
    return (rows * mass).sum() / total - mass.shape[0] / 2, (
        columns * mass
    ).sum() / total - mass.shape[1] / 2


def point_at(row: int, column: int) -> np.ndarray:
    image = np.zeros((60, 80, 1), "uint8")
    image[row - 2 : row + 2, column - 2 : column + 2] = 200
    return image


def test_a_positive_shear_moves_the_top_to_the_right_and_the_left_side_down() -> None:
    row, column = bright_point(
        RandomShear((0.5, 0.5), fill_mode="constant")(point_at(10, 40), rng())
    )
    assert (row, column) == pytest.approx((-20, 10), abs=0.1)
    row, column = bright_point(
        RandomShear(0.0, (0.5, 0.5), fill_mode="constant")(point_at(30, 20), rng())
    )
    assert (row, column) == pytest.approx((10, -20), abs=0.1)


def test_a_shear_of_both_axes_keeps_areas_and_the_centre() -> None:
    matrix = RandomShear((0.7, 0.7), (-0.9, -0.9)).matrix(60, 80, rng())
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert matrix @ [40, 30, 1] == pytest.approx([40, 30, 1])


def test_integers_shift_by_whole_pixels_and_interpolate_nothing(photo: np.ndarray) -> None:
    operation = RandomTranslation(2, (-3, 5), unit="pixels", fill_mode="wrap")
    seen = set()
    for seed in range(300):
        matrix = operation.matrix(64, 96, rng(seed))
        down, right = -matrix[1, 2], -matrix[0, 2]
        assert down.is_integer()
        assert right.is_integer()
        seen.add((int(down), int(right)))
        if seed < 20:
            assert np.array_equal(
                operation(photo, rng(seed)), np.roll(photo, (int(down), int(right)), (0, 1))
            )
    assert seen == {(down, right) for down in range(-2, 3) for right in range(-3, 6)}


def test_a_float_shifts_by_any_part_of_a_pixel() -> None:
    shifts = [
        RandomTranslation(2.0, 0, unit="pixels").matrix(64, 96, rng(seed))[1, 2]
        for seed in range(50)
    ]
    assert not any(shift.is_integer() for shift in shifts)
    assert max(np.abs(shifts)) <= 2


def test_a_shift_in_pixels_must_not_exceed_the_image(photo: np.ndarray) -> None:
    with pytest.raises(
        ValueError,
        match=r"must not exceed the image's 64 pixels. Received: height_factor=\(-65, 3\)",
    ):
        RandomTranslation((-65, 3), 0, unit="pixels")(photo, rng())
    assert RandomTranslation(64, 96, unit="pixels")(photo, rng()).shape == photo.shape


def test_a_crop_is_the_window_scaled_to_the_full_size(photo: np.ndarray) -> None:
    operation = RandomCrop(40, 48)
    matrix = operation.matrix(64, 96, rng(3))
    left, top = matrix[0, 2], matrix[1, 2]
    assert left.is_integer()
    assert top.is_integer()
    box = (left, top, left + 48, top + 40)
    expected = Image.fromarray(photo).resize((96, 64), Image.Resampling.BILINEAR, box=box)
    result = operation(photo, rng(3))
    assert result.shape == photo.shape
    assert np.abs(result.astype(int) - np.asarray(expected)).mean() < 0.1
    assert np.array_equal(RandomCrop(64, 96)(photo, rng()), photo)


def test_the_window_of_a_crop_must_fit(photo: np.ndarray) -> None:
    with pytest.raises(
        ValueError, match="64 pixels high and 96 pixels wide. Received: height=65, width=20"
    ):
        RandomCrop(65, 20)(photo, rng())


def test_a_resized_crop_stays_inside_and_has_the_documented_area_and_shape() -> None:
    operation = RandomResizedCrop((0.2, 1.0), (0.5, 2.0))
    for seed in range(300):
        matrix = operation.matrix(60, 80, rng(seed))
        corners = matrix @ [[0, 80], [0, 60], [1, 1]]
        assert (corners[:2] >= -1e-9).all()
        assert (corners[:2] <= [[80 + 1e-9], [60 + 1e-9]]).all()
        area, shape = matrix[0, 0] * matrix[1, 1], matrix[0, 0] / matrix[1, 1]
        assert 0.2 - 1e-9 <= area <= 1 + 1e-9
        assert max(0.5, area) - 1e-9 <= shape <= min(2, 1 / area) + 1e-9


def test_a_shape_that_cannot_fit_gives_the_next_one_that_does() -> None:
    matrix = RandomResizedCrop((0.5, 0.5), (8, 9)).matrix(100, 100, rng())
    assert (matrix[0, 0], matrix[1, 1]) == pytest.approx((1.0, 0.5))


def test_crops_are_composed_with_their_neighbours(photo: np.ndarray) -> None:
    operations = [RandomCrop(48, 72), RandomZoom((-0.2, -0.2)), RandomFlip("horizontal")]
    once = augment_image(photo, operations, rng(1))
    stream = rng(1)
    thrice = photo
    for operation in operations:
        thrice = operation(thrice, stream)
    assert np.abs(once[4:-4, 4:-4].astype(int) - thrice[4:-4, 4:-4]).mean() < 3


def test_an_upright_warp_agrees_with_the_general_one_and_shrinks_without_aliasing() -> None:
    y, x = np.mgrid[0:64, 0:96]
    smooth = (120 + 100 * np.sin(x / 9) * np.cos(y / 7))[:, :, None].round().astype("uint8")
    matrix = np.array([[0.8, 0, 7.3], [0, -0.9, 61.0], [0, 0, 1]])
    general = warp(smooth, np.add(matrix, [[0, 1e-9, 0], [0, 0, 0], [0, 0, 0]]), Fill())
    assert np.abs(warp(smooth, matrix, Fill()).astype(int) - general).mean() < 1
    stripes = np.zeros((64, 64, 1), "uint8")
    stripes[:, ::2] = 255
    shrunk = RandomZoom((1.0, 1.0), fill_mode="wrap")(stripes, rng())
    assert np.abs(shrunk.astype(int) - 127.5).max() < 3


def test_a_mirrored_zoom_is_the_mirror_image_of_the_zoom(photo: np.ndarray) -> None:
    zoom = RandomZoom((-0.3, -0.3))

    class Mirror(GeometricAugmentation):
        def matrix(self, height, width, rng):
            return np.array([[-1, 0, width], [0, -1, height], [0, 0, 1.0]])

    assert np.array_equal(
        augment_image(photo, [zoom, Mirror()], rng()), zoom(photo, rng())[::-1, ::-1]
    )


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill_mode", ["reflect", "nearest", "wrap", "constant"])
def test_every_border_and_interpolation_suits_every_operation(
    photo: np.ndarray, fill_mode: str, interpolation: str
) -> None:
    borders = {"fill_mode": fill_mode, "fill_value": 77, "interpolation": interpolation}
    levels = set(np.unique(photo)) | {77}
    for operation in (
        RandomZoom((0.5, 0.5), **borders),
        RandomTranslation((0.5, 0.5), 0.2, **borders),
        RandomRotation((0.1, 0.1), **borders),
        RandomShear((0.5, 0.5), (0.3, 0.3), **borders),
    ):
        result = operation(photo, rng())
        assert result.shape == photo.shape
        assert (result[0, 0] == 77).all() == (fill_mode == "constant")
        if interpolation == "nearest":
            assert set(np.unique(result)) <= levels


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: RandomShear("much"),
            "`x_factor` must be a number, or a pair .*Received: x_factor='much'",
        ),
        (
            lambda: RandomShear(0.1, (0.3, 0.1)),
            r"`y_factor` must be .*Received: y_factor=\(0.3, 0.1\)",
        ),
        (lambda: RandomShear(45), r"`x_factor` must be .* in \[-10, 10\]. Received: x_factor=45"),
        (lambda: RandomShear(0.1, (0.3,)), "`y_factor` must be a number, or a pair"),
        (lambda: RandomShear(0.1, True), "`y_factor` must be a number, or a pair"),
        (
            lambda: RandomTranslation(1, 1, unit="px"),
            r"`unit` must be one of \['fraction', 'pixels'\]. Received: unit=",
        ),
        (lambda: RandomTranslation(1, math.inf), "`width_factor` must be a number"),
        (
            lambda: RandomZoom(0.1, fill_value=300),
            r"`fill_value` must be a number in \[0, 255\]. Received: fill_value=300",
        ),
        (lambda: RandomZoom(0.1, fill_value="red"), "`fill_value` must be a number"),
        (
            lambda: RandomCrop(0, 4),
            "`height` must be a positive integer. Received: height=0",
        ),
        (
            lambda: RandomCrop(4, 0.5),
            "`width` must be a positive integer. Received: width=0.5",
        ),
        (
            lambda: RandomResizedCrop((0.5, 1.5)),
            r"`scale` must be a pair \(low, high\) in \(0, 1\]. Received: scale=",
        ),
        (
            lambda: RandomResizedCrop(0.5),
            r"`scale` must be a pair \(low, high\) in \(0, 1\]. Received: scale=0.5",
        ),
        (
            lambda: RandomResizedCrop(ratio=(0, 1)),
            r"`ratio` must be a pair .* of positive numbers. Received: ratio=\(0",
        ),
        (lambda: RandomResizedCrop(ratio=(2, 1)), "`ratio` must be a pair"),
    ],
)
def test_arguments_without_meaning_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
