"""Sounds: one spectrogram from every form of file, cut at random in training, and in a model."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.audio.decoding import Samples, decode, resampled
from multimodal_gen.loaders.audio.mel import FLOOR, log_mel, mel_filters

soundfile = pytest.importorskip("soundfile", reason="the extra 'audio' is not installed")

RATE = 16_000
SILENCE = np.float32(np.log(FLOOR))


def tone(pitch: float, seconds: float, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)


def written(samples: np.ndarray, rate: int = RATE, form: str = "WAV", **named: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, **named)
    return file.getvalue()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Low and high tones of different lengths."""
    folder = tmp_path_factory.mktemp("sounds")
    for row in range(8):
        content = written(tone(300 if row % 2 else 3000, 0.2 + row / 10), form="FLAC")
        (folder / f"{row}.flac").write_bytes(content)
    return folder


def table_of(folder: Path) -> pd.DataFrame:
    return pd.DataFrame(
        {"sound": [f"{row}.flac" for row in range(8)], "pitch": ["high", "low"] * 4}
    )


def loader_of(folder: Path | None = None, **named: Any) -> mg.AudioLoader:
    return mg.AudioLoader("sound", directory=folder, **{"seconds": 0.3, "mels": 20, **named})


def test_the_spectrogram_is_that_of_an_independent_formula() -> None:
    from scipy.signal import get_window, spectrogram

    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, RATE).astype("float32")
    named = {"nperseg": 400, "noverlap": 240, "detrend": False, "scaling": "spectrum"}
    _, _, whole = spectrogram(samples.astype("float64"), RATE, get_window("hann", 400), **named)
    # Of both sides, but for 0 Hz and half the sample rate.
    whole[1:-1] /= 2
    # Of a filter, by its corners.
    mels = 2595 * np.log10(1 + np.array([0, RATE / 2]) / 700)
    corners = 700 * (10 ** (np.linspace(*mels, 42) / 2595) - 1)
    bins = np.arange(201) * RATE / 400
    expected = [np.interp(bins, corners[one : one + 3], [0, 1, 0]) @ whole for one in range(40)]
    found = log_mel(samples, RATE, 400, 160, 40)
    assert found.shape == (100, 40) and found.dtype == np.float32
    logs = np.log(np.array(expected).T)
    assert len(logs) == 98 and np.abs(found[:98] - logs).max() < 1e-5
    # A sine of amplitude 1/2 has 1/16 of power on each side, in the band of its pitch.
    sine = log_mel(tone(1000, 1.0).astype("float32"), RATE, 400, 160, 40)
    assert np.exp(sine[10]).sum() == pytest.approx(1 / 16 * 1.5, rel=0.1)
    assert abs(corners[1 + sine[10].argmax()] - 1000) < 60
    assert (log_mel(np.zeros(1600, "float32"), RATE, 400, 160, 40) == SILENCE).all()
    assert mel_filters(RATE, 400, 40).sum(axis=1)[3:180] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("form", "named", "most"),
    [
        ("WAV", {"subtype": "PCM_16"}, 0.01),
        ("WAV", {"subtype": "PCM_24"}, 0.001),
        ("WAV", {"subtype": "FLOAT"}, 1e-5),
        ("FLAC", {"subtype": "PCM_24"}, 0.001),
        ("OGG", {"subtype": "VORBIS"}, 2.0),
        ("MP3", {}, 2.0),
    ],
)
def test_every_format_and_channel_gives_the_same_sound(
    form: str, named: dict[str, str], most: float
) -> None:
    loader, sound = loader_of(read_seconds=0.3, max_seconds=2.0), tone(440, 0.3)
    expected = loader.read(written(sound, subtype="FLOAT"))
    both = np.stack([1.5 * sound, 0.5 * sound], axis=1)
    found = loader.read(written(both, form=form, **named))
    loud = expected > expected.max() - 5
    assert np.abs(found - expected)[loud].max() <= most


