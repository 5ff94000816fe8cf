"""Tables on disk that other libraries wrote, read beside those libraries."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

import multimodal_gen as mg

ROWS = 30
LABELS = ["x", "y", "z"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(ROWS):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (6, 7, 3), "uint8")).save(file, "png")
        found.append(file.getvalue())
    return found


@pytest.fixture(scope="module")
def captions() -> list[str]:
    return [f"thing {row % 7} é" for row in range(ROWS)]


@pytest.fixture(scope="module")
def labels() -> list[str]:
    return [LABELS[row % 3] for row in range(ROWS)]


# webdataset 1.0 leaves the shards open that it has read.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_shards_of_webdataset(
    tmp_path: Path, pictures: list[bytes], captions: list[str], labels: list[str]
) -> None:
    wds = pytest.importorskip("webdataset")
    with wds.ShardWriter(str(tmp_path / "s-%04d.tar"), maxcount=11, verbose=0) as out:
        for row in range(ROWS):
            fields = {"number": row, "label": labels[row]}
            sample = {"__key__": f"d.1/s{row:05}", "png": pictures[row], "txt": captions[row]}
            out.write({**sample, "cls": row % 3, "json": fields, "npy": np.arange(3) + row})
    table = mg.open_table(tmp_path / "s-{0000..0002}.tar")
    shards = sorted(map(str, tmp_path.glob("s-*.tar")))
    raw = list(wds.WebDataset(shards, shardshuffle=False))
    decoded = list(wds.WebDataset(shards, shardshuffle=False).decode())
    assert table["__key__"].tolist() == [one["__key__"] for one in raw]
    assert table["png"].tolist() == [one["png"] for one in raw] == pictures
    for column in ("txt", "cls", "json"):
        assert table[column].tolist() == [one[column] for one in decoded]
    assert np.array_equal(np.stack(table["npy"]), np.stack([one["npy"] for one in decoded]))
    assert table["number"].tolist() == list(range(ROWS))
    assert table["label"].tolist() == labels


def test_datasets_that_hugging_face_saved(
    tmp_path: Path, pictures: list[bytes], captions: list[str]
) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "caption": datasets.Value("string"),
            "label": datasets.ClassLabel(names=LABELS),
            "number": datasets.Value("int64"),
        }
    )
    whole = datasets.Dataset.from_dict(
        {
            "image": [{"bytes": one, "path": None} for one in pictures],
            "caption": captions,
            "label": [row % 3 for row in range(ROWS)],
            "number": [None if row % 9 == 0 else row for row in range(ROWS)],
        },
        features=features,
    )
    chosen = whole.shuffle(seed=1).filter(lambda row: row["label"] != 1)
    chosen.save_to_disk(str(tmp_path / "hub"), num_shards=3)
    whole.to_parquet(str(tmp_path / "whole.parquet"))
    table = mg.open_table(f"hf:{tmp_path / 'hub'}")
    assert len(table) == len(chosen)
    for row, own in enumerate(chosen):
        assert table["caption"][row] == own["caption"]
        assert table["label"][row] == LABELS[own["label"]]
        assert table["number"][row] == own["number"]
        with Image.open(io.BytesIO(table["image"][row]["bytes"])) as picture:
            assert np.array_equal(np.asarray(picture), np.asarray(own["image"]))
    table = mg.open_table(tmp_path / "whole.parquet")
    assert [one["bytes"] for one in table["image"]] == pictures
    assert table["label"].tolist() == [LABELS[row % 3] for row in range(ROWS)]


def test_datasets_of_lance_at_the_version_that_was_opened(
    tmp_path: Path, pictures: list[bytes], captions: list[str], labels: list[str]
) -> None:
    lance = pytest.importorskip("lance")
    vectors = pa.array([[float(row), 1.0] for row in range(ROWS)], pa.list_(pa.float32(), 2))
    columns = {"image": pictures, "caption": captions, "label": labels, "vector": vectors}
    place = str(tmp_path / "t.lance")
    lance.write_dataset(pa.table(columns), place, max_rows_per_file=7)
    lance.dataset(place).delete("label = 'y'")
    table, own = mg.open_table(place), lance.dataset(place).to_table().to_pylist()
    order = np.random.default_rng(0).integers(0, len(own), 2 * len(own))
    some = table.iloc[order]
    for column in ("image", "caption", "label"):
        assert some[column].tolist() == [own[row][column] for row in order]
    assert np.array_equal(np.stack(some["vector"]), [own[row]["vector"] for row in order])
    lance.dataset(place).delete("label = 'x'")
    assert table["label"].tolist() == [one["label"] for one in own]
    assert set(mg.open_table(place)["label"]) == {"z"}
    (lost, *others) = sorted((tmp_path / "t.lance" / "data").iterdir())
    lost.unlink()
    with pytest.raises(
        mg.TableError, match=f"1 data file of {len(others) + 1} .*{lost.name}.*anew"
    ):
        mg.open_table(place)


def test_examples_of_tensorflow(tmp_path: Path, pictures: list[bytes], captions: list[str]) -> None:
    tf = pytest.importorskip("tensorflow")

    def example(row: int) -> bytes:
        features = {
            "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[pictures[row]])),
            "caption": tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[captions[row].encode()])
            ),
            "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[row % 3])),
            "vector": tf.train.Feature(float_list=tf.train.FloatList(value=[row, 0.5])),
        }
        if row % 5 == 0:
            features["price"] = tf.train.Feature(float_list=tf.train.FloatList(value=[row]))
        whole = tf.train.Example(features=tf.train.Features(feature=features))
        return bytes(whole.SerializeToString())

    for number in range(2):
        path = str(tmp_path / f"t.tfrecord-0000{number}-of-00002")
        with tf.io.TFRecordWriter(path) as out:
            for row in range(number * 15, number * 15 + 15):
                out.write(example(row))
    table = mg.open_table(tmp_path / "t.tfrecord-*")
    assert table["image"].tolist() == pictures
    assert table["caption"].tolist() == captions
    assert table["label"].tolist() == [row % 3 for row in range(ROWS)]
    assert np.array_equal(np.stack(table["vector"]), [[row, 0.5] for row in range(ROWS)])
    assert table["price"].isna().tolist() == [row % 5 != 0 for row in range(ROWS)]
    path = tmp_path / "t.tfrecord-00001-of-00002"
    damaged = path.read_bytes().replace(captions[29].encode(), captions[29].encode()[:-1] + b"\xff")
    path.write_bytes(damaged)
    table = mg.open_table(tmp_path / "t.tfrecord-*")
    # Row 29 is among the sampled ones, so the column is one of bytes, and nothing is replaced.
    assert table["caption"][29].endswith(b"\xff")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(mg.TableError, match="record that begins at byte .* is cut off"):
        mg.open_table(tmp_path / "t.tfrecord-*")


def test_what_arrow_writes_is_read_as_pandas_reads_it(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "whole": [1, 2, 3],
            "gaps": pd.array([2**60, None, 3], "Int64"),
            "real": [0.5, None, 2.0],
            "yes": [True, False, True],
            "text": ["a", None, "c"],
            "kind": pd.Categorical(["p", "q", "p"]),
            "day": pd.to_datetime(["2020-01-01", None, "2021-02-03"]),
            "vector": [np.arange(2.0), np.arange(2.0), np.arange(2.0)],
        },
        index=pd.Index(["k", "l", "m"], name="key"),
    )
    frame.to_parquet(tmp_path / "t.parquet")
    table = mg.open_table(tmp_path / "t.parquet")
    for column in frame:
        ours, theirs = table[column].tolist(), frame[column].tolist()
        for one, two in zip(ours, theirs, strict=True):
            if isinstance(two, np.ndarray):
                assert np.array_equal(one, two)
            else:
                assert one == two or (one is None and pd.isna(two))
    assert table["key"].tolist() == ["k", "l", "m"]
    assert table["gaps"].sum() == 2**60 + 3


def test_a_class_without_a_name_is_an_error_and_minus_one_is_missing(tmp_path: Path) -> None:
    about = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["x", "y"]}}}}
    whole = pa.table({"label": [0, -1, 1, 5]})
    whole = whole.replace_schema_metadata({"huggingface": json.dumps(about)})
    parquet.write_table(whole, tmp_path / "t.parquet")
    table = mg.open_table(tmp_path / "t.parquet")
    assert table["label"][:3].tolist() == ["x", None, "y"]
    with pytest.raises(mg.LoadError, match="names 2 classes, and none of them has the number 5"):
        table["label"][3]


def test_a_text_that_is_none_is_an_error_where_others_are_texts(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    with tf.io.TFRecordWriter(str(tmp_path / "t.tfrecord")) as out:
        for row in range(300):
            text = b"\xff" if row == 1 else b"a text"
            value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[text]))
            features = tf.train.Features(feature={"caption": value})
            out.write(tf.train.Example(features=features).SerializeToString())
    table = mg.open_table(tmp_path / "t.tfrecord")
    assert table["caption"][2] == "a text"
    with pytest.raises(mg.LoadError, match="'caption' of record 1 of the file is not UTF-8 text"):
        table["caption"][1]
