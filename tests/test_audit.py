"""An audit finds what was planted, says so once per row, continues where it was stopped, and cleans
what cannot be used.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner
from web_server import serving

import multimodal_gen as mg
from benchmarks.planting import plant
from multimodal_gen.cli.app import app
from multimodal_gen.inspection.audit import pictures
from multimodal_gen.inspection.audit.findings import KINDS
from multimodal_gen.inspection.audit.pictures import PictureReader

SILENT = {"progress": lambda cells: None}


def loaders(table: pd.DataFrame, folder: Path) -> tuple[dict[str, mg.Loader], mg.ClassLabel]:
    texts = [text for text in table["caption"] if isinstance(text, str)]
    labels = sorted(
        {label for label in table["label"] if isinstance(label, str) and "Unheard" not in label}
    )
    inputs = {
        "image": mg.ImageLoader("image", directory=folder, image_size=(32, 32)),
        "caption": mg.TextLoader.from_texts("caption", texts),
    }
    return inputs, mg.ClassLabel("label", labels)


def audited(table: pd.DataFrame, folder: Path, **more: object) -> mg.Audit:
    return mg.audit(table, *loaders(table, folder), **{**SILENT, **more})


def shop(folder: Path, rows: int = 24) -> pd.DataFrame:
    """Pictures of coloured noise that has nothing in common, with captions of their own; half of
    them test rows.
    """
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for row in range(rows):
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), "uint8"))
        small.resize((60, 80), Image.Resampling.BICUBIC).save(
            folder / "images" / f"{row}.jpg", quality=92
        )
    words = np.array(
        ["oak", "brass", "linen", "glass", "slate", "cork", "felt", "tin", "jade", "wool"]
    )
    return pd.DataFrame(
        {
            "image": [f"images/{row}.jpg" for row in range(rows)],
            "caption": [
                f"a thing of {' and '.join(rng.choice(words, 4))}, number {row}"
                for row in range(rows)
            ],
            "label": [("mug", "lamp")[row % 2] for row in range(rows)],
            "split": [("train", "test")[row >= rows // 2] for row in range(rows)],
        },
        index=[f"row-{row}" for row in range(rows)],
    )


def found(report: mg.Audit, kind: str) -> list[str]:
    return report.problems.loc[report.problems["kind"] == kind, "index"].tolist()


def test_good_rows_have_no_problems(tmp_path: Path) -> None:
    table = shop(tmp_path)
    report = audited(table, tmp_path, split="split")
    assert report.counts == {} and report.problems.columns.tolist() == [
        "index",
        "column",
        "kind",
        "message",
    ]
    assert report.duplicates.index.equals(table.index) and report.duplicates.is_unique
    assert report.clean(table).equals(table)
    assert any(note == "label: 2 classes of 12 rows each" for note in report.notes)


def test_planted_problems_of_every_kind_are_found_and_little_else(
    sample_data: Path, tmp_path: Path
) -> None:
    good = mg.read_table(sample_data / "catalog.csv")
    good["split"] = np.where(np.arange(len(good)) % 4 == 0, "test", "train")
    table, planted = plant(good, sample_data, tmp_path, 5, seed=0)
    report = audited(table, tmp_path, split="split")
    kinds = report.problems.groupby("index")["kind"].agg(set).to_dict()
    # The same words in two parts are leakage.
    names = {"spelling": {"near duplicate", "leakage"}}
    missed = [
        (row.kind, row.row)
        for row in planted.itertuples()
        if not any(
            names.get(row.kind, {row.kind}) & kinds.get(one, set()) for one in (row.row, row.other)
        )
    ]
    assert len(missed) <= 0.05 * len(planted), missed
    assert set(planted["kind"]) - {"spelling"} == set(KINDS) - {
        "unreadable",
        "extreme number",
        "unlike pair",
        "unlikely label",
        "outlier",
    }
    others = set(report.problems["index"]) - set(planted["row"]) - set(planted["other"])
    assert len(others) < 0.01 * len(good), report.problems[report.problems["index"].isin(others)]


def test_a_finding_names_index_column_path_and_reason(tmp_path: Path) -> None:
    table = shop(tmp_path)
    (tmp_path / "images" / "3.jpg").write_bytes(b"")
    table.loc["row-4", "image"] = "images/gone.jpg"
    table = table.astype(object)
    table.loc["row-5", ["image", "caption"]] = [None, 7]
    report = audited(table, tmp_path)
    rows = report.problems.set_index(["index", "column"])
    assert rows.loc[("row-3", "image"), "kind"] == "empty file"
    assert rows.loc[("row-4", "image"), "kind"] == "missing"
    assert "images/gone.jpg" in rows.loc[("row-4", "image"), "message"]
    assert rows.loc[("row-5", "image"), "kind"] == "missing"
    assert rows.loc[("row-5", "caption"), "kind"] == "unreadable"
    assert report.clean(table).index.tolist() == [
        name for name in table.index if name not in ("row-3", "row-4", "row-5")
    ]


def test_duplicates_are_a_column_to_split_by_so_that_no_copy_is_on_two_sides(
    tmp_path: Path,
) -> None:
    table = shop(tmp_path)
    with Image.open(tmp_path / "images" / "0.jpg") as image:
        image.resize((90, 120)).save(tmp_path / "images" / "copy.png")
    shutil.copy(tmp_path / "images" / "1.jpg", tmp_path / "images" / "again.jpg")
    table.loc["row-20", "image"], table.loc["row-21", "image"] = (
        "images/copy.png",
        "images/again.jpg",
    )
    report = audited(table, tmp_path, split="split")
    assert found(report, "leakage") == ["row-0", "row-1", "row-20", "row-21"]
    assert report.duplicates["row-0"] == report.duplicates["row-20"] != report.duplicates["row-1"]
    for seed in range(3):
        parts = mg.split_table(
            table.assign(group=report.duplicates), (0.5, 0.5), group="group", seed=seed
        )
        assert not set(parts[0]["group"]) & set(parts[1]["group"])
    # Test rows stay.
    assert set(table.index) - set(report.clean(table).index) == {"row-0", "row-1"}


def test_conflicting_labels_drop_all_rows_and_equal_rows_all_but_the_first(tmp_path: Path) -> None:
    table = shop(tmp_path)
    for row, other in ((2, 1), (5, 3)):
        shutil.copy(tmp_path / "images" / f"{other}.jpg", tmp_path / "images" / f"{row}.jpg")
    table.loc["row-5", "caption"] = table.loc["row-3", "caption"]
    report = audited(table, tmp_path)
    assert found(report, "conflicting labels") == ["row-1", "row-2"]
    assert {"row-3", "row-5"} <= set(found(report, "duplicate"))
    assert set(table.index) - set(report.clean(table).index) == {"row-1", "row-2", "row-5"}


def test_parts_may_be_given_as_tables_and_labels_that_training_rows_lack_are_unseen(
    tmp_path: Path,
) -> None:
    table = shop(tmp_path)
    table.loc["row-20", "label"] = "chair"
    inputs, target = loaders(table, tmp_path)
    report = mg.audit({"train": table[:12], "test": table[12:]}, inputs, target, **SILENT)
    assert found(report, "unseen label") == ["row-20"]
    assert report.clean(table[12:]).index.tolist() == [
        name for name in table.index[12:] if name != "row-20"
    ]
    with pytest.raises(mg.TableError, match="Only audited rows can be .* Received: index 'new'"):
        report.clean(table.rename(index={"row-0": "new"}))


def test_captions_that_give_the_class_away_are_told_from_those_that_do_not(tmp_path: Path) -> None:
    table = shop(tmp_path)
    assert not any("name of their own class" in note for note in audited(table, tmp_path).notes)
    table["caption"] = [
        f"{text}, a fine {label}"
        for text, label in zip(table["caption"], table["label"], strict=True)
    ]
    notes = audited(table, tmp_path).notes
    assert any(
        "100% of the captions contain the name" in note and "100% of the classes" in note
        for note in notes
    )


def test_a_table_whose_pictures_have_several_captions_is_not_full_of_problems(
    tmp_path: Path,
) -> None:
    table = shop(tmp_path, 12)
    several = pd.concat([table, table.assign(caption=table["caption"].str[::-1])])
    several = several.reset_index(drop=True)
    report = audited(several, tmp_path)
    assert not set(report.counts) & {"duplicate", "near duplicate"}
    assert any("24 rows share their picture" in note for note in report.notes)
    assert report.duplicates.nunique() == 12


def test_ignored_kinds_are_no_problems_and_other_words_are_refused(tmp_path: Path) -> None:
    table = shop(tmp_path)
    table.loc["row-5", "caption"] = ""
    assert audited(table, tmp_path).counts == {"empty caption": 1}
    assert audited(table, tmp_path, ignore=["empty caption"]).counts == {}
    with pytest.raises(
        ValueError, match="`ignore` must contain kinds of problems.* Received: 'blurry'"
    ):
        audited(table, tmp_path, ignore=["blurry"])


def test_bytes_arrays_numbers_and_loaders_of_ones_own_are_audited_too(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 1), "uint8")
    buffers = []
    for one in pixels:
        buffer = io.BytesIO()
        Image.fromarray(one[..., 0]).save(buffer, "PNG")
        buffers.append(buffer.getvalue())
    table = mg.table_from_arrays(digit=pixels)
    table["png"], table["price"] = buffers, [1.0, 2.0, None, 4.0, 5.0, 6.0]
    table.at[3, "png"] = buffers[0][:-20]
    table.at[4, "png"] = buffers[1]
    inputs = {
        "digit": mg.ArrayLoader.from_values("digit", table["digit"]),
        "png": mg.ImageLoader("png", image_size=(8, 8)),
        "price": mg.NumericLoader("price", mean=3.0, scale=1.0),
    }
    report = mg.audit(table, inputs, **SILENT)
    kinds = set(report.problems[["index", "column", "kind"]].itertuples(index=False, name=None))
    assert kinds >= {
        (2, "price", "missing"),
        (3, "png", "truncated"),
        (1, "png", "duplicate"),
        (4, "png", "duplicate"),
    }


def test_an_audit_that_was_stopped_goes_on_and_what_changed_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, state = shop(tmp_path), tmp_path / "state.bin"
    looked: list[str] = []
    look = pictures.PictureReader.look

    def counted(self: pictures.PictureReader, cell: str) -> np.ndarray:
        if len(looked) == limit:
            raise KeyboardInterrupt
        looked.append(cell)
        return look(self, cell)

    monkeypatch.setattr(pictures.PictureReader, "look", counted)
    monkeypatch.setattr("multimodal_gen.inspection.audit.picture_reading._CHUNK", 4)
    limit = 10
    with pytest.raises(KeyboardInterrupt):
        audited(table, tmp_path, state=state, threads=1)
    limit, looked[:] = 1000, []
    first = audited(table, tmp_path, state=state)
    assert len(looked) == 16
    with state.open("ab") as file:
        # As of a process that was killed while it wrote.
        file.write(b"torn")
    shutil.copy(tmp_path / "images" / "1.jpg", tmp_path / "images" / "0.jpg")
    looked.clear()
    second = audited(table, tmp_path, state=state)
    assert looked == ["images/0.jpg"]
    assert first.counts == {} and found(second, "duplicate") == ["row-0", "row-1"]


def test_wrong_states_and_indexes_are_refused(tmp_path: Path) -> None:
    table = shop(tmp_path)
    (tmp_path / "notes.txt").write_text("not a state")
    with pytest.raises(
        mg.TableError, match="not the state of an audit.* Received: state=.*notes.txt"
    ):
        audited(table, tmp_path, state=tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "not a state"
    with pytest.raises(
        mg.TableError, match="The index must be unique.* Received: index 'row-0' more than once"
    ):
        audited(pd.concat([table, table[:1]]), tmp_path)
    with pytest.raises(ValueError, match="Received: both"):
        mg.audit({"train": table}, loaders(table, tmp_path)[0], split="split")


def test_a_picture_beyond_the_limit_of_its_loader_is_huge_and_warns_nobody(tmp_path: Path) -> None:
    table = shop(tmp_path)
    Image.new("1", (20_000, 20_000)).save(tmp_path / "images" / "bomb.png")
    table.loc["row-3", "image"] = "images/bomb.png"
    problems = audited(table, tmp_path).problems
    found = problems[problems["index"] == "row-3"]
    assert found["kind"].tolist() == ["huge"]
    assert "20000 x 20000" in found["message"].iloc[0]


def test_a_full_disk_is_an_error_that_names_the_state_and_the_audit_goes_on_when_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    table, state, seen = shop(tmp_path), small_disk / "state.bin", []
    (small_disk / "other").write_bytes(bytes(2**20 - 10 * 4096))
    with pytest.raises(
        OSError, match=r"cannot be saved: No space left on device. Free some space, .*state\.bin"
    ):
        audited(table, tmp_path, state=state)
    (small_disk / "other").unlink()
    look = PictureReader.look

    def counted(self: PictureReader, cell: object) -> object:
        seen.append(cell)
        return look(self, cell)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PictureReader, "look", counted)
        assert audited(table, tmp_path, state=state).problems.empty
    assert 0 < len(seen) < len(table)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OSError, match=r"Read-only file system: '.*state\.bin'"):
        audited(table, tmp_path, state=state)


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        (
            {"sequence_length": 5},
            "caption: as tokens, 25.0% of the captions are longer than 5 and are truncated",
        ),
        (
            {"model": "wordlevel", "sequence_length": 10},
            "caption: as tokens, 25.0% of the captions are longer than 10 and are truncated; "
            "10.5% of the tokens are unknown",
        ),
        (
            {"output_mode": "ngrams", "sequence_length": 40},
            "caption: as n-grams, 25.0% of the captions have more than 40 and lose the lightest; "
            "25.0% of the captions have no learned one",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*sequence_length:UserWarning")
def test_the_note_on_captions_that_are_cut_is_in_the_units_of_the_loader(
    settings: dict[str, Any], note: str
) -> None:
    captions = ["a red mug", "a red mug beside a blue jug on a green table", "zz qq", "a blue jug"]
    table = pd.DataFrame({"caption": captions})
    loader = mg.TextLoader.from_texts("caption", table["caption"].drop(2), **settings)
    assert note in mg.audit(table, {"caption": loader}, **SILENT).notes


@pytest.mark.parametrize("mode", ["tokens", "ngrams"])
def test_a_note_on_captions_says_nothing_of_what_does_not_happen_and_never_zero(mode: str) -> None:
    texts = [f"a red mug {'on a table' * (row % 2)}" for row in range(4000)]
    loader = mg.TextLoader.from_texts("caption", texts, output_mode=mode, sequence_length=60)
    assert loader.text_coverage(texts) is None
    notes = mg.audit(pd.DataFrame({"caption": texts[:9]}), {"caption": loader}, **SILENT).notes
    assert not any("0.0" in note or "None" in note for note in notes)
    assert "less than 0.1% of the captions" in str(
        loader.text_coverage([*texts, *(["a red mug " * 60] * (mode == "tokens") or ["\u4e00"])])
    )


def test_a_blank_label_is_missing_and_texts_of_truth_values_are_numbers(tmp_path: Path) -> None:
    lines = [f"word{row} thing{row % 7},{row % 2 == 0},{'ab'[row % 2]}" for row in range(40)]
    lines[3] = "a fine sentence,False,  "
    (tmp_path / "shop.csv").write_text("\n".join(["caption,new,label", *lines]))
    columns = ["--caption", "caption", "--number", "new", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["audit", str(tmp_path / "shop.csv"), *columns])
    assert result.exit_code == 1, result.output
    problems = pd.read_csv(tmp_path / "out" / "problems.csv")
    assert problems[["index", "column", "kind"]].values.tolist() == [[3, "label", "missing"]]


@pytest.mark.parametrize(
    ("cell", "note"),
    [
        ("sku-{}", "label: 40 different classes in 40 rows, like a column of ids: too few rows of"),
        ("{:012d}", "label: 40 different classes in 40 rows, like a column of ids"),
        ("['{0}', 'b{0}']", "label: the cells are printed lists, and each list as a whole is one"),
        ("['b']", "label: the cells are printed lists"),
    ],
)
def test_ids_and_printed_lists_as_labels_are_noted(tmp_path: Path, cell: str, note: str) -> None:
    labels = [cell.format(row) for row in range(40)]
    labels[:2] = ["['a']", "['a']"] if cell == "['b']" else labels[:2]
    table = pd.DataFrame({"caption": [f"word{row} thing" for row in range(40)], "label": labels})
    table.to_csv(tmp_path / "shop.csv", index=False)
    columns = ["--caption", "caption", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["audit", str(tmp_path / "shop.csv"), *columns])
    assert result.exit_code == 0, result.output
    assert note in " ".join(result.output.split())


def test_a_cell_of_bytes_without_any_is_an_empty_file_by_another_name() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), "uint8")).save(
        buffer, "PNG"
    )
    cells = [buffer.getvalue(), b"", {"bytes": b"", "path": None}]
    table = pd.DataFrame({"image": pd.Series(cells, dtype=object)})
    loader = mg.ImageLoader("image", image_size=(8, 8))
    problems = mg.audit(table, {"image": loader}, **SILENT).problems
    assert problems["kind"].tolist() == ["empty file"] * 2 and problems["index"].tolist() == [1, 2]
    assert problems["message"].str.startswith("the cell has no bytes").all()
    for cell in cells[1:]:
        with pytest.raises(mg.LoadError, match="the cell has no bytes. Fill it, or drop the row"):
            loader.read(cell)


def test_a_page_in_the_place_of_a_picture_is_there_and_no_file_is_missing() -> None:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), "uint8")).save(
        stream, "PNG"
    )
    with serving({"a.png": stream.getvalue()}) as server:
        ways = ("ok", "page", "404")
        table = pd.DataFrame({"image": [f"{server.url}/{way}/a.png" for way in ways]})
        image = mg.ImageLoader("image", protocols=["http"], image_size=(32, 32))
        found = mg.audit(table, {"image": image}, **SILENT).problems.set_index("index")["kind"]
    assert found.to_dict() == {1: "unreadable", 2: "missing"}
