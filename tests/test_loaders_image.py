from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

import multimodal_gen as mg


@pytest.fixture
def picture() -> Image.Image:
    """A smooth, unsymmetrical picture of 48x32 (width x height), of colours few enough for a
    palette.
    """
    y, x = np.mgrid[0:32, 0:48]
    image = Image.fromarray(np.stack([x * 5, y * 7, 255 - x * 2 - y * 3], axis=-1).astype("uint8"))
    return image.quantize(200).convert("RGB")


def load(cell: object, **arguments: object) -> np.ndarray:
    return mg.ImageLoader("image", **{"image_size": (32, 48), **arguments}).read(cell)  # type: ignore[arg-type]


def as_bytes(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def test_every_form_of_a_cell_gives_the_same_pixels(picture: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "ünï.png"
    picture.save(path)
    content = path.read_bytes()
    cells = [
        str(path),
        path,
        content,
        bytearray(content),
        np.asarray(picture),
        picture,
        {"bytes": content, "path": None},
        {"bytes": None, "path": str(path)},
        {"path": path},
    ]
    expected = np.asarray(picture)
    for cell in cells:
        assert np.array_equal(load(cell), expected), type(cell)
    assert np.array_equal(load("sub/ünï.png", directory=tmp_path), expected)
    mg.check_loader(mg.ImageLoader("image", image_size=(16, 16), directory=tmp_path), cells)


def test_the_spec_says_what_is_read(picture: Image.Image) -> None:
    for mode, channels in (("rgb", 3), ("rgba", 4), ("grayscale", 1)):
        loader = mg.ImageLoader("image", image_size=(8, 10), color_mode=mode)
        assert loader.spec == mg.ArraySpec((8, 10, channels), "uint8", "image")
        assert loader.read(picture).shape == (8, 10, channels)


def test_float_images_are_rescaled_and_augmented_like_uint8(picture: Image.Image) -> None:
    flip = [mg.augment.RandomFlip("horizontal"), mg.augment.RandomZoom(0.2)]
    plain = mg.ImageLoader("image", image_size=(32, 48), augment=flip)
    scaled = mg.ImageLoader(
        "image", image_size=(32, 48), dtype="float32", rescale=1 / 255, augment=flip
    )
    assert scaled.read(picture).max() <= 1.0
    for seed in range(5):
        a = plain.augment(plain.read(picture), np.random.default_rng(seed))
        b = scaled.augment(scaled.read(picture), np.random.default_rng(seed))
        assert np.allclose(a / 255.0, b, atol=1e-6)
    mg.check_loader(scaled, [picture])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_same_upright_picture(
    picture: Image.Image, orientation: int
) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = picture.transpose(turns[orientation]) if orientation in turns else picture
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = as_bytes(stored, "PNG", exif=exif)
    assert ImageOps.exif_transpose(Image.open(io.BytesIO(content))).size == (48, 32)
    assert np.array_equal(load(content), np.asarray(picture))


def test_transparency_of_every_kind_is_laid_over_the_background(picture: Image.Image) -> None:
    rgba = picture.convert("RGBA")
    rgba.putalpha(
        Image.fromarray(np.tile(np.where(np.arange(48) < 24, 0, 255).astype("uint8"), (32, 1)))
    )
    palette = rgba.quantize(256)
    grey = rgba.convert("LA")
    for image, tolerance in ((rgba, 0), (palette, 3), (grey, 255)):
        for color in ((255, 255, 255), (10, 20, 30)):
            pixels = load(as_bytes(image, "PNG"), background=color)
            assert (pixels[:, :24] == color).all(), image.mode
            assert (
                np.abs(pixels[:, 24:].astype(int) - np.asarray(picture)[:, 24:]).mean() <= tolerance
            )
    keyed = Image.new("P", (48, 32), 1)
    keyed.putpalette([255, 0, 0, 0, 255, 0])
    content = as_bytes(keyed, "GIF", transparency=1)
    assert (load(content, background=(1, 2, 3)) == (1, 2, 3)).all()
    assert (load(as_bytes(rgba, "PNG"), color_mode="rgba")[:, :24, 3] == 0).all()


def test_palette_cmyk_16_bit_and_lab_versions_differ_little_from_the_picture(
    picture: Image.Image,
) -> None:
    expected = np.asarray(picture).astype(int)
    grey = np.asarray(picture.convert("L")).astype(int)
    profile, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    versions = {
        "palette": as_bytes(picture.quantize(256), "PNG"),
        "cmyk tiff": as_bytes(picture.convert("CMYK"), "TIFF"),
        "cmyk jpeg": as_bytes(picture.convert("CMYK"), "JPEG", quality=98),
        "ycbcr jpeg": as_bytes(picture, "JPEG", quality=98, subsampling=0),
        "lab tiff": as_bytes(
            ImageCms.profileToProfile(picture, profile, lab, outputMode="LAB"), "TIFF"
        ),
        "hsv": picture.convert("HSV"),
    }
    for name, cell in versions.items():
        assert np.abs(load(cell).astype(int) - expected).mean() < 3, name
    wide = Image.fromarray((grey * 257).astype("uint16"))
    for name, cell in {
        "16-bit png": as_bytes(wide, "PNG"),
        "16-bit tiff": as_bytes(wide, "TIFF"),
    }.items():
        assert np.abs(load(cell, color_mode="grayscale")[:, :, 0].astype(int) - grey).max() <= 1, (
            name
        )
    for scale in (1.0, 255.0):
        floats = Image.fromarray((grey / 255 * scale).astype("float32"))
        loaded = load(as_bytes(floats, "TIFF"), color_mode="grayscale", value_range=(0, scale))[
            :, :, 0
        ].astype(int)
        assert np.abs(loaded - grey).max() <= 1


def test_one_bit_pictures_are_black_and_white() -> None:
    bits = Image.fromarray((np.arange(32 * 48).reshape(32, 48) % 2).astype(bool))
    assert set(np.unique(load(as_bytes(bits, "PNG")))) == {0, 255}


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (48, 32), color) for color in ("red", "lime")]
    for format in ("GIF", "PNG", "WEBP"):
        content = as_bytes(
            frames[0], format, save_all=True, append_images=frames[1:], lossless=True
        )
        assert tuple(load(content)[5, 5]) == (255, 0, 0), format