def test_resampling_keeps_what_is_below_half_the_rate_and_nothing_else() -> None:
    for rate in (44_100, 8_000, 11_025):
        found = resampled(Samples(tone(1000, 1.0, rate).astype("float32"), rate), RATE)
        assert len(found) == RATE
        assert np.abs(found[500:-500] - tone(1000, 1.0)[500:-500]).max() < 2e-3
    gone = resampled(Samples(tone(12_000, 1.0, 44_100).astype("float32"), 44_100), RATE)
    assert np.abs(gone[500:-500]).max() < 2e-3


def test_the_middle_is_read_and_shorter_sounds_are_followed_by_silence() -> None:
    sound = np.concatenate([np.zeros(RATE), tone(1000, 0.4), np.zeros(RATE)])
    for form in ("FLAC", "MP3"):
        middle = decode(written(sound, form=form), 0.4, 10.0).values
        assert len(middle) == 0.4 * RATE
        # libsndfile has an MP3 file begin later by what its encoder delays.
        assert np.abs(middle).mean() > 0.9 * np.abs(tone(1000, 0.4)).mean()
    loader = loader_of()
    short = loader.read(written(tone(1000, 0.155)))
    assert short.shape == (60, 20) and loader.spec.shape == (30, 20)
    assert (short[16:] == SILENCE).all() and (short[:15] > SILENCE).any(axis=1).all()
    assert loader.augment(short, None).shape == (30, 20)
    # Of a silence inside of a sound, nothing is cut away, and of that after it nothing is taken.
    noise = np.random.default_rng(0).normal(0, 0.1, round(0.455 * RATE))
    long = loader.read(written(noise))
    starts = {
        int(
            np.flatnonzero((long == loader.augment(long, np.random.default_rng(seed))[0]).all(1))[0]
        )
        for seed in range(99)
    }
    assert starts == set(range(46 - 30 + 1))
    assert np.array_equal(loader.augment(long, None), long[8:38])


def test_it_keeps_the_contract_in_every_form_of_cell(sounds: Path) -> None:
    path = sounds / "5.flac"
    content = path.read_bytes()
    for loader in (loader_of(), loader_of(read_seconds=0.3), loader_of(missing="blank")):
        mg.check_loader(loader, [str(path), path, content, {"bytes": content, "path": None}])
    loader = loader_of(sounds)
    assert np.array_equal(loader.read("5.flac"), loader_of().read(content))
    assert loader.file_of("5.flac") == str(path) and not loader_of(read_seconds=0.3).varies(True)
    picture = loader.draw(loader.augment(loader.read("5.flac"), None))
    assert picture.shape == (20, 30, 3) and picture.max() == 255
    # Low bands are at the bottom.
    assert picture[10:].mean() > picture[:10].mean()
    assert loader.describe(loader.read("0.flac")) == {"sound": "0.2 s of sound"}


