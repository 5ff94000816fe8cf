"""Pictures: decode whatever the cell holds into pixels of one size and colour mode.

`ImageLoader` opens the cell, turns the picture upright and resizes it; `pixels.py` knows how each of
Pillow's many modes becomes plain 8-bit colour; `multimodal_gen.augment` varies the result, and
`normalization.py` shifts and scales it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from multimodal_gen.augment import Augmentation, augment_image
from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import ArraySpec, Loader, is_missing, missing_error
from multimodal_gen.loaders.normalization import Normalization
from multimodal_gen.loaders.pixels import from_array, to_mode

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "lanczos3": Image.Resampling.LANCZOS,
}
_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}


class ImageLoader(Loader):
    """Decodes pictures to one size; any file that Pillow reads, any of its colour modes.

    A cell may be a path (str or `pathlib.Path`), the bytes of a file, an array `(height, width)` or
    `(height, width, 1, 3 or 4)`, a `PIL.Image.Image`, or a mapping with "bytes" or "path" as the Hugging Face
    datasets have it. EXIF orientation is applied; of an animation the first frame counts; transparency is laid over
    `background` unless `color_mode` is "rgba". Shrinking is antialiased.

    Yields `(height, width, channels)`, kind "image": uint8 in [0, 255], or float32 of those values times `rescale`, and
    then normalised. As pictures are to be varied before they are normalised, `read` leaves that to `augment`.

    Args:
        column: The column of pictures.
        directory: Where relative paths start; by default the working directory.
        image_size: `(height, width)` in pixels.
        color_mode: "rgb" (3 channels), "rgba" (4) or "grayscale" (1).
        interpolation: "nearest", "bilinear", "bicubic", "area" or "lanczos3".
        crop_to_aspect_ratio: Cut the longer side, centred, instead of stretching.
        pad_to_aspect_ratio: Fill the shorter side with `background` instead of stretching.
        dtype: "uint8", or "float32".
        rescale: For float32 only: each value is multiplied by it, for example 1/255.
        background: `(red, green, blue)` in [0, 255], behind transparency and around padding.
        augment: Operations for training, in this order: from `multimodal_gen.augment`, or any picklable callable
            `(image, rng) -> image` on uint8 arrays.
        normalize: For float32 only: a `SamplewiseNormalization`, a `FeaturewiseNormalization` or a `ZCAWhitening`;
            applied last, when training and when evaluating.
    """

    def __init__(
        self,
        column: str,
        *,
        directory: str | os.PathLike[str] | None = None,
        image_size: tuple[int, int] = (224, 224),
        color_mode: str = "rgb",
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        dtype: str = "uint8",
        rescale: float | None = None,
        background: Sequence[int] = (255, 255, 255),
        augment: Sequence[Augmentation | Callable[[np.ndarray, np.random.Generator], np.ndarray]] = (),
        normalize: Normalization | None = None,
    ) -> None:
        if color_mode not in _MODES:
            raise ValueError(f"`color_mode` must be one of {sorted(_MODES)}. Received: color_mode={color_mode!r}")
        if interpolation not in _RESAMPLING:
            raise ValueError(
                f"`interpolation` must be one of {sorted(_RESAMPLING)}. Received: interpolation={interpolation!r}"
            )
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError("Choose one of `crop_to_aspect_ratio` and `pad_to_aspect_ratio`. Received: both")
        if dtype not in ("uint8", "float32") or (rescale is not None and dtype != "float32"):
            raise ValueError(
                '`dtype` must be "uint8" or "float32", and `rescale` needs dtype="float32". '
                f"Received: dtype={dtype!r}, rescale={rescale!r}"
            )
        if rescale is not None and not (np.isfinite(rescale) and rescale > 0):
            raise ValueError(f"`rescale` must be a positive number. Received: rescale={rescale!r}")
        pair = isinstance(image_size, tuple | list) and len(image_size) == 2
        if not pair or not all(isinstance(one, int | np.integer) and one > 0 for one in image_size):
            raise ValueError(
                f"`image_size` must be (height, width), two positive integers. Received: image_size={image_size!r}"
            )
        if len(background) != 3 or not all(0 <= value <= 255 for value in background):
            raise ValueError(f"`background` must be three values in [0, 255]. Received: background={background!r}")
        if not isinstance(augment, list | tuple):
            raise ValueError(f"`augment` must be a list of operations. Received: augment={augment!r}")
        for operation in augment:
            if not callable(operation) or isinstance(operation, type):
                raise ValueError(
                    "`augment` must hold objects such as RandomFlip(), or callables `(image, rng) -> image`. "
                    f"Received: {operation!r}"
                )
        if normalize is not None and not isinstance(normalize, Normalization):
            raise ValueError(
                "`normalize` must be a normalisation such as SamplewiseNormalization(). "
                f"Received: normalize={normalize!r}"
            )
        if normalize is not None and dtype != "float32":
            raise ValueError(f'`normalize` needs dtype="float32". Received: dtype={dtype!r}, normalize={normalize!r}')
        self.column = column
        self.directory = None if directory is None else os.fspath(directory)
        self.mode = _MODES[color_mode]
        self.resampling = _RESAMPLING[interpolation]
        self.crop, self.pad = crop_to_aspect_ratio, pad_to_aspect_ratio
        self.rescale = rescale
        self.background = tuple(int(value) for value in background)
        self.operations = tuple(augment)
        self.normalize = normalize
        self.spec = ArraySpec((*image_size, {"rgb": 3, "rgba": 4, "grayscale": 1}[color_mode]), dtype, "image")
        if normalize is not None:
            normalize.check(self.spec.shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments; of `augment` without callables of your own, which JSON cannot hold and prediction not use."""
        own = [operation for operation in self.operations if isinstance(operation, Augmentation)]
        return {**super().get_config(), "augment": own}

    def read(self, cell: Any) -> np.ndarray:
        """Decode, turn upright, resize; not yet normalised.

        Raises:
            LoadError: If there is no such file, or it is not a picture, or a broken one; it names the path.
        """
        path = self._path(cell)
        try:
            with self._open(cell, path) as image:
                pixels = np.asarray(self._fit(image))
        except LoadError:
            raise
        except FileNotFoundError:
            raise LoadError(
                "there is no such file. Check the column, and `directory`, where relative paths start "
                f"(directory={self.directory!r}).",
                path=path,
            ) from None
        except IsADirectoryError:
            empty = isinstance(cell, str) and not cell
            reason = "the cell is empty. Fill it, or drop the row." if empty else "the path names a folder, not a file."
            raise LoadError(reason, path=path) from None
        except UnidentifiedImageError:
            raise LoadError(
                "the content is not a picture in any format that Pillow knows. Replace the file, or drop the row.",
                path=path,
            ) from None
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise LoadError(
                f"the picture is broken or cannot be read: {reason.rstrip('.')}. Replace the file, or drop the row.",
                path=path,
            ) from error
        pixels = pixels.reshape(self.spec.shape)
        return pixels if self.spec.dtype == "uint8" else self._to_float(pixels)

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Apply the operations given as `augment`, in order, unless `rng` is None; then normalise."""
        if rng is not None and self.operations:
            if self.spec.dtype == "uint8":
                return augment_image(array, self.operations, rng)
            # The way back to uint8 is exact: every value came from an integer in [0, 255].
            pixels = np.rint(array / (self.rescale or 1.0)).astype("uint8")
            array = self._to_float(augment_image(pixels, self.operations, rng))
        return array if self.normalize is None else self.normalize(array)

    def _to_float(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.astype("float32") * np.float32(self.rescale or 1.0)

    def _path(self, cell: Any) -> str | None:
        if isinstance(cell, Mapping) and cell.get("bytes") is None:
            cell = cell.get("path")
        if not isinstance(cell, str | PurePath):
            return None
        return os.path.join(self.directory, cell) if self.directory is not None else os.fspath(cell)

    def _open(self, cell: Any, path: str | None) -> Image.Image:
        if path is not None:
            return Image.open(path)
        if isinstance(cell, Mapping):
            cell = cell.get("bytes")
        if is_missing(cell):
            raise missing_error()
        if isinstance(cell, bytes | bytearray | memoryview):
            return Image.open(io.BytesIO(cell))
        if isinstance(cell, np.ndarray):
            return from_array(cell)
        if isinstance(cell, Image.Image):
            return cell.copy()
        raise LoadError(
            "expected a path, bytes, an array, a PIL image, or a mapping with 'bytes' or 'path'. "
            f"Received: {type(cell).__name__}"
        )

    def _fit(self, image: Image.Image) -> Image.Image:
        height, width = self.spec.shape[:2]
        # A JPEG decoder can shrink by 2, 4 or 8 at a fraction of the cost; twice the size needed keeps full quality.
        # The longer side serves for both axes, as the picture may yet be turned.
        image.draft(None, (2 * max(height, width), 2 * max(height, width)))
        image = to_mode(ImageOps.exif_transpose(image), self.mode, self.background)
        if self.pad:
            return self._padded(image, height, width)
        box = _centre_box(image.size, width / height) if self.crop else None
        if image.size == (width, height):
            return image
        return image.resize((width, height), self.resampling, box=box)

    def _padded(self, image: Image.Image, height: int, width: int) -> Image.Image:
        scale = min(width / image.width, height / image.height)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        fill: Any = {"RGB": self.background, "RGBA": (*self.background, 0), "L": _luma(self.background)}[self.mode]
        canvas = Image.new(self.mode, (width, height), fill)
        canvas.paste(image.resize(size, self.resampling), ((width - size[0]) // 2, (height - size[1]) // 2))
        return canvas


def _centre_box(size: tuple[int, int], aspect: float) -> tuple[float, float, float, float]:
    width, height = size
    kept_width, kept_height = min(width, height * aspect), min(height, width / aspect)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height


def _luma(color: Sequence[int]) -> int:
    """Grey of a colour by ITU-R BT.601, the weights Pillow's own conversion uses."""
    red, green, blue = color
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