def test_arrays_of_other_dtypes_are_scaled_or_refused() -> None:
    grey = np.arange(32 * 48, dtype="uint16").reshape(32, 48) * 40
    assert np.abs(load(grey, color_mode="grayscale")[:, :, 0] - grey / 257).max() <= 0.5
    assert load(np.ones((32, 48, 1), bool)).min() == 255
    assert load(np.zeros((32, 48, 4), "uint8")).min() == 255  # wholly transparent: the background
    for array, message in (
        (
            np.zeros((32, 48), "float32"),
            r"uint8 in .0, 255., uint16 or bool.*value_range.*Received: dtype float32",
        ),
        (np.zeros((3, 32, 48), "uint8"), r"expected an array \(height, width.*shape \(3, 32, 48\)"),
        (np.zeros((0, 4, 3), "uint8"), "expected an array"),
    ):
        with pytest.raises(mg.LoadError, match=message):
            load(array)


def test_stretching_cropping_and_padding(picture: Image.Image) -> None:
    wide = Image.new("RGB", (80, 20), "blue")
    wide.paste(Image.new("RGB", (40, 20), "red"), (20, 0))
    stretched = load(wide, image_size=(20, 20), interpolation="nearest")
    assert tuple(stretched[10, 0]) == (0, 0, 255)
    cropped = load(wide, image_size=(20, 20), crop_to_aspect_ratio=True)
    assert (cropped == (255, 0, 0)).all()
    padded = load(wide, image_size=(40, 40), pad_to_aspect_ratio=True, background=(9, 8, 7))
    assert (padded[:14] == (9, 8, 7)).all()
    assert (padded[26:] == (9, 8, 7)).all()
    assert tuple(padded[20, 20]) == (255, 0, 0)
    assert tuple(padded[20, 1]) == (0, 0, 255)
    rgba = load(wide, image_size=(40, 40), pad_to_aspect_ratio=True, color_mode="rgba")
    assert rgba[0, 0, 3] == 0
    assert rgba[20, 20, 3] == 255


def test_shrinking_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], "uint8"), (64, 32))
    for interpolation in ("bilinear", "bicubic", "area", "lanczos3"):
        small = load(
            stripes, image_size=(16, 16), interpolation=interpolation, color_mode="grayscale"
        )
        assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() < 12, interpolation