def damaged(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        ("gone.flac", "no such file"),
        ("../x.flac", "no such file|outside"),
        (b"", "the file is empty"),
        (b"text" * 99, "no sound that libsndfile reads"),
        (damaged(written(tone(440, 0.5))), "ends after 8,022 of its 16,044 bytes"),
        (damaged(written(tone(440, 0.5), form="FLAC")), "broken one: "),
        (damaged(written(tone(440, 0.5), form="OGG")), "is cut off: its Ogg stream"),
        (damaged(written(tone(440, 30), form="OGG")), "is cut off: its Ogg stream"),
        (written(tone(440, 0.5), form="OGG")[:-1], "is cut off: its Ogg stream"),
        (damaged(written(tone(440, 0.5), form="MP3")), "of its 8,000 samples"),
        (written(np.zeros(0)), "has 0 samples, and 10 ms are the least"),
        (written(np.ones(1)), "has 1 sample, and 10 ms are the least"),
        (written(np.array([0, np.nan] * 200), subtype="FLOAT"), "not numbers"),
        (written(tone(440, 0.5) * 30_000, subtype="FLOAT"), "whole numbers, written as floats"),
        (written(np.zeros(3 * RATE), form="FLAC"), "3 seconds long, more than.*max_seconds=2"),
        (written(np.zeros((9, 40))), "40 channels; from 1,000 to 384,000 in up to 32"),
        (written(np.zeros(9), 500), "500 samples a second"),
        (5, "expected a path, bytes, or a mapping.*Received: int"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(sounds: Path, cell: Any, match: str) -> None:
    loader = loader_of(sounds, max_seconds=2.0)
    with pytest.raises(mg.LoadError, match=match) as caught:
        loader.read(cell)
    if isinstance(cell, str):
        assert caught.value.path is not None and cell in caught.value.path


@pytest.mark.parametrize(
    ("named", "match"),
    [
        ({"seconds": 0.001}, "seconds=0.001"),
        ({"seconds": 3.0, "read_seconds": 2.0}, "`seconds` <= `read_seconds`"),
        ({"seconds": 500.0}, "`max_seconds`"),
        ({"sample_rate": 100}, "from 1,000 to 384,000"),
        ({"mels": 200}, "lower `mels`.*mels=200"),
        ({"mels": 0}, "mels=0"),
        ({"protocols": "https"}, "protocols"),
    ],
)
def test_wrong_arguments_are_refused(named: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        loader_of(**named)


def test_a_model_trains_is_saved_and_predicts_the_same(sounds: Path, tmp_path: Path) -> None:
    table = table_of(sounds)
    inputs = {"sound": loader_of(sounds)}
    target = mg.ClassLabel.from_values("pitch", table["pitch"])
    same: dict[str, Any] = {"batch_size": 4, "shuffle": True, "seed": 3}
    data = mg.MultimodalSequence(table, inputs, target, **same)
    first = [np.asarray(data[number][0][0]) for number in range(2)]
    assert first[0].shape == (4, 30, 20)
    cached = mg.MultimodalSequence(table, inputs, target, cache=tmp_path / "cache", **same)
    for _ in range(2):
        assert all(np.array_equal(cached[one][0][0], first[one]) for one in range(2))
    again = mg.MultimodalSequence(table, inputs, target, **same)
    again.epoch = 1
    assert not np.array_equal(np.sort(again[0][0][0], axis=None), np.sort(first[0], axis=None))
    model = mg.build_fusion_classifier(inputs, target)
    model.compile("adam", loss=target.loss)
    model.fit(data, epochs=1, shuffle=False, verbose=0)
    bundle = mg.Bundle(model, inputs, target)
    expected = bundle.predict(table)
    bundle.save(tmp_path / "tones")
    loaded = mg.load_bundle(tmp_path / "tones")
    pd.testing.assert_frame_equal(loaded.predict(table), expected)
    # A table of sounds is packed as one of pictures is.
    mg.pack_table(table, tmp_path / "t-{0..1}.tar", inputs.values())
    packed = mg.open_table(tmp_path / "t-{0..1}.tar")
    assert packed["sound"][3] == (sounds / "3.flac").read_bytes()
    pd.testing.assert_frame_equal(loaded.predict(packed), expected)


def test_an_audit_names_the_bad_sound(sounds: Path, tmp_path: Path) -> None:
    table = table_of(sounds)
    (tmp_path / "bad.flac").write_bytes(b"text" * 99)
    table["sound"] = [str(sounds / name) for name in table["sound"]]
    table.loc[6, "sound"] = str(tmp_path / "bad.flac")
    target = mg.ClassLabel.from_values("pitch", table["pitch"])
    found = mg.audit(table, {"sound": loader_of()}, target).problems
    bad = found[found["message"].str.contains("no sound")]
    assert bad["index"].tolist() == [6] and bad["column"].tolist() == ["sound"]
