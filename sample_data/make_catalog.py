"""Draws the sample catalogue: small pictures of household things with captions that complete them.

The label of a row is a pair such as "glass mug". The picture alone shows the shape (mug, lamp or
chair) and the caption alone names the material (glass, wood or metal), so a model that reads one of
them stops at one third and a model that reads both can be right on every row. All else (colour,
size, angle, light, wording) is drawn independently of both.

It draws no photographs and takes nothing from outside: Pillow, numpy and a seed are enough to
rebuild any row alone.
"""

import argparse
import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

MATERIALS = ("glass", "wood", "metal")
SHAPES = ("mug", "lamp", "chair")
LABELS = tuple(f"{material} {shape}" for material in MATERIALS for shape in SHAPES)
SIZE = 64
ROWS = 900
SEED = 7

# Four subpixels a side are averaged into one pixel: the antialiasing that ImageDraw itself does not
# offer.
_CANVAS = 4 * SIZE


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(", "))


_MATERIAL_WORDS = {
    "glass": _words(
        "glass, crystal, cut crystal, blown glass, frosted glass, pressed glass, smoked glass"
    ),
    "wood": _words("wood, oak, pine, walnut, beech, birch, maple"),
    "metal": _words("metal, steel, brass, copper, iron, cast iron, aluminium"),
}
_MATERIAL_ADJECTIVES = {"glass": "glassy", "wood": "wooden", "metal": "metallic"}
_FILLERS = {
    "colour": _words(
        "red, blue, green, yellow, purple, orange, pink, white, black, grey, teal, navy, cream, "
        "violet"
    ),
    "room": _words(
        "kitchen, bedroom, study, hallway, office, studio, workshop, lounge, veranda, cabin, "
        "library"
    ),
    "mood": _words(
        "charming, simple, sturdy, elegant, quiet, playful, timeless, modest, rustic, modern, "
        "cheerful"
    ),
    "thing": _words("piece, item, design, find, classic, favourite, object, keeper"),
    "brand": _words("Nordhus, Velora, Harrowby, Tilde, Bramley, Okkervik, Marlow, Fennimore"),
    "person": _words(
        "grandmother, a neighbour, our designer, a young family, my brother, an old friend"
    ),
    "occasion": _words(
        "birthdays, weddings, rainy days, slow mornings, long evenings, a first home"
    ),
    "price": tuple(str(price) for price in range(12, 96, 4)),
}
# A caption is an opening, a middle that names the material ({before} a noun or made {of} it) and an
# ending.
_OPENINGS = (
    "",
    "",
    "",
    "new this week: ",
    "back in stock: ",
    "loved by readers: ",
    "a bargain: ",
    "only here: ",
)
_MIDDLES = (
    "a {mood} {before} {thing}",
    "{before} {thing} by {brand}",
    "this {mood} {thing} made of {of}",
    "from {brand}, a {before} {thing}",
    "a {thing} of {of}, {mood} and practical",
    "our {mood} {thing}, all {of}",
    "handmade by {person}, a {before} {thing}",
    "the {brand} {thing}, now in {of}",
    "second hand {thing}, {of} throughout",
    "pure {of}, shaped by {brand} into a {mood} {thing}",
)
_ENDINGS = (
    ", just right for the {room}.",
    ", perfect for {occasion}.",
    ", shipped in a {colour} box.",
    ". It goes well with {colour} walls.",
    ", chosen by {person}.",
    ". Only {price} euros, no returns.",
    ". Sure to cheer up a {colour} {room}.",
    ", with a {colour} ribbon around it.",
    ". Last one in stock at {price} euros.",
    ", kept for years in a {colour} cupboard.",
)
# Hand-picked, because evenly drawn hues come out mostly as neon greens.
_OBJECT_COLOURS = bytes.fromhex("""
    e4572e f3a712 f7d060 a8c686 4f9d69 2a9d8f 1b4965 3d5a80 669bbc 8ecae6 6d597a b56576 e56b6f
    f4acb7 9d4edd 5e3c99 c1121f 780000 f8f4e3 d9d9d9 8d99ae 3b3b58 bc6c25 606c38 ef8354 2d6a4f
    ffb4a2 00798c
""")
_GROUND_COLOURS = bytes.fromhex("""
    f6ead7 e8dff5 d7ecd9 cfe8ef fde2e4 fff1c1 e9d8c4 c9d6df b8c4bb a3b9c9 d4a59a 84a59d 7d8597
    6b705c 5c677d 355070 2b2d42 283618 3c2a21 4a2545 1f363d 9a8c98 c6ac8f f2cc8f
""")


