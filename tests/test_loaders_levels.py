"""Pictures of other depths than 8 bits: the same value is the same level in every picture."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg


def load(cell: object, **arguments: object) -> np.ndarray:
    """The pixels of a picture of one row, four pixels wide, `(4, channels)`."""
    settings = {
        "image_size": (1, 4),
        "color_mode": "grayscale",
        "interpolation": "nearest",
        **arguments,
    }
    return mg.ImageLoader("image", **settings).read(cell)[0]  # type: ignore[arg-type]


def levels(cell: object, **arguments: object) -> list[int]:
    return load(cell, **arguments)[:, 0].tolist()


def png(depth: int, colour: int, samples: bytes, key: bytes | None = None) -> bytes:
    """A PNG file of 4x1 pixels: colour 0 is grey, 2 is RGB, 4 is grey with alpha; `key` is the
    transparent one.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 1, depth, colour, 0, 0, 0))
    keyed = b"" if key is None else chunk(b"tRNS", key)
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + keyed
        + chunk(b"IDAT", zlib.compress(b"\0" + samples))
        + chunk(b"IEND", b"")
    )


def tiff(array: np.ndarray) -> bytes:
    """A TIFF file of one strip in the array's own byte order and format."""
    order = ">" if array.dtype.byteorder == ">" else "<"
    data, kind = array.tobytes(), {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    tags = {
        256: 4,
        257: 1,
        258: 8 * array.itemsize,
        259: 1,
        262: 1,
        273: 8,
        277: 1,
        278: 1,
        279: len(data),
        339: kind,
    }
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    mark = b"MM\0*" if order == ">" else b"II*\0"
    return (
        mark
        + struct.pack(f"{order}I", 8 + len(data))
        + data
        + struct.pack(f"{order}H", len(tags))
        + entries
        + bytes(4)
    )


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


TWELVE_BITS = (0, 1000, 2000, 4095)


@pytest.mark.parametrize(
    "content",
    [
        png(16, 0, words(*TWELVE_BITS)),
        b"P5 4 1 65535\n" + words(*TWELVE_BITS),
        b"P5 4 1 4095\n" + words(*TWELVE_BITS),
        b"P2 4 1 8191\n0 1000 2000 4095\n",
        tiff(np.array(TWELVE_BITS, "<u2")),
        tiff(np.array(TWELVE_BITS, ">u2")),
        tiff(np.array(TWELVE_BITS, "<i2")),
        tiff(np.array(TWELVE_BITS, ">i4")),
        tiff(np.array(TWELVE_BITS, "<f4")),
    ],
    ids=[
        "png",
        "pgm",
        "pgm 4095",
        "pgm in text",
        "tiff",
        "tiff MM",
        "tiff signed",
        "tiff 32 bit",
        "tiff floats",
    ],
)
def test_values_are_mapped_from_the_range_whatever_the_format(
    content: bytes, tmp_path: Path
) -> None:
    assert levels(content, value_range=(0, 4095)) == [0, 62, 125, 255]
    assert levels(content, value_range=(1000, 2000.0)) == [0, 0, 255, 255]
    (tmp_path / "picture").write_bytes(content)
    turbo = {"decoder": "turbo", "interpolation": "bilinear"}
    assert levels(tmp_path / "picture", value_range=(0, 4095), **turbo) == [0, 62, 125, 255]
    with Image.open(io.BytesIO(content)) as image:
        assert levels(image, value_range=(0, 4095)) == [0, 62, 125, 255]


def test_twelve_bits_of_jpeg_2000_are_in_the_range_of_the_file() -> None:
    # What OpenJPEG writes of 16 bits, its header changed to say that 12 of them count; Pillow
    # shifts them up.
    stream = io.BytesIO()
    Image.fromarray(np.array([TWELVE_BITS], "uint16")).save(
        stream, "JPEG2000", irreversible=False, no_jp2=True
    )
    content = bytearray(stream.getvalue())
    depth = content.index(b"\xff\x51") + 40
    assert content[depth] == 15
    assert levels(bytes(content), value_range=(0, 4095)) == [0, 62, 125, 255]


def test_without_a_range_sixteen_bits_are_the_full_sixteen_however_dark_the_picture_is() -> None:
    for dark in ((0, 100, 200, 250), (0, 5000, 30000, 65535)):
        expected = np.rint(np.array(dark) / 257).astype(int).tolist()
        for content in (
            png(16, 0, words(*dark)),
            b"P5 4 1 65535\n" + words(*dark),
            tiff(np.array(dark, "<u2")),
            tiff(np.array(dark, ">u2")),
            np.array([dark], "uint16"),
        ):
            assert levels(content) == expected
    # What the header names as the largest value is white: a fact of the file, not of its content.
    assert levels(b"P5 4 1 4095\n" + words(*TWELVE_BITS)) == [0, 62, 125, 255]
    assert levels(tiff(np.array([-32768, 0, 100, 32767], "<i2"))) == [0, 128, 128, 255]


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<i4", ">i4"])
@pytest.mark.parametrize("decoder", ["pillow", "turbo"])
def test_floats_and_integers_of_32_bits_need_a_range(
    dtype: str, decoder: str, tmp_path: Path
) -> None:
    content = tiff(np.array([0, 0.25, 0.5, 1] if "f" in dtype else [0, 1, 2, 4], dtype))
    (tmp_path / "a.tif").write_bytes(content)
    loader = mg.ImageLoader("image", directory=tmp_path, image_size=(1, 4), decoder=decoder)
    with pytest.raises(mg.LoadError, match=r"value_range=\(low, high\)") as caught:
        loader.read("a.tif")
    assert caught.value.path == str(tmp_path / "a.tif")
    bright = tiff(np.array([0, 1, 2, 4], dtype))
    # The same value has the same level, beside whatever others.
    assert (
        levels(content, value_range=(0, 4))[-1]
        == levels(bright, value_range=(0, 4))[1 if "f" in dtype else -1]
    )
    assert levels(bright, value_range=(0, 4)) == [0, 64, 128, 255]


def test_infinite_values_are_clipped_and_those_that_are_not_numbers_refused() -> None:
    assert levels(tiff(np.array([2, np.inf, -np.inf, 1], "<f4")), value_range=(0, 2)) == [
        255,
        255,
        0,
        128,
    ]
    broken = np.array([[np.nan, 0, 1, np.nan]], "float32")
    for cell in (tiff(broken[0]), broken):
        with pytest.raises(mg.LoadError, match=r"2 of the picture's 4 values are NaN.*nan_to_num"):
            load(cell, value_range=(0, 2))


def test_arrays_of_any_numbers_are_mapped_from_the_range() -> None:
    for dtype in ("int16", "int64", "float16", "float64", "uint16"):
        array = np.array([TWELVE_BITS], dtype)
        assert levels(array, value_range=(0, 4095)) == [0, 62, 125, 255], dtype
        colours = np.stack([array] * 3, axis=2)
        assert load(colours, value_range=(0, 4095), color_mode="rgb").tolist() == [
            [v] * 3 for v in (0, 62, 125, 255)
        ]
    with pytest.raises(mg.LoadError, match="alpha has its own range"):
        load(np.zeros((1, 4, 4), "uint16"), value_range=(0, 4095))
    with pytest.raises(mg.LoadError, match="real numbers"):
        load(np.zeros((1, 4), "complex64"), value_range=(0, 4095))


def test_pictures_of_eight_bits_stay_as_they_are_and_halved_colours_refuse_a_range() -> None:
    assert levels(png(8, 0, bytes([0, 1, 2, 255])), value_range=(0, 4095)) == [0, 1, 2, 255]
    assert levels(np.array([[0, 1, 2, 255]], "uint8"), value_range=(0, 4095)) == [0, 1, 2, 255]
    halved = (
        png(16, 2, words(*range(0, 12000, 1000))),
        png(16, 4, words(*range(0, 8000, 1000))),
        b"P6 4 1 4095\n" + words(*range(0, 2400, 200)),
    )
    for content in halved:
        load(content)
        with pytest.raises(mg.LoadError, match="only the upper 8 bits are decoded"):
            load(content, value_range=(0, 4095))


@pytest.mark.parametrize(
    ("content", "transparent"),
    [
        (png(1, 0, bytes([0b01010000]), words(1)), [False, True, False, True]),
        (png(2, 0, bytes([0b00011011]), words(2)), [False, False, True, False]),
        (png(4, 0, bytes([0x01, 0x5F]), words(5)), [False, False, True, False]),
        (png(8, 0, bytes([1, 2, 3, 4]), words(3)), [False, False, True, False]),
        (png(16, 0, words(0, 255, 256, 257), words(256)), [False, False, True, False]),
        (
            png(8, 2, bytes([1, 2, 3, 3, 2, 1] * 2), bytes([0, 1, 0, 2, 0, 3])),
            [True, False, True, False],
        ),
        # Colours whose upper 8 bits are equal.
        (
            png(16, 2, words(1, 2, 3, 1, 2, 4, 1, 2, 3, 257, 2, 3), words(1, 2, 3)),
            [True, False, True, False],
        ),
    ],
    ids=["1 bit", "2 bits", "4 bits", "8 bits", "16 bits", "8-bit colours", "16-bit colours"],
)
def test_the_colour_that_a_png_file_calls_transparent_is_so_at_every_depth(
    content: bytes, transparent: list[bool]
) -> None:
    alpha = load(content, color_mode="rgba")[:, 3]
    assert alpha.tolist() == [0 if one else 255 for one in transparent]
    over_blue = load(content, color_mode="rgb", background=(0, 0, 254))
    assert [pixel == [0, 0, 254] for pixel in over_blue.tolist()] == transparent
    with Image.open(io.BytesIO(content)) as image:
        if image.mode != "RGB":
            before = dict(image.info)
            np.testing.assert_array_equal(load(image, color_mode="rgba")[:, 3], alpha)
            assert image.info == before


@pytest.mark.parametrize(
    ("value_range", "message"),
    [
        (4095, r"must be \(low, high\), two numbers. Received: value_range=4095"),
        ((0, 1, 2), "two numbers"),
        ((0, float("inf")), "two numbers"),
        ((5, 5), "begin with the lower number"),
        ((1.0, 0.0), "begin with the lower number"),
    ],
)
def test_a_range_is_two_numbers_in_their_order(value_range: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mg.ImageLoader("image", value_range=value_range)  # type: ignore[arg-type]


def test_another_range_is_another_cache_and_the_range_is_saved() -> None:
    loader = mg.ImageLoader("image", value_range=(0, 4095))
    assert loader.read_config() != loader.replace(value_range=(0, 1023)).read_config()
    assert mg.ImageLoader.from_config(loader.get_config()) == loader
    mg.check_loader(loader.replace(image_size=(1, 4)), [png(16, 0, words(*TWELVE_BITS))])


def test_an_audit_says_where_wide_pictures_fill_a_part_of_their_range(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for row in range(4):
        Image.fromarray((rng.random((16, 16)) * 4095).astype("uint16")).save(
            tmp_path / f"{row}.png"
        )
    table = pd.DataFrame({"image": [f"{row}.png" for row in range(4)], "label": ["a", "b"] * 2})
    loader = mg.ImageLoader("image", directory=tmp_path, image_size=(16, 16))
    target = mg.ClassLabel.from_values("label", table)

    def notes(**arguments: object) -> str:
        inputs = {"image": loader.replace(**arguments)}
        return " ".join(mg.audit(table, inputs, target, progress=lambda cells: None).notes)

    assert (
        "image: 4 pictures have more than 8 bits, and the brightest level in them is 16 of 255"
        in notes()
    )
    assert "value_range=(0, 4095)" in notes()
    assert "more than 8 bits" not in notes(value_range=(0, 4095))
    Image.fromarray(np.full((16, 16), 65535, "uint16")).save(tmp_path / "3.png")
    assert "more than 8 bits" not in notes()
