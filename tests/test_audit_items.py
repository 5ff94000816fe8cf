"""An audit of cells with several pictures: each is examined by itself, and messages say which."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_audit import SILENT
from typer.testing import CliRunner

import multimodal_gen as mg
from multimodal_gen.cli.app import app

ROWS = 24


def textured(number: int) -> Image.Image:
    """A picture of random patches, unlike those of other numbers."""
    patches = np.random.default_rng(number).integers(0, 256, (6, 8, 3), "uint8")
    return Image.fromarray(patches).resize((160, 120), Image.Resampling.BICUBIC)


def make_shop(folder: Path) -> pd.DataFrame:
    """Two to four photos in each row, with planted problems in some of them."""
    rows = []
    for row in range(ROWS):
        names = [f"{row}-{item}.jpg" for item in range(row % 3 + 2)]
        for item, name in enumerate(names):
            textured(10 * row + item).save(folder / name, quality=90)
        rows.append(("|".join(names), "xy"[row % 2], "test" if row >= 20 else "train"))
    return pd.DataFrame(rows, columns=["photos", "label", "split"]).rename(lambda row: f"row-{row}")


@pytest.fixture
def shop(tmp_path: Path) -> pd.DataFrame:
    return make_shop(tmp_path)


def audited(table: pd.DataFrame, folder: Path, **more: object) -> mg.Audit:
    photo = mg.ImageLoader("photos", directory=folder, image_size=(16, 16))
    options = {name: more.pop(name) for name in ("separator", "missing") if name in more}
    photos = mg.ManyLoader(photo, at_most=2, **{"separator": "|"} | options)
    target = mg.ClassLabel.from_values("label", ["x", "y"])
    return mg.audit(table, {"photos": photos}, target, split="split", **SILENT, **more)


def problems(report: mg.Audit) -> set[tuple[str, str, str]]:
    """Row, kind, and which item."""
    found = set()
    for one in report.problems.to_dict("records"):
        which = re.match(r"item \d+ of \d+(?=: )", one["message"])
        found.add((one["index"], one["kind"], "" if which is None else which[0]))
    return found


def test_good_rows_of_several_pictures_have_no_problems(shop: pd.DataFrame, tmp_path: Path) -> None:
    report = audited(shop, tmp_path)
    assert problems(report) == set() and not report.dropped.any()
    assert report.duplicates.is_unique


def test_each_item_is_examined_and_named_also_beyond_at_most(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    whole = (tmp_path / "2-3.jpg").read_bytes()
    (tmp_path / "2-3.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "3-1.jpg").write_bytes(b"")
    (tmp_path / "4-0.jpg").write_bytes(b"<html>")
    Image.new("RGB", (160, 120), (9, 9, 9)).save(tmp_path / "5-2.jpg")
    textured(61).resize((6, 6)).save(tmp_path / "6-1.jpg")
    textured(71).save(tmp_path / "7-1.jpg", "PNG")
    shop.loc["row-8", "photos"] = "8-0.jpg|gone.jpg"
    shop.loc["row-9", "photos"] = None
    report = audited(shop, tmp_path)
    assert problems(report) == {
        ("row-2", "truncated", "item 4 of 4"),
        ("row-3", "empty file", "item 2 of 2"),
        ("row-4", "corrupt", "item 1 of 3"),
        ("row-5", "near blank", "item 3 of 4"),
        ("row-6", "tiny", "item 2 of 2"),
        ("row-7", "wrongly named", "item 2 of 3"),
        ("row-8", "missing", "item 2 of 2"),
        ("row-9", "missing", ""),
    }
    messages = report.problems.set_index("index")["message"]
    assert str(tmp_path / "2-3.jpg") in messages["row-2"]
    assert str(tmp_path / "gone.jpg") in messages["row-8"]
    report.write_problems(tmp_path / "problems.csv")
    assert "item 4 of 4" in (tmp_path / "problems.csv").read_text("utf-8")
    lost = [f"row-{row}" for row in (2, 3, 4, 8, 9)]
    assert report.dropped[report.dropped].index.tolist() == lost


def test_lists_in_cells_are_examined_like_joined_paths(shop: pd.DataFrame, tmp_path: Path) -> None:
    Image.new("RGB", (160, 120), (9, 9, 9)).save(tmp_path / "5-2.jpg")
    lists = shop.assign(photos=shop["photos"].str.split("|"))
    lists.at["row-7", "photos"] = ["7-0.jpg", None]
    lists.at["row-8", "photos"] = 7
    report = audited(lists, tmp_path, separator=None)
    assert problems(report) == {
        ("row-5", "near blank", "item 3 of 4"),
        ("row-7", "unreadable", ""),
        ("row-8", "unreadable", ""),
    }
    assert "item 2 of 2 is missing" in report.problems["message"].iloc[1]
    blank = lists.drop(index="row-8")
    blank.at["row-9", "photos"] = []
    report = audited(blank, tmp_path, separator=None, missing="blank")
    assert problems(report) == {("row-5", "near blank", "item 3 of 4")}


def test_copies_between_items_of_different_rows_are_found_within_and_across_parts(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    # The third photo of a training row is the first of a test row, apart from size and encoding.
    textured(10 * 20).resize((120, 90)).save(tmp_path / "2-2.jpg", quality=60)
    # Two training rows of one label share a file, and two of different labels.
    (tmp_path / "6-1.jpg").write_bytes((tmp_path / "8-0.jpg").read_bytes())
    (tmp_path / "10-0.jpg").write_bytes((tmp_path / "13-2.jpg").read_bytes())
    # Twice in one row.
    shop.loc["row-15", "photos"] = "15-0.jpg|15-1.jpg|15-0.jpg"
    report = audited(shop, tmp_path)
    assert problems(report) == {
        ("row-2", "leakage", "item 3 of 4"),
        ("row-20", "leakage", "item 1 of 4"),
        ("row-6", "duplicate", "item 2 of 2"),
        ("row-8", "duplicate", "item 1 of 4"),
        ("row-10", "duplicate", "item 1 of 3"),
        ("row-13", "duplicate", "item 3 of 3"),
        ("row-10", "conflicting labels", "item 1 of 3"),
        ("row-13", "conflicting labels", "item 3 of 3"),
    }
    message = report.problems.set_index(["index", "kind"])["message"]
    assert message["row-2", "leakage"] == (
        "item 3 of 4: nearly the same picture as index 'row-20', item 1 of 4 of 'test', this one "
        "is in 'train'"
    )
    assert message["row-6", "duplicate"] == (
        "item 2 of 2: the same picture as index 'row-8', item 1 of 4"
    )
    assert report.notes[-1] == (
        "photos: 1 row holds the same picture more than once, the first at index 'row-15'"
    )
    # The training row goes, the test row stays; rows with a shared picture are in one group.
    assert report.dropped[report.dropped].index.tolist() == ["row-2", "row-10", "row-13"]
    groups = report.duplicates
    assert groups["row-2"] == groups["row-20"] and groups["row-6"] == groups["row-8"]
    assert groups.nunique() == ROWS - 3


def test_rows_with_the_same_pictures_are_equal_rows(shop: pd.DataFrame, tmp_path: Path) -> None:
    shop.loc["row-6", "photos"] = shop["photos"]["row-8"]
    report = audited(shop, tmp_path)
    assert report.dropped[report.dropped].index.tolist() == ["row-8"]


def test_many_rows_that_share_their_pictures_are_one_note(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    table = pd.concat([shop] * 2, ignore_index=True).assign(split="train", label="x")
    report = audited(table, tmp_path, ignore=["duplicate"])
    assert any("144 items share their picture with others" in note for note in report.notes)


def test_the_page_shows_the_items_and_marks_the_one_that_a_finding_is_about(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    names = [f"{row}-0.jpg" for row in range(7)]
    Image.new("RGB", (160, 120), (200, 30, 30)).save(tmp_path / "blank.jpg")
    shop.loc["row-5", "photos"] = "|".join([*names[:5], "blank.jpg", "6-1.jpg"])
    table = shop.iloc[5:6]
    report = audited(table, tmp_path)
    assert problems(report) == {("row-5", "near blank", "item 6 of 7")}
    report.write_page(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    # The first four, and the one that is meant, in their order.
    assert re.findall(r"<span>(\d+)</span>", page) == ["1", "2", "3", "4", "6"]
    assert "and 2 more" in page
    (marked,) = re.findall(
        r"class='item marked'><img alt='' src='data:image/jpeg;base64,(.*?)'>", page
    )
    with Image.open(io.BytesIO(base64.b64decode(marked))) as picture:
        middle = np.asarray(picture)[80, 80].astype(int)
    assert (abs(middle - [200, 30, 30]) < 12).all()


def test_a_stopped_audit_of_several_resumes_and_the_bar_reaches_its_end(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    told: list[int] = []
    photo = mg.ImageLoader("photos", directory=tmp_path, image_size=(16, 16))
    inputs = {"photos": mg.ManyLoader(photo, at_most=2, separator="|")}
    for _ in range(2):
        told.clear()
        mg.audit(shop, inputs, state=tmp_path / "state.bin", progress=told.append)
        assert sum(told) == ROWS
    assert (tmp_path / "state.bin").stat().st_size > 72 * 3000


def test_the_command_audits_items_with_nothing_but_the_label(
    shop: pd.DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "3-1.jpg").write_bytes(b"no picture")
    (tmp_path / "2-2.jpg").write_bytes((tmp_path / "20-0.jpg").read_bytes())
    shop.to_csv(tmp_path / "shop.csv", index=False)
    arguments = ["audit", tmp_path / "shop.csv", "--label", "label", "--split", "split"]
    arguments += ["--out", tmp_path / "audit", "--drop", tmp_path / "clean.csv"]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 1
    found = pd.read_csv(tmp_path / "audit" / "problems.csv")
    assert found["kind"].tolist() == ["leakage", "corrupt", "leakage"]
    assert found["message"].str.startswith("item ").all()
    assert "class='items'" in (tmp_path / "audit" / "audit.html").read_text("utf-8")
    assert len(pd.read_csv(tmp_path / "clean.csv")) == ROWS - 2
