"""Examine one picture: whether it can be read, what it is, and the hashes that reveal duplicates.

The file is read once and decoded once, at a small scale.
"""

from __future__ import annotations

import mimetypes
import os
import sys
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from PIL import Image

from multimodal_gen.errors import LoadError
from multimodal_gen.inspection.audit.endings import ends_early
from multimodal_gen.inspection.audit.records import DETAIL, RECORD
from multimodal_gen.loaders.base import Loader
from multimodal_gen.loaders.image.cells import NO_BYTES
from multimodal_gen.loaders.image.limits import jpeg_header, open_image
from multimodal_gen.loaders.image.quiet import quiet
from multimodal_gen.loaders.many import ManyLoader

_SIDE = 64
# Formats whose names are used for one another.
_ALIKE = ({"JPEG", "MPO"}, {"PPM", "PGM", "PBM", "PNM"}, {"TIFF", "DNG"})


class UnusableError(Exception):
    """A picture that cannot be used.

    Args:
        kind: The kind of problem.
        error: What is wrong with it.
    """

    def __init__(self, kind: str, error: LoadError) -> None:
        super().__init__(kind)
        self.kind = kind
        self.error = error


class PictureReader:
    """Examines the pictures of one loader.

    Args:
        loader: An `ImageLoader`, or any loader that returns pictures.
        many: The loader of whole cells, if they hold several pictures.
    """

    def __init__(self, loader: Loader, many: ManyLoader | None = None) -> None:
        self.loader, self.many = loader, many
        small = loader.thumbnails((_SIDE, _SIDE))
        self.small = loader if small is None else small
        self._takes_bytes = small is not None

    def look(self, cell: Any) -> np.ndarray:
        """Everything known about a picture, one `RECORD` without its key.

        Raises:
            UnusableError: If it cannot be read.
        """
        record = np.zeros((), RECORD)
        content = self._content(cell)
        if content is not None:
            record["bytes"] = len(content)
            record["digest"] = _digest(content)
            self._look_into(content, cell, record)
        try:
            pixels = self._pixels(cell if content is None or not self._takes_bytes else content)
        except Exception as error:
            raise self._unusable(error, cell, content) from error
        if content is None:
            if isinstance(cell, np.ndarray):
                record["height"], record["width"] = cell.shape[:2]
            record["digest"] = _digest(
                np.ascontiguousarray(cell if isinstance(cell, np.ndarray) else pixels).tobytes()
            )
        if content is not None and ends_early(content):
            # Decoders fill missing pixels with grey, or only the end marker is missing.
            raise UnusableError(
                "truncated", self._error("the file ends before the picture does", cell)
            )
        complaint = None if content is None else _complaint(content)
        if complaint is not None:
            raise UnusableError(
                "corrupt", self._error(f"the picture's data are damaged: {complaint}", cell)
            )
        _hash(pixels, record)
        return record

    def small_picture(self, cell: Any) -> np.ndarray:
        """A picture that `look` could read, `(64, 64, 3) uint8`; black if it cannot be read now."""
        try:
            return np.asarray(_small(self._pixels(cell)))
        except Exception:
            return np.zeros((_SIDE, _SIDE, 3), "uint8")

    def path_of(self, cell: Any) -> str | None:
        """The path of the file that a cell names."""
        try:
            return self.loader.file_of(cell)
        except Exception:
            return None

    def _pixels(self, cell: Any) -> np.ndarray:
        array = self.small.read(cell)
        if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] in (1, 3, 4):
            return array
        picture = self.small.draw(array)
        if picture is None:
            raise LoadError("its loader draws no picture of it")
        return picture

    def _content(self, cell: Any) -> bytes | None:
        try:
            path = self.loader.file_of(cell)
        except LoadError as refused:
            # It is refused as a local file, but the loader may still read it if it is a URL.
            missing = refused.path is not None and not os.path.lexists(refused.path)
            try:
                self.loader.read(cell)
            except LoadError as error:
                if "://" in str(refused.path):
                    missing = "no such file" in error.reason
                raise UnusableError("missing" if missing else "unreadable", error) from error
            # The loader can read it, so it is not a local file.
            return None
        if path is None:
            inner = cell.get("bytes") if isinstance(cell, Mapping) else cell
            if isinstance(inner, bytes | bytearray | memoryview) and not len(inner):
                raise UnusableError("empty file", self._error(NO_BYTES, cell))
            return bytes(inner) if isinstance(inner, bytes | bytearray | memoryview) else None
        if not self._takes_bytes:
            return None
        try:
            with open(path, "rb") as file:
                content = file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return self._read_anyway("missing", cell)
        except (OSError, ValueError):
            return self._read_anyway("unreadable", cell)
        if not content:
            raise UnusableError(
                "empty file",
                self._error("the file is empty. Replace the file, or drop the row.", cell),
            )
        return content

    def _read_anyway(self, kind: str, cell: Any) -> bytes:
        # The error of the loader explains it best.
        try:
            self.loader.read(cell)
        except LoadError as error:
            raise UnusableError(kind, error) from error
        raise UnusableError(kind, self._error("the file could not be read", cell))

    def _look_into(self, content: bytes, cell: Any, record: np.ndarray) -> None:
        try:
            # Any size is allowed, because only the header is read.
            with quiet(), open_image(content, sys.maxsize) as image:
                record["width"], record["height"] = image.size
                record["mode"], record["format"] = (
                    image.mode.encode(),
                    (image.format or "").encode(),
                )
        except Exception:
            # Reading the picture later raises the proper error.
            return

    def _unusable(self, error: Exception, cell: Any, content: bytes | None) -> UnusableError:
        reason = (
            error.reason if isinstance(error, LoadError) else f"{type(error).__name__}: {error}"
        )
        kind = "corrupt" if content is not None else "unreadable"
        # The message of the loader names the argument that would accept the picture.
        if "max_pixels" in reason:
            kind = "huge"
        elif "value_range" in reason:
            kind = "unreadable"
        elif content is not None and (ends_early(content) or "truncated" in reason.lower()):
            kind = "truncated"
            if "truncated" not in reason.lower():
                # Of a few bytes, decoders say only that they are no picture.
                reason = f"the file ends before the picture does, after {len(content):,} bytes"
        return UnusableError(kind, self._error(reason, cell))

    def _error(self, reason: str, cell: Any) -> LoadError:
        return LoadError(reason, path=self.path_of(cell))