def _random(seed: int, row: int, part: int) -> np.random.Generator:
    """A stream of its own for each part of each row, so that no part can tell anything about
    another.
    """
    return np.random.default_rng((seed, part, row))


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.random() * len(options))]


def row_label(seed: int, row: int, rows: int = ROWS) -> str:
    """Returns the label of one row: a seeded shuffle of equally many rows of each of the nine
    pairs.
    """
    order = np.argsort(_random(seed, 0, 0).random(rows), kind="stable")
    return LABELS[int(order[row]) % len(LABELS)]


def write_caption(seed: int, row: int, material: str) -> str:
    """Returns a sentence that names `material` in one of many words and says nothing about the
    shape.
    """
    rng = _random(seed, row, 1)
    words = _MATERIAL_WORDS[material]
    fillers = {slot: _pick(rng, options) for slot, options in _FILLERS.items()}
    form = _pick(rng, _OPENINGS) + _pick(rng, _MIDDLES) + _pick(rng, _ENDINGS)
    text = form.format(
        before=_pick(rng, [*words, _MATERIAL_ADJECTIVES[material]]), of=_pick(rng, words), **fillers
    )
    text = re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)
    return text[0].upper() + text[1:]


class _Layer:
    """A transparent sheet on which shaded polygons are laid in the object's own coordinates, about
    [-1, 1], y down.

    Args:
        scale: Supersampled pixels per unit.
        angle: Rotation in radians.
        centre: Where the object's origin comes to lie, as fractions of the picture.
        mirror: 1 or -1; -1 flips left and right.
        light: Side the light comes from, -1 (left) to 1 (right).
    """

    def __init__(
        self, scale: float, angle: float, centre: tuple[float, float], mirror: int, light: float
    ) -> None:
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        self._matrix = scale * turn @ np.diag([mirror, 1])
        self._centre = np.array(centre) * _CANVAS
        self._light = light * mirror
        self.colour = np.zeros((_CANVAS, _CANVAS, 3))
        self.mask = np.zeros((_CANVAS, _CANVAS), bool)
        grid = np.stack(np.meshgrid(np.arange(_CANVAS), np.arange(_CANVAS)), -1) - self._centre
        self._across = (grid @ np.linalg.inv(self._matrix).T)[..., 0]

    def fill(self, points: np.ndarray, colour: np.ndarray, bulge: float = 0.35) -> None:
        """Fills a polygon `(n, 2)`; `bulge` darkens it towards its sides as on a cylinder (0:
        flat).
        """
        sheet = Image.new("1", (_CANVAS, _CANVAS))
        ImageDraw.Draw(sheet).polygon(
            [tuple(xy) for xy in points @ self._matrix.T + self._centre], fill=1
        )
        inside = np.asarray(sheet)
        low, high = points[:, 0].min(), points[:, 0].max()
        place = 2 * (self._across[inside] - low) / max(high - low, 1e-6) - 1
        shade = 1.08 - bulge * (place - 0.6 * self._light) ** 2
        self.colour[inside] = colour * shade[:, None]
        self.mask |= inside

    def stroke(self, start: np.ndarray, end: np.ndarray, width: float, colour: np.ndarray) -> None:
        """Lays a straight bar of `width` with rounded ends."""
        along = (end - start) / max(float(np.hypot(*(end - start))), 1e-6)
        first = np.arctan2(along[1], along[0]) + np.pi / 2
        turn = np.linspace(0, np.pi, 9)
        caps = [start + width / 2 * np.stack([np.cos(first + turn), np.sin(first + turn)], -1)]
        caps.append(
            end
            + width / 2 * np.stack([np.cos(first + np.pi + turn), np.sin(first + np.pi + turn)], -1)
        )
        self.fill(np.concatenate(caps), colour, 0.2)


