"""Problems planted in a table of good rows, so that it is known what an audit should find."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance

_PLACEHOLDER = "Image for illustration only"


def plant(
    table: pd.DataFrame, folder: Path, out: Path, per_kind: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Copy a table and its pictures, and spoil some rows.

    Args:
        table: The columns image (path), caption, label and split; good rows.
        folder: Where the paths start.
        out: An empty folder; the pictures come into `out/images`.
        per_kind: How many rows are spoiled in each way.
        seed: Fixes which rows, and how.

    Returns:
        The spoiled table, and what was planted: the columns row (position), kind, and other (the
        position of the row that it is a copy of, or -1).
    """
    shutil.copytree(folder / "images", out / "images")
    planter = _Planter(table.copy(), folder, out, np.random.default_rng(seed))
    for kind, spoil in planter.ways().items():
        for number in range(per_kind):
            planter.plant(kind, spoil, number)
    return planter.table, pd.DataFrame(planter.planted, columns=["row", "kind", "other"])


class _Planter:
    def __init__(
        self, table: pd.DataFrame, folder: Path, out: Path, rng: np.random.Generator
    ) -> None:
        self.table, self.folder, self.out, self.rng = table, folder, out, rng
        self.free = list(rng.permutation(len(table)))
        self.planted: list[tuple[int, str, int]] = []

    def ways(self) -> dict[str, Callable[[int, int], int]]:
        """Kind of problem -> what does it to a row, and says which row it was copied from."""
        return {
            "missing": self._missing,
            "empty file": lambda row, _: self._write(row, b""),
            "truncated": self._truncated,
            "corrupt": self._corrupt,
            "tiny": lambda row, _: self._draw(
                row, lambda image: image.resize(tuple(self.rng.integers(1, 8, 2)))
            ),
            "huge": lambda row, _: self._draw(row, lambda image: image.resize((2400, 3200))),
            "odd mode": self._odd_mode,
            "near blank": self._near_blank,
            "wrongly named": self._wrongly_named,
            "duplicate": lambda row, _: self._copy(row, same_part=True),
            "near duplicate": lambda row, number: self._copy(row, same_part=True, change=number),
            "leakage": lambda row, number: self._copy(
                row, same_part=False, change=number - 5 if number > 5 else None
            ),
            "conflicting labels": lambda row, _: self._copy(row, same_part=True, same_label=False),
            "empty caption": lambda row, number: self._set(
                row, "caption", ("", "   ", "...", "N/A", "\t")[number % 5]
            ),
            "long caption": lambda row, number: self._set(
                row, "caption", self._text(row) * (20 + 20 * number)
            ),
            "repeated caption": lambda row, _: self._set(row, "caption", _PLACEHOLDER),
            "unseen label": self._unseen_label,
            "spelling": self._spelling,
        }

    def plant(self, kind: str, spoil: Callable[[int, int], int], number: int) -> None:
        row = self._take()
        self.planted.append((row, kind, spoil(row, number)))

    def _take(self, fits: Callable[[int], bool] = lambda row: True) -> int:
        place = next(place for place in range(len(self.free) - 1, -1, -1) if fits(self.free[place]))
        return int(self.free.pop(place))

    def _set(self, row: int, column: str, value: object) -> int:
        self.table.iloc[row, self.table.columns.get_loc(column)] = value
        return -1

    def _text(self, row: int) -> str:
        return f"{self.table['caption'].iloc[row]}. "

    def _content(self, row: int) -> bytes:
        return (self.folder / self.table["image"].iloc[row]).read_bytes()

    def _write(self, row: int, content: bytes, suffix: str = ".jpg") -> int:
        name = f"images/planted-{row}{suffix}"
        (self.out / name).write_bytes(content)
        return self._set(row, "image", name)

    def _draw(
        self,
        row: int,
        change: Callable[[Image.Image], Image.Image],
        form: str = "JPEG",
        quality: int = 90,
    ) -> int:
        with Image.open(self.folder / self.table["image"].iloc[row]) as image:
            changed = change(image.convert("RGB"))
        buffer = io.BytesIO()
        changed.save(buffer, form, quality=quality)
        return self._write(row, buffer.getvalue(), ".jpg" if form == "JPEG" else f".{form.lower()}")

    def _missing(self, row: int, number: int) -> int:
        return self._set(row, "image", None if number % 2 else f"images/gone-{row}.jpg")

    def _truncated(self, row: int, number: int) -> int:
        content = self._content(row)
        return self._write(row, content[: int(len(content) * self.rng.uniform(0.2, 0.95))])

    def _corrupt(self, row: int, number: int) -> int:
        content = bytearray(self._content(row))
        if number % 3 == 0:
            return self._write(row, b"<html><body>404 not found</body></html>")
        if number % 3 == 1:
            return self._write(row, self.rng.bytes(len(content)))
        start = len(content) // 2 + len(content) // 8
        content[start : start + 200] = self.rng.bytes(200)
        return self._write(row, bytes(content))

    def _odd_mode(self, row: int, number: int) -> int:
        mode, form = (("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "PNG"), ("P", "PNG"), ("1", "PNG"))[
            number % 5
        ]
        return self._draw(row, lambda image: image.convert(mode), form)

    def _near_blank(self, row: int, number: int) -> int:
        colour, size = self.rng.integers(0, 256, 3), (80, 60, 3)
        pixels = np.clip(colour + self.rng.normal(0, number % 3, size), 0, 255).astype("uint8")
        return self._draw(row, lambda image: Image.fromarray(pixels))

    def _wrongly_named(self, row: int, number: int) -> int:
        form, suffix = (("PNG", ".jpg"), ("JPEG", ".png"), ("WEBP", ".jpg"), ("JPEG", ".gif"))[
            number % 4
        ]
        buffer = io.BytesIO()
        with Image.open(self.folder / self.table["image"].iloc[row]) as image:
            image.convert("RGB").save(buffer, form)
        return self._write(row, buffer.getvalue(), suffix)

    def _copy(
        self, row: int, *, same_part: bool, same_label: bool = True, change: int | None = None
    ) -> int:
        parts, labels = self.table["split"], self.table["label"]
        other = self._take(
            lambda one: (
                (parts.iloc[one] == parts.iloc[row]) == same_part
                and (same_label or labels.iloc[one] != labels.iloc[row])
            )
        )
        if same_label:
            self._set(row, "label", labels.iloc[other])
        self._set(row, "image", self.table["image"].iloc[other])
        if change is None:
            self._write(row, self._content(row))
        else:
            self._alter(row, change)
        return other

    def _alter(self, row: int, number: int) -> None:
        rng = self.rng

        def cropped(image: Image.Image) -> Image.Image:
            width, height = image.size
            left, right = rng.integers(0, max(2, width // 30 + 1), 2)
            upper, lower = rng.integers(0, max(2, height // 30 + 1), 2)
            return image.crop((int(left), int(upper), width - int(right), height - int(lower)))

        def resized(image: Image.Image) -> Image.Image:
            scale = rng.uniform(0.7, 1.6)
            return image.resize(
                (round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC
            )

        changes: list[Callable[[Image.Image], Image.Image]] = [
            lambda image: image,
            resized,
            lambda image: ImageEnhance.Brightness(image).enhance(rng.uniform(0.8, 1.15)),
            cropped,
        ]
        self._draw(row, changes[number % 4], quality=int(rng.integers(60, 90)))

    def _unseen_label(self, row: int, number: int) -> int:
        return self._set(row, "label", f"Unheard-of {number}")

    def _spelling(self, row: int, number: int) -> int:
        other = self._take()
        text = str(self.table["caption"].iloc[other])
        self._set(row, "caption", (text.upper(), f"{text}!", text.replace(" ", "  "))[number % 3])
        return other
