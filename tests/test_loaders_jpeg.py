"""Usual JPEG files have the pixels that Pillow's own way gives, and unusual ones are left to it."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

import multimodal_gen as mg
from multimodal_gen.loaders.image import jpeg, resizing
from multimodal_gen.loaders.image.limits import open_image

MOST = 10**8


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), "uint8")
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def saved(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **{"quality": 90, **options})
    return stream.getvalue()


def both(content: bytes, **settings: Any) -> tuple[np.ndarray | None, np.ndarray]:
    """The short way and Pillow's own."""
    fitting = mg.ImageLoader("image", **settings).fitting
    with open_image(content, MOST) as image:
        return jpeg.decode(content, fitting, MOST), fitting.apply(image, drafts=True)


FILES: dict[str, dict[str, Any]] = {
    "usual": {},
    "progressive": {"progressive": True},
    "no subsampling": {"subsampling": 0},
    "half the rows": {"subsampling": "4:2:0"},
    "restart markers": {"restart_marker_rows": 1},
    "colours not changed": {"keep_rgb": True},
    "profile and comment": {"icc_profile": b"a profile" * 9000, "comment": b"a comment"},
}


@pytest.mark.parametrize("options", FILES.values(), ids=FILES)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_are_those_of_pillow(mode: str, options: dict[str, Any]) -> None:
    sizes = (1, 1), (7, 300), (161, 243), (640, 480)
    wanted = (64, 64), (20, 37), (300, 200)
    for size, image_size in itertools.product(sizes, wanted):
        content = saved(picture(*size, mode), **options)
        for color_mode in ("rgb", "rgba", "grayscale"):
            short, own = both(content, image_size=image_size, color_mode=color_mode)
            assert short is not None
            np.testing.assert_array_equal(short, own)


@pytest.mark.parametrize("interpolation", ["nearest", "bicubic", "area", "lanczos3"])
@pytest.mark.parametrize("fit", ["crop_to_aspect_ratio", "pad_to_aspect_ratio"])
def test_every_way_to_fit_is_that_of_pillow(interpolation: str, fit: str) -> None:
    for size in ((500, 100), (123, 457)):
        settings = {"image_size": (48, 60), "interpolation": interpolation, fit: True}
        short, own = both(saved(picture(*size)), **settings)
        assert short is not None
        np.testing.assert_array_equal(short, own)


def with_orientation() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(picture(80, 40), exif=exif)


UNUSUAL = {
    "EXIF": with_orientation(),
    "print": saved(picture(80, 40).convert("CMYK")),
    "another format": b"\x89PNG\r\n\x1a\n",
    "nothing": b"",
    "cut off": saved(picture(160, 160))[:-900],
}


@pytest.mark.parametrize("content", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_unusual_is_left_to_pillow(content: bytes) -> None:
    fitting = mg.ImageLoader("image", image_size=(64, 64)).fitting
    assert jpeg.decode(content, fitting, MOST) is None


def test_so_are_pictures_that_are_converted_tile_by_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(picture(80, 40))
    monkeypatch.setattr(resizing, "LARGE", 3199)
    assert both(content, image_size=(64, 64))[0] is None
    monkeypatch.setattr(resizing, "LARGE", 3200)
    assert both(content, image_size=(64, 64))[0] is not None


def test_an_orientation_counts_and_what_is_cut_off_is_refused_or_padded_as_pillow_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loader = mg.ImageLoader("image", image_size=(80, 40))
    with Image.open(io.BytesIO(UNUSUAL["EXIF"])) as lying:
        upright = np.asarray(lying.transpose(Image.Transpose.ROTATE_270))
    np.testing.assert_array_equal(loader.read(UNUSUAL["EXIF"]), upright)
    with pytest.raises(mg.LoadError, match="truncated"):
        loader.read(UNUSUAL["cut off"])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert loader.read(UNUSUAL["cut off"]).shape == (80, 40, 3)


def test_the_limit_of_pixels_holds() -> None:
    loader = mg.ImageLoader("image", image_size=(64, 64), max_pixels=3199)
    with pytest.raises(mg.LoadError, match="80 x 40 pixels, more than this loader decodes"):
        loader.read(saved(picture(80, 40)))