def _arc(
    x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360
) -> np.ndarray:
    """Points `(n, 2)` on an ellipse; degrees run clockwise from the right, as y points down."""
    turn = np.radians(np.linspace(start, stop, 48))
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], -1)


def _drum(top: float, top_rx: float, bottom: float, bottom_rx: float, flat: float) -> np.ndarray:
    """Outline of a round body seen from slightly above; `flat` is the height of its ellipses over
    their width.
    """
    upper = _arc(0, top, top_rx, flat * top_rx, 180, 360)
    return np.concatenate([upper, _arc(0, bottom, bottom_rx, flat * bottom_rx, 0, 180)])


def _draw_mug(
    layer: _Layer, rng: np.random.Generator, pitch: float, main: np.ndarray, accent: np.ndarray
) -> None:
    flat = np.sin(pitch) * 0.75
    rx, half, taper = rng.uniform(0.5, 0.66), rng.uniform(0.5, 0.72), rng.uniform(0.68, 1.08)
    style, thick = int(rng.random() * 4), rng.uniform(0.12, 0.19)
    reach, tall, drop = rng.uniform(0.3, 0.42), rng.uniform(0.28, 0.42), rng.uniform(-0.08, 0.08)
    side = rx * (1 + taper) / 2 - 0.06
    outer, inner = (
        _arc(side, drop, reach, tall, -90, 90),
        _arc(side, drop, reach - thick, tall - thick, 90, -90),
    )
    layer.fill(np.concatenate([outer, inner]), 0.88 * main, 0.2)
    layer.fill(_drum(-half, rx, half, rx * taper, flat), main)
    if style:  # one band, two bands or a glazed foot
        for low, high in (((-0.3, 0.3),), ((-0.5, -0.25), (0.2, 0.45)), ((0.35, 1.0),))[style - 1]:
            widths = [rx * (1 + (taper - 1) * (level + 1) / 2) for level in (low, high)]
            lower = _arc(0, high * half, widths[1], flat * widths[1], 0, 180)
            upper = _arc(0, low * half, widths[0], flat * widths[0], 180, 0)
            layer.fill(np.concatenate([lower, upper]), accent)
    layer.fill(_arc(0, -half, rx, flat * rx), np.minimum(1.25 * main + 0.08, 1), 0)
    inside = 0.5 * (accent if rng.random() < 0.5 else main)
    layer.fill(_arc(0, -half + 0.02, rx - 0.07, flat * (rx - 0.05)), inside)


def _draw_lamp(
    layer: _Layer, rng: np.random.Generator, pitch: float, main: np.ndarray, accent: np.ndarray
) -> None:
    flat = np.sin(pitch) * 0.6
    wide, narrow, hem = rng.uniform(0.5, 0.68), rng.uniform(0.22, 0.42), rng.uniform(-0.2, 0.02)
    style, foot, thick = int(rng.random() * 3), rng.uniform(0.28, 0.42), rng.uniform(0.07, 0.13)
    layer.fill(_drum(0.84, foot, 0.9, foot, max(flat, 0.15)), 0.8 * accent)
    layer.stroke(np.array([0.0, hem]), np.array([0.0, 0.82]), thick, accent)
    if style == 1:  # a round belly on the stem
        layer.fill(_arc(0, 0.52, rng.uniform(0.2, 0.3), rng.uniform(0.22, 0.3)), accent)
    elif style == 2:  # beads threaded on the stem
        for level in (0.2, 0.42, 0.64):
            layer.fill(_arc(0, level, 0.15, 0.11), accent)
    layer.fill(_drum(-0.85, narrow, hem, wide, flat), main)
    if rng.random() < 0.4:
        lower, upper = (
            _arc(0, hem, wide, flat * wide, 0, 180),
            _arc(0, hem - 0.1, wide * 0.95, flat * wide, 180, 0),
        )
        layer.fill(np.concatenate([lower, upper]), accent)
    layer.fill(_arc(0, -0.85, narrow, flat * narrow), np.minimum(1.2 * main + 0.12, 1), 0)