def wrong_name(name: str, image_format: str) -> str | None:
    """What is wrong with a file's name, in words, or None: its suffix belongs to another format."""
    ending = os.path.splitext(name)[1].lower()
    if not ending or not image_format:
        return None
    known = Image.registered_extensions().get(ending)
    if known is None:
        kind = mimetypes.guess_type(f"a{ending}")[0]
        return (
            None
            if kind is None or kind.startswith("image/")
            else f"it is {image_format}, not {kind}"
        )
    if known == image_format or any({known, image_format} <= names for names in _ALIKE):
        return None
    return f"it is {image_format}, not {known}"


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def _hash(pixels: np.ndarray, record: np.ndarray) -> None:
    import imagehash

    if not record["width"]:
        record["height"], record["width"] = pixels.shape[:2]
    image = _small(pixels)
    record["spread"] = np.asarray(image, "float32").std(axis=(0, 1)).max()
    grey = image.convert("L")
    # Three hashes, because each is misled by other changes: one by frequencies, two by edges in
    # both directions.
    hashes = (imagehash.phash(grey), imagehash.dhash(grey), imagehash.dhash_vertical(grey))
    record["bits"] = np.packbits(np.stack([one.hash for one in hashes])).reshape(-1)
    record["pixels"] = np.asarray(image.resize((DETAIL, DETAIL), Image.Resampling.BOX))


def _small(pixels: np.ndarray) -> Image.Image:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    image = Image.fromarray(pixels).convert("RGB")
    return (
        image
        if image.size == (_SIDE, _SIDE)
        else image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    )


def _complaint(content: bytes) -> str | None:
    # Pillow decodes damaged JPEG data without any message; libjpeg-turbo reports the damage, if it
    # is installed.
    if content[:3] != b"\xff\xd8\xff" or not jpeg_header(content):
        return None
    try:
        import simplejpeg
    except ImportError:
        return None
    try:
        colours = simplejpeg.decode_jpeg_header(content)[2]
        if colours in ("YCbCr", "Gray"):
            simplejpeg.decode_jpeg(
                # At the smallest scale, because only the error is wanted.
                content,
                "GRAY",
                fastdct=True,
                min_height=1,
                min_width=1,
                min_factor=8,
            )
    except ValueError as error:
        return str(error)
    return None
