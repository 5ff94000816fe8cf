from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter

import multimodal_gen as mg

pytest.importorskip("simplejpeg")
pytest.importorskip("cv2")


def picture(height: int = 375, width: int = 500) -> Image.Image:
    """Smooth blobs of colour, unsymmetrical."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), "uint8")
    blurred = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(14)), "float32")
    return Image.fromarray(np.clip((blurred - 128) * 16 + 128, 0, 255).astype("uint8"))


def jpeg(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **{"quality": 95, **options})
    return stream.getvalue()


def both(cell: object, **arguments: object) -> tuple[np.ndarray, np.ndarray]:
    loaders = (mg.ImageLoader("image", decoder=name, **arguments) for name in ("pillow", "turbo"))  # type: ignore[arg-type]
    pillow, turbo = (loader.read(cell) for loader in loaders)
    assert pillow.shape == turbo.shape
    return pillow, turbo


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype("float32") - other).mean())


@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("image_size", [(224, 224), (64, 100), (30, 20), (375, 500), (600, 700)])
def test_turbo_gives_nearly_what_pillow_gives(image_size: tuple[int, int], color_mode: str) -> None:
    assert difference(*both(jpeg(picture()), image_size=image_size, color_mode=color_mode)) < 2


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
def test_a_picture_is_not_changed_by_those_decoded_after_it(color_mode: str) -> None:
    loader = mg.ImageLoader("image", decoder="turbo", image_size=(90, 120), color_mode=color_mode)
    sizes = ((375, 500), (180, 240), (200, 500), (375, 290), (1000, 1100), (96, 130))
    cells = [jpeg(picture(*size)) for size in sizes]
    first = [loader.read(cell) for cell in cells]
    kept = [array.copy() for array in first]
    for cell in reversed(cells):
        loader.read(cell)
    for array, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("fit", ["crop_to_aspect_ratio", "pad_to_aspect_ratio"])
@pytest.mark.parametrize("size", [(375, 500), (500, 375), (100, 900)])
def test_cropping_and_padding_are_pillows(size: tuple[int, int], fit: str) -> None:
    for image_size in ((128, 128), (64, 160)):
        arguments = {fit: True, "image_size": image_size, "background": (10, 200, 30)}
        assert difference(*both(jpeg(picture(*size)), **arguments)) < 2


def stripes(height: int, width: int, period: int, along: str) -> np.ndarray:
    """Black and white, across, down or diagonal."""
    y, x = np.mgrid[0:height, 0:width]
    place = {"x": x, "y": y, "diagonal": x + y}[along]
    return np.where(place % period < period / 2, 255, 0).astype("uint8")


@pytest.mark.parametrize("image_size", [(64, 64), (224, 224), (300, 200)])
@pytest.mark.parametrize(
    "size",
    [
        (25, 284),
        (284, 25),
        (78, 100),
        (64, 640),
        (1000, 60),
        (30, 30),
        (130, 640),
        (256, 256),
        (375, 500),
        (440, 440),
    ],
)
def test_stripes_of_every_width_are_within_3_levels_of_pillow(
    size: tuple[int, int], image_size: tuple[int, int]
) -> None:
    # Finer than any picture of a thing: what aliases, or is smoothed in another way, shows.
    for period in (2, 3, 5, 10, 20):
        for along in ("x", "y", "diagonal"):
            content = jpeg(Image.fromarray(stripes(*size, period, along)))
            assert difference(*both(content, image_size=image_size)) < 3, (period, along)


@pytest.mark.parametrize("image_size", [(64, 64), (224, 224), (120, 300)])
def test_stripes_in_colour_are_within_3_levels_of_pillow(image_size: tuple[int, int]) -> None:
    # Their colours are stored at half the size of their brightness, and brought back as Pillow does
    # it.
    for size in ((375, 500), (500, 375), (130, 640), (256, 256)):
        for period in (2, 3, 4, 7):
            share = stripes(*size, period, "diagonal")[..., None] / 255
            pixels = share * np.array([200, 30, 40]) + (1 - share) * np.array([30, 160, 60])
            content = jpeg(Image.fromarray(pixels.astype("uint8")))
            assert difference(*both(content, image_size=image_size)) < 3, (size, period)


@pytest.mark.parametrize("fit", [None, "crop_to_aspect_ratio", "pad_to_aspect_ratio"])
def test_photos_are_within_3_levels_of_pillow(fit: str | None, real_data: Path) -> None:
    files = sorted((real_data / "photos" / "images").iterdir())[::24]
    arguments = {} if fit is None else {fit: True}
    for image_size in ((224, 224), (64, 64), (120, 300)):
        found = [difference(*both(file, image_size=image_size, **arguments)) for file in files]
        assert max(found) < 3, (image_size, max(found))


def test_large_pictures_that_are_not_cut_in_the_middle_of_pixels_are_resized_by_opencv() -> None:
    # Where it is chosen, it is near to Pillow and not the same; where it is not, it is the same.
    smooth = jpeg(picture(375, 500))
    assert 0 < difference(*both(smooth, image_size=(224, 224))) < 1
    assert difference(*both(smooth, image_size=(224, 224), crop_to_aspect_ratio=True)) == 0
    assert difference(*both(jpeg(picture(78, 100)), image_size=(64, 64))) == 0


def test_gray_files_and_gray_arrays_agree() -> None:
    gray = jpeg(picture().convert("L"))
    for color_mode in ("rgb", "grayscale"):
        assert difference(*both(gray, image_size=(100, 100), color_mode=color_mode)) < 2.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(picture(120, 200), exif=exif)
    assert difference(*both(data, image_size=(60, 80))) < 2.5
    assert difference(*both(data, image_size=(60, 80), crop_to_aspect_ratio=True)) < 4


def test_what_turbo_leaves_to_pillow_is_the_same_to_the_byte() -> None:
    cmyk, truncated, png = jpeg(picture().convert("CMYK")), jpeg(picture())[:20000], io.BytesIO()
    picture().save(png, "PNG")
    for cell in (cmyk, png.getvalue(), np.asarray(picture()), picture(), {"bytes": cmyk}):
        assert np.array_equal(*both(cell, image_size=(50, 60)))
    errors = []
    for decoder in ("pillow", "turbo"):
        with pytest.raises(mg.LoadError, match="truncated") as caught:
            mg.ImageLoader("image", decoder=decoder).read(truncated)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def test_a_pattern_too_fine_for_the_size_becomes_grey_and_no_pattern() -> None:
    y, x = np.mgrid[0:400, 0:400]
    board = Image.fromarray(np.where((x + y) % 2, 255, 0).astype("uint8"))
    for arguments in ({"image_size": (224, 224)}, {"image_size": (90, 130)}):
        turbo = both(jpeg(board, quality=100), color_mode="grayscale", **arguments)[1]
        assert turbo.std() < 5
        assert abs(turbo.mean() - 127.5) < 2


def test_a_picture_beyond_the_loaders_limit_is_refused_as_with_pillow() -> None:
    for decoder in ("pillow", "turbo"):
        with pytest.raises(
            mg.LoadError, match=r"pixels, more than this loader decodes \(max_pixels=1,000"
        ):
            mg.ImageLoader("image", decoder=decoder, max_pixels=1000).read(jpeg(picture()))


def test_turbo_keeps_the_contract_of_a_loader(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(picture()))
    loader = mg.ImageLoader("image", directory=tmp_path, decoder="turbo", image_size=(50, 50))
    mg.check_loader(loader, ["a.jpg", jpeg(picture(300, 200))])
    assert loader.read_config() != loader.replace(decoder="pillow").read_config()


@pytest.mark.parametrize(
    ("interpolation", "way"),
    [
        ("nearest", 'For a mask, use decoder="pillow": the loader of its picture may keep'),
        ("area", 'Use interpolation="bilinear", or decoder="pillow" for \'area\''),
        ("bicubic", 'Use interpolation="bilinear", or decoder="pillow" for \'bicubic\''),
    ],
)
def test_turbo_interpolates_bilinearly_only_and_says_what_to_change(
    interpolation: str, way: str
) -> None:
    with pytest.raises(ValueError, match='interpolates "bilinear" only') as refused:
        mg.ImageLoader("image", decoder="turbo", interpolation=interpolation)
    assert way in str(refused.value)
    received = f"Received: decoder='turbo', interpolation={interpolation!r}"
    assert str(refused.value).endswith(received)
    with pytest.raises(ValueError, match='must be "pillow" or "turbo". Received: decoder=\'fast\''):
        mg.ImageLoader("image", decoder="fast")


@pytest.mark.parametrize("as_target", [False, True])
def test_a_mask_on_pillow_moves_with_a_picture_on_turbo(as_target: bool, tmp_path: Path) -> None:
    # A disc and a bar, so that turns and flips are seen; the mask holds ids, the photo white.
    y, x = np.mgrid[0:120, 0:160]
    shape = ((x - 50) ** 2 + (y - 40) ** 2 < 25**2) | ((x > 90) & (y > 80) & (y < 100))
    Image.fromarray(np.where(shape, 255, 0).astype("uint8")).convert("RGB").save(
        tmp_path / "photo.jpg", quality=95
    )
    Image.fromarray(np.where(shape, 3, 0).astype("uint8")).save(tmp_path / "mask.png")
    table = pd.DataFrame({"photo": ["photo.jpg"] * 24, "mask": "mask.png"})
    photo = mg.ImageLoader(
        "photo",
        directory=tmp_path,
        image_size=(96, 96),
        decoder="turbo",
        augment=[
            mg.augment.RandomFlip("horizontal_and_vertical"),
            mg.augment.RandomRotation(0.2, fill_mode="constant", fill_value=0),
            mg.augment.RandomResizedCrop((0.5, 1.0)),
        ],
    )
    mask = mg.ImageLoader(
        "mask",
        directory=tmp_path,
        image_size=(96, 96),
        color_mode="grayscale",
        interpolation="nearest",
        vary_with=photo,
    )
    if as_target:
        data = mg.MultimodalSequence(
            table, {"photo": photo}, mg.InputTarget(mask), batch_size=24, shuffle=True
        )
        (photos,), masks = data[0]
        masks = np.rint(masks * 255)
    else:
        inputs = {"photo": photo, "mask": mask}
        data = mg.MultimodalSequence(table, inputs, batch_size=24, shuffle=True)
        ((photos, masks),) = data[0]
    assert set(np.unique(masks)) == {0, 3}
    assert len({one.tobytes() for one in masks}) > 20
    apart = ((photos[..., 0] > 127) != (masks[..., 0] == 3)).mean(axis=(1, 2))
    # Only pixels on the outline may differ: a shift of both by one pixel would be three times that.
    assert apart.max() < 0.02
    moved = np.roll(masks[..., 0] == 3, 2, axis=2)
    assert ((photos[..., 0] > 127) != moved).mean(axis=(1, 2)).min() > 0.02


def test_without_its_libraries_turbo_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['simplejpeg'] = None; import multimodal_gen as mg\n"
        "try: mg.ImageLoader('image', decoder='turbo')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "multimodal_gen[fast]". Missing: simplejpeg' in done.stdout


def test_an_array_is_left_alone_by_what_is_decoded_after_it() -> None:
    one, other = jpeg(picture(64, 48)), jpeg(Image.new("RGB", (48, 64)))
    for arguments in (
        {"image_size": (64, 48)},
        {"image_size": (64, 48), "color_mode": "grayscale"},
    ):
        loader = mg.ImageLoader("image", decoder="turbo", **arguments)
        first = loader.read(one)
        before = first.copy()
        assert not loader.read(other).any()
        assert np.array_equal(first, before)


def test_a_picture_too_large_for_the_kept_memory_is_decoded_too() -> None:
    assert difference(*both(jpeg(picture(1600, 1500)), image_size=(300, 300))) < 3
