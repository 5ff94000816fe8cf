from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import multimodal_gen as mg
from multimodal_gen.rows.arrays import ArrayColumn, ArrayDtype


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 4, 5), "uint8")


@pytest.fixture
def table(images: np.ndarray) -> pd.DataFrame:
    return mg.table_from_arrays(x=images, y=np.arange(12) % 3)


def test_arrays_with_one_axis_are_ordinary_columns_and_the_index_counts_rows(
    images: np.ndarray,
) -> None:
    texts = pd.Series(["a", None, "c"], index=[7, 8, 9])
    made = mg.table_from_arrays(
        x=images[:3],
        y=np.array([1, 2, 3], ">i4"),
        s=texts,
        tags=[["a"], [], ["b", "c"]],
        f=list(images[:3]),
    )
    assert made.index.tolist() == [0, 1, 2]
    assert made["y"].dtype == "int32"
    assert made["s"].isna().tolist() == [False, True, False]
    assert made["tags"].tolist() == [["a"], [], ["b", "c"]]
    assert np.shares_memory(made["f"][1], images)
    assert isinstance(made["x"].array, ArrayColumn)


def test_cells_are_read_only_views_of_the_array_and_it_stays_writable(
    images: np.ndarray, table: pd.DataFrame
) -> None:
    cell = table["x"].iloc[3]
    assert np.array_equal(cell, images[3])
    assert np.shares_memory(cell, images)
    with pytest.raises(ValueError, match="read-only"):
        cell[0] = 1
    assert images.flags.writeable


def test_a_column_takes_nothing_beside_the_array_until_rows_are_picked(table: pd.DataFrame) -> None:
    assert table["x"].memory_usage(index=False) == 0
    assert table["x"][2:9:3].memory_usage(index=False) == 0
    assert table["x"].iloc[[5, 1]].memory_usage(index=False) == 16


@pytest.mark.parametrize(
    "rows", [slice(None), slice(2, 11, 4), slice(9, 1, -3), [3, -1, 0], [], np.arange(12) % 3 == 1]
)
def test_rows_are_the_same_whether_all_were_shown_or_some_were_picked(
    rows: Any, table: pd.DataFrame
) -> None:
    whole, values = table["x"], np.stack(table["x"])
    # Picked in their order, which is no longer a range.
    picked = whole.iloc[list(range(len(table)))]
    for column in (whole, picked):
        found = column.iloc[rows] if not isinstance(rows, np.ndarray) else column[rows]
        assert len(found) == len(values[rows])
        assert all(np.array_equal(a, b) for a, b in zip(found, values[rows], strict=True))
        again = pd.concat([found[1:], found[:1], whole])
        assert all(
            np.array_equal(a, b)
            for a, b in zip(again, [*values[rows][1:], *values[rows][:1], *values], strict=True)
        )
    gone = whole.array[2:8].take([-1, 0, 5], allow_fill=True)
    assert gone.isna().tolist() == [True, False, False]
    assert np.array_equal(gone[2], values[7])
    with pytest.raises(IndexError):
        whole.array.take([12])


def test_a_memory_map_is_not_read_and_its_cells_are_plain_arrays(
    tmp_path: Path, images: np.ndarray
) -> None:
    np.save(tmp_path / "x.npy", images)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    cell = mg.table_from_arrays(x=mapped)["x"][5]
    assert type(cell) is np.ndarray
    assert np.shares_memory(cell, mapped)
    assert np.array_equal(cell, images[5])


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.iloc[2:9:2],
        lambda table: table.iloc[[3, 0, -1, 3]],
        lambda table: table.loc[table["y"] == 1],
        lambda table: table.sample(7, random_state=1),
        lambda table: table.head(3),
        lambda table: table.tail(3),
        lambda table: table.dropna(),
        lambda table: table.assign(z=1),
        lambda table: table.sort_values("y", kind="stable"),
        lambda table: table.query("y > 0"),
        lambda table: table.copy(),
        lambda table: table.drop(index=[0, 4]),
        lambda table: table.merge(pd.DataFrame({"y": [0, 2], "name": ["a", "b"]}), on="y"),
        lambda table: pd.concat([table.iloc[8:], table.iloc[:3]]),
        lambda table: pickle.loads(pickle.dumps(table)),
        lambda table: mg.split_table(table, (0.5, 0.5), stratify="y")[1],
        lambda table: table.reset_index(drop=True),
        lambda table: table.groupby("y").head(2),
    ],
)
def test_what_pandas_does_to_rows_it_does_to_the_cells(images: np.ndarray, change: object) -> None:
    table = mg.table_from_arrays(x=images, y=np.arange(12) % 3, row=np.arange(12))
    changed = change(table)
    assert isinstance(changed["x"].array, ArrayColumn)
    assert len(changed)
    for cell, row in zip(changed["x"], changed["row"], strict=True):
        assert np.array_equal(cell, images[row])


