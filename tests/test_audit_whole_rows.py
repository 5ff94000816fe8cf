"""Rows that are equal in every input are found and dropped, however common it is in the table to
share a picture or a caption.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_audit import audited, found, loaders, shop
from test_cli import call

import multimodal_gen as mg
from multimodal_gen.inspection.audit.clusters import Alike, Parts, describe
from multimodal_gen.inspection.audit.whole_rows import contradictory, repeated


def shared_pictures(folder: Path) -> pd.DataFrame:
    """24 rows with two captions a picture; then a copy of row 3 and a contradiction of row 5."""
    table = shop(folder, 12).drop(columns="split")
    table = pd.concat([table, table.assign(caption=table["caption"].str[::-1])])
    more = table.iloc[[3, 5]].copy()
    more.iloc[1, 2] = "mug" if more.iloc[1, 2] == "lamp" else "lamp"
    return pd.concat([table, more]).reset_index(drop=True)


def test_copies_and_contradictions_are_dropped_where_pictures_are_shared_by_nature(
    tmp_path: Path,
) -> None:
    table = shared_pictures(tmp_path)
    report = audited(table, tmp_path)
    assert any("rows share their picture" in note for note in report.notes)
    assert found(report, "conflicting labels") == [5, 25]
    assert found(report, "duplicate") == [3, 5, 24, 25]
    whole = report.problems[report.problems["column"] == "image, caption"]
    assert whole["message"].tolist() == [
        "'lamp' here, and 'mug' at index 25 for the same inputs",
        "'mug' here, and 'lamp' at index 5 for the same inputs",
    ]
    assert report.dropped[report.dropped].index.tolist() == [5, 24, 25]


def test_copies_and_contradictions_are_dropped_where_captions_are_shared_by_nature(
    tmp_path: Path,
) -> None:
    table = shop(tmp_path).drop(columns="split").reset_index(drop=True)
    table["caption"] = [f"a {label} like others" for label in table["label"]]
    # Copies of files under names of their own.
    for row, other in ((20, 0), (21, 1)):
        shutil.copy(tmp_path / f"images/{other}.jpg", tmp_path / f"images/{row}.jpg")
    table.loc[21, "label"] = "lamp" if table.loc[1, "label"] == "mug" else "mug"
    report = audited(table, tmp_path)
    assert any("rows share their caption" in note for note in report.notes)
    assert report.dropped[report.dropped].index.tolist() == [1, 20, 21]


def test_pictures_whose_rows_differ_in_label_are_counted(tmp_path: Path) -> None:
    table = shared_pictures(tmp_path)
    report = audited(table, tmp_path)
    assert (
        "image: 1 of 12 pictures has rows with different labels, the first at index 5 and 25"
        in (report.notes)
    )
    # Another picture, and its first rows agree.
    table.loc[table.index[[2, 14]], "label"] = ["lamp", "mug"]
    notes = audited(table, tmp_path).notes
    assert any("2 of 12 pictures have rows with different labels" in note for note in notes)


def test_the_command_writes_a_table_without_them(tmp_path: Path) -> None:
    shared_pictures(tmp_path).to_csv(tmp_path / "shop.csv", index=False)
    columns = ("--image", "image", "--caption", "caption", "--out", tmp_path / "out")
    _, printed, _ = call("audit", tmp_path / "shop.csv", *columns, "--drop", tmp_path / "clean.csv")
    assert "Wrote 23 rows" in printed
    clean = pd.read_csv(tmp_path / "clean.csv")
    assert not clean.duplicated(["image", "caption"]).any()


@pytest.mark.parametrize(
    ("ignore", "dropped"),
    [(["conflicting labels"], [24]), (["duplicate"], [5, 25]), (["leakage"], [5, 24, 25])],
)
def test_what_is_ignored_is_not_dropped(
    ignore: list[str], dropped: list[int], tmp_path: Path
) -> None:
    report = audited(shared_pictures(tmp_path), tmp_path, ignore=ignore)
    assert report.dropped[report.dropped].index.tolist() == dropped


def test_a_copy_in_another_part_is_leakage_though_its_picture_is_of_one_colour(
    tmp_path: Path,
) -> None:
    table = shop(tmp_path)
    table["caption"] = [f"a {label} like others" for label in table["label"]]
    for row, grey in ((0, 90), (20, 90), (22, 91)):
        Image.new("RGB", (60, 80), (grey,) * 3).save(tmp_path / f"images/{row}.png")
        table.loc[f"row-{row}", "image"] = f"images/{row}.png"
    report = audited(table, tmp_path, split="split")
    # Row 22 has the same caption, and another picture, however blank.
    assert found(report, "near blank") == ["row-0", "row-20", "row-22"]
    assert found(report, "leakage") == ["row-0", "row-20"]
    assert report.dropped[report.dropped].index.tolist() == ["row-0"]
    assert report.duplicates["row-0"] == report.duplicates["row-20"] != report.duplicates["row-22"]


def test_numbers_beside_pictures_are_compared_by_value(tmp_path: Path) -> None:
    table = shared_pictures(tmp_path)
    table["price"] = [str(row) for row in range(len(table))]
    table.loc[[3, 24, 5, 25], "price"] = ["1.50", "1.5", "2", "3"]
    inputs, target = loaders(table, tmp_path)
    inputs["price"] = mg.NumericLoader("price", mean=3.0, scale=1.0)
    report = mg.audit(table, inputs, target, progress=lambda cells: None)
    # The captions of rows 5 and 25 are equal, and their prices are not.
    assert report.dropped[report.dropped].index.tolist() == [24]


def test_rows_of_numbers_alone_may_be_equal_by_chance() -> None:
    table = pd.DataFrame({"rooms": [1, 2, 1, 2], "label": ["a", "b", "b", "b"]})
    inputs = {"rooms": mg.NumericLoader("rooms", mean=1.0, scale=1.0)}
    report = mg.audit(
        table, inputs, mg.ClassLabel("label", ["a", "b"]), progress=lambda cells: None
    )
    assert report.counts == {} and not report.dropped.any()


def test_many_contradictions_are_dropped_with_a_note_that_says_how_to_keep_them(
    tmp_path: Path,
) -> None:
    table = shop(tmp_path, 12).drop(columns="split")
    other = table.assign(label=[{"mug": "lamp", "lamp": "mug"}[one] for one in table["label"]])
    table = pd.concat([table, other[:6]]).reset_index(drop=True)
    report = audited(table, tmp_path)
    assert int(report.dropped.sum()) == 12
    assert any(
        "12 rows (67%) have the same inputs" in note and "ignore 'conflicting labels'" in note
        for note in report.notes
    )
    assert not audited(table, tmp_path, ignore=["conflicting labels", "duplicate"]).dropped.any()


def test_a_contradiction_after_a_thousand_equal_rows_is_found_in_all_of_them() -> None:
    count = 1500
    same, codes, labels = (np.zeros(count, "int64") for _ in range(3))
    labels[-1] = codes[-2:] = 1
    parts = Parts(("train", "test"), codes)
    whole = Alike("caption", same, same)
    findings = describe(whole, pd.RangeIndex(count), parts, labels, str, "inputs")
    for kind in ("conflicting labels", "leakage", "duplicate"):
        assert len({one.position for one in findings if one.kind == kind}) == count, kind
    assert contradictory(same, labels).all() and not contradictory(same, None).any()
    assert np.flatnonzero(~repeated(same, labels, codes)).tolist() == [0, 1498, 1499]


def test_rows_with_a_cell_that_cannot_be_read_contradict_nothing(tmp_path: Path) -> None:
    table = shared_pictures(tmp_path)
    table.loc[[5, 25], "image"] = "images/gone.jpg"
    report = audited(table, tmp_path)
    assert "conflicting labels" not in report.counts
    assert report.dropped[report.dropped].index.tolist() == [5, 24, 25]
