"""Takes frames out of a video file, by their time, within limits.

What a header says of the number of frames is not used, as many formats do not say it, and frames
need not be evenly spaced. Nor are places sought, as that is not exact in all formats: the file is
read through once without decoding, for the times of all frames, and then decoded from its beginning
to the last one that is needed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_gen.errors import LoadError, counted

# Frames a second that a video may have on average.
_FASTEST = 240


def library() -> Any:
    """The library that decodes.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError(
            "Reading video clips needs PyAV: `pip install 'multimodal_gen[video]'`."
        ) from error
    return av


def frames_of(
    content: bytes, shares: Sequence[float], max_seconds: float, max_pixels: int
) -> list[np.ndarray]:
    """One frame of each of the equal parts of a video, upright.

    Args:
        content: The file.
        shares: Where in each part its frame is, from 0 for its beginning to 1 for its end.
        max_seconds: How long the video may be.
        max_pixels: How many pixels a frame may have.

    Returns:
        For each part `(height, width, 3) uint8`; a short video gives some frames several times.

    Raises:
        LoadError: If it is no video, is broken, or has more than it may have.
    """
    if not content:
        raise LoadError("the file is empty. Replace it, or drop the row.")
    try:
        times = _times(content, max_seconds)
        chosen = chosen_frames(times, shares)
        found = _decoded(content, times, set(chosen), max_pixels)
    except (library().FFmpegError, ValueError) as error:
        if isinstance(error, LoadError):
            raise
        said = getattr(error, "strerror", None) or str(error)
        raise LoadError(
            f"the file is no video that FFmpeg reads, or a broken one: {said}. Replace it, or drop "
            "the row."
        ) from error
    lost = len(set(chosen) - set(found))
    if lost:
        raise LoadError(
            f"{counted(lost, 'frame')} of {len(set(chosen)):,} cannot be decoded: the file is "
            "broken. Replace it, or drop the row."
        )
    return [found[one] for one in chosen]


def chosen_frames(times: np.ndarray, shares: Sequence[float]) -> list[int]:
    """Which frames are shown at some times.

    Args:
        times: When each frame begins, `(frames,)`, ascending.
        shares: As in `frames_of`.
    """
    # The last frame is shown as long as one is on average.
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
    whole = times[-1] + step - times[0]
    parts = np.arange(len(shares))
    at = times[0] + (parts + np.asarray(shares)) / len(shares) * whole
    # A little later, as a time that a frame begins at may be rounded to just before it.
    places = np.searchsorted(times, at + 1e-6 * step, side="right") - 1
    found: list[int] = np.clip(places, 0, len(times) - 1).tolist()
    return found


def _times(content: bytes, max_seconds: float) -> np.ndarray:
    # In units of the stream's time base; the numbers of frames where the file has no times.
    with library().open(io.BytesIO(content)) as file:
        stream = _stream(file)
        most = int(max_seconds * _FASTEST) + 1
        times: list[int | None] = []
        for packet in file.demux(stream):
            if packet.size and not packet.is_discard:
                times.append(packet.pts)
            if len(times) > most:
                raise LoadError(_too_long(f"more than {most:,} frames", max_seconds))
        if not times:
            raise LoadError("the video has no frames. Replace it, or drop the row.")
        if any(one is None for one in times):
            return np.arange(len(times), dtype="float64")
        found = np.sort(np.array(times, "float64"))
        seconds = float(found[-1] - found[0]) * float(stream.time_base)
        if seconds > max_seconds:
            raise LoadError(_too_long(f"{seconds:,.0f} seconds", max_seconds))
        return found


def _too_long(what: str, max_seconds: float) -> str:
    return (
        f"the video has {what}, more than this loader reads (max_seconds={max_seconds:g}). Cut it, "
        "drop the row, or raise `max_seconds`."
    )


def _stream(file: Any) -> Any:
    if file.format.name.endswith("_pipe") or file.format.name == "image2":
        raise LoadError(
            "the file is a picture, not a video. Read the column with an ImageLoader, or drop the "
            "row."
        )
    if not file.streams.video:
        raise LoadError("the file has no pictures, only sound. Replace it, or drop the row.")
    stream = file.streams.video[0]
    # Clips are read on several threads already.
    stream.codec_context.thread_count = 1
    return stream


def _decoded(
    content: bytes, times: np.ndarray, wanted: set[int], max_pixels: int
) -> dict[int, np.ndarray]:
    found: dict[int, np.ndarray] = {}
    with library().open(io.BytesIO(content)) as file:
        stream = _stream(file)
        _check_size(stream.codec_context, max_pixels)
        for number, frame in enumerate(file.decode(stream)):
            place = number
            if frame.pts is not None and len(times) > 1:
                place = int(np.searchsorted(times, frame.pts))
                if place == len(times) or times[place] != frame.pts:
                    place = number
            if place in wanted and place not in found:
                # Pixels need not be the same throughout.
                _check_size(frame, max_pixels)
                pixels = frame.to_ndarray(format="rgb24")
                found[place] = np.rot90(pixels, round(frame.rotation / 90) % 4)
                if len(found) == len(wanted):
                    break
    return found


def _check_size(one: Any, max_pixels: int) -> None:
    if one.width * one.height > max_pixels:
        raise LoadError(
            f"the video has {one.width} x {one.height} pixels, more than this loader decodes "
            f"(max_pixels={max_pixels:,}). Shrink it, drop the row, or raise `max_pixels`."
        )
