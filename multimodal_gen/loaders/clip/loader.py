"""`ClipLoader`: video clips as a few pictures each, from their beginning to their end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from multimodal_gen.errors import LoadError
from multimodal_gen.loaders.base import check_missing
from multimodal_gen.loaders.clip.decoding import frames_of, library
from multimodal_gen.loaders.drawing import side_by_side
from multimodal_gen.loaders.file_loader import FileLoader
from multimodal_gen.loaders.image.arguments import fitting_of
from multimodal_gen.loaders.stages import stage
from multimodal_gen.rows.checks import check_positive, check_switches
from multimodal_gen.spec import ArraySpec

# Bytes of a file in any case, and for each second: 40 megabits.
_BYTES, _BYTES_A_SECOND = 2**24, 5_000_000


class ClipLoader(FileLoader):
    """Takes a few frames out of video clips: mp4, webm, mkv, avi, gif and what else FFmpeg reads.

    A cell may be a path (str or `pathlib.Path`), the bytes of a file, or a mapping with "bytes" or
    "path" as the Hugging Face datasets have it. A clip is divided into `frames` parts of equal
    time; of each, the frame in its middle is taken, and in training one at a random time. A clip
    of fewer frames gives some of them several times. Frames
    are turned upright and resized as `ImageLoader` does.

    Yields `(frames, height, width, 3) uint8` in [0, 255], kind "clip".

    Args:
        column: The column of clips.
        directory: Where relative paths start, a folder or a URL; cells that lead out of it are
            refused. By default the working directory, and paths may lead anywhere.
        frames: How many frames are taken.
        image_size: `(height, width)` in pixels.
        interpolation: "nearest", "bilinear", "bicubic", "area" or "lanczos3".
        crop_to_aspect_ratio: Cut the longer side, centred, instead of stretching.
        jitter: Whether training takes frames at random times. Without it, `cache` keeps what is
            read for training too.
        missing: How to treat a missing cell (None, NaN): "error", or "blank" for zeros, and a mask
            as another input of the model; see `Loader`.
        max_seconds: Longer videos are refused: they are decoded from their beginning.
        max_pixels: Videos with more pixels in a frame are refused.
        protocols: What cells that are URLs may begin with, such as `["https", "s3"]`; each is
            opened by fsspec. By default none is.

    Raises:
        ImportError: If PyAV is not installed: `pip install 'multimodal_gen[video]'`.
        ValueError: If an argument is out of its range.

    Example:
        clip = mg.ClipLoader("clip", directory="clips", frames=8, image_size=(112, 112))
    """

    def __init__(
        self,
        column: str,
        *,
        directory: str | os.PathLike[str] | None = None,
        frames: int = 8,
        image_size: tuple[int, int] = (112, 112),
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        jitter: bool = True,
        missing: str = "error",
        max_seconds: float = 120.0,
        max_pixels: int = 2**24,
        protocols: Sequence[str] = (),
    ) -> None:
        check_positive(frames=frames, max_pixels=max_pixels)
        check_switches(jitter=jitter)
        if not 0 < max_seconds < np.inf:
            raise ValueError(f"`max_seconds` must be positive. Received: max_seconds={max_seconds}")
        self.fitting = fitting_of(
            image_size,
            "rgb",
            interpolation,
            crop=crop_to_aspect_ratio,
            pad=False,
            background=(255, 255, 255),
            value_range=None,
        )
        av = library()
        from av import library_versions

        versions = {name: list(one) for name, one in library_versions.items()}
        self._libraries = {"av": av.__version__, **versions}
        self.column, self.missing, self.jitter = column, check_missing(missing), jitter
        self.max_seconds, self.max_pixels = float(max_seconds), int(max_pixels)
        self.spec = ArraySpec((int(frames), *image_size, 3), "uint8", "clip")
        self._set_place(directory, protocols, int(_BYTES + _BYTES_A_SECOND * max_seconds))

    def read_config(self) -> dict[str, Any]:
        """The settings and library versions that pixels depend on."""
        names = ("frames", "image_size", "interpolation", "crop_to_aspect_ratio")
        config = self.get_config()
        return {**{one: config.get(one) for one in names}, "libraries": self._libraries}

    def read(self, cell: Any) -> np.ndarray:
        """Decode, turn upright and resize frames.

        Raises:
            LoadError: If there is no such file, or it is not a video, or a broken one, or one that
                is refused; it names the path.
        """
        cell, shares = cell if isinstance(cell, _Drawn) else (cell, [0.5] * self.spec.shape[0])
        with stage("read"):
            content = self.content_of(cell)
        try:
            frames = frames_of(content, shares, self.max_seconds, self.max_pixels)
        except LoadError as error:
            raise LoadError(error.reason, path=self.path_of(cell)) from error
        return np.stack(
            [
                np.asarray(self.fitting.apply(Image.fromarray(np.ascontiguousarray(one))))
                for one in frames
            ]
        )

    def varies(self, training: bool) -> bool:
        """Whether times are drawn."""
        return training and self.jitter

    def augment_cell(self, cell: Any, rng: np.random.Generator) -> Any:
        """Draw where in each part of the clip its frame is taken, with `jitter`."""
        if not self.jitter:
            return cell
        return _Drawn(cell, rng.random(self.spec.shape[0]).tolist())

    def describe(self, array: np.ndarray, cell: Any = None) -> dict[str, str]:
        """How many frames there are."""
        return {str(self.column): f"{len(array)} frames"}

    def draw(self, array: np.ndarray) -> np.ndarray | None:
        """The frames side by side."""
        return side_by_side(list(array))


class _Drawn(NamedTuple):
    # A cell, with the times of its frames.
    cell: Any
    shares: list[float]
