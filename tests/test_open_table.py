"""Tables on disk: every format gives the rows, cells and batches of the same loose files."""

from __future__ import annotations

import io
import json
import pickle
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mds_files import write_plain
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli import given_table
from multimodal_gen.cli.app import app
from multimodal_gen.config import serialize
from multimodal_gen.loaders.targets.balance import ClassSampler
from multimodal_gen.rows.stores import parquet as parquet_store
from multimodal_gen.rows.stores.column import StoredColumn
from multimodal_gen.rows.stores.shards import expanded, files_of
from multimodal_gen.rows.stores.tar_index import split_name
from multimodal_gen.sequence.state import digest_of_column

ROWS = 40
CLASSES = ["mug", "bowl", "jug"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def loose(tmp_path: Path) -> pd.DataFrame:
    """A table of loose files: image (a whole path), caption, label, price."""
    rng = np.random.default_rng(0)
    rows = []
    for row in range(ROWS):
        path = tmp_path / f"{row:03}.{'png' if row % 3 else 'jpg'}"
        Image.fromarray(rng.integers(0, 256, (9 + row % 4, 12, 3), "uint8")).save(path)
        rows.append((str(path), f"a {row % 7} thing", CLASSES[row % 3], row / 4))
    return pd.DataFrame(rows, columns=["image", "caption", "label", "price"])


def contents(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(image=[Path(one).read_bytes() for one in table["image"]])


def as_parquet(loose: pd.DataFrame, folder: Path) -> str:
    whole = contents(loose)
    whole[:25].to_parquet(folder / "part-0.parquet", row_group_size=10)
    whole[25:].to_parquet(folder / "part-1.parquet", row_group_size=4)
    return str(folder / "part-*.parquet")


def as_arrow(loose: pd.DataFrame, folder: Path) -> str:
    table = pa.Table.from_pandas(contents(loose))
    with pa.ipc.new_file(folder / "t.arrow", table.schema) as out:
        out.write_table(table, max_chunksize=7)
    return str(folder / "t.arrow")


def as_hub(loose: pd.DataFrame, folder: Path) -> str:
    # As `save_to_disk` of datasets 5 writes it: pictures are mappings, labels numbers with names.
    whole = contents(loose)
    pictures = [{"bytes": one, "path": None} for one in whole["image"]]
    table = pa.table(
        {
            "image": pa.array(pictures, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            "caption": whole["caption"].tolist(),
            "label": [CLASSES.index(one) for one in whole["label"]],
            "price": whole["price"].tolist(),
        }
    )
    features = {"image": {"_type": "Image"}, "label": {"names": CLASSES, "_type": "ClassLabel"}}
    about = json.dumps({"info": {"features": features}})
    table = table.replace_schema_metadata({"huggingface": about})
    root = folder / "hub"
    root.mkdir()
    files = [f"data-0000{number}-of-00002.arrow" for number in range(2)]
    for file, part in zip(files, (table[:17], table[17:]), strict=True):
        with pa.ipc.new_stream(root / file, table.schema) as out:
            out.write_table(part, max_chunksize=9)
    state = {"_data_files": [{"filename": file} for file in files]}
    (root / "state.json").write_text(json.dumps(state))
    return f"hf:{root}"


def as_tar(loose: pd.DataFrame, folder: Path) -> str:
    for shard in range(3):
        with tarfile.open(folder / f"shard-{shard:03}.tar", "w") as out:
            for row in range(shard * 15, min(shard * 15 + 15, ROWS)):
                image, caption, label, price = loose.loc[row]
                ending = Path(image).suffix.upper() if row % 2 else Path(image).suffix
                add(out, f"set.a/{row:04}{ending}", Path(image).read_bytes())
                fields = {"caption": caption, "label": label, "price": price}
                add(out, f"set.a/{row:04}.json", json.dumps(fields).encode())
    return str(folder / "shard-{000..002}.tar")


def add(out: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(content)
    out.addfile(about, io.BytesIO(content))


def as_mds(loose: pd.DataFrame, folder: Path) -> str:
    encodings = {"image": "bytes", "caption": "str", "label": "str", "price": "float64"}
    write_plain(folder / "mds", encodings, contents(loose).to_dict("records"), 15)
    return f"mds:{folder / 'mds'}"


FORMATS = [as_parquet, as_arrow, as_hub, as_tar, as_mds]
Writer = Callable[[pd.DataFrame, Path], str]


@pytest.fixture(params=FORMATS, ids=lambda write: write.__name__)
def stored(request: pytest.FixtureRequest, loose: pd.DataFrame, tmp_path: Path) -> pd.DataFrame:
    return mg.open_table(request.param(loose, tmp_path))


def sequence_of(table: pd.DataFrame, loose: pd.DataFrame, **named: Any) -> mg.MultimodalSequence:
    return mg.MultimodalSequence(
        table,
        {
            "image": mg.ImageLoader(
                "image", image_size=(8, 8), augment=[mg.augment.RandomFlip("horizontal")]
            ),
            "caption": mg.TextLoader.from_texts("caption", loose["caption"], sequence_length=6),
            "price": mg.NumericLoader.from_values("price", loose["price"]),
        },
        mg.ClassLabel("label", CLASSES),
        batch_size=8,
        shuffle=True,
        seed=5,
        **named,
    )


def flat(batch: Any) -> list[np.ndarray]:
    inputs, targets = batch[:2]
    return [*map(np.asarray, inputs), np.asarray(targets)]


def assert_equal_batches(one: Any, two: Any) -> None:
    for a, b in zip(flat(one), flat(two), strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)


def test_cells_are_those_of_the_loose_files(stored: pd.DataFrame, loose: pd.DataFrame) -> None:
    assert len(stored) == ROWS
    assert stored.index.tolist() == list(range(ROWS))
    for column in ("caption", "label", "price"):
        assert stored[column].tolist() == loose[column].tolist()
    pictures = [one["bytes"] if isinstance(one, dict) else one for one in stored["image"]]
    assert pictures == contents(loose)["image"].tolist()


def test_a_shuffled_epoch_has_the_bytes_of_loose_files_and_goes_on_in_the_middle(
    stored: pd.DataFrame, loose: pd.DataFrame
) -> None:
    expected = sequence_of(loose, loose)
    sequence = sequence_of(stored, loose)
    for number in range(len(expected)):
        assert_equal_batches(sequence[number], expected[number])
    # Another process opens the same files, and takes the state of the first.
    state = sequence.state()
    again = sequence_of(pickle.loads(pickle.dumps(stored)), loose)
    again.set_state({**state, "epoch": 1, "batch": 2})
    expected.set_state({**expected.state(), "epoch": 1, "batch": 2})
    for one, two in zip(again, expected, strict=True):
        assert_equal_batches(one, two)


def test_parts_filters_and_joins_stay_on_disk(stored: pd.DataFrame, loose: pd.DataFrame) -> None:
    parts = mg.split_table(stored, (0.5, 0.25, 0.25), stratify="label", seed=1)
    same = mg.split_table(loose, (0.5, 0.25, 0.25), stratify="label", seed=1)
    for part, other in zip(parts, same, strict=True):
        assert part.index.tolist() == other.index.tolist()
        assert part["caption"].tolist() == other["caption"].tolist()
        assert isinstance(part["image"].array, StoredColumn)
    assert stored["caption"].iloc[:0].tolist() == []
    joined = pd.concat([parts[2], stored[stored["label"] == "mug"]])
    assert isinstance(joined["image"].array, StoredColumn)
    expected = pd.concat([same[2], loose[loose["label"] == "mug"]])
    assert joined["price"].tolist() == expected["price"].tolist()


@pytest.mark.parametrize(
    "compute",
    [
        lambda table: table["label"].value_counts(),
        lambda table: table.groupby("label")["price"].sum().astype(float),
        lambda table: table["price"].describe().astype(float),
        lambda table: table["price"] * 2 + 1,
        lambda table: 1 - table["price"],
        lambda table: table["caption"].str.len().astype(int),
        lambda table: table["caption"].str.contains("3").astype(bool),
        lambda table: table["caption"].map(len),
        lambda table: table.sort_values("price", ascending=False)["label"].astype(object),
        lambda table: table["label"].isin(["mug", "jug"]),
        lambda table: table.drop_duplicates("label")["price"].astype(float),
        lambda table: table["label"].duplicated(),
        lambda table: table["caption"].isna(),
        lambda table: table.query("price > 8")["price"].astype(float),
        lambda table: table.sample(5, random_state=3)["price"].astype(float),
        lambda table: table.reindex([3, 99])["price"].astype(float),
        lambda table: table["caption"].fillna("").astype(object),
        lambda table: pd.Series(table["label"].unique(), dtype=object),
        lambda table: pd.Series(pd.factorize(table["label"])[0]),
        lambda table: table.iloc[-3:]["label"].astype(object),
    ],
)
def test_pandas_computes_what_it_does_for_a_table_in_memory(
    compute: Callable[[pd.DataFrame], pd.Series], loose: pd.DataFrame, tmp_path: Path
) -> None:
    stored = mg.open_table(as_parquet(loose, tmp_path))
    ours, theirs = compute(stored), compute(loose)
    pd.testing.assert_series_equal(
        ours, theirs, check_dtype=False, check_index_type=False, check_names=False
    )


def test_replaced_cells_stay_in_memory_and_files_are_not_changed(
    loose: pd.DataFrame, tmp_path: Path
) -> None:
    pattern = as_parquet(loose, tmp_path)
    table = mg.open_table(pattern)
    table.loc[3, "caption"] = "another"
    table.loc[[5, 6], "price"] = [1.5, 2.5]
    assert table["caption"].tolist()[2:5] == ["a 2 thing", "another", "a 4 thing"]
    assert table["price"].tolist()[4:8] == [1.0, 1.5, 2.5, 1.75]
    assert mg.open_table(pattern)["caption"][3] == "a 3 thing"


def test_pictures_are_shown_by_their_size(stored: pd.DataFrame) -> None:
    assert "bytes>" in repr(stored[["image"]].head())
    assert len(repr(stored)) < 3000


def test_opening_is_said_to_be_of_files_that_have_changed(
    loose: pd.DataFrame, tmp_path: Path
) -> None:
    table = mg.open_table(as_tar(loose, tmp_path))
    with open(tmp_path / "shard-001.tar", "ab") as file:
        file.write(b"\0" * 512)
    assert table["caption"][3] == "a 3 thing"
    with pytest.raises(mg.LoadError, match=r"shard-001\.tar.*changed since the table was opened"):
        table["caption"][16]


@pytest.mark.parametrize("write", [as_arrow, as_hub, as_parquet, as_mds])
def test_a_file_that_is_written_again_while_it_is_open_is_an_error(
    write: Writer, loose: pd.DataFrame, tmp_path: Path
) -> None:
    table = mg.open_table(write(loose, tmp_path))
    names = ("t.arrow", "hub/*.arrow", "*.parquet", "mds/*.mds")
    file = next(one for name in names for one in tmp_path.glob(name))
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(mg.LoadError, match=rf"{file.name}.*changed since the table was opened"):
        table["caption"].tolist()
    file.unlink()
    with pytest.raises(mg.LoadError, match=rf"{file.name}.*cannot be opened any more"):
        table["caption"].tolist()


def test_a_table_with_unreadable_cells_is_printed(loose: pd.DataFrame, tmp_path: Path) -> None:
    table = mg.open_table(as_tar(loose, tmp_path))
    (tmp_path / "shard-001.tar").unlink()
    table = table[["image", "caption"]]
    with pd.option_context("display.max_rows", 100, "display.max_colwidth", 40):
        for printed in (repr(table), table.to_html(), repr(table["caption"])):
            assert printed.count("unreadable: Cannot load") >= 15
            assert "a 3 thing" in printed
    assert "unreadable" in repr(table["caption"].array)
    for use in (np.asarray, lambda column: np.asarray(column, object), list, pd.Series.tolist):
        with pytest.raises(mg.LoadError, match="cannot be opened any more"):
            use(table["caption"])


@pytest.mark.parametrize("processes", [0, 1])
@pytest.mark.parametrize(
    ("write", "place"),
    [
        (as_tar, r"shard-001.tar::set.a/0022\.(png|jpg)"),
        (as_parquet, "part-0.parquet::row group 2, row 2"),
        (as_arrow, "t.arrow::row 22"),
        (as_hub, "data-00001-of-00002.arrow::row 5"),
        (as_mds, "shard.00001.mds::sample 7"),
    ],
)
def test_a_bad_picture_is_named_by_its_place_in_its_file(
    write: Writer, place: str, processes: int, loose: pd.DataFrame, tmp_path: Path
) -> None:
    Path(loose.loc[22, "image"]).write_bytes(b"no picture")
    table = mg.open_table(write(loose, tmp_path))
    sequence = sequence_of(table, loose, on_error="skip", processes=processes)
    number = next(one for one in range(5) if 22 in sequence.rows(one).index)
    sequence[number]
    (path,) = sequence.failures["path"]
    assert re.search(f"{place}$", path)
    with pytest.raises(mg.LoadError, match=rf"index 22, column 'image', path '.*{place}'"):
        sequence_of(table, loose, processes=processes)[number]


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_shard_that_is_cut_off_loses_the_rows_that_it_lacks_by_name(
    on_error: str, loose: pd.DataFrame, tmp_path: Path
) -> None:
    pattern = as_tar(loose, tmp_path)
    shard = tmp_path / "shard-001.tar"
    with tarfile.open(shard) as whole:
        member = whole.getmember(next(one for one in whole.getnames() if "0025" in one))
    with open(shard, "rb+") as file:
        file.truncate(member.offset_data + 40)
    with pytest.warns(UserWarning, match="1 shard is not whole.*ends in the middle of a file"):
        table = mg.open_table(pattern)
    # 15 rows of the first shard, 11 of the second, the last of them in part, and 10 of the third.
    assert len(table) == 36
    assert table["caption"].isna().sum() == 0
    table = table.assign(caption="a", label="mug", price=0.0)
    sequence = sequence_of(table, loose, on_error=on_error)
    if on_error == "raise":
        with pytest.raises(mg.LoadError, match=r"index 25, column 'image'.*ends after 40"):
            list(sequence)
    else:
        assert sum(len(flat(batch)[0]) for batch in sequence) == 35
        assert sequence.failures["index"].tolist() == [25]


def test_names_with_dots_that_make_one_sample_of_many_are_told(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as out:
        for row in range(30):
            add(out, f"v1.{row:05}.txt", b"one")
    with pytest.warns(UserWarning, match="each of 30 endings such as '00000.txt' is a column"):
        table = mg.open_table(tmp_path / "t.tar")
    assert len(table) == 1


def cut_at(member: tarfile.TarInfo, content: bytes, way: str) -> bytes:
    """A shard without what follows a file, cut or damaged in one of four ways."""
    end = member.offset_data + -(-member.size // 512) * 512
    rest = {"before a header": b"", "in a header": content[end : end + 100]}
    rest |= {"one half of the mark": bytes(200), "damage": b"?" * 512 + content[end + 512 :]}
    return content[:end] + rest[way]


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("before a header", "without the mark of its end, at byte"),
        ("in a header", "in the middle of a header, at byte"),
        ("one half of the mark", "in the middle of a header, at byte"),
        ("damage", "is damaged: what is at byte .* is no header"),
    ],
)
@pytest.mark.parametrize("place", [4, 5])
def test_a_shard_that_ends_between_files_is_not_taken_for_whole(
    place: int, way: str, said: str, loose: pd.DataFrame, tmp_path: Path
) -> None:
    pattern = as_tar(loose, tmp_path)
    shard = tmp_path / "shard-001.tar"
    with tarfile.open(shard) as whole:
        member = whole.getmembers()[place]
    shard.write_bytes(cut_at(member, shard.read_bytes(), way))
    with pytest.warns(UserWarning, match=f"1 shard is not whole.*shard-001.tar.*{said}"):
        table = mg.open_table(pattern)
    # The index that is kept says the same.
    with pytest.warns(UserWarning, match=f"1 shard is not whole.*shard-001.tar.*{said}"):
        again = mg.open_table(pattern)
    # 15 rows of the first shard, 3 of the second and 10 of the third.
    assert len(again) == len(table) == 28
    if place == 4:
        with pytest.raises(mg.LoadError, match="0017' is its last sample, of which it has no file"):
            table["caption"].iloc[17]
    else:
        assert table["caption"].iloc[17] == loose["caption"].iloc[17]


@pytest.mark.parametrize(("column", "place"), [("image", 0), ("caption", 1), ("label", 2)])
def test_a_torn_row_group_loses_its_rows_by_name(
    column: str, place: int, loose: pd.DataFrame, tmp_path: Path
) -> None:
    table = mg.open_table(as_parquet(loose, tmp_path))
    path = tmp_path / "part-0.parquet"
    about = parquet.read_metadata(path).row_group(1).column(place)
    content = bytearray(path.read_bytes())
    start = about.dictionary_page_offset or about.data_page_offset
    content[start : start + about.total_compressed_size] = bytes(about.total_compressed_size)
    path.write_bytes(content)
    with pytest.raises(mg.LoadError, match="changed"):
        table["image"][0]
    table = mg.open_table(str(tmp_path / "part-*.parquet"))
    sequence = sequence_of(table, loose, on_error="skip", max_error_rate=0.5)
    assert sum(len(flat(batch)[0]) for batch in sequence) == ROWS - 10
    assert sorted(sequence.failures["index"]) == list(range(10, 20))
    assert "row group 1 of the file cannot be read" in sequence.failures["error"].iloc[0]
    found = mg.audit(table, sequence.inputs, mg.ClassLabel("label", CLASSES)).problems
    refused = found[found["kind"] == "unreadable"]
    assert refused["index"].tolist() == list(range(10, 20))
    assert set(refused["column"]) == {column}


def test_worker_processes_read_stored_tables(loose: pd.DataFrame, tmp_path: Path) -> None:
    table = mg.open_table(as_tar(loose, tmp_path))
    one, two = sequence_of(table, loose, processes=1), sequence_of(loose, loose)
    for number in range(len(two)):
        assert_equal_batches(one[number], two[number])


def test_files_that_are_missing_are_named_when_the_table_is_opened(
    loose: pd.DataFrame, tmp_path: Path
) -> None:
    pattern = as_tar(loose, tmp_path)
    (tmp_path / "shard-001.tar").unlink()
    with pytest.raises(mg.TableError, match=r"1 file of 3 is missing: '.*shard-001\.tar'"):
        mg.open_table(pattern)
    with pytest.raises(FileNotFoundError, match="No file has such a name"):
        mg.open_table(tmp_path / "none-*.tar")


def test_files_with_other_columns_are_refused(loose: pd.DataFrame, tmp_path: Path) -> None:
    as_parquet(loose, tmp_path)
    loose.drop(columns="price").to_parquet(tmp_path / "part-2.parquet")
    with pytest.raises(mg.TableError, match=r"lacks \['price'\] of its columns.*part-2"):
        mg.open_table(tmp_path / "part-*.parquet")
    loose.assign(price="1", image=b"").to_parquet(tmp_path / "part-2.parquet")
    with pytest.raises(mg.TableError, match="'price' is .*string.* and double"):
        mg.open_table(tmp_path / "part-*.parquet")


def test_a_folder_of_parts_gets_a_column_split(loose: pd.DataFrame, tmp_path: Path) -> None:
    as_hub(loose, tmp_path)
    root = tmp_path / "parts"
    root.mkdir()
    (tmp_path / "hub").rename(root / "train")
    as_hub(loose[:40], tmp_path)
    (tmp_path / "hub").rename(root / "test")
    (root / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    table = mg.open_table(root)
    assert table["split"].tolist() == ["train"] * ROWS + ["test"] * ROWS
    assert table["caption"].tolist() == loose["caption"].tolist() * 2
    assert isinstance(table["image"].array, StoredColumn)


def test_row_groups_are_forgotten_where_memory_does_not_hold_them(
    loose: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = parquet_store._Kept(2000)
    monkeypatch.setattr(parquet_store, "_kept", kept)
    table = mg.open_table(as_parquet(loose, tmp_path))
    assert table["image"].tolist() == contents(loose)["image"].tolist()
    assert len(kept._pieces) == 1


def test_a_column_that_is_gone_through_pushes_nothing_out(
    loose: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = parquet_store._Kept(2**20)
    monkeypatch.setattr(parquet_store, "_kept", kept)
    monkeypatch.setattr("multimodal_gen.rows.stores.arrow._IN_PASSING", 20)
    table = mg.open_table(as_parquet(loose, tmp_path))
    assert table["label"].tolist() == loose["label"].tolist()
    assert not kept._pieces
    assert len(kept._passing) == 1
    assert table["label"][3] == loose["label"][3]
    assert len(kept._pieces) == 1


def test_what_is_learned_piece_by_piece_is_what_is_learned_from_all(
    loose: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose["caption"] = [f"{one} 杯子 Straße{row}" for row, one in enumerate(loose["caption"])]
    loose.loc[9, "caption"] = None
    table = mg.open_table(as_parquet(loose, tmp_path))

    def learned(table: pd.DataFrame) -> list[Any]:
        texts = [{"model": one, "vocabulary_size": 300} for one in ("wordpiece", "bpe", "unigram")]
        texts += [{"model": "wordlevel"}, {"output_mode": "ngrams"}, {"vocabulary_size": 1100}]
        label = mg.ClassLabel.from_values("label", table)
        return [
            *(serialize(mg.TextLoader.from_texts("caption", table, **one)) for one in texts),
            label.class_names,
            label.class_weight(table),
            serialize(mg.NumericLoader.from_values("price", table)),
            serialize(mg.CategoryLoader.from_values("label", table)),
            mg.BalancedSampler("label").weights(table).tolist(),
            ClassSampler(label).weights(table).tolist(),
            table["caption"].isna().tolist(),
            [part.index.tolist() for part in mg.split_table(table, (0.5, 0.5), stratify="label")],
        ]

    whole = learned(loose)
    monkeypatch.setattr("multimodal_gen.rows.chunks.CHUNK_ROWS", 7)
    assert learned(table) == learned(loose) == whole


def test_a_column_takes_no_memory_until_rows_are_picked(
    loose: pd.DataFrame, tmp_path: Path
) -> None:
    table = mg.open_table(as_arrow(loose, tmp_path))
    assert table.memory_usage(index=False).sum() == 0
    assert pd.concat([table, table[10:20]])["label"].memory_usage(index=False) == 8 * 50
    assert table[5:25].memory_usage(index=False).sum() == 0
    picked = table["label"].iloc[list(range(ROWS))]
    assert digest_of_column(table["label"]) == digest_of_column(picked)


def test_an_index_of_a_shard_is_made_once(loose: pd.DataFrame, tmp_path: Path) -> None:
    pattern = as_tar(loose, tmp_path)
    first = mg.open_table(pattern)
    made = {one: one.stat().st_mtime_ns for one in (tmp_path / "cache").rglob("*.arrow")}
    assert len(made) == 3
    assert mg.open_table(pattern)["caption"].tolist() == first["caption"].tolist()
    assert {one: one.stat().st_mtime_ns for one in (tmp_path / "cache").rglob("*.arrow")} == made


@pytest.mark.parametrize(
    ("name", "key", "ending"),
    [
        ("a/b.jpg", "a/b", "jpg"),
        ("v1.0/b.left.JPG", "v1.0/b", "left.jpg"),
        ("b", "b", ""),
        ("x/.hidden", "x/.hidden", ""),
    ],
)
def test_keys_and_endings_are_those_of_webdataset(name: str, key: str, ending: str) -> None:
    assert split_name(name) == (key, ending)


def test_patterns_name_files_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    assert expanded("a-{08..11}.{x,y}") == [
        f"a-{number}.{end}" for number in ("08", "09", "10", "11") for end in "xy"
    ]
    for number in (10, 9, 1):
        (tmp_path / f"s{number}.tar").touch()
    assert [Path(one).name for one in files_of(str(tmp_path / "s*.tar"))] == [
        "s1.tar",
        "s9.tar",
        "s10.tar",
    ]


def test_texts_and_folders_are_read_into_memory(loose: pd.DataFrame, tmp_path: Path) -> None:
    loose.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(
        mg.open_table(tmp_path / "t.csv"), mg.read_table(tmp_path / "t.csv")
    )
    with pytest.raises(mg.TableError, match="of one format"):
        mg.open_table(tmp_path / "*.??[vg]")


def test_a_command_takes_shards(loose: pd.DataFrame, tmp_path: Path) -> None:
    pattern = as_tar(loose, tmp_path)
    names = ["--image", "image", "--caption", "caption", "--label", "label"]
    done = CliRunner().invoke(app, ["audit", pattern, *names, "--out", str(tmp_path / "audit")])
    # All rows share their captions with others, which it finds.
    assert done.exit_code == 1, done.output
    assert "40 rows" in done.output
    assert (tmp_path / "audit" / "audit.html").exists()


def test_files_can_be_listed_and_their_columns_may_come_in_another_order(
    loose: pd.DataFrame, tmp_path: Path
) -> None:
    loose[:10].to_parquet(tmp_path / "b.parquet")
    loose.loc[10:, ::-1].to_parquet(tmp_path / "a.parquet")
    table = mg.open_table([tmp_path / "b.parquet", str(tmp_path / "a.parquet")])
    for column in loose:
        assert table[column].tolist() == loose[column].tolist()


def test_a_table_can_be_written_and_summed_up(loose: pd.DataFrame, tmp_path: Path) -> None:
    table = mg.open_table(as_tar(loose, tmp_path))
    table[table["label"] == "mug"].drop(columns="json").to_parquet(tmp_path / "mugs.parquet")
    mugs = mg.open_table(tmp_path / "mugs.parquet")
    assert mugs["image"].tolist() == contents(loose[loose["label"] == "mug"])["image"].tolist()
    assert table["price"].cumsum().tolist() == loose["price"].cumsum().tolist()


def test_what_was_meant_is_said_of_wrong_paths(loose: pd.DataFrame, tmp_path: Path) -> None:
    table = mg.open_table(as_tar(loose, tmp_path))
    with pytest.raises(mg.TableError, match=r"holds \.tar files, .*\*\.tar'"):
        mg.open_table(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"looked for '.*s-0\.tar' to '.*s-3\.tar'"):
        mg.open_table(tmp_path / "s-{0..3}.tar")
    (tmp_path / "t.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(mg.TableError, match="Decompress it first"):
        mg.open_table(tmp_path / "t.tar.gz")
    (tmp_path / "shard-000.tar").unlink()
    with pytest.raises(mg.LoadError, match=r"shard-000\.tar.*cannot be opened any more"):
        table["caption"][0]


def test_a_command_leaves_a_large_parquet_file_on_disk(
    loose: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    loose.to_parquet(path)
    in_memory = given_table.read_given(path)
    monkeypatch.setattr(given_table, "_LARGE", path.stat().st_size)
    opened = given_table.read_given(path)
    assert isinstance(opened["caption"].array, StoredColumn)
    assert not isinstance(in_memory["caption"].array, StoredColumn)
    for column in loose:
        assert opened[column].tolist() == in_memory[column].tolist()