def test_parts_of_a_table_are_joined_again_without_copying(
    images: np.ndarray, table: pd.DataFrame
) -> None:
    train, test = mg.split_table(table, (0.5, 0.5))
    joined = pd.concat([train, test]).sort_index()
    assert joined.equals(table)
    assert all(np.shares_memory(cell, images) for cell in joined["x"])


def test_tables_of_different_arrays_are_joined_without_copying(images: np.ndarray) -> None:
    other = images[::-1].copy()
    joined = pd.concat(
        [mg.table_from_arrays(x=images), mg.table_from_arrays(x=other)], ignore_index=True
    )
    again = pd.concat([joined.iloc[20:], joined.iloc[:4], joined.iloc[[15, 2]]], ignore_index=True)
    expected = [*other[8:], *images[:4], other[3], images[2]]
    assert isinstance(again["x"].array, ArrayColumn)
    assert all(np.array_equal(one, two) for one, two in zip(again["x"], expected, strict=True))
    assert np.shares_memory(again["x"][0], other)
    assert np.shares_memory(again["x"][5], images)


def test_columns_of_different_shapes_join_to_a_column_of_objects(images: np.ndarray) -> None:
    joined = pd.concat([mg.table_from_arrays(x=images), mg.table_from_arrays(x=images[:, :2])])
    assert joined["x"].dtype == object
    assert [cell.shape for cell in joined["x"]] == [(4, 5)] * 12 + [(2, 5)] * 12


def test_missing_cells_come_from_reindexing_and_joining_and_can_be_dropped(
    table: pd.DataFrame,
) -> None:
    longer = table.reindex([1, 99, 2])
    assert longer["x"].isna().tolist() == [False, True, False]
    assert longer.dropna(subset=["x"]).index.tolist() == [1, 2]
    assert pd.concat([table, pd.DataFrame({"y": [1]})])["x"].isna().sum() == 1
    assert table["x"].shift(2).isna().sum() == 2
    with pytest.raises(TypeError, match="Only missing cells can be filled in. Received: int"):
        table["x"].array.take([0, -1], allow_fill=True, fill_value=0)


def test_cells_can_be_replaced_and_the_array_stays_as_it_is(
    images: np.ndarray, table: pd.DataFrame
) -> None:
    before = images.copy()
    table.loc[2, "x"] = None
    table.at[3, "x"] = np.zeros((4, 5), "uint8")
    table.loc[table.index >= 10, "x"] = table["x"].array[:2]
    assert table["x"].isna().tolist() == [row == 2 for row in range(12)]
    assert not table["x"][3].any()
    assert np.array_equal(np.stack(table["x"][10:]), before[:2])
    assert np.array_equal(images, before)
    other = table.copy()
    other.at[0, "x"] = None
    assert not table["x"].isna()[0]
    for wrong, received in ((7, r"int64 \(\)"), ("a", r"<U1 \(\)")):
        with pytest.raises(
            ValueError, match=r"Every cell must be uint8 \(4, 5\). Received: " + received
        ):
            table.at[0, "x"] = wrong


def test_equality_is_by_numbers_and_cell_by_cell(images: np.ndarray, table: pd.DataFrame) -> None:
    other = images.copy()
    other[4, 0, 0] += 1
    changed = mg.table_from_arrays(x=other, y=table["y"])
    assert (table["x"] == changed["x"]).tolist() == [row != 4 for row in range(12)]
    assert (table["x"] != changed["x"]).sum() == 1
    assert not table.equals(changed)
    assert table.equals(mg.table_from_arrays(x=images.copy(), y=table["y"]))
    assert table.reindex([1, 99]).equals(table.reindex([1, 99]))
    assert not (table["x"] == 3).any()
    assert (table["x"].array == list(images)).all()