def test_a_large_jpeg_is_decoded_small_without_losing_quality() -> None:
    y, x = np.mgrid[0:1200, 0:1600]
    waves = (127 + 60 * np.sin(x / 40) + 60 * np.cos(y / 30)).astype("uint8")
    image = Image.fromarray(np.stack([waves, waves[::-1], 255 - waves], axis=-1))
    content = as_bytes(image, "JPEG", quality=95)
    reference = np.asarray(
        Image.open(io.BytesIO(content)).resize((64, 64), Image.Resampling.BILINEAR)
    ).astype(int)
    assert np.abs(load(content, image_size=(64, 64)).astype(int) - reference).mean() < 1.5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.jpg", None, r"there is no such file.*directory="),
        ("text.jpg", b"this is not a picture", "not a picture in any format"),
        ("empty.png", b"", "the file is empty. Replace"),
        ("folder", "folder", "names a folder"),
        ("cut.jpg", "cut", "broken or cannot be read: .*[Tt]runcated"),
        ("bad\0name.jpg", None, "no file can have this name"),
    ],
)
def test_what_is_no_picture_is_one_error_with_its_path(
    picture: Image.Image, tmp_path: Path, name: str, content: object, message: str
) -> None:
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        jpeg = as_bytes(picture, "JPEG")
        (tmp_path / name).write_bytes(jpeg[: len(jpeg) // 2] if content == "cut" else content)  # type: ignore[arg-type]
    with pytest.raises(mg.LoadError, match=message) as caught:
        load(name, directory=tmp_path)
    assert caught.value.path == str(tmp_path / name)
    assert name in str(caught.value) or "\0" in name


@pytest.mark.parametrize("cell", [None, float("nan"), {"bytes": None, "path": None}, 7, ["a.jpg"]])
def test_cells_of_other_types_are_refused(cell: object) -> None:
    with pytest.raises(
        mg.LoadError, match="missing|expected a path, (bytes, an array|not a number)"
    ):
        load(cell)


def test_the_picture_given_is_not_changed_or_closed(picture: Image.Image) -> None:
    before = picture.tobytes()
    load(picture, image_size=(8, 8))
    load(picture, image_size=(8, 8))
    assert picture.tobytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"color_mode": "bgr"}, "`color_mode` must be one of .*Received: color_mode='bgr'"),
        ({"interpolation": "best"}, "`interpolation` must be one of .*best"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "Choose either"),
        ({"dtype": "float64"}, "`dtype` must be .*float64"),
        ({"rescale": 0.5}, "`rescale` needs dtype=.float32"),
        ({"dtype": "float32", "rescale": -1}, "`rescale` must be a positive"),
        ({"image_size": (3, 4, 5)}, "`image_size` must be .height, width."),
        ({"image_size": (0, 4)}, "`image_size` must be .* positive integers"),
        ({"image_size": 32}, "`image_size` must be .*Received: image_size=32"),
        ({"augment": mg.augment.RandomFlip()}, "`augment` must be a list of operations"),
        ({"background": (0, 0, 300)}, "`background` must be three values"),
        ({"augment": ["flip"]}, "callables .*Received: 'flip'"),
    ],
)
def test_arguments_without_meaning_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mg.ImageLoader("image", **arguments)


def test_real_photos_load(real_data: Path) -> None:
    table = mg.read_table(real_data / "photos" / "data.csv")
    loader = mg.ImageLoader("image", directory=real_data / "photos", image_size=(64, 64))
    for cell in table["image"][::40]:
        pixels = loader.read(cell).astype(int)
        full = (
            Image.open(real_data / "photos" / cell)
            .convert("RGB")
            .resize((64, 64), Image.Resampling.BILINEAR)
        )
        assert np.abs(pixels - np.asarray(full)).mean() < 2, cell


def brighten(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(image + rng.integers(0, 20), 0, 255).astype("uint8")


def test_a_callable_of_ones_own_augments_and_keeps_the_contract(picture: Image.Image) -> None:
    loader = mg.ImageLoader(
        "image", image_size=(16, 16), augment=[mg.augment.RandomFlip(), brighten]
    )
    mg.check_loader(loader, [picture])
    assert loader.get_config()["augment"] == [mg.augment.RandomFlip()]
    moved = loader.replace(directory="elsewhere")
    assert moved.operations == loader.operations
    assert moved.directory == "elsewhere"


def test_an_empty_cell_and_a_class_in_place_of_an_operation_are_named(tmp_path: Path) -> None:
    with pytest.raises(mg.LoadError, match="the cell is empty"):
        mg.ImageLoader("image", directory=tmp_path).read("")
    with pytest.raises(ValueError, match=r"must hold objects such as RandomFlip\(\)"):
        mg.ImageLoader("image", augment=[mg.augment.RandomZoom])