def _draw_chair(
    layer: _Layer, rng: np.random.Generator, pitch: float, main: np.ndarray, accent: np.ndarray
) -> None:
    yaw, style = rng.uniform(0.25, 0.95), int(rng.random() * 3)
    half, leg, rise = rng.uniform(0.4, 0.5), rng.uniform(0.7, 0.9), rng.uniform(0.8, 1.0)
    thick, lean, shift = rng.uniform(0.09, 0.13), rng.uniform(0.0, 0.18), (leg - rise) / 2

    def see(x: float, height: float, depth: float) -> np.ndarray:
        """Orthographic view of a point of the chair, turned by `yaw` and looked down upon by
        `pitch`.
        """
        right, away = x * np.cos(yaw) + depth * np.sin(yaw), depth * np.cos(yaw) - x * np.sin(yaw)
        return np.array([right, -height * np.cos(pitch) - away * np.sin(pitch) - shift])

    def back(x: float, height: float) -> np.ndarray:
        return see(x, height, half + lean * height)

    wood = 0.82 * accent if rng.random() < 0.6 else 0.85 * main
    for x, depth in ((-half, half), (half, half), (-half, -half), (half, -half)):
        layer.stroke(see(0.92 * x, 0, 0.92 * depth), see(x, -leg, depth), thick, wood)
    for x in (-half, half):
        layer.stroke(back(x, 0), back(x, rise), thick, wood)
    if style == 0:  # a solid panel
        panel = [back(-half, 0.3), back(half, 0.3), back(half, rise), back(-half, rise)]
        layer.fill(np.stack(panel), main, 0.15)
    elif style == 1:  # rails across
        for height in np.linspace(0.3, rise, 3):
            layer.stroke(back(-half, height), back(half, height), 1.3 * thick, main)
    else:  # upright slats under a top rail
        for x in np.linspace(-half, half, 5)[1:-1]:
            layer.stroke(back(x, 0), back(x, rise), 0.6 * thick, main)
        layer.stroke(back(-half, rise), back(half, rise), 1.5 * thick, main)
    corners = ((-half, -half), (half, -half), (half, half), (-half, half))
    for height, colour in ((-0.1, 0.65 * main), (0.0, np.minimum(1.08 * main, 1))):
        layer.fill(
            np.stack([see(1.1 * x, height, 1.1 * depth) for x, depth in corners]), colour, 0.1
        )


_DRAW: dict[str, Callable[..., None]] = {"mug": _draw_mug, "lamp": _draw_lamp, "chair": _draw_chair}


def _paint(rng: np.random.Generator, colours: bytes) -> np.ndarray:
    """Returns one of the colours, a little varied, as `(3,)` in [0, 1]."""
    table = np.frombuffer(colours, np.uint8).reshape(-1, 3) / 255
    chosen: np.ndarray = table[int(rng.random() * len(table))] + rng.uniform(-0.05, 0.05, 3)
    return chosen.clip(0.03, 1)


def _background(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """Returns `(canvas, canvas, 3)` in [0, 1]: plain, gradient, stripes, speckle, dots or a wall
    above a floor.
    """
    other = np.clip(colour * rng.uniform(0.8, 1.15) + rng.uniform(-0.04, 0.04, 3), 0, 1)
    kind, angle, period = int(rng.random() * 6), rng.uniform(0, np.pi), rng.uniform(0.1, 0.25)
    y, x = np.mgrid[:_CANVAS, :_CANVAS] / _CANVAS
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    grain = Image.fromarray(rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)).resize(
        (_CANVAS, _CANVAS)
    )
    share = (
        np.zeros_like(x),
        (along - along.min()) / np.ptp(along),
        along / period % 1 < 0.5,
        np.asarray(grain) / 255,
        (along / period % 1 - 0.5) ** 2 + (across / period % 1 - 0.5) ** 2 < 0.08,
        y + (x - 0.5) * 0.2 * np.cos(angle) > 0.45 + period,
    )[kind]
    mixed: np.ndarray = colour + (other - colour) * np.asarray(share)[..., None]
    return mixed