def test_pickling_writes_the_rows_in_use_only(table: pd.DataFrame) -> None:
    big = mg.table_from_arrays(x=np.zeros((10_000, 28, 28), "uint8"))
    few = pd.concat([big.iloc[[9_000, 3]], big.reindex([-5])])
    assert len(pickle.dumps(few)) < 10_000
    again = pickle.loads(pickle.dumps(few))
    assert again.equals(few)
    assert not again["x"].iloc[0].flags.writeable


def test_what_is_printed_names_shape_and_dtype_and_no_pixels(table: pd.DataFrame) -> None:
    lines = table.reindex([0, 99]).to_string().splitlines()
    assert lines[1].split() == ["0", "uint8", "(4,", "5)", "0.0"]
    assert lines[2].split() == ["99", "NaN", "NaN"]
    assert str(table["x"].dtype) == "uint8 (4, 5)"
    assert repr(table["x"].array).endswith("Length: 12, dtype: uint8 (4, 5)")
    assert "uint8 (4, 5)" in table._repr_html_()


def test_a_row_and_the_whole_column_can_be_taken_out(
    images: np.ndarray, table: pd.DataFrame
) -> None:
    assert np.array_equal(table.iloc[4]["x"], images[4])
    assert np.array_equal(table[["x"]].iloc[4]["x"], images[4])
    assert table["x"].to_numpy().shape == (12,)
    assert np.array_equal(np.stack(table["x"]), images)
    assert np.array_equal(table["x"].map(np.sum), images.sum(axis=(1, 2)))
    with pytest.raises(ValueError, match=r"Use `np.stack\(column\)` to join the cells"):
        np.asarray(table["x"].array, "float32")


def test_an_array_of_another_machine_is_a_column_like_any(images: np.ndarray) -> None:
    made = mg.table_from_arrays(a=images.astype(">f4"), b=images.astype("float32"))
    assert made["a"].dtype == made["b"].dtype == ArrayDtype((4, 5), "float32")
    assert (made["a"] == made["b"]).all()
    assert np.array_equal(made.iloc[3]["a"], images[3])
    assert len(pd.concat([made["a"], made["b"]]).array._parts) == 2


def test_a_sequence_of_arrays_makes_a_column_of_a_dtype_that_is_only_made_from_arrays(
    images: np.ndarray,
) -> None:
    dtype = ArrayDtype((4, 5), "uint8")
    assert dtype == mg.table_from_arrays(x=images)["x"].dtype
    assert dtype != ArrayDtype((4, 5), "int8")
    assert dtype != "category"
    assert pd.Series([images[0], None], dtype=dtype).isna().tolist() == [False, True]
    with pytest.raises(
        ValueError, match=r"Every cell must be uint8 \(4, 5\). Received: uint8 \(2, 5\)"
    ):
        pd.Series([images[0, :2]], dtype=dtype)
    with pytest.raises(ValueError, match="A dtype is needed if every cell is missing"):
        ArrayColumn._from_sequence([None])
    with pytest.raises(
        TypeError, match="Cannot construct an ArrayDtype from a string. Received: 'uint8'"
    ):
        ArrayDtype.construct_from_string("uint8")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, r"at least one column, as in table_from_arrays\(x=images\). Received: none"),
        ({"x": np.zeros((3, 2)), "y": [1, 2]}, "the same number of rows. Received: x of 3, y of 2"),
        ({"x": np.zeros((0, 2, 2))}, "at least one row. Received: x with none"),
        ({"x": []}, "at least one row. Received: x with none"),
        ({"x": np.array(5)}, r"first axis counts the rows. Received: x=array\(5\)"),
        ({"x": "abc"}, "first axis counts the rows"),
        ({"x": (row for row in range(3))}, "first axis counts the rows"),
        (
            {"x": np.array([["a", "b"]])},
            "must hold numbers; pass texts and objects as a list. Received: shape",
        ),
        (
            {"x": np.ma.masked_equal(np.zeros((2, 2)), 0)},
            r"with `values.filled\(...\)`. Received: x with 4 masked",
        ),
    ],
)
def test_what_makes_no_table_is_refused_by_name(columns: dict, message: str) -> None:
    with pytest.raises(mg.TableError, match=message):
        mg.table_from_arrays(**columns)


def test_a_sequence_draws_batches_of_cells_from_the_column(
    images: np.ndarray, table: pd.DataFrame
) -> None:
    part = table.iloc[[5, 1, 7]]
    cells = part["x"].array.take([2, 0]).tolist()
    assert [np.shares_memory(cell, images) for cell in cells] == [True, True]
    assert np.array_equal(cells[0], images[7])
