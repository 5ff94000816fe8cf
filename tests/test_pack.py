"""Packed tables: the same cells, types and batches as loose files, whatever happens meanwhile."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.batch.packing import naming
from multimodal_gen.batch.packing.naming import output_of
from multimodal_gen.batch.packing.writers import ending_of
from multimodal_gen.cli.app import app
from tests.web_server import serving

ROWS = 24
OUTS = ["out.parquet", "out-{0..2}.tar", "out.lance"]
CLASSES = ["mug", "bowl", "jug"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, and a table.csv of them."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    rows = []
    for row in range(ROWS):
        name = f"{row}.{'png' if row % 3 else 'jpg'}"
        pixels = rng.integers(0, 256, (9 + row % 4, 12, 3 + (row % 3 == 1)), "uint8")
        Image.fromarray(pixels).save(folder / name)
        rows.append((name, f"a {row % 7} thing", CLASSES[row % 3], row / 4))
    table = pd.DataFrame(rows, columns=["image", "caption", "label", "price"])
    table.to_csv(folder / "table.csv", index=False)
    return folder


@pytest.fixture
def loose(photos: Path) -> pd.DataFrame:
    """Text and numbers, with missing ones, dates, categories, lists, mappings and bytes."""
    table = mg.read_table(photos / "table.csv").assign(price=np.arange(ROWS) / 4)
    rows = range(ROWS)
    table["Kind of"] = pd.Categorical(table["label"], ["jug", "mug", "bowl", "cup"])
    table["day"] = pd.date_range("2024-03-30 22:30", periods=ROWS, freq="h", tz="Europe/Berlin")
    table["took"] = pd.to_timedelta(np.arange(ROWS), "min")
    table["small"] = np.arange(ROWS, dtype="int8")
    table["share"] = np.linspace(0, 1, ROWS, dtype="float32")
    table["count"] = pd.array([None if row % 5 == 0 else 2**60 + row for row in rows], "Int64")
    table["good"] = [row % 2 == 0 for row in rows]
    table["sizes"] = [[row, row + 1] for row in rows]
    table["about"] = [{"by": f"{row}", "n": row} for row in rows]
    table["raw"] = [bytes([row]) * row for row in rows]
    table["nothing"] = None
    table["split"] = ["train", "test"] * (ROWS // 2)
    table["several"] = [list(table["image"][: row % 3]) for row in rows]
    table.loc[5, ["image", "caption", "day", "several"]] = None
    return table


def image(folder: Path, **named: Any) -> mg.ImageLoader:
    return mg.ImageLoader("image", directory=folder, image_size=(8, 8), **named)


def many(folder: Path) -> mg.ManyLoader:
    return mg.ManyLoader(image(folder).replace(column="several"), at_most=2, missing="blank")


def packed(table: pd.DataFrame, out: Path, loaders: Any, **named: Any) -> mg.Packed:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A tar shard keeps the values")
        return mg.pack_table(table, out, loaders, threads=2, **named)


@pytest.mark.parametrize("out", OUTS)
def test_columns_keep_names_order_types_and_missing_cells(
    photos: Path, loose: pd.DataFrame, tmp_path: Path, out: str
) -> None:
    done = packed(loose, tmp_path / out, [image(photos), many(photos)])
    found = mg.open_table(tmp_path / out)
    assert done.rows == ROWS and done.skipped.empty and list(found) == list(loose)
    assert done.path == str(tmp_path / out)
    for name in set(loose) - {"image", "several", "nothing"}:
        before, after = loose[name].tolist(), found[name].tolist()
        assert loose[name].isna().tolist() == found[name].isna().tolist(), name
        for one, other in zip(before, after, strict=True):
            if isinstance(one, list):
                assert other.tolist() == one
            elif not (one is None or one is pd.NA or one != one):
                assert other == (np.float32(one) if isinstance(one, float) else one)
    assert found["nothing"].isna().all()
    kinds = {name: found[name].dtype.cells for name in found}
    texts = ("caption", "label", "Kind of", "split", "nothing")
    assert {name for name, kind in kinds.items() if kind == "text"} == set(texts)
    assert kinds["count"] == kinds["small"] == "int" and kinds["good"] == "bool"

    def content(name: str) -> bytes:
        return (photos / name).read_bytes()

    for name, cell in zip(loose["image"], found["image"], strict=True):
        assert cell == content(name) if isinstance(name, str) else cell is None
    for names, cells in zip(loose["several"], found["several"], strict=True):
        assert cells is None if names is None else cells == list(map(content, names))
    # What is packed can be packed again, into any format.
    again = packed(found, tmp_path / f"again-{OUTS[OUTS.index(out) - 1]}", [image(photos)])
    other = mg.open_table(again.path)
    assert all(repr(other[name].tolist()) == repr(found[name].tolist()) for name in found)


def test_parquet_keeps_pandas_types_and_tar_says_what_it_does_not_keep(
    photos: Path, loose: pd.DataFrame, tmp_path: Path
) -> None:
    packed(loose, tmp_path / "a.parquet", [image(photos)])
    back = pd.read_parquet(tmp_path / "a.parquet")
    for name in ("Kind of", "day", "took", "small", "share", "count", "good"):
        assert back[name].dtype == loose[name].dtype, name
    with pytest.warns(UserWarning, match="values of 'Kind of', and not that the column is categ"):
        done = mg.pack_table(loose, tmp_path / "a.tar", [image(photos)])
    assert len(done.notes) == 1
    table = loose.assign(at=[np.zeros((2, 2))] * ROWS)
    with pytest.raises(mg.TableError, match=r"column 'at' have no common type.*astype\(str\)"):
        packed(table, tmp_path / "b.tar", [image(photos)])
    table = loose.assign(about=[{"by": [b"x"]}] * ROWS)
    with pytest.raises(mg.TableError, match="cells of 'about'. Drop the column, or write parquet"):
        packed(table, tmp_path / "b.tar", [image(photos)])
    table = loose.rename(columns={"price": "price.of"})
    with pytest.raises(mg.TableError, match=r"Lance cannot hold.*price\.of cannot contain"):
        packed(table, tmp_path / "b.lance", [image(photos)])
    table = loose.rename(columns={"price": ""})
    with pytest.raises(mg.TableError, match="must have a name.*Received: column=''"):
        packed(table, tmp_path / "b.lance", [image(photos)])
    assert not (tmp_path / "b.tar").exists()


def sequence_of(table: pd.DataFrame, loader: mg.ImageLoader) -> mg.MultimodalSequence:
    return mg.MultimodalSequence(
        table,
        {
            "image": loader,
            "caption": mg.TextLoader.from_texts("caption", ["a 1 2 3 thing"], sequence_length=6),
            "price": mg.NumericLoader.from_values("price", [0.0, 6.0]),
        },
        mg.ClassLabel("label", CLASSES),
        batch_size=8,
        shuffle=True,
        seed=5,
        on_error="blank",
    )


def epoch(table: pd.DataFrame, loader: mg.ImageLoader) -> list[bytes]:
    sequence = sequence_of(table, loader)
    found = []
    for number in range(len(sequence)):
        inputs, targets, *weights = sequence[number]
        found += [np.asarray(one).tobytes() for one in (*inputs, targets, *weights)]
    return found


@pytest.mark.parametrize("resize", [False, True])
@pytest.mark.parametrize("out", OUTS)
def test_a_shuffled_epoch_has_the_same_bytes(
    photos: Path, loose: pd.DataFrame, tmp_path: Path, out: str, resize: bool
) -> None:
    table = loose[["image", "caption", "label", "price"]].drop(5).reset_index(drop=True)
    loader = image(
        photos,
        augment=[mg.augment.RandomFlip("horizontal")],
        crop_to_aspect_ratio=resize,
        color_mode="grayscale" if resize else "rgba",
    )
    packed(table, tmp_path / out, {"image": loader}.values(), resize=resize)
    found = mg.open_table(tmp_path / out)
    assert epoch(found, loader) == epoch(table, loader)
    if resize:
        with Image.open(io.BytesIO(found["image"][3])) as picture:
            assert (picture.size, picture.mode, picture.format) == ((8, 8), "L", "PNG")


def test_jpeg_files_of_a_quality_are_smaller_and_a_little_different(
    photos: Path, tmp_path: Path
) -> None:
    table = mg.read_table(photos / "table.csv")
    loader = image(photos).replace(image_size=(64, 64))
    sizes = {}
    for quality in (None, 95, 40):
        done = packed(table, tmp_path / f"{quality}.tar", [loader], resize=True, quality=quality)
        found = mg.open_table(done.path)
        sizes[quality] = sum(map(len, found["image"]))
        differ = [
            np.abs(loader.read(one).astype(int) - loader.read(other)).mean()
            for one, other in zip(table["image"], found["image"], strict=True)
        ]
        assert max(differ) == 0 if quality is None else 0 < np.mean(differ) < 20
    assert sizes[40] < sizes[95] < sizes[None]


def test_arrays_and_pictures_in_memory_become_files_of_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 9, 7, 3), "uint8")
    table = mg.table_from_arrays(image=pixels)
    loader = mg.ImageLoader("image", image_size=(9, 7))
    packed(table, tmp_path / "a.tar", [loader])
    turned = Image.fromarray(pixels[0])
    turned.getexif()[0x0112] = 6
    memory = pd.DataFrame({"image": [Image.fromarray(pixels[0]).convert("P"), turned]})
    packed(memory, tmp_path / "b.parquet", [loader])
    for before, path in ((table, "a.tar"), (memory, "b.parquet")):
        after = mg.open_table(tmp_path / path)
        for one, other in zip(before["image"], after["image"], strict=True):
            assert np.array_equal(loader.read(one), loader.read(other))
    with pytest.raises(mg.LoadError, match=r"index 0, column 'image'.*no PNG file.*mode 'CMYK'"):
        packed(memory.assign(image=Image.new("CMYK", (3, 3))), tmp_path / "c.tar", [loader])


def test_bad_rows_are_an_error_or_left_out_and_listed(photos: Path, tmp_path: Path) -> None:
    table = mg.read_table(photos / "table.csv")
    whole = (photos / "1.png").read_bytes()
    (tmp_path / "torn.png").write_bytes(whole[: len(whole) // 2])
    table.loc[3, "image"], table.loc[9, "image"] = "gone.png", str(tmp_path / "torn.png")
    table["several"] = [[name] for name in photos.glob("?.png")][:1] * ROWS
    table.at[20, "several"] = ["1.png", "gone too.png"]
    table.index = pd.Index(range(100, 100 + ROWS))
    loose = mg.ImageLoader("image", image_size=(8, 8))
    table["image"] = [str(photos / name) for name in table["image"]]
    loaders = [loose, many(photos)]
    out = tmp_path / "out-{0..2}.tar"
    with pytest.raises(mg.LoadError, match=r"index 103, column 'image', path '.*gone.png'"):
        packed(table, out, loaders)
    assert not (tmp_path / "out-1.tar").exists() and not list(tmp_path.glob("*skipped*"))
    with pytest.raises(mg.TableError, match="3 rows cannot be packed: more than a share of 0.1"):
        packed(table, out, loaders, on_error="skip")
    done = packed(table, out, loaders, on_error="skip", max_error_rate=0.2)
    assert done.rows == ROWS - 3 and done.skipped["index"].tolist() == [103, 109, 120]
    assert "item 2 of 2" in done.skipped["error"][2]
    listed = pd.read_csv(tmp_path / "out.tar.skipped.csv")
    assert listed["index"].tolist() == [103, 109, 120] and "torn.png" in listed["path"][1]
    rest = mg.leave_out(table, tmp_path / "out.tar.skipped.csv")
    assert mg.open_table(out)["caption"].tolist() == rest["caption"].tolist()
    with pytest.raises(mg.LoadError, match="index 103, column 'image'"):
        packed(table, out, loaders)
    assert packed(table, out, loaders, on_error="skip").skipped["index"].tolist() == [103, 109, 120]


@pytest.mark.parametrize("out", OUTS)
def test_rows_that_were_left_out_come_in_once_they_are_mended(
    photos: Path, tmp_path: Path, out: str
) -> None:
    table = mg.read_table(photos / "table.csv")
    table["image"] = [str(photos / name) for name in table["image"]]
    for row in (2, 9):
        table.loc[row, "image"] = str(tmp_path / f"late{row}.png")
    loader = mg.ImageLoader("image", image_size=(8, 8))
    done = packed(table, tmp_path / out, [loader], on_error="skip")
    assert done.rows == ROWS - 2
    shutil.copy(photos / "1.png", tmp_path / "late2.png")
    with pytest.raises(mg.LoadError, match="index 9, column 'image'"):
        packed(table, tmp_path / out, [loader])
    with pytest.warns(UserWarning, match="written again, with 1 row that could not be read before"):
        done = mg.pack_table(table, tmp_path / out, [loader], on_error="skip")
    assert done.rows == ROWS - 1 and done.skipped["index"].tolist() == [9]
    shutil.copy(photos / "1.png", tmp_path / "late9.png")
    with pytest.warns(UserWarning, match="written again, with 1 row"):
        done = mg.pack_table(table, tmp_path / out, [loader])
    assert done.rows == ROWS and done.skipped.empty
    assert not list(tmp_path.glob("*skipped*"))
    opened = mg.open_table(tmp_path / out)
    assert opened["caption"].tolist() == table["caption"].tolist()
    assert opened["image"][9] == (photos / "1.png").read_bytes()
    assert packed(table, tmp_path / out, [loader]).rows == ROWS


def test_two_cannot_pack_the_same_output_at_once(photos: Path, tmp_path: Path) -> None:
    table = mg.read_table(photos / "table.csv")
    refused: list[str] = []

    def meanwhile() -> None:
        with pytest.raises(FileExistsError, match="Another process is packing") as caught:
            packed(table, tmp_path / "a.tar", [image(photos)])
        refused.append(str(caught.value))

    done = packed(table, tmp_path / "a.tar", [image(photos)], progress=meanwhile)
    assert len(refused) == done.rows == ROWS
    assert packed(table, tmp_path / "a.tar", [image(photos)]).kept == 1
    assert {one.name for one in tmp_path.glob("a*")} == {"a.tar", "a.tar.pack.json"}


def test_the_command_packs_annotations_and_urls(photos: Path, tmp_path: Path) -> None:
    table = mg.read_table(photos / "table.csv")
    lines = [f"{Path(name).name}#0\ta thing" for name in table["image"]]
    (tmp_path / "t.token").write_text("\n".join(lines), "utf-8")
    given = ["pack", str(tmp_path / "t.token"), str(tmp_path / "t.tar"), "--directory", str(photos)]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    assert len(mg.open_table(tmp_path / "t.tar")) == ROWS
    with serving({"a.png": (photos / "1.png").read_bytes()}) as server:
        urls = pd.DataFrame({"photo": [f"{server.url}/ok/a.png"] * 8})
        urls.to_csv(tmp_path / "u.csv", index=False)
        given = ["pack", str(tmp_path / "u.csv"), str(tmp_path / "u.parquet")]
        done = CliRunner().invoke(app, [*given, "--protocol", "http"])
        given = ["pack", str(tmp_path / "u.csv"), str(tmp_path / "new.parquet")]
        closed = CliRunner().invoke(app, [*given, "--image", "photo"])
    assert done.exit_code == 0, done.output
    assert "these are packed: --image photo" in done.output
    assert closed.exit_code == 2
    assert "Or open them with --protocol http." in " ".join(closed.output.split())
    assert "protocols=" not in closed.output


@pytest.mark.parametrize("out", OUTS)
def test_what_is_damaged_is_found_and_written_again(photos: Path, tmp_path: Path, out: str) -> None:
    table = mg.read_table(photos / "table.csv")
    packed(table, tmp_path / out, [image(photos)])
    first = mg.open_table(tmp_path / out)["image"].tolist()
    files = sorted(one for one in tmp_path.rglob("out*") if one.suffix in (".tar", ".parquet"))
    (file,) = (tmp_path / "out.lance" / "data").glob("*") if out == "out.lance" else files[:1]
    # In the middle of pictures, and of what the file says of them.
    file.write_bytes(file.read_bytes().replace(b"IDAT", b"IDAU"))
    with pytest.warns(UserWarning, match=r"is damaged \(the cells of 'image' differ\), and is"):
        done = mg.pack_table(table, tmp_path / out, [image(photos)])
    assert done.kept == (2 if "tar" in out else 0)
    assert mg.open_table(tmp_path / out)["image"].tolist() == first
    assert packed(table, tmp_path / out, [image(photos)]).kept == (3 if "tar" in out else 1)


@pytest.mark.parametrize("out", OUTS)
def test_what_is_missing_or_was_packed_from_other_pictures_is_written_again(
    photos: Path, tmp_path: Path, out: str
) -> None:
    own = tmp_path / "photos"
    shutil.copytree(photos, own)
    table = mg.read_table(own / "table.csv")
    packed(table, tmp_path / out, [image(own)])
    changed = own / table["image"][1]
    Image.new("RGB", (9, 9)).save(changed)
    with pytest.warns(UserWarning, match="was packed from files that have changed since, and is"):
        done = mg.pack_table(table, tmp_path / out, [image(own)])
    assert done.rows == ROWS and done.kept_rows == (ROWS - 8 if "tar" in out else 0)
    assert mg.open_table(tmp_path / out)["image"][1] == changed.read_bytes()
    if out != "out.lance":
        Path(done.files[0]).unlink()
        with pytest.warns(UserWarning, match=f"{Path(done.files[0]).name} is missing, and is"):
            mg.pack_table(table, tmp_path / out, [image(own)])
    assert packed(table, tmp_path / out, [image(own)]).kept_rows == ROWS


def test_a_shard_that_is_read_back_differently_is_an_error(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multimodal_gen.batch.packing import writers

    def swapped(out: Any, batch: pa.RecordBatch, rows: list[int]) -> None:
        write(out, batch.take(pa.array(range(len(batch)))[::-1]), rows)

    write = writers.ParquetWriter.write
    monkeypatch.setattr(writers.ParquetWriter, "write", swapped)
    table = mg.read_table(photos / "table.csv")
    with pytest.raises(mg.TableError, match="not what is read back: the cells of 'image' differ"):
        packed(table, tmp_path / "a.parquet", [image(photos)])
    assert not list(tmp_path.glob("a.parquet*[!n]"))


def test_an_output_of_another_table_or_of_nobody_knows_what_is_not_replaced(
    photos: Path, tmp_path: Path
) -> None:
    table, out = mg.read_table(photos / "table.csv"), tmp_path / "a.tar"
    packed(table, out, [image(photos)])
    before = out.read_bytes()
    for other, named in (
        (table.iloc[1:], {}),
        (table.assign(caption="x"), {}),
        (table, {"resize": True}),
    ):
        with pytest.raises(FileExistsError, match="packed from another table or in another way"):
            packed(other, out, [image(photos)], **named)
    # Neither the number of threads nor what is done about bad rows makes it another one.
    assert packed(table, out, [image(photos, missing="blank")], on_error="skip").kept == 1
    (tmp_path / "a.tar.pack.json").unlink()
    with pytest.raises(
        FileExistsError, match=r"already exists, and a.tar.pack.json.*Received: out"
    ):
        packed(table, out, [image(photos)])
    assert out.read_bytes() == before


KILLED = """
import os, signal, sys
import multimodal_gen as mg
folder, out = sys.argv[1:]
table = mg.read_table(f"{folder}/table.csv")
done = 0
def progress():
    global done
    done += 1
    if done == 19:
        os.kill(os.getpid(), signal.SIGKILL)
