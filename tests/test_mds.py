"""Datasets of MDS shards that streaming wrote, and what is said of those that cannot be read."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mds_files import ENCODINGS, SAMPLES, picture, sample, write_plain
from PIL import Image

import multimodal_gen as mg

WRITTEN = Path(__file__).parent / "mds"
PICTURES = ("photo", "drawing", "raw", "photos", "drawings", "raws", "more")


def opened(folder: Path) -> pd.DataFrame:
    with pytest.warns(UserWarning, match="'pkl' is left out: it is pickled"):
        return mg.open_table(folder)


def pixels(cell: Any) -> np.ndarray:
    if isinstance(cell, bytes):
        with Image.open(io.BytesIO(cell)) as image:
            return np.asarray(image)
    return np.asarray(cell)


def test_every_encoding_is_read_as_streaming_wrote_it() -> None:
    table = opened(WRITTEN)
    assert len(table) == SAMPLES
    assert sorted(table) == sorted(ENCODINGS)
    for row in range(SAMPLES):
        expected = sample(row)
        for name in ENCODINGS.keys() - PICTURES:
            cell = table[name].iloc[row]
            assert type(cell) is type(expected[name])
            assert np.array_equal(cell, expected[name])
            assert getattr(cell, "dtype", None) == getattr(expected[name], "dtype", None)
        for name, like in (("drawing", "drawings"), ("photo", "photos"), ("raw", "raws")):
            assert len(table[like].iloc[row]) == len(expected[like])
            for cell, whole in (
                (table[name].iloc[row], expected[name]),
                *zip(table[like].iloc[row], expected[like], strict=True),
            ):
                apart = np.abs(pixels(cell).astype(int) - np.asarray(whole))
                # Decoders of JPEG differ a little, and the format loses more.
                assert apart.max() < 20 if name == "photo" else not apart.any()
        assert pixels(table["more"].iloc[row][0]).shape == (3, 4, 3)


def test_a_picture_of_every_form_is_an_image() -> None:
    table = opened(WRITTEN)
    for column in ("photo", "drawing", "raw"):
        loader = mg.ImageLoader(column, image_size=(3, 4))
        read = loader.read(table[column].iloc[2])
        if column != "photo":
            mode = "L" if column == "raw" else "RGB"
            assert np.array_equal(read, np.asarray(picture(2, mode).convert("RGB")))
    many = mg.ManyLoader(mg.ImageLoader("photos", image_size=(3, 4)), at_most=2)
    assert many.read(table["photos"].iloc[2]).shape[1:] == (3, 4, 3)


def test_shards_and_reader_of_streaming_itself(tmp_path: Path) -> None:
    mds = pytest.importorskip("streaming.base.format.mds")
    with mds.MDSWriter(out=str(tmp_path / "a"), columns=ENCODINGS, size_limit=6000) as out:
        for row in range(SAMPLES):
            out.write(sample(row))
    table = mg.open_table(f"mds:{tmp_path / 'a'}")
    index = json.loads((tmp_path / "a" / "index.json").read_text())
    readers = [mds.MDSReader.from_json(str(tmp_path / "a"), None, one) for one in index["shards"]]
    theirs = [reader[row] for reader in readers for row in range(len(reader))]
    assert len(readers) > 1
    assert len(table) == len(theirs) == SAMPLES
    for row, one in enumerate(theirs):
        for name in ENCODINGS:
            cell, other = table[name].iloc[row], one[name]
            if name in PICTURES:
                both = (cell, other) if isinstance(cell, list) else ([cell], [other])
                for own, like in zip(*both, strict=True):
                    assert np.array_equal(pixels(own), np.asarray(like))
            else:
                assert np.array_equal(cell, other)
    # The shards of other tests are what it would write.
    columns = {"text": "str", "content": "bytes", "float64": "float64"}
    samples = [sample(row) for row in range(SAMPLES)]
    write_plain(tmp_path / "ours", columns, samples, SAMPLES)
    with mds.MDSWriter(out=str(tmp_path / "b"), columns=columns, size_limit=None) as out:
        for one in samples:
            out.write({name: one[name] for name in columns})
    for name in ("index.json", "shard.00000.mds"):
        ours, theirs_ = ((tmp_path / one / name).read_bytes() for one in ("ours", "b"))
        assert (
            (json.loads(ours), 0) == (json.loads(theirs_), 0)
            if name == "index.json"
            else ours == theirs_
        )


def change_index(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    index = json.loads((folder / "index.json").read_text())
    change(index["shards"][1])
    (folder / "index.json").write_text(json.dumps(index))


def cut_off(folder: Path) -> None:
    shard = folder / "shard.00001.mds"
    shard.write_bytes(shard.read_bytes()[:-10])


def compressed(folder: Path) -> None:
    (folder / "shard.00001.mds").rename(folder / "shard.00001.mds.zstd")
    change_index(folder, lambda one: one.update(zip_data={"basename": "shard.00001.mds.zstd"}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: (folder / "shard.00002.mds").unlink(),
            r"1 of 3 shards .*missing: '.*00002",
        ),
        (cut_off, r"A shard has [0-9,]* bytes, and the index says [0-9,]*: it is cut off.*00001"),
        (compressed, r"compressed shard.*Decompress the shards beside them, as 'shard.00001.mds'"),
        (lambda folder: (folder / "index.json").unlink(), r"has an index\.json.*does not exist"),
        (lambda folder: (folder / "index.json").write_text("{}"), "is no such index"),
        (
            lambda folder: (folder / "index.json").write_text('{"version": 2, "shards": []}'),
            "has no shards",
        ),
        (
            lambda folder: change_index(folder, lambda one: one.update(format="json")),
            r"Only shards of the format 'mds'.*Received: format 'json', version 2",
        ),
        (
            lambda folder: change_index(folder, lambda one: one.pop("column_sizes")),
            "a shard lacks something",
        ),
        (
            lambda folder: change_index(
                folder, lambda one: one["raw_data"].update(basename="../x")
            ),
            r"must be in the folder of its index. Received: '\.\./x'",
        ),
        (
            lambda folder: change_index(folder, lambda one: one["column_encodings"].reverse()),
            "must have the same columns",
        ),
    ],
)
def test_what_is_wrong_is_said_when_it_is_opened(
    damage: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "mds"
    shutil.copytree(WRITTEN, folder)
    damage(folder)
    with pytest.raises(mg.TableError, match=message):
        mg.open_table(f"mds:{folder}")


def test_a_damaged_sample_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "mds"
    shutil.copytree(WRITTEN, folder)
    shard = folder / "shard.00001.mds"
    content = bytearray(shard.read_bytes())
    # Where its first sample ends, and the second begins if there is one.
    content[8:12] = (2**31).to_bytes(4, "little")
    shard.write_bytes(content)
    table = opened(folder)
    bad = [
        row
        for row in range(SAMPLES)
        if str(folder / "shard.00001") in table["text"].array.origin(row)
    ]
    loader = mg.ImageLoader("drawing", image_size=(3, 4))
    found = mg.audit(table, {"drawing": loader}).problems
    refused = found[found["kind"] == "unreadable"]
    assert refused["index"].tolist() == bad
    assert refused["message"].str.contains("is said to be at bytes").all()
    with pytest.raises(mg.LoadError, match=r"'text' of sample \d of the shard cannot be read"):
        table["text"].tolist()
    skipping = {"on_error": "skip", "max_error_rate": 1.0}
    target = mg.NumericTarget.from_values("int8", [100, 104])
    data = mg.MultimodalSequence(table, {"drawing": loader}, target, batch_size=5, **skipping)
    (drawings,), numbers = data[0][:2]
    assert len(drawings) == len(numbers) == SAMPLES - len(bad)
    assert sorted(set(data.failures["index"])) == bad


def test_an_index_or_its_folder_is_opened_and_a_list_of_them_is_none() -> None:
    with pytest.warns(UserWarning, match="pickled"):
        assert len(mg.open_table(WRITTEN / "index.json")) == SAMPLES
    with pytest.raises(mg.TableError, match="named by its folder"):
        mg.open_table([f"mds:{WRITTEN}", str(WRITTEN)])
