"""What resampling does to quality: how far each way of shrinking photos is from Pillow's
antialiased result.

    python -m benchmarks.quality --images ../shared/data/photos

PSNR (peak signal-to-noise ratio, in dB, more is nearer) is taken against a full decode and
`Image.resize(BILINEAR)` by Pillow. "Pattern" is what is left of a chessboard of single pixels,
400x400, which no smaller picture can show: the standard deviation of the result in grey levels, 0
where it is plain grey, and 40 where it aliases without restraint.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import multimodal_gen as mg

Shrink = Callable[[bytes], np.ndarray]


def ways(image_size: tuple[int, int]) -> dict[str, Shrink]:
    """Name -> from a JPEG file's content to `(height, width, 3) uint8`; without those whose library
    is missing.
    """
    height, width = image_size
    found: dict[str, Shrink] = {
        'decoder="pillow"': mg.ImageLoader("image", image_size=image_size).read
    }
    try:
        import cv2
        import simplejpeg

        found['decoder="turbo"'] = mg.ImageLoader(
            "image", image_size=image_size, decoder="turbo"
        ).read
        for name, interpolation in (
            ("OpenCV linear", cv2.INTER_LINEAR),
            ("OpenCV area", cv2.INTER_AREA),
        ):
            found[name] = lambda data, interpolation=interpolation: np.asarray(  # type: ignore[misc]
                cv2.resize(
                    simplejpeg.decode_jpeg(data, "RGB"),
                    (width, height),
                    interpolation=interpolation,
                )
            )
    except ImportError:
        pass
    import tensorflow as tf

    for name, antialias in (("tf.image.resize", False), ("tf.image.resize, antialias", True)):
        found[name] = lambda data, antialias=antialias: np.rint(  # type: ignore[misc]
            tf.image.resize(
                tf.io.decode_jpeg(data, channels=3), image_size, antialias=antialias
            ).numpy()
        ).astype("uint8")
    return found


def reference(data: bytes, image_size: tuple[int, int]) -> np.ndarray:
    """A full decode, and a triangle filter as wide as the shrinking asks for."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize(image_size[::-1], Image.Resampling.BILINEAR))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """In dB; at most 99, which is what equal pictures get."""
    error = float(np.mean(np.square(one.astype("float64") - other)))
    return min(99.0, 10 * np.log10(255**2 / error)) if error else 99.0


def chessboard() -> bytes:
    """400x400 pixels, black and white in turn."""
    y, x = np.mgrid[0:400, 0:400]
    stream = io.BytesIO()
    Image.fromarray(np.where((x + y) % 2, 255, 0).astype("uint8")).convert("RGB").save(
        stream, "JPEG", quality=100
    )
    return stream.getvalue()


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", type=Path, required=True, help="a folder with photos, JPEG, in it or below"
    )
    parser.add_argument(
        "--image-size", type=int, nargs=2, default=[224, 224], metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--limit", type=int, default=400, help="photos at most")
    arguments = parser.parse_args()
    image_size = (arguments.image_size[0], arguments.image_size[1])
    files = sorted(
        path for path in arguments.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg")
    )
    photos = []
    for path in files[: arguments.limit]:
        with Image.open(path) as image:
            if image.height > image_size[0] and image.width > image_size[1]:
                photos.append(path.read_bytes())
    wanted = [reference(photo, image_size) for photo in photos]
    table = Table(
        "resized by",
        "PSNR median",
        "5th percentile",
        "pattern",
        title=f"{len(photos)} photos, {image_size}",
    )
    for name, shrink in ways(image_size).items():
        found = [psnr(shrink(photo), right) for photo, right in zip(photos, wanted, strict=True)]
        pattern = float(shrink(chessboard()).std())
        table.add_row(
            name, f"{np.median(found):.1f}", f"{np.percentile(found, 5):.1f}", f"{pattern:.1f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