def draw_picture(seed: int, row: int, shape: str) -> Image.Image:
    """Returns a 64x64 RGB picture of `shape`; the material is not among its arguments and so cannot
    show.
    """
    rng = _random(seed, row, 2)
    # Scene first, object last: the same scene comes out whichever shape is put into it.
    ground = _paint(rng, _GROUND_COLOURS)
    palette: list[np.ndarray] = []
    while len(palette) < 2:
        colour = _paint(rng, _OBJECT_COLOURS)
        # Both in grey and in colour: what stands out only by its hue is lost to shadow and to
        # JPEG's coarse chroma.
        if (
            abs((colour - ground) @ (0.3, 0.6, 0.1)) > 0.18
            and np.linalg.norm(colour - ground) > 0.35
        ):
            palette.append(colour)
    scene = _background(rng, ground)
    scale, light = rng.uniform(0.31, 0.44), rng.uniform(-1, 1)
    centre = (0.5 + rng.uniform(-1, 1) * (0.47 - scale), 0.5 + rng.uniform(-1, 1) * (0.47 - scale))
    mirror = 1 if rng.random() < 0.5 else -1
    layer = _Layer(scale * _CANVAS, np.radians(rng.uniform(-24, 24)), centre, mirror, light)
    darkness, softness, fall = rng.uniform(0.15, 0.5), rng.uniform(2, 9), rng.uniform(3, 16)
    vignette, slope, brightness = rng.uniform(0, 0.5), rng.uniform(0, 0.3), rng.uniform(0.84, 1.1)
    noise = rng.normal(0, rng.uniform(0.0, 0.012), (SIZE, SIZE, 1))
    _DRAW[shape](layer, rng, np.radians(rng.uniform(14, 34)), *palette)

    silhouette = Image.fromarray(layer.mask.astype(np.uint8) * 255).filter(
        ImageFilter.GaussianBlur(softness)
    )
    shadow = np.roll(
        np.asarray(silhouette, dtype=float) / 255, (round(fall), round(-light * fall)), (0, 1)
    )
    scene = scene * (1 - darkness * shadow[..., None])
    scene = np.where(layer.mask[..., None], layer.colour, scene)
    y, x = np.mgrid[:_CANVAS, :_CANVAS] / _CANVAS - 0.5
    scene = (
        scene * (brightness * (1 + slope * light * x) * (1 - vignette * (x**2 + y**2)))[..., None]
    )
    pixels = scene.clip(0, 1).reshape(SIZE, 4, SIZE, 4, 3).mean((1, 3)) + noise
    return Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))


def draw_row(seed: int, row: int, *, rows: int = ROWS) -> tuple[Image.Image, str, str]:
    """Rebuilds one row of the catalogue without the others.

    Args:
        seed: Seed of the whole catalogue.
        row: Position of the row, from 0 to `rows - 1`.
        rows: Length of the catalogue; it settles which label the row gets.

    Returns:
        The picture (64x64 RGB), the caption and the label, for example "oak" in the caption for
        "wood chair".
    """
    label = row_label(seed, row, rows)
    material, shape = label.split()
    return draw_picture(seed, row, shape), write_caption(seed, row, material), label


def encode(image: Image.Image) -> bytes:
    """Returns the JPEG file that the catalogue keeps of a picture."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=88, optimize=True)
    return stream.getvalue()


def make_catalog(directory: Path, *, rows: int = ROWS, seed: int = SEED) -> Path:
    """Writes `catalog.csv` and `images/` into `directory` and returns the path of the table."""
    (directory / "images").mkdir(parents=True, exist_ok=True)
    table = directory / "catalog.csv"
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("image", "caption", "label"))
        for row in range(rows):
            picture, caption, label = draw_row(seed, row, rows=rows)
            name = f"images/{row:04d}.jpg"
            (directory / name).write_bytes(encode(picture))
            writer.writerow((name, caption, label))
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the sample catalogue.")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder to write into"
    )
    parser.add_argument("--rows", type=int, default=ROWS, help=f"number of rows (default {ROWS})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed (default {SEED})")
    options = parser.parse_args()
    print(make_catalog(options.out, rows=options.rows, seed=options.seed))