mg.pack_table(table, out, [mg.ImageLoader("image", directory=folder)], progress=progress, threads=1)
"""


def digests(folder: Path) -> dict[str, str]:
    return {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest()
        for one in folder.glob("out*")
        if one.is_file() and one.suffix != ".json"
    }


@pytest.mark.slow
@pytest.mark.parametrize("out", ["out-{0..2}.parquet", "out-{0..2}.tar", "out.lance"])
def test_a_killed_run_goes_on_after_its_last_whole_shard(
    photos: Path, tmp_path: Path, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    killed.mkdir()
    line = [sys.executable, "-c", KILLED, str(photos), str(killed / out)]
    assert subprocess.run(line, check=False).returncode == -signal.SIGKILL
    half = list(killed.glob("*.partial"))
    assert len(half) == 1
    with pytest.raises((FileNotFoundError, mg.TableError)):
        # A part of the table is never taken for all of it.
        mg.open_table(killed / out)
    table = mg.read_table(photos / "table.csv")
    loader = mg.ImageLoader("image", directory=photos)
    done = packed(table, killed / out, [loader])
    assert done.kept == (0 if "lance" in out else 2)
    packed(table, straight / out, [loader])
    assert digests(killed) == digests(straight)
    assert not list(killed.glob("*.partial"))
    one, other = mg.open_table(killed / out), mg.open_table(straight / out)
    assert all(one[name].tolist() == other[name].tolist() for name in table)


# webdataset 1.0 leaves the shards open that it has read.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_the_same_samples(photos: Path, tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    table = mg.read_table(photos / "table.csv")
    table["back side"] = table["image"].tolist()[::-1]
    loaders = [image(photos), image(photos).replace(column="back side")]
    packed(table[["image", "caption", "label"]], tmp_path / "one-{0..1}.tar", loaders[:1])
    packed(table, tmp_path / "two-{0..1}.tar", loaders)
    one, two = (
        list(wds.WebDataset(str(tmp_path / f"{name}-{{0..1}}.tar"), shardshuffle=False))
        for name in ("one", "two")
    )
    for row, (first, second) in enumerate(zip(one, two, strict=True)):
        assert first["__key__"] == second["__key__"] == f"{row:09}"
        ending = "jpg" if table["image"][row].endswith("jpg") else "png"
        assert first[ending] == (photos / table["image"][row]).read_bytes()
        about = json.loads(first["json"])
        assert about == {"caption": table["caption"][row], "label": table["label"][row]}
        assert second[f"image.{ending}"] == first[ending]
        back = [name for name in second if name.startswith("back-side.")]
        assert second[back[0]] == (photos / table["back side"][row]).read_bytes()
        assert json.loads(second["json"])["price"] == table["price"][row]


def test_lance_reads_the_same_rows(photos: Path, tmp_path: Path) -> None:
    lance = pytest.importorskip("lance")
    table = mg.read_table(photos / "table.csv")
    packed(table, tmp_path / "a.lance", [image(photos)])
    found = lance.dataset(tmp_path / "a.lance").to_table().to_pydict()
    assert found["image"] == [(photos / name).read_bytes() for name in table["image"]]
    assert found["caption"] == table["caption"].tolist()


def test_pictures_at_urls_are_fetched_and_tried_again(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    table = mg.read_table(photos / "table.csv")
    files = {name: (photos / name).read_bytes() for name in table["image"]}
    with serving(files) as server:
        ways = ["first503" if row == 4 else "404" if row == 6 else "ok" for row in range(ROWS)]
        table["image"] = [
            f"{server.url}/{way}/{name}" for way, name in zip(ways, files, strict=True)
        ]
        loader = mg.ImageLoader("image", protocols=["http"], image_size=(8, 8))
        done = packed(table, tmp_path / "a.parquet", [loader], on_error="skip")
        assert done.skipped["index"].tolist() == [6] and "404" in done.skipped["error"][0]
        assert mg.open_table(done.path)["image"].tolist() == [
            content for row, content in enumerate(files.values()) if row != 6
        ]
        assert server.requests["GET", f"/ok/{next(iter(files))}"] == 1


def test_a_bundle_predicts_the_same_on_packed_tables(photos: Path, tmp_path: Path) -> None:
    table = mg.read_table(photos / "table.csv")
    inputs = {"image": image(photos), "caption": mg.TextLoader.from_texts("caption", ["a 1 thing"])}
    target = mg.ClassLabel("label", CLASSES)
    bundle = mg.Bundle(mg.build_fusion_classifier(inputs, target), inputs, target)
    expected = bundle.predict(table)
    for out in OUTS[:2]:
        packed(table, tmp_path / out, inputs.values())
        pd.testing.assert_frame_equal(bundle.predict(mg.open_table(tmp_path / out)), expected)


def test_the_command_finds_the_pictures_and_says_what_it_does(photos: Path, tmp_path: Path) -> None:
    table = mg.read_table(photos / "table.csv")
    table.loc[2, "image"] = "gone.png"
    table.to_csv(tmp_path / "t.csv", index=False)
    out = str(tmp_path / "o-{0..1}.tar")
    line = ["pack", str(tmp_path / "t.csv"), out, "--on-error", "skip", "--image-size", "6x5"]
    line += ["--directory", str(photos)]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    for part in (
        "these are packed: --image image",
        "24 rows to 2 tar shards, the files of 'image' resized to 6x5",
        "Wrote 23 rows to",
        "1 row was left out, listed in",
    ):
        assert part in said, said
    again = " ".join(CliRunner().invoke(app, line).output.split())
    assert "All 23 rows of" in again and "were there before and are whole; nothing was" in again
    (tmp_path / "o-0.tar").unlink()
    with warnings.catch_warnings():
        # Commands show them.
        warnings.simplefilter("default")
        again = " ".join(CliRunner().invoke(app, line).output.split())
    assert re.search(r"o-0\.tar is missing, and is written again", again), again
    assert re.search(r"Wrote 11 rows to .* back; 1 shard of 12 rows was there before and", again)
    found = mg.open_table(out)
    loader = mg.ImageLoader("image", image_size=(6, 5), directory=photos)
    assert np.array_equal(loader.read(found["image"][0]), loader.read(table["image"][0]))
    for more, match in (
        (["--quality", "90"], "--quality is that of resized pictures: add --image-size"),
        (["--directory", str(tmp_path / "gone")], "no such folder"),
    ):
        wrong = CliRunner().invoke(app, ["pack", str(tmp_path / "t.csv"), out, *more])
        assert wrong.exit_code == 2 and match in wrong.output
    (tmp_path / "t.csv").write_text("image\nhttps://example.org/a.png\n")
    wrong = CliRunner().invoke(app, ["pack", str(tmp_path / "t.csv"), out])
    assert wrong.exit_code == 2 and "--protocol" in wrong.output


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"out": "a.csv"}, ValueError, "must end in .parquet.*Received: out='a.csv'"),
        ({"out": "a-*.tar"}, ValueError, r"as in 'a-\{000..031\}.tar'"),
        ({"out": "a-{0..1}.lance"}, ValueError, "one folder: name one"),
        ({"out": "a-{00..99}.tar"}, ValueError, "at least a row for each file"),
        ({"loaders": []}, ValueError, r"No loader reads files.*loaders=\[\]"),
        ({"quality": 90}, ValueError, "Received: quality=90, resize=False"),
        ({"quality": 101, "resize": True}, ValueError, "whole number from 1 to 100"),
        ({"on_error": "blank"}, ValueError, "on_error"),
        ({"max_error_rate": 10}, ValueError, "max_error_rate=10"),
        ({"threads": 0}, ValueError, "threads=0"),
        ({"out": "s3://bucket/a-{0..1}.tar"}, ValueError, "copy the files from there"),
        ({"table": pd.DataFrame({"a": [1]})}, mg.TableError, "no such column"),
        (
            {"table": pd.DataFrame({"image": ["a"]}, index=pd.Index([1], name="id"))},
            ValueError,
            r"reset_index.*\['id'\]",
        ),
    ],
)
def test_wrong_arguments_are_refused(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], match: str
) -> None:
    arguments = {
        "table": pd.DataFrame({"image": ["a.png"]}),
        "loaders": [mg.ImageLoader("image")],
        "out": "a.tar",
        **change,
    }
    arguments["out"] = str(tmp_path / str(arguments["out"])) if "csv" not in match else "a.csv"
    if "a-" in str(change.get("out")):
        arguments["out"] = change["out"]
    with pytest.raises(error, match=match):
        mg.pack_table(**arguments)


def test_names_of_outputs() -> None:
    several = output_of("d/photos-{000..031}.tar")
    assert len(several.files) == 32 and str(several.files[-1]) == "d/photos-031.tar"
    assert str(several.manifest) == "d/photos.tar.pack.json"
    assert str(output_of("d/{00..09}.parquet").manifest) == "d/packed.parquet.pack.json"
    assert [len(one) for one in several.pieces(100)].count(3) == 28
    assert len(output_of("a.lance").pieces(25_000)) == 3


@pytest.mark.parametrize(
    ("form", "ending"),
    [
        ("JPEG", "jpg"),
        ("PNG", "png"),
        ("GIF", "gif"),
        ("WEBP", "webp"),
        ("BMP", "bmp"),
        ("TIFF", "tiff"),
    ],
)
def test_endings_are_those_of_the_format(form: str, ending: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, form)
    assert ending_of(file.getvalue()) == ending
    assert ending_of(b"text") == "bin"


def test_row_groups_are_small_and_pictures_not_compressed_again(
    photos: Path, tmp_path: Path
) -> None:
    table = mg.read_table(photos / "table.csv")
    packed(pd.concat([table] * 6, ignore_index=True), tmp_path / "a.parquet", [image(photos)])
    about = parquet.read_metadata(tmp_path / "a.parquet")
    assert about.num_row_groups == 2
    columns = {
        about.row_group(0).column(one).path_in_schema: about.row_group(0).column(one)
        for one in range(about.num_columns)
    }
    assert (
        columns["image"].compression == "UNCOMPRESSED"
        and "RLE_DICTIONARY" not in columns["image"].encodings
    )
    assert columns["caption"].compression == "SNAPPY"


def test_a_run_that_is_given_up_leaves_no_half_shard(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Parts of eight rows.
    monkeypatch.setattr(naming, "_LANCE_ROWS", 8)
    table = mg.read_table(photos / "table.csv")

    def stop() -> Iterator[None]:
        yield from [None] * 17
        raise KeyboardInterrupt

    steps = stop()
    progress: Callable[[], None] = lambda: next(steps)  # noqa: E731
    for out in ("a-{0..1}.tar", "a.lance"):
        steps = stop()
        with pytest.raises(KeyboardInterrupt):
            packed(table, tmp_path / out, [image(photos)], progress=progress)
    assert (tmp_path / "a-0.tar").exists() and not (tmp_path / "a-1.tar").exists()
    assert not list(tmp_path.glob("*.tar.partial"))
    assert packed(table, tmp_path / "a-{0..1}.tar", [image(photos)]).kept == 1
    (tmp_path / "a.lance.partial" / "data" / "half.lance").write_bytes(b"of a killed run")
    done = packed(table, tmp_path / "a.lance", [image(photos)])
    assert (done.kept, done.rows) == (2, ROWS)
    assert mg.open_table(done.path)["caption"].tolist() == table["caption"].tolist()
    assert len(list((tmp_path / "a.lance" / "data").iterdir())) == 3
    assert packed(table, tmp_path / "a.lance", [image(photos)]).kept == 3
