"""Decode picture cells of every kind into pixels of one size and colour mode.

`file_loader.py` reads the file that a cell names, if it may, and `cells.py` takes all other cells;
`limits.py` looks at the file's header; `resizing.py` decodes, turns the picture upright and resizes
it, or `jpeg.py` or `turbo.py` does, for JPEG files; `modes.py` knows how each of Pillow's modes
becomes plain 8-bit colour; `multimodal_gen.augment` varies the result, and `normalization.py`
shifts and scales it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from multimodal_gen.augment import Augmentation
from multimodal_gen.augment.together import Variation
from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import Loader, check_missing
from multimodal_gen.loaders.drawing import drawn_pixels
from multimodal_gen.loaders.file_loader import FileLoader
from multimodal_gen.loaders.image.arguments import (
    check_decoder,
    check_operations,
    check_values,
    decoding_by,
    fitting_of,
)
from multimodal_gen.loaders.image.cells import NO_BYTES, as_png, content_of, more_bits
from multimodal_gen.loaders.image.limits import MAX_PIXELS, jpeg_header, most_bytes, open_image
from multimodal_gen.loaders.image.normalization import Normalization
from multimodal_gen.loaders.image.quiet import quiet
from multimodal_gen.loaders.stages import stage
from multimodal_gen.loaders.vary_with import saved_config, varied_with
from multimodal_gen.rows.checks import check_positive, check_switches
from multimodal_gen.spec import ArraySpec

# Raised whenever the same settings begin to give other pixels, so that caches of the old ones are
# not used.
_DECODING = 3


class ImageLoader(FileLoader):
    """Decodes pictures to one size, from any file and colour mode that Pillow reads.

    A cell may be a path (str or `pathlib.Path`), the bytes of a file, an array `(height, width)` or
    `(height, width, 1, 3 or 4)`, a `PIL.Image.Image`, or a mapping with "bytes" or "path" as the
    Hugging Face datasets have it. EXIF orientation is applied; of an animation the first frame
    counts; transparency is laid over `background` unless `color_mode` is "rgba". Shrinking is
    antialiased.

    Yields `(height, width, channels)`, kind "image": uint8 in [0, 255], or float32 of those values
    times `rescale`, and then normalised. As pictures are to be varied before they are normalised,
    `read` leaves that to `augment`.

    Args:
        column: The column of pictures.
        directory: Where relative paths start, a folder or the start of URLs; cells that lead out of
            it are refused. By default the working directory, and paths may lead anywhere.
        image_size: `(height, width)` in pixels.
        color_mode: "rgb" (3 channels), "rgba" (4) or "grayscale" (1).
        interpolation: "nearest", "bilinear", "bicubic", "area" or "lanczos3".
        crop_to_aspect_ratio: Cut the longer side, centred, instead of stretching.
        pad_to_aspect_ratio: Fill the shorter side with `background` instead of stretching.
        dtype: "uint8", or "float32".
        rescale: For float32 only: each value is multiplied by it, for example 1/255.
        background: `(red, green, blue)` in [0, 255], behind transparency and around padding.
        augment: Operations for training, in this order: from `multimodal_gen.augment`, or any
            picklable callable `(image, rng) -> image` on uint8 arrays. With
            `interpolation="nearest"` they make no new values either.
        normalize: For float32 only: a `SamplewiseNormalization`, a `FeaturewiseNormalization` or a
            `ZCAWhitening`; applied last, when training and when evaluating.
        missing: How to treat a missing cell (None, NaN): "error", or "blank" for zeros, and a mask
            as another input of the model; see `Loader`.
        decoder: "pillow", or "turbo" for JPEG files through simplejpeg and OpenCV (`pip install
            multimodal_gen[fast]`), with bilinear interpolation; `augment` then warps by OpenCV too.
            Pixels differ a little from Pillow's; docs/speed.md says by how much.
        max_pixels: Pictures of more pixels are refused before they are decoded, so that each takes
            less than 1 GB and a few seconds. WebP, AVIF, TIFF, JPEG 2000 and progressive JPEG
            files, which take more for a pixel, may have a fraction of it, and files as many bytes
            and 16 MiB (docs/safety.md).
        protocols: What cells that are URLs may begin with, such as `["https", "s3"]`; each is
            opened by fsspec. By default none is.
        value_range: `(low, high)`: the values that become 0 and 255 in pictures with one channel of
            more than 8 bits, such as (0, 4095) for 12 bits in a 16-bit file; values outside are
            clipped. By default the full range of 16-bit formats, while floats and integers of 32
            bits are errors. Pictures of 8 bits are not changed.
        vary_with: The loader of another picture of the row, such as the picture of this mask. Both
            are then moved by the same draws (flips, rotations, crops), in proportion if their sizes
            differ. Without `augment`, the operations of that loader that move pixels are used.
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
        augment: Sequence[
            Augmentation | Callable[[np.ndarray, np.random.Generator], np.ndarray]
        ] = (),
        normalize: Normalization | None = None,
        missing: str = "error",
        decoder: str = "pillow",
        max_pixels: int = MAX_PIXELS,
        protocols: Sequence[str] = (),
        value_range: Sequence[float] | None = None,
        vary_with: Loader | None = None,
    ) -> None:
        check_values(dtype, rescale, normalize)
        check_operations(augment)
        check_decoder(decoder, interpolation)
        check_positive(max_pixels=max_pixels)
        self.fitting = fitting_of(
            image_size,
            color_mode,
            interpolation,
            crop=crop_to_aspect_ratio,
            pad=pad_to_aspect_ratio,
            background=background,
            value_range=value_range,
        )
        self.column, self.missing = column, check_missing(missing)
        self.max_pixels = int(max_pixels)
        self._set_place(directory, protocols, most_bytes(self.max_pixels))
        self._decode, self._warp, self.libraries = decoding_by(decoder)
        self.rescale = rescale
        nearest = interpolation == "nearest"
        own = Variation(
            tuple(augment), (int(image_size[0]), int(image_size[1])), column, nearest=nearest
        )
        self.variation = varied_with(own, vary_with)
        self.operations = self.variation.operations
        self.normalize = normalize
        self.spec = ArraySpec((*image_size, Image.getmodebands(self.fitting.mode)), dtype, "image")
        if normalize is not None:
            # Checked now: the first batch comes only after the model has been built.
            normalize.check(self.spec.shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments, without callables in `augment`: JSON cannot hold them."""
        return saved_config(super().get_config())

    def read_config(self) -> dict[str, Any]:
        """The settings and library versions that pixels depend on."""
        # None of these changes a pixel that `read` returns for a file; all others do.
        irrelevant = (
            "column",
            "directory",
            "augment",
            "normalize",
            "missing",
            "max_pixels",
            "protocols",
            "vary_with",
        )
        config = {
            name: value for name, value in self.get_config().items() if name not in irrelevant
        }
        return {**config, "libraries": self.libraries, "decoding": _DECODING}

    @property
    def stream(self) -> Any:
        """The column of this loader, or of the loader it varies with."""
        return self.variation.stream

    def read(self, cell: Any) -> np.ndarray:
        """Decode, turn upright, resize; not yet normalised.

        Raises:
            LoadError: If there is no such file, or it is not a picture, or a broken one, or one
                that is refused; it names the path.
        """
        path = self.path_of(cell)
        try:
            with stage("read"):
                content = self._content(cell, path)
            # Pillow warns of harmless flaws, such as broken EXIF data, which would fill a screen.
            with quiet():
                pixels = self._pixels(content)
        except LoadError as error:
            # It was raised where the path is not known, so add it here.
            raise LoadError(error.reason, path=path) from error.__cause__
        except UnidentifiedImageError:
            what = (
                "the content is not a picture in any format that Pillow knows"
                if content
                else "the file is empty"
            )
            reason = f"{what}. Replace the file, or drop the row."
            reason = NO_BYTES if path is None and not content else reason
            raise LoadError(reason, path=path) from None
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise LoadError(
                f"the picture is broken or cannot be read: {reason.rstrip('.')}. Replace the "
                "file, or drop the row.",
                path=path,
            ) from error
        # Decoders leave out the axis of a single channel.
        pixels = pixels.reshape(self.spec.shape)
        return pixels if self.spec.dtype == "uint8" else self._to_float(pixels)

    def has_more_bits(self, cell: Any) -> bool:
        """Whether a picture has more than 8 bits, so that its levels are not its file's values."""
        path = self.path_of(cell)
        wide = more_bits(cell, lambda: self._content(cell, path), self.max_pixels)
        return wide and self.fitting.value_range != (0.0, 255.0)

    def varies(self, training: bool) -> bool:
        """Whether there are operations and a random stream for them, or a normalisation."""
        return self.normalize is not None or (training and bool(self.operations))

    def augment(self, array: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """Apply the `augment` operations in order, unless `rng` is None; then normalise."""
        if rng is not None and self.operations:
            if self.spec.dtype == "uint8":
                return self.variation(array, rng, self._warp)
            # The way back to uint8 is exact: every value came from an integer in [0, 255].
            pixels = np.rint(array / (self.rescale or 1.0)).astype("uint8")
            array = self._to_float(self.variation(pixels, rng, self._warp))
        return array if self.normalize is None else self.normalize(array)

    def draw(self, array: np.ndarray) -> np.ndarray:
        """The picture in the file's values; a normalised one is stretched to the full range."""
        return drawn_pixels(array, None if self.normalize is not None else self.rescale or 1.0)

    def thumbnails(self, size: tuple[int, int], *, pad: bool = False) -> ImageLoader:
        """Return a loader of small colour pictures, `(height, width, 3) uint8`."""
        check_switches(pad=pad)
        return self.replace(
            image_size=size,
            color_mode="rgb",
            interpolation="bilinear",
            crop_to_aspect_ratio=False,
            pad_to_aspect_ratio=pad,
            dtype="uint8",
            rescale=None,
            augment=(),
            vary_with=None,
            normalize=None,
            decoder="pillow",
        )

    def _to_float(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.astype("float32") * np.float32(self.rescale or 1.0)

    def _pixels(self, content: bytes | Image.Image) -> np.ndarray:
        if not isinstance(content, bytes):
            return self.fitting.apply(content)
        pixels = self._decode(content, self.fitting, self.max_pixels)
        if pixels is None:
            with open_image(content, self.max_pixels) as image:
                # A function, as only a picture that is decoded another way is opened twice.
                pixels = self.fitting.apply(
                    image,
                    lambda: open_image(content, self.max_pixels),
                    jpeg_header(content) is not None,
                )
        return pixels

    def _content(self, cell: Any, path: str | None) -> bytes | Image.Image:
        if path is not None or (isinstance(cell, str) and not cell):
            return self.content_of(cell)
        return content_of(cell, self.fitting.value_range)

    def _content_of_object(self, held: Any) -> bytes:
        # Of an array or a picture in memory, a file that is read as it is.
        return as_png(content_of(held, self.fitting.value_range))
