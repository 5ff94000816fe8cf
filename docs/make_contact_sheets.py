"""Draw the contact sheets of docs/augmentation.md and docs/from_image_data_generator.md into
docs/images.

Run it from anywhere: `python docs/make_contact_sheets.py`. The last sheet needs SciPy, as Keras's
ImageDataGenerator does. The pictures are those of sample_data, and the draws are fixed, so that a
second run changes nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import multimodal_gen as mg
from multimodal_gen.augment import (
    Augmentation,
    GaussianBlur,
    RandAugment,
    RandomBrightness,
    RandomChannelShift,
    RandomContrast,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomGrayscale,
    RandomHue,
    RandomResizedCrop,
    RandomRotation,
    RandomSaturation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
    TrivialAugment,
)

ROOT = Path(__file__).resolve().parent.parent
SIDE, GAP, TEXT = 104, 4, 24
DRAWS, SEED = 5, 40
PHOTOS = (
    "0004.jpg",
    "0020.jpg",
    "0003.jpg",
    "0010.jpg",
    "0005.jpg",
    "0027.jpg",
    "0023.jpg",
    "0029.jpg",
)

Row = tuple[str, Sequence[np.ndarray]]


def photo(name: str) -> np.ndarray:
    """A picture of sample_data, `(SIDE, SIDE, 3) uint8`."""
    loader = mg.ImageLoader("image", image_size=(SIDE, SIDE), interpolation="bicubic")
    return loader.read(ROOT / "sample_data" / "images" / name)


def sheet(rows: Sequence[Row], titles: Sequence[str] = ()) -> Image.Image:
    """Rows of pictures of one size, each with a line of text above it, and titles above the
    columns.
    """
    height, width = rows[0][1][0].shape[:2]
    columns = max(len(images) for _, images in rows)
    top = TEXT if titles else 0
    size = (columns * (width + GAP) + GAP, top + len(rows) * (height + TEXT + GAP) + GAP)
    page = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    for column, title in enumerate(titles):
        pen.text(
            (GAP + column * (width + GAP) + width / 2, TEXT / 2),
            title,
            "dimgray",
            font,
            anchor="mm",
        )
    for row, (text, images) in enumerate(rows):
        y = top + GAP + row * (height + TEXT + GAP)
        pen.text((GAP, y + TEXT / 2), text, "black", font, anchor="lm")
        for column, image in enumerate(images):
            page.paste(Image.fromarray(image), (GAP + column * (width + GAP), y + TEXT))
    return page


def draws(operations: Sequence[Augmentation]) -> Image.Image:
    """The original and some draws of each operation, one row an operation."""
    rows: list[Row] = []
    for number, operation in enumerate(operations):
        image = photo(PHOTOS[number % len(PHOTOS)])
        streams = [
            np.random.Generator(np.random.Philox(key=SEED + 100 * number + draw))
            for draw in range(DRAWS)
        ]
        rows.append((repr(operation), [image, *(operation(image, stream) for stream in streams)]))
    return sheet(rows, ["original"])


def borders() -> Image.Image:
    """Each fill mode with one fixed draw of each operation that looks beyond the borders."""
    image = photo("0020.jpg")
    titles = ["original", "RandomZoom", "RandomTranslation", "RandomRotation", "RandomShear"]
    rows: list[Row] = []
    for mode in ("reflect", "nearest", "wrap", "constant"):
        operations = [
            RandomZoom((0.6, 0.6), fill_mode=mode),
            RandomTranslation((0.25, 0.25), (-0.25, -0.25), fill_mode=mode),
            RandomRotation((0.08, 0.08), fill_mode=mode),
            RandomShear((0.4, 0.4), fill_mode=mode),
        ]
        rng = np.random.Generator(np.random.Philox(0))
        rows.append(
            (f'fill_mode="{mode}"', [image, *(operation(image, rng) for operation in operations)])
        )
    return sheet(rows, [title.removeprefix("Random").lower() for title in titles])


def beside_keras() -> Image.Image:
    """The same parameters through Keras's ImageDataGenerator and through this package, where they
    differ.
    """
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    image = np.hstack([photo("0004.jpg"), photo("0003.jpg")])
    dull = (image // 2 + 64).astype("uint8")
    rng = np.random.Generator(np.random.Philox(0))

    def keras(picture: np.ndarray, **parameters: float) -> np.ndarray:
        with warnings.catch_warnings():
            # A name of SciPy that Keras still uses.
            warnings.simplefilter("ignore", DeprecationWarning)
            generator = ImageDataGenerator(fill_mode="constant")
            return generator.apply_transform(picture.astype("float32"), parameters).astype("uint8")

    def ours(picture: np.ndarray, operation: Callable[..., np.ndarray]) -> np.ndarray:
        return operation(picture, rng)

    black = {"fill_mode": "constant"}
    turn, shear = 15 / 360, float(np.tan(np.radians(30)))
    rows: list[Row] = [
        (
            "turned by 15 degrees: about the centre",
            [image, keras(image, theta=15), ours(image, RandomRotation((turn, turn), **black))],
        ),
        (
            "zoomed in by a third: the centre stays where it is",
            [
                image,
                keras(image, zx=2 / 3, zy=2 / 3),
                ours(image, RandomZoom((-1 / 3, -1 / 3), **black)),
            ],
        ),
        (
            "height_shift_range: up and down",
            [
                image,
                keras(image, tx=-20),
                ours(image, RandomTranslation((20, 20), 0, unit="pixels", **black)),
            ],
        ),
        (
            "sheared by 30 degrees: as high as before",
            [image, keras(image, shear=30), ours(image, RandomShear((-shear, -shear), **black))],
        ),
        (
            "channel shift by 60: lighter, and no detail lost",
            [
                dull,
                keras(dull, channel_shift_intensity=60),
                ours(dull, RandomChannelShift((60 / 255, 60 / 255), together=True)),
            ],
        ),
    ]
    return sheet(rows, ["original", "ImageDataGenerator", "multimodal_gen"])


def main() -> None:
    """Write all sheets."""
    sheets = {
        "augment_geometric": draws(
            [
                RandomFlip("horizontal"),
                RandomZoom(0.3),
                RandomTranslation(0.2, 0.2),
                RandomRotation(0.1),
                RandomShear(0.4, 0.2),
                RandomCrop(70, 70),
                RandomResizedCrop(scale=(0.3, 1.0)),
            ]
        ),
        "augment_color": draws(
            [
                RandomBrightness(0.3),
                RandomBrightness(0.6, method="multiply"),
                RandomContrast(0.7),
                RandomSaturation(1.0),
                RandomHue(0.5),
                RandomChannelShift(0.2),
                RandomChannelShift(0.2, together=True),
                RandomGrayscale(0.5),
            ]
        ),
        "augment_detail": draws(
            [
                RandomErasing(),
                RandomErasing(0.7, fill_value=(255, 255, 255)),
                GaussianBlur(sigma=3.0),
                RandAugment(),
                RandAugment(3, factor=(0.0, 1.0)),
                TrivialAugment(),
            ]
        ),
        "augment_borders": borders(),
        "beside_image_data_generator": beside_keras(),
    }
    folder = ROOT / "docs" / "images"
    folder.mkdir(exist_ok=True)
    for name, page in sheets.items():
        page.save(folder / f"{name}.jpg", quality=88, subsampling=0)


if __name__ == "__main__":
    main()
