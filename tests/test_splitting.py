"""Splits of tables with classes of a handful of rows, and pictures that are in several parts."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.cli.part_checks import warn_of_leakage
from multimodal_gen.rows.leakage import picture_columns, warn_of_shared_pictures
from multimodal_gen.rows.splitting import RareClassWarning

SHARES = (0.7, 0.1, 0.2)
few_rows = pytest.mark.filterwarnings("ignore:.* ha(s|ve) too few rows for every part")


def classes_of(sizes: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"label": np.repeat([f"kind {one}" for one in range(len(sizes))], sizes)})


def counts_of(parts: list[pd.DataFrame], column: str = "label") -> np.ndarray:
    frames = [part[column].value_counts() for part in parts]
    return pd.concat(frames, axis=1).fillna(0).to_numpy("int64")


def totals(rows: int, fractions: tuple[float, ...]) -> np.ndarray:
    return rows * np.array(fractions) / sum(fractions)


# Long tails


@st.composite
def long_tails(draw: st.DrawFn) -> tuple[list[int], tuple[float, ...]]:
    # Zipf's law: the class of rank r has a share of 1 / r**exponent, so most classes have a row or
    # two.
    count = draw(st.integers(1, 120))
    most, exponent = draw(st.integers(1, 200)), draw(st.floats(0.3, 3.0))
    sizes = [max(1, int(most / rank**exponent)) for rank in range(1, count + 1)]
    shares = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    return draw(st.permutations(sizes)), tuple(share / sum(shares) for share in shares)


@few_rows
@settings(max_examples=120, deadline=None)
@given(long_tails(), st.integers(0, 2**32))
def test_parts_and_classes_of_a_long_tail_have_their_share_rounded_up_or_down(
    drawn: tuple[list[int], tuple[float, ...]], seed: int
) -> None:
    sizes, fractions = drawn
    table = classes_of(sizes)
    if len(table) < len(fractions):
        return
    parts = mg.split_table(table, fractions, stratify="label", seed=seed)
    assert sorted(index for part in parts for index in part.index) == list(range(len(table)))
    wanted = totals(len(table), fractions)
    # A part that would be empty takes a row, and then another gives more than rounding takes.
    slack = 1.0 if wanted.min() >= 1 else 1.0 + len(fractions)
    assert (np.abs([len(part) for part in parts] - wanted) < slack + 1e-9).all() and all(
        map(len, parts)
    )
    counts = counts_of(parts)
    assert (np.abs(counts - np.outer(counts.sum(axis=1), fractions)) < slack + 1e-9).all()
    again = mg.split_table(table, fractions, stratify="label", seed=seed)
    assert [part.index.tolist() for part in again] == [part.index.tolist() for part in parts]


@few_rows
@settings(max_examples=60, deadline=None)
@given(long_tails(), st.integers(0, 2**32), st.integers(1, 6))
def test_groups_of_a_long_tail_stay_whole_and_parts_come_as_near_to_their_share_as_groups_allow(
    drawn: tuple[list[int], tuple[float, ...]], seed: int, most: int
) -> None:
    sizes, fractions = drawn
    table = classes_of(sizes)
    table["owner"] = np.random.default_rng(seed).integers(0, -(-len(table) // most), len(table))
    if table["owner"].nunique() < len(fractions):
        return
    parts = mg.split_table(table, fractions, stratify="label", group="owner", seed=seed)
    assert sorted(index for part in parts for index in part.index) == list(range(len(table)))
    owners = [set(part["owner"]) for part in parts]
    assert all(owners) and sum(map(len, owners)) == len(set.union(*owners))
    largest = table["owner"].value_counts().max()
    off = [len(part) for part in parts] - totals(len(table), fractions)
    assert np.abs(off).max() <= max(largest, len(fractions)) * len(fractions)


@few_rows
@pytest.mark.parametrize(
    ("sizes", "fractions", "expected"),
    [
        ([1] * 15 + [5], SHARES, [(14,), (2,), (4,)]),
        ([1] * 1230 + [5, 5, 5, 6, 6], SHARES, [(879, 880), (125, 126), (251, 252)]),
        ([5] * 5, SHARES, [(17, 18), (2, 3), (5,)]),
        ([9] * 102, SHARES, [(642, 643), (91, 92), (183, 184)]),
        ([4] * 3, (0.9, 0.05, 0.05), [(10, 11), (1,), (1,)]),
        ([2] * 50 + [12] * 3, (0.5, 0.5), [(68,), (68,)]),
    ],
)
@pytest.mark.parametrize("stratum", [str, int])
def test_classes_of_a_handful_of_rows_are_split_to_the_right_totals(
    sizes: list[int], fractions: tuple[float, ...], expected: list[tuple[int, ...]], stratum: type
) -> None:
    table = classes_of(sizes)
    if stratum is int:
        table["label"] = table["label"].str.removeprefix("kind ").astype(int)
    for seed in range(3):
        parts = mg.split_table(table, fractions, stratify="label", seed=seed)
        assert sorted(index for part in parts for index in part.index) == list(range(len(table)))
        assert all(len(part) in sizes for part, sizes in zip(parts, expected, strict=True))


def test_a_class_of_one_row_is_in_the_largest_part_as_long_as_the_others_can_make_up_for_it() -> (
    None
):
    table = classes_of([1] * 12 + [30] * 20)
    with pytest.warns(
        UserWarning,
        match="12 of the 32 classes.*too few rows.*'kind 0', 'kind 1'.*collect more rows",
    ):
        val, train, test = mg.split_table(table, (0.1, 0.7, 0.2), stratify="label")
    assert set(train["label"]) == set(table["label"])
    assert [len(val), len(train), len(test)] in ([61, 428, 123], [61, 429, 122], [62, 428, 122])


def test_classes_that_not_even_the_largest_part_has_are_counted_with_the_way_out() -> None:
    message = r"4 are absent from the largest part too.*`ClassLabel.from_values\('label', table\)`"
    with pytest.warns(UserWarning, match=message):
        mg.split_table(classes_of([1] * 15 + [5]), SHARES, stratify="label")


@pytest.mark.parametrize("cell", ["sku-{}", "{:05d}", "['{}']"])
def test_the_warning_on_ids_as_classes_does_not_advise_to_drop_all_rows(cell: str) -> None:
    table = pd.DataFrame({"label": [cell.format(row) for row in range(120)]})
    message = r"120 of the 120 classes.* and 110 more\. Is 'label' the right column\? It is like a"
    with pytest.warns(RareClassWarning, match=message) as warned:
        mg.split_table(table, SHARES, stratify="label")
    assert "split without `stratify`" in str(warned[0].message)
    assert "Drop" not in str(warned[0].message) and "from_values" not in str(warned[0].message)
    # Here dropping would leave a single class.
    with pytest.warns(RareClassWarning, match="write one class such as 'other'") as warned:
        mg.split_table(classes_of([2] * 15 + [50]), SHARES, stratify="label")
    assert "Drop" not in str(warned[0].message)


def test_numbers_as_classes_are_taken_for_what_they_may_be() -> None:
    table = pd.DataFrame({"score": np.arange(300) * 7 % 251})
    with pytest.warns(
        UserWarning, match="If 'score' holds numbers to predict, not classes, split without"
    ):
        mg.split_table(table, SHARES, stratify="score")


def test_classes_and_groups_are_told_apart_by_their_text() -> None:
    cells = pd.Series([1, 1.0, "1", np.int8(1), "x", "x", "x", "x"] * 5, dtype=object)
    table = pd.DataFrame({"label": cells, "owner": cells})
    train, test = mg.split_table(table, (0.5, 0.5), stratify="label")
    assert counts_of([train.map(str), test.map(str)]).sum() == 40
    assert sum(cell != "x" for cell in train["label"]) == 10
    first, second = mg.split_table(table, (0.5, 0.5), group="owner")
    assert {len(first), len(second)} == {20}
    truth = pd.DataFrame({"owner": pd.Series([True, 1, True, 1] * 5, dtype=object)})
    first, second = mg.split_table(truth, (0.5, 0.5), group="owner")
    assert {len(set(map(type, part["owner"]))) for part in (first, second)} == {1}


def test_unused_categories_are_no_classes_and_equal_texts_among_them_one() -> None:
    label = pd.Series(pd.Categorical(["a", "b"] * 10, categories=["c", "b", "a"]))
    train, _ = mg.split_table(pd.DataFrame({"label": label}), (0.5, 0.5), stratify="label")
    assert train["label"].value_counts()[["a", "b"]].tolist() == [5, 5]
    same = pd.Categorical([1, "1"] * 10, categories=pd.Index([1, "1"], dtype=object))
    parts = mg.split_table(pd.DataFrame({"owner": same, "n": range(20)}), (1.0,), group="owner")
    assert len(parts[0]) == 20
    with pytest.raises(mg.TableError, match="fewer groups than parts. Received: 1 groups, 2 parts"):
        mg.split_table(pd.DataFrame({"owner": same}), (0.5, 0.5), group="owner")


def test_rare_classes_in_groups_of_one_row_are_split_as_rows_are() -> None:
    table = classes_of([9] * 102)
    table["owner"] = range(len(table))
    with pytest.warns(UserWarning, match="10 of the 102 classes"):
        parts = mg.split_table(table, SHARES, stratify="label", group="owner")
    assert abs(len(parts[1]) - 91.8) < 1 and (counts_of(parts)[:, 0] >= 6).all()


# One picture in several parts


def captions(pictures: int = 40, of_each: int = 5) -> pd.DataFrame:
    rows = range(pictures * of_each)
    return pd.DataFrame(
        {
            "image": [f"photos/{row // of_each}.jpg" for row in rows],
            "caption": [f"words {row}" for row in rows],
            "label": ["a", "b"] * (len(rows) // 2),
        }
    )


@pytest.mark.parametrize(
    "cell_of",
    [
        str,
        Path,
        lambda path: path.replace("photos/", "https://example.com/") + "?size=large",
        lambda path: {"bytes": path.encode() * 9, "path": None},
        lambda path: {"bytes": None, "path": path},
        lambda path: path.encode() * 9,
    ],
)
def test_a_picture_in_several_parts_is_a_warning_that_names_the_group(cell_of) -> None:
    table = captions()
    table["photo"] = [cell_of(path) for path in table.pop("image")]
    message = (
        r"\d+ of 40 pictures in 'photo' are in several parts, .*group='photo' \(`--group photo`\)"
    )
    with pytest.warns(mg.LeakageWarning, match=message):
        mg.split_table(table, SHARES, stratify="label")


def test_rows_of_a_picture_that_are_kept_together_or_are_single_need_no_warning() -> None:
    table = captions()
    for part in mg.split_table(table, SHARES, group="image"):
        assert (part["image"].value_counts() == 5).all()
    mg.split_table(captions(200, 1), SHARES, stratify="label")
    mg.split_table(table.drop(columns="image"), SHARES)
    # A name that all rows share is not a picture, and neither is a missing one.
    mg.split_table(table.assign(image=None, folder="photos"), SHARES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mg.LeakageWarning)
        assert len(mg.split_table(table, (0.5, 0.5))) == 2


def test_columns_of_pictures_are_known_by_most_of_their_cells() -> None:
    table = captions().assign(mask=None, seen_in=["a.png", "b", "c", "d", "e"] * 40, n=1.5)
    table["mask"] = ["m.PNG", None] * 100
    assert picture_columns(table) == ["image", "mask"]
    assert picture_columns(table[:0]) == []
    doubled = pd.concat([table[["image"]], table[["image"]]], axis=1)
    doubled.columns = pd.Index(["image", 3])
    assert picture_columns(doubled) == ["image"]


def test_copies_under_other_names_are_found_where_files_can_be_read(tmp_path: Path) -> None:
    # Of one size all; some begin alike and end otherwise.
    contents = {
        "a": b"1" * 9000,
        "b": b"2" * 9000,
        "c": b"1" * 8999 + b"3",
        "copy of a": b"1" * 9000,
        "d": b"4" * 9000,
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.png").write_bytes(content)
    names = [f"{name}.png" for name in (*contents, "lost")]
    table = pd.DataFrame({"image": names})
    looked_at = []

    def file_of(path: str) -> str | None:
        looked_at.append(path)
        return None if path == "d.png" else os.fspath(tmp_path / path)

    with pytest.warns(
        mg.LeakageWarning,
        match="^1 picture in 'image' is in several parts under different names.*first 'a.png' and "
        "'copy of a.png'",
    ):
        warn_of_shared_pictures(table, np.array([0, 1, 1, 1, 0, 1]), ["image"], file_of=file_of)
    assert looked_at == names
    for name in names:
        (tmp_path / name).write_bytes(b"")
    warn_of_shared_pictures(table, np.array([0, 1, 1, 1, 0, 1]), ["image"], file_of=file_of)


def test_copies_in_one_part_do_no_harm(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(6)]
    for name in names:
        (tmp_path / name).write_bytes(b"1" if name < "3" else b"2")
    table = pd.DataFrame({"image": names})

    def file_of(path: str) -> str | None:
        return os.fspath(tmp_path / path)

    warn_of_shared_pictures(table, np.array([0, 0, 0, 1, 1, 1]), ["image"], file_of=file_of)
    with pytest.warns(mg.LeakageWarning, match="2 pictures in 'image' .*first '3.png' and '4.png'"):
        warn_of_shared_pictures(table, np.array([0, 0, 0, 1, 0, 0]), ["image"], file_of=file_of)


def test_one_cause_is_one_warning_however_many_columns_show_it(tmp_path: Path) -> None:
    table = captions()
    table["mask"] = table["image"].str.replace(".", "-mask.", regex=False)
    table["depth"] = [path.encode() for path in table["image"]]
    said = r"\d+ of 40 pictures in 'image' are in several parts, first .*; likewise \d+ of 40 in "
    with pytest.warns(mg.LeakageWarning, match=f"^{said}'mask'; likewise .*'depth'. A") as warned:
        mg.split_table(table, SHARES)
    assert len(warned) == 1
    # Files are compared in each column too, and have a way out of their own.
    rows, elsewhere = pictures(tmp_path, 1), []
    for name in rows["image"]:
        os.link(tmp_path / name, tmp_path / f"again-{name}")
    rows["mask"] = rows["image"]
    elsewhere = rows.assign(image="again-" + rows["image"], mask="again-" + rows["mask"])
    with pytest.warns(mg.LeakageWarning, match="20 pictures in 'image'.*likewise 20 in") as warned:
        warn_of_leakage([rows, elsewhere], ["image", "mask"], os.fspath(tmp_path))
    assert len(warned) == 1


@pytest.mark.parametrize("content", [b"<html>404 Not Found</html>", b"\xff\xd8 cut", b"{}"])
def test_equal_files_that_are_no_pictures_are_not_pictures_in_several_parts(
    tmp_path: Path, content: bytes
) -> None:
    rows = pictures(tmp_path, 1)
    for name in rows["image"][:4]:
        (tmp_path / name).write_bytes(content)
    warn_of_leakage([rows[:2], rows[2:]], ["image"], os.fspath(tmp_path))


# The command line


def pictures(folder: Path, copies: int) -> pd.DataFrame:
    """Rows of 1x1 pictures in a folder, each with `copies` rows."""
    rows = []
    for number in range(20):
        Image.new("RGB", (1, 1), (number, 9 * number, 99)).save(folder / f"{number}.png")
        rows += [
            (f"{number}.png", f"words {number} {one}", "ab"[number % 2]) for one in range(copies)
        ]
    return pd.DataFrame(rows, columns=["image", "caption", "label"])


def test_training_is_told_of_pictures_in_several_parts_by_path_and_by_what_files_hold(
    tmp_path: Path,
) -> None:
    train, test = (pictures(tmp_path, 2).iloc[start::2] for start in range(2))
    directory = os.fspath(tmp_path)
    with pytest.warns(mg.LeakageWarning, match="20 of 20 pictures in 'image'.*--group image"):
        warn_of_leakage([train, train[:0], test], ["image"], directory)
    for number in range(20):
        os.link(tmp_path / f"{number}.png", tmp_path / f"again {number}.png")
    with pytest.warns(
        mg.LeakageWarning,
        match="20 pictures in 'image'.*first '0.png' and 'again 0.png'.*--group-column",
    ):
        warn_of_leakage([train, test.assign(image="again " + test["image"])], ["image"], directory)
    # Where a column names the parts, `--group` does nothing. An audit takes the copies out of
    # training.
    with pytest.warns(
        mg.LeakageWarning,
        match=r"names the parts: `multimodal-gen audit --drop FILE`, with the same `--split`",
    ):
        warn_of_leakage(
            [train, test.assign(image="again " + test["image"])], ["image"], directory, given=True
        )
    warn_of_leakage([train[:10], train[10:]], ["image"], directory)
    # What lies outside, or nowhere, is an error where it is read.
    elsewhere = [
        train.assign(image=["../x.png", "https://example.com/x.png", *train["image"][2:]]),
        test[:0],
    ]
    warn_of_leakage(elsewhere, ["image"], directory)


@pytest.mark.parametrize("argument", ["stratify", "group"])
def test_missing_cells_to_split_by_are_counted_with_the_ways_out(argument: str) -> None:
    table = pd.DataFrame({"kind": ["a", None, "b", None] * 3}, index=range(5, 17))
    message = (
        r"6 of 12 cells .*dropna\(subset=\['kind'\]\)`.*--drop FILE.* Received: index 6 first, "
        r"column 'kind'"
    )
    with pytest.raises(mg.TableError, match=message):
        mg.split_table(table, (0.5, 0.5), **{argument: "kind"})
