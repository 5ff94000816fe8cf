"""How far `decoder="turbo"` is from `decoder="pillow"`, in levels of 255, for photos and stripes of
many shapes.

    python -m benchmarks.levels --images ../shared/data/photos

Stripes are black and white, or red and green, 2 to 20 pixels wide, across, down and diagonal: more
detail than a photo has. "Mean" is over all pictures of a row, "most" is the picture that is
farthest away.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import multimodal_gen as mg

BLACK_AND_WHITE = ((255, 255, 255), (0, 0, 0))
RED_AND_GREEN = ((200, 30, 40), (30, 160, 60))
# Height and width of stripes, what they are resized to, and their colours.
STRIPES = (
    ((25, 284), (64, 64), BLACK_AND_WHITE),
    ((64, 640), (224, 224), BLACK_AND_WHITE),
    ((375, 500), (224, 224), BLACK_AND_WHITE),
    ((400, 400), (224, 224), BLACK_AND_WHITE),
    ((375, 500), (224, 224), RED_AND_GREEN),
)


def jpeg(image: Image.Image) -> bytes:
    """The content of a file."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def stripes(
    size: tuple[int, int], colours: tuple[tuple[int, int, int], tuple[int, int, int]]
) -> list[bytes]:
    """Pictures of each width and direction."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    one, other = (np.array(colour, "uint8") for colour in colours)
    return [
        jpeg(Image.fromarray(np.where((place % period < period / 2)[..., None], one, other)))
        for period in (2, 3, 4, 5, 7, 10, 20)
        for place in (x, y, x + y)
    ]


def differences(pictures: list[bytes], image_size: tuple[int, int], **fit: bool) -> list[float]:
    """The mean difference in levels, a number per picture."""
    pillow, turbo = (
        mg.ImageLoader("image", image_size=image_size, decoder=name, **fit)  # type: ignore[arg-type]
        for name in ("pillow", "turbo")
    )
    return [
        float(np.abs(turbo.read(one).astype("float32") - pillow.read(one)).mean())
        for one in pictures
    ]


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", type=Path, required=True, help="a folder with photos, JPEG, in it or below"
    )
    parser.add_argument(
        "--limit", type=int, default=90, help="photos at most, spread over the folder"
    )
    arguments = parser.parse_args()
    files = sorted(
        path for path in arguments.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg")
    )
    photos = [
        path.read_bytes()
        for path in files[:: max(1, len(files) // arguments.limit)][: arguments.limit]
    ]
    small = [
        jpeg(Image.open(io.BytesIO(photo)).convert("RGB").resize((100, 78))) for photo in photos
    ]
    rows = [
        ("photos", (224, 224), differences(photos, (224, 224))),
        ("photos, cropped", (224, 224), differences(photos, (224, 224), crop_to_aspect_ratio=True)),
        ("photos, padded", (224, 224), differences(photos, (224, 224), pad_to_aspect_ratio=True)),
        ("photos", (64, 64), differences(photos, (64, 64))),
        ("photos", (120, 300), differences(photos, (120, 300))),
        ("photos of 100 x 78", (64, 64), differences(small, (64, 64))),
    ]
    for size, image_size, colours in STRIPES:
        name = (
            f"stripes{', red and green' if colours is RED_AND_GREEN else ''}, {size[1]} x {size[0]}"
        )
        rows.append((name, image_size, differences(stripes(size, colours), image_size)))
    table = Table(
        "pictures",
        "to",
        "mean",
        "most",
        title=f"{len(photos)} photos, {len(stripes((9, 9), RED_AND_GREEN))} stripes",
    )
    for name, to, found in rows:
        table.add_row(name, f"{to[0]} x {to[1]}", f"{np.mean(found):.1f}", f"{max(found):.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
