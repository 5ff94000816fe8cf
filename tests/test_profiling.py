from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg


def sequence_of(table: pd.DataFrame, folder: Path, **arguments: object) -> mg.MultimodalSequence:
    inputs = {
        "image": mg.ImageLoader(
            "image", directory=folder, image_size=(16, 16), augment=[mg.augment.RandomFlip()]
        ),
        "caption": mg.TextLoader.from_texts("caption", table),
    }
    target = mg.ClassLabel.from_values("label", table)
    return mg.MultimodalSequence(table, inputs, target, batch_size=4, shuffle=True, **arguments)  # type: ignore[arg-type]


def test_every_stage_is_measured_and_the_costliest_one_named(
    picture_table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = mg.profile(sequence_of(picture_table, tmp_path))
    assert {"read", "decode", "resize", "tokenize", "augment", "assemble", "wait"} <= set(
        result.stages.index
    )
    assert result.samples == 10
    assert result.samples_per_second > 0
    work = result.stages.drop("wait")
    assert work["share"].sum() == pytest.approx(1)
    assert result.limit == work["milliseconds"].idxmax()
    printed = capsys.readouterr().out
    assert f"Limited by {result.limit}: " in printed
    assert all(name in printed for name in result.stages.index)
    assert repr(result).startswith("Profile(")


def test_a_slow_stage_is_found(picture_table: pd.DataFrame, tmp_path: Path) -> None:
    def slow(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        time.sleep(0.02)
        return image[:, ::-1] if rng.random() < 0.5 else image

    sequence = sequence_of(picture_table, tmp_path)
    inputs = {**sequence.inputs, "image": sequence.inputs["image"].replace(augment=[slow])}
    result = mg.profile(mg.MultimodalSequence(picture_table, inputs, shuffle=True, batch_size=4))
    assert result.limit == "augment"
    assert result.stages.loc["augment", "milliseconds"] > 19


def test_a_slow_model_is_the_limit_and_not_the_data(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    result = mg.profile(sequence_of(picture_table, tmp_path), step=lambda batch: time.sleep(0.2))
    assert result.stages.loc["step", "milliseconds"] >= 50
    assert result.limit == "step"
    assert "Limited by step: the model's steps; the data" in str(result)


def test_the_number_of_batches_can_be_chosen_and_must_be_for_endless_ones(
    picture_table: pd.DataFrame, tmp_path: Path
) -> None:
    assert mg.profile(sequence_of(picture_table, tmp_path), num_batches=2).samples == 8
    endless = sequence_of(picture_table, tmp_path, endless=True)
    assert mg.profile(endless, num_batches=2).samples == 8
    with pytest.raises(ValueError, match="An endless sequence needs `num_batches`"):
        mg.profile(endless)
    with pytest.raises(ValueError, match="num_batches=0"):
        mg.profile(endless, num_batches=0)


def test_what_is_done_already_is_not_advised(picture_table: pd.DataFrame, tmp_path: Path) -> None:
    plain = mg.profile(sequence_of(picture_table, tmp_path)).advice
    assert 'decoder="turbo"' in plain["decode"] and "`cache=`" in plain["decode"]
    kept = mg.profile(sequence_of(picture_table, tmp_path, cache=tmp_path / "cache")).advice
    assert (
        not any("`cache=`" in words for words in kept.values())
        and "when it is full" in kept["decode"]
    )
    sequence = sequence_of(picture_table, tmp_path)
    turbo = {"image": sequence.inputs["image"].replace(decoder="turbo")}
    fast = mg.profile(mg.MultimodalSequence(picture_table, turbo, batch_size=4)).advice
    assert "turbo" not in fast["decode"] and "image_size" in fast["decode"]
