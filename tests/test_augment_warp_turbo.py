from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.augment.warp import Fill, warp

pytest.importorskip("cv2")

from multimodal_gen.augment.warp_turbo import warp_turbo


def picture(height: int = 60, width: int = 80, channels: int = 3) -> np.ndarray:
    y, x, channel = np.mgrid[0:height, 0:width, 0:channels]
    return (127 + 100 * np.sin(x / 9 + channel) * np.cos(y / 7)).astype("uint8")


def about_centre(matrix: list[list[float]], height: int = 60, width: int = 80) -> np.ndarray:
    there = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
    full = np.eye(3)
    full[:2, :2] = matrix
    return there @ full @ np.linalg.inv(there)


MATRICES = {
    "identity": np.eye(3),
    "mirror": about_centre([[-1, 0], [0, 1]]),
    "upside down": about_centre([[1, 0], [0, -1]]),
    "half turn": about_centre([[-1, 0], [0, -1]]),
    "turn": about_centre([[0.9, -0.3], [0.3, 0.9]]),
    "shear": about_centre([[1, 0.3], [0.1, 1]]),
    "zoom in": about_centre([[0.8, 0], [0, 0.7]]),
    "zoom out": about_centre([[1.15, 0], [0, 1.2]]),
    "shift": np.array([[1, 0, 7.0], [0, 1, -4.0], [0, 0, 1]]),
    "half a pixel": np.array([[1, 0, 0.5], [0, 1, 0], [0, 0, 1]]),
}


@pytest.mark.parametrize("mode", ["reflect", "nearest", "wrap", "constant"])
@pytest.mark.parametrize("name", MATRICES)
def test_opencv_shows_what_pillow_shows(name: str, mode: str) -> None:
    for channels in (1, 3, 4):
        image = picture(channels=channels)
        before = image.copy()
        one, other = (each(image, MATRICES[name], Fill(mode, 40.0)) for each in (warp, warp_turbo))
        assert one.shape == other.shape == image.shape
        assert np.array_equal(image, before)
        # A border that jumps may come half a pixel sooner; and Pillow weighs colours by their
        # opacity.
        limit = 2.5 if mode in ("wrap", "constant") or channels == 4 else 1.0
        assert np.abs(one.astype("float32") - other).mean() < limit
        if name in ("identity", "mirror", "upside down", "shift"):
            assert np.array_equal(one, other)


def test_nearest_takes_pixels_as_they_are() -> None:
    image = np.where(picture() > 127, 255, 0).astype("uint8")
    result = warp_turbo(image, MATRICES["turn"], Fill("reflect", 0.0, "nearest"))
    assert set(np.unique(result)) == {0, 255}


def test_a_turbo_loader_warps_by_opencv_and_draws_the_same_parameters() -> None:
    stream = io.BytesIO()
    Image.fromarray(picture(120, 160)).save(stream, "JPEG")
    augment = [
        mg.augment.RandomRotation(0.1),
        mg.augment.RandomZoom(0.2),
        mg.augment.RandomFlip("horizontal"),
    ]
    loaders = [
        mg.ImageLoader("image", image_size=(60, 80), augment=augment, decoder=name)
        for name in ("pillow", "turbo")
    ]
    array = loaders[0].read(stream.getvalue())
    for seed in range(5):
        one, other = (loader.augment(array, np.random.default_rng(seed)) for loader in loaders)
        assert np.abs(one.astype("float32") - other).mean() < 1.5
        assert not np.array_equal(one, array)
