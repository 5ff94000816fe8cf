from __future__ import annotations

import io

import numpy as np
from PIL import Image

import multimodal_gen as mg


def wave(height: int, width: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    red = 127 + 100 * np.sin(x / 17) * np.cos(y / 23)
    return Image.fromarray(np.stack([red, 255 - red, 127 + red / 3], axis=-1).astype("uint8"))


def jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def test_shrinking_while_decoding_changes_pixels_by_a_hair() -> None:
    for height, width in ((900, 1300), (2000, 700), (449, 449)):
        data = jpeg(wave(height, width))
        whole = np.asarray(
            Image.open(io.BytesIO(data)).resize((224, 224), Image.Resampling.BILINEAR), "float32"
        )
        assert np.abs(mg.ImageLoader("image").read(data) - whole).mean() < 1.5


def test_no_side_is_decoded_smaller_than_it_is_needed() -> None:
    # 460 pixels shrunk by 2 are 230: enough for 224, too few for 240, where the whole picture is
    # decoded.
    data = jpeg(wave(460, 900))
    for size, exact in ((224, False), (240, True)):
        whole = np.asarray(
            Image.open(io.BytesIO(data)).resize(
                (size, size), Image.Resampling.BILINEAR, reducing_gap=1
            )
        )
        assert (
            np.array_equal(mg.ImageLoader("image", image_size=(size, size)).read(data), whole)
            == exact
        )


def test_nearest_takes_pixels_of_the_whole_picture() -> None:
    data = jpeg(wave(900, 900))
    whole = np.asarray(Image.open(io.BytesIO(data)).resize((100, 100), Image.Resampling.NEAREST))
    loader = mg.ImageLoader("image", image_size=(100, 100), interpolation="nearest")
    assert np.array_equal(loader.read(data), whole)
