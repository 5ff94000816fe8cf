"""Limits of decoding: pixels, scans, bytes, formats that run programs, and warnings."""

import io
import os
import stat
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from lossless_jpeg import encode
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.loaders.image import resizing as fitting
from multimodal_gen.loaders.image.limits import check_jpeg, jpeg_header
from multimodal_gen.loaders.image.quiet import quiet


def content_of(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def picture() -> Image.Image:
    rows, columns = np.mgrid[0:60, 0:90]
    waves = np.sin(rows / 7) * np.cos(columns / 9) * 120 + 128
    return Image.fromarray(np.stack([waves, 255 - waves, np.roll(waves, 9, 0)], -1).astype("uint8"))


def read(content: object, **options: object) -> np.ndarray:
    return mg.ImageLoader("x", **{"image_size": (32, 32), **options}).read(content)  # type: ignore[arg-type]


# Pixels


def test_the_limit_is_the_loaders_own_and_pillows_is_neither_used_nor_changed(
    picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(picture, "PNG")
    with pytest.raises(
        mg.LoadError, match=r"90 x 60 pixels, more than this loader decodes \(max_pixels=5,399\)"
    ):
        read(content, max_pixels=5399)
    assert Image.MAX_IMAGE_PIXELS == 89_478_485
    for limit in (10, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert read(content, max_pixels=5400).shape == (32, 32, 3)
        assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("kind", "options", "share"),
    [
        *[
            ("PNG", {}, 1),
            ("GIF", {}, 1),
            ("JPEG", {}, 1),
            ("JPEG", {"progressive": True}, 2),
            ("TIFF", {}, 2),
        ],
        *[("WEBP", {}, 4), ("AVIF", {}, 4), ("JPEG2000", {}, 8), ("DDS", {}, 64)],
    ],
)
@pytest.mark.parametrize("decoder", ["pillow", "turbo"])
def test_formats_that_take_more_for_a_pixel_may_have_fewer(
    picture: Image.Image, kind: str, options: dict[str, object], share: int, decoder: str
) -> None:
    if kind not in Image.SAVE:
        Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    content = content_of(picture, kind, **options)
    assert read(content, max_pixels=5400 * share, decoder=decoder).shape == (32, 32, 3)
    with pytest.raises(
        mg.LoadError, match="90 x 60 pixels, more than this loader decodes"
    ) as caught:
        read(content, max_pixels=5400 * share - 1, decoder=decoder)
    assert (f"may have 1/{share})" in str(caught.value)) == (share > 1)


def test_scans_are_not_hidden_behind_a_marker_without_a_length() -> None:
    frame = b"\xff\xc0\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00"
    one_scan = frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    # After FF 01, a decoder continues with the segment FF E9; read as a length, FF E9 leads to a
    # false header in it.
    payload = bytes(65_509) + one_scan
    start = b"\xff\xd8\xff\x01\xff\xe9" + (len(payload) + 2).to_bytes(2, "big") + payload
    with pytest.raises(mg.LoadError, match="of which a JPEG file of 9001 scans"):
        check_jpeg(start + b"\xff\xda" * 9000, 5000, 5000, 2**27)
    check_jpeg(b"\xff\xd8" + one_scan + b"\xff\xda" * 9000, 5000, 5000, 2**27)


@pytest.mark.parametrize("decoder", ["pillow", "turbo"])
def test_a_jpeg_file_of_very_many_scans_is_refused(picture: Image.Image, decoder: str) -> None:
    content = content_of(picture, "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    bomb = content[:-2] + content[last:-2] * 20_000 + content[-2:]
    assert read(content, decoder=decoder).shape == (32, 32, 3)
    with pytest.raises(
        mg.LoadError, match=r"of which a JPEG file of 20\d\d\d scans may have 1/50\d\d"
    ):
        read(bomb, decoder=decoder, max_pixels=5400 * 5000)


def test_a_small_icon_cannot_hide_a_huge_picture() -> None:
    inner = content_of(Image.new("1", (3000, 2000)), "PNG")
    header = (
        bytes([0, 0, 1, 0, 1, 0, 16, 16, 0, 0, 1, 0, 32, 0])
        + len(inner).to_bytes(4, "little")
        + (22).to_bytes(4, "little")
    )
    mac = (
        b"icns"
        + (16 + len(inner)).to_bytes(4, "big")
        + b"ic07"
        + (8 + len(inner)).to_bytes(4, "big")
    )
    assert read(header + inner).shape == (32, 32, 3)
    for content in (header + inner, mac + inner):
        with pytest.raises(
            mg.LoadError, match=r"3000 x 2000 pixels, more than this loader decodes"
        ):
            read(content, max_pixels=5_000_000)


def png(
    width: int, height: int, compressed: bytes, *chunks: tuple[bytes, bytes], bits: int = 8
) -> bytes:
    """A PNG file of RGBA pixels with extra chunks before them."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, 6, 0, 0, 0])
    parts = [(b"IHDR", header), *chunks, (b"IDAT", compressed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
        for name, data in parts
    )


@pytest.mark.slow
def test_the_largest_picture_allowed_is_decoded_in_less_than_a_gigabyte() -> None:
    side, deflate = 11585, zlib.compressobj(1)
    rows = b"".join(deflate.compress(bytes(1 + 4 * side)) for _ in range(side)) + deflate.flush()
    content = png(side, side, rows)
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("measures memory as Linux tells it")

    def used(what: str) -> int:
        return 1024 * int(status.read_text().partition(f"{what}:")[2].split()[0])

    Path("/proc/self/clear_refs").write_text("5")
    before = used("VmRSS")
    assert (read(content) == 255).all()
    assert used("VmHWM") - before < 0.75e9


def test_huge_texts_in_a_picture_are_an_error_or_nothing(picture: Image.Image) -> None:
    rows = zlib.compress(bytes((1 + 4 * 8) * 8))
    bomb = (b"zTXt", b"comment\0\0" + zlib.compress(bytes(10**8)))
    with pytest.raises(mg.LoadError, match="broken or cannot be read: Decompressed data too large"):
        read(png(8, 8, rows, bomb))
    assert read(png(8, 8, rows, *[(b"tEXt", b"comment\0" + b"x" * 1000)] * 100)).shape == (
        32,
        32,
        3,
    )


def test_a_limit_is_a_positive_integer() -> None:
    for limit in (0, -1, 1.5, "many", None):
        with pytest.raises(
            ValueError, match=r"`max_pixels` must be a positive integer. Received: max_pixels="
        ):
            mg.ImageLoader("x", max_pixels=limit)


def test_no_program_is_run_for_postscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gs", "gswin64c"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (tmp_path / name).chmod((tmp_path / name).stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    binary = (
        b"\xc5\xd0\xd3\xc6"
        + (32).to_bytes(4, "little")
        + len(script).to_bytes(4, "little")
        + bytes(20)
        + script
    )
    for content in (script, binary):
        for decoder in ("pillow", "turbo"):
            with pytest.raises(
                mg.LoadError, match="in EPS format, for which Pillow runs another program"
            ):
                read(content, decoder=decoder)
    assert not (tmp_path / "ran").exists()


# Large pictures


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I;16", "I", "F"]
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"crop_to_aspect_ratio": True, "color_mode": "rgba"},
        {"pad_to_aspect_ratio": True, "color_mode": "grayscale", "background": (9, 9, 9)},
        {"interpolation": "nearest", "image_size": (7, 5)},
        {"image_size": (100, 20)},
    ],
)
def test_a_large_picture_converted_in_tiles_is_the_picture_converted_whole(
    picture: Image.Image, mode: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode in ("I;16", "I"):
        image = Image.fromarray(
            np.asarray(picture.convert("L")).astype("uint16" if mode == "I;16" else "int32") * 200
        )
    elif mode == "LAB":
        image = Image.merge("LAB", picture.split())
    else:
        image = picture.convert(mode)
    if mode == "1" and "interpolation" in options:
        pytest.skip("the nearest of black and white pixels are at random")
    if mode in ("I", "F"):
        options = options | {"value_range": (0, 51000) if mode == "I" else (0, 255)}
    whole = read(image, **options).astype(int)
    for tile in (16, 25, 64):
        monkeypatch.setattr(fitting, "LARGE", 100)
        monkeypatch.setattr(fitting, "_TILE", tile)
        tiled = read(image, **options).astype(int)
        monkeypatch.undo()
        # Some of the nearest neighbours are others.
        bound = 40 if "interpolation" in options else 3
        assert np.abs(tiled - whole).mean() < bound, (tile, np.abs(tiled - whole).mean())


def test_large_pictures_of_every_orientation_are_upright(
    picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    upright = read(picture, crop_to_aspect_ratio=True).astype(int)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    for large in (2**24, 100):
        monkeypatch.setattr(fitting, "LARGE", large)
        for orientation, turn in undo.items():
            exif = Image.Exif()
            exif[274] = orientation
            stored = picture.transpose(Image.Transpose(turn))
            content = content_of(stored, "PNG", exif=exif)
            turned = read(content, crop_to_aspect_ratio=True).astype(int)
            assert np.abs(turned - upright).mean() < 3, (large, orientation)


# Warnings


def warn() -> None:
    warnings.warn("of ours", UserWarning, stacklevel=1)


def test_warnings_of_decoders_reach_nobody_and_fail_nothing(picture: Image.Image) -> None:
    broken = content_of(picture, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x09\0\x0e\x01")
    for action in ("error", "always"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter(action)
            for decoder in ("pillow", "turbo"):
                assert read(broken, decoder=decoder).shape == (32, 32, 3)
        assert not caught
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Image.open(io.BytesIO(broken)) as image:
            image.getexif()
    assert caught, "the file does make Pillow warn"


def test_only_the_thread_that_decodes_is_quiet() -> None:
    inside, done, seen = threading.Event(), threading.Event(), []

    def decode() -> None:
        with quiet():
            warn()
            inside.set()
            done.wait(10)
            warn()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        thread = threading.Thread(target=decode)
        thread.start()
        assert inside.wait(10)
        warn()
        seen = [str(one.message) for one in caught]
        done.set()
        thread.join()
        warn()
        assert seen == ["of ours"] and len(caught) == 2


def test_quiet_is_over_after_an_error_and_may_be_nested() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        def fail() -> None:
            with quiet():
                with quiet():
                    warn()
                warn()
                raise LookupError

        with pytest.raises(LookupError):
            fail()
        with pytest.raises(UserWarning, match="of ours"):
            warn()


def test_many_threads_that_decode_leave_the_filters_as_they_were(picture: Image.Image) -> None:
    content = content_of(picture, "PNG")
    with warnings.catch_warnings():
        read(content)
        before = list(warnings.filters)
        threads = [
            threading.Thread(target=lambda: [read(content) for _ in range(20)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert warnings.filters == before


# Kinds of JPEG


@pytest.mark.parametrize("decoder", ["pillow", "turbo"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_lossless_jpeg_file_is_decoded_in_full(
    channels: int, decoder: str, picture: Image.Image
) -> None:
    # It cannot be shrunk while it is decoded, which would be done for every size below half of its
    # own.
    pixels = np.asarray(picture) if channels == 3 else np.asarray(picture.convert("L"))
    content = encode(pixels)
    for size in ((8, 8), (60, 90)):
        expected = read(content_of(Image.fromarray(pixels), "PNG"), image_size=size)
        np.testing.assert_array_equal(read(content, image_size=size, decoder=decoder), expected)
        np.testing.assert_array_equal(
            read(Image.open(io.BytesIO(content)), image_size=size), expected
        )
    with pytest.raises(mg.LoadError, match="broken or cannot be read"):
        read(content[: len(content) // 2], decoder=decoder)


def test_headers_of_unusual_kinds_are_told_from_plain_ones(picture: Image.Image) -> None:
    content = content_of(picture, "JPEG")
    assert jpeg_header(content) == (90, 60, 3, False, True)
    assert jpeg_header(content_of(picture.convert("L"), "JPEG")) == (90, 60, 1, False, True)
    assert jpeg_header(content_of(picture.convert("CMYK"), "JPEG")) == (90, 60, 4, False, True)
    assert jpeg_header(content_of(picture, "JPEG", progressive=True)) == (90, 60, 3, False, False)
    frame = content.index(b"\xff\xc0")
    for changed in (
        content[:frame] + b"\xff\xc9" + content[frame + 2 :],  # arithmetic coding
        content[: frame + 4] + b"\x0c" + content[frame + 5 :],  # 12 bits
        content[:frame] + b"\xff\x01" + content[frame:],  # a marker without a length
        content[:frame] + content[frame : frame + 19] + content[frame:],  # two frames
        encode(np.asarray(picture)),
        content[:100],
        b"",
    ):
        assert jpeg_header(changed) is None


@pytest.mark.parametrize("filling", [b"\xff", b"\xff" * 5])
def test_bytes_that_fill_up_before_a_marker_hide_no_orientation(
    filling: bytes, picture: Image.Image
) -> None:
    exif = Image.Exif()
    exif[274] = 6
    content = content_of(picture, "JPEG", exif=exif, quality=95, subsampling=0)
    place = content.index(b"\xff\xe1")
    filled = content[:place] + filling + content[place:]
    upright = read(content, image_size=(90, 60)).astype(int)
    assert np.abs(upright - read(picture, image_size=(90, 60)).astype(int)).mean() > 10
    for decoder in ("pillow", "turbo"):
        turned = read(filled, image_size=(90, 60), decoder=decoder).astype(int)
        assert np.abs(turned - upright).mean() < 3, decoder
