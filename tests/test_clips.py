"""Video clips: the right frames of every form of file, at random times in training, in a model."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.loaders.clip.decoding import chosen_frames

av = pytest.importorskip("av", reason="the extra 'video' is not installed")

# A frame shows its number as its grey.
STEP = 8
GREY = np.full((48, 64, 3), 1, "uint8")


def video(
    frames: int = 30,
    codec: str = "libx264",
    form: str = "mp4",
    times: list[int] | None = None,
    pixels: np.ndarray = GREY * STEP,
) -> bytes:
    """Ten frames a second, or at `times` in milliseconds, each as many times as bright."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as out:
        stream = out.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.gop_size = 12
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            shaded = np.clip(pixels.astype(int) * number, 0, 255).astype("uint8")
            frame = av.VideoFrame.from_ndarray(shaded, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return file.getvalue()


def numbers(array: np.ndarray) -> list[int]:
    return [round(float(one.mean()) / STEP) for one in array]


def loader_of(folder: Path | None = None, **named: Any) -> mg.ClipLoader:
    options = {"frames": 5, "image_size": (8, 8), **named}
    return mg.ClipLoader("clip", directory=folder, **options)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips that get brighter, and clips that stay dark."""
    folder = tmp_path_factory.mktemp("clips")
    for row in range(8):
        pixels = GREY * (STEP if row % 2 else 0)
        (folder / f"{row}.mp4").write_bytes(video(10 + row, "mpeg4", pixels=pixels))
    return folder


@pytest.mark.parametrize(
    ("codec", "form"),
    [
        ("libx264", "mp4"),
        ("libx264", "matroska"),
        ("libx264", "mpegts"),
        ("libvpx-vp9", "webm"),
        ("mpeg4", "avi"),
    ],
)
def test_the_frame_in_the_middle_of_each_part_is_taken(codec: str, form: str) -> None:
    content = video(codec=codec, form=form)
    assert numbers(loader_of().read(content)) == [3, 9, 15, 21, 27]
    every = loader_of(frames=30).read(content).mean(axis=(1, 2, 3)) / STEP
    assert np.abs(every - range(30)).max() < 0.7
    # A short video gives frames several times.
    assert numbers(loader_of().read(video(3, codec, form))) == [0, 0, 1, 2, 2]
    assert numbers(loader_of(frames=2).read(video(1, codec, form))) == [0, 0]


def test_parts_are_of_equal_time_where_frames_are_not() -> None:
    # 15 frames in the first second and a half, and 15 in the next four and a half.
    times = [100 * one if one < 15 else 1500 + 300 * (one - 15) for one in range(30)]
    found = numbers(loader_of(frames=4).read(video(times=times)))
    exact = [
        int(np.searchsorted(times, part, side="right")) - 1 for part in (737, 2212, 3687, 5162)
    ]
    assert found == exact == [7, 17, 22, 27]
    assert chosen_frames(np.array([0.0, 1.0, 2.0]), [0.0, 0.0, 0.0]) == [0, 1, 2]
    assert chosen_frames(np.array([0.0, 1.0, 2.0]), [1.0, 1.0, 1.0]) == [1, 2, 2]


def test_training_draws_a_time_in_each_part() -> None:
    loader, content = loader_of(frames=3), video()
    drawn = []
    for seed in range(6):
        cell = loader.augment_cell(content, np.random.default_rng(seed))
        drawn.append(numbers(loader.read(cell)))
        assert all(10 * part <= one < 10 * part + 10 for part, one in enumerate(drawn[-1]))
        assert drawn[-1] == numbers(loader.read(cell))
    assert len(set(map(tuple, drawn))) == 6
    assert loader.varies(True) and not loader.varies(False)
    assert not loader_of(jitter=False).varies(True)


def test_a_turned_video_is_turned_upright_and_resized_as_pictures_are() -> None:
    pixels = np.zeros((48, 64, 3), "uint8")
    pixels[:24, :32] = 255
    content = video(2, "mpeg4", pixels=pixels)
    # The matrix of a telephone that is held upright: turn by a quarter clockwise.
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    at = content.index(plain, content.index(b"tkhd"))
    content = content[:at] + turned + content[at + len(plain) :]
    (found,) = loader_of(frames=1, image_size=(64, 48)).read(content)[:, ::2, ::2].astype(int)
    corners = [found[2, 2, 0], found[2, -3, 0], found[-3, 2, 0], found[-3, -3, 0]]
    assert [one > 128 for one in corners] == [False, True, False, False]
    cut = loader_of(frames=1, image_size=(8, 8), crop_to_aspect_ratio=True).read(content)
    assert cut.shape == (1, 8, 8, 3)


def test_it_keeps_the_contract_in_every_form_of_cell(clips: Path) -> None:
    path = clips / "3.mp4"
    content = path.read_bytes()
    for loader in (loader_of(), loader_of(jitter=False, missing="blank")):
        mg.check_loader(loader, [str(path), path, content, {"bytes": content, "path": None}])
    loader = loader_of(clips)
    assert np.array_equal(loader.read("3.mp4"), loader_of().read(content))
    assert loader.file_of("3.mp4") == str(path)
    array = loader.read("3.mp4")
    assert loader.draw(array).shape == (8, 40, 3) and loader.describe(array) == {"clip": "5 frames"}


def as_picture(form: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, form)
    return file.getvalue()


def only_sound() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), "int16"), layout="mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return file.getvalue()


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        ("gone.mp4", "no such file"),
        (b"", "the file is empty"),
        (b"text" * 99, "no video that FFmpeg reads"),
        (video()[:900], "broken one"),
        (only_sound(), "no pictures, only sound"),
        (as_picture("jpeg"), "is a picture, not a video. Read the column with an ImageLoader"),
        (as_picture("png"), "is a picture, not a video"),
        (as_picture("webp"), "is a picture, not a video"),
        (video(40), r"4 seconds, more than this loader reads \(max_seconds=3\)"),
        (7, "expected a path, bytes, or a mapping"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(clips: Path, cell: Any, match: str) -> None:
    with pytest.raises(mg.LoadError, match=match):
        loader_of(clips, max_seconds=3.0).read(cell)


def test_frames_of_too_many_pixels_are_not_decoded(clips: Path) -> None:
    with pytest.raises(mg.LoadError, match=r"64 x 48 pixels, more than .*max_pixels=3,000"):
        loader_of(clips, max_pixels=3000).read("1.mp4")
    assert loader_of(clips, max_pixels=64 * 48).read("1.mp4").shape == (5, 8, 8, 3)
    for named in ({"frames": 0}, {"max_seconds": 0}, {"jitter": 1}, {"interpolation": "cubic"}):
        with pytest.raises((ValueError, TypeError), match=next(iter(named))):
            loader_of(**named)


def test_a_model_trains_is_saved_and_predicts_the_same(clips: Path, tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"clip": [f"{row}.mp4" for row in range(8)], "becomes": ["dark", "bright"] * 4}
    )
    inputs = {"clip": loader_of(clips)}
    target = mg.ClassLabel.from_values("becomes", table["becomes"])
    same: dict[str, Any] = {"batch_size": 4, "shuffle": True, "seed": 3}
    data = mg.MultimodalSequence(table, inputs, target, **same)
    first = np.asarray(data[0][0][0])
    assert first.shape == (4, 5, 8, 8, 3) and first.dtype == np.uint8
    cached = mg.MultimodalSequence(table, inputs, target, cache=tmp_path / "cache", **same)
    assert np.array_equal(cached[0][0][0], first)
    branch = mg.models.ClipBranch(mg.models.ImageBranch((4, 8), 16), pool="attention")
    model = mg.build_fusion_classifier(inputs, target, branches={"clip": branch})
    model.compile("adam", loss=target.loss)
    model.fit(data, epochs=1, shuffle=False, verbose=0)
    bundle = mg.Bundle(model, inputs, target)
    expected = bundle.predict(table)
    bundle.save(tmp_path / "clips")
    pd.testing.assert_frame_equal(mg.load_bundle(tmp_path / "clips").predict(table), expected)
    # By default frames count equally.
    plain = mg.build_fusion_classifier(inputs, target)
    forwards, backwards = (plain.predict([one], verbose=0) for one in (first, first[:, ::-1]))
    assert forwards.shape == (4, 2) and np.allclose(forwards, backwards, atol=1e-5)
